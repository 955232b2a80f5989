//! What Envoy says of a stream, and what it is told to show of one.

use tollgate_core::call::Ending;
use tollgate_core::lean::digits::Digits;
use tollgate_core::protocol::config::AccessLogValue;
use tollgate_core::record::UsageRecord;

use crate::host;

/// Envoy's response code details, sorted (Envoy's documentation, "Response Code Details", and its source
/// `stream_info.h`, read 2026-11-23).
pub(crate) fn ending_of(details: &str, response_ended: bool) -> Ending {
    let is = |words: &[&str]| words.iter().any(|word| details.contains(word));
    if details == "via_upstream" && response_ended {
        Ending::Complete
    } else if is(&["downstream", "http2.remote_re", "http3.remote_re", "codec_error"]) {
        Ending::ClientAbort
    } else if is(&["connection_failure", "overflow", "no_healthy_upstream", "no_cluster"]) {
        Ending::NotSent
    } else if is(&["upstream", "timeout", "response_payload_too_large"]) || !response_ended {
        Ending::UpstreamAbort
    } else {
        Ending::NotSent
    }
}

/// Values for `%FILTER_STATE(wasm.tollgate.…:PLAIN)%`, those that the configuration names.
pub(crate) fn show_in_access_log(shown: &[AccessLogValue], record: &UsageRecord, json: &[u8]) {
    let digits = |count: Option<u64>| count.map(|count| Digits::of(count, 1));
    let input = digits(record.usage.input_tokens);
    let output = digits(record.usage.output_tokens);
    let cost = record.cost_usd.to_string();
    for value in shown {
        let text = match value {
            AccessLogValue::Record => json,
            AccessLogValue::Call => record.head.id.as_bytes(),
            AccessLogValue::Agent => record.head.attribution.agent.as_bytes(),
            AccessLogValue::Team => record.head.attribution.team.as_bytes(),
            AccessLogValue::Feature => record.head.attribution.feature.as_bytes(),
            AccessLogValue::Environment => record.head.attribution.environment.as_bytes(),
            AccessLogValue::Model => record.head.model().unwrap_or_default().as_bytes(),
            AccessLogValue::InputTokens => input.as_ref().map_or("", Digits::as_str).as_bytes(),
            AccessLogValue::OutputTokens => output.as_ref().map_or("", Digits::as_str).as_bytes(),
            AccessLogValue::Cost => cost.as_bytes(),
            AccessLogValue::CostStatus => record.cost_status.name().as_bytes(),
        };
        let _ = host::set_filter_state(value.filter_state(), text);
    }
}

/// An attribute that is a text, and not empty.
pub(crate) fn text_property(path: &[u8]) -> Option<String> {
    let value = host::property(path).ok().filter(|value| !value.is_empty())?;
    String::from_utf8(value).ok()
}

/// A whole number attribute: eight bytes, little endian.
pub(crate) fn number_property(path: &[u8]) -> Option<u32> {
    let value = host::property(path).ok()?;
    u32::try_from(crate::shared::layout::read_number(&value)?).ok()
}

#[cfg(test)]
mod tests;
