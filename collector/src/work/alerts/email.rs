//! Mail by SMTP, as plain text and HTML.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use super::deliver::Outcome;
use super::message::{Message, cut};
use crate::config::{Email, Encryption};

/// What a mail says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Letter {
    /// What it is known by, the same at each attempt: the part of its `Message-ID` before the `@`.
    pub id: String,
    /// One line; what is longer than 200 characters is cut.
    pub subject: String,
    /// All of it as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Sends a message to all receivers of a channel. Blocks.
pub fn send(config: &Email, message: &Message) -> Outcome {
    let (id, subject, text) = (message.id.clone(), message.title(), message.text());
    post(config, &Letter { id, subject, text, html: html(message) })
}

/// Sends a letter to all receivers. Blocks.
pub fn post(config: &Email, letter: &Letter) -> Outcome {
    let prepared = mail(config, letter).and_then(|mail| Ok((mail, transport(config)?)));
    let (mail, transport) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::Never(format!("{error:#}")),
    };
    match transport.send(&mail) {
        Ok(_) => Outcome::Delivered,
        Err(error) if error.is_permanent() => Outcome::Never(error.to_string()),
        Err(error) if has_timed_out(&error) => Outcome::Later(
            format!(
                "the mail server `{}:{}` did not answer in {} seconds",
                config.host,
                config.port,
                WAITS.as_secs()
            ),
            None,
        ),
        Err(error) => Outcome::Later(error.to_string(), None),
    }
}

/// Whether a server took too long: some systems call that a resource that is away.
fn has_timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_slow = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(ErrorKind::TimedOut | ErrorKind::WouldBlock))
    };
    std::iter::successors(Some(error), |error| error.source()).any(is_slow)
}

fn mail(config: &Email, letter: &Letter) -> anyhow::Result<lettre::Message> {
    let mut mail = lettre::Message::builder()
        .from(config.from.parse::<Mailbox>().context("`from` is no mail address")?)
        .subject(cut(&letter.subject, SUBJECT_MAX))
        .message_id(Some(format!("<{}@tollgate.invalid>", letter.id)));
    for to in &config.to {
        mail = mail.to(to.parse().with_context(|| format!("`{to}` is no mail address"))?);
    }
    Ok(mail.multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))?)
}

fn transport(config: &Email) -> anyhow::Result<SmtpTransport> {
    let parameters = || -> anyhow::Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(config.host.clone());
        if let Some(path) = &config.ca {
            let pem = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
            parameters = parameters.add_root_certificate(Certificate::from_pem(&pem)?);
        }
        Ok(parameters.build()?)
    };
    let tls = match config.encryption {
        Encryption::None => Tls::None,
        Encryption::Starttls => Tls::Required(parameters()?),
        Encryption::Tls => Tls::Wrapper(parameters()?),
    };
    let mut builder =
        SmtpTransport::builder_dangerous(&config.host).port(config.port).tls(tls).timeout(Some(WAITS));
    if let Some((user, password)) = &config.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.read()?));
    }
    Ok(builder.build())
}

fn html(message: &Message) -> String {
    let mut html = String::from("<!doctype html><meta charset=\"utf-8\">");
    for item in &message.items {
        html.push_str(&format!("<h2>{}</h2><table>", escaped(&item.title())));
        for (name, value) in item.facts() {
            html.push_str(&format!(
                "<tr><th align=\"left\">{}</th><td>{}</td></tr>",
                escaped(&name),
                escaped(&value)
            ));
        }
        let link = escaped(&message.link(&item.alert));
        html.push_str(&format!(
            "</table><p><a href=\"{link}\">Show the numbers</a></p><p>{}</p>",
            escaped(&item.alert.id)
        ));
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const SUBJECT_MAX: usize = 200;
/// How long the server may take.
const WAITS: Duration = Duration::from_secs(10);
