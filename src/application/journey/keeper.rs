//! Follows the journal with the journey counters: on demand before each answer, and in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::application::error::AppError;
use crate::application::journey::groups::{Grouping, Lookup};
use crate::application::shop::Shop;
use crate::domain::{Fingerprint, Places, Position, Record, Timestamp};
use crate::state::journeys::{JourneySettings, Journeys};
use crate::store::{Checkpoint, Checkpoints, JournalError, Records};

/// How long a question waits at most for the counters to catch up with the journal.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// How many records are folded under one hold of the lock: a millisecond or two, …
const AT_ONCE: usize = 512;
/// … after which the background rests for so many times as long: a start or other personas must not slow answers down.
const REST: u32 = 5;
/// After so many new records the counters are checkpointed.
const CHECKPOINT_EVERY: u64 = 500_000;
/// The folder of the counters' checkpoints, within that of State's.
const FOLDER: &str = "journeys";

/// The counters, and what they were counted by.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) journeys: Journeys,
    pub(super) grouping: Arc<Grouping>,
    /// Since when the groups are as they are.
    pub(super) grouped: Timestamp,
    epoch: u64,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    grouping: Grouping,
    grouped: Timestamp,
    journeys: Vec<u8>,
}

/// Keeps the counters.
pub(super) struct Keeper {
    pub(super) shop: Arc<Shop>,
    settings: JourneySettings,
    checkpoints: Option<Checkpoints>,
    followed: RwLock<Followed>,
    /// Held by the one who catches up: the position of the last checkpoint.
    checkpointed: Mutex<u64>,
    /// The service ends: what is done in the background stops where it stands.
    is_stopping: AtomicBool,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    /// Goes on from the newest checkpoint that is of use.
    pub(super) fn new(shop: Arc<Shop>, places: Places) -> Self {
        let settings = JourneySettings {
            journey: shop.settings.fold.journey.clone(),
            places,
            visitor_idle_days: shop.settings.fold.visitor_idle_days,
        };
        let within = |all: &Checkpoints| match all.within(FOLDER) {
            Ok(checkpoints) => Some(checkpoints),
            Err(error) => {
                tracing::warn!(%error, "journey counters cannot be kept: each start counts anew");
                None
            }
        };
        let checkpoints = shop.checkpoints.as_ref().and_then(within);
        let mut keeper = Self {
            followed: RwLock::new(Followed {
                journeys: Journeys::new(settings.clone()),
                grouping: Arc::default(),
                grouped: shop.clock.now(),
                epoch: shop.journal.epoch(),
            }),
            shop,
            settings,
            checkpoints,
            checkpointed: Mutex::new(0),
            is_stopping: AtomicBool::new(false),
        };
        if let Some(followed) = keeper.load() {
            keeper.checkpointed = Mutex::new(followed.journeys.end().0);
            keeper.followed = RwLock::new(followed);
        }
        keeper
    }

    /// What a checkpoint depends on: who is held out is counted, too.
    fn schema(&self) -> Fingerprint {
        let policy = &self.shop.settings.offers;
        let segments = self.shop.settings.segments.iter();
        let segments: Vec<&str> = segments.flat_map(|s| [&*s.name, &*s.text]).collect();
        let parts = [
            &self.settings.schema().0[..],
            &policy.holdout_per_mille.to_le_bytes(),
            &policy.holdout_seed.to_le_bytes(),
            segments.join("\0").as_bytes(),
        ]
        .map(<[u8]>::to_vec);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Fingerprint::of("journey keeper", &parts)
    }

    fn load(&self) -> Option<Followed> {
        let checkpoints = self.checkpoints.as_ref()?;
        let journal = &self.shop.journal;
        let epoch = journal.epoch();
        let loaded = checkpoints.load(epoch, self.schema(), journal.end());
        for ignored in &loaded.ignored {
            let (path, reason) = (ignored.path.display(), &ignored.reason);
            tracing::info!(%path, %reason, "a checkpoint of journey counters is not used");
        }
        let bytes = loaded.checkpoint?.bytes;
        let kept: Result<Kept, _> = postcard::from_bytes(&bytes);
        let decoded = kept.map_err(|error| error.to_string()).and_then(|kept| {
            let journeys = Journeys::decode(&kept.journeys).map_err(|error| error.to_string())?;
            Ok(Followed {
                journeys,
                grouping: Arc::new(kept.grouping),
                grouped: kept.grouped,
                epoch,
            })
        });
        match decoded {
            Ok(followed) => Some(followed),
            Err(error) => {
                tracing::warn!(error, "a checkpoint of journey counters cannot be read");
                None
            }
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Followed> {
        // folding cannot fail, so the counters are whole even if a reader panicked
        self.followed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Followed> {
        self.followed
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds what the journal has more, for at most `patience`. Returns whether all is folded.
    pub(super) fn catch_up(&self, patience: Duration) -> Result<bool, AppError> {
        let until = Instant::now() + patience;
        let mut reading = None;
        while !self.step(&mut reading)? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Folds what the journal has more and writes a checkpoint if it is time. For the background.
    pub(super) fn follow(&self) -> Result<(), AppError> {
        let mut reading = None;
        loop {
            let begun = Instant::now();
            if self.step(&mut reading)? {
                break;
            }
            if !self.rest(begun) {
                return Ok(());
            }
        }
        let end = self.read().journeys.end().0;
        let kept = self.checkpointed.lock().map_or(0, |kept| *kept);
        if end >= kept + CHECKPOINT_EVERY {
            self.checkpoint().map_err(JournalError::from)?;
        }
        Ok(())
    }

    /// Ends what is done in the background.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Rests after a piece of work in the background. Returns whether to go on.
    fn rest(&self, begun: Instant) -> bool {
        std::thread::sleep(begun.elapsed() * REST);
        !self.is_stopping.load(Ordering::Relaxed)
    }

    /// Folds the next records, read on from where the last step stood if nobody else folded meanwhile. Returns whether
    /// all is folded.
    fn step<'a>(&'a self, reading: &mut Option<Reading<'a>>) -> Result<bool, AppError> {
        let mut checkpointed = self
            .checkpointed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let journal = &*self.shop.journal;
        let (mut position, counted) = {
            let followed = self.read();
            (followed.journeys.end(), followed.epoch)
        };
        let epoch = journal.epoch();
        if epoch != counted {
            // somebody was erased: what was counted of them goes at once
            let mut followed = self.write();
            followed.journeys = Journeys::new(self.settings.clone());
            followed.epoch = epoch;
            position = followed.journeys.end();
            *checkpointed = 0;
            drop(followed);
            self.clear();
        }
        if position >= journal.end() {
            return Ok(true);
        }
        if reading
            .as_ref()
            .is_none_or(|r| r.next != position || r.epoch != epoch)
        {
            *reading = Some(Reading {
                records: journal.read_from(position),
                next: position,
                epoch,
            });
        }
        let Some(reading) = reading else {
            return Ok(true);
        };
        let some = next_of(&mut reading.records)?;
        let mut followed = self.write();
        fold(&mut followed, &some, &self.shop);
        reading.next = followed.journeys.end();
        Ok(some.len() < AT_ONCE)
    }

    /// Looks at the groups anew and counts everything anew if they have changed. For the background: long.
    pub(super) fn regroup(&self) -> Result<bool, AppError> {
        let now = self.shop.clock.now();
        let Some(grouping) = Grouping::of(&self.shop, now, |begun| self.rest(begun)) else {
            return Ok(false);
        };
        let grouping = Arc::new(grouping);
        {
            let mut followed = self.write();
            if followed.grouping.is_same(&grouping) || followed.journeys.end().0 == 0 {
                followed.grouping = grouping;
                followed.grouped = now;
                return Ok(false);
            }
        }
        let journal = &*self.shop.journal;
        let mut anew = Followed {
            journeys: Journeys::new(self.settings.clone()),
            grouping,
            grouped: now,
            epoch: journal.epoch(),
        };
        let mut records = journal.read_from(anew.journeys.end());
        loop {
            let begun = Instant::now();
            let some = next_of(&mut records)?;
            fold(&mut anew, &some, &self.shop);
            if some.len() < AT_ONCE {
                break;
            }
            if !self.rest(begun) {
                return Ok(false);
            }
        }
        // who catches up goes on from where they began
        let mut checkpointed = self
            .checkpointed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // what is kept is of the groups before
        *checkpointed = 0;
        // what was erased meanwhile shows in the epoch: the next question counts anew
        *self.write() = anew;
        Ok(true)
    }

    /// Writes a checkpoint of the counters as they are now.
    pub(super) fn checkpoint(&self) -> std::io::Result<()> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(());
        };
        let (kept, position, epoch) = {
            let mut followed = self.write();
            let kept = Kept {
                grouping: Grouping::clone(&followed.grouping),
                grouped: followed.grouped,
                journeys: followed.journeys.encode(),
            };
            (kept, followed.journeys.end(), followed.epoch)
        };
        // somebody was erased meanwhile: what was folded may hold them
        if epoch != self.shop.journal.epoch() || position.0 == 0 {
            return Ok(());
        }
        let bytes = postcard::to_stdvec(&kept).map_err(std::io::Error::other)?;
        checkpoints.save(&Checkpoint {
            position,
            epoch,
            schema: self.schema(),
            bytes,
        })?;
        *self
            .checkpointed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = position.0;
        Ok(())
    }

    fn clear(&self) {
        if let Some(checkpoints) = &self.checkpoints
            && let Err(error) = checkpoints.clear()
        {
            // they are of an earlier epoch: the next start removes them
            tracing::error!(%error, "journey counters from before an erasure are still there");
        }
    }

    /// How much of the journal is counted, from 0 to 1.
    pub(super) fn progress(&self, followed: &Followed) -> f64 {
        let (done, all) = (followed.journeys.end().0, self.shop.journal.end().0);
        match all {
            0 => 1.0,
            all => (done as f64 / all as f64).min(1.0),
        }
    }
}

/// The journal, read on from step to step.
struct Reading<'a> {
    records: Records<'a>,
    /// The position of the next record.
    next: Position,
    epoch: u64,
}

/// The next records, at most [`AT_ONCE`].
fn next_of(
    records: &mut impl Iterator<Item = Result<(Position, Record), JournalError>>,
) -> Result<Vec<Record>, JournalError> {
    let some = records.by_ref().take(AT_ONCE);
    some.map(|read| read.map(|(_, record)| record)).collect()
}

fn fold(followed: &mut Followed, records: &[Record], shop: &Shop) {
    let grouping = followed.grouping.clone();
    let lookup = Lookup {
        grouping: &grouping,
        policy: shop.settings.offers,
    };
    for record in records {
        followed.journeys.apply(record, &lookup);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::recipes::Recipes;
    use crate::application::shop::{Clock, OfferPolicy, ShopSettings};
    use crate::domain::{EventDraft, RecordBody};
    use crate::state::FoldSettings;
    use crate::store::{Journal as _, MemoryJournal, SigningKey};

    const RECORDS: u64 = 1_200;

    fn keeper() -> Keeper {
        let journal = MemoryJournal::new();
        let now = Timestamp::from_ms(1_767_225_600_000);
        for number in 0..RECORDS {
            let draft = EventDraft {
                event_id: &number.to_string(),
                event_type: "page_view",
                time: Some(Ok(now)),
                customer_id: "anna",
                ..EventDraft::default()
            };
            let event = draft.check(Timestamp::MAX, |_| 0).unwrap();
            let body = RecordBody::Event(Box::new(event));
            let recorded_at = now;
            journal.append(&[Record { recorded_at, body }]).unwrap();
        }
        let recipes = Recipes::embedded().unwrap();
        let settings = ShopSettings {
            fold: FoldSettings {
                journey: recipes.journey,
                visitor_idle_days: 90,
            },
            recipes: Vec::new(),
            horizons_ms: Vec::new(),
            segments: Vec::new(),
            offers: OfferPolicy::default(),
            decision_ms: 0,
            checkpoint_every: 1_000_000,
            write_queue: 4,
            key: SigningKey::random().unwrap(),
        };
        let (shop, _) = Shop::open(Arc::new(journal), None, Clock::fixed(now), settings).unwrap();
        Keeper::new(shop, recipes.places)
    }

    fn counted(keeper: &Keeper) -> u64 {
        keeper.read().journeys.end().0
    }

    #[test]
    fn the_background_ends_after_one_piece_when_it_is_told_to() {
        let keeper = keeper();
        keeper.stop();
        keeper.follow().unwrap();
        assert_eq!(counted(&keeper), AT_ONCE as u64);
        // whoever asks is answered all the same
        assert!(keeper.catch_up(PATIENCE * 20).unwrap());
        assert_eq!(counted(&keeper), RECORDS);
    }

    #[test]
    fn the_background_goes_on_to_the_end_when_it_is_not() {
        let keeper = keeper();
        keeper.follow().unwrap();
        assert_eq!(counted(&keeper), RECORDS);
    }
}
