//! What a caller meets of a budget: refusals, output limits, answers that are ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_simulator::{Served, fingerprint};
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::raw::{Framing, Raw};
use tollgate_tests::sdk;
use tollgate_tests::stack::{Setup, Stack};

use super::{ORDERS, chat, stack};

#[tokio::test]
async fn a_refusal_says_what_is_spent_of_what_and_reaches_no_provider() {
    let stack = stack(
        "refusal",
        "[[budgets]]\nname = 'tiny'\nscope = { team = 'poor' }\nlimit_usd = '0.000001'\nwindow = 'month'\n\
         [[budgets]]\nname = 'watched'\nscope = { team = 'watched' }\nlimit_usd = '0.000001'\nwindow = 'month'\naction = 'warn'\n\
         [[budgets]]\nname = 'shadow'\nscope = { team = 'watched' }\nlimit_usd = '0.000001'\nwindow = 'month'\naction = 'shadow'\n",
    );
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
    let refused = chat(&stack, "poor", &[("x-tollgate-team", "poor")], &body).await;
    assert_eq!(refused.status, 402, "{}", refused.text());
    assert_eq!(refused.header("x-should-retry").as_deref(), Some("false"));
    assert_eq!(refused.header("x-tollgate-budget").as_deref(), Some("tiny"));
    assert_eq!(refused.header("x-tollgate-reason").as_deref(), Some("budget_spent"));
    let answer: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(answer["error"]["code"], "insufficient_quota");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("`tiny`") && message.contains("$0.000001") && message.contains("It resets 20"),
        "{message}"
    );
    assert!(stack.simulator.ledger().call("poor").is_none(), "the provider was not reached");
    let record = stack.record_of(&refused).unwrap();
    assert_eq!(
        (&record["outcome"], &record["cost_status"], &record["status"]),
        (&json!("denied"), &json!("free"), &json!(402))
    );
    let watched = chat(&stack, "watched", &[("x-tollgate-team", "watched")], &body).await;
    assert_eq!(watched.status, 200);
    assert!(watched.header("x-tollgate-warning").unwrap().starts_with("budget=watched; percent="));
    let free = chat(&stack, "free", &[("x-tollgate-team", "rich")], &body).await;
    assert_eq!((free.status, free.header("x-tollgate-warning")), (200, None));
}

#[test]
fn every_sdk_tries_once_and_raises_what_it_would_for_its_provider() {
    let setup = Setup {
        name: "sdk-refusals",
        more_providers: ["groq", "mistral", "cohere", "bedrock"].map(str::to_owned).to_vec(),
        collector_config:
            "[[budgets]]\nname = 'tiny'\nscope = { team = 'poor' }\nlimit_tokens = 1\nwindow = 'month'\n"
                .into(),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let mut seen = sdk::run("refusals.py", stack.gateway()).unwrap();
    seen.extend(sdk::run("refusals.mjs", stack.gateway()).unwrap());
    for (call, class) in [
        ("openai", "APIStatusError"),
        ("openai-stream", "APIStatusError"),
        ("anthropic", "PaymentRequiredError"),
        ("gemini", "ClientError"),
        ("groq", "APIStatusError"),
        ("mistral", "SDKError"),
        ("cohere", "ApiError"),
        ("bedrock", "ServiceQuotaExceededException"),
        ("node-openai", "APIError"),
        ("node-anthropic", "PaymentRequiredError"),
        ("node-ai", "AI_APICallError"),
        ("node-genai", "ApiError"),
    ] {
        let raised = seen.iter().find(|line| line["call"] == call).unwrap_or_else(|| panic!("no {call}"));
        assert_eq!(raised["status"], 402, "{raised:#}");
        let python = raised["classes"].as_array().is_some_and(|classes| classes.contains(&json!(class)));
        assert!(python || raised["class"] == class || raised["constructor"] == class, "{call}: {raised:#}");
        assert!(raised["text"].as_str().unwrap().contains("`tiny`"), "{call}: {raised:#}");
        let record =
            stack.api().record_of_run(call).unwrap_or_else(|error| panic!("{call}: one try: {error:#}"));
        assert_eq!((&record["outcome"], &record["status"]), (&json!("denied"), &json!(402)), "{call}");
    }
    assert!(stack.simulator.ledger().is_empty(), "no provider was reached");
}

#[tokio::test]
async fn an_output_limit_is_written_into_requests_that_have_none() {
    let stack = stack(
        "limited",
        "[[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'prepaid'\ndefault_output_tokens = 321\n",
    );
    for (path, body, field) in [
        (
            "/openai/v1/chat/completions",
            json!({"model": "gpt-5-mini", "messages": []}),
            r#""max_completion_tokens":321"#,
        ),
        ("/openai/v1/responses", json!({"model": "gpt-5-mini", "input": "hi"}), r#""max_output_tokens":321"#),
        (
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
            json!({"contents": [], "generationConfig": {"temperature": 0}}),
            r#""maxOutputTokens":321"#,
        ),
    ] {
        let text = body.to_string();
        let call = Call::post(path, &body).header("x-sim-call", path).header("x-sim", ORDERS);
        assert_eq!(stack.send(call).await.unwrap().status, 200);
        let received = stack.simulator.ledger().call(path).unwrap().received;
        let length = received.header("content-length").map(|length| length.parse::<usize>().unwrap());
        assert_eq!(length, Some(received.body_bytes), "{path}: the length is exact");
        assert!(received.body_bytes > text.len() + field.len() - 2, "{path}: {} bytes", received.body_bytes);
    }
}

#[tokio::test]
async fn a_running_answer_is_ended_with_the_providers_own_error() {
    let stack = stack(
        "ended",
        "[[budgets]]\nname = 'b'\nlimit_tokens = 3000\nwindow = 'prepaid'\nhold = 'expected'\nend_streams = true\n",
    );
    let short = json!({"model": "gpt-5-mini", "max_completion_tokens": 50, "messages": []});
    let orders = "input=100;output=20";
    let call = |name: &str, orders: &str, body: &Value| {
        Call::post("/openai/v1/chat/completions", body)
            .header("x-sim-call", name)
            .header("x-sim", orders)
            .header("x-tollgate-agent", "writer")
    };
    // Both workers learn how long this agent's answers are.
    for number in 0..8 {
        let reply = stack.send(call(&format!("short-{number}"), orders, &short)).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.complete, "an answer that was made as a whole is not ended: {}", reply.text());
    }
    let long =
        json!({"model": "gpt-5-mini", "stream": true, "messages": [{"role": "user", "content": "Go on."}]});
    let reply = stack
        .send(call("long", "input=100;output=9000;events=9000;cut=event;delay_ms=1", &long))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert!(!reply.complete, "the stream was closed");
    let text = String::from_utf8_lossy(&reply.body);
    let end = &text[text.len().saturating_sub(400)..];
    assert!(end.contains("insufficient_quota") && end.contains("`b`") && end.ends_with("\n\n"), "{end}");
    assert!(!stack.simulator.ledger().call("long").unwrap().finished, "the provider was hung up on");
    let record = stack.record_of(&reply).unwrap();
    assert!(record["notes"].as_array().unwrap().contains(&json!("ended_by_budget")), "{record:#}");
    let row = burst::budget(&stack.api(), "b", |row| row["in_flight"] == 0).unwrap();
    // Held by the mean, so the last piece may pass the limit.
    assert!(row["used"].as_u64().unwrap() <= 3_000 + 256, "{row:#}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_decided_on_where_its_json_does() {
    let stack = stack("early", "[[budgets]]\nname = 'b'\nlimit_usd = '0.05'\nwindow = 'prepaid'\n");
    // One that waits for its price: the next one's is here.
    let short = json!({"model": "gpt-5-mini", "max_completion_tokens": 5, "messages": []});
    let reply = chat(&stack, "priced", &[], &short).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Longer than what is rewritten, and never at its end: a provider that reads JSON as it comes would have
    // it all.
    let text = "word ".repeat(80_000);
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 100_000, "messages": [{"role": "user", "content": text}]});
    let raw = Raw {
        method: "POST".into(),
        target: "/openai/v1/chat/completions".into(),
        headers: [
            ("content-type", "application/json"),
            ("x-sim-call", "early"),
            ("x-sim", "input=80000;output=50;early=1"),
            ("x-tollgate-run", "early"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: body.to_string().into_bytes(),
        framing: Framing::Endless,
        hang_up: Some(Duration::from_secs(4)),
    };
    let (status, said) = raw.send(stack.gateway()).await.unwrap();
    assert_eq!(status, 402, "{said}");
    assert!(stack.simulator.ledger().call("early").is_none(), "nothing of it reaches the provider");
    let records = stack.api().wait_for_records(2).unwrap();
    let record = records.values().find(|record| record["run"] == "early").unwrap();
    assert_eq!(
        (&record["outcome"], &record["cost_status"]),
        (&json!("denied"), &json!("free")),
        "{record:#}"
    );
    let spent: i128 = records.values().map(|record| burst::pico(&record["cost_usd"]).unwrap()).sum();
    burst::budget(&stack.api(), "b", |row| {
        row["in_flight"] == 0 && burst::pico(&row["used"]).ok() == Some(spent)
    })
    .unwrap();
}

#[tokio::test]
async fn who_floods_the_room_where_calls_wait_refuses_nobody_else() {
    // One whose budget is spent at once, and one who always has to wait for more.
    let setup = Setup {
        name: "crowd",
        collector_config: "[[budgets]]\nname = 'tiny'\nscope = { team = 'flood' }\nlimit_usd = '0.000001'\nwindow = 'prepaid'\n\
             [[budgets]]\nname = 'wide'\nscope = { team = 'wide' }\nlimit_calls = 4000\nwindow = 'prepaid'\n\
             [[budgets]]\nname = 'calm'\nscope = { team = 'calm' }\nlimit_usd = '10'\nwindow = 'prepaid'\n"
            .into(),
        late: Duration::from_millis(600),
        ..Setup::default()
    };
    let stack = Arc::new(Stack::set_up(&setup).unwrap());
    let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 20, "messages": [{"role": "user", "content": "hi"}]});
    let call = move |team: &str| {
        Call::post("/openai/v1/chat/completions", &body)
            .header("x-sim", "input=20;output=10")
            .header("x-tollgate-team", team)
    };
    let (is_over, crowded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood: Vec<_> = (0..900)
        .map(|number| {
            let (stack, call) = (Arc::clone(&stack), call.clone());
            let (is_over, crowded) = (Arc::clone(&is_over), Arc::clone(&crowded));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let team = if number % 3 == 0 { "flood" } else { "wide" };
                    let Ok(reply) = stack.send(call(team)).await else { continue };
                    let is_crowded =
                        reply.status == 429 && reply.text().contains("As many calls as may wait");
                    crowded.fetch_add(usize::from(is_crowded), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
        })
        .collect();
    for number in 0..12 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let reply = stack.send(call("calm")).await.unwrap();
        assert_eq!(reply.status, 200, "call {number}: {}", reply.text());
    }
    is_over.store(true, Ordering::Relaxed);
    for task in flood {
        task.await.unwrap();
    }
    assert!(crowded.load(Ordering::Relaxed) > 0, "the room was never full");
}

/// A router keeps what was passed on, for another try. A body of which a part waited behind that reached its
/// provider with the rest twice, or ended Envoy.
#[tokio::test]
async fn a_long_body_reaches_its_provider_as_a_whole_whether_it_waits_or_not() {
    let stack =
        stack("long", "[[budgets]]\nname = 'b'\neach = 'team'\nlimit_usd = '100'\nwindow = 'prepaid'\n");
    for kilobytes in [200, 400, 800, 1_100, 2_500, 6_000] {
        for framing in [Framing::Length, Framing::Chunked(16_000), Framing::Chunked(900_000)] {
            let text: String = ('a'..='z').cycle().step_by(7).take(kilobytes * 1_000).collect();
            let body = json!({"model": "gpt-5-mini", "max_completion_tokens": 20,
                "messages": [{"role": "user", "content": text}]})
            .to_string();
            let team = format!("long-{kilobytes}-{framing:?}").replace(['(', ')'], "-");
            for round in ["cold", "warm"] {
                let name = format!("{team}-{round}");
                let headers = [("x-tollgate-team", &team), ("x-sim-call", &name)];
                let raw = Raw {
                    method: "POST".into(),
                    target: "/openai/v1/chat/completions".into(),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.clone()))
                        .into_iter()
                        .chain([("content-type".to_owned(), "application/json".to_owned())])
                        .collect(),
                    body: body.clone().into_bytes(),
                    framing,
                    ..Raw::default()
                };
                let served = reaches(&stack, &raw, &name).await;
                assert_eq!(served.received.body_bytes, body.len(), "{name}");
                assert_eq!(served.received.body_fingerprint, fingerprint(body.as_bytes()), "{name}");
            }
        }
    }
}

/// Sends until it is answered by its provider: what is longer than Envoy keeps cannot wait for its budget,
/// and is told to try again.
async fn reaches(stack: &Stack, raw: &Raw, name: &str) -> Served {
    for _ in 0..10 {
        let (status, answer) = raw.send(stack.gateway()).await.unwrap();
        if let Some(served) = stack.simulator.ledger().call(name) {
            return served;
        }
        assert_eq!(status, 429, "{name}: {answer}");
        assert!(raw.body.len() > 960 * 1_024, "{name} could wait: {status} {answer}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{name} never reaches its provider")
}
