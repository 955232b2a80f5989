//! One call of the sample data: what is said of it, what it used, and how it ended.

use std::collections::BTreeMap;

use tollgate_core::attribution::{AttributionSource, Field, TrustedFields};
use tollgate_core::price::CostStatus;
use tollgate_core::record::{Head, Note, Outcome, PromptShape, UsageRecord};
use tollgate_core::usage::{CacheTtl, Usage};

use super::Scene;
use super::random::print_of;

/// Who makes a call, and for what.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    pub(super) agent: &'static str,
    pub(super) team: &'static str,
    pub(super) feature: &'static str,
    pub(super) environment: &'static str,
    pub(super) is_verified: bool,
    pub(super) run: Option<String>,
    pub(super) parent_run: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// What is asked of which model.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) provider: &'static str,
    pub(super) model: &'static str,
    /// The name that the answer has, where it is another.
    pub(super) answers: Option<&'static str>,
    pub(super) tier: Option<&'static str>,
    /// Name of the system prompt, for its print.
    pub(super) system: &'static str,
    /// Tokens of the system prompt.
    pub(super) system_tokens: u64,
    /// Tokens of the definitions of tools.
    pub(super) tools_tokens: u64,
    /// Tokens of what was said before.
    pub(super) history_tokens: u64,
    /// Tokens of what is new.
    pub(super) user_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_tokens: u64,
    pub(super) web_searches: u64,
    /// How often what repeats is read from the provider's cache: parts in a thousand.
    pub(super) cached_per_mille: u64,
    pub(super) is_stream: bool,
}

impl Scene<'_> {
    /// Makes a call at this time, and again where the provider was overloaded.
    pub(super) fn call(&mut self, at_ms: u64, who: &Who, ask: &Ask) {
        let hash = self.hash();
        let mut at_ms = at_ms;
        for attempt in 0..ATTEMPTS_MAX {
            // A provider that was overloaded a moment ago often still is.
            let fails = self.random.chance(if attempt == 0 { FAILS } else { FAILS_AGAIN });
            let mut record = self.asked(at_ms, who, ask, &hash);
            if !fails {
                self.answered(&mut record, ask);
                return self.take(record);
            }
            record.outcome = Outcome::Error;
            record.status = Some(*self.one_of(&[429, 429, 500, 503, 529]).unwrap_or(&500));
            record.cost_status = CostStatus::Free;
            record.duration_ms = Some(self.random.around(400));
            record.response_bytes = Some(self.random.between(120, 400));
            self.take(record);
            at_ms = at_ms.saturating_add(self.random.between(900, 4_000));
        }
    }

    /// Makes a call that a budget refuses.
    pub(super) fn refused(&mut self, at_ms: u64, who: &Who, ask: &Ask) {
        let hash = self.hash();
        let mut record = self.asked(at_ms, who, ask, &hash);
        record.outcome = Outcome::Denied;
        record.status = Some(402);
        record.cost_status = CostStatus::Free;
        record.attempts = None;
        self.take(record);
    }

    fn hash(&mut self) -> String {
        print_of(&self.random.next().to_string())
    }

    /// A call of which nothing is known but what was asked.
    fn asked(&mut self, at_ms: u64, who: &Who, ask: &Ask, hash: &str) -> UsageRecord {
        let mut head = Head {
            id: self.ids.next(at_ms),
            time_ms: at_ms,
            gateway: self.one_of(&["edge-eu", "edge-eu", "edge-us"]).copied().unwrap_or_default().into(),
            attribution_source: match () {
                () if who.agent.is_empty() => AttributionSource::None,
                () if who.is_verified => AttributionSource::Verified,
                () => AttributionSource::SelfDeclared,
            },
            key_id: Some(print_of(&format!("{}-{}", who.team, ask.provider)).split_off(16)),
            provider: ask.provider.into(),
            operation: "chat".into(),
            request_model: Some(ask.model.into()),
            service_tier: ask.tier.map(Into::into),
            ..Head::default()
        };
        if !who.agent.is_empty() {
            let told = &mut head.attribution;
            (told.agent, told.team) = (who.agent.into(), who.team.into());
            (told.feature, told.environment) = (who.feature.into(), who.environment.into());
            (told.run, told.parent_run) = (who.run.clone(), who.parent_run.clone());
            told.tags.clone_from(&who.tags);
        }
        if who.is_verified {
            head.attribution.trusted = trusted();
        }
        UsageRecord {
            head,
            stream: ask.is_stream,
            attempts: Some(1),
            request_bytes: Some(bytes(ask.prompt_tokens()).saturating_add(180)),
            prompt: Some(shape(ask)),
            request_hash: Some(hash.to_owned()),
            ..UsageRecord::default()
        }
    }

    /// What came back.
    fn answered(&mut self, record: &mut UsageRecord, ask: &Ask) {
        record.head.response_model = Some(ask.answers.unwrap_or(ask.model).into());
        record.status = Some(200);
        record.usage = self.usage(ask);
        let first = self.random.around(if ask.reasoning_tokens > 0 { 2_400 } else { 520 });
        record.first_byte_ms = Some(first);
        record.duration_ms = Some(first.saturating_add(ask.output_tokens.saturating_mul(14)));
        record.response_bytes =
            Some(bytes(ask.output_tokens).saturating_mul(if ask.is_stream { 40 } else { 1 }));
        if ask.is_stream && self.random.chance(ABORTS) {
            // The caller hung up before the provider said what was used.
            record.outcome = Outcome::ClientAbort;
            record.usage_estimated = true;
            record.usage.output_tokens = record.usage.output_tokens.map(|tokens| tokens / 2);
            record.usage.reasoning_tokens = None;
            record.notes.push(Note::NoUsage);
        }
        self.price(record);
    }

    fn usage(&mut self, ask: &Ask) -> Usage {
        let repeats = ask.system_tokens.saturating_add(ask.tools_tokens).saturating_add(ask.history_tokens);
        let is_read = self.random.chance(ask.cached_per_mille);
        let mut usage = Usage {
            input_tokens: Some(ask.prompt_tokens()),
            output_tokens: Some(ask.output_tokens.saturating_add(ask.reasoning_tokens)),
            cache_read_tokens: Some(0),
            ..Usage::default()
        };
        if ask.reasoning_tokens > 0 {
            usage.reasoning_tokens = Some(ask.reasoning_tokens);
        }
        if ask.web_searches > 0 {
            usage.web_searches = Some(ask.web_searches);
        }
        let is_anthropic = ask.provider == "anthropic" && ask.cached_per_mille > 0;
        match is_read {
            // OpenAI counts cached tokens in steps of 128.
            true if ask.provider == "openai" => usage.cache_read_tokens = Some(repeats - repeats % 128),
            true => usage.cache_read_tokens = Some(repeats),
            false if is_anthropic => {
                usage.cache_write_tokens = Some(repeats);
                usage.cache_write_by_ttl = [(CacheTtl::FiveMinutes, repeats)].into();
            }
            false => {}
        }
        if is_read && is_anthropic {
            usage.cache_write_tokens = Some(0);
        }
        usage
    }

    /// Prices it as a collector does that gets it without a price.
    fn price(&self, record: &mut UsageRecord) {
        record.cost_status = CostStatus::Unpriced;
        if let Some((priced, status)) = self.book.price_again(record) {
            priced.owed(None, status == CostStatus::Measured).put(record);
            record.charges = priced.charges;
            record.price_basis = priced.basis;
            record.price_version = Some(self.book.version().to_owned());
        }
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        all.get(usize::try_from(self.random.below(count)).unwrap_or(0))
    }
}

impl Ask {
    /// Tokens of the whole prompt.
    pub(super) const fn prompt_tokens(&self) -> u64 {
        self.system_tokens
            .saturating_add(self.tools_tokens)
            .saturating_add(self.history_tokens)
            .saturating_add(self.user_tokens)
    }
}

/// The shape of its prompt.
fn shape(ask: &Ask) -> PromptShape {
    let told = |tokens: u64| (tokens > 0).then(|| bytes(tokens));
    let roles = [("system", ask.system_tokens), ("user", ask.user_tokens), ("assistant", ask.history_tokens)];
    let roles = roles.into_iter().filter_map(|(role, tokens)| Some((role.to_owned(), told(tokens)?)));
    PromptShape {
        system_hash: told(ask.system_tokens).map(|_| print_of(ask.system)),
        system_bytes: told(ask.system_tokens),
        tools_hash: told(ask.tools_tokens).map(|_| print_of(&format!("tools of {}", ask.system))),
        tools_bytes: told(ask.tools_tokens),
        bytes_by_role: roles.collect(),
    }
}

/// What a verified identity vouches for.
fn trusted() -> TrustedFields {
    let mut fields = TrustedFields::default();
    [Field::Agent, Field::Team, Field::Environment].into_iter().for_each(|field| fields.insert(field));
    fields
}

/// About the bytes of so many tokens of English.
const fn bytes(tokens: u64) -> u64 {
    tokens.saturating_mul(21) / 5
}

/// Most times that a caller tries.
const ATTEMPTS_MAX: u64 = 3;
/// Calls of a thousand that the provider answers with an error.
const FAILS: u64 = 12;
/// Repeated calls of a thousand that it does.
const FAILS_AGAIN: u64 = 300;
/// Streams of a thousand whose caller hangs up.
const ABORTS: u64 = 14;
