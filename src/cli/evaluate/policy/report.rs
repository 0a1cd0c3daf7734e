//! The HTML report of the evaluation of a policy.

use super::super::html::{Table, escape};
use super::super::judging::to_know_section;
use super::super::page::{self, figure, section};
use super::super::plot::{self, Range, Words};
use super::{Told, text};
use crate::algorithms::bootstrap::Interval;
use crate::algorithms::policy::{Method, Trust};

/// The page; `command` is what was called.
pub(super) fn page(told: &Told<'_>, command: &[String]) -> String {
    let summary = format!("{}. The target: {}.", text::log(told), told.target.1);
    let parts = [
        format!(
            "<p>{}</p>\n<p><strong>{}</strong></p>\n",
            escape(&summary),
            escape(&text::answer(told))
        ),
        estimates(told),
        to_know_section(&text::warnings(told)),
    ];
    page::page("What another policy would earn", &parts.concat(), command)
}

fn estimates(told: &Told<'_>) -> String {
    let five = |value: f64| format!("{value:.5}");
    let own = told
        .on_policy
        .map(|value| ("the target's own log".to_owned(), value));
    let mut ranges: Vec<Range> = Vec::new();
    let head = ["estimate", "value", "low", "high", "effective rows", "use"];
    let mut table = Table::new("Estimates with their 95 % intervals", head);
    let row =
        |name: &str, Interval { mean, low, high }: Interval, effective: String, used: &str| {
            let numbers = [mean, low, high].map(five);
            let texts = [effective, used.to_owned()];
            std::iter::once(name.to_owned())
                .chain(numbers)
                .chain(texts)
                .collect::<Vec<_>>()
        };
    for estimate in &told.report.estimates {
        let mut name = text::name(estimate.method, told.params.clip);
        if estimate.method == Method::Dm {
            name.push_str(", model error left out");
        }
        let effective = format!("{:.0}", estimate.effective_rows);
        table.row(row(
            &name,
            estimate.value,
            effective,
            text::use_of(estimate.trust),
        ));
        ranges.push(Range {
            name,
            mean: estimate.value.mean,
            low: estimate.value.low,
            high: estimate.value.high,
            style: match estimate.trust {
                Trust::Yes => 0,
                Trust::WithCare => 6,
                Trust::No => 7,
            },
        });
    }
    if let Some((name, value)) = own {
        table.row(row(&name, value, String::new(), "to compare with"));
        let Interval { mean, low, high } = value;
        let style = 5;
        ranges.push(Range {
            name,
            mean,
            low,
            high,
            style,
        });
    }
    let words = Words {
        id: "estimates",
        title: "Estimates of what the policy would earn a decision",
        text: "A row for each estimate, with its interval. The table below has the same figures.",
        x: "reward a decision",
        y: "",
    };
    let body = figure(&plot::ranges(&words, &ranges), &[]) + &table.html();
    let text = "Circles may be used, diamonds with care, triangles not at all; the square is what the target's own log \
                earned. Intervals are percentiles of a bootstrap over rows.";
    section("Estimates", text, &body)
}
