//! The closed loop: the simulated people live on, a running service decides what each of them is sent, and hears of
//! everything that happens.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail, ensure};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::rows::{CURRENCY, customer_id, offer_id, product_id, wording};
use super::standing::{Loop, Standings};
use super::{Args, SERVICE, bar, compare};
use crate::domain::{self, Timestamp};
use crate::simulation::{
    Campaign, DAY, Event, EventKind, OfferKind, Prospect, Sender, Settings, live,
};
use crate::transport::grpc::client::{Choice, Client, EventFields, TermLimits, Terms};

/// By what the mail reaches people.
const CHANNEL: &str = "email";
/// Customers of one call, and calls at the same time.
const ASKED_AT_ONCE: usize = 250;
const CALLS_AT_ONCE: usize = 4;
/// Events of one call: with tokens, some hundred bytes each.
const WRITTEN_AT_ONCE: usize = 2_000;
/// Of so many customers it is looked whether the service knows their history.
const LOOKED_AT: usize = 20;

/// Lives on with the offers of the service at `address`.
///
/// # Errors
/// When there is no service, when it does not stand where the history ends or does not have it, or when it refuses
/// something.
pub(super) fn run(args: &Args, settings: &Settings, address: &str) -> anyhow::Result<Standings> {
    let runtime = Runtime::new().context("the machine gives no threads")?;
    let client = runtime.block_on(Client::connect(address))?;
    let mut last_seen = HashMap::new();
    let campaign = compare::history(args, settings, |event| {
        if let Some(customer) = event.customer {
            last_seen.insert(customer, event.time);
        }
    })?;
    let mut service = Service::new(runtime, client, args.train_every, &campaign);
    service.check_history(&campaign, &last_seen)?;
    service.put_offers(&campaign)?;
    let mut tallies = compare::policies(&campaign)?;
    let bar = bar(u64::from(campaign.days()), "the service")?;
    let lived = live(campaign, &mut service, || bar.inc(1));
    bar.finish_and_clear();
    tallies.push((SERVICE.to_owned(), lived?));
    let mut standings = Standings::of(tallies, args.live_days, args.seed);
    standings.closed_loop = Some(service.closed_loop);
    Ok(standings)
}

/// The service as a sender.
struct Service {
    runtime: Runtime,
    client: Client,
    train_every: u32,
    /// Place of each customer among the readers.
    places: HashMap<u32, usize>,
    /// What was chosen for each reader with the last mail, and with the one before.
    chosen: Vec<Choice>,
    chosen_before: Vec<Choice>,
    /// Whether the service takes in that a mail went out without an offer.
    takes_none: bool,
    /// Whether mails left today, and those without an offer.
    is_mail_day: bool,
    mails: Vec<EventFields>,
    events: u64,
    closed_loop: Loop,
}

impl Service {
    fn new(runtime: Runtime, client: Client, train_every: u32, campaign: &Campaign) -> Self {
        let readers = campaign.readers().iter().zip(0..);
        Self {
            runtime,
            client,
            train_every,
            places: readers.map(|(&number, place)| (number, place)).collect(),
            chosen: vec![Choice::default(); campaign.readers().len()],
            chosen_before: vec![Choice::default(); campaign.readers().len()],
            takes_none: false,
            is_mail_day: false,
            mails: Vec::new(),
            events: 0,
            closed_loop: Loop::default(),
        }
    }

    /// An error unless the service stands at the end of the history, and has it.
    fn check_history(
        &mut self,
        campaign: &Campaign,
        last_seen: &HashMap<u32, i64>,
    ) -> anyhow::Result<()> {
        let end = campaign.simulation().world().end();
        let (from, to) = (seconds(end - DAY), seconds(end));
        let stands = self.client.stands_between(from, to);
        ensure!(
            self.runtime.block_on(stands)?,
            "the service's clock does not stand on the last day before {to}: import the files of `nextbest simulate \
             --out` with the same options, and start it with --set clock.source=events"
        );
        let readers = campaign.readers().iter();
        let seen = readers.filter_map(|number| Some((*number, *last_seen.get(number)?)));
        for (number, last) in seen.take(LOOKED_AT) {
            let id = customer_id(number);
            let known = self.runtime.block_on(self.client.last_event(&id))?;
            let is_same = known.is_some_and(|(_, known)| known >= seconds(last) && known < to);
            ensure!(
                is_same,
                "the service does not know the history of {id}: import the files of `nextbest simulate --out` with the \
                 same options"
            );
        }
        Ok(())
    }

    /// Puts an offer of each kind into the service, with what it truly costs, for as long as people live on.
    fn put_offers(&mut self, campaign: &Campaign) -> anyhow::Result<()> {
        let end = campaign.simulation().world().end();
        let ends = end + (i64::from(campaign.days()) + 1) * DAY;
        let terms = OfferKind::ALL.map(|kind| terms(kind, seconds(end - DAY), seconds(ends)));
        Ok(self.runtime.block_on(self.client.put_offers(&terms))?)
    }

    /// What the service says each reader is to be sent, asked for in several calls at the same time.
    fn ask(&self, readers: &[u32]) -> anyhow::Result<Vec<Choice>> {
        let ids: Vec<String> = readers.iter().map(|&number| customer_id(number)).collect();
        self.runtime.block_on(async {
            let mut calls = JoinSet::new();
            let mut answers: BTreeMap<usize, Vec<Choice>> = BTreeMap::new();
            let mut waiting = ids
                .chunks(ASKED_AT_ONCE)
                .map(<[String]>::to_vec)
                .enumerate();
            loop {
                while calls.len() < CALLS_AT_ONCE
                    && let Some((place, ids)) = waiting.next()
                {
                    let mut client = self.client.clone();
                    calls.spawn(async move { (place, client.choose(&ids, CHANNEL).await) });
                }
                let Some(ended) = calls.join_next().await else {
                    break;
                };
                let (place, choices) = ended.context("a call broke off")?;
                answers.insert(place, choices?);
            }
            Ok(answers.into_values().flatten().collect())
        })
    }

    /// Whether the service takes an `offer_sent` that names no offer but has a token; nothing is stored.
    fn takes_none(&mut self, mail: EventFields) -> bool {
        let checked = self.client.write(vec![mail], true);
        self.runtime.block_on(checked).is_ok()
    }

    fn write(&mut self, events: Vec<EventFields>) -> anyhow::Result<()> {
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let some: Vec<EventFields> = events.by_ref().take(WRITTEN_AT_ONCE).collect();
            let taken = self.runtime.block_on(self.client.write(some, false))?;
            if taken.duplicate > 0 {
                bail!(
                    "the service has lived these days already: begin with a data folder that holds the history alone"
                );
            }
            self.closed_loop.events += taken.written;
            for (why, count) in taken.unattributed {
                *self.closed_loop.unattributed.entry(why).or_default() += count;
            }
        }
        Ok(())
    }

    /// The next event's id: none of those in the files.
    fn next_id(&mut self) -> String {
        self.events += 1;
        format!("l{:07}", self.events)
    }

    /// The token of the choice that an event about an offer came of: a redemption on the day of a mail is still of the
    /// mail before.
    fn token(&self, event: &Event, is_mail_day: bool) -> String {
        let place = event.customer.and_then(|number| self.places.get(&number));
        let (Some(&place), Some(kind)) = (place, event.offer) else {
            return String::new();
        };
        let id = offer_id(kind);
        let mut choices = [&self.chosen[place], &self.chosen_before[place]];
        if is_mail_day && event.kind == EventKind::OfferRedeemed {
            choices.reverse();
        }
        let found = choices
            .into_iter()
            .find(|choice| choice.offer.as_ref() == Some(&id));
        found.map_or_else(String::new, |choice| choice.token.clone())
    }
}

impl Sender for Service {
    type Error = anyhow::Error;

    fn choose(
        &mut self,
        campaign: &Campaign,
        prospects: &[Prospect],
    ) -> anyhow::Result<Vec<Option<OfferKind>>> {
        self.is_mail_day = true;
        let choices = self.ask(campaign.readers())?;
        self.chosen_before = std::mem::replace(&mut self.chosen, choices);
        let time = seconds(campaign.mail_time());
        let readers = campaign.readers().iter().zip(&self.chosen);
        let without: Vec<EventFields> = readers
            .filter(|(_, choice)| choice.offer.is_none())
            .map(|(&number, choice)| EventFields {
                event_type: EventKind::OfferSent.name(),
                time,
                customer_id: customer_id(number),
                touchpoint: CHANNEL,
                attribution_token: choice.token.clone(),
                ..EventFields::default()
            })
            .collect();
        if let Some(first) = without.first() {
            self.takes_none = self.takes_none || self.takes_none(first.clone());
        }
        if self.takes_none {
            self.mails = without;
        }
        let held = self.chosen.iter().zip(prospects);
        let held = held.filter(|(choice, _)| choice.held_out);
        let held: Vec<f64> = held.map(|(_, prospect)| prospect.best().1).collect();
        self.closed_loop.held_out = held.len();
        self.closed_loop.held_out_gain += held.iter().sum::<f64>();
        let kinds = self.chosen.iter().map(|choice| match &choice.offer {
            None => Ok(None),
            Some(id) => match OfferKind::ALL
                .into_iter()
                .find(|&kind| offer_id(kind) == *id)
            {
                Some(kind) => Ok(Some(kind)),
                None => bail!(
                    "the service answered the offer {id}, which is none of the simulated shop"
                ),
            },
        });
        kinds.collect()
    }

    fn tell(&mut self, campaign: &Campaign, events: &[Event]) -> anyhow::Result<()> {
        let mut mails = std::mem::take(&mut self.mails);
        for mail in &mut mails {
            mail.event_id = self.next_id();
        }
        let is_mail_day = std::mem::take(&mut self.is_mail_day);
        for event in events {
            let event_id = self.next_id();
            let attribution_token = self.token(event, is_mail_day);
            mails.push(EventFields {
                event_id,
                attribution_token,
                ..fields(event)
            });
        }
        mails.sort_by_key(|event| event.time);
        self.write(mails)?;
        let is_due = self.train_every > 0 && campaign.day().is_multiple_of(self.train_every);
        if is_due && !campaign.is_over() {
            let ended = self.runtime.block_on(self.client.train())?;
            self.closed_loop.trainings.push((campaign.day(), ended));
        }
        Ok(())
    }
}

/// The offer of a kind as the service is told it.
pub(in crate::cli) fn terms(kind: OfferKind, start: Timestamp, end: Timestamp) -> Terms {
    let (name, value, _) = wording(kind);
    // what these cost follows from their value
    let is_priced = matches!(
        kind,
        OfferKind::Percentage | OfferKind::Amount | OfferKind::BuyXGetY
    );
    Terms {
        id: offer_id(kind),
        name: name.to_owned(),
        kind: wire_kind(kind),
        value: value.parse().ok(),
        unit_cost: (!is_priced).then(|| kind.extra_cost_cents() as f64 / 100.0),
        currency: CURRENCY.to_owned(),
        campaign: "weekly_mail".to_owned(),
        channel: CHANNEL.to_owned(),
        start,
        end,
        limits: TermLimits::default(),
    }
}

fn wire_kind(kind: OfferKind) -> domain::OfferKind {
    match kind {
        OfferKind::Percentage => domain::OfferKind::Percentage,
        OfferKind::Amount => domain::OfferKind::Amount,
        OfferKind::BuyXGetY => domain::OfferKind::BuyXGetY,
        OfferKind::FreeShipping => domain::OfferKind::FreeShipping,
        OfferKind::Gift => domain::OfferKind::Gift,
        OfferKind::LoyaltyPoints => domain::OfferKind::LoyaltyPoints,
        OfferKind::EarlyAccess => domain::OfferKind::EarlyAccess,
        OfferKind::Referral => domain::OfferKind::Referral,
        OfferKind::Content => domain::OfferKind::Content,
    }
}

/// An event of the simulation as the service is told it.
pub(in crate::cli) fn fields(event: &Event) -> EventFields {
    let hex = |prefix: &str, number: Option<u64>| {
        number.map_or_else(String::new, |number| format!("{prefix}{number:016x}"))
    };
    EventFields {
        event_id: String::new(),
        event_type: event.kind.name(),
        time: seconds(event.time),
        customer_id: event.customer.map_or_else(String::new, customer_id),
        visitor_id: hex("v", event.visitor),
        session_id: hex("s", event.session),
        product_id: event.product.map_or_else(String::new, product_id),
        quantity: (event.quantity > 0).then(|| f64::from(event.quantity)),
        unit_price: event.price_cents.map(|cents| f64::from(cents) / 100.0),
        currency: event.price_cents.map_or("", |_| CURRENCY),
        order_id: hex("o", event.order),
        offer_id: event.offer.map_or_else(String::new, offer_id),
        touchpoint: event.touchpoint.name(),
        rating: event.rating.map(f64::from),
        attribution_token: String::new(),
    }
}

fn seconds(time: i64) -> Timestamp {
    Timestamp::from_ms(time * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_cost_what_the_files_say() {
        let moment = Timestamp::from_ms(0);
        for kind in OfferKind::ALL {
            let terms = terms(kind, moment, moment);
            assert_eq!(terms.kind.as_str(), kind.name());
            let (_, _, cost) = wording(kind);
            let in_file: f64 = cost.parse().unwrap();
            // the files say what an amount costs, too; here its value does
            let own = terms.unit_cost.or(match kind {
                OfferKind::Amount => terms.value,
                _ => Some(0.0),
            });
            assert!((own.unwrap() - in_file).abs() < 1e-9, "{kind:?}");
        }
    }
}
