//! What became of recommendations, counted in the plainest way: sets of decision, product and effect.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::attribution::short_hash;
use nextbest::domain::{Credit, Effect, OfferEffect, Origin, Outcome, RecordBody};
use nextbest::state::State;

pub(super) fn compare(state: &State, standing: &[RecordBody]) {
    compare_offers(state, standing);
    let mut effects = BTreeSet::new();
    let (mut stages, mut origins) = (BTreeMap::new(), BTreeMap::new());
    let mut others = 0;
    for body in standing {
        let RecordBody::Event(event) = body else {
            continue;
        };
        let Some(Credit::Proven(proven)) = &event.credit else {
            continue;
        };
        if !proven.is_theirs {
            others += 1;
            continue;
        }
        let Some(effect) = Effect::of(event.kind) else {
            continue;
        };
        for shown in &proven.shown {
            let decision = proven.decision.0;
            if effects.insert((decision, shown.product, effect as u8)) {
                let stage = proven.stage.to_string();
                *stages.entry((stage, effect as u8)).or_insert(0u64) += 1;
                let origin = shown.origin.index();
                *origins.entry((origin, effect as u8)).or_insert(0u64) += 1;
            }
        }
    }
    let attributed = &state.attributed;
    assert_eq!(attributed.other_subjects(), others);
    let mut found = BTreeMap::new();
    for (stage, counts) in attributed.stages() {
        for effect in Effect::ALL {
            found.insert((stage.to_string(), effect as u8), counts.of(effect));
        }
    }
    found.retain(|_, count| *count > 0);
    assert_eq!(found, stages);
    let mut found = BTreeMap::new();
    for origin in Origin::ALL {
        for effect in Effect::ALL {
            let count = attributed.of_origin(origin).of(effect);
            found.insert((origin.index(), effect as u8), count);
        }
    }
    found.retain(|_, count| *count > 0);
    assert_eq!(found, origins);

    let with = |effect: Effect| -> BTreeSet<_> {
        let all = effects.iter().filter(|(.., other)| *other == effect as u8);
        all.map(|&(decision, product, _)| (decision, product))
            .collect()
    };
    let seen = with(Effect::Impression);
    let acted: BTreeSet<_> = Effect::ALL[1..]
        .iter()
        .flat_map(|&effect| with(effect))
        .collect();
    let learned = (seen.len() as u64, seen.intersection(&acted).count() as u64);
    assert_eq!(attributed.online.examples(), learned);
}

/// What became of the offers of answers, in the plainest way: sets of decision, offer and effect. An offer counts once
/// it is known by its id.
fn compare_offers(state: &State, standing: &[RecordBody]) {
    let mut known = BTreeSet::new();
    let mut effects = BTreeSet::new();
    let mut counted: BTreeMap<(Option<u32>, u8), u64> = BTreeMap::new();
    for body in standing {
        match body {
            RecordBody::OfferUpserted(offer) => {
                known.insert(short_hash(offer.id.as_str()));
            }
            RecordBody::OfferReserved(reserved) => {
                known.insert(short_hash(reserved.offer.as_str()));
            }
            RecordBody::OfferSpent(spent) => {
                known.insert(short_hash(spent.offer.as_str()));
            }
            RecordBody::Event(event) => {
                let effect = OfferEffect::of(event.kind);
                if let (Some(Credit::Proven(proven)), Some(effect)) = (&event.credit, effect)
                    && proven.is_theirs
                    && let Some(decision) = &proven.offers
                {
                    let mut arms: Vec<Option<u32>> =
                        decision.offers.iter().map(|o| Some(o.offer)).collect();
                    if arms.is_empty() {
                        arms.push(None);
                    }
                    for arm in arms {
                        let is_known = arm.is_none_or(|offer| known.contains(&offer));
                        let is_new = effects.insert((proven.decision.0, arm, effect as u8));
                        if is_new && is_known {
                            *counted.entry((arm, effect as u8)).or_default() += 1;
                        }
                    }
                }
                if let Some(offer) = event
                    .offer
                    .as_ref()
                    .filter(|_| Outcome::of(event.kind).is_some())
                {
                    known.insert(short_hash(offer.as_str()));
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for effect in OfferEffect::ALL {
        let none = state.exposures.no_offer.of(effect);
        found.insert((None, effect as u8), none);
        for item in state.offers.items() {
            let arm = Some(short_hash(&item.id));
            found.insert((arm, effect as u8), item.attributed.of(effect));
        }
    }
    found.retain(|_, count| *count > 0);
    assert_eq!(found, counted);
    let decisions: BTreeSet<_> = effects
        .iter()
        .filter(|(.., effect)| *effect == OfferEffect::Exposure as u8)
        .map(|(decision, ..)| decision)
        .collect();
    assert_eq!(state.exposures.count(), decisions.len() as u64);
}
