//! The journey as it truly is: the map, the key figures, and what else is told from the journey counters.

pub mod figures;
pub mod groups;
mod keeper;
pub mod kpis;
pub mod map;
pub mod pains;
mod tally;

use std::sync::Arc;

use crate::application::error::AppError;
use crate::application::journey::groups::{Group, Grouping, PersonaName};
use crate::application::journey::keeper::{Followed, Keeper, PATIENCE};
use crate::application::personas::{self, PersonaReport};
use crate::application::recipes::{Recipes, Suggestion};
use crate::application::shop::Shop;
use crate::application::spelling::suggestion;
use crate::domain::{FaultCode, Faults, Places, Timestamp};
use crate::state::journeys::Journeys;
use crate::state::journeys::table::{Day, KEPT_DAYS, day_of, midnight};

/// How many days are looked at where the caller does not say.
const DEFAULT_DAYS: i32 = 28;

/// Which part of the journey is looked at; empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The first day that counts; absent: 27 days before the last.
    pub start: Option<Timestamp>,
    /// The last day that counts; absent: the last whole one.
    pub end: Option<Timestamp>,
    /// Only customers of this persona.
    pub persona: String,
    /// Only customers of this segment.
    pub segment: String,
    /// Only what passed this touchpoint.
    pub touchpoint: String,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountState {
    /// False while the past is being counted.
    pub complete: bool,
    /// How much of the journal has been counted, from 0 to 1.
    pub progress: f64,
    /// The newest event that was counted.
    pub newest: Option<Timestamp>,
    /// The first day, at midnight.
    pub start: Timestamp,
    /// The midnight that ends the last day, or the newest event if that is earlier.
    pub end: Timestamp,
    /// Since when the groups are as they are.
    pub grouped: Timestamp,
    /// The midnight before the first thing that was counted; absent: nothing was.
    pub earliest: Option<Timestamp>,
    /// The first day that is kept, at midnight, if the window that was asked for begins before it.
    pub first_kept: Option<Timestamp>,
}

/// The window and the filters of a question, as the counters know them.
#[derive(Debug, Clone)]
struct Scope {
    first: Day,
    last: Day,
    /// The first day that is kept, if a day before it was asked for.
    first_kept: Option<Day>,
    /// By group: whether it is looked at.
    groups: Vec<bool>,
    /// The number of the touchpoint; `Some(None)`: one that was never met.
    place: Option<Option<u16>>,
}

impl Scope {
    fn has(&self, group: u16) -> bool {
        self.groups
            .get(usize::from(group))
            .copied()
            .unwrap_or(false)
    }

    fn is_at(&self, place: u16) -> bool {
        self.place.is_none_or(|only| only == Some(place))
    }
}

/// The use cases of the journey.
#[derive(Debug, Clone)]
pub struct JourneyReports {
    keeper: Arc<Keeper>,
    places: Arc<Places>,
    suggestions: Arc<[Suggestion]>,
}

impl JourneyReports {
    /// Over a shop, by its recipes; goes on from the checkpoint of the counters.
    #[must_use]
    pub fn new(shop: Arc<Shop>, recipes: &Recipes) -> Self {
        let places = recipes.places.clone();
        Self {
            suggestions: recipes.suggestions.clone().into(),
            places: Arc::new(places.clone()),
            keeper: Arc::new(Keeper::new(shop, places)),
        }
    }

    /// Counts what is new in the journal and keeps a checkpoint now and then; for the background. Blocks.
    ///
    /// # Errors
    /// Those of the journal and the disk.
    pub fn follow(&self) -> Result<(), AppError> {
        self.keeper.follow()
    }

    /// Looks anew at who is in which persona and segment, and counts everything anew if that has changed; for the
    /// background. Returns whether it had. Blocks, long.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn regroup(&self) -> Result<bool, AppError> {
        self.keeper.regroup()
    }

    /// Ends what is done in the background: the service ends, and need not wait for it.
    pub fn stop(&self) {
        self.keeper.stop();
    }

    /// True if it is time to look anew: the groups are older than `age_ms`, or other personas are live.
    #[must_use]
    pub fn is_outdated(&self, age_ms: i64) -> bool {
        let shop = &self.keeper.shop;
        let live = shop.personas.get();
        let revision = live.as_ref().map_or("", |live| &*live.id);
        let followed = self.keeper.read();
        let age = shop.clock.now().ms() - followed.grouped.ms();
        age >= age_ms || followed.grouping.revision() != revision
    }

    /// Writes a checkpoint of the counters, so that the next start is quick. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn checkpoint(&self) -> std::io::Result<()> {
        self.keeper.checkpoint()
    }

    /// The journey map. Blocks for a moment.
    ///
    /// # Errors
    /// `Invalid` with every fault; those of the journal.
    pub fn map(&self, selection: &Selection) -> Result<map::JourneyMap, AppError> {
        self.ask(selection, map::draw)
    }

    /// The key figures. Blocks for a moment.
    ///
    /// # Errors
    /// `Invalid` with every fault; those of the journal.
    pub fn kpis(
        &self,
        selection: &Selection,
        breakdown: Option<kpis::Breakdown>,
    ) -> Result<kpis::Kpis, AppError> {
        self.ask(selection, |asked| kpis::measure(asked, breakdown))
    }

    /// The counters with what they were counted by, caught up with the journal.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn with_counters<T>(
        &self,
        see: impl FnOnce(&Journeys, &Grouping) -> T,
    ) -> Result<T, AppError> {
        self.keeper.catch_up(PATIENCE)?;
        let followed = self.keeper.read();
        Ok(see(&followed.journeys, &followed.grouping))
    }

    /// The personas that are live with their customers, as they are now; absent: none are. Blocks for a moment.
    #[must_use]
    pub fn personas(&self) -> Option<Arc<PersonaReport>> {
        personas::report(&self.keeper.shop)
    }

    /// What was learned of ways in, with these called as the map calls them.
    #[must_use]
    pub fn spoken(&self, learned: &str) -> String {
        self.places.spoken(learned)
    }

    /// The code of the currency that money is told in; empty: it is not said.
    #[must_use]
    pub fn currency(&self) -> String {
        main_currency(&self.keeper.read().journeys)
    }

    /// What was counted for a selection, without any figures.
    ///
    /// # Errors
    /// `Invalid` with every fault; those of the journal.
    pub fn counted(&self, selection: &Selection) -> Result<CountState, AppError> {
        self.ask(selection, |asked| asked.state)
    }

    fn ask<T>(
        &self,
        selection: &Selection,
        answer: impl FnOnce(&Asked<'_>) -> T,
    ) -> Result<T, AppError> {
        let is_all = self.keeper.catch_up(PATIENCE)?;
        let followed = self.keeper.read();
        let mut faults = Faults::new();
        let scope = self.scope(selection, &followed, &mut faults);
        if !faults.is_empty() {
            return Err(faults.into());
        }
        let newest = followed.journeys.newest();
        let personas = followed.grouping.personas().iter();
        let personas: Vec<PersonaName> = personas
            .map(|persona| PersonaName {
                id: persona.id.clone(),
                name: self.places.spoken(&persona.name),
            })
            .collect();
        let asked = Asked {
            state: CountState {
                complete: is_all,
                progress: match is_all {
                    true => 1.0,
                    false => self.keeper.progress(&followed),
                },
                newest,
                start: midnight(scope.first),
                end: self.counted_until(scope.last, newest),
                grouped: followed.grouped,
                earliest: followed.journeys.table.first_day().map(midnight),
                first_kept: scope.first_kept.map(midnight),
            },
            journeys: &followed.journeys,
            groups: followed.grouping.groups(),
            personas: &personas,
            segments: self.segments(),
            places: &self.places,
            scope,
        };
        Ok(answer(&asked))
    }

    /// The end of the last day, or the newest event if that day is not over.
    fn counted_until(&self, last: Day, newest: Option<Timestamp>) -> Timestamp {
        let end = midnight(last.saturating_add(1));
        let is_on = self.keeper.shop.clock.now() < end;
        let newest = newest.filter(|newest| is_on && day_of(*newest) == last);
        newest.unwrap_or(end)
    }

    fn segments(&self) -> Vec<&str> {
        let segments = &self.keeper.shop.settings.segments;
        segments.iter().map(|segment| &*segment.name).collect()
    }

    fn scope(&self, selection: &Selection, followed: &Followed, faults: &mut Faults) -> Scope {
        let journeys = &followed.journeys;
        let today = self.keeper.shop.clock.now();
        let newest = day_of(journeys.newest().unwrap_or(today));
        let earliest = journeys.table.first_day().unwrap_or(newest);
        // a day that is not over is less than a whole one; the very first one is all there is
        let whole = match newest < day_of(today) || newest <= earliest {
            true => newest,
            false => newest - 1,
        };
        let start = selection.start.map(day_of);
        let last = match selection.end {
            Some(end) => day_of(end),
            None => whole.max(start.unwrap_or(whole)),
        };
        let first = start.unwrap_or(last.saturating_sub(DEFAULT_DAYS - 1));
        if first > last {
            let reason = "must not be before start_time";
            faults.add("selection.end_time", FaultCode::OutOfRange, reason);
        }
        let segments = self.segments();
        let segment = segments.iter().position(|name| *name == selection.segment);
        if segment.is_none() && !selection.segment.is_empty() {
            let reason = unknown("segment", &selection.segment, &segments);
            faults.add("selection.segment", FaultCode::UnknownName, reason);
        }
        let personas = followed.grouping.personas().iter();
        let ids: Vec<&str> = personas.map(|persona| &*persona.id).collect();
        let persona = ids.iter().position(|id| *id == selection.persona);
        if persona.is_none() && !selection.persona.is_empty() {
            let reason = unknown("persona", &selection.persona, &ids);
            faults.add("selection.persona_id", FaultCode::UnknownName, reason);
        }
        let place = (!selection.touchpoint.is_empty()).then(|| {
            let number = journeys.touchpoints.number(&selection.touchpoint);
            let names = self.places.names();
            if number.is_none() && !names.contains(&selection.touchpoint.as_str()) {
                let met = journeys.touchpoints.iter().map(|(_, name)| name);
                let names: Vec<&str> = names.into_iter().chain(met).collect();
                let reason = unknown("touchpoint", &selection.touchpoint, &names);
                faults.add("selection.touchpoint", FaultCode::UnknownName, reason);
            }
            number
        });
        let is_in = |group: &Group| {
            let of_persona = |place: usize| group.persona.map(usize::from) == Some(place);
            segment.is_none_or(|place| group.segments >> place & 1 == 1)
                && persona.is_none_or(of_persona)
        };
        let kept = newest.saturating_sub(KEPT_DAYS);
        Scope {
            first: first.max(kept).min(last),
            first_kept: (first < kept).then_some(kept),
            last: last.min(newest.max(first)),
            groups: followed.grouping.groups().iter().map(is_in).collect(),
            place,
        }
    }
}

fn main_currency(journeys: &Journeys) -> String {
    let main = journeys.main_currency();
    main.map_or("", |number| journeys.currencies.name(number))
        .to_owned()
}

fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    match names {
        [] => format!("there is no {what} yet"),
        names => format!("there is no {what} {name:?}; {}", suggestion(name, names)),
    }
}

/// A question with everything that answers it.
struct Asked<'a> {
    state: CountState,
    journeys: &'a Journeys,
    groups: &'a [Group],
    personas: &'a [PersonaName],
    segments: Vec<&'a str>,
    places: &'a Places,
    scope: Scope,
}

impl Asked<'_> {
    /// The code of the currency that money is told in; empty: it is not said.
    fn currency(&self) -> String {
        main_currency(self.journeys)
    }

    fn stage_names(&self) -> impl Iterator<Item = &str> {
        let stages = &self.journeys.settings().journey.stages;
        stages.iter().map(|stage| &*stage.name)
    }
}
