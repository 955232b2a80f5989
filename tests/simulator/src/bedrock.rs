//! Amazon Bedrock: Converse, and InvokeModel of Anthropic's models. The path alone names the model.

use serde_json::Value;

use crate::answer::{Answer, Asked, Kinds};

/// `POST /model/{model}/{verb}`.
pub(crate) fn model(mut asked: Asked, model: &str, verb: &str) -> Answer {
    let is_converse = verb == "converse";
    let mut answer = Answer::new(&asked, "bedrock", if is_converse { "converse" } else { "invoke" });
    let at = if is_converse { "/inferenceConfig/maxTokens" } else { "/max_tokens" };
    let limit = asked.body.pointer(at).and_then(Value::as_u64);
    let tokens = asked.tokens(Kinds { writes_cache: false, reasons: false }, limit);
    answer.bill(model, "standard", "standard", tokens);
    let (input, output) = (tokens.input, tokens.output);
    answer.headers.push(("x-amzn-bedrock-input-token-count".into(), input.to_string()));
    answer.headers.push(("x-amzn-bedrock-output-token-count".into(), output.to_string()));
    if is_converse {
        let total = input + output;
        return answer.json(format!(
            "{{\"output\":{{\"message\":{{\"role\":\"assistant\",\"content\":[{{\"text\":\"Yes.\"}}]}}}},\"stopReason\":\"end_turn\",\"usage\":{{\"inputTokens\":{input},\"outputTokens\":{output},\"totalTokens\":{total}}},\"metrics\":{{\"latencyMs\":1}}}}"
        ));
    }
    answer.json(format!(
        "{{\"id\":\"msg_bdrk_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"Yes.\"}}],\"stop_reason\":\"end_turn\",\"usage\":{{\"input_tokens\":{input},\"output_tokens\":{output}}}}}"
    ))
}
