//! The built command line, asked what the collector of `up` knows.

use std::process::Command;

use anyhow::Result;
use tollgate_tests::artifacts;

/// Runs the command line of the product, with its output the user's to see.
pub(crate) fn tollgate(binary: &std::path::Path, arguments: &[&str]) -> Result<()> {
    let url = format!("http://127.0.0.1:{COLLECTOR}");
    let mut command = Command::new(binary);
    command.args(arguments).args(["--url", &url]);
    artifacts::run(&mut command, &format!("`tollgate {}` should have worked", arguments.join(" ")))
}

pub(crate) const COLLECTOR: u16 = 8_088;
