//! What goes with what somebody bought and looked at, added up per product: dense sums, reused from question to question.

use crate::algorithms::content::Content;
use crate::algorithms::covisitation::Covisitation;
use crate::algorithms::features::Steps;
use crate::state::State;
use crate::state::candidates::Proposal;
use crate::state::view::View;

/// How many steps say what goes with them.
const STEP_SEEDS: usize = 12;
/// How many seeds say which texts are alike.
const CONTENT_SEEDS: usize = 6;

/// What is added up for one product while a question is answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach {
    /// Σ of cosines with the seeds, by common baskets.
    pub(super) bought: f32,
    /// Σ of cosines with the seeds, by common days.
    pub(super) browsed: f32,
    /// Σ of cosines of the texts.
    pub(super) content: f32,
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

    /// Back to zero, at the cost of what was touched.
    pub(super) fn clear(&mut self) {
        for product in self.touched.drain(..) {
            self.reach[product as usize] = Reach::default();
        }
        self.proposals.clear();
    }

    /// Adds up what goes with what was bought, and with what the steps were about.
    pub(super) fn accumulate(
        &mut self,
        view: &View<'_>,
        stepped: &[(u32, Steps)],
        content: &Content,
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
            let reach = self.touch(product);
            if is_bought {
                reach.bought += part;
            } else {
                reach.browsed += part;
            }
            if part > reach.best.0 {
                reach.best = (part, seed);
            }
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
