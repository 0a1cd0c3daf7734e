//! A person: hidden traits drawn once, and what has happened to them so far.

use super::World;
use super::calendar::DAY;
use super::catalog::{Role, Style};
use super::dice::{Dice, Purpose, key, on_day};
use super::families::{BRANDS, COUNT, FAMILIES, Use};
use super::offer::{HeldOffer, OfferKind};
use super::persona::{ENTRIES, Habits, Persona};
use super::replenishment::{Refill, Supply};

/// Visitors are numbered from here, customers from zero.
pub(crate) const FIRST_VISITOR: u32 = 1 << 31;

/// How strongly tastes keep to the persona's: the sum of the Dirichlet's parameters.
const TASTE_CONCENTRATION: f64 = 14.0;
/// Share of people who are partly of another persona, and how much of it.
const BLENDED: f64 = 0.12;
const BLEND: f64 = 0.35;
/// Share of customers who had their account before the start.
const OF_OLD: f64 = 0.55;
/// Mean days between the first visit as a guest and the account.
const GUEST_DAYS: f64 = 9.0;
/// Seconds after the start in which nobody makes an account yet, so that a visit can precede it.
const FIRST_ACCOUNT: i64 = 3_600;
/// Mean days in which a visitor without account comes back.
const VISITOR_DAYS: f64 = 6.0;
/// Share of people with a second device.
const TWO_DEVICES: f64 = 0.3;

const COUNTRIES: [(&str, f64); 8] = [
    ("DE", 0.34),
    ("FR", 0.16),
    ("NL", 0.11),
    ("AT", 0.10),
    ("ES", 0.09),
    ("IT", 0.08),
    ("PL", 0.07),
    ("CH", 0.05),
];

/// What the shop can see of a customer besides events.
#[derive(Debug, Clone)]
pub struct Profile {
    /// ISO 3166 code.
    pub country: &'static str,
    /// Index of the way in (see [`super::visit::entry_name`]).
    pub(crate) channel: usize,
    /// Agreed to newsletters.
    pub newsletter: bool,
}

impl Profile {
    /// The way into the shop by which the customer first came.
    #[must_use]
    pub fn signup_channel(&self) -> &'static str {
        super::visit::entry_name(self.channel)
    }
}

/// Something a person has in mind for a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand {
    pub(crate) time: i64,
    /// The main product that an accessory is looked for.
    pub(crate) main: u32,
}

/// What a person remembers that decides the hidden stage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) looked_at: Option<i64>,
    pub(crate) cart_left_at: Option<i64>,
    pub(crate) delivery_until: Option<i64>,
    pub(crate) recommended_at: Option<i64>,
    /// Product of the cart that was left.
    pub(crate) cart: Option<u32>,
}

/// A customer or visitor.
#[derive(Debug, Clone)]
pub struct Person {
    pub(crate) number: u32,
    pub(crate) dice: Dice,
    /// Hidden: the persona.
    pub persona: Persona,
    /// Hidden: the persona that is mixed in, if any.
    pub blended_with: Option<Persona>,
    /// Hidden: 0 does not mind the price, 1 minds it most.
    pub sensitivity: f64,
    /// Hidden: preferred price position, −1 to 1.
    pub price_level: f64,
    /// Hidden: liking of what is new.
    pub novelty: f64,
    /// Hidden: spontaneous visits on a usual day.
    pub visits_per_day: f64,
    /// Hidden: part of the response to every offer; annoyed people have less than nothing.
    pub annoyance: f64,
    pub(crate) taste: [f64; COUNT],
    pub(crate) brands: [f64; BRANDS.len()],
    pub(crate) style: Style,
    entries: [f64; ENTRIES],
    responses: [f64; 9],
    devices: [u64; 2],
    second_device: f64,
    /// What the shop can see.
    pub profile: Profile,
    /// When the account was made; `None` for visitors.
    pub signed_up_at: Option<i64>,
    /// Whether the visit that makes the account is over (or was before the start).
    pub(crate) account_made: bool,
    pub(crate) leaves_at: i64,
    /// Hidden: from −1 to 1.
    pub satisfaction: f64,
    pub(crate) next_visit: Option<i64>,
    pub(crate) next_mail: Option<i64>,
    pub(crate) errands: Vec<Errand>,
    pub(crate) moods: Vec<(i64, f64)>,
    /// Replenishable goods that the person has bought.
    pub(crate) supplies: Vec<Supply>,
    /// Every purchase of them, in the order of time, and when each is needed again.
    pub refills: Vec<Refill>,
    pub(crate) bought_family: [Option<u32>; COUNT],
    /// Main products bought in this simulation.
    pub(crate) owned: Vec<u32>,
    pub(crate) offer: Option<HeldOffer>,
    pub(crate) busy_until: i64,
    pub(crate) sessions: u32,
    /// Orders so far.
    pub orders: u32,
    pub(crate) memory: Memory,
    /// The pain points that ended a visit today, by their place.
    pub(crate) lost_to: Vec<usize>,
}

impl Person {
    /// A customer, who has an account before the end of the simulation.
    pub(crate) fn customer(world: &World, number: u32) -> Person {
        let mut person = Person::draw(world, number);
        let start = world.calendar.start();
        let life = person.persona.habits().life_days;
        if person.dice.chance(OF_OLD) {
            let ago = person.dice.between(1.0, 700.0);
            person.signed_up_at = Some(start - (ago * DAY as f64) as i64);
            person.account_made = true;
            person.leaves_at = start + person.days(life);
            person.stock(world);
            person.plan_visit(world, 0);
        } else {
            let day = person.dice.below(world.calendar.length() as usize) as u32;
            let at = person.time_on(world, day).max(start + FIRST_ACCOUNT);
            let first = person.guest_day(day);
            let first = person.time_on(world, first);
            person.signed_up_at = Some(at);
            person.next_visit = (first < at - FIRST_ACCOUNT).then_some(first);
            person.leaves_at = at + DAY + person.days(life);
        }
        if person.profile.newsletter {
            // Not on the day of the account itself: the mail leaves in the morning.
            let from = person
                .signed_up_at
                .map_or(0, |at| world.calendar.day_of(at) + 1);
            person.plan_mail(world, u32::try_from(from).unwrap_or(0));
        }
        person
    }

    /// A visitor, who never makes an account and arrives on this day.
    pub(crate) fn visitor(world: &World, visitor: u32, day: u32) -> Person {
        let mut person = Person::draw(world, FIRST_VISITOR + visitor);
        let at = person.time_on(world, day);
        person.next_visit = Some(at);
        person.leaves_at = at + 1 + person.days(VISITOR_DAYS);
        person
    }

    fn draw(world: &World, number: u32) -> Person {
        let seed = world.settings.seed();
        let mut dice = Dice::new(seed, Purpose::Life, u64::from(number));
        let shares = Persona::ALL.iter().map(|persona| persona.habits().share);
        let persona = Persona::ALL[dice.pick(shares).expect("shares are positive")];
        let blended_with = dice.chance(BLENDED).then(|| {
            let other = 1 + dice.below(2);
            Persona::ALL[(persona.place() + other) % 3]
        });
        let habits = persona.habits();
        let mixed = |of: fn(&Habits) -> f64| match blended_with {
            Some(other) => (1.0 - BLEND) * of(habits) + BLEND * of(other.habits()),
            None => of(habits),
        };
        let sensitivity = dice.beta(habits.sensitivity.0, habits.sensitivity.1);
        let price_level = mixed(|habits| habits.price_level) + 0.3 * dice.normal();
        let annoyance = if dice.chance(0.3) {
            dice.between(0.2, 0.8)
        } else {
            0.0
        };
        let mut entries = habits.entries;
        entries
            .iter_mut()
            .for_each(|entry| *entry *= dice.log_normal(0.5));
        let responses = draw_responses(&mut dice, habits, sensitivity, annoyance);
        let device = |part| key(seed, Purpose::Device, u64::from(number), part);
        Person {
            number,
            persona,
            blended_with,
            sensitivity,
            price_level,
            novelty: mixed(|habits| habits.novelty) + 0.3 * dice.normal(),
            visits_per_day: mixed(|habits| habits.visits_per_day) * dice.log_normal(0.4),
            annoyance,
            taste: draw_taste(&mut dice, persona, blended_with),
            brands: std::array::from_fn(|brand| {
                let near = 1.0 - (BRANDS[brand].1 - price_level).abs();
                0.3 * near + 0.6 * dice.normal()
            }),
            style: std::array::from_fn(|_| dice.normal()),
            entries,
            responses,
            devices: [device(0), device(1)],
            second_device: if dice.chance(TWO_DEVICES) {
                dice.between(0.1, 0.5)
            } else {
                0.0
            },
            profile: draw_profile(&mut dice, habits, &entries),
            signed_up_at: None,
            account_made: false,
            leaves_at: i64::MAX,
            satisfaction: (0.15 + 0.2 * dice.normal()).clamp(-1.0, 1.0),
            next_visit: None,
            next_mail: None,
            errands: Vec::new(),
            moods: Vec::new(),
            supplies: Vec::new(),
            refills: Vec::new(),
            bought_family: [None; COUNT],
            owned: Vec::new(),
            offer: None,
            busy_until: i64::MIN,
            sessions: 0,
            orders: 0,
            memory: Memory::default(),
            lost_to: Vec::new(),
            dice,
        }
    }

    /// Customers of old already use some goods, somewhere in their rhythm.
    fn stock(&mut self, world: &World) {
        let count = self.dice.poisson(self.persona.habits().supplies).min(6);
        for _ in 0..count {
            let liking = (0..COUNT).map(|family| match FAMILIES[family].used_as {
                Use::Replenishable { .. } => self.taste[family],
                _ => 0.0,
            });
            let Some(family) = self.dice.pick(liking) else {
                return;
            };
            let shelf = world.catalog.family(family);
            let sold = |&&number: &&u32| world.catalog.product(number).is_sold(-1);
            let weights = shelf.iter().map(|number| {
                f64::from(u8::from(sold(&number))) * world.catalog.product(*number).popularity
            });
            let Some(place) = self.dice.pick(weights) else {
                continue;
            };
            let number = shelf[place];
            if self.supplies.iter().any(|supply| supply.product == number) {
                continue;
            }
            if let Role::Replenishable { rhythm_days } = world.catalog.product(number).role {
                let quantity = self.units(true);
                let supply = Supply::in_use(self, world, number, rhythm_days, quantity);
                self.supplies.push(supply);
            }
        }
    }

    /// The day of the first visit as a guest, some days before the account but not before the
    /// start.
    fn guest_day(&mut self, account: u32) -> u32 {
        let ago = self.dice.exponential(GUEST_DAYS);
        if ago < f64::from(account) {
            account - ago as u32
        } else {
            self.dice.below(account as usize + 1) as u32
        }
    }

    /// A duration drawn from an exponential distribution, in seconds.
    fn days(&mut self, mean: f64) -> i64 {
        (self.dice.exponential(mean) * DAY as f64) as i64
    }

    /// Whether this is a customer, as opposed to a visitor without account.
    #[must_use]
    pub fn is_customer(&self) -> bool {
        self.number < FIRST_VISITOR
    }

    /// Whether the person has an account at this moment.
    pub(crate) fn has_account(&self, time: i64) -> bool {
        self.signed_up_at.is_some_and(|at| at <= time)
    }

    /// When the person left for good, if that was before `time`.
    #[must_use]
    pub fn left_at(&self, time: i64) -> Option<i64> {
        (self.leaves_at <= time).then_some(self.leaves_at)
    }

    /// Log hazard ratio of visits while an offer works.
    #[must_use]
    pub fn response(&self, kind: OfferKind) -> f64 {
        self.responses[kind.place()]
    }

    /// Share of store visits among visits.
    pub(crate) fn store_share(&self) -> f64 {
        self.entries[super::visit::STORE] / self.entries.iter().sum::<f64>()
    }

    /// Draws a way into the shop.
    pub(crate) fn entry(&mut self) -> usize {
        let entries = self.entries;
        self.dice.pick(entries.iter().copied()).unwrap_or(0)
    }

    /// Draws the browser or device of a visit.
    pub(crate) fn device(&mut self) -> u64 {
        self.devices[usize::from(self.dice.chance(self.second_device))]
    }

    /// The device of what happens without a visit.
    pub(crate) fn first_device(&self) -> u64 {
        self.devices[0]
    }

    /// Units of one line.
    pub(crate) fn units(&mut self, replenishable: bool) -> u32 {
        let (durable, used_up) = self.persona.habits().further_units;
        let mean = if replenishable { used_up } else { durable };
        // Geometric with this mean: an exponential rounded down.
        let further = self.dice.exponential(1.0) / (1.0 + 1.0 / mean).ln();
        1 + (further as u32).min(99)
    }

    /// A moment of a day at the person's usual hours.
    pub(crate) fn time_on(&mut self, world: &World, day: u32) -> i64 {
        let hours = self.persona.habits().hours.iter().copied();
        let hour = self.dice.pick(hours).expect("every persona has hours");
        let second = self.dice.below(3_600);
        world.calendar.midnight(day) + (hour * 3_600 + second) as i64
    }

    /// Expected spontaneous visits on a day, and the offer's factor with it.
    pub(crate) fn visit_rate(&self, world: &World, day: u32) -> f64 {
        let offer = self.offer.filter(|offer| offer.works_on(day));
        let factor = offer.map_or(1.0, |offer| self.response(offer.kind).exp());
        self.plain_visit_rate(world, day) * factor
    }

    /// Expected spontaneous visits on a day without any offer.
    pub(crate) fn plain_visit_rate(&self, world: &World, day: u32) -> f64 {
        let about = world.calendar.day(day);
        let weekday = self.persona.habits().weekdays[about.weekday];
        let guest = self
            .signed_up_at
            .is_none_or(|at| at > world.calendar.midnight(day));
        let eager = if guest { 2.0 } else { 1.0 };
        let mood = (0.2 * self.satisfaction).exp();
        self.visits_per_day * about.traffic * weekday * eager * mood
    }

    /// Draws the next spontaneous visit, not before this day: at most one a day, on each day with
    /// probability `1 − exp(−rate)`.
    pub(crate) fn plan_visit(&mut self, world: &World, from: u32) {
        if world.paired {
            self.next_visit = self.paired_visit(world, from);
            return;
        }
        let mut left = self.dice.exponential(1.0);
        for day in from..world.calendar.horizon() {
            left -= self.visit_rate(world, day);
            if left < 0.0 {
                self.next_visit = Some(self.time_on(world, day));
                return;
            }
        }
        self.next_visit = None;
    }

    /// The same, with chance that belongs to the day: whoever would visit on it at this rate would at any higher one.
    fn paired_visit(&mut self, world: &World, from: u32) -> Option<i64> {
        for day in from..world.calendar.horizon() {
            let index = on_day(self.number, day);
            let mut dice = Dice::new(world.settings.seed(), Purpose::Visit, index);
            if dice.chance(1.0 - (-self.visit_rate(world, day)).exp()) {
                std::mem::swap(&mut self.dice, &mut dice);
                let time = self.time_on(world, day);
                self.dice = dice;
                return Some(time);
            }
        }
        None
    }

    /// The newsletter leaves every Tuesday at six.
    pub(crate) fn plan_mail(&mut self, world: &World, from: u32) {
        let tuesday = (from..world.calendar.horizon())
            .find(|&day| world.calendar.day(day).weekday == 1)
            .map(|day| world.calendar.midnight(day) + 6 * 3_600);
        self.next_mail = tuesday;
    }

    /// Lets pass what was to change the mood by now.
    pub(crate) fn settle(&mut self, time: i64) {
        let mut change = 0.0;
        self.moods.retain(|&(at, by)| {
            let due = at <= time;
            change += if due { by } else { 0.0 };
            !due
        });
        self.satisfaction = (self.satisfaction + change).clamp(-1.0, 1.0);
    }

    /// The active supply of a product.
    pub(crate) fn uses(&self, product: u32) -> bool {
        self.supplies
            .iter()
            .any(|supply| supply.product == product && supply.next.is_some())
    }
}

/// Log hazard ratio of each offer kind: the persona's, price sensitivity, annoyance, and chance.
fn draw_responses(dice: &mut Dice, habits: &Habits, sensitivity: f64, annoyance: f64) -> [f64; 9] {
    OfferKind::ALL.map(|kind| {
        let own = 0.25 * dice.normal() - annoyance;
        let pull = kind.price_pull() * 2.0 * (sensitivity - 0.5);
        (habits.offers[kind.place()] + pull + own).clamp(-1.5, 1.5)
    })
}

fn draw_profile(dice: &mut Dice, habits: &Habits, entries: &[f64; ENTRIES]) -> Profile {
    let country = dice
        .pick(COUNTRIES.iter().map(|country| country.1))
        .unwrap_or(0);
    Profile {
        country: COUNTRIES[country].0,
        channel: dice.pick(entries.iter().copied()).unwrap_or(0),
        newsletter: dice.chance(habits.newsletter.0),
    }
}

/// Dirichlet around the persona's liking (of both personas for blended people).
fn draw_taste(dice: &mut Dice, persona: Persona, other: Option<Persona>) -> [f64; COUNT] {
    let liking = |persona: Persona, family: usize| {
        let total: f64 = FAMILIES
            .iter()
            .map(|shelf| shelf.liking[persona.place()])
            .sum();
        FAMILIES[family].liking[persona.place()] / total
    };
    let mut taste: [f64; COUNT] = std::array::from_fn(|family| {
        let own = liking(persona, family);
        let mean = match other {
            Some(other) => (1.0 - BLEND) * own + BLEND * liking(other, family),
            None => own,
        };
        dice.gamma(TASTE_CONCENTRATION * mean)
    });
    let total: f64 = taste.iter().sum();
    taste
        .iter_mut()
        .for_each(|share| *share /= total.max(1e-12));
    taste
}
