//! A call in words, as somebody describes it who asks what would become of it.

use serde_json::{Map, Value};

use super::body::{self, Prompt};
use crate::attribution::{AttributionReader, AttributionRules, AttributionSource, Field};
use crate::keys::{ConfigError, Found, Keys, shown};
use crate::protocol::config::{GatewayConfig, TrustedValue};
use crate::provider::{Addressed, RequestLine};
use crate::request::Content;

/// A call as it would come to a gateway.
#[derive(Debug)]
pub struct Described {
    /// Headers, by their lower-case names.
    pub(super) headers: Vec<(String, String)>,
    /// Which headers mean what, and which sources the gateway trusts.
    pub(super) rules: AttributionRules,
    pub(super) trusted: Vec<TrustedValue>,
    /// What those sources say.
    pub(super) vouched: Vec<(Field, String)>,
    pub(super) key_id: Option<String>,
    provider: Option<String>,
    host: String,
    pub(super) path: String,
    pub(super) method: String,
    /// The body; none where nothing follows the head.
    pub(super) body: Option<Vec<u8>>,
    /// What was made up.
    pub(super) notes: Vec<String>,
}

impl Described {
    /// Reads a description; its keys stand in docs/governance.md.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(call: &Value) -> Result<Self, Vec<ConfigError>> {
        let mut found = Found::default();
        let Some(object) = call.as_object() else {
            let problem = format!("`{}` is not an object such as {EXAMPLE}", shown(call));
            return Err(vec![ConfigError { key: "the call".to_owned(), problem }]);
        };
        let described = Self::of(&mut Keys::new("", object, &mut found));
        if found.errors.is_empty() { Ok(described) } else { Err(found.errors) }
    }

    fn of(keys: &mut Keys<'_>) -> Self {
        let mut headers = headers(keys);
        for (field, name, header) in Field::ALL {
            let value = match field {
                Field::Tags => tags(keys),
                _ => keys.text(name),
            };
            headers.extend(value.map(|value| (header.to_owned(), value)));
        }
        let (rules, trusted) = gateway(keys);
        let (trusted, vouched) = sources(keys, trusted);
        let key_id = keys.text("key_id");
        if key_id
            .as_deref()
            .is_some_and(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            keys.wrong("key_id", "is not a key's hash, as `tollgate keys hash` prints it");
        }
        let (provider, host) = (keys.text("provider"), keys.text("host").unwrap_or_default());
        if provider.is_none() && host.is_empty() {
            keys.wrong("provider", "is missing; name the provider's id, such as `openai`, or its `host`");
        }
        let prompt = Prompt::read(keys);
        let mut described = Self {
            headers,
            rules,
            trusted,
            vouched,
            key_id,
            provider,
            host,
            path: String::new(),
            method: keys.text("method").unwrap_or_default().to_ascii_uppercase(),
            body: None,
            notes: Vec::new(),
        };
        described.path = keys.text("path").unwrap_or_else(|| {
            let provider = described.line(false).addressed().target.provider;
            body::usual_path(&provider, prompt.model())
        });
        if !described.path.starts_with('/') {
            keys.wrong("path", &format!("is `{}`, not a path such as `/v1/messages`", described.path));
        }
        if described.method.is_empty() {
            described.method = "POST".to_owned();
        }
        let target = described.line(false).addressed().target;
        match prompt.body(&target, keys) {
            Ok((body, note)) => {
                described.body = body;
                described.notes.extend(note);
            }
            Err((key, problem)) => keys.wrong(key, &problem),
        }
        keys.nothing_else();
        described
    }

    /// To what it goes.
    pub(super) fn addressed(&self) -> Addressed {
        self.line(self.body.is_none()).addressed()
    }

    fn line(&self, is_bare: bool) -> RequestLine<'_> {
        let header = |name: &str| self.headers.iter().rfind(|(known, _)| known == name);
        let model = header("ai-model-id").or_else(|| header("ai-language-model-id"));
        RequestLine {
            configured: self.provider.as_deref(),
            authority: &self.host,
            path: &self.path,
            method: self.method.as_bytes(),
            model: model.map_or("", |(_, value)| value),
            upgrades: header("upgrade").is_some_and(|(_, value)| !value.is_empty()),
            is_bare,
        }
    }

    /// What its headers say of who calls, and of its body.
    pub(super) fn read_headers(&self) -> (AttributionReader<'_>, Content) {
        let (mut reader, mut content) = (AttributionReader::new(&self.rules), Content::default());
        for (name, value) in &self.headers {
            match name.as_str() {
                "content-type" => content.of_type(value.as_bytes()),
                "content-encoding" => content.encoding(value.as_bytes()),
                _ => {}
            }
            reader.header(name, value.as_bytes());
        }
        (reader, content)
    }
}

/// Headers by name, each with a text, or a list of texts where it comes more than once.
fn headers(keys: &mut Keys<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    keys.object("headers", |keys| {
        for name in keys.all() {
            let lower = name.to_ascii_lowercase();
            if KEYS.contains(&lower.as_str()) {
                keys.wrong(
                    &name,
                    "holds a key, which does not belong here; give `key_id`, as `tollgate keys hash` prints it",
                );
                continue;
            }
            let Some(value) = keys.get(&name) else { continue };
            let one = || value.as_str().map(|text| vec![text.to_owned()]);
            let several = || {
                let items = value.as_array()?.iter();
                items.map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            };
            match one().or_else(several) {
                Some(values) => all.extend(values.into_iter().map(|value| (lower.clone(), value))),
                None => keys.wrong(&name, &format!("`{}` is neither a text nor a list of texts", shown(value))),
            }
        }
    });
    all
}

/// Tags as the header has them.
fn tags(keys: &mut Keys<'_>) -> Option<String> {
    let value = keys.get("tags")?;
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let pair = |(key, value): (&String, &Value)| Some(format!("{key}={}", value.as_str()?));
    let pairs: Option<Vec<String>> =
        value.as_object().and_then(|tags: &Map<String, Value>| tags.iter().map(pair).collect());
    if pairs.is_none() {
        keys.wrong("tags", &format!("`{}` is not an object such as {{\"tier\":\"gold\"}}", shown(value)));
    }
    pairs.map(|pairs| pairs.join(","))
}

/// What the plugin configuration of the gateway says of headers and trusted sources.
fn gateway(keys: &mut Keys<'_>) -> (AttributionRules, Vec<TrustedValue>) {
    let Some(value) = keys.get("gateway") else {
        return (AttributionRules { baggage: true, ..AttributionRules::default() }, Vec::new());
    };
    match GatewayConfig::parse(value.to_string().as_bytes()) {
        Ok(config) => (config.attribution, config.trusted),
        Err(errors) => {
            errors.iter().for_each(|error| keys.wrong(&format!("gateway.{}", error.key), &error.problem));
            Default::default()
        }
    }
}

/// The gateway's trusted sources, and what they say; without any, what is said is by a source of its own.
fn sources(keys: &mut Keys<'_>, mut trusted: Vec<TrustedValue>) -> (Vec<TrustedValue>, Vec<(Field, String)>) {
    let vouched = vouched(keys);
    let source = keys.choice("trusted_source", SOURCES).unwrap_or(AttributionSource::Verified);
    if trusted.is_empty() {
        let value =
            |(field, _): &(Field, String)| TrustedValue { field: *field, property: Vec::new(), source };
        trusted = vouched.iter().map(value).collect();
        return (trusted, vouched);
    }
    let lacks = |field: Field| !trusted.iter().any(|one| one.field == field);
    for (field, ..) in vouched.iter().filter(|(field, _)| lacks(*field)) {
        let name = Field::ALL.into_iter().find(|(known, ..)| known == field).map_or("", |(_, name, _)| name);
        keys.wrong("trusted", &format!("has `{name}`, for which `gateway` has no trusted source"));
    }
    (trusted, vouched)
}

/// What Envoy would vouch for.
fn vouched(keys: &mut Keys<'_>) -> Vec<(Field, String)> {
    let mut all = Vec::new();
    keys.object("trusted", |keys| {
        for (field, name, _) in Field::ALL {
            all.extend(keys.text(name).map(|value| (field, value)));
        }
        keys.nothing_else();
    });
    all
}

/// Words for sources that are trusted.
const SOURCES: &[(&str, AttributionSource)] = &[
    ("verified", AttributionSource::Verified),
    ("key", AttributionSource::Key),
    ("route", AttributionSource::Route),
];
/// Headers that hold keys of providers.
const KEYS: &[&str] =
    &["authorization", "proxy-authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"];
const EXAMPLE: &str = r#"{"agent":"triage","provider":"openai","model":"gpt-5-mini","prompt":"hello"}"#;
