//! The request's headers: who calls, what for, and how the body comes.

use tollgate_core::attribution::key_id::Credentials;
use tollgate_core::attribution::{AttributionReader, Handling};
use tollgate_core::budget::policy::Policy;
use tollgate_core::call::{Call, Identity, identify, trust};
use tollgate_core::protocol::config::TrustedValue;
use tollgate_core::provider::{Addressed, Api, RequestLine};
use tollgate_core::request::Content;

use super::HttpCall;
use crate::call::stream::text_property;
use crate::host::{self, Headers};
use crate::shared::deferred;

/// What the request headers say that the filter needs.
#[derive(Default)]
pub(crate) struct RequestHead {
    pub(super) content_length: Option<usize>,
    pub(super) method: Vec<u8>,
    pub(super) path: String,
    pub(super) authority: String,
    /// How its body comes.
    pub(super) content: Content,
    /// Asks for another protocol on its connection, or for a tunnel.
    pub(super) upgrades: bool,
    /// Headers that may decide a price.
    pub(super) deciding: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) credentials: Credentials,
    /// Its caller has signed it, as callers of AWS do.
    pub(super) is_signed: bool,
    /// The model that the AI SDK names in a header.
    pub(super) model: String,
    #[cfg(feature = "test-panic")]
    pub(super) panic_at: Vec<u8>,
}

impl HttpCall {
    /// Reads all request headers in one host call; removes those that speak of attribution.
    pub(super) fn read_request_head(&self) -> (RequestHead, AttributionReader<'_>) {
        let mut head = RequestHead::default();
        let mut reader = AttributionReader::new(&self.gateway.config.attribution);
        let pairs = host::header_pairs(Headers::Request).unwrap_or_default();
        if pairs.iter().next().is_none() {
            self.gateway.count("tollgate_requests_unread_total");
        }
        for (name, value) in pairs.iter() {
            match name {
                b":method" => head.method = value.to_vec(),
                b":path" => head.path = String::from_utf8_lossy(value).into_owned(),
                b":authority" => head.authority = String::from_utf8_lossy(value).into_owned(),
                b"content-type" => head.content.of_type(value),
                b"content-length" => {
                    let text = std::str::from_utf8(value).ok();
                    head.content_length = text.and_then(|length| length.parse().ok());
                }
                b"ai-language-model-id" | b"ai-model-id" => {
                    head.model = String::from_utf8_lossy(value).into_owned();
                }
                name if name.starts_with(b"x-amzn-bedrock-") => {
                    head.deciding.push((name.to_vec(), value.to_vec()));
                }
                b"upgrade" => head.upgrades |= !value.is_empty(),
                b"content-encoding" => head.content.encoding(value),
                b"authorization"
                | b"x-api-key"
                | b"x-goog-api-key"
                | b"api-key"
                | b"ocp-apim-subscription-key"
                | b"sec-websocket-protocol" => {
                    head.is_signed |= value.starts_with(b"AWS4-");
                    // Without a secret nobody asks for the key.
                    if !self.gateway.key_secret.is_empty() {
                        head.credentials.header(name, value);
                    }
                }
                #[cfg(feature = "test-panic")]
                b"x-tollgate-test-panic" => head.panic_at = value.to_vec(),
                _ => {}
            }
            let Ok(text) = std::str::from_utf8(name) else { continue };
            let handled = match reader.header(text, value) {
                Handling::Keep => Ok(()),
                Handling::Remove => host::remove_header(Headers::Request, name),
                Handling::Replace(rest) => host::set_header(Headers::Request, text, &rest),
            };
            if handled.is_err() {
                log::warn!("attribution header {text} could not be removed");
            }
        }
        (head, reader)
    }

    // Long: what the head says, step by step, in the order that Envoy needs.
    pub(super) fn begin(
        &self,
        head: &mut RequestHead,
        reader: AttributionReader<'_>,
        end_of_stream: bool,
        now_ms: u64,
    ) -> Option<Box<Call>> {
        if head.method.is_empty() {
            // The host could not say what is asked for: nothing that is read of it could be told from
            // anything else.
            return None;
        }
        // Before the route is asked for: a changed header makes Envoy choose it anew.
        let _ = host::set_header(Headers::Request, "accept-encoding", b"identity");
        let configured = PROVIDER_PROPERTIES.iter().find_map(|path| text_property(path));
        let line = RequestLine {
            configured: configured.as_deref(),
            authority: &head.authority,
            path: &head.path,
            method: &head.method,
            model: &head.model,
            upgrades: head.upgrades,
            is_bare: end_of_stream,
        };
        let Addressed { target, reads, is_no_call } = line.addressed();
        if is_no_call || reads && target.api == Api::Deferred {
            self.gateway.count("tollgate_reads_total");
        }
        if is_no_call {
            return None;
        }
        let (mut attribution, mut source) = reader.finish();
        self.gateway.budgets.ensure_policy(&self.gateway.config, now_ms);
        let policy = self.gateway.budgets.policy().filter(|policy| !policy.rules.is_empty());
        let has_sources =
            |policy: &Policy| !self.gateway.config.trusted.is_empty() || !policy.rules.keys.is_empty();
        let said = policy.as_deref().is_some_and(has_sources).then(|| attribution.clone());
        let said_by_envoy = |one: &TrustedValue| host::property(one.property.join("\0").as_bytes()).ok();
        trust(&self.gateway.config.trusted, said_by_envoy, (&mut attribution, &mut source));
        let fetched = target.fetches.as_deref().and_then(|id| deferred::recall(&target.provider, id));
        let is_fetched = fetched.is_some();
        if let Some(work) = fetched {
            (attribution, source) = (work.attribution, work.source);
        }
        let secret = &self.gateway.key_secret;
        let mut credentials = std::mem::take(&mut head.credentials);
        let key_id = match secret.is_empty() {
            true => None,
            false => {
                credentials.path(&head.path);
                credentials.key_id(&target.provider, secret)
            }
        };
        let mut identity = Identity::default();
        if let (Some(policy), false) = (&policy, is_fetched) {
            // A second key beside one that is somebody's does not hide whose that is.
            let mut ids = credentials.key_ids(&target.provider, secret);
            let own = key_id.clone().or_else(|| ids.find(|id| policy.rules.key(id).is_some()));
            let is = (&mut attribution, &mut source);
            identity = identify(policy, own.as_deref(), said.as_ref(), is);
        }
        let mut call = Box::new(Call::begin(self.gateway.call_id(now_ms), now_ms, target, &head.path));
        call.attribute(attribution, source);
        call.use_key(key_id);
        if reads {
            call.reads();
        }
        if call.target().api.is_session() {
            call.opens_session();
        } else if let Some(key) = self.gateway.print_key {
            call.request().print(key);
        }
        head.content.tell(call.request());
        call.identified(identity);
        if !self.gateway.budgets.is_idle() {
            call.request().watch_bounds();
        }
        if call.target().provider == "bedrock" {
            for (name, value) in &head.deciding {
                call.request().header(name, value);
            }
        }
        Some(call)
    }
}

/// Where `provider` may be configured, the route before the cluster.
const PROVIDER_PROPERTIES: &[&[u8]] = &[
    b"xds\0route_metadata\0filter_metadata\0tollgate\0provider",
    b"xds\0cluster_metadata\0filter_metadata\0tollgate\0provider",
];
