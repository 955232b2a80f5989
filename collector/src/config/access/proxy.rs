//! `[access.proxy]`: people whom a reverse proxy has signed in, as with OpenID Connect.

use axum::http::HeaderName;

use crate::config::document::{Document, Section};
use crate::config::token::Token;
use crate::model::role::Role;
use crate::model::text::printable;

/// `[access.proxy]`: whom the proxy's headers name, and what they may.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyConfig {
    /// What the proxy alone knows, and sends with each request.
    pub secret: Token,
    /// The header with a person's name.
    pub user: HeaderName,
    /// The header with their groups, separated by commas.
    pub groups: Option<HeaderName>,
    /// Who may what; the highest role of a person holds.
    pub allowed: Vec<(Role, Whom)>,
    /// Where the proxy signs somebody out.
    pub sign_out: Option<String>,
}

/// Whom a role is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whom {
    /// Everyone whom the proxy lets in.
    Everyone,
    /// The person of this name.
    User(String),
    /// Those of this group.
    Group(String),
}

impl Whom {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "*" => Some(Self::Everyone),
            Some(("user", name)) if !name.is_empty() => Some(Self::User(name.to_owned())),
            Some(("group", name)) if !name.is_empty() => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }
}

/// Reads `[access.proxy]`.
pub(super) fn read<'t>(document: &mut Document<'t>, access: &mut Section<'t>) -> Option<ProxyConfig> {
    let is_there = access.has("proxy");
    let mut section = document.section(access, "proxy");
    let hash = document.text(&mut section, "secret_sha256", "64 hexadecimal digits");
    let secret = hash.as_deref().and_then(Token::from_sha256);
    if is_there && secret.is_none() {
        let message = "`access.proxy.secret_sha256` is needed, 64 hexadecimal digits: without a secret, \
                       whoever reaches the collector could say who they are. It is the SHA-256 of what the proxy sends";
        document.at(&section, message);
    }
    let user = header(document, &mut section, "user");
    let groups = header(document, &mut section, "groups");
    let mut allowed = Vec::new();
    for (role, key) in [(Role::Admin, "admin"), (Role::Write, "write"), (Role::Read, "read")] {
        for text in document.list(&mut section, key, WHOM).unwrap_or_default() {
            match Whom::parse(&text) {
                Some(Whom::Group(name)) if groups.is_none() => {
                    let message = format!(
                        "`access.proxy.{key}` has `group:{}`, but no header of groups is named: give \
                         `access.proxy.groups`",
                        printable(&name)
                    );
                    document.at(&section, &message);
                }
                Some(whom) => allowed.push((role, whom)),
                None => {
                    let message =
                        format!("`access.proxy.{key}` has `{}`, which is not {WHOM}", printable(&text));
                    document.at(&section, &message);
                }
            }
        }
    }
    if is_there && allowed.is_empty() {
        document.at(&section, "`access.proxy` lets nobody in: give `read`, `write` or `admin`");
    }
    let sign_out = document.text(&mut section, "sign_out", "an address such as `/oauth2/sign_out`");
    if let Some(address) = &sign_out
        && !(address.starts_with('/') || address.starts_with("https://"))
    {
        let message =
            format!("`access.proxy.sign_out` is `{}`; it begins with `/` or `https://`", printable(address));
        document.at(&section, &message);
    }
    document.finish(section);
    let user = user.unwrap_or(HeaderName::from_static("x-forwarded-email"));
    is_there.then_some(ProxyConfig { secret: secret?, user, groups, allowed, sign_out })
}

fn header<'t>(
    document: &mut Document<'t>,
    section: &mut Section<'t>,
    key: &'static str,
) -> Option<HeaderName> {
    let text = document.text(section, key, "a header such as `x-forwarded-email`")?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("`access.proxy.{key}` is `{}`, which is no header's name", printable(&text));
        document.at(section, &message);
    }
    name
}

/// How somebody is named.
const WHOM: &str = "a list of `*` (everyone whom the proxy lets in), `user:NAME` and `group:NAME`";
