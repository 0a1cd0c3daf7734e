//! Features as bins: at most 64 a column, a byte each, cut at quantiles; the exact zero keeps a bin of its own.

use super::draw::{Purpose, key};
use super::examples::Examples;
use super::params::MAX_BINS;

/// Rows that the edges are taken from; more would move a quantile by less than a hundredth of a bin.
const SAMPLE: usize = 100_000;
/// Columns are handled in so many at a time; a row of bins is padded to a multiple.
pub(super) const LANES: usize = 8;

/// A column that is worth splitting on: one with at least two bins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// Its place in the features.
    pub(super) feature: u16,
    /// Rising; bin `b` holds the values above `edges[b - 1]` and up to `edges[b]`. At least one, at most 63.
    pub(super) edges: Vec<f32>,
}

/// The examples in bins, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bins {
    columns: Vec<Column>,
    stride: usize,
    /// Row by row.
    cells: Vec<u8>,
    /// The same column by column.
    by_column: Vec<Vec<u8>>,
}

impl Bins {
    /// Cuts every column into at most `max_bins` bins, and sorts the rows in.
    pub(super) fn new(examples: &Examples<'_>, max_bins: usize) -> Self {
        let sample = sample(examples.rows());
        let mut values = Vec::with_capacity(sample.len());
        let mut columns = Vec::new();
        for feature in 0..examples.columns() {
            values.clear();
            values.extend(sample.iter().map(|&row| examples.row(row)[feature]));
            let edges = edges(&mut values, max_bins);
            if !edges.is_empty() {
                let feature = u16::try_from(feature).expect("examples have at most 4,096 columns");
                columns.push(Column { feature, edges });
            }
        }
        let stride = columns.len().next_multiple_of(LANES);
        let ladders: Vec<Ladder> = columns.iter().map(Ladder::new).collect();
        let mut cells = vec![0u8; stride * examples.rows()];
        let mut by_column = vec![vec![0u8; examples.rows()]; columns.len()];
        if stride > 0 {
            let rows = examples.features().chunks_exact(examples.columns());
            for ((number, row), out) in rows.enumerate().zip(cells.chunks_exact_mut(stride)) {
                for ((ladder, out), column) in ladders.iter().zip(out).zip(&mut by_column) {
                    *out = ladder.bin(row[ladder.feature]);
                    column[number] = *out;
                }
            }
        }
        Self {
            columns,
            stride,
            cells,
            by_column,
        }
    }

    /// The columns that can be split on.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The bins of a row: as many as there are columns, padded with zeros to a multiple of [`LANES`].
    pub(super) fn row(&self, row: u32) -> &[u8] {
        let start = row as usize * self.stride;
        &self.cells[start..start + self.stride]
    }

    /// How many bins [`Self::row`] gives.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The bins of a column.
    pub(super) fn column(&self, column: usize) -> &[u8] {
        &self.by_column[column]
    }
}

/// The edges of a column, padded so that six comparisons find every bin.
struct Ladder {
    feature: usize,
    edges: [f32; MAX_BINS],
}

impl Ladder {
    fn new(column: &Column) -> Self {
        let mut edges = [f32::INFINITY; MAX_BINS];
        edges[..column.edges.len()].copy_from_slice(&column.edges);
        let feature = usize::from(column.feature);
        Self { feature, edges }
    }

    /// How many edges are below the value.
    fn bin(&self, value: f32) -> u8 {
        let mut below = 0;
        for step in [32, 16, 8, 4, 2, 1] {
            let is_above = value > self.edges[(below + step - 1) % MAX_BINS];
            below += step * usize::from(is_above);
        }
        below as u8
    }
}

/// All rows, or one of each of [`SAMPLE`] equal stretches.
fn sample(rows: usize) -> Vec<usize> {
    if rows <= SAMPLE {
        return (0..rows).collect();
    }
    let stretch = |i: usize| i * rows / SAMPLE;
    (0..SAMPLE)
        .map(|i| {
            let (start, end) = (stretch(i), stretch(i + 1));
            start + (key(0, Purpose::Edges, 0, i as u64) % (end - start) as u64) as usize
        })
        .collect()
}

/// A distinct value, and how many rows have it.
type Counted = (f32, usize);

/// Where to cut: between the distinct values if they are few, else at quantiles, with the zero, if it occurs,
/// on its own.
fn edges(values: &mut [f32], max_bins: usize) -> Vec<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let mut distinct: Vec<Counted> = Vec::new();
    for &value in &*values {
        match distinct.last_mut() {
            // −0 and 0 are the same value
            Some((last, count)) if *last >= value => *count += 1,
            _ => distinct.push((value, 1)),
        }
    }
    let cut = |after: usize| between(distinct[after].0, distinct[after + 1].0);
    if distinct.len() <= max_bins {
        return (1..distinct.len()).map(|i| cut(i - 1)).collect();
    }
    let below = distinct.partition_point(|&(value, _)| value < 0.0);
    let above = distinct.partition_point(|&(value, _)| value <= 0.0);
    let rows = |part: &[Counted]| part.iter().map(|&(_, count)| count).sum::<usize>();
    let (negative, positive) = (&distinct[..below], &distinct[above..]);
    let sides = usize::from(!negative.is_empty()) + usize::from(!positive.is_empty());
    let cuts = if below == above || max_bins <= sides {
        quantiles(&distinct, max_bins)
    } else {
        let spare = max_bins - 1;
        let share = rows(negative) as f64 / (rows(negative) + rows(positive)) as f64;
        let left = (share * spare as f64).round() as usize;
        let left = left.clamp(
            usize::from(!negative.is_empty()),
            spare - usize::from(!positive.is_empty()),
        );
        let mut cuts = quantiles(negative, left);
        if !negative.is_empty() {
            cuts.push(below - 1);
        }
        if !positive.is_empty() {
            cuts.push(above - 1);
        }
        let right = quantiles(positive, spare - left);
        cuts.extend(right.into_iter().map(|after| above + after));
        cuts
    };
    cuts.into_iter().map(cut).collect()
}

/// After which of the distinct values to cut to get at most `bins` bins of about as many rows. Values that fill
/// a bin by themselves get one of their own; the others share what is left (LightGBM, `GreedyFindBin`).
fn quantiles(distinct: &[Counted], bins: usize) -> Vec<usize> {
    if bins >= distinct.len() {
        return (1..distinct.len()).map(|i| i - 1).collect();
    }
    let rows: usize = distinct.iter().map(|&(_, count)| count).sum();
    let fair = rows as f64 / bins as f64;
    let is_heavy = |place: usize| distinct[place].1 as f64 >= fair;
    let heavy = (0..distinct.len()).filter(|&place| is_heavy(place));
    let (mut bins_left, mut rows_left) = (bins, rows);
    for place in heavy {
        bins_left -= 1;
        rows_left -= distinct[place].1;
    }
    let mut goal = rows_left as f64 / bins_left.max(1) as f64;
    let mut cuts = Vec::with_capacity(bins);
    let mut filled = 0;
    for (place, &(_, count)) in distinct.iter().enumerate() {
        if cuts.len() + 1 >= bins || place + 1 == distinct.len() {
            break;
        }
        filled += count;
        if !is_heavy(place) {
            rows_left -= count;
        }
        let before_heavy = is_heavy(place + 1) && filled as f64 >= goal / 2.0;
        if is_heavy(place) || filled as f64 >= goal || before_heavy {
            cuts.push(place);
            filled = 0;
            if !is_heavy(place) {
                bins_left = bins_left.saturating_sub(1);
                goal = rows_left as f64 / bins_left.max(1) as f64;
            }
        }
    }
    cuts
}

/// The middle of two values, at least the lower and below the higher.
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::super::examples::Parts;
    use super::*;

    fn bins_of(edges: &[f32], value: f32) -> usize {
        edges.iter().filter(|&&edge| edge < value).count()
    }

    #[test]
    fn few_values_have_a_bin_each() {
        let edges = edges(&mut [2.0, 0.0, 1.0, 2.0, -0.0, 1.0], 64);
        assert_eq!(edges, [0.5, 1.5]);
        assert!(super::edges(&mut [3.0; 9], 64).is_empty());
        assert!(super::edges(&mut [], 64).is_empty());
    }

    #[test]
    fn zero_is_alone_among_many() {
        let mut values: Vec<f32> = (-500..=4_000_i16).map(|i| f32::from(i) / 10.0).collect();
        values.extend([0.0; 9_000]);
        let edges = edges(&mut values, 64);
        assert!(edges.len() <= 63 && edges.len() > 50, "{}", edges.len());
        assert!(edges.is_sorted());
        let zero = bins_of(&edges, 0.0);
        assert_eq!(bins_of(&edges, -0.1) + 1, zero);
        assert_eq!(bins_of(&edges, 0.1), zero + 1);
    }

    #[test]
    fn bins_hold_about_as_many_rows() {
        let mut values: Vec<f32> = (1..=6_400_u16).map(|i| f32::from(i).sqrt()).collect();
        let edges = edges(&mut values, 64);
        let mut count = [0; 64];
        for &value in &values {
            count[bins_of(&edges, value)] += 1;
        }
        assert!(
            count.iter().all(|count| (90..=110).contains(count)),
            "{count:?}"
        );
        // a heavy value takes a bin, the others still get the rest
        values.extend([7.5; 9_000]);
        let edges = super::edges(&mut values, 16);
        let heavy = bins_of(&edges, 7.5);
        let others = values
            .iter()
            .filter(|&&value| bins_of(&edges, value) == heavy);
        assert!(others.count() < 9_700);
        assert_eq!(edges.len(), 15);
    }

    #[test]
    fn extreme_values_are_told_apart() {
        let edges = edges(&mut [f32::MIN, f32::MAX, 0.0, f32::MIN_POSITIVE, 1e-45], 64);
        assert_eq!(edges.len(), 4);
        assert!(edges.iter().all(|edge| edge.is_finite()));
        let bins = [f32::MIN, 0.0, 1e-45, f32::MIN_POSITIVE, f32::MAX].map(|v| bins_of(&edges, v));
        assert_eq!(bins, [0, 1, 2, 3, 4]);
        for most in 2..10 {
            let mut values: Vec<f32> = (-50..50_i8).map(f32::from).collect();
            assert!(super::edges(&mut values, most).len() < most);
        }
    }

    #[test]
    fn rows_fall_into_the_bins_of_the_edges() {
        let features: Vec<f32> = (0..600_u16)
            .flat_map(|i| [f32::from(i * 7 % 601), 4.0, f32::from(i % 3)])
            .collect();
        let examples = Examples::new(Parts {
            features: &features,
            columns: 3,
            labels: &[0; 600],
            groups: &[600],
            weights: None,
            base: None,
        })
        .unwrap();
        let bins = Bins::new(&examples, 32);
        let kept: Vec<u16> = bins.columns().iter().map(|c| c.feature).collect();
        assert_eq!(kept, [0, 2], "the constant column is of no use");
        for row in 0..600 {
            for (place, column) in bins.columns().iter().enumerate() {
                let value = examples.row(row as usize)[usize::from(column.feature)];
                let bin = usize::from(bins.row(row)[place]);
                assert_eq!(bin, bins_of(&column.edges, value));
            }
            assert_eq!(bins.row(row).len(), LANES);
        }
    }

    #[test]
    fn many_rows_are_sampled_evenly() {
        let sample = sample(250_001);
        assert_eq!(sample.len(), SAMPLE);
        assert!(sample.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(sample[SAMPLE - 1] < 250_001 && sample[SAMPLE - 1] > 249_990);
    }
}
