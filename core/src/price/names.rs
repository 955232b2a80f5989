//! Model names: how a provider's word becomes the name of a row, in eight steps.
//!
//! 1. [`bare`]: lower case; without `models/`, `publishers/*/models/` and ARNs; `%3A` decoded.
//! 2. The operator's map: `[[prices.model]]` puts its names on the rows as aliases when the book is loaded.
//! 3. The exact id or alias of that provider; names that move from model to model mean what they meant then.
//! 4. [`bedrock`]: without the region prefix, which is kept as a fact, and without `-v1`, `:0` and `:200k`.
//! 5. [`family`]: a snapshot (`-2025-08-07`, `@20250219`, `-0613`, `-001`, `@default`) without a row of its
//!    own means its family, where the row says so; [`reordered`] for routers that swap a name's parts.
//! 6. [`fine_tune`]: a fine-tuned model has the fine-tune row of its base or none, never the base row;
//!    [`respelled`] for Azure's `gpt-35` and OpenAI's internal forms.
//! 7. [`router`]: a router's own row, without `:nitro` and the like; then the vendor's row ([`vendor`]),
//!    which is an estimate.
//! 8. Nothing else: no name matches by its beginning, so `gpt-5` is never `gpt-5-mini`.

use std::borrow::Cow;

/// Step 1: lower case, without paths and ARNs, `%3a` decoded.
///
/// An application inference profile has no model in its ARN; what is left of it then is the profile's id,
/// which only the operator's map can know.
pub fn bare(name: &str) -> Cow<'_, str> {
    let mut name = Cow::Borrowed(name.trim());
    if name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b'@')) {
        // As most are; an ARN without a slash stays as it is too.
        return name;
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name = Cow::Owned(name.to_ascii_lowercase());
    }
    if name.contains("%3a") {
        name = Cow::Owned(name.replace("%3a", ":"));
    }
    if name.contains("%2f") {
        name = Cow::Owned(name.replace("%2f", "/"));
    }
    let is_arn = name.starts_with("arn:");
    let at = match name.rsplit_once("models/") {
        Some((path, _)) if path.is_empty() || path.ends_with('/') => path.len() + "models/".len(),
        // A prompt router's name is no model's.
        _ if is_arn => match name.rsplit_once('/') {
            Some((kind, _)) if kind.ends_with("prompt-router") => 0,
            Some((kind, _)) => kind.len() + 1,
            None => 0,
        },
        _ => 0,
    };
    if at == 0 {
        return name;
    }
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(at..).unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.get(at..).unwrap_or(&name).to_owned()),
    }
}

/// Step 4: a Bedrock name without region, revision and context suffix.
///
/// `us.anthropic.claude-sonnet-4-5-20250929-v1:0` is `anthropic.claude-sonnet-4-5-20250929`. A second
/// revision of a model (`-v2:0`) is another model, so only `-v1` is left out. A body that names the vendor's
/// own id (`claude-sonnet-4-5-20250929`) is the vendor's row.
pub fn bedrock(name: &str) -> String {
    let name = name.split_once('.').filter(|(geo, _)| GEOS.contains(geo)).map_or(name, |(_, rest)| rest);
    let mut name = name;
    while let Some((rest, suffix)) = name.rsplit_once(':') {
        let is_context = suffix.strip_suffix('k').is_some_and(is_digits) || suffix == "mm";
        if !(is_context || is_digits(suffix)) {
            break;
        }
        name = rest;
    }
    let name = name.strip_suffix("-v1").unwrap_or(name);
    if name.starts_with("claude") { format!("anthropic.{name}") } else { name.to_owned() }
}

/// The region in a Bedrock name, in bare form or not: `eu` of `eu.anthropic.claude-…`.
pub fn geo_of(name: &str) -> Option<&str> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let (geo, _) = name.split_once('.')?;
    GEOS.contains(&geo).then_some(geo)
}

/// Step 5: `gpt-5` of `gpt-5-2025-08-07`, and so on for `-20250929`, `@20250929`, `@default`, `-0613`, `-001`
/// and `-09-2025`.
pub fn family(name: &str) -> Option<&str> {
    let is = |text: &str, count: usize| text.len() == count && is_digits(text);
    if let Some(family) = name.strip_suffix("@default") {
        return Some(family);
    }
    let (rest, last) = name.rsplit_once(['-', '@'])?;
    if is(last, 8) || is(last, 3) {
        return Some(rest);
    }
    if is(last, 4) {
        let month = rest.rsplit_once('-').filter(|(_, month)| is(month, 2) && last.starts_with("20"));
        return Some(month.map_or(rest, |(family, _)| family));
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (family, year) = rest.rsplit_once('-')?;
    (is(last, 2) && is(month, 2) && is(year, 4)).then_some(family)
}

/// Step 5, routers: `anthropic/claude-haiku-4.5` of `anthropic/claude-4.5-haiku`, which is how `OpenRouter`
/// answers.
pub fn reordered(name: &str) -> Option<String> {
    let (vendor, model) = name.split_once('/').map_or(("", name), |(vendor, model)| (vendor, model));
    let rest = model.strip_prefix("claude-")?;
    let (version, rest) = rest.split_once('-')?;
    let (size, rest) = rest.split_once('-').map_or((rest, None), |(size, rest)| (size, Some(rest)));
    let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !version.is_empty();
    if !is_version || !CLAUDE_SIZES.contains(&size) {
        return None;
    }
    let mut name = if vendor.is_empty() { String::new() } else { format!("{vendor}/") };
    name.push_str("claude-");
    name.push_str(size);
    name.push('-');
    name.push_str(version);
    if let Some(rest) = rest {
        name.push('-');
        name.push_str(rest);
    }
    Some(name)
}

/// Step 6: the row of a fine-tuned model, or `None` for a name that is not one.
///
/// `ft:gpt-4o-mini-2024-07-18:org::id` and Azure's `gpt-4o-mini-2024-07-18.ft-id` are rows called
/// `ft:gpt-4o-mini-2024-07-18`.
pub fn fine_tune(name: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = name.strip_prefix("ft:") {
        let base = rest.split(':').next().unwrap_or(rest);
        return Some(Cow::Borrowed(name.get(..base.len() + "ft:".len()).unwrap_or(name)));
    }
    if let Some((base, _)) = name.split_once(".ft-") {
        return Some(Cow::Owned(format!("ft:{base}")));
    }
    let (base, _) = name.split_once(":ft-")?;
    Some(Cow::Owned(format!("ft:{base}")))
}

/// Step 6: other spellings of a provider's own names.
///
/// Azure's `gpt-35-turbo` is `gpt-3.5-turbo`; OpenAI's answers name `davinci:2023-07-21-v2` for
/// `davinci-002`, `gpt-3.5-turbo-instruct:20230824-v2` and `text-embedding-ada-002-v2`.
pub fn respelled(provider: &str, name: &str) -> Option<String> {
    match provider {
        "azure" if name.starts_with("gpt-35") => Some(name.replacen("gpt-35", "gpt-3.5", 1)),
        "azure" if name.ends_with("-global-standard") => {
            name.strip_suffix("-global-standard").map(str::to_owned)
        }
        "openai" | "azure" => {
            if let Some((base, _)) = name.split_once(':') {
                let base = if matches!(base, "davinci" | "babbage") {
                    format!("{base}-002")
                } else {
                    base.to_owned()
                };
                return Some(base);
            }
            let base = name.strip_suffix("-v2").filter(|base| base.starts_with("text-embedding-"))?;
            Some(base.to_owned())
        }
        _ => None,
    }
}

/// Step 7: a router's name without what chooses a route, not a model: `:nitro`, `:floor`, `:online`,
/// `:exacto`.
///
/// `:free` and other suffixes that name a row of their own stay: without that row there is no price.
pub fn router(name: &str) -> Option<&str> {
    let (base, suffix) = name.rsplit_once(':')?;
    ROUTES.contains(&suffix).then_some(base)
}

/// Step 7: the host behind a name that was asked for at Hugging Face (`:groq`), where the answer names the
/// same model without it. Source: Hugging Face, Inference Providers, provider selection, read 2026-11-29.
#[must_use]
pub fn host_asked<'a>(provider: &str, asked: &'a str, answered: &str) -> Option<&'a str> {
    let (model, host) = asked.rsplit_once(':').filter(|_| provider == "huggingface")?;
    (!ROUTES.contains(&host) && model.eq_ignore_ascii_case(answered)).then_some(host)
}

/// Step 7: provider and model in a name with a vendor before it, such as `anthropic/claude-haiku-4.5`.
pub fn vendor(name: &str) -> Option<(&'static str, String)> {
    let (vendor, model) = name.split_once('/')?;
    let (_, provider) = VENDORS.iter().find(|(prefix, _)| *prefix == vendor)?;
    let model = model.rsplit_once(':').map_or(model, |(model, _)| model);
    let model = if *provider == "anthropic" { model.replace('.', "-") } else { model.to_owned() };
    Some((provider, model))
}

/// Step 7: clouds that sell another provider's models at about its prices, where they have no row of their
/// own.
pub fn relatives(provider: &str) -> &'static [&'static str] {
    match provider {
        "azure" => &["openai", "anthropic", "xai", "deepseek", "mistral", "cohere"],
        "vertex" => &["gemini", "anthropic", "mistral"],
        "gemini" => &["vertex"],
        _ => &[],
    }
}

/// Other names that a provider's word means, by the steps that need no price book: without case and paths,
/// regions, revisions, routes and vendors. The names of its family, without a date, are not among them.
pub fn spellings(provider: &str, name: &str) -> Vec<String> {
    let bare = bare(name).into_owned();
    let plain = router(&bare).unwrap_or(&bare);
    let mut names = vec![bare.clone()];
    let mut also = |name: Option<String>| {
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    };
    if provider == "bedrock" {
        let model = bedrock(&bare);
        also(geo_of(&bare).map(|geo| format!("{geo}.{model}")));
        also(model.split_once('.').map(|(_, model)| model.to_owned()));
        also(Some(model));
    }
    also(respelled(provider, &bare));
    also(Some(plain.to_owned()));
    for name in [Some(plain.to_owned()), reordered(plain)].into_iter().flatten() {
        also(vendor(&name).map(|(_, model)| model));
        also(Some(name));
    }
    names
}

/// The names of a scope's model: as [`spellings`], but those that say less than it does. One with a region,
/// a route or a vendor is for that one alone.
pub fn scoped(provider: &str, name: &str) -> String {
    let bare = bare(name);
    match provider {
        "bedrock" => match geo_of(&bare) {
            Some(geo) => format!("{geo}.{}", bedrock(&bare)),
            None if bare.contains('.') || bare.starts_with("claude") => bedrock(&bare),
            None => bare.into_owned(),
        },
        _ => bare.into_owned(),
    }
}

/// Whether a call to `provider` may be charged at a row of `seller`: its own, or one whose models it sells.
pub fn may_sell(provider: &str, seller: &str) -> bool {
    let is_vendor = || VENDORS.iter().any(|(_, vendor)| *vendor == seller);
    provider == seller || relatives(provider).contains(&seller) || ROUTERS.contains(&provider) && is_vendor()
}

/// Whether a name asks the provider to choose the model: OpenRouter's own names and presets, Azure's
/// `model-router`. Known from the price book's rows and from requests, 2026-11-28; not read in the routers'
/// documentation.
pub fn is_choice(provider: &str, model: &str) -> bool {
    let starts: &[&str] = match provider {
        "openrouter" => &["openrouter/"],
        "azure" => &["model-router", "model_router"],
        _ => return false,
    };
    let model = bare(model);
    starts.iter().any(|start| model.starts_with(start))
        || provider == "openrouter" && model.contains("@preset/")
}

/// Whether a name is the customer's own and says nothing of the model that answers: Azure's deployments,
/// what an account of Bedrock has of its own (application inference profiles, prompts, routers, provisioned
/// and imported models), endpoints of Vertex AI, which have numbers, and of Databricks, whose own begin with
/// its name.
///
/// Sources: Azure `OpenAI`, Reference (`deployment-id`); Amazon Bedrock, `Converse` (`modelId`); Vertex AI,
/// `projects.locations.endpoints`; Databricks, Query foundation models. Known from client libraries,
/// 2026-11-29; not read in the references anew.
pub fn is_customers_own(provider: &str, name: &str) -> bool {
    match provider {
        "azure" => true,
        "bedrock" => {
            let is_arn = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:"));
            let kind = || name.to_ascii_lowercase().replace("%2f", "/");
            is_arn && !SHARED_ARNS.iter().any(|shared| kind().contains(shared))
        }
        "vertex" => is_digits(name.rsplit('/').next().unwrap_or(name)),
        "databricks" => !name.starts_with("databricks-"),
        _ => false,
    }
}

/// In ARNs: what is behind it is a model's name, the same in every account.
const SHARED_ARNS: &[&str] = &[":foundation-model/", ":inference-profile/"];

/// Whether a model searches, reads or thinks by itself, whatever output the request allows: deep research,
/// search models, Groq's compound systems, and what OpenRouter puts before a model. Known from the price
/// book's rows and the providers' model pages, 2026-11-29; not read anew.
pub fn works_alone(model: &str) -> bool {
    let model = bare(model);
    ALONE.iter().any(|part| model.contains(part)) || model.ends_with("online")
}

/// Whether nothing is written to a cache, at a price of its own, unless the request asks for it; told by
/// the name of a model or of a provider that has no others. Every other row that has such a price charges it
/// unasked: OpenAI's from GPT-5.6 on, whoever sells them.
///
/// Sources: OpenAI, Prompt caching ("enabled automatically", "cache writes cost 1.25×"); Azure `OpenAI`,
/// Prompt caching; Anthropic, Prompt caching (`cache_control`); `MiniMax`, Prompt caching (nothing extra is
/// charged for what its passive cache keeps). Read 2026-11-29. Alibaba's is not here: a header asks for it.
pub(super) fn writes_caches_when_asked(name: &str) -> bool {
    ASKED_CACHES.iter().any(|part| name.contains(part))
}

/// Parts of the names of such models and providers.
const ASKED_CACHES: &[&str] = &["claude", "anthropic", "minimax"];
/// Parts of the names of such models.
const ALONE: &[&str] = &[
    "deep-research",
    "search-preview",
    "search-api",
    "pro-search",
    "compound",
    "multi-agent",
    "openrouter/fusion",
    ":online",
];

/// Providers that send a call on to others and charge by the vendor's list.
pub(super) const ROUTERS: &[&str] = &["openrouter", "vercel-gateway", "huggingface"];

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Regions that Bedrock puts before a name.
const GEOS: &[&str] = &["us", "eu", "apac", "au", "jp", "ca", "us-gov", "global"];
const CLAUDE_SIZES: &[&str] = &["haiku", "sonnet", "opus", "instant", "fable", "mythos"];
/// Suffixes that choose how a router routes.
const ROUTES: &[&str] = &["nitro", "floor", "online", "exacto", "beta", "fastest", "cheapest", "preferred"];
/// What routers put before a model, and whose price list that is.
const VENDORS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("google", "gemini"),
    ("mistralai", "mistral"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("deepseek-ai", "deepseek"),
    ("x-ai", "xai"),
    ("xai", "xai"),
    ("cohere", "cohere"),
    ("moonshotai", "moonshot"),
    ("z-ai", "zai"),
    ("zai", "zai"),
    ("perplexity", "perplexity"),
    ("qwen", "alibaba"),
    ("alibaba", "alibaba"),
    ("amazon", "bedrock"),
    ("voyage", "voyage"),
    ("minimax", "minimax"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_work_by_themselves_are_known() {
        for (model, expected) in [
            ("sonar-deep-research", true),
            ("perplexity/sonar-deep-research", true),
            ("o4-mini-deep-research-2025-06-26", true),
            ("deep-research-pro-preview-12-2025", true),
            ("gpt-4o-mini-search-preview", true),
            ("gpt-5-search-api", true),
            ("groq/compound", true),
            ("groq/compound-mini", true),
            ("openai/gpt-4o:online", true),
            ("OpenAI/GPT-4o:ONLINE", true),
            ("openai/gpt-4o:online:nitro", true),
            ("llama-3.1-sonar-large-128k-online", true),
            ("sonar", false),
            ("openai/gpt-4o", false),
            ("gpt-5-nano", false),
        ] {
            assert_eq!(works_alone(model), expected, "{model}");
        }
    }

    #[test]
    fn names_that_customers_give_say_nothing_of_the_model() {
        for (provider, name, expected) in [
            ("azure", "prod", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", true),
            ("bedrock", "ARN:aws:bedrock:us-east-1:1:prompt%2FPROMPT1:2", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:prompt/P", true),
            ("bedrock", "arn:aws-us-gov:bedrock:us-gov-west-1:1:provisioned-model/x", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:imported-model/x", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:custom-model-deployment/x", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1", true),
            ("bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0", false),
            ("bedrock", "arn:aws:bedrock:us-east-1::foundation-model%2famazon.nova-pro-v1:0", false),
            ("bedrock", "us.amazon.nova-pro-v1:0", false),
            ("vertex", "1234567890", true),
            ("vertex", "gemini-2.5-flash", false),
            ("databricks", "my-endpoint", true),
            ("databricks", "databricks-claude-sonnet-4-5", false),
            ("openai", "new-model", false),
            ("ollama", "my-own", false),
        ] {
            assert_eq!(is_customers_own(provider, name), expected, "{provider} {name}");
        }
    }

    #[test]
    fn a_prompt_router_is_no_model() {
        for (arn, expected) in [
            ("arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1", None),
            ("arn:aws:bedrock:us-east-1:1:prompt-router/abc", None),
            ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", Some("anthropic.claude-v2")),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0",
                Some("us.amazon.nova-pro-v1:0"),
            ),
        ] {
            assert_eq!(bare(arn), expected.unwrap_or(arn), "{arn}");
        }
    }

    #[test]
    fn a_host_is_asked_for_behind_the_name_of_the_model_that_answers() {
        let asked =
            |asked: &str, answered: &str| host_asked("huggingface", asked, answered).map(str::to_owned);
        assert_eq!(asked("openai/gpt-oss-120b:groq", "openai/gpt-oss-120b").as_deref(), Some("groq"));
        assert_eq!(asked("Qwen/Qwen3-32B:nebius", "qwen/qwen3-32b").as_deref(), Some("nebius"));
        for (name, answered) in [("m:fastest", "m"), ("m:groq", "n"), ("m", "m"), ("m:groq", "m:groq")] {
            assert_eq!(asked(name, answered), None, "{name} {answered}");
        }
        assert_eq!(host_asked("openrouter", "m:groq", "m"), None);
    }

    #[test]
    fn names_that_leave_the_choice_of_a_model_to_the_provider_are_known() {
        for (provider, model, expected) in [
            ("openrouter", "openrouter/auto", true),
            ("openrouter", "OpenRouter/Auto", true),
            ("openrouter", "@preset/mine", true),
            ("openrouter", "openai/gpt-5-nano@preset/mine", true),
            ("openrouter", "openai/gpt-5-nano", false),
            ("azure", "model-router", true),
            ("azure", "model_router", true),
            ("azure", "gpt-5.1", false),
            ("openai", "openrouter/auto", false),
        ] {
            assert_eq!(is_choice(provider, model), expected, "{provider} {model}");
        }
    }
}
