//! Under which names a collector on loopback is asked: a page in a browser may name any host for an address
//! of this machine (DNS rebinding), and reading needs no token there.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::config::Config;
use crate::work::app::App;

/// The names that a request may ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Names {
    /// Any: where other machines reach the collector, reading needs a token.
    Any,
    /// Those of this machine's loopback, and these.
    Loopback(Vec<String>),
}

impl Names {
    /// As this configuration has them.
    pub(super) fn of(config: &Config) -> Self {
        if !config.listen.ip().is_loopback() {
            return Self::Any;
        }
        let public = config.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let public = public.as_ref().and_then(Uri::host).map(str::to_ascii_lowercase);
        Self::Loopback(config.hosts.iter().map(|name| name.to_ascii_lowercase()).chain(public).collect())
    }

    /// Whether a request for this host, maybe with a port, is answered.
    pub(super) fn has(&self, host: &str) -> bool {
        let Self::Loopback(names) = self else { return true };
        let Some(name) = without_port(host) else { return false };
        let name = name.to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        name == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || names.contains(&name)
    }
}

/// Refuses a request for a host that is not this collector. Sync shows a token, which a page does not have,
/// and names Envoy's cluster; whether the collector lives is no secret.
pub(super) async fn check_name(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == tollgate_core::protocol::sync::PATH || path == "/healthz" || path == "/readyz" {
        return next.run(request).await;
    }
    let names = Names::of(&app.config());
    let mut asked: Vec<&str> = request.uri().authority().map(|name| name.as_str()).into_iter().collect();
    for value in request.headers().get_all(HOST) {
        asked.push(value.to_str().unwrap_or_default());
    }
    if asked.is_empty() {
        asked.push("");
    }
    match asked.iter().find(|host| !names.has(host)) {
        Some(host) => ApiError::other_host(host).into_response(),
        None => next.run(request).await,
    }
}

/// `name:port` or `[address]:port` without its port.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => host.split_at(at),
        _ => (host, ""),
    };
    let digits = port.strip_prefix(':').unwrap_or_default();
    (digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_on_loopback_answers_to_its_own_names_only() {
        let text =
            "listen = '127.0.0.1:1'\n[api]\npublic_url = 'https://Tollgate.example/x'\nhosts = ['box.lan']";
        let names = Names::of(&Config::parse("t", text).unwrap());
        for (host, answered) in [
            ("localhost", true),
            ("LOCALHOST:8088", true),
            ("127.0.0.1:8088", true),
            ("127.0.0.2", true),
            ("[::1]:8088", true),
            ("[::1]", true),
            ("tollgate.example", true),
            ("tollgate.example:443", true),
            ("BOX.lan:1", true),
            ("", false),
            ("evil.example:8088", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evil.example:127.0.0.1", false),
            ("localhost:80:80", false),
            ("localhost@evil.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(names.has(host), answered, "{host}");
        }
        let open = Config::parse("t", "listen = '0.0.0.0:1'").unwrap();
        assert!(Names::of(&open).has("anything"));
    }
}
