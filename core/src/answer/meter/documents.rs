//! JSON documents out of a body's framing, each handed to the reading of its wire family.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::answer::wire::{Field, Reading};
use crate::decode::json::{Action, Scanner, Shape, Sink};
use crate::decode::sse::Events;

/// Scans the documents of a body.
#[derive(Debug)]
pub(super) struct Documents {
    scanner: Scanner<Field>,
    reading: Box<Reading>,
    broken: u64,
    head: EventHead,
    /// Bedrock's InvokeModel streams wrap each document in base64: `{"bytes":"…"}`.
    wrapper: Option<Wrapper>,
}

impl Documents {
    /// Documents for a reading. `wrapped` says that those of an AWS event stream are in base64.
    pub(super) fn new(reading: Reading, wrapped: bool) -> Self {
        Self {
            scanner: Scanner::new(reading.family().shape()),
            reading: Box::new(reading),
            broken: 0,
            head: EventHead::default(),
            wrapper: wrapped.then(Wrapper::default),
        }
    }

    /// What the documents have said so far.
    pub(super) const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The same, to be changed.
    pub(super) const fn reading_mut(&mut self) -> &mut Reading {
        &mut self.reading
    }

    /// Documents of events that could not be read.
    pub(super) const fn broken(&self) -> u64 {
        self.broken
    }

    /// A piece of a body that is JSON as a whole.
    pub(super) fn json(&mut self, bytes: &[u8]) {
        self.scanner.feed(bytes, &mut *self.reading);
    }

    /// The end of such a body.
    pub(super) fn json_end(&mut self) {
        self.scanner.finish(&mut *self.reading);
    }

    /// Whether such a body has several documents, of which the last may not be whole.
    pub(super) fn is_sequence(&self) -> bool {
        let whole = self.scanner.documents();
        whole > 1 || whole == 1 && !self.scanner.is_outside()
    }

    /// Whether such a body ended in the middle, or has no document.
    pub(super) fn is_json_cut(&self) -> bool {
        !self.scanner.is_outside() || self.scanner.documents() == 0
    }
}

impl Events for Documents {
    fn data(&mut self, piece: &[u8]) {
        self.head.push(piece);
        match &mut self.wrapper {
            Some(wrapper) => wrapper.feed(piece, &mut self.scanner, &mut self.reading),
            None => self.scanner.feed(piece, &mut *self.reading),
        }
    }

    fn event_end(&mut self) {
        if let Some(wrapper) = &mut self.wrapper {
            wrapper.end();
        }
        self.scanner.finish(&mut *self.reading);
        if self.head.is_done() {
            self.reading.set_end();
        } else if !self.scanner.is_outside() {
            self.broken += 1;
        }
        self.head = EventHead::default();
        self.scanner.reset();
    }
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

/// Unwraps `{"bytes":"<base64>"}`, holding three bytes of base64 at most.
#[derive(Debug)]
struct Wrapper {
    scanner: Scanner<()>,
    held: Vec<u8>,
}

impl Default for Wrapper {
    fn default() -> Self {
        static SHAPE: OnceLock<Shape<()>> = OnceLock::new();
        let shape = SHAPE.get_or_init(|| Shape::new(&[("bytes", Action::Text, ())]));
        Self { scanner: Scanner::new(shape), held: Vec::new() }
    }
}

impl Wrapper {
    fn feed(&mut self, piece: &[u8], inner: &mut Scanner<Field>, reading: &mut Reading) {
        self.scanner.feed(piece, &mut Unwrapped { held: &mut self.held, inner, reading });
    }

    fn end(&mut self) {
        self.held.clear();
        self.scanner.reset();
    }
}

struct Unwrapped<'a> {
    held: &'a mut Vec<u8>,
    inner: &'a mut Scanner<Field>,
    reading: &'a mut Reading,
}

impl Sink<()> for Unwrapped<'_> {
    fn value(&mut self, _field: (), _raw: Option<&[u8]>) {}

    fn text(&mut self, _field: (), piece: &[u8]) {
        for piece in piece.chunks(BASE64_PIECE_BYTES) {
            self.held.extend_from_slice(piece);
            let whole = self.held.len() / 4 * 4;
            let rest = self.held.split_off(whole);
            match STANDARD.decode(&self.held) {
                Ok(plain) => self.inner.feed(&plain, self.reading),
                // Four characters at a time what can be read is the same however they come.
                Err(_) => {
                    self.held.chunks(4).filter_map(|four| STANDARD.decode(four).ok()).for_each(|plain| {
                        self.inner.feed(&plain, self.reading);
                    });
                }
            }
            *self.held = rest;
        }
    }

    fn document_end(&mut self) {}
}

const BASE64_PIECE_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Api;

    /// Found by fuzzing: what stood before a mistake in the same piece was lost with it.
    #[test]
    fn a_mistake_in_base64_costs_the_same_at_every_cut() {
        let wrapped = br#"{"bytes":"eyJtb2RlbCI6ImNsYXVkZS0zIiwi****eCI6MX0="}"#;
        for at in 0..=wrapped.len() {
            let mut documents = Documents::new(Reading::new("bedrock", Api::Invoke), true);
            let (head, tail) = wrapped.split_at(at);
            documents.data(head);
            documents.data(tail);
            documents.event_end();
            assert_eq!(documents.reading().model(), Some("claude-3"), "split at byte {at}");
        }
    }
}
