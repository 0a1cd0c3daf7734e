//! `nextbest recommend`: one answer from a data folder, and why.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::flags::{self, SettingsFlags};
use crate::application::recommend::{
    Answer, DEFAULT_PRODUCTS, Explanation, MAX_PRODUCTS, Question, StageAnswer, Who,
};
use crate::application::reserve::MAX_OFFERS;
use crate::config;
use crate::domain::{CustomerId, ProductId, Timestamp, VisitorId};
use crate::server::Service;
use crate::telemetry;

/// How many candidates `--explain` prints of each kind.
const EXPLAINED: usize = 20;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsFlags,
    /// The known customer
    #[arg(long, conflicts_with = "visitor")]
    pub customer: Option<String>,
    /// The anonymous visitor
    #[arg(long)]
    pub visitor: Option<String>,
    /// The stage to answer for; it follows from the events otherwise
    #[arg(long)]
    pub stage: Option<String>,
    /// How many products
    #[arg(short = 'n', long, default_value_t = DEFAULT_PRODUCTS)]
    pub count: usize,
    /// How many offers; as many as the stage's recipe says otherwise. Nothing is reserved
    #[arg(long)]
    pub offers: Option<usize>,
    /// By what the answer reaches the customer: email, store, …
    #[arg(long, default_value = "")]
    pub channel: String,
    /// A CEL expression over product, customer and request
    #[arg(long, default_value = "")]
    pub filter: String,
    /// A CEL expression that gives a factor
    #[arg(long, default_value = "")]
    pub boost: String,
    /// Leave a product out; may be given several times
    #[arg(long, value_name = "PRODUCT")]
    pub exclude: Vec<String>,
    /// Leave out what was bought before
    #[arg(long)]
    pub exclude_bought: bool,
    /// The moment of the question, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Every candidate with its features, and those that were dropped
    #[arg(long)]
    pub explain: bool,
}

/// Asks and prints.
///
/// # Errors
/// A faulty question, or a data folder that cannot be opened.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let question = question(args)?;
    let settings = args.settings.load()?.settings;
    telemetry::install_quiet(&settings.log);
    let recipes = config::recipes(settings.models.folder.as_deref())?;
    flags::check_there_is_a_shop(&settings.data.folder)?;
    let service = Service::open(&settings, &recipes)?;
    let mut out = std::io::stdout().lock();
    let recommender = &service.use_cases.recommender;
    let asked = if args.explain {
        recommender
            .explain(&question)
            .map(|explanation| print_explanation(&mut out, &explanation))
    } else {
        recommender
            .recommend(&question)
            .map(|answer| print_answer(&mut out, &answer))
    };
    service.close()?;
    asked??;
    Ok(ExitCode::SUCCESS)
}

fn question(args: &Args) -> anyhow::Result<Question> {
    let fault = |what: &str, reason: String| anyhow!("{what}: {reason}");
    let who = match (&args.customer, &args.visitor) {
        (Some(id), _) => {
            Who::Customer(CustomerId::parse(id).map_err(|(_, why)| fault("--customer", why))?)
        }
        (None, Some(id)) => {
            Who::Visitor(VisitorId::parse(id).map_err(|(_, why)| fault("--visitor", why))?)
        }
        (None, None) => Who::Nobody,
    };
    if !(1..=MAX_PRODUCTS).contains(&args.count) {
        bail!("-n: must be from 1 to {MAX_PRODUCTS}");
    }
    if args.offers.is_some_and(|offers| offers > MAX_OFFERS) {
        bail!("--offers: must be from 0 to {MAX_OFFERS}");
    }
    let at = args.at.as_deref().map(Timestamp::parse).transpose();
    let at = at.map_err(|(_, why)| fault("--at", why))?;
    let exclude = args.exclude.iter().map(|id| ProductId::parse(id));
    let exclude: Result<Vec<ProductId>, _> = exclude.collect();
    Ok(Question {
        who,
        stage: args.stage.clone(),
        placement: String::new(),
        context: Vec::new(),
        count: args.count,
        offers: args.offers,
        channel: args.channel.clone(),
        filter: args.filter.clone(),
        boost: args.boost.clone(),
        exclude: exclude.map_err(|(_, why)| fault("--exclude", why))?,
        exclude_bought: args.exclude_bought,
        strict: false,
        at,
    })
}

/// Prints a stage and why.
///
/// # Errors
/// Those of printing.
pub fn print_stage(out: &mut impl Write, stage: &StageAnswer) -> std::io::Result<()> {
    write!(out, "stage {}", stage.stage)?;
    if let Some(since) = stage.since {
        write!(out, " since {since}")?;
    }
    if stage.named_by_caller {
        write!(out, " (as asked)")?;
    }
    let evidence: Vec<String> = stage
        .evidence
        .iter()
        .map(|e| match &e.product {
            Some(product) => format!("{} {product}", e.kind.as_str()),
            None => e.kind.as_str().to_owned(),
        })
        .collect();
    if !evidence.is_empty() {
        write!(out, ", because of {}", evidence.join(", "))?;
    }
    writeln!(out)
}

/// Prints an answer, a product a line.
///
/// # Errors
/// Those of printing.
pub fn print_answer(out: &mut impl Write, answer: &Answer) -> std::io::Result<()> {
    print_stage(out, &answer.stage)?;
    match &answer.revision {
        Some(revision) => writeln!(out, "ranked by {revision}")?,
        None => writeln!(out, "ranked by the recipe's blend: no model is live")?,
    }
    for (place, product) in answer.products.iter().enumerate() {
        let reasons: Vec<&str> = product.reasons.iter().map(|r| r.text.as_str()).collect();
        writeln!(
            out,
            "{:>3}. {:<16} {:.4}  {:<9} {}{}",
            place + 1,
            product.product.as_str(),
            product.score,
            product.origin.as_str(),
            reasons.join("; "),
            if product.fallback { " (fallback)" } else { "" }
        )?;
    }
    for offer in &answer.offers {
        let reasons: Vec<&str> = offer.reasons.iter().map(|r| r.text.as_str()).collect();
        let (kind, worth) = (offer.benefit.kind().as_str(), offer.score.units());
        let (id, reasons) = (offer.offer.as_str(), reasons.join("; "));
        writeln!(out, "offer {id:<14} {worth:.4}  {kind:<9} {reasons}")?;
    }
    if answer.offer_holdout {
        writeln!(
            out,
            "no offers: held out, so that what offers do can be measured"
        )?;
    }
    Ok(())
}

fn print_explanation(out: &mut impl Write, explanation: &Explanation) -> std::io::Result<()> {
    print_answer(out, &explanation.answer)?;
    let kept = &explanation.kept;
    writeln!(
        out,
        "\n{} candidates were ranked; the first {}:",
        kept.len(),
        kept.len().min(EXPLAINED)
    )?;
    for candidate in kept.iter().take(EXPLAINED) {
        let ranks: Vec<String> = candidate
            .source_ranks
            .iter()
            .map(|(source, rank)| format!("{source} {rank}"))
            .collect();
        let features: Vec<String> = candidate
            .features
            .iter()
            .filter(|(_, value)| value.abs() > 1e-9)
            .map(|(name, value)| format!("{name} {value:.3}"))
            .collect();
        writeln!(out, "{} {:.4}", candidate.product, candidate.score)?;
        writeln!(out, "    ranks: {}", ranks.join(", "))?;
        writeln!(out, "    features: {}", features.join(", "))?;
        if candidate.online.abs() > 1e-9 {
            writeln!(
                out,
                "    outcomes of earlier answers: {:+.3}",
                candidate.online
            )?;
        }
    }
    let dropped = &explanation.dropped;
    writeln!(
        out,
        "\n{} were dropped; the first {}:",
        dropped.len(),
        dropped.len().min(EXPLAINED)
    )?;
    for candidate in dropped.iter().take(EXPLAINED) {
        writeln!(out, "{} {}", candidate.product, candidate.code)?;
    }
    for dropped in explanation.offers.dropped.iter().take(EXPLAINED) {
        writeln!(out, "offer {} {}", dropped.offer, dropped.code)?;
    }
    Ok(())
}
