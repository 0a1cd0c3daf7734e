//! The ledger of offers at work: random histories through the committer against a naive ledger, and many callers at
//! once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod naive;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nextbest::application::ingest::{Committer, Ingest};
use nextbest::application::recipes::Recipes;
use nextbest::application::reserve::{Choice, RedeemWhat, Redemption, Wish};
use nextbest::application::shop::{Clock, OfferPolicy, Shop, ShopSettings};
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{
    Currency, CustomerId, EventDraft, Offer, OfferDraft, OfferId, OfferKind, OrderId, RecordBody,
    ReservationId, Subject, Timestamp, VisitorId,
};
use nextbest::state::reservations::{Ledger, Usage};
use nextbest::state::{FoldSettings, State};
use nextbest::store::{Journal, MemoryJournal, SigningKey};
use proptest::prelude::*;

use crate::harness::fresh_fold;
use naive::Naive;

const START_MS: i64 = 1_750_000_000_000;
const HOLDS_MS: i64 = 6 * HOUR_MS;
const PEOPLE: usize = 3;
const OFFERS: usize = 4;

/// A shop at work whose clock is set by hand.
pub(crate) struct Desk {
    pub(crate) shop: Arc<Shop>,
    pub(crate) ingest: Ingest,
    committer: Committer,
    clock: Arc<AtomicI64>,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    pub(crate) fn open(journal: Arc<dyn Journal>) -> Self {
        let clock = Arc::new(AtomicI64::new(START_MS));
        let told = clock.clone();
        let settings = ShopSettings {
            fold: FoldSettings {
                journey: Recipes::embedded().unwrap().journey,
                visitor_idle_days: 90,
            },
            recipes: Vec::new(),
            horizons_ms: Vec::new(),
            segments: Vec::new(),
            offers: OfferPolicy {
                reservation_ms: HOLDS_MS,
                ..OfferPolicy::default()
            },
            decision_ms: 6 * 3_600_000,
            checkpoint_every: 1_000_000,
            write_queue: 64,
            key: SigningKey::random().unwrap(),
        };
        let clock_of_shop = Clock::telling(move || Timestamp::from_ms(told.load(Ordering::SeqCst)));
        let (shop, _) = Shop::open(journal, None, clock_of_shop, settings).unwrap();
        let (ingest, committer) = Ingest::start(shop.clone()).unwrap();
        Self {
            shop,
            ingest,
            committer,
            clock,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn write(&self, body: RecordBody) {
        self.ingest.write_blocking(vec![body]).unwrap();
    }

    pub(crate) fn usage(&self, id: &OfferId) -> Usage {
        let known = self.shop.known();
        let number = known.state.offers.number(id.as_str()).unwrap();
        Ledger::new(&known.state, self.now()).usage(number)
    }

    pub(crate) fn stop(self) {
        self.committer.stop();
    }
}

pub(crate) fn customer(number: usize) -> Subject {
    Subject::Customer {
        customer: CustomerId::trusted(format!("c{number}")),
        visitor: None,
    }
}

fn visitor(number: usize) -> Subject {
    Subject::Visitor(VisitorId::trusted(format!("v{number}")))
}

pub(crate) fn offer_id(number: usize) -> OfferId {
    OfferId::trusted(format!("o{number}"))
}

/// Money off, with budgets and caps.
pub(crate) fn offer(number: usize, change: impl Fn(&mut Offer)) -> RecordBody {
    let id = offer_id(number);
    let draft = OfferDraft {
        offer_id: id.as_str(),
        kind: Some(Ok(OfferKind::Amount)),
        value: Some(Ok(5.0)),
        currency: "EUR",
        ..OfferDraft::default()
    };
    let journey = Recipes::embedded().unwrap().journey;
    let mut offer = draft.check(&journey, &|_| Ok(())).unwrap();
    assert_eq!(offer.terms.currency, Some(Currency::parse("EUR").unwrap()));
    change(&mut offer);
    RecordBody::OfferUpserted(Box::new(offer))
}

pub(crate) fn wish(subject: Subject, offers: &[usize], most: usize) -> Wish {
    let choices = offers.iter().map(|&number| Choice {
        offer: offer_id(number),
        fallback: false,
        is_limited: true,
    });
    Wish {
        subject,
        most,
        choices: choices.collect(),
    }
}

/// What somebody does.
#[derive(Debug, Clone)]
enum Act {
    Later(i64),
    Offer(usize, [Option<u8>; 4], bool),
    Reserve(Vec<(usize, bool, Vec<usize>)>, usize),
    /// The nth reservation so far.
    Redeem(usize, Option<usize>),
    RedeemFree(usize, bool, usize, usize),
    Release(usize),
    /// An event: redeemed, or declined.
    Fact(usize, bool, usize, Option<usize>, bool),
    Identify(usize, usize),
    Erase(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let small = || prop::option::weighted(0.6, 1..6u8);
    let wish = (
        0..PEOPLE,
        any::<bool>(),
        prop::collection::vec(0..OFFERS, 1..4),
    );
    let act = prop_oneof![
        2 => prop_oneof![Just(HOUR_MS), Just(HOLDS_MS), Just(DAY_MS)].prop_map(Act::Later),
        3 => (0..OFFERS, [small(), small(), small(), small()], any::<bool>())
            .prop_map(|(offer, limits, group)| Act::Offer(offer, limits, group)),
        8 => (prop::collection::vec(wish, 1..4), 1..3usize)
            .prop_map(|(wishes, most)| Act::Reserve(wishes, most)),
        4 => (0..20usize, prop::option::of(0..4usize)).prop_map(|(n, o)| Act::Redeem(n, o)),
        2 => (0..PEOPLE, any::<bool>(), 0..OFFERS, 0..4usize)
            .prop_map(|(who, known, offer, order)| Act::RedeemFree(who, known, offer, order)),
        1 => (0..20usize).prop_map(Act::Release),
        2 => (0..PEOPLE, any::<bool>(), 0..OFFERS, prop::option::of(0..4usize), any::<bool>())
            .prop_map(|(a, b, c, d, e)| Act::Fact(a, b, c, d, e)),
        2 => (0..PEOPLE, 0..PEOPLE).prop_map(|(v, c)| Act::Identify(v, c)),
        1 => (0..PEOPLE).prop_map(Act::Erase),
    ];
    prop::collection::vec(act, 1..50)
}

fn who(number: usize, is_known: bool) -> Subject {
    if is_known {
        customer(number)
    } else {
        visitor(number)
    }
}

/// One history, with what has to hold after each act.
struct Run {
    desk: Desk,
    granted: Vec<ReservationId>,
    facts: usize,
}

impl Run {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Later(ms) => {
                self.desk.clock.fetch_add(*ms, Ordering::SeqCst);
            }
            Act::Offer(number, limits, group) => self.desk.write(offer(*number, |offer| {
                let terms = &mut offer.terms;
                terms.budget_units = limits[0].map(u64::from);
                terms.budget_amount =
                    limits[1].map(|n| nextbest::domain::Micros(i64::from(n) * 7_000_000));
                terms.cap_per_customer = limits[2].map(u32::from);
                terms.cap_window_days = limits[2].and(limits[3]).map(u32::from);
                terms.exclusivity_group = group.then(|| "group".into());
            })),
            Act::Reserve(wishes, most) => self.reserve(wishes, *most),
            Act::Redeem(nth, order) => {
                if let Some(&id) = self.granted.get(*nth) {
                    self.redeem(RedeemWhat::Reservation(id), *order, "");
                }
            }
            Act::RedeemFree(person, is_known, number, order) => {
                let what = RedeemWhat::Offer(offer_id(*number), who(*person, *is_known));
                self.redeem(what, Some(*order), "");
            }
            Act::Release(nth) => {
                if let Some(&id) = self.granted.get(*nth) {
                    let released = self.desk.ingest.release(id);
                    // refused where it was redeemed, or its owner was erased
                    let _ = self.desk.runtime.block_on(released);
                }
            }
            Act::Fact(person, is_known, number, order, declined) => {
                self.fact(&who(*person, *is_known), *number, *order, *declined);
            }
            Act::Identify(v, c) => self.desk.write(RecordBody::VisitorIdentified {
                visitor: VisitorId::trusted(format!("v{v}")),
                customer: CustomerId::trusted(format!("c{c}")),
            }),
            Act::Erase(number) => self.erase(*number),
        }
        self.compare();
    }

    fn reserve(&mut self, wishes: &[(usize, bool, Vec<usize>)], most: usize) {
        let wishes: Vec<Wish> = wishes
            .iter()
            .map(|(person, is_known, offers)| wish(who(*person, *is_known), offers, most))
            .collect();
        let picks = self.desk.ingest.reserve_blocking(wishes.clone()).unwrap();
        assert_eq!(picks.len(), wishes.len());
        for (wish, picks) in wishes.iter().zip(picks) {
            assert!(picks.len() <= wish.most);
            for pick in picks {
                let offer = &wish.choices[pick.choice].offer;
                if let Some(reservation) = pick.reservation {
                    assert!(reservation.expires_at > self.desk.now());
                    if !self.granted.contains(&reservation.id) {
                        self.granted.push(reservation.id);
                        self.assert_within(offer);
                    }
                }
            }
        }
    }

    fn redeem(&mut self, what: RedeemWhat, order: Option<usize>, request: &str) {
        let redemption = Redemption {
            what,
            order: order.map(|order| OrderId::trusted(format!("order-{order}"))),
            request: request.to_owned(),
        };
        let redeem = || {
            let redeemed = self.desk.ingest.redeem(redemption.clone());
            self.desk.runtime.block_on(redeemed)
        };
        if let Ok(redeemed) = redeem() {
            let end = self.desk.shop.journal.end();
            // again: nothing changes
            let again = redeem().unwrap();
            assert!(again.already);
            assert_eq!(again.offer, redeemed.offer);
            assert_eq!(self.desk.shop.journal.end(), end);
            if !redeemed.already && redeemed.reservation.is_none() {
                self.assert_within(&redeemed.offer);
            }
        }
    }

    /// What was just given keeps within the budget, also in money.
    fn assert_within(&self, id: &OfferId) {
        let usage = self.desk.usage(id);
        let known = self.desk.shop.known();
        let number = known.state.offers.number(id.as_str()).unwrap();
        let terms = &known
            .state
            .offers
            .item(number)
            .listing
            .as_ref()
            .unwrap()
            .terms;
        let mut sum = usage.reserved;
        sum.add(usage.redeemed);
        assert!(
            terms.budget_units.is_none_or(|budget| sum.units <= budget),
            "{sum:?}"
        );
        assert!(
            terms
                .budget_amount
                .is_none_or(|budget| sum.amount <= budget),
            "{sum:?}"
        );
    }

    fn fact(&mut self, subject: &Subject, number: usize, order: Option<usize>, declined: bool) {
        self.facts += 1;
        let order = order.map_or_else(String::new, |order| format!("order-{order}"));
        let offer = offer_id(number);
        let draft = EventDraft {
            event_id: &format!("fact-{}", self.facts),
            event_type: if declined {
                "offer_declined"
            } else {
                "offer_redeemed"
            },
            time: Some(Ok(self.desk.now())),
            customer_id: subject.customer().map_or("", CustomerId::as_str),
            visitor_id: subject.visitor().map_or("", VisitorId::as_str),
            offer_id: offer.as_str(),
            order_id: &order,
            ..EventDraft::default()
        };
        let event = draft.check(self.desk.now(), |_| 0).unwrap();
        self.desk.write(RecordBody::Event(Box::new(event)));
    }

    /// What was redeemed stays spent; what was reserved is free.
    fn erase(&mut self, number: usize) {
        let all = || {
            let known = self.desk.shop.known();
            let items = known.state.offers.items().iter();
            let spent = items.filter(|item| item.usage.redeemed.units > 0);
            let mut spent: Vec<_> = spent
                .map(|item| (item.id.clone(), item.usage.redeemed))
                .collect();
            spent.sort_by(|a, b| a.0.cmp(&b.0));
            spent
        };
        let before = all();
        let id = CustomerId::trusted(format!("c{number}"));
        let erased = self.desk.ingest.erase(id.clone());
        self.desk.runtime.block_on(erased).unwrap();
        assert_eq!(all(), before);
        self.desk.shop.fold_anew().unwrap();
        assert_eq!(all(), before);
        let known = self.desk.shop.known();
        assert_eq!(known.state.people.customer(&id), None);
    }

    /// State is the fold of the journal, and says what the naive ledger says.
    fn compare(&self) {
        let fresh = fresh_fold(&self.desk.shop);
        let known = self.desk.shop.known();
        assert!(known.state.encode() == fresh.encode());
        let naive = Naive::of(&*self.desk.shop.journal, self.desk.now());
        let ledger = Ledger::new(&known.state, self.desk.now());
        for (number, item) in known.state.offers.items().iter().enumerate() {
            let usage = ledger.usage(number as u32);
            assert_eq!(usage, naive.usage(&item.id), "usage of {}", item.id);
        }
        for &id in &self.granted {
            let found = known.state.reservations.get(id, self.desk.now());
            assert_eq!(found.map(|found| found.status), naive.status(id));
        }
    }
}

/// Wherever a checkpoint is taken, the rest of the journal makes the same State of it.
fn checkpoint_and_tail(shop: &Shop) {
    let records = shop.journal.read_from(nextbest::domain::Position(0));
    let records: Vec<_> = records.map(|read| read.unwrap().1).collect();
    let full = fresh_fold(shop).encode();
    let mut prefix = State::new(shop.settings.fold.clone());
    for split in 0..=records.len() {
        let mut restored = State::decode(&prefix.encode()).unwrap();
        assert!(restored == prefix, "after {split} records");
        for record in &records[split..] {
            restored.apply(record);
        }
        assert!(restored.encode() == full, "split after {split} records");
        if let Some(record) = records.get(split) {
            prefix.apply(record);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_history_takes_more_than_there_is(acts in acts()) {
        let desk = Desk::open(Arc::new(MemoryJournal::new()));
        for number in 0..OFFERS {
            desk.write(offer(number, |offer| {
                offer.terms.budget_units = Some(2 + number as u64);
                offer.terms.cap_per_customer = (number % 2 == 0).then_some(1);
            }));
        }
        let mut run = Run {
            desk,
            granted: Vec::new(),
            facts: 0,
        };
        for act in &acts {
            run.act(act);
        }
        checkpoint_and_tail(&run.desk.shop);
        run.desk.stop();
    }
}
