//! Texts of many kinds that every encoding's module counts: languages, code, base64, long lines.

use serde::Deserialize;

#[derive(Deserialize)]
struct Text {
    name: String,
    text: String,
    /// How often it stands behind itself.
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

/// Names and texts.
pub(crate) fn all() -> Vec<(String, String)> {
    let texts: Vec<Text> = serde_json::from_str(include_str!("texts.json")).unwrap();
    assert!(texts.len() >= 20, "the corpus is not whole");
    texts.into_iter().map(|one| (one.name, one.text.repeat(one.times))).collect()
}
