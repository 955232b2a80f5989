//! Sessions over a websocket: OpenAI's Realtime and Responses, Google's Live. Each question is a turn, with a
//! line of its own in the ledger.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::ledger::{Received, Served, Tokens};
use crate::prices;
use crate::random::Random;
use crate::server::Shared;
use crate::websocket::{Messages, PONG, frames};

/// The model that answers.
pub(crate) const MODEL: &str = "gpt-realtime";

/// Talks with a caller until it leaves. The call's name with `-1`, `-2`, … is that of its turns.
pub(crate) async fn session(
    request: Request<Incoming>,
    received: Received,
    call: Option<String>,
    mut random: Random,
    shared: Arc<Shared>,
) -> Option<()> {
    let api = Api::of(&received.path);
    let mut model = MODEL.to_owned();
    let mut socket = TokioIo::new(hyper::upgrade::on(request).await.ok()?);
    let mut messages = Messages::default();
    if api == Api::Realtime {
        let created = json!({"type": "session.created", "session": {"id": "sess_1", "model": MODEL}});
        socket.write_all(&frames(&created.to_string(), 4_000, None)).await.ok()?;
    }
    let mut turn = 0;
    let mut buffer = [0; 4_096];
    loop {
        while let Some(message) = messages.take_text() {
            let message: Value = serde_json::from_str(&message).unwrap_or_default();
            let said = [&message["model"], &message["setup"]["model"]].into_iter().find_map(Value::as_str);
            if let Some(said) = said.filter(|_| api != Api::Realtime) {
                model = said.trim_start_matches("models/").to_owned();
            }
            if message.get("setup").is_some() {
                socket.write_all(&frames("{\"setupComplete\":{}}", 4_000, None)).await.ok()?;
            }
            if message["type"] != "response.create" && message.get("clientContent").is_none() {
                continue;
            }
            turn += 1;
            let tokens = Tokens {
                input: random.between(50, 900),
                output: random.between(20, 300),
                ..Tokens::default()
            };
            let provider = if api == Api::Live { "gemini" } else { "openai" };
            let tier = if api == Api::Live { "standard" } else { "default" };
            let line = shared.ledger.open(Served {
                call: call.as_ref().map(|call| format!("{call}-{turn}")),
                provider,
                cost_pico: prices::model(provider, &model, tier).map(|priced| priced.cost(&tokens)),
                operation: if api == Api::Responses { "chat" } else { "realtime" },
                request_model: model.clone(),
                response_model: model.clone(),
                stream: true,
                status: 101,
                reported: true,
                tokens,
                body_bytes: 1,
                received: received.clone(),
                ..Served::default()
            });
            for word in ["It ", "is ", "about ", "384,400 km."] {
                socket.write_all(&frames(&api.piece(word).to_string(), 30, None)).await.ok()?;
                tokio::time::sleep(Duration::from_millis(TURN_PIECE_MS)).await;
            }
            socket.write_all(&frames(&api.done(&model, &tokens).to_string(), 100, None)).await.ok()?;
            shared.ledger.sent(&line, 1);
        }
        for _ in 0..messages.take_pings() {
            socket.write_all(&PONG).await.ok()?;
        }
        let size = socket.read(&mut buffer).await.ok().filter(|size| *size > 0)?;
        messages.read(&buffer[..size]);
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Api {
    Realtime,
    Responses,
    Live,
}

impl Api {
    fn of(path: &str) -> Self {
        match path.split('?').next().unwrap_or_default() {
            "/v1/responses" => Self::Responses,
            path if path.ends_with("BidiGenerateContent") => Self::Live,
            _ => Self::Realtime,
        }
    }

    fn piece(self, word: &str) -> Value {
        match self {
            Self::Live => json!({"serverContent": {"modelTurn": {"parts": [{"text": word}]}}}),
            Self::Realtime | Self::Responses => {
                json!({"type": "response.output_text.delta", "response_id": "resp_1", "delta": word})
            }
        }
    }

    fn done(self, model: &str, tokens: &Tokens) -> Value {
        let (input, output) = (tokens.input, tokens.output);
        match self {
            Self::Live => json!({"serverContent": {"turnComplete": true}, "usageMetadata": {
                "promptTokenCount": input, "responseTokenCount": output, "totalTokenCount": input + output}}),
            Self::Responses => {
                json!({"type": "response.completed", "response": {"id": "resp_1", "model": model,
                "status": "completed", "usage": {"input_tokens": input, "output_tokens": output,
                "total_tokens": input + output, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0}}}})
            }
            Self::Realtime => {
                json!({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "usage": {
                    "total_tokens": input + output,
                    "input_tokens": input, "output_tokens": output,
                    "input_token_details": {"text_tokens": input, "audio_tokens": 0, "cached_tokens": 0},
                    "output_token_details": {"text_tokens": output, "audio_tokens": 0},
                }}})
            }
        }
    }
}

/// Between two pieces of an answer.
const TURN_PIECE_MS: u64 = 20;
