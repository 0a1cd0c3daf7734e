//! What to know before an uplift is believed, in words.

use std::fmt;

use super::super::response::Kind;
use super::features::Encoded;
use super::{Comparison, MIN_ARM_ROWS, Scores, UpliftLog, UpliftReport};

/// Below so many rows with an outcome in an arm, intervals are too narrow.
pub const MIN_RESPONSES: usize = 20;
/// Treated and control may differ in a feature by so many standard deviations, or by so many standard errors.
const MAX_IMBALANCE: f64 = 0.1;
const MAX_IMBALANCE_ERRORS: f64 = 5.0;
/// Learners that agree less than this are said to disagree.
const MIN_AGREEMENT: f64 = 0.5;

/// Something to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// All outcomes are the same.
    NoOutcome,
    /// An arm is small.
    FewRows {
        /// Its name.
        arm: String,
        /// Its rows.
        rows: usize,
    },
    /// Few in an arm have an outcome.
    FewResponses {
        /// Its name.
        arm: String,
        /// How many.
        responses: usize,
    },
    /// Treated and control differ before the treatment.
    NotRandom {
        /// In this feature.
        feature: String,
        /// In standard deviations.
        difference: f64,
    },
    /// There is no feature to order by.
    NoFeatures,
    /// Features that tell nothing.
    UnusedFeatures(Vec<String>),
    /// The learners order differently.
    LearnersDisagree {
        /// The correlation of what they expect.
        agreement: f64,
    },
    /// Nothing could be learned in some folds.
    MeanModel {
        /// How many.
        folds: usize,
    },
    /// Outcomes other than 0 and 1.
    Amounts,
    /// Learners were fitted on a part of the log.
    Sampled {
        /// How many rows.
        rows: usize,
    },
}

impl Warning {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoOutcome => "no_outcome",
            Self::FewRows { .. } => "few_rows",
            Self::FewResponses { .. } => "few_responses",
            Self::NotRandom { .. } => "not_random",
            Self::NoFeatures => "no_features",
            Self::UnusedFeatures(_) => "unused_features",
            Self::LearnersDisagree { .. } => "learners_disagree",
            Self::MeanModel { .. } => "mean_model",
            Self::Amounts => "amounts",
            Self::Sampled { .. } => "model_on_sample",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOutcome => f.write_str(
                "all outcomes are the same: there is nothing a treatment could have changed",
            ),
            Self::FewRows { arm, rows } => write!(
                f,
                "the arm {arm} has {rows} rows: nothing is learned from fewer than {MIN_ARM_ROWS}, and intervals are \
                 too narrow"
            ),
            Self::FewResponses { arm, responses } => write!(
                f,
                "{responses} rows of the arm {arm} have an outcome; intervals are too narrow below {MIN_RESPONSES}"
            ),
            Self::NotRandom {
                feature,
                difference,
            } => write!(
                f,
                "treated and control differ in {feature} by {difference:.2} standard deviations: who was treated was \
                 not drawn at random, so effects may be those of the choice"
            ),
            Self::NoFeatures => f.write_str(
                "there is no feature that tells customers apart: nothing can be ordered",
            ),
            Self::UnusedFeatures(names) => {
                const SHOWN: usize = 10;
                let shown = names
                    .iter()
                    .take(SHOWN)
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                let more = names.len().saturating_sub(SHOWN);
                write!(
                    f,
                    "features that tell nothing (constant, or without a frequent value): {shown}"
                )?;
                if more > 0 {
                    write!(f, " and {more} more")
                } else {
                    Ok(())
                }
            }
            Self::LearnersDisagree { agreement } => write!(
                f,
                "S-learner and T-learner order differently (correlation {agreement:.2}): what they have learned may be \
                 chance"
            ),
            Self::MeanModel { folds } => write!(f, "in {folds} folds there was nothing to learn"),
            Self::Amounts => f.write_str(
                "outcomes are not only 0 and 1: learners are ridge regressions, not logistic ones",
            ),
            Self::Sampled { rows } => write!(
                f,
                "each fit took {rows} rows, drawn by the seed; all rows are in the figures"
            ),
        }
    }
}

pub(super) fn all(
    log: &UpliftLog<'_>,
    encoded: &Encoded,
    report: &UpliftReport,
    varies: bool,
    scores: Option<&Scores>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if !varies {
        warnings.push(Warning::NoOutcome);
    }
    let arm = |comparison: &Comparison| {
        (
            comparison.rows,
            comparison.responses,
            comparison.arm.clone(),
        )
    };
    let single = (report.all.rows, report.all.responses, treated_name(log));
    let treated: Vec<_> = if report.arms.is_empty() {
        vec![single]
    } else {
        report.arms.iter().map(arm).collect()
    };
    let control = (
        report.control_rows,
        report.control_responses,
        log.arms.first().cloned(),
    );
    for (rows, responses, name) in std::iter::once(control).chain(treated) {
        let arm = name.unwrap_or_default();
        if rows < MIN_ARM_ROWS {
            warnings.push(Warning::FewRows { arm, rows });
        } else if varies && responses < MIN_RESPONSES {
            warnings.push(Warning::FewResponses { arm, responses });
        }
    }
    warnings.extend(imbalance(log, encoded));
    if encoded.columns() == 0 {
        warnings.push(Warning::NoFeatures);
    }
    if !encoded.unused.is_empty() {
        warnings.push(Warning::UnusedFeatures(encoded.unused.clone()));
    }
    if let Some(agreement) = report
        .agreement
        .filter(|&agreement| agreement < MIN_AGREEMENT)
    {
        warnings.push(Warning::LearnersDisagree { agreement });
    }
    if let Some(scores) = scores {
        if scores.mean_folds > 0 {
            let folds = scores.mean_folds;
            warnings.push(Warning::MeanModel { folds });
        }
        warnings.extend(scores.sampled.map(|rows| Warning::Sampled { rows }));
    }
    if report.kind == Kind::Amount {
        warnings.push(Warning::Amounts);
    }
    warnings
}

/// The name of the only treated arm.
fn treated_name(log: &UpliftLog<'_>) -> Option<String> {
    let arm = log.arm.iter().find(|&&arm| arm != 0)?;
    log.arms.get(*arm as usize).cloned()
}

/// The feature in which treated and control differ most, if that is more than chance.
fn imbalance(log: &UpliftLog<'_>, encoded: &Encoded) -> Option<Warning> {
    let columns = encoded.columns();
    // of control and treated: rows, and of each column sum and sum of squares
    let mut rows = [0.0; 2];
    let mut sums = [vec![(0.0, 0.0); columns], vec![(0.0, 0.0); columns]];
    for (row, &arm) in log.arm.iter().enumerate() {
        let group = usize::from(arm != 0);
        rows[group] += 1.0;
        for (sum, &x) in sums[group].iter_mut().zip(encoded.row(row)) {
            *sum = (sum.0 + x, sum.1 + x * x);
        }
    }
    let difference = |column: usize| {
        let of = |group: usize| {
            let (sum, squares) = sums[group][column];
            let mean = sum / rows[group];
            (mean, (squares / rows[group] - mean * mean).max(0.0))
        };
        let ((control, control_variance), (treated, treated_variance)) = (of(0), of(1));
        // that of all rows: groups that are each constant may differ, too
        let all = log.arm.len() as f64;
        let (sum, squares) = (
            sums[0][column].0 + sums[1][column].0,
            sums[0][column].1 + sums[1][column].1,
        );
        let deviation = (squares / all - (sum / all).powi(2)).max(0.0).sqrt();
        let error = (control_variance / rows[0] + treated_variance / rows[1]).sqrt();
        let difference = (treated - control).abs();
        let is_far =
            difference > MAX_IMBALANCE * deviation && difference > MAX_IMBALANCE_ERRORS * error;
        (is_far && deviation > 0.0).then(|| (column, difference / deviation))
    };
    let far = (0..columns).filter_map(difference);
    let (column, difference) = far.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Warning::NotRandom {
        feature: encoded.name(column).to_owned(),
        difference,
    })
}
