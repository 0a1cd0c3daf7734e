//! The HTML report of the evaluation of a trial.

use super::super::html::{Table, escape};
use super::super::judging::to_know_section;
use super::super::page::{self, figure, section};
use super::super::plot::{self, Range, Words};
use super::{Told, text};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::uplift::{Comparison, Ranking};

/// The page; `command` is what was called, `summary` what the trial is, if that needs to be said.
pub(super) fn page(told: &Told<'_>, summary: &str, command: &[String]) -> String {
    let findings = text::comparisons(told)
        .map(|comparison| format!("<li>{}</li>\n", escape(&text::finding(comparison))));
    let findings: String = findings.collect();
    let sentences = [summary.to_owned(), format!("{}.", text::log(told))];
    let sentences = sentences.iter().filter(|text| !text.is_empty());
    let mut body: String = sentences
        .map(|text| format!("<p>{}</p>\n", escape(text)))
        .collect();
    body.push_str(&format!("<ul>\n{findings}</ul>\n"));
    body.push_str(&effects(told));
    for (place, comparison) in text::comparisons(told).enumerate() {
        body.push_str(&curves(comparison, place));
    }
    body.push_str(&to_know_section(&text::warnings(told)));
    page::page("Whom a treatment changes", &body, command)
}

fn signed(value: f64) -> String {
    format!("{value:+.5}")
}

fn effects(told: &Told<'_>) -> String {
    let mut body = String::new();
    for what in ["outcome", "value"] {
        let title = format!("Average effect on the {what}");
        let of = |comparison: &Comparison| match what {
            "outcome" => Some(comparison.effect),
            _ => comparison.value_effect,
        };
        let effects =
            text::comparisons(told).filter_map(|c| of(c).map(|effect| (text::name(c), effect)));
        let mut table = Table::new(
            &title,
            ["of", "treated", "control", "effect", "low", "high"],
        );
        let mut ranges = Vec::new();
        for (name, effect) in effects {
            let Interval { mean, low, high } = effect.difference;
            let means = [effect.treated, effect.control].map(|mean| format!("{mean:.5}"));
            table.row(
                std::iter::once(name.clone())
                    .chain(means)
                    .chain([mean, low, high].map(signed)),
            );
            ranges.push(Range {
                name,
                mean,
                low,
                high,
                style: 0,
            });
        }
        if ranges.is_empty() {
            continue;
        }
        let words = Words {
            id: what,
            title: &title,
            text: "A row for each arm, with its interval; right of the dashed line the treated have more. The table \
                   below has the same figures.",
            x: "treated minus control",
            y: "",
        };
        body.push_str(&(figure(&plot::ranges(&words, &ranges), &[]) + &table.html()));
    }
    let text = "The mean of the treated minus that of control, with 95 % intervals of a bootstrap over rows.";
    section("Average effects", text, &body)
}

/// The Qini curves of one comparison; nothing where nothing was learned.
fn curves(comparison: &Comparison, place: usize) -> String {
    let mut body = String::new();
    let name = text::name(comparison);
    for what in ["outcome", "value"] {
        let rankings: Vec<(&str, &Ranking)> = text::learners(comparison)
            .filter_map(|(learner, learned)| {
                let ranking = match what {
                    "outcome" => Some(&learned.outcome),
                    _ => learned.value.as_ref(),
                };
                ranking.map(|ranking| (learner, ranking))
            })
            .collect();
        let Some((_, first)) = rankings.first() else {
            continue;
        };
        let mut lines: Vec<(&str, Vec<(f64, f64)>)> = rankings
            .iter()
            .map(|(learner, ranking)| {
                (
                    *learner,
                    ranking.curve.iter().map(|p| (p.share, p.gain)).collect(),
                )
            })
            .collect();
        lines.push((
            "any order",
            first.curve.iter().map(|p| (p.share, p.random)).collect(),
        ));
        let (id, title) = (
            format!("qini-{what}-{place}"),
            format!("Qini curve of the {what}, {name}"),
        );
        let words = Words {
            id: &id,
            title: &title,
            text: "A line for each learner, and a straight one for any order; the area between is the Qini \
                   coefficient. The table below has the figures.",
            x: "share of customers treated, the best first",
            y: "gain per treated customer",
        };
        let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
        let head = [
            "learner",
            "Qini",
            "low",
            "high",
            "uplift@10%",
            "uplift@30%",
            "uplift@50%",
        ];
        let mut table = Table::new(&format!("Order by learner: {what}, {name}"), head);
        for (learner, ranking) in &rankings {
            let Interval { mean, low, high } = ranking.qini;
            let at = ranking
                .at
                .iter()
                .map(|(_, at)| at.map_or_else(|| "-".to_owned(), |at| signed(at.mean)));
            table.row(
                std::iter::once((*learner).to_owned())
                    .chain([mean, low, high].map(signed))
                    .chain(at),
            );
        }
        body.push_str(&(figure(&plot::curves(&words, (0.0, 1.0), &lines), &names) + &table.html()));
    }
    if body.is_empty() {
        return String::new();
    }
    let text = "Customers ordered by what a model, fitted on others, expects the treatment to change. The S-learner is \
                used; the T-learner is a cross-check.";
    section(&format!("Whom it changes more: {name}"), text, &body)
}
