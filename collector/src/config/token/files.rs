//! Files of tokens: made where they are missing, without white space, readable by their owner alone.
//!
//! `NAME.token` holds the token itself. Beside it `ingest.bearer` holds the value of the header that a
//! gateway sends (`Bearer` and the token), as Envoy puts it on: Envoy 1.36 cannot put a prefix before a
//! secret, and 1.37 and 1.39 refuse a value that ends in a newline.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tracing::{info, warn};

use super::{BEARER, BYTES_MIN, HASHED, Token, plain};

impl Token {
    /// The tokens in this file: one a line, two at most, as they are or as `sha256:` and their hash. A
    /// missing file is made, with a random token that only its owner can read.
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

    fn read(path: &Path, mut file: File) -> anyhow::Result<Vec<Self>> {
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let lines = lines(&text);
        ensure!(
            (1..=LIVE_MAX).contains(&lines.len()),
            "`{}` must hold one token, or two while one takes the place of the other",
            path.display()
        );
        let tokens: Option<Vec<Self>> = lines.iter().map(|line| Self::parse(line)).collect();
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

    /// Another collector may do the same: the first one's token holds, and nobody sees half a file.
    fn create(path: &Path) -> anyhow::Result<Vec<Self>> {
        let failed = || format!("`{}` cannot be made", path.display());
        let token = Self::generate()?;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(failed)?;
        }
        let part = write_part(path, &token).with_context(failed)?;
        let linked = std::fs::hard_link(&part, path);
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

/// Makes a file that the collector keeps itself as it is made today: for its owner alone and, where it holds
/// one token, without white space. What cannot be changed stays, with a warning.
pub fn mend(path: &Path) {
    let mended = private(path).and_then(|()| {
        let text = std::fs::read_to_string(path)?;
        match lines(&text).as_slice() {
            [line] if *line != text => replace(path, line),
            _ => Ok(()),
        }
    });
    if let Err(error) = mended {
        warn!(%error, "`{}` should be readable by its owner alone and hold a token without a newline", path.display());
    }
}

/// Takes what others than the owner may do with a file from them.
pub fn private(path: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    match mode & 0o177 {
        0 => Ok(()),
        _ => std::fs::set_permissions(path, Permissions::from_mode(mode & 0o600)),
    }
}

/// Keeps `header` for Envoy: the value of the `authorization` header with a token of `tokens`. What holds one
/// already stays. Tokens of which only the hash is known cannot be written.
///
/// # Errors
/// When it cannot be written.
pub fn write_header(header: &Path, tokens: &Path) -> std::io::Result<()> {
    let text = std::fs::read_to_string(tokens)?;
    let live: Vec<&str> = lines(&text).into_iter().filter_map(plain).collect();
    let held = std::fs::read_to_string(header).unwrap_or_default();
    if live.iter().any(|token| held == format!("{BEARER}{token}")) {
        return private(header);
    }
    match live.first() {
        Some(token) => write_header_of(header, token),
        None if held.is_empty() => Ok(()),
        None => {
            warn!(
                "`{}` holds another token than `{}`, which has only hashes: write `{BEARER}` and the token into it, \
                 without a newline",
                header.display(),
                tokens.display()
            );
            Ok(())
        }
    }
}

/// Writes the value of the `authorization` header with this token, for Envoy.
///
/// # Errors
/// When it cannot be written.
pub fn write_header_of(header: &Path, token: &str) -> std::io::Result<()> {
    replace(header, &format!("{BEARER}{token}"))
}

/// Puts a file in place of another, which nobody sees half.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let part = write_part(path, text)?;
    std::fs::rename(&part, path)
}

/// Writes the file that is to take the place of `path`.
fn write_part(path: &Path, text: &str) -> std::io::Result<PathBuf> {
    let random = Token::generate().map_err(std::io::Error::other)?;
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", random.get(..8).unwrap_or_default()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(part.into())
}

/// What stands in a file of tokens.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Tokens of one file.
const LIVE_MAX: usize = 2;

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
    fn a_token_is_written_without_white_space_and_read_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ingest.token");
        Token::load_or_create(&path).unwrap();
        let made = std::fs::read_to_string(&path).unwrap();
        assert_eq!(made.trim(), made);
        for text in ["0123456789abcdef\n", " 0123456789abcdef\r\n\n", "Bearer 0123456789abcdef\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Token::load_or_create(&path).unwrap(), [Token::new("0123456789abcdef")], "{text:?}");
        }
    }

    #[test]
    fn a_file_from_before_is_mended_and_two_tokens_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ingest.token");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for (before, after) in [
            ("0123456789abcdef\n", "0123456789abcdef"),
            ("0123456789abcdef\nfedcba9876543210\n", "0123456789abcdef\nfedcba9876543210\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            mend(&path);
            assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), mode()), (after, 0o600));
        }
    }

    #[test]
    fn the_file_for_envoy_has_the_whole_value_of_a_live_token() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, header) = (dir.path().join("ingest.token"), dir.path().join("ingest.bearer"));
        let held = || std::fs::read_to_string(&header).unwrap();
        let hashed = format!("sha256:{}", Token::new("0123456789abcdef").sha256());
        for (text, expected) in [
            ("0123456789abcdef\n", "Bearer 0123456789abcdef"),
            // The one that gateways use stays while the next one is brought in.
            ("fedcba9876543210\n0123456789abcdef\n", "Bearer 0123456789abcdef"),
            ("fedcba9876543210\n", "Bearer fedcba9876543210"),
            (hashed.as_str(), "Bearer fedcba9876543210"),
        ] {
            std::fs::write(&tokens, text).unwrap();
            write_header(&header, &tokens).unwrap();
            assert_eq!(held(), expected, "{text:?}");
            assert_eq!(std::fs::metadata(&header).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_file(&header).unwrap();
        write_header(&header, &tokens).unwrap();
        assert!(!header.exists(), "a hash is no token");
    }
}
