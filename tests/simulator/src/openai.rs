//! OpenAI: chat completions, responses, embeddings.

use base64::Engine as _;

use crate::answer::{Answer, Asked, Kinds, quoted, words};
use crate::ledger::Tokens;
use crate::prices;

/// `POST /v1/chat/completions`, and with other words in its answer `POST /v1/completions`.
pub(crate) fn chat(mut asked: Asked) -> Answer {
    let mut answer = Answer::new(&asked, "openai", "chat");
    let limit = asked.number("max_completion_tokens").or_else(|| asked.number("max_tokens"));
    let mut tokens = asked.tokens(kinds(&asked), limit);
    tokens.output *= asked.answers();
    bill(&mut answer, &asked, tokens);
    let count = asked.events(&tokens);
    let words = words(count, &mut asked.random);
    let usage = with_cost(chat_usage(&tokens), asked.orders.says_usd.as_deref());
    let model = quoted(&answer.served.response_model);
    let tier = quoted(answer.served.service_tier);
    let id = asked.id("chatcmpl-");
    if !asked.flag("stream") {
        let content = quoted(&words.concat());
        return answer.json(format!(
            "{{\n  \"id\": \"{id}\",\n  \"object\": \"chat.completion\",\n  \"created\": 1795400000,\n  \"model\": {model},\n  \"choices\": [\n    {{\n      \"index\": 0,\n      \"message\": {{\n        \"role\": \"assistant\",\n        \"content\": {content},\n        \"refusal\": null,\n        \"annotations\": []\n      }},\n      \"finish_reason\": \"stop\"\n    }}\n  ],\n  \"usage\": {usage},\n  \"service_tier\": {tier},\n  \"system_fingerprint\": null\n}}\n"
        ));
    }
    let with_usage = asked.body.pointer("/stream_options/include_usage").is_some_and(|value| value == true);
    answer.served.reported = with_usage;
    let mut chunk = |choices: &str, usage: &str| {
        let usage = if with_usage { format!(",\"usage\":{usage}") } else { String::new() };
        let padding = "x".repeat(usize::try_from(asked.random.between(0, 14)).unwrap_or(0));
        format!(
            "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":1795400000,\"model\":{model},\"service_tier\":{tier},\"system_fingerprint\":null,\"choices\":[{choices}]{usage},\"obfuscation\":\"{padding}\"}}\n\n"
        )
    };
    let delta = |delta: &str, finish: &str| {
        format!("{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}")
    };
    let mut events =
        vec![chunk(&delta("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null"), "null")];
    for word in &words {
        events.push(chunk(&delta(&format!("\"content\":{}", quoted(word)), "null"), "null"));
    }
    events.push(chunk(&delta("", "\"stop\""), "null"));
    if with_usage {
        events.push(chunk("", &usage));
    }
    events.push("data: [DONE]\n\n".into());
    answer.stream("text/event-stream; charset=utf-8", events).with_fault(
        asked.orders.fault,
        "data: {\"error\":{\"message\":\"simulated error\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
    )
}

/// `POST /v1/responses`.
pub(crate) fn responses(mut asked: Asked) -> Answer {
    let mut answer = Answer::new(&asked, "openai", "responses");
    let limit = asked.number("max_output_tokens");
    let tokens = asked.tokens(kinds(&asked), limit);
    bill(&mut answer, &asked, tokens);
    let count = asked.events(&tokens);
    let words = words(count, &mut asked.random);
    let body = ResponseBody {
        id: asked.id("resp_"),
        message: asked.id("msg_"),
        model: quoted(&answer.served.response_model),
        tier: quoted(answer.served.service_tier),
        instructions: asked.text("instructions").map_or_else(|| "null".into(), quoted),
        text: words.concat(),
        usage: responses_usage(&tokens),
    };
    if !asked.flag("stream") {
        return answer.json(body.completed());
    }
    let mut sequence = 0_u32;
    let mut event = |name: &str, rest: &str| {
        let text =
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{sequence},{rest}}}\n\n");
        sequence += 1;
        text
    };
    let message = &body.message;
    let place = format!("\"item_id\":\"{message}\",\"output_index\":0,\"content_index\":0");
    let whole = quoted(&body.text);
    let part = |text: &str| {
        format!("{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":{text}}}")
    };
    let mut events = vec![
        event("response.created", &format!("\"response\":{}", body.begun())),
        event("response.in_progress", &format!("\"response\":{}", body.begun())),
        event(
            "response.output_item.added",
            &format!(
                "\"output_index\":0,\"item\":{{\"id\":\"{message}\",\"type\":\"message\",\"status\":\"in_progress\",\"content\":[],\"role\":\"assistant\"}}"
            ),
        ),
        event("response.content_part.added", &format!("{place},\"part\":{}", part("\"\""))),
    ];
    for word in &words {
        let delta = quoted(word);
        events.push(event(
            "response.output_text.delta",
            &format!("{place},\"delta\":{delta},\"logprobs\":[],\"obfuscation\":\"xyz\""),
        ));
    }
    events.push(event("response.output_text.done", &format!("{place},\"text\":{whole},\"logprobs\":[]")));
    events.push(event("response.content_part.done", &format!("{place},\"part\":{}", part(&whole))));
    events.push(event("response.output_item.done", &format!("\"output_index\":0,\"item\":{}", body.item())));
    events.push(event("response.completed", &format!("\"response\":{}", body.completed())));
    answer.stream("text/event-stream; charset=utf-8", events).with_fault(
        asked.orders.fault,
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":99,\"code\":\"server_error\",\"message\":\"simulated error\",\"param\":null}\n\n",
    )
}

/// `POST /v1/embeddings`.
pub(crate) fn embeddings(mut asked: Asked) -> Answer {
    let mut answer = Answer::new(&asked, "openai", "embeddings");
    let none = Kinds { writes_cache: false, reasons: false };
    let drawn = asked.tokens(none, None);
    let tokens = Tokens { input: drawn.input, ..Tokens::default() };
    bill(&mut answer, &asked, tokens);
    let model = quoted(&answer.served.response_model);
    let vector: Vec<f32> = (0..64_u16).map(|i| f32::from(i) / 64.0 - 0.5).collect();
    let embedding = if asked.text("encoding_format") == Some("base64") {
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        quoted(&base64::engine::general_purpose::STANDARD.encode(bytes))
    } else {
        serde_json::json!(vector).to_string()
    };
    let input = tokens.input;
    answer.json(format!(
        "{{\n  \"object\": \"list\",\n  \"data\": [\n    {{\n      \"object\": \"embedding\",\n      \"index\": 0,\n      \"embedding\": {embedding}\n    }}\n  ],\n  \"model\": {model},\n  \"usage\": {{\n    \"prompt_tokens\": {input},\n    \"total_tokens\": {input}\n  }}\n}}\n"
    ))
}

struct ResponseBody {
    id: String,
    message: String,
    model: String,
    tier: String,
    instructions: String,
    text: String,
    usage: String,
}

impl ResponseBody {
    fn item(&self) -> String {
        let (message, text) = (&self.message, quoted(&self.text));
        format!(
            "{{\"id\":\"{message}\",\"type\":\"message\",\"status\":\"completed\",\"content\":[{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":{text}}}],\"role\":\"assistant\"}}"
        )
    }

    fn begun(&self) -> String {
        self.with("in_progress", "", "auto", "null")
    }

    fn completed(&self) -> String {
        self.with("completed", &self.item(), self.tier.trim_matches('"'), &self.usage)
    }

    fn with(&self, status: &str, output: &str, tier: &str, usage: &str) -> String {
        let Self { id, model, instructions, .. } = self;
        format!(
            "{{\"id\":\"{id}\",\"object\":\"response\",\"created_at\":1795400000,\"status\":\"{status}\",\"background\":false,\"error\":null,\"incomplete_details\":null,\"instructions\":{instructions},\"max_output_tokens\":null,\"max_tool_calls\":null,\"model\":{model},\"output\":[{output}],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"prompt_cache_key\":null,\"reasoning\":{{\"effort\":null,\"summary\":null}},\"safety_identifier\":null,\"service_tier\":\"{tier}\",\"store\":true,\"temperature\":1.0,\"text\":{{\"format\":{{\"type\":\"text\"}},\"verbosity\":\"medium\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_logprobs\":0,\"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":{usage},\"user\":null,\"metadata\":{{}}}}"
        )
    }
}

fn bill(answer: &mut Answer, asked: &Asked, tokens: Tokens) {
    let model = asked.text("model").unwrap_or_default();
    let tier = asked.text("service_tier").unwrap_or("default");
    // Whoever answers under a name of its own is charged by that, where it has a price.
    let answers = asked.orders.answers.as_deref();
    let charged = answers.filter(|name| prices::model("openai", name, tier).is_some()).unwrap_or(model);
    answer.bill(charged, tier, "default", tokens);
    if let Some(name) = answers {
        answer.served.request_model = model.to_owned();
        answer.served.response_model = name.to_owned();
    }
}

fn kinds(asked: &Asked) -> Kinds {
    let reasons = asked.text("model").is_some_and(|model| model.starts_with("gpt-5"));
    Kinds { writes_cache: false, reasons }
}

fn chat_usage(tokens: &Tokens) -> String {
    let Tokens { input, cache_read, output, reasoning, .. } = tokens;
    let total = input + output;
    format!(
        "{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{total},\"prompt_tokens_details\":{{\"cached_tokens\":{cache_read},\"audio_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning},\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}"
    )
}

/// Says in a usage object what the call cost, as OpenRouter does.
fn with_cost(usage: String, says_usd: Option<&str>) -> String {
    match (says_usd, usage.strip_suffix('}')) {
        (Some(cost), Some(open)) => format!("{open},\"cost\":{cost},\"is_byok\":false}}"),
        _ => usage,
    }
}

fn responses_usage(tokens: &Tokens) -> String {
    let Tokens { input, cache_read, output, reasoning, .. } = tokens;
    let total = input + output;
    format!(
        "{{\"input_tokens\":{input},\"input_tokens_details\":{{\"cached_tokens\":{cache_read}}},\"output_tokens\":{output},\"output_tokens_details\":{{\"reasoning_tokens\":{reasoning}}},\"total_tokens\":{total}}}"
    )
}
