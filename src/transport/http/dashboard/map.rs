//! The journey map as a picture: stages in order, flows forward between and above them, back below, people who come
//! from above, people who are lost dropping out; over it how people feel, on it the pain points.

use std::collections::HashMap;

use super::format::{NONE, count, cut, number, title};
use super::svg::{Svg, at};
use crate::proto::v1;

/// The width of the picture.
const WIDTH: f64 = 1_120.0;
const HEIGHT: f64 = 500.0;
/// Where the first stage begins, and how far from the right side the last one does: there is room for who comes and who
/// is lost.
const SIDES: [f64; 2] = [156.0, 134.0];
/// How wide a stage is.
const NODE: f64 = 64.0;
/// How high the largest stage is.
const TALLEST: f64 = 132.0;
/// The middle of the stages.
const MIDDLE: f64 = 300.0;
/// Where those who come begin.
const SKY: f64 = 196.0;
/// Where those who are lost end.
const GROUND: f64 = 444.0;
/// The emotion curve: the top (1) and the bottom (-1).
const MOOD: [f64; 2] = [18.0, 98.0];
/// The most stages that are drawn beside each other.
const MAX_STAGES: usize = 12;

/// One stage as it is drawn.
struct Node {
    /// Its left side.
    x: f64,
    top: f64,
    bottom: f64,
    /// What of its left side is taken, from the top.
    taken_left: f64,
    /// What of its right side is taken, from the top.
    taken_right: f64,
}

/// The moves of a map by their ends; empty names are the outside.
struct Flows<'a>(HashMap<(&'a str, &'a str), i64>);

impl Flows<'_> {
    fn of(&self, from: &str, to: &str) -> i64 {
        self.0.get(&(from, to)).copied().unwrap_or(0).max(0)
    }
}

/// Draws it. Pins are numbered in the order of `pains`. Of one `touchpoint`, if one was picked.
pub(super) fn picture(map: &v1::JourneyMap, pains: &[v1::PainPoint], touchpoint: &str) -> String {
    let is_one_place = !touchpoint.is_empty();
    let stages = &map.stages[..map.stages.len().min(MAX_STAGES)];
    let flows = Flows(
        map.stage_flows
            .iter()
            .map(|flow| ((flow.from.as_str(), flow.to.as_str()), flow.count))
            .collect(),
    );
    let mut svg = Svg::new(
        "map",
        WIDTH as u32,
        HEIGHT as u32,
        "Journey map",
        &description(stages),
    );
    let scale = scale(stages, &flows);
    let nodes = place(stages, &flows, scale);
    backward(&mut svg, stages, &nodes, &flows, scale);
    let nodes = forward(&mut svg, stages, nodes, &flows, scale);
    people(&mut svg, stages, nodes, scale, is_one_place);
    names(&mut svg, stages, is_one_place);
    mood(&mut svg, stages);
    pins(&mut svg, stages, pains);
    svg.finish()
}

/// What the picture shows, in words.
fn description(stages: &[v1::JourneyStage]) -> String {
    let each = stages.iter().map(|stage| {
        format!(
            "{}: {} came, {} moved on, {} went back, {} were lost{}.",
            title(&stage.stage),
            count(stage.entered_count),
            count(stage.moved_on_count),
            count(stage.moved_back_count),
            count(stage.left_count),
            match stage.left_elsewhere_count {
                0 => String::new(),
                elsewhere => format!(" here and {} elsewhere", count(elsewhere)),
            }
        )
    });
    let each: Vec<String> = each.collect();
    format!(
        "Stages from left to right, as high as people passed them. {}",
        each.join(" ")
    )
}

fn column(i: usize, stages: usize) -> f64 {
    let [left, right] = SIDES;
    let pitch = (WIDTH - left - right) / (stages.max(2) - 1) as f64;
    left + pitch * i as f64
}

/// Who comes into a stage from its left side, and who goes out to the right: what must have room there.
fn load(stages: &[v1::JourneyStage], flows: &Flows<'_>, i: usize) -> [f64; 2] {
    let own = &stages[i];
    let people = |count: i64| count.max(0) as f64;
    let before = stages[..i].iter();
    let before = before.map(|s| people(flows.of(&s.stage, &own.stage)));
    let behind = stages[i + 1..].iter();
    let behind = behind.map(|s| people(flows.of(&own.stage, &s.stage)));
    [
        before.sum::<f64>() + people(own.new_count) + people(own.returned_count),
        behind.sum::<f64>() + people(own.left_count) + people(own.left_elsewhere_count),
    ]
}

/// How high one person is.
fn scale(stages: &[v1::JourneyStage], flows: &Flows<'_>) -> f64 {
    let largest = (0..stages.len())
        .flat_map(|i| load(stages, flows, i))
        .fold(1.0, f64::max);
    TALLEST / largest
}

fn place(stages: &[v1::JourneyStage], flows: &Flows<'_>, scale: f64) -> Vec<Node> {
    let nodes = (0..stages.len()).map(|i| {
        let [left, right] = load(stages, flows, i);
        let height = (left.max(right) * scale).max(6.0);
        Node {
            x: column(i, stages.len()),
            top: MIDDLE - height / 2.0,
            bottom: MIDDLE + height / 2.0,
            taken_left: 0.0,
            taken_right: 0.0,
        }
    });
    nodes.collect()
}

fn told(from: &str, to: &str, moves: i64) -> String {
    format!("{} → {}: {}", title(from), title(to), count(moves))
}

/// Moves to earlier stages: arcs below.
fn backward(
    svg: &mut Svg,
    stages: &[v1::JourneyStage],
    nodes: &[Node],
    flows: &Flows<'_>,
    scale: f64,
) {
    for (i, from) in stages.iter().enumerate() {
        for (j, to) in stages[..i].iter().enumerate() {
            let moves = flows.of(&from.stage, &to.stage);
            if moves == 0 {
                continue;
            }
            let (a, b) = (&nodes[i], &nodes[j]);
            let far = (i - j) as f64;
            let wide = (moves as f64 * scale).clamp(1.0, NODE);
            // those that go farther leave and arrive nearer to the middle, so that arcs lie within each other
            let [x1, x2] = [a.x + NODE * 0.35, b.x + NODE * 0.65];
            let deep = 26.0 + 24.0 * far;
            let path = format!(
                "M{} {}C{} {} {} {} {} {}",
                at(x1),
                at(a.bottom),
                at(x1),
                at(a.bottom + deep * 1.3),
                at(x2),
                at(b.bottom + deep * 1.3),
                at(x2),
                at(b.bottom)
            );
            let tip = told(&from.stage, &to.stage, moves);
            svg.element(
                "path",
                "backward",
                &[("d", &path), ("stroke-width", &at(wide))],
                &tip,
            );
        }
    }
}

/// Moves to later stages: bands between neighbours, arcs above where stages are skipped.
fn forward(
    svg: &mut Svg,
    stages: &[v1::JourneyStage],
    mut nodes: Vec<Node>,
    flows: &Flows<'_>,
    scale: f64,
) -> Vec<Node> {
    for far in (1..stages.len()).rev() {
        for i in 0..stages.len() - far {
            let j = i + far;
            let moves = flows.of(&stages[i].stage, &stages[j].stage);
            if moves == 0 {
                continue;
            }
            let high = moves as f64 * scale;
            let (x1, x2) = (nodes[i].x + NODE, nodes[j].x);
            let y1 = nodes[i].top + nodes[i].taken_right;
            let y2 = nodes[j].top + nodes[j].taken_left;
            nodes[i].taken_right += high;
            nodes[j].taken_left += high;
            let tip = told(&stages[i].stage, &stages[j].stage, moves);
            if far == 1 {
                svg.path("forward", &band(x1, y1, x2, y2, high), &tip);
            } else {
                let reach = 60.0;
                let peak = (MIDDLE - TALLEST / 2.0 - 6.0 - 9.0 * far as f64).min(y1.min(y2) - 8.0);
                let [m1, m2] = [y1 + high / 2.0, y2 + high / 2.0];
                let path = format!(
                    "M{} {}C{} {} {} {} {} {}S{} {} {} {}",
                    at(x1),
                    at(m1),
                    at(x1 + reach),
                    at(m1),
                    at(x1 + reach * 0.6),
                    at(peak),
                    at(f64::midpoint(x1, x2)),
                    at(peak),
                    at(x2 - reach),
                    at(m2),
                    at(x2),
                    at(m2)
                );
                let wide = at(high.max(1.0));
                svg.element(
                    "path",
                    "over",
                    &[("d", &path), ("stroke-width", &wide)],
                    &tip,
                );
            }
        }
    }
    nodes
}

/// A band from one side to another one.
fn band(x1: f64, y1: f64, x2: f64, y2: f64, high: f64) -> String {
    let high = high.max(1.0);
    let middle = at(f64::midpoint(x1, x2));
    format!(
        "M{} {}C{middle} {} {middle} {} {} {}L{} {}C{middle} {} {middle} {} {} {}Z",
        at(x1),
        at(y1),
        at(y1),
        at(y2),
        at(x2),
        at(y2),
        at(x2),
        at(y2 + high),
        at(y2 + high),
        at(y1 + high),
        at(x1),
        at(y1 + high)
    )
}

/// The stages themselves, who comes from outside, and who is lost.
fn people(
    svg: &mut Svg,
    stages: &[v1::JourneyStage],
    nodes: Vec<Node>,
    scale: f64,
    is_one_place: bool,
) {
    for (stage, mut node) in stages.iter().zip(nodes) {
        let comes = [
            (stage.new_count, "new", "new"),
            (stage.returned_count, "returned", "returned"),
        ];
        let mut outside = 8.0;
        for (people, class, word) in comes {
            if people <= 0 {
                continue;
            }
            let wide = (people as f64 * scale).max(1.0);
            let tip = format!("{}: {} {word}", title(&stage.stage), count(people));
            // the outermost comes lowest, so that bands do not cross
            let y = node.top + node.taken_left;
            node.taken_left += wide;
            svg.path(class, &from_sky(node.x, y, wide, outside), &tip);
            outside += wide;
        }
        lost(svg, stage, &mut node, scale, is_one_place);
        let tip = format!(
            "{}: {} came, {} are here now",
            title(&stage.stage),
            count(stage.entered_count),
            count(stage.here_count)
        );
        svg.bar(
            "node",
            [node.x, node.top],
            [NODE, node.bottom - node.top],
            &tip,
        );
    }
}

/// Who is lost: at the touchpoint that was asked for, outside; having come there, but lost elsewhere, inside of it.
fn lost(svg: &mut Svg, stage: &v1::JourneyStage, node: &mut Node, scale: f64, is_one_place: bool) {
    let name = title(&stage.stage);
    let elsewhere = stage.left_elsewhere_count.max(0);
    let here = if is_one_place { " here" } else { "" };
    let told = [
        (stage.left_count, "left", format!("lost{here}")),
        (elsewhere, "aside", "lost elsewhere".to_owned()),
    ];
    let whole = (stage.left_count.max(0) + elsewhere) as f64 * scale;
    let x = node.x + NODE + 8.0 + whole.max(1.0) / 2.0;
    let (mut inside, mut line) = (whole, GROUND + 32.0);
    for (people, class, word) in told {
        if people <= 0 {
            continue;
        }
        let wide = (people as f64 * scale).max(1.0);
        inside = (inside - wide).max(0.0);
        let y = node.top + node.taken_right;
        node.taken_right += wide;
        let tip = format!("{name}: {} {word}", count(people));
        svg.path(class, &to_ground(node.x + NODE, y, wide, inside), &tip);
        let text = format!("{} {word}", count(people));
        let class = if class == "left" { "losstext" } else { "small" };
        svg.label(class, [x, line], "middle", &text);
        line += 16.0;
    }
}

/// A band that turns down from the right side of a stage to the ground, where it ends as an arrow, with so much
/// room for bands below it.
fn to_ground(x: f64, y: f64, wide: f64, inside: f64) -> String {
    let near = x + 8.0 + inside;
    let far = near + wide;
    let [x, near, far, tip] = [x, near, far, f64::midpoint(near, far)].map(at);
    let [top, turn] = [y, y + 8.0].map(at);
    let low = y + wide;
    let [low, inner, straight] = [low, low + 4.0, low + inside + 14.0].map(at);
    let [ground, end] = [GROUND, GROUND + 14.0].map(at);
    format!(
        "M{x} {top}C{far} {top} {far} {turn} {far} {straight}L{far} {ground}L{tip} {end}L{near} {ground}\
         L{near} {straight}C{near} {inner} {near} {low} {x} {low}Z"
    )
}

/// A band that comes from the sky, `outside` from the stage, and turns into its left side.
fn from_sky(x: f64, y: f64, wide: f64, outside: f64) -> String {
    let near = x - outside;
    let [x, near, far] = [x, near, near - wide].map(at);
    let [top, turn, low, outer] = [y, y - 6.0, y + wide, y - 14.0].map(at);
    let sky = at(SKY.min(y - 20.0));
    format!(
        "M{x} {top}C{near} {top} {near} {turn} {near} {outer}L{near} {sky}L{far} {sky}L{far} {outer}\
         C{far} {low} {far} {low} {x} {low}Z"
    )
}

/// The names of the stages, and how many came.
fn names(svg: &mut Svg, stages: &[v1::JourneyStage], is_one_place: bool) {
    for (i, stage) in stages.iter().enumerate() {
        let x = column(i, stages.len()) + NODE / 2.0;
        svg.label(
            "strong",
            [x, 134.0],
            "middle",
            &cut(&title(&stage.stage), 18),
        );
        // where others only go to, or come from
        let came = match (is_one_place, stage.entered_count) {
            (true, 0) => "nobody came there".to_owned(),
            (true, people) => format!("{} came there", count(people)),
            (false, people) => format!("{} came", count(people)),
        };
        svg.label("soft", [x, 152.0], "middle", &came);
        let new = match (stage.new_count, stage.returned_count) {
            (0, 0) => String::new(),
            (new, 0) => format!("{} new", count(new)),
            (0, back) => format!("{} returned", count(back)),
            (new, back) => format!("{} new, {} returned", count(new), count(back)),
        };
        if !new.is_empty() {
            svg.label("small", [x, 168.0], "middle", &new);
        }
    }
}

fn height(mood: f64) -> f64 {
    let [top, bottom] = MOOD;
    let mood = if mood.is_finite() { mood } else { 0.0 };
    bottom - (mood.clamp(-1.0, 1.0) + 1.0) / 2.0 * (bottom - top)
}

/// How people feel, with intervals; a stage without answers is a gap.
fn mood(svg: &mut Svg, stages: &[v1::JourneyStage]) {
    svg.label("small", [4.0, MOOD[0] + 4.0], "start", "happy (1)");
    svg.label("small", [4.0, MOOD[1] + 4.0], "start", "unhappy (−1)");
    svg.label("small", [4.0, height(0.0) + 4.0], "start", "neither");
    svg.line("zero", [92.0, height(0.0)], [WIDTH - 8.0, height(0.0)]);
    let x = |i| column(i, stages.len()) + NODE / 2.0;
    let known: Vec<(usize, &v1::Emotion)> = stages
        .iter()
        .enumerate()
        .filter_map(|(i, stage)| Some((i, stage.emotion.as_ref()?)))
        .collect();
    for run in known.chunk_by(|a, b| a.0 + 1 == b.0) {
        let points = |of: fn(&v1::Emotion) -> f64| -> Vec<String> {
            let points = run.iter();
            points
                .map(|(i, felt)| format!("{} {}", at(x(*i)), at(height(of(felt)))))
                .collect()
        };
        let (middle, high, mut low) = (points(|e| e.value), points(|e| e.high), points(|e| e.low));
        low.reverse();
        if run.len() > 1 {
            let band = format!("M{}L{}Z", high.join("L"), low.join("L"));
            svg.path("moodband", &band, "");
            svg.path("mood", &format!("M{}", middle.join("L")), "");
        } else {
            let (i, felt) = run[0];
            svg.line("mood", [x(i), height(felt.low)], [x(i), height(felt.high)]);
        }
    }
    for (i, felt) in known {
        let tip = format!(
            "{}: feeling {} ({} to {}), {} answers",
            title(&stages[i].stage),
            number(felt.value),
            number(felt.low),
            number(felt.high),
            count(felt.response_count)
        );
        svg.dot("mooddot", [x(i), height(felt.value)], 5.0, &tip);
    }
    if stages.iter().all(|stage| stage.emotion.is_none()) {
        svg.label(
            "small",
            [WIDTH / 2.0, height(0.0) - 8.0],
            "middle",
            "nobody has rated anything in this window",
        );
    }
}

/// Numbered pins where people are lost.
fn pins(svg: &mut Svg, stages: &[v1::JourneyStage], pains: &[v1::PainPoint]) {
    let mut used = vec![0_u32; stages.len()];
    for (number, pain) in (1..).zip(pains) {
        let Some(i) = stages.iter().position(|stage| stage.stage == pain.stage) else {
            continue;
        };
        let x = column(i, stages.len()) + NODE + 18.0 + f64::from(used[i] % 3) * 27.0;
        let y = GROUND - 22.0 - f64::from(used[i] / 3) * 27.0;
        used[i] += 1;
        svg.dot("pin", [x, y], 12.5, &format!("{number}. {}", pain.title));
        svg.label("pintext", [x, y + 4.5], "middle", &number.to_string());
    }
}

/// The stages of a map as rows, the first one their names.
pub(super) fn rows(map: &v1::JourneyMap) -> Vec<Vec<String>> {
    let heads = [
        "stage",
        "entered",
        "new",
        "returned",
        "moved_on",
        "moved_back",
        "left",
        "left_elsewhere",
        "joined",
        "here",
        "steps",
        "median_stay_seconds",
        "orders",
        "revenue",
        "currency",
        "feeling",
        "feeling_low",
        "feeling_high",
        "answers",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for stage in &map.stages {
        let sales = stage.sales.unwrap_or_default();
        let felt = stage.emotion.as_ref();
        let of = |part: fn(&v1::Emotion) -> String| felt.map_or_else(String::new, part);
        let stay = stage.median_stay_seconds;
        rows.push(vec![
            stage.stage.clone(),
            stage.entered_count.to_string(),
            stage.new_count.to_string(),
            stage.returned_count.to_string(),
            stage.moved_on_count.to_string(),
            stage.moved_back_count.to_string(),
            stage.left_count.to_string(),
            stage.left_elsewhere_count.to_string(),
            stage.joined_count.to_string(),
            stage.here_count.to_string(),
            stage.step_count.to_string(),
            stay.map_or_else(String::new, |stay| stay.to_string()),
            sales.order_count.to_string(),
            sales.revenue.to_string(),
            map.currency_code.clone(),
            of(|e| e.value.to_string()),
            of(|e| e.low.to_string()),
            of(|e| e.high.to_string()),
            of(|e| e.response_count.to_string()),
        ]);
    }
    rows
}

/// The moves between stages as rows, the first one their names; the outside is an empty name.
pub(super) fn flow_rows(flows: &[v1::JourneyFlow]) -> Vec<Vec<String>> {
    let mut rows = vec![["from", "to", "count"].map(str::to_owned).to_vec()];
    let each = flows
        .iter()
        .map(|flow| vec![flow.from.clone(), flow.to.clone(), flow.count.to_string()]);
    rows.extend(each);
    rows
}

/// How somebody feels, in a cell.
pub(super) fn feeling(felt: Option<&v1::Emotion>) -> String {
    felt.map_or_else(
        || NONE.to_owned(),
        |felt| {
            format!(
                "{} ({} to {})",
                number(felt.value),
                number(felt.low),
                number(felt.high)
            )
        },
    )
}
