//! Names of models, made alike: a bill writes `Claude Sonnet 4.5` where a gateway sees
//! `claude-sonnet-4-5-20250929`.

/// A line item without words that say what kind of tokens it is about.
pub(super) fn without_kinds(item: &str) -> String {
    let words = item.split([' ', '-', '_', ',', '/', '(', ')']).filter(|word| !word.is_empty());
    let kept = words.filter(|word| !KINDS.contains(&word.to_lowercase().as_str()));
    kept.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What two names of the same model share: its words in the order of letters, and its numbers, with the date
/// of a version and without.
pub(super) fn keys(model: &str) -> (String, String) {
    let mut parts: Vec<String> = Vec::new();
    let mut before = None;
    for c in model.to_lowercase().chars() {
        let kind = if c.is_ascii_digit() { Some(true) } else { c.is_alphanumeric().then_some(false) };
        match (kind, kind == before, parts.last_mut()) {
            (Some(_), true, Some(part)) => part.push(c),
            (Some(_), ..) => parts.push(c.to_string()),
            (None, ..) => {}
        }
        before = kind;
    }
    let parts: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| !MAKERS_AND_REGIONS.contains(part)).collect();
    let parts = match parts.as_slice() {
        // `v1:0` of Bedrock.
        [rest @ .., "v", _, "0"] => rest,
        all => all,
    };
    let whole = key(parts);
    let undated = match parts {
        [rest @ .., year, month, day] if is_year(year) && month.len() == 2 && day.len() == 2 => rest,
        [rest @ .., date] if date.len() == 8 && date.starts_with("20") => rest,
        all => all,
    };
    (whole, key(undated))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && text.starts_with("20")
}

fn key(parts: &[&str]) -> String {
    let (numbers, mut words): (Vec<&str>, Vec<&str>) =
        parts.iter().partition(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    words.sort_unstable();
    words.extend(numbers);
    words.join("-")
}

/// Words of line items that say what is counted, not for which model.
const KINDS: [&str; 47] = [
    "input",
    "output",
    "inputs",
    "outputs",
    "cached",
    "cache",
    "caching",
    "read",
    "reads",
    "write",
    "writes",
    "hit",
    "tokens",
    "token",
    "usage",
    "batch",
    "text",
    "prediction",
    "predictions",
    "thinking",
    "on",
    "prompt",
    "prompts",
    "completion",
    "completions",
    "count",
    "standard",
    "long",
    "short",
    "context",
    "ga",
    "geo",
    "global",
    "regional",
    "cross",
    "region",
    "1h",
    "5m",
    "mantle",
    "flex",
    "priority",
    "reserved",
    "1k",
    "1m",
    "amazon",
    "bedrock",
    "edition",
];
/// Parts of names of Bedrock's models that bills leave out.
const MAKERS_AND_REGIONS: [&str; 8] = ["us", "eu", "apac", "global", "anthropic", "amazon", "meta", "models"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bills_name_and_a_gateways_name_of_one_model_have_one_key() {
        for (item, model) in [
            ("Claude Sonnet 4.5 Usage - Input Tokens", "claude-sonnet-4-5-20250929"),
            ("Claude4.5Sonnet-input-tokens", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("Gemini 2.5 Pro Text Input - Predictions", "gemini-2.5-pro"),
            ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ] {
            assert_eq!(keys(&without_kinds(item)).1, keys(model).1, "{item}");
        }
        assert_ne!(keys("gpt-4o").1, keys("gpt-4o-mini").1);
        assert_ne!(keys("deepseek-v3").1, keys("deepseek-v2").1);
        assert_ne!(keys("gpt-4o-2024-08-06").0, keys("gpt-4o-2024-05-13").0);
    }
}
