//! What the calls of one plugin in one VM share.

pub(crate) mod taken;
pub(crate) mod waiting;

use std::cell::RefCell;
use std::rc::Rc;

use log::{info, warn};
use serde_json::value::RawValue;
use taken::TakenInAll;
use tollgate_core::answer::wire::Turn;
use tollgate_core::budget::policy::Policy;
use tollgate_core::call::refusal::{Reason, Refusal, refusal};
use tollgate_core::call::{Call, End};
use tollgate_core::estimate::Learned;
use tollgate_core::lean::fnv::fnv;
use tollgate_core::price::PriceBook;
use tollgate_core::protocol::config::GatewayConfig;
use tollgate_core::record::UsageRecord;
use tollgate_core::record::id::CallIds;
use tollgate_core::request::prints::PrintKey;
use waiting::Waiting;

use crate::budgets::{Budgets, Decision, DecisionInput, Ended, Refused, Ticket, Waited};
use crate::host::{self, Error};
use crate::metrics::Metrics;
use crate::shared::lane::{Dropped, JournalSlot, Kept, OwnLane};
use crate::shared::{layout, leader};

/// What the calls of one plugin in one VM share.
pub(crate) struct Gateway {
    /// The plugin's configuration.
    pub config: GatewayConfig,
    /// Key of the hash that stands for provider keys; empty where none is given.
    pub key_secret: Vec<u8>,
    /// The same, as the key of prints of requests.
    pub print_key: Option<PrintKey>,
    /// Random id of this VM.
    pub vm: u64,
    instance: String,
    ids: RefCell<CallIds>,
    book: RefCell<Option<Rc<PriceBook>>>,
    /// Which edition of the book in shared data that is.
    edition: RefCell<Vec<u8>>,
    /// This VM's part of shared data.
    pub lane: Rc<OwnLane>,
    metrics: RefCell<Metrics>,
    learned: RefCell<Learned>,
    /// Who may spend how much.
    pub budgets: Budgets,
    /// Calls that wait for the collector.
    pub waiting: Waiting,
    /// Request bodies that wait for their end.
    pub taken: TakenInAll,
}

impl Gateway {
    /// Of a VM with this random id, which is odd.
    pub(crate) fn new(mut config: GatewayConfig, vm: u64, key_secret: Vec<u8>) -> Self {
        let lane = Rc::new(OwnLane::new(vm, &config));
        Self {
            vm,
            print_key: PrintKey::of(&key_secret),
            key_secret,
            instance: leader::instance(vm),
            ids: RefCell::new(CallIds::new(vm)),
            book: RefCell::new(config.prices.take().map(Rc::new)),
            edition: RefCell::default(),
            metrics: RefCell::new(Metrics::default()),
            learned: RefCell::new(Learned::default()),
            budgets: Budgets::new(&config, Rc::clone(&lane)),
            lane,
            waiting: Waiting::default(),
            taken: TakenInAll::default(),
            config,
        }
    }

    /// A new call id.
    pub(crate) fn call_id(&self, now_ms: u64) -> String {
        self.ids.borrow_mut().next(now_ms)
    }

    /// The price book that holds now, if one is here yet.
    pub(crate) fn book(&self) -> Option<Rc<PriceBook>> {
        self.book.borrow().clone()
    }

    /// Random id of this Envoy's shared data.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether a call whose whole request is known may go on. What it holds is charged then.
    pub(crate) fn decide(&self, call: &Call, waited: Waited, now_ms: u64) -> Decision {
        match self.decide_once(call, waited, now_ms) {
            // What it lacks another VM may have got since the last tick: nobody needs to be asked then.
            Decision::Wait if self.refresh_book() => self.decide_once(call, waited, now_ms),
            decided => decided,
        }
    }

    fn decide_once(&self, call: &Call, waited: Waited, now_ms: u64) -> Decision {
        let book = self.book();
        let learned = self.learned.borrow();
        let given = DecisionInput { book: book.as_deref(), learned: &learned, now_ms, waited };
        self.budgets.decide(call, given, &mut self.metrics.borrow_mut())
    }

    /// The output limit that rules want written into a request, and the rule.
    pub(crate) fn clamp(&self, call: &mut Call, now_ms: u64) -> Option<(u64, String)> {
        let (book, learned) = (self.book(), self.learned.borrow());
        let given =
            DecisionInput { book: book.as_deref(), learned: &learned, now_ms, waited: Waited::Enough };
        self.budgets.clamp(call, given)
    }

    /// The same at once, of a call whose body cannot wait. What it lacks the collector is asked for with the
    /// next tick.
    pub(crate) fn decide_at_once(&self, call: &Call, now_ms: u64) -> Decision {
        match self.decide(call, Waited::No, now_ms) {
            Decision::Wait if self.budgets.policy().is_none() => {
                Decision::Refuse(self.crowded_out(call, waiting::TOO_LONG, now_ms))
            }
            Decision::Wait => self.decide_crowded(call, waiting::TOO_LONG, now_ms),
            decided => decided,
        }
    }

    /// The same at once, of a call that ought to wait and cannot: `message` says why, where that is why it is
    /// refused.
    pub(crate) fn decide_crowded(&self, call: &Call, message: &str, now_ms: u64) -> Decision {
        match self.decide(call, Waited::Enough, now_ms) {
            Decision::Refuse(refused) if refused.reason == Reason::BudgetBusy => {
                Decision::Refuse(self.crowded_out(call, message, now_ms))
            }
            Decision::Wait => Decision::Go(Ticket::default()),
            decided => decided,
        }
    }

    /// The refusal of a call for which there is no room among those that wait, or are under way.
    pub(crate) fn crowded_out(&self, call: &Call, message: &str, now_ms: u64) -> Refused {
        let budget = self.budgets.enforcing(call, now_ms);
        Refused { reason: Reason::BudgetBusy, budget, status: None, message: message.to_owned() }
    }

    /// Whether a running answer is still covered by what is held for it; otherwise the refusal of a budget.
    pub(crate) fn cover(&self, call: &Call, ticket: &mut Ticket) -> Option<Refused> {
        self.budgets.cover(ticket, call.output_so_far(&self.learned.borrow()))
    }

    /// Answers a call in its provider's own shape of an error, and counts that.
    pub(crate) fn refuse(&self, call: &Call, refused: &Refused, now_ms: u64) {
        self.count_refusal(call, refused, now_ms);
        let Refusal { status, headers, body } =
            refusal(call.target(), refused.reason, refused.status, &refused.message, call.id());
        let mut pairs: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pairs.push(("x-tollgate-call", call.id()));
        if let Some(budget) = &refused.budget {
            pairs.push(("x-tollgate-budget", budget));
        }
        let rule = call.refused_by();
        if let Some(rule) = &rule {
            pairs.push(("x-tollgate-rule", rule));
        }
        let details = format!("tollgate_{}", refused.reason.name());
        if host::answer(status, &details, &pairs, &body).is_err() {
            warn!("a refusal could not be sent");
        }
    }

    /// Counts a refusal.
    pub(crate) fn count_refusal(&self, call: &Call, refused: &Refused, now_ms: u64) {
        self.budgets.note_refusal(call, refused, now_ms);
        self.metrics.borrow_mut().denied(refused.reason);
    }

    /// Ends a turn that is a call of its own: with what its session's provider says of it, or where it broke
    /// off.
    pub(crate) fn settle_turn(
        &self,
        turn: &Call,
        ended: Option<Turn>,
        session: &Call,
        now_ms: u64,
    ) -> UsageRecord {
        let (book, learned) = (self.book(), self.learned.borrow());
        turn.settle_turn(ended, session, &self.config.gateway, book.as_deref(), (&learned, now_ms))
    }

    /// Ends a call, and learns from it.
    pub(crate) fn settle(&self, call: &mut Call, end: End, book: Option<&PriceBook>) -> UsageRecord {
        call.settle(end, &self.config.gateway, book, &mut self.learned.borrow_mut())
    }

    /// Notes a call under way in the journal.
    pub(crate) fn note(&self, call: &Call, ticket: &Ticket, now_ms: u64) -> Option<JournalSlot> {
        self.config.collector.as_ref()?;
        let entry = ticket.entry(&call.journal_entry(&self.config.gateway));
        let slot = self.lane.with(now_ms, |lane| lane.note(&entry)).flatten();
        if slot.is_none() && ticket.held.iter().any(|held| held.reserved_from.is_some()) {
            // Nothing would say that it was taken out of a reservation.
            self.budgets.settle_due(now_ms);
        }
        slot
    }

    /// Keeps a settled call. Its journal entry stays until the slot is used again: what a dead VM leaves
    /// there of a settled call becomes a record with the same id, which the collector given. In the place of
    /// one that holds something stands what is to be settled, until it is. Says whether the record is kept as
    /// it is, and not in a total.
    pub(crate) fn keep(
        &self,
        record: &UsageRecord,
        json: &[u8],
        slot: Option<JournalSlot>,
        mut ended: Option<Ended>,
        now_ms: u64,
    ) -> bool {
        self.metrics.borrow_mut().settled(record);
        let mut is_whole = true;
        let is_fetched = record.work.as_ref().is_some_and(|work| work.fetched.is_some());
        if self.config.collector.is_some() {
            let kept = self.lane.with(now_ms, |lane| {
                let kept = lane.keep(record, json);
                match (slot, &mut ended) {
                    (Some(slot), Some(ended)) => ended.note(lane, slot),
                    (Some(slot), None) if kept == Ok(Kept::Whole) && !is_fetched => lane.reuse(slot),
                    // A record made of its entry would not be known by its id.
                    (Some(slot), None) => lane.clear(slot),
                    (None, _) => {}
                }
                kept
            });
            is_whole = kept == Some(Ok(Kept::Whole));
            self.count_kept(kept);
        }
        if let Some(ended) = ended {
            self.budgets.finish(ended, now_ms);
        }
        is_whole
    }

    fn count_kept(&self, kept: Option<Result<Kept, Dropped>>) {
        match kept {
            Some(Ok(Kept::Whole)) => {}
            Some(Ok(Kept::Folded)) => self.count("tollgate_records_folded_total"),
            Some(Err(Dropped::OutboxFull | Dropped::Host)) => self.dropped(layout::DROPPED_OUTBOX_FULL),
            None => self.dropped(layout::DROPPED_NO_LANE),
        }
    }

    /// Forgets a call that leaves no record of its own.
    pub(crate) fn forget(&self, slot: Option<JournalSlot>, mut ended: Option<Ended>, now_ms: u64) {
        if let Some(slot) = slot {
            self.lane.with(now_ms, |lane| match &mut ended {
                Some(ended) => ended.note(lane, slot),
                None => lane.clear(slot),
            });
        }
        if let Some(ended) = ended {
            self.budgets.finish(ended, now_ms);
        }
    }

    /// Counts on a stat without labels.
    pub(crate) fn count(&self, name: &'static str) {
        self.metrics.borrow_mut().count(name, 1);
    }

    /// Tells Envoy what was counted since.
    pub(crate) fn flush_metrics(&self) {
        self.metrics.borrow_mut().flush();
    }

    fn dropped(&self, reason: &str) {
        let _ = layout::add(reason, 1);
        self.metrics.borrow_mut().count("tollgate_records_dropped_total", 1);
    }

    /// Takes over the price book in shared data, where it is another one; whether it is.
    pub(crate) fn refresh_book(&self) -> bool {
        let Ok((edition, _)) = host::shared(layout::PRICE_EDITION) else { return false };
        if edition.is_empty() || *self.edition.borrow() == edition {
            return false;
        }
        let Ok((json, _)) = host::shared(layout::PRICES) else { return false };
        match read_parts(&json) {
            Ok(book) => {
                *self.book.borrow_mut() = Some(Rc::new(book));
                *self.edition.borrow_mut() = edition;
                true
            }
            Err(error) => {
                warn!("the price book in shared data cannot be read: {error}");
                false
            }
        }
    }
}

/// The book of which these are the parts, one after the other as they came.
fn read_parts(json: &[u8]) -> serde_json::Result<PriceBook> {
    let mut all = PriceBook::default();
    for part in serde_json::Deserializer::from_slice(json).into_iter::<PriceBook>() {
        all = all.and(part?);
    }
    Ok(all)
}

/// Adds a part of the book to those that shared data has of its version, for all VMs: a row once received
/// stays, whichever VM asked for it. Where they are too many the others go, and what is needed of them is
/// asked for again. Books of one version may have different rows, so that an edition is named by all of it.
fn publish(version: &str, part: &[u8]) {
    let is_of_version = || {
        let edition = host::shared(layout::PRICE_EDITION).ok();
        edition.is_some_and(|(edition, _)| {
            edition.strip_prefix(version.as_bytes()).is_some_and(|rest| rest.starts_with(b" "))
        })
    };
    for _ in 0..PUBLISH_TRIES {
        let held = host::shared(layout::PRICES).ok();
        let is_kept = |held: &Vec<u8>| held.len() + part.len() <= PARTS_BYTES_MAX && is_of_version();
        let before = held.as_ref().map(|(held, _)| held).filter(|held| is_kept(held));
        let json = [before.map_or(&[][..], Vec::as_slice), part].concat();
        let done = match held {
            Some((_, version)) => host::swap_shared(layout::PRICES, &json, version),
            None => host::create_shared(layout::PRICES, &json),
        };
        match done {
            Ok(()) => {
                let edition = format!("{version} {:016x}", fnv(&json));
                let _ = host::set_shared(layout::PRICE_EDITION, edition.as_bytes());
                return;
            }
            Err(Error::CAS_MISMATCH) => {}
            Err(_) => return,
        }
    }
}

/// Takes over prices and a policy that came from the collector, for all VMs.
pub(crate) fn adopt(gateway: &Gateway, book: Option<&RawValue>, policy: Option<&RawValue>, now_ms: u64) {
    if let Some(part) = book.map(|book| book.get().as_bytes()) {
        match read_parts(part) {
            Ok(book) => {
                info!("price book {} with {} models from the collector", book.version(), book.models().len());
                publish(book.version(), part);
                gateway.refresh_book();
            }
            Err(error) => warn!("the price book of the collector cannot be read: {error}"),
        }
    }
    let Some(json) = policy else { return };
    match serde_json::from_slice::<Policy>(json.get().as_bytes()) {
        Ok(policy) => {
            if host::set_shared(layout::POLICY, json.get().as_bytes()).is_ok() {
                let _ = host::set_shared(layout::POLICY_EDITION, policy.version.as_bytes());
                gateway.budgets.refresh(&gateway.config, now_ms);
            }
        }
        // What it held before goes on.
        Err(error) => warn!("the policy of the collector cannot be read: {error}"),
    }
}

/// Parts of the book in shared data, as JSON: about twice what an answer of a collector brings.
const PARTS_BYTES_MAX: usize = 512 * 1024;
/// Tries to add to the book in shared data, where other VMs do too.
const PUBLISH_TRIES: u32 = 16;

#[cfg(test)]
mod tests;
