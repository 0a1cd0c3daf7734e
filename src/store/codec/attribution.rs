//! What an attribution token proved, as records hold it.

use super::{CodecError, fingerprint, unknown};
use crate::domain::{Attribution, Origin, Shown, Timestamp};
use crate::proto::journal as wire;
use crate::store::offer_decision as offers;

/// As records hold it.
pub(super) fn to_wire(attribution: &Attribution) -> wire::Attribution {
    let shown = |shown: &Shown| wire::Shown {
        product: shown.product,
        origin: shown.origin.index() as u32,
        rank: shown.rank.into(),
        base: shown.base.map(i32::from),
        probability: (shown.probability.to_bits() != 1f32.to_bits()).then_some(shown.probability),
    };
    wire::Attribution {
        decision: attribution.decision.0.to_vec(),
        moment_ms: attribution.moment.ms(),
        stage: attribution.stage.to_string(),
        placement: attribution.placement,
        revision: attribution.revision,
        other_subject: !attribution.is_theirs,
        shown: attribution.shown.iter().map(shown).collect(),
        offers: attribution.offers.as_ref().map(offers::to_wire),
    }
}

/// From a record.
pub(super) fn from_wire(attribution: wire::Attribution) -> Result<Attribution, CodecError> {
    let strange = |what, number: &dyn std::fmt::Display| unknown(what, &number.to_string());
    let shown = |shown: wire::Shown| {
        let origin = Origin::of_index(shown.origin as usize);
        let base = shown
            .base
            .map(|base| i16::try_from(base).map_err(|_| strange("log-odds", &base)));
        Ok(Shown {
            product: shown.product,
            origin: origin.ok_or_else(|| strange("the number of an origin", &shown.origin))?,
            rank: u8::try_from(shown.rank).map_err(|_| strange("a rank", &shown.rank))?,
            base: base.transpose()?,
            probability: shown.probability.unwrap_or(1.0),
        })
    };
    Ok(Attribution {
        decision: fingerprint(&attribution.decision)?,
        moment: Timestamp::from_ms(attribution.moment_ms),
        stage: attribution.stage.into_boxed_str(),
        placement: attribution.placement,
        revision: attribution.revision,
        is_theirs: !attribution.other_subject,
        shown: attribution
            .shown
            .into_iter()
            .map(shown)
            .collect::<Result<_, CodecError>>()?,
        offers: match &attribution.offers {
            Some(offers) => Some(
                offers::from_wire(offers)
                    .ok_or_else(|| unknown("a decision about offers", "its lists do not fit"))?,
            ),
            None => None,
        },
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::{Just, Strategy, any as arbitrary, prop_oneof};

    use super::*;
    use crate::domain::{Fingerprint, OfferDecision, Offered};

    /// Any that a record can hold.
    pub(in super::super) fn any() -> impl Strategy<Value = Attribution> {
        let probability = prop_oneof![Just(1f32), 0.0f32..1.0];
        let shown = (
            arbitrary::<u32>(),
            0..Origin::COUNT,
            arbitrary::<u8>(),
            proptest::option::of(arbitrary::<i16>()),
            probability,
        );
        let shown = shown.prop_map(|(product, origin, rank, base, probability)| Shown {
            product,
            origin: Origin::ALL[origin],
            rank,
            base,
            probability,
        });
        let decision = (
            arbitrary::<[u8; 16]>(),
            arbitrary::<i64>(),
            "[a-z]{1,9}",
            arbitrary::<[u32; 2]>(),
            arbitrary::<bool>(),
        );
        let shown = proptest::collection::vec(shown, 0..4);
        (decision, shown).prop_map(|((decision, moment, stage, hashes, is_theirs), shown)| {
            Attribution {
                decision: Fingerprint(decision),
                moment: Timestamp::from_ms(moment),
                stage: stage.into(),
                placement: hashes[0],
                revision: hashes[1],
                is_theirs,
                shown,
                offers: (hashes[0] % 2 == 0).then(|| OfferDecision {
                    offers: vec![Offered {
                        offer: hashes[1],
                        probability: 0.25,
                    }],
                    none: 0.0,
                    others: hashes.to_vec(),
                    is_held_out: is_theirs,
                    base: is_theirs.then_some(-512),
                }),
            }
        })
    }

    #[test]
    fn what_a_newer_program_wrote_is_named() {
        let shown = wire::Shown {
            origin: 99,
            ..wire::Shown::default()
        };
        let attribution = wire::Attribution {
            decision: vec![1; 16],
            shown: vec![shown],
            ..wire::Attribution::default()
        };
        let error = from_wire(attribution).unwrap_err();
        assert_eq!(error, unknown("the number of an origin", "99"));
    }
}
