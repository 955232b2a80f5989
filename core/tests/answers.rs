//! What providers' answers say in unusual ways: counts that stand elsewhere or contradict each other, streams
//! of other shapes that were cut, errors in an answer of status 200.
//!
//! Long: a test for each class of faults that was found, over every API that may have it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use base64::Engine as _;
use serde_json::{Value, json};
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::decode::websocket;
use tollgate_core::estimate::Learned;
use tollgate_core::provider::Target;
use tollgate_core::record::{Note, Outcome, UsageRecord};

/// The record of an answer that came to its end; it is the same however it is cut into pieces.
fn settled((provider, path): (&str, &str), request: &Value, (kind, body): (&str, &[u8])) -> UsageRecord {
    let in_pieces = |bytes: usize| {
        let is_session = kind == "websocket";
        let recognise = if is_session { Target::recognise_upgrade } else { Target::recognise };
        let mut call = Call::begin("id".into(), 1_000, recognise(Some(provider), "", path), path);
        if is_session {
            call.opens_session();
        } else if !request.is_null() {
            call.request().feed(request.to_string().as_bytes());
        }
        let head = ResponseHead {
            status: if is_session { 101 } else { 200 },
            content_type: Some(kind).filter(|_| !is_session),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 1_010);
        body.chunks(bytes).for_each(|piece| call.response_body(piece));
        let end = End { ending: Ending::Complete, now_ms: 1_020, attempts: None, charge_retries: false };
        call.settle(end, "gateway", None, &mut Learned::default())
    };
    let whole = in_pieces(body.len());
    for bytes in [1, 7] {
        assert_eq!(in_pieces(bytes), whole, "in pieces of {bytes} bytes");
    }
    whole
}

fn json_body(at: (&str, &str), request: &Value, answer: &Value) -> UsageRecord {
    settled(at, request, ("application/json", answer.to_string().as_bytes()))
}

fn sse(at: (&str, &str), request: &Value, events: &[Value]) -> UsageRecord {
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    settled(at, request, ("text/event-stream", body.as_bytes()))
}

/// A file of results, one a line.
fn file((provider, path): (&str, &str), lines: &[Value]) -> UsageRecord {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    settled((provider, path), &Value::Null, ("application/x-ndjson", body.as_bytes()))
}

/// One turn of Google's Live.
fn live(usage: &Value) -> UsageRecord {
    let path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
    let message = json!({"serverContent": {"turnComplete": true}, "usageMetadata": usage});
    settled(("gemini", path), &Value::Null, ("websocket", &websocket::text(&message.to_string())))
}

/// A stream of Bedrock's: each event with its type.
fn frames(at: (&str, &str), request: &Value, events: &[(&str, Value)]) -> UsageRecord {
    let mut body = Vec::new();
    for (kind, payload) in events {
        let payload = payload.to_string();
        let mut head = Vec::new();
        for (name, value) in [(":event-type", *kind), (":message-type", "event")] {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
        let mut frame = total.to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(&head);
        frame.extend_from_slice(payload.as_bytes());
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        body.extend(frame);
    }
    settled(at, request, ("application/vnd.amazon.eventstream", &body))
}

/// The same of InvokeModel, whose chunks are the model's own documents.
fn invoked(model: &str, chunks: &[Value]) -> UsageRecord {
    let chunk = |document: &Value| {
        let bytes = base64::engine::general_purpose::STANDARD.encode(document.to_string());
        ("chunk", json!({"bytes": bytes}))
    };
    let events: Vec<_> = chunks.iter().map(chunk).collect();
    let path = format!("/model/{model}/invoke-with-response-stream");
    frames(("bedrock", &path), &asked(), &events)
}

fn asked() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Please answer in one short sentence."}]})
}

fn counts(record: &UsageRecord) -> (Option<u64>, Option<u64>, bool) {
    (record.usage.input_tokens, record.usage.output_tokens, is_doubted(record))
}

/// Whether it is an estimate because its counts cannot all be true.
fn is_doubted(record: &UsageRecord) -> bool {
    let is_noted = record.notes.contains(&Note::ContradictoryUsage);
    assert!(!is_noted || record.usage_estimated, "{record:?}");
    is_noted
}

const CHAT: (&str, &str) = ("openai", "/v1/chat/completions");
const CONVERSE: (&str, &str) = ("bedrock", "/model/amazon.nova-pro-v1:0/converse");
const INTERACTIONS: (&str, &str) = ("gemini", "/v1beta/interactions");
const GENERATE: (&str, &str) = ("gemini", "/v1beta/models/gemini-2.5-pro:generateContent");

#[test]
fn output_that_stands_only_in_the_total_is_all_that_is_left_of_it() {
    let chat = |usage: Value| json_body(CHAT, &asked(), &json!({"model": "m", "usage": usage}));
    let converse = |usage: Value| json_body(CONVERSE, &asked(), &json!({"usage": usage}));
    let converse_stream = |usage: Value| {
        let path = "/model/amazon.nova-pro-v1:0/converse-stream";
        frames(("bedrock", path), &asked(), &[("metadata", json!({"usage": usage}))])
    };
    let invoke = |usage: Value| {
        let path = "/model/openai.gpt-oss-120b-1:0/invoke";
        json_body(("bedrock", path), &asked(), &json!({"model": "m", "usage": usage}))
    };
    let interaction =
        |usage: Value| json_body(INTERACTIONS, &asked(), &json!({"status": "completed", "usage": usage}));
    let generate = |usage: Value| json_body(GENERATE, &asked(), &json!({"usageMetadata": usage}));
    let left = (Some(10), Some(1_000), false);
    for (what, record) in [
        ("chat", chat(json!({"prompt_tokens": 10, "total_tokens": 1_010}))),
        ("converse", converse(json!({"inputTokens": 10, "totalTokens": 1_010}))),
        ("cached", converse(json!({"inputTokens": 4, "cacheReadInputTokens": 6, "totalTokens": 1_010}))),
        ("converse-stream", converse_stream(json!({"inputTokens": 10, "totalTokens": 1_010}))),
        ("invoke", invoke(json!({"prompt_tokens": 10, "total_tokens": 1_010}))),
        ("invoke, Nova", invoke(json!({"inputTokens": 10, "totalTokens": 1_010}))),
        ("interaction", interaction(json!({"total_input_tokens": 10, "total_tokens": 1_010}))),
        ("generateContent", generate(json!({"promptTokenCount": 10, "totalTokenCount": 1_010}))),
        ("live", live(&json!({"promptTokenCount": 10, "totalTokenCount": 1_010}))),
    ] {
        assert_eq!(counts(&record), left, "{what}: {record:?}");
    }
    // Told as nothing, it is no more than left out; but somebody has said something that is not so.
    let doubted = (Some(10), Some(1_000), true);
    for (what, record) in [
        ("chat", chat(json!({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 1_010}))),
        ("converse", converse(json!({"inputTokens": 10, "outputTokens": 0, "totalTokens": 1_010}))),
        ("invoke", invoke(json!({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 1_010}))),
        (
            "interaction",
            interaction(json!({"total_input_tokens": 10, "total_output_tokens": 0, "total_tokens": 1_010})),
        ),
        (
            "generateContent",
            generate(json!({"promptTokenCount": 10, "candidatesTokenCount": 0, "totalTokenCount": 1_010})),
        ),
        ("live", live(&json!({"promptTokenCount": 10, "responseTokenCount": 0, "totalTokenCount": 1_010}))),
    ] {
        assert_eq!(counts(&record), doubted, "{what}: {record:?}");
    }
    // So it is with a prompt that is told as nothing.
    let hidden = (Some(1_000), Some(10), true);
    for (what, record) in [
        ("chat", chat(json!({"prompt_tokens": 0, "completion_tokens": 10, "total_tokens": 1_010}))),
        ("converse", converse(json!({"inputTokens": 0, "outputTokens": 10, "totalTokens": 1_010}))),
        ("invoke", invoke(json!({"completion_tokens": 10, "total_tokens": 1_010}))),
        ("interaction", interaction(json!({"total_output_tokens": 10, "total_tokens": 1_010}))),
        (
            "generateContent",
            generate(json!({"promptTokenCount": 0, "candidatesTokenCount": 10, "totalTokenCount": 1_010})),
        ),
    ] {
        assert_eq!(counts(&record), hidden, "{what}: {record:?}");
    }
}

#[test]
fn parts_that_contradict_their_total_are_never_measured() {
    for (what, record) in [
        (
            "interaction",
            json_body(
                INTERACTIONS,
                &asked(),
                &json!({"usage": {"total_input_tokens": 100, "total_output_tokens": 200, "total_tokens": 1_100}}),
            ),
        ),
        (
            "invoke",
            json_body(
                ("bedrock", "/model/openai.gpt-oss-120b-1:0/invoke"),
                &asked(),
                &json!({"usage": {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 1_100}}),
            ),
        ),
        ("live", live(&json!({"promptTokenCount": 100, "responseTokenCount": 50, "totalTokenCount": 600}))),
        (
            "live, thinking",
            live(&json!({"promptTokenCount": 100, "responseTokenCount": 50, "thoughtsTokenCount": 450,
                "totalTokenCount": 900})),
        ),
    ] {
        assert!(is_doubted(&record), "{what}: {record:?}");
    }
    for (what, record, output) in [
        (
            "live",
            live(&json!({"promptTokenCount": 100, "responseTokenCount": 50, "totalTokenCount": 150})),
            50,
        ),
        (
            "live, thinking beside the total",
            live(&json!({"promptTokenCount": 100, "responseTokenCount": 50, "thoughtsTokenCount": 77,
                "totalTokenCount": 150})),
            127,
        ),
        (
            "live, thinking and tools",
            live(&json!({"promptTokenCount": 90, "toolUsePromptTokenCount": 10, "responseTokenCount": 50,
                "thoughtsTokenCount": 450, "totalTokenCount": 600})),
            500,
        ),
        (
            "interaction, thinking and tools",
            json_body(
                INTERACTIONS,
                &asked(),
                &json!({"usage": {"total_input_tokens": 90, "total_tool_use_tokens": 10, "total_output_tokens": 0,
                    "total_thought_tokens": 30, "total_tokens": 130}}),
            ),
            30,
        ),
        (
            "chat, thinking beside no answer",
            json_body(
                ("xai", "/v1/chat/completions"),
                &asked(),
                &json!({"usage": {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 130,
                    "completion_tokens_details": {"reasoning_tokens": 30}}}),
            ),
            30,
        ),
    ] {
        assert_eq!(counts(&record), (Some(100), Some(output), false), "{what}: {record:?}");
    }
}

#[test]
fn a_batch_of_googles_openai_compatible_api_thinks_outside_its_completions() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 1_010});
    let line = json!({"response": {"body": {"model": "gemini-2.5-pro", "usage": usage}}});
    let record = file(("gemini", "/v1beta/openai/files/f/content"), &[line.clone(), line.clone()]);
    assert_eq!(counts(&record), (Some(20), Some(2_000), false));
    assert_eq!(record.usage.reasoning_tokens, Some(1_800));
    // Who counts all of it says something else by such a total.
    assert!(is_doubted(&file(("openai", "/v1/files/f/content"), &[line])));
}

#[test]
fn images_that_a_batch_made_are_images_where_their_tokens_are_not_told_apart() {
    let drawn = json!([{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}}]);
    let said = json!([{"content": {"parts": [{"text": "Yes."}]}}]);
    let gemini = |candidates: &Value| {
        json!({"modelVersion": "gemini-2.5-flash-image", "candidates": candidates,
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 1_290, "totalTokenCount": 1_300}})
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 1_290, "total_tokens": 1_300});
    let openai = |body: Value| json!({"response": {"body": body}});
    let result = |answer: Value| json!({"response": answer});
    let inlined = |first: Value, second: Value| {
        let results = json!({"inlinedResponses": {"inlinedResponses": [first, second]}});
        json_body(("gemini", "/v1beta/batches/b"), &Value::Null, &json!({"done": true, "response": results}))
    };
    for (what, record) in [
        ("inlined", inlined(result(gemini(&said)), result(gemini(&drawn)))),
        ("inlined", inlined(result(gemini(&drawn)), result(gemini(&said)))),
        (
            "a file of Google's",
            file(("gemini", "/v1beta/files/f:download"), &[result(gemini(&drawn)), result(gemini(&said))]),
        ),
        (
            "a file of OpenAI's",
            file(
                ("openai", "/v1/files/f/content"),
                &[
                    openai(
                        json!({"model": "gpt-image-1.5", "usage": usage, "data": [{"b64_json": "A".repeat(9_000)}]}),
                    ),
                    openai(json!({"model": "gpt-4.1", "usage": usage, "output": []})),
                ],
            ),
        ),
        (
            "a file with addresses",
            file(
                ("openai", "/v1/files/f/content"),
                &[
                    openai(json!({"model": "gpt-4.1", "usage": usage, "output": []})),
                    openai(json!({"data": [{"url": "https://x"}], "model": "gpt-image-1.5", "usage": usage})),
                ],
            ),
        ),
    ] {
        assert_eq!(counts(&record), (Some(20), Some(2_580), false), "{what}: {record:?}");
        assert_eq!(record.usage.output_image_tokens, Some(1_290), "{what}: {record:?}");
    }
    // Pictures that have no tokens are counted, each line for itself.
    let lines = [json!([{"url": "a"}, {"url": "b"}]), json!([{"url": "c"}])];
    let lines = lines.map(|data| openai(json!({"model": "dall-e-3", "data": data})));
    assert_eq!(file(("openai", "/v1/files/f/content"), &lines).usage.images, Some(3));
    let step = json!([{"type": "model_output", "content": [{"type": "image", "mime_type": "image/png", "data": "AA"}]}]);
    let usage = json!({"total_input_tokens": 10, "total_output_tokens": 1_290, "total_tokens": 1_300});
    let record =
        json_body(INTERACTIONS, &asked(), &json!({"status": "completed", "steps": step, "usage": usage}));
    assert_eq!(record.usage.output_image_tokens, Some(1_290));
}

#[test]
fn only_deep_research_pays_perplexity_for_queries_citations_and_reasoning() {
    let usage = json!({"prompt_tokens": 42, "completion_tokens": 310, "total_tokens": 352, "citation_tokens": 1_200,
        "reasoning_tokens": 200, "num_search_queries": 3, "search_context_size": "low"});
    let of = |model: &str| {
        let answer = json!({"model": model, "choices": [{"message": {"content": "Yes."}}], "usage": usage});
        json_body(("perplexity", "/v1/sonar"), &asked(), &answer)
    };
    for model in ["sonar", "sonar-pro", "sonar-reasoning-pro"] {
        let record = of(model);
        assert_eq!(counts(&record), (Some(42), Some(310), false), "{model}");
        assert_eq!((record.usage.web_searches, record.usage.citation_tokens), (None, None), "{model}");
    }
    let record = of("sonar-deep-research");
    assert_eq!(counts(&record), (Some(42), Some(1_710), false));
    assert_eq!((record.usage.web_searches, record.usage.citation_tokens), (Some(3), Some(1_200)));
}

#[test]
fn each_of_mistrals_ways_to_search_the_web_is_a_search() {
    for (connectors, searches) in [
        (json!({"web_search": 1}), Some(1)),
        (json!({"web_search_premium": 2}), Some(2)),
        (json!({"web_search": 1, "web_search_premium": 2}), Some(3)),
        (json!({"code_interpreter": 2}), None),
    ] {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "connectors": connectors});
        let answer = json!({"object": "conversation.response", "usage": usage});
        let record = json_body(("mistral", "/v1/conversations"), &asked(), &answer);
        assert_eq!(record.usage.web_searches, searches, "{connectors}");
    }
}

/// Pieces of one text, and what passes of it in a chat's stream.
fn river() -> (Vec<String>, u64) {
    let sentence = "The river begins in the hills and runs a long way through ten countries. ";
    let pieces: Vec<String> = sentence.repeat(6).split_inclusive(' ').map(str::to_owned).collect();
    let chunks: Vec<Value> =
        pieces.iter().map(|piece| json!({"choices": [{"delta": {"content": piece}}]})).collect();
    let passed = sse(CHAT, &asked(), &chunks).usage.output_tokens.unwrap();
    assert!((80..100).contains(&passed), "{passed}");
    (pieces, passed)
}

#[test]
fn a_cut_stream_counts_the_text_of_every_shape_once_and_nothing_around_it() {
    let (pieces, passed) = river();
    let each = |event: &dyn Fn(&str) -> Value| pieces.iter().map(|piece| event(piece)).collect::<Vec<_>>();
    let mistral = ("mistral", "/v1/conversations");
    let nova = "us.amazon.nova-pro-v1:0";
    for (what, record) in [
        (
            "code that is filled in",
            sse(
                ("mistral", "/v1/fim/completions"),
                &asked(),
                &each(&|piece| json!({"choices": [{"delta": {"content": piece}, "finish_reason": null}]})),
            ),
        ),
        (
            "a completion that is told as a chat besides",
            sse(
                ("together", "/v1/completions"),
                &asked(),
                &each(&|piece| json!({"choices": [{"text": piece, "delta": {"content": piece}}]})),
            ),
        ),
        (
            "a conversation's thinking",
            sse(
                mistral,
                &asked(),
                &each(&|piece| {
                    let thought = json!([{"type": "text", "text": piece}]);
                    json!({"type": "message.output.delta", "content": {"type": "thinking", "thinking": thought}})
                }),
            ),
        ),
        (
            "a conversation's call",
            sse(
                mistral,
                &asked(),
                &each(
                    &|piece| json!({"type": "function.call.delta", "name": "save", "tool_call_id": "t", "arguments": piece}),
                ),
            ),
        ),
        (
            "InvokeModel, reasoning under two names",
            invoked(
                "minimax.minimax-m2",
                &each(
                    &|piece| json!({"choices": [{"delta": {"reasoning_content": piece, "reasoning": piece}}]}),
                ),
            ),
        ),
        (
            "InvokeModel, typed parts",
            invoked(
                "mistral.magistral",
                &each(&|piece| {
                    let thought = json!([{"type": "text", "text": piece}]);
                    json!({"choices": [{"delta": {"content": [{"type": "thinking", "thinking": thought}]}}]})
                }),
            ),
        ),
        (
            "Nova's call",
            invoked(
                nova,
                &each(&|piece| json!({"contentBlockDelta": {"delta": {"toolUse": {"input": piece}}}})),
            ),
        ),
        (
            "Nova's reasoning",
            invoked(
                nova,
                &each(
                    &|piece| json!({"contentBlockDelta": {"delta": {"reasoningContent": {"text": piece}}}}),
                ),
            ),
        ),
    ] {
        let told = record.usage.output_tokens.unwrap();
        assert!(told >= passed && told * 10 <= passed * 12, "{what}: {told} tokens, in a chat {passed}");
        assert!(record.usage_estimated, "{what}");
    }
}

#[test]
fn a_stream_that_says_in_words_that_it_has_not_ended_has_not() {
    let chunk = |reason: &str, output: u64| {
        let choice = json!({"message": {"content": "The river begins"}, "finish_reason": reason});
        json!({"output": {"choices": [choice]}, "usage": {"input_tokens": 20, "output_tokens": output}})
    };
    let path = "/api/v1/services/aigc/text-generation/generation";
    for (last, is_whole) in [("null", false), ("", false), ("stop", true)] {
        let record = sse(("alibaba", path), &asked(), &[chunk("null", 1), chunk(last, 30)]);
        assert_eq!((record.usage.input_tokens, record.usage.output_tokens), (Some(20), Some(30)), "{last}");
        assert_eq!(record.usage_estimated, !is_whole, "{last}");
        let chunk = json!({"choices": [{"delta": {"content": "The river begins"}, "finish_reason": last}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 30}});
        assert_eq!(sse(CHAT, &asked(), &[chunk]).usage_estimated, !is_whole, "a chat, {last}");
    }
}

#[test]
fn an_input_of_nothing_for_a_prompt_that_was_sent_is_not_measured() {
    let chat = json!({"prompt_tokens": 0, "completion_tokens": 20, "total_tokens": 20});
    let messages = json!({"input_tokens": 0, "output_tokens": 20});
    let converse = json!({"inputTokens": 0, "outputTokens": 20, "totalTokens": 20});
    for (what, record) in [
        ("chat", json_body(CHAT, &asked(), &json!({"usage": chat}))),
        ("a stream", sse(CHAT, &asked(), &[json!({"choices": [], "usage": chat})])),
        ("messages", json_body(("anthropic", "/v1/messages"), &asked(), &json!({"usage": messages}))),
        ("responses", json_body(("openai", "/v1/responses"), &asked(), &json!({"usage": messages}))),
        ("converse", json_body(CONVERSE, &asked(), &json!({"usage": converse}))),
        (
            "generateContent",
            json_body(
                GENERATE,
                &json!({"contents": [{"parts": [{"text": "Please answer in one short sentence."}]}]}),
                &json!({"usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 20, "totalTokenCount": 20}}),
            ),
        ),
    ] {
        let (input, output, is_doubted) = counts(&record);
        assert!(is_doubted && (6..=12).contains(&input.unwrap()), "{what}: {record:?}");
        assert_eq!(output, Some(20), "{what}");
    }
    // Nor is nothing at all, for whatever was sent.
    for (path, usage) in [
        ("/v1/chat/completions", json!({"prompt_tokens": 0, "completion_tokens": 0})),
        ("/v1/rerank", json!({"total_tokens": 0})),
    ] {
        let body = json!({"model": "m", "input": "Please answer in one short sentence.", "messages": asked()["messages"]});
        let record = json_body(("voyage", path), &body, &json!({"usage": usage}));
        assert!(record.usage_estimated && record.usage.input_tokens > Some(5), "{path} {record:?}");
    }
    // Nothing was sent, all of it came from a cache, or somebody stands by it.
    let cached = json!({"input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 20});
    let named = json!({"prompt_tokens": 0, "completion_tokens": 20, "total_tokens": 20, "cost": 0.5});
    for record in [
        json_body(CHAT, &json!({"model": "m", "messages": []}), &json!({"usage": chat})),
        json_body(("anthropic", "/v1/messages"), &asked(), &json!({"usage": cached})),
        json_body(("openrouter", "/api/v1/chat/completions"), &asked(), &json!({"usage": named})),
        json_body(("ollama", "/v1/chat/completions"), &asked(), &json!({"usage": chat})),
    ] {
        assert!(!record.usage_estimated && !is_doubted(&record), "{record:?}");
    }
}

#[test]
fn tools_alone_are_not_all_that_an_answer_used() {
    let search =
        json!({"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}});
    let answer = json!({"model": "m", "output": [search], "usage": null});
    let record = json_body(("openai", "/v1/responses"), &asked(), &answer);
    assert_eq!(record.usage.web_searches, Some(1));
    assert!(record.usage_estimated && record.usage.input_tokens > Some(5), "{record:?}");
    assert!(record.usage.output_tokens > Some(0), "{record:?}");
}

#[test]
fn thinking_that_a_refusal_does_not_show_is_paid() {
    let refused = |output: u64| {
        let answer = json!({"type": "message", "model": "m", "content": [], "stop_reason": "refusal",
            "usage": {"input_tokens": 40, "output_tokens": output}});
        json_body(("anthropic", "/v1/messages"), &asked(), &answer).notes.contains(&Note::Unbilled)
    };
    assert!(refused(1));
    assert!(!refused(2_500));
}

#[test]
fn what_counts_are_made_of_is_not_lost_where_they_are_told_again() {
    let first = json!({"prompt_tokens": 1000, "completion_tokens": 10, "cost": 0.0099,
        "prompt_tokens_details": {"cached_tokens": 800}});
    let bare = json!({"prompt_tokens": 1000, "completion_tokens": 10});
    let zeros = json!({"prompt_tokens": 1000, "completion_tokens": 10, "cost": 0,
        "prompt_tokens_details": {"cached_tokens": 0}});
    for later in [bare, zeros] {
        let chunk =
            |usage: &Value| json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage});
        let record =
            sse(("openrouter", "/api/v1/chat/completions"), &asked(), &[chunk(&first), chunk(&later)]);
        assert_eq!(record.usage.cache_read_tokens, Some(800), "{later}");
        assert_eq!(record.provider_cost_usd.unwrap().as_pico(), 9_900_000_000, "{later}");
    }
    for usage in [
        json!({"prompt_tokens": 1000, "completion_tokens": 1, "prompt_token_details": {"cached_tokens": 800}}),
        json!({"prompt_tokens": 1000, "completion_tokens": 1, "cached_tokens": 800,
            "prompt_tokens_details": {"cached_tokens": 0}}),
        json!({"prompt_tokens": 1000, "completion_tokens": 1, "prompt_cache_hit_tokens": 800,
            "prompt_tokens_details": {"cached_tokens": 0}}),
    ] {
        let record = json_body(("mistral", "/v1/chat/completions"), &asked(), &json!({"usage": usage}));
        assert_eq!(record.usage.cache_read_tokens, Some(800), "{usage}");
    }
}

#[test]
fn usage_and_errors_inside_a_choice_are_read_of_every_kind_of_completion() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    for (path, text) in [
        ("/v1/chat/completions", json!({"delta": {"content": "Yes."}})),
        ("/v1/completions", json!({"text": "Yes."})),
    ] {
        let chunk = |more: &Value| {
            let mut choice = text.clone();
            choice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"choices": [choice]})
        };
        let told =
            sse(("moonshot", path), &asked(), &[chunk(&json!({"finish_reason": "stop", "usage": usage}))]);
        assert_eq!(counts(&told), (Some(100), Some(10), false), "{path}");
        assert!(!told.usage_estimated, "{path}");
        let failed = sse(("openrouter", path), &asked(), &[chunk(&json!({"error": {"code": 502}}))]);
        assert_eq!((failed.outcome, failed.cost_usd.as_pico()), (Outcome::Error, 0), "{path}");
    }
}

#[test]
fn an_error_in_an_answer_of_status_200_costs_nothing_before_any_output() {
    let busy = json!({"object": "error", "message": "busy", "type": "internal_server_error", "code": "3000"});
    let started = json!({"type": "conversation.response.started", "conversation_id": "c"});
    let stopped = json!({"type": "conversation.response.error", "code": 500, "message": "x"});
    let broke = json!({"status_code": 1_008, "status_msg": "insufficient balance"});
    let mistral = ("mistral", "/v1/chat/completions");
    let nothing = json!({"input_tokens": 0, "output_tokens": 0});
    for (what, record) in [
        ("Mistral's stream", sse(mistral, &asked(), std::slice::from_ref(&busy))),
        ("Mistral", json_body(mistral, &asked(), &busy)),
        (
            "code that is filled in",
            sse(("mistral", "/v1/fim/completions"), &asked(), std::slice::from_ref(&busy)),
        ),
        ("a conversation", sse(("mistral", "/v1/conversations"), &asked(), &[started, stopped])),
        (
            "MiniMax's messages",
            json_body(
                ("minimax", "/anthropic/v1/messages"),
                &asked(),
                &json!({"type": "message", "content": null, "usage": nothing, "base_resp": broke}),
            ),
        ),
        (
            "MiniMax's completions",
            json_body(("minimax", "/v1/completions"), &asked(), &json!({"base_resp": broke})),
        ),
        (
            "MiniMax's images",
            json_body(("minimax", "/v1/images/generations"), &asked(), &json!({"base_resp": broke})),
        ),
    ] {
        assert_eq!(record.outcome, Outcome::Error, "{what}");
        assert_eq!(record.usage.output_tokens.unwrap_or(0), 0, "{what}: {record:?}");
        assert!(!record.usage_estimated && record.notes.contains(&Note::ErrorInStream), "{what}: {record:?}");
    }
    // What had passed before it is paid.
    let chunk = json!({"choices": [{"delta": {"content": "The river begins in the hills."}}]});
    let record = sse(mistral, &asked(), &[chunk, busy]);
    assert_eq!((record.outcome, record.usage_estimated), (Outcome::Error, true));
    assert!(record.usage.output_tokens > Some(5));
    // An answer of MiniMax's that went well says so, too.
    let answer = json!({"usage": {"input_tokens": 7, "output_tokens": 2}, "base_resp": {"status_code": 0}});
    assert_eq!(json_body(("minimax", "/anthropic/v1/messages"), &asked(), &answer).outcome, Outcome::Ok);
}

#[test]
fn what_ranking_used_is_told_by_whatever_is_not_nothing() {
    let rank = |provider: &str, meta: Value| {
        json_body(
            (provider, "/v1/rerank"),
            &json!({"model": "m", "query": "q"}),
            &json!({"results": [], "meta": meta}),
        )
    };
    let zeros = json!({"input_tokens": 0, "output_tokens": 0, "search_units": 0, "classifications": 0});
    let tokens = json!({"input_tokens": 815, "output_tokens": 3});
    for (provider, meta, expected) in [
        ("siliconflow", json!({"billed_units": zeros, "tokens": tokens}), (Some(815), None, None)),
        ("siliconflow", json!({"tokens": tokens}), (Some(815), None, None)),
        ("bedrock", json!({"billed_units": {"search_units": 1}, "tokens": tokens}), (None, None, Some(1))),
        ("cohere", json!({"billed_units": {"search_units": 1}}), (None, None, Some(1))),
        ("cohere", json!({"billed_units": zeros, "tokens": tokens}), (Some(0), Some(0), Some(0))),
    ] {
        let usage = rank(provider, meta.clone()).usage;
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.search_units),
            expected,
            "{provider} {meta}"
        );
    }
    let answer = json!({"results": [], "usage": {"search_units": 1, "total_tokens": 9}});
    let usage = json_body(("openrouter", "/api/v1/rerank"), &asked(), &answer).usage;
    assert_eq!((usage.input_tokens, usage.search_units), (Some(9), Some(1)));
}

#[test]
fn what_vercels_gateway_took_is_told_in_every_api_of_the_ai_sdk() {
    let told = json!({"providerMetadata": {"gateway": {"cost": "0.002"}}});
    for path in [
        "language-model",
        "embedding-model",
        "image-model",
        "reranking-model",
        "speech-model",
        "transcription-model",
    ] {
        let record = json_body(("vercel-gateway", &format!("/v3/ai/{path}")), &asked(), &told);
        let cost = record.provider_cost_usd.map(tollgate_core::money::Picodollars::as_pico);
        assert_eq!((cost, record.cost_usd.as_pico()), (Some(2_000_000_000), 2_000_000_000), "{path}");
    }
}

#[test]
fn what_a_models_code_calls_is_no_output_of_the_model() {
    let start = |name: &str, caller: &str| {
        let block = json!({"type": "server_tool_use", "name": name, "input": {}, "caller": {"type": caller}});
        json!({"type": "content_block_start", "content_block": block})
    };
    let delta = json!({"type": "content_block_delta", "delta": {"partial_json": "{\"code\": \"print(await fetch())\"}"}});
    let text = json!({"type": "content_block_delta", "delta": {"text": "The page explains"}});
    let stop = json!({"type": "content_block_stop"});
    let of = |called: &[Value]| {
        let mut events = vec![start("code_execution", "direct"), delta.clone(), stop.clone()];
        events.extend_from_slice(called);
        events.push(text.clone());
        sse(("anthropic", "/v1/messages"), &asked(), &events).usage.output_tokens.unwrap()
    };
    let alone = of(&[]);
    assert_eq!(of(&[start("web_fetch", "code_execution_20260120"), stop.clone()]), alone);
    assert!(of(&[start("web_fetch", "direct"), stop.clone()]) > alone);
}
