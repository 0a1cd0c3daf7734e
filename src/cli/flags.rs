//! The flags that every subcommand with settings has.

use std::path::PathBuf;

use crate::config::{self, Loaded, Override, SettingFaults};

/// Settings on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SettingsFlags {
    /// File with settings; without it, nextbest.toml in the data folder is read if it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder (data.folder)
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<String>,
    /// A folder with own recipes (models.folder)
    #[arg(long, value_name = "FOLDER")]
    pub models: Option<String>,
    /// When a write is acknowledged: always or interval (journal.durability)
    #[arg(long, value_name = "WHEN")]
    pub journal_durability: Option<String>,
    /// How much is logged: error, warn, info, debug or trace (log.level)
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How log lines are written: text or json (log.format)
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Any setting, by its key: --set server.drain_seconds=5
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl SettingsFlags {
    /// Loads the settings with these flags, the environment and the file.
    ///
    /// # Errors
    /// Every fault.
    pub fn load(&self) -> Result<Loaded, SettingFaults> {
        self.load_with(Vec::new())
    }

    /// As [`SettingsFlags::load`], with the flags of one subcommand (`--listen`) beneath.
    ///
    /// # Errors
    /// Every fault.
    pub fn load_with(&self, mut own: Vec<Override>) -> Result<Loaded, SettingFaults> {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // a value that is no text is not left out silently: it fails its check
            Some((name, value.to_string_lossy().into_owned()))
        });
        own.extend(self.overrides());
        config::load(self.config.as_deref(), env, own)
    }

    /// The flags by the keys they set; `--set` comes last and wins.
    #[must_use]
    pub fn overrides(&self) -> Vec<Override> {
        let named = [
            ("--data", "data.folder", &self.data),
            ("--models", "models.folder", &self.models),
            (
                "--journal-durability",
                "journal.durability",
                &self.journal_durability,
            ),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let mut overrides: Vec<Override> = named
            .into_iter()
            .filter_map(|(flag, key, value)| {
                Some(Override {
                    flag: flag.to_owned(),
                    key: key.to_owned(),
                    value: value.clone()?,
                })
            })
            .collect();
        overrides.extend(self.set.iter().map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Override {
                flag: "--set".to_owned(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
            }
        }));
        overrides
    }
}

/// An error if the data folder holds no shop, so that a slip of the pen makes no new one.
///
/// # Errors
/// If there is none.
pub fn check_there_is_a_shop(folder: &std::path::Path) -> anyhow::Result<()> {
    let message = || {
        format!(
            "{} holds no shop; `nextbest import --data` makes one",
            folder.display()
        )
    };
    anyhow::ensure!(folder.join("journal").exists(), message());
    Ok(())
}
