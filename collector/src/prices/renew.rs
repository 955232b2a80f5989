//! Prices renewed while the collector runs: a changed file is read, and takes the place of what held when it is good.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{error, info};

use super::{Prices, book};
use crate::config::Config;

/// Watches the files that prices come from.
#[derive(Debug)]
pub struct Renewal {
    prices: Arc<Prices>,
    file: PathBuf,
    seen: Vec<Seen>,
}

/// What a change of a file changes.
type Seen = (PathBuf, Option<SystemTime>, u64);

impl Renewal {
    /// Watches the configuration in `file`, which `prices` were made of, and its price files.
    #[must_use]
    pub fn new(prices: Arc<Prices>, file: PathBuf) -> Self {
        let seen = seen(&file, dir(&file).as_deref());
        Self { prices, file, seen }
    }

    /// Looks again and again, until the collector ends.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(renewal) => self = renewal,
                Err(_) => return,
            }
        }
    }

    /// Reads again if something changed. What is wrong is said once, and the running prices stay.
    pub fn look(&mut self) {
        let now = seen(&self.file, dir(&self.file).as_deref());
        if now == self.seen {
            return;
        }
        self.seen = now;
        let name = self.file.display().to_string();
        let config = match Config::load(&self.file) {
            Ok(config) => config.prices,
            Err(errors) => return error!("Changed prices are not used, those from before stay: {errors}"),
        };
        match book(&name, &config) {
            Ok(book) => {
                if book.version() != self.prices.book().version() {
                    info!(
                        price.version = book.version(),
                        "Prices have changed; gateways get them with their next sync"
                    );
                }
                self.prices.replace(book, config.unpriced);
            }
            Err(errors) => {
                error!("Changed prices are not used, those from before stay: {}", errors.join("; "));
            }
        }
    }
}

fn dir(file: &Path) -> Option<PathBuf> {
    Config::load(file).ok()?.prices.dir
}

fn seen(file: &Path, dir: Option<&Path>) -> Vec<Seen> {
    let mut paths = vec![file.to_owned()];
    if let Some(entries) = dir.and_then(|dir| std::fs::read_dir(dir).ok()) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let metadata = path.metadata().ok();
            let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            (path, metadata.and_then(|metadata| metadata.modified().ok()), length)
        })
        .collect()
}

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_used_when_it_is_good_and_the_running_book_stays_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tollgate.toml");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("");
        let first = book("t", &Config::load(&file).unwrap().prices).unwrap();
        let prices = Arc::new(Prices::new(first, Default::default()));
        let before = prices.book().version().to_owned();
        let mut renewal = Renewal::new(Arc::clone(&prices), file.clone());
        write("[[prices.override]]\nprovider = 'openai'\nmodel = 'm'\ntokens = { input = 'x' }\n");
        renewal.look();
        assert_eq!(prices.book().version(), before, "a mistake changes nothing");
        write("[[prices.override]]\nprovider = 'openai'\nmodel = 'm'\ntokens = { input = '12' }\n");
        renewal.look();
        assert!(prices.book().model("openai", "m").is_some());
        assert_ne!(prices.book().version(), before);
    }
}
