//! `tollgate token`.

use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use tollgate_core::price::quoted;

use super::output;
use crate::config::is_gateway;
use crate::config::token::{Token, write_header_of};
use crate::model::role::Role;
use crate::model::text::printable;

/// Arguments of `tollgate token`.
#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    /// What it allows
    #[arg(long, value_enum)]
    role: Role,
    /// Whose it is, for the audit trail
    #[arg(long)]
    name: String,
    /// The gateways that a token of the role `ingest` is for; all where none is named
    #[arg(long, num_args = 1.., value_name = "NAME")]
    gateway: Vec<String>,
    /// Writes the value of the header into this file, for Envoy's secret, instead of printing the token
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,
}

impl TokenArgs {
    /// Makes a token, and prints it with what the configuration gets.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let is_ingest = self.role == Role::Ingest;
        ensure!(
            is_ingest || (self.gateway.is_empty() && self.envoy.is_none()),
            "`--gateway` and `--envoy` are for `--role ingest`: gateways do nothing else"
        );
        for name in &self.gateway {
            is_gateway(name).map_err(|problem| anyhow!("`--gateway {}` is {problem}", printable(name)))?;
        }
        let text = Token::generate()?;
        let role = clap::ValueEnum::to_possible_value(&self.role).map(|value| value.get_name().to_owned());
        let mut shown = match &self.envoy {
            Some(file) => {
                write_header_of(file, &text)
                    .with_context(|| format!("`{}` cannot be written", file.display()))?;
                output::say(&format!("The token is in `{}`; what belongs in tollgate.toml:", file.display()));
                String::new()
            }
            None => {
                output::say("The token, which is shown once, and what belongs in tollgate.toml:");
                format!("{text}\n\n")
            }
        };
        shown.push_str(&format!(
            "[[access.tokens]]\nrole = \"{}\"\nname = {}\nsha256 = \"{}\"",
            role.unwrap_or_default(),
            quoted(&self.name),
            Token::new(&text).sha256()
        ));
        if !self.gateway.is_empty() {
            let names: Vec<String> = self.gateway.iter().map(|name| quoted(name)).collect();
            shown.push_str(&format!("\ngateways = [{}]", names.join(", ")));
        }
        output::print(&shown)
    }
}
