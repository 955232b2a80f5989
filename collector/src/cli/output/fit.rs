//! Which columns a screen has room for, and how wide each is.

use crate::model::table::{Column, KEEP};

/// What a column needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Columns of the screen for all of it.
    pub(super) full: usize,
    /// Columns of the screen below which it is of little use.
    least: usize,
    can_be_cut: bool,
    weight: u8,
    is_picture: bool,
}

impl Need {
    /// Of a column whose widest cell or title is this wide.
    pub(super) fn of(column: &Column, full: usize) -> Self {
        let can_be_cut = column.kind.is_words() && !column.is_whole;
        Self {
            full,
            least: if can_be_cut { full.min(column.least) } else { full },
            can_be_cut,
            weight: column.weight,
            is_picture: column.kind.is_picture(),
        }
    }
}

/// The width of each column; none for one that is left out.
///
/// The least important columns go first, and of those alike the last one. Names are cut where that keeps a
/// column, the widest first. Pictures come only where all else has room.
pub(super) fn fit(needs: &[Need], room: Option<usize>) -> Vec<Option<usize>> {
    let mut widths: Vec<Option<usize>> =
        needs.iter().map(|need| (!need.is_picture).then_some(need.least)).collect();
    let room = room.unwrap_or(usize::MAX);
    while total(&widths) > room {
        let can_go = needs
            .iter()
            .zip(&widths)
            .enumerate()
            .filter(|(_, (need, width))| width.is_some() && need.weight < KEEP);
        let Some((at, _)) = can_go.min_by_key(|(at, (need, _))| (need.weight, usize::MAX - at)) else {
            break;
        };
        set(&mut widths, at, None);
    }
    shrink(needs, &mut widths, room);
    grow(needs, &mut widths, room);
    add_pictures(needs, &mut widths, room);
    widths
}

/// Cuts names below what is of use, where only columns are left that have to stay.
fn shrink(needs: &[Need], widths: &mut [Option<usize>], room: usize) {
    while total(widths) > room {
        let names = needs.iter().zip(widths.iter()).enumerate().filter_map(|(at, (need, width))| {
            width.filter(|width| need.can_be_cut && *width > CUT_MOST).map(|width| (width, at))
        });
        let Some((width, at)) = names.max() else { return };
        set(widths, at, Some(width - 1));
    }
}

/// Gives what is left to names that are cut, the narrowest first.
fn grow(needs: &[Need], widths: &mut [Option<usize>], room: usize) {
    while total(widths) < room {
        let cut = needs.iter().zip(widths.iter()).enumerate().filter_map(|(at, (need, width))| {
            width.filter(|width| *width < need.full).map(|width| (width, at))
        });
        let Some((width, at)) = cut.min() else { return };
        set(widths, at, Some(width + 1));
    }
}

fn add_pictures(needs: &[Need], widths: &mut [Option<usize>], room: usize) {
    let is_whole =
        needs.iter().zip(widths.iter()).all(|(need, width)| need.is_picture || *width == Some(need.full));
    if !is_whole {
        return;
    }
    let mut pictures: Vec<(usize, &Need)> =
        needs.iter().enumerate().filter(|(_, need)| need.is_picture && need.full > 0).collect();
    pictures.sort_by_key(|(_, need)| u8::MAX - need.weight);
    for (at, need) in pictures {
        if total(widths).saturating_add(GAP).saturating_add(need.full) <= room {
            set(widths, at, Some(need.full));
        }
    }
}

fn set(widths: &mut [Option<usize>], at: usize, width: Option<usize>) {
    if let Some(own) = widths.get_mut(at) {
        *own = width;
    }
}

/// Columns of the screen for all of them, with the gaps between.
fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    let gaps = GAP.saturating_mul(shown.clone().count().saturating_sub(1));
    shown.fold(gaps, |sum, width| sum.saturating_add(*width))
}

/// Columns between two columns.
pub(super) const GAP: usize = 2;
/// A name that is cut keeps so many columns, where no other column can go.
const CUT_MOST: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::table::Kind;

    fn name(full: usize) -> Need {
        Need::of(&Column::text("name").kept(), full)
    }

    fn number(full: usize, weight: u8) -> Need {
        Need::of(&Column::count("number").weight(weight), full)
    }

    #[test]
    fn the_least_important_goes_first_and_names_are_cut_only_to_fit() {
        let needs = [name(30), number(10, 50), number(10, 90), number(10, 50)];
        assert_eq!(fit(&needs, Some(66)), [Some(30), Some(10), Some(10), Some(10)]);
        assert_eq!(fit(&needs, Some(60)), [Some(24), Some(10), Some(10), Some(10)]);
        assert_eq!(fit(&needs, Some(50)), [Some(26), Some(10), Some(10), None]);
        assert_eq!(fit(&needs, Some(30)), [Some(18), None, Some(10), None]);
        assert_eq!(fit(&needs, Some(10)), [Some(10), None, None, None]);
        assert_eq!(fit(&needs, None), [Some(30), Some(10), Some(10), Some(10)]);
    }

    #[test]
    fn pictures_come_where_all_else_has_room() {
        let bar = |weight| Need::of(&Column::new("bar", Kind::Bar).weight(weight), 8);
        let needs = [name(20), number(10, 50), bar(10), bar(20)];
        for (room, shown) in
            [(32, [false, false]), (42, [false, true]), (51, [false, true]), (52, [true, true])]
        {
            let widths = fit(&needs, Some(room));
            assert_eq!([widths[2].is_some(), widths[3].is_some()], shown, "{room}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_room(
            columns in proptest::collection::vec((any::<bool>(), 1_usize..40, 0_u8..200), 0..14),
            keys in 1_usize..4,
            room in 40_usize..200,
        ) {
            let mut needs = vec![name(64); keys];
            needs.extend(columns.iter().map(|(is_name, full, weight)| match is_name {
                true => Need::of(&Column::text("name").weight(*weight), *full),
                false => number(*full, *weight),
            }));
            let widths = fit(&needs, Some(room));
            prop_assert!(total(&widths) <= room, "{widths:?}");
            // Nothing went that is more important than what stayed.
            let weights = |stayed: bool| {
                let of = needs.iter().zip(&widths).filter(move |(_, width)| width.is_some() == stayed);
                of.map(|(need, _)| need.weight)
            };
            prop_assert!(weights(false).max().is_none_or(|gone| weights(true).all(|weight| weight >= gone)));
        }
    }
}
