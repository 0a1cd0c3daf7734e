//! From a question to its candidates: what each source proposes, and everything the features are made of.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::algorithms::features::{Asker, Candidate, Item, Own, SOURCES, Steps};
use crate::algorithms::top::TopList;
use crate::domain::{Recipe, Source};
use crate::state::State;
use crate::state::neighbours::Liked;
use crate::state::persona_popularity::PersonaPopularity;
use crate::state::products::{FAST_DAYS, RECENT_DAYS, SLOW_DAYS};
use crate::state::relations::Relations;
use crate::state::scratch::{Reach, Scratch};
use crate::state::taste::Taste;
use crate::state::tuning::{Share, Shares, Tuning};
use crate::state::view::View;

/// How much of the catalog is looked at to fill an answer up.
const MAX_FILL_SCAN: usize = 5_000;
/// The constant of reciprocal rank fusion (Cormack et al. 2009).
const FUSION: f64 = 60.0;

/// The persona of who asks, and what sells among its customers.
#[derive(Debug, Default)]
struct Kin {
    known: Option<(Arc<PersonaPopularity>, usize)>,
}

impl Kin {
    fn of(view: &View<'_>, relations: &Relations) -> Self {
        let by_persona = relations.by_persona();
        let persona = by_persona.persona_of(view);
        Self {
            known: persona.map(|persona| (by_persona.clone(), persona)),
        }
    }

    fn lift(&self, product: u32) -> f64 {
        let known = self.known.as_ref();
        known.map_or(0.0, |(by_persona, persona)| {
            by_persona.lift(product, *persona)
        })
    }

    /// Products with how much they sell among customers of the persona; none if it cannot be told.
    fn best<'k>(&'k self, view: &'k View<'_>) -> impl Iterator<Item = (f32, u32)> + 'k {
        self.known.iter().flat_map(move |(by_persona, persona)| {
            let popularity = |&product: &u32| {
                let sold = by_persona.popularity(view, product, *persona);
                (sold as f32, product)
            };
            by_persona.best(*persona).iter().map(popularity)
        })
    }
}

/// A product that a source proposes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposal {
    pub(super) product: u32,
    ranks: [u16; SOURCES],
}

/// Everything that is known for a question, before anything is chosen: several rankings may choose from it.
#[derive(Debug)]
pub struct Gathered<'v> {
    view: &'v View<'v>,
    own: Vec<(u32, Own)>,
    stepped: Vec<(u32, Steps)>,
    taste: Taste,
    kin: Kin,
    shares: Shares,
    /// What is the same for all candidates.
    pub asker: Asker,
    scratch: &'v mut Scratch,
}

impl<'v> Gathered<'v> {
    /// Asks every source.
    #[must_use]
    pub fn of(
        view: &'v View<'v>,
        relations: &Relations,
        tuning: &Tuning,
        scratch: &'v mut Scratch,
    ) -> Self {
        Self::with(view, relations, tuning, scratch, |find| find().into())
    }

    /// Asks every source; `remember` says what similar customers like, or asks them by what it is given.
    #[must_use]
    pub fn with(
        view: &'v View<'v>,
        relations: &Relations,
        tuning: &Tuning,
        scratch: &'v mut Scratch,
        remember: impl FnOnce(&mut dyn FnMut() -> Vec<Liked>) -> Arc<[Liked]>,
    ) -> Self {
        let own = view.own(tuning);
        let stepped = view.stepped();
        let asker = view.asker(&own, &stepped);
        scratch.prepare(view.state.products.items().len());
        let liked = remember(&mut || scratch.ask_neighbours(view, &own, &tuning.neighbours));
        scratch.hear_neighbours(&liked);
        scratch.accumulate(view, &own, &stepped, relations, tuning);
        Self {
            view,
            taste: Taste::of(view.state, &own, &stepped),
            kin: Kin::of(view, relations),
            shares: tuning.shares,
            own,
            stepped,
            asker,
            scratch,
        }
    }

    /// The question.
    #[must_use]
    pub fn view(&self) -> &'v View<'v> {
        self.view
    }

    /// The candidates, at most `recipe.limit`, in no order that matters, with everything their features are made of.
    /// `allowed` says whether a product may be answered; it is asked only for products that a source proposes.
    pub fn propose(
        &mut self,
        recipe: &Recipe,
        mut allowed: impl FnMut(u32) -> bool,
    ) -> Vec<Candidate> {
        let scratch = &mut *self.scratch;
        let mut room = std::mem::take(&mut scratch.scored);
        for &(source, quota) in &recipe.sources {
            let quota = self.shares.of(source).quota(quota);
            let ranking = ranking(
                source,
                quota,
                self.view,
                &self.own,
                &self.asker,
                &self.stepped,
                &self.kin,
                scratch,
                &mut room,
            );
            take(scratch, source, quota, ranking, &mut allowed);
        }
        scratch.scored = room;
        let mut proposals = scratch.take_proposals();
        keep_best(&mut proposals, recipe, &self.shares);
        let candidates = proposals
            .iter()
            .map(|&proposal| {
                candidate(
                    proposal,
                    self.view,
                    &self.own,
                    &self.stepped,
                    &self.taste,
                    &self.kin,
                    scratch,
                )
            })
            .collect();
        scratch.give_back(proposals);
        candidates
    }

    /// What each of the recipe's sources proposes with `budget` times the candidates it may, best first, in the order
    /// of the recipe.
    pub fn lists(
        &mut self,
        recipe: &Recipe,
        budget: f64,
        mut allowed: impl FnMut(u32) -> bool,
    ) -> Vec<Vec<u32>> {
        let mut room = Vec::new();
        let mut list = |&(source, quota): &(Source, usize)| {
            let most = Share {
                budget,
                ..Share::default()
            }
            .quota(quota);
            let ranking = ranking(
                source,
                most,
                self.view,
                &self.own,
                &self.asker,
                &self.stepped,
                &self.kin,
                self.scratch,
                &mut room,
            );
            let best = ranking.filter(|&product| allowed(product));
            best.take(most).collect()
        };
        recipe.sources.iter().map(&mut list).collect()
    }

    /// The score of the blend, of a candidate with these ranks.
    #[must_use]
    pub fn blend(&self, ranks: &[u16; SOURCES], recipe: &Recipe) -> f64 {
        blend(ranks, recipe, &self.shares)
    }

    /// The best score the blend can give: of what every source has first.
    #[must_use]
    pub fn best_blend(&self, recipe: &Recipe) -> f64 {
        blend(&[1; SOURCES], recipe, &self.shares)
    }

    /// Room for numbers, empty; to be given back.
    pub fn take_room(&mut self) -> Vec<f32> {
        let mut room = std::mem::take(&mut self.scratch.numbers);
        room.clear();
        room
    }

    /// Gives room for numbers back.
    pub fn give_room(&mut self, room: Vec<f32>) {
        self.scratch.numbers = room;
    }
}

/// The list of one source alone, best first, at most `count` products; only that source is asked.
pub fn alone(
    source: Source,
    view: &View<'_>,
    relations: &Relations,
    tuning: &Tuning,
    scratch: &mut Scratch,
    count: usize,
    mut allowed: impl FnMut(u32) -> bool,
) -> Vec<u32> {
    let own = view.own(tuning);
    let stepped = view.stepped();
    let asker = view.asker(&own, &stepped);
    scratch.prepare(view.state.products.items().len());
    match source {
        Source::Ease => scratch.follow(&own, relations, tuning),
        Source::Customers => {
            let liked = scratch.ask_neighbours(view, &own, &tuning.neighbours);
            scratch.hear_neighbours(&liked);
        }
        Source::Sessions => scratch.ask_sessions(view, &stepped, &tuning.sessions),
        _ => scratch.accumulate(view, &own, &stepped, relations, tuning),
    }
    let mut room = Vec::new();
    let kin = match source {
        Source::Persona => Kin::of(view, relations),
        _ => Kin::default(),
    };
    let ranking = ranking(
        source, count, view, &own, &asker, &stepped, &kin, scratch, &mut room,
    );
    let list = ranking
        .filter(|&product| allowed(product))
        .take(count)
        .collect();
    scratch.clear();
    list
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        self.scratch.clear();
    }
}

/// Takes note of what a source proposes, `quota` products at most.
fn take(
    scratch: &mut Scratch,
    source: Source,
    quota: usize,
    ranking: impl Iterator<Item = u32>,
    allowed: &mut impl FnMut(u32) -> bool,
) {
    let mut rank = 0;
    for product in ranking {
        if usize::from(rank) == quota {
            break;
        }
        let place = match scratch.reach(product).slot {
            0 if allowed(product) => scratch.propose(Proposal {
                product,
                ranks: [0; SOURCES],
            }),
            0 => continue,
            slot => slot as usize - 1,
        };
        rank += 1;
        scratch.proposals[place].ranks[source as usize] = rank;
    }
}

/// Keeps the `recipe.limit` proposals with the best blend.
fn keep_best(proposals: &mut Vec<Proposal>, recipe: &Recipe, shares: &Shares) {
    if proposals.len() <= recipe.limit {
        return;
    }
    let key = |(place, proposal): (usize, &Proposal)| {
        (
            blend(&proposal.ranks, recipe, shares),
            proposal.product,
            place,
        )
    };
    let mut keyed: Vec<(f64, u32, usize)> = proposals.iter().enumerate().map(key).collect();
    keyed.select_nth_unstable_by(recipe.limit, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    keyed.truncate(recipe.limit);
    *proposals = keyed.iter().map(|&(.., place)| proposals[place]).collect();
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

/// The score of the blend: Σ weight/(60 + rank) over the sources that proposed a candidate, by its ranks in them.
fn blend(ranks: &[u16; SOURCES], recipe: &Recipe, shares: &Shares) -> f64 {
    let parts = recipe.blend.iter();
    parts
        .map(|&(source, weight)| fused(weight, ranks[source as usize], shares.of(source)))
        .sum()
}

/// What a source adds to the blend for what it ranks so, 1 is best, 0 was not proposed.
#[must_use]
pub fn fused(weight: f64, rank: u16, share: Share) -> f64 {
    match rank {
        0 => 0.0,
        rank => weight * share.weight / (FUSION + f64::from(rank)),
    }
}

/// The products of a source, best first; about `wanted` are.
#[expect(clippy::too_many_arguments, reason = "what a source may ask")]
fn ranking<'v>(
    source: Source,
    wanted: usize,
    view: &'v View<'_>,
    own: &[(u32, Own)],
    asker: &Asker,
    stepped: &'v [(u32, Steps)],
    kin: &Kin,
    scratch: &Scratch,
    room: &'v mut Vec<u64>,
) -> Box<dyn Iterator<Item = u32> + 'v> {
    let products = &view.state.products;
    let popular = |product: u32| products.item(product).baskets;
    let listed = |top: &'v TopList| -> Box<dyn Iterator<Item = u32> + 'v> { Box::new(top.iter()) };
    room.clear();
    let mut touched = |score: &dyn Fn(&Reach) -> f32| {
        let all = scratch
            .touched()
            .map(|(product, reach)| (score(reach), product))
            .filter(|&(score, _)| score > 0.0);
        room.extend(all.map(|(score, product)| packed(score, product)));
    };
    match source {
        Source::Personal => {
            let score = |&(product, own): &(u32, Own)| {
                let item = products.item(product);
                let rate = (f64::from(item.repeat_buyers) + 5.0 * asker.mean_repeat_rate)
                    / (f64::from(item.buyers) + 5.0);
                let due = 0.5 * own.fast + own.slow + 0.25 * own.by_basket;
                packed((due * (0.2 + rate)) as f32, product)
            };
            room.extend(own.iter().map(score));
        }
        Source::Together => {
            let peak = |sum: fn(&Reach) -> f32| {
                scratch
                    .touched()
                    .map(|(_, reach)| sum(reach))
                    .fold(1e-9f32, f32::max)
            };
            let (bought, browsed) = (peak(|reach| reach.bought), peak(|reach| reach.browsed));
            touched(&|reach| reach.bought / bought + reach.browsed / browsed);
        }
        Source::Ease => touched(&|reach| reach.ease),
        Source::Customers => touched(&|reach| reach.liked_ever + reach.liked_now),
        Source::Sessions => touched(&|reach| reach.sessions),
        Source::Content => touched(&|reach| reach.content),
        Source::Recent => return Box::new(stepped.iter().map(|&(product, _)| product)),
        Source::Trending if products.trending.is_empty() => return listed(&products.browsed),
        Source::Trending => return listed(&products.trending),
        Source::Persona => {
            let best = kin.best(view).filter(|&(sold, _)| sold > 0.0);
            room.extend(best.map(|(sold, product)| packed(sold, product)));
        }
        Source::Stage => return listed(&products.by_stage[view.stage.0 as usize]),
        Source::Popular if products.recent.is_empty() => return listed(&products.browsed),
        Source::Popular => return listed(&products.recent),
    }
    Box::new(BestFirst::new(room, popular, wanted))
}

/// A score and a product as one number that orders by the score: sorting numbers is thrice as quick as sorting pairs.
fn packed(score: f32, product: u32) -> u64 {
    let bits = score.to_bits();
    let is_negative = bits >> 31 == 1;
    let ordered = if is_negative { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(product)
}

/// Products by score, best first; ties go to the more popular, then to the one that was known first. Sorts no more
/// than is asked for.
struct BestFirst<'v, F> {
    /// What [`packed`] makes; up to `sorted` in order.
    scored: &'v mut Vec<u64>,
    popular: F,
    /// How many are sorted at a time; more if the last has the same score as those behind it.
    some: usize,
    next: usize,
    sorted: usize,
}

impl<'v, F: Fn(u32) -> u32> BestFirst<'v, F> {
    fn new(scored: &'v mut Vec<u64>, popular: F, wanted: usize) -> Self {
        Self {
            scored,
            popular,
            some: wanted.max(1),
            next: 0,
            sorted: 0,
        }
    }

    fn sort_some(&mut self) {
        let rest = &mut self.scored[self.sorted..];
        let mut some = rest.len().min(self.some);
        if rest.len() > some {
            let (_, &mut last, behind) = rest.select_nth_unstable_by(some - 1, |a, b| b.cmp(a));
            // whoever has the score of the last may be before it
            let mut equal = 0;
            for place in 0..behind.len() {
                if behind[place] >> 32 == last >> 32 {
                    behind.swap(equal, place);
                    equal += 1;
                }
            }
            some += equal;
        }
        let best = &mut rest[..some];
        best.sort_unstable_by(|a, b| b.cmp(a));
        for ties in best.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
            if ties.len() > 1 {
                ties.sort_unstable_by_key(|&one| (Reverse((self.popular)(one as u32)), one));
            }
        }
        self.sorted += some;
    }
}

impl<F: Fn(u32) -> u32> Iterator for BestFirst<'_, F> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.next == self.sorted {
            self.sort_some();
        }
        let one = *self.scored.get(self.next)?;
        self.next += 1;
        // the lower half
        Some(one as u32)
    }
}

/// Everything the features of a proposal are made of.
fn candidate(
    proposal: Proposal,
    view: &View<'_>,
    own: &[(u32, Own)],
    stepped: &[(u32, Steps)],
    taste: &Taste,
    kin: &Kin,
    scratch: &Scratch,
) -> Candidate {
    let product = proposal.product;
    let own = own
        .binary_search_by_key(&product, |&(product, _)| product)
        .ok()
        .map(|place| own[place].1);
    let steps = stepped
        .iter()
        .find(|&&(known, _)| known == product)
        .map(|&(_, steps)| steps);
    let reach = scratch.reach(product);
    let because = |(strength, seed): (f32, u32)| (strength > 0.0).then_some(seed);
    Candidate {
        product,
        ranks: proposal.ranks,
        own: own.unwrap_or_default(),
        steps: steps.unwrap_or_default(),
        item: item(view, product),
        affinity: taste.affinity(&view.state.products, product),
        bought_together: f64::from(reach.bought),
        browsed_together: f64::from(reach.browsed),
        because: because(reach.best),
        next_viewed: f64::from(reach.next_viewed),
        near_screen: f64::from(reach.near_screen),
        ease: f64::from(reach.ease),
        liked_ever: f64::from(reach.liked_ever),
        liked_now: f64::from(reach.liked_now),
        sessions: f64::from(reach.sessions),
        session_because: because(reach.session_best),
        content: f64::from(reach.content),
        content_because: because(reach.content_best),
        persona_lift: kin.lift(product),
    }
}

/// What the shop as a whole says of a product.
pub(super) fn item(view: &View<'_>, product: u32) -> Item {
    let item = view.state.products.item(product);
    let born = item.first.unwrap_or(view.now);
    Item {
        baskets: f64::from(item.baskets),
        fast: item.bought_fast.at(view.now, FAST_DAYS),
        recent: item.bought_recent.at(view.now, RECENT_DAYS),
        slow: item.bought_slow.at(view.now, SLOW_DAYS),
        browsed: item.browsed.at(view.now, FAST_DAYS),
        stage: item.by_stage[view.stage.0 as usize].at(view.now, RECENT_DAYS),
        buyers: f64::from(item.buyers),
        repeat_buyers: f64::from(item.repeat_buyers),
        age_days: view.now.days_since(born).max(0.0),
        gaps: item.gaps,
    }
}

/// A compile-time reminder that ranks are indexed by source.
const _: () = assert!(SOURCES == Source::ALL.len());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn best_first_is_what_sorting_everything_gives(
            scores in prop::collection::vec(-3i8..6, 0..60),
            popular in prop::collection::vec(0u32..3, 60),
            wanted in 0usize..20,
        ) {
            // few different scores and popularities: ties everywhere, also where a part that is sorted ends
            let score = |product: usize| f32::from(scores[product]) / 3.0;
            let popular = |product: u32| popular[product as usize];
            let mut room: Vec<u64> = (0..scores.len()).map(|p| packed(score(p), p as u32)).collect();
            let list: Vec<u32> = BestFirst::new(&mut room, popular, wanted).collect();
            let mut all: Vec<u32> = (0..scores.len() as u32).collect();
            all.sort_by(|&a, &b| {
                let by_score = score(b as usize).total_cmp(&score(a as usize));
                by_score.then(popular(b).cmp(&popular(a))).then(a.cmp(&b))
            });
            prop_assert_eq!(list, all);
        }
    }
}
