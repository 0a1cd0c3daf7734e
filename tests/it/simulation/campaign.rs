//! Life after the history: the same chance for every policy, and the truth in money.

use nextbest::simulation::{Campaign, DEEPEST, OfferKind, Policy, Simulation, Tally, live};

use super::settings;

fn campaign(customers: u32, days: u32) -> Campaign {
    Campaign::after(Simulation::new(&settings(7, customers, 120, 120)), days)
}

fn lived(campaign: &Campaign, mut policy: Policy) -> Tally {
    let Ok(tally) = live(campaign.clone(), &mut policy, || {});
    tally
}

#[test]
fn the_same_policy_brings_the_same() {
    let (one, two) = (campaign(150, 21), campaign(150, 21));
    for policy in [Policy::Nobody, Policy::Random, Policy::Oracle] {
        assert_eq!(lived(&one, policy), lived(&two, policy), "{policy:?}");
    }
    assert_ne!(lived(&one, Policy::Random), lived(&one, Policy::Oracle));
}

/// The people who read no mails, and the guests, live the same life whatever is sent.
#[test]
fn an_offer_changes_only_who_gets_it() {
    let first = campaign(150, 21);
    let readers = first.readers().to_vec();
    let others = |kind: Option<OfferKind>| {
        let mut campaign = first.clone();
        let mut events = Vec::new();
        while !campaign.is_over() {
            let sent = vec![kind; readers.len()];
            events.extend(campaign.live(&sent));
        }
        assert!(events.is_sorted_by_key(|event| event.time));
        events.retain(|event| !readers.contains(&event.person));
        events
    };
    let without = others(None);
    assert!(without.len() > 300, "{}", without.len());
    assert!(without == others(Some(OfferKind::Percentage)));
}

#[test]
fn no_policy_is_expected_to_bring_more_than_the_oracle() {
    let campaign = campaign(1_500, 28);
    let oracle = lived(&campaign, Policy::Oracle);
    assert_eq!(oracle.weeks.len(), 4);
    for policy in Policy::all() {
        let tally = lived(&campaign, policy);
        for week in &tally.weeks {
            let sent: u32 = week.sent.iter().sum::<u32>() + week.none;
            assert_eq!(sent as usize, campaign.readers().len());
            assert!(week.gain <= week.best + 1e-6, "{policy:?}: {week:?}");
            let is_best = (week.gain - week.best).abs() < 1e-6 * week.best;
            assert_eq!(is_best, policy == Policy::Oracle, "{policy:?}: {week:?}");
        }
        if policy != Policy::Oracle {
            assert!(tally.profit() < oracle.profit(), "{policy:?}");
        }
    }
    // some are worth nothing, some are worth their cost: the choice is material
    let (sent, none) = oracle.sent();
    assert!(none > 0 && sent.iter().filter(|&&count| count > 0).count() > 4);
}

/// What the truth expects in money is what is lived, with offers and without.
#[test]
fn people_bring_what_the_truth_expects() {
    let campaign = campaign(4_000, 56);
    let nobody = lived(&campaign, Policy::Nobody);
    for kind in [DEEPEST, OfferKind::Gift, OfferKind::Content] {
        let tally = lived(&campaign, Policy::Everybody(kind));
        for tally in [&nobody, &tally] {
            let expected: f64 = tally.weeks.iter().map(|week| week.expected).sum();
            let ratio = tally.profit() as f64 / expected;
            assert!((0.88..1.12).contains(&ratio), "{kind:?}: {ratio}");
        }
        // the same chance: the difference is surer than either
        let pairs = tally.profits.iter().zip(&nobody.profits);
        let beyond: Vec<f64> = pairs
            .map(|(with, without)| (with - without) as f64)
            .collect();
        let (sum, count) = (beyond.iter().sum::<f64>(), beyond.len() as f64);
        let variance = beyond
            .iter()
            .map(|x| (x - sum / count).powi(2))
            .sum::<f64>();
        let (away, expected) = ((sum - tally.expected().0).abs(), tally.expected().0);
        let allowed = 3.0 * variance.sqrt() + 0.05 * expected.abs();
        assert!(away < allowed, "{kind:?}: {sum} lived, {expected} expected");
        if kind == DEEPEST {
            assert!(allowed < expected.abs(), "the test says something");
        }
    }
}
