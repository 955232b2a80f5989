//! The usage record: what one call was, who made it, what it used and what it cost.
//!
//! It is the contract between filter and collector, and what `GET /api/v1/records` answers.

#[cfg(feature = "book")]
mod again;
mod folded;
mod head;
pub mod id;
mod journal;
mod json;
mod totals;
mod word;
mod work;

use crate::price::charge::{Charge, CostStatus, PriceBasis, Step};
pub use folded::{FOLDS_MAX, Folded, Folds};
pub use head::Head;
pub use journal::{Admitted, Recovered};
pub use totals::{KindTotal, OutOfRange, Sums, Totals};
pub use word::{COST_MAX, Owed, is_possible};
pub use work::{OUTPUTS_MAX, Output, STARTED_MAX, WORK_BYTES_MAX, Work, work_id};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::Picodollars;
use crate::usage::{Share, Usage};

/// One call, as the filter ships it and the collector keeps it. A field that is not known is absent.
///
/// ```
/// use tollgate_core::record::{Head, UsageRecord};
///
/// let head = Head {
///     provider: "openai".into(),
///     request_model: Some("gpt-5-mini".into()),
///     response_model: Some("gpt-5-mini-2025-08-07".into()),
///     ..Head::default()
/// };
/// // The model that answered counts, where the answer says it.
/// assert_eq!(head.model(), Some("gpt-5-mini-2025-08-07"));
/// let record = UsageRecord { head, stream: true, ..UsageRecord::default() };
/// let json = serde_json::to_string(&record).unwrap();
/// assert_eq!(serde_json::from_str::<UsageRecord>(&json).unwrap(), record);
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UsageRecord {
    /// Which call it was, who made it, and what was asked of whom.
    #[serde(flatten)]
    pub head: Head,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// HTTP status of the answer; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the call ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What each model used, where several worked on the call, with a run of a model on its own line;
    /// searches and the like are counted for the whole call only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Some of these counts were worked out by the gateway: the provider did not say them, or not to their
    /// end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// What that costs by the price book, line by line; where `cost_source` is `book` the sum is `cost_usd`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// What the call costs, by the word of `cost_source`.
    pub cost_usd: Picodollars,
    /// How far `cost_usd` can be trusted.
    pub cost_status: CostStatus,
    /// Whose word `cost_usd` is. Records from before it was told are by the book.
    pub cost_source: CostSource,
    /// What the provider itself said that the call cost: on the caller's own key its fee and what it says
    /// that the provider behind it takes. It is `cost_usd` unless it is not believed
    /// (`provider_cost_doubted`) or was not the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_cost_usd: Option<Picodollars>,
    /// What budgets in dollars were charged for it, where it is unpriced or priced at the row of the model
    /// that was asked for alone: once its price is found, that counts instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged_usd: Option<Picodollars>,
    /// Version of the price book that priced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// Which rows of the book were used and why, one for each model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_basis: Vec<PriceBasis>,
    /// Version of the policy that admitted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The rule that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
    /// The model that its caller asked for, where a rule put a cheaper one in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stepped_down_from: Option<String>,
    /// What that saved: what its usage would cost at the model asked for, less its cost; below nothing where
    /// it cost more. The collector works it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_usd: Option<Picodollars>,
    /// Rules that flagged it, that changed its request, or that would have refused it if they were
    /// enforced; `team` where it named another team than its agent is registered for, which it counts for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noted_by: Vec<String>,
    /// Attempts that Envoy made upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// From admission to the end of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// From admission to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Bytes of the request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// Shape of the prompt: never its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptShape>,
    /// Keyed hash of the request body, hexadecimal; equal for a repeated request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Which work it started or fetched, where that goes on without its caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Box<Work>>,
    /// What was odd about this call, each at most once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl UsageRecord {
    /// Whether the model that answered had no row where it was priced, so that the row of the one asked for
    /// was taken.
    pub fn is_priced_as_asked(&self) -> bool {
        self.price_basis.iter().any(|basis| basis.step == Some(Step::Asked))
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider answered, to the end.
    #[default]
    Ok,
    /// The provider answered with an error, or none could be reached.
    Error,
    /// The caller hung up.
    ClientAbort,
    /// The provider or the network broke off.
    UpstreamAbort,
    /// Refused by the gateway; no provider was reached.
    Denied,
}

impl Outcome {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::ClientAbort => "client_abort",
            Self::UpstreamAbort => "upstream_abort",
            Self::Denied => "denied",
        }
    }
}

impl UsageRecord {
    /// Takes the price out of it, for the reason in the note: the counts stay, and it is unpriced.
    pub fn leave_uncharged(&mut self, why: Note) {
        self.cost_usd = Picodollars::ZERO;
        self.cost_status = CostStatus::Unpriced;
        self.cost_source = CostSource::Book;
        self.charges.clear();
        self.price_basis.clear();
        self.notes.push(why);
    }
}

/// Whose word a cost is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The price book's: the sum of the charges.
    #[default]
    Book,
    /// The provider's own: it said what the call cost.
    Provider,
}

impl CostSource {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Provider => "provider",
        }
    }
}

/// Something odd about a call, that a reader of its numbers should know.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The provider's numbers contradict each other or what was seen, or cannot be true: parts were cut to
    /// their wholes for pricing, and counts below nothing or beyond any call were left out.
    ContradictoryUsage,
    /// The body is not what its content type says.
    UnexpectedContent,
    /// The body ended in the middle.
    TruncatedAnswer,
    /// The body has an encoding that is not read, so nothing in it was measured.
    UnreadEncoding,
    /// An error came inside an answer that began as a success.
    ErrorInStream,
    /// The answer had no usage where one was due.
    NoUsage,
    /// The work goes on without the caller, or was started by an earlier call: it is charged where its result
    /// is fetched, to who started it.
    Deferred,
    /// Envoy tried more than once, and the attempts that were not seen are charged as their estimated input.
    RetriesCharged,
    /// The gateway's filter died during the call; this record was made from its journal.
    Recovered,
    /// The provider does not charge for it: the model declined before it said anything.
    Unbilled,
    /// The gateway ended the answer, as a budget had nothing left for more of it.
    EndedByBudget,
    /// Nothing of it could be read: an upgrade, a tunnel, a path that nobody knows, or usage in a shape that
    /// nobody knows.
    NotRead,
    /// What was fetched is work of which no gateway of the collector saw the start or the end: its counts are
    /// the fetcher's word, so nothing is charged for it.
    UnknownWork,
    /// What was fetched is an answer that was paid as it was started: reading it again costs nothing, and its
    /// counts are those of the start.
    PaidAtStart,
    /// The gateway named a cost without charges for it, or at rates far from every price of the row: the
    /// collector has priced the call.
    CostCorrected,
    /// The provider named a cost that no call has, such as one below nothing. It is left out.
    ProviderCostIgnored,
    /// The provider named less than a tenth of what the book charges. That is kept, and not believed: the
    /// book's holds.
    ProviderCostDoubted,
    /// The gateway has a part of the price book, without a row for this call: budgets are charged what was
    /// held for it, until the collector has priced it.
    PriceAwaited,
    /// It ran at a service tier, speed or region that its row has no price for: its cost is at the dearest
    /// rates of the row that may be for it, or twice those.
    RateGuessed,
    /// Its agent sent the same request within the minute before: a retry. The collector finds it.
    Repeated,
}

impl Note {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContradictoryUsage => "contradictory_usage",
            Self::UnexpectedContent => "unexpected_content",
            Self::TruncatedAnswer => "truncated_answer",
            Self::UnreadEncoding => "unread_encoding",
            Self::ErrorInStream => "error_in_stream",
            Self::NoUsage => "no_usage",
            Self::Deferred => "deferred",
            Self::RetriesCharged => "retries_charged",
            Self::Recovered => "recovered",
            Self::Unbilled => "unbilled",
            Self::EndedByBudget => "ended_by_budget",
            Self::NotRead => "not_read",
            Self::UnknownWork => "unknown_work",
            Self::PaidAtStart => "paid_at_start",
            Self::CostCorrected => "cost_corrected",
            Self::ProviderCostIgnored => "provider_cost_ignored",
            Self::ProviderCostDoubted => "provider_cost_doubted",
            Self::PriceAwaited => "price_awaited",
            Self::RateGuessed => "rate_guessed",
            Self::Repeated => "repeated",
        }
    }
}

/// The shape of a prompt, without its text.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PromptShape {
    /// Keyed hash of the system prompt, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_hash: Option<String>,
    /// Bytes of the system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_bytes: Option<u64>,
    /// Keyed hash of the tool definitions, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_hash: Option<String>,
    /// Bytes of the tool definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_bytes: Option<u64>,
    /// Bytes of the messages by role.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bytes_by_role: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::charge::Charge;
    use crate::usage::Kind;

    #[test]
    fn a_record_reads_back_as_written() {
        let record = UsageRecord {
            head: Head { id: "0190-a".into(), provider: "openai".into(), ..Head::default() },
            usage: Usage { input_tokens: Some(3), ..Usage::default() },
            charges: vec![Charge {
                model: "gpt-5".into(),
                kind: Kind::Input,
                quantity: 3,
                rate: Picodollars::from_pico(7),
                cost_usd: Picodollars::from_pico(21),
            }],
            notes: vec![Note::NoUsage],
            ..UsageRecord::default()
        };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<UsageRecord>(&json).unwrap(), record);
        assert!(!json.contains("null"), "unknown fields are absent: {json}");
    }
}
