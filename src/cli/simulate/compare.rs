//! The days after the history under every policy, with the same people and the same chance.

use std::io::Write as _;

use anyhow::Context as _;

use super::standing::Standings;
use super::{Args, bar};
use crate::cli::evaluate::command;
use crate::simulation::{Campaign, Event, Policy, Settings, Simulation, live};

/// Lives on without a service.
///
/// # Errors
/// As [`history`].
pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Standings> {
    let campaign = history(args, settings, |_| {})?;
    Ok(Standings::of(
        policies(&campaign)?,
        args.live_days,
        args.seed,
    ))
}

/// Lives the history; `on_event` sees what happens.
///
/// # Errors
/// None in practice: a progress bar that cannot be drawn.
pub(super) fn history(
    args: &Args,
    settings: &Settings,
    mut on_event: impl FnMut(&Event),
) -> anyhow::Result<Campaign> {
    let bar = bar(u64::from(args.days), "the history")?;
    let mut simulation = Simulation::new(settings);
    while !simulation.is_over() {
        let events = simulation.next_day().unwrap_or_default();
        events.iter().for_each(&mut on_event);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Campaign::after(simulation, args.live_days))
}

/// What every policy that needs no service brings.
pub(super) fn policies(
    campaign: &Campaign,
) -> anyhow::Result<Vec<(String, crate::simulation::Tally)>> {
    let policies = Policy::all();
    let days = policies.len() as u64 * u64::from(campaign.days());
    let bar = bar(days, "policies")?;
    let tallies = policies.into_iter().map(|mut policy| {
        let Ok(tally) = live(campaign.clone(), &mut policy, || bar.inc(1));
        (policy.name(), tally)
    });
    let tallies = tallies.collect();
    bar.finish_and_clear();
    Ok(tallies)
}

/// Prints, and writes the page if one is wanted.
///
/// # Errors
/// When it cannot be written.
pub(super) fn report(args: &Args, standings: &Standings) -> anyhow::Result<()> {
    if let Some(path) = &args.report {
        std::fs::write(path, standings.to_html(&command()))
            .with_context(|| format!("--report {}", path.display()))?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", standings.to_json())?;
    } else {
        write!(out, "{}", standings.to_text())?;
    }
    Ok(())
}
