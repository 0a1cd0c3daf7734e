//! Checkpoints: State as of a position, so that a start folds only what came after. Each can be thrown away.
//!
//! Layout, little-endian: magic 8, format 4, position 8, epoch 8, schema 16; pieces, each with its bytes (4), its bytes
//! after LZ4 (4) and its content; an empty piece; the bytes of State (8); BLAKE3 (32) over all before.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::domain::{Fingerprint, Position};
use crate::store::durable::{self, AtomicFile};
use crate::store::faults::Faults;

const MAGIC: [u8; 8] = *b"nbcheckp";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 44;
const PIECE_BYTES: usize = 1 << 20;
/// How many checkpoints are kept: the newest, and one more for when it is damaged.
const KEPT: usize = 2;
const EXTENSION: &str = "checkpoint";

/// State as of a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first record that is not folded in.
    pub position: Position,
    /// The journal's epoch when it was folded.
    pub epoch: u64,
    /// What the bytes depend on: their format and the settings of the fold.
    pub schema: Fingerprint,
    /// State; opaque here.
    pub bytes: Vec<u8>,
}

/// Why a checkpoint is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IgnoredReason {
    /// It is not what was written.
    Damaged(&'static str),
    /// It is what was written, but no State.
    NoState(String),
    /// It was folded with other settings or by another program.
    OtherSchema,
    /// Somebody was erased since; it was removed.
    OtherEpoch(u64),
    /// It knows more records than the journal has.
    AheadOfJournal(Position),
    /// The disk refused.
    Unreadable(String),
}

impl IgnoredReason {
    /// True if nothing is wrong: a checkpoint goes out of use so.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::OtherSchema | Self::OtherEpoch(_))
    }
}

impl fmt::Display for IgnoredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(f, "damaged: {what}"),
            Self::NoState(error) => write!(f, "damaged: {error}"),
            Self::OtherSchema => write!(f, "of other settings or another program"),
            Self::OtherEpoch(epoch) => write!(f, "of epoch {epoch}: somebody was erased since"),
            Self::AheadOfJournal(end) => {
                write!(
                    f,
                    "of {} records, which is more than the journal has",
                    end.0
                )
            }
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// A checkpoint that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub reason: IgnoredReason,
}

/// What [`Checkpoints::load`] found.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest that can be used.
    pub checkpoint: Option<Checkpoint>,
    /// Those that cannot, the newest first; for the log.
    pub ignored: Vec<Ignored>,
}

/// The folder of checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    faults: Faults,
}

impl Checkpoints {
    /// Opens the folder, which is made if it is not there, and removes what a killed process left half written.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_with(folder, Faults::default())
    }

    /// As [`Checkpoints::open`], on a disk that fails as planned.
    ///
    /// # Errors
    /// The disk's.
    pub fn open_with(folder: impl Into<PathBuf>, faults: Faults) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder, faults })
    }

    /// A folder of checkpoints of something else, within this one.
    ///
    /// # Errors
    /// The disk's.
    pub fn within(&self, name: &str) -> io::Result<Self> {
        Self::open_with(self.folder.join(name), self.faults.clone())
    }

    /// Writes a checkpoint, atomically and durably, and removes all but the newest two.
    ///
    /// # Errors
    /// The disk's; the checkpoints that were there still are.
    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let Checkpoint {
            position,
            epoch,
            schema,
            bytes,
        } = checkpoint;
        let mut writer = self.begin(*position, *epoch, *schema)?;
        writer.write_all(bytes)?;
        writer.finish()
    }

    /// Where the checkpoint of a position and epoch lies.
    #[must_use]
    pub fn path(&self, position: Position, epoch: u64) -> PathBuf {
        let name = format!("{epoch:010}-{:020}.{EXTENSION}", position.0);
        self.folder.join(name)
    }

    /// Begins a checkpoint that is written piece by piece.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(
        &self,
        position: Position,
        epoch: u64,
        schema: Fingerprint,
    ) -> io::Result<CheckpointWriter> {
        let target = self.path(position, epoch);
        let mut writer = CheckpointWriter {
            home: self.clone(),
            file: AtomicFile::create(&target, &self.faults)?,
            hasher: blake3::Hasher::new(),
            piece: Vec::with_capacity(PIECE_BYTES),
            packed: vec![0; lz4_flex::block::get_maximum_output_size(PIECE_BYTES)],
            total: 0,
        };
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&position.0.to_le_bytes());
        header.extend_from_slice(&epoch.to_le_bytes());
        header.extend_from_slice(&schema.0);
        writer.put(&header)?;
        Ok(writer)
    }

    /// The newest checkpoint of this epoch and schema that is sound and not ahead of `end`. Those of earlier epochs
    /// hold what was erased: they are removed.
    #[must_use]
    pub fn load(&self, epoch: u64, schema: Fingerprint, end: Position) -> Loaded {
        let mut loaded = Loaded::default();
        let newest_first = match self.files() {
            Ok(mut files) => {
                files.reverse();
                files
            }
            Err(error) => {
                let reason = IgnoredReason::Unreadable(error.to_string());
                loaded.ignored.push(Ignored {
                    path: self.folder.clone(),
                    reason,
                });
                return loaded;
            }
        };
        for path in newest_first {
            // after the first sound one only the headers matter, to remove what was erased
            let wanted = loaded.checkpoint.is_none();
            match read(&path, epoch, schema, end, wanted) {
                Ok(Some(checkpoint)) => loaded.checkpoint = Some(checkpoint),
                Ok(None) => {}
                Err(mut reason) => {
                    if matches!(reason, IgnoredReason::OtherEpoch(other) if other < epoch)
                        && let Err(error) = durable::remove(&path, &self.faults)
                    {
                        reason = IgnoredReason::Unreadable(error.to_string());
                    }
                    loaded.ignored.push(Ignored { path, reason });
                }
            }
        }
        loaded
    }

    /// Removes every checkpoint: to be called after an erasure, because they hold what was erased.
    ///
    /// # Errors
    /// The disk's.
    pub fn clear(&self) -> io::Result<()> {
        for path in self.files()? {
            durable::remove(&path, &self.faults)?;
        }
        Ok(())
    }

    /// The files, the oldest first.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == EXTENSION)
            {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn remove_old(&self) -> io::Result<()> {
        let files = self.files()?;
        for path in files.iter().rev().skip(KEPT) {
            durable::remove(path, &self.faults)?;
        }
        Ok(())
    }
}

/// A checkpoint being written; dropped without [`CheckpointWriter::finish`], it leaves nothing.
pub struct CheckpointWriter {
    home: Checkpoints,
    file: AtomicFile,
    hasher: blake3::Hasher,
    piece: Vec<u8>,
    packed: Vec<u8>,
    total: u64,
}

impl CheckpointWriter {
    /// Makes it durable and current.
    ///
    /// # Errors
    /// The disk's; the checkpoints that were there still are.
    pub fn finish(mut self) -> io::Result<()> {
        self.put_piece()?;
        let mut ending = vec![0; 8];
        ending.extend_from_slice(&self.total.to_le_bytes());
        self.put(&ending)?;
        let sum = self.hasher.finalize();
        self.file.write_all(sum.as_bytes())?;
        self.file.commit()?;
        self.home.remove_old()
    }

    fn put_piece(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let bytes = lz4_flex::block::compress_into(&self.piece, &mut self.packed)
            .map_err(io::Error::other)?;
        let mut sizes = (self.piece.len() as u32).to_le_bytes().to_vec();
        sizes.extend_from_slice(&(bytes as u32).to_le_bytes());
        self.put(&sizes)?;
        self.hasher.update(&self.packed[..bytes]);
        self.file.write_all(&self.packed[..bytes])?;
        self.total += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

impl Write for CheckpointWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.put_piece()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a checkpoint; only its header if it is not `wanted`.
fn read(
    path: &Path,
    epoch: u64,
    schema: Fingerprint,
    end: Position,
    wanted: bool,
) -> Result<Option<Checkpoint>, IgnoredReason> {
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut input = Summed {
        file: BufReader::new(file),
        hasher: blake3::Hasher::new(),
    };
    let header: [u8; HEADER_BYTES] = input.take()?;
    if header[..8] != MAGIC {
        return Err(IgnoredReason::Damaged("something else"));
    }
    let number =
        |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("within the header"));
    if header[8..12] != FORMAT.to_le_bytes() || header[28..44] != schema.0 {
        // what cannot be read may hold what was erased, too
        let other = number(20);
        let stale = other < epoch;
        return Err(if stale {
            IgnoredReason::OtherEpoch(other)
        } else {
            IgnoredReason::OtherSchema
        });
    }
    let position = Position(number(12));
    if number(20) != epoch {
        return Err(IgnoredReason::OtherEpoch(number(20)));
    }
    if position > end {
        return Err(IgnoredReason::AheadOfJournal(position));
    }
    if !wanted {
        return Ok(None);
    }
    let bytes = read_pieces(&mut input)?;
    Ok(Some(Checkpoint {
        position,
        epoch,
        schema,
        bytes,
    }))
}

fn read_pieces(input: &mut Summed) -> Result<Vec<u8>, IgnoredReason> {
    let mut bytes = Vec::new();
    let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(PIECE_BYTES)];
    loop {
        let raw = u32::from_le_bytes(input.take()?) as usize;
        let packed_bytes = u32::from_le_bytes(input.take()?) as usize;
        if raw == 0 && packed_bytes == 0 {
            break;
        }
        if raw > PIECE_BYTES || packed_bytes > packed.len() {
            return Err(IgnoredReason::Damaged("a piece is out of bounds"));
        }
        input.fill(&mut packed[..packed_bytes])?;
        let from = bytes.len();
        bytes.resize(from + raw, 0);
        let unpacked =
            lz4_flex::block::decompress_into(&packed[..packed_bytes], &mut bytes[from..]);
        if !unpacked.is_ok_and(|bytes| bytes == raw) {
            return Err(IgnoredReason::Damaged("a piece cannot be unpacked"));
        }
    }
    let total = u64::from_le_bytes(input.take()?);
    let expected = input.hasher.finalize();
    let sum: [u8; 32] = input.take()?;
    if total != bytes.len() as u64 || *expected.as_bytes() != sum {
        return Err(IgnoredReason::Damaged("not what its checksum says"));
    }
    Ok(bytes)
}

/// A file of which everything that is read is summed.
struct Summed {
    file: BufReader<File>,
    hasher: blake3::Hasher,
}

impl Summed {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), IgnoredReason> {
        match self.file.read_exact(buffer) {
            Ok(()) => {
                self.hasher.update(buffer);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(IgnoredReason::Damaged("cut short"))
            }
            Err(error) => Err(unreadable(&error)),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], IgnoredReason> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

fn unreadable(error: &io::Error) -> IgnoredReason {
    IgnoredReason::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Fingerprint = Fingerprint([1; 16]);

    fn checkpoint(position: u64, epoch: u64) -> Checkpoint {
        let bytes = (0..3_000_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        Checkpoint {
            position: Position(position),
            epoch,
            schema: SCHEMA,
            bytes,
        }
    }

    fn small(position: u64, epoch: u64) -> Checkpoint {
        Checkpoint {
            bytes: vec![7; 30],
            ..checkpoint(position, epoch)
        }
    }

    #[test]
    fn the_newest_is_loaded_and_two_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Checkpoints::open(folder.path()).unwrap();
        assert_eq!(home.load(0, SCHEMA, Position(9)).checkpoint, None);
        for position in [0, 3, 20, 100] {
            home.save(&checkpoint(position, 0)).unwrap();
        }
        assert_eq!(home.files().unwrap().len(), 2);
        let loaded = home.load(0, SCHEMA, Position(100));
        assert!(loaded.checkpoint == Some(checkpoint(100, 0)));
        assert_eq!(loaded.ignored, []);
        let loaded = home.load(0, SCHEMA, Position(99));
        assert_eq!(loaded.checkpoint.unwrap().position, Position(20));
        assert_eq!(
            loaded.ignored[0].reason,
            IgnoredReason::AheadOfJournal(Position(100))
        );
        let other = home.load(0, Fingerprint([2; 16]), Position(100));
        assert_eq!(other.checkpoint, None);
        assert_eq!(other.ignored[0].reason, IgnoredReason::OtherSchema);
    }

    #[test]
    fn after_an_erasure_the_old_ones_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Checkpoints::open(folder.path()).unwrap();
        home.save(&small(1, 0)).unwrap();
        home.save(&small(2, 1)).unwrap();
        let loaded = home.load(1, SCHEMA, Position(5));
        assert_eq!(loaded.checkpoint.unwrap().position, Position(2));
        assert_eq!(loaded.ignored[0].reason, IgnoredReason::OtherEpoch(0));
        assert_eq!(home.files().unwrap().len(), 1);
        home.clear().unwrap();
        assert_eq!(home.files().unwrap().len(), 0);
    }

    #[test]
    fn a_damaged_one_is_ignored_for_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let home = Checkpoints::open(folder.path()).unwrap();
        home.save(&small(1, 0)).unwrap();
        home.save(&small(2, 0)).unwrap();
        let newest = home.files().unwrap().pop().unwrap();
        let sound = fs::read(&newest).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x20;
            fs::write(&newest, &bytes).unwrap();
            let loaded = home.load(0, SCHEMA, Position(5));
            assert_eq!(loaded.checkpoint, Some(small(1, 0)), "byte {at}");
            assert_eq!(loaded.ignored.len(), 1, "byte {at}");
            fs::write(&newest, &sound[..at]).unwrap();
            let loaded = home.load(0, SCHEMA, Position(5));
            assert_eq!(loaded.checkpoint, Some(small(1, 0)), "cut at {at}");
        }
    }

    #[test]
    fn a_failed_or_abandoned_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::planned();
        let home = Checkpoints::open_with(folder.path(), faults.clone()).unwrap();
        home.save(&small(1, 0)).unwrap();
        faults.fail_all_after(1);
        assert!(home.save(&small(2, 0)).is_err());
        faults.heal();
        let mut begun = home.begin(Position(3), 0, SCHEMA).unwrap();
        begun.write_all(b"half").unwrap();
        drop(begun);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            home.load(0, SCHEMA, Position(5)).checkpoint,
            Some(small(1, 0))
        );
    }
}
