//! `tollgate meter`: meters recorded exchanges offline, through the same core path as the filter.

mod costs;
mod exchange;
mod expected;

use std::io::{BufRead, Write};
use std::str::FromStr;

use anyhow::{Context, Result};
use tollgate_core::price::PriceBook;

pub use exchange::{Exchange, Metered};
pub use expected::Report;

/// How bodies are cut into pieces before they are fed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cut {
    /// One piece.
    #[default]
    Whole,
    /// Pieces of this many bytes.
    Every(usize),
    /// Pieces of 1 to 64 bytes, by a generator with this seed.
    Random(u64),
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cut = match text.strip_prefix("random:") {
            Some(seed) => seed.parse().ok().map(Self::Random),
            None => text.parse().ok().filter(|size| *size > 0).map(Self::Every),
        };
        cut.ok_or_else(|| format!("`{text}` is neither a number of bytes from 1 on nor `random:SEED`"))
    }
}

impl Cut {
    /// The pieces of `body`.
    fn pieces(self, body: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![body],
            Self::Every(size) => body.chunks(size).collect(),
            Self::Random(seed) => {
                let mut state = seed;
                let mut rest = body;
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let size = usize::try_from(state >> 58).unwrap_or(0) + 1;
                    let (piece, tail) = rest.split_at(size.min(rest.len()));
                    pieces.push(piece);
                    rest = tail;
                }
                pieces
            }
        }
    }
}

/// Meters every exchange of a JSON Lines file, and hands over each with what was metered.
///
/// # Errors
/// A line that is no exchange, with its number, and whatever `each` says.
pub fn meter(
    lines: impl BufRead,
    cut: Cut,
    book: &PriceBook,
    mut each: impl FnMut(&Exchange, &Metered) -> Result<()>,
) -> Result<()> {
    for (index, line) in lines.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let exchange: Exchange = serde_json::from_str(&line)
            .with_context(|| format!("line {} is not a recorded exchange", index + 1))?;
        let metered = exchange.meter(cut, book).with_context(|| format!("line {}", index + 1))?;
        each(&exchange, &metered)?;
    }
    Ok(())
}

/// Prints one JSON line for each exchange.
///
/// # Errors
/// As [`meter`], and what writing says.
pub fn print_lines(lines: impl BufRead, cut: Cut, book: &PriceBook, out: &mut impl Write) -> Result<()> {
    meter(lines, cut, book, |_, metered| {
        serde_json::to_writer(&mut *out, metered)?;
        out.write_all(b"\n")?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_a_size_or_a_seed() {
        assert_eq!("7".parse(), Ok(Cut::Every(7)));
        assert_eq!("random:7".parse(), Ok(Cut::Random(7)));
        for wrong in ["", "0", "-1", "random:", "random:x", "seven"] {
            assert!(wrong.parse::<Cut>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pieces_are_the_body() {
        let body: Vec<u8> = (0..=255).collect();
        for cut in [Cut::Whole, Cut::Every(1), Cut::Every(7), Cut::Random(1), Cut::Random(99)] {
            assert_eq!(cut.pieces(&body).concat(), body);
        }
    }
}
