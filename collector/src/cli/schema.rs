//! `tollgate schema`.

use clap::Args;

use super::output;
use crate::config::schema;

/// Arguments of `tollgate schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Print that of the plugin configuration (the JSON in envoy.yaml) instead
    #[arg(long)]
    filter: bool,
}

impl SchemaArgs {
    /// Prints the schema.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let schema = if self.filter { schema::of_filter() } else { schema::of_collector() };
        output::print(&serde_json::to_string_pretty(&schema)?)
    }
}
