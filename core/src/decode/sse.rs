//! Server-Sent Events, decoded from any chunking.
//!
//! Follows the WHATWG HTML standard, section 9.2 (read 2026-11-23), as far as metering needs it: the `data`
//! of each event. Providers differ in line ends, comments, and whether a blank line closes the last event;
//! Vertex AI breaks off a stream with a bare JSON object between events, which is taken as data too.

/// Receives what a [`SseDecoder`] finds.
pub trait Events {
    /// A piece of the event's data; pieces follow each other, with a line feed between two `data` lines.
    fn data(&mut self, piece: &[u8]);
    /// The event is complete.
    fn event_end(&mut self);
}

/// Finds the data of events in bytes that arrive in any pieces; holds a few bytes, whatever arrives.
///
/// ```
/// use tollgate_core::decode::sse::{Events, SseDecoder};
///
/// #[derive(Default)]
/// struct Found(Vec<String>, String);
/// impl Events for Found {
///     fn data(&mut self, piece: &[u8]) {
///         self.1.push_str(std::str::from_utf8(piece).unwrap());
///     }
///     fn event_end(&mut self) {
///         self.0.push(std::mem::take(&mut self.1));
///     }
/// }
///
/// let (mut decoder, mut found) = (SseDecoder::default(), Found::default());
/// for piece in ["data: on", "e\r\n\r\n: a comment\ndata: two\n\n"] {
///     decoder.feed(piece.as_bytes(), &mut found);
/// }
/// assert_eq!(found.0, ["one", "two"]);
/// ```
#[derive(Debug, Default)]
pub struct SseDecoder {
    state: State,
    name: Name,
    /// A carriage return ended the last line: a line feed right after it belongs to it.
    after_return: bool,
    /// The open event has data.
    has_data: bool,
    /// A bare JSON object is open: every line up to a blank one belongs to it.
    bare: bool,
    events: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    LineStart,
    InName,
    /// After the colon of `data:`, where one space does not count.
    BeforeData,
    InData,
    /// In a line that does not matter.
    Skip,
}

/// The first bytes of a field's name.
#[derive(Debug, Default)]
struct Name {
    bytes: [u8; 4],
    len: usize,
}

impl SseDecoder {
    /// Events with data that have ended so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Whether an event is open, so that the input was cut if it ends here.
    pub const fn is_open(&self) -> bool {
        self.has_data
    }

    /// Reads a piece.
    pub fn feed(&mut self, bytes: &[u8], events: &mut impl Events) {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if self.after_return && byte == b'\n' {
                self.after_return = false;
                rest = tail;
                continue;
            }
            self.after_return = false;
            rest = match self.state {
                State::LineStart => self.line_start(rest, byte, events),
                State::InName => self.in_name(byte, tail, events),
                State::BeforeData => {
                    self.state = State::InData;
                    if byte == b' ' { tail } else { rest }
                }
                State::InData | State::Skip => self.rest_of_line(rest, events),
            };
        }
    }

    /// Ends the last event, where no blank line does.
    pub fn finish(&mut self, events: &mut impl Events) {
        self.event_end(events);
        self.state = State::LineStart;
    }

    fn line_start<'b>(&mut self, bytes: &'b [u8], byte: u8, events: &mut impl Events) -> &'b [u8] {
        let tail = bytes.get(1..).unwrap_or(&[]);
        match byte {
            b'\n' | b'\r' => {
                self.after_return = byte == b'\r';
                self.event_end(events);
                tail
            }
            _ if self.bare => {
                self.state = State::InData;
                bytes
            }
            b'{' | b'[' => {
                self.bare = true;
                self.begin_data(events);
                self.state = State::InData;
                bytes
            }
            _ => {
                if let Some(data) = bytes.strip_prefix(b"data:") {
                    self.begin_data(events);
                    self.state = State::BeforeData;
                    return data;
                }
                self.name = Name::default();
                self.state = State::InName;
                bytes
            }
        }
    }

    fn in_name<'b>(&mut self, byte: u8, tail: &'b [u8], events: &mut impl Events) -> &'b [u8] {
        match byte {
            b':' if self.name.is_data() => {
                self.begin_data(events);
                self.state = State::BeforeData;
            }
            b':' => self.state = State::Skip,
            b'\n' | b'\r' => {
                if self.name.is_data() {
                    self.begin_data(events);
                }
                self.line_end(byte);
            }
            0xEF | 0xBB | 0xBF if self.name.len == 0 => {}
            _ => self.name.push(byte),
        }
        tail
    }

    fn rest_of_line<'b>(&mut self, bytes: &'b [u8], events: &mut impl Events) -> &'b [u8] {
        let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
        let (line, rest) = bytes.split_at(end);
        if self.state == State::InData && !line.is_empty() {
            events.data(line);
        }
        let Some((&byte, rest)) = rest.split_first() else {
            return &[];
        };
        self.line_end(byte);
        rest
    }

    fn line_end(&mut self, byte: u8) {
        self.after_return = byte == b'\r';
        self.state = State::LineStart;
    }

    fn begin_data(&mut self, events: &mut impl Events) {
        if self.has_data {
            events.data(b"\n");
        }
        self.has_data = true;
    }

    fn event_end(&mut self, events: &mut impl Events) {
        self.bare = false;
        if std::mem::take(&mut self.has_data) {
            self.events += 1;
            events.event_end();
        }
    }
}

impl Name {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    fn is_data(&self) -> bool {
        self.len == 4 && self.bytes == *b"data"
    }
}

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

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut collected = Collected::default();
        let mut decoder = SseDecoder::default();
        for piece in pieces {
            decoder.feed(piece, &mut collected);
        }
        decoder.finish(&mut collected);
        collected.done
    }

    #[test]
    fn every_variant_seen_is_read() {
        for (stream, expected) in [
            ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
            ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
            (": OPENROUTER PROCESSING\n\ndata: a\n\n", vec!["a"]),
            ("event: x\nid: 1\nretry: 5\ndata: a\n\n", vec!["a"]),
            ("data: a\ndata: b\n\n", vec!["a\nb"]),
            ("data:a\n\ndata:  b\n\n", vec!["a", " b"]),
            ("data: a", vec!["a"]),
            ("data: a\n", vec!["a"]),
            ("data\n\ndatabase: x\n\n", vec![""]),
            ("data: a\n\n{\n  \"error\": {}\n}\n", vec!["a", "{  \"error\": {}}"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("", vec![]),
        ] {
            assert_eq!(events(&[stream.as_bytes()]), expected, "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_answer(
            stream in "(data|event|:|\\{|\n|\r|\r\n| |x|data: \\{\"a\":1\\}){0,40}",
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let whole = events(&[stream.as_bytes()]);
            let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&events(&pieces), &whole);
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            prop_assert_eq!(events(&bytes), whole);
        }
    }
}
