//! Every decoder, the request side and a whole call give the same answer however bytes are cut: the fuzz
//! targets' own functions, on random bytes and on recorded bodies that are cut and damaged at random.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(unreachable_pub)] // a library there
#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use proptest::prelude::*;

/// Its name, and what it does with bytes.
type Check = (&'static str, fn(&[u8]));

const CHECKS: [Check; 8] = [
    ("sse", checks::sse),
    ("json", checks::json),
    ("eventstream", checks::eventstream),
    ("websocket", checks::websocket),
    ("inflate", checks::inflate),
    ("meter", checks::meter),
    ("request", checks::request),
    ("call", checks::call),
];

/// Bodies of the fixtures, requests and answers, of a size that many rounds can take.
static BODIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let fixture: serde_json::Value = serde_json::from_str(line).unwrap();
            let answer = fixture["response_body_base64"].as_str().unwrap();
            bodies.push(base64::engine::general_purpose::STANDARD.decode(answer).unwrap());
            bodies.extend(fixture["request_body"].as_str().map(|body| body.as_bytes().to_vec()));
        }
    }
    bodies.retain(|body| !body.is_empty() && body.len() < 4_096);
    bodies
});

#[test]
fn the_fixtures_have_bodies() {
    assert!(BODIES.len() > 50, "{}", BODIES.len());
}

proptest! {
    #[test]
    fn random_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (_, check) in CHECKS {
            check(&data);
        }
    }

    #[test]
    fn recorded_bodies_cut_and_damaged(
        at in any::<prop::sample::Index>(),
        choice in any::<u8>(),
        cut in any::<u8>(),
        end in any::<prop::sample::Index>(),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let body = at.get(&BODIES[..]);
        let mut data = vec![choice, cut];
        data.extend_from_slice(&body[..=end.index(body.len())]);
        if let Some((place, byte)) = damage {
            let place = 2 + place.index(data.len() - 2);
            data[place] = byte;
        }
        for (_, check) in CHECKS {
            check(&data);
        }
    }
}
