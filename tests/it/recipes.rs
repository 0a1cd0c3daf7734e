//! Faults in recipes are found all at once, each with its file, its line and what would be right.

use nextbest::application::recipes::{RecipeFile, Recipes, embedded_files};
use nextbest::domain::{Baseline, EventKind, Source};

/// The embedded files with `old` replaced by `new` in one of them.
fn changed(name: &str, old: &str, new: &str) -> Vec<RecipeFile> {
    let mut files = embedded_files();
    let file = files.iter_mut().find(|file| file.name == name).unwrap();
    assert!(file.text.contains(old), "{name} does not say {old:?}");
    file.text = file.text.replacen(old, new, 1);
    files
}

fn faults(files: &[RecipeFile]) -> Vec<String> {
    match Recipes::parse(files) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.iter().map(ToString::to_string).collect(),
    }
}

/// The line of `text` in an embedded file, after a change.
fn line(files: &[RecipeFile], name: &str, text: &str) -> usize {
    let file = files.iter().find(|file| file.name == name).unwrap();
    let at = file.text.find(text).unwrap();
    1 + file.text[..at].matches('\n').count()
}

/// One change gives exactly one fault, at the line of `new` (or of `at`), that says `right`.
fn check_at(name: &str, old: &str, new: &str, at: &str, right: &str) {
    let files = changed(name, old, new);
    let found = faults(&files);
    assert_eq!(found.len(), 1, "{found:?}");
    let place = format!("{name}:{}: ", line(&files, name, at));
    assert!(
        found[0].starts_with(&place),
        "{} is not at {place}",
        found[0]
    );
    assert!(
        found[0].contains(right),
        "{} does not say {right:?}",
        found[0]
    );
}

fn check(name: &str, old: &str, new: &str, right: &str) {
    check_at(name, old, new, new, right);
}

#[test]
fn misspelt_names_are_answered_with_the_right_ones() {
    let file = "decision.toml";
    check(
        file,
        "personal ",
        "persnal ",
        "there is no source \"persnal\"; did you mean \"personal\"?",
    );
    check(
        file,
        "\"logistic\"",
        "\"boosting\"",
        "there is no ranker \"boosting\"; there are: logistic, blend",
    );
    check(
        file,
        "\"popularity\"",
        "\"popularty\"",
        "did you mean \"popularity\"?",
    );
    check(
        file,
        "ndcg@10",
        "ndgc@10",
        "there is no figure \"ndgc@10\"; did you mean \"ndcg@10\"?",
    );
    check(
        file,
        "event = \"purchase\"",
        "event = \"purchased\"",
        "did you mean \"purchase\"?",
    );
    check(
        file,
        "features = \"all\"",
        "features = [\"baskets_of_own\"]",
        "there is no feature",
    );
    check(
        file,
        "limit = ",
        "limits = 1\nlimit = ",
        "unknown key \"limits\"; did you mean \"limit\"?",
    );
    check(
        file,
        "\"decision\"",
        "\"decisoin\"",
        "the journey has no stage \"decisoin\"; did you mean \"decision\"?",
    );
    check(
        "journey.toml",
        "\"begin_checkout\"",
        "\"begin_checkuot\"",
        "did you mean \"begin_checkout\"?",
    );
    check(
        "journey.toml",
        "otherwise = \"awareness\"",
        "otherwise = \"awarenes\"",
        "did you mean \"awareness\"?",
    );
}

#[test]
fn values_have_types_and_ranges() {
    let file = "retention.toml";
    check(
        file,
        "limit = 120",
        "limit = 501",
        "limit must be from 1 to 500, not 501",
    );
    check(
        file,
        "limit = 120",
        "limit = -1",
        "limit must be from 1 to 500, not -1",
    );
    check(
        file,
        "limit = 120",
        "limit = \"many\"",
        "limit must be a whole number, not string",
    );
    check(
        file,
        "weight = 1.0",
        "weight = nan",
        "weight must be from 0 to 100, not NaN",
    );
    check(
        file,
        "within = \"28d\"",
        "within = \"4 weeks\"",
        "a duration such as",
    );
    check(
        file,
        "within = \"28d\"",
        "within = \"366d\"",
        "at most 365 days",
    );
    check(
        file,
        "features = \"all\"",
        "features = \"some\"",
        "\"all\" or a list of names",
    );
    let explore = "explore = 0.0";
    check(
        file,
        explore,
        "explore = 1.5",
        "explore must be from 0 to 1, not 1.5",
    );
    check(
        file,
        "most_of_category = 1.0",
        "most_of_category = 0",
        "must be from 0.05 to 1, not 0",
    );
    check(file, explore, "explor = 0.1", "explore");
    check_at(
        file,
        "metric = \"ndcg@10\"\n",
        "",
        "[gate]",
        "missing in [gate]: metric",
    );
    check_at(
        file,
        "baselines = [",
        "baselines = []\n# [",
        "baselines = []",
        "at least one",
    );
    let outcome = "event = \"email_open\"";
    check_at(
        file,
        "event = \"purchase\"",
        outcome,
        outcome,
        "is about no product",
    );
    let journey = "journey.toml";
    check(
        journey,
        "min_rating = 4",
        "min_rating = 6",
        "from 0 to 5, not 6",
    );
    check_at(
        journey,
        "events = [\"review\"]\nmin_rating = 4",
        "events = [\"share\"]\nmin_rating = 5",
        "min_rating = 5",
        "has no rating",
    );
}

#[test]
fn the_line_is_right_after_a_rating_that_does_not_fit() {
    let two = "events = [\"review\", \"nps_response\"]\nmin_rating = 4.5";
    let old = "events = [\"review\"]\nmin_rating = 4";
    check_at(
        "journey.toml",
        old,
        two,
        "min_rating = 4.5",
        "a rule of its own",
    );
    check_at(
        "journey.toml",
        "within = \"7d\"",
        "within = \"7d\"\nfrom = \"7d\"",
        "from = \"7d\"",
        "less than within",
    );
}

#[test]
fn every_stage_has_one_recipe_and_one_card() {
    let mut files = embedded_files();
    files.retain(|file| file.name != "advocacy.toml" && file.name != "decision.md");
    let found = faults(&files);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("advocacy.toml: is missing; every stage of journey.toml"));
    assert!(found[1].starts_with("decision.md: is missing or empty"));

    let mut files = embedded_files();
    let extra = files
        .iter()
        .find(|f| f.name == "decision.toml")
        .unwrap()
        .clone();
    files.push(RecipeFile {
        name: "checkout.toml".to_owned(),
        ..extra
    });
    let found = faults(&files);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the recipe of \"decision\" must be in decision.toml"));

    let twice = "name = \"awareness\"\naim = \"x\"\n[[stage]]\nname = \"awareness\"";
    let found = faults(&changed("journey.toml", "name = \"awareness\"", twice));
    assert!(
        found
            .iter()
            .any(|f| f.contains("the stage \"awareness\" is there twice"))
    );
    assert!(faults(&[])[0].starts_with("journey.toml: is missing"));
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    let mut files = changed("decision.toml", "limit = 120", "limit = 0");
    for (name, old, new) in [
        ("decision.toml", "personal ", "persnal "),
        ("purchase.toml", "[gate]", "[gate"),
        ("journey.toml", "within = \"3d\"", "within = 3"),
    ] {
        let file = files.iter_mut().find(|file| file.name == name).unwrap();
        assert!(file.text.contains(old), "{name} does not say {old:?}");
        file.text = file.text.replacen(old, new, 1);
    }
    let found = faults(&files);
    let names: Vec<&str> = found.iter().map(|f| f.split(':').next().unwrap()).collect();
    assert!(
        names[0] == "journey.toml" && names[1] == "decision.toml",
        "{found:?}"
    );
    assert_eq!(names[2], "decision.toml");
    assert!(
        found[3..]
            .iter()
            .all(|f| f.starts_with("purchase.toml:") && f.contains("not TOML"))
    );
    assert!(found.len() >= 4);
}

#[test]
fn stages_may_be_renamed_and_dropped() {
    let stage = |name: &str| format!("[[stage]]\nname = \"{name}\"\naim = \"x\"\n");
    let rule =
        "[[rule]]\nstage = \"after\"\nevents = [\"purchase\"]\nfrom = \"12h\"\nat_least = 2\n";
    let journey = format!(
        "otherwise = \"before\"\n{}{}{rule}",
        stage("before"),
        stage("after")
    );
    let recipe = embedded_files()
        .into_iter()
        .find(|f| f.name == "purchase.toml")
        .unwrap();
    let mut files = vec![RecipeFile {
        name: "journey.toml".to_owned(),
        text: journey,
    }];
    for name in ["before", "after"] {
        files.push(RecipeFile {
            name: format!("{name}.toml"),
            text: recipe
                .text
                .replacen("\"purchase\"", &format!("{name:?}"), 1),
        });
        files.push(RecipeFile {
            name: format!("{name}.md"),
            text: "What it is for.".to_owned(),
        });
    }
    let recipes = Recipes::parse(&files).unwrap();
    assert_eq!(recipes.journey.rules[0].at_least, 2);
    assert_eq!(recipes.journey.rules[0].from_ms, 12 * 3_600_000);
    assert_eq!(recipes.stages[1].stage, "after");
    assert_eq!(recipes.stages[1].outcome, EventKind::Purchase);
    assert_eq!(recipes.stages[1].sources[0], (Source::Personal, 150));
    assert!(recipes.stages[1].baselines.contains(&Baseline::Popularity));

    let unreachable = stage("middle");
    files[0].text.push_str(&unreachable);
    let found = faults(&files).join("\n");
    assert!(
        found.contains("no rule leads to the stage \"middle\""),
        "{found}"
    );
}

#[test]
fn faults_of_offers_and_segments_are_found_at_their_line() {
    let check = |old: &str, new: &str, right: &str| {
        check_at("decision.toml", old, new, new, right);
    };
    check(
        "max = 1\n",
        "max = 11\n",
        "max must be from 0 to 10, not 11",
    );
    let objective = "objective = \"value\"";
    check(objective, "objective = \"fun\"", "value");
    check("assumed_gain = 10.0", "assumed_gain = -1.0", "from 0");
    check("assumed_gain = 10.0", "assumed_gian = 1.0", "assumed_gain");
    let segments = [
        ("expression = \"customer.order_count\"", "true or false"),
        ("expression = \"product.price > 1.0\"", "product"),
        ("expression = \" \"", "must not be blank"),
        ("expression = \"1 +\"", "expression: "),
    ];
    for (expression, right) in segments {
        let segment =
            format!("[[segment]]\nname = \"s\"\n{expression}\n\n[[stage]]\nname = \"awareness\"");
        let old = "[[stage]]\nname = \"awareness\"";
        check_at("journey.toml", old, &segment, expression, right);
    }
    let one = "[[segment]]\nname = \"s\"\nexpression = \"true\"\n";
    let old = "[[stage]]\nname = \"awareness\"";
    let files = changed("journey.toml", old, &format!("{one}\n{old}"));
    assert_eq!(Recipes::parse(&files).unwrap().segments[0].name, "s");
    let files = changed("journey.toml", old, &format!("{one}{one}\n{old}"));
    let found = faults(&files);
    assert!(
        found.len() == 1 && found[0].contains("is there twice"),
        "{found:?}"
    );
}

#[test]
fn touchpoints_are_read_and_their_faults_told() {
    let file = "journey.toml";
    check(
        file,
        "horizon = \"3d\"",
        "horizon = \"3 days\"",
        "horizon must be a duration",
    );
    check(
        file,
        "events = [\"view_item\"]",
        "events = [\"view_itm\"]",
        "did you mean \"view_item\"?",
    );
    check_at(
        file,
        "events = [\"view_item\"]",
        "events = [\"view_cart\"]",
        "events = [\"add_to_cart\", \"remove_from_cart\", \"view_cart\"]",
        "view_cart happens at another touchpoint already",
    );
    check_at(
        file,
        "name = \"product_page\"\n",
        "name = \"product_list\"\n",
        "name = \"product_list\"\nevents = [\"view_item\"]",
        "the touchpoint \"product_list\" is described twice",
    );
    check(
        file,
        "aliases = [\"reviews\"]",
        "aliases = [\"site\"]",
        "the alias \"site\" is there twice",
    );
    check(
        file,
        "aliases = [\"reviews\"]",
        "aliases = [\"cart\"]",
        "the alias \"cart\" is the name of a touchpoint",
    );
    check(
        file,
        "aliases = [\"reviews\"]",
        "alias = [\"reviews\"]",
        "unknown key \"alias\"; did you mean \"aliases\"?",
    );
    check(
        file,
        "channels = [\"website\"",
        "channels = [\"\"",
        "channels: must not be blank",
    );
}

#[test]
fn what_the_simulated_shop_writes_has_a_touchpoint_with_a_home() {
    let places = Recipes::embedded().unwrap().places;
    let at = |kind, named| places.touchpoint(kind, Some(named));
    assert_eq!(at(EventKind::ViewItem, "site"), "product_page");
    assert_eq!(at(EventKind::BeginCheckout, "app"), "checkout");
    assert_eq!(at(EventKind::Purchase, "site"), "order_confirmation");
    assert_eq!(at(EventKind::PageView, "search"), "organic_search");
    assert_eq!(at(EventKind::Purchase, "store"), "store");
    let written = [
        "search_ad",
        "social_ad",
        "search",
        "site",
        "app",
        "email",
        "referral",
        "store",
        "sales_team",
        "support",
        "reviews",
        "survey",
    ];
    for kind in EventKind::ALL {
        let unnamed = places.touchpoint(*kind, None);
        assert!(places.home(unnamed).is_some(), "{unnamed}");
        for name in written {
            let place = places.touchpoint(*kind, Some(name));
            assert!(places.home(place).is_some(), "{place}");
        }
    }
    let days = |stage| places.horizons_ms[stage] / nextbest::domain::time::DAY_MS;
    let horizons: Vec<i64> = (0..6).map(days).collect();
    assert_eq!(horizons, [14, 14, 3, 30, 120, 60]);
}

#[test]
fn the_other_forms_of_the_journey_are_right() {
    let forms = [
        (include_str!("../../docs/journeys/four-stages.toml"), 4),
        (include_str!("../../docs/journeys/five-stages.toml"), 5),
    ];
    for (text, count) in forms {
        let named = text.split("[[stage]]\nname = \"").skip(1);
        let names: Vec<&str> = named.map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(names.len(), count);
        let file = |name: String, text: String| RecipeFile { name, text };
        let embedded = embedded_files();
        let recipe = embedded.iter().find(|f| f.name == "consideration.toml");
        let recipe = &recipe.unwrap().text;
        let mut files = vec![file("journey.toml".to_owned(), text.to_owned())];
        for name in names {
            let named = recipe.replace("\"consideration\"", &format!("{name:?}"));
            files.push(file(format!("{name}.toml"), named));
            files.push(file(format!("{name}.md"), "A card.".to_owned()));
        }
        assert_eq!(faults(&files), [""; 0]);
        let places = Recipes::parse(&files).unwrap().places;
        assert_eq!(places.horizons_ms.len(), count);
        for kind in EventKind::ALL {
            assert!(places.home(places.touchpoint(*kind, None)).is_some());
        }
    }
}

#[test]
fn recovery_is_read_and_its_faults_are_found() {
    let file = "journey.toml";
    let high = "max_rating must be from 0 to 5, not 6";
    check(file, "max_rating = 2", "max_rating = 6", high);
    check(
        file,
        "max_nps = 6",
        "max_nps = 11",
        "max_nps must be from 0 to 10, not 11",
    );
    check(
        file,
        "max_nps = 6",
        "max_npz = 6",
        "did you mean \"max_nps\"?",
    );
    let files = changed(
        file,
        "max_rating = 2\nmax_nps = 6\nwithin = \"30d\"",
        "max_nps = 5\nwithin = \"2d\"",
    );
    let recovery = Recipes::parse(&files).unwrap().journey.recovery;
    // what is not said is as by default
    let usual = nextbest::domain::journey::Recovery::default();
    assert_eq!(
        (recovery.max_rating, recovery.max_nps),
        (usual.max_rating, 5.0)
    );
    assert_eq!(recovery.within_ms, 2 * 86_400_000);
}

#[test]
fn health_is_read_and_its_faults_are_found() {
    let file = "journey.toml";
    for (old, new, right) in [
        (
            "at_risk = 1.5",
            "at_risk = 0.8",
            "at_risk must be more than due, 0.8, not 0.8",
        ),
        (
            "lapsed = 3.0",
            "lapsed = 1",
            "lapsed must be more than at_risk, 1.5, not 1",
        ),
        (
            "due = 0.8\nat_risk = 1.5",
            "due = 2.0",
            "due must be less than at_risk, 1.5, not 2",
        ),
        (
            "due = 0.8",
            "due = 0.0",
            "due must be from 0.1 to 100, not 0",
        ),
        ("lapsed = 3.0", "lapsed = \"3d\"", "lapsed must be a number"),
        (
            "at_risk = 1.5",
            "at_rist = 1.5",
            "did you mean \"at_risk\"?",
        ),
        (
            "usual_gap = \"60d\"",
            "usual_gap = 60",
            "usual_gap must be a duration",
        ),
    ] {
        check(file, old, new, right);
    }
    let written = "due = 0.8\nat_risk = 1.5\nlapsed = 3.0\nusual_gap = \"60d\"";
    let read = |files: &[RecipeFile]| Recipes::parse(files).unwrap().journey.health;
    let usual = nextbest::domain::HealthBounds::default();
    assert_eq!(read(&embedded_files()), usual);
    // the widest and the narrowest there are
    let health = read(&changed(
        file,
        written,
        "due = 0.1\nat_risk = 1.6\nlapsed = 100",
    ));
    assert_eq!(
        (health.due, health.at_risk, health.lapsed),
        (0.1, 1.6, 100.0)
    );
    assert_eq!(health.usual_gap_ms, usual.usual_gap_ms);
    let health = read(&changed(file, written, "usual_gap = \"2w\""));
    assert_eq!(health.usual_gap_ms, 14 * 86_400_000);
    assert_eq!(
        (health.due, health.at_risk, health.lapsed),
        (usual.due, usual.at_risk, usual.lapsed)
    );
}
