//! Records that no gateway makes, but whoever has its token can send: what is refused, and what is corrected.

use serde_json::{Value, json};
use tollgate_core::money::Picodollars;
use tollgate_core::price::{Price, PriceBook, PricedModel, Rates, Sheet};
use tollgate_core::usage::Kind;

use super::{Accepted, accept};
use crate::model::refusal::Refusal;
use crate::work::access::Gateways;

const NOW_MS: u64 = 1_763_900_000_007;

/// Two dollars for a million of input, eight for one of output.
fn book() -> PriceBook {
    let rates = [(Kind::Input, 2_000_000), (Kind::Output, 8_000_000)];
    let rates = Rates(rates.map(|(kind, pico)| (kind, Picodollars::from_pico(pico))).into());
    let price = Price { standard: Sheet { rates, tiers: Vec::new() }, ..Price::default() };
    let model = PricedModel {
        provider: "openai".into(),
        id: "gpt-4.1".into(),
        prices: vec![price],
        ..PricedModel::default()
    };
    PriceBook::new("v1".into(), vec![model])
}

/// Ten tokens of input and a hundred of output, with what is given in the place of its members.
fn record(more: Value) -> Value {
    let charge = |kind: &str, quantity: u64, rate: &str, cost: &str| json!({"model": "gpt-4.1", "kind": kind, "quantity": quantity, "rate": rate, "cost_usd": cost});
    let mut record = json!({
        "id": "01890a5d-ac96-774b-bcce-b302099a8057", "time_ms": NOW_MS - 7, "gateway": "edge",
        "provider": "openai", "operation": "chat", "outcome": "ok", "status": 200,
        "request_model": "gpt-4.1", "usage": {"input_tokens": 10, "output_tokens": 100},
        "cost_usd": "0.00082", "cost_status": "measured", "cost_source": "book",
        "charges": [charge("input", 10, "0.000002", "0.00002"), charge("output", 100, "0.000008", "0.0008")],
        "price_basis": [{"model": "gpt-4.1", "step": "exact"}],
    });
    for (name, value) in more.as_object().unwrap() {
        record[name] = value.clone();
    }
    record
}

fn sent(record: &str) -> Accepted {
    let body = format!(
        r#"{{"protocol":2,"gateway":"edge","instance":"i","sequence":1,"sent_at_ms":5,"records":[{record}]}}"#
    );
    accept(body.as_bytes(), &book(), &Gateways::default(), NOW_MS).unwrap()
}

fn charge(rate: &str, cost: &str) -> Value {
    json!([{"model": "gpt-4.1", "kind": "input", "quantity": 10, "rate": rate, "cost_usd": cost}])
}

#[test]
fn what_no_gateway_says_of_money_or_time_is_refused_with_field_value_and_what_is_right() {
    for (more, refusal, said) in [
        (
            json!({"charges": charge("1", "500"), "cost_usd": "500"}),
            Refusal::Money,
            ["`charges`", "500", "not 10."],
        ),
        (json!({"cost_status": "free"}), Refusal::Money, ["`cost_usd`", "0.00082", "must be 0"]),
        (
            json!({"cost_status": "free", "charges": [], "cost_usd": "7"}),
            Refusal::Money,
            ["`cost_usd`", "7.", "must be 0"],
        ),
        (json!({"outcome": "denied"}), Refusal::Money, ["`cost_usd`", "0.00082", "must be 0"]),
        (
            json!({"charges": charge("-1", "-10"), "cost_usd": "-10"}),
            Refusal::Money,
            ["`charges.rate`", "-1", "from 0"],
        ),
        (json!({"time_ms": 1}), Refusal::Time, ["`time_ms`", "is 1,", "2020"]),
        (json!({"time_ms": 1_577_836_799_999_u64}), Refusal::Time, ["`time_ms`", "1577836799999", "2020"]),
    ] {
        let accepted = sent(&record(more.clone()).to_string());
        let [(rejected, why)] = accepted.rejected.as_slice() else { panic!("{more} was taken") };
        assert_eq!(*why, refusal, "{more}");
        for word in said {
            assert!(rejected.reason.contains(word), "{more}: {}", rejected.reason);
        }
    }
}

#[test]
fn what_a_call_cannot_have_cost_is_priced_here_by_its_usage() {
    for (more, note) in [
        (json!({}), None),
        // A rate far from its row's.
        (json!({"charges": charge("1000", "10000"), "cost_usd": "10000"}), Some("cost_corrected")),
        // By the book, without charges; and said to be of no row.
        (json!({"charges": [], "cost_usd": "0.50"}), Some("cost_corrected")),
        (json!({"charges": [], "cost_usd": "0.50", "price_basis": []}), Some("cost_corrected")),
        // By a word that nobody said, or that no such call costs.
        (json!({"charges": [], "cost_usd": "777", "cost_source": "provider"}), Some("provider_cost_ignored")),
        (
            json!({"charges": [], "cost_usd": "777", "cost_source": "provider", "provider_cost_usd": "777"}),
            Some("provider_cost_ignored"),
        ),
        (
            json!({"cost_usd": "777", "cost_source": "provider", "provider_cost_usd": "777"}),
            Some("provider_cost_ignored"),
        ),
    ] {
        let accepted = sent(&record(more.clone()).to_string());
        assert_eq!(accepted.rejected, [], "{more}");
        let stored: Value = serde_json::from_str(accepted.batch.body(0)).unwrap();
        assert_eq!(
            (&stored["cost_usd"], &stored["cost_status"], &stored["cost_source"]),
            (&json!("0.000820000000"), &json!("measured"), &json!("book")),
            "{more}"
        );
        let notes = stored["notes"].as_array().map_or(Vec::new(), |notes| notes.clone());
        assert_eq!(notes, note.map(|note| json!(note)).into_iter().collect::<Vec<_>>(), "{more}");
    }
}

#[test]
fn a_total_costs_what_its_kinds_do_and_no_more_than_the_dearest_rates_ten_times() {
    let total = |cost: &str, of_kinds: &str, word: &str| {
        format!(
            r#"{{"folded":3,"id":"01890a5d-ac96-774b-bcce-b302099a8058","time_ms":1763899980000,"gateway":"edge","provider":"openai","operation":"chat","span_ms":60000,"totals":{{"calls":3,"cost_usd":"{cost}","provider_cost_usd":"{word}"}},"kinds":[{{"kind":"input","quantity":1000000,"cost_usd":"{of_kinds}"}}]}}"#
        )
    };
    for (cost, of_kinds, word, is_taken) in [
        ("2", "2", "0", true),
        ("20", "20", "0", true),
        ("3", "2", "3", true),
        ("21", "21", "0", false),
        ("3", "2", "0", false),
        ("1000000", "2", "1000000", false),
        ("2320", "2", "2320", true),
        ("2321", "2", "2321", false),
    ] {
        let accepted = sent(&total(cost, of_kinds, word));
        assert_eq!(
            accepted.rejected.is_empty(),
            is_taken,
            "{cost} {of_kinds} {word}: {:?}",
            accepted.rejected
        );
    }
}
