//! What a gateway notes of a call that is under way, so that something is left of it where its VM dies.
//!
//! An entry is the beginning of the record that the call will have: its time, eight bytes, little endian,
//! then a JSON object that is not closed yet.

use super::json::{flag, list, money, object, optional_number, quoted, word};
use super::{Head, Note, Outcome, UsageRecord};
use crate::money::Picodollars;
use crate::usage::Usage;

/// What is known of a call when its request has passed.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// The head of its record.
    pub head: &'a Head,
    /// Tokens of its prompt, estimated; `None` where nothing is charged by them.
    pub input_estimate: Option<u64>,
}

impl Admitted<'_> {
    /// The journal entry.
    pub fn entry(&self) -> Vec<u8> {
        let mut out = String::with_capacity(ENTRY_BYTES);
        out.push('{');
        self.head.write(&mut out);
        if self.input_estimate.is_some() {
            object(&mut out, "usage", |out| optional_number(out, "input_tokens", self.input_estimate));
            flag(&mut out, "usage_estimated", true);
        }
        [&self.head.time_ms.to_le_bytes(), out.as_bytes()].concat()
    }
}

/// The record of a call whose VM died: sent as far as anyone knows. It is priced where it arrives, as an
/// estimate of its prompt; what was answered nobody knows.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its JSON, not closed yet.
    json: String,
}

impl Recovered {
    /// What an entry becomes whose VM died at some time before `now_ms`; `None` where this is no entry.
    pub fn of(entry: &[u8], now_ms: u64) -> Option<Self> {
        let (time_ms, begun) = entry.split_first_chunk::<8>()?;
        let mut json = std::str::from_utf8(begun).ok().filter(|begun| begun.starts_with('{'))?.to_owned();
        word(&mut json, "outcome", Outcome::Error.name());
        let lasted_ms = now_ms.saturating_sub(u64::from_le_bytes(*time_ms));
        optional_number(&mut json, "duration_ms", Some(lasted_ms));
        list(&mut json, "notes", &[Note::Recovered], |out, note| quoted(out, note.name()));
        Some(Self { json })
    }

    /// What budgets ask of it: how it ended, and the estimate of its prompt. Nothing else is read, so that no
    /// gateway needs a reader of whole records.
    pub fn counts(&self) -> UsageRecord {
        // No text in it has a quote that is not escaped, so that this stands at its place alone.
        let input = self.json.split_once(ESTIMATE).and_then(|(_, rest)| rest.split('}').next()?.parse().ok());
        UsageRecord {
            outcome: Outcome::Error,
            usage_estimated: input.is_some(),
            usage: Usage { input_tokens: input, ..Usage::default() },
            ..UsageRecord::default()
        }
    }

    /// Its JSON, with what budgets in dollars were charged for it where any was.
    pub fn into_json(mut self, charged: Option<Picodollars>) -> Vec<u8> {
        money(&mut self.json, "cost_usd", Picodollars::ZERO);
        if let Some(charged) = charged {
            money(&mut self.json, "charged_usd", charged);
        }
        self.json.push('}');
        self.json.into_bytes()
    }
}

/// Before the estimate of a prompt, as [`Admitted::entry`] writes it.
const ESTIMATE: &str = "\"usage\":{\"input_tokens\":";
const ENTRY_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Attribution, AttributionSource};
    use crate::price::charge::CostStatus;

    #[test]
    fn an_entry_becomes_a_record_with_an_estimate_of_its_prompt() {
        // As tricky as an attribute may be.
        let team = r#"a "b" ,"usage":{"input_tokens":99}"#;
        let head = Head {
            id: "0190-a".into(),
            time_ms: 1_000,
            gateway: "edge-1".into(),
            attribution: Attribution { team: team.into(), ..Attribution::default() },
            attribution_source: AttributionSource::SelfDeclared,
            provider: "openai".into(),
            operation: "chat".into(),
            request_model: Some("m".into()),
            ..Head::default()
        };
        let admitted = Admitted { head: &head, input_estimate: Some(12) };
        let recovered = |admitted: Admitted<'_>| Recovered::of(&admitted.entry(), 3_500).unwrap();
        let json = recovered(admitted).into_json(None);
        let expected = UsageRecord {
            head: head.clone(),
            usage: Usage { input_tokens: Some(12), ..Usage::default() },
            usage_estimated: true,
            outcome: Outcome::Error,
            duration_ms: Some(2_500),
            cost_status: CostStatus::Unpriced,
            notes: vec![Note::Recovered],
            ..UsageRecord::default()
        };
        assert_eq!(serde_json::from_slice::<UsageRecord>(&json).unwrap(), expected);
        let charged = Some(Picodollars::from_pico(7));
        let json = recovered(admitted).into_json(charged);
        let told = UsageRecord { charged_usd: charged, ..expected.clone() };
        assert_eq!(serde_json::from_slice::<UsageRecord>(&json).unwrap(), told);
        let counts = recovered(admitted).counts();
        let of = |record: &UsageRecord| (record.usage.clone(), record.usage_estimated, record.outcome);
        assert_eq!(of(&counts), of(&expected));
        let unknown = Admitted { input_estimate: None, ..admitted };
        let counts = recovered(unknown).counts();
        assert_eq!((counts.usage, counts.usage_estimated), (Usage::default(), false));
        let record: UsageRecord = serde_json::from_slice(&recovered(unknown).into_json(None)).unwrap();
        assert_eq!((record.usage, record.usage_estimated), (Usage::default(), false));
    }

    #[test]
    fn what_is_no_entry_is_no_record() {
        for bytes in [&b""[..], b"1234567", b"12345678", b"12345678[", b"12345678{\xff"] {
            assert!(Recovered::of(bytes, 1).is_none(), "{bytes:?}");
        }
    }
}
