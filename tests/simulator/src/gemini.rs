//! Google Gemini: generateContent and streamGenerateContent, as SSE and as a JSON array.

use crate::answer::{Answer, Asked, Kinds, quoted, words};
use crate::ledger::Tokens;
use crate::orders::Fault;

/// `POST /v1beta/models/{model}:{verb}`.
pub(crate) fn models(asked: Asked, model: &str, verb: &str) -> Answer {
    match verb {
        "generateContent" => generate(asked, model, "generateContent"),
        "streamGenerateContent" => generate(asked, model, "streamGenerateContent"),
        "countTokens" => {
            let answer = Answer::new(&asked, "gemini", "countTokens");
            answer.json("{\n  \"totalTokens\": 7\n}\n".into())
        }
        _ => Answer::error(&asked, "gemini", "unknown", 404),
    }
}

fn generate(mut asked: Asked, model: &str, operation: &'static str) -> Answer {
    let mut answer = Answer::new(&asked, "gemini", operation);
    let kinds = Kinds { writes_cache: false, reasons: true };
    let limit = asked.body.pointer("/generationConfig/maxOutputTokens").and_then(serde_json::Value::as_u64);
    let tokens = asked.tokens(kinds, limit);
    answer.bill(model, "standard", "standard", tokens);
    let id = asked.id("sim");
    let version = quoted(&answer.served.response_model);
    let count = asked.events(&tokens);
    let words = words(count, &mut asked.random);
    let chunk = |text: &str, finish: bool, usage: &str| {
        let text = quoted(text);
        let finish = if finish { ",\"finishReason\": \"STOP\"" } else { "" };
        format!(
            "{{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": {text}}}],\"role\": \"model\"}}{finish},\"index\": 0}}],\"usageMetadata\": {usage},\"modelVersion\": {version},\"responseId\": \"{id}\"}}"
        )
    };
    if operation == "generateContent" {
        return answer.json(chunk(&words.concat(), true, &usage(&tokens)));
    }
    let last = words.len().saturating_sub(1);
    let chunks: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(index, word)| {
            // Interim counts are estimates, higher and lower than the last ones, which alone hold.
            let so_far = if index == last { tokens } else { interim(&tokens, index as u64) };
            chunk(word, index == last, &usage(&so_far))
        })
        .collect();
    let sse = asked.received.path.contains("alt=sse");
    let broken = asked.orders.fault == Some(Fault::ErrorInStream);
    let error = "{\"error\":{\"code\":503,\"message\":\"simulated error\",\"status\":\"UNAVAILABLE\"}}";
    if sse {
        let events = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
        return answer
            .stream("text/event-stream", events)
            .with_fault(asked.orders.fault, &format!("data: {error}\r\n\r\n"));
    }
    let mut pieces: Vec<String> = chunks
        .iter()
        .enumerate()
        .map(|(index, chunk)| format!("{}{chunk}", if index == 0 { "[" } else { "\n,\r\n" }))
        .collect();
    if broken {
        let answer = answer.stream("application/json; charset=UTF-8", pieces);
        return answer.with_fault(asked.orders.fault, &format!("\n,\r\n{error}\n]"));
    }
    pieces.push("\n]".into());
    answer.stream("application/json; charset=UTF-8", pieces)
}

fn interim(tokens: &Tokens, index: u64) -> Tokens {
    Tokens {
        input: tokens.input + (index * 37) % 90,
        output: (tokens.reasoning + index + 1).min(tokens.output),
        ..*tokens
    }
}

fn usage(tokens: &Tokens) -> String {
    let Tokens { input, cache_read, output, reasoning, .. } = tokens;
    let (candidates, total) = (output - reasoning, input + output);
    let optional = |name: &str, count: u64| {
        if count == 0 { String::new() } else { format!("\"{name}\": {count},") }
    };
    let cached = optional("cachedContentTokenCount", *cache_read);
    let thoughts = optional("thoughtsTokenCount", *reasoning);
    format!(
        "{{\"promptTokenCount\": {input},\"candidatesTokenCount\": {candidates},{cached}{thoughts}\"totalTokenCount\": {total},\"promptTokensDetails\": [{{\"modality\": \"TEXT\",\"tokenCount\": {input}}}]}}"
    )
}
