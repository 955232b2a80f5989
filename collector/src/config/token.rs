//! Tokens: kept in a file or in the configuration, held as a hash, compared in constant time, never shown.

mod files;

use std::fmt;

use anyhow::Context;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::model::audit::hex;

pub use files::{mend, private, write_header, write_header_of};

/// A shared secret, as its SHA-256. Tokens are long and random, so the hash gives nothing to guess from.
#[derive(Clone, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with this text.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        let mut hash = [0; 32];
        for (byte, of) in hash.iter_mut().zip(digest(&SHA256, secret.as_ref()).as_ref()) {
            *byte = *of;
        }
        Self(hash)
    }

    /// The token whose SHA-256 is these 64 hexadecimal digits.
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

    /// Whether the other is the same. Takes the same time wherever a difference is.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(&other.0).into()
    }

    /// A token as it stands on a line of a file: itself, maybe as the header's value that Envoy sends, or its
    /// hash.
    fn parse(line: &str) -> Option<Self> {
        match line.strip_prefix(HASHED) {
            Some(hash) => Self::from_sha256(hash.trim()),
            None => plain(line).map(Self::new),
        }
    }
}

/// The token of a line that holds one itself.
fn plain(line: &str) -> Option<&str> {
    let token = of_header(line.as_bytes()).map_or(Ok(line), str::from_utf8).ok()?;
    (token.len() >= BYTES_MIN
        && token.bytes().all(|byte| byte.is_ascii_graphic())
        && !token.starts_with(HASHED))
    .then_some(token)
}

/// The token in the value of an `authorization` header. `Bearer` may stand there twice: as where a file with
/// the whole value is sent behind a prefix of the configuration.
pub fn of_header(value: &[u8]) -> Option<&[u8]> {
    let token = after_scheme(value)?;
    Some(after_scheme(token).unwrap_or(token))
}

fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then_some(token.trim_ascii())
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
/// Before the token in the value of a header.
const BEARER: &str = "Bearer ";
/// Before the hash of a token that is not kept itself.
const HASHED: &str = "sha256:";

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_token_is_never_shown() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token(***)");
    }
}
