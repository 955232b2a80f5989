//! What answers say that calls cost is what they cost: each provider's place for it, in each framing, at each
//! cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tollgate_collector::work::meter::{Cut, Exchange, Metered};
use tollgate_core::price::{CostStatus, EMBEDDED, PriceBook};
use tollgate_core::record::{CostSource, Note};

static BOOK: LazyLock<PriceBook> = LazyLock::new(|| PriceBook::from_files(EMBEDDED).unwrap());
const CUTS: [Cut; 4] = [Cut::Whole, Cut::Every(1), Cut::Every(13), Cut::Random(7)];

/// An answer to a call, as it would have been recorded on 25 November 2026.
struct Answer {
    url: &'static str,
    model: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Answer {
    fn json(url: &'static str, model: &'static str, body: &Value) -> Self {
        Self { url, model, headers: vec![("content-type", "application/json")], body: body.to_string() }
    }

    fn stream(url: &'static str, model: &'static str, events: &[Value]) -> Self {
        let body = events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>();
        let headers = vec![("content-type", "text/event-stream")];
        Self { url, model, headers, body: body + "data: [DONE]\n\n" }
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn metered(&self, cut: Cut) -> Metered {
        let mut headers = json!({"date": ["Wed, 25 Nov 2026 12:00:00 GMT"]});
        for (name, value) in &self.headers {
            headers[name] = json!([value]);
        }
        let path = self.url.split_once("://").unwrap().1;
        let exchange: Exchange = serde_json::from_value(json!({
            "id": self.url, "url": self.url, "path": &path[path.find('/').unwrap()..],
            "request_body": json!({"model": self.model, "messages": [{"role": "user", "content": "hi"}]}).to_string(),
            "response_status": 200, "response_headers": headers,
            "response_body_base64": STANDARD.encode(&self.body),
        }))
        .unwrap();
        exchange.meter(cut, &BOOK).unwrap()
    }

    /// The record, which is the same at every cut.
    fn record(&self) -> Metered {
        let whole = self.metered(Cut::Whole);
        for cut in CUTS {
            assert_eq!(self.metered(cut), whole, "{} at {cut:?}", self.url);
        }
        whole
    }
}

fn chat(model: &str, usage: &Value) -> Value {
    json!({"id": "c", "object": "chat.completion", "model": model, "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]})
}

fn chunks(model: &str, usage: &Value) -> [Value; 2] {
    let chunk = |delta: Value, stop: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": stop}]})
    };
    let mut last = chunk(json!({}), json!("stop"));
    last["usage"] = usage.clone();
    [chunk(json!({"content": "Yes."}), Value::Null), last]
}

fn tokens(more: &Value) -> Value {
    let mut usage = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
    usage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    usage
}

/// That the call costs this by the provider's word.
fn by_word(answer: &Answer, dollars: &str) -> Metered {
    let record = answer.record();
    let name = answer.url;
    assert_eq!(record.cost_usd.to_string(), dollars, "{name}: {record:?}");
    assert_eq!(
        (record.cost_source, record.cost_status),
        (CostSource::Provider, CostStatus::Measured),
        "{name}"
    );
    assert_eq!(record.provider_cost_usd, Some(record.cost_usd), "{name}");
    record
}

/// That it costs what the book says.
fn by_book(answer: &Answer) -> Metered {
    let record = answer.record();
    assert_eq!((record.cost_source, record.cost_usd), (CostSource::Book, record.book_cost_usd), "{record:?}");
    record
}

const OPENROUTER: &str = "https://openrouter.ai/api/v1/chat/completions";
const RESPONSES: &str = "https://openrouter.ai/api/v1/responses";
const MESSAGES: &str = "https://openrouter.ai/api/v1/messages";
const XAI: &str = "https://api.x.ai/v1/responses";
const VERCEL: &str = "https://ai-gateway.vercel.sh/v3/ai/language-model";

#[test]
fn a_routers_own_cost_is_the_calls_cost_in_every_api_and_framing() {
    let usage = tokens(&json!({"cost": 0.0123, "is_byok": false}));
    let model = "openai/gpt-4.1-mini";
    by_word(&Answer::json(OPENROUTER, model, &chat(model, &usage)), "0.012300000000");
    by_word(&Answer::stream(OPENROUTER, model, &chunks(model, &usage)), "0.012300000000");
    let usage = json!({"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "cost": 0.0123, "is_byok": false});
    let done = json!({"type": "response.completed", "response":
        {"id": "r", "object": "response", "status": "completed", "model": model, "output": [], "usage": usage}});
    by_word(&Answer::stream(RESPONSES, model, &[done]), "0.012300000000");
    let claude = "anthropic/claude-haiku-4.5";
    let usage = json!({"input_tokens": 1000, "output_tokens": 100, "cost": 0.0123, "is_byok": false});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": claude, "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Yes."}], "usage": usage});
    by_word(&Answer::json(MESSAGES, claude, &message), "0.012300000000");
    let unknown = "nobody/knows-this-model";
    let record = by_word(
        &Answer::json(OPENROUTER, unknown, &chat(unknown, &tokens(&json!({"cost": 0.5, "is_byok": false})))),
        "0.500000000000",
    );
    assert_eq!(record.book_cost_usd.to_string(), "0.000000000000", "the book has no price for it");
}

#[test]
fn on_the_callers_own_key_the_fee_and_the_upstreams_cost_are_the_cost() {
    let model = "openai/gpt-4.1-mini";
    let own = |cost: f64, details: Value| {
        let usage = tokens(&json!({"cost": cost, "is_byok": true, "cost_details": details}));
        Answer::json(OPENROUTER, model, &chat(model, &usage))
    };
    by_word(&own(0.00005, json!({"upstream_inference_cost": 0.001})), "0.001050000000");
    by_word(&own(0.0, json!({"upstream_inference_cost": 0.001})), "0.001000000000");
    let parts =
        json!({"upstream_inference_prompt_cost": 0.0004, "upstream_inference_completions_cost": 0.0002});
    by_word(&own(0.0, parts), "0.000600000000");
    let record = by_book(&own(0.00003, Value::Null));
    assert_eq!((record.provider_cost_usd, record.notes), (None, vec![]), "a fee alone is not what it cost");
}

#[test]
fn a_routers_searches_are_in_its_cost_and_counted() {
    let model = "openai/gpt-5-mini";
    let usage = tokens(
        &json!({"cost": 0.0305, "is_byok": false, "server_tool_use_details": {"web_search_requests": 3}}),
    );
    for answer in [
        Answer::json(OPENROUTER, model, &chat(model, &usage)),
        Answer::stream(OPENROUTER, model, &chunks(model, &usage)),
    ] {
        assert_eq!(by_word(&answer, "0.030500000000").usage.web_searches, Some(3));
    }
}

#[test]
fn what_xai_says_in_ticks_is_the_cost_with_its_tools_in_it() {
    let usage = json!({"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "cost_in_usd_ticks": 315_000_000,
        "server_side_tool_usage_details": {"web_search_calls": 1, "code_interpreter_calls": 4, "file_search_calls": 2}});
    let response = json!({"id": "r", "object": "response", "status": "completed", "model": "grok-4.3", "output": [],
        "usage": usage});
    by_word(&Answer::json(XAI, "grok-4.3", &response), "0.031500000000");
    let done = json!({"type": "response.completed", "response": response});
    by_word(&Answer::stream(XAI, "grok-4.3", &[done]), "0.031500000000");
    let usage = tokens(&json!({"cost_in_usd_ticks": 315_000_000}));
    let url = "https://api.x.ai/v1/chat/completions";
    by_word(&Answer::stream(url, "grok-4.3", &chunks("grok-4.3", &usage)), "0.031500000000");
    // Images, whose usage says nothing else.
    let images = json!({"data": [{"url": "a"}, {"url": "b"}], "usage": {"cost_in_usd_ticks": 1_400_000_000}});
    by_word(
        &Answer::json("https://api.x.ai/v1/images/generations", "grok-imagine-image", &images),
        "0.140000000000",
    );
}

#[test]
fn ticks_of_nothing_say_that_somebody_else_bills() {
    let usage = tokens(&json!({"cost_in_usd_ticks": 0}));
    let url = "https://name.services.ai.azure.com/models/chat/completions";
    let record = by_book(&Answer::json(url, "grok-3", &chat("grok-3", &usage)));
    assert_eq!((record.provider_cost_usd, record.notes), (None, vec![]));
}

#[test]
fn results_of_a_batch_cost_what_each_of_them_says() {
    let result = |ticks: Option<u64>| {
        let mut usage = tokens(&json!({}));
        usage["cost_in_usd_ticks"] = json!(ticks);
        json!({"batch_result": {"response": {"chat_get_completion": chat("grok-4.3", &usage)}}})
    };
    let url = "https://api.x.ai/v1/batches/example/results";
    let page = |results: Value| Answer::json(url, "grok-4.3", &json!({"results": results}));
    let all = page(json!([result(Some(100_000_000)), result(Some(50_000_000))])).record();
    assert_eq!(
        (all.cost_usd.to_string().as_str(), all.cost_source),
        ("0.015000000000", CostSource::Provider)
    );
    assert_eq!(all.usage.input_tokens, Some(2_000));
    let one_is_silent = page(json!([result(Some(100_000_000)), result(None)])).record();
    assert_eq!((one_is_silent.provider_cost_usd, one_is_silent.cost_source), (None, CostSource::Book));
}

#[test]
fn perplexity_vercel_litellm_and_pydantic_are_heard_where_they_say_it() {
    let sonar = "https://api.perplexity.ai/chat/completions";
    let usage = tokens(
        &json!({"search_context_size": "low", "cost": {"request_cost": 0.005, "total_cost": 0.00742}}),
    );
    by_word(&Answer::json(sonar, "sonar", &chat("sonar", &usage)), "0.007420000000");
    by_word(&Answer::stream(sonar, "sonar", &chunks("sonar", &usage)), "0.007420000000");

    let gateway = json!({"gateway": {"cost": "0.0045405", "marketCost": "0.0045405"}});
    let usage = json!({"inputTokens": {"total": 1000}, "outputTokens": {"total": 100}});
    let model = "anthropic/claude-sonnet-4.6";
    let mut finish = json!({"type": "finish", "usage": usage, "providerMetadata": gateway});
    by_word(
        &Answer::stream(VERCEL, model, &[finish.clone()]).header("ai-language-model-id", model),
        "0.004540500000",
    );
    finish["providerMetadata"]["gateway"]["cost"] = json!("0");
    by_word(&Answer::stream(VERCEL, model, &[finish]), "0.004540500000");

    let proxy = "https://proxy.example/v1/chat/completions";
    let answer = Answer::json(proxy, "house-model", &chat("house-model", &tokens(&json!({}))));
    by_word(&answer.header("x-litellm-response-cost", "4.25e-05"), "0.000042500000");
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
        "stop_reason": "end_turn", "content": [], "usage": {"input_tokens": 1000, "output_tokens": 100}});
    let answer = Answer::json("https://proxy.example/v1/messages", "claude-haiku-4-5", &message);
    by_word(&answer.header("x-litellm-response-cost", "0.002"), "0.002000000000");

    let usage = tokens(&json!({"pydantic_ai_gateway": {"cost_estimate": 0.00052}}));
    let gateway = "https://gateway.pydantic.dev/proxy/chat/v1/chat/completions";
    by_word(&Answer::json(gateway, "gpt-5-mini", &chat("gpt-5-mini", &usage)), "0.000520000000");
}

#[test]
fn a_report_under_a_tenth_is_noted_and_the_books_charge_stays() {
    let model = "openai/gpt-4.1-mini";
    let said = |cost: Value| {
        let usage = tokens(&json!({"cost": cost, "is_byok": false}));
        Answer::json(OPENROUTER, model, &chat(model, &usage))
    };
    let book = by_book(&Answer::json(OPENROUTER, model, &chat(model, &tokens(&json!({})))));
    assert_eq!(book.book_cost_usd.to_string(), "0.000560000000", "0.4 and 1.6 dollars a million");
    by_word(&said(json!(0.000056)), "0.000056000000");
    for (cost, note) in [
        (json!(0.000055), Note::ProviderCostDoubted),
        (json!(0), Note::ProviderCostDoubted),
        (json!(-1), Note::ProviderCostIgnored),
        (json!(1e15), Note::ProviderCostIgnored),
        (json!(4_000), Note::ProviderCostIgnored),
    ] {
        let record = by_book(&said(cost.clone()));
        assert_eq!((record.cost_usd, record.notes), (book.cost_usd, vec![note]), "{cost}");
        assert_eq!(record.usage, book.usage, "the rest stays");
        assert_eq!(record.provider_cost_usd.is_some(), note == Note::ProviderCostDoubted, "{cost}");
    }
}
