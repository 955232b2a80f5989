//! `[[reports]]`: what is mailed to whom, when, and about what.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use tollgate_core::attribution::is_name;

use super::channels::{self, Channel, Email, Target};
use super::document::{Document, Section};
use super::mistake::ConfigError;
use crate::model::dimension::Dimension;
use crate::model::nearest::or_rather;
use crate::model::unit::Unit;

/// `[[reports]]`: one report that is mailed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What it is about: the last whole one of these.
    pub every: Every,
    /// What it counts: each dimension named must have the value; all calls where none is.
    pub scope: Vec<(Dimension, String)>,
    /// Name of its channel, which is one of mail.
    pub channel: String,
    /// The mail server, who writes, and who gets it.
    pub email: Email,
    /// The hour of the day at which it is sent, 0 to 23, in `zone`.
    pub hour: i8,
    /// Where days begin.
    pub zone: TimeZone,
}

/// How often a report is sent, and the time that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Every {
    /// A calendar day.
    Day,
    /// A week from Monday, by ISO 8601.
    Week,
    /// A calendar month.
    Month,
}

impl Every {
    /// Its unit of time.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Day => Unit::Day,
            Self::Week => Unit::Week,
            Self::Month => Unit::Month,
        }
    }
}

impl Report {
    /// What it is about, in one line.
    pub fn scope_text(&self) -> String {
        let parts: Vec<String> =
            self.scope.iter().map(|(dimension, value)| format!("{}={value}", dimension.name())).collect();
        if parts.is_empty() { "all calls".to_owned() } else { parts.join(" ") }
    }
}

/// Reads `[[reports]]`, after the channels.
pub(super) fn read<'t>(
    document: &mut Document<'t>,
    root: &mut Section<'t>,
    known: &BTreeMap<String, Channel>,
) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    for mut table in document.tables(root, "reports") {
        let line = table.line_of("name");
        if let Some(report) = read_one(document, &mut table, known) {
            if reports.iter().any(|other| other.name == report.name) {
                let message = format!(
                    "`{}.name` is `{}`, which another one has; give each its own",
                    table.name(),
                    report.name
                );
                document.report(ConfigError { line, message });
            }
            reports.push(report);
        }
        document.finish(table);
    }
    reports
}

fn read_one<'t>(
    document: &mut Document<'t>,
    table: &mut Section<'t>,
    known: &BTreeMap<String, Channel>,
) -> Option<Report> {
    let line = table.line_of("name");
    let name = document.needed(table, "name", "a name such as `search-weekly`");
    if let Some(wrong) = name.as_deref().filter(|name| !is_name(name)) {
        let message = format!(
            "`{}.name` is `{}`, not a name of 1 to 64 of A-Z a-z 0-9 . _ / - such as `search-weekly`",
            table.name(),
            wrong.chars().take(80).collect::<String>()
        );
        document.report(ConfigError { line, message });
    }
    let name = name.filter(|name| is_name(name));
    let has_every = table.has("every");
    let every: Option<Every> = document.choice(table, "every");
    document.must(table, "every");
    if !has_every {
        let message = format!("`{}.every` is missing; give `day`, `week` or `month`", table.name());
        document.at(table, &message);
    }
    let mut scope = Vec::new();
    for dimension in Dimension::CHARGED {
        let right = format!("the name of one {}", dimension.name());
        if let Some(value) = document.text(table, dimension.name(), &right) {
            scope.push((dimension, value));
        }
    }
    let (to, channel) = (addresses(document, table), channel(document, table, known));
    let hour = hour(document, table);
    let zone = channels::zone(document, table);
    let (channel, of) = channel?;
    let Target::Email(email) = &of.target else { return None };
    let mut email = email.clone();
    match to {
        Addresses::OfTheChannel => {}
        Addresses::Own(own) => email.to = own,
        Addresses::Wrong => return None,
    }
    let zone = zone.unwrap_or_else(|| of.zone.clone());
    Some(Report { name: name?, every: every?, scope, channel, email, hour: hour?, zone })
}

/// Who gets a report.
enum Addresses {
    OfTheChannel,
    Own(Vec<String>),
    Wrong,
}

fn addresses<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Addresses {
    let (is_given, line) = (table.has("to"), table.line_of("to"));
    let right = "a list of mail addresses such as `[\"lead@example.com\"]`";
    let Some(list) = document.list(table, "to", right) else {
        return if is_given { Addresses::Wrong } else { Addresses::OfTheChannel };
    };
    let is_wrong = |address: &&String| address.parse::<lettre::message::Mailbox>().is_err();
    let problem = match list.iter().find(is_wrong) {
        Some(wrong) => format!("has `{wrong}`, not a mail address such as `lead@example.com`"),
        None if list.is_empty() => format!("is `[]`, not {right}; leave it out for those of the channel"),
        None => return Addresses::Own(list),
    };
    document.report(ConfigError { line, message: format!("`{}.to` {problem}", table.name()) });
    Addresses::Wrong
}

/// The channel and its name.
fn channel<'t, 'k>(
    document: &mut Document<'t>,
    table: &mut Section<'t>,
    known: &'k BTreeMap<String, Channel>,
) -> Option<(String, &'k Channel)> {
    let line = table.line_of("channel");
    let name = document.needed(table, "channel", "the name of a channel of mail, such as `mail`")?;
    let mail = || {
        let mail = known.iter().filter(|(_, channel)| matches!(channel.target, Target::Email(_)));
        mail.map(|(name, _)| name.as_str())
    };
    let problem = match known.get(&name) {
        Some(found) if matches!(found.target, Target::Email(_)) => return Some((name, found)),
        found => match (found, mail().next()) {
            (Some(_), None) => "which is not one of mail; add a channel with `type = \"email\"`".to_owned(),
            (Some(_), _) => {
                format!("which is not one of mail; of mail there are {}", or_rather(&name, mail()))
            }
            (None, None) => format!(
                "and there is no `[channels.{name}]`; add it with `type = \"email\"`, as there is none of mail"
            ),
            (None, _) => format!(
                "and there is no `[channels.{name}]`; channels of mail are {}",
                or_rather(&name, mail().collect::<Vec<_>>())
            ),
        },
    };
    document
        .report(ConfigError { line, message: format!("`{}.channel` is `{name}`, {problem}", table.name()) });
    None
}

/// The hour of the day.
fn hour<'t>(document: &mut Document<'t>, table: &mut Section<'t>) -> Option<i8> {
    match table.has("hour") {
        false => {
            document.hour(table, "hour");
            Some(HOUR)
        }
        true => document.hour(table, "hour"),
    }
}

/// The hour at which reports are sent where the file says nothing: before the day's work.
const HOUR: i8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const CHANNELS: &str = "
        [channels.mail]
        type = 'email'
        host = 'smtp.example'
        from = 'Tollgate <tollgate@example.com>'
        to = ['ops@example.com']
        time_zone = 'Europe/Berlin'
        [channels.chat]
        type = 'slack'
        url = 'https://hooks.example/x'\n";

    fn parsed(text: &str) -> Result<Vec<Report>, String> {
        let text = format!("{text}{CHANNELS}");
        Config::parse("t.toml", &text).map(|config| config.reports).map_err(|error| error.to_string())
    }

    #[test]
    fn reports_are_read() {
        let text = "[[reports]]\nname = 'search-weekly'\nevery = 'week'\nteam = 'search'\n\
                    environment = 'production'\nchannel = 'mail'\nto = ['Lee <lead@example.com>']\nhour = 0\n\
                    time_zone = 'Asia/Kolkata'\n\
                    [[reports]]\nname = 'all'\nevery = 'month'\nchannel = 'mail'\n";
        let reports = parsed(text).unwrap();
        let (first, second) = (&reports[0], &reports[1]);
        assert_eq!((first.every, first.hour), (Every::Week, 0));
        assert_eq!(first.scope_text(), "team=search environment=production");
        assert_eq!(
            (first.email.to.as_slice(), first.email.port),
            (&["Lee <lead@example.com>".into()][..], 587)
        );
        assert_eq!(first.zone, TimeZone::get("Asia/Kolkata").unwrap());
        assert_eq!((second.scope_text().as_str(), second.hour), ("all calls", 8));
        assert_eq!(second.email.to, ["ops@example.com"]);
        assert_eq!(second.zone, TimeZone::get("Europe/Berlin").unwrap(), "that of the channel");
    }

    #[test]
    fn mistakes_name_the_key_the_value_and_what_would_be_right() {
        let base = "name = 'a'\nevery = 'week'\nchannel = 'mail'\n";
        for (text, expected) in [
            ("every = 'week'\nchannel = 'mail'", "`reports[0].name` is missing; give a name"),
            ("name = 'a'\nchannel = 'mail'", "`reports[0].every` is missing; give `day`, `week` or `month`"),
            (
                "name = 'a'\nchannel = 'mail'\nevery = 'year'",
                "`reports[0].every` is `year`, not one of `day`, `week`, `month`",
            ),
            (
                "name = 'a'\nevery = 'day'",
                "`reports[0].channel` is missing; give the name of a channel of mail",
            ),
            (
                "name = 'a'\nevery = 'day'\nchannel = 'mial'",
                "`reports[0].channel` is `mial`, and there is no `[channels.mial]`; channels of mail are `mail`; did \
                 you mean `mail`?",
            ),
            (
                "name = 'a'\nevery = 'day'\nchannel = 'chat'",
                "`reports[0].channel` is `chat`, which is not one of mail; of mail there are `mail`",
            ),
            (&format!("{base}hour = 24"), "`reports[0].hour` is `24`, not an hour of the day from 0 to 23"),
            (
                &format!("{base}hour = '8'"),
                "`reports[0].hour` is `\"8\"`, which is text, not a number; write an hour of the day from 0 to 23 without",
            ),
            (
                "name = 'support weekly'\nevery = 'week'\nchannel = 'mail'",
                "`reports[0].name` is `support weekly`, not a name of 1 to 64 of A-Z a-z 0-9 . _ / -",
            ),
            (
                &format!("{base}to = ['nobody']"),
                "`reports[0].to` has `nobody`, not a mail address such as `lead@example.com`",
            ),
            (&format!("{base}to = []"), "`reports[0].to` is `[]`, not a list of mail addresses"),
            (&format!("{base}to = 'a@b.c'"), "`reports[0].to` is `a@b.c`, not a list of mail addresses"),
            (&format!("{base}time_zone = 'Mars'"), "`reports[0].time_zone` is `Mars`, not a time zone"),
            (&format!("{base}teem = 'x'"), "`reports[0].teem` is not a key"),
            (&format!("{base}[[reports]]\n{base}"), "`reports[1].name` is `a`, which another one has"),
        ] {
            let said = parsed(&format!("[[reports]]\n{text}\n")).unwrap_err();
            assert!(said.contains(expected), "{text}:\n{said}");
            assert_eq!(said.lines().count(), 1, "one mistake, said once: {said}");
        }
    }
}
