//! Estimates against figures computed by hand, and against a world whose truth is known.

use proptest::prelude::*;

use super::super::boosting::scramble;
use super::*;

fn decision(action: u32, propensity: f64, reward: f64) -> LoggedDecision {
    LoggedDecision {
        context: Box::default(),
        action,
        position: 0,
        propensity,
        reward,
    }
}

fn value(report: &PolicyReport, method: Method) -> f64 {
    report.estimate(method).unwrap().value.mean
}

fn check_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
}

/// Two actions, weights 2, 1/2, 2, 1/2.
fn four_rows() -> Vec<LoggedDecision> {
    vec![
        decision(0, 0.4, 1.0),
        decision(1, 0.4, 1.0),
        decision(0, 0.4, 0.0),
        decision(1, 0.4, 0.0),
    ]
}

#[test]
fn estimates_are_as_computed_by_hand() {
    let own = [0.8, 0.2, 0.8, 0.2];
    let params = PolicyParams {
        clip: 1.0,
        ..PolicyParams::default()
    };
    let report = evaluate(&four_rows(), &Target::OwnAction(&own), &params).unwrap();
    check_close(value(&report, Method::Ips), (2.0 + 0.5) / 4.0);
    check_close(value(&report, Method::IpsClipped), (1.0 + 0.5) / 4.0);
    check_close(value(&report, Method::Snips), 2.5 / 5.0);
    check_close(value(&report, Method::Naive), 0.5);
    check_close(report.weights.effective_rows, 25.0 / 8.5);
    check_close(report.weights.effective_rows_clipped, 9.0 / 2.5);
    check_close(report.weights.effective_rewards, 6.25 / 4.25);
    check_close(report.weights.mean, 1.25);
    check_close(report.weights.largest_share, 0.4);
    assert_eq!(report.weights.clipped_rows, 2);
    // the chances of the two actions are the same wherever they are shown, and sum to 1
    assert!(
        report
            .model
            .as_ref()
            .is_some_and(|model| model.target_read_off)
    );
    assert_eq!(report.trust, Trust::No, "four rows judge nothing");
    assert!(report.answer().is_none());
}

/// The sums of estimates with given expectations instead of fitted ones.
fn with_model(log: &[LoggedDecision], own: &[f64], expected: &[(f64, f64)]) -> Vec<f64> {
    let table: Vec<f64> = (0..log.len())
        .flat_map(|row| {
            terms(
                &log[row],
                own[row] / log[row].propensity,
                10.0,
                Some(expected[row]),
            )
        })
        .collect();
    totals(&table, TERMS, &vec![1; log.len()])
}

#[test]
fn doubly_robust_is_the_direct_method_with_a_perfect_model_and_ips_with_none() {
    let (log, own) = (four_rows(), [0.8, 0.2, 0.8, 0.2]);
    let perfect: Vec<(f64, f64)> = log.iter().map(|row| (row.reward, 0.3)).collect();
    let sums = with_model(&log, &own, &perfect);
    check_close(Method::Dr.value(&sums), 0.3);
    check_close(Method::Dr.value(&sums), Method::Dm.value(&sums));
    let sums = with_model(&log, &own, &[(0.0, 0.0); 4]);
    check_close(Method::Dr.value(&sums), Method::Ips.value(&sums));
    check_close(
        Method::DrClipped.value(&sums),
        Method::IpsClipped.value(&sums),
    );
    // by hand: DM 0.4; residuals 0.5, 0.5, −0.5, −0.5 with weights 2, 1/2, 2, 1/2 cancel
    let sums = with_model(&log, &own, &[(0.5, 0.4); 4]);
    check_close(Method::Dr.value(&sums), 0.4);
}

#[test]
fn shares_are_smoothed_by_one() {
    let shares = Shares::of([(0, 0), (0, 0), (0, 1), (9, 0)].into_iter(), 2, 3);
    for (found, expected) in shares.at(0).iter().zip([3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0]) {
        check_close(*found, expected);
    }
    shares
        .at(1)
        .iter()
        .for_each(|&chance| check_close(chance, 1.0 / 3.0));
    assert!(shares.at(2).is_empty());
    assert_eq!(Shares::uniform(2, 3).at(1), shares.at(1));
}

/// A number from 0 to 1 that depends on everything given.
fn dice(seed: u64, row: usize, purpose: u64) -> f64 {
    (scramble(scramble(seed ^ scramble(purpose)).wrapping_add(row as u64)) >> 11) as f64
        / (1u64 << 53) as f64
}

const ACTIONS: usize = 4;

/// What an action earns in a context: an interaction, which the model of main effects cannot see.
fn chance_of_reward(context: u32, action: u32) -> f64 {
    [[0.1, 0.2, 0.3, 0.1], [0.3, 0.1, 0.2, 0.5]][context as usize][action as usize]
}

/// The logging policy goes by the context.
fn propensities(context: u32) -> [f64; ACTIONS] {
    [[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]][context as usize]
}

/// The target, too.
fn target_chances(context: u32) -> [f64; ACTIONS] {
    [[0.1, 0.1, 0.7, 0.1], [0.2, 0.1, 0.1, 0.6]][context as usize]
}

/// The value of the target: contexts are half and half.
fn truth() -> f64 {
    let of = |context: u32| -> f64 {
        let chances = target_chances(context);
        (0..4)
            .map(|action| chances[action as usize] * chance_of_reward(context, action))
            .sum()
    };
    (of(0) + of(1)) / 2.0
}

fn world(rows: usize, seed: u64) -> (Vec<LoggedDecision>, Vec<f64>) {
    let mut all = Vec::new();
    let log = (0..rows)
        .map(|row| {
            let context = u32::from(dice(seed, row, 1) < 0.5);
            let chances = propensities(context);
            let (mut left, mut action) = (dice(seed, row, 2), 0);
            while left >= chances[action] && action + 1 < ACTIONS {
                left -= chances[action];
                action += 1;
            }
            all.extend(target_chances(context));
            let reward = f64::from(dice(seed, row, 3) < chance_of_reward(context, action as u32));
            LoggedDecision {
                context: Box::new([context, row as u32 % 3]),
                action: action as u32,
                position: row as u32 % 2,
                propensity: chances[action],
                reward,
            }
        })
        .collect();
    (log, all)
}

fn by_row(all: &[f64]) -> Target<'_> {
    Target::ByRow {
        probabilities: all,
        actions: ACTIONS,
    }
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    const WORLDS: u64 = 120;
    let params = PolicyParams {
        resamples: 400,
        ..PolicyParams::default()
    };
    let mut covered = [0u32; 7];
    let mut sums = [0.0; 7];
    for seed in 0..WORLDS {
        let (log, all) = world(1_000, seed);
        let report = evaluate(&log, &by_row(&all), &params).unwrap();
        for (place, method) in Method::ALL.into_iter().enumerate() {
            let estimate = report.estimate(method).unwrap();
            covered[place] += u32::from(estimate.value.covers(truth()));
            sums[place] += estimate.value.mean / WORLDS as f64;
        }
    }
    let of = |method| Method::ALL.iter().position(|&m| m == method).unwrap();
    for method in [
        Method::Ips,
        Method::Snips,
        Method::Dr,
        Method::IpsClipped,
        Method::DrClipped,
    ] {
        // 114 are expected, ± 2.4; no weight reaches the clip
        let covered = covered[of(method)];
        assert!(
            (105..=119).contains(&covered),
            "{method:?} covers {covered} of {WORLDS}"
        );
        let bias = sums[of(method)] - truth();
        assert!(
            bias.abs() < 0.007,
            "{method:?} is off by {bias:.4} on average"
        );
    }
    // a model without the interaction is wrong, and its interval hides it; so is the mean of the log
    for method in [Method::Dm, Method::Naive] {
        assert!(covered[of(method)] < 60, "{method:?}: {covered:?}");
        assert!(
            (sums[of(method)] - truth()).abs() > 0.02,
            "{method:?}: {sums:?}"
        );
    }
}

#[test]
fn the_seed_decides_and_an_honest_log_is_believed() {
    let (log, all) = world(3_000, 1);
    let params = PolicyParams::default();
    let report = evaluate(&log, &by_row(&all), &params).unwrap();
    assert_eq!(report, evaluate(&log, &by_row(&all), &params).unwrap());
    assert_eq!(
        (report.warnings.as_slice(), report.trust),
        (&[][..], Trust::Yes)
    );
    assert_eq!(
        report.answer().map(|answer| answer.method),
        Some(Method::Dr)
    );
    assert_eq!(report.estimate(Method::Dm).unwrap().trust, Trust::WithCare);
    // the gain is that over the log's own mean, on the same draws
    let dr = report.estimate(Method::Dr).unwrap();
    check_close(dr.gain.mean, dr.value.mean - value(&report, Method::Naive));
    assert!(dr.gain.low > 0.0, "{dr:?}");
    let other = evaluate(&log, &by_row(&all), &PolicyParams { seed: 8, ..params }).unwrap();
    assert_ne!(report.estimates, other.estimates);
    check_close(value(&report, Method::Snips), value(&other, Method::Snips));
}

#[test]
fn large_logs_are_drawn_in_groups() {
    let (log, all) = world(MAX_GROUPS + 25_000, 3);
    // chances that depend on the context, so that no model is fitted
    let own: Vec<f64> = log
        .iter()
        .zip(all.chunks(ACTIONS))
        .map(|(row, all)| all[row.action as usize])
        .collect();
    let params = PolicyParams {
        resamples: 200,
        ..PolicyParams::default()
    };
    let report = evaluate(&log, &Target::OwnAction(&own), &params).unwrap();
    assert!(report.model.is_none());
    let mean = value(&report, Method::Naive);
    let half = 1.96 * (mean * (1.0 - mean) / log.len() as f64).sqrt();
    let found = report.estimate(Method::Naive).unwrap().value;
    let width = (found.high - found.low) / 2.0;
    assert!(
        (width / half - 1.0).abs() < 0.25,
        "{width}, expected {half}"
    );
}

fn codes(report: &PolicyReport) -> Vec<&'static str> {
    report.warnings.iter().map(Warning::code).collect()
}

#[test]
fn only_the_own_action_gives_no_doubly_robust_estimate() {
    let (log, all) = world(2_000, 1);
    let own: Vec<f64> = log
        .iter()
        .zip(all.chunks(ACTIONS))
        .map(|(row, all)| all[row.action as usize])
        .collect();
    let report = evaluate(&log, &Target::OwnAction(&own), &PolicyParams::default()).unwrap();
    assert!(report.model.is_none() && report.estimate(Method::Dm).is_none());
    assert_eq!(codes(&report), ["no_distribution"]);
    assert_eq!(
        report.answer().map(|answer| answer.method),
        Some(Method::Snips)
    );
    let whole = evaluate(&log, &by_row(&all), &PolicyParams::default()).unwrap();
    check_close(value(&report, Method::Ips), value(&whole, Method::Ips));
}

#[test]
fn tiny_propensities_are_never_answered_surely() {
    let (mut log, all) = world(5_000, 1);
    log[17].propensity = 1e-6;
    let report = evaluate(&log, &by_row(&all), &PolicyParams::default()).unwrap();
    for code in ["few_effective_rows", "tiny_propensities", "one_row_decides"] {
        assert!(codes(&report).contains(&code), "{code}: {report:?}");
    }
    assert!(report.answer().is_none() && report.trust == Trust::No);
    let weighing = report
        .estimates
        .iter()
        .filter(|e| e.method != Method::Naive);
    assert!(weighing.clone().count() == 6 && weighing.into_iter().all(|e| e.trust == Trust::No));
}

#[test]
fn what_weakens_a_log_is_said() {
    let params = PolicyParams::default();
    let (log, all) = world(2_000, 1);
    // propensities twice as large as they were
    let mut wrong = log.clone();
    wrong
        .iter_mut()
        .for_each(|row| row.propensity = (2.0 * row.propensity).min(1.0));
    assert!(codes(&evaluate(&wrong, &by_row(&all), &params).unwrap()).contains(&"mean_weight"));
    // no reward
    let mut poor = log.clone();
    poor.iter_mut().for_each(|row| row.reward = 0.0);
    let report = evaluate(&poor, &by_row(&all), &params).unwrap();
    assert!(codes(&report).contains(&"no_reward") && report.answer().is_none());
    assert!(
        report
            .estimates
            .iter()
            .all(|e| e.trust == Trust::No && e.value.mean == 0.0)
    );
    // one reward: in four of five folds there is something to learn
    poor[0].reward = 1.0;
    let report = evaluate(&poor, &by_row(&all), &params).unwrap();
    assert!(
        codes(&report).contains(&"few_rewards") && codes(&report).contains(&"mean_model"),
        "{report:?}"
    );
    // an action the log never shows
    let shown: Vec<LoggedDecision> = log.iter().filter(|row| row.action != 2).cloned().collect();
    let shares = Shares::uniform(2, ACTIONS);
    let report = evaluate(&shown, &Target::ByPosition(&shares), &params).unwrap();
    let unseen = report.warnings.iter().find_map(|warning| match warning {
        Warning::Unseen { share } => Some(*share),
        _ => None,
    });
    check_close(unseen.unwrap(), 0.25);
    assert_eq!(report.trust, Trust::WithCare);
    // a policy that never had a choice
    let sure: Vec<LoggedDecision> = (0..500)
        .map(|row| decision(0, 1.0, f64::from(row % 2)))
        .collect();
    let report = evaluate(&sure, &Target::ByPosition(&Shares::uniform(1, 2)), &params).unwrap();
    assert!(
        codes(&report).contains(&"no_exploration") && codes(&report).contains(&"unseen_actions")
    );
    // clipping
    let low = PolicyParams {
        clip: 0.5,
        ..params
    };
    let report = evaluate(&log, &by_row(&all), &low).unwrap();
    assert_eq!(codes(&report), ["clipped"]);
    assert_eq!(
        report.estimate(Method::DrClipped).unwrap().trust,
        Trust::WithCare
    );
    assert_eq!(report.estimate(Method::Dr).unwrap().trust, Trust::Yes);
}

#[test]
fn rewards_may_be_amounts() {
    let (mut log, all) = world(3_000, 1);
    log.iter_mut().for_each(|row| row.reward *= 20.0);
    let report = evaluate(&log, &by_row(&all), &PolicyParams::default()).unwrap();
    assert_eq!(codes(&report), ["amounts"]);
    assert!(
        report
            .estimate(Method::Dr)
            .unwrap()
            .value
            .covers(20.0 * truth())
    );
}

#[test]
fn what_cannot_be_is_an_error() {
    let params = PolicyParams::default();
    let target = Shares::uniform(1, 1);
    let evaluated = |log: &[LoggedDecision], params: &PolicyParams| {
        evaluate(log, &Target::ByPosition(&target), params).unwrap_err()
    };
    assert_eq!(evaluated(&[], &params), PolicyError::Empty);
    for propensity in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY, 1e-10] {
        let log = [decision(0, 0.5, 1.0), decision(0, propensity, 1.0)];
        assert!(matches!(
            evaluated(&log, &params),
            PolicyError::Decision { row: 1, .. }
        ));
    }
    for reward in [f64::NAN, f64::INFINITY, 2.0 * MAX_REWARD] {
        assert!(matches!(
            evaluated(&[decision(0, 0.5, reward)], &params),
            PolicyError::Decision { .. }
        ));
    }
    let far = [decision(MAX_ACTIONS as u32, 0.5, 1.0)];
    assert!(matches!(
        evaluated(&far, &params),
        PolicyError::Decision { row: 0, .. }
    ));
    let no_clip = PolicyParams {
        clip: 0.0,
        ..params.clone()
    };
    assert!(matches!(
        evaluated(&[decision(0, 0.5, 1.0)], &no_clip),
        PolicyError::Params(_)
    ));
    let log = [decision(0, 0.5, 1.0)];
    for target in [
        Target::OwnAction(&[]),
        Target::OwnAction(&[1.5]),
        Target::OwnAction(&[f64::NAN]),
        Target::ByRow {
            probabilities: &[0.5, 0.4],
            actions: 2,
        },
        Target::ByRow {
            probabilities: &[1.5, -0.5],
            actions: 2,
        },
    ] {
        assert!(
            matches!(
                evaluate(&log, &target, &params),
                Err(PolicyError::Target(_))
            ),
            "{target:?}"
        );
    }
    // one row is evaluated, and not believed
    let report = evaluate(&log, &Target::OwnAction(&[1.0]), &params).unwrap();
    assert_eq!((report.trust, report.rows), (Trust::No, 1));
}

#[test]
fn rare_values_have_no_columns_and_columns_are_bounded() {
    let (mut log, all) = world(4_000, 1);
    for (row, decision) in log.iter_mut().enumerate() {
        // a value of its own for every decision, and one of 300 values
        decision.context = Box::new([row as u32, row as u32 % 300]);
    }
    let report = evaluate(&log, &by_row(&all), &PolicyParams::default()).unwrap();
    let model = report.model.as_ref().unwrap();
    assert_eq!(model.columns, model::MAX_COLUMNS_EACH + ACTIONS + 2);
    assert_eq!(model.rare_values, 4_000 + 100);
    assert!(report.estimate(Method::Dr).unwrap().value.covers(truth()));
}

#[test]
fn the_penalty_is_that_which_foresees_best() {
    let params = PolicyParams::default();
    let of = |log: &[LoggedDecision], all: &[f64]| {
        evaluate(log, &by_row(all), &params)
            .unwrap()
            .model
            .unwrap()
            .l2
    };
    let (mut log, all) = world(4_000, 1);
    // much to learn: the action decides
    log.iter_mut()
        .for_each(|row| row.reward = f64::from(row.action == 3));
    assert!(of(&log, &all) <= 1.0);
    // nothing to learn: chance favours a weak penalty now and then, seldom the weakest
    let found: Vec<f64> = (0..9)
        .map(|seed| {
            for (row, decision) in log.iter_mut().enumerate() {
                decision.reward = f64::from(dice(seed, row, 5) < 0.01);
            }
            of(&log, &all)
        })
        .collect();
    let strong = found.iter().filter(|&&l2| l2 >= 100.0).count();
    assert!(strong >= 5, "{found:?}");
}

#[test]
fn what_was_earned_is_a_mean_with_its_interval() {
    let rewards: Vec<f64> = (0..1_000).map(|row| f64::from(row % 4 == 0)).collect();
    let found = earned(&rewards, &PolicyParams::default()).unwrap();
    check_close(found.mean, 0.25);
    let half = 1.96 * (0.25f64 * 0.75 / 1_000.0).sqrt();
    assert!((found.high - 0.25 - half).abs() < 0.15 * half, "{found:?}");
    assert!(earned(&[], &PolicyParams::default()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the log: no figure is NaN, effective rows are within bounds, SNIPS is within the rewards, a target that
    /// is the logging policy is worth the mean of the log.
    #[test]
    fn figures_stay_within_their_bounds(
        rows in prop::collection::vec((0u32..5, 0u32..3, 1e-6..1.0f64, 0u32..3, 0.0..1.0f64), 1..60)
    ) {
        let log: Vec<LoggedDecision> = rows
            .iter()
            .map(|&(action, position, propensity, reward, _)| LoggedDecision {
                context: Box::new([position * 2]),
                action,
                position,
                propensity,
                reward: f64::from(reward),
            })
            .collect();
        let params = PolicyParams { resamples: 50, ..PolicyParams::default() };
        let shares = Shares::of(log.iter().map(|row| (row.position, row.action)), 3, 5);
        let own: Vec<f64> = rows.iter().map(|row| row.4).collect();
        for target in [Target::ByPosition(&shares), Target::OwnAction(&own)] {
            let report = evaluate(&log, &target, &params).unwrap();
            for estimate in &report.estimates {
                let Interval { mean, low, high } = estimate.value;
                prop_assert!(mean.is_finite() && low.is_finite() && high.is_finite(), "{:?}", estimate);
                prop_assert!(low <= high);
            }
            let most = log.len() as f64 + 1e-6;
            prop_assert!((0.0..=most).contains(&report.weights.effective_rows));
            let snips = report.estimate(Method::Snips).unwrap().value.mean;
            prop_assert!((-1e-9..=2.0 + 1e-9).contains(&snips));
        }
        let propensities: Vec<f64> = log.iter().map(|row| row.propensity).collect();
        let same = evaluate(&log, &Target::OwnAction(&propensities), &params).unwrap();
        let naive = same.estimate(Method::Naive).unwrap().value.mean;
        for method in [Method::Ips, Method::Snips] {
            prop_assert!((same.estimate(method).unwrap().value.mean - naive).abs() < 1e-9);
        }
    }
}
