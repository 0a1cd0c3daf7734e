//! Findings in counts whose truth is known.

use super::*;

const WEEKS: usize = 16;

/// Of a touchpoint: for each persona, how many passed and were lost in the window; `before` four times as many passed
/// at this share.
fn places(
    stage: &str,
    touchpoint: &str,
    category: &str,
    cells: &[(&str, u64, u64, f64)],
) -> Vec<Place> {
    let place = |&(persona, passed, lost, before): &(&str, u64, u64, f64)| {
        let passed_then = passed / 4;
        let lost_then = (passed_then as f64 * before).round() as u64;
        Place {
            stage: stage.to_owned(),
            touchpoint: touchpoint.to_owned(),
            persona: persona.to_owned(),
            category: category.to_owned(),
            window: Counts { passed, lost },
            before: vec![
                Counts {
                    passed: passed_then,
                    lost: lost_then
                };
                WEEKS
            ],
        }
    };
    cells.iter().map(place).collect()
}

/// A shop in which nothing has changed.
fn calm() -> Vec<Place> {
    let shares = [
        ("cart", 0.3),
        ("checkout", 0.15),
        ("payment", 0.05),
        ("email", 0.1),
    ];
    let mut all = Vec::new();
    for (touchpoint, share) in shares {
        let lost = |passed: u64| (passed as f64 * share) as u64;
        let cells = [
            ("a", 200, lost(200), share),
            ("b", 300, lost(300), share),
            ("c", 160, lost(160), share),
            ("", 120, lost(120), share),
        ];
        all.extend(places("decision", touchpoint, "", &cells));
    }
    for (category, share) in [
        ("Home", 0.6),
        ("Audio", 0.5),
        ("Phones", 0.55),
        ("Office", 0.4),
        ("Gaming", 0.6),
    ] {
        let lost = |passed: u64| (passed as f64 * share) as u64;
        let cells = [("a", 200, lost(200), share), ("b", 240, lost(240), share)];
        all.extend(places("consideration", "product_page", category, &cells));
    }
    all.extend(places(
        "consideration",
        "product_page",
        "",
        &[("a", 1_000, 300, 0.3), ("b", 1_200, 360, 0.3)],
    ));
    all
}

fn lose(places: &mut [Place], touchpoint: &str, category: &str, persona: Option<&str>, share: f64) {
    for place in places {
        let is_here = place.touchpoint == touchpoint && place.category == category;
        if is_here && persona.is_none_or(|persona| place.persona == persona) {
            place.window.lost = (place.window.passed as f64 * share) as u64;
        }
    }
}

/// What a stay in a stage is worth, whoever it is; a visit is worth 1.
fn of(worth: BTreeMap<String, f64>) -> impl Fn(&Finding) -> f64 {
    move |finding| match finding.category.as_str() {
        "" => worth.get(&finding.stage).copied().unwrap_or(0.0),
        _ => 1.0,
    }
}

fn found(places: &[Place]) -> Vec<(String, String, Whom, Comparison)> {
    let worth = BTreeMap::from([
        ("decision".to_owned(), 60.0),
        ("consideration".to_owned(), 20.0),
    ]);
    let report = find(places, &of(worth), &PainParams::default());
    let said = report.findings.into_iter();
    said.map(|one| (one.touchpoint, one.category, one.whom, one.comparison))
        .collect()
}

fn before(touchpoint: &str, category: &str, whom: Whom) -> (String, String, Whom, Comparison) {
    (
        touchpoint.to_owned(),
        category.to_owned(),
        whom,
        Comparison::Before,
    )
}

fn persona(id: &str) -> Whom {
    Whom::Persona(id.to_owned())
}

#[test]
fn nothing_is_found_where_nothing_changed_or_is_there() {
    assert!(found(&calm()).is_empty());
    assert_eq!(
        find(&[], &|_| 0.0, &PainParams::default()),
        PainReport::default()
    );
    // counts that cannot be are read as all lost, and of too few nothing is said
    let few = places("decision", "cart", "", &[("a", 29, 40, 0.1)]);
    assert_eq!(find(&few, &|_| 0.0, &PainParams::default()).compared, 0);
}

#[test]
fn a_cause_is_said_at_the_level_that_explains_it() {
    let mut one = calm();
    lose(&mut one, "checkout", "", Some("b"), 0.5);
    assert_eq!(found(&one), [before("checkout", "", persona("b"))]);
    let mut all = calm();
    lose(&mut all, "checkout", "", None, 0.4);
    assert_eq!(found(&all), [before("checkout", "", Whom::Everybody)]);
    // two of four
    let mut two = calm();
    lose(&mut two, "checkout", "", Some("b"), 0.5);
    lose(&mut two, "checkout", "", Some("a"), 0.5);
    let both = [
        before("checkout", "", persona("b")),
        before("checkout", "", persona("a")),
    ];
    assert_eq!(found(&two), both);
    // everybody, and one of them even more
    let mut more = calm();
    lose(&mut more, "checkout", "", None, 0.35);
    lose(&mut more, "checkout", "", Some("b"), 0.8);
    let both = [
        before("checkout", "", Whom::Everybody),
        before("checkout", "", persona("b")),
    ];
    assert_eq!(found(&more), both);
    // those of whom nothing is known
    let mut guests = calm();
    lose(&mut guests, "payment", "", Some(""), 0.4);
    assert_eq!(found(&guests), [before("payment", "", Whom::Unassigned)]);
}

#[test]
fn one_category_or_the_pages() {
    let mut one = calm();
    lose(&mut one, "product_page", "Gaming", None, 0.85);
    // all pages together lose a little more, too: the category explains it
    lose(&mut one, "product_page", "", None, 0.36);
    assert_eq!(
        found(&one),
        [before("product_page", "Gaming", Whom::Everybody)]
    );
    let mut all = calm();
    // the same odds everywhere, four times those before
    let worse = [
        ("Gaming", 0.857),
        ("Home", 0.857),
        ("Audio", 0.8),
        ("Phones", 0.83),
        ("Office", 0.727),
    ];
    for (category, share) in worse {
        lose(&mut all, "product_page", category, None, share);
    }
    lose(&mut all, "product_page", "", None, 0.6);
    assert_eq!(found(&all), [before("product_page", "", Whom::Everybody)]);
}

#[test]
fn what_changed_in_the_whole_stage_is_no_pain_of_a_place() {
    let mut season = calm();
    for (touchpoint, share) in [
        ("cart", 0.5),
        ("checkout", 0.29),
        ("payment", 0.11),
        ("email", 0.2),
    ] {
        lose(&mut season, touchpoint, "", None, share);
    }
    assert!(found(&season).is_empty());
    lose(&mut season, "payment", "", None, 0.4);
    assert_eq!(found(&season), [before("payment", "", Whom::Everybody)]);
}

/// The decision stage of a simulated shop with high shipping cost, as a service counted it (seed 1): at many places
/// hardly anybody is lost, in the window or before.
#[test]
fn places_that_tell_nothing_do_not_say_that_all_of_a_stage_got_worse() {
    let counted = [
        ("cart", (251, 1_340), (1_056, 5_444)),
        ("checkout", (93, 991), (163, 3_999)),
        ("payment", (10, 840), (25, 3_722)),
        ("sales_team", (20, 140), (60, 604)),
        ("account", (0, 120), (0, 463)),
        ("product_page", (35, 101), (78, 335)),
        ("organic_search", (1, 62), (3, 210)),
        ("email", (22, 53), (73, 177)),
        ("website", (4, 49), (5, 157)),
        ("delivery", (8, 48), (16, 171)),
        ("product_list", (0, 43), (0, 139)),
    ];
    let weeks = WEEKS as u64;
    let of_week = |all: u64, week: u64| all * (week + 1) / weeks - all * week / weeks;
    let place = |(touchpoint, window, before): (&str, (u64, u64), (u64, u64))| Place {
        stage: "decision".to_owned(),
        touchpoint: touchpoint.to_owned(),
        persona: "a".to_owned(),
        category: String::new(),
        window: Counts {
            passed: window.1,
            lost: window.0,
        },
        before: (0..weeks)
            .map(|week| Counts {
                passed: of_week(before.1, week),
                lost: of_week(before.0, week),
            })
            .collect(),
    };
    let found = found(&counted.map(place));
    let places: Vec<&str> = found.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(places, ["checkout"]);
}

#[test]
fn what_every_known_persona_feels_is_everybodys() {
    let mut shop = calm();
    for persona in ["a", "b", "c"] {
        lose(&mut shop, "checkout", "", Some(persona), 0.4);
    }
    assert_eq!(found(&shop), [before("checkout", "", Whom::Everybody)]);
}

#[test]
fn a_category_is_said_where_most_looked_at_it() {
    let mut shop = calm();
    lose(&mut shop, "product_page", "Gaming", None, 0.85);
    let told = [("a", 60, 50, 0.6), ("b", 60, 50, 0.6)];
    shop.extend(places("purchase", "sales_team", "Gaming", &told));
    assert_eq!(
        found(&shop),
        [before("product_page", "Gaming", Whom::Everybody)]
    );
}

#[test]
fn an_excess_that_was_always_there_is_nature() {
    let old = |share: f64| {
        let mut all = calm();
        lose(&mut all, "checkout", "", Some("b"), share);
        for place in &mut all {
            if place.touchpoint == "checkout" && place.persona == "b" {
                for week in &mut place.before {
                    week.lost = (week.passed as f64 * share) as u64;
                }
            }
        }
        found(&all)
    };
    assert!(old(0.21).is_empty());
    assert!(old(0.55).is_empty());
    // a persona that leaves everywhere, and a touchpoint where everybody does, are as they are
    let mut natural = calm();
    for place in &mut natural {
        let is_one = place.persona == "c";
        let is_there = place.touchpoint == "email";
        let odds = if is_one { 4.0 } else { 1.0 } * if is_there { 5.0 } else { 1.0 };
        let tilt = |counts: &mut Counts| {
            let share = counts.share() / (1.0 - counts.share()) * odds;
            counts.lost = (counts.passed as f64 * share / (1.0 + share)).round() as u64;
        };
        tilt(&mut place.window);
        place.before.iter_mut().for_each(tilt);
    }
    assert!(found(&natural).is_empty());
    // and the same where nothing is known from before
    natural.iter_mut().for_each(|place| place.before.clear());
    assert!(found(&natural).is_empty());
}

#[test]
fn a_new_touchpoint_is_compared_with_elsewhere() {
    let mut new = calm();
    lose(&mut new, "checkout", "", Some("b"), 0.6);
    new.iter_mut().for_each(|place| place.before.clear());
    let said = found(&new);
    assert_eq!(said.len(), 1);
    assert_eq!(
        (said[0].2.clone(), said[0].3),
        (persona("b"), Comparison::Elsewhere)
    );
}

#[test]
fn noisy_weeks_and_small_rises_are_put_up_with() {
    let mut noisy = calm();
    lose(&mut noisy, "checkout", "", Some("b"), 0.27);
    assert_eq!(found(&noisy), [before("checkout", "", persona("b"))]);
    for place in &mut noisy {
        for (week, counts) in place.before.iter_mut().enumerate() {
            if place.touchpoint == "checkout" {
                counts.lost = if week % 2 == 0 { 0 } else { 2 * counts.lost };
            }
        }
    }
    assert!(found(&noisy).is_empty());
    // clear in numbers, but small
    let large = |share: f64| {
        let mut all = calm();
        for place in &mut all {
            let grow = |counts: &mut Counts| {
                counts.passed *= 500;
                counts.lost *= 500;
            };
            grow(&mut place.window);
            place.before.iter_mut().for_each(grow);
        }
        lose(&mut all, "checkout", "", None, share);
        found(&all)
    };
    assert!(large(0.2).is_empty());
    assert_eq!(large(0.25), [before("checkout", "", Whom::Everybody)]);
}

#[test]
fn findings_are_ranked_by_money_with_ids_that_last() {
    let mut two = calm();
    lose(&mut two, "checkout", "", Some("b"), 0.5);
    lose(&mut two, "product_page", "Gaming", None, 0.85);
    let worth = |decision: f64| {
        BTreeMap::from([
            ("decision".to_owned(), decision),
            ("consideration".to_owned(), 20.0),
        ])
    };
    let first = find(&two, &of(worth(60.0)), &PainParams::default());
    let [checkout, gaming] = first.findings.as_slice() else {
        panic!("{first:?}");
    };
    assert_eq!(
        checkout.window,
        Counts {
            passed: 300,
            lost: 150
        }
    );
    assert_eq!(checkout.before.passed, 1_200);
    assert!((checkout.expected_share - checkout.before.share()).abs() < 0.01);
    assert!((checkout.extra_lost - (150.0 - 300.0 * checkout.expected_share)).abs() < 1e-9);
    assert!((checkout.lost_value - 60.0 * checkout.extra_lost).abs() < 1e-9);
    assert!(checkout.q_value < 1e-9 && first.compared > 30);
    assert!(
        checkout.evidence().starts_with(
            "150 of 300 stays that passed here were lost here: 50.0 % (44.4 to 55.6 %)"
        )
    );
    assert!(gaming.title("").contains("product page of Gaming"));
    assert!((gaming.lost_value - gaming.extra_lost).abs() < 1e-9);
    // dearer elsewhere: the other way round; other numbers and another order of places: the same ids
    lose(&mut two, "checkout", "", Some("b"), 0.45);
    two.reverse();
    let second = find(&two, &of(worth(0.1)), &PainParams::default());
    let ids = |report: &PainReport| {
        report
            .findings
            .iter()
            .map(|one| one.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&second), [gaming.id.clone(), checkout.id.clone()]);
    assert_ne!(gaming.id, checkout.id);
}

#[test]
fn categories_count_whatever_the_stage() {
    let mut split = calm();
    lose(&mut split, "product_page", "Gaming", None, 0.85);
    let mut more = Vec::new();
    for place in &mut split {
        if !place.category.is_empty() {
            let mut other = place.clone();
            "advocacy".clone_into(&mut other.stage);
            let halve = |counts: &mut Counts| {
                counts.passed /= 4;
                counts.lost /= 4;
            };
            halve(&mut other.window);
            other.before.iter_mut().for_each(halve);
            more.push(other);
        }
    }
    split.extend(more);
    assert_eq!(
        found(&split),
        [before("product_page", "Gaming", Whom::Everybody)]
    );
}
