//! The request's headers: who calls, what for, and how the body comes.

use tollgate_core::attribution::key_id::Credentials;
use tollgate_core::attribution::{AttributionReader, AttributionSource, Handling, distrust, set_trusted};
use tollgate_core::budget::policy::Policy;
use tollgate_core::call::{Call, Identity, identify};
use tollgate_core::provider::{Api, Target};

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
    pub(super) is_json: bool,
    /// The content type of a form.
    pub(super) form: Vec<u8>,
    pub(super) has_content_type: bool,
    /// Two content types: some servers take the first, some the last.
    pub(super) is_told_twice: bool,
    pub(super) encoded: bool,
    /// Asks for another protocol on its connection, or for a tunnel.
    pub(super) upgrades: bool,
    /// Headers that may decide a price.
    pub(super) deciding: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) credentials: Credentials,
    /// The model that the AI SDK names in a header.
    pub(super) model: String,
    #[cfg(feature = "test-panic")]
    pub(super) panic_at: Vec<u8>,
}

impl HttpCall {
    /// Reads all request headers in one host call; removes those that speak of attribution.
    pub(super) fn read_request_head(&self) -> (RequestHead, AttributionReader<'_>) {
        let mut head = RequestHead { is_json: true, ..RequestHead::default() };
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
                b"content-type" => {
                    let is_form = contains(value.get(..FORM.len()).unwrap_or_default(), FORM);
                    head.is_told_twice |= std::mem::replace(&mut head.has_content_type, true);
                    head.is_json = !is_form && contains(value, b"json");
                    head.form = if is_form { value.to_vec() } else { Vec::new() };
                }
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
                b"content-encoding" => head.encoded = value != b"identity",
                // Without a secret nobody asks for the key.
                b"authorization" | b"x-api-key" | b"x-goog-api-key" | b"api-key"
                    if !self.gateway.key_secret.is_empty() =>
                {
                    head.credentials.header(name, value);
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
        let is_tunnel = head.method == b"CONNECT";
        // A websocket begins with a GET: what else asks for an upgrade is the call that it is without one.
        let upgrades = is_tunnel || head.upgrades && head.method == b"GET";
        let recognise = if upgrades { Target::recognise_upgrade } else { Target::recognise };
        let mut target = recognise(configured.as_deref(), &head.authority, &head.path)
            .named_by_header(&head.path, &head.model);
        let reads =
            end_of_stream && matches!(head.method.as_slice(), b"GET" | b"HEAD" | b"OPTIONS" | b"DELETE");
        if !reads && !upgrades {
            target.writes(&head.path);
        }
        let fetches = target.fetches.is_some() || target.api == Api::Deferred;
        let is_read = end_of_stream && head.method != b"POST" && !(head.method == b"GET" && fetches);
        if is_read && !upgrades {
            self.gateway.count("tollgate_reads_total");
            return None;
        }
        if reads && target.api == Api::Deferred {
            self.gateway.count("tollgate_reads_total");
        }
        let (mut attribution, mut source) = reader.finish();
        self.gateway.budgets.ensure_policy(&self.gateway.config, now_ms);
        let policy = self.gateway.budgets.policy().filter(|policy| !policy.rules.is_empty());
        let has_sources =
            |policy: &Policy| !self.gateway.config.trusted.is_empty() || !policy.rules.keys.is_empty();
        let said = policy.as_deref().is_some_and(has_sources).then(|| attribution.clone());
        for trusted in &self.gateway.config.trusted {
            distrust(&mut attribution, trusted.field);
        }
        for trusted in &self.gateway.config.trusted {
            if attribution.trusted.contains(trusted.field) {
                // The first that is there.
                continue;
            }
            let path = trusted.property.join("\0");
            if let Ok(value) = host::property(path.as_bytes())
                && !value.is_empty()
            {
                set_trusted(&mut attribution, trusted.field, &value);
                source = stronger(source, trusted.source);
            }
        }
        let fetched = target.fetches.as_deref().and_then(|id| deferred::recall(&target.provider, id));
        let is_fetched = fetched.is_some();
        if let Some(work) = fetched {
            (attribution, source) = (work.attribution, work.source);
        }
        let key_id = match self.gateway.key_secret.is_empty() {
            true => None,
            false => {
                let mut credentials = std::mem::take(&mut head.credentials);
                credentials.path(&head.path);
                credentials.key_id(&target.provider, &self.gateway.key_secret)
            }
        };
        let mut identity = Identity::default();
        if let (Some(policy), false) = (&policy, is_fetched) {
            let is = (&mut attribution, &mut source);
            identity = identify(policy, key_id.as_deref(), said.as_ref(), is);
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
        if !head.form.is_empty() {
            call.request().form(&head.form);
        }
        if head.encoded || head.is_told_twice || !head.is_json && head.form.is_empty() {
            call.request().unread();
        }
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

/// The content type of forms.
const FORM: &[u8] = b"multipart/form-data";

/// The stronger of two sources.
fn stronger(one: AttributionSource, other: AttributionSource) -> AttributionSource {
    let strength = |source: AttributionSource| match source {
        AttributionSource::Verified => 4,
        AttributionSource::Key => 3,
        AttributionSource::Route => 2,
        AttributionSource::SelfDeclared => 1,
        AttributionSource::None => 0,
    };
    if strength(other) > strength(one) { other } else { one }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// Where `provider` may be configured, the route before the cluster.
const PROVIDER_PROPERTIES: &[&[u8]] = &[
    b"xds\0route_metadata\0filter_metadata\0tollgate\0provider",
    b"xds\0cluster_metadata\0filter_metadata\0tollgate\0provider",
];
