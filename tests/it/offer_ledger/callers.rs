//! Many callers at once: nobody gets what is not there, and nothing that is there stays behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use nextbest::domain::{CustomerId, RecordBody, VisitorId};
use nextbest::store::MemoryJournal;

use super::{Desk, customer, offer, offer_id, visitor, wish};

const CALLERS: usize = 64;
const ASKED: usize = 40;
const BUDGET: u64 = 500;

#[test]
fn sixty_four_callers_share_a_budget_to_the_last_unit() {
    let desk = Desk::open(Arc::new(MemoryJournal::new()));
    desk.write(offer(0, |offer| offer.terms.budget_units = Some(BUDGET)));
    desk.write(offer(1, |offer| {
        // 5 each
        offer.terms.budget_amount = Some(nextbest::domain::Micros(1_003_000_000));
    }));
    let ids: Vec<_> = std::thread::scope(|scope| {
        let callers = (0..CALLERS).map(|caller| {
            let ingest = desk.ingest.clone();
            scope.spawn(move || {
                let mut got = Vec::new();
                for call in 0..ASKED {
                    let who = customer(caller * ASKED + call);
                    let picks = ingest
                        .reserve_blocking(vec![wish(who, &[0, 1], 1)])
                        .unwrap();
                    got.extend(picks[0].iter().map(|pick| (pick.choice, pick.reservation)));
                }
                got
            })
        });
        let callers: Vec<_> = callers.collect();
        callers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    let of = |choice| ids.iter().filter(|(c, _)| *c == choice).count() as u64;
    // all wanted the first and fell to the second: 1,003 is 200 times 5 and a rest
    assert_eq!((of(0), of(1)), (BUDGET, 200));
    let different: BTreeSet<_> = ids.iter().map(|(_, held)| held.unwrap().id).collect();
    assert_eq!(different.len(), ids.len());
    assert_eq!(desk.usage(&offer_id(0)).reserved.units, BUDGET);
    assert_eq!(desk.usage(&offer_id(1)).reserved.amount.0, 1_000_000_000);
    desk.stop();
}

#[test]
fn one_customer_asked_for_by_many_callers_has_one_reservation() {
    let desk = Desk::open(Arc::new(MemoryJournal::new()));
    desk.write(offer(0, |offer| {
        offer.terms.budget_units = Some(1_000);
        offer.terms.cap_per_customer = Some(3);
    }));
    let ids: BTreeSet<_> = std::thread::scope(|scope| {
        let callers = (0..CALLERS).map(|_| {
            let ingest = desk.ingest.clone();
            scope.spawn(move || {
                let wishes = vec![wish(customer(0), &[0], 1), wish(customer(0), &[0], 1)];
                let picks = ingest.reserve_blocking(wishes).unwrap();
                let picks = picks.into_iter().flatten();
                let ids: Vec<_> = picks.map(|pick| pick.reservation.unwrap().id).collect();
                assert_eq!(ids.len(), 2);
                ids
            })
        });
        let callers: Vec<_> = callers.collect();
        callers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 1);
    assert_eq!(desk.usage(&offer_id(0)).reserved.units, 1);
    desk.stop();
}

#[test]
fn a_visitor_who_turns_out_to_be_a_customer_gets_no_more_than_one_of_them() {
    let desk = Desk::open(Arc::new(MemoryJournal::new()));
    desk.write(offer(0, |offer| offer.terms.cap_per_customer = Some(1)));
    let reserve = |who| {
        let picks = desk
            .ingest
            .reserve_blocking(vec![wish(who, &[0], 1)])
            .unwrap();
        picks[0].first().map(|pick| pick.reservation.unwrap().id)
    };
    let redeem = |id| {
        let redemption = nextbest::application::reserve::Redemption {
            what: nextbest::application::reserve::RedeemWhat::Reservation(id),
            order: None,
            request: String::new(),
        };
        desk.runtime.block_on(desk.ingest.redeem(redemption))
    };
    let known = reserve(customer(0)).unwrap();
    let anonymous = reserve(visitor(0)).unwrap();
    assert_ne!(known, anonymous);
    desk.write(RecordBody::VisitorIdentified {
        visitor: VisitorId::trusted("v0".to_owned()),
        customer: CustomerId::trusted("c0".to_owned()),
    });
    // one of the two goes on; no third is made
    let now = reserve(visitor(0)).unwrap();
    assert!([known, anonymous].contains(&now));
    assert_eq!(desk.usage(&offer_id(0)).reserved.units, 2);
    assert!(!redeem(now).unwrap().already);
    let other = if now == known { anonymous } else { known };
    let refused = redeem(other).unwrap_err();
    assert!(
        refused.to_string().contains("OFFER_CAP_REACHED"),
        "{refused}"
    );
    assert_eq!(reserve(customer(0)), None);
    desk.stop();
}
