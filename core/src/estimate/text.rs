//! Tokens of a text, counted by the pieces that OpenAI's o200k encoding cuts it into.
//!
//! That encoding first cuts a text by rules: words with the space or mark before them, numbers of up to three
//! digits, runs of marks, runs of space. Nine pieces out of ten are one token. Into how many tokens a word or
//! a run of marks falls is told by its groups of three characters: each adds or takes a little, by a table of
//! four bits a group.
//!
//! Long: one state machine over characters, whose states are the pieces of the encoding.

use super::characters::{Class, Sort, class, folded, sort};
use super::weights::{BEGINNING, CAPITAL, CAPITALISED, CAPITALS, EACH, GROUPS, LENGTHS, MARKS, WORD, weight};

/// Counts a text that arrives in any pieces; holds a few numbers, whatever arrives.
///
/// ```
/// use tollgate_core::estimate::TextCounter;
///
/// let mut counter = TextCounter::default();
/// counter.feed(b"How many tok");
/// counter.feed(b"ens are these?");
/// assert_eq!(counter.tokens(), 6);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TextCounter {
    /// Of the pieces that have ended.
    units: u64,
    piece: Piece,
    /// Bytes of a character that is cut.
    cut: [u8; 4],
    cut_len: u8,
}

/// The piece that is under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Piece {
    kind: Kind,
    /// The last three characters.
    key: u32,
    /// What its groups came to in the table, and how many there were.
    groups: u32,
    eighths: u32,
    /// What else it comes to.
    units: i32,
    /// Characters that are told by themselves.
    letters: u8,
    capitals: u8,
    begins_capital: bool,
    has_small: bool,
    /// Of marks: how many, whether a space stands before them and a line's end behind them. Of a number: its
    /// digits.
    length: u8,
    led: bool,
    closed: bool,
    /// The last space or mark.
    last: u32,
    /// Behind a word: an apostrophe, and the letter behind that, which may still belong to it (`we're`).
    suffix: Suffix,
    /// Of space: whether it has line ends, and how many spaces follow the last of them.
    has_newline: bool,
    spaces: u8,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    #[default]
    None,
    Word,
    Number,
    Marks,
    Space,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Suffix {
    #[default]
    None,
    Apostrophe,
    /// An apostrophe and this letter.
    Letter(u8),
}

impl TextCounter {
    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        (self.all_units() + UNITS / 2) / UNITS
    }

    fn all_units(&self) -> u64 {
        self.units.saturating_add(self.piece.units_so_far())
    }

    /// Adds what `whole` counted since it was `before`.
    pub fn add_since(&mut self, whole: &Self, before: &Self) {
        self.units = self.units.saturating_add(whole.all_units().saturating_sub(before.all_units()));
    }

    /// Reads a piece of UTF-8. What is not UTF-8 counts as other characters.
    pub fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match byte {
                0x80.. => {
                    self.multibyte(byte);
                    tail
                }
                b'a'..=b'z' if self.piece.takes_small_letters() => {
                    self.cut_len = 0;
                    self.piece.small_letters(rest)
                }
                b' ' if self.piece.kind == Kind::Word && self.piece.suffix == Suffix::None => {
                    self.cut_len = 0;
                    if tail.first().is_some_and(u8::is_ascii_alphabetic) {
                        rest = self.words(tail);
                        continue;
                    }
                    self.begin_space();
                    (self.piece.spaces, self.piece.last) = (1, SPACE);
                    tail
                }
                _ => {
                    self.cut_len = 0;
                    self.character(u32::from(byte));
                    tail
                }
            };
        }
    }

    /// Words with a space, or a full stop or comma and a space, between: as most of a text is that, nothing
    /// else of a piece is looked at. `bytes` begins with a letter behind a word and a space; gives what
    /// follows the last word.
    fn words<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let [_, spaced, _] = WORD;
        let mut units = self.all_units();
        let mut rest = bytes;
        loop {
            let mut groups = Groups { key: SPACE, eighths: 0, count: 0 };
            let capital = matches!(rest.first(), Some(b'A'..=b'Z'));
            if let (true, Some((letter, tail))) = (capital, rest.split_first()) {
                groups.take(*letter | 0x20);
                rest = tail;
            }
            rest = groups.small_letters(rest);
            let (mark, behind) = match rest.split_first() {
                Some((mark @ (b'.' | b','), tail)) => (lone_mark(*mark), tail),
                _ => (0, rest),
            };
            match behind.split_first() {
                Some((b' ', tail)) if tail.first().is_some_and(u8::is_ascii_alphabetic) => {
                    let capitalised = if capital { i64::from(CAPITALISED) } else { 0 };
                    let word = groups.units() + i64::from(spaced) + length(groups.count) + capitalised;
                    units = units.saturating_add(at_least_one(word)).saturating_add(mark);
                    rest = tail;
                }
                _ => {
                    self.units = units;
                    self.piece = Piece {
                        kind: Kind::Word,
                        key: groups.key,
                        groups: groups.count,
                        eighths: groups.eighths,
                        units: spaced,
                        letters: u8::try_from(groups.count).unwrap_or(u8::MAX),
                        capitals: u8::from(capital),
                        begins_capital: capital,
                        has_small: groups.count > u32::from(capital),
                        ..Piece::default()
                    };
                    return rest;
                }
            }
        }
    }

    fn multibyte(&mut self, byte: u8) {
        if byte >= 0xC0 {
            self.cut_len = 0;
        }
        if let Some(slot) = self.cut.get_mut(usize::from(self.cut_len)) {
            *slot = byte;
            self.cut_len += 1;
        }
        let expected = match self.cut {
            [0xC0..=0xDF, ..] => 2,
            [0xE0..=0xEF, ..] => 3,
            [0xF0..=0xF7, ..] => 4,
            _ => 1,
        };
        if self.cut_len >= expected {
            let character =
                self.cut.get(..usize::from(self.cut_len)).and_then(|bytes| std::str::from_utf8(bytes).ok());
            self.cut_len = 0;
            let character = character.and_then(|text| text.chars().next());
            self.character(u32::from(character.unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
    }

    fn character(&mut self, code: u32) {
        if self.piece.suffix != Suffix::None && self.is_suffix(code) {
            return;
        }
        match sort(code) {
            Sort::Letter => self.letter(code, false),
            Sort::Capital => self.letter(code, true),
            Sort::Digit => self.digit(),
            Sort::Newline => self.newline(code),
            Sort::Space => self.space(code),
            Sort::Mark => self.mark(code),
        }
    }

    /// Whether this belongs to the word and apostrophe before it. Where it does not, the apostrophe begins a
    /// piece.
    fn is_suffix(&mut self, code: u32) -> bool {
        let small = u8::try_from(code).unwrap_or(0) | 0x20;
        match (self.piece.suffix, small) {
            (Suffix::Apostrophe, b's' | b'm' | b'd' | b't') => {
                self.piece.take(APOSTROPHE);
                self.piece.take_letter(code);
            }
            (Suffix::Apostrophe, b'r' | b'v' | b'l') => {
                self.piece.suffix = Suffix::Letter(u8::try_from(code).unwrap_or(0));
                return true;
            }
            (Suffix::Letter(b'r' | b'R' | b'v' | b'V'), b'e') | (Suffix::Letter(b'l' | b'L'), b'l') => {
                let Suffix::Letter(letter) = self.piece.suffix else { return false };
                self.piece.take(APOSTROPHE);
                self.piece.take_letter(u32::from(letter));
                self.piece.take_letter(code);
            }
            (suffix, _) => {
                self.end_piece();
                self.piece.begin_marks(None);
                self.piece.length = 1;
                self.piece.last = APOSTROPHE;
                self.piece.take(APOSTROPHE);
                if let Suffix::Letter(letter) = suffix {
                    self.piece.begin_word(Some(APOSTROPHE), u32::from(letter));
                    self.piece.take_letter(u32::from(letter));
                    self.piece.has_small = true;
                }
                return false;
            }
        }
        self.end_piece();
        true
    }

    fn letter(&mut self, code: u32, capital: bool) {
        let begins = match self.piece.kind {
            Kind::Word => capital && self.piece.has_small,
            Kind::None | Kind::Number | Kind::Marks | Kind::Space => true,
        };
        if begins {
            let before = match self.piece.kind {
                Kind::Space => self.end_space(false),
                // One mark alone, with no space before it, belongs to the word.
                Kind::Marks if self.piece.length == 1 && !self.piece.led && !self.piece.closed => {
                    Some(self.piece.last)
                }
                Kind::None | Kind::Word | Kind::Number | Kind::Marks => {
                    self.end_piece();
                    None
                }
            };
            self.piece.begin_word(before, code);
        }
        self.piece.take_letter(code);
        self.piece.has_small |= !capital;
    }

    fn digit(&mut self) {
        if self.piece.kind == Kind::Number && self.piece.length < 3 {
            self.piece.length += 1;
            return;
        }
        if self.piece.kind == Kind::Space {
            let alone = self.end_space(false).is_some();
            self.units = self.units.saturating_add(if alone { UNITS } else { 0 });
        } else {
            self.end_piece();
        }
        self.piece.begin(Kind::Number);
        self.piece.length = 1;
    }

    fn newline(&mut self, code: u32) {
        match self.piece.kind {
            Kind::Space => {}
            Kind::Marks => {
                self.piece.closed = true;
                self.piece.take(code);
                return;
            }
            Kind::None | Kind::Word | Kind::Number => self.begin_space(),
        }
        self.piece.has_newline = true;
        self.piece.spaces = 0;
    }

    fn space(&mut self, code: u32) {
        if self.piece.kind != Kind::Space {
            self.begin_space();
        }
        self.piece.spaces = self.piece.spaces.saturating_add(1);
        self.piece.last = code;
    }

    fn mark(&mut self, code: u32) {
        match self.piece.kind {
            Kind::Word if code == APOSTROPHE => {
                self.piece.suffix = Suffix::Apostrophe;
                return;
            }
            Kind::Marks if !self.piece.closed || code == SLASH => {}
            Kind::Space => {
                let before = self.end_space(true);
                self.piece.begin_marks(before);
                self.piece.begin_class(code);
            }
            Kind::None | Kind::Word | Kind::Number | Kind::Marks => {
                self.end_piece();
                self.piece.begin_marks(None);
                self.piece.begin_class(code);
            }
        }
        self.piece.take(code);
        self.piece.length = self.piece.length.saturating_add(1);
        self.piece.last = code;
    }

    fn begin_space(&mut self) {
        self.end_piece();
        self.piece.begin(Kind::Space);
    }

    /// Ends a run of space, but for its last character, which belongs to what follows and is given back.
    /// Marks take only a plain space.
    fn end_space(&mut self, before_marks: bool) -> Option<u32> {
        let Piece { has_newline, spaces, last, .. } = self.piece;
        let given = spaces > 0 && (!before_marks || last == SPACE);
        let pieces = u64::from(has_newline) + u64::from(spaces > 1) + u64::from(spaces > 0 && !given);
        self.units = self.units.saturating_add(pieces * UNITS);
        self.piece.begin(Kind::None);
        given.then_some(last)
    }

    #[inline(never)]
    fn end_piece(&mut self) {
        self.piece.suffix = Suffix::None;
        self.units = self.all_units();
        self.piece.begin(Kind::None);
    }
}

impl Piece {
    /// Forgets the piece that ended.
    #[inline(never)]
    fn begin(&mut self, kind: Kind) {
        *self = Self { kind, ..Self::default() };
    }

    /// Begins a word with what stands before it and belongs to it.
    fn begin_word(&mut self, before: Option<u32>, first: u32) {
        self.begin(Kind::Word);
        let [bare, spaced, marked] = WORD;
        (self.units, self.key) = match before {
            None => (bare, 1),
            Some(SPACE) => (spaced, SPACE),
            Some(mark) => (marked, symbol(mark)),
        };
        self.begins_capital = is_capital(first);
        self.begin_class(first);
    }

    /// Begins marks, with a space before them that belongs to them.
    fn begin_marks(&mut self, before: Option<u32>) {
        self.begin(Kind::Marks);
        let [bare, spaced] = MARKS;
        self.led = before.is_some();
        (self.units, self.key) = if self.led { (spaced, SPACE) } else { (bare, BARE_MARKS) };
    }

    fn begin_class(&mut self, first: u32) {
        if first >= 0x80
            && let Some(class) = class(folded(first))
        {
            self.units += weight(&BEGINNING, class);
        }
    }

    /// Whether a small letter only goes on with a word, or begins one behind a single space: most of a text
    /// is that.
    fn takes_small_letters(&mut self) -> bool {
        match self.kind {
            Kind::Word => self.suffix == Suffix::None,
            Kind::Space if self.spaces == 1 && self.last == SPACE && !self.has_newline => {
                let [_, spaced, _] = WORD;
                *self = Self { kind: Kind::Word, units: spaced, key: SPACE, ..Self::default() };
                true
            }
            Kind::None | Kind::Number | Kind::Marks | Kind::Space => false,
        }
    }

    /// Small letters at the beginning of `bytes`; gives the rest.
    fn small_letters<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut groups = Groups { key: self.key, eighths: self.eighths, count: 0 };
        let rest = groups.small_letters(bytes);
        (self.key, self.eighths) = (groups.key, groups.eighths);
        self.groups = self.groups.wrapping_add(groups.count);
        self.letters = self.letters.saturating_add(u8::try_from(groups.count).unwrap_or(u8::MAX));
        self.has_small = true;
        rest
    }

    fn take_letter(&mut self, code: u32) {
        self.capitals = self.capitals.saturating_add(u8::from(is_capital(code)));
        self.take(code);
    }

    fn take(&mut self, code: u32) {
        let code = folded(code);
        if code >= 0x80 && self.take_class(code) {
            return;
        }
        self.key = self.key << 8 | letter_symbol(code);
        self.eighths = self.eighths.wrapping_add(group(self.key));
        self.groups = self.groups.wrapping_add(1);
        self.letters = self.letters.saturating_add(1);
    }

    /// Takes a character that has a class. Whether that is all of it.
    #[inline(never)]
    fn take_class(&mut self, code: u32) -> bool {
        let Some(class) = class(code) else { return false };
        self.units = self.units.saturating_add(weight(&EACH, class));
        let by_class = !matches!(class, Class::Devanagari | Class::Indic);
        if by_class {
            self.key = self.key << 8 | class_symbol(class);
        }
        by_class
    }

    /// What it comes to, should it end here.
    fn units_so_far(&self) -> u64 {
        let suffix = if self.suffix == Suffix::None { 0 } else { UNITS };
        match self.kind {
            Kind::None => 0,
            Kind::Number => UNITS,
            Kind::Space => {
                UNITS
                    * (u64::from(self.has_newline) + u64::from(self.spaces > 0) + u64::from(self.spaces > 1))
            }
            Kind::Marks | Kind::Word => self.modelled() + suffix,
        }
    }

    /// By the table.
    fn modelled(&self) -> u64 {
        let groups = Groups { key: self.key, eighths: self.eighths, count: self.groups };
        let mut units = groups.units() + i64::from(self.units);
        if self.kind == Kind::Word {
            units += length(self.letters.into());
            units += match self.capitals {
                0 => 0,
                1 if self.begins_capital => i64::from(CAPITALISED),
                capitals => i64::from(CAPITALS) + i64::from(CAPITAL) * i64::from(capitals),
            };
        }
        at_least_one(units)
    }
}

/// What the groups of a piece come to.
struct Groups {
    /// The last three characters.
    key: u32,
    eighths: u32,
    count: u32,
}

impl Groups {
    #[inline(always)]
    fn take(&mut self, letter: u8) {
        self.key = self.key << 8 | u32::from(letter);
        self.eighths = self.eighths.wrapping_add(group(self.key));
        self.count = self.count.wrapping_add(1);
    }

    /// Small letters at the beginning of `bytes`; gives the rest.
    #[inline(always)]
    fn small_letters<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (mut key, mut eighths) = (self.key, self.eighths);
        let mut rest = bytes.iter();
        let rest = loop {
            let here = rest.as_slice();
            let Some(letter @ b'a'..=b'z') = rest.next() else { break here };
            key = key << 8 | u32::from(*letter);
            eighths = eighths.wrapping_add(group(key));
        };
        (self.key, self.eighths) = (key, eighths);
        let count = u32::try_from(bytes.len() - rest.len()).unwrap_or(u32::MAX);
        self.count = self.count.wrapping_add(count);
        rest
    }

    /// With the group at the end of the piece.
    #[inline(always)]
    fn units(&self) -> i64 {
        let eighths = self.eighths.wrapping_add(group(self.key << 8 | 2));
        (i64::from(eighths) - 8 * (i64::from(self.count) + 1)) * EIGHTH
    }
}

/// What a word comes to for its length.
#[inline(always)]
fn length(letters: u32) -> i64 {
    let length = LENGTHS.get(letters as usize).or(LENGTHS.last());
    i64::from(length.copied().unwrap_or(0))
}

/// What a mark comes to that stands between a word and a space.
fn lone_mark(mark: u8) -> u64 {
    let [bare, _] = MARKS;
    let mut groups = Groups { key: BARE_MARKS, eighths: 0, count: 0 };
    groups.take(mark);
    at_least_one(groups.units() + i64::from(bare))
}

/// No piece is less than a token.
#[inline(always)]
fn at_least_one(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0).max(UNITS)
}

/// What the last three characters come to, in eighths of a token, and 8.
#[inline(always)]
fn group(key: u32) -> u32 {
    let slot = (key & 0x00FF_FFFF).wrapping_mul(0x9E37_79B1) >> 19;
    GROUPS.get(slot as usize).copied().unwrap_or(8).into()
}

/// A character in a group: eight bits.
fn symbol(code: u32) -> u32 {
    let code = folded(code);
    let class = if code < 0x80 { None } else { class(code) };
    class.map_or_else(|| letter_symbol(code), class_symbol)
}

const fn letter_symbol(code: u32) -> u32 {
    if code < 0x80 { code } else { 0x80 | code & 0x7F }
}

const fn class_symbol(class: Class) -> u32 {
    5 + class as u32
}

const fn is_capital(code: u32) -> bool {
    matches!(code, 0x41..=0x5A)
}

/// Stands before marks that have no space before them.
const BARE_MARKS: u32 = 4;
const SPACE: u32 = 0x20;
const APOSTROPHE: u32 = 0x27;
const SLASH: u32 = 0x2F;
/// Parts of a token in which is counted.
const UNITS: u64 = 64;
/// Of those, in an eighth of a token.
const EIGHTH: i64 = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(pieces: &[&[u8]]) -> TextCounter {
        let mut counter = TextCounter::default();
        for piece in pieces {
            counter.feed(piece);
        }
        counter
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_count(
            text in "([a-zA-Z0-9 \\n{}\"'/éжअあ中한😀’]|hello|camelCase|we're|n't){0,30}"
        ) {
            let whole = counted(&[text.as_bytes()]);
            for at in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                prop_assert_eq!(&counted(&[head, tail]), &whole, "split at byte {}", at);
            }
        }

        #[test]
        fn no_bytes_panic_and_more_of_them_are_never_much_less(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut counter = TextCounter::default();
            for byte in &bytes {
                let before = counter.tokens();
                counter.feed(&[*byte]);
                // A word that becomes a common one may lose a few tokens.
                prop_assert!(counter.tokens() + 20 > before);
            }
        }
    }

    /// Texts that the encoding cuts into pieces of one token each.
    #[test]
    fn pieces_are_those_of_the_encoding() {
        for (text, tokens) in [
            ("", 0),
            ("Hello", 1),
            ("Hello world", 2),
            ("we're here, don't you see", 6),
            ("1234567", 3),
            ("in 2026", 4),
            ("helloWorld", 2),
            ("the\n\nend", 3),
            ("a  b", 3),
            ("(the)", 2),
            ("{\"name\":", 3),
            ("end.\n", 2),
        ] {
            assert_eq!(counted(&[text.as_bytes()]).tokens(), tokens, "{text:?}");
        }
    }

    #[test]
    fn what_was_counted_since_is_added() {
        let before = counted(&[b"one two"]);
        let whole = counted(&[b"one two", b" three four five"]);
        let mut sum = counted(&[b"six"]);
        sum.add_since(&whole, &before);
        assert_eq!(sum.tokens(), 4);
    }
}
