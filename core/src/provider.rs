//! Providers and their APIs, recognised from configuration, host and path.
//!
//! The host says who answers, and only where configuration (route or cluster metadata) does not; the path
//! says what is asked. So no caller chooses a price list. Paths are matched at their end, so that a gateway
//! may put a prefix of its own before them.

mod addressed;
pub(crate) mod endpoint;

use std::borrow::Cow;

pub use addressed::{Addressed, RequestLine};
use endpoint::{Endpoint, endpoint};
pub(crate) use endpoint::{cancels, decoded, is_stored_chat, pays_at_start};

/// What a call is addressed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Provider id of DESIGN.md, such as `openai`; [`UNKNOWN_PROVIDER`] for a host that nobody configured.
    pub provider: Cow<'static, str>,
    /// Which of its APIs.
    pub api: Api,
    /// The model, where the path names it (Azure deployments, Bedrock, Google).
    pub path_model: Option<String>,
    /// The id of work started earlier whose result this fetches.
    pub fetches: Option<String>,
    /// What decides a price of where it goes: `residency`, `location` or `host`, as its address says, or
    /// `seller`, as a proxy's answer says, with the word for it.
    pub place: Option<(&'static str, String)>,
    /// It goes on with a conversation that its path names, and that is stored.
    pub goes_on: bool,
    /// It packs a conversation: its API has no limit for what comes out. Source: OpenAI, Compact a response,
    /// as its client library has it (`ResponseCompactParams`), 2026-11-29.
    pub compacts: bool,
}

/// The endpoints that are told apart.
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
    /// OpenAI `/images/…`.
    Images,
    /// OpenAI `/audio/transcriptions` and `/audio/translations`.
    Transcription,
    /// OpenAI `/audio/speech`.
    Speech,
    /// OpenAI and xAI `/realtime`, a websocket.
    Realtime,
    /// OpenAI `/live/sessions` and `/realtime/translations`, websockets that are charged by the second.
    Voice,
    /// The websocket of OpenAI `/responses`.
    ResponsesSession,
    /// `/moderations`, which costs nothing at OpenAI.
    Moderation,
    /// Anthropic `/v1/messages`, also on Vertex AI and Azure.
    Messages,
    /// Results of a batch as its provider tells them: Anthropic's and xAI's `/batches/{id}/results`, and the
    /// batch itself at Gemini and Mistral, once it is done.
    MessageBatchResults,
    /// `/files/{id}/content`: the results of an OpenAI batch, one a line, where it is one.
    BatchOutput,
    /// Google `:generateContent`, `:streamGenerateContent`, and its embeddings.
    GenerateContent,
    /// Google `:embedContent` and `:batchEmbedContents`.
    EmbedContent,
    /// Google `/interactions`.
    Interactions,
    /// Google `BidiGenerateContent`, a websocket.
    Live,
    /// Vertex AI `:predict`.
    Predict,
    /// Bedrock `/model/{id}/converse` and `/converse-stream`.
    Converse,
    /// Bedrock `/model/{id}/invoke` and `/invoke-with-response-stream`.
    Invoke,
    /// Cohere `/v1/chat`, `/v2/chat` and `/v1/generate`.
    CohereChat,
    /// Cohere `/embed`.
    CohereEmbed,
    /// `/rerank`, at Cohere and others.
    Rerank,
    /// Ollama `/api/chat` and `/api/generate`.
    OllamaChat,
    /// Ollama `/api/embed` and `/api/embeddings`.
    OllamaEmbed,
    /// Hugging Face's tasks, `/models/{model}` and `/pipeline/{task}/{model}`.
    HuggingFaceTask,
    /// Mistral `/ocr`.
    Ocr,
    /// Starts, lists or asks after work that is done later (batches, fine-tuning, asynchronous jobs): what it
    /// costs shows when its result is fetched.
    Deferred,
    /// Counts tokens and costs nothing, at any provider.
    CountTokens,
    /// Files that wait to be used, and stored answers whose labels are changed: free.
    Files,
    /// An endpoint that is not known. What has a body is recorded, unpriced unless its answer has usage that
    /// can be read.
    Other,
    /// An upgrade or a tunnel that cannot be read: recorded, unpriced.
    Unmetered,
}

impl Api {
    /// The operation in records: OpenTelemetry's `gen_ai.operation.name` where it has one.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::ChatCompletions
            | Self::Responses
            | Self::Messages
            | Self::Converse
            | Self::ResponsesSession
            | Self::CohereChat
            | Self::OllamaChat => "chat",
            Self::Completions | Self::Invoke | Self::HuggingFaceTask => "text_completion",
            Self::Embeddings | Self::EmbedContent | Self::Predict | Self::CohereEmbed | Self::OllamaEmbed => {
                "embeddings"
            }
            Self::GenerateContent | Self::Interactions => "generate_content",
            Self::Images => "image_generation",
            Self::Transcription => "transcription",
            Self::Speech => "speech",
            Self::Realtime | Self::Live | Self::Voice => "realtime",
            Self::Moderation => "moderation",
            Self::MessageBatchResults | Self::BatchOutput | Self::Deferred => "batch",
            Self::Rerank => "rerank",
            Self::Ocr => "ocr",
            Self::CountTokens => "count_tokens",
            Self::Files | Self::Other | Self::Unmetered => "other",
        }
    }

    /// Whether calls of this API cost nothing themselves, moderation only at OpenAI.
    pub const fn is_free(self) -> bool {
        matches!(self, Self::CountTokens | Self::Moderation | Self::Deferred | Self::Files)
    }

    /// Whether the answer is generated text, so that an estimate of it makes sense.
    pub const fn generates_text(self) -> bool {
        matches!(
            self,
            Self::ChatCompletions
                | Self::Completions
                | Self::Responses
                | Self::Messages
                | Self::GenerateContent
                | Self::Interactions
                | Self::Converse
                | Self::Invoke
                | Self::CohereChat
                | Self::OllamaChat
        )
    }

    /// Whether the prompt is text, so that an estimate of it makes sense.
    pub const fn reads_text(self) -> bool {
        self.generates_text()
            || matches!(self, Self::Embeddings | Self::EmbedContent | Self::CohereEmbed | Self::OllamaEmbed)
    }

    /// Whether the answer is a websocket's messages, with usage for each turn.
    pub const fn is_session(self) -> bool {
        matches!(self, Self::Realtime | Self::Live | Self::Voice | Self::ResponsesSession)
    }
}

impl Target {
    /// Recognises a call. `configured` is the provider id from route or cluster metadata; `path` may have a
    /// query.
    pub fn recognise(configured: Option<&str>, host: &str, path: &str) -> Self {
        Self::of(configured, host, path, endpoint(path, false))
    }

    /// Recognises a request that asks for another protocol on its connection, such as a websocket. Where that
    /// is none that can be metered, its API is [`Api::Unmetered`]; a `POST` that asks so is decided on as the
    /// call that it is besides.
    pub fn recognise_upgrade(configured: Option<&str>, host: &str, path: &str) -> Self {
        let mut target = Self::of(configured, host, path, endpoint(path, true));
        if !target.api.is_session() {
            (target.api, target.fetches) = (Api::Unmetered, None);
        }
        target
    }

    fn of(configured: Option<&str>, host: &str, path: &str, endpoint: Endpoint) -> Self {
        let provider = match configured {
            Some(id) => known_id(id),
            None => by_host(host).unwrap_or(Cow::Borrowed(UNKNOWN_PROVIDER)),
        };
        let provider = behind_cloudflare(configured, host, path).map_or(provider, Cow::Borrowed);
        let Endpoint { mut api, model: path_model, mut fetches, batch, .. } = endpoint;
        let Endpoint { place, is_conversation, goes_on, compacts, .. } = endpoint;
        // These have the results of a batch in the batch itself.
        if matches!(provider.as_ref(), "gemini" | "mistral") && api == Api::Deferred && batch.is_some() {
            (api, fetches) = (Api::MessageBatchResults, batch);
        }
        if api == Api::Predict && path_model.as_deref().is_some_and(makes_images) {
            api = Api::Images;
        }
        // Others have no tasks by a model's name; a verb behind it that is not known is not metered.
        let has_verb = || path_model.as_deref().is_some_and(|model| model.contains(':'));
        if api == Api::HuggingFaceTask && provider != "huggingface" && (is_known(&provider) || has_verb()) {
            api = Api::Other;
        }
        // OpenAI's conversations only store what later responses read.
        if is_conversation && provider != "mistral" && is_known(&provider) {
            api = Api::Other;
        }
        let place = match provider.as_ref() {
            "openai" => residency(host).map(|region| ("residency", region)),
            "vertex" | "huggingface" => {
                place.filter(|(fact, _)| (*fact == "host") == (provider == "huggingface"))
            }
            _ => None,
        };
        Self { provider, api, path_model, fetches, place, goes_on, compacts }
    }

    /// The model that a header names, in the AI SDK's own protocol at Vercel's gateway, whose bodies name
    /// none. Elsewhere the header is a caller's word that says nothing. Source: `@ai-sdk/gateway` 3.0.232
    /// (`ai-language-model-id`, `ai-model-id`).
    #[must_use]
    pub fn named_by_header(mut self, path: &str, model: &str) -> Self {
        let speaks_sdk = || {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            path.contains("/ai/") && path.ends_with("-model")
        };
        if !model.is_empty() && self.provider == "vercel-gateway" && speaks_sdk() {
            self.path_model = Some(model.to_owned());
        }
        self
    }

    /// A proxy's answer names the address that it called. Where nothing is known of the proxy's own prices,
    /// those of whom it called are a likely price. Source: `LiteLLM`, Response headers
    /// (`x-litellm-model-api-base`), as recorded; not read anew.
    pub(crate) fn answers_for(&mut self, header: &dyn Fn(&str) -> Option<String>) {
        if is_known(&self.provider) || self.place.is_some() {
            return;
        }
        let Some(base) = header("x-litellm-model-api-base") else { return };
        let (_, address) = base.trim().split_once("://").unwrap_or(("", base.trim()));
        let host = address.split(['/', '?']).next().unwrap_or_default();
        self.place = by_host(host).map(|seller| ("seller", seller.into_owned()));
    }

    /// The request writes: unless it ends work, it is no fetch of a result, whatever its path looks like, but
    /// the call that such a path may be.
    pub fn writes(&mut self, path: &str) {
        if self.fetches.is_some() && !cancels(path) {
            self.fetches = None;
            self.api = match self.api {
                Api::MessageBatchResults => Api::Deferred,
                Api::BatchOutput => Api::Other,
                api => api,
            };
        }
    }

    /// A websocket session of which only the provider is known.
    pub fn session(provider: &str) -> Self {
        let api = if matches!(provider, "gemini" | "vertex") { Api::Live } else { Api::Realtime };
        let (path_model, fetches, place) = (None, None, None);
        Self {
            provider: known_id(provider),
            api,
            path_model,
            fetches,
            place,
            goes_on: false,
            compacts: false,
        }
    }
}

/// Whether a model that Google serves by `:predict` makes pictures, each at a price.
fn makes_images(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.starts_with("imagen") || name.starts_with("imagegeneration")
}

/// The provider that a path at Cloudflare's gateway names, `/v1/{account}/{gateway}/{provider}/…`. Source:
/// Cloudflare, AI Gateway, provider native endpoints, as known; not read anew.
fn behind_cloudflare(configured: Option<&str>, host: &str, path: &str) -> Option<&'static str> {
    if configured.is_some() || !host.eq_ignore_ascii_case("gateway.ai.cloudflare.com") {
        return None;
    }
    let named = path.split(['/', '?']).nth(4)?;
    BEHIND_CLOUDFLARE.iter().find(|(name, _)| *name == named).map(|(_, provider)| *provider)
}

/// The region of OpenAI's hosts for data residency, such as `eu.api.openai.com`. Source: OpenAI, Data
/// residency, read 2026-11-28.
fn residency(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _port)| name);
    name.strip_suffix(".api.openai.com").filter(|region| !region.is_empty()).map(str::to_owned)
}

/// The provider of a host that neither configuration nor [`by_host`] knows.
pub const UNKNOWN_PROVIDER: &str = "unknown";

/// The provider ids that are recognised by a host, and the one of a host that is not.
pub fn recognised_ids() -> impl Iterator<Item = &'static str> {
    HOSTS.iter().map(|(_, id)| *id).chain([UNKNOWN_PROVIDER])
}

fn is_known(provider: &str) -> bool {
    HOSTS.iter().any(|(_, known)| *known == provider)
}

fn known_id(id: &str) -> Cow<'static, str> {
    let known = HOSTS.iter().map(|(_, known)| *known).find(|known| *known == id);
    known.map_or_else(|| Cow::Owned(id.to_owned()), Cow::Borrowed)
}

fn by_host(host: &str) -> Option<Cow<'static, str>> {
    let host = host.to_ascii_lowercase();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _port)| name);
    let matches = |pattern: &&str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end) || host.ends_with(end),
        (None, Some(start)) => {
            name.starts_with(start) && (name.ends_with(".amazonaws.com") || name.ends_with(".api.aws"))
        }
        (None, None) => name == *pattern,
    };
    let known = HOSTS.iter().find(|(pattern, _)| matches(pattern)).map(|(_, id)| *id);
    // A region stands in the middle there, and the name of an endpoint of one's own before it.
    let by_region = || {
        let is_nebius = name.starts_with("api.tokenfactory.") && name.ends_with(".nebius.com");
        let is_private = name.ends_with(".vpce.amazonaws.com")
            && (name.contains(".bedrock-runtime.") || name.contains(".bedrock-agent-runtime."));
        is_nebius.then_some("nebius").or(is_private.then_some("bedrock"))
    };
    known.or_else(by_region).map(Cow::Borrowed)
}

/// Providers as Cloudflare's gateway calls them.
const BEHIND_CLOUDFLARE: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google-ai-studio", "gemini"),
    ("google-vertex-ai", "vertex"),
    ("aws-bedrock", "bedrock"),
    ("azure-openai", "azure"),
    ("mistral", "mistral"),
    ("cohere", "cohere"),
    ("groq", "groq"),
    ("grok", "xai"),
    ("deepseek", "deepseek"),
    ("openrouter", "openrouter"),
    ("perplexity-ai", "perplexity"),
    ("huggingface", "huggingface"),
    ("cerebras", "cerebras"),
    ("workers-ai", "cloudflare"),
];

/// Hosts and provider ids; a leading `*` stands for anything before, a closing one for a region of AWS.
/// Source: each provider's API reference, read 2026-11-23.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("*.api.openai.com", "openai"),
    ("*.openai.azure.com", "azure"),
    ("*.openai.azure.us", "azure"),
    ("*.openai.azure.cn", "azure"),
    ("*.services.ai.azure.com", "azure"),
    ("*.cognitiveservices.azure.com", "azure"),
    ("*.models.ai.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("*aiplatform.googleapis.com", "vertex"),
    ("*.rep.googleapis.com", "vertex"),
    ("api.cloudflare.com", "cloudflare"),
    ("*.cloud.databricks.com", "databricks"),
    ("*.cloud.databricks.us", "databricks"),
    ("*.azuredatabricks.net", "databricks"),
    ("*.databricks.azure.us", "databricks"),
    ("*.databricks.azure.cn", "databricks"),
    ("*.gcp.databricks.com", "databricks"),
    ("api.sambanova.ai", "sambanova"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.tokenfactory.nebius.com", "nebius"),
    ("*.tokenfactory.nebius.com", "nebius"),
    ("api.studio.nebius.com", "nebius"),
    ("api.studio.nebius.ai", "nebius"),
    ("api.novita.ai", "novita"),
    ("api.minimax.io", "minimax"),
    ("api.minimaxi.com", "minimax"),
    ("api.minimax.chat", "minimax"),
    ("api.llama.com", "meta"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "xai"),
    ("*.api.x.ai", "xai"),
    ("api.deepseek.com", "deepseek"),
    ("openrouter.ai", "openrouter"),
    ("eu.openrouter.ai", "openrouter"),
    ("ai-gateway.vercel.sh", "vercel-gateway"),
    ("api.together.ai", "together"),
    ("api.together.xyz", "together"),
    ("api.perplexity.ai", "perplexity"),
    ("router.huggingface.co", "huggingface"),
    ("api-inference.huggingface.co", "huggingface"),
    ("ollama.com", "ollama"),
    ("*:11434", "ollama"),
    ("bedrock-runtime.*", "bedrock"),
    ("bedrock-runtime-fips.*", "bedrock"),
    ("bedrock-agent-runtime.*", "bedrock"),
    ("bedrock-agent-runtime-fips.*", "bedrock"),
    ("bedrock-mantle.*", "bedrock"),
    ("api.cerebras.ai", "cerebras"),
    ("api.fireworks.ai", "fireworks"),
    ("*.api.fireworks.ai", "fireworks"),
    ("api.moonshot.ai", "moonshot"),
    ("api.moonshot.cn", "moonshot"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zai"),
    ("api.voyageai.com", "voyage"),
    ("ai.mongodb.com", "voyage"),
    ("*.aliyuncs.com", "alibaba"),
    ("api.ai21.com", "ai21"),
    ("*.snowflakecomputing.com", "snowflake"),
    ("api.portkey.ai", "portkey"),
    ("api.inference.crusoecloud.com", "crusoe"),
    ("managed-inference-api-proxy.crusoecloud.com", "crusoe"),
];

#[cfg(test)]
mod tests;
