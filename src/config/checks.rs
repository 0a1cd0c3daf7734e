//! From merged values to settings that can be true.

use std::net::SocketAddr;
use std::path::PathBuf;

use figment::Figment;
use serde::Deserialize;

use super::{
    Attribution, Clock, ClockSource, Dashboard, Data, Decisions, Durability, Journal, Log,
    LogFormat, LogLevel, Models, Offers, Server, SettingFault, Settings, State, Training,
};
use crate::application::spelling::suggestion;

/// The longest name of a host (RFC 1035).
const MAX_HOST_BYTES: usize = 253;
/// The longest name of a shop.
const MAX_SHOP_NAME_BYTES: usize = 100;

/// The settings as they stand in files: types only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: RawData,
    journal: RawJournal,
    server: RawServer,
    dashboard: RawDashboard,
    clock: RawClock,
    state: RawState,
    attribution: RawAttribution,
    offers: RawOffers,
    decisions: RawDecisions,
    training: RawTraining,
    models: RawModels,
    log: RawLog,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawData {
    folder: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJournal {
    durability: String,
    interval_ms: i64,
    mirror: bool,
    cache_mb: i64,
    checkpoint_every_records: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    listen: String,
    http_address: String,
    allow_remote_without_authentication: bool,
    drain_seconds: i64,
    max_concurrent_calls: i64,
    write_queue_batches: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDashboard {
    personal_data: bool,
    shop_name: String,
    hosts: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClock {
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawState {
    visitor_idle_days: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttribution {
    key_file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOffers {
    holdout_per_mille: i64,
    holdout_seed: i64,
    reservation_hours: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDecisions {
    hours: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTraining {
    seed: i64,
    max_rows: i64,
    max_questions: i64,
    min_questions: i64,
    tuning_seconds: i64,
    max_moments: i64,
    personas: bool,
    max_records: i64,
    every_hours: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModels {
    folder: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: String,
    format: String,
}

/// Notes what is wrong, and goes on with something harmless: the settings are given out only if
/// nothing is.
struct Checks<'a> {
    place: &'a dyn Fn(&str) -> String,
    faults: &'a mut Vec<SettingFault>,
}

impl Checks<'_> {
    fn fault(&mut self, key: &str, message: String) {
        self.faults.push(SettingFault {
            place: (self.place)(key),
            message,
        });
    }

    fn range<T: TryFrom<i64> + Default>(
        &mut self,
        key: &str,
        value: i64,
        least: i64,
        most: i64,
    ) -> T {
        let fits = (least..=most).contains(&value);
        let Some(value) = T::try_from(value).ok().filter(|_| fits) else {
            self.fault(
                key,
                format!("{key} must be from {least} to {most}, not {value}"),
            );
            return T::default();
        };
        value
    }

    fn one_of<T: Copy>(&mut self, key: &str, value: &str, names: &[(&str, T)]) -> T {
        if let Some((_, found)) = names.iter().find(|(name, _)| *name == value) {
            return *found;
        }
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let right = suggestion(value, &known);
        self.fault(key, format!("{key} cannot be {value:?}; {right}"));
        names[0].1
    }

    fn listen(&mut self, raw: &RawServer, key: &str, given: &str, like: &str) -> SocketAddr {
        let Ok(address) = given.parse::<SocketAddr>() else {
            let message =
                format!("{key} must be an IP address and a port such as \"{like}\", not {given:?}");
            self.fault(key, message);
            return SocketAddr::from(([127, 0, 0, 1], 0));
        };
        if !address.ip().is_loopback() && !raw.allow_remote_without_authentication {
            let message = format!(
                "{key} = \"{address}\" can be reached from other machines, and there is no \
                 authentication: everybody who reaches it could read, write and erase. Listen on \
                 127.0.0.1, or say server.allow_remote_without_authentication = true"
            );
            self.fault(key, message);
        }
        address
    }

    fn folder(&mut self, key: &str, value: &str) -> PathBuf {
        if value.trim().is_empty() {
            self.fault(key, format!("{key} must be the path of a folder"));
        }
        PathBuf::from(value)
    }
}

/// The settings, unless the values do not even have the right types. Faults are noted in `faults`;
/// with any, the settings are not to be used.
pub(super) fn settings(
    figment: &Figment,
    place: &dyn Fn(&str) -> String,
    faults: &mut Vec<SettingFault>,
) -> Option<Settings> {
    let raw: Raw = match figment.extract() {
        Ok(raw) => raw,
        Err(error) => {
            faults.push(SettingFault {
                place: "settings".to_owned(),
                message: error.to_string(),
            });
            return None;
        }
    };
    let mut checks = Checks { place, faults };
    let c = &mut checks;
    let journal = raw.journal;
    Some(Settings {
        data: Data {
            folder: c.folder("data.folder", &raw.data.folder),
        },
        journal: Journal {
            durability: c.one_of("journal.durability", &journal.durability, DURABILITIES),
            interval_ms: c.range("journal.interval_ms", journal.interval_ms, 1, 60_000),
            mirror: journal.mirror,
            cache_mb: c.range("journal.cache_mb", journal.cache_mb, 8, 65_536),
            checkpoint_every_records: c.range(
                "journal.checkpoint_every_records",
                journal.checkpoint_every_records,
                1_000,
                1_000_000_000,
            ),
        },
        server: server(c, &raw.server),
        dashboard: Dashboard {
            personal_data: raw.dashboard.personal_data,
            shop_name: shop_name(c, &raw.dashboard.shop_name),
            hosts: hosts(c, &raw.dashboard.hosts),
        },
        clock: Clock {
            source: c.one_of("clock.source", &raw.clock.source, CLOCKS),
        },
        state: State {
            visitor_idle_days: c.range(
                "state.visitor_idle_days",
                raw.state.visitor_idle_days,
                1,
                36_500,
            ),
        },
        attribution: Attribution {
            key_file: path(&raw.attribution.key_file),
        },
        offers: offers(c, &raw.offers),
        decisions: Decisions {
            hours: c.range("decisions.hours", raw.decisions.hours, 1, 720),
        },
        training: training(c, &raw.training),
        models: Models {
            folder: path(&raw.models.folder),
        },
        log: Log {
            level: c.one_of("log.level", &raw.log.level, LEVELS),
            format: c.one_of("log.format", &raw.log.format, FORMATS),
        },
    })
}

/// A path, unless there is none.
fn path(text: &str) -> Option<PathBuf> {
    (!text.trim().is_empty()).then(|| PathBuf::from(text))
}

const DURABILITIES: &[(&str, Durability)] = &[
    ("always", Durability::Always),
    ("interval", Durability::Interval),
];
const CLOCKS: &[(&str, ClockSource)] = &[
    ("system", ClockSource::System),
    ("events", ClockSource::Events),
];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// A name on one line.
fn shop_name(c: &mut Checks<'_>, text: &str) -> String {
    let name = text.trim();
    if name.len() > MAX_SHOP_NAME_BYTES || name.chars().any(char::is_control) {
        let message =
            format!("dashboard.shop_name must be one line of at most {MAX_SHOP_NAME_BYTES} bytes");
        c.fault("dashboard.shop_name", message);
    }
    name.to_owned()
}

/// Names of hosts with commas between them.
fn hosts(c: &mut Checks<'_>, text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_lowercase)
        .collect();
    let is_host = |name: &String| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        name.len() <= MAX_HOST_BYTES && name.chars().all(is_part)
    };
    if let Some(wrong) = names.iter().find(|name| !is_host(name)) {
        let message = format!(
            "dashboard.hosts must be names of hosts, without http:// and without a port, not {wrong:?}"
        );
        c.fault("dashboard.hosts", message);
    }
    names
}

fn server(c: &mut Checks<'_>, raw: &RawServer) -> Server {
    Server {
        listen: c.listen(raw, "server.listen", &raw.listen, "127.0.0.1:50051"),
        http_address: (!raw.http_address.trim().is_empty()).then(|| {
            let given = &raw.http_address;
            c.listen(raw, "server.http_address", given, "127.0.0.1:50052")
        }),
        allow_remote_without_authentication: raw.allow_remote_without_authentication,
        drain_seconds: c.range("server.drain_seconds", raw.drain_seconds, 0, 3_600),
        max_concurrent_calls: c.range(
            "server.max_concurrent_calls",
            raw.max_concurrent_calls,
            1,
            100_000,
        ),
        write_queue_batches: c.range(
            "server.write_queue_batches",
            raw.write_queue_batches,
            1,
            10_000,
        ),
    }
}

fn offers(c: &mut Checks<'_>, raw: &RawOffers) -> Offers {
    let holdout = raw.holdout_per_mille;
    Offers {
        holdout_per_mille: c.range("offers.holdout_per_mille", holdout, 0, 500),
        holdout_seed: c.range("offers.holdout_seed", raw.holdout_seed, 0, i64::MAX),
        reservation_hours: c.range("offers.reservation_hours", raw.reservation_hours, 1, 8_760),
    }
}

fn training(c: &mut Checks<'_>, raw: &RawTraining) -> Training {
    let training = Training {
        seed: c.range("training.seed", raw.seed, 0, i64::MAX),
        max_rows: c.range("training.max_rows", raw.max_rows, 1_000, 10_000_000),
        max_questions: c.range("training.max_questions", raw.max_questions, 100, 1_000_000),
        min_questions: c.range("training.min_questions", raw.min_questions, 10, 1_000_000),
        tuning_seconds: c.range("training.tuning_seconds", raw.tuning_seconds, 0, 3_600),
        max_moments: c.range("training.max_moments", raw.max_moments, 0, 1_000_000),
        personas: raw.personas,
        max_records: c.range("training.max_records", raw.max_records, 0, 1_000_000_000),
        every_hours: c.range("training.every_hours", raw.every_hours, 0, 8_760),
    };
    if raw.min_questions > raw.max_questions {
        let (least, most) = (raw.min_questions, raw.max_questions);
        c.fault(
            "training.min_questions",
            format!(
                "training.min_questions ({least}) is more than training.max_questions ({most})"
            ),
        );
    }
    training
}
