//! `tollgate`: the collector and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate_collector::cli::run()
}
