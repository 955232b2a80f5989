//! An answer as a page shows it: numbers are worded here, so that the page has none to work out.

use std::collections::BTreeSet;

use serde::Serialize;
use tollgate_core::money::Picodollars;
use tollgate_core::money::shown::{count, decimal, decimals, dollars};
use tollgate_core::plan::{Plan, Planned, plan, prices};
use tollgate_core::price::PriceBook;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::encodings::{Counter, Counts, Loaded, module_of};

/// The estimator of a page, with the prices that it was given.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Estimator {
    book: PriceBook,
}

#[wasm_bindgen]
impl Estimator {
    /// With a book as JSON, such as a collector's `/estimate/prices`.
    ///
    /// # Errors
    /// Says why it cannot be read.
    #[wasm_bindgen(constructor)]
    pub fn new(book: &str) -> Result<Self, String> {
        let book = prices::read(book).map_err(|error| format!("the prices cannot be read: {error}"))?;
        Ok(Self { book })
    }

    /// Prices a plan, JSON as of `POST /api/v1/estimate/plan`, at `now_ms`; answers JSON.
    ///
    /// # Errors
    /// A sentence that names the key, its value and what would be right.
    pub fn plan(&self, asked: &str, now_ms: u64, counter: &Counter) -> Result<String, String> {
        priced(&self.book, asked, now_ms, &Loaded(counter))
    }
}

/// What a page gets.
#[derive(Debug, Serialize)]
struct Answer {
    /// As the API answers it.
    planned: Planned,
    /// Its table: titles, and cells as people read them.
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// Modules that would count exactly what is estimated.
    modules: BTreeSet<&'static str>,
}

#[derive(Debug, Serialize)]
struct Column {
    title: &'static str,
    is_number: bool,
}

/// Prices a plan as [`Estimator::plan`] does.
///
/// # Errors
/// As there.
pub fn priced<C: Counts>(
    book: &PriceBook,
    asked: &str,
    now_ms: u64,
    loaded: &Loaded<C>,
) -> Result<String, String> {
    let asked: Plan =
        serde_json::from_str(asked).map_err(|error| format!("the plan cannot be read: {error}"))?;
    let planned = plan(book, loaded, &asked, now_ms)?;
    let is_estimated = |by: &str| by == "estimated";
    let estimated = planned.rows.iter().filter(|row| is_estimated(&row.counted_by));
    let answer = Answer {
        modules: estimated.filter_map(|row| module_of(&row.model)).collect(),
        columns: COLUMNS.map(|(title, is_number)| Column { title, is_number }).into(),
        rows: rows(&planned),
        planned,
    };
    serde_json::to_string(&answer).map_err(|error| error.to_string())
}

/// The rows, with as many decimals as a collector's own pages show.
fn rows(planned: &Planned) -> Vec<Vec<String>> {
    let places = |amounts: &mut dyn Iterator<Item = Option<Picodollars>>| {
        decimals(amounts.flatten().max().unwrap_or_default())
    };
    let of_call = places(&mut planned.rows.iter().map(|row| row.cost_per_call_usd));
    let of_most = places(&mut planned.rows.iter().map(|row| row.at_most_per_call_usd));
    let of_time =
        places(&mut planned.rows.iter().flat_map(|row| [row.cost_per_day_usd, row.cost_per_month_usd]));
    let money = |amount: Option<Picodollars>, places: u8| {
        amount.map_or_else(|| "unpriced".to_owned(), |amount| dollars(amount, places))
    };
    let row = |row: &tollgate_core::plan::PlannedRow| {
        vec![
            row.provider.clone(),
            row.model.clone(),
            count(row.prompt_tokens),
            row.counted_by.clone(),
            decimal(row.input_tokens_per_call.rounded(0)),
            count(row.output_tokens_per_call),
            money(row.cost_per_call_usd, of_call),
            money(row.cost_per_day_usd, of_time),
            money(row.cost_per_month_usd, of_time),
            money(row.at_most_per_call_usd, of_most),
        ]
    };
    planned.rows.iter().map(row).collect()
}

/// As the collector's table of the same has them; a test compares both.
const COLUMNS: [(&str, bool); 10] = [
    ("provider", false),
    ("model", false),
    ("prompt tokens", true),
    ("counted by", false),
    ("tokens in", true),
    ("out", true),
    ("$ a call", true),
    ("$ a day", true),
    ("$ a month", true),
    ("$ a call at most", true),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_core::price::{EMBEDDED, day_ms};

    use super::*;

    /// Counts words, by one module only.
    struct Words;

    impl Counts for Words {
        fn tokens(&self, module: &str, text: &str) -> Option<u64> {
            (module == "o200k_base").then(|| text.split_whitespace().count() as u64)
        }
    }

    fn asked(plan: &Value) -> Result<Value, String> {
        let book = PriceBook::from_files(EMBEDDED).unwrap();
        // As it crosses to a page.
        let book = prices::read(&prices::write(&book, now()).unwrap()).unwrap();
        let answer = priced(&book, &plan.to_string(), now(), &Loaded(Words))?;
        Ok(serde_json::from_str(&answer).unwrap())
    }

    fn now() -> u64 {
        day_ms("2026-11-20").unwrap()
    }

    #[test]
    fn a_plan_is_counted_by_what_is_loaded_and_says_what_would_count_the_rest() {
        let answer = asked(&json!({
            "models": ["gpt-4o", "gpt-4", "claude-sonnet-4-5", "gpt-oss-120b"], "prompt": "one two three", "output_tokens": 100,
            "calls": "1000/day",
        }))
        .unwrap();
        let by = |model: &str| {
            let rows = answer["planned"]["rows"].as_array().unwrap();
            rows.iter().find(|row| row["model"] == model).unwrap()["counted_by"].as_str().unwrap().to_owned()
        };
        assert_eq!((by("gpt-4o"), by("gpt-4")), ("o200k_base".to_owned(), "estimated".to_owned()));
        assert_eq!(
            (by("gpt-oss-120b"), by("claude-sonnet-4-5")),
            ("o200k_harmony".to_owned(), "estimated".to_owned())
        );
        assert_eq!(answer["modules"], json!(["cl100k_base"]));
        assert_eq!(answer["columns"].as_array().unwrap().len(), answer["rows"][0].as_array().unwrap().len());
    }

    #[test]
    fn money_is_worded_with_the_decimals_of_its_column() {
        let answer = asked(&json!({
            "models": ["gpt-4o", "gpt-4o-mini"], "prompt_tokens": 1000, "output_tokens": 300, "calls": "100000/month",
        }))
        .unwrap();
        // 1,000 at $0.15 and 300 at $0.60 a million; at $2.50 and $10.
        let cells = |row: usize| answer["rows"][row].as_array().unwrap()[6..9].to_vec();
        assert_eq!(cells(0), ["$0.000330", "$1.10", "$33.00"].map(Value::from));
        assert_eq!(cells(1), ["$0.005500", "$18.33", "$550.00"].map(Value::from));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = asked(
            &json!({"models": ["gpt-4o-minni"], "prompt_tokens": 1, "output_tokens": 1, "calls": "1/day"}),
        );
        assert!(error.unwrap_err().contains("did you mean `gpt-4o-mini`?"));
        assert!(asked(&json!({"colour": "red"})).unwrap_err().contains("colour"));
    }
}
