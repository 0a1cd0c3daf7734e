//! `policy_log.csv`: what a logging policy showed, with which chance, and what it earned.

use std::collections::HashMap;
use std::path::Path;

use super::FileError;
use super::table::{Found, Table, number};
use crate::algorithms::policy::{
    LoggedDecision, MAX_ACTIONS, MAX_POSITIONS, MAX_REWARD, MIN_PROPENSITY, TOLERANCE,
};
use crate::application::import::{Refusal, RowError};
use crate::domain::id::{MAX_ID_BYTES, check};
use crate::domain::{FaultCode, Faults};

/// The most rows of a log; they are held in memory.
pub const MAX_LOG_ROWS: usize = 1_000_000;
/// The most probabilities of a log that gives them for every action.
const MAX_PROBABILITIES: usize = 20_000_000;
/// So many refused rows are kept to be shown; all are counted.
const MAX_REFUSED_KEPT: usize = 1_000;

const COLUMNS: [&str; 5] = ["action", "position", "propensity", "reward", TARGET];
const NEEDED: [&[&str]; 3] = [&["action"], &["propensity"], &["reward"]];
const TARGET: &str = "target_probability";
const TARGET_OF: &str = "target_probability_";
const CONTEXT: &str = "context_";

/// Refused rows: the first of them, and how many.
#[derive(Debug, Default)]
pub struct Refused {
    /// The first ones.
    pub first: Vec<Refusal>,
    /// All.
    pub count: usize,
}

impl Refused {
    pub(super) fn add(&mut self, refusal: Refusal) {
        self.count += 1;
        if self.first.len() < MAX_REFUSED_KEPT {
            self.first.push(refusal);
        }
    }
}

/// Names by number, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, u32>);

impl Names {
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.0.get(name) {
            return number;
        }
        let number = self.0.len() as u32;
        self.0.insert(name.into(), number);
        number
    }

    pub(super) fn get(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names, by number.
    pub(super) fn into_names(self) -> Vec<String> {
        let mut names: Vec<(u32, Box<str>)> = self
            .0
            .into_iter()
            .map(|(name, number)| (number, name))
            .collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name.into()).collect()
    }
}

/// What the file says of the target policy.
#[derive(Debug, PartialEq)]
pub enum TargetColumns {
    /// Nothing.
    None,
    /// The column `target_probability`: of each decision, the chance of what was shown.
    Own(Vec<f64>),
    /// Columns `target_probability_…`: of each decision, the chances of the actions 0, 1, …, so many.
    All(Vec<f64>, usize),
}

/// A log.
#[derive(Debug)]
pub struct PolicyLog {
    /// The decisions that can be judged.
    pub decisions: Vec<LoggedDecision>,
    /// What it says of the target.
    pub target: TargetColumns,
    /// Columns of the context.
    pub contexts: Vec<String>,
    /// Columns nobody reads.
    pub ignored: Vec<String>,
    /// Rows that were refused.
    pub refused: Refused,
    actions: Names,
    positions: Names,
}

impl PolicyLog {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`]; among them more rows, actions or positions than are taken.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::read_at_most(path, MAX_LOG_ROWS)
    }

    /// How many different actions it and all of its targets name.
    #[must_use]
    pub fn actions(&self) -> usize {
        self.actions.len()
    }

    /// How many different positions it and all of its targets name.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.positions.len()
    }

    fn read_at_most(path: &Path, limit: usize) -> Result<Self, FileError> {
        let mut table = Table::open(path, &["action", "propensity", "reward"])?;
        let found = table.find(COLUMNS, &NEEDED)?;
        let header = table.header().to_vec();
        let starting = |prefix: &str| -> Vec<usize> {
            let is_one = |&place: &usize| {
                header[place]
                    .strip_prefix(prefix)
                    .is_some_and(|rest| !rest.is_empty())
            };
            (0..header.len()).filter(is_one).collect()
        };
        let (context, targets) = (starting(CONTEXT), starting(TARGET_OF));
        let mut actions = Names::default();
        for &place in &targets {
            actions.number(&header[place][TARGET_OF.len()..]);
        }
        let limit = limit.min(MAX_PROBABILITIES / targets.len().max(1));
        let is_ignored = |place: &usize| {
            !COLUMNS.contains(&&*header[*place])
                && !context.contains(place)
                && !targets.contains(place)
        };
        let mut reader = Reader {
            log: Self {
                decisions: Vec::new(),
                target: if !targets.is_empty() {
                    TargetColumns::All(Vec::new(), targets.len())
                } else if found.0[4].is_some() {
                    TargetColumns::Own(Vec::new())
                } else {
                    TargetColumns::None
                },
                contexts: context.iter().map(|&place| header[place].clone()).collect(),
                ignored: (0..header.len())
                    .filter(is_ignored)
                    .map(|place| header[place].clone())
                    .collect(),
                refused: Refused::default(),
                actions,
                positions: Names::default(),
            },
            values: context.iter().map(|_| Names::default()).collect(),
            found,
            context,
            targets,
        };
        let mut rows = 0;
        while let Some(row) = table.next_row() {
            rows += 1;
            let path = path.to_owned();
            if rows > limit {
                return Err(FileError::TooManyRows { path, limit });
            }
            match row.and_then(|line| reader.take(&table, line)) {
                Ok(()) => {}
                Err(RowError::Refused(refusal)) => reader.log.refused.add(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable { path, source });
                }
            }
            bounded(&path, &reader.log.actions, &reader.log.positions)?;
        }
        Ok(reader.log)
    }
}

fn bounded(path: &Path, actions: &Names, positions: &Names) -> Result<(), FileError> {
    let bounds = [
        ("actions", actions.len(), MAX_ACTIONS),
        ("positions", positions.len(), MAX_POSITIONS),
    ];
    match bounds.into_iter().find(|(_, count, limit)| count > limit) {
        None => Ok(()),
        Some((what, _, limit)) => Err(FileError::TooMany {
            path: path.to_owned(),
            what,
            limit,
        }),
    }
}

struct Reader {
    log: PolicyLog,
    found: Found<5>,
    /// The places of the columns of the context, and the values of each.
    context: Vec<usize>,
    values: Vec<Names>,
    /// The places of `target_probability_…`.
    targets: Vec<usize>,
}

/// A number that must be there and within bounds.
fn bounded_number(
    cell: &str,
    low: f64,
    high: f64,
    bounds: &str,
) -> Result<f64, (FaultCode, String)> {
    match number(cell) {
        None => Err((FaultCode::Required, "must be given".to_owned())),
        Some(Err(fault)) => Err(fault),
        Some(Ok(value)) if value.is_nan() => {
            Err((FaultCode::NotANumber, "not a number".to_owned()))
        }
        Some(Ok(value)) if !(low..=high).contains(&value) => {
            Err((FaultCode::OutOfRange, format!("must be {bounds}")))
        }
        Some(Ok(value)) => Ok(value),
    }
}

fn probability(cell: &str) -> Result<f64, (FaultCode, String)> {
    bounded_number(cell, 0.0, 1.0, "from 0 to 1")
}

fn reward(cell: &str) -> Result<f64, (FaultCode, String)> {
    bounded_number(
        cell,
        -MAX_REWARD,
        MAX_REWARD,
        &format!("from {} to {MAX_REWARD}", -MAX_REWARD),
    )
}

/// A position is an id, or absent: a log may have but one.
fn check_position(position: &str) -> Result<(), (FaultCode, String)> {
    if position.is_empty() {
        return Ok(());
    }
    check(position, MAX_ID_BYTES).map(|_| ())
}

impl Reader {
    fn take(&mut self, table: &Table, line: u64) -> Result<(), RowError> {
        let mut faults = Faults::new();
        let cell = |place: usize| table.cell(self.found.0[place]).trim();
        let (action, position) = (cell(0), cell(1));
        faults.take("action", check(action, MAX_ID_BYTES));
        faults.take("position", check_position(position));
        let bounds = format!("at least {MIN_PROPENSITY:e} and at most 1");
        let propensity = faults.take(
            "propensity",
            bounded_number(cell(2), MIN_PROPENSITY, 1.0, &bounds),
        );
        let reward = faults.take("reward", reward(cell(3)));
        let own = self.found.0[4].and_then(|_| faults.take(TARGET, probability(cell(4))));
        let all = self.target_of(table, action, own, &mut faults);
        let mut context = Vec::with_capacity(self.context.len());
        for (&place, values) in self.context.iter().zip(&mut self.values) {
            let value = table.cell(Some(place)).trim();
            if value.len() > MAX_ID_BYTES {
                let reason = format!("longer than {MAX_ID_BYTES} bytes");
                faults.add(table.header()[place].clone(), FaultCode::TooLong, reason);
            } else if faults.is_empty() {
                context.push(values.number(value));
            }
        }
        let (Some(propensity), Some(reward), true) = (propensity, reward, faults.is_empty()) else {
            return Err(table.refuse(line, &faults));
        };
        match &mut self.log.target {
            TargetColumns::None => {}
            TargetColumns::Own(chances) => chances.extend(own),
            TargetColumns::All(chances, _) => chances.extend(all),
        }
        self.log.decisions.push(LoggedDecision {
            context: context.into(),
            action: self.log.actions.number(action),
            position: self.log.positions.number(position),
            propensity,
            reward,
        });
        Ok(())
    }

    /// The chances of all actions, which must sum to 1 and say the same of the own action as `own`.
    fn target_of(
        &self,
        table: &Table,
        action: &str,
        own: Option<f64>,
        faults: &mut Faults,
    ) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.targets.len());
        for &place in &self.targets {
            let name = &table.header()[place];
            all.extend(faults.take(name, probability(table.cell(Some(place)))));
        }
        if all.is_empty() || all.len() < self.targets.len() {
            return all;
        }
        let sum: f64 = all.iter().sum();
        if (sum - 1.0).abs() > TOLERANCE {
            let reason = format!("the target's probabilities of the row sum to {sum}, not to 1");
            faults.add(
                &table.header()[self.targets[0]],
                FaultCode::OutOfRange,
                reason,
            );
        }
        let number = self.log.actions.get(action).map(|number| number as usize);
        let said = number
            .and_then(|number| all.get(number))
            .copied()
            .unwrap_or(0.0);
        if own.is_some_and(|own| (own - said).abs() > TOLERANCE) {
            let reason = format!("not what the column of the action says, {said}");
            faults.add(TARGET, FaultCode::NotAllowed, reason);
        }
        all
    }
}

/// What another policy showed in its own log.
#[derive(Debug, Default)]
pub struct Shown {
    /// (position, action), numbered as in the log that is judged.
    pub shown: Vec<(u32, u32)>,
    /// What it earned, where the file says.
    pub rewards: Option<Vec<f64>>,
    /// Rows that were refused.
    pub refused: Refused,
}

impl Shown {
    /// Reads a file: `action` is needed, `position` and `reward` are read where they are. Actions and positions that
    /// `log` does not have are added to its names.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path, log: &mut PolicyLog) -> Result<Self, FileError> {
        let mut table = Table::open(path, &["action"])?;
        let found = table.find(["action", "position", "reward"], &[&["action"]])?;
        let mut target = Self {
            rewards: found.0[2].map(|_| Vec::new()),
            ..Self::default()
        };
        let mut rows = 0;
        while let Some(row) = table.next_row() {
            rows += 1;
            let (path, limit) = (path.to_owned(), MAX_LOG_ROWS);
            if rows > limit {
                return Err(FileError::TooManyRows { path, limit });
            }
            match row.and_then(|line| target.take(&table, &found, line, log)) {
                Ok(()) => {}
                Err(RowError::Refused(refusal)) => target.refused.add(refusal),
                Err(RowError::Unreadable(source)) => {
                    return Err(FileError::Unreadable { path, source });
                }
            }
            bounded(&path, &log.actions, &log.positions)?;
        }
        Ok(target)
    }

    fn take(
        &mut self,
        table: &Table,
        found: &Found<3>,
        line: u64,
        log: &mut PolicyLog,
    ) -> Result<(), RowError> {
        let mut faults = Faults::new();
        let cell = |place: usize| table.cell(found.0[place]).trim();
        let (action, position) = (cell(0), cell(1));
        faults.take("action", check(action, MAX_ID_BYTES));
        faults.take("position", check_position(position));
        let earned = self
            .rewards
            .as_ref()
            .and_then(|_| faults.take("reward", reward(cell(2))));
        if !faults.is_empty() {
            return Err(table.refuse(line, &faults));
        }
        self.shown
            .push((log.positions.number(position), log.actions.number(action)));
        if let Some(rewards) = &mut self.rewards {
            rewards.extend(earned);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PolicyLog, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        std::fs::write(&path, text).unwrap();
        PolicyLog::read_at_most(&path, 20)
    }

    fn refused(log: &PolicyLog) -> Vec<(u64, &str, FaultCode)> {
        let rows = log.refused.first.iter();
        rows.map(|row| (row.line, &*row.column, row.code)).collect()
    }

    #[test]
    fn rows_that_cannot_be_judged_are_refused_each() {
        let log = read(
            "reward,propensity,action,position,context_a,other\n\
             1,0.5,x,1,u,\n0,0,x,1,u,\n0,NaN,x,1,u,\n0,1.1,x,1,u,\n0,inf,x,1,u,\n0,1e-10,x,1,u,\n0,,x,1,u,\n\
             inf,0.5,x,1,u,\n,0.5,x,1,u,\n0,0.5,,1,u,\n0,half,,1,u,\n0,1e-9,y,,,\n-3.5,1,x,2,v,\n",
        )
        .unwrap();
        use FaultCode::{NotANumber, OutOfRange, Required};
        assert_eq!(
            refused(&log),
            [
                (3, "propensity", OutOfRange),
                (4, "propensity", NotANumber),
                (5, "propensity", OutOfRange),
                (6, "propensity", OutOfRange),
                (7, "propensity", OutOfRange),
                (8, "propensity", Required),
                (9, "reward", OutOfRange),
                (10, "reward", Required),
                (11, "action", Required),
                (12, "action", Required),
            ]
        );
        assert_eq!(log.refused.count, 10);
        let places: Vec<_> = log
            .decisions
            .iter()
            .map(|d| (d.action, d.position, d.context[0]))
            .collect();
        assert_eq!(places, [(0, 0, 0), (1, 1, 1), (0, 2, 2)]);
        assert_eq!(
            (log.ignored.as_slice(), log.contexts.as_slice()),
            (&["other".to_owned()][..], &["context_a".to_owned()][..])
        );
        assert_eq!(log.target, TargetColumns::None);
    }

    #[test]
    fn a_target_may_stand_in_the_log() {
        let log = read(
            "action,propensity,reward,target_probability\nx,0.5,1,0.25\nx,0.5,1,\nx,0.5,1,1.5\n",
        )
        .unwrap();
        assert_eq!(log.target, TargetColumns::Own(vec![0.25]));
        assert_eq!(refused(&log).len(), 2);
        let log = read(
            "action,propensity,reward,target_probability,target_probability_x,target_probability_y\n\
             x,0.5,1,0.25,0.25,0.75\nz,0.5,1,0,0.25,0.75\nx,0.5,1,0.75,0.25,0.75\nx,0.5,1,0.25,0.25,0.7\n",
        )
        .unwrap();
        assert_eq!(
            log.target,
            TargetColumns::All(vec![0.25, 0.75, 0.25, 0.75], 2)
        );
        assert_eq!(
            refused(&log),
            [
                (4, TARGET, FaultCode::NotAllowed),
                (5, "target_probability_x", FaultCode::OutOfRange)
            ]
        );
        assert_eq!(
            log.decisions[1].action, 2,
            "an action the target never shows"
        );
    }

    #[test]
    fn files_that_are_no_logs_are_refused_whole() {
        assert!(matches!(read(""), Err(FileError::Empty { .. })));
        assert!(matches!(
            read("action,reward\nx,1\n"),
            Err(FileError::Header { .. })
        ));
        assert!(
            read("action,propensity,reward\n")
                .unwrap()
                .decisions
                .is_empty()
        );
        let many = format!("action,propensity,reward\n{}", "x,1,0\n".repeat(21));
        assert!(matches!(
            read(&many),
            Err(FileError::TooManyRows { limit: 20, .. })
        ));
        let bounds = |actions: usize, positions: usize| {
            let names = |count: usize| {
                let mut names = Names::default();
                (0..count).for_each(|name| _ = names.number(&name.to_string()));
                names
            };
            bounded(Path::new("log.csv"), &names(actions), &names(positions))
        };
        assert!(bounds(MAX_ACTIONS, MAX_POSITIONS).is_ok());
        for (actions, positions) in [(MAX_ACTIONS + 1, 1), (1, MAX_POSITIONS + 1)] {
            assert!(matches!(
                bounds(actions, positions),
                Err(FileError::TooMany { .. })
            ));
        }
    }
}
