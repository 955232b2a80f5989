//! Which API a path asks for, however it is spelled.

use super::*;

fn api(path: &str) -> Api {
    Target::recognise(Some("openai"), "", path).api
}

#[test]
fn a_path_is_the_same_api_however_it_is_spelled() {
    for path in [
        "/v1/chat/completions",
        "/V1/Chat/COMPLETIONS",
        "/v1/chat/completions/",
        "/v1//chat///completions",
        "/v1/chat/completions;a=b",
        "/v1;x/chat;y=1/completions;z?api-version=1",
        "/v1/%63hat/completion%73",
        "/v1/./chat/x/../completions",
        "/v1/chat%2fcompletions",
        "/v1\\chat\\completions",
        "/v1/chat/completions#fragment",
        "/gateway/openai/v1/chat/completions",
    ] {
        assert_eq!(api(path), Api::ChatCompletions, "{path}");
    }
}

#[test]
fn batches_videos_and_direct_connections_are_deferred_work_under_any_spelling() {
    for path in [
        "/v1/batches",
        "/v1/batches/b1",
        "/v1/Batches;x",
        "/v1/batch",
        "/v1/batch/jobs",
        "/v1/message-batches",
        "/v1/messages/batches",
        "/v1/messages/batches/b/cancel",
        "/openai/deployments/d/batch/chat/completions",
        "/v1beta/models/gemini-2.5-pro:batchGenerateContent",
        "/v1beta/models/gemini-2.5-pro%3AbatchGenerateContent",
        "/v1beta/models/gemini-2.5-pro:BATCHGENERATECONTENT",
        "/v1beta/models/e:asyncBatchEmbedContent",
        "/v1beta/batches/b",
        "/v1/projects/p/locations/l/batchPredictionJobs",
        "/v1/projects/p/locations/l/tuningJobs",
        "/v1/projects/p/locations/l/cachedContents",
        "/v1/projects/p/locations/l/publishers/google/models/veo-3:predictLongRunning",
        "/model-invocation-job",
        "/async-invoke",
        "/v1/fine_tuning/jobs",
        "/v1/fine-tuning/jobs/j/resume",
        "/v1/fine-tunes",
        "/v1/finetuning/finetuned-models",
        "/v1beta/tunedModels",
        "/v1/embed-jobs",
        "/v1/evals/e/runs",
        "/v1/videos",
        "/v1/videos/v/remix",
        "/v1/videos/generations",
        "/openai/v1/video/generations/jobs",
        "/v1/realtime/calls",
        "/v1/realtime/client_secrets",
        "/v1/realtime/translations/client_secrets",
        "/v1/realtime/translations/calls",
        "/v1/realtime/transcription_sessions",
        "/v1/realtime?model=gpt-realtime",
        "/v1/live/sessions",
        "/v1beta/auth_tokens",
        "/v1alpha/authTokens",
        "/async/chat/completions",
        "/v1/threads/t/runs",
        "/v1/vector_stores",
        "/v1/containers",
    ] {
        assert_eq!(api(path), Api::Deferred, "{path}");
    }
}

#[test]
fn what_an_operator_puts_before_a_version_is_its_own() {
    for (path, expected) in [
        ("/batch/openai/v1/chat/completions", Api::ChatCompletions),
        ("/video/v1/responses", Api::Responses),
        ("/v1/models/batch", Api::Deferred),
        ("/v1/files", Api::Files),
        ("/v1/vector_stores/v/files", Api::Deferred),
        ("/v1/agents/completions", Api::ChatCompletions),
        ("/v1/something/new", Api::Other),
    ] {
        assert_eq!(api(path), expected, "{path}");
    }
}

/// What a verb does that nobody knows cannot be metered, whatever its name ends in.
#[test]
fn a_verb_that_is_not_known_is_no_api_that_is() {
    for (provider, path, expected) in [
        ("gemini", "/v1beta/models/gemini-2.5-pro:generateVideos", Api::Other),
        ("gemini", "/v1beta/models/veo-3:predictLongRunning", Api::Deferred),
        ("gemini", "/v1beta/models/veo-3:predictLongRunningX", Api::Other),
        ("gemini", "/v1beta/models/gemini-2.5-pro:generateSomethingMessage", Api::Other),
        ("gemini", "/v1beta/models/gemini-2.5-pro:X", Api::Other),
        ("gemini", "/v1beta/models/gemini-2.5-pro", Api::Other),
        ("vertex", "/v1/projects/p/locations/l/publishers/google/models/m:tune", Api::Other),
        ("vertex", "/v1/projects/p/locations/l/publishers/google/models/m:predict", Api::Predict),
        ("openai", "/v1/models/gpt-5-nano", Api::Other),
        ("my-models", "/models/org/name:brandNewVerb", Api::Other),
        ("my-models", "/models/org/name", Api::HuggingFaceTask),
        ("huggingface", "/models/org/name", Api::HuggingFaceTask),
        ("huggingface", "/pipeline/feature-extraction/org/name", Api::HuggingFaceTask),
    ] {
        assert_eq!(Target::recognise(Some(provider), "", path).api, expected, "{provider} {path}");
    }
}

#[test]
fn a_path_names_its_model_in_its_own_case() {
    for (path, expected) in [
        ("/openai/deployments/My-GPT/chat/completions", "My-GPT"),
        ("/OpenAI/Deployments/My-GPT/embeddings;v=1", "My-GPT"),
        ("/model/us.anthropic.claude-v1%3A0/converse", "us.anthropic.claude-v1:0"),
        ("/model/us.anthropic.claude-v1:0/Invoke", "us.anthropic.claude-v1:0"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Ainference-profile%2Fus.m/invoke",
            "arn:aws:bedrock:us:1:inference-profile/us.m",
        ),
        (
            "/model/arn:aws:bedrock:us:1:inference-profile/us.m/converse",
            "arn:aws:bedrock:us:1:inference-profile/us.m",
        ),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"),
        ("/v1beta/models/gemini-2.5-flash:GENERATECONTENT;x", "gemini-2.5-flash"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude@1:rawPredict", "claude@1"),
        ("/models/Org/Name", "Org/Name"),
    ] {
        let model = Target::recognise(None, "", path).path_model;
        assert_eq!(model.as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn a_websocket_is_a_session_that_is_known_or_cannot_be_metered() {
    for (path, expected, model) in [
        ("/v1/realtime?model=gpt-realtime", Api::Realtime, Some("gpt-realtime")),
        ("/v1/realtime?m%6fdel=a&model=a", Api::Realtime, Some("a")),
        ("/v1/realtime?model=a&m%6fdel=b", Api::Realtime, Some("a,b")),
        ("/openai/realtime?api-version=1&deployment=voice", Api::Realtime, Some("voice")),
        ("/v1/realtime/translations?model=t", Api::Voice, Some("t")),
        ("/v1/live/sessions", Api::Voice, None),
        ("/v1/responses", Api::ResponsesSession, None),
        ("/V1/Responses;x", Api::ResponsesSession, None),
        ("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", Api::Live, None),
        ("/v1/chat/completions", Api::Unmetered, None),
        ("/v1/batches", Api::Unmetered, None),
        ("/v1/responses/r1", Api::Unmetered, None),
        ("", Api::Unmetered, None),
    ] {
        let target = Target::recognise_upgrade(Some("openai"), "", path);
        assert_eq!((target.api, target.path_model.as_deref()), (expected, model), "{path}");
        assert_eq!(target.fetches, None, "{path}");
    }
}

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
        ("localhost:11434", "/api/chat", "ollama OllamaChat "),
        ("x.eastus2.models.ai.azure.com", "/v1/chat/completions", "azure ChatCompletions "),
        ("x.cloud.databricks.us", "/serving-endpoints/chat/completions", "databricks ChatCompletions "),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "/model/m/converse", "bedrock Converse m"),
        ("vpce-0a1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", "/model/m/converse", "bedrock Converse m"),
        ("vpce-0a1b.sqs.us-east-1.vpce.amazonaws.com", "/model/m/converse", "unknown Converse m"),
        ("gateway.ai.cloudflare.com", "/v1/acct/gw/openai/chat/completions?x=1", "openai ChatCompletions "),
        ("gateway.ai.cloudflare.com", "/v1/acct/gw/anthropic/v1/messages", "anthropic Messages "),
        ("gateway.ai.cloudflare.com", "/v1/acct/gw/nobody/chat/completions", "unknown ChatCompletions "),
        ("example.com", "/v1/acct/gw/openai/chat/completions", "unknown ChatCompletions "),
        ("r.services.ai.azure.com", "/models/chat/completions", "azure ChatCompletions "),
        ("r.services.ai.azure.com", "/anthropic/v1/messages", "azure Messages "),
        (
            "bedrock-runtime.us-east-1.amazonaws.com",
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
            "bedrock Converse us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("api.cohere.com", "/v2/chat", "cohere CohereChat "),
        ("api.perplexity.ai", "/v1/sonar", "perplexity ChatCompletions "),
        ("api.perplexity.ai", "/v1/async/sonar", "perplexity Deferred "),
        ("api.anthropic.com", "/v1/messages/batches/b1/results", "anthropic MessageBatchResults "),
        ("api-inference.huggingface.co", "/models/org/name", "huggingface HuggingFaceTask org/name"),
        ("api.openai.com", "/v1/threads/t/runs", "openai Deferred "),
        ("api.openai.com", "/v1/threads/t/runs/r", "openai Responses "),
        ("api.openai.com", "/v1/threads/t/runs/r/submit_tool_outputs", "openai Deferred "),
        ("api.openai.com", "/v1/threads/t/runs/r/cancel", "openai Deferred "),
        ("example.com", "/v1/things", "unknown Other "),
        ("evil-api.openai.com.example", "/", "unknown Other "),
    ] {
        assert_eq!(recognised(host, path), expected, "{host}{path}");
    }
}

#[test]
fn results_of_earlier_work_are_known_by_its_id() {
    for (path, expected) in [
        ("/v1/responses/resp_1?stream=true", Some("resp_1")),
        ("/v1/responses/compact", None),
        ("/v1/responses", None),
        ("/v1beta/interactions/v1_x", Some("v1_x")),
        ("/v1/messages/batches/msgbatch_1/results", Some("msgbatch_1")),
        ("/v1/files/file-1/content", Some("file-1")),
        ("/v1/batches/batch_1", None),
        ("/v1/threads/thread_1/runs/run_7", Some("run_7")),
        ("/v1/threads/thread_1/runs", None),
    ] {
        assert_eq!(Target::recognise(None, "", path).fetches.as_deref(), expected, "{path}");
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
        assert_eq!(endpoint::decoded(segment), expected);
    }
}

#[test]
fn a_header_names_the_model_only_in_the_sdks_own_protocol() {
    for (provider, path, expected) in [
        ("vercel-gateway", "/v3/ai/language-model", Some("openai/gpt-4.1")),
        ("vercel-gateway", "/v1/ai/embedding-model?x=1", Some("openai/gpt-4.1")),
        ("vercel-gateway", "/v1/responses", None),
        ("vercel-gateway", "/v1/responses?x=/ai/language-model", None),
        ("openai", "/v3/ai/language-model", None),
    ] {
        let target = Target::recognise(Some(provider), "", path).named_by_header(path, "openai/gpt-4.1");
        assert_eq!(target.path_model.as_deref(), expected, "{provider} {path}");
    }
}

#[test]
fn a_proxys_answer_names_whom_it_called() {
    for (provider, base, expected) in [
        (None, "https://api.openai.com", Some("openai")),
        (Some("litellm"), " https://API.groq.com/openai/v1/ ", Some("groq")),
        (Some("litellm"), "https://example.openai.azure.com?api-version=1", Some("azure")),
        (Some("litellm"), "bedrock-runtime.eu-west-1.amazonaws.com", Some("bedrock")),
        (Some("litellm"), "http://10.0.0.7:8000/api.openai.com", None),
        (Some("litellm"), "https://api.openai.com.evil.example/v1", None),
        (Some("litellm"), "", None),
        // A provider's own prices hold, whatever its answer says.
        (Some("openrouter"), "https://api.openai.com", None),
    ] {
        let mut target = Target::recognise(provider, "0.0.0.0:4000", "/v1/chat/completions");
        target.answers_for(&|name| (name == "x-litellm-model-api-base").then(|| base.to_owned()));
        let seller = target.place.as_ref().map(|(fact, word)| (*fact, word.as_str()));
        assert_eq!(seller, expected.map(|seller| ("seller", seller)), "{provider:?} {base}");
    }
}
