//! What sort of character one is, without the tables of Unicode.

/// A character as the pieces of a text see it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sort {
    Letter,
    /// A capital: one behind a small letter begins a word.
    Capital,
    Digit,
    /// A line's end.
    Newline,
    Space,
    /// Everything else.
    Mark,
}

/// Characters that are counted by their class, as there are too many of them, or they are rare.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    Han,
    Kana,
    Hangul,
    Devanagari,
    Thai,
    /// Tibetan, Burmese, Khmer.
    SouthEast,
    OtherLetter,
    GeneralMark,
    FullWidthMark,
    Symbol,
    Emoji,
    LatinMark,
    Indic,
}

/// Classes that there are.
pub(super) const CLASSES: usize = Class::Indic as usize + 1;

/// The sort of a character.
#[inline(never)]
pub(super) const fn sort(code: u32) -> Sort {
    match code {
        0x30..=0x39 => Sort::Digit,
        0x0A | 0x0D => Sort::Newline,
        0x09 | 0x0B | 0x0C | 0x20 | 0x85 | 0xA0 | 0x1680 | 0x2000..=0x200A => Sort::Space,
        0x2028 | 0x2029 | 0x202F | 0x205F | 0x3000 => Sort::Space,
        0x41..=0x5A | 0xC0..=0xD6 | 0xD8..=0xDE | 0x0391..=0x03A9 | 0x0400..=0x042F => Sort::Capital,
        _ if is_letter(code) => Sort::Letter,
        _ => Sort::Mark,
    }
}

const fn is_letter(code: u32) -> bool {
    match code {
        0x61..=0x7A => true,
        // Signs and digits among the letters of Latin, Arabic and Devanagari.
        ..=0xBF | 0xD7 | 0xF7 | 0x060C | 0x061B | 0x061F | 0x0660..=0x066D | 0x06D4 => false,
        0x06F0..=0x06F9 | 0x0964 | 0x0965 => false,
        ..=0x1FFF | 0x2C00..=0x2DFF => true,
        ..=0x3040 | 0x30FB | 0x3200..=0x33FF | 0xD800..=0xF8FF => false,
        ..=0xFDFF | 0xFE70..=0xFEFC | 0xFF21..=0xFF3A | 0xFF41..=0xFF5A | 0xFF66..=0xFFDC => true,
        0x1_0000..=0x1_CFFF | 0x2_0000.. => true,
        _ => false,
    }
}

/// A letter without its case, in scripts that are told letter by letter.
pub(super) const fn folded(code: u32) -> u32 {
    match code {
        0x41..=0x5A | 0xC0..=0xDE | 0x0391..=0x03A9 | 0x0410..=0x042F => code + 0x20,
        0x0400..=0x040F => code + 0x50,
        _ => code,
    }
}

/// The class of a character; `None` where it is told by itself.
#[inline(never)]
pub(super) const fn class(code: u32) -> Option<Class> {
    Some(match code {
        ..=0x7F | 0x1E00..=0x1FFF => return None,
        0xC0..=0x024F | 0x0370..=0x077F if is_letter(code) || matches!(sort(code), Sort::Capital) => {
            return None;
        }
        0x80..=0x024F | 0x0370..=0x077F => Class::LatinMark,
        0x0900..=0x097F => Class::Devanagari,
        0x0980..=0x0DFF => Class::Indic,
        0x0E00..=0x0EFF => Class::Thai,
        0x0F00..=0x10FF | 0x1780..=0x17FF => Class::SouthEast,
        0x1100..=0x11FF | 0xAC00..=0xD7FF => Class::Hangul,
        0x2000..=0x206F => Class::GeneralMark,
        0x2070..=0x2BFF => Class::Symbol,
        0x3000..=0x3040 | 0xFE30..=0xFE4F | 0xFF00..=0xFF20 => Class::FullWidthMark,
        0x3041..=0x30FF => Class::Kana,
        0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF => Class::Han,
        0xFE00..=0xFE0F | 0x1_F000.. => Class::Emoji,
        _ => Class::OtherLetter,
    })
}
