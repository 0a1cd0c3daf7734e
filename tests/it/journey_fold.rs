//! The journey counters against a recount by hand: each person's list, midnight by midnight, nothing in advance.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nextbest::domain::journey::{Journey, KindSet, Recovery, Rule, Stage, Step};
use nextbest::domain::places::Described;
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{
    CustomerId, Event, EventDraft, EventKind, Places, Record, RecordBody, StageIndex, Timestamp,
    Touchpoint, VisitorId,
};
use nextbest::state::journeys::histogram::bucket;
use nextbest::state::journeys::key::{Ending, Key, Measure, NO_PLACE, NO_STAGE, Origin, RETURNING};
use nextbest::state::journeys::table::{Day, day_of, midnight};
use nextbest::state::journeys::{JourneySettings, Journeys, NoGroups};

const START_MS: i64 = 1_300_000_000_000;
const KINDS: [EventKind; 10] = [
    EventKind::PageView,
    EventKind::ViewItem,
    EventKind::ViewItem,
    EventKind::AddToCart,
    EventKind::ViewCart,
    EventKind::Purchase,
    EventKind::NpsResponse,
    EventKind::EmailClick,
    EventKind::OfferSent,
    EventKind::Login,
];
const TOUCHPOINTS: [&str; 4] = ["", "site", "store", "email"];

/// SplitMix64 (Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

fn settings() -> JourneySettings {
    let rule = |stage, kinds: &[EventKind], within_ms| Rule {
        stage: StageIndex(stage),
        kinds: KindSet::of(kinds),
        from_ms: 0,
        within_ms,
        at_least: 1,
        after_last: KindSet::default(),
        min_rating: None,
        has_bought: None,
    };
    let bought = KindSet::of(&[EventKind::Purchase]);
    let rules = vec![
        Rule {
            after_last: bought,
            ..rule(2, &[EventKind::AddToCart], 3 * DAY_MS)
        },
        rule(3, &[EventKind::Purchase], 2 * DAY_MS + HOUR_MS),
        Rule {
            min_rating: Some(8.0),
            has_bought: Some(true),
            ..rule(5, &[EventKind::NpsResponse], 6 * DAY_MS)
        },
        Rule {
            after_last: bought,
            at_least: 2,
            ..rule(1, &[EventKind::ViewItem, EventKind::EmailClick], 4 * DAY_MS)
        },
        Rule {
            from_ms: 2 * DAY_MS,
            ..rule(4, &[EventKind::Purchase], 4_000 * DAY_MS)
        },
    ];
    let names = ["new", "looking", "cart", "bought", "kept", "fan"];
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        aim: String::new(),
    };
    let described = |name: &str, kinds: &[EventKind]| Described {
        name: name.into(),
        kinds: KindSet::of(kinds),
        aliases: Vec::new(),
    };
    JourneySettings {
        journey: Journey {
            stages: names.map(stage).to_vec(),
            rules,
            otherwise: StageIndex(0),
            recovery: Recovery::default(),
            health: nextbest::domain::HealthBounds::default(),
        },
        places: Places {
            horizons_ms: [2, 3, 3, 5, 9, 4].map(|days| days * DAY_MS).to_vec(),
            channels: vec!["site".into()],
            touchpoints: vec![
                described("page", &[EventKind::ViewItem]),
                described("basket", &[EventKind::AddToCart, EventKind::ViewCart]),
            ],
            homes: Vec::new(),
        },
        visitor_idle_days: 90,
    }
}

#[derive(Debug, Clone)]
enum Act {
    Event(Box<Event>),
    Identify(usize, usize, Timestamp),
}

fn event(number: usize, dice: &mut Dice, time: i64, customer: &str, visitor: &str) -> Event {
    let kind = KINDS[dice.next(KINDS.len() as u64) as usize];
    let is_sale = kind == EventKind::Purchase;
    let id = format!("e{number}");
    let order = format!("o{}", dice.next(40));
    let rating = dice.next(11) as f64;
    let draft = EventDraft {
        event_id: &id,
        event_type: kind.as_str(),
        time: Some(Ok(Timestamp::from_ms(time))),
        customer_id: customer,
        visitor_id: visitor,
        product_id: if kind.needs_product() { "p" } else { "" },
        order_id: if is_sale { &order } else { "" },
        offer_id: if kind.needs_offer() { "offer" } else { "" },
        unit_price: is_sale.then_some(Ok(rating)),
        rating: (kind == EventKind::NpsResponse).then_some(Ok(rating)),
        touchpoint: TOUCHPOINTS[dice.next(4) as usize],
        ..EventDraft::default()
    };
    draft.check(Timestamp::MAX, |_| 0).unwrap()
}

/// A history of few people who often come late, at midnight, or turn out to be somebody.
fn history(seed: u64, identifies: bool) -> Vec<Act> {
    let mut dice = Dice(seed);
    let mut time = START_MS - START_MS % DAY_MS;
    let mut acts = Vec::new();
    for number in 0..120 {
        time += match dice.next(8) {
            0 => 0,
            1 => DAY_MS - time % DAY_MS,
            2 => dice.next(6) as i64 * DAY_MS,
            _ => dice.next(10) as i64 * HOUR_MS,
        };
        let at = match dice.next(6) {
            0 => time - dice.next(5 * 24) as i64 * HOUR_MS,
            _ => time,
        };
        let (customer, visitor) = (dice.next(3) as usize, dice.next(4) as usize);
        let (c, v) = (format!("c{customer}"), format!("v{visitor}"));
        let act = match dice.next(10) {
            0 if identifies => Act::Identify(visitor, customer, Timestamp::from_ms(at)),
            1 if identifies => Act::Event(Box::new(event(number, &mut dice, at, &c, &v))),
            2..=5 => Act::Event(Box::new(event(number, &mut dice, at, "", &v))),
            _ => Act::Event(Box::new(event(number, &mut dice, at, &c, ""))),
        };
        acts.push(act);
    }
    acts
}

fn record(act: &Act) -> Record {
    match act {
        Act::Event(event) => Record {
            recorded_at: event.time,
            body: RecordBody::Event(event.clone()),
        },
        Act::Identify(visitor, customer, time) => Record {
            recorded_at: *time,
            body: RecordBody::VisitorIdentified {
                visitor: VisitorId::trusted(format!("v{visitor}")),
                customer: CustomerId::trusted(format!("c{customer}")),
            },
        },
    }
}

fn fold(acts: &[Act]) -> Journeys {
    let mut journeys = Journeys::new(settings());
    for act in acts {
        journeys.apply(&record(act), &NoGroups);
    }
    journeys
}

/// What is counted, by day and name of the touchpoint.
type Counts = BTreeMap<(Day, u8, u8, String, u16), i64>;

/// The measures that the recount knows.
const RECOUNTED: [Measure; 13] = [
    Measure::Began,
    Measure::Ended,
    Measure::Reached,
    Measure::Passed,
    Measure::Stayed,
    Measure::Events,
    Measure::Steps,
    Measure::Orders,
    Measure::Revenue,
    Measure::FirstOrders,
    Measure::SecondOrders,
    Measure::CartsBought,
    Measure::CartsAbandoned,
];

fn counted(journeys: &Journeys, measures: &[Measure]) -> Counts {
    let mut counts = Counts::new();
    let last = day_of(journeys.newest().unwrap());
    journeys.table.each(Day::MIN, last, |day, key, value| {
        if measures.contains(&key.measure) {
            let Key { stage, place, .. } = key;
            let name = match place {
                NO_PLACE => String::new(),
                place => journeys.touchpoints.name(place).to_owned(),
            };
            let detail = match key.measure {
                Measure::Orders => key.detail & RETURNING,
                _ => key.detail,
            };
            *counts
                .entry((day, key.measure as u8, stage, name, detail))
                .or_default() += value;
        }
    });
    counts.retain(|_, value| *value != 0);
    counts
}

#[derive(Default)]
struct Walk {
    stage: Option<u8>,
    is_open: bool,
    since: i64,
    quiet_since: i64,
    last: Option<i64>,
    origin: u16,
    place: String,
    passed: BTreeSet<String>,
    steps: Vec<Step>,
    waiting: Vec<Step>,
    cart: Option<(i64, u8, String)>,
    orders: Vec<String>,
    order_times: Vec<i64>,
}

fn origin_code(origin: Origin) -> u16 {
    (0..64)
        .find(|code| Origin::of_code(*code) == origin)
        .unwrap()
}

fn ending_code(ending: Ending) -> u16 {
    (0..64)
        .find(|code| Ending::of_code(*code) == ending)
        .unwrap()
}

impl Walk {
    fn count(&self, counts: &mut Counts, (ms, measure, place): (i64, Measure, &str), detail: u16) {
        let stage = self.stage.unwrap_or(NO_STAGE);
        let day = day_of(Timestamp::from_ms(ms));
        *counts
            .entry((day, measure as u8, stage, place.to_owned(), detail))
            .or_default() += 1;
    }

    fn begin(&mut self, ms: i64, stage: u8, origin: Origin, place: &str, counts: &mut Counts) {
        self.origin = origin_code(origin);
        (self.stage, self.is_open, self.since) = (Some(stage), true, ms);
        self.passed = BTreeSet::from([place.to_owned()]);
        self.place = place.to_owned();
        self.count(counts, (ms, Measure::Began, place), self.origin);
        self.count(counts, (ms, Measure::Reached, place), self.origin);
    }

    fn end(&mut self, ms: i64, ending: Ending, counts: &mut Counts) {
        let code = ending_code(ending);
        self.count(counts, (ms, Measure::Ended, &self.place.clone()), code);
        for place in self.passed.clone() {
            self.count(counts, (ms, Measure::Passed, &place), code);
        }
        if matches!(ending, Ending::To(_)) {
            let length = bucket(ms - self.since);
            self.count(counts, (ms, Measure::Stayed, ""), length);
        }
        self.is_open = false;
    }

    /// Lets the midnights pass until `now`.
    fn pass(&mut self, now: i64, settings: &JourneySettings, counts: &mut Counts) {
        let Some(last) = self.last else { return };
        let first = day_of(Timestamp::from_ms(last)) + 1;
        for day in first..=day_of(Timestamp::from_ms(now)) {
            let at = midnight(day);
            if at.ms() <= self.quiet_since && at.ms() <= last {
                continue;
            }
            if let Some((used, stage, place)) = self.cart.clone()
                && at.ms() >= used + 3 * DAY_MS
            {
                let key = (day, Measure::CartsAbandoned as u8, stage, place, 0);
                *counts.entry(key).or_default() += 1;
                self.cart = None;
            }
            let Some(stage) = self.stage.filter(|_| self.is_open) else {
                continue;
            };
            if at.ms() <= self.quiet_since {
                continue;
            }
            let horizon = settings.places.horizon_ms(StageIndex(stage));
            let there = settings.journey.stage_at(&self.steps, at).0;
            if at.ms() >= self.quiet_since + horizon {
                self.end(at.ms(), Ending::Left, counts);
            } else if there > stage {
                self.end(at.ms(), Ending::To(there), counts);
                let place = self.place.clone();
                self.begin(at.ms(), there, Origin::From(stage), &place, counts);
                self.quiet_since = at.ms();
            }
        }
    }

    fn add_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            let at = self.steps.partition_point(|other| other.time <= step.time);
            self.steps.insert(at, step);
        }
    }

    fn take(&mut self, event: &Event, settings: &JourneySettings, counts: &mut Counts) {
        let named = event.touchpoint.as_ref().map(Touchpoint::as_str);
        let place = settings.places.touchpoint(event.kind, named).to_owned();
        let ms = event.time.ms();
        let is_sale = event.kind == EventKind::Purchase;
        let order = event.order.as_ref().map_or("", |order| order.as_str());
        let is_new = is_sale && !self.orders.iter().any(|known| known == order);
        let is_move = event.kind != EventKind::OfferSent && self.last.is_none_or(|l| l <= ms);
        let mut stage_before = None;
        if is_move {
            self.pass(ms, settings, counts);
            stage_before = self.stage.filter(|_| self.is_open);
            let waiting = std::mem::take(&mut self.waiting);
            self.add_steps(waiting);
            if !is_sale || is_new {
                self.add_steps(vec![Step {
                    time: event.time,
                    kind: event.kind,
                    product: None,
                    rating: event.rating.map(|rating| rating as f32),
                }]);
            }
            let stage = settings.journey.stage_at(&self.steps, event.time).0;
            let mut is_step = false;
            match (self.stage, self.is_open) {
                (None, _) => self.begin(ms, stage, Origin::New, &place, counts),
                (Some(_), false) => self.begin(ms, stage, Origin::Returned, &place, counts),
                (Some(before), true) if before == stage => {
                    is_step = true;
                    if self.passed.insert(place.clone()) {
                        self.count(counts, (ms, Measure::Reached, &place), self.origin);
                    }
                }
                (Some(before), true) => {
                    self.end(ms, Ending::To(stage), counts);
                    self.begin(ms, stage, Origin::From(before), &place, counts);
                }
            }
            (self.last, self.quiet_since) = (Some(ms), ms);
            self.place.clone_from(&place);
            if is_step {
                self.count(counts, (ms, Measure::Steps, &place), 0);
            }
            let stage = self.stage.unwrap();
            match event.kind {
                EventKind::AddToCart => self.cart = Some((ms, stage, place.clone())),
                EventKind::ViewCart if self.cart.is_some() => {
                    self.cart = Some((ms, stage, place.clone()));
                }
                EventKind::Purchase if self.cart.take().is_some() => {
                    self.count(counts, (ms, Measure::CartsBought, &place), 0);
                }
                _ => {}
            }
        }
        self.count(counts, (ms, Measure::Events, &place), 0);
        if is_sale {
            let stage = stage_before.or(self.stage).unwrap_or(NO_STAGE);
            let day = day_of(event.time);
            let mut add = |measure: Measure, detail, by| {
                let key = (day, measure as u8, stage, place.clone(), detail);
                *counts.entry(key).or_default() += by;
            };
            if is_new {
                let returning = if self.orders.is_empty() { 0 } else { RETURNING };
                add(Measure::Orders, returning, 1);
                self.orders.push(order.to_owned());
                self.order_times.push(ms);
            }
            add(Measure::Revenue, 0, event.unit_price.unwrap().amount.0);
        }
    }

    fn count_orders(&mut self, counts: &mut Counts) {
        self.order_times.sort_unstable();
        if let [first, rest @ ..] = self.order_times.as_slice() {
            let day = day_of(Timestamp::from_ms(*first));
            let mut add = |measure: Measure, detail| {
                let key = (day, measure as u8, NO_STAGE, String::new(), detail);
                *counts.entry(key).or_default() += 1;
            };
            add(Measure::FirstOrders, 0);
            if let Some(second) = rest.first() {
                add(Measure::SecondOrders, bucket(second - first));
            }
        }
    }
}

/// Recounts everything; also who is in which stage in the end.
fn recount(acts: &[Act]) -> (Counts, BTreeMap<u8, i64>) {
    let settings = settings();
    let mut counts = Counts::new();
    let mut walks: Vec<Walk> = Vec::new();
    let mut customers: HashMap<String, usize> = HashMap::new();
    let mut visitors: HashMap<String, Result<usize, String>> = HashMap::new();
    let mut newest = i64::MIN;
    let mut joined: BTreeSet<usize> = BTreeSet::new();
    let mut identify = |visitor: &str,
                        customer: &str,
                        now: i64,
                        walks: &mut Vec<Walk>,
                        customers: &mut HashMap<String, usize>,
                        visitors: &mut HashMap<String, Result<usize, String>>,
                        counts: &mut Counts| {
        let before = visitors.insert(visitor.to_owned(), Err(customer.to_owned()));
        let Some(Ok(theirs)) = before else { return };
        let own = customers.get(customer).copied();
        let Some(own) = own.filter(|own| walks[*own].last.is_some()) else {
            customers.insert(customer.to_owned(), theirs);
            return;
        };
        joined.insert(theirs);
        let mut gone = std::mem::take(&mut walks[theirs]);
        gone.pass(now, &settings, counts);
        if gone.is_open {
            gone.end(gone.last.unwrap(), Ending::Joined, counts);
        }
        let own = &mut walks[own];
        if gone.last > own.last {
            let last = gone.last.unwrap();
            own.pass(last, &settings, counts);
            if own.is_open && own.passed.insert(gone.place.clone()) {
                own.count(counts, (last, Measure::Reached, &gone.place), own.origin);
            }
            (own.last, own.place) = (gone.last, gone.place.clone());
            own.quiet_since = last.max(own.since);
            let waiting = std::mem::take(&mut own.waiting);
            own.add_steps(waiting);
            own.add_steps(gone.steps);
            own.add_steps(gone.waiting);
        } else {
            own.waiting.extend(gone.steps);
            own.waiting.extend(gone.waiting);
        }
        own.orders.extend(gone.orders);
        own.order_times.extend(gone.order_times);
    };
    for act in acts {
        match act {
            Act::Identify(visitor, customer, now) => identify(
                &format!("v{visitor}"),
                &format!("c{customer}"),
                now.ms(),
                &mut walks,
                &mut customers,
                &mut visitors,
                &mut counts,
            ),
            Act::Event(event) => {
                newest = newest.max(event.time.ms());
                let (c, v) = (event.subject.customer(), event.subject.visitor());
                if let (Some(c), Some(v)) = (c, v) {
                    identify(
                        v.as_str(),
                        c.as_str(),
                        event.time.ms(),
                        &mut walks,
                        &mut customers,
                        &mut visitors,
                        &mut counts,
                    );
                }
                let mut new = || {
                    walks.push(Walk::default());
                    walks.len() - 1
                };
                let walk = match (c, v) {
                    (Some(c), _) => *customers.entry(c.as_str().to_owned()).or_insert_with(new),
                    (None, Some(v)) => {
                        let owner = visitors.entry(v.as_str().to_owned());
                        match owner.or_insert_with(|| Ok(usize::MAX)) {
                            Ok(place) if *place == usize::MAX => {
                                *place = new();
                                *place
                            }
                            Ok(place) => *place,
                            Err(customer) => *customers.entry(customer.clone()).or_insert_with(new),
                        }
                    }
                    (None, None) => unreachable!(),
                };
                walks[walk].take(event, &settings, &mut counts);
            }
        }
    }
    let mut here = BTreeMap::new();
    for (number, walk) in walks.iter_mut().enumerate() {
        if joined.contains(&number) {
            continue;
        }
        walk.pass(newest, &settings, &mut counts);
        walk.count_orders(&mut counts);
        if let Some(stage) = walk.stage.filter(|_| walk.is_open) {
            *here.entry(stage).or_default() += 1;
        }
    }
    counts.retain(|_, value| *value != 0);
    (counts, here)
}

fn compare(seed: u64, identifies: bool, measures: &[Measure]) {
    let acts = history(seed, identifies);
    let journeys = fold(&acts);
    let (mut expected, here) = recount(&acts);
    let last = day_of(journeys.newest().unwrap());
    expected.retain(|key, _| key.0 <= last && measures.iter().any(|m| *m as u8 == key.1));
    let found = counted(&journeys, measures);
    let differs = |(key, value): (&(Day, u8, u8, String, u16), &i64)| {
        let other = (found.get(key), expected.get(key));
        (other.0 != other.1).then(|| format!("{key:?}: {value}, {other:?}"))
    };
    let faults: Vec<String> = found.iter().chain(&expected).filter_map(differs).collect();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    // entered = moved on + moved back + left + joined + still here
    let mut open: BTreeMap<u8, i64> = BTreeMap::new();
    journeys
        .table
        .each(Day::MIN, last, |_, key, value| match key.measure {
            Measure::Began => *open.entry(key.stage).or_default() += value,
            Measure::Ended => *open.entry(key.stage).or_default() -= value,
            _ => {}
        });
    open.retain(|_, value| *value != 0);
    assert_eq!(open, here, "seed {seed}");
}

#[test]
fn the_counters_are_those_of_a_recount() {
    for seed in 0..200 {
        compare(seed, false, &RECOUNTED);
    }
}

#[test]
fn the_histories_know_every_way_to_begin_and_to_end() {
    let mut seen: BTreeSet<(u8, u16)> = BTreeSet::new();
    for seed in 1_000..1_040 {
        let counts = counted(&fold(&history(seed, true)), &RECOUNTED);
        seen.extend(counts.keys().map(|key| (key.1, key.4)));
    }
    let endings = [Ending::Left, Ending::Joined, Ending::To(4), Ending::To(0)];
    for ending in endings {
        assert!(
            seen.contains(&(Measure::Ended as u8, ending_code(ending))),
            "{ending:?}"
        );
        assert!(
            seen.contains(&(Measure::Passed as u8, ending_code(ending))),
            "{ending:?}"
        );
    }
    for origin in [Origin::New, Origin::Returned, Origin::From(3)] {
        assert!(
            seen.contains(&(Measure::Began as u8, origin_code(origin))),
            "{origin:?}"
        );
    }
    assert!(
        RECOUNTED
            .iter()
            .all(|m| seen.iter().any(|key| key.0 == *m as u8))
    );
}

#[test]
fn visitors_who_turn_out_to_be_somebody_are_counted_once() {
    // two carts that turn out to be one are told by a test of their own
    let measures: Vec<Measure> = RECOUNTED[..11].to_vec();
    for seed in 1_000..1_300 {
        compare(seed, true, &measures);
    }
}

#[test]
fn the_order_of_persons_does_not_matter() {
    let all: Vec<Measure> = RECOUNTED.to_vec();
    for seed in 0..40 {
        let acts = history(seed, false);
        let by_person = |act: &Act| match act {
            Act::Event(event) => format!("{:?}", event.subject),
            Act::Identify(..) => unreachable!(),
        };
        let mut sorted = acts.clone();
        sorted.sort_by_key(by_person);
        let mut reversed = acts.clone();
        reversed.sort_by_key(|act| std::cmp::Reverse(by_person(act)));
        let counts = counted(&fold(&acts), &all);
        assert!(!counts.is_empty());
        assert_eq!(counted(&fold(&sorted), &all), counts);
        assert_eq!(counted(&fold(&reversed), &all), counts);
    }
}

#[test]
fn a_checkpoint_goes_on_where_it_ended() {
    for seed in 1_000..1_020 {
        let acts = history(seed, true);
        let whole = fold(&acts);
        let mut part = fold(&acts[..acts.len() / 2]);
        let mut part = Journeys::decode(&part.encode()).unwrap();
        for act in &acts[acts.len() / 2..] {
            part.apply(&record(act), &NoGroups);
        }
        assert_eq!(part.end(), whole.end());
        let all: Vec<Measure> = RECOUNTED.to_vec();
        assert_eq!(counted(&part, &all), counted(&whole, &all));
    }
}
