//! Forms: only from this collector's own pages, and only with what the session alone knows.

use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::ask::Refused;
use super::session::{Said, Session};
use super::visitor::{Site, Visitor};
use crate::config::token::Token;

/// A form that was sent from a page of this collector, by whoever is signed in there.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) headers: HeaderMap,
    fields: Vec<(String, String)>,
}

impl Sent {
    /// The value of a field; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// Goes to a page that says what became of it.
    pub(super) fn then(&self, to: &str, done: Result<String, Refused>) -> Response {
        let said = match done {
            Ok(text) => Said { is_done: true, text },
            Err(refused) => Said { is_done: false, text: refused.message },
        };
        if let Some(session) = &self.visitor.session {
            self.visitor.site.sessions.say(session, said);
        }
        Redirect::to(to).into_response()
    }
}

impl FromRequest<Site> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Site) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, site).await?;
        let headers = parts.headers.clone();
        let refuse = |status, text: &str| visitor.show("Not done", Err(Refused::new(status, text)));
        if !is_own(&headers, site) {
            return Err(refuse(StatusCode::FORBIDDEN, FOREIGN));
        }
        let fields = fields(Request::from_parts(parts, body)).await;
        let Ok(fields) = fields else {
            return Err(refuse(StatusCode::BAD_REQUEST, "the form cannot be read"));
        };
        let Some(session) = &visitor.session else {
            return Err(refuse(StatusCode::UNAUTHORIZED, "sign in before you change something"));
        };
        let sent = fields.iter().find(|(name, _)| name == CSRF).map_or("", |(_, value)| value.as_str());
        if !Token::new(sent).is(&Token::new(&session.csrf)) {
            return Err(refuse(StatusCode::FORBIDDEN, FOREIGN));
        }
        Ok(Self { visitor, headers, fields })
    }
}

/// The fields of a form.
pub(super) async fn fields(request: Request) -> Result<Vec<(String, String)>, StatusCode> {
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    form.map(|Form(fields)| fields).map_err(|_| StatusCode::BAD_REQUEST)
}

/// Whether a request that changes something comes from a page of this collector. Browsers say where they come
/// from; a program that does not say so has no cookie that a page could have taken along. Behind a proxy the
/// collector's own address is `api.public_url`.
pub(super) fn is_own(headers: &HeaderMap, site: &Site) -> bool {
    is_from(headers, site.app.config().public_url.as_deref())
}

fn is_from(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    if text(&FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text(&ORIGIN) else { return true };
    let public = public_url.and_then(|url| url.parse::<Uri>().ok()).filter(|url| {
        let from = format!("{}://{}", url.scheme_str().unwrap_or_default(), authority(url));
        origin.eq_ignore_ascii_case(&from)
    });
    let host = text(&HOST).unwrap_or_default();
    public.is_some() || origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(&host))
}

/// Host and port, without the port that a scheme has anyway, as browsers write an origin.
fn authority(url: &Uri) -> &str {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let usual = if url.scheme_str() == Some("https") { ":443" } else { ":80" };
    authority.strip_suffix(usual).unwrap_or(authority)
}

/// The hidden field that shows that a form is of this session.
pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name=(CSRF) value=(session.csrf); }
}

/// The same for whoever looks at a page; nothing for those who are not signed in.
pub(super) fn csrf_of(visitor: &Visitor) -> Markup {
    visitor.session.as_ref().map_or_else(Markup::default, csrf)
}

/// Sets a cookie on an answer.
pub(super) fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// A path of this collector to go to; the overview for anything else.
pub(super) fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local { path } else { "/" }
}

const CSRF: &str = "csrf";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FOREIGN: &str =
    "this form was not sent from a page of your session; open the page again and send it from there";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_collector_send_forms() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            HeaderMap::from_iter(
                pairs
                    .iter()
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
            )
        };
        for (pairs, expected) in [
            (&[("host", "localhost:1")][..], true),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1")], true),
            (&[("host", "localhost:1"), ("origin", "http://localhost:2")], false),
            (&[("host", "localhost:1"), ("origin", "null")], false),
            (&[("host", "localhost:1"), ("origin", "http://evil.example")], false),
            (&[("host", "localhost:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "localhost:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "localhost:1"), ("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(is_from(&headers(pairs), None), expected, "{pairs:?}");
        }
        for (public, origin, expected) in [
            ("https://Tollgate.example:443/", "https://tollgate.example", true),
            ("https://tollgate.example", "http://tollgate.example", false),
            ("https://tollgate.example", "https://tollgate.example:8443", false),
            ("https://tollgate.example", "https://evil.example", false),
        ] {
            let headers = headers(&[("host", "127.0.0.1:8088"), ("origin", origin)]);
            assert_eq!(is_from(&headers, Some(public)), expected, "{public} {origin}");
        }
    }

    #[test]
    fn only_own_paths_are_gone_to() {
        for path in
            ["//evil.example", "https://evil.example", "", "/\\evil.example", "/a\nb", "javascript:alert(1)"]
        {
            assert_eq!(local(path), "/", "{path}");
        }
        assert_eq!(local("/budgets/a?x=%20"), "/budgets/a?x=%20");
    }
}
