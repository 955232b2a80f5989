//! Who sells, hosts and made what a call used, as FOCUS names them.

/// Names of one provider's service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Seller {
    /// Whom the account is with.
    pub(super) provider: String,
    /// Whose machines it runs on, and who sends the invoice.
    pub(super) host: String,
    /// Who made the model.
    pub(super) publisher: String,
    /// The service.
    pub(super) service: String,
}

impl Seller {
    /// Of a model of a provider, by their ids.
    pub(super) fn of(provider: &str, model: &str) -> Self {
        let known = PROVIDERS.iter().find(|(id, ..)| *id == provider);
        let (host, service) = known.map_or_else(
            || (provider.to_owned(), format!("{provider} API")),
            |(_, host, service)| ((*host).to_owned(), (*service).to_owned()),
        );
        let publisher = MAKERS
            .iter()
            .find(|(part, _)| model.split(['/', '.', ':', '@']).any(|name| name.starts_with(part)))
            .map_or_else(|| host.clone(), |(_, maker)| (*maker).to_owned());
        Self { provider: host.clone(), host, publisher, service }
    }
}

/// Ids of providers, with the names of company and service.
const PROVIDERS: [(&str, &str, &str); 20] = [
    ("openai", "OpenAI", "OpenAI API"),
    ("anthropic", "Anthropic", "Claude API"),
    ("gemini", "Google", "Gemini API"),
    ("vertex", "Google Cloud", "Vertex AI"),
    ("bedrock", "AWS", "Amazon Bedrock"),
    ("azure", "Microsoft", "Azure OpenAI"),
    ("mistral", "Mistral AI", "Mistral API"),
    ("cohere", "Cohere", "Cohere API"),
    ("groq", "Groq", "Groq API"),
    ("xai", "xAI", "xAI API"),
    ("deepseek", "DeepSeek", "DeepSeek API"),
    ("openrouter", "OpenRouter", "OpenRouter API"),
    ("vercel-gateway", "Vercel", "Vercel AI Gateway"),
    ("together", "Together AI", "Together API"),
    ("perplexity", "Perplexity", "Perplexity API"),
    ("huggingface", "Hugging Face", "Hugging Face Inference"),
    ("fireworks", "Fireworks AI", "Fireworks API"),
    ("databricks", "Databricks", "Databricks Model Serving"),
    ("snowflake", "Snowflake", "Snowflake Cortex"),
    ("alibaba", "Alibaba Cloud", "Model Studio"),
];

/// How names of models begin, with who makes these.
const MAKERS: [(&str, &str); 22] = [
    ("claude", "Anthropic"),
    ("anthropic", "Anthropic"),
    ("gpt", "OpenAI"),
    ("openai", "OpenAI"),
    ("chatgpt", "OpenAI"),
    ("text-embedding", "OpenAI"),
    ("gemini", "Google"),
    ("gemma", "Google"),
    ("google", "Google"),
    ("llama", "Meta"),
    ("meta", "Meta"),
    ("mistral", "Mistral AI"),
    ("mixtral", "Mistral AI"),
    ("codestral", "Mistral AI"),
    ("command", "Cohere"),
    ("cohere", "Cohere"),
    ("deepseek", "DeepSeek"),
    ("qwen", "Alibaba Cloud"),
    ("grok", "xAI"),
    ("sonar", "Perplexity"),
    ("amazon", "AWS"),
    ("titan", "AWS"),
];

#[cfg(test)]
mod tests {
    use super::Seller;

    #[test]
    fn a_model_is_its_makers_wherever_it_runs() {
        for (provider, model, host, publisher) in [
            ("openai", "gpt-4o-2024-08-06", "OpenAI", "OpenAI"),
            ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "AWS", "Anthropic"),
            ("vertex", "claude-haiku-4-5@20251001", "Google Cloud", "Anthropic"),
            ("openrouter", "meta-llama/llama-4-scout", "OpenRouter", "Meta"),
            ("vllm", "own-model", "vllm", "vllm"),
        ] {
            let seller = Seller::of(provider, model);
            assert_eq!((seller.host.as_str(), seller.publisher.as_str()), (host, publisher), "{model}");
        }
    }
}
