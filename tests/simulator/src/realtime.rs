//! OpenAI's realtime API over a websocket: each `response.create` is a turn, with a line of its own in the ledger.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::ledger::{Received, Served, Tokens};
use crate::random::Random;
use crate::server::Shared;
use crate::websocket::{Messages, PONG, frames};

/// The model that answers.
pub const MODEL: &str = "gpt-realtime";

/// Talks with a caller until it leaves. The call's name with `-1`, `-2`, … is that of its turns.
pub async fn session(
    request: Request<Incoming>,
    received: Received,
    call: Option<String>,
    mut random: Random,
    shared: Arc<Shared>,
) -> Option<()> {
    let mut socket = TokioIo::new(hyper::upgrade::on(request).await.ok()?);
    let mut messages = Messages::default();
    let created = json!({"type": "session.created", "session": {"id": "sess_1", "model": MODEL}});
    socket.write_all(&frames(&created.to_string(), 4_000, None)).await.ok()?;
    let mut turn = 0;
    let mut buffer = [0; 4_096];
    loop {
        while let Some(message) = messages.take_text() {
            if !message.contains("\"response.create\"") {
                continue;
            }
            turn += 1;
            let tokens = Tokens {
                input: random.between(50, 900),
                output: random.between(20, 300),
                ..Tokens::default()
            };
            let line = shared.ledger.open(Served {
                call: call.as_ref().map(|call| format!("{call}-{turn}")),
                provider: "openai",
                operation: "realtime",
                request_model: MODEL.to_owned(),
                response_model: MODEL.to_owned(),
                stream: true,
                status: 101,
                reported: true,
                tokens,
                body_bytes: 1,
                received: received.clone(),
                ..Served::default()
            });
            for word in ["It ", "is ", "about ", "384,400 km."] {
                let delta =
                    json!({"type": "response.output_text.delta", "response_id": "resp_1", "delta": word});
                socket.write_all(&frames(&delta.to_string(), 30, None)).await.ok()?;
                tokio::time::sleep(Duration::from_millis(TURN_PIECE_MS)).await;
            }
            let done = json!({"type": "response.done", "response": {"id": "resp_1", "status": "completed", "usage": {
                "total_tokens": tokens.input + tokens.output,
                "input_tokens": tokens.input, "output_tokens": tokens.output,
                "input_token_details": {"text_tokens": tokens.input, "audio_tokens": 0, "cached_tokens": 0},
                "output_token_details": {"text_tokens": tokens.output, "audio_tokens": 0},
            }}});
            socket.write_all(&frames(&done.to_string(), 100, None)).await.ok()?;
            shared.ledger.sent(&line, 1);
        }
        for _ in 0..messages.take_pings() {
            socket.write_all(&PONG).await.ok()?;
        }
        let size = socket.read(&mut buffer).await.ok().filter(|size| *size > 0)?;
        messages.read(&buffer[..size]);
    }
}

/// Between two pieces of an answer.
const TURN_PIECE_MS: u64 = 20;
