//! A person's life over time: what they do next, and doing it.

use super::World;
use super::aftermath::about;
use super::calendar::DAY;
use super::catalog::Shelf;
use super::dice::{Dice, Purpose, on_day};
use super::event::{Event, EventKind, Touchpoint};
use super::offer::{HeldOffer, OfferKind, SENT_PER_WEEK};
use super::person::Person;
use super::taste::Choices;
use super::visit::{Goal, Visit};

/// The visit that makes an account begins so many seconds before it is made.
const SIGN_UP_LEAD: i64 = 1_300;
/// Silence between two visits of one person, in seconds: above the 30 minutes that end a session.
const SILENCE: i64 = 2_700;
/// Whoever an offer drives away by more than this (log hazard ratio) …
pub(crate) const ANNOYING: f64 = -0.1;
/// … declines it with this probability, …
pub(crate) const DECLINED: f64 = 0.15;
/// … so many days later on average.
pub(crate) const DECLINED_DAYS: f64 = 0.5;

/// What somebody does next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Visit,
    SignUp,
    Mail,
    Errand(usize),
    Restock(usize),
}

/// When the person does something next, if ever.
pub(crate) fn next_time(person: &Person) -> Option<i64> {
    next(person).map(|(time, _)| time)
}

fn next(person: &Person) -> Option<(i64, Next)> {
    let alive = |&(time, _): &(i64, Next)| time < person.leaves_at;
    let visit = person.next_visit.map(|time| (time, Next::Visit));
    let account = person.signed_up_at.filter(|_| !person.account_made);
    let sign_up = account.map(|at| (at - SIGN_UP_LEAD, Next::SignUp));
    let errands = person.errands.iter().enumerate();
    let errands = errands.map(|(place, errand)| (errand.time, Next::Errand(place)));
    let supplies = person.supplies.iter().enumerate();
    let restocks =
        supplies.filter_map(|(place, supply)| supply.next.map(|time| (time, Next::Restock(place))));
    let mail = person.next_mail.map(|time| (time, Next::Mail));
    visit
        .into_iter()
        .chain(sign_up)
        .chain(errands)
        .chain(restocks)
        .filter(alive)
        // The shop does not know who has left: mails go on.
        .chain(mail)
        .min_by_key(|&(time, _)| time)
}

/// Lives through one day; what happens goes to `out`, in no particular order.
pub(crate) fn live(
    world: &World,
    shelf: &Shelf,
    person: &mut Person,
    out: &mut Vec<Event>,
    choices: &mut Choices,
) {
    if world.paired {
        let index = on_day(person.number, shelf.day);
        person.dice = Dice::new(world.settings.seed(), Purpose::Day, index);
    }
    let night = world.calendar.midnight(shelf.day + 1);
    while let Some((time, what)) = next(person) {
        if time >= night {
            break;
        }
        person.settle(time);
        let goal = match what {
            Next::Mail => {
                mail(world, shelf.day, person, out, time);
                continue;
            }
            Next::Visit => {
                person.plan_visit(world, shelf.day + 1);
                Goal::Wander
            }
            Next::SignUp => {
                person.account_made = true;
                Goal::SignUp
            }
            Next::Errand(place) => Goal::Accessory(person.errands.swap_remove(place).main),
            Next::Restock(place) => {
                let supply = &person.supplies[place];
                Goal::Restock(supply.product, supply.quantity)
            }
        };
        let time = match goal {
            Goal::SignUp => time,
            _ => time.max(person.busy_until.saturating_add(SILENCE)),
        };
        Visit::new(world, shelf, person, out, choices, time).run(goal);
    }
}

/// The weekly newsletter, and for a random tenth of its readers an offer.
fn mail(world: &World, day: u32, person: &mut Person, out: &mut Vec<Event>, time: i64) {
    person.plan_mail(world, day + 1);
    let here = person.leaves_at > time;
    if here && person.dice.chance(person.persona.habits().newsletter.1) {
        let later = (person.dice.exponential(0.3) * DAY as f64) as i64;
        out.push(about(
            person,
            time + 60 + later,
            EventKind::EmailOpen,
            Touchpoint::Email,
        ));
    }
    if !world.campaigns || !person.dice.chance(SENT_PER_WEEK) {
        return;
    }
    let kind = OfferKind::ALL[person.dice.below(OfferKind::ALL.len())];
    let sent = about(person, time, EventKind::OfferSent, Touchpoint::Email);
    out.push(Event {
        offer: Some(kind),
        ..sent
    });
    if here && person.response(kind) < ANNOYING && person.dice.chance(DECLINED) {
        let later = (person.dice.exponential(DECLINED_DAYS) * DAY as f64) as i64;
        let event = about(
            person,
            time + 60 + later,
            EventKind::OfferDeclined,
            Touchpoint::Email,
        );
        out.push(Event {
            offer: Some(kind),
            ..event
        });
    }
    hold(world, person, kind, day);
}

/// From the next day on the person visits with another rate. Days are independent of each other,
/// so that a visit planned for later may be drawn anew.
pub(crate) fn hold(world: &World, person: &mut Person, kind: OfferKind, day: u32) {
    person.offer = Some(HeldOffer::sent_on(kind, day));
    redraw(world, person, day + 1);
}

/// Draws the next visit anew, if it was for this day or later.
pub(crate) fn redraw(world: &World, person: &mut Person, from: u32) {
    if person
        .next_visit
        .is_none_or(|at| at >= world.calendar.midnight(from))
    {
        person.plan_visit(world, from);
    }
}
