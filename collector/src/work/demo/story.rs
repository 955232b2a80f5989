//! What the agents of the sample data do: each function makes the calls of one action of a user.

use std::collections::BTreeMap;

use super::Scene;
use super::call::{Ask, Who};
use super::company::{Agent, CUSTOMERS, ENVIRONMENTS, Role};

impl Scene<'_> {
    /// The calls of one action that begins now.
    pub(super) fn act(&mut self, agent: &Agent, at_ms: u64) {
        let who = self.who(agent);
        match agent.role {
            Role::Support => self.support(at_ms, who),
            Role::Research => self.research(at_ms, who),
            Role::Review => self.review(at_ms, who),
            Role::Classification => self.classify(at_ms, who),
            Role::Summary => self.summarise(at_ms, who),
            Role::Unknown => self.unknown(at_ms),
        }
    }

    fn who(&mut self, agent: &Agent) -> Who {
        let environment = ENVIRONMENTS.get(self.random.weighed(&agent.environments)).copied();
        Who {
            agent: agent.name,
            team: agent.team,
            environment: environment.unwrap_or_default(),
            is_verified: agent.is_verified,
            ..Who::default()
        }
    }

    fn name(&mut self, of: &str) -> String {
        format!("{of}-{:010x}", self.random.next() >> 24)
    }

    fn customer(&mut self) -> BTreeMap<String, String> {
        let place = self.random.early(CUSTOMERS.len());
        let plan = if place < 6 { "enterprise" } else { "business" };
        let name = CUSTOMERS.get(place).copied().unwrap_or_default();
        [("customer".to_owned(), name.to_owned()), ("plan".to_owned(), plan.to_owned())].into()
    }

    /// A conversation with a customer, or a look at a ticket. From one day on the prompt of the conversations
    /// is longer: somebody put the whole manual of refunds into it.
    fn support(&mut self, at_ms: u64, mut who: Who) {
        who.tags = self.customer();
        who.run = Some(self.name("conversation"));
        let feature = self.random.weighed(&[60, 28, 12]);
        let is_chat = feature == 0;
        who.feature =
            ["chat-answers", "ticket-triage", "refund-checks"].get(feature).copied().unwrap_or_default();
        let is_longer = is_chat && at_ms >= self.changed_ms;
        let ask = Ask {
            provider: "openai",
            model: if is_chat { "gpt-4.1" } else { "gpt-4.1-mini" },
            answers: Some(if is_chat { "gpt-4.1-2025-04-14" } else { "gpt-4.1-mini-2025-04-14" }),
            system: match (feature, is_longer) {
                (0, false) => "support, chat, first version",
                (0, true) => "support, chat, with the manual of refunds",
                (1, _) => "support, triage",
                _ => "support, refunds",
            },
            system_tokens: match (feature, is_longer) {
                (0, false) => 1_150,
                (0, true) => 3_150,
                (1, _) => 640,
                _ => 980,
            },
            tools_tokens: if is_chat { 620 } else { 210 },
            cached_per_mille: if is_chat { 550 } else { 300 },
            is_stream: is_chat,
            ..Ask::default()
        };
        let (mut at_ms, mut history) = (at_ms, 0u64);
        for _ in 0..if is_chat { self.random.between(2, 6) } else { 1 } {
            let ask = Ask {
                history_tokens: history,
                user_tokens: self.random.around(140),
                output_tokens: self.random.around(if is_chat { 260 } else { 90 }),
                ..ask.clone()
            };
            self.call(at_ms, &who, &ask);
            history = history.saturating_add(ask.user_tokens).saturating_add(ask.output_tokens);
            at_ms = at_ms.saturating_add(self.random.between(20_000, 150_000));
        }
    }

    /// A question that is planned, given to sub-agents that search and read, and answered: 15 to 30 calls.
    fn research(&mut self, at_ms: u64, mut who: Who) {
        who.feature = ["market-research", "competitor-watch"]
            .get(self.random.weighed(&[65, 35]))
            .copied()
            .unwrap_or_default();
        who.tags = self.customer();
        let run = self.name("research");
        who.run = Some(run.clone());
        who.tags.insert("step".into(), "plan".into());
        let plan = Ask {
            provider: "anthropic",
            model: "claude-sonnet-4-5",
            answers: Some("claude-sonnet-4-5-20250929"),
            system: "research, planner",
            system_tokens: 1_700,
            tools_tokens: 900,
            user_tokens: self.random.around(220),
            output_tokens: self.random.around(420),
            cached_per_mille: 450,
            ..Ask::default()
        };
        if self.is_spent(at_ms) && self.random.chance(300) {
            return self.refused(at_ms, &who, &plan);
        }
        self.call(at_ms, &who, &plan);
        let mut at_ms = at_ms.saturating_add(9_000);
        for place in 0..self.random.between(3, 4) {
            let mut sub = who.clone();
            (sub.run, sub.parent_run) = (Some(format!("{run}-{place}")), Some(run.clone()));
            at_ms = self.sub_agent(at_ms, sub, place % 2 == 0);
        }
        who.tags.insert("step".into(), "write".into());
        for _ in 0..self.random.between(1, 2) {
            let write = Ask {
                system: "research, writer",
                system_tokens: 1_300,
                tools_tokens: 0,
                user_tokens: self.random.around(9_500),
                output_tokens: self.random.around(1_500),
                is_stream: true,
                cached_per_mille: 0,
                ..plan.clone()
            };
            self.call(at_ms, &who, &write);
            at_ms = at_ms.saturating_add(30_000);
        }
    }

    /// Four to seven calls of a sub-agent that searches the web or reads pages; gives when it ended.
    fn sub_agent(&mut self, at_ms: u64, mut who: Who, searches: bool) -> u64 {
        who.tags.insert("step".into(), if searches { "search" } else { "read" }.into());
        let (mut at_ms, mut history) = (at_ms, 0u64);
        for _ in 0..self.random.between(4, 7) {
            let ask = Ask {
                provider: if searches { "anthropic" } else { "gemini" },
                model: if searches { "claude-haiku-4-5" } else { "gemini-2.5-flash" },
                answers: searches.then_some("claude-haiku-4-5-20251001"),
                system: if searches { "research, searcher" } else { "research, reader" },
                system_tokens: 1_100,
                tools_tokens: if searches { 1_400 } else { 300 },
                history_tokens: history,
                user_tokens: self.random.around(if searches { 900 } else { 5_200 }),
                output_tokens: self.random.around(260),
                reasoning_tokens: if searches { 0 } else { self.random.around(180) },
                web_searches: if searches { self.random.between(0, 2) } else { 0 },
                cached_per_mille: if searches { 700 } else { 400 },
                ..Ask::default()
            };
            self.call(at_ms, &who, &ask);
            history = history.saturating_add(ask.user_tokens).saturating_add(ask.output_tokens);
            at_ms = at_ms.saturating_add(self.random.between(2_000, 9_000));
        }
        at_ms
    }

    /// A change of code that is read in some steps, or looked through for holes.
    fn review(&mut self, at_ms: u64, mut who: Who) {
        let is_scan = self.random.chance(250);
        who.feature = if is_scan { "security-scan" } else { "pull-request-review" };
        who.run = Some(self.name("change"));
        let repository = ["shop", "billing", "mobile", "infrastructure"].get(self.random.early(4)).copied();
        who.tags = [("repository".to_owned(), repository.unwrap_or_default().to_owned())].into();
        let (mut at_ms, mut history) = (at_ms, self.random.around(3_500));
        for _ in 0..self.random.between(2, 5) {
            let ask = Ask {
                provider: "anthropic",
                model: "claude-sonnet-4-5",
                answers: Some("claude-sonnet-4-5-20250929"),
                system: if is_scan { "review, holes" } else { "review" },
                system_tokens: 2_600,
                tools_tokens: 3_800,
                history_tokens: history,
                user_tokens: self.random.around(700),
                output_tokens: self.random.around(480),
                cached_per_mille: 820,
                ..Ask::default()
            };
            self.call(at_ms, &who, &ask);
            history = history.saturating_add(ask.user_tokens).saturating_add(ask.output_tokens);
            at_ms = at_ms.saturating_add(self.random.between(6_000, 40_000));
        }
    }

    /// A label for one ticket: a few tokens of answer from a frontier model. What is new stands in front of
    /// the instructions, so that no two prompts begin alike and the 2,000 tokens are never read from a cache.
    fn classify(&mut self, at_ms: u64, mut who: Who) {
        let feature = self.random.weighed(&[70, 30]);
        who.feature = ["ticket-labels", "intent-routing"].get(feature).copied().unwrap_or_default();
        who.tags = self.customer();
        let ask = Ask {
            provider: "openai",
            model: "gpt-4o",
            answers: Some("gpt-4o-2024-08-06"),
            system: "classification, all labels with examples",
            system_tokens: 2_000,
            user_tokens: self.random.around(110),
            output_tokens: self.random.between(2, 8),
            ..Ask::default()
        };
        self.call(at_ms, &who, &ask);
    }

    /// A contract by day; notes of meetings by night, as a batch at half the price.
    fn summarise(&mut self, at_ms: u64, mut who: Who) {
        let is_night = self.hour_of_day(at_ms) < 5;
        who.feature = if is_night { "meeting-notes" } else { "contract-summary" };
        who.run = Some(self.name("document"));
        // Some files are longer than 200,000 tokens, which costs more a token.
        let is_long = !is_night && self.random.chance(25);
        let ask = Ask {
            provider: "gemini",
            model: if is_night { "gemini-2.5-flash" } else { "gemini-2.5-pro" },
            tier: is_night.then_some("batch"),
            system: if is_night { "summary, meetings" } else { "summary, contracts" },
            system_tokens: 850,
            user_tokens: if is_long {
                self.random.between(205_000, 320_000)
            } else {
                self.random.around(11_000)
            },
            output_tokens: self.random.around(620),
            reasoning_tokens: if is_night { 0 } else { self.random.around(700) },
            is_stream: !is_night,
            ..Ask::default()
        };
        self.call(at_ms, &who, &ask);
        if !is_night && self.random.chance(350) {
            let again = Ask {
                user_tokens: ask.user_tokens.saturating_add(ask.output_tokens),
                cached_per_mille: 300,
                ..ask
            };
            self.call(at_ms.saturating_add(65_000), &who, &again);
        }
    }

    /// A script of which nobody knows whose it is; some ask for a model that has no price.
    fn unknown(&mut self, at_ms: u64) {
        let is_new = self.random.chance(120);
        let ask = Ask {
            provider: "openai",
            model: if is_new { "acme-preview-1" } else { "gpt-4o-mini" },
            user_tokens: self.random.around(1_500),
            output_tokens: self.random.around(350),
            ..Ask::default()
        };
        self.call(at_ms, &Who::default(), &ask);
    }
}
