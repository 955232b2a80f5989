//! A reservation: what one VM of a gateway takes on a counter for calls that are yet to come.
//!
//! Reading and changing counters was nearly half of what a decision cost. So where a counter has ample room,
//! a VM takes room for several calls with one change, admits those by itself, and gives back what is left
//! within a tick. To the counter it is held like what calls hold, and its calls are under way: too much,
//! never too little.

use super::Amount;
use super::counter::{Counter, Settlement};

/// What is left of the room that was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reservation {
    /// How much may still be held in it.
    pub amount: Amount,
    /// For how many calls.
    pub calls: u32,
}

impl Reservation {
    /// Takes room for more calls like one that was just admitted; none where the counter has not ample room
    /// for them.
    pub fn claim(counter: &mut Counter, hold: Amount) -> Self {
        if counter.free().0 >> AMPLE_BITS < hold.0 {
            return Self::default();
        }
        let room = Self { amount: Amount(hold.0.saturating_mul(i128::from(CALLS))), calls: CALLS };
        counter.reserve(room);
        room
    }

    /// Whether a call with this hold has room.
    pub fn fits(&self, hold: Amount) -> bool {
        self.calls > 0 && hold <= self.amount
    }

    /// Takes out what a call holds, which must fit.
    pub fn admit(&mut self, hold: Amount) {
        self.amount = self.amount.minus(hold);
        self.calls = self.calls.saturating_sub(1);
    }

    /// Takes back what a call was to hold that did not go on.
    pub fn readmit(&mut self, hold: Amount) {
        self.amount = self.amount.plus(hold);
        self.calls = self.calls.saturating_add(1);
    }

    /// Giving back what is left.
    #[must_use]
    pub const fn back(self) -> Settlement {
        let Self { amount, calls } = self;
        Settlement { hold: amount, charge: Amount::ZERO, kept: Amount::ZERO, calls }
    }
}

/// A counter has ample room where it could take 2⁸ more calls like the one just admitted.
const AMPLE_BITS: u32 = 8;
/// Calls for which room is taken besides the one at hand.
const CALLS: u32 = 31;

#[cfg(test)]
mod tests {
    use super::super::counter::Enforce;
    use super::super::window::Span;
    use super::*;

    fn counter(granted: i128) -> Counter {
        let span = Span { start_ms: 0, end_ms: 100 };
        Counter { granted: Amount(granted), ..Counter::new(b"k".to_vec(), span, Amount(granted)) }
    }

    #[test]
    fn room_is_taken_only_where_it_is_ample() {
        let mut counter = counter(2_569);
        counter.admit(Amount(10), Enforce::Grant).unwrap();
        let before = counter.clone();
        assert_eq!(Reservation::claim(&mut counter, Amount(10)), Reservation::default());
        assert_eq!(counter, before);
        counter.granted = Amount(2_570);
        let room = Reservation::claim(&mut counter, Amount(10));
        assert_eq!(room, Reservation { amount: Amount(310), calls: 31 });
        assert_eq!((counter.held, counter.free(), counter.in_flight), (Amount(320), Amount(2_250), 32));
    }

    #[test]
    fn what_calls_leave_comes_back_whole() {
        let mut counter = counter(10_000);
        counter.admit(Amount(10), Enforce::Grant).unwrap();
        let mut room = Reservation::claim(&mut counter, Amount(10));
        let mut settled = Settlement { hold: Amount(10), charge: Amount(3), kept: Amount::ZERO, calls: 1 };
        for hold in [10, 200, 7] {
            assert!(room.fits(Amount(hold)));
            room.admit(Amount(hold));
            settled = settled.and(Settlement { hold: Amount(hold), charge: Amount(1), calls: 1, ..settled });
        }
        assert!(!room.fits(Amount(94)) && room.fits(Amount(93)));
        room.admit(Amount(50));
        assert!(!room.fits(Amount(44)));
        room.readmit(Amount(50));
        assert!(room.fits(Amount(93)));
        counter.settle(settled.and(room.back()));
        assert_eq!((counter.used, counter.held, counter.in_flight), (Amount(6), Amount::ZERO, 0));
    }

    #[test]
    fn room_is_for_so_many_calls() {
        let mut counter = counter(10_000);
        let mut room = Reservation::claim(&mut counter, Amount::ZERO);
        for _ in 0..CALLS {
            assert!(room.fits(Amount::ZERO));
            room.admit(Amount::ZERO);
        }
        assert!(!room.fits(Amount::ZERO));
    }
}
