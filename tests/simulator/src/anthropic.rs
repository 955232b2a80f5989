//! Anthropic: messages.

use crate::answer::{Answer, Asked, Kinds, quoted, words};
use crate::ledger::Tokens;

/// `POST /v1/messages`.
pub(crate) fn messages(mut asked: Asked) -> Answer {
    let mut answer = Answer::new(&asked, "anthropic", "messages");
    let kinds = Kinds { writes_cache: true, reasons: false };
    let limit = asked.number("max_tokens");
    let tokens = asked.tokens(kinds, limit);
    let model = asked.text("model").unwrap_or_default().to_owned();
    answer.bill(&model, "standard", "standard", tokens);
    let count = asked.events(&tokens);
    let words = words(count, &mut asked.random);
    let id = asked.id("msg_");
    let model = quoted(&answer.served.response_model);
    if !asked.flag("stream") {
        let text = quoted(&words.concat());
        let usage = usage(&tokens, tokens.output);
        return answer.json(format!(
            "{{\"model\":{model},\"id\":\"{id}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{usage}}}"
        ));
    }
    let mut event = |name: &str, rest: &str| {
        let padding = " ".repeat(usize::try_from(asked.random.between(0, 14)).unwrap_or(0));
        format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}{padding}}}\n\n")
    };
    let first_usage = usage(&tokens, tokens.output.min(2));
    let mut events = vec![
        event(
            "message_start",
            &format!(
                ",\"message\":{{\"model\":{model},\"id\":\"{id}\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{first_usage}}}"
            ),
        ),
        event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        "event: ping\ndata: {\"type\": \"ping\"}\n\n".into(),
    ];
    for word in &words {
        let word = quoted(word);
        events.push(event(
            "content_block_delta",
            &format!(",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{word}}}"),
        ));
    }
    events.push(event("content_block_stop", ",\"index\":0"));
    let Tokens { cache_read, output, .. } = tokens;
    let (plain, write) = (plain(&tokens), tokens.cache_write_5m + tokens.cache_write_1h);
    events.push(event(
        "message_delta",
        &format!(
            ",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\"usage\":{{\"input_tokens\":{plain},\"cache_creation_input_tokens\":{write},\"cache_read_input_tokens\":{cache_read},\"output_tokens\":{output}}}"
        ),
    ));
    events.push(event("message_stop", ""));
    answer.stream("text/event-stream; charset=utf-8", events).with_fault(
        asked.orders.fault,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"simulated error\"}}\n\n",
    )
}

/// `POST /v1/messages/count_tokens`, which is free.
pub(crate) fn count_tokens(mut asked: Asked) -> Answer {
    let answer = Answer::new(&asked, "anthropic", "count_tokens");
    let input = asked.random.between(1, 999);
    answer.json(format!("{{\"input_tokens\":{input}}}"))
}

const fn plain(tokens: &Tokens) -> u64 {
    tokens.input - tokens.cache_read - tokens.cache_write_5m - tokens.cache_write_1h
}

fn usage(tokens: &Tokens, output: u64) -> String {
    let plain = plain(tokens);
    let Tokens { cache_read, cache_write_5m, cache_write_1h, .. } = tokens;
    let write = cache_write_5m + cache_write_1h;
    format!(
        "{{\"input_tokens\":{plain},\"cache_creation_input_tokens\":{write},\"cache_read_input_tokens\":{cache_read},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{cache_write_5m},\"ephemeral_1h_input_tokens\":{cache_write_1h}}},\"output_tokens\":{output},\"service_tier\":\"standard\",\"inference_geo\":\"global\"}}"
    )
}
