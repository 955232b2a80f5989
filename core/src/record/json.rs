//! Records as JSON, written straight into one buffer.
//!
//! What is written is what `serde_json` writes of the same record; a property test holds the two together. A
//! gateway writes two of these for each call, and this takes a fifth of the time and less room in the module.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Head, Output, PromptShape, UsageRecord, Work};
use crate::attribution::Attribution;
use crate::lean::digits::Digits;
use crate::lean::find;
use crate::money::Picodollars;
use crate::price::charge::{Charge, PriceBasis};
use crate::usage::{Share, Usage};

impl UsageRecord {
    /// This record as a JSON object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = String::with_capacity(RECORD_BYTES);
        self.write(&mut out);
        out.into_bytes()
    }

    // Long: each field is named once, so that none is forgotten.
    fn write(&self, out: &mut String) {
        // Named one by one, so that a field more is not forgotten here.
        let Self {
            head,
            stream,
            status,
            outcome,
            usage,
            shares,
            usage_estimated,
            charges,
            cost_usd,
            cost_status,
            cost_source,
            provider_cost_usd,
            charged_usd,
            price_version,
            price_basis,
            policy_version,
            refused_by,
            stepped_down_from,
            saved_usd,
            noted_by,
            attempts,
            duration_ms,
            first_byte_ms,
            request_bytes,
            response_bytes,
            prompt,
            request_hash,
            work,
            notes,
        } = self;
        out.push('{');
        head.write(out);
        flag(out, "stream", *stream);
        optional_number(out, "status", status.map(u64::from));
        word(out, "outcome", outcome.name());
        object(out, "usage", |out| write_usage(out, usage));
        list(out, "shares", shares, write_share);
        if *usage_estimated {
            flag(out, "usage_estimated", true);
        }
        list(out, "charges", charges, write_charge);
        money(out, "cost_usd", *cost_usd);
        word(out, "cost_status", cost_status.name());
        word(out, "cost_source", cost_source.name());
        for (name, amount) in [("provider_cost_usd", provider_cost_usd), ("charged_usd", charged_usd)] {
            if let Some(amount) = amount {
                money(out, name, *amount);
            }
        }
        optional_text(out, "price_version", price_version.as_deref());
        list(out, "price_basis", price_basis, write_basis);
        optional_text(out, "policy_version", policy_version.as_deref());
        optional_text(out, "refused_by", refused_by.as_deref());
        optional_text(out, "stepped_down_from", stepped_down_from.as_deref());
        if let Some(amount) = saved_usd {
            money(out, "saved_usd", *amount);
        }
        list(out, "noted_by", noted_by, |out, rule| quoted(out, rule));
        optional_number(out, "attempts", attempts.map(u64::from));
        optional_number(out, "duration_ms", *duration_ms);
        optional_number(out, "first_byte_ms", *first_byte_ms);
        optional_number(out, "request_bytes", *request_bytes);
        optional_number(out, "response_bytes", *response_bytes);
        if let Some(prompt) = prompt {
            object(out, "prompt", |out| write_prompt(out, prompt));
        }
        optional_text(out, "request_hash", request_hash.as_deref());
        if let Some(work) = work {
            object(out, "work", |out| write_work(out, work));
        }
        list(out, "notes", notes, |out, note| quoted(out, note.name()));
        out.push('}');
    }
}

impl Head {
    /// Its members, into an object that is open.
    pub(super) fn write(&self, out: &mut String) {
        let Self {
            id,
            time_ms,
            gateway,
            attribution,
            attribution_source,
            key_id,
            provider,
            operation,
            request_model,
            response_model,
            service_tier,
        } = self;
        text(out, "id", id);
        number(out, "time_ms", *time_ms);
        text(out, "gateway", gateway);
        write_attribution(out, attribution);
        word(out, "attribution_source", attribution_source.name());
        optional_text(out, "key_id", key_id.as_deref());
        text(out, "provider", provider);
        text(out, "operation", operation);
        optional_text(out, "request_model", request_model.as_deref());
        optional_text(out, "response_model", response_model.as_deref());
        optional_text(out, "service_tier", service_tier.as_deref());
    }
}

fn write_attribution(out: &mut String, attribution: &Attribution) {
    let Attribution { agent, team, feature, environment, run, parent_run, tags, trusted } = attribution;
    text(out, "agent", agent);
    text(out, "team", team);
    text(out, "feature", feature);
    text(out, "environment", environment);
    optional_text(out, "run", run.as_deref());
    optional_text(out, "parent_run", parent_run.as_deref());
    if !tags.is_empty() {
        object(out, "tags", |out| texts(out, tags));
    }
    let trusted: Vec<&str> = trusted.names().collect();
    list(out, "trusted", &trusted, |out, name| quoted(out, name));
}

fn write_usage(out: &mut String, usage: &Usage) {
    let Usage {
        input_tokens,
        cache_read_tokens,
        cache_write_tokens,
        cache_write_by_ttl,
        output_tokens,
        reasoning_tokens,
        citation_tokens,
        input_audio_tokens,
        cache_read_audio_tokens,
        output_audio_tokens,
        input_image_tokens,
        cache_read_image_tokens,
        output_image_tokens,
        input_video_tokens,
        input_tool_tokens,
        web_searches,
        web_fetches,
        file_searches,
        images,
        audio_ms,
        pages,
        search_units,
        characters,
        code_sessions,
    } = usage;
    optional_number(out, "input_tokens", *input_tokens);
    optional_number(out, "cache_read_tokens", *cache_read_tokens);
    optional_number(out, "cache_write_tokens", *cache_write_tokens);
    if !cache_write_by_ttl.is_empty() {
        object(out, "cache_write_by_ttl", |out| {
            cache_write_by_ttl.iter().for_each(|(ttl, tokens)| number(out, ttl.name(), *tokens));
        });
    }
    for (name, count) in [
        ("output_tokens", output_tokens),
        ("reasoning_tokens", reasoning_tokens),
        ("citation_tokens", citation_tokens),
        ("input_audio_tokens", input_audio_tokens),
        ("cache_read_audio_tokens", cache_read_audio_tokens),
        ("output_audio_tokens", output_audio_tokens),
        ("input_image_tokens", input_image_tokens),
        ("cache_read_image_tokens", cache_read_image_tokens),
        ("output_image_tokens", output_image_tokens),
        ("input_video_tokens", input_video_tokens),
        ("input_tool_tokens", input_tool_tokens),
        ("web_searches", web_searches),
        ("web_fetches", web_fetches),
        ("file_searches", file_searches),
        ("images", images),
        ("audio_ms", audio_ms),
        ("pages", pages),
        ("search_units", search_units),
        ("characters", characters),
        ("code_sessions", code_sessions),
    ] {
        optional_number(out, name, *count);
    }
}

fn write_share(out: &mut String, share: &Share) {
    let Share { model, usage, more_calls } = share;
    out.push('{');
    optional_text(out, "model", model.as_deref());
    object(out, "usage", |out| write_usage(out, usage));
    optional_number(out, "more_calls", Some(*more_calls).filter(|more| *more > 0));
    out.push('}');
}

fn write_charge(out: &mut String, charge: &Charge) {
    let Charge { model, kind, quantity, rate, cost_usd } = charge;
    out.push('{');
    text(out, "model", model);
    word(out, "kind", kind.name());
    number(out, "quantity", *quantity);
    money(out, "rate", *rate);
    money(out, "cost_usd", *cost_usd);
    out.push('}');
}

fn write_basis(out: &mut String, basis: &PriceBasis) {
    let PriceBasis { model, from_ms, step, facts, variant, input_above, discount } = basis;
    out.push('{');
    text(out, "model", model);
    optional_number(out, "from_ms", Some(*from_ms).filter(|from_ms| *from_ms > 0));
    if let Some(step) = step {
        word(out, "step", step.name());
    }
    if !facts.is_empty() {
        object(out, "facts", |out| texts(out, facts));
    }
    optional_text(out, "variant", variant.as_deref());
    optional_number(out, "input_above", *input_above);
    optional_text(out, "discount", discount.as_deref());
    out.push('}');
}

fn write_prompt(out: &mut String, prompt: &PromptShape) {
    let PromptShape { system_hash, system_bytes, tools_hash, tools_bytes, bytes_by_role } = prompt;
    optional_text(out, "system_hash", system_hash.as_deref());
    optional_number(out, "system_bytes", *system_bytes);
    optional_text(out, "tools_hash", tools_hash.as_deref());
    optional_number(out, "tools_bytes", *tools_bytes);
    if !bytes_by_role.is_empty() {
        object(out, "bytes_by_role", |out| {
            for (role, bytes) in bytes_by_role {
                named(out, role);
                out.push_str(Digits::of(*bytes, 1).as_str());
            }
        });
    }
}

fn write_work(out: &mut String, work: &Work) {
    let Work { fetched, of, started, paid, outputs } = work;
    optional_text(out, "fetched", fetched.as_deref());
    optional_text(out, "of", of.as_deref());
    list(out, "started", started, |out, id| quoted(out, id));
    if *paid {
        flag(out, "paid", true);
    }
    list(out, "outputs", outputs, |out, output| {
        let Output { file, of } = output;
        out.push('{');
        text(out, "file", file);
        text(out, "of", of);
        out.push('}');
    });
}

/// The key of a member, which is a word of ours, and the comma before it where it is not the first.
fn key(out: &mut String, name: &'static str) {
    out.push_str(if is_first(out) { "\"" } else { ",\"" });
    out.push_str(name);
    out.push_str("\":");
}

/// A member whose key is anybody's word.
fn named(out: &mut String, name: &str) {
    if !is_first(out) {
        out.push(',');
    }
    quoted(out, name);
    out.push(':');
}

fn is_first(out: &str) -> bool {
    out.as_bytes().last() == Some(&b'{')
}

fn text(out: &mut String, name: &'static str, value: &str) {
    key(out, name);
    quoted(out, value);
}

fn texts(out: &mut String, members: &BTreeMap<String, String>) {
    for (name, value) in members {
        named(out, name);
        quoted(out, value);
    }
}

/// A value of ours, which has nothing to escape.
pub(super) fn word(out: &mut String, name: &'static str, value: &str) {
    key(out, name);
    out.push('"');
    out.push_str(value);
    out.push('"');
}

fn optional_text(out: &mut String, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, name, value);
    }
}

pub(super) fn number(out: &mut String, name: &'static str, value: u64) {
    key(out, name);
    out.push_str(Digits::of(value, 1).as_str());
}

pub(super) fn optional_number(out: &mut String, name: &'static str, value: Option<u64>) {
    if let Some(value) = value {
        number(out, name, value);
    }
}

pub(super) fn flag(out: &mut String, name: &'static str, value: bool) {
    key(out, name);
    out.push_str(if value { "true" } else { "false" });
}

pub(super) fn money(out: &mut String, name: &'static str, value: Picodollars) {
    key(out, name);
    out.push('"');
    let _ = write!(out, "{value}");
    out.push('"');
}

pub(super) fn object(out: &mut String, name: &'static str, members: impl FnOnce(&mut String)) {
    key(out, name);
    out.push('{');
    members(out);
    out.push('}');
}

/// A list, left out where it is empty.
pub(super) fn list<T>(out: &mut String, name: &'static str, items: &[T], write: impl Fn(&mut String, &T)) {
    if items.is_empty() {
        return;
    }
    key(out, name);
    for (index, item) in items.iter().enumerate() {
        out.push(if index == 0 { '[' } else { ',' });
        write(out, item);
    }
    out.push(']');
}

/// A JSON string, escaped as `serde_json` does.
pub(super) fn quoted(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = find::escaped(rest.as_bytes()) {
        let (plain, escaped) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = escaped.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// A record's usual size and some more.
const RECORD_BYTES: usize = 1_536;

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::attribution::AttributionSource;
    use crate::price::charge::{CostStatus, Step};
    use crate::record::{CostSource, Note, Outcome};
    use crate::usage::{CacheTtl, Kind};

    #[test]
    fn what_is_escaped_is_found_wherever_it_stands() {
        for character in
            ['"', '\\', '\n', '\0', '\u{1f}', ' ', '!', '#', '[', ']', '\u{7f}', '\u{80}', 'é', '\u{ffff}']
        {
            for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                let value = format!(
                    "{}{character}{}",
                    "a".repeat(before),
                    "\u{1}".repeat(after % 2) + &"z".repeat(after)
                );
                let mut out = String::new();
                quoted(&mut out, &value);
                assert_eq!(out, serde_json::to_string(&value).unwrap());
            }
        }
    }

    prop_compose! {
        fn attribution()(
            names in vec(".{0,12}", 4),
            run in option::of(".{0,8}"),
            parent_run in option::of("[a-z]{0,8}"),
            tags in btree_map(".{0,6}", ".{0,6}", 0..3),
            trusted in vec(prop::sample::select(vec!["agent", "team", "run", "tags"]), 0..3),
        ) -> Attribution {
            let [agent, team, feature, environment] = names.try_into().unwrap();
            let trusted = trusted.into_iter().map(str::to_owned).collect::<Vec<_>>().into();
            Attribution { agent, team, feature, environment, run, parent_run, tags, trusted }
        }
    }

    prop_compose! {
        fn usage()(
            counts in vec(option::of(any::<u64>()), 22),
            cache_write_by_ttl in btree_map(ttl(), any::<u64>(), 0..4),
        ) -> Usage {
            let mut usage = Usage { cache_write_by_ttl, ..Usage::default() };
            usage.counts_mut().into_iter().zip(counts).for_each(|(slot, count)| *slot = count);
            usage
        }
    }

    prop_compose! {
        fn share()(model in option::of(".{0,12}"), usage in usage(), more_calls in 0..3u64) -> Share {
            Share { model, usage, more_calls }
        }
    }

    prop_compose! {
        fn charge()(
            model in ".{0,12}",
            kind in prop::sample::select(&Kind::ALL[..]),
            quantity in any::<u64>(),
            rate in -(1i128 << 70)..(1i128 << 70),
            cost in any::<i64>(),
        ) -> Charge {
            let (rate, cost_usd) = (Picodollars::from_pico(rate), Picodollars::from_pico(cost.into()));
            Charge { model, kind, quantity, rate, cost_usd }
        }
    }

    prop_compose! {
        fn basis()(
            model in ".{0,12}",
            from_ms in prop_oneof![Just(0), any::<u64>()],
            step in option::of(prop::sample::select(&STEPS[..])),
            facts in btree_map(".{0,6}", ".{0,6}", 0..3),
            texts in vec(option::of(".{0,6}"), 2),
            input_above in option::of(any::<u64>()),
        ) -> PriceBasis {
            let [variant, discount] = texts.try_into().unwrap();
            PriceBasis { model, from_ms, step, facts, variant, input_above, discount }
        }
    }

    prop_compose! {
        fn prompt()(
            hashes in vec(option::of("[0-9a-f]{0,8}"), 2),
            bytes in vec(option::of(any::<u64>()), 2),
            bytes_by_role in btree_map(".{0,6}", any::<u64>(), 0..3),
        ) -> PromptShape {
            let [system_hash, tools_hash] = hashes.try_into().unwrap();
            let [system_bytes, tools_bytes] = bytes.try_into().unwrap();
            PromptShape { system_hash, system_bytes, tools_hash, tools_bytes, bytes_by_role }
        }
    }

    prop_compose! {
        fn work()(
            texts in vec(option::of(".{0,12}"), 2),
            started in vec(".{0,12}", 0..3),
            paid in any::<bool>(),
            outputs in vec((".{0,9}", ".{0,9}"), 0..3),
        ) -> Work {
            let [fetched, of] = texts.try_into().unwrap();
            let outputs = outputs.into_iter().map(|(file, of)| Output { file, of }).collect();
            Work { fetched, of, started, paid, outputs }
        }
    }

    prop_compose! {
        fn record()(
            attribution in attribution(),
            usage in usage(),
            shares in vec(share(), 0..3),
            charges in vec(charge(), 0..4),
            price_basis in vec(basis(), 0..3),
            prompt in option::of(prompt()),
            notes in vec(prop::sample::select(NOTES), 0..4),
            texts in vec(".{0,16}", 4),
            noted_by in vec(".{0,16}", 0..3),
            optional_texts in vec(option::of(".{0,16}"), 9),
            work in option::of(work()),
            numbers in vec(option::of(any::<u64>()), 4),
            attempts in option::of(any::<u32>()),
            status in option::of(any::<u16>()),
            flags in (any::<bool>(), any::<bool>()),
            words in (
                prop::sample::select(&SOURCES[..]),
                prop::sample::select(&OUTCOMES[..]),
                prop::sample::select(&STATUSES[..]),
                prop::sample::select(&[CostSource::Book, CostSource::Provider][..]),
            ),
            time_ms in any::<u64>(),
            cost in any::<i128>(),
            [provider_cost, charged, saved] in prop::array::uniform3(option::of(any::<i64>())),
        ) -> UsageRecord {
            let [id, gateway, provider, operation] = texts.try_into().unwrap();
            let [
                key_id, request_model, response_model, service_tier, price_version, policy_version, request_hash,
                refused_by,
                stepped_down_from,
            ] =
                optional_texts.try_into().unwrap();
            let [duration_ms, first_byte_ms, request_bytes, response_bytes] = numbers.try_into().unwrap();
            let head = Head {
                id, time_ms, gateway, attribution, attribution_source: words.0, key_id, provider, operation,
                request_model, response_model, service_tier,
            };
            UsageRecord {
                head, stream: flags.0, status, outcome: words.1, usage, shares,
                usage_estimated: flags.1, charges, cost_usd: Picodollars::from_pico(cost), cost_status: words.2,
                cost_source: words.3,
                provider_cost_usd: provider_cost.map(|pico| Picodollars::from_pico(pico.into())), price_version,
                charged_usd: charged.map(|pico| Picodollars::from_pico(pico.into())),
                price_basis, policy_version, refused_by, stepped_down_from,
                saved_usd: saved.map(|pico| Picodollars::from_pico(pico.into())),
                noted_by, attempts, duration_ms, first_byte_ms, request_bytes, response_bytes, prompt, request_hash, work: work.map(Box::new), notes,
            }
        }
    }

    fn ttl() -> impl Strategy<Value = CacheTtl> {
        prop::sample::select(
            &[CacheTtl::FiveMinutes, CacheTtl::HalfHour, CacheTtl::OneHour, CacheTtl::TwelveHours][..],
        )
    }

    const STEPS: [Step; 11] = [
        Step::Exact,
        Step::Moving,
        Step::Snapshot,
        Step::Bedrock,
        Step::FineTune,
        Step::Respelled,
        Step::Router,
        Step::Mapped,
        Step::Vendor,
        Step::Relative,
        Step::Asked,
    ];
    const NOTES: &[Note] = &[
        Note::ContradictoryUsage,
        Note::UnexpectedContent,
        Note::TruncatedAnswer,
        Note::UnreadEncoding,
        Note::ErrorInStream,
        Note::NoUsage,
        Note::Deferred,
        Note::RetriesCharged,
        Note::Recovered,
        Note::EndedByBudget,
        Note::NotRead,
        Note::UnknownWork,
        Note::PaidAtStart,
        Note::CostCorrected,
        Note::ProviderCostIgnored,
        Note::ProviderCostDoubted,
        Note::PriceAwaited,
        Note::RateGuessed,
        Note::Repeated,
    ];
    const SOURCES: [AttributionSource; 5] = [
        AttributionSource::Verified,
        AttributionSource::Key,
        AttributionSource::Route,
        AttributionSource::SelfDeclared,
        AttributionSource::None,
    ];
    const OUTCOMES: [Outcome; 5] =
        [Outcome::Ok, Outcome::Error, Outcome::ClientAbort, Outcome::UpstreamAbort, Outcome::Denied];
    const STATUSES: [CostStatus; 4] =
        [CostStatus::Measured, CostStatus::Estimated, CostStatus::Unpriced, CostStatus::Free];

    proptest! {
        #[test]
        fn it_is_what_serde_writes(record in record()) {
            let expected = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(String::from_utf8(record.to_json()).unwrap(), expected);
        }
    }
}
