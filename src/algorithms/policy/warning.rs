//! What to know before an estimate is believed, in words, and what may be done with each estimate then.

use std::fmt;

use super::super::response::Kind;
use super::target::Distribution;
use super::{LoggedDecision, Method, PolicyReport};

/// Below so many effective rows weights tell nothing.
pub const MIN_EFFECTIVE_ROWS: f64 = 100.0;
/// Below so many effective rewarded rows an interval from drawing rows is too narrow.
pub const MIN_EFFECTIVE_REWARDS: f64 = 20.0;
/// Propensities below this are called tiny.
pub const TINY_PROPENSITY: f64 = 1e-4;
/// One row with more than this share of the weight decides too much.
const MAX_SHARE_OF_ONE: f64 = 0.1;
/// The most of the target that may be where the log has shown nothing, or that clipping may take away.
const MAX_UNSEEN: f64 = 0.01;
const MAX_CLIPPED: f64 = 0.1;
/// The mean weight may be off by this much, or by so many standard errors.
const MAX_MEAN_ERROR: f64 = 0.05;
const MAX_MEAN_ERRORS: f64 = 4.0;

/// What an estimate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// To decide by.
    Yes,
    /// To decide by, when the warnings have been read.
    WithCare,
    /// Nothing.
    No,
}

impl Trust {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithCare => "with_care",
            Self::No => "no",
        }
    }
}

/// Something to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// The weights are those of too few rows.
    FewEffectiveRows {
        /// (Σ w)² / Σ w².
        effective: f64,
        /// All rows.
        rows: usize,
    },
    /// Some propensities are tiny.
    TinyPropensities {
        /// How many.
        rows: usize,
        /// The smallest.
        smallest: f64,
    },
    /// One row decides too much.
    OneRowDecides {
        /// What it has of all the weight.
        share: f64,
    },
    /// No reward at all.
    NoReward,
    /// Too few rewards.
    FewRewards {
        /// Rows with a reward.
        rewarded: usize,
        /// (Σ w·r)² / Σ (w·r)².
        effective: f64,
    },
    /// The target shows what the log never showed there.
    Unseen {
        /// The target's chance of it.
        share: f64,
    },
    /// The weights do not average 1.
    MeanWeight {
        /// Their mean.
        mean: f64,
    },
    /// Clipping takes away much of the target.
    Clipped {
        /// How much.
        share: f64,
        /// Rows whose weight was clipped.
        rows: usize,
    },
    /// The logging policy had no choice.
    NoExploration,
    /// DM and DR cannot be computed.
    NoDistribution,
    /// The target's chances of other actions were read off the log.
    ReadOff,
    /// Rewards other than 0 and 1.
    Amounts,
    /// The reward model could not be fitted in some folds.
    MeanModel {
        /// How many.
        folds: usize,
        /// Of how many.
        of: usize,
    },
    /// The reward model was fitted on a part of the log.
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
            Self::FewEffectiveRows { .. } => "few_effective_rows",
            Self::TinyPropensities { .. } => "tiny_propensities",
            Self::OneRowDecides { .. } => "one_row_decides",
            Self::NoReward => "no_reward",
            Self::FewRewards { .. } => "few_rewards",
            Self::Unseen { .. } => "unseen_actions",
            Self::MeanWeight { .. } => "mean_weight",
            Self::Clipped { .. } => "clipped",
            Self::NoExploration => "no_exploration",
            Self::NoDistribution => "no_distribution",
            Self::ReadOff => "distribution_read_off",
            Self::Amounts => "amounts",
            Self::MeanModel { .. } => "mean_model",
            Self::Sampled { .. } => "model_on_sample",
        }
    }

    /// What remains of an estimate of this method.
    fn leaves(&self, method: Method) -> Trust {
        if method == Method::Naive {
            // the value of the logging policy needs no weights
            return match self {
                Self::NoReward => Trust::No,
                _ => Trust::Yes,
            };
        }
        match self {
            Self::NoReward | Self::FewEffectiveRows { .. } => Trust::No,
            Self::Clipped { .. } if method.is_clipped() => Trust::WithCare,
            Self::MeanModel { .. } if method == Method::Dm => Trust::No,
            Self::OneRowDecides { .. } if !method.is_clipped() => Trust::WithCare,
            Self::FewRewards { .. }
            | Self::Unseen { .. }
            | Self::MeanWeight { .. }
            | Self::NoExploration => Trust::WithCare,
            _ => Trust::Yes,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewEffectiveRows { effective, rows } => write!(
                f,
                "this log cannot judge this policy: its {rows} rows weigh as much as {effective:.0} of the target's \
                 own, and at least {MIN_EFFECTIVE_ROWS:.0} are needed; no estimate here may be used"
            ),
            Self::TinyPropensities { rows, smallest } => write!(
                f,
                "propensities below {TINY_PROPENSITY}: {rows}, the smallest {smallest:e}; one such row can outweigh \
                 all the others, so the logging policy should explore more"
            ),
            Self::OneRowDecides { share } => {
                let percent = 100.0 * share;
                write!(f, "one row has {percent:.0} % of all the weight")
            }
            Self::NoReward => f.write_str(
                "no row has a reward: every estimate is 0, and its interval cannot say how much the reward may be",
            ),
            Self::FewRewards { rewarded, effective } => write!(
                f,
                "the estimate rests on {rewarded} rewarded rows that weigh as much as {effective:.1}; intervals are \
                 too narrow below {MIN_EFFECTIVE_REWARDS:.0}"
            ),
            Self::Unseen { share } => {
                let percent = 100.0 * share;
                write!(
                    f,
                    "{percent:.1} % of what the target shows was never shown at that position in the log: no estimate \
                     knows what it earns"
                )
            }
            Self::MeanWeight { mean } => write!(
                f,
                "the weights average {mean:.3}, not 1: propensities or target probabilities are wrong, or the log \
                 never showed some of what the target shows"
            ),
            Self::Clipped { share, rows } => {
                let percent = 100.0 * share;
                write!(
                    f,
                    "clipping {rows} weights takes away {percent:.0} % of the target: clipped estimates lean towards \
                     the other {:.0} %",
                    100.0 - percent
                )
            }
            Self::NoExploration => f.write_str(
                "every propensity is 1: the logging policy always showed the same, and tells nothing of anything else",
            ),
            Self::NoDistribution => f.write_str(
                "DM and DR are not computed: of the target only the chance of the shown action is known, and it \
                 depends on the context; give the chances of all actions",
            ),
            Self::ReadOff => f.write_str(
                "the target's chances of other actions are read off the log: they are the same in every context and \
                 sum to 1 at each position",
            ),
            Self::Amounts => {
                f.write_str("rewards are not only 0 and 1: the reward model is a ridge regression, not a logistic one")
            }
            Self::MeanModel { folds, of } => write!(
                f,
                "the reward model is a mean in {folds} of {of} folds: there was nothing to tell apart; DM is not an \
                 estimate then"
            ),
            Self::Sampled { rows } => write!(
                f,
                "each fit of the reward model took {rows} rows, drawn by the seed; all rows are in the estimates"
            ),
        }
    }
}

/// What is to be said of a report whose estimates are not yet in.
pub(super) fn all(
    log: &[LoggedDecision],
    report: &PolicyReport,
    distribution: Option<&Distribution<'_>>,
) -> Vec<Warning> {
    let (rows, weights) = (report.rows, &report.weights);
    let mut warnings = Vec::new();
    let mut warn = |is_so: bool, warning: Warning| {
        if is_so {
            warnings.push(warning);
        }
    };
    let effective = weights.effective_rows;
    warn(
        effective < MIN_EFFECTIVE_ROWS,
        Warning::FewEffectiveRows { effective, rows },
    );
    let tiny = log
        .iter()
        .filter(|row| row.propensity < TINY_PROPENSITY)
        .count();
    let smallest = weights.smallest_propensity;
    warn(
        tiny > 0,
        Warning::TinyPropensities {
            rows: tiny,
            smallest,
        },
    );
    let share = weights.largest_share;
    warn(share > MAX_SHARE_OF_ONE, Warning::OneRowDecides { share });
    let (rewarded, effective) = (report.rewarded, weights.effective_rewards);
    warn(rewarded == 0, Warning::NoReward);
    warn(
        rewarded > 0 && effective < MIN_EFFECTIVE_REWARDS,
        Warning::FewRewards {
            rewarded,
            effective,
        },
    );
    let no_choice = log.iter().all(|row| row.propensity > 1.0 - 1e-9);
    warn(no_choice, Warning::NoExploration);
    if let Some(distribution) = distribution {
        let share = unseen(log, distribution);
        warn(share > MAX_UNSEEN, Warning::Unseen { share });
    }
    let mean = weights.mean;
    let variance = mean * mean * (rows as f64 / weights.effective_rows.max(1e-9) - 1.0).max(0.0);
    let errors = (mean - 1.0).abs() / (variance / rows as f64).sqrt().max(1e-12);
    let is_off = (mean - 1.0).abs() > MAX_MEAN_ERROR && errors > MAX_MEAN_ERRORS;
    warn(is_off, Warning::MeanWeight { mean });
    let share = (1.0 - weights.mean_clipped).min(1.0);
    let clipped_rows = weights.clipped_rows;
    warn(
        clipped_rows > 0 && share > MAX_CLIPPED,
        Warning::Clipped {
            share,
            rows: clipped_rows,
        },
    );
    match &report.model {
        None => warn(true, Warning::NoDistribution),
        Some(model) => {
            warn(model.target_read_off, Warning::ReadOff);
            warn(model.kind == Kind::Amount, Warning::Amounts);
            let (folds, of) = (model.mean_folds, model.folds);
            warn(folds > 0 && rewarded > 0, Warning::MeanModel { folds, of });
            let whole = rows - rows / model.folds.max(1);
            let sampled = model.fitted_rows + 1 < whole;
            warn(
                sampled,
                Warning::Sampled {
                    rows: model.fitted_rows,
                },
            );
        }
    }
    warnings
}

/// The target's chance of actions that the log has never shown at the position.
fn unseen(log: &[LoggedDecision], distribution: &Distribution<'_>) -> f64 {
    let highest = |of: fn(&LoggedDecision) -> u32| {
        log.iter().map(of).max().map_or(0, |most| most as usize + 1)
    };
    let (positions, actions) = (highest(|row| row.position), highest(|row| row.action));
    let mut seen = vec![false; positions * actions];
    for row in log {
        seen[row.position as usize * actions + row.action as usize] = true;
    }
    let mut by_position = vec![None; positions];
    let mut unseen = 0.0;
    for (place, row) in log.iter().enumerate() {
        let position = row.position as usize;
        let of_row = || {
            let of_position = &seen[position * actions..][..actions];
            let chances = distribution.of(place, row).iter().enumerate();
            let never =
                chances.filter(|(action, _)| !of_position.get(*action).copied().unwrap_or(false));
            never.map(|(_, chance)| chance).sum::<f64>()
        };
        unseen += match distribution.by_position() {
            Some(_) => *by_position[position].get_or_insert_with(of_row),
            None => of_row(),
        };
    }
    unseen / log.len().max(1) as f64
}

/// What the warnings leave of an estimate. The direct method never shows its own error.
pub(super) fn trust(method: Method, warnings: &[Warning]) -> Trust {
    let least = if method == Method::Dm {
        Trust::WithCare
    } else {
        Trust::Yes
    };
    warnings
        .iter()
        .map(|warning| warning.leaves(method))
        .fold(least, Trust::max)
}
