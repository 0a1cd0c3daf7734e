//! Why offers were dropped, in words.

use std::collections::HashMap;

use crate::proto::v1;

/// The most offers that are named with one reason.
const MAX_NAMED: usize = 20;

/// A reason, and the offers that were dropped for it.
pub(super) struct Dropped {
    /// As the API tells it.
    pub(super) code: String,
    /// The same in words.
    pub(super) reason: &'static str,
    /// The names of the offers.
    pub(super) offers: String,
}

/// Each reason once, those with most offers first; `names` has names of offers by their ids, as far as they are known.
pub(super) fn by_reason(
    dropped: &[v1::DroppedOffer],
    names: &HashMap<String, String>,
) -> Vec<Dropped> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for offer in dropped {
        let name = names.get(&offer.offer_id).map(String::as_str);
        let name = name.filter(|name| !name.is_empty());
        let name = name.unwrap_or(&offer.offer_id);
        match reasons.iter_mut().find(|(code, _)| *code == offer.code) {
            Some((_, offers)) => offers.push(name),
            None => reasons.push((&offer.code, vec![name])),
        }
    }
    reasons.sort_by_key(|(_, offers)| std::cmp::Reverse(offers.len()));
    let told = reasons.into_iter().map(|(code, offers)| Dropped {
        code: code.to_owned(),
        reason: in_words(code),
        offers: {
            let more = offers.len().saturating_sub(MAX_NAMED);
            let named = offers[..offers.len() - more].join(", ");
            match more {
                0 => named,
                more => format!("{named} and {more} more"),
            }
        },
    });
    told.collect()
}

/// What `docs/offers.md` says of a code.
fn in_words(code: &str) -> &'static str {
    match code {
        "OFFER_DELETED" => "deleted",
        "OFFER_PAUSED" => "paused",
        "OFFER_NOT_STARTED" => "has not begun yet",
        "OFFER_ENDED" => "has ended",
        "OFFER_HOLDOUT" => {
            "this customer never gets offers, so that what offers do can be measured"
        }
        "OFFER_CONSENT" => "this customer wants no offers",
        "OFFER_STAGE_MISMATCH" => "is for other stages of the journey",
        "OFFER_CHANNEL_MISMATCH" => "is for other channels",
        "OFFER_NEEDS_CUSTOMER" => "must be reserved for somebody, and nobody is known here",
        "OFFER_CAP_REACHED" => "this customer has had it as often as they may",
        "OFFER_BUDGET_EXHAUSTED" => "nothing is left of its budget",
        "OFFER_EXCLUSIVE" => "another offer of its group goes first",
        "OFFER_PRODUCT_UNAVAILABLE" => "none of its products can be had",
        "OFFER_SEGMENT_MISMATCH" => "this customer is in none of its segments",
        "OFFER_WITHOUT_VALUE" => "is not expected to bring more than it costs",
        "OFFER_NOT_ELIGIBLE" => "its own condition does not hold for this customer",
        "OFFER_ELIGIBILITY_ERROR" => "its own condition cannot be worked out for this customer",
        _ => "for another reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_said_once_in_words_with_its_offers() {
        let dropped = |id: &str, code: &str| v1::DroppedOffer {
            offer_id: id.to_owned(),
            code: code.to_owned(),
        };
        let all = [
            dropped("gift", "OFFER_PAUSED"),
            dropped("tenth", "OFFER_WITHOUT_VALUE"),
            dropped("points", "OFFER_WITHOUT_VALUE"),
            dropped("odd", "OFFER_OF_TOMORROW"),
        ];
        let names = [("tenth".to_owned(), "A tenth off".to_owned())].into();
        let told = by_reason(&all, &names);
        let told: Vec<[&str; 3]> = told
            .iter()
            .map(|d| [&*d.code, d.reason, &*d.offers])
            .collect();
        assert_eq!(
            told,
            [
                [
                    "OFFER_WITHOUT_VALUE",
                    "is not expected to bring more than it costs",
                    "A tenth off, points"
                ],
                ["OFFER_PAUSED", "paused", "gift"],
                ["OFFER_OF_TOMORROW", "for another reason", "odd"],
            ]
        );
        let many: Vec<_> = (0..25)
            .map(|n| dropped(&n.to_string(), "OFFER_ENDED"))
            .collect();
        assert!(
            by_reason(&many, &names)[0]
                .offers
                .ends_with(", 19 and 5 more")
        );
    }

    /// Every code that the API names is one that people can read.
    #[test]
    fn every_code_has_words() {
        let told = include_str!("../../../../docs/offers.md");
        let codes = told.split('`').filter(|word| word.starts_with("OFFER_"));
        let codes: Vec<&str> = codes.collect();
        assert!(codes.len() >= 17, "{codes:?}");
        for code in codes {
            assert_ne!(in_words(code), in_words(""), "{code}");
        }
    }
}
