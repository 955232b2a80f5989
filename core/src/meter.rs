//! The meter: an answer's bytes in, its usage out.
//!
//! Reads what stands in the body whatever its content type says: the first byte tells JSON from Server-Sent
//! Events. Holds a bounded amount of state (see [`crate::json`]); the bytes themselves pass elsewhere.

use crate::inflate::Inflate;
use crate::json::Scanner;
use crate::provider::Api;
use crate::sse::{Events, SseDecoder};
use crate::wire::{Family, Field, Normalised, Reading};

/// Meters one answer.
#[derive(Debug)]
pub struct Meter {
    api: Api,
    inflate: Option<Inflate>,
    framing: Framing,
    scanner: Scanner<Field>,
    reading: Reading,
    body_bytes: u64,
    documents_broken: u64,
    head: EventHead,
}

/// How documents are framed in the body.
#[derive(Debug)]
enum Framing {
    /// No byte that tells has come yet.
    Undecided,
    Json,
    Sse(SseDecoder),
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
    /// Neither.
    Unread,
}

impl Meter {
    /// A meter for an answer of this API.
    #[must_use]
    pub fn new(api: Api) -> Self {
        let family = Family::of(api);
        Self {
            api,
            inflate: None,
            framing: Framing::Undecided,
            scanner: Scanner::new(family.shape()),
            reading: Reading::new(family),
            body_bytes: 0,
            documents_broken: 0,
            head: EventHead::default(),
        }
    }

    /// The body has this `content-encoding`. One that is not known leaves the body unread.
    pub fn encoded(&mut self, content_encoding: &str) {
        self.inflate = Inflate::of(content_encoding);
        if self.inflate.is_none() {
            self.framing = Framing::Unread;
        }
    }

    /// Reads a piece of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.body_bytes = self.body_bytes.saturating_add(bytes.len() as u64);
        match self.inflate.take() {
            None => self.plain(bytes),
            Some(mut inflate) => {
                inflate.feed(bytes, &mut |piece| self.plain(piece));
                self.inflate = Some(inflate);
            }
        }
    }

    fn plain(&mut self, bytes: &[u8]) {
        if let Framing::Undecided = self.framing {
            self.framing = Framing::by_first_byte(bytes);
        }
        match &mut self.framing {
            Framing::Undecided | Framing::Unread => {}
            Framing::Json => self.scanner.feed(bytes, &mut self.reading),
            Framing::Sse(decoder) => decoder.feed(
                bytes,
                &mut Documents {
                    scanner: &mut self.scanner,
                    reading: &mut self.reading,
                    broken: &mut self.documents_broken,
                    head: &mut self.head,
                },
            ),
        }
    }

    /// Ends the body.
    pub fn finish(&mut self) {
        match &mut self.framing {
            Framing::Undecided | Framing::Unread => {}
            Framing::Json => self.scanner.finish(&mut self.reading),
            Framing::Sse(decoder) => decoder.finish(&mut Documents {
                scanner: &mut self.scanner,
                reading: &mut self.reading,
                broken: &mut self.documents_broken,
                head: &mut self.head,
            }),
        }
    }

    /// What the body has said so far.
    #[must_use]
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What the provider reported, or `None` when it reported no counts.
    #[must_use]
    pub fn reported(&self, provider: &str) -> Option<Normalised> {
        self.reading.reported(provider, self.api)
    }

    /// What the body turned out to be.
    #[must_use]
    pub const fn body(&self) -> Body {
        match self.framing {
            Framing::Undecided => Body::Empty,
            Framing::Json => Body::Json,
            Framing::Sse(_) => Body::Sse,
            Framing::Unread => Body::Unread,
        }
    }

    /// Whether the body ended in the middle of a document, or has one that cannot be read.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match &self.framing {
            Framing::Json => !self.scanner.is_outside() || self.scanner.documents() == 0,
            Framing::Sse(decoder) => decoder.is_open() || self.documents_broken > 0,
            Framing::Undecided | Framing::Unread => false,
        }
    }

    /// Whether the body has an encoding that is not known, is not what its encoding says, or needs more memory
    /// than there is for it.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self.framing, Framing::Unread) || self.inflate.as_ref().is_some_and(Inflate::is_broken)
    }

    /// Bytes of the body so far, as they came.
    #[must_use]
    pub const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

impl Framing {
    fn by_first_byte(bytes: &[u8]) -> Self {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0xEF | 0xBB | 0xBF);
        match bytes.iter().find(|byte| !is_space(byte)) {
            None => Self::Undecided,
            Some(b'{' | b'[' | b'"') => Self::Json,
            // `data:`, `event:`, `id:`, `retry:`, and comments.
            Some(b'd' | b'e' | b'i' | b'r' | b':') => Self::Sse(SseDecoder::default()),
            Some(_) => Self::Unread,
        }
    }
}

/// The documents in a stream of events.
struct Documents<'a> {
    scanner: &'a mut Scanner<Field>,
    reading: &'a mut Reading,
    broken: &'a mut u64,
    head: &'a mut EventHead,
}

/// The first bytes of an event's data, to know OpenAI's closing `[DONE]`, which is no JSON.
#[derive(Debug, Default)]
struct EventHead {
    bytes: [u8; 6],
    len: usize,
}

impl EventHead {
    fn push(&mut self, piece: &[u8]) {
        for byte in piece.iter().take(self.bytes.len().saturating_sub(self.len)) {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = *byte;
                self.len += 1;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.bytes == *b"[DONE]"
    }
}

impl Events for Documents<'_> {
    fn data(&mut self, piece: &[u8]) {
        self.head.push(piece);
        self.scanner.feed(piece, self.reading);
    }

    fn event_end(&mut self) {
        self.scanner.finish(self.reading);
        if !self.scanner.is_outside() && !self.head.is_done() {
            *self.broken += 1;
        }
        *self.head = EventHead::default();
        self.scanner.reset();
    }
}
