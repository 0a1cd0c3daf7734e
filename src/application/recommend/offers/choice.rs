//! Which of the offers that could be answered is, and with which probability: by what was learned of their effect, once
//! decisions came back.
//!
//! Thompson sampling: of each arm (an offer, or none) at this stage and placement it is believed how many of those whom
//! it reaches buy within a week; the probability of an arm to be drawn is that of being the best in money.
//! A fitted model, once one is live, says it of each customer, and how sure that is, so that an arm of which little was
//! seen, of people like this, is still tried; what came of decisions since then corrects it (`algorithms/online`).

use super::scorer::{ExpectedValue, OfferCandidate, OfferQuestion, OfferScorer, cost, deal};
use crate::algorithms::choice::{
    Belief, Chance, Rate, best_probabilities, drawn, explored, number,
};
use crate::algorithms::offer_response::{FittedOfferResponse, OfferArm, Standing, chance};
use crate::domain::attribution::short_hash;
use crate::domain::recipe::MIN_EXPLORE;
use crate::domain::{Micros, OfferRules};
use crate::state::State;
use crate::state::exposures::{ArmTrials, Place, Trials};
use crate::state::offers::{Item, Listing};
use crate::state::sales::{Sale, USUAL_MARGIN};

/// At most so many of the best that could be answered are arms of the draw; beside them stands none.
pub(super) const MAX_ARMS: usize = 8;
/// Every prior counts as much as so many trials.
const PRIOR_TRIALS: f64 = 20.0;
/// The share that buys where nothing is known at all.
const PRIOR_BOUGHT: f64 = 0.1;
/// An offer of which nothing is known makes so many of those buy who would not have.
const PRIOR_LIFT: f64 = 0.05;
/// Of those who buy after an offer so many redeem it, where nothing is known; and that counts as much as so many
/// buyers.
const PRIOR_REDEEMED: f64 = 0.5;
const PRIOR_BUYERS: f64 = 2.0;
/// Draws are by beliefs that are surer than a fitted model is, by this factor of its standard deviation: whoever draws
/// by all of it tries for longer than pays (Chapelle and Li 2011, An empirical evaluation of Thompson sampling:
/// posterior reshaping). A share of exploration stands beside it.
const RESHAPED: f64 = 0.5;

/// What an offer is expected to do for the one who asks, and for the shop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prospect {
    /// The probability that they buy within the horizon with it.
    pub(super) bought: f64,
    /// The same without any.
    pub(super) without: f64,
    /// The log-odds of [`Self::bought`] by the fitted model alone, and what outcomes since then add to them; absent:
    /// none is live.
    pub(super) odds: Option<[f64; 2]>,
    /// What it brings more than no offer, in micros: P(buy | offer) · (margin − P(redeemed | bought, offer) · cost) −
    /// P(buy | none) · margin.
    pub(super) value: f64,
    /// What a decision for it brings in all, as it is believed.
    belief: Expected,
}

/// What is believed of an arm: how sure that is may have to be worked out, which is done of the best alone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Counted(Belief),
    Fitted {
        arm: OfferArm,
        mean: f64,
        /// What an order brings.
        earned: f64,
    },
}

/// Knows what offers do.
pub(super) struct Chooser<'a> {
    question: OfferQuestion<'a>,
    place: Place,
    /// What a basket of theirs brings.
    basket: Sale,
    /// The arm without an offer.
    none: Chance,
    /// What a fitted model says of the customer, where one chooses.
    learned: Option<Learned<'a>>,
    explore: f64,
}

/// A fitted model, asked about one customer.
struct Learned<'a> {
    response: &'a FittedOfferResponse,
    standing: Standing,
    without: f64,
    without_odds: f64,
}

impl<'a> Chooser<'a> {
    /// Of whom and where it is asked; `learned` is the model that chooses, with what it knows of the customer.
    pub(super) fn new(
        question: OfferQuestion<'a>,
        place: Place,
        basket: Option<Sale>,
        rules: OfferRules,
        learned: Option<(&'a FittedOfferResponse, Standing)>,
    ) -> Self {
        let exposures = &question.state.exposures;
        let gain = rules.assumed_gain.0 as f64;
        let assumed = Sale {
            price: gain / USUAL_MARGIN,
            margin: gain,
        };
        let learned = learned.map(|(response, standing)| {
            let without_odds = response.expect_odds(&standing, None);
            Learned {
                response,
                standing,
                without: chance(without_odds),
                without_odds,
            }
        });
        Self {
            question,
            place,
            basket: basket.unwrap_or(assumed),
            none: narrowed(PRIOR_BOUGHT, None, &exposures.none, place),
            learned,
            explore: rules.explore.max(MIN_EXPLORE),
        }
    }

    /// What an offer is expected to do.
    pub(super) fn prospect(&self, item: &Item, listing: &Listing) -> Prospect {
        let state = self.question.state;
        let of_kind = state.exposures.of_kind(listing.terms.benefit.kind());
        let margin = self.basket.margin;
        let redeemed = redeemed(of_kind, item.trials.all);
        let earned = margin - redeemed * self.cost(listing);
        if let Some(learned) = &self.learned {
            let arm = arm_of(item, listing);
            let odds = learned.response.expect_odds(&learned.standing, Some(arm));
            let online = state.exposures.online.correction(self.place.setting(), arm);
            let bought = chance(odds + online);
            return Prospect {
                bought,
                without: learned.without,
                odds: Some([odds, online]),
                value: bought * earned - learned.without * margin,
                belief: Expected::Fitted {
                    arm,
                    mean: bought * earned,
                    earned,
                },
            };
        }
        // a kind of which nothing is known does a little more than none
        let prior = broadest(&state.exposures.none, PRIOR_BOUGHT);
        let prior = prior + (1.0 - prior) * PRIOR_LIFT;
        let chance = narrowed(prior, Some(of_kind), &item.trials, self.place);
        let belief = Belief {
            mean: chance.mean * earned,
            deviation: chance.deviation() * earned.abs(),
        };
        Prospect {
            bought: chance.mean,
            without: self.none.mean,
            odds: None,
            value: belief.mean - self.none.mean * margin,
            belief: Expected::Counted(belief),
        }
    }

    fn belief(&self, expected: &Expected) -> Belief {
        match *expected {
            Expected::Counted(belief) => belief,
            Expected::Fitted { arm, mean, earned } => {
                let off =
                    |learned: &Learned<'_>| learned.response.deviation(&learned.standing, arm);
                Belief {
                    mean,
                    deviation: RESHAPED * self.learned.as_ref().map_or(0.0, off) * earned.abs(),
                }
            }
        }
    }

    fn cost(&self, listing: &Listing) -> f64 {
        cost_with(&self.question, &self.basket, listing)
    }

    /// The log-odds to buy without any offer, by the fitted model; absent: none is live.
    pub(super) fn without_odds(&self) -> Option<f64> {
        self.learned.as_ref().map(|learned| learned.without_odds)
    }

    /// The probability of each arm, none last.
    pub(super) fn probabilities(&self, arms: &[Prospect]) -> Vec<f64> {
        let margin = self.basket.margin;
        let none = match &self.learned {
            // what they do by themselves comes with every arm: how sure that is makes no difference
            Some(learned) => Belief {
                mean: learned.without * margin,
                deviation: 0.0,
            },
            None => Belief {
                mean: self.none.mean * margin,
                deviation: self.none.deviation() * margin.abs(),
            },
        };
        let beliefs = arms.iter().map(|arm| self.belief(&arm.belief));
        let beliefs: Vec<Belief> = beliefs.chain([none]).collect();
        explored(&best_probabilities(&beliefs), self.explore)
    }
}

/// What an offer costs when it is redeemed: of one for everything, with a basket of theirs; else with what it is about.
fn cost_with(question: &OfferQuestion<'_>, basket: &Sale, listing: &Listing) -> f64 {
    let is_for_all = listing.products.is_empty() && listing.terms.categories.is_empty();
    match is_for_all {
        true => cost(listing, basket),
        false => cost(listing, &deal(question, listing).1),
    }
}

/// The arm of an offer in fitted models.
#[must_use]
pub fn arm_of(item: &Item, listing: &Listing) -> OfferArm {
    OfferArm {
        kind: listing.terms.benefit.kind() as u8,
        offer: short_hash(&item.id),
    }
}

/// What is known when a past decision is looked at again.
#[derive(Debug, Clone, Copy)]
pub struct OfferKnown<'a> {
    /// Everything known then.
    pub state: &'a State,
    /// What is bought.
    pub basket: Sale,
    /// See [`OfferRules::assumed_gain`].
    pub assumed_gain: Micros,
}

impl<'a> OfferKnown<'a> {
    fn question(&self) -> OfferQuestion<'a> {
        OfferQuestion {
            state: self.state,
            products: &[],
            assumed_gain: self.assumed_gain,
        }
    }
}

/// What an offer costs when it is redeemed with the basket, in micros.
#[must_use]
pub fn cost_of(known: &OfferKnown<'_>, listing: &Listing) -> f64 {
    cost_with(&known.question(), &known.basket, listing)
}

/// The place of the offer that the plain order puts first, of those with these numbers; nothing if none is worth
/// anything.
#[must_use]
pub fn expected_best(known: &OfferKnown<'_>, numbers: &[u32]) -> Option<usize> {
    let question = known.question();
    let scores = numbers.iter().enumerate().filter_map(|(place, &number)| {
        let item = known.state.offers.item(number);
        let candidate = OfferCandidate {
            listing: item.listing.as_deref()?,
            outcomes: &item.outcomes,
        };
        let value = ExpectedValue.score(&question, &candidate).value;
        (value.0 > 0).then_some((value, std::cmp::Reverse(place)))
    });
    scores.max().map(|(_, place)| place.0)
}

/// How the offers of an answer are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draw {
    /// The probability of each arm to stand first, in the order in which they were given.
    pub(super) arms: Vec<f64>,
    /// The probability that there is no offer.
    pub(super) none: f64,
    /// The arm that stands first; absent: none does.
    pub(super) first: Option<usize>,
}

impl Draw {
    /// The best one, for sure; none where there is none.
    pub(super) fn sure(arms: usize, best: Option<usize>) -> Self {
        let mut means = vec![0.0; arms];
        if let Some(best) = best {
            means[best] = 1.0;
        }
        Self {
            arms: means,
            none: f64::from(best.is_none()),
            first: best,
        }
    }

    /// By these probabilities, none last. The arms lie along the line in the order of `ids`, so that a small change of
    /// one moves few draws.
    pub(super) fn by(probabilities: &[f64], ids: &[&str], seed: u64) -> Self {
        let arms = ids.len();
        let mut order: Vec<usize> = (0..arms).collect();
        order.sort_by_key(|&place| ids[place]);
        order.push(arms);
        let lined: Vec<f64> = order.iter().map(|&place| probabilities[place]).collect();
        let first = order[drawn(&lined, number(seed))];
        Self {
            arms: probabilities[..arms].to_vec(),
            none: probabilities[arms],
            first: (first < arms).then_some(first),
        }
    }
}

/// The place of an answer, as it is counted by.
pub(super) fn place(state: &State, stage: &str, placement: &str) -> Place {
    debug_assert!(
        state.journey().stage(stage).is_some(),
        "answers are of a stage"
    );
    Place {
        stage: short_hash(stage),
        placement: short_hash(placement),
    }
}

fn rate(trials: Trials) -> Rate {
    Rate {
        trials: trials.shown as f64,
        came: trials.bought as f64,
    }
}

/// The share that buys after an arm, over all places.
fn broadest(arm: &ArmTrials, prior: f64) -> f64 {
    Chance::narrowed(prior, PRIOR_TRIALS, &[rate(arm.all)]).mean
}

/// The chance at a place: from broader levels to the arm, the stage, and the stage at the placement.
fn narrowed(prior: f64, broader: Option<Trials>, arm: &ArmTrials, place: Place) -> Chance {
    let [all, stage, cell] = arm.at(place).map(rate);
    let levels = [rate(broader.unwrap_or_default()), all, stage, cell];
    let first = usize::from(broader.is_none());
    Chance::narrowed(prior, PRIOR_TRIALS, &levels[first..])
}

/// The share of those who buy after an offer that redeems it: of the offer, drawn to that of its kind.
fn redeemed(of_kind: Trials, own: Trials) -> f64 {
    let rate = |trials: Trials| Rate {
        trials: trials.bought as f64,
        came: trials.redeemed as f64,
    };
    Chance::narrowed(PRIOR_REDEEMED, PRIOR_BUYERS, &[rate(of_kind), rate(own)]).mean
}

/// Money as it is answered: no money is as much as this.
pub(super) fn micros(value: f64) -> Micros {
    Micros(value.clamp(-1e15, 1e15).round() as i64)
}
