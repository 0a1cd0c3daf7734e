//! A plain counter of journeys over simulated events: lists by person, no cleverness. Who is who is taken from the
//! simulation; the service has to find that out.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::algorithms::pain_points::{Counts, Place};
use nextbest::application::recipes::Recipes;
use nextbest::domain::journey::Step;
use nextbest::domain::{EventKind, Journey, StageIndex, Timestamp};
use nextbest::simulation::{DAY, Event, Simulation};

/// After how many days without anything somebody has left each stage.
const HORIZONS: [(&str, i64); 6] = [
    ("awareness", 14),
    ("consideration", 14),
    ("decision", 3),
    ("purchase", 30),
    ("retention", 120),
    ("advocacy", 60),
];
/// Customers are numbered below, visitors from here.
const FIRST_VISITOR: u32 = 1 << 31;

type Key = (String, String, String, String);

#[derive(Default)]
pub(super) struct Counter {
    people: BTreeMap<u32, Vec<Event>>,
}

/// A stay in a stage.
struct Stay {
    stage: StageIndex,
    passed: BTreeSet<&'static str>,
    bought: bool,
}

/// What was counted, by day.
struct Counted<'a> {
    journey: Journey,
    by_day: BTreeMap<i64, BTreeMap<Key, Counts>>,
    stays: BTreeMap<String, (u64, u64)>,
    persona: &'a str,
}

fn touchpoint(event: &Event) -> &'static str {
    let channel = event.touchpoint.name();
    if !matches!(channel, "site" | "app" | "search" | "sales_team") {
        return match event.kind.name() {
            "order_delivered" => "delivery",
            "review" => "reviews_page",
            "csat_response" | "nps_response" => "survey",
            _ => channel,
        };
    }
    match event.kind.name() {
        "view_item" => "product_page",
        "view_item_list" | "search" | "select_item" => "product_list",
        "add_to_cart" | "view_cart" | "remove_from_cart" => "cart",
        "begin_checkout" => "checkout",
        "add_payment_info" => "payment",
        "purchase" => "order_confirmation",
        "order_delivered" => "delivery",
        "review" => "reviews_page",
        "csat_response" | "nps_response" => "survey",
        _ => channel,
    }
}

impl Counter {
    pub(super) fn see(&mut self, event: Event) {
        self.people.entry(event.person).or_default().push(event);
    }

    /// Places in the last days and in the weeks before, and what a stay of each stage brings.
    pub(super) fn places(
        &self,
        simulation: &Simulation,
        window: u32,
        weeks: u32,
    ) -> (Vec<Place>, BTreeMap<String, f64>) {
        let mut counted = Counted {
            journey: Recipes::embedded().unwrap().journey,
            by_day: BTreeMap::new(),
            stays: BTreeMap::new(),
            persona: "",
        };
        let world = simulation.world();
        let (mut revenue, mut orders) = (0.0, BTreeSet::new());
        for (&number, events) in &self.people {
            counted.persona = match number {
                FIRST_VISITOR.. => "",
                _ => simulation.customers()[number as usize].persona.name(),
            };
            counted.stays_of(events, world.end());
            counted.visits_of(events, simulation);
            for event in events {
                if let (Some(order), Some(cents)) = (event.order, event.price_cents)
                    && event.kind.name() == "purchase"
                {
                    orders.insert(order);
                    revenue += f64::from(cents) / 100.0 * f64::from(event.quantity);
                }
            }
        }
        let mean_order = revenue / orders.len() as f64;
        let worth = counted.stays.iter().map(|(stage, &(stays, bought))| {
            (stage.clone(), bought as f64 / stays as f64 * mean_order)
        });
        let worth = worth.collect();
        (counted.cut(world.end(), window, weeks), worth)
    }
}

impl Counted<'_> {
    fn add(&mut self, time: i64, stage: StageIndex, touchpoint: &str, category: &str, lost: bool) {
        let stage = self.journey.name(stage).to_owned();
        let key = (
            stage,
            touchpoint.to_owned(),
            self.persona.to_owned(),
            category.to_owned(),
        );
        let day = self.by_day.entry(time.div_euclid(DAY)).or_default();
        let counts = day.entry(key).or_default();
        counts.passed += 1;
        counts.lost += u64::from(lost);
    }

    fn end(&mut self, stay: &Stay, time: i64, lost_at: Option<&str>) {
        for touchpoint in &stay.passed {
            self.add(
                time,
                stay.stage,
                touchpoint,
                "",
                lost_at == Some(touchpoint),
            );
        }
        let name = self.journey.name(stay.stage).to_owned();
        let (stays, bought) = self.stays.entry(name).or_default();
        *stays += 1;
        *bought += u64::from(stay.bought);
    }

    fn horizon(&self, stage: StageIndex) -> i64 {
        let name = self.journey.name(stage);
        HORIZONS.iter().find(|(stage, _)| *stage == name).unwrap().1 * DAY
    }

    /// The stays of one person, ended by a move, by time alone, or by silence.
    fn stays_of(&mut self, events: &[Event], end: i64) {
        let mut steps: Vec<Step> = Vec::new();
        let mut open: Option<(Stay, i64, &'static str)> = None;
        let mut last_purchase = None;
        let ends = events.iter().map(|event| (event.time, Some(event)));
        for (time, event) in ends.chain([(end, None)]) {
            // what time alone does until then
            while let Some((stay, last, touchpoint)) = open.take() {
                let leaves = last + self.horizon(stay.stage);
                let moves = last_purchase
                    .map(|at: i64| at + 7 * DAY)
                    .filter(|&at| at > last);
                let moved = moves.map(|at| (at, self.stage_at(&steps, at)));
                let moved = moved.filter(|(at, stage)| stage.0 > stay.stage.0 && *at <= leaves);
                match moved {
                    Some((at, stage)) if at <= time => {
                        self.end(&stay, at, None);
                        last_purchase = None;
                        let passed = BTreeSet::new();
                        let bought = false;
                        open = Some((
                            Stay {
                                stage,
                                passed,
                                bought,
                            },
                            last,
                            touchpoint,
                        ));
                    }
                    _ if leaves <= time => self.end(&stay, leaves, Some(touchpoint)),
                    _ => {
                        open = Some((stay, last, touchpoint));
                        break;
                    }
                }
            }
            let Some(event) = event else {
                return;
            };
            steps.push(Step {
                time: Timestamp::from_ms(time * 1_000),
                kind: EventKind::from_name(event.kind.name()).unwrap(),
                product: None,
                rating: event.rating.map(f32::from),
            });
            let buys = event.kind.name() == "purchase";
            if buys {
                last_purchase = Some(time);
            }
            let stage = self.stage_at(&steps, time);
            let here = touchpoint(event);
            let mut stay = match open.take() {
                Some((stay, ..)) if stay.stage == stage => stay,
                other => {
                    if let Some((mut stay, ..)) = other {
                        stay.bought |= buys;
                        self.end(&stay, time, None);
                    }
                    let (passed, bought) = (BTreeSet::new(), false);
                    Stay {
                        stage,
                        passed,
                        bought,
                    }
                }
            };
            stay.passed.insert(here);
            open = Some((stay, time, here));
        }
    }

    fn stage_at(&self, steps: &[Step], time: i64) -> StageIndex {
        self.journey
            .stage_at(steps, Timestamp::from_ms(time * 1_000))
    }

    /// The visits of one person that looked at products of a category, and whether they ended there.
    fn visits_of(&mut self, events: &[Event], simulation: &Simulation) {
        let mut visits: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
        for event in events {
            if let Some(session) = event.session {
                visits.entry(session).or_default().push(event);
            }
        }
        let category = |event: &Event| {
            let product = event.product.filter(|_| event.kind.name() == "view_item")?;
            let path = simulation.world().catalog.products()[product as usize].category();
            path.split(" > ").next()
        };
        let stage = self.journey.stage("consideration").unwrap();
        for visit in visits.values() {
            let looked: BTreeSet<&str> = visit.iter().filter_map(|event| category(event)).collect();
            let last = visit.last().unwrap();
            for one in looked {
                let lost = category(last) == Some(one);
                self.add(last.time, stage, "product_page", one, lost);
            }
        }
    }

    fn cut(&self, end: i64, window: u32, weeks: u32) -> Vec<Place> {
        let mut places: BTreeMap<&Key, Place> = BTreeMap::new();
        let last = end.div_euclid(DAY);
        for (&day, counts) in &self.by_day {
            let ago = last - 1 - day;
            let before = (ago - i64::from(window)).div_euclid(7);
            if before >= i64::from(weeks) || ago < 0 {
                continue;
            }
            for (key, &counts) in counts {
                let (stage, touchpoint, persona, category) = key.clone();
                let place = places.entry(key).or_insert_with(|| Place {
                    stage,
                    touchpoint,
                    persona,
                    category,
                    window: Counts::default(),
                    before: vec![Counts::default(); weeks as usize],
                });
                let sum = match usize::try_from(before) {
                    Err(_) => &mut place.window,
                    Ok(week) => &mut place.before[weeks as usize - 1 - week],
                };
                *sum = *sum + counts;
            }
        }
        places.into_values().collect()
    }
}
