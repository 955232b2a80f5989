//! Who looks at a page, and at what.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::Markup;

use super::ask::{Api, Refused};
use super::frame;
use super::session::{Said, Session, Shared};
use super::sign_in;
use crate::config::token::{self, Token};
use crate::model::role::Role;
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
    pub(super) said: Option<Said>,
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
        let session = site.sessions.of(&parts.headers);
        let token = match &session {
            Some(session) => Some(session.token.clone()),
            None => parts
                .headers
                .get(AUTHORIZATION)
                .and_then(|value| token::of_header(value.as_bytes()))
                .map(Token::new),
        };
        let who = token.as_ref().and_then(|token| role_of(&site.app, token));
        let visitor = Self {
            api: Api::new(site.api.clone(), token.clone()),
            site: site.clone(),
            path: parts.uri.path().to_owned(),
            pairs,
            host: host(&parts.headers),
            said: who.as_ref().and_then(|_| site.sessions.said(&parts.headers)),
            session: session.filter(|_| who.is_some()),
            who,
        };
        if site.app.access.holder(token.as_ref(), Role::Read).is_none() {
            if site.app.access.is_wrong(&parts.headers) {
                site.app.wrong_tokens.note(&site.app.metrics, parts.uri.path()).await;
            }
            return Err(sign_in::needed(&visitor));
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
