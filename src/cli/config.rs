//! `nextbest config`: the settings in effect.

use std::io::Write;
use std::process::ExitCode;

use super::flags::SettingsFlags;
use crate::config::DEFAULT;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsFlags,
    /// Print the defaults with their comments instead: a start for an own file
    #[arg(long)]
    defaults: bool,
}

/// Prints the settings as TOML.
///
/// # Errors
/// Every fault of the settings; those of printing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = if args.defaults {
        DEFAULT.to_owned()
    } else {
        args.settings.load()?.to_toml()
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
