//! The funnel by touchpoint: how many passed it, how many moved on, and how many were last seen there.

use askama::Template;
use tonic::Status;

use super::asked::Picked;
use super::format::{NONE, count, cut, money, share, title};
use super::map::{feeling, flow_rows};
use super::parts::{Downloads, Frame, Notice, Page, Picker, Table, Window, counting, is_fresh};
use super::svg::Svg;
use crate::proto::v1;

/// The most touchpoints of the picture, those most passed.
const MAX_ROWS: usize = 40;
/// The most flows of the table.
const MAX_FLOWS: usize = 40;
const ROW: f64 = 26.0;
const LEFT: f64 = 250.0;
const WIDE: f64 = 560.0;

#[derive(Template)]
#[template(
    path = "touchpoints.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct TouchpointsPage {
    frame: Frame,
    picker: Picker,
    notice: Option<Notice>,
    counting: Option<String>,
    is_fresh: bool,
    view: Option<View>,
}

struct View {
    window: String,
    picture: String,
    downloads: Downloads,
    table: Table,
    flows: Table,
    flows_csv: String,
}

/// The page.
pub(super) fn page(
    shop: &str,
    picked: &Picked,
    map: &Result<v1::JourneyMap, Status>,
    personas: &[v1::Persona],
) -> askama::Result<String> {
    let known = map.as_ref().ok();
    let failed = map.as_ref().err();
    TouchpointsPage {
        frame: Frame::new(Page::Touchpoints, shop, picked),
        picker: Picker::new(Page::Touchpoints, picked, known, personas),
        notice: failed.map(|status| Notice::of("Touchpoints cannot be shown", status)),
        counting: known.and_then(|map| counting(map.count_state.as_ref())),
        is_fresh: known.is_some_and(|map| is_fresh(map.count_state.as_ref())),
        view: known.map(|map| view(picked, map)),
    }
    .render()
}

fn view(picked: &Picked, map: &v1::JourneyMap) -> View {
    let window = Window::of(map.count_state.as_ref());
    let query = picked.query();
    let end = |name: &str, outside: &str| match name {
        "" => outside.to_owned(),
        name => title(name),
    };
    let flows = map.touchpoint_flows.iter().take(MAX_FLOWS).map(|flow| {
        vec![
            end(&flow.from, "From outside"),
            end(&flow.to, "Lost"),
            count(flow.count),
        ]
    });
    View {
        window: window.map_or_else(String::new, |window| window.words()),
        picture: picture(map),
        downloads: Downloads::at("/dashboard/touchpoints", &query, "the funnel"),
        table: table(map),
        flows: Table::new(
            "The largest moves between touchpoints",
            &["From", "To", "Moves"],
            flows.collect(),
        ),
        flows_csv: format!("/dashboard/touchpoint-flows.csv{query}"),
    }
}

/// Every touchpoint with its stage.
fn all(map: &v1::JourneyMap) -> impl Iterator<Item = (&str, &v1::JourneyTouchpoint)> {
    map.stages.iter().flat_map(|stage| {
        let touchpoints = stage.touchpoints.iter();
        touchpoints.map(|touchpoint| (stage.stage.as_str(), touchpoint))
    })
}

/// One bar for each touchpoint, those most passed of all, by stage.
pub(super) fn picture(map: &v1::JourneyMap) -> String {
    let mut passed: Vec<i64> = all(map).map(|(_, t)| t.stay_count).collect();
    passed.sort_unstable_by(|a, b| b.cmp(a));
    let least = passed.get(MAX_ROWS - 1).copied().unwrap_or(0).max(1);
    let mut rows: Vec<(&str, &v1::JourneyTouchpoint)> = all(map)
        .filter(|(_, touchpoint)| touchpoint.stay_count >= least)
        .collect();
    rows.truncate(MAX_ROWS);
    let most = passed.first().copied().unwrap_or(0).max(1) as f64;
    let stages = rows.chunk_by(|a, b| a.0 == b.0).count();
    let height = 44.0 + ROW * (rows.len() + stages) as f64;
    let described = rows.iter().map(|(stage, t)| {
        format!(
            "{} in {}: {} passed, {} moved on, {} were lost.",
            title(&t.touchpoint),
            stage,
            count(t.stay_count),
            count(t.moved_on_count),
            count(t.left_here_count)
        )
    });
    let described: Vec<String> = described.collect();
    let mut svg = Svg::new(
        "touchpoints",
        1_000,
        height as u32,
        "Funnel by touchpoint",
        &described.join(" "),
    );
    for (x, class, name) in [
        (LEFT, "all", "passed, then went back or was lost elsewhere"),
        (LEFT + 280.0, "on", "moved on"),
        (LEFT + 380.0, "lost", "lost here"),
    ] {
        svg.bar(class, [x, 4.0], [14.0, 14.0], "");
        svg.label("small", [x + 20.0, 15.0], "start", name);
    }
    if rows.is_empty() {
        svg.label(
            "soft",
            [LEFT, 38.0],
            "start",
            "nobody was seen at a touchpoint in this window",
        );
    }
    let mut y = 30.0;
    for group in rows.chunk_by(|a, b| a.0 == b.0) {
        svg.label("strong", [0.0, y + 19.0], "start", &title(group[0].0));
        y += ROW;
        for (stage, touchpoint) in group {
            row(&mut svg, y, stage, touchpoint, most);
            y += ROW;
        }
    }
    svg.finish()
}

fn row(svg: &mut Svg, y: f64, stage: &str, touchpoint: &v1::JourneyTouchpoint, most: f64) {
    let long = |people: i64| WIDE * (people.max(0) as f64 / most).min(1.0);
    let name = cut(&title(&touchpoint.touchpoint), 32);
    let name = match touchpoint.home_stage.as_str() {
        "" => format!("{name} (not in journey.toml)"),
        _ => name,
    };
    svg.label("label", [LEFT - 12.0, y + 15.0], "end", &name);
    let stays = touchpoint.stay_count.max(1) as f64;
    let tip = format!(
        "{} in {stage}: {} passed, {} moved on ({}), {} lost here ({})",
        title(&touchpoint.touchpoint),
        count(touchpoint.stay_count),
        count(touchpoint.moved_on_count),
        share(touchpoint.moved_on_count as f64 / stays),
        count(touchpoint.left_here_count),
        share(touchpoint.left_here_count as f64 / stays)
    );
    let (on, lost, whole) = (
        long(touchpoint.moved_on_count),
        long(touchpoint.left_here_count),
        long(touchpoint.stay_count),
    );
    svg.bar("all", [LEFT, y + 2.0], [whole, 18.0], &tip);
    svg.bar("on", [LEFT, y + 2.0], [on, 18.0], &tip);
    svg.bar(
        "lost",
        [LEFT + on, y + 2.0],
        [lost.min((whole - on).max(0.0)), 18.0],
        &tip,
    );
    let told = format!(
        "{}, {} lost",
        count(touchpoint.stay_count),
        share(touchpoint.left_here_count as f64 / stays)
    );
    svg.label("small", [LEFT + whole + 8.0, y + 15.0], "start", &told);
}

fn table(map: &v1::JourneyMap) -> Table {
    let heads = [
        "Touchpoint",
        "In stage",
        "Belongs to",
        "Events",
        "Passed",
        "Moved on",
        "Lost here",
        "Orders",
        "Revenue",
        "Feeling (−1 to 1)",
    ];
    let is_used = |touchpoint: &v1::JourneyTouchpoint| {
        let orders = touchpoint.sales.unwrap_or_default().order_count;
        touchpoint.event_count > 0 || touchpoint.stay_count > 0 || orders > 0
    };
    let unused = all(map).filter(|(_, touchpoint)| !is_used(touchpoint));
    let caption = match unused.count() {
        0 => "Touchpoints by stage".to_owned(),
        unused => format!(
            "Touchpoints by stage; at {} more of journey.toml nobody was seen",
            count(unused as i64)
        ),
    };
    let used = all(map).filter(|(_, touchpoint)| is_used(touchpoint));
    let rows = used.map(|(stage, touchpoint)| {
        let sales = touchpoint.sales.unwrap_or_default();
        let home = match touchpoint.home_stage.as_str() {
            "" => NONE.to_owned(),
            home => title(home),
        };
        vec![
            title(&touchpoint.touchpoint),
            title(stage),
            home,
            count(touchpoint.event_count),
            count(touchpoint.stay_count),
            count(touchpoint.moved_on_count),
            count(touchpoint.left_here_count),
            count(sales.order_count),
            money(sales.revenue, &map.currency_code),
            feeling(touchpoint.emotion.as_ref()),
        ]
    });
    Table::new(&caption, &heads, rows.collect())
}

/// The touchpoints as rows, the first one their names.
pub(super) fn rows(map: &v1::JourneyMap) -> Vec<Vec<String>> {
    let heads = [
        "stage",
        "touchpoint",
        "home_stage",
        "events",
        "passed",
        "moved_on",
        "left_here",
        "orders",
        "revenue",
        "currency",
        "feeling",
        "answers",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (stage, touchpoint) in all(map) {
        let sales = touchpoint.sales.unwrap_or_default();
        let felt = touchpoint.emotion;
        rows.push(vec![
            stage.to_owned(),
            touchpoint.touchpoint.clone(),
            touchpoint.home_stage.clone(),
            touchpoint.event_count.to_string(),
            touchpoint.stay_count.to_string(),
            touchpoint.moved_on_count.to_string(),
            touchpoint.left_here_count.to_string(),
            sales.order_count.to_string(),
            sales.revenue.to_string(),
            map.currency_code.clone(),
            felt.map_or_else(String::new, |felt| felt.value.to_string()),
            felt.map_or_else(String::new, |felt| felt.response_count.to_string()),
        ]);
    }
    rows
}

/// The moves between touchpoints as rows, the first one their names.
pub(super) fn moves(map: &v1::JourneyMap) -> Vec<Vec<String>> {
    flow_rows(&map.touchpoint_flows)
}
