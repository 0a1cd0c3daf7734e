//! `nextbest check`: settings and recipes, tested without starting.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::flags::SettingsFlags;
use crate::config;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsFlags,
}

/// Says "ok", or every fault.
///
/// # Errors
/// Those of printing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let loaded = args.settings.load();
    let folder = match &loaded {
        Ok(loaded) => loaded.settings.models.folder.clone(),
        // the recipes can be tested even if some setting is wrong
        Err(_) => args.settings.models.clone().map(PathBuf::from),
    };
    let recipes = config::recipes(folder.as_deref());
    let place = folder
        .as_deref()
        .map_or("inside the program".to_owned(), in_words);
    match &loaded {
        Ok(_) => writeln!(out, "settings: ok")?,
        Err(faults) => writeln!(out, "settings: {} wrong\n{faults}", faults.0.len())?,
    }
    match &recipes {
        Ok(recipes) => {
            let names: Vec<&str> = recipes.stages.iter().map(|r| r.stage.as_str()).collect();
            writeln!(out, "recipes ({place}): ok: {}", names.join(", "))?;
        }
        Err(error) => writeln!(out, "recipes ({place}): wrong\n{error}")?,
    }
    if loaded.is_ok() && recipes.is_ok() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn in_words(folder: &Path) -> String {
    folder.display().to_string()
}
