//! The stylesheet, the scripts, the icon and the modules of estimates: in the binary, under names that change
//! with what they hold.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

/// A file that browsers may keep for ever.
struct Asset {
    name: String,
    body: &'static [u8],
    kind: &'static str,
    /// Whether it is gzip already.
    is_packed: bool,
}

impl Asset {
    fn new(stem: &str, ending: &str, body: &'static str, kind: &'static str) -> Self {
        let name = named(stem, ending, body.as_bytes());
        Self { name, body: body.as_bytes(), kind, is_packed: false }
    }
}

fn named(stem: &str, ending: &str, body: &[u8]) -> String {
    let hash = digest(&SHA256, body);
    let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{stem}.{hash}.{ending}")
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", STYLE_TEXT, "text/css; charset=utf-8"));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", include_str!("assets/script.js"), JS));
static ESTIMATE: LazyLock<Asset> = LazyLock::new(|| Asset::new("estimate", "js", ESTIMATE_TEXT, JS));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", include_str!("assets/icon.svg"), "image/svg+xml"));
/// Those of [`MODULES`].
static PACKED: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |(name, body): &(&str, &'static [u8])| {
        let (stem, ending) = name.strip_suffix(".gz")?.split_once('.')?;
        let kind = if ending == "js" { JS } else { "application/wasm" };
        Some(Asset { name: named(stem, ending, body), body, kind, is_packed: true })
    };
    MODULES.iter().filter_map(asset).collect()
});

/// What `cargo xtask estimator` had built when the collector was: `NAME.js.gz` binds `NAME.wasm.gz` to a
/// page. Nothing where it had built nothing.
pub(super) static MODULES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/estimator.rs"));
/// The stylesheet.
pub(super) const STYLE_TEXT: &str = include_str!("assets/style.css");
/// The script of the page of estimates.
pub(super) const ESTIMATE_TEXT: &str = include_str!("assets/estimate.js");

/// Address of the stylesheet.
pub(super) fn style() -> String {
    address(&STYLE)
}

/// Address of the script.
pub(super) fn script() -> String {
    address(&SCRIPT)
}

/// Address of the script of the page of estimates.
pub(super) fn estimate() -> String {
    address(&ESTIMATE)
}

/// Address of the icon.
pub(super) fn icon() -> String {
    address(&ICON)
}

/// Addresses of a module: of its script and of itself. None where it was not built.
pub(super) fn module(name: &str) -> Option<[String; 2]> {
    let of = |ending: &str| {
        let is_it = |asset: &&Asset| {
            asset.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(ending))
        };
        PACKED.iter().find(is_it).map(address)
    };
    Some([of(".js")?, of(".wasm")?])
}

/// A file of a module, such as `estimator.wasm.gz`; none where it was not built.
pub(super) fn packed(name: &str) -> Option<&'static [u8]> {
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, body)| *body)
}

fn address(asset: &Asset) -> String {
    format!("{FOLDER}/{}", asset.name)
}

/// `GET /assets/{name}`.
pub(super) async fn one(Path(name): Path<String>) -> Response {
    let known = [&*STYLE, &*SCRIPT, &*ESTIMATE, &*ICON].into_iter().chain(&*PACKED);
    let Some(asset) = known.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, FOR_EVER)];
    match asset.is_packed {
        true => (headers, [(CONTENT_ENCODING, "gzip")], asset.body).into_response(),
        false => (headers, asset.body).into_response(),
    }
}

const JS: &str = "text/javascript; charset=utf-8";
/// Where they are.
pub(super) const FOLDER: &str = "/assets";
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";
