//! The key figures, each with its definition.

use std::collections::BTreeMap;

use super::figures::Figure;
use super::tally::{ArmSums, Part, Tally};
use super::{Asked, CountState};
use crate::domain::time::DAY_MS;
use crate::state::journeys::histogram::{median, quantile, seconds};
use crate::state::journeys::key::{Arm, Key, Measure, NO_PLACE, NO_STAGE, Rating};
use crate::state::journeys::table::Day;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From 0 to 1.
    Share,
    /// Money.
    Money,
    /// A number of things.
    Count,
    /// Days.
    Days,
    /// On the scale that the definition names.
    Score,
}

/// What figures are also told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakdown {
    /// The persona.
    Persona,
    /// The segment.
    Segment,
    /// The touchpoint.
    Touchpoint,
    /// The stage.
    Stage,
}

/// A figure of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct KpiGroup {
    /// The id of the persona, or the name of the segment, touchpoint or stage; empty: people of no known persona, or in
    /// no segment.
    pub key: String,
    /// What the group is called.
    pub title: String,
    /// The value over the whole window.
    pub figure: Figure,
}

/// A key figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Kpi {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What is divided by what.
    pub definition: &'static str,
    /// At which touchpoint and in which stage it counts.
    pub place: &'static str,
    /// What the value is.
    pub unit: Unit,
    /// True if more of it is better.
    pub more_is_better: bool,
    /// Over the whole window.
    pub total: Figure,
    /// Over as many days right before it; nothing where these do not lie wholly after the first day that was counted.
    pub before: Figure,
    /// By day.
    pub days: Vec<(Day, Figure)>,
    /// By what was asked for.
    pub groups: Vec<KpiGroup>,
}

/// The key figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Kpis {
    /// What was counted.
    pub state: CountState,
    /// Always the same, in the same order.
    pub kpis: Vec<Kpi>,
    /// The currency of money; empty: not said.
    pub currency: String,
}

/// How a key figure is made.
struct Made {
    name: &'static str,
    title: &'static str,
    definition: &'static str,
    unit: Unit,
    more_is_better: bool,
    /// At which touchpoint and in which stage its parts count.
    place: &'static str,
    of: fn(&Tally) -> Figure,
}

/// Whoever ordered first has so many days to order again, before they count.
const AGAIN_DAYS: Day = 60;
/// The figures that count so.
const AGAIN: [&str; 2] = ["repeat_purchase_rate", "time_to_second_purchase"];

/// The title of people whose persona is not known.
const NO_PERSONA: &str = "no known persona";
/// The title of people who are in no segment.
const NO_SEGMENT: &str = "in no segment";
const VISIT: &str = "where the visit began, and the stage after its first step";
const ORDER: &str = "where the order was placed, and the stage before it";
const FIRST_ORDER: &str = "where the first order was placed, and the stage before it";
const ANSWER: &str = "where the answer was given, and the stage after it";
const UNBOUNDED: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

const ALL: &[Made] = &[
    Made {
        name: "visits",
        title: "Visits",
        definition: "Visits: steps of one session, or with less than 30 minutes between them; by the day on which \
                     they begin.",
        unit: Unit::Count,
        more_is_better: true,
        place: VISIT,
        of: |t| Figure::count(t.visits),
    },
    Made {
        name: "conversion_rate",
        title: "Conversion",
        definition: "Visits with an order, divided by visits; by the day on which they begin.",
        unit: Unit::Share,
        more_is_better: true,
        place: VISIT,
        of: |t| Figure::share(t.visits_with_order, t.visits),
    },
    Made {
        name: "stage_conversion_rate",
        title: "Moved on",
        definition: "Stays that ended with a move to a later stage, divided by all stays that ended.",
        unit: Unit::Share,
        more_is_better: true,
        place: "at every touchpoint that the stay passed, and in its stage",
        of: |t| Figure::share(t.moved_on, t.ended),
    },
    Made {
        name: "left",
        title: "Lost",
        definition: "Stays that ended because nothing happened for the horizon of the stage.",
        unit: Unit::Count,
        more_is_better: false,
        place: "where they were last seen, and the stage they left",
        of: |t| Figure::count(t.left),
    },
    Made {
        name: "cart_abandonment_rate",
        title: "Abandoned carts",
        definition: "Carts in which nothing happened for 3 days, divided by these and the carts that were bought; \
                     by the day on which that was decided.",
        unit: Unit::Share,
        more_is_better: false,
        place: "at every touchpoint where the cart was used, as abandoned only at the last one; and in the \
                stage after that use",
        of: |t| Figure::share(t.carts_abandoned, t.carts),
    },
    Made {
        name: "orders",
        title: "Orders",
        definition: "Orders in the currency of the answer.",
        unit: Unit::Count,
        more_is_better: true,
        place: ORDER,
        of: |t| Figure::count(t.sold.orders),
    },
    Made {
        name: "revenue",
        title: "Revenue",
        definition: "What was paid; the price of the catalog where an event says none. Refunds are not taken off.",
        unit: Unit::Money,
        more_is_better: true,
        place: ORDER,
        of: |t| Figure::exact(t.sold.revenue as f64 / 1e6, t.sold.orders),
    },
    Made {
        name: "margin",
        title: "Margin",
        definition: "Revenue less the cost of the units, of products whose cost is known.",
        unit: Unit::Money,
        more_is_better: true,
        place: ORDER,
        of: |t| Figure::exact(t.sold.margin as f64 / 1e6, t.sold.orders),
    },
    Made {
        name: "average_order_value",
        title: "Average order",
        definition: "Revenue, divided by orders.",
        unit: Unit::Money,
        more_is_better: true,
        place: ORDER,
        of: |t| {
            let (sum, squares) = (t.sold.revenue as f64 / 1e6, t.sold.squares as f64);
            Figure::mean(t.sold.orders, sum, squares, UNBOUNDED)
        },
    },
    Made {
        name: "returning_order_rate",
        title: "Orders of returning customers",
        definition: "Orders of people who had ordered before, divided by all orders.",
        unit: Unit::Share,
        more_is_better: true,
        place: ORDER,
        of: |t| Figure::share(t.sold.returning, t.sold.orders),
    },
    Made {
        name: "repeat_purchase_rate",
        title: "Ordered again",
        definition: "Of the people whose first order was 60 days before a day of the window, those that ordered again \
                     within these 60 days, to within 5 %: so everybody had the same time to do so.",
        unit: Unit::Share,
        more_is_better: true,
        place: FIRST_ORDER,
        of: |t| Figure::share(t.second_orders.values().sum(), t.first_orders),
    },
    Made {
        name: "time_to_second_purchase",
        title: "Time to the second order",
        definition: "The median number of days between the first and the second order, to within 5 %, of the people \
                     whose first order was 60 days before a day of the window and who ordered again within these 60 \
                     days.",
        unit: Unit::Days,
        more_is_better: false,
        place: FIRST_ORDER,
        of: second_order,
    },
    Made {
        name: "csat",
        title: "Satisfied",
        definition: "CSAT answers of 4 and 5, divided by all CSAT answers.",
        unit: Unit::Share,
        more_is_better: true,
        place: ANSWER,
        of: |t| Figure::share(t.of(Rating::Csat).high, t.of(Rating::Csat).count),
    },
    Made {
        name: "nps",
        title: "Net promoter score",
        definition: "The share of NPS answers of 9 and 10 less the share of 0 to 6, from -100 to 100.",
        unit: Unit::Score,
        more_is_better: true,
        place: ANSWER,
        of: |t| {
            let nps = t.of(Rating::Nps);
            let (sum, squares) = ((nps.high - nps.low) as f64, (nps.high + nps.low) as f64);
            Figure::mean(nps.count, sum, squares, (-1.0, 1.0)).scaled(100.0, 0.0)
        },
    },
    Made {
        name: "review_mean",
        title: "Reviews",
        definition: "The mean of reviews, from 1 to 5.",
        unit: Unit::Score,
        more_is_better: true,
        place: ANSWER,
        of: |t| t.of(Rating::Review).emotion().scaled(2.0, 3.0),
    },
    Made {
        name: "recommendation_revenue_share",
        title: "Revenue by recommendations",
        definition: "Revenue of lines whose attribution token proves that the product was recommended to this person \
                     within 30 days, divided by all revenue. It says what was seen before, not what it caused.",
        unit: Unit::Share,
        more_is_better: true,
        place: ORDER,
        of: |t| revenue_share(t.credited, t),
    },
    Made {
        name: "offer_revenue_share",
        title: "Revenue with offers",
        definition: "Revenue of lines whose attribution token proves an answer with an offer, divided by all revenue.",
        unit: Unit::Share,
        more_is_better: true,
        place: ORDER,
        of: |t| revenue_share(t.with_offer, t),
    },
    Made {
        name: "offer_lift",
        title: "Lift by offers",
        definition: "Revenue of the window for each customer who may get offers, less that for each customer who is \
                     held out of them; customers known by the end of the window. The interval takes orders as \
                     independent (compound Poisson).",
        unit: Unit::Money,
        more_is_better: true,
        place: "where the order was placed, and the stage before it: revenue there for each of all customers, so that \
                the parts sum up to the whole",
        of: |t| {
            let arm = |arm: Arm| {
                let sums = t.arms[arm as usize];
                (sums.people, sums.revenue as f64 / 1e6, sums.squares as f64)
            };
            Figure::difference(arm(Arm::Treated), arm(Arm::HeldOut))
        },
    },
    Made {
        name: "new_people",
        title: "New people",
        definition: "People who were never seen before; a visitor who turns out to be a known customer counts as new \
                     too.",
        unit: Unit::Count,
        more_is_better: true,
        place: "where they were first seen, and the stage that brought them to",
        of: |t| Figure::count(t.new),
    },
];

fn revenue_share(part: Part, tally: &Tally) -> Figure {
    let all = tally.sold;
    Figure::ratio(
        all.orders,
        (part.revenue as f64 / 1e6, part.squares as f64),
        (all.revenue as f64 / 1e6, all.squares as f64),
        part.products as f64,
    )
}

/// The median with the interval of its order statistics.
fn second_order(tally: &Tally) -> Figure {
    let counts = &tally.second_orders;
    let samples: i64 = counts.values().sum();
    let days = |seconds: f64| seconds * 1e3 / DAY_MS as f64;
    let Some(value) = median(counts) else {
        return Figure::default();
    };
    let half = 0.979_982 / (samples as f64).sqrt();
    let (low, high) = (quantile(counts, 0.5 - half), quantile(counts, 0.5 + half));
    Figure {
        value: Some(days(value)),
        interval: low.zip(high).map(|(low, high)| (days(low), days(high))),
        samples,
    }
}

/// What the figures are made of, by day and by group.
#[derive(Default)]
struct Tallies {
    total: Tally,
    before: Tally,
    days: BTreeMap<Day, Tally>,
    groups: BTreeMap<usize, Tally>,
}

/// Measures the key figures.
pub(super) fn measure(asked: &Asked<'_>, breakdown: Option<Breakdown>) -> Kpis {
    let scope = &asked.scope;
    let mut tallies = Tallies::default();
    for day in scope.first..=scope.last {
        tallies.days.insert(day, Tally::default());
    }
    let splitter = Splitter::new(asked, breakdown);
    let how = (asked.journeys.main_currency(), scope.place.is_some());
    let days = scope.last - scope.first + 1;
    let start = scope.first.saturating_sub(days);
    let mut count = |day: Day, key: Key, value: i64| {
        if !scope.has(key.group) || !is_in(asked, key) {
            return;
        }
        if day < scope.first {
            tallies.before.add(key, value, how);
            return;
        }
        tallies.total.add(key, value, how);
        if let Some(tally) = tallies.days.get_mut(&day) {
            tally.add(key, value, how);
        }
        splitter.each(key, |group| {
            let tally = tallies.groups.entry(group).or_default();
            tally.add(key, value, (how.0, splitter.is_by_place()));
        });
    };
    let table = &asked.journeys.table;
    let (from, to) = (start - AGAIN_DAYS, scope.last - AGAIN_DAYS);
    let is_decided =
        |day: Day, key: Key| day <= to && (key.measure == Measure::FirstOrders || is_soon(key));
    table.each(from, scope.last, |day, key, value| match key.measure {
        Measure::FirstOrders | Measure::SecondOrders if is_decided(day, key) => {
            count(day + AGAIN_DAYS, key, value);
        }
        Measure::FirstOrders | Measure::SecondOrders => {}
        _ if day >= start => count(day, key, value),
        _ => {}
    });
    let known = table.first_day();
    let is_known = |kpi: &str| {
        let first = if AGAIN.contains(&kpi) { from } else { start };
        known.is_some_and(|known| first > known)
    };
    count_people(asked, &splitter, &mut tallies);
    let kpis = ALL.iter().map(|made| {
        let groups = tallies.groups.iter();
        let groups = groups.map(|(&group, tally)| KpiGroup {
            title: splitter.title(group),
            key: splitter.name(group),
            figure: (made.of)(tally),
        });
        Kpi {
            name: made.name,
            title: made.title,
            definition: made.definition,
            place: made.place,
            unit: made.unit,
            more_is_better: made.more_is_better,
            total: (made.of)(&tallies.total),
            before: match is_known(made.name) {
                true => (made.of)(&tallies.before),
                false => Figure::default(),
            },
            days: tallies
                .days
                .iter()
                .map(|(day, tally)| (*day, (made.of)(tally)))
                .collect(),
            groups: groups.collect(),
        }
    });
    Kpis {
        state: asked.state,
        kpis: kpis.collect(),
        currency: asked.currency(),
    }
}

/// Whether somebody ordered again soon enough to count.
fn is_soon(key: Key) -> bool {
    seconds(key.detail) * 1e3 <= f64::from(AGAIN_DAYS) * DAY_MS as f64
}

/// Whether a counter is one of the touchpoint that was asked for.
fn is_in(asked: &Asked<'_>, key: Key) -> bool {
    asked.scope.place.is_none() || asked.scope.is_at(key.place)
}

/// Customers by arm are all that are known by then, not those of the window.
fn count_people(asked: &Asked<'_>, splitter: &Splitter<'_>, tallies: &mut Tallies) {
    let scope = &asked.scope;
    let mut known: BTreeMap<Day, [ArmSums; 2]> = BTreeMap::new();
    let mut take = |day: Day, key: Key, value: i64| {
        if key.measure != Measure::Known || !scope.has(key.group) {
            return;
        }
        let arm = usize::from(key.detail & 1);
        known.entry(day).or_default()[arm].people += value;
        splitter.each(key, |group| {
            tallies.groups.entry(group).or_default().arms[arm].people += value;
        });
    };
    asked
        .journeys
        .table
        .each_dropped(|key, value| take(Day::MIN, key, value));
    let until = (Day::MIN, scope.last);
    let table = &asked.journeys.table;
    table.each_before(until, Measure::Stayed, &mut take);
    let people = |until: Day| {
        let mut sums = [0; 2];
        for arms in known.range(..=until).map(|(_, arms)| arms) {
            sums[0] += arms[0].people;
            sums[1] += arms[1].people;
        }
        sums
    };
    let set = |tally: &mut Tally, people: [i64; 2]| {
        tally.arms[0].people = people[0];
        tally.arms[1].people = people[1];
    };
    set(&mut tallies.total, people(scope.last));
    set(&mut tallies.before, people(scope.first.saturating_sub(1)));
    for (day, tally) in &mut tallies.days {
        set(tally, people(*day));
    }
    if splitter.is_of_places() {
        // everybody may buy at every touchpoint and in every stage
        for tally in tallies.groups.values_mut() {
            set(tally, people(scope.last));
        }
    }
}

/// Tells which groups a counter belongs to.
struct Splitter<'a> {
    asked: &'a Asked<'a>,
    breakdown: Option<Breakdown>,
}

impl<'a> Splitter<'a> {
    fn new(asked: &'a Asked<'a>, breakdown: Option<Breakdown>) -> Self {
        Self { asked, breakdown }
    }

    /// True if the groups are touchpoints or stages.
    fn is_of_places(&self) -> bool {
        matches!(
            self.breakdown,
            Some(Breakdown::Touchpoint | Breakdown::Stage)
        )
    }

    /// True if stays count where they passed.
    fn is_by_place(&self) -> bool {
        self.breakdown == Some(Breakdown::Touchpoint) || self.asked.scope.place.is_some()
    }

    fn each(&self, key: Key, mut see: impl FnMut(usize)) {
        let group = self.asked.groups.get(usize::from(key.group));
        match self.breakdown {
            None => {}
            Some(Breakdown::Touchpoint) if key.place != NO_PLACE => see(usize::from(key.place)),
            Some(Breakdown::Stage) if key.stage != NO_STAGE => see(usize::from(key.stage)),
            Some(Breakdown::Persona) => {
                let persona = group.and_then(|group| group.persona);
                see(persona.map_or(self.asked.personas.len(), usize::from));
            }
            Some(Breakdown::Segment) => {
                let set = group.map_or(0, |group| group.segments);
                if set == 0 {
                    see(self.asked.segments.len());
                }
                for place in 0..self.asked.segments.len() {
                    if set >> place & 1 == 1 {
                        see(place);
                    }
                }
            }
            Some(Breakdown::Touchpoint | Breakdown::Stage) => {}
        }
    }

    fn name(&self, group: usize) -> String {
        match self.breakdown {
            Some(Breakdown::Touchpoint) => {
                let number = u16::try_from(group).unwrap_or(NO_PLACE);
                self.asked.journeys.touchpoints.name(number).to_owned()
            }
            Some(Breakdown::Stage) => {
                let name = self.asked.stage_names().nth(group);
                name.unwrap_or_default().to_owned()
            }
            Some(Breakdown::Segment) => {
                let name = self.asked.segments.get(group);
                name.copied().unwrap_or_default().to_owned()
            }
            Some(Breakdown::Persona) => {
                let persona = self.asked.personas.get(group);
                persona.map_or_else(String::new, |persona| persona.id.clone())
            }
            None => String::new(),
        }
    }

    fn title(&self, group: usize) -> String {
        match self.breakdown {
            Some(Breakdown::Persona) => {
                let persona = self.asked.personas.get(group);
                persona.map_or_else(|| NO_PERSONA.to_owned(), |persona| persona.name.clone())
            }
            Some(Breakdown::Segment) if group == self.asked.segments.len() => NO_SEGMENT.to_owned(),
            _ => self.name(group),
        }
    }
}
