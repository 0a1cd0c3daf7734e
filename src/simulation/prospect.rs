//! What a customer is expected to bring in the coming week with each offer, and with none: the truth in money, from
//! which the best choice and the regret of any other follow.

use super::World;
use super::aftermath::ACCESSORY_DAYS;
use super::catalog::Shelf;
use super::dice::{Dice, Purpose};
use super::economics::margin;
use super::event::Event;
use super::friction::{completion, visit_purchase};
use super::offer::{EFFECT_DAYS, OfferKind};
use super::person::Person;
use super::taste::Choices;
use super::visit::{ACCESSORY_CART, Goal, Line, Visit, apply};

const KINDS: usize = OfferKind::ALL.len();
/// How many baskets are drawn for a mean: of visits without a goal, and of those with one.
const BASKETS: u32 = 48;
const BASKETS_WITH_GOAL: u32 = 6;

/// What an order earns on average, and what redeeming each offer with it costs, in cents.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    margin: f64,
    costs: [f64; KINDS],
}

/// What is expected of a customer in the days in which an offer works.
#[derive(Debug, Clone)]
pub struct Prospect {
    /// Spontaneous visits of each day without an offer.
    rates: [f64; EFFECT_DAYS as usize],
    /// Probability that such a visit buys, and what then.
    buys: f64,
    wandering: Order,
    /// What comes whatever is sent: due goods and errands, each with its probability.
    sure: Vec<(f64, Order)>,
    /// The factor of each offer on visits.
    factors: [f64; KINDS],
}

impl Prospect {
    /// Of a person, for the days after `mail_day`, at the prices of `shelf`. Whether they will leave for good meanwhile
    /// is drawn, and nobody knows it.
    pub(crate) fn of(world: &World, shelf: &Shelf, person: &Person, mail_day: u32) -> Prospect {
        let first = mail_day + 1;
        let time = world.calendar.midnight(first);
        let factors = OfferKind::ALL.map(|kind| person.response(kind).exp());
        let mut prospect = Prospect {
            rates: [0.0; EFFECT_DAYS as usize],
            buys: visit_purchase(world, person, first),
            wandering: Order::default(),
            sure: Vec::new(),
            factors,
        };
        if person.left_at(time).is_some() {
            return prospect;
        }
        for (rate, day) in prospect.rates.iter_mut().zip(first..) {
            *rate = person.plain_visit_rate(world, day);
        }
        let mut dreamer = Dreamer {
            world,
            shelf,
            person: person.clone(),
            out: Vec::new(),
            choices: Vec::new(),
        };
        let index = u64::from(person.number);
        dreamer.person.dice = Dice::new(world.settings.seed(), Purpose::Prospect, index);
        prospect.wandering = dreamer.order(Goal::Wander, BASKETS);
        let days = f64::from(EFFECT_DAYS);
        for supply in &person.supplies {
            let due = supply.due_within(time, world.calendar.start(), days);
            if due > 0.0 {
                let goal = Goal::Restock(supply.product, supply.quantity);
                let order = dreamer.order(goal, BASKETS_WITH_GOAL);
                prospect.sure.push((due, order));
            }
        }
        let found = 1.0 - (-days / ACCESSORY_DAYS).exp();
        let bought = found * ACCESSORY_CART * completion(world, person, first);
        for errand in &person.errands {
            let order = dreamer.order(Goal::Accessory(errand.main), BASKETS_WITH_GOAL);
            prospect.sure.push((bought, order));
        }
        prospect
    }

    /// Expected profit of the week in cents: the margin of all orders, less what redeeming the offer costs. An offer is
    /// redeemed once, with each order as likely, until it is: its cost is that of the orders in their shares.
    #[must_use]
    pub fn profit(&self, offer: Option<OfferKind>) -> f64 {
        let factor = offer.map_or(1.0, |kind| self.factors[kind.place()]);
        let visits = self.rates.iter().map(|rate| {
            let buys = (1.0 - (-rate * factor).exp()) * self.buys;
            (buys, self.wandering)
        });
        let orders = visits.chain(self.sure.iter().copied());
        let redeemed = offer.map_or(0.0, OfferKind::redeemed);
        let (mut earned, mut orders_made, mut costs, mut unredeemed) = (0.0, 0.0, 0.0, 1.0);
        for (made, order) in orders {
            earned += made * order.margin;
            orders_made += made;
            costs += offer.map_or(0.0, |kind| made * order.costs[kind.place()]);
            unredeemed *= 1.0 - made * redeemed;
        }
        if orders_made > 0.0 {
            earned - (1.0 - unredeemed) * costs / orders_made
        } else {
            earned
        }
    }

    /// What an offer brings beyond what would come without one, in cents; 0 for none.
    #[must_use]
    pub fn gain(&self, offer: Option<OfferKind>) -> f64 {
        match offer {
            Some(_) => self.profit(offer) - self.profit(None),
            None => 0.0,
        }
    }

    /// The offer with the highest expected profit, and what it brings beyond none in cents; `None` where nothing brings
    /// more.
    #[must_use]
    pub fn best(&self) -> (Option<OfferKind>, f64) {
        let without = self.profit(None);
        let gains = OfferKind::ALL.map(|kind| (Some(kind), self.profit(Some(kind)) - without));
        let best = gains.into_iter().filter(|&(_, gain)| gain > 0.0);
        best.max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((None, 0.0))
    }
}

/// Somebody who imagines what they would buy.
struct Dreamer<'a> {
    world: &'a World,
    shelf: &'a Shelf,
    person: Person,
    out: Vec<Event>,
    choices: Choices,
}

impl Dreamer<'_> {
    /// The mean over baskets that are filled for a goal.
    fn order(&mut self, goal: Goal, baskets: u32) -> Order {
        let time = self.world.calendar.midnight(self.shelf.day);
        let mut mean = Order::default();
        for _ in 0..baskets {
            let (person, out, choices) = (&mut self.person, &mut self.out, &mut self.choices);
            let mut visit = Visit::new(self.world, self.shelf, person, out, choices, time);
            let lines = visit.imagine(goal);
            let earned = self.earned(&lines);
            mean.margin += earned / f64::from(baskets);
            for kind in OfferKind::ALL {
                let mut with = lines.clone();
                apply(kind, &mut with);
                let cost = earned - self.earned(&with) + kind.extra_cost_cents() as f64;
                mean.costs[kind.place()] += cost / f64::from(baskets);
            }
        }
        mean
    }

    fn earned(&self, lines: &[Line]) -> f64 {
        lines
            .iter()
            .map(|line| margin(self.world, line) as f64)
            .sum()
    }
}
