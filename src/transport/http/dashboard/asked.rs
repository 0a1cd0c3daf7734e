//! What a page is asked for, in the query of its URL: the window, the persona, the segment, the touchpoint.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::{FaultCode, Faults, Timestamp};
use crate::proto::v1;
use crate::proto::v1::get_kpis_request::Breakdown;
use crate::transport::http::query::Parameters;

/// The parameters of what is looked at.
pub(super) const SELECTION: &[&str] = &[
    "start_date",
    "end_date",
    "persona_id",
    "segment",
    "touchpoint",
];
/// By what key figures may be broken down, as in the proto.
pub(super) const BREAKDOWNS: [(&str, Breakdown); 4] = [
    ("persona", Breakdown::Persona),
    ("segment", Breakdown::Segment),
    ("touchpoint", Breakdown::Touchpoint),
    ("stage", Breakdown::Stage),
];

/// What is looked at, as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picked {
    /// The first day, `2026-11-01`; empty: not said.
    pub(super) start_date: String,
    /// The last day.
    pub(super) end_date: String,
    pub(super) persona_id: String,
    pub(super) segment: String,
    pub(super) touchpoint: String,
    /// By what key figures are broken down; empty: by nothing.
    pub(super) breakdown: String,
}

impl Picked {
    /// Reads it, with every fault.
    pub(super) fn parse(query: &str) -> (Self, Faults) {
        let mut parameters = Parameters::parse(query, &[SELECTION, &["breakdown"]]);
        let picked = Self {
            start_date: parameters.text("start_date"),
            end_date: parameters.text("end_date"),
            persona_id: parameters.text("persona_id"),
            segment: parameters.text("segment"),
            touchpoint: parameters.text("touchpoint"),
            breakdown: parameters.text("breakdown"),
        };
        let faults = &mut parameters.faults;
        for (name, text) in [
            ("start_date", &picked.start_date),
            ("end_date", &picked.end_date),
        ] {
            if !text.is_empty() {
                faults.take(name, date(text));
            }
        }
        let names = BREAKDOWNS.map(|(name, _)| name);
        if !picked.breakdown.is_empty() && !names.contains(&picked.breakdown.as_str()) {
            let reason = crate::application::spelling::suggestion(&picked.breakdown, &names);
            faults.add("breakdown", FaultCode::UnknownName, reason);
        }
        (picked, parameters.faults)
    }

    /// The same for the wire.
    pub(super) fn selection(&self) -> v1::JourneySelection {
        let time = |text: &str| {
            let time = date(text).ok()?;
            Some(prost_types::Timestamp {
                seconds: time.ms().div_euclid(1_000),
                nanos: 0,
            })
        };
        v1::JourneySelection {
            start_time: time(&self.start_date),
            end_time: time(&self.end_date),
            persona_id: self.persona_id.clone(),
            segment: self.segment.clone(),
            touchpoint: self.touchpoint.clone(),
        }
    }

    /// By what key figures are to be broken down.
    pub(super) fn breakdown(&self) -> Breakdown {
        let known = BREAKDOWNS.iter().find(|(name, _)| *name == self.breakdown);
        known.map_or(Breakdown::Unspecified, |(_, breakdown)| *breakdown)
    }

    /// The query that asks for it again, with its question mark; empty where nothing was picked.
    pub(super) fn query(&self) -> String {
        let mut query = String::new();
        for (name, value) in [
            ("start_date", &self.start_date),
            ("end_date", &self.end_date),
            ("persona_id", &self.persona_id),
            ("segment", &self.segment),
            ("touchpoint", &self.touchpoint),
            ("breakdown", &self.breakdown),
        ] {
            if value.is_empty() {
                continue;
            }
            let mark = if query.is_empty() { '?' } else { '&' };
            let value = encoded(value);
            write!(query, "{mark}{name}={value}").expect("a string takes every text");
        }
        query
    }
}

/// Text as a value in a URL.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A day; a time is none.
fn date(text: &str) -> Result<Timestamp, (FaultCode, String)> {
    let parsed = match text.len() {
        10 => Timestamp::parse(text).ok(),
        _ => None,
    };
    let reason = "must be a day from 1990-01-01 to 2199-12-31, as 2026-11-22";
    parsed.ok_or_else(|| (FaultCode::BadTime, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_selection_and_comes_back() {
        let query = "start_date=2026-11-01&end_date=2026-11-22&persona_id=p%201&segment=a%26b&\
                     touchpoint=&breakdown=stage";
        let (picked, faults) = Picked::parse(query);
        assert_eq!(faults.as_slice(), []);
        let selection = picked.selection();
        assert_eq!(selection.start_time.unwrap().seconds, 1_793_491_200);
        assert_eq!(
            (&*selection.persona_id, &*selection.segment),
            ("p 1", "a&b")
        );
        assert_eq!(picked.breakdown(), Breakdown::Stage);
        let again = Picked::parse(picked.query().trim_start_matches('?')).0;
        assert_eq!(again, picked);
        assert_eq!(Picked::parse("").0.query(), "");
        assert_eq!(
            Picked::default().selection(),
            v1::JourneySelection::default()
        );
    }

    #[test]
    fn every_fault_is_found() {
        let query = "start_date=yesterday&end_date=2026-13-01&breakdown=person&persona=x&segment=a&segment=b";
        let (_, faults) = Picked::parse("end_date=9999-12-31");
        let told: Vec<&str> = faults.as_slice().iter().map(|f| &*f.reason).collect();
        assert_eq!(
            told,
            ["must be a day from 1990-01-01 to 2199-12-31, as 2026-11-22"]
        );
        let (_, faults) = Picked::parse(query);
        let mut fields: Vec<&str> = faults.as_slice().iter().map(|f| &*f.field).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            ["breakdown", "end_date", "persona", "segment", "start_date"]
        );
    }
}
