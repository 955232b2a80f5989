//! Why a call-out to the collector was no use, in words, and what to do about it.

use proxy_wasm::types::Status;
use serde::Deserialize;

/// What the collector says of an error: `{"error":{"code","message"}}`.
#[derive(Deserialize)]
struct Said {
    error: Message,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

/// Of an answer that is no acknowledgement. No status stands for no answer.
pub(crate) fn of_answer(status: &[u8], body: &[u8]) -> String {
    let status = String::from_utf8_lossy(status);
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_slice::<Said>(body).ok().map(|said| shown(&said.error.message));
    match (status.as_ref(), said) {
        ("", _) => "no answer: does the collector run, does its cluster in Envoy name its address, and is \
                    `collector.timeout_ms` long enough?"
            .into(),
        ("200", _) => format!("what answered does not acknowledge the request: {WHO}"),
        ("401", None) if text.contains("inject") => {
            format!("401, Envoy has no token to show: is {SECRET} there, readable and not empty?")
        }
        ("401", _) => {
            format!("401, the collector does not know the token: {SECRET} must hold its `ingest.bearer`")
        }
        ("403", said) => format!(
            "403, the token is not for this gateway: {}; use one for its `gateway`, or change that name",
            said.unwrap_or_default()
        ),
        ("404" | "405", said) => {
            format!("status {status} ({}), what answered is no collector: {WHO}", said.unwrap_or_default())
        }
        (_, Some(said)) => format!("status {status}: {said}"),
        ("503", None) if text.contains("invalid header value") => format!(
            "503, Envoy itself refused the request ({}): the token has white space, such as a newline at its end; \
             {SECRET} must hold `ingest.bearer` of the collector",
            shown(&text)
        ),
        ("503" | "504", None) => format!(
            "{status}, Envoy reaches no collector ({}): does it run, and does its cluster name its address?",
            shown(&text)
        ),
        (_, None) => format!("status {status}, what answered is no collector: {WHO}"),
    }
}

/// Of a call-out that Envoy did not make.
pub(crate) fn of_refusal(cluster: &str, status: Status) -> String {
    match status {
        Status::BadArgument => format!(
            "Envoy has no cluster `{cluster}`: add it, or name in `collector.cluster` the one in which the collector is"
        ),
        // Where the request fails within Envoy before it is sent: a credential that cannot be had is the
        // usual reason.
        status => format!(
            "Envoy made no call-out to cluster `{cluster}` ({status:?}), it failed within Envoy: is {SECRET} there, readable \
             for Envoy's user and not empty, and does the `credential_injector` of that cluster name it? Has the cluster an \
             address? Envoy's own log says more"
        ),
    }
}

/// A text of others as one line of a log.
fn shown(text: &str) -> String {
    text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect()
}

const SECRET: &str = "the secret file of the collector's cluster (`collector-token.yaml`)";
const WHO: &str = "does the cluster in `collector.cluster` name the address of `tollgate serve`?";
/// So much is shown of what was answered.
const CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests;
