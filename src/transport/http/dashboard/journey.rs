//! The first page: where customers are lost and what it costs, the key figures, the map, the pain points.

use askama::Template;
use tonic::Status;

use super::asked::Picked;
use super::format::{about, count, moment, money, share, span, title, words};
use super::map;
use super::parts::{Downloads, Frame, Notice, Page, Picker, Table, Window, counting, is_fresh};
use super::svg::{Svg, at};
use super::{line, quality};
use crate::proto::v1;
use crate::proto::v1::pain_point::Comparison;

/// The most key figures on the first page.
const MAX_TILES: usize = 6;
/// The most pain points on the first page; the CSV has all that were found.
const MAX_PAINS: usize = 6;
/// The most flows of its table.
const MAX_FLOWS: usize = 60;

/// What the page is made of.
pub(super) struct Answers {
    pub(super) map: Result<v1::JourneyMap, Status>,
    pub(super) pains: Result<v1::ListPainPointsResponse, Status>,
    pub(super) kpis: Result<v1::GetKpisResponse, Status>,
    pub(super) personas: Vec<v1::Persona>,
}

#[derive(Template)]
#[template(
    path = "journey.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct JourneyPage {
    frame: Frame,
    picker: Picker,
    notice: Option<Notice>,
    counting: Option<String>,
    kpi_notice: Option<Notice>,
    pain_notice: Option<Notice>,
    view: Option<View>,
}

struct View {
    window: String,
    /// Until when anything is known.
    newest: String,
    is_fresh: bool,
    headline: String,
    /// What else is lost, where more than one place loses too many.
    others: Option<String>,
    subline: String,
    tiles: Vec<Tile>,
    /// Why some tiles are missing.
    tile_note: Option<String>,
    /// What the map shows of one touchpoint.
    map_note: Option<String>,
    map: String,
    downloads: Downloads,
    flows_csv: String,
    stages: Table,
    flows: Table,
    compared: String,
    pains: Vec<Pain>,
    pains_csv: String,
}

struct Tile {
    name: String,
    /// Where its definition and its days are.
    href: String,
    value: String,
    change: String,
    quality: &'static str,
    /// Where it counts, if only one touchpoint is looked at.
    place: Option<String>,
    spark: String,
}

struct Pain {
    number: usize,
    title: String,
    cost: String,
    numbers: String,
    place: String,
    certainty: String,
    picture: String,
    suggestions: Vec<String>,
    paths: Vec<String>,
}

/// The page.
pub(super) fn page(shop: &str, picked: &Picked, answers: &Answers) -> askama::Result<String> {
    let map = answers.map.as_ref().ok();
    let notice = |what: &str, status: Option<&Status>| status.map(|s| Notice::of(what, s));
    let frame = Frame::new(Page::Journey, shop, picked);
    let view = map.map(|map| view(picked, answers, map));
    JourneyPage {
        frame,
        picker: Picker::new(Page::Journey, picked, map, &answers.personas),
        notice: notice("The journey cannot be shown", answers.map.as_ref().err()),
        counting: map.and_then(|map| counting(map.count_state.as_ref())),
        kpi_notice: notice("Key figures cannot be shown", answers.kpis.as_ref().err()),
        pain_notice: notice("Pain points cannot be shown", answers.pains.as_ref().err()),
        view,
    }
    .render()
}

fn view(picked: &Picked, answers: &Answers, map: &v1::JourneyMap) -> View {
    let window = Window::of(map.count_state.as_ref());
    let days = window.map_or_else(|| "in this window".to_owned(), |w| span_of_days(w.days));
    let none = v1::ListPainPointsResponse::default();
    let found = answers.pains.as_ref().unwrap_or(&none);
    let pains = &found.pain_points[..found.pain_points.len().min(MAX_PAINS)];
    let currency = &found.currency_code;
    let is_known = answers.pains.is_ok();
    let (headline, subline) = headline(map, is_known.then_some(pains), currency, &days);
    let query = picked.query();
    View {
        window: window.map_or_else(String::new, |window| window.words()),
        newest: {
            let state = map.count_state.as_ref();
            moment(state.and_then(|state| state.newest_event_time.as_ref()))
        },
        is_fresh: is_fresh(map.count_state.as_ref()),
        headline,
        subline,
        others: others(pains, currency),
        tiles: answers
            .kpis
            .as_ref()
            .map_or_else(|_| Vec::new(), |kpis| tiles(picked, kpis, window)),
        tile_note: (!picked.touchpoint.is_empty()).then(|| {
            format!(
                "Figures that count nowhere at “{}” are left out: visits count where they begin, orders where they are \
                 placed.",
                words(&picked.touchpoint)
            )
        }),
        map_note: (!picked.touchpoint.is_empty()).then(|| {
            format!(
                "Of one touchpoint: who came to “{0}” in a stage, where they came from and where they went then. “Lost \
                 here” were last seen at “{0}”, as the key figures and the pain points count them; “lost elsewhere” \
                 came there, too, but did something else last.",
                words(&picked.touchpoint)
            )
        }),
        map: map::picture(map, pains, &picked.touchpoint),
        downloads: Downloads::at("/dashboard/map", &query, "the journey map"),
        flows_csv: format!("/dashboard/flows.csv{query}"),
        stages: stage_table(map),
        flows: flow_table(map),
        compared: compared(found),
        pains: (1..)
            .zip(pains)
            .map(|(i, pain)| card(i, pain, currency))
            .collect(),
        pains_csv: format!("/dashboard/pain-points.csv{query}"),
    }
}

/// When, in a sentence.
fn span_of_days(days: i64) -> String {
    match days {
        1 => "on this day".to_owned(),
        days => format!("in these {} days", count(days)),
    }
}

/// What a pain point counts, in words: of a category visits, of a touchpoint people.
struct Counted {
    who: &'static str,
    ended: &'static str,
    ended_of: &'static str,
    came: &'static str,
    worth: &'static str,
    too_many: &'static str,
}

impl Counted {
    fn of(pain: &v1::PainPoint) -> Self {
        match pain.category.as_str() {
            "" => Self {
                who: "customers",
                ended: "were lost",
                ended_of: "were lost",
                came: "who came",
                worth: "those would have bought next",
                too_many: "too many lost",
            },
            _ => Self {
                who: "visits",
                ended: "ended",
                ended_of: "visits ended",
                came: "visits that came",
                worth: "as many visits bring on average",
                too_many: "visits too many ended here",
            },
        }
    }
}

/// Where customers are lost, and what it costs, in two sentences.
fn headline(
    map: &v1::JourneyMap,
    pains: Option<&[v1::PainPoint]>,
    currency: &str,
    days: &str,
) -> (String, String) {
    if map
        .stages
        .iter()
        .all(|stage| stage.entered_count == 0 && stage.here_count == 0)
    {
        let subline = "Nobody was seen in this window. Choose another one, or write events first.";
        return (
            "There is nothing to show yet".to_owned(),
            subline.to_owned(),
        );
    }
    if let Some(worst) = pains.and_then(<[_]>::first) {
        let place = match worst.touchpoint.as_str() {
            "" => format!("in the stage {}", words(&worst.stage)),
            touchpoint => match worst.category.as_str() {
                "" => format!("at “{}”", words(touchpoint)),
                category => format!("at “{}” of {category}", words(touchpoint)),
            },
        };
        let counted = Counted::of(worst);
        let who = match worst.persona_name.as_str() {
            "" => counted.who.to_owned(),
            persona => format!("{} ({persona})", counted.who),
        };
        let headline = format!(
            "{} {} more {who} {} {place} than {}: about {}",
            title(days),
            number_of_people(worst.extra_lost_count),
            counted.ended,
            reference(worst),
            about(worst.lost_revenue, currency)
        );
        let subline = format!(
            "{} of the {} {} there did not go on: {}. Had it been {} as {}, {} more would have gone on; the money is \
             what {}.",
            count(worst.lost_count),
            count(worst.passed_count),
            counted.came,
            lost_share(worst),
            share(worst.expected_share),
            reference(worst),
            number_of_people(worst.extra_lost_count),
            counted.worth
        );
        return (headline, subline);
    }
    let most = map.stages.iter().max_by_key(|stage| stage.left_count);
    let (stage, left) = most.map_or(("", 0), |stage| (stage.stage.as_str(), stage.left_count));
    let where_most = format!(
        "Most people are lost in {}: {} {days}.",
        words(stage),
        count(left)
    );
    match pains {
        Some(_) => (
            "No place loses more customers than chance explains".to_owned(),
            where_most,
        ),
        None => (where_most, String::new()),
    }
}

/// The other places that lose too many, and what all of them cost.
fn others(pains: &[v1::PainPoint], currency: &str) -> Option<String> {
    let others = pains.get(1..).filter(|others| !others.is_empty())?;
    let places: Vec<String> = others
        .iter()
        .map(|pain| {
            let place = match pain.touchpoint.as_str() {
                "" => &pain.stage,
                touchpoint => touchpoint,
            };
            let category = match pain.category.as_str() {
                "" => String::new(),
                category => format!(" of {category}"),
            };
            format!(
                "“{}”{category} ({})",
                words(place),
                about(pain.lost_revenue, currency)
            )
        })
        .collect();
    let all = pains.iter().map(|pain| pain.lost_revenue).sum();
    Some(format!(
        "Too many are lost also at {}: about {} in all",
        places.join(", "),
        about(all, currency)
    ))
}

fn number_of_people(many: f64) -> String {
    match many.is_finite() {
        true => count(many.round() as i64),
        false => super::format::NONE.to_owned(),
    }
}

fn lost_share(pain: &v1::PainPoint) -> String {
    match pain.lost_share.and_then(|share| share.value) {
        Some(value) => share(value),
        None => share(pain.lost_count as f64 / (pain.passed_count.max(1)) as f64),
    }
}

/// What a pain point is compared with, in a sentence.
fn reference(pain: &v1::PainPoint) -> &'static str {
    match pain.comparison() {
        Comparison::Before => "in the weeks before",
        Comparison::Elsewhere | Comparison::Unspecified => "elsewhere",
    }
}

/// The same in a word.
fn reference_name(pain: &v1::PainPoint) -> &'static str {
    match pain.comparison() {
        Comparison::Before => "before",
        Comparison::Elsewhere | Comparison::Unspecified => "elsewhere",
    }
}

fn compared(found: &v1::ListPainPointsResponse) -> String {
    let places = count(found.compared_count);
    match found.pain_points.len() {
        0 => format!("{places} places were compared; none loses more people than chance explains."),
        1 => format!("{places} places were compared; one loses more people than chance explains."),
        many => format!(
            "{places} places were compared; {many} lose more people than chance explains. The costliest first."
        ),
    }
}

fn tiles(picked: &Picked, kpis: &v1::GetKpisResponse, window: Option<Window>) -> Vec<Tile> {
    let is_one_place = !picked.touchpoint.is_empty();
    let measured = kpis.kpis.iter().filter(|kpi| {
        let is = |value: Option<&v1::KpiValue>| {
            let value = value.and_then(|value| value.value);
            // of one touchpoint, what never counts there would be 0 for ever
            value.is_some_and(|value| !is_one_place || value.abs() > 0.0)
        };
        is(kpi.total.as_ref()) || is(kpi.before.as_ref())
    });
    let before = window.map_or(Some("the window before".to_owned()), |window| {
        window.before()
    });
    let tiles = measured.take(MAX_TILES).map(|kpi| {
        let change = quality::change(kpi, before.as_deref());
        let value = kpi.total.and_then(|total| total.value);
        Tile {
            name: kpi.title.clone(),
            href: format!(
                "{}{}#{}",
                Page::Kpis.path(),
                picked.query(),
                super::asked::encoded(&kpi.name)
            ),
            value: value.map_or_else(
                || super::format::NONE.to_owned(),
                |value| line::value(kpi.unit(), value, &kpis.currency_code),
            ),
            change: change.text,
            quality: change.quality,
            place: is_one_place.then(|| format!("Counts {}.", kpi.place_definition)),
            spark: line::small(kpi),
        }
    });
    tiles.collect()
}

fn stage_table(map: &v1::JourneyMap) -> Table {
    let heads = [
        "Stage",
        "Came",
        "New",
        "Returned",
        "Moved on",
        "Went back",
        "Lost",
        "Here now",
        "Median stay",
        "Lost after",
        "Orders",
        "Revenue",
        "Feeling (−1 to 1)",
    ];
    let rows = map.stages.iter().map(|stage| {
        let sales = stage.sales.unwrap_or_default();
        let stay = stage.median_stay_seconds;
        vec![
            title(&stage.stage),
            count(stage.entered_count),
            count(stage.new_count),
            count(stage.returned_count),
            count(stage.moved_on_count),
            count(stage.moved_back_count),
            match stage.left_elsewhere_count {
                0 => count(stage.left_count),
                elsewhere => format!(
                    "{} here, {} elsewhere",
                    count(stage.left_count),
                    count(elsewhere)
                ),
            },
            count(stage.here_count),
            stay.map_or_else(|| super::format::NONE.to_owned(), span),
            span(stage.horizon_seconds),
            count(sales.order_count),
            money(sales.revenue, &map.currency_code),
            map::feeling(stage.emotion.as_ref()),
        ]
    });
    Table::new("Stages", &heads, rows.collect())
}

fn flow_table(map: &v1::JourneyMap) -> Table {
    let rows = map.stage_flows.iter().take(MAX_FLOWS).map(|flow| {
        let end = |name: &str, outside: &str| match name {
            "" => outside.to_owned(),
            name => title(name),
        };
        vec![
            end(&flow.from, "From outside"),
            end(&flow.to, "Lost"),
            count(flow.count),
        ]
    });
    Table::new(
        "Moves between stages",
        &["From", "To", "Moves"],
        rows.collect(),
    )
}

fn card(number_of: usize, pain: &v1::PainPoint, currency: &str) -> Pain {
    let who = match pain.persona_name.as_str() {
        "" => "everybody".to_owned(),
        persona => persona.to_owned(),
    };
    let mut place = vec![
        format!("stage {}", words(&pain.stage)),
        format!("touchpoint {}", words(&pain.touchpoint)),
        who,
    ];
    if !pain.category.is_empty() {
        place.push(format!("category {}", pain.category));
    }
    let interval = pain.lost_share.and_then(|s| Some((s.low?, s.high?)));
    let interval = interval.map_or_else(String::new, |(low, high)| {
        format!("; 95 % interval {} to {}", share(low), share(high))
    });
    let paths = pain.example_paths.iter().map(|path| {
        let runs = path.steps.chunk_by(|a, b| a == b);
        let steps = runs.map(|run| {
            let step = run[0].replace('@', " at ").replace('_', " ");
            match run.len() {
                1 => step,
                times => format!("{step} ({times} times)"),
            }
        });
        steps.collect::<Vec<_>>().join(" → ")
    });
    Pain {
        number: number_of,
        title: title(&pain.title),
        cost: format!(
            "{} {}, about {}",
            number_of_people(pain.extra_lost_count),
            Counted::of(pain).too_many,
            about(pain.lost_revenue, currency)
        ),
        numbers: format!(
            "{} of {} {} here ({}{interval}); {} would be expected as {}.",
            count(pain.lost_count),
            count(pain.passed_count),
            Counted::of(pain).ended_of,
            lost_share(pain),
            share(pain.expected_share),
            reference(pain)
        ),
        place: place.join(" · "),
        certainty: format!(
            "of findings as clear as this at most {} in 1,000 are false",
            count((1_000.0 * pain.q_value).ceil().clamp(1.0, 1_000.0) as i64)
        ),
        picture: comparison(number_of, pain),
        suggestions: pain.suggestions.clone(),
        paths: paths.collect(),
    }
}

/// The share that was lost, with its interval, over the share that would be expected.
fn comparison(number_of: usize, pain: &v1::PainPoint) -> String {
    let lost = pain.lost_share.unwrap_or_default();
    let value = lost.value.unwrap_or_default();
    let most = [
        value,
        lost.high.unwrap_or_default(),
        pain.expected_share,
        0.05,
    ]
    .into_iter()
    .filter(|share| share.is_finite())
    .fold(0.0, f64::max);
    let x = |share: f64| 84.0 + 200.0 * (share / most).clamp(0.0, 1.0);
    let description = format!(
        "{} lost here; {} as {}",
        share(value),
        share(pain.expected_share),
        reference(pain)
    );
    let mut svg = Svg::new(
        &format!("pain-picture-{number_of}"),
        360,
        52,
        "Lost here and expected",
        &description,
    );
    let rows = [
        ("here", value, "lost", 4.0),
        (reference_name(pain), pain.expected_share, "all", 30.0),
    ];
    for (name, of, class, y) in rows {
        svg.label("small", [78.0, y + 12.0], "end", name);
        svg.bar(class, [84.0, y], [x(of) - 84.0, 16.0], "");
        svg.label(
            "small",
            [
                x(of.max(if class == "lost" {
                    lost.high.unwrap_or(of)
                } else {
                    of
                })) + 6.0,
                y + 12.0,
            ],
            "start",
            &share(of),
        );
    }
    if let (Some(low), Some(high)) = (lost.low, lost.high) {
        let (low, high) = (at(x(low)), at(x(high)));
        let ends: [(&str, &dyn std::fmt::Display); 4] =
            [("x1", &low), ("x2", &high), ("y1", &12), ("y2", &12)];
        svg.element("line", "range", &ends, "");
    }
    svg.finish()
}

/// The pain points as rows, the first one their names.
pub(super) fn pain_rows(found: &v1::ListPainPointsResponse) -> Vec<Vec<String>> {
    let heads = [
        "pain_point_id",
        "title",
        "stage",
        "touchpoint",
        "persona_id",
        "persona_name",
        "category",
        "comparison",
        "passed",
        "lost",
        "lost_share",
        "low",
        "high",
        "expected_share",
        "extra_lost",
        "lost_revenue",
        "currency",
        "q_value",
        "suggestions",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for pain in &found.pain_points {
        let lost = pain.lost_share.unwrap_or_default();
        let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        rows.push(vec![
            pain.pain_point_id.clone(),
            pain.title.clone(),
            pain.stage.clone(),
            pain.touchpoint.clone(),
            pain.persona_id.clone(),
            pain.persona_name.clone(),
            pain.category.clone(),
            reference_name(pain).to_owned(),
            pain.passed_count.to_string(),
            pain.lost_count.to_string(),
            text(lost.value),
            text(lost.low),
            text(lost.high),
            pain.expected_share.to_string(),
            pain.extra_lost_count.to_string(),
            pain.lost_revenue.to_string(),
            found.currency_code.clone(),
            pain.q_value.to_string(),
            pain.suggestions.join(" | "),
        ]);
    }
    rows
}
