//! The HTML report of an evaluation: one file, no network, every plot beside its table.

use super::Outcome;
use super::html::{Table, escape};
use super::page::{self, figure, section};
use super::plot::{self, Range, Words};
use super::text::{due_parts, is_method};
use crate::algorithms::bootstrap::Interval;
use crate::application::evaluate::{Difference, DueReport, PartReport, Report};
use crate::application::train::{FigureTable, Verdict};

/// How to read the differences, and what they are counted from.
const INTERVALS: &str = "Differences are means over the questions that both answered, with the 95 % interval of a \
     paired bootstrap in which persons are drawn with all their questions.";

/// The page; `ks` are the lengths of lists, rising, and `command` what was called.
pub(super) fn page(outcome: &Outcome, ks: &[usize], command: &[String]) -> String {
    let report = &outcome.report;
    let k = ks.first().copied().unwrap_or(10);
    let parts = [
        summary(report, &outcome.without),
        methods(report),
        by_k(report),
        differences(report, k),
        stages(report, k),
        groups(report, outcome.by.as_deref(), k),
        outcome.due.as_ref().map(due).unwrap_or_default(),
        calibration(report),
        sources(report, ks.last().copied().unwrap_or(k)),
        gate(report),
        tuning(report),
    ];
    page::page("How well nextbest answers", &parts.concat(), command)
}

fn four(value: f64) -> String {
    format!("{value:.4}")
}

fn signed(value: f64) -> String {
    format!("{value:+.4}")
}

/// What answers, without the parts that are judged alone.
fn answering(figures: &FigureTable) -> Vec<&str> {
    let names = figures.0.iter().map(|(name, _)| name.as_str());
    names.filter(|name| is_method(name)).collect()
}

fn summary(report: &Report, without: &[String]) -> String {
    let mut text = format!("{} questions", report.cases);
    if let Some((first, last)) = report.span {
        text.push_str(&format!(", asked from {first} to {last}"));
    }
    let (median, tail) = report.answer_ms;
    text.push_str(&format!(
        ". Learning took {:.1} s; one answer takes {median:.3} ms (median), {tail:.3} ms (99th percentile). ",
        report.fit_seconds
    ));
    if report.refusal.is_empty() {
        text.push_str("A model answered.");
    } else {
        let refusal = &report.refusal;
        text.push_str(&format!(
            "No model was good enough to go live, so the blend answered: {refusal}"
        ));
    }
    if !without.is_empty() {
        text.push_str(&format!(" Left out: {}.", without.join(", ")));
    }
    format!("<p>{}</p>\n", escape(&text))
}

fn figures_table(caption: &str, figures: &FigureTable) -> String {
    let first = figures.0.first();
    let names = first.into_iter().flat_map(|(_, figures)| figures.iter());
    let names = names.map(|(name, _)| name.as_str());
    let mut table = Table::new(caption, ["method"].into_iter().chain(names));
    for (method, figures) in figures.0.iter().filter(|(name, _)| is_method(name)) {
        let cells = figures.iter().map(|&(_, figure)| four(figure));
        table.row([method.clone()].into_iter().chain(cells));
    }
    table.html()
}

fn methods(report: &Report) -> String {
    let table = figures_table(
        "Figures of every method over all questions",
        &report.figures,
    );
    let text = "Every method on the same questions. Higher is better.";
    section("Methods", text, &table)
}

fn by_k(report: &Report) -> String {
    let series: Vec<(&str, &[f64])> = report
        .recall_by_k
        .iter()
        .filter(|(name, _)| is_method(name))
        .map(|(name, values)| (name.as_str(), values.as_slice()))
        .collect();
    let names: Vec<&str> = series.iter().map(|(name, _)| *name).collect();
    let words = Words {
        id: "recall-by-k",
        title: "Recall by length of the list",
        text: "A line for each method rises from left to right with the length of the list; the table below has the \
               same figures.",
        x: "length of the list",
        y: "recall",
    };
    let mut table = Table::new(
        "Recall by length of the list",
        ["length"].iter().chain(&names),
    );
    let longest = series.iter().map(|(_, values)| values.len()).max();
    for k in 0..longest.unwrap_or(0) {
        let cells = series
            .iter()
            .map(|(_, values)| values.get(k).map_or_else(String::new, |&value| four(value)));
        table.row([(k + 1).to_string()].into_iter().chain(cells));
    }
    let body = figure(&plot::lines(&words, &series), &names) + &table.html();
    let text = "How much of what truly came next is among the first products of the list.";
    section("Recall by length of the list", text, &body)
}

fn differences_table(caption: &str, differences: &[Difference]) -> String {
    let head = ["against", "figure", "difference", "low", "high"];
    let mut table = Table::new(caption, head);
    for difference in differences {
        let Interval { mean, low, high } = difference.interval;
        let names = [difference.baseline.clone(), difference.figure.clone()];
        table.row(names.into_iter().chain([mean, low, high].map(signed)));
    }
    table.html()
}

fn differences(report: &Report, k: usize) -> String {
    let figures = ["recall", "ndcg"].map(|name| format!("{name}@{k}"));
    let shown = report
        .differences
        .iter()
        .filter(|difference| figures.contains(&difference.figure));
    let ranges: Vec<Range> = shown
        .map(|difference| Range {
            name: format!("{}, {}", difference.baseline, difference.figure),
            mean: difference.interval.mean,
            low: difference.interval.low,
            high: difference.interval.high,
            style: 0,
        })
        .collect();
    let words = Words {
        id: "differences",
        title: "By how much nextbest is better than each baseline",
        text: "A row for each baseline and figure, with its interval; right of the dashed line nextbest is better. The \
               table below has the same figures.",
        x: "difference",
        y: "",
    };
    let table = differences_table("Differences in every figure", &report.differences);
    let body = figure(&plot::ranges(&words, &ranges), &[]) + &table;
    section("Against the baselines", INTERVALS, &body)
}

fn stages(report: &Report, k: usize) -> String {
    let text = "By the stage of the journey in which the question was asked, with the number of questions.";
    let body = parts("stage", &report.stages, report, k);
    section("Stages", text, &body)
}

/// By the trait `by` of the customers; nothing unless they were told apart.
fn groups(report: &Report, by: Option<&str>, k: usize) -> String {
    let Some(by) = by else {
        return String::new();
    };
    let text = format!("By {by} of the customer who asked, with the number of questions.");
    let body = parts("group", &report.groups, report, k);
    section("Groups of customers", &text, &body)
}

/// A plot and a table of the two main figures of each part, and its differences; `of` is what a part is.
fn parts(of: &str, parts: &[PartReport], report: &Report, k: usize) -> String {
    let mut methods = answering(&report.figures);
    // the live revision has not answered in every part
    methods.retain(|method| {
        let has_figures = |part: &PartReport| part.figures.0.iter().any(|(m, _)| m == method);
        parts.iter().all(has_figures)
    });
    let names = parts
        .iter()
        .map(|part| format!("{} ({})", part.name, part.cases));
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut body = String::new();
    for name in ["recall", "ndcg"] {
        let wanted = format!("{name}@{k}");
        let of_parts = |method: &str| -> Vec<f64> {
            let parts = parts.iter();
            parts
                .map(|part| part.figures.figure(method, &wanted))
                .collect()
        };
        let series: Vec<(&str, Vec<f64>)> = methods
            .iter()
            .map(|method| (*method, of_parts(method)))
            .collect();
        let title = format!("{wanted} by {of}");
        let text = format!(
            "A row for each {of} with its questions, a mark for each method; further right is better. The table below \
             has the same figures."
        );
        let words = Words {
            id: &format!("{name}-by-{of}"),
            title: &title,
            text: &text,
            x: &wanted,
            y: "",
        };
        let mut table = Table::new(&title, [of, "questions"].iter().chain(&methods));
        for part in parts {
            let figures = methods.iter();
            let figures = figures.map(|method| part.figures.figure(method, &wanted));
            let names = [part.name.clone(), part.cases.to_string()];
            table.row(names.into_iter().chain(figures.map(four)));
        }
        body += &figure(&plot::marks(&words, &names, &series), &methods);
        body += &table.html();
    }
    for part in parts {
        let caption = format!("{}: differences to the baselines", part.name);
        let title = escape(&caption);
        let table = differences_table(&caption, &part.differences);
        body += &format!("<details><summary>{title}</summary>\n{table}</details>\n");
    }
    body
}

fn due(due: &DueReport) -> String {
    let head = [
        "bought before",
        "pairs",
        "truly due",
        "area under the ROC curve",
    ];
    let mut table = Table::new("How well what is due is found", head);
    for (name, figures) in due_parts(due) {
        let auc = figures.auc.map_or_else(String::new, four);
        let cells = [figures.pairs.to_string(), figures.due.to_string(), auc];
        table.row([name.to_owned()].into_iter().chain(cells));
    }
    let text = format!(
        "Pairs of a customer and a product that is used up, at {} moments, against what a simulation knows: something \
         is due if it is needed within {} days.",
        due.moments, due.within_days
    );
    section("What is due", &text, &table.html())
}

fn calibration(report: &Report) -> String {
    let Some(calibration) = &report.calibration else {
        let text = "Nothing calibrated answered, so nothing was said that could be compared with what came.";
        return section("Calibration", text, "");
    };
    let points: Vec<(f64, f64, usize)> = calibration
        .bins
        .iter()
        .map(|bin| (bin.said, bin.came, bin.count))
        .collect();
    let words = Words {
        id: "calibration",
        title: "What was said against what came",
        text: "A point for each of ten bins of equal size; on the dashed diagonal what was said is what came. The \
               table below has the same figures.",
        x: "mean probability that was said",
        y: "share that came",
    };
    let mut table = Table::new(
        "Ten bins of equal size, by rising probability",
        ["bin", "said", "came", "products"],
    );
    for (number, (said, came, count)) in (1..).zip(&points) {
        let cells = [four(*said), four(*came), count.to_string()];
        table.row([number.to_string()].into_iter().chain(cells));
    }
    let mut by_stage = Table::new("Expected calibration error", ["questions of", "error"]);
    by_stage.row(["all stages".to_owned(), four(calibration.error)]);
    for stage in &report.stages {
        if let Some(error) = stage.calibration_error {
            by_stage.row([stage.name.clone(), four(error)]);
        }
    }
    if let Some(training) = &report.training {
        let name = "the training run, all candidates".to_owned();
        by_stage.row([name, four(training.calibration_error)]);
    }
    let body = figure(&plot::calibration(&words, &points), &[]) + &table.html() + &by_stage.html();
    let text = format!(
        "Of the products that were answered. The expected calibration error, the mean distance between what was said \
         and what came, is {:.4}.",
        calibration.error
    );
    section("Calibration", &text, &body)
}

/// What each source finds alone, and what would be missing without it; nothing unless sources were judged.
fn sources(report: &Report, k: usize) -> String {
    let wanted = format!("recall@{k}");
    let figure_of = |name: &str| report.figures.figure(name, &wanted);
    let of_sources = report.figures.0.iter();
    let names: Vec<&str> = of_sources
        .filter_map(|(name, _)| name.strip_prefix("source:"))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    let all = figure_of("candidates:all");
    let alone: Vec<f64> = names
        .iter()
        .map(|name| figure_of(&format!("source:{name}")))
        .collect();
    let lost: Vec<f64> = names
        .iter()
        .map(|name| all - figure_of(&format!("candidates:without {name}")))
        .collect();
    let head = ["source", "alone", "only this source finds"];
    let mut table = Table::new(&format!("{wanted} of each source"), head);
    for (name, (&alone, &lost)) in names.iter().zip(alone.iter().zip(&lost)) {
        table.row([(*name).to_owned(), four(alone), four(lost)]);
    }
    let words = Words {
        id: "sources",
        title: "What each source contributes",
        text: "A row for each source, with a mark for its own list and one for what would be missing among the \
               candidates without it. The table below has the same figures.",
        x: &wanted,
        y: "",
    };
    let series = [("alone", alone), ("only this source finds", lost)];
    let legend: Vec<&str> = series.iter().map(|(name, _)| *name).collect();
    let body = figure(&plot::marks(&words, &names, &series), &legend) + &table.html();
    let text = format!("A perfect ranking of all candidates would reach a {wanted} of {all:.4}.");
    section("Sources", &text, &body)
}

fn gate(report: &Report) -> String {
    let Some(training) = &report.training else {
        return String::new();
    };
    let ranges: Vec<Range> = training
        .gate
        .iter()
        .map(|comparison| Range {
            name: format!("{}, {}", comparison.scope(), comparison.baseline),
            mean: comparison.difference,
            low: comparison.low,
            high: comparison.high,
            style: match comparison.verdict {
                Verdict::Passed => 0,
                Verdict::Refused => 7,
                Verdict::TooFew => 6,
            },
        })
        .collect();
    let words = Words {
        id: "gate",
        title: "What the gate compared",
        text: "A row for each stage and baseline, with its interval; right of the dashed line the model is better. The \
               table below has the same figures and what they decided.",
        x: "difference",
        y: "",
    };
    let head = [
        "stage",
        "against",
        "figure",
        "questions",
        "difference",
        "low",
        "high",
        "gate",
    ];
    let mut table = Table::new("What the gate compared", head);
    for comparison in &training.gate {
        let verdict = match comparison.verdict {
            Verdict::Passed => "passed",
            Verdict::Refused => "refused",
            Verdict::TooFew => "too few questions",
        };
        table.row([
            comparison.scope().to_owned(),
            comparison.baseline.clone(),
            comparison.metric.clone(),
            comparison.cases.to_string(),
            signed(comparison.difference),
            signed(comparison.low),
            signed(comparison.high),
            verdict.to_owned(),
        ]);
    }
    let body = figure(&plot::ranges(&words, &ranges), &[]) + &table.html();
    let text = format!(
        "Before it answered, the model was judged on the end of the history it learned from: {} questions to learn \
         from, {} held back. Diamonds are of too few questions to decide anything, triangles refuse. {INTERVALS}",
        training.questions, training.held_back
    );
    section("The gate", &text, &body)
}

fn tuning(report: &Report) -> String {
    let trials = &report.tuned.trials;
    if trials.is_empty() {
        return String::new();
    }
    let head = ["setting", "value", "judged by", "figure", "stayed"];
    let mut table = Table::new("What was tried", head);
    for trial in trials {
        let stayed = if trial.chosen { "yes" } else { "" };
        table.row([
            trial.setting.clone(),
            trial.value.to_string(),
            trial.metric.clone(),
            four(trial.figure),
            stayed.to_owned(),
        ]);
    }
    let text = "What the sources were tuned by, chosen inside the history: settings by the ndcg@20 of the source \
                alone, shares by how much of what came next is among the candidates.";
    section("Settings of the sources", text, &table.html())
}
