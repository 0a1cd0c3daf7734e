//! What is asked: the questions of files, or of the journal's own past; and what else files know of it.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::files::{Files, complain};
use super::{Args, Bar};
use crate::application::evaluate::{
    DueReport, EvaluateSettings, Grouping, Report, evaluate, evaluate_window, judge_due,
};
use crate::application::history::History;
use crate::application::import::RowError;
use crate::application::models::last_live;
use crate::application::shop::{Clock, Live};
use crate::application::truth::Case;
use crate::cli::flags;
use crate::config::Settings;
use crate::domain::time::DAY_MS;
use crate::domain::{Customer, Recipe, RecordBody, Timestamp};
use crate::server::open_journal;
use crate::store::Artefacts;
use crate::transport::csv::{Customers, Needs};

/// A history and what is asked of it.
pub(super) struct Asked {
    history: History,
    questions: Questions,
    /// Of a file; absent: what the history knows counts.
    customers: Option<Vec<Customer>>,
    /// How many rows could not be read.
    refused: u64,
}

enum Questions {
    /// Of a file.
    Of(Vec<Case>),
    /// Of the last days of the history, and the revision that is live there.
    Window(f64, Option<Box<Live>>),
}

impl Asked {
    /// Reads what the arguments name.
    pub(super) fn read(
        args: &Args,
        settings: &Settings,
        recipes: &[Recipe],
    ) -> anyhow::Result<Self> {
        let mut asked = match (args.window, &args.events, &args.truth) {
            (Some(days), ..) => {
                let history = window(settings, days)?;
                // what is left out here is not left out of what serves
                let is_whole = args.without.is_empty();
                let live = is_whole.then(|| live(settings, &history, recipes));
                Self {
                    history,
                    questions: Questions::Window(days, live.transpose()?.flatten().map(Box::new)),
                    customers: None,
                    refused: 0,
                }
            }
            (None, Some(events), Some(truth)) => {
                ensure!(
                    args.by.is_none() || args.customers.is_some(),
                    "--by: give --customers, the file that has it"
                );
                let now = Clock::system().now();
                let files = Files::read(events, truth, args.products.as_deref(), now)?;
                Self {
                    history: files.history,
                    questions: Questions::Of(files.cases),
                    customers: None,
                    refused: files.refused,
                }
            }
            _ => anyhow::bail!("give --events and --truth, or --window"),
        };
        if let Some(path) = &args.customers {
            asked.customers = Some(asked.read_customers(path)?);
        }
        Ok(asked)
    }

    fn read_customers(&mut self, path: &Path) -> anyhow::Result<Vec<Customer>> {
        let mut customers = Vec::new();
        for row in Customers::open(path)? {
            match row {
                Ok(row) => customers.push(row.value),
                Err(RowError::Refused(refusal)) => complain(path, &refusal, &mut self.refused),
                Err(RowError::Unreadable(error)) => {
                    return Err(error)
                        .with_context(|| format!("{}: cannot be read", path.display()));
                }
            }
        }
        Ok(customers)
    }

    /// The customers by the trait `column`.
    pub(super) fn grouping(&self, column: &str) -> anyhow::Result<Grouping> {
        let known = self.history.known.iter();
        let known = known.filter_map(|record| match &record.body {
            RecordBody::CustomerUpserted(customer) => Some(&**customer),
            _ => None,
        });
        let grouping = match &self.customers {
            Some(customers) => Grouping::of(column, customers),
            None => Grouping::of(column, known),
        };
        grouping.context("--by")
    }

    /// How well what is due is found, by the needs in a file.
    pub(super) fn due(
        &mut self,
        path: &Path,
        settings: &EvaluateSettings<'_>,
    ) -> anyhow::Result<DueReport> {
        let read = Needs::read(path)?;
        for refusal in &read.refused {
            complain(path, refusal, &mut self.refused);
        }
        ensure!(
            !read.needs.is_empty(),
            "{}: nothing is ever needed",
            path.display()
        );
        let since = match &self.questions {
            Questions::Of(cases) => cases.iter().map(|case| case.at).min(),
            Questions::Window(days, _) => {
                let last = self.history.span().map(|(_, last)| last);
                last.map(|last| last.plus_ms(-((days * DAY_MS as f64) as i64)))
            }
        };
        let since = since.unwrap_or(Timestamp::MAX);
        Ok(judge_due(&self.history, settings.fold, &read.needs, since))
    }

    /// What came of it, and how many rows of files could not be read.
    pub(super) fn evaluated(
        self,
        settings: &EvaluateSettings<'_>,
    ) -> anyhow::Result<(Report, u64)> {
        let mut bar = Bar::new()?;
        let report = match self.questions {
            Questions::Of(cases) => evaluate(self.history, cases, settings, &mut bar)?,
            Questions::Window(days, live) => {
                let live = live.as_deref();
                let report = evaluate_window(self.history, days, live, settings, &mut bar)?;
                ensure!(
                    report.cases > 0,
                    "--window {days}: nobody did anything in that time that could be asked for"
                );
                report
            }
        };
        bar.0.finish_and_clear();
        Ok((report, self.refused))
    }
}

/// The revision that is live in the data folder, if one can be used.
pub(super) fn live(
    settings: &Settings,
    history: &History,
    recipes: &[Recipe],
) -> anyhow::Result<Option<Live>> {
    let artefacts = Artefacts::open(settings.data.folder.join("models"))?;
    let stages: Vec<String> = recipes.iter().map(|recipe| recipe.stage.clone()).collect();
    let newest_first = history.activated.iter().rev().map(|id| &**id);
    Ok(last_live(&artefacts, newest_first, &stages))
}

/// The history in the data folder, which must reach further back than the window.
pub(super) fn window(settings: &Settings, days: f64) -> anyhow::Result<History> {
    ensure!(
        days.is_finite() && days > 0.0,
        "--window: must be a number of days above 0"
    );
    let folder = &settings.data.folder;
    flags::check_there_is_a_shop(folder)?;
    let journal = open_journal(settings).context(
        "--window reads the data folder itself: stop the service that has it open, or name a copy by --data",
    )?;
    let history = History::of_journal(&journal, settings.training.max_records)?;
    let span = history.span();
    let span = span.map_or(0.0, |(first, last)| last.days_since(first));
    ensure!(
        days < span,
        "--window {days}: the journal reaches back {span:.1} days; there is nothing before to learn from"
    );
    Ok(history)
}
