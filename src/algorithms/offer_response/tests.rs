//! What is told of offers, held against made-up worlds whose truth is known.

use super::*;
use crate::algorithms::choice::number;

/// Two offers of one kind: the first works where the feature is 1, the second where it is 0.
fn rows(count: u64) -> Vec<OfferRow> {
    let row = |i: u64| {
        let feature = (i % 2) as f64;
        let arm = (i / 2) % 3;
        let works = arm == 1 && feature > 0.5 || arm == 2 && feature < 0.5;
        OfferRow {
            x: vec![feature, 7.0],
            modifiers: Vec::new(),
            arm: (arm > 0).then_some(OfferArm {
                kind: 1,
                offer: arm as u32,
            }),
            outcome: outcome(number(i) < if works { 0.5 } else { 0.2 }),
        }
    };
    (0..count).map(row).collect()
}

/// Whoever comes buys.
fn outcome(came: bool) -> Outcome {
    Outcome {
        came_back: came,
        explored: came,
        bought_new: came,
        bought_again: false,
    }
}

fn fit(rows: &[OfferRow]) -> (FittedOfferResponse, FitQuality) {
    FittedOfferResponse::fit(rows, 7, &mut || true).unwrap()
}

#[test]
fn a_fit_that_shall_stop_stops_before_its_next_step() {
    let rows = rows(600);
    for steps in [0, 1, 2, FOLDS] {
        let mut left = steps;
        let mut keep_on = || {
            let keeps_on = left > 0;
            left = left.saturating_sub(1);
            keeps_on
        };
        assert_eq!(FittedOfferResponse::fit(&rows, 7, &mut keep_on), None);
    }
}

#[test]
fn offers_of_one_kind_may_work_for_different_people() {
    let (fitted, quality) = fit(&rows(6_000));
    assert!(quality.log_loss < quality.base_log_loss, "{quality:?}");
    assert!(quality.calibration_error < 0.05, "{quality:?}");
    let said = |feature: f64, arm: Option<u32>| {
        let standing = fitted.standing(&[feature, 7.0], &[]).unwrap();
        let arm = arm.map(|offer| OfferArm { kind: 1, offer });
        fitted.expect(&standing, arm)
    };
    for (feature, arm, expected) in [
        (1.0, Some(1), 0.5),
        (0.0, Some(1), 0.2),
        (1.0, Some(2), 0.2),
        (0.0, Some(2), 0.5),
        (1.0, None, 0.2),
        (0.0, None, 0.2),
    ] {
        let said = said(feature, arm);
        assert!((said - expected).abs() < 0.06, "{feature} {arm:?}: {said}");
    }
    // a new offer stands between those of its kind
    let new = said(1.0, Some(99));
    assert!(new > 0.21 && new < 0.49, "{new}");
    let kept = postcard::to_allocvec(&fitted).unwrap();
    assert_eq!(
        postcard::from_bytes::<FittedOfferResponse>(&kept).unwrap(),
        fitted
    );
    assert_eq!(fit(&rows(6_000)).0, fitted);
}

/// Of three groups of people offer 1 works for the first alone; every number but the group says nothing.
fn grouped(count: u64) -> Vec<OfferRow> {
    let row = |i: u64| {
        let group = (i % 3) as usize;
        let arm = (i / 3) % 3;
        let works = arm == 1 && group == 0;
        let mut modifiers = vec![0.0; 3];
        modifiers[group] = 1.0;
        OfferRow {
            x: (0..8).map(|which| number(i * 10 + which)).collect(),
            modifiers,
            arm: (arm > 0).then_some(OfferArm {
                kind: arm as u8,
                offer: arm as u32,
            }),
            outcome: outcome(number(i * 10 + 9) < if works { 0.3 } else { 0.2 }),
        }
    };
    (0..count).map(row).collect()
}

#[test]
fn an_effect_differs_by_its_modifiers_and_is_as_sure_as_the_rows_make_it() {
    let (fitted, _) = fit(&grouped(36_000));
    let arm = |offer: u32| OfferArm {
        kind: offer as u8,
        offer,
    };
    let mut deviations = Vec::new();
    for group in 0..3 {
        let mut modifiers = vec![0.0; 3];
        modifiers[group] = 1.0;
        let standing = fitted.standing(&[0.5; 8], &modifiers).unwrap();
        let none = fitted.expect(&standing, None);
        for offer in [1, 2] {
            let effect = fitted.expect(&standing, Some(arm(offer))) - none;
            let expected = if offer == 1 && group == 0 { 0.1 } else { 0.0 };
            let off = fitted.deviation(&standing, arm(offer));
            // 4,000 rows of each: √(2 · 0.2 · 0.8 / 4000) is 0.009
            let bound = 3.0 * 0.009;
            assert!(
                (effect - expected).abs() < bound,
                "{group} {offer}: {effect}"
            );
            assert!((0.001..0.015).contains(&off), "{group} {offer}: {off}");
            deviations.push(off);
        }
        // of a kind nobody has seen less is known
        let new = fitted.deviation(&standing, arm(7));
        assert!(new > fitted.deviation(&standing, arm(1)), "{new}");
    }
    // fewer rows, less sure
    let (fewer, _) = fit(&grouped(9_000));
    let standing = fewer.standing(&[0.5; 8], &[1.0, 0.0, 0.0]).unwrap();
    assert!(fewer.deviation(&standing, arm(1)) > 1.2 * deviations[0]);
    // asked for others than it was fitted for
    assert_eq!(fitted.standing(&[0.5; 8], &[]), None);
    assert_eq!(fitted.standing(&[0.5; 7], &[1.0, 0.0, 0.0]), None);
}

/// Chances of three groups of people to come back, with nine kinds of offers or none (0): a third without, and
/// with an offer between half and twice as often.
fn drawn_in(group: usize, kind: usize) -> f64 {
    let odds = 0.5 * 4f64.powf(number((group * 100 + kind) as u64) - 0.5);
    if kind == 0 {
        1.0 / 3.0
    } else {
        odds / (1.0 + odds)
    }
}

/// Of those who come back a third buys; if `in_vain`, an offer makes nobody buy who would not have come without it.
fn visited(count: u64, in_vain: bool) -> Vec<OfferRow> {
    let row = |i: u64| {
        // every second one gets none, as beside mailings
        let kind = if i.is_multiple_of(2) {
            0
        } else {
            1 + (i / 2 % 9) as usize
        };
        let group = (i / 18 % 3) as usize;
        let mut modifiers = vec![0.0; 3];
        modifiers[group] = 1.0;
        let draw = number(i * 10);
        let came_back = draw < drawn_in(group, kind);
        let buys = if in_vain { draw < 1.0 / 3.0 } else { came_back };
        OfferRow {
            x: vec![number(i * 10 + 1)],
            modifiers,
            arm: (kind > 0).then_some(OfferArm {
                kind: kind as u8,
                offer: kind as u32,
            }),
            outcome: Outcome {
                came_back,
                explored: came_back,
                bought_new: buys && number(i * 10 + 2) < 1.0 / 3.0,
                bought_again: false,
            },
        }
    };
    (0..count).map(row).collect()
}

/// How far the effects that are told are off, at the root of the mean square over groups and kinds.
fn off(rows: &[OfferRow], truth: impl Fn(usize, usize) -> f64) -> f64 {
    let (fitted, _) = fit(rows);
    let mut squares = Vec::new();
    for group in 0..3 {
        let mut modifiers = vec![0.0; 3];
        modifiers[group] = 1.0;
        let standing = fitted.standing(&[0.5], &modifiers).unwrap();
        for kind in 1..10u8 {
            let offer = u32::from(kind);
            let told = fitted.expect(&standing, Some(OfferArm { kind, offer }));
            let told = told - fitted.expect(&standing, None);
            squares.push((told - truth(group, usize::from(kind))).powi(2));
        }
    }
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[test]
fn what_offers_do_shows_sooner_in_visits_and_is_believed_of_purchases_alone() {
    let arrives = |group, kind| (drawn_in(group, kind) - 1.0 / 3.0) / 3.0;
    let rows = visited(20_000, false);
    let mut blind = rows.clone();
    for row in &mut blind {
        row.outcome = outcome(row.outcome.bought());
    }
    let (told, blind) = (off(&rows, arrives), off(&blind, arrives));
    // whom offers draw in in vain they do not make buy
    let in_vain = off(&visited(60_000, true), |_, _| 0.0);
    println!("off by {told}, without visits {blind}, where it is in vain {in_vain}");
    assert!(told < 0.8 * blind, "{told} {blind}");
    assert!(in_vain < 0.01, "{in_vain}");
}

#[test]
fn what_is_bought_again_anyway_does_not_hide_what_offers_do_to_others() {
    let arrives = |group, kind| (drawn_in(group, kind) - 1.0 / 3.0) / 3.0;
    // half of the people buy again what they have run out of, half of the weeks, whatever they were sent
    let mut rows = visited(20_000, false);
    for (row, i) in rows.iter_mut().zip(0u64..) {
        let is_due = number(i * 10 + 4) < 0.5;
        row.x.push(f64::from(is_due));
        row.outcome.bought_again = is_due && number(i * 10 + 5) < 0.5;
        row.outcome.came_back |= row.outcome.bought_again;
    }
    let mut mixed = rows.clone();
    for row in &mut mixed {
        row.outcome = Outcome {
            explored: row.outcome.came_back,
            bought_new: row.outcome.bought(),
            bought_again: false,
            ..row.outcome
        };
    }
    // of those who are not due purchases rise by all that an offer does, of the others by half of it
    let off = |rows: &[OfferRow]| {
        let (fitted, _) = fit(rows);
        let mut squares = Vec::new();
        for group in 0..3 {
            let mut modifiers = vec![0.0; 3];
            modifiers[group] = 1.0;
            for (due, share) in [(0.0, 1.0), (1.0, 0.5)] {
                let standing = fitted.standing(&[0.5, due], &modifiers).unwrap();
                for kind in 1..10u8 {
                    let offer = u32::from(kind);
                    let told = fitted.expect(&standing, Some(OfferArm { kind, offer }));
                    let told = told - fitted.expect(&standing, None);
                    let expected = share * arrives(group, usize::from(kind));
                    squares.push((told - expected).powi(2));
                }
            }
        }
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    };
    let (told, mixed) = (off(&rows), off(&mixed));
    println!("off by {told}, mixed {mixed}");
    assert!(told < 0.8 * mixed, "{told} {mixed}");
}

#[test]
fn a_t_learner_agrees_where_a_kind_works_for_some() {
    let mut rows = rows(6_000);
    rows.retain(|row| row.arm.is_none_or(|arm| arm.offer == 1));
    let (fitted, _) = fit(&rows);
    let agreement = agreement(&fitted, &rows).unwrap();
    assert!(agreement > 0.9, "{agreement}");
}

#[test]
fn whatever_was_seen_everything_is_a_number() {
    let all = |bought: bool, arm: Option<OfferArm>, count: usize| OfferRow {
        x: vec![count as f64, 1e300],
        modifiers: Vec::new(),
        arm,
        outcome: outcome(bought),
    };
    let arm = Some(OfferArm { kind: 3, offer: 4 });
    let strange: [Vec<OfferRow>; 5] = [
        Vec::new(),
        vec![all(true, None, 1)],
        (0..500).map(|i| all(true, arm, i)).collect(),
        (0..500).map(|i| all(false, None, i)).collect(),
        (0..500).map(|i| all(i % 2 == 0, arm, 0)).collect(),
    ];
    for rows in strange {
        let (fitted, quality) = fit(&rows);
        let asked: &[f64] = if rows.is_empty() {
            &[]
        } else {
            &[1e300, -1e300]
        };
        let standing = fitted.standing(asked, &[]).unwrap();
        for arm in [None, arm, Some(OfferArm { kind: 9, offer: 9 })] {
            let said = fitted.expect(&standing, arm);
            assert!((0.0..=1.0).contains(&said), "{said}");
            let off = arm.map_or(0.0, |arm| fitted.deviation(&standing, arm));
            assert!((0.0..1.0).contains(&off), "{off}");
        }
        assert!(quality.log_loss.is_finite() && quality.calibration_error.is_finite());
        assert!(agreement(&fitted, &rows).is_none_or(f64::is_finite));
    }
}
