//! The end of a call: its record, what is charged for it, and what is remembered.

use tollgate_core::call::{Call, End, Ending};
use tollgate_core::provider::Api;
use tollgate_core::record::{Note, Outcome as CallOutcome, STARTED_MAX, UsageRecord, Work, work_id};

use super::{Cut, HttpCall};
use crate::budgets::Refused;
use crate::call::stream::{ending_of, number_property, show_in_access_log, text_property};
use crate::host;
use crate::shared::deferred::{self, Claim};

impl HttpCall {
    /// Its record, and what it is charged. Again it does nothing.
    // Long: the order of these steps keeps a record and its charge together.
    pub(super) fn settle(&mut self) {
        self.gateway.waiting.ended(self.context);
        self.unpark();
        if self.call.is_none() {
            return;
        }
        let now_ms = host::now_ms();
        if let Some(refused) = self.refused.take() {
            return self.settle_refused(&refused, now_ms);
        }
        // Results of a batch are one record, which is claimed as a whole.
        if self.call.as_ref().is_some_and(|call| call.target().api.is_session()) {
            self.settle_turns(now_ms);
            self.end_turns(now_ms);
        }
        let Some(mut call) = self.call.take() else { return };
        let mut ticket = std::mem::take(&mut self.ticket);
        let book = self.gateway.book();
        let end = End {
            ending: match (self.left, self.cut) {
                (true, _) => Ending::NotSent,
                // No provider works on a request that never came to its end.
                (false, _) if !self.request_ended && self.status == 0 => Ending::NotSent,
                // The provider is hung up on.
                (false, Cut::Closed) => Ending::ClientAbort,
                (false, _) => self.ending(),
            },
            now_ms,
            attempts: number_property(b"upstream\0request_attempt_count"),
            charge_retries: self.gateway.config.charge_retries,
        };
        let mut record = self.gateway.settle(&mut call, end, book.as_deref());
        if self.cut != Cut::No {
            record.notes.push(Note::EndedByBudget);
        }
        self.gateway.budgets.note_charged(&ticket, &mut record);
        let version = std::mem::take(&mut ticket.policy_version);
        record.policy_version = Some(version).filter(|version| !version.is_empty());
        let is_recorded = self.is_recorded(&call, &mut record);
        let ended = (!ticket.held.is_empty())
            .then(|| self.gateway.budgets.settle(ticket, is_recorded.then_some(&record)));
        // What was fetched the collector charges, once whoever fetches it.
        let is_collectors = record.fetched().is_some() && self.gateway.config.collector.is_some();
        let is_fetched = call.target().fetches.is_some() && !record.notes.contains(&Note::UnknownWork);
        // Nothing is held for work that is begun; a run that streams is paid at once.
        let is_owed =
            (is_fetched && !is_collectors) || call.target().api.is_session() || call.is_streamed_run();
        if ended.is_none() && is_recorded && is_owed {
            record.policy_version =
                self.gateway.budgets.charge(&call, &record, now_ms).or(record.policy_version);
        }
        if is_recorded {
            let json = told(&mut record);
            show_in_access_log(&self.gateway.config.access_log, &record, &json);
            let is_whole = self.gateway.keep(&record, &json, self.slot.take(), ended, now_ms);
            if is_collectors && !is_whole {
                // A total does not say that it has fetched work in it.
                self.gateway.budgets.charge(&call, &record, now_ms);
            }
        } else {
            self.gateway.forget(self.slot.take(), ended, now_ms);
        }
    }

    fn settle_refused(&mut self, refused: &Refused, now_ms: u64) {
        let Some(call) = self.call.take() else { return };
        let status = refused.status.unwrap_or_else(|| refused.reason.status());
        let mut record = call.denied(&self.gateway.config.gateway, status, now_ms);
        record.policy_version = self.gateway.budgets.policy().map(|policy| policy.version.clone());
        let json = record.to_json();
        show_in_access_log(&self.gateway.config.access_log, &record, &json);
        self.gateway.keep(&record, &json, None, None, now_ms);
    }

    /// Whether a call that has ended leaves a record of its own. Work that it started is remembered; work
    /// that it fetched is charged once, or told of without a cost.
    fn is_recorded(&self, call: &Call, record: &mut UsageRecord) -> bool {
        let (attribution, source) = call.attribution();
        let ids = call.leads_to();
        // Who only asks after work has not started it: the results that it is told of are for who did.
        let owner = ids.iter().find_map(|id| deferred::recall(id));
        let (starter, trust) =
            owner.as_ref().map_or((attribution, source), |work| (&work.attribution, work.source));
        for (at, id) in ids.iter().enumerate() {
            let of = ids.first().filter(|_| at > 0).map(String::as_str);
            deferred::remember(id, of, starter, trust);
        }
        if self.posts && owner.is_none() && !call.continues() {
            let started: Vec<String> =
                ids.into_iter().filter(|id| Work::tells(id)).take(STARTED_MAX).collect();
            record.work = (!started.is_empty()).then(|| Box::new(Work { started, ..Work::default() }));
        }
        if let Some(id) = &call.target().fetches {
            record.notes.push(Note::Deferred);
            // What was fetched in part is fetched again.
            let whole = record.outcome == CallOutcome::Ok;
            if !whole || !call.is_reported() {
                return false;
            }
            let is_stored = call.target().api == Api::BatchOutput;
            let of = match deferred::claim(id, is_stored, attribution, source) {
                Claim::Charged(of) => of,
                Claim::Before => return false,
                Claim::Unknown => {
                    record.leave_uncharged(Note::UnknownWork);
                    None
                }
            };
            if Work::tells(id) {
                let of = of.filter(|of| Work::tells(of));
                record.work = Some(Box::new(Work { fetched: Some(id.clone()), of, started: Vec::new() }));
            }
            return true;
        }
        let asks = call.target().api == Api::Deferred && !self.posts;
        !asks && !call.is_settled_by_turns()
    }

    /// How the exchange ended. Envoy's details tell an abort from an end, and a provider's answer from its
    /// own.
    fn ending(&self) -> Ending {
        if self.response_ended && self.status < 400 {
            return Ending::Complete;
        }
        let details = text_property(b"response\0code_details").unwrap_or_default();
        ending_of(&details, self.response_ended)
    }
}

/// The JSON of a record as it is sent: that of fetched work has the work's id, and not that of the call which
/// fetched it.
fn told(record: &mut UsageRecord) -> Vec<u8> {
    let Some(fetched) = record.work.as_ref().and_then(|work| work.fetched.as_deref()) else {
        return record.to_json();
    };
    let own = std::mem::replace(&mut record.id, work_id(&record.provider, fetched));
    let json = record.to_json();
    record.id = own;
    json
}
