//! WebSocket frames (RFC 6455), decoded from any chunking: the messages of one direction.
//!
//! Text may be masked and fragmented; control frames may stand between fragments. What cannot be read is
//! passed over and counted: frames of an extension (RSV bits; `permessage-deflate` is not offered upstream)
//! and of an opcode that is reserved.

use crate::decode::sse::Events;

/// An unmasked frame with a whole text message, as servers send it.
pub fn text(message: &str) -> Vec<u8> {
    frame(TEXT, message.as_bytes())
}

/// A frame that closes the connection, as servers send it. Of `reason` as much as fits into a control frame.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - payload.len());
    payload.extend_from_slice(reason.get(..end).unwrap_or_default().as_bytes());
    frame(CLOSE, &payload)
}

/// A ping as clients send it, masked with zeros: whoever gets it must answer.
pub const PING: [u8; 6] = [FINAL | 0x9, 0x80, 0, 0, 0, 0];

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FINAL | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Close code for a message that breaks the server's policy.
pub const POLICY: u16 = 1_008;
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const CONTROL_BYTES_MAX: usize = 125;

/// Finds the text messages in bytes that arrive in any pieces; holds a few bytes, whatever arrives.
#[derive(Debug, Default)]
pub struct WebSocketDecoder {
    part: Part,
    /// Header bytes of the open frame.
    header: [u8; 14],
    filled: usize,
    left: u64,
    mask: Option<[u8; 4]>,
    mask_at: usize,
    /// What the open frame is.
    kind: Kind,
    last: bool,
    /// A message is open: its fragments are text.
    in_message: bool,
    unread: u64,
    messages: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Part {
    #[default]
    Header,
    Payload,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    Text,
    #[default]
    Ignored,
}

impl WebSocketDecoder {
    /// Text messages that have ended so far.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Frames that were passed over because they cannot be read.
    pub const fn unread(&self) -> u64 {
        self.unread
    }

    /// Whether a frame or message is open, so that the input was cut if it ends here.
    pub const fn is_open(&self) -> bool {
        self.filled > 0 || self.in_message || matches!(self.part, Part::Payload)
    }

    /// Reads a piece.
    pub fn feed(&mut self, bytes: &[u8], events: &mut impl Events) {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match self.part {
                Part::Header => {
                    if let Some(slot) = self.header.get_mut(self.filled) {
                        *slot = byte;
                    }
                    self.filled += 1;
                    if self.filled == self.header_bytes() {
                        self.frame_start(events);
                    }
                    tail
                }
                Part::Payload => self.payload(rest, events),
            };
        }
    }

    /// Size of the open frame's header, as far as its first bytes tell.
    fn header_bytes(&self) -> usize {
        if self.filled < 2 {
            return 2;
        }
        let [_, second, ..] = self.header;
        let extended = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    fn frame_start(&mut self, events: &mut impl Events) {
        let [first, second, ..] = self.header;
        let extended = match second & 0x7F {
            126 => self.header.get(2..4),
            127 => self.header.get(2..10),
            _ => None,
        };
        self.left = extended.map_or(u64::from(second & 0x7F), |bytes| {
            bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))
        });
        let mask_at = 2 + extended.map_or(0, <[u8]>::len);
        let mask = self.header.get(mask_at..mask_at + 4).filter(|_| second & 0x80 != 0);
        self.mask = mask.and_then(|mask| mask.try_into().ok());
        self.mask_at = 0;
        self.last = first & 0x80 != 0;
        let is_extended = first & 0x70 != 0;
        self.kind = match first & 0x0F {
            opcode if is_extended || matches!(opcode, 0x3..=0x7 | 0xB..) => {
                self.unread += 1;
                Kind::Ignored
            }
            // Providers send their JSON in binary frames too (Gemini Live does).
            1 | 2 => {
                self.in_message = true;
                Kind::Text
            }
            0 if self.in_message => Kind::Text,
            _ => Kind::Ignored,
        };
        self.filled = 0;
        self.part = Part::Payload;
        if self.left == 0 {
            self.frame_end(events);
        }
    }

    fn payload<'b>(&mut self, bytes: &'b [u8], events: &mut impl Events) -> &'b [u8] {
        let take = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (piece, rest) = bytes.split_at(take);
        match (self.kind, self.mask) {
            (Kind::Ignored, _) => {}
            (Kind::Text, None) => events.data(piece),
            (Kind::Text, Some(mask)) => {
                for piece in piece.chunks(UNMASK_BYTES) {
                    let mut plain = [0; UNMASK_BYTES];
                    for (index, (slot, byte)) in plain.iter_mut().zip(piece).enumerate() {
                        *slot = byte ^ mask.get((self.mask_at + index) % 4).copied().unwrap_or(0);
                    }
                    self.mask_at = (self.mask_at + piece.len()) % 4;
                    events.data(plain.get(..piece.len()).unwrap_or(&[]));
                }
            }
        }
        self.left -= take as u64;
        if self.left == 0 {
            self.frame_end(events);
        }
        rest
    }

    fn frame_end(&mut self, events: &mut impl Events) {
        self.part = Part::Header;
        if self.kind == Kind::Text && self.last {
            self.in_message = false;
            self.messages += 1;
            events.event_end();
        }
    }
}

const UNMASK_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Collected {
        open: Vec<u8>,
        done: Vec<String>,
    }

    impl Events for Collected {
        fn data(&mut self, piece: &[u8]) {
            self.open.extend_from_slice(piece);
        }
        fn event_end(&mut self) {
            self.done.push(String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned());
        }
    }

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(bit | u8::try_from(length).unwrap()),
            length @ 126..=65_535 => {
                frame.push(bit | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(bit | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(mask.as_ref().map_or(&[], |mask| &mask[..]));
        let mask = mask.unwrap_or_default();
        frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        frame
    }

    fn messages(pieces: &[&[u8]]) -> (Vec<String>, u64, bool) {
        let mut collected = Collected::default();
        let mut decoder = WebSocketDecoder::default();
        for piece in pieces {
            decoder.feed(piece, &mut collected);
        }
        (collected.done, decoder.unread(), decoder.is_open())
    }

    #[test]
    fn frames_of_ours_are_read_back() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let message = "x".repeat(length);
            let mut decoder = WebSocketDecoder::default();
            let mut collected = Collected::default();
            decoder.feed(&[text(&message), close(POLICY, &"é".repeat(100))].concat(), &mut collected);
            assert_eq!((collected.done.as_slice(), decoder.is_open()), ([message].as_slice(), false));
        }
        assert_eq!(close(POLICY, "é").as_slice(), [0x88, 4, 3, 0xF0, 0xC3, 0xA9]);
    }

    #[test]
    fn messages_are_read_masked_fragmented_and_at_every_cut() {
        let mask = Some([1, 2, 3, 4]);
        let long = "x".repeat(70_000);
        let stream = [
            frame(0x81, None, b"one"),
            frame(0x01, mask, b"tw"),
            frame(0x89, None, b"ping"),
            frame(0x80, mask, b"o"),
            frame(0xC1, None, b"\x01\x02"),
            frame(0x82, None, b"{}"),
            frame(0x81, None, b""),
            frame(0x81, mask, &b"m".repeat(300)),
            frame(0x81, None, long.as_bytes()),
            frame(0x88, None, b"\x03\xe8"),
        ]
        .concat();
        let expected = ["one", "two", "{}", "", &"m".repeat(300), &long].map(str::to_owned).to_vec();
        assert_eq!(messages(&[&stream]), (expected.clone(), 1, false));
        for at in (0..600).chain([stream.len() - 1]) {
            let (head, tail) = stream.split_at(at);
            assert_eq!(messages(&[head, tail]), (expected.clone(), 1, false), "split at byte {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(messages(&bytes).0, expected);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_and_counted() {
        for first in [0xC1, 0xC2, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F, 0xC9] {
            let stream = [frame(first, None, b"\x01{}"), frame(0x81, None, b"one")].concat();
            assert_eq!(messages(&[&stream]), (vec!["one".to_owned()], 1, false), "{first:#x}");
        }
        for first in [0x81, 0x82, 0x88, 0x89, 0x8A] {
            assert_eq!(messages(&[&frame(first, None, b"{}")]).1, 0, "{first:#x}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            messages(&[&bytes]);
        }
    }
}
