//! Tokens: kept in a file or in the configuration, held as a hash, compared in constant time, never shown.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use crate::audit::hex;

/// A shared secret, as its SHA-256. Tokens are long and random, so the hash gives nothing to guess from.
#[derive(Clone, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with this text.
    #[must_use]
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let mut hash = [0; 32];
        for (byte, of) in hash.iter_mut().zip(digest(&SHA256, secret.as_ref()).as_ref()) {
            *byte = *of;
        }
        Self(hash)
    }

    /// The token whose SHA-256 is these 64 hexadecimal digits.
    #[must_use]
    pub fn from_sha256(digits: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let mut digits = digits.chars();
        for byte in &mut hash {
            let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(hash))
    }

    /// Its SHA-256 in hexadecimal, as configuration holds it.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&self.0)
    }

    /// A new text for a token, 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> anyhow::Result<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("the system gives no random bytes")?;
        Ok(hex(&random))
    }

    /// The tokens in this file: one a line, two at most, as they are or as `sha256:` and their hash. A missing file
    /// is made, with a random token that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds no usable token.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Vec<Self>> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be opened", path.display())),
        }
    }

    /// Whether the other is the same. Takes the same time wherever a difference is.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(&other.0).into()
    }

    fn read(path: &Path, mut file: File) -> anyhow::Result<Vec<Self>> {
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        ensure!(
            (1..=LIVE_MAX).contains(&lines.len()),
            "`{}` must hold one token, or two while one takes the place of the other",
            path.display()
        );
        let tokens: Option<Vec<Self>> = lines.into_iter().map(Self::parse).collect();
        let tokens = tokens.with_context(|| {
            format!(
                "`{}` must hold tokens of at least {BYTES_MIN} printable characters, or `sha256:` and a hash",
                path.display()
            )
        })?;
        let mode = file.metadata().map_or(0, |found| found.permissions().mode());
        if mode & 0o077 != 0 && !text.trim().starts_with(HASHED) {
            warn!("`{}` can be read by others than its owner; `chmod 600` it", path.display());
        }
        Ok(tokens)
    }

    fn parse(line: &str) -> Option<Self> {
        match line.strip_prefix(HASHED) {
            Some(hash) => Self::from_sha256(hash.trim()),
            None => (line.len() >= BYTES_MIN && line.bytes().all(|byte| byte.is_ascii_graphic()))
                .then(|| Self::new(line)),
        }
    }

    /// Another collector may do the same: the first one's token holds, and nobody sees half a file.
    fn create(path: &Path) -> anyhow::Result<Vec<Self>> {
        let failed = || format!("`{}` cannot be made", path.display());
        let token = Self::generate()?;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", token.get(..8).unwrap_or_default()));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).with_context(failed)?;
        let written = writeln!(file, "{token}").and_then(|()| file.sync_all());
        let linked = written.and_then(|()| std::fs::hard_link(&part, path));
        std::fs::remove_file(&part).with_context(failed)?;
        match linked {
            Ok(()) => {
                info!("Made a token in `{}`", path.display());
                Ok(vec![Self::new(token)])
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::read(path, File::open(path).with_context(failed)?)
            }
            Err(error) => Err(error).with_context(failed),
        }
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Shortest token that is accepted.
const BYTES_MIN: usize = 16;
/// Tokens of one file.
const LIVE_MAX: usize = 2;
/// Before the hash of a token that is not kept itself.
const HASHED: &str = "sha256:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_made_for_its_owner_only_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/ingest.token");
        let made = Token::load_or_create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert_eq!(made, [Token::new(text.trim())]);
        assert_eq!(Token::load_or_create(&path).unwrap(), made);
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Token::new("0123456789abcdef");
        assert!(token.is(&Token::new("0123456789abcdef")));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg"] {
            assert!(!token.is(&Token::new(other)), "{other}");
        }
        assert_eq!(Token::from_sha256(&token.sha256()), Some(token.clone()));
        assert_eq!(Token::from_sha256(&token.sha256()[1..]), None);
    }

    #[test]
    fn a_file_may_hold_two_tokens_and_hashes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let hashed = Token::new("0123456789abcdef");
        std::fs::write(&path, format!("fedcba9876543210\n\nsha256:{}\n", hashed.sha256())).unwrap();
        assert_eq!(Token::load_or_create(&path).unwrap(), [Token::new("fedcba9876543210"), hashed]);
    }

    #[test]
    fn a_short_or_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        for text in [
            "",
            "\n",
            "short",
            "sixteen letters and spaces",
            "sha256:00",
            "0123456789abcdef\n0123456789abcdef\n0123456789abcdef",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Token::load_or_create(&path).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token(***)");
    }
}
