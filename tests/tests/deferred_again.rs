//! Answers that are read again, streams of background work, pages of results, and polls: over several
//! gateways, and in whatever order they tell of them, each is charged once, to who started it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that cannot go on should say where

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tollgate_simulator::Recorded;
use tollgate_tests::burst;
use tollgate_tests::http::Call;
use tollgate_tests::stack::{Setup, Stack};

/// Work that is started at one gateway, and what happens to it at others.
struct Story {
    name: String,
    steps: Vec<Step>,
    /// The input tokens of what its starter pays for, of which no other record has as many.
    paid: Vec<u64>,
}

/// One exchange.
struct Step {
    at: At,
    agent: &'static str,
    call: Call,
    answer: String,
}

/// Which gateway.
#[derive(Clone, Copy)]
enum At {
    Start,
    First,
    Second,
}

const BUDGETS: &str = "
[[budgets]]
name = 'all'
limit_usd = '500'
window = 'month'
deferred = 'allow'

[[budgets]]
name = 'each'
limit_usd = '200'
window = 'month'
each = 'agent'
deferred = 'allow'
";

fn start(call: Call, answer: impl ToString) -> Step {
    Step { at: At::Start, agent: "starter", call, answer: answer.to_string() }
}

fn get(at: At, path: &str, answer: impl ToString) -> Step {
    let agent = if matches!(at, At::First) { "another" } else { "fetcher" };
    Step { at, agent, call: Call::get(path), answer: answer.to_string() }
}

fn usage(input: u64) -> Value {
    json!({"input_tokens": input, "output_tokens": 10, "total_tokens": input + 10})
}

fn response(id: &str, status: &str, background: Option<bool>, usage: &Value) -> Value {
    let mut response = json!({"id": id, "object": "response", "status": status, "model": "gpt-4.1-mini",
        "output": [], "usage": usage});
    if let Some(background) = background {
        response["background"] = json!(background);
    }
    response
}

/// Events of a stream: the last has the usage, where it comes to that.
fn events(id: &str, background: bool, input: Option<u64>) -> String {
    let event = |kind: &str, body: Value| {
        let mut event = body;
        event["type"] = json!(kind);
        format!("event: {kind}\ndata: {event}\n\n")
    };
    let created = response(id, "queued", Some(background), &Value::Null);
    let mut events = event("response.created", json!({"response": created}));
    events += &event("response.output_text.delta", json!({"delta": "The river begins in the hills"}));
    if let Some(input) = input {
        let done = response(id, "completed", Some(background), &usage(input));
        events += &event("response.completed", json!({"response": done}));
    }
    events
}

/// A chat completion, as batches and background chats have them.
fn chat(model: &str, input: u64) -> Value {
    json!({"id": "c", "object": "chat.completion", "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": 10, "total_tokens": input + 10}})
}

fn line(model: &str, input: u64) -> String {
    let body = chat(model, input);
    format!(
        "{}\n",
        json!({"id": "r", "custom_id": "a", "error": null, "response": {"status_code": 200, "body": body}})
    )
}

/// Answers that their callers waited for: the start has been paid.
fn stored(tag: &str, input: u64) -> Vec<Story> {
    let path = "/openai/v1/responses";
    let body = json!({"model": "gpt-4.1-mini", "input": "x"});
    let plain = |name: &str, said: Option<bool>, input: u64| {
        let id = format!("resp_{name}_{tag}");
        let done = response(&id, "completed", said, &usage(input));
        let one = format!("{path}/{id}");
        Story {
            name: format!("{name} {tag}"),
            steps: vec![
                start(Call::post(path, &body), &done),
                get(At::Start, &one, &done),
                get(At::Second, &one, &done),
                get(At::First, &format!("{one}?stream=true"), events(&id, false, Some(input))),
            ],
            paid: vec![input],
        }
    };
    let id = format!("v1_{tag}");
    let interaction = json!({"id": id, "object": "interaction", "status": "completed", "model": "gemini-2.5-flash",
        "usage": {"total_input_tokens": input + 3, "total_output_tokens": 10, "total_tokens": input + 13}});
    let body = json!({"model": "gemini-2.5-flash", "input": "x"});
    let one = format!("/gemini/v1beta/interactions/{id}");
    let interaction = Story {
        name: format!("interaction {tag}"),
        steps: vec![
            start(Call::post("/gemini/v1beta/interactions", &body), &interaction),
            get(At::Second, &one, &interaction),
            get(At::First, &one, &interaction),
        ],
        paid: vec![input + 3],
    };
    vec![plain("said", Some(false), input + 1), plain("unsaid", None, input + 2), interaction]
}

/// Work in the background, whose starter listens or not.
fn background(tag: &str, input: u64) -> Vec<Story> {
    let path = "/openai/v1/responses";
    let story = |name: &str,
                 input: u64,
                 streams: bool,
                 steps: &dyn Fn(&str) -> Vec<Step>,
                 begun: &dyn Fn(&str) -> String| {
        let id = format!("resp_{name}_{tag}");
        let body = json!({"model": "gpt-4.1-mini", "input": "x", "background": true, "stream": streams});
        let mut all = vec![start(Call::post(path, &body), begun(&id))];
        all.extend(steps(&id));
        let done = response(&id, "completed", Some(true), &usage(input));
        all.push(get(At::Second, &format!("{path}/{id}"), &done));
        all.push(get(At::First, &format!("{path}/{id}?stream=true"), events(&id, true, Some(input))));
        Story { name: format!("{name} {tag}"), steps: all, paid: vec![input] }
    };
    let none = |_: &str| Vec::new();
    let queued = |id: &str| response(id, "queued", Some(true), &Value::Null).to_string();
    let unfinished = |id: &str| {
        let half = response(id, "in_progress", Some(true), &usage(input));
        vec![get(At::Second, &format!("{path}/{id}"), half)]
    };
    let cancelled = |id: &str| {
        let answer = response(id, "cancelled", Some(true), &usage(input + 4)).to_string();
        let call = Call::post(&format!("{path}/{id}/cancel"), &json!({}));
        vec![Step { at: At::Second, agent: "fetcher", call, answer }]
    };
    vec![
        story("heard", input + 1, true, &none, &|id| events(id, true, Some(input + 1))),
        story("left", input + 2, true, &none, &|id| events(id, true, None)),
        story("half", input + 3, false, &unfinished, &queued),
        story("stopped", input + 4, false, &cancelled, &queued),
    ]
}

/// A batch whose results are a file that its poll names: polled and fetched at a gateway that did not start
/// it.
fn files(tag: &str, input: u64) -> Vec<Story> {
    let mut stories = Vec::new();
    let id = format!("f_{tag}");
    let openai = |id: &str, output: Value| json!({"id": id, "object": "batch", "status": "completed", "output_file_id": output});
    let begin = || {
        Call::post("/openai/v1/batches", &json!({"input_file_id": "f", "endpoint": "/v1/chat/completions"}))
    };
    // The poll comes last, and by the list.
    for (name, poll, input) in [
        ("late", format!("/openai/v1/batches/late_{id}"), input + 1),
        ("list", "/openai/v1/batches?limit=9".to_owned(), input + 2),
    ] {
        let batch = format!("{name}_{id}");
        let file = format!("file-{batch}");
        let ended = openai(&batch, json!(file));
        let ended = if name == "list" {
            json!({"object": "list", "data": [openai("other", Value::Null), ended]})
        } else {
            ended
        };
        let content = format!("/openai/v1/files/{file}/content");
        stories.push(Story {
            name: format!("{name} {tag}"),
            steps: vec![
                start(begin(), openai(&batch, Value::Null)),
                get(At::Second, &content, line("gpt-4.1-mini", input)),
                get(At::First, &poll, ended),
                get(At::First, &content, line("gpt-4.1-mini", input)),
            ],
            paid: vec![input],
        });
    }
    let job = |output: Value| json!({"id": id, "object": "batch", "status": "SUCCESS", "output_file": output, "model": "mistral-small-latest"});
    let content = format!("/mistral/v1/files/{id}-out/content");
    stories.push(Story {
        name: format!("mistral {tag}"),
        steps: vec![
            start(
                Call::post(
                    "/mistral/v1/batch/jobs",
                    &json!({"input_files": ["f"], "model": "mistral-small-latest"}),
                ),
                job(Value::Null),
            ),
            get(At::Second, &format!("/mistral/v1/batch/jobs/{id}"), job(json!(format!("{id}-out")))),
            get(At::Second, &content, line("mistral-small-latest", input + 3)),
            get(At::First, &content, line("mistral-small-latest", input + 3)),
        ],
        paid: vec![input + 3],
    });
    let results = json!({"key": "k", "response": {"candidates": [], "modelVersion": "gemini-2.5-flash",
        "usageMetadata": {"promptTokenCount": input + 4, "candidatesTokenCount": 10, "totalTokenCount": input + 14}}});
    let name = format!("batches/{id}");
    let ended = json!({"name": name, "done": true, "metadata": {"state": "BATCH_STATE_SUCCEEDED"},
        "response": {"responsesFile": format!("files/batch-{id}")}});
    let content = format!("/gemini/download/v1beta/files/batch-{id}:download?alt=media");
    stories.push(Story {
        name: format!("gemini {tag}"),
        steps: vec![
            start(
                Call::post(
                    "/gemini/v1beta/models/gemini-2.5-flash:batchGenerateContent",
                    &json!({"batch": {}}),
                ),
                json!({"name": name, "metadata": {"state": "BATCH_STATE_PENDING"}}),
            ),
            get(At::Second, &format!("/gemini/v1beta/batches/{id}"), ended),
            get(At::Second, &content, format!("{results}\n")),
            get(At::First, &content, format!("{results}\n")),
        ],
        paid: vec![input + 4],
    });
    stories
}

/// Pages of a batch's results, which overlap; and chats that are done in the background.
fn pages_and_chats(tag: &str, input: u64) -> Vec<Story> {
    let id = format!("batch_{tag}");
    let result = |at: u64| json!({"batch_request_id": format!("r{at}"), "batch_result": {"response": {"chat_get_completion": chat("grok-4.3", input + at)}}});
    let page = |results: &[u64]| {
        let results: Vec<Value> = results.iter().map(|at| result(*at)).collect();
        json!({"results": results, "pagination_token": "t"})
    };
    let path = format!("/xai/v1/batches/{id}/results");
    let deferred =
        json!({"model": "grok-4.3", "messages": [{"role": "user", "content": "hi"}], "deferred": true});
    let fetch = format!("/xai/v1/chat/deferred-completion/rq_{tag}");
    let created = |status: &str, response: Value| json!({"id": format!("a_{tag}"), "model": "sonar-deep-research", "status": status, "response": response});
    let research =
        json!({"request": {"model": "sonar-deep-research", "messages": [{"role": "user", "content": "hi"}]}});
    let asynchronous = format!("/perplexity/async/chat/completions/a_{tag}");
    vec![
        Story {
            name: format!("pages {tag}"),
            steps: vec![
                start(
                    Call::post("/xai/v1/batches", &json!({"name": "mine"})),
                    json!({"batch_id": id, "name": "mine"}),
                ),
                get(At::Second, &format!("{path}?limit=2"), page(&[1, 2])),
                get(At::Second, &format!("{path}?limit=2&pagination_token=t"), page(&[3])),
                get(At::First, &format!("{path}?limit=9"), page(&[1, 2, 3, 4])),
            ],
            paid: (1..=4).map(|at| input + at).collect(),
        },
        Story {
            name: format!("deferred chat {tag}"),
            steps: vec![
                start(
                    Call::post("/xai/v1/chat/completions", &deferred),
                    json!({"request_id": format!("rq_{tag}")}),
                ),
                get(At::Second, &fetch, chat("grok-4.3", input + 5)),
                get(At::First, &fetch, chat("grok-4.3", input + 5)),
            ],
            paid: vec![input + 5],
        },
        Story {
            name: format!("asynchronous chat {tag}"),
            steps: vec![
                start(
                    Call::post("/perplexity/async/chat/completions", &research),
                    created("CREATED", Value::Null),
                ),
                get(At::Second, &asynchronous, created("IN_PROGRESS", Value::Null)),
                get(At::Second, &asynchronous, created("COMPLETED", chat("sonar-deep-research", input + 6))),
                get(At::First, &asynchronous, created("COMPLETED", chat("sonar-deep-research", input + 6))),
            ],
            paid: vec![input + 6],
        },
    ]
}

impl Story {
    async fn happen(&self, stack: &Stack, at: impl Fn(At) -> SocketAddr) {
        for step in &self.steps {
            let is_stream = step.answer.starts_with("event:");
            let content_type = if is_stream { "text/event-stream" } else { "application/json" };
            let recorded = Recorded {
                status: 200,
                headers: vec![("content-type".into(), content_type.into())],
                body: step.answer.as_bytes().to_vec(),
                write_bytes: 97,
            };
            stack.simulator.replay(&self.name, recorded);
            let call =
                step.call.clone().header("x-sim-call", &self.name).header("x-tollgate-agent", step.agent);
            let reply = call.send(at(step.at)).await.unwrap();
            assert_eq!((reply.status, reply.text()), (200, step.answer.clone()), "{}", self.name);
        }
    }

    /// Who was charged for what it has to pay, and whether that is the starter alone.
    fn is_the_starters(&self, records: &BTreeMap<String, Value>) -> bool {
        self.paid.iter().all(|input| charged(records, *input) == ["starter"])
    }
}

/// The agents that were charged for so many input tokens.
fn charged(records: &BTreeMap<String, Value>, input: u64) -> Vec<&str> {
    let is_it = |record: &&Value| {
        record["usage"]["input_tokens"] == input && burst::pico(&record["cost_usd"]).unwrap() > 0
    };
    records.values().filter(is_it).map(|record| record["agent"].as_str().unwrap()).collect()
}

/// Waits until all gateways have told of everything.
async fn all_is_told(stack: &Stack, gateways: &[SocketAddr], round: &str) {
    for (at, gateway) in gateways.iter().enumerate() {
        let body = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hi"}]});
        let run = format!("end-{round}-{at}");
        let call = Call::post("/openai/v1/chat/completions", &body)
            .header("x-tollgate-run", &run)
            .header("x-tollgate-agent", "starter");
        call.send(*gateway).await.unwrap();
        stack.api().record_of_run(&run).unwrap();
    }
}

/// Nobody but the starter has spent anything, and budgets say what records do.
fn only_the_starter_has_spent(stack: &Stack) {
    let api = stack.api();
    let summary = || api.get("/api/v1/summary?by=agent&since=1d").unwrap();
    let is_so = |row: &Value| row["in_flight"] == 0 && row["used"] == summary()["total"]["cost_usd"];
    burst::budget(&api, "all", is_so).unwrap();
    for row in summary()["rows"].as_array().unwrap() {
        let is_starter = row["agent"] == "starter";
        assert_eq!(burst::pico(&row["cost_usd"]).unwrap() > 0, is_starter, "{row:#}");
    }
    let each = api.get("/api/v1/budgets?budget=each").unwrap();
    for row in each["rows"].as_array().unwrap() {
        let is_starter = row["value"] == "starter";
        assert_eq!(burst::pico(&row["used"]).unwrap() > 0, is_starter, "{row:#}");
    }
    let audit = api.get("/api/v1/accounts").unwrap();
    assert_eq!(audit["balanced"], true, "{audit}");
}

#[tokio::test]
async fn what_is_read_polled_and_paged_at_other_gateways_is_charged_once_to_who_started_it() {
    let setup = Setup {
        name: "deferred-again",
        collector_config: BUDGETS.into(),
        more_providers: ["xai", "mistral", "perplexity"].map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    let stack = Stack::set_up(&setup).unwrap();
    let second = stack.add_gateway("second").unwrap();
    // What this one tells, it tells late.
    let slow = stack.add_gateway_that_reports_every("slow", Some(4_000)).unwrap();
    let (first, second, slow) = (stack.gateway(), second.address(), slow.address());
    let mut all = Vec::new();
    for (tag, starts, input) in [("early", first, 500_000), ("late", slow, 600_000)] {
        let mut stories = stored(tag, input);
        stories.extend(background(tag, input + 100));
        stories.extend(files(tag, input + 200));
        stories.extend(pages_and_chats(tag, input + 300));
        for story in stories {
            let at = |at| match at {
                At::Start => starts,
                At::First => first,
                At::Second => second,
            };
            story.happen(&stack, at).await;
            all.push(story);
        }
    }
    all_is_told(&stack, &[first, second, slow], "one").await;
    let records = stack.api().wait_for(|records| all.iter().all(|story| story.is_the_starters(records)));
    let records = records.unwrap_or_else(|_| stack.api().wait_for(|_| true).unwrap());
    let wrong: Vec<String> = all
        .iter()
        .flat_map(|story| story.paid.iter().map(move |input| (story, *input)))
        .filter(|(_, input)| charged(&records, *input) != ["starter"])
        .map(|(story, input)| {
            let of_it = records.values().filter(|record| record["usage"]["input_tokens"] == input);
            format!("{}: {:#?}", story.name, of_it.collect::<Vec<_>>())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    only_the_starter_has_spent(&stack);
    // What is read once more is what it was.
    for story in &all {
        let again = Story { name: story.name.clone(), steps: Vec::new(), paid: story.paid.clone() };
        let last = story.steps.last().unwrap();
        let steps = [(At::First, second), (At::First, slow)].map(|(at, gateway)| {
            (gateway, Step { at, agent: "another", call: last.call.clone(), answer: last.answer.clone() })
        });
        for (gateway, step) in steps {
            Story { steps: vec![step], name: again.name.clone(), paid: Vec::new() }
                .happen(&stack, |_| gateway)
                .await;
        }
    }
    all_is_told(&stack, &[first, second, slow], "two").await;
    only_the_starter_has_spent(&stack);
    let records = stack.api().wait_for(|_| true).unwrap();
    assert!(all.iter().all(|story| story.is_the_starters(&records)));
    // A read that costs nothing says why.
    let reads = records.values().filter(|record| {
        record["notes"].as_array().is_some_and(|notes| notes.contains(&json!("paid_at_start")))
    });
    for read in reads.clone() {
        assert_eq!(
            (&read["cost_status"], &read["usage"]["input_tokens"]),
            (&json!("free"), &Value::Null),
            "{read:#}"
        );
    }
    assert!(reads.count() >= 6, "{records:#?}");
}
