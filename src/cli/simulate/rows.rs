//! The rows of the files, in the columns of the file contract.

use std::io::Write;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;

use super::files::{Shop, Table};
use crate::simulation::{
    DAY, Event, OfferKind, Product, Role, Simulation, World, favourite_category, stage, week_due,
    week_purchase,
};

pub(super) const CURRENCY: &str = "EUR";

const EVENT_COLUMNS: [&str; 14] = [
    "event_id",
    "event_type",
    "timestamp",
    "customer_id",
    "visitor_id",
    "session_id",
    "product_id",
    "quantity",
    "unit_price",
    "currency",
    "order_id",
    "offer_id",
    "touchpoint",
    "rating",
];

pub(super) fn customer_id(number: u32) -> String {
    format!("c{:06}", number + 1)
}

pub(super) fn product_id(number: u32) -> String {
    format!("p{:05}", number + 1)
}

pub(super) fn offer_id(kind: OfferKind) -> String {
    format!("offer_{}", kind.name())
}

fn euros(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn written(time: i64) -> anyhow::Result<String> {
    Ok(Timestamp::from_second(time)
        .context("a time out of range")?
        .to_string())
}

fn optional(time: Option<i64>) -> anyhow::Result<String> {
    time.map_or(Ok(String::new()), written)
}

fn decimals(number: f64) -> String {
    format!("{number:.6}")
}

/// `events.csv`, row by row.
pub(super) struct Events<'a> {
    shop: &'a mut Shop,
    table: Table,
    count: u64,
    day: i64,
    date: String,
    text: Vec<u8>,
}

impl<'a> Events<'a> {
    pub(super) fn begin(shop: &'a mut Shop) -> anyhow::Result<Events<'a>> {
        let mut table = shop.open("events")?;
        table.rows.write_record(EVENT_COLUMNS)?;
        let (day, date, text) = (i64::MIN, String::new(), Vec::new());
        Ok(Events {
            shop,
            table,
            count: 0,
            day,
            date,
            text,
        })
    }

    pub(super) fn write(&mut self, event: &Event) -> anyhow::Result<()> {
        self.count += 1;
        let count = self.count;
        self.field(format_args!("e{count:07}"))?;
        self.table.rows.write_field(event.kind.name())?;
        self.time(event.time)?;
        self.id(
            event.customer.map(|number| (number + 1).into()),
            "c",
            Shape::Decimal,
        )?;
        self.id(event.visitor, "v", Shape::Hex)?;
        self.id(event.session, "s", Shape::Hex)?;
        self.id(
            event.product.map(|number| (number + 1).into()),
            "p",
            Shape::Short,
        )?;
        if event.quantity > 0 {
            self.field(format_args!("{}", event.quantity))?;
        } else {
            self.table.rows.write_field("")?;
        }
        if let Some(cents) = event.price_cents {
            self.field(format_args!("{}.{:02}", cents / 100, cents % 100))?;
            self.table.rows.write_field(CURRENCY)?;
        } else {
            self.table.rows.write_field("")?;
            self.table.rows.write_field("")?;
        }
        self.id(event.order, "o", Shape::Hex)?;
        let offer = event.offer.map_or(String::new(), offer_id);
        self.table.rows.write_field(offer)?;
        self.table.rows.write_field(event.touchpoint.name())?;
        match event.rating {
            Some(rating) => self.field(format_args!("{rating}"))?,
            None => self.table.rows.write_field("")?,
        }
        Ok(self.table.rows.write_record(None::<&[u8]>)?)
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.shop.close(self.table)
    }

    fn field(&mut self, text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
        self.text.clear();
        self.text.write_fmt(text)?;
        Ok(self.table.rows.write_field(&self.text)?)
    }

    fn id(&mut self, number: Option<u64>, prefix: &str, shape: Shape) -> anyhow::Result<()> {
        match (number, shape) {
            (None, _) => Ok(self.table.rows.write_field("")?),
            (Some(number), Shape::Decimal) => self.field(format_args!("{prefix}{number:06}")),
            (Some(number), Shape::Short) => self.field(format_args!("{prefix}{number:05}")),
            (Some(number), Shape::Hex) => self.field(format_args!("{prefix}{number:016x}")),
        }
    }

    /// RFC 3339; the date is the same for many rows.
    fn time(&mut self, time: i64) -> anyhow::Result<()> {
        let day = time.div_euclid(DAY);
        if day != self.day {
            self.day = day;
            self.date = written(day * DAY)?;
            self.date.truncate("2026-06-30T".len());
        }
        let second = time.rem_euclid(DAY);
        self.text.clear();
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        write!(
            self.text,
            "{}{hour:02}:{minute:02}:{:02}Z",
            self.date,
            second % 60
        )?;
        Ok(self.table.rows.write_field(&self.text)?)
    }
}

/// How an id is written.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Decimal,
    Short,
    Hex,
}

/// `products.csv`.
pub(super) fn write_products(shop: &mut Shop, world: &World) -> anyhow::Result<()> {
    let mut table = shop.open("products")?;
    table.rows.write_record([
        "product_id",
        "name",
        "category",
        "brand",
        "price",
        "currency",
        "unit_cost",
        "available",
        "created_at",
        "attributes",
    ])?;
    for (number, product) in (0u32..).zip(world.catalog.products()) {
        let withdrawn = product
            .withdrawn_day
            .is_some_and(|day| world.day_start(day) <= world.end());
        table.rows.write_record([
            product_id(number).as_str(),
            &product.name,
            product.category(),
            product.brand(),
            &euros(product.price_cents),
            CURRENCY,
            &euros(product.cost_cents),
            if withdrawn { "false" } else { "true" },
            &written(world.day_start(product.launch_day))?,
            &attributes(product).to_string(),
        ])?;
    }
    shop.close(table)
}

fn attributes(product: &Product) -> serde_json::Value {
    let mut known = json!({
        "colour": product.colour,
        "generation": product.generation,
        "type": product.noun(),
    });
    if let Role::Accessory { fits: Some(main) } = product.role {
        known["compatible_with"] = json!(product_id(main));
    }
    known
}

/// `offers.csv`: one offer of each kind, through the whole period.
pub(super) fn write_offers(shop: &mut Shop, world: &World) -> anyhow::Result<()> {
    let mut table = shop.open("offers")?;
    table.rows.write_record([
        "offer_id",
        "name",
        "kind",
        "value",
        "campaign_id",
        "starts_at",
        "ends_at",
        "unit_cost",
    ])?;
    let (starts, ends) = (written(world.start())?, written(world.end())?);
    for kind in OfferKind::ALL {
        let (name, value, cost) = wording(kind);
        table.rows.write_record([
            offer_id(kind).as_str(),
            name,
            kind.name(),
            value,
            "weekly_mail",
            &starts,
            &ends,
            cost,
        ])?;
    }
    shop.close(table)
}

/// Name, value and cost of an offer (percent, euros, or nothing that can be counted).
pub(super) fn wording(kind: OfferKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        OfferKind::Percentage => ("15 % off your order", "15", "0"),
        OfferKind::Amount => ("10 euros off your order", "10", "10"),
        OfferKind::BuyXGetY => ("One more for free", "1", "0"),
        OfferKind::FreeShipping => ("Free shipping", "", "4.90"),
        OfferKind::Gift => ("A gift with your order", "", "6"),
        OfferKind::LoyaltyPoints => ("Double loyalty points", "2", "2"),
        OfferKind::EarlyAccess => ("New arrivals before everyone else", "", "0"),
        OfferKind::Referral => ("10 euros for you and a friend", "10", "10"),
        OfferKind::Content => ("Buying guide of our experts", "", "0"),
    }
}

/// `customers.csv`: what the shop can see.
pub(super) fn write_customers(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    let mut table = shop.open("customers")?;
    table.rows.write_record([
        "customer_id",
        "country",
        "signup_channel",
        "newsletter_consent",
        "signed_up_at",
    ])?;
    for (number, person) in (0u32..).zip(simulation.customers()) {
        let consent = if person.profile.newsletter {
            "true"
        } else {
            "false"
        };
        table.rows.write_record([
            customer_id(number).as_str(),
            person.profile.country,
            person.profile.signup_channel(),
            consent,
            &optional(person.signed_up_at)?,
        ])?;
    }
    shop.close(table)
}

/// All `truth_*.csv`, as of the end of the period.
pub(super) fn write_truth(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    write_truth_customers(shop, simulation)?;
    write_truth_offers(shop, simulation)?;
    write_truth_due(shop, simulation)?;
    write_truth_replenishment(shop, simulation)?;
    write_truth_products(shop, simulation.world())?;
    write_truth_pain_points(shop, simulation)
}

/// What was planted, if anything was.
fn write_truth_pain_points(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    if simulation.pain_points().next().is_none() {
        return Ok(());
    }
    let mut table = shop.open("truth_pain_points")?;
    table.rows.write_record([
        "pain_point",
        "stage",
        "touchpoint",
        "persona",
        "category",
        "since",
        "extra_losses",
    ])?;
    for (kind, since, lost) in simulation.pain_points() {
        table.rows.write_record([
            kind.name(),
            kind.stage(),
            kind.touchpoint(),
            kind.persona().map_or("", |persona| persona.name()),
            kind.category().unwrap_or(""),
            &written(since)?,
            &lost.to_string(),
        ])?;
    }
    shop.close(table)
}

fn write_truth_customers(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    let mut table = shop.open("truth_customers")?;
    table.rows.write_record([
        "customer_id",
        "persona",
        "blended_with",
        "price_sensitivity",
        "price_level",
        "novelty",
        "visits_per_day",
        "annoyance",
        "satisfaction",
        "favourite_category",
        "stage",
        "orders",
        "churned_at",
        "purchase_probability_7_days",
    ])?;
    let world = simulation.world();
    for (number, person) in (0u32..).zip(simulation.customers()) {
        table.rows.write_record([
            customer_id(number).as_str(),
            person.persona.name(),
            person.blended_with.map_or("", |persona| persona.name()),
            &decimals(person.sensitivity),
            &decimals(person.price_level),
            &decimals(person.novelty),
            &decimals(person.visits_per_day),
            &decimals(person.annoyance),
            &decimals(person.satisfaction),
            favourite_category(person),
            stage(person, world.end()).name(),
            &person.orders.to_string(),
            &optional(person.left_at(world.end()))?,
            &decimals(week_purchase(world, person, simulation.today(), None)),
        ])?;
    }
    shop.close(table)
}

fn write_truth_offers(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    let mut table = shop.open("truth_offers")?;
    table.rows.write_record([
        "customer_id",
        "offer_kind",
        "base_probability",
        "offer_probability",
        "uplift",
    ])?;
    let (world, today) = (simulation.world(), simulation.today());
    for (number, person) in (0u32..).zip(simulation.customers()) {
        let id = customer_id(number);
        let base = week_purchase(world, person, today, None);
        for kind in OfferKind::ALL {
            let with = week_purchase(world, person, today, Some(kind));
            let (base, with, uplift) = (decimals(base), decimals(with), decimals(with - base));
            table
                .rows
                .write_record([id.as_str(), kind.name(), &base, &with, &uplift])?;
        }
    }
    shop.close(table)
}

fn write_truth_due(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    let mut table = shop.open("truth_due")?;
    table.rows.write_record([
        "customer_id",
        "product_id",
        "mean_rhythm_days",
        "purchases",
        "last_purchase_at",
        "active",
        "expected_due_at",
        "next_purchase_at",
        "purchase_probability_7_days",
    ])?;
    let (world, today) = (simulation.world(), simulation.today());
    for (number, person) in (0u32..).zip(simulation.customers()) {
        for supply in person.supplies.iter().filter(|supply| supply.purchases > 0) {
            let next = supply.next.filter(|&next| person.left_at(next).is_none());
            let mean = (supply.mean_days * DAY as f64) as i64;
            let expected = supply
                .last
                .filter(|_| next.is_some())
                .map(|last| last + mean);
            table.rows.write_record([
                customer_id(number).as_str(),
                &product_id(supply.product),
                &decimals(supply.mean_days),
                &supply.purchases.to_string(),
                &optional(supply.last)?,
                if next.is_some() { "true" } else { "false" },
                &optional(expected)?,
                &optional(next)?,
                &decimals(week_due(world, person, supply, today)),
            ])?;
        }
    }
    shop.close(table)
}

/// When what each purchase of a replenishable product brought is needed again.
fn write_truth_replenishment(shop: &mut Shop, simulation: &Simulation) -> anyhow::Result<()> {
    let mut table = shop.open("truth_replenishment")?;
    table.rows.write_record([
        "customer_id",
        "product_id",
        "purchased_at",
        "quantity",
        "next_due_at",
    ])?;
    for (number, person) in (0u32..).zip(simulation.customers()) {
        for refill in &person.refills {
            let next = refill.next.filter(|&next| person.left_at(next).is_none());
            table.rows.write_record([
                customer_id(number).as_str(),
                &product_id(refill.product),
                &written(refill.time)?,
                &refill.quantity.to_string(),
                &optional(next)?,
            ])?;
        }
    }
    shop.close(table)
}

fn write_truth_products(shop: &mut Shop, world: &World) -> anyhow::Result<()> {
    let mut table = shop.open("truth_products")?;
    table.rows.write_record([
        "product_id",
        "role",
        "fits",
        "rhythm_days",
        "popularity",
        "quality",
        "defect_probability",
        "season_peak_day",
        "season_strength",
        "replaces",
        "withdrawn_at",
    ])?;
    let none = String::new;
    for (number, product) in (0u32..).zip(world.catalog.products()) {
        let (role, fits, rhythm) = match product.role {
            Role::Main => ("main", none(), none()),
            Role::Accessory { fits } => ("accessory", fits.map_or_else(none, product_id), none()),
            Role::Replenishable { rhythm_days } => ("replenishable", none(), decimals(rhythm_days)),
        };
        let withdrawn = product.withdrawn_day.map(|day| world.day_start(day));
        table.rows.write_record([
            product_id(number).as_str(),
            role,
            &fits,
            &rhythm,
            &decimals(product.popularity),
            &decimals(product.quality),
            &decimals(product.defect_probability()),
            &decimals(product.season.0),
            &decimals(product.season.1),
            &product.replaces.map_or_else(none, product_id),
            &optional(withdrawn)?,
        ])?;
    }
    shop.close(table)
}
