//! Asking a running collector.

use std::io::{Read as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::header::AUTHORIZATION;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::model::answers::Page;
use crate::model::answers::collector::Failure;
use crate::model::text::printable;
use crate::work::tls;

/// Which collector to ask.
#[derive(Args, Clone, Debug)]
pub(super) struct Collector {
    /// Address of the collector
    #[arg(
        long,
        env = "TOLLGATE_URL",
        default_value = "http://127.0.0.1:8088",
        global = true,
        help_heading = "Collector"
    )]
    url: String,
    /// Token to present to it
    #[arg(long, env = "TOLLGATE_TOKEN", hide_env_values = true, global = true, help_heading = "Collector")]
    token: Option<String>,
    /// PEM file of the authority that the collector's certificate comes from, where it is not a public one
    #[arg(long, env = "TOLLGATE_CA", value_name = "FILE", global = true, help_heading = "Collector")]
    ca: Option<PathBuf>,
}

/// Which collector to ask, and what about.
#[derive(Args, Clone, Debug)]
pub(super) struct Ask {
    /// How far back, such as 90m, 24h, 7d or 4w
    #[arg(long, conflicts_with = "from")]
    since: Option<String>,
    /// Start, such as 2026-11-01 or 2026-11-01T08:00:00Z
    #[arg(long)]
    from: Option<String>,
    /// End, exclusive
    #[arg(long)]
    to: Option<String>,
    /// A calendar month such as 2026-10, in place of start and end
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["since", "from", "to"])]
    month: Option<String>,
    /// Time zone of days and of times without an offset, such as Europe/Berlin
    #[arg(long)]
    tz: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    pub(super) collector: Collector,
}

/// Which calls to ask about.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Filters {
    /// Only this agent; repeat for several
    #[arg(long, help_heading = "Filters")]
    agent: Vec<String>,
    /// Only this team; repeat for several
    #[arg(long, help_heading = "Filters")]
    team: Vec<String>,
    /// Only this feature; repeat for several
    #[arg(long, help_heading = "Filters")]
    feature: Vec<String>,
    /// Only this environment; repeat for several
    #[arg(long, help_heading = "Filters")]
    environment: Vec<String>,
    /// Only this model; repeat for several
    #[arg(long, help_heading = "Filters")]
    model: Vec<String>,
    /// Only this provider; repeat for several
    #[arg(long, help_heading = "Filters")]
    provider: Vec<String>,
    #[command(flatten)]
    further: Box<Further>,
}

/// Filters that are asked for less often.
#[derive(Args, Clone, Debug, Default)]
struct Further {
    /// Only this model asked for; repeat for several
    #[arg(long, help_heading = "Filters")]
    request_model: Vec<String>,
    /// Only this model that answered; repeat for several
    #[arg(long, help_heading = "Filters")]
    response_model: Vec<String>,
    /// Only this operation, such as chat; repeat for several
    #[arg(long, help_heading = "Filters")]
    operation: Vec<String>,
    /// Only this gateway; repeat for several
    #[arg(long, help_heading = "Filters")]
    gateway: Vec<String>,
    /// Only this service tier; repeat for several
    #[arg(long, help_heading = "Filters")]
    service_tier: Vec<String>,
    /// Only this hash of a provider key; repeat for several
    #[arg(long, help_heading = "Filters")]
    key: Vec<String>,
    /// Only attributions by this source: verified, key, route, self_declared, none; repeat for several
    #[arg(long, help_heading = "Filters")]
    attribution_source: Vec<String>,
    /// Leave these out, such as agent=triage; repeat for several
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Filters")]
    not: Vec<String>,
    /// Only calls without an agent or a team
    #[arg(long, help_heading = "Filters")]
    unattributed: bool,
}

impl Filters {
    /// As parameters of a request.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &str)> {
        let repeated = [
            ("agent", &self.agent),
            ("team", &self.team),
            ("feature", &self.feature),
            ("environment", &self.environment),
            ("model", &self.model),
            ("provider", &self.provider),
            ("request_model", &self.further.request_model),
            ("response_model", &self.further.response_model),
            ("operation", &self.further.operation),
            ("gateway", &self.further.gateway),
            ("service_tier", &self.further.service_tier),
            ("key_id", &self.further.key),
            ("attribution_source", &self.further.attribution_source),
            ("not", &self.further.not),
        ];
        repeated
            .into_iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str())))
            .chain(self.further.unattributed.then_some(("unattributed", "true")))
            .collect()
    }
}

impl Ask {
    /// The answer to `GET path` with these and `more` parameters, as the collector wrote it.
    pub(super) fn get<V: AsRef<str>>(&self, path: &str, more: &[(&str, V)]) -> anyhow::Result<String> {
        let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        self.collector.get(path, &self.with(&more))
    }

    /// The same about this time, in place of the one that was told.
    pub(super) fn between(&self, from: &str, to: &str) -> Self {
        let (from, to) = (Some(from.to_owned()), Some(to.to_owned()));
        Self { since: None, from, to, month: None, ..self.clone() }
    }

    /// Whether only calls without an agent or a team are asked for.
    pub(super) const fn is_unattributed(&self) -> bool {
        self.filters.further.unattributed
    }

    /// Takes out the models, for a command where `--model` is no filter.
    pub(super) fn take_models(&mut self) -> Vec<String> {
        std::mem::take(&mut self.filters.model)
    }

    /// Every row of a list that pages by `cursor`, with these parameters.
    pub(super) fn rows<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        self.collector.rows(path, &self.with(&[]))
    }

    /// Writes the answer to `GET path` with these and `more` parameters as it comes, however long it is.
    pub(super) fn download(&self, path: &str, more: &[(&str, &str)], sink: impl Write) -> anyhow::Result<()> {
        self.collector.download(path, &self.with(more), sink)
    }

    /// The answer to `POST path` with these parameters.
    pub(super) fn post(&self, path: &str) -> anyhow::Result<String> {
        self.collector.post(path, &self.with(&[]))
    }

    fn with<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let once = [
            ("since", &self.since),
            ("from", &self.from),
            ("to", &self.to),
            ("month", &self.month),
            ("tz", &self.tz),
        ];
        let once = once.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        once.chain(self.filters.parameters()).chain(more.iter().copied()).collect()
    }
}

impl Collector {
    /// The collector at this address.
    pub(super) const fn at_url(url: String, token: Option<String>, ca: Option<PathBuf>) -> Self {
        Self { url, token, ca }
    }

    /// The answer to `GET path` with these parameters, as the collector wrote it.
    pub(super) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        let request = self.agent()?.get(self.at(path)).query_pairs(parameters.iter().copied());
        self.answer(self.authorized(request).call())
    }

    /// Writes the answer to `GET path` with these parameters as it comes, however long it is.
    pub(super) fn download(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        mut sink: impl Write,
    ) -> anyhow::Result<()> {
        let request = self.agent()?.get(self.at(path)).query_pairs(parameters.iter().copied());
        let config = request.config().timeout_global(None).timeout_recv_response(Some(WAITS));
        let called = self.authorized(config.build()).call();
        let mut response = called.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return self.answer(Ok(response)).map(drop);
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read =
                body.read(&mut piece).with_context(|| format!("the answer of {} broke off", self.url))?;
            match piece.get(..read) {
                None | Some([]) => return Ok(sink.flush()?),
                Some(some) => sink.write_all(some)?,
            }
        }
    }

    /// Every row of a list that pages by `cursor`, with these parameters.
    pub(super) fn rows<T: DeserializeOwned>(
        &self,
        path: &str,
        asked: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut parameters = vec![("limit", PAGE)];
            parameters.extend_from_slice(asked);
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = read(&self.get(path, &parameters)?)?;
            rows.extend(page.rows);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The answer to a request that changes something, with a JSON body unless that is null.
    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<String> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = ureq::http::Request::builder().method(method).uri(self.at(path));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/json").body(text)?;
        self.answer(self.agent()?.run(request))
    }

    /// The answer to `POST path` with these parameters.
    pub(super) fn post(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        let request = self.agent()?.post(self.at(path)).query_pairs(parameters.iter().copied());
        self.answer(self.authorized(request).send_empty())
    }

    /// The answer to `POST path` with this body.
    pub(super) fn post_body(&self, path: &str, body: &str) -> anyhow::Result<String> {
        self.answer(self.authorized(self.agent()?.post(self.at(path))).send(body))
    }

    /// The answer to `POST path` with these parameters and this body.
    pub(super) fn post_about(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<String> {
        let request = self.agent()?.post(self.at(path)).query_pairs(parameters.iter().copied());
        self.answer(self.authorized(request).send(body))
    }

    /// The answer to `PUT path`.
    pub(super) fn put(&self, path: &str) -> anyhow::Result<String> {
        self.answer(self.authorized(self.agent()?.put(self.at(path))).send_empty())
    }

    fn agent(&self) -> anyhow::Result<ureq::Agent> {
        let mut config =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(WAITS));
        if let Some(path) = &self.ca {
            let roots = tls::certificates(path)?;
            let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
            let roots = RootCerts::new_with_certs(&roots);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(ureq::Agent::new_with_config(config.build()))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    fn answer(
        &self,
        called: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<String> {
        let mut response = called.map_err(|error| self.unreachable(&error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(BODY_BYTES_MAX)
            .read_to_string()
            .with_context(|| format!("the answer of {} broke off", self.url))?;
        if response.status().is_success() {
            return Ok(body);
        }
        bail!("{}", refusal(&body, response.status().as_u16(), &self.url))
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        let url = &self.url;
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                anyhow::anyhow!("`{url}` is not an address such as http://127.0.0.1:8088 ({error})")
            }
            error => anyhow::anyhow!(
                "no collector answers at {url} ({error}); start one with `tollgate serve`, or name another with \
                 --url or TOLLGATE_URL"
            ),
        }
    }
}

/// A text as one segment of a path: what has a meaning there is escaped.
pub(super) fn segment(text: &str) -> String {
    let is_dots = matches!(text, "." | "..");
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' if is_dots => escaped.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Reads an answer. Members that are not known here are passed over: a newer collector may say more.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body)
        .context("the answer cannot be read; is this a Tollgate collector of this version? --url or TOLLGATE_URL names another")
}

fn refusal(body: &str, status: u16, url: &str) -> String {
    match serde_json::from_str::<Failure>(body) {
        Ok(failure) => printable(&failure.error.message),
        Err(_) => format!(
            "{url} answers with status {status}, and not as a Tollgate collector does; name yours with --url or TOLLGATE_URL"
        ),
    }
}

/// No further parameters.
pub(super) const NONE: &[(&str, &str)] = &[];
/// Rows of one request.
const PAGE: &str = "1000";
/// How long an answer may take.
const WAITS: Duration = Duration::from_secs(60);
/// Bytes of a long answer that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest answer that is read.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        ask: Ask,
    }

    #[test]
    fn a_name_is_one_segment_of_a_path_whatever_it_has() {
        for (text, expected) in [
            ("support-monthly_1.0~", "support-monthly_1.0~"),
            ("a/b?c#d e%", "a%2Fb%3Fc%23d%20e%25"),
            ("..", "%2E%2E"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(segment(text), expected);
        }
    }

    #[test]
    fn an_answer_is_read_with_a_member_more_and_not_with_one_less() {
        assert_eq!(read::<Page<u64>>(r#"{"rows":[1],"newer":{}}"#).unwrap().rows, [1]);
        for (body, expected) in [(r#"{"newer":{}}"#, "missing field `rows`"), ("<html>", "expected value")] {
            let error = format!("{:#}", read::<Page<u64>>(body).unwrap_err());
            assert!(error.contains("is this a Tollgate collector") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_list_is_asked_for_page_by_page_to_its_end() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for page in [
                r#"{"rows":[1,2],"next_cursor":"a-1"}"#,
                r#"{"rows":[3],"next_cursor":"b"}"#,
                r#"{"rows":[]}"#,
            ] {
                let (mut stream, _) = server.accept().unwrap();
                let mut request = [0; 2048];
                let read = stream.read(&mut request).unwrap();
                asked.push(String::from_utf8_lossy(&request[..read]).lines().next().unwrap().to_owned());
                let length = page.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{page}"
                )
                .unwrap();
            }
            asked
        });
        let url = format!("http://{address}");
        let Command { ask } = Command::parse_from(["x", "--url", &url, "--since", "7d", "--agent", "a"]);
        assert_eq!(ask.rows::<u64>("/list").unwrap(), [1, 2, 3]);
        let asked: Vec<String> = ["", "&cursor=a-1", "&cursor=b"]
            .map(|cursor| format!("GET /list?limit=1000&since=7d&agent=a{cursor} HTTP/1.1"))
            .into();
        assert_eq!(answers.join().unwrap(), asked);
    }
}
