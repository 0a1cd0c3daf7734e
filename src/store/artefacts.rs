//! The folder of fitted models: one checksummed file a revision, whole or not there.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::store::durable;
use crate::store::faults::Faults;
use crate::store::sealed::{self, Sealed};

/// The longest id of an artefact, in bytes.
pub const MAX_ARTEFACT_ID_BYTES: usize = 100;

const MAGIC: [u8; 8] = *b"nbartfct";
const EXTENSION: &str = "model";

/// Why an artefact cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtefactError {
    /// Not an id: 1 to [`MAX_ARTEFACT_ID_BYTES`] of `a-z`, `0-9`, `-`, `_` and, not at the front, `.`.
    #[error("{0:?} is not the id of an artefact")]
    Id(String),
    /// The file is not what was written.
    #[error("artefact {id} is {reason}")]
    Damaged {
        /// The artefact.
        id: String,
        /// What is wrong with its file.
        reason: &'static str,
    },
    /// The disk refused.
    #[error("the folder of artefacts cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Artefacts {
    folder: PathBuf,
}

impl Artefacts {
    /// Opens the folder, which is made if it is not there, and removes what a killed process left half written.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, ArtefactError> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder })
    }

    /// Keeps `bytes` under `id`, in place of what is there; durable when it returns.
    ///
    /// # Errors
    /// `Id` or `Io`; what was there still is.
    pub fn put(&self, id: &str, bytes: &[u8]) -> Result<(), ArtefactError> {
        Ok(sealed::write(
            &self.path(id)?,
            MAGIC,
            bytes,
            &Faults::default(),
        )?)
    }

    /// What is kept under `id`, if anything is.
    ///
    /// # Errors
    /// `Id`, `Damaged` or `Io`.
    pub fn get(&self, id: &str) -> Result<Option<Vec<u8>>, ArtefactError> {
        match sealed::read(&self.path(id)?, MAGIC)? {
            Sealed::Absent => Ok(None),
            Sealed::Sound(bytes) => Ok(Some(bytes)),
            Sealed::Damaged(reason) => Err(ArtefactError::Damaged {
                id: id.to_owned(),
                reason,
            }),
        }
    }

    /// The ids, sorted.
    ///
    /// # Errors
    /// `Io`.
    pub fn list(&self) -> Result<Vec<String>, ArtefactError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let id = name
                .to_str()
                .and_then(|name| name.strip_suffix(&format!(".{EXTENSION}")));
            if let Some(id) = id.filter(|id| is_id(id)) {
                ids.push(id.to_owned());
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Removes what is kept under `id`; fine if nothing is.
    ///
    /// # Errors
    /// `Id` or `Io`.
    pub fn delete(&self, id: &str) -> Result<(), ArtefactError> {
        Ok(durable::remove(&self.path(id)?, &Faults::default())?)
    }

    fn path(&self, id: &str) -> Result<PathBuf, ArtefactError> {
        if is_id(id) {
            Ok(self.folder.join(format!("{id}.{EXTENSION}")))
        } else {
            Err(ArtefactError::Id(
                id.chars().take(MAX_ARTEFACT_ID_BYTES).collect(),
            ))
        }
    }
}

/// Lower case only, because some file systems do not tell the cases apart.
fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    (1..=MAX_ARTEFACT_ID_BYTES).contains(&id.len())
        && !id.starts_with('.')
        && id.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_there_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let home = Artefacts::open(folder.path().join("models")).unwrap();
        assert_eq!(home.list().unwrap(), Vec::<String>::new());
        home.put("rev-2", b"two").unwrap();
        home.put("rev-1", b"one").unwrap();
        home.put("rev-1", b"uno").unwrap();
        assert_eq!(home.list().unwrap(), ["rev-1", "rev-2"]);
        assert_eq!(home.get("rev-1").unwrap().unwrap(), b"uno");
        assert_eq!(home.get("rev-3").unwrap(), None);
        home.delete("rev-1").unwrap();
        home.delete("rev-1").unwrap();
        assert_eq!(home.list().unwrap(), ["rev-2"]);

        let path = folder.path().join("models/rev-2.model");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            home.get("rev-2"),
            Err(ArtefactError::Damaged { .. })
        ));
    }

    #[test]
    fn no_id_leaves_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Artefacts::open(folder.path()).unwrap();
        let long = "x".repeat(MAX_ARTEFACT_ID_BYTES + 1);
        let bad = [
            "", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "a\0b", "A", "ä", ".x", &long,
        ];
        for id in bad {
            assert!(
                matches!(home.put(id, b""), Err(ArtefactError::Id(_))),
                "{id:?}"
            );
            assert!(matches!(home.get(id), Err(ArtefactError::Id(_))), "{id:?}");
            assert!(
                matches!(home.delete(id), Err(ArtefactError::Id(_))),
                "{id:?}"
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
