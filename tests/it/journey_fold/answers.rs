//! What the map and the key figures of a service say, against figures made of the recount.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nextbest::application::journey::figures::Figure;
use nextbest::application::journey::kpis::{Breakdown, Kpis, Unit};
use nextbest::application::journey::map::{JourneyMap, Sales};
use nextbest::application::journey::{JourneyReports, Selection};
use nextbest::application::recipes::{Recipes, embedded_files};
use nextbest::application::shop::{Clock, OfferPolicy};
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{Customer, CustomerId, Record, RecordBody, Timestamp};
use nextbest::server::Service;
use nextbest::state::journeys::JourneySettings;
use nextbest::state::journeys::histogram::{median, seconds};
use nextbest::state::journeys::key::{Arm, Measure};
use nextbest::state::journeys::table::{Day, day_of, midnight};
use nextbest::store::{Artefacts, Journal as _, MemoryJournal};

use super::hands::{Counts, Key, THROUGH, World, recount};
use super::history::{Act, CUSTOMERS, catalog, history, products, record};

/// Of the three customers one is in each segment, and one in none.
const SEGMENTS: [&str; 2] = ["gold", "basic"];

/// The first policy by which both arms have customers.
fn policy() -> OfferPolicy {
    let policies = (1..).map(|holdout_seed| OfferPolicy {
        holdout_per_mille: 400,
        holdout_seed,
        reservation_ms: DAY_MS,
    });
    let splits = |policy: &OfferPolicy| {
        let mut arms = (0..CUSTOMERS).map(|number| holds_out(policy, number));
        arms.any(|is_out| is_out != holds_out(policy, 0))
    };
    policies.into_iter().find(splits).unwrap()
}

fn holds_out(policy: &OfferPolicy, number: usize) -> bool {
    policy.holds_out("customer", &format!("c{number}"))
}

fn group(customer: &str) -> u16 {
    match customer {
        "c0" => 1,
        "c1" => 2,
        _ => 0,
    }
}

fn arm(customer: &str) -> Arm {
    match policy().holds_out("customer", customer) {
        true => Arm::HeldOut,
        false => Arm::Treated,
    }
}

fn recipes() -> Recipes {
    let mut files = embedded_files();
    let journey = files.iter_mut().find(|f| f.name == "journey.toml").unwrap();
    for name in SEGMENTS {
        // by the trait alone
        let segment = format!("\n[[segment]]\nname = \"{name}\"\nexpression = \"false\"\n");
        journey.text.push_str(&segment);
    }
    Recipes::parse(&files).unwrap()
}

/// A service over a history, with the acts that are in its journal.
fn service(seed: u64, identifies: bool, folder: &std::path::Path) -> (Service, Vec<Act>) {
    let acts = history(seed, identifies);
    let journal = MemoryJournal::new();
    let mut records = catalog();
    records.extend((0..2).map(|number| {
        let segment = SEGMENTS[number].into();
        let customer = Customer {
            id: CustomerId::trusted(format!("c{number}")),
            traits: vec![("segment".into(), segment)],
        };
        Record {
            recorded_at: Timestamp::from_ms(0),
            body: RecordBody::CustomerUpserted(Box::new(customer)),
        }
    }));
    journal.append(&records).unwrap();
    let records: Vec<Record> = acts.iter().map(record).collect();
    let is_new = journal.append(&records).unwrap().is_new;
    let kept = acts.into_iter().zip(is_new).filter(|(_, is_new)| *is_new);
    let kept: Vec<Act> = kept.map(|(act, _)| act).collect();
    let mut settings = crate::harness::settings();
    settings.offers.holdout_per_mille = policy().holdout_per_mille;
    settings.offers.holdout_seed = policy().holdout_seed;
    let service = Service::with(
        Arc::new(journal),
        None,
        Artefacts::open(folder).unwrap(),
        Clock::fixed(Timestamp::from_ms(1_400_000_000_000)),
        &settings,
        &recipes(),
    );
    (service.unwrap(), kept)
}

/// What is looked at, for the hands.
#[derive(Debug, Clone, Copy)]
struct Look<'a> {
    days: (Day, Day),
    group: Option<u16>,
    place: Option<&'a str>,
}

impl Look<'_> {
    fn selection(self) -> Selection {
        Selection {
            start: Some(midnight(self.days.0)),
            end: Some(midnight(self.days.1)),
            persona: String::new(),
            segment: self
                .group
                .map_or("", |group| SEGMENTS[usize::from(group) - 1])
                .to_owned(),
            touchpoint: self.place.unwrap_or_default().to_owned(),
        }
    }

    fn is_of_group(self, key: &Key) -> bool {
        self.group.is_none_or(|group| key.2.0 == group)
    }

    /// The counters it is about.
    fn rows<'c>(self, counts: &'c Counts) -> Rows<'c> {
        let is_at = |key: &Key| self.place.is_none_or(|place| key.2.2 == place);
        let rows = counts.iter().filter(|(key, _)| {
            (self.days.0..=self.days.1).contains(&key.0) && self.is_of_group(key) && is_at(key)
        });
        Rows {
            rows: rows.map(|(key, &value)| (key, value)).collect(),
            by_place: self.place.is_some(),
        }
    }
}

/// Counters that figures are made of.
#[derive(Debug, Clone)]
struct Rows<'c> {
    rows: Vec<(&'c Key, i64)>,
    /// Whether stays are those that passed a touchpoint.
    by_place: bool,
}

impl Rows<'_> {
    fn sum(&self, measure: Measure, is_it: impl Fn(&str) -> bool) -> i64 {
        let rows = self.rows.iter();
        let rows = rows.filter(|(key, _)| key.1 == measure as u8 && is_it(&key.3));
        rows.map(|(_, value)| value).sum()
    }

    fn all(&self, measure: Measure) -> i64 {
        self.sum(measure, |_| true)
    }

    fn of(&self, measure: Measure, detail: &str) -> i64 {
        self.sum(measure, |own| own == detail)
    }

    fn buckets(&self, measure: Measure) -> BTreeMap<u16, i64> {
        let mut buckets = BTreeMap::new();
        for (key, value) in self.rows.iter().filter(|(key, _)| key.1 == measure as u8) {
            *buckets.entry(key.3.parse().unwrap()).or_default() += value;
        }
        buckets
    }

    fn filtered(&self, is_it: impl Fn(&Key) -> bool, by_place: bool) -> Self {
        let rows = self.rows.iter().copied();
        Self {
            rows: rows.filter(|(key, _)| is_it(key)).collect(),
            by_place,
        }
    }

    fn orders(&self, main: &str) -> i64 {
        let again = format!("{main} again");
        self.of(Measure::Orders, main) + self.of(Measure::Orders, &again)
    }

    /// Ends of stays that led to a later stage.
    fn moved(&self, measure: Measure, on: bool) -> i64 {
        let rows = self.rows.iter().filter(|(key, _)| {
            let to = key
                .3
                .strip_prefix("To(")
                .and_then(|to| to.strip_suffix(')'));
            let to: Option<u8> = to.map(|to| to.parse().unwrap());
            key.1 == measure as u8 && to.is_some_and(|to| (to > key.2.1) == on)
        });
        rows.map(|(_, value)| value).sum()
    }

    fn sales(&self, main: &str) -> Sales {
        let money = |measure| self.of(measure, main) as f64 / 1e6;
        Sales {
            orders: self.orders(main),
            revenue: money(Measure::Revenue),
            margin: money(Measure::Margin),
            costed: money(Measure::CostedRevenue),
        }
    }

    /// The mean of all answers from -1 to 1, and how many there are.
    fn emotion(&self) -> (Option<f64>, i64) {
        let (sum, count) = (self.all(Measure::RatingSum), self.all(Measure::Ratings));
        (share(sum, count).map(|mean| mean / 1e3), count)
    }
}

fn share(part: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// The currency most orders are in; the first one that the catalog names if several are.
fn main_currency(counts: &Counts) -> String {
    let mut orders: BTreeMap<&str, i64> = BTreeMap::new();
    for (key, value) in counts
        .iter()
        .filter(|(key, _)| key.1 == Measure::Orders as u8)
    {
        *orders.entry(key.3.trim_end_matches(" again")).or_default() += value;
    }
    let most = orders.values().max().copied().unwrap_or(0);
    let mut listed = ["EUR", "USD", ""].into_iter();
    let main = listed.find(|code| most > 0 && orders.get(code) == Some(&most));
    main.unwrap_or_default().to_owned()
}

/// First and second orders count once everybody has had 60 days to order again, second ones only if they came within.
fn once_decided(counts: &Counts) -> Counts {
    let decided = counts.iter().filter_map(|(key, &value)| {
        let mut key = key.clone();
        let is_second = key.1 == Measure::SecondOrders as u8;
        if is_second || key.1 == Measure::FirstOrders as u8 {
            key.0 += 60;
        }
        let is_late = || seconds(key.3.parse().unwrap()) > 60.0 * 86_400.0;
        (!is_second || !is_late()).then_some((key, value))
    });
    decided.collect()
}

/// Customers known by the end of a day, by arm.
fn people(counts: &Counts, look: Look<'_>, until: Day, is_in: impl Fn(&Key) -> bool) -> [i64; 2] {
    [Arm::Treated, Arm::HeldOut].map(|arm| {
        let rows = counts.iter().filter(|(key, _)| {
            key.1 == Measure::Known as u8
                && key.0 <= until
                && key.3 == format!("{arm:?}")
                && look.is_of_group(key)
                && is_in(key)
        });
        rows.map(|(_, value)| value).sum()
    })
}

/// A key figure by its definition: the value, and of how many things.
fn by_definition(name: &str, rows: &Rows<'_>, people: [i64; 2], main: &str) -> (Option<f64>, i64) {
    let count = |count: i64| (Some(count as f64), count);
    let of = |part: i64, all: i64| (share(part, all), all.max(0));
    let (end, money) = (
        if rows.by_place {
            Measure::Passed
        } else {
            Measure::Ended
        },
        |measure| rows.of(measure, main) as f64 / 1e6,
    );
    let (orders, revenue) = (rows.orders(main), money(Measure::Revenue));
    let rated = |measure, what: &str| rows.of(measure, what);
    let of_revenue = |measure| match orders > 0 && revenue > 0.0 {
        true => (Some(money(measure) / revenue), orders),
        false => (None, 0),
    };
    match name {
        "visits" => count(rows.all(Measure::Visits)),
        "conversion_rate" => of(
            rows.all(Measure::VisitsWithOrder),
            rows.all(Measure::Visits),
        ),
        "stage_conversion_rate" => of(rows.moved(end, true), rows.all(end)),
        "left" => count(rows.of(Measure::Ended, "Left")),
        "cart_abandonment_rate" => {
            let abandoned = rows.all(Measure::CartsAbandoned);
            match rows.by_place {
                true => of(abandoned, rows.all(Measure::CartsUsed)),
                false => of(abandoned, abandoned + rows.all(Measure::CartsBought)),
            }
        }
        "orders" => count(orders),
        "revenue" => (Some(revenue), orders),
        "margin" => (Some(money(Measure::Margin)), orders),
        "average_order_value" => ((orders > 0).then(|| revenue / orders as f64), orders.max(0)),
        "returning_order_rate" => of(rows.of(Measure::Orders, &format!("{main} again")), orders),
        "repeat_purchase_rate" => of(
            rows.all(Measure::SecondOrders),
            rows.all(Measure::FirstOrders),
        ),
        "time_to_second_purchase" => {
            let between = rows.buckets(Measure::SecondOrders);
            let days = median(&between).map(|seconds| seconds / 86_400.0);
            (days, rows.all(Measure::SecondOrders))
        }
        "csat" => of(
            rated(Measure::RatingsHigh, "Csat"),
            rated(Measure::Ratings, "Csat"),
        ),
        "nps" => {
            let (high, low) = (
                rated(Measure::RatingsHigh, "Nps"),
                rated(Measure::RatingsLow, "Nps"),
            );
            let (value, all) = of(high - low, rated(Measure::Ratings, "Nps"));
            (value.map(|value| 100.0 * value), all)
        }
        "review_mean" => {
            let all = rated(Measure::Ratings, "Review");
            let mean = share(rated(Measure::RatingSum, "Review"), all);
            (mean.map(|mean| mean / 1e3 * 2.0 + 3.0), all)
        }
        "recommendation_revenue_share" => of_revenue(Measure::CreditedRevenue),
        "offer_revenue_share" => of_revenue(Measure::OfferRevenue),
        "offer_lift" => {
            let revenue = |arm: Arm| rows.of(Measure::ArmRevenue, &format!("{arm:?} {main}"));
            let each = |arm, people| share(revenue(arm), people);
            let each = each(Arm::Treated, people[0]).zip(each(Arm::HeldOut, people[1]));
            match each {
                Some((treated, held_out)) => {
                    (Some((treated - held_out) / 1e6), people[0] + people[1])
                }
                None => (None, 0),
            }
        }
        "new_people" => count(rows.of(Measure::Began, "New")),
        other => panic!("no definition of {other}"),
    }
}

fn is_near(found: Option<f64>, wanted: Option<f64>) -> bool {
    match (found, wanted) {
        (Some(found), Some(wanted)) => (found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
        (found, wanted) => found == wanted,
    }
}

/// A history with its recount.
struct Case<'a> {
    counts: &'a Counts,
    /// The first day of which anything is known.
    earliest: Day,
    settings: &'a JourneySettings,
    main: String,
}

impl Case<'_> {
    fn figure(&self, found: &Figure, wanted: (Option<f64>, i64), told: &dyn Fn() -> String) {
        assert!(
            is_near(found.value, wanted.0) && found.samples == wanted.1,
            "{}: {found:?}, not {wanted:?}",
            told()
        );
        if let (Some(value), Some((low, high))) = (found.value, found.interval) {
            // to the last digits
            let is_in = low - 1e-9 <= value && value <= high + 1e-9;
            assert!(is_in, "{}: {found:?}", told());
        }
    }

    fn sales(&self, found: Sales, rows: &Rows<'_>, told: &str) {
        assert_eq!(found, rows.sales(&self.main), "{told}");
    }

    fn map(&self, look: Look<'_>, map: &JourneyMap) {
        let rows = look.rows(self.counts);
        let (begin, end) = match look.place {
            None => (Measure::Began, Measure::Ended),
            Some(_) => (Measure::Reached, Measure::Passed),
        };
        let ever = Look {
            days: (Day::MIN, look.days.1),
            ..look
        };
        let ever = ever.rows(self.counts);
        let lengths = Look {
            place: None,
            ..look
        }
        .rows(self.counts);
        let mut flows: BTreeMap<(String, String), i64> = BTreeMap::new();
        let name = |number: usize| self.settings.journey.stages[number].name.clone();
        for (number, stage) in map.stages.iter().enumerate() {
            let told = format!("{look:?}, stage {}", stage.name);
            let is_here = |key: &Key| usize::from(key.2.1) == number;
            let rows = rows.filtered(is_here, rows.by_place);
            let ever = ever.filtered(is_here, false);
            let found = [
                stage.entered,
                stage.new,
                stage.returned,
                stage.moved_on,
                stage.moved_back,
                stage.left,
                stage.left_elsewhere,
                stage.joined,
                stage.here,
                stage.steps,
            ];
            let wanted = [
                rows.all(begin),
                rows.of(begin, "New"),
                rows.of(begin, "Returned"),
                rows.moved(end, true),
                rows.moved(end, false),
                rows.of(Measure::Ended, "Left"),
                rows.of(end, "Left") - rows.of(Measure::Ended, "Left"),
                rows.of(end, "Joined"),
                ever.all(begin) - ever.all(end),
                rows.all(Measure::Steps),
            ];
            assert_eq!(found, wanted, "{told}");
            let stays = lengths.filtered(is_here, false).buckets(Measure::Stayed);
            let wanted = median(&stays).filter(|_| look.place.is_none());
            assert_eq!(stage.median_stay_seconds, wanted, "{told}");
            self.sales(stage.sales, &rows, &told);
            self.figure(&stage.emotion, rows.emotion(), &|| told.clone());
            let mut used = BTreeSet::new();
            for touchpoint in &stage.touchpoints {
                let told = format!("{told}, touchpoint {}", touchpoint.name);
                let rows = rows.filtered(|key| key.2.2 == touchpoint.name, true);
                let found = [
                    touchpoint.events,
                    touchpoint.stays,
                    touchpoint.moved_on,
                    touchpoint.left_here,
                ];
                let wanted = [
                    rows.all(Measure::Events),
                    rows.all(Measure::Passed),
                    rows.moved(Measure::Passed, true),
                    rows.of(Measure::Ended, "Left"),
                ];
                assert_eq!(found, wanted, "{told}");
                self.sales(touchpoint.sales, &rows, &told);
                self.figure(&touchpoint.emotion, rows.emotion(), &|| told.clone());
                used.insert(touchpoint.name.clone());
            }
            let is_used = |key: &Key| {
                [Measure::Events, Measure::Passed, Measure::Orders]
                    .map(|m| m as u8)
                    .contains(&key.1)
            };
            let places = rows.rows.iter().filter(|(key, _)| is_used(key));
            assert!(
                places.into_iter().all(|(key, _)| used.contains(&key.2.2)),
                "{told}"
            );
            for (key, value) in &rows.rows {
                let from = key
                    .3
                    .strip_prefix("From(")
                    .and_then(|from| from.strip_suffix(')'));
                let is_outside = from.is_none();
                let from = from.map_or_else(String::new, |from| name(from.parse().unwrap()));
                if key.1 == begin as u8 && (is_outside || look.place.is_none()) {
                    *flows.entry((from, name(number))).or_default() += value;
                } else if key.1 == Measure::Ended as u8 && key.3 == "Left" {
                    *flows.entry((name(number), String::new())).or_default() += value;
                } else if key.1 == THROUGH && look.place.is_some() {
                    let (from, to) = key.3.split_once(' ').unwrap();
                    let ends = [from, to].map(|stage| name(stage.parse().unwrap()));
                    *flows.entry(ends.into()).or_default() += value;
                }
            }
        }
        flows.retain(|_, count| *count > 0);
        let found = map.stage_flows.iter();
        let found = found.map(|flow| ((flow.from.clone(), flow.to.clone()), flow.count));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), flows, "{look:?}");
        self.touchpoint_flows(look, map);
        let other = Look { ..look }.rows(self.counts);
        let other = other.all(Measure::Orders) - other.orders(&self.main);
        assert_eq!(
            (map.other_currency_orders, &map.currency),
            (other, &self.main)
        );
    }

    fn touchpoint_flows(&self, look: Look<'_>, map: &JourneyMap) {
        let everywhere = Look {
            place: None,
            ..look
        }
        .rows(self.counts);
        let mut flows: BTreeMap<(String, String), i64> = BTreeMap::new();
        for (key, value) in everywhere.rows {
            let place = key.2.2.clone();
            let (from, to) = match key.3.as_str() {
                to if key.1 == Measure::Flow as u8 => (place, to.to_owned()),
                "New" | "Returned" if key.1 == Measure::Began as u8 => (String::new(), place),
                "Left" if key.1 == Measure::Ended as u8 => (place, String::new()),
                _ => continue,
            };
            if look.place.is_none_or(|only| from == only || to == only) {
                *flows.entry((from, to)).or_default() += value;
            }
        }
        flows.retain(|_, count| *count > 0);
        let found = map.touchpoint_flows.iter();
        let found = found.map(|flow| ((flow.from.clone(), flow.to.clone()), flow.count));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), flows, "{look:?}");
    }

    fn kpis(&self, look: Look<'_>, breakdown: Option<Breakdown>, kpis: &Kpis, has_carts: bool) {
        let rows = look.rows(self.counts);
        let (first, last) = look.days;
        let before = Look {
            days: (first - (last - first + 1), first - 1),
            ..look
        };
        let rows_before = before.rows(self.counts);
        let everybody = |until| people(self.counts, look, until, |_| true);
        let groups = self.groups(look, breakdown, &rows);
        for kpi in &kpis.kpis {
            if kpi.name == "cart_abandonment_rate" && !has_carts {
                continue;
            }
            let told = |of: &str| format!("{look:?}, {breakdown:?}: {} {of}", kpi.name);
            let make = |rows: &Rows<'_>, people| by_definition(kpi.name, rows, people, &self.main);
            let wanted = make(&rows, everybody(last));
            self.figure(&kpi.total, wanted, &|| told("in all"));
            if matches!(kpi.unit, Unit::Share) && wanted.1 > 0 {
                assert!(kpi.total.interval.is_some(), "{}", told("in all"));
            }
            let is_late = matches!(kpi.name, "repeat_purchase_rate" | "time_to_second_purchase");
            let needed = before.days.0 - if is_late { 60 } else { 0 };
            let wanted = match needed > self.earliest {
                true => make(&rows_before, everybody(first - 1)),
                // there is nothing to compare with
                false => (None, 0),
            };
            self.figure(&kpi.before, wanted, &|| told("before"));
            assert_eq!(kpi.days.len(), (last - first + 1) as usize);
            for (day, figure) in &kpi.days {
                let of_day = rows.filtered(|key| key.0 == *day, rows.by_place);
                let wanted = make(&of_day, everybody(*day));
                self.figure(figure, wanted, &|| told(&format!("on day {day}")));
            }
            for group in &kpi.groups {
                let Some((rows, people)) = groups.get(&group.key) else {
                    // nothing of it is in the window, but somebody is known or something cancels out
                    assert!(group.figure.value.is_none_or(|value| value.abs() < 1e-9));
                    continue;
                };
                let told = || told(&format!("of {:?}", group.key));
                self.figure(&group.figure, make(rows, *people), &told);
            }
            for (key, (rows, people)) in &groups {
                let is_told = kpi.groups.iter().any(|group| group.key == *key);
                let wanted = make(rows, *people);
                assert!(is_told || wanted.1 == 0, "{}", told(key));
            }
        }
    }

    /// The counters and the customers of each group.
    fn groups<'c>(
        &'c self,
        look: Look<'_>,
        breakdown: Option<Breakdown>,
        rows: &Rows<'c>,
    ) -> BTreeMap<String, (Rows<'c>, [i64; 2])> {
        let last = look.days.1;
        let name_of = |key: &Key| match breakdown {
            None => None,
            Some(Breakdown::Stage) => {
                let stage = self.settings.journey.stages.get(usize::from(key.2.1));
                stage.map(|stage| stage.name.clone())
            }
            Some(Breakdown::Touchpoint) => Some(key.2.2.clone()).filter(|name| !name.is_empty()),
            Some(Breakdown::Segment) => Some(match key.2.0 {
                0 => String::new(),
                group => SEGMENTS[usize::from(group) - 1].to_owned(),
            }),
            // none were learned
            Some(Breakdown::Persona) => Some(String::new()),
        };
        let is_of_places = matches!(breakdown, Some(Breakdown::Stage | Breakdown::Touchpoint));
        let by_place = rows.by_place || breakdown == Some(Breakdown::Touchpoint);
        let names: BTreeSet<String> = rows.rows.iter().filter_map(|row| name_of(row.0)).collect();
        let groups = names.into_iter().map(|name| {
            let is_in = |key: &Key| name_of(key).as_ref() == Some(&name);
            let of_group = rows.filtered(is_in, by_place);
            let is_counted = |key: &Key| is_of_places || is_in(key);
            let people = people(self.counts, look, last, is_counted);
            (name.clone(), (of_group, people))
        });
        groups.collect()
    }
}

/// Asks a service everything about a history, and recounts it.
fn check(seed: u64, identifies: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (service, acts) = service(seed, identifies, folder.path());
    let journey: &JourneyReports = &service.use_cases.journey;
    journey.follow().unwrap();
    assert!(journey.regroup().unwrap());
    let seen = |journeys: &nextbest::state::journeys::Journeys, _: &_| {
        (journeys.settings().clone(), journeys.newest().unwrap())
    };
    let (settings, newest) = journey.with_counters(seen).unwrap();
    let world = World {
        settings: &settings,
        products: &products(),
        group: &group,
        arm: &arm,
    };
    let (counts, _) = recount(&acts, &world);
    let first = counts.keys().next().unwrap().0;
    let counts = once_decided(&counts);
    let case = Case {
        counts: &counts,
        earliest: first,
        settings: &settings,
        main: main_currency(&counts),
    };
    let last = day_of(newest);
    let whole = Look {
        days: (first, last),
        group: None,
        place: None,
    };
    let middle = (first + (last - first) / 3, last - (last - first) / 3);
    let mut looks = vec![whole];
    looks.push(Look {
        days: (last - (last - first) / 5, last),
        ..whole
    });
    looks.push(Look {
        days: middle,
        ..whole
    });
    looks.extend([1, 2].map(|group| Look {
        days: middle,
        group: Some(group),
        place: None,
    }));
    looks.extend(["product_page", "email", "store"].map(|place| Look {
        group: None,
        place: Some(place),
        days: middle,
    }));
    looks.push(Look {
        group: Some(1),
        place: Some("product_page"),
        ..whole
    });
    for look in looks {
        let map = journey.map(&look.selection()).unwrap();
        assert!(map.state.complete);
        case.map(look, &map);
        let breakdowns = [
            None,
            Some(Breakdown::Stage),
            Some(Breakdown::Touchpoint),
            Some(Breakdown::Segment),
            Some(Breakdown::Persona),
        ];
        for breakdown in breakdowns {
            let kpis = journey.kpis(&look.selection(), breakdown).unwrap();
            assert_eq!(kpis.currency, case.main);
            // two carts that turn out to be one may be older than they look to the recount
            case.kpis(look, breakdown, &kpis, !identifies);
        }
    }
    service.close().unwrap();
}

#[test]
fn the_map_and_the_key_figures_are_those_of_a_recount() {
    for seed in 2_000..2_012 {
        check(seed, seed % 2 == 1);
    }
}
