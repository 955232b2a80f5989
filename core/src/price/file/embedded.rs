//! The files of `core/prices`, one line each.

use super::PriceFile;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(PriceFile { name: $name, text: include_str!(concat!("../../../prices/", $name)) }),*]
    };
}

/// Every file, by name.
pub(super) const FILES: &[PriceFile<'static>] = files![
    "ai21.toml",
    "alibaba.toml",
    "anthropic.toml",
    "azure.toml",
    "bedrock.toml",
    "cerebras.toml",
    "cloudflare.toml",
    "cohere.toml",
    "crusoe.toml",
    "databricks.toml",
    "deepinfra.toml",
    "deepseek.toml",
    "fireworks.toml",
    "gemini.toml",
    "groq.toml",
    "huggingface.toml",
    "meta.toml",
    "minimax.toml",
    "mistral.toml",
    "moonshot.toml",
    "nebius.toml",
    "novita.toml",
    "openai.toml",
    "openrouter.toml",
    "perplexity.toml",
    "sambanova.toml",
    "snowflake.toml",
    "together.toml",
    "vercel-gateway.toml",
    "vertex.toml",
    "voyage.toml",
    "xai.toml",
    "zai.toml",
];
