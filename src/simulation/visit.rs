//! One visit to the shop: how somebody comes, what they look at, and whether they buy.

mod checkout;

pub(crate) use self::checkout::apply;

use super::World;
use super::catalog::{Role, Shelf};
use super::dice::{Purpose, key};
use super::event::{Event, EventKind, Touchpoint};
use super::friction::{cart_probability, gives_up};
use super::person::Person;
use super::taste::{Choices, choose_family, consider, draw};

/// Ways into the shop: what happens first, and where.
const ENTRANCES: [(EventKind, Touchpoint); super::persona::ENTRIES] = [
    (EventKind::AdClick, Touchpoint::SearchAd),
    (EventKind::AdClick, Touchpoint::SocialAd),
    (EventKind::PageView, Touchpoint::Search),
    (EventKind::PageView, Touchpoint::Site),
    (EventKind::PageView, Touchpoint::App),
    (EventKind::EmailClick, Touchpoint::Email),
    (EventKind::Referral, Touchpoint::Referral),
    (EventKind::StoreVisit, Touchpoint::Store),
    (EventKind::PageView, Touchpoint::SalesTeam),
];
const ORGANIC: usize = 2;
const EMAIL: usize = 5;
const REFERRAL: usize = 6;
/// Place of the store among the ways into the shop.
pub(crate) const STORE: usize = 7;

/// Probability that a known customer has to log in.
const LOGGED_OUT: f64 = 0.3;
/// Probability that somebody who looks for an accessory fills a cart.
pub(crate) const ACCESSORY_CART: f64 = 0.8;
/// Probability that the visit that makes an account fills a cart.
const SIGN_UP_CART: f64 = 0.5;
/// Probability that a due product is replaced by another of its family.
const SWITCHES: f64 = 0.06;
/// Further lines when something is due, compared with other baskets.
const FURTHER_WHEN_DUE: f64 = 0.35;
/// Units from which a line gets the bulk price, and its factor.
const BULK_UNITS: u32 = 10;
const BULK_FACTOR: f64 = 0.95;

/// The name of a way into the shop, as the signup channel of a customer.
pub(crate) fn entry_name(entry: usize) -> &'static str {
    ENTRANCES[entry].1.name()
}

/// Why somebody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// No reason in particular.
    Wander,
    /// To make an account.
    SignUp,
    /// To find what goes with a main product.
    Accessory(u32),
    /// To buy a product that is used up.
    Restock(u32, u32),
}

/// A line of a basket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) product: u32,
    pub(crate) quantity: u32,
    pub(crate) price_cents: u32,
}

/// A visit that is going on.
pub(crate) struct Visit<'a> {
    world: &'a World,
    shelf: &'a Shelf,
    person: &'a mut Person,
    out: &'a mut Vec<Event>,
    choices: &'a mut Choices,
    now: i64,
    session: u64,
    device: u64,
    place: Touchpoint,
    logged_in: bool,
    /// Product pages matter: whoever restocks knows what they want, and what is imagined is never left.
    reads_pages: bool,
    /// A product page was the last straw.
    gave_up: bool,
}

impl<'a> Visit<'a> {
    /// Somebody comes at this time.
    pub(crate) fn new(
        world: &'a World,
        shelf: &'a Shelf,
        person: &'a mut Person,
        out: &'a mut Vec<Event>,
        choices: &'a mut Choices,
        time: i64,
    ) -> Visit<'a> {
        let (number, sessions) = (u64::from(person.number), u64::from(person.sessions));
        let session = key(world.settings.seed(), Purpose::Session, number, sessions);
        person.sessions += 1;
        let device = person.device();
        let place = Touchpoint::Site;
        let now = time;
        let logged_in = true;
        Visit {
            world,
            shelf,
            person,
            out,
            choices,
            now,
            session,
            device,
            place,
            logged_in,
            reads_pages: false,
            gave_up: false,
        }
    }

    /// From the first click to the last.
    pub(crate) fn run(mut self, goal: Goal) {
        self.reads_pages = !matches!(goal, Goal::Restock(..));
        let known = self.person.has_account(self.now);
        let entry = self.entry(goal, known);
        if entry == STORE {
            self.in_store();
        } else {
            self.arrive(entry, known);
            if goal == Goal::SignUp {
                self.sign_up();
            }
            match goal {
                Goal::Wander => self.wander(cart_probability(self.person, known), known),
                Goal::SignUp => self.wander(SIGN_UP_CART, true),
                Goal::Accessory(main) => self.find_accessory(main),
                Goal::Restock(product, quantity) => self.restock(product, quantity),
            }
        }
        self.person.busy_until = self.now;
    }

    fn entry(&mut self, goal: Goal, known: bool) -> usize {
        let day = self.shelf.day;
        let offered = self.person.offer.is_some_and(|offer| offer.works_on(day));
        match self.person.entry() {
            STORE if goal == Goal::Wander && known => STORE,
            _ if goal == Goal::Wander && offered && known && self.person.dice.chance(0.5) => EMAIL,
            EMAIL if !(known && self.person.profile.newsletter) => ORGANIC,
            // Friends are mentioned once, before the account.
            REFERRAL if known => ORGANIC,
            STORE => ORGANIC,
            entry => entry,
        }
    }

    fn arrive(&mut self, entry: usize, known: bool) {
        let (kind, touchpoint) = ENTRANCES[entry];
        let logged_out = self.person.dice.chance(LOGGED_OUT);
        self.logged_in = !known || entry == EMAIL || !logged_out;
        self.place = touchpoint;
        self.emit(kind);
        if !matches!(touchpoint, Touchpoint::App | Touchpoint::SalesTeam) {
            self.place = Touchpoint::Site;
        }
        if self.person.dice.chance(0.2) {
            self.emit(EventKind::PageView);
        }
    }

    /// The account is made at exactly the time that decides what is known about the person.
    fn sign_up(&mut self) {
        let Some(at) = self.person.signed_up_at else {
            return;
        };
        self.now = at;
        self.emit(EventKind::SignUp);
    }

    fn log_in(&mut self) {
        if !self.logged_in {
            self.logged_in = true;
            self.emit(EventKind::Login);
        }
    }

    fn in_store(&mut self) {
        self.place = Touchpoint::Store;
        self.emit(EventKind::StoreVisit);
        let buys = self.person.persona.habits().store_purchase;
        if self.person.dice.chance(buys) {
            self.now += self.person.dice.between(300.0, 1_500.0) as i64;
            let family = choose_family(self.shelf, self.person);
            let first = self.choose(family);
            let lines = self.fill(first);
            self.pay(lines);
        }
    }

    fn wander(&mut self, cart: f64, known: bool) {
        let fills = self.person.dice.chance(cart);
        let bounce = if known { 0.12 } else { 0.35 };
        if !fills && self.person.dice.chance(bounce) {
            return;
        }
        if !fills && self.person.dice.chance(0.5) {
            self.log_in();
        }
        let remembered = self
            .person
            .memory
            .cart
            .filter(|_| self.person.dice.chance(0.3));
        let first = match remembered.filter(|&product| self.is_sold(product)) {
            Some(product) => {
                self.look(product);
                product
            }
            None => self.browse(),
        };
        if fills && !self.gave_up {
            let lines = self.fill(first);
            self.checkout(lines);
        }
    }

    /// Fills the choices with what goes with a main product.
    fn fitting(&mut self, main: u32) {
        let fitting = self.world.catalog.complements(main);
        self.choices.clear();
        for (product, fit) in fitting {
            let utility = super::taste::utility(self.world, self.shelf, self.person, product);
            if let Some(utility) = utility.filter(|_| !self.person.uses(product)) {
                self.choices.push((product, fit * utility.exp()));
            }
        }
    }

    /// The lines that somebody with this goal might put into a cart: nothing comes of it.
    pub(crate) fn imagine(&mut self, goal: Goal) -> Vec<Line> {
        let lines = match goal {
            Goal::Wander | Goal::SignUp => {
                let first = self.browse();
                self.fill(first)
            }
            Goal::Accessory(main) => {
                self.fitting(main);
                let first = draw(self.person, self.choices);
                first.map(|first| self.line(first)).into_iter().collect()
            }
            Goal::Restock(product, quantity) => {
                let line = self.line(product);
                let mut lines = vec![Line { quantity, ..line }];
                self.add_more(&mut lines, FURTHER_WHEN_DUE);
                lines
            }
        };
        self.out.clear();
        lines
    }

    fn find_accessory(&mut self, main: u32) {
        self.emit(EventKind::Search);
        self.fitting(main);
        let Some(first) = draw(self.person, self.choices) else {
            return;
        };
        self.look(first);
        if !self.gave_up
            && self.person.dice.chance(0.5)
            && let Some(second) = draw(self.person, self.choices)
        {
            self.look(second);
        }
        if !self.gave_up && self.person.dice.chance(ACCESSORY_CART) {
            let line = self.line(first);
            self.checkout(vec![line]);
        }
    }

    fn restock(&mut self, product: u32, quantity: u32) {
        let mut bought = product;
        if self.person.dice.chance(SWITCHES) {
            let family = self.world.catalog.product(product).family;
            let other = self.choose(family);
            let alike = self.world.catalog.product(other).family == family;
            bought = if alike { other } else { product };
        }
        if bought != product {
            for supply in &mut self.person.supplies {
                if supply.product == product {
                    supply.next = None;
                }
            }
        }
        if self.person.dice.chance(0.6) {
            self.look(bought);
        }
        let mut line = self.line(bought);
        line.quantity = quantity;
        self.log_in();
        let mut lines = vec![line];
        self.add_more(&mut lines, FURTHER_WHEN_DUE);
        for line in &lines {
            self.put(line);
        }
        self.emit(EventKind::BeginCheckout);
        self.emit(EventKind::AddPaymentInfo);
        self.pay(lines);
    }

    /// Looks at products of one family; gives the one that is liked best.
    fn browse(&mut self) -> u32 {
        let family = choose_family(self.shelf, self.person);
        let searches = self.person.dice.chance(0.4);
        self.emit(if searches {
            EventKind::Search
        } else {
            EventKind::ViewItemList
        });
        consider(self.world, self.shelf, self.person, family, self.choices);
        let Some(mut best) = draw(self.person, self.choices) else {
            self.look(0);
            return 0;
        };
        if self.person.dice.chance(0.5) {
            self.emit_product(EventKind::SelectItem, best);
        }
        self.look(best);
        let mean = self.person.persona.habits().further_views;
        for _ in 0..self.person.dice.poisson(mean).min(12) {
            if self.gave_up {
                return best;
            }
            let Some(other) = draw(self.person, self.choices) else {
                break;
            };
            self.look(other);
            if self.utility(other) + self.person.dice.normal() > self.utility(best) {
                best = other;
            }
        }
        if !self.gave_up && self.person.dice.chance(0.05) {
            self.emit_product(EventKind::AddToWishlist, best);
        }
        best
    }

    /// The lines of a basket that begins with a product.
    fn fill(&mut self, first: u32) -> Vec<Line> {
        let mut lines = vec![self.line(first)];
        if matches!(self.world.catalog.product(first).role, Role::Main)
            && self.person.dice.chance(0.12)
        {
            let fitting = self.world.catalog.complements(first);
            let place = self.person.dice.pick(fitting.iter().map(|fit| fit.1));
            self.add(&mut lines, place.map(|place| fitting[place].0));
        }
        self.add_more(&mut lines, 1.0);
        lines
    }

    fn add_more(&mut self, lines: &mut Vec<Line>, factor: f64) {
        let further = factor * self.person.persona.habits().further_lines;
        for _ in 0..self.person.dice.poisson(further).min(8) {
            if self.gave_up {
                break;
            }
            let family = choose_family(self.shelf, self.person);
            let product = self.choose(family);
            self.add(lines, Some(product));
        }
    }

    fn add(&mut self, lines: &mut Vec<Line>, product: Option<u32>) {
        let new = |&product: &u32| lines.iter().all(|line| line.product != product);
        let Some(product) = product.filter(new).filter(|&product| self.is_sold(product)) else {
            return;
        };
        if self.place != Touchpoint::Store {
            self.look(product);
        }
        let line = self.line(product);
        lines.push(line);
    }

    fn choose(&mut self, family: usize) -> u32 {
        consider(self.world, self.shelf, self.person, family, self.choices);
        draw(self.person, self.choices).unwrap_or(0)
    }

    fn line(&mut self, product: u32) -> Line {
        let about = self.world.catalog.product(product);
        let quantity = self
            .person
            .units(matches!(about.role, Role::Replenishable { .. }));
        let reduction = self.shelf.item(product).reduction;
        let bulk = if quantity >= BULK_UNITS {
            BULK_FACTOR
        } else {
            1.0
        };
        let price_cents = scale(about.price_cents, (1.0 - reduction) * bulk);
        Line {
            product,
            quantity,
            price_cents,
        }
    }

    fn is_sold(&self, product: u32) -> bool {
        self.shelf.item(product).appeal.is_some() && !self.person.uses(product)
    }

    fn utility(&self, product: u32) -> f64 {
        let found = super::taste::utility(self.world, self.shelf, self.person, product);
        found.unwrap_or(f64::NEG_INFINITY)
    }

    fn look(&mut self, product: u32) {
        self.person.memory.looked_at = Some(self.now);
        self.emit_product(EventKind::ViewItem, product);
        if self.reads_pages && !self.gave_up {
            self.gave_up = gives_up(self.world, self.person, product, self.shelf.day);
        }
    }

    fn put(&mut self, line: &Line) {
        self.emit_line(EventKind::AddToCart, line);
    }

    fn emit(&mut self, kind: EventKind) {
        let mut event = self.event(kind);
        if kind == EventKind::Search {
            event.touchpoint = Touchpoint::Search;
        }
        self.out.push(event);
        self.pass();
    }

    fn emit_product(&mut self, kind: EventKind, product: u32) {
        let event = Event {
            product: Some(product),
            ..self.event(kind)
        };
        self.out.push(event);
        self.pass();
    }

    fn emit_line(&mut self, kind: EventKind, line: &Line) {
        let event = with_line(self.event(kind), line);
        self.out.push(event);
        self.pass();
    }

    /// The next click comes some seconds later.
    fn pass(&mut self) {
        self.now += 4 + (self.person.dice.exponential(35.0) as i64).min(600);
    }

    fn event(&self, kind: EventKind) -> Event {
        let known = self.logged_in && self.person.has_account(self.now);
        let offline = self.place == Touchpoint::Store;
        Event {
            time: self.now,
            person: self.person.number,
            customer: known.then_some(self.person.number),
            visitor: (!offline).then_some(self.device),
            kind,
            touchpoint: self.place,
            session: Some(self.session),
            order: None,
            product: None,
            quantity: 0,
            price_cents: None,
            offer: None,
            rating: None,
        }
    }
}

fn with_line(event: Event, line: &Line) -> Event {
    Event {
        product: Some(line.product),
        quantity: line.quantity,
        price_cents: Some(line.price_cents),
        ..event
    }
}

fn scale(cents: u32, factor: f64) -> u32 {
    (f64::from(cents) * factor).round().max(1.0) as u32
}
