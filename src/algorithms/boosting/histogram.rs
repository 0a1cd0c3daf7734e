//! Sums of gradients by column and bin, in fixed point: exact in any order, so one child is the parent less the
//! other.

use super::bins::{Bins, LANES};
use super::params::MAX_BINS;

/// First and second derivative of the loss by a row's score.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Gradient {
    pub(super) first: f64,
    /// 0 or more.
    pub(super) second: f64,
}

/// So many rows are fetched at a time.
const BATCH: usize = 16;
/// So many rows are added up within 64 bits: 10 bits count them, 26 hold the second derivatives, 28 the first.
const BLOCK: usize = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 10;
const SECOND_BITS: u32 = 26;
/// The largest second derivative of a row, in steps.
const SECOND_MOST: u32 = 1 << (SECOND_BITS - COUNT_BITS);
/// The largest first derivative of a row, in steps; it is added to each, so that none is negative.
const FIRST_SHIFT: u32 = 28 - COUNT_BITS - 1;
const FIRST_MOST: u32 = 1 << FIRST_SHIFT;

/// The gradients of one tree in fixed point, packed. A first derivative is rounded to 2^-17 of the largest, a
/// second to 2^-16; leaf values are taken from the gradients themselves.
#[derive(Debug, Default)]
pub(super) struct Quanta {
    /// For each row; what stands at rows that were not given is of no meaning.
    packed: Vec<u64>,
    /// What a first derivative of one step is.
    pub(super) first_step: f64,
    /// What a second derivative of one step is.
    pub(super) second_step: f64,
}

impl Quanta {
    /// Takes the gradients of these rows.
    pub(super) fn take(&mut self, gradients: &[Gradient], rows: &[u32]) {
        let (mut first, mut second) = (0.0f64, 0.0f64);
        for &row in rows {
            let gradient = gradients[row as usize];
            first = first.max(gradient.first.abs());
            second = second.max(gradient.second);
        }
        self.first_step = first / f64::from(FIRST_MOST);
        self.second_step = second / f64::from(SECOND_MOST);
        let scale = |largest: f64, steps: u32| {
            // below that the quotient could be infinite; nobody can learn from it
            if largest > 1e-200 {
                f64::from(steps) / largest
            } else {
                0.0
            }
        };
        let (first, second) = (scale(first, FIRST_MOST), scale(second, SECOND_MOST));
        self.packed.resize(gradients.len(), 0);
        for &row in rows {
            let gradient = gradients[row as usize];
            // casts of floats to integers stop at the ends
            let lifted = (gradient.first * first + f64::from(FIRST_MOST) + 0.5) as u32;
            let steps = (gradient.second * second + 0.5) as u32;
            let lifted = u64::from(lifted.min(2 * FIRST_MOST));
            let steps = u64::from(steps.min(SECOND_MOST));
            self.packed[row as usize] =
                (lifted << (COUNT_BITS + SECOND_BITS)) | (steps << COUNT_BITS) | 1;
        }
    }
}

/// Sums over rows, in steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) first: i64,
    pub(super) second: i64,
    pub(super) rows: i64,
}

impl Sums {
    /// The rows of `self` that are not in `other`.
    pub(super) fn without(self, other: Self) -> Self {
        Self {
            first: self.first - other.first,
            second: self.second - other.second,
            rows: self.rows - other.rows,
        }
    }
}

/// The sums of one column, by bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnSums {
    first: [i64; MAX_BINS],
    second: [i64; MAX_BINS],
    rows: [i64; MAX_BINS],
}

impl ColumnSums {
    const EMPTY: Self = Self {
        first: [0; MAX_BINS],
        second: [0; MAX_BINS],
        rows: [0; MAX_BINS],
    };

    /// The sums of each bin.
    pub(super) fn bins(&self) -> impl Iterator<Item = Sums> + '_ {
        let pairs = self.first.iter().zip(&self.second).zip(&self.rows);
        pairs.map(|((&first, &second), &rows)| Sums {
            first,
            second,
            rows,
        })
    }

    fn subtract(&mut self, other: &Self) {
        let parts = [
            (&mut self.first, &other.first),
            (&mut self.second, &other.second),
            (&mut self.rows, &other.rows),
        ];
        for (mine, theirs) in parts {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine = mine.wrapping_sub(*theirs);
            }
        }
    }
}

/// The sums of one leaf: for each column drawn, by bin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Histogram(Vec<ColumnSums>);

impl Histogram {
    /// The columns, in the order drawn.
    pub(super) fn columns(&self) -> &[ColumnSums] {
        &self.0
    }

    /// The sums over all rows; nothing without columns.
    pub(super) fn total(&self) -> Sums {
        let mut total = Sums::default();
        for bin in self.0.iter().take(1).flat_map(ColumnSums::bins) {
            total.first += bin.first;
            total.second += bin.second;
            total.rows += bin.rows;
        }
        total
    }

    /// Leaves what is in this and not in `other`, a part of it.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.subtract(theirs);
        }
    }
}

/// Packed sums of [`LANES`] columns, column by column.
type Cells = [u64; LANES * MAX_BINS];

/// Fills histograms; keeps the space for it.
#[derive(Debug, Default)]
pub(super) struct Filler {
    /// For each column and bin the packed sums of at most [`BLOCK`] rows; [`LANES`] columns at a time.
    cells: Vec<Cells>,
    /// The columns drawn, padded to a multiple of [`LANES`]; empty if they are all there are, in order.
    list: Vec<u16>,
    /// The bins of a batch of rows.
    gathered: Vec<u8>,
}

impl Filler {
    /// Looks at these of the columns of `bins` from now on, at least one.
    pub(super) fn choose(&mut self, bins: &Bins, chosen: &[u32]) {
        self.list.clear();
        if chosen.len() < bins.columns().len() {
            self.list.extend(chosen.iter().map(|&place| place as u16));
            self.list.resize(chosen.len().next_multiple_of(LANES), 0);
        }
        let chunks = chosen.len().div_ceil(LANES);
        self.cells.resize(chunks, [0; LANES * MAX_BINS]);
    }

    /// The sums of these rows over the first `columns` of the columns chosen, written to `into`.
    pub(super) fn fill(
        &mut self,
        into: &mut Histogram,
        columns: usize,
        bins: &Bins,
        quanta: &Quanta,
        rows: &[u32],
    ) {
        into.0.clear();
        into.0.resize(columns, ColumnSums::EMPTY);
        let stride = bins.stride();
        self.gathered.resize(BATCH * stride, 0);
        let mut values = [0; BATCH];
        for block in rows.chunks(BLOCK) {
            for batch in block.chunks(BATCH) {
                gather(bins, quanta, batch, &mut values, &mut self.gathered);
                let gathered = self.gathered.chunks_exact(stride).zip(values);
                for (row, value) in gathered.take(batch.len()) {
                    if self.list.is_empty() {
                        add_all(&mut self.cells, row, value);
                    } else {
                        add_listed(&mut self.cells, &self.list, row, value);
                    }
                }
            }
            self.empty_into(into);
        }
    }

    fn empty_into(&mut self, into: &mut Histogram) {
        let (columns, _) = self.cells.as_flattened_mut().as_chunks_mut::<MAX_BINS>();
        for (cells, sums) in columns.iter().zip(&mut into.0) {
            let sums = sums
                .first
                .iter_mut()
                .zip(&mut sums.second)
                .zip(&mut sums.rows);
            for (cell, ((first, second), rows)) in cells.iter().zip(sums) {
                let count = cell & BLOCK as u64;
                let steps = (cell >> COUNT_BITS) & ((1 << SECOND_BITS) - 1);
                let lifted = cell >> (COUNT_BITS + SECOND_BITS);
                let lift = count << FIRST_SHIFT;
                *first = first.wrapping_add(lifted.wrapping_sub(lift) as i64);
                *second = second.wrapping_add(steps as i64);
                *rows = rows.wrapping_add(count as i64);
            }
        }
        columns.fill([0; MAX_BINS]);
    }
}

/// Copies the bins and values of a few rows next to each other. Rows of a leaf lie far apart; so all are
/// fetched at once, where adding them up row by row would wait for each.
fn gather(
    bins: &Bins,
    quanta: &Quanta,
    rows: &[u32],
    values: &mut [u64; BATCH],
    gathered: &mut [u8],
) {
    for (value, &row) in values.iter_mut().zip(rows) {
        *value = quanta.packed[row as usize];
    }
    for (to, &row) in gathered.chunks_exact_mut(bins.stride()).zip(rows) {
        to.copy_from_slice(bins.row(row));
    }
}

fn add(cells: &mut Cells, lane: usize, bin: u8, value: u64) {
    let cell = &mut cells[(lane % LANES) * MAX_BINS + usize::from(bin) % MAX_BINS];
    *cell = cell.wrapping_add(value);
}

/// Adds a row to all columns.
fn add_all(cells: &mut [Cells], row: &[u8], value: u64) {
    let (row, _) = row.as_chunks::<LANES>();
    for (cells, row) in cells.iter_mut().zip(row) {
        for (lane, &bin) in row.iter().enumerate() {
            add(cells, lane, bin, value);
        }
    }
}

/// Adds a row to the columns of the list.
fn add_listed(cells: &mut [Cells], list: &[u16], row: &[u8], value: u64) {
    let (list, _) = list.as_chunks::<LANES>();
    for (cells, list) in cells.iter_mut().zip(list) {
        for (lane, &place) in list.iter().enumerate() {
            add(cells, lane, row[usize::from(place)], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{Examples, Parts};
    use super::*;

    /// 5,000 rows of 11 columns.
    fn made_up() -> (Vec<f32>, Vec<Gradient>) {
        let features = (0..55_000u32)
            .map(|i| ((i * 7_919) % 1_013) as f32)
            .collect();
        let gradients = (0..5_000u32)
            .map(|i| Gradient {
                first: f64::from(i * 31 % 101) / 50.0 - 1.0,
                second: f64::from(i * 17 % 97) / 388.0,
            })
            .collect();
        (features, gradients)
    }

    fn binned(features: &[f32]) -> Bins {
        let examples = Examples::new(Parts {
            features,
            columns: 11,
            labels: &[0; 5_000],
            groups: &[5_000],
            weights: None,
            base: None,
        });
        Bins::new(&examples.unwrap(), 64)
    }

    #[test]
    fn sums_are_those_of_the_gradients() {
        let (features, gradients) = made_up();
        let bins = binned(&features);
        let rows: Vec<u32> = (0..5_000).filter(|row| row % 3 > 0).collect();
        let mut quanta = Quanta::default();
        quanta.take(&gradients, &rows);
        let mut filler = Filler::default();
        for chosen in [vec![0, 2, 10], (0..11).collect()] {
            filler.choose(&bins, &chosen);
            let mut histogram = Histogram::default();
            filler.fill(&mut histogram, chosen.len(), &bins, &quanta, &rows);
            assert_eq!(histogram.total().rows, rows.len() as i64);
            for (sums, &place) in histogram.columns().iter().zip(&chosen) {
                for (bin, sums) in sums.bins().enumerate() {
                    let is_in = |row: &&u32| usize::from(bins.row(**row)[place as usize]) == bin;
                    let inside: Vec<u32> = rows.iter().filter(is_in).copied().collect();
                    let sum = |part: fn(&Gradient) -> f64| -> f64 {
                        inside
                            .iter()
                            .map(|&row| part(&gradients[row as usize]))
                            .sum()
                    };
                    let most = inside.len() as f64 + 1.0;
                    let first = sums.first as f64 * quanta.first_step;
                    let second = sums.second as f64 * quanta.second_step;
                    assert_eq!(sums.rows, inside.len() as i64);
                    assert!((first - sum(|g| g.first)).abs() <= quanta.first_step * most);
                    assert!((second - sum(|g| g.second)).abs() <= quanta.second_step * most);
                }
            }
        }
    }

    #[test]
    fn a_child_is_the_parent_less_the_other_child() {
        let (features, gradients) = made_up();
        let bins = binned(&features);
        let rows: Vec<u32> = (0..5_000).collect();
        let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&row| row % 5 == 0);
        let mut quanta = Quanta::default();
        quanta.take(&gradients, &rows);
        let mut filler = Filler::default();
        filler.choose(&bins, &(0..11).collect::<Vec<_>>());
        let mut of = |rows: &[u32]| {
            let mut histogram = Histogram::default();
            filler.fill(&mut histogram, 11, &bins, &quanta, rows);
            histogram
        };
        let mut rest = of(&rows);
        rest.subtract(&of(&left));
        assert_eq!(rest, of(&right));
    }

    #[test]
    fn the_largest_gradients_do_not_spill() {
        let features = vec![1.0; 55_000];
        let bins = {
            let mut features = features;
            features[0] = 2.0;
            binned(&features)
        };
        let rows: Vec<u32> = (0..5_000).collect();
        for first in [3.0, -3.0, 0.0] {
            let gradients = vec![Gradient { first, second: 9.0 }; 5_000];
            let mut quanta = Quanta::default();
            quanta.take(&gradients, &rows);
            let mut filler = Filler::default();
            filler.choose(&bins, &[0]);
            let mut histogram = Histogram::default();
            filler.fill(&mut histogram, 1, &bins, &quanta, &rows);
            let total = histogram.total();
            assert!((total.first as f64 * quanta.first_step - 5_000.0 * first).abs() < 1e-6);
            assert!((total.second as f64 * quanta.second_step - 45_000.0).abs() < 1e-6);
            assert_eq!(total.rows, 5_000);
        }
    }
}
