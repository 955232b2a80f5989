//! Attribution out of request headers and trusted values.

use serde_json::Value;

use super::presets::PORTKEY_METADATA;
use super::{Attribution, AttributionSource, Field, INVALID, NAME_BYTES_MAX, TAGS_MAX, UNATTRIBUTED};
use crate::lean::small_map;

/// Which headers speak of attribution, besides the `x-tollgate-*` ones.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AttributionRules {
    /// Further header names, lower case, that mean a field where its own header is missing.
    pub aliases: Vec<(String, Field)>,
    /// Whether members of Portkey's metadata count so, too: see [`presets`](super::presets).
    pub portkey: bool,
    /// Whether `tollgate.*` members of W3C `baggage` count where neither header is there.
    pub baggage: bool,
}

/// What becomes of a request header before the provider sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Handling {
    /// It passes.
    Keep,
    /// It is removed.
    Remove,
    /// It passes with another value (`baggage` without our members).
    Replace(Vec<u8>),
}

/// Collects the attribution of one call, header by header, then trusted values, which win.
///
/// A name is `[A-Za-z0-9._/-]{1,64}`. One that is malformed, or given by two headers, is [`INVALID`],
/// whatever else says; a tag that is malformed is left out.
///
/// ```
/// use tollgate_core::attribution::{AttributionReader, AttributionRules, Handling};
///
/// let rules = AttributionRules { baggage: true, ..AttributionRules::default() };
/// let mut reader = AttributionReader::new(&rules);
/// assert_eq!(reader.header("x-tollgate-agent", b"triage"), Handling::Remove);
/// assert_eq!(reader.header("accept", b"*/*"), Handling::Keep);
/// let (attribution, _source) = reader.finish();
/// assert_eq!((attribution.agent.as_str(), attribution.team.as_str()), ("triage", "unattributed"));
/// ```
#[derive(Debug)]
pub struct AttributionReader<'a> {
    rules: &'a AttributionRules,
    own: Slots,
    aliased: Slots,
    baggage: Slots,
}

/// One value for each field: absent, a valid one, or invalid.
type Slots = [Option<Given>; Field::ALL.len()];

#[derive(Clone, Debug, Eq, PartialEq)]
enum Given {
    Name(String),
    Tags(Vec<(String, String)>),
    Invalid,
}

impl<'a> AttributionReader<'a> {
    /// Nothing said yet.
    pub fn new(rules: &'a AttributionRules) -> Self {
        Self { rules, own: Slots::default(), aliased: Slots::default(), baggage: Slots::default() }
    }

    /// Reads a request header; `name` is lower case.
    pub fn header(&mut self, name: &str, value: &[u8]) -> Handling {
        if let Some(rest) = name.strip_prefix("x-tollgate-") {
            if let Some((field, ..)) =
                Field::ALL.iter().find(|(.., header)| header.ends_with(rest) && *header == name)
            {
                give(&mut self.own, *field, value);
            }
            return Handling::Remove;
        }
        if let Some((_, field)) = self.rules.aliases.iter().find(|(alias, _)| alias == name) {
            give(&mut self.aliased, *field, value);
            return Handling::Remove;
        }
        if name == PORTKEY_METADATA && self.rules.portkey {
            self.metadata(value);
            return Handling::Remove;
        }
        if name == "baggage" && self.rules.baggage {
            return self.baggage(value);
        }
        Handling::Keep
    }

    /// The attribution that the headers give.
    #[must_use]
    pub fn finish(self) -> (Attribution, AttributionSource) {
        let mut attribution = Attribution::default();
        for (own, (aliased, (baggage, (field, ..)))) in
            self.own.into_iter().zip(self.aliased.into_iter().zip(self.baggage.into_iter().zip(Field::ALL)))
        {
            if let Some(given) = own.or(aliased).or(baggage) {
                set(&mut attribution, field, given);
            }
        }
        let source =
            if attribution.is_empty() { AttributionSource::None } else { AttributionSource::SelfDeclared };
        (attribution, source)
    }

    /// Takes names out of an object; what is none says nothing.
    fn metadata(&mut self, value: &[u8]) {
        let Ok(value) = serde_json::from_slice::<Value>(value) else { return };
        for (field, name, _) in Field::ALL {
            if let Some(text) = value.get(name).and_then(Value::as_str) {
                give(&mut self.aliased, field, text.as_bytes());
            }
        }
    }

    /// Takes our members out of a baggage header: `tollgate.agent=a;p=1,other=b`.
    fn baggage(&mut self, value: &[u8]) -> Handling {
        let Ok(text) = std::str::from_utf8(value) else { return Handling::Keep };
        let mut others = Vec::new();
        let mut found = false;
        for member in text.split(',') {
            let pair = member.split(';').next().unwrap_or_default().split_once('=');
            let ours =
                pair.and_then(|(key, value)| Some((key.trim().strip_prefix("tollgate.")?, value.trim())));
            match ours {
                Some((key, value)) => {
                    found = true;
                    if let Some(field) = Field::from_name(key) {
                        give(&mut self.baggage, field, value.as_bytes());
                    }
                }
                None => others.push(member),
            }
        }
        match (found, others.is_empty()) {
            (false, _) => Handling::Keep,
            (true, true) => Handling::Remove,
            (true, false) => Handling::Replace(others.join(",").into_bytes()),
        }
    }
}

/// Puts a value that the gateway trusts over what the headers said. One that is no name is [`INVALID`].
pub fn set_trusted(attribution: &mut Attribution, field: Field, value: &[u8]) {
    set(attribution, field, parsed(field, value));
    attribution.trusted.insert(field);
}

/// Takes the caller's word out of a field that has a trusted source: where that says nothing, nobody does.
pub fn distrust(attribution: &mut Attribution, field: Field) {
    match field {
        Field::Tags => attribution.tags.clear(),
        Field::Run => attribution.run = None,
        Field::ParentRun => attribution.parent_run = None,
        _ => set(attribution, field, Given::Name(UNATTRIBUTED.to_owned())),
    }
}

fn give(slots: &mut Slots, field: Field, value: &[u8]) {
    if let Some(slot) = slots.get_mut(field as usize) {
        *slot = Some(if slot.is_some() { Given::Invalid } else { parsed(field, value) });
    }
}

fn parsed(field: Field, value: &[u8]) -> Given {
    match (field, std::str::from_utf8(value)) {
        (Field::Tags, Ok(text)) => Given::Tags(tags(text)),
        (Field::Tags, Err(_)) => Given::Invalid,
        (_, Ok(text)) if is_name(text) => Given::Name(text.to_owned()),
        _ => Given::Invalid,
    }
}

fn set(attribution: &mut Attribution, field: Field, given: Given) {
    let name = match given {
        Given::Tags(tags) => {
            attribution.tags = small_map::map(tags);
            return;
        }
        Given::Invalid if field == Field::Tags => return,
        Given::Invalid => INVALID.to_owned(),
        Given::Name(name) => name,
    };
    match field {
        Field::Agent => attribution.agent = name,
        Field::Team => attribution.team = name,
        Field::Feature => attribution.feature = name,
        Field::Environment => attribution.environment = name,
        Field::Run => attribution.run = Some(name),
        Field::ParentRun => attribution.parent_run = Some(name),
        Field::Tags => {}
    }
}

/// The first [`TAGS_MAX`] well-formed tags of `key=value,key=value`.
fn tags(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| is_name(key) && is_name(value))
        .take(TAGS_MAX)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Whether this is `[A-Za-z0-9._/-]{1,64}`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &[u8])]) -> (Attribution, AttributionSource, Vec<Handling>) {
        let rules = AttributionRules {
            aliases: vec![("helicone-property-agent".into(), Field::Agent)],
            baggage: true,
            portkey: true,
        };
        let mut reader = AttributionReader::new(&rules);
        let handling = headers.iter().map(|(name, value)| reader.header(name, value)).collect();
        let (attribution, source) = reader.finish();
        (attribution, source, handling)
    }

    fn agent(headers: &[(&str, &[u8])]) -> String {
        read(headers).0.agent
    }

    #[test]
    fn portkeys_metadata_says_names_where_no_other_header_does() {
        let own: (&str, &[u8]) = ("x-tollgate-agent", b"own");
        let metadata = |text: &'static str| ("x-portkey-metadata", text.as_bytes());
        for (headers, expected) in [
            (&[metadata(r#"{"agent":"bot","_user":"u"}"#)][..], "bot"),
            (&[metadata(r#"{"agent":"bot"}"#), own], "own"),
            (&[metadata(r#"{"agent":"a b"}"#)], "invalid"),
            (&[metadata(r#"{"agent":7}"#)], "unattributed"),
            (&[metadata(r#"{"agent":"#)], "unattributed"),
            (&[metadata(r#"["agent"]"#)], "unattributed"),
            (&[metadata(r#"{"agent":"bot"}"#), ("helicone-property-agent", b"bot")], "invalid"),
        ] {
            assert_eq!(agent(headers), expected, "{headers:?}");
            assert_eq!(read(headers).2[0], Handling::Remove);
        }
    }

    #[test]
    fn a_name_is_taken_only_when_it_is_one_and_alone() {
        for (headers, expected) in [
            (&[][..], "unattributed"),
            (&[("x-tollgate-agent", &b"bot/v1.2_x-3"[..])], "bot/v1.2_x-3"),
            (&[("x-tollgate-agent", b"a"), ("x-tollgate-agent", b"a")], "invalid"),
            (&[("x-tollgate-agent", b"")], "invalid"),
            (&[("x-tollgate-agent", b"a b")], "invalid"),
            (&[("x-tollgate-agent", b"\xff\xfe")], "invalid"),
            (&[("x-tollgate-agent", &[b'a'; 65])], "invalid"),
            (&[("helicone-property-agent", b"alias")], "alias"),
            (&[("helicone-property-agent", b"alias"), ("x-tollgate-agent", b"own")], "own"),
            (&[("baggage", b"k=v,tollgate.agent=bag;p=1")], "bag"),
            (&[("baggage", b"tollgate.agent=bag"), ("helicone-property-agent", b"alias")], "alias"),
            (&[("x-agent", b"other")], "unattributed"),
        ] {
            assert_eq!(agent(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_provider_sees_none_of_it() {
        let (.., handling) = read(&[
            ("x-tollgate-agent", b"a"),
            ("x-tollgate-anything", b"a"),
            ("helicone-property-agent", b"a"),
            ("baggage", b"a=1, tollgate.team=x,b=2"),
            ("authorization", b"Bearer x"),
        ]);
        let expected = [
            Handling::Remove,
            Handling::Remove,
            Handling::Remove,
            Handling::Replace(b"a=1,b=2".to_vec()),
            Handling::Keep,
        ];
        assert_eq!(handling, expected);
    }

    #[test]
    fn tags_are_kept_up_to_their_bound() {
        let many: Vec<String> = (0..40).map(|n| format!("k{n:02}=v")).collect();
        let (attribution, source, _) = read(&[("x-tollgate-tags", many.join(",").as_bytes())]);
        assert_eq!(attribution.tags.len(), TAGS_MAX);
        assert_eq!(source, AttributionSource::SelfDeclared);
        let (attribution, source, _) = read(&[("x-tollgate-tags", b"bad,=x,a=,ok=1,sp ace=2")]);
        assert_eq!(attribution.tags.into_iter().collect::<Vec<_>>(), [("ok".to_owned(), "1".to_owned())]);
        assert_eq!(source, AttributionSource::SelfDeclared);
    }

    #[test]
    fn a_field_with_a_trusted_source_never_takes_the_callers_word() {
        let rules = AttributionRules::default();
        for (_, name, header) in Field::ALL {
            let field = Field::from_name(name).unwrap();
            let mut reader = AttributionReader::new(&rules);
            reader.header(header, if name == "tags" { b"a=b" } else { b"mine" });
            let (mut attribution, _) = reader.finish();
            assert_ne!(attribution, Attribution::default(), "{name}");
            distrust(&mut attribution, field);
            assert_eq!(attribution, Attribution::default(), "{name}");
            set_trusted(&mut attribution, field, if name == "tags" { b"a=c" } else { b"proved" });
            assert_eq!(attribution.trusted.names().collect::<Vec<_>>(), [name]);
            let json = serde_json::to_string(&attribution).unwrap();
            assert_eq!(serde_json::from_str::<Attribution>(&json).unwrap(), attribution);
        }
    }

    #[test]
    fn a_trusted_value_wins() {
        let (mut attribution, ..) = read(&[("x-tollgate-team", b"claimed")]);
        set_trusted(&mut attribution, Field::Team, b"proved");
        assert_eq!(attribution.team, "proved");
    }
}
