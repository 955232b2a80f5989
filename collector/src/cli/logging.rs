//! Logs to standard error: lines for people, or JSON.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::model::text::printable;

/// Starts logging; a second start in one process changes nothing.
pub(super) fn start(config: LogConfig) {
    let builder = tracing_subscriber::fmt()
        .with_writer(|| Lines)
        // Names of others stand in what is logged, and colours are what they could bring along.
        .with_ansi(false)
        .with_target(false)
        .with_max_level(filter(config.level));
    // An error means that a log is already there.
    let _ = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Standard error, where each event is one line.
struct Lines;

impl Write for Lines {
    /// Takes a whole event, as `tracing_subscriber` writes them.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// An event as one line, whatever names it has in it.
fn line(event: &[u8]) -> String {
    let event = String::from_utf8_lossy(event);
    format!("{}\n", printable(event.strip_suffix('\n').unwrap_or(&event)))
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let shown = line("WARN budget `a\nb\u{1b}[31m` is gone\n".as_bytes());
        assert_eq!(shown, "WARN budget `a\u{fffd}b\u{fffd}[31m` is gone\n");
        assert_eq!(line(b"{\"message\":\"x\"}\n"), "{\"message\":\"x\"}\n");
    }
}
