//! Random histories of few people who often come late, at midnight, or turn out to be somebody.

use nextbest::domain::attribution::{Attribution, Credit, OfferDecision, Offered, Origin, Shown};
use nextbest::domain::journey::{Journey, KindSet, Recovery, Rule, Stage};
use nextbest::domain::places::Described;
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{
    CustomerId, Event, EventDraft, EventKind, Fingerprint, Places, Product, ProductDraft, Record,
    RecordBody, StageIndex, Timestamp, VisitorId,
};
use nextbest::state::journeys::key::Arm;
use nextbest::state::journeys::{Groups, JourneySettings, person_key};

const START_MS: i64 = 1_300_000_000_000;
const KINDS: [EventKind; 14] = [
    EventKind::PageView,
    EventKind::ViewItem,
    EventKind::ViewItem,
    EventKind::AddToCart,
    EventKind::ViewCart,
    EventKind::Purchase,
    EventKind::Purchase,
    EventKind::NpsResponse,
    EventKind::CsatResponse,
    EventKind::Review,
    EventKind::EmailClick,
    EventKind::OfferSent,
    EventKind::Login,
    EventKind::SupportContact,
];
const TOUCHPOINTS: [&str; 4] = ["", "site", "store", "email"];
/// Id, price, currency, cost, category.
type Listed = (
    &'static str,
    Option<f64>,
    &'static str,
    Option<f64>,
    &'static [&'static str],
);
/// What purchases name; a fourth product is in no catalog.
const PRODUCTS: [Listed; 3] = [
    ("p0", Some(8.0), "EUR", Some(3.5), &["Phones", "Cases"]),
    ("p1", Some(5.25), "USD", None, &["Audio"]),
    ("p2", None, "EUR", Some(2.0), &["Phones"]),
];

/// Customers of a history.
pub(super) const CUSTOMERS: usize = 3;

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

/// A journey of which every rule, horizon and midnight is met within days.
pub(super) fn settings() -> JourneySettings {
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

/// The first two customers are in a group each, and the second one is held out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known;

impl Known {
    /// The group of a customer, by name.
    pub(super) fn group(customer: &str) -> u16 {
        match customer {
            "c0" => 1,
            "c1" => 2,
            _ => 0,
        }
    }

    /// The arm of a customer, by name.
    pub(super) fn arm(customer: &str) -> Arm {
        match customer {
            "c1" => Arm::HeldOut,
            _ => Arm::Treated,
        }
    }
}

impl Groups for Known {
    fn group_of(&self, customer: u64) -> u16 {
        let mut names = (0..CUSTOMERS).map(|number| format!("c{number}"));
        let found = names.find(|name| person_key(name) == customer);
        found.map_or(0, |name| Self::group(&name))
    }

    fn arm_of(&self, customer: &CustomerId) -> Option<Arm> {
        Some(Self::arm(customer.as_str()))
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Event(Box<Event>),
    /// A visitor is a customer.
    Identify(usize, usize, Timestamp),
}

/// What the token of a purchase proves: recommended or not, with an offer or not, for them or for somebody else.
fn credit(dice: &mut Dice) -> Option<Credit> {
    let (has_token, is_shown, has_offer) = (dice.next(2), dice.next(3), dice.next(3));
    let is_theirs = dice.next(6) > 0;
    let shown = Shown {
        product: 1,
        origin: Origin::Exploration,
        rank: 1,
        base: None,
        probability: 0.5,
    };
    let offered = Offered {
        offer: 3,
        probability: 0.25,
    };
    let decision = OfferDecision {
        offers: if has_offer == 1 {
            vec![offered]
        } else {
            Vec::new()
        },
        ..OfferDecision::default()
    };
    (has_token == 1).then(|| {
        Credit::Proven(Box::new(Attribution {
            decision: Fingerprint::of("decision", &[]),
            moment: Timestamp::from_ms(START_MS),
            stage: "".into(),
            placement: 0,
            revision: 0,
            is_theirs,
            shown: if is_shown > 0 {
                vec![shown]
            } else {
                Vec::new()
            },
            offers: (has_offer > 0).then_some(decision),
        }))
    })
}

fn event(number: usize, dice: &mut Dice, time: i64, customer: &str, visitor: &str) -> Event {
    let kind = KINDS[dice.next(KINDS.len() as u64) as usize];
    let is_sale = kind == EventKind::Purchase;
    let id = format!("e{number}");
    let order = format!("o{}", dice.next(40));
    let product = format!("p{}", dice.next(4));
    let session = format!("s{}", dice.next(3));
    let (price, rating) = (dice.next(1_000) as f64 / 8.0, dice.next(11) as f64);
    let has_price = is_sale && dice.next(4) > 0;
    let rating = match kind {
        EventKind::NpsResponse => Some(Ok(rating)),
        EventKind::CsatResponse | EventKind::Review => Some(Ok(1.0 + rating % 5.0)),
        _ => None,
    };
    let draft = EventDraft {
        event_id: &id,
        event_type: kind.as_str(),
        time: Some(Ok(Timestamp::from_ms(time))),
        customer_id: customer,
        visitor_id: visitor,
        session_id: if dice.next(3) == 0 { &session } else { "" },
        product_id: if kind.needs_product() { &product } else { "" },
        quantity: is_sale.then(|| Ok([1.0, 2.0, 0.5][dice.next(3) as usize])),
        order_id: if is_sale { &order } else { "" },
        offer_id: if kind.needs_offer() { "offer" } else { "" },
        unit_price: has_price.then_some(Ok(price)),
        currency: match dice.next(6) {
            _ if !has_price => "",
            0 => "USD",
            1 => "",
            _ => "EUR",
        },
        rating,
        touchpoint: TOUCHPOINTS[dice.next(4) as usize],
        ..EventDraft::default()
    };
    let mut event = draft.check(Timestamp::MAX, |_| 0).unwrap();
    event.credit = credit(dice).filter(|_| is_sale);
    event
}

/// The products that purchases name.
pub(super) fn products() -> Vec<Product> {
    let product = |(id, price, currency, cost, category): Listed| {
        let draft = ProductDraft {
            product_id: id,
            category: category.to_vec(),
            price: price.map(Ok),
            currency,
            unit_cost: cost.map(Ok),
            ..ProductDraft::default()
        };
        draft.check().unwrap()
    };
    PRODUCTS.map(product).to_vec()
}

/// A history, in the order of arrival.
pub(super) fn history(seed: u64, identifies: bool) -> Vec<Act> {
    let mut dice = Dice(seed);
    let mut time = START_MS - START_MS % DAY_MS;
    let mut acts = Vec::new();
    for number in 0..120 {
        time += match dice.next(8) {
            0 => 0,
            1 => DAY_MS - time % DAY_MS,
            2 => dice.next(6) as i64 * DAY_MS,
            3 | 4 => dice.next(50) as i64 * HOUR_MS / 60,
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

/// The products as records.
pub(super) fn catalog() -> Vec<Record> {
    let products = products().into_iter();
    let record = |product| Record {
        recorded_at: Timestamp::from_ms(START_MS),
        body: RecordBody::ProductUpserted(Box::new(product)),
    };
    products.map(record).collect()
}

/// What is written of an act.
pub(super) fn record(act: &Act) -> Record {
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
