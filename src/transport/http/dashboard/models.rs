//! Recipes, revisions with their figures and what the gate said, training as it goes on, and the way back.

use askama::Template;
use tonic::Status;

use super::asked::Picked;
use super::format::{NONE, count, cut, moment, number, title};
use super::parts::{Downloads, Frame, Notice, Page, Table};
use super::svg::Svg;
use crate::application::recipes::RecipeFile;
use crate::proto::v1;
use crate::proto::v1::gate_comparison::Verdict;
use crate::proto::v1::model_revision::State as RevisionState;
use crate::proto::v1::training_run::State as RunState;

/// What the page is made of.
pub(super) struct Answers {
    pub(super) revisions: Result<v1::ListModelRevisionsResponse, Status>,
    pub(super) runs: Result<v1::ListTrainingRunsResponse, Status>,
    pub(super) outcomes: Result<v1::GetRecommendationOutcomesResponse, Status>,
}

#[derive(Template)]
#[template(
    path = "models.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct ModelsPage<'a> {
    frame: Frame,
    token: &'a str,
    progress: Progress<'a>,
    notices: Vec<Notice>,
    revisions: Vec<Revision>,
    /// Whether there is one to go back to.
    can_roll_back: bool,
    picture: Option<String>,
    downloads: Downloads,
    online: Vec<String>,
    recipes: &'a [RecipeFile],
}

/// How training stands.
#[derive(Template)]
#[template(
    path = "progress.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct Progress<'a> {
    token: &'a str,
    running: Option<Run>,
    ended: Vec<Run>,
}

struct Run {
    id: String,
    state: &'static str,
    phase: String,
    percent: String,
    times: String,
    message: String,
    revision: String,
}

struct Revision {
    id: String,
    short: String,
    state: &'static str,
    is_live: bool,
    is_ready: bool,
    is_refused: bool,
    created: String,
    learned: String,
    refusal: String,
    offers: String,
    figures: Table,
    gate: Table,
}

/// The page.
pub(super) fn page(
    shop: &str,
    answers: &Answers,
    token: &str,
    recipes: &[RecipeFile],
) -> askama::Result<String> {
    let mut notices = Vec::new();
    let mut note = |what: &str, status: Option<&Status>| {
        notices.extend(status.map(|status| Notice::of(what, status)));
    };
    note(
        "Revisions cannot be shown",
        answers.revisions.as_ref().err(),
    );
    note("Training runs cannot be shown", answers.runs.as_ref().err());
    note("Outcomes cannot be shown", answers.outcomes.as_ref().err());
    let progress = running(&answers.runs, token);
    let mut frame = Frame::new(Page::Models, shop, &Picked::default());
    frame.refresh = progress.running.is_some();
    let revisions = answers
        .revisions
        .as_ref()
        .map_or(&[][..], |list| &list.model_revisions);
    let outcomes = answers.outcomes.as_ref().ok();
    let online = outcomes.map_or_else(Vec::new, |all| {
        let ranker = all.online.as_ref().map(told_online);
        let offers = all.online_offers.as_ref().and_then(told_online_offers);
        ranker.into_iter().chain(offers).collect()
    });
    ModelsPage {
        frame,
        token,
        progress,
        notices,
        picture: newest(revisions).map(picture),
        downloads: Downloads::at("/dashboard/models", "", "what the gate saw"),
        can_roll_back: revisions.len() > 1,
        revisions: revisions.iter().map(revision).collect(),
        online,
        recipes,
    }
    .render()
}

/// What of the page changes while a run is on.
pub(super) fn progress(
    runs: &Result<v1::ListTrainingRunsResponse, Status>,
    token: &str,
) -> askama::Result<String> {
    running(runs, token).render()
}

fn running<'a>(
    runs: &Result<v1::ListTrainingRunsResponse, Status>,
    token: &'a str,
) -> Progress<'a> {
    let runs = runs.as_ref().map_or(&[][..], |list| &list.training_runs);
    let is_on = |run: &&v1::TrainingRun| run.state() == RunState::Running;
    Progress {
        token,
        running: runs.iter().find(is_on).map(run),
        ended: runs
            .iter()
            .filter(|run| !is_on(run))
            .take(5)
            .map(run)
            .collect(),
    }
}

fn run(run: &v1::TrainingRun) -> Run {
    let progress = match run.progress.is_finite() {
        true => run.progress.clamp(0.0, 1.0),
        false => 0.0,
    };
    Run {
        id: run.training_run_id.clone(),
        state: match run.state() {
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Unspecified => NONE,
        },
        phase: run.phase.clone(),
        percent: format!("{:.0}", progress * 100.0),
        times: format!(
            "{} to {}",
            moment(run.start_time.as_ref()),
            moment(run.end_time.as_ref())
        ),
        message: run.message.clone(),
        revision: cut(&run.model_revision, 13),
    }
}

/// Nothing before a model of offers was live.
fn told_online_offers(online: &v1::OnlineOffers) -> Option<String> {
    let state = match online.active {
        true => "It corrects what the model says of offers.",
        false => "It does not correct what the model says of offers (yet).",
    };
    (online.decision_count > 0).then(|| {
        format!(
            "The online model of offers learned from {} decisions that reached somebody, after {} of which something \
             was bought; it foretells that better than the model alone by {} (log-loss). {state}",
            count(online.decision_count),
            count(online.purchase_count),
            number(online.gain)
        )
    })
}

fn told_online(online: &v1::OnlineRanker) -> String {
    if online.impression_count == 0 {
        return "Nothing was measured yet: no event has said what became of an answer, by bringing its token back. \
                Until then answers are as the model makes them."
            .to_owned();
    }
    let state = match online.active {
        true => "It corrects answers.",
        false => "It does not correct answers (yet).",
    };
    format!(
        "The online ranker learned from {} products that were shown, of {} of which something became; it foretells \
         that better than the model alone by {} (log-loss). {state}",
        count(online.impression_count),
        count(online.outcome_count),
        number(online.gain)
    )
}

fn revision(revision: &v1::ModelRevision) -> Revision {
    let state = revision.state();
    let offers = revision.offers.as_ref();
    Revision {
        id: revision.model_revision_id.clone(),
        short: cut(&revision.model_revision_id, 13),
        state: match state {
            RevisionState::Live => "live",
            RevisionState::Ready => "ready",
            RevisionState::Refused => "refused",
            RevisionState::Damaged => "damaged",
            RevisionState::Unspecified => NONE,
        },
        is_live: state == RevisionState::Live,
        is_ready: state == RevisionState::Ready,
        is_refused: state == RevisionState::Refused,
        created: moment(revision.create_time.as_ref()),
        learned: format!(
            "learned from {} records, {} questions; judged by {} questions; calibration error {}",
            count(revision.record_count),
            count(revision.training_question_count),
            count(revision.held_back_question_count),
            number(revision.calibration_error)
        ),
        refusal: revision.refusal.clone(),
        offers: offers.map_or_else(String::new, |offers| offers.verdict.clone()),
        figures: figures(revision),
        gate: gate(revision),
    }
}

fn figures(revision: &v1::ModelRevision) -> Table {
    let mut names: Vec<&str> = revision
        .figures
        .iter()
        .flat_map(|method| method.figures.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut heads = vec!["Method"];
    heads.extend(&names);
    let rows = revision.figures.iter().map(|method| {
        let mut row = vec![title(&method.method)];
        row.extend(names.iter().map(|name| {
            let value = method.figures.get(*name);
            value.map_or_else(|| NONE.to_owned(), |value| number(*value))
        }));
        row
    });
    Table::new("Figures on the held-back end", &heads, rows.collect())
}

fn verdict(comparison: &v1::GateComparison) -> &'static str {
    match comparison.verdict() {
        Verdict::Passed => "passed",
        Verdict::Refused => "refused",
        Verdict::TooFew => "too few questions",
        Verdict::Unspecified => NONE,
    }
}

fn stage_of(comparison: &v1::GateComparison) -> String {
    match comparison.stage.as_str() {
        "" => "All stages".to_owned(),
        stage => title(stage),
    }
}

fn gate(revision: &v1::ModelRevision) -> Table {
    let rows = revision.gate_comparisons.iter().map(|comparison| {
        vec![
            stage_of(comparison),
            title(&comparison.baseline),
            comparison.metric.clone(),
            format!(
                "{} ({} to {})",
                number(comparison.difference),
                number(comparison.low),
                number(comparison.high)
            ),
            count(comparison.case_count),
            verdict(comparison).to_owned(),
        ]
    });
    let heads = [
        "Stage",
        "Against",
        "Figure",
        "Better by (95 % interval)",
        "Questions",
        "Verdict",
    ];
    Table::new("What the gate compared", &heads, rows.collect())
}

/// The revision whose gate is drawn: the newest that has one.
pub(super) fn newest(revisions: &[v1::ModelRevision]) -> Option<&v1::ModelRevision> {
    revisions
        .iter()
        .find(|revision| !revision.gate_comparisons.is_empty())
}

/// By how much a revision is better than what the gate compared it with, with intervals.
pub(super) fn picture(revision: &v1::ModelRevision) -> String {
    let all = &revision.gate_comparisons[..revision.gate_comparisons.len().min(60)];
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let most = all
        .iter()
        .flat_map(|c| [c.low, c.high, c.difference])
        .map(|value| finite(value).abs())
        .fold(0.01, f64::max);
    let x = |value: f64| 620.0 + 240.0 * (finite(value) / most).clamp(-1.0, 1.0);
    let height = 40.0 + 22.0 * all.len() as f64;
    let described: Vec<String> = all
        .iter()
        .map(|c| {
            format!(
                "{} against {}: {}, {}.",
                stage_of(c),
                c.baseline,
                number(c.difference),
                verdict(c)
            )
        })
        .collect();
    let heading = format!(
        "Revision {}: better than",
        cut(&revision.model_revision_id, 13)
    );
    let mut svg = Svg::new("gate", 900, height as u32, &heading, &described.join(" "));
    svg.line("zero", [x(0.0), 22.0], [x(0.0), height - 8.0]);
    svg.label("small", [x(0.0) - 8.0, 14.0], "end", "worse");
    svg.label("small", [x(0.0) + 8.0, 14.0], "start", "better");
    let mut y = 36.0;
    for comparison in all {
        let is_bad = comparison.verdict() == Verdict::Refused;
        let name = format!(
            "{} against {}",
            stage_of(comparison),
            title(&comparison.baseline)
        );
        svg.label("label", [0.0, y + 4.0], "start", &cut(&name, 46));
        svg.label("small", [350.0, y + 4.0], "end", verdict(comparison));
        let ends = [[x(comparison.low), y], [x(comparison.high), y]];
        svg.line(
            if is_bad { "whisker bad" } else { "whisker" },
            ends[0],
            ends[1],
        );
        let tip = format!("{name}: {}", number(comparison.difference));
        svg.dot(
            if is_bad { "point bad" } else { "point" },
            [x(comparison.difference), y],
            4.5,
            &tip,
        );
        y += 22.0;
    }
    svg.finish()
}

/// The figures and the gate of every revision as rows, the first one their names.
pub(super) fn rows(revisions: &[v1::ModelRevision]) -> Vec<Vec<String>> {
    let heads = [
        "model_revision_id",
        "state",
        "stage",
        "against",
        "figure",
        "value",
        "low",
        "high",
        "questions",
        "verdict",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for revision in revisions {
        let state = revision.state().as_str_name().to_lowercase();
        for method in &revision.figures {
            let mut figures: Vec<_> = method.figures.iter().collect();
            figures.sort_by(|a, b| a.0.cmp(b.0));
            for (name, value) in figures {
                let mut row = vec![
                    revision.model_revision_id.clone(),
                    state.clone(),
                    String::new(),
                ];
                row.extend([
                    format!("of {}", method.method),
                    name.clone(),
                    value.to_string(),
                ]);
                row.extend(std::iter::repeat_n(String::new(), 4));
                rows.push(row);
            }
        }
        for comparison in &revision.gate_comparisons {
            rows.push(vec![
                revision.model_revision_id.clone(),
                state.clone(),
                comparison.stage.clone(),
                comparison.baseline.clone(),
                comparison.metric.clone(),
                comparison.difference.to_string(),
                comparison.low.to_string(),
                comparison.high.to_string(),
                comparison.case_count.to_string(),
                verdict(comparison).to_owned(),
            ]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_was_measured_no_figure_is_told() {
        let nothing = told_online(&v1::OnlineRanker::default());
        assert!(nothing.starts_with("Nothing was measured yet"), "{nothing}");
        assert!(!nothing.contains('0'), "{nothing}");
        let some = v1::OnlineRanker {
            impression_count: 1_200,
            outcome_count: 31,
            gain: 0.0125,
            active: true,
        };
        let some = told_online(&some);
        for part in [
            "from 1,200 products",
            "of 31 of",
            "by 0.013 (",
            "It corrects answers.",
        ] {
            assert!(some.contains(part), "{part}: {some}");
        }
    }
}
