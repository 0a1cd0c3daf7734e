//! Drafts at every bound, and every fault at once.

use super::*;
use crate::domain::StageIndex;
use crate::domain::catalog::{MAX_CATEGORY_LEVELS, MAX_LABEL_BYTES};
use crate::domain::journey::Stage;

fn draft() -> OfferDraft<'static> {
    OfferDraft {
        offer_id: "o1",
        kind: Some(Ok(OfferKind::Content)),
        cap_per_customer: Some(Ok(1)),
        ..OfferDraft::default()
    }
}

fn checked(draft: &OfferDraft<'_>) -> Result<Offer, Vec<(String, FaultCode)>> {
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        aim: String::new(),
    };
    let journey = Journey {
        stages: ["awareness", "decision"].map(stage).to_vec(),
        rules: Vec::new(),
        otherwise: StageIndex(0),
        recovery: crate::domain::journey::Recovery::default(),
        health: crate::domain::HealthBounds::default(),
    };
    let eligible = |text: &str| match text {
        "true" => Ok(()),
        _ => Err((FaultCode::Malformed, "no".to_owned())),
    };
    let faults = |faults: Faults| {
        let faults = faults.as_slice().iter();
        faults.map(|f| (f.field.clone(), f.code)).collect()
    };
    draft.check(&journey, &eligible).map_err(faults)
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// What is taken at the bound, and the one field that is at fault beyond it.
fn at_the_bound(
    field: &str,
    code: FaultCode,
    set: impl for<'a> Fn(&mut OfferDraft<'a>, &'a [String], bool),
    most: usize,
) {
    for (count, is_beyond) in [(most, false), (most + 1, true)] {
        let entries = numbers(count);
        let mut draft = draft();
        set(&mut draft, &entries, is_beyond);
        let expected = match is_beyond {
            true => vec![(field.to_owned(), code)],
            false => Vec::new(),
        };
        assert_eq!(checked(&draft).err().unwrap_or_default(), expected);
    }
}

#[test]
fn lists_are_bounded() {
    fn texts(entries: &[String]) -> Vec<&str> {
        entries.iter().map(String::as_str).collect()
    }
    use FaultCode::TooLong;
    at_the_bound(
        "product_ids",
        TooLong,
        |draft, entries, _| draft.product_ids = texts(entries),
        MAX_OFFER_PRODUCTS,
    );
    at_the_bound(
        "categories",
        TooLong,
        |draft, entries, _| draft.categories = entries.iter().map(|e| vec![&**e]).collect(),
        MAX_OFFER_CATEGORIES,
    );
    at_the_bound(
        "categories",
        TooLong,
        |draft, entries, _| draft.categories = vec![texts(entries)],
        MAX_CATEGORY_LEVELS,
    );
    at_the_bound(
        "segments",
        TooLong,
        |draft, entries, _| draft.segments = texts(entries),
        MAX_OFFER_NAMES,
    );
    at_the_bound(
        "channels",
        TooLong,
        |draft, entries, _| draft.channels = texts(entries),
        MAX_OFFER_NAMES,
    );
}

#[test]
fn numbers_are_bounded() {
    type Set = fn(&mut OfferDraft<'_>, i64);
    let cases: [(&str, i64, i64, Set); 5] = [
        ("budget_units", 1, MAX_BUDGET_UNITS, |d, n| {
            d.budget_units = Some(Ok(n));
        }),
        ("cap_per_customer", 1, MAX_CAP, |d, n| {
            d.cap_per_customer = Some(Ok(n));
        }),
        ("cap_shown_per_customer", 1, MAX_CAP, |d, n| {
            d.cap_shown_per_customer = Some(Ok(n));
        }),
        ("cap_window_days", 1, MAX_CAP_WINDOW_DAYS, |d, n| {
            d.cap_window_days = Some(Ok(n));
        }),
        ("priority", -MAX_PRIORITY, MAX_PRIORITY, |d, n| {
            d.priority = Some(Ok(n));
        }),
    ];
    for (field, least, most, set) in cases {
        let of = |number| {
            let mut draft = draft();
            set(&mut draft, number);
            checked(&draft).err().unwrap_or_default()
        };
        assert_eq!((of(least), of(most)), (vec![], vec![]), "{field}");
        let beyond = vec![(field.to_owned(), FaultCode::OutOfRange)];
        assert_eq!((of(least - 1), of(most + 1)), (beyond.clone(), beyond));
    }
}

#[test]
fn every_fault_is_found_at_once_and_few_of_a_list() {
    let blank = vec![""; 2 * MAX_LIST_FAULTS];
    let long = "x".repeat(MAX_LABEL_BYTES + 1);
    let faulty = OfferDraft {
        needs_currency: true,
        kind: Some(Ok(OfferKind::Amount)),
        value: Some(Ok(f64::NAN)),
        product_ids: blank,
        categories: vec![vec![], vec![&long]],
        stages: vec!["decision", "sleep"],
        eligibility: "1",
        starts_at: Some(Ok(Timestamp::from_ms(5))),
        ends_at: Some(Ok(Timestamp::from_ms(5))),
        unit_cost: Some(Ok(1.0)),
        cap_per_customer: None,
        cap_window_days: Some(Ok(7)),
        ..OfferDraft::default()
    };
    let found = checked(&faulty).unwrap_err();
    let mut expected = vec![
        ("offer_id", FaultCode::Required),
        ("value", FaultCode::NotANumber),
    ];
    expected.extend([("product_ids", FaultCode::Required); MAX_LIST_FAULTS]);
    expected.extend([
        ("categories", FaultCode::Required),
        ("categories", FaultCode::TooLong),
        ("stages", FaultCode::UnknownName),
        ("eligibility", FaultCode::Malformed),
        ("ends_at", FaultCode::OutOfRange),
        ("cap_window_days", FaultCode::NotAllowed),
        ("currency", FaultCode::Required),
    ]);
    let found: Vec<(&str, FaultCode)> = found.iter().map(|(f, c)| (f.as_str(), *c)).collect();
    assert_eq!(found, expected);
}

#[test]
fn lists_are_sets_and_names_are_trimmed() {
    let draft = OfferDraft {
        product_ids: vec!["p2", "p1", "p2"],
        stages: vec![" decision", "awareness", "decision"],
        segments: vec!["loyal ", "loyal"],
        eligibility: " true",
        ..draft()
    };
    let offer = checked(&draft).unwrap();
    let ids: Vec<&str> = offer.product_ids.iter().map(ProductId::as_str).collect();
    assert_eq!(ids, ["p1", "p2"]);
    assert_eq!(offer.terms.stages, ["awareness".into(), "decision".into()]);
    assert_eq!(offer.terms.segments, ["loyal".into()]);
    assert_eq!(&*offer.terms.eligibility, "true");
}
