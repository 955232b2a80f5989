//! The end of a call: its record, what is charged for it, and what is remembered.

use tollgate_core::call::{Call, End, Ending, Fetched};
use tollgate_core::price::{CostStatus, PriceBook};
use tollgate_core::provider::Api;
use tollgate_core::record::{Note, OUTPUTS_MAX, STARTED_MAX, UsageRecord, Work, work_id};

use super::HttpCall;
use super::phase::{Admitted, Cut, Phase, RefusedCall, UnderWay};
use super::session::Session;
use crate::call::stream::{ending_of, number_property, show_in_access_log, text_property};
use crate::host;
use crate::shared::deferred::{self, Claim};

/// Which records a call leaves that has ended.
enum Left {
    /// None: it only asked, or its turns have theirs.
    Nothing,
    /// Its own. As nearly all do: it stays where it is, as a record is about a kilobyte to move.
    One,
    /// One for each result that it fetched.
    Results(Vec<UsageRecord>),
}

impl HttpCall {
    /// Its record, and what it is charged. Again it does nothing.
    pub(super) fn settle(&mut self) {
        self.gateway.waiting.ended(self.context);
        self.unpark();
        if let Phase::NoCall = self.phase {
            return;
        }
        let now_ms = host::now_ms();
        let status = self.answer.status;
        let (under_way, ending) = match std::mem::take(&mut self.phase) {
            Phase::NoCall | Phase::Parked(_) => return,
            Phase::Refused(refused) => return self.settle_refused(*refused, now_ms),
            // No provider works on a request that never came to its end.
            Phase::Arriving(call) => (UnderWay::undecided(call), (status == 0).then_some(Ending::NotSent)),
            Phase::Left(call) => {
                let left = UnderWay::undecided(call);
                let left = match left.call.target().api.is_session() {
                    true => Session::new(&self.gateway, self.context, left).end(status, now_ms),
                    false => left,
                };
                (left, Some(Ending::NotSent))
            }
            Phase::Session(session) => (session.end(status, now_ms), None),
            Phase::UnderWay(under_way) | Phase::HungUp(under_way) => (under_way, None),
        };
        self.settle_call(under_way, ending, now_ms);
    }

    /// Settles a call that was not refused, or when its answer had begun. How it ended says Envoy, where
    /// nothing is given.
    // Long: the order of these steps keeps a record and its charge together.
    fn settle_call(&self, under_way: UnderWay, ending: Option<Ending>, now_ms: u64) {
        let UnderWay { mut call, admitted: Admitted { mut ticket, mut slot }, cut } = under_way;
        let book = self.gateway.book();
        let end = End {
            ending: match (ending, cut) {
                (Some(ending), _) => ending,
                // The provider is hung up on.
                (None, Cut::Closed) => Ending::ClientAbort,
                (None, _) => self.ending(),
            },
            now_ms,
            attempts: number_property(b"upstream\0request_attempt_count"),
            charge_retries: self.gateway.config.charge_retries,
        };
        let mut record = self.gateway.settle(&mut call, end, book.as_deref());
        if cut != Cut::No {
            record.notes.push(Note::EndedByBudget);
        }
        self.gateway.budgets.note_charged(&ticket, &mut record);
        let version = std::mem::take(&mut ticket.policy_version);
        record.policy_version = Some(version).filter(|version| !version.is_empty());
        let mut left = self.left(&call, &mut record, book.as_deref());
        let records = match &mut left {
            Left::Nothing => &mut [],
            Left::One => std::slice::from_mut(&mut record),
            Left::Results(records) => records.as_mut_slice(),
        };
        let mut ended = self.gateway.budgets.settle(ticket, records.first());
        if records.is_empty() {
            self.gateway.forget(slot, ended, now_ms);
            return;
        }
        for record in records {
            // What was fetched the collector charges, once whoever fetches it.
            let is_fetched = record.fetched().is_some();
            let is_collectors = is_fetched && self.gateway.config.collector.is_some();
            // Nothing is held for work that is begun, nor for an answer that is refused; a run that streams
            // is paid at once.
            let is_owed = (is_fetched && !is_collectors)
                || call.target().api.is_session()
                || call.is_streamed_run()
                || cut != Cut::No;
            if ended.is_none() && is_owed {
                record.policy_version =
                    self.gateway.budgets.charge(&call, record, now_ms).or(record.policy_version.take());
            }
            let json = told(record);
            show_in_access_log(&self.gateway.config.access_log, record, &json);
            // The entry of a session is that of a turn, with an id of its own: it would be another record.
            let is_turns = call.target().api.is_session() && ended.is_none();
            let (turns, own) = if is_turns { (slot.take(), None) } else { (None, slot.take()) };
            let is_whole = self.gateway.keep(record, &json, own, ended.take(), now_ms);
            self.gateway.forget(turns, None, now_ms);
            if is_collectors && !is_whole {
                // A total does not say that it has fetched work in it.
                self.gateway.budgets.charge(&call, record, now_ms);
            }
        }
    }

    fn settle_refused(&self, refused: RefusedCall, now_ms: u64) {
        let RefusedCall { call, refused, admitted: Admitted { ticket, slot } } = refused;
        let status = refused.status.unwrap_or_else(|| refused.reason.status());
        let mut record = call.denied(&self.gateway.config.gateway, status, now_ms);
        record.policy_version = self.gateway.budgets.policy().map(|policy| policy.version.clone());
        let json = record.to_json();
        show_in_access_log(&self.gateway.config.access_log, &record, &json);
        let ended = self.gateway.budgets.settle(ticket, None);
        self.gateway.keep(&record, &json, slot, ended, now_ms);
    }

    /// What a call leaves that has ended, of which this is the record.
    fn left(&self, call: &Call, record: &mut UsageRecord, book: Option<&PriceBook>) -> Left {
        let is_told = self.remember(call, record);
        if call.target().fetches.is_some() {
            if !record.notes.contains(&Note::Deferred) {
                record.notes.push(Note::Deferred);
            }
            if !call.is_unfinished(record) {
                return Left::Results(self.fetched(call, record, book));
            }
            // What was fetched in part is fetched again.
            record.cost_nothing();
            return if self.request.posts || is_told { Left::One } else { Left::Nothing };
        }
        let asks = call.target().api == Api::Deferred && !self.request.posts;
        if asks {
            // Its counts are paid where the results are fetched.
            record.cost_nothing();
        }
        let is_recorded = !(asks && !is_told || call.is_settled_by_turns());
        if is_recorded { Left::One } else { Left::Nothing }
    }

    /// Remembers work that a call started or was told of, and says so in its record. Gives whether it was
    /// told of results that nobody had heard of here: the collector is to hear of them.
    fn remember(&self, call: &Call, record: &mut UsageRecord) -> bool {
        let (ids, mut outputs) = (call.leads_to(), call.outputs());
        if ids.is_empty() && outputs.is_empty() {
            return false;
        }
        let asker = call.attribution();
        // Who only asks after work has not started it: the results that it is told of are for who did.
        let provider = &call.target().provider;
        let owner = ids.iter().find_map(|id| deferred::recall(provider, id));
        let starter = owner.as_ref().map_or(asker, |work| (&work.attribution, work.source));
        let is_paid = self.request.posts && call.is_paid_start();
        let mut told = 0usize;
        outputs.retain(|output| {
            // The rest is told of with the next poll.
            if told == OUTPUTS_MAX || !Work::tells(&output.file) || !Work::tells(&output.of) {
                return false;
            }
            let owner = deferred::recall(provider, &output.of);
            let starter = owner.as_ref().map_or(starter, |work| (&work.attribution, work.source));
            let is_new = deferred::remember(provider, &output.file, Some(&output.of), starter, false);
            told = told.saturating_add(usize::from(is_new));
            is_new
        });
        for id in &ids {
            deferred::remember(provider, id, None, starter, is_paid);
        }
        let starts = self.request.posts && owner.is_none() && !call.continues() || is_paid;
        let started: Vec<String> =
            ids.into_iter().filter(|id| starts && Work::tells(id)).take(STARTED_MAX).collect();
        let is_told = !outputs.is_empty() && self.gateway.config.collector.is_some();
        if is_told || !started.is_empty() {
            record.work = Some(Box::new(Work { started, paid: is_paid, outputs, ..Work::default() }));
        }
        is_told
    }

    /// The records of what was fetched: each result is charged once, or told of without a cost.
    fn fetched(&self, call: &Call, record: &UsageRecord, book: Option<&PriceBook>) -> Vec<UsageRecord> {
        let kind = call.fetched();
        let mut records = call.results(record, book);
        records.retain_mut(|(record, id, of)| {
            match deferred::claim(&call.target().provider, id, kind, call.attribution()) {
                Claim::Charged(known) => *of = of.take().or(known),
                Claim::Before => return false,
                Claim::Unknown => record.leave_unpaid(Note::UnknownWork),
                // The collector may know better than who does not say it.
                Claim::Paid
                    if kind == (Fetched::Answer { told: false })
                        && self.gateway.config.collector.is_some() =>
                {
                    record.leave_unpaid(Note::PaidAtStart);
                    record.cost_status = CostStatus::Free;
                }
                Claim::Paid => record.read_again(),
            }
            if Work::tells(id) {
                let work = record.work.get_or_insert_default();
                work.fetched = Some(id.clone());
                work.of = of.take().filter(|of| Work::tells(of));
            }
            true
        });
        // Where one is folded into a total, this has its id.
        let mut own = Some(record.head.id.clone());
        let with_id = |(mut record, id, _): (UsageRecord, String, Option<String>)| {
            record.head.id = own.take().unwrap_or_else(|| work_id(&record.head.provider, &id));
            record
        };
        records.into_iter().map(with_id).collect()
    }

    /// How the exchange ended. Envoy's details tell an abort from an end, and a provider's answer from its
    /// own.
    fn ending(&self) -> Ending {
        if self.answer.has_ended && self.answer.status < 400 {
            return Ending::Complete;
        }
        let details = text_property(b"response\0code_details").unwrap_or_default();
        ending_of(&details, self.answer.has_ended)
    }
}

/// The JSON of a record as it is sent: that of fetched work has the work's id, and not that of the call which
/// fetched it.
fn told(record: &mut UsageRecord) -> Vec<u8> {
    let Some(fetched) = record.work.as_ref().and_then(|work| work.fetched.as_deref()) else {
        return record.to_json();
    };
    let own = std::mem::replace(&mut record.head.id, work_id(&record.head.provider, fetched));
    let json = record.to_json();
    record.head.id = own;
    json
}
