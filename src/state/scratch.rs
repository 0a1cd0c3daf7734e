//! What goes with what somebody bought and looked at, added up per product: dense sums, reused from question to
//! question.

use crate::algorithms::content::Content;
use crate::algorithms::features::{Own, Steps};
use crate::algorithms::sessions::{SessionParams, SessionScratch};
use crate::state::State;
use crate::state::candidates::Proposal;
use crate::state::neighbours::{self, Liked, NeighbourParams, NeighbourScratch};
use crate::state::relations::Relations;
use crate::state::tuning::Tuning;
use crate::state::view::View;

/// How many steps say what goes with them.
const STEP_SEEDS: usize = 12;
/// How many seeds say which texts are alike.
const CONTENT_SEEDS: usize = 6;
/// How many own products count in EASE.
const EASE_SEEDS: usize = 200;

/// What is added up for one product while a question is answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach {
    /// Σ of cosines with the seeds, by common baskets.
    pub(super) bought: f32,
    /// Σ of cosines with the seeds, by common days.
    pub(super) browsed: f32,
    /// Σ of cosines of the texts.
    pub(super) content: f32,
    /// See [`crate::algorithms::features::Candidate::next_viewed`].
    pub(super) next_viewed: f32,
    /// See [`crate::algorithms::features::Candidate::near_screen`].
    pub(super) near_screen: f32,
    /// Σ of EASE weights of what was bought.
    pub(super) ease: f32,
    /// Σ of what sessions like this one say.
    pub(super) sessions: f32,
    /// See [`super::neighbours::Liked::ever`].
    pub(super) liked_ever: f32,
    /// See [`super::neighbours::Liked::now`].
    pub(super) liked_now: f32,
    /// The strongest part of `sessions`, and the product it follows from.
    pub(super) session_best: (f32, u32),
    /// The strongest part of `bought` or `browsed`, and its seed.
    pub(super) best: (f32, u32),
    /// The strongest part of `content`, and its seed.
    pub(super) content_best: (f32, u32),
    /// 1 + the place among the proposals; 0: not proposed yet.
    pub(super) slot: u32,
    is_touched: bool,
}

/// Room to work in, kept from question to question; holds nothing between them.
#[derive(Debug, Default)]
pub struct Scratch {
    /// By product.
    reach: Vec<Reach>,
    /// The products with a [`Reach`], each once.
    touched: Vec<u32>,
    /// The proposals of the question, see [`super::candidates`].
    pub(super) proposals: Vec<Proposal>,
    /// Room for what a source scores, and for numbers of candidates.
    pub(super) scored: Vec<u64>,
    pub(super) numbers: Vec<f32>,
    session: SessionScratch,
    neighbours: NeighbourScratch,
}

impl Scratch {
    /// Makes room for all products.
    pub(super) fn prepare(&mut self, products: usize) {
        if self.reach.len() < products {
            self.reach.resize(products, Reach::default());
        }
    }

    /// What is added up for a product.
    pub(super) fn reach(&self, product: u32) -> &Reach {
        &self.reach[product as usize]
    }

    /// The products that anything is known of.
    pub(super) fn touched(&self) -> impl Iterator<Item = (u32, &Reach)> {
        self.touched
            .iter()
            .map(|&product| (product, self.reach(product)))
    }

    /// Where to add up for a product.
    pub(super) fn touch(&mut self, product: u32) -> &mut Reach {
        let reach = &mut self.reach[product as usize];
        if !reach.is_touched {
            reach.is_touched = true;
            self.touched.push(product);
        }
        reach
    }

    /// Adds a proposal of a product that was not proposed yet; returns its place.
    pub(super) fn propose(&mut self, proposal: Proposal) -> usize {
        self.proposals.push(proposal);
        let slot = self.proposals.len();
        self.touch(proposal.product).slot = slot as u32;
        slot - 1
    }

    /// Takes the proposals out; nothing is proposed then.
    pub(super) fn take_proposals(&mut self) -> Vec<Proposal> {
        let proposals = std::mem::take(&mut self.proposals);
        for proposal in &proposals {
            self.reach[proposal.product as usize].slot = 0;
        }
        proposals
    }

    /// Gives the room of proposals back.
    pub(super) fn give_back(&mut self, mut proposals: Vec<Proposal>) {
        proposals.clear();
        self.proposals = proposals;
    }

    /// Back to zero, at the cost of what was touched.
    pub(super) fn clear(&mut self) {
        for product in self.touched.drain(..) {
            self.reach[product as usize] = Reach::default();
        }
        // left over if whoever was asked what is allowed has panicked
        self.proposals.clear();
    }

    /// Adds up what goes with what was bought, and with what the steps were about; similar customers are heard apart.
    pub(super) fn accumulate(
        &mut self,
        view: &View<'_>,
        own: &[(u32, Own)],
        stepped: &[(u32, Steps)],
        relations: &Relations,
        tuning: &Tuning,
    ) {
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
            for &(product, cosine) in relations.bought_with(seed) {
                let reach = self.touch(product);
                let part = by * cosine;
                reach.bought += part;
                if part > reach.best.0 {
                    reach.best = (part, seed);
                }
            }
        }
        for &(seed, by) in steps.iter().chain(bought.iter().take(STEP_SEEDS)) {
            self.browsed_with(state, seed, by);
        }
        if let Some(&(screen, _)) = stepped.first() {
            self.look_around(state, screen);
        }
        self.follow(own, relations, tuning);
        self.ask_sessions(view, stepped, &tuning.sessions);
        let seeds = steps
            .iter()
            .take(CONTENT_SEEDS)
            .chain(bought.iter().take(CONTENT_SEEDS));
        for &(seed, by) in seeds {
            self.alike(relations.content(), seed, by);
        }
    }

    /// Adds up the EASE weights of what was bought, the newest first.
    pub(super) fn follow(&mut self, own: &[(u32, Own)], relations: &Relations, tuning: &Tuning) {
        for (seed, bought) in newest(own, EASE_SEEDS) {
            let by = (-bought.last_days / tuning.ease_half_life_days).exp2() as f32;
            for &(product, weight) in relations.effects(seed) {
                self.touch(product).ease += by * weight;
            }
        }
    }

    /// What similar customers buy.
    pub(super) fn ask_neighbours(
        &mut self,
        view: &View<'_>,
        own: &[(u32, Own)],
        params: &NeighbourParams,
    ) -> Vec<Liked> {
        neighbours::like(view, own, params, &mut self.neighbours)
    }

    /// Takes note of what similar customers buy.
    pub(super) fn hear_neighbours(&mut self, liked: &[Liked]) {
        for liked in liked {
            let reach = self.touch(liked.product);
            reach.liked_ever = liked.ever;
            reach.liked_now = liked.now;
        }
    }

    /// What sessions like this one hold.
    pub(super) fn ask_sessions(
        &mut self,
        view: &View<'_>,
        stepped: &[(u32, Steps)],
        params: &SessionParams,
    ) {
        let current: Vec<u32> = stepped.iter().map(|&(product, _)| product).collect();
        let own = view
            .subject
            .and_then(|subject| subject.visit)
            .map(|visit| visit.session);
        let mut session = std::mem::take(&mut self.session);
        let sessions = &view.state.sessions;
        sessions.like(
            &current,
            own,
            view.now,
            params,
            &mut session,
            |product, part, because| {
                let reach = self.touch(product);
                reach.sessions += part;
                if part > reach.session_best.0 {
                    reach.session_best = (part, because);
                }
            },
        );
        self.session = session;
    }

    fn browsed_with(&mut self, state: &State, seed: u32, by: f32) {
        let often = |number: u32| {
            let item = state.products.item(number);
            (item.baskets + item.steps) as f32 + 5.0
        };
        let from = often(seed);
        for (product, count) in state.browsed_together.neighbours(seed) {
            let part = by * count / (from * often(product)).sqrt();
            let reach = self.touch(product);
            reach.browsed += part;
            if part > reach.best.0 {
                reach.best = (part, seed);
            }
        }
    }

    /// What is looked at after, and together with, the product on screen.
    fn look_around(&mut self, state: &State, screen: u32) {
        let often = |number: u32| state.products.item(number).steps as f32 + 5.0;
        let from = often(screen);
        for (product, count) in state.next_viewed.neighbours(screen) {
            self.touch(product).next_viewed = count / from;
        }
        for (product, count) in state.browsed_together.neighbours(screen) {
            self.touch(product).near_screen = count / (from * often(product)).sqrt();
        }
    }

    fn alike(&mut self, content: &Content, seed: u32, by: f32) {
        let known = self.reach.len() as u32;
        content.parts(seed, |product, part| {
            if product < known {
                let reach = self.touch(product);
                reach.content += by * part;
                if part > reach.content_best.0 {
                    reach.content_best = (part, seed);
                }
            }
        });
    }
}

/// The `most` own products that were bought last, the newest first; equal ones in the order of their numbers.
pub(super) fn newest(own: &[(u32, Own)], most: usize) -> impl Iterator<Item = (u32, &Own)> {
    let place = |place: usize| (own[place].1.last_days, place);
    let mut places: Vec<(f64, usize)> = (0..own.len()).map(place).collect();
    places.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.truncate(most);
    let of_place = |(_, place): (f64, usize)| (own[place].0, &own[place].1);
    places.into_iter().map(of_place)
}
