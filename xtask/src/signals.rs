//! Ctrl-C and SIGTERM: what was started is stopped, in order, before this ends.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tollgate_tests::process;

/// On Ctrl-C and SIGTERM: stops the children in order, then ends.
pub(crate) fn stop_children() -> Result<()> {
    process::keep_signals_from_children();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (interrupt, terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(first_of(interrupt, terminate));
            println!("\nstopping");
            process::stop_all();
            std::process::exit(130);
        })
        .context("cannot start a thread")?;
    Ok(())
}

async fn first_of(mut one: Signal, mut other: Signal) {
    std::future::poll_fn(|context| {
        if one.poll_recv(context).is_ready() {
            std::task::Poll::Ready(())
        } else {
            other.poll_recv(context).map(|_| ())
        }
    })
    .await;
}
