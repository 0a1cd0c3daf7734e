//! Random histories over few ids, so that everything collides: events, news of the catalog, identifications, erasures.

use nextbest::application::ownership;
use nextbest::domain::attribution::short_hash;
use nextbest::domain::journey::{Journey, KindSet, Rule, Stage};
use nextbest::domain::record::customer_fingerprint;
use nextbest::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use nextbest::domain::{
    AnswerKept, Attribution, CampaignId, Credit, Customer, CustomerId, DecisionKey, Event,
    EventDraft, EventKind, Fingerprint, InventorySet, Micros, Offer, OfferDecision, OfferDraft,
    OfferId, OfferKind, Offered, Origin, Outcome, Product, ProductId, Record, RecordBody, Shown,
    StageIndex, Subject, Timestamp, VisitorId,
};
use nextbest::state::FoldSettings;
use nextbest::store::{Journal, MemoryJournal};
use proptest::prelude::*;
use proptest::sample::select;

/// Customers, and as many visitors.
pub(crate) const PEOPLE: usize = 3;
const PRODUCTS: usize = 5;
pub(crate) const OFFERS: usize = 3;
pub(crate) const CAMPAIGNS: usize = 2;
/// So many products are named by offers alone.
const NAMED: usize = 2;
const ORDERS: usize = 4;
const SESSIONS: usize = 2;
/// In a busy history everything happens in so many slots: then visits go on, meet and end.
const BUSY_SLOTS: i64 = 2;
/// Moments lie this far apart.
const SLOT_MS: i64 = 3 * HOUR_MS;
const SLOTS: i64 = 40;

/// What somebody does to the service.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Writes a record; the journal refuses events it knows.
    Write(RecordBody),
    /// Writes an earlier event again: that many writes back.
    Again(usize),
    /// Erases a customer.
    Erase(CustomerId),
}

pub(crate) fn slot(number: i64) -> Timestamp {
    Timestamp::from_ms(1_300_000_000_000 + number * SLOT_MS)
}

pub(crate) fn customer(number: usize) -> CustomerId {
    CustomerId::trusted(format!("customer-{number}"))
}

pub(crate) fn visitor(number: usize) -> VisitorId {
    VisitorId::trusted(format!("visitor-{number}"))
}

pub(crate) fn campaign(number: usize) -> CampaignId {
    CampaignId::trusted(format!("campaign-{number}"))
}

fn product(number: usize) -> ProductId {
    ProductId::trusted(format!("product-{number}"))
}

/// How to fold: rules of every shape.
pub(crate) fn settings() -> FoldSettings {
    let rule = |stage, kinds: &[EventKind], within_ms, at_least| Rule {
        stage: StageIndex(stage),
        kinds: KindSet::of(kinds),
        from_ms: 0,
        within_ms,
        at_least,
        after_last: KindSet::default(),
        min_rating: None,
        has_bought: None,
    };
    let rules = vec![
        Rule {
            after_last: KindSet::of(&[EventKind::Purchase]),
            ..rule(1, &[EventKind::AddToCart], DAY_MS, 1)
        },
        Rule {
            min_rating: Some(4.0),
            ..rule(
                2,
                &[EventKind::Review, EventKind::NpsResponse],
                2 * DAY_MS,
                1,
            )
        },
        rule(3, &[EventKind::Purchase], 4 * DAY_MS, 2),
        rule(4, &[EventKind::Purchase], DAY_MS, 1),
        Rule {
            from_ms: 2 * DAY_MS,
            ..rule(5, &[EventKind::Purchase], 400 * DAY_MS, 1)
        },
        Rule {
            has_bought: Some(false),
            ..rule(6, &[EventKind::ViewItem, EventKind::PageView], DAY_MS, 2)
        },
    ];
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        aim: String::new(),
    };
    let names = ["new", "cart", "fan", "loyal", "active", "gone", "curious"];
    FoldSettings {
        journey: Journey {
            stages: names.map(stage).to_vec(),
            rules,
            otherwise: StageIndex(0),
            recovery: nextbest::domain::journey::Recovery::default(),
            health: nextbest::domain::HealthBounds::default(),
        },
        visitor_idle_days: 90,
    }
}

/// An event that differs from the plainest one by `change`.
pub(crate) fn event(time: Timestamp, repetition: u64, draft: EventDraft<'_>) -> Event {
    let draft = EventDraft {
        time: Some(Ok(time)),
        ..draft
    };
    draft.check(Timestamp::MAX, |_| repetition).unwrap()
}

fn kinds() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        5 => Just(EventKind::Purchase),
        1 => Just(EventKind::Refund),
        2 => Just(EventKind::ViewItem),
        2 => Just(EventKind::AddToCart),
        3 => select(EventKind::ALL),
        3 => select(EventKind::ALL).prop_filter("of offers", |kind| Outcome::of(*kind).is_some()),
    ]
}

/// Customer, visitor or both.
fn somebody() -> impl Strategy<Value = (Option<usize>, Option<usize>)> {
    prop_oneof![
        3 => (0..PEOPLE).prop_map(|c| (Some(c), None)),
        3 => (0..PEOPLE).prop_map(|v| (None, Some(v))),
        1 => (0..PEOPLE, 0..PEOPLE).prop_map(|(c, v)| (Some(c), Some(v))),
    ]
}

/// How long after its slot something happens, and in which session: within the silence that ends a visit, and beyond.
fn visits() -> impl Strategy<Value = (i64, Option<usize>)> {
    let later = select(vec![0, 10, 30, 31, 50, 80]);
    (later, prop::option::weighted(0.4, 0..SESSIONS))
}

/// What a token may have proved: few decisions with few products each, one in four of them for somebody else.
fn attributions() -> impl Strategy<Value = Attribution> {
    let shown = prop::sample::subsequence(vec![1u32, 2, 3], 1..=3);
    (0..3u8, shown, 0..4).prop_map(|(decision, products, theirs)| Attribution {
        decision: Fingerprint([decision; 16]),
        moment: slot(0),
        stage: ["cart", "of old"][usize::from(decision.min(1))].into(),
        placement: decision.into(),
        revision: 0,
        is_theirs: theirs > 0,
        shown: products
            .into_iter()
            .map(|product| Shown {
                product,
                origin: Origin::ALL[product as usize],
                rank: product as u8,
                base: (product > 1).then_some(-512),
                probability: 1.0,
            })
            .collect(),
        // one decision for two offers, one for none
        offers: offered_by(decision).map(|offers| OfferDecision {
            offers,
            none: 0.25,
            others: Vec::new(),
            is_held_out: false,
            base: (decision % 2 == 0).then_some(-384),
        }),
    })
}

fn offered_by(decision: u8) -> Option<Vec<Offered>> {
    let offered = |number: usize| Offered {
        offer: short_hash(offer_id(number).as_str()),
        probability: 0.5,
    };
    match decision {
        0 => Some(vec![offered(0), offered(1)]),
        1 => Some(Vec::new()),
        _ => None,
    }
}

/// Events: half of them with one of few ids, so that some come twice with another content.
fn events_within(slots: i64) -> impl Strategy<Value = Event> {
    let what = (
        kinds(),
        prop::option::weighted(0.7, 0..PRODUCTS),
        select(vec![0.5, 1.0, 2.0]),
        prop::option::of(0..ORDERS),
        0..=5u32,
        prop::option::weighted(0.7, 0..OFFERS),
    );
    let identity = (prop::option::of(0..60u32), 0..3u64);
    let when = (0..slots, visits());
    let credit = prop::option::of(attributions());
    let all = (what, somebody(), when, identity, credit);
    all.prop_map(|(what, who, when, (id, repetition), credit)| {
        let (moment, (later, session)) = when;
        let (kind, bought, quantity, order, rating, offer) = what;
        let text = |prefix: &str, number: Option<usize>| {
            number.map_or_else(String::new, |number| format!("{prefix}-{number}"))
        };
        let bought = if kind.needs_product() {
            bought.or(Some(0))
        } else {
            bought
        };
        // orders have moments of their own: which of two equal moments comes first when a basket moves is not told
        let own = order.filter(|_| kind == EventKind::Purchase);
        let later = match kind {
            EventKind::Purchase => own.map_or(0, |order| 1 + order as i64),
            _ => later * MINUTE_MS,
        };
        let time = slot(moment).plus_ms(later);
        let rating = kind
            .rating_scale()
            .map(|scale| Ok(f64::from(rating).clamp(*scale.start(), *scale.end())));
        // also with kinds that say nothing of it
        let offer = if kind.needs_offer() {
            offer.or(Some(0))
        } else {
            offer
        };
        let draft = EventDraft {
            event_id: &id.map_or_else(String::new, |id| format!("event-{id}")),
            event_type: kind.as_str(),
            customer_id: &text("customer", who.0),
            visitor_id: &text("visitor", who.1),
            product_id: &text("product", bought),
            quantity: Some(Ok(quantity)),
            order_id: &text("order", order),
            session_id: &text("session", session),
            offer_id: &text("offer", offer),
            // as many as there are, and none
            touchpoint: ["site", "app", "", "store"][(moment % 4) as usize],
            rating,
            ..EventDraft::default()
        };
        Event {
            credit: credit.map(|proven| Credit::Proven(Box::new(proven))),
            ..event(time, repetition, draft)
        }
    })
}

fn offer_id(number: usize) -> OfferId {
    OfferId::trusted(format!("offer-{number}"))
}

/// An offer for ten slots.
pub(crate) fn offer(
    number: usize,
    products: &[usize],
    in_campaign: Option<usize>,
    start: Option<i64>,
    paused: bool,
) -> Offer {
    let products: Vec<ProductId> = products.iter().map(|&number| product(number)).collect();
    let (id, in_campaign) = (offer_id(number), in_campaign.map(campaign));
    let draft = OfferDraft {
        offer_id: id.as_str(),
        kind: Some(Ok(OfferKind::Amount)),
        value: Some(Ok(5.0)),
        campaign_id: in_campaign.as_ref().map_or("", CampaignId::as_str),
        product_ids: products.iter().map(ProductId::as_str).collect(),
        stages: vec!["gone", "cart"],
        starts_at: start.map(|start| Ok(slot(start))),
        ends_at: start.map(|start| Ok(slot(start + 10))),
        paused: Some(Ok(paused)),
        ..OfferDraft::default()
    };
    draft.check(&settings().journey, &|_| Ok(())).unwrap()
}

/// Everything but events and erasures.
pub(crate) fn news() -> impl Strategy<Value = RecordBody> {
    let price = || prop::option::of((1..5i64).prop_map(Micros));
    let upsert = (0..PRODUCTS, price(), any::<bool>());
    let upsert = upsert.prop_map(|(number, price, available)| {
        RecordBody::ProductUpserted(Box::new(Product {
            id: product(number),
            name: format!("name {price:?}").into(),
            category: vec!["all".into()],
            brand: "brand".into(),
            price,
            currency: None,
            unit_cost: None,
            available,
            created_at: None,
            attributes: Vec::new(),
        }))
    });
    let stock = (
        0..PRODUCTS,
        0..SLOTS,
        prop::option::of(any::<bool>()),
        price(),
    );
    let stock = stock.prop_map(|(number, moment, available, price)| {
        let news = InventorySet {
            set_at: slot(moment),
            available,
            price,
        };
        RecordBody::InventorySet(product(number), news)
    });
    let offered = (
        0..OFFERS,
        prop::collection::vec(0..PRODUCTS + NAMED, 0..4),
        prop::option::of(0..CAMPAIGNS),
        prop::option::of(0..SLOTS),
        any::<bool>(),
    );
    let offered = offered.prop_map(|(number, products, campaign, start, paused)| {
        RecordBody::OfferUpserted(Box::new(offer(number, &products, campaign, start, paused)))
    });
    let traits = (0..PEOPLE, 0..3usize).prop_map(|(number, country)| {
        let country = ["DE", "FR", "GB"][country];
        RecordBody::CustomerUpserted(Box::new(Customer {
            id: customer(number),
            traits: vec![("country".into(), country.into())],
        }))
    });
    let identified = (0..PEOPLE, 0..PEOPLE).prop_map(|(v, c)| RecordBody::VisitorIdentified {
        visitor: visitor(v),
        customer: customer(c),
    });
    let kept = (0..PEOPLE, any::<bool>(), 0..2u8, -2..3i64);
    let kept = kept.prop_map(|(number, by_customer, key, hours)| {
        let subject = match by_customer {
            true => Subject::Customer {
                customer: customer(number),
                visitor: None,
            },
            false => Subject::Visitor(visitor(number)),
        };
        RecordBody::AnswerKept(Box::new(AnswerKept {
            key: DecisionKey::trusted(format!("key-{key}")),
            subject,
            question: Fingerprint([key; 16]),
            // every record is taken in at the first slot: some of these are over at once
            expires_at: slot(0).plus_ms(hours * HOUR_MS),
            answer: [key].into(),
        }))
    });
    prop_oneof![
        2 => kept,
        3 => upsert,
        1 => (0..PRODUCTS).prop_map(|number| RecordBody::ProductDeleted(product(number))),
        3 => stock,
        4 => offered,
        1 => (0..OFFERS).prop_map(|number| RecordBody::OfferDeleted(offer_id(number))),
        1 => traits,
        4 => identified,
        1 => (0..3u32).prop_map(|n| RecordBody::ModelActivated(format!("revision-{n}").into())),
    ]
}

/// A history of at most 60 acts: below every bound of memory. One in three is busy.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Act>> {
    prop_oneof![
        2 => histories_within(SLOTS),
        1 => histories_within(BUSY_SLOTS),
    ]
}

fn histories_within(slots: i64) -> impl Strategy<Value = Vec<Act>> {
    let event = events_within(slots).prop_map(|event| RecordBody::Event(Box::new(event)));
    let act = prop_oneof![
        24 => event.prop_map(Act::Write),
        8 => news().prop_map(Act::Write),
        2 => (0..10usize).prop_map(Act::Again),
        1 => (0..PEOPLE).prop_map(|number| Act::Erase(customer(number))),
    ];
    prop::collection::vec(act, 0..60)
}

/// With the repeated writes spelt out.
pub(crate) fn spelt_out(history: &[Act]) -> Vec<Act> {
    let mut written: Vec<RecordBody> = Vec::new();
    let mut acts = Vec::new();
    for act in history {
        match act {
            Act::Write(body) => written.push(body.clone()),
            Act::Again(back) => {
                let events = written.iter().rev();
                let mut events = events.filter(|body| matches!(body, RecordBody::Event(_)));
                if let Some(body) = events.nth(*back) {
                    acts.push(Act::Write(body.clone()));
                }
                continue;
            }
            Act::Erase(_) => {}
        }
        acts.push(act.clone());
    }
    acts
}

pub(crate) fn record(body: RecordBody) -> Record {
    Record {
        recorded_at: slot(0),
        body,
    }
}

/// What the journal holds after a history.
pub(crate) fn journal_of(acts: &[Act]) -> Vec<Record> {
    let journal = MemoryJournal::new();
    for act in acts {
        match act {
            Act::Write(body) => {
                journal.append(&[record(body.clone())]).unwrap();
            }
            Act::Erase(customer) => {
                let theirs = ownership::positions(&journal, customer).unwrap();
                let erased = RecordBody::CustomerErased(vec![customer_fingerprint(customer)]);
                journal.append(&[record(erased)]).unwrap();
                journal.erase(&theirs).unwrap();
            }
            Act::Again(_) => unreachable!("spelt out"),
        }
    }
    read(&journal)
}

/// All records of a journal.
pub(crate) fn read(journal: &dyn Journal) -> Vec<Record> {
    let records = journal.read_from(nextbest::domain::Position(0));
    records.map(|read| read.unwrap().1).collect()
}
