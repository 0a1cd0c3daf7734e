//! What was passed and who was lost there: the places that pain points compare, and examples of lost paths.

use std::collections::BTreeMap;

use crate::domain::EventKind;
use crate::state::journeys::Journeys;
use crate::state::journeys::key::{Ending, Measure, RETURNING};
use crate::state::journeys::table::{Day, day_of};

/// A place of the journey in a window: stays that ended there, and those of them that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The stage.
    pub stage: u8,
    /// The number of the touchpoint.
    pub touchpoint: u16,
    /// The number of the group.
    pub group: u16,
    /// The number of the top-level category; absent: of stays. With one: of visits that looked at its products.
    pub category: Option<u16>,
    /// Stays that ended and came here; visits that looked at the category here.
    pub passed: i64,
    /// Of these, those that left and were last seen here; those that ended with such a look.
    pub left_here: i64,
}

/// What a stage brings, in the main currency, and where stays in it lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worth {
    /// Stays that ended.
    pub ended: i64,
    /// Orders by people who were in it.
    pub orders: i64,
    /// Their revenue, in micros.
    pub revenue: i64,
    /// Stays that ended with a move, by the stage they led to.
    pub moves: BTreeMap<u8, i64>,
}

/// What visits bring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisitWorth {
    /// By the stage after the first step: how many there were, and how many of them with an order.
    pub visits: BTreeMap<u8, (i64, i64)>,
    /// Orders in the main currency.
    pub orders: i64,
    /// Their revenue, in micros.
    pub revenue: i64,
}

impl VisitWorth {
    /// What a visit brings that begins in a stage: the share of such visits with an order, times what an order brings,
    /// in units of the main currency. Of a stage in which none began: of all visits.
    #[must_use]
    pub fn of(&self, stage: u8) -> f64 {
        let (visits, with_order) = match self.visits.get(&stage) {
            Some(&known) if known.0 > 0 => known,
            _ => self
                .visits
                .values()
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        };
        let order = self.revenue as f64 / 1e6 / self.orders.max(1) as f64;
        with_order as f64 / visits.max(1) as f64 * order
    }
}

/// The last steps of somebody who left: kinds with the numbers of touchpoints, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPath {
    /// The steps.
    pub steps: Vec<(EventKind, u16)>,
    /// The group.
    pub group: u16,
}

/// Stage, touchpoint, group, category.
type Where = (u8, u16, u16, Option<u16>);

impl Journeys {
    /// The places of the days from `first` until `last`, in order.
    #[must_use]
    pub fn places(&self, first: Day, last: Day) -> Vec<Place> {
        let mut places: BTreeMap<Where, (i64, i64)> = BTreeMap::new();
        let last = last.min(self.newest().map_or(last, day_of));
        self.table.each(first, last, |_, key, value| {
            let category = Some(key.detail);
            let (category, is_lost) = match key.measure {
                Measure::Passed => (None, false),
                Measure::Ended if Ending::of_code(key.detail) == Ending::Left => (None, true),
                Measure::Looked => (category, false),
                Measure::LookedLast => (category, true),
                _ => return,
            };
            let place = (key.stage, key.place, key.group, category);
            let counts = places.entry(place).or_default();
            match is_lost {
                true => counts.1 += value,
                false => counts.0 += value,
            }
        });
        let places = places.into_iter().filter(|(_, counts)| counts.0 > 0);
        places
            .map(|((stage, touchpoint, group, category), counts)| Place {
                stage,
                touchpoint,
                group,
                category,
                passed: counts.0,
                left_here: counts.1,
            })
            .collect()
    }

    /// What a stage brought in the days from `first` until `last`, by groups that `is_in` takes.
    #[must_use]
    pub fn worth(
        &self,
        stage: u8,
        (first, last): (Day, Day),
        is_in: impl Fn(u16) -> bool,
    ) -> Worth {
        let main = self.main_currency();
        let last = last.min(self.newest().map_or(last, day_of));
        let mut worth = Worth::default();
        self.table.each(first, last, |_, key, value| {
            if key.stage != stage || !is_in(key.group) {
                return;
            }
            let is_main = main == Some(key.detail & !RETURNING);
            match key.measure {
                Measure::Ended => {
                    worth.ended += value;
                    if let Ending::To(to) = Ending::of_code(key.detail) {
                        *worth.moves.entry(to).or_default() += value;
                    }
                }
                Measure::Orders if is_main => worth.orders += value,
                Measure::Revenue if is_main => worth.revenue += value,
                _ => {}
            }
        });
        worth
    }

    /// What visits brought that began in the days from `first` until `last`, by groups that `is_in` takes.
    #[must_use]
    pub fn visits(&self, (first, last): (Day, Day), is_in: impl Fn(u16) -> bool) -> VisitWorth {
        let main = self.main_currency();
        let last = last.min(self.newest().map_or(last, day_of));
        let mut worth = VisitWorth::default();
        self.table.each(first, last, |_, key, value| {
            if !is_in(key.group) {
                return;
            }
            let is_main = main == Some(key.detail & !RETURNING);
            match key.measure {
                Measure::Visits => worth.visits.entry(key.stage).or_default().0 += value,
                Measure::VisitsWithOrder => worth.visits.entry(key.stage).or_default().1 += value,
                Measure::Orders if is_main => worth.orders += value,
                Measure::Revenue if is_main => worth.revenue += value,
                _ => {}
            }
        });
        worth
    }

    /// The last steps of at most `most` people who left a stage at a touchpoint within the days, of groups that
    /// `is_in` takes; looks at everybody.
    #[must_use]
    pub fn lost_paths(
        &self,
        (stage, touchpoint): (u8, u16),
        (first, last): (Day, Day),
        is_in: impl Fn(u16) -> bool,
        most: usize,
    ) -> Vec<LostPath> {
        let last = last.min(self.newest().map_or(last, day_of));
        let lost = self.courses().filter_map(|course| {
            let day = course.leaves()?;
            let group = course.stay.as_ref()?.group;
            let is_it = (first..=last).contains(&day)
                && course.place == touchpoint
                && course.leaves_from() == Some(stage)
                && is_in(group);
            is_it.then(|| LostPath {
                steps: course.path.clone(),
                group,
            })
        });
        lost.take(most).collect()
    }
}
