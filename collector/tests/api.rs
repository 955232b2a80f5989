//! The API of a running collector, over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{Answer, Client, TOKEN, message, record};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tollgate_collector::config::Config;
use tollgate_collector::http::server::Server;
use tollgate_core::price::{Price, PriceBook, PricedModel, Rates, Sheet};
use tollgate_core::usage::Kind;

/// A collector in this process, on a free port, that ends with the test.
struct Collector {
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    dir: TempDir,
}

impl Collector {
    fn start() -> Self {
        Self::with_book(PriceBook::default())
    }

    fn with_book(book: PriceBook) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token_file = dir.path().join("token");
        std::fs::write(&token_file, TOKEN).unwrap();
        let text = format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{}'\n[ingest]\ntoken_file = '{}'",
            dir.path().join("data").display(),
            token_file.display()
        );
        let config = Config::parse("test", &text).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::bind(&config, book).await.unwrap();
                tell.send(server.address().unwrap()).unwrap();
                server
                    .run(async {
                        let _ = stopped.await;
                    })
                    .await
                    .unwrap();
            });
        });
        let address = told.recv().unwrap();
        Self { client: Client { address }, stop: Some(stop), thread: Some(thread), dir }
    }

    fn get(&self, path: &str) -> Answer {
        self.client.get(path)
    }

    fn ok(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    fn sync(&self, sequence: u64, records: Vec<Value>) -> Value {
        let answer = self.client.sync(&message(sequence, records));
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
        assert!(self.dir.path().join("data/tollgate.db").exists());
    }
}

const PERIOD: &str = "from=2026-11-20T00:00:00Z&to=2026-11-22T00:00:00Z";

#[test]
fn a_batch_is_stored_once_and_seen_in_summary_and_records() {
    let collector = Collector::start();
    let records: Vec<Value> = (0..6).map(record).collect();
    let answer = collector.sync(7, records.clone());
    assert_eq!((&answer["ack"], &answer["stored"], &answer["duplicates"]), (&json!(7), &json!(6), &json!(0)));
    let once = collector.ok(&format!("/api/v1/summary?by=team,agent&{PERIOD}"));
    let again = collector.sync(8, records);
    assert_eq!((&again["stored"], &again["duplicates"]), (&json!(0), &json!(6)));
    let twice = collector.ok(&format!("/api/v1/summary?by=team,agent&{PERIOD}"));
    assert_eq!(once, twice, "a repeat changes nothing");

    assert_eq!(once["by"], json!(["team", "agent"]));
    assert_eq!(
        (&once["from"], &once["to"]),
        (&json!("2026-11-20T00:00:00Z"), &json!("2026-11-22T00:00:00Z"))
    );
    assert_eq!(once["total"]["calls"], 6);
    assert_eq!(once["total"]["input_tokens"], 615);
    assert_eq!(once["total"]["cost_usd"], "0.000768750000");
    assert_eq!(once["total"]["estimated_cost_usd"], "0.000000000000");
    let rows = once["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["agent"], "bot-2", "the largest cost first");
    for name in [
        "calls",
        "denied",
        "errors",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    ] {
        assert!(rows[0][name].is_u64(), "{name}");
    }

    let page = collector.ok("/api/v1/records?limit=4");
    assert_eq!(page["rows"].as_array().unwrap().len(), 4);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = collector.ok(&format!("/api/v1/records?limit=4&cursor={cursor}"));
    assert_eq!((rest["rows"].as_array().unwrap().len(), &rest["next_cursor"]), (2, &Value::Null));
    assert_eq!(page["rows"][0]["time"], "2026-11-20T15:30:00Z");
    let mut shown = page["rows"][0].clone();
    assert_eq!(collector.ok(&format!("/api/v1/records/{}", shown["id"].as_str().unwrap())), shown);
    shown.as_object_mut().unwrap().remove("time");
    let mut sent = record(5);
    sent.as_object_mut().unwrap().remove("time_ms");
    // A gateway from before it was told goes by the book.
    sent["cost_source"] = json!("book");
    assert_eq!(shown, sent, "every field is kept");
}

#[test]
fn summaries_group_filter_and_cut_time_as_asked() {
    let collector = Collector::start();
    // From 10:30 on the 20th to 13:30 on the 22nd, one an hour.
    collector.sync(1, (0..52).map(record).collect());
    let calls = |path: &str| collector.ok(path)["total"]["calls"].as_u64().unwrap();
    let all = "from=2026-11-20&to=2026-11-23";
    assert_eq!(calls(&format!("/api/v1/summary?{all}")), 52);
    assert_eq!(calls(&format!("/api/v1/summary?{all}&agent=bot-0&agent=bot-1")), 35);
    assert_eq!(calls(&format!("/api/v1/summary?{all}&agent=bot-0&team=other")), 0);
    assert_eq!(calls(&format!("/api/v1/summary?{all}&model=gpt-x-2026-01-01")), 52);
    assert_eq!(calls(&format!("/api/v1/summary?{all}&model=gpt-x")), 0, "the response model holds");
    assert_eq!(calls(&format!("/api/v1/summary?{all}&request_model=gpt-x")), 52);

    let days = collector.ok(&format!("/api/v1/summary?by=day&{all}"));
    let by_day = |answer: &Value| -> Vec<(String, u64)> {
        let rows = answer["rows"].as_array().unwrap();
        rows.iter().map(|row| (row["day"].as_str().unwrap().into(), row["calls"].as_u64().unwrap())).collect()
    };
    let utc = [("2026-11-20", 14), ("2026-11-21", 24), ("2026-11-22", 14)];
    assert_eq!(by_day(&days), utc.map(|(day, calls)| (day.to_owned(), calls)));
    let tokyo = collector.ok("/api/v1/summary?by=day&tz=Asia/Tokyo&from=2026-11-20&to=2026-11-23");
    assert_eq!(tokyo["from"], "2026-11-19T15:00:00Z");
    let tokyo_days = [("2026-11-20", 5), ("2026-11-21", 24), ("2026-11-22", 23)];
    assert_eq!(by_day(&tokyo), tokyo_days.map(|(day, calls)| (day.to_owned(), calls)));

    let hours =
        collector.ok("/api/v1/summary?by=hour,agent&from=2026-11-20T11:10:00Z&to=2026-11-20T12:20:00Z");
    assert_eq!(
        (&hours["from"], &hours["to"]),
        (&json!("2026-11-20T11:00:00Z"), &json!("2026-11-20T13:00:00Z"))
    );
    assert_eq!(hours["total"]["calls"], 2, "rounded outward, and said so");
    assert_eq!(hours["rows"][0]["hour"], "2026-11-20T11:00:00Z");
    assert_eq!(hours["rows"][0]["agent"], "bot-1");

    let hourly = collector.ok("/api/v1/summary?by=hour&tz=Asia/Tokyo&from=2026-11-20&to=2026-11-23");
    assert_eq!(hourly["rows"][0]["hour"], "2026-11-20T19:00:00+09:00");
}

#[test]
fn records_are_filtered_by_dimension_time_outcome_and_cost_status() {
    let collector = Collector::start();
    let mut records: Vec<Value> = (0..9).map(record).collect();
    records[4]["outcome"] = json!("error");
    records[4]["cost_status"] = json!("estimated");
    collector.sync(1, records);
    let count =
        |query: &str| collector.ok(&format!("/api/v1/records?{query}"))["rows"].as_array().unwrap().len();
    assert_eq!(count("agent=bot-1"), 3);
    assert_eq!(count("outcome=error"), 1);
    assert_eq!(count("outcome=error&outcome=ok"), 9);
    assert_eq!(count("cost_status=estimated&agent=bot-1"), 1);
    assert_eq!(count("from=2026-11-20T12:30:00Z&to=2026-11-20T14:30:00Z"), 2);
    assert_eq!(count("from=2026-11-20T12:30:00%2B00:00&limit=3"), 3);
}

#[test]
fn bad_records_are_refused_by_index_and_the_rest_kept() {
    let collector = Collector::start();
    let mut wrong_sum = record(1);
    wrong_sum["cost_usd"] = json!("5.00");
    let answer = collector.sync(3, vec![record(0), json!("what"), wrong_sum, record(2)]);
    assert_eq!((&answer["stored"], &answer["duplicates"]), (&json!(2), &json!(0)));
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!(rejected.iter().map(|one| one["index"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(rejected[1]["reason"].as_str().unwrap().contains("add up"), "{answer}");
    let metrics = collector.get("/metrics").text;
    for line in [
        "tollgate_collector_records_received_total 4",
        "tollgate_collector_records_stored_total 2",
        "tollgate_collector_records_rejected_total{reason=\"malformed\"} 1",
        "tollgate_collector_records_rejected_total{reason=\"money\"} 1",
        "tollgate_collector_sync_requests_total{result=\"ok\"} 1",
        "tollgate_collector_commit_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[test]
fn drop_totals_show_in_metrics() {
    let collector = Collector::start();
    for (sequence, dropped) in [(1, 3), (2, 5), (1, 3)] {
        let mut message = message(sequence, vec![]);
        message["dropped"] = json!({"outbox_full": dropped});
        assert_eq!(collector.client.sync(&message).status, 200);
    }
    let metrics = collector.get("/metrics");
    assert!(metrics.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text.contains("tollgate_gateway_records_dropped_total{reason=\"outbox_full\"} 5\n"));
    assert!(metrics.text.contains("tollgate_gateway_instances 1\n"));
}

#[test]
fn only_the_token_opens_sync_and_a_refusal_says_nothing() {
    let collector = Collector::start();
    let body = message(1, vec![record(0)]).to_string();
    let long = format!("Bearer {TOKEN}0");
    let basic = format!("Basic {TOKEN}");
    for authorization in
        [None, Some(""), Some("Bearer "), Some(TOKEN), Some(long.as_str()), Some(basic.as_str())]
    {
        let answer = collector.client.sync_as(authorization, body.as_bytes());
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "unauthorized"), "{authorization:?}");
        assert!(!answer.text.contains(TOKEN));
    }
    assert_eq!(collector.ok("/api/v1/records")["rows"], json!([]));
}

#[test]
fn a_request_that_cannot_be_read_has_a_stable_code() {
    let collector = Collector::start();
    let bearer = format!("Bearer {TOKEN}");
    let sync = |body: &[u8]| {
        let answer = collector.client.sync_as(Some(&bearer), body);
        (answer.status, answer.error_code())
    };
    assert_eq!(sync(b"{"), (400, "invalid_request".into()));
    assert_eq!(sync(b"{\"protocol\":99}"), (400, "unsupported_protocol".into()));
    assert_eq!(sync(&vec![b' '; 4 * 1024 * 1024 + 1]), (413, "body_too_large".into()));
    let status = |path: &str| {
        let answer = collector.get(path);
        assert!(answer.content_type.starts_with("application/json"), "{path}");
        (answer.status, answer.error_code())
    };
    let parameter = || (400, "invalid_parameter".to_owned());
    for query in [
        "by=colour",
        "by=agent,agent",
        "since=7",
        "since=1d&from=2026-01-01",
        "from=x",
        "tz=Mars/Olympus",
        "colour=red",
        "from=2026-01-02&to=2026-01-01",
        "by=agent&by=team",
    ] {
        assert_eq!(status(&format!("/api/v1/summary?{query}")), parameter(), "{query}");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "outcome=fine", "by=agent"] {
        assert_eq!(status(&format!("/api/v1/records?{query}")), parameter(), "{query}");
    }
    for path in ["/nowhere", "/api/v1/records/x", "/api/v1/records/01890a5d-ac96-774b-8000-000000000000"] {
        assert_eq!(status(path), (404, "not_found".into()), "{path}");
    }
    assert_eq!(status("/v1/sync"), (405, "method_not_allowed".into()));
}

#[test]
fn a_gateway_gets_the_book_that_it_does_not_have_and_its_early_calls_are_priced() {
    let model = PricedModel {
        provider: "openai".into(),
        id: "gpt-x".into(),
        dated: vec!["gpt-x".into()],
        moving: vec![],
        prices: vec![Price {
            standard: Sheet {
                rates: Rates([(Kind::Input, "0.00000125".parse().unwrap())].into()),
                tiers: vec![],
            },
            ..Price::default()
        }],
        ..PricedModel::default()
    };
    let collector = Collector::with_book(PriceBook::new("v7".into(), vec![model]));
    let mut early = record(0);
    for name in ["charges", "cost_usd", "cost_status", "price_version"] {
        early.as_object_mut().unwrap().remove(name);
    }
    let answer = collector.sync(1, vec![early]);
    assert_eq!(answer["prices"]["version"], "v7");
    let kept = &collector.ok("/api/v1/records")["rows"][0];
    assert_eq!(
        (&kept["cost_usd"], &kept["cost_status"], &kept["price_version"]),
        (&json!("0.000125000000"), &json!("measured"), &json!("v7"))
    );
    assert_eq!(kept["charges"], record(0)["charges"]);
    let total = &collector.ok(&format!("/api/v1/summary?{PERIOD}"))["total"];
    assert_eq!((&total["cost_usd"], &total["unpriced"]), (&json!("0.000125000000"), &json!(0)));

    let mut informed = message(2, vec![]);
    informed["price_version"] = json!("v7");
    assert!(collector.client.sync(&informed).json().get("prices").is_none());
    informed["price_version"] = json!("v6");
    assert_eq!(collector.client.sync(&informed).json()["prices"]["version"], "v7");
}

#[test]
fn a_gateway_gets_the_rows_that_it_needs_within_their_bound_and_more_when_it_asks() {
    let book = PriceBook::from_files(tollgate_core::price::EMBEDDED).unwrap();
    let version = book.version().to_owned();
    let collector = Collector::with_book(book);
    let request = |sequence: u64, held: Option<&str>, models: Value| {
        let mut body =
            json!({"protocol": 1, "gateway": "edge", "instance": "i", "sequence": sequence, "sent_at_ms": 1});
        if let Some(held) = held {
            body["price_version"] = json!(held);
        }
        body["models"] = models;
        collector.client.sync(&body).json()
    };
    let first = request(1, None, json!([]));
    assert_eq!(first["prices"]["version"], version.as_str());
    let bytes = first["prices"].to_string().len();
    assert!(bytes < 256 * 1024 && bytes > 100 * 1024, "{bytes}");
    assert!(request(2, Some(&version), json!([])).get("prices").is_none());
    assert!(request(3, Some(&version), json!([{"provider": "x", "model": "y"}])).get("prices").is_none());
    let wanted = json!([{"provider": "zai", "model": "glm-4.7"}]);
    let more: PriceBook =
        serde_json::from_value(request(4, Some(&version), wanted)["prices"].clone()).unwrap();
    assert!(more.model("zai", "glm-4.7").is_some());
    assert!(more.model("openai", "gpt-5").is_some());
}

#[test]
fn prices_are_shown_and_explained_and_corrected_by_those_who_may() {
    let collector = Collector::with_book(PriceBook::from_files(tollgate_core::price::EMBEDDED).unwrap());
    let mut one = record(0);
    one["request_model"] = json!("gpt-4.1");
    one["response_model"] = json!("gpt-4.1-2025-04-14");
    let mut missing = record(1);
    missing["response_model"] = json!("no-such-model");
    missing["request_model"] = json!("no-such-model");
    missing["cost_usd"] = json!("0");
    missing["charges"] = json!([]);
    missing["cost_status"] = json!("unpriced");
    collector.sync(1, vec![one.clone(), missing]);

    let prices = collector.ok("/api/v1/prices?provider=openai&model=gpt-4.1-2025-04-14");
    assert_eq!(prices["rows"][0]["model"], "gpt-4.1");
    assert_eq!(prices["rows"][0]["prices"][0]["rates"]["input"], "0.000002000000");
    assert_eq!(collector.get("/api/v1/prices?at=soon").error_code(), "invalid_parameter");
    let rows = collector.ok("/api/v1/prices/missing");
    assert_eq!(rows["rows"][0]["response_model"], "no-such-model");
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1);

    // The record says 1.25 a million, the book 2.
    let preview = collector.ok("/api/v1/reprice?from=2026-11-01");
    assert_eq!(
        (&preview["written"], &preview["total"]["difference_usd"]),
        (&json!(false), &json!("0.000075000000"))
    );
    assert_eq!(collector.get("/api/v1/reprice").error_code(), "invalid_parameter");
    let admin = std::fs::read_to_string(collector.dir.path().join("data/admin.token")).unwrap();
    let path = "/api/v1/reprice?from=2026-11-01";
    for wrong in [None, Some("x"), Some(TOKEN)] {
        assert_eq!(collector.client.change("POST", path, wrong).status, 401, "{wrong:?}");
        assert_eq!(collector.client.change("PUT", "/api/v1/months/2020-01", wrong).status, 401, "{wrong:?}");
    }
    let done = collector.client.change("POST", path, Some(admin.trim())).json();
    assert_eq!((&done["written"], &done["rows"]), (&json!(true), &preview["rows"]));
    assert_eq!(collector.ok(path)["rows"], json!([]), "nothing is left to correct");
    let total = &collector.ok("/api/v1/summary?from=2026-11-01&to=2026-12-01")["total"];
    assert_eq!(total["cost_usd"], "0.000200000000");

    let id = one["id"].as_str().unwrap();
    assert_eq!(collector.ok(&format!("/api/v1/records/{id}"))["cost_usd"], "0.000125000000", "not edited");
    let explained = collector.ok(&format!("/api/v1/records/{id}/explain"));
    assert_eq!(explained["lines"][0]["rate"], "0.000001250000");
    assert_eq!(explained["adjusted_cost_usd"], "0.000200000000");
    assert_eq!(explained["today"]["cost_usd"], explained["adjusted_cost_usd"]);

    let close =
        |month: &str| collector.client.change("PUT", &format!("/api/v1/months/{month}"), Some(admin.trim()));
    assert_eq!(close("2020-01").status, 200);
    assert_eq!(
        (close("2020-01").error_code(), close("2999-01").error_code()),
        ("conflict".into(), "conflict".into())
    );
    assert_eq!(close("soon").error_code(), "invalid_parameter");
    assert_eq!(collector.ok("/api/v1/months")["rows"][0]["month"], "2020-01");
}

#[test]
fn a_collector_tells_how_it_is() {
    let collector = Collector::start();
    assert_eq!(collector.ok("/healthz"), json!({"status": "ok"}));
    assert_eq!(collector.ok("/readyz"), json!({"status": "ready"}));
    let home = collector.get("/");
    assert!(home.text.contains("/api/v1/summary") && home.content_type.starts_with("text/html"));
}

#[test]
fn gateways_that_sync_at_once_lose_and_double_nothing() {
    let collector = Collector::start();
    std::thread::scope(|scope| {
        for gateway in 0..8u64 {
            let client = &collector.client;
            scope.spawn(move || {
                for sequence in 0..10u64 {
                    // Each batch overlaps the next one of its gateway and one of its neighbour.
                    let first = gateway * 50 + sequence * 5;
                    let records = (first..first + 10).map(record).collect();
                    assert_eq!(client.sync(&message(sequence, records)).status, 200);
                }
            });
        }
    });
    let expected: u64 = 7 * 50 + 9 * 5 + 10;
    let total = collector.ok("/api/v1/summary?from=2026-11-01&to=2027-01-01");
    assert_eq!(total["total"]["calls"], expected);
    let tokens: u64 = (0..expected).map(|n| 100 + n).sum();
    assert_eq!(total["total"]["input_tokens"], tokens);
}

#[test]
fn an_estimate_is_answered_and_a_wrong_question_explained() {
    let collector = Collector::with_book(PriceBook::from_files(tollgate_core::price::EMBEDDED).unwrap());
    let ask = |question: &str| collector.client.post("/api/v1/estimate", TOKEN, question);
    let body =
        json!({"model": "gpt-4.1", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]});
    let answer = ask(&json!({"provider": "openai", "body": body, "output_tokens": 10}).to_string());
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!((&answer["input_tokens"], &answer["counted_by"]), (&json!(8), &json!("o200k_base")));
    assert_eq!(answer["cost_usd"], "0.000096000000");
    assert_eq!(answer["worst"]["output_tokens"], 100);
    for (question, expected) in [
        (r#"{"provider":"openai"}"#, "`body` is missing"),
        (r#"{"provider":"openai","modle":"x"}"#, "unknown field `modle`"),
        ("", "no question"),
    ] {
        let answer = ask(question);
        assert_eq!((answer.status, answer.error_code()), (400, "invalid_body".to_owned()), "{question}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(expected), "{question}");
    }
}

#[test]
fn a_request_that_comes_after_a_later_one_is_taken_and_counted() {
    let collector = Collector::start();
    collector.sync(5, vec![record(0)]);
    let answer = collector.sync(3, vec![record(1)]);
    assert_eq!((&answer["stored"], &answer["ack"]), (&json!(1), &json!(3)));
    let metrics = collector.get("/metrics").text;
    for line in [
        "tollgate_collector_sync_requests_total{result=\"out_of_order\"} 1",
        "tollgate_collector_sync_requests_total{result=\"ok\"} 1",
        "tollgate_records_received_total 2",
        "tollgate_records_stored_total 2",
        "tollgate_records_folded_total 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

#[test]
fn a_gateway_that_claims_the_largest_numbers_and_texts_breaks_no_answer() {
    let collector = Collector::start();
    for (number, instance) in ["one", "two", "three"].iter().enumerate() {
        let sync = json!({
            "protocol": 2, "gateway": "edge", "instance": instance, "sequence": number, "sent_at_ms": 1,
            "values_shared": u64::MAX, "dropped": {"outbox_full": u64::MAX}, "version": "<b>".repeat(1_000),
            "policy_version": "p".repeat(100_000),
        });
        assert_eq!(collector.client.sync(&sync).status, 200);
    }
    let gateways = collector.ok("/api/v1/gateways");
    let row = &gateways["rows"][0];
    assert_eq!((&row["envoys"], &row["with_policy"], &row["versions"]), (&json!(3), &json!(0), &json!([])));
    assert!(row["shared_values"].as_u64().unwrap() > 0 && row["dropped"].as_u64().unwrap() > 0, "{row}");
    assert_eq!(collector.ok("/api/v1/accounts")["balanced"], json!(true));
}
