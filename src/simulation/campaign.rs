//! Life after the history: the same people go on living, and every Tuesday somebody else decides which offer each
//! reader of the newsletter is sent.

use super::aftermath::about;
use super::calendar::DAY;
use super::catalog::Shelf;
use super::dice::{Dice, Purpose, on_day};
use super::event::{Event, EventKind, Touchpoint};
use super::journey;
use super::offer::{HeldOffer, OfferKind, SENT_PER_WEEK};
use super::person::FIRST_VISITOR;
use super::prospect::Prospect;
use super::{Simulation, World};

/// The weekday on which mails leave: Tuesday.
const MAIL_WEEKDAY: usize = 1;
/// When they leave, in seconds after midnight.
pub const MAIL_TIME: i64 = 6 * 3_600;
/// The day of the week of mails whose prices stand for the week.
const MIDDLE: u32 = 4;

/// A shop that goes on after its history. A clone is the same shop with the same people and the same chance: what
/// differs between two of them is due to what is sent.
///
/// Nobody new comes after the history: all accounts and visitors are of it. What somebody does on a day is drawn from
/// the seed, the person and the day: whoever comes without an offer comes with one that draws, too, and fills the
/// same cart. So two lives that were led apart by an offer come together again.
#[derive(Debug, Clone)]
pub struct Campaign {
    simulation: Simulation,
    first: u32,
    days: u32,
    readers: Vec<u32>,
}

impl Campaign {
    /// Goes on for `days` days behind the history, what is left of which is lived first.
    #[must_use]
    pub fn after(mut simulation: Simulation, days: u32) -> Campaign {
        while !simulation.is_over() {
            simulation.next_day();
        }
        let first = simulation.today();
        simulation.go_on(days);
        simulation.settle();
        let customers = (0u32..).zip(simulation.customers());
        let readers = customers.filter(|(_, person)| person.profile.newsletter);
        Campaign {
            readers: readers.map(|(number, _)| number).collect(),
            first,
            days,
            simulation,
        }
    }

    /// The shop.
    #[must_use]
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The customers who agreed to mails, by number.
    #[must_use]
    pub fn readers(&self) -> &[u32] {
        &self.readers
    }

    /// Days lived since the history.
    #[must_use]
    pub fn day(&self) -> u32 {
        self.simulation.today() - self.first
    }

    /// All days that are lived after the history.
    #[must_use]
    pub fn days(&self) -> u32 {
        self.days
    }

    /// Whether all of them are over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.day() >= self.days
    }

    /// Whether mails leave today.
    #[must_use]
    pub fn is_mail_day(&self) -> bool {
        let world = self.simulation.world();
        world.calendar.day(self.simulation.today()).weekday == MAIL_WEEKDAY
    }

    /// When the mails of today leave, in seconds since the Unix epoch.
    #[must_use]
    pub fn mail_time(&self) -> i64 {
        let world = self.simulation.world();
        world.calendar.midnight(self.simulation.today()) + MAIL_TIME
    }

    /// What is to be expected of each reader in the week after a mail of today.
    #[must_use]
    pub fn prospects(&self) -> Vec<Prospect> {
        let (world, today) = (self.simulation.world(), self.simulation.today());
        let shelf = Shelf::new(&world.catalog, &world.calendar, today + MIDDLE);
        let people = self.readers.iter();
        let people = people.map(|&number| &self.simulation.customers()[number as usize]);
        people
            .map(|person| Prospect::of(world, &shelf, person, today))
            .collect()
    }

    /// Lives a day: its events in the order of time. On a day of mails `sent` says what each of [`Campaign::readers`]
    /// is sent; nobody is sent anything where it is too short. An offer works from tomorrow on, for as long as
    /// always.
    pub fn live(&mut self, sent: &[Option<OfferKind>]) -> Vec<Event> {
        let mails = self.is_mail_day();
        let (today, mail_time) = (self.simulation.today(), self.mail_time());
        if mails {
            for (&number, kind) in self.readers.iter().zip(sent) {
                if let Some(kind) = *kind {
                    self.simulation.send(number, kind, mail_time);
                }
            }
        }
        let events = self.simulation.next_day().unwrap_or_default();
        if mails {
            let sent = sent.iter().copied().chain(std::iter::repeat(None));
            for (&number, kind) in self.readers.iter().zip(sent) {
                self.simulation.begin_week(number, kind, today);
            }
            self.simulation.make_agenda();
        }
        self.simulation.settle();
        events
    }

    /// The randomised trial of the history, gone on with: a random kind for a random tenth.
    #[must_use]
    pub fn trial(&self) -> Vec<Option<OfferKind>> {
        let draw = |&number: &u32| {
            let index = on_day(number, self.day());
            let seed = self.simulation.world().settings.seed();
            let mut dice = Dice::new(seed, Purpose::Trial, index);
            let is_sent = dice.chance(SENT_PER_WEEK);
            is_sent.then(|| OfferKind::ALL[dice.below(OfferKind::ALL.len())])
        };
        self.readers.iter().map(draw).collect()
    }
}

impl Simulation {
    /// Makes room for more days, ends the randomised trial, and plans again what lay beyond the last day that was
    /// known.
    fn go_on(&mut self, days: u32) {
        let today = self.today;
        let World {
            campaigns,
            paired,
            calendar,
            ..
        } = &mut self.world;
        *campaigns = false;
        *paired = true;
        calendar.extend(days);
        let room = (calendar.horizon() - today) as usize;
        self.coming.resize_with(room, Vec::new);
        for person in &mut self.customers {
            journey::redraw(&self.world, person, today);
        }
        for person in self.visitors.iter_mut().flatten() {
            journey::redraw(&self.world, person, today);
        }
        self.make_agenda();
    }

    /// Notes for everybody when they do something next.
    fn make_agenda(&mut self) {
        let room = (self.world.calendar.horizon() - self.today) as usize;
        self.agenda.clear();
        self.agenda.resize_with(room, Vec::new);
        for number in 0..self.world.settings.customers() {
            self.note(number, self.today);
        }
        for visitor in 0..self.world.settings.visitors() {
            self.note(FIRST_VISITOR + visitor, self.today);
        }
    }

    /// What the mail with an offer leaves in the log: that it was sent, and of those it annoys, some decline.
    fn send(&mut self, number: u32, kind: OfferKind, time: i64) {
        let Some(person) = self.customers.get(number as usize) else {
            return;
        };
        let offer = Some(kind);
        let sent = about(person, time, EventKind::OfferSent, Touchpoint::Email);
        self.out.push(Event { offer, ..sent });
        let here = person.left_at(time).is_none();
        if here && person.response(kind) < journey::ANNOYING {
            let index = on_day(number, self.today);
            let seed = self.world.settings.seed();
            let mut dice = Dice::new(seed, Purpose::Decline, index);
            if dice.chance(journey::DECLINED) {
                let later = (dice.exponential(journey::DECLINED_DAYS) * DAY as f64) as i64;
                let at = time + 60 + later;
                let event = about(person, at, EventKind::OfferDeclined, Touchpoint::Email);
                self.out.push(Event { offer, ..event });
            }
        }
        self.hand_out(self.today);
    }

    /// Begins a customer's week after the mail of `mail_day`, which has been lived: with an offer or with none.
    fn begin_week(&mut self, number: u32, offer: Option<OfferKind>, mail_day: u32) {
        let Some(person) = self.customers.get_mut(number as usize) else {
            return;
        };
        person.offer = offer.map(|kind| HeldOffer::sent_on(kind, mail_day));
        journey::redraw(&self.world, person, mail_day + 1);
    }
}
