//! The same place before: who is lost more than then, and at which level that is said once.

use super::chance::{dispersion, logit, logit_variance, mid_p, normal_tail, share, widened};
use super::{
    Cell, Comparison, Counts, Finding, MIN_EXTRA_LOST, MIN_OTHERS, MIN_PASSED, Spot, TOLD_APART,
    Tests, Told, USUAL_ODDS_RATIO, Whom, categories,
};

/// Where several personas rose, the others speak against everybody only if they are at least this share of all who
/// passed.
const SPEAKS_AGAINST: f64 = 0.1;
/// The error of a median is so many times that of a mean: √(π/2).
const MEDIAN_ERROR: f64 = 1.253_314;
/// The normal quantile of a one-sided 95 % interval.
const SURELY: f64 = 1.644_854;

/// How a group of people at a spot fares, compared with before.
#[derive(Debug, Clone, Copy)]
struct Rise {
    window: Counts,
    /// Before, with the personas in the shares of the window (indirect standardisation).
    before: Counts,
    /// What the odds changed in the whole stage, at least 1.
    drift: f64,
    dispersion: f64,
}

/// What was compared at a spot.
#[derive(Debug)]
pub(super) struct Rises {
    everybody: Option<(Rise, usize)>,
    /// Of each cell of the spot: its rise, and whether it is above that of the others.
    cells: Vec<Option<(Rise, usize, Option<usize>)>>,
}

impl Rises {
    /// Whether a cell of the spot, or all of it, could be compared with before.
    pub(super) fn knows(&self, cell: Option<usize>) -> bool {
        match cell {
            None => self.everybody.is_some(),
            Some(cell) => self.cells.get(cell).is_some_and(Option::is_some),
        }
    }
}

impl Rise {
    /// Of the cells, or nothing where too few passed in the window or before.
    fn of(cells: &[&Cell], drift: f64, dispersion: f64) -> Option<Self> {
        let sum = |of: &dyn Fn(&Cell) -> Counts| {
            let all = cells.iter().map(|cell| of(cell));
            all.fold(Counts::default(), |sum, one| sum + one)
        };
        let window = sum(&|cell| cell.window);
        let past = sum(&|cell| cell.past());
        if window.passed < MIN_PASSED || past.passed < MIN_PASSED {
            return None;
        }
        let expected: f64 = cells
            .iter()
            .map(|cell| {
                let own = cell.past();
                // a persona that was not here before has the share of the others
                let share = if own.passed > 0 {
                    own.share()
                } else {
                    past.share()
                };
                cell.window.passed as f64 * share
            })
            .sum();
        let lost = expected / window.passed as f64 * past.passed as f64;
        let before = Counts {
            lost: (lost.round() as u64).min(past.passed),
            ..past
        };
        Some(Self {
            window,
            before,
            drift,
            dispersion,
        })
    }

    fn p(&self) -> f64 {
        widened(
            mid_p(self.window, self.before, self.drift * USUAL_ODDS_RATIO),
            self.dispersion,
        )
    }

    /// The logarithm of the odds ratio beyond the drift.
    fn log_odds_ratio(&self) -> f64 {
        logit(self.window) - logit(self.before) - self.drift.ln()
    }

    fn variance(&self) -> f64 {
        (logit_variance(self.window) + logit_variance(self.before)) * self.dispersion
    }

    /// The probability that chance alone puts this so far above the other.
    fn above(&self, other: &Self) -> f64 {
        let apart = self.log_odds_ratio() - other.log_odds_ratio();
        normal_tail(apart / (self.variance() + other.variance()).sqrt())
    }

    /// With people who fare `worse` (log odds) than before.
    fn finding(&self, spot: &Spot, whom: Whom, worse: f64, q: f64) -> Finding {
        let expected = share(logit(self.before) + self.drift.ln() + worse);
        Finding {
            window: self.window,
            before: self.before,
            expected_share: expected,
            extra_lost: self.window.lost as f64 - self.window.passed as f64 * expected,
            odds_ratio: (self.log_odds_ratio() - worse).exp(),
            q_value: q,
            ..Finding::new(spot, whom, Comparison::Before)
        }
    }
}

/// Compares every spot with before, as a whole and by persona.
pub(super) fn compare(spots: &[Spot], tests: &mut Tests) -> Vec<Rises> {
    let whole: Vec<Option<Rise>> = spots
        .iter()
        .map(|spot| {
            let cells: Vec<&Cell> = spot.cells.iter().collect();
            Rise::of(&cells, 1.0, spot.dispersion())
        })
        .collect();
    let compared = spots.iter().enumerate().map(|(place, spot)| {
        let drift = drift(spots, &whole, place);
        let dispersion = spot.dispersion();
        let rise = |cells: &[&Cell]| Rise::of(cells, drift, dispersion);
        let all: Vec<&Cell> = spot.cells.iter().collect();
        let everybody = rise(&all).map(|rise| (rise, tests.push(rise.p())));
        let cells = spot.cells.iter().enumerate().map(|(place, cell)| {
            let own = rise(&[cell])?;
            let test = tests.push(own.p());
            let others = rise(&but(&spot.cells, &[place]));
            let above = others.map(|others| tests.push_apart(own.above(&others)));
            Some((own, test, above))
        });
        let cells = cells.collect();
        Rises { everybody, cells }
    });
    compared.collect()
}

impl Spot {
    /// How much its periods differ, all personas together.
    fn dispersion(&self) -> f64 {
        let periods = self.cells.iter().map(|cell| cell.before.len());
        let sum = |period: usize| {
            let all = self.cells.iter().filter_map(|cell| cell.before.get(period));
            all.fold(Counts::default(), |sum, &one| sum + one)
        };
        let periods: Vec<Counts> = (0..periods.max().unwrap_or(0)).map(sum).collect();
        dispersion(&periods)
    }
}

fn but<'a>(cells: &'a [Cell], without: &[usize]) -> Vec<&'a Cell> {
    let cells = cells.iter().enumerate();
    let rest = cells.filter(|(place, _)| !without.contains(place));
    rest.map(|(_, cell)| cell).collect()
}

/// What the odds surely changed at the other touchpoints of the stage (at the other categories of the touchpoint), at
/// least 1: the lower end of the one-sided 95 % interval of their median. When all of a stage got worse, that is no
/// pain of one place; when all of it got better, that makes no pain of a place that did not.
///
/// Each change weighs one over its variance, that of chance and that of what changes anyway: a place with few losses
/// says nearly nothing, and yet one large place does not speak for all.
fn drift(spots: &[Spot], whole: &[Option<Rise>], place: usize) -> f64 {
    let here = &spots[place];
    let others = spots
        .iter()
        .zip(whole)
        .enumerate()
        .filter(|(other, (spot, _))| {
            let is_kin = if here.category.is_empty() {
                spot.stage == here.stage && spot.category.is_empty()
            } else {
                spot.touchpoint == here.touchpoint && !spot.category.is_empty()
            };
            *other != place && is_kin
        });
    let usual = USUAL_ODDS_RATIO.ln().powi(2);
    let mut changes: Vec<(f64, f64)> = others
        .filter_map(|(_, (_, rise))| rise.as_ref())
        .map(|rise| (rise.log_odds_ratio(), 1.0 / (rise.variance() + usual)))
        .collect();
    if changes.len() < MIN_OTHERS {
        return 1.0;
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let weight: f64 = changes.iter().map(|(_, weight)| weight).sum();
    let error = MEDIAN_ERROR / weight.sqrt();
    (weighted_median(&changes) - SURELY * error).max(0.0).exp()
}

/// The median of values in ascending order, each with its weight, above 0: where half of the weight lies on either
/// side, halfway between two values if it lies so between them.
fn weighted_median(values: &[(f64, f64)]) -> f64 {
    let half = 0.5 * values.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut passed = 0.0;
    for (place, (value, weight)) in values.iter().enumerate() {
        passed += weight;
        if passed > half * (1.0 + 1e-12) {
            return *value;
        }
        if passed >= half * (1.0 - 1e-12)
            && let Some((next, _)) = values.get(place + 1)
        {
            return 0.5 * (value + next);
        }
    }
    values.last().map_or(0.0, |(value, _)| *value)
}

/// Says of each spot whom its rise is about: everybody, or some personas, or everybody and some of them even more.
pub(super) fn explain(spots: &[Spot], rises: &[Rises], told: Told<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (spot, rises) in spots.iter().zip(rises) {
        explain_spot(spot, rises, told, &mut findings);
    }
    findings
}

fn explain_spot(spot: &Spot, rises: &Rises, told: Told<'_>, findings: &mut Vec<Finding>) {
    let Some((everybody, everybody_test)) = rises.everybody else {
        return;
    };
    let whole = everybody.finding(spot, Whom::Everybody, 0.0, told.q[everybody_test]);
    let is_whole = told.is(everybody_test) && whole.matters();
    let risen: Vec<(usize, Finding, Rise)> = rises
        .cells
        .iter()
        .zip(&spot.cells)
        .enumerate()
        .filter_map(|(place, (rise, cell))| {
            let (rise, test, _) = (*rise)?;
            let finding = rise.finding(spot, Whom::of(cell), 0.0, told.q[test]);
            (told.is(test) && finding.matters()).then_some((place, finding, rise))
        })
        .collect();
    if !concerns_everybody(spot, &everybody, is_whole, &risen) {
        findings.extend(risen.into_iter().map(|(_, finding, _)| finding));
        return;
    }
    // of everybody's, those who fare even worse are told apart, against what the others' rise makes of them
    let mut beyond = Vec::new();
    for (place, _, rise) in risen {
        let Some((_, _, Some(above))) = rises.cells[place] else {
            continue;
        };
        let others = but(&spot.cells, &[place]);
        let others = Rise::of(&others, rise.drift, rise.dispersion);
        let worse = others.map_or(0.0, |others| others.log_odds_ratio().max(0.0));
        let whom = Whom::of(&spot.cells[place]);
        let finding = rise.finding(spot, whom, worse, told.apart[above]);
        if finding.q_value <= told.rate && finding.matters() {
            beyond.push((place, finding));
        }
    }
    let apart: Vec<usize> = beyond.iter().map(|(place, _)| *place).collect();
    let extra: f64 = beyond.iter().map(|(_, finding)| finding.extra_lost).sum();
    findings.push(Finding {
        extra_lost: whole.extra_lost - extra,
        odds_ratio: Rise::of(&but(&spot.cells, &apart), everybody.drift, 1.0)
            .map_or(whole.odds_ratio, |rest| rest.log_odds_ratio().exp()),
        ..whole
    });
    findings.extend(beyond.into_iter().map(|(_, finding)| finding));
}

/// Whether a rise of all is one of everybody: the other personas together rose, too, or cannot
/// be told from them.
fn concerns_everybody(
    spot: &Spot,
    everybody: &Rise,
    is_whole: bool,
    risen: &[(usize, Finding, Rise)],
) -> bool {
    let apart: Vec<usize> = risen.iter().map(|(place, ..)| *place).collect();
    if apart.is_empty() {
        return is_whole;
    }
    let of = |cells: &[&Cell]| Rise::of(cells, everybody.drift, everybody.dispersion);
    // people of no known persona are of all of them: a part of them rises with each
    let personas = but(&spot.cells, &apart).into_iter();
    let personas: Vec<&Cell> = personas.filter(|cell| !cell.persona.is_empty()).collect();
    if personas.is_empty() && apart.len() > 1 {
        // each of them rose
        return true;
    }
    let rest = of(&personas).or_else(|| of(&but(&spot.cells, &apart)));
    let speaks = |rest: &Rise| {
        let share = rest.window.passed as f64 / everybody.window.passed as f64;
        share >= SPEAKS_AGAINST || apart.len() == 1
    };
    let Some(rest) = rest.filter(speaks) else {
        // too few to speak against it; but one persona alone is not everybody
        return apart.len() > 1 || spot.cells.len() == 1;
    };
    let chance = widened(mid_p(rest.window, rest.before, rest.drift), rest.dispersion);
    if rest.log_odds_ratio() >= USUAL_ODDS_RATIO.ln() && chance < TOLD_APART {
        return true;
    }
    let with: Vec<&Cell> = apart.iter().map(|&place| &spot.cells[place]).collect();
    is_whole && of(&with).is_some_and(|risen| risen.above(&rest) > TOLD_APART / 2.0)
}

/// How many looked at the category of a finding at its touchpoint.
fn looked(spots: &[Spot], finding: &Finding) -> u64 {
    let here = spots
        .iter()
        .filter(|spot| spot.touchpoint == finding.touchpoint && spot.category == finding.category);
    let cells = here.flat_map(|spot| &spot.cells);
    cells.map(|cell| cell.window.passed).sum()
}

/// Product pages are counted twice: by stay, all of them, and by visit, category by category. One cause is said once:
/// where categories in which most visits are rose for everybody, it is the pages, if these rose; else the categories,
/// and the pages only if they lost more than their categories explain. A category that rose at several touchpoints is
/// said once: where most looked at it.
pub(super) fn pages_or_categories(findings: Vec<Finding>, spots: &[Spot]) -> Vec<Finding> {
    let is_page = |finding: &Finding| {
        finding.category.is_empty() && !categories(spots, &finding.touchpoint).is_empty()
    };
    let passed = |finding: &Finding| finding.window.passed as f64;
    let keep = |finding: &Finding| {
        let here = findings
            .iter()
            .filter(|other| other.touchpoint == finding.touchpoint);
        let by_category: Vec<&Finding> = here
            .clone()
            .filter(|other| !other.category.is_empty())
            .collect();
        let of_everybody = by_category.iter().filter(|one| one.whom == Whom::Everybody);
        let risen: f64 = of_everybody.map(|one| passed(one)).sum();
        let all: u64 = spots
            .iter()
            .filter(|spot| spot.touchpoint == finding.touchpoint && !spot.category.is_empty())
            .flat_map(|spot| &spot.cells)
            .map(|cell| cell.window.passed)
            .sum();
        let is_the_pages = risen > 0.5 * all as f64 && here.clone().any(&is_page);
        if !finding.category.is_empty() {
            let is_elsewhere = |other: &Finding| {
                other.category == finding.category
                    && looked(spots, other)
                        .cmp(&looked(spots, finding))
                        .then_with(|| finding.touchpoint.cmp(&other.touchpoint))
                        .is_gt()
            };
            return !is_the_pages && !findings.iter().any(is_elsewhere);
        }
        if by_category.is_empty() || is_the_pages || !is_page(finding) {
            return true;
        }
        let explained: f64 = by_category.iter().map(|one| one.extra_lost).sum();
        finding.extra_lost - explained >= MIN_EXTRA_LOST
    };
    let kept: Vec<bool> = findings.iter().map(keep).collect();
    let both = findings.into_iter().zip(kept);
    both.filter_map(|(finding, keep)| keep.then_some(finding))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::weighted_median;

    #[test]
    fn a_median_weighs_its_values() {
        let median = |values: &[(f64, f64)]| weighted_median(values).to_bits();
        let is = |value: f64| value.to_bits();
        assert_eq!(median(&[(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)]), is(2.0));
        assert_eq!(median(&[(1.0, 1.0), (2.0, 1.0)]), is(1.5));
        assert_eq!(median(&[(1.0, 0.1), (2.0, 0.1), (3.0, 5.0)]), is(3.0));
        assert_eq!(median(&[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)]), is(2.0));
        assert_eq!(median(&[]), is(0.0));
    }
}
