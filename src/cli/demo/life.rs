//! The simulated shop stays alive while the demo serves: its people go on, and what they do is written over the wire.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::cli::simulate::{event_fields, offer_terms};
use crate::domain::Timestamp;
use crate::simulation::{Campaign, DAY, Event, OfferKind, PainPoint, Settings, Simulation};
use crate::transport::grpc::client::{Client, EventFields, TermLimits, Terms};

/// How the shop of a data folder was made.
const MADE: &str = "demo-shop.json";
/// So many days are lived after the history; then the shop stands still.
const LIVE_DAYS: u32 = 365;
/// After so many of them budgets grow, so that offers do not run dry one after the other.
const RENEWAL_DAYS: i64 = 28;
/// By so much of what there was at first.
const RENEWED: f64 = 0.25;
/// Customers of a shop for which budgets are as [`limits`] says; those of larger ones are larger.
const USUAL_CUSTOMERS: u32 = 2_000;
/// How often what has happened meanwhile is written.
const BEAT: Duration = Duration::from_millis(500);
/// Events of one call.
const WRITTEN_AT_ONCE: usize = 2_000;
/// After a call failed: how long until it is tried again the first time, and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How a shop was made: the same life follows from the same words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) seed: u64,
    pub(super) customers: u32,
    pub(super) products: u32,
    pub(super) days: u32,
    /// As 2026-06-30.
    pub(super) end: String,
    pub(super) pain_points: Vec<String>,
}

impl Made {
    /// As settings of the simulation.
    ///
    /// # Errors
    /// Something out of bounds.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let pains = self.pain_points.iter().map(|text| text.parse());
        let pains = pains.collect::<Result<Vec<PainPoint>, _>>()?;
        let settings = Settings::new(
            self.seed,
            self.customers,
            self.products,
            self.days,
            self.end.parse::<Date>()?,
        )?;
        Ok(settings.with_pain_points(&pains)?)
    }

    /// Leaves word in the data folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(MADE);
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// How the shop of this data folder was made; nothing where an older version made it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(MADE);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| path.display().to_string())?;
        let made = serde_json::from_str(&text);
        Ok(Some(made.with_context(|| path.display().to_string())?))
    }
}

/// The shop lives in a thread of its own until it is told to stop.
pub(super) struct Life {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Life {
    /// Begins where the history, and what was lived of it before, ends: `newest` is the newest event of the service, in
    /// seconds since the Unix epoch. A simulated day takes `speed`.
    ///
    /// # Errors
    /// If the machine gives no thread.
    pub(super) fn begin(
        made: Made,
        newest: i64,
        address: String,
        speed: Duration,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::Builder::new().name("life".to_owned());
        let thread = thread.spawn(move || {
            if let Err(error) = live(&made, newest, &address, speed, &told) {
                eprintln!("the simulated shop stands still: {error:#}");
            }
        });
        let thread = thread.context("the machine gives no thread")?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Release);
        // a panic has been printed by then
        let _ended = self.thread.join();
    }
}

/// Waits; true as soon as it is told to stop.
fn waits(told: &AtomicBool, time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        if told.load(Ordering::Acquire) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(BEAT));
    }
}

/// Asks until it is answered, after longer and longer pauses, and says so; nothing as soon as it is told to stop.
fn persists<T>(
    told: &AtomicBool,
    pauses: [Duration; 2],
    say: impl Fn(&str),
    mut ask: impl FnMut() -> anyhow::Result<T>,
) -> Option<T> {
    let [mut pause, longest] = pauses;
    let mut is_said = false;
    loop {
        let error = match ask() {
            Ok(answer) => {
                if is_said {
                    say("the simulated shop lives on");
                }
                return Some(answer);
            }
            Err(error) => error,
        };
        // when the service stops, the wire breaks before this thread is told: the first time it only waits
        if pause > pauses[0] {
            let seconds = pause.as_secs_f64();
            say(&format!(
                "the simulated shop stands still and tries again in {seconds} s: {error:#}"
            ));
            is_said = true;
        }
        if waits(told, pause) {
            return None;
        }
        pause = (pause * 2).min(longest);
    }
}

fn live(
    made: &Made,
    newest: i64,
    address: &str,
    speed: Duration,
    told: &AtomicBool,
) -> anyhow::Result<()> {
    let mut days = Days::after(&made.settings()?, newest);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;
    let say = |text: &str| eprintln!("{text}");
    let connected = persists(told, PAUSES, say, || {
        Ok(runtime.block_on(Client::connect(address))?)
    });
    let Some(mut client) = connected else {
        return Ok(());
    };
    let end = days.campaign.simulation().world().end();
    if newest < end {
        // those of the history have ended with it
        let moment = |time: i64| Timestamp::from_ms(time * 1_000);
        let (starts, ends) = (moment(end - DAY), moment(end + i64::from(LIVE_DAYS) * DAY));
        let terms = OfferKind::ALL.map(|kind| Terms {
            limits: limits(kind, growth(made, 0)),
            // also on pages, not in mails alone
            channel: String::new(),
            ..offer_terms(kind, starts, ends)
        });
        let put = persists(told, PAUSES, say, || {
            Ok(runtime.block_on(client.put_offers(&terms))?)
        });
        if put.is_none() {
            return Ok(());
        }
    }
    let mut renewed = 0;
    while let Some((begins, events)) = days.next() {
        let started = Instant::now();
        let renewals = (begins - end) / (RENEWAL_DAYS * DAY);
        if renewals > renewed {
            for kind in OfferKind::ALL {
                let limits = limits(kind, growth(made, renewals));
                if limits.budget_units.is_none() && limits.budget_amount.is_none() {
                    continue;
                }
                let id = offer_terms(kind, Timestamp::default(), Timestamp::default()).id;
                let set = persists(told, PAUSES, say, || {
                    Ok(runtime.block_on(client.set_budget(&id, limits))?)
                });
                if set.is_none() {
                    return Ok(());
                }
            }
            renewed = renewals;
        }
        let mut waiting = events.into_iter().peekable();
        // a day that was begun before goes on where it was
        let begun = (newest - begins).clamp(0, DAY);
        loop {
            let elapsed = started.elapsed().as_secs_f64() / speed.as_secs_f64();
            let moment = begins + begun + (elapsed * DAY as f64) as i64;
            while waiting.peek().is_some_and(|(time, _)| *time <= moment) {
                let due = std::iter::from_fn(|| waiting.next_if(|(time, _)| *time <= moment));
                let due: Vec<EventFields> =
                    due.take(WRITTEN_AT_ONCE).map(|(_, event)| event).collect();
                let count = due.len() as u64;
                // what was taken although the answer was lost is known again by its ids
                let taken = persists(told, PAUSES, say, || {
                    Ok(runtime.block_on(client.write(due.clone(), false))?)
                });
                let Some(taken) = taken else {
                    return Ok(());
                };
                ensure!(
                    taken.written + taken.duplicate == count,
                    "{count} events were written, and {} were taken",
                    taken.written + taken.duplicate
                );
            }
            if moment >= begins + DAY {
                break;
            }
            if waits(told, BEAT.min(speed / 4)) {
                return Ok(());
            }
        }
    }
    println!(
        "the simulated shop has lived {LIVE_DAYS} days after its history and stands still now"
    );
    Ok(())
}

/// How much larger budgets are, after so many renewals, than in a usual shop at first.
fn growth(made: &Made, renewals: i64) -> f64 {
    let size = f64::from(made.customers) / f64::from(USUAL_CUSTOMERS);
    size.max(1.0) * (1.0 + RENEWED * renewals as f64)
}

/// What there is of an offer: some have a budget in pieces, some in money, some are capped, and some have no end. What
/// was redeemed in the history counts.
fn limits(kind: OfferKind, growth: f64) -> TermLimits {
    let none = TermLimits::default();
    let units = |usual: f64| Some((usual * growth).round() as i64);
    match kind {
        OfferKind::Percentage => TermLimits {
            budget_units: units(120.0),
            cap_shown: Some((2, 30)),
            ..none
        },
        OfferKind::Amount => TermLimits {
            budget_amount: Some((1_500.0 * growth).round()),
            cap_per_customer: Some(1),
            ..none
        },
        OfferKind::BuyXGetY => TermLimits {
            budget_units: units(80.0),
            ..none
        },
        OfferKind::FreeShipping => TermLimits {
            budget_amount: Some((500.0 * growth).round()),
            ..none
        },
        OfferKind::Gift => TermLimits {
            budget_units: units(90.0),
            cap_per_customer: Some(1),
            ..none
        },
        OfferKind::LoyaltyPoints
        | OfferKind::EarlyAccess
        | OfferKind::Referral
        | OfferKind::Content => none,
    }
}

/// The days after the history, with ids for their events: the same in every run.
struct Days {
    campaign: Campaign,
    newest: i64,
}

impl Days {
    fn after(settings: &Settings, newest: i64) -> Self {
        let campaign = Campaign::after(Simulation::new(settings), LIVE_DAYS);
        Self { campaign, newest }
    }

    /// The next day of which not everything is known: its first moment, and its events from the newest known one on.
    /// Mails go on as in the history: a random offer for a random tenth.
    fn next(&mut self) -> Option<(i64, Vec<(i64, EventFields)>)> {
        while !self.campaign.is_over() {
            let day = self.campaign.day();
            let world = self.campaign.simulation().world();
            let begins = world.end() + i64::from(day) * DAY;
            let sent = self.campaign.trial();
            let events = self.campaign.live(&sent);
            if begins + DAY <= self.newest {
                continue;
            }
            let numbered = events.iter().enumerate();
            // what is of the newest moment may be known in part: the service tells by the id
            let new = numbered.filter(|(_, event)| event.time >= self.newest);
            let event = |(number, event): (usize, &Event)| {
                let event_id = format!("d{day:03}-{number:05}");
                let fields = EventFields {
                    event_id,
                    ..event_fields(event)
                };
                (event.time, fields)
            };
            return Some((begins, new.map(event).collect()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        Made {
            seed: 3,
            customers: 60,
            products: 40,
            days: 60,
            end: "2026-06-30".to_owned(),
            pain_points: vec!["shipping_cost".to_owned()],
        }
    }

    #[test]
    fn word_is_left_and_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Made::read(folder.path()).unwrap(), None);
        made().write(folder.path()).unwrap();
        assert_eq!(Made::read(folder.path()).unwrap(), Some(made()));
        std::fs::write(folder.path().join(MADE), "{").unwrap();
        assert!(Made::read(folder.path()).is_err());
    }

    /// Interrupted anywhere, the same events follow, with the same ids.
    #[test]
    fn life_goes_on_where_it_was() {
        let settings = made().settings().unwrap();
        let end = Simulation::new(&settings).world().end();
        let all = |newest: i64, days: usize| {
            let mut life = Days::after(&settings, newest);
            let mut events = Vec::new();
            for _ in 0..days {
                events.extend(life.next().unwrap().1);
            }
            let key = |(time, event): (i64, EventFields)| (time, event.event_id, event.event_type);
            events.into_iter().map(key).collect::<Vec<_>>()
        };
        let whole = all(end - 5, 6);
        assert!(whole.len() > 50 && whole.iter().all(|event| event.0 >= end));
        let newest = whole[whole.len() / 2].0;
        let first = whole.iter().position(|event| event.0 == newest).unwrap();
        let lived = (newest - end) / DAY;
        assert!(lived > 0);
        assert_eq!(all(newest, 6 - lived as usize), whole[first..]);
    }

    #[test]
    fn offers_have_budgets_in_pieces_and_in_money_and_caps() {
        let all = OfferKind::ALL.map(|kind| limits(kind, growth(&made(), 0)));
        let many = |is: fn(&TermLimits) -> bool| all.iter().filter(|limits| is(limits)).count();
        assert_eq!(many(|limits| limits.budget_units.is_some()), 3);
        assert_eq!(many(|limits| limits.budget_amount.is_some()), 2);
        assert_eq!(many(|limits| limits.cap_per_customer.is_some()), 2);
        assert_eq!(many(|limits| limits.cap_shown.is_some()), 1);
        assert_eq!(many(|limits| *limits == TermLimits::default()), 4);
        // each 28 days there is more of what has a budget, and caps stay
        let later = OfferKind::ALL.map(|kind| limits(kind, growth(&made(), 4)));
        for (first, later) in all.iter().zip(&later) {
            assert_eq!(
                later.budget_units,
                first.budget_units.map(|units| 2 * units)
            );
            assert_eq!(
                later.budget_amount,
                first.budget_amount.map(|amount| 2.0 * amount)
            );
            assert_eq!(later.cap_per_customer, first.cap_per_customer);
        }
        let large = Made {
            customers: 20_000,
            ..made()
        };
        assert_eq!(
            limits(OfferKind::Gift, growth(&large, 0)).budget_units,
            Some(900)
        );
    }

    #[test]
    fn what_fails_is_tried_again_and_said() {
        let (told, said) = (AtomicBool::new(false), std::cell::RefCell::new(Vec::new()));
        let say = |text: &str| said.borrow_mut().push(text.to_owned());
        let pauses = [1, 4].map(Duration::from_millis);
        let mut tried = 0;
        let answer = persists(&told, pauses, say, || {
            tried += 1;
            ensure!(tried > 4, "the wire broke");
            Ok(tried)
        });
        assert_eq!(answer, Some(5));
        let waited = |seconds| {
            format!(
                "the simulated shop stands still and tries again in {seconds} s: the wire broke"
            )
        };
        let wanted = [
            waited("0.002"),
            waited("0.004"),
            waited("0.004"),
            "the simulated shop lives on".to_owned(),
        ];
        assert_eq!(said.take(), wanted);
        told.store(true, Ordering::Release);
        let none = persists(&told, pauses, say, || -> anyhow::Result<()> {
            anyhow::bail!("the wire broke")
        });
        assert_eq!((none, said.take()), (None, Vec::new()));
    }

    #[test]
    fn a_life_can_be_stopped_and_a_broken_wire_is_no_panic() {
        let nobody = "127.0.0.1:1".to_owned();
        let life = Life::begin(made(), 0, nobody, Duration::from_secs(60)).unwrap();
        life.end();
    }
}
