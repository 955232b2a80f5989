//! The rows of `docs/configuration.md`: what each key means, for schemas.

use serde_json::Value;

/// A row of one key.
#[derive(Debug)]
pub(super) struct Row {
    /// Path of the key, such as `channels.NAME.type`.
    pub(super) path: String,
    /// The default, where it is a value and not a sentence.
    pub(super) default: Option<Value>,
    /// What it means, as plain text.
    pub(super) means: String,
}

/// The rows on `tollgate.toml`.
pub(super) fn collector() -> Vec<Row> {
    rows(part(0))
}

/// The rows on the plugin configuration.
pub(super) fn filter() -> Vec<Row> {
    rows(part(1))
}

const PAGE: &str = include_str!("../../../../docs/configuration.md");
const FILTER: &str = "\n## The plugin configuration\n";
const BEHIND: &str = "\n## Metadata of routes and clusters\n";

fn part(index: usize) -> &'static str {
    let (collector, rest) = PAGE.split_once(FILTER).unwrap_or((PAGE, ""));
    let filter = rest.split_once(BEHIND).map_or(rest, |(filter, _)| filter);
    if index == 0 { collector } else { filter }
}

/// The rows of the tables whose first column is called `key`.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut is_of_keys = false;
    for line in text.lines() {
        if !line.starts_with('|') {
            is_of_keys = false;
        } else if line.starts_with("| key |") {
            is_of_keys = true;
        } else if is_of_keys && !line.starts_with("| ---") {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let [path, default, means] = cells.as_slice() else { continue };
            rows.push(Row {
                path: path.trim_matches('`').to_owned(),
                default: code(default).and_then(|code| serde_json::from_str(code).ok()),
                means: plain(means),
            });
        }
    }
    rows
}

/// What stands in a cell that is code and nothing else.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}

/// Markdown without its links.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, linked)) = rest.split_once('[') {
        plain.push_str(before);
        match linked.split_once("](").and_then(|(name, to)| Some((name, to.split_once(')')?.1))) {
            Some((name, after)) if !name.contains(']') => {
                plain.push_str(name);
                rest = after;
            }
            _ => {
                plain.push('[');
                rest = linked;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_links_are_plain() {
        let rows = rows(
            "| key | default | means |\n| --- | --- | --- |\n\
             | `a.b` | `[\"80%\"]` | See [alerts](alerts.md#x): `{ a = [1] }`, `[x]`. |\n\n\
             | other | default | means |\n| --- | --- | --- |\n| `no` | 1 | 2 |\n\
             \n| key | default | means |\n| --- | --- | --- |\n| `c` | all of `d` | D. |\n",
        );
        let [first, second] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((first.path.as_str(), first.means.as_str()), ("a.b", "See alerts: `{ a = [1] }`, `[x]`."));
        assert_eq!(first.default, Some(serde_json::json!(["80%"])));
        assert_eq!((second.path.as_str(), &second.default), ("c", &None));
    }

    #[test]
    fn the_page_has_both_parts() {
        assert!(PAGE.contains(FILTER) && PAGE.contains(BEHIND));
    }
}
