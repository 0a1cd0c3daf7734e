//! What follows from an order: delivery, faults, returns, support, ratings, accessories, rhythms.

use super::World;
use super::calendar::DAY;
use super::catalog::Role;
use super::event::{Event, EventKind, Touchpoint};
use super::person::{Errand, Person};
use super::replenishment;
use super::visit::Line;

/// Probability of a late delivery, and how much more in the season before Christmas.
const LATE: f64 = 0.07;
const LATE_IN_SEASON: f64 = 0.10;
/// Probability that a defective unit is reported, and that it is then returned.
const REPORTED: f64 = 0.75;
const RETURNED: f64 = 0.75;
/// Probability that something sound is returned.
const REGRET: f64 = 0.025;
/// Probability that support answers slowly, and that a contact is rated.
const SLOW_SUPPORT: f64 = 0.3;
const CSAT_ANSWERED: f64 = 0.5;
/// Probability that an order leads to an NPS answer.
const NPS_ANSWERED: f64 = 0.06;
/// Probability to leave the shop for good after a late delivery, and after a defect.
const LEAVES_LATE: f64 = 0.03;
const LEAVES_DEFECT: f64 = 0.10;
/// Mean days until the accessory of a main product is looked for.
pub(crate) const ACCESSORY_DAYS: f64 = 5.0;

/// How an order went.
struct Delivery {
    at: i64,
    late: bool,
    order: u64,
}

/// Everything that follows from an order paid at a time, on a day, in the store or not.
pub(crate) fn follow(
    world: &World,
    person: &mut Person,
    out: &mut Vec<Event>,
    order: u64,
    lines: &[Line],
    (time, day, store): (i64, u32, bool),
) {
    remember(world, person, lines, time, day);
    let season = (world.calendar.day(day).traffic - 1.0).max(0.0);
    let late = !store && person.dice.chance(LATE + LATE_IN_SEASON * season);
    let days = match (store, late) {
        (true, _) => 0.05,
        (false, false) => person.dice.between(1.0, 3.5),
        (false, true) => person.dice.between(5.0, 11.0),
    };
    let delivery = Delivery {
        at: time + (days * DAY as f64) as i64,
        late,
        order,
    };
    if !store {
        let event = about(
            person,
            delivery.at,
            EventKind::OrderDelivered,
            Touchpoint::Site,
        );
        out.push(Event {
            order: Some(order),
            ..event
        });
        person.memory.delivery_until = Some(delivery.at);
    }
    if late {
        person.moods.push((delivery.at, -0.25));
        leave(person, delivery.at, LEAVES_LATE);
        if person.dice.chance(0.25) {
            let at = delivery.at - DAY;
            contact(person, out, order, None, at, true);
        }
    }
    for line in lines {
        experience(world, person, out, &delivery, line);
    }
    recommend(person, out, &delivery);
}

/// Rhythms begin, accessories come to mind, needs are met.
fn remember(world: &World, person: &mut Person, lines: &[Line], time: i64, day: u32) {
    for line in lines {
        let product = world.catalog.product(line.product);
        match product.role {
            Role::Replenishable { .. } => {
                replenishment::bought(person, world, line.product, line.quantity, time);
            }
            Role::Main => {
                person.bought_family[product.family] = Some(day);
                if !person.owned.contains(&line.product) {
                    person.owned.push(line.product);
                }
                let wants = person.persona.habits().accessory;
                if person.is_customer() && person.dice.chance(wants) {
                    let later = 1 + person.dice.exponential(ACCESSORY_DAYS) as u32;
                    let time = person.time_on(world, day + later);
                    person.errands.push(Errand {
                        time,
                        main: line.product,
                    });
                }
            }
            Role::Accessory { .. } => {}
        }
    }
}

/// How one product of the order turns out.
fn experience(
    world: &World,
    person: &mut Person,
    out: &mut Vec<Event>,
    delivery: &Delivery,
    line: &Line,
) {
    let product = world.catalog.product(line.product);
    let defective = person.dice.chance(product.defect_probability());
    let used = delivery.at + DAY / 2 + (person.dice.exponential(3.0) * DAY as f64) as i64;
    if defective {
        person.moods.push((used, -0.4));
        leave(person, used, LEAVES_DEFECT);
        if person.dice.chance(REPORTED) {
            contact(
                person,
                out,
                delivery.order,
                Some(line.product),
                used,
                delivery.late,
            );
            if person.dice.chance(RETURNED) {
                refund(person, out, delivery, line, used);
            }
        }
    } else {
        person.moods.push((used, 0.06 + 0.05 * product.quality));
        if person.dice.chance(REGRET) {
            refund(person, out, delivery, line, used);
        }
    }
    let moved = defective || delivery.late || product.quality > 1.0;
    let eager = if moved { 2.0 } else { 1.0 };
    if person.dice.chance(person.persona.habits().review * eager) {
        let opinion = 3.9 + 0.5 * product.quality
            - 1.2 * f64::from(u8::from(delivery.late))
            - 2.0 * f64::from(u8::from(defective))
            + 0.7 * person.dice.normal();
        let at = used + (person.dice.exponential(4.0) * DAY as f64) as i64;
        let event = about(person, at, EventKind::Review, Touchpoint::Reviews);
        let rating = Some(stars(opinion));
        let (order, product) = (Some(delivery.order), Some(line.product));
        out.push(Event {
            order,
            product,
            rating,
            ..event
        });
    }
}

fn refund(person: &mut Person, out: &mut Vec<Event>, delivery: &Delivery, line: &Line, used: i64) {
    let at = used + (person.dice.between(1.0, 6.0) * DAY as f64) as i64;
    let event = about(person, at, EventKind::Refund, Touchpoint::Support);
    out.push(Event {
        order: Some(delivery.order),
        product: Some(line.product),
        quantity: line.quantity,
        price_cents: Some(line.price_cents),
        ..event
    });
}

/// Support is asked, answers quickly or slowly, and may be rated.
fn contact(
    person: &mut Person,
    out: &mut Vec<Event>,
    order: u64,
    product: Option<u32>,
    at: i64,
    late: bool,
) {
    let event = about(person, at, EventKind::SupportContact, Touchpoint::Support);
    out.push(Event {
        order: Some(order),
        product,
        ..event
    });
    let slow = person.dice.chance(SLOW_SUPPORT);
    let days = if slow {
        person.dice.between(2.0, 5.0)
    } else {
        person.dice.between(0.05, 0.6)
    };
    let answered = at + (days * DAY as f64) as i64;
    person
        .moods
        .push((answered, if slow { -0.15 } else { 0.10 }));
    if person.dice.chance(CSAT_ANSWERED) {
        let opinion = 4.2 - 1.4 * f64::from(u8::from(slow)) - 0.6 * f64::from(u8::from(late))
            + 0.7 * person.dice.normal();
        let event = about(
            person,
            answered + 3_600,
            EventKind::CsatResponse,
            Touchpoint::Survey,
        );
        out.push(Event {
            order: Some(order),
            rating: Some(stars(opinion)),
            ..event
        });
    }
}

/// NPS, sharing and referral follow from the mood after the delivery.
fn recommend(person: &mut Person, out: &mut Vec<Event>, delivery: &Delivery) {
    let known = person.has_account(delivery.at);
    let at = delivery.at + (person.dice.between(3.0, 12.0) * DAY as f64) as i64;
    let coming: f64 = person
        .moods
        .iter()
        .filter(|mood| mood.0 <= at)
        .map(|mood| mood.1)
        .sum();
    let mood = (person.satisfaction + coming).clamp(-1.0, 1.0);
    if known && person.dice.chance(NPS_ANSWERED) {
        let score = (7.0 + 2.5 * mood + 1.3 * person.dice.normal())
            .round()
            .clamp(0.0, 10.0);
        let event = about(person, at, EventKind::NpsResponse, Touchpoint::Survey);
        out.push(Event {
            rating: Some(score as u8),
            ..event
        });
    }
    if !known || mood < 0.2 {
        return;
    }
    let eager = person.persona.habits().referral;
    for (kind, factor) in [(EventKind::Share, 0.8), (EventKind::Referral, 1.0)] {
        if person.dice.chance(eager * factor) {
            let at = at + (person.dice.between(0.0, 5.0) * DAY as f64) as i64;
            out.push(about(person, at, kind, Touchpoint::Referral));
            person.memory.recommended_at = Some(at);
        }
    }
}

fn leave(person: &mut Person, at: i64, probability: f64) {
    if person.dice.chance(probability) {
        // A guest with bad luck still makes the account that the simulation promises.
        let account = person.signed_up_at.map_or(at, |made| made + DAY);
        person.leaves_at = person.leaves_at.min(at.max(account));
    }
}

fn stars(opinion: f64) -> u8 {
    opinion.round().clamp(1.0, 5.0) as u8
}

/// An event outside a visit, known by the account if there is one by then.
pub(crate) fn about(person: &Person, time: i64, kind: EventKind, place: Touchpoint) -> Event {
    let known = person.has_account(time);
    Event {
        time,
        person: person.number,
        customer: known.then_some(person.number),
        visitor: (!known).then(|| person.first_device()),
        kind,
        touchpoint: place,
        session: None,
        order: None,
        product: None,
        quantity: 0,
        price_cents: None,
        offer: None,
        rating: None,
    }
}
