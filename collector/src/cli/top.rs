//! `tollgate top`: who spends now.

mod draw;
mod state;

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};

use super::client::{self, Collector};
use super::{interrupt, output};
use crate::model::answers::budgets::Budgets;
use crate::model::answers::summary::SummaryAnswer;
use crate::model::clock::now;
use state::{Sample, State};

/// Arguments of `tollgate top`.
#[derive(Args, Debug)]
pub(super) struct TopArgs {
    /// Print one frame as text and end; it takes as long as one refresh
    #[arg(long)]
    once: bool,
    /// Seconds between refreshes
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    every: u64,
    /// What to tell apart: agent, team, feature, model, provider or another name of `summary --by` that is no
    /// time
    #[arg(long, default_value = "agent")]
    by: String,
    #[command(flatten)]
    collector: Collector,
}

impl TopArgs {
    /// Shows until the user leaves.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.once {
            return self.print_once();
        }
        ensure!(
            std::io::stdout().is_terminal(),
            "`tollgate top` needs a terminal; `tollgate top --once` prints one frame as text"
        );
        // What is wrong from the start is said without a screen around it.
        let first = sample(&self.collector, &self.by)?;
        interrupt::before_the_end(left);
        let mut terminal = ratatui::try_init()?;
        let done = self.show(&mut terminal, first);
        ratatui::restore();
        done
    }

    fn show(&self, terminal: &mut ratatui::DefaultTerminal, first: Sample) -> anyhow::Result<()> {
        let mut state = State::new(&self.by);
        state.take(first);
        let samples = self.samples();
        loop {
            match samples.recv_timeout(Duration::ZERO) {
                Ok(Ok(sample)) => state.take(sample),
                Ok(Err(error)) => state.fail(&format!("{error:#}")),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            terminal.draw(|frame| draw::draw(frame, &state))?;
            if event::poll(LOOKS)?
                && let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && pressed(&mut state, key) == Next::Leave
            {
                return Ok(());
            }
        }
    }

    /// Asks again and again, on a thread of its own, so that a slow answer stops no key.
    fn samples(&self) -> mpsc::Receiver<anyhow::Result<Sample>> {
        let (send, samples) = mpsc::channel();
        let (collector, by, every) =
            (self.collector.clone(), self.by.clone(), Duration::from_secs(self.every));
        // Where there is no thread the first frame stays.
        let _ = std::thread::Builder::new().name("top".into()).spawn(move || {
            loop {
                std::thread::sleep(every);
                if send.send(sample(&collector, &by)).is_err() {
                    return;
                }
            }
        });
        samples
    }

    fn print_once(&self) -> anyhow::Result<()> {
        let mut state = State::new(&self.by);
        state.take(sample(&self.collector, &self.by)?);
        std::thread::sleep(Duration::from_secs(self.every));
        state.take(sample(&self.collector, &self.by)?);
        let (columns, lines) = match std::io::stdout().is_terminal() {
            true => terminal::size().unwrap_or(SIZE),
            false => SIZE,
        };
        output::print(&as_text(&state, columns, lines)?)
    }
}

/// Leaves the terminal as it was, with a cursor, which a view that is not ended by itself has hidden.
fn left() {
    ratatui::restore();
    // Nobody is left to tell where that cannot be written.
    let _ = execute!(std::io::stdout(), cursor::Show);
}

/// What becomes of the view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Stay,
    Leave,
}

/// Does what a key says.
fn pressed(state: &mut State, key: KeyEvent) -> Next {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Next::Leave;
    }
    match (state.is_typing, key.code) {
        (true, KeyCode::Enter) => state.is_typing = false,
        (true, KeyCode::Backspace) => drop(state.filter.pop()),
        (true, KeyCode::Char(letter)) => state.filter.push(letter),
        (_, KeyCode::Esc) => {
            state.is_typing = false;
            state.filter.clear();
        }
        (false, KeyCode::Char('q')) => return Next::Leave,
        (false, KeyCode::Char('s')) => state.sort = state.sort.next(),
        (false, KeyCode::Char('/')) => state.is_typing = true,
        (_, KeyCode::Down) => state.move_by(1),
        (_, KeyCode::Up) => state.move_by(-1),
        (_, KeyCode::PageDown) => state.move_by(PAGE),
        (_, KeyCode::PageUp) => state.move_by(-PAGE),
        _ => {}
    }
    Next::Stay
}

/// Asks what was spent today, and what is left of budgets.
fn sample(collector: &Collector, by: &str) -> anyhow::Result<Sample> {
    let at = now();
    let today = at.to_string().chars().take(10).collect::<String>();
    let spent: SummaryAnswer =
        client::read(&collector.get("/api/v1/summary", &[("by", by), ("from", today.as_str())])?)?;
    let budgets: Budgets = client::read(&collector.get("/api/v1/budgets", client::NONE)?)?;
    Ok(Sample { at, spent, budgets })
}

/// A frame as lines of text.
fn as_text(state: &State, columns: u16, lines: u16) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines))?;
    terminal.draw(|frame| draw::draw(frame, state))?;
    let buffer = terminal.backend().buffer();
    let width = usize::from(columns.max(1));
    let rows = buffer.content().chunks(width).map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    Ok(rows.collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// How often keys are looked for.
const LOOKS: Duration = Duration::from_millis(100);
/// Columns and lines of a frame that no terminal shows.
const SIZE: (u16, u16) = (80, 24);
/// Rows of a page.
const PAGE: isize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn press(state: &mut State, keys: &[KeyCode]) -> Next {
        let mut next = Next::Stay;
        for key in keys {
            next = pressed(state, KeyEvent::new(*key, KeyModifiers::NONE));
        }
        next
    }

    fn shown(state: &State) -> String {
        as_text(state, 80, 24).unwrap()
    }

    fn first_agent(text: &str) -> &str {
        let head = text.lines().position(|line| line.contains("$/min")).unwrap();
        text.lines().nth(head + 1).unwrap().split_whitespace().find(|word| word.len() > 1).unwrap()
    }

    #[test]
    fn a_frame_has_rates_totals_budgets_and_refusals() {
        let state = state::tests::two_samples();
        let text = shown(&state);
        for part in ["triage", "$/min", "0.3000", "support-month", "80%", "█", "refused", "q quit"] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
        assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn keys_sort_filter_move_and_leave() {
        let mut state = state::tests::two_samples();
        assert_eq!(first_agent(&shown(&state)), "triage");
        assert_eq!(press(&mut state, &[KeyCode::Char('s')]), Next::Stay);
        assert_eq!(first_agent(&shown(&state)), "writer", "by what today cost");
        press(&mut state, &[KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('z')]);
        assert!(shown(&state).contains("/qz"), "{}", shown(&state));
        press(&mut state, &[KeyCode::Backspace, KeyCode::Backspace, KeyCode::Char('t'), KeyCode::Char('r')]);
        let text = shown(&state);
        assert!(text.contains("triage") && !text.contains("writer"), "{text}");
        press(&mut state, &[KeyCode::Esc]);
        assert!(shown(&state).contains("writer"));
        press(&mut state, &[KeyCode::Down, KeyCode::Down, KeyCode::Down]);
        assert_eq!(state.selected, 1, "there are two rows");
        press(&mut state, &[KeyCode::Up, KeyCode::PageUp]);
        assert_eq!(state.selected, 0);
        assert_eq!(press(&mut state, &[KeyCode::Char('q')]), Next::Leave);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(pressed(&mut state, control_c), Next::Leave);
    }

    #[test]
    fn what_fails_is_said_and_the_last_numbers_stay() {
        let mut state = state::tests::two_samples();
        state.fail("no collector answers at http://127.0.0.1:8088");
        let text = shown(&state);
        assert!(text.contains("no collector answers") && text.contains("triage"), "{text}");
    }

    #[test]
    fn a_small_screen_does_not_panic() {
        let state = state::tests::two_samples();
        for (columns, lines) in [(1, 1), (20, 5), (80, 3), (300, 100)] {
            as_text(&state, columns, lines).unwrap();
        }
    }
}
