//! What a request is addressed to, and whether it is a call at all: by its head.

use super::{Api, Target};

/// What the head of a request says of where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestLine<'a> {
    /// The provider id of the route's or the cluster's metadata.
    pub configured: Option<&'a str>,
    /// `:authority`.
    pub authority: &'a str,
    /// `:path`, with its query.
    pub path: &'a str,
    /// `:method`, upper case.
    pub method: &'a [u8],
    /// The model of a header: see [`Target::named_by_header`].
    pub model: &'a str,
    /// Asks for another protocol on its connection, or for a tunnel.
    pub upgrades: bool,
    /// Nothing follows its head.
    pub is_bare: bool,
}

/// What a request is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addressed {
    /// To what it goes.
    pub target: Target,
    /// It only reads: that starts nothing.
    pub reads: bool,
    /// It reads, and is no call.
    pub is_no_call: bool,
}

impl RequestLine<'_> {
    /// What the request is.
    pub fn addressed(&self) -> Addressed {
        let is_tunnel = self.method == b"CONNECT";
        // A websocket begins with a GET: what else asks for an upgrade is the call that it is without one.
        let upgrades = is_tunnel || self.upgrades && self.method == b"GET";
        let recognise = if upgrades { Target::recognise_upgrade } else { Target::recognise };
        let mut target =
            recognise(self.configured, self.authority, self.path).named_by_header(self.path, self.model);
        let reads = self.is_bare && matches!(self.method, b"GET" | b"HEAD" | b"OPTIONS" | b"DELETE");
        if !reads && !upgrades {
            target.writes(self.path);
        }
        let fetches = target.fetches.is_some() || target.api == Api::Deferred;
        let is_read = self.is_bare && self.method != b"POST" && !(self.method == b"GET" && fetches);
        Addressed { target, reads, is_no_call: is_read && !upgrades }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_is_no_call_unless_it_fetches_deferred_work_or_opens_a_session() {
        for (method, path, upgrades, is_bare, expected) in [
            ("POST", "/v1/chat/completions", false, false, "ChatCompletions"),
            ("POST", "/v1/chat/completions", false, true, "ChatCompletions"),
            ("GET", "/v1/models", false, true, "no call"),
            ("DELETE", "/v1/files/f", false, true, "no call"),
            ("GET", "/v1/batches/b", false, true, "Deferred, reads"),
            ("GET", "/v1/realtime?model=m", true, true, "Realtime, reads"),
            ("POST", "/v1/chat/completions", true, false, "ChatCompletions"),
            ("CONNECT", "/v1/chat/completions", false, false, "Unmetered"),
        ] {
            let line = RequestLine {
                configured: Some("openai"),
                path,
                method: method.as_bytes(),
                upgrades,
                is_bare,
                ..RequestLine::default()
            };
            let Addressed { target, reads, is_no_call } = line.addressed();
            let api = format!("{:?}{}", target.api, if reads { ", reads" } else { "" });
            assert_eq!(if is_no_call { "no call" } else { &api }, expected, "{method} {path}");
        }
    }
}
