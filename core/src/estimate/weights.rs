//! The weights of [`super::TextCounter`], in 64ths of a token.
//!
//! Fitted by least squares to o200k counts of the pieces of 3,078 texts on 2026-11-25: answers, tool calls
//! and prompts of language models, documents, source code in ten languages, manuals and interface texts in
//! 100 languages, and, each with a little weight, the encoding's own tokens.

use super::characters::{CLASSES, Class};

/// What a word comes to before its letters: bare, behind a space, behind a mark.
pub(super) const WORD: [i32; 3] = [25, 16, 60];
/// What marks come to before they are looked at: bare, behind a space.
pub(super) const MARKS: [i32; 2] = [3, 14];
/// A word that begins with its only capital.
pub(super) const CAPITALISED: i32 = 13;
/// A word with others, and each of them.
pub(super) const CAPITALS: i32 = 15;
pub(super) const CAPITAL: i32 = 4;
/// A word of so many letters.
pub(super) const LENGTHS: [i16; 16] = [-104, -41, -35, -26, -21, -12, -8, -3, 1, 4, 10, 11, 16, 21, 28, 45];
/// A piece that begins with a character of this class.
pub(super) const BEGINNING: [i16; CLASSES] = [83, 63, 85, -22, 51, -275, 154, 0, 29, -22, -24, -52, 10];
/// Each character of this class.
pub(super) const EACH: [i16; CLASSES] = [50, 44, 32, 7, 28, 99, 156, 48, 18, 48, 124, 88, 11];
/// What a group of three characters comes to, in eighths of a token and 8, by a hash of the group.
pub(super) static GROUPS: [u8; 8192] = unpacked(include_bytes!("groups.bin"));

/// The file has two of them in a byte. Looked up by each letter of a text, they are quicker alone.
#[allow(clippy::indexing_slicing)] // by the compiler, which would say so
const fn unpacked(pairs: &[u8; 4096]) -> [u8; 8192] {
    let mut groups = [0; 8192];
    let mut at = 0;
    while at < groups.len() {
        groups[at] = pairs[at / 2] >> (at % 2 * 4) & 15;
        at += 1;
    }
    groups
}

/// The weight of a class.
pub(super) fn weight(weights: &[i16; CLASSES], class: Class) -> i32 {
    i32::from(weights.get(class as usize).copied().unwrap_or(0))
}
