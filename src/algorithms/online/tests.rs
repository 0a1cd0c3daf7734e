//! The online ranker in shops whose truth is known: outcomes follow a rule, answers are ordered by what it learned.

use super::*;
use crate::domain::Source;
use crate::domain::attribution::short_hash;

/// Products of one answer.
const PLACES: usize = 5;
const CANDIDATES: usize = 20;

fn chance(seed: u64, number: u64) -> f64 {
    (mix(seed, number) >> 11) as f64 / (1u64 << 53) as f64
}

fn setting(placement: &str) -> Setting {
    Setting {
        stage: short_hash("decision"),
        placement: short_hash(placement),
    }
}

/// What the truth adds to the log-odds of the batch model.
type Truth = fn(Origin, &str) -> f64;

/// How a loop of questions, answers and outcomes ended: clicks an impression in its second half.
#[derive(Debug)]
struct Loop {
    online: Online,
    click_rate: f64,
    active: usize,
}

/// Answers `questions` questions by log-odds and, if `with_online`, by what was learned so far; outcomes follow the
/// truth. The first places are looked at more often.
fn run(seed: u64, questions: usize, truth: Truth, with_online: bool) -> Loop {
    let mut online = Online::default();
    let (mut impressions, mut clicks, mut active) = (0u32, 0u32, 0);
    for question in 0..questions {
        let placement = ["home", "cart", "product_page"][question % 3];
        let setting = setting(placement);
        let draw =
            |what: usize, i: usize| chance(seed ^ (what as u64) << 40, (question * 64 + i) as u64);
        let corrections = online.corrections(setting).filter(|_| with_online);
        active += usize::from(corrections.is_some());
        let mut candidates: Vec<(f64, f64, Origin)> = (0..CANDIDATES)
            .map(|i| {
                let origin =
                    Origin::ALL[1 + (mix(seed, (question * CANDIDATES + i) as u64) % 6) as usize];
                let base = -4.0 + 2.0 * draw(0, i);
                let correction = corrections.map_or(0.0, |all| all[origin.index()]);
                (base + correction, base, origin)
            })
            .collect();
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (place, &(_, base, origin)) in candidates.iter().take(PLACES).enumerate() {
            let shown = Shown {
                product: place as u32,
                origin,
                rank: place as u8 + 1,
                base: Some(Shown::quantised(base)),
                probability: 1.0,
            };
            let log_odds = base + truth(origin, placement) - 0.3 * place as f64;
            let clicked = draw(1, place) < probability(log_odds);
            online.learn(setting, &shown, false);
            if clicked {
                online.learn(setting, &shown, true);
            }
            if question >= questions / 2 {
                impressions += 1;
                clicks += u32::from(clicked);
            }
        }
    }
    Loop {
        online,
        click_rate: f64::from(clicks) / f64::from(impressions),
        active,
    }
}

/// One source is worth three times as much at one placement, and half of it elsewhere.
fn source_at_placement(origin: Origin, placement: &str) -> f64 {
    match (origin, placement) {
        (Origin::Source(Source::Together), "cart") => 1.1,
        (Origin::Source(Source::Together), _) => -0.7,
        _ => 0.0,
    }
}

fn as_believed(_: Origin, _: &str) -> f64 {
    0.0
}

#[test]
fn a_source_that_is_better_than_believed_is_learned_and_clicks_rise() {
    for seed in 1..=3 {
        let alone = run(seed, 6_000, source_at_placement, false);
        let helped = run(seed, 6_000, source_at_placement, true);
        assert!(helped.active > 2_000, "{helped:?}");
        let (before, after) = (alone.click_rate, helped.click_rate);
        assert!(
            // one who knew the truth would gain 11 %
            after > 1.04 * before,
            "seed {seed}: {after} against {before}"
        );
        let at = |placement| helped.online.corrections(setting(placement)).unwrap();
        let together = Origin::Source(Source::Together).index();
        assert!(
            at("cart")[together] > 0.2 + at("home")[together],
            "{:?}",
            at("cart")
        );
    }
}

#[test]
fn outcomes_that_follow_the_batch_model_change_next_to_nothing() {
    for seed in 1..=5 {
        let alone = run(seed, 6_000, as_believed, false);
        let helped = run(seed, 6_000, as_believed, true);
        let (before, after) = (alone.click_rate, helped.click_rate);
        // 15,000 impressions with some 10 % clicks: the standard error of either rate is a fortieth of it
        assert!(
            (after / before - 1.0).abs() < 0.05,
            "seed {seed}: {after} against {before}"
        );
        assert!(
            helped.active < 600,
            "seed {seed}: active for {} questions",
            helped.active
        );
    }
}

#[test]
fn it_is_off_until_it_has_seen_enough_whatever_it_gains() {
    let mut online = Online::default();
    let good = Shown {
        product: 1,
        origin: Origin::Source(Source::Together),
        rank: 1,
        base: Some(Shown::quantised(-3.0)),
        probability: 1.0,
    };
    let bad = Shown {
        origin: Origin::Source(Source::Popular),
        ..good
    };
    let home = setting("home");
    for i in 0..MIN_IMPRESSIONS {
        assert_eq!(online.corrections(home), None, "after {i} impressions");
        online.learn(home, if i % 2 == 0 { &good } else { &bad }, false);
        if i % 2 == 0 {
            online.learn(home, &good, true);
        }
    }
    let corrections = online.corrections(home).expect("this gain is clear");
    let of = |shown: &Shown| corrections[shown.origin.index()];
    assert!(of(&good) > of(&bad) + 0.5);
    assert_eq!(online.examples(), (MIN_IMPRESSIONS, MIN_IMPRESSIONS / 2));
    assert!(online.gain() > 0.0);
}

#[test]
fn corrections_are_bounded_and_the_same_examples_give_the_same_bytes() {
    let truth: Truth = |origin, _| match origin {
        Origin::Source(Source::Personal) => 6.0,
        _ => -3.0,
    };
    let learned = run(1, 4_000, truth, false).online;
    let corrections = learned.corrections(setting("home")).unwrap();
    assert!(
        corrections.iter().all(|c| c.abs() <= MOST),
        "{corrections:?}"
    );
    let bytes = postcard::to_stdvec(&learned).unwrap();
    assert_eq!(
        bytes,
        postcard::to_stdvec(&run(1, 4_000, truth, false).online).unwrap()
    );
    let restored: Online = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(restored, learned);
    assert_eq!(Online::default().corrections(setting("home")), None);
}

#[test]
fn weights_are_those_of_linfa() {
    let learned = run(2, 500, source_at_placement, false).online;
    for part in [&learned.plain, &learned.order] {
        let weights = part.model.get_weights();
        for (column, weight) in weights.iter().enumerate() {
            assert_eq!(
                part.weight(column).to_bits(),
                (weight + 0.0).to_bits(),
                "column {column}"
            );
        }
    }
}

#[test]
fn the_plain_part_reads_probabilities_off_fake_negatives() {
    // everything is clicked with probability 0.2: b = 0.2 / 1.2, and b / (1 - b) is 0.2 again
    let mut online = Online::default();
    let shown = Shown {
        product: 1,
        origin: Origin::Source(Source::Popular),
        rank: 1,
        base: Some(0),
        probability: 1.0,
    };
    let (offset, row) = plain_row(setting("home"), &shown);
    let (mut sum, mut count) = (0.0, 0.0);
    for i in 0..20_000 {
        for label in [false, true] {
            if label && chance(7, i) >= 0.2 {
                continue;
            }
            // the weights go on moving with each example: their mean is what they say
            if i >= 5_000 {
                sum += probability(offset + online.plain.score(&row));
                count += 1.0;
            }
            online.learn(setting("home"), &shown, label);
        }
    }
    let b: f64 = sum / count;
    let p = b / (1.0 - b);
    assert!((p - 0.2).abs() < 0.015, "{p}");
}
