//! What the decisions of a journal say of other ways to choose, and what offers teach that were mailed without tokens.

use nextbest::algorithms::policy::{Method, PolicyError, PolicyParams};
use nextbest::application::history::History;
use nextbest::application::train::{DecisionLog, Lesson, judge_decisions};
use nextbest::domain::Timestamp;

use super::lab::{Kind, Lab, OFFERS};
use super::told;

fn judged(lab: &Lab) -> Result<DecisionLog, PolicyError> {
    let shop = &lab.service.shop;
    let history = History::of_journal(&*shop.journal, 0).unwrap();
    let lesson = Lesson {
        history: &history,
        fold: &shop.settings.fold,
        recipes: &shop.settings.recipes,
        horizons_ms: &shop.settings.horizons_ms,
    };
    let live = shop.live();
    let live = live.as_ref().map(|live| &live.model);
    judge_decisions(lesson, live, Timestamp::MIN, &PolicyParams::default())
}

#[test]
fn the_decisions_of_the_journal_tell_what_other_policies_would_have_earned() {
    let mut lab = Lab::new(600);
    assert!(matches!(judged(&lab), Err(PolicyError::Empty)));
    for _ in 0..6 {
        lab.week();
    }
    lab.train();
    let learned_until = lab.now();
    for _ in 0..5 {
        lab.week();
    }
    let log = judged(&lab).unwrap();
    assert!(log.decisions > 5_000 && log.with_offer < log.decisions);
    // nobody is held out in the lab
    assert_eq!(log.held_out, 0);
    let mean = |arm: usize| Kind::ALL.map(|kind| kind.values()[arm]).iter().sum::<f64>() / 4.0;
    let best = Kind::ALL.map(|kind| kind.values().into_iter().fold(0.0, f64::max));
    let truths = [
        ("live", best.iter().sum::<f64>() / 4.0),
        ("no_offer", mean(2)),
        (&format!("only:{}", OFFERS[0]), mean(0)),
        (&format!("only:{}", OFFERS[1]), mean(1)),
    ];
    for (name, truth) in truths {
        let policy = log.policies.iter().find(|policy| policy.name == name);
        let report = &policy.unwrap().report;
        let estimate = report.estimate(Method::Dr).unwrap();
        let (low, high) = (estimate.value.low, estimate.value.high);
        // an interval of 95 % and a half: four of them are to hold at once, and of the live one a little is not learned
        let room = (high - low) / 4.0;
        let told = format!("{name}: {low} to {high}, truth {truth}");
        assert!(low - room < truth && truth < high + room, "{told}");
        assert!(high - low < 3.0, "{told}");
        println!("{told}");
    }
    // the live model is judged by what came after it had learned alone
    let live = &log.policies[0];
    assert_eq!(live.name, "live");
    assert!(
        live.report.rows < log.decisions * 6 / 11,
        "{learned_until:?}"
    );
}

#[test]
fn offers_that_another_tool_mailed_teach_and_judge_until_decisions_do() {
    let mut lab = Lab::new(600);
    for _ in 0..12 {
        lab.week_of_another_tool();
    }
    // nothing was decided with known probabilities: those of the mailings are estimated
    let early = lab.train();
    assert!(early.offers.rows > 1_000, "{:?}", early.offers);
    assert!(early.offers.chooses, "{:?}", early.offers);
    assert!(
        early.offers.verdict.contains("judged by mailings"),
        "{:?}",
        early.offers
    );
    // a few weeks of decisions judge
    for _ in 0..6 {
        lab.week();
    }
    let learned = lab.train();
    assert!(
        learned.offers.rows > early.offers.rows,
        "{:?}",
        learned.offers
    );
    assert_eq!(learned.offers.verdict, "chooses");
    lab.look_around();
    let (chosen, always) = lab.values();
    println!("chosen {chosen}, always {always:?}");
    assert!(
        always.iter().all(|&value| chosen > value + 0.5),
        "{chosen} {always:?}"
    );
    assert!((told(&lab, 0).iter().sum::<f64>() - 1.0).abs() < 1e-9);
}
