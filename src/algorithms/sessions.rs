//! Sessions like this one: an index of recent sessions, kept current with every step (VMIS-kNN: Kersbergen et al. 2022,
//! "Serenade", with the weights of VSTAN: Ludewig et al. 2020, "Empirical analysis of session-based recommendation").

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;

/// The most sessions that are remembered; the oldest go first.
pub const MAX_SESSIONS: usize = 1 << 18;
/// The most products of one session that are remembered.
pub const MAX_PRODUCTS: usize = 32;
/// The most sessions that are remembered of one product.
pub const MAX_OF_PRODUCT: usize = 600;
/// The most products of the session in question that look for others like it.
const SEEDS: usize = 8;

/// How sessions like this one are found and listened to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SessionParams {
    /// The most sessions that answer.
    pub count: usize,
    /// How the products of the session in question fade, in places from its newest.
    pub seed_fade: f32,
    /// How what a session says fades with its age, in days.
    pub age_fade_days: f64,
    /// How the products of a session fade, in places from the one it shares with the session in question.
    pub distance_fade: f32,
}

impl Default for SessionParams {
    fn default() -> Self {
        Self {
            count: 300,
            seed_fade: 4.0,
            age_fade_days: 30.0,
            distance_fade: 4.0,
        }
    }
}

/// A session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    /// Its newest step.
    time: Timestamp,
    /// Its products in the order of their last step, the newest last.
    products: Vec<u32>,
}

/// The recent sessions, by number and by product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// A ring: session `n` stands in place `n % MAX_SESSIONS`.
    sessions: Vec<Session>,
    next: u64,
    /// By product: the numbers of its sessions, the newest last.
    of_product: Vec<Vec<u64>>,
}

/// Room to work in.
#[derive(Debug, Default)]
pub struct SessionScratch {
    found: Vec<(u64, f32, u16)>,
    similarity: Vec<(u64, f32, u16)>,
}

impl Sessions {
    /// A new session; [`Sessions::step`] takes its number.
    pub fn begin(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        let place = (number % MAX_SESSIONS as u64) as usize;
        if place < self.sessions.len() {
            self.sessions[place] = Session::default();
        } else {
            self.sessions.push(Session::default());
        }
        number
    }

    /// Notes a step with a product. A session that is no longer remembered is left alone.
    pub fn step(&mut self, number: u64, product: u32, time: Timestamp) {
        if !self.is_kept(number) {
            return;
        }
        let session = &mut self.sessions[(number % MAX_SESSIONS as u64) as usize];
        session.time = session.time.max(time);
        let known = session.products.iter().position(|&other| other == product);
        if let Some(place) = known {
            session.products.remove(place);
            session.products.push(product);
            return;
        }
        let gone = (session.products.len() == MAX_PRODUCTS).then(|| session.products.remove(0));
        session.products.push(product);
        // a session of one product says nothing of what goes with it
        match session.products.as_slice() {
            [_] => {}
            &[first, second] => {
                self.enlist(first, number);
                self.enlist(second, number);
            }
            _ => self.enlist(product, number),
        }
        if let Some(gone) = gone {
            self.delist(gone, number);
        }
    }

    fn enlist(&mut self, product: u32, number: u64) {
        let place = product as usize;
        if place >= self.of_product.len() {
            self.of_product.resize_with(place + 1, Vec::new);
        }
        let list = &mut self.of_product[place];
        if list.last() == Some(&number) {
            return;
        }
        // twice the room, so that the oldest are let go of rarely
        if list.len() >= 2 * MAX_OF_PRODUCT {
            list.drain(..MAX_OF_PRODUCT);
        }
        list.push(number);
    }

    /// A session that goes on and on may come to a product again: it stands in a list at most once.
    fn delist(&mut self, product: u32, number: u64) {
        let list = &mut self.of_product[product as usize];
        if let Some(place) = list.iter().rposition(|&other| other == number) {
            list.remove(place);
        }
    }

    fn is_kept(&self, number: u64) -> bool {
        number < self.next && self.next - number <= MAX_SESSIONS as u64
    }

    fn session(&self, number: u64) -> Option<&Session> {
        self.is_kept(number)
            .then(|| &self.sessions[(number % MAX_SESSIONS as u64) as usize])
    }

    /// How many sessions have begun, also those no longer remembered.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.next
    }

    /// The products of a session in the order of their last step, the newest last; none if it is no longer remembered.
    #[must_use]
    pub fn products(&self, number: u64) -> &[u32] {
        self.session(number)
            .map_or(&[], |session| &session.products)
    }

    /// How many sessions with a product are at hand, at most [`MAX_OF_PRODUCT`].
    #[must_use]
    pub fn of(&self, product: u32) -> usize {
        self.recent(product).len()
    }

    /// The numbers of the sessions of two products or more that a product was in, at most [`MAX_OF_PRODUCT`], those
    /// that it came into last at the end.
    #[must_use]
    pub fn recent(&self, product: u32) -> &[u64] {
        let list = self
            .of_product
            .get(product as usize)
            .map_or(&[][..], Vec::as_slice);
        &list[list.len().saturating_sub(MAX_OF_PRODUCT)..]
    }

    /// What sessions like this one hold: calls `found` with a product, how much a session speaks for it, and the
    /// product of this session that led there. `current` are the products of this session, the newest first; `own` is
    /// its number, which does not answer. Products come more than once; their parts add up.
    pub fn like(
        &self,
        current: &[u32],
        own: Option<u64>,
        now: Timestamp,
        params: &SessionParams,
        scratch: &mut SessionScratch,
        mut found: impl FnMut(u32, f32, u32),
    ) {
        let current = &current[..current.len().min(SEEDS)];
        scratch.found.clear();
        for (place, &product) in current.iter().enumerate() {
            let by = (-(place as f32) / params.seed_fade).exp();
            let others = self
                .recent(product)
                .iter()
                .filter(|&&number| Some(number) != own);
            scratch
                .found
                .extend(others.map(|&number| (number, by, place as u16)));
        }
        scratch
            .found
            .sort_unstable_by_key(|&(number, _, place)| (number, place));
        scratch
            .found
            .dedup_by_key(|&mut (number, _, place)| (number, place));
        scratch.similarity.clear();
        for &(number, by, place) in &scratch.found {
            match scratch.similarity.last_mut() {
                Some(last) if last.0 == number => last.1 += by,
                _ => scratch.similarity.push((number, by, place)),
            }
        }
        let norm = (current.len() as f32).sqrt();
        for (number, similarity, _) in &mut scratch.similarity {
            let Some(session) = self.session(*number) else {
                *similarity = 0.0;
                continue;
            };
            // what it holds beyond this session is what it can say; a copy of this session says nothing
            let knows_more = session
                .products
                .iter()
                .any(|product| !current.contains(product));
            let age_days = now.days_since(session.time);
            if age_days < 0.0 || !knows_more {
                *similarity = 0.0;
                continue;
            }
            let age = (-age_days / params.age_fade_days).exp() as f32;
            *similarity *= age / (norm * (session.products.len() as f32).sqrt());
        }
        let order =
            |a: &(u64, f32, u16), b: &(u64, f32, u16)| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0));
        if scratch.similarity.len() > params.count {
            scratch
                .similarity
                .select_nth_unstable_by(params.count, order);
            scratch.similarity.truncate(params.count);
        }
        // sums must not depend on how the selection left them
        scratch
            .similarity
            .sort_unstable_by_key(|&(number, _, _)| number);
        for &(number, similarity, newest) in scratch
            .similarity
            .iter()
            .filter(|(_, similarity, _)| *similarity > 0.0)
        {
            let Some(session) = self.session(number) else {
                continue;
            };
            let shared = current[newest as usize];
            let Some(at) = session
                .products
                .iter()
                .position(|&product| product == shared)
            else {
                continue;
            };
            for (place, &product) in session.products.iter().enumerate() {
                let distance = place.abs_diff(at) as f32;
                found(
                    product,
                    similarity * (-distance / params.distance_fade).exp(),
                    shared,
                );
            }
        }
    }
}

/// The age of a session after which a new one begins: 30 minutes of silence.
pub const SILENCE_MS: i64 = DAY_MS / 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(1_600_000_000_000 + ms)
    }

    fn with(sessions: &[&[u32]]) -> Sessions {
        let mut index = Sessions::default();
        for products in sessions {
            let number = index.begin();
            for &product in *products {
                index.step(number, product, at(0));
            }
        }
        index
    }

    fn scores(index: &Sessions, current: &[u32], own: Option<u64>) -> Vec<(u32, f32)> {
        let mut scores: std::collections::BTreeMap<u32, f32> = std::collections::BTreeMap::new();
        let mut scratch = SessionScratch::default();
        index.like(
            current,
            own,
            at(1_000),
            &SessionParams::default(),
            &mut scratch,
            |product, part, _| {
                *scores.entry(product).or_default() += part;
            },
        );
        let mut scores: Vec<(u32, f32)> = scores.into_iter().collect();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores
    }

    #[test]
    fn what_similar_sessions_went_on_to_is_found() {
        let index = with(&[&[1, 2, 3], &[1, 2, 3], &[1, 4], &[8, 9]]);
        let best = scores(&index, &[2, 1], None);
        let unseen = best
            .iter()
            .find(|(product, _)| ![1, 2].contains(product))
            .unwrap();
        assert_eq!(unseen.0, 3);
        assert!(!best.iter().any(|&(product, _)| product == 9));
        assert!(best.iter().any(|&(product, _)| product == 4));
    }

    #[test]
    fn the_own_session_and_its_copies_say_nothing() {
        let index = with(&[&[1, 2], &[1, 2]]);
        assert_eq!(scores(&index, &[2, 1], Some(0)), []);
        assert_eq!(scores(&index, &[7], None), []);
        assert_eq!(scores(&index, &[], None), []);
    }

    #[test]
    fn a_session_of_one_product_is_not_listed_until_it_has_two() {
        let mut index = with(&[&[1, 1, 1]]);
        assert_eq!(index.of(1), 0);
        index.step(0, 2, at(5));
        assert_eq!((index.of(1), index.of(2)), (1, 1));
    }

    #[test]
    fn a_session_is_listed_once_for_each_of_its_products() {
        let mut index = with(&[&[0, 1]]);
        let endless = index.begin();
        for _ in 0..3 {
            for product in 0..2 * MAX_PRODUCTS as u32 {
                index.step(endless, product, at(0));
                let other = index.begin();
                index.step(other, product, at(0));
                index.step(other, 1_000, at(0));
            }
        }
        let held = index.products(endless);
        assert_eq!(held.len(), MAX_PRODUCTS);
        for product in 0..2 * MAX_PRODUCTS as u32 {
            let lists = index.recent(product).iter();
            let listed = lists.filter(|&&number| number == endless).count();
            assert_eq!(listed, usize::from(held.contains(&product)), "{product}");
        }
    }

    #[test]
    fn the_oldest_sessions_make_room() {
        let mut index = with(&[&[1, 2]]);
        while index.begun() < MAX_SESSIONS as u64 {
            index.begin();
        }
        assert_eq!(index.products(0), [1, 2]);
        let newest = index.begin();
        index.step(newest, 3, at(0));
        index.step(newest, 1, at(0));
        index.step(0, 4, at(0));
        assert!(index.products(0).is_empty());
        assert_eq!(index.products(newest), [3, 1]);
        assert_eq!(index.sessions.len(), MAX_SESSIONS);
        let best = scores(&index, &[1], None);
        assert!(best.iter().all(|(product, _)| [1, 3].contains(product)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut index = Sessions::default();
        for _ in 0..5 * MAX_OF_PRODUCT {
            let number = index.begin();
            for product in 0..50 {
                index.step(number, product, at(0));
            }
        }
        assert_eq!(index.of(49), MAX_OF_PRODUCT);
        assert!(
            index
                .of_product
                .iter()
                .all(|list| list.len() <= 2 * MAX_OF_PRODUCT)
        );
        assert!(
            index
                .sessions
                .iter()
                .all(|session| session.products.len() <= MAX_PRODUCTS)
        );
        let far = Sessions {
            next: 3 * MAX_SESSIONS as u64,
            ..index
        };
        assert_eq!(
            scores(&far, &[1], None),
            [],
            "sessions out of the ring are gone"
        );
    }
}
