//! `tollgate.toml`: read raw, then turned into types that cannot be wrong, with all mistakes reported at
//! once.

mod access;
mod alerts;
mod budgets;
mod channels;
mod chargeback;
mod document;
mod keeping;
mod mistake;
mod prices;
mod reports;
mod rules;
pub mod schema;
pub mod token;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use access::{AccessConfig, NamedToken, ProxyConfig, Reading, TlsConfig, Whom, is_gateway};
pub use alerts::{AlertsConfig, Rule, Severity, Short, Threshold, When, WindowKind};
pub use budgets::BudgetsConfig;
pub use channels::{Channel, Email, Encryption, Quiet, Secret, Target};
pub use chargeback::{ChargebackConfig, Payers, Shared};
use document::Document;

use crate::model::agent::Status;
use crate::model::text::printable;
pub use keeping::{AnomaliesConfig, MetricsConfig, RetentionConfig, RollupsConfig};
use mistake::ConfigError;
pub use prices::{Discount, Meaning, Override, OwnModel, Place, PricesConfig};
pub use reports::{Every, Report};
pub use rules::{AllowList, FRONTIER_OUTPUT, ModelWords, RulesConfig, UnknownAgents};

/// Configuration of a collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Directory of the database; relative to where the collector is started.
    pub data_dir: PathBuf,
    /// How records come in.
    pub ingest: IngestConfig,
    /// How the collector logs.
    pub log: LogConfig,
    /// Prices of the operator's own.
    pub prices: PricesConfig,
    /// Who may spend how much.
    pub budgets: BudgetsConfig,
    /// File that holds the token for requests that change something; made at the first start where it is
    /// missing.
    pub admin_token_file: PathBuf,
    /// Where people reach the collector, for links in alerts; its own address where it is not set.
    pub public_url: Option<String>,
    /// Further names under which a collector on loopback answers, such as that of a proxy before it.
    pub hosts: Vec<String>,
    /// Who may read, and further tokens.
    pub access: AccessConfig,
    /// The server's certificate; without one it speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// How long records are kept.
    pub retention: RetentionConfig,
    /// Bounds of what summaries are made of.
    pub rollups: RollupsConfig,
    /// What `/metrics` shows.
    pub metrics: MetricsConfig,
    /// When an agent has drifted from its baseline.
    pub anomalies: AnomaliesConfig,
    /// What is told to whom.
    pub alerts: AlertsConfig,
    /// How a month is charged to teams.
    pub chargeback: ChargebackConfig,
    /// What is mailed to whom, in the order of the file.
    pub reports: Vec<Report>,
    /// Who may call what.
    pub rules: RulesConfig,
}

/// `[ingest]`: how records come in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IngestConfig {
    /// File that holds the token which gateways present; made at the first start where it is missing.
    pub token_file: PathBuf,
}

/// `[log]`: how the collector logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// The least important level that is shown.
    pub level: LogLevel,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Least important level of the log that is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum LogLevel {
    /// What someone must act on.
    Error,
    /// What is degraded but running.
    Warn,
    /// What the system does.
    #[default]
    Info,
    /// Every request.
    Debug,
    /// Everything.
    Trace,
}

impl Default for Config {
    fn default() -> Self {
        let data_dir = PathBuf::from(DATA_DIR);
        Self {
            listen: LISTEN,
            ingest: IngestConfig::in_dir(&data_dir),
            prices: PricesConfig::default(),
            budgets: BudgetsConfig::default(),
            admin_token_file: data_dir.join(ADMIN_TOKEN_FILE),
            public_url: None,
            hosts: Vec::new(),
            access: AccessConfig::default(),
            tls: None,
            retention: RetentionConfig::default(),
            rollups: RollupsConfig::default(),
            metrics: MetricsConfig::default(),
            anomalies: AnomaliesConfig::default(),
            alerts: AlertsConfig::default(),
            chargeback: ChargebackConfig::default(),
            reports: Vec::new(),
            rules: RulesConfig::default(),
            data_dir,
            log: LogConfig { format: LogFormat::default(), level: LogLevel::default() },
        }
    }
}

impl Config {
    /// The configuration in this file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse(&path.display().to_string(), &Self::text(path)?)
    }

    /// The text of this file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(path: &Path) -> Result<String, ConfigErrors> {
        std::fs::read_to_string(path).map_err(|error| ConfigErrors {
            file: path.display().to_string(),
            errors: vec![ConfigError { line: None, message: format!("cannot be read: {error}") }],
        })
    }

    /// The same as far as it can hold in a collector that was started with `running`: where it listens, where
    /// its data and with them its own tokens lie, and whether it has TLS stay what they are.
    #[must_use]
    pub fn in_running(self, running: &Self) -> Self {
        let own = |file: PathBuf, name: &str| match file == self.data_dir.join(name) {
            true => running.data_dir.join(name),
            false => file,
        };
        Self {
            listen: running.listen,
            ingest: IngestConfig { token_file: own(self.ingest.token_file, TOKEN_FILE) },
            admin_token_file: own(self.admin_token_file, ADMIN_TOKEN_FILE),
            tls: if self.tls.is_some() == running.tls.is_some() { self.tls } else { running.tls.clone() },
            data_dir: running.data_dir.clone(),
            ..self
        }
    }

    /// The configuration in this text, which came from `file`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigErrors> {
        let mut document = Document::new(text);
        let config = Self::read(&mut document);
        let errors = document.errors();
        if !errors.is_empty() {
            let file = file.to_owned();
            return Err(ConfigErrors { file, errors });
        }
        #[cfg(test)]
        schema::assert_accepts(text);
        Ok(config)
    }

    /// What can be read; what cannot is in the document's errors.
    fn read(document: &mut Document<'_>) -> Self {
        let mut root = document.root();
        let mut ingest = document.section(&mut root, "ingest");
        let mut log = document.section(&mut root, "log");
        let mut api = document.section(&mut root, "api");
        let prices = prices::read(document, &mut root);
        let access = access::read(document, &mut root);
        let tls = access::read_tls(document, &mut root);
        let retention = keeping::read_retention(document, &mut root);
        let rollups = keeping::read_rollups(document, &mut root);
        let metrics = keeping::read_metrics(document, &mut root);
        let anomalies = keeping::read_anomalies(document, &mut root);
        let alerts = alerts::read(document, &mut root);
        let reports = reports::read(document, &mut root, &alerts.channels);
        let mut budgets = budgets::read(document, &mut root);
        let rules = rules::read(document, &mut root, &budgets.budgets);
        budgets.register(rules.agents.iter().filter(|agent| agent.status == Status::Approved));
        let chargeback = chargeback::read(document, &mut root);

        let listen = document.parsed(&mut root, "listen", "an address and port such as `127.0.0.1:8088`");
        let data_dir = document.path(&mut root, "data_dir");
        let token_file = document.path(&mut ingest, "token_file");
        let admin_token_file = document.path(&mut api, "token_file");
        let public_url =
            document.text(&mut api, "public_url", "an address such as `https://tollgate.example`");
        let hosts = document.list(&mut api, "hosts", "a list of names such as `[\"tollgate.lan\"]`");
        let format = document.choice(&mut log, "format");
        let level = document.choice(&mut log, "level");
        for section in [root, ingest, log, api] {
            document.finish(section);
        }

        let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR));
        Self {
            listen: listen.unwrap_or(LISTEN),
            ingest: token_file
                .map_or_else(|| IngestConfig::in_dir(&data_dir), |token_file| IngestConfig { token_file }),
            prices,
            public_url,
            hosts: hosts.unwrap_or_default(),
            access,
            tls,
            retention,
            rollups,
            metrics,
            anomalies,
            alerts,
            budgets,
            chargeback,
            reports,
            rules,
            admin_token_file: admin_token_file.unwrap_or_else(|| data_dir.join(ADMIN_TOKEN_FILE)),
            data_dir,
            log: LogConfig { format: format.unwrap_or_default(), level: level.unwrap_or_default() },
        }
    }
}

impl IngestConfig {
    fn in_dir(data_dir: &Path) -> Self {
        Self { token_file: data_dir.join(TOKEN_FILE) }
    }
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors {
    file: String,
    errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            match error.line {
                Some(line) => write!(f, "{}:{line}: {}", self.file, printable(&error.message))?,
                None => write!(f, "{}: {}", self.file, printable(&error.message))?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Where the server listens by default.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8088);
/// Default directory of the database.
const DATA_DIR: &str = "./tollgate-data";
/// Default name of the token's file, inside the data directory.
const TOKEN_FILE: &str = "ingest.token";
/// Default name of the file of the token for changes, inside the data directory.
const ADMIN_TOKEN_FILE: &str = "admin.token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Config::parse("t.toml", ""), Ok(Config::default()));
        assert_eq!(Config::default().ingest.token_file, Path::new("./tollgate-data/ingest.token"));
    }

    #[test]
    fn every_key_is_read() {
        let text = "
            listen = '0.0.0.0:9000'
            data_dir = '/data'
            [ingest]
            token_file = '/run/token'
            [log]
            format = 'json'
            level = 'debug'";
        let config = Config::parse("t.toml", text).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
        assert_eq!(config.data_dir, Path::new("/data"));
        assert_eq!(config.ingest.token_file, Path::new("/run/token"));
        assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Debug));
    }

    #[test]
    fn the_token_lies_in_the_data_directory_by_default() {
        let config = Config::parse("t.toml", "data_dir = '/data'").unwrap();
        assert_eq!(config.ingest.token_file, Path::new("/data/ingest.token"));
    }

    #[test]
    fn all_mistakes_are_reported_with_file_key_value_and_what_would_be_right() {
        let text = "listen = 'localhost'\n\
                    data_dir = 7\n\
                    colour = 'red'\n\
                    [ingest]\n\
                    token_fil = 'x'\n\
                    token_file = ''\n\
                    [log]\n\
                    format = 'xml'\n";
        let said = Config::parse("t.toml", text).unwrap_err().to_string();
        let expected = [
            "t.toml:1: `listen` is `localhost`, not an address and port such as `127.0.0.1:8088`",
            "t.toml:2: `data_dir` is `7`, not a path in quotes",
            "t.toml:3: `colour` is not a key; there are `access`",
            "t.toml:5: `ingest.token_fil` is not a key; did you mean `token_file`?",
            "t.toml:6: `ingest.token_file` is ``, not a path in quotes",
            "t.toml:8: `log.format` is `xml`, not one of `text`, `json`",
        ];
        // Every key of the top level follows the first.
        let said: Vec<&str> = said.lines().map(|line| line.split(", `a").next().unwrap()).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_section_that_is_no_section_and_broken_syntax_are_mistakes() {
        let said = Config::parse("t.toml", "ingest = 3").unwrap_err().to_string();
        assert_eq!(said, "t.toml:1: `ingest` is `3`, not a section `[ingest]`");
        let said = Config::parse("t.toml", "listen = '127.0.0.1:1'\nlisten =\n").unwrap_err().to_string();
        assert!(said.starts_with("t.toml:2: "), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let said = Config::load(Path::new("/nowhere/t.toml")).unwrap_err().to_string();
        assert!(said.starts_with("/nowhere/t.toml: cannot be read"), "{said}");
    }
}
