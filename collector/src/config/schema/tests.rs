use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::*;

/// What a schema says against a value: a small validator, of the words that [`super`] writes and of no other.
fn against(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(true) { Vec::new() } else { vec![format!("{at}: is refused")] };
    };
    schema.iter().flat_map(|(word, given)| against_word(schema, (word, given), value, at)).collect()
}

fn against_word(
    schema: &Map<String, Value>,
    (word, given): (&str, &Value),
    value: &Value,
    at: &str,
) -> Vec<String> {
    let unless =
        |right: bool| if right { Vec::new() } else { vec![format!("{at}: {value}, {word}: {given}")] };
    let items = || given.as_array().into_iter().flatten();
    let number = || value.as_i64().unwrap_or_default();
    match word {
        "$schema" | "title" | "description" | "default" | "then" => Vec::new(),
        "type" => unless(match given.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        }),
        "enum" => unless(items().any(|word| word == value)),
        "const" => unless(given == value),
        "minLength" => unless(value.as_str() != Some("")),
        "minItems" => unless(!value.as_array().is_some_and(Vec::is_empty)),
        "minimum" => unless(!value.is_number() || number() >= given.as_i64().unwrap()),
        "maximum" => unless(!value.is_number() || number() <= given.as_i64().unwrap()),
        "required" => unless(
            value
                .as_object()
                .is_none_or(|object| items().all(|key| object.contains_key(key.as_str().unwrap()))),
        ),
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.flat_map(|(index, item)| against(given, item, &format!("{at}[{index}]"))).collect()
        }
        "properties" => {
            let known = value
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some(against(given.get(key)?, value, &format!("{at}.{key}"))));
            known.flatten().collect()
        }
        "additionalProperties" => {
            let known = schema.get("properties");
            let more = value.as_object().into_iter().flatten();
            let more = more.filter(|(key, _)| known.is_none_or(|known| known.get(key).is_none()));
            more.flat_map(|(key, value)| against(given, value, &format!("{at}.{key}"))).collect()
        }
        "anyOf" => unless(items().any(|schema| against(schema, value, at).is_empty())),
        "allOf" => items().flat_map(|schema| against(schema, value, at)).collect(),
        "if" if against(given, value, at).is_empty() => against(&schema["then"], value, at),
        "if" => Vec::new(),
        other => panic!("the validator does not know `{other}`"),
    }
}

fn shape() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(collector)
}

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| whole("tollgate.toml", shape(), &page::collector()))
}

fn mistakes(text: &str) -> Vec<String> {
    against(schema(), &::toml::from_str::<Value>(text).unwrap(), "")
}

/// The schema accepts what the reader accepted: every configuration of every test goes through here.
pub(in crate::config) fn assert_accepts(text: &str) {
    // What a rate is for is looked at only when the book is built.
    let found: Vec<String> = mistakes(text).into_iter().filter(|one| !one.contains(".tokens.")).collect();
    assert_eq!(found, Vec::<String>::new(), "{text}");
}

/// A file of the repository.
fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// The documents that have examples.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let of =
        |directory: &str| std::fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let all = of(".").chain(of("docs")).chain(of("envoy"));
    all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The blocks of a language in a document.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

fn paths(shape: &Shape, free: &[&str]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (path, table) in shape {
        for key in table.keys.keys() {
            paths.insert(if path.is_empty() { key.clone() } else { format!("{path}.{key}") });
        }
    }
    let is_free = |path: &String| free.iter().any(|free| path.starts_with(&format!("{free}.")));
    paths.into_iter().filter(|path| !is_free(path)).collect()
}

fn named(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row.path.clone()).collect()
}

/// Tables whose members are described elsewhere, in one row each.
const FREE: [&str; 9] = [
    "budgets.scope",
    "allow.scope",
    "limits.scope",
    "run_limits.scope",
    "step_down.scope",
    "prices.override.tier",
    "prices.override.variant",
    "prices.override.factor",
    "prices.model.tier",
];

#[test]
fn the_page_names_every_key_of_the_collector_and_none_that_does_not_exist() {
    let shape = shape();
    let free: Vec<&str> = FREE.into_iter().chain(["prices.model.variant", "prices.model.factor"]).collect();
    // Sections have headings, not rows.
    let is_section = |path: &String| shape.contains_key(path) || shape.contains_key(&format!("{path}.NAME"));
    let keys: BTreeSet<String> = paths(shape, &free)
        .into_iter()
        .filter(|path| free.contains(&path.as_str()) || !is_section(path))
        .collect();
    assert_eq!(named(&page::collector()), keys);
    assert!(keys.len() > 120, "{}", keys.len());
}

#[test]
fn the_page_names_every_key_of_the_filter_and_none_that_does_not_exist() {
    let keys = paths(&filter(), &["budgets", "prices", "attribution.aliases"]);
    assert_eq!(named(&page::filter()), keys);
}

#[test]
fn keys_that_only_some_channels_have_are_found_and_refused_elsewhere() {
    let shape = shape();
    let (choice, words) = shape["channels.NAME"].by_word.as_ref().unwrap();
    assert_eq!(choice, "type");
    assert!(words["email"].keys.contains("password_env") && !words["slack"].keys.contains("host"));
    assert!(words["email"].required.contains("host") && words["slack"].required.len() == 1);
    let said = mistakes("[channels.x]\ntype = 'slack'\nurl = 'https://x'\nhost = 'y'\n");
    assert_eq!(said, [".channels.x.host: is refused"]);
}

#[test]
fn every_example_is_valid_alone_and_those_of_the_page_together() {
    assert_accepts(&file("packaging/tollgate.toml"));
    Config::parse("packaging", &file("packaging/tollgate.toml")).unwrap();
    let page = blocks(&file("docs/configuration.md"), "toml");
    assert!(page.len() > 5);
    // `parse` holds what it accepts against the schema.
    Config::parse("configuration.md", &page.join("\n")).unwrap();
    let mut seen = 0;
    for path in documents().iter().filter(|path| !path.ends_with("configuration.md")) {
        for block in blocks(&std::fs::read_to_string(path).unwrap(), "toml") {
            Config::parse(&path.display().to_string(), &block).unwrap();
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn every_example_of_the_plugin_configuration_is_valid() {
    let schema = of_filter();
    let blocks = blocks(&file("docs/configuration.md"), "json");
    assert!(!blocks.is_empty());
    for block in blocks {
        GatewayConfig::parse(block.as_bytes()).unwrap();
        assert_eq!(against(&schema, &serde_json::from_str(&block).unwrap(), ""), Vec::<String>::new());
    }
}

/// Whether the schema refuses what is put under a key of a table, whatever else is missing there.
fn refuses(shape: &Shape, path: &str, key: &str, value: Value) -> bool {
    let mut inner: Value = [(key.to_owned(), value)].into_iter().collect::<Map<_, _>>().into();
    let mut at = path.to_owned();
    while !at.is_empty() {
        let (above, last) = at.rsplit_once('.').map_or(("", at.as_str()), |(above, last)| (above, last));
        let kind = shape.get(above).and_then(|table| table.keys.get(last));
        if matches!(kind, Some(Kind::Tables)) {
            inner = Value::Array(vec![inner]);
        }
        inner = [(last.to_owned(), inner)].into_iter().collect::<Map<_, _>>().into();
        at = above.to_owned();
    }
    // A mistake of this key says its path, whatever is missing in the tables above or inside.
    let said = against(schema(), &inner, "");
    let whole = if path.is_empty() { format!(".{key}") } else { format!(".{path}.{key}") };
    said.iter().any(|line| {
        let line = line.replace("[0].", ".");
        line.starts_with(&format!("{whole}:"))
    })
}

#[test]
fn an_unknown_key_a_wrong_type_and_a_wrong_word_are_refused_in_every_table() {
    let shape = shape();
    let mut words_seen = 0;
    for (path, table) in shape {
        assert!(refuses(shape, path, "no_such_key", 1.into()), "{path}");
        for (key, kind) in &table.keys {
            // Nothing in a configuration is a broken number, nor may be one.
            assert!(refuses(shape, path, key, 1.5.into()), "{path}.{key}");
            assert!(!refuses(shape, path, key, kind.sample()) || table.by_word.is_some(), "{path}.{key}");
            if let Kind::Word(_) = kind {
                assert!(refuses(shape, path, key, "no-such-word".into()), "{path}.{key}");
                words_seen += 1;
            }
        }
    }
    assert!(shape.len() >= 20 && words_seen >= 15, "{} {words_seen}", shape.len());
}
