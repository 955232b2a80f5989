//! What a gateway notes of a call that is under way, so that something is left of it where its VM dies.
//!
//! An entry is the beginning of the record that the call will have: its time, eight bytes, little endian, then a
//! JSON object that is not closed yet.

use super::json::{addressed, admitted, flag, list, object, optional_number, quoted, word};
use super::{Note, Outcome};
use crate::attribution::{Attribution, AttributionSource};

/// What is known of a call when its request has passed.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// The call id.
    pub id: &'a str,
    /// When it was admitted, Unix milliseconds UTC.
    pub time_ms: u64,
    /// Name of the gateway.
    pub gateway: &'a str,
    /// Who makes it.
    pub attribution: &'a Attribution,
    /// How far that can be trusted.
    pub attribution_source: AttributionSource,
    /// Provider id.
    pub provider: &'a str,
    /// What is asked of it.
    pub operation: &'a str,
    /// The model asked for.
    pub request_model: Option<&'a str>,
    /// Tokens of its prompt, estimated; `None` where nothing is charged by them.
    pub input_estimate: Option<u64>,
}

impl Admitted<'_> {
    /// The journal entry.
    pub fn entry(&self) -> Vec<u8> {
        let mut out = String::with_capacity(ENTRY_BYTES);
        out.push('{');
        admitted(&mut out, self.id, self.time_ms, self.gateway, self.attribution, self.attribution_source);
        addressed(&mut out, self.provider, self.operation, self.request_model);
        if self.input_estimate.is_some() {
            object(&mut out, "usage", |out| optional_number(out, "input_tokens", self.input_estimate));
            flag(&mut out, "usage_estimated", true);
        }
        [&self.time_ms.to_le_bytes(), out.as_bytes()].concat()
    }
}

/// The record, as JSON, of a call whose VM died at some time before `now_ms`: sent as far as anyone knows. It is priced
/// where it arrives, as an estimate of its prompt; what was answered nobody knows. `None` where this is no entry.
pub fn recovered(entry: &[u8], now_ms: u64) -> Option<Vec<u8>> {
    let (time_ms, begun) = entry.split_first_chunk::<8>()?;
    let mut out = std::str::from_utf8(begun).ok().filter(|begun| begun.starts_with('{'))?.to_owned();
    word(&mut out, "outcome", Outcome::Error.name());
    optional_number(&mut out, "duration_ms", Some(now_ms.saturating_sub(u64::from_le_bytes(*time_ms))));
    list(&mut out, "notes", &[Note::Recovered], |out, note| quoted(out, note.name()));
    out.push('}');
    Some(out.into_bytes())
}

const ENTRY_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::charge::CostStatus;
    use crate::record::UsageRecord;
    use crate::usage::Usage;

    #[test]
    fn an_entry_becomes_a_record_with_an_estimate_of_its_prompt() {
        let attribution = Attribution { team: "a \"b\"".into(), ..Attribution::default() };
        let admitted = Admitted {
            id: "0190-a",
            time_ms: 1_000,
            gateway: "edge-1",
            attribution: &attribution,
            attribution_source: AttributionSource::SelfDeclared,
            provider: "openai",
            operation: "chat",
            request_model: Some("m"),
            input_estimate: Some(12),
        };
        let json = recovered(&admitted.entry(), 3_500).unwrap();
        let expected = UsageRecord {
            id: "0190-a".into(),
            time_ms: 1_000,
            gateway: "edge-1".into(),
            attribution: attribution.clone(),
            attribution_source: AttributionSource::SelfDeclared,
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some("m".into()),
            usage: Usage { input_tokens: Some(12), ..Usage::default() },
            usage_estimated: true,
            outcome: Outcome::Error,
            duration_ms: Some(2_500),
            cost_status: CostStatus::Unpriced,
            notes: vec![Note::Recovered],
            ..UsageRecord::default()
        };
        assert_eq!(serde_json::from_slice::<UsageRecord>(&json).unwrap(), expected);
        let unknown = Admitted { input_estimate: None, ..admitted };
        let record: UsageRecord =
            serde_json::from_slice(&recovered(&unknown.entry(), 3_500).unwrap()).unwrap();
        assert_eq!((record.usage, record.usage_estimated), (Usage::default(), false));
    }

    #[test]
    fn what_is_no_entry_is_no_record() {
        for bytes in [&b""[..], b"1234567", b"12345678", b"12345678[", b"12345678{\xff"] {
            assert_eq!(recovered(bytes, 1), None, "{bytes:?}");
        }
    }
}
