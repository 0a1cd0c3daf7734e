//! A run: an immutable file of sorted keys of 16 bytes, each with a count of 8 bytes where the run has counts.
//!
//! Layout: magic 8, bytes an entry 4, zeros 12; the entries; BLAKE3, first 128 bits, over all before.
//! In memory stay every 256th key and a Bloom filter: under 2 bytes a key.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::domain::Fingerprint;
use crate::store::durable::{self, AtomicFile, Window};
use crate::store::faults::Faults;
use crate::store::keys::bloom::Bloom;

const MAGIC: [u8; 8] = *b"nbkeyrun";
const HEADER_BYTES: u64 = 24;
const CHECKSUM_BYTES: u64 = 16;
/// Keys between two fences.
const STRIDE: usize = 256;
const KEY_BYTES: usize = 16;

/// Whether the keys of a run have counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Keys alone.
    Key,
    /// Keys with counts.
    Counted,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Key => KEY_BYTES,
            Self::Counted => KEY_BYTES + 8,
        }
    }
}

/// One key, and its count where the run has counts (else 0).
pub(crate) type Entry = (Fingerprint, u64);

/// A run that is open for lookups.
#[derive(Debug)]
pub(crate) struct Run {
    file: File,
    path: PathBuf,
    width: Width,
    entries: u64,
    fences: Vec<Fingerprint>,
    bloom: Bloom,
}

impl Run {
    /// Writes a run of entries that are sorted by key and have no key twice; at most `at_most` of them.
    pub(crate) fn write(
        path: &Path,
        width: Width,
        at_most: u64,
        entries: impl Iterator<Item = io::Result<Entry>>,
        faults: &Faults,
    ) -> io::Result<Self> {
        let mut index = Index::new(at_most);
        let mut out = AtomicFile::create(path, faults)?;
        let mut hasher = blake3::Hasher::new();
        let mut piece = Vec::with_capacity(1 << 16);
        // how many there are is known at the end only, and then the length of the file says it
        piece.extend_from_slice(&MAGIC);
        piece.extend_from_slice(&(width.bytes() as u32).to_le_bytes());
        piece.extend_from_slice(&[0; 12]);
        for entry in entries {
            let (key, count) = entry?;
            index.add(key);
            piece.extend_from_slice(&key.0);
            if width == Width::Counted {
                piece.extend_from_slice(&count.to_le_bytes());
            }
            if piece.len() >= (1 << 16) - 64 {
                hasher.update(&piece);
                out.write_all(&piece)?;
                piece.clear();
            }
        }
        hasher.update(&piece);
        out.write_all(&piece)?;
        out.write_all(&hasher.finalize().as_bytes()[..16])?;
        out.commit()?;
        index.into_run(path, width)
    }

    /// Opens a run and reads it once, which verifies it; nothing if it is not what was written.
    pub(crate) fn open(path: &Path, width: Width) -> io::Result<Option<Self>> {
        let mut window = match Window::open(path) {
            Ok(window) => window,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let entry_bytes = width.bytes();
        let Some(body) = window.len().checked_sub(HEADER_BYTES + CHECKSUM_BYTES) else {
            return Ok(None);
        };
        let header = window.get(0, HEADER_BYTES as usize)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(header);
        let told = header[..8] == MAGIC && header[8..12] == (entry_bytes as u32).to_le_bytes();
        if !told || body % entry_bytes as u64 != 0 {
            return Ok(None);
        }
        let mut index = Index::new(body / entry_bytes as u64);
        let end = HEADER_BYTES + body;
        let mut offset = HEADER_BYTES;
        let mut last = None;
        while offset < end {
            let bytes = (entry_bytes * 4_096).min((end - offset) as usize);
            let piece = window.get(offset, bytes)?;
            hasher.update(piece);
            for entry in piece.chunks_exact(entry_bytes) {
                let key = key_of(entry);
                if last >= Some(key) {
                    return Ok(None);
                }
                last = Some(key);
                index.add(key);
            }
            offset += bytes as u64;
        }
        let sum = window.get(end, CHECKSUM_BYTES as usize)?;
        if sum != &hasher.finalize().as_bytes()[..16] {
            return Ok(None);
        }
        index.into_run(path, width).map(Some)
    }

    /// How many keys.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Where it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The count of `key` (0 in a run without counts), if it is there.
    pub(crate) fn get(&self, key: Fingerprint) -> io::Result<Option<u64>> {
        if !self.bloom.may_contain(key) {
            return Ok(None);
        }
        let Some(fence) = self
            .fences
            .partition_point(|fence| *fence <= key)
            .checked_sub(1)
        else {
            return Ok(None);
        };
        let width = self.width.bytes();
        let first = fence * STRIDE;
        let count = STRIDE.min(self.entries as usize - first);
        let mut page = [0; STRIDE * (KEY_BYTES + 8)];
        let page = &mut page[..count * width];
        let offset = HEADER_BYTES + (first * width) as u64;
        durable::read_exact_at(&self.file, page, offset)?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = usize::midpoint(low, high);
            let entry = &page[middle * width..(middle + 1) * width];
            match key_of(entry).cmp(&key) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(count_of(entry))),
            }
        }
        Ok(None)
    }

    /// All entries, sorted, by a reader of its own.
    pub(crate) fn iter(&self) -> io::Result<RunIter> {
        Ok(RunIter {
            window: Window::open(&self.path)?,
            width: self.width.bytes(),
            offset: HEADER_BYTES,
            left: self.entries,
        })
    }
}

/// What of a run stays in memory, while it grows.
struct Index {
    entries: u64,
    fences: Vec<Fingerprint>,
    bloom: Bloom,
}

impl Index {
    fn new(at_most: u64) -> Self {
        Self {
            entries: 0,
            fences: Vec::new(),
            bloom: Bloom::new(at_most),
        }
    }

    fn add(&mut self, key: Fingerprint) {
        if self.entries.is_multiple_of(STRIDE as u64) {
            self.fences.push(key);
        }
        self.bloom.insert(key);
        self.entries += 1;
    }

    fn into_run(self, path: &Path, width: Width) -> io::Result<Run> {
        Ok(Run {
            file: File::open(path)?,
            path: path.to_owned(),
            width,
            entries: self.entries,
            fences: self.fences,
            bloom: self.bloom,
        })
    }
}

/// The entries of a run, in order.
pub(crate) struct RunIter {
    window: Window,
    width: usize,
    offset: u64,
    left: u64,
}

impl Iterator for RunIter {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let offset = self.offset;
        self.offset += self.width as u64;
        let read = self.window.get(offset, self.width);
        Some(read.and_then(|entry| {
            if entry.len() < self.width {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((key_of(entry), count_of(entry)))
        }))
    }
}

/// The entries of several runs in order; of a key in several, the entry of the last of them.
pub(crate) struct Merge {
    heads: Vec<(Option<Entry>, RunIter)>,
}

impl Merge {
    /// Of runs from the oldest to the newest.
    pub(crate) fn new(runs: Vec<RunIter>) -> io::Result<Self> {
        let mut heads = Vec::with_capacity(runs.len());
        for mut run in runs {
            heads.push((run.next().transpose()?, run));
        }
        Ok(Self { heads })
    }

    fn take(&mut self) -> io::Result<Option<Entry>> {
        let keys = self
            .heads
            .iter()
            .filter_map(|(head, _)| head.map(|(key, _)| key));
        let Some(least) = keys.min() else {
            return Ok(None);
        };
        let mut newest = None;
        for (head, run) in &mut self.heads {
            if head.is_some_and(|(key, _)| key == least) {
                newest = *head;
                *head = run.next().transpose()?;
            }
        }
        Ok(newest)
    }
}

impl Iterator for Merge {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

fn key_of(entry: &[u8]) -> Fingerprint {
    Fingerprint(
        entry[..KEY_BYTES]
            .try_into()
            .expect("an entry begins with its key"),
    )
}

fn count_of(entry: &[u8]) -> u64 {
    entry[KEY_BYTES..].try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    fn entries(numbers: impl Iterator<Item = u64>) -> BTreeMap<Fingerprint, u64> {
        numbers
            .map(|n| (Fingerprint::of("run", &[&n.to_le_bytes()]), n + 1))
            .collect()
    }

    fn write(path: &Path, width: Width, entries: &BTreeMap<Fingerprint, u64>) -> Run {
        let sorted = entries.iter().map(|(key, count)| Ok((*key, *count)));
        Run::write(
            path,
            width,
            entries.len() as u64,
            sorted,
            &Faults::default(),
        )
        .unwrap()
    }

    #[test]
    fn lookups_are_exact_across_fences() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for size in [0, 1, 255, 256, 257, 3_000] {
            let inside = entries(0..size);
            let written = write(&path, Width::Counted, &inside);
            let opened = Run::open(&path, Width::Counted).unwrap().unwrap();
            for run in [&written, &opened] {
                assert_eq!(run.entries(), size);
                for (key, count) in &inside {
                    assert_eq!(run.get(*key).unwrap(), Some(*count));
                }
                for key in entries(size..size + 1_000).keys() {
                    assert_eq!(run.get(*key).unwrap(), None);
                }
                let all: BTreeMap<_, _> = run.iter().unwrap().map(Result::unwrap).collect();
                assert_eq!(all, inside);
            }
        }
    }

    #[test]
    fn every_change_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, Width::Key, &entries(0..20));
        assert!(Run::open(&path, Width::Counted).unwrap().is_none());
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 4;
            fs::write(&path, &bytes).unwrap();
            assert!(Run::open(&path, Width::Key).unwrap().is_none(), "byte {at}");
            fs::write(&path, &sound[..at]).unwrap();
            assert!(
                Run::open(&path, Width::Key).unwrap().is_none(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn of_a_key_in_several_runs_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let old = write(&path("old"), Width::Counted, &entries(0..700));
        let mut newer = entries(500..900);
        newer.values_mut().for_each(|count| *count += 10_000);
        let new = write(&path("new"), Width::Counted, &newer);
        let runs = vec![old.iter().unwrap(), new.iter().unwrap()];
        let merged: Vec<_> = Merge::new(runs).unwrap().map(Result::unwrap).collect();
        let mut expected = entries(0..700);
        expected.extend(newer);
        assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
    }
}
