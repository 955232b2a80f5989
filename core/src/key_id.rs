//! Which provider key a call used, as a keyed hash: the key itself is never kept.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The key in a request header that carries one: `authorization` (bearer tokens, and the access key id of AWS
/// signatures), `x-api-key` (Anthropic), `x-goog-api-key` (Google), `api-key` (Azure). Names are lower case.
#[must_use]
pub fn key_in<'h>(name: &[u8], value: &'h [u8]) -> Option<&'h [u8]> {
    let key = match name {
        b"x-api-key" | b"x-goog-api-key" | b"api-key" => value,
        b"authorization" => {
            let (scheme, rest) = value.split_at_checked(value.iter().position(|byte| *byte == b' ')?)?;
            let rest = rest.trim_ascii();
            if scheme.eq_ignore_ascii_case(b"bearer") {
                rest
            } else {
                let credential = b"Credential=";
                let at = rest.windows(credential.len()).position(|window| window == credential)?;
                rest.get(at + credential.len()..)?.split(|byte| *byte == b'/').next()?
            }
        }
        _ => return None,
    };
    (!key.is_empty()).then_some(key)
}

/// The first sixteen hexadecimal digits of the key's HMAC-SHA-256 under the operator's secret; `None` without a secret.
#[must_use]
pub fn key_id(secret: &[u8], key: &[u8]) -> Option<String> {
    if secret.is_empty() {
        return None;
    }
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    hmac.update(key);
    let hash = hmac.finalize().into_bytes();
    let mut id = String::with_capacity(2 * ID_BYTES);
    for byte in hash.iter().take(ID_BYTES) {
        let _ = write!(id, "{byte:02x}");
    }
    Some(id)
}

const ID_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_providers_want_them() {
        for (name, value, expected) in [
            ("authorization", "Bearer sk-1", Some("sk-1")),
            ("authorization", "bearer  sk-1", Some("sk-1")),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIA1/20261125/us-east-1/bedrock/aws4_request, Signature=x",
                Some("AKIA1"),
            ),
            ("authorization", "Basic eA==", None),
            ("authorization", "sk-1", None),
            ("x-api-key", "sk-ant", Some("sk-ant")),
            ("x-goog-api-key", "", None),
            ("cookie", "a=b", None),
        ] {
            let found = key_in(name.as_bytes(), value.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name}: {value}");
        }
    }

    #[test]
    fn an_id_depends_on_key_and_secret_and_is_nothing_without_one() {
        // RFC 4231, test case 2.
        assert_eq!(key_id(b"Jefe", b"what do ya want for nothing?").as_deref(), Some("5bdcc146bf60754e"));
        assert_ne!(key_id(b"a", b"key"), key_id(b"b", b"key"));
        assert_eq!(key_id(b"", b"key"), None);
    }
}
