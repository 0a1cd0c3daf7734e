//! Simulated time: days since the start, weekdays, the season of the year. Never the wall clock.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::settings::Settings;

/// Seconds of a day.
pub const DAY: i64 = 86_400;
/// Days that can be simulated beyond the end, to see what would have come next.
pub const BEYOND: u32 = 28;

/// Height of the rise of visits around day 340 (Black Friday to Christmas).
const PEAK_HEIGHT: f64 = 0.7;
const PEAK_DAY: f64 = 340.0;
const PEAK_WIDTH_DAYS: f64 = 20.0;

/// What is particular about one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    /// Day of the year, from 1.
    pub(crate) of_year: f64,
    /// 0 is Monday.
    pub(crate) weekday: usize,
    /// How many more visits the season brings, one is usual.
    pub(crate) traffic: f64,
}

/// The days of the simulation, and some beyond.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    start: i64,
    first: Date,
    days: Vec<Day>,
    length: u32,
}

impl Calendar {
    pub(crate) fn new(settings: &Settings) -> Calendar {
        let first = settings
            .end()
            .saturating_sub(i64::from(settings.days()).days());
        let length = settings.days();
        let days = (0..length + BEYOND + 1)
            .map(|number| describe(first.saturating_add(i64::from(number).days())))
            .collect();
        Calendar {
            start: midnight(first),
            first,
            days,
            length,
        }
    }

    /// Makes room for more days behind the last; the length of the history stays.
    pub(crate) fn extend(&mut self, days: u32) {
        let known = self.horizon() + 1;
        let first = self.first;
        let more = (known..known + days)
            .map(|number| describe(first.saturating_add(i64::from(number).days())));
        self.days.extend(more);
    }

    /// Simulated days, without those beyond the end.
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// The first second, since the Unix epoch.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The first second after the simulated period.
    pub(crate) fn end(&self) -> i64 {
        self.midnight(self.length)
    }

    /// The first second of a day.
    pub(crate) fn midnight(&self, day: u32) -> i64 {
        self.start + i64::from(day) * DAY
    }

    /// The day of a moment; negative before the start.
    pub(crate) fn day_of(&self, time: i64) -> i64 {
        (time - self.start).div_euclid(DAY)
    }

    /// The day with this number; the last one known for later ones.
    pub(crate) fn day(&self, number: u32) -> Day {
        let last = self.days.len() - 1;
        self.days[(number as usize).min(last)]
    }

    /// Days that can be simulated at all.
    pub(crate) fn horizon(&self) -> u32 {
        u32::try_from(self.days.len() - 1).unwrap_or(u32::MAX)
    }
}

fn midnight(date: Date) -> i64 {
    let zoned = date.at(0, 0, 0, 0).to_zoned(TimeZone::UTC);
    zoned
        .expect("years are bounded by the settings")
        .timestamp()
        .as_second()
}

fn describe(date: Date) -> Day {
    let of_year = f64::from(date.day_of_year());
    let away = (of_year - PEAK_DAY) / PEAK_WIDTH_DAYS;
    let weekday = date.weekday().to_monday_zero_offset();
    Day {
        of_year,
        weekday: usize::try_from(weekday).expect("a weekday is from 0 to 6"),
        traffic: 1.0 + PEAK_HEIGHT * (-away * away).exp(),
    }
}

/// A yearly wave around one: `1 + strength · cos(2π (day − peak) / 365.25)`.
pub(crate) fn season(of_year: f64, peak: f64, strength: f64) -> f64 {
    1.0 + strength * (std::f64::consts::TAU * (of_year - peak) / 365.25).cos()
}
