//! What a call says of work that goes on without its caller: what it started, which result it fetched, and
//! whether that is paid already.

use super::measure::{Measure, names_a_cost};
use super::{Call, End, Ending};
use crate::answer::meter::Body;
use crate::answer::wire::Reading;
use crate::estimate::Passed;
use crate::price::PriceBook;
use crate::provider::Api;
use crate::record::{Outcome, Output, UsageRecord};

/// What a fetched answer is to who pays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fetched {
    /// The result of work that went on without its caller: whoever started it pays.
    Result,
    /// A file: a result only where a provider has named it as one, as anybody can store a file that says what
    /// it likes.
    File,
    /// An answer that its caller waited for, and paid: only where another call is known to have begun it as
    /// work that goes on is it a result. `told` where the provider says so itself.
    Answer {
        /// The provider says so itself.
        told: bool,
    },
}

impl Call {
    /// The ids under which work that this call started, or asked after, will be fetched: its own first, then
    /// that of the file of its results.
    #[must_use]
    pub fn leads_to(&self) -> Vec<String> {
        let Some(reading) = self.reading() else { return Vec::new() };
        let is_about = matches!(self.target.api, Api::Deferred | Api::MessageBatchResults);
        let is_kept = self.is_paid_start();
        if !self.goes_on() && !is_about && !is_kept {
            return Vec::new();
        }
        [reading.id(), reading.output_file()].into_iter().flatten().map(bare).collect()
    }

    /// Whether what it started is paid with it, and can be read again: an interaction, a run that streamed,
    /// and what went on in the background while its caller listened. Of other answers each read says that
    /// nobody owes for it.
    #[must_use]
    pub fn is_paid_start(&self) -> bool {
        let Some(reading) = self.reading() else { return false };
        let is_kept = match self.target.api {
            Api::Interactions => true,
            Api::Responses => self.is_background(),
            _ => false,
        };
        is_kept && self.target.fetches.is_none() && reading.id().is_some() && !self.goes_on()
    }

    /// Files that the provider named as results, with the batches that they are of.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        let Some(reading) = self.reading() else { return Vec::new() };
        if !matches!(self.target.api, Api::Deferred | Api::MessageBatchResults) {
            return Vec::new();
        }
        let own = reading.id().or(self.target.fetches.as_deref()).zip(reading.output_file());
        let listed = reading.listed().iter().map(|(of, file)| (of.as_str(), file.as_str()));
        own.into_iter().chain(listed).map(|(of, file)| Output { file: bare(file), of: bare(of) }).collect()
    }

    /// Whether it is about work that another call started, which it goes on with or ends.
    #[must_use]
    pub const fn continues(&self) -> bool {
        self.continues
    }

    /// What it fetched is to be fetched again: it came in part, or the work is not done.
    #[must_use]
    pub fn is_unfinished(&self, record: &UsageRecord) -> bool {
        if self.target.api == Api::Deferred {
            let broke_off = matches!(record.outcome, Outcome::ClientAbort | Outcome::UpstreamAbort);
            return broke_off || !self.tells_its_cost();
        }
        let goes_on = self.reading().is_none_or(Reading::goes_on);
        record.outcome != Outcome::Ok || goes_on || !self.is_reported()
    }

    /// Whether it asks after work that is charged by nothing but what such an answer says that it cost, and
    /// the work is done: videos.
    pub(super) fn tells_its_cost(&self) -> bool {
        let Some(answer) = self.answer.as_deref().filter(|_| self.target.fetches.is_some()) else {
            return false;
        };
        self.target.api == Api::Deferred
            && !answer.meter.reading().goes_on()
            && answer.meter.reported().is_some_and(|told| names_a_cost(&told))
    }

    /// What a fetched answer is to who pays.
    #[must_use]
    pub fn fetched(&self) -> Fetched {
        let Some(reading) = self.reading() else { return Fetched::Result };
        match (self.target.api, reading.background()) {
            (Api::BatchOutput, _) => Fetched::File,
            (Api::Responses, None | Some(false)) if !reading.is_run() => {
                Fetched::Answer { told: reading.background().is_some() }
            }
            (Api::Interactions, Some(false)) => Fetched::Answer { told: true },
            _ => Fetched::Result,
        }
    }

    /// The records of what was fetched, each with the id under which it is known and the work that it is of.
    /// Results of a page are told one by one, where they have ids: pages overlap, as they grow and their size
    /// is the caller's.
    #[must_use]
    pub fn results(
        &self,
        whole: &UsageRecord,
        book: Option<&PriceBook>,
    ) -> Vec<(UsageRecord, String, Option<String>)> {
        let (Some(id), Some(reading)) = (&self.target.fetches, self.reading()) else { return Vec::new() };
        let turns = if self.target.api == Api::MessageBatchResults { reading.turns() } else { &[] };
        if turns.iter().all(|turn| turn.id.is_none()) {
            let page = self.page.as_ref().map(|page| format!("{id}?{page}"));
            let of = page.as_ref().map(|_| id.clone());
            return vec![(whole.clone(), page.unwrap_or_else(|| id.clone()), of)];
        }
        let mut results = Vec::with_capacity(turns.len());
        for (at, turn) in turns.iter().enumerate() {
            let mut record = whole.clone();
            if turn.model.is_some() {
                record.head.response_model.clone_from(&turn.model);
            }
            record.cost_nothing();
            if at > 0 {
                (record.request_bytes, record.response_bytes) = (None, None);
            }
            let mut measure = Measure::of_turn(turn.normalised.clone());
            measure.name(whole.head.service_tier.as_deref());
            measure.place(self.target.place.as_ref());
            measure.apply(&mut record, book);
            let name = match (&turn.id, &self.page) {
                (Some(name), _) => name.clone(),
                (None, page) => format!("?{}#{at}", page.as_deref().unwrap_or_default()),
            };
            results.push((record, format!("{id}/{name}"), Some(id.clone())));
        }
        results
    }

    /// Whether the work is to go on without its caller, as the request or the answer says, and as every run
    /// of a thread does.
    fn is_background(&self) -> bool {
        self.is_streamed_run()
            || self.request.background()
            || self.reading().and_then(Reading::background) == Some(true)
    }

    /// Notes, at the end, whether background work whose caller listened goes on without it: its stream broke
    /// off, or says that it is not done. What it costs shows when its result is fetched.
    pub(super) fn note_left_behind(&mut self, end: End) {
        let is_kept = matches!(self.target.api, Api::Responses | Api::Interactions);
        // Of most calls nothing more is looked at: what was reported is worked out anew each time that it is
        // asked for.
        if !is_kept || self.target.fetches.is_some() || !self.is_background() {
            return;
        }
        let Some(reading) = self.reading().filter(|reading| reading.id().is_some()) else { return };
        let is_aborted = matches!(end.ending, Ending::ClientAbort | Ending::UpstreamAbort);
        let is_silent = end.ending == Ending::Complete && !self.is_reported() && !reading.has_error();
        self.left_behind = is_aborted && !self.is_reported() || is_silent || reading.goes_on();
    }

    /// The work goes on without the caller: what it costs shows when its result is fetched.
    pub(super) fn goes_on(&self) -> bool {
        // A stream says "in progress" until its end.
        self.left_behind
            || self.answer.as_deref().is_some_and(|answer| {
                answer.meter.body() == Body::Json
                    // Of what only asks or starts, the path says what is paid.
                    && self.target.api != Api::Deferred
                    && (answer.meter.reading().goes_on() || self.is_handed_over())
            })
    }

    /// xAI answers to a deferred chat completion with nothing but the id of it.
    fn is_handed_over(&self) -> bool {
        self.target.api == Api::ChatCompletions
            && self.target.provider == "xai"
            && self.request.background()
            && self.target.fetches.is_none()
            && !self.is_reported()
            && self.reading().is_some_and(|reading| {
                reading.id().is_some() && reading.visible() == Passed::default() && !reading.has_error()
            })
    }

    fn reading(&self) -> Option<&Reading> {
        self.answer.as_deref().map(|answer| answer.meter.reading())
    }
}

/// The page of results that a query asks for.
pub(super) fn page(query: &str) -> Option<String> {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("pagination_token="))?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Google's ids are paths.
fn bare(id: &str) -> String {
    id.rsplit('/').next().unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests;
