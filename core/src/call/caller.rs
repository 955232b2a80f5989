//! Who calls, by sources that are more than the caller's word.

use crate::attribution::{Attribution, AttributionSource, distrust, set_trusted};
use crate::protocol::config::TrustedValue;

/// Puts what the gateway's own sources say over what headers say: of each field the first source that is
/// there. `value` is what a source says, where it says anything.
pub fn trust(
    trusted: &[TrustedValue],
    mut value: impl FnMut(&TrustedValue) -> Option<Vec<u8>>,
    (attribution, source): (&mut Attribution, &mut AttributionSource),
) {
    for one in trusted {
        distrust(attribution, one.field);
    }
    for one in trusted {
        if attribution.trusted.contains(one.field) {
            // The first that is there.
            continue;
        }
        if let Some(value) = value(one).filter(|value| !value.is_empty()) {
            set_trusted(attribution, one.field, &value);
            *source = stronger(*source, one.source);
        }
    }
}

/// The stronger of two sources.
fn stronger(one: AttributionSource, other: AttributionSource) -> AttributionSource {
    let strength = |source: AttributionSource| match source {
        AttributionSource::Verified => 4,
        AttributionSource::Key => 3,
        AttributionSource::Route => 2,
        AttributionSource::SelfDeclared => 1,
        AttributionSource::None => 0,
    };
    if strength(other) > strength(one) { other } else { one }
}
