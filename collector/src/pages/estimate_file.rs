//! The page of estimates as one file, for people without a collector: everything is in it, and it asks
//! nobody.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use maud::{DOCTYPE, PreEscaped, html};
use ring::digest::{SHA256, digest};
use tollgate_core::plan::prices;
use tollgate_core::price::PriceBook;

use super::assets;
use super::views::estimate::form;
use crate::model::clock::rfc3339;

/// There is no estimator in this binary.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this `tollgate` was built without the estimator of pages; `cargo xtask estimator` and then a build of the \
     collector add it"
)]
pub struct BuiltWithout;

/// The page, with the prices of `book` that have not ended at `now_ms`; with the vocabularies of encodings
/// where exact counts are wanted.
///
/// # Errors
/// The binary has no estimator.
// Long: the parts of the file, the policy that names their hashes, and the page around them.
pub fn file(book: &PriceBook, now_ms: u64, with_encodings: bool) -> Result<String, BuiltWithout> {
    let names: &[&str] = match with_encodings {
        true => &["estimator", "o200k_base", "cl100k_base"],
        false => &["estimator"],
    };
    let mut scripts = Vec::new();
    let mut parts = Vec::new();
    for name in names {
        scripts.push(unpacked(assets::packed(&format!("{name}.js.gz")).ok_or(BuiltWithout)?));
        let module = assets::packed(&format!("{name}.wasm.gz")).ok_or(BuiltWithout)?;
        parts.push((*name, STANDARD.encode(module), readable(module.len())));
    }
    scripts.push(assets::ESTIMATE_TEXT.to_owned());
    let json = prices::write(book, now_ms).unwrap_or_default();
    let prices = STANDARD.encode(packed(json.as_bytes()));
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())));
    let hashes: Vec<String> = scripts.iter().map(|script| hash(script)).collect();
    let policy = format!(
        "default-src 'none'; script-src 'wasm-unsafe-eval' {}; style-src {}; img-src data:; base-uri 'none'; \
         form-action 'none'",
        hashes.join(" "),
        hash(assets::STYLE_TEXT)
    );
    let size = |name: &str| parts.iter().find(|(known, ..)| *known == name).map(|(_, _, size)| size);
    let day = rfc3339(now_ms).unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Estimate · Tollgate" }
                link rel="icon" href="data:,";
                style { (PreEscaped(assets::STYLE_TEXT)) }
            }
            body.bare.wide-page {
                main #main {
                    header.title { h1 { "Estimate" } p.asked { "what an agent will cost, before it is launched" } }
                    (form(&|_| None))
                    p.note #estimator-state role="status" data-ready=(if with_encodings { LIMITS } else { ESTIMATED })
                        data-size-o200k_base=[size("o200k_base")] data-size-cl100k_base=[size("cl100k_base")] {}
                    div #answer tabindex="-1" aria-live="polite" {}
                    footer.page {
                        "Prices that come with tollgate " (env!("CARGO_PKG_VERSION")) ", as of " (day.get(..10).unwrap_or_default())
                        ". This file asks nobody for anything."
                        @if !with_encodings {
                            " It has no vocabulary: all tokens are estimated. " code { "tollgate estimate --page FILE --with-encodings" } " writes one that counts exactly."
                        }
                    }
                }
                @for (name, module, _) in &parts { script type="text/plain" id={ "packed-" (name) } { (PreEscaped(module)) } }
                script type="text/plain" id="packed-prices" { (PreEscaped(&prices)) }
                @for script in &scripts { script { (PreEscaped(script)) } }
            }
        }
    };
    Ok(page.into_string())
}

/// The book as JSON, at prices that have not ended; none where it is more than a page takes.
pub(super) fn current_prices(book: &PriceBook, now_ms: u64) -> Option<String> {
    let json = prices::write(book, now_ms).ok()?;
    (json.len() <= PRICES_BYTES_MAX).then_some(json)
}

/// A number of bytes as people read it.
pub(super) fn readable(bytes: usize) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes all that is written to it.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    let _ = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text);
    text
}

/// What the page says once it can count.
pub(super) const LIMITS: &str = "A prompt is counted in this browser and sent nowhere. Tokens are estimated until an encoding is loaded, and always for models whose encoding is not public.";
/// The same in a file without vocabularies.
const ESTIMATED: &str = "A prompt is counted in this browser and sent nowhere. All tokens are estimated.";
/// With the estimator's module, less than a page may load.
const PRICES_BYTES_MAX: usize = 900_000;
