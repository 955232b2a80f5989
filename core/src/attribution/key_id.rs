//! Which provider key a call used, as a keyed hash: the key itself is never kept.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::provider::{UNKNOWN_PROVIDER, decoded, recognised_ids};

/// Where a request may carry a provider key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// `authorization`: bearer tokens, and the access key id of AWS signatures.
    Authorization,
    /// `x-api-key`: Anthropic.
    XApiKey,
    /// `x-goog-api-key`: Google.
    XGoogApiKey,
    /// `api-key`: Azure.
    ApiKey,
    /// The query: Google's `key`, the `X-Amz-Credential` of a presigned request.
    Query,
    /// `sec-websocket-protocol`: what browsers open OpenAI's sessions with.
    Subprotocol,
}

/// The provider keys that a request carries, wherever: which of them counts is its provider's to say. Holds
/// at most [`CREDENTIALS_MAX`]; with more of them nobody knows the key.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Vec<(Place, Option<Vec<u8>>)>);

impl Credentials {
    /// Notes a header; names are lower case.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        let value = value.trim_ascii();
        let (place, key) = match name {
            b"x-api-key" => (Place::XApiKey, Some(value)),
            b"x-goog-api-key" => (Place::XGoogApiKey, Some(value)),
            b"api-key" | b"ocp-apim-subscription-key" => (Place::ApiKey, Some(value)),
            b"authorization" => (Place::Authorization, authorized(value)),
            b"sec-websocket-protocol" => {
                let offered = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let keys = offered.filter_map(|one| one.strip_prefix(SUBPROTOCOL));
                return keys.for_each(|key| self.note(Place::Subprotocol, Some(key)));
            }
            _ => return,
        };
        if !value.is_empty() {
            self.note(place, key);
        }
    }

    /// Notes what the path's query says.
    pub fn path(&mut self, path: &str) {
        let Some((_, query)) = path.split_once('?') else { return };
        for pair in query.split('&') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (decoded(name), decoded(value));
            if name.eq_ignore_ascii_case("key") || name.eq_ignore_ascii_case("access_token") {
                self.note(Place::Query, Some(value.as_bytes()));
            } else if name.eq_ignore_ascii_case("api-key") || name.eq_ignore_ascii_case("subscription-key") {
                self.note(Place::ApiKey, Some(value.as_bytes()));
            } else if name.eq_ignore_ascii_case("x-amz-credential") {
                let id = value.split('/').next().unwrap_or_default();
                self.note(Place::Query, Some(id.as_bytes()));
            }
        }
    }

    /// Notes a key; `None` where something stands there that is none.
    fn note(&mut self, place: Place, key: Option<&[u8]>) {
        let Some(key) = key.filter(|key| !key.is_empty()) else { return self.put(place, None) };
        // Headers that come twice reach us joined by commas, which no key has.
        for one in key.split(|byte| *byte == b',') {
            let one = one.trim_ascii();
            let bare = (place == Place::Authorization).then(|| authorized(one)).flatten().unwrap_or(one);
            self.put(place, Some(bare));
        }
    }

    fn put(&mut self, place: Place, key: Option<&[u8]>) {
        if self.0.len() <= CREDENTIALS_MAX {
            self.0.push((place, key.map(<[u8]>::to_vec)));
        }
    }

    /// The [`key_id`] of each key that this provider may take: where it gets several that differ, nobody
    /// knows which it takes.
    pub fn key_ids(&self, provider: &str, secret: &[u8]) -> impl Iterator<Item = String> {
        let taken = places(provider);
        let keys = self.0.iter().filter(|(place, _)| taken.contains(place));
        keys.filter_map(|(_, key)| key_id(secret, key.as_ref()?))
    }

    /// The [`key_id`] of the key that this provider takes. `None` where it has none, or several that differ:
    /// nobody knows then which of them the provider takes.
    pub fn key_id(&self, provider: &str, secret: &[u8]) -> Option<String> {
        let taken = places(provider);
        let mut keys = self.0.iter().filter(|(place, _)| taken.contains(place)).map(|(_, key)| key);
        let key = keys.next()?.as_ref()?;
        let is_known = self.0.len() <= CREDENTIALS_MAX
            && keys.all(|other| other.as_ref().is_some_and(|other| other == key));
        is_known.then(|| key_id(secret, key))?
    }
}

/// The key in a value of `authorization`, trimmed; `None` where it is of no known scheme.
fn authorized(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(value.iter().position(u8::is_ascii_whitespace)?)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest);
    }
    let credential = b"Credential=";
    let at = rest.windows(credential.len()).position(|window| window == credential)?;
    rest.get(at + credential.len()..)?.split(|byte| *byte == b'/').next()
}

/// Where each provider takes a key from (as client libraries of Anthropic, Google, Azure and Amazon send it;
/// read 2026-11-28). All others that
/// are recognised take a bearer token; of one that is only configured nobody knows.
fn places(provider: &str) -> &'static [Place] {
    match provider {
        "anthropic" => &[Place::XApiKey, Place::Authorization],
        "gemini" | "vertex" => &[Place::XGoogApiKey, Place::Authorization, Place::Query],
        "azure" => &[Place::ApiKey, Place::Authorization, Place::XApiKey, Place::Subprotocol],
        "openai" => &[Place::Authorization, Place::Subprotocol],
        "bedrock" => &[Place::Authorization, Place::Query, Place::XApiKey],
        known if known != UNKNOWN_PROVIDER && recognised_ids().any(|id| id == known) => {
            &[Place::Authorization]
        }
        _ => &[
            Place::Authorization,
            Place::XApiKey,
            Place::XGoogApiKey,
            Place::ApiKey,
            Place::Query,
            Place::Subprotocol,
        ],
    }
}

/// What stands before a key among the protocols that a browser offers, as it can set no header. Source:
/// OpenAI, Realtime API with WebSockets, as known; not read anew.
const SUBPROTOCOL: &[u8] = b"openai-insecure-api-key.";

/// Credentials that are looked at; no client sends more.
const CREDENTIALS_MAX: usize = 8;

/// The first sixteen hexadecimal digits of the key's HMAC-SHA-256 under the operator's secret; `None` without
/// a secret.
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
    fn the_key_that_counts_is_the_one_that_the_provider_takes() {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIA1/20261125/us-east-1/bedrock/aws4_request, Signature=x";
        type Headers = &'static [(&'static str, &'static str)];
        let cases: &[(&str, &str, Headers, Option<&str>)] = &[
            ("openai", "/v1", &[("authorization", "Bearer sk-1")], Some("sk-1")),
            ("openai", "/v1", &[("authorization", "bearer  sk-1 ")], Some("sk-1")),
            ("openai", "/v1", &[("authorization", "Bearer\tsk-1")], Some("sk-1")),
            ("openai", "/v1", &[("authorization", "Bearer sk-1"), ("x-api-key", "other")], Some("sk-1")),
            ("openai", "/v1?key=other", &[("authorization", "Bearer sk-1")], Some("sk-1")),
            ("openai", "/v1", &[("authorization", "Bearer sk-1"), ("authorization", "Bearer sk-2")], None),
            ("openai", "/v1", &[("x-api-key", "other")], None),
            ("openai", "/v1", &[("authorization", "Bearer sk-2,Bearer sk-1")], None),
            ("openai", "/v1", &[("authorization", "Basic c2stMQ==")], None),
            ("anthropic", "/v1", &[("x-api-key", "sk-ant")], Some("sk-ant")),
            ("anthropic", "/v1", &[("x-api-key", "sk-ant"), ("authorization", "Bearer sk-2")], None),
            ("anthropic", "/v1", &[("x-api-key", "sk-ant"), ("api-key", "other")], Some("sk-ant")),
            ("gemini", "/v1?alt=sse&key=g%2D1", &[], Some("g-1")),
            ("gemini", "/v1?k%65y=g-1", &[], Some("g-1")),
            ("azure", "/v1?api-key=a-1", &[], Some("a-1")),
            ("azure", "/v1", &[("ocp-apim-subscription-key", "a-1")], Some("a-1")),
            (
                "openai",
                "/v1/realtime",
                &[("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1, openai-beta.x")],
                Some("sk-1"),
            ),
            ("openai", "/v1/realtime", &[("sec-websocket-protocol", "realtime")], None),
            ("gemini", "/v1", &[("x-goog-api-key", "g-1")], Some("g-1")),
            ("gemini", "/v1?key=g-2", &[("x-goog-api-key", "g-1")], None),
            ("azure", "/v1", &[("api-key", "a-1"), ("x-goog-api-key", "other")], Some("a-1")),
            ("unknown", "/v1", &[("api-key", "a-1")], Some("a-1")),
            ("my-own", "/v1", &[("x-api-key", "m-1")], Some("m-1")),
            ("gemini", "/v1", &[("x-goog-api-key", ""), ("cookie", "a=b")], None),
        ];
        for (provider, path, headers, expected) in cases {
            let mut credentials = Credentials::default();
            headers.iter().for_each(|(name, value)| credentials.header(name.as_bytes(), value.as_bytes()));
            credentials.path(path);
            let expected = expected.and_then(|key| key_id(b"secret", key.as_bytes()));
            assert_eq!(credentials.key_id(provider, b"secret"), expected, "{provider} {path} {headers:?}");
        }
        let mut credentials = Credentials::default();
        credentials.header(b"authorization", signed.as_bytes());
        assert_eq!(credentials.key_id("bedrock", b"s"), key_id(b"s", b"AKIA1"));
        (0..20).for_each(|_| credentials.header(b"authorization", signed.as_bytes()));
        assert_eq!(credentials.key_id("bedrock", b"s"), None, "too many to be looked at");
        let mut presigned = Credentials::default();
        presigned.path("/model/m/invoke?X-Amz-Credential=AKIA1%2F20261125%2Fus-east-1");
        assert_eq!(presigned.key_id("bedrock", b"s"), key_id(b"s", b"AKIA1"));
    }

    #[test]
    fn of_several_keys_that_differ_each_is_told() {
        type Headers = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Headers, &[&str])] = &[
            (
                "openai",
                &[("authorization", "Bearer sk-1"), ("authorization", "Bearer junk")],
                &["sk-1", "junk"],
            ),
            ("openai", &[("authorization", "Bearer sk-1, Bearer junk")], &["sk-1", "junk"]),
            ("openai", &[("authorization", "Bearer sk-1,junk"), ("x-api-key", "other")], &["sk-1", "junk"]),
            ("anthropic", &[("x-api-key", "sk-1"), ("authorization", "Bearer junk")], &["sk-1", "junk"]),
            ("anthropic", &[("x-api-key", "junk,sk-1")], &["junk", "sk-1"]),
        ];
        for (provider, headers, expected) in cases {
            let mut credentials = Credentials::default();
            headers.iter().for_each(|(name, value)| credentials.header(name.as_bytes(), value.as_bytes()));
            let found: Vec<String> = credentials.key_ids(provider, b"secret").collect();
            let expected: Vec<String> =
                expected.iter().filter_map(|key| key_id(b"secret", key.as_bytes())).collect();
            assert_eq!(found, expected, "{provider} {headers:?}");
            assert_eq!(credentials.key_id(provider, b"secret"), None, "nobody knows which is taken");
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
