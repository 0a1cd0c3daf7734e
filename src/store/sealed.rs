//! Small files with a checksum: a magic word, a format, the length, 128 bits of BLAKE3, the bytes.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use crate::store::durable::AtomicFile;
use crate::store::faults::Faults;

const HEADER_BYTES: usize = 36;
const FORMAT: u32 = 1;

/// What a file turned out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// There is none.
    Absent,
    /// What was written.
    Sound(Vec<u8>),
    /// Something else; the words say what.
    Damaged(&'static str),
}

/// Writes `bytes` as the whole of the file, atomically and durably.
pub(crate) fn write(path: &Path, magic: [u8; 8], bytes: &[u8], faults: &Faults) -> io::Result<()> {
    let mut file = AtomicFile::create(path, faults)?;
    file.write_all(&magic)?;
    file.write_all(&FORMAT.to_le_bytes())?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(&checksum(bytes))?;
    file.write_all(bytes)?;
    file.commit()
}

/// Reads what [`write()`] wrote.
pub(crate) fn read(path: &Path, magic: [u8; 8]) -> io::Result<Sealed> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sealed::Absent),
        Err(error) => return Err(error),
    };
    if bytes.len() < HEADER_BYTES {
        return Ok(Sealed::Damaged("cut short"));
    }
    let content = bytes.split_off(HEADER_BYTES);
    Ok(if bytes[..8] != magic {
        Sealed::Damaged("something else")
    } else if bytes[8..12] != FORMAT.to_le_bytes() {
        Sealed::Damaged("of another format")
    } else if bytes[12..20] != (content.len() as u64).to_le_bytes() {
        Sealed::Damaged("of another length than it says")
    } else if bytes[20..36] != checksum(&content) {
        Sealed::Damaged("not what its checksum says")
    } else {
        Sealed::Sound(content)
    })
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let hash = blake3::hash(bytes);
    hash.as_bytes()[..16]
        .try_into()
        .expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let magic = *b"sealtest";
        assert_eq!(read(&path, magic).unwrap(), Sealed::Absent);
        write(&path, magic, b"abc", &Faults::default()).unwrap();
        assert_eq!(read(&path, magic).unwrap(), Sealed::Sound(b"abc".to_vec()));
        assert_eq!(
            read(&path, *b"another1").unwrap(),
            Sealed::Damaged("something else")
        );
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            assert!(
                matches!(read(&path, magic).unwrap(), Sealed::Damaged(_)),
                "byte {at}"
            );
            fs::write(&path, &sound[..at]).unwrap();
            assert!(
                matches!(read(&path, magic).unwrap(), Sealed::Damaged(_)),
                "cut at {at}"
            );
        }
    }
}
