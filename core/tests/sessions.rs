//! Sessions over a websocket: what their turns cost, those too that a hang-up breaks off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use base64::Engine as _;
use serde_json::{Value, json};
use tollgate_core::call::{Call, End, Ending, ResponseHead};
use tollgate_core::decode::websocket;
use tollgate_core::estimate::Learned;
use tollgate_core::price::CostStatus;
use tollgate_core::provider::Target;
use tollgate_core::record::UsageRecord;

const REALTIME: (&str, &str) = ("openai", "/v1/realtime?model=gpt-realtime");
const LIVE: (&str, &str) =
    ("gemini", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent");

fn session((provider, path): (&'static str, &str), events: &[Value], cut: usize) -> Call {
    let target = Target::recognise_upgrade(Some(provider), "", path);
    let mut call = Call::begin("id".into(), 0, target, path);
    call.opens_session();
    let head = ResponseHead { status: 101, content_type: None, content_encoding: None, header: &|_| None };
    call.response_head(&head, 1);
    let bytes: Vec<u8> = events.iter().flat_map(|event| websocket::text(&event.to_string())).collect();
    bytes.chunks(cut.min(bytes.len())).for_each(|piece| call.response_body(piece));
    call
}

fn hung_up(call: &mut Call) -> UsageRecord {
    let end = End { ending: Ending::ClientAbort, now_ms: 9, attempts: None, charge_retries: false };
    call.settle(end, "gateway", None, &mut Learned::default())
}

fn done(input: u64, output: u64) -> Value {
    json!({"type": "response.done", "response": {"usage": {"input_tokens": input, "output_tokens": output,
        "input_token_details": {"cached_tokens": 64, "text_tokens": input, "audio_tokens": 0},
        "output_token_details": {"text_tokens": output, "audio_tokens": 0}}}})
}

#[test]
fn a_turn_that_broke_off_is_estimated_from_the_one_before_and_what_passed() {
    let events = [
        json!({"type": "session.created", "session": {"model": "gpt-realtime", "instructions": "Be brief."}}),
        json!({"type": "response.created"}),
        json!({"type": "response.output_text.delta", "delta": "About 384,000 kilometres."}),
        done(100, 40),
        json!({"type": "conversation.item.added", "item": {"content": [{"text": "How far is the sun?"}]}}),
        json!({"type": "conversation.item.done", "item": {"content": [{"text": "How far is the sun?"}]}}),
        json!({"type": "response.created"}),
        json!({"type": "response.output_text.delta", "delta": "About 150 million"}),
    ];
    for cut in [1, 7, usize::MAX] {
        let mut call = session(REALTIME, &events, cut);
        let turns = call.take_turns("gateway", None, 5, || "turn".into());
        assert_eq!((turns.len(), turns[0].usage.input_tokens), (1, Some(100)));
        assert!(!call.is_settled_by_turns());
        let record = hung_up(&mut call);
        let heard = record.usage.input_tokens.unwrap() - 140;
        assert!((5..=8).contains(&heard), "{heard} tokens of a question of six");
        assert!((3..=5).contains(&record.usage.output_tokens.unwrap()), "{:?}", record.usage);
        assert_eq!(record.usage.cache_read_tokens, Some(64));
        assert!(record.usage_estimated);
        assert_eq!(record.head.response_model.as_deref(), Some("gpt-realtime"));
        // The same where nobody took the turns: `tollgate meter` prints one record.
        let whole = hung_up(&mut session(REALTIME, &events, cut));
        assert_eq!(whole.usage.input_tokens.unwrap(), 240 + heard);
        assert!(whole.usage_estimated);
    }
}

#[test]
fn a_turn_that_had_only_begun_reads_what_was_said() {
    let events = [
        json!({"type": "session.created", "session": {"instructions": "A long default that is replaced at once."}}),
        json!({"type": "session.updated", "session": {"instructions": "Be brief."}}),
        json!({"type": "conversation.item.input_audio_transcription.delta", "delta": "How far is the moon?"}),
    ];
    let mut silent = session(REALTIME, &events, 9);
    assert_eq!(hung_up(&mut silent).cost_status, CostStatus::Free, "no model has begun to answer");
    let begun = [&events[..], &[json!({"type": "response.created"})]].concat();
    let usage = hung_up(&mut session(REALTIME, &begun, 9)).usage;
    assert!((7..=12).contains(&usage.input_tokens.unwrap()), "{usage:?}");
    assert_eq!(usage.output_tokens, Some(0));
}

#[test]
fn speech_that_broke_off_is_counted_by_its_length() {
    let second = base64::engine::general_purpose::STANDARD.encode(vec![0; 48_000]);
    let spoken = |format: Value, seconds: usize| {
        let mut events = vec![json!({"type": "session.created", "session": format})];
        for _ in 0..seconds {
            events.push(json!({"type": "response.output_audio.delta", "delta": second}));
        }
        hung_up(&mut session(REALTIME, &events, 1_000)).usage
    };
    let pcm = json!({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}}}});
    let usage = spoken(pcm, 3);
    assert_eq!((usage.output_tokens, usage.output_audio_tokens), (Some(60), Some(60)));
    // A second of the one is six of the other.
    assert_eq!(spoken(json!({"output_audio_format": "g711_ulaw"}), 1).output_tokens, Some(120));
    let part = json!({"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": second}});
    let live = [json!({"serverContent": {"modelTurn": {"parts": [part]}}})];
    assert_eq!(hung_up(&mut session(LIVE, &live, 700)).usage.output_audio_tokens, Some(20));
}

#[test]
fn nothing_is_left_of_a_session_whose_turns_all_ended() {
    let events = [json!({"type": "response.created"}), done(10, 4)];
    let mut call = session(REALTIME, &events, 3);
    assert_eq!(call.take_turns("gateway", None, 5, || "turn".into()).len(), 1);
    assert!(call.is_settled_by_turns());
    call.response_lost();
    assert!(!call.is_settled_by_turns(), "what was missed may have been a turn");
    let record = hung_up(&mut call);
    assert_eq!((record.usage.input_tokens, record.usage_estimated), (Some(14), true));
}
