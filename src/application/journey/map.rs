//! The journey map: stages, touchpoints, flows, and how people feel.

use std::collections::BTreeMap;

use super::figures::Figure;
use super::tally::{Answers, Sold};
use super::{Asked, CountState};
use crate::domain::StageIndex;
use crate::state::journeys::histogram::median;
use crate::state::journeys::key::{Ending, Key, Measure, NO_PLACE, Origin};
use crate::state::journeys::table::Day;

/// The most moves between touchpoints that are told.
pub const MAX_FLOWS: usize = 200;

/// What was sold, in units of the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sales {
    /// Orders.
    pub orders: i64,
    /// What was paid.
    pub revenue: f64,
    /// Revenue less cost, of products whose cost is known.
    pub margin: f64,
    /// Revenue of those products.
    pub costed: f64,
}

impl From<Sold> for Sales {
    fn from(sold: Sold) -> Self {
        Self {
            orders: sold.orders,
            revenue: sold.revenue as f64 / 1e6,
            margin: sold.margin as f64 / 1e6,
            costed: sold.costed as f64 / 1e6,
        }
    }
}

/// A stage of the map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MapStage {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub aim: String,
    /// Stays that began.
    pub entered: i64,
    /// Of these, of people never seen before.
    pub new: i64,
    /// Of these, of people who had left.
    pub returned: i64,
    /// Stays that ended with a move to a later stage.
    pub moved_on: i64,
    /// Stays that ended with a move to an earlier stage.
    pub moved_back: i64,
    /// Stays that ended because nothing happened; with a touchpoint in the question those that were last seen there.
    pub left: i64,
    /// With a touchpoint in the question: stays that came there and were lost, but last seen elsewhere.
    pub left_elsewhere: i64,
    /// Stays of visitors who turned out to be a customer.
    pub joined: i64,
    /// Stays that are open at the end of the window.
    pub here: i64,
    /// Events that moved nobody.
    pub steps: i64,
    /// The median length of stays that ended by a move, in seconds.
    pub median_stay_seconds: Option<f64>,
    /// After how long without anything somebody has left, in milliseconds.
    pub horizon_ms: i64,
    /// What was sold to people who were here.
    pub sales: Sales,
    /// How people feel, from -1 to 1.
    pub emotion: Figure,
    /// The touchpoints, most used first.
    pub touchpoints: Vec<MapTouchpoint>,
}

/// A touchpoint as used in one stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MapTouchpoint {
    /// Its name.
    pub name: String,
    /// The stage it belongs to; empty: it is not named in the journey.
    pub home: String,
    /// Events here.
    pub events: i64,
    /// Stays that ended and came here.
    pub stays: i64,
    /// Of these, those that moved on.
    pub moved_on: i64,
    /// Of these, those that left and were last seen here.
    pub left_here: i64,
    /// Sales here.
    pub sales: Sales,
    /// How people feel, from -1 to 1.
    pub emotion: Figure,
}

/// How many moved from one to another; empty: from outside, or to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// How many.
    pub count: i64,
}

/// The map.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyMap {
    /// What was counted.
    pub state: CountState,
    /// The stages, in order.
    pub stages: Vec<MapStage>,
    /// Moves between stages, the largest first.
    pub stage_flows: Vec<Flow>,
    /// Moves between touchpoints, the largest first.
    pub touchpoint_flows: Vec<Flow>,
    /// The currency of money; empty: not said.
    pub currency: String,
    /// Orders in other currencies.
    pub other_currency_orders: i64,
    /// The touchpoints there are, most events first.
    pub touchpoints: Vec<String>,
    /// The segments there are.
    pub segments: Vec<String>,
}

#[derive(Default)]
struct PlaceSums {
    events: i64,
    stays: i64,
    moved_on: i64,
    left_here: i64,
    sold: Sold,
    answers: Answers,
}

#[derive(Default)]
struct StageSums {
    stage: MapStage,
    lengths: BTreeMap<u16, i64>,
    sold: Sold,
    answers: Answers,
    places: BTreeMap<u16, PlaceSums>,
}

#[derive(Default)]
struct Sums {
    stages: Vec<StageSums>,
    stage_flows: BTreeMap<(Option<u8>, Option<u8>), i64>,
    place_flows: BTreeMap<(u16, u16), i64>,
    other: Sold,
}

/// Draws the map.
pub(super) fn draw(asked: &Asked<'_>) -> JourneyMap {
    let count = asked.journeys.settings().journey.stages.len();
    let mut sums = Sums::default();
    sums.stages.resize_with(count, StageSums::default);
    let main = asked.journeys.main_currency();
    let scope = &asked.scope;
    let table = &asked.journeys.table;
    table.each(scope.first, scope.last, |_, key, value| {
        if scope.has(key.group) {
            sums.add(asked, key, value, main);
        }
    });
    // who is here: everybody who ever came and did not go
    let mut here = |key: Key, value: i64| {
        let begin = match scope.place {
            None => Measure::Began,
            Some(_) => Measure::Reached,
        };
        let end = match scope.place {
            None => Measure::Ended,
            Some(_) => Measure::Passed,
        };
        let is_at = scope.place.is_none() || scope.is_at(key.place);
        let stage = sums.stages.get_mut(usize::from(key.stage));
        let Some(stage) = stage.filter(|_| is_at && scope.has(key.group)) else {
            return;
        };
        if key.measure == begin {
            stage.stage.here += value;
        } else if key.measure == end {
            stage.stage.here -= value;
        }
    };
    table.each_dropped(&mut here);
    let until = (Day::MIN, scope.last);
    table.each_before(until, Measure::Known, |_, key, value| here(key, value));
    sums.finish(asked)
}

impl Sums {
    fn add(&mut self, asked: &Asked<'_>, key: Key, value: i64, main: Option<u16>) {
        let scope = &asked.scope;
        let by_place = scope.place.is_some();
        let is_at = scope.is_at(key.place);
        if key.measure == Measure::Flow {
            let is_one = !by_place || is_at || scope.is_at(key.detail);
            if is_one {
                *self.place_flows.entry((key.place, key.detail)).or_default() += value;
            }
            return;
        }
        if !is_at && !matches!(key.measure, Measure::Stayed) {
            return;
        }
        let Some(sums) = self.stages.get_mut(usize::from(key.stage)) else {
            return;
        };
        let place = sums.places.entry(key.place).or_default();
        let stage = &mut sums.stage;
        match key.measure {
            Measure::Began | Measure::Reached => {
                let origin = Origin::of_code(key.detail);
                let from = match origin {
                    Origin::From(from) => Some(from),
                    Origin::New | Origin::Returned => None,
                };
                let is_begin = key.measure == Measure::Began;
                if is_begin && from.is_none() {
                    let flow = self.place_flows.entry((NO_PLACE, key.place));
                    *flow.or_default() += value;
                }
                // with a touchpoint in the question a stay is entered when it comes there
                if is_begin == by_place {
                    return;
                }
                stage.entered += value;
                *self.stage_flows.entry((from, Some(key.stage))).or_default() += value;
                match origin {
                    Origin::New => stage.new += value,
                    Origin::Returned => stage.returned += value,
                    Origin::From(_) => {}
                }
            }
            Measure::Ended | Measure::Passed => {
                let ending = Ending::of_code(key.detail);
                if key.measure == Measure::Ended && ending == Ending::Left {
                    place.left_here += value;
                    *self.place_flows.entry((key.place, NO_PLACE)).or_default() += value;
                    // who is lost is lost where they were last seen, whatever is asked for
                    stage.left += value;
                    stage.left_elsewhere -= i64::from(by_place) * value;
                    let flow = self.stage_flows.entry((Some(key.stage), None));
                    *flow.or_default() += value;
                }
                if key.measure == Measure::Passed {
                    place.stays += value;
                    if matches!(ending, Ending::To(to) if to > key.stage) {
                        place.moved_on += value;
                    }
                }
                if (key.measure == Measure::Passed) != by_place {
                    return;
                }
                if let (true, Ending::To(to)) = (by_place, ending) {
                    let flow = self.stage_flows.entry((Some(key.stage), Some(to)));
                    *flow.or_default() += value;
                }
                match ending {
                    Ending::To(to) if to > key.stage => stage.moved_on += value,
                    Ending::To(_) => stage.moved_back += value,
                    Ending::Left => stage.left_elsewhere += i64::from(by_place) * value,
                    Ending::Joined => stage.joined += value,
                }
            }
            // of a move whose stays both came to the touchpoint, each end was counted
            Measure::Again if by_place => {
                if let Origin::From(from) = Origin::of_code(key.detail) {
                    let flow = self.stage_flows.entry((Some(from), Some(key.stage)));
                    *flow.or_default() -= value;
                }
            }
            Measure::Stayed if !by_place => {
                *sums.lengths.entry(key.detail).or_default() += value;
            }
            Measure::Events => place.events += value,
            Measure::Steps => stage.steps += value,
            Measure::Orders
            | Measure::Revenue
            | Measure::CostedRevenue
            | Measure::Margin
            | Measure::OrderSquares => {
                sums.sold.add(key, value, main);
                place.sold.add(key, value, main);
                self.other.add(key, value, main);
            }
            Measure::Ratings | Measure::RatingSum | Measure::RatingSquares => {
                sums.answers.add(key.measure, value);
                place.answers.add(key.measure, value);
            }
            _ => {}
        }
    }

    fn finish(self, asked: &Asked<'_>) -> JourneyMap {
        let journey = &asked.journeys.settings().journey;
        let names: Vec<&str> = asked.stage_names().collect();
        let name_of = |stage: Option<u8>| {
            let name = stage.and_then(|stage| names.get(usize::from(stage)));
            name.copied().unwrap_or_default().to_owned()
        };
        let place_name = |place: u16| match place {
            NO_PLACE => String::new(),
            place => asked.journeys.touchpoints.name(place).to_owned(),
        };
        let mut events: BTreeMap<u16, i64> = BTreeMap::new();
        for (place, sums) in self.stages.iter().flat_map(|stage| &stage.places) {
            *events.entry(*place).or_default() += sums.events;
        }
        let stages = (0_u8..).zip(self.stages).zip(&journey.stages);
        let stages = stages.map(|((number, sums), stage)| {
            let touchpoints = touchpoints(asked, number, sums.places);
            MapStage {
                name: stage.name.clone(),
                aim: stage.aim.clone(),
                median_stay_seconds: median(&sums.lengths),
                horizon_ms: asked.places.horizon_ms(StageIndex(number)),
                sales: sums.sold.into(),
                emotion: sums.answers.emotion(),
                touchpoints,
                ..sums.stage
            }
        });
        let stage_flows = self.stage_flows.into_iter();
        let stage_flows = stage_flows.map(|((from, to), count)| Flow {
            from: name_of(from),
            to: name_of(to),
            count,
        });
        let place_flows = self.place_flows.into_iter();
        let place_flows = place_flows.map(|((from, to), count)| Flow {
            from: place_name(from),
            to: place_name(to),
            count,
        });
        let mut touchpoint_flows = largest_first(place_flows.collect());
        touchpoint_flows.truncate(MAX_FLOWS);
        JourneyMap {
            state: asked.state,
            stages: stages.collect(),
            stage_flows: largest_first(stage_flows.collect()),
            touchpoint_flows,
            currency: asked.currency(),
            other_currency_orders: self.other.other_currency,
            touchpoints: pickable(asked, &events),
            segments: asked.segments.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

fn largest_first(mut flows: Vec<Flow>) -> Vec<Flow> {
    flows.retain(|flow| flow.count > 0);
    flows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
    flows
}

/// The touchpoints that were used in a stage, and those that belong to it.
fn touchpoints(
    asked: &Asked<'_>,
    stage: u8,
    places: BTreeMap<u16, PlaceSums>,
) -> Vec<MapTouchpoint> {
    let names: Vec<&str> = asked.stage_names().collect();
    let home_of = |name: &str| {
        let home = asked.places.home(name);
        let home = home.and_then(|home| names.get(usize::from(home.0)));
        home.copied().unwrap_or_default().to_owned()
    };
    // an order counts in the stage before it, its event in the one after it
    let is_used =
        |sums: &PlaceSums| sums.events > 0 || sums.stays > 0 || sums.sold != Sold::default();
    let used = places.into_iter();
    let used = used.filter(|(place, sums)| *place != NO_PLACE && is_used(sums));
    let mut all: Vec<MapTouchpoint> = used
        .map(|(place, sums)| {
            let name = asked.journeys.touchpoints.name(place);
            MapTouchpoint {
                name: name.to_owned(),
                home: home_of(name),
                events: sums.events,
                stays: sums.stays,
                moved_on: sums.moved_on,
                left_here: sums.left_here,
                sales: sums.sold.into(),
                emotion: sums.answers.emotion(),
            }
        })
        .collect();
    all.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.name.cmp(&b.name)));
    let own = asked.places.homes.get(usize::from(stage));
    for name in own.into_iter().flatten() {
        if asked.scope.place.is_none() && !all.iter().any(|known| known.name == **name) {
            all.push(MapTouchpoint {
                name: name.to_string(),
                home: home_of(name),
                ..MapTouchpoint::default()
            });
        }
    }
    all
}

/// Every touchpoint that was ever met, most events of the answer first.
fn pickable(asked: &Asked<'_>, events: &BTreeMap<u16, i64>) -> Vec<String> {
    let count = |place: u16| events.get(&place).copied().unwrap_or(0);
    let mut met: Vec<(u16, &str)> = asked.journeys.touchpoints.iter().collect();
    met.sort_by(|a, b| count(b.0).cmp(&count(a.0)).then_with(|| a.1.cmp(b.1)));
    met.into_iter().map(|(_, name)| name.to_owned()).collect()
}
