//! Who is signed in: sessions in memory, each for a token that is looked at again with every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::config::token::Token;

/// All sessions. They end with the process, after [`LONGEST`], and when nothing was asked for [`IDLE`].
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

/// A browser that showed a token.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The token, as its hash.
    pub(super) token: Token,
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
        let (cookie, csrf) = (Token::generate()?, Token::generate()?);
        let now = Instant::now();
        let session = Session { token, csrf, began: now, asked: now, said: None };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.holds(now));
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, one)| one.asked).map(|(id, _)| id.clone())
        {
            all.remove(&oldest);
        }
        all.insert(id(&cookie), session);
        Ok(cookie)
    }

    /// The session of a request.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<Session> {
        let id = id(&cookie(headers)?);
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = all.get_mut(&id)?;
        if !session.holds(now) {
            all.remove(&id);
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
        all.retain(|_, session| !session.token.is(token));
    }

    /// Notes what the next page of this request's session says.
    pub(super) fn say(&self, headers: &HeaderMap, said: Said) {
        self.on(headers, |session| session.said = Some(said));
    }

    /// Takes what is to be said.
    pub(super) fn said(&self, headers: &HeaderMap) -> Option<Said> {
        self.on(headers, |session| session.said.take()).flatten()
    }

    fn on<T>(&self, headers: &HeaderMap, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let id = id(&cookie(headers)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id).map(act)
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
        assert!(sessions.of(&headers(&cookie)).unwrap().token.is(&token));
        assert!(sessions.of(&headers("nothing")).is_none() && sessions.of(&HeaderMap::new()).is_none());
        sessions.end(&headers(&cookie));
        assert!(sessions.of(&headers(&cookie)).is_none() && sessions.of(&headers(&other)).is_some());
        sessions.end_all(&token);
        assert!(sessions.of(&headers(&other)).is_none());
    }

    #[test]
    fn what_is_to_be_said_is_said_once() {
        let sessions = Sessions::default();
        let headers = headers(&sessions.begin(Token::new("some-token")).unwrap());
        let said = Said { is_done: true, text: "done".into() };
        sessions.say(&headers, said.clone());
        assert_eq!((sessions.said(&headers), sessions.said(&headers)), (Some(said), None));
    }

    #[test]
    fn there_is_a_bound_of_sessions() {
        let sessions = Sessions::default();
        let first = sessions.begin(Token::new("one")).unwrap();
        for _ in 0..MOST {
            sessions.begin(Token::new("other")).unwrap();
        }
        assert!(sessions.of(&headers(&first)).is_none());
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
