//! What is known of a customer before a treatment, as numbers: standardised amounts, one column for each frequent
//! category.

/// The most columns of a fit, those of every arm together.
pub const MAX_COLUMNS: usize = 400;
/// A category, or being absent, needs so many rows for a column of its own.
pub const MIN_CATEGORY_ROWS: usize = 50;
/// Standardised amounts are kept within so many standard deviations.
const MAX_DEVIATIONS: f64 = 5.0;

/// One feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureColumn {
    /// Its name.
    pub name: String,
    /// Its value in each row.
    pub values: FeatureValues,
}

/// The values of a feature, by row.
#[derive(Debug, Clone, PartialEq)]
pub enum FeatureValues {
    /// Amounts; NaN where there is none.
    Numbers(Vec<f64>),
    /// Categories, numbered from 0.
    Categories(Vec<u32>),
}

impl FeatureValues {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Categories(categories) => categories.len(),
        }
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Features as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Row by row.
    cells: Vec<f64>,
    /// The feature of each column.
    names: Vec<String>,
    /// Features without a column: constant, or without a frequent category.
    pub unused: Vec<String>,
}

/// One column to come.
enum Column<'a> {
    Amount {
        numbers: &'a [f64],
        mean: f64,
        scale: f64,
    },
    Absent(&'a [f64]),
    Category(&'a [u32], u32),
}

impl Column<'_> {
    fn cell(&self, row: usize) -> f64 {
        match self {
            Self::Amount {
                numbers,
                mean,
                scale,
            } => {
                let number = numbers[row];
                let deviations = if number.is_nan() {
                    0.0
                } else {
                    (number - mean) / scale
                };
                deviations.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
            }
            Self::Absent(numbers) => f64::from(numbers[row].is_nan()),
            Self::Category(of_row, category) => f64::from(of_row[row] == *category),
        }
    }
}

impl Encoded {
    /// Encodes features of `rows` rows for a trial of `arms` arms. Outcomes play no part.
    #[must_use]
    pub fn of(features: &[FeatureColumn], rows: usize, arms: usize) -> Self {
        // how frequent, which feature, and the column
        let mut columns: Vec<(usize, usize, Column<'_>)> = Vec::new();
        for (place, feature) in features.iter().enumerate() {
            match &feature.values {
                FeatureValues::Numbers(numbers) => {
                    let absent = numbers.iter().filter(|number| number.is_nan()).count();
                    if let Some((mean, scale)) = standard(numbers) {
                        columns.push((
                            rows,
                            place,
                            Column::Amount {
                                numbers,
                                mean,
                                scale,
                            },
                        ));
                    }
                    if (MIN_CATEGORY_ROWS..rows).contains(&absent) {
                        columns.push((absent, place, Column::Absent(numbers)));
                    }
                }
                FeatureValues::Categories(of_row) => {
                    let most = of_row.iter().max().map_or(0, |most| *most as usize + 1);
                    let mut counts = vec![0usize; most];
                    of_row
                        .iter()
                        .for_each(|&category| counts[category as usize] += 1);
                    let frequent = (0..)
                        .zip(counts)
                        .filter(|(_, count)| (MIN_CATEGORY_ROWS..rows).contains(count));
                    columns.extend(frequent.map(|(category, count)| {
                        (count, place, Column::Category(of_row, category))
                    }));
                }
            }
        }
        // the most frequent ones; stable, so amounts come first
        columns.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        columns.truncate(MAX_COLUMNS / arms.max(1));
        let mut cells = Vec::with_capacity(rows * columns.len());
        for row in 0..rows {
            cells.extend(columns.iter().map(|(_, _, column)| column.cell(row)));
        }
        let is_used = |place: usize| columns.iter().any(|&(_, own, _)| own == place);
        let unused = features
            .iter()
            .enumerate()
            .filter(|(place, _)| !is_used(*place));
        Self {
            unused: unused.map(|(_, feature)| feature.name.clone()).collect(),
            names: columns
                .iter()
                .map(|&(_, place, _)| features[place].name.clone())
                .collect(),
            cells,
        }
    }

    /// How many columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.names.len()
    }

    /// The feature a column is of.
    #[must_use]
    pub fn name(&self, column: usize) -> &str {
        &self.names[column]
    }

    /// The numbers of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.names.len()..][..self.names.len()]
    }
}

/// Mean and standard deviation of what is there; nothing if it is all the same.
fn standard(numbers: &[f64]) -> Option<(f64, f64)> {
    let there = || numbers.iter().copied().filter(|number| !number.is_nan());
    let count = there().count() as f64;
    let mean = there().sum::<f64>() / count;
    let scale = (there().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt();
    let varies = scale.is_finite() && scale > 1e-12 * mean.abs().max(1e-12);
    varies.then_some((mean, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, values: FeatureValues) -> FeatureColumn {
        FeatureColumn {
            name: name.to_owned(),
            values,
        }
    }

    #[test]
    fn features_become_numbers() {
        let rows = 200;
        let absent = |row: usize| if row < 50 { f64::NAN } else { (row % 2) as f64 };
        let features = [
            feature(
                "category",
                FeatureValues::Categories((0..200).map(|row| u32::from(row < 60)).collect()),
            ),
            feature(
                "amount",
                FeatureValues::Numbers((0..rows).map(absent).collect()),
            ),
            feature("constant", FeatureValues::Numbers(vec![3.0; rows])),
            feature("nothing", FeatureValues::Numbers(vec![f64::NAN; rows])),
            feature("own", FeatureValues::Categories((0..200).collect())),
        ];
        let encoded = Encoded::of(&features, rows, 2);
        let names: Vec<&str> = (0..encoded.columns())
            .map(|column| encoded.name(column))
            .collect();
        assert_eq!(names, ["amount", "category", "category", "amount"]);
        assert_eq!(encoded.unused, ["constant", "nothing", "own"]);
        // absent: the mean, and a mark; 1 is one standard deviation above the mean of 0 and 1
        assert_eq!(encoded.row(0), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(encoded.row(51), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(encoded.row(60), [-1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn columns_are_bounded_and_far_amounts_are_kept_near() {
        let many: Vec<FeatureColumn> = (0..MAX_COLUMNS)
            .map(|number| feature(&number.to_string(), FeatureValues::Numbers(vec![0.0, 1.0])))
            .collect();
        let encoded = Encoded::of(&many, 2, 4);
        assert_eq!((encoded.columns(), encoded.unused.len()), (100, 300));
        let mut far = vec![0.0; 1_000];
        far[0] = 1e12;
        let encoded = Encoded::of(&[feature("far", FeatureValues::Numbers(far))], 1_000, 2);
        assert!((encoded.row(0)[0] - MAX_DEVIATIONS).abs() < 1e-9);
    }
}
