//! From a filled cart to an order, or not: removal, steps at which people leave, offers redeemed.

use super::{Line, Visit, scale, with_line};
use crate::simulation::aftermath;
use crate::simulation::dice::{Purpose, key};
use crate::simulation::event::{Event, EventKind, Touchpoint};
use crate::simulation::friction::{Leaving, Step, leaves};
use crate::simulation::offer::{AMOUNT_OFF_CENTS, OfferKind, PERCENT_OFF};

impl Visit<'_> {
    pub(super) fn checkout(&mut self, mut lines: Vec<Line>) {
        if self.gave_up {
            return;
        }
        for line in &lines {
            self.put(line);
        }
        if lines.len() > 1
            && self.person.dice.chance(0.1)
            && let Some(line) = lines.pop()
        {
            self.emit_line(EventKind::RemoveFromCart, &line);
        }
        if self.person.dice.chance(0.6) {
            self.emit(EventKind::ViewCart);
        }
        for step in Step::ALL {
            if let Some(how) = leaves(self.world, self.person, step, self.shelf.day) {
                self.leave(&lines, how);
                return;
            }
            match step {
                Step::Cart => {
                    self.log_in();
                    self.emit(EventKind::BeginCheckout);
                }
                Step::Checkout => self.emit(EventKind::AddPaymentInfo),
                Step::Payment => {}
            }
        }
        self.pay(lines);
    }

    fn leave(&mut self, lines: &[Line], how: Leaving) {
        self.person.memory.cart_left_at = Some(self.now);
        self.person.memory.cart = lines.first().map(|line| line.product);
        if how == Leaving::Calm && self.person.dice.chance(0.2) {
            for line in lines {
                self.emit_line(EventKind::RemoveFromCart, line);
            }
        }
    }

    pub(super) fn pay(&mut self, mut lines: Vec<Line>) {
        let orders = u64::from(self.person.orders);
        let number = u64::from(self.person.number);
        let order = key(self.world.settings.seed(), Purpose::Order, number, orders);
        self.person.orders += 1;
        self.now += self.person.dice.between(20.0, 120.0) as i64;
        self.redeem(order, &mut lines);
        for line in &lines {
            let event = Event {
                order: Some(order),
                ..self.event(EventKind::Purchase)
            };
            self.out.push(with_line(event, line));
        }
        self.person.memory.cart = None;
        self.person.memory.cart_left_at = None;
        let store = self.place == Touchpoint::Store;
        let (time, day) = (self.now, self.shelf.day);
        aftermath::follow(
            self.world,
            self.person,
            self.out,
            order,
            &lines,
            (time, day, store),
        );
        self.now += 5;
    }

    fn redeem(&mut self, order: u64, lines: &mut [Line]) {
        let day = self.shelf.day;
        let known = self.person.has_account(self.now);
        let held = self
            .person
            .offer
            .filter(|offer| offer.works_on(day) && !offer.redeemed);
        let Some(held) = held.filter(|_| known) else {
            return;
        };
        if !self.person.dice.chance(held.kind.redeemed()) {
            return;
        }
        if let Some(offer) = self.person.offer.as_mut() {
            offer.redeemed = true;
        }
        apply(held.kind, lines);
        let event = self.event(EventKind::OfferRedeemed);
        self.out.push(Event {
            order: Some(order),
            offer: Some(held.kind),
            ..event
        });
    }
}

/// What redeeming an offer does to the lines of an order: less is paid, or more is given.
pub(crate) fn apply(kind: OfferKind, lines: &mut [Line]) {
    match kind {
        OfferKind::Percentage => {
            for line in lines.iter_mut() {
                line.price_cents = scale(line.price_cents, 1.0 - PERCENT_OFF);
            }
        }
        OfferKind::Amount => {
            if let Some(line) = lines.first_mut() {
                let off = AMOUNT_OFF_CENTS / line.quantity.max(1);
                line.price_cents = line.price_cents.saturating_sub(off).max(1);
            }
        }
        OfferKind::BuyXGetY => {
            if let Some(line) = lines.first_mut() {
                let paid = f64::from(line.quantity) / f64::from(line.quantity + 1);
                line.price_cents = scale(line.price_cents, paid);
                line.quantity += 1;
            }
        }
        _ => {}
    }
}
