//! Ingest: a sync request is read, its records checked and priced, and made into a batch for the store.

mod counters;
#[cfg(test)]
mod forged;
mod pricing;
mod rates;
mod validate;

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_core::price::{PriceBook, Wanted};
use tollgate_core::protocol::sync::{PROTOCOL, RejectedRecord, SyncRequest};
use tollgate_core::record::{Folded, Note, UsageRecord};

use crate::model::refusal::Refusal;
use crate::store::{Batch, Sender};
use crate::work::access::Gateways;
use crate::work::metrics::gen_ai::Observation;
use rates::RateCheck;
use validate::Sent;

pub use validate::Refused;

/// A request that was understood.
#[derive(Debug)]
pub struct Accepted {
    /// What is to be stored.
    pub batch: Batch,
    /// Records and totals in the request.
    pub received: usize,
    /// Records in the request, also those in totals.
    pub records: u64,
    /// Records that are refused.
    pub rejected: Vec<(RejectedRecord, Refusal)>,
    /// Records that were priced here.
    pub priced: u64,
    /// For metrics under OpenTelemetry's names, by place in the batch.
    pub observations: Vec<Option<Observation>>,
    /// Models that the gateway wants rows of.
    pub models: Vec<Wanted>,
    /// Whether the gateway adds rows to those that it has.
    pub adds_rows: bool,
    /// Version of the gateway's module.
    pub version: Option<String>,
    /// When the call ended that waited for longest, of those in the request: Unix milliseconds UTC.
    pub oldest_ms: Option<u64>,
    /// Version of the policy that it holds.
    pub policy_version: Option<String>,
    /// Up to which runs were stopped that it has heard of.
    pub stops_heard: u64,
    /// What is wrong with reports of counters that are not taken.
    pub impossible: Vec<String>,
}

/// Why a request was not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotUnderstood {
    /// It speaks another protocol.
    #[error("protocol {0} is not supported; this collector speaks {accepted}", accepted = accepted())]
    Protocol(u32),
    /// Its token is another gateway's.
    #[error("`{gateway}` is not a gateway of this token, which is for {allowed}")]
    OtherGateway {
        /// The name of the sender.
        gateway: String,
        /// Names of those that the token is for.
        allowed: String,
    },
    /// It is not a sync request.
    #[error("not a sync request: {0}")]
    Invalid(String),
}

/// Reads a request that came at `now_ms`. A bad record is refused, the rest kept.
///
/// # Errors
/// When the request as a whole cannot be read.
pub fn accept(
    body: &[u8],
    book: &PriceBook,
    gateways: &Gateways,
    now_ms: u64,
) -> Result<Accepted, NotUnderstood> {
    let mut request = parse(body)?;
    if !gateways.allow(&request.gateway) {
        return Err(NotUnderstood::OtherGateway { gateway: request.gateway, allowed: gateways.names() });
    }
    request.models.truncate(MODELS_MAX);
    let mut accepted = Accepted {
        batch: Batch::new(sender(&request, now_ms)),
        received: 0,
        records: 0,
        rejected: Vec::new(),
        priced: 0,
        observations: Vec::new(),
        models: std::mem::take(&mut request.models),
        adds_rows: request.adds_rows,
        version: request.version.take().filter(|version| is_version(version)),
        oldest_ms: None,
        policy_version: request.policy_version.take().filter(|version| version.len() <= NAME_BYTES_MAX),
        stops_heard: request.stops_heard,
        impossible: Vec::new(),
    };
    request.counters.truncate(COUNTERS_MAX);
    for report in std::mem::take(&mut request.counters) {
        match counters::possible(report) {
            Ok(report) => accepted.batch.counters.push(report),
            Err(problem) => accepted.impossible.push(problem),
        }
    }
    let (rates, sent) = (RateCheck::new(book), Sent { by: Some(&request.gateway), gateways, now_ms });
    for raw in &request.records {
        accepted.note(raw.get(), &rates, &sent);
    }
    Ok(accepted)
}

/// Reads records, one a line, that came at `now_ms` from no gateway: what they cost counts on budgets, as
/// whoever charged them there is lost. A bad record is refused, the rest kept; its index
/// counts the lines that are not blank.
pub fn accept_lines(body: &str, book: &PriceBook, now_ms: u64) -> Accepted {
    let mut accepted = Accepted {
        batch: Batch::of_import(now_ms),
        received: 0,
        records: 0,
        rejected: Vec::new(),
        priced: 0,
        observations: Vec::new(),
        models: Vec::new(),
        adds_rows: false,
        version: None,
        oldest_ms: None,
        policy_version: None,
        stops_heard: 0,
        impossible: Vec::new(),
    };
    let (rates, gateways) = (RateCheck::new(book), Gateways::default());
    let sent = Sent { by: None, gateways: &gateways, now_ms };
    for line in body.lines().filter(|line| !line.trim().is_empty()) {
        accepted.note(line, &rates, &sent);
    }
    accepted
}

impl Accepted {
    /// Index in the request of the record at this place of the batch.
    pub fn index_of(&self, place: usize) -> usize {
        let mut rejected = self.rejected.iter().map(|(record, _)| record.index).peekable();
        let mut left = place;
        let mut index = 0usize;
        loop {
            if rejected.next_if_eq(&index).is_none() {
                if left == 0 {
                    return index;
                }
                left = left.saturating_sub(1);
            }
            index = index.saturating_add(1);
        }
    }

    fn note(&mut self, raw: &str, rates: &RateCheck<'_>, sent: &Sent<'_>) {
        let index = self.received;
        self.received = self.received.saturating_add(1);
        if let Err(refused) = self.take(raw, rates, sent) {
            let sum = self.batch.rejected.entry(refused.refusal.name()).or_default();
            *sum = sum.saturating_add(1);
            self.records = self.records.saturating_add(1);
            self.rejected.push((RejectedRecord { index, reason: refused.detail }, refused.refusal));
        }
    }

    fn take(&mut self, raw: &str, rates: &RateCheck<'_>, sent: &Sent<'_>) -> Result<(), Refused> {
        if Folded::is_json_of_one(raw) {
            return self.take_folded(raw, rates, sent);
        }
        let mut record: UsageRecord =
            serde_json::from_str(raw).map_err(|error| Refused::malformed(&error))?;
        validate::claims(&record)?;
        pricing::doubt(&mut record, rates);
        validate::check(&record)?;
        sent.check(&record.head.gateway, record.head.time_ms)?;
        self.want_rows_of(&record);
        let ended_ms = record.head.time_ms.saturating_add(record.duration_ms.unwrap_or(0));
        self.oldest_ms = Some(self.oldest_ms.map_or(ended_ms, |oldest| oldest.min(ended_ms)));
        let (came, source) = (record.cost_usd, record.cost_source);
        if pricing::price_on_arrival(&mut record, rates.book) {
            self.priced = self.priced.saturating_add(1);
        }
        let recharge = pricing::recharge(&mut record, came, source);
        record.saved_usd = rates.book.saved(&record);
        let if_known = pricing::if_known(&record, rates.book);
        self.batch.push_known(&record, recharge, if_known).map_err(|error| Refused::malformed(&error))?;
        // The tokens of what is read again were told when it was started; those of history are no news.
        let is_news = sent.by.is_some() && !record.notes.contains(&Note::PaidAtStart);
        self.observations.push(Observation::of(&record).filter(|_| is_news));
        self.records = self.records.saturating_add(1);
        Ok(())
    }

    fn take_folded(&mut self, raw: &str, rates: &RateCheck<'_>, sent: &Sent<'_>) -> Result<(), Refused> {
        let folded: Folded = serde_json::from_str(raw).map_err(|error| Refused::malformed(&error))?;
        validate::check_folded(&folded, rates)?;
        sent.check(&folded.head.gateway, folded.head.time_ms)?;
        self.batch.push_folded(&folded).map_err(|error| Refused::malformed(&error))?;
        self.observations.push(None);
        self.records = self.records.saturating_add(folded.folded);
        Ok(())
    }

    /// A gateway that had a book, but no row for a call or only that of the model asked for, wants the rows
    /// of the names in it.
    fn want_rows_of(&mut self, record: &UsageRecord) {
        let lacked = record.price_basis.iter().filter(|basis| basis.step.is_none());
        let missing: Vec<&str> = lacked.map(|basis| basis.model.as_str()).collect();
        if missing.is_empty() && !record.is_priced_as_asked() {
            return;
        }
        let called = [record.head.response_model.as_deref(), record.head.request_model.as_deref()];
        for model in missing.into_iter().chain(called.into_iter().flatten()) {
            let wanted = Wanted { provider: record.head.provider.clone(), model: model.to_owned() };
            if self.models.len() < MODELS_MAX && !self.models.contains(&wanted) {
                self.models.push(wanted);
            }
        }
    }
}

fn parse(body: &[u8]) -> Result<SyncRequest, NotUnderstood> {
    #[derive(Deserialize)]
    struct Spoken {
        protocol: u32,
    }
    let invalid = |error: serde_json::Error| NotUnderstood::Invalid(error.to_string());
    // First the protocol alone: the rest of another protocol's message may look different.
    let spoken: Spoken = serde_json::from_slice(body).map_err(invalid)?;
    if !(PROTOCOL_OLDEST..=PROTOCOL).contains(&spoken.protocol) {
        return Err(NotUnderstood::Protocol(spoken.protocol));
    }
    let request: SyncRequest = serde_json::from_slice(body).map_err(invalid)?;
    for (name, value) in [("gateway", &request.gateway), ("instance", &request.instance)] {
        if value.is_empty() || value.len() > NAME_BYTES_MAX || value.chars().any(char::is_control) {
            return Err(NotUnderstood::Invalid(format!(
                "`{name}` must have 1 to {NAME_BYTES_MAX} bytes and no control characters"
            )));
        }
    }
    Ok(request)
}

fn sender(request: &SyncRequest, now_ms: u64) -> Sender {
    let version = request.price_version.clone();
    Sender {
        gateway: request.gateway.clone(),
        instance: request.instance.clone(),
        sequence: request.sequence,
        price_version: version.filter(|version| version.len() <= NAME_BYTES_MAX),
        dropped: known_reasons(&request.dropped),
        values_shared: request.values_shared.min(COUNT_MAX),
        received_ms: now_ms,
    }
}

/// Whether this is a version that can be shown: digits, letters, `.`, `-` and `+`.
fn is_version(version: &str) -> bool {
    (1..=VERSION_BYTES_MAX).contains(&version.len())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

/// Drop totals under names that may become labels; what has another name is counted as `other`.
fn known_reasons(dropped: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, total) in dropped {
        let is_name = (1..=REASON_BYTES_MAX).contains(&reason.len())
            && reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let reason = if is_name && known.len() < REASONS_MAX { reason } else { "other" };
        let sum = known.entry(reason.to_owned()).or_default();
        *sum = sum.saturating_add(*total).min(COUNT_MAX);
    }
    known
}

fn accepted() -> String {
    if PROTOCOL_OLDEST == PROTOCOL {
        return PROTOCOL.to_string();
    }
    format!("{PROTOCOL_OLDEST} and {PROTOCOL}")
}

/// The oldest protocol that is accepted: the one before the newest, if there was one.
const PROTOCOL_OLDEST: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { PROTOCOL };
/// No instance of a gateway counts more: what claims to is bounded, so that sums of many have room.
const COUNT_MAX: u64 = 1 << 40;
/// Longest version of a module.
const VERSION_BYTES_MAX: usize = 32;
/// Longest name of a gateway or instance, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest reason of a drop, in bytes.
const REASON_BYTES_MAX: usize = 32;
/// Most reasons of drops that one gateway may name.
const REASONS_MAX: usize = 16;
/// Most counters that a gateway may report at a time.
const COUNTERS_MAX: usize = 8_192;
/// Most models that a gateway may ask for at a time.
const MODELS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refusal::Refusal;
    use tollgate_core::record::Head;

    fn request(more: &str) -> String {
        format!(r#"{{"protocol":1,"gateway":"edge","instance":"i","sequence":1,"sent_at_ms":5{more}}}"#)
    }

    fn accept(body: &str) -> Result<Accepted, NotUnderstood> {
        super::accept(body.as_bytes(), &PriceBook::default(), &Gateways::default(), 1_763_900_000_007)
    }

    #[test]
    fn a_gateway_gets_the_rows_of_models_that_its_records_had_none_for() {
        let record = serde_json::to_string(&UsageRecord {
            head: Head {
                id: "01a20a37-e0d8-77ff-bba3-1b4b0d13c68c".into(),
                time_ms: 1_763_900_000_000,
                gateway: "edge".into(),
                provider: "openai".into(),
                operation: "chat".into(),
                request_model: Some("gpt-x".into()),
                response_model: Some("gpt-x-2026-01-02".into()),
                ..Head::default()
            },
            price_basis: vec![tollgate_core::price::PriceBasis {
                model: "gpt-x-2026-01-02".into(),
                ..Default::default()
            }],
            ..UsageRecord::default()
        })
        .unwrap();
        let accepted = accept(&request(&format!(r#","records":[{record}]"#))).unwrap();
        assert_eq!(accepted.rejected, []);
        let models: Vec<&str> = accepted.models.iter().map(|wanted| wanted.model.as_str()).collect();
        assert_eq!(models, ["gpt-x-2026-01-02", "gpt-x"]);
    }

    #[test]
    fn what_is_imported_is_stored_and_moves_no_counter_of_what_comes() {
        let record = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","time_ms":1763900000000,"gateway":"edge","provider":"openai","operation":"chat"}"#;
        let came = accept(&request(&format!(r#","records":[{record}]"#))).unwrap();
        assert!(came.observations.iter().all(Option::is_some) && came.observations.len() == 1);
        let imported = super::accept_lines(record, &PriceBook::default(), 1_763_900_000_007);
        assert_eq!((imported.batch.len(), imported.rejected.len()), (1, 0));
        assert!(imported.observations.iter().all(Option::is_none) && imported.observations.len() == 1);
    }

    #[test]
    fn a_bad_record_is_refused_by_its_index_and_the_rest_kept() {
        let good = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","time_ms":1763900000000,"gateway":"edge","provider":"openai","operation":"chat"}"#;
        let body = request(&format!(r#","records":[{good},7,{{"id":"x"}},{good},{{"time_ms":"soon"}}]"#));
        let accepted = accept(&body).unwrap();
        let rejected: Vec<_> =
            accepted.rejected.iter().map(|(record, reason)| (record.index, *reason)).collect();
        let malformed = Refusal::Malformed;
        assert_eq!(rejected, [(1, malformed), (2, Refusal::Id), (4, malformed)]);
        assert_eq!((accepted.received, accepted.batch.len()), (5, 2));
        assert_eq!([accepted.index_of(0), accepted.index_of(1)], [0, 3]);
    }

    #[test]
    fn a_total_stands_among_records_and_counts_as_many_as_it_says() {
        let record = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","time_ms":1763900000000,"gateway":"edge","provider":"openai","operation":"chat"}"#;
        let total = r#"{"folded":3,"id":"01890a5d-ac96-774b-bcce-b302099a8058","time_ms":1763900000000,"gateway":"edge","provider":"openai","operation":"chat","span_ms":60000,"totals":{"calls":3}}"#;
        let body = request(&format!(r#","records":[{record},{total},{{"folded":2}},{total}]"#));
        let accepted = accept(&body).unwrap();
        assert_eq!((accepted.received, accepted.records, accepted.batch.len()), (4, 8, 3));
        assert_eq!(accepted.rejected.len(), 1);
        assert_eq!(accepted.index_of(2), 3);
    }

    #[test]
    fn another_protocol_is_named_before_anything_else_is_read() {
        for protocol in [0, 3, 77] {
            let body = format!(r#"{{"protocol":{protocol},"unknown":[]}}"#);
            assert_eq!(accept(&body).unwrap_err(), NotUnderstood::Protocol(protocol));
        }
    }

    #[test]
    fn what_is_not_a_request_is_said() {
        for body in ["", "[]", "{}", "{\"protocol\":1}", &request("")[1..], "{\"protocol\":\"1\"}"] {
            assert!(matches!(accept(body), Err(NotUnderstood::Invalid(_))), "{body}");
        }
        let nameless = request("").replace("\"edge\"", "\"\"");
        assert!(matches!(accept(&nameless), Err(NotUnderstood::Invalid(_))));
    }

    #[test]
    fn drop_reasons_stay_a_small_set_and_their_sum_exact() {
        let mut dropped: BTreeMap<String, u64> = (0..40).map(|n| (format!("r{n}"), 1)).collect();
        dropped.insert("Bad name!".into(), 5);
        dropped.insert(String::new(), 2);
        let known = known_reasons(&dropped);
        assert!(known.len() <= REASONS_MAX + 1);
        assert_eq!(known.values().sum::<u64>(), 47);
    }
}
