//! Files that are there whole or not at all: written beside, synced, renamed, and the folder synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::store::faults::{Faults, Step};

/// A file being written beside the one it will replace; dropped without [`AtomicFile::commit`], it leaves nothing.
pub(crate) struct AtomicFile {
    target: PathBuf,
    temp: PathBuf,
    file: Option<BufWriter<File>>,
    faults: Faults,
}

impl AtomicFile {
    /// Begins a file that will be `target`.
    pub(crate) fn create(target: &Path, faults: &Faults) -> io::Result<Self> {
        faults.check(Step::FileWrite)?;
        let temp = with_suffix(target, ".new");
        let file = File::create(&temp)?;
        Ok(Self {
            target: target.to_owned(),
            temp,
            file: Some(BufWriter::with_capacity(1 << 18, file)),
            faults: faults.clone(),
        })
    }

    /// Makes it durable and current.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let writer = self.file.take().expect("taken only here");
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        drop(file);
        rename(&self.temp, &self.target, &self.faults)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .as_mut()
            .expect("taken only by commit")
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().expect("taken only by commit").flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // after a commit there is nothing under this name; after a failure this is the best that can be done
        let _ = fs::remove_file(&self.temp);
    }
}

/// Writes a small file that its owner alone may read, durably; replaces what was there.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = with_suffix(path, ".new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    rename(&temp, path, &Faults::default())
}

/// Renames durably: over a file that is there, or to where nothing is.
pub(crate) fn rename(from: &Path, to: &Path, faults: &Faults) -> io::Result<()> {
    faults.check(Step::Rename)?;
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Removes a file or a folder with everything in it; fine if it is not there.
pub(crate) fn remove(path: &Path, faults: &Faults) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) => {
            faults.check(Step::Remove)?;
            if meta.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        }
    };
    removed?;
    sync_parent(path)
}

/// Moves something out of the way as `<name>.damaged-<N>` and says where to.
pub(crate) fn move_aside(path: &Path, faults: &Faults) -> io::Result<PathBuf> {
    for number in 1..10_000 {
        let aside = with_suffix(path, &format!(".damaged-{number}"));
        if !aside.exists() {
            rename(path, &aside, faults)?;
            return Ok(aside);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "10,000 damaged copies are kept already",
    ))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()
    } else {
        Ok(())
    }
}

/// Makes the name of a file or folder durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Fills `buffer` from `offset` on, without moving any cursor where the platform can.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills `buffer` from `offset` on; moves the cursor, so a file must not be read from two threads at once.
#[cfg(not(unix))]
pub(crate) fn read_exact_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

/// A file read once from the front, in large pieces.
pub(crate) struct Window {
    file: File,
    len: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    /// How much is read at once, unless more is asked for.
    const BYTES: u64 = 1 << 20;

    /// Of a file as long as it is now.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            len,
            start: 0,
            buffer: Vec::new(),
        })
    }

    /// The bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// At most `bytes` bytes from `offset` on; fewer only at the end of the file.
    pub(crate) fn get(&mut self, offset: u64, bytes: usize) -> io::Result<&[u8]> {
        let offset = offset.min(self.len);
        let bytes = (bytes as u64).min(self.len - offset);
        if offset < self.start || offset + bytes > self.start + self.buffer.len() as u64 {
            let wanted = bytes.max(Self::BYTES).min(self.len - offset);
            let wanted = usize::try_from(wanted).map_err(io::Error::other)?;
            self.buffer.resize(wanted, 0);
            self.start = offset;
            read_exact_at(&self.file, &mut self.buffer, offset)?;
        }
        let from = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        let to = from + usize::try_from(bytes).map_err(io::Error::other)?;
        Ok(&self.buffer[from..to])
    }
}
