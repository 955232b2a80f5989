//! What calls say of work that goes on without their callers.

use super::*;
use crate::call::ResponseHead;
use crate::estimate::Learned;
use crate::money::Picodollars;
use crate::price::charge::CostStatus;
use crate::provider::Target;
use crate::record::Note;

/// A call, from its path to its record.
struct Ended {
    call: Call,
    record: UsageRecord,
}

fn exchange(provider: &str, path: &str, (request, answer): (&str, &str), ending: Ending) -> Ended {
    // However it is cut, it says the same.
    let at = |cut: usize| {
        let mut call = Call::begin("id".into(), 1_000, Target::recognise(Some(provider), "", path), path);
        call.request().feed(request.as_bytes());
        let is_stream = answer.starts_with("event:") || answer.starts_with("data:");
        let content_type = if is_stream { "text/event-stream" } else { "application/json" };
        let head = ResponseHead {
            status: 200,
            content_type: Some(content_type),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 1_010);
        let (head, tail) = answer.as_bytes().split_at(cut);
        call.response_body(head);
        call.response_body(tail);
        let end = End { ending, now_ms: 1_020, attempts: Some(1), charge_retries: true };
        let record = call.settle(end, "gateway", None, &mut Learned::default());
        Ended { call, record }
    };
    let whole = at(0);
    for cut in 1..answer.len() {
        let cut_there = at(cut);
        assert_eq!(cut_there.record, whole.record, "cut at {cut}");
        assert_eq!(cut_there.call.leads_to(), whole.call.leads_to(), "cut at {cut}");
        assert_eq!(cut_there.call.outputs(), whole.call.outputs(), "cut at {cut}");
    }
    whole
}

fn get(provider: &str, path: &str, answer: &str) -> Ended {
    exchange(provider, path, ("", answer), Ending::Complete)
}

fn post(provider: &str, path: &str, request: &str, answer: &str) -> Ended {
    exchange(provider, path, (request, answer), Ending::Complete)
}

fn output(of: &str, file: &str) -> Output {
    Output { file: file.into(), of: of.into() }
}

#[test]
fn an_answer_that_was_waited_for_is_told_from_a_result_by_its_providers_word() {
    let usage = r#""usage":{"input_tokens":7,"output_tokens":2,"total_tokens":9}"#;
    let waited = |told| Fetched::Answer { told };
    for (words, expected) in [
        (r#""background":true,"#, Fetched::Result),
        (r#""background":false,"#, waited(true)),
        (r#""background":null,"#, waited(false)),
        ("", waited(false)),
    ] {
        let body = format!(
            r#"{{"id":"resp_1","object":"response",{words}"status":"completed","model":"m",{usage}}}"#
        );
        let stream = format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{body}}}\n\n"
        );
        for provider in ["openai", "azure", "xai"] {
            assert_eq!(get(provider, "/v1/responses/resp_1", &body).call.fetched(), expected, "{words}");
            let streamed = get(provider, "/v1/responses/resp_1?stream=true", &stream);
            assert_eq!(streamed.call.fetched(), expected, "{words} in a stream");
        }
    }
    // These never wait, and nobody says so.
    let run = format!(r#"{{"id":"run_1","object":"thread.run","status":"completed",{usage}}}"#);
    assert_eq!(get("openai", "/v1/threads/t/runs/run_1", &run).call.fetched(), Fetched::Result);
    let interaction = format!(r#"{{"id":"v1_1","status":"completed",{usage}}}"#);
    assert_eq!(get("gemini", "/v1beta/interactions/v1_1", &interaction).call.fetched(), Fetched::Result);
    assert_eq!(get("openai", "/v1/files/f/content", "{}").call.fetched(), Fetched::File);
}

#[test]
fn who_listens_to_background_work_pays_for_it_then_and_who_leaves_does_not() {
    let created = |background: &str| {
        format!(
            "data: {{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",{background}\"status\":\"queued\",\"usage\":null}}}}\n\n\
             data: {{\"type\":\"response.output_text.delta\",\"delta\":\"The river begins\"}}\n\n"
        )
    };
    let completed = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\
                     \"usage\":{\"input_tokens\":7,\"output_tokens\":2}}}\n\n";
    let asked = r#"{"model":"m","input":"x","background":true,"stream":true}"#;
    let said = r#""background":true,"#;
    for (request, background) in [(asked, said), (asked, ""), (r#"{"model":"m","stream":true}"#, said)] {
        let whole = post("openai", "/v1/responses", request, &(created(background) + completed));
        assert!(whole.call.is_paid_start(), "{request} {background}");
        assert_eq!(whole.call.leads_to(), ["resp_1"]);
        assert_eq!(whole.record.usage.input_tokens, Some(7));
        for ending in [Ending::ClientAbort, Ending::UpstreamAbort, Ending::Complete] {
            let cut = exchange("openai", "/v1/responses", (request, &created(background)), ending);
            assert_eq!(cut.record.cost_status, CostStatus::Free, "{ending:?}");
            assert_eq!((cut.record.usage.output_tokens, cut.call.is_paid_start()), (None, false));
            assert_eq!(cut.record.notes, [Note::Deferred]);
            assert_eq!(cut.call.leads_to(), ["resp_1"], "{ending:?}");
        }
    }
    // Whose caller waits for it pays for what passed, and it has no sequel.
    let request = r#"{"model":"m","input":"x","stream":true}"#;
    let cut = exchange("openai", "/v1/responses", (request, &created("")), Ending::ClientAbort);
    assert_eq!(cut.call.leads_to(), [""; 0]);
    assert!(cut.record.usage.output_tokens > Some(0));
}

#[test]
fn a_run_of_a_thread_that_streams_is_known_among_its_steps_and_messages() {
    let run = |status: &str, usage: &str| {
        format!(
            "event: thread.run.{status}\ndata: {{\"id\":\"run_1\",\"object\":\"thread.run\",\"status\":\"{status}\",\"usage\":{usage}}}\n\n"
        )
    };
    let message = "event: thread.message.delta\ndata: {\"id\":\"msg_1\",\"object\":\"thread.message.delta\",\
                   \"delta\":{\"content\":[{\"text\":{\"value\":\"yes\"}}]}}\n\n";
    let request = r#"{"assistant_id":"a","stream":true}"#;
    let begun = run("created", "null") + message;
    let whole = begun.clone() + &run("completed", r#"{"prompt_tokens":7,"completion_tokens":2}"#);
    let ended = post("openai", "/v1/threads/t/runs", request, &whole);
    assert_eq!((ended.call.is_paid_start(), ended.call.leads_to()), (true, vec!["run_1".to_owned()]));
    let cut = exchange("openai", "/v1/threads/t/runs", (request, &begun), Ending::ClientAbort);
    assert_eq!((cut.call.is_paid_start(), cut.call.leads_to()), (false, vec!["run_1".to_owned()]));
    assert_eq!(cut.record.cost_status, CostStatus::Free);
}

#[test]
fn an_interaction_that_was_paid_says_so_as_its_reads_do_not() {
    let done = r#"{"id":"v1_1","status":"completed","model":"m","usage":{"total_input_tokens":7,"total_output_tokens":2}}"#;
    let start = post("gemini", "/v1beta/interactions", r#"{"model":"m","input":"x"}"#, done);
    assert_eq!((start.call.is_paid_start(), start.call.leads_to()), (true, vec!["v1_1".to_owned()]));
    let begun = r#"{"id":"v1_1","status":"in_progress","model":"m"}"#;
    let start =
        post("gemini", "/v1beta/interactions", r#"{"model":"m","input":"x","background":true}"#, begun);
    assert_eq!((start.call.is_paid_start(), start.call.leads_to()), (false, vec!["v1_1".to_owned()]));
    // Other answers are many, and say themselves that nobody owes for them.
    let answer = r#"{"id":"resp_1","status":"completed","usage":{"input_tokens":7,"output_tokens":2}}"#;
    let start = post("openai", "/v1/responses", r#"{"model":"m","input":"x"}"#, answer);
    assert_eq!((start.call.is_paid_start(), start.call.leads_to()), (false, vec![]));
}

#[test]
fn work_that_is_not_done_is_no_result_though_it_has_counts() {
    for (provider, path, answer, is_unfinished) in [
        (
            "openai",
            "/v1/responses/r",
            r#"{"id":"r","background":true,"status":"in_progress","usage":{"input_tokens":7}}"#,
            true,
        ),
        (
            "openai",
            "/v1/responses/r",
            r#"{"id":"r","background":true,"status":"cancelled","usage":{"input_tokens":7}}"#,
            false,
        ),
        (
            "openai",
            "/v1/responses/r/cancel",
            r#"{"id":"r","status":"cancelled","usage":{"input_tokens":7}}"#,
            false,
        ),
        (
            "openai",
            "/v1/threads/t/runs/r",
            r#"{"id":"r","object":"thread.run","status":"cancelling","usage":{"prompt_tokens":7}}"#,
            true,
        ),
        (
            "gemini",
            "/v1beta/interactions/r",
            r#"{"id":"r","status":"in_progress","usage":{"total_input_tokens":7}}"#,
            true,
        ),
        (
            "mistral",
            "/v1/batch/jobs/b",
            r#"{"id":"b","status":"RUNNING","outputs":[{"response":{"body":{"usage":{"prompt_tokens":7}}}}]}"#,
            true,
        ),
        (
            "mistral",
            "/v1/batch/jobs/b",
            r#"{"id":"b","status":"SUCCESS","outputs":[{"response":{"body":{"usage":{"prompt_tokens":7}}}}]}"#,
            false,
        ),
        ("openai", "/v1/responses/r", r#"{"id":"r","status":"completed"}"#, true),
    ] {
        let ended = get(provider, path, answer);
        assert_eq!(ended.call.is_unfinished(&ended.record), is_unfinished, "{path} {answer}");
        assert!(ended.call.target().fetches.is_some(), "{path}");
    }
    // The end of a stream that stopped on the way.
    let stopped = "data: {\"type\":\"response.in_progress\",\"response\":{\"id\":\"r\",\"background\":true,\
                   \"status\":\"in_progress\",\"usage\":{\"input_tokens\":7}}}\n\n";
    let ended = get("openai", "/v1/responses/r?stream=true", stopped);
    assert!(ended.call.is_unfinished(&ended.record));
}

#[test]
fn a_poll_names_files_of_results_with_their_batches_wherever_they_stand() {
    let openai = r#"{"id":"batch_1","object":"batch","status":"completed","output_file_id":"file-1","usage":{"input_tokens":9}}"#;
    let gemini = r#"{"name":"batches/g","metadata":{"output":{"responsesFile":"files/o"}},"done":true,"response":{"responsesFile":"files/o"}}"#;
    let mistral = r#"{"id":"m","object":"batch","status":"SUCCESS","output_file":"f-1","outputs":null}"#;
    for (provider, path, answer, expected) in [
        ("openai", "/v1/batches/batch_1", openai.to_owned(), vec![output("batch_1", "file-1")]),
        (
            "azure",
            "/openai/batches/batch_1?api-version=x",
            openai.to_owned(),
            vec![output("batch_1", "file-1")],
        ),
        ("gemini", "/v1beta/batches/g", gemini.to_owned(), vec![output("g", "o")]),
        ("mistral", "/v1/batch/jobs/m", mistral.to_owned(), vec![output("m", "f-1")]),
        // Where the operator gave the provider another name.
        ("our-google", "/v1beta/batches/g", gemini.to_owned(), vec![output("g", "o")]),
        ("our-mistral", "/v1/batch/jobs/m", mistral.to_owned(), vec![output("m", "f-1")]),
        // Lists.
        (
            "openai",
            "/v1/batches?limit=2",
            format!(r#"{{"object":"list","data":[{openai},{{"id":"batch_2","output_file_id":null}}]}}"#),
            vec![output("batch_1", "file-1")],
        ),
        ("mistral", "/v1/batch/jobs", format!(r#"{{"data":[{mistral}]}}"#), vec![output("m", "f-1")]),
        ("gemini", "/v1beta/batches", format!(r#"{{"operations":[{gemini}]}}"#), vec![output("g", "o")]),
    ] {
        let ended = get(provider, path, &answer);
        assert_eq!(ended.call.outputs(), expected, "{provider} {path}");
        assert_eq!(ended.record.cost_status, CostStatus::Free, "{provider} {path}");
        assert_eq!(ended.record.cost_usd.as_pico(), 0, "{provider} {path}");
        let is_told = path.contains("/batch_1");
        assert_eq!(ended.record.usage.input_tokens, is_told.then_some(9), "{provider} {path}");
    }
    // What only looks like it.
    let files = r#"{"object":"list","data":[{"id":"file-1","purpose":"batch"}]}"#;
    assert_eq!(get("openai", "/v1/files", files).call.outputs(), []);
}

#[test]
fn the_end_of_a_batch_that_is_cancelled_is_paid_with_its_results() {
    let answer =
        r#"{"id":"batch_1","status":"cancelling","model":"m","usage":{"input_tokens":9,"output_tokens":1}}"#;
    let ended = post("openai", "/v1/batches/batch_1/cancel", "{}", answer);
    assert_eq!((ended.record.cost_status, ended.record.usage.is_empty()), (CostStatus::Free, true));
    assert!(ended.call.continues());
}

#[test]
fn the_id_of_a_batch_is_not_the_name_that_its_owner_gave_it() {
    for answer in [
        r#"{"batch_id":"batch_K","name":"my batch","state":{"num_requests":0}}"#,
        r#"{"name":"my batch","batch_id":"batch_K","state":{"num_requests":0}}"#,
    ] {
        assert_eq!(post("xai", "/v1/batches", r#"{"name":"my batch"}"#, answer).call.leads_to(), ["batch_K"]);
    }
    let gemini = r#"{"name":"batches/g","metadata":{"state":"BATCH_STATE_PENDING"}}"#;
    let path = "/v1beta/models/m:batchGenerateContent";
    assert_eq!(post("gemini", path, r#"{"batch":{}}"#, gemini).call.leads_to(), ["g"]);
}

#[test]
fn each_result_of_a_page_is_told_under_its_own_id_and_they_make_up_the_page() {
    let result = |id: &str, input: u64| {
        format!(
            r#"{{{id}"batch_result":{{"response":{{"chat_get_completion":{{"model":"m","usage":{{"prompt_tokens":{input},"completion_tokens":2,"total_tokens":{}}}}}}}}}}}"#,
            input + 2
        )
    };
    let failed = r#"{"batch_request_id":"bad","batch_result":{"error":"x"}}"#;
    let page =
        |results: &[String]| format!(r#"{{"results":[{}],"pagination_token":"t2"}}"#, results.join(","));
    let all: Vec<String> =
        (1..=70).map(|at| result(&format!(r#""batch_request_id":"r{at}","#), at)).collect();
    for (results, count, tokens) in [(&all[..2], 2, 3), (&all[..], 70, 2_485)] {
        let mut results = results.to_vec();
        results.insert(1, failed.to_owned());
        let answer = page(&results);
        let mut call = Call::begin(
            "id".into(),
            1,
            Target::recognise(Some("xai"), "", "/v1/batches/K/results"),
            "/v1/batches/K/results?limit=9",
        );
        let head = ResponseHead {
            status: 200,
            content_type: Some("application/json"),
            content_encoding: None,
            header: &|_| None,
        };
        call.response_head(&head, 2);
        call.response_body(answer.as_bytes());
        let end = End { ending: Ending::Complete, now_ms: 3, attempts: Some(1), charge_retries: true };
        let whole = call.settle(end, "g", None, &mut Learned::default());
        let told = call.results(&whole, None);
        assert_eq!(told.len(), count);
        assert_eq!((told[0].1.as_str(), told[0].2.as_deref()), ("K/r1", Some("K")));
        assert_eq!(told[count - 1].1, format!("K/r{count}"));
        let sum: u64 = told.iter().filter_map(|(record, ..)| record.usage.input_tokens).sum();
        assert_eq!((sum, whole.usage.input_tokens), (tokens, Some(tokens)));
        assert!(told.iter().all(|(record, ..)| record.head.response_model.as_deref() == Some("m")));
    }
    // Without ids a page is what its token says.
    let ended = |path: &str| get("xai", path, &page(&[result("", 5)]));
    for (path, id, of) in [
        ("/v1/batches/K/results?limit=1", "K", None),
        ("/v1/batches/K/results?limit=1&pagination_token=t2", "K?t2", Some("K")),
    ] {
        let ended = ended(path);
        let told = ended.call.results(&ended.record, None);
        assert_eq!((told.len(), told[0].1.as_str(), told[0].2.as_deref()), (1, id, of), "{path}");
        assert_eq!(told[0].0, ended.record);
    }
}

#[test]
fn chats_that_are_done_in_the_background_are_paid_with_their_result() {
    let usage =
        r#""usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"cost":{"total_cost":0.5}}"#;
    let async_done = format!(
        r#"{{"id":"a1","model":"sonar-deep-research","status":"COMPLETED","response":{{"id":"x","model":"sonar-deep-research",{usage},"choices":[{{"message":{{"content":"yes"}}}}]}}}}"#
    );
    let created = r#"{"id":"a1","model":"sonar-deep-research","created_at":1,"status":"CREATED"}"#;
    let chat = format!(r#"{{"id":"c","model":"m",{usage},"choices":[{{"message":{{"content":"yes"}}}}]}}"#);
    let zai = r#"{"id":"a1","request_id":"q","model":"m","task_status":"PROCESSING"}"#;
    for (provider, start, begun, fetch, done) in [
        ("perplexity", "/async/chat/completions", created, "/async/chat/completions/a1", async_done.as_str()),
        ("perplexity", "/v1/async/sonar", created, "/v1/async/sonar/a1", &async_done),
        ("zai", "/api/paas/v4/async/chat/completions", zai, "/api/paas/v4/async-result/a1", &chat),
        ("xai", "/v1/chat/completions", r#"{"request_id":"a1"}"#, "/v1/chat/deferred-completion/a1", &chat),
    ] {
        let request = r#"{"model":"m","deferred":true,"messages":[{"content":"one two three"}]}"#;
        let started = post(provider, start, request, begun);
        assert_eq!(started.call.leads_to(), ["a1"], "{start}");
        assert_eq!(
            (started.record.cost_status, started.call.is_paid_start()),
            (CostStatus::Free, false),
            "{start}"
        );
        let pending = get(provider, fetch, begun);
        assert!(pending.call.is_unfinished(&pending.record), "{fetch}");
        let fetched = get(provider, fetch, done);
        assert_eq!(fetched.call.target().fetches.as_deref(), Some("a1"), "{fetch}");
        assert!(!fetched.call.is_unfinished(&fetched.record), "{fetch}");
        assert_eq!(fetched.call.fetched(), Fetched::Result);
        assert_eq!(
            (fetched.record.usage.input_tokens, fetched.record.usage.output_tokens),
            (Some(7), Some(2))
        );
        assert!(fetched.record.head.response_model.is_some());
    }
    let fetched = get("perplexity", "/async/chat/completions/a1", &async_done);
    let dollars = Picodollars::from_pico(500_000_000_000);
    assert_eq!((fetched.record.cost_usd, fetched.record.provider_cost_usd), (dollars, Some(dollars)));
    // An answer that has come is none that will.
    let answer = r#"{"request_id":"a1","model":"m","choices":[{"message":{"content":"yes"}}]}"#;
    let ended = post("xai", "/v1/chat/completions", r#"{"model":"m","deferred":true}"#, answer);
    assert_eq!(ended.call.leads_to(), [""; 0]);
}

#[test]
fn a_stored_chat_whose_labels_are_changed_comes_once_more_for_nothing() {
    let chat =
        r#"{"id":"chatcmpl-1","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
    let ended = post("openai", "/v1/chat/completions/chatcmpl-1", r#"{"metadata":{"a":"b"}}"#, chat);
    assert_eq!((ended.record.cost_status, ended.record.usage.is_empty()), (CostStatus::Free, true));
    assert_eq!(ended.call.target().fetches, None);
}

#[test]
fn what_is_read_again_keeps_no_count_and_no_cost() {
    let answer = r#"{"id":"resp_1","status":"completed","usage":{"input_tokens":7,"output_tokens":2}}"#;
    let mut record = get("openai", "/v1/responses/resp_1", answer).record;
    record.cost_usd = Picodollars::from_pico(9);
    record.provider_cost_usd = Some(Picodollars::from_pico(9));
    record.notes.push(Note::NoUsage);
    record.read_again();
    record.read_again();
    assert_eq!((record.cost_usd, record.provider_cost_usd), (Picodollars::ZERO, None));
    assert_eq!((record.cost_status, record.usage.is_empty()), (CostStatus::Free, true));
    assert_eq!(record.notes, [Note::PaidAtStart]);
}

#[test]
fn a_poll_that_says_what_the_work_cost_is_its_result_and_others_stay_free() {
    let asked = r#"{"model":"m","prompt":"a river"}"#;
    for (provider, start, begun, poll, pending, done, dollars) in [
        (
            "openrouter",
            "/api/v1/videos",
            r#"{"id":"job_1","polling_url":"/api/v1/videos/job_1","status":"pending"}"#,
            "/api/v1/videos/job_1",
            r#"{"id":"job_1","status":"in_progress","usage":{"cost":0.5,"is_byok":false}}"#,
            r#"{"id":"job_1","status":"completed","unsigned_urls":["u"],"usage":{"cost":0.5,"is_byok":false}}"#,
            500,
        ),
        (
            "xai",
            "/v1/videos/generations",
            r#"{"request_id":"job_1"}"#,
            "/v1/videos/job_1",
            r#"{"status":"pending"}"#,
            r#"{"status":"done","video":{"url":"u"},"model":"m","usage":{"cost_in_usd_ticks":4000000000}}"#,
            400,
        ),
        (
            "together",
            "/v2/videos",
            r#"{"id":"job_1","object":"video","status":"queued","model":"m"}"#,
            "/v2/videos/job_1",
            r#"{"id":"job_1","status":"in_progress","model":"m"}"#,
            r#"{"id":"job_1","status":"completed","model":"m","outputs":{"cost":0.28,"video_url":"u"}}"#,
            280,
        ),
        // Says nothing of money at any time.
        (
            "openai",
            "/v1/videos",
            r#"{"id":"job_1","status":"queued","model":"m"}"#,
            "/v1/videos/job_1",
            r#"{"id":"job_1","status":"in_progress","model":"m"}"#,
            r#"{"id":"job_1","status":"completed","model":"m","seconds":"8"}"#,
            0,
        ),
    ] {
        let started = post(provider, start, asked, begun);
        assert_eq!(started.record.cost_status, CostStatus::Unpriced, "{start}");
        assert_eq!(started.call.leads_to(), ["job_1"], "{start}");
        let waits = get(provider, poll, pending);
        assert_eq!(waits.record.cost_status, CostStatus::Free, "{pending}");
        assert!(waits.call.is_unfinished(&waits.record), "{pending}");
        let polled = get(provider, poll, done);
        let cost = Picodollars::from_pico(dollars * 1_000_000_000);
        assert_eq!(polled.record.cost_usd, cost, "{done}");
        assert_eq!(polled.call.is_unfinished(&polled.record), dollars == 0, "{done}");
        let status = if dollars == 0 { CostStatus::Free } else { CostStatus::Measured };
        assert_eq!(polled.record.cost_status, status, "{done}");
        let told = polled.call.results(&polled.record, None);
        assert_eq!((told.len(), told[0].1.as_str()), (1, "job_1"), "{done}");
        assert_eq!(polled.call.fetched(), Fetched::Result, "{done}");
    }
    // What cost nothing, and what went wrong before it cost anything, is nobody's result yet.
    for answer in [
        r#"{"id":"job_1","status":"completed","usage":{"cost":0,"is_byok":false}}"#,
        r#"{"id":"job_1","status":"failed","error":"no"}"#,
    ] {
        let ended = get("openrouter", "/api/v1/videos/job_1", answer);
        assert!(ended.call.is_unfinished(&ended.record), "{answer}");
        assert_eq!((ended.record.cost_usd, ended.record.cost_status), (Picodollars::ZERO, CostStatus::Free));
    }
    // Lists, files and other verbs are no polls of one work.
    for path in ["/api/v1/videos", "/api/v1/videos/models", "/api/v1/videos/job_1/content"] {
        assert_eq!(Target::recognise(Some("openrouter"), "", path).fetches, None, "{path}");
    }
}
