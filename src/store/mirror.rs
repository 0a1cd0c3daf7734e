//! The mirror: a plain append-only file of the journal's blocks, one behind the other.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::store::block::{Block, BlockError, HEADER_BYTES, Header, MAGIC};
use crate::store::durable::{self, AtomicFile, Window};
use crate::store::faults::{Faults, Step};

/// The mirror, open for appending.
pub(crate) struct Mirror {
    file: File,
    len: u64,
    faults: Faults,
}

impl Mirror {
    /// Opens the file, or creates it, and cuts off what stands behind its first `len` bytes.
    pub(crate) fn open(path: &Path, len: u64, faults: &Faults) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if file.metadata()?.len() != len {
            file.set_len(len)?;
        }
        file.sync_all()?;
        durable::sync_parent(path)?;
        Ok(Self {
            file,
            len,
            faults: faults.clone(),
        })
    }

    /// The bytes of all blocks.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Writes a block to the end; durable only after [`Mirror::sync`].
    ///
    /// # Errors
    /// Part of the block may be in the file then: [`Mirror::rewind`].
    pub(crate) fn append(&mut self, block: &Block) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        if let Err(planned) = self.faults.check(Step::MirrorWrite) {
            self.file
                .write_all(&block.bytes()[..block.bytes().len() / 2])?;
            return Err(planned);
        }
        self.file.write_all(block.bytes())?;
        self.len += block.bytes().len() as u64;
        Ok(())
    }

    /// Makes everything written durable: `fdatasync`.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.faults.check(Step::MirrorSync)?;
        self.file.sync_data()
    }

    /// Cuts the file back to `len` bytes, durably.
    pub(crate) fn rewind(&mut self, len: u64) -> io::Result<()> {
        self.faults.check(Step::MirrorRewind)?;
        self.file.set_len(len)?;
        self.file.sync_all()?;
        self.len = len;
        Ok(())
    }
}

/// Writes a new mirror beside the one at `path` and puts it in its place, atomically and durably; returns its length.
pub(crate) fn rewrite<E: From<io::Error>>(
    path: &Path,
    blocks: impl Iterator<Item = Result<Block, E>>,
    faults: &Faults,
) -> Result<u64, E> {
    let mut file = AtomicFile::create(path, faults)?;
    let mut len = 0;
    for block in blocks {
        let block = block?;
        file.write_all(block.bytes())?;
        len += block.bytes().len() as u64;
    }
    file.commit()?;
    Ok(len)
}

/// What stands in a mirror.
#[derive(Debug)]
pub(crate) enum Scanned {
    /// A block whose checksums hold, and where it ends.
    Block(Block, u64),
    /// Bytes that are no block.
    Damage {
        /// Where they begin.
        offset: u64,
        /// How many; up to the next block or the end of the file.
        bytes: u64,
        /// What is wrong with the first of them.
        reason: BlockError,
    },
}

/// Reads a mirror from the front; steps over damage to the next block.
pub(crate) struct Scan {
    window: Window,
    offset: u64,
}

impl Scan {
    /// Of the file as long as it is now.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            window: Window::open(path)?,
            offset: 0,
        })
    }

    fn block_at(&mut self, offset: u64) -> io::Result<Result<Block, BlockError>> {
        let header = match Header::parse(self.window.get(offset, HEADER_BYTES)?) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = self.window.get(offset, header.block_bytes())?;
        Ok(Block::parse(bytes.to_vec()))
    }

    /// The first place from `offset` on where a whole block stands, or the end of the file.
    fn next_block_from(&mut self, mut offset: u64) -> io::Result<u64> {
        const STRIDE: usize = 1 << 16;
        while offset < self.window.len() {
            let piece = self.window.get(offset, STRIDE + MAGIC.len() - 1)?;
            match piece.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) {
                None => offset += STRIDE as u64,
                Some(at) => {
                    offset += at as u64;
                    if self.block_at(offset)?.is_ok() {
                        return Ok(offset);
                    }
                    offset += 1;
                }
            }
        }
        Ok(self.window.len())
    }
}

impl Iterator for Scan {
    type Item = io::Result<Scanned>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        if offset >= self.window.len() {
            return None;
        }
        let scanned = self.block_at(offset).and_then(|read| match read {
            Ok(block) => {
                self.offset = offset + block.bytes().len() as u64;
                Ok(Scanned::Block(block, self.offset))
            }
            Err(reason) => {
                self.offset = self.next_block_from(offset + 1)?;
                Ok(Scanned::Damage {
                    offset,
                    bytes: self.offset - offset,
                    reason,
                })
            }
        });
        if scanned.is_err() {
            self.offset = self.window.len();
        }
        Some(scanned)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::{Record, RecordBody, Timestamp};
    use crate::store::block::Place;

    fn blocks(count: u64) -> Vec<Block> {
        let mut place = Place::default();
        let mut blocks = Vec::new();
        for number in 0..count {
            let record = Record {
                recorded_at: Timestamp::from_ms(number.cast_signed()),
                body: RecordBody::ModelActivated(format!("revision {number}").into()),
            };
            let block = Block::pack(place, &[&record, &record], false).unwrap();
            place = block.header().next_place();
            blocks.push(block);
        }
        blocks
    }

    /// The sequence numbers of the blocks; `None` for damage.
    fn scan(path: &Path) -> Vec<Option<u64>> {
        let sequence = |scanned| match scanned {
            Scanned::Block(block, _) => Some(block.header().place.sequence),
            Scanned::Damage { .. } => None,
        };
        Scan::open(path)
            .unwrap()
            .map(|read| sequence(read.unwrap()))
            .collect()
    }

    #[test]
    fn what_is_appended_is_scanned_and_damage_is_stepped_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.log");
        let faults = Faults::planned();
        let mut mirror = Mirror::open(&path, 0, &faults).unwrap();
        let mut ends = vec![0];
        for block in blocks(4) {
            mirror.append(&block).unwrap();
            ends.push(usize::try_from(mirror.len()).unwrap());
        }
        mirror.sync().unwrap();
        assert_eq!(scan(&path), [Some(0), Some(1), Some(2), Some(3)]);

        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let hit = ends.iter().rposition(|end| *end <= at).unwrap();
            let mut expected: Vec<_> = (0..4).map(Some).collect();
            expected[hit] = None;
            assert_eq!(scan(&path), expected, "byte {at}");
            fs::write(&path, &sound[..at]).unwrap();
            let whole = ends.iter().filter(|end| **end <= at).count() - 1;
            let mut expected: Vec<_> = (0..whole as u64).map(Some).collect();
            if ends[whole] < at {
                expected.push(None);
            }
            assert_eq!(scan(&path), expected, "cut at {at}");
        }
    }

    #[test]
    fn a_failed_append_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.log");
        let faults = Faults::planned();
        let mut mirror = Mirror::open(&path, 0, &faults).unwrap();
        let blocks = blocks(2);
        mirror.append(&blocks[0]).unwrap();
        let len = mirror.len();
        faults.fail_once(Step::MirrorWrite, 0, crate::store::faults::Failure::Full);
        assert!(mirror.append(&blocks[1]).is_err());
        assert_eq!(scan(&path), [Some(0), None]);
        mirror.rewind(len).unwrap();
        mirror.append(&blocks[1]).unwrap();
        assert_eq!(scan(&path), [Some(0), Some(1)]);
    }

    #[test]
    fn a_rewritten_mirror_is_the_new_one_or_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.log");
        let ok = |blocks: Vec<Block>| blocks.into_iter().map(Ok::<_, io::Error>);
        rewrite(&path, ok(blocks(3)), &Faults::default()).unwrap();
        assert_eq!(scan(&path).len(), 3);
        let faults = Faults::planned();
        faults.fail_once(Step::Rename, 0, crate::store::faults::Failure::Full);
        assert!(rewrite(&path, ok(blocks(2)), &faults).is_err());
        assert_eq!(scan(&path).len(), 3);
        let len = rewrite(&path, ok(blocks(2)), &faults).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), len);
        assert_eq!(scan(&path).len(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
