//! Budgets as their operator writes them: read key by key, with every mistake named.
//!
//! The same keys in `tollgate.toml` (`[[budgets]]`), in `PUT /api/v1/budgets/{name}` and in a plugin
//! configuration that stands without a collector.

mod values;

use serde_json::{Map, Value};
pub use values::check_value;
use values::{right_tag, scope};

use super::scope::Dimension;
use super::window::Window;
use super::{Action, Amount, Budget, DEFAULT_LEASE_MS, HoldRule, OnOutage, OnUnknown, Unit};
use crate::attribution::is_name;
#[cfg(feature = "book")]
use crate::keys::{Asked, Kind};
use crate::keys::{ConfigError, Found, Keys, note, shown};
use crate::lean::small_map;
use crate::money::Picodollars;

/// Reads a list of budgets.
///
/// # Errors
/// Every mistake in it, with the key where it is, such as `budgets[0].limit_usd`.
pub fn read(list: &Value) -> Result<Vec<Budget>, Vec<ConfigError>> {
    let object = [("budgets".to_owned(), list.clone())].into_iter().collect();
    let mut found = Found::default();
    let budgets = from_keys(&mut Keys::new("", &object, &mut found));
    if found.errors.is_empty() { Ok(budgets) } else { Err(found.errors) }
}

/// The keys that reading this list of budgets asks for, below `budgets`; what is wrong with it is no matter.
#[cfg(feature = "book")]
#[must_use]
pub fn asked(list: &Value) -> Vec<Asked> {
    let object = [("budgets".to_owned(), list.clone())].into_iter().collect();
    let mut found = Found::default();
    from_keys(&mut Keys::new("", &object, &mut found));
    found.asked
}

/// Reads one budget, whose keys are `value`'s. `name` is given where it stands outside, as in a path.
///
/// # Errors
/// As [`read`], with the bare keys.
///
/// ```
/// use tollgate_core::budget::define;
///
/// let good = r#"{"limit_usd":"250.00","window":"month","each":"agent"}"#;
/// let budget = define::read_one(&serde_json::from_str(good).unwrap(), Some("support")).unwrap();
/// assert_eq!(budget.name, "support");
///
/// let wrong = r#"{"limit_usd":"250.00","window":"fortnight"}"#;
/// let errors = define::read_one(&serde_json::from_str(wrong).unwrap(), Some("support")).unwrap_err();
/// assert!(errors[0].to_string().starts_with("window: `fortnight` is not one of hour, day"));
/// ```
pub fn read_one(value: &Value, name: Option<&str>) -> Result<Budget, Vec<ConfigError>> {
    let problem = |problem: &str| vec![ConfigError { key: "budget".into(), problem: problem.into() }];
    let Value::Object(mut object) = value.clone() else {
        return Err(problem("is not an object such as {\"limit_usd\":\"250.00\",\"window\":\"month\"}"));
    };
    if let Some(name) = name {
        if object.get("name").is_some_and(|own| own.as_str() != Some(name)) {
            return Err(problem("has a `name` other than the one in its address; leave `name` out"));
        }
        object.insert("name".into(), name.into());
    }
    let mut found = Found::default();
    let budget = one(&mut Keys::new("", &object, &mut found));
    match budget {
        Some(budget) if found.errors.is_empty() => Ok(budget),
        _ => Err(found.errors),
    }
}

/// A budget with the keys that [`read_one`] takes; reading them gives the same budget.
// Long: one line for each key of a definition.
pub fn write(budget: &Budget) -> Value {
    let mut tags = Map::new();
    let mut scope = Map::new();
    if let Ok(Value::Object(dimensions)) = serde_json::to_value(&budget.scope) {
        for (dimension, values) in dimensions {
            match dimension.strip_prefix("tag:") {
                Some(tag) => tags.insert(tag.to_owned(), values),
                None => scope.insert(dimension, values),
            };
        }
    }
    if !tags.is_empty() {
        scope.insert("tags".into(), tags.into());
    }
    let amount = |amount: Amount| match budget.unit {
        Unit::Dollars => Picodollars::from_pico(amount.0).to_string().into(),
        Unit::Tokens | Unit::Calls => u64::try_from(amount.0).map_or(Value::Null, Value::from),
    };
    let mut written = Map::new();
    let mut put = |name: &str, value: Value| written.insert(name.to_owned(), value);
    put("name", budget.name.as_str().into());
    if !scope.is_empty() {
        put("scope", scope.into());
    }
    if let Some(each) = &budget.each {
        put("each", each.to_string().into());
    }
    put(&unit_key("limit", budget.unit), amount(budget.limit));
    put("window", budget.window.to_string().into());
    put("time_zone", budget.time_zone.as_str().into());
    let percents = budget.thresholds.iter().map(|percent| Value::from(format!("{percent}%")));
    put("thresholds", Value::Array(percents.collect()));
    put("action", word(ACTIONS, budget.action));
    put("hold", word(HOLDS, budget.hold));
    put("on_outage", word(OUTAGES, budget.on_outage));
    if budget.is_enforced() {
        put("on_unknown", word(UNKNOWNS, budget.on_unknown));
    }
    put("lease", span_text(budget.lease_ms).into());
    if let Some(ceiling) = budget.ceiling {
        put("ceiling_usd", Picodollars::from_pico(ceiling.0).to_string().into());
    }
    put("deferred", word(DEFERRED, budget.deferred));
    if budget.unmetered {
        put("unmetered", word(DEFERRED, budget.unmetered));
    }
    put("end_streams", budget.end_streams.into());
    if let Some(tokens) = budget.default_output_tokens {
        put("default_output_tokens", tokens.into());
    }
    if budget.carry_over > Amount::ZERO {
        put(&unit_key("carry_over", budget.unit), amount(budget.carry_over));
    }
    if let Some(status) = budget.status {
        put("status", status.into());
    }
    if let Some(message) = &budget.message {
        put("message", message.as_str().into());
    }
    written.into()
}

/// The key of an amount in this unit: `PREFIX_usd`, `PREFIX_tokens` or `PREFIX_calls`.
pub(crate) fn unit_key(prefix: &str, unit: Unit) -> String {
    let ending = match unit {
        Unit::Dollars => "usd",
        Unit::Tokens => "tokens",
        Unit::Calls => "calls",
    };
    format!("{prefix}_{ending}")
}

fn word<T: PartialEq>(words: &[(&str, T)], value: T) -> Value {
    words.iter().find(|(_, meant)| *meant == value).map_or(Value::Null, |(word, _)| (*word).into())
}

const ACTIONS: &[(&str, Action)] =
    &[("deny", Action::Deny), ("warn", Action::Warn), ("shadow", Action::Shadow)];
const HOLDS: &[(&str, HoldRule)] = &[("worst", HoldRule::Worst), ("expected", HoldRule::Expected)];
const OUTAGES: &[(&str, OnOutage)] =
    &[("lease", OnOutage::Lease), ("allow", OnOutage::Allow), ("deny", OnOutage::Deny)];
const UNKNOWNS: &[(&str, OnUnknown)] = &[("record", OnUnknown::Record), ("worst", OnUnknown::Worst)];
const DEFERRED: &[(&str, bool)] = &[("deny", false), ("allow", true)];

/// The `budgets` of a configuration.
pub(crate) fn from_keys(keys: &mut Keys<'_>) -> Vec<Budget> {
    let budgets = keys.list("budgets", |keys| {
        let line = keys.key("name");
        (one(keys), line)
    });
    let mut read: Vec<Budget> = Vec::new();
    for (index, (budget, _)) in budgets.into_iter().enumerate() {
        let Some(budget) = budget else { continue };
        if read.iter().any(|other| other.name == budget.name) {
            keys.wrong(
                &format!("budgets[{index}].name"),
                &format!("`{}` is the name of another budget; names are unique", budget.name),
            );
        }
        read.push(budget);
    }
    read
}

// Long: one statement for each key, so that one reading finds every mistake.
fn one(keys: &mut Keys<'_>) -> Option<Budget> {
    let name = keys.name("name").unwrap_or_else(|| {
        keys.wrong("name", "is missing; name the budget, for example \"support-monthly\"");
        String::new()
    });
    keys.must("name");
    if let Some(problem) = unaddressable(&name) {
        keys.wrong("name", &format!("`{name}` {problem}; name the budget, for example \"support-monthly\""));
    }
    let scope = keys.object("scope", scope).unwrap_or_default();
    let each = keys.text("each").and_then(|text| {
        let each = Dimension::parse(&text);
        match &each {
            None => keys.wrong("each", &format!("`{text}` is not one of {}", Dimension::NAMES)),
            Some(Dimension::Tag(tag)) if !is_name(tag) => {
                keys.wrong("each", &format!("`{text}` cannot be of any call: {}", right_tag()));
            }
            Some(_) => {}
        }
        each
    });
    let limits = quantity(keys, "limit");
    if limits.is_none() {
        keys.wrong("limit_usd", "is missing; give one of limit_usd, limit_tokens, limit_calls");
    }
    let carry_over = quantity(keys, "carry_over");
    if let (Some((unit, _)), Some((limit, _))) = (carry_over, limits)
        && unit != limit
    {
        let right = unit_key("carry_over", limit);
        keys.wrong(
            &unit_key("carry_over", unit),
            &format!("is in another unit than the limit; give {right}"),
        );
    }
    let window = window(keys);
    let budget = Budget {
        scope,
        each,
        unit: limits.map_or(Unit::Dollars, |(unit, _)| unit),
        limit: limits.map_or(Amount::ZERO, |(_, amount)| amount),
        window,
        time_zone: keys.text("time_zone").unwrap_or_else(super::utc),
        thresholds: thresholds(keys),
        action: keys.choice("action", ACTIONS).unwrap_or_default(),
        hold: keys.choice("hold", HOLDS).unwrap_or_default(),
        on_outage: keys.choice("on_outage", OUTAGES).unwrap_or_default(),
        on_unknown: keys.choice("on_unknown", UNKNOWNS).unwrap_or_default(),
        lease_ms: lease(keys),
        ceiling: ceiling(keys),
        default_output_tokens: keys.number_if_given("default_output_tokens", 1..=10_000_000),
        deferred: keys.choice("deferred", DEFERRED).unwrap_or(false),
        unmetered: keys.choice("unmetered", DEFERRED).unwrap_or(false),
        end_streams: keys.flag("end_streams", false),
        carry_over: carry_over.map_or(Amount::ZERO, |(_, amount)| amount),
        status: keys.number_if_given("status", 400..=499).and_then(|status| u16::try_from(status).ok()),
        message: keys.text("message"),
        name,
    };
    if budget.carry_over > Amount::ZERO && matches!(window, Window::Rolling(_) | Window::Prepaid) {
        let key = unit_key("carry_over", carry_over.map_or(budget.unit, |(unit, _)| unit));
        keys.wrong(&key, &format!("has no meaning for the window `{window}`; leave it out"));
    }
    if !budget.is_enforced() && keys.has("on_unknown") {
        let value = shown(&word(UNKNOWNS, budget.on_unknown)).replace('"', "`");
        let problem =
            "has no meaning for a budget that refuses nothing; leave it out, or give action = \"deny\"";
        keys.wrong("on_unknown", &format!("{value} {problem}"));
    }
    if budget.ceiling.is_some() && budget.unit != Unit::Dollars {
        keys.wrong("ceiling_usd", "has no meaning for a budget that does not count dollars; leave it out");
    }
    if !budget.is_enforced() && keys.has("unmetered") {
        let value = word(DEFERRED, budget.unmetered);
        let action = word(ACTIONS, budget.action);
        keys.wrong(
            "unmetered",
            &format!(
                "{} has no meaning where nothing is refused (action = {action}); leave it out, or give action = \"deny\"",
                shown(&value).replace('"', "`")
            ),
        );
    }
    keys.nothing_else();
    limits.map(|_| budget)
}

/// Shortest lease: two of the intervals, of a second, in which gateways report where nothing else is
/// configured.
pub const LEASE_MS_MIN: u64 = 2_000;
const LEASE_MS_MAX: u64 = 86_400_000;

fn lease(keys: &mut Keys<'_>) -> u64 {
    let Some(text) = keys.text("lease") else { return DEFAULT_LEASE_MS };
    let right = "a time from 2s (two sync intervals) to 1d, such as 10m";
    match parse_span(&text) {
        Some(ms) if (LEASE_MS_MIN..=LEASE_MS_MAX).contains(&ms) => ms,
        Some(ms) if ms < LEASE_MS_MIN => {
            keys.wrong("lease", &format!("`{text}` is below two sync intervals; give {right}"));
            DEFAULT_LEASE_MS
        }
        _ => {
            keys.wrong("lease", &format!("`{text}` is not {right}"));
            DEFAULT_LEASE_MS
        }
    }
}

fn ceiling(keys: &mut Keys<'_>) -> Option<Amount> {
    note!(keys, "ceiling_usd", Kind::Dollars);
    let value = keys.get("ceiling_usd")?;
    match dollars(value) {
        Ok(amount) if amount > 0 => Some(Amount(amount)),
        Ok(_) => {
            keys.wrong("ceiling_usd", &format!("`{}` holds nothing; give more than 0", shown(value)));
            None
        }
        Err(problem) => {
            keys.wrong("ceiling_usd", &format!("`{}` {problem}", shown(value)));
            None
        }
    }
}

/// Milliseconds of a text such as `30s`, `10m`, `2h`, `1d`.
fn parse_span(text: &str) -> Option<u64> {
    let (number, unit_ms) = SPAN_UNITS.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().ok())?.and_then(|number: u64| number.checked_mul(unit_ms))
}

/// The text of so many milliseconds, in the largest unit that leaves no rest; below a second in none.
fn span_text(ms: u64) -> String {
    let unit = SPAN_UNITS.iter().find(|(_, unit_ms)| ms.is_multiple_of(*unit_ms));
    unit.map_or_else(|| ms.to_string(), |(unit, unit_ms)| format!("{}{unit}", ms / unit_ms))
}

/// The largest first.
const SPAN_UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Why `/api/v1/budgets/NAME` and the paths below it could not mean the budget of this name.
fn unaddressable(name: &str) -> Option<&'static str> {
    match name {
        "." | ".." => Some("stands for a directory in a path"),
        "release" => Some("is what releases a gateway's grants in the API"),
        _ => None,
    }
}

fn window(keys: &mut Keys<'_>) -> Window {
    const RIGHT: &str = "one of hour, day, week, month, quarter, prepaid, or \"rolling 24h\" (1m to 90d)";
    let text = keys.text("window");
    keys.must("window");
    let Some(text) = text else {
        keys.wrong("window", &format!("is missing; give {RIGHT}"));
        return Window::Month;
    };
    Window::parse(&text).unwrap_or_else(|| {
        keys.wrong("window", &format!("`{text}` is not {RIGHT}"));
        Window::Month
    })
}

/// The amount under one of the [`unit_key`]s of this prefix, of which at most one may be there.
fn quantity(keys: &mut Keys<'_>, prefix: &str) -> Option<(Unit, Amount)> {
    let mut found = None;
    for unit in [Unit::Dollars, Unit::Tokens, Unit::Calls] {
        let key = unit_key(prefix, unit);
        note!(keys, &key, if unit == Unit::Dollars { Kind::Dollars } else { Kind::Whole(0, u64::MAX) });
        let Some(value) = keys.get(&key) else { continue };
        let amount = match unit {
            Unit::Dollars => dollars(value),
            _ => value
                .as_u64()
                .map(i128::from)
                .ok_or_else(|| format!("is not a whole number from 0 to {}", u64::MAX)),
        };
        match amount {
            Ok(amount) if found.is_none() => found = Some((unit, Amount(amount))),
            Ok(_) => keys.wrong(&key, "is a second unit; a budget counts dollars, tokens or calls: keep one"),
            Err(problem) => {
                keys.wrong(&key, &format!("`{}` {problem}", shown(value)));
                found = found.or(Some((unit, Amount::ZERO)));
            }
        }
    }
    found
}

fn dollars(value: &Value) -> Result<i128, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::Number(number) if number.as_f64().is_some_and(|number| number < 0.0) => {
            return Err("is below zero; a limit is 0 or more".into());
        }
        _ => return Err("is not an amount in quotes such as \"250.00\"".into()),
    };
    let amount: Picodollars = text.parse().map_err(|_| not_dollars(&text))?;
    if amount < Picodollars::ZERO {
        return Err("is below zero; a limit is 0 or more".into());
    }
    Ok(amount.as_pico())
}

/// Why this text is no amount.
fn not_dollars(text: &str) -> String {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) {
        return "is not an amount such as \"250.00\", of digits and a point".to_owned();
    }
    let most = Picodollars::from_pico(i128::MAX);
    match decimals.len() {
        ..=12 => format!("is more than the most, {most}"),
        more => format!("has {more} decimals; an amount has at most 12"),
    }
}

fn thresholds(keys: &mut Keys<'_>) -> Vec<u16> {
    note!(keys, "thresholds", Kind::list(Kind::Text));
    let Some(value) = keys.get("thresholds") else { return vec![80] };
    let percent = |value: &Value| value.as_str()?.strip_suffix('%')?.trim_end().parse::<u16>().ok();
    let read: Option<Vec<u16>> =
        value.as_array().and_then(|items| items.iter().map(percent).collect::<Option<_>>());
    if let Some(all) = read.filter(|all| all.iter().all(|percent| (1..=1_000).contains(percent))) {
        return small_map::map(all.into_iter().map(|percent| (percent, ()))).into_keys().collect();
    }
    // Percents, to who knows budgets; dollars, to who knows alerts.
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_bare = |item: &Value| item.is_number() || item.as_str().is_some_and(is_number);
    let bare = value.as_array().into_iter().flatten().find(|item| is_bare(item));
    let problem = match bare.map(|item| shown(item).trim_matches('"').to_owned()) {
        Some(number) => format!(
            "has `{number}` without a unit; write \"{number}%\" for a part of the limit (\"${number}\", dollars, is for `[[alerts]]`)"
        ),
        None => format!(
            "`{}` is not a list of percents from 1% to 1000%, such as [\"50%\", \"80%\", \"100%\"]",
            shown(value)
        ),
    };
    keys.wrong("thresholds", &problem);
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(json: &str) -> Vec<String> {
        let errors = read(&serde_json::from_str(json).unwrap()).err().unwrap_or_default();
        errors.into_iter().map(|error| error.to_string()).collect()
    }

    #[test]
    fn a_threshold_without_a_unit_is_refused_with_both_spellings() {
        for bare in ["[80]", "[\"80\"]", "[\"50%\", 80]"] {
            let json = format!(r#"[{{"name":"a","limit_usd":"1","window":"day","thresholds":{bare}}}]"#);
            let said = mistakes(&json).join("\n");
            assert!(
                said.contains("thresholds") && said.contains("\"80%\"") && said.contains("\"$80\""),
                "{said}"
            );
        }
        let json = serde_json::json!([{"name": "a", "limit_usd": "1", "window": "day", "thresholds": ["100%", "50%"]}]);
        let budgets = read(&json).unwrap();
        assert_eq!(budgets[0].thresholds, [50, 100]);
        assert_eq!(write(&budgets[0])["thresholds"], serde_json::json!(["50%", "100%"]));
    }

    #[test]
    fn everything_can_be_said() {
        let budgets = read(&serde_json::json!([{
            "name": "support", "scope": {"team": "support", "model": ["gpt-5*", "o3"], "tags": {"customer": "acme"}},
            "each": "agent", "limit_usd": "250.00", "window": "month", "time_zone": "Europe/Zurich",
            "thresholds": ["100%", "50%"], "action": "warn", "hold": "expected", "on_outage": "allow",
            "lease": "90s", "ceiling_usd": "0.75",
            "default_output_tokens": 1024, "deferred": "allow", "end_streams": true, "carry_over_usd": "50",
            "status": 429, "message": "{budget} is spent"
        }, {"name": "calls", "limit_calls": 100, "window": "rolling 24h", "unmetered": "allow"}]))
        .unwrap();
        let [first, second] = budgets.as_slice() else { panic!("{budgets:?}") };
        assert_eq!(first.limit, Amount(250_000_000_000_000));
        assert_eq!(first.thresholds, [50, 100]);
        assert_eq!(
            (first.action, first.hold, first.on_outage),
            (Action::Warn, HoldRule::Expected, OnOutage::Allow)
        );
        assert_eq!((first.lease_ms, first.ceiling), (90_000, Some(Amount(750_000_000_000))));
        assert_eq!((second.lease_ms, second.on_unknown), (600_000, OnUnknown::Record));
        assert_eq!((first.carry_over, first.status), (Amount(50_000_000_000_000), Some(429)));
        assert_eq!(
            (second.unit, second.limit, second.window),
            (Unit::Calls, Amount(100), Window::Rolling(1_440))
        );
        assert!(second.is_enforced() && second.scope == super::super::scope::Scope::default());
        let json = serde_json::to_string(first).unwrap();
        assert_eq!(serde_json::from_str::<Budget>(&json).unwrap(), *first);
        for budget in &budgets {
            let written = write(budget);
            assert_eq!(read_one(&written, Some(&budget.name)).as_ref(), Ok(budget), "{written}");
        }
        let written = write(first);
        assert_eq!(
            (&written["limit_usd"], &written["scope"]["tags"]["customer"]),
            (&"250.000000000000".into(), &serde_json::json!(["acme"]))
        );
    }

    #[test]
    fn unmetered_calls_are_a_matter_of_budgets_that_refuse() {
        for action in ["warn", "shadow"] {
            for value in ["allow", "deny"] {
                let found = mistakes(&format!(
                    r#"[{{"name":"b","limit_usd":"1","window":"day","action":"{action}","unmetered":"{value}"}}]"#
                ));
                let [found] = found.as_slice() else { panic!("{found:?}") };
                assert!(found.starts_with(&format!("budgets[0].unmetered: `{value}`")), "{found}");
                assert!(found.contains("leave it out, or give action = \"deny\""), "{found}");
            }
        }
        let found = mistakes(r#"[{"name":"b","limit_usd":"1","window":"day","unmetered":"maybe"}]"#);
        assert!(found[0].contains("`maybe` is not one of deny, allow"), "{found:?}");
    }

    #[test]
    fn what_no_call_can_have_is_refused_with_what_would_be_right() {
        let said = |more: serde_json::Value| {
            let mut budget = serde_json::json!({"name": "b", "limit_usd": "1", "window": "day"});
            budget.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            let errors = read_one(&budget, None).err().unwrap_or_default();
            errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("\n")
        };
        let digits = "0123456789abcdef";
        for scope in [
            serde_json::json!({"key": [digits, "0123*", "*"]}),
            serde_json::json!({"tags": {"customer": ["acme", "*"]}, "model": "ft:*", "provider": "open*"}),
        ] {
            assert_eq!(said(serde_json::json!({ "scope": scope })), "", "{scope}");
        }
        for (scope, expected) in [
            (serde_json::json!({"key": ""}), "scope.key: `` cannot match any call: keys are named by"),
            (serde_json::json!({"key": "0123456789ABCDEF"}), "scope.key: `0123456789ABCDEF` cannot"),
            (serde_json::json!({"key": "abc"}), "scope.key: `abc` cannot match any call"),
            (serde_json::json!({"key": format!("{digits}0")}), "scope.key: `0123456789abcdef0` cannot"),
            (serde_json::json!({"key": format!("{digits}0*")}), "scope.key: `0123456789abcdef0*` cannot"),
            (serde_json::json!({"tags": {"bad key": "x"}}), "scope.tags.bad key: `bad key` cannot match any"),
            (serde_json::json!({"tags": {"": "x"}}), "scope.tags.: `` cannot match any call: of tags, names"),
            (serde_json::json!({"tags": {}}), "scope.tags: names no tag; leave it out"),
            (serde_json::json!({"tags": 7}), "scope.tags: `7` is not an object"),
            (serde_json::json!({"provider": "OpenAI"}), "scope.provider: `OpenAI` cannot match any call"),
        ] {
            let said = said(serde_json::json!({ "scope": scope }));
            assert!(said.starts_with(expected) && said.lines().count() == 1, "{scope}: {said}");
        }
        for (key, value, expected) in [
            (
                "limit_usd",
                "0.0000000000001",
                "`\"0.0000000000001\"` has 13 decimals; an amount has at most 12",
            ),
            (
                "limit_usd",
                "200000000000000000000000000",
                "`\"200000000000000000000000000\"` is more than the most",
            ),
            ("limit_usd", "1e3", "`\"1e3\"` is not an amount such as \"250.00\", of digits and a point"),
            ("deferred", "maybe", "`maybe` is not one of deny, allow"),
            ("on_unknown", "best", "`best` is not one of record, worst"),
            ("lease", "1s", "`1s` is below two sync intervals; give a time from 2s"),
            ("lease", "2d", "`2d` is not a time from 2s"),
            ("lease", "soon", "`soon` is not a time from 2s"),
            ("ceiling_usd", "0", "`\"0\"` holds nothing; give more than 0"),
            ("ceiling_usd", "-1", "`\"-1\"` is below zero"),
        ] {
            let said = said(serde_json::json!({ key: value }));
            assert!(said.starts_with(&format!("{key}: {expected}")), "{said}");
        }
        assert_eq!(said(serde_json::json!({"deferred": true})), "deferred: `true` is not one of deny, allow");
        for (rule, action) in
            [("worst", "warn"), ("record", "warn"), ("worst", "shadow"), ("record", "shadow")]
        {
            let kept = said(serde_json::json!({"on_unknown": rule, "action": action}));
            let expected = format!("on_unknown: `{rule}` has no meaning for a budget that refuses nothing");
            assert!(kept.starts_with(&expected), "{kept}");
        }
        let tokens = serde_json::json!({"name": "b", "limit_tokens": 1, "window": "day", "ceiling_usd": "1"});
        let tokens = read_one(&tokens, None).unwrap_err();
        assert!(tokens[0].to_string().starts_with("ceiling_usd: has no meaning"), "{tokens:?}");
        let each = said(serde_json::json!({"each": "tag:bad key"}));
        assert!(each.starts_with("each: `tag:bad key` cannot be of any call: of tags, names are"), "{each}");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let found = mistakes(
            r#"[{"name":"a","limit_usd":"-1","window":"fortnight","colour":1,"scope":{"agent":"bad name","team":[],"planet":"x","model":"g*t"}},
                {"name":"a","limit_usd":"1","limit_calls":3,"window":"day","each":"galaxy","thresholds":["0%"],"action":"explode"},
                {"window":"day","carry_over_tokens":5,"limit_usd":-2.5},
                {"name":"d","limit_tokens":1.5,"window":"prepaid","carry_over_tokens":5,"status":200},
                {"name":"e","window":"day"}, 7, {"name":"..","window":"day","limit_calls":1},
                {"name":"release","window":"day","limit_calls":1}]"#,
        );
        for expected in [
            "budgets[0].limit_usd: `\"-1\"` is below zero",
            "budgets[0].window: `fortnight` is not one of hour",
            "budgets[0].colour: is not a key here",
            "budgets[0].scope.agent: `bad name` cannot match any call",
            "budgets[0].scope.team: `[]` is neither a text nor a list",
            "budgets[0].scope.planet: is not one of agent",
            "budgets[0].scope.model: `g*t` cannot match any call",
            "budgets[1].name: `a` is the name of another budget",
            "budgets[1].limit_calls: is a second unit",
            "budgets[1].each: `galaxy` is not one of agent",
            "budgets[1].thresholds: `[\"0%\"]` is not a list of percents",
            "budgets[1].action: `explode` is not one of deny, warn, shadow",
            "budgets[2].name: is missing",
            "budgets[2].limit_usd: `-2.5` is below zero",
            "budgets[2].carry_over_tokens: is in another unit than the limit; give carry_over_usd",
            "budgets[3].limit_tokens: `1.5` is not a whole number",
            "budgets[3].carry_over_tokens: has no meaning for the window `prepaid`",
            "budgets[3].status: `200` is not a whole number from 400 to 499",
            "budgets[4].limit_usd: is missing",
            "budgets[5]: `7` is not an object",
            "budgets[6].name: `..` stands for a directory",
            "budgets[7].name: `release` is what releases",
        ] {
            assert_eq!(
                found.iter().filter(|line| line.starts_with(expected)).count(),
                1,
                "{expected} in {found:#?}"
            );
        }
        assert_eq!(found.len(), 22, "{found:#?}");
    }
}
