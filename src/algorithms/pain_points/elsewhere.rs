//! The same place elsewhere: a persona at a touchpoint against what this persona and this touchpoint make of it on
//! their own; a category against the others.
//!
//! Without a time when it was otherwise nobody can say whether an excess is a pain or nature. So what is expected is
//! known only as well as places differ: the spread of the others is part of the error (random effects: DerSimonian,
//! Laird 1986), and an excess has to be large.

use super::chance::{logit, logit_variance, normal_tail, share};
use super::levels::Rises;
use super::{Comparison, Counts, Finding, MIN_PASSED, Spot, Tests, Told, Whom, categories};

/// The fewest others that a place is compared with.
const MIN_COMPARED: usize = 4;
/// Rounds of fitting two-way effects; they settle within a dozen.
const ROUNDS: usize = 50;

/// What was compared.
#[derive(Debug)]
pub(super) struct Oddity {
    spot: usize,
    whom: Whom,
    window: Counts,
    expected: f64,
    test: usize,
}

/// A cell of a two-way table.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    spot: usize,
    cell: usize,
    row: &'a str,
    column: &'a str,
    window: Counts,
}

/// What is known of a cell: its log odds, and the inverse of their variance.
#[derive(Debug, Clone, Copy)]
struct Known {
    row: usize,
    column: usize,
    x: f64,
    weight: f64,
}

/// Compares within each stage by touchpoint and persona, and within each touchpoint that tells categories apart by
/// category and persona, and by category alone.
pub(super) fn compare(spots: &[Spot], rises: &[Rises], tests: &mut Tests) -> Vec<Oddity> {
    let mut found = Vec::new();
    let mut tables: Vec<(&str, bool)> = Vec::new();
    for spot in spots {
        let table = match spot.category.is_empty() {
            true => (spot.stage.as_str(), false),
            false => (spot.touchpoint.as_str(), true),
        };
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for (name, by_category) in tables {
        let entries = entries(spots, name, by_category);
        for (place, entry) in entries.iter().enumerate() {
            if rises[entry.spot].knows(Some(entry.cell)) {
                continue;
            }
            let rest = entries.iter().enumerate();
            let rest = rest.filter(|(other, _)| *other != place);
            let rest: Vec<Entry<'_>> = rest.map(|(_, entry)| *entry).collect();
            if let Some(expected) = two_way(&rest, entry) {
                let test = tests.push(above(entry.window, expected));
                let persona = entry.column.to_owned();
                let whom = match persona.is_empty() {
                    true => Whom::Unassigned,
                    false => Whom::Persona(persona),
                };
                found.push(Oddity {
                    spot: entry.spot,
                    whom,
                    window: entry.window,
                    expected: share(expected.0),
                    test,
                });
            }
        }
        if by_category {
            let all = categories(spots, name);
            let of = |category: &str| {
                let here = entries.iter().filter(|entry| entry.row == category);
                here.fold(Counts::default(), |sum, entry| sum + entry.window)
            };
            for category in &all {
                let others = all.iter().filter(|other| *other != category);
                let others: Vec<Counts> = others.map(|other| of(other)).collect();
                let window = of(category);
                let place = entries.iter().find(|entry| entry.row == *category);
                if let (Some(place), Some(expected)) = (place, spread(&others)) {
                    if window.passed < MIN_PASSED || rises[place.spot].knows(None) {
                        continue;
                    }
                    found.push(Oddity {
                        spot: place.spot,
                        whom: Whom::Everybody,
                        window,
                        expected: share(expected.0),
                        test: tests.push(above(window, expected)),
                    });
                }
            }
        }
    }
    found
}

fn entries<'a>(spots: &'a [Spot], name: &str, by_category: bool) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (place, spot) in spots.iter().enumerate() {
        let row = match (by_category, spot.category.as_str()) {
            (false, "") if spot.stage == name => spot.touchpoint.as_str(),
            (true, category) if !category.is_empty() && spot.touchpoint == name => category,
            _ => continue,
        };
        let cells = spot.cells.iter().enumerate();
        let cells = cells.filter(|(_, cell)| cell.window.passed >= MIN_PASSED);
        entries.extend(cells.map(|(number, cell)| Entry {
            spot: place,
            cell: number,
            row,
            column: &cell.persona,
            window: cell.window,
        }));
    }
    entries
}

/// The probability that chance alone makes the log odds of `window` so much higher than expected; `expected` is a mean
/// and a variance.
fn above(window: Counts, (mean, variance): (f64, f64)) -> f64 {
    normal_tail((logit(window) - mean) / (logit_variance(window) + variance).sqrt())
}

/// The mean of the others' log odds and the variance of a further one, with their spread.
fn spread(others: &[Counts]) -> Option<(f64, f64)> {
    let others: Vec<(f64, f64)> = others
        .iter()
        .filter(|counts| counts.passed >= MIN_PASSED)
        .map(|&counts| (logit(counts), 1.0 / logit_variance(counts)))
        .collect();
    if others.len() < MIN_COMPARED {
        return None;
    }
    let mean = |between: f64| {
        let weights = others.iter().map(|(_, w)| 1.0 / (1.0 / w + between));
        let all: f64 = weights.clone().sum();
        let sum: f64 = others.iter().zip(weights).map(|((x, _), w)| w * x).sum();
        (sum / all, all)
    };
    let (plain, all) = mean(0.0);
    let q: f64 = others.iter().map(|(x, w)| w * (x - plain).powi(2)).sum();
    let squares: f64 = others.iter().map(|(_, w)| w * w).sum();
    let between = (q - (others.len() - 1) as f64) / (all - squares / all);
    let between = between.max(0.0);
    let (mean, all) = mean(between);
    Some((mean, 1.0 / all + between))
}

/// The log odds that row and column make together, `log odds = row + column`, fitted to `rest` by weighted least
/// squares in turns, and the variance of a further entry, with the spread of what the two leave unexplained. Nothing
/// unless both its row and its column are known from at least two others.
fn two_way(rest: &[Entry<'_>], entry: &Entry<'_>) -> Option<(f64, f64)> {
    let count = |same: &dyn Fn(&Entry<'_>) -> bool| rest.iter().filter(|other| same(other)).count();
    let (in_row, in_column) = (
        count(&|other| other.row == entry.row),
        count(&|other| other.column == entry.column),
    );
    if in_row < 2 || in_column < 2 || rest.len() < MIN_COMPARED {
        return None;
    }
    let distinct = |of: &dyn Fn(&Entry<'_>) -> String| {
        let mut all: Vec<String> = rest.iter().map(of).collect();
        all.sort();
        all.dedup();
        all
    };
    let rows = distinct(&|entry| entry.row.to_owned());
    let columns = distinct(&|entry| entry.column.to_owned());
    let at = |entry: &Entry<'_>| {
        let row = rows.iter().position(|name| name == entry.row)?;
        let column = columns.iter().position(|name| name == entry.column)?;
        Some((row, column))
    };
    let table: Vec<Known> = rest
        .iter()
        .filter_map(|entry| {
            let (row, column) = at(entry)?;
            let weight = 1.0 / logit_variance(entry.window);
            let x = logit(entry.window);
            Some(Known {
                row,
                column,
                x,
                weight,
            })
        })
        .collect();
    let (mut by_row, mut by_column) = (vec![0.0; rows.len()], vec![0.0; columns.len()]);
    let weigh = |size: usize, of: fn(&Known) -> usize| {
        let mut sums = vec![0.0; size];
        table.iter().for_each(|one| sums[of(one)] += one.weight);
        sums
    };
    let row_weights = weigh(rows.len(), |one| one.row);
    let column_weights = weigh(columns.len(), |one| one.column);
    for _ in 0..ROUNDS {
        let mut sums = vec![0.0; rows.len()];
        for &Known {
            row,
            column,
            x,
            weight,
        } in &table
        {
            sums[row] += weight * (x - by_column[column]);
        }
        for ((effect, sum), weight) in by_row.iter_mut().zip(sums).zip(&row_weights) {
            *effect = sum / weight;
        }
        let mut sums = vec![0.0; columns.len()];
        for &Known {
            row,
            column,
            x,
            weight,
        } in &table
        {
            sums[column] += weight * (x - by_row[row]);
        }
        for ((effect, sum), weight) in by_column.iter_mut().zip(sums).zip(&column_weights) {
            *effect = sum / weight;
        }
    }
    let q: f64 = table
        .iter()
        .map(
            |&Known {
                 row,
                 column,
                 x,
                 weight,
             }| weight * (x - by_row[row] - by_column[column]).powi(2),
        )
        .sum();
    let free = table.len() as f64 - (rows.len() + columns.len()) as f64 + 1.0;
    let all: f64 = table.iter().map(|one| one.weight).sum();
    let mean_weight = all / table.len() as f64;
    // what is left unexplained beyond chance, per entry
    let between = (q / free.max(1.0) - 1.0).max(0.0) / mean_weight;
    let (row, column) = at(entry)?;
    let error = 1.0 / row_weights[row] + 1.0 / column_weights[column];
    let means = between / in_row as f64 + between / in_column as f64;
    Some((by_row[row] + by_column[column], error + between + means))
}

/// What stands out, a persona only where the category does not as a whole.
pub(super) fn explain(spots: &[Spot], oddities: &[Oddity], told: Told<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let whole_first = |whole: bool| {
        let of = oddities.iter();
        of.filter(move |oddity| (oddity.whom == Whom::Everybody) == whole)
    };
    for oddity in whole_first(true).chain(whole_first(false)) {
        let (passed, lost) = (oddity.window.passed as f64, oddity.window.lost as f64);
        let odds = logit(oddity.window) - (oddity.expected / (1.0 - oddity.expected)).ln();
        let finding = Finding {
            window: oddity.window,
            expected_share: oddity.expected,
            extra_lost: lost - passed * oddity.expected,
            odds_ratio: odds.exp(),
            q_value: told.q[oddity.test],
            ..Finding::new(
                &spots[oddity.spot],
                oddity.whom.clone(),
                Comparison::Elsewhere,
            )
        };
        let is_said = findings
            .iter()
            .any(|one| one.is_at(&finding) && one.covers(&finding));
        if told.is(oddity.test) && finding.matters() && !is_said {
            findings.push(finding);
        }
    }
    findings
}
