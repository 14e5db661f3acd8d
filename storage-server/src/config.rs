//! Flags and a TOML file become plain settings. Flags win over the file, the file over the defaults. Parsing touches
//! nothing but the file it is given; an unknown key is an error.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use serde::Deserialize;
use storage_core::tier::policy::TierPolicy;

use crate::server;

const DATA_DIR: &str = "./data";
/// One request of full size has to fit into the share of a tenant, whatever that is.
const RECEIVE_MEMORY_MIN: usize = 8 << 20;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7401);

/// The file, key by key; see `storage-server.example.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    log: Option<LogFormat>,
    migrate_schedule: Option<String>,
    policy: Option<TierPolicy>,
    item_bytes_max: Option<u64>,
    put_memory_bytes: Option<u64>,
    get_memory_bytes: Option<u64>,
    receive_memory_bytes: Option<usize>,
    tenant_share_percent: Option<u8>,
    block_cache_bytes: Option<u64>,
    dictionary_cache_bytes: Option<u64>,
    workers: Option<usize>,
    requests_max: Option<usize>,
    connections_max: Option<usize>,
    idle_seconds: Option<u64>,
    metrics_listen: Option<SocketAddr>,
    drain_seconds: Option<u64>,
}

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--log`
    pub log: Option<LogFormat>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON document a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("the log format is text or json"),
        }
    }
}

/// Everything a server process is run with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where metrics are read, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How to log.
    pub log: LogFormat,
    /// What to open the engine with.
    pub engine: storage_core::settings::Settings,
    /// What to serve with.
    pub server: server::Settings,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
    parse(&text).map_err(|ConfigError(reason)| ConfigError(format!("{}: {reason}", path.display())))
}

/// Parses the text of a file.
pub fn parse(text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError(error.to_string()))
}

/// The settings that flags and file come to.
pub fn resolve(flags: Flags, file: File) -> Result<Settings, ConfigError> {
    let data_dir = flags.data_dir.or(file.data_dir).unwrap_or_else(|| DATA_DIR.into());
    let mut engine = storage_core::settings::Settings::new(data_dir);
    if let Some(policy) = file.policy {
        policy.validate().map_err(|error| ConfigError(format!("policy: {}", error.message())))?;
        engine.policy = policy;
    }
    set(&mut engine.item_bytes_max, "item_bytes_max", file.item_bytes_max)?;
    set(&mut engine.put_memory_bytes, "put_memory_bytes", file.put_memory_bytes)?;
    set(&mut engine.get_memory_bytes, "get_memory_bytes", file.get_memory_bytes)?;
    set(&mut engine.tenant_share_percent, "tenant_share_percent", file.tenant_share_percent)?;
    if engine.tenant_share_percent > 100 {
        return Err(ConfigError("tenant_share_percent must be at most 100".to_owned()));
    }
    set(&mut engine.workers, "workers", file.workers)?;
    // A cache may be switched off.
    engine.block_cache_bytes = file.block_cache_bytes.unwrap_or(engine.block_cache_bytes);
    engine.dictionary_cache_bytes = file.dictionary_cache_bytes.unwrap_or(engine.dictionary_cache_bytes);

    let mut server = server::Settings::default();
    set(&mut server.requests_max, "requests_max", file.requests_max)?;
    set(&mut server.connections_max, "connections_max", file.connections_max)?;
    set(&mut server.receive_memory_bytes, "receive_memory_bytes", file.receive_memory_bytes)?;
    if server.receive_memory_bytes < RECEIVE_MEMORY_MIN {
        return Err(ConfigError(format!("receive_memory_bytes must be at least {RECEIVE_MEMORY_MIN}")));
    }
    let mut idle_seconds = server.patience.idle.as_secs();
    set(&mut idle_seconds, "idle_seconds", file.idle_seconds)?;
    server.patience.idle = Duration::from_secs(idle_seconds);
    server.drain = file.drain_seconds.map_or(server.drain, Duration::from_secs);
    server.migrate_schedule = file.migrate_schedule.as_deref().map(schedule).transpose()?;
    Ok(Settings {
        listen: flags.listen.or(file.listen).unwrap_or(LISTEN),
        metrics_listen: file.metrics_listen,
        log: flags.log.or(file.log).unwrap_or_default(),
        engine,
        server,
    })
}

/// Sets a value that must be at least 1.
fn set<T>(target: &mut T, key: &str, value: Option<T>) -> Result<(), ConfigError>
where
    T: Default + PartialEq,
{
    match value {
        Some(value) if value == T::default() => Err(ConfigError(format!("{key} must be at least 1"))),
        Some(value) => {
            *target = value;
            Ok(())
        }
        None => Ok(()),
    }
}

fn schedule(text: &str) -> Result<Cron, ConfigError> {
    Cron::from_str(text)
        .map_err(|error| ConfigError(format!("migrate_schedule is not a cron expression: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<Settings, ConfigError> {
        resolve(Flags::default(), parse(text)?)
    }

    #[test]
    fn nothing_is_needed() {
        let settings = resolved("").unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:7401");
        assert_eq!(settings.engine, storage_core::settings::Settings::new("./data"));
        assert_eq!(settings.log, LogFormat::Text);
        assert!(settings.server.migrate_schedule.is_none());
    }

    #[test]
    fn the_example_documents_every_key_with_its_default() {
        let example = include_str!("../storage-server.example.toml");
        let commented_in = example.replace("#= ", "");
        let file = parse(&commented_in).unwrap();
        // Every key is set once the defaults are commented in.
        let shown = format!("{file:?}");
        assert!(!shown.contains("None"), "a key is missing from the example: {shown}");
        let settings = resolve(Flags::default(), file).unwrap();
        let defaults = resolved("").unwrap();
        assert_eq!(settings.listen, defaults.listen);
        assert_eq!(settings.engine.policy, defaults.engine.policy);
        assert_eq!(settings.engine.item_bytes_max, defaults.engine.item_bytes_max);
        assert_eq!(settings.engine.put_memory_bytes, defaults.engine.put_memory_bytes);
        assert_eq!(settings.engine.get_memory_bytes, defaults.engine.get_memory_bytes);
        assert_eq!(settings.engine.tenant_share_percent, defaults.engine.tenant_share_percent);
        assert_eq!(settings.server.receive_memory_bytes, defaults.server.receive_memory_bytes);
        assert_eq!(settings.server.patience, defaults.server.patience);
        assert_eq!(settings.engine.block_cache_bytes, defaults.engine.block_cache_bytes);
        assert_eq!(settings.server.requests_max, defaults.server.requests_max);
        assert_eq!(settings.server.connections_max, defaults.server.connections_max);
        assert_eq!(settings.server.drain, defaults.server.drain);
        assert_eq!(resolve(Flags::default(), parse(example).unwrap()).unwrap().engine, defaults.engine);
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Flags {
            data_dir: Some("flag".into()),
            listen: Some("127.0.0.1:1".parse().unwrap()),
            log: Some(LogFormat::Json),
        };
        let file = parse("data_dir = 'file'\nlisten = '127.0.0.1:2'\nlog = 'text'").unwrap();
        let settings = resolve(flags, file).unwrap();
        assert_eq!(settings.engine.data_dir, PathBuf::from("flag"));
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.log, LogFormat::Json);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("listenn = '127.0.0.1:1'", "listenn"),
            ("[policy]\nwarm_days = 1", "warm_days"),
            ("[policy]\nwarm_after_days = 90", "warm_after_days"),
            ("requests_max = 0", "requests_max"),
            ("tenant_share_percent = 101", "tenant_share_percent"),
            ("receive_memory_bytes = 1000", "receive_memory_bytes"),
            ("idle_seconds = 0", "idle_seconds"),
            ("metrics_listen = 'nowhere'", "metrics_listen"),
            ("item_bytes_max = -1", "item_bytes_max"),
            ("migrate_schedule = 'at night'", "migrate_schedule"),
            ("log = 'xml'", "log"),
        ] {
            let error = resolved(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
