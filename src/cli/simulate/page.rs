//! The page with the curve: what each policy brought beyond sending nothing, week by week.

use super::standing::{Standing, Standings};
use crate::cli::evaluate::html::Table;
use crate::cli::evaluate::page::{self, figure, section};
use crate::cli::evaluate::plot::{self, Words};
use crate::simulation::{DEEPEST, Policy};

/// The page.
pub(super) fn page(standings: &Standings, command: &[String]) -> String {
    let parts = [summary(standings), curve(standings)];
    page::page(
        "What offers bring in the simulated shop",
        &parts.concat(),
        command,
    )
}

fn summary(standings: &Standings) -> String {
    let head = [
        "policy",
        "profit",
        "beyond nobody",
        "low",
        "high",
        "expected",
        "best",
        "sent",
    ];
    let mut table = Table::new("Money in euros; the ends are those of 95 % intervals", head);
    for one in &standings.all {
        let (gain, best) = one.tally.expected();
        let sent: u32 = one.tally.sent().0.iter().sum();
        let money = [
            one.profit.mean,
            one.beyond.mean,
            one.beyond.low,
            one.beyond.high,
            gain / 100.0,
            best / 100.0,
        ];
        let money = money.map(|money| format!("{money:.0}"));
        let cells = [one.name.clone()].into_iter().chain(money);
        table.row(cells.chain([sent.to_string()]));
    }
    let text = format!(
        "{} customers with consent, {} days. Beyond nobody: what was lived, customer by customer. Expected: by the \
         truth of each week, with the people as they were then; best: the most that could be expected of them.",
        standings.readers, standings.days
    );
    section("Policies", &text, &table.html())
}

/// The policies whose curves are drawn: what is judged, and what it is judged by.
fn drawn(standings: &Standings) -> Vec<&Standing> {
    let mut names = vec![super::SERVICE.to_owned(), Policy::Oracle.name()];
    names.extend(standings.best_single().map(|one| one.name.clone()));
    names.push(Policy::Everybody(DEEPEST).name());
    names.push(Policy::Random.name());
    names.dedup();
    let found = names.iter().filter_map(|name| standings.named(name));
    found.collect()
}

fn curve(standings: &Standings) -> String {
    let nobody = standings.all.first();
    let weekly = nobody.map_or(&[][..], |nobody| &nobody.tally.weeks);
    let series: Vec<(&str, Vec<f64>)> = drawn(standings)
        .into_iter()
        .map(|one| {
            let mut sum = 0.0;
            let weeks = one.tally.weeks.iter().zip(weekly);
            let sums = weeks.map(|(week, without)| {
                sum += (week.profit - without.profit) as f64 / 100.0;
                sum
            });
            (one.name.as_str(), sums.collect())
        })
        .collect();
    let names: Vec<&str> = series.iter().map(|(name, _)| *name).collect();
    let lines: Vec<(&str, &[f64])> = series
        .iter()
        .map(|(name, sums)| (*name, sums.as_slice()))
        .collect();
    let words = Words {
        id: "beyond-by-week",
        title: "Profit beyond nobody, summed up over the weeks",
        text: "A line for each policy from week to week; the table below has the same figures.",
        x: "week",
        y: "euros",
    };
    let mut table = Table::new(words.title, ["week"].iter().chain(&names));
    for week in 0..weekly.len() {
        let cells = lines.iter().map(|(_, sums)| format!("{:.0}", sums[week]));
        table.row([(week + 1).to_string()].into_iter().chain(cells));
    }
    let body = figure(&plot::lines(&words, &lines), &names) + &table.html();
    section("Week by week", "As lived, with the same chance.", &body)
}
