//! The meter: an answer's bytes in, its usage out.
//!
//! Reads what stands in the body whatever its content type says: the first byte tells JSON, Server-Sent
//! Events and AWS event streams apart. Holds a bounded amount of state (see [`crate::decode::json`] and
//! [`crate::decode::inflate`]); the bytes themselves pass elsewhere.

mod documents;

use crate::answer::wire::{COST_HEADERS, Normalised, Reading, Turn};
use crate::decode::eventstream::EventStreamDecoder;
use crate::decode::inflate::Inflate;
use crate::decode::sse::SseDecoder;
use crate::decode::websocket::WebSocketDecoder;
use crate::provider::Api;
use documents::Documents;

/// Meters one answer.
///
/// ```
/// use tollgate_core::answer::meter::Meter;
/// use tollgate_core::provider::Api;
///
/// let mut meter = Meter::new("openai", Api::ChatCompletions);
/// meter.feed(b"data: {\"choices\":[]}\n\ndata: {\"usage\":{\"prompt_tokens\":7,");
/// meter.feed(b"\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
/// meter.finish();
/// let reported = meter.reported().unwrap();
/// assert_eq!((reported.usage.input_tokens, reported.usage.output_tokens), (Some(7), Some(2)));
/// ```
#[derive(Debug)]
pub struct Meter {
    inflate: Option<Inflate>,
    framing: Framing,
    documents: Documents,
    body_bytes: u64,
    lost: bool,
    says_events: bool,
}

/// How documents are framed in the body.
#[derive(Debug)]
enum Framing {
    /// No byte that tells has come yet.
    Undecided,
    Json,
    Sse(SseDecoder),
    EventStream(Box<EventStreamDecoder>),
    WebSocket(Box<WebSocketDecoder>),
    /// Text, HTML, or an encoding that is not read.
    Unread,
}

/// What the body turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// No bytes.
    Empty,
    /// JSON, one document or several.
    Json,
    /// Server-Sent Events.
    Sse,
    /// An AWS event stream.
    EventStream,
    /// A websocket's frames.
    WebSocket,
    /// None of these.
    Unread,
}

impl Meter {
    /// A meter for an answer of this provider's API.
    pub fn new(provider: &str, api: Api) -> Self {
        Self {
            inflate: None,
            framing: Framing::Undecided,
            documents: Documents::new(Reading::new(provider, api), api == Api::Invoke),
            body_bytes: 0,
            lost: false,
            says_events: false,
        }
    }

    /// The body has this `content-encoding`. One that is not known leaves the body unread.
    pub fn encoded(&mut self, content_encoding: &str) {
        self.inflate = Inflate::of(content_encoding);
        if self.inflate.is_none() {
            self.framing = Framing::Unread;
        }
    }

    /// The body says that it is Server-Sent Events, which may begin with a line that nobody knows.
    pub const fn says_events(&mut self) {
        self.says_events = true;
    }

    /// The model that was asked for, where an answer may name none.
    pub fn asks_for(&mut self, model: &str) {
        self.documents.reading_mut().set_asked_for(model);
    }

    /// The model that the caller wants to have its words written down by, until the session says it.
    pub fn transcribes(&mut self, model: &str) {
        self.documents.reading_mut().set_transcribes(model);
    }

    /// The body is a websocket's frames.
    pub fn upgraded(&mut self) {
        self.framing = Framing::WebSocket(Box::default());
    }

    /// Response headers that may say something of usage or price: takes those of the API's family from
    /// `header`.
    pub fn headers(&mut self, header: &dyn Fn(&str) -> Option<String>) {
        let reading = self.documents.reading_mut();
        for (header_name, name) in reading.family().headers().iter().chain(&COST_HEADERS) {
            if let Some(said) = header(header_name) {
                reading.set_header(name, said.trim());
            }
        }
    }

    /// A piece is missing: nothing behind it is read, and what was read is not the whole answer.
    pub const fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether a piece is missing.
    pub const fn has_lost(&self) -> bool {
        self.lost
    }

    /// Reads a piece of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(bytes.len() as u64);
        if self.lost {
            return;
        }
        match self.inflate.take() {
            None => self.plain(bytes),
            Some(mut inflate) => {
                inflate.feed(bytes, &mut |piece| self.plain(piece));
                self.inflate = Some(inflate);
            }
        }
    }

    fn plain(&mut self, mut bytes: &[u8]) {
        if let Framing::Undecided = self.framing {
            // What stands before the first byte that tells belongs to no framing, whichever piece it comes
            // in.
            let Some(at) = bytes.iter().position(|byte| !LEADING.contains(byte)) else { return };
            bytes = bytes.get(at..).unwrap_or_default();
            self.framing = match Framing::by_first_byte(bytes) {
                Framing::Unread if self.says_events && bytes.first() != Some(&b'<') => {
                    Framing::Sse(SseDecoder::default())
                }
                framing => framing,
            };
        }
        match &mut self.framing {
            Framing::Undecided | Framing::Unread => {}
            Framing::Json => self.documents.json(bytes),
            Framing::Sse(decoder) => decoder.feed(bytes, &mut self.documents),
            Framing::EventStream(decoder) => decoder.feed(bytes, &mut self.documents),
            Framing::WebSocket(decoder) => decoder.feed(bytes, &mut self.documents),
        }
    }

    /// Ends the body.
    pub fn finish(&mut self) {
        match &mut self.framing {
            Framing::Json => self.documents.json_end(),
            Framing::Sse(decoder) => decoder.finish(&mut self.documents),
            Framing::EventStream(decoder) => {
                if decoder.exceptions() > 0 {
                    self.documents.reading_mut().set_error();
                }
            }
            Framing::Undecided | Framing::WebSocket(_) | Framing::Unread => {}
        }
    }

    /// What the body has said so far.
    pub const fn reading(&self) -> &Reading {
        self.documents.reading()
    }

    /// What the provider reported, or `None` when it reported no counts.
    pub fn reported(&self) -> Option<Normalised> {
        self.reading().reported()
    }

    /// Takes the turns of a session that have ended since.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        self.documents.reading_mut().take_turns()
    }

    /// Takes how many turns of a session have ended since that it was asked for.
    pub fn take_ended(&mut self) -> u32 {
        self.documents.reading_mut().take_ended()
    }

    /// What the body turned out to be.
    pub const fn body(&self) -> Body {
        match self.framing {
            Framing::Undecided => Body::Empty,
            Framing::Json => Body::Json,
            Framing::Sse(_) => Body::Sse,
            Framing::EventStream(_) => Body::EventStream,
            Framing::WebSocket(_) => Body::WebSocket,
            Framing::Unread => Body::Unread,
        }
    }

    /// Whether the body ended in the middle of a document, or has one that cannot be read.
    pub fn is_cut(&self) -> bool {
        if self.lost {
            return true;
        }
        match &self.framing {
            Framing::Json => self.documents.is_json_cut(),
            Framing::Sse(decoder) => decoder.is_open() || self.documents.broken() > 0 || self.is_partial(),
            Framing::EventStream(decoder) => {
                decoder.is_open() || decoder.is_broken() || self.documents.broken() > 0
            }
            Framing::Undecided | Framing::WebSocket(_) | Framing::Unread => false,
        }
    }

    /// Whether the body is a websocket's, and no message of it has only come in part.
    pub fn is_between_messages(&self) -> bool {
        matches!(&self.framing, Framing::WebSocket(decoder) if !decoder.is_open())
    }

    /// Whether the counts are only what had been used when the stream broke off.
    pub fn is_partial(&self) -> bool {
        let streams = match &self.framing {
            Framing::Sse(_) | Framing::EventStream(_) => true,
            Framing::Json => self.documents.is_sequence(),
            Framing::Undecided | Framing::WebSocket(_) | Framing::Unread => false,
        };
        self.lost || streams && self.reading().lacks_end()
    }

    /// Whether the body has an encoding that is not known, is not what its encoding says, or needs more
    /// memory than there is for it.
    pub fn is_unread(&self) -> bool {
        let compressed = matches!(&self.framing, Framing::WebSocket(decoder) if decoder.unread() > 0);
        compressed
            || matches!(self.framing, Framing::Unread)
            || self.inflate.as_ref().is_some_and(Inflate::is_broken)
    }

    /// Bytes of the body so far, as they came.
    pub const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

impl Framing {
    fn by_first_byte(bytes: &[u8]) -> Self {
        match bytes.first() {
            None => Self::Undecided,
            Some(b'{' | b'[' | b'"') => Self::Json,
            // `data:`, `event:`, `id:`, `retry:`, and comments.
            Some(b'd' | b'e' | b'i' | b'r' | b':') => Self::Sse(SseDecoder::default()),
            // The high byte of a frame's length: frames are below 16 MiB.
            Some(0) => Self::EventStream(Box::default()),
            Some(_) => Self::Unread,
        }
    }
}

/// Space, and the bytes of a byte order mark.
const LEADING: &[u8] = b" \n\r\t\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(api: Api, pieces: &[&[u8]]) -> Meter {
        let mut meter = Meter::new("openai", api);
        for piece in pieces {
            meter.feed(piece);
        }
        meter.finish();
        meter
    }

    #[test]
    fn state_is_bounded_whatever_arrives() {
        let line =
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(100_000));
        let usage = "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
        let stream = [line.as_str(), usage, "data: [DONE]\n\n"].concat();
        let meter = metered(Api::ChatCompletions, &[stream.as_bytes()]);
        assert_eq!(meter.reported().and_then(|normalised| normalised.usage.output_tokens), Some(2));
        assert!(!meter.is_cut());
    }

    #[test]
    fn a_call_of_several_models_is_told_by_model_where_that_adds_up() {
        let answer = |output: u64| {
            let run = |model: &str, input: u64, output: u64| {
                format!(
                    r#"{{"model":"{model}","usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#
                )
            };
            let runs = [run("a", 10, 2), run("b", 20, 3), run("a", 30, 4)].join(",");
            format!(
                r#"{{"model":"compound","usage":{{"prompt_tokens":60,"completion_tokens":{output}}},"usage_breakdown":{{"models":[{runs}]}}}}"#
            )
        };
        let shares = |answer: String| {
            let mut meter = Meter::new("groq", Api::ChatCompletions);
            answer.as_bytes().chunks(5).for_each(|piece| meter.feed(piece));
            let shares = meter.reported().unwrap().shares.into_iter();
            let told = |share: crate::usage::Share| {
                (share.model, share.usage.input_tokens, share.usage.output_tokens)
            };
            shares.map(told).collect::<Vec<_>>()
        };
        let a = (Some("a".to_owned()), Some(40), Some(6));
        assert_eq!(shares(answer(9)), [a, (Some("b".to_owned()), Some(20), Some(3))]);
        assert_eq!(shares(answer(8)), [], "the list does not add up to the whole");
        assert_eq!(shares(answer(9).replace("\"models\":[", "\"models\":null,\"x\":[")), []);
    }

    /// Found by fuzzing: a space before the first event was part of its line in one piece and none in two.
    #[test]
    fn space_before_the_body_is_the_same_in_a_piece_of_its_own() {
        let body = b" data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
        for at in 0..=body.len() {
            let (head, tail) = body.split_at(at);
            let meter = metered(Api::ChatCompletions, &[head, tail]);
            let output = meter.reported().and_then(|normalised| normalised.usage.output_tokens);
            assert_eq!((output, meter.body()), (Some(2), Body::Sse), "split at byte {at}");
        }
    }

    #[test]
    fn a_second_message_that_did_not_end_leaves_a_stream_partial() {
        let start = "data: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"usage\":{\"input_tokens\":3}}}\n\n";
        let end = "data: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n";
        for (body, partial) in [
            ([start, end, "", ""], false),
            ([start, end, start, ""], true),
            ([start, end, start, end], false),
        ] {
            let body = body.concat();
            assert_eq!(metered(Api::Messages, &[body.as_bytes()]).is_partial(), partial, "{body}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_not_read() {
        for (body, expected) in [
            ("<html>", Body::Unread),
            ("upstream connect error", Body::Unread),
            ("", Body::Empty),
            (" \n", Body::Empty),
        ] {
            assert_eq!(metered(Api::ChatCompletions, &[body.as_bytes()]).body(), expected, "{body:?}");
        }
    }
}
