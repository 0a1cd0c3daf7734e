//! The settings: defaults embedded with their comments, overridden by a file, the environment and
//! flags.
//!
//! Every fault is found at once, with where it was set, its key and what would be right.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod checks;
mod layers;
mod recipes;

pub use layers::{Layers, Override};
pub use recipes::{RecipesError, recipes};

/// All settings with their comments and defaults.
pub const DEFAULT: &str = include_str!("default.toml");
/// The file that is read from the data folder if none is named.
pub const FILE_NAME: &str = "nextbest.toml";
/// What environment variables of settings begin with.
pub const ENV_PREFIX: &str = "NEXTBEST_";
/// The largest settings file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives a loss of power.
    Always,
    /// At once; the disk follows every `interval_ms`.
    Interval,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What a keeper of the service wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where things are kept.
    pub data: Data,
    /// The journal.
    pub journal: Journal,
    /// The service.
    pub server: Server,
    /// The pages.
    pub dashboard: Dashboard,
    /// The time.
    pub clock: Clock,
    /// What is held in memory.
    pub state: State,
    /// Attribution tokens.
    pub attribution: Attribution,
    /// Offers.
    pub offers: Offers,
    /// Decisions.
    pub decisions: Decisions,
    /// Learning.
    pub training: Training,
    /// Recipes.
    pub models: Models,
    /// Logging.
    pub log: Log,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The data folder.
    pub folder: PathBuf,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// How often the disk follows with [`Durability::Interval`], in milliseconds.
    pub interval_ms: u64,
    /// Keep a second copy.
    pub mirror: bool,
    /// Memory of the storage engine, in MiB.
    pub cache_mb: u64,
    /// Records between two checkpoints.
    pub checkpoint_every_records: u64,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address and port; beyond loopback only with `allow_remote_without_authentication`.
    pub listen: SocketAddr,
    /// Address and port of HTTP; absent: there is no HTTP. Beyond loopback as `listen`.
    pub http_address: Option<SocketAddr>,
    /// Whether anybody may reach the service.
    pub allow_remote_without_authentication: bool,
    /// How long calls under way may take at the end, in seconds.
    pub drain_seconds: u64,
    /// Calls at the same time.
    pub max_concurrent_calls: usize,
    /// Batches that may wait for the journal.
    pub write_queue_batches: usize,
}

/// `[dashboard]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Whether everybody who reaches the pages sees customers.
    pub personal_data: bool,
    /// What the shop is called; empty: it does not say.
    pub shop_name: String,
    /// Names by which browsers may call the service, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSource {
    /// The machine.
    System,
    /// The newest event: for simulations and replays.
    Events,
}

/// `[clock]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Where the time comes from.
    pub source: ClockSource,
}

/// `[state]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Days after which a silent visitor is forgotten in memory.
    pub visitor_idle_days: u32,
}

/// `[attribution]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The file of the key that tokens are signed with; absent: one in the data folder, made at the first start.
    pub key_file: Option<PathBuf>,
}

/// `[offers]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    /// Of a thousand customers so many never get an offer.
    pub holdout_per_mille: u32,
    /// Who they are follows from it.
    pub holdout_seed: u64,
    /// How long a reservation holds, in hours.
    pub reservation_hours: u32,
}

/// `[decisions]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// How long an answer stands that was given under a key, in hours.
    pub hours: u32,
}

/// `[training]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// Seed of everything random.
    pub seed: u64,
    /// The most rows of a fit.
    pub max_rows: usize,
    /// The most questions that are asked of the past.
    pub max_questions: usize,
    /// The fewest questions there is something to learn from.
    pub min_questions: usize,
    /// How many seconds the settings of the sources may be searched for.
    pub tuning_seconds: u32,
    /// The most past moments at which it is asked where people went next; 0: that is not learned.
    pub max_moments: usize,
    /// Whether personas are learned, too.
    pub personas: bool,
    /// The most events that are learned from; 0: all.
    pub max_records: u64,
    /// Hours between two runs; 0: only when asked.
    pub every_hours: u32,
}

/// `[models]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// A folder with own recipes; absent: the embedded ones.
    pub folder: Option<PathBuf>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
}

/// One setting as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The section: `journal`.
    pub section: String,
    /// The key within it: `durability`.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// Where it was set: `default`, `file …`, `environment variable …`, `flag …`.
    pub origin: String,
}

/// The settings, and where each of them came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Each one with its origin, in the order of the default file.
    pub effective: Vec<Effective>,
}

impl Loaded {
    /// The effective settings as TOML, each with where it came from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in &self.effective {
            if setting.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = &setting.section;
                text.push_str(&format!("{gap}[{section}]\n"));
            }
            let (key, value, origin) = (&setting.key, &setting.value, &setting.origin);
            text.push_str(&format!("{key} = {value} # {origin}\n"));
        }
        text
    }
}

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    /// Where it was set: `nextbest.toml:4`, `environment variable NEXTBEST_LOG__LEVEL`, `flag
    /// --listen`.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SettingFaults(pub Vec<SettingFault>);

impl SettingFaults {
    fn one(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![SettingFault {
            place: place.into(),
            message: message.into(),
        }])
    }
}

/// Loads the settings: `file` is the one named by `--config`; without it `nextbest.toml` in the
/// data folder is read, if it is there. `env` are the environment variables, of which those with
/// [`ENV_PREFIX`] count.
///
/// # Errors
/// Every fault.
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Override>,
) -> Result<Loaded, SettingFaults> {
    let mut layers = Layers {
        file: None,
        env: env
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect(),
        flags,
    };
    if let Some(path) = file {
        let text = read(path).map_err(|error| unreadable(path, &error))?;
        layers.file = Some((path.display().to_string(), text));
        return layers.load();
    }
    let without_file = layers.clone().load();
    let folder = match &without_file {
        Ok(loaded) => loaded.settings.data.folder.clone(),
        // there are faults already; the file beside the default folder is as good as any to find
        // more
        Err(_) => PathBuf::from("nextbest-data"),
    };
    let path = folder.join(FILE_NAME);
    match read(&path) {
        Ok(text) => {
            layers.file = Some((path.display().to_string(), text));
            let loaded = layers.load()?;
            if loaded.settings.data.folder != folder {
                let message = "data.folder cannot be set in the file that lies in the data folder; \
                               name the file with --config";
                return Err(SettingFaults::one(path.display().to_string(), message));
            }
            Ok(loaded)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => without_file,
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_FILE_BYTES {
        let message = format!("is larger than {MAX_FILE_BYTES} bytes");
        return Err(std::io::Error::other(message));
    }
    std::fs::read_to_string(path)
}

fn unreadable(path: &Path, error: &std::io::Error) -> SettingFaults {
    SettingFaults::one(
        path.display().to_string(),
        format!("cannot be read: {error}"),
    )
}
