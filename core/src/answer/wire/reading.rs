//! What an answer has said so far.
//!
//! Long: one state that all wire formats share; tools, counts, cost and turns are files of their own.

use serde_json::{Map, Value};

use super::counts::Counts;
use super::tools::{Seen, Tools};
use super::turn::OpenTurn;
use super::{Context, Family, Field, Made, Merge, Normalised, Share, cost};
use crate::decode::json::{self, Sink};
use crate::estimate::{Passed, TextCounter};
use crate::provider::Api;

/// One turn of a session, or one result of a batch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Turn {
    /// Whether it is the transcription of what the caller said, by a model of its own.
    pub is_transcription: bool,
    /// Whether nobody but our clock says so.
    pub by_the_clock: bool,
    /// Which result of a batch it is, where each has an id.
    pub id: Option<String>,
    /// The model, where the document names it.
    pub model: Option<String>,
    /// What it used.
    pub normalised: Normalised,
    /// How many turns of the same model this is, beside the first.
    pub more_turns: u64,
}

/// What an answer has said so far. Holds the last usage object, a few short strings, and in a session the
/// turns that have not been taken, at most [`TURNS_MAX`] of them.
#[derive(Debug)]
pub struct Reading {
    family: &'static Family,
    provider: String,
    api: Api,
    model: Option<String>,
    asked_for: Option<String>,
    transcription_model: Option<String>,
    service_tier: Option<String>,
    id: Option<String>,
    name: Option<String>,
    /// The run of a thread that streams, among whose events are those of its steps and messages.
    run: Option<String>,
    status: Option<String>,
    background: Option<bool>,
    output_file: Option<String>,
    /// Batches of a list, and the files with their results.
    listed: Vec<(String, String)>,
    /// The id of the result that follows.
    each_id: Option<String>,
    event: Option<String>,
    usage: Map<String, Value>,
    /// A usage object had a count below nothing.
    has_negative: bool,
    /// There is usage that is no object.
    has_odd_usage: bool,
    headers: Map<String, Value>,
    tool_usage: Map<String, Value>,
    breakdown: Map<String, Value>,
    tools: Tools,
    images: u64,
    made: Made,
    turns: Vec<Turn>,
    /// In a session: the turn that has not ended.
    open_turn: OpenTurn,
    /// Turns that have ended and were not taken, whatever was said of them, and those of them that were said
    /// to have.
    ended: u32,
    completed: Option<u32>,
    has_error: bool,
    /// The provider's filter stopped the request.
    is_filtered: bool,
    /// The model declined to answer.
    is_refusal: bool,
    /// The text is of a guardrail's, in the model's place.
    is_guarded: bool,
    has_end: bool,
    /// The document that is passing says so: that holds once it is whole, as its counts may stand behind.
    ends: bool,
    /// A call was named, and nothing has told since that it is whole.
    call_is_open: bool,
    /// The output before the call that was just named.
    before_call: Option<TextCounter>,
    /// The call that passes is made by code that the model wrote.
    is_codes_call: bool,
    /// The call whose pieces pass.
    call_id: Option<String>,
    /// The document that is passing has said something.
    says_something: bool,
    /// The counts came beside text, or a choice that goes on, so that more of both may follow.
    counts_beside_text: bool,
    /// Whether the document under way has counts, and text or a choice that goes on.
    in_document: (bool, bool),
    /// Output that passed: visible text, and visible reasoning.
    output: TextCounter,
    reasoning: TextCounter,
    reasoning_twin: TextCounter,
    output_twin: TextCounter,
    /// The same as the last document has it that tells all of it, and whether that document is passing.
    whole_output: TextCounter,
    whole_reasoning: TextCounter,
    whole_reasoning_twin: TextCounter,
    whole_passes: bool,
    tool_calls: u64,
    /// Whether the family says behind a text that it was a thought.
    tells_thoughts: bool,
    /// The output before the text that is passing, as long as nothing else has come since.
    before_text: Option<TextCounter>,
}

impl Turn {
    /// What each model did of it. Each turn is a call of its own, with a context tier of its own.
    fn shares(&self) -> Vec<Share> {
        if self.normalised.shares.is_empty() {
            let (model, usage) = (self.model.clone(), self.normalised.usage.clone());
            return vec![Share { model, usage, more_calls: self.more_turns }];
        }
        let own = |share: &Share| share.model.clone().or_else(|| self.model.clone());
        let shares = self.normalised.shares.iter();
        shares.map(|share| Share { model: own(share), ..share.clone() }).collect()
    }

    /// Adds another turn of the same model.
    fn add(&mut self, other: &Self) {
        if !(self.normalised.shares.is_empty() && other.normalised.shares.is_empty()) {
            self.normalised.shares = self.shares();
            for share in other.shares() {
                match self.normalised.shares.iter_mut().find(|known| known.model == share.model) {
                    Some(known) => known.add(&share),
                    None => self.normalised.shares.push(share),
                }
            }
        }
        let (mine, theirs) = (&mut self.normalised, &other.normalised);
        mine.usage.add(&theirs.usage);
        mine.provider_cost = cost::sum([mine.provider_cost, theirs.provider_cost].into_iter());
        mine.contradictory |= theirs.contradictory;
        for condition in &theirs.conditions {
            if !mine.conditions.contains(condition) {
                mine.conditions.push(condition.clone());
            }
        }
        self.more_turns = self.more_turns.saturating_add(other.more_turns).saturating_add(1);
    }
}

impl Reading {
    /// Nothing said yet.
    pub fn new(provider: &str, api: Api) -> Self {
        let family = Family::of(api);
        Self {
            family,
            tells_thoughts: family.tells_thoughts(),
            provider: provider.to_owned(),
            api,
            model: None,
            asked_for: None,
            transcription_model: None,
            service_tier: None,
            id: None,
            name: None,
            run: None,
            status: None,
            background: None,
            output_file: None,
            listed: Vec::new(),
            each_id: None,
            event: None,
            usage: Map::new(),
            has_negative: false,
            has_odd_usage: false,
            headers: Map::new(),
            tool_usage: Map::new(),
            breakdown: Map::new(),
            tools: Tools::default(),
            images: 0,
            made: Made::default(),
            turns: Vec::new(),
            open_turn: OpenTurn::default(),
            ended: 0,
            completed: None,
            has_error: false,
            is_filtered: false,
            is_refusal: false,
            is_guarded: false,
            has_end: false,
            ends: false,
            call_is_open: false,
            before_call: None,
            is_codes_call: false,
            call_id: None,
            says_something: false,
            counts_beside_text: false,
            in_document: (false, false),
            output: TextCounter::default(),
            reasoning: TextCounter::default(),
            reasoning_twin: TextCounter::default(),
            output_twin: TextCounter::default(),
            whole_output: TextCounter::default(),
            whole_reasoning: TextCounter::default(),
            whole_reasoning_twin: TextCounter::default(),
            whole_passes: false,
            tool_calls: 0,
            before_text: None,
        }
    }

    /// The family of the answer's documents.
    pub const fn family(&self) -> &'static Family {
        self.family
    }

    /// The model that answers, as far as it has been named.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The service tier that the answer names.
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_deref()
    }

    /// The answer's id.
    pub fn id(&self) -> Option<&str> {
        self.run.as_deref().or(self.id.as_deref()).or(self.name.as_deref())
    }

    /// Whether the answer says that the work goes on without the caller.
    pub fn goes_on(&self) -> bool {
        let goes_on = |status: &str| UNDER_WAY.iter().any(|word| word.eq_ignore_ascii_case(status));
        self.status.as_deref().is_some_and(goes_on)
    }

    /// Whether the answer says that the work was asked to go on without its caller; `None` where it does not
    /// tell.
    #[must_use]
    pub const fn background(&self) -> Option<bool> {
        self.background
    }

    /// Whether it is a run of a thread, which always goes on without its caller.
    #[must_use]
    pub fn is_run(&self) -> bool {
        self.event.as_deref().is_some_and(|event| event.starts_with("thread.run"))
    }

    /// Batches of a list, each with the file of its results.
    #[must_use]
    pub fn listed(&self) -> &[(String, String)] {
        &self.listed
    }

    /// Results of a batch that have been read and not taken.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The file with the results of a batch.
    pub fn output_file(&self) -> Option<&str> {
        self.output_file.as_deref()
    }

    /// Whether the answer said that something went wrong.
    pub const fn has_error(&self) -> bool {
        self.has_error
    }

    /// Whether the provider's content filter stopped the request.
    pub const fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// Whether the model declined before it said anything.
    pub fn is_mute_refusal(&self) -> bool {
        self.is_refusal && self.visible() == Passed::default()
    }

    /// Whether a guardrail answered in the model's place.
    pub const fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    /// Whether the counts of a stream are only what had been used so far: the family's streams say when they
    /// are at their end, and this one did not.
    pub fn lacks_end(&self) -> bool {
        let says = |what: Field| self.family.paths.iter().any(|(.., field)| *field == what);
        !self.has_end && (says(Field::End) || self.counts_beside_text && says(Field::Finish))
    }

    /// Whether the answer has said that it is at its end.
    pub const fn has_end(&self) -> bool {
        self.has_end
    }

    /// Notes that the answer has come to its end, where the framing says so.
    pub const fn set_end(&mut self) {
        self.has_end = true;
    }

    /// Notes that something went wrong, where the framing says so.
    pub const fn set_error(&mut self) {
        self.has_error = true;
    }

    /// The model that was asked for, where an answer may name none.
    pub fn set_asked_for(&mut self, model: &str) {
        if self.asked_for.as_deref() != Some(model) {
            self.asked_for = Some(model.to_owned());
        }
    }

    /// The model that the caller wants to have its words written down by, until the session says it.
    pub fn set_transcribes(&mut self, model: &str) {
        self.transcription_model.get_or_insert_with(|| model.to_owned());
    }

    /// What a response header says.
    pub fn set_header(&mut self, name: &'static str, said: &str) {
        if said.len() <= NAME_BYTES_MAX {
            self.headers.insert(name.to_owned(), said.into());
        }
    }

    /// Visible output that passed, and the reasoning beside it; in a session, in the turn under way.
    pub fn visible(&self) -> Passed {
        let reasoning = self.reasoning_estimate();
        let text = told(&self.output, &self.whole_output).max(self.output_twin.tokens());
        Passed { text, tool_calls: self.tool_calls, reasoning }
    }

    /// The same of an answer that is not whole: what frames the call that it ended in has not come.
    pub fn passed(&self) -> Passed {
        let visible = self.visible();
        let open = u64::from(self.call_is_open && !self.has_end);
        Passed { tool_calls: visible.tool_calls.saturating_sub(open), ..visible }
    }

    /// Reasoning tokens that passed in the open, in o200k's count.
    pub fn reasoning_estimate(&self) -> u64 {
        let twin = told(&self.reasoning_twin, &self.whole_reasoning_twin);
        told(&self.reasoning, &self.whole_reasoning).max(twin)
    }

    /// What the provider reported, or `None` when it reported no counts. Of a session: the turns not taken.
    pub fn reported(&self) -> Option<Normalised> {
        if self.family.merge != Merge::Sum {
            let mut normalised = self.normalised();
            normalised.provider_cost = normalised.provider_cost.or_else(|| cost::in_headers(&self.headers));
            return Some(normalised).filter(|normalised| !normalised.says_nothing());
        }
        self.turns.first()?;
        let mut sum = Normalised::default();
        sum.provider_cost = cost::sum(self.turns.iter().map(|turn| turn.normalised.provider_cost));
        if !self.api.is_session() {
            sum.provider_cost = sum.provider_cost.or_else(|| cost::in_headers(&self.headers));
        }
        // What was written down beside a conversation is a share of its cost, not of what it read and said.
        let converses = self.turns.iter().any(|turn| !turn.is_transcription);
        for turn in &self.turns {
            if !(converses && turn.is_transcription) {
                sum.usage.add(&turn.normalised.usage);
            }
            sum.contradictory |= turn.normalised.contradictory;
            for condition in &turn.normalised.conditions {
                if !sum.conditions.contains(condition) {
                    sum.conditions.push(condition.clone());
                }
            }
            sum.shares.extend(turn.shares());
        }
        if sum.shares.iter().all(|share| share.model.is_none()) {
            sum.shares.clear();
        }
        Some(sum)
    }

    /// Whether each turn of the session is a call of its own.
    pub fn has_own_calls(&self) -> bool {
        self.api == Api::ResponsesSession
    }

    /// Takes the turns that have ended since.
    pub fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }

    /// Takes how many turns of a session have ended since that it was asked for: answered, failed, or not
    /// begun. Some providers say so; of others each report of usage is one.
    pub fn take_ended(&mut self) -> u32 {
        let by_usage = std::mem::take(&mut self.ended);
        self.completed.as_mut().map_or(by_usage, std::mem::take)
    }

    /// The turn of a session that has not ended.
    pub const fn turn(&self) -> &OpenTurn {
        &self.open_turn
    }

    fn normalised(&self) -> Normalised {
        let context = Context {
            provider: &self.provider,
            api: self.api,
            tool_usage: (!self.tool_usage.is_empty()).then_some(&self.tool_usage),
            breakdown: (!self.breakdown.is_empty()).then_some(&self.breakdown),
            tools: &self.tools,
            model: self.model.as_deref().or(self.asked_for.as_deref()),
            images: self.images,
            made: self.made,
            headers: &self.headers,
        };
        let counts = Counts::new(&self.usage);
        let mut normalised = (self.family.normalise)(&counts, &context);
        normalised.provider_cost = cost::in_answer(&counts, &self.headers);
        normalised.contradictory |= self.has_negative;
        // Nothing is put out that nothing was read for.
        normalised.contradictory |= normalised.lacks_input() && !self.family.leaves_input_out;
        for count in normalised.usage.counts_mut() {
            if count.is_some_and(|count| count > COUNT_MAX) {
                *count = None;
                normalised.contradictory = true;
            }
        }
        normalised
    }

    /// Whether the answer has usage, none of which is known.
    pub fn has_unread_usage(&self) -> bool {
        self.has_odd_usage || has_count(&self.usage) && self.reported().is_none()
    }

    fn usage(&mut self, raw: &[u8]) {
        // A run's own usage has that of its steps in it.
        if self.event.as_deref() == Some("thread.run.step") {
            return;
        }
        let Ok(Value::Object(usage)) = serde_json::from_slice(raw) else {
            self.has_odd_usage = true;
            return;
        };
        self.in_document.0 = true;
        self.has_negative |= has_negative(&usage);
        match self.family.merge {
            // Zeros behind counts are what a gateway puts for what it left out, or less than there was.
            Merge::Last | Merge::Final
                if usage.is_empty() || !has_count(&usage) && has_count(&self.usage) => {}
            Merge::Last if !self.usage.is_empty() && all_counts(&usage) < all_counts(&self.usage) => {}
            Merge::Last | Merge::Final => {
                let before = std::mem::replace(&mut self.usage, usage);
                if all_counts(&before) == all_counts(&self.usage) {
                    keep_parts(before, &mut self.usage);
                }
            }
            Merge::Overlay => overlay(&mut self.usage, usage),
            Merge::Sum => {
                for (key, value) in usage.into_iter().filter(|(_, value)| !value.is_null()) {
                    self.usage.insert(key, value);
                }
            }
        }
    }

    /// One of several answers in a document has ended. Its model may be named behind it.
    fn each_end(&mut self) {
        self.tools.document_end();
        let (normalised, id) = (self.normalised(), self.each_id.take());
        self.forget_answer();
        if !normalised.says_nothing() {
            let model = self.model.clone();
            self.keep_turn(Turn { model, normalised, id, ..Turn::default() });
        }
    }

    /// Forgets what belongs to an answer that has ended.
    fn forget_answer(&mut self) {
        self.usage.clear();
        self.has_negative = false;
        self.tool_usage.clear();
        self.breakdown.clear();
        self.tools = Tools::default();
        self.made = Made::default();
        self.images = 0;
    }

    /// One of a list of batches: of interest where it has its results.
    fn listed_batch(&mut self, raw: &[u8]) {
        let Ok(batch) = serde_json::from_slice::<Value>(raw) else { return };
        let text = |paths: &[&str]| {
            let found = paths.iter().find_map(|path| batch.pointer(path).and_then(Value::as_str));
            found.filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX).map(str::to_owned)
        };
        if let (Some(id), Some(file)) = (text(&["/id", "/batch_id", "/name"]), text(&OUTPUT_FILES))
            && self.listed.len() < LISTED_MAX
        {
            self.listed.push((id, file));
        }
    }

    /// Whether the event that is passing says that an item is done.
    fn is_done(&self) -> bool {
        self.event.as_deref().is_some_and(|event| event.ends_with("output_item.done"))
    }

    fn tool_call(&mut self, raw: &[u8]) {
        // Of the events about one call in a stream of Responses, the first counts.
        let repeats = self.event.as_deref().is_some_and(|event| event.ends_with(".done"));
        if let Some(name) = json::text(raw).filter(|name| !name.is_empty() && !repeats && !self.is_codes_call)
        {
            self.tool_calls += 1;
            self.call_is_open = true;
            self.before_call = Some(self.output.clone());
            self.output.feed(name.as_bytes());
        }
    }

    fn count(&mut self, name: &str, count: u64, adds: bool) {
        let before = self.usage.get(name).and_then(json::value_count).filter(|_| adds).unwrap_or(0);
        self.usage.insert(name.to_owned(), before.saturating_add(count).into());
    }

    /// Text of a document that tells all of the answer so far: that of the document before it is in it.
    fn whole_text(&mut self, field: Field, piece: &[u8]) {
        if !std::mem::replace(&mut self.whole_passes, true) {
            (self.whole_output, self.whole_reasoning) = Default::default();
            self.whole_reasoning_twin = TextCounter::default();
        }
        match field {
            Field::WholeReasoning => self.whole_reasoning.feed(piece),
            Field::WholeReasoningTwin => self.whole_reasoning_twin.feed(piece),
            _ => self.whole_output.feed(piece),
        }
    }

    /// Text in a session: whose it is, the whole event says.
    fn session_text(&mut self, field: Field, piece: &[u8]) {
        match field {
            Field::Audio => self.open_turn.speak(piece.len()),
            Field::Heard => self.open_turn.hear(piece),
            _ => self.open_turn.pass(&self.output, piece),
        }
    }

    /// An event of a session has come whole.
    fn session_event(&mut self) {
        let event = self.event.as_deref().unwrap_or_default();
        if let Some(output) = self.open_turn.event(event, &self.output) {
            if event.contains("reasoning") {
                self.reasoning.add_since(&output, &self.output);
            } else {
                self.output = output;
            }
        }
    }

    /// A document of a family whose usage adds up is a turn, where it has usage.
    fn turn_end(&mut self) {
        let event = self.event.take();
        // What Live searched for is told before the usage of its turn.
        if self.api == Api::Live && self.usage.is_empty() {
            return;
        }
        let mut normalised = self.normalised();
        if let Some(tier) = self.service_tier.take().filter(|_| self.api == Api::ResponsesSession) {
            normalised.conditions.push(("service_tier", tier));
        }
        self.forget_answer();
        let event = event.as_deref().unwrap_or_default();
        let (is_transcription, counts, ends) = match self.api {
            // What is delegated has its own model, as what is transcribed has.
            Api::Voice => {
                (event == "response.event", matches!(event, "session.closed" | "response.done"), false)
            }
            Api::ResponsesSession => {
                let ends = matches!(
                    event,
                    "response.completed" | "response.incomplete" | "response.failed" | "error"
                );
                (false, ends, ends)
            }
            _ => (
                event.ends_with("input_audio_transcription.completed"),
                matches!(event, "" | "response.done"),
                false,
            ),
        };
        let has_ended = if self.api == Api::Live {
            event.is_empty()
        } else {
            TURN_ENDS.iter().any(|end| event.ends_with(end))
        };
        self.ended = self.ended.saturating_add(u32::from(has_ended));
        if !(counts || is_transcription) || normalised.says_nothing() && !ends {
            return;
        }
        let model = match (is_transcription, self.api.is_session()) {
            // Who transcribes is never the model that answers, named or not.
            (true, _) => Some(self.transcription_model.clone().unwrap_or_default()),
            (false, true) if self.api != Api::ResponsesSession => None,
            (false, _) => self.model.clone(),
        };
        if self.api.is_session() && !is_transcription {
            self.open_turn.end(&normalised.usage);
            (self.output, self.reasoning, self.tool_calls) = Default::default();
        }
        self.keep_turn(Turn { is_transcription, model, normalised, ..Turn::default() });
    }

    fn keep_turn(&mut self, turn: Turn) {
        let is_transcription = turn.is_transcription;
        let count = self.turns.len();
        let same = |known: &Turn| known.is_transcription == is_transcription && known.model == turn.model;
        let most = if turn.id.is_some() { RESULTS_MAX } else { TURNS_MAX };
        let known = self.turns.iter().rposition(same).filter(|_| count >= most);
        if let Some(known) = known.and_then(|at| self.turns.get_mut(at)) {
            known.add(&turn);
        } else if count < 2 * most {
            self.turns.push(turn);
        } else {
            self.has_error = true;
        }
    }
}

impl Sink<Field> for Reading {
    // Long: one arm for each field that a wire format may have.
    fn value(&mut self, field: Field, raw: Option<&[u8]>) {
        let Some(raw) = raw else {
            if field == Field::Each {
                return self.each_end();
            }
            // A picture in the answer itself is longer than what is kept.
            self.images = self.images.saturating_add(u64::from(field == Field::Image));
            self.has_error |= field == Field::Error;
            self.has_odd_usage |= matches!(field, Field::Usage | Field::LastUsage);
            return;
        };
        let before_text = self.before_text.take();
        self.says_something = true;
        if raw == b"null" {
            // A choice that goes on.
            self.in_document.1 |= field == Field::Finish;
            return;
        }
        match field {
            Field::ToolName => {
                self.tools.called(raw);
                self.tool_call(raw);
            }
            // What the model's code calls it has put out as code.
            Field::Caller => {
                self.is_codes_call = raw != b"\"direct\"";
                if let Some(before) = self.before_call.take().filter(|_| self.is_codes_call) {
                    self.output = before;
                    self.tool_calls = self.tool_calls.saturating_sub(1);
                    self.call_is_open = false;
                }
            }
            Field::CallId => {
                let known = self.call_id.take();
                keep_name(&mut self.call_id, raw);
                let is_new = self.call_id != known;
                self.tool_calls = self.tool_calls.saturating_add(u64::from(is_new));
                self.call_is_open = true;
            }
            Field::ThoughtFlag => {
                if let Some(before) = before_text.filter(|_| raw == b"true") {
                    self.reasoning.add_since(&self.output, &before);
                    self.output = before;
                }
            }
            Field::Usage => self.usage(raw),
            Field::Model => keep_name(&mut self.model, raw),
            Field::TranscriptionModel => keep_name(&mut self.transcription_model, raw),
            Field::ServiceTier => keep_name(&mut self.service_tier, raw),
            Field::Id => keep_name(&mut self.id, raw),
            Field::Name => keep_name(&mut self.name, raw),
            Field::EachId => {
                self.each_id = None;
                keep_name(&mut self.each_id, raw);
            }
            Field::Background => self.background = Some(raw == b"true"),
            Field::Listed => self.listed_batch(raw),
            Field::Status => keep_name(&mut self.status, raw),
            Field::OutputFile => keep_name(&mut self.output_file, raw),
            Field::Event => {
                keep_name(&mut self.event, raw);
                self.has_error |= raw == b"\"error\"" && !self.api.is_session();
            }
            Field::AudioFormat => {
                if let Some(format) = json::text(raw) {
                    self.open_turn.set_format(&format);
                }
            }
            Field::Error => {
                self.has_error |= !matches!(raw, b"false" | b"\"\"" | b"{}");
                self.is_filtered |= raw.windows(FILTERED.len()).any(|part| part == FILTERED);
            }
            Field::ToolAction => self.tools.action(raw),
            Field::Item => self.tools.item(raw),
            Field::ItemContainer => self.tools.container(raw),
            Field::StreamItem => self.tools.stream_item(raw, self.is_done()),
            Field::StreamAction => self.tools.stream_action(raw, self.is_done()),
            Field::StreamContainer => self.tools.stream_container(raw),
            Field::Executed => self.tools.executed(raw),
            Field::Annotation => self.tools.annotation(raw),
            Field::Place => self.tools.saw(Seen::Place),
            Field::Page => self.tools.saw(Seen::Page),
            Field::NamedPage => self.tools.saw(Seen::NamedPage),
            Field::OwnData if raw == b"[]" => {}
            Field::OwnData => self.tools.saw(Seen::OwnData),
            Field::OtherTool => self.tools.saw(Seen::OtherTool),
            Field::Offered => self.tools.offered(raw),
            Field::Step => self.tools.step(raw),
            Field::Made => {
                self.made.images |= raw.starts_with(b"\"image");
                self.made.audio |= raw.starts_with(b"\"audio/");
            }
            Field::Image if raw == b"\"\"" => {}
            Field::Image => self.images = self.images.saturating_add(1),
            Field::LastUsage => {
                self.usage(raw);
                self.ends = true;
            }
            Field::ErrorCode => self.has_error |= raw != b"0",
            Field::ErrorKind => self.has_error |= raw == b"\"error\"" || raw.ends_with(b".error\""),
            Field::Rejected => self.ended = self.ended.saturating_add(u32::from(raw == HAS_ACTIVE_RESPONSE)),
            Field::TurnComplete if raw == b"true" => {
                let completed = self.completed.get_or_insert(0);
                *completed = completed.saturating_add(1);
            }
            Field::TurnComplete => {}
            Field::Word(name) => {
                if let Some(word) = json::text(raw) {
                    self.set_header(name, &word);
                }
            }
            Field::Dollars(name) => {
                if let Ok(amount) = std::str::from_utf8(raw) {
                    self.set_header(name, amount.trim_matches('"'));
                }
            }
            Field::ToolUsage => {
                if let Ok(Value::Object(tools)) = serde_json::from_slice(raw) {
                    self.tool_usage = tools;
                }
            }
            Field::Breakdown => {
                if let Ok(Value::Object(breakdown)) = serde_json::from_slice(raw) {
                    self.breakdown = breakdown;
                }
            }
            Field::SearchQueries => {
                if let Ok(Value::Array(queries)) = serde_json::from_slice(raw) {
                    self.tools.queries(queries.iter().filter_map(Value::as_str));
                }
            }
            Field::Count(name) | Field::CountSoFar(name) | Field::CountEach(name) => {
                if let Some(count) = json::count(raw) {
                    self.in_document.0 |= matches!(field, Field::CountSoFar(_));
                    self.count(name, count, matches!(field, Field::CountEach(_)));
                } else {
                    (self.has_negative, self.has_odd_usage) = (true, true);
                }
            }
            Field::Start => {
                // Another message in the same stream counts from nothing.
                if self.has_end && !self.in_document.0 {
                    self.usage.clear();
                    (self.output, self.reasoning, self.tool_calls) = Default::default();
                    (self.reasoning_twin, self.output_twin) = Default::default();
                }
                self.has_end = false;
            }
            Field::StopReason => {
                self.is_refusal = raw == REFUSAL;
                self.has_error |= raw.starts_with(b"\"ERROR") || raw == b"\"TIMEOUT\"";
                self.is_guarded |= GUARDED.contains(&raw);
            }
            // Some write in words that it has not ended: DashScope, others an empty one.
            Field::End | Field::Finish if matches!(raw, b"\"null\"" | b"\"\"") => {}
            Field::End | Field::Finish => {
                self.ends = true;
                self.has_error |= raw == b"\"error\"";
                self.is_refusal = raw == REFUSAL;
                self.is_guarded |= GUARDED.contains(&raw);
            }
            Field::Output
            | Field::Reasoning
            | Field::ReasoningTwin
            | Field::OutputTwin
            | Field::WholeOutput
            | Field::WholeReasoning
            | Field::WholeReasoningTwin
            | Field::Heard
            | Field::Each
            | Field::Audio => {}
        }
    }

    fn text(&mut self, field: Field, piece: &[u8]) {
        if field == Field::Each {
            return;
        }
        self.in_document.1 = true;
        self.says_something = true;
        if self.api.is_session() {
            return self.session_text(field, piece);
        }
        if field == Field::ReasoningTwin {
            return self.reasoning_twin.feed(piece);
        }
        if field == Field::OutputTwin {
            return self.output_twin.feed(piece);
        }
        if matches!(field, Field::WholeOutput | Field::WholeReasoning | Field::WholeReasoningTwin) {
            return self.whole_text(field, piece);
        }
        // Responses name the kind of a delta in its event.
        let thinks = field == Field::Reasoning
            || self.event.as_deref().is_some_and(|event| event.contains("reasoning"));
        if thinks {
            self.reasoning.feed(piece);
        } else {
            if self.before_text.is_none() && self.tells_thoughts {
                self.before_text = Some(self.output.clone());
            }
            self.output.feed(piece);
        }
    }

    fn document_end(&mut self) {
        (self.before_text, self.before_call, self.is_codes_call) = (None, None, false);
        if self.event.as_deref() == Some("thread.run") {
            self.run.clone_from(&self.id);
        }
        self.whole_passes = false;
        self.has_end |= std::mem::take(&mut self.ends);
        // Anthropic and Bedrock end a block with an event that says nothing else.
        self.call_is_open &= std::mem::take(&mut self.says_something);
        self.tools.document_end();
        if let (true, has_text) = std::mem::take(&mut self.in_document) {
            self.counts_beside_text = has_text;
        }
        if self.api.is_session() {
            self.session_event();
        }
        if self.family.merge == Merge::Sum {
            for turn in self.turns.iter_mut().filter(|turn| turn.model.is_none() && !self.api.is_session()) {
                turn.model.clone_from(&self.model);
            }
            self.turn_end();
        }
    }
}

/// Tokens of a text that came in pieces, or else as a whole.
fn told(pieces: &TextCounter, whole: &TextCounter) -> u64 {
    let pieces = pieces.tokens();
    if pieces > 0 { pieces } else { whole.tokens() }
}

/// Whether an object has a count, at any depth, that is not zero.
fn has_count(usage: &Map<String, Value>) -> bool {
    usage.values().any(|value| match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number > 0.0),
        Value::Object(inner) => has_count(inner),
        Value::Array(items) => items.iter().filter_map(Value::as_object).any(has_count),
        _ => false,
    })
}

/// Whether an object has, at any depth, a count below nothing, or something that is none where one should
/// stand; what a call cost is none.
fn has_negative(usage: &Map<String, Value>) -> bool {
    usage.iter().any(|(name, value)| match value {
        Value::Number(number) if number.is_u64() => {
            number.as_f64().is_some_and(|count| count > SECONDS_MAX) && name.ends_with("seconds")
        }
        Value::Number(_) | Value::String(_) | Value::Bool(_) => is_no_count(name, value),
        Value::Object(inner) => !is_cost(name) && has_negative(inner),
        _ => false,
    })
}

fn is_cost(name: &str) -> bool {
    name.contains("cost") || name.contains("Cost")
}

/// Whether what stands under a name where a count should is none. What a call cost is no count.
fn is_no_count(name: &str, value: &Value) -> bool {
    let is_negative = |number: f64| number < 0.0 && number.fract() == 0.0;
    let is_time = |number: f64| (0.0..=SECONDS_MAX).contains(&number);
    if is_cost(name) {
        return false;
    }
    match value.as_f64() {
        Some(seconds) if name.ends_with("seconds") => !is_time(seconds),
        Some(number) if is_negative(number) => true,
        _ => json::value_count(value).is_none() && TOKENS.iter().any(|end| name.ends_with(end)),
    }
}

/// All counts of an object that are not parts of others.
fn all_counts(usage: &Map<String, Value>) -> u64 {
    usage.values().filter_map(Value::as_u64).fold(0, u64::saturating_add)
}

/// Keeps what was told before of the same counts, where it is told no more: what they are made of, and what
/// they cost.
fn keep_parts(before: Map<String, Value>, later: &mut Map<String, Value>) {
    for (key, value) in before {
        match later.get_mut(&key) {
            None | Some(Value::Null) => drop(later.insert(key, value)),
            Some(Value::Object(known)) if !has_count(known) => {
                if let Value::Object(value) = value {
                    *known = value;
                }
            }
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => drop(later.insert(key, value)),
            Some(_) => {}
        }
    }
}

/// Puts what came later over what came before. Counts only grow: a smaller one takes nothing back.
fn overlay(before: &mut Map<String, Value>, later: Map<String, Value>) {
    for (key, value) in later.into_iter().filter(|(_, value)| !value.is_null()) {
        match (before.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(value)) => {
                overlay_zeros(known, value);
            }
            (Some(known), value)
                if json::value_count(&value).is_some_and(|count| json::value_count(known) > Some(count)) => {}
            (_, value) => drop(before.insert(key, value)),
        }
    }
}

/// The same of an object inside, whose counts are the parts of one outside.
fn overlay_zeros(before: &mut Map<String, Value>, later: Map<String, Value>) {
    if has_count(&later) || !has_count(before) {
        *before = later;
    }
}

/// Keeps the last name that is not empty (Azure's first chunk has `"model":""`).
fn keep_name(slot: &mut Option<String>, raw: &[u8]) {
    // Every event of a stream repeats the model: what is there already needs no decoding.
    let quoted = raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    if let (Some(known), Some(name)) = (&slot, quoted)
        && known.as_bytes() == name
        && !name.contains(&b'\\')
    {
        return;
    }
    if let Some(name) = json::text(raw).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
        && slot.as_deref() != Some(name.as_str())
    {
        *slot = Some(name);
    }
}

/// What providers say of work that is not done, in either case: OpenAI, Gemini, Mistral, Perplexity.
const UNDER_WAY: &[&str] =
    &["queued", "in_progress", "cancelling", "validating", "running", "created", "pending", "processing"];
/// Where a batch names the file of its results: OpenAI, Mistral, Gemini.
const OUTPUT_FILES: [&str; 4] =
    ["/output_file_id", "/output_file", "/response/responsesFile", "/metadata/output/responsesFile"];
/// Batches of a list that are kept.
const LISTED_MAX: usize = 100;
/// Results of a page, each with an id of its own, that are told apart.
const RESULTS_MAX: usize = 1_024;
/// Turns that are kept until they are taken; more are added to one of the same model, of which there may be
/// as many again.
pub const TURNS_MAX: usize = 64;
/// Azure's code for a request that its filter stopped; Anthropic's reason for an answer that the model
/// declined.
const FILTERED: &[u8] = b"\"content_filter\"";
const REFUSAL: &[u8] = b"\"refusal\"";
/// OpenAI's code for a request for an answer while another is under way, which it does not begin (API
/// reference, Realtime, known from its client libraries; not read anew).
const HAS_ACTIVE_RESPONSE: &[u8] = b"\"conversation_already_has_active_response\"";
/// How the events end that end a turn of a session, with usage or without.
const TURN_ENDS: [&str; 3] =
    ["response.done", "input_audio_transcription.completed", "input_audio_transcription.failed"];
/// Bedrock's words for an answer of its guardrail.
const GUARDED: [&[u8]; 2] = [b"\"guardrail_intervened\"", b"\"INTERVENED\""];
/// How the names of counts of tokens end.
const TOKENS: [&str; 3] = ["_tokens", "Tokens", "TokenCount"];
/// No call has more of anything that is counted.
const COUNT_MAX: u64 = 1_000_000_000;
/// As many milliseconds.
const SECONDS_MAX: f64 = 1_000_000.0;
/// Longest model or tier name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(usage: &str) -> bool {
        has_negative(&serde_json::from_str(usage).unwrap())
    }

    #[test]
    fn what_is_no_count_is_known_by_its_name_and_costs_are_none() {
        for usage in [
            r#"{"prompt_tokens":-5}"#,
            r#"{"prompt_tokens":12.5}"#,
            r#"{"prompt_tokens":1e30}"#,
            r#"{"prompt_tokens":true}"#,
            r#"{"prompt_tokens":"many"}"#,
            r#"{"details":{"cached_tokens":-1}}"#,
            r#"{"seconds":1e15}"#,
            r#"{"prompt_audio_seconds":1000000000000}"#,
            r#"{"seconds":-0.5}"#,
        ] {
            assert!(odd(usage), "{usage}");
        }
        for usage in [
            r#"{"prompt_tokens":12,"completion_tokens":"5","total_tokens":17.0}"#,
            r#"{"prompt_tokens":null,"prompt_tokens_details":{}}"#,
            r#"{"seconds":37.5,"type":"duration","queue_time":0.25}"#,
            r#"{"cost":-1,"cost_details":{"upstream":-2},"total_cost":true}"#,
            r#"{"service_tier":"batch","num_sources_used":3}"#,
        ] {
            assert!(!odd(usage), "{usage}");
        }
    }

    fn batch(lines: u64, tokens: u64) -> Normalised {
        let mut reading = Reading::new("openai", Api::BatchOutput);
        for _ in 0..lines {
            reading.value(Field::Model, Some(b"\"m\""));
            let usage = format!("{{\"prompt_tokens\":{tokens},\"completion_tokens\":1}}");
            reading.value(Field::Usage, Some(usage.as_bytes()));
            reading.document_end();
        }
        reading.reported().unwrap()
    }

    #[test]
    fn a_batch_knows_how_many_calls_each_share_is_of() {
        for lines in [1, TURNS_MAX as u64, 200, 5_000] {
            let normalised = batch(lines, 10);
            let calls: u64 = normalised.shares.iter().map(|share| share.more_calls + 1).sum();
            assert_eq!((calls, normalised.usage.input_tokens), (lines, Some(lines * 10)));
            assert!(normalised.shares.len() <= TURNS_MAX);
        }
    }

    #[test]
    fn an_answer_without_its_input_contradicts_itself() {
        let mut reading = Reading::new("openai", Api::ChatCompletions);
        reading.value(Field::Usage, Some(b"{\"completion_tokens\":5}"));
        let normalised = reading.reported().unwrap();
        assert!(normalised.contradictory && normalised.lacks_input());
        let mut cached = Reading::new("ollama", Api::OllamaChat);
        cached.value(Field::Count("eval_count"), Some(b"5"));
        assert!(!cached.reported().unwrap().contradictory, "a cached prompt is left out there");
    }
}
