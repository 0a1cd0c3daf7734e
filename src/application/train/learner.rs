//! One of the rankings a run learns: its rows, its fits, its calibration.

use std::sync::Arc;

use super::TrainError;
use crate::algorithms::boosting::{
    BoostingParams, Examples, FitError as BoostingError, FittedBoosting, Parts,
};
use crate::algorithms::calibration::{Calibration, expected_error};
use crate::algorithms::draw::mix;
use crate::algorithms::metrics::{Tally, Truth};
use crate::algorithms::ranker::{self, FitError, FittedRanker, RankerParams};
use crate::algorithms::rows::{self, COLUMNS, Rows};
use crate::application::model::{Aim, Ranked, Scored, Scorer};

/// At most so many positive rows of one question: a large basket must not outweigh many small ones.
const POSITIVES: usize = 12;
/// So many negative rows of one question, drawn evenly: only those that rank best would teach that ranking well is bad.
const NEGATIVES: usize = 32;
/// The ranker is fitted on at most so many rows: linfa wants them dense and in double precision.
const RANKER_ROWS: usize = 100_000;
/// Trees need at least so many positive rows.
const MIN_POSITIVES: usize = 500;

/// How rankings are fitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct FitSettings<'a> {
    pub(super) ranker: &'a RankerParams,
    /// Of the trees; absent: there are none.
    pub(super) boosting: Option<&'a BoostingParams>,
    pub(super) stages: usize,
    /// How many rows of one question are kept at most.
    pub(super) rows_per_question: usize,
}

/// A past question with its candidates and what was truly next.
pub(super) struct Asked<'a> {
    pub(super) stage: u8,
    pub(super) ranked: &'a Ranked<'a>,
    /// Known products, each once.
    pub(super) truth: &'a [u32],
}

/// Learns one ranking.
pub(super) struct Learner<'a> {
    pub(super) aim: Aim,
    settings: FitSettings<'a>,
    rows: Rows,
    salt: u64,
    /// Fitted on the questions to learn from alone; with trees, until they turn out to be no better.
    pub(super) fitted: Option<Arc<Scorer>>,
    /// How the first fit does without and with its trees on questions it has not seen.
    contest: [Tally; 2],
    /// By stage: scores and outcomes of questions the fit has not seen.
    scores: Vec<(Vec<f64>, Vec<bool>)>,
    /// What the calibration says of them, and what came.
    checked: (Vec<f64>, Vec<bool>),
}

impl<'a> Learner<'a> {
    pub(super) fn new(aim: Aim, settings: FitSettings<'a>, seed: u64) -> Self {
        Self {
            aim,
            settings,
            rows: Rows::default(),
            salt: seed,
            fitted: None,
            contest: [Tally::new(super::GATE_K), Tally::new(super::GATE_K)],
            scores: vec![(Vec::new(), Vec::new()); settings.stages],
            checked: (Vec::new(), Vec::new()),
        }
    }

    /// Keeps a sample of the candidates of a question as rows.
    pub(super) fn learn(&mut self, asked: &Asked<'_>) {
        let is_true = |scored: &Scored<'_>| asked.truth.contains(&scored.candidate.product);
        let (mut positives, mut negatives): (Vec<Scored<'_>>, Vec<Scored<'_>>) =
            asked.ranked.iter().partition(is_true);
        if positives.is_empty() || negatives.is_empty() {
            return;
        }
        let share =
            |part: usize| (part * self.settings.rows_per_question).div_ceil(POSITIVES + NEGATIVES);
        self.salt = self.salt.wrapping_add(1);
        let salt = self.salt;
        let drawn = |scored: &Scored<'_>| mix(salt, u64::from(scored.candidate.product));
        positives.sort_by_key(drawn);
        positives.truncate(share(POSITIVES));
        negatives.sort_by_key(drawn);
        negatives.truncate(share(NEGATIVES));
        let mut rows: Vec<(Scored<'_>, bool)> = Vec::new();
        rows.extend(positives.into_iter().map(|scored| (scored, true)));
        rows.extend(negatives.into_iter().map(|scored| (scored, false)));
        // what scores the same stands in the order of the rows: it must not tell which is true
        rows.sort_by_key(|(scored, _)| drawn(scored));
        self.rows.push(rows.into_iter().map(|(scored, label)| {
            let features = asked.ranked.features(scored.candidate);
            (rows::row(asked.stage, &features), label)
        }));
    }

    /// Fits the questions learned so far, to have scores of questions the fit has not seen.
    pub(super) fn fit_first(
        &mut self,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), TrainError> {
        self.fitted = match self.fit(true, keep_on) {
            Ok(scorer) => Some(Arc::new(scorer)),
            // without discoveries there is nothing to learn of them
            Err(TrainError::Fit(_)) if self.aim == Aim::Discover => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Compares a list without and one with the trees' corrections.
    pub(super) fn compare(&mut self, lists: [&[u32]; 2], truth: &[Truth]) {
        for (tally, list) in self.contest.iter_mut().zip(lists) {
            tally.add(list, truth);
        }
    }

    /// Drops the trees if they are no better.
    pub(super) fn decide(&mut self) {
        let [without, with] = &self.contest;
        let ndcg = |tally: &Tally| tally.figures(1)[1];
        if ndcg(with) <= ndcg(without)
            && let Some(fitted) = &mut self.fitted
        {
            Arc::make_mut(fitted).boosting = None;
        }
    }

    /// Keeps all scores of a question the fit has not seen.
    pub(super) fn calibrate(&mut self, asked: &Asked<'_>) {
        let (scores, outcomes) = &mut self.scores[asked.stage as usize];
        for scored in asked.ranked.iter() {
            scores.push(scored.mark.base);
            outcomes.push(asked.truth.contains(&scored.candidate.product));
        }
    }

    /// The expected calibration error on the questions the calibration was fitted on; after [`Learner::finish`].
    pub(super) fn calibration_error(&self) -> f64 {
        expected_error(&self.checked.0, &self.checked.1)
    }

    /// Fits everything and calibrates; nothing if there was nothing to learn.
    pub(super) fn finish(
        &mut self,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Scorer>, TrainError> {
        let Some(first) = &self.fitted else {
            return Ok(None);
        };
        let mut scorer = self.fit(first.boosting.is_some(), keep_on)?;
        scorer.calibrations = self
            .scores
            .iter()
            .map(|(scores, outcomes)| Calibration::fit(scores, outcomes))
            .collect();
        for ((scores, outcomes), calibration) in self.scores.iter().zip(&scorer.calibrations) {
            if let Some(calibration) = calibration {
                let said = scores.iter().map(|&score| calibration.probability(score));
                self.checked.0.extend(said);
                self.checked.1.extend(outcomes);
            }
        }
        Ok(Some(scorer))
    }

    fn fit(
        &self,
        with_trees: bool,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Result<Scorer, TrainError> {
        let ranker = ranker::fit(
            &self.rows.thinned(RANKER_ROWS),
            self.settings.stages,
            self.settings.ranker,
        )?;
        if !keep_on() {
            return Err(TrainError::Cancelled);
        }
        let params = self.settings.boosting;
        let params = params.filter(|_| with_trees && self.rows.positives() >= MIN_POSITIVES);
        let boosting = match params {
            Some(params) => self.boost(&ranker, params, keep_on)?,
            None => None,
        };
        Ok(Scorer {
            ranker,
            boosting,
            calibrations: Vec::new(),
        })
    }

    /// Trees that correct the ranker.
    fn boost(
        &self,
        ranker: &FittedRanker,
        params: &BoostingParams,
        keep_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<FittedBoosting>, TrainError> {
        let base: Vec<f32> = self
            .rows
            .iter()
            .map(|(row, _)| ranker.score_row(row) as f32)
            .collect();
        let examples = Examples::new(Parts {
            features: self.rows.numbers(),
            columns: COLUMNS,
            labels: self.rows.labels(),
            groups: self.rows.questions(),
            weights: None,
            base: Some(&base),
        });
        let fault = |error: &dyn std::fmt::Display| FitError::Solver(error.to_string());
        let examples = examples.map_err(|faults| fault(&faults))?;
        let params = params.clone().check();
        let params = params.map_err(|faults| fault(&faults))?;
        match params.fit(&examples, None, &mut |_, _| keep_on()) {
            Ok(boosting) => Ok(Some(boosting)),
            Err(BoostingError::Cancelled { .. }) => Err(TrainError::Cancelled),
            // the ranker alone is as good
            Err(BoostingError::OneClass { .. } | BoostingError::NothingToOrder { .. }) => Ok(None),
            Err(error) => Err(fault(&error).into()),
        }
    }
}
