//! Maps and lists of a few entries, made with little code.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// These entries, put in one by one. `collect` sorts them first, which takes 5 kB of the filter's module for
/// each type.
pub(crate) fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// These values in order, each once.
pub(crate) fn in_order<T: Ord>(values: Vec<T>) -> Vec<T> {
    let mut ordered = Vec::new();
    for value in values {
        if let Err(at) = ordered.binary_search(&value) {
            ordered.insert(at, value);
        }
    }
    ordered
}

/// Puts a value into a list that is in this order, behind those that are equal. Quick where values come in
/// order; sorting at the end takes 4 kB for each type.
pub(crate) fn put<T>(list: &mut Vec<T>, value: T, order: impl Fn(&T, &T) -> Ordering) {
    let at = list.partition_point(|known| order(known, &value) != Ordering::Greater);
    list.insert(at, value);
}
