//! A file of each format, made up after the shapes that providers document, and read however its bytes come.

use std::io::{BufRead, Read};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Bill, read};

/// Name, bytes, and the rows that it says.
const FILES: [(&str, &str, &[&str], u64); 8] = [
    (
        "openai.json",
        include_str!("../../../tests/bills/openai.json"),
        &["2026-11-20 openai gpt-4o-2024-08-06 0.100000000000 2 lines, 0 tokens"],
        0,
    ),
    (
        "openai.csv",
        include_str!("../../../tests/bills/openai.csv"),
        &["2026-11-20 openai gpt-4o-2024-08-06 0.100000000000 2 lines, 0 tokens"],
        1,
    ),
    (
        "anthropic.json",
        include_str!("../../../tests/bills/anthropic.json"),
        &["2026-11-20 anthropic claude-sonnet-4-5-20250929 1.334500000000 2 lines, 0 tokens"],
        0,
    ),
    (
        "anthropic.csv",
        include_str!("../../../tests/bills/anthropic.csv"),
        &["2026-11-20 anthropic Claude Haiku 4.5 0.070000000000 2 lines, 0 tokens"],
        0,
    ),
    (
        "cur.csv",
        include_str!("../../../tests/bills/cur.csv"),
        &[
            "2026-11-20 bedrock claude opus 4.5 3.000000000000 1 lines, 0 tokens",
            "2026-11-20 bedrock claude sonnet 4.5 0.004500000000 1 lines, 1500 tokens",
            "2026-11-20 bedrock claude4.5sonnet 0.000600000000 1 lines, 2000 tokens",
        ],
        1,
    ),
    (
        "focus.csv",
        include_str!("../../../tests/bills/focus.csv"),
        &["2026-11-20 azure gpt 4o 1.250000000000 1 lines, 1000 tokens"],
        1,
    ),
    (
        "google.jsonl",
        include_str!("../../../tests/bills/google.jsonl"),
        &["2026-11-20 vertex gemini 2.5 flash 3.000000000000 2 lines, 0 tokens"],
        1,
    ),
    (
        "google.csv",
        include_str!("../../../tests/bills/google.csv"),
        &["2026-11-20 vertex gemini 2.5 flash 2.000000000000 1 lines, 0 tokens"],
        0,
    ),
];

/// Bytes that come in pieces of these lengths, again and again.
struct Cut<'a> {
    rest: &'a [u8],
    lengths: Vec<usize>,
    at: usize,
    left: usize,
}

impl BufRead for Cut<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            self.left = self.lengths[self.at % self.lengths.len()];
            self.at += 1;
        }
        self.left = self.left.min(self.rest.len());
        Ok(&self.rest[..self.left])
    }

    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
        self.left -= count;
    }
}

impl Read for Cut<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

fn bill(from: impl BufRead) -> Result<Bill, String> {
    let mut bill = Bill::default();
    read::read(&mut bill, "f", from, &TimeZone::UTC, None).map(|()| bill)
}

fn said(bill: &Bill) -> Vec<String> {
    let rows = bill.rows.iter().map(|((day, by, model), of)| {
        format!("{day} {by} {model} {} {} lines, {} tokens", of.cost, of.lines, of.tokens)
    });
    rows.collect()
}

#[test]
fn a_file_of_each_format_says_its_days_models_and_costs() {
    for (name, text, expected, passed_over) in FILES {
        let bill = bill(text.as_bytes()).unwrap();
        assert_eq!(said(&bill), expected, "{name}");
        assert_eq!(bill.passed_over, passed_over, "{name}");
    }
}

#[test]
fn a_summed_bill_reads_back_as_it_was_and_another_version_is_refused() {
    let mut whole = Bill::default();
    for (_, text, ..) in FILES {
        read::read(&mut whole, "f", text.as_bytes(), &TimeZone::UTC, None).unwrap();
    }
    let document = whole.to_document();
    let read = bill(document.as_bytes()).unwrap();
    assert_eq!((said(&read), read.to_document()), (said(&whole), document.clone()));
    let later = document.replace("\"tollgate_bill\":1", "\"tollgate_bill\":2");
    let error = bill(later.as_bytes()).unwrap_err();
    assert!(error.contains("`tollgate_bill` is 2, which is another version"), "{error}");
    let odd = document.replace("\"day\":\"2026-11-20\"", "\"day\":\"someday\"");
    let error = bill(odd.as_bytes()).unwrap_err();
    assert!(error.contains("line 1: column `rows[0].day` is `someday`"), "{error}");
}

proptest! {
    #[test]
    fn however_the_bytes_come_the_answer_is_the_same(
        file in 0..FILES.len(),
        lengths in prop::collection::vec(1_usize..40, 1..8),
        before in prop::sample::select(vec!["", "\u{feff}", "\n", " \n\n"]),
        end in 0_usize..2000,
    ) {
        let text = format!("{before}{}", FILES[file].1);
        // A file may also break off anywhere.
        let bytes = &text.as_bytes()[..text.len().min(end.max(1))];
        let whole = bill(bytes).map(|bill| bill.to_document());
        let cut = bill(Cut { rest: bytes, lengths, at: 0, left: 0 }).map(|bill| bill.to_document());
        prop_assert_eq!(whole, cut);
    }
}
