//! The files of a simulated shop: written under temporary names, renamed when all are complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The files, without their endings.
const NAMES: [&str; 10] = [
    "products",
    "customers",
    "offers",
    "events",
    "truth_customers",
    "truth_offers",
    "truth_due",
    "truth_replenishment",
    "truth_products",
    "truth_pain_points",
];

/// A folder that is being filled.
#[derive(Debug)]
pub(super) struct Shop {
    dir: PathBuf,
    gzip: bool,
    /// Temporary and final name of each complete file.
    complete: Vec<(PathBuf, PathBuf)>,
    published: bool,
}

impl Shop {
    /// Makes the folder; refuses to replace files unless told to.
    pub(super) fn create(dir: &Path, gzip: bool, force: bool) -> anyhow::Result<Shop> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let taken = NAMES
            .iter()
            .flat_map(|name| [plain(dir, name), zipped(dir, name)]);
        if !force && let Some(path) = taken.into_iter().find(|path| path.exists()) {
            bail!("{} exists already; --force replaces it", path.display());
        }
        Ok(Shop {
            dir: dir.to_path_buf(),
            gzip,
            complete: Vec::new(),
            published: false,
        })
    }

    /// Opens one file for writing, under its temporary name.
    pub(super) fn open(&self, name: &'static str) -> anyhow::Result<Table> {
        let temporary = self.temporary(name);
        let file = File::create(&temporary)
            .with_context(|| format!("cannot write {}", temporary.display()))?;
        let buffered = BufWriter::with_capacity(1 << 16, file);
        let sink = if self.gzip {
            Sink::Gzip(GzEncoder::new(buffered, Compression::fast()))
        } else {
            Sink::Plain(buffered)
        };
        Ok(Table {
            name,
            rows: csv::Writer::from_writer(sink),
        })
    }

    /// Takes back a file that has all its rows.
    pub(super) fn close(&mut self, table: Table) -> anyhow::Result<()> {
        let name = table.name;
        let sink = table
            .rows
            .into_inner()
            .map_err(csv::IntoInnerError::into_error);
        sink.and_then(Sink::finish)
            .with_context(|| format!("cannot write {name}"))?;
        let ending = if self.gzip { zipped } else { plain };
        self.complete
            .push((self.temporary(name), ending(&self.dir, name)));
        Ok(())
    }

    /// Gives every file its name, and removes those of an earlier run with the other ending, or that this one does not
    /// have.
    pub(super) fn publish(mut self) -> anyhow::Result<()> {
        for name in NAMES {
            for old in [plain(&self.dir, name), zipped(&self.dir, name)] {
                let is_replaced = self.complete.iter().any(|(_, path)| *path == old);
                if !is_replaced && old.exists() {
                    fs::remove_file(&old)
                        .with_context(|| format!("cannot replace {}", old.display()))?;
                }
            }
        }
        for (temporary, path) in &self.complete {
            fs::rename(temporary, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.published = true;
        Ok(())
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.partial"))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if !self.published {
            for name in NAMES {
                // What was never opened is not there; nothing more can be done about the rest.
                let _gone = fs::remove_file(self.temporary(name));
            }
        }
    }
}

fn plain(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.csv"))
}

fn zipped(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.csv.gz"))
}

/// One file that is being written.
#[derive(Debug)]
pub(super) struct Table {
    name: &'static str,
    /// Its rows.
    pub(super) rows: csv::Writer<Sink>,
}

/// Where the rows go.
#[derive(Debug)]
pub(super) enum Sink {
    /// As they are.
    Plain(BufWriter<File>),
    /// Compressed.
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Sink {
    fn finish(self) -> io::Result<()> {
        match self {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(encoder) => encoder.finish()?.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(file) => file.write(bytes),
            Sink::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(file) => file.flush(),
            Sink::Gzip(encoder) => encoder.flush(),
        }
    }
}
