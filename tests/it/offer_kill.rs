//! `kill -9` of the real program while many callers take offers with a budget: nobody is promised what is not there,
//! and what was promised is kept.
//!
//! `cargo test --release --test it offers_under_load -- --ignored` asks 64 × 200,000 times for a budget of 10,000;
//! `TEST_LOAD_CALLS=20000` before it 64 × 20,000 times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nextbest::proto::v1;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::harness::{Clients, PATIENCE};
use crate::service_kill::Process;
use crate::wire_offers::{plain, usage};
use crate::wire_story::about;

/// How often each of the many callers asks.
const CALLS: &str = "TEST_LOAD_CALLS";

/// What callers were promised: customers by reservation.
type Promised = BTreeMap<String, String>;

/// Asks for one customer after the other until the process is gone or nobody is left; every fourth reservation is
/// redeemed at once. Returns what was promised and which of it was surely redeemed.
async fn take(
    mut clients: Clients,
    next: Arc<AtomicU64>,
    customers: u64,
) -> (Promised, BTreeSet<String>) {
    let (mut promised, mut redeemed) = (Promised::new(), BTreeSet::new());
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= customers {
            return (promised, redeemed);
        }
        let customer = format!("c{number}");
        let Ok(answer) = clients.recommendations.recommend(about(&customer)).await else {
            return (promised, redeemed);
        };
        let Some(offer) = answer.into_inner().offers.into_iter().next() else {
            continue;
        };
        let id = offer.reservation_id;
        assert!(!id.is_empty(), "an offer with a budget is reserved");
        let other = promised.insert(id.clone(), customer);
        assert_eq!(other, None, "{id} was promised twice");
        if number.is_multiple_of(4) {
            let request = v1::RedeemOfferRequest {
                reservation_id: id.clone(),
                ..v1::RedeemOfferRequest::default()
            };
            if clients.offers.redeem_offer(request).await.is_err() {
                return (promised, redeemed);
            }
            redeemed.insert(id);
        }
    }
}

async fn rounds(budget: i64, callers: usize, asked: u64, kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut process = Process::start(folder.path(), &["--set", "offers.holdout_per_mille=0"]);
    let mut clients = process.clients().await;
    let offer = v1::Offer {
        budget_units: Some(budget),
        ..plain("limited")
    };
    let request = v1::CreateOfferRequest {
        offer: Some(offer),
        validate_only: false,
    };
    clients.offers.create_offer(request).await.unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let (mut promised, mut redeemed) = (Promised::new(), BTreeSet::new());
    for round in 0..=kills {
        let mut takers = Vec::new();
        for _ in 0..callers {
            let clients = process.clients().await;
            takers.push(tokio::spawn(take(clients, next.clone(), asked)));
        }
        if round < kills {
            // any moment will do
            tokio::time::sleep(Duration::from_millis(random.gen_range(30..400))).await;
            process.kill();
        }
        for taker in takers {
            let (got, done) = tokio::time::timeout(PATIENCE * 60, taker)
                .await
                .unwrap()
                .unwrap();
            for (id, customer) in got {
                let other = promised.insert(id, customer);
                assert_eq!(other, None, "promised twice");
            }
            redeemed.extend(done);
        }
        if round < kills {
            process = Process::start(folder.path(), &["--set", "offers.holdout_per_mille=0"]);
        }
    }
    let mut clients = process.clients().await;
    let all = usage(&mut clients, "limited").await;
    let spent = all.reserved_units + all.redeemed_units;
    let (promises, done) = (promised.len() as i64, redeemed.len() as i64);
    eprintln!("{promises} promised, {done} redeemed, {spent} of {budget} spent");
    // all is taken, and nothing more; what was promised when the process was killed may not have been heard
    assert_eq!(spent, budget);
    assert!(promises <= spent && done <= all.redeemed_units);
    assert!(promises + (kills * callers) as i64 >= spent);
    // what was promised before a kill is still theirs
    for (id, customer) in promised.iter().step_by(1.max(promised.len() / 500)) {
        if redeemed.contains(id) {
            let request = v1::RedeemOfferRequest {
                reservation_id: id.clone(),
                ..v1::RedeemOfferRequest::default()
            };
            let again = clients.offers.redeem_offer(request).await.unwrap();
            assert!(again.into_inner().already_redeemed);
        } else if !customer[1..].parse::<u64>().unwrap().is_multiple_of(4) {
            let answer = clients.recommendations.recommend(about(customer)).await;
            let offers = answer.unwrap().into_inner().offers;
            assert_eq!(&offers[0].reservation_id, id);
        }
    }
    assert_eq!(usage(&mut clients, "limited").await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_never_exceeded_and_no_promise_is_lost_by_kill_9() {
    rounds(400, 16, 4_000, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long: 64 callers ask 200,000 times each"]
async fn offers_under_load() {
    let calls = std::env::var(CALLS).map_or(200_000, |calls| calls.parse().unwrap());
    rounds(10_000, 64, 64 * calls, 10).await;
}
