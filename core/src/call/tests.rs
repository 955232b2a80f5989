//! What is paid, call by call.

use super::*;
use crate::budget::{Amount, OnUnknown, Unit};
use crate::money::Picodollars;
use crate::price::charge::CostStatus;
use crate::price::{Price, PricedModel, Rates, Sheet, Wanted};
use crate::usage::Kind;

fn book() -> PriceBook {
    let rates = Rates(
        [(Kind::Input, Picodollars::from_pico(10)), (Kind::Output, Picodollars::from_pico(100))].into(),
    );
    let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
    let model = PricedModel {
        provider: "openai".into(),
        id: "m".into(),
        prices: vec![price],
        ..PricedModel::default()
    };
    PriceBook::new("v1".into(), vec![model])
}

struct Exchange {
    path: &'static str,
    request: &'static str,
    status: u16,
    content_type: &'static str,
    answer: &'static str,
    ending: Ending,
    attempts: Option<u32>,
}

const CHAT: Exchange = Exchange {
    path: "/v1/chat/completions",
    request: r#"{"model":"m","messages":[{"content":"one two three"}]}"#,
    status: 200,
    content_type: "application/json",
    answer: r#"{"model":"m","usage":{"prompt_tokens":7,"completion_tokens":2}}"#,
    ending: Ending::Complete,
    attempts: Some(1),
};

fn settled(exchange: &Exchange) -> UsageRecord {
    let target = Target::recognise(Some("openai"), "", exchange.path);
    let mut call = Call::begin("id".into(), 1_000, target, exchange.path);
    call.request().feed(exchange.request.as_bytes());
    let head = ResponseHead {
        status: exchange.status,
        content_type: Some(exchange.content_type),
        content_encoding: None,
        header: &|_| None,
    };
    if exchange.ending != Ending::NotSent {
        call.response_head(&head, 1_010);
        call.response_body(exchange.answer.as_bytes());
    }
    let end =
        End { ending: exchange.ending, now_ms: 1_020, attempts: exchange.attempts, charge_retries: true };
    call.settle(end, "gateway", Some(&book()), &mut learned())
}

/// Two measured calls of model `m`, one of them by nobody's agent, with 30 and 10 tokens of output.
fn learned() -> Learned {
    let mut learned = Learned::default();
    learned.teach("m", 30, 30, Passed::default());
    learned.teach("m", 10, 10, Passed::default());
    learned.teach("unattributed m", 10, 10, Passed::default());
    learned
}

fn summary(exchange: &Exchange) -> String {
    let record = settled(exchange);
    let sum: Picodollars = record.charges.iter().map(|charge| charge.cost_usd).sum();
    assert_eq!(record.cost_usd, sum, "the charges add up to the cost");
    format!(
        "{} {} in={:?} out={:?} pico={} {:?}",
        record.outcome.name(),
        record.cost_status.name(),
        record.usage.input_tokens,
        record.usage.output_tokens,
        record.cost_usd.as_pico(),
        record.notes
    )
}

#[test]
fn what_was_on_its_way_to_a_caller_who_left_is_estimated_by_the_streams_own_speed() {
    let call = Call::begin("id".into(), 0, Target::recognise(None, "api.openai.com", CHAT.path), CHAT.path);
    let record = |outcome, stream, streamed_ms: u64| {
        let mut record = call.pending("g");
        (record.outcome, record.stream) = (outcome, stream);
        (record.first_byte_ms, record.duration_ms) = (Some(400), Some(400 + streamed_ms));
        record
    };
    for (outcome, stream, streamed_ms, passed, expected) in [
        (Outcome::ClientAbort, true, 10_000, 500, 513),
        (Outcome::ClientAbort, true, 250, 20, 40),
        // All at once: no more than what came.
        (Outcome::ClientAbort, true, 0, 20, 40),
        (Outcome::ClientAbort, true, 10_000, 0, 0),
        (Outcome::ClientAbort, false, 10_000, 500, 500),
        (Outcome::UpstreamAbort, true, 10_000, 500, 500),
    ] {
        assert_eq!(
            call.with_margin(passed, &record(outcome, stream, streamed_ms)),
            expected,
            "{outcome:?} {streamed_ms}"
        );
    }
    let mut limited =
        Call::begin("id".into(), 0, Target::recognise(None, "api.openai.com", CHAT.path), CHAT.path);
    limited.request().watch_bounds();
    limited.request().feed(br#"{"model":"m","max_completion_tokens":505}"#);
    assert_eq!(limited.with_margin(500, &record(Outcome::ClientAbort, true, 10_000)), 505);
    assert_eq!(limited.with_margin(510, &record(Outcome::ClientAbort, true, 10_000)), 505);
}

#[test]
fn what_is_paid_when_nothing_was_measured() {
    const STREAM: &str =
        "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"four five\"}}]}\n\ndata: [DONE]\n\n";
    for (name, exchange, expected) in [
        ("reported", CHAT, "ok measured in=Some(7) out=Some(2) pico=270 []"),
        (
            "nothing sent",
            Exchange { ending: Ending::NotSent, ..CHAT },
            "error free in=None out=None pico=0 []",
        ),
        (
            "provider error",
            Exchange { status: 429, answer: r#"{"error":{"message":"slow down"}}"#, ..CHAT },
            "error free in=None out=None pico=0 []",
        ),
        (
            "caller left mid-stream",
            Exchange {
                content_type: "text/event-stream",
                answer: STREAM,
                ending: Ending::ClientAbort,
                ..CHAT
            },
            "client_abort estimated in=Some(3) out=Some(4) pico=430 []",
        ),
        (
            "caller left before any output: the agent's mean",
            Exchange { content_type: "text/event-stream", answer: "", ending: Ending::ClientAbort, ..CHAT },
            "client_abort estimated in=Some(3) out=Some(10) pico=1030 []",
        ),
        (
            "provider broke off mid-stream",
            Exchange {
                content_type: "text/event-stream",
                answer: STREAM,
                ending: Ending::UpstreamAbort,
                ..CHAT
            },
            "upstream_abort estimated in=Some(3) out=Some(2) pico=230 []",
        ),
        (
            "attempts that were not seen",
            Exchange { attempts: Some(3), ..CHAT },
            "ok estimated in=Some(13) out=Some(2) pico=330 [RetriesCharged]",
        ),
        (
            "retried in vain",
            Exchange { status: 503, answer: "{}", attempts: Some(2), ..CHAT },
            "error estimated in=Some(3) out=None pico=30 [RetriesCharged]",
        ),
        (
            "stream without usage",
            Exchange { content_type: "text/event-stream", answer: STREAM, ..CHAT },
            "ok estimated in=Some(3) out=Some(2) pico=230 [NoUsage]",
        ),
        (
            "not what its content type says",
            Exchange { answer: "<html>", ..CHAT },
            "ok estimated in=Some(3) out=Some(10) pico=1030 [UnexpectedContent, NoUsage]",
        ),
        (
            "body cut in the middle",
            Exchange { answer: r#"{"model":"m","usage":{"prompt"#, ..CHAT },
            "ok estimated in=Some(3) out=Some(10) pico=1030 [TruncatedAnswer]",
        ),
        (
            "unknown model",
            Exchange {
                answer: r#"{"model":"new","usage":{"prompt_tokens":7,"completion_tokens":2}}"#,
                request: r#"{"model":"new"}"#,
                ..CHAT
            },
            "ok unpriced in=Some(7) out=Some(2) pico=0 []",
        ),
        (
            "work that goes on",
            Exchange {
                path: "/v1/responses",
                answer: r#"{"id":"resp_1","status":"queued","model":"m","usage":null}"#,
                ..CHAT
            },
            "ok free in=None out=None pico=0 [Deferred]",
        ),
        (
            "free operation",
            Exchange { path: "/v1/messages/count_tokens", answer: r#"{"input_tokens":14}"#, ..CHAT },
            "ok free in=None out=None pico=0 []",
        ),
    ] {
        assert_eq!(summary(&exchange), expected, "{name}");
    }
}

#[test]
fn speech_that_no_usage_is_reported_of_is_its_text() {
    let spoken = |model: &str, status: u16, ending: Ending| {
        let path = "/v1/audio/speech";
        let mut call = Call::begin("id".into(), 1_000, Target::recognise(Some("openai"), "", path), path);
        call.request().feed(format!(r#"{{"model":"{model}","input":"é, moon"}}"#).as_bytes());
        let head = ResponseHead {
            status,
            content_type: Some("audio/mpeg"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 1_010);
        call.response_body(b"ID3");
        let rates = Rates([(Kind::Character, Picodollars::from_pico(15))].into());
        let price = Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() };
        let mut models = book().into_models();
        models.push(PricedModel {
            provider: "openai".into(),
            id: "tts".into(),
            prices: vec![price],
            ..PricedModel::default()
        });
        let book = PriceBook::new("v1".into(), models);
        let end = End { ending, now_ms: 1_020, attempts: Some(1), charge_retries: true };
        let record = call.settle(end, "gateway", Some(&book), &mut Learned::default());
        (record.cost_status.name(), record.usage.characters, record.cost_usd.as_pico())
    };
    assert_eq!(spoken("tts", 200, Ending::Complete), ("estimated", Some(7), 105));
    assert_eq!(spoken("tts", 200, Ending::ClientAbort), ("estimated", Some(7), 105));
    assert_eq!(spoken("tts", 400, Ending::Complete), ("free", None, 0));
    // Priced by tokens: three that were read, and four for three characters that were spoken.
    assert_eq!(spoken("m", 200, Ending::Complete), ("estimated", Some(7), 3 * 10 + 10 * 100));
}

#[test]
fn what_passed_is_the_same_however_a_chat_writes_it() {
    let passed = |chunk: &dyn Fn(&str) -> String| {
        let mut meter = Meter::new("together", Api::ChatCompletions);
        for piece in ["Sure", ", here", " it is"] {
            meter.feed(format!("data: {{\"choices\":[{}]}}\n\n", chunk(piece)).as_bytes());
        }
        meter.reading().visible()
    };
    let plain = passed(&|piece| format!(r#"{{"delta":{{"content":"{piece}"}}}}"#));
    assert_eq!(plain, Passed::text(5));
    // Together repeats the piece as completions have it.
    assert_eq!(passed(&|piece| format!(r#"{{"text":"{piece}","delta":{{"content":"{piece}"}}}}"#)), plain);
    let nulls = r#""refusal":null,"reasoning":null,"tool_calls":null"#;
    assert_eq!(passed(&|piece| format!(r#"{{"delta":{{"content":"{piece}",{nulls}}}}}"#)), plain);
}

#[test]
fn what_providers_say_of_calls_that_failed() {
    let answered = |provider: &'static str, path: &'static str, status: u16, answer: &str| {
        let mut call = Call::begin("id".into(), 1_000, Target::recognise(Some(provider), "", path), path);
        call.request().feed(br#"{"model":"m","messages":[{"content":"one two three"}]}"#);
        let head = ResponseHead {
            status,
            content_type: Some("application/json"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 1_010);
        call.response_body(answer.as_bytes());
        let end = End { ending: Ending::Complete, now_ms: 1_020, attempts: Some(1), charge_retries: true };
        let record = call.settle(end, "gateway", None, &mut learned());
        let (input, output) = (record.usage.input_tokens, record.usage.output_tokens);
        // Without a book what is charged is unpriced, what is not is not.
        (record.cost_status.name(), record.usage_estimated, input, output, record.notes)
    };
    const CHAT: &str = "/v1/chat/completions";
    const MESSAGES: &str = "/v1/messages";
    let filtered = r#"{"error":{"code":"content_filter","message":"m","status":400}}"#;
    let refusal = |content: &str| {
        format!(
            r#"{{"model":"m","content":[{content}],"stop_reason":"refusal","usage":{{"input_tokens":7,"output_tokens":1}}}}"#
        )
    };
    let declined = refusal("");
    let broken_off = refusal(r#"{"type":"text","text":"I would"}"#);
    for (provider, path, status, answer, expected) in [
        ("azure", CHAT, 400, filtered, ("unpriced", true, Some(3), None, vec![Note::PriceAwaited])),
        ("azure", CHAT, 408, "{}", ("unpriced", true, Some(3), None, vec![Note::PriceAwaited])),
        ("azure", CHAT, 400, r#"{"error":{"code":"bad"}}"#, ("free", false, None, None, vec![])),
        ("openai", CHAT, 400, filtered, ("free", false, None, None, vec![])),
        ("anthropic", MESSAGES, 200, &declined, ("measured", false, Some(7), Some(1), vec![Note::Unbilled])),
        (
            "anthropic",
            MESSAGES,
            200,
            &broken_off,
            ("unpriced", false, Some(7), Some(1), vec![Note::PriceAwaited]),
        ),
        ("vertex", MESSAGES, 200, &declined, ("unpriced", false, Some(7), Some(1), vec![Note::PriceAwaited])),
    ] {
        assert_eq!(answered(provider, path, status, answer), expected, "{provider} {status} {answer}");
    }
}

/// Who says less than was seen, or what cannot be, is not taken at its word.
#[test]
fn counts_that_cannot_be_true_are_estimates_with_a_note() {
    let said = |content: &str, usage: &str| {
        let text = r#"{"model":"m","choices":[{"message":{"content":"CONTENT"},"finish_reason":"stop"}],"usage":USAGE}"#;
        let answer = text.replace("CONTENT", content).replace("USAGE", usage);
        let mut call =
            Call::begin("id".into(), 0, Target::recognise(Some("openai"), "", CHAT.path), CHAT.path);
        call.request().feed(CHAT.request.as_bytes());
        let head = ResponseHead {
            status: 200,
            content_type: Some("application/json"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 0);
        call.response_body(answer.as_bytes());
        let end = End { ending: Ending::Complete, now_ms: 1, attempts: None, charge_retries: false };
        let record = call.settle(end, "g", Some(&book()), &mut Learned::default());
        let notes: Vec<&str> = record.notes.iter().map(|note| note.name()).collect();
        (record.cost_status.name(), record.usage.input_tokens, record.usage.output_tokens, notes.join(" "))
    };
    for (content, usage, expected) in [
        // What was asked is three words, and what is answered too.
        (
            "four five six",
            r#"{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}"#,
            ("measured", 7, 2, ""),
        ),
        (
            "four five six",
            r#"{"prompt_tokens":7,"completion_tokens":2,"total_tokens":90}"#,
            ("estimated", 7, 2, "contradictory_usage"),
        ),
        (
            "four five six",
            r#"{"prompt_tokens":0,"completion_tokens":0}"#,
            ("estimated", 3, 3, "contradictory_usage"),
        ),
        ("", r#"{"prompt_tokens":7,"completion_tokens":0}"#, ("measured", 7, 0, "")),
        (
            "four five six",
            r#"{"prompt_tokens":-7,"completion_tokens":2}"#,
            ("estimated", 3, 2, "contradictory_usage"),
        ),
        (
            "four five six",
            r#"{"prompt_tokens":7,"completion_tokens":123456789012}"#,
            ("estimated", 7, 3, "contradictory_usage"),
        ),
        ("four five six", r#"{"tokens_in":7,"tokens_out":2}"#, ("estimated", 3, 3, "no_usage not_read")),
        ("four five six", "[7,2]", ("estimated", 3, 3, "no_usage not_read")),
        ("four five six", "null", ("estimated", 3, 3, "no_usage")),
    ] {
        let (status, input, output, notes) = expected;
        assert_eq!(
            said(content, usage),
            (status, Some(input), Some(output), notes.to_owned()),
            "{content} {usage}"
        );
    }
}

/// Found by cutting recorded streams: an event that ended the answer was cut before its counts.
#[test]
fn an_answer_has_not_ended_before_the_event_that_says_so_has() {
    let start = r#"{"message":{"type":"message","usage":{"input_tokens":100,"output_tokens":1}}}"#;
    let delta = r#"{"delta":{"text":"one two three four five"}}"#;
    let end = r#"{"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
    let body = format!("data: {start}\n\ndata: {delta}\n\ndata: {end}\n\n");
    for at in 6..=body.len() {
        let mut meter = Meter::new("anthropic", Api::Messages);
        meter.feed(&body.as_bytes()[..at]);
        let is_whole = at >= body.len() - "\n\n".len();
        let output = meter.reported().and_then(|reported| reported.usage.output_tokens);
        assert!(meter.is_partial() || is_whole && output == Some(5), "cut at {at}: {output:?}");
    }
}

#[test]
fn what_comes_later_takes_back_no_counts_but_googles_estimates() {
    let counted = |provider: &str, api: Api, events: &[&str]| {
        let mut meter = Meter::new(provider, api);
        events.iter().for_each(|event| meter.feed(format!("data: {event}\n\n").as_bytes()));
        let usage = meter.reported().unwrap().usage;
        (usage.input_tokens.unwrap(), usage.output_tokens.unwrap())
    };
    let chat = r#"{"usage":{"prompt_tokens":100,"completion_tokens":50}}"#;
    let less = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    assert_eq!(counted("openai", Api::ChatCompletions, &[chat, less]), (100, 50));
    assert_eq!(counted("openai", Api::ChatCompletions, &[less, chat]), (100, 50));
    let start = r#"{"message":{"type":"message","usage":{"input_tokens":100,"output_tokens":3}}}"#;
    let delta = r#"{"delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":1,"output_tokens":50}}"#;
    assert_eq!(counted("anthropic", Api::Messages, &[start, delta]), (100, 50));
    let next = r#"{"message":{"type":"message","usage":{"input_tokens":20,"output_tokens":3}}}"#;
    assert_eq!(counted("anthropic", Api::Messages, &[start, delta, next]), (20, 3), "another message");
    let early = r#"{"usageMetadata":{"promptTokenCount":169,"candidatesTokenCount":1}}"#;
    let last = r#"{"usageMetadata":{"promptTokenCount":79,"candidatesTokenCount":5}}"#;
    assert_eq!(counted("gemini", Api::GenerateContent, &[early, last]), (79, 5));
}

#[test]
fn the_framing_of_a_call_that_is_under_way_has_not_passed() {
    let passed = |events: &[&str]| {
        let mut meter = Meter::new("anthropic", Api::Messages);
        events.iter().for_each(|event| meter.feed(format!("data: {event}\n\n").as_bytes()));
        meter.reading().passed().tool_calls
    };
    let call = r#"{"content_block":{"type":"tool_use","name":"f"}}"#;
    let end = r#"{"delta":{"stop_reason":"tool_use"}}"#;
    let stop = r#"{"type":"content_block_stop","index":1}"#;
    assert_eq!((passed(&[]), passed(&[call]), passed(&[call, call])), (0, 0, 1));
    assert_eq!((passed(&[call, stop]), passed(&[call, stop, call]), passed(&[call, end])), (1, 1, 1));
}

#[test]
fn an_encoding_that_is_not_read_is_said() {
    let target = Target::recognise(Some("openai"), "", CHAT.path);
    let mut call = Call::begin("id".into(), 0, target, CHAT.path);
    let head = ResponseHead {
        status: 200,
        content_type: None,
        content_encoding: Some("compress"),
        header: &|_| None,
    };
    call.response_head(&head, 0);
    call.response_body(&[0x1f, 0x9d]);
    let end = End { ending: Ending::Complete, now_ms: 1, attempts: None, charge_retries: false };
    let record = call.settle(end, "g", Some(&book()), &mut Learned::default());
    assert_eq!(record.cost_status, CostStatus::Unpriced);
    assert!(record.notes.contains(&Note::UnreadEncoding));
}

/// What a gateway has of the book: the rows of the names that it asked for.
fn part_of(models: &[(&str, i128)], asked: &[&str]) -> PriceBook {
    let model = |(id, pico): &(&str, i128)| {
        let rate = Picodollars::from_pico(*pico);
        let rates = Rates([(Kind::Input, rate), (Kind::Output, rate)].into());
        PricedModel {
            provider: "openai".into(),
            id: (*id).to_owned(),
            dated: vec![(*id).to_owned()],
            prices: vec![Price { standard: Sheet { rates, tiers: vec![] }, ..Price::default() }],
            ..PricedModel::default()
        }
    };
    let whole = PriceBook::new("v1".into(), models.iter().map(model).collect());
    let wanted: Vec<Wanted> =
        asked.iter().map(|name| Wanted { provider: "openai".into(), model: (*name).to_owned() }).collect();
    whole.subset(&wanted, 1_000, 100_000)
}

/// The price of a call merely is not here where the whole book may have one: it never costs nothing
/// meanwhile.
#[test]
fn a_call_whose_price_is_not_here_is_charged_all_the_same() {
    const MODELS: &[(&str, i128)] =
        &[("chat-latest", 10), ("chat-2025", 30), ("chat-2025-08-07", 20), ("dear", 100)];
    const HOLD: Amount = Amount(5_000);
    // Seven tokens were read and two said.
    for (name, asked, request, response, status, charged, note) in [
        ("priced", &["dear"][..], "dear", "dear", CostStatus::Measured, 900, None),
        ("a dated name of a row", &["dear"], "dear", "dear-2025-01-02", CostStatus::Measured, 900, None),
        ("another row", &["chat-latest"], "chat-latest", "chat-2025-08-07", CostStatus::Estimated, 90, None),
        (
            "a name that nobody knows",
            &["chat-latest"],
            "chat-latest",
            "new-9",
            CostStatus::Estimated,
            90,
            None,
        ),
        (
            "known to be nowhere",
            &["chat-latest", "new-9"],
            "chat-latest",
            "new-9",
            CostStatus::Estimated,
            90,
            None,
        ),
        ("neither is here", &["dear"], "x", "y", CostStatus::Unpriced, 5_000, Some(Note::PriceAwaited)),
        (
            "only one is known to be nowhere",
            &["x"],
            "x",
            "y",
            CostStatus::Unpriced,
            5_000,
            Some(Note::PriceAwaited),
        ),
        ("both are known to be nowhere", &["x", "y"], "x", "y", CostStatus::Unpriced, 0, None),
    ] {
        let target = Target::recognise(Some("openai"), "", CHAT.path);
        let mut call = Call::begin("id".into(), 1_000, target, CHAT.path);
        call.request().feed(format!(r#"{{"model":"{request}"}}"#).as_bytes());
        let head = ResponseHead {
            status: 200,
            content_type: Some("application/json"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 1_010);
        let usage = r#""usage":{"prompt_tokens":7,"completion_tokens":2}"#;
        call.response_body(format!(r#"{{"model":"{response}",{usage}}}"#).as_bytes());
        let end = End { ending: Ending::Complete, now_ms: 1_020, attempts: None, charge_retries: false };
        let part = part_of(MODELS, asked);
        let mut record = call.settle(end, "g", Some(&part), &mut Learned::default());
        let found = (record.cost_status, record.notes.first().copied());
        assert_eq!(found, (status, note), "{name}");
        // A turn of a session may have held nothing: then it is charged at the dearest row.
        let at_dearest = settlement_of(&record, Amount::ZERO);
        let is_open = note.is_some();
        assert_eq!(at_dearest, if is_open { 900 } else { charged }, "{name}");
        let holds = || std::iter::once((Unit::Dollars, HOLD, OnUnknown::Record));
        record.charged_usd = admission::charged(&record, holds());
        assert_eq!(settlement_of(&record, HOLD), charged, "{name}");
        let told = record.charged_usd.map(Picodollars::as_pico);
        assert_eq!(told.is_some(), status != CostStatus::Measured, "{name}");
        assert!(told.is_none_or(|told| told == charged), "{name}: {told:?}");
    }
}

fn settlement_of(record: &UsageRecord, hold: Amount) -> i128 {
    admission::settled(record, Unit::Dollars, hold, OnUnknown::Record).charge.0
}

/// A call to a provider that says nothing of usage, with what it is charged by.
struct Silent {
    path: &'static str,
    request: String,
    answer: &'static [u8],
    ending: Ending,
    after_ms: u64,
    rates: &'static [(Kind, i128)],
}

const BY_TOKEN: &[(Kind, i128)] = &[(Kind::Input, 1), (Kind::Output, 1_000)];

impl Silent {
    fn chat(request: &str, answer: &'static [u8]) -> Self {
        Self {
            path: "/v1/chat/completions",
            request: request.to_owned(),
            answer,
            ending: Ending::Complete,
            after_ms: 20,
            rates: BY_TOKEN,
        }
    }

    fn record(&self, learned: &mut Learned) -> UsageRecord {
        let mut call =
            Call::begin("id".into(), 1_000, Target::recognise(Some("openai"), "", self.path), self.path);
        call.request().watch_bounds();
        call.request().feed(self.request.as_bytes());
        let head =
            ResponseHead { status: 200, content_type: None, content_encoding: None, header: &|_| None };
        if self.ending == Ending::Complete {
            call.response_head(&head, 1_010);
            call.response_body(self.answer);
        }
        let rates = self.rates.iter().map(|(kind, pico)| (*kind, Picodollars::from_pico(*pico))).collect();
        let price = Price { standard: Sheet { rates: Rates(rates), tiers: vec![] }, ..Price::default() };
        let model = PricedModel {
            provider: "openai".into(),
            id: "m".into(),
            prices: vec![price],
            ..PricedModel::default()
        };
        let book = PriceBook::new("v1".into(), vec![model]);
        let end =
            End { ending: self.ending, now_ms: 1_000 + self.after_ms, attempts: None, charge_retries: false };
        call.settle(end, "g", Some(&book), learned)
    }
}

#[test]
fn no_estimate_of_output_is_above_what_the_request_allows() {
    let long = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "word ".repeat(20_000));
    let answer: &'static [u8] = Box::leak(long.into_bytes().into_boxed_slice());
    for (request, expected) in [
        (r#"{"model":"m","max_tokens":10}"#, 10),
        (r#"{"model":"m","max_completion_tokens":10,"n":3}"#, 30),
        // Under a name that this API does not know it is none.
        (r#"{"model":"m","max_gen_len":10}"#, 20_000),
    ] {
        let record = Silent::chat(request, answer).record(&mut Learned::default());
        let output = record.usage.output_tokens.unwrap();
        let is_near = if expected < 100 { output == expected } else { output.abs_diff(expected) < 2_000 };
        assert!(is_near, "{request}: {output}");
        assert_eq!(record.cost_status, CostStatus::Estimated);
    }
    let call = Call::begin("id".into(), 0, Target::recognise(None, "api.openai.com", CHAT.path), CHAT.path);
    assert_eq!(call.within_limit(16_000_000), 262_144, "what inflates without end is no text of a model");
}

/// What was answered, or sent and cut off, is never nothing because nobody said what it used.
#[test]
fn a_call_without_usage_is_charged_by_what_it_asked_for() {
    let form = |file: &[u8], more: &str| {
        let field = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        let file = String::from_utf8(file.to_vec()).unwrap();
        format!("{}{more}{head}{file}\r\n--b--\r\n", field("model", "m"))
    };
    let wav = [&b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0"[..], b"\0\x7d\0\0", &[0; 31_700]]
        .concat();
    let mp3 = [&b"ID3"[..], &[0; 7_797]].concat();
    let url = "--b\r\nContent-Disposition: form-data; name=\"url\"\r\n\r\nhttps://x/10h.mp3\r\n";
    let speech = r#"{"model":"m","input":"hello hello hello!"}"#;
    const TEXT: &[u8] = b"hello this is plain";
    let of = |path, request: String, answer, rates| Silent {
        path,
        request,
        answer,
        rates,
        ..Silent::chat("", b"")
    };
    const LISTEN: &str = "/v1/audio/transcriptions";
    const BY_TIME: &[(Kind, i128)] = &[(Kind::AudioMillisecond, 1)];
    for (name, silent, least, most) in [
        ("a WAV file by its own rate", of(LISTEN, form(&wav, ""), TEXT, BY_TIME), 990, 1_010),
        ("MP3", of(LISTEN, form(&mp3, ""), TEXT, BY_TIME), 1_950, 2_050),
        ("an unknown file", of(LISTEN, form(&[1; 7_800], ""), TEXT, BY_TIME), 3_900, 4_100),
        ("a file that is fetched", of(LISTEN, form(b"", url), TEXT, BY_TIME), 100_000_000, 100_000_000),
        (
            "speech by the character",
            of("/v1/audio/speech", speech.into(), b"\xff\xfb", &[(Kind::Character, 1)]),
            18,
            18,
        ),
        (
            "speech by the token",
            of("/v1/audio/speech", speech.into(), b"ID3", &[(Kind::Input, 1), (Kind::OutputAudio, 10)]),
            241,
            260,
        ),
        (
            "pictures by the piece",
            of("/v1/images/generations", r#"{"model":"m","n":2}"#.into(), b"{}", &[(Kind::Image, 7)]),
            14,
            14,
        ),
        (
            "pictures by the token",
            of("/v1/images/generations", r#"{"model":"m","n":2}"#.into(), b"{}", &[(Kind::Output, 1)]),
            8_320,
            8_320,
        ),
        (
            "a search",
            of("/v1/rerank", r#"{"model":"m","query":"q"}"#.into(), b"{}", &[(Kind::SearchUnit, 5)]),
            5,
            5,
        ),
        ("pages", of("/v1/ocr", r#"{"model":"m"}"#.into(), b"{}", &[(Kind::Page, 5)]), 5, 5),
        (
            "a vector of tokens",
            of("/v1/embeddings", r#"{"model":"m","input":[1,2,3]}"#.into(), b"{}", BY_TOKEN),
            4,
            9,
        ),
        (
            "an empty stream",
            Silent::chat(r#"{"model":"m","stream":true,"max_tokens":50}"#, b""),
            50_000,
            50_100,
        ),
        (
            "a stream that stopped before any text",
            Silent {
                after_ms: 2_000,
                ..Silent::chat(
                    r#"{"model":"m","stream":true}"#,
                    b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
                )
            },
            200_000,
            200_010,
        ),
        (
            "a stream that ended without any",
            Silent {
                after_ms: 2_000,
                ..Silent::chat(
                    r#"{"model":"m","stream":true}"#,
                    b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                )
            },
            1_024_000,
            1_024_100,
        ),
        (
            "JSON that is no answer",
            Silent::chat(r#"{"model":"m","max_tokens":50}"#, b"{\"x\":1}"),
            50_000,
            50_100,
        ),
        ("the same without a limit", Silent::chat(r#"{"model":"m"}"#, b"{}"), 1_024_000, 1_024_100),
        (
            "cut off after two seconds",
            Silent { ending: Ending::ClientAbort, after_ms: 2_000, ..Silent::chat(r#"{"model":"m"}"#, b"") },
            200_000,
            200_000,
        ),
        (
            "within its limit",
            Silent {
                ending: Ending::ClientAbort,
                after_ms: 2_000,
                ..Silent::chat(r#"{"model":"m","max_tokens":9}"#, b"")
            },
            9_000,
            9_000,
        ),
        (
            "by the provider",
            Silent {
                ending: Ending::UpstreamAbort,
                after_ms: 1_000,
                ..Silent::chat(r#"{"model":"m"}"#, b"")
            },
            100_000,
            100_000,
        ),
    ] {
        let record = silent.record(&mut Learned::default());
        let pico = record.cost_usd.as_pico();
        assert_eq!(record.cost_status, CostStatus::Estimated, "{name}: {record:?}");
        assert!((least..=most).contains(&pico), "{name}: {pico}");
        assert!(record.usage_estimated);
        let is_noted = record.notes.contains(&Note::NoUsage);
        assert_eq!(is_noted, silent.ending == Ending::Complete, "{name}: {:?}", record.notes);
    }
    let mut learned = learned();
    let cut =
        Silent { ending: Ending::ClientAbort, after_ms: 60_000, ..Silent::chat(r#"{"model":"m"}"#, b"") };
    assert_eq!(cut.record(&mut learned).usage.output_tokens, Some(10), "the mean of such calls goes first");
}

/// A piece of a body that is not streamed tells no more of it than none: all of it was made before.
#[test]
fn a_document_of_which_a_piece_was_taken_was_made_as_a_whole() {
    let mut call =
        Call::begin("id".into(), 1_000, Target::recognise(Some("openai"), "", CHAT.path), CHAT.path);
    call.request().feed(CHAT.request.as_bytes());
    let head = ResponseHead {
        status: 200,
        content_type: Some("application/json"),
        content_encoding: None,
        header: &|_| None,
    };
    call.response_head(&head, 5_000);
    call.response_body(br#"{"model":"m","choices":[{"message":{"content":"one"#);
    let end = End { ending: Ending::ClientAbort, now_ms: 5_000, attempts: None, charge_retries: false };
    let record = call.settle(end, "g", Some(&book()), &mut Learned::default());
    assert_eq!(record.usage.output_tokens, Some(400));
}
