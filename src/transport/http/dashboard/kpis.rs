//! Key figures by day, each with its definition, and broken down.

use askama::Template;
use tonic::Status;

use super::asked::Picked;
use super::format::{NONE, count};
use super::parts::{Downloads, Frame, Notice, Page, Picker, Table, Window, counting, is_fresh};
use super::{line, quality};
use crate::proto::v1;
use crate::proto::v1::get_kpis_request::Breakdown;
use crate::proto::v1::kpi::Unit;

/// The most groups of a table.
const MAX_GROUPS: usize = 60;

#[derive(Template)]
#[template(
    path = "kpis.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct KpisPage {
    frame: Frame,
    picker: Picker,
    notice: Option<Notice>,
    counting: Option<String>,
    window: String,
    is_fresh: bool,
    cards: Vec<Card>,
    all_csv: String,
}

struct Card {
    name: String,
    title: String,
    definition: String,
    place: Option<String>,
    value: String,
    change: String,
    quality: &'static str,
    samples: String,
    picture: String,
    downloads: Downloads,
    groups: Option<Table>,
}

/// The page.
pub(super) fn page(
    shop: &str,
    picked: &Picked,
    kpis: &Result<v1::GetKpisResponse, Status>,
    map: Option<&v1::JourneyMap>,
    personas: &[v1::Persona],
) -> askama::Result<String> {
    let known = kpis.as_ref().ok();
    let window = known.and_then(|known| Window::of(known.count_state.as_ref()));
    let failed = kpis.as_ref().err();
    KpisPage {
        frame: Frame::new(Page::Kpis, shop, picked),
        picker: Picker::new(Page::Kpis, picked, map, personas),
        notice: failed.map(|status| Notice::of("Key figures cannot be shown", status)),
        counting: known.and_then(|known| counting(known.count_state.as_ref())),
        window: window.map_or_else(String::new, |window| window.words()),
        is_fresh: known.is_some_and(|known| is_fresh(known.count_state.as_ref())),
        cards: known.map_or_else(Vec::new, |known| cards(picked, known, window)),
        all_csv: format!("/dashboard/kpis.csv{}", picked.query()),
    }
    .render()
}

fn cards(picked: &Picked, known: &v1::GetKpisResponse, window: Option<Window>) -> Vec<Card> {
    let before = window.map_or(Some("the window before".to_owned()), |window| {
        window.before()
    });

    let currency = &known.currency_code;
    let is_by_place = !picked.touchpoint.is_empty()
        || matches!(picked.breakdown(), Breakdown::Touchpoint | Breakdown::Stage);
    let cards = known.kpis.iter().map(|kpi| {
        let change = quality::change(kpi, before.as_deref());
        let samples = kpi.total.map_or(0, |total| total.sample_count);
        let path = format!("/dashboard/kpis/{}", super::asked::encoded(&kpi.name));
        Card {
            name: kpi.name.clone(),
            title: kpi.title.clone(),
            definition: kpi.definition.clone(),
            place: is_by_place.then(|| kpi.place_definition.clone()),
            value: line::with_interval(kpi.unit(), kpi.total.as_ref(), currency),
            change: change.text,
            quality: change.quality,
            // a count is of itself
            samples: match kpi.unit() {
                Unit::Count => String::new(),
                _ => format!("measured of {}", count(samples)),
            },
            picture: line::picture(kpi, currency),
            downloads: Downloads::at(&path, &picked.query(), &kpi.title),
            groups: groups(kpi, currency),
        }
    });
    cards.collect()
}

fn groups(kpi: &v1::Kpi, currency: &str) -> Option<Table> {
    if kpi.groups.is_empty() {
        return None;
    }
    // what never counts there is no figure of it
    let measured = |group: &&v1::KpiGroup| {
        let value = group.value.as_ref();
        value.is_some_and(|value| value.value.is_some() && value.sample_count > 0)
    };
    let is_count = kpi.unit() == Unit::Count;
    let rows = kpi
        .groups
        .iter()
        .filter(measured)
        .take(MAX_GROUPS)
        .map(|group| {
            let of = group.value.as_ref();
            let name = match group.title.as_str() {
                // a name of configuration
                "" => super::format::title(&group.key),
                name if name == group.key => super::format::title(name),
                name => name.to_owned(),
            };
            let mut row = vec![name, line::with_interval(kpi.unit(), of, currency)];
            if !is_count {
                row.push(of.map_or_else(|| NONE.to_owned(), |of| count(of.sample_count)));
            }
            row
        });
    let rest = kpi.groups.iter().filter(|group| !measured(group)).count();
    let caption = match rest {
        0 => format!("{} by group", kpi.title),
        rest => format!(
            "{} by group; of {} others nothing was measured",
            kpi.title,
            count(rest as i64)
        ),
    };
    let heads: &[&str] = match is_count {
        true => &["Group", "Value"],
        false => &["Group", "Value (95 % interval)", "Measured of"],
    };
    Some(Table::new(&caption, heads, rows.collect()))
}

/// Every key figure by day and by group as rows, the first one their names.
pub(super) fn rows(known: &v1::GetKpisResponse) -> Vec<Vec<String>> {
    let heads = [
        "kpi",
        "day",
        "group",
        "value",
        "low",
        "high",
        "sample_count",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for kpi in &known.kpis {
        for row in line::rows(kpi).into_iter().skip(1) {
            let mut row = row;
            row.insert(2, String::new());
            rows.push(row);
        }
        for group in &kpi.groups {
            let value = group.value.unwrap_or_default();
            // a row without a name would be one of all days
            let name = match group.key.as_str() {
                "" => &group.title,
                key => key,
            };
            rows.push(vec![
                kpi.name.clone(),
                String::new(),
                name.to_owned(),
                text(value.value),
                text(value.low),
                text(value.high),
                value.sample_count.to_string(),
            ]);
        }
    }
    rows
}
