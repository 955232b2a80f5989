//! Ctrl-C during work that takes long.

use super::output;

/// From now on Ctrl-C says this before the process ends with code 130.
pub(super) fn explain(what_holds: &'static str) {
    before_the_end(move || output::say(&format!("\ninterrupted; {what_holds}")));
}

/// From now on Ctrl-C does this before the process ends with code 130.
pub(super) fn before_the_end(last: impl FnOnce() + Send + 'static) {
    // Where there is no thread or no runtime, Ctrl-C ends the process as it always does.
    let _ = std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            last();
            std::process::exit(INTERRUPTED);
        }
    });
}

/// What shells say of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
