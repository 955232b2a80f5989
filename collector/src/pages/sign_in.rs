//! Signing in with a token, and out.

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::forms::{self, Sent, fields, local, with_cookie};
use super::frame;
use super::session::{Session, set_cookie};
use super::visitor::{Site, Visitor, role_of};
use crate::config::token::Token;

/// What stands in place of a page for whoever has to sign in first.
///
/// Somebody whom the proxy names and the configuration does not is told so.
pub(super) fn needed(visitor: &Visitor, is_named: bool) -> Response {
    let to = super::query::address(&visitor.path, &visitor.pairs);
    let (status, problem) = match is_named {
        true => (StatusCode::FORBIDDEN, Some(NOT_ALLOWED)),
        false => (StatusCode::UNAUTHORIZED, None),
    };
    (status, Html(form(&to, problem).into_string())).into_response()
}

/// `GET /sign-in`.
pub(super) async fn ask(Query(pairs): Query<Vec<(String, String)>>) -> Response {
    let to = pairs.into_iter().find(|(name, _)| name == "to").map(|(_, to)| to);
    Html(form(local(to.as_deref().unwrap_or("/")), None).into_string()).into_response()
}

/// `POST /sign-in`.
pub(super) async fn sign_in(State(site): State<Site>, request: Request) -> Response {
    let headers = request.headers().clone();
    let refused =
        |status, to: &str, text: &str| (status, Html(form(to, Some(text)).into_string())).into_response();
    if !forms::is_own(&headers, &site) {
        return refused(StatusCode::FORBIDDEN, "/", "this form was sent from another site; sign in here");
    }
    let Ok(fields) = fields(request).await else {
        return refused(StatusCode::BAD_REQUEST, "/", "the form cannot be read");
    };
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim());
    let (to, token) = (local(field("to")), Token::new(field("token")));
    if role_of(&site.app, &token).is_none() {
        site.app.wrong_tokens.note(&site.app.metrics, "/sign-in").await;
        return refused(StatusCode::UNAUTHORIZED, to, "that is no token of this collector that may read");
    }
    // A session that was there before, maybe set by somebody else, does not become this one.
    site.sessions.end(&headers);
    match site.sessions.begin(token) {
        Ok(cookie) => {
            with_cookie(Redirect::to(to).into_response(), &set_cookie(&cookie, is_encrypted(&site)))
        }
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, to, &error.to_string()),
    }
}

/// `POST /sign-out`: ends this session, or with `all` each of its token.
pub(super) async fn sign_out(sent: Sent) -> Response {
    let sessions = &sent.visitor.site.sessions;
    match &sent.visitor.session {
        Some(Session { token: Some(token), .. }) if sent.field("all") == "true" => sessions.end_all(token),
        _ => sessions.end(&sent.headers),
    }
    let cookie = set_cookie("", is_encrypted(&sent.visitor.site));
    with_cookie(Redirect::to("/sign-in").into_response(), &cookie)
}

fn is_encrypted(site: &Site) -> bool {
    let config = site.app.config();
    config.tls.is_some() || config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
}

fn form(to: &str, problem: Option<&str>) -> Markup {
    frame::bare(
        "Sign in",
        &html! {
            form.card.stack method="post" action="/sign-in" {
                h2 { "Sign in" }
                @if let Some(problem) = problem { p.message.problem role="alert" { (problem) } }
                label for="token" { "Token" }
                input #token name="token" type="password" autocomplete="current-password" required autofocus;
                input type="hidden" name="to" value=(to);
                button type="submit" { "Sign in" }
                p.hint {
                    "One of " code { "[[access.tokens]]" } " of tollgate.toml, or the one in " code { "admin.token" }
                    " of the data directory. " code { "tollgate token" } " makes more. The browser keeps a "
                    "session for twelve hours, not the token."
                }
            }
        },
    )
}

const NOT_ALLOWED: &str = "you are signed in, but nothing here is for you: whoever runs this collector can name you, or a \
                           group of yours, in `access.proxy`";
