//! What each policy brought, how sure that is, and how it stands to the others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::page;
use crate::algorithms::bootstrap::{Interval, intervals};
use crate::simulation::{OfferKind, Policy, Tally};

/// How a policy did.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// What it brought.
    pub tally: Tally,
    /// Profit of all days, in euros, with the 95 % interval of a bootstrap by customer.
    pub profit: Interval,
    /// Of it what it brought beyond sending nothing, customer by customer.
    pub beyond: Interval,
}

/// What happened between the simulated people and a running service.
#[derive(Debug, Clone, Default)]
pub struct Loop {
    /// Events that were written.
    pub events: u64,
    /// Events whose token attributed nothing, by reason.
    pub unattributed: BTreeMap<String, u64>,
    /// Customers who never get an offer, with the last mail.
    pub held_out: usize,
    /// The most that could have been expected of them, over all mails, in cents.
    pub held_out_gain: f64,
    /// After how many days a training run ended, and what came of it.
    pub trainings: Vec<(u32, String)>,
}

/// All of them, in the order in which they were lived; nobody is the first.
#[derive(Debug, Clone)]
pub struct Standings {
    /// One for each policy.
    pub all: Vec<Standing>,
    /// How many customers agreed to mails.
    pub readers: usize,
    /// Days that were lived.
    pub days: u32,
    /// If one of them is a service.
    pub closed_loop: Option<Loop>,
    seed: u64,
}

impl Standings {
    /// Of what each policy brought; the first one is sending nothing.
    #[must_use]
    pub fn of(tallies: Vec<(String, Tally)>, days: u32, seed: u64) -> Self {
        let nobody = tallies.first().map(|(_, tally)| tally.profits.clone());
        let nobody = nobody.unwrap_or_default();
        let readers = nobody.len();
        let series: Vec<Vec<f64>> = tallies
            .iter()
            .flat_map(|(_, tally)| {
                let profits = tally.profits.iter();
                let own = profits.clone().map(|&profit| profit as f64);
                let beyond = profits.zip(&nobody);
                let beyond = beyond.map(|(with, without)| (with - without) as f64);
                [own.collect(), beyond.collect()]
            })
            .collect();
        let found = totals(&series, seed);
        let all = tallies
            .into_iter()
            .zip(found.chunks(2))
            .map(|((name, tally), found)| Standing {
                name,
                tally,
                profit: found[0],
                beyond: found[1],
            })
            .collect();
        Self {
            all,
            readers,
            days,
            closed_loop: None,
            seed,
        }
    }

    /// The policy of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Standing> {
        self.all.iter().find(|standing| standing.name == name)
    }

    /// The single offer for everybody that brought most.
    #[must_use]
    pub fn best_single(&self) -> Option<&Standing> {
        let names = OfferKind::ALL.map(|kind| Policy::Everybody(kind).name());
        let single = self.all.iter().filter(|one| names.contains(&one.name));
        single.max_by_key(|one| one.tally.profit())
    }

    /// What one brought beyond another, customer by customer, in euros.
    #[must_use]
    pub fn difference(&self, one: &Standing, other: &Standing) -> Interval {
        let pairs = one.tally.profits.iter().zip(&other.tally.profits);
        let series = vec![pairs.map(|(a, b)| (a - b) as f64).collect()];
        totals(&series, self.seed)[0]
    }

    /// As a table, then how the service stands to the others.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} customers with consent, {} days, money in euros, 95 % intervals by customer\n\n\
             {:<28}{:>12}{:>12}{:>26}{:>11}{:>11}{:>11}{:>9}\n",
            self.readers,
            self.days,
            "policy",
            "profit",
            "beyond",
            "95 %",
            "expected",
            "of best",
            "regret/wk",
            "sent"
        );
        for one in &self.all {
            let (gain, best) = one.tally.expected();
            let weeks = one.tally.weeks.len().max(1) as f64;
            let sent: u32 = one.tally.sent().0.iter().sum();
            let Interval { mean, low, high } = one.beyond;
            let within = format!("{low:.0} to {high:.0}");
            let _ = writeln!(
                text,
                "{:<28}{:>12.0}{mean:>12.0}{within:>26}{:>11.0}{:>11}{:>11.0}{sent:>9}",
                one.name,
                one.profit.mean,
                gain / 100.0,
                percent(gain, best),
                (best - gain) / weeks / 100.0,
            );
        }
        text.push_str(
            "\nbeyond: more than with nobody, lived; expected, of best, regret: by the truth of each week, with the \
             people as they were then\n",
        );
        for line in self.targets() {
            let _ = writeln!(text, "{line}");
        }
        if let Some(closed_loop) = &self.closed_loop {
            text.push_str(&closed_loop.to_text());
        }
        text
    }

    /// How the service stands to what is asked of it; nothing where there is none.
    fn targets(&self) -> Vec<String> {
        let is_judged = |one: &&Standing| one.name == super::SERVICE;
        let Some(judged) = self.all.iter().find(is_judged) else {
            return Vec::new();
        };
        let others = [
            ("the oracle", self.named(&Policy::Oracle.name())),
            ("the best single offer for everybody", self.best_single()),
            (
                "the deepest discount for everybody",
                self.named(&Policy::Everybody(crate::simulation::DEEPEST).name()),
            ),
        ];
        let lines = others.into_iter().filter_map(|(what, other)| {
            let other = other?;
            let Interval { mean, low, high } = self.difference(judged, other);
            Some(format!(
                "{} against {what} ({}): {mean:+.0} ({low:+.0} to {high:+.0}); profit {} of it, beyond nobody {}",
                judged.name,
                other.name,
                percent(judged.profit.mean, other.profit.mean),
                percent(judged.beyond.mean, other.beyond.mean),
            ))
        });
        lines.collect()
    }

    /// As a page, with the curve over the weeks; `command` is what was called.
    #[must_use]
    pub fn to_html(&self, command: &[String]) -> String {
        page::page(self, command)
    }

    /// Everything, for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let policies: Vec<Value> = self.all.iter().map(one_to_json).collect();
        json!({
            "customers_with_consent": self.readers,
            "days": self.days,
            "currency": "EUR",
            "policies": policies,
            "loop": self.closed_loop.as_ref().map(Loop::to_json),
        })
    }
}

impl Loop {
    fn to_text(&self) -> String {
        let mut text = format!(
            "held out: {} customers, of whom {:.0} could have been expected at most\n{} events were written; tokens \
             that attributed nothing: {:?}\n",
            self.held_out,
            self.held_out_gain / 100.0,
            self.events,
            self.unattributed,
        );
        for (day, ended) in &self.trainings {
            let _ = writeln!(text, "training after day {day} {ended}");
        }
        text
    }

    fn to_json(&self) -> Value {
        let trainings = self.trainings.iter();
        let trainings = trainings.map(|(day, ended)| json!({ "day": day, "ended": ended }));
        json!({
            "events": self.events,
            "unattributed": self.unattributed,
            "held_out": self.held_out,
            "held_out_best_expected_gain": self.held_out_gain / 100.0,
            "trainings": trainings.collect::<Vec<_>>(),
        })
    }
}

fn one_to_json(one: &Standing) -> Value {
    let (gain, best) = one.tally.expected();
    let weeks = one.tally.weeks.iter().map(|week| {
        json!({
            "day": week.day,
            "profit": week.profit as f64 / 100.0,
            "expected_gain": week.gain / 100.0,
            "best_expected_gain": week.best / 100.0,
            "expected": week.expected / 100.0,
            "sent": kinds(&week.sent),
            "none": week.none,
        })
    });
    let (sent, none) = one.tally.sent();
    json!({
        "name": one.name,
        "profit": interval(&one.profit),
        "beyond_nobody": interval(&one.beyond),
        "expected_gain": gain / 100.0,
        "best_expected_gain": best / 100.0,
        "sent": kinds(&sent),
        "none": none,
        "weeks": weeks.collect::<Vec<_>>(),
    })
}

fn interval(interval: &Interval) -> Value {
    json!({ "value": interval.mean, "low": interval.low, "high": interval.high })
}

fn kinds(sent: &[u32; 9]) -> Value {
    let named = OfferKind::ALL.iter().zip(sent);
    let named = named.map(|(kind, count)| (kind.name().to_owned(), json!(count)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.1} %", 100.0 * part / whole)
    } else {
        "–".to_owned()
    }
}

/// Sums over customers in euros with their intervals, of series of cents.
fn totals(series: &[Vec<f64>], seed: u64) -> Vec<Interval> {
    let count = series.first().map_or(0, Vec::len);
    let persons: Vec<u32> = (0..count as u32).collect();
    let scale = count as f64 / 100.0;
    let found = intervals(&persons, series, seed).into_iter();
    found
        .map(|Interval { mean, low, high }| Interval {
            mean: mean * scale,
            low: low * scale,
            high: high * scale,
        })
        .collect()
}
