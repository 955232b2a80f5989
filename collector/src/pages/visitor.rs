//! Who looks at a page, and at what.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use maud::Markup;

use super::ask::{Api, Refused};
use super::frame;
use super::session::{Said, Session, Shared};
use super::sign_in;
use crate::config::token::{self, Token};
use crate::model::role::Role;
use crate::work::access::{Named, Presented};
use crate::work::app::App;

/// What all pages share.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) app: Arc<App>,
    /// The API, with its guards.
    pub(super) api: Router,
    pub(super) sessions: Shared,
}

/// Who asks for a page, with what the address says.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) site: Site,
    pub(super) api: Api,
    /// The API's path of the page, such as `/teams/support`.
    pub(super) path: String,
    /// Parameters of the address, in their order.
    pub(super) pairs: Vec<(String, String)>,
    /// How the browser names this collector, such as `localhost:8088`.
    pub(super) host: String,
    /// Name and role of whoever is signed in.
    pub(super) who: Option<(String, Role)>,
    pub(super) session: Option<Session>,
    /// It asks for a page that is shown already, to renew its figures.
    renews: bool,
}

/// Name and highest role of a token that is for people.
pub(super) fn role_of(app: &App, token: &Token) -> Option<(String, Role)> {
    let roles = [Role::Admin, Role::Write, Role::Read];
    roles.into_iter().find_map(|role| {
        // Where reading is open, everyone may read: that is no token of anybody.
        let caller = app.access.holder(Some(token), role)?;
        (role != Role::Read || app.access.holder(None, role).is_none() || caller.name != "anyone")
            .then_some((caller.name, role))
    })
}

/// Who asks the API by a link of a page: whoever has a session, or is named by the proxy. A token in the
/// request comes first.
pub(super) fn shown(app: &App, sessions: &Shared, headers: &HeaderMap) -> Option<Presented> {
    let has_token = headers.contains_key(AUTHORIZATION);
    let token = sessions.of(headers).and_then(|session| session.token);
    if let Some(token) = token.filter(|token| !has_token && role_of(app, token).is_some()) {
        return Some(Presented::Token(token));
    }
    match app.access.named(headers) {
        // The proxy may send a token of its own along.
        Named::Somebody(person) if !has_token || app.access.is_wrong(headers) => {
            Some(Presented::Person(person))
        }
        _ => None,
    }
}

/// What a request says of who asks.
#[derive(Debug, Default)]
struct Asks {
    shown: Option<Presented>,
    who: Option<(String, Role)>,
    session: Option<Session>,
    /// It has a proxy's secret that is wrong.
    is_forged: bool,
}

impl Asks {
    /// By a session, by the proxy's word, or by a token.
    fn of(site: &Site, headers: &HeaderMap) -> anyhow::Result<Self> {
        let by_token = |token: Token| {
            let who = role_of(&site.app, &token);
            Self { shown: Some(Presented::Token(token)), who, ..Self::default() }
        };
        // A session whose token was taken away is none, and hides nobody whom the proxy names.
        if let Some(session) = site.sessions.of(headers)
            && let Some(asks) = session.token.clone().map(by_token).filter(|asks| asks.who.is_some())
        {
            return Ok(Self { session: Some(session), ..asks });
        }
        let named = site.app.access.named(headers);
        if let Named::Somebody(person) = named {
            let who = person.role.map(|role| (person.name.clone(), role));
            let session = who.as_ref().map(|_| site.sessions.of_person(&person.name)).transpose()?;
            return Ok(Self { shown: Some(Presented::Person(person)), who, session, is_forged: false });
        }
        let token = headers.get(AUTHORIZATION).and_then(|value| token::of_header(value.as_bytes()));
        let asks = token.map_or_else(Self::default, |token| by_token(Token::new(token)));
        Ok(Self { is_forged: named == Named::Forged, ..asks })
    }
}

impl Visitor {
    /// Whether what asks for this role is shown.
    pub(super) fn may(&self, role: Role) -> bool {
        self.who.as_ref().is_some_and(|(_, own)| own.allows(role))
    }

    /// The value of a parameter.
    pub(super) fn pair(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where the collector is asked from outside, such as `http://localhost:8088`.
    pub(super) fn base(&self) -> String {
        let config = self.site.app.config();
        match &config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", if config.tls.is_some() { "https" } else { "http" }, self.host),
        }
    }

    /// What became of a change, for the page that its form leads to: not for one that renews figures.
    pub(super) fn said(&self) -> Option<Said> {
        let session = self.session.as_ref().filter(|_| !self.renews)?;
        self.site.sessions.said(session)
    }

    /// The page with this body, or with what went wrong.
    pub(super) fn show(&self, title: &str, body: Result<Markup, Refused>) -> Response {
        frame::page(self, title, body)
    }
}

impl FromRequestParts<Site> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        let read = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|Pairs(pairs)| pairs);
        let (pairs, unread) = match read {
            Ok(pairs) => (pairs, None),
            Err(error) => (Vec::new(), Some(error.body_text())),
        };
        let asks = Asks::of(site, &parts.headers).unwrap_or_default();
        let is_named = matches!(asks.shown, Some(Presented::Person(_)));
        let may_read = site.app.access.presented(asks.shown.as_ref(), Role::Read).is_some();
        let visitor = Self {
            api: Api::new(site.api.clone(), asks.shown),
            site: site.clone(),
            path: parts.uri.path().to_owned(),
            pairs,
            host: host(&parts.headers),
            renews: parts.headers.contains_key(RENEWS),
            session: asks.session,
            who: asks.who,
        };
        if !may_read {
            if asks.is_forged || (!is_named && site.app.access.is_wrong(&parts.headers)) {
                site.app.wrong_tokens.note(&site.app.metrics, parts.uri.path()).await;
            }
            return Err(sign_in::needed(&visitor, is_named));
        }
        match unread {
            None => Ok(visitor),
            Some(text) => Err(visitor.show("Not found", Err(Refused::new(StatusCode::BAD_REQUEST, text)))),
        }
    }
}

fn host(headers: &HeaderMap) -> String {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned()
}

/// The header by which the script asks for a page that is shown already.
const RENEWS: HeaderName = HeaderName::from_static("x-tollgate-renews");
