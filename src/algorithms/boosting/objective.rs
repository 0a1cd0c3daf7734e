//! The losses: where scores start, the derivatives by each row's score, and how good the scores are.

use super::examples::Examples;
use super::histogram::Gradient;
use super::params::Objective;

/// Keeps the distance of two scores that are nearly the same from weighing without end (LightGBM).
const CLOSE: f64 = 0.01;

/// An objective over certain examples.
#[derive(Debug)]
pub(super) struct Loss<'a> {
    objective: Objective,
    examples: &'a Examples<'a>,
    /// For each group 1 / its best DCG; 0 where there is nothing to order.
    inverse_best: Vec<f64>,
    /// What a hit at each place is worth, first place first.
    discounts: Vec<f64>,
    order: Vec<u64>,
    ranked: Vec<Ranked>,
}

/// A row of a group, in the order of the scores.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    /// Its place in the group.
    place: usize,
    label: u8,
    score: f64,
}

impl<'a> Loss<'a> {
    pub(super) fn new(objective: Objective, examples: &'a Examples<'a>) -> Self {
        let mut loss = Self {
            objective,
            examples,
            inverse_best: Vec::new(),
            discounts: Vec::new(),
            order: Vec::new(),
            ranked: Vec::new(),
        };
        if let Objective::LambdaRank { at } = objective {
            let lengths = (0..examples.groups()).map(|group| examples.group(group).len());
            let longest = lengths.max().unwrap_or_default();
            loss.discounts = (0..longest)
                .map(|place| 1.0 / (place as f64 + 2.0).log2())
                .collect();
            loss.inverse_best = (0..examples.groups())
                .map(|group| loss.inverse_best(group, at))
                .collect();
        }
        loss
    }

    fn inverse_best(&self, group: usize, at: usize) -> f64 {
        let mut labels = self.examples.labels()[self.examples.group(group)].to_vec();
        labels.sort_unstable_by(|a, b| b.cmp(a));
        if labels.first() == labels.last() {
            return 0.0;
        }
        let places = labels.iter().zip(&self.discounts).take(at);
        1.0 / places
            .map(|(&label, worth)| gain(label) * worth)
            .sum::<f64>()
    }

    /// Rows that are "yes" and count, and all rows that count.
    pub(super) fn positives(&self) -> (usize, usize) {
        let labels = self.examples.labels();
        let counted = (0..self.examples.rows()).filter(|&row| self.examples.weight(row) > 0.0);
        counted.fold((0, 0), |(positives, rows), row| {
            (positives + usize::from(labels[row] > 0), rows + 1)
        })
    }

    /// The groups that say something: for ranking those with at least two different labels.
    pub(super) fn telling_groups(&self) -> Vec<u32> {
        let groups = 0..self.examples.groups();
        let tells = |&group: &usize| match self.objective {
            Objective::Logistic => true,
            Objective::LambdaRank { .. } => self.inverse_best[group] > 0.0,
        };
        groups.filter(tells).map(|group| group as u32).collect()
    }

    /// Where all scores start if the examples have no base: at the log-odds of "yes", or at 0 for ranking.
    pub(super) fn start(&self) -> f32 {
        if self.objective != Objective::Logistic || self.examples.base().is_some() {
            return 0.0;
        }
        let (mut yes, mut no) = (0.0, 0.0);
        for (row, &label) in self.examples.labels().iter().enumerate() {
            let side = if label > 0 { &mut yes } else { &mut no };
            *side += self.examples.weight(row);
        }
        (yes / no).ln() as f32
    }

    /// The scores before the first tree.
    pub(super) fn scores(&self, start: f32) -> Vec<f64> {
        match self.examples.base() {
            Some(base) => base.iter().map(|&score| f64::from(score + start)).collect(),
            None => vec![f64::from(start); self.examples.rows()],
        }
    }

    /// The derivatives by the scores of all rows of these groups; others are left as they are.
    pub(super) fn gradients(&mut self, groups: &[u32], scores: &[f64], out: &mut [Gradient]) {
        for &group in groups {
            let rows = self.examples.group(group as usize);
            match self.objective {
                Objective::Logistic => {
                    for row in rows {
                        out[row] = self.logistic(row, scores[row]);
                    }
                }
                Objective::LambdaRank { at } => {
                    self.lambdas(group as usize, at, &scores[rows.clone()], &mut out[rows]);
                }
            }
        }
    }

    fn logistic(&self, row: usize, score: f64) -> Gradient {
        let weight = self.examples.weight(row);
        let probability = 1.0 / (1.0 + (-score).exp());
        let yes = f64::from(u8::from(self.examples.labels()[row] > 0));
        Gradient {
            first: weight * (probability - yes),
            second: weight * probability * (1.0 - probability),
        }
    }

    /// LambdaMART (Burges, MSR-TR-2010-82, section 7) as in LightGBM's `lambdarank`: gains 2^label − 1, sigmoid
    /// 1, a pair's ΔNDCG divided by 0.01 + the distance of its scores unless all scores are the same, and the
    /// sum s of a group's lambdas brought to log2(1 + s).
    fn lambdas(&mut self, group: usize, at: usize, scores: &[f64], out: &mut [Gradient]) {
        out.fill(Gradient::default());
        let rows = self.examples.group(group);
        let labels = &self.examples.labels()[rows.clone()];
        sort(scores, &mut self.order);
        self.ranked.clear();
        self.ranked.extend(self.order.iter().map(|&key| {
            let place = place(key);
            Ranked {
                place,
                label: labels[place],
                score: scores[place],
            }
        }));
        let (Some(best), Some(worst)) = (self.ranked.first(), self.ranked.last()) else {
            return;
        };
        let is_spread = best.score > worst.score;
        let inverse_best = self.inverse_best[group];
        let mut sum = 0.0;
        for (i, upper) in self.ranked.iter().enumerate().take(at) {
            let below = self.ranked[i + 1..].iter().zip(&self.discounts[i + 1..]);
            for (lower, discount) in below.filter(|(lower, _)| lower.label != upper.label) {
                let (good, bad) = if upper.label > lower.label {
                    (upper, lower)
                } else {
                    (lower, upper)
                };
                let distance = good.score - bad.score;
                let worth = self.discounts[i] - discount;
                let mut delta = (gain(good.label) - gain(bad.label)) * worth * inverse_best;
                if is_spread {
                    delta /= CLOSE + distance.abs();
                }
                let wrong = 1.0 / (1.0 + distance.exp());
                let lambda = delta * wrong;
                let second = lambda * (1.0 - wrong);
                let (good, bad) = (good.place, bad.place);
                out[good].first -= lambda;
                out[bad].first += lambda;
                out[good].second += second;
                out[bad].second += second;
                sum += 2.0 * lambda;
            }
        }
        let norm = if sum > 0.0 {
            (1.0 + sum).log2() / sum
        } else {
            1.0
        };
        for (row, gradient) in rows.zip(out) {
            let factor = norm * self.examples.weight(row);
            gradient.first *= factor;
            gradient.second *= factor;
        }
    }

    /// How bad the scores are: mean log loss, or 1 − mean NDCG at `at` over the groups that have something to
    /// order. Lower is better; 0 if there is nothing to judge.
    pub(super) fn value(&mut self, scores: &[f64]) -> f64 {
        match self.objective {
            Objective::Logistic => self.log_loss(scores),
            Objective::LambdaRank { at } => self.lost_ndcg(at, scores),
        }
    }

    fn log_loss(&self, scores: &[f64]) -> f64 {
        let (mut loss, mut weights) = (0.0, 0.0);
        for (row, (&label, &score)) in self.examples.labels().iter().zip(scores).enumerate() {
            let against = if label > 0 { -score } else { score };
            // ln(1 + e^x) without overflow
            let loss_of_row = against.max(0.0) + (-against.abs()).exp().ln_1p();
            loss += self.examples.weight(row) * loss_of_row;
            weights += self.examples.weight(row);
        }
        if weights > 0.0 { loss / weights } else { 0.0 }
    }

    fn lost_ndcg(&mut self, at: usize, scores: &[f64]) -> f64 {
        let groups = self.telling_groups();
        let mut lost = 0.0;
        for &group in &groups {
            let rows = self.examples.group(group as usize);
            let labels = &self.examples.labels()[rows.clone()];
            sort(&scores[rows], &mut self.order);
            let shown = self.order.iter().take(at).zip(&self.discounts);
            let found: f64 = shown
                .map(|(key, worth)| gain(labels[place(*key)]) * worth)
                .sum();
            lost += 1.0 - found * self.inverse_best[group as usize];
        }
        lost / groups.len().max(1) as f64
    }
}

/// What a row of this label is worth at the first place.
fn gain(label: u8) -> f64 {
    ((1u64 << label) - 1) as f64
}

/// Orders places by score, highest first, the earlier of two equal ones first. The place is the lower half of
/// each key.
fn sort(scores: &[f64], keys: &mut Vec<u64>) {
    keys.clear();
    keys.extend(scores.iter().zip(0u64..).map(|(&score, place)| {
        // the bits of a float, so turned that larger floats are smaller numbers; +0 makes −0 the same as 0
        let bits = (score as f32 + 0.0).to_bits();
        let turned = if bits >> 31 == 0 {
            !bits & (u32::MAX >> 1)
        } else {
            bits
        };
        u64::from(turned) << 32 | place
    }));
    keys.sort_unstable();
}

/// The place that a key of [`sort`] stands for.
fn place(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::examples::Parts;
    use super::*;

    fn examples<'a>(labels: &'a [u8], groups: &'a [u32], zeros: &'a [f32]) -> Examples<'a> {
        Examples::new(Parts {
            features: &zeros[..labels.len()],
            columns: 1,
            labels,
            groups,
            weights: None,
            base: None,
        })
        .unwrap()
    }

    fn is_near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn orders_by_score_and_then_by_place() {
        let mut keys = Vec::new();
        let scores = [0.0, -1.0, 3.0, -0.0, 1e300, f64::from(f32::MIN), 0.5];
        sort(&scores, &mut keys);
        let order: Vec<usize> = keys.iter().map(|&key| place(key)).collect();
        assert_eq!(order, [4, 2, 6, 0, 3, 1, 5]);
    }

    /// One group, labels 2, 0 and 1 at scores 0.2, 1.0 and 0.5, judged at 1: the order is b, c, a; only pairs
    /// with b count.
    #[test]
    fn lambdas_are_those_computed_by_hand() {
        let examples = examples(&[2, 0, 1], &[3], &[0.0; 3]);
        let mut loss = Loss::new(Objective::LambdaRank { at: 1 }, &examples);
        let mut out = [Gradient::default(); 3];
        loss.gradients(&[0], &[0.2, 1.0, 0.5], &mut out);
        let worth = [1.0, 1.0 / 3.0f64.log2(), 0.5];
        let best = 3.0;
        // a against b: places 3 and 1, gains 3 and 0, scores 0.8 apart
        let wrong_a = 1.0 / (1.0 + (-0.8f64).exp());
        let delta_a = 3.0 * (worth[0] - worth[2]) / best / 0.81;
        // c against b: places 2 and 1, gains 1 and 0, scores 0.5 apart
        let wrong_c = 1.0 / (1.0 + (-0.5f64).exp());
        let delta_c = (worth[0] - worth[1]) / best / 0.51;
        let (lambda_a, lambda_c) = (delta_a * wrong_a, delta_c * wrong_c);
        let sum = 2.0 * (lambda_a + lambda_c);
        let norm = (1.0 + sum).log2() / sum;
        assert!(is_near(out[0].first, -lambda_a * norm));
        assert!(is_near(out[2].first, -lambda_c * norm));
        assert!(is_near(out[1].first, (lambda_a + lambda_c) * norm));
        assert!(is_near(out[0].second, lambda_a * (1.0 - wrong_a) * norm));
        assert!(is_near(out[2].second, lambda_c * (1.0 - wrong_c) * norm));
        let second = lambda_a * (1.0 - wrong_a) + lambda_c * (1.0 - wrong_c);
        assert!(is_near(out[1].second, second * norm));
        // by numbers: 0.6899745 · 0.6172840 = 0.4259102 and 0.6224593 · 0.2412256 = 0.1501531 before the norm
        assert!((lambda_a - 0.425_910).abs() < 1e-5, "{lambda_a}");
        assert!((lambda_c - 0.150_153).abs() < 1e-5, "{lambda_c}");
    }

    #[test]
    fn equal_scores_are_not_divided_by_their_distance() {
        let examples = examples(&[0, 1], &[2], &[0.0; 2]);
        let mut loss = Loss::new(Objective::LambdaRank { at: 5 }, &examples);
        let mut out = [Gradient::default(); 2];
        loss.gradients(&[0], &[0.0, 0.0], &mut out);
        let lambda = (1.0 - 1.0 / 3.0f64.log2()) * 0.5;
        let norm = (1.0 + 2.0 * lambda).log2() / (2.0 * lambda);
        assert!(is_near(out[0].first, lambda * norm));
        assert!(is_near(out[1].first, -lambda * norm));
        assert!(is_near(out[1].second, lambda * 0.5 * norm));
    }

    #[test]
    fn log_loss_falls_along_its_derivative() {
        let examples = examples(&[1, 0, 1], &[3], &[0.0; 3]);
        let mut loss = Loss::new(Objective::Logistic, &examples);
        let scores = [0.3, -1.2, 40.0];
        let mut out = [Gradient::default(); 3];
        loss.gradients(&[0], &scores, &mut out);
        for row in 0..3 {
            let (mut above, mut below) = (scores, scores);
            above[row] += 1e-4;
            below[row] -= 1e-4;
            let (above, below) = (loss.value(&above) * 3.0, loss.value(&below) * 3.0);
            let middle = loss.value(&scores) * 3.0;
            assert!((out[row].first - (above - below) / 2e-4).abs() < 1e-6);
            assert!((out[row].second - (above - 2.0 * middle + below) / 1e-8).abs() < 1e-5);
        }
        assert!(is_near(f64::from(loss.start()), f64::from(2.0f32.ln())));
        assert!(loss.value(&[1e30, -1e30, 1e30]) < 1e-9);
    }

    #[test]
    fn ndcg_is_lost_by_wrong_order_only() {
        let labels = [1, 0, 0, 2, 2, 0];
        let examples = examples(&labels, &[2, 2, 2], &[0.0; 6]);
        let mut loss = Loss::new(Objective::LambdaRank { at: 1 }, &examples);
        assert_eq!(loss.telling_groups(), [0, 1, 2]);
        assert!(is_near(loss.value(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]), 0.0));
        let lost = loss.value(&[0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        assert!(is_near(lost, 1.0 / 3.0), "{lost}");
        let same = Examples::new(Parts {
            features: &[0.0; 4],
            columns: 1,
            labels: &[1, 1, 0, 0],
            groups: &[2, 2],
            weights: None,
            base: None,
        });
        let same = same.unwrap();
        let loss = Loss::new(Objective::LambdaRank { at: 1 }, &same);
        assert!(loss.telling_groups().is_empty());
    }
}
