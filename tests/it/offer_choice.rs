//! The choice of offers over a history in which it is known what each offer does to whom: it draws as it tells, learns
//! what works, and leaves those alone who buy anyway.

mod decisions;
mod lab;
mod parts;
mod trial;

use nextbest::proto::v1;

use self::lab::{Kind, Lab, OFFERS};

/// The probabilities of a customer: of each offer, and of none.
fn told(lab: &Lab, customer: usize) -> [f64; OFFERS.len() + 1] {
    let explained = lab.explain(customer);
    let of = |id: &str| {
        let mut kept = explained.offers.kept.iter();
        kept.find(|offer| offer.offer.as_str() == id)
            .map_or(0.0, |offer| offer.probability)
    };
    let [first, second] = OFFERS.map(of);
    [first, second, explained.answer.no_offer_probability]
}

#[test]
fn until_a_decision_comes_back_the_best_is_answered_for_sure() {
    let lab = Lab::new(40);
    for customer in 0..40 {
        let answer = lab.ask(customer);
        assert_eq!(answer.offers.len(), 1);
        assert!((answer.offers[0].probability - 1.0).abs() < 1e-12);
        assert!(answer.no_offer_probability.abs() < 1e-12);
        assert_eq!(answer.offers[0].bought, None);
    }
}

#[test]
fn what_is_drawn_is_told_sums_to_one_and_stays_all_day() {
    let mut lab = Lab::new(400);
    lab.week();
    let mut sums = [0.0; OFFERS.len() + 1];
    let mut counts = [0.0; OFFERS.len() + 1];
    for customer in 0..400 {
        let probabilities = told(&lab, customer);
        let sum: f64 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{probabilities:?}");
        assert!(probabilities.iter().all(|p| *p > 0.01), "{probabilities:?}");
        for (sum, probability) in sums.iter_mut().zip(probabilities) {
            *sum += probability;
        }
        let answer = lab.ask(customer);
        let again = lab.ask(customer);
        assert_eq!(answer.offers, again.offers);
        let arm = lab::arm(&answer);
        counts[arm] += 1.0;
        let decision = answer.offer_decision.unwrap();
        let (_, probability) = decision.arm();
        assert!((probability.unwrap() - probabilities[arm]).abs() < 1e-6);
        assert_eq!(decision.offers.len() + decision.others.len(), OFFERS.len());
    }
    for (count, sum) in counts.iter().zip(sums) {
        // four standard errors
        let error = 4.0 * (sum * (1.0 - sum / 400.0)).sqrt();
        assert!((count - sum).abs() < error, "{counts:?}, told {sums:?}");
    }
    // on another day it is drawn anew
    let before: Vec<usize> = (0..400).map(|c| lab::arm(&lab.ask(c))).collect();
    lab.pass_days(1);
    let after: Vec<usize> = (0..400).map(|c| lab::arm(&lab.ask(c))).collect();
    let other = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(other > 100, "{other}");
}

#[test]
fn what_works_is_drawn_more_often_with_every_outcome() {
    let mut lab = Lab::new(400);
    // only those whom the large offer persuades
    lab.kinds.fill(Kind::Bargain);
    lab.week();
    let before = told(&lab, 1);
    for _ in 0..6 {
        lab.week();
    }
    let after = told(&lab, 1);
    assert!(
        after[0] > before[0] + 0.1 && after[0] > 0.9,
        "{before:?} {after:?}"
    );
    let explained = lab.explain(1);
    let large = explained.offers.kept.iter();
    let large = large
        .clone()
        .find(|offer| offer.offer.as_str() == OFFERS[0])
        .unwrap();
    let [with, without] = large.bought.unwrap();
    // the truth: 0.4 and 0.05
    assert!(
        (with - 0.4).abs() < 0.08 && (without - 0.05).abs() < 0.06,
        "{with} {without}"
    );
    let [worth, _, nothing] = Kind::Bargain.values();
    let score = large.score.units();
    assert!((score - (worth - nothing)).abs() < 2.5, "{score}");
    lab.check_fold();
}

#[test]
fn who_has_a_reservation_gets_it_again() {
    let mut lab = Lab::new(60);
    for id in OFFERS {
        lab.upsert(&v1::Offer {
            budget_units: Some(1_000),
            ..lab::offer(id)
        });
    }
    lab.week();
    let first: Vec<_> = (0..60).map(|c| lab.promise(c)).collect();
    lab.pass_days(2);
    for (customer, first) in first.iter().enumerate() {
        let Some(held) = first.offers.first() else {
            continue;
        };
        let again = lab.promise(customer);
        assert_eq!(again.offers[0].reservation, held.reservation);
        assert!((again.offers[0].probability - 1.0).abs() < 1e-12);
    }
}

#[test]
fn one_that_stands_in_for_another_is_not_learned_from() {
    let mut lab = Lab::new(60);
    for id in OFFERS {
        lab.upsert(&v1::Offer {
            budget_units: Some(1),
            ..lab::offer(id)
        });
    }
    // asked together, before any is reserved: all but one of each come too late
    let answers = lab.promise_together(60);
    let unknown = answers.iter().filter(|answer| {
        let decision = answer.offer_decision.as_ref().unwrap();
        decision.arm().1.is_none()
    });
    assert!(unknown.count() > 50);
    for answer in &answers {
        let (_, statement) = lab.verify(&answer.attribution_token);
        assert_eq!(statement.offers, answer.offer_decision);
    }
    lab.send(&answers);
    lab.pass_days(9);
    lab.week();
    let known = lab.service.shop.known();
    let trials = known
        .state
        .offers
        .items()
        .iter()
        .map(|item| item.trials.all.shown);
    assert!(trials.sum::<u64>() <= 2);
    assert!(known.state.exposures.count() >= 60);
}

#[test]
fn the_learned_policy_is_worth_more_than_none_and_than_any_single_offer() {
    let mut lab = Lab::new(600);
    let early = lab.train();
    assert!(
        early.offers.rows == 0 && !early.offers.chooses,
        "{:?}",
        early.offers
    );
    for _ in 0..12 {
        lab.week();
    }
    let learned = lab.train();
    // the same history makes the same model, whatever is live
    assert_eq!(lab.train().id, learned.id);
    // as they stand when the next mail is sent
    lab.look_around();
    let figures = &learned.offers;
    println!("{figures:#?}");
    // twelve weeks, less the one whose horizon has not ended by the last event
    assert!(figures.rows >= 600 * 11 && figures.chooses, "{figures:?}");
    assert_eq!(figures.verdict, "chooses");
    assert!(figures.log_loss < figures.base_log_loss && figures.calibration_error < 0.05);
    assert!(figures.agreement.unwrap() > 0.5, "{figures:?}");
    let value = |policy: &str| figures.values.iter().find(|v| v.policy == policy).unwrap();
    assert!(value("learned").low > value("expected_value").value);
    // what is true: who buys anyway gets none, the others what persuades them
    let best: f64 = Kind::ALL
        .map(|kind| kind.values().into_iter().fold(0.0, f64::max))
        .iter()
        .sum::<f64>()
        / 4.0;
    let (chosen, always) = lab.values();
    println!("learned {chosen}, best {best}, always {always:?}");
    for (arm, value) in always.iter().enumerate() {
        assert!(chosen > value + 0.5, "{chosen}, arm {arm} alone {value}");
    }
    assert!(chosen > 0.9 * best, "{chosen} of {best}");
    // exploration leaves each arm its share; after some two thousand trials an arm that is surely better has nearly all
    for customer in 0..40 {
        let kind = lab.kinds[customer];
        let probabilities = told(&lab, customer);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(probabilities.iter().all(|p| *p > 0.05 / 3.0 - 1e-9));
        let values = kind.values();
        let best = (0..3).max_by(|&a, &b| values[a].total_cmp(&values[b]));
        let best = best.unwrap();
        let second = (0..3).filter(|&arm| arm != best).map(|arm| values[arm]);
        // who buys nothing whatever comes has no best arm worth the name
        if values[best] > second.fold(0.0, f64::max) + 2.0 {
            assert!(probabilities[best] > 0.9, "{kind:?} {probabilities:?}");
        }
    }
    lab.check_fold();
}

#[test]
fn outcomes_correct_what_a_model_says_before_the_next_training() {
    let mut lab = Lab::new(600);
    for _ in 0..12 {
        lab.week();
    }
    assert!(lab.train().offers.chooses);
    let online = |lab: &Lab| lab.service.shop.known().state.exposures.online.clone();
    // of decisions that no model was asked for there is nothing to correct
    assert_eq!(online(&lab).examples(), (0, 0));
    let added = |lab: &Lab, customer: usize| {
        let explained = lab.explain(customer);
        let kept = explained.offers.kept.iter();
        kept.map(|offer| offer.odds.unwrap()[1]).sum::<f64>() / 2.0
    };
    let given = |lab: &Lab| {
        let arms = (0..600).map(|customer| lab::arm(&lab.ask(customer)));
        arms.filter(|&arm| arm < OFFERS.len()).count()
    };
    lab.look_around();
    assert!(added(&lab, 1).abs() < 1e-12);
    let before = given(&lab);
    // from now on an offer makes nobody buy any more
    lab.repelled = true;
    for _ in 0..5 {
        lab.week();
    }
    lab.look_around();
    let (learned, after) = (online(&lab), given(&lab));
    let (decisions, bought) = learned.examples();
    println!("{before} offers, then {after}; gain {}", learned.gain());
    assert!(decisions >= 3 * 500 && bought > 0 && bought < decisions);
    assert!(learned.is_active() && learned.gain() > 0.0, "{learned:?}");
    assert!((0..40).all(|customer| added(&lab, customer) < -0.3));
    assert!(after < before, "{before} {after}");
    lab.check_fold();
}

#[test]
fn without_enough_of_both_sides_offers_stay_sampled() {
    let mut lab = Lab::new(120);
    for _ in 0..3 {
        lab.week();
    }
    let learned = lab.train();
    assert!(!learned.offers.chooses, "{:?}", learned.offers);
    assert!(
        learned
            .offers
            .verdict
            .contains("are needed: offers are drawn by Thompson sampling")
    );
    assert!(told(&lab, 1).iter().all(|p| *p > 0.0));
}
