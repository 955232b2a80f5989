//! The incremental scanner.
//!
//! Long: one state machine, each step of which may find the document cut.

use super::shape::{Place, ROOT};
use super::{Action, CAPTURE_BYTES_MAX, KEY_BYTES_MAX, Shape};
use crate::lean::find::quote_or_backslash;

/// Receives what a [`Scanner`] finds, in the order of the bytes.
pub trait Sink<F> {
    /// A captured value as raw JSON. `None` when it was longer than [`CAPTURE_BYTES_MAX`].
    fn value(&mut self, field: F, raw: Option<&[u8]>);
    /// A piece of text; pieces of one value follow each other, and a character may be cut between two.
    fn text(&mut self, field: F, piece: &[u8]);
    /// A document (or an element of the outermost array) ended.
    fn document_end(&mut self);
    /// A value with this first byte begins. Said of shapes that look at any depth only.
    fn begins(&mut self, _field: F, _first: u8) {}
    /// A captured string that is too long to be kept, and what it begins with. The same.
    fn long(&mut self, field: F, _head: &[u8]) {
        self.value(field, None);
    }
    /// What stands too deep to be looked at. The same.
    fn too_deep(&mut self) {}
}

/// Finds the places of a [`Shape`] in bytes that arrive in any pieces.
///
/// Holds at most [`CAPTURE_BYTES_MAX`] + [`KEY_BYTES_MAX`] bytes and a few bytes for each level of the shape,
/// whatever arrives. It is lenient: it finds values in well-formed JSON and says [`Scanner::is_broken`] where
/// it lost its way; it is no validator.
///
/// ```
/// use std::sync::OnceLock;
/// use tollgate_core::decode::json::{Action, Scanner, Shape, Sink};
///
/// static SHAPE: OnceLock<Shape<&str>> = OnceLock::new();
///
/// #[derive(Default)]
/// struct Found(Vec<String>);
/// impl Sink<&'static str> for Found {
///     fn value(&mut self, field: &'static str, raw: Option<&[u8]>) {
///         self.0.push(format!("{field} {}", String::from_utf8_lossy(raw.unwrap_or(b"too long"))));
///     }
///     fn text(&mut self, _: &'static str, _: &[u8]) {}
///     fn document_end(&mut self) {}
/// }
///
/// let shape = SHAPE.get_or_init(|| Shape::new(&[("usage.tokens", Action::Capture, "tokens")]));
/// let (mut scanner, mut found) = (Scanner::new(shape), Found::default());
/// for piece in [r#"{"text":"...","usage":{"tok"#, r#"ens":12}}"#] {
///     scanner.feed(piece.as_bytes(), &mut found);
/// }
/// assert_eq!(found.0, ["tokens 12"]);
/// ```
#[derive(Debug)]
pub struct Scanner<F: 'static> {
    shape: &'static Shape<F>,
    state: State,
    /// Containers on the way to places of interest, outermost first.
    open: Vec<Container>,
    /// Place of the value that comes next, if it is of interest.
    next: Option<Place>,
    key: Vec<u8>,
    key_too_long: bool,
    /// What becomes of the value that is being read.
    tee: Tee<F>,
    capture: Vec<u8>,
    capture_too_long: bool,
    /// A captured container, looked into, that is said with its first member: an empty one is nothing.
    unsaid: Option<F>,
    /// A container that is handed over whole while places are looked for inside it, and how many are around
    /// it.
    whole: Option<(F, usize)>,
    /// Open brackets of a container that is skipped or teed as a whole.
    depth: u32,
    escape: Escape,
    documents: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Between documents.
    Outside,
    /// Before a value; in an array also before its end.
    Value,
    /// Before a key or the end of the object.
    Key,
    /// In a key.
    InKey,
    /// Before the colon.
    Colon,
    /// After a value in a container.
    After,
    /// In a string value whose contents are decoded or skipped.
    InString,
    /// In a number, `true`, `false` or `null`.
    InLiteral,
    /// In a container that is skipped or teed as a whole.
    Inside,
    /// In a string inside such a container.
    InsideString,
    /// Not JSON: everything is passed over until [`Scanner::reset`].
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    place: Place,
    object: bool,
    /// The outermost array, whose elements are documents.
    of_documents: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tee<F> {
    Nothing,
    Capture(F),
    Text(F),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Escape {
    None,
    /// After a backslash.
    Backslash,
    /// In `\uXXXX`: digits seen, their value, and the high surrogate before it.
    Unicode {
        digits: u8,
        value: u16,
        high: Option<u16>,
    },
    /// After a high surrogate: its partner may follow.
    High(u16),
    /// After a high surrogate and a backslash.
    HighBackslash(u16),
}

impl<F: Copy> Scanner<F> {
    /// A scanner at the start of a sequence of documents.
    pub const fn new(shape: &'static Shape<F>) -> Self {
        Self {
            shape,
            state: State::Outside,
            open: Vec::new(),
            next: None,
            key: Vec::new(),
            key_too_long: false,
            tee: Tee::Nothing,
            capture: Vec::new(),
            capture_too_long: false,
            unsaid: None,
            whole: None,
            depth: 0,
            escape: Escape::None,
            documents: 0,
        }
    }

    /// Forgets an unfinished document and starts afresh.
    pub fn reset(&mut self) {
        self.state = State::Outside;
        self.open.clear();
        self.next = None;
        self.tee = Tee::Nothing;
        self.capture.clear();
        self.unsaid = None;
        self.whole = None;
        self.depth = 0;
        self.escape = Escape::None;
    }

    /// Whether the bytes so far are not JSON.
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Whether no document is open, so that the input may end here.
    pub fn is_outside(&self) -> bool {
        self.state == State::Outside && self.open.is_empty()
    }

    /// Documents that have ended so far.
    pub const fn documents(&self) -> u64 {
        self.documents
    }

    /// Reads a piece.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink<F>) {
        let mut rest = bytes;
        // What has not been handed over yet of a container that is handed over whole.
        let mut unsaid = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match self.state {
                State::InKey => self.in_key(rest),
                State::InString => self.in_string(rest, sink),
                State::Inside => self.inside(rest, sink),
                State::InsideString => self.inside_string(rest, sink),
                State::InLiteral => self.in_literal(rest, sink),
                State::Broken => break,
                State::Outside | State::Value | State::Key | State::Colon | State::After => {
                    let whole = self.whole;
                    self.structure(byte, sink);
                    match (whole, self.whole) {
                        (None, Some(_)) => unsaid = rest,
                        (Some((field, _)), None) => say(field, unsaid, tail, sink),
                        _ => {}
                    }
                    tail
                }
            };
        }
        if let Some((field, _)) = self.whole {
            say(field, unsaid, rest, sink);
        }
    }

    /// Ends a number or word at the end of the input, where nothing follows that would end it.
    pub fn finish(&mut self, sink: &mut impl Sink<F>) {
        if self.state == State::InLiteral && self.open.is_empty() {
            self.value_end(sink);
        }
    }

    fn structure(&mut self, byte: u8, sink: &mut impl Sink<F>) {
        if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return;
        }
        if let Some(field) = self.unsaid.take()
            && !matches!(byte, b'}' | b']')
        {
            sink.value(field, None);
        }
        match (self.state, byte) {
            // A byte order mark, and commas between documents.
            (State::Outside, 0xEF | 0xBB | 0xBF | b',') => {}
            (State::Outside, b'[') => {
                self.open.push(Container { place: ROOT, object: false, of_documents: true });
                self.before_element();
            }
            (State::Outside, _) => {
                self.next = Some(ROOT);
                self.value_start(byte, sink);
            }
            (State::Value, b']') => self.close(false, sink),
            (State::Value, _) => self.value_start(byte, sink),
            (State::Key, b'"') => {
                self.key.clear();
                self.key_too_long = false;
                self.state = State::InKey;
            }
            (State::Key | State::After, b'}') => self.close(true, sink),
            (State::After, b']') => self.close(false, sink),
            (State::After, b',') => match self.open.last() {
                Some(container) if container.object => self.state = State::Key,
                _ => self.before_element(),
            },
            (State::Colon, b':') => self.state = State::Value,
            _ => self.state = State::Broken,
        }
    }

    fn before_element(&mut self) {
        self.next = self.open.last().and_then(|container| {
            if container.of_documents { Some(ROOT) } else { self.shape.element(container.place) }
        });
        self.state = State::Value;
    }

    fn close(&mut self, object: bool, sink: &mut impl Sink<F>) {
        let closed = self.open.pop();
        if self.whole.is_some_and(|(_, around)| self.open.len() <= around) {
            self.whole = None;
        }
        match closed {
            Some(container) if container.of_documents && !object => self.state = State::Outside,
            Some(container) if container.object == object => {
                if let Some((Action::Element, field)) = self.shape.action(container.place) {
                    sink.value(field, None);
                }
                self.value_end(sink);
            }
            _ => self.state = State::Broken,
        }
    }

    // Long: what becomes of a value by its first byte, in one place.
    fn value_start(&mut self, byte: u8, sink: &mut impl Sink<F>) {
        let mut place = self.next.take();
        if byte != b'[' && self.shape.looks_anywhere() {
            place = place.map(|place| self.shape.as_element(place));
        }
        self.tee = match place.and_then(|place| self.shape.action(place)) {
            Some((Action::Capture, field)) => Tee::Capture(field),
            // What is around it is handed over whole, with this in it.
            Some((Action::Text, _)) if self.whole.is_some() => Tee::Nothing,
            Some((Action::Text | Action::Element | Action::Whole, field)) => Tee::Text(field),
            _ => Tee::Nothing,
        };
        if self.shape.looks_anywhere()
            && let Tee::Capture(field) | Tee::Text(field) = self.tee
        {
            sink.begins(field, byte);
        }
        self.capture.clear();
        self.capture_too_long = false;
        match byte {
            b'"' => {
                self.state = match self.tee {
                    Tee::Capture(_) => {
                        self.keep(b"\"");
                        State::InsideString
                    }
                    Tee::Text(_) | Tee::Nothing => State::InString,
                };
            }
            b'{' | b'[' if self.enters(place, sink) => self.enter(place.unwrap_or(ROOT), byte),
            b'{' | b'[' => {
                let captured = matches!(self.tee, Tee::Capture(_));
                if let Some(place) = place.filter(|place| !captured && self.shape.has_inside(*place)) {
                    self.tee = Tee::Nothing;
                    if let Some((Action::Whole, field)) = self.shape.action(place) {
                        self.whole = self.whole.or(Some((field, self.open.len())));
                    }
                    let object = byte == b'{';
                    self.open.push(Container { place, object, of_documents: false });
                    if object {
                        self.state = State::Key;
                    } else {
                        self.before_element();
                    }
                } else {
                    self.depth = 1;
                    self.state = State::Inside;
                    self.pass(&[byte], sink);
                }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                // `null` where a text may stand is none, not a word.
                if byte == b'n' && matches!(self.tee, Tee::Text(_)) {
                    self.tee = Tee::Nothing;
                }
                self.state = State::InLiteral;
                self.pass(&[byte], sink);
            }
            _ => self.state = State::Broken,
        }
    }

    /// Whether a container at this place is looked into for places at any depth.
    fn enters(&self, place: Option<Place>, sink: &mut impl Sink<F>) -> bool {
        let skips = || matches!(place.and_then(|place| self.shape.action(place)), Some((Action::Skip, _)));
        if !self.shape.looks_anywhere() || skips() {
            return false;
        }
        let is_deep = self.open.len() >= DEPTH_MAX;
        if is_deep {
            sink.too_deep();
        }
        !is_deep
    }

    fn enter(&mut self, place: Place, byte: u8) {
        let is_text = match self.shape.action(place) {
            Some((Action::Whole, _)) => true,
            Some((Action::Text | Action::Element, _)) => !self.shape.has_inside(place),
            _ => false,
        };
        match self.tee {
            Tee::Capture(field) => self.unsaid = Some(field),
            Tee::Text(field) if is_text => self.whole = self.whole.or(Some((field, self.open.len()))),
            Tee::Text(_) | Tee::Nothing => {}
        }
        self.tee = Tee::Nothing;
        let object = byte == b'{';
        self.open.push(Container { place, object, of_documents: false });
        if object {
            self.state = State::Key;
        } else {
            self.before_element();
        }
    }

    fn value_end(&mut self, sink: &mut impl Sink<F>) {
        if let Tee::Capture(field) = self.tee {
            match (self.capture_too_long, self.shape.looks_anywhere()) {
                (false, _) => sink.value(field, Some(&self.capture)),
                (true, false) => sink.value(field, None),
                (true, true) => sink.long(field, &self.capture),
            }
        }
        self.tee = Tee::Nothing;
        let of_documents = self.open.last().is_some_and(|container| container.of_documents);
        if self.open.is_empty() || of_documents {
            self.documents += 1;
            sink.document_end();
        }
        self.state = if self.open.is_empty() { State::Outside } else { State::After };
    }

    fn in_key<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.escape != Escape::None {
            let (decoded, rest) = self.unescape(bytes);
            self.extend_key(decoded.bytes());
            return rest;
        }
        let Some(at) = quote_or_backslash(bytes) else {
            self.extend_key(bytes);
            return &[];
        };
        let (before, rest) = bytes.split_at(at);
        let (byte, rest) = rest.split_first().unwrap_or((&b'"', &[]));
        if *byte == b'\\' {
            self.extend_key(before);
            self.escape = Escape::Backslash;
            return rest;
        }
        let place = self.open.last().map(|container| container.place);
        self.next = if self.key.is_empty() && !self.key_too_long && before.len() <= KEY_BYTES_MAX {
            place.and_then(|place| self.shape.key(place, before))
        } else {
            self.key_in_pieces(place, before)
        };
        self.state = State::Colon;
        rest
    }

    /// The place behind a key that came in pieces or is long, whose last piece this is. One that is too long
    /// is none that is known, and what stands behind it is at no place of its own.
    #[cold]
    fn key_in_pieces(&mut self, place: Option<Place>, last: &[u8]) -> Option<Place> {
        self.extend_key(last);
        let key: &[u8] = if self.key_too_long { b"" } else { &self.key };
        self.shape.key(place?, key)
    }

    fn extend_key(&mut self, bytes: &[u8]) {
        if self.key.len() + bytes.len() > KEY_BYTES_MAX {
            self.key_too_long = true;
        } else {
            self.key.extend_from_slice(bytes);
        }
    }

    fn in_string<'b>(&mut self, bytes: &'b [u8], sink: &mut impl Sink<F>) -> &'b [u8] {
        if self.escape != Escape::None {
            let (decoded, rest) = self.unescape(bytes);
            self.pass(decoded.bytes(), sink);
            return rest;
        }
        let Some(at) = quote_or_backslash(bytes) else {
            self.pass(bytes, sink);
            return &[];
        };
        let (before, rest) = bytes.split_at(at);
        self.pass(before, sink);
        let (byte, rest) = rest.split_first().unwrap_or((&b'"', &[]));
        if *byte == b'\\' {
            self.escape = Escape::Backslash;
        } else {
            self.value_end(sink);
        }
        rest
    }

    fn in_literal<'b>(&mut self, bytes: &'b [u8], sink: &mut impl Sink<F>) -> &'b [u8] {
        let part_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
        let end = bytes.iter().position(|byte| !part_of_it(byte)).unwrap_or(bytes.len());
        let (literal, rest) = bytes.split_at(end);
        self.pass(literal, sink);
        if !rest.is_empty() {
            self.value_end(sink);
        }
        rest
    }

    fn inside<'b>(&mut self, bytes: &'b [u8], sink: &mut impl Sink<F>) -> &'b [u8] {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => self.state = State::InsideString,
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    continue;
                }
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth > 0 {
                        continue;
                    }
                }
                _ => continue,
            }
            let (through, rest) = bytes.split_at(at + 1);
            self.pass(through, sink);
            if self.state == State::Inside {
                self.value_end(sink);
            }
            return rest;
        }
        self.pass(bytes, sink);
        &[]
    }

    /// A string that is passed on raw: inside a container, or captured itself.
    fn inside_string<'b>(&mut self, bytes: &'b [u8], sink: &mut impl Sink<F>) -> &'b [u8] {
        if self.escape == Escape::Backslash {
            self.escape = Escape::None;
            let (escaped, rest) = bytes.split_at(1);
            self.pass(escaped, sink);
            return rest;
        }
        let Some(at) = quote_or_backslash(bytes) else {
            self.pass(bytes, sink);
            return &[];
        };
        let (through, rest) = bytes.split_at(at + 1);
        self.pass(through, sink);
        if through.last() == Some(&b'\\') {
            self.escape = Escape::Backslash;
        } else if self.depth > 0 {
            self.state = State::Inside;
        } else {
            self.value_end(sink);
        }
        rest
    }

    fn pass(&mut self, bytes: &[u8], sink: &mut impl Sink<F>) {
        match self.tee {
            Tee::Nothing => {}
            Tee::Capture(_) => self.keep(bytes),
            Tee::Text(field) => {
                if !bytes.is_empty() {
                    sink.text(field, bytes);
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.capture_too_long || self.capture.len() + bytes.len() > CAPTURE_BYTES_MAX {
            self.capture_too_long = true;
            // As much as there is in any cut.
            let head = HEAD_BYTES.saturating_sub(self.capture.len()).min(bytes.len());
            self.capture.extend_from_slice(bytes.get(..head).unwrap_or_default());
            self.capture.truncate(HEAD_BYTES);
        } else {
            self.capture.extend_from_slice(bytes);
        }
    }

    /// Reads one byte of an escape; gives the character that it completes. A surrogate without its partner is
    /// U+FFFD.
    fn unescape<'b>(&mut self, bytes: &'b [u8]) -> (Decoded, &'b [u8]) {
        let Some((&byte, rest)) = bytes.split_first() else {
            return (Decoded::default(), bytes);
        };
        let mut decoded = Decoded::default();
        self.escape = match self.escape {
            Escape::None => Escape::None,
            Escape::Backslash | Escape::HighBackslash(_) if byte == b'u' => {
                let high = if let Escape::HighBackslash(high) = self.escape { Some(high) } else { None };
                Escape::Unicode { digits: 0, value: 0, high }
            }
            Escape::Backslash | Escape::HighBackslash(_) => {
                if matches!(self.escape, Escape::HighBackslash(_)) {
                    decoded.push(char::REPLACEMENT_CHARACTER);
                }
                decoded.push(match byte {
                    b'n' => '\n',
                    b't' => '\t',
                    b'r' => '\r',
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    other => char::from(other),
                });
                Escape::None
            }
            Escape::Unicode { digits, value, high } => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                let value = value << 4 | digit.unwrap_or(0xF);
                if digits < 3 {
                    Escape::Unicode { digits: digits + 1, value, high }
                } else {
                    decoded.unit(value, high)
                }
            }
            Escape::High(high) if byte == b'\\' => Escape::HighBackslash(high),
            Escape::High(_) => {
                decoded.push(char::REPLACEMENT_CHARACTER);
                self.escape = Escape::None;
                return (decoded, bytes);
            }
        };
        (decoded, rest)
    }
}

/// Hands over what stands in `from` before `rest`, which is its end.
fn say<F>(field: F, from: &[u8], rest: &[u8], sink: &mut impl Sink<F>) {
    if let Some(said) = from.get(..from.len() - rest.len()).filter(|said| !said.is_empty()) {
        sink.text(field, said);
    }
}

/// What is kept of a captured value that is too long.
const HEAD_BYTES: usize = 16;
/// Levels that are looked into for places at any depth. What stands deeper is passed over, and said to be.
const DEPTH_MAX: usize = 96;

/// At most two decoded characters.
#[derive(Default)]
struct Decoded {
    bytes: [u8; 8],
    len: usize,
}

impl Decoded {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn push(&mut self, character: char) {
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
    }

    /// A UTF-16 unit, perhaps after a high surrogate.
    fn unit(&mut self, unit: u16, high: Option<u16>) -> Escape {
        match (high, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let point = 0x1_0000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(unit) - 0xDC00);
                self.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
                Escape::None
            }
            (high, 0xD800..=0xDBFF) => {
                if high.is_some() {
                    self.push(char::REPLACEMENT_CHARACTER);
                }
                Escape::High(unit)
            }
            (high, unit) => {
                if high.is_some() {
                    self.push(char::REPLACEMENT_CHARACTER);
                }
                self.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
                Escape::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static SHAPE: LazyLock<Shape<&'static str>> = LazyLock::new(|| {
        Shape::new(&[
            ("model", Action::Capture, "model"),
            ("usage", Action::Capture, "usage"),
            ("a.b", Action::Capture, "a.b"),
            ("items[].text", Action::Text, "text"),
            ("either", Action::Text, "either"),
            ("either[].text", Action::Text, "either"),
            ("items[].raw[].n", Action::Capture, "n"),
        ])
    });

    #[derive(Debug, Default, Eq, PartialEq)]
    struct Found(Vec<(String, Option<Vec<u8>>)>);

    impl Sink<&'static str> for Found {
        fn value(&mut self, field: &'static str, raw: Option<&[u8]>) {
            self.0.push((field.to_owned(), raw.map(<[u8]>::to_vec)));
        }
        fn text(&mut self, field: &'static str, piece: &[u8]) {
            match self.0.last_mut() {
                Some((last, Some(bytes))) if last == &format!("{field}+") => bytes.extend_from_slice(piece),
                _ => self.0.push((format!("{field}+"), Some(piece.to_vec()))),
            }
        }
        fn document_end(&mut self) {
            self.0.push(("end".to_owned(), None));
        }
    }

    fn scan(pieces: &[&[u8]]) -> (Found, bool) {
        let mut found = Found::default();
        let mut scanner = Scanner::new(&SHAPE);
        for piece in pieces {
            scanner.feed(piece, &mut found);
        }
        scanner.finish(&mut found);
        (found, scanner.is_broken())
    }

    fn shown(json: &str) -> String {
        let (found, broken) = scan(&[json.as_bytes()]);
        let mut shown: Vec<String> = found
            .0
            .into_iter()
            .map(|(field, raw)| match raw {
                Some(raw) => format!("{field}={}", String::from_utf8_lossy(&raw)),
                None => field,
            })
            .collect();
        if broken {
            shown.push("broken".into());
        }
        shown.join(" | ")
    }

    #[test]
    fn values_are_found_where_the_shape_says() {
        for (json, expected) in [
            (r#"{"model":"m","x":{"model":"no"}}"#, r#"model="m" | end"#),
            (
                r#"{"usage":{"a":[1,{"b":"}"}]},"a":{"b":null}}"#,
                r#"usage={"a":[1,{"b":"}"}]} | a.b=null | end"#,
            ),
            (r#"{"mod\u0065l":1}"#, "model=1 | end"),
            (
                r#"{"items":[{"text":"a\n\u00e9\ud83d\ude00"},{"raw":[{"n":1},{"n":2}]}]}"#,
                "text+=a\né😀 | n=1 | n=2 | end",
            ),
            (r#"[{"model":1},{"model":2}]"#, "model=1 | end | model=2 | end"),
            ("{\"model\":1}\n{\"model\":2}\n", "model=1 | end | model=2 | end"),
            (r#"{"either":"x"}"#, "either+=x | end"),
            (r#"{"either":null,"items":[{"text":null},{"text":7}]}"#, "text+=7 | end"),
            (r#"{"either":[{"type":"t","text":"x"}]}"#, "either+=x | end"),
            (r#"{"items":[{"text":{"k":"v"}}]}"#, r#"text+={"k":"v"} | end"#),
            (r#"{"items":[{"text":"\ud83dx"}]}"#, "text+=\u{fffd}x | end"),
            (r#"{"model":}"#, "broken"),
            ("no json", "end | broken"),
            ("[]", ""),
            ("{}", "end"),
            ("\u{feff}{\"model\":\"\\\"\"}", r#"model="\"" | end"#),
            ("12", "end"),
        ] {
            assert_eq!(shown(json), expected, "{json}");
        }
    }

    #[test]
    fn a_value_above_the_bound_is_reported_and_not_kept() {
        let json = format!(r#"{{"usage":"{}","model":1}}"#, "x".repeat(CAPTURE_BYTES_MAX));
        let (found, _) = scan(&[json.as_bytes()]);
        assert_eq!(found.0[0], ("usage".into(), None));
        assert_eq!(found.0[1], ("model".into(), Some(b"1".to_vec())));
    }

    #[test]
    fn state_is_bounded_whatever_arrives() {
        let mut scanner = Scanner::new(&SHAPE);
        let mut found = Found::default();
        for piece in [&b"{\"items\":[{\"raw\":"[..], &b"[".repeat(100_000), &b"{\"a\":".repeat(100_000)] {
            scanner.feed(piece, &mut found);
        }
        assert!(scanner.capture.capacity() <= 2 * CAPTURE_BYTES_MAX);
        assert!(scanner.open.capacity() <= 16);
    }

    fn json_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i32>().prop_map(|n| n.to_string()),
            ".{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\ud83d\ude00\u00e9""#.to_owned()),
        ];
        let keys = ["model", "usage", "a", "b", "items", "text", "raw", "n", "other"];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let member = (proptest::sample::select(keys.to_vec()), inner.clone());
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                proptest::collection::vec(member, 0..5).prop_map(|members| {
                    let members: Vec<String> =
                        members.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_answer(json in json_text()) {
            let whole = scan(&[json.as_bytes()]);
            prop_assert!(!whole.1, "well-formed JSON is read to its end: {json}");
            let bytes: Vec<&[u8]> = json.as_bytes().chunks(1).collect();
            prop_assert_eq!(&scan(&bytes), &whole);
            for at in 0..=json.len() {
                let (head, tail) = json.as_bytes().split_at(at);
                prop_assert_eq!(&scan(&[head, tail]), &whole, "split at byte {}", at);
            }
        }

        #[test]
        fn captured_values_equal_those_of_a_whole_parser(json in json_text()) {
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assume!(value.is_object());
            let (found, _) = scan(&[json.as_bytes()]);
            let last = |name: &str| found.0.iter().rev().find(|(field, _)| field == name).and_then(|(_, raw)| raw.clone());
            for name in ["model", "usage"] {
                let captured = last(name).map(|raw| serde_json::from_slice::<serde_json::Value>(&raw).unwrap());
                prop_assert_eq!(captured.as_ref(), value.get(name));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
            let cut = cut.min(bytes.len());
            let (head, tail) = bytes.split_at(cut);
            prop_assert_eq!(scan(&[head, tail]), scan(&[&bytes]));
        }
    }
}
