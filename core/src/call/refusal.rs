//! Refusals in the shape of each provider's own errors, so that its SDK raises what it would raise for the
//! provider.
//!
//! Status 402 for what stays refused: no SDK tries it again. Status 429 with `retry-after` for what clears
//! soon. 403 for what is not allowed. Shapes: each provider's error reference and its SDK's behaviour,
//! measured 2026-11.

mod short;

use serde_json::{Value, json};

use crate::decode::websocket;
use crate::provider::{Api, Target};
pub use short::short_of;

/// Why a call is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A budget is spent until its window ends, or its limit is raised.
    BudgetSpent,
    /// A budget has nothing free now, and will soon.
    BudgetBusy,
    /// The collector cannot be reached, and a budget of the call wants it so.
    CollectorAway,
    /// The model has no price, and calls without one are not allowed.
    ModelNotPriced,
    /// The price is not known here yet, and an enforced budget must hold one.
    PriceUnknown,
    /// Work that is charged later may not be started under an enforced budget.
    DeferredNotAllowed,
    /// The call cannot be metered, and an enforced budget or a list of models may be for it.
    NotMetered,
    /// Its agent is not registered or not approved, and may not call.
    AgentNotAllowed,
    /// Its model is not among those that may be called.
    ModelNotAllowed,
    /// It does not say who makes it, as calls of its environment must.
    AttributionMissing,
    /// It says otherwise than a trusted source.
    IdentityContradicted,
    /// It is larger than one call may be.
    CallTooLarge,
    /// Its run has done as much as one run may.
    RunLimit,
    /// The same request comes too often within a minute.
    Repeated,
    /// A key that decides about the call stands in its body twice.
    AmbiguousRequest,
    /// The body cannot be read, and an enforced budget must know what it asks for.
    UnreadableRequest,
}

/// What is answered instead of the provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reason {
    /// The word in `x-tollgate-reason` and in Envoy's response code details.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BudgetSpent => "budget_spent",
            Self::BudgetBusy => "budget_busy",
            Self::CollectorAway => "collector_away",
            Self::ModelNotPriced => "model_not_priced",
            Self::PriceUnknown => "price_unknown",
            Self::DeferredNotAllowed => "deferred_not_allowed",
            Self::NotMetered => "not_metered",
            Self::AgentNotAllowed => "agent_not_allowed",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::AttributionMissing => "attribution_missing",
            Self::IdentityContradicted => "identity_contradicted",
            Self::CallTooLarge => "call_too_large",
            Self::RunLimit => "run_limit",
            Self::Repeated => "repeated",
            Self::AmbiguousRequest => "ambiguous_request",
            Self::UnreadableRequest => "unreadable_request",
        }
    }

    /// The HTTP status, where a budget does not name another.
    pub const fn status(self) -> u16 {
        match self {
            Self::BudgetSpent => 402,
            Self::BudgetBusy | Self::CollectorAway | Self::PriceUnknown | Self::Repeated => 429,
            Self::ModelNotPriced
            | Self::DeferredNotAllowed
            | Self::NotMetered
            | Self::AgentNotAllowed
            | Self::ModelNotAllowed
            | Self::RunLimit
            | Self::CallTooLarge => 403,
            Self::AmbiguousRequest | Self::AttributionMissing | Self::IdentityContradicted => 400,
            Self::UnreadableRequest => 415,
        }
    }
}

/// The refusal of a call, in the shape of its provider.
pub fn refusal(target: &Target, reason: Reason, status: Option<u16>, message: &str, id: &str) -> Refusal {
    let status = status.unwrap_or_else(|| reason.status());
    let family = Family::of(target);
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-tollgate-reason", reason.name().to_owned()),
    ];
    match (reason, status) {
        (Reason::BudgetBusy | Reason::CollectorAway | Reason::PriceUnknown, _) => {
            headers.push(("retry-after", "1".to_owned()));
        }
        (Reason::Repeated, _) => headers.push(("retry-after", "30".to_owned())),
        _ => headers.push(("x-should-retry", "false".to_owned())),
    }
    if family == Family::Bedrock {
        // A throttling error only for what clears soon: boto3 tries those again.
        let kind = match reason {
            Reason::ModelNotPriced
            | Reason::DeferredNotAllowed
            | Reason::NotMetered
            | Reason::AgentNotAllowed
            | Reason::ModelNotAllowed
            | Reason::RunLimit
            | Reason::CallTooLarge => "AccessDeniedException",
            Reason::AmbiguousRequest
            | Reason::UnreadableRequest
            | Reason::AttributionMissing
            | Reason::IdentityContradicted => "ValidationException",
            Reason::BudgetBusy | Reason::CollectorAway | Reason::PriceUnknown | Reason::Repeated => {
                "ThrottlingException"
            }
            Reason::BudgetSpent => "ServiceQuotaExceededException",
        };
        headers.push(("x-amzn-errortype", kind.to_owned()));
    }
    let body = family.error(reason, status, message, id).to_string().into_bytes();
    Refusal { status, headers, body }
}

/// What is sent into a running stream to end it: the provider's own error event.
pub fn stream_error(target: &Target, message: &str, id: &str) -> Option<Vec<u8>> {
    let reason = Reason::BudgetSpent;
    let error = Family::of(target).error(reason, reason.status(), message, id);
    let event = match (Family::of(target), target.api) {
        (Family::Anthropic, _) => format!("event: error\ndata: {error}\n\n"),
        (Family::OpenAi, Api::Responses) => {
            let error = json!({"type": "error", "sequence_number": 0, "error": error.get("error")});
            format!("event: error\ndata: {error}\n\n")
        }
        (Family::OpenAi | Family::Google | Family::Mistral, _) => format!("data: {error}\n\n"),
        // Frames of their own, with checksums, or no stream of events.
        (Family::Bedrock | Family::Cohere | Family::Ollama, _) => return None,
    };
    Some(event.into_bytes())
}

/// What is sent to the caller of a session to end it: the provider's own error message, where it has one
/// (OpenAI's API reference, Realtime server events, read 2026-11-25), and the end of the websocket.
pub fn session_end(target: &Target, reason: Reason, status: Option<u16>, message: &str, id: &str) -> Vec<u8> {
    let status = status.unwrap_or_else(|| reason.status());
    let error = match target.api {
        Api::ResponsesSession => {
            let error = Family::OpenAi.error(reason, status, message, id);
            let event = json!({"type": "error", "status": status, "error": error.get("error")});
            websocket::text(&event.to_string())
        }
        Api::Realtime | Api::Voice => {
            let code = if reason == Reason::BudgetSpent { "insufficient_quota" } else { reason.name() };
            let error =
                json!({"type": code, "code": code, "message": message, "param": null, "event_id": null});
            let event = json!({"type": "error", "event_id": id, "error": error});
            websocket::text(&event.to_string())
        }
        _ => Vec::new(),
    };
    [error, websocket::close(websocket::POLICY, message)].concat()
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    OpenAi,
    Anthropic,
    Google,
    Bedrock,
    Cohere,
    Mistral,
    Ollama,
}

impl Family {
    fn of(target: &Target) -> Self {
        match (target.api, target.provider.as_ref()) {
            (Api::Messages, _) => Self::Anthropic,
            (Api::Converse | Api::Invoke, _) | (_, "bedrock") => Self::Bedrock,
            (Api::GenerateContent | Api::EmbedContent | Api::Interactions | Api::Predict, _) => Self::Google,
            (Api::CohereChat | Api::CohereEmbed, _) | (Api::Rerank, "cohere") => Self::Cohere,
            (Api::OllamaChat | Api::OllamaEmbed, _) => Self::Ollama,
            // What has no shape of its own has its provider's.
            (
                Api::Deferred
                | Api::Other
                | Api::Unmetered
                | Api::MessageBatchResults
                | Api::Files
                | Api::CountTokens,
                "gemini" | "vertex",
            ) => Self::Google,
            (Api::Deferred | Api::Other | Api::Unmetered, "cohere") => Self::Cohere,
            (Api::Deferred | Api::Other | Api::Unmetered, "ollama") => Self::Ollama,
            (_, "mistral") => Self::Mistral,
            (_, "anthropic") => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }

    fn error(self, reason: Reason, status: u16, message: &str, id: &str) -> Value {
        match self {
            Self::OpenAi => {
                let code = match reason {
                    Reason::BudgetSpent => "insufficient_quota",
                    Reason::BudgetBusy | Reason::CollectorAway | Reason::PriceUnknown => {
                        "rate_limit_exceeded"
                    }
                    other => other.name(),
                };
                json!({"error": {"message": message, "type": code, "param": null, "code": code}})
            }
            Self::Anthropic => {
                let kind = match status {
                    402 => "billing_error",
                    429 => "rate_limit_error",
                    403 => "permission_error",
                    _ => "invalid_request_error",
                };
                json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": id})
            }
            Self::Google => {
                let name = match status {
                    402 | 429 => "RESOURCE_EXHAUSTED",
                    403 => "PERMISSION_DENIED",
                    _ => "INVALID_ARGUMENT",
                };
                let details = json!([{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason.name().to_ascii_uppercase(),
                    "domain": "tollgate",
                }]);
                json!({"error": {"code": status, "message": message, "status": name, "details": details}})
            }
            Self::Bedrock => json!({"message": message}),
            Self::Cohere => json!({"id": id, "message": message}),
            Self::Mistral => {
                let kind = if status == 402 { "payment_required" } else { reason.name() };
                json!({"object": "error", "message": message, "type": kind, "param": null, "code": status.to_string()})
            }
            Self::Ollama => json!({"error": message}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(provider: &str, path: &str, reason: Reason) -> (u16, Value, Vec<(&'static str, String)>) {
        let target = Target::recognise(Some(provider), "", path);
        let Refusal { status, headers, body } = refusal(&target, reason, None, "spent", "id");
        (status, serde_json::from_slice(&body).unwrap(), headers)
    }

    #[test]
    fn every_provider_gets_its_own_shape() {
        for (provider, path, place, expected) in [
            ("openai", "/v1/chat/completions", "/error/code", "insufficient_quota"),
            ("groq", "/openai/v1/chat/completions", "/error/type", "insufficient_quota"),
            ("anthropic", "/v1/messages", "/error/type", "billing_error"),
            ("azure", "/anthropic/v1/messages", "/type", "error"),
            ("gemini", "/v1beta/models/g:generateContent", "/error/status", "RESOURCE_EXHAUSTED"),
            ("gemini", "/v1beta/models/g:batchGenerateContent", "/error/status", "RESOURCE_EXHAUSTED"),
            ("gemini", "/v1beta/models/g:generateVideos", "/error/status", "RESOURCE_EXHAUSTED"),
            ("vertex", "/v1/projects/p/locations/l/tuningJobs", "/error/status", "RESOURCE_EXHAUSTED"),
            ("gemini", "/v1beta/openai/chat/completions", "/error/code", "insufficient_quota"),
            ("cohere", "/v1/embed-jobs", "/message", "spent"),
            (
                "vertex",
                "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict",
                "/error/type",
                "billing_error",
            ),
            ("bedrock", "/model/m/converse", "/message", "spent"),
            ("cohere", "/v2/chat", "/id", "id"),
            ("mistral", "/v1/chat/completions", "/type", "payment_required"),
            ("ollama", "/api/chat", "/error", "spent"),
        ] {
            let (status, body, headers) = shape(provider, path, Reason::BudgetSpent);
            assert_eq!(status, 402);
            assert_eq!(body.pointer(place).and_then(Value::as_str), Some(expected), "{provider} {path}");
            assert!(headers.contains(&("x-should-retry", "false".to_owned())), "{provider}");
            assert!(body.to_string().contains("spent"));
        }
    }

    #[test]
    fn what_clears_soon_may_be_tried_again() {
        let (status, body, headers) = shape("openai", "/v1/chat/completions", Reason::BudgetBusy);
        assert_eq!(
            (status, body.pointer("/error/code").and_then(Value::as_str)),
            (429, Some("rate_limit_exceeded"))
        );
        assert!(headers.contains(&("retry-after", "1".to_owned())));
        assert!(!headers.iter().any(|(name, _)| *name == "x-should-retry"));
    }

    #[test]
    fn a_stream_ends_with_its_providers_error_event() {
        for (provider, path, expected) in [
            ("openai", "/v1/chat/completions", Some("data: {\"error\":")),
            (
                "openai",
                "/v1/responses",
                Some("event: error\ndata: {\"error\":{\"code\":\"insufficient_quota\""),
            ),
            ("anthropic", "/v1/messages", Some("event: error\ndata: {\"error\":{\"message\":")),
            (
                "gemini",
                "/v1beta/models/g:streamGenerateContent?alt=sse",
                Some("data: {\"error\":{\"code\":402"),
            ),
            ("bedrock", "/model/m/converse-stream", None),
        ] {
            let target = Target::recognise(Some(provider), "", path);
            let event = stream_error(&target, "spent", "id").map(|bytes| String::from_utf8(bytes).unwrap());
            match expected {
                Some(start) => {
                    assert!(event.as_ref().is_some_and(|event| event.starts_with(start)), "{event:?}");
                }
                None => assert_eq!(event, None),
            }
        }
    }
}
