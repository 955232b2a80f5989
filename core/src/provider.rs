//! Providers and their APIs, recognised from configuration, host and path.
//!
//! The host says who answers, and only where configuration (route or cluster metadata) does not; the path says
//! what is asked. So no caller chooses a price list. Paths are matched at their end, so that a gateway may put
//! a prefix of its own before them.

use std::borrow::Cow;

/// What a call is addressed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Provider id of DESIGN.md, such as `openai`; [`UNKNOWN_PROVIDER`] for a host that nobody configured.
    pub provider: Cow<'static, str>,
    /// Which of its APIs.
    pub api: Api,
    /// The model, where the path names it (Azure deployments, Bedrock, Google).
    pub path_model: Option<String>,
}

/// The wire formats and endpoints that are told apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Api {
    /// OpenAI `/chat/completions`, and everything compatible with it.
    ChatCompletions,
    /// OpenAI `/completions`.
    Completions,
    /// OpenAI `/responses` and `/responses/compact`.
    Responses,
    /// OpenAI `/embeddings`.
    Embeddings,
    /// Anthropic `/v1/messages`, also on Vertex AI, Azure and (InvokeModel) Bedrock.
    Messages,
    /// Google `:generateContent` and `:streamGenerateContent`.
    GenerateContent,
    /// Counts tokens and costs nothing, at any provider.
    CountTokens,
    /// An endpoint that is not known. A `POST` is recorded, unpriced unless its answer has usage that can be read.
    Other,
}

impl Api {
    /// The operation in records: OpenTelemetry's `gen_ai.operation.name` where it has one.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Self::ChatCompletions | Self::Responses | Self::Messages => "chat",
            Self::Completions => "text_completion",
            Self::Embeddings => "embeddings",
            Self::GenerateContent => "generate_content",
            Self::CountTokens => "count_tokens",
            Self::Other => "other",
        }
    }

    /// Whether calls of this API never cost anything.
    #[must_use]
    pub const fn is_free(self) -> bool {
        matches!(self, Self::CountTokens)
    }
}

impl Target {
    /// Recognises a call. `configured` is the provider id from route or cluster metadata; `path` may have a query.
    #[must_use]
    pub fn recognise(configured: Option<&str>, host: &str, path: &str) -> Self {
        let (api, path_model) = endpoint(path);
        let provider = match configured {
            Some(id) => known_id(id),
            None => by_host(host).unwrap_or(Cow::Borrowed(UNKNOWN_PROVIDER)),
        };
        Self { provider, api, path_model }
    }
}

/// The provider of a host that neither configuration nor [`by_host`] knows.
pub const UNKNOWN_PROVIDER: &str = "unknown";

fn known_id(id: &str) -> Cow<'static, str> {
    let known = HOSTS.iter().map(|(_, known)| *known).find(|known| *known == id);
    known.map_or_else(|| Cow::Owned(id.to_owned()), Cow::Borrowed)
}

fn by_host(host: &str) -> Option<Cow<'static, str>> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name).to_ascii_lowercase();
    let matches = |pattern: &&str| match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == **pattern,
    };
    HOSTS.iter().find(|(pattern, _)| matches(pattern)).map(|(_, id)| Cow::Borrowed(*id))
}

/// The API that a path asks for, and the model that it names.
fn endpoint(path: &str) -> (Api, Option<String>) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let after = |name: &str| {
        let at = segments.iter().position(|segment| *segment == name)?;
        segments.get(at + 1).map(|segment| decoded(segment))
    };
    match segments.as_slice() {
        [.., "models", last] if last.contains(':') => google(last),
        all => (by_ending(all), after("deployments")),
    }
}

fn by_ending(segments: &[&str]) -> Api {
    match segments {
        [.., "chat", "completions"] => Api::ChatCompletions,
        [.., "completions"] => Api::Completions,
        [.., "responses"] | [.., "responses", "compact"] => Api::Responses,
        [.., "embeddings"] => Api::Embeddings,
        [.., "messages"] => Api::Messages,
        [.., "messages", "count_tokens"] | [.., "responses", "input_tokens"] => Api::CountTokens,
        _ => Api::Other,
    }
}

/// `gemini-2.5-flash:generateContent`, the last segment of Google's paths.
fn google(segment: &str) -> (Api, Option<String>) {
    let (model, verb) = segment.rsplit_once(':').unwrap_or((segment, ""));
    let api = match verb {
        "generateContent" | "streamGenerateContent" => Api::GenerateContent,
        "rawPredict" | "streamRawPredict" => Api::Messages,
        "countTokens" => Api::CountTokens,
        _ => Api::Other,
    };
    (api, Some(decoded(model)))
}

/// Percent-decoded, as far as it is UTF-8.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match tail {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { tail.get(2..).unwrap_or(&[]) } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Hosts and provider ids; `*` stands for anything before. Source: each provider's API reference, read 2026-11-23.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("*.openai.azure.com", "azure"),
    ("*.services.ai.azure.com", "azure"),
    ("*.cognitiveservices.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("*aiplatform.googleapis.com", "vertex"),
    ("api.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "xai"),
    ("api.deepseek.com", "deepseek"),
    ("openrouter.ai", "openrouter"),
    ("ai-gateway.vercel.sh", "vercel-gateway"),
    ("api.together.ai", "together"),
    ("api.together.xyz", "together"),
    ("api.perplexity.ai", "perplexity"),
    ("router.huggingface.co", "huggingface"),
    ("api-inference.huggingface.co", "huggingface"),
    ("ollama.com", "ollama"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(host: &str, path: &str) -> String {
        let target = Target::recognise(None, host, path);
        format!("{} {:?} {}", target.provider, target.api, target.path_model.unwrap_or_default())
    }

    #[test]
    fn host_says_who_and_path_says_what() {
        for (host, path, expected) in [
            ("api.openai.com", "/v1/chat/completions", "openai ChatCompletions "),
            ("api.openai.com:443", "/v1/responses?x=1", "openai Responses "),
            ("API.anthropic.com", "/anthropic/v1/messages", "anthropic Messages "),
            ("api.anthropic.com", "/v1/messages/count_tokens", "anthropic CountTokens "),
            (
                "generativelanguage.googleapis.com",
                "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
                "gemini GenerateContent gemini-2.5-flash",
            ),
            (
                "us-east5-aiplatform.googleapis.com",
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude-3-7-sonnet%4020250219:rawPredict",
                "vertex Messages claude-3-7-sonnet@20250219",
            ),
            (
                "r.openai.azure.com",
                "/openai/deployments/my%20gpt/chat/completions?api-version=1",
                "azure ChatCompletions my gpt",
            ),
            ("example.com", "/v1/things", "unknown Other "),
            ("evil-api.openai.com.example", "/", "unknown Other "),
        ] {
            assert_eq!(recognised(host, path), expected, "{host}{path}");
        }
    }

    #[test]
    fn configuration_wins_over_the_host() {
        let target = Target::recognise(Some("azure"), "api.openai.com", "/v1/embeddings");
        assert_eq!((target.provider.as_ref(), target.api), ("azure", Api::Embeddings));
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for (segment, expected) in
            [("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("a%3Ab", "a:b"), ("%e2%82", "\u{fffd}")]
        {
            assert_eq!(decoded(segment), expected);
        }
    }
}
