//! AWS event streams (`application/vnd.amazon.eventstream`), decoded from any chunking.
//!
//! A frame is: total length and header length (four bytes each, big endian), CRC-32 of these eight; headers;
//! payload; CRC-32 of everything before. Source: AWS SDK documentation, "Event Stream encoding", read
//! 2026-11-23.

use crc32fast::Hasher;

use crate::decode::sse::Events;

/// Finds the payloads of frames in bytes that arrive in any pieces. Holds one header value of at most
/// [`HEADER_BYTES_MAX`] bytes, whatever arrives; payloads are handed over as they come.
#[derive(Debug)]
pub struct EventStreamDecoder {
    part: Part,
    prelude: [u8; PRELUDE_BYTES],
    filled: usize,
    /// Bytes of the part that are still to come.
    left: u32,
    payload: u32,
    checksum: Hasher,
    headers: Headers,
    broken: bool,
    exceptions: u64,
    events: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Prelude,
    Headers,
    Payload,
    Checksum,
}

impl Default for EventStreamDecoder {
    fn default() -> Self {
        Self {
            part: Part::Prelude,
            prelude: [0; PRELUDE_BYTES],
            filled: 0,
            left: 0,
            payload: 0,
            checksum: Hasher::new(),
            headers: Headers::default(),
            broken: false,
            exceptions: 0,
            events: 0,
        }
    }
}

impl EventStreamDecoder {
    /// Whether a checksum or a length was wrong; nothing is read behind that.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether a frame is open, so that the input was cut if it ends here.
    pub const fn is_open(&self) -> bool {
        self.filled > 0 || !matches!(self.part, Part::Prelude)
    }

    /// Frames that said that something went wrong (`:message-type` `exception` or `error`).
    pub const fn exceptions(&self) -> u64 {
        self.exceptions
    }

    /// Reads a piece.
    pub fn feed(&mut self, bytes: &[u8], events: &mut impl Events) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.broken {
            rest = match self.part {
                Part::Prelude => self.in_prelude(rest),
                Part::Headers | Part::Payload => self.in_body(rest, events),
                Part::Checksum => self.in_checksum(rest, events),
            };
        }
    }

    fn in_prelude<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let rest = self.fill(bytes, PRELUDE_BYTES);
        if self.filled < PRELUDE_BYTES {
            return rest;
        }
        self.filled = 0;
        let [total, headers, crc] = words(&self.prelude);
        let covered = self.prelude.get(..8).unwrap_or(&[]);
        let overhead = 16u32;
        if crc32fast::hash(covered) != crc || total < overhead || headers > total - overhead {
            self.broken = true;
            return &[];
        }
        self.checksum = Hasher::new();
        self.checksum.update(&self.prelude);
        self.payload = total - overhead - headers;
        self.headers = Headers::default();
        self.enter(Part::Headers, headers);
        rest
    }

    fn in_body<'b>(&mut self, bytes: &'b [u8], events: &mut impl Events) -> &'b [u8] {
        let take = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (piece, rest) = bytes.split_at(take);
        self.checksum.update(piece);
        if self.part == Part::Headers {
            piece.iter().for_each(|byte| self.headers.read(*byte));
        } else {
            events.data(piece);
        }
        let left = self.left - u32::try_from(take).unwrap_or(self.left);
        self.enter(self.part, left);
        rest
    }

    fn in_checksum<'b>(&mut self, bytes: &'b [u8], events: &mut impl Events) -> &'b [u8] {
        let rest = self.fill(bytes, 4);
        if self.filled == 4 {
            self.filled = 0;
            let [crc, ..] = words(&self.prelude);
            if self.checksum.clone().finalize() == crc {
                self.events += 1;
                self.exceptions += u64::from(self.headers.is_exception);
                events.event_end();
                self.part = Part::Prelude;
            } else {
                self.broken = true;
            }
        }
        rest
    }

    /// Continues in `part` with `left` bytes of it, or in the first part after it that has bytes.
    fn enter(&mut self, part: Part, left: u32) {
        (self.part, self.left) = match (part, left) {
            (Part::Headers, 0) if self.payload > 0 => (Part::Payload, self.payload),
            (Part::Headers | Part::Payload, 0) => (Part::Checksum, 4),
            other => other,
        };
    }

    fn fill<'b>(&mut self, bytes: &'b [u8], size: usize) -> &'b [u8] {
        let (piece, rest) = bytes.split_at(bytes.len().min(size - self.filled));
        if let Some(slot) = self.prelude.get_mut(self.filled..self.filled + piece.len()) {
            slot.copy_from_slice(piece);
        }
        self.filled += piece.len();
        rest
    }
}

/// Walks over the headers of a frame, and knows whether one says that it is an exception.
#[derive(Debug, Default)]
struct Headers {
    state: HeaderState,
    name: Vec<u8>,
    value: Vec<u8>,
    is_exception: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum HeaderState {
    #[default]
    NameLength,
    Name(u8),
    Kind,
    /// Length of a string or byte array: bytes seen, and their value.
    ValueLength(u8, u16),
    Value(u16),
}

impl Headers {
    fn read(&mut self, byte: u8) {
        self.state = match self.state {
            HeaderState::NameLength => {
                self.name.clear();
                self.value.clear();
                if byte == 0 { HeaderState::Kind } else { HeaderState::Name(byte) }
            }
            HeaderState::Name(left) => {
                push(&mut self.name, byte);
                if left == 1 { HeaderState::Kind } else { HeaderState::Name(left - 1) }
            }
            // true, false; byte, short, integer, long, bytes, string, timestamp, uuid.
            HeaderState::Kind => match byte {
                2 => HeaderState::Value(1),
                3 => HeaderState::Value(2),
                4 => HeaderState::Value(4),
                5 | 8 => HeaderState::Value(8),
                6 | 7 => HeaderState::ValueLength(0, 0),
                9 => HeaderState::Value(16),
                _ => HeaderState::NameLength,
            },
            HeaderState::ValueLength(0, _) => HeaderState::ValueLength(1, u16::from(byte)),
            HeaderState::ValueLength(_, high) => match high << 8 | u16::from(byte) {
                0 => HeaderState::NameLength,
                length => HeaderState::Value(length),
            },
            HeaderState::Value(left) => {
                push(&mut self.value, byte);
                if left == 1 {
                    self.is_exception |= self.name == b":message-type"
                        && (self.value == b"exception" || self.value == b"error");
                    HeaderState::NameLength
                } else {
                    HeaderState::Value(left - 1)
                }
            }
        };
    }
}

fn push(bytes: &mut Vec<u8>, byte: u8) {
    if bytes.len() < HEADER_BYTES_MAX {
        bytes.push(byte);
    }
}

fn words(bytes: &[u8; PRELUDE_BYTES]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    words
}

const PRELUDE_BYTES: usize = 12;
/// Longest header name or value that is kept, in bytes.
pub const HEADER_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Collected {
        open: Vec<u8>,
        done: Vec<Vec<u8>>,
    }

    impl Events for Collected {
        fn data(&mut self, piece: &[u8]) {
            self.open.extend_from_slice(piece);
        }
        fn event_end(&mut self) {
            self.done.push(std::mem::take(&mut self.open));
        }
    }

    fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
        let mut frame = total.to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(&head);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    fn decoded(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool, bool, u64) {
        let mut collected = Collected::default();
        let mut decoder = EventStreamDecoder::default();
        for piece in pieces {
            decoder.feed(piece, &mut collected);
        }
        (collected.done, decoder.is_broken(), decoder.is_open(), decoder.exceptions())
    }

    fn stream() -> Vec<u8> {
        [
            frame(
                &[(":event-type", "messageStart"), (":message-type", "event")],
                b"{\"role\":\"assistant\"}",
            ),
            frame(&[], b""),
            frame(&[(":message-type", "exception"), (":exception-type", "throttlingException")], b"{}"),
        ]
        .concat()
    }

    #[test]
    fn every_cut_gives_the_same_payloads() {
        let stream = stream();
        let whole = decoded(&[&stream]);
        assert_eq!(whole.0, [b"{\"role\":\"assistant\"}".to_vec(), vec![], b"{}".to_vec()]);
        assert_eq!((whole.1, whole.2, whole.3), (false, false, 1));
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decoded(&[head, tail]), whole, "split at byte {at}");
        }
    }

    #[test]
    fn a_cut_stream_is_open_and_a_damaged_one_is_broken() {
        let stream = stream();
        for at in 1..stream.len() {
            let (_, broken, ..) = decoded(&[&stream[..at]]);
            assert!(!broken, "cut at {at}");
            let mut damaged = stream.clone();
            damaged[at] ^= 0x10;
            let (payloads, broken, open, _) = decoded(&[&damaged]);
            assert!(broken || open || payloads.len() != 3, "damage at {at} goes unseen");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            decoded(&[&bytes]);
        }
    }
}
