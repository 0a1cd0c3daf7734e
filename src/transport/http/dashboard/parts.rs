//! What several pages have: the frame with its navigation, the pickers, tables, and notices of what went wrong.

use askama::Template;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::asked::{BREAKDOWNS, Picked};
use super::format::{clock, count, day, day_after, drawn, long_day, share, title};
use crate::proto::v1;

/// The pages, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Journey,
    Kpis,
    Touchpoints,
    Personas,
    Customers,
    Models,
    Offers,
}

impl Page {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Journey,
        Self::Kpis,
        Self::Touchpoints,
        Self::Personas,
        Self::Customers,
        Self::Models,
        Self::Offers,
    ];

    /// Where it is.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Journey => "/dashboard",
            Self::Kpis => "/dashboard/kpis",
            Self::Touchpoints => "/dashboard/touchpoints",
            Self::Personas => "/dashboard/personas",
            Self::Customers => "/dashboard/customers",
            Self::Models => "/dashboard/models",
            Self::Offers => "/dashboard/offers",
        }
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Journey => "Journey",
            Self::Kpis => "Key figures",
            Self::Touchpoints => "Touchpoints",
            Self::Personas => "Personas",
            Self::Customers => "Customers",
            Self::Models => "Models",
            Self::Offers => "Offers",
        }
    }

    /// Whether it shows what is counted, and nothing of one person.
    fn is_live(self) -> bool {
        self.has_picker() || matches!(self, Self::Personas | Self::Offers)
    }

    /// Whether what is looked at is picked there.
    pub(super) fn has_picker(self) -> bool {
        matches!(self, Self::Journey | Self::Kpis | Self::Touchpoints)
    }
}

/// A way to somewhere.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) current: bool,
}

/// The frame of a page.
pub(super) struct Frame {
    /// What the page is about; the window's title begins with it.
    pub(super) title: String,
    /// What the shop is called; empty: it does not say.
    pub(super) shop: String,
    pub(super) links: Vec<Link>,
    pub(super) style: String,
    pub(super) script: String,
    /// Whether the page asks for itself again where there is no JavaScript.
    pub(super) refresh: bool,
    /// Whether what is counted moves by itself where there is.
    pub(super) live: bool,
    /// When it was made.
    pub(super) drawn: String,
}

impl Frame {
    /// Of a page of a shop; what was picked goes along to the pages that have the same pickers.
    pub(super) fn new(page: Page, shop: &str, picked: &Picked) -> Self {
        let kept = Picked {
            breakdown: String::new(),
            ..picked.clone()
        };
        let links = Page::ALL.map(|other| Link {
            href: match other.has_picker() {
                true => format!("{}{}", other.path(), kept.query()),
                false => other.path().to_owned(),
            },
            label: other.name().to_owned(),
            current: other == page,
        });
        Self {
            title: page.name().to_owned(),
            shop: shop.to_owned(),
            links: links.into(),
            style: super::assets::style_href(),
            script: super::assets::script_href(),
            refresh: false,
            live: page.is_live(),
            drawn: drawn(std::time::SystemTime::now()),
        }
    }
}

/// What went wrong, in words.
#[derive(Template)]
#[template(
    path = "notice.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
pub(super) struct Notice {
    pub(super) heading: String,
    pub(super) text: String,
    pub(super) faults: Vec<String>,
}

impl Notice {
    /// Of an error; `what` could not be done.
    pub(super) fn of(what: &str, status: &Status) -> Self {
        let details = status.get_error_details();
        let faults = details.bad_request().map_or_else(Vec::new, |bad| {
            let faults = bad.field_violations.iter();
            faults
                .map(|fault| {
                    format!(
                        "{}: {}",
                        labelled(&fault.field),
                        reworded(&fault.description)
                    )
                })
                .collect()
        });
        Self {
            heading: what.to_owned(),
            // the message repeats the first of them
            text: match faults.is_empty() {
                true => status.message().to_owned(),
                false => String::new(),
            },
            faults,
        }
    }
}

/// What the form calls a field of the API; others stay as they are.
fn labelled(field: &str) -> &str {
    match field.rsplit('.').next().unwrap_or(field) {
        "start_date" | "start_time" => "From",
        "end_date" | "end_time" => "To",
        "persona_id" => "Persona",
        "segment" => "Segment",
        "touchpoint" => "Touchpoint",
        "breakdown" => "Breakdown",
        "customer_id" => "Customer id",
        "visitor_id" => "Visitor id",
        "page_token" => "The link to this part",
        _ => field,
    }
}

fn reworded(description: &str) -> String {
    description
        .replace("start_time", "“From”")
        .replace("end_time", "“To”")
}

/// A table; the first cell of a row is its head.
#[derive(Template)]
#[template(
    path = "table.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(caption: &str, heads: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self {
            caption: caption.to_owned(),
            heads: heads.iter().map(ToString::to_string).collect(),
            rows,
        }
    }
}

/// One of what can be picked.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

impl Choice {
    fn all<'a>(
        picked: &str,
        any: &str,
        there: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Vec<Self> {
        let mut choices = vec![Self {
            value: String::new(),
            label: any.to_owned(),
            chosen: picked.is_empty(),
        }];
        for (value, label) in there {
            choices.push(Self {
                value: value.to_owned(),
                label,
                chosen: value == picked,
            });
        }
        if !choices.iter().any(|choice| choice.chosen) {
            // what was asked for and is not there stays visible
            choices.push(Self {
                value: picked.to_owned(),
                label: picked.to_owned(),
                chosen: true,
            });
        }
        choices
    }
}

/// The form that says what is looked at.
#[derive(Template)]
#[template(
    path = "picker.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
pub(super) struct Picker {
    pub(super) action: &'static str,
    pub(super) start_date: String,
    pub(super) end_date: String,
    pub(super) windows: Vec<Link>,
    pub(super) selects: Vec<Select>,
}

/// One list of the form.
pub(super) struct Select {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) choices: Vec<Choice>,
}

/// The windows that are one click away, in days.
const WINDOWS: [i64; 4] = [7, 28, 90, 365];
const DAY_S: i64 = 86_400;

impl Picker {
    /// Of a page, for the map and the personas there are.
    pub(super) fn new(
        page: Page,
        picked: &Picked,
        map: Option<&v1::JourneyMap>,
        personas: &[v1::Persona],
    ) -> Self {
        let named = |names: &'_ [String]| -> Vec<(String, String)> {
            names.iter().map(|n| (n.clone(), title(n))).collect()
        };
        let segments = map.map_or_else(Vec::new, |map| named(&map.segments));
        let touchpoints = map.map_or_else(Vec::new, |map| named(&map.touchpoints));
        let borrowed = |names: &'static str,
                        label: &'static str,
                        any: &str,
                        picked: &str,
                        there: &[(String, String)]| {
            let there = there
                .iter()
                .map(|(value, label)| (value.as_str(), label.clone()));
            Select {
                name: names,
                label,
                choices: Choice::all(picked, any, there),
            }
        };
        let mut selects = vec![
            Select {
                name: "persona_id",
                label: "Persona",
                choices: Choice::all(
                    &picked.persona_id,
                    "Everybody",
                    personas
                        .iter()
                        .map(|p| (p.persona_id.as_str(), p.name.clone())),
                ),
            },
            borrowed(
                "segment",
                "Segment",
                "Every segment",
                &picked.segment,
                &segments,
            ),
            borrowed(
                "touchpoint",
                "Touchpoint",
                "Every touchpoint",
                &picked.touchpoint,
                &touchpoints,
            ),
        ];
        if page == Page::Kpis {
            let there = BREAKDOWNS.map(|(name, _)| (name, format!("By {name}")));
            selects.push(Select {
                name: "breakdown",
                label: "Breakdown",
                choices: Choice::all(&picked.breakdown, "None", there),
            });
        }
        let window = map.and_then(|map| Window::of(map.count_state.as_ref()));
        let windows = window.map_or_else(Vec::new, |window| {
            let known = WINDOWS.into_iter().filter(|days| window.is_known(*days));
            known.map(|days| window.link(page, picked, days)).collect()
        });
        Self {
            action: page.path(),
            start_date: picked.start_date.clone(),
            end_date: picked.end_date.clone(),
            windows,
            selects,
        }
    }
}

/// The days an answer is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    start: prost_types::Timestamp,
    /// Any moment of the last day.
    last: prost_types::Timestamp,
    /// Until when the last day is counted; absent: it is whole.
    until: Option<prost_types::Timestamp>,
    pub(super) days: i64,
    /// The midnight before the first thing that was counted; absent: the answer does not say.
    earliest: Option<prost_types::Timestamp>,
    /// The first day that is kept, if an older one was asked for.
    first_kept: Option<prost_types::Timestamp>,
}

impl Window {
    /// None where the answer does not say.
    pub(super) fn of(state: Option<&v1::CountState>) -> Option<Self> {
        let (start, end) = (state?.start_time?, state?.end_time?);
        let last = prost_types::Timestamp {
            // the end may be the midnight after the last day
            seconds: (end.seconds - i64::from(end.nanos == 0)).max(start.seconds),
            nanos: 0,
        };
        let days = last.seconds.div_euclid(DAY_S) - start.seconds.div_euclid(DAY_S) + 1;
        let is_whole = end.seconds.rem_euclid(DAY_S) == 0 && end.nanos == 0;
        Some(Self {
            start,
            last,
            until: (!is_whole).then_some(end),
            days,
            earliest: state?.earliest_time,
            first_kept: state?.first_kept_time,
        })
    }

    /// Whether as many days before it lie wholly after the first day that was counted: then it can be compared.
    pub(super) fn has_before(&self) -> bool {
        let before = self.start.seconds - self.days * DAY_S;
        self.earliest
            .is_none_or(|earliest| before > earliest.seconds)
    }

    /// What it is compared with, in words; absent: with nothing.
    pub(super) fn before(&self) -> Option<String> {
        let before = match self.days {
            1 => "the day before".to_owned(),
            days => format!("the {} days before", count(days)),
        };
        self.has_before().then_some(before)
    }

    /// Whether so many days until its end are known.
    fn is_known(&self, days: i64) -> bool {
        let first = day_start(&self.last) - (days - 1) * DAY_S;
        self.earliest
            .is_some_and(|earliest| first >= earliest.seconds)
    }

    /// `1 Nov 2026 to 28 Nov 2026, 28 days, the last until 14:05; counted since 20 Oct 2026, so there is no earlier
    /// window to compare with`.
    pub(super) fn words(&self) -> String {
        let mut days = self.days_in_words();
        if let Some(first) = &self.first_kept {
            let first = long_day(first);
            days.push_str(&format!(
                "; days before {first} were asked for, but are no longer kept"
            ));
        }
        match self.earliest.filter(|_| !self.has_before()) {
            None => days,
            Some(earliest) => {
                let since = long_day(&earliest);
                format!(
                    "{days}; counted since {since}, so there is no earlier window to compare with"
                )
            }
        }
    }

    fn days_in_words(&self) -> String {
        let (start, last) = (long_day(&self.start), long_day(&self.last));
        let until = self.until.as_ref().map(clock);
        match (self.days, until) {
            (1, None) => last,
            (1, Some(until)) => format!("{last} until {until}"),
            (days, None) => format!("{start} to {last}, {} days", count(days)),
            // a part of a day is less than a whole one, also in the comparison with the days before
            (days, Some(until)) => {
                format!(
                    "{start} to {last}, {} days, the last until {until}",
                    count(days)
                )
            }
        }
    }

    fn link(&self, page: Page, picked: &Picked, days: i64) -> Link {
        let there = Picked {
            start_date: day_after(&self.last, -(days - 1) * DAY_S),
            end_date: day(&self.last),
            ..picked.clone()
        };
        Link {
            href: format!("{}{}", page.path(), there.query()),
            label: format!("{days} days"),
            current: self.days == days,
        }
    }
}

fn day_start(time: &prost_types::Timestamp) -> i64 {
    time.seconds.div_euclid(DAY_S) * DAY_S
}

/// Whether the shop has seen nothing at all yet: then pages say what to do first.
pub(super) fn is_fresh(state: Option<&v1::CountState>) -> bool {
    state.is_some_and(|state| state.complete && state.newest_event_time.is_none())
}

/// Says so while the past is being counted.
pub(super) fn counting(state: Option<&v1::CountState>) -> Option<String> {
    let state = state.filter(|state| !state.complete)?;
    let progress = share(state.progress.clamp(0.0, 1.0));
    Some(format!(
        "The past is still being counted ({progress} so far): figures are too low until that is done."
    ))
}

/// The links under a chart.
pub(super) struct Downloads {
    /// What they bring, for who hears the links without the chart.
    pub(super) of: String,
    pub(super) svg: String,
    pub(super) csv: String,
}

impl Downloads {
    /// Of a chart at `path`, with the same query.
    pub(super) fn at(path: &str, query: &str, of: &str) -> Self {
        Self {
            of: of.to_owned(),
            svg: format!("{path}.svg{query}"),
            csv: format!("{path}.csv{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of whole days that ends at midnight, of a shop that was first seen so many days before its end.
    fn window(days: i64, known: i64) -> Window {
        let time = |day: i64| {
            Some(prost_types::Timestamp {
                seconds: (20_000 + day) * DAY_S,
                nanos: 0,
            })
        };
        let state = v1::CountState {
            complete: true,
            newest_event_time: time(1),
            start_time: time(-days),
            end_time: time(0),
            earliest_time: time(-known),
            ..v1::CountState::default()
        };
        Window::of(Some(&state)).unwrap()
    }

    #[test]
    fn a_window_is_compared_with_what_lies_wholly_after_the_first_day() {
        // the first day was seen in part
        assert_eq!(window(28, 56).before(), None);
        let before = window(28, 57).before();
        assert_eq!(before.as_deref(), Some("the 28 days before"));
        assert_eq!(window(1, 3).before().as_deref(), Some("the day before"));
        assert!(!window(28, 57).words().contains("no earlier window"));
        let told = window(28, 56).words();
        assert!(
            told.ends_with("so there is no earlier window to compare with"),
            "{told}"
        );
        assert!(window(28, 90).is_known(90) && !window(28, 89).is_known(90));
        let cut = Window {
            first_kept: Some(window(28, 57).start),
            ..window(28, 57)
        };
        let told = cut.words();
        assert!(
            told.ends_with(
                "28 days; days before 6 Sep 2024 were asked for, but are no longer kept"
            ),
            "{told}"
        );
    }

    #[test]
    fn faults_are_said_once_in_the_words_of_the_form() {
        let mut faults = crate::domain::Faults::new();
        let code = crate::domain::FaultCode::OutOfRange;
        faults.add("selection.end_time", code, "must not be before start_time");
        let status = crate::application::AppError::Invalid(faults).into();
        let notice = Notice::of("It cannot be shown", &status);
        assert_eq!(notice.text, "");
        assert_eq!(notice.faults, ["To: must not be before “From”"]);
        let passing = Notice::of("It cannot be shown", &Status::unavailable("not now"));
        assert_eq!((&*passing.text, passing.faults.len()), ("not now", 0));
    }
}
