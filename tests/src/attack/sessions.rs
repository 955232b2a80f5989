//! Websockets: each turn is a call, whatever its session is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tollgate_simulator::websocket::frames;

use super::{Row, Size, settle, shots};
use crate::stack::Stack;

/// Teams, their limits in dollars, and more keys.
pub(super) const BUDGETS: [(&str, &str, &str); 2] = [("sessions", "0.000001", ""), ("turns", "0.05", "")];

struct Kind {
    path: &'static str,
    opening: Option<Value>,
    turn: Value,
}

pub(super) async fn run(stack: &Arc<Stack>, size: Size) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (class, team) in
        [("sessions where nothing is left", "sessions"), ("turns until nothing is left", "turns")]
    {
        let start = Instant::now();
        let mut tasks = Vec::new();
        for round in 0..size.repeat {
            for (number, kind) in kinds().into_iter().enumerate() {
                let (gateway, name) = (stack.gateway(), format!("{team}-{number}-{round}"));
                tasks.push(tokio::spawn(async move { kind.talk(gateway, team, &name).await }));
            }
        }
        let mut row = Row { class: class.into(), ..Row::default() };
        for task in tasks {
            row.calls += task.await??;
        }
        settle(stack, team, &mut row).await?;
        if team == "sessions" && row.passed > 0 {
            row.broken.push(format!("{} turns passed a budget that none of them fits into", row.passed));
        }
        row.may_still_call(stack, team, &shots::small(), 1_000_000_000).await?;
        row.seconds = start.elapsed().as_secs();
        rows.push(row);
    }
    Ok(rows)
}

fn kinds() -> Vec<Kind> {
    let respond =
        json!({"type": "response.create", "model": "gpt-5.1", "max_output_tokens": 400, "input": "hi"});
    let endless = json!({"type": "response.create", "model": "gpt-5.1", "input": "hi"});
    let speak = json!({"type": "response.create", "response": {"max_output_tokens": 400}});
    let live = json!({"clientContent": {"turns": [{"parts": [{"text": "hi"}]}], "turnComplete": true}});
    let setup = json!({"setup": {"model": "models/gemini-2.5-flash"}});
    let at = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
    let kind = |path, opening, turn: &Value| Kind { path, opening, turn: turn.clone() };
    vec![
        kind("/openai/v1/responses", None, &respond),
        kind("/openai/v1/Responses;x", None, &endless),
        kind("/openai/v1/realtime?model=gpt-realtime", None, &speak),
        kind("/openai/v1/realtime/translations?model=gpt-realtime", None, &speak),
        kind("/openai/v1/live/sessions", None, &speak),
        kind("/openai/v1/something/new", None, &speak),
        kind(at, Some(setup), &live),
        kind(at, None, &live),
    ]
}

impl Kind {
    /// Talks until it is refused; gives how many turns were tried.
    async fn talk(&self, gateway: std::net::SocketAddr, team: &str, name: &str) -> Result<usize> {
        let mut socket = TcpStream::connect(gateway).await?;
        let path = self.path;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-sim-call: {name}\r\n\
             x-tollgate-run: {name}\r\nx-tollgate-team: {team}\r\nx-tollgate-agent: voice\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        if !hear(&mut socket, &["HTTP/1.1 "]).await.contains("HTTP/1.1 101") {
            return Ok(1);
        }
        if let Some(opening) = &self.opening {
            let _ = socket.write_all(&masked(opening)).await;
            hear(&mut socket, &["setupComplete", "error"]).await;
        }
        for turn in 1..=TURNS {
            if socket.write_all(&masked(&self.turn)).await.is_err() {
                return Ok(turn);
            }
            let said = hear(&mut socket, &["total_tokens", "totalTokenCount", "error"]).await;
            if said.is_empty() {
                return Ok(turn);
            }
        }
        Ok(TURNS)
    }
}

fn masked(event: &Value) -> Vec<u8> {
    frames(&event.to_string(), 4_000, Some([0x37, 0xfa, 0x21, 0x3d]))
}

/// What comes until one of these words, the end, or a second of silence.
async fn hear(socket: &mut TcpStream, words: &[&str]) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match timeout(Duration::from_millis(1_200), socket.read(&mut buffer)).await {
            Ok(Ok(size)) if size > 0 => heard.extend_from_slice(buffer.get(..size).unwrap_or_default()),
            _ => return String::from_utf8_lossy(&heard).into_owned(),
        }
        let text = String::from_utf8_lossy(&heard);
        if words.iter().any(|word| text.contains(word)) {
            return text.into_owned();
        }
    }
}

const TURNS: usize = 6;
