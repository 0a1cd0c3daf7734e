//! What the two judges of offers, of a policy and of a trial, have in common: their flags, the window of the journal
//! they may judge instead of a log, and how what came of it is printed.

use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::super::flags::SettingsFlags;
use super::asked::{live, window};
use super::files::complain;
use super::html::escape;
use super::page::section;
use super::{check_folder, command};
use crate::algorithms::bootstrap::Interval;
use crate::application::history::History;
use crate::application::model::Model;
use crate::application::recipes::Recipes;
use crate::application::shop::Live;
use crate::application::train::Lesson;
use crate::config::{self, Settings};
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::server::fold_settings;
use crate::state::FoldSettings;
use crate::telemetry;
use crate::transport::csv::Refused;

/// How often rows may be drawn.
const RESAMPLES: std::ops::RangeInclusive<usize> = 100..=20_000;

/// The flags of both.
#[derive(Debug, clap::Args)]
pub struct JudgingFlags {
    /// The settings: where the data folder is, for --window.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// Instead of a log: the decisions about offers of the last so many days of the journal in the data folder
    #[arg(long, value_name = "DAYS", conflicts_with = "log")]
    pub window: Option<f64>,
    /// How often rows are drawn for the intervals [default: 2000; of evaluate-uplift 1000]
    #[arg(long, value_name = "TIMES")]
    pub bootstrap: Option<usize>,
    /// Decides folds and draws
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write all figures with plots into one HTML file, which needs no network
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl JudgingFlags {
    /// Whether they can be true, before minutes are spent; returns how often rows are drawn.
    pub(super) fn check(&self, usual: usize) -> anyhow::Result<usize> {
        let resamples = self.bootstrap.unwrap_or(usual);
        ensure!(
            RESAMPLES.contains(&resamples),
            "--bootstrap: must be from {} to {}",
            RESAMPLES.start(),
            RESAMPLES.end()
        );
        if let Some(path) = &self.report {
            check_folder(path)?;
        }
        Ok(resamples)
    }

    /// Prints what came of it, as JSON or as text, and writes the report if one is wanted.
    pub(super) fn print(
        &self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
        page: impl FnOnce(&[String]) -> String,
    ) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json())?;
        } else {
            write!(out, "{}", text())?;
        }
        if let Some(path) = &self.report {
            std::fs::write(path, page(&command())).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// The last days of the journal in the data folder.
pub(super) struct Window {
    pub(super) settings: Settings,
    /// When it begins.
    pub(super) since: Timestamp,
    recipes: Recipes,
    history: History,
    fold: FoldSettings,
}

impl Window {
    /// Reads the journal, which must reach back further than `days`.
    ///
    /// # Errors
    /// A data folder that cannot be opened, or another service has open.
    pub(super) fn open(flags: &SettingsFlags, days: f64) -> anyhow::Result<Self> {
        let settings = flags.load()?.settings;
        telemetry::install_quiet(&settings.log);
        let recipes = config::recipes(settings.models.folder.as_deref())?;
        let history = window(&settings, days)?;
        let last = history.span().map_or(Timestamp::MIN, |(_, last)| last);
        Ok(Self {
            since: last.plus_ms(-((days * DAY_MS as f64) as i64)),
            fold: fold_settings(&recipes, &settings),
            settings,
            recipes,
            history,
        })
    }

    /// What is folded and asked.
    pub(super) fn lesson(&self) -> Lesson<'_> {
        Lesson {
            history: &self.history,
            fold: &self.fold,
            recipes: &self.recipes.stages,
            horizons_ms: &self.recipes.places.horizons_ms,
        }
    }

    /// The model that is live in the data folder, if one can be used.
    pub(super) fn live(&self) -> anyhow::Result<Option<Model>> {
        let live = live(&self.settings, &self.history, &self.recipes.stages)?;
        Ok(live.map(|Live { model, .. }| model))
    }
}

/// Says what was refused, on standard error.
pub(super) fn say(path: &Path, refused: &Refused, count: &mut u64) {
    let before = *count;
    for refusal in &refused.first {
        complain(path, refusal, count);
    }
    *count = before + refused.count as u64;
}

/// Things to know, below figures.
pub(super) fn to_know(warnings: &[String]) -> String {
    let lines = warnings.iter().map(|warning| format!("- {warning}\n"));
    match warnings {
        [] => String::new(),
        _ => format!("\nto know:\n{}", lines.collect::<String>()),
    }
}

/// Things to know, on a page.
pub(super) fn to_know_section(warnings: &[String]) -> String {
    let items = warnings
        .iter()
        .map(|text| format!("<li>{}</li>\n", escape(text)));
    let list = format!("<ul>\n{}</ul>\n", items.collect::<String>());
    match warnings {
        [] => String::new(),
        _ => section("To know", "Before any of this is believed:", &list),
    }
}

/// Warnings with their stable codes.
pub(super) fn coded<'a, W: Display + 'a>(
    warnings: impl IntoIterator<Item = &'a W>,
    code: impl Fn(&W) -> &'static str,
) -> Value {
    let warnings = warnings.into_iter();
    let warnings =
        warnings.map(|warning| json!({"code": code(warning), "text": warning.to_string()}));
    warnings.collect()
}

/// A value with its interval.
pub(super) fn interval(interval: &Interval) -> Value {
    json!({"value": interval.mean, "low": interval.low, "high": interval.high})
}
