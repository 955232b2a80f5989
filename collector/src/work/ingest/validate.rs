//! What a record must be to be kept: bounded, and with numbers that add up.

use tollgate_core::attribution::{NAME_BYTES_MAX, TAGS_MAX};
use tollgate_core::money::Picodollars;
use tollgate_core::price::CostStatus;
use tollgate_core::record::{
    COST_MAX, CostSource, Folded, Head, OUTPUTS_MAX, Outcome, STARTED_MAX, Totals, UsageRecord,
    WORK_BYTES_MAX, work_id,
};
use tollgate_core::usage::Usage;

use super::rates::RateCheck;
use crate::model::clock::HOUR_MS;
use crate::model::refusal::Refusal;
use crate::model::text::printable;
use crate::store::RecordId;
use crate::work::access::Gateways;

/// A refused record: why, for a counter, and in words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Which field, and what would be right.
    pub detail: String,
}

impl Refused {
    /// For what could not be read.
    pub(super) fn malformed(error: &dyn std::fmt::Display) -> Self {
        let detail: String = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        Self { refusal: Refusal::Malformed, detail }
    }

    fn new(refusal: Refusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: detail.into() }
    }
}

/// Checks what no gateway says of a call's money, before anything of it is corrected: charges that are not
/// quantity times rate, and a cost of what costs nothing.
pub(super) fn claims(record: &UsageRecord) -> Result<(), Refused> {
    at_most("charges", record.charges.len(), CHARGES_MAX)?;
    for charge in &record.charges {
        text("charges.model", &charge.model, MODEL_BYTES_MAX)?;
        quantity("charges.quantity", charge.quantity)?;
        amount("charges.rate", charge.rate)?;
        let right = charge.rate.times(charge.quantity);
        if right != charge.cost_usd {
            let detail = format!(
                "`charges` of {}: `cost_usd` is {}, not {right}, which {} times {} is",
                charge.kind, charge.cost_usd, charge.quantity, charge.rate
            );
            return Err(Refused::new(Refusal::Money, detail));
        }
        amount("charges.cost_usd", charge.cost_usd)?;
    }
    nothing_owed(record)
}

/// What was refused, or is free, costs nothing.
fn nothing_owed(record: &UsageRecord) -> Result<(), Refused> {
    let why = match (record.outcome, record.cost_status) {
        (Outcome::Denied, _) => "`outcome` is `denied`",
        (_, CostStatus::Free) => "`cost_status` is `free`",
        _ => return Ok(()),
    };
    if record.cost_usd == Picodollars::ZERO {
        return Ok(());
    }
    let detail = format!("`cost_usd` is {}, but {why}, so it must be 0", record.cost_usd);
    Err(Refused::new(Refusal::Money, detail))
}

/// Checks a record whose claims were checked and doubted.
pub(super) fn check(record: &UsageRecord) -> Result<(), Refused> {
    which(&record.head)?;
    texts(record)?;
    work(record)?;
    counts(record)?;
    money(record)
}

/// Who sends records, and when they came.
pub(super) struct Sent<'a> {
    /// Name of the gateway that sends them; `None` for an access log.
    pub(super) by: Option<&'a str>,
    /// Those that its token is for.
    pub(super) gateways: &'a Gateways,
    /// The collector's clock, Unix milliseconds UTC.
    pub(super) now_ms: u64,
}

impl Sent<'_> {
    /// Checks the gateway and time of a record or total: who sends it reports of itself only, or of gateways
    /// that its token names; and no clock is far ahead.
    pub(super) fn check(&self, gateway: &str, time_ms: u64) -> Result<(), Refused> {
        let is_own = self.by.is_none_or(|by| by == gateway);
        if !is_own && !self.gateways.names_one(gateway) {
            let shown: String = printable(gateway).chars().take(SHOWN_CHARS_MAX).collect();
            let by = self.by.unwrap_or_default();
            let may = match self.gateways.names() {
                names if names.is_empty() => format!("`{by}`, which sends it"),
                names => format!("`{by}`, which sends it, or {names}, which the token is for"),
            };
            return Err(Refused::new(Refusal::Gateway, format!("`gateway` is `{shown}`, not {may}")));
        }
        if time_ms > self.now_ms.saturating_add(AHEAD_MS_MAX) {
            let detail = format!(
                "`time_ms` is {time_ms}, {} s ahead of this collector's clock; more than {} s is none, set the gateway's clock",
                time_ms.saturating_sub(self.now_ms) / 1_000,
                AHEAD_MS_MAX / 1_000
            );
            return Err(Refused::new(Refusal::Time, detail));
        }
        Ok(())
    }
}

/// Checks a total of records.
pub(super) fn check_folded(folded: &Folded, rates: &RateCheck<'_>) -> Result<(), Refused> {
    which(&folded.head)?;
    if !(1..=SPAN_MS_MAX).contains(&folded.span_ms) {
        let detail = format!("`span_ms` is {}, not from 1 to {SPAN_MS_MAX}, an hour", folded.span_ms);
        return Err(Refused::new(Refusal::Time, detail));
    }
    names(&folded.head)?;
    let calls = folded.sums.totals.calls.checked_add(folded.sums.totals.denied);
    if folded.folded == 0 || folded.folded > RECORDS_MAX || calls != Some(folded.folded) {
        let detail =
            format!("`folded` is {}, not the calls of `totals`, at most {RECORDS_MAX}", folded.folded);
        return Err(Refused::new(Refusal::Count, detail));
    }
    // Each of its records was within these.
    let most = COUNT_MAX.saturating_mul(folded.folded);
    at_most("kinds", folded.sums.kinds.len(), CHARGES_MAX)?;
    let quantities = folded.sums.kinds.iter().map(|one| one.quantity);
    if let Some(count) = folded.sums.totals.counts().into_iter().chain(quantities).find(|count| *count > most)
    {
        return Err(Refused::new(Refusal::Count, format!("`totals` have {count}, more than {most}")));
    }
    let most = PICO_MAX.saturating_mul(i128::from(folded.folded));
    let amounts =
        folded.sums.totals.money().into_iter().chain(folded.sums.kinds.iter().map(|one| one.cost_usd));
    for amount in amounts {
        if !(0..=most).contains(&amount.as_pico()) {
            return Err(Refused::new(
                Refusal::Money,
                format!("`totals` have {amount}, not an amount of their calls"),
            ));
        }
    }
    total_money(folded, rates)
}

/// A total's cost is that of its kinds, or its providers' words; and no more than such calls come to.
fn total_money(folded: &Folded, rates: &RateCheck<'_>) -> Result<(), Refused> {
    let Totals { cost, estimated_cost, provider_cost, calls, .. } = folded.sums.totals;
    let wrong = |detail| Err(Refused::new(Refusal::Money, detail));
    let by_kinds = folded.sums.kinds.iter().fold(Picodollars::ZERO, |sum, one| sum + one.cost_usd);
    let most = if calls == 0 { Picodollars::ZERO } else { by_kinds + provider_cost };
    if cost > most {
        return wrong(format!(
            "`totals.cost_usd` is {cost}, more than {most}, which `kinds` and `provider_cost_usd` of {calls} calls are"
        ));
    }
    if estimated_cost > cost {
        return wrong(format!(
            "`totals.estimated_cost_usd` is {estimated_cost}, more than `cost_usd`, {cost}"
        ));
    }
    match rates.most_of(folded) {
        Some((by_book, _)) if by_kinds > by_book => {
            wrong(format!("`kinds` cost {by_kinds}, more than ten times the dearest rates, {by_book}"))
        }
        Some((_, by_word)) if provider_cost > by_word => wrong(format!(
            "`totals.provider_cost_usd` is {provider_cost}, more than {by_word}, the most that such calls come to"
        )),
        _ => Ok(()),
    }
}

/// Its id and time.
fn which(head: &Head) -> Result<(), Refused> {
    if let Err(error) = head.id.parse::<RecordId>() {
        return Err(Refused::new(Refusal::Id, format!("`id` is {error}")));
    }
    let time_ms = head.time_ms;
    if (TIME_MS_MIN..=TIME_MS_MAX).contains(&time_ms) {
        return Ok(());
    }
    let detail =
        format!("`time_ms` is {time_ms}, not Unix milliseconds from {TIME_MS_MIN}, the year 2020, on");
    Err(Refused::new(Refusal::Time, detail))
}

/// The texts that records and totals have in common.
fn names(head: &Head) -> Result<(), Refused> {
    let who = &head.attribution;
    for (field, value) in [
        ("agent", &who.agent),
        ("team", &who.team),
        ("feature", &who.feature),
        ("environment", &who.environment),
    ] {
        text(field, value, NAME_BYTES_MAX)?;
    }
    for (field, value) in
        [("gateway", &head.gateway), ("provider", &head.provider), ("operation", &head.operation)]
    {
        name(field, value, TEXT_BYTES_MAX)?;
    }
    for (field, value, most) in [
        ("key_id", &head.key_id, TEXT_BYTES_MAX),
        ("request_model", &head.request_model, MODEL_BYTES_MAX),
        ("response_model", &head.response_model, MODEL_BYTES_MAX),
        ("service_tier", &head.service_tier, TEXT_BYTES_MAX),
    ] {
        value.as_deref().map_or(Ok(()), |value| text(field, value, most))?;
    }
    Ok(())
}

fn texts(record: &UsageRecord) -> Result<(), Refused> {
    names(&record.head)?;
    let who = &record.head.attribution;
    for (field, value, most) in [
        ("run", &who.run, NAME_BYTES_MAX),
        ("parent_run", &who.parent_run, NAME_BYTES_MAX),
        ("price_version", &record.price_version, TEXT_BYTES_MAX),
        ("policy_version", &record.policy_version, TEXT_BYTES_MAX),
        ("request_hash", &record.request_hash, TEXT_BYTES_MAX),
    ] {
        value.as_deref().map_or(Ok(()), |value| text(field, value, most))?;
    }
    at_most("price_basis", record.price_basis.len(), LIST_MAX)?;
    for basis in &record.price_basis {
        text("price_basis.model", &basis.model, MODEL_BYTES_MAX)?;
        at_most("price_basis.facts", basis.facts.len(), LIST_MAX)?;
        let told = [&basis.variant, &basis.discount].into_iter().flatten();
        for value in basis.facts.keys().chain(basis.facts.values()).chain(told) {
            text("price_basis", value, MODEL_BYTES_MAX)?;
        }
    }
    at_most("tags", who.tags.len(), TAGS_MAX)?;
    for (key, value) in &who.tags {
        text("tags", key, NAME_BYTES_MAX)?;
        if !value.is_empty() {
            text("tags", value, NAME_BYTES_MAX)?;
        }
    }
    if let Some(prompt) = &record.prompt {
        for hash in [&prompt.system_hash, &prompt.tools_hash].into_iter().flatten() {
            text("prompt", hash, TEXT_BYTES_MAX)?;
        }
        at_most("prompt.bytes_by_role", prompt.bytes_by_role.len(), LIST_MAX)?;
        for role in prompt.bytes_by_role.keys() {
            text("prompt.bytes_by_role", role, TEXT_BYTES_MAX)?;
        }
    }
    at_most("notes", record.notes.len(), LIST_MAX)
}

/// Fetched work is known by its id: a record with another one would be a second of it, or take its place.
fn work(record: &UsageRecord) -> Result<(), Refused> {
    let Some(work) = &record.work else { return Ok(()) };
    at_most("work.started", work.started.len(), STARTED_MAX)?;
    at_most("work.outputs", work.outputs.len(), OUTPUTS_MAX)?;
    let named = work.outputs.iter().flat_map(|output| [&output.file, &output.of]);
    for id in work.fetched.iter().chain(&work.of).chain(&work.started).chain(named) {
        text("work", id, WORK_BYTES_MAX)?;
    }
    let Some(fetched) = &work.fetched else { return Ok(()) };
    let right = work_id(&record.head.provider, fetched);
    if record.head.id == right {
        return Ok(());
    }
    let detail = format!("`id` is not {right}, the one of the work in `work.fetched`");
    Err(Refused::new(Refusal::Id, detail))
}

fn counts(record: &UsageRecord) -> Result<(), Refused> {
    at_most("shares", record.shares.len(), LIST_MAX)?;
    for share in &record.shares {
        share.model.as_deref().map_or(Ok(()), |model| text("shares.model", model, MODEL_BYTES_MAX))?;
        counts_of(&share.usage)?;
    }
    counts_of(&record.usage)
}

fn counts_of(usage: &Usage) -> Result<(), Refused> {
    // Destructured, so that a new count cannot be forgotten here.
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
    for (field, count) in [
        ("input_tokens", input_tokens),
        ("cache_read_tokens", cache_read_tokens),
        ("cache_write_tokens", cache_write_tokens),
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
        count.map_or(Ok(()), |count| quantity(field, count))?;
    }
    for count in cache_write_by_ttl.values() {
        quantity("cache_write_by_ttl", *count)?;
    }
    Ok(())
}

fn money(record: &UsageRecord) -> Result<(), Refused> {
    nothing_owed(record)?;
    amount("cost_usd", record.cost_usd)?;
    record.provider_cost_usd.map_or(Ok(()), |cost| amount("provider_cost_usd", cost))?;
    if let Some(charged) = record.charged_usd.filter(|charged| charged.as_pico() < 0) {
        // A worst case may be more than any call costs.
        return Err(Refused::new(
            Refusal::Money,
            format!("`charged_usd` is {charged}, not an amount from 0 on"),
        ));
    }
    if record.is_cost_sound() {
        return Ok(());
    }
    let (cost, sum) = (record.cost_usd, record.book_cost());
    let detail = match record.cost_source {
        CostSource::Book => format!("`charges` add up to {sum}, `cost_usd` is {cost}"),
        CostSource::Provider if record.provider_cost_usd == Some(cost) => {
            format!("`cost_usd` is {cost} by the provider's word, less than a tenth of `charges`, {sum}")
        }
        CostSource::Provider => {
            format!("`cost_source` is `provider`, but `cost_usd` is {cost} and not `provider_cost_usd`")
        }
    };
    Err(Refused::new(Refusal::Money, detail))
}

/// A name that the gateway checked before: anything else is a mistake of the sender.
fn name(field: &str, value: &str, most: usize) -> Result<(), Refused> {
    if value.chars().any(char::is_control) {
        return Err(Refused::new(Refusal::Text, format!("`{field}` has control characters")));
    }
    text(field, value, most)
}

/// Text that may come from a caller or a provider: any characters, so that no caller can have a call
/// forgotten by its choice of them.
fn text(field: &str, value: &str, most: usize) -> Result<(), Refused> {
    if value.is_empty() || value.len() > most {
        let detail = format!("`{field}` must have 1 to {most} bytes");
        return Err(Refused::new(Refusal::Text, detail));
    }
    Ok(())
}

fn at_most(field: &str, length: usize, most: usize) -> Result<(), Refused> {
    if length > most {
        let detail = format!("`{field}` has {length} entries, more than {most}");
        return Err(Refused::new(Refusal::Count, detail));
    }
    Ok(())
}

fn quantity(field: &str, count: u64) -> Result<(), Refused> {
    if count > COUNT_MAX {
        let detail = format!("`{field}` is {count}, more than {COUNT_MAX}");
        return Err(Refused::new(Refusal::Count, detail));
    }
    Ok(())
}

fn amount(field: &str, amount: Picodollars) -> Result<(), Refused> {
    if !(0..=PICO_MAX).contains(&amount.as_pico()) {
        let detail = format!("`{field}` is {amount}, not an amount from 0 to a million dollars");
        return Err(Refused::new(Refusal::Money, detail));
    }
    Ok(())
}

/// 2020-01-01: what is older is of a clock that was never set, or made up.
const TIME_MS_MIN: u64 = 1_577_836_800_000;
/// End of the year 9999, as far as times print.
const TIME_MS_MAX: u64 = 253_402_207_200_000;
/// So far may a gateway's clock be ahead: an hour.
const AHEAD_MS_MAX: u64 = HOUR_MS;
/// Longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 512;
/// Longest other text, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most entries of a short list.
const LIST_MAX: usize = 32;
/// Most charges of a record: each kind twice, with room.
const CHARGES_MAX: usize = 64;
/// Largest count of one call; sums of these stay far from their range.
const COUNT_MAX: u64 = 10_000_000_000;
/// Largest amount of one call: a million dollars.
const PICO_MAX: i128 = COST_MAX.as_pico();
/// Longest time of a total.
const SPAN_MS_MAX: u64 = HOUR_MS;
/// Most records of a total: its sums stay far from their range.
const RECORDS_MAX: u64 = 100_000_000;
/// Of a name that is refused so much is shown.
const SHOWN_CHARS_MAX: usize = 64;
/// Longest detail of a refusal.
const DETAIL_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::price::Charge;
    use tollgate_core::price::PriceBook;
    use tollgate_core::record::{KindTotal, Sums};
    use tollgate_core::usage::Kind;

    fn head() -> Head {
        Head {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            time_ms: 1_763_900_000_000,
            gateway: "edge".into(),
            provider: "openai".into(),
            operation: "chat".into(),
            ..Head::default()
        }
    }

    fn good() -> UsageRecord {
        UsageRecord { head: head(), ..UsageRecord::default() }
    }

    fn charge(quantity: u64, rate: i128, cost: i128) -> Charge {
        Charge {
            model: "gpt-x".into(),
            kind: Kind::Input,
            quantity,
            rate: Picodollars::from_pico(rate),
            cost_usd: Picodollars::from_pico(cost),
        }
    }

    /// Charges of 60, and a cost that the provider is said to have named.
    fn says(record: &mut UsageRecord, cost: i128, word: i128) {
        record.charges = vec![charge(20, 3, 60)];
        record.cost_source = CostSource::Provider;
        record.cost_usd = Picodollars::from_pico(cost);
        record.provider_cost_usd = Some(Picodollars::from_pico(word));
    }

    #[test]
    fn fetched_work_has_the_id_of_the_work_and_names_are_bounded() {
        use tollgate_core::record::Work;
        let told = |work: Work, id: &str| {
            let record =
                UsageRecord { head: Head { id: id.into(), ..head() }, work: Some(Box::new(work)), ..good() };
            check(&record).map_err(|refused| refused.refusal)
        };
        let (own, right) = (good().head.id, work_id("openai", "resp_1"));
        let fetched = |id: &str| Work { fetched: Some(id.into()), ..Work::default() };
        assert_eq!(told(fetched("resp_1"), &right), Ok(()));
        assert_eq!(told(fetched("resp_1"), &own), Err(Refusal::Id));
        assert_eq!(told(fetched("resp_2"), &right), Err(Refusal::Id));
        let started = |ids: &[&str]| Work {
            started: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Work::default()
        };
        assert_eq!(told(started(&["batch_1", "file_1"]), &own), Ok(()));
        assert_eq!(told(started(&[""]), &own), Err(Refusal::Text));
        assert_eq!(told(started(&["x".repeat(257).as_str()]), &own), Err(Refusal::Text));
        assert!(told(started(&["x"; 5]), &own).is_err());
    }

    #[test]
    fn a_cost_by_the_providers_word_need_not_be_the_charges() {
        for cost in [6, 59, 61, 60_000] {
            let mut record = good();
            says(&mut record, cost, cost);
            assert_eq!(check(&record), Ok(()), "{cost}");
        }
    }

    #[test]
    fn a_plain_record_passes() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn a_gateway_reports_of_itself_and_of_no_time_to_come() {
        const NOW: u64 = 1_763_900_000_000;
        let bound = Gateways::of(&["edge", "second"]);
        let told = |by, gateways: &Gateways, gateway: &str, time_ms| {
            let sent = Sent { by, gateways, now_ms: NOW };
            sent.check(gateway, time_ms).map_err(|refused| refused.refusal)
        };
        let any = Gateways::default();
        assert_eq!(told(Some("edge"), &any, "edge", NOW), Ok(()));
        assert_eq!(told(Some("edge"), &any, "second", NOW), Err(Refusal::Gateway));
        assert_eq!(told(Some("edge"), &bound, "second", NOW), Ok(()), "its token is for both");
        assert_eq!(told(Some("edge"), &bound, "third", NOW), Err(Refusal::Gateway));
        assert_eq!(told(None, &any, "third", NOW), Ok(()), "an access log is of any");
        assert_eq!(told(None, &any, "edge", NOW + AHEAD_MS_MAX), Ok(()));
        for by in [None, Some("edge")] {
            assert_eq!(told(by, &any, "edge", NOW + AHEAD_MS_MAX + 1), Err(Refusal::Time));
            assert_eq!(told(by, &any, "edge", 4_070_908_800_000), Err(Refusal::Time));
        }
        let sent = Sent { by: Some("edge"), gateways: &bound, now_ms: NOW };
        let detail = sent.check("x\n\u{1b}[2J", NOW).unwrap_err().detail;
        assert!(
            detail.contains("is `x")
                && detail.contains("not `edge`")
                && !detail.contains(|c: char| c.is_control()),
            "{detail}"
        );
    }

    #[test]
    fn each_bound_refuses_with_its_reason() {
        type Spoil = fn(&mut UsageRecord);
        let cases: &[(Refusal, Spoil)] = &[
            (Refusal::Id, |r| r.head.id = "x".into()),
            (Refusal::Id, |r| r.head.id.push('0')),
            (Refusal::Time, |r| r.head.time_ms = 0),
            (Refusal::Time, |r| r.head.time_ms = 1),
            (Refusal::Time, |r| r.head.time_ms = TIME_MS_MIN - 1),
            (Refusal::Time, |r| r.head.time_ms = u64::MAX),
            (Refusal::Text, |r| r.head.attribution.agent = "a".repeat(65)),
            (Refusal::Text, |r| r.head.attribution.team = String::new()),
            (Refusal::Text, |r| r.head.gateway = "a\nb".into()),
            (Refusal::Text, |r| r.head.provider = String::new()),
            (Refusal::Text, |r| r.head.request_model = Some("m".repeat(513))),
            (Refusal::Text, |r| r.head.response_model = Some(String::new())),
            (Refusal::Count, |r| {
                r.head.attribution.tags = (0..17).map(|n| (format!("k{n}"), "v".into())).collect();
            }),
            (Refusal::Text, |r| {
                r.head.attribution.tags = [("k".into(), "v".repeat(65))].into();
            }),
            (Refusal::Count, |r| r.usage.pages = Some(u64::MAX)),
            (Refusal::Count, |r| r.charges = vec![charge(0, 0, 0); 65]),
            (Refusal::Money, |r| r.cost_usd = Picodollars::from_pico(-1)),
            (Refusal::Money, |r| r.cost_usd = Picodollars::from_pico(i128::MAX)),
            (Refusal::Money, |r| r.charges = vec![charge(2, 3, 6)]),
            (Refusal::Money, |r| {
                r.charges = vec![charge(2, 3, 7)];
                r.cost_usd = Picodollars::from_pico(7);
            }),
            (Refusal::Money, |r| r.charges = vec![charge(2, -3, -6)]),
            (Refusal::Money, |r| {
                (r.cost_status, r.cost_usd) = (CostStatus::Free, Picodollars::from_pico(1));
            }),
            (Refusal::Money, |r| (r.outcome, r.cost_usd) = (Outcome::Denied, Picodollars::from_pico(1))),
            (Refusal::Money, |r| says(r, 60, 7)),
            (Refusal::Money, |r| says(r, 5, 5)),
            (Refusal::Money, |r| {
                says(r, 7, 7);
                r.provider_cost_usd = None;
            }),
        ];
        for (at, (refusal, spoil)) in cases.iter().enumerate() {
            let mut record = good();
            spoil(&mut record);
            let refused = claims(&record).and_then(|()| check(&record)).map_err(|refused| refused.refusal);
            assert_eq!(refused, Err(*refusal), "case {at}");
        }
    }

    fn costs(folded: &mut Folded, cost: i128, of_kinds: i128) {
        let cost_usd = Picodollars::from_pico(of_kinds);
        folded.sums.kinds = vec![KindTotal { kind: Kind::Input, quantity: 1, cost_usd }];
        folded.sums.totals.cost = Picodollars::from_pico(cost);
    }

    #[test]
    fn a_total_is_refused_for_what_its_records_cannot_have_been() {
        type Spoil = fn(&mut Folded);
        let cases: &[(Option<Refusal>, Spoil)] = &[
            (None, |_| ()),
            (None, |f| costs(f, 2 * PICO_MAX, 2 * PICO_MAX)),
            (None, |f| {
                f.sums.totals.cost = Picodollars::from_pico(2 * PICO_MAX);
                f.sums.totals.provider_cost = f.sums.totals.cost;
            }),
            (Some(Refusal::Money), |f| costs(f, 7, 6)),
            (Some(Refusal::Money), |f| {
                costs(f, 7, 7);
                (f.sums.totals.calls, f.sums.totals.denied) = (0, 2);
            }),
            (Some(Refusal::Money), |f| {
                costs(f, 7, 7);
                f.sums.totals.estimated_cost = Picodollars::from_pico(8);
            }),
            (None, |f| f.sums.totals.input_tokens = 2 * COUNT_MAX),
            (Some(Refusal::Id), |f| f.head.id.push('0')),
            (Some(Refusal::Time), |f| f.head.time_ms = TIME_MS_MIN - 1),
            (Some(Refusal::Time), |f| f.span_ms = 0),
            (Some(Refusal::Time), |f| f.span_ms = 3_600_001),
            (Some(Refusal::Text), |f| f.head.attribution.team = String::new()),
            (Some(Refusal::Text), |f| f.head.gateway = "a\nb".into()),
            (Some(Refusal::Text), |f| f.head.request_model = Some("m".repeat(513))),
            (Some(Refusal::Count), |f| f.folded = 3),
            (Some(Refusal::Count), |f| (f.folded, f.sums.totals.calls, f.sums.totals.denied) = (0, 0, 0)),
            (Some(Refusal::Count), |f| (f.sums.totals.calls, f.sums.totals.denied) = (u64::MAX, 3)),
            (Some(Refusal::Count), |f| f.sums.totals.output_tokens = 2 * COUNT_MAX + 1),
            (Some(Refusal::Money), |f| f.sums.totals.cost = Picodollars::from_pico(-1)),
            (Some(Refusal::Money), |f| costs(f, 2 * PICO_MAX + 1, 2 * PICO_MAX + 1)),
        ];
        for (at, (refusal, spoil)) in cases.iter().enumerate() {
            let totals = Totals { calls: 1, denied: 1, ..Totals::default() };
            let mut folded =
                Folded { folded: 2, head: head(), span_ms: 60_000, sums: Sums { totals, ..Sums::default() } };
            spoil(&mut folded);
            let refused = check_folded(&folded, &RateCheck::new(&PriceBook::default()))
                .err()
                .map(|refused| refused.refusal);
            assert_eq!(refused, *refusal, "case {at}");
        }
    }

    #[test]
    fn a_callers_choice_of_characters_does_not_lose_the_record() {
        let mut record = good();
        record.head.request_model = Some("a\u{0}\n\u{202e}".repeat(30));
        record.head.service_tier = Some("t".repeat(256));
        assert_eq!(check(&record), Ok(()));
    }

    #[test]
    fn charges_that_add_up_pass() {
        let mut record = good();
        record.charges = vec![charge(2, 3, 6), charge(1, 1, 1)];
        record.cost_usd = Picodollars::from_pico(7);
        assert_eq!(check(&record), Ok(()));
    }
}
