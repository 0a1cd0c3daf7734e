//! Which event keys the journal has: exact, in flat memory.
//!
//! New keys are in a bounded set in memory. When it is full it becomes a sorted, immutable file (a `run::Run`), and
//! runs of like size are merged in the background. A manifest says up to which block the runs know the keys; those of
//! the blocks after it are put in again when the journal is opened. The files can always be made anew from the blocks.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::{Fingerprint, Position};
use crate::store::block::Checksum;
use crate::store::faults::Faults;
use crate::store::sealed::{self, Sealed};

pub(crate) mod bloom;
pub(crate) mod repetition;
pub(crate) mod run;
pub(crate) mod runs;

pub use repetition::RepetitionCounter;

use run::Width;
use runs::Runs;

/// How many keys wait in memory (about 20 bytes each) unless the options say otherwise.
pub const DEFAULT_KEY_BUFFER: usize = 1_000_000;

const MANIFEST_MAGIC: [u8; 8] = *b"nbkeyset";

/// Up to where the files know the keys: the end of a block, and that block's original checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Covered {
    /// The position after the last record whose key is in the files.
    pub(crate) end: Position,
    /// The original checksum of the block that ends there; zeros if `end` is 0.
    pub(crate) checksum: Checksum,
}

/// What opening the files of a set found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyFiles {
    /// They are sound, or there are none because nothing was spilled yet.
    Sound,
    /// They are not what was written; the set begins empty.
    Damaged(&'static str),
}

/// An exact set of event keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    folder: PathBuf,
    faults: Faults,
    buffer: HashSet<Fingerprint, foldhash::fast::RandomState>,
    limit: usize,
    /// The buffer's size at which the next spill is tried; grows after a failed one.
    spill_at: usize,
    runs: Runs,
    covered: Covered,
}

impl KeySet {
    /// Opens the set in `folder`, which is made if it is not there. Keys from [`KeySet::covered`] on must be put in.
    pub(crate) fn open(
        folder: &Path,
        limit: usize,
        faults: &Faults,
    ) -> io::Result<(Self, KeyFiles)> {
        fs::create_dir_all(folder)?;
        let mut set = Self::empty(folder, limit, faults);
        let files = match sealed::read(&set.manifest(), MANIFEST_MAGIC)? {
            Sealed::Absent => KeyFiles::Sound,
            Sealed::Damaged(_) => KeyFiles::Damaged("the manifest is damaged"),
            Sealed::Sound(bytes) => match parse_manifest(&bytes) {
                None => KeyFiles::Damaged("the manifest is damaged"),
                Some((covered, numbers)) => {
                    let (folder, faults) = (folder.to_owned(), faults.clone());
                    match Runs::open(folder, Width::Key, faults, &numbers)? {
                        None => KeyFiles::Damaged("a run is missing or damaged"),
                        Some(runs) => {
                            (set.runs, set.covered) = (runs, covered);
                            KeyFiles::Sound
                        }
                    }
                }
            },
        };
        set.runs.remove_strangers()?;
        Ok((set, files))
    }

    fn empty(folder: &Path, limit: usize, faults: &Faults) -> Self {
        let limit = limit.max(1);
        Self {
            folder: folder.to_owned(),
            faults: faults.clone(),
            buffer: HashSet::default(),
            limit,
            spill_at: limit,
            runs: Runs::empty(folder.to_owned(), Width::Key, faults.clone()),
            covered: Covered::default(),
        }
    }

    /// Forgets everything, also on disk.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        *self = Self::empty(&self.folder, self.limit, &self.faults);
        match fs::remove_file(self.manifest()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.runs.remove_strangers()
    }

    /// Up to where the files know the keys.
    pub(crate) fn covered(&self) -> Covered {
        self.covered
    }

    /// How many keys.
    pub(crate) fn len(&self) -> u64 {
        self.buffer.len() as u64 + self.runs.entries()
    }

    /// True if the key is in the set.
    pub(crate) fn contains(&self, key: Fingerprint) -> io::Result<bool> {
        Ok(self.buffer.contains(&key) || self.runs.get(key)?.is_some())
    }

    /// Puts in a key that is not in the set.
    pub(crate) fn insert(&mut self, key: Fingerprint) {
        self.buffer.insert(key);
    }

    /// To be called between blocks: `covered` is the end of the last whole block, whose keys and those of all blocks
    /// before it are in. Moves the keys to disk if there are many.
    ///
    /// # Errors
    /// The disk's. The set stays exact; only its memory grows until a later call succeeds.
    pub(crate) fn at_block_end(&mut self, covered: Covered) -> io::Result<()> {
        if self.buffer.len() < self.spill_at {
            return Ok(());
        }
        self.spill_at = self.buffer.len() + (self.limit / 4).max(1);
        self.spill(covered)?;
        self.spill_at = self.limit;
        Ok(())
    }

    fn spill(&mut self, covered: Covered) -> io::Result<()> {
        let mut entries: Vec<_> = self.buffer.iter().map(|key| (*key, 0)).collect();
        entries.sort_unstable();
        self.runs.add(&entries)?;
        // from here on the keys are in a run; if the manifest fails, the next one will name it
        self.buffer = HashSet::default();
        self.covered = covered;
        let settled = self.runs.settle(false);
        self.write_manifest()?;
        self.runs.remove_unused();
        settled.map(|_| ())
    }

    fn write_manifest(&self) -> io::Result<()> {
        let mut bytes = self.covered.end.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.covered.checksum.0);
        for number in self.runs.numbers() {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        sealed::write(&self.manifest(), MANIFEST_MAGIC, &bytes, &self.faults)
    }

    fn manifest(&self) -> PathBuf {
        self.folder.join("manifest")
    }
}

fn parse_manifest(bytes: &[u8]) -> Option<(Covered, Vec<u64>)> {
    let (covered, numbers) = bytes.split_at_checked(24)?;
    let covered = Covered {
        end: Position(u64::from_le_bytes(covered[..8].try_into().ok()?)),
        checksum: Checksum(covered[8..].try_into().ok()?),
    };
    let numbers = numbers
        .chunks(8)
        .map(|number| Some(u64::from_le_bytes(number.try_into().ok()?)));
    Some((covered, numbers.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::faults::{Failure, Step};

    fn key(number: u32) -> Fingerprint {
        Fingerprint::of("key", &[&number.to_le_bytes()])
    }

    fn covered(end: u64) -> Covered {
        Covered {
            end: Position(end),
            checksum: Checksum([9; 16]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_holds_what_a_hash_set_holds(
            blocks in proptest::collection::vec(proptest::collection::vec(0..900u32, 1..40), 1..60),
            limit in 1..50usize,
            reopen_every in 1..20usize,
            failing in proptest::option::of(0..40u64),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let faults = Faults::planned();
            let mut set = KeySet::open(folder.path(), limit, &faults).unwrap().0;
            if let Some(spare) = failing {
                faults.fail_once(Step::FileWrite, spare, Failure::Full);
            }
            let mut expected = HashSet::new();
            let mut journal = Vec::new();
            for (number, block) in blocks.iter().enumerate() {
                for n in block {
                    prop_assert_eq!(set.contains(key(*n)).unwrap(), expected.contains(n));
                    if expected.insert(*n) {
                        set.insert(key(*n));
                        journal.push(*n);
                    }
                }
                let _ = set.at_block_end(covered(journal.len() as u64));
                prop_assert_eq!(set.len(), expected.len() as u64);
                if number % reopen_every == 0 {
                    drop(set);
                    let (opened, files) = KeySet::open(folder.path(), limit, &faults).unwrap();
                    prop_assert_eq!(files, KeyFiles::Sound);
                    set = opened;
                    let from = set.covered().end.0 as usize;
                    for n in &journal[from..] {
                        set.insert(key(*n));
                    }
                }
            }
            for n in 0..900 {
                prop_assert_eq!(set.contains(key(n)).unwrap(), expected.contains(&n));
            }
            prop_assert!(set.runs.numbers().len() < 16);
        }
    }

    #[test]
    fn damaged_files_are_told_and_the_set_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let fill = || {
            let (mut set, _) = KeySet::open(folder.path(), 10, &faults).unwrap();
            set.clear().unwrap();
            (0..10).for_each(|n| set.insert(key(n)));
            set.at_block_end(covered(10)).unwrap();
        };
        fill();
        let (set, files) = KeySet::open(folder.path(), 10, &faults).unwrap();
        assert_eq!(
            (files, set.covered(), set.len()),
            (KeyFiles::Sound, covered(10), 10)
        );
        for name in ["manifest", "0000000000.run"] {
            fill();
            let path = folder.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
            let (set, files) = KeySet::open(folder.path(), 10, &faults).unwrap();
            assert!(matches!(files, KeyFiles::Damaged(_)), "{name}: {files:?}");
            assert_eq!((set.covered(), set.len()), (Covered::default(), 0));
        }
    }
}
