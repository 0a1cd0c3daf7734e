//! The shop as it is known now: the journal, its fold, the recipes and the live model. What every use case shares.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::application::error::AppError;
use crate::application::expression::Compiled;
use crate::application::model::{FeatureMask, Model};
use crate::application::personas::{LivePersonas, Revision};
use crate::application::recipes::Segment;
use crate::application::similar::SimilarCustomers;
use crate::domain::time::DAY_MS;
use crate::domain::{Fingerprint, Position, Recipe, Record, Timestamp};
use crate::state::relations::Relations;
use crate::state::tuning::Tuning;
use crate::state::{FoldSettings, State};
use crate::store::{
    Checkpoint, Checkpoints, Ignored, IgnoredReason, Journal, JournalError, Loaded, SigningKey,
};

/// How many records are folded under one hold of the lock, so that answers never wait long.
const FOLD_AT_ONCE: usize = 256;
/// How many products are worked out anew while writing waits.
const REFRESH_AT_ONCE: usize = 32;

/// Tells the time; a value, so that tests can say what time it is.
#[derive(Clone)]
pub struct Clock(Hand);

#[derive(Clone)]
enum Hand {
    Told(Arc<dyn Fn() -> Timestamp + Send + Sync>),
    /// The newest moment of any event, in milliseconds.
    Events(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::telling(|| {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// A clock that stands where the events are: now is the newest moment of any event that was taken in, for
    /// simulations and replays. It never goes back.
    #[must_use]
    pub fn events() -> Self {
        Self(Hand::Events(Arc::new(AtomicI64::new(Timestamp::MIN.ms()))))
    }

    /// A clock of one's own.
    #[must_use]
    pub fn telling(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Hand::Told(Arc::new(tell)))
    }

    /// A clock that always says `now`.
    #[must_use]
    pub fn fixed(now: Timestamp) -> Self {
        Self::telling(move || now)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hand::Told(tell) => tell(),
            Hand::Events(newest) => Timestamp::from_ms(newest.load(Ordering::Acquire)),
        }
    }

    /// The moment that what is said to have happened may not be far ahead of: now, or whenever it likes where the time
    /// follows the events.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        match &self.0 {
            Hand::Told(_) => self.now(),
            Hand::Events(_) => Timestamp::MAX,
        }
    }

    /// The time, or `earliest` if the clock was set back behind it. A clock of the events is not: what was taken in
    /// before by another clock says nothing of its time.
    #[must_use]
    pub fn not_before(&self, earliest: Timestamp) -> Timestamp {
        match &self.0 {
            Hand::Told(_) => self.now().max(earliest),
            Hand::Events(_) => self.now(),
        }
    }

    /// Hears of the newest moment of any event.
    fn hear(&self, newest: Timestamp) {
        if let Hand::Events(known) = &self.0 {
            known.fetch_max(newest.ms(), Ordering::AcqRel);
        }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// How offers are reserved, and who gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferPolicy {
    /// Of a thousand people so many never get an offer.
    pub holdout_per_mille: u32,
    /// Who they are follows from it.
    pub holdout_seed: u64,
    /// How long a reservation holds, in milliseconds.
    pub reservation_ms: i64,
}

impl OfferPolicy {
    /// Whether somebody never gets an offer; `kind` is `customer` or `visitor`.
    #[must_use]
    pub fn holds_out(&self, kind: &str, id: &str) -> bool {
        let seed = self.holdout_seed.to_le_bytes();
        let parts = [&seed[..], kind.as_bytes(), id.as_bytes()];
        let drawn = Fingerprint::of("offer holdout", &parts).as_u128() % 1_000;
        drawn < u128::from(self.holdout_per_mille)
    }
}

impl Default for OfferPolicy {
    /// Nobody is held out; reservations hold for a week.
    fn default() -> Self {
        Self {
            holdout_per_mille: 0,
            holdout_seed: 1,
            reservation_ms: 7 * DAY_MS,
        }
    }
}

/// How the shop works.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// How to fold.
    pub fold: FoldSettings,
    /// The recipes, by stage.
    pub recipes: Vec<Recipe>,
    /// After how long without anything somebody has left a stage, in milliseconds, by stage.
    pub horizons_ms: Vec<i64>,
    /// The segments that offers may name.
    pub segments: Vec<Segment>,
    /// How offers are reserved, and who gets none.
    pub offers: OfferPolicy,
    /// How long an answer stands that was given under a key, in milliseconds.
    pub decision_ms: i64,
    /// After so many new records State is checkpointed.
    pub checkpoint_every: u64,
    /// How many batches may wait to be written.
    pub write_queue: usize,
    /// What attribution tokens are signed with.
    pub key: SigningKey,
}

/// State, and what is worked out from it.
#[derive(Debug)]
pub struct Known {
    /// The fold of the journal.
    pub state: State,
    /// What goes with what; kept current by [`Shop::refresh_relations`].
    pub relations: Arc<Relations>,
}

/// The model that is live.
#[derive(Debug)]
pub struct Live {
    /// Its revision.
    pub id: String,
    /// The model.
    pub model: Model,
}

/// What every use case shares.
pub struct Shop {
    /// What happened.
    pub journal: Arc<dyn Journal>,
    /// Where State is kept for a quick start; absent: nowhere.
    pub checkpoints: Option<Checkpoints>,
    /// The time.
    pub clock: Clock,
    /// How it works.
    pub settings: ShopSettings,
    /// Which features each recipe lets the ranker use, by stage.
    pub masks: Vec<FeatureMask>,
    /// The expressions of eligibility, compiled.
    pub eligibility: Compiled,
    /// What similar customers buy.
    pub similar: SimilarCustomers,
    /// The kinds of customers, while they are known.
    pub personas: LivePersonas,
    known: RwLock<Known>,
    live: ArcSwapOption<Live>,
    ready: watch::Sender<bool>,
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shop")
            .field("end", &self.journal.end())
            .finish_non_exhaustive()
    }
}

/// How State came to be at the start.
#[derive(Debug)]
pub struct Opened {
    /// The position of the checkpoint that was used.
    pub checkpoint: Option<Position>,
    /// Checkpoints that were not, and why.
    pub ignored: Vec<Ignored>,
    /// How many records were folded.
    pub folded: u64,
}

impl Shop {
    /// Opens the shop: loads the newest checkpoint and folds the rest of the journal.
    ///
    /// # Errors
    /// Those of the journal.
    pub fn open(
        journal: Arc<dyn Journal>,
        checkpoints: Option<Checkpoints>,
        clock: Clock,
        settings: ShopSettings,
    ) -> Result<(Arc<Self>, Opened), JournalError> {
        let (state, opened) = fold(&*journal, checkpoints.as_ref(), &settings.fold)?;
        clock.hear(state.newest());
        let relations = Arc::new(Relations::of(&state, &Tuning::default()));
        let masks = settings.recipes.iter().map(FeatureMask::of).collect();
        let shop = Self {
            journal,
            checkpoints,
            clock,
            settings,
            masks,
            eligibility: Compiled::default(),
            similar: SimilarCustomers::default(),
            personas: LivePersonas::default(),
            known: RwLock::new(Known { state, relations }),
            live: ArcSwapOption::empty(),
            ready: watch::Sender::new(false),
        };
        Ok((Arc::new(shop), opened))
    }

    /// What is known. Hold it briefly: writing waits for it.
    pub fn known(&self) -> RwLockReadGuard<'_, Known> {
        // folding cannot fail, so State is whole even if a reader panicked
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, unless one would have to wait for it.
    pub fn try_known(&self) -> Option<RwLockReadGuard<'_, Known>> {
        match self.known.try_read() {
            Ok(known) => Some(known),
            // as for `known`
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds records that have just become durable, from position `first` on.
    pub fn fold(&self, first: Position, records: &[Record]) {
        let mut position = first;
        for some in records.chunks(FOLD_AT_ONCE) {
            let mut known = self.known_mut();
            for record in some {
                // a State that was folded anew meanwhile may hold it already
                if known.state.end() == position {
                    known.state.apply(record);
                }
                position = position.plus(1);
            }
            self.clock.hear(known.state.newest());
        }
    }

    /// Forgets a customer at once; [`Shop::fold_anew`] does the rest.
    pub fn forget(&self, customer: &crate::domain::CustomerId) {
        self.known_mut().state.forget(customer);
        self.similar.clear();
    }

    /// Folds the whole journal anew, as after an erasure, and replaces State.
    ///
    /// # Errors
    /// Those of the journal; State stays as it is then.
    pub fn fold_anew(&self) -> Result<(), JournalError> {
        let mut state = State::new(self.settings.fold.clone());
        fold_rest(&*self.journal, &mut state)?;
        let mut relations = Relations::new(&self.tuning());
        let personas = self.personas.get();
        relations.tell_by(personas.as_ref().map(|live| &live.personas.teller));
        relations.refresh(&state);
        let relations = Arc::new(relations);
        let mut known = self.known_mut();
        // what was written meanwhile
        fold_rest(&*self.journal, &mut state)?;
        *known = Known { state, relations };
        self.similar.clear();
        Ok(())
    }

    /// Works out anew what goes with what, where enough has changed since. Returns whether anything had.
    pub fn refresh_relations(&self) -> bool {
        let tuning = self.tuning();
        let personas = self.personas.get();
        let teller = personas.as_ref().map(|live| &live.personas.teller);
        let (before, texts) = {
            let known = self.known();
            let is_told = known.relations.by_persona().is_told_by(teller);
            if is_told && !known.relations.is_stale(&known.state, &tuning) {
                return false;
            }
            (
                known.relations.clone(),
                known.relations.changed_texts(&known.state),
            )
        };
        let mut relations = Relations::clone(&before);
        relations.tune(&tuning);
        relations.tell_by(teller);
        if let Some((version, texts)) = texts {
            relations.read(version, &texts);
        }
        loop {
            // writing waits while State is read, so only a part at a time
            let known = self.known();
            let is_same = Arc::ptr_eq(&known.relations, &before);
            if !is_same || relations.refresh_some(&known.state, REFRESH_AT_ONCE) == 0 {
                break;
            }
        }
        let mut known = self.known_mut();
        // the products of a State that was folded anew meanwhile may have other numbers
        let is_same = Arc::ptr_eq(&known.relations, &before);
        if is_same {
            known.relations = Arc::new(relations);
        }
        is_same
    }

    /// Writes a checkpoint of State as it is now. Answers go on; writing waits while State is encoded.
    ///
    /// # Errors
    /// The disk's.
    pub fn checkpoint_now(&self) -> std::io::Result<()> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(());
        };
        let epoch = self.journal.epoch();
        let (position, bytes) = {
            let known = self.known();
            (known.state.end(), known.state.encode())
        };
        self.save(
            checkpoints,
            &Checkpoint {
                position,
                epoch,
                schema: self.schema(),
                bytes,
            },
        )
    }

    /// Writes a checkpoint without holding anything up: folds the rest of the journal onto the last checkpoint.
    ///
    /// # Errors
    /// Those of the journal and the disk.
    pub fn checkpoint_aside(&self) -> Result<(), JournalError> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(());
        };
        let epoch = self.journal.epoch();
        let (state, _) = fold(&*self.journal, Some(checkpoints), &self.settings.fold)?;
        let (position, bytes) = (state.end(), state.encode());
        drop(state);
        self.save(
            checkpoints,
            &Checkpoint {
                position,
                epoch,
                schema: self.schema(),
                bytes,
            },
        )?;
        Ok(())
    }

    fn save(&self, checkpoints: &Checkpoints, checkpoint: &Checkpoint) -> std::io::Result<()> {
        // somebody was erased meanwhile: what was folded may hold them
        if checkpoint.epoch != self.journal.epoch() {
            return Ok(());
        }
        checkpoints.save(checkpoint)
    }

    fn schema(&self) -> crate::domain::Fingerprint {
        self.settings.fold.schema()
    }

    /// The model that is live.
    #[must_use]
    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// What the live model tunes the sources by.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.live
            .load()
            .as_ref()
            .map_or_else(Tuning::default, |live| live.model.tuning())
    }

    /// Makes a model live, or none.
    pub fn set_live(&self, live: Option<Live>) {
        let personas = live.as_ref().and_then(|live| {
            let part = live.model.personas.as_ref()?;
            Some(Revision {
                id: part.origin.clone().unwrap_or_else(|| live.id.clone()),
                personas: part.fitted.clone(),
            })
        });
        self.personas.put(personas);
        self.live.store(live.map(Arc::new));
        self.similar.clear();
    }

    /// The names of the stages, in order.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        self.settings
            .recipes
            .iter()
            .map(|recipe| recipe.stage.clone())
            .collect()
    }

    /// Says whether questions can be answered.
    pub fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// Whether questions can be answered, as it changes.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// An error unless questions can be answered.
    ///
    /// # Errors
    /// `NotReady`.
    pub fn check_ready(&self) -> Result<(), AppError> {
        if *self.ready.borrow() {
            Ok(())
        } else {
            Err(AppError::NotReady)
        }
    }
}

/// State from the newest checkpoint and the rest of the journal.
fn fold(
    journal: &dyn Journal,
    checkpoints: Option<&Checkpoints>,
    settings: &FoldSettings,
) -> Result<(State, Opened), JournalError> {
    let (kept, ignored) = checkpoints.map_or_else(Default::default, |checkpoints| {
        let loaded = checkpoints.load(journal.epoch(), settings.schema(), journal.end());
        decode(checkpoints, loaded)
    });
    for Ignored { path, reason } in &ignored {
        let path = path.display();
        if reason.is_expected() {
            tracing::info!(%path, %reason, "a checkpoint is not used");
        } else {
            tracing::warn!(%path, %reason, "a checkpoint cannot be used: more of the journal is folded");
        }
    }
    let checkpoint = kept.as_ref().map(State::end);
    let mut state = kept.unwrap_or_else(|| State::new(settings.clone()));
    let folded = fold_rest(journal, &mut state)?;
    Ok((
        state,
        Opened {
            checkpoint,
            ignored,
            folded,
        },
    ))
}

/// State of the checkpoint that was loaded, and every checkpoint that is of no use.
fn decode(checkpoints: &Checkpoints, loaded: Loaded) -> (Option<State>, Vec<Ignored>) {
    let mut ignored = loaded.ignored;
    let state = loaded
        .checkpoint
        .and_then(|kept| match State::decode(&kept.bytes) {
            Ok(state) => Some(state),
            Err(error) => {
                ignored.push(Ignored {
                    path: checkpoints.path(kept.position, kept.epoch),
                    reason: IgnoredReason::NoState(error.to_string()),
                });
                None
            }
        });
    (state, ignored)
}

/// Folds the records that are not folded in yet; returns how many.
fn fold_rest(journal: &dyn Journal, state: &mut State) -> Result<u64, JournalError> {
    let mut folded = 0;
    for record in journal.read_from(state.end()) {
        let (_, record) = record?;
        state.apply(&record);
        folded += 1;
    }
    Ok(folded)
}
