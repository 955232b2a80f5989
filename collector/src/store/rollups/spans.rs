//! The time that a question is about, in the largest units that have sums.

use crate::model::clock::HOURS_PER_DAY;

/// A unit of time that has sums, counted from the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Grain {
    Hour,
    Day,
    /// Begins on Thursdays, as the epoch did.
    Week,
}

/// A part of the time asked for, in units of one grain, without its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) struct Span {
    pub(in crate::store) grain: Grain,
    pub(in crate::store) from: i64,
    pub(in crate::store) to: i64,
}

impl Grain {
    pub(in crate::store) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// How many hours it has.
    pub(in crate::store) const fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => HOURS_PER_DAY,
            Self::Week => 7 * HOURS_PER_DAY,
        }
    }

    /// The one that this hour is in.
    pub(in crate::store) const fn of(self, hour: i64) -> i64 {
        hour.div_euclid(self.hours())
    }

    /// The first hour of one.
    pub(in crate::store) const fn first_hour(self, time: i64) -> i64 {
        time.saturating_mul(self.hours())
    }

    /// The first one that begins in this hour or later.
    const fn from(self, hour: i64) -> i64 {
        self.of(hour.saturating_add(self.hours() - 1))
    }
}

impl Span {
    /// These hours.
    pub(in crate::store) const fn hours(from: i64, to: i64) -> Self {
        Self { grain: Grain::Hour, from, to }
    }

    const fn first_hour(self) -> i64 {
        self.grain.first_hour(self.from)
    }

    const fn end_hour(self) -> i64 {
        self.grain.first_hour(self.to)
    }

    /// The same time, with whole days in the place of hours.
    pub(in crate::store) fn with_days(self) -> impl Iterator<Item = Self> {
        let (from, to) = (Grain::Day.from(self.first_hour()), Grain::Day.of(self.end_hour()));
        let all = if from < to {
            vec![
                Self::hours(self.first_hour(), Grain::Day.first_hour(from)),
                Self { grain: Grain::Day, from, to },
                Self::hours(Grain::Day.first_hour(to), self.end_hour()),
            ]
        } else {
            vec![self]
        };
        all.into_iter().filter(|span| span.from < span.to)
    }

    /// The weeks in it that are whole.
    pub(in crate::store) const fn whole_weeks(self) -> (i64, i64) {
        (Grain::Week.from(self.first_hour()), Grain::Week.of(self.end_hour()))
    }

    /// The same time, with these weeks, which are in it and in order, in the place of days or hours.
    pub(in crate::store) fn with_weeks(self, weeks: &[i64]) -> Vec<Self> {
        let mut all = Vec::new();
        let mut from = self.from;
        for week in weeks {
            let begins = Grain::Week.first_hour(*week).div_euclid(self.grain.hours());
            all.push(Self { from, to: begins, ..self });
            all.push(Self { grain: Grain::Week, from: *week, to: week.saturating_add(1) });
            from = Grain::Week.first_hour(week.saturating_add(1)).div_euclid(self.grain.hours());
        }
        all.push(Self { from, ..self });
        all.retain(|span| span.from < span.to);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: i64, to: i64) -> Span {
        Span { grain: Grain::Day, from, to }
    }

    #[test]
    fn whole_days_stand_for_their_hours() {
        for (from, to, expected) in [
            (25, 96, vec![Span::hours(25, 48), days(2, 4)]),
            (48, 49, vec![Span::hours(48, 49)]),
            (49, 71, vec![Span::hours(49, 71)]),
            (24, 50, vec![days(1, 2), Span::hours(48, 50)]),
            (-25, 24, vec![Span::hours(-25, -24), days(-1, 1)]),
            (5, 5, vec![]),
        ] {
            assert_eq!(Span::hours(from, to).with_days().collect::<Vec<_>>(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn known_weeks_stand_for_their_days() {
        let week = |week| Span { grain: Grain::Week, from: week, to: week + 1 };
        let span = days(3, 30);
        assert_eq!(span.whole_weeks(), (1, 4));
        assert_eq!(span.with_weeks(&[]), [span]);
        assert_eq!(span.with_weeks(&[1, 3]), [days(3, 7), week(1), days(14, 21), week(3), days(28, 30)]);
        assert_eq!(days(7, 14).with_weeks(&[1]), [week(1)]);
        assert_eq!(days(0, 6).whole_weeks(), (0, 0));
    }
}
