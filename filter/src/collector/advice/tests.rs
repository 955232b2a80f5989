use super::*;

fn of(status: &str, body: &str) -> String {
    of_answer(status.as_bytes(), body.as_bytes())
}

#[test]
fn no_answer_asks_whether_the_collector_runs() {
    assert!(of("", "").starts_with("no answer: does the collector run"));
}

#[test]
fn an_answer_that_acknowledges_nothing_is_no_collectors() {
    assert!(of("200", "{}").contains("`collector.cluster`"));
}

#[test]
fn a_token_that_is_missing_is_told_from_a_wrong_one() {
    assert!(of("401", "Failed to inject credential").contains("Envoy has no token to show"));
    assert!(
        of("401", r#"{"error":{"code":"unauthorised","message":"no"}}"#).contains("does not know the token")
    );
    assert!(of("401", "").contains("does not know the token"));
}

#[test]
fn a_token_of_another_gateway_is_named_as_that() {
    let text = of("403", r#"{"error":{"code":"forbidden","message":"it is for `edge-2`"}}"#);
    assert!(text.contains("it is for `edge-2`") && text.contains("use one for its `gateway`"), "{text}");
}

#[test]
fn what_has_no_such_path_is_no_collector() {
    for status in ["404", "405"] {
        assert!(of(status, "not found").contains("is no collector"), "{status}");
    }
}

#[test]
fn what_a_collector_says_is_shown() {
    assert_eq!(of("422", r#"{"error":{"code":"x","message":"protocol 9"}}"#), "status 422: protocol 9");
    assert_eq!(of("503", r#"{"error":{"code":"x","message":"busy"}}"#), "status 503: busy");
}

#[test]
fn envoys_own_503_says_what_it_means() {
    assert!(of("503", "invalid header value for: authorization").contains("white space"));
    assert!(of("503", "no healthy upstream").contains("reaches no collector (no healthy upstream)"));
    assert!(of("504", "upstream request timeout").starts_with("504, Envoy reaches no collector"));
}

#[test]
fn texts_of_others_are_one_line_and_not_long() {
    let text = of("503", &format!("a\nb\u{1b}[31m{}", "x".repeat(1_000)));
    assert!(text.contains(r"a\nb\u{1b}[31m") && !text.contains('\n'), "{text}");
    assert!(text.len() < 400, "{} bytes", text.len());
}

#[test]
fn a_call_out_that_envoy_did_not_make_names_the_cluster() {
    let text = of_refusal("collecter", Status::BadArgument);
    assert!(text.contains("Envoy has no cluster `collecter`"), "{text}");
    let text = of_refusal("collector", Status::InternalFailure);
    assert!(text.contains("made no call-out to cluster `collector` (InternalFailure)"), "{text}");
    assert!(text.contains("`collector-token.yaml`"), "it says what to look at: {text}");
}
