//! A changed configuration is taken while the collector runs: at SIGHUP, and when a file of it changes.
//!
//! All or nothing: a file with a mistake changes nothing, and is reported in the log, in `/metrics` and in
//! `/readyz`. What was taken leaves an entry in the audit trail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tollgate_core::price::PriceBook;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::model::audit::{Entry, hex};
use crate::model::clock::now_ms;
use crate::store::StoreError;
use crate::work::access::Access;
use crate::work::app::App;
use crate::work::policy;
use crate::work::prices::book;
use crate::work::rules;
use crate::work::tls::Certificates;

/// Watches the configuration's files.
#[derive(Debug)]
pub struct Reload {
    app: Arc<App>,
    certificates: Option<Arc<Certificates>>,
    file: PathBuf,
    seen: Vec<Seen>,
    hash: String,
    /// Without the signal there is still the watch.
    hangup: Option<Signal>,
}

/// A configuration that was read and found good, with all that it names.
struct Good {
    config: Config,
    /// Keys whose change holds from the next start on.
    later: Vec<&'static str>,
    book: PriceBook,
    certificates: Option<Certificates>,
    access: Access,
}

/// What a change of a file changes.
type Seen = (PathBuf, Option<SystemTime>, u64);

impl Reload {
    /// Watches `file`, which the collector was started with, and what it names. From here SIGHUP ends
    /// nothing.
    pub fn new(app: Arc<App>, certificates: Option<Arc<Certificates>>, file: PathBuf) -> Self {
        let seen = seen(&file, &app.config());
        let hash = content_hash(&file);
        Self { app, certificates, file, seen, hash, hangup: signal(SignalKind::hangup()).ok() }
    }

    /// Notes the configuration that the collector started with in the audit trail, then looks again and
    /// again.
    pub async fn run(mut self) {
        self.audit("configuration.start", None).await;
        loop {
            let asked = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = asked => self.take().await,
                () = tokio::time::sleep(EVERY) => self.look().await,
            }
        }
    }

    /// Reads again if something changed.
    pub async fn look(&mut self) {
        if seen(&self.file, &self.app.config()) != self.seen {
            self.take().await;
        }
    }

    /// Reads again, and takes what is good.
    pub async fn take(&mut self) {
        self.seen = seen(&self.file, &self.app.config());
        let name = self.file.display().to_string();
        let read = self.read(&name);
        let put = match read {
            Ok(good) => self.put(good).await,
            Err(mistakes) => Err(mistakes),
        };
        self.app.metrics.count_reload(put.is_ok());
        match put {
            Ok(()) => {
                // What it names may be other files now.
                self.seen = seen(&self.file, &self.app.config());
                let before = std::mem::replace(&mut self.hash, content_hash(&self.file));
                self.audit("configuration.reload", Some(before)).await;
                info!("Took the configuration of `{name}`");
            }
            Err(mistakes) => {
                error!("The changed configuration is not used, the one from before stays: {mistakes}");
                self.app.set_config_error(Some(mistakes));
            }
        }
    }

    fn read(&self, name: &str) -> Result<Good, String> {
        let text = |error: anyhow::Error| format!("{error:#}");
        let file = Config::text(&self.file).map_err(|errors| errors.to_string())?;
        if file.trim().is_empty() && hash(file.as_bytes()) != self.hash {
            return Err(format!(
                "{name}: is empty, as a file that is still being written; where the defaults are meant, write a \
                 comment into it"
            ));
        }
        let read = Config::parse(name, &file).map_err(|errors| errors.to_string())?;
        let running = self.app.config();
        let later = [
            ("listen", running.listen == read.listen),
            ("data_dir", running.data_dir == read.data_dir),
            ("log", running.log == read.log),
            ("tls", running.tls.is_some() == read.tls.is_some()),
        ];
        let later = later.into_iter().filter_map(|(key, same)| (!same).then_some(key)).collect();
        let config = read.in_running(&running);
        let book = book(name, &config.prices).map_err(|errors| errors.join("; "))?;
        policy::check(name, &config.budgets, &book).map_err(|errors| errors.join("; "))?;
        rules::check(name, &config, &book, now_ms()).map_err(|errors| errors.join("; "))?;
        let certificates = match (&self.certificates, &config.tls) {
            (Some(_), Some(tls)) => Some(Certificates::load(tls).map_err(text)?),
            _ => None,
        };
        let access = Access::load(&config).map_err(text)?;
        Ok(Good { config, later, book, certificates, access })
    }

    /// Puts all of it in place, or nothing: budgets live in the store, which may fail, so they come first.
    async fn put(&mut self, good: Good) -> Result<(), String> {
        let Good { config, later, book, certificates, access } = good;
        match self.app.store.configure(rules::configured(&config), now_ms()).await {
            Ok(defined) => self.app.budgets.configure(defined, &config),
            Err(error @ (StoreError::NameTaken { .. } | StoreError::TwoTeams { .. })) => {
                return Err(error.to_string());
            }
            Err(error) => {
                // There is no mistake in the file: it is tried again at the next look.
                self.seen = Vec::new();
                return Err(format!("its budgets could not be stored, it is tried again: {error}"));
            }
        }
        if book.version() != self.app.prices.book().version() {
            info!(
                price.version = book.version(),
                "Prices have changed; gateways get them with their next sync"
            );
        }
        for key in later {
            warn!("`{key}` has changed; that holds from the next start on");
        }
        self.app.prices.replace(book, config.prices.unpriced);
        self.app.store.set_rows_per_hour(config.rollups.rows_per_hour);
        self.app.set_config(config);
        if let (Some(current), Some(new)) = (&self.certificates, certificates) {
            current.replace(new);
        }
        self.app.access.replace(access);
        Ok(())
    }

    async fn audit(&self, action: &str, before: Option<String>) {
        let held = self.app.prices.held();
        let entry = Entry {
            time_ms: now_ms(),
            actor: "collector".into(),
            action: action.into(),
            subject: self.file.display().to_string(),
            before: before.map(|hash| json!({"sha256": hash})),
            after: Some(json!({"sha256": self.hash, "price_version": held.book.version()})),
        };
        if let Err(error) = self.app.store.audit(entry).await {
            error!(%error, "The configuration's change is missing in the audit trail");
        }
    }
}

/// SHA-256 of a file; empty when it cannot be read.
fn content_hash(file: &Path) -> String {
    std::fs::read(file).map_or_else(|_| String::new(), |bytes| hash(&bytes))
}

fn hash(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// The files of a configuration, as they are now.
fn seen(file: &Path, config: &Config) -> Vec<Seen> {
    let mut paths = vec![file.to_owned(), config.ingest.token_file.clone(), config.admin_token_file.clone()];
    if let Some(tls) = &config.tls {
        paths.extend([tls.certificate.clone(), tls.key.clone()]);
        paths.extend(tls.client_ca.clone());
    }
    if let Some(entries) = config.prices.dir.as_ref().and_then(|dir| std::fs::read_dir(dir).ok()) {
        paths.extend(entries.flatten().map(|entry| entry.path()));
    }
    paths.sort();
    let state = |path: PathBuf| {
        let metadata = path.metadata().ok();
        let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        (path, metadata.and_then(|metadata| metadata.modified().ok()), length)
    };
    paths.into_iter().map(state).collect()
}

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::role::Role;
    use crate::store::Store;
    use crate::work::prices::Prices;

    #[tokio::test]
    async fn a_good_file_is_taken_as_a_whole_and_a_bad_one_changes_nothing_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tollgate.toml");
        let data = format!("data_dir = '{}/data'\n", dir.path().display());
        let write = |text: &str| std::fs::write(&file, format!("{data}{text}")).unwrap();
        write("");
        let config = Config::load(&file).unwrap();
        let prices = Arc::new(Prices::new(book("t", &config.prices).unwrap(), Default::default()));
        let access = Access::load(&config).unwrap();
        let store = Store::open(&config.data_dir).unwrap();
        let app = Arc::new(App::new(config, store, prices, access));
        let before = app.prices.book().version().to_owned();
        let mut reload = Reload::new(Arc::clone(&app), None, file.clone());

        write(
            "[retention]\nrecords_days = 30\n[[prices.override]]\nprovider = 'openai'\nmodel = 'm'\ntokens = { input = 'x' }\n",
        );
        reload.look().await;
        assert_eq!(app.prices.book().version(), before, "a mistake changes nothing");
        assert_eq!(app.config().retention.records_days, None);
        assert!(app.config_error().unwrap().contains("prices.override"));
        assert!(app.metrics.prometheus(false).contains("tollgate_collector_config_good 0"));

        write(
            "[retention]\nrecords_days = 30\n[[prices.override]]\nprovider = 'openai'\nmodel = 'm'\ntokens = { input = '12' }\n",
        );
        reload.look().await;
        assert!(app.prices.book().model("openai", "m").is_some());
        assert_eq!((app.config().retention.records_days, app.config_error()), (Some(30), None));
        assert!(app.metrics.prometheus(false).contains("tollgate_collector_config_good 1"));
        let trail = app.store.audited_after(0, 10).await.unwrap();
        assert_eq!(trail.len(), 1);
        assert_eq!(trail[0].action, "configuration.reload");

        // The store fails at the budgets: nothing of the file is taken, and it is tried again.
        let database = rusqlite::Connection::open(dir.path().join("data/tollgate.db")).unwrap();
        database.execute_batch("ALTER TABLE budgets RENAME TO away").unwrap();
        write(
            "[retention]\nrecords_days = 60\n[[prices.override]]\nprovider = 'openai'\nmodel = 'n'\ntokens = { input = '1' }\n\
             [[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'day'\n",
        );
        for _ in 0..2 {
            reload.look().await;
            assert_eq!(app.config().retention.records_days, Some(30));
            assert!(app.prices.book().model("openai", "n").is_none() && app.budgets.all().is_empty());
            assert!(app.config_error().unwrap().contains("budgets could not be stored"));
            assert!(app.metrics.prometheus(false).contains("tollgate_collector_config_good 0"));
            assert_eq!(app.store.audited_after(0, 10).await.unwrap().len(), 1);
        }
        database.execute_batch("ALTER TABLE away RENAME TO budgets").unwrap();
        reload.look().await;
        assert_eq!((app.config().retention.records_days, app.config_error()), (Some(60), None));
        assert_eq!(app.budgets.all().len(), 1);
        assert!(app.prices.book().model("openai", "n").is_some());
    }

    #[tokio::test]
    async fn what_holds_from_the_next_start_on_changes_no_token_and_an_empty_file_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tollgate.toml");
        let at = |name: &str| dir.path().join(name);
        let write = |data: &str, more: &str| {
            std::fs::write(&file, format!("{more}\ndata_dir = '{}'\n{BUDGET}", at(data).display())).unwrap();
        };
        write("data", "listen = '0.0.0.0:1'");
        let config = Config::load(&file).unwrap();
        let prices = Arc::new(Prices::new(book("t", &config.prices).unwrap(), Default::default()));
        let (access, store) = (Access::load(&config).unwrap(), Store::open(&config.data_dir).unwrap());
        let defined = store.configure(rules::configured(&config), 1).await.unwrap();
        let app = Arc::new(App::new(config.clone(), store, prices, access));
        app.budgets.configure(defined, &config);
        let mut reload = Reload::new(Arc::clone(&app), None, file.clone());
        let allows = |role: Role| {
            let name = if role == Role::Ingest { "ingest" } else { "admin" };
            let token = std::fs::read_to_string(at(&format!("data/{name}.token"))).unwrap();
            let mut headers = axum::http::HeaderMap::new();
            headers.insert("authorization", format!("Bearer {}", token.trim()).parse().unwrap());
            app.access.caller(&headers, role).is_some()
        };

        write("elsewhere", "retention.records_days = 30");
        reload.take().await;
        assert_eq!((app.config_error(), app.config().retention.records_days), (None, Some(30)));
        assert!(allows(Role::Ingest) && allows(Role::Admin));
        assert!(!at("elsewhere").exists());
        assert_eq!(app.config().data_dir, at("data"));
        let anyone = app.access.caller(&Default::default(), Role::Read);
        assert_eq!(anyone, None, "other machines still reach it, so reading still needs a token");

        for empty in ["", " \n"] {
            std::fs::write(&file, empty).unwrap();
            reload.take().await;
            assert!(app.config_error().unwrap().contains("is empty"), "{:?}", app.config_error());
            assert_eq!((app.budgets.all().len(), app.config().retention.records_days), (1, Some(30)));
            assert!(allows(Role::Ingest) && allows(Role::Admin));
        }
    }

    const BUDGET: &str = "[[budgets]]\nname = 'b'\nlimit_usd = '1'\nwindow = 'day'\n";
}
