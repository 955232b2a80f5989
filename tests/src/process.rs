//! Child processes that end with whoever holds them, their output in files.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A child. Dropping it stops it: asked first, then killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, its output going to the file `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        if APART.load(Ordering::Relaxed) {
            command.process_group(0);
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name} ({program})"))?;
        running().push(child.id());
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// The process ends, or the time is over; with the end of its log.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before {what}:\n{}", self.name, self.log_tail());
            }
            if start.elapsed() > limit {
                bail!("{}: still not {what} after {limit:?}:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The exit status, once it has ended.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to stop (SIGTERM) and waits; after `limit` it is killed.
    pub fn stop(&mut self, limit: Duration) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
            let start = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < limit {
                std::thread::sleep(POLL);
            }
        }
        self.kill();
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        running().retain(|id| *id != self.child.id());
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        format!("--- end of {}\n{tail}\n---", self.log.display())
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(5));
    }
}

/// Starts later children in process groups of their own: Ctrl-C then reaches this process alone, which stops
/// them in order with [`stop_all`].
pub fn keep_signals_from_children() {
    APART.store(true, Ordering::Relaxed);
}

/// Stops every child that runs, the last one first: each is asked, and killed after ten seconds.
pub fn stop_all() {
    let ids: Vec<u32> = running().drain(..).collect();
    for id in ids.into_iter().rev() {
        terminate(id);
        let start = Instant::now();
        while is_alive(id) && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(POLL);
        }
        if is_alive(id) {
            let _ = writeln!(std::io::stderr(), "process {id} does not stop: killing it");
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
    }
}

fn terminate(id: u32) {
    let _ = Command::new("kill").args(["-TERM", &id.to_string()]).stderr(Stdio::null()).status();
}

/// Whether it runs: a zombie that nobody waited for does not.
fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static APART: AtomicBool = AtomicBool::new(false);

const POLL: Duration = Duration::from_millis(10);
const TAIL_LINES: usize = 60;
