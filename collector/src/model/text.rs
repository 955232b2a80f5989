//! Texts of others, made fit to be shown.

/// A text as one line without what would move a terminal's cursor, break a line or turn its direction: names
/// may come from callers and providers, with any characters.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { '\u{fffd}' }).collect()
}

/// The same for a text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_shown(c) { c } else { '\u{fffd}' }).collect()
}

/// JSON with these characters written as their numbers, which says the same.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c == '\n' || is_shown(c) {
            true => shown.push(c),
            false => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    shown
}

/// A length of time for a table: `950 ms`, `12.3 s`, `4 m 05 s`, `2 h 10 m`.
pub fn duration(ms: u64) -> String {
    let (seconds, minutes) = (ms / 1_000, ms / 60_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60_000..3_600_000 => format!("{minutes} m {:02} s", seconds % 60),
        _ => format!("{} h {:02} m", minutes / 60, minutes % 60),
    }
}

/// Control characters, line and paragraph separators, and marks that turn the direction of what follows are
/// not.
const fn is_shown(c: char) -> bool {
    !matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        for (ms, shown) in
            [(0, "0 ms"), (999, "999 ms"), (12_345, "12.3 s"), (245_000, "4 m 05 s"), (7_800_000, "2 h 10 m")]
        {
            assert_eq!(duration(ms), shown);
        }
    }

    #[test]
    fn nothing_of_a_name_moves_a_cursor_or_makes_a_line() {
        let hostile = "a\u{1b}[2J\r\nb\u{85}\u{9b}31m\u{2028}c\u{202e}d\u{2066}\0\tz";
        let shown = printable(hostile);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{2028}' && c != '\u{202e}'), "{shown:?}");
        assert_eq!(shown.chars().count(), hostile.chars().count());
        assert_eq!(printable("Zürich 東京 1.5"), "Zürich 東京 1.5");
        let json = serde_json::json!({"name": hostile}).to_string();
        let shown = printable_json(&json);
        assert!(!shown.contains(|c: char| !is_shown(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"], hostile);
        assert_eq!(printable_lines("a\nb\r\u{1b}"), "a\nb\u{fffd}\u{fffd}");
    }
}
