//! The collector's side of a budget: what one counter's gateways were granted in one window, and how much more may be.
//!
//! The invariant is `seed + Σ max(granted − returned, used) ≤ limit`. A ledger is read, changed and written in **one**
//! transaction; then it holds with any number of collectors on one database, whatever is lost, repeated or reordered
//! on the way. Only a lowered limit, or a gateway that used more than it was granted (calls without a bound, outage
//! modes that allow), can leave it above; then nothing more is granted, and what is unused is recalled.
//!
//! A grant is a lease with an end. A gateway admits nothing on it once its last acknowledged request is older than the
//! lease, by its own clock and counted from the sending. Here the lease lasts a hundredth longer, counted from the arrival:
//! then what the gateway has left is taken back, and only what it can have spent unseen stays, as `presumed`:
//! as much as it spent in its last minute, for each minute of the lease and once at least, as bursts are shorter than a minute;
//! and never more than it had left.

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
    /// What counts besides the accounts: spent before the counter was made, in earlier parts of a rolling window, and what
    /// calls cost besides what gateways charged, as their price was found by the collector only: less than nothing where it
    /// was less.
    pub seed: Amount,
    /// What is to be added to what the accounts keep above the records' costs: less than nothing where a price was found of
    /// which the gateways knew none.
    pub kept: Amount,
    /// How long a grant may be used without being acknowledged, milliseconds.
    pub lease_ms: u64,
    /// By instance: a run of a gateway.
    pub accounts: BTreeMap<String, Account>,
    /// The instance that came short, for which all others give back what they do not use, though they may be short
    /// themselves: else what is left would lie about in parts too small for anyone. Empty: nobody is.
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
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that were refused.
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
    /// Calls refused.
    pub denied: u64,
    /// Count of changes.
    pub version: u64,
    /// How much should be free for the calls that wait or were just refused.
    pub want: Amount,
    /// What a few of its calls would hold; nothing from gateways that do not say.
    #[serde(default)]
    pub ease: Amount,
    /// Nothing was used for some seconds: what is free above `ease` was given back.
    #[serde(default)]
    pub idle: bool,
}

/// What a gateway is told of a counter.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
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
    /// When the last lease ends of an instance that does not report any more, Unix milliseconds UTC; 0 where there is none.
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

    /// Whether it has reported lately.
    pub const fn is_live(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.seen_ms) <= LIVE_MS
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

    /// What is spent: of what is used, that which calls under way and to come do not hold; all of it where it is as much as
    /// the limit.
    pub fn spent(&self) -> Amount {
        let used = self.used();
        if used >= self.limit { used } else { used.minus(self.held()) }
    }

    /// What is granted and not used by instances that do not report any more: it counts until they do, the window
    /// ends, or it is released.
    pub fn presumed(&self, now_ms: u64) -> Amount {
        let gone = self.accounts.values().filter(|account| !account.is_live(now_ms));
        gone.fold(Amount::ZERO, |sum, account| sum.plus(account.unused()))
    }

    /// Takes in a report. An older one than the last changes no count, but totals that only grow are merged.
    pub fn report(&mut self, instance: &str, report: &Report, now_ms: u64) {
        let account = self.accounts.entry(instance.to_owned()).or_default();
        account.granted = account.granted.max(report.granted);
        account.returned = account.returned.max(report.returned);
        if report.version >= account.version {
            account.burn = if report.idle { Amount::ZERO } else { burn(account, report, now_ms) };
            account.rate = rate(account, report, now_ms);
            account.used = report.used;
            account.held = report.held;
            account.kept = report.kept;
            account.in_flight = report.in_flight;
            account.denied = account.denied.max(report.denied);
            account.version = report.version;
        }
        account.seen_ms = account.seen_ms.max(now_ms);
    }

    /// Grants what there is: enough for what the instance burns in a minute, at most its share of what remains, and at
    /// least what it wants where that is there. `live` is the number of gateways that report.
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
        let ease = if report.ease > Amount::ZERO { report.ease } else { Amount(self.limit.0 / EASE_PARTS) };
        let at_ease = account.burn.max(ease).min(share);
        let aim = if for_another { Amount::ZERO } else { at_ease.max(want) };
        let given = aim.minus(free).or_nothing().min(available);
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

    /// What an instance is told of a window that is over, or of a budget that is gone: nothing more is granted, and what
    /// is unused is asked back.
    pub fn last_word(&self, instance: &str, now_ms: u64) -> Grant {
        Grant { keep: Some(Amount::ZERO), want: Want::Exhausted, ..self.standing(instance, now_ms) }
    }

    /// How the counter stands, for one instance.
    fn standing(&self, instance: &str, now_ms: u64) -> Grant {
        let account = self.accounts.get(instance).cloned().unwrap_or_default();
        let sum = |of: fn(&Account) -> Amount| {
            self.others(instance).fold(Amount::ZERO, |sum, account| sum.plus(of(account)))
        };
        let silent = |account: &&Account| !account.is_live(now_ms) && account.unused() > Amount::ZERO;
        let ends = self.others(instance).filter(silent).map(|account| account.lease_ends_ms(self.lease_ms));
        Grant {
            granted: account.granted,
            returned: account.returned,
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

    /// Ends the leases of instances of which nothing was heard for longer: takes back what they had left and what their
    /// calls under way held, but for what they can have spent unseen. `heard_ms` says when an instance was heard of last,
    /// of whichever counter. Gives the instances whose account changed; done again it changes nothing.
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

    /// Takes back what a gateway that is gone has not used; true where that was anything. Should it come back, it hears
    /// of it with its first answer; what it spent until then counts all the same.
    pub fn release(&mut self, instance: &str) -> Amount {
        let Some(account) = self.accounts.get_mut(instance) else { return Amount::ZERO };
        let unused = account.unused();
        account.returned = account.returned.plus(unused);
        unused
    }
}

impl Account {
    /// When its lease ends where nothing more is heard of it: a hundredth later than by the gateway's own clock.
    pub const fn lease_ends_ms(&self, lease_ms: u64) -> u64 {
        self.seen_ms.saturating_add(lease_ms).saturating_add(lease_ms / 100)
    }

    /// Takes back what it has left, and what its calls under way hold, but for what it can have spent unseen; false where
    /// that changes nothing.
    fn end_lease(&mut self, lease_ms: u64) -> bool {
        let unseen = Amount(self.rate.0.saturating_mul(i128::from(lease_ms).max(MINUTE_MS)) / MINUTE_MS);
        let held = std::mem::take(&mut self.held);
        self.used = self.used.minus(held);
        self.in_flight = 0;
        let back = self.unused().minus(unseen).or_nothing();
        self.returned = self.returned.plus(back);
        held > Amount::ZERO || back > Amount::ZERO
    }
}

/// What an instance spent in about the last minute: of what it was thought to have, the part that is not a minute ago,
/// and what it spent since.
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
/// A gateway that does not say what a few of its calls hold is granted this part of the limit, so that its first calls do
/// not wait.
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

    /// What it had left goes back, and what its calls held; what it can have spent unseen stays.
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
        assert_eq!(ledger.presumed(10_002 + 60_600), Amount(30), "what it spends in a minute");
        assert_eq!(ledger.end_leases(&silent, 10_003 + 60_600), Vec::<String>::new(), "once");
        assert_eq!(ledger.grant("b", &want(940), 1, 71_000).granted, Amount(940));
        // It comes back: what it used counts, and nothing more is admitted on what was taken back.
        ledger.report("a", &report(800, 330, 3), 80_000);
        assert_eq!(ledger.used(), Amount(330));
        let answer = ledger.grant("a", &want(0), 2, 80_000);
        assert!(answer.granted.minus(answer.returned) <= Amount(60), "{answer:?}");
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
        assert_eq!((ledger.used(), ledger.committed()), (Amount(100), Amount(200)));
        assert!(ledger.grant("b", &want(900), 1, 5_000).granted <= Amount(800));
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

    #[test]
    fn a_restored_ledger_learns_from_what_gateways_know() {
        let mut ledger = ledger(100);
        ledger.report("a", &report(90, 70, 7), 1);
        assert_eq!(ledger.committed(), Amount(90));
    }
}
