//! Files into a bill, row by row.

use std::io::{BufRead, Cursor, Read as _};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::sources::{Hash, Hashed, Page};
use super::{Asked, Bill, Line, Row, Wrong, anthropic, aws, focus, google, openai, squashed, summed};
use crate::model::nearest::{listed, nearest};

/// Adds what a file says to a bill: of all providers, or of one. When all files have been read,
/// [`Bill::whole`] says whether a page is missing.
///
/// CSV is read row by row, JSON line by line; a JSON document over several lines may have 64 MiB.
///
/// # Errors
/// What is wrong, with the file, the line and the column.
pub fn read(bill: &mut Bill, file: &str, mut from: impl BufRead, asked: &Asked<'_>) -> Result<(), String> {
    let (lead, first) = lead(&mut from).map_err(|error| format!("{file}: cannot be read: {error}"))?;
    let begins = lead.get(first..).unwrap_or_default();
    if let Some((_, what)) = OTHERS.iter().find(|(bytes, _)| begins.starts_with(bytes)) {
        return Err(format!("{file}: is {what}"));
    }
    if begins.get(1) == Some(&0) {
        return Err(format!("{file}: is {UTF_16}"));
    }
    let first = begins.first().copied();
    let mut hash = Hash::new(true);
    let from = Hashed { from: Cursor::new(lead).chain(from), hash: &mut hash };
    let mut reader = Reader { bill, file, asked, format: None };
    match first {
        None => Err(format!("{file}: is empty; a cost export as CSV or JSON would be right")),
        Some(b'{' | b'[') => reader.json(from),
        Some(_) => reader.csv(from),
    }?;
    bill.sources.add(file, hash)
}

/// The first bytes that say something, with what stands before them and how long that is: however they come.
fn lead(from: &mut impl BufRead) -> std::io::Result<(Vec<u8>, usize)> {
    let (mut lead, mut before) = (Vec::new(), 0);
    while lead.len() < LEAD_BYTES_MAX && lead.len() < before + TOLD_BY {
        let Some(byte) = from.fill_buf()?.first().copied() else { break };
        from.consume(1);
        if before == lead.len() && is_before(byte) {
            before += 1;
        }
        lead.push(byte);
    }
    Ok((lead, before))
}

/// Whether a byte may stand before a file's first: white space, and the parts of a byte order mark.
const fn is_before(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xEF | 0xBB | 0xBF)
}

struct Reader<'a> {
    bill: &'a mut Bill,
    file: &'a str,
    asked: &'a Asked<'a>,
    format: Option<&'static Format>,
}

impl Reader<'_> {
    fn csv(&mut self, from: impl BufRead) -> Result<(), String> {
        let mut rows = csv::ReaderBuilder::new().from_reader(from);
        let shown = |error: csv::Error| format!("{}: {error}", self.file);
        let headers = rows.headers().map_err(shown)?;
        let names: Vec<String> = headers.iter().map(squashed).collect();
        let whole = headers.get(0).filter(|_| headers.len() == 1).unwrap_or_default();
        if let Some((_, sign)) = SEPARATORS.iter().find(|(sign, _)| whole.contains(*sign)) {
            let message =
                format!("columns stand between {sign}; write them with commas, and amounts as `12.34`");
            return Err(self.at(1, &message));
        }
        self.format = Some(self.recognized(&names, 1)?);
        let mut record = csv::StringRecord::new();
        while rows.read_record(&mut record).map_err(|error| format!("{}: {error}", self.file))? {
            let line = record.position().map_or(0, csv::Position::line);
            let cells: Vec<&str> = record.iter().collect();
            self.row(&names, &cells, line)?;
        }
        Ok(())
    }

    fn json(&mut self, mut from: impl BufRead) -> Result<(), String> {
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            let read = from.by_ref().take(DOCUMENT_BYTES_MAX).read_line(&mut text);
            let read = read.map_err(|error| format!("{}: line {line}: {error}", self.file))?;
            if read == 0 {
                return Ok(());
            }
            let shown = text.trim().trim_start_matches('\u{feff}');
            if shown.is_empty() {
                continue;
            }
            if line == 1 && serde_json::from_str::<&RawValue>(shown).is_err() {
                from.by_ref()
                    .take(DOCUMENT_BYTES_MAX)
                    .read_to_string(&mut text)
                    .map_err(|error| format!("{}: {error}", self.file))?;
                if text.len() as u64 >= DOCUMENT_BYTES_MAX {
                    return Err(format!(
                        "{}: is one JSON document above 64 MiB; write JSON lines",
                        self.file
                    ));
                }
                return self.document(text.trim().trim_start_matches('\u{feff}'), &Cells::default(), 1);
            }
            self.document(shown, &Cells::default(), line)?;
        }
        Ok(())
    }

    /// A page, a bucket, a list of rows, or a row, whose outer members belong to each of its rows.
    fn document(&mut self, text: &str, outer: &Cells, line: u64) -> Result<(), String> {
        if text.starts_with('[') {
            let items: Vec<&RawValue> = self.parsed(text, line)?;
            return items.into_iter().try_for_each(|item| self.document(item.get(), outer, line));
        }
        let members: Members<'_> = self.parsed(text, line)?;
        if members.contains_key(summed::MARK) {
            self.added(text, line)?;
            return self.bill.add_document(text, self.asked).map_err(|error| self.at(line, &error));
        }
        let inner = members.iter().find(|(name, value)| {
            matches!(name.as_str(), "data" | "results") && value.get().starts_with('[')
        });
        let mut cells = outer.clone();
        for (name, value) in &members {
            if inner.is_none_or(|(inner, _)| inner != name) {
                cells.flatten(name, value.get()).map_err(|error| self.at(line, &error))?;
            }
        }
        if let Some((_, items)) = inner {
            self.page(&members, items, line)?;
            return self.document(items.get(), &cells, line);
        }
        self.format = Some(self.recognized(&cells.names, line)?);
        let values: Vec<&str> = cells.values.iter().map(String::as_str).collect();
        self.row(&cells.names, &values, line)
    }

    /// Notes a page: it counts once, and may need another one.
    fn page(&mut self, members: &Members<'_>, items: &RawValue, line: u64) -> Result<(), String> {
        let Some(more) = members.get("has_more") else { return Ok(()) };
        let buckets: Vec<&RawValue> = self.parsed(items.get(), line)?;
        let told = |bucket: Option<&&RawValue>, names: [&str; 2]| {
            let members: Members<'_> = serde_json::from_str(bucket?.get()).ok()?;
            names.iter().find_map(|name| members.get(*name)).map(|value| value.get().to_owned())
        };
        let page = Page {
            name: format!("{}: line {line}", self.file),
            has_more: more.get() == "true",
            first: told(buckets.first(), ["start_time", "starting_at"]),
            end: told(buckets.last(), ["end_time", "ending_at"]),
        };
        self.bill.sources.add_page(page);
        if buckets.is_empty() { Ok(()) } else { self.added(items.get(), line) }
    }

    /// Notes a document that counts once.
    fn added(&mut self, text: &str, line: u64) -> Result<(), String> {
        self.bill.sources.add(&format!("{}: line {line}", self.file), Hash::of(text))
    }

    fn parsed<'t, T: serde::Deserialize<'t>>(&self, text: &'t str, line: u64) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| self.at(line, &format!("is no JSON: {error}")))
    }

    fn row(&mut self, names: &[String], cells: &[&str], number: u64) -> Result<(), String> {
        let Some(format) = self.format else { return Ok(()) };
        self.bill.lines = self.bill.lines.saturating_add(1);
        let read = (format.line)(&Row {
            names,
            cells,
            asked: self.asked,
            zone: self.asked.zone,
            finer: format.finer,
        });
        let read =
            read.map_err(|wrong| self.at(number, &format!("column `{}` {}", wrong.column, wrong.message)))?;
        match read {
            Some(line) => self.bill.add(line),
            None => self.bill.passed_over = self.bill.passed_over.saturating_add(1),
        }
        Ok(())
    }

    /// The format whose mark is among the columns, with all that it needs.
    fn recognized(&self, names: &[String], line: u64) -> Result<&'static Format, String> {
        let has = |column: &str| names.contains(&squashed(column));
        let format = FORMATS.iter().find(|format| has(format.mark)).ok_or_else(|| {
            let marks = FORMATS.iter().map(|format| format.mark);
            let known = FORMATS.iter().map(|format| format!("{} has `{}`", format.name, format.mark));
            let near = names.iter().find_map(|name| nearest(name, marks.clone()));
            let near = near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            let known = known.collect::<Vec<_>>().join(", ");
            self.at(line, &format!("no column tells a format that is known: {known}{near}"))
        })?;
        match format.needs.iter().find(|column| !has(column)) {
            None => Ok(format),
            Some(column) => Err(self.at(
                line,
                &format!(
                    "column `{column}` is missing; {} needs {}",
                    format.name,
                    listed(format.needs.iter().copied())
                ),
            )),
        }
    }

    fn at(&self, line: u64, message: &str) -> String {
        format!("{}: line {line}: {message}", self.file)
    }
}

/// Members of an object, in its order, as text.
type Members<'a> = std::collections::BTreeMap<String, &'a RawValue>;

/// Members of objects within each other, by names with all the names before them.
#[derive(Clone, Debug, Default)]
struct Cells {
    names: Vec<String>,
    values: Vec<String>,
}

impl Cells {
    fn flatten(&mut self, name: &str, text: &str) -> Result<(), String> {
        let bad = |error: serde_json::Error| format!("`{name}` is no JSON: {error}");
        if text.starts_with('{') {
            let members: Members<'_> = serde_json::from_str(text).map_err(bad)?;
            return members
                .iter()
                .try_for_each(|(inner, value)| self.flatten(&format!("{name}.{inner}"), value.get()));
        }
        let value = match text {
            "null" => String::new(),
            text if text.starts_with('"') => owned(text).map_err(bad)?,
            text => text.to_owned(),
        };
        self.names.push(squashed(name));
        self.values.push(value);
        Ok(())
    }
}

fn owned<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}

/// A format of rows.
#[derive(Debug)]
struct Format {
    name: &'static str,
    /// The column that no other format has.
    mark: &'static str,
    needs: &'static [&'static str],
    /// What to export where a line is of more than a day.
    finer: &'static str,
    line: fn(&Row<'_>) -> Result<Option<Line>, Wrong>,
}

/// Bytes of one JSON document, which is held whole.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
/// White space that a file may begin with.
const LEAD_BYTES_MAX: usize = 64 << 10;
/// How files begin that are something else, and what to do.
const OTHERS: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "compressed with gzip; unpack it first (`gunzip`)"),
    (b"PK\x03\x04", "a ZIP archive, as sheets of Excel are too; unpack it first, and save sheets as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first (`unzstd`)"),
    (b"PAR1", "Parquet; write it as CSV or JSON lines first"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"\0", UTF_16),
];
const UTF_16: &str = "no UTF-8, but like UTF-16; save it as UTF-8 first (`iconv -f UTF-16 -t UTF-8`)";
/// Signs that stand between columns in place of commas.
const SEPARATORS: [(char, &str); 3] = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")];
/// So many bytes tell what a file is.
const TOLD_BY: usize = 4;
/// The formats; what stands first wins.
const FORMATS: [Format; 6] = [
    Format {
        name: "AWS CUR",
        mark: "line_item_usage_start_date",
        needs: &[
            "line_item_unblended_cost",
            "line_item_usage_type",
            "line_item_product_code",
            "line_item_usage_end_date",
        ],
        finer: "make the report with the time granularity `DAILY` or `HOURLY`, and leave out lines of taxes, credits and \
                fees, which are of months",
        line: aws::line,
    },
    Format {
        name: "FOCUS",
        mark: "ChargePeriodStart",
        needs: &["BilledCost", "BillingCurrency", "ChargePeriodEnd"],
        finer: "export costs by day or by hour, and leave out lines of taxes, credits and fees, which are of months",
        line: focus::line,
    },
    Format {
        name: "Google's billing export",
        mark: "usage_start_time",
        needs: &["cost", "currency", "service.description", "sku.description", "usage_end_time"],
        finer: "export the usage cost export's own lines, which are of hours, and do not sum them by month",
        line: google::line,
    },
    Format {
        name: "Anthropic's cost report",
        mark: "starting_at",
        needs: &["amount"],
        finer: "ask for it with `bucket_width=1d`",
        line: anthropic::line,
    },
    Format {
        name: "Anthropic's CSV",
        mark: "usage_date_utc",
        needs: &["cost_usd", "model"],
        finer: "export costs by day",
        line: anthropic::line,
    },
    Format {
        name: "OpenAI's costs",
        mark: "amount_value",
        needs: &["start_time"],
        finer: "ask for it with `bucket_width=1d`",
        line: openai::line,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(text: &str) -> Result<Bill, String> {
        let mut bill = Bill::default();
        read(&mut bill, "f", text.as_bytes(), &super::super::tests::ASKED).map(|()| bill)
    }

    fn rows(text: &str) -> Vec<String> {
        let rows = bill(text).unwrap().rows;
        rows.iter()
            .map(|((day, by, model), of)| format!("{day} {by} {model} {} {}", of.cost, of.tokens))
            .collect()
    }

    #[test]
    fn every_format_is_told_apart_and_read() {
        for (text, expected) in [
            (
                "{\"object\":\"page\",\"data\":[{\"start_time\":1730419200,\"end_time\":1730505600,\n\"results\":[{\"amount\":\
                 {\"value\":0.06,\"currency\":\"usd\"},\"line_item\":\"gpt-4o-2024-08-06, input\"}]}],\"has_more\":false}",
                "2024-11-01 openai gpt-4o-2024-08-06 0.060000000000 0",
            ),
            (
                "start_time,amount_value,amount_currency,line_item,other\n1730419200,1.5e-3,usd,\"gpt-4o, output\",x\n",
                "2024-11-01 openai gpt-4o 0.001500000000 0",
            ),
            (
                "{\"data\":[{\"starting_at\":\"2026-11-01T00:00:00Z\",\"ending_at\":\"2026-11-02T00:00:00Z\",\"results\":\
                 [{\"amount\":\"123.45\",\"currency\":\"USD\",\"description\":\"Claude Sonnet 4.5 Usage - Input Tokens\",\
                 \"model\":null}]}]}",
                "2026-11-01 anthropic claude sonnet 4.5 1.234500000000 0",
            ),
            (
                "usage_date_utc,model,cost_usd\n2026-11-01,claude-sonnet-4-5,2\n",
                "2026-11-01 anthropic claude-sonnet-4-5 2.000000000000 0",
            ),
            ("lineItem/UsageStartDate\n", ""),
            (
                "line_item_usage_start_date,line_item_usage_end_date,line_item_product_code,line_item_usage_type,\
                 line_item_unblended_cost,line_item_usage_amount,pricing_unit\n2026-11-01T05:00:00Z,2026-11-01T06:00:00Z,AmazonBedrock,USE1-Claude4.5Sonnet-input-tokens,\
                 0.003,1.5,1K tokens\n2026-11-01T05:00:00Z,,AmazonEC2,BoxUsage,9,1,Hrs\n",
                "2026-11-01 bedrock claude4.5sonnet 0.003000000000 1500",
            ),
            (
                "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ServiceName,SkuMeter\n\
                 2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,4,USD,OpenAI API,gpt-4o\n",
                "2026-11-01 openai gpt 4o 4.000000000000 0",
            ),
            (
                "{\"usage_start_time\":\"2026-11-01 03:00:00 UTC\",\"usage_end_time\":\"2026-11-01 04:00:00 UTC\",\"cost\":2.5,\"currency\":\"USD\",\"service\":{\"description\":\
                 \"Vertex AI\"},\"sku\":{\"description\":\"Gemini 2.5 Pro Text Input - Predictions\"},\"credits\":\
                 [{\"amount\":-0.5}]}\n",
                "2026-11-01 vertex gemini 2.5 pro 2.000000000000 0",
            ),
        ] {
            if expected.is_empty() {
                assert!(bill(text).unwrap_err().contains("`line_item_unblended_cost` is missing"), "{text}");
            } else {
                assert_eq!(rows(text), [expected], "{text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_column() {
        for (text, expected) in [
            ("", "f: is empty"),
            ("a,b\n1,2\n", "f: line 1: no column tells a format"),
            ("start_time,amount_value\n1730419200,x\n", "f: line 2: column `amount_value` is `x`"),
            ("start_time,amount_value\nsoon,1\n", "f: line 2: column `start_time` is `soon`"),
            ("start_time,amount_value,amount_currency\n1,1,EUR\n", "column `amount_currency` is `EUR`; only"),
            ("amount_value\n1\n", "f: line 1: column `start_time` is missing"),
        ] {
            let error = bill(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
