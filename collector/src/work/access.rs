//! Access: which token allows what, and the guard before every route.
//!
//! Roles are `ingest` (gateways), `read`, `write` and `admin`; `admin` may do what `write` may, and `write`
//! what `read` may. Tokens are held as SHA-256 hashes and compared in constant time, all of them at every
//! request.

mod proxy;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tracing::warn;

use crate::config::token::{self, Token};
use crate::config::{Config, ProxyConfig, Reading};
use crate::model::audit::Entry;
use crate::model::clock::now_ms;
use crate::model::role::Role;
use crate::model::text::printable;
use crate::work::metrics::Metrics;
pub use proxy::{Named, Person};

/// Who makes a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// Name of the token, `user:` and the name of a person, or `anyone` where nobody needs either.
    pub name: String,
    /// The gateways for which it reports.
    pub gateways: Gateways,
}

/// What somebody showed before: pages put it into the requests that they make inside this process. None can
/// come over the network.
#[derive(Clone, Debug)]
pub enum Presented {
    /// A token.
    Token(Token),
    /// The headers of a reverse proxy that signed them in.
    Person(Person),
}

/// Which gateways a token is for. Empty: any.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gateways(Arc<[String]>);

/// All tokens that are valid now.
#[derive(Debug, Default)]
pub struct Access {
    keys: RwLock<Arc<Keys>>,
}

#[derive(Debug, Default)]
struct Keys {
    reading_is_open: bool,
    keys: Vec<Key>,
    proxy: Option<ProxyConfig>,
}

#[derive(Debug)]
struct Key {
    role: Role,
    name: String,
    token: Token,
    gateways: Gateways,
}

/// Requests with tokens that nobody knows: each is answered late, and one line a minute tells of them.
#[derive(Debug, Default)]
pub struct WrongTokens(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    said: Option<Instant>,
    since: u64,
}

impl Access {
    /// The tokens of a configuration; a missing file of one is made.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no usable token.
    pub fn load(config: &Config) -> anyhow::Result<Self> {
        let mut keys = Keys {
            reading_is_open: reading_is_open(config),
            keys: Vec::new(),
            proxy: config.access.proxy.clone(),
        };
        for (role, name, file) in [
            (Role::Ingest, "ingest", &config.ingest.token_file),
            (Role::Admin, "admin", &config.admin_token_file),
        ] {
            let tokens = Token::load_or_create(file)?;
            if file.starts_with(&config.data_dir) {
                token::mend(file);
            }
            let gateways = match role {
                Role::Ingest => Gateways(config.access.gateways.clone().into()),
                _ => Gateways::default(),
            };
            let key = |token| Key { role, name: name.to_owned(), token, gateways: gateways.clone() };
            keys.keys.extend(tokens.into_iter().map(key));
        }
        let header = config.data_dir.join(HEADER_FILE);
        if let Err(error) = token::write_header(&header, &config.ingest.token_file) {
            warn!(%error, "`{}`, the header's value that Envoy sends, cannot be written", header.display());
        }
        let named = config.access.tokens.iter();
        keys.keys.extend(named.map(|one| Key {
            role: one.role,
            name: one.name.clone(),
            token: one.token.clone(),
            gateways: Gateways(match one.gateways.as_slice() {
                [] => config.access.gateways.clone().into(),
                own => own.into(),
            }),
        }));
        Ok(Self { keys: RwLock::new(Arc::new(keys)) })
    }

    /// Takes the tokens of another instead.
    pub fn replace(&self, other: Self) {
        let keys = other.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Who presents these headers, if that allows what `role` may.
    pub fn caller(&self, headers: &HeaderMap, role: Role) -> Option<Caller> {
        self.holder(bearer(headers).map(Token::new).as_ref(), role)
    }

    /// Who has this token, or none, if that allows what `role` may.
    pub fn holder(&self, token: Option<&Token>, role: Role) -> Option<Caller> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let found = token.and_then(|token| keys.find(token, role));
        found.or_else(|| keys.anyone(role))
    }

    /// Who showed this before, if that allows what `role` may.
    pub fn presented(&self, presented: Option<&Presented>, role: Role) -> Option<Caller> {
        match presented {
            None => self.holder(None, role),
            Some(Presented::Token(token)) => self.holder(Some(token), role),
            Some(Presented::Person(person)) if person.role.is_some_and(|own| own.allows(role)) => {
                Some(Caller { name: person.actor(), gateways: Gateways::default() })
            }
            Some(Presented::Person(_)) => self.holder(None, role),
        }
    }

    /// Whom a reverse proxy names in these headers.
    pub fn named(&self, headers: &HeaderMap) -> Named {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        keys.proxy.as_ref().map_or(Named::Nobody, |proxy| proxy::named(proxy, headers))
    }

    /// Whether these headers have a token that is none of anybody's.
    pub fn is_wrong(&self, headers: &HeaderMap) -> bool {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        headers.contains_key(AUTHORIZATION) && bearer(headers).is_none_or(|token| !keys.know(token))
    }
}

impl WrongTokens {
    /// Counts such a request for this path, tells of it, and lets its sender wait.
    pub async fn note(&self, metrics: &Metrics, path: &str) {
        metrics.wrong_tokens.inc();
        if let Some(count) = self.due() {
            warn!(
                count,
                path = printable(path),
                "Requests came with a token that nobody has ({count} since the last such line): a gateway's must be that \
                 of `{HEADER_FILE}` in the data directory, or of `access.tokens`"
            );
        }
        tokio::time::sleep(WRONG_WAITS).await;
    }

    /// How many there were, where it is time to say so.
    fn due(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.since = told.since.saturating_add(1);
        if told.said.is_some_and(|said| said.elapsed() < WRONG_SAID) {
            return None;
        }
        told.said = Some(Instant::now());
        Some(std::mem::take(&mut told.since))
    }
}

impl Gateways {
    /// Whether the token is for this gateway.
    pub fn allow(&self, gateway: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name == gateway)
    }

    /// Whether this one is named: of a token for any gateway none is.
    pub fn names_one(&self, gateway: &str) -> bool {
        self.0.iter().any(|name| name == gateway)
    }

    /// Those of these names.
    #[cfg(test)]
    pub(crate) fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        self.0.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

impl Keys {
    fn find(&self, presented: &Token, role: Role) -> Option<Caller> {
        let mut found = None;
        // Every token is compared, so that the time tells nothing about where one stands.
        for key in &self.keys {
            if key.token.is(presented) && key.role.allows(role) {
                found = Some(Caller { name: key.name.clone(), gateways: key.gateways.clone() });
            }
        }
        found
    }

    /// Whoever asks, where that needs nothing.
    fn anyone(&self, role: Role) -> Option<Caller> {
        let anyone = || Caller { name: "anyone".into(), gateways: Gateways::default() };
        (role == Role::Read && self.reading_is_open).then(anyone)
    }

    fn know(&self, presented: &[u8]) -> bool {
        let presented = Token::new(presented);
        self.keys.iter().fold(false, |known, key| key.token.is(&presented) | known)
    }
}

impl Caller {
    /// An entry of the audit trail about what this caller does now.
    pub fn entry(&self, action: &str, subject: &str) -> Entry {
        Entry {
            time_ms: now_ms(),
            actor: self.name.clone(),
            action: action.into(),
            subject: subject.into(),
            ..Entry::default()
        }
    }
}

/// Whether nobody needs a token to read.
pub fn reading_is_open(config: &Config) -> bool {
    match config.access.read {
        Some(reading) => reading == Reading::Open,
        None => config.listen.ip().is_loopback(),
    }
}

/// The token of a request that has exactly one.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    token::of_header(value.as_bytes())
}

/// In the data directory: what gateways put into their `authorization` header, for Envoy.
const HEADER_FILE: &str = "ingest.bearer";
/// So long a request with a wrong token waits for its answer.
const WRONG_WAITS: Duration = Duration::from_millis(300);
/// So often it is said that there are some.
const WRONG_SAID: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn access(read: &str) -> (Access, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let hash = |token: &str| Token::new(token).sha256();
        let text = format!(
            "data_dir = '{}'\n[access]\nread = '{read}'\n\
             [[access.tokens]]\nrole = 'read'\nname = 'bi'\nsha256 = '{}'\n\
             [[access.tokens]]\nrole = 'read'\nname = 'bi'\nsha256 = '{}'\n\
             [[access.tokens]]\nrole = 'write'\nname = 'ops'\nsha256 = '{}'\n",
            dir.path().display(),
            hash("read-old"),
            hash("read-new"),
            hash("write-token")
        );
        (Access::load(&Config::parse("t", &text).unwrap()).unwrap(), dir)
    }

    fn ask(access: &Access, token: &str, role: Role) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("bearer {token}").parse().unwrap());
        access.caller(&headers, role).map(|caller| caller.name)
    }

    #[test]
    fn a_token_allows_its_role_and_those_below_and_two_of_a_name_are_live() {
        let (access, dir) = access("token");
        let admin = std::fs::read_to_string(dir.path().join("admin.token")).unwrap();
        let ingest = std::fs::read_to_string(dir.path().join("ingest.token")).unwrap();
        for (token, allowed) in [
            ("read-old", &[Role::Read][..]),
            ("read-new", &[Role::Read]),
            ("write-token", &[Role::Read, Role::Write]),
            (admin.trim(), &[Role::Read, Role::Write, Role::Admin]),
            (ingest.trim(), &[Role::Ingest]),
            ("nothing", &[]),
        ] {
            for role in [Role::Ingest, Role::Read, Role::Write, Role::Admin] {
                assert_eq!(ask(&access, token, role).is_some(), allowed.contains(&role), "{token} {role:?}");
            }
        }
        assert_eq!(ask(&access, "write-token", Role::Read).unwrap(), "ops");
        assert_eq!(access.caller(&HeaderMap::new(), Role::Read), None);
    }

    #[test]
    fn where_reading_is_open_nothing_else_is() {
        let (access, _dir) = access("open");
        assert!(access.caller(&HeaderMap::new(), Role::Read).is_some());
        assert!(ask(&access, "wrong", Role::Read).is_some());
        for role in [Role::Ingest, Role::Write, Role::Admin] {
            assert_eq!(access.caller(&HeaderMap::new(), role), None);
        }
    }

    #[test]
    fn reading_needs_a_token_where_other_machines_reach_the_collector() {
        for (listen, open) in [("127.0.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false)] {
            let config = Config::parse("t", &format!("listen = '{listen}'")).unwrap();
            assert_eq!(reading_is_open(&config), open, "{listen}");
        }
    }
}
