//! The tables, row by row, in both forms and at any depth.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::price::bound::{Bound, ModelSize};
use crate::request::RequestMeter;

fn read(body: &str, size: usize) -> RequestBounds {
    let mut meter = RequestMeter::default();
    meter.watch_bounds();
    body.as_bytes().chunks(size.max(1)).for_each(|piece| meter.feed(piece));
    assert!(!meter.is_unreadable(), "{body}");
    meter.bounds().unwrap().clone()
}

fn whole(body: &Value) -> RequestBounds {
    let body = body.to_string();
    read(&body, body.len())
}

/// A document with `value` at `path`: lists where the path has them, or objects in their place, or lists
/// where it has none.
fn at(path: &str, value: Value, form: Form) -> Value {
    path.split('.').rev().fold(value, |inside, step| {
        let key = step.trim_end_matches("[]");
        let upper = key.to_ascii_uppercase();
        let key = match key.strip_prefix('~') {
            Some(_) => upper.trim_start_matches('~'),
            None if key == "*" => "mcpServers",
            None => key,
        };
        let lists = step.len() != key.len();
        let inside = match form {
            Form::AsWritten if lists => json!([inside]),
            Form::Lists => json!([inside]),
            Form::AsWritten | Form::Objects => inside,
        };
        json!({ key: inside })
    })
}

#[derive(Clone, Copy, Debug)]
enum Form {
    AsWritten,
    Objects,
    Lists,
}

/// A value that counts at a place, and whether what was read of it shows that.
fn sample(field: Field) -> (Value, fn(&RequestBounds) -> bool) {
    match field {
        Field::LiftsLimit => (json!(9), |bounds| bounds.lifts_limit),
        Field::Choices => (json!(3), |bounds| bounds.choices == Some(3)),
        Field::Prompt => (json!("hi"), |bounds| bounds.prompts == 1),
        Field::Image => (json!({"format": "png"}), |bounds| bounds.images > 0),
        Field::AudioIn => (json!({"data": "AA"}), |bounds| bounds.audio_in),
        Field::Modalities => (json!("AUDIO"), |bounds| bounds.audio_out),
        Field::CacheControl => (json!({"type": "x"}), |bounds| bounds.cache_write.is_some()),
        Field::CacheTtl => (json!("1h"), |bounds| bounds.cache_write == Some(CacheTtl::OneHour)),
        Field::Speed => (json!("fast"), |bounds| bounds.speed.as_deref() == Some("fast")),
        Field::Geo => (json!("us"), |bounds| bounds.geo.as_deref() == Some("us")),
        Field::Background => (json!(true), |bounds| bounds.background),
        Field::Outside => (json!("id-1"), |bounds| bounds.outside),
        Field::OutsideObject => (json!({"name": "n"}), |bounds| bounds.outside),
        Field::Address => (json!("https://example.com/a.png"), |bounds| bounds.outside),
        Field::Media | Field::Film => (json!("https://example.com/a"), |bounds| bounds.outside),
        Field::OtherTool => (json!([{}]), |bounds| bounds.server_tools),
        Field::SourceType => (json!("url"), |bounds| bounds.outside),
        Field::ItemType => (json!("input_file"), |bounds| bounds.outside),
        Field::MediaType => (json!("application/pdf"), |bounds| bounds.outside),
        Field::ToolType => (json!("web_search_20250305"), |bounds| bounds.server_tools),
        Field::ToolPlace => (json!("container_auto"), |bounds| bounds.server_tools),
        Field::Latency => (json!("optimized"), |bounds| bounds.latency.as_deref() == Some("optimized")),
        Field::InputType => (json!("item_reference"), |bounds| bounds.outside),
        Field::ServerTool => (json!({"url": "x"}), |bounds| bounds.server_tools),
        Field::ServerToolHere => (json!({}), |bounds| bounds.server_tools),
        Field::Prediction => (json!({"content": "hi"}), |bounds| bounds.predicted_bytes > 0),
        Field::Query => (json!("why"), |bounds| bounds.query_bytes > 0),
        Field::Document => (json!("a text"), |bounds| bounds.documents == 1),
        Field::Model => (json!("dear"), |bounds| bounds.models == ["dear"]),
        Field::ToolModel => (json!("adviser"), |bounds| bounds.tool_models == ["adviser"]),
        Field::AnyModel => (json!("p"), |bounds| bounds.any_model),
        // Of these several tell one thing together, which has a test of its own.
        Field::Input | Field::InputItem | Field::InputId | Field::InputRole | Field::InputThought => {
            (Value::Null, |_| true)
        }
        Field::Once(_) | Field::Nothing => (Value::Null, |_| true),
    }
}

#[test]
fn each_member_counts_at_its_place_as_an_object_and_as_a_list() {
    for (path, field) in PLACES {
        let (value, shows) = sample(*field);
        for form in [Form::AsWritten, Form::Objects] {
            // A text alone is one prompt, as it is without being counted.
            let form = if *field == Field::Prompt { Form::AsWritten } else { form };
            let body = at(path, value.clone(), form);
            assert!(shows(&whole(&body)), "{body}");
        }
    }
}

#[test]
fn each_member_that_counts_anywhere_does_so_in_every_form() {
    for (path, field) in ANYWHERE {
        let (value, shows) = sample(*field);
        for form in [Form::AsWritten, Form::Objects, Form::Lists] {
            let member = at(path, value.clone(), form);
            for body in [member.clone(), json!({"messages": [{"content": [{"content": [member]}]}]})] {
                assert!(shows(&whole(&body)), "{body}");
            }
        }
    }
    for ending in ENDINGS {
        let key = format!("any{ending}");
        let body = json!({"contents": {"parts": {"functionResponse": {"parts": [{key: "gs://bucket/x"}]}}}});
        assert!(whole(&body).outside, "{body}");
    }
}

/// Every place that is known by itself, and every one around it.
fn known_places() -> Vec<String> {
    let known =
        crate::request::places().into_iter().map(|(path, ..)| path).chain(places().map(|(path, ..)| path));
    let mut all: Vec<String> = Vec::new();
    for path in known.filter(|path| !SKIPPED.contains(path) && !OWN_TOOLS.contains(path)) {
        let steps: Vec<&str> = path.split('.').filter(|step| *step != "**").collect();
        for depth in 1..=steps.len() {
            let around = steps[..depth].join(".");
            if !all.contains(&around) {
                all.push(around);
            }
        }
    }
    all
}

/// No place that is known by itself hides what counts anywhere: not at it, not in it, not beside it.
#[test]
fn a_known_place_hides_nothing_that_counts_anywhere() {
    for around in known_places() {
        for (path, field) in ANYWHERE {
            let (value, shows) = sample(*field);
            for form in [Form::AsWritten, Form::Objects, Form::Lists] {
                let body = at(&around, at(path, value.clone(), form), form);
                let bounds = whole(&body);
                // Who asks for a tool of the provider's, or is refused, is held for more than that.
                let is_more = bounds.server_tools || bounds.ambiguous().is_some();
                assert!(is_more || shows(&bounds), "{body}");
            }
        }
    }
}

/// Found through an Envoy: the places where Google's requests say of what kind a picture is had no rule, and
/// hid the one for any depth.
#[test]
fn what_is_sent_inline_at_its_usual_place_is_held_by_its_kind() {
    for (kind, expected) in [
        ("video/mp4", true),
        ("application/pdf", true),
        ("VIDEO/MP4", true),
        ("image/png", false),
        ("audio/mp3", false),
        ("text/plain", false),
    ] {
        for (key, kind_key) in
            [("inlineData", "mimeType"), ("inline_data", "mime_type"), ("inlineData", "mime_type")]
        {
            let part = json!({key: {kind_key: kind, "data": "AAAA"}});
            for contents in [
                json!([{"role": "user", "parts": [part]}]),
                json!({"role": "user", "parts": part}),
                json!([{"parts": part}]),
            ] {
                for body in [json!({"contents": contents}), json!({"systemInstruction": contents})] {
                    let bounds = whole(&body);
                    assert_eq!((bounds.outside, bounds.images), (expected, 1), "{body}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_outside_where_all_of_it_is_in_the_request() {
    for body in [
        json!({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]}),
        json!({"messages": [{"content": [{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(40_000))}}]}]}),
        json!({"messages": [{"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]}]}),
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA"}}]}]}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"file_id": {"type": "string"}, "image_url": {"type": "string"}}}}}]}),
        json!({"tools": [{"name": "f", "input_schema": {"properties": {"file": {"type": "object"}}}}]}),
        json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"properties": {"uri": {"type": "string"}}}}]}]}),
        json!({"metadata": {"file_id": "mine"}, "previous_response_id": null, "mcp_servers": [], "plugins": []}),
    ] {
        let bounds = whole(&body);
        assert!(!bounds.outside && !bounds.server_tools, "{body}");
    }
}

#[test]
fn caches_that_gateways_before_a_provider_are_asked_for_count() {
    for (body, expected) in [
        (json!({"providerOptions": {"gateway": {"caching": "auto"}}}), Some(CacheTtl::FiveMinutes)),
        (json!({"cache_control_injection_points": [{"location": "message"}]}), Some(CacheTtl::FiveMinutes)),
        (
            json!({"tools": [{"name": "x", "providerOptions": {"anthropic": {"cacheControl": {"ttl": "1h"}}}}]}),
            Some(CacheTtl::OneHour),
        ),
        (json!({"providerOptions": {"gateway": {"order": ["anthropic"]}}}), None),
    ] {
        assert_eq!(whole(&body).cache_write, expected, "{body}");
    }
}

#[test]
fn an_item_that_is_named_by_its_id_alone_is_outside() {
    for (item, expected) in [
        (json!({"id": "msg_123"}), true),
        (json!({"type": null, "role": null, "id": "msg_123"}), true),
        (json!({"id": "msg_1", "status": "completed"}), true),
        (json!({"type": "item_reference", "id": "msg_1"}), true),
        (json!({"type": "reasoning", "id": "rs_1", "summary": []}), true),
        (json!({"encrypted_content": "AA", "id": "rs_1", "type": "reasoning"}), false),
        (json!({"type": "web_search_call", "id": "ws_1", "status": "completed"}), true),
        (
            json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}),
            false,
        ),
        (
            json!({"id": "fc_1", "type": "function_call", "arguments": "{}", "name": "f", "call_id": "c"}),
            false,
        ),
        (json!({"role": "user", "content": "hi"}), false),
        (json!("hi"), false),
    ] {
        for items in
            [json!([item]), json!([{"role": "user", "content": "a"}, item, {"role": "user", "content": "b"}])]
        {
            let body = json!({"model": "m", "input": items}).to_string();
            for size in [1, 9, body.len()] {
                assert_eq!(read(&body, size).outside, expected, "{body}");
            }
        }
    }
}

#[test]
fn a_tool_that_is_not_known_to_be_the_callers_own_is_the_providers() {
    for (tool, expected) in [
        (json!({"type": "function"}), false),
        (json!({"type": "custom", "name": "x"}), false),
        (json!({"name": "x", "input_schema": {"type": "object"}}), false),
        (json!({"type": "computer_use_preview"}), false),
        (json!({"type": "computer_20250124"}), false),
        (json!({"type": "text_editor_20250728"}), false),
        (json!({"type": "bash_20250124"}), false),
        (json!({"type": "local_shell"}), false),
        (json!({"type": "shell"}), false),
        (json!({"type": "shell", "environment": {"type": "local"}}), false),
        (json!({"type": "shell", "environment": {"type": "container_auto"}}), true),
        (json!({"type": "shell", "environment": "container_auto"}), true),
        (json!({"environment": {"type": "container_reference", "container_id": "c"}, "type": "shell"}), true),
        (json!({"type": "function_search_hosted"}), true),
        (json!({"type": "memory_bank"}), true),
        (json!({"type": "namespace", "tools": [{"type": "web_search"}]}), true),
        (json!({"type": "brand_new"}), true),
        (json!({"type": 5}), true),
        (json!({"type": "computer_use_preview", "environment": "browser", "display_width": 9}), false),
        (json!({"mcpServers": [{"name": "x", "streamableHttpTransport": {"url": "https://x"}}]}), true),
        (json!({"mcp_servers": {"x": 1}}), true),
        (json!({"googleSearch": {}}), true),
        (json!({"url_context": {}}), true),
        (json!({"yetToCome": {}}), true),
        (json!({"functionDeclarations": [{"name": "f"}], "googleMaps": {}}), true),
        (json!({"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}), false),
        (json!({"function_declarations": [{"name": "f", "response": {}}]}), false),
        (json!({"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}), false),
        (
            json!({"name": "x", "description": "d", "input_schema": {}, "cache_control": {"type": "ephemeral"}}),
            false,
        ),
        (
            json!({"name": "x", "input_schema": {}, "strict": true, "input_examples": [{}], "allowed_callers": ["direct"]}),
            false,
        ),
        (json!({"name": "x", "parameter_definitions": {"a": {"type": "str"}}}), false),
        (
            json!({"type": "function", "name": "x", "parameters": {}, "strict": true, "defer_loading": false}),
            false,
        ),
        (json!({"type": "function", "function": {"name": "x", "parameters": {}}, "version": 3}), false),
        (json!({"type": "custom", "custom": {"name": "x", "format": {"type": "grammar"}}}), false),
        (json!({"type": "custom", "name": "x", "format": {"type": "text"}}), false),
        (json!({"type": "function", "name": "x", "inputSchema": {"jsonSchema": {}}}), false),
        (json!({"googleSearch": null}), false),
        (json!({"type": "function", "name": "x", "providerOptions": {"anthropic": {"a": {}}}}), false),
    ] {
        for tools in [json!([tool]), json!([{"type": "function"}, tool]), tool] {
            let body = json!({"model": "m", "tools": tools});
            assert_eq!(whole(&body).server_tools, expected, "{body}");
        }
    }
    for (tool, expected) in [
        (json!({"toolSpec": {"name": "x", "description": "d", "inputSchema": {"json": {}}}}), false),
        (json!({"cachePoint": {"type": "default"}}), false),
        (json!({"systemTool": {"name": "nova_grounding"}}), true),
        (json!({"yetToCome": {}}), true),
    ] {
        let body = json!({"toolConfig": {"tools": [tool], "toolChoice": {"auto": {}}}});
        assert_eq!(whole(&body).server_tools, expected, "{body}");
    }
}

/// What is stored elsewhere, or fetched, has no bound in the request.
#[test]
fn conversations_and_sound_from_elsewhere_are_outside() {
    let long = "A".repeat(40_000);
    let parts = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (body, expected) in [
        (json!({"message": "hi", "conversation_id": "c1"}), true),
        (json!({"message": "hi", "conversation_id": null}), false),
        (json!({"input": {"id": "msg_1"}}), true),
        (json!({"input": {"id": "msg_1", "role": "user", "content": "hi"}}), false),
        (json!({"input": {"type": "item_reference", "id": "msg_1"}}), true),
        (json!({"input": {"role": "user", "content": "hi"}}), false),
        (json!({"input": "hi"}), false),
        (json!({"input": ["a", "b"]}), false),
        (parts(json!({"type": "input_audio", "input_audio": "https://x/a.mp3"})), true),
        (parts(json!({"type": "input_audio", "input_audio": format!("https://x/{long}")})), true),
        (parts(json!({"type": "input_audio", "input_audio": {"data": "https://x/a.mp3"}})), true),
        (parts(json!({"type": "input_audio", "input_audio": {"data": format!("gs://x/{long}")}})), true),
        (parts(json!({"type": "input_audio", "input_audio": [{"data": "HTTPS://x/a.mp3"}]})), true),
        (parts(json!({"type": "input_audio", "input_audio": {"data": "UklGRg=="}})), false),
        (parts(json!({"type": "input_audio", "input_audio": {"data": long}})), false),
        (parts(json!({"type": "input_audio", "input_audio": "UklGRg=="})), false),
        (parts(json!({"type": "input_audio", "input_audio": {"data": "data:;base64,UklGRg=="}})), false),
        (parts(json!({"audio": "https://x/a.mp3"})), true),
        (parts(json!({"video": "https://x/a.mp4"})), true),
        (parts(json!({"video": ["https://x/1.png"]})), true),
        (json!({"modalities": ["text"], "audio": {"voice": "alloy", "format": "wav"}}), false),
    ] {
        let text = body.to_string();
        for size in [1, 7, text.len()] {
            assert_eq!(read(&text, size).outside, expected, "{}", &text[..text.len().min(200)]);
        }
    }
    let escaped = r#"{"messages":[{"content":[{"input_audio":{"data":"\u0068ttps://x/a.mp3"}}]}]}"#;
    assert!(read(escaped, 5).outside);
    for (provider, path, expected) in [
        ("mistral", "/v1/conversations/c1", true),
        ("mistral", "/v1/conversations/c1/restart", true),
        ("mistral", "/v1/conversations", false),
    ] {
        let target = Target::recognise(Some(provider), "", path);
        let bound = Bound::of(&whole(&json!({"max_tokens": 5})), &target, 9, ModelSize::default());
        assert_eq!(bound.unbounded.contains(&"input_outside_of_the_request"), expected, "{path}");
    }
}

/// What packs a conversation has no limit, whatever stands in its request.
#[test]
fn no_limit_counts_where_the_api_has_none() {
    for (path, expected) in
        [("/v1/responses", Some(5)), ("/v1/responses/compact", None), ("/V1/Responses/Compact", None)]
    {
        let target = Target::recognise(Some("openai"), "", path);
        assert_eq!(whole(&json!({"max_output_tokens": 5})).output_limit(&target), expected, "{path}");
    }
}

#[test]
fn an_output_limit_counts_under_the_names_that_its_api_knows() {
    let limit = |provider: &str, path: &str, body: &Value| {
        let target = Target::recognise(Some(provider), "", path);
        whole(body).output_limit(&target)
    };
    const CHAT: &str = "/v1/chat/completions";
    const GEMINI: &str = "/v1beta/models/g:generateContent";
    for (provider, path, member, expected) in [
        ("openai", CHAT, "max_tokens", true),
        ("openai", CHAT, "max_completion_tokens", true),
        ("openai", CHAT, "max_output_tokens", false),
        ("openai", CHAT, "max_gen_len", false),
        ("openrouter", CHAT, "max_gen_len", false),
        ("openrouter", CHAT, "max_completion_tokens", true),
        ("mistral", CHAT, "max_tokens", true),
        ("mistral", CHAT, "max_completion_tokens", false),
        ("deepseek", CHAT, "max_completion_tokens", false),
        ("openai", "/v1/completions", "max_tokens", true),
        ("openai", "/v1/completions", "max_completion_tokens", false),
        ("anthropic", "/v1/complete", "max_tokens_to_sample", true),
        ("openai", "/v1/responses", "max_output_tokens", true),
        ("openai", "/v1/responses", "max_tokens", false),
        ("anthropic", "/v1/messages", "max_tokens", true),
        ("anthropic", "/v1/messages", "max_output_tokens", false),
        ("gemini", GEMINI, "generationConfig.maxOutputTokens", true),
        ("gemini", GEMINI, "generationConfig.max_output_tokens", true),
        ("gemini", GEMINI, "generation_config.maxOutputTokens", true),
        ("gemini", GEMINI, "generation_config.max_output_tokens", true),
        ("gemini", GEMINI, "max_tokens", false),
        ("gemini", GEMINI, "maxOutputTokens", false),
        ("gemini", "/v1beta/interactions", "generation_config.max_output_tokens", true),
        ("gemini", "/v1beta/interactions", "max_output_tokens", false),
        ("bedrock", "/model/m/converse", "inferenceConfig.maxTokens", true),
        ("bedrock", "/model/m/converse", "max_tokens", false),
        ("bedrock", "/model/m/converse", "maxTokens", false),
        ("bedrock", "/model/m/converse", "inferenceConfig.max_new_tokens", false),
        ("bedrock", "/model/us.anthropic.c/invoke", "max_tokens", true),
        ("bedrock", "/model/us.anthropic.c/invoke", "max_tokens_to_sample", true),
        ("bedrock", "/model/us.anthropic.c/invoke", "max_gen_len", false),
        ("bedrock", "/model/amazon.nova-pro/invoke", "inferenceConfig.max_new_tokens", true),
        ("bedrock", "/model/amazon.nova-pro/invoke", "inferenceConfig.maxTokens", true),
        ("bedrock", "/model/amazon.nova-pro/invoke", "max_tokens", false),
        ("bedrock", "/model/amazon.titan-text/invoke", "textGenerationConfig.maxTokenCount", true),
        ("bedrock", "/model/meta.llama3/invoke", "max_gen_len", true),
        ("bedrock", "/model/meta.llama3/invoke", "max_tokens", false),
        ("bedrock", "/model/ai21.j2-ultra/invoke", "maxTokens", true),
        ("bedrock", "/model/ai21.jamba/invoke", "max_tokens", true),
        ("bedrock", "/model/mistral.m/invoke", "max_tokens", true),
        ("bedrock", "/model/cohere.c/invoke", "max_tokens", true),
        ("cohere", "/v2/chat", "max_tokens", true),
        ("cohere", "/v2/chat", "max_output_tokens", false),
        ("ollama", "/api/chat", "options.num_predict", true),
        ("ollama", "/api/chat", "max_tokens", false),
        ("ollama", "/api/chat", "OPTIONS.num_predict", true),
        ("ollama", "/api/chat", "options.Num_Predict", false),
        ("ollama", "/api/chat", "OPTIONS.NUM_PREDICT", false),
        ("ollama", CHAT, "max_tokens", true),
        ("ollama", CHAT, "Max_Tokens", true),
        ("ollama", CHAT, "max_completion_tokens", false),
        ("openai", CHAT, "Max_Tokens", false),
        ("openai", CHAT, "MAX_COMPLETION_TOKENS", false),
        ("huggingface", "/hf-inference/models/o/m", "parameters.max_new_tokens", true),
        ("huggingface", "/hf-inference/models/o/m", "max_new_tokens", false),
    ] {
        let body = at(member, json!(5), Form::AsWritten);
        assert_eq!(limit(provider, path, &body), expected.then_some(5), "{provider} {path} {body}");
        for none in [json!(null), json!(0), json!(-1), json!(1.5), json!({}), json!("many")] {
            let body = at(member, none, Form::AsWritten);
            assert_eq!(limit(provider, path, &body), None, "{provider} {path} {body}");
        }
        if expected {
            // In another place than its own it is none.
            let elsewhere = json!({"messages": [at(member, json!(5), Form::AsWritten)]});
            assert_eq!(limit(provider, path, &elsewhere), None, "{provider} {path} {elsewhere}");
        }
    }
}

/// What Converse hands on to a model may lift the limit that stands beside it: no limit counts then, and none
/// is written.
#[test]
fn members_that_go_past_the_api_to_a_model_lift_its_limit_wherever_they_stand() {
    let target = Target::recognise(Some("bedrock"), "", "/model/m/converse");
    for (fields, is_lifted) in [
        (json!({"max_tokens": 12_000}), true),
        (json!({"max_output_tokens": 9_000}), true),
        (json!({"maxOutputTokens": 9_000}), true),
        (json!({"max_completion_tokens": 9_000}), true),
        (json!({"max_gen_len": 9_000}), true),
        (json!({"max_length": 9_000}), true),
        (json!({"n_predict": 9_000}), true),
        (json!({"generation_limit": 9_000}), true),
        (json!({"parameters": {"max_new_tokens": 9_000}}), true),
        (json!({"a": [{"b": {"textGenerationConfig": {"maxTokenCount": 9_000}}}]}), true),
        (json!({"inferenceConfig": {"maxTokens": 9_000}}), true),
        (json!("{\"max_tokens\":9000}"), true),
        (json!({"max_tokens": null}), false),
        (json!({"top_k": 5, "anthropic_beta": ["x"], "inferenceConfig": {"topK": 5}}), false),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 4_000}}), false),
        (json!({}), false),
    ] {
        let body = json!({"inferenceConfig": {"maxTokens": 5}, "additionalModelRequestFields": fields});
        for size in [1, 7, 1_000] {
            let mut bounds = read(&body.to_string(), size);
            assert_eq!(bounds.ambiguous(), None, "{body}");
            let expected = (!is_lifted).then_some(5);
            assert_eq!(bounds.output_limit(&target), expected, "{body}");
            assert_eq!(bounds.can_be_limited(), !is_lifted, "{body}");
            bounds.limit_output(Some(3));
            assert_eq!(
                bounds.output_limit(&target),
                (!is_lifted).then_some(3),
                "a written limit hides no lift"
            );
        }
    }
    let list = json!({"additionalModelRequestFields": [{"max_tokens": 9_000}]});
    assert!(whole(&list).ambiguous().is_some(), "a list of them is refused");
    // The same members elsewhere are a caller's own.
    let own = json!({"inferenceConfig": {"maxTokens": 5}, "messages": [{"content": [{"toolUse": {"input": {"max_tokens": 9}}}]}]});
    assert_eq!(whole(&own).output_limit(&target), Some(5));
}

#[test]
fn what_may_stand_once_and_stands_twice_is_ambiguous_in_every_spelling() {
    for (path, ..) in ONCE.iter().filter(|(path, ..)| !path.contains('~')) {
        let (outer, inner) =
            path.split_once('.').map_or((*path, None), |(outer, inner)| (outer, Some(inner)));
        let value =
            |text: &str| inner.map_or_else(|| text.to_owned(), |inner| format!("{{\"{inner}\":{text}}}"));
        let escaped: String = outer.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect();
        for (first, second) in [("1", "2"), ("1", "null"), ("null", "1")] {
            for again in [outer, &escaped] {
                let body = format!("{{\"{outer}\":{},\"{again}\":{}}}", value(first), value(second));
                for size in [1, 5, body.len()] {
                    assert!(read(&body, size).ambiguous().is_some(), "{body}");
                }
            }
        }
        let once = format!("{{\"{outer}\":{},\"x\":{{\"{outer}\":1}}}}", value("1"));
        assert_eq!(read(&once, 9).ambiguous(), None, "{once}");
    }
    for body in [
        r#"{"generationConfig":{},"generation_config":{}}"#,
        r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#,
        r#"{"inferenceConfig":[{"maxTokens":1},{"maxTokens":9}]}"#,
        r#"{"model":["a","b"]}"#,
        r#"{"model":"a","Model":"b"}"#,
        r#"{"MODEL":"a","Model":"b"}"#,
        r#"{"STREAM":true,"stream":false}"#,
        r#"{"max_tokens":5,"Max_Tokens":50000}"#,
        r#"{"options":{"num_predict":5},"OPTIONS":{"num_predict":50000}}"#,
        r#"{"options":{"num_predict":5},"oPtions":{}}"#,
        r#"{"options":{"num_predict":5,"Num_Predict":50000}}"#,
        r#"{"Options":{"num_predict":5,"Num_Predict":50000}}"#,
        r#"{"\u004fptions":{"num_predict":5},"options":{"num_predict":50000}}"#,
    ] {
        assert!(read(body, 4).ambiguous().is_some_and(|key| !key.contains('~')), "{body}");
    }
    // What would be written in the letters of the API may be undone by what stands behind it.
    assert!(!read(r#"{"OPTIONS":null}"#, 4).can_be_limited());
}

#[test]
fn a_task_is_held_at_the_limit_that_it_says() {
    let target = Target::recognise(Some("huggingface"), "", "/hf-inference/models/o/m");
    for (body, expected) in [
        (json!({"inputs": "hi", "parameters": {"max_new_tokens": 30_000}}), 30_000),
        (json!({"inputs": ["a", "b"], "parameters": {"max_new_tokens": 30_000}}), 60_000),
        (json!({"inputs": "hi", "parameters": {"max_new_tokens": 20, "num_return_sequences": 4}}), 80),
        (json!({"inputs": "hi", "parameters": {}}), 4_096),
    ] {
        let bound = Bound::of(&whole(&body), &target, 9, ModelSize::default());
        assert_eq!((bound.output_tokens, bound.is_bounded()), (expected, expected != 4_096), "{body}");
    }
}

#[test]
fn many_prompts_and_choices_in_one_request_count_as_many() {
    let output = |path: &str, body: &Value| {
        let target = Target::recognise(Some("openai"), "", path);
        Bound::of(&whole(body), &target, 100, ModelSize { output_tokens: Some(7), ..ModelSize::default() })
            .output_tokens
    };
    for (path, body, expected) in [
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 5}), 5),
        ("/v1/completions", json!({"prompt": ["a", "b", "c"], "max_tokens": 5}), 15),
        ("/v1/completions", json!({"prompt": [1, 2, 3], "max_tokens": 5}), 5),
        ("/v1/completions", json!({"prompt": [[1, 2], [3]], "max_tokens": 5, "n": 2}), 20),
        ("/v1/completions", json!({"prompt": ["a", "b"], "max_tokens": 5, "n": 2, "best_of": 4}), 40),
        ("/v1/chat/completions", json!({"max_tokens": 5, "n": 128}), 640),
        ("/v1/generate", json!({"prompt": "a", "max_tokens": 5, "num_generations": 5}), 25),
        (
            "/v1beta/models/g:generateContent",
            json!({"generationConfig": {"maxOutputTokens": 5, "candidateCount": 8}}),
            40,
        ),
        ("/v1beta/models/g:batchEmbedContents", json!({"requests": [{}, {}]}), 0),
    ] {
        assert_eq!(output(path, &body), expected, "{path} {body}");
    }
    let target = Target::recognise(Some("vertex"), "", "/v1/publishers/google/models/imagen:predict");
    let body = json!({"instances": [{"prompt": "a"}, {"prompt": "b"}], "parameters": {"sampleCount": 4}});
    let bound = Bound::of(&whole(&body), &target, 100, ModelSize::default());
    assert_eq!(bound.held.unwrap().images, 8);
}

/// Found by fuzzing: what stood behind a long key counted as if it stood outside, where the key came in
/// pieces or had an escape in it.
#[test]
fn what_stands_behind_a_long_key_is_at_no_place_of_its_own() {
    let target = Target::recognise(Some("openai"), "", "/v1/chat/completions");
    let long = "k".repeat(80);
    for key in [long.clone(), format!("\\u006b{long}"), format!("{long}_url")] {
        let inside = json!({"max_tokens": 1, "model": "cheap", "part": {"file_id": "f"}});
        let body = format!(r#"{{"{key}":{inside},"model":"dear"}}"#);
        for size in [1, 7, 64, body.len()] {
            let bounds = read(&body, size);
            assert_eq!((bounds.output_limit(&target), bounds.ambiguous()), (None, None), "{body} by {size}");
            assert!(bounds.outside, "{body} by {size}");
        }
    }
}

#[test]
fn a_count_that_lenient_servers_read_counts() {
    for (value, expected) in [
        (json!(" 10"), 10),
        (json!("10"), 10),
        (json!(9.2), 10),
        (json!("1e400"), u64::MAX),
        (json!(1e300), u64::MAX),
        (json!(-4), 1),
        (json!("many"), 1),
        (json!(true), 1),
    ] {
        for path in ["n", "best_of"] {
            let body = at(path, value.clone(), Form::AsWritten);
            assert_eq!(whole(&body).answers(), expected, "{body}");
        }
    }
    let huge = format!(r#"{{"n":1{}}}"#, "0".repeat(30));
    assert_eq!(read(&huge, 3).answers(), u64::MAX);
}

#[test]
fn what_is_embedded_or_ranked_is_held_text_by_text() {
    let held = |path: &str, body: &Value| {
        let target = Target::recognise(Some("openai"), "", path);
        let size = ModelSize { context_tokens: Some(500), ..ModelSize::default() };
        Bound::of(&whole(body), &target, 10_000, size).input_tokens
    };
    let texts = |key: &str| json!({key: ["a", "b", "c", "d"]});
    for (path, body, windows) in [
        ("/v1/embeddings", texts("input"), 4),
        ("/v1/embeddings", json!({"input": "a"}), 1),
        ("/v1/embeddings", json!({"input": [1, 2, 3]}), 1),
        ("/v1/embeddings", json!({"input": [[1, 2], [3]]}), 2),
        ("/v2/embed", texts("texts"), 4),
        ("/v2/embed", json!({"inputs": [{"content": []}, {"content": []}]}), 2),
        ("/v2/embed", texts("images"), 4),
        ("/v1/rerank", json!({"query": "q", "documents": ["a", "b", "c"]}), 3),
        ("/v1/chat/completions", json!({"documents": ["a", "b"], "max_tokens": 1}), 1),
    ] {
        assert_eq!(held(path, &body), 500 * windows, "{path} {body}");
    }
    let target = Target::recognise(Some("voyage"), "", "/v1/rerank");
    let ranked = |documents: usize| {
        let body = json!({"query": "q".repeat(100), "documents": vec!["d"; documents]});
        Bound::of(&whole(&body), &target, 1_000, ModelSize::default()).input_tokens
    };
    assert_eq!(ranked(40) - ranked(1), 39 * 100, "the query is read with each document");
}

#[test]
fn models_that_may_answer_besides_are_read() {
    for (body, expected, any) in [
        (json!({"models": ["a", "b"]}), vec!["a", "b"], false),
        (json!({"models": "a"}), vec!["a"], false),
        (json!({"fallbacks": [{"model": "a"}, "b"]}), vec!["a", "b"], false),
        (json!({"fallbacks": {"model": "a"}}), vec!["a"], false),
        (json!({"providerOptions": {"gateway": {"models": ["a"]}}}), vec!["a"], false),
        (json!({"models": ["x".repeat(300)]}), vec![], true),
        (
            json!({"models": (0..20).map(|number| number.to_string()).collect::<Vec<_>>()}),
            vec!["0", "1", "2", "3", "4", "5", "6", "7"],
            true,
        ),
        (json!({"preset": "mine"}), vec![], true),
    ] {
        let bounds = whole(&body);
        assert_eq!(
            (bounds.other_models(), bounds.may_be_any_model()),
            (&expected.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], any),
            "{body}"
        );
    }
}

#[test]
fn what_stands_too_deep_to_be_read_is_outside() {
    let deep = |levels: usize| format!("{}1{}", "{\"a\":[".repeat(levels), "]}".repeat(levels));
    assert!(!read(&deep(40), 7).outside);
    assert!(read(&deep(60), 7).outside);
    assert!(read(&deep(100_000), 4_096).outside);
}

fn wrapped(levels: Vec<(bool, String)>, member: Value) -> Value {
    levels.into_iter().fold(member, |inside, (is_list, key)| match is_list {
        true => json!({ key: [1, inside, "x"] }),
        false => json!({ key: inside }),
    })
}

proptest! {
    /// A member that counts anywhere is found whatever is around it, known places too, in both forms and at
    /// every cut.
    #[test]
    fn members_are_found_at_any_depth_in_any_form(
        row in 0..ANYWHERE.len(),
        form in prop::sample::select(&[Form::AsWritten, Form::Objects, Form::Lists][..]),
        levels in prop::collection::vec((any::<bool>(), prop::sample::select(KEYS)), 0..20),
        around in prop::option::of(prop::sample::select(known_places())),
        size in 1usize..40,
    ) {
        let (path, field) = ANYWHERE[row];
        let (value, shows) = sample(field);
        let levels = levels.into_iter().map(|(is_list, key)| (is_list, key.to_owned())).collect();
        let inside = wrapped(levels, at(path, value, form));
        let body = around.map_or_else(|| inside.clone(), |around| at(&around, inside.clone(), form)).to_string();
        let bounds = read(&body, size);
        let is_more = bounds.server_tools || bounds.ambiguous().is_some();
        prop_assert!(is_more || shows(&bounds), "{}", body);
    }
}

/// Keys around a member: known and unknown, of messages, tools' results and configurations. None of them is
/// skipped at the top.
const KEYS: &[&str] = &[
    "messages",
    "content",
    "contents",
    "parts",
    "input",
    "output",
    "tool_result",
    "toolResult",
    "functionResponse",
    "response",
    "system",
    "systemInstruction",
    "instances",
    "x",
    "options",
    "items",
    "prompt",
    "data",
];

#[test]
fn a_limit_that_is_a_text_counts_at_google_alone() {
    for (provider, path, member, expected) in [
        ("openai", "/v1/chat/completions", "max_completion_tokens", None),
        ("anthropic", "/v1/messages", "max_tokens", None),
        ("bedrock", "/model/m/converse", "inferenceConfig.maxTokens", None),
        ("gemini", "/v1beta/models/g:generateContent", "generationConfig.maxOutputTokens", Some(7)),
    ] {
        let target = Target::recognise(Some(provider), "", path);
        let body = at(member, json!("7"), Form::AsWritten);
        assert_eq!(whole(&body).output_limit(&target), expected, "{provider} {member}");
    }
}
