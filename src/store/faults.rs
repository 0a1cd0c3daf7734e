//! A disk that fails on purpose: tests plan which step of the store fails, everybody else has none of it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A step that may be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Half of a block is written to the mirror, then the disk refuses.
    MirrorWrite,
    /// The mirror's `fdatasync`.
    MirrorSync,
    /// Taking back what a failed append left in the mirror.
    MirrorRewind,
    /// The insertion into the engine.
    EngineWrite,
    /// The engine's flush and `fdatasync`.
    EngineSync,
    /// The writing of a small file: the marker of an erasure, a manifest, a checkpoint.
    FileWrite,
    /// A rename that makes something new current.
    Rename,
    /// The removal of something old.
    Remove,
    /// An append to [`super::MemoryJournal`].
    MemoryWrite,
}

/// What a step that fails does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk is full.
    Full,
    /// The journal is poisoned; only [`super::MemoryJournal`] tells it from [`Failure::Full`].
    Poison,
}

/// Which steps fail: none, unless a test plans it. Clones share one plan.
#[derive(Debug, Clone, Default)]
pub struct Faults(Option<Arc<Mutex<Plan>>>);

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    seen: u64,
}

#[derive(Debug)]
struct Rule {
    /// Absent: every step.
    step: Option<Step>,
    /// How many such steps still succeed.
    spare: u64,
    /// How many fail after those.
    failing: u64,
    failure: Failure,
}

impl Faults {
    /// A plan without failures yet.
    #[must_use]
    pub fn planned() -> Self {
        Self(Some(Arc::default()))
    }

    /// After `spare` more steps of this kind, the next one fails, once.
    pub fn fail_once(&self, step: Step, spare: u64, failure: Failure) {
        self.add(Rule {
            step: Some(step),
            spare,
            failing: 1,
            failure,
        });
    }

    /// After `spare` more steps of any kind, all fail: to the disk it is as if the process had been killed.
    pub fn fail_all_after(&self, spare: u64) {
        self.add(Rule {
            step: None,
            spare,
            failing: u64::MAX,
            failure: Failure::Full,
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.with(|plan| plan.rules.clear());
    }

    /// How many steps there have been.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.with(|plan| plan.seen).unwrap_or_default()
    }

    fn add(&self, rule: Rule) {
        let planned = self.with(|plan| plan.rules.push(rule));
        assert!(planned.is_some(), "only Faults::planned() can fail");
    }

    fn with<T>(&self, act: impl FnOnce(&mut Plan) -> T) -> Option<T> {
        let plan = self.0.as_ref()?;
        Some(act(&mut plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    }

    /// The failure planned for this step, if any.
    pub(crate) fn strike(&self, step: Step) -> Option<Failure> {
        self.with(|plan| {
            plan.seen += 1;
            for rule in &mut plan.rules {
                if rule.step.is_some_and(|only| only != step) {
                    continue;
                }
                if rule.spare > 0 {
                    rule.spare -= 1;
                } else if rule.failing > 0 {
                    rule.failing -= 1;
                    return Some(rule.failure);
                }
            }
            None
        })?
    }

    /// An error if this step is planned to fail.
    ///
    /// # Errors
    /// `StorageFull`.
    pub(crate) fn check(&self, step: Step) -> io::Result<()> {
        match self.strike(step) {
            None => Ok(()),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("planned: {step:?}"),
            )),
        }
    }
}
