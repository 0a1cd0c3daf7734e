//! A question to State: who asks, when, what is going on, and what their own history says.

use crate::algorithms::features::{Asker, Own, Steps};
use crate::domain::journey::Step;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{EventKind, StageIndex, Timestamp};
use crate::state::subjects::Subject;
use crate::state::tuning::Tuning;
use crate::state::{State, weight};

/// How an own purchase fades from basket to basket.
pub const OWN_BASKET_FADE: f64 = 0.85;
/// How many bought lines say what goes with them.
const BOUGHT_SEEDS: usize = 60;
/// For how long a step speaks for its product.
const STEP_MEMORY_MS: i64 = 30 * DAY_MS;
/// What counts as this visit.
const VISIT_HOURS: f64 = 24.0;

/// One question to State: who asks, when, and what is going on.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// What is known.
    pub state: &'a State,
    /// What is remembered of who asks; absent: somebody unknown.
    pub subject: Option<&'a Subject>,
    /// Their steps, and those of the question, oldest first, none later than `now`.
    pub steps: Vec<Step>,
    /// The moment of the question.
    pub now: Timestamp,
    /// The stage to answer for.
    pub stage: StageIndex,
}

impl<'a> View<'a> {
    /// The question of `subject` at `now`, with `context` as the steps that are happening right now.
    #[must_use]
    pub fn new(
        state: &'a State,
        subject: Option<&'a Subject>,
        context: &[Step],
        now: Timestamp,
    ) -> Self {
        let known = subject.map_or(&[][..], |subject| &subject.steps);
        let known = &known[..known.partition_point(|step| step.time <= now)];
        let mut steps = [known, context].concat();
        steps.sort_by_key(|step| step.time);
        let stage = state.journey().stage_at(&steps, now);
        Self {
            state,
            subject,
            steps,
            now,
            stage,
        }
    }

    /// True if nothing is known of who asks.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.steps.is_empty() && self.subject.is_none_or(|subject| subject.lines.is_empty())
    }

    /// The own purchases until now, by product, ordered by product.
    #[must_use]
    pub fn own(&self, tuning: &Tuning) -> Vec<(u32, Own)> {
        let Some(subject) = self.subject else {
            return Vec::new();
        };
        let baskets = subject
            .baskets
            .partition_point(|basket| basket.time <= self.now);
        let mut lines: Vec<(u32, usize, f32)> = Vec::new();
        // how long ago a basket was, and what is left of it, by the short and the long half-life and by baskets
        let mut faded: Vec<[f64; 4]> = Vec::with_capacity(baskets);
        let mut by_basket = OWN_BASKET_FADE.powi(baskets as i32 - 1);
        for place in 0..baskets {
            let days = self.now.days_since(subject.baskets[place].time);
            let fast = (-days / tuning.own_fast_days).exp2();
            let slow = (-days / tuning.own_slow_days).exp2();
            faded.push([days, fast, slow, by_basket]);
            by_basket /= OWN_BASKET_FADE;
            let of_basket = subject.lines_of(place).iter();
            lines.extend(of_basket.map(|line| (line.product, place, line.quantity)));
        }
        lines.sort_unstable_by_key(|&(product, place, _)| (product, place));
        let mut own: Vec<(u32, Own)> = Vec::new();
        for (product, place, quantity) in lines {
            let [days, fast, slow, by_basket] = faded[place];
            let baskets_ago = (baskets - 1 - place) as f64;
            if own.last().is_none_or(|&(last, _)| last != product) {
                own.push((
                    product,
                    Own {
                        first_days: days,
                        ..Own::default()
                    },
                ));
            }
            let Some((_, stats)) = own.last_mut() else {
                continue;
            };
            if stats.baskets > 0.0 {
                stats.gaps.add(stats.last_days - days);
            }
            stats.baskets += 1.0;
            stats.last_days = days;
            stats.baskets_ago = baskets_ago;
            stats.fast += fast;
            stats.slow += slow;
            stats.by_basket += by_basket;
            stats.quantity += f64::from(quantity);
        }
        for &(time, product) in &subject.refunds {
            if time <= self.now
                && let Ok(place) = own.binary_search_by_key(&product, |&(product, _)| product)
            {
                own[place].1.refunds += 1.0;
            }
        }
        own
    }

    /// What is the same for all candidates.
    #[must_use]
    pub fn asker(&self, own: &[(u32, Own)], stepped: &[(u32, Steps)]) -> Asker {
        let (mut baskets, mut rhythm_days) = (0.0, 0.0);
        if let Some(subject) = self.subject {
            let past = subject
                .baskets
                .partition_point(|basket| basket.time <= self.now);
            baskets = past as f64;
            if past > 1 {
                let days = subject.baskets[past - 1]
                    .time
                    .days_since(subject.baskets[0].time);
                rhythm_days = days / (baskets - 1.0);
            }
        }
        let visit = stepped.iter().map(|(_, steps)| steps);
        let visit = visit.filter(|steps| steps.last_hours < VISIT_HOURS);
        let (mut visit_products, mut visit_steps) = (0.0, 0.0);
        for steps in visit {
            visit_products += 1.0;
            visit_steps += steps.count;
        }
        let lines: f64 = own.iter().map(|(_, own)| own.baskets).sum();
        let again = lines - own.len() as f64;
        Asker {
            baskets,
            repeat_share: (again + 1.0) / (lines + 4.0),
            basket_size: if baskets > 0.0 { lines / baskets } else { 0.0 },
            rhythm_days,
            mean_repeat_rate: self.state.products.mean_repeat_rate(),
            gaps: self.state.products.gaps,
            visit_products,
            visit_returns: (visit_steps - visit_products) / f64::max(visit_steps, 1.0),
            idle_hours: stepped.first().map_or(0.0, |(_, steps)| steps.last_hours),
        }
    }

    /// What the steps say, by product, newest first.
    pub(super) fn stepped(&self) -> Vec<(u32, Steps)> {
        let oldest = self.now.plus_ms(-STEP_MEMORY_MS);
        let mut stepped: Vec<(u32, Steps)> = Vec::new();
        let mut settled: Vec<u32> = Vec::new();
        let mut cart_open = true;
        for step in self
            .steps
            .iter()
            .rev()
            .take_while(|step| step.time >= oldest)
        {
            // what was in the cart before a purchase is no longer
            cart_open &= step.kind != EventKind::Purchase;
            let Some(product) = step.product else {
                continue;
            };
            if step.kind == EventKind::RemoveFromCart {
                settled.push(product);
            }
            let weight = weight(step.kind);
            if weight <= 0.0 {
                continue;
            }
            let place = stepped.iter().position(|&(known, _)| known == product);
            let place = place.unwrap_or_else(|| {
                let last_hours = (self.now.ms() - step.time.ms()) as f64 / HOUR_MS as f64;
                let products_ago = stepped.len() as f64;
                stepped.push((
                    product,
                    Steps {
                        last_hours,
                        products_ago,
                        ..Steps::default()
                    },
                ));
                stepped.len() - 1
            });
            let steps = &mut stepped[place].1;
            steps.count += 1.0;
            steps.weight += weight;
            let carted = step.kind == EventKind::AddToCart && cart_open;
            steps.in_cart |= carted && !settled.contains(&product);
        }
        stepped
    }

    /// What the bought baskets say, newest first: product and weight.
    pub(super) fn bought_seeds(&self) -> Vec<(u32, f32)> {
        let Some(subject) = self.subject else {
            return Vec::new();
        };
        let past = subject
            .baskets
            .partition_point(|basket| basket.time <= self.now);
        let mut seeds = Vec::new();
        for place in (0..past).rev() {
            let by = (0.8f64).powi((past - 1 - place) as i32) as f32;
            for line in subject.lines_of(place).iter().rev() {
                if seeds.len() == BOUGHT_SEEDS {
                    return seeds;
                }
                if !seeds.iter().any(|&(known, _)| known == line.product) {
                    seeds.push((line.product, by));
                }
            }
        }
        seeds
    }
}
