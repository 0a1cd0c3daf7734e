//! A campaign over everybody: how many customers a second a stream answers, and whether memory grows with them.

use std::path::Path;
use std::time::Instant;

use nextbest::application::recipes::Recipes;
use nextbest::cli::simulate::write_shop;
use nextbest::proto::v1;
use nextbest::proto::v1::recommendation_service_client::RecommendationServiceClient;
use nextbest::server::Service;
use tokio::net::TcpListener;

use super::{import, live_offer, open, say, since, trained};

/// How many customers there are, unless `BULK_CUSTOMERS` says otherwise.
const CUSTOMERS: u32 = 200_000;
/// How long their history is, in days.
const DAYS: u32 = 60;
/// How many offers are live.
const OFFERS: usize = 100;
/// How often everybody is asked.
const ROUNDS: usize = 3;

/// Asks everybody several times.
pub(super) fn bulk(recipes: &Recipes) {
    let customers = std::env::var("BULK_CUSTOMERS").ok();
    let customers = customers.map_or(CUSTOMERS, |text| {
        text.parse().expect("a number of customers")
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    {
        let shop = tempfile::tempdir().expect("a temporary folder");
        let end = "2026-06-30".parse().expect("a date");
        let settings =
            nextbest::simulation::Settings::new(7, customers, 400, DAYS, end).expect("in bounds");
        let started = Instant::now();
        drop(write_shop(&settings, shop.path(), false, false, || {}).expect("a shop"));
        say("simulation of the shop", since(started), "s");
        let (rows, seconds) = import(shop.path(), folder.path(), recipes);
        say("its import", rows as f64 / seconds, "rows/s");
    }
    let service = open(folder.path(), recipes);
    let offers = (0..OFFERS).map(|number| live_offer(number, false));
    let ingest = &service.use_cases.ingest;
    ingest.write_blocking(offers.collect()).expect("writes");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    trained(&runtime, &service);
    for round in 1..=ROUNDS {
        let name = format!("campaign {round} with {OFFERS} offers");
        runtime.block_on(campaign(&service, &name));
    }
    service.close().expect("closes");
}

/// One campaign over everybody, through gRPC, with a client in the same process.
async fn campaign(service: &Service, name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = service.serve(listener, None, async {
        stopped.await.ok();
    });
    let asking = async {
        let url = format!("http://{address}");
        let mut client = RecommendationServiceClient::connect(url)
            .await
            .expect("it listens");
        let request = v1::StreamRecommendationsRequest {
            template: Some(v1::RecommendRequest {
                placement: "email".to_owned(),
                page_size: 10,
                max_offers: Some(1),
                ..v1::RecommendRequest::default()
            }),
            ..v1::StreamRecommendationsRequest::default()
        };
        let (started, cpu, memory) = (Instant::now(), cpu_seconds(), resident_mb());
        let answers = client.stream_recommendations(request).await;
        let mut answers = answers.expect("a stream").into_inner();
        let (mut count, mut with_offer, mut most) = (0u32, 0u32, memory);
        while let Some(answer) = answers.message().await.expect("an answer") {
            count += 1;
            let response = answer.response.expect("an answer");
            with_offer += u32::from(!response.offers.is_empty());
            if count.is_multiple_of(10_000) {
                most = most.max(resident_mb());
            }
        }
        let (seconds, cpu) = (since(started), cpu_seconds() - cpu);
        println!("    {count} customers, {with_offer} with an offer");
        say(name, f64::from(count) / seconds, "customers/s");
        say(
            &format!("{name}, for two seconds of a core"),
            f64::from(count) / cpu * 2.0,
            "customers",
        );
        say(&format!("{name}, memory before"), memory, "MiB");
        say(&format!("{name}, most memory"), most, "MiB");
        stop.send(()).ok();
    };
    let (served, ()) = tokio::join!(serving, asking);
    served.expect("serves");
}

/// What this process took of all cores so far, with its client; 0 where nobody says.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string(Path::new("/proc/self/stat")).unwrap_or_default();
    // the name of the program may hold blanks, and ends with a bracket
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks = rest.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// What this process holds of the memory; 0 where nobody says.
fn resident_mb() -> f64 {
    let text = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    kb.unwrap_or(0.0) / 1024.0
}
