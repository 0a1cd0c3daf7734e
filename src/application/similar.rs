//! What customers like each customer buy, kept for a while: it takes most of the time of an answer to find and hardly
//! changes from one page view to the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::FixedState;

use crate::domain::Timestamp;
use crate::domain::time::HOUR_MS;
use crate::state::neighbours::Liked;
use crate::state::subjects::Subject;

/// For how long it is kept, in the time of the questions.
const KEPT_MS: i64 = 6 * HOUR_MS;
/// Of how many customers it is kept at most, about 2.5 kB each.
pub const MAX_CUSTOMERS: usize = 32_768;
/// Callers rarely wait for each other.
const SHARDS: usize = 32;

type Shard = HashMap<u32, Kept, FixedState>;

/// What similar customers buy, by customer.
#[derive(Debug)]
pub struct SimilarCustomers {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Kept {
    /// What the customer had bought by then.
    orders: u64,
    lines: usize,
    at: Timestamp,
    liked: Arc<[Liked]>,
}

impl Default for SimilarCustomers {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl SimilarCustomers {
    /// What is kept of a customer, or else what `find` finds, which is kept from now on.
    pub fn of(
        &self,
        customer: u32,
        subject: &Subject,
        now: Timestamp,
        find: impl FnOnce() -> Vec<Liked>,
    ) -> Arc<[Liked]> {
        let (orders, lines) = (subject.orders, subject.lines.len());
        let shard = &self.shards[customer as usize % SHARDS];
        let is_good = |kept: &&Kept| {
            kept.orders == orders
                && kept.lines == lines
                && (now.ms() - kept.at.ms()).abs() <= KEPT_MS
        };
        let kept = lock(shard)
            .get(&customer)
            .filter(is_good)
            .map(|kept| kept.liked.clone());
        kept.unwrap_or_else(|| {
            let liked: Arc<[Liked]> = find().into();
            let mut shard = lock(shard);
            if shard.len() >= MAX_CUSTOMERS / SHARDS && !shard.contains_key(&customer) {
                shard.clear();
            }
            shard.insert(
                customer,
                Kept {
                    orders,
                    lines,
                    at: now,
                    liked: liked.clone(),
                },
            );
            liked
        })
    }

    /// Keeps nothing: products or customers have other numbers, somebody was erased, or it would be found otherwise
    /// now.
    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).clear());
    }
}

fn lock(shard: &Mutex<Shard>) -> std::sync::MutexGuard<'_, Shard> {
    // an entry is put in whole or not at all
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn liked(product: u32) -> Vec<Liked> {
        vec![Liked {
            product,
            ever: 1.0,
            now: 1.0,
        }]
    }

    #[test]
    fn it_is_found_again_after_a_purchase_and_after_hours() {
        let similar = SimilarCustomers::default();
        let mut subject = Subject::new("c");
        let at = |hours: i64| Timestamp::from_ms(1_700_000_000_000 + hours * HOUR_MS);
        let of = |subject: &Subject, hours, product| {
            similar.of(7, subject, at(hours), || liked(product))[0].product
        };
        assert_eq!(of(&subject, 0, 1), 1);
        assert_eq!(of(&subject, 5, 2), 1, "kept");
        assert_eq!(of(&subject, 7, 3), 3, "too old");
        assert_eq!(of(&subject, 7, 4), 3);
        subject.add_line(at(7), 1, 5, 1.0);
        assert_eq!(of(&subject, 7, 5), 5, "bought since");
        similar.clear();
        assert_eq!(of(&subject, 7, 6), 6);
    }

    #[test]
    fn memory_is_bounded() {
        let similar = SimilarCustomers::default();
        let subject = Subject::new("c");
        for customer in 0..2 * MAX_CUSTOMERS as u32 {
            similar.of(customer, &subject, Timestamp::default(), || liked(1));
        }
        let kept: usize = similar.shards.iter().map(|shard| lock(shard).len()).sum();
        assert!((1..=MAX_CUSTOMERS).contains(&kept));
    }
}
