//! What the filter puts into a request that has waited for its whole body, and takes out of its answer again:
//! the question for usage, and the output limit of a budget.

use proxy_wasm::types::Action;
use std::rc::Rc;

use tollgate_core::budget::policy::{Policy, Touched};
use tollgate_core::call::Call;
use tollgate_core::request::include_usage::{self, UsageChunkFilter};
use tollgate_core::request::{model_name, output_limit};

use super::head::RequestHead;
use super::phase::Phase;
use super::request::Body;
use super::{HttpCall, feed};
use crate::call::stream::text_property;
use crate::collector::question;
use crate::host::{self, Buffer, Headers};

impl HttpCall {
    /// Its head is known, and its body is to come: says where that waits, if it does.
    pub(super) fn begin_body(&mut self, head: &RequestHead, now_ms: u64) -> Action {
        let pauses = self.gateway.config.pause_headers;
        let Phase::Arriving(call) = &self.phase else { return Action::Continue };
        let gathers = self.gathers(call, head);
        // Its length is not to be told before it is known, or as it will be.
        let in_envoy = gathers
            && head.content_length.is_some()
            && (pauses || host::remove_header(Headers::Request, b"content-length").is_ok());
        if in_envoy {
            self.request.body = Body::Waits(0);
            return if pauses { Action::Pause } else { Action::Continue };
        }
        if let Some(refused) = self.gateway.budgets.spent_already(call, now_ms) {
            // A long body need not come, where the answer is known.
            return self.refuse(refused, now_ms);
        }
        if gathers && head.content_length.is_none() || self.decides_first() {
            // Its pieces wait here; its headers go on, as Envoy would have to keep a long body while they
            // wait.
            self.request.body = Body::Taken(self.gateway.taken.begin());
            if head.content_length.is_none_or(|length| length > PAUSED_BYTES_MAX) {
                question::ask_ahead(&self.gateway, call, self.context, now_ms);
            }
        }
        Action::Continue
    }

    /// Whether this request is to wait for its whole body: because usage is to be asked for, or an output
    /// limit to be written into it; and, where its headers can wait too, so that a refusal reaches no
    /// upstream.
    fn gathers(&self, call: &Call, head: &RequestHead) -> bool {
        let small = head.content_length.is_none_or(|length| length <= GATHERED_BYTES_MAX);
        if !small || !head.content.is_json || head.content.is_encoded {
            return false;
        }
        let config = &self.gateway.config;
        let asks = config.include_usage && include_usage::is_needed(call.target(), &head.path);
        let decides = || {
            let policy = self.gateway.budgets.policy();
            let limits = |policy: &Policy| policy.changes_requests() && call.target().api.generates_text();
            policy.is_none_or(|policy| !policy.is_idle() && (config.pause_headers || limits(&policy)))
        };
        asks || decides()
    }

    /// Whether a call is to be decided on before anything of its body is passed on.
    fn decides_first(&self) -> bool {
        self.gateway.budgets.policy().is_none_or(|policy| !policy.is_idle())
    }

    /// Reads the body as it gathers; at its end, or where all is said, decides, and puts the question into
    /// it. `size` bytes are in Envoy's buffer.
    pub(super) fn gather(&mut self, size: usize, end_of_stream: bool) -> Action {
        let (read, taken) = match &self.request.body {
            Body::Passes(_) => return Action::Continue,
            Body::Waits(read) => (*read, 0),
            Body::Taken(taken) => (0, taken.len()),
        };
        let Some(call) = self.phase.call_mut() else { return Action::Continue };
        feed(call, read, size);
        let is_all = call.request().is_whole();
        let whole = taken.saturating_add(size);
        let is_taken = matches!(self.request.body, Body::Taken(_));
        let has_length = self.request.is_all(whole);
        // What asks for another protocol as well has no end of its own; and what is long cannot wait for one.
        let is_long = whole > GATHERED_BYTES_MAX;
        let upgrades = self.request.upgrades;
        let is_whole = (upgrades || is_taken) && has_length || (upgrades || is_long) && is_all;
        let has_ended = end_of_stream || is_whole;
        let most = if is_taken && self.decides_first() { KEPT_BYTES_MAX } else { GATHERED_BYTES_MAX };
        if !has_ended && whole <= most {
            let is_kept = match &mut self.request.body {
                // Only its end is to come, or trailers, behind which nothing could be put back.
                Body::Taken(taken) if is_all => {
                    taken.put_back(size);
                    true
                }
                Body::Taken(taken) => {
                    if taken.take(size) {
                        return Action::Continue;
                    }
                    false
                }
                _ => true,
            };
            if is_kept {
                self.request.body = Body::Waits(whole);
                return Action::Pause;
            }
        }
        if let Body::Taken(taken) = &mut self.request.body {
            taken.put_back(size);
        }
        self.request.body = Body::default();
        if !has_ended {
            return self.pass_on(whole);
        }
        // What the headers that have gone on say of its length stays true.
        let has_said_length = is_taken && self.request.content_length.is_some();
        let may = match (self.request.is_signed || has_said_length || whole > GATHERED_BYTES_MAX, is_taken) {
            (true, _) => May::Nothing,
            (false, true) => May::Body,
            (false, false) if self.gateway.config.pause_headers => May::All,
            (false, false) => May::Body,
        };
        self.rewrite(whole, may, host::now_ms());
        match whole > PAUSED_BYTES_MAX {
            true => self.decide_now(),
            false => self.request_ended(),
        }
    }

    /// A body is longer than what is kept: it goes on as it comes, and is decided on when all is said, at
    /// once.
    fn pass_on(&mut self, received: usize) -> Action {
        let now_ms = host::now_ms();
        let refused = self.phase.call().and_then(|call| self.gateway.budgets.spent_already(call, now_ms));
        match refused {
            Some(refused) => self.refuse(refused, now_ms),
            None => {
                self.request.body = Body::Passes(received);
                Action::Continue
            }
        }
    }

    /// Puts what budgets, rules and metering need into a request of which all is here.
    // Long: one change after the other, each of what the last one left.
    fn rewrite(&mut self, size: usize, may: May, now_ms: u64) {
        let size = self.step_down(size, may, now_ms);
        let clamp = self.phase.call_mut().and_then(|call| self.gateway.clamp(call, now_ms));
        let Some(call) = self.phase.call_mut() else { return };
        if may == May::Nothing {
            // What is not written is refused where it passes a limit.
            return;
        }
        let asks = self.gateway.config.include_usage
            && self.request.may_ask
            && call.request().stream()
            && text_property(INCLUDE_USAGE_PROPERTY).as_deref() != Some("off");
        let policy = self.gateway.budgets.policy();
        let default =
            policy.and_then(|policy| call.default_output_tokens(&policy, self.gateway.book().as_deref()));
        if !asks && default.is_none() && clamp.is_none() {
            return;
        }
        let Ok(mut body) = host::buffer(Buffer::RequestBody, size) else { return };
        let asked = asks.then(|| include_usage::asked(&body)).flatten();
        let is_asked = asked.is_some();
        body = asked.unwrap_or(body);
        let limits = clamp.map(|(tokens, rule)| (tokens, Some(rule))).into_iter();
        let limit = limits.chain(default.map(|tokens| (tokens, None))).min_by_key(|(tokens, _)| *tokens);
        let limited = limit.and_then(|(tokens, rule)| {
            let write = if rule.is_some() { output_limit::lowered } else { output_limit::limited };
            Some((write(&body, call.target(), tokens)?, tokens, rule))
        });
        let mut written = None;
        if let Some((limited, tokens, rule)) = limited {
            body = limited;
            written = Some((tokens, rule));
        }
        if !is_asked && written.is_none() || !self.replace_body(size, &body) {
            return;
        }
        let Some(call) = self.phase.call_mut() else { return };
        if let Some((tokens, rule)) = written {
            if rule.is_some() {
                self.request.shown.push(("x-tollgate-output-limit", tokens.to_string()));
            }
            call.limit_output(tokens, rule);
        }
        if is_asked {
            self.answer.usage_chunk = Some(UsageChunkFilter::default());
        }
    }

    /// Puts a cheaper model into a request whose budget is nearly spent, where a rule says so and it can be
    /// done. Gives how long its body is then.
    fn step_down(&mut self, size: usize, may: May, now_ms: u64) -> usize {
        let gateway = Rc::clone(&self.gateway);
        let Some(policy) = gateway.budgets.policy() else { return size };
        let Some(call) = self.phase.call_mut() else { return size };
        let used = |touched: &Touched<'_>| gateway.budgets.percent_used(touched);
        let Some((rule, model)) = call.step_down(&policy, gateway.budgets.now(now_ms), &used) else {
            return size;
        };
        let mut length = size;
        let in_path = call.target().path_model.clone();
        let is_changed = !rule.shadow
            && match in_path {
                Some(old) => may == May::All && rename_in_path(&old, model),
                None => may != May::Nothing && self.rename_in_body(&mut length, model),
            };
        let Some(call) = self.phase.call_mut() else { return length };
        if is_changed {
            call.rename(model, &rule.name);
            self.request.shown.push(("x-tollgate-model", model.to_owned()));
        } else {
            call.note(&rule.name);
        }
        length
    }

    /// Puts another model into a body of `size` bytes, which is what it has then.
    fn rename_in_body(&self, size: &mut usize, model: &str) -> bool {
        let body = host::buffer(Buffer::RequestBody, *size).ok();
        let renamed = body.and_then(|body| model_name::in_body(&body, model));
        let Some(renamed) = renamed.filter(|renamed| self.replace_body(*size, renamed)) else { return false };
        *size = renamed.len();
        true
    }

    /// Puts another body in the place of one of `size` bytes: with its length, or not at all.
    fn replace_body(&self, size: usize, body: &[u8]) -> bool {
        let has_length = self.gateway.config.pause_headers && self.request.content_length.is_some();
        let say = |length: usize| {
            host::set_header(Headers::Request, "content-length", length.to_string().as_bytes()).is_ok()
        };
        if has_length && !say(body.len()) {
            return false;
        }
        let replaced = host::set_buffer(Buffer::RequestBody, size, body).is_ok();
        if has_length && !replaced {
            say(size);
        }
        replaced
    }

    /// Takes the chunk that nobody asked for out of a piece of the answer. Where a piece cannot be read or
    /// replaced, it and all that follows pass as they come, behind what was held back.
    pub(super) fn take_out(&mut self, piece: Option<&[u8]>, end_of_stream: bool) {
        let Some(filter) = &mut self.answer.usage_chunk else { return };
        let held = filter.held().to_vec();
        if let Some(piece) = piece {
            let mut out = filter.feed(piece);
            if end_of_stream {
                out.extend(filter.finish());
            }
            if out == piece || host::set_buffer(Buffer::ResponseBody, piece.len(), &out).is_ok() {
                return;
            }
        }
        if !held.is_empty() {
            let _ = host::set_buffer(Buffer::ResponseBody, 0, &held);
        }
        self.answer.usage_chunk = None;
    }
}

/// What of a request can still be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum May {
    /// Its path and its body: its headers wait with it.
    All,
    /// Its body: its headers have gone on.
    Body,
    /// Nothing: its caller has signed it, its length was said, or it is too long.
    Nothing,
}

/// Puts another model into the path of a request whose headers wait.
fn rename_in_path(old: &str, new: &str) -> bool {
    let path = host::header(Headers::Request, ":path").ok().and_then(|path| String::from_utf8(path).ok());
    let renamed = path.and_then(|path| model_name::in_path(&path, old, new));
    renamed.is_some_and(|path| host::set_header(Headers::Request, ":path", path.as_bytes()).is_ok())
}

/// Where a route switches the question for usage off.
const INCLUDE_USAGE_PROPERTY: &[u8] = b"xds\0route_metadata\0filter_metadata\0tollgate\0include_usage";
/// Largest request that is rewritten, in bytes.
const GATHERED_BYTES_MAX: usize = 256 * 1024;
/// Largest request that may wait for the collector, in bytes, as Envoy keeps it meanwhile: below its default
/// buffer of 1 MiB.
pub(super) const PAUSED_BYTES_MAX: usize = 960 * 1024;
/// Largest request of which nothing is passed on before it is decided on: the most that Anthropic takes.
/// Source: Claude API, Errors, request size limits (32 MB), as known; not read anew.
const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
