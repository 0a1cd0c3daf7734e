//! The offers: what is left of their budgets, what became of them, and a switch to pause each.

use askama::Template;
use tonic::Status;

use super::asked::{Picked, encoded};
use super::format::{NONE, count, cut, long_day, money, title};
use super::parts::{Downloads, Frame, Notice, Page};
use super::svg::Svg;
use crate::proto::v1;
use crate::proto::v1::{OfferKind, OfferState};

/// The most offers of a page.
pub(super) const MAX_OFFERS: i32 = 100;

/// An offer with what of it is used, as far as that is known.
pub(super) type Used = (v1::Offer, Option<v1::OfferUsage>);

#[derive(Template)]
#[template(
    path = "offers.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct OffersPage<'a> {
    frame: Frame,
    token: &'a str,
    notice: Option<Notice>,
    picture: Option<String>,
    downloads: Downloads,
    rows: Vec<Row>,
    more: Option<String>,
}

struct Row {
    id: String,
    name: String,
    kind: String,
    state: &'static str,
    is_live: bool,
    can_pause: bool,
    can_resume: bool,
    time: String,
    used: String,
    left: String,
    outcomes: String,
}

/// The page. With `next` there are more.
pub(super) fn page(
    shop: &str,
    offers: &Result<(Vec<Used>, String), Status>,
    token: &str,
    query: &str,
) -> askama::Result<String> {
    let none = (Vec::new(), String::new());
    let (known, next) = offers.as_ref().unwrap_or(&none);
    let has_budget = known.iter().any(|used| burnt(used).is_some());
    let more =
        (!next.is_empty()).then(|| format!("{}?page_token={}", Page::Offers.path(), encoded(next)));
    let failed = offers.as_ref().err();
    OffersPage {
        frame: Frame::new(Page::Offers, shop, &Picked::default()),
        token,
        notice: failed.map(|status| Notice::of("Offers cannot be shown", status)),
        picture: has_budget.then(|| picture(known)),
        downloads: Downloads::at("/dashboard/offers", query, "offers"),
        rows: known.iter().map(row).collect(),
        more,
    }
    .render()
}

fn name(offer: &v1::Offer) -> &str {
    match offer.name.as_str() {
        "" => &offer.offer_id,
        name => name,
    }
}

fn state(offer: &v1::Offer) -> &'static str {
    match offer.state() {
        OfferState::Live => "live",
        OfferState::Scheduled => "scheduled",
        OfferState::Ended => "ended",
        OfferState::Paused => "paused",
        OfferState::Deleted => "deleted",
        OfferState::Unspecified => NONE,
    }
}

fn kind(offer: &v1::Offer) -> String {
    let value = offer.value;
    let currency = &offer.currency_code;
    let with = |words: &str, value: Option<f64>| match value {
        Some(value) => format!("{words}, worth {}", money(value, currency)),
        None => words.to_owned(),
    };
    // as it was written: 15, 12.5
    let number_of = value.map_or_else(String::new, |value| format!("{value} "));
    match offer.kind() {
        OfferKind::Percentage => format!("{number_of}% off"),
        OfferKind::Amount => format!("{} off", money(value.unwrap_or_default(), currency)),
        OfferKind::BuyXGetY => format!("buy some, get {number_of}free"),
        OfferKind::FreeShipping => with("free shipping", value),
        OfferKind::Gift => with("gift", value),
        OfferKind::LoyaltyPoints => format!("{number_of}points"),
        OfferKind::EarlyAccess if value.is_none() => "early access".to_owned(),
        OfferKind::EarlyAccess => format!("{number_of}days early access"),
        OfferKind::Referral => with("referral", value),
        OfferKind::Content => "content".to_owned(),
        OfferKind::Coupon => "coupon".to_owned(),
        OfferKind::Unspecified => NONE.to_owned(),
    }
}

/// Of a budget: redeemed, reserved and free, and whether that is money.
fn burnt((offer, usage): &Used) -> Option<([f64; 3], bool)> {
    let usage = usage.as_ref()?;
    if let (Some(budget), Some(free)) = (offer.budget_amount, usage.free_amount) {
        let used = [usage.redeemed_amount, usage.reserved_amount, free.max(0.0)];
        return (budget > 0.0).then_some((used, true));
    }
    let free = usage.free_units.filter(|_| offer.budget_units.is_some())?;
    let used = [usage.redeemed_units, usage.reserved_units, free.max(0)];
    Some((used.map(|units| units as f64), false))
}

fn told(used: &Used, value: f64, is_money: bool) -> String {
    match is_money {
        true => money(value, &used.0.currency_code),
        false => count(value as i64),
    }
}

fn row(used: &Used) -> Row {
    let (offer, usage) = used;
    let outcomes = offer.outcomes.unwrap_or_default();
    let left = match burnt(used) {
        Some(([_, _, free], is_money)) => told(used, free, is_money),
        None => "no budget".to_owned(),
    };
    let day = |time: Option<&prost_types::Timestamp>| time.map(long_day);
    let time = match (day(offer.start_time.as_ref()), day(offer.end_time.as_ref())) {
        (None, None) => "always".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(until)) => format!("until {until}"),
        (Some(from), Some(until)) => format!("{from} to {until}"),
    };
    Row {
        id: offer.offer_id.clone(),
        name: name(offer).to_owned(),
        kind: kind(offer),
        state: state(offer),
        is_live: offer.state() == OfferState::Live,
        can_pause: !offer.paused && offer.state() != OfferState::Deleted,
        can_resume: offer.paused && offer.state() != OfferState::Deleted,
        time,
        used: usage.as_ref().map_or_else(
            || NONE.to_owned(),
            |usage| {
                format!(
                    "{} redeemed, {} reserved",
                    count(usage.redeemed_units),
                    count(usage.reserved_units)
                )
            },
        ),
        left,
        outcomes: told_outcomes(outcomes),
    }
}

/// What events said of an offer. What none said is left out: of a mail that is opened nobody knows whether the offer
/// in it was seen.
fn told_outcomes(outcomes: v1::OfferOutcomes) -> String {
    let told = [
        (outcomes.sent_count, "sent"),
        (outcomes.viewed_count, "seen"),
        (outcomes.selected_count, "clicked"),
        (outcomes.declined_count, "declined"),
    ];
    let told: Vec<String> = told
        .into_iter()
        .filter(|(many, _)| *many > 0)
        .map(|(many, what)| format!("{} {what}", count(many)))
        .collect();
    match told.is_empty() {
        true => "nothing yet".to_owned(),
        false => told.join(", "),
    }
}

/// What of each budget is redeemed, reserved and free.
pub(super) fn picture(offers: &[Used]) -> String {
    let bars: Vec<(&Used, [f64; 3], bool)> = offers
        .iter()
        .filter_map(|used| burnt(used).map(|(parts, is_money)| (used, parts, is_money)))
        .collect();
    let described: Vec<String> = bars
        .iter()
        .map(|(used, [redeemed, reserved, free], is_money)| {
            format!(
                "{}: {} redeemed, {} reserved, {} free.",
                name(&used.0),
                told(used, *redeemed, *is_money),
                told(used, *reserved, *is_money),
                told(used, *free, *is_money)
            )
        })
        .collect();
    let height = 40 + 28 * bars.len() as u32;
    let mut svg = Svg::new(
        "offers",
        960,
        height,
        "What is left of the budgets",
        &described.join(" "),
    );
    for (x, class, text) in [
        (250.0, "on", "redeemed"),
        (350.0, "held", "reserved"),
        (450.0, "track", "free"),
    ] {
        svg.bar(class, [x, 4.0], [14.0, 14.0], "");
        svg.label("small", [x + 20.0, 15.0], "start", text);
    }
    let mut y = 32.0;
    for ((used, parts, is_money), tip) in bars.iter().zip(&described) {
        let whole = parts.iter().sum::<f64>().max(1e-9);
        let [redeemed, reserved, free] = *parts;
        let wide = |part: f64| 480.0 * (part / whole).clamp(0.0, 1.0);
        svg.label("label", [238.0, y + 14.0], "end", &cut(name(&used.0), 34));
        svg.bar("track", [250.0, y], [480.0, 18.0], tip);
        svg.bar("on", [250.0, y], [wide(redeemed), 18.0], tip);
        svg.bar(
            "held",
            [250.0 + wide(redeemed), y],
            [wide(reserved), 18.0],
            tip,
        );
        let left = format!(
            "{} of {} left",
            told(used, free, *is_money),
            told(used, whole, *is_money)
        );
        svg.label("small", [740.0, y + 14.0], "start", &left);
        y += 28.0;
    }
    svg.finish()
}

/// The offers as rows, the first one their names.
pub(super) fn rows(offers: &[Used]) -> Vec<Vec<String>> {
    let heads = [
        "offer_id",
        "name",
        "kind",
        "state",
        "budget_units",
        "budget_amount",
        "currency",
        "redeemed_units",
        "reserved_units",
        "redeemed_amount",
        "reserved_amount",
        "free_units",
        "free_amount",
        "sent",
        "viewed",
        "selected",
        "declined",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (offer, usage) in offers {
        let usage = usage.clone().unwrap_or_default();
        let outcomes = offer.outcomes.unwrap_or_default();
        let text = |value: Option<String>| value.unwrap_or_default();
        rows.push(vec![
            offer.offer_id.clone(),
            offer.name.clone(),
            title(&offer.kind().as_str_name().to_lowercase()["offer_kind_".len()..]),
            state(offer).to_owned(),
            text(offer.budget_units.map(|units| units.to_string())),
            text(offer.budget_amount.map(|amount| amount.to_string())),
            offer.currency_code.clone(),
            usage.redeemed_units.to_string(),
            usage.reserved_units.to_string(),
            usage.redeemed_amount.to_string(),
            usage.reserved_amount.to_string(),
            text(usage.free_units.map(|units| units.to_string())),
            text(usage.free_amount.map(|amount| amount.to_string())),
            outcomes.sent_count.to_string(),
            outcomes.viewed_count.to_string(),
            outcomes.selected_count.to_string(),
            outcomes.declined_count.to_string(),
        ]);
    }
    rows
}
