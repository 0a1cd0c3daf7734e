//! The answer that is always safe: popular products, without a model, without waiting, without anything promised.

use super::{Answer, Question, Recommender, StageAnswer, reasons};
use crate::state::State;
use crate::state::candidates::filler;

impl Recommender {
    /// What is popular and can be had, as far as that is known without waiting; nothing where the question says which
    /// products may be. Never an offer, and nothing that an event could be attributed to.
    #[must_use]
    pub fn safe(&self, question: &Question) -> Answer {
        let takes_any = question.filter.is_empty() && !question.strict && !question.exclude_bought;
        let is_ready = self.shop.check_ready().is_ok();
        let known = self.shop.try_known().filter(|_| takes_any && is_ready);
        let products = known.map_or_else(Vec::new, |known| popular(&known.state, question));
        Answer {
            stage: StageAnswer {
                stage: question.stage.clone().unwrap_or_default(),
                since: None,
                evidence: Vec::new(),
                named_by_caller: question.stage.is_some(),
                next: Vec::new(),
            },
            products,
            revision: None,
            fallback: true,
            attribution_token: String::new(),
            offers: Vec::new(),
            offer_decision: None,
            no_offer_probability: 0.0,
            offer_holdout: false,
            offers_incomplete: false,
            decision_until: None,
            decision_not_kept: false,
        }
    }
}

fn popular(state: &State, question: &Question) -> Vec<super::RankedProduct> {
    let excluded = question.exclude.iter();
    let excluded: Vec<u32> = excluded
        .filter_map(|id| state.products.number(id.as_str()))
        .collect();
    let can_be_had = |product: u32| match &state.products.item(product).listing {
        Some(listing) => listing.available,
        None => state.products.listed == 0,
    };
    let found = filler(state, question.count, |product| {
        can_be_had(product) && !excluded.contains(&product)
    });
    let found = found.into_iter();
    found
        .map(|product| reasons::filling(state, product))
        .collect()
}
