//! Pain points: the counters of the window and of the weeks before it, compared, with examples and with what may help.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Asked, CountState, JourneyReports, Selection};
use crate::algorithms::pain_points::{self, Counts, Finding, PainParams, Whom};
use crate::application::error::AppError;
use crate::application::recipes::suggested;
use crate::domain::EventKind;
use crate::domain::time::DAY_MS;
use crate::state::journeys::places::Worth;
use crate::state::journeys::table::Day;

/// The window is compared with so many times its length before it, …
const TIMES_BEFORE: i32 = 4;
/// … in weeks, which hold all weekdays; at most so many.
const MAX_WEEKS: i32 = 52;
const WEEK: i32 = 7;
/// Stays lead to each other: so many steps are followed.
const ROUNDS: usize = 50;
/// At most so many lost paths are shown of a pain point.
const MAX_PATHS: usize = 5;

/// A place where more people are lost than chance explains.
#[derive(Debug, Clone, PartialEq)]
pub struct PainPoint {
    /// What was found.
    pub finding: Finding,
    /// The name of the persona it is about; empty: of none alone.
    pub persona_name: String,
    /// The last steps of some who were lost, as `event_type@touchpoint`, oldest first.
    pub paths: Vec<Vec<String>>,
    /// What the field suggests to try.
    pub suggestions: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct PainPoints {
    /// What was counted.
    pub state: CountState,
    /// The costliest first.
    pub points: Vec<PainPoint>,
    /// How many comparisons were made.
    pub compared: usize,
    /// The currency of money.
    pub currency: String,
}

impl JourneyReports {
    /// Pain points of a selection, at most `most`, at a false discovery rate above 0 and below 1. Blocks for a moment.
    ///
    /// # Errors
    /// `Invalid` with every fault; those of the journal.
    pub fn pain_points(
        &self,
        selection: &Selection,
        false_discovery_rate: f64,
        most: usize,
    ) -> Result<PainPoints, AppError> {
        self.ask(selection, |asked| {
            let params = PainParams {
                false_discovery_rate,
            };
            let weeks = weeks_before(asked);
            let known = RefCell::new(BTreeMap::new());
            let worth = |finding: &Finding| {
                let mut known = known.borrow_mut();
                let whom = &finding.whom;
                let of_them = known
                    .entry(whom.clone())
                    .or_insert_with(|| prices(asked, &weeks, whom));
                of_them.of(&finding.stage, &finding.category)
            };
            let found = pain_points::find(&places(asked, &weeks), &worth, &params);
            let points = found.findings.into_iter().take(most);
            let points = points.map(|finding| PainPoint {
                persona_name: persona_name(asked, &finding),
                paths: paths(asked, &finding),
                suggestions: suggested(&self.suggestions, &finding.stage, &finding.touchpoint)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                finding,
            });
            PainPoints {
                state: asked.state,
                points: points.collect(),
                compared: found.compared,
                currency: asked.currency(),
            }
        })
    }
}

/// The first day of each week before the window that is compared with it, oldest first.
fn weeks_before(asked: &Asked<'_>) -> Vec<Day> {
    let (first, last) = (asked.scope.first, asked.scope.last);
    let days = TIMES_BEFORE * (last - first + 1);
    let weeks = (days / WEEK).clamp(1, MAX_WEEKS);
    let known = asked.journeys.table.first_day().unwrap_or(first);
    let starts = (1..=weeks).rev().map(|week| first - week * WEEK);
    starts.filter(|&start| start >= known).collect()
}

/// Stage, touchpoint, persona and category.
type Where = (u8, u16, Option<u8>, Option<u16>);

fn counted(asked: &Asked<'_>, first: Day, last: Day) -> BTreeMap<Where, Counts> {
    let mut counts: BTreeMap<Where, Counts> = BTreeMap::new();
    for place in asked.journeys.places(first, last) {
        if !asked.scope.has(place.group) || !asked.scope.is_at(place.touchpoint) {
            continue;
        }
        let group = asked.groups.get(usize::from(place.group));
        let persona = group.and_then(|group| group.persona);
        let at = (place.stage, place.touchpoint, persona, place.category);
        let sum = counts.entry(at).or_default();
        *sum = *sum
            + Counts {
                passed: u64::try_from(place.passed).unwrap_or_default(),
                lost: u64::try_from(place.left_here).unwrap_or_default(),
            };
    }
    counts
}

fn places(asked: &Asked<'_>, weeks: &[Day]) -> Vec<pain_points::Place> {
    let window = counted(asked, asked.scope.first, asked.scope.last);
    let before: Vec<BTreeMap<Where, Counts>> = weeks
        .iter()
        .map(|&start| counted(asked, start, start + WEEK - 1))
        .collect();
    let known = asked.journeys.table.first_day().unwrap_or(Day::MAX);
    let horizons = &asked.places.horizons_ms;
    let stages: Vec<&str> = asked.stage_names().collect();
    let place = |(at, window): (&Where, &Counts)| {
        let &(stage, touchpoint, persona, category) = at;
        // before a stage's horizon has passed once nobody can have left it: those weeks know only who moved
        let horizon = horizons.get(usize::from(stage)).copied().unwrap_or(0);
        let from = known.saturating_add(i32::try_from(horizon / DAY_MS).unwrap_or(Day::MAX));
        let counts = weeks.iter().zip(&before).map(|(&start, week)| {
            let counts = week.get(at).copied().unwrap_or_default();
            match category.is_some() || start >= from {
                true => counts,
                false => Counts::default(),
            }
        });
        let persona = persona.and_then(|place| asked.personas.get(usize::from(place)));
        let category = category.map(|number| asked.journeys.categories.name(number));
        pain_points::Place {
            stage: stages
                .get(usize::from(stage))
                .copied()
                .unwrap_or_default()
                .to_owned(),
            touchpoint: asked.journeys.touchpoints.name(touchpoint).to_owned(),
            persona: persona.map_or_else(String::new, |persona| persona.id.clone()),
            category: category.unwrap_or_default().to_owned(),
            window: *window,
            before: counts.collect(),
        }
    };
    window.iter().map(place).collect()
}

/// What those who are lost would have brought, in the main currency.
struct Prices {
    /// A stay, by stage.
    stays: BTreeMap<String, f64>,
    /// A visit, by the stage in which it begins.
    visits: BTreeMap<String, f64>,
}

impl Prices {
    /// Of a touchpoint people are lost: with each the stay, and what it leads to. Of a category visits end: who looked
    /// and went may be back tomorrow, so with each no more is lost than what a visit brings.
    fn of(&self, stage: &str, category: &str) -> f64 {
        let of = match category {
            "" => &self.stays,
            _ => &self.visits,
        };
        of.get(stage).copied().unwrap_or(0.0)
    }
}

/// What they brought over the window and what it is compared with.
fn prices(asked: &Asked<'_>, weeks: &[Day], whom: &Whom) -> Prices {
    let first = weeks.first().copied().unwrap_or(asked.scope.first);
    let days = (first, asked.scope.last);
    let is_in = |group| is_about(asked, whom, group);
    let visits = asked.journeys.visits(days, is_in);
    let names = asked.stage_names().map(str::to_owned);
    Prices {
        stays: stays(asked, days, whom),
        visits: names.zip((0..).map(|stage| visits.of(stage))).collect(),
    }
}

/// What a stay of theirs in each stage brings on average until the next order, also in the stages it leads to, in the
/// main currency: W = r + P·W, with r the revenue of those who are in the stage over stays that ended, and P the shares
/// that move on or back without an order; over the days. A stage to which an order leads
/// brings nothing more: what is lost is that order.
fn stays(asked: &Asked<'_>, days: (Day, Day), whom: &Whom) -> BTreeMap<String, f64> {
    let journey = &asked.journeys.settings().journey;
    let after_order = |stage: u8| {
        let mut rules = journey.rules.iter();
        rules.any(|rule| rule.stage.0 == stage && rule.kinds.contains(EventKind::Purchase))
    };
    let stages = 0..u8::try_from(journey.stages.len()).unwrap_or(u8::MAX);
    let of_stage = |stage| {
        asked
            .journeys
            .worth(stage, days, |group| is_about(asked, whom, group))
    };
    let all: Vec<Worth> = stages.map(of_stage).collect();
    let mut values = vec![0.0; all.len()];
    for _ in 0..ROUNDS {
        let next = all.iter().map(|worth| {
            let ended = worth.ended.max(1) as f64;
            let leads = worth.moves.iter().filter(|&(&to, _)| !after_order(to));
            let later = leads.map(|(&to, &count)| {
                let value = values.get(usize::from(to)).copied().unwrap_or(0.0);
                count as f64 / ended * value
            });
            worth.revenue as f64 / 1e6 / ended + later.sum::<f64>()
        });
        values = next.collect();
    }
    let names = asked.stage_names().map(str::to_owned);
    names.zip(values).collect()
}

fn persona_name(asked: &Asked<'_>, finding: &Finding) -> String {
    let Whom::Persona(id) = &finding.whom else {
        return String::new();
    };
    let persona = asked.personas.iter().find(|persona| persona.id == *id);
    persona.map_or_else(String::new, |persona| persona.name.clone())
}

/// True if a group is looked at and is of whom a finding is about.
fn is_about(asked: &Asked<'_>, whom: &Whom, number: u16) -> bool {
    let group = asked.groups.get(usize::from(number));
    let persona = group.and_then(|group| asked.personas.get(usize::from(group.persona?)));
    asked.scope.has(number)
        && match whom {
            Whom::Everybody => true,
            Whom::Persona(id) => persona.is_some_and(|persona| persona.id == *id),
            Whom::Unassigned => persona.is_none(),
        }
}

fn paths(asked: &Asked<'_>, finding: &Finding) -> Vec<Vec<String>> {
    let journeys = asked.journeys;
    let stage = asked.stage_names().position(|name| name == finding.stage);
    let stage = stage.and_then(|stage| u8::try_from(stage).ok());
    let number = journeys.touchpoints.number(&finding.touchpoint);
    let Some((stage, touchpoint)) = stage.zip(number) else {
        return Vec::new();
    };
    let is_in = |number: u16| is_about(asked, &finding.whom, number);
    let days = (asked.scope.first, asked.scope.last);
    let lost = journeys.lost_paths((stage, touchpoint), days, is_in, MAX_PATHS);
    let steps = |steps: Vec<(EventKind, u16)>| {
        let steps = steps
            .into_iter()
            .map(|(kind, place)| format!("{}@{}", kind.as_str(), journeys.touchpoints.name(place)));
        steps.collect()
    };
    lost.into_iter().map(|path| steps(path.steps)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::application::journey::groups::{Group, PersonaName};
    use crate::application::journey::{CountState, Scope};
    use crate::application::recipes::Recipes;
    use crate::domain::{CustomerId, EventDraft, Record, RecordBody, Timestamp};
    use crate::state::journeys::key::Arm;
    use crate::state::journeys::table::{day_of, midnight};
    use crate::state::journeys::{Groups, JourneySettings, Journeys, person_key};

    /// The group of each customer.
    struct Known(HashMap<u64, u16>);

    impl Groups for Known {
        fn group_of(&self, customer: u64) -> u16 {
            self.0.get(&customer).copied().unwrap_or(0)
        }

        fn arm_of(&self, _: &CustomerId) -> Option<Arm> {
            None
        }
    }

    const START_MS: i64 = 1_767_225_600_000;

    fn event(who: &str, kind: &str, day: i64, minute: i64, price: Option<f64>) -> Record {
        let time = Timestamp::from_ms(START_MS + day * DAY_MS + (600 + minute) * 60_000);
        let id = format!("{who}-{kind}-{day}");
        let draft = EventDraft {
            event_id: &id,
            event_type: kind,
            time: Some(Ok(time)),
            customer_id: who,
            product_id: if kind == "page_view" { "" } else { "p" },
            order_id: if price.is_some() { &id } else { "" },
            unit_price: price.map(Ok),
            currency: if price.is_some() { "EUR" } else { "" },
            ..EventDraft::default()
        };
        let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
        Record {
            recorded_at: time,
            body: RecordBody::Event(Box::new(event)),
        }
    }

    /// Ten who look twice and buy for 100, and ten who look once, of whom five buy for 10; somebody of no persona.
    fn history() -> Vec<Record> {
        let mut records = Vec::new();
        for number in 0..10 {
            let (rich, poor) = (format!("rich-{number}"), format!("poor-{number}"));
            records.push(event(&rich, "view_item", 0, 0, None));
            records.push(event(&rich, "view_item", 3, 0, None));
            records.push(event(&rich, "purchase", 3, 5, Some(100.0)));
            records.push(event(&poor, "view_item", 0, 0, None));
            if number < 5 {
                records.push(event(&poor, "purchase", 0, 5, Some(10.0)));
            }
        }
        records.push(event("nobody", "page_view", 40, 0, None));
        records.sort_by_key(|record| record.recorded_at);
        records
    }

    #[test]
    fn a_stay_costs_what_it_brings_those_it_is_about_and_a_visit_less() {
        let recipes = Recipes::embedded().unwrap();
        let mut journeys = Journeys::new(JourneySettings {
            journey: recipes.journey.clone(),
            places: recipes.places.clone(),
            visitor_idle_days: 90,
        });
        let of = |(name, group)| {
            (0..10).map(move |number| (person_key(&format!("{name}-{number}")), group))
        };
        let known = Known(
            [("rich", 1), ("poor", 2)]
                .into_iter()
                .flat_map(of)
                .collect(),
        );
        for record in history() {
            journeys.apply(&record, &known);
        }
        let groups = [None, Some(0), Some(1)].map(|persona| Group {
            persona,
            segments: 0,
        });
        let personas = ["rich", "poor"].map(|id| PersonaName {
            id: id.to_owned(),
            name: id.to_owned(),
        });
        let (first, last) = (day_of(Timestamp::from_ms(START_MS)), 40);
        let asked = Asked {
            state: CountState {
                complete: true,
                progress: 1.0,
                newest: journeys.newest(),
                start: midnight(first),
                end: midnight(first + last),
                grouped: Timestamp::default(),
                earliest: None,
                first_kept: None,
            },
            journeys: &journeys,
            groups: &groups,
            personas: &personas,
            segments: Vec::new(),
            places: &recipes.places,
            scope: Scope {
                first: first + 7,
                last: first + last,
                first_kept: None,
                groups: vec![true; 3],
                place: None,
            },
        };
        let persona = |id: &str| Whom::Persona(id.to_owned());
        let told = [
            (persona("rich"), 100.0, 50.0),
            (persona("poor"), 5.0, 5.0),
            // 15 of 30 visits with an order, each of 70
            (Whom::Everybody, 52.5, 35.0),
            (Whom::Unassigned, 0.0, 0.0),
        ];
        for (whom, stay, visit) in told {
            let prices = prices(&asked, &[first], &whom);
            let found = ["", "Phones"].map(|category| prices.of("consideration", category));
            for (found, wanted) in found.into_iter().zip([stay, visit]) {
                assert!((found - wanted).abs() < 1e-9, "{whom:?}: {found}, {wanted}");
            }
            for category in ["", "Phones"] {
                assert!(prices.of("nowhere", category).abs() < 1e-9);
            }
            // those who only looked at a page, in a stage of its own
            assert!(whom != Whom::Everybody || prices.of("awareness", "Phones").abs() < 1e-9);
        }
    }
}
