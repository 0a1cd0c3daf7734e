//! What is said to be due, against what a simulation knows: at moments of the held-back end, of every customer and
//! every product that is used up and that they bought before.

use std::collections::{HashMap, HashSet};

use crate::algorithms::features::{Candidate, DUE_DAYS, Standing};
use crate::algorithms::metrics::auc;
use crate::application::history::{History, time};
use crate::application::truth::Need;
use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::state::people::Person;
use crate::state::products::Item;
use crate::state::tuning::Tuning;
use crate::state::view::View;
use crate::state::{FoldSettings, State};

/// The days from one moment to the next.
const EVERY_DAYS: i64 = 7;
/// The most moments: a long window has them further apart.
const MAX_MOMENTS: i64 = 60;

/// How well what is due is found.
#[derive(Debug, Clone, PartialEq)]
pub struct DueReport {
    /// Something is due if it is needed within so many days.
    pub within_days: f64,
    /// The moments that were asked at.
    pub moments: u64,
    /// Over all pairs of a customer and a product.
    pub all: DueFigures,
    /// Of pairs that had been bought once.
    pub once: DueFigures,
    /// Of pairs that had been bought more often.
    pub again: DueFigures,
}

/// How well what is due is found among some pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DueFigures {
    /// Pairs of a customer and a product, at every moment.
    pub pairs: u64,
    /// How many of them were truly due.
    pub due: u64,
    /// The area under the ROC curve of `own_due`; absent: nothing was due, or everything.
    pub auc: Option<f64>,
}

impl DueFigures {
    fn of(scored: Vec<(f64, bool)>) -> Self {
        Self {
            pairs: scored.len() as u64,
            due: scored.iter().filter(|&&(_, is_due)| is_due).count() as u64,
            auc: auc(scored),
        }
    }
}

/// Compares `own_due`, as the ranker sees it, with the `needs` of a simulation, at moments a week apart from `since` to
/// the end of the history.
#[must_use]
pub fn judge_due(
    history: &History,
    fold: &FoldSettings,
    needs: &[Need],
    since: Timestamp,
) -> DueReport {
    let truth = Truth::of(needs);
    let mut state = State::new(fold.clone());
    history.known.iter().for_each(|record| state.apply(record));
    let last = history.span().map_or(since, |(_, last)| last.max(since));
    let span = last.ms() - since.ms();
    let step = (EVERY_DAYS * DAY_MS).max(span / MAX_MOMENTS + 1);
    let (mut once, mut again) = (Vec::new(), Vec::new());
    let (mut folded, mut moments) = (0, 0);
    for number in 0..=span / step {
        let now = since.plus_ms(number * step);
        let place = folded + history.moments[folded..].partition_point(|r| time(r) <= now);
        history.moments[folded..place]
            .iter()
            .for_each(|record| state.apply(record));
        folded = place;
        moments += 1;
        ask(&state, &truth, now, &mut once, &mut again);
    }
    let all = [once.as_slice(), &again].concat();
    DueReport {
        within_days: DUE_DAYS,
        moments,
        all: DueFigures::of(all),
        once: DueFigures::of(once),
        again: DueFigures::of(again),
    }
}

/// The score of every pair at a moment, and whether it is truly due.
fn ask(
    state: &State,
    truth: &Truth<'_>,
    now: Timestamp,
    once: &mut Vec<(f64, bool)>,
    again: &mut Vec<(f64, bool)>,
) {
    for (number, subject) in (0..).zip(state.people.customers()) {
        let view = View::new(state, state.subject(Person::Customer(number)), &[], now);
        let own = view.own(&Tuning::default());
        let asker = view.asker(&own, &[]);
        for (product, own) in own {
            let item: &Item = state.products.item(product);
            if !truth.products.contains(&*item.id) {
                continue;
            }
            let mut candidate = Candidate {
                product,
                own,
                ..Candidate::default()
            };
            candidate.item.gaps = item.gaps;
            candidate.item.baskets = f64::from(item.baskets);
            candidate.item.buyers = f64::from(item.buyers);
            candidate.item.repeat_buyers = f64::from(item.repeat_buyers);
            let pairs = if own.baskets < 1.5 {
                &mut *once
            } else {
                &mut *again
            };
            let is_due = truth.is_due(&subject.id, &item.id, now);
            pairs.push((Standing::of(&candidate, &asker).due, is_due));
        }
    }
}

/// The needs, to be looked up.
struct Truth<'a> {
    /// By customer and product, in the order of time.
    needs: HashMap<(&'a str, &'a str), Vec<&'a Need>>,
    products: HashSet<&'a str>,
}

impl<'a> Truth<'a> {
    fn of(needs: &'a [Need]) -> Self {
        let mut truth = Self {
            needs: HashMap::new(),
            products: HashSet::new(),
        };
        for need in needs {
            let pair = (need.customer.as_str(), need.product.as_str());
            truth.products.insert(pair.1);
            let of_pair = truth.needs.entry(pair).or_default();
            of_pair.push(need);
        }
        for of_pair in truth.needs.values_mut() {
            of_pair.sort_by_key(|need| need.bought_at);
        }
        truth
    }

    /// True if what was bought last until `now` is needed again within [`DUE_DAYS`] after it.
    fn is_due(&self, customer: &str, product: &str, now: Timestamp) -> bool {
        let Some(needs) = self.needs.get(&(customer, product)) else {
            return false;
        };
        let past = needs.partition_point(|need| need.bought_at <= now);
        let end = now.plus_ms((DUE_DAYS * DAY_MS as f64) as i64);
        let due_at = past.checked_sub(1).and_then(|last| needs[last].due_at);
        due_at.is_some_and(|due_at| due_at > now && due_at <= end)
    }
}
