use tollgate_core::record::Head;
use tollgate_core::usage::Usage;

use super::*;
use crate::fixture::NOW_MS;
use crate::host::simulated;

#[test]
fn envoys_details_say_who_ended_a_stream() {
    for (details, response_ended, expected) in [
        ("via_upstream", true, Ending::Complete),
        ("via_upstream", false, Ending::UpstreamAbort),
        ("downstream_remote_disconnect", false, Ending::ClientAbort),
        ("downstream_local_disconnect(http2)", false, Ending::ClientAbort),
        ("http2.remote_reset", false, Ending::ClientAbort),
        ("http3.remote_reset", false, Ending::ClientAbort),
        ("codec_error:x", false, Ending::ClientAbort),
        ("upstream_reset_before_response_started{connection_failure}", true, Ending::NotSent),
        ("upstream_reset_before_response_started{overflow}", true, Ending::NotSent),
        ("no_healthy_upstream", true, Ending::NotSent),
        ("cluster_not_found,no_cluster", true, Ending::NotSent),
        ("upstream_reset_after_response_started{connection_termination}", false, Ending::UpstreamAbort),
        ("response_timeout", true, Ending::UpstreamAbort),
        ("response_payload_too_large", true, Ending::UpstreamAbort),
        ("tollgate_budget_spent", true, Ending::NotSent),
        ("direct_response", true, Ending::NotSent),
        ("", false, Ending::UpstreamAbort),
    ] {
        assert_eq!(ending_of(details, response_ended), expected, "{details}, ended: {response_ended}");
    }
}

#[test]
fn access_logs_are_shown_what_the_configuration_names() {
    simulated::begin(NOW_MS);
    let record =
        UsageRecord { head: Head { id: "call-1".into(), ..Head::default() }, ..UsageRecord::default() };
    show_in_access_log(&[AccessLogValue::Call], &record, b"{}");
    let shown = simulated::with(|world| world.filter_state.clone());
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), [("tollgate.call".to_owned(), b"call-1".to_vec())]);
}

#[test]
fn a_count_that_is_not_known_is_shown_as_nothing() {
    simulated::begin(NOW_MS);
    let usage = Usage { output_tokens: Some(10), ..Usage::default() };
    let record = UsageRecord { usage, ..UsageRecord::default() };
    show_in_access_log(&AccessLogValue::ALL, &record, b"{\"whole\":1}");
    let shown = |name: &str| simulated::with(|world| world.filter_state[name].clone());
    assert_eq!(shown("tollgate.input_tokens"), b"");
    assert_eq!(shown("tollgate.output_tokens"), b"10");
    assert_eq!(shown("tollgate.record"), b"{\"whole\":1}");
}

#[test]
fn an_attribute_that_is_empty_or_no_text_is_none() {
    simulated::begin(NOW_MS);
    for (value, expected) in [(&b"openai"[..], Some("openai")), (b"", None), (b"\xff", None)] {
        simulated::with(|world| world.properties.insert(b"a\0b".to_vec(), value.to_vec()));
        assert_eq!(text_property(b"a\0b").as_deref(), expected);
    }
    assert_eq!(text_property(b"other"), None);
}

#[test]
fn a_whole_number_is_eight_bytes() {
    simulated::begin(NOW_MS);
    for (value, expected) in
        [(&2u64.to_le_bytes()[..], Some(2)), (&u64::MAX.to_le_bytes(), None), (b"2", None), (b"", None)]
    {
        simulated::with(|world| world.properties.insert(b"n".to_vec(), value.to_vec()));
        assert_eq!(number_property(b"n"), expected, "{value:?}");
    }
}
