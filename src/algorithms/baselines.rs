//! The permanent baselines, by the definitions of the file contract.

use std::collections::VecDeque;

use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;

/// How far back "recent" reaches: [question − 28 days, question].
pub const RECENT_MS: i64 = 28 * DAY_MS;

/// Counts of what was bought (or viewed, in histories without purchases), exact.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    counts: Vec<u32>,
    recent: Vec<u32>,
    window: VecDeque<(Timestamp, u32)>,
}

impl Baselines {
    /// Counts one basket that holds `product` (or one view). Times must not fall.
    pub fn count(&mut self, time: Timestamp, product: u32) {
        let size = product as usize + 1;
        if self.counts.len() < size {
            self.counts.resize(size, 0);
            self.recent.resize(size, 0);
        }
        self.counts[product as usize] += 1;
        self.recent[product as usize] += 1;
        self.window.push_back((time, product));
    }

    /// How often a product was counted.
    #[must_use]
    pub fn counted(&self, product: u32) -> u32 {
        self.counts.get(product as usize).copied().unwrap_or(0)
    }

    /// The `k` most counted products that are `allowed`, best first; ties in the order of their numbers.
    #[must_use]
    pub fn popularity(&self, k: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        top(&self.counts, k, allowed)
    }

    /// The `k` most counted of the last 28 days before `now`; ties go to the more popular.
    pub fn recent(&mut self, now: Timestamp, k: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
        let oldest = now.plus_ms(-RECENT_MS);
        while let Some(&(time, product)) = self.window.front() {
            if time >= oldest {
                break;
            }
            self.recent[product as usize] -= 1;
            self.window.pop_front();
        }
        let mut scored: Vec<(u32, u32, u32)> = (0..self.recent.len() as u32)
            .filter(|&product| self.recent[product as usize] > 0 && allowed(product))
            .map(|product| {
                (
                    self.recent[product as usize],
                    self.counted(product),
                    product,
                )
            })
            .collect();
        select(&mut scored, k, |a, b| {
            (b.0, b.1).cmp(&(a.0, a.1)).then(a.2.cmp(&b.2))
        });
        let mut list: Vec<u32> = scored.into_iter().map(|(_, _, product)| product).collect();
        fill(&mut list, k, self.popularity(2 * k, allowed));
        list
    }

    /// The own most counted, ties by popularity, then by number; filled up with popularity.
    #[must_use]
    pub fn personal(
        &self,
        own: &[(u32, f64)],
        k: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let mut scored: Vec<(f64, u32, u32)> = own
            .iter()
            .filter(|&&(product, _)| allowed(product))
            .map(|&(product, count)| (count, self.counted(product), product))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        scored.truncate(k);
        let mut list: Vec<u32> = scored.into_iter().map(|(_, _, product)| product).collect();
        fill(&mut list, k, self.popularity(2 * k, allowed));
        list
    }
}

fn top(counts: &[u32], k: usize, allowed: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut scored: Vec<(u32, u32)> = (0..counts.len() as u32)
        .filter(|&product| counts[product as usize] > 0 && allowed(product))
        .map(|product| (counts[product as usize], product))
        .collect();
    select(&mut scored, k, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().map(|(_, product)| product).collect()
}

/// The first `k` in order, without sorting the rest.
fn select<T>(items: &mut Vec<T>, k: usize, order: impl Fn(&T, &T) -> std::cmp::Ordering + Copy) {
    if items.len() > k && k > 0 {
        items.select_nth_unstable_by(k - 1, order);
    }
    items.truncate(k);
    items.sort_unstable_by(order);
}

fn fill(list: &mut Vec<u32>, k: usize, filler: Vec<u32>) {
    for product in filler {
        if list.len() >= k {
            break;
        }
        if !list.contains(&product) {
            list.push(product);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_as_the_contract_says() {
        let day = |days: i64| Timestamp::from_ms(days * DAY_MS);
        let mut counts = Baselines::default();
        for (days, product) in [(0, 3), (0, 3), (0, 3), (10, 1), (30, 2), (31, 2), (32, 1)] {
            counts.count(day(days), product);
        }
        let all = |_: u32| true;
        assert_eq!(counts.popularity(10, all), [3, 1, 2]);
        assert_eq!(counts.popularity(1, |product| product != 3), [1]);
        // day 0 and day 10 are out of the window [12, 40]; product 3 fills up
        assert_eq!(counts.recent(day(40), 10, all), [2, 1, 3]);
        assert_eq!(
            counts.personal(&[(1, 1.0), (2, 1.0), (9, 2.0)], 3, all),
            [9, 1, 2]
        );
        assert_eq!(counts.personal(&[], 2, all), [3, 1]);
    }
}
