//! The secret that attribution tokens are signed with: one small file, made once, readable by its owner alone.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use rand::rngs::OsRng;

use crate::store::durable;

/// The name of the file in the data folder.
pub const FILE_NAME: &str = "attribution.key";
/// Bytes of a key.
const BYTES: usize = 32;

/// A key of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(pub(super) [u8; BYTES]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key of attribution tokens, {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no key.
    #[error(
        "{path} is not a key of attribution tokens: it must hold 64 hexadecimal digits. Bring it back from a copy; or \
         remove it, and a new one is made: then tokens that are still out attribute nothing"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The settings name a file that is not there.
    #[error(
        "attribution.key_file names {path}, which is not there. Copy it from another service, or make one: 64 \
         hexadecimal digits, as `openssl rand -hex 32` prints them"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes for a key: {0}")]
    Random(String),
}

impl SigningKey {
    /// A new key of the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; BYTES];
        OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| KeyError::Random(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// The key in a data folder; made at the first start.
    ///
    /// # Errors
    /// [`KeyError`]. A damaged file is never replaced: that would make tokens worthless unasked.
    pub fn in_folder(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(FILE_NAME);
        match Self::read(&path) {
            Err(KeyError::Missing { .. }) => {}
            read => return read,
        }
        let key = Self::random()?;
        let digits: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        durable::write_secret(&path, format!("{digits}\n").as_bytes())
            .map_err(|source| KeyError::Io { path, source })?;
        Ok(key)
    }

    /// The key in a file that must be there.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let path = path.to_owned();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing { path });
            }
            Err(source) => return Err(KeyError::Io { path, source }),
        };
        let text = str::from_utf8(&text).unwrap_or_default().trim();
        let is_hexadecimal = text.len() == 2 * BYTES && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hexadecimal {
            return Err(KeyError::Damaged { path });
        }
        let byte = |i: usize| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap_or_default();
        Ok(Self(std::array::from_fn(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::in_folder(folder.path()).unwrap();
        assert_eq!(SigningKey::in_folder(folder.path()).unwrap(), key);
        assert_ne!(SigningKey::random().unwrap(), key);
        let path = folder.path().join(FILE_NAME);
        assert_eq!(SigningKey::read(&path).unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(format!("{key:?}"), "SigningKey(secret)");
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let half = "a".repeat(63);
        for damaged in ["", "nonsense", &half, &"é".repeat(32), &"g".repeat(64)] {
            std::fs::write(&path, damaged).unwrap();
            let error = SigningKey::in_folder(folder.path()).unwrap_err();
            assert!(matches!(error, KeyError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
        }
        let elsewhere = SigningKey::read(&folder.path().join("other")).unwrap_err();
        assert!(elsewhere.to_string().contains("openssl rand -hex 32"));
    }
}
