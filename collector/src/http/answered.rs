//! Answers that are not sent twice, and sent small.
//!
//! Every good answer of a reading route has an `ETag`, a hash of what it says. Whoever asks again with that
//! in `If-None-Match` gets 304 and no body. A client that takes gzip gets longer answers compressed; what is
//! compressed already is unpacked for one that does not.

use std::io::{Read as _, Write as _};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};

use crate::api::error::ApiError;

/// Gives an answer its tag, and leaves out what the client has.
pub async fn answered(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let takes_gzip = takes_gzip(request.headers());
    let known: Vec<String> = values(request.headers(), &IF_NONE_MATCH).map(str::to_owned).collect();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It stands in memory already: no answer of these routes is made while it is sent.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return ApiError::unavailable("the answer broke off").into_response();
    };
    let was_packed = parts.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let is_packed = takes_gzip && (was_packed || bytes.len() >= PACKED_BYTES_MIN);
    let tag = tag(&bytes, is_packed);
    for (name, value) in [(VARY, VARIES), (CACHE_CONTROL, ASK_AGAIN)] {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, tag);
    }
    if is_known(&known, &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    let body = match (was_packed, is_packed) {
        (false, true) => packed(bytes.clone()).await,
        (true, false) => {
            parts.headers.remove(CONTENT_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
            let Some(body) = unpacked(bytes).await else {
                return ApiError::unavailable("the answer cannot be unpacked").into_response();
            };
            return Response::from_parts(parts, Body::from(body));
        }
        _ => None,
    };
    let body = match body {
        Some(packed) => {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(packed.len()));
            Body::from(packed)
        }
        None => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

/// A strong tag: another body, or another encoding of it, has another.
fn tag(body: &[u8], is_packed: bool) -> String {
    let hash: String =
        digest(&SHA256, body).as_ref().iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let ending = if is_packed { "-gzip" } else { "" };
    format!("\"{hash}{ending}\"")
}

fn is_known(known: &[String], tag: &str) -> bool {
    known.iter().any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    values(headers, &ACCEPT_ENCODING).any(|one| {
        let (coding, quality) = one.split_once(';').unwrap_or((one, ""));
        let quality: String = quality.split_whitespace().collect();
        let is_refused = quality.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        coding.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The values of a header that is a list.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Compressed beside the threads that answer.
async fn packed(bytes: Bytes) -> Option<Vec<u8>> {
    let pack = move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
        encoder.write_all(&bytes).and_then(|()| encoder.finish())
    };
    tokio::task::spawn_blocking(pack).await.ok()?.ok()
}

async fn unpacked(bytes: Bytes) -> Option<Vec<u8>> {
    let unpack = move || {
        let mut body = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut body).ok()?;
        Some(body)
    };
    tokio::task::spawn_blocking(unpack).await.ok()?
}

/// Shorter answers are not worth compressing.
const PACKED_BYTES_MIN: usize = 1_024;
/// Bytes of the hash that a tag has.
const TAG_BYTES: usize = 16;
/// What an answer depends on besides its address.
const VARIES: &str = "accept, accept-encoding, authorization";
/// It may be kept by who asked, and has to be asked for again.
const ASK_AGAIN: &str = "private, no-cache";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (accepts, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(accepts).unwrap())]);
            assert_eq!(takes_gzip(&headers), expected, "{accepts}");
        }
    }

    #[test]
    fn a_tag_is_of_what_is_said_and_how_it_is_encoded() {
        let one = tag(b"{}", false);
        assert_eq!(one, tag(b"{}", false));
        assert!(one != tag(b"{ }", false) && one != tag(b"{}", true));
        assert!(is_known(std::slice::from_ref(&one), &one) && is_known(&[format!("W/{one}")], &one));
        assert!(is_known(&["*".to_owned()], &one) && !is_known(&["\"x\"".to_owned()], &one));
    }
}
