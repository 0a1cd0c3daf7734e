//! One decision about offers that reached somebody, with what was known of them then and what came of it.

use crate::algorithms::offer_response::{OfferArm, OfferRow, Outcome as Came};
use crate::algorithms::sessions::SILENCE_MS;
use crate::application::history::Ahead;
use crate::application::offer_effects::modifiers;
use crate::application::personas::Personas;
use crate::application::recommend::offers::{OfferKnown, arm_of, cost_of, expected_best};
use crate::domain::attribution::short_hash;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Micros, Recipe, StageIndex, Timestamp};
use crate::state::State;
use crate::state::exposures::HORIZON_DAYS;
use crate::state::habits::is_of_visit;
use crate::state::offers::Listing;
use crate::state::people::Person;
use crate::state::sales::{Sale, USUAL_MARGIN};
use crate::state::shopper;
use crate::state::subjects::Subject;
use crate::state::view::View;

/// One offer that could have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choosable {
    pub(super) arm: OfferArm,
    /// What it costs with the customer's usual basket.
    pub(super) cost: f64,
}

/// One decision that reached somebody.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exposure {
    /// The place of its event in the history.
    pub(super) place: usize,
    pub(super) time: Timestamp,
    pub(super) x: Vec<f64>,
    /// When they had last been there.
    pub(super) last_step: Option<Timestamp>,
    /// What they had bought until then: numbers of products, sorted.
    pub(super) own: Vec<u32>,
    /// What effects differ by: by the personas that are learned with, and by those of the live model.
    pub(super) modifiers: Vec<f64>,
    pub(super) live_modifiers: Vec<f64>,
    /// The usual margin of the customer's baskets, in micros.
    pub(super) margin: f64,
    pub(super) arms: Vec<Choosable>,
    /// Which of them was answered; absent: none.
    pub(super) chosen: Option<usize>,
    /// With which probability; absent: of a mailing without tokens.
    pub(super) propensity: Option<f64>,
    pub(super) is_held_out: bool,
    /// Another offer reached them before the horizon ended.
    pub(super) is_spoiled: bool,
    /// What the plain order would have answered.
    pub(super) plain: Option<usize>,
    /// What they did before the horizon ended.
    pub(super) outcome: Came,
    pub(super) redeemed: bool,
    /// Margin less what was redeemed, in micros.
    pub(super) earned: f64,
}

impl Exposure {
    pub(super) fn row(&self) -> OfferRow {
        OfferRow {
            x: self.x.clone(),
            modifiers: self.modifiers.clone(),
            arm: self.chosen.map(|place| self.arms[place].arm),
            outcome: self.outcome,
        }
    }

    /// Looks up what came of it until its horizon ended.
    pub(super) fn settle(&mut self, state: &State, ahead: &Ahead<'_>) {
        let end = self.time.plus_ms(HORIZON_DAYS * DAY_MS);
        let offer = self.chosen.map(|place| self.arms[place].arm.offer);
        let mut sold = Sale::default();
        let mut last = self.last_step;
        let mut outcome = Came::default();
        let mut visit = Visit::default();
        // every price is what was paid, as events say it, after the offer
        let mut is_paid = true;
        let is_mailed = self.propensity.is_none();
        for event in ahead.events_from(self.place) {
            if event.time > end {
                break;
            }
            let is_after = event.time > self.time;
            let product = event.product.as_ref();
            let product = product.and_then(|product| state.products.number(product.as_str()));
            let is_own = product.is_some_and(|product| self.own.binary_search(&product).is_ok());
            if is_of_visit(event.kind) {
                // what goes on after the exposure had begun before it
                let begins = last.is_none_or(|last| event.time.ms() - last.ms() > SILENCE_MS);
                outcome.came_back |= is_after && begins;
                if begins {
                    outcome.explored |= std::mem::take(&mut visit).explores();
                    visit.is_counted = is_after;
                }
                visit.buys |= event.kind == EventKind::Purchase;
                visit.sees_other |= event.product.is_some() && !is_own;
                last = last.max(Some(event.time));
            }
            if is_mailed && !is_after {
                // what stood beside a mailing is told by an event before it
                let is_later = event.kind == EventKind::OfferSent && self.chosen.is_none();
                self.is_spoiled |= is_later && event.time == self.time;
                continue;
            }
            // the mail of just a week later comes too late to change anything
            self.is_spoiled |= is_mailed && event.kind == EventKind::OfferSent && event.time < end;
            let named = event.offer.as_ref().map(|id| short_hash(id.as_str()));
            match (event.kind, &event.product) {
                (EventKind::Purchase, Some(_)) => {
                    outcome.bought_again |= is_own;
                    outcome.bought_new |= !is_own;
                    let listing = product.and_then(|n| state.products.item(n).listing.as_deref());
                    let sale = Sale::of(event.quantity, event.unit_price, listing);
                    let sale = sale.unwrap_or_default();
                    sold.price += sale.price;
                    sold.margin += sale.margin;
                    is_paid &= event.unit_price.is_some();
                }
                (EventKind::OfferRedeemed, _) if offer.is_some() && named == offer => {
                    self.redeemed = true;
                }
                _ => {}
            }
        }
        outcome.explored |= visit.explores();
        self.outcome = outcome;
        let listing = offer.and_then(|hash| state.offers.of_hash(hash));
        let listing = listing.and_then(|number| state.offers.item(number).listing.as_deref());
        let shows_in_price =
            |listing: &Listing| is_paid && listing.terms.benefit.kind().lowers_price();
        let cost = listing
            .filter(|listing| self.redeemed && !shows_in_price(listing))
            .map_or(0.0, |listing| {
                let known = OfferKnown {
                    state,
                    basket: sold,
                    assumed_gain: Micros::default(),
                };
                cost_of(&known, listing)
            });
        self.earned = sold.margin - cost;
    }
}

/// Whom an offer, or none, reached, and when.
pub(super) struct Moment {
    pub(super) person: Option<Person>,
    /// The stage the offer was for.
    pub(super) stage: Option<StageIndex>,
    pub(super) time: Timestamp,
    /// The place of an event of theirs: of the one that reached them, or one before it.
    pub(super) place: usize,
}

impl Moment {
    /// What was known of them when the offer of the hash `answered`, or none, reached them, where the `others` could
    /// have; nothing if nobody knows any more what that was.
    pub(super) fn exposure(
        &self,
        state: &State,
        recipes: &[Recipe],
        personas: KnownPersonas<'_>,
        answered: Option<u32>,
        others: impl Iterator<Item = u32>,
    ) -> Option<Exposure> {
        let &Self { stage, time, .. } = self;
        let subject = self.person.and_then(|person| state.subject(person));
        let view = View::new(state, subject, &[], time);
        let basket = state.sales.basket_of(subject, &state.products, time);
        let x = shopper::features(&view, stage, basket);
        let recipe = &recipes[stage.map_or(0, |stage| stage.0 as usize)];
        let gain = recipe.offers.assumed_gain;
        let basket = basket.unwrap_or(Sale {
            price: gain.0 as f64 / USUAL_MARGIN,
            margin: gain.0 as f64,
        });
        let known = OfferKnown {
            state,
            basket,
            assumed_gain: gain,
        };
        let all = answered.into_iter().chain(others);
        let numbers = all.filter_map(|hash| state.offers.of_hash(hash));
        let mut arms = Vec::new();
        let mut listed = Vec::new();
        for number in numbers {
            let item = state.offers.item(number);
            if let Some(listing) = item.listing.as_deref() {
                arms.push(Choosable {
                    arm: arm_of(item, listing),
                    cost: cost_of(&known, listing),
                });
                listed.push(number);
            }
        }
        let chosen = answered.map(|hash| arms.iter().position(|a| a.arm.offer == hash));
        (chosen != Some(None)).then(|| Exposure {
            place: self.place,
            time,
            x,
            last_step: subject.and_then(|subject| subject.habits.last),
            own: own_products(subject, time),
            modifiers: modifiers(&view, personas.own),
            live_modifiers: modifiers(&view, personas.live),
            margin: basket.margin,
            plain: expected_best(&known, &listed),
            arms,
            chosen: chosen.flatten(),
            propensity: None,
            is_held_out: false,
            is_spoiled: false,
            outcome: Came::default(),
            redeemed: false,
            earned: 0.0,
        })
    }
}

/// A visit after an exposure.
#[derive(Debug, Default)]
struct Visit {
    /// It began after the exposure.
    is_counted: bool,
    buys: bool,
    /// It was about a product that they had never bought.
    sees_other: bool,
}

impl Visit {
    /// True unless it did nothing but buy again what had been bought before.
    fn explores(&self) -> bool {
        self.is_counted && (self.sees_other || !self.buys)
    }
}

/// The products that somebody had bought until then, by number.
fn own_products(subject: Option<&Subject>, time: Timestamp) -> Vec<u32> {
    let mut own = Vec::new();
    if let Some(subject) = subject {
        let past = subject
            .baskets
            .partition_point(|basket| basket.time <= time);
        let lines = (0..past).flat_map(|place| subject.lines_of(place));
        own.extend(lines.map(|line| line.product));
        own.sort_unstable();
        own.dedup();
    }
    own
}

/// The personas by which effects may differ. What kinds there are may be known later than an exposure; which of them
/// somebody was follows from what they had done until then.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownPersonas<'a> {
    /// Those that a model is fitted with.
    pub(super) own: Option<&'a Personas>,
    /// Those that the live model of offers goes by.
    pub(super) live: Option<&'a Personas>,
}
