//! Each part of a revision is judged by itself: what passes goes live beside what is live already.

use nextbest::application::model::{PartName, PartReport, PartState};
use nextbest::application::models::{RevisionInfo, RevisionState};
use nextbest::application::recipes::Recipes;
use nextbest::domain::{Baseline, Ranker, Source};

use super::lab::Lab;

/// Recipes that only know what is popular: such a ranking never passes.
fn popular_only() -> Recipes {
    let mut recipes = Recipes::embedded().unwrap();
    for recipe in &mut recipes.stages {
        recipe.sources = vec![(Source::Popular, 50)];
        recipe.ranker = Ranker::Blend;
        recipe.baselines = Baseline::ALL.to_vec();
    }
    recipes
}

fn part(revision: &RevisionInfo, name: PartName) -> PartReport {
    let mut parts = revision.parts.iter();
    parts.find(|part| part.part == name).unwrap().clone()
}

/// What became of the ranking and of the offers, and where they are from.
fn parts(revision: &RevisionInfo) -> [(PartState, Option<String>); 2] {
    [PartName::Ranking, PartName::Offers].map(|name| {
        let part = part(revision, name);
        (part.state, part.from)
    })
}

#[test]
fn a_refused_ranking_holds_no_offers_back() {
    let mut lab = Lab::by(600, &popular_only(), false);
    // nothing passes: the revision is refused, and holds the ranking that was
    let first = lab.learn();
    assert_eq!(first.state, RevisionState::Refused);
    assert_eq!(lab.live(), None);
    assert_eq!(
        parts(&first),
        [(PartState::Refused, None), (PartState::Absent, None)]
    );
    let ranking = part(&first, PartName::Ranking);
    assert!(ranking.reason.contains("does not beat popularity"));
    assert_eq!(first.refusal, format!("ranking: {}", ranking.reason));
    assert_eq!(
        part(&first, PartName::Offers).reason,
        "no decision came back"
    );
    for _ in 0..9 {
        lab.week();
    }

    // no ranking is live that could be carried over: the offers go live alone
    let offers = lab.learn();
    assert_eq!(
        parts(&offers),
        [(PartState::Refused, None), (PartState::New, None)]
    );
    assert_eq!(
        (offers.state, offers.refusal.as_str()),
        (RevisionState::Live, "")
    );
    assert!(offers.offers.chooses && lab.ask(1).revision.as_deref() == Some(&*offers.id));
    assert!(lab.ask(1).fallback, "the blend ranks");
    // the refused ranking left its figures
    assert!(offers.gate.iter().any(|comparison| comparison.cases > 0));
    assert!(
        offers
            .figures
            .iter()
            .any(|(method, _)| method == "nextbest")
    );

    // by force the first ranking is live; the next run keeps it beside its own offers
    lab.activate(&first.id);
    assert!(!lab.ask(1).fallback);
    let live = lab.service.shop.live().unwrap();
    let before = live.model.ranking.clone().unwrap();
    let mixed = lab.learn();
    assert_eq!(
        (mixed.state, mixed.refusal.as_str()),
        (RevisionState::Live, "")
    );
    assert_eq!(
        parts(&mixed),
        [
            (PartState::CarriedOver, Some(first.id.clone())),
            (PartState::New, None)
        ]
    );
    let live = lab.service.shop.live().unwrap();
    let after = live.model.ranking.clone().unwrap();
    assert_eq!(after.fitted, before.fitted);
    assert_eq!(
        (after.learned_until, after.seed),
        (before.learned_until, before.seed)
    );
    let own = live.model.offers.as_ref().unwrap();
    assert!(own.learned_until > after.learned_until && own.origin.is_none());

    // once more the same history makes the same revision, though another one is live
    assert_eq!(lab.learn().id, mixed.id);
    assert_eq!(lab.live(), Some(mixed.id.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let models = &lab.service.use_cases.models;
    let back = runtime.block_on(models.roll_back()).unwrap();
    assert_eq!(
        (back.id.as_str(), lab.live()),
        (&*first.id, Some(first.id.clone()))
    );
}

#[test]
fn offers_that_their_gate_refuses_leave_the_live_ones() {
    let mut recipes = Recipes::embedded().unwrap();
    for recipe in &mut recipes.stages {
        // so much is tried that the worth of each arm is well known
        recipe.offers.explore = 0.6;
    }
    let mut lab = Lab::by(600, &recipes, true);
    for _ in 0..6 {
        lab.week();
    }
    let before = lab.train();
    assert!(before.offers.chooses, "{:?}", before.offers);
    // from now on offers scare people away: what the first weeks teach is wrong on the last ones
    lab.repelled = true;
    for _ in 0..3 {
        lab.week();
    }
    let after = lab.learn();
    println!("{:#?} {:#?}", after.parts, after.offers.values);
    let offers = part(&after, PartName::Offers);
    assert_eq!(
        (offers.state, offers.from.as_deref()),
        (PartState::CarriedOver, Some(&*before.id))
    );
    assert!(
        offers.reason.contains("surely worse than no_offer"),
        "{offers:?}"
    );
    let verdict = &after.offers.verdict;
    assert!(verdict.ends_with("the live model of offers stays"));
    // the products passed: they are live beside the offers that were
    assert_eq!(part(&after, PartName::Ranking).state, PartState::New);
    assert_eq!(
        (after.state, lab.live()),
        (RevisionState::Live, Some(after.id))
    );
    let live = lab.service.shop.live().unwrap();
    let kept = live.model.offers.as_ref().unwrap();
    assert_eq!(kept.origin.as_deref(), Some(&*before.id));
    assert!(kept.learned_until < live.model.ranking.as_ref().unwrap().learned_until);
}
