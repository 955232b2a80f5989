//! The token that gateways present: kept in a file, compared in constant time, never shown.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

/// A shared secret.
pub struct Token(Vec<u8>);

impl Token {
    /// A token of these bytes.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// The token in this file; a missing file is made, with a random token that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds no usable token.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be opened", path.display())),
        }
    }

    /// Whether this was presented. Takes the same time wherever a difference is.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        self.0.as_slice().ct_eq(presented).into()
    }

    fn read(path: &Path, mut file: File) -> anyhow::Result<Self> {
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let text = text.trim();
        ensure!(
            text.len() >= BYTES_MIN && text.bytes().all(|byte| byte.is_ascii_graphic()),
            "`{}` must hold one token of at least {BYTES_MIN} printable characters",
            path.display()
        );
        let mode = file.metadata().map_or(0, |found| found.permissions().mode());
        if mode & 0o077 != 0 {
            warn!("`{}` can be read by others than its owner; `chmod 600` it", path.display());
        }
        Ok(Self::new(text))
    }

    fn create(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("`{}` cannot be made", path.display());
        let mut random = [0; 32];
        getrandom::fill(&mut random).context("the system gives no random bytes")?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
        writeln!(file, "{token}").with_context(failed)?;
        file.sync_all().with_context(failed)?;
        info!("Made a token for gateways in `{}`", path.display());
        Ok(Self::new(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Shortest token that is accepted.
const BYTES_MIN: usize = 16;

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
        assert!(made.is(text.trim().as_bytes()));
        assert!(Token::load_or_create(&path).unwrap().is(text.trim().as_bytes()));
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Token::new("0123456789abcdef");
        assert!(token.is(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_short_or_empty_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        for text in ["", "\n", "short", "sixteen letters and spaces"] {
            std::fs::write(&path, text).unwrap();
            assert!(Token::load_or_create(&path).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token(***)");
    }
}
