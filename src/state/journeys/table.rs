//! The counters: by day, sums of whole numbers, packed. What is added can be taken away again.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::time::DAY_MS;
use crate::state::journeys::key::{Key, Measure};

/// Days that are further back than this from the newest event are dropped: three years.
pub const KEPT_DAYS: i32 = 3 * 366;
/// So many additions to a day wait unpacked, or a quarter of its counters if that is more.
const LEAST_WAITING: usize = 256;

/// A day, in days since 1970.
pub type Day = i32;

/// The day of a moment.
#[must_use]
pub fn day_of(time: Timestamp) -> Day {
    i32::try_from(time.ms().div_euclid(DAY_MS)).unwrap_or(Day::MAX)
}

/// The midnight that begins a day.
#[must_use]
pub fn midnight(day: Day) -> Timestamp {
    Timestamp::from_ms(i64::from(day) * DAY_MS)
}

/// The first day that begins at or after a moment.
#[must_use]
pub fn day_from(time: Timestamp) -> Day {
    day_of(time.plus_ms(DAY_MS - 1))
}

/// The counters of one day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counted {
    /// Keys in order, each as its distance from the one before, and values; zeros are left out.
    packed: Vec<u8>,
    entries: u32,
    /// What is not packed yet, in order of arrival.
    waiting: Vec<(u64, i64)>,
}

impl Counted {
    fn add(&mut self, key: u64, by: i64) {
        self.waiting.push((key, by));
        if self.waiting.len() >= LEAST_WAITING.max(self.entries as usize / 4) {
            self.pack();
        }
    }

    fn pack(&mut self) {
        self.waiting.sort_unstable_by_key(|entry| entry.0);
        let mut merged: Vec<(u64, i64)> =
            Vec::with_capacity(self.entries as usize + self.waiting.len());
        let mut old = Reader::new(&self.packed).peekable();
        let mut new = self.waiting.drain(..).peekable();
        loop {
            let entry = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(a), Some(b)) if a.0 <= b.0 => old.next(),
                (Some(_), None) => old.next(),
                _ => new.next(),
            };
            let Some((key, value)) = entry else { break };
            match merged.last_mut() {
                Some(last) if last.0 == key => last.1 += value,
                _ => merged.push((key, value)),
            }
        }
        drop(new);
        merged.retain(|entry| entry.1 != 0);
        let mut packed = Vec::with_capacity(merged.len() * 5);
        let mut before = 0;
        for &(key, value) in &merged {
            write(&mut packed, key - before);
            // small numbers of either sign become small numbers
            write(&mut packed, (value << 1 ^ value >> 63) as u64);
            before = key;
        }
        packed.shrink_to_fit();
        self.packed = packed;
        self.entries = merged.len() as u32;
        self.waiting = Vec::new();
    }

    fn each(&self, see: &mut impl FnMut(u64, i64)) {
        for (key, value) in Reader::new(&self.packed) {
            see(key, value);
        }
        for &(key, value) in &self.waiting {
            see(key, value);
        }
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads packed counters.
struct Reader<'a> {
    bytes: &'a [u8],
    key: u64,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, key: 0 }
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        let mut shift = 0;
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 || shift >= 63 {
                return Some(number);
            }
            shift += 7;
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = (u64, i64);

    fn next(&mut self) -> Option<(u64, i64)> {
        self.key = self.key.wrapping_add(self.number()?);
        let value = self.number()?;
        Some((self.key, (value >> 1) as i64 ^ -((value & 1) as i64)))
    }
}

/// The counters of every day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    days: BTreeMap<Day, Counted>,
    /// What the days that were dropped had summed up to.
    before: BTreeMap<u64, i64>,
}

impl Table {
    /// Adds to a counter of a day.
    pub(super) fn add(&mut self, day: Day, key: Key, by: i64) {
        if by != 0 {
            self.days.entry(day).or_default().add(key.packed(), by);
        }
    }

    /// Drops the days before this one. What sums up over all days is kept for the `lasting` measures.
    pub(super) fn drop_before(&mut self, first: Day, lasting: impl Fn(Key) -> bool) {
        while let Some(entry) = self.days.first_entry() {
            if *entry.key() >= first {
                break;
            }
            let before = &mut self.before;
            entry.remove().each(&mut |key, value| {
                if lasting(Key::unpacked(key)) {
                    *before.entry(key).or_default() += value;
                }
            });
        }
    }

    /// Every counter of the days from `first` until `last`: the day, the counter, what it counted. The same counter
    /// may come more than once.
    pub fn each(&self, first: Day, last: Day, mut see: impl FnMut(Day, Key, i64)) {
        if first > last {
            return;
        }
        for (&day, counted) in self.days.range(first..=last) {
            counted.each(&mut |key, value| see(day, Key::unpacked(key), value));
        }
    }

    /// As [`Table::each`], of the measures before `end` alone: quick, because they stand first.
    pub fn each_before(
        &self,
        (first, last): (Day, Day),
        end: Measure,
        mut see: impl FnMut(Day, Key, i64),
    ) {
        if first > last {
            return;
        }
        for (&day, counted) in self.days.range(first..=last) {
            let packed = Reader::new(&counted.packed);
            let packed = packed.map(|(key, value)| (Key::unpacked(key), value));
            for (key, value) in packed.take_while(|(key, _)| key.measure < end) {
                see(day, key, value);
            }
            for &(key, value) in &counted.waiting {
                let key = Key::unpacked(key);
                if key.measure < end {
                    see(day, key, value);
                }
            }
        }
    }

    /// Every lasting counter of the days that were dropped.
    pub fn each_dropped(&self, mut see: impl FnMut(Key, i64)) {
        for (&key, &value) in &self.before {
            see(Key::unpacked(key), value);
        }
    }

    /// The counters of a window that are not zero.
    #[must_use]
    pub fn sums(&self, first: Day, last: Day) -> HashMap<Key, i64, FixedState> {
        let mut sums: HashMap<Key, i64, FixedState> = HashMap::default();
        self.each(first, last, |_, key, value| {
            *sums.entry(key).or_default() += value;
        });
        sums.retain(|_, value| *value != 0);
        sums
    }

    /// Packs what waits.
    pub(super) fn pack(&mut self) {
        self.days.values_mut().for_each(Counted::pack);
        self.days.retain(|_, counted| counted.entries > 0);
    }

    /// The first day that holds anything.
    #[must_use]
    pub fn first_day(&self) -> Option<Day> {
        self.days.keys().next().copied()
    }

    /// How many bytes the counters take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of_day = |day: &Counted| {
            let waiting = day.waiting.capacity() * size_of::<(u64, i64)>();
            size_of::<(Day, Counted)>() + day.packed.capacity() + waiting
        };
        // a node of a map is at least half full
        2 * self.before.len() * size_of::<(u64, i64)>()
            + self.days.values().map(of_day).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::journeys::key::NO_PLACE;

    fn key(number: u16) -> Key {
        Key {
            measure: Measure::Revenue,
            group: number % 5,
            stage: 1,
            place: NO_PLACE,
            detail: number,
        }
    }

    #[test]
    fn sums_are_exact_whatever_the_order_and_what_is_taken_away_is_gone() {
        let mut table = Table::default();
        let mut plain: HashMap<(Day, Key), i64> = HashMap::new();
        for i in 0..20_000_i64 {
            let number = (i * i % 311) as u16;
            let day = (i * 7 % 13) as Day;
            let by = match i % 3 {
                0 => -(i << 20),
                1 => i << 40,
                _ => 1,
            };
            table.add(day, key(number), by);
            *plain.entry((day, key(number))).or_default() += by;
        }
        let sums = |table: &Table, first: Day, last: Day| {
            let mut sums: HashMap<Key, i64> = HashMap::new();
            table.each(first, last, |_, key, value| {
                *sums.entry(key).or_default() += value;
            });
            sums.retain(|_, value| *value != 0);
            sums
        };
        let expected = |first: Day, last: Day| {
            let mut sums: HashMap<Key, i64> = HashMap::new();
            for (&(day, key), value) in &plain {
                if (first..=last).contains(&day) {
                    *sums.entry(key).or_default() += value;
                }
            }
            sums.retain(|_, value| *value != 0);
            sums
        };
        assert_eq!(sums(&table, 3, 9), expected(3, 9));
        assert_eq!(sums(&table, 9, 3), HashMap::new());
        let mut packed = table.clone();
        packed.pack();
        assert_eq!(sums(&packed, 0, 99), expected(0, 99));
        for (&(day, key), &value) in &plain {
            packed.add(day, key, -value);
        }
        packed.pack();
        assert_eq!(packed, Table::default());
        // dropped days stay in what lasts
        table.drop_before(4, |_| true);
        let mut dropped: HashMap<Key, i64> = HashMap::new();
        table.each_dropped(|key, value| *dropped.entry(key).or_default() += value);
        dropped.retain(|_, value| *value != 0);
        assert_eq!(dropped, expected(0, 3));
        assert_eq!(sums(&table, 0, 99), expected(4, 99));
    }

    /// Two years of a busy shop with 8 personas and 40 touchpoints, each used in two stages every day: stays that
    /// began, passed and ended in several ways, moves to six others, and sales at every fourth.
    #[test]
    fn two_years_of_eight_personas_and_forty_touchpoints_fit() {
        let mut table = Table::default();
        let mut entries = 0_u64;
        for day in 15_000..15_730 {
            for group in 0..8_u16 {
                for place in 0..40_u16 {
                    for stage in [place % 6, (place + 1) % 6] {
                        let mut add = |measure, detail, by| {
                            let key = Key {
                                measure,
                                group,
                                stage: stage as u8,
                                place,
                                detail,
                            };
                            entries += 1;
                            table.add(day, key, by);
                        };
                        add(Measure::Events, 0, 900 + i64::from(place));
                        add(Measure::Steps, 0, 700);
                        for detail in [1, 2, 32, 33] {
                            add(Measure::Reached, detail, 130);
                            add(Measure::Passed, detail, 120);
                        }
                        for detail in [1, 2] {
                            add(Measure::Again, detail, 20);
                        }
                        add(Measure::CartsUsed, 0, 30);
                        add(Measure::Began, 32, 40);
                        add(Measure::Ended, 32, 50);
                        add(Measure::Ended, 2, 60);
                        for other in 1..7 {
                            add(Measure::Flow, (place + other * 5) % 40, 70);
                        }
                        if place % 4 == 0 {
                            add(Measure::Orders, 1, 12);
                            add(Measure::Revenue, 1, 1_234_567_890);
                            add(Measure::OrderSquares, 1, 234_567);
                            add(Measure::CostedRevenue, 1, 1_134_567_890);
                            add(Measure::Margin, 1, 334_567_890);
                        }
                    }
                }
            }
        }
        table.pack();
        let bytes = table.bytes();
        println!("{entries} counters take {bytes} bytes");
        assert!(bytes <= 50_000_000, "{entries} counters take {bytes} bytes");
    }

    #[test]
    fn days_begin_at_midnight() {
        let at = Timestamp::from_ms;
        assert_eq!((day_of(at(0)), day_of(at(-1))), (0, -1));
        assert_eq!((day_from(at(0)), day_from(at(1))), (0, 1));
        assert_eq!(midnight(2).ms(), 2 * DAY_MS);
    }
}
