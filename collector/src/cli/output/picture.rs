//! Bars and sparklines, of block characters.

use tollgate_core::money::Picodollars;

use crate::model::decimal::Decimal;
use crate::model::table::Cell;

/// Columns of a bar.
const BAR_COLUMNS: usize = 8;
/// Most columns of a sparkline.
const POINTS_MAX: usize = 31;
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar as long as its part of the longest.
pub(super) fn bar(value: Decimal, longest: Decimal) -> String {
    let eighths = scaled(value.units(), longest.units(), BAR_COLUMNS.saturating_mul(8));
    let mut bar = "█".repeat(eighths / 8);
    if let Some(end) = EIGHTHS.get(eighths % 8).filter(|end| **end != ' ') {
        bar.push(*end);
    }
    bar
}

/// The longest bar of a column.
pub(super) fn longest<'c>(cells: impl Iterator<Item = &'c Cell>) -> Option<Decimal> {
    let decimals = cells.filter_map(|cell| match cell {
        Cell::Decimal(decimal) => Some(*decimal),
        _ => None,
    });
    decimals.max_by_key(|decimal| decimal.units())
}

/// Amounts as a line of blocks, the largest as high as can be; several to a block where they are many.
pub(super) fn sparkline(amounts: &[Picodollars]) -> String {
    let together = amounts.len().div_ceil(POINTS_MAX).max(1);
    let points: Vec<i128> = amounts
        .chunks(together)
        .map(|some| some.iter().fold(0_i128, |sum, amount| sum.saturating_add(amount.as_pico())))
        .collect();
    let highest = points.iter().copied().max().unwrap_or(0);
    let level = |point: &i128| LEVELS.get(scaled(*point, highest, LEVELS.len() - 1)).copied();
    points.iter().filter_map(level).collect()
}

/// `value` of `whole` in so many steps, at least one for what is more than nothing.
fn scaled(value: i128, whole: i128, steps: usize) -> usize {
    if value <= 0 || whole <= 0 {
        return 0;
    }
    let (all, steps_wide) = (whole.unsigned_abs(), steps as u128);
    // Both shrink alike where their product is out of range.
    let shift = all.checked_mul(steps_wide).map_or(16, |_| 0);
    let part = (value.unsigned_abs() >> shift).saturating_mul(steps_wide).checked_div(all >> shift);
    usize::try_from(part.unwrap_or(0)).unwrap_or(steps).clamp(1, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part_and_never_nothing_for_something() {
        let part = |units| Decimal::ratio(units, 1, 0).unwrap();
        for (value, longest, expected) in [
            (100, 100, "████████"),
            (50, 100, "████"),
            (33, 100, "██▋"),
            (1, 1000, "▏"),
            (0, 100, ""),
            (0, 0, ""),
        ] {
            assert_eq!(bar(part(value), part(longest)), expected, "{value} of {longest}");
        }
    }

    #[test]
    fn a_sparkline_shows_the_shape_of_amounts() {
        let amounts = |all: &[i128]| all.iter().map(|one| Picodollars::from_pico(*one)).collect::<Vec<_>>();
        assert_eq!(sparkline(&amounts(&[0, 1, 50, 100])), "▁▂▄█");
        assert_eq!(sparkline(&amounts(&[0, 0])), "▁▁");
        assert_eq!(sparkline(&amounts(&[-5, i128::MAX / 2, i128::MAX])), "▁▄█");
        assert_eq!(sparkline(&amounts(&[7; 90])).chars().count(), 30);
        assert_eq!(sparkline(&[]), "");
    }
}
