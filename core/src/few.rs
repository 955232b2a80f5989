//! Maps of a few entries.

use std::collections::BTreeMap;

/// These entries, put in one by one. `collect` sorts them first, which takes 5 kB of the filter's module for each type.
pub fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}
