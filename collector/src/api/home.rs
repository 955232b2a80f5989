//! The page at `/`: where to go from here.

use axum::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};

/// `GET /`.
pub async fn home() -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(PAGE)).into_response()
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tollgate</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style>
<h1>Tollgate</h1>
<ul>
<li><a href="/api/v1/summary?by=team,agent&amp;since=7d">What was spent in seven days, by team and agent</a>
<li><a href="/api/v1/summary?by=day,model&amp;since=7d">by day and model</a>
<li><a href="/api/v1/records?limit=20">The newest records</a>
<li><a href="/metrics">Metrics</a>, <a href="/healthz">alive</a>, <a href="/readyz">ready</a>
</ul>
</html>
"#;
