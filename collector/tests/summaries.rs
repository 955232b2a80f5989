//! Summaries that people decide from: what is told apart, compared, left out and hinted at, over HTTP and on
//! the command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::process::Process;
use support::{message, record};
use tempfile::TempDir;
use tollgate_core::money::Picodollars;

/// A collector with fifty calls, one an hour from 2026-11-20T10:30Z to 2026-11-22T11:30Z: of three agents
/// and two models; one without an agent, one failed, one estimated.
fn start() -> (TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let mut records: Vec<Value> = (0..50).map(record).collect();
    for one in records.iter_mut().step_by(2) {
        one["response_model"] = json!("gpt-y");
    }
    records[4]["agent"] = json!("unattributed");
    records[7]["outcome"] = json!("error");
    records[8]["cost_status"] = json!("estimated");
    records[9]["key_id"] = json!("k1");
    collector.client.sync(&message(1, records));
    (dir, collector)
}

fn get(collector: &Process, query: &str) -> Value {
    let answer = collector.client.get(&format!("/api/v1/summary?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

fn refused(collector: &Process, query: &str) -> String {
    let answer = collector.client.get(&format!("/api/v1/summary?{query}"));
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "invalid_parameter"), "{query}");
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn rows(answer: &Value) -> &Vec<Value> {
    answer["rows"].as_array().unwrap()
}

fn words<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    rows(answer).iter().map(|row| row[name].as_str().unwrap_or("-")).collect()
}

fn pico(value: &Value) -> i128 {
    value.as_str().unwrap().parse::<Picodollars>().unwrap().as_pico()
}

/// Rows add up to the total, number by number.
fn adds_up(answer: &Value, query: &str) {
    for name in ["calls", "denied", "errors", "input_tokens", "output_tokens", "estimated_calls"] {
        let sum: u64 = rows(answer).iter().map(|row| row[name].as_u64().unwrap()).sum();
        assert_eq!(answer["total"][name].as_u64(), Some(sum), "{query}: {name}");
    }
    for name in ["cost_usd", "estimated_cost_usd"] {
        let sum: i128 = rows(answer).iter().map(|row| pico(&row[name])).sum();
        assert_eq!(pico(&answer["total"][name]), sum, "{query}: {name}");
    }
}

const ALL: &str = "from=2026-11-20&to=2026-11-23";

#[test]
fn the_first_rows_and_the_others_add_up_to_a_total_that_does_not_change() {
    let (_dir, collector) = start();
    let total = get(&collector, ALL)["total"].clone();
    for by in ["", "agent", "day", "month,week", "day,agent", "agent,model", "hour,model", "week,agent,key"] {
        for order in ["", "&sort=-calls", "&sort=cost", "&sort=-error", "&sort=tokens_per_call"] {
            for top in ["", "&top=1", "&top=2", "&top=1000"] {
                let query = format!("by={by}&{ALL}{order}{top}");
                let answer = get(&collector, &query);
                adds_up(&answer, &query);
                assert_eq!(answer["total"]["cost_usd"], total["cost_usd"], "{query}");
                assert_eq!(answer["total"]["calls"], 50, "{query}");
            }
        }
    }
    let answer = get(&collector, &format!("by=agent&top=1&{ALL}"));
    assert_eq!(words(&answer, "agent"), ["bot-0", "-"]);
    assert_eq!((&answer["rows"][1]["others"], &answer["rows"][1]["agent"]), (&json!(3), &Value::Null));
    assert_eq!(answer["rows"][0].get("others"), None);
    // The first of the whole time, at every time.
    let answer = get(&collector, &format!("by=day,agent&top=1&{ALL}"));
    assert_eq!(words(&answer, "agent"), ["bot-0", "-", "bot-0", "-", "bot-0", "-"]);
    assert_eq!(words(&answer, "day")[..3], ["2026-11-20", "2026-11-20", "2026-11-21"]);
}

#[test]
fn rows_come_in_the_order_that_is_asked_for() {
    let (_dir, collector) = start();
    let order = |query: &str, name: &str| -> Vec<String> {
        let answer = get(&collector, &format!("{query}&{ALL}"));
        words(&answer, name).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(order("by=agent&sort=agent", "agent"), ["bot-0", "bot-1", "bot-2", "unattributed"]);
    assert_eq!(order("by=agent&sort=-agent", "agent"), ["unattributed", "bot-2", "bot-1", "bot-0"]);
    assert_eq!(order("by=agent&sort=calls", "agent")[0], "unattributed");
    assert_eq!(order("by=day&sort=-cost", "day"), ["2026-11-21", "2026-11-22", "2026-11-20"]);
    assert_eq!(order("by=day,model&sort=-day", "day")[..2], ["2026-11-22", "2026-11-22"]);
    assert_eq!(order("by=key&sort=key", "key_id"), ["-", "k1"]);
    let said = refused(&collector, "by=agent&sort=coast");
    assert!(said.contains("`sort` is `coast`") && said.contains("`cost_usd`"), "{said}");
}

#[test]
fn weeks_and_months_are_of_the_calendar_and_parts_of_them_are_marked() {
    let (_dir, collector) = start();
    let answer = get(&collector, "by=week&from=2026-11-16&to=2026-11-23");
    assert_eq!((words(&answer, "week"), rows(&answer)[0].get("partial")), (vec!["2026-W47"], None));
    let answer = get(&collector, "by=week&from=2026-11-21&to=2026-11-23");
    assert_eq!(rows(&answer)[0]["partial"], true, "{answer}");
    let answer = get(&collector, "by=day&from=2026-11-20T12:00:00Z&to=2026-11-22T09:00:00Z");
    let cut: Vec<bool> = rows(&answer).iter().map(|row| row["partial"] == true).collect();
    assert_eq!(cut, [true, false, true]);
    // In Kiritimati it is the 23rd, a Monday, ten hours before.
    let answer = get(&collector, "by=week&tz=Pacific/Kiritimati&from=2026-11-20&to=2026-11-24");
    assert_eq!(words(&answer, "week"), ["2026-W47", "2026-W48"]);
    let answer = get(&collector, "by=month,week&month=2026-11");
    assert_eq!((words(&answer, "month"), words(&answer, "week")), (vec!["2026-11"], vec!["2026-W47"]));
    assert_eq!(answer["from"], "2026-11-01T00:00:00Z");
    assert_eq!(answer["to"], "2026-12-01T00:00:00Z");
    let answer = get(&collector, "by=month&month=2026-11&tz=Europe/Berlin");
    assert_eq!(
        (&answer["from"], &answer["to"]),
        (&json!("2026-10-31T23:00:00Z"), &json!("2026-11-30T23:00:00Z"))
    );
    assert!(refused(&collector, "month=2026-11&since=7d").contains("`month`"));
}

#[test]
fn changes_are_against_the_period_before() {
    let (_dir, collector) = start();
    let days = get(&collector, "by=agent&from=2026-11-22&to=2026-11-23&compare=previous");
    let before = get(&collector, "by=agent&from=2026-11-21&to=2026-11-22");
    assert_eq!(days["previous"], json!({"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}));
    assert_eq!(days["total"]["previous_cost_usd"], before["total"]["cost_usd"]);
    for row in rows(&days) {
        let earlier = rows(&before).iter().find(|earlier| earlier["agent"] == row["agent"]).unwrap();
        assert_eq!(row["previous_cost_usd"], earlier["cost_usd"], "{row}");
        let (now, then) = (pico(&row["cost_usd"]), pico(&earlier["cost_usd"]));
        let change: f64 = row["change_percent"].as_str().unwrap().parse().unwrap();
        assert!((change - (now - then) as f64 * 100.0 / then as f64).abs() < 0.006, "{row}");
    }
    // Each day against the one before; what is cut has no change, nor has what follows it.
    let days = get(&collector, "by=day&from=2026-11-20&to=2026-11-23&compare=previous");
    let costs: Vec<&Value> = rows(&days).iter().map(|row| &row["cost_usd"]).collect();
    let before: Vec<&Value> = rows(&days).iter().map(|row| &row["previous_cost_usd"]).collect();
    assert_eq!(before, [&json!("0.000000000000"), costs[0], costs[1]]);
    let days = get(&collector, "by=day&from=2026-11-20T12:00:00Z&to=2026-11-23&compare=previous");
    let before: Vec<Option<&Value>> = rows(&days).iter().map(|row| row.get("previous_cost_usd")).collect();
    assert_eq!((before[0], before[1], before[2].is_some()), (None, None, true), "{days}");
    // Of the day before nothing is known but its last hour, in which there were no calls of this agent.
    let days = get(&collector, "by=day&agent=bot-2&from=2026-11-20T23:00:00Z&to=2026-11-22&compare=previous");
    assert_eq!((rows(&days).len(), rows(&days)[0].get("previous_cost_usd")), (1, None), "{days}");
    // A month against the month before, however long.
    let month = get(&collector, "month=2026-11&by=team&compare=previous");
    assert_eq!(month["previous"]["from"], "2026-10-01T00:00:00Z");
    let others = get(&collector, "by=agent&top=1&from=2026-11-22&to=2026-11-23&compare=previous");
    let sum: i128 = rows(&others).iter().map(|row| pico(&row["previous_cost_usd"])).sum();
    assert_eq!(sum, pico(&others["total"]["previous_cost_usd"]));
    assert!(refused(&collector, "compare=next").contains("`previous`"));
}

#[test]
fn filters_leave_out_and_find_what_nobody_answers_for() {
    let (_dir, collector) = start();
    let calls = |query: &str| get(&collector, &format!("{query}&{ALL}"))["total"]["calls"].as_u64().unwrap();
    assert_eq!(calls("not=agent:bot-0&not=agent=bot-1"), 16 + 1);
    assert_eq!(calls("not=agent:unattributed"), 49);
    assert_eq!(calls("unattributed=true"), 1);
    assert_eq!(calls("key=k1"), 1);
    assert_eq!(calls("estimated=true&by=agent"), 16);
    let estimated = get(&collector, &format!("estimated=true&by=agent,hour&{ALL}"));
    assert_eq!((rows(&estimated).len(), &estimated["rows"][0]["estimated_calls"]), (1, &json!(1)));
    adds_up(&estimated, "estimated");
    let said = refused(&collector, "not=agnet:x");
    assert!(said.contains("did you mean `agent`?"), "{said}");
    let records = collector.client.get(&format!("/api/v1/records?limit=100&not=agent:bot-0&{ALL}")).json();
    assert_eq!(rows(&records).len(), 33);
}

#[test]
fn where_nothing_is_found_it_is_said_what_was_looked_for_and_what_there_is() {
    let (_dir, collector) = start();
    let hint = |query: &str| get(&collector, query)["hint"].as_str().unwrap().to_owned();
    let said = hint(&format!("by=agent&agent=bto-1&{ALL}"));
    for expected in
        ["no calls from 2026-11-20T00:00:00Z", "with agent `bto-1`", "`bot-0`", "did you mean `bot-1`?"]
    {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let said = hint(&format!("model=gpt-z&{ALL}"));
    assert!(said.contains("`gpt-y`") && said.contains("`gpt-x-2026-01-01`"), "{said}");
    let said = hint("by=agent&month=2026-09");
    assert!(said.contains("months with calls: `2026-11`"), "{said}");
    assert_eq!(get(&collector, ALL).get("hint"), None);
    let said = refused(&collector, "by=teams");
    assert!(said.contains("`teams`") && said.contains("did you mean `team`?"), "{said}");
    let said = refused(&collector, "month=2026-13");
    assert!(said.contains("`2026-13`") && said.contains("`2026-11`"), "{said}");
    let said = refused(&collector, "agnet=x");
    assert!(said.contains("did you mean `agent`?"), "{said}");
    let shown =
        collector.asked(&["summary", "--agent", "bto-1", "--from", "2026-11-20", "--to", "2026-11-23"]);
    assert!(shown.replace('\n', " ").contains("did you mean `bot-1`?"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
}

#[test]
fn a_trend_is_the_cost_of_a_row_day_by_day() {
    let (_dir, collector) = start();
    for query in
        [format!("by=agent&{ALL}"), format!("by=agent&top=1&{ALL}"), "by=team&month=2026-11".to_owned()]
    {
        let answer = get(&collector, &format!("trend=true&{query}"));
        assert_eq!(answer["trend_by"], "day", "{query}");
        for row in rows(&answer) {
            let trend = row["trend"].as_array().unwrap();
            assert_eq!(trend.iter().map(pico).sum::<i128>(), pico(&row["cost_usd"]), "{row}");
            assert!(trend.len() >= 3, "{row}");
        }
    }
    assert_eq!(get(&collector, &format!("by=agent&{ALL}")).get("trend_by"), None);
}

#[test]
fn csv_is_the_same_over_http_and_from_the_command_line() {
    let (_dir, collector) = start();
    let query = format!("by=day,agent&top=2&compare=previous&{ALL}");
    let over_http = collector.client.get(&format!("/api/v1/summary?format=csv&{query}"));
    assert!(over_http.content_type.starts_with("text/csv"), "{}", over_http.content_type);
    let asked = [
        "summary",
        "--by",
        "day,agent",
        "--top",
        "2",
        "--compare",
        "--from",
        "2026-11-20",
        "--to",
        "2026-11-23",
    ];
    let printed = collector.asked(&[&asked[..], &["--format", "csv"]].concat());
    assert_eq!(printed, over_http.text);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("day,agent,calls,denied,errors,unpriced,input_tokens,"), "{}", lines[0]);
    assert!(
        lines[0].ends_with(",previous_cost_usd,change_percent,retried,retried_usd,saved_usd,partial,others"),
        "{}",
        lines[0]
    );
    assert!(lines.iter().any(|line| line.contains(",(others),") && line.ends_with("true")), "{printed}");
    let chosen =
        collector.client.get(&format!("/api/v1/summary?format=csv&by=agent&columns=cost,calls&{ALL}"));
    assert!(chosen.text.starts_with("agent,cost_usd,calls\nbot-0,0."), "{}", chosen.text);
    let said = refused(&collector, "format=xml");
    assert!(said.contains("`csv`"), "{said}");
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());
    let accepted = agent
        .get(format!("http://{}/api/v1/summary?{ALL}", collector.client.address))
        .header("accept", "text/csv")
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert!(accepted.starts_with("calls,denied,"), "{accepted}");
}

#[test]
fn tables_fit_the_terminal_and_the_least_important_columns_go_first() {
    let (_dir, collector) = start();
    let period = ["--from", "2026-11-20", "--to", "2026-11-23"];
    for by in ["", "agent", "team,agent", "day,agent,model", "hour,team,feature,environment", "week,month"] {
        for more in
            [&[][..], &["--top", "1"], &["--exact"], &["--columns", "calls,cost,share,tokens_per_call"]]
        {
            let shown = collector.asked(&[&["summary", "--by", by], &period[..], more].concat());
            let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{by} {more:?}: {wide:#?}\n{shown}");
            let is_exact = more.first() == Some(&"--exact");
            let cost = if is_exact { "0.007781250000" } else { "0.007" };
            assert!(shown.contains("cost $") && shown.contains(cost), "{by} {more:?}\n{shown}");
        }
    }
    let shown = collector.asked(&[&["summary", "--by", "day,agent", "--top", "1"], &period[..]].concat());
    assert!(shown.contains("(others)"), "{shown}");
    let shown = collector.asked(&["summary", "--by", "week", "--from", "2026-11-21", "--to", "2026-11-23"]);
    assert!(shown.contains("2026-W47*") && shown.contains("* a part of its week"), "{shown}");
    let wide = collector.asked(&[&["summary", "--by", "agent", "--wide"], &period[..]].concat());
    assert!(wide.contains("trend") && wide.contains('█'), "{wide}");
    assert!(!wide.contains('\u{1b}'), "no colours in a pipe: {wide}");
    let said = collector.ask(&["summary", "--columns", "coast"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("did you mean `cost_usd`?"));
}

#[test]
fn an_answer_that_the_client_has_is_not_sent_again_and_long_ones_are_sent_small() {
    let (_dir, collector) = start();
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let mut request = agent.get(format!("http://{}{path}", collector.client.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.call().unwrap()
    };
    let header = |answer: &ureq::http::Response<ureq::Body>, name: &str| {
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let path = format!("/api/v1/summary?by=hour,agent&{ALL}");
    let mut plain = ask(&path, &[]);
    let tag = header(&plain, "etag").unwrap();
    assert_eq!(header(&plain, "content-encoding"), None);
    let text = plain.body_mut().read_to_string().unwrap();
    let mut known = ask(&path, &[("if-none-match", &tag)]);
    assert_eq!((known.status().as_u16(), known.body_mut().read_to_string().unwrap().as_str()), (304, ""));
    let mut packed = ask(&path, &[("accept-encoding", "gzip"), ("if-none-match", &tag)]);
    assert_eq!(packed.status(), 200, "its bytes are others");
    assert_eq!(header(&packed, "content-encoding").as_deref(), Some("gzip"));
    let bytes = packed.body_mut().read_to_vec().unwrap();
    assert!(bytes.len() * 4 < text.len(), "{} {}", bytes.len(), text.len());
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, text);
    collector.client.sync(&message(2, vec![record(70)]));
    assert_eq!(ask(&path, &[("if-none-match", &tag)]).status(), 304, "another day");
    collector.client.sync(&message(3, vec![record(51)]));
    assert_eq!(ask(&path, &[("if-none-match", &tag)]).status(), 200, "another answer");
}

#[test]
fn a_comparison_adds_up_to_the_change_of_summaries_and_names_what_explains_it() {
    let (_dir, collector) = start();
    let after = "from=2026-11-21T12:00:00Z&to=2026-11-23";
    let before = "from=2026-11-20&to=2026-11-21T12:00:00Z";
    let cost = |query: &str| pico(&get(&collector, query)["total"]["cost_usd"]);
    let change = cost(after) - cost(before);
    for by in ["", "&by=", "&by=agent", "&by=agent,model", "&by=model,key,gateway&top=1", "&by=feature&top=9"]
    {
        let query = format!("/api/v1/compare?{after}&with=2026-11-20..2026-11-21T12:00{by}");
        let answer = collector.client.get(&query).json();
        let rows = rows(&answer);
        assert!(!rows.is_empty(), "{query}: {answer}");
        for difference in rows.iter().chain([&answer["total"]]) {
            let parts: i128 = difference["parts"].as_object().unwrap().values().map(pico).sum();
            assert_eq!(parts, pico(&difference["change_usd"]), "{query}: {difference}");
        }
        let sum: i128 = rows.iter().map(|row| pico(&row["change_usd"])).sum();
        assert_eq!((sum, pico(&answer["total"]["change_usd"])), (change, change), "{query}");
    }
    // With the period before, which is what is asked for unless told.
    let answer = collector.client.get("/api/v1/compare?from=2026-11-21&to=2026-11-22&by=agent").json();
    assert_eq!(answer["with"]["from"], "2026-11-20T00:00:00Z");
    for wrong in ["by=day", "by=agent,agent", "with=yesterday", "with=2026-11-02..2026-11-01", "sort=cost"] {
        let answer = collector.client.get(&format!("/api/v1/compare?{wrong}"));
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "invalid_parameter"), "{wrong}");
    }
}

#[test]
fn metrics_of_spend_are_those_of_summaries_also_after_a_restart() {
    let (dir, collector) = start();
    let all = "from=2026-01-01&to=2027-01-01&by=team,agent";
    let expected: Vec<(String, u64, f64)> = rows(&get(&collector, all))
        .iter()
        .map(|row| {
            let labels = format!("{{team={},agent={}}}", row["team"], row["agent"]);
            (labels, row["calls"].as_u64().unwrap(), row["cost_usd"].as_str().unwrap().parse().unwrap())
        })
        .collect();
    assert_eq!(expected.len(), 4);
    let check = |collector: &Process| {
        let metrics = collector.client.get("/metrics").text;
        let value = |name: &str| -> f64 {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).trim().parse().unwrap()
        };
        for (labels, calls, cost) in &expected {
            assert_eq!(value(&format!("tollgate_spend_calls_total{labels}")), *calls as f64);
            let shown = value(&format!("tollgate_spend_usd_total{labels}"));
            assert!((shown - cost).abs() < 1e-12, "{labels}: {shown} is not {cost}");
        }
    };
    check(&collector);
    drop(collector);
    check(&Process::start(dir.path()));
}

#[test]
fn a_baseline_is_the_first_week_of_each_agent_from_its_first_call_on() {
    let (_dir, collector) = start();
    let baseline = |query: &str| collector.client.get(&format!("/api/v1/baseline?{query}")).json();
    let answer = baseline("agent=bot-1");
    let row = &rows(&answer)[0];
    let summary = get(&collector, &format!("{ALL}&agent=bot-1"));
    assert_eq!((row["agent"].as_str(), rows(&answer).len()), (Some("bot-1"), 1), "{answer}");
    // Its first calls are of 11:30 and 14:30; three days have some.
    assert_eq!((&row["from"], row["by_day"].as_array().unwrap().len()), (&json!("2026-11-20T11:00:00Z"), 3));
    for name in ["calls", "cost_usd"] {
        assert_eq!(row["first"][name], summary["total"][name], "{name}");
    }
    let (hours, cost) =
        (i128::from(row["hours_recorded"].as_u64().unwrap()), pico(&row["first"]["cost_usd"]));
    let a_day = pico(&row["first"]["cost_per_day_usd"]);
    assert!((a_day * hours - cost * 24).abs() <= hours, "{row}");
    let one = baseline("agent=bot-1&days=1");
    assert_eq!(rows(&one)[0]["by_day"], json!([row["by_day"][0]]));
    assert_eq!(rows(&one)[0]["to"], "2026-11-21T00:00:00Z");
    assert_eq!(rows(&one)[0]["hours_recorded"], 13);
    let later = baseline("agent=bot-1&from=2026-11-22");
    assert_eq!(rows(&later)[0]["by_day"], json!([row["by_day"][2]]));
    assert_eq!(baseline("days=0")["error"]["code"], "invalid_parameter");
}

#[test]
fn the_one_agent_whose_prompts_grew_is_found_unasked_and_named_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Process::start(dir.path());
    let mut records: Vec<Value> = (0..48).map(record).collect();
    for (at, one) in records.iter_mut().enumerate() {
        let is_longer = at >= 24 && one["agent"] == "bot-1";
        let tokens = if is_longer { 1310 } else { 1000 };
        one["usage"]["input_tokens"] = json!(tokens);
        one["charges"][0]["quantity"] = json!(tokens);
        let cost = format!("0.{:012}", 1_250_000 * tokens);
        one["charges"][0]["cost_usd"] = json!(cost);
        one["cost_usd"] = json!(cost);
    }
    collector.client.sync(&message(1, records));
    let period = ["--from", "2026-11-21T10:00:00Z", "--to", "2026-11-22T10:00:00Z"];
    let shown = collector.asked(&[&["compare"] as &[&str], &period].concat());
    assert!(shown.contains("what explains most of the change, by agent:"), "{shown}");
    assert!(shown.contains("bot-1, +$0.0031: tokens in a call +31% (longer prompts)"), "{shown}");
    assert!(!shown.contains("bot-2"), "{shown}");
    let csv =
        collector.asked(&[&["compare", "--by", "agent", "--format", "csv"] as &[&str], &period].concat());
    let header = csv.lines().next().unwrap();
    assert!(header.starts_with("agent,before_usd,after_usd,change_usd,change_percent,volume_usd,"), "{csv}");
    assert!(
        csv.contains("bot-1,0.010000000000,0.013100000000,0.003100000000,31.00,0.000000000000,"),
        "{csv}"
    );
}
