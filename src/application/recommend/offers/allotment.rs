//! Who of a campaign gets an offer that is not there for everybody: those with whom it is worth most, whatever the
//! order in which they are answered.
//!
//! Deferred acceptance (Gale and Shapley 1962), many to one: everybody asks for their offers in the order of their own
//! answer; an offer keeps those with whom it is worth most, as many as its budget has room for, and whoever it turns
//! away asks for their next one. The result does not depend on the order in which they ask.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::{RankedOffer, Who};
use crate::domain::{Fingerprint, OfferId, Timestamp};
use crate::state::State;
use crate::state::reservations::Ledger;

/// Stands for all offers that are there for everybody: they take a place of an answer and nothing else.
const PLENTY: u16 = u16::MAX;
/// So many offers may be scarce at a time; those behind them go in the order in which customers are answered.
const MAX_SCARCE: usize = 1_000;

/// An offer that has fewer units left than there are customers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scarce {
    offer: OfferId,
    units: usize,
}

/// Collects what everybody of a campaign asks for. A customer takes 24 bytes, and 16 for each offer they ask for.
#[derive(Debug)]
pub struct Bidding {
    scarce: Vec<Scarce>,
    askers: Vec<Asker>,
    bids: Vec<Bid>,
}

/// Somebody who asks.
#[derive(Debug, Clone, Copy)]
struct Asker {
    key: u64,
    /// Where their next bid stands, and where their last one ends.
    next: u32,
    end: u32,
    /// Places of their answer that are free.
    free: u8,
}

/// An offer somebody asks for, and what it is worth with them, in micros.
#[derive(Debug, Clone, Copy)]
struct Bid {
    scarce: u16,
    value: i64,
}

/// Who gets which of the scarce offers.
#[derive(Debug, Default)]
pub struct Allotment {
    scarce: Vec<OfferId>,
    taken: HashSet<(u64, u16)>,
}

impl Bidding {
    /// Of the live offers whose budgets have fewer than `customers` units left; absent if there are none, so that
    /// nothing has to be decided.
    pub(in crate::application) fn over(
        state: &State,
        now: Timestamp,
        customers: usize,
    ) -> Option<Self> {
        let ledger = Ledger::new(state, now);
        let scarce = state.offers.live(now).filter_map(|number| {
            let units = usize::try_from(ledger.units_left(number)?).unwrap_or(usize::MAX);
            let offer = OfferId::trusted(state.offers.item(number).id.to_string());
            (units < customers).then_some(Scarce { offer, units })
        });
        let mut scarce: Vec<Scarce> = scarce.collect();
        scarce.sort_by(|a, b| a.offer.cmp(&b.offer));
        scarce.truncate(MAX_SCARCE);
        (!scarce.is_empty()).then(|| Self {
            scarce,
            askers: Vec::new(),
            bids: Vec::new(),
        })
    }

    /// What a customer asks for: `wanted`, best first, for `most` places.
    pub(super) fn ask(&mut self, customer: &str, most: usize, wanted: &[RankedOffer]) {
        let next = self.bids.len();
        let mut sure = 0;
        for offer in wanted {
            if sure == most {
                break;
            }
            let found = self.scarce.binary_search_by(|s| s.offer.cmp(&offer.offer));
            sure += usize::from(found.is_err());
            self.bids.push(Bid {
                scarce: found.map_or(PLENTY, |place| place as u16),
                value: offer.score.0,
            });
        }
        if self.bids[next..].iter().all(|bid| bid.scarce == PLENTY) {
            self.bids.truncate(next);
            return;
        }
        self.askers.push(Asker {
            key: key(customer),
            next: next as u32,
            end: self.bids.len() as u32,
            free: u8::try_from(most).unwrap_or(u8::MAX),
        });
    }

    /// Decides.
    #[must_use]
    pub fn settle(mut self) -> Allotment {
        // of each offer, those it keeps: the one with whom it is worth least is on top
        let mut kept: Vec<BinaryHeap<Reverse<(i64, u64, u32)>>> =
            self.scarce.iter().map(|_| BinaryHeap::new()).collect();
        let mut asking: Vec<u32> = (0..self.askers.len() as u32).rev().collect();
        while let Some(asker) = asking.pop() {
            while let Some(bid) = self.next_bid(asker) {
                if bid.scarce == PLENTY {
                    continue;
                }
                let offer = usize::from(bid.scarce);
                // where it is worth the same, who gets it is nobody's advantage with every offer
                let tie = self.askers[asker as usize]
                    .key
                    .rotate_left(bid.scarce.into());
                kept[offer].push(Reverse((bid.value, tie, asker)));
                if kept[offer].len() > self.scarce[offer].units
                    && let Some(Reverse((_, _, turned_away))) = kept[offer].pop()
                {
                    self.askers[turned_away as usize].free += 1;
                    if turned_away != asker {
                        asking.push(turned_away);
                    }
                }
            }
        }
        let taken = kept.iter().enumerate().flat_map(|(offer, kept)| {
            let askers = &self.askers;
            kept.iter()
                .map(move |Reverse((_, _, place))| (askers[*place as usize].key, offer as u16))
        });
        Allotment {
            taken: taken.collect(),
            scarce: self.scarce.into_iter().map(|scarce| scarce.offer).collect(),
        }
    }
}

impl Bidding {
    /// What somebody asks for next, if they have a place for it; it is taken until they are turned away.
    fn next_bid(&mut self, asker: u32) -> Option<Bid> {
        let asker = &mut self.askers[asker as usize];
        if asker.free == 0 || asker.next == asker.end {
            return None;
        }
        let bid = self.bids[asker.next as usize];
        asker.next += 1;
        asker.free -= 1;
        Some(bid)
    }
}

impl Allotment {
    /// True if others get what is left of an offer.
    pub(super) fn keeps_from(&self, who: &Who, offer: &str) -> bool {
        let Ok(place) = self.scarce.binary_search_by(|id| id.as_str().cmp(offer)) else {
            return false;
        };
        match who {
            Who::Customer(id) => !self.taken.contains(&(key(id.as_str()), place as u16)),
            // a campaign answers customers
            Who::Visitor(_) | Who::Nobody => false,
        }
    }
}

fn key(customer: &str) -> u64 {
    Fingerprint::of("allotment", &[customer.as_bytes()]).as_u128() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Benefit, CustomerId, Micros, OfferKind};

    fn offer(id: &str, value: i64) -> RankedOffer {
        RankedOffer {
            offer: OfferId::trusted(id.to_owned()),
            name: String::new(),
            benefit: Benefit::trusted(OfferKind::Content, None),
            campaign: None,
            score: Micros(value),
            currency: None,
            reasons: Vec::new(),
            reservation: None,
            probability: 0.0,
            bought: None,
            odds: None,
            fallback: false,
        }
    }

    fn bidding(units: &[(&str, usize)]) -> Bidding {
        let scarce = units.iter().map(|&(id, units)| Scarce {
            offer: OfferId::trusted(id.to_owned()),
            units,
        });
        Bidding {
            scarce: scarce.collect(),
            askers: Vec::new(),
            bids: Vec::new(),
        }
    }

    /// Which of `offers` each of `customers` may have.
    fn allotted(allotment: &Allotment, customers: &[&str], offers: &[&str]) -> Vec<String> {
        let may = |customer: &str, offer: &&&str| {
            let who = Who::Customer(CustomerId::trusted(customer.to_owned()));
            !allotment.keeps_from(&who, offer)
        };
        let of = |customer: &&str| {
            let theirs = offers.iter().filter(|offer| may(customer, offer));
            theirs.copied().collect::<Vec<_>>().join(" ")
        };
        customers.iter().map(of).collect()
    }

    #[test]
    fn an_offer_goes_to_those_with_whom_it_is_worth_most_in_any_order() {
        let asked = [("c1", 5), ("c2", 9), ("c3", 7), ("c4", 1)];
        let mut orders = [asked; 3];
        orders[1].reverse();
        orders[2].rotate_left(2);
        for order in orders {
            let mut bidding = bidding(&[("a", 2)]);
            for (customer, value) in order {
                bidding.ask(customer, 1, &[offer("a", value), offer("plenty", 0)]);
            }
            let allotment = bidding.settle();
            let got = allotted(
                &allotment,
                &["c1", "c2", "c3", "c4", "stranger"],
                &["a", "plenty"],
            );
            assert_eq!(got, ["plenty", "a plenty", "a plenty", "plenty", "plenty"]);
        }
    }

    #[test]
    fn whoever_is_turned_away_asks_for_their_next_one_and_may_turn_others_away() {
        let mut bidding = bidding(&[("a", 1), ("b", 1), ("c", 1)]);
        bidding.ask("c1", 1, &[offer("a", 5), offer("b", 4)]);
        bidding.ask("c2", 1, &[offer("b", 3), offer("c", 2)]);
        bidding.ask("c3", 1, &[offer("a", 9)]);
        let allotment = bidding.settle();
        let got = allotted(&allotment, &["c1", "c2", "c3"], &["a", "b", "c"]);
        assert_eq!(got, ["b", "c", "a"]);
    }

    #[test]
    fn places_of_an_answer_are_filled_and_what_is_there_for_all_takes_one() {
        let mut bidding = bidding(&[("a", 1), ("b", 1), ("none-left", 0)]);
        // two places: the second is taken by what is there for everybody, so b is not asked for
        bidding.ask("c1", 2, &[offer("a", 5), offer("plenty", 4), offer("b", 3)]);
        bidding.ask(
            "c2",
            2,
            &[offer("none-left", 9), offer("a", 4), offer("b", 2)],
        );
        let allotment = bidding.settle();
        let got = allotted(&allotment, &["c1", "c2"], &["a", "b", "none-left"]);
        assert_eq!(got, ["a", "b"]);
    }

    #[test]
    fn of_equal_ones_the_same_get_it_every_time() {
        let settle = |reverse: bool| {
            let mut bidding = bidding(&[("a", 10), ("b", 10)]);
            let mut customers: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
            if reverse {
                customers.reverse();
            }
            for customer in &customers {
                bidding.ask(customer, 1, &[offer("a", 1), offer("b", 1)]);
            }
            let allotment = bidding.settle();
            let mut taken: Vec<_> = allotment.taken.into_iter().collect();
            taken.sort_unstable();
            taken
        };
        assert_eq!(settle(false).len(), 20);
        assert_eq!(settle(false), settle(true));
    }
}
