//! The gate: what a new revision must beat before it goes live. By stage and over all stages, question by question,
//! against the baselines and the live revision, each difference with its interval.

use serde::{Deserialize, Serialize};

use super::judge::{Judge, LIVE, Scope};
use crate::algorithms::bootstrap;
use crate::domain::{Baseline, Recipe};

/// Fewer questions decide nothing: those of a stage count within all stages together; without so many in all, nothing
/// goes live; with fewer that the live revision has not learned from, the newer one replaces it.
pub const MIN_QUESTIONS: u64 = 30;
/// What every revision must beat, whatever the recipes say. The second is GP-TopFreq, see [`Baseline`].
const PERMANENT: [Baseline; 2] = [Baseline::Popularity, Baseline::PersonalFrequency];

/// What a comparison says of the revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Does not stand in its way.
    Passed,
    /// Refuses it.
    Refused,
    /// Decides nothing: fewer than [`MIN_QUESTIONS`].
    TooFew,
}

impl Verdict {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::TooFew => "too_few",
        }
    }
}

/// A revision against one baseline, or against the live revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateComparison {
    /// On the questions of this stage; empty: of all.
    pub stage: String,
    /// The baseline, or `live`.
    pub baseline: String,
    /// The figure the recipe asks for; where stages ask for different ones, each question counts by that of its own
    /// stage, and their names stand here with commas.
    pub metric: String,
    /// By how much the revision is better, on average over the questions.
    pub difference: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How many questions both answered.
    pub cases: u64,
    /// What that says.
    pub verdict: Verdict,
}

impl GateComparison {
    /// The stage, in words.
    #[must_use]
    pub fn scope(&self) -> &str {
        if self.stage.is_empty() {
            "all stages"
        } else {
            &self.stage
        }
    }
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gate {
    /// All stages first, then each.
    pub(super) comparisons: Vec<GateComparison>,
    /// Why the revision must not go live; empty: it may.
    pub(super) refusal: String,
}

/// Judges by the recipes, one for each stage.
pub(super) fn decide(judge: &Judge, recipes: &[Recipe], seed: u64) -> Gate {
    let mut comparisons = Vec::new();
    let is_asked = |baseline: &Baseline| {
        let mut recipes = recipes.iter();
        PERMANENT.contains(baseline) || recipes.any(|recipe| recipe.baselines.contains(baseline))
    };
    let all = Baseline::ALL.iter().copied().filter(is_asked);
    for baseline in all.map(Baseline::as_str).chain([LIVE]) {
        comparisons.extend(compare(judge, recipes, None, baseline, seed));
    }
    for (stage, recipe) in (0u8..).zip(recipes) {
        let own = recipe.baselines.iter().map(|baseline| baseline.as_str());
        for baseline in own.chain([LIVE]) {
            comparisons.extend(compare(judge, recipes, Some(stage), baseline, seed));
        }
    }
    let held_back = judge.cases(Scope::All);
    let refusal = if held_back < MIN_QUESTIONS {
        format!(
            "only {held_back} questions could be held back to judge it; {MIN_QUESTIONS} are needed"
        )
    } else {
        let refused = comparisons
            .iter()
            .filter(|comparison| comparison.verdict == Verdict::Refused);
        refused.map(reason).collect::<Vec<_>>().join("; ")
    };
    Gate {
        comparisons,
        refusal,
    }
}

/// Compares with one method on the questions of one stage or of all; nothing if it answered none of them.
fn compare(
    judge: &Judge,
    recipes: &[Recipe],
    stage: Option<u8>,
    baseline: &str,
    seed: u64,
) -> Option<GateComparison> {
    let of_stage = |stage: u8| &recipes[stage as usize];
    // recipes are checked when they are read: a gate names a figure of lists of ten
    let figures = recipes
        .iter()
        .map(|recipe| judge.figure(&recipe.metric).unwrap_or_default());
    let figures: Vec<usize> = figures.collect();
    let own_figure = |stage: u8| std::slice::from_ref(&figures[stage as usize]);
    let scope = stage.map_or(Scope::All, Scope::Stage);
    let (persons, differences) = judge.differences(baseline, scope, own_figure);
    if persons.is_empty() {
        return None;
    }
    let interval = bootstrap::intervals(&persons, &differences, seed)[0];
    let cases = persons.len() as u64;
    // a stage alone refuses only what is surely worse; over all stages, the mean must be better than a baseline's, and
    // no worse than that of the live revision
    let is_unbeaten = match (stage, baseline) {
        (Some(_), _) => interval.high < 0.0,
        (None, LIVE) => interval.mean < 0.0,
        (None, _) => interval.mean <= 0.0,
    };
    let verdict = match (cases < MIN_QUESTIONS, is_unbeaten) {
        (true, _) => Verdict::TooFew,
        (false, true) => Verdict::Refused,
        (false, false) => Verdict::Passed,
    };
    let mut metrics: Vec<&str> = match stage {
        Some(stage) => vec![&of_stage(stage).metric],
        None => recipes.iter().map(|recipe| &*recipe.metric).collect(),
    };
    metrics.sort_unstable();
    metrics.dedup();
    Some(GateComparison {
        stage: stage.map_or_else(String::new, |stage| of_stage(stage).stage.clone()),
        baseline: baseline.to_owned(),
        metric: metrics.join(", "),
        difference: interval.mean,
        low: interval.low,
        high: interval.high,
        cases,
        verdict,
    })
}

/// Why a comparison refuses, in words.
fn reason(comparison: &GateComparison) -> String {
    let GateComparison {
        baseline,
        metric,
        difference,
        low,
        high,
        cases,
        ..
    } = comparison;
    let scope = comparison.scope();
    let is_surely = if *high < 0.0 {
        "is surely worse than"
    } else {
        "does not beat"
    };
    format!(
        "{metric} over {scope} {is_surely} {baseline}: {difference:+.4} ({low:+.4} to {high:+.4}, {cases} \
         questions)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::metrics::Truth;
    use crate::application::recipes::Recipes;
    use crate::application::train::judge::{Answer, Asked};

    /// The product that is truly next.
    const RIGHT: u32 = 1;

    /// Two stages that ask for different figures, and name no baseline that every revision must beat anyway.
    fn recipes() -> Vec<Recipe> {
        let mut recipes = Recipes::embedded().unwrap().stages;
        recipes.truncate(2);
        recipes[0].metric = "ndcg@10".to_owned();
        recipes[1].metric = "recall@10".to_owned();
        for recipe in &mut recipes {
            recipe.baselines = vec![Baseline::RecentPopularity];
        }
        recipes
    }

    fn names() -> [String; 2] {
        [0, 1].map(|place| recipes()[place].stage.clone())
    }

    /// Asks `count` questions of as many persons in a stage; `right` are the methods that answer right, `wrong` those
    /// that do not.
    fn ask(judge: &mut Judge, stage: u8, count: u32, right: &[&str], wrong: &[&str]) {
        let truth = [Truth {
            product: Some(RIGHT),
            is_repeat: false,
        }];
        for _ in 0..count {
            let person = judge.cases(Scope::All) as u32;
            let list = |name: &&str, product: u32| Answer {
                method: (*name).to_owned(),
                list: vec![product],
                shown: Vec::new(),
            };
            let answers = right.iter().map(|name| list(name, RIGHT));
            let answers = answers.chain(wrong.iter().map(|name| list(name, RIGHT + 1)));
            let asked = Asked {
                stage,
                person,
                group: 0,
            };
            judge.record(asked, answers.collect(), &truth);
        }
    }

    const BASELINES: [&str; 3] = ["popularity", "recent_popularity", "personal_frequency"];

    fn judged(ask: impl FnOnce(&mut Judge)) -> Gate {
        let mut judge = Judge::new(&[10], 2);
        ask(&mut judge);
        decide(&judge, &recipes(), 7)
    }

    fn found<'a>(gate: &'a Gate, stage: &str, baseline: &str) -> &'a GateComparison {
        let mut all = gate.comparisons.iter();
        all.find(|c| c.stage == stage && c.baseline == baseline)
            .unwrap()
    }

    #[test]
    fn what_is_better_everywhere_may_go_live() {
        let gate = judged(|judge| {
            ask(judge, 0, 40, &["nextbest"], &BASELINES);
            ask(judge, 1, 40, &["nextbest"], &BASELINES);
        });
        assert_eq!(gate.refusal, "");
        let all = found(&gate, "", "personal_frequency");
        assert_eq!((all.cases, all.metric.as_str()), (80, "ndcg@10, recall@10"));
        assert!((all.difference - 1.0).abs() < 1e-12 && (all.low - 1.0).abs() < 1e-12);
        // over all stages the permanent ones count, by stage those of the recipe
        let scopes: Vec<(&str, &str)> = gate
            .comparisons
            .iter()
            .map(|c| (c.stage.as_str(), c.baseline.as_str()))
            .collect();
        let [first, second] = &names();
        let expected = [
            ("", "popularity"),
            ("", "recent_popularity"),
            ("", "personal_frequency"),
            (first, "recent_popularity"),
            (second, "recent_popularity"),
        ];
        assert_eq!(scopes, expected);
        assert_eq!(
            found(&gate, second, "recent_popularity").metric,
            "recall@10"
        );
    }

    #[test]
    fn a_stage_that_is_surely_worse_refuses_what_is_better_over_all() {
        let gate = judged(|judge| {
            ask(judge, 0, 200, &["nextbest"], &BASELINES);
            ask(
                judge,
                1,
                30,
                &["recent_popularity"],
                &["nextbest", "popularity", "personal_frequency"],
            );
        });
        let [_, second] = &names();
        assert_eq!(
            gate.refusal,
            format!(
                "recall@10 over {second} is surely worse than recent_popularity: -1.0000 (-1.0000 to -1.0000, 30 \
                 questions)"
            )
        );
        assert_eq!(
            found(&gate, "", "recent_popularity").verdict,
            Verdict::Passed
        );
    }

    #[test]
    fn a_stage_with_few_questions_or_in_doubt_refuses_nothing() {
        let (ours, other) = (["nextbest"], ["recent_popularity"]);
        let gate = judged(|judge| {
            ask(judge, 0, 200, &ours, &BASELINES);
            ask(
                judge,
                1,
                29,
                &other,
                &["nextbest", "popularity", "personal_frequency"],
            );
        });
        let [_, second] = &names();
        assert_eq!(found(&gate, second, other[0]).verdict, Verdict::TooFew);
        assert_eq!(gate.refusal, "");
        // 22 for us, 28 against: worse, but not surely
        let gate = judged(|judge| {
            ask(judge, 0, 200, &ours, &BASELINES);
            ask(judge, 1, 22, &ours, &BASELINES);
            ask(
                judge,
                1,
                28,
                &other,
                &["nextbest", "popularity", "personal_frequency"],
            );
        });
        let doubtful = found(&gate, second, other[0]);
        assert!(
            doubtful.difference < 0.0 && doubtful.high > 0.0,
            "{doubtful:?}"
        );
        assert_eq!(
            (doubtful.verdict, gate.refusal.as_str()),
            (Verdict::Passed, "")
        );
    }

    #[test]
    fn over_all_stages_the_mean_must_beat_baselines_and_not_lose_to_the_live_revision() {
        // as good as the live revision, and as popularity
        let gate = judged(|judge| {
            let right = ["nextbest", "popularity", LIVE];
            ask(
                judge,
                0,
                50,
                &right,
                &["recent_popularity", "personal_frequency"],
            );
        });
        assert_eq!(found(&gate, "", LIVE).verdict, Verdict::Passed);
        assert_eq!(
            gate.refusal,
            "ndcg@10, recall@10 over all stages does not beat popularity: +0.0000 (+0.0000 to +0.0000, 50 questions)"
        );
        // worse than the live revision, though not surely
        let gate = judged(|judge| {
            ask(judge, 0, 100, &["nextbest", LIVE], &BASELINES);
            ask(
                judge,
                0,
                1,
                &[LIVE],
                &[
                    "nextbest",
                    "popularity",
                    "recent_popularity",
                    "personal_frequency",
                ],
            );
        });
        assert!(
            gate.refusal.contains("does not beat live"),
            "{}",
            gate.refusal
        );
        // the live revision knows all but 29 by heart: it cannot be judged
        let gate = judged(|judge| {
            ask(judge, 0, 100, &["nextbest"], &BASELINES);
            let wrong = [
                "nextbest",
                "popularity",
                "recent_popularity",
                "personal_frequency",
            ];
            ask(judge, 0, 29, &[LIVE], &wrong);
        });
        let live = found(&gate, "", LIVE);
        assert_eq!((live.verdict, live.cases), (Verdict::TooFew, 29));
        assert_eq!(gate.refusal, "");
    }

    #[test]
    fn with_few_questions_held_back_nothing_goes_live() {
        let gate = judged(|judge| ask(judge, 0, 29, &["nextbest"], &BASELINES));
        assert!(
            gate.refusal.starts_with("only 29 questions"),
            "{}",
            gate.refusal
        );
        assert!(
            gate.comparisons
                .iter()
                .all(|c| c.verdict == Verdict::TooFew)
        );
        assert_eq!(judged(|_| ()).comparisons, []);
    }
}
