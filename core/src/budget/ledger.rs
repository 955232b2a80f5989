//! The collector's side of a budget: what one counter's gateways were granted in one window, and how much
//! more may be.
//!
//! The invariant is `seed + Σ max(granted − returned, used) ≤ limit`. A ledger is read, changed and written
//! in **one** transaction; then it holds with any number of collectors on one database, whatever is lost,
//! repeated or reordered on the way. Only a lowered limit, or a gateway that used more than it was granted
//! (calls without a bound, outage modes that allow), can leave it above; then nothing more is granted, and
//! what is unused is recalled.
//!
//! A grant is a lease with an end. A gateway admits nothing on it once its last acknowledged request is older
//! than the lease, by its own clock and counted from the sending. Here the lease lasts a hundredth longer,
//! counted from the arrival: then what the gateway has left is taken back, and only what it can have spent
//! unseen stays, as `presumed`: what its calls under way held, as providers may finish and charge them; and
//! as much as it spent in its last minute, for each minute of the lease and once at least, as bursts are
//! shorter than a minute. Never more than it had. Of a gateway that was idle when it last reported, nothing
//! stays.
//!
//! Nobody's word makes a grant: what an instance reports as granted beyond what it was granted here (after a
//! restore, or forged) is taken back with the answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Amount;

/// All accounts of one counter in one window.
///
/// ```
/// use tollgate_core::budget::Amount;
/// use tollgate_core::budget::ledger::{Ledger, Report};
///
/// let mut ledger = Ledger { limit: Amount(1_000), ..Ledger::default() };
/// let report = Report { want: Amount(100), ..Report::default() };
/// ledger.report("edge-1", &report, 0);
/// let grant = ledger.grant("edge-1", &report, 1, 0);
/// assert!(grant.granted >= Amount(100) && ledger.committed() <= ledger.limit);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ledger {
    /// The limit of this window, with what was carried over and topped up.
    pub limit: Amount,
    /// What counts besides the accounts: spent before the counter was made, in earlier parts of a rolling
    /// window, and what calls cost besides what gateways charged, as their price was found by the collector
    /// only: less than nothing where it was less.
    pub seed: Amount,
    /// What is to be added to what the accounts keep above the records' costs: less than nothing where a
    /// price was found of which the gateways knew none.
    pub kept: Amount,
    /// How long a grant may be used without being acknowledged, milliseconds.
    pub lease_ms: u64,
    /// By instance: a run of a gateway.
    pub accounts: BTreeMap<String, Account>,
    /// The instance that came short, for which all others give back what they do not use, though they may be
    /// short themselves: else what is left would lie about in parts too small for anyone. Empty: nobody is.
    pub recall_for: String,
    /// Until when.
    pub recall_until_ms: u64,
}

/// What one instance was granted and has used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// Granted in all; only grows.
    pub granted: Amount,
    /// Given back in all; only grows.
    pub returned: Amount,
    /// Used: settled costs and holds, as of `version`.
    pub used: Amount,
    /// The part of `used` that calls under way hold.
    pub held: Amount,
    /// The part of `used` above the records' costs.
    pub kept: Amount,
    /// What it reported as granted beyond what it was granted here: so much higher are its own numbers of
    /// what is granted and given back.
    pub made_up: Amount,
    /// What its calls under way held when its lease ended: they may have been charged, and stay presumed.
    pub adrift: Amount,
    /// Calls under way; once its lease has ended, those that `adrift` was held for.
    pub in_flight: u32,
    /// Calls that were refused, as each may cost more than is left.
    pub denied: u64,
    /// The instance's own count of changes: of two reports the later one holds.
    pub version: u64,
    /// When it last reported, collector's clock, Unix milliseconds UTC.
    pub seen_ms: u64,
    /// What it used lately, in units a minute, holds included: what grants are sized by.
    pub burn: Amount,
    /// What it spent in about the last minute, settled.
    pub rate: Amount,
}

/// What a gateway reports of a counter.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Granted in all, as far as it has heard.
    pub granted: Amount,
    /// Given back in all.
    pub returned: Amount,
    /// Used.
    pub used: Amount,
    /// Held by calls under way.
    pub held: Amount,
    /// Kept above the records' costs.
    pub kept: Amount,
    /// Calls under way.
    pub in_flight: u32,
    /// Calls refused, as each may cost more than is left.
    pub denied: u64,
    /// Count of changes.
    pub version: u64,
    /// How much should be free for the calls that wait or were just refused.
    pub want: Amount,
    /// What a few of its calls would hold; nothing from gateways that do not say.
    #[serde(default)]
    pub ease: Amount,
    /// Nothing was used for some seconds, and what was free above `ease` was given back.
    #[serde(default)]
    pub idle: bool,
}

/// What a gateway is told of a counter.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Grant {
    /// Granted in all.
    pub granted: Amount,
    /// Given back in all, as the collector knows it; larger than the gateway's own after a release.
    pub returned: Amount,
    /// Give back what is free above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Amount>,
    /// What others have used, spent before the counter was made included.
    pub elsewhere: Amount,
    /// The part of `elsewhere` that calls under way hold.
    pub elsewhere_held: Amount,
    /// What others are granted and have not used.
    #[serde(default)]
    pub leased_elsewhere: Amount,
    /// The part of `elsewhere` that is kept above the records' costs.
    #[serde(default)]
    pub kept_elsewhere: Amount,
    /// When the last lease ends of an instance that does not report any more, Unix milliseconds UTC; 0 where
    /// there is none.
    #[serde(default)]
    pub leased_until_ms: u64,
    /// The limit of this window.
    pub limit: Amount,
    /// What became of the `want`.
    pub want: Want,
    /// The version that this answers.
    pub acknowledged: u64,
}

/// What became of a gateway's `want`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// It is granted, or there was none.
    #[default]
    Granted,
    /// Not all of it is there now, but others were asked to give back what they do not use: ask again soon.
    Recalling,
    /// There is no more.
    Exhausted,
}

impl Account {
    /// What counts against the limit.
    pub fn committed(&self) -> Amount {
        self.granted.minus(self.returned).max(self.used)
    }

    /// What it was granted and has neither used nor given back.
    pub fn unused(&self) -> Amount {
        self.granted.minus(self.returned).minus(self.used).or_nothing()
    }

    /// Whether an instance that reports this has nothing under way and has used nothing lately.
    fn is_at_rest(&self, report: &Report) -> bool {
        report.idle && report.held == Amount::ZERO && report.in_flight == 0 && report.used <= self.used
    }

    /// Calls under way, as far as they may still be.
    pub fn calls_under_way(&self) -> u32 {
        if self.adrift > Amount::ZERO { 0 } else { self.in_flight }
    }

    /// Whether it has reported lately, and its lease has not ended with calls under way.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.adrift == Amount::ZERO && now_ms.saturating_sub(self.seen_ms) <= LIVE_MS
    }
}

impl Ledger {
    /// What counts against the limit, in all.
    pub fn committed(&self) -> Amount {
        self.accounts.values().map(Account::committed).fold(self.seed, Amount::plus)
    }

    /// What was used, calls under way included.
    pub fn used(&self) -> Amount {
        self.accounts.values().fold(self.seed, |sum, account| sum.plus(account.used))
    }

    /// What calls under way hold.
    pub fn held(&self) -> Amount {
        self.accounts.values().fold(Amount::ZERO, |sum, account| sum.plus(account.held))
    }

    /// What is spent: of what is used, that which calls under way and to come do not hold; all of it where it
    /// is as much as the limit.
    pub fn spent(&self) -> Amount {
        let used = self.used();
        if used >= self.limit { used } else { used.minus(self.held()) }
    }

    /// What is granted and not used by instances that do not report any more: it counts until they do, the
    /// window ends, or it is released.
    pub fn presumed(&self, now_ms: u64) -> Amount {
        let gone = self.accounts.values().filter(|account| !account.is_live(now_ms));
        gone.fold(Amount::ZERO, |sum, account| sum.plus(account.unused()))
    }

    /// Takes in a report. An older one than the last changes no count, but totals that only grow are merged.
    pub fn report(&mut self, instance: &str, report: &Report, now_ms: u64) {
        let account = self.accounts.entry(instance.to_owned()).or_default();
        account.made_up = account.made_up.max(report.granted.minus(account.granted));
        account.returned = account.returned.max(report.returned.minus(account.made_up));
        if report.version >= account.version {
            account.burn = if report.idle { Amount::ZERO } else { burn(account, report, now_ms) };
            account.rate =
                if account.is_at_rest(report) { Amount::ZERO } else { rate(account, report, now_ms) };
            account.used = report.used;
            account.held = report.held;
            account.adrift = Amount::ZERO;
            account.kept = report.kept;
            account.in_flight = report.in_flight;
            account.denied = account.denied.max(report.denied);
            account.version = report.version;
        }
        account.seen_ms = account.seen_ms.max(now_ms);
    }

    /// Grants what there is: enough for what the instance burns in a minute, at most its share of what
    /// remains, and at least what it wants where that is there. `live` is the number of gateways that report.
    pub fn grant(&mut self, instance: &str, report: &Report, live: usize, now_ms: u64) -> Grant {
        let want = report.want;
        let available = self.limit.minus(self.committed()).or_nothing();
        let remaining = self.limit.minus(self.used()).or_nothing();
        let share = Amount(remaining.0 / (2 * i128::try_from(live.max(1)).unwrap_or(1)));
        let unused_elsewhere = self.others(instance).filter(|account| account.is_live(now_ms));
        let unused_elsewhere = unused_elsewhere.fold(Amount::ZERO, |sum, account| sum.plus(account.unused()));
        let for_another = now_ms < self.recall_until_ms && self.recall_for != instance;
        let over_granted = self.limit < self.committed();
        let account = self.accounts.entry(instance.to_owned()).or_default();
        let free = account.granted.minus(account.returned).minus(account.used);
        let says_ease = report.ease > Amount::ZERO || report.idle;
        let ease = if says_ease { report.ease } else { Amount(self.limit.0 / EASE_PARTS) };
        let at_ease = account.burn.max(ease).min(share);
        let aim = if for_another { Amount::ZERO } else { at_ease.max(want) };
        // What it used beyond its grant counts already.
        let beyond = Amount::ZERO.minus(free).or_nothing();
        let given = aim.minus(free).or_nothing().min(available.plus(beyond));
        account.granted = account.granted.plus(given);
        let free = free.plus(given);
        let short = want > free && want > Amount::ZERO;
        let keep = if for_another || over_granted {
            Some(Amount::ZERO)
        } else {
            // Far more than it needs, while others may come short.
            let enough = at_ease.max(want);
            (free.0 > enough.0.saturating_mul(4) && available < at_ease).then_some(enough)
        };
        let became = match short {
            false => Want::Granted,
            true if unused_elsewhere > Amount::ZERO || for_another => Want::Recalling,
            true => Want::Exhausted,
        };
        if !for_another {
            let recalls = became == Want::Recalling;
            self.recall_for = if recalls { instance.to_owned() } else { String::new() };
            self.recall_until_ms = if recalls { now_ms.saturating_add(RECALL_MS) } else { 0 };
        }
        Grant { keep, want: became, ..self.standing(instance, now_ms) }
    }

    /// What an instance is told of a window that is over, or of a budget that is gone: nothing more is
    /// granted, and what is unused is asked back.
    pub fn last_word(&self, instance: &str, now_ms: u64) -> Grant {
        Grant { keep: Some(Amount::ZERO), want: Want::Exhausted, ..self.standing(instance, now_ms) }
    }

    /// How the counter stands, for one instance, in whose own numbers its grant is told.
    fn standing(&self, instance: &str, now_ms: u64) -> Grant {
        let account = self.accounts.get(instance).cloned().unwrap_or_default();
        let sum = |of: fn(&Account) -> Amount| {
            self.others(instance).fold(Amount::ZERO, |sum, account| sum.plus(of(account)))
        };
        let silent = |account: &&Account| !account.is_live(now_ms) && account.unused() > Amount::ZERO;
        let ends = self.others(instance).filter(silent).map(|account| account.lease_ends_ms(self.lease_ms));
        Grant {
            granted: account.granted.plus(account.made_up),
            returned: account.returned.plus(account.made_up),
            keep: None,
            elsewhere: self.used().minus(account.used),
            elsewhere_held: self.held().minus(account.held),
            leased_elsewhere: sum(Account::unused),
            kept_elsewhere: self.kept_in_all().minus(account.kept),
            leased_until_ms: ends.filter(|end| *end > now_ms).max().unwrap_or(0),
            limit: self.limit,
            want: Want::Granted,
            acknowledged: account.version,
        }
    }

    fn others(&self, instance: &str) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(move |(name, _)| *name != instance).map(|(_, account)| account)
    }

    /// What is kept above the records' costs, in all.
    pub fn kept_in_all(&self) -> Amount {
        self.accounts.values().fold(self.kept, |sum, account| sum.plus(account.kept))
    }

    /// Ends the leases of instances of which nothing was heard for longer: takes back what they had left and
    /// what their calls under way held, but for what they can have spent unseen. `heard_ms` says when an
    /// instance was heard of last, of whichever counter. Gives the instances whose account changed; done
    /// again it changes nothing.
    ///
    /// Should such a gateway come back, what it reports counts all the same.
    pub fn end_leases(&mut self, heard_ms: &dyn Fn(&str) -> u64, now_ms: u64) -> Vec<String> {
        let mut ended = Vec::new();
        for (instance, account) in &mut self.accounts {
            account.seen_ms = account.seen_ms.max(heard_ms(instance));
            if now_ms >= account.lease_ends_ms(self.lease_ms) && account.end_lease(self.lease_ms) {
                ended.push(instance.clone());
            }
        }
        ended
    }

    /// Records say that so much was spent in all. What an instance whose lease has ended was granted is used
    /// as far as nothing else explains that: of some calls it had shipped the records, and not said yet that
    /// they had ended. Gives how much that is.
    pub fn was_spent(&mut self, instance: &str, recorded: Amount) -> Amount {
        let missing = recorded.minus(self.used().minus(self.kept_in_all())).or_nothing();
        let Some(account) = self.accounts.get_mut(instance) else { return Amount::ZERO };
        let found = missing.min(account.unused().or_nothing());
        account.used = account.used.plus(found);
        account.adrift = account.adrift.minus(found).or_nothing();
        found
    }

    /// Takes back what a gateway that is gone has not used; true where that was anything. Should it come
    /// back, it hears of it with its first answer; what it spent until then counts all the same.
    pub fn release(&mut self, instance: &str) -> Amount {
        let Some(account) = self.accounts.get_mut(instance) else { return Amount::ZERO };
        let unused = account.unused();
        account.returned = account.returned.plus(unused);
        unused
    }
}

impl Account {
    /// When its lease ends where nothing more is heard of it: a hundredth later than by the gateway's own
    /// clock.
    pub const fn lease_ends_ms(&self, lease_ms: u64) -> u64 {
        self.seen_ms.saturating_add(lease_ms).saturating_add(lease_ms / 100)
    }

    /// Takes back what it has left, but for what it can have spent unseen and what its calls under way hold,
    /// which may be charged all the same: that is presumed from now on, and not used. False where that
    /// changes nothing.
    fn end_lease(&mut self, lease_ms: u64) -> bool {
        let held = std::mem::take(&mut self.held);
        self.used = self.used.minus(held);
        self.adrift = self.adrift.plus(held);
        if self.adrift == Amount::ZERO {
            self.in_flight = 0;
        }
        let unseen = Amount(self.rate.0.saturating_mul(i128::from(lease_ms).max(MINUTE_MS)) / MINUTE_MS);
        // Where less was granted than its calls hold, that much was never its to spend: it is granted now.
        self.granted = self.granted.plus(self.adrift.minus(self.unused()).or_nothing().min(held));
        let back = self.unused().minus(self.adrift).minus(unseen).or_nothing();
        self.returned = self.returned.plus(back);
        held > Amount::ZERO || back > Amount::ZERO
    }

    /// The record of a call has come by another way than from its gateway, which is not heard of any more:
    /// what may have been held for it there is not presumed any longer; where it had no call under way, as
    /// much as it cost. Gives how much that was.
    pub fn found(&mut self, cost: Amount) -> Amount {
        let calls = i128::from(self.in_flight);
        let held = self.held.plus(self.adrift).or_nothing();
        if calls == 0 || held == Amount::ZERO {
            let back = cost.min(self.unused().minus(self.adrift).or_nothing());
            self.returned = self.returned.plus(back);
            return back;
        }
        // Nobody knows which of them it was.
        let one = Amount(held.0 / calls);
        self.in_flight = self.in_flight.saturating_sub(1);
        let of_held = one.min(self.held);
        self.held = self.held.minus(of_held);
        self.used = self.used.minus(of_held);
        self.adrift = self.adrift.minus(one.minus(of_held));
        self.returned = self.returned.plus(one.min(self.unused()));
        one
    }
}

/// What an instance spent in about the last minute: of what it was thought to have, the part that is not a
/// minute ago, and what it spent since.
fn rate(account: &Account, report: &Report, now_ms: u64) -> Amount {
    let spent = report.used.minus(report.held).minus(account.used.minus(account.held)).or_nothing().0;
    let since_ms = i128::from(now_ms.saturating_sub(account.seen_ms));
    if account.seen_ms == 0 || since_ms == 0 {
        return Amount(account.rate.0.saturating_add(spent));
    }
    if since_ms >= MINUTE_MS {
        return Amount(spent.saturating_mul(MINUTE_MS) / since_ms);
    }
    let before = account.rate.0.saturating_mul(MINUTE_MS - since_ms) / MINUTE_MS;
    Amount(before.saturating_add(spent))
}

/// What an instance uses in a minute: half of what it was thought to, and half of what it used since.
fn burn(account: &Account, report: &Report, now_ms: u64) -> Amount {
    let since_ms = i128::from(now_ms.saturating_sub(account.seen_ms));
    if account.seen_ms == 0 || since_ms == 0 {
        return account.burn.max(report.used.or_nothing().min(Amount(i128::MAX / MINUTE_MS)));
    }
    let used = report.used.minus(account.used).or_nothing().0;
    let lately = used.saturating_mul(MINUTE_MS) / since_ms;
    Amount(account.burn.0 / 2 + lately / 2)
}

/// An instance that has not reported for so long may be gone.
pub const LIVE_MS: u64 = 15_000;
/// A gateway that came short asks again within this time; if it does not, it is another's turn.
const RECALL_MS: u64 = 3_000;
/// A gateway that does not say what a few of its calls hold is granted this part of the limit, so that its
/// first calls do not wait.
const EASE_PARTS: i128 = 200;
const MINUTE_MS: i128 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(limit: i128) -> Ledger {
        Ledger { limit: Amount(limit), ..Ledger::default() }
    }

    fn want(amount: i128) -> Report {
        Report { want: Amount(amount), ..Report::default() }
    }

    fn report(granted: i128, used: i128, version: u64) -> Report {
        Report { granted: Amount(granted), used: Amount(used), version, ..Report::default() }
    }

    #[test]
    fn a_want_is_granted_as_long_as_the_limit_has_it() {
        let mut ledger = ledger(100);
        let first = ledger.grant("a", &want(60), 2, 1);
        assert_eq!((first.granted, first.want), (Amount(60), Want::Granted));
        ledger.report("a", &report(60, 60, 1), 1);
        let second = ledger.grant("b", &want(60), 2, 1);
        assert_eq!((second.granted, second.want), (Amount(40), Want::Exhausted));
        assert_eq!(ledger.committed(), Amount(100));
    }

    #[test]
    fn what_is_held_is_not_spent_while_something_is_left() {
        let mut ledger = ledger(100);
        ledger.grant("a", &want(100), 1, 1);
        ledger.report("a", &Report { held: Amount(30), ..report(100, 80, 1) }, 1);
        assert_eq!((ledger.used(), ledger.spent()), (Amount(80), Amount(50)));
        ledger.report("a", &Report { held: Amount(30), ..report(100, 100, 2) }, 1);
        assert_eq!(ledger.spent(), Amount(100));
    }

    #[test]
    fn what_others_do_not_use_is_recalled() {
        let mut ledger = ledger(100);
        ledger.grant("a", &want(100), 2, 1);
        ledger.report("a", &report(100, 30, 1), 1);
        assert_eq!(ledger.grant("b", &want(50), 2, 1).want, Want::Recalling);
        let answer = ledger.grant("a", &want(0), 2, 2);
        assert_eq!(answer.keep, Some(Amount::ZERO));
        ledger.report("a", &Report { returned: Amount(70), ..report(100, 30, 2) }, 3);
        let answer = ledger.grant("b", &want(50), 2, 3);
        assert_eq!((answer.granted, answer.want), (Amount(50), Want::Granted));
    }

    #[test]
    fn parts_too_small_for_anyone_come_to_one() {
        let mut ledger = ledger(90);
        for (instance, version) in [("a", 1), ("b", 1), ("c", 1)] {
            ledger.grant(instance, &want(30), 3, 1);
            ledger.report(instance, &report(30, 10, version), 1);
        }
        assert_eq!(ledger.grant("a", &want(50), 3, 2).want, Want::Recalling);
        for instance in ["b", "c"] {
            let answer = ledger.grant(instance, &want(50), 3, 3);
            assert_eq!((answer.keep, answer.want), (Some(Amount::ZERO), Want::Recalling), "short itself");
            let returned = Report { returned: Amount(20), ..report(30, 10, 2) };
            ledger.report(instance, &returned, 3);
        }
        assert_eq!(ledger.grant("b", &want(50), 3, 4).granted, Amount(30), "it is not its turn");
        let answer = ledger.grant("a", &want(50), 3, 5);
        assert_eq!((answer.granted, answer.want), (Amount(60), Want::Granted));
        assert_eq!(ledger.recall_for, "");
    }

    #[test]
    fn repeated_and_late_reports_change_nothing() {
        let mut ledger = ledger(100);
        ledger.grant("a", &want(50), 1, 1);
        ledger.report("a", &report(50, 20, 5), 1);
        let after = ledger.clone();
        ledger.report("a", &report(50, 45, 4), 1);
        ledger.report("a", &report(10, 20, 5), 1);
        assert_eq!(ledger.accounts["a"].used, after.accounts["a"].used);
        assert_eq!(ledger.committed(), after.committed());
    }

    #[test]
    fn a_gateway_that_is_gone_keeps_its_grant_until_it_is_released() {
        let mut ledger = ledger(100);
        ledger.grant("a", &want(80), 1, 1);
        ledger.report("a", &report(80, 20, 1), 1);
        let later = 2 + LIVE_MS;
        assert_eq!(ledger.presumed(later), Amount(60));
        assert_eq!(ledger.grant("b", &want(50), 1, later).want, Want::Exhausted);
        assert_eq!(ledger.release("a"), Amount(60));
        assert_eq!(ledger.grant("b", &want(50), 1, later).want, Want::Granted);
        assert!(ledger.committed() <= Amount(100));
    }

    /// What it had left goes back; what its calls under way held, and what it can have spent unseen, stays.
    #[test]
    fn a_grant_ends_with_its_lease() {
        let silent = |_: &str| 0;
        let mut ledger = Ledger { lease_ms: 60_000, ..ledger(1_000) };
        ledger.grant("a", &want(800), 1, 1);
        ledger.report("a", &report(800, 0, 1), 1);
        // 30 of its 330 are spent, the rest is held.
        ledger.report("a", &Report { held: Amount(300), in_flight: 3, ..report(800, 330, 2) }, 10_001);
        let before = ledger.clone();
        assert_eq!(ledger.end_leases(&silent, 10_001 + 60_599), Vec::<String>::new());
        assert_eq!(
            ledger.end_leases(&|_| 10_002, 10_001 + 60_600),
            Vec::<String>::new(),
            "heard of elsewhere"
        );
        assert_eq!(ledger.end_leases(&silent, 10_002 + 60_600), ["a"]);
        assert_eq!((ledger.used(), ledger.held()), (Amount(30), Amount::ZERO));
        let presumed = Amount(300 + 30);
        assert_eq!(ledger.presumed(10_002 + 60_600), presumed, "its calls, and what it spends in a minute");
        assert_eq!(ledger.end_leases(&silent, 10_003 + 60_600), Vec::<String>::new(), "once");
        assert_eq!(ledger.presumed(99_000), presumed);
        assert_eq!(ledger.grant("b", &want(940), 1, 71_000).granted, Amount(640));
        // It comes back: what it used counts, and nothing more is admitted on what was taken back.
        ledger.report("a", &report(800, 330, 3), 80_000);
        assert_eq!((ledger.used(), ledger.accounts["a"].adrift), (Amount(330), Amount::ZERO));
        let answer = ledger.grant("a", &want(0), 2, 80_000);
        assert!(answer.granted.minus(answer.returned) <= Amount(360), "{answer:?}");
        assert_eq!(before.presumed(80_000), Amount(470));
    }

    #[test]
    fn what_a_burst_began_before_its_gateway_was_killed_is_not_spent_by_others() {
        let mut ledger = Ledger { lease_ms: 4_000, ..ledger(1_000) };
        ledger.grant("a", &want(400), 1, 1);
        // In less than a second 100 are spent, and calls for 60 are under way.
        ledger.report("a", &report(400, 0, 1), 100);
        ledger.report("a", &Report { held: Amount(60), in_flight: 9, ..report(400, 160, 2) }, 700);
        ledger.end_leases(&|_| 0, 700 + 4_040);
        assert_eq!((ledger.used(), ledger.committed()), (Amount(100), Amount(260)));
        assert!(ledger.grant("b", &want(900), 1, 5_000).granted <= Amount(740));
    }

    /// All that it was granted is under way when it is killed, and more than that where its budget lets calls
    /// pass.
    #[test]
    fn calls_that_were_under_way_when_their_gateway_fell_silent_stay_presumed() {
        for (granted, used, held) in [(400, 400, 400), (400, 380, 100), (100, 250, 200), (0, 50, 50)] {
            let mut ledger = Ledger { lease_ms: 10_000, ..ledger(1_000) };
            ledger.grant("a", &want(granted), 1, 1);
            ledger.report("a", &Report { held: Amount(held), in_flight: 4, ..report(granted, used, 1) }, 1);
            let now_ms = 1 + 10_100;
            ledger.end_leases(&|_| 0, now_ms);
            assert_eq!((ledger.held(), ledger.used()), (Amount::ZERO, Amount(used - held)));
            assert!(ledger.presumed(now_ms + LIVE_MS) >= Amount(held), "{granted} {used} {held}");
            assert!(ledger.committed() >= Amount(used), "{granted} {used} {held}");
            let left = 1_000 - ledger.committed().0;
            assert_eq!(ledger.grant("b", &want(1_000), 1, now_ms).granted, Amount(left));
            // Whoever knows better takes it back.
            ledger.release("a");
            assert_eq!(ledger.accounts["a"].committed(), Amount(used - held));
        }
    }

    /// Their records come from the access log, before the lease ends or after.
    #[test]
    fn a_call_that_is_found_is_not_presumed_any_longer() {
        for ends_first in [true, false] {
            let mut ledger = Ledger { lease_ms: 10_000, ..ledger(1_000) };
            ledger.grant("a", &want(400), 1, 1);
            ledger.report("a", &Report { held: Amount(300), in_flight: 3, ..report(400, 300, 1) }, 1);
            if ends_first {
                ledger.end_leases(&|_| 0, 20_000);
            }
            let account = ledger.accounts.get_mut("a").unwrap();
            assert_eq!(account.found(Amount(7)), Amount(100), "{ends_first}");
            assert_eq!(account.found(Amount(7)), Amount(100), "{ends_first}");
            ledger.end_leases(&|_| 0, 20_000);
            assert_eq!(ledger.accounts["a"].committed().minus(ledger.used()), Amount(100), "{ends_first}");
            let account = ledger.accounts.get_mut("a").unwrap();
            let found = (account.found(Amount(7)), account.found(Amount(7)));
            assert_eq!(found, (Amount(100), Amount::ZERO), "{ends_first}");
            assert_eq!((ledger.committed(), ledger.used()), (Amount::ZERO, Amount::ZERO), "{ends_first}");
        }
    }

    /// A gateway that is restarted properly has no call under way and says that it is idle, or that it ends.
    #[test]
    fn restarts_leave_nothing_once_leases_have_ended() {
        let mut ledger = Ledger { lease_ms: 600_000, ..ledger(1_000) };
        let mut now_ms = 1;
        for round in 0..6 {
            let instance = format!("run-{round}");
            let granted = ledger.grant(&instance, &want(200), 1, now_ms).granted;
            assert!(granted >= Amount(200), "round {round}");
            now_ms += 1_000;
            ledger.report(&instance, &Report { held: Amount(180), ..report(granted.0, 190, 1) }, now_ms);
            now_ms += 1_000;
            ledger.report(&instance, &report(granted.0, 20, 2), now_ms);
            now_ms += 3_000;
            let returned = granted.minus(Amount(20));
            let idle = Report { returned, idle: true, ..report(granted.0, 20, 3) };
            ledger.report(&instance, &idle, now_ms);
            let answer = ledger.grant(&instance, &idle, 1, now_ms);
            assert_eq!(answer.granted.minus(answer.returned), Amount(20), "an idle one is granted nothing");
            now_ms += 1_000;
        }
        assert_eq!(ledger.committed(), Amount(120), "within the leases too");
        ledger.end_leases(&|_| 0, now_ms + 700_000);
        assert_eq!((ledger.committed(), ledger.used()), (Amount(120), Amount(120)));
    }

    /// It was idle, with room for a few calls, when it was last heard of: however much it had spent just
    /// before.
    #[test]
    fn of_an_idle_gateway_nothing_is_presumed_once_its_lease_has_ended() {
        let mut ledger = Ledger { lease_ms: 10_000, ..ledger(1_000) };
        ledger.grant("a", &want(400), 1, 1);
        ledger.report("a", &report(400, 0, 1), 1);
        ledger.report("a", &report(400, 300, 2), 1_000);
        let idle = Report { idle: true, ease: Amount(40), returned: Amount(60), ..report(400, 300, 3) };
        ledger.report("a", &idle, 5_000);
        assert_eq!(ledger.presumed(5_001 + LIVE_MS), Amount(40), "its lease has not ended");
        ledger.end_leases(&|_| 0, 5_000 + 10_100);
        assert_eq!(ledger.committed(), Amount(300));
        // One with a call under way is not at rest.
        ledger.report("b", &Report { idle: true, held: Amount(50), in_flight: 1, ..report(0, 50, 1) }, 6_000);
        ledger.end_leases(&|_| 0, 6_000 + 10_100);
        assert_eq!(ledger.committed(), Amount(350));
    }

    #[test]
    fn a_quiet_gateway_s_grant_is_taken_back_whole() {
        let mut ledger = Ledger { lease_ms: 10_000, ..ledger(1_000) };
        ledger.grant("a", &want(400), 1, 1_000);
        ledger.report("a", &report(400, 90, 1), 2_000);
        for (version, second) in (2..).zip(3..=300) {
            ledger.report("a", &report(400, 90, version), second * 1_000);
        }
        ledger.end_leases(&|_| 0, 300_000 + 10_100);
        assert_eq!((ledger.committed(), ledger.used()), (Amount(90), Amount(90)));
    }

    #[test]
    fn an_idle_gateway_is_granted_what_a_few_of_its_calls_hold() {
        let mut ledger = ledger(10_000);
        let said = Report { ease: Amount(40), want: Amount(10), ..Report::default() };
        assert_eq!(ledger.grant("a", &said, 1, 1).granted, Amount(40));
        // It gave back what it had above that, and is not given it again.
        ledger.report("a", &Report { ease: Amount(40), ..report(40, 10, 1) }, 1_000);
        let idle = Report { ease: Amount(40), idle: true, ..report(40, 10, 2) };
        ledger.report("a", &idle, 2_000);
        let granted = ledger.grant("a", &idle, 1, 2_000).granted;
        ledger.report("a", &Report { ease: Amount(40), idle: true, ..report(granted.0, 10, 3) }, 3_000);
        assert_eq!(ledger.grant("a", &idle, 1, 3_000).granted, granted);
    }

    #[test]
    fn a_gateway_hears_what_holds_the_rest() {
        let mut ledger = Ledger { lease_ms: 60_000, ..ledger(1_000) };
        ledger.grant("a", &want(500), 2, 1);
        ledger.report("a", &Report { kept: Amount(40), held: Amount(100), ..report(500, 200, 1) }, 1);
        let heard = ledger.grant("b", &want(600), 2, 2);
        assert_eq!((heard.elsewhere, heard.elsewhere_held), (Amount(200), Amount(100)));
        assert_eq!((heard.leased_elsewhere, heard.kept_elsewhere), (Amount(300), Amount(40)));
        assert_eq!((heard.leased_until_ms, heard.want), (0, Want::Recalling), "it reports");
        let heard = ledger.grant("b", &want(600), 1, 2 + LIVE_MS);
        assert_eq!((heard.leased_until_ms, heard.want), (60_601, Want::Exhausted));
    }

    #[test]
    fn a_lowered_limit_recalls_and_grants_nothing_more() {
        let mut ledger = ledger(100);
        ledger.grant("a", &want(80), 1, 1);
        ledger.report("a", &report(80, 20, 1), 1);
        ledger.limit = Amount(50);
        let answer = ledger.grant("a", &want(5), 1, 2);
        assert_eq!((answer.granted, answer.keep), (Amount(80), Some(Amount::ZERO)));
        assert_eq!(ledger.grant("b", &want(5), 1, 2).granted, Amount::ZERO);
    }

    /// After a restore from a backup; or what somebody with a token makes up.
    #[test]
    fn nobody_is_granted_what_they_say_they_were() {
        for said in [90, 1_000, 10i128.pow(18), 10i128.pow(30)] {
            let mut ledger = ledger(100);
            ledger.grant("a", &want(20), 2, 1);
            ledger.report("a", &report(said, 15, 7), 1);
            assert_eq!(ledger.committed(), Amount(20), "{said}");
            // In its own numbers it has what it was granted here.
            for want_now in [0, 25] {
                let answer = ledger.grant("a", &want(want_now), 2, 1);
                let account = &ledger.accounts["a"];
                assert_eq!(answer.granted.minus(answer.returned), account.granted.minus(account.returned));
                assert!(account.unused() >= Amount(want_now) && ledger.committed() <= Amount(45), "{said}");
            }
            // What it gives back is its own, and old news of it change nothing.
            let answer = ledger.grant("a", &want(0), 2, 1);
            let heard = Report { returned: answer.returned, ..report(answer.granted.0, 15, 8) };
            let unused = ledger.accounts["a"].unused();
            let gave = Report { returned: answer.returned.plus(unused), version: 9, ..heard.clone() };
            for report in [&heard, &gave, &report(said, 15, 7), &gave] {
                ledger.report("a", report, 3);
            }
            assert_eq!(ledger.committed(), Amount(15), "{said}");
            assert_eq!(ledger.grant("b", &want(85), 2, 3).granted, Amount(85), "{said}");
        }
    }

    #[test]
    fn a_restored_ledger_learns_what_gateways_have_used() {
        let mut ledger = ledger(100);
        ledger.report("a", &report(90, 70, 7), 1);
        assert_eq!(ledger.committed(), Amount(70));
        let answer = ledger.grant("a", &want(0), 1, 1);
        assert!(answer.granted.minus(answer.returned) <= Amount(100));
    }
}
