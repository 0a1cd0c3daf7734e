//! Personas over made-up customers.

use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256Plus;

use super::*;

fn column(name: &str, group: &str, scale: Scale) -> Column {
    Column {
        name: name.to_owned(),
        group: group.to_owned(),
        scale,
        noise: None,
        is_log: false,
        who: [format!("Much {name}"), format!("Little {name}")],
        words: [format!("much {name}"), format!("little {name}")],
    }
}

fn columns() -> Vec<Column> {
    ["red", "blue", "green"]
        .map(|name| column(name, name, Scale::Plain))
        .to_vec()
}

/// `each` customers around each centre, with twenty observations of each column.
fn customers(centres: &[[f64; 3]], each: usize, seed: u64) -> Vec<Vec<Measure>> {
    let mut rng = Xoshiro256Plus::seed_from_u64(seed);
    let mut rows = Vec::new();
    for number in 0..centres.len() * each {
        let centre = centres[number % centres.len()];
        let row = centre.map(|mean| {
            let own = mean + rng.gen_range(-1.0..1.0);
            let mut measure = Measure::default();
            (0..20).for_each(|_| measure.add(own + rng.gen_range(-1.0..1.0)));
            measure
        });
        rows.push(row.to_vec());
    }
    rows
}

fn fit(rows: &[Vec<Measure>], seed: u64) -> (FittedPersonas, Choice) {
    let params = PersonaParams {
        seed,
        ..PersonaParams::default()
    };
    params.check().unwrap().fit(columns(), rows).unwrap()
}

const THREE: [[f64; 3]; 3] = [[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [0.0, 10.0, 0.0]];

#[test]
fn as_many_are_found_as_there_are() {
    let rows = customers(&THREE, 80, 1);
    let (fitted, choice) = fit(&rows, 7);
    assert_eq!(choice.k, 3, "{choice:?}");
    assert!(choice.silhouette > choice.shuffled_silhouette);
    assert!((choice.smallest_share - 1.0 / 3.0).abs() < 1e-9);
    let best: Vec<usize> = rows
        .iter()
        .map(|row| fitted.membership(row).unwrap().best)
        .collect();
    let truth: Vec<usize> = (0..rows.len()).map(|number| number % 3).collect();
    assert!((adjusted_rand_index(&best, &truth) - 1.0).abs() < 1e-12);
    for row in &rows {
        let membership = fitted.membership(row).unwrap();
        assert!((membership.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let largest = membership.shares.iter().copied().fold(0.0, f64::max);
        assert!((membership.shares[membership.best] - largest).abs() < 1e-12);
    }
    assert_eq!(fitted.membership(&rows[0][..2]), None);
    assert_eq!(fit(&rows, 7), (fitted, choice));
}

#[test]
fn traits_and_names_tell_what_sets_them_apart() {
    let (fitted, _) = fit(&customers(&THREE, 80, 1), 7);
    let mut names: Vec<&str> = fitted.personas().iter().map(|p| &*p.name).collect();
    names.sort_unstable();
    assert!(
        names.contains(&"Much red") && names.contains(&"Much blue"),
        "{names:?}"
    );
    let red = fitted
        .personas()
        .iter()
        .find(|p| p.name == "Much red")
        .unwrap();
    let told = &red.traits[0];
    assert_eq!((&*told.feature, &*told.text), ("red", "much red"));
    // ten units, of 3.3 on average, as people count them
    assert!(
        (told.value - 10.0).abs() < 0.5 && (told.mean - 10.0 / 3.0).abs() < 0.5,
        "{told:?}"
    );
    assert!(told.deviation > 1.0);
    assert!(
        red.description.starts_with("Much red; little blue"),
        "{}",
        red.description
    );
}

#[test]
fn ids_and_names_stay_and_new_ones_are_new() {
    let (before, _) = fit(&customers(&THREE, 80, 1), 7);
    // another draw, another seed, and the green ones are new
    let moved = [
        [0.3, 0.0, 0.0],
        [9.5, 0.5, 0.0],
        [0.0, 10.2, 0.0],
        [0.0, 0.0, 15.0],
    ];
    let (mut after, choice) = fit(&customers(&moved, 80, 2), 8);
    assert_eq!(choice.k, 4, "{choice:?}");
    let matched = after.follow(&before);
    assert_eq!(
        (matched.kept.len(), matched.gone.len()),
        (3, 0),
        "{matched:?}"
    );
    assert_eq!(matched.new, ["persona-4"]);
    for old in before.personas() {
        let new = after
            .personas()
            .iter()
            .find(|new| new.id == old.id)
            .unwrap();
        assert_eq!(new.name, old.name);
    }
    let green = after
        .personas()
        .iter()
        .find(|new| new.id == "persona-4")
        .unwrap();
    assert_eq!(green.name, "Much green");
    // the red ones leave; their id is not given to anybody else
    let (mut last, choice) = fit(&customers(&[moved[0], moved[2], moved[3]], 80, 3), 9);
    assert_eq!(choice.k, 3);
    let matched = last.follow(&after);
    assert_eq!(
        (matched.kept.len(), matched.new.len()),
        (3, 0),
        "{matched:?}"
    );
    assert_eq!(matched.gone.len(), 1);
    let (mut back, _) = fit(&customers(&moved, 80, 4), 10);
    assert_eq!(back.follow(&last).new, ["persona-5"]);
}

#[test]
fn where_nothing_is_nothing_is_found_again() {
    let (_, choice) = fit(&customers(&[[0.0; 3]], 300, 5), 7);
    assert!(
        choice
            .tried
            .iter()
            .all(|tried| tried.strength < choice::MIN_STRENGTH),
        "{choice:?}"
    );
    assert!(
        choice.silhouette < choice.shuffled_silhouette + 0.05,
        "{choice:?}"
    );
}

#[test]
fn a_group_of_many_columns_weighs_as_one() {
    // two clear kinds by one column, beside twenty columns of one group that say nothing
    let mut columns = vec![column("kind", "kind", Scale::Plain)];
    columns.extend((0..20).map(|n| column(&format!("noise {n}"), "noise", Scale::Plain)));
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    let rows: Vec<Vec<Measure>> = (0..200)
        .map(|number| {
            let mut row = vec![if number % 2 == 0 { -1.0 } else { 1.0 }];
            row.extend((0..20).map(|_| rng.gen_range(-1.0..1.0)));
            let measure = |value: f64| {
                let mut measure = Measure::default();
                (0..4).for_each(|n| measure.add(value + 0.01 * f64::from(n)));
                measure
            };
            row.into_iter().map(measure).collect()
        })
        .collect();
    let params = PersonaParams {
        max_k: 2,
        ..PersonaParams::default()
    };
    let (fitted, _) = params.check().unwrap().fit(columns, &rows).unwrap();
    let best: Vec<usize> = rows
        .iter()
        .map(|row| fitted.membership(row).unwrap().best)
        .collect();
    let truth: Vec<usize> = (0..rows.len()).map(|number| number % 2).collect();
    assert!(adjusted_rand_index(&best, &truth) > 0.99);
}

#[test]
fn what_cannot_be_is_refused() {
    let fit = |params: PersonaParams, columns: Vec<Column>, rows: &[Vec<Measure>]| {
        params
            .check()
            .and_then(|valid| valid.fit(columns, rows))
            .map(|_| ())
    };
    let usual = PersonaParams::default();
    let rows = customers(&THREE, 80, 1);
    let too_small = PersonaParams { min_k: 1, ..usual };
    let too_large = PersonaParams { max_k: 33, ..usual };
    for params in [too_small, too_large] {
        let found = fit(params, columns(), &rows);
        assert!(matches!(found, Err(PersonaError::Params(_))), "{found:?}");
    }
    let too_many = vec![column("x", "x", Scale::Plain); MAX_COLUMNS + 1];
    let few = choice::MIN_ROWS;
    for (columns, rows) in [
        (Vec::new(), &rows[..]),
        (too_many, &rows[..]),
        (columns(), &rows[..few - 1]),
        (columns()[..2].to_vec(), &rows[..]),
    ] {
        let found = fit(usual, columns, rows);
        assert!(matches!(found, Err(PersonaError::Rows(_))), "{found:?}");
    }
    assert_eq!(fit(usual, columns(), &rows[..few]), Ok(()));
}
