//! Which few rows explain a change.

use crate::model::dimension::Dimension;

/// What rows are tried to be told apart by: each name, and each two of them.
pub fn candidates() -> Vec<Vec<Dimension>> {
    let mut all: Vec<Vec<Dimension>> = NAMES.iter().map(|one| vec![*one]).collect();
    for (at, one) in NAMES.iter().enumerate() {
        all.extend(NAMES.iter().skip(at.saturating_add(1)).map(|other| vec![*one, *other]));
    }
    all
}

/// How many rows it takes, the largest change first, until they make up 80 of a hundred dollars that moved,
/// up or down; none where nothing moved.
pub fn enough(changes: impl Iterator<Item = i128>) -> Option<usize> {
    let mut moved: Vec<u128> = changes.map(i128::unsigned_abs).collect();
    moved.sort_unstable_by(|one, other| other.cmp(one));
    let all = moved.iter().fold(0_u128, |sum, one| sum.saturating_add(*one));
    if all == 0 {
        return None;
    }
    let mut sum = 0_u128;
    let is_enough = |one: &u128| {
        sum = sum.saturating_add(*one);
        // Without products, which could pass the range: what is missing is a fifth at most.
        all.saturating_sub(sum) <= all / 5
    };
    moved.iter().position(is_enough).map(|at| at.saturating_add(1))
}

/// How much the rows that it takes stand out, in thousandths; none where rows say nothing, as there is one.
///
/// It is their part of what moved, less their part of the cost before: a row that always costs most, and of
/// the change has as much as of the cost, explains nothing. Each row beyond the first, and each name that
/// rows are told apart by beyond the first, takes 50 away: the fewest are the easiest to understand.
pub fn merit(rows: &[(i128, i128)], names: usize) -> Option<i128> {
    let mut rows: Vec<(i128, i128)> =
        rows.iter().map(|(before, after)| (*before, after.saturating_sub(*before))).collect();
    let many = enough(rows.iter().map(|(_, change)| *change))?;
    if rows.len() < 2 {
        return None;
    }
    rows.sort_unstable_by_key(|(_, change)| std::cmp::Reverse(change.unsigned_abs()));
    let all_before = rows.iter().fold(0_i128, |sum, (before, _)| sum.saturating_add(*before));
    let moved = |rows: &[(i128, i128)]| {
        rows.iter().fold(0_u128, |sum, (_, change)| sum.saturating_add(change.unsigned_abs()))
    };
    let few = rows.get(..many)?;
    let of_change = thousandths(moved(few), moved(&rows));
    let before = few.iter().fold(0_i128, |sum, (before, _)| sum.saturating_add(*before));
    let of_cost = thousandths(before.max(0).unsigned_abs(), all_before.max(0).unsigned_abs());
    let more = |count: usize| i128::try_from(count.saturating_sub(1)).unwrap_or(i128::MAX);
    let less = more(many).saturating_add(more(names)).saturating_mul(FOR_EACH);
    Some(of_change.saturating_sub(of_cost).saturating_sub(less))
}

/// Of a whole, cut down to what can be multiplied.
fn thousandths(part: u128, whole: u128) -> i128 {
    let too_long = 128_u32.saturating_sub(whole.leading_zeros()).saturating_sub(100);
    let (part, whole) = (part >> too_long, whole >> too_long);
    part.saturating_mul(1_000).checked_div(whole).map_or(0, |one| i128::try_from(one).unwrap_or(i128::MAX))
}

/// The names that are tried.
pub const NAMES: [Dimension; 5] =
    [Dimension::Agent, Dimension::Feature, Dimension::Model, Dimension::Environment, Dimension::Provider];
/// What each row and each name more takes away.
const FOR_EACH: i128 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_rows_that_make_up_four_fifths_are_enough() {
        for (changes, expected) in [
            (&[] as &[i128], None),
            (&[0, 0], None),
            (&[5], Some(1)),
            (&[80, 20], Some(1)),
            (&[79, 21], Some(2)),
            (&[-50, 10, 40], Some(2)),
            (&[1; 10], Some(8)),
        ] {
            assert_eq!(enough(changes.iter().copied()), expected, "{changes:?}");
        }
    }

    #[test]
    fn a_row_that_grew_alone_stands_out_more_than_one_that_always_costs_most() {
        // One agent of five grew; nearly all calls are of production.
        let agents = [(100, 200), (100, 100), (100, 100), (100, 100), (100, 100)];
        let environments = [(480, 578), (20, 22)];
        let providers = [(500, 600)];
        assert_eq!(merit(&agents, 1), Some(800));
        assert_eq!(merit(&environments, 1), Some(20));
        assert_eq!(merit(&providers, 1), None);
        // Two names that say the same are worth less than one.
        assert_eq!(merit(&agents, 2), Some(750));
        assert_eq!(
            merit(&[(0, i128::MAX), (i128::MIN, 0), (7, 7)], 1).map(|merit| merit <= 1_000),
            Some(true)
        );
    }

    #[test]
    fn each_name_and_each_two_are_tried() {
        let all = candidates();
        assert_eq!((all.len(), all.iter().filter(|by| by.len() == 2).count()), (15, 10));
    }
}
