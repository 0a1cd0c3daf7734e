//! Fitting as a whole.

use super::*;

/// Numbers in [0, 1) that look random.
fn noise(count: usize, stream: u64) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |i| {
        let key = draw::key(stream, Purpose::Edges, 9, i);
        (key >> 40) as f32 / (1u64 << 24) as f32
    })
}

/// Rows with their labels in groups of ten.
struct Made {
    features: Vec<f32>,
    columns: usize,
    labels: Vec<u8>,
    groups: Vec<u32>,
}

impl Made {
    fn new(rows: usize, columns: usize, stream: u64, label: impl Fn(&[f32], f32) -> u8) -> Self {
        let features: Vec<f32> = noise(rows * columns, stream).collect();
        let chance = noise(rows, stream + 1);
        let labels = features.chunks(columns).zip(chance);
        Self {
            labels: labels.map(|(row, chance)| label(row, chance)).collect(),
            groups: vec![10; rows / 10],
            features,
            columns,
        }
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            features: &self.features,
            columns: self.columns,
            labels: &self.labels,
            groups: &self.groups,
            weights: None,
            base: None,
        }
    }

    fn examples(&self) -> Examples<'_> {
        Examples::new(self.parts()).unwrap()
    }

    fn scores(&self, fitted: &FittedBoosting) -> Vec<f64> {
        let mut scores = Vec::new();
        let rows = (self.features.len() / self.columns) as u32;
        let places: Vec<u32> = (0..rows).collect();
        fitted.score_rows(&self.features, self.columns, &places, &mut scores);
        scores.into_iter().map(f64::from).collect()
    }
}

/// Two of the columns in opposite halves: no sum of the columns tells that.
fn xor(rows: usize, stream: u64) -> Made {
    Made::new(rows, 4, stream, |row, chance| {
        let is_yes = (row[0] > 0.5) != (row[1] > 0.5);
        u8::from(is_yes == (chance < 0.9))
    })
}

/// Labels 0 to 2 that rise with a product of two columns.
fn ranking(rows: usize, stream: u64) -> Made {
    Made::new(rows, 5, stream, |row, chance| {
        let good = row[0] * row[1] + 0.15 * (chance - 0.5);
        u8::from(good > 0.35) + u8::from(good > 0.6)
    })
}

fn logistic() -> BoostingParams {
    BoostingParams {
        objective: Objective::Logistic,
        trees: 20,
        leaves: 8,
        learning_rate: 0.3,
        min_rows_in_leaf: 5,
        ..BoostingParams::default()
    }
}

fn lambda_rank() -> BoostingParams {
    BoostingParams {
        objective: Objective::LambdaRank { at: 3 },
        ..logistic()
    }
}

/// All rows, all columns.
fn unsampled(params: &BoostingParams) -> BoostingParams {
    BoostingParams {
        feature_share: 1.0,
        row_share: 1.0,
        ..params.clone()
    }
}

fn fit(params: BoostingParams, examples: &Examples<'_>) -> Result<FittedBoosting, FitError> {
    let params = params.check().unwrap();
    params.fit(examples, None, &mut |_, _| true)
}

fn value(objective: Objective, examples: &Examples<'_>, scores: &[f64]) -> f64 {
    Loss::new(objective, examples).value(scores)
}

#[test]
fn learns_what_no_sum_of_columns_tells() {
    let (train, test) = (xor(3_000, 1), xor(1_000, 5));
    let fitted = fit(logistic(), &train.examples()).unwrap();
    let loss = value(Objective::Logistic, &test.examples(), &test.scores(&fitted));
    // ln 2 without knowledge, 0.325 with all there is
    assert!(loss < 0.40, "{loss}");
    let importance = fitted.importance();
    assert!(importance[0].min(importance[1]) > 5.0 * importance[2].max(importance[3]));
}

#[test]
fn orders_better_than_chance_and_than_a_wrong_base() {
    let (train, test) = (ranking(3_000, 2), ranking(1_000, 6));
    let objective = lambda_rank().objective;
    let ndcg = |scores: &[f64]| 1.0 - value(objective, &test.examples(), scores);
    let fitted = fit(lambda_rank(), &train.examples()).unwrap();
    let (chance, learned) = (ndcg(&[0.0; 1_000]), ndcg(&test.scores(&fitted)));
    assert!(chance < 0.6 && learned > 0.85, "{chance} {learned}");
    // a base that orders the wrong way round is made good for
    let wrong = |made: &Made| -> Vec<f32> {
        made.features
            .chunks(5)
            .map(|row| -row[0] * row[1])
            .collect()
    };
    let (base, test_base) = (wrong(&train), wrong(&test));
    let examples = Examples::new(Parts {
        base: Some(&base),
        ..train.parts()
    });
    let fitted = fit(lambda_rank(), &examples.unwrap()).unwrap();
    let test_base: Vec<f64> = test_base.into_iter().map(f64::from).collect();
    let both = test.scores(&fitted).into_iter().zip(&test_base);
    let both: Vec<f64> = both.map(|(score, base)| score + base).collect();
    assert!(
        ndcg(&test_base) < 0.3 && ndcg(&both) > 0.8,
        "{}",
        ndcg(&both)
    );
}

#[test]
fn every_tree_lowers_the_loss() {
    let (xor, ranking) = (xor(1_000, 1), ranking(1_000, 2));
    for (params, made) in [(logistic(), &xor), (lambda_rank(), &ranking)] {
        let params = unsampled(&BoostingParams {
            learning_rate: 0.1,
            ..params
        });
        let examples = made.examples();
        let objective = params.objective;
        let losses: Vec<f64> = (0..=8)
            .map(|trees| {
                let params = BoostingParams {
                    trees,
                    ..params.clone()
                };
                let fitted = fit(params, &examples).unwrap();
                assert_eq!(fitted.trees(), trees);
                value(objective, &examples, &made.scores(&fitted))
            })
            .collect();
        let falls = losses.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let is_smooth = params.objective == Objective::Logistic;
        assert!(falls == 8 || (!is_smooth && falls >= 6), "{losses:?}");
        assert!(losses[8] < losses[0] * 0.9);
    }
}

#[test]
fn the_seed_decides_what_is_drawn_and_nothing_else() {
    let made = ranking(1_000, 2);
    let bytes = |params: BoostingParams, seed| {
        let fitted = fit(BoostingParams { seed, ..params }, &made.examples()).unwrap();
        let bytes = postcard::to_stdvec(&fitted).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(fitted));
        bytes
    };
    assert_eq!(bytes(lambda_rank(), 1), bytes(lambda_rank(), 1));
    assert_ne!(bytes(lambda_rank(), 1), bytes(lambda_rank(), 2));
    let all = unsampled(&lambda_rank());
    assert_eq!(bytes(all.clone(), 1), bytes(all, 2));
}

#[test]
fn without_trees_there_is_the_base_only() {
    let made = xor(500, 3);
    let none = |params: BoostingParams| BoostingParams { trees: 0, ..params };
    let base = vec![3.0; 500];
    let on_base = Examples::new(Parts {
        base: Some(&base),
        ..made.parts()
    })
    .unwrap();
    for params in [none(logistic()), none(lambda_rank())] {
        let fitted = fit(params, &on_base).unwrap();
        assert_eq!(fitted.score(&[0.1; 4]).to_bits(), 0.0f32.to_bits());
        assert_eq!(fitted.trees(), 0);
    }
    // without a base the log-odds of all rows
    let fitted = fit(none(logistic()), &made.examples()).unwrap();
    let positives = made.labels.iter().filter(|&&label| label > 0).count() as f32;
    let odds = (positives / (500.0 - positives)).ln();
    assert!((fitted.score(&[0.1; 4]) - odds).abs() < 1e-6);
    // trees on a base learn what the base lacks: here, that it is 3 too high
    let fitted = fit(logistic(), &on_base).unwrap();
    let scores = made.scores(&fitted);
    let mean = scores.iter().sum::<f64>() / 500.0;
    assert!((-3.6..-2.4).contains(&mean), "{mean}");
}

#[test]
fn weights_count_rows_as_often() {
    let mut made = xor(500, 3);
    // few values, so that the bins are the same
    for feature in &mut made.features {
        *feature = (*feature * 20.0).round();
    }
    let weights: Vec<f32> = (0..500u16).map(|i| f32::from(i % 3)).collect();
    let mut twice = Made {
        features: Vec::new(),
        labels: Vec::new(),
        groups: Vec::new(),
        columns: 4,
    };
    for (row, &weight) in weights.iter().enumerate() {
        for _ in 0..weight as u8 {
            let features = &made.features[row * 4..row * 4 + 4];
            twice.features.extend(features);
            twice.labels.push(made.labels[row]);
            twice.groups.push(1);
        }
    }
    let weighted = Examples::new(Parts {
        weights: Some(&weights),
        ..made.parts()
    })
    .unwrap();
    let params = unsampled(&BoostingParams {
        min_rows_in_leaf: 1,
        min_hessian_in_leaf: 3.0,
        trees: 3,
        ..logistic()
    });
    let (a, b) = (
        fit(params.clone(), &weighted).unwrap(),
        fit(params, &twice.examples()).unwrap(),
    );
    for row in made.features.chunks(4) {
        assert!((a.score(row) - b.score(row)).abs() < 1e-3);
    }
}

#[test]
fn what_cannot_be_learned_from_is_an_error() {
    let made = xor(20, 3);
    let labelled = |labels: &[u8], params: BoostingParams| {
        let rows = labels.len();
        let groups = [rows as u32];
        let examples = Examples::new(Parts {
            features: &made.features[..rows * 4],
            labels,
            groups: &groups,
            ..made.parts()
        });
        fit(params, &examples.unwrap())
    };
    let one_class = |positives, rows| Err(FitError::OneClass { positives, rows });
    assert_eq!(labelled(&[0; 20], logistic()), one_class(0, 20));
    assert_eq!(labelled(&[2; 20], logistic()), one_class(20, 20));
    assert_eq!(labelled(&[1], logistic()), one_class(1, 1));
    let nothing = Err(FitError::NothingToOrder { groups: 1 });
    assert_eq!(labelled(&[1; 20], lambda_rank()), nothing);
    assert_eq!(labelled(&[1], lambda_rank()), nothing);
    // rows without weight are no rows
    let weights: Vec<f32> = made.labels.iter().map(|&label| f32::from(label)).collect();
    let examples = Examples::new(Parts {
        weights: Some(&weights),
        ..made.parts()
    });
    let fitted = fit(logistic(), &examples.unwrap());
    assert!(matches!(fitted, Err(FitError::OneClass { .. })));
    // an infinite feature is refused by the examples
    let features = [vec![f32::NEG_INFINITY], made.features[1..].to_vec()].concat();
    let fault = ExamplesFault::Feature { row: 0, column: 0 };
    let refused = Examples::new(Parts {
        features: &features,
        ..made.parts()
    });
    assert_eq!(refused.unwrap_err().0, [fault]);
}

#[test]
fn constant_features_give_constant_scores() {
    let mut made = xor(100, 3);
    made.features.fill(7.0);
    let fitted = fit(lambda_rank(), &made.examples()).unwrap();
    assert_eq!(fitted.trees(), 0);
    let fitted = fit(unsampled(&logistic()), &made.examples()).unwrap();
    let yes = made.labels.iter().filter(|&&label| label > 0).count() as f32;
    let probability = 1.0 / (1.0 + (-fitted.score(&[7.0; 4])).exp());
    assert!((probability - yes / 100.0).abs() < 1e-4);
    assert!(fitted.importance().iter().all(|&gain| gain <= 0.0));
}

#[test]
fn extreme_numbers_give_finite_scores() {
    let mut made = xor(100, 3);
    for (place, feature) in made.features.iter_mut().enumerate() {
        *feature = [f32::MAX, f32::MIN, 0.0, 1e-45, *feature][place % 5];
    }
    let weights: Vec<f32> = noise(100, 8).map(|x| x * f32::MAX).collect();
    let base: Vec<f32> = noise(100, 9).map(|x| (x - 0.5) * f32::MAX).collect();
    let examples = Examples::new(Parts {
        weights: Some(&weights),
        base: Some(&base),
        ..made.parts()
    })
    .unwrap();
    for params in [logistic(), lambda_rank()] {
        let params = BoostingParams {
            l2: 0.0,
            min_hessian_in_leaf: 0.0,
            ..params
        };
        let fitted = fit(params, &examples).unwrap();
        assert!(made.scores(&fitted).iter().all(|score| score.is_finite()));
        let bytes = postcard::to_stdvec(&fitted).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(fitted));
    }
}

#[test]
fn progress_is_told_and_can_cancel() {
    let made = xor(200, 3);
    let params = logistic().check().unwrap();
    let mut told = Vec::new();
    let cancelled = params.fit(&made.examples(), None, &mut |done, of| {
        told.push((done, of));
        done < 2
    });
    assert_eq!(cancelled, Err(FitError::Cancelled { trees: 2 }));
    assert_eq!(told, [(0, 20), (1, 20), (2, 20)]);
    let cancelled = params.fit(&made.examples(), None, &mut |_, _| false);
    assert_eq!(cancelled, Err(FitError::Cancelled { trees: 0 }));
}

#[test]
fn stops_where_validation_was_best() {
    let (train, validation) = (xor(300, 3), xor(300, 7));
    let (ranked, ranked_validation) = (ranking(300, 3), ranking(300, 7));
    let cases = [
        (logistic(), &train, &validation),
        (lambda_rank(), &ranked, &ranked_validation),
    ];
    for (params, train, validation) in cases {
        let params = BoostingParams {
            trees: 200,
            min_rows_in_leaf: 1,
            ..params
        };
        let patient = BoostingParams {
            patience: Some(5),
            ..params.clone()
        };
        let mut rounds = 0;
        let stopped = patient.clone().check().unwrap();
        let stopped = stopped.fit(
            &train.examples(),
            Some(&validation.examples()),
            &mut |done, _| {
                rounds = done;
                true
            },
        );
        let stopped = stopped.unwrap();
        let best = stopped.trees();
        assert!(best > 0 && rounds == best + 5, "{best} {rounds}");
        let loss = |fitted: &FittedBoosting| {
            let scores = validation.scores(fitted);
            value(params.objective, &validation.examples(), &scores)
        };
        for trees in [best - 1, best + 1, best + 5] {
            let other = BoostingParams {
                trees,
                ..params.clone()
            };
            let other = fit(other, &train.examples()).unwrap();
            assert!(loss(&stopped) <= loss(&other) + 1e-9);
        }
        let same = BoostingParams {
            trees: best,
            ..params.clone()
        };
        assert_eq!(fit(same, &train.examples()), Ok(stopped));
        // the two go together, and fit each other
        assert_eq!(
            fit(patient.clone(), &train.examples()),
            Err(FitError::Patience)
        );
        let narrow = Made::new(100, 2, 1, |_, chance| u8::from(chance > 0.5));
        let params = patient.check().unwrap();
        let refused = params.fit(&train.examples(), Some(&narrow.examples()), &mut |_, _| {
            true
        });
        assert!(matches!(refused, Err(FitError::Columns { .. })));
        let on_base = Examples::new(Parts {
            base: Some(&[0.5; 300]),
            ..validation.parts()
        });
        let on_base = on_base.unwrap();
        let refused = params.fit(&train.examples(), Some(&on_base), &mut |_, _| true);
        assert_eq!(refused, Err(FitError::Base));
    }
}

/// Parts rows by trying every edge of every column, in the order of the gains, in floats.
fn brute_force(
    params: &BoostingParams,
    bins: &Bins,
    gradients: &[Gradient],
    rows: usize,
) -> Vec<(u16, f32, f64)> {
    let worth = |rows: &[u32]| {
        let sum = |part: fn(&Gradient) -> f64| -> f64 {
            rows.iter().map(|&row| part(&gradients[row as usize])).sum()
        };
        sum(|g| g.first).powi(2) / (sum(|g| g.second) + params.l2)
    };
    let mut leaves: Vec<Vec<u32>> = vec![(0..rows as u32).collect()];
    let mut partings = Vec::new();
    while leaves.len() < params.leaves {
        let mut best = (0.0, 0, 0, 0);
        for (number, leaf) in leaves.iter().enumerate() {
            for (place, column) in bins.columns().iter().enumerate() {
                for bin in 0..column.edges.len() {
                    let goes = |row: &&u32| usize::from(bins.row(**row)[place]) <= bin;
                    let (left, right): (Vec<u32>, Vec<u32>) = leaf.iter().partition(goes);
                    if left.len().min(right.len()) < params.min_rows_in_leaf {
                        continue;
                    }
                    let gain = worth(&left) + worth(&right) - worth(leaf);
                    if gain > best.0 {
                        best = (gain, number, place, bin);
                    }
                }
            }
        }
        let (gain, number, place, bin) = best;
        let column = &bins.columns()[place];
        partings.push((column.feature, column.edges[bin], gain));
        let goes = |row: &u32| usize::from(bins.row(*row)[place]) <= bin;
        let leaf = std::mem::take(&mut leaves[number]);
        let (left, right) = leaf.into_iter().partition(goes);
        leaves[number] = left;
        leaves.push(right);
    }
    partings
}

#[test]
fn a_tree_is_that_of_a_brute_force_splitter() {
    let made = Made::new(400, 3, 4, |row, chance| {
        u8::from(row[0] + row[1] * row[2] + 0.3 * chance > 1.0)
    });
    let params = unsampled(&BoostingParams {
        leaves: 6,
        max_bins: 12,
        min_rows_in_leaf: 20,
        ..logistic()
    });
    let examples = made.examples();
    let bins = Bins::new(&examples, params.max_bins);
    let mut loss = Loss::new(params.objective, &examples);
    let mut gradients = vec![Gradient::default(); 400];
    let scores: Vec<f64> = noise(400, 12).map(f64::from).collect();
    loss.gradients(&loss.telling_groups(), &scores, &mut gradients);
    let mut rows: Vec<u32> = (0..400).collect();
    let mut quanta = Quanta::default();
    quanta.take(&gradients, &rows);
    let grown = Grower::new(&params, &bins).grow(&mut rows, &[0, 1, 2], &quanta);
    let mut wanted = brute_force(&params, &bins, &gradients, 400);
    let mut got: Vec<_> = grown
        .in_order()
        .0
        .iter()
        .map(|(parting, _)| (parting.feature, parting.threshold, parting.gain))
        .collect();
    wanted.sort_by(|a, b| b.2.total_cmp(&a.2));
    got.sort_by(|a, b| b.2.total_cmp(&a.2));
    assert_eq!(got.len(), 5);
    for (got, wanted) in got.iter().zip(&wanted) {
        assert_eq!((got.0, got.1.to_bits()), (wanted.0, wanted.1.to_bits()));
        assert!((got.2 - wanted.2).abs() < 1e-3 * wanted.2, "{got:?}");
    }
    // the leaves hold each row once, where scoring would put it
    let mut fitted = FittedBoosting::new(3, 0.0);
    let numbers: Vec<f32> = (0..6u8).map(f32::from).collect();
    fitted.push(&stored(&grown, &numbers)).unwrap();
    for (number, leaf) in grown.leaves.iter().enumerate() {
        assert!(leaf.len() >= 20);
        for &row in &rows[leaf.clone()] {
            let score = fitted.score(examples.row(row as usize));
            assert_eq!(score.to_bits(), numbers[number].to_bits());
        }
    }
    rows.sort_unstable();
    assert!(rows.into_iter().eq(0..400));
}
