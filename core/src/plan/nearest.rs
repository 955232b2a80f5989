//! Names for messages: what there is, and what was probably meant.

/// The name that is most like a word; none where nothing is much like it.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&word, &name.to_lowercase());
    let alike =
        names.into_iter().map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness > ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

/// Names for a message: `a`, `b`, `c`.
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What was meant by a name that is none of these, and which there are: `; did you mean …`.
pub fn or_rather<'n>(word: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(word, names.clone()) {
        Some(meant) => format!("{}; did you mean `{meant}`?", listed(names)),
        None => listed(names),
    }
}

/// Above this likeness two words may be mistaken for each other, from 0 to 1.
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_named() {
        let names = ["agent", "team", "feature", "environment", "model"];
        for (word, expected) in [
            ("agents", Some("agent")),
            ("Teem", Some("team")),
            ("enviroment", Some("environment")),
            ("modle", Some("model")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(or_rather("tean", ["team", "agent"]), "`team`, `agent`; did you mean `team`?");
        assert_eq!(or_rather("colour", ["team"]), "`team`");
    }
}
