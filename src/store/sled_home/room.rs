//! Room on the disk, made sure of before a block is written: the mirror can take a failed write back, sled cannot.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The room that must be free: what both copies take for [`RECHECK_BYTES`] of blocks, with sled's waste.
const HEADROOM_BYTES: u64 = 16 << 20;
/// After so many bytes of blocks it is looked at again.
const RECHECK_BYTES: u64 = 4 << 20;
const PIECE_BYTES: usize = 1 << 18;

/// Looks for room by writing a file and removing it: std cannot ask for it. Somebody else may fill the disk between two
/// looks; then the journal is poisoned, and loses nothing.
pub(crate) struct Room {
    probe: PathBuf,
    /// Bytes of blocks until the next look.
    left: u64,
    /// What does not compress, for file systems that do.
    noise: Vec<u8>,
}

impl Room {
    /// In the journal's folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut noise = vec![0; PIECE_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        Self {
            probe: folder.join("room.probe"),
            left: 0,
            noise,
        }
    }

    /// Makes sure of the room for a block of so many bytes.
    ///
    /// # Errors
    /// `StorageFull` or what else the disk says; nothing was written then.
    pub(crate) fn take(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.left {
            let looked = self.look(HEADROOM_BYTES.saturating_add(bytes.saturating_mul(4)));
            let removed = fs::remove_file(&self.probe);
            looked?;
            removed?;
            self.left = RECHECK_BYTES.max(bytes);
        }
        self.left -= bytes;
        Ok(())
    }

    fn look(&self, bytes: u64) -> io::Result<()> {
        let mut file = File::create(&self.probe)?;
        for _ in 0..bytes.div_ceil(PIECE_BYTES as u64) {
            file.write_all(&self.noise)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_once_in_a_while_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("journal");
        fs::create_dir(&inner).unwrap();
        let mut room = Room::new(&inner);
        room.take(1_000).unwrap();
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
        // without the folder every look fails
        fs::remove_dir(&inner).unwrap();
        room.take(RECHECK_BYTES - 1_000).unwrap();
        assert!(room.take(1).is_err());
        assert!(room.take(1).is_err());
        fs::create_dir(&inner).unwrap();
        room.take(1).unwrap();
    }
}
