//! A file of each format, made up after the shapes that providers document, and read however its bytes come.

use std::io::{BufRead, Read};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Asked, Bill, read};

/// All lines, by days of UTC.
pub(super) const ASKED: Asked<'static> =
    Asked { zone: &TimeZone::UTC, only: None, today: jiff::civil::date(2026, 11, 30) };

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
    read::read(&mut bill, "f", from, &ASKED).map(|()| bill)
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

fn focus(start: &str, end: &str) -> String {
    format!(
        "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ServiceName\n{start},{end},4,USD,OpenAI API\n"
    )
}

fn refused(text: &str) -> String {
    bill(text.as_bytes()).unwrap_err()
}

#[test]
fn a_line_of_more_than_a_day_is_refused_with_what_to_export() {
    let month = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
    let google = format!(
        "usage_start_time,usage_end_time,cost,currency,service.description,sku.description\n{},{},1,USD,Vertex AI,x\n",
        month.0, month.1
    );
    let aws = format!(
        "line_item_usage_start_date,line_item_usage_end_date,line_item_unblended_cost,line_item_usage_type,\
         line_item_product_code\n{},{},1,x,AmazonBedrock\n",
        month.0, month.1
    );
    let openai = "start_time,end_time,amount_value\n1793491200,1796083200,1\n";
    let anthropic =
        format!("{{\"starting_at\":\"{}\",\"ending_at\":\"{}\",\"amount\":\"1\"}}", month.0, month.1);
    for (text, expected) in [
        (
            focus(month.0, month.1).as_str(),
            "f: line 2: column `ChargePeriodEnd` is `2026-11-01T00:00:00Z`, and the line begins at \
             `2026-10-01T00:00:00Z`: it is for 31 days, and which of them it is for cannot be told; export costs by day",
        ),
        (focus("2026-10-01", "2026-10-03").as_str(), "it is for 2 days"),
        (google.as_str(), "column `usage_end_time` is `2026-11-01T00:00:00Z`"),
        (aws.as_str(), "granularity `DAILY` or `HOURLY`"),
        (openai, "column `end_time` is `1796083200`"),
        (anthropic.as_str(), "f: line 1: column `ending_at` is `2026-11-01T00:00:00Z`"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{error}");
    }
    // A line of another provider than asked for does not matter.
    let asked = Asked { only: Some("vertex"), ..ASKED };
    let mut other = Bill::default();
    read::read(&mut other, "f", focus(month.0, month.1).as_bytes(), &asked).unwrap();
    assert_eq!((other.rows.len(), other.passed_over), (0, 1));
}

#[test]
fn a_line_ends_after_it_begins_and_on_a_day_that_was() {
    for (start, end, expected) in [
        ("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z", "which is not after the line's start"),
        (
            "2026-11-02T00:00:00Z",
            "2026-11-01T00:00:00Z",
            "column `ChargePeriodEnd` is `2026-11-01T00:00:00Z`",
        ),
        ("2026-11-02T00:00:00Z", "", "column `ChargePeriodEnd` has no value"),
        ("2026-11-02T00:00:00Z", "soon", "column `ChargePeriodEnd` is `soon`, which is no time"),
        (
            "2026-12-02T00:00:00Z",
            "2026-12-03T00:00:00Z",
            "column `ChargePeriodStart` is `2026-12-02T00:00:00Z`, which is not yet",
        ),
        ("2019-12-31T00:00:00Z", "2020-01-01T00:00:00Z", "which is before 2020-01-01"),
    ] {
        let error = refused(&focus(start, end));
        assert!(error.contains("f: line 2: ") && error.contains(expected), "{error}");
    }
    let summed = r#"{"tollgate_bill":1,"lines":1,"passed_over_lines":0,"rounded_amounts":0,"rows":[{"day":"2027-01-01",
        "provider":"openai","model":"m","cost_usd":"1","lines":1,"counted_lines":0,"tokens":"0"}]}"#;
    assert!(refused(summed).contains("column `rows[0].day` is `2027-01-01`, which is not yet"));
    bill(focus("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z").as_bytes()).unwrap();
}

#[test]
fn a_whole_day_keeps_its_day_and_a_part_of_one_has_that_of_the_zone() {
    for (start, end, tz, expected) in [
        ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "America/New_York", "2026-11-20"),
        // Days of India, and of California with the hour that comes twice.
        ("2026-11-19T18:30:00Z", "2026-11-20T18:30:00Z", "Asia/Kolkata", "2026-11-20"),
        ("2026-11-19T18:30:00Z", "2026-11-20T18:30:00Z", "UTC", "2026-11-20"),
        ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z", "America/Los_Angeles", "2026-11-01"),
        ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z", "UTC", "2026-11-01"),
        ("2026-11-20T03:00:00Z", "2026-11-20T04:00:00Z", "America/New_York", "2026-11-19"),
        ("2026-11-20", "2026-11-21", "America/New_York", "2026-11-20"),
    ] {
        let zone = TimeZone::get(tz).unwrap();
        let mut bill = Bill::default();
        let asked = Asked { zone: &zone, ..ASKED };
        read::read(&mut bill, "f", focus(start, end).as_bytes(), &asked).unwrap();
        let days: Vec<String> = bill.rows.keys().map(|(day, ..)| day.to_string()).collect();
        assert_eq!(days, [expected], "{start} {tz}");
    }
}

#[test]
fn each_file_and_each_page_counts_once_and_all_pages_are_needed() {
    let page = |start: u64, has_more: bool| {
        format!(
            "{{\"data\":[{{\"start_time\":{start},\"end_time\":{},\"results\":[{{\"amount\":{{\"value\":1}}}}]}}],\
             \"has_more\":{has_more}}}\n",
            start + 86_400
        )
    };
    let (first, last) = (page(1_795_132_800, true), page(1_795_219_200, false));
    let read_all = |files: &[(&str, &str)]| {
        let mut bill = Bill::default();
        files.iter().try_for_each(|(name, text)| read::read(&mut bill, name, text.as_bytes(), &ASKED))?;
        bill.whole().map(|()| bill.lines)
    };
    let error = read_all(&[("a", &first)]).unwrap_err();
    assert!(
        error.contains("a: line 1: `has_more` is true, and the next page from 1795219200 on is missing"),
        "{error}"
    );
    assert_eq!(read_all(&[("a", &first), ("b", &last)]), Ok(2));
    assert_eq!(read_all(&[("a", &format!("{first}{last}"))]), Ok(2));
    let csv = focus("2026-11-20", "2026-11-21");
    let spread = first.replace(':', ": ");
    for files in [
        [("a.csv", csv.as_str()), ("b.csv", &csv.replace('\n', "\r\n"))],
        [("a.json", last.as_str()), ("b.json", &format!("{first}{last}"))],
        [("a.json", first.as_str()), ("b.json", &format!("{spread}{last}"))],
    ] {
        let error = read_all(&files).unwrap_err();
        assert!(error.starts_with("b.") && error.contains("says the same as a."), "{error}");
    }
    let error = read_all(&[("a", &format!("{last}{last}"))]).unwrap_err();
    assert!(error.contains("a: line 2: says the same as a: line 1"), "{error}");
}

#[test]
fn files_that_are_no_text_of_commas_are_named_with_what_to_do() {
    let utf16: Vec<u8> = "start_time,".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark: Vec<u8> = [&[0xFF, 0xFE], utf16.as_slice()].concat();
    for (bytes, expected) in [
        (b"\x1f\x8b\x08\x00".as_slice(), "f: is compressed with gzip; unpack it first"),
        (b"PK\x03\x04", "f: is a ZIP archive"),
        (b"PAR1", "f: is Parquet"),
        (&utf16, "f: is no UTF-8, but like UTF-16"),
        (&with_mark, "f: is no UTF-8, but like UTF-16"),
        (b"start_time;amount_value\n1;2\n", "f: line 1: columns stand between `;`; write them with commas"),
        (b"start_time\tamount_value\n1\t2\n", "f: line 1: columns stand between tabs"),
    ] {
        let error = bill(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_summed_bill_reads_back_as_it_was_and_another_version_is_refused() {
    let mut whole = Bill::default();
    for (_, text, ..) in FILES {
        read::read(&mut whole, "f", text.as_bytes(), &ASKED).unwrap();
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
