//! What calls and agents will cost, counted with `tiktoken-rs`: the arithmetic is the core's.

use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
pub use tollgate_core::plan::Question;
use tollgate_core::plan::{self, Encoding, Encodings};
use tollgate_core::price::PriceBook;

use crate::model::answers::estimate::Estimate;
use crate::model::answers::plan::{Plan, Planned};

/// Works out what a call would cost. `now_ms` chooses the price.
///
/// # Errors
/// A sentence that names what is missing or wrong.
pub fn estimate(book: &PriceBook, question: &Question, now_ms: u64) -> Result<Estimate, String> {
    plan::estimate(book, &Tiktoken, question, now_ms)
}

/// Prices a plan. `now_ms` chooses the prices.
///
/// # Errors
/// A sentence that names the key, its value and what would be right.
pub fn plan(book: &PriceBook, asked: &Plan, now_ms: u64) -> Result<Planned, String> {
    plan::plan(book, &Tiktoken, asked, now_ms)
}

/// All public encodings, each loaded when it is first needed.
struct Tiktoken;

impl Encodings for Tiktoken {
    fn of(&self, model: &str) -> Encoding<'_> {
        let bare = model.rsplit('/').next().unwrap_or(model);
        let found = get_tokenizer(bare)
            .and_then(|tokenizer| Some((tokenizer, tiktoken_rs::bpe_for_tokenizer(tokenizer).ok()?)));
        let Some((tokenizer, encoding)) = found else { return Encoding::Unknown };
        Encoding::Counts(name(tokenizer), Box::new(move |text| encoding.count_ordinary(text) as u64))
    }
}

const fn name(tokenizer: Tokenizer) -> &'static str {
    match tokenizer {
        Tokenizer::O200kHarmony => "o200k_harmony",
        Tokenizer::O200kBase => "o200k_base",
        Tokenizer::Cl100kBase => "cl100k_base",
        Tokenizer::P50kBase => "p50k_base",
        Tokenizer::R50kBase => "r50k_base",
        Tokenizer::P50kEdit => "p50k_edit",
        Tokenizer::Gpt2 => "gpt2",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_core::money::Picodollars;
    use tollgate_core::price::EMBEDDED;

    use super::*;

    const NOW_MS: u64 = 1_795_000_000_000;

    fn asked(question: Value) -> Result<Estimate, String> {
        let question: Question = serde_json::from_value(question).unwrap();
        estimate(&PriceBook::from_files(EMBEDDED).unwrap(), &question, NOW_MS)
    }

    /// The cookbook's example, remembered with its counts: 129 tokens of gpt-3.5-turbo and 124 of gpt-4o.
    #[test]
    fn a_chat_is_counted_as_the_provider_counts_it() {
        let system = |name: Option<&str>, content: &str| match name {
            Some(name) => json!({"role": "system", "name": name, "content": content}),
            None => json!({"role": "system", "content": content}),
        };
        let messages = json!([
            system(None, "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
            system(Some("example_user"), "New synergies will help drive top-line growth."),
            system(Some("example_assistant"), "Things working well together will increase revenue."),
            system(Some("example_user"), "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
            system(Some("example_assistant"), "Let's talk later when we're less busy about how to do better."),
            {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
        ]);
        for (model, tokens, by) in [("gpt-3.5-turbo", 129, "cl100k_base"), ("gpt-4o", 124, "o200k_base")] {
            let estimate =
                asked(json!({"provider": "openai", "body": {"model": model, "messages": messages}})).unwrap();
            assert_eq!(
                (estimate.input_tokens, estimate.counted_by.as_str(), estimate.exact),
                (tokens, by, true),
                "{model}"
            );
        }
    }

    #[test]
    fn a_price_follows_the_book_and_the_worst_case_its_limit() {
        let body = json!({"model": "gpt-4.1", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]});
        let bytes = body.to_string().len() as u64;
        let estimate = asked(json!({"provider": "openai", "body": body, "output_tokens": 10})).unwrap();
        assert_eq!((estimate.row.as_deref(), estimate.input_tokens), (Some("gpt-4.1"), 8));
        // 2 and 8 dollars a million.
        assert_eq!(estimate.cost_usd, Some(Picodollars::from_pico(8 * 2_000_000 + 10 * 8_000_000)));
        assert_eq!((estimate.worst.output_tokens, estimate.worst.unbounded.len()), (100, 0));
        assert!(estimate.worst.input_tokens >= bytes);
        assert!(estimate.worst.cost_usd > estimate.cost_usd);
    }

    #[test]
    fn a_model_without_a_public_encoding_is_estimated_and_said() {
        let body = json!({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "one two three four"}]});
        let estimate = asked(json!({"provider": "anthropic", "body": body})).unwrap();
        assert_eq!((estimate.counted_by.as_str(), estimate.exact), ("estimated", false));
        assert!((3..=6).contains(&estimate.input_tokens), "{}", estimate.input_tokens);
        assert_eq!(estimate.worst.unbounded, Vec::<&str>::new(), "the book knows its longest answer");
        assert_eq!(estimate.worst.output_tokens, 64_000);
    }

    #[test]
    fn parts_tools_and_images_are_found_and_said() {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "data:"}}]}],
            "tools": [{"type": "function", "function": {"name": "look"}}]});
        let estimate = asked(json!({"provider": "openai", "body": body})).unwrap();
        assert!(!estimate.exact && estimate.input_tokens > 8, "{estimate:?}");
        assert!(estimate.notes.iter().any(|note| note.contains("`tools`")), "{estimate:?}");
        assert!(estimate.notes.iter().any(|note| note.contains("images")), "{estimate:?}");
    }

    #[test]
    fn what_has_no_price_says_so() {
        let estimate = asked(json!({"provider": "openai", "model": "no-such-model", "text": "hi"})).unwrap();
        assert_eq!((estimate.cost_usd, estimate.worst.cost_usd, estimate.row), (None, None, None));
        assert!(estimate.notes.iter().any(|note| note.contains("no row for `no-such-model`")));
    }

    #[test]
    fn a_question_that_lacks_something_is_told_what() {
        for (question, expected) in [
            (json!({}), "`provider` is missing"),
            (json!({"provider": "openai"}), "`body` is missing"),
            (json!({"provider": "openai", "text": "x"}), "`model` is missing"),
            (json!({"provider": "openai", "text": "x", "body": {}}), "both `body` and `text`"),
            (json!({"provider": "openai", "body": []}), "not a JSON object"),
            (json!({"provider": "openai", "body": {}}), "`path` is missing"),
            (json!({"provider": "openai", "body": {"messages": []}}), "`model` is missing"),
        ] {
            let error = asked(question.clone()).unwrap_err();
            assert!(error.contains(expected), "{question}: {error}");
        }
    }

    fn planned(change: impl FnOnce(&mut Plan)) -> Result<Planned, String> {
        let mut asked = Plan {
            models: vec!["gpt-4o".into(), "gpt-4o-mini".into()],
            prompt_tokens: Some(1_000),
            output_tokens: 300,
            calls: "100000/month".into(),
            ..Plan::default()
        };
        change(&mut asked);
        let book = PriceBook::from_files(EMBEDDED).map_err(|_| "prices")?;
        plan(&book, &asked, tollgate_core::price::day_ms("2026-11-20").unwrap())
    }

    fn usd(text: &str) -> Option<Picodollars> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn models_stand_side_by_side_the_cheapest_first() {
        let found = planned(|_| {}).unwrap();
        let [mini, large] = &found.rows[..] else { panic!("{found:?}") };
        assert_eq!(mini.model, "gpt-4o-mini");
        // 1,000 at $2.50 and 300 at $10 a million.
        assert_eq!(large.cost_per_call_usd, usd("0.0055"));
        assert_eq!((large.cost_per_month_usd, large.cost_per_day_usd), (usd("550"), usd("18.333333333333")));
        let cached = planned(|plan| plan.cache_share = Some("0.8".parse().unwrap())).unwrap();
        // 800 of the 1,000 at half.
        assert_eq!(cached.rows[1].cost_per_call_usd, usd("0.0045"));
    }

    #[test]
    fn history_grows_with_each_call_of_a_conversation() {
        let found = planned(|plan| {
            plan.history_turns = Some(20);
            plan.question_tokens = Some(100);
        })
        .unwrap();
        // 1,000 and 400 more with each call: 4,800 on average.
        assert_eq!(found.rows[1].input_tokens_per_call.to_string(), "4800.0");
        assert_eq!(found.rows[1].cost_per_call_usd, usd("0.015"));
        // Long conversations are priced where they are long.
        let long = planned(|plan| {
            plan.models = vec!["gemini/gemini-2.5-pro".into()];
            plan.prompt_tokens = Some(200_000);
            plan.output_tokens = 0;
            plan.history_turns = Some(2);
            plan.question_tokens = Some(1);
        })
        .unwrap();
        // 200,000 at $1.25 and 200,001 at $2.50 a million.
        assert_eq!(long.rows[0].cost_per_call_usd, usd("0.37500125"));
    }

    #[test]
    fn the_most_of_a_call_is_its_longest_prompt_with_the_longest_answer() {
        let most = |change: fn(&mut Plan)| {
            let found = planned(|plan| {
                plan.models = vec!["gpt-4o".into()];
                change(plan);
            });
            found.unwrap().rows[0].at_most_per_call_usd
        };
        // 1,000 at $2.50 and the longest answer, 16,384, at $10 a million.
        assert_eq!(most(|_| {}), usd("0.16634"));
        // The tenth call sends nine questions of 50 and answers of 300 more.
        assert_eq!(most(|plan| plan.history_turns = Some(10)), usd("0.174215"));
        // No prompt is longer than the context of 128,000.
        assert_eq!(most(|plan| plan.prompt_tokens = Some(10_000_000)), usd("0.48384"));
        let text = most(|plan| {
            plan.prompt_tokens = None;
            plan.prompt = Some("hello".into());
        });
        // A text is held by its bytes, with what stands around it.
        assert!(text > usd("0.16384") && text < usd("0.17"), "{text:?}");
    }

    #[test]
    fn a_text_is_counted_for_each_model() {
        let found = planned(|plan| {
            plan.models = vec!["gpt-4o".into(), "claude-sonnet-4-5".into()];
            plan.prompt_tokens = None;
            plan.prompt = Some("You are a helpful assistant. ".repeat(10));
        })
        .unwrap();
        let by = |model: &str| found.rows.iter().find(|row| row.model == model).unwrap();
        assert_eq!(by("gpt-4o").counted_by, "o200k_base");
        assert_eq!(by("claude-sonnet-4-5").counted_by, "estimated");
        assert!(!by("claude-sonnet-4-5").notes.is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut Plan);
        let cases: [(Change, &str); 7] = [
            (|plan| plan.models.clear(), "`models`"),
            (|plan| plan.models = vec!["gpt-4o-minni".into()], "did you mean `gpt-4o-mini`?"),
            (|plan| plan.calls = "many".into(), "`100000/month`"),
            (|plan| plan.calls = "5/year".into(), "`calls` is `5/year`"),
            (|plan| plan.cache_share = Some("80".parse().unwrap()), "`cache_share` is 80"),
            (|plan| plan.history_turns = Some(0), "`history_turns` is 0"),
            (|plan| plan.prompt = Some("x".into()), "one of them"),
        ];
        for (change, named) in cases {
            let error = planned(change).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
        assert_eq!(plan::calls_a_month("7/week"), Ok(30));
        assert_eq!(plan::calls_a_month("2/hour"), Ok(1_440));
    }
}
