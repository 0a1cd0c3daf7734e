//! Trials whose truth is known.

use super::super::boosting::scramble;
use super::*;

/// A number from 0 to 1 that depends on everything given.
fn dice(seed: u64, row: usize, purpose: u64) -> f64 {
    (scramble(scramble(seed ^ scramble(purpose)).wrapping_add(row as u64)) >> 11) as f64
        / (1u64 << 53) as f64
}

struct Trial {
    arms: Vec<String>,
    arm: Vec<u32>,
    outcome: Vec<f64>,
    value: Vec<f64>,
    features: Vec<FeatureColumn>,
}

impl Trial {
    /// Rows with an age, a group of four and noise; `chance` says with which chance (arm, age, group) has an outcome.
    fn of(rows: usize, arms: usize, seed: u64, chance: impl Fn(u32, f64, u32) -> f64) -> Self {
        let age: Vec<f64> = (0..rows)
            .map(|row| 20.0 + 60.0 * dice(seed, row, 1))
            .collect();
        let group: Vec<u32> = (0..rows)
            .map(|row| (4.0 * dice(seed, row, 2)) as u32)
            .collect();
        let noise = (0..rows).map(|row| dice(seed, row, 3)).collect();
        let arm: Vec<u32> = (0..rows)
            .map(|row| (arms as f64 * dice(seed, row, 4)) as u32)
            .collect();
        let outcome: Vec<f64> = (0..rows)
            .map(|row| f64::from(dice(seed, row, 5) < chance(arm[row], age[row], group[row])))
            .collect();
        let feature = |name: &str, values| FeatureColumn {
            name: name.to_owned(),
            values,
        };
        let names = ["none", "mail", "call"];
        Self {
            arms: names
                .iter()
                .take(arms)
                .map(|&name| name.to_owned())
                .collect(),
            value: outcome.iter().zip(&age).map(|(y, age)| y * age).collect(),
            outcome,
            arm,
            features: vec![
                feature("age", FeatureValues::Numbers(age)),
                feature("group", FeatureValues::Categories(group)),
                feature("noise", FeatureValues::Numbers(noise)),
            ],
        }
    }

    fn log(&self) -> UpliftLog<'_> {
        UpliftLog {
            arms: &self.arms,
            arm: &self.arm,
            outcome: &self.outcome,
            value: None,
            features: &self.features,
        }
    }

    fn evaluated(&self) -> UpliftReport {
        evaluate(&self.log(), &quick()).unwrap()
    }
}

fn quick() -> UpliftParams {
    UpliftParams {
        resamples: 200,
        ..UpliftParams::default()
    }
}

/// A mail changes those above 50 by 0.2, and puts those of group 0 off.
fn goes_by_age(arm: u32, age: f64, group: u32) -> f64 {
    let effect = if age > 50.0 { 0.2 } else { 0.0 } - if group == 0 { 0.15 } else { 0.0 };
    0.2 + if arm == 1 { effect } else { 0.0 }
}

fn codes(report: &UpliftReport) -> Vec<&'static str> {
    report.warnings.iter().map(Warning::code).collect()
}

#[test]
fn an_effect_that_differs_is_found_and_ordered() {
    let trial = Trial::of(8_000, 2, 1, goes_by_age);
    let log = UpliftLog {
        value: Some(&trial.value),
        ..trial.log()
    };
    let report = evaluate(&log, &quick()).unwrap();
    assert_eq!(report, evaluate(&log, &quick()).unwrap());
    assert_eq!(codes(&report), Vec::<&str>::new());
    let all = &report.all;
    // 0.2 / 2 − 0.15 / 4
    assert!(
        all.effect.difference.covers(0.0625) && all.effect_is_told(),
        "{:?}",
        all.effect
    );
    assert!(all.order_is_told(), "{:?}", all.s_learner);
    let learned = all.s_learner.as_ref().unwrap();
    let [tenth, _, half] = [0, 1, 2].map(|place| learned.outcome.at[place].1.unwrap());
    assert!(tenth.mean > 0.12 && tenth.low > 0.0, "{tenth:?}");
    assert!(tenth.mean > all.effect.difference.mean && half.mean > all.effect.difference.mean);
    assert!(report.agreement.unwrap() > 0.9);
    assert!(all.t_learner.as_ref().unwrap().outcome.qini.low > 0.0);
    // the value: those who are changed are old
    assert!(all.value_effect.unwrap().difference.low > 0.0);
    assert!(learned.value.as_ref().unwrap().qini.low > 0.0);
    // another seed draws otherwise, the mean stays
    let other = evaluate(&log, &UpliftParams { seed: 8, ..quick() }).unwrap();
    assert_ne!(other.all.s_learner, all.s_learner);
    assert!((other.all.effect.difference.mean - all.effect.difference.mean).abs() < 1e-12);
}

#[test]
fn of_noise_nothing_is_told() {
    const TRIALS: u64 = 40;
    let (mut effects, mut orders, mut qini) = (0, 0, 0.0);
    for seed in 0..TRIALS {
        let report = Trial::of(1_500, 2, 100 + seed, |_, age, _| 0.1 + age / 400.0).evaluated();
        effects += usize::from(report.all.effect_is_told());
        orders += usize::from(report.all.order_is_told());
        qini += report.all.s_learner.unwrap().outcome.qini.mean / TRIALS as f64;
    }
    // of 40, two effects and one order are expected by chance
    assert!(
        effects <= 6 && orders <= 4,
        "{effects} effects and {orders} orders of noise"
    );
    assert!(qini.abs() < 0.004, "{qini}: cross-fitting leaks nothing");
}

#[test]
fn intervals_cover_the_average_effect() {
    let covered = (0..60).filter(|&seed| {
        let trial = Trial::of(600, 2, 500 + seed, goes_by_age);
        let log = UpliftLog {
            features: &[],
            ..trial.log()
        };
        let report = evaluate(&log, &quick()).unwrap();
        assert_eq!(codes(&report), ["no_features"]);
        assert!(report.all.s_learner.is_none() && report.agreement.is_none());
        report.all.effect.difference.covers(0.0625)
    });
    // 57 are expected, ± 1.7
    let covered = covered.count();
    assert!(covered >= 51, "{covered} of 60");
}

#[test]
fn arms_are_compared_each_with_control() {
    // a call changes those that a mail does not
    let trial = Trial::of(9_000, 3, 2, |arm, age, _| match arm {
        1 if age > 50.0 => 0.4,
        2 if age <= 50.0 => 0.4,
        _ => 0.2,
    });
    let report = trial.evaluated();
    let names: Vec<_> = report.arms.iter().map(|arm| arm.arm.as_deref()).collect();
    assert_eq!(
        (names.as_slice(), report.all.arm.as_deref()),
        (&[Some("mail"), Some("call")][..], None)
    );
    assert_eq!(report.all.rows + report.control_rows, 9_000);
    for arm in &report.arms {
        assert!(
            arm.effect.difference.covers(0.1) && arm.order_is_told(),
            "{arm:?}"
        );
    }
    // whom any treatment changes: everybody alike
    assert!(!report.all.order_is_told() && report.all.effect_is_told());
}

#[test]
fn what_weakens_a_trial_is_said() {
    let trial = Trial::of(4_000, 2, 3, goes_by_age);
    // nobody responds
    let none = vec![0.0; 4_000];
    let report = evaluate(
        &UpliftLog {
            outcome: &none,
            ..trial.log()
        },
        &quick(),
    )
    .unwrap();
    assert_eq!(codes(&report), ["no_outcome"]);
    assert!(!report.all.effect_is_told() && report.all.s_learner.is_none());
    // the old were treated
    let chosen = Trial {
        arm: match &trial.features[0].values {
            FeatureValues::Numbers(age) => age
                .iter()
                .enumerate()
                .map(|(row, age)| u32::from(dice(9, row, 9) * 100.0 < *age))
                .collect(),
            FeatureValues::Categories(_) => unreachable!("ages are numbers"),
        },
        ..Trial::of(4_000, 2, 3, goes_by_age)
    };
    let report = chosen.evaluated();
    let found = report
        .warnings
        .iter()
        .any(|w| matches!(w, Warning::NotRandom { feature, .. } if feature == "age"));
    assert!(found, "{:?}", report.warnings);
    // few rows
    let report = Trial::of(60, 2, 4, goes_by_age).evaluated();
    assert!(codes(&report).contains(&"few_rows") && report.all.s_learner.is_none());
    // few responses
    let report = Trial::of(1_000, 2, 5, |_, _, _| 0.004).evaluated();
    assert!(
        codes(&report).contains(&"few_responses"),
        "{:?}",
        report.warnings
    );
    // amounts
    let report = evaluate(
        &UpliftLog {
            outcome: &trial.value,
            ..trial.log()
        },
        &quick(),
    )
    .unwrap();
    assert!(codes(&report).contains(&"amounts") && report.all.order_is_told());
}

#[test]
fn what_cannot_be_is_an_error() {
    let trial = Trial::of(100, 2, 1, goes_by_age);
    let error = |log: &UpliftLog<'_>| evaluate(log, &quick()).unwrap_err();
    let nobody = UpliftLog {
        arm: &[],
        outcome: &[],
        features: &[],
        ..trial.log()
    };
    assert_eq!(error(&nobody), UpliftError::Empty);
    assert_eq!(
        error(&UpliftLog {
            arm: &[1; 100],
            ..trial.log()
        }),
        UpliftError::NoControl
    );
    assert_eq!(
        error(&UpliftLog {
            arm: &[0; 100],
            ..trial.log()
        }),
        UpliftError::NoTreated
    );
    assert!(matches!(
        error(&UpliftLog {
            arm: &[2; 100],
            ..trial.log()
        }),
        UpliftError::Malformed(_)
    ));
    assert!(matches!(
        error(&UpliftLog {
            arm: &[0; 99],
            ..trial.log()
        }),
        UpliftError::Malformed(_)
    ));
    let strange = vec![f64::NAN; 100];
    assert!(matches!(
        error(&UpliftLog {
            outcome: &strange,
            ..trial.log()
        }),
        UpliftError::Malformed(_)
    ));
    let names = vec![String::new(); MAX_ARMS + 1];
    assert_eq!(
        error(&UpliftLog {
            arms: &names,
            ..trial.log()
        }),
        UpliftError::TooManyArms(MAX_ARMS + 1)
    );
    // two rows are compared, and not believed
    let two = UpliftLog {
        arm: &[0, 1],
        outcome: &[0.0, 1.0],
        features: &[],
        ..trial.log()
    };
    let report = evaluate(&two, &quick()).unwrap();
    assert!((report.all.effect.difference.mean - 1.0).abs() < 1e-12);
    assert!(!report.all.effect_is_told());
    assert!(codes(&report).contains(&"few_rows"));
}
