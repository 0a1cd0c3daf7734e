//! One customer's journey over time: their steps day by day, as a picture by stage, and as rows.

use std::collections::HashMap;

use super::customer::named;
use super::format::{
    NONE, clock, happening, long_day, moment, money, number, rating, title, words,
};
use super::svg::{Svg, at};
use crate::domain::{EventKind, Places};
use crate::proto::v1;

const WIDTH: f64 = 960.0;
/// Where the picture of steps begins and ends, from left to right; names of stages stand before it.
const SIDES: [f64; 2] = [130.0, 940.0];
const TOP: f64 = 28.0;
const LANE: f64 = 34.0;
/// Below the last lane: the days and what the dots mean.
const FOOT: f64 = 44.0;

/// What steps are told with.
#[derive(Clone, Copy)]
pub(super) struct Wording<'a> {
    /// Names of products by their ids.
    pub(super) names: &'a HashMap<String, String>,
    /// The touchpoints of the journey.
    pub(super) places: &'a Places,
}

impl Wording<'_> {
    /// Where a step counts, as the map calls it; with the channel, if it named only that.
    fn place(&self, event: &v1::Event) -> String {
        let named = event.touchpoint.as_str();
        let Some(kind) = EventKind::from_name(&event.event_type) else {
            return words(named);
        };
        let place = self.places.touchpoint(kind, Some(named));
        let channel = self.places.unaliased(named);
        match place == channel {
            true => words(place),
            false => format!("{} ({})", words(place), words(channel)),
        }
    }
}

/// The steps of a day.
pub(super) struct Day {
    pub(super) day: String,
    pub(super) events: Vec<Line>,
}

/// A step as a line of text.
pub(super) struct Line {
    pub(super) time: String,
    pub(super) text: String,
    /// The stage it led to; absent: the one they were in.
    pub(super) came_to: Option<String>,
    /// What the shop showed before: a recommendation, an offer.
    pub(super) because: Vec<&'static str>,
}

fn seconds(event: &v1::Event) -> (i64, i32) {
    let time = event.event_time.unwrap_or_default();
    (time.seconds, time.nanos)
}

/// The steps in the order of time; equal moments in the order in which they came in.
fn in_time(newest_first: &[v1::Event]) -> Vec<&v1::Event> {
    let mut events: Vec<&v1::Event> = newest_first.iter().rev().collect();
    events.sort_by_key(|event| seconds(event));
    events
}

fn because(event: &v1::Event) -> Vec<&'static str> {
    let recommended = event.recommended.then_some("was recommended");
    let offered = event.with_offer.then_some("came with an offer");
    recommended.into_iter().chain(offered).collect()
}

/// The steps by day, the newest first. Of the oldest one it is not known whether it led to another stage.
pub(super) fn days(events: &[v1::Event], wording: Wording<'_>) -> Vec<Day> {
    let events = in_time(events);
    let mut days: Vec<Day> = Vec::new();
    for (place, event) in events.iter().enumerate().rev() {
        let time = event.event_time.unwrap_or_default();
        let before = place.checked_sub(1).and_then(|before| events.get(before));
        let came_to = before.filter(|before| before.stage != event.stage);
        let line = Line {
            time: clock(&time),
            text: happened(event, wording),
            came_to: came_to.map(|_| words(&event.stage)),
            because: because(event),
        };
        let day = long_day(&time);
        match days.last_mut().filter(|last| last.day == day) {
            Some(last) => last.events.push(line),
            None => days.push(Day {
                day,
                events: vec![line],
            }),
        }
    }
    days
}

fn happened(event: &v1::Event, wording: Wording<'_>) -> String {
    let mut parts = vec![title(&happening(&event.event_type))];
    if !event.product_id.is_empty() {
        let quantity = event.quantity.filter(|many| (many - 1.0).abs() > 1e-9);
        let many = quantity.map_or_else(String::new, |many| format!("{} × ", number(many)));
        parts.push(format!("{many}{}", named(wording.names, &event.product_id)));
    }
    if let Some(price) = event.unit_price {
        parts.push(money(price, &event.currency_code));
    }
    if let Some(rated) = event.rating {
        parts.push(format!("rated {}", rating(rated)));
    }
    if !event.search_query.is_empty() {
        parts.push(format!("“{}”", event.search_query));
    }
    if !event.offer_id.is_empty() {
        parts.push(format!("offer {}", event.offer_id));
    }
    if !event.campaign_id.is_empty() {
        parts.push(format!("campaign {}", event.campaign_id));
    }
    if !event.touchpoint.is_empty() {
        parts.push(format!("at {}", wording.place(event)));
    }
    match parts.is_empty() {
        true => NONE.to_owned(),
        false => parts.join(" · "),
    }
}

/// Draws the steps from left to right, each at the height of the stage after it. `stages` are those of the journey, in
/// order; what the journey has no more stands below them.
pub(super) fn picture(events: &[v1::Event], stages: &[String], wording: Wording<'_>) -> String {
    let events = in_time(events);
    let mut lanes: Vec<&str> = stages.iter().map(String::as_str).collect();
    for event in &events {
        if !lanes.contains(&event.stage.as_str()) {
            lanes.push(&event.stage);
        }
    }
    let bottom = TOP + LANE * lanes.len() as f64;
    let description = format!(
        "{} steps from {} to {}, from left to right, each at the height of the stage after it",
        events.len(),
        moment(events.first().and_then(|event| event.event_time.as_ref())),
        moment(events.last().and_then(|event| event.event_time.as_ref())),
    );
    let size = [WIDTH, bottom + FOOT].map(|side| side as u32);
    let mut svg = Svg::new("timeline", size[0], size[1], "Steps by stage", &description);
    let middle = |lane: usize| TOP + LANE * (lane as f64 + 0.5);
    for (lane, stage) in lanes.iter().enumerate() {
        let y = middle(lane);
        svg.line("axis", [SIDES[0], y], [SIDES[1], y]);
        svg.label("soft", [SIDES[0] - 10.0, y + 4.0], "end", &title(stage));
    }
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return svg.finish();
    };
    let (begin, end) = (seconds(first).0 as f64, seconds(last).0 as f64);
    let place = |event: &v1::Event| {
        let passed = (seconds(event).0 as f64 - begin) / (end - begin).max(1.0);
        let lane = lanes.iter().position(|lane| *lane == event.stage);
        let x = SIDES[0] + 8.0 + passed * (SIDES[1] - SIDES[0] - 16.0);
        [x, middle(lane.unwrap_or(0))]
    };
    let mut path = String::new();
    let mut before: Option<[f64; 2]> = None;
    for event in &events {
        let [x, y] = place(event);
        match before {
            None => path.push_str(&format!("M{} {}", at(x), at(y))),
            // they stay where they are until the next step
            Some(_) => path.push_str(&format!("H{}V{}", at(x), at(y))),
        }
        before = Some([x, y]);
    }
    svg.path("over", &path, "");
    for event in &events {
        let is_sale = event.event_type == "purchase";
        let class = match because(event).is_empty() {
            true => "point",
            false => "mooddot",
        };
        let mut tip = format!(
            "{}: {}",
            moment(event.event_time.as_ref()),
            happened(event, wording)
        );
        for why in because(event) {
            tip.push_str(", ");
            tip.push_str(why);
        }
        svg.dot(class, place(event), if is_sale { 6.5 } else { 3.5 }, &tip);
    }
    let foot = bottom + 16.0;
    let dates = [(SIDES[0], "start", first), (SIDES[1], "end", last)];
    for (x, anchor, event) in dates {
        let day = long_day(&event.event_time.unwrap_or_default());
        svg.label("small", [x, foot], anchor, &day);
    }
    let legend = "Large dots are orders; amber ones came of a recommendation or an offer.";
    svg.label("small", [SIDES[0], foot + 18.0], "start", legend);
    svg.finish()
}

/// The steps as rows, the newest first; the first row is their names.
pub(super) fn rows(events: &[v1::Event], names: &HashMap<String, String>) -> Vec<Vec<String>> {
    let heads = [
        "event_time",
        "event_type",
        "stage",
        "touchpoint",
        "product_id",
        "product",
        "quantity",
        "unit_price",
        "currency_code",
        "order_id",
        "rating",
        "offer_id",
        "campaign_id",
        "search_query",
        "recommended",
        "with_offer",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for event in in_time(events).into_iter().rev() {
        let time = event.event_time.as_ref();
        rows.push(vec![
            time.map_or_else(String::new, ToString::to_string),
            event.event_type.clone(),
            event.stage.clone(),
            event.touchpoint.clone(),
            event.product_id.clone(),
            names.get(&event.product_id).cloned().unwrap_or_default(),
            text(event.quantity.filter(|_| !event.product_id.is_empty())),
            text(event.unit_price),
            event.currency_code.clone(),
            event.order_id.clone(),
            text(event.rating),
            event.offer_id.clone(),
            event.campaign_id.clone(),
            event.search_query.clone(),
            event.recommended.to_string(),
            event.with_offer.to_string(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seconds: i64, kind: &str, stage: &str) -> v1::Event {
        v1::Event {
            event_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
            event_type: kind.to_owned(),
            stage: stage.to_owned(),
            ..v1::Event::default()
        }
    }

    /// Newest first in the order of arrival: the first one came late.
    fn sample() -> Vec<v1::Event> {
        let mut bought = event(300_000, "purchase", "purchase");
        (bought.recommended, bought.with_offer) = (true, true);
        vec![
            event(200_000, "view_item", "consideration"),
            bought,
            event(100_000, "page_view", "awareness"),
        ]
    }

    #[test]
    fn steps_stand_in_the_order_of_time_with_the_stages_they_led_to() {
        let (names, places) = (HashMap::new(), Places::default());
        let wording = Wording {
            names: &names,
            places: &places,
        };
        let days = days(&sample(), wording);
        let lines: Vec<_> = days.iter().flat_map(|day| &day.events).collect();
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.text.as_str(), line.came_to.as_deref()))
            .collect();
        let wanted = [
            ("Purchase", Some("purchase")),
            ("View item", Some("consideration")),
            ("Page view", None),
        ];
        assert_eq!(told, wanted);
        assert_eq!(lines[0].because, ["was recommended", "came with an offer"]);
        assert_eq!(days.len(), 3);
    }

    #[test]
    fn a_step_is_where_the_map_has_it() {
        let recipes = crate::application::recipes::Recipes::embedded().unwrap();
        let names = HashMap::new();
        let wording = Wording {
            names: &names,
            places: &recipes.places,
        };
        let at = |kind: &str, touchpoint: &str| {
            let mut step = event(0, kind, "");
            step.touchpoint = touchpoint.to_owned();
            wording.place(&step)
        };
        assert_eq!(at("view_item", "site"), "product page (website)");
        assert_eq!(at("page_view", "site"), "website");
        assert_eq!(at("page_view", "search"), "organic search");
        assert_eq!(at("ad_click", "social_ad"), "social ad");
        assert_eq!(at("add_to_cart", "sales_team"), "sales team");
    }

    #[test]
    fn the_picture_has_a_dot_for_each_step_and_the_rows_say_the_same() {
        let stages = ["awareness", "consideration"].map(str::to_owned);
        let (names, places) = (HashMap::new(), Places::default());
        let wording = Wording {
            names: &names,
            places: &places,
        };
        let text = picture(&sample(), &stages, wording);
        let read = roxmltree::Document::parse(&text).unwrap();
        let dots = read.descendants().filter(|n| n.has_tag_name("circle"));
        assert_eq!(dots.count(), 3);
        assert!(text.contains("came with an offer"));
        // a stage that the journey has no more is there all the same
        assert!(text.contains(">Purchase</text>"), "{text}");
        let rows = rows(&sample(), &HashMap::new());
        let kinds: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(kinds, ["event_type", "purchase", "view_item", "page_view"]);
        assert_eq!(rows[0][14..], ["recommended", "with_offer"]);
        assert_eq!(rows[1][14..], ["true", "true"]);
        let none = picture(&[], &stages, wording);
        assert!(roxmltree::Document::parse(&none).is_ok());
    }
}
