//! Sums of counters that figures are made of.

use std::collections::BTreeMap;

use super::figures::Figure;
use crate::state::journeys::key::{Arm, Ending, Key, Measure, Origin, RETURNING, Rating};

/// What was sold, in micros.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sold {
    pub(super) orders: i64,
    pub(super) returning: i64,
    pub(super) other_currency: i64,
    pub(super) revenue: i64,
    pub(super) costed: i64,
    pub(super) margin: i64,
    /// In units².
    pub(super) squares: i64,
}

/// How somebody answered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Answers {
    pub(super) count: i64,
    pub(super) sum: i64,
    pub(super) squares: i64,
    pub(super) high: i64,
    pub(super) low: i64,
}

/// What of the orders is of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Part {
    /// In micros.
    pub(super) revenue: i64,
    /// In units².
    pub(super) squares: i64,
    /// Summed products with the revenues of the orders, in units².
    pub(super) products: i64,
}

/// One arm of the hold-out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ArmSums {
    pub(super) people: i64,
    pub(super) revenue: i64,
    pub(super) squares: i64,
}

/// Everything that figures are made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) new: i64,
    pub(super) ended: i64,
    pub(super) moved_on: i64,
    pub(super) left: i64,
    pub(super) visits: i64,
    pub(super) visits_with_order: i64,
    /// Carts that were bought or abandoned; with a touchpoint in the question those that were used there.
    pub(super) carts: i64,
    pub(super) carts_abandoned: i64,
    pub(super) sold: Sold,
    pub(super) credited: Part,
    pub(super) with_offer: Part,
    /// By [`Rating`].
    pub(super) answers: [Answers; 3],
    pub(super) first_orders: i64,
    /// By bucket of the time until the second.
    pub(super) second_orders: BTreeMap<u16, i64>,
    pub(super) arms: [ArmSums; 2],
}

impl Sold {
    /// Adds a counter of what was sold, `main` being the currency of the answer.
    pub(super) fn add(&mut self, key: Key, value: i64, main: Option<u16>) {
        let currency = key.detail & !RETURNING;
        if main != Some(currency) {
            if key.measure == Measure::Orders {
                self.other_currency += value;
            }
            return;
        }
        match key.measure {
            Measure::Orders => {
                self.orders += value;
                if key.detail & RETURNING != 0 {
                    self.returning += value;
                }
            }
            Measure::Revenue => self.revenue += value,
            Measure::CostedRevenue => self.costed += value,
            Measure::Margin => self.margin += value,
            Measure::OrderSquares => self.squares += value,
            _ => {}
        }
    }
}

impl Answers {
    /// Adds a counter of answers.
    pub(super) fn add(&mut self, measure: Measure, value: i64) {
        match measure {
            Measure::Ratings => self.count += value,
            Measure::RatingSum => self.sum += value,
            Measure::RatingSquares => self.squares += value,
            Measure::RatingsHigh => self.high += value,
            Measure::RatingsLow => self.low += value,
            _ => {}
        }
    }

    /// The mean on the scale from -1 to 1.
    pub(super) fn emotion(&self) -> Figure {
        let (sum, squares) = (self.sum as f64 / 1e3, self.squares as f64 / 1e6);
        Figure::mean(self.count, sum, squares, (-1.0, 1.0))
    }
}

impl Tally {
    /// Adds a counter. With a touchpoint in the question, stays are those that passed it.
    pub(super) fn add(&mut self, key: Key, value: i64, (main, by_place): (Option<u16>, bool)) {
        match key.measure {
            Measure::Began if Origin::of_code(key.detail) == Origin::New => self.new += value,
            Measure::Ended if !by_place => self.end(key, value),
            Measure::Passed if by_place => self.end(key, value),
            Measure::Ended if Ending::of_code(key.detail) == Ending::Left => self.left += value,
            Measure::Visits => self.visits += value,
            Measure::VisitsWithOrder => self.visits_with_order += value,
            Measure::CartsBought if !by_place => self.carts += value,
            Measure::CartsAbandoned => {
                self.carts_abandoned += value;
                if !by_place {
                    self.carts += value;
                }
            }
            Measure::CartsUsed if by_place => self.carts += value,
            Measure::Orders
            | Measure::Revenue
            | Measure::CostedRevenue
            | Measure::Margin
            | Measure::OrderSquares => self.sold.add(key, value, main),
            Measure::CreditedRevenue
            | Measure::CreditedSquares
            | Measure::CreditedProducts
            | Measure::OfferRevenue
            | Measure::OfferSquares
            | Measure::OfferProducts
                if main == Some(key.detail) =>
            {
                self.add_part(key.measure, value);
            }
            Measure::Ratings
            | Measure::RatingSum
            | Measure::RatingSquares
            | Measure::RatingsHigh
            | Measure::RatingsLow => {
                if let Some(answers) = self.answers.get_mut(usize::from(key.detail)) {
                    answers.add(key.measure, value);
                }
            }
            Measure::FirstOrders => self.first_orders += value,
            Measure::SecondOrders => *self.second_orders.entry(key.detail).or_default() += value,
            Measure::ArmRevenue | Measure::ArmSquares => {
                let (arm, currency) = Arm::split(key.detail);
                if main != Some(currency) {
                    return;
                }
                let sums = &mut self.arms[arm as usize];
                match key.measure {
                    Measure::ArmRevenue => sums.revenue += value,
                    _ => sums.squares += value,
                }
            }
            _ => {}
        }
    }

    fn add_part(&mut self, measure: Measure, value: i64) {
        let (credited, with_offer) = (&mut self.credited, &mut self.with_offer);
        let sum = match measure {
            Measure::CreditedRevenue => &mut credited.revenue,
            Measure::CreditedSquares => &mut credited.squares,
            Measure::CreditedProducts => &mut credited.products,
            Measure::OfferRevenue => &mut with_offer.revenue,
            Measure::OfferSquares => &mut with_offer.squares,
            Measure::OfferProducts => &mut with_offer.products,
            _ => return,
        };
        *sum += value;
    }

    fn end(&mut self, key: Key, value: i64) {
        self.ended += value;
        match Ending::of_code(key.detail) {
            Ending::To(stage) if stage > key.stage => self.moved_on += value,
            // with a touchpoint in the question, who left there is counted by their last touchpoint
            Ending::Left if key.measure == Measure::Ended => self.left += value,
            _ => {}
        }
    }

    pub(super) fn of(&self, rating: Rating) -> &Answers {
        &self.answers[rating as usize]
    }
}
