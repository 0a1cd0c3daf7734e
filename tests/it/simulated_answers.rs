//! What the service answers to the people of a simulated shop, against what they are like in truth: answers of products
//! that somebody never bought follow their persona, what they pay, and the season.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::domain::{Event, EventKind, Record, RecordBody, Subject};
use nextbest::proto::v1;
use nextbest::store::MemoryJournal;
use nextbest::transport::grpc::limits::Limits;

use crate::harness::{Clients, Harness, settings};
use crate::simulated_shop::{records, year};
use crate::wire_story::{about, ask};
use crate::wire_story_models::{train, watched};

/// The day of the year on which is asked: the end of the shop.
const DAY_OF_YEAR: f64 = 181.0;
/// So many records are written at once.
const AT_ONCE: usize = 1_000;
/// The most products of a list.
const LONGEST: usize = 10;

/// Rows of a file, each by its first column.
type Rows = BTreeMap<String, HashMap<String, String>>;

fn read(folder: &Path, file: &str) -> Rows {
    let mut reader = csv::Reader::from_path(folder.join(file)).unwrap();
    let names = reader.headers().unwrap().clone();
    let row = |row: csv::StringRecord| {
        let cells = names.iter().zip(row.iter());
        let cells = cells.map(|(name, cell)| (name.to_owned(), cell.to_owned()));
        (row[0].to_owned(), cells.collect())
    };
    reader.records().map(|r| row(r.unwrap())).collect()
}

fn number(rows: &Rows, id: &str, column: &str) -> f64 {
    rows[id][column].parse().unwrap_or(0.0)
}

/// A purchase of a customer: who, and what.
fn purchase(record: &Record) -> Option<(String, String)> {
    let RecordBody::Event(event) = &record.body else {
        return None;
    };
    let Event {
        kind: EventKind::Purchase,
        subject: Subject::Customer { customer, .. },
        product: Some(product),
        ..
    } = &**event
    else {
        return None;
    };
    Some((customer.to_string(), product.to_string()))
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The coefficient of correlation.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        pairs.iter().map(|&(x, y)| of(x - mean_a, y - mean_b)).sum()
    };
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

/// How dear each product is within its category, in deviations of ln price.
fn price_levels(products: &Rows) -> HashMap<String, f64> {
    let mut categories: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
    for (id, row) in products {
        let price = number(products, id, "price").ln();
        categories
            .entry(&row["category"])
            .or_default()
            .push((id, price));
    }
    let mut levels = HashMap::new();
    for all in categories.values() {
        let prices: Vec<f64> = all.iter().map(|(_, price)| *price).collect();
        let usual = mean(&prices);
        let squares: Vec<f64> = prices.iter().map(|price| (price - usual).powi(2)).collect();
        let deviation = mean(&squares).sqrt();
        if all.len() >= 3 && deviation > 0.0 {
            levels.extend(
                all.iter()
                    .map(|(id, price)| ((*id).to_owned(), (price - usual) / deviation)),
            );
        }
    }
    levels
}

/// What the lists of everybody are like.
#[derive(Debug, Default)]
struct Lists {
    /// By product: how many times likelier a purchase of its category is one by the customer's persona than any is.
    persona: Vec<f64>,
    /// By product: how much more the season makes of it on that day.
    season: Vec<f64>,
    /// By customer: the mean price level of the list, and what they prefer, and how they mind prices.
    level: Vec<(f64, f64)>,
    sensitivity: Vec<(f64, f64)>,
}

/// The truth of a shop, and what was bought there.
struct Truth {
    products: Rows,
    seasons: Rows,
    customers: Rows,
    levels: HashMap<String, f64>,
    bought: HashSet<(String, String)>,
    /// Purchases by product.
    sold: BTreeMap<String, u32>,
    /// Of a persona and a category: its purchases against those of everybody.
    lifts: HashMap<(String, String), f64>,
}

impl Truth {
    fn of(folder: &Path, purchases: Vec<(String, String)>) -> Self {
        let products = read(folder, "products.csv");
        let customers = read(folder, "truth_customers.csv");
        let mut sold: BTreeMap<String, u32> = BTreeMap::new();
        let mut cells: HashMap<(String, String), f64> = HashMap::new();
        let (mut personas, mut categories): (HashMap<_, f64>, HashMap<_, f64>) = Default::default();
        for (customer, product) in &purchases {
            let persona = customers[customer]["persona"].clone();
            let category = products[product]["category"].clone();
            *sold.entry(product.clone()).or_default() += 1;
            *personas.entry(persona.clone()).or_default() += 1.0;
            *categories.entry(category.clone()).or_default() += 1.0;
            *cells.entry((persona, category)).or_default() += 1.0;
        }
        let all = purchases.len() as f64;
        let lift = |((persona, category), count): ((String, String), f64)| {
            let expected = personas[&persona] * categories[&category] / all;
            ((persona, category), count / expected)
        };
        Self {
            levels: price_levels(&products),
            seasons: read(folder, "truth_products.csv"),
            lifts: cells.into_iter().map(lift).collect(),
            bought: purchases.into_iter().collect(),
            products,
            customers,
            sold,
        }
    }

    /// What is bought most, of what somebody never bought.
    fn most_bought(&self, customer: &str) -> Vec<String> {
        let new = |id: &&String| {
            let is_had = self.bought.contains(&(customer.to_owned(), (*id).clone()));
            !is_had && self.products[*id]["available"] != "false"
        };
        let mut all: Vec<&String> = self.sold.keys().filter(new).collect();
        all.sort_by_key(|id| std::cmp::Reverse(self.sold[*id]));
        all.into_iter().take(LONGEST).cloned().collect()
    }

    fn add(&self, lists: &mut Lists, customer: &str, list: &[String]) {
        let persona = &self.customers[customer]["persona"];
        for id in list {
            let key = (persona.clone(), self.products[id]["category"].clone());
            lists
                .persona
                .push(self.lifts.get(&key).copied().unwrap_or(0.0));
            let away = DAY_OF_YEAR - number(&self.seasons, id, "season_peak_day");
            let strength = number(&self.seasons, id, "season_strength");
            lists.season.push(strength * (TAU * away / 365.25).cos());
        }
        let levels = list.iter().filter_map(|id| self.levels.get(id)).copied();
        let levels: Vec<f64> = levels.collect();
        if !levels.is_empty() {
            let of = |column| number(&self.customers, customer, column);
            lists.level.push((mean(&levels), of("price_level")));
            lists
                .sensitivity
                .push((mean(&levels), of("price_sensitivity")));
        }
    }
}

/// A service that has taken in these records and learned from them.
async fn learned(records: Vec<Record>) -> (Harness, Clients) {
    let mut settings = settings();
    settings.training.personas = true;
    settings.training.max_questions = 2_000;
    let (journal, limits) = (Arc::new(MemoryJournal::new()), Limits::default());
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_at(Clock::events(), journal, limits, &recipes, &settings).await;
    harness.set_ready(true);
    let ingest = harness.service.use_cases.ingest.clone();
    let write = move || {
        let bodies: Vec<RecordBody> = records.into_iter().map(|record| record.body).collect();
        for batch in bodies.chunks(AT_ONCE) {
            ingest.write_blocking(batch.to_vec()).unwrap();
        }
    };
    tokio::task::spawn_blocking(write).await.unwrap();
    let mut clients = harness.clients().await;
    let run = train(&mut clients, 7).await;
    let run = watched(&mut clients, &run).await;
    assert!(!run.model_revision.is_empty(), "{run:?}");
    (harness, clients)
}

#[tokio::test]
async fn answers_follow_the_persona_the_prices_and_the_season() {
    let home = tempfile::tempdir().unwrap();
    let records = records(&year(7, 800, 300), home.path());
    let truth = Truth::of(home.path(), records.iter().filter_map(purchase).collect());
    let (harness, mut clients) = learned(records).await;
    let (mut ours, mut popular) = (Lists::default(), Lists::default());
    let known = truth.customers.keys();
    for customer in known.filter(|id| number(&truth.customers, id, "orders") >= 5.0) {
        let question = v1::RecommendRequest {
            exclude_bought: true,
            page_size: LONGEST as i32,
            ..about(customer)
        };
        let answer = ask(&mut clients, question).await;
        let list: Vec<String> = answer.products.into_iter().map(|p| p.product_id).collect();
        assert!(
            list.iter()
                .all(|id| !truth.bought.contains(&(customer.clone(), id.clone())))
        );
        truth.add(&mut ours, customer, &list);
        truth.add(&mut popular, customer, &truth.most_bought(customer));
    }
    assert!(ours.level.len() > 200, "{}", ours.level.len());
    let told = |lists: &Lists| {
        [
            mean(&lists.persona),
            mean(&lists.season),
            correlation(&lists.level),
            correlation(&lists.sensitivity),
        ]
    };
    let (own, most) = (told(&ours), told(&popular));
    println!("persona, season, price level, price sensitivity: {own:.3?}; most bought {most:.3?}");
    assert!(own[0] > most[0] + 0.2 && own[0] > 1.1, "{own:?} {most:?}");
    assert!(own[1] > most[1] + 0.03 && own[1] > 0.0, "{own:?} {most:?}");
    assert!(own[2] > most[2] + 0.25, "{own:?} {most:?}");
    assert!(own[3] < most[3] - 0.04, "{own:?} {most:?}");
    drop(harness);
}
