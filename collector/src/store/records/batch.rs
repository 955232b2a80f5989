//! Batches: records made ready for the writer, so that its thread does nothing but SQL.

use std::collections::BTreeMap;

use tollgate_core::budget::Amount;
use tollgate_core::price::CostStatus;
use tollgate_core::protocol::sync::CounterReport;
use tollgate_core::record::{Folded, Note, Outcome, Output, UsageRecord, work_id};

use super::folded::Span;
use super::id::RecordId;
use crate::model::calendar::knows_until;
use crate::model::minute::Minute;
use crate::store::database::error::StoreError;
use crate::store::rollups::dims::Dims;
use crate::store::rollups::reports::{self, Report};
use crate::store::rollups::sums::{AsRow, Sums};

/// What one sync request brings.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Who sends it.
    pub sender: Sender,
    /// Records of the request that were refused before they came here, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// When it came, where it is an import, which no gateway sends: Unix milliseconds UTC.
    pub imported_ms: u64,
    /// What its sender reports of its counters.
    pub counters: Vec<CounterReport>,
    pub(in crate::store) rows: Vec<RecordRow>,
}

/// A gateway instance, as it reports itself.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// Name of the gateway.
    pub gateway: String,
    /// This run of its Envoy.
    pub instance: String,
    /// Number of the request.
    pub sequence: u64,
    /// Version of its price book.
    pub price_version: Option<String>,
    /// Calls that it counted under `(other)`, as a budget had as many values as there may be.
    pub values_shared: u64,
    /// Its drop totals by reason.
    pub dropped: BTreeMap<String, u64>,
    /// When the request came, by the collector's clock, Unix milliseconds UTC.
    pub received_ms: u64,
}

/// What budgets in dollars are charged for a record besides what its gateway charged them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recharge {
    /// Those that charge what records say.
    pub used: Amount,
    /// Those that keep the worst where nobody knows: of what is used.
    pub worst_used: Amount,
    /// Of the part of that which is above the records' costs.
    pub worst_kept: Amount,
}

#[derive(Clone, Debug)]
pub(in crate::store) struct RecordRow {
    pub(in crate::store) id: RecordId,
    pub(in crate::store) time_ms: i64,
    pub(in crate::store) dims: Dims,
    pub(in crate::store) outcome: u8,
    pub(in crate::store) cost_status: u8,
    pub(in crate::store) body: String,
    /// Of the body, so that whoever changes it behind the collector's back is found out.
    pub(in crate::store) digest: Digest,
    /// Encoded.
    pub(in crate::store) sums: Vec<u8>,
    pub(in crate::store) minute: Minute,
    /// Budgets that count since later were not known to who admitted the call, Unix milliseconds UTC.
    pub(in crate::store) knew_until_ms: u64,
    /// For the budgets that were known.
    pub(in crate::store) recharge: Recharge,
    /// What it says of work that goes on without its caller.
    pub(in crate::store) told: Option<Box<Told>>,
    /// What its provider said that it cost, beside the book's charges.
    pub(in crate::store) report: Option<Report>,
    /// Where this is not a record but a total of some.
    pub(in crate::store) folded: Option<Span>,
}

impl RecordRow {
    /// Records that this stands for.
    pub(in crate::store) fn records(&self) -> u64 {
        self.folded.map_or(1, |span| span.records)
    }

    /// Has it say what this record does, which is the same but for who spent and whether it costs anything.
    pub(in crate::store) fn set(&mut self, record: &UsageRecord) -> Result<(), StoreError> {
        self.dims = Dims::of(&record.head);
        self.outcome = outcome_code(record.outcome);
        self.cost_status = cost_status_code(record.cost_status);
        self.body = body_of(record)?;
        self.sums = Sums::of(record).encode();
        self.minute = Minute::of(record);
        self.report = reports::of(record);
        self.knew_until_ms = if record.fetched().is_some() { 0 } else { u64::MAX };
        self.digest = digest_of(&self.body);
        Ok(())
    }
}

impl Batch {
    /// The JSON of the record at this place, as it is to be stored.
    #[cfg(test)]
    pub(crate) fn body(&self, place: usize) -> &str {
        &self.rows[place].body
    }

    /// An empty batch of this sender.
    pub fn new(sender: Sender) -> Self {
        Self { sender, ..Self::default() }
    }

    /// An empty one that came at `now_ms` from no gateway.
    pub fn of_import(now_ms: u64) -> Self {
        Self { imported_ms: now_ms, ..Self::default() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When its id is not a UUID or its time does not fit the database.
    pub fn push(&mut self, record: &UsageRecord) -> Result<(), StoreError> {
        self.push_recharged(record, Recharge::default())
    }

    /// Adds a record that was priced here, for which its gateway has charged budgets something else.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn push_recharged(&mut self, record: &UsageRecord, recharge: Recharge) -> Result<(), StoreError> {
        self.push_known(record, recharge, None)
    }

    /// The same of a record of fetched work that is not charged, and that is to be this other one where it is
    /// known after all that it is to be paid.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn push_known(
        &mut self,
        record: &UsageRecord,
        recharge: Recharge,
        if_known: Option<UsageRecord>,
    ) -> Result<(), StoreError> {
        let told = Told::of(record).map(|told| told.or(if_known));
        let body = body_of(record)?;
        self.rows.push(RecordRow {
            id: record.head.id.parse().map_err(|_| StoreError::Damaged("id"))?,
            time_ms: i64::try_from(record.head.time_ms).map_err(|_| StoreError::Damaged("time_ms"))?,
            dims: Dims::of(&record.head),
            outcome: outcome_code(record.outcome),
            cost_status: cost_status_code(record.cost_status),
            digest: digest_of(&body),
            body,
            sums: Sums::of(record).encode(),
            minute: Minute::of(record),
            knew_until_ms: match self.imported_ms {
                _ if told.as_ref().is_some_and(|told| told.only_reads()) => u64::MAX,
                // What its gateway charged is lost with it: it counts on every budget that was for it.
                1.. if record.outcome != Outcome::Denied => 0,
                _ if told.as_ref().is_some_and(|told| told.is_fetched()) => 0,
                _ => knew_until(record),
            },
            recharge,
            told,
            report: reports::of(record),
            folded: None,
        });
        Ok(())
    }

    /// Adds a total that a gateway has folded.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn push_folded(&mut self, folded: &Folded) -> Result<(), StoreError> {
        let ms = |value| i64::try_from(value).map_err(|_| StoreError::Damaged("time_ms"));
        // Its sender may have named a kind twice.
        let mut sums = Sums::default();
        sums.add(&folded.sums)?;
        self.rows.push(RecordRow {
            id: folded.head.id.parse().map_err(|_| StoreError::Damaged("id"))?,
            time_ms: ms(folded.head.time_ms)?,
            dims: Dims::of(&folded.head),
            outcome: outcome_code(Outcome::Ok),
            cost_status: cost_status_code(CostStatus::Measured),
            body: String::new(),
            digest: Digest::default(),
            sums: sums.encode(),
            minute: Minute::of_totals(&folded.sums.totals),
            // Nobody knows: a gateway that folds is one that holds.
            knew_until_ms: u64::MAX,
            recharge: Recharge::default(),
            told: None,
            report: None,
            folded: Some(Span { records: folded.folded, span_ms: ms(folded.span_ms)? }),
        });
        Ok(())
    }

    /// How many records and totals it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The JSON of a record, as it is stored.
fn body_of(record: &UsageRecord) -> Result<String, StoreError> {
    String::from_utf8(record.to_json()).map_err(|_| StoreError::Damaged("record"))
}

/// The first half of a SHA-256.
pub(in crate::store) type Digest = [u8; 16];

/// The digest of a record's body.
pub(in crate::store) fn digest_of(body: &str) -> Digest {
    let whole = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

/// What a record says of work.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Told {
    /// Work that its call started, and whether it is paid with it.
    pub(in crate::store) started: Vec<RecordId>,
    pub(in crate::store) paid: bool,
    /// Files of results, with the batches that they are of.
    pub(in crate::store) outputs: Vec<(RecordId, RecordId)>,
    /// Work whose result its call fetched, and the batch that this is of.
    pub(in crate::store) fetched: Vec<RecordId>,
    /// Whether that is charged by this record: nobody knows of some that it is any, or to be paid.
    pub(in crate::store) is_charged: bool,
    /// What the record is to be where it is known after all.
    pub(in crate::store) if_known: Option<Box<UsageRecord>>,
    /// Whether who started the work, or its provider, shows that it is to be paid.
    pub(in crate::store) is_sure: bool,
}

impl Told {
    /// What a record says, if anything.
    pub(in crate::store) fn of(record: &UsageRecord) -> Option<Box<Self>> {
        let work = record.work.as_ref()?;
        let key = |id: &String| work_id(&record.head.provider, id).parse().ok();
        let output = |output: &Output| Some((key(&output.file)?, key(&output.of)?));
        let of = work.of.iter().filter(|_| work.fetched.is_some());
        Some(Box::new(Self {
            started: work.started.iter().filter_map(key).collect(),
            paid: work.paid,
            outputs: work.outputs.iter().filter_map(output).collect(),
            fetched: work.fetched.iter().chain(of).filter_map(key).collect(),
            is_charged: record.fetched().is_some(),
            ..Self::default()
        }))
    }

    /// The same of a record that is to be this other one where its work is known after all.
    pub(in crate::store) fn or(mut self: Box<Self>, if_known: Option<UsageRecord>) -> Box<Self> {
        self.if_known = if_known.map(Box::new);
        self
    }

    /// Whether its record is of fetched work that is charged, which no gateway does.
    pub(in crate::store) const fn is_fetched(&self) -> bool {
        self.is_charged
    }

    /// Whether its call only read what another one pays for, or asked after it: that is on no budget.
    pub(in crate::store) const fn only_reads(&self) -> bool {
        !self.is_charged && (!self.fetched.is_empty() || self.started.is_empty() && !self.outputs.is_empty())
    }
}

/// Which budgets a call's gateway knew when it admitted it; all of them where nothing was spent, or where
/// another VM has charged the record of a call whose end nobody saw.
fn knew_until(record: &UsageRecord) -> u64 {
    if record.outcome == Outcome::Denied || record.notes.contains(&Note::Recovered) {
        return u64::MAX;
    }
    // Without a version no policy admitted it.
    record.policy_version.as_deref().map_or(0, |version| knows_until(version).unwrap_or(u64::MAX))
}

/// The number that stands for an outcome in the database; never changed.
pub(in crate::store) const fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Error => 1,
        Outcome::ClientAbort => 2,
        Outcome::UpstreamAbort => 3,
        Outcome::Denied => 4,
    }
}

/// The number that stands for a cost status in the database; never changed.
pub(in crate::store) const fn cost_status_code(status: CostStatus) -> u8 {
    match status {
        CostStatus::Measured => 0,
        CostStatus::Estimated => 1,
        CostStatus::Unpriced => 2,
        CostStatus::Free => 3,
    }
}
