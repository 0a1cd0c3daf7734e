//! `nextbest demo`: the simulated shop "Gadgets Here" in one command: made, imported, learned, asked, served, alive.

mod life;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::ProgressBar;
use jiff::civil::Date;

use self::life::{Life, Made};
use super::flags::SettingsFlags;
use super::import::{self, Target};
use super::recommend::print_answer;
use super::serve::serve;
use super::simulate::write_shop;
use super::train::{report, train};
use crate::application::models::RunState;
use crate::application::recipes::{Recipes, embedded_files};
use crate::application::recommend::{Question, Who};
use crate::config;
use crate::domain::Timestamp;
use crate::domain::time::{DAY_MS, MINUTE_MS};
use crate::server::{Service, repetition_counter};
use crate::simulation::PainPoint;
use crate::telemetry;

/// The data folder unless `--data` names another.
const FOLDER: &str = "nextbest-demo";
/// How many products the demo prints for each stage.
const SHOWN: usize = 5;
/// Says that the shop is imported whole.
const IMPORTED: &str = "demo-imported";
/// What hurts in the demo, unless told otherwise.
const PAINS: [&str; 2] = ["broken_checkout:everyday_consumer", "thin_pages:Computers"];
/// Segments written by hand, beside the personas that are learned.
const SEGMENTS: &str = r#"
# Of the demo.
[[segment]]
name = "regulars"
expression = "customer.order_count >= 5 && customer.days_since_last_order < 60.0"

[[segment]]
name = "one_time_buyers"
expression = "customer.order_count == 1"

[[segment]]
name = "to_win_back"
expression = "customer.health == 'at_risk' || customer.health == 'lapsed'"
"#;
/// The longest that a simulated day may take, in seconds: as long as a day.
const MAX_SPEED: u32 = 86_400;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// End after printing, do not serve
    #[arg(long)]
    pub once: bool,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Customers with an account
    #[arg(long, default_value_t = 2_000)]
    pub customers: u32,
    /// Products of the catalog
    #[arg(long, default_value_t = 400)]
    pub products: u32,
    /// Days of history
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// First day after the history [default: today]
    #[arg(long, value_name = "DATE")]
    pub end: Option<Date>,
    /// Plant a pain point, as `simulate` does; may be given several times
    #[arg(long = "pain-point", value_name = "SPEC", default_values = PAINS)]
    pub pain_points: Vec<PainPoint>,
    /// Seconds that a simulated day takes after the history, while the demo serves; 0: time stands still
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_SPEED)))]
    pub live_speed: u32,
}

/// Makes the shop, learns, prints an answer for each stage, then serves until Ctrl-C.
///
/// # Errors
/// A data folder that cannot be used, or one that holds another shop.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut flags = args.settings.clone();
    flags.data.get_or_insert_with(|| FOLDER.to_owned());
    flags.log_level.get_or_insert_with(|| "warn".to_owned());
    // the shop lives on ahead of the machine's clock
    flags.set.insert(0, "clock.source=events".to_owned());
    flags
        .set
        .insert(0, "dashboard.shop_name=Gadgets Here".to_owned());
    let mut settings = flags.load()?.settings;
    telemetry::install(&settings.log);
    let recipes = recipes(settings.models.folder.as_deref())?;
    let folder = settings.data.folder.clone();
    let service = Service::open(&settings, &recipes)?;
    prepare(args, &flags, &folder, &service)?;
    show_stages(&service)?;
    if args.once {
        service.close()?;
        return Ok(ExitCode::SUCCESS);
    }
    let example = service
        .shop
        .known()
        .state
        .people
        .customers()
        .first()
        .map(|c| c.id.to_string());
    let example = example.unwrap_or_default();
    settings.server.listen = free_address(settings.server.listen);
    let newest = service.shop.known().state.newest();
    let made = Made::read(&folder)?;
    let mut life = None;
    settings.server.http_address = settings.server.http_address.map(free_address);
    serve(service, &settings, |address| {
        how_to_call(address, &example);
        life = begin_life(args, made, newest, address)?;
        Ok(())
    })?;
    if let Some(life) = life {
        life.end();
    }
    println!("stopped; `nextbest demo` goes on from here");
    Ok(ExitCode::SUCCESS)
}

/// Those of a folder, or the embedded ones with some segments, so that pages have some to pick.
fn recipes(folder: Option<&Path>) -> anyhow::Result<Recipes> {
    if folder.is_some() {
        return Ok(config::recipes(folder)?);
    }
    let mut files = embedded_files();
    for file in files.iter_mut().filter(|file| file.name == "journey.toml") {
        file.text.push_str(SEGMENTS);
    }
    Ok(Recipes::parse(&files)?)
}

/// Lets the shop live on, unless time is to stand still.
fn begin_life(
    args: &Args,
    made: Option<Made>,
    newest: Timestamp,
    address: SocketAddr,
) -> anyhow::Result<Option<Life>> {
    if args.live_speed == 0 {
        return Ok(None);
    }
    let Some(made) = made else {
        println!("this shop was made by an older version: it does not live on");
        return Ok(None);
    };
    let speed = args.live_speed;
    println!("the shop lives on: a day takes {speed} s (--live-speed)");
    let (newest, speed) = (
        newest.ms().div_euclid(1_000),
        Duration::from_secs(speed.into()),
    );
    Life::begin(made, newest, address.to_string(), speed).map(Some)
}

/// Simulates, imports and trains, as far as that is not done yet.
fn prepare(
    args: &Args,
    flags: &SettingsFlags,
    folder: &Path,
    service: &Service,
) -> anyhow::Result<()> {
    let imported = folder.join(IMPORTED);
    let shop = folder.join("shop");
    if imported.exists() {
        println!("using the shop \"Gadgets Here\" in {}", folder.display());
    } else {
        if !shop.join("events.csv").exists() {
            let foreign = service.shop.journal.end().0 > 0;
            ensure!(
                !foreign,
                "{} holds another shop; name another folder by --data",
                folder.display()
            );
            simulate(args, folder, &shop)?;
        }
        let import_args = import::Args {
            settings: flags.clone(),
            from: Some(shop),
            ..import::Args::default()
        };
        let mut write = |batch| service.use_cases.ingest.write_blocking(batch);
        let mut repetitions = || Ok(repetition_counter(folder));
        let target = Target {
            write: &mut write,
            now: service.use_cases.ingest.latest(),
            journey: &service.shop.settings.fold.journey,
            repetitions: &mut repetitions,
        };
        let never = AtomicBool::new(false);
        let summary = import::carry_out(&import_args, folder, target, &never)?;
        print!("{summary}");
        ensure!(
            summary.failures.is_empty(),
            "the simulated shop could not be imported"
        );
        service.shop.refresh_relations();
        std::fs::write(&imported, "").with_context(|| imported.display().to_string())?;
    }
    if service.shop.live().is_none() {
        let run = train(&service.use_cases.models, None)?;
        report(&service.use_cases.models, &run)?;
        ensure!(
            run.state == RunState::Succeeded,
            "training failed: {}",
            run.message
        );
    }
    Ok(())
}

fn simulate(args: &Args, folder: &Path, shop: &Path) -> anyhow::Result<()> {
    let today = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let pains = args.pain_points.iter().map(PainPoint::to_string);
    let made = Made {
        seed: args.seed,
        customers: args.customers,
        products: args.products,
        days: args.days,
        end: args.end.unwrap_or(today).to_string(),
        pain_points: pains.collect(),
    };
    let settings = made.settings()?;
    made.write(folder)?;
    println!(
        "simulating {} days of \"Gadgets Here\" into {}",
        args.days,
        shop.display()
    );
    let bar = ProgressBar::new(u64::from(args.days));
    let written = write_shop(&settings, shop, false, true, || bar.inc(1));
    bar.finish_and_clear();
    written?;
    Ok(())
}

/// Prints the next best products of one customer in each stage, as of the newest event.
fn show_stages(service: &Service) -> anyhow::Result<()> {
    let at = service.shop.known().state.newest().plus_ms(MINUTE_MS);
    let mut out = std::io::stdout().lock();
    for stage in service.shop.stages() {
        let who = example(service, &stage, at);
        let question = Question {
            who: who.clone(),
            stage: None,
            placement: "demo".to_owned(),
            context: Vec::new(),
            count: SHOWN,
            offers: Some(0),
            channel: String::new(),
            filter: String::new(),
            boost: String::new(),
            exclude: Vec::new(),
            exclude_bought: false,
            strict: false,
            at: Some(at),
        };
        let name = match &who {
            Who::Customer(id) => format!("customer {id}"),
            Who::Visitor(id) => format!("visitor {id}"),
            Who::Nobody => "somebody unknown".to_owned(),
        };
        writeln!(out, "\n{stage}: {name}")?;
        let answer = service.use_cases.recommender.recommend(&question)?;
        print_answer(&mut out, &answer)?;
    }
    Ok(())
}

/// Somebody in a stage, of whom much is known.
fn example(service: &Service, stage: &str, at: Timestamp) -> Who {
    let known = service.shop.known();
    let state = &known.state;
    let journey = state.journey();
    let recent = at.plus_ms(-30 * DAY_MS);
    let people = state
        .people
        .customers()
        .iter()
        .map(|subject| (true, subject));
    let people = people.chain(state.people.visitors().map(|subject| (false, subject)));
    let in_stage = people.filter(|(_, subject)| {
        !subject.steps.is_empty() && journey.name(journey.stage_at(&subject.steps, at)) == stage
    });
    let best = in_stage.max_by_key(|(is_customer, subject)| {
        let fresh = subject.seen.is_some_and(|(_, last)| last > recent);
        (
            fresh,
            *is_customer,
            subject.events.min(200),
            std::cmp::Reverse(subject.id.clone()),
        )
    });
    match best {
        Some((true, subject)) => {
            Who::Customer(crate::domain::CustomerId::trusted(subject.id.to_string()))
        }
        Some((false, subject)) => {
            Who::Visitor(crate::domain::VisitorId::trusted(subject.id.to_string()))
        }
        None => Who::Nobody,
    }
}

/// The address, or a free port beside it where it is taken: a demo must start.
fn free_address(address: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            eprintln!("{address} is taken; taking a free port");
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
        }
        _ => address,
    }
}

fn how_to_call(address: SocketAddr, example: &str) {
    println!(
        "\nask it, for example:\n  grpcurl -plaintext -d '{{\"customer_id\": \"{example}\"}}' {address} \
         nextbest.v1.RecommendationService/Recommend\nor from Python: see README.md, \"First \
         call\". Ctrl-C stops."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_segments_of_its_own() {
        let recipes = recipes(None).unwrap();
        let names: Vec<&str> = recipes.segments.iter().map(|s| s.name.as_str()).collect();
        for name in ["regulars", "one_time_buyers", "to_win_back"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(
            recipes
                .files
                .iter()
                .any(|file| file.text.contains("to_win_back"))
        );
    }
}
