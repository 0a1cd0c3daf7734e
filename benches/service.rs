//! Speed of the service: `cargo bench` prints every figure; `cargo bench -- fold` those whose name holds "fold".
//!
//! Machines are noisy: compare figures of one run with each other, not with those of another machine. Where
//! `../shared/data/online-retail` is missing, the import is measured on the simulated shop alone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nextbest::application::journey::Selection;
use nextbest::application::recipes::Recipes;
use nextbest::application::recommend::{Question, Who};
use nextbest::cli::flags::SettingsFlags;
use nextbest::cli::import::{Args, Target, carry_out};
use nextbest::cli::simulate::write_shop;
use nextbest::config::Settings;
use nextbest::domain::time::{DAY_MS, HOUR_MS};
use nextbest::domain::{
    CustomerId, EventDraft, OfferDraft, OfferKind, Position, Record, RecordBody, Timestamp,
};
use nextbest::proto::v1;
use nextbest::proto::v1::recommendation_service_client::RecommendationServiceClient;
use nextbest::server::{Service, fold_settings, repetition_counter};
use nextbest::state::State;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[path = "service/bulk.rs"]
mod bulk;

const CALLERS: usize = 32;
/// The callers share them, as the threads of a storefront do.
const CONNECTIONS: usize = 4;
const CALLS: usize = 40_000;
/// How many offers are live for the second measurement of answers.
const OFFERS: usize = 1_000;

fn main() {
    let wanted = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .unwrap_or_default();
    let is_wanted = |name: &str| name.contains(&wanted);
    let recipes = Recipes::embedded().expect("the embedded recipes are sound");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/online-retail");
    if is_wanted("import") && real.join("events.csv.gz").exists() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (rows, seconds) = import(&real, folder.path(), &recipes);
        say("import of online-retail", rows as f64 / seconds, "rows/s");
        let (rows, seconds) = import(&real, folder.path(), &recipes);
        say(
            "import of online-retail again",
            rows as f64 / seconds,
            "rows/s",
        );
    } else if is_wanted("import") {
        println!("import of online-retail: skipped, the data is not there");
    }
    if is_wanted("bulk") {
        bulk::bulk(&recipes);
    }
    if !["import", "fold", "restart", "recommend"]
        .iter()
        .any(|name| is_wanted(name))
    {
        return;
    }
    let shop = tempfile::tempdir().expect("a temporary folder");
    let end = "2026-06-30".parse().expect("a date");
    let settings = nextbest::simulation::Settings::new(7, 7_000, 400, 365, end).expect("in bounds");
    let started = Instant::now();
    let summary = write_shop(&settings, shop.path(), false, false, || {}).expect("a shop");
    drop(summary);
    say(
        "simulation of a year of 7,000 customers",
        started.elapsed().as_secs_f64(),
        "s",
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (rows, seconds) = import(shop.path(), folder.path(), &recipes);
    say(
        "import of the simulated shop",
        rows as f64 / seconds,
        "rows/s",
    );
    let service = open(folder.path(), &recipes);
    if is_wanted("fold") {
        fold(&service, &recipes);
    }
    service.close().expect("closes");
    if is_wanted("restart") {
        restart(folder.path(), &recipes);
    }
    if is_wanted("recommend") {
        recommend(folder.path(), &recipes);
    }
}

fn say(what: &str, figure: f64, unit: &str) {
    println!("{what:55} {figure:>14.3} {unit}");
}

fn settings(folder: &Path) -> Settings {
    let flags = SettingsFlags {
        data: Some(folder.display().to_string()),
        log_level: Some("error".to_owned()),
        ..SettingsFlags::default()
    };
    flags.load().expect("the defaults are sound").settings
}

fn open(folder: &Path, recipes: &Recipes) -> Service {
    Service::open(&settings(folder), recipes).expect("the folder opens")
}

/// Rows and seconds from the first byte read to the last record durable and folded.
fn import(files: &Path, folder: &Path, recipes: &Recipes) -> (u64, f64) {
    let service = open(folder, recipes);
    let args = Args {
        from: Some(files.to_owned()),
        ..Args::default()
    };
    let mut write = |batch| service.use_cases.ingest.write_blocking(batch);
    let mut repetitions = || Ok(repetition_counter(folder));
    let target = Target {
        write: &mut write,
        now: service.shop.clock.now(),
        journey: &recipes.journey,
        repetitions: &mut repetitions,
    };
    let started = Instant::now();
    let summary = carry_out(&args, folder, target, &AtomicBool::new(false)).expect("imports");
    let seconds = started.elapsed().as_secs_f64();
    assert!(summary.failures.is_empty(), "{:?}", summary.failures);
    service.close().expect("closes");
    (summary.total().read, seconds)
}

fn fold(service: &Service, recipes: &Recipes) {
    let started = Instant::now();
    let records: Vec<Record> = service
        .shop
        .journal
        .read_from(Position(0))
        .map(|record| record.expect("the journal is sound").1)
        .collect();
    let read = started.elapsed().as_secs_f64();
    say(
        "reading the journal, one core",
        records.len() as f64 / read,
        "records/s",
    );
    let mut state = State::new(fold_settings(recipes, &settings(Path::new("unused"))));
    let started = Instant::now();
    records.iter().for_each(|record| state.apply(record));
    let folded = started.elapsed().as_secs_f64();
    say(
        "folding, one core",
        records.len() as f64 / folded,
        "records/s",
    );
    let started = Instant::now();
    let bytes = state.encode();
    say(
        "encoding State",
        started.elapsed().as_secs_f64() * 1e3,
        "ms",
    );
    say("size of State", bytes.len() as f64 / 1e6, "MB");
}

fn restart(folder: &Path, recipes: &Recipes) {
    let started = Instant::now();
    let service = open(folder, recipes);
    let records = service.shop.journal.end().0;
    say(
        &format!("restart with {records} records, from a checkpoint"),
        since(started),
        "s",
    );
    service.close().expect("closes");
    std::fs::remove_dir_all(folder.join("checkpoints")).expect("checkpoints are there");
    let started = Instant::now();
    let service = open(folder, recipes);
    say(
        &format!("restart with {records} records, without one"),
        since(started),
        "s",
    );
    service.close().expect("closes");
}

fn since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64()
}

fn recommend(folder: &Path, recipes: &Recipes) {
    let service = open(folder, recipes);
    let runtime = Runtime::new().expect("threads");
    trained(&runtime, &service);
    let known = service.shop.known();
    let customers = known.state.people.customers().iter();
    let ids: Vec<String> = customers.map(|c| c.id.to_string()).collect();
    drop(known);
    let ids = Arc::new(ids);
    journey(&service);
    answers(&runtime, &service, &ids, "first answers", ids.len());
    // what similar customers like is found at the first answer and kept for hours
    answers(&runtime, &service, &ids, "Recommend", CALLS);
    decisions(&service, &ids, "one decision with the shop's own offers");
    let write = |is_for_nobody| {
        let offers = (0..OFFERS).map(|number| live_offer(number, is_for_nobody));
        let ingest = &service.use_cases.ingest;
        ingest.write_blocking(offers.collect()).expect("writes");
    };
    write(false);
    let name = format!("Recommend with {OFFERS} live offers");
    answers(&runtime, &service, &ids, &name, CALLS);
    let name = format!("one decision with {OFFERS} live offers");
    decisions(&service, &ids, &name);
    teach(&service, &ids);
    trained(&runtime, &service);
    let live = service.shop.live().expect("a model is live");
    assert!(live.model.offers.is_some(), "what offers do was learned");
    decisions(&service, &ids, &format!("{name} and a model of offers"));
    write(true);
    // the worst there is: every expression is asked
    decisions(&service, &ids, &format!("{name} for nobody"));
    service.close().expect("closes");
}

/// Counts the journey of all that was imported, as the first question after an import does; from then on only what is
/// new is counted, beside the answers.
fn journey(service: &Service) {
    let journey = &service.use_cases.journey;
    journey.regroup().expect("the journal can be read");
    let (started, all) = (Instant::now(), Selection::default());
    while !journey.counted(&all).expect("no fault").complete {}
    let records = service.shop.journal.end().0 as f64;
    let rate = records / since(started);
    say("counting the journey, one core", rate, "records/s");
}

/// Trains, and says how it ended.
fn trained(runtime: &Runtime, service: &Service) {
    let models = &service.use_cases.models;
    let run = models.train(None).expect("nothing else trains");
    let mut status = models.watch(&run.id).expect("it was just started");
    let ended = runtime.block_on(async {
        let ended = status.wait_for(|run| run.ended.is_some()).await;
        ended.expect("it ends").clone()
    });
    let ms = ended.ended.expect("it has ended").ms() - ended.started.ms();
    say("training on the simulated shop", ms as f64 / 1e3, "s");
    println!("    {}", ended.message);
}

/// Tells of everybody that an answer of ten days before the shop's last day reached them, and that every third bought a
/// day later.
fn teach(service: &Service, ids: &[String]) {
    let now = service.shop.clock.now();
    let asked = Timestamp::parse("2026-06-20T08:00:00Z").expect("a time");
    let event = |kind: &str, customer: &str, time: Timestamp, product: &str, token: &str| {
        let draft = EventDraft {
            event_id: &format!("bench-{kind}-{customer}"),
            event_type: kind,
            time: Some(Ok(time)),
            customer_id: customer,
            product_id: product,
            attribution_token: token,
            ..EventDraft::default()
        };
        let event = draft.check(now, |_| 0).expect("can be true");
        RecordBody::Event(Box::new(event))
    };
    for (some, ids) in ids.chunks(500).enumerate() {
        let mut told = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            let mut question = question(id, 1);
            question.at = Some(asked.plus_ms(some as i64 * HOUR_MS));
            let answer = service.use_cases.recommender.recommend(&question);
            let answer = answer.expect("an answer");
            let sent = asked.plus_ms(some as i64 * HOUR_MS + 1);
            told.push(event("offer_sent", id, sent, "", &answer.attribution_token));
            if place.is_multiple_of(3) {
                let product = answer.products[0].product.as_str();
                told.push(event("purchase", id, sent.plus_ms(DAY_MS), product, ""));
            }
        }
        let written = service.use_cases.ingest.write_blocking(told);
        assert!(written.expect("writes").unattributed.is_empty());
    }
}

/// What one customer is asked about.
fn question(customer: &str, offers: usize) -> Question {
    Question {
        who: Who::Customer(CustomerId::parse(customer).expect("an id")),
        stage: None,
        placement: String::new(),
        context: Vec::new(),
        count: 10,
        offers: Some(offers),
        channel: String::new(),
        filter: String::new(),
        boost: String::new(),
        exclude: Vec::new(),
        exclude_bought: false,
        strict: false,
        at: None,
    }
}

/// One of many offers: each for one of the stages, some with eligibility, some with segments or products.
fn live_offer(number: usize, is_for_nobody: bool) -> RecordBody {
    let stages = ["consideration", "decision", "retention"];
    let id = format!("bench-{number}");
    let least = if is_for_nobody {
        1_000_000 + number
    } else {
        2 + number % 5
    };
    let eligibility = format!("customer.order_count >= {least}");
    let draft = OfferDraft {
        offer_id: &id,
        kind: Some(Ok(OfferKind::Amount)),
        value: Some(Ok(1.0 + (number % 50) as f64 / 10.0)),
        stages: if is_for_nobody {
            Vec::new()
        } else {
            vec![stages[number % 3]]
        },
        segments: if number.is_multiple_of(10) {
            vec!["nobody"]
        } else {
            Vec::new()
        },
        eligibility: if is_for_nobody || number.is_multiple_of(2) {
            &eligibility
        } else {
            ""
        },
        cap_shown_per_customer: Some(Ok(5)),
        priority: Some(Ok(number as i64)),
        ..OfferDraft::default()
    };
    let journey = Recipes::embedded().expect("sound").journey;
    let offer = draft.check(&journey, &|_| Ok(())).expect("can be true");
    RecordBody::OfferUpserted(Box::new(offer))
}

/// The time of one decision in the process, one after the other, with as many offers.
fn decisions(service: &Service, ids: &[String], name: &str) {
    let recommender = &service.use_cases.recommender;
    let mut times: Vec<Duration> = ids
        .iter()
        .map(|id| {
            let question = question(id, 3);
            let asked = Instant::now();
            recommender.recommend(&question).expect("an answer");
            asked.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    say(&format!("{name}, p50"), at(0.5), "ms");
    say(&format!("{name}, p99"), at(0.99), "ms");
}

/// Serves many callers, and says how quickly.
fn answers(runtime: &Runtime, service: &Service, ids: &Arc<Vec<String>>, name: &str, calls: usize) {
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = service.serve(listener, None, async {
            stopped.await.ok();
        });
        let calling = async {
            call(name, address, ids, calls).await;
            stop.send(()).ok();
        };
        let (served, ()) = tokio::join!(serving, calling);
        served.expect("serves");
    });
}

/// So many calls, of callers that each wait for their answer; the first ones ask for everybody once.
async fn call(what: &str, address: std::net::SocketAddr, ids: &Arc<Vec<String>>, calls: usize) {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let url = format!("http://{address}");
        connections.push(
            RecommendationServiceClient::connect(url)
                .await
                .expect("it listens"),
        );
    }
    let started = Instant::now();
    let mut callers = Vec::new();
    for caller in 0..CALLERS {
        let ids = ids.clone();
        let mut client = connections[caller % CONNECTIONS].clone();
        callers.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for call in 0..calls.div_ceil(CALLERS) {
                let customer_id = ids[(call * CALLERS + caller) * 7919 % ids.len()].clone();
                let request = v1::RecommendRequest {
                    customer_id,
                    ..Default::default()
                };
                let asked = Instant::now();
                client.recommend(request).await.expect("an answer");
                times.push(asked.elapsed());
            }
            times
        }));
    }
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.expect("no caller fails"));
    }
    let what = format!("{what} over gRPC, {CALLERS} callers");
    say(&what, times.len() as f64 / since(started), "answers/s");
    times.sort_unstable();
    for percent in [50, 99] {
        let time = times[times.len() * percent / 100].as_secs_f64();
        say(&format!("{what}, p{percent}"), time * 1e3, "ms");
    }
}
