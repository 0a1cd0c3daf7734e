//! The journal's folder: what lies where, who holds it, its format, its epoch, and the marker of an erasure.
//!
//! ```text
//! FORMAT               the format of everything, as text
//! journal/LOCK         locked by the process that has the journal open
//! journal/sled/        the engine's copy; sled.new and sled.old stand beside it while it is replaced
//! journal/mirror.log   the mirror
//! journal/keys/        event keys, see `store::keys`
//! journal/epoch-N      an empty file whose name is the epoch; none: 0
//! journal/erasing      the positions an unfinished erasure redacts, and the epoch it ends with
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::Position;
use crate::store::durable;
use crate::store::faults::{Faults, Step};
use crate::store::journal::JournalError;
use crate::store::sealed::{self, Sealed};

/// The newest format of a data folder this program knows.
const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "nextbest data format ";
const MARKER_MAGIC: [u8; 8] = *b"nberapos";

/// The folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    journal: PathBuf,
    pub(crate) faults: Faults,
    /// True if the file of the format was damaged and is written anew.
    pub(crate) format_rewritten: bool,
    _lock: File,
}

/// An erasure that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The epoch once it is finished.
    pub(crate) epoch: u64,
    /// What it redacts.
    pub(crate) positions: BTreeSet<Position>,
}

impl Folder {
    /// Makes the folder if it is not there, takes it for this process, and finishes or undoes a replacement of the
    /// engine's copy that a killed process left.
    ///
    /// # Errors
    /// `InUse`, `Format` or `Io`.
    pub(crate) fn open(root: &Path, faults: &Faults) -> Result<Self, JournalError> {
        let journal = root.join("journal");
        fs::create_dir_all(&journal)?;
        durable::sync_dir(root)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(journal.join("LOCK"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::InUse {
                    folder: root.display().to_string(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let format_rewritten = check_format(&root.join("FORMAT"), faults)?;
        let folder = Self {
            journal,
            faults: faults.clone(),
            format_rewritten,
            _lock: lock,
        };
        folder.settle_replacement()?;
        for left_over in ["mirror.log.new", "erasing.new", "room.probe"] {
            durable::remove(&folder.journal.join(left_over), faults)?;
        }
        Ok(folder)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.journal.clone()
    }

    pub(crate) fn engine(&self) -> PathBuf {
        self.journal.join("sled")
    }

    pub(crate) fn new_engine(&self) -> PathBuf {
        self.journal.join("sled.new")
    }

    pub(crate) fn old_engine(&self) -> PathBuf {
        self.journal.join("sled.old")
    }

    pub(crate) fn mirror(&self) -> PathBuf {
        self.journal.join("mirror.log")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.journal.join("keys")
    }

    fn marker(&self) -> PathBuf {
        self.journal.join("erasing")
    }

    /// `sled.new` is whole exactly if `sled` was already put out of its way.
    pub(crate) fn settle_replacement(&self) -> io::Result<()> {
        if !self.engine().exists() {
            if self.new_engine().exists() {
                durable::rename(&self.new_engine(), &self.engine(), &self.faults)?;
            } else if self.old_engine().exists() {
                durable::rename(&self.old_engine(), &self.engine(), &self.faults)?;
            }
        }
        durable::remove(&self.new_engine(), &self.faults)?;
        durable::remove(&self.old_engine(), &self.faults)
    }

    /// The epoch: 0 before the first erasure.
    pub(crate) fn epoch(&self) -> io::Result<u64> {
        let epochs = self.epoch_files()?;
        Ok(epochs
            .iter()
            .map(|(epoch, _)| *epoch)
            .max()
            .unwrap_or_default())
    }

    /// Makes `epoch` the epoch, durably.
    pub(crate) fn set_epoch(&self, epoch: u64) -> io::Result<()> {
        self.faults.check(Step::FileWrite)?;
        File::create(self.journal.join(format!("epoch-{epoch}")))?.sync_all()?;
        durable::sync_dir(&self.journal)?;
        for (other, path) in self.epoch_files()? {
            if other < epoch {
                durable::remove(&path, &self.faults)?;
            }
        }
        Ok(())
    }

    fn epoch_files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut epochs = Vec::new();
        for entry in fs::read_dir(&self.journal)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("epoch-"));
            if let Some(epoch) = number.and_then(|number| number.parse().ok()) {
                epochs.push((epoch, entry.path()));
            }
        }
        Ok(epochs)
    }

    /// The erasure that was begun and not finished, if there is one.
    ///
    /// # Errors
    /// `Io`; `Engine` if the marker is damaged: then it is not known what to erase, and it must be
    /// asked for again.
    pub(crate) fn read_marker(&self) -> Result<Option<Marker>, JournalError> {
        let bytes = match sealed::read(&self.marker(), MARKER_MAGIC)? {
            Sealed::Absent => return Ok(None),
            Sealed::Sound(bytes) if !bytes.is_empty() && bytes.len() % 8 == 0 => bytes,
            Sealed::Sound(_) | Sealed::Damaged(_) => {
                return Err(JournalError::Engine(format!(
                    "{} is damaged: an erasure was not finished; remove it and erase again",
                    self.marker().display()
                )));
            }
        };
        let mut numbers = bytes
            .chunks_exact(8)
            .map(|number| u64::from_le_bytes(number.try_into().expect("chunks of 8")));
        Ok(Some(Marker {
            epoch: numbers.next().expect("not empty"),
            positions: numbers.map(Position).collect(),
        }))
    }

    /// Writes down that an erasure is begun.
    pub(crate) fn write_marker(&self, marker: &Marker) -> io::Result<()> {
        let mut bytes = marker.epoch.to_le_bytes().to_vec();
        for position in &marker.positions {
            bytes.extend_from_slice(&position.0.to_le_bytes());
        }
        sealed::write(&self.marker(), MARKER_MAGIC, &bytes, &self.faults)
    }

    /// Writes down that no erasure is going on.
    pub(crate) fn remove_marker(&self) -> io::Result<()> {
        durable::remove(&self.marker(), &self.faults)
    }

    /// Removes the copies that were moved aside because they were damaged: they may hold what was erased.
    pub(crate) fn remove_damaged(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.journal)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains(".damaged-") {
                durable::remove(&entry.path(), &self.faults)?;
            }
        }
        Ok(())
    }
}

/// Refuses a newer format; writes the file if there is none or it is damaged. Returns whether it was damaged.
fn check_format(path: &Path, faults: &Faults) -> Result<bool, JournalError> {
    let (found, is_there) = match fs::read_to_string(path) {
        Ok(text) => {
            let number = text.strip_prefix(FORMAT_PREFIX);
            (number.and_then(|text| text.trim().parse().ok()), true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (None, false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => (None, true),
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(found) if found > FORMAT => Err(JournalError::Format {
            found,
            known: FORMAT,
        }),
        Some(_) => Ok(false),
        // none yet, or a damaged one: every block has its format, too
        None => {
            let mut file = durable::AtomicFile::create(path, faults)?;
            io::Write::write_all(&mut file, format!("{FORMAT_PREFIX}{FORMAT}\n").as_bytes())?;
            file.commit()?;
            Ok(is_there)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path) -> Result<Folder, JournalError> {
        Folder::open(root, &Faults::default())
    }

    #[test]
    fn one_process_at_a_time_and_no_newer_format() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path()).unwrap();
        assert!(!folder.format_rewritten);
        assert!(matches!(open(root.path()), Err(JournalError::InUse { .. })));
        drop(folder);
        assert!(!open(root.path()).unwrap().format_rewritten);
        for garbage in [&b"garbage"[..], b"", b"\xff\xfe", b"nextbest data format x"] {
            fs::write(root.path().join("FORMAT"), garbage).unwrap();
            assert!(open(root.path()).unwrap().format_rewritten);
        }
        assert_eq!(
            fs::read_to_string(root.path().join("FORMAT")).unwrap(),
            "nextbest data format 1\n"
        );
        fs::write(root.path().join("FORMAT"), "nextbest data format 2\n").unwrap();
        assert!(matches!(
            open(root.path()),
            Err(JournalError::Format { found: 2, known: 1 })
        ));
    }

    #[test]
    fn the_epoch_and_the_marker_outlive_the_process() {
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path()).unwrap();
        assert_eq!(folder.epoch().unwrap(), 0);
        folder.set_epoch(1).unwrap();
        folder.set_epoch(12).unwrap();
        assert_eq!(folder.read_marker().unwrap(), None);
        let marker = Marker {
            epoch: 13,
            positions: [Position(5), Position(1 << 40)].into(),
        };
        folder.write_marker(&marker).unwrap();
        drop(folder);
        let folder = open(root.path()).unwrap();
        assert_eq!(folder.epoch().unwrap(), 12);
        assert_eq!(folder.read_marker().unwrap(), Some(marker));
        folder.remove_marker().unwrap();
        assert_eq!(folder.read_marker().unwrap(), None);
    }

    #[test]
    fn a_replacement_is_finished_or_undone() {
        let root = tempfile::tempdir().unwrap();
        let journal = root.path().join("journal");
        let stand = |names: &[&str]| {
            let _ = fs::remove_dir_all(&journal);
            for name in names {
                fs::create_dir_all(journal.join(name)).unwrap();
                fs::write(journal.join(name).join("which"), name).unwrap();
            }
            drop(open(root.path()).unwrap());
            assert!(!journal.join("sled.new").exists() && !journal.join("sled.old").exists());
            fs::read_to_string(journal.join("sled/which")).unwrap()
        };
        assert_eq!(stand(&["sled", "sled.new"]), "sled");
        assert_eq!(stand(&["sled.old", "sled.new"]), "sled.new");
        assert_eq!(stand(&["sled.old", "sled"]), "sled");
        assert_eq!(stand(&["sled.old"]), "sled.old");
    }
}
