//! What a caller says in a session over a websocket: which model it wants, and in the websocket of OpenAI's
//! Responses each request for an answer.
//!
//! Sources: OpenAI's API reference, websocket events of Responses, of Realtime and of Live; Gemini API
//! reference, Live API; read 2026-11-28.

use super::{Framing, Json, Reading, RequestMeter};
use crate::decode::json::Scanner;
use crate::decode::sse::Events;
use crate::decode::websocket::WebSocketDecoder;

/// What a caller of a session asks for with each request for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AsksFor {
    /// A call of its own, as in the websocket of Responses.
    Calls,
    /// Another turn of the session.
    Turns,
}

/// Reads a caller's messages as they pass; holds what one request says, and at most [`ASKED_MAX`] requests
/// that nobody took.
#[derive(Debug)]
pub(super) struct Said {
    decoder: WebSocketDecoder,
    heard: Heard,
}

#[derive(Debug)]
struct Heard {
    /// The message that is passing.
    message: Json,
    bytes: u64,
    /// Whether what bounds a call is read.
    watches: bool,
    model: Option<String>,
    transcription_model: Option<String>,
    asks_for: AsksFor,
    /// Calls that were asked for and not taken.
    asked: Vec<RequestMeter>,
    /// Turns that were asked for and not taken.
    turns: u32,
    /// Tokens of the text that was said in these.
    text_tokens: u64,
    /// More was asked for than is kept.
    overflows: bool,
    /// A message has come whole.
    spoke: bool,
}

impl Said {
    pub(super) fn new(watches: bool, asks_for: AsksFor) -> Self {
        let heard = Heard {
            message: message(watches),
            bytes: 0,
            watches,
            model: None,
            transcription_model: None,
            asks_for,
            asked: Vec::new(),
            turns: 0,
            text_tokens: 0,
            overflows: false,
            spoke: false,
        };
        Self { decoder: WebSocketDecoder::default(), heard }
    }

    pub(super) fn watch(&mut self) {
        self.heard.watches = true;
        self.heard.message = message(true);
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, &mut self.heard);
    }

    /// Whether something was said that cannot be read.
    pub(super) const fn has_unread(&self) -> bool {
        self.decoder.unread() > 0
    }

    pub(super) const fn is_open(&self) -> bool {
        self.decoder.is_open()
    }

    /// The model that the session was set up with.
    pub(super) fn model(&self) -> Option<&str> {
        self.heard.model.as_deref()
    }

    /// The model that writes down what the caller says.
    pub(super) fn transcription_model(&self) -> Option<&str> {
        self.heard.transcription_model.as_deref()
    }

    pub(super) const fn has_spoken(&self) -> bool {
        self.heard.spoke
    }

    /// Takes the requests for an answer that have come whole since; `None` where there were too many.
    pub(super) fn take_asked(&mut self) -> Option<Vec<RequestMeter>> {
        let asked = std::mem::take(&mut self.heard.asked);
        (!self.heard.overflows).then_some(asked)
    }

    /// Takes how many turns were asked for since, where they are no calls of their own.
    pub(super) const fn take_turns(&mut self) -> u32 {
        std::mem::replace(&mut self.heard.turns, 0)
    }

    /// Tokens of the text that was said, in a session whose turns are no calls of their own.
    pub(super) const fn text_tokens(&self) -> u64 {
        self.heard.text_tokens
    }
}

impl Events for Heard {
    fn data(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.message.feed(piece);
    }

    fn event_end(&mut self) {
        let mut json = std::mem::replace(&mut self.message, message(self.watches));
        json.scanner.finish(&mut json.reading);
        let body_bytes = std::mem::take(&mut self.bytes);
        let event = json.reading.event.take();
        self.spoke = true;
        if self.model.is_none() {
            self.model = json.reading.session_model.take();
        }
        if let Some(model) = json.reading.transcription_model.take() {
            self.transcription_model = Some(model);
        }
        let event = event.as_deref().unwrap_or_default();
        if self.asks_for == AsksFor::Turns {
            // What the caller has said is written down by a model of its own.
            let transcribes = self.transcription_model.is_some() && event == "input_audio_buffer.commit";
            let turns = u32::from(asks(event) || transcribes || json.reading.asks);
            self.turns = self.turns.saturating_add(turns);
            self.text_tokens = self.text_tokens.saturating_add(json.reading.text.tokens());
            return;
        }
        if !asks(event) {
            return;
        }
        if self.asked.len() >= ASKED_MAX {
            self.overflows = true;
        } else {
            self.asked.push(RequestMeter { json, framing: Framing::Json, unread: false, body_bytes });
        }
    }
}

fn message(watches: bool) -> Json {
    let bounds = watches.then(Box::default);
    Json { scanner: Scanner::new(super::session_shape()), reading: Reading { bounds, ..Reading::default() } }
}

/// Whether an event makes a model answer.
pub(super) fn asks(event: &str) -> bool {
    ASKS.contains(&event)
}

/// Events that make a model answer: a request, and words that steer an answer under way, behind which another
/// one begins.
const ASKS: &[&str] = &["response.create", "response.steer", "response.inject"];
/// Requests that may come at once.
const ASKED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::websocket;

    #[test]
    fn requests_and_the_model_of_a_session_are_read_at_every_cut() {
        let messages = [
            r#"{"setup":{"model":"models/gemini-live","generationConfig":{}}}"#,
            r#"{"type":"session.update","session":{"model":"another"}}"#,
            r#"{"type":"response.create","model":"gpt-5","max_output_tokens":7,"previous_response_id":"r","input":"hi"}"#,
            r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#,
            r#"{"model":"o3","type":"response.create"}"#,
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(|message| websocket::text(message)).collect();
        for size in [1, 3, 50, bytes.len()] {
            let mut meter = RequestMeter::default();
            meter.session(AsksFor::Calls);
            meter.watch_bounds();
            bytes.chunks(size).for_each(|piece| meter.feed(piece));
            assert_eq!(meter.model(), Some("models/gemini-live"));
            let asked = meter.take_asked().unwrap();
            let told: Vec<_> = asked.iter().map(|one| (one.model(), one.body_bytes())).collect();
            assert_eq!(
                told,
                [(Some("gpt-5"), messages[2].len() as u64), (Some("o3"), messages[4].len() as u64)]
            );
            assert!(asked[0].bounds().unwrap().outside);
            assert!(!asked[0].is_unreadable());
            assert_eq!(meter.take_asked().unwrap().len(), 0, "each is taken once");
        }
    }

    #[test]
    fn a_message_of_two_types_is_a_request_if_either_is_and_says_so() {
        for message in [
            r#"{"type":"response.create","model":"gpt-5","type":"x"}"#,
            r#"{"type":"x","model":"gpt-5","type":"response.create"}"#,
            r#"{"type":"response.create","\u0074ype":null}"#,
        ] {
            let mut meter = RequestMeter::default();
            meter.session(AsksFor::Calls);
            meter.watch_bounds();
            meter.feed(&websocket::text(message));
            let asked = meter.take_asked().unwrap();
            assert_eq!(asked.len(), 1, "{message}");
            assert_eq!(asked[0].bounds().unwrap().ambiguous(), Some("type"), "{message}");
        }
    }

    #[test]
    fn more_requests_at_once_than_are_kept_are_told() {
        let one = websocket::text(r#"{"type":"response.create"}"#);
        let mut meter = RequestMeter::default();
        meter.session(AsksFor::Calls);
        meter.feed(&one.repeat(ASKED_MAX + 1));
        assert!(meter.take_asked().is_none());
    }

    #[test]
    fn turns_that_are_asked_for_are_counted_at_every_cut() {
        for (message, turns) in [
            (r#"{"type":"response.create"}"#, 1),
            (r#"{"type":"input_audio_buffer.commit"}"#, 0),
            (r#"{"type":"session.update","session":{"input_audio_transcription":{"model":"w"}}}"#, 0),
            (r#"{"type":"input_audio_buffer.commit"}"#, 1),
            (r#"{"clientContent":{"turns":[{"parts":[{"text":"How far?"}]}],"turnComplete":true}}"#, 1),
            (r#"{"client_content":{"turn_complete":true}}"#, 1),
            (r#"{"clientContent":{"turn_complete":true}}"#, 1),
            (r#"{"clientContent":{"turns":[{"parts":[{"text":"More."}]}]}}"#, 0),
            (r#"{"clientContent":{"turnComplete":false}}"#, 0),
            (r#"{"clientContent":{"turnComplete":true,"turnComplete":false}}"#, 1),
            (r#"{"realtimeInput":{"text":"How far?"}}"#, 1),
            (r#"{"realtime_input":{"activity_end":{}}}"#, 1),
            (r#"{"realtimeInput":{"audio":{"data":"AAAA"}}}"#, 0),
        ] {
            let before = websocket::text(
                r#"{"type":"session.update","session":{"input_audio_transcription":{"model":"w"}}}"#,
            );
            let bytes = websocket::text(message);
            for size in [1, 9, bytes.len()] {
                let mut meter = RequestMeter::default();
                meter.session(AsksFor::Turns);
                if turns > 0 {
                    meter.feed(&before);
                }
                bytes.chunks(size).for_each(|piece| meter.feed(piece));
                assert_eq!((meter.take_turns(), meter.take_turns()), (turns, 0), "{message}");
                assert_eq!(meter.input_estimate().is_some(), message.contains("\"text\""), "{message}");
            }
        }
    }

    #[test]
    fn a_session_has_spoken_when_its_first_message_is_whole() {
        let one = websocket::text(r#"{"type":"response.create"}"#);
        let mut meter = RequestMeter::default();
        meter.session(AsksFor::Calls);
        let (last, head) = one.split_last().unwrap();
        meter.feed(head);
        assert!(!meter.has_spoken());
        meter.feed(&[*last]);
        assert!(meter.has_spoken());
    }
}
