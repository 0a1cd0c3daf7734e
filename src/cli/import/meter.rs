//! How far an import is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::thousands;
use crate::application::import::Counts;
use crate::transport::csv::Progress;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far the import of one file is, by bytes, on stderr.
pub(super) struct Meter {
    name: String,
    progress: Progress,
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Instant,
}

impl Meter {
    pub(super) fn new(name: String, progress: Progress) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(progress.total()), target);
            let style = ProgressStyle::with_template("[{bar:30}] {percent:>3} % {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let now = Instant::now();
        Self {
            name,
            progress,
            bar,
            started: now,
            shown: now,
        }
    }

    pub(super) fn show(&mut self, counts: &Counts) {
        let seconds = self.started.elapsed().as_secs_f64();
        let message = message(&self.name, counts, &self.progress, seconds);
        if let Some(bar) = &self.bar {
            bar.set_position(self.progress.read());
            bar.set_message(message);
        } else if self.shown.elapsed() >= LINE_EVERY {
            self.shown = Instant::now();
            eprintln!("{message}");
        }
    }

    pub(super) fn finish(&mut self, counts: &Counts) {
        let seconds = self.started.elapsed().as_secs_f64();
        let rows = thousands(counts.read);
        let rate = thousands(rate(counts.read, seconds));
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {rows} rows, {rate} rows/s, {seconds:.1} s", self.name);
    }
}

fn rate(rows: u64, seconds: f64) -> u64 {
    (rows as f64 / seconds.max(1e-3)) as u64
}

fn message(name: &str, counts: &Counts, progress: &Progress, seconds: f64) -> String {
    let rows = thousands(counts.read);
    let rate = thousands(rate(counts.read, seconds));
    let refused = match counts.refused {
        0 => String::new(),
        refused => format!(", {} refused", thousands(refused)),
    };
    let left = time_left(progress.read(), progress.total(), seconds);
    format!("{name}: {rows} rows{refused}, {rate} rows/s{left}")
}

fn time_left(read: u64, total: u64, seconds: f64) -> String {
    if read == 0 || total < read {
        return String::new();
    }
    let left = seconds * (total - read) as f64 / read as f64;
    let percent = 100.0 * read as f64 / total as f64;
    let (minutes, rest) = ((left / 60.0) as u64, left as u64 % 60);
    match minutes {
        0 => format!(", {percent:.0} % of the file, {rest} s left"),
        _ => format!(", {percent:.0} % of the file, {minutes} min {rest} s left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_bytes() {
        assert_eq!(
            time_left(50, 200, 20.0),
            ", 25 % of the file, 1 min 0 s left"
        );
        assert_eq!(time_left(100, 200, 3.0), ", 50 % of the file, 3 s left");
        assert_eq!(time_left(100, 0, 3.0), "");
        assert_eq!(time_left(0, 100, 3.0), "");
    }
}
