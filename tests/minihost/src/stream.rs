//! One HTTP exchange, as Envoy passes it through the module: callback by callback, so that several can be
//! mixed.

use std::collections::VecDeque;

use wasmtime::Result;

use crate::host::{HttpState, Pair, Phase, Reply};
use crate::random::Random;
use crate::vm::Vm;

/// What caller and provider say.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// Its name in messages.
    pub name: String,
    /// Request headers, pseudo-headers included.
    pub request: Vec<Pair>,
    /// Request body.
    pub request_body: Vec<u8>,
    /// Response headers, `:status` included.
    pub response: Vec<Pair>,
    /// Response body.
    pub response_body: Vec<u8>,
}

impl Exchange {
    /// Whether it is a websocket.
    pub fn is_session(&self) -> bool {
        self.response.iter().any(|(name, value)| name == b":status" && value == b"101")
    }
}

/// How an answer ends, as Envoy was seen to end them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndShape {
    /// An empty body callback with the end of the stream.
    EmptyPiece,
    /// The end comes with the last piece.
    WithData,
    /// In trailers.
    Trailers,
}

/// How an exchange is cut up, and where it ends.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Seed of the cuts.
    pub seed: u64,
    /// Longest piece in bytes; 0 for all in one.
    pub piece_max: usize,
    /// How both bodies end.
    pub end: EndShape,
    /// The stream ends behind so many callbacks.
    pub abort_after: Option<usize>,
    /// Filter has `allow_on_headers_stop_iteration`.
    pub may_pause_headers: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { seed: 0, piece_max: 0, end: EndShape::EmptyPiece, abort_after: None, may_pause_headers: true }
    }
}

/// What went on, and what happened.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Request headers as the provider got them.
    pub provider_headers: Option<Vec<Pair>>,
    /// Request body as the provider got it.
    pub provider_body: Vec<u8>,
    /// The provider got the whole request.
    pub request_complete: bool,
    /// Response headers as the caller got them.
    pub caller_headers: Vec<Pair>,
    /// Response body as the caller got it.
    pub caller_body: Vec<u8>,
    /// The caller got the whole answer.
    pub response_complete: bool,
    /// The module's own answer.
    pub reply: Option<Reply>,
    /// Envoy's timeout ended it.
    pub timed_out: bool,
    /// Callbacks so far.
    pub callbacks: usize,
    /// What the module set for access loggers.
    pub filter_state: Vec<(String, Vec<u8>)>,
}

impl Seen {
    /// Whether it asked for a result or opened a session: neither is a call of its own.
    pub fn is_fetch_or_session(&self) -> bool {
        let headers = self.provider_headers.as_deref().unwrap_or_default();
        headers.iter().any(|(name, value)| name == b":method" && value == b"GET")
    }
}

#[derive(Clone, Debug)]
enum Step {
    RequestHeaders { end: bool },
    RequestPiece { bytes: Vec<u8>, end: bool },
    RequestTrailers,
    ResponseHeaders { end: bool },
    ResponsePiece { bytes: Vec<u8>, end: bool },
    ResponseTrailers,
}

/// What a stream does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// The module has paused it.
    Waits,
    /// It is over, and the module has forgotten it.
    Over,
}

/// A stream under way.
#[derive(Debug)]
pub struct Stream {
    /// Its context.
    pub id: u32,
    exchange: Exchange,
    manner: Manner,
    steps: VecDeque<Step>,
    paused: bool,
    /// What went on.
    pub seen: Seen,
}

impl Stream {
    /// A stream that has just begun. `properties` are Envoy attributes by path, names joined by NUL.
    ///
    /// # Errors
    /// The module traps.
    pub fn begin(
        vm: &mut Vm,
        exchange: Exchange,
        manner: Manner,
        properties: &[(&[u8], &[u8])],
    ) -> Result<Self> {
        let id = vm.new_stream()?;
        let state = state(vm, id);
        state.request.clone_from(&exchange.request);
        for (path, value) in properties {
            state.properties.insert(path.to_vec(), value.to_vec());
        }
        let steps = steps(&exchange, &manner);
        Ok(Self { id, exchange, manner, steps, paused: false, seen: Seen::default() })
    }

    /// Does what comes next.
    ///
    /// # Errors
    /// The module traps.
    pub fn step(&mut self, vm: &mut Vm) -> Result<Progress> {
        if self.manner.abort_after.is_some_and(|after| self.seen.callbacks >= after) {
            self.end(vm, "downstream_remote_disconnect")?;
            return Ok(Progress::Over);
        }
        self.take_reply(vm)?;
        if self.paused && state(vm, self.id).resumed {
            self.paused = false;
            self.pass_request(vm);
        }
        let may_go = match self.steps.front() {
            None => {
                let details = if self.seen.reply.is_some() { "tollgate" } else { "via_upstream" };
                self.end(vm, details)?;
                return Ok(Progress::Over);
            }
            Some(Step::RequestPiece { .. } | Step::RequestTrailers) => true,
            Some(_) => !self.paused,
        };
        if !may_go {
            return Ok(Progress::Waits);
        }
        if let Some(step) = self.steps.pop_front() {
            self.seen.callbacks += 1;
            self.act(vm, step)?;
            self.take_reply(vm)?;
        }
        Ok(Progress::More)
    }

    /// Envoy's timeout ends it: what comes next is the end.
    pub fn time_out(&mut self) {
        self.manner.abort_after = Some(0);
        self.seen.timed_out = true;
    }

    fn act(&mut self, vm: &mut Vm, step: Step) -> Result<()> {
        vm.host().effective = self.id;
        match step {
            Step::RequestHeaders { end } => {
                enter(vm, self.id, Phase::RequestHeaders);
                let count = u32::try_from(self.exchange.request.len())?;
                let action: u32 = vm.call("proxy_on_request_headers", (self.id, count, u32::from(end)))?;
                self.paused = action != CONTINUE;
                state(vm, self.id).headers_wait = self.paused && self.manner.may_pause_headers;
                self.seen.request_complete = end;
                if !self.paused {
                    self.pass_request(vm);
                }
            }
            Step::RequestPiece { bytes, end } => {
                enter(vm, self.id, Phase::RequestBody);
                let state = state(vm, self.id);
                state.request_body.extend(bytes);
                let size = u32::try_from(state.request_body.len())?;
                let action: u32 = vm.call("proxy_on_request_body", (self.id, size, u32::from(end)))?;
                self.paused = action != CONTINUE;
                self.seen.request_complete = end;
                if !self.paused {
                    self.pass_request(vm);
                }
            }
            Step::RequestTrailers => {
                enter(vm, self.id, Phase::RequestBody);
                let action: u32 = vm.call("proxy_on_request_trailers", (self.id, 0))?;
                self.paused = action != CONTINUE;
                self.seen.request_complete = true;
                if !self.paused {
                    self.pass_request(vm);
                }
            }
            Step::ResponseHeaders { end } => {
                state(vm, self.id).response.clone_from(&self.exchange.response);
                self.response_headers(vm, end)?;
            }
            Step::ResponsePiece { bytes, end } => {
                state(vm, self.id).response_body = bytes;
                self.response_piece(vm, end)?;
            }
            Step::ResponseTrailers => {
                enter(vm, self.id, Phase::ResponseBody);
                vm.call::<(u32, u32), u32>("proxy_on_response_trailers", (self.id, 0))?;
                self.seen.response_complete = true;
            }
        }
        enter(vm, self.id, Phase::Outside);
        Ok(())
    }

    fn response_headers(&mut self, vm: &mut Vm, end: bool) -> Result<()> {
        enter(vm, self.id, Phase::ResponseHeaders);
        let count = u32::try_from(state(vm, self.id).response.len())?;
        vm.call::<(u32, u32, u32), u32>("proxy_on_response_headers", (self.id, count, u32::from(end)))?;
        self.seen.caller_headers.clone_from(&state(vm, self.id).response);
        self.seen.response_complete = end;
        Ok(())
    }

    fn response_piece(&mut self, vm: &mut Vm, end: bool) -> Result<()> {
        enter(vm, self.id, Phase::ResponseBody);
        let size = u32::try_from(state(vm, self.id).response_body.len())?;
        vm.call::<(u32, u32, u32), u32>("proxy_on_response_body", (self.id, size, u32::from(end)))?;
        self.seen.caller_body.append(&mut state(vm, self.id).response_body);
        self.seen.response_complete |= end;
        Ok(())
    }

    /// What waited goes to the provider.
    fn pass_request(&mut self, vm: &mut Vm) {
        let state = state(vm, self.id);
        state.headers_wait = false;
        if self.seen.provider_headers.is_none() {
            self.seen.provider_headers = Some(state.request.clone());
        }
        self.seen.provider_body.append(&mut state.request_body);
    }

    /// The module answered itself: before the answer's headers that takes its place, behind them it ends the
    /// stream.
    fn take_reply(&mut self, vm: &mut Vm) -> Result<()> {
        if self.seen.reply.is_some() {
            return Ok(());
        }
        let Some(reply) = state(vm, self.id).reply.clone() else { return Ok(()) };
        self.steps.clear();
        self.seen.reply = Some(reply.clone());
        self.paused = false;
        if !self.seen.caller_headers.is_empty() {
            return Ok(());
        }
        vm.host().effective = self.id;
        let mut headers = vec![(b":status".to_vec(), reply.status.to_string().into_bytes())];
        headers.extend(reply.headers.clone());
        state(vm, self.id).response = headers;
        self.response_headers(vm, reply.body.is_empty())?;
        if !reply.body.is_empty() {
            state(vm, self.id).response_body = reply.body;
            self.response_piece(vm, true)?;
        }
        enter(vm, self.id, Phase::Outside);
        Ok(())
    }

    /// `on_log`, `on_done`, `on_delete`.
    fn end(&mut self, vm: &mut Vm, details: &str) -> Result<()> {
        vm.host().effective = self.id;
        let path = b"response\0code_details".to_vec();
        state(vm, self.id).properties.insert(path, details.as_bytes().to_vec());
        enter(vm, self.id, Phase::Log);
        vm.call::<u32, ()>("proxy_on_log", self.id)?;
        enter(vm, self.id, Phase::Done);
        vm.call::<u32, u32>("proxy_on_done", self.id)?;
        if let Some(state) = vm.host().streams.remove(&self.id) {
            self.seen.filter_state = state.filter_state.into_iter().collect();
        }
        vm.call::<u32, ()>("proxy_on_delete", self.id)
    }
}

/// Cuts a body into pieces of one to `piece_max` bytes; in one where that is 0.
#[must_use]
pub fn cut(body: &[u8], piece_max: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let size = if piece_max == 0 { rest.len() } else { 1 + random.below(piece_max) };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

fn steps(exchange: &Exchange, manner: &Manner) -> VecDeque<Step> {
    let mut random = Random::new(manner.seed);
    let request = cut(&exchange.request_body, manner.piece_max, &mut random);
    let response = cut(&exchange.response_body, manner.piece_max, &mut random);
    let requests =
        ended(request, manner.end, |bytes, end| Step::RequestPiece { bytes, end }, Step::RequestTrailers);
    let responses =
        ended(response, manner.end, |bytes, end| Step::ResponsePiece { bytes, end }, Step::ResponseTrailers);
    let mut steps = VecDeque::new();
    if exchange.is_session() {
        steps.push_back(Step::RequestHeaders { end: false });
        steps.push_back(Step::ResponseHeaders { end: false });
        // Both sides talk at once.
        let (mut requests, mut responses) = (VecDeque::from(requests), VecDeque::from(responses));
        while !requests.is_empty() || !responses.is_empty() {
            let side = if random.chance(500) { &mut requests } else { &mut responses };
            steps.extend(side.pop_front());
        }
        return steps;
    }
    steps.push_back(Step::RequestHeaders { end: exchange.request_body.is_empty() });
    if !exchange.request_body.is_empty() {
        steps.extend(requests);
    }
    steps.push_back(Step::ResponseHeaders { end: exchange.response_body.is_empty() });
    if !exchange.response_body.is_empty() {
        steps.extend(responses);
    }
    steps
}

fn ended(
    pieces: Vec<Vec<u8>>,
    shape: EndShape,
    piece: impl Fn(Vec<u8>, bool) -> Step,
    trailers: Step,
) -> Vec<Step> {
    let last = pieces.len();
    let mut steps: Vec<Step> = pieces
        .into_iter()
        .enumerate()
        .map(|(index, bytes)| piece(bytes, shape == EndShape::WithData && index + 1 == last))
        .collect();
    match shape {
        EndShape::EmptyPiece => steps.push(piece(Vec::new(), true)),
        EndShape::Trailers => steps.push(trailers),
        EndShape::WithData => {}
    }
    steps
}

fn state(vm: &mut Vm, id: u32) -> &mut HttpState {
    vm.host().streams.entry(id).or_default()
}

fn enter(vm: &mut Vm, id: u32, phase: Phase) {
    state(vm, id).phase = phase;
}

const CONTINUE: u32 = 0;
