//! `nextbest train`: learns from the journal, judges the model, and makes it live if it is better.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use super::flags::{self, SettingsFlags};
use crate::application::model::PartReport;
use crate::application::models::{Models, RevisionInfo, RunState, TrainingRun};
use crate::application::personas::PersonaFigures;
use crate::application::train::{
    GateComparison, JourneyFigures, OfferFigures, StageComparison, Verdict,
};
use crate::config;
use crate::server::Service;
use crate::telemetry;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// Seed of the run (training.seed)
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Trains and prints the figures.
///
/// # Errors
/// A data folder that cannot be opened, or a run that failed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = args.settings.load()?.settings;
    telemetry::install_quiet(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    flags::check_there_is_a_shop(&settings.data.folder)?;
    let service = Service::open(&settings, &recipes)?;
    let ended = train(&service.use_cases.models, args.seed);
    let code = match &ended {
        Ok(run) if run.state == RunState::Succeeded => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    };
    if let Ok(run) = &ended {
        report(&service.use_cases.models, run)?;
    }
    service.close()?;
    ended?;
    Ok(code)
}

/// Trains with a bar on standard error, and waits for the end.
///
/// # Errors
/// If no run can be started.
pub fn train(models: &Models, seed: Option<u64>) -> anyhow::Result<TrainingRun> {
    let started = models.train(seed)?;
    let status = models.watch(&started.id)?;
    let style = ProgressStyle::with_template("{msg:12} [{bar:40}] {percent:>3} %  {elapsed}")
        .context("the style of the bar")?;
    let bar = ProgressBar::new(1_000).with_style(style);
    let mut phase = "";
    loop {
        let run = status.borrow().clone();
        bar.set_message(run.phase);
        bar.set_position((run.progress * 1_000.0) as u64);
        if run.phase != phase && !std::io::stderr().is_terminal() {
            phase = run.phase;
            eprintln!("training: {phase}");
        }
        if run.state != RunState::Running {
            bar.finish_and_clear();
            return Ok(run);
        }
        std::thread::sleep(TICK);
    }
}

/// Prints what came of a run.
///
/// # Errors
/// Those of printing.
pub fn report(models: &Models, run: &TrainingRun) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let words = match run.state {
        RunState::Running => "is at work",
        RunState::Succeeded => "made a model",
        RunState::Failed => "failed",
        RunState::Cancelled => "was cancelled",
    };
    let seconds = run
        .ended
        .map_or(0.0, |end| (end.ms() - run.started.ms()) as f64 / 1e3);
    writeln!(out, "training {words} in {seconds:.1} s: {}", run.message)?;
    if let Some(revision) = &run.revision {
        let info = models.revision(revision)?;
        write!(out, "{}", table(&info))?;
    }
    Ok(())
}

/// The figures of a revision, a method a line.
#[must_use]
pub fn table(info: &RevisionInfo) -> String {
    let mut text = format!(
        "revision {}: {} records, {} questions to learn from, {} held back\n",
        info.id, info.records, info.training_questions, info.held_back_questions
    );
    text.push_str(&parts(&info.parts));
    text.push_str(&figures(&info.figures));
    text.push_str(&comparisons(&info.gate));
    text.push_str(&offers(&info.offers));
    text.push_str(&journey(&info.journey));
    text.push_str(&personas(info.personas.as_ref()));
    text
}

/// What was learned of where people go next; nothing where it could not be judged.
#[must_use]
pub fn journey(journey: &JourneyFigures) -> String {
    if journey.comparisons.is_empty() {
        return String::new();
    }
    let JourneyFigures {
        taught,
        judged,
        log_loss,
        top_1,
        calibration_error,
        ..
    } = journey;
    let mut text = format!(
        "next stage: log-loss {log_loss:.4}, top-1 {top_1:.4}, calibration error {calibration_error:.4}; {taught} \
         moments taught, {judged} judged\n"
    );
    for comparison in &journey.comparisons {
        let StageComparison {
            method,
            metric,
            figure,
            difference,
            low,
            high,
            cases,
        } = comparison;
        text.push_str(&format!(
            "next stage: {method:8} {metric:9} {figure:.4}; better by {difference:+.4} ({low:+.4} to {high:+.4}), \
             {cases} moments\n"
        ));
    }
    for propensity in &journey.propensities {
        if propensity.cases == 0 {
            let name = &propensity.name;
            text.push_str(&format!(
                "propensity {name:13} no moment to judge it by; not told\n"
            ));
            continue;
        }
        let auc = propensity
            .auc
            .map_or("-".to_owned(), |auc| format!("{auc:.4}"));
        let used = if propensity.used { "" } else { "; not told" };
        text.push_str(&format!(
            "propensity {:13} AUC {auc}, log-loss {:.4} ({:.4} by the share, {:.3}), calibration error {:.4}, {} \
             moments{used}\n",
            propensity.name,
            propensity.log_loss,
            propensity.base_log_loss,
            propensity.share,
            propensity.calibration_error,
            propensity.cases
        ));
    }
    text
}

/// What was learned of kinds of customers; nothing where none were found.
#[must_use]
pub fn personas(personas: Option<&PersonaFigures>) -> String {
    let Some(figures) = personas else {
        return String::new();
    };
    let agreement = figures.agreement.map_or(String::new(), |agreement| {
        format!(", adjusted Rand index with those before {agreement:.3}")
    });
    format!(
        "personas: {} of {} customers ({} have too little history), prediction strength {:.3}, silhouette {:.3} \
         (shuffled {:.3}), smallest {:.1} %{agreement}\n",
        figures.k,
        figures.customers,
        figures.unassigned,
        figures.strength,
        figures.silhouette,
        figures.shuffled_silhouette,
        100.0 * figures.smallest_share,
    )
}

/// What became of each part, one a line.
#[must_use]
pub fn parts(parts: &[PartReport]) -> String {
    let line = |report: &PartReport| {
        let mut text = format!("part {:12}{}", report.part.as_str(), report.state.as_str());
        if let Some(from) = &report.from {
            text.push_str(&format!(" from {from}"));
        }
        if !report.reason.is_empty() {
            text.push_str(&format!(": {}", report.reason));
        }
        text + "\n"
    };
    parts.iter().map(line).collect()
}

/// What was learned of offers; nothing where no decision came back.
#[must_use]
pub fn offers(offers: &OfferFigures) -> String {
    if offers.verdict.is_empty() {
        return String::new();
    }
    let OfferFigures {
        rows,
        rows_without,
        judged_rows,
        verdict,
        ..
    } = offers;
    let mut text =
        format!("offers: {rows} exposures, {rows_without} without an offer: {verdict}\n");
    if offers.log_loss > 0.0 {
        let agreement = offers.agreement;
        let agreement = agreement.map_or("cannot tell".to_owned(), |a| format!("agrees by {a:.2}"));
        text.push_str(&format!(
            "offers: log-loss {:.4} ({:.4} by the share that buys), calibration error {:.4}, a T-learner {agreement}\n",
            offers.log_loss, offers.base_log_loss, offers.calibration_error
        ));
    }
    for value in &offers.values {
        text.push_str(&format!(
            "offers: {:16} brings {:>9.4} a decision ({:.4} to {:.4}), by {judged_rows} exposures\n",
            value.policy, value.value, value.low, value.high
        ));
    }
    text
}

/// What the gate compared, one a line.
#[must_use]
pub fn comparisons(gate: &[GateComparison]) -> String {
    if gate.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:16}{:20}{:>10}  {:10}{:>12}{:>22}  gate\n",
        "stage", "against", "questions", "figure", "difference", "95 % interval"
    );
    for comparison in gate {
        let GateComparison {
            baseline,
            metric,
            difference,
            low,
            high,
            cases,
            ..
        } = comparison;
        let interval = format!("{low:+.4} to {high:+.4}");
        let verdict = match comparison.verdict {
            Verdict::Passed => "passed",
            Verdict::Refused => "refused",
            Verdict::TooFew if comparison.stage.is_empty() => "too few questions",
            Verdict::TooFew => "too few questions: judged with all stages",
        };
        text.push_str(&format!(
            "{:16}{baseline:20}{cases:>10}  {metric:10}{difference:>+12.4}{interval:>22}  {verdict}\n",
            comparison.scope()
        ));
    }
    text
}

/// Figures, a method a line, a figure a column.
#[must_use]
pub fn figures(figures: &[(String, Vec<(String, f64)>)]) -> String {
    let mut text = String::new();
    if let Some((_, first)) = figures.first() {
        text.push_str(&format!("{:20}", ""));
        for (name, _) in first {
            text.push_str(&format!("{name:>20}"));
        }
        text.push('\n');
    }
    for (method, figures) in figures {
        text.push_str(&format!("{method:20}"));
        for (_, figure) in figures {
            text.push_str(&format!("{figure:>20.4}"));
        }
        text.push('\n');
    }
    text
}
