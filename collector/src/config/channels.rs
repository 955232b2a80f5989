//! `[channels.NAME]`: where alerts go.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::document::{Document, Section};

/// Where alerts go, and how many.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Channel {
    /// What is spoken there.
    pub target: Target,
    /// Whether addresses of private networks are allowed.
    pub allow_private: bool,
    /// The zone of the people who read it.
    pub zone: TimeZone,
    /// Times of day in which only what is critical is sent.
    pub quiet: Option<Quiet>,
    /// Most messages of a minute; what is more waits.
    pub per_minute: u64,
    /// Alerts are gathered for this long and sent as one message; 0, where the file says nothing, sends each
    /// at once.
    pub digest_minutes: u64,
}

/// What is spoken at a channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Slack's incoming webhook.
    Slack {
        /// Its address, which is a secret.
        url: Secret,
    },
    /// PagerDuty's Events API, version 2.
    PagerDuty {
        /// Where it is.
        url: String,
        /// The integration's key.
        routing_key: Secret,
    },
    /// A webhook signed as Standard Webhooks describe.
    Webhook {
        /// Its address.
        url: String,
        /// `whsec_` and base64.
        secret: Secret,
    },
    /// Mail by SMTP.
    Email(Email),
}

/// A mail server and who writes to whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Email {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is encrypted.
    pub encryption: Encryption,
    /// PEM file of the authority that its certificate comes from, where it is not a public one.
    pub ca: Option<PathBuf>,
    /// Sender.
    pub from: String,
    /// Receivers.
    pub to: Vec<String>,
    /// Name and password, where the server asks for them.
    pub login: Option<(String, Secret)>,
}

/// How mail is encrypted on its way to the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Encryption {
    /// Asked for after connecting, and needed.
    #[default]
    Starttls,
    /// From the start.
    Tls,
    /// Not at all.
    None,
}

/// A secret, or where it stands; never shown.
#[derive(Clone, Eq, PartialEq)]
pub enum Secret {
    /// In the configuration.
    Text(String),
    /// In a file, read each time.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

/// Times of day in which only what is critical is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quiet {
    /// Begin.
    pub from: Time,
    /// End; before the begin, it is on the next day.
    pub to: Time,
    /// Where these times are meant.
    pub zone: TimeZone,
}

impl Secret {
    /// The secret.
    ///
    /// # Errors
    /// When its file or variable is not there.
    pub fn read(&self) -> anyhow::Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .with_context(|| format!("`{}` cannot be read", path.display())),
            Self::Variable(name) => std::env::var(name).with_context(|| {
                format!("the environment has no variable `{name}`; set it where the collector starts")
            }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("***"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Slack,
    Pagerduty,
    Webhook,
    Email,
}

/// Reads one channel.
pub(super) fn read<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<Channel> {
    let kind: Option<Kind> = document.choice(section, "type");
    document.must(section, "type");
    let target = match kind {
        None => {
            let message =
                format!("`{}` needs a `type`: `slack`, `email`, `pagerduty` or `webhook`", section.name());
            document.at(section, &message);
            None
        }
        Some(Kind::Slack) => {
            let url = secret(document, section, ["url", "url_file", "url_env"]);
            if matches!(&url, Some(Secret::Text(url)) if url.parse::<Address>().is_err()) {
                let wanted =
                    "needs the `url` of an incoming webhook, which begins with `https://` or `http://`";
                document.at(section, &format!("`{}` {wanted}", section.name()));
            }
            url.map(|url| Target::Slack { url })
        }
        Some(Kind::Pagerduty) => {
            let url = address(document, section).unwrap_or_else(|| PAGERDUTY.to_owned());
            secret(document, section, ["routing_key", "routing_key_file", "routing_key_env"])
                .map(|routing_key| Target::PagerDuty { url, routing_key })
        }
        Some(Kind::Webhook) => {
            if !section.has("url") {
                document.at(section, &format!("`{}` needs a `url`, {ADDRESS}", section.name()));
            }
            let url = address(document, section);
            let secret = secret(document, section, ["secret", "secret_file", "secret_env"]);
            url.zip(secret).map(|(url, secret)| Target::Webhook { url, secret })
        }
        Some(Kind::Email) => email(document, section).map(Target::Email),
    };
    let allow_private = document.flag(section, "allow_private").unwrap_or_default();
    let zone = zone(document, section).unwrap_or(TimeZone::UTC);
    let quiet = document.parsed::<Span>(section, "quiet", "times such as `22:00-07:00`");
    let per_minute = document.count(section, "per_minute").unwrap_or(PER_MINUTE);
    let digest_minutes = document.count(section, "digest_minutes").unwrap_or(0);
    let quiet = quiet.map(|Span(from, to)| Quiet { from, to, zone: zone.clone() });
    Some(Channel { target: target?, allow_private, zone, quiet, per_minute, digest_minutes })
}

/// `time_zone` of a section, where it has one.
pub(super) fn zone<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<TimeZone> {
    let name = document.text(section, "time_zone", "a time zone such as `Europe/Berlin`")?;
    let zone = TimeZone::get(&name).ok();
    if zone.is_none() {
        let message =
            format!("`{}.time_zone` is `{name}`, not a time zone such as `Europe/Berlin`", section.name());
        document.at(section, &message);
    }
    zone
}

fn address<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<String> {
    document.parsed::<Address>(section, "url", ADDRESS).map(|Address(url)| url)
}

/// An address that is sent to.
struct Address(String);

impl std::str::FromStr for Address {
    type Err = ();
    fn from_str(url: &str) -> Result<Self, ()> {
        let host = ["https://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(())?;
        if host.is_empty() || host.starts_with('/') { Err(()) } else { Ok(Self(url.to_owned())) }
    }
}

/// A secret under one of three keys: itself, its file, or its variable of the environment.
fn secret<'t>(
    document: &mut Document<'t>,
    section: &mut Section<'t>,
    keys: [&'static str; 3],
) -> Option<Secret> {
    let [text, file, variable] = keys;
    let given = [
        document.text(section, text, "a text").map(Secret::Text),
        document.path(section, file).map(Secret::File),
        document.text(section, variable, "the name of a variable").map(Secret::Variable),
    ];
    let mut given = given.into_iter().flatten();
    let found = given.next();
    if found.is_none() || given.next().is_some() {
        document.at(
            section,
            &format!("`{}` needs exactly one of `{text}`, `{file}` and `{variable}`", section.name()),
        );
    }
    found
}

fn email<'t>(document: &mut Document<'t>, section: &mut Section<'t>) -> Option<Email> {
    let host = document.needed(section, "host", "the name of a mail server");
    let encryption: Encryption = document.choice(section, "encryption").unwrap_or_default();
    let port = document.port(section, "port");
    let from = document.needed(section, "from", "an address such as `Tollgate <tollgate@example.com>`");
    let to = document.list(section, "to", "a list of addresses").unwrap_or_default();
    document.must(section, "to");
    let ca = document.path(section, "ca");
    let user = document.text(section, "user", "a name");
    let login = match user {
        None => None,
        Some(user) => Some((user, secret(document, section, ["password", "password_file", "password_env"])?)),
    };
    let mut wrong = to.is_empty();
    for address in to.iter().chain(&from) {
        wrong |= address.parse::<lettre::message::Mailbox>().is_err();
    }
    if wrong {
        document.at(
            section,
            &format!(
                "`{}` needs mail addresses in `from` and `to`, such as `ada@example.com`",
                section.name()
            ),
        );
        return None;
    }
    let port = port.unwrap_or(match encryption {
        Encryption::Starttls => 587,
        Encryption::Tls => 465,
        Encryption::None => 25,
    });
    Some(Email { host: host?, port, encryption, ca, from: from?, to, login })
}

struct Span(Time, Time);

impl std::str::FromStr for Span {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, to) = text.split_once('-').ok_or(())?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').ok_or(())?;
            let number = |text: &str| text.parse::<i8>().map_err(|_| ());
            Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| ())
        };
        Ok(Self(time(from)?, time(to)?))
    }
}

/// Where PagerDuty's Events API, version 2, is (its documentation, read 2026-11-25).
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// What an address looks like.
const ADDRESS: &str = "an address such as `https://example.com/hook`";
/// Messages of a minute by default: Slack takes about one a second.
const PER_MINUTE: u64 = 30;
