//! The reward model of DM and DR: what each action would have earned, fitted on context, action and position
//! (one-hot), and asked only about decisions it was not fitted on.

use std::collections::HashMap;

use ndarray::{Array2, ShapeBuilder as _};

use super::super::response::{FittedResponse, Kind, ResponseParams};
use super::target::Distribution;
use super::{LoggedDecision, PolicyParams};

/// A value needs so many decisions for a column of its own; the others share none.
pub const MIN_VALUE_ROWS: usize = 10;
/// The most columns for values of the context; of each of action and position, too. The most frequent values get them.
pub const MAX_COLUMNS_EACH: usize = 200;
/// A fit takes at most so many cells of 8 bytes: of larger logs, a part of the decisions, drawn by the seed.
pub const MAX_CELLS: usize = 1 << 22;

/// The penalties that are tried, the strongest first, until the next one foresees the rewards of rows it was not fitted
/// on no better: where rewards are rare, a weak one learns chance.
pub const PENALTIES: [f64; 4] = [1_000.0, 100.0, 10.0, 1.0];

/// What the reward model was.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardModel {
    /// Logistic for rewards of 0 and 1, ridge regression for others.
    pub kind: Kind,
    /// The strength of its L2 penalty: the one of [`PENALTIES`] with the least loss on rows it was not fitted on.
    pub l2: f64,
    /// Columns: values of context, action and position that are frequent enough.
    pub columns: usize,
    /// Values that are not.
    pub rare_values: usize,
    /// Folds.
    pub folds: usize,
    /// Folds whose rewards were all alike, so that the model is their mean.
    pub mean_folds: usize,
    /// The most decisions that one fit was made of.
    pub fitted_rows: usize,
    /// The target's chances of other actions were read off the log: it takes no notice of the context.
    pub target_read_off: bool,
}

/// Which value has which column.
struct Columns {
    context: HashMap<(u32, u32), usize>,
    action: HashMap<u32, usize>,
    position: HashMap<u32, usize>,
    count: usize,
    rare: usize,
}

impl Columns {
    fn of(log: &[LoggedDecision]) -> Self {
        let mut columns = Self {
            context: HashMap::new(),
            action: HashMap::new(),
            position: HashMap::new(),
            count: 0,
            rare: 0,
        };
        let context = |row: &LoggedDecision| -> Vec<(u32, u32)> {
            (0..).zip(row.context.iter().copied()).collect()
        };
        columns.context = columns.most_frequent(log.iter().flat_map(context), log.len());
        columns.action = columns.most_frequent(log.iter().map(|row| row.action), log.len());
        columns.position = columns.most_frequent(log.iter().map(|row| row.position), log.len());
        columns
    }

    fn most_frequent<K: Copy + Ord + std::hash::Hash>(
        &mut self,
        values: impl Iterator<Item = K>,
        rows: usize,
    ) -> HashMap<K, usize> {
        let mut counts: HashMap<K, usize> = HashMap::new();
        values.for_each(|value| *counts.entry(value).or_default() += 1);
        // what every decision has tells nothing
        let mut counts: Vec<(usize, K)> = counts
            .into_iter()
            .filter(|&(_, count)| count < rows)
            .map(|(value, count)| (count, value))
            .collect();
        counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let kept = counts
            .iter()
            .take(MAX_COLUMNS_EACH)
            .filter(|(count, _)| *count >= MIN_VALUE_ROWS);
        let first = self.count;
        let kept: HashMap<K, usize> = kept
            .zip(first..)
            .map(|(&(_, value), column)| (value, column))
            .collect();
        self.count += kept.len();
        self.rare += counts.len() - kept.len();
        kept
    }

    /// The columns of the context and the position of a decision.
    fn situation<'a>(&'a self, row: &'a LoggedDecision) -> impl Iterator<Item = usize> + 'a {
        let context = (0..).zip(row.context.iter().copied());
        let context = context.filter_map(|value| self.context.get(&value).copied());
        context.chain(self.position.get(&row.position).copied())
    }

    fn matrix(&self, log: &[LoggedDecision], rows: &[usize]) -> Array2<f64> {
        let mut x = Array2::zeros((rows.len(), self.count).f());
        for (place, &row) in rows.iter().enumerate() {
            let own = self.action.get(&log[row].action).copied();
            for column in self.situation(&log[row]).chain(own) {
                x[(place, column)] = 1.0;
            }
        }
        x
    }
}

/// Of each decision: what the model expects of the action that was shown, and of the target.
pub(super) type Expected = Vec<(f64, f64)>;

pub(super) fn cross_fit(
    log: &[LoggedDecision],
    target: &Distribution<'_>,
    fold_of: &[u8],
    params: &PolicyParams,
) -> (RewardModel, Expected) {
    let columns = Columns::of(log);
    let rewards: Vec<f64> = log.iter().map(|row| row.reward).collect();
    let kind = Kind::of(&rewards);
    let mut best: Option<(f64, (RewardModel, Expected))> = None;
    for l2 in PENALTIES {
        let tried = with_penalty(log, target, fold_of, params, (&columns, kind, l2));
        let losses = tried
            .1
            .iter()
            .zip(&rewards)
            .map(|(&(own, _), &reward)| loss(kind, own, reward));
        let loss: f64 = losses.sum();
        // the loss falls and rises again: what is weaker still is not tried
        if best.as_ref().is_some_and(|(least, _)| loss >= *least) {
            break;
        }
        best = Some((loss, tried));
    }
    best.expect("the first penalty is taken").1
}

/// Log loss of a chance, squared error of an amount.
fn loss(kind: Kind, expected: f64, reward: f64) -> f64 {
    match kind {
        Kind::Amount => (expected - reward).powi(2),
        Kind::Chance => {
            let chance = if reward > 0.5 {
                expected
            } else {
                1.0 - expected
            };
            -chance.max(1e-12).ln()
        }
    }
}

fn with_penalty(
    log: &[LoggedDecision],
    target: &Distribution<'_>,
    fold_of: &[u8],
    params: &PolicyParams,
    (columns, kind, l2): (&Columns, Kind, f64),
) -> (RewardModel, Expected) {
    let folds = fold_of
        .iter()
        .max()
        .map_or(0, |most| usize::from(*most) + 1);
    let mut model = RewardModel {
        kind,
        l2,
        columns: columns.count,
        rare_values: columns.rare,
        folds,
        mean_folds: 0,
        fitted_rows: 0,
        target_read_off: matches!(target, Distribution::ReadOff(_)),
    };
    let response = ResponseParams {
        l2,
        ..ResponseParams::default()
    };
    let most_rows = MAX_CELLS / columns.count.max(1);
    let order = super::shuffled(log.len(), params.seed ^ 2);
    let mut expected = vec![(0.0, 0.0); log.len()];
    for fold in 0..folds {
        let other = |row: &usize| usize::from(fold_of[*row]) != fold;
        let rows: Vec<usize> = order
            .iter()
            .copied()
            .filter(other)
            .take(most_rows)
            .collect();
        let outcomes: Vec<f64> = rows.iter().map(|&row| log[row].reward).collect();
        let fitted = FittedResponse::fit(columns.matrix(log, &rows), &outcomes, kind, &response);
        model.mean_folds += usize::from(fitted.is_mean());
        model.fitted_rows = model.fitted_rows.max(rows.len());
        let asked = Asked::new(&fitted, columns, target, log);
        for row in (0..log.len()).filter(|row| usize::from(fold_of[*row]) == fold) {
            expected[row] = asked.of(row, &log[row]);
        }
    }
    (model, expected)
}

/// A fitted model that is asked about decisions.
struct Asked<'a> {
    fitted: &'a FittedResponse,
    columns: &'a Columns,
    target: &'a Distribution<'a>,
    /// What each action adds to the sum.
    of_action: Vec<f64>,
    /// By position, where the target goes by nothing else: the different additions, with the target's chance of each.
    by_position: HashMap<u32, Vec<(f64, f64)>>,
}

impl<'a> Asked<'a> {
    fn new(
        fitted: &'a FittedResponse,
        columns: &'a Columns,
        target: &'a Distribution<'a>,
        log: &[LoggedDecision],
    ) -> Self {
        let highest = log
            .iter()
            .map(|row| row.action)
            .max()
            .map_or(0, |most| most as usize + 1);
        let mut of_action = vec![0.0; highest];
        for (&action, &column) in &columns.action {
            of_action[action as usize] = fitted.weights()[column];
        }
        let mut asked = Self {
            fitted,
            columns,
            target,
            of_action,
            by_position: HashMap::new(),
        };
        if let Some(shares) = target.by_position() {
            let mut positions: Vec<u32> = log.iter().map(|row| row.position).collect();
            positions.sort_unstable();
            positions.dedup();
            let grouped = |position: u32| (position, asked.grouped(shares.at(position)));
            asked.by_position = positions.into_iter().map(grouped).collect();
        }
        asked
    }

    /// The additions of actions with a column of their own, and that of all others together, which is none.
    fn grouped(&self, chances: &[f64]) -> Vec<(f64, f64)> {
        let mut others = 0.0;
        let mut grouped = Vec::new();
        for (action, &chance) in (0..).zip(chances) {
            if self.columns.action.contains_key(&action) {
                grouped.push((self.of_action[action as usize], chance));
            } else {
                others += chance;
            }
        }
        grouped.push((0.0, others));
        grouped
    }

    fn of(&self, row: usize, decision: &LoggedDecision) -> (f64, f64) {
        let weights = self.fitted.weights();
        let situation: f64 = self
            .columns
            .situation(decision)
            .map(|column| weights[column])
            .sum();
        let situation = self.fitted.bias() + situation;
        let own = self
            .fitted
            .of_sum(situation + self.of_action[decision.action as usize]);
        let grouped;
        let additions = match self.by_position.get(&decision.position) {
            Some(additions) => additions,
            None => {
                grouped = self.grouped(self.target.of(row, decision));
                &grouped
            }
        };
        let (mut sum, mut chances) = (0.0, 0.0);
        for &(addition, chance) in additions {
            if chance > 0.0 {
                sum += chance * self.fitted.of_sum(situation + addition);
                chances += chance;
            }
        }
        // chances of a file may be rounded
        (own, if chances > 0.0 { sum / chances } else { own })
    }
}
