//! The classes: what is sent, and what the provider charges for it.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_simulator::Served;

use crate::raw::{Framing, Raw};

/// A kind of fault with its neighbours, tried against a team's budget.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) team: &'static str,
    /// Dollars.
    pub(super) limit: &'static str,
    /// More keys of the budget.
    pub(super) budget: &'static str,
    pub(super) shots: Vec<Shot>,
    /// So many at once.
    pub(super) at_once: usize,
    pub(super) collector_killed: bool,
    /// A call that passes afterwards, where so much is left.
    pub(super) fits: Option<Shot>,
    pub(super) fits_pico: i128,
    /// What else must be so of each line of the ledger; gives what is not.
    pub(super) check: Option<fn(&Served) -> Option<String>>,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    path: String,
    body: Vec<u8>,
    headers: Vec<(String, String)>,
    /// To the simulator.
    orders: String,
    framing: Framing,
    hang_up: Option<Duration>,
}

impl Shot {
    pub(super) fn raw(&self, team: &str, name: &str) -> Raw {
        let mut headers = self.headers.clone();
        for (header, value) in [
            ("x-sim-call", name),
            ("x-sim", &self.orders),
            ("x-tollgate-run", name),
            ("x-tollgate-team", team),
            ("x-tollgate-agent", "somebody"),
        ] {
            headers.push((header.into(), value.into()));
        }
        let (target, body) = (self.path.clone(), self.body.clone());
        Raw { method: "POST".into(), target, headers, body, framing: self.framing, hang_up: self.hang_up }
    }

    pub(super) fn text(path: &str, body: impl Into<Vec<u8>>, orders: &str) -> Self {
        Self {
            path: path.into(),
            body: body.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            orders: orders.into(),
            framing: Framing::Length,
            hang_up: None,
        }
    }

    pub(super) fn json(path: &str, body: &Value, orders: &str) -> Self {
        Self::text(path, body.to_string(), orders)
    }

    pub(super) fn typed(mut self, content_type: &str) -> Self {
        self.headers = vec![("content-type".into(), content_type.into())];
        self
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        if framing == Framing::Endless {
            self.orders.push_str(";early=1");
            self.hang_up = Some(Duration::from_secs(4));
        }
        self
    }

    fn gone_after(mut self, milliseconds: u64) -> Self {
        self.hang_up = Some(Duration::from_millis(milliseconds));
        self
    }
}

/// A call that costs little.
pub(super) fn small() -> Shot {
    Shot::json(CHAT, &super::small_body(), "input=10;output=5")
}

/// Ten megabytes in chunks, for a budget with room: it waits for a grant, and is not too large for that.
pub(super) fn large() -> Shot {
    let body = json!({"model": "gpt-4.1-mini", "max_completion_tokens": 16, "messages": [user(&"word ".repeat(2_000_000))]});
    Shot::json(CHAT, &body, "input=10;output=5").framed(Framing::Chunked(65_536))
}

pub(super) fn classes() -> Vec<Class> {
    let plain = |name, team, shots| Class {
        name,
        team,
        limit: "0.05",
        budget: "",
        shots,
        at_once: 32,
        collector_killed: false,
        fits: Some(small()),
        fits_pico: 1_000_000_000,
        check: None,
    };
    vec![
        plain("other models are asked for", "models", models()),
        plain("the path names the model", "paths", paths()),
        plain("output limits of other APIs, twice", "limits", limits()),
        Class {
            budget: "default_output_tokens = 64",
            ..plain("the same, with a default limit", "default", limits())
        },
        plain("many prompts, answers, models", "many", many()),
        plain("content that is fetched", "fetched", fetched()),
        plain("bodies that cannot be read", "unread", unread()),
        plain("forms that servers read in other ways", "forms", forms()),
        plain("endpoints spelled otherwise", "spelled", spelled()),
        Class {
            budget: "default_output_tokens = 64",
            check: Some(is_limited_and_metered),
            ..plain("bodies of every framing", "framing", framings())
        },
        plain("work that is charged later", "deferred", deferred()),
        Class {
            fits: Some(cancelled_stream()),
            fits_pico: 42_000_000_000,
            at_once: 1,
            ..plain("answers that break off", "broken", broken())
        },
        Class { limit: "5", ..plain("dear streams that callers leave", "left", vec![cancelled_stream(); 8]) },
        Class { collector_killed: true, ..plain("other models, without a collector", "dark", models()) },
    ]
}

/// Rows of prices come and go with the models that are asked for.
fn models() -> Vec<Shot> {
    let names = [
        "gpt-5.1",
        "o1-pro",
        "gpt-5-pro",
        "GPT-5.1",
        "o3-pro",
        "o1-pro-2025-03-19",
        "made-up-1",
        "made-up-2",
    ];
    names
        .iter()
        .map(|model| {
            let body = json!({"model": model, "max_completion_tokens": 6_000, "messages": [user("hi")]});
            Shot::json(CHAT, &body, GREEDY)
        })
        .collect()
}

fn paths() -> Vec<Shot> {
    let opus = "anthropic.claude-opus-4-1-20250805-v1:0";
    let nova = "amazon.nova-micro-v1:0";
    let messages = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let mut shots = Vec::new();
    for cheap in [json!(nova), json!(format!("us.{nova}")), Value::Null, json!([nova])] {
        let converse = json!({"model": cheap, "modelId": nova, "messages": messages, "inferenceConfig": {"maxTokens": 2_000}});
        shots.push(Shot::json(&format!("/bedrock/model/{opus}/converse"), &converse, GREEDY));
        let invoke = json!({"anthropic_version": "bedrock-2023-05-31", "model": cheap, "max_tokens": 2_000,
            "messages": [user("hi")]});
        shots.push(Shot::json(&format!("/bedrock/model/{opus}/invoke"), &invoke, GREEDY));
        let azure = json!({"model": "gpt-5-nano", "deployment": cheap, "max_completion_tokens": 6_000, "messages": [user("hi")]});
        let path = "/azure/openai/deployments/gpt-5.1/chat/completions?api-version=2024-10-21";
        shots.push(Shot::json(path, &azure, GREEDY));
        let gemini = json!({"model": "models/gemini-2.5-flash-lite", "contents": [{"parts": [{"text": "hi"}]}],
            "generationConfig": {"maxOutputTokens": 6_000, "model": cheap}});
        shots.push(Shot::json(PRO, &gemini, GREEDY));
    }
    shots
}

fn limits() -> Vec<Shot> {
    let chat = |more: &str| {
        let body = format!(r#"{{"model":"gpt-5.1","messages":[{{"role":"user","content":"hi"}}],{more}}}"#);
        Shot::text(CHAT, body, GREEDY)
    };
    let mut shots: Vec<Shot> = [
        r#""max_output_tokens":5"#,
        r#""max_gen_len":5,"maxTokens":5,"max_length":5"#,
        r#""generationConfig":{"maxOutputTokens":5},"inferenceConfig":{"maxTokens":5}"#,
        r#""options":{"num_predict":5},"max_new_tokens":5"#,
        r#""max_completion_tokens":5,"max_completion_tokens":null"#,
        r#""max_tokens":5,"max_tokens":9000"#,
        r#""max_tokens":5,"max_tokens":null"#,
        r#""max\u005ftokens":9000"#,
        r#""metadata":{"max_tokens":"5"},"user":{"max_completion_tokens":5}"#,
        r#""max_completion_tokens":"5""#,
        r#""max_completion_tokens":[5]"#,
        r#""stream":true,"max_output_tokens":5"#,
    ]
    .into_iter()
    .map(chat)
    .collect();
    for more in [
        r#""max_tokens":5"#,
        r#""max_completion_tokens":5"#,
        r#""max_output_tokens":5,"max_output_tokens":null"#,
    ] {
        shots.push(Shot::text(RESPONSES, format!(r#"{{"model":"gpt-5.1","input":"hi",{more}}}"#), GREEDY));
    }
    for more in
        [r#""max_output_tokens":5"#, r#""max_tokens":5,"max_tokens":6000"#, r#""max_tokens_to_sample":5"#]
    {
        let body = format!(
            r#"{{"model":"claude-sonnet-4-6","messages":[{{"role":"user","content":"hi"}}],{more}}}"#
        );
        shots.push(Shot::text(MESSAGES, body, GREEDY));
    }
    for more in [
        r#""max_tokens":5"#,
        r#""maxOutputTokens":5"#,
        r#""generationConfig":{"max_tokens":5}"#,
        r#""generationConfig":{"maxOutputTokens":5},"generationConfig":{"temperature":0}"#,
        r#""generationConfig":{"maxOutputTokens":5,"maxOutputTokens":null}"#,
    ] {
        let body = format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}],{more}}}"#);
        shots.push(Shot::text(PRO, body, GREEDY));
    }
    for more in [
        r#""max_tokens":5"#,
        r#""maxTokens":5"#,
        r#""inferenceConfig":{"maxTokens":5},"inferenceConfig":{}"#,
        r#""inferenceConfig":{"max_tokens":5}"#,
        r#""additionalModelRequestFields":{"max_tokens":5}"#,
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{{"text":"hi"}}]}}],{more}}}"#);
        shots.push(Shot::text(CONVERSE, body, GREEDY));
    }
    shots
}

fn many() -> Vec<Shot> {
    let prompts: Vec<String> = (0..64).map(|number| format!("prompt {number}")).collect();
    let routed = "/openrouter/api/v1/chat/completions";
    let bill = "bill_usd=0.12";
    let messages = json!([user("hi")]);
    let counted = |n: Value| {
        let body = json!({"model": "gpt-5.1", "n": n, "max_completion_tokens": 200, "messages": messages});
        Shot::json(CHAT, &body, GREEDY)
    };
    vec![
        Shot::json(
            CHAT,
            &json!({"model": "gpt-5.1", "n": 64, "max_completion_tokens": 200, "messages": messages}),
            GREEDY,
        ),
        Shot::text(
            CHAT,
            r#"{"n":64,"model":"gpt-5.1","max_completion_tokens":200,"messages":[],"n":64}"#,
            GREEDY,
        ),
        Shot::json(COMPLETIONS, &json!({"model": "gpt-5.1", "prompt": prompts, "max_tokens": 200}), GREEDY),
        Shot::json(
            COMPLETIONS,
            &json!({"model": "gpt-5.1", "prompt": "hi", "best_of": 64, "max_tokens": 200}),
            GREEDY,
        ),
        Shot::json(
            COMPLETIONS,
            &json!({"model": "gpt-5.1", "prompt": prompts, "n": 8, "max_tokens": 100}),
            GREEDY,
        ),
        Shot::json(
            routed,
            &json!({"model": "openai/gpt-5-nano", "models": ["openai/o1-pro"], "max_tokens": 200, "messages": messages}),
            bill,
        ),
        Shot::json(
            routed,
            &json!({"models": ["openai/gpt-5-nano", "openai/o1-pro"], "max_tokens": 200, "messages": messages}),
            bill,
        ),
        Shot::json(routed, &json!({"max_tokens": 200, "messages": messages}), bill),
        Shot::json(
            routed,
            &json!({"model": "openrouter/auto", "max_tokens": 200, "messages": messages}),
            bill,
        ),
        counted(json!(" 64")),
        counted(json!(63.5)),
        counted(json!("1e400")),
        Shot::json(CHAT, &json!({"max_completion_tokens": 200, "messages": messages}), bill),
        Shot::json(RESPONSES, &json!({"max_output_tokens": 200, "input": "hi"}), bill),
    ]
}

/// Its input does not stand in the request: 200,000 tokens of it.
fn fetched() -> Vec<Shot> {
    let chat = |part: Value| {
        let body = json!({"model": "gpt-5.1", "max_completion_tokens": 10, "messages": [{"role": "user", "content": [part]}]});
        Shot::json(CHAT, &body, MUCH)
    };
    let respond = |more: Value| {
        let mut body = json!({"model": "gpt-5.1", "max_output_tokens": 10, "input": "hi"});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Shot::json(RESPONSES, &body, MUCH)
    };
    let output = |content: Value| {
        respond(json!({"input": [{"type": "function_call_output", "call_id": "c", "output": [content]}]}))
    };
    let claude = |content: Value| {
        let body = json!({"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": [{"role": "user", "content": content}]});
        Shot::json(MESSAGES, &body, MUCH)
    };
    let gemini = |contents: Value| {
        Shot::json(PRO, &json!({"contents": contents, "generationConfig": {"maxOutputTokens": 10}}), MUCH)
    };
    let uri = json!({"fileUri": "gs://a/b", "mimeType": "application/pdf"});
    let url = json!({"type": "url", "url": "https://example.com/a.pdf"});
    vec![
        chat(json!({"type": "file", "file": {"file_id": "file-1"}})),
        respond(json!({"prompt": {"id": "pmpt_1"}})),
        respond(json!({"previous_response_id": "resp_1"})),
        respond(json!({"conversation": "conv_1"})),
        respond(json!({"conversation": {"id": "conv_1"}})),
        output(json!({"type": "input_file", "file_url": "https://example.com/a.pdf"})),
        output(json!({"type": "input_file", "file_id": "file-1"})),
        respond(json!({"input": [{"type": "item_reference", "id": "msg_1"}]})),
        claude(json!([{"type": "document", "source": url}])),
        claude(
            json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "document", "source": url}]}]),
        ),
        claude(json!([{"type": "tool_result", "tool_use_id": "t",
            "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]}])),
        gemini(json!([{"parts": [{"fileData": uri}]}])),
        gemini(json!({"parts": {"fileData": uri}})),
        gemini(json!([{"parts": [{"functionResponse": {"name": "f", "parts": [{"fileData": uri}]}}]}])),
        gemini(json!([{"parts": [{"file_data": {"file_uri": "gs://a/b"}}]}])),
        Shot::json(
            PRO,
            &json!({"cachedContent": "cachedContents/1", "contents": [], "generationConfig": {"maxOutputTokens": 10}}),
            MUCH,
        ),
    ]
}

fn unread() -> Vec<Shot> {
    let bill = "bill_usd=0.1";
    let mut shots = Vec::new();
    let chat = json!({"model": "gpt-5.1", "messages": [user("hi")], "max_completion_tokens": 5}).to_string();
    for path in [
        CHAT,
        RESPONSES,
        "/openai/v1/images/generations",
        "/openai/v1/images/edits",
        "/openai/v1/audio/speech",
        "/openai/v1/audio/transcriptions",
        "/openai/v1/embeddings",
        MESSAGES,
        PRO,
        CONVERSE,
        "/openai/v1/something/new",
        "/mistral/v1/ocr",
    ] {
        shots.push(Shot::text(path, "n=1&prompt=a+cat", bill).typed("text/plain"));
        shots.push(Shot::text(path, "\u{1f}\u{8b}no gzip", bill).with("content-encoding", "gzip"));
        shots.push(Shot::text(path, chat.clone(), bill).with("content-encoding", "br"));
        shots.push(Shot::text(path, "[1, 2", bill));
        shots.push(
            Shot::text(path, "--b\r\n\r\nx\r\n--b--\r\n", bill).typed("multipart/form-data; boundary=b"),
        );
    }
    shots.push(Shot::text("/openai/v1/something/new", r#"{"n":1}"#, bill));
    shots.push(Shot::text("/openai/v1/something/new", "", bill));
    shots
}

/// Ten pictures of a dear model in a form of which a careless reader sees one, or another model.
fn forms() -> Vec<Shot> {
    let part =
        |head: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
    let dear = part("name=\"model\"", "gpt-image-1") + &part("name=\"prompt\"", "a cat");
    let cheap = part("name=\"model\"", "gpt-image-1-mini");
    let pad = "p".repeat(5_000);
    let with = |more: String| format!("{dear}{more}--b--\r\n");
    let bodies = [
        with(part(&format!("name=\"n\"\r\nX-Pad: {pad}"), "10")),
        with(part("x=\"; name=junk\"; name=\"n\"; name=\"m\"", "10")),
        with(part("name*=utf-8''n", "10")),
        with(part("name=\"\\n\"", "10")),
        with(part("name=\r\n \"n\"", "10")),
        with(part("name=\"n\"; filename=\"\"", "10")),
        with(part("name=\"n\"", " 10 ")),
        with(part("name=\"n\"", "10.0")),
        with(part("name=\"n\"\r\nContent-Transfer-Encoding: base64", "MTA=")),
        with(part("name=\"n\"", "10")).replace("Disposition:", "Disposition :"),
        with(part("name=\"n\"", "10")).replace("\r\n", "\n"),
        format!("--a\r\n\r\n--a--\r\n{}", with(part("name=\"n\"", "10"))),
        format!("{{\"model\":\"gpt-image-1-mini\"}}\r\n{}", with(part("name=\"n\"", "10"))),
        format!("{cheap}{}", with(part("name=\"n\"", "10"))),
    ];
    let kind = "multipart/form-data; boundary=b";
    let edits = "/openai/v1/images/edits";
    bodies.into_iter().map(|body| Shot::text(edits, body, "bill_usd=0.1").typed(kind)).collect()
}

fn spelled() -> Vec<Shot> {
    let chat = json!({"model": "gpt-5.1", "messages": [user("hi")]});
    let gemini = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let spelled = |path: &str| Shot::json(path, &chat, GREEDY);
    vec![
        spelled("/openai/v1/Chat/Completions"),
        spelled("/openai/V1/CHAT/COMPLETIONS"),
        spelled("/openai/v1/chat/completions;x"),
        spelled("/openai/v1/chat;a=b/completions;x=/y"),
        spelled("/openai//v1//chat//completions/"),
        spelled("/openai/v1/chat/./completions"),
        spelled("/openai/v1/x/../chat/completions"),
        spelled("/openai/v1/%63hat/c%6fmpletions"),
        spelled("/openai/v1/chat%2fcompletions"),
        spelled("/openai/v1/chat/completions?x=/v1/models"),
        spelled("/openai/v1/chat/completions%3b"),
        spelled("/azure/openai/Deployments/gpt-5.1/chat/completions"),
        Shot::json("/gemini/v1beta/models/gemini-2.5-pro:generateContent;x", &gemini, GREEDY),
        Shot::json("/gemini/V1beta/Models/gemini-2.5-pro:generateContent", &gemini, GREEDY),
        Shot::json("/gemini/v1beta/models/gemini-2.5-pro%3AgenerateContent", &gemini, GREEDY),
        Shot::json("/gemini/v1beta/models/gemini-2.5-pro:generateContent/", &gemini, GREEDY),
    ]
}

/// A dear call is refused, and what has no limit gets one and is asked for its usage, in whatever way its end
/// is told.
fn framings() -> Vec<Shot> {
    let framings = [
        Framing::Length,
        Framing::Chunked(7),
        Framing::Chunked(4_000),
        Framing::Endless,
        Framing::Trailers,
        Framing::Upgrade,
        Framing::Http2,
    ];
    let dear = json!({"model": "gpt-5.1", "max_completion_tokens": 9_000, "messages": [user("hi")]});
    let unlimited = json!({"model": "gpt-5.1", "stream": true, "messages": [user("hi")]});
    let claude = json!({"model": "claude-sonnet-4-6", "max_tokens": 9_000, "messages": [user("hi")]});
    let mut shots = Vec::new();
    for framing in framings {
        shots.push(Shot::json(CHAT, &dear, GREEDY).framed(framing));
        shots.push(Shot::json(CHAT, &unlimited, GREEDY).framed(framing));
        shots.push(Shot::json(MESSAGES, &claude, GREEDY).framed(framing));
    }
    shots
}

fn is_limited_and_metered(line: &Served) -> Option<String> {
    let (call, output) = (line.call.as_deref().unwrap_or_default(), line.tokens.output);
    (output > 64 || !line.reported).then(|| {
        format!(
            "{call} had {output} tokens, and was{} asked for usage",
            if line.reported { "" } else { " not" }
        )
    })
}

fn deferred() -> Vec<Shot> {
    let bill = "bill_usd=0.1";
    let body = json!({"model": "gpt-5.1", "input_file_id": "file-1", "prompt": "hi"});
    let mut shots: Vec<Shot> = [
        "/openai/v1/batches",
        "/openai/v1/Batches",
        "/openai/v1/batches;x",
        "/openai/v1//batches/",
        "/openai/v1/b%61tches",
        "/openai/v1/fine_tuning/jobs",
        "/openai/v1/fine-tuning/jobs",
        "/openai/v1/videos",
        "/openai/v1/videos/video_1/remix",
        "/openai/v1/evals",
        "/openai/v1/realtime/calls",
        "/openai/v1/realtime/client_secrets",
        "/openai/v1/realtime/sessions",
        "/openai/v1/threads/runs",
        "/openai/v1/vector_stores",
        "/openai/v1/containers",
        "/anthropic/v1/messages/batches",
        "/anthropic/v1/Messages/Batches",
        "/gemini/v1beta/models/gemini-2.5-pro:batchGenerateContent",
        "/gemini/v1beta/models/veo-3.0-generate-001:predictLongRunning",
        "/gemini/v1alpha/auth_tokens",
        "/gemini/v1beta/cachedContents",
        "/gemini/v1beta/tunedModels",
        "/bedrock/model-invocation-job",
        "/bedrock/async-invoke",
        "/mistral/v1/batch/jobs",
    ]
    .iter()
    .map(|path| Shot::json(path, &body, bill))
    .collect();
    shots.push(Shot::json(
        RESPONSES,
        &json!({"model": "gpt-5.1", "input": "hi", "background": true, "max_output_tokens": 5}),
        bill,
    ));
    shots.push(Shot::text(
        RESPONSES,
        r#"{"model":"gpt-5.1","input":"hi","background":false,"background":true,"max_output_tokens":5}"#,
        bill,
    ));
    shots
}

/// Holds four cents of gpt-5-mini; the caller leaves after a few tokens.
fn cancelled_stream() -> Shot {
    stream("input=100;output=600;events=600;cut=event;delay_ms=10").gone_after(400)
}

fn stream(orders: &str) -> Shot {
    let body = json!({"model": "gpt-5-mini", "stream": true, "max_completion_tokens": 20_000, "messages": [user("hi")]});
    Shot::json(CHAT, &body, orders)
}

fn broken() -> Vec<Shot> {
    let claude =
        json!({"model": "claude-haiku-4-5", "stream": true, "max_tokens": 8_000, "messages": [user("hi")]});
    let gemini =
        json!({"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 15_000}});
    let at = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
    let mut shots = vec![cancelled_stream()];
    for fault in ["error-in-stream", "reset", "close", "malformed", "500", "529"] {
        let orders = format!("input=100;output=40;events=10;cut=event;fault={fault}");
        shots.push(stream(&orders));
        shots.push(Shot::json(MESSAGES, &claude, &orders));
        shots.push(Shot::json(at, &gemini, &orders));
    }
    shots.push(stream("input=100;output=40;fault=hang").gone_after(500));
    shots
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

const CHAT: &str = "/openai/v1/chat/completions";
const COMPLETIONS: &str = "/openai/v1/completions";
const RESPONSES: &str = "/openai/v1/responses";
const MESSAGES: &str = "/anthropic/v1/messages";
const PRO: &str = "/gemini/v1beta/models/gemini-2.5-pro:generateContent";
const CONVERSE: &str = "/bedrock/model/anthropic.claude-opus-4-1-20250805-v1:0/converse";
/// As many tokens as the request allows.
const GREEDY: &str = "input=10;greedy=20000";
/// More input than stands in the request.
const MUCH: &str = "input=200000;output=5";
