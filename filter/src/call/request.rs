//! What is known of a request besides the call, and where its body is.

use tollgate_core::call::Call;
use tollgate_core::request::include_usage;

use super::head::RequestHead;
use crate::gateway::taken::Taken;

/// A request, from its head on.
#[derive(Default)]
pub(super) struct Request {
    /// How long its body is to be, in bytes, where its head says so.
    pub(super) content_length: Option<usize>,
    /// It is a `POST`.
    pub(super) posts: bool,
    /// It asks for another protocol on its connection: its body has no end of its own.
    pub(super) upgrades: bool,
    /// Usage is asked for where the route does not switch that off.
    pub(super) may_ask: bool,
    /// Its caller has signed it: nothing of it may be changed.
    pub(super) is_signed: bool,
    /// Headers that its answer is to have, as it was changed.
    pub(super) shown: Vec<(&'static str, String)>,
    /// Where its body is.
    pub(super) body: Body,
}

/// Where the body of a request is, as it comes.
pub(super) enum Body {
    /// It goes on to the provider as it comes; so many bytes have.
    Passes(usize),
    /// It waits in Envoy until all of it is here; so many bytes have been read.
    Waits(usize),
    /// It waits here: nobody said how long it is, and Envoy answers 413 where it has to keep too much.
    Taken(Taken),
}

impl Request {
    /// The request of a call, of which only the head is known.
    pub(super) fn of(head: &RequestHead, call: &Call) -> Self {
        Self {
            content_length: head.content_length,
            posts: head.method == b"POST",
            upgrades: head.upgrades,
            may_ask: include_usage::is_needed(call.target(), &head.path),
            is_signed: head.is_signed || call.target().provider == "bedrock" && signs(&head.path),
            shown: Vec::new(),
            body: Body::default(),
        }
    }

    /// Whether a body of which so many bytes are here is as long as its head says.
    pub(super) fn is_all(&self, bytes: usize) -> bool {
        self.content_length.is_some_and(|length| bytes >= length)
    }

    /// Whether some of the body has gone on to the provider.
    pub(super) const fn has_passed(&self) -> bool {
        matches!(self.body, Body::Passes(1..))
    }
}

/// Whether an address is signed, as AWS's SDKs do it for those that are to be called later.
fn signs(path: &str) -> bool {
    path.as_bytes().windows(SIGNATURE.len()).any(|window| window.eq_ignore_ascii_case(SIGNATURE))
}

const SIGNATURE: &[u8] = b"x-amz-signature=";

impl Default for Body {
    fn default() -> Self {
        Self::Passes(0)
    }
}
