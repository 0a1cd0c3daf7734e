//! The file of refused rows: where, which column, why, and the row itself, so that it can be mended
//! and imported.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use crate::application::import::Refusal;

const HEADER: [&str; 6] = ["file", "line", "column", "code", "reason", "row"];

/// Why the file cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum RefusalsError {
    /// The system does not let us.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is something else there, which would be lost.
    #[error("{}: is there already and is no file of refused rows", path.display())]
    Occupied {
        /// Which file.
        path: PathBuf,
    },
}

/// Writes refused rows.
#[derive(Debug)]
pub struct Refusals {
    writer: csv::Writer<BufWriter<File>>,
}

impl Refusals {
    /// Begins a file; one of an earlier import is replaced, anything else is left alone.
    ///
    /// # Errors
    /// [`RefusalsError`].
    pub fn create(path: &Path) -> Result<Self, RefusalsError> {
        let unwritable = |source| RefusalsError::Unwritable {
            path: path.to_owned(),
            source,
        };
        if !is_replaceable(path).map_err(unwritable)? {
            let path = path.to_owned();
            return Err(RefusalsError::Occupied { path });
        }
        let file = File::create(path).map_err(unwritable)?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        writer
            .write_record(HEADER)
            .and_then(|()| writer.flush().map_err(csv::Error::from))
            .map_err(|error| unwritable(io::Error::from(error)))?;
        Ok(Self { writer })
    }

    /// Notes one refused row of `file`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&mut self, file: &str, refusal: &Refusal) -> io::Result<()> {
        let line = refusal.line.to_string();
        let cells = [
            file,
            &line,
            &refusal.column,
            refusal.code.as_str(),
            &refusal.reason,
            &refusal.row,
        ];
        self.writer.write_record(cells).map_err(io::Error::from)
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// True if there is nothing, an empty file, something that is no file (`/dev/null`), or an earlier
/// file of refused rows.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    }
    let mut start = String::new();
    let mut limited = io::Read::take(BufReader::new(File::open(path)?), 256);
    match limited.read_line(&mut start) {
        Ok(_) => Ok(start.is_empty() || start.trim_end() == HEADER.join(",")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaultCode;

    #[test]
    fn rows_are_kept_and_other_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.csv");
        let refusal = Refusal {
            line: 7,
            column: "price".to_owned(),
            code: FaultCode::NotANumber,
            reason: "not a number".to_owned(),
            row: "p1,\"a\nb\",x".to_owned(),
        };
        for _ in 0..2 {
            let mut refusals = Refusals::create(&path).unwrap();
            refusals.write("products.csv", &refusal).unwrap();
            refusals.flush().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "file,line,column,code,reason,row\n\
            products.csv,7,price,NOT_A_NUMBER,not a number,\"p1,\"\"a\nb\"\",x\"\n";
        assert_eq!(text, expected);

        std::fs::write(&path, "customer_id\nc1\n").unwrap();
        let occupied = Refusals::create(&path);
        assert!(matches!(occupied, Err(RefusalsError::Occupied { .. })));
    }
}
