//! The offers of State against those of the naive model.

use nextbest::domain::{Offer, OfferState, Outcome, Record, RecordBody, Timestamp};
use nextbest::state::State;

use super::history::{CAMPAIGNS, campaign, slot};
use super::model::{Person, World};

pub(super) fn compare(state: &State, world: &World, records: &[Record]) {
    let offers = &state.offers;
    let ids: Vec<&str> = offers.items().iter().map(|item| &*item.id).collect();
    assert_eq!(ids, world.offers);
    for (number, item) in offers.items().iter().enumerate() {
        let id = &*item.id;
        assert_eq!(offers.number(id), Some(number as u32));
        let found = offers.offer(number as u32, &state.products);
        let deleted_at = item.listing.as_ref().and_then(|listing| listing.deleted_at);
        let expected = world
            .offered
            .iter()
            .find(|(offer, _)| offer.id.as_str() == id);
        assert_eq!(
            found.as_ref().map(|found| (found, deleted_at)),
            expected.map(|(offer, deleted_at)| (offer, *deleted_at)),
        );
        let counts = [
            (Outcome::Sent, item.outcomes.sent),
            (Outcome::Viewed, item.outcomes.viewed),
            (Outcome::Selected, item.outcomes.selected),
            (Outcome::Redeemed, item.outcomes.redeemed),
            (Outcome::Declined, item.outcomes.declined),
        ];
        for (outcome, count) in counts {
            let all = world.people().flat_map(Person::outcomes);
            let expected = all.filter(|(_, offer, other)| offer == id && *other == outcome);
            assert_eq!(count as usize, expected.count(), "{outcome:?} of {id}");
        }
    }
    let name = |number: u32| offers.item(number).id.to_string();
    let created = |offer: &Offer| {
        let first = |record: &Record| match &record.body {
            RecordBody::OfferUpserted(other) => other.id == offer.id,
            _ => false,
        };
        records.iter().position(first).unwrap() as u64
    };
    let listed = |wanted: &dyn Fn(&Offer) -> bool| -> Vec<(u64, String)> {
        let all = world.offered.iter().map(|(offer, _)| offer);
        all.filter(|offer| wanted(offer))
            .map(|offer| (created(offer), offer.id.to_string()))
            .collect()
    };
    let found = |places: &[(nextbest::domain::Position, u32)]| -> Vec<(u64, String)> {
        places
            .iter()
            .map(|&(at, number)| (at.0, name(number)))
            .collect()
    };
    assert_eq!(found(offers.listed()), listed(&|_| true));
    for number in 0..CAMPAIGNS {
        let id = campaign(number);
        assert_eq!(
            found(offers.of_campaign(&id)),
            listed(&|offer| offer.terms.campaign_id.as_ref() == Some(&id)),
        );
    }
    for now in [0, 5, 15, 45].map(slot) {
        let live: Vec<String> = offers.live(now).map(name).collect();
        let all = world.offered.iter();
        let expected = all.filter(|(offer, deleted_at)| is_live(offer, *deleted_at, now));
        let expected: Vec<String> = expected.map(|(offer, _)| offer.id.to_string()).collect();
        assert_eq!(live, expected);
        let is_standing = |(offer, deleted_at): &&(Offer, Option<Timestamp>)| {
            let is_over = offer.terms.ends_at.is_some_and(|end| end <= now);
            deleted_at.is_none() && !offer.terms.paused && !is_over
        };
        let standing = world.offered.iter().filter(is_standing);
        let mut standing: Vec<String> = standing.map(|(offer, _)| offer.id.to_string()).collect();
        standing.sort();
        let mut found: Vec<String> = offers.standing(now).map(name).collect();
        found.sort();
        assert_eq!(found, standing);
        assert_eq!(offers.is_over(now), standing.is_empty());
        for item in offers.items() {
            let listing = item.listing.as_ref();
            let is_live = listing.is_some_and(|listing| listing.state(now) == OfferState::Live);
            assert_eq!(is_live, live.contains(&item.id.to_string()));
        }
    }
}

fn is_live(offer: &Offer, deleted_at: Option<Timestamp>, now: Timestamp) -> bool {
    let terms = &offer.terms;
    let has_begun = terms.starts_at.is_none_or(|start| start <= now);
    let is_over = terms.ends_at.is_some_and(|end| end <= now);
    deleted_at.is_none() && !terms.paused && has_begun && !is_over
}
