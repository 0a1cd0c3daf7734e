//! What one customer, one product and one shop may take of the memory, and baskets that move or meet.

use nextbest::algorithms::sessions::MAX_PRODUCTS;
use nextbest::domain::time::DAY_MS;
use nextbest::domain::{EventDraft, EventKind, Outcome, RecordBody, Timestamp};
use nextbest::state::State;
use nextbest::state::products::TOP;
use nextbest::state::subjects::{MAX_LINES, MAX_OUTCOMES, MAX_REFUNDS, MAX_STEPS, Subject};

use super::history::{customer, event, record, settings, slot, visitor};

/// A State that events are told of.
struct Told(State);

impl Told {
    fn new() -> Self {
        Self(State::new(settings()))
    }

    fn tell(&mut self, time: Timestamp, draft: EventDraft<'_>) {
        let event = event(time, 0, draft);
        let body = RecordBody::Event(Box::new(event));
        self.0.apply(&record(body));
    }

    fn purchase(&mut self, time: Timestamp, who: (&str, &str), product: &str, order: &str) {
        let draft = EventDraft {
            event_type: "purchase",
            customer_id: who.0,
            visitor_id: who.1,
            product_id: product,
            order_id: order,
            ..EventDraft::default()
        };
        self.tell(time, draft);
    }

    fn customer(&self) -> &Subject {
        let person = self.0.people.customer(&customer(0)).unwrap();
        self.0.subject(person).unwrap()
    }

    fn purchases(&self) -> Vec<Timestamp> {
        let steps = self.customer().steps.iter();
        let purchases = steps.filter(|step| step.kind == EventKind::Purchase);
        purchases.map(|step| step.time).collect()
    }
}

fn after(ms: i64) -> Timestamp {
    slot(0).plus_ms(ms)
}

const CUSTOMER: (&str, &str) = ("customer-0", "");
const VISITOR: (&str, &str) = ("", "visitor-0");
const BOTH: (&str, &str) = ("customer-0", "visitor-0");

#[test]
fn a_basket_that_moves_takes_its_step_along() {
    let mut told = Told::new();
    told.purchase(after(50), CUSTOMER, "a", "order");
    told.purchase(after(60), CUSTOMER, "b", "order");
    assert_eq!(told.purchases(), [after(50)]);
    told.purchase(after(10), CUSTOMER, "c", "order");
    assert_eq!(told.purchases(), [after(10)]);
    assert_eq!(told.customer().orders, 1);
}

#[test]
fn a_basket_that_customer_and_visitor_both_know_is_one_step() {
    for (customer_at, visitor_at) in [(20, 20), (10, 20), (20, 10)] {
        let mut told = Told::new();
        told.purchase(after(customer_at), CUSTOMER, "a", "order");
        told.purchase(after(visitor_at), VISITOR, "a", "order");
        told.purchase(after(visitor_at), VISITOR, "b", "order");
        told.purchase(after(30), VISITOR, "a", "another");
        told.purchase(after(40), BOTH, "c", "third");
        assert_eq!(
            told.purchases(),
            [10.max(customer_at.min(visitor_at)), 30, 40].map(after)
        );
        assert_eq!(told.customer().orders, 3);
        let number = told.0.products.number("a").unwrap();
        let item = told.0.products.item(number);
        assert_eq!([item.baskets, item.buyers, item.repeat_buyers], [2, 1, 1]);
    }
}

#[test]
fn steps_are_bounded_and_the_last_purchase_stays() {
    let mut told = Told::new();
    told.purchase(after(0), CUSTOMER, "a", "");
    for i in 0..200 {
        let draft = EventDraft {
            event_type: "page_view",
            visitor_id: VISITOR.1,
            ..EventDraft::default()
        };
        told.tell(after(1 + i), draft);
    }
    told.purchase(after(500), BOTH, "b", "");
    let customer = told.customer();
    assert_eq!(customer.steps.len(), MAX_STEPS);
    assert_eq!(customer.events, 202);
    assert_eq!(told.purchases(), [after(500)]);
    assert_eq!(customer.seen, Some((after(0), after(500))));
}

#[test]
fn lines_are_bounded_and_orders_are_not_forgotten() {
    let mut told = Told::new();
    let baskets = 90;
    for basket in 0..baskets {
        for product in 0..50 {
            let (product, order) = (format!("p{product}"), format!("o{basket}"));
            told.purchase(after(basket), CUSTOMER, &product, &order);
        }
    }
    let customer = told.customer();
    let kept = MAX_LINES / 50;
    assert_eq!(
        (customer.lines.len(), customer.baskets.len()),
        (kept * 50, kept)
    );
    assert_eq!(customer.orders, baskets as u64);
    assert_eq!(customer.baskets[0].time, after(baskets - kept as i64));
    assert_eq!(i64::from(told.0.products.items()[0].baskets), baskets);
    // one basket may be larger than all that is remembered
    for product in 0..=MAX_LINES {
        told.purchase(after(1_000), CUSTOMER, &format!("q{product}"), "large");
    }
    let customer = told.customer();
    assert_eq!(
        (customer.baskets.len(), customer.lines.len()),
        (1, MAX_LINES + 1)
    );
    assert_eq!(
        State::decode(&told.0.encode()).unwrap().encode(),
        told.0.encode()
    );
}

#[test]
fn who_buys_again_what_is_forgotten_is_one_of_its_last_buyers_once() {
    let mut told = Told::new();
    told.purchase(after(0), CUSTOMER, "a", "first");
    told.purchase(after(1), ("customer-1", ""), "a", "");
    for product in 0..=MAX_LINES {
        told.purchase(after(10), CUSTOMER, &format!("p{product}"), "large");
    }
    assert_eq!(told.customer().distinct as usize, MAX_LINES + 1);
    told.purchase(after(20), CUSTOMER, "a", "last");
    // the large basket has gone, and nothing is known to have been bought before
    assert_eq!((told.customer().distinct, told.customer().orders), (1, 3));
    let a = told.0.products.number("a").unwrap();
    let buyers = told.0.products.item(a).last_buyers();
    let ids: Vec<&str> = buyers
        .map(|person| &*told.0.subject(person).unwrap().id)
        .collect();
    assert_eq!(ids, ["customer-1", "customer-0"]);
    assert!(told.0.products.gaps.count < 1.0);
}

#[test]
fn a_visit_is_bounded_and_its_newest_products_stay() {
    let mut told = Told::new();
    let all = MAX_PRODUCTS + 5;
    for product in 0..all {
        let draft = EventDraft {
            event_type: "view_item",
            visitor_id: VISITOR.1,
            product_id: &format!("p{product}"),
            ..EventDraft::default()
        };
        told.tell(after(product as i64), draft);
    }
    let sessions = &told.0.sessions;
    let name = |&number: &u32| told.0.products.item(number).id.to_string();
    let found: Vec<String> = sessions.products(0).iter().map(name).collect();
    let expected: Vec<String> = (5..all).map(|product| format!("p{product}")).collect();
    assert_eq!((sessions.begun(), found), (1, expected));
}

#[test]
fn refunds_are_bounded_and_the_newest_stay() {
    let mut told = Told::new();
    let refunds = MAX_REFUNDS as i64 + 40;
    for i in (0..refunds).rev() {
        let draft = EventDraft {
            event_type: "refund",
            customer_id: CUSTOMER.0,
            product_id: "a",
            ..EventDraft::default()
        };
        told.tell(after(i), draft);
    }
    let customer = told.customer();
    assert_eq!(customer.refunds.len(), MAX_REFUNDS);
    assert_eq!(customer.refunds[0].0, after(40));
}

#[test]
fn outcomes_of_offers_are_bounded_and_redemptions_stay_longest() {
    let mut told = Told::new();
    let mut tell = |time, event_type| {
        let draft = EventDraft {
            event_type,
            customer_id: CUSTOMER.0,
            offer_id: "offer",
            ..EventDraft::default()
        };
        told.tell(after(time), draft);
        let outcomes = &told.customer().outcomes;
        assert!(outcomes.len() <= MAX_OUTCOMES);
        let redeemed = outcomes.iter().filter(|o| o.outcome == Outcome::Redeemed);
        let oldest = outcomes.iter().map(|outcome| outcome.time).min();
        (outcomes.len(), redeemed.count(), oldest.unwrap())
    };
    let most = MAX_OUTCOMES as i64;
    tell(0, "offer_redeemed");
    // late ones find their place and are let go of all the same
    let mut last = (0, 0, after(0));
    for i in (1..=2 * most).rev() {
        last = tell(i, "offer_sent");
    }
    assert_eq!(last, (MAX_OUTCOMES, 1, after(0)));
    for i in 0..2 * most {
        last = tell(3 * most + i, "offer_redeemed");
    }
    assert_eq!(last, (MAX_OUTCOMES, MAX_OUTCOMES, after(4 * most)));
    let outcomes = told.0.offers.item(0).outcomes;
    assert_eq!((outcomes.sent, outcomes.redeemed), (512, 513));
}

#[test]
fn short_lists_and_neighbours_are_bounded() {
    let mut told = Told::new();
    for number in 0..TOP + 50 {
        let other = format!("p{number}");
        let order = format!("o{number}");
        told.purchase(after(number as i64), CUSTOMER, "hub", &order);
        told.purchase(after(number as i64), CUSTOMER, &other, &order);
    }
    let products = &told.0.products;
    for list in [&products.popular, &products.recent, &products.trending] {
        assert_eq!(list.len(), TOP);
        assert_eq!(list.iter().next(), products.number("hub"));
    }
    let hub = products.number("hub").unwrap();
    let neighbours = told.0.browsed_together.neighbours(hub).count();
    assert_eq!(neighbours, nextbest::algorithms::covisitation::NEIGHBOURS);
}

#[test]
fn visitors_who_never_come_back_are_forgotten() {
    const SWEEP_EVERY: usize = 65_536;
    let idle_days = i64::from(settings().visitor_idle_days);
    let mut told = Told::new();
    let view = |visitor_id| EventDraft {
        event_type: "page_view",
        visitor_id,
        ..EventDraft::default()
    };
    told.tell(after(-1), view("visitor-1"));
    told.tell(after(0), view("visitor-2"));
    told.purchase(after(-idle_days * DAY_MS), CUSTOMER, "a", "");
    for _ in 4..SWEEP_EVERY {
        told.tell(after(idle_days * DAY_MS), view("visitor-0"));
    }
    assert_eq!(told.0.people.visitor_count(), 3);
    told.tell(after(idle_days * DAY_MS), view("visitor-0"));
    assert_eq!(told.0.end().0, SWEEP_EVERY as u64);
    assert_eq!(told.0.people.visitor_count(), 2);
    assert_eq!(told.0.people.visitor(&visitor(1)), None);
    assert!(told.0.people.visitor(&visitor(2)).is_some());
    assert_eq!(told.customer().orders, 1);
    // the place is used again, also after a checkpoint
    let mut restored = Told(State::decode(&told.0.encode()).unwrap());
    for told in [&mut told, &mut restored] {
        told.tell(after(idle_days * DAY_MS), view("visitor-1"));
        assert_eq!(told.0.people.visitor_count(), 3);
    }
    assert_eq!(restored.0.encode(), told.0.encode());
}
