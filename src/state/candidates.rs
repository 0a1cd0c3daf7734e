//! From a question to its candidates: what each source proposes, and everything the features are made of.

use crate::algorithms::content::Content;
use crate::algorithms::covisitation::Covisitation;
use crate::algorithms::features::{Asker, Candidate, Item, Own, SOURCES, Steps};
use crate::algorithms::top::TopList;
use crate::domain::journey::Step;
use crate::domain::time::{DAY_MS, HOUR_MS};
use crate::domain::{EventKind, Recipe, Source, StageIndex, Timestamp};
use crate::state::products::{FAST_DAYS, RECENT_DAYS, SLOW_DAYS};
use crate::state::subjects::Subject;
use crate::state::{State, weight};

/// Half-life of an own purchase that says what somebody is about.
pub const OWN_FAST_DAYS: f64 = 14.0;
/// Half-life of an own purchase that says what somebody is like.
pub const OWN_SLOW_DAYS: f64 = 120.0;
/// How an own purchase fades from basket to basket.
pub const OWN_BASKET_FADE: f64 = 0.85;
/// How many bought lines say what goes with them.
const BOUGHT_SEEDS: usize = 60;
/// How many steps say what goes with them.
const STEP_SEEDS: usize = 12;
/// How many seeds say which texts are alike.
const CONTENT_SEEDS: usize = 6;
/// For how long a step speaks for its product.
const STEP_MEMORY_MS: i64 = 30 * DAY_MS;
/// How much of the catalog is looked at to fill an answer up.
const MAX_FILL_SCAN: usize = 5_000;
/// The constant of reciprocal rank fusion (Cormack et al. 2009).
const FUSION: f64 = 60.0;

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

/// Room to work in, kept from question to question; holds nothing between them.
#[derive(Debug, Default)]
pub struct Scratch {
    bought: Vec<f32>,
    browsed: Vec<f32>,
    content: Vec<f32>,
    best: Vec<(f32, u32)>,
    content_best: Vec<(f32, u32)>,
    touched: Vec<u32>,
    slots: Vec<u32>,
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
    pub fn own(&self) -> Vec<(u32, Own)> {
        let Some(subject) = self.subject else {
            return Vec::new();
        };
        let baskets = subject
            .baskets
            .partition_point(|basket| basket.time <= self.now);
        let mut lines: Vec<(u32, usize, f32)> = Vec::new();
        for place in 0..baskets {
            lines.extend(
                subject
                    .lines_of(place)
                    .iter()
                    .map(|l| (l.product, place, l.quantity)),
            );
        }
        lines.sort_unstable_by_key(|&(product, place, _)| (product, place));
        let mut own: Vec<(u32, Own)> = Vec::new();
        for (product, place, quantity) in lines {
            let days = self.now.days_since(subject.baskets[place].time);
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
            stats.baskets += 1.0;
            stats.last_days = days;
            stats.baskets_ago = baskets_ago;
            stats.fast += (-days / OWN_FAST_DAYS).exp2();
            stats.slow += (-days / OWN_SLOW_DAYS).exp2();
            stats.by_basket += OWN_BASKET_FADE.powf(baskets_ago);
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
    pub fn asker(&self, own: &[(u32, Own)]) -> Asker {
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
        let lines: f64 = own.iter().map(|(_, own)| own.baskets).sum();
        let again = lines - own.len() as f64;
        Asker {
            baskets,
            repeat_share: (again + 1.0) / (lines + 4.0),
            basket_size: if baskets > 0.0 { lines / baskets } else { 0.0 },
            rhythm_days,
            mean_repeat_rate: self.state.products.mean_repeat_rate(),
        }
    }

    /// What the steps say, by product, newest first.
    fn stepped(&self) -> Vec<(u32, Steps)> {
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
            steps.weight += weight;
            let carted = step.kind == EventKind::AddToCart && cart_open;
            steps.in_cart |= carted && !settled.contains(&product);
        }
        stepped
    }

    /// What the bought baskets say, newest first: product and weight.
    fn bought_seeds(&self) -> Vec<(u32, f32)> {
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

/// The candidates of a question, at most `recipe.limit`, in no order that matters, with everything their features are
/// made of. `allowed` says whether a product may be answered; it is asked only for products that a source proposes.
pub fn propose(
    view: &View<'_>,
    recipe: &Recipe,
    content: &Content,
    scratch: &mut Scratch,
    mut allowed: impl FnMut(u32) -> bool,
) -> (Vec<Candidate>, Asker) {
    let own = view.own();
    let asker = view.asker(&own);
    let stepped = view.stepped();
    scratch.prepare(view.state.products.items().len());
    scratch.accumulate(view, &stepped, content);

    let most = recipe.sources.iter().map(|&(_, quota)| quota).sum();
    let mut proposals = Proposals {
        scratch,
        candidates: Vec::with_capacity(most),
        allowed: &mut allowed,
    };
    for &(source, quota) in &recipe.sources {
        let ranking = ranking(source, view, &own, &asker, &stepped, proposals.scratch);
        proposals.take(source, quota, ranking);
    }
    let mut candidates = best(proposals.candidates, recipe);
    for candidate in &mut candidates {
        fill(candidate, view, &own, &stepped, scratch);
    }
    scratch.clear();
    (candidates, asker)
}

/// The `recipe.limit` candidates with the best blend.
fn best(mut candidates: Vec<Candidate>, recipe: &Recipe) -> Vec<Candidate> {
    if candidates.len() <= recipe.limit {
        return candidates;
    }
    let key = |(place, c): (usize, &Candidate)| (blend(c, recipe), c.product, place);
    let mut keyed: Vec<(f64, u32, usize)> = candidates.iter().enumerate().map(key).collect();
    keyed.select_nth_unstable_by(recipe.limit, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    keyed.truncate(recipe.limit);
    keyed
        .into_iter()
        .map(|(_, _, place)| std::mem::take(&mut candidates[place]))
        .collect()
}

/// Products to fill an answer up with, best first, at most `count`: what sells lately, what sold ever,
/// what is looked at, then the catalog from its newest end; of the catalog no more than
/// `MAX_FILL_SCAN` are looked at.
pub fn filler(state: &State, count: usize, mut allowed: impl FnMut(u32) -> bool) -> Vec<u32> {
    let products = &state.products;
    let listed = products.recent.iter().chain(products.popular.iter());
    let listed = listed.chain(products.browsed.iter());
    let newest = (0..products.items().len() as u32).rev().take(MAX_FILL_SCAN);
    let mut list = Vec::new();
    for product in listed.chain(newest) {
        if list.len() == count {
            break;
        }
        if !list.contains(&product) && allowed(product) {
            list.push(product);
        }
    }
    list
}

/// The score of the blend: Σ weight/(60 + rank) over the sources that proposed the candidate.
#[must_use]
pub fn blend(candidate: &Candidate, recipe: &Recipe) -> f64 {
    recipe
        .blend
        .iter()
        .map(|&(source, weight)| match candidate.ranks[source as usize] {
            0 => 0.0,
            rank => weight / (FUSION + f64::from(rank)),
        })
        .sum()
}

/// The products of a source, best first.
fn ranking<'v>(
    source: Source,
    view: &'v View<'_>,
    own: &[(u32, Own)],
    asker: &Asker,
    stepped: &'v [(u32, Steps)],
    scratch: &Scratch,
) -> Box<dyn Iterator<Item = u32> + 'v> {
    let products = &view.state.products;
    let popular = |product: u32| products.item(product).baskets;
    let listed = |top: &'v TopList| -> Box<dyn Iterator<Item = u32> + 'v> { Box::new(top.iter()) };
    let scored = |values: Vec<(f32, u32)>| -> Box<dyn Iterator<Item = u32> + 'v> {
        Box::new(BestFirst::new(values, popular))
    };
    let touched = |score: &dyn Fn(usize) -> f32| {
        let all = scratch
            .touched
            .iter()
            .map(|&product| (score(product as usize), product));
        all.filter(|&(score, _)| score > 0.0).collect()
    };
    match source {
        Source::Personal => {
            let score = |&(product, own): &(u32, Own)| {
                let item = products.item(product);
                let rate = (f64::from(item.repeat_buyers) + 5.0 * asker.mean_repeat_rate)
                    / (f64::from(item.buyers) + 5.0);
                let due = 0.5 * own.fast + own.slow + 0.25 * own.by_basket;
                ((due * (0.2 + rate)) as f32, product)
            };
            scored(own.iter().map(score).collect())
        }
        Source::Together => {
            let peak = |values: &[f32]| {
                let all = scratch
                    .touched
                    .iter()
                    .map(|&product| values[product as usize]);
                all.fold(1e-9f32, f32::max)
            };
            let (bought, browsed) = (peak(&scratch.bought), peak(&scratch.browsed));
            scored(touched(&|place| {
                scratch.bought[place] / bought + scratch.browsed[place] / browsed
            }))
        }
        Source::Content => scored(touched(&|place| scratch.content[place])),
        Source::Recent => Box::new(stepped.iter().map(|&(product, _)| product)),
        Source::Trending if products.trending.is_empty() => listed(&products.browsed),
        Source::Trending => listed(&products.trending),
        Source::Stage => listed(&products.by_stage[view.stage.0 as usize]),
        Source::Popular if products.recent.is_empty() => listed(&products.browsed),
        Source::Popular => listed(&products.recent),
    }
}

/// Products by score, best first; ties go to the more popular, then to the one that was known first. Sorts no more
/// than is asked for.
struct BestFirst<F> {
    scored: Vec<(f32, u32)>,
    popular: F,
    next: usize,
    sorted: usize,
}

impl<F: Fn(u32) -> u32> BestFirst<F> {
    /// How many are sorted at a time.
    const SOME: usize = 128;

    fn new(scored: Vec<(f32, u32)>, popular: F) -> Self {
        Self {
            scored,
            popular,
            next: 0,
            sorted: 0,
        }
    }

    fn sort_some(&mut self) {
        let popular = &self.popular;
        let order = |a: &(f32, u32), b: &(f32, u32)| {
            let by_score = b.0.total_cmp(&a.0);
            by_score
                .then_with(|| popular(b.1).cmp(&popular(a.1)))
                .then(a.1.cmp(&b.1))
        };
        let rest = &mut self.scored[self.sorted..];
        let some = rest.len().min(Self::SOME);
        if rest.len() > some {
            rest.select_nth_unstable_by(some, order);
        }
        rest[..some].sort_unstable_by(order);
        self.sorted += some;
    }
}

impl<F: Fn(u32) -> u32> Iterator for BestFirst<F> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.next == self.sorted {
            self.sort_some();
        }
        let product = self.scored.get(self.next)?.1;
        self.next += 1;
        Some(product)
    }
}

/// The candidates so far.
struct Proposals<'s, 'f> {
    scratch: &'s mut Scratch,
    candidates: Vec<Candidate>,
    allowed: &'f mut dyn FnMut(u32) -> bool,
}

impl Proposals<'_, '_> {
    fn take(&mut self, source: Source, quota: usize, ranking: impl Iterator<Item = u32>) {
        let mut rank = 0;
        for product in ranking {
            if usize::from(rank) == quota {
                break;
            }
            let slot = self.scratch.slots[product as usize];
            let place = if slot > 0 {
                slot as usize - 1
            } else if (self.allowed)(product) {
                self.candidates.push(Candidate {
                    product,
                    ..Candidate::default()
                });
                self.scratch.slots[product as usize] = self.candidates.len() as u32;
                self.scratch.touch(product);
                self.candidates.len() - 1
            } else {
                continue;
            };
            rank += 1;
            self.candidates[place].ranks[source as usize] = rank;
        }
    }
}

/// Everything the features are made of, except the ranks.
fn fill(
    candidate: &mut Candidate,
    view: &View<'_>,
    own: &[(u32, Own)],
    stepped: &[(u32, Steps)],
    scratch: &Scratch,
) {
    let (number, place) = (candidate.product, candidate.product as usize);
    if let Ok(found) = own.binary_search_by_key(&number, |&(product, _)| product) {
        candidate.own = own[found].1;
    }
    if let Some(&(_, steps)) = stepped.iter().find(|&&(product, _)| product == number) {
        candidate.steps = steps;
    }
    let item = view.state.products.item(number);
    let born = item.first.unwrap_or(view.now);
    candidate.item = Item {
        baskets: f64::from(item.baskets),
        fast: item.bought_fast.at(view.now, FAST_DAYS),
        recent: item.bought_recent.at(view.now, RECENT_DAYS),
        slow: item.bought_slow.at(view.now, SLOW_DAYS),
        browsed: item.browsed.at(view.now, FAST_DAYS),
        stage: item.by_stage[view.stage.0 as usize].at(view.now, RECENT_DAYS),
        buyers: f64::from(item.buyers),
        repeat_buyers: f64::from(item.repeat_buyers),
        age_days: view.now.days_since(born).max(0.0),
    };
    candidate.bought_together = f64::from(scratch.bought[place]);
    candidate.browsed_together = f64::from(scratch.browsed[place]);
    candidate.content = f64::from(scratch.content[place]);
    let (strength, because) = scratch.best[place];
    candidate.because = (strength > 0.0).then_some(because);
    let (strength, because) = scratch.content_best[place];
    candidate.content_because = (strength > 0.0).then_some(because);
}

impl Scratch {
    fn prepare(&mut self, products: usize) {
        if self.slots.len() < products {
            self.bought.resize(products, 0.0);
            self.browsed.resize(products, 0.0);
            self.content.resize(products, 0.0);
            self.best.resize(products, (0.0, 0));
            self.content_best.resize(products, (0.0, 0));
            self.slots.resize(products, 0);
        }
    }

    fn touch(&mut self, product: u32) {
        self.touched.push(product);
    }

    /// Back to zero, at the cost of what was touched.
    fn clear(&mut self) {
        for product in self.touched.drain(..) {
            let place = product as usize;
            self.bought[place] = 0.0;
            self.browsed[place] = 0.0;
            self.content[place] = 0.0;
            self.best[place] = (0.0, 0);
            self.content_best[place] = (0.0, 0);
            self.slots[place] = 0;
        }
    }

    fn accumulate(&mut self, view: &View<'_>, stepped: &[(u32, Steps)], content: &Content) {
        let bought = view.bought_seeds();
        let steps: Vec<(u32, f32)> = stepped
            .iter()
            .take(STEP_SEEDS)
            .map(|&(product, steps)| {
                let by = 1.0 / (1.0 + steps.products_ago) + 0.1 * steps.weight.ln_1p();
                (product, by as f32)
            })
            .collect();
        let state = view.state;
        for &(seed, by) in bought.iter().chain(&steps) {
            self.together(state, &state.bought_together, seed, by, true);
        }
        for &(seed, by) in steps.iter().chain(bought.iter().take(STEP_SEEDS)) {
            self.together(state, &state.browsed_together, seed, by, false);
        }
        let seeds = steps
            .iter()
            .take(CONTENT_SEEDS)
            .chain(bought.iter().take(CONTENT_SEEDS));
        for &(seed, by) in seeds {
            self.alike(content, seed, by);
        }
    }

    /// True if no seed has reached the product yet.
    fn is_untouched(&self, place: usize) -> bool {
        self.bought[place] <= 0.0 && self.browsed[place] <= 0.0 && self.content[place] <= 0.0
    }

    fn together(
        &mut self,
        state: &State,
        table: &Covisitation,
        seed: u32,
        by: f32,
        is_bought: bool,
    ) {
        let often = |number: u32| {
            let item = state.products.item(number);
            let steps = if is_bought { 0 } else { item.steps };
            (item.baskets + steps) as f32 + 5.0
        };
        let from = often(seed);
        for (product, count) in table.neighbours(seed) {
            let part = by * count / (from * often(product)).sqrt();
            let place = product as usize;
            let sum = if is_bought {
                &mut self.bought[place]
            } else {
                &mut self.browsed[place]
            };
            *sum += part;
            self.touched.push(product);
            if part > self.best[place].0 {
                self.best[place] = (part, seed);
            }
        }
    }

    fn alike(&mut self, content: &Content, seed: u32, by: f32) {
        let known = self.slots.len() as u32;
        content.parts(seed, |product, part| {
            if product < known {
                let place = product as usize;
                if self.is_untouched(place) {
                    self.touched.push(product);
                }
                self.content[place] += by * part;
                if part > self.content_best[place].0 {
                    self.content_best[place] = (part, seed);
                }
            }
        });
    }
}

/// A compile-time reminder that ranks are indexed by source.
const _: () = assert!(SOURCES == Source::ALL.len());
