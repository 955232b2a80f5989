//! `tollgate keys`: whose calls a provider's key makes, without anyone handling the key.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use tollgate_core::attribution::key_id::key_id;
use tollgate_core::price::quoted;

use super::output;

/// Arguments of `tollgate keys`.
#[derive(Args, Debug)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the hash by which records and `[[keys]]` name a key; the key is read from standard input
    Hash(Hash),
}

#[derive(Args, Debug)]
struct Hash {
    /// Print the entry of `[[keys]]` for this agent
    #[arg(long)]
    agent: Option<String>,
    /// Print it for this team
    #[arg(long)]
    team: Option<String>,
    /// Print it for this environment
    #[arg(long)]
    environment: Option<String>,
}

impl KeysArgs {
    /// Reads a key and prints what stands for it.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::Hash(Hash { agent, team, environment }) = self.command;
        let secret = std::env::var(SECRET).unwrap_or_default();
        ensure!(
            !secret.is_empty(),
            "`{SECRET}` is not set; give it the secret that the gateways have, so that the hash is theirs"
        );
        let mut key = String::new();
        std::io::stdin()
            .take(KEY_BYTES_MAX)
            .read_to_string(&mut key)
            .context("the key cannot be read from standard input")?;
        let key = key.trim();
        ensure!(
            !key.is_empty(),
            "standard input has no key; pipe it in, as with `tollgate keys hash < key.txt`"
        );
        ensure!(
            !key.contains(char::is_whitespace),
            "standard input has more than one word; give one key alone"
        );
        let Some(id) = key_id(secret.as_bytes(), key.as_bytes()) else { bail!("the key has no hash") };
        let said = [("agent", agent), ("team", team), ("environment", environment)];
        if said.iter().all(|(_, value)| value.is_none()) {
            return output::print(&id);
        }
        let values = said.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let lines = values.map(|(name, value)| format!("\n{name} = {}", quoted(&value)));
        output::print(&format!("[[keys]]\nid = \"{id}\"{}", lines.collect::<String>()))
    }
}

/// Longest input that is looked at.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Where the secret stands, for gateways too.
const SECRET: &str = "TOLLGATE_KEY_SECRET";
