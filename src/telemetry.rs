//! The one place that installs global things: the log.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// As [`install`] for commands that print their result: what a keeper of the service wants to know is left out there.
pub fn install_quiet(log: &Log) {
    let level = if log.level == LogLevel::Info {
        LogLevel::Warn
    } else {
        log.level
    };
    install(&Log {
        level,
        ..log.clone()
    });
}

/// Sends the log to standard error. `RUST_LOG` refines the level where it is set. Calling it twice changes nothing.
pub fn install(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // the engine below speaks of its own affairs at every level
    let fallback = format!("{level},sled=warn,h2=warn,hyper=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(fallback));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let installed = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // fails only if there is a log already, as in tests
    drop(installed);
}
