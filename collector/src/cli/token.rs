//! `tollgate token`.

use clap::Args;

use super::output;
use crate::access::Role;
use crate::token::Token;

/// Arguments of `tollgate token`.
#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    /// What it allows
    #[arg(long, value_enum)]
    role: Role,
    /// Whose it is, for the audit trail
    #[arg(long)]
    name: String,
}

impl TokenArgs {
    /// Makes a token, and prints it with what the configuration gets.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = Token::generate()?;
        let role = clap::ValueEnum::to_possible_value(&self.role).map(|value| value.get_name().to_owned());
        eprintln!("The token, which is shown once, and what belongs in tollgate.toml:");
        output::print(&format!(
            "{text}\n\n[[access.tokens]]\nrole = \"{}\"\nname = {}\nsha256 = \"{}\"",
            role.unwrap_or_default(),
            tollgate_core::price::quoted(&self.name),
            Token::new(&text).sha256()
        ))
    }
}
