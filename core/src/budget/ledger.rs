//! The collector's side of a budget: what one counter's gateways were granted in one window, and how much more may be.
//!
//! The invariant is `seed + Σ max(granted − returned, used) ≤ limit`. A ledger is read, changed and written in **one**
//! transaction; then it holds with any number of collectors on one database, whatever is lost, repeated or reordered
//! on the way. Only a lowered limit, or a gateway that used more than it was granted (calls without a bound, outage
//! modes that allow), can leave it above; then nothing more is granted, and what is unused is recalled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Amount;

/// All accounts of one counter in one window.
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
    /// What it used lately, in units a minute.
    pub burn: Amount,
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
    #[must_use]
    pub fn committed(&self) -> Amount {
        self.granted.minus(self.returned).max(self.used)
    }

    /// What it was granted and has neither used nor given back.
    #[must_use]
    pub fn unused(&self) -> Amount {
        self.granted.minus(self.returned).minus(self.used).or_nothing()
    }

    /// Whether it has reported lately.
    #[must_use]
    pub const fn is_live(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.seen_ms) <= LIVE_MS
    }
}

impl Ledger {
    /// What counts against the limit, in all.
    #[must_use]
    pub fn committed(&self) -> Amount {
        self.accounts.values().map(Account::committed).fold(self.seed, Amount::plus)
    }

    /// What was used, calls under way included.
    #[must_use]
    pub fn used(&self) -> Amount {
        self.accounts.values().fold(self.seed, |sum, account| sum.plus(account.used))
    }

    /// What calls under way hold.
    #[must_use]
    pub fn held(&self) -> Amount {
        self.accounts.values().fold(Amount::ZERO, |sum, account| sum.plus(account.held))
    }

    /// What is spent: of what is used, that which calls under way and to come do not hold; all of it where it is as much as
    /// the limit.
    #[must_use]
    pub fn spent(&self) -> Amount {
        let used = self.used();
        if used >= self.limit { used } else { used.minus(self.held()) }
    }

    /// What is granted and not used by instances that do not report any more: it counts until they do, the window
    /// ends, or it is released.
    #[must_use]
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
            account.burn = burn(account, report, now_ms);
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
    /// least its `want` where that is there. `live` is the number of gateways that report.
    pub fn grant(&mut self, instance: &str, want: Amount, live: usize, now_ms: u64) -> Grant {
        let available = self.limit.minus(self.committed()).or_nothing();
        let remaining = self.limit.minus(self.used()).or_nothing();
        let share = Amount(remaining.0 / (2 * i128::try_from(live.max(1)).unwrap_or(1)));
        let unused_elsewhere = self
            .accounts
            .iter()
            .filter(|(name, account)| *name != instance && account.is_live(now_ms))
            .fold(Amount::ZERO, |sum, (_, account)| sum.plus(account.unused()));
        let elsewhere = self.used();
        let elsewhere_held = self.held();
        let for_another = now_ms < self.recall_until_ms && self.recall_for != instance;
        let over_granted = self.limit < self.committed();
        let account = self.accounts.entry(instance.to_owned()).or_default();
        let free = account.granted.minus(account.returned).minus(account.used);
        let at_ease = account.burn.max(Amount(self.limit.0 / EASE_PARTS)).min(share);
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
        let answer = Grant {
            granted: account.granted,
            returned: account.returned,
            keep,
            elsewhere: elsewhere.minus(account.used),
            elsewhere_held: elsewhere_held.minus(account.held),
            limit: self.limit,
            want: match short {
                false => Want::Granted,
                true if unused_elsewhere > Amount::ZERO || for_another => Want::Recalling,
                true => Want::Exhausted,
            },
            acknowledged: account.version,
        };
        if !for_another {
            let recalls = answer.want == Want::Recalling;
            self.recall_for = if recalls { instance.to_owned() } else { String::new() };
            self.recall_until_ms = if recalls { now_ms.saturating_add(RECALL_MS) } else { 0 };
        }
        answer
    }

    /// What an instance is told of a window that is over, or of a budget that is gone: nothing more is granted, and what
    /// is unused is asked back.
    #[must_use]
    pub fn last_word(&self, instance: &str) -> Grant {
        let account = self.accounts.get(instance).cloned().unwrap_or_default();
        Grant {
            granted: account.granted,
            returned: account.returned,
            keep: Some(Amount::ZERO),
            elsewhere: self.used().minus(account.used),
            elsewhere_held: self.held().minus(account.held),
            limit: self.limit,
            want: Want::Exhausted,
            acknowledged: account.version,
        }
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
/// A gateway that burns nothing is granted this part of the limit, so that its first calls do not wait.
const EASE_PARTS: i128 = 200;
const MINUTE_MS: i128 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(limit: i128) -> Ledger {
        Ledger { limit: Amount(limit), ..Ledger::default() }
    }

    fn report(granted: i128, used: i128, version: u64) -> Report {
        Report { granted: Amount(granted), used: Amount(used), version, ..Report::default() }
    }

    #[test]
    fn a_want_is_granted_as_long_as_the_limit_has_it() {
        let mut ledger = ledger(100);
        let first = ledger.grant("a", Amount(60), 2, 1);
        assert_eq!((first.granted, first.want), (Amount(60), Want::Granted));
        ledger.report("a", &report(60, 60, 1), 1);
        let second = ledger.grant("b", Amount(60), 2, 1);
        assert_eq!((second.granted, second.want), (Amount(40), Want::Exhausted));
        assert_eq!(ledger.committed(), Amount(100));
    }

    #[test]
    fn what_is_held_is_not_spent_while_something_is_left() {
        let mut ledger = ledger(100);
        ledger.grant("a", Amount(100), 1, 1);
        ledger.report("a", &Report { held: Amount(30), ..report(100, 80, 1) }, 1);
        assert_eq!((ledger.used(), ledger.spent()), (Amount(80), Amount(50)));
        ledger.report("a", &Report { held: Amount(30), ..report(100, 100, 2) }, 1);
        assert_eq!(ledger.spent(), Amount(100));
    }

    #[test]
    fn what_others_do_not_use_is_recalled() {
        let mut ledger = ledger(100);
        ledger.grant("a", Amount(100), 2, 1);
        ledger.report("a", &report(100, 30, 1), 1);
        assert_eq!(ledger.grant("b", Amount(50), 2, 1).want, Want::Recalling);
        let answer = ledger.grant("a", Amount::ZERO, 2, 2);
        assert_eq!(answer.keep, Some(Amount::ZERO));
        ledger.report("a", &Report { returned: Amount(70), ..report(100, 30, 2) }, 3);
        let answer = ledger.grant("b", Amount(50), 2, 3);
        assert_eq!((answer.granted, answer.want), (Amount(50), Want::Granted));
    }

    #[test]
    fn parts_too_small_for_anyone_come_to_one() {
        let mut ledger = ledger(90);
        for (instance, version) in [("a", 1), ("b", 1), ("c", 1)] {
            ledger.grant(instance, Amount(30), 3, 1);
            ledger.report(instance, &report(30, 10, version), 1);
        }
        assert_eq!(ledger.grant("a", Amount(50), 3, 2).want, Want::Recalling);
        for instance in ["b", "c"] {
            let answer = ledger.grant(instance, Amount(50), 3, 3);
            assert_eq!((answer.keep, answer.want), (Some(Amount::ZERO), Want::Recalling), "short itself");
            let returned = Report { returned: Amount(20), ..report(30, 10, 2) };
            ledger.report(instance, &returned, 3);
        }
        assert_eq!(ledger.grant("b", Amount(50), 3, 4).granted, Amount(30), "it is not its turn");
        let answer = ledger.grant("a", Amount(50), 3, 5);
        assert_eq!((answer.granted, answer.want), (Amount(60), Want::Granted));
        assert_eq!(ledger.recall_for, "");
    }

    #[test]
    fn repeated_and_late_reports_change_nothing() {
        let mut ledger = ledger(100);
        ledger.grant("a", Amount(50), 1, 1);
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
        ledger.grant("a", Amount(80), 1, 1);
        ledger.report("a", &report(80, 20, 1), 1);
        let later = 2 + LIVE_MS;
        assert_eq!(ledger.presumed(later), Amount(60));
        assert_eq!(ledger.grant("b", Amount(50), 1, later).want, Want::Exhausted);
        assert_eq!(ledger.release("a"), Amount(60));
        assert_eq!(ledger.grant("b", Amount(50), 1, later).want, Want::Granted);
        assert!(ledger.committed() <= Amount(100));
    }

    #[test]
    fn a_lowered_limit_recalls_and_grants_nothing_more() {
        let mut ledger = ledger(100);
        ledger.grant("a", Amount(80), 1, 1);
        ledger.report("a", &report(80, 20, 1), 1);
        ledger.limit = Amount(50);
        let answer = ledger.grant("a", Amount(5), 1, 2);
        assert_eq!((answer.granted, answer.keep), (Amount(80), Some(Amount::ZERO)));
        assert_eq!(ledger.grant("b", Amount(5), 1, 2).granted, Amount::ZERO);
    }

    #[test]
    fn a_restored_ledger_learns_from_what_gateways_know() {
        let mut ledger = ledger(100);
        ledger.report("a", &report(90, 70, 7), 1);
        assert_eq!(ledger.committed(), Amount(90));
    }
}
