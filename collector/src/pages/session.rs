//! Who is signed in: sessions in memory, each for a token or a person whose rights are looked at again with
//! every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::config::token::Token;

/// All sessions. They end with the process, after [`LONGEST`], and when nothing was asked for [`IDLE`].
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

/// A browser that showed a token, or a person whom a proxy signed in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: String,
    /// The token, as its hash; a person shows with each request who they are.
    pub(super) token: Option<Token>,
    /// What a form of this session has, and no other site can know.
    pub(super) csrf: String,
    began: Instant,
    asked: Instant,
    /// What the next page is to say.
    said: Option<Said>,
}

/// What became of a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Said {
    /// Whether it was made.
    pub(super) is_done: bool,
    /// In words.
    pub(super) text: String,
}

impl Sessions {
    /// Begins one; the value of its cookie.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn begin(&self, token: Token) -> anyhow::Result<String> {
        let cookie = Token::generate()?;
        self.put(id(&cookie), Some(token))?;
        Ok(cookie)
    }

    /// The session of a person whom a proxy names; begun with their first request. No cookie leads to it.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn of_person(&self, name: &str) -> anyhow::Result<Session> {
        // Ids of cookies are hashes, so no cookie has this one.
        let id = format!("user:{name}");
        self.find(&id).map_or_else(|| self.put(id, None), Ok)
    }

    fn put(&self, id: String, token: Option<Token>) -> anyhow::Result<Session> {
        let (csrf, now) = (Token::generate()?, Instant::now());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.holds(now));
        // Whoever signs in again and again pushes out own sessions, and nobody else's.
        let is_own = |one: &Session| {
            token.as_ref().is_some_and(|token| one.token.as_ref().is_some_and(|own| own.is(token)))
        };
        let is_full = all.values().filter(|one| is_own(one)).count() >= MOST_OF_A_TOKEN;
        if all.len() >= MOST || is_full {
            let goes = all.iter().filter(|(_, one)| !is_full || is_own(one));
            if let Some(oldest) = goes.min_by_key(|(_, one)| one.asked).map(|(id, _)| id.clone()) {
                all.remove(&oldest);
            }
        }
        let session = Session { id: id.clone(), token, csrf, began: now, asked: now, said: None };
        all.insert(id, session.clone());
        Ok(session)
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Session> {
        self.find(&id(&cookie(headers)?))
    }

    fn find(&self, id: &str) -> Option<Session> {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = all.get_mut(id)?;
        if !session.holds(now) {
            all.remove(id);
            return None;
        }
        session.asked = now;
        Some(session.clone())
    }

    /// Ends the session of a request.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id(&cookie));
        }
    }

    /// Ends all sessions of a token.
    pub(super) fn end_all(&self, token: &Token) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| !session.token.as_ref().is_some_and(|own| own.is(token)));
    }

    /// Notes what the next page of this session says.
    pub(super) fn say(&self, session: &Session, said: Said) {
        self.on(session, |session| session.said = Some(said));
    }

    /// Takes what is to be said.
    pub(super) fn said(&self, session: &Session) -> Option<Said> {
        self.on(session, |session| session.said.take()).flatten()
    }

    fn on<T>(&self, session: &Session, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&session.id).map(act)
    }
}

impl Session {
    fn holds(&self, now: Instant) -> bool {
        now.duration_since(self.began) < LONGEST && now.duration_since(self.asked) < IDLE
    }
}

/// Shared by all requests.
pub(super) type Shared = Arc<Sessions>;

/// What a session is known by here: not the cookie itself, so that nothing in memory opens it.
fn id(cookie: &str) -> String {
    Token::new(cookie).sha256()
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME || *name == SECURE_NAME).map(|(_, value)| value.to_owned())
}

/// The header that sets the cookie; an empty value takes it away.
pub(super) fn set_cookie(value: &str, is_encrypted: bool) -> String {
    let (name, secure) = if is_encrypted { (SECURE_NAME, "; Secure") } else { (NAME, "") };
    let age = if value.is_empty() { 0 } else { LONGEST.as_secs() };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

/// Name of the cookie.
const NAME: &str = "tollgate_session";
/// The same under TLS: a browser takes a name with this prefix only with `Secure`, and from this host alone.
const SECURE_NAME: &str = "__Host-tollgate_session";
/// A session ends so long after it began.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// And so long after its last request.
const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// Most sessions at a time; one more ends that which was silent longest.
const MOST: usize = 1_000;
/// Most of one token.
const MOST_OF_A_TOKEN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, format!("a=b; {NAME}={cookie}").parse().unwrap())])
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_ends() {
        let (sessions, token) = (Sessions::default(), Token::new("some-token"));
        let cookie = sessions.begin(token.clone()).unwrap();
        let other = sessions.begin(token.clone()).unwrap();
        assert!(sessions.of(&headers(&cookie)).unwrap().token.unwrap().is(&token));
        assert!(sessions.of(&headers("nothing")).is_none() && sessions.of(&HeaderMap::new()).is_none());
        sessions.end(&headers(&cookie));
        assert!(sessions.of(&headers(&cookie)).is_none() && sessions.of(&headers(&other)).is_some());
        sessions.end_all(&token);
        assert!(sessions.of(&headers(&other)).is_none());
    }

    #[test]
    fn what_is_to_be_said_is_said_once() {
        let sessions = Sessions::default();
        let cookie = sessions.begin(Token::new("some-token")).unwrap();
        let session = sessions.of(&headers(&cookie)).unwrap();
        let said = Said { is_done: true, text: "done".into() };
        sessions.say(&session, said.clone());
        assert_eq!((sessions.said(&session), sessions.said(&session)), (Some(said), None));
    }

    #[test]
    fn a_person_has_one_session_and_no_cookie_leads_to_it() {
        let sessions = Sessions::default();
        let csrf = |name: &str| sessions.of_person(name).unwrap().csrf;
        assert!(csrf("ada") == csrf("ada") && csrf("ada") != csrf("bo"));
        assert!(sessions.of(&headers("user:ada")).is_none() && sessions.of(&headers("ada")).is_none());
        let first = csrf("ada");
        sessions.end_all(&Token::new("ada"));
        assert_eq!(csrf("ada"), first);
    }

    #[test]
    fn there_is_a_bound_of_sessions() {
        let sessions = Sessions::default();
        let first = sessions.begin(Token::new("one")).unwrap();
        let others = sessions.begin(Token::new("other")).unwrap();
        for _ in 0..MOST_OF_A_TOKEN {
            sessions.begin(Token::new("other")).unwrap();
        }
        let is_there = |cookie: &str| sessions.of(&headers(cookie)).is_some();
        assert!(is_there(&first) && !is_there(&others));
        assert_eq!(sessions.0.lock().unwrap().len(), MOST_OF_A_TOKEN + 1);
        for token in 0..MOST {
            sessions.begin(Token::new(token.to_string())).unwrap();
        }
        assert!(!is_there(&first));
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
