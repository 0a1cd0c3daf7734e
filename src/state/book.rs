//! What is remembered of one person's offers beyond their last outcomes: reservations that hold, and counts for caps.

use serde::{Deserialize, Serialize};

use crate::domain::time::DAY_MS;
use crate::domain::{CampaignId, Micros, ReservationId, Timestamp};

/// The most tallies (an offer on a day) of one person; then the oldest day goes into the next one of the same offer,
/// where it counts a little longer, so a cap is never exceeded.
pub const MAX_TALLIES: usize = 512;
/// The most identities of redemptions (an order, a request) of one person that are remembered; the oldest go first.
pub const MAX_IDENTITIES: usize = 256;
/// The most campaigns of one person that are remembered; those that reached them first go first.
pub const MAX_CAMPAIGNS: usize = 64;

/// A reservation that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The offer's number.
    pub offer: u32,
    /// Which.
    pub id: ReservationId,
    /// The first moment it does not hold any more.
    pub expires_at: Timestamp,
}

/// What happened with an offer on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    offer: u32,
    /// Days since 1970, in UTC.
    day: i64,
    shown: u32,
    redeemed: u32,
    amount: Micros,
}

/// One person's offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// What is reserved for them, in the order in which it was.
    held: Vec<Held>,
    /// By offer and day.
    tallies: Vec<Tally>,
    /// Hashes of the orders and requests by which something was redeemed, oldest first.
    identities: Vec<u64>,
    /// The campaigns whose offers were sent to them, and when last; the oldest first.
    campaigns: Vec<(Timestamp, Box<str>)>,
}

/// How often something happened within a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// It was shown or sent.
    pub shown: u64,
    /// It was redeemed.
    pub redeemed: u64,
}

fn day(time: Timestamp) -> i64 {
    time.ms().div_euclid(DAY_MS)
}

impl Book {
    /// The reservations that hold at `now`, oldest first.
    pub fn held(&self, now: Timestamp) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |held| held.expires_at > now)
    }

    /// Counts of an offer: of all time, or of today and the `window` days before it (in UTC).
    #[must_use]
    pub fn counts(&self, offer: u32, now: Timestamp, window: Option<u32>) -> Counts {
        let oldest = window.map_or(i64::MIN, |days| day(now) - i64::from(days));
        let mut counts = Counts::default();
        for tally in self.tallies_of(offer) {
            if tally.day >= oldest {
                counts.shown += u64::from(tally.shown);
                counts.redeemed += u64::from(tally.redeemed);
            }
        }
        counts
    }

    /// True if something was redeemed by this order or request already.
    #[must_use]
    pub fn knows(&self, identity: u64) -> bool {
        self.identities.contains(&identity)
    }

    /// What was redeemed, by offer: the offer, how often, for how much.
    pub fn spent(&self) -> impl Iterator<Item = (u32, u64, Micros)> {
        let by_offer = self.tallies.chunk_by(|a, b| a.offer == b.offer);
        by_offer.filter_map(|tallies| {
            let units: u64 = tallies.iter().map(|tally| u64::from(tally.redeemed)).sum();
            let amount = tallies.iter().map(|tally| tally.amount.0);
            let amount = Micros(amount.fold(0, i64::saturating_add));
            (units > 0).then_some((tallies[0].offer, units, amount))
        })
    }

    /// The campaigns whose offers were sent to them, and when last; the oldest first.
    #[must_use]
    pub fn campaigns(&self) -> &[(Timestamp, Box<str>)] {
        &self.campaigns
    }

    /// True if nothing is remembered that others wait for.
    pub(super) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn reservations(&self) -> &[Held] {
        &self.held
    }

    pub(super) fn hold(&mut self, held: Held) {
        self.held.push(held);
    }

    pub(super) fn let_go(&mut self, id: ReservationId) {
        self.held.retain(|held| held.id != id);
    }

    pub(super) fn remember(&mut self, identity: u64) {
        if !self.knows(identity) {
            if self.identities.len() == MAX_IDENTITIES {
                self.identities.remove(0);
            }
            self.identities.push(identity);
        }
    }

    pub(super) fn add_campaign(&mut self, campaign: &CampaignId, time: Timestamp) {
        self.reach(time, campaign.as_str().into());
    }

    fn reach(&mut self, time: Timestamp, campaign: Box<str>) {
        let known = self
            .campaigns
            .iter()
            .position(|(_, other)| *other == campaign);
        let before = known.map(|place| self.campaigns.remove(place).0);
        let reached = (before.map_or(time, |before| before.max(time)), campaign);
        let place = self.campaigns.partition_point(|other| *other < reached);
        self.campaigns.insert(place, reached);
        if self.campaigns.len() > MAX_CAMPAIGNS {
            self.campaigns.remove(0);
        }
    }

    pub(super) fn add_shown(&mut self, offer: u32, time: Timestamp) {
        self.add(Tally {
            offer,
            day: day(time),
            shown: 1,
            redeemed: 0,
            amount: Micros(0),
        });
    }

    pub(super) fn add_redeemed(&mut self, offer: u32, time: Timestamp, amount: Micros) {
        self.add(Tally {
            offer,
            day: day(time),
            shown: 0,
            redeemed: 1,
            amount,
        });
    }

    /// Takes in what a visitor did before they turned out to be this customer.
    pub(super) fn merge(&mut self, other: Self) {
        self.held.extend(other.held);
        for tally in other.tallies {
            self.add(tally);
        }
        for identity in other.identities {
            self.remember(identity);
        }
        for (time, campaign) in other.campaigns {
            self.reach(time, campaign);
        }
    }

    fn tallies_of(&self, offer: u32) -> &[Tally] {
        let start = self.tallies.partition_point(|tally| tally.offer < offer);
        let rest = &self.tallies[start..];
        &rest[..rest.partition_point(|tally| tally.offer == offer)]
    }

    fn add(&mut self, more: Tally) {
        let key = |tally: &Tally| (tally.offer, tally.day);
        let place = self
            .tallies
            .partition_point(|tally| key(tally) < key(&more));
        match self
            .tallies
            .get_mut(place)
            .filter(|tally| key(tally) == key(&more))
        {
            Some(tally) => tally.add(&more),
            None => self.tallies.insert(place, more),
        }
        if self.tallies.len() > MAX_TALLIES {
            self.shorten();
        }
    }

    /// Puts the oldest day into the next one of its offer; of offers with one day the oldest is forgotten only where
    /// there are as many offers as tallies.
    fn shorten(&mut self) {
        let has_next = |place: &usize| {
            let next = self.tallies.get(place + 1);
            next.is_some_and(|next| next.offer == self.tallies[*place].offer)
        };
        let places = 0..self.tallies.len();
        let oldest = |places: &mut dyn Iterator<Item = usize>| {
            places.min_by_key(|&place| self.tallies[place].day)
        };
        if let Some(place) = oldest(&mut places.clone().filter(has_next)) {
            let gone = self.tallies.remove(place);
            self.tallies[place].add(&gone);
        } else if let Some(place) = oldest(&mut places.clone()) {
            self.tallies.remove(place);
        }
    }
}

impl Tally {
    fn add(&mut self, more: &Self) {
        self.shown = self.shown.saturating_add(more.shown);
        self.redeemed = self.redeemed.saturating_add(more.redeemed);
        self.amount = Micros(self.amount.0.saturating_add(more.amount.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_ms(day * DAY_MS + 5)
    }

    #[test]
    fn a_window_ends_with_the_last_of_its_days() {
        let mut book = Book::default();
        book.add_redeemed(7, at(100), Micros(3));
        book.add_shown(7, at(100));
        book.add_shown(7, at(103));
        book.add_redeemed(8, at(100), Micros(4));
        let counts = |today, window| {
            let counts = book.counts(7, at(today), window);
            (counts.shown, counts.redeemed)
        };
        assert_eq!(counts(103, None), (2, 1));
        assert_eq!(counts(103, Some(3)), (2, 1));
        assert_eq!(counts(104, Some(3)), (1, 0));
        assert_eq!(counts(107, Some(3)), (0, 0));
        let spent: Vec<_> = book.spent().collect();
        assert_eq!(spent, [(7, 1, Micros(3)), (8, 1, Micros(4))]);
    }

    #[test]
    fn a_campaign_is_remembered_once_and_the_oldest_go_first() {
        let mut book = Book::default();
        let named = |number: usize| CampaignId::trusted(format!("campaign-{number}"));
        for number in (0..MAX_CAMPAIGNS).rev() {
            book.add_campaign(&named(number), at(number as i64));
        }
        book.add_campaign(&named(0), at(1_000));
        book.add_campaign(&named(0), at(7));
        let mut other = Book::default();
        other.add_campaign(&named(99), at(99));
        other.add_campaign(&named(5), at(4));
        book.merge(other);
        let names = book.campaigns().iter().map(|(_, name)| &**name);
        let names: Vec<&str> = names.collect();
        assert_eq!(names.len(), MAX_CAMPAIGNS);
        assert_eq!(names[..2], ["campaign-2", "campaign-3"]);
        assert_eq!(names[MAX_CAMPAIGNS - 2..], ["campaign-99", "campaign-0"]);
        assert_eq!(book.campaigns()[3], (at(5), "campaign-5".into()));
    }

    #[test]
    fn memory_is_bounded_and_counts_are_not_lost() {
        let mut book = Book::default();
        for day in 0..2_000 {
            book.add_redeemed(1, at(day), Micros(1));
            book.remember(day as u64);
        }
        assert_eq!(book.tallies.len(), MAX_TALLIES);
        assert_eq!(book.counts(1, at(2_000), None).redeemed, 2_000);
        let last = book.counts(1, at(2_000), Some(100)).redeemed;
        assert_eq!(last, 100);
        assert_eq!(book.identities.len(), MAX_IDENTITIES);
        assert!(book.knows(1_999) && !book.knows(1));
    }
}
