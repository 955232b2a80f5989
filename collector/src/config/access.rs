//! `[access]` and `[tls]`: who may ask what, and over what.

mod proxy;

use std::path::PathBuf;

use tollgate_core::attribution::is_name;

use super::document::{Document, Section};
use super::mistake::ConfigError;
use crate::config::token::Token;
use crate::model::role::Role;
use crate::model::text::printable;
pub use proxy::{ProxyConfig, Whom};

/// `[access]`: who may read, and further tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccessConfig {
    /// Whether reading needs a token; not set, it does where other machines can reach the collector.
    pub read: Option<Reading>,
    /// Names that gateways may have; empty: any. Who reports under another is refused.
    pub gateways: Vec<String>,
    /// Further tokens, by their hashes.
    pub tokens: Vec<NamedToken>,
    /// People whom a reverse proxy signs in.
    pub proxy: Option<ProxyConfig>,
}

/// Who may read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Reading {
    /// Whoever reaches the collector.
    Open,
    /// Who presents a token of any role but `ingest`.
    Token,
}

/// A token of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedToken {
    /// What it allows.
    pub role: Role,
    /// Whose it is, for the audit trail.
    pub name: String,
    /// Of an `ingest` token, the gateways that it is for; empty: all.
    pub gateways: Vec<String>,
    /// The token.
    pub token: Token,
}

/// `[tls]`: the server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsConfig {
    /// PEM file of the certificate and those above it.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    /// PEM file of the authorities that clients' certificates must come from; without it clients need none.
    pub client_ca: Option<PathBuf>,
}

/// Reads `[access]`.
pub(super) fn read<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> AccessConfig {
    let mut section = document.section(root, "access");
    let read = document.choice(&mut section, "read");
    let known = gateway_names(document, &mut section, &[]);
    let mut tokens: Vec<NamedToken> = Vec::new();
    for mut table in document.tables(&mut section, "tokens") {
        let role: Option<Role> = document.choice(&mut table, "role");
        document.must(&table, "role");
        let name = document.needed(&mut table, "name", "whose token it is, such as `grafana`");
        let hash = document.needed(&mut table, "sha256", "what `tollgate token` printed");
        let token = hash.as_deref().and_then(Token::from_sha256);
        if hash.is_some() && token.is_none() {
            let message = format!(
                "`{}.sha256` is not 64 hexadecimal digits; give what `tollgate token` printed",
                table.name()
            );
            document.at(&table, &message);
        }
        if role.is_none() && hash.is_some() {
            let message = format!("`{}` needs a `role`: `ingest`, `read`, `write` or `admin`", table.name());
            document.at(&table, &message);
        }
        let gateways = gateway_names(document, &mut table, &known);
        if !gateways.is_empty() && role.is_some_and(|role| role != Role::Ingest) {
            let message = format!(
                "`{}.gateways` is for a token of the role `ingest` alone; leave it out",
                table.name()
            );
            document.at(&table, &message);
        }
        if let (Some(role), Some(name), Some(token)) = (role, name, token) {
            let live = tokens.iter().filter(|one| one.role == role && one.name == name).count();
            if live >= LIVE_MAX {
                let message = format!(
                    "`{}`: `{name}` has more than {LIVE_MAX} tokens of this role; take out the oldest",
                    table.name()
                );
                document.at(&table, &message);
            }
            tokens.push(NamedToken { role, name, gateways, token });
        }
        document.finish(table);
    }
    let proxy = proxy::read(document, &mut section);
    document.finish(section);
    AccessConfig { read, gateways: known, tokens, proxy }
}

/// The names in `gateways`: each as a gateway's configuration may have it and, where those that exist are
/// `known`, one of them.
fn gateway_names<'t>(
    document: &mut Document<'t>,
    section: &mut Section<'t>,
    known: &[String],
) -> Vec<String> {
    let (line, key) = (section.line_of("gateways"), format!("{}.gateways", section.name()));
    let right = "a list of gateways' names such as `[\"edge-1\"]`";
    let names = document.list(section, "gateways", right).unwrap_or_default();
    for name in &names {
        let message = if let Err(problem) = is_gateway(name) {
            format!("`{key}` has `{}`, {problem}", printable(name))
        } else if !known.is_empty() && !known.contains(name) {
            format!(
                "`{key}` has `{name}`, which is not among `access.gateways`: {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )
        } else {
            continue;
        };
        document.report(ConfigError { line, message });
    }
    names
}

/// Whether a gateway can have this name, as its `gateway` in the plugin configuration.
///
/// # Errors
/// Says what a name is.
pub fn is_gateway(name: &str) -> Result<(), &'static str> {
    match is_name(name) {
        true => Ok(()),
        false => Err("not a gateway's name: 1 to 64 of A-Z a-z 0-9 . _ / -"),
    }
}

/// Reads `[tls]`.
pub(super) fn read_tls<'t>(document: &mut Document<'t>, root: &mut Section<'t>) -> Option<TlsConfig> {
    let mut section = document.section(root, "tls");
    let certificate = document.path(&mut section, "certificate");
    let key = document.path(&mut section, "key");
    let client_ca = document.path(&mut section, "client_ca");
    if certificate.is_some() != key.is_some() || (client_ca.is_some() && certificate.is_none()) {
        document.at(&section, "`tls` needs both `certificate` and `key`");
    }
    document.finish(section);
    Some(TlsConfig { certificate: certificate?, key: key?, client_ca })
}

/// Tokens of one name and role that may be live at a time: the one in use and the one that follows it.
const LIVE_MAX: usize = 2;
