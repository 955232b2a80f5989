//! What the provider's own tools and pictures cost beside the tokens, by the shipped book: each is charged,
//! or the call does not call itself measured.
#![cfg(feature = "book")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::{Value, json};
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::estimate::Learned;
use tollgate_core::price::{CostStatus, EMBEDDED, PriceBook};
use tollgate_core::provider::Target;
use tollgate_core::record::UsageRecord;

/// 25 November 2026.
const NOW_MS: u64 = 1_795_608_000_000;

struct At<'a> {
    book: &'a PriceBook,
    provider: &'a str,
    path: &'a str,
    asked: &'a str,
}

impl At<'_> {
    fn settled(&self, kind: &str, body: &[u8]) -> UsageRecord {
        let in_pieces = |bytes: usize| {
            let target = Target::recognise(Some(self.provider), "", self.path);
            let mut call = Call::begin("id".into(), NOW_MS, target, self.path);
            let request = json!({"model": self.asked, "messages": [{"role": "user", "content": "Well?"}]});
            call.request().feed(request.to_string().as_bytes());
            let head = ResponseHead {
                status: 200,
                content_type: Some(kind),
                content_encoding: None,
                header: &|_| None,
            };
            call.response_head(&head, NOW_MS + 10);
            body.chunks(bytes).for_each(|piece| call.response_body(piece));
            let end =
                End { ending: Ending::Complete, now_ms: NOW_MS + 20, attempts: None, charge_retries: false };
            call.settle(end, "gateway", Some(self.book), &mut Learned::default())
        };
        let whole = in_pieces(body.len());
        assert_eq!(in_pieces(1), whole, "in pieces");
        whole
    }

    fn json(&self, answer: &Value) -> UsageRecord {
        self.settled("application/json", answer.to_string().as_bytes())
    }

    fn sse(&self, events: &[Value]) -> UsageRecord {
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        self.settled("text/event-stream", body.as_bytes())
    }
}

fn book() -> PriceBook {
    PriceBook::from_files(EMBEDDED).unwrap()
}

const CHAT: &str = "/v1/chat/completions";

/// A chat's answer: 1,000 tokens read and 100 put out, with these members beside.
fn chat(model: &str, message: &Value, usage: &Value, beside: &Value) -> Value {
    let mut all = json!({"content": "The river runs to the sea."});
    all.as_object_mut().unwrap().extend(message.as_object().unwrap().clone());
    let mut counts = json!({"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100});
    counts.as_object_mut().unwrap().extend(usage.as_object().unwrap().clone());
    let mut answer =
        json!({"model": model, "choices": [{"message": all, "finish_reason": "stop"}], "usage": counts});
    answer.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
    answer
}

fn status_and_cost(record: &UsageRecord) -> (CostStatus, String) {
    let cost = record.cost_usd.to_string();
    (record.cost_status, cost.trim_end_matches('0').to_owned())
}

#[test]
fn a_search_by_the_providers_own_tool_is_charged_wherever_it_is_told() {
    let (book, none) = (book(), json!({}));
    let nova = json!({"name": "$web_search", "arguments": "{}"});
    let xai = json!({"server_side_tool_usage_details": {"web_search_calls": 1, "x_search_calls": 2}});
    let item = json!([{"type": "web_search_call", "action": {"type": "search"}}]);
    let mut responses = json!({"model": "grok-4.3", "status": "completed", "output": item, "usage": {
        "input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}});
    responses["usage"].as_object_mut().unwrap().extend(xai.as_object().unwrap().clone());
    for (provider, path, answer, searches, cost) in [
        (
            "groq",
            CHAT,
            chat(
                "openai/gpt-oss-120b",
                &json!({"executed_tools": [{"index": 0, "type": "browser.search"}]}),
                &none,
                &none,
            ),
            1,
            "0.00521",
        ),
        (
            "moonshot",
            CHAT,
            chat("kimi-k2.5", &json!({"tool_calls": [{"id": "t", "function": nova}]}), &none, &none),
            1,
            "0.0059",
        ),
        (
            "zai",
            CHAT,
            chat("glm-4.7", &none, &none, &json!({"web_search": [{"link": "a"}, {"link": "b"}]})),
            1,
            "0.01082",
        ),
        ("xai", "/v1/responses", responses, 3, "0.0165"),
    ] {
        let record = At { book: &book, provider, path, asked: "asked" }.json(&answer);
        assert_eq!(record.usage.web_searches, Some(searches), "{provider}: {record:?}");
        assert_eq!(status_and_cost(&record), (CostStatus::Measured, cost.into()), "{provider}: {record:?}");
    }
    let pages = json!({"groundingChunks": [{"web": {"uri": "https://x"}}]});
    let answer = json!({"modelVersion": "gemini-3-flash-preview", "usageMetadata": {
        "promptTokenCount": 1_000, "candidatesTokenCount": 100, "totalTokenCount": 1_100},
        "candidates": [{"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP", "groundingMetadata": pages}]});
    let path = "/v1beta/models/gemini-3-flash-preview:generateContent";
    let record = At { book: &book, provider: "gemini", path, asked: "" }.json(&answer);
    assert_eq!(record.usage.web_searches, Some(1), "pages that no query is told for");
}

#[test]
fn a_tool_of_the_providers_without_a_price_makes_no_call_measured() {
    let (book, none) = (book(), json!({}));
    let executed = |kinds: &[&str]| {
        let tools: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
        json!({"executed_tools": tools})
    };
    let cited = |kind: &str| json!({"annotations": [{"type": kind}]});
    let ocr = json!({"model": "mistral-ocr-4-1", "pages": [{}],
        "usage_info": {"pages_processed": 1, "pages_processed_annotation": 1}});
    let agent = json!({"model": "anthropic/claude-sonnet-4-5", "status": "completed", "output": [], "usage": {
        "input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100,
        "tool_calls_details": {"web_search": {"invocation": 2}, "fetch_url": {"invocation": 1}}}});
    let own_data =
        json!({"retrievalQueries": ["a"], "groundingChunks": [{"retrievedContext": {"uri": "gs://x"}}]});
    let vertex = json!({"modelVersion": "gemini-2.5-flash", "usageMetadata": {
        "promptTokenCount": 1_000, "candidatesTokenCount": 100, "totalTokenCount": 1_100},
        "candidates": [{"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP", "groundingMetadata": own_data}]});
    let nova = json!({"output": {"message": {"content": [{"text": "Yes."}]}}, "stopReason": "end_turn", "usage": {
        "inputTokens": 1_000, "outputTokens": 100, "totalTokens": 1_100, "serverToolUsage": {"webSearchRequests": 1}}});
    let claude = "anthropic/claude-sonnet-4.5";
    for (provider, path, asked, answer) in [
        ("groq", CHAT, "", chat("openai/gpt-oss-120b", &executed(&["search", "python"]), &none, &none)),
        ("openrouter", CHAT, claude, chat(claude, &cited("url_citation"), &none, &none)),
        ("openrouter", CHAT, claude, chat(claude, &cited("file"), &none, &none)),
        ("openrouter", CHAT, "anthropic/claude-sonnet-4.5:online", chat(claude, &none, &none, &none)),
        ("xai", CHAT, "", chat("grok-4.3", &none, &json!({"num_sources_used": 4}), &none)),
        ("alibaba", CHAT, "", chat("qwen-plus", &none, &json!({"plugins": {"search": {"count": 1}}}), &none)),
        ("mistral", "/v1/ocr", "mistral-ocr-latest", ocr),
        ("perplexity", "/v1/responses", "", agent),
        (
            "vertex",
            "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent",
            "",
            vertex,
        ),
        ("bedrock", "/model/us.amazon.nova-2-lite-v1%3A0/converse", "", nova),
    ] {
        let record = At { book: &book, provider, path, asked }.json(&answer);
        assert_eq!(record.cost_status, CostStatus::Unpriced, "{provider} {path}: {record:?}");
        assert!(record.cost_usd.as_pico() > 0, "{provider} {path}: the rest is charged: {record:?}");
    }
    let at = At { book: &book, provider: "groq", path: CHAT, asked: "" };
    let events = [
        json!({"model": "openai/gpt-oss-120b", "choices": [{"delta": {"executed_tools": [{"index": 0, "type": "search"}]}}]}),
        json!({"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}],
            "x_groq": {"usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}}}),
    ];
    assert_eq!(at.sse(&events).cost_status, CostStatus::Unpriced, "a stream may tell a tool once more");
}

#[test]
fn a_router_that_says_what_its_search_cost_is_believed() {
    let (book, claude) = (book(), "anthropic/claude-sonnet-4.5");
    let at =
        At { book: &book, provider: "openrouter", path: CHAT, asked: "anthropic/claude-sonnet-4.5:online" };
    let cited = json!({"annotations": [{"type": "url_citation"}]});
    let answer = chat(claude, &cited, &json!({"cost": 0.0245, "is_byok": false}), &json!({}));
    assert_eq!(status_and_cost(&at.json(&answer)), (CostStatus::Measured, "0.0245".into()));
    // A model that searches by itself has a fee for each request.
    let at = At { asked: "perplexity/sonar", ..at };
    let record = at.json(&chat("perplexity/sonar", &cited, &json!({}), &json!({})));
    assert_eq!(record.cost_status, CostStatus::Measured, "{record:?}");
}

#[test]
fn what_groq_ran_for_a_call_of_several_models_is_counted_once() {
    let book = book();
    let run = json!({"model": "openai/gpt-oss-120b", "usage": {"prompt_tokens": 500, "completion_tokens": 50, "total_tokens": 550}});
    let beside = json!({"usage_breakdown": {"models": [run, run]}});
    let tools = json!({"executed_tools": [{"index": 0, "type": "search"}]});
    let at = At { book: &book, provider: "groq", path: CHAT, asked: "groq/compound" };
    let record = at.json(&chat("groq/compound", &tools, &json!({}), &beside));
    let searched = record.charges.iter().filter(|charge| charge.kind.name() == "web_search").count();
    assert_eq!((record.usage.web_searches, searched), (Some(1), 0), "{record:?}");
    assert_eq!(record.cost_status, CostStatus::Unpriced, "compound has no row that prices it");
}

#[test]
fn a_pro_search_of_perplexitys_has_its_own_fee() {
    let book = book();
    let at = At { book: &book, provider: "perplexity", path: "/chat/completions", asked: "sonar-pro" };
    for (size, pro, cost) in [
        ("low", false, "0.0105"),
        ("low", true, "0.0185"),
        ("medium", true, "0.0225"),
        ("high", true, "0.0265"),
    ] {
        let kind = if pro { "pro" } else { "fast" };
        let usage = json!({"search_context_size": size, "search_type": kind});
        let record = at.json(&chat("sonar-pro", &json!({}), &usage, &json!({})));
        assert_eq!(status_and_cost(&record), (CostStatus::Measured, cost.into()), "{size} {kind}");
    }
}

#[test]
fn pictures_have_their_own_rate_wherever_they_are_made() {
    let book = book();
    let images = "/v1/images/generations";
    let drawn = |details: Value| {
        json!({"created": 1, "data": [{"b64_json": "aGVsbG8="}], "usage": {"input_tokens": 10,
            "output_tokens": 1_056, "total_tokens": 1_066, "output_tokens_details": details}})
    };
    let at = At { book: &book, provider: "openai", path: images, asked: "gpt-image-1.5" };
    let expected = (CostStatus::Measured, "0.033842".to_owned());
    for details in [json!({}), json!({"image_tokens": 0, "text_tokens": 0}), json!({"image_tokens": 1_056})] {
        assert_eq!(status_and_cost(&at.json(&drawn(details.clone()))), expected, "{details}");
    }
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 1_290, "total_tokens": 1_300});
    let picture =
        json!({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]});
    let in_text = json!({"content": "![image](data:image/png;base64,aGk=)"});
    for (provider, path, model, message) in [
        ("openrouter", CHAT, "google/gemini-2.5-flash-image", &picture),
        ("gemini", "/v1beta/openai/chat/completions", "gemini-2.5-flash-image", &in_text),
    ] {
        let record =
            At { book: &book, provider, path, asked: model }.json(&chat(model, message, &usage, &json!({})));
        assert_eq!(record.usage.output_image_tokens, Some(1_290), "{provider}");
        assert_eq!(status_and_cost(&record), (CostStatus::Measured, "0.038703".into()), "{provider}");
    }
}

#[test]
fn pictures_in_base64_are_pictures_as_those_with_an_address_are() {
    let book = book();
    let path = "/openai/v1/images/generations";
    let at = At { book: &book, provider: "azure", path, asked: "flux.2-pro" };
    let long = "A".repeat(40_000);
    for data in [
        json!([{"url": "a"}, {"url": "b"}]),
        json!([{"b64_json": "aGk="}, {"b64_json": "aGk="}]),
        json!([{"url": "a", "b64_json": null}, {"b64_json": long, "url": ""}]),
    ] {
        let record = at.json(&json!({"created": 1, "data": data}));
        assert_eq!(record.usage.images, Some(2), "{record:?}");
    }
}
