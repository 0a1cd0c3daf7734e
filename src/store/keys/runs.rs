//! Several runs as one, kept few by merging runs of like size in the background.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::domain::Fingerprint;
use crate::store::durable;
use crate::store::faults::Faults;
use crate::store::keys::run::{Entry, Merge, Run, Width};

/// So many runs of like size become one.
const FAN_IN: usize = 4;
/// With more runs than this, neighbours of unlike size are merged too, and spilling waits for it.
const MAX_RUNS: usize = 12;

/// Runs from the oldest to the newest, in one folder.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: PathBuf,
    width: Width,
    faults: Faults,
    runs: Vec<Run>,
    next_number: u64,
    merging: Option<Merging>,
    /// Files no longer part of the runs, to be removed once no manifest names them.
    unused: Vec<PathBuf>,
}

/// A merge going on: of the runs `from..to`.
#[derive(Debug)]
struct Merging {
    from: usize,
    to: usize,
    worker: JoinHandle<io::Result<Run>>,
}

impl Runs {
    /// None yet.
    pub(crate) fn empty(folder: PathBuf, width: Width, faults: Faults) -> Self {
        Self {
            folder,
            width,
            faults,
            runs: Vec::new(),
            next_number: 0,
            merging: None,
            unused: Vec::new(),
        }
    }

    /// The runs of these numbers; nothing if one is missing or damaged.
    pub(crate) fn open(
        folder: PathBuf,
        width: Width,
        faults: Faults,
        numbers: &[u64],
    ) -> io::Result<Option<Self>> {
        let mut all = Self::empty(folder, width, faults);
        for number in numbers {
            match Run::open(&all.path(*number), width)? {
                Some(run) => all.runs.push(run),
                None => return Ok(None),
            }
            all.next_number = all.next_number.max(number + 1);
        }
        Ok(Some(all))
    }

    /// The numbers of the runs, from the oldest to the newest, for a manifest.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.runs
            .iter()
            .filter_map(|run| number_of(run.path()))
            .collect()
    }

    /// How many keys, those in several runs as often as they are there.
    pub(crate) fn entries(&self) -> u64 {
        self.runs.iter().map(Run::entries).sum()
    }

    /// The newest count of a key (0 in runs without counts).
    pub(crate) fn get(&self, key: Fingerprint) -> io::Result<Option<u64>> {
        for run in self.runs.iter().rev() {
            if let Some(count) = run.get(key)? {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    /// Adds a run of entries that are sorted and have no key twice.
    pub(crate) fn add(&mut self, entries: &[Entry]) -> io::Result<()> {
        let path = self.take_path();
        let sorted = entries.iter().copied().map(Ok);
        let run = Run::write(
            &path,
            self.width,
            entries.len() as u64,
            sorted,
            &self.faults,
        )?;
        self.runs.push(run);
        Ok(())
    }

    /// Takes in a finished merge and begins the next one that is due; with `wait`, until none is due. True if the runs
    /// changed: then the manifest must be written, and [`Runs::remove_unused`] called after it.
    pub(crate) fn settle(&mut self, wait: bool) -> io::Result<bool> {
        let mut changed = false;
        loop {
            if let Some(merging) = &self.merging {
                let may_wait = wait || self.runs.len() > MAX_RUNS;
                if !may_wait && !merging.worker.is_finished() {
                    return Ok(changed);
                }
                self.adopt()?;
                changed = true;
            }
            let Some((from, to)) = self.due() else {
                return Ok(changed);
            };
            self.begin(from, to)?;
        }
    }

    fn adopt(&mut self) -> io::Result<()> {
        let Some(merging) = self.merging.take() else {
            return Ok(());
        };
        let merged = merging
            .worker
            .join()
            .map_err(|_| io::Error::other("a merge panicked"))??;
        let replaced = self.runs.splice(merging.from..merging.to, [merged]);
        self.unused
            .extend(replaced.map(|run| run.path().to_owned()));
        Ok(())
    }

    /// The newest [`FAN_IN`] neighbours of like size, or the newest ones at all if there are too many runs.
    fn due(&self) -> Option<(usize, usize)> {
        let like = |runs: &[Run]| {
            let sizes = || runs.iter().map(Run::entries);
            let (least, most) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
            most < least.saturating_mul(FAN_IN as u64)
        };
        let newest = self.runs.len().saturating_sub(FAN_IN);
        let crowded = (self.runs.len() > MAX_RUNS).then_some(newest);
        let from = self.runs.windows(FAN_IN).rposition(like).or(crowded)?;
        Some((from, from + FAN_IN))
    }

    fn begin(&mut self, from: usize, to: usize) -> io::Result<()> {
        let inputs = &self.runs[from..to];
        let at_most = inputs.iter().map(Run::entries).sum();
        let inputs = inputs
            .iter()
            .map(Run::iter)
            .collect::<io::Result<Vec<_>>>()?;
        let (path, width, faults) = (self.take_path(), self.width, self.faults.clone());
        let merge = move || Run::write(&path, width, at_most, Merge::new(inputs)?, &faults);
        let worker = std::thread::Builder::new()
            .name("key-merge".to_owned())
            .spawn(merge)?;
        self.merging = Some(Merging { from, to, worker });
        Ok(())
    }

    /// Removes the files of runs that were merged away; what cannot be removed now is tried again.
    pub(crate) fn remove_unused(&mut self) {
        self.unused
            .retain(|path| durable::remove(path, &Faults::default()).is_err());
    }

    /// Removes every file in the folder that belongs to no run: left by a killed process.
    pub(crate) fn remove_strangers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_run = path.extension().is_some_and(|extension| extension == "run");
            let is_temp = path.extension().is_some_and(|extension| extension == "new");
            if is_temp || (is_run && self.runs.iter().all(|run| run.path() != path)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:010}.run"))
    }

    fn take_path(&mut self) -> PathBuf {
        let number = self.next_number;
        self.next_number += 1;
        self.path(number)
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(merging) = self.merging.take() {
            // its file would otherwise appear in a folder that somebody else may be using by then
            let _ = merging.worker.join();
        }
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}
