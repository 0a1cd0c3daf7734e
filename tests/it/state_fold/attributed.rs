//! What became of recommendations, counted in the plainest way: sets of decision, product and effect.

use std::collections::{BTreeMap, BTreeSet};

use nextbest::domain::{Credit, Effect, Origin, RecordBody};
use nextbest::state::State;

pub(super) fn compare(state: &State, standing: &[RecordBody]) {
    let mut effects = BTreeSet::new();
    let (mut stages, mut origins) = (BTreeMap::new(), BTreeMap::new());
    let mut others = 0;
    for body in standing {
        let RecordBody::Event(event) = body else {
            continue;
        };
        let (Some(Credit::Proven(proven)), Some(effect)) = (&event.credit, Effect::of(event.kind))
        else {
            continue;
        };
        if !proven.is_theirs {
            others += 1;
            continue;
        }
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
