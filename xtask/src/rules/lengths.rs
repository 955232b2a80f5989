//! How long files and functions may be that do not say why, and how wide comments.

use super::source::{Crate, Source};

/// Names each file and function that is too long, tests not counted, and has no reason: a comment that begins
/// with [`REASON`], in a file at its beginning, before a function above it.
pub(super) fn check(own: &Crate, texts: impl Fn(&str) -> Option<String>, broken: &mut Vec<String>) {
    for source in own.files.values() {
        let text = texts(&source.place).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let lines = source.lines.iter().flatten().count();
        let head = all
            .iter()
            .take_while(|line| line.is_empty() || line.starts_with("//") || line.starts_with("#!["));
        if lines > FILE_LINES && !head.into_iter().any(|line| is_reason(line)) {
            broken.push(format!(
                "{}: {lines} lines without tests, more than {FILE_LINES}: split it, or say why it is long after `//! {REASON}`",
                source.place
            ));
        }
        functions(source, &all, broken);
    }
}

/// Names each line of comment that is too wide. A row of a table cannot be broken.
pub(super) fn comments(place: &str, text: &str, broken: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let is_row = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
        let columns = line.chars().count();
        if columns > COMMENT_COLUMNS && !is_row {
            let place = format!("{place}:{}", number + 1);
            broken.push(format!(
                "{place}: a comment of {columns} columns, more than {COMMENT_COLUMNS}: break the line"
            ));
        }
    }
}

fn functions(source: &Source, all: &[&str], broken: &mut Vec<String>) {
    for (number, line) in source.lines.iter().enumerate() {
        let Some((indent, name)) = line.as_deref().and_then(function) else { continue };
        let end = format!("{}}}", " ".repeat(indent));
        let mut head = source.lines.iter().skip(number).flatten();
        // One of a trait or of another language has no body.
        if head.find(|line| line.ends_with(['{', ';'])).is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let body = source.lines.iter().skip(number);
        let length = body.take_while(|line| line.as_deref().is_none_or(|line| line != end)).count() + 1;
        let above = all.get(..number).unwrap_or_default().iter().rev();
        let mut above = above.take_while(|line| line.trim_start().starts_with(['/', '#']));
        if length > FUNCTION_LINES && !above.any(|line| is_reason(line)) {
            broken.push(format!(
                "{}:{}: `{name}` has {length} lines, more than {FUNCTION_LINES}: split it, or say why it is long after `// {REASON}`",
                source.place,
                number + 1
            ));
        }
    }
}

/// Its indent and name, where a function with a body begins on this line.
fn function(line: &str) -> Option<(usize, &str)> {
    let item = line.trim_start();
    let (before, name) = item.split_once("fn ")?;
    let words = ["pub", "const", "async", "unsafe", "extern", "pub(crate)", "pub(super)", "pub(in"];
    let is_function =
        before.split_whitespace().all(|word| words.contains(&word) || word.starts_with(['"', 'c']));
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    // A function on one line, or one without a body, ends here.
    let ends = item.ends_with(';') || item.ends_with('}');
    (is_function && !ends && !name.is_empty()).then(|| (line.len() - item.len(), name))
}

fn is_reason(line: &str) -> bool {
    let comment = line.trim_start().trim_start_matches('/').trim_start_matches('!').trim_start();
    comment.strip_prefix(REASON).is_some_and(|why| why.trim().len() >= WHY_CHARS)
}

/// Lines of a file.
const FILE_LINES: usize = 450;
/// Lines of a function, with its head.
const FUNCTION_LINES: usize = 60;
/// Before the reason.
const REASON: &str = "Long:";
/// Columns of a line of comment.
const COMMENT_COLUMNS: usize = 110;
/// What is shorter is no reason.
const WHY_CHARS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let own = Crate::of("core/src", &[("core/src/a.rs".into(), text.into())]);
        let mut broken = Vec::new();
        check(&own, |_| Some(text.to_owned()), &mut broken);
        broken
    }

    fn body(lines: usize) -> String {
        "    g();\n".repeat(lines)
    }

    #[test]
    fn a_long_file_without_a_reason_is_refused() {
        let lines = "const A: u8 = 1;\n".repeat(451);
        assert!(broken(&lines)[0].starts_with("core/src/a.rs: 451 lines without tests"));
        assert_eq!(broken(&lines[17..]), Vec::<String>::new());
        assert_eq!(
            broken(&format!("//! Rows.\n//! Long: one row for each provider.\n{lines}")),
            Vec::<String>::new()
        );
        assert_eq!(broken(&format!("//! Long: so.\n{lines}")).len(), 1, "that is no reason");
        let tests = format!("#[cfg(test)]\nmod tests {{\n{lines}}}\n");
        assert_eq!(broken(&tests), Vec::<String>::new());
    }

    #[test]
    fn a_wide_comment_is_refused_where_it_can_be_broken() {
        let wide = "ä".repeat(100);
        for (text, is_broken) in [
            (format!("    /// {wide}xxx"), true),
            (format!("    /// {wide}xx"), false),
            (format!("//! | {wide} | {wide} |"), false),
            (format!("let text = \"// {wide}xxxxxxxxxxxxxxx\";"), false),
        ] {
            let mut broken = Vec::new();
            comments("a.rs", &text, &mut broken);
            assert_eq!(!broken.is_empty(), is_broken, "{text}");
        }
    }

    #[test]
    fn a_long_function_without_a_reason_is_refused() {
        let long = format!("/// Does.\npub(crate) const fn f(\n) {{\n{}}}\n", body(58));
        let said = broken(&long);
        assert!(said[0].starts_with("core/src/a.rs:2: `f` has 61 lines"), "{said:?}");
        assert_eq!(broken(&format!("fn f() {{\n{}}}\n", body(58))), Vec::<String>::new());
        assert_eq!(
            broken(&format!(
                "/// Does.\n// Long: one arm for each kind.\n#[inline]\nfn f() {{\n{}}}\n",
                body(90)
            )),
            Vec::<String>::new()
        );
        let methods =
            format!("impl A {{\n    fn g(&self) {{\n    {}    }}\n    fn h(&self);\n}}\n", body(70));
        assert_eq!(broken(&methods).len(), 1);
    }
}
