use super::*;
use crate::fixture::NOW_MS;
use crate::host::Error;
use crate::host::simulated::{self, Fault};

const OPENAI: &str = "openai";
const DECLARED: AttributionSource = AttributionSource::SelfDeclared;

fn of(agent: &str) -> Attribution {
    Attribution { agent: agent.into(), ..Attribution::default() }
}

#[test]
fn work_is_known_by_who_started_it() {
    simulated::begin(NOW_MS);
    remember(OPENAI, "batch-1", None, (&of("planner"), DECLARED), false);
    let work = recall(OPENAI, "batch-1").unwrap();
    assert_eq!((work.attribution, work.source, work.charged), (of("planner"), DECLARED, false));
    assert!(recall(OPENAI, "batch-2").is_none());
}

#[test]
fn an_id_is_its_providers_own() {
    simulated::begin(NOW_MS);
    remember(OPENAI, "batch-1", None, (&of("planner"), DECLARED), false);
    assert!(recall("mistral", "batch-1").is_none());
    assert!(remember("mistral", "batch-1", None, (&of("other"), DECLARED), false), "that is news");
    assert_eq!(recall(OPENAI, "batch-1").unwrap().attribution, of("planner"));
    let fetched = |provider| claim(provider, "batch-1", Fetched::Result, (&of("fetcher"), DECLARED));
    assert_eq!([fetched(OPENAI), fetched("mistral")], [Claim::Charged(None), Claim::Charged(None)]);
}

#[test]
fn what_is_known_already_stays() {
    simulated::begin(NOW_MS);
    remember(OPENAI, "batch-1", None, (&of("planner"), DECLARED), false);
    remember(OPENAI, "batch-1", None, (&of("other"), DECLARED), false);
    assert_eq!(recall(OPENAI, "batch-1").unwrap().attribution, of("planner"));
}

#[test]
fn a_result_is_charged_once() {
    simulated::begin(NOW_MS);
    remember(OPENAI, "batch-1", None, (&of("planner"), DECLARED), false);
    assert_eq!(claim(OPENAI, "batch-1", Fetched::Result, (&of("fetcher"), DECLARED)), Claim::Charged(None));
    assert_eq!(claim(OPENAI, "batch-1", Fetched::Result, (&of("fetcher"), DECLARED)), Claim::Before);
    assert_eq!(
        recall(OPENAI, "batch-1").unwrap().attribution,
        of("planner"),
        "who started it is still known"
    );
}

#[test]
fn work_that_nobody_remembers_is_charged_to_who_fetches_it_first() {
    simulated::begin(NOW_MS);
    assert_eq!(
        claim(OPENAI, "response-1", Fetched::Result, (&of("fetcher"), DECLARED)),
        Claim::Charged(None)
    );
    assert_eq!(claim(OPENAI, "response-1", Fetched::Result, (&of("other"), DECLARED)), Claim::Before);
    assert_eq!(recall(OPENAI, "response-1").unwrap().attribution, of("fetcher"));
}

#[test]
fn a_file_that_no_batch_named_is_told_of_once_and_not_charged() {
    simulated::begin(NOW_MS);
    assert_eq!(claim(OPENAI, "file-1", Fetched::File, (&of("fetcher"), DECLARED)), Claim::Unknown);
    assert_eq!(claim(OPENAI, "file-1", Fetched::File, (&of("fetcher"), DECLARED)), Claim::Before);
    assert!(recall(OPENAI, "file-1").is_none(), "to have fetched it is not to know it");
}

#[test]
fn a_file_that_a_batch_names_is_charged_though_it_was_fetched_before() {
    simulated::begin(NOW_MS);
    claim(OPENAI, "file-1", Fetched::File, (&of("fetcher"), DECLARED));
    remember(OPENAI, "file-1", Some("batch-1"), (&of("planner"), DECLARED), false);
    let charged = claim(OPENAI, "file-1", Fetched::File, (&of("fetcher"), DECLARED));
    assert_eq!(charged, Claim::Charged(Some("batch-1".into())));
    assert_eq!(claim(OPENAI, "file-1", Fetched::File, (&of("fetcher"), DECLARED)), Claim::Before);
}

#[test]
fn an_answer_that_was_waited_for_is_paid_unless_it_is_known_to_be_owed() {
    simulated::begin(NOW_MS);
    let answer = Fetched::Answer { told: false };
    assert_eq!(claim(OPENAI, "response-1", answer, (&of("fetcher"), DECLARED)), Claim::Paid);
    assert_eq!(claim(OPENAI, "response-1", answer, (&of("fetcher"), DECLARED)), Claim::Before);
    remember(OPENAI, "response-1", None, (&of("planner"), DECLARED), false);
    assert_eq!(claim(OPENAI, "response-1", answer, (&of("fetcher"), DECLARED)), Claim::Charged(None));
}

#[test]
fn work_that_was_paid_as_it_was_started_is_not_charged() {
    simulated::begin(NOW_MS);
    assert!(remember(OPENAI, "response-1", None, (&of("planner"), DECLARED), true));
    assert!(!remember(OPENAI, "response-1", None, (&of("planner"), DECLARED), true), "that was known");
    assert_eq!(claim(OPENAI, "response-1", Fetched::Result, (&of("fetcher"), DECLARED)), Claim::Paid);
}

#[test]
fn a_newer_id_takes_the_slot_of_an_older_one() {
    simulated::begin(NOW_MS);
    let same_slot = (0..).map(|number| format!("id-{number}"));
    let other =
        same_slot.into_iter().find(|id| slot(&name(OPENAI, id)) == slot(&name(OPENAI, "batch-1"))).unwrap();
    remember(OPENAI, "batch-1", None, (&of("planner"), DECLARED), false);
    remember(OPENAI, &other, None, (&of("other"), DECLARED), false);
    assert!(recall(OPENAI, "batch-1").is_none());
    assert_eq!(recall(OPENAI, &other).unwrap().attribution, of("other"));
}

#[test]
fn what_cannot_be_written_is_not_charged() {
    simulated::begin(NOW_MS);
    simulated::plan(1, Fault::Fail(Error(10)));
    assert_eq!(claim(OPENAI, "response-1", Fetched::Result, (&of("fetcher"), DECLARED)), Claim::Before);
    assert_eq!(
        claim(OPENAI, "response-1", Fetched::Result, (&of("fetcher"), DECLARED)),
        Claim::Charged(None)
    );
}

#[test]
fn work_is_read_as_it_was_written_and_what_cannot_be_read_is_nothing() {
    simulated::begin(NOW_MS);
    let attribution = Attribution {
        run: Some("r".into()),
        tags: [("a".to_owned(), String::new()), ("b".to_owned(), "ö".to_owned())].into(),
        trusted: TrustedFields::ALL,
        ..of("planner")
    };
    let work = Work {
        of: Some("batch".into()),
        paid: true,
        ..Work::new("openai/x".into(), (&attribution, DECLARED))
    };
    let bytes = work.to_bytes();
    assert_eq!(Work::from_bytes(&bytes).unwrap(), work);
    for end in 0..bytes.len() {
        // What ends behind a tag has fewer of them.
        assert!(Work::from_bytes(&bytes[..end]).is_none_or(|read| read.attribution.tags.len() < 2), "{end}");
    }
    host::set_shared(layout::deferred(slot(&name(OPENAI, "batch-1"))), b"{").unwrap();
    assert!(recall(OPENAI, "batch-1").is_none());
}
