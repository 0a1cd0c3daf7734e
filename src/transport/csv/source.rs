//! Opening a file: plain or gzip by its first bytes, whatever its name is, with the position for
//! progress.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::FileError;

const BUFFER_BYTES: usize = 256 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];
/// What is often named `.csv` and is not, by its first bytes.
const NOT_CSV: &[(&[u8], &str)] = &[
    (&[0xff, 0xfe], "UTF-16 text"),
    (&[0xfe, 0xff], "UTF-16 text"),
    (b"PK\x03\x04", "a zip archive or spreadsheet"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"PAR1", "a Parquet file"),
];

/// How far a file has been read, in bytes as they lie on the disk. Shared: reading moves it on.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The size of the file; 0 if it has none (a pipe).
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Unpacked bytes of a file.
pub(super) type Input = Box<dyn BufRead + Send>;

pub(super) fn open(path: &Path) -> Result<(Input, Progress), FileError> {
    let unreadable = |source| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?.len();
    let read = Arc::new(AtomicU64::new(0));
    let progress = Progress {
        read: Arc::clone(&read),
        total,
    };
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, Counted { file, read });
    let start = plain.fill_buf().map_err(unreadable)?;
    if let Some((_, found)) = NOT_CSV.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(FileError::NotCsv {
            path: path.to_owned(),
            found,
        });
    }
    let input: Input = if start.starts_with(GZIP) {
        let unpacked = Unpacked(MultiGzDecoder::new(plain));
        Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
    } else {
        Box::new(plain)
    };
    Ok((input, progress))
}

/// Unpacks gzip; the errors say that it is the packing that is at fault, which those of the decoder do not.
struct Unpacked<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            kind @ io::ErrorKind::UnexpectedEof => {
                io::Error::new(kind, "the file is cut short: its gzip data do not end")
            }
            kind @ (io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
                io::Error::new(kind, format!("its gzip data are damaged: {error}"))
            }
            _ => error,
        })
    }
}
