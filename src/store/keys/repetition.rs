//! How often the same content came before: exact, in flat memory, for imports of rows that have no id.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use crate::domain::Fingerprint;
use crate::store::durable;
use crate::store::faults::Faults;
use crate::store::keys::run::Width;
use crate::store::keys::runs::Runs;

/// Counts equal contents; what does not fit into memory goes to a folder, which is removed with the counter.
#[derive(Debug)]
pub struct RepetitionCounter {
    folder: PathBuf,
    buffer: HashMap<Fingerprint, u64, foldhash::fast::RandomState>,
    limit: usize,
    runs: Runs,
}

impl RepetitionCounter {
    /// With at most `limit` contents in memory (about 40 bytes each) and the rest in `folder`, which is made when it is
    /// needed, must belong to this counter alone, and is removed with it.
    #[must_use]
    pub fn new(folder: PathBuf, limit: usize) -> Self {
        Self {
            runs: Runs::empty(folder.clone(), Width::Counted, Faults::default()),
            folder,
            buffer: HashMap::default(),
            limit: limit.max(1),
        }
    }

    /// How many equal ones came before this one.
    ///
    /// # Errors
    /// The disk's; the count is not what it should be then, so the import must stop.
    pub fn next(&mut self, content: Fingerprint) -> io::Result<u64> {
        if let Some(count) = self.buffer.get_mut(&content) {
            *count += 1;
            return Ok(*count - 1);
        }
        let before = self.runs.get(content)?.unwrap_or_default();
        self.buffer.insert(content, before + 1);
        if self.buffer.len() >= self.limit {
            self.spill()?;
        }
        Ok(before)
    }

    fn spill(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut entries: Vec<_> = self
            .buffer
            .iter()
            .map(|(key, count)| (*key, *count))
            .collect();
        entries.sort_unstable();
        self.runs.add(&entries)?;
        self.buffer.clear();
        self.runs.settle(true)?;
        self.runs.remove_unused();
        Ok(())
    }
}

impl Drop for RepetitionCounter {
    fn drop(&mut self) {
        // a folder that stays behind costs disk only; whoever made it cleans up at the next start
        let _ = durable::remove(&self.folder, &Faults::default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_counts_as_a_map_does(
            numbers in proptest::collection::vec(0..300u16, 0..1_500),
            limit in 1..60usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("counts");
            let mut counter = RepetitionCounter::new(path.clone(), limit);
            let mut expected = HashMap::new();
            for number in numbers {
                let content = Fingerprint::of("row", &[&number.to_le_bytes()]);
                let before = expected.entry(number).or_insert(0u64);
                prop_assert_eq!(counter.next(content).unwrap(), *before);
                *before += 1;
            }
            drop(counter);
            prop_assert!(!path.exists());
        }
    }
}
