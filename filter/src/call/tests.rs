//! One stream from Envoy's callbacks to its record.

use serde_json::{Value, json};
use tollgate_core::decode::websocket;
use tollgate_core::record::{Note, Outcome as CallOutcome, UsageRecord};

use super::phase::TOLD_MS;
use super::*;
use crate::fixture::*;
use crate::host::simulated::{self, Fault};

/// A gateway whose collector grants so much on each counter.
fn start(budgets: &Value, granted: i128) -> (Vm, Collector) {
    started(&configuration(), budgets, granted)
}

fn started(configuration: &Value, budgets: &Value, granted: i128) -> (Vm, Collector) {
    simulated::begin(NOW_MS);
    let mut vm = Vm::start(configuration);
    let mut collector = Collector { granted, ..Collector::new(budgets) };
    vm.tick();
    vm.collect(&mut collector);
    (vm, collector)
}

/// What the collector has once all is sent.
fn records(vm: &mut Vm, collector: &mut Collector) -> Vec<UsageRecord> {
    for _ in 0..4 {
        vm.tick();
        vm.collect(collector);
    }
    collector.records.values().cloned().collect()
}

fn header(map: Headers, name: &str) -> Option<String> {
    simulated::with(|world| {
        let headers = world.headers.get(&(map as u32))?;
        let (_, value) = headers.iter().find(|(known, _)| known == name)?;
        Some(String::from_utf8(value.clone()).unwrap())
    })
}

fn refusal() -> simulated::Answer {
    simulated::with(|world| world.answers.last().cloned().unwrap())
}

mod requests {
    use super::*;

    #[test]
    fn what_is_no_call_to_a_model_passes_untouched() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (mut read, action) =
            vm.request(&[(":method", "GET"), (":path", "/v1/models"), (":authority", "api.openai.com")], b"");
        assert_eq!(action, Action::Continue);
        end(&mut read);
        assert!(records(&mut vm, &mut collector).is_empty());
        assert_eq!(simulated::with(|world| world.metrics["tollgate_reads_total"]), 1);
    }

    #[test]
    fn a_request_whose_headers_the_host_does_not_give_passes_and_is_counted() {
        let (mut vm, _) = start(&json!([]), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 2);
        simulated::with(|world| world.headers.clear());
        assert_eq!(call.on_http_request_headers(0, false), Action::Continue);
        vm.tick();
        assert_eq!(simulated::with(|world| world.metrics["tollgate_requests_unread_total"]), 1);
    }

    #[test]
    fn headers_of_attribution_do_not_reach_the_provider() {
        let (mut vm, _) = start(&json!([]), AMPLE);
        vm.chat();
        assert_eq!(header(Headers::Request, "x-tollgate-agent"), None);
        assert_eq!(header(Headers::Request, "accept-encoding").as_deref(), Some("identity"));
    }

    #[test]
    fn what_a_certificate_says_of_a_caller_wins_over_what_it_says_itself() {
        let mut configuration = configuration();
        configuration["attribution"] = json!({"trusted": [{"field": "agent",
            "property": ["connection", "uri_san_peer_certificate"], "source": "verified"}]});
        let (mut vm, mut collector) = started(&configuration, &json!([]), AMPLE);
        let path = b"connection\0uri_san_peer_certificate".to_vec();
        simulated::with(|world| world.properties.insert(path, b"triage".to_vec()));
        let (mut call, _) = vm.chat();
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!(record.head.attribution.agent, "triage");
        assert_eq!(record.head.attribution_source, tollgate_core::attribution::AttributionSource::Verified);
    }

    #[test]
    fn without_budgets_a_call_is_not_waited_for() {
        let (mut vm, mut collector) = start(&json!([]), AMPLE);
        let (mut call, action) = vm.chat();
        assert_eq!(action, Action::Continue);
        answer(&mut call, response(MODEL).as_bytes());
        end(&mut call);
        let records = records(&mut vm, &mut collector);
        assert_eq!(records[0].cost_usd.as_pico(), COST);
        assert!(counters().is_empty());
    }
}

mod waiting {
    use super::*;

    #[test]
    fn a_call_waits_for_its_grant_and_goes_on() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (mut call, action) = vm.chat();
        assert_eq!(action, Action::Pause);
        vm.collect(&mut collector);
        assert_eq!(simulated::with(|world| world.continued.len()), 1);
        answer(&mut call, response(MODEL).as_bytes());
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.outcome, record.cost_usd.as_pico()), (CallOutcome::Ok, COST));
        assert_eq!(record.policy_version.as_deref(), Some("p1"));
        assert_eq!((counter("all").used.0, counter("all").held.0), (COST, 0));
        assert_eq!((counter("calls").used.0, counter("calls").held.0), (1, 0));
    }

    #[test]
    fn a_stream_that_ends_while_it_waits_cost_nothing() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (mut call, _) = vm.chat();
        end(&mut call);
        vm.collect(&mut collector);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.outcome, record.status), (CallOutcome::Error, None));
        assert_eq!(record.cost_usd.as_pico(), 0);
        assert_eq!((counter("all").used.0, counter("all").held.0), (0, 0));
        assert!(simulated::with(|world| world.continued.is_empty()));
    }

    #[test]
    fn what_is_answered_while_it_waits_is_decided_on_then() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (mut call, _) = vm.chat();
        set_headers(Headers::Response, &[(":status", "200")]);
        assert_eq!(call.on_http_response_headers(1, false), Action::Pause);
        assert_eq!(refusal().details, "tollgate_budget_busy");
        vm.collect(&mut collector);
        end(&mut call);
        let records = records(&mut vm, &mut collector);
        assert_eq!((records.len(), records[0].outcome), (1, CallOutcome::Denied));
        assert!(simulated::with(|world| world.continued.is_empty() && world.answers.len() == 1));
        assert!(counters().iter().all(|counter| counter.used.0 == 0));
    }

    #[test]
    fn an_error_for_what_waits_passes_and_costs_nothing() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (mut call, _) = vm.chat();
        set_headers(Headers::Response, &[(":status", "504")]);
        assert_eq!(call.on_http_response_headers(1, true), Action::Continue);
        vm.collect(&mut collector);
        assert_eq!(request_body(&mut call, b"", true), Action::Continue);
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.outcome, record.cost_usd.as_pico()), (CallOutcome::Error, 0));
        assert!(counters().iter().all(|counter| counter.used.0 == 0));
    }

    /// Headers and body of a request that says that it is longer than its JSON: what is read waits in Envoy.
    fn longer_than_its_json(vm: &Vm) -> HttpCall {
        let mut call = begin(vm, "900000");
        assert_eq!(request_body(&mut call, request(MODEL).as_bytes(), false), Action::Pause);
        call
    }

    #[test]
    fn what_went_on_as_it_was_answered_goes_on_when_the_rest_of_it_comes() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (_first, _) = vm.chat();
        vm.collect(&mut collector);
        let mut call = longer_than_its_json(&vm);
        answer(&mut call, response(MODEL).as_bytes());
        assert_eq!(call.on_http_request_trailers(0), Action::Continue);
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.outcome, record.cost_usd.as_pico()), (CallOutcome::Ok, COST));
        assert!(simulated::with(|world| world.answers.is_empty()));
    }

    #[test]
    fn what_was_refused_as_it_was_answered_is_refused_once() {
        let (vm, _) = start(&budgets(), 0);
        let mut call = longer_than_its_json(&vm);
        set_headers(Headers::Response, &[(":status", "200")]);
        assert_eq!(call.on_http_response_headers(1, false), Action::Pause);
        assert_eq!(call.on_http_request_trailers(0), Action::Pause);
        assert_eq!(request_body(&mut call, b" ", true), Action::Pause);
        assert_eq!(simulated::with(|world| world.answers.len()), 1);
    }

    #[test]
    fn a_call_whose_collector_cannot_be_reached_is_refused_as_that() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        collector.is_away = true;
        let (mut call, _) = vm.chat();
        vm.collect_one(&mut collector);
        assert_eq!(refusal().details, "tollgate_collector_away");
        end(&mut call);
        collector.is_away = false;
        simulated::pass(60_000);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!(record.outcome, CallOutcome::Denied);
    }

    #[test]
    fn where_no_more_calls_may_wait_it_is_decided_at_once() {
        let (mut vm, _) = start(&budgets(), AMPLE);
        let gateway = vm.gateway();
        let mut context = 1_000;
        let share = gateway.budgets.share(&chat("x", MODEL), NOW_MS);
        while gateway.waiting.has_room(&gateway, share, 1, NOW_MS) {
            gateway.waiting.park(context, share, Box::new(chat("x", MODEL)), NOW_MS);
            context += 1;
        }
        let (_, action) = vm.chat();
        assert_eq!(action, Action::Pause);
        assert_eq!(refusal().status, 429);
        let text = String::from_utf8(refusal().body).unwrap();
        assert!(text.contains("As many calls as may wait"), "{text}");
    }

    fn long(bytes: usize) -> String {
        let text = "x".repeat(bytes);
        json!({"model": MODEL, "max_completion_tokens": 50, "messages": [{"content": text}]}).to_string()
    }

    /// The pieces of a body as a stream gets them: what each of them leaves for the provider, and the last
    /// action.
    fn pieces(call: &mut HttpCall, body: &str) -> (Vec<Vec<u8>>, Action) {
        let (mut left, mut action) = (Vec::new(), Action::Continue);
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(300 * 1024).collect();
        for (at, piece) in pieces.iter().enumerate() {
            action = request_body(call, piece, at + 1 == pieces.len());
            left.push(in_request());
        }
        (left, action)
    }

    fn begin(vm: &Vm, length: &str) -> HttpCall {
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers(length));
        assert_eq!(call.on_http_request_headers(6, false), Action::Continue);
        call
    }

    /// What is passed on a router keeps for another try, and gets again where the filter pauses and goes on.
    #[test]
    fn a_long_body_that_waits_reaches_the_provider_as_a_whole_and_once() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let body = long(800 * 1024);
        let mut call = begin(&vm, &body.len().to_string());
        let (left, action) = pieces(&mut call, &body);
        assert_eq!(action, Action::Pause);
        assert_eq!(left[..2], [b"", b""], "nothing is passed on before");
        assert_eq!(left[2], body.as_bytes());
        vm.collect(&mut collector);
        assert_eq!(simulated::with(|world| world.continued.len()), 1);
        assert_eq!(in_request(), body.as_bytes());
    }

    #[test]
    fn a_body_longer_than_envoy_keeps_is_asked_for_ahead_and_does_not_wait() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let body = long(1_200 * 1024);
        let mut call = begin(&vm, &body.len().to_string());
        vm.collect(&mut collector);
        let (left, action) = pieces(&mut call, &body);
        assert_eq!(action, Action::Continue);
        assert_eq!(left.concat(), body.as_bytes());
        assert_eq!(left.last().unwrap().len(), body.len());
    }

    /// A long body must not make a call of the path of a cancel free that a short one does not.
    #[test]
    fn a_long_call_by_the_path_of_a_cancel_is_decided_on_like_a_short_one() {
        for bytes in [100, 1_200 * 1024] {
            let (mut vm, mut collector) =
                start(&json!([{"name": "calls", "limit_calls": 1, "window": "day"}]), 1);
            let (_first, _) = vm.chat();
            vm.collect(&mut collector);
            let body = long(bytes);
            let length = body.len().to_string();
            let mut headers = chat_headers(&length);
            headers[1] = (":path", "/v1/responses/resp_1/cancel");
            let mut call = HttpCall::new(vm.gateway(), 9);
            set_headers(Headers::Request, &headers);
            call.on_http_request_headers(6, false);
            let (_, action) = pieces(&mut call, &body);
            assert_eq!(action, Action::Pause, "{bytes}");
            vm.collect(&mut collector);
            assert!(matches!(refusal().status, 402 | 429), "{bytes}");
        }
    }

    #[test]
    fn a_body_longer_than_envoy_keeps_for_which_nothing_has_come_is_refused_for_now() {
        let (vm, _) = start(&budgets(), AMPLE);
        let body = long(1_200 * 1024);
        let mut call = begin(&vm, &body.len().to_string());
        let (_, action) = pieces(&mut call, &body);
        assert_eq!(action, Action::Pause);
        assert_eq!(refusal().status, 429);
        let text = String::from_utf8(refusal().body).unwrap();
        assert!(text.contains("a request so long cannot wait"), "{text}");
    }

    #[test]
    fn what_others_keep_too_much_for_passes_on_and_is_decided_on_when_all_is_said() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 1, "window": "day"}]), 1);
        let (_first, _) = vm.chat();
        vm.collect(&mut collector);
        vm.gateway().taken.fill();
        let body = long(700 * 1024);
        let mut call = begin(&vm, "9000000");
        let (head, end) = body.as_bytes().split_at(600 * 1024);
        assert_eq!(request_body(&mut call, head, false), Action::Continue);
        assert_eq!(in_request(), head, "it passes as it comes");
        assert_eq!(request_body(&mut call, end, false), Action::Pause, "and not to where its JSON ends");
        assert_eq!(refusal().status, 429);
    }
}

mod refusals {
    use super::*;

    fn refused() -> (Vm, Collector, HttpCall) {
        let (mut vm, mut collector) = start(&budgets(), 0);
        let (call, _) = vm.chat();
        vm.collect(&mut collector);
        (vm, collector, call)
    }

    #[test]
    fn it_is_answered_in_the_providers_own_shape() {
        let (.., call) = refused();
        let answer = refusal();
        assert_eq!(answer.status, 402);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains("all"), "{body}");
        assert!(answer.headers.iter().any(|(name, _)| name == "x-tollgate-call"));
        drop(call);
    }

    #[test]
    fn it_leaves_a_record_without_a_cost() {
        let (mut vm, mut collector, mut call) = refused();
        end(&mut call);
        let records = records(&mut vm, &mut collector);
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].outcome, records[0].status), (CallOutcome::Denied, Some(402)));
        assert_eq!(counter("all").used.0, 0);
    }

    #[test]
    fn it_is_counted_on_the_counter_and_by_reason() {
        let (mut vm, ..) = refused();
        vm.tick();
        assert_eq!(counter("all").denied + counter("calls").denied, 1);
        assert_eq!(simulated::with(|world| world.metrics["tollgate_denied_total.reason=.budget_spent.;"]), 1);
    }

    #[test]
    fn our_own_answer_is_not_read_as_a_providers() {
        let (mut vm, mut collector, mut call) = refused();
        set_headers(Headers::Response, &[(":status", "402"), ("content-type", "application/json")]);
        assert_eq!(call.on_http_response_headers(2, false), Action::Continue);
        assert_eq!(header(Headers::Response, "x-tollgate-call"), None);
        call.on_http_response_body(10, true);
        end(&mut call);
        assert_eq!(records(&mut vm, &mut collector)[0].response_bytes, None);
    }

    #[test]
    fn pieces_that_still_come_are_not_passed_on() {
        let (.., mut call) = refused();
        assert_eq!(request_body(&mut call, b"more", true), Action::Pause);
        assert_eq!(call.on_http_request_trailers(0), Action::Pause);
    }

    #[test]
    fn a_body_that_is_not_gathered_is_refused_before_it_comes() {
        let (mut vm, mut collector) = start(&budgets(), 0);
        vm.chat();
        vm.collect(&mut collector);
        simulated::with(|world| world.answers.clear());
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers("900000"));
        assert_eq!(call.on_http_request_headers(6, false), Action::Pause);
        assert_eq!(refusal().details, "tollgate_budget_spent");
    }
}

mod answers {
    use super::*;

    fn going() -> (Vm, Collector, HttpCall) {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let (call, _) = vm.chat();
        vm.collect(&mut collector);
        (vm, collector, call)
    }

    #[test]
    fn its_caller_is_told_the_calls_id() {
        let (mut vm, mut collector, mut call) = going();
        answer(&mut call, response(MODEL).as_bytes());
        let id = header(Headers::Response, "x-tollgate-call").unwrap();
        end(&mut call);
        assert_eq!(records(&mut vm, &mut collector)[0].head.id, id);
    }

    #[test]
    fn a_stream_is_settled_once_though_its_end_is_told_twice() {
        let (mut vm, mut collector, mut call) = going();
        answer(&mut call, response(MODEL).as_bytes());
        end(&mut call);
        end(&mut call);
        assert_eq!(records(&mut vm, &mut collector).len(), 1);
        assert_eq!(counter("calls").used.0, 1);
    }

    #[test]
    fn an_answer_may_come_in_any_pieces() {
        let (mut vm, mut collector, mut call) = going();
        set_headers(Headers::Response, &[(":status", "200"), ("content-type", "application/json")]);
        call.on_http_response_headers(2, false);
        for piece in response(MODEL).as_bytes().chunks(7) {
            simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, piece.to_vec()));
            call.on_http_response_body(piece.len(), false);
        }
        call.on_http_response_body(0, true);
        end(&mut call);
        assert_eq!(records(&mut vm, &mut collector)[0].cost_usd.as_pico(), COST);
    }

    #[test]
    fn an_answer_that_the_host_does_not_give_is_estimated_and_never_free() {
        let (mut vm, mut collector, mut call) = going();
        set_headers(Headers::Response, &[(":status", "200"), ("content-type", "application/json")]);
        call.on_http_response_headers(2, false);
        simulated::plan(0, Fault::Fail(host::Error(10)));
        call.on_http_response_body(200, true);
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert!(record.usage_estimated && record.cost_usd.as_pico() > 0, "{record:?}");
    }

    #[test]
    fn a_stream_that_breaks_off_is_a_record_of_that() {
        for (details, outcome) in [
            ("downstream_remote_disconnect", CallOutcome::ClientAbort),
            ("upstream_reset", CallOutcome::UpstreamAbort),
        ] {
            let (mut vm, mut collector, mut call) = going();
            set_headers(Headers::Response, &[(":status", "200"), ("content-type", "text/event-stream")]);
            call.on_http_response_headers(2, false);
            simulated::with(|world| {
                world.properties.insert(b"response\0code_details".to_vec(), details.into())
            });
            end(&mut call);
            assert_eq!(records(&mut vm, &mut collector)[0].outcome, outcome, "{details}");
        }
    }

    #[test]
    fn what_ends_before_its_body_has_come_was_never_sent() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers("500"));
        call.on_http_request_headers(6, false);
        request_body(&mut call, b"{\"model\":\"gpt-m\"", false);
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.status, record.cost_usd.as_pico()), (None, 0));
    }

    #[test]
    fn a_provider_that_answers_before_the_whole_request_is_decided_on_then() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 1, "window": "day"}]), 1);
        let (mut first, _) = vm.chat();
        vm.collect(&mut collector);
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers("900000"));
        call.on_http_request_headers(6, false);
        request_body(&mut call, b"{\"model\":\"gpt-m\"", false);
        set_headers(Headers::Response, &[(":status", "200")]);
        assert_eq!(call.on_http_response_headers(1, false), Action::Pause);
        assert_eq!(refusal().details, "tollgate_unreadable_request", "what is known of it decides");
        end(&mut first);
    }

    /// A request of which some went on to its provider, which answers before it has come whole.
    fn answered_early(budgets: &Value, granted: i128) -> (Vm, Collector, HttpCall, Action) {
        let (mut vm, mut collector) = start(budgets, granted);
        let (mut first, _) = vm.chat();
        vm.collect(&mut collector);
        let mut call = HttpCall::new(vm.gateway(), 9);
        vm.gateway().taken.fill();
        set_headers(Headers::Request, &chat_headers("900000"));
        call.on_http_request_headers(6, false);
        let text = format!(r#"{{"model":"gpt-m","messages":[{{"content":"{}"#, "word ".repeat(500));
        request_body(&mut call, text.as_bytes(), false);
        simulated::pass(1_000);
        set_headers(Headers::Response, &[(":status", "200")]);
        let action = call.on_http_response_headers(1, false);
        end(&mut first);
        (vm, collector, call, action)
    }

    #[test]
    fn an_answer_that_is_refused_as_it_begins_is_charged_like_any_other_that_is_cut() {
        let budgets = json!([{"name": "all", "limit_usd": "1", "window": "day"},
            {"name": "calls", "limit_calls": 9, "window": "day"}]);
        let (mut vm, mut collector, mut call, action) = answered_early(&budgets, AMPLE);
        assert_eq!(action, Action::Pause);
        assert_eq!(simulated::with(|world| world.answers.len()), 1);
        end(&mut call);
        end(&mut call);
        let records = records(&mut vm, &mut collector);
        let record = records.iter().find(|record| record.notes.contains(&Note::EndedByBudget)).unwrap();
        assert_eq!(record.outcome, CallOutcome::ClientAbort);
        assert!(record.usage_estimated && record.usage.input_tokens > Some(400), "{record:?}");
        assert!(record.usage.output_tokens > Some(0), "{record:?}");
        vm.tick();
        let recorded: i128 = records.iter().map(|record| record.cost_usd.as_pico()).sum();
        let (dollars, calls) = (counter("all"), counter("calls"));
        assert_eq!((dollars.used.0 - dollars.held.0, calls.used.0 - calls.held.0), (recorded, 1));
    }

    #[test]
    fn an_answer_that_is_refused_as_it_begins_outlives_its_vm() {
        let budgets = json!([{"name": "all", "limit_usd": "1", "window": "day"}]);
        let (mut vm, mut collector, call, _) = answered_early(&budgets, AMPLE);
        assert_eq!(records(&mut vm, &mut collector).len(), 1);
        // Nobody tells this VM the end of that stream any more.
        std::mem::forget(call);
        simulated::pass(120_000);
        let mut other = Vm::start(&configuration());
        for _ in 0..10 {
            other.tick();
            other.collect(&mut collector);
        }
        let left: Vec<_> =
            collector.records.values().filter(|record| record.head.model() == Some(MODEL)).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        let charged = left.iter().map(|record| record.charged_usd.unwrap_or(record.cost_usd).as_pico());
        assert_eq!(counter("all").used.0, charged.sum::<i128>());
    }

    #[test]
    fn what_answers_before_anything_was_sent_is_refused_and_costs_nothing() {
        let (mut vm, mut collector) = start(&budgets(), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers("500"));
        call.on_http_request_headers(6, false);
        request_body(&mut call, b"{\"model\":\"gpt-m\"", false);
        set_headers(Headers::Response, &[(":status", "200")]);
        assert_eq!(call.on_http_response_headers(1, false), Action::Pause);
        end(&mut call);
        let record = records(&mut vm, &mut collector).remove(0);
        assert_eq!((record.outcome, record.cost_usd.as_pico()), (CallOutcome::Denied, 0));
    }

    #[test]
    fn an_error_before_the_whole_request_passes() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 1, "window": "day"}]), 1);
        let (_first, _) = vm.chat();
        vm.collect(&mut collector);
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers("900000"));
        call.on_http_request_headers(6, false);
        request_body(&mut call, b"{\"model\":\"gpt-m\"", false);
        set_headers(Headers::Response, &[(":status", "413")]);
        assert_eq!(call.on_http_response_headers(1, true), Action::Continue);
        assert!(simulated::with(|world| world.answers.is_empty()));
    }

    #[test]
    fn a_warning_is_shown_to_the_caller() {
        let warns = json!([{"name": "all", "limit_usd": "0.00000001", "window": "day", "action": "warn"}]);
        let (mut vm, _) = start(&warns, AMPLE);
        let (mut call, action) = vm.chat();
        assert_eq!(action, Action::Continue);
        answer(&mut call, response(MODEL).as_bytes());
        assert!(header(Headers::Response, "x-tollgate-warning").unwrap().starts_with("budget=all"));
    }
}

mod rewriting {
    use super::*;

    const STREAMS: &str = r#"{"model":"gpt-m","stream":true,"max_completion_tokens":50,"messages":[]}"#;

    fn chunk(json: &str) -> String {
        format!("data: {json}\n\n")
    }

    fn event_stream(call: &mut HttpCall) {
        set_headers(Headers::Response, &[(":status", "200"), ("content-type", "text/event-stream")]);
        call.on_http_response_headers(2, false);
    }

    fn piece(call: &mut HttpCall, text: &str, is_last: bool) -> String {
        simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, text.into()));
        call.on_http_response_body(text.len(), is_last);
        String::from_utf8(in_response()).unwrap()
    }

    #[test]
    fn usage_is_asked_for_and_what_it_brings_is_taken_out_again() {
        let (mut vm, mut collector) = start(&json!([]), AMPLE);
        let (mut call, _) = vm.request(&chat_headers(&STREAMS.len().to_string()), STREAMS.as_bytes());
        let body: Value = serde_json::from_slice(&in_request()).unwrap();
        assert_eq!(body["stream_options"]["include_usage"], true);
        event_stream(&mut call);
        let text = chunk(
            r#"{"object":"chat.completion.chunk","model":"gpt-m","choices":[{"index":0,"delta":{"content":"So."}}]}"#,
        );
        assert_eq!(piece(&mut call, &text, false), text);
        let usage = chunk(
            r#"{"object":"chat.completion.chunk","model":"gpt-m","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30}}"#,
        );
        assert_eq!(piece(&mut call, &usage, false), "");
        assert_eq!(piece(&mut call, "data: [DONE]\n\n", true), "data: [DONE]\n\n");
        end(&mut call);
        assert_eq!(records(&mut vm, &mut collector)[0].cost_usd.as_pico(), COST);
    }

    #[test]
    fn a_route_may_switch_the_question_off() {
        let (mut vm, _) = start(&json!([]), AMPLE);
        let path = b"xds\0route_metadata\0filter_metadata\0tollgate\0include_usage".to_vec();
        simulated::with(|world| world.properties.insert(path, b"off".to_vec()));
        vm.request(&chat_headers(&STREAMS.len().to_string()), STREAMS.as_bytes());
        assert_eq!(in_request(), STREAMS.as_bytes());
    }

    #[test]
    fn a_body_that_cannot_be_replaced_passes_as_it_came() {
        let (mut vm, mut collector) = start(&json!([]), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 9);
        set_headers(Headers::Request, &chat_headers(&STREAMS.len().to_string()));
        call.on_http_request_headers(6, false);
        simulated::with(|world| world.buffers.insert(Buffer::RequestBody as u32, STREAMS.into()));
        // The third host call replaces it, behind the piece, the route and the body that are read.
        simulated::plan(3, Fault::Fail(host::Error(10)));
        assert_eq!(call.on_http_request_body(STREAMS.len(), true), Action::Continue);
        assert_eq!(in_request(), STREAMS.as_bytes());
        event_stream(&mut call);
        let usage = chunk(
            r#"{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":10}}"#,
        );
        assert_eq!(
            piece(&mut call, &usage, true),
            usage,
            "nothing is taken out of an answer that nobody asked about"
        );
        end(&mut call);
        records(&mut vm, &mut collector);
    }

    #[test]
    fn an_output_limit_of_a_budget_is_written_into_a_request_without_one() {
        let budgets =
            json!([{"name": "all", "limit_usd": "1", "window": "day", "default_output_tokens": 40}]);
        let (mut vm, mut collector) = start(&budgets, AMPLE);
        let body = r#"{"model":"gpt-m","messages":[]}"#;
        vm.request(&chat_headers(&body.len().to_string()), body.as_bytes());
        let body: Value = serde_json::from_slice(&in_request()).unwrap();
        assert_eq!(body["max_completion_tokens"], 40);
        vm.collect(&mut collector);
    }

    #[test]
    fn a_body_of_unknown_length_waits_here_and_goes_on_whole() {
        let (mut vm, mut collector) = start(&json!([]), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 9);
        let headers = chat_headers("");
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        set_headers(Headers::Request, &headers);
        assert_eq!(call.on_http_request_headers(5, false), Action::Continue);
        let (first, last) = STREAMS.split_at(30);
        assert_eq!(request_body(&mut call, first.as_bytes(), false), Action::Continue);
        assert!(in_request().is_empty());
        assert_eq!(request_body(&mut call, last.as_bytes(), true), Action::Continue);
        let body: Value = serde_json::from_slice(&in_request()).unwrap();
        assert_eq!(body["model"], MODEL);
        assert_eq!(body["stream_options"]["include_usage"], true);
        end(&mut call);
        records(&mut vm, &mut collector);
    }

    #[test]
    fn what_is_longer_than_what_is_gathered_goes_on_as_it_comes() {
        let (vm, _) = start(&json!([]), AMPLE);
        let mut call = HttpCall::new(vm.gateway(), 9);
        let headers = chat_headers("");
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        set_headers(Headers::Request, &headers);
        call.on_http_request_headers(5, false);
        let text = format!(r#"{{"model":"gpt-m","messages":[{{"content":"{}"#, "x".repeat(200 * 1024));
        assert_eq!(request_body(&mut call, text.as_bytes(), false), Action::Continue);
        assert!(in_request().is_empty());
        let more = "x".repeat(100 * 1024);
        assert_eq!(request_body(&mut call, more.as_bytes(), false), Action::Continue);
        assert_eq!(in_request().len(), text.len() + more.len());
    }
}

mod endings {
    use super::*;

    #[test]
    fn a_stream_that_outgrows_its_budget_is_told_and_then_closed() {
        let ends = json!([{"name": "all", "limit_usd": "1", "window": "day", "end_streams": true}]);
        // As much as one call holds.
        let (mut vm, mut collector) = start(&ends, 16_340);
        let body = r#"{"model":"gpt-m","stream":true,"max_completion_tokens":50,"messages":[]}"#;
        let (mut call, _) = vm.request(&chat_headers(&body.len().to_string()), body.as_bytes());
        vm.collect(&mut collector);
        set_headers(Headers::Response, &[(":status", "200"), ("content-type", "text/event-stream")]);
        call.on_http_response_headers(2, false);
        let text = "word ".repeat(400);
        let chunk = format!(
            "data: {}\n\n",
            json!({"object": "chat.completion.chunk", "model": MODEL,
            "choices": [{"index": 0, "delta": {"content": text}}]})
        );
        let mut piece = || {
            simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, chunk.clone().into()));
            call.on_http_response_body(chunk.len(), false);
            String::from_utf8(in_response()).unwrap()
        };
        let told = piece();
        assert!(told.contains("error") && told.contains("all"), "{told}");
        assert_eq!(piece(), "", "nothing more of the answer passes");
        assert!(simulated::with(|world| world.answers.is_empty()));
        simulated::pass(TOLD_MS);
        assert_eq!(piece(), "");
        assert_eq!(refusal().details, "tollgate_budget_spent");
        end(&mut call);
        assert!(records(&mut vm, &mut collector)[0].notes.contains(&Note::EndedByBudget));
    }
}

mod whole_answers {
    use super::*;

    /// Found by a test that took minutes: the error was shorter than the answer's length, and its caller
    /// waited for the rest.
    #[test]
    fn an_answer_that_was_made_as_a_whole_is_not_ended() {
        let ends = json!([{"name": "all", "limit_usd": "1", "window": "day", "end_streams": true}]);
        for (length, stream) in [(true, false), (false, false), (true, true)] {
            let (mut vm, mut collector) = start(&ends, 16_340);
            let body = json!({"model": MODEL, "stream": stream, "max_completion_tokens": 50, "messages": []});
            let body = body.to_string();
            let (mut call, _) = vm.request(&chat_headers(&body.len().to_string()), body.as_bytes());
            vm.collect(&mut collector);
            let text = "word ".repeat(400);
            let answer = json!({"object": "chat.completion", "model": MODEL,
                "choices": [{"index": 0, "message": {"content": text}}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 400}})
            .to_string();
            let size = answer.len().to_string();
            let mut headers = vec![(":status", "200"), ("content-type", "application/json")];
            headers.extend(length.then_some(("content-length", size.as_str())));
            set_headers(Headers::Response, &headers);
            call.on_http_response_headers(3, false);
            simulated::with(|world| world.buffers.insert(Buffer::ResponseBody as u32, answer.clone().into()));
            call.on_http_response_body(answer.len(), true);
            assert_eq!(in_response(), answer.as_bytes());
            end(&mut call);
            assert!(!records(&mut vm, &mut collector)[0].notes.contains(&Note::EndedByBudget));
        }
    }
}

mod sessions {
    use super::*;

    const OPENAI: &str = "api.openai.com";

    #[test]
    fn its_messages_are_not_compressed() {
        let (mut vm, _) = start(&json!([]), AMPLE);
        vm.upgrade(OPENAI, "/v1/realtime?model=gpt-m");
        assert_eq!(header(Headers::Request, "sec-websocket-extensions"), None);
    }

    #[test]
    fn one_whose_model_is_known_is_held_for_before_it_begins() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 5, "window": "day"}]), 5);
        let (_session, action) = vm.upgrade(OPENAI, "/v1/realtime?model=gpt-m");
        assert_eq!(action, Action::Pause);
        vm.collect(&mut collector);
        assert_eq!(simulated::with(|world| world.continued.len()), 1);
        assert_eq!(counter("calls").held.0, 1);
    }

    #[test]
    fn one_that_says_what_cannot_be_read_ends_under_a_budget() {
        for (budgets, expected) in [
            (json!([{"name": "calls", "limit_calls": 5, "window": "day"}]), &websocket::PING[..]),
            (json!([]), b"\xC1\x01x"),
        ] {
            let (mut vm, mut collector) = start(&budgets, 5);
            let (mut session, _) = vm.upgrade(OPENAI, "/v1/realtime?model=gpt-m");
            vm.collect(&mut collector);
            set_headers(Headers::Response, &[(":status", "101")]);
            session.on_http_response_headers(1, false);
            request_body(&mut session, b"\xC1\x01x", false);
            assert_eq!(in_request(), expected);
        }
    }

    #[test]
    fn one_that_nothing_is_left_for_does_not_begin() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 5, "window": "day"}]), 0);
        vm.upgrade(OPENAI, "/v1/realtime?model=gpt-m");
        vm.collect(&mut collector);
        assert_eq!(refusal().details, "tollgate_budget_spent");
    }

    #[test]
    fn one_that_the_provider_refuses_gives_back_what_it_held() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 5, "window": "day"}]), 5);
        let (mut session, _) = vm.upgrade(OPENAI, "/v1/realtime?model=gpt-m");
        vm.collect(&mut collector);
        set_headers(Headers::Response, &[(":status", "401"), ("content-type", "application/json")]);
        session.on_http_response_headers(2, true);
        end(&mut session);
        records(&mut vm, &mut collector);
        assert_eq!(counter("calls").held.0, 0);
    }

    const LIVE: &str = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";

    /// Whether nothing has ended it.
    fn is_open(session: &HttpCall) -> bool {
        matches!(&session.phase, Phase::Session(session) if session.spent.is_none())
    }

    /// A session of each kind whose turns are no calls of their own: its path, what it begins with, what asks
    /// for a turn, how one begins, and how one ends.
    fn kinds() -> Vec<(&'static str, &'static str, Value, Value, Value, Value)> {
        let usage = json!({"input_tokens": 20, "output_tokens": 10});
        let realtime = (
            "api.openai.com",
            "/v1/realtime?model=gpt-m",
            json!({"type": "session.update", "session": {}}),
            json!({"type": "response.create"}),
            json!({"type": "response.output_text.delta", "delta": "It is about 384,400 km."}),
            json!({"type": "response.done", "response": {"usage": usage}}),
        );
        let transcription = (
            "api.openai.com",
            "/v1/realtime?intent=transcription&model=gpt-m",
            json!({"type": "session.update", "session": {"input_audio_transcription": {"model": "gpt-m"}}}),
            json!({"type": "input_audio_buffer.commit"}),
            json!({"type": "conversation.item.input_audio_transcription.delta", "delta": "How far?"}),
            json!({"type": "conversation.item.input_audio_transcription.completed", "usage": usage}),
        );
        let live = (
            "generativelanguage.googleapis.com",
            LIVE,
            json!({"setup": {"model": "models/gpt-m"}}),
            json!({"clientContent": {"turns": [{"parts": [{"text": "How far is the moon?"}]}], "turnComplete": true}}),
            json!({"serverContent": {"modelTurn": {"parts": [{"text": "It is about 384,400 km."}]}}}),
            json!({"serverContent": {"turnComplete": true},
                "usageMetadata": {"promptTokenCount": 20, "responseTokenCount": 10}}),
        );
        vec![realtime, transcription, live]
    }

    fn opened(host: &str, path: &str, first: &Value, limit: i128) -> (Vm, Collector, HttpCall) {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": limit, "window": "day"}]), limit);
        let (mut session, _) = vm.upgrade(host, path);
        vm.collect(&mut collector);
        switches(&mut session);
        says(&mut session, std::slice::from_ref(first));
        vm.collect(&mut collector);
        assert_eq!(counter("calls").held.0, 1, "{path}: the first turn is held for");
        (vm, collector, session)
    }

    #[test]
    fn each_turn_is_held_for_before_the_provider_has_it_however_many_are_asked_for_at_once() {
        for (host, path, first, ask, _, done) in kinds() {
            let (mut vm, mut collector, mut session) = opened(host, path, &first, 5);
            // One by one, and two in a piece: they wait until there is a grant for all that the piece has.
            says(&mut session, std::slice::from_ref(&ask));
            assert_eq!(counter("calls").held.0, 1, "{path}");
            let (action, bytes) = says(&mut session, &[ask.clone(), ask.clone()]);
            vm.collect(&mut collector);
            assert_eq!(counter("calls").held.0, 3, "{path}: {action:?}");
            assert_eq!(in_request(), bytes, "{path}");
            // As Envoy does when it goes on.
            request_body(&mut session, b"", false);
            assert!(is_open(&session), "{path}");
            hears(&mut session, &[done.clone(), done.clone()]);
            assert_eq!(counter("calls").held.0, 1, "{path}: one has not ended");
            hears(&mut session, std::slice::from_ref(&done));
            vm.collect(&mut collector);
            assert_eq!((counter("calls").used.0, counter("calls").held.0), (4, 1), "{path}: one is to come");
            end(&mut session);
            assert_eq!(records(&mut vm, &mut collector).len(), 3, "{path}");
            assert_eq!((counter("calls").used.0, counter("calls").held.0), (3, 0), "{path}");
        }
    }

    #[test]
    fn turns_that_no_budget_has_room_for_do_not_reach_the_provider_and_end_the_session() {
        for (host, path, first, ask, began, _) in kinds() {
            for at_once in [1, 100, 1_000] {
                let (mut vm, mut collector, mut session) = opened(host, path, &first, 5);
                let mut sent = 0;
                let asks = vec![ask.clone(); at_once];
                for _ in 0..3_000 / at_once {
                    let answers = simulated::with(|world| world.answers.len());
                    let (_, bytes) = says(&mut session, &asks);
                    vm.collect(&mut collector);
                    if simulated::with(|world| world.answers.len()) > answers {
                        break;
                    }
                    request_body(&mut session, b"", false);
                    if is_open(&session) && bytes.len() > 8 {
                        sent += at_once;
                    }
                }
                assert!(sent <= 5, "{path}: {sent} of them passed, {at_once} at once");
                let held = counter("calls").held.0;
                assert!(held <= 5, "{path}: {held}");
                hears(&mut session, std::slice::from_ref(&began));
                end(&mut session);
                let records = records(&mut vm, &mut collector);
                let cut: Vec<_> = records.iter().filter(|one| one.outcome != CallOutcome::Denied).collect();
                assert_eq!(cut.len(), sent.max(1), "{path}: each that was sent has a record");
                assert_eq!(
                    (counter("calls").used.0, counter("calls").held.0),
                    (cut.len() as i128, 0),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn a_turn_that_is_under_way_when_its_session_ends_is_a_record_and_charged() {
        for (host, path, first, ask, began, done) in kinds() {
            for begins in [false, true] {
                let (mut vm, mut collector, mut session) = opened(host, path, &first, 5);
                says(&mut session, std::slice::from_ref(&ask));
                hears(&mut session, std::slice::from_ref(&done));
                vm.collect(&mut collector);
                says(&mut session, std::slice::from_ref(&ask));
                simulated::pass(500);
                if begins {
                    hears(&mut session, std::slice::from_ref(&began));
                }
                end(&mut session);
                let records = records(&mut vm, &mut collector);
                assert_eq!(records.len(), 2, "{path}, begun: {begins}: {records:?}");
                let cut = records.iter().find(|record| record.usage_estimated).unwrap();
                assert!(cut.usage.output_tokens > Some(0), "{path}, begun: {begins}: {cut:?}");
                assert_eq!((counter("calls").used.0, counter("calls").held.0), (2, 0), "{path}");
            }
        }
    }

    /// A translation is charged by the minute, whether or not its caller has said anything.
    #[test]
    fn a_session_of_which_a_minute_passes_before_it_names_a_model_holds_for_one_turn() {
        let (mut vm, mut collector) =
            start(&json!([{"name": "calls", "limit_calls": 5, "window": "day"}]), 5);
        let (mut session, _) = vm.upgrade(OPENAI, "/v1/realtime/translations");
        switches(&mut session);
        for _ in 0..250 {
            vm.tick();
            vm.collect(&mut collector);
        }
        for _ in 0..2 {
            hears(&mut session, &[json!({"type": "session.created"})]);
            vm.tick();
            vm.collect(&mut collector);
        }
        assert_eq!(counter("calls").held.0, 1);
        says(&mut session, &[json!({"type": "session.update", "session": {"model": MODEL}})]);
        vm.collect(&mut collector);
        request_body(&mut session, b"", false);
        assert_eq!((counter("calls").used.0, counter("calls").held.0), (2, 1));
        end(&mut session);
        assert_eq!(records(&mut vm, &mut collector).len(), 1);
        assert_eq!((counter("calls").used.0, counter("calls").held.0), (1, 0));
    }

    #[test]
    fn turns_that_a_dead_vm_leaves_are_records_and_hold_nothing() {
        for (host, path, first, ask, ..) in kinds() {
            let (mut vm, mut collector, mut session) = opened(host, path, &first, 5);
            says(&mut session, std::slice::from_ref(&ask));
            says(&mut session, std::slice::from_ref(&ask));
            vm.collect(&mut collector);
            request_body(&mut session, b"", false);
            std::mem::forget(session);
            simulated::pass(120_000);
            let mut other = Vm::start(&configuration());
            for _ in 0..10 {
                other.tick();
                other.collect(&mut collector);
            }
            assert_eq!(collector.records.len(), 2, "{path}: {:?}", collector.records);
            assert_eq!(counter("calls").held.0, 0, "{path}");
        }
    }
}
