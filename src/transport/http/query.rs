//! Questions in the query of a URL: every fault at once, unknown parameters among them.

use std::collections::HashSet;

use percent_encoding::percent_decode;

use crate::application::spelling::suggestion;
use crate::domain::{FaultCode, Faults};
use crate::proto::v1;
use crate::transport::grpc::limits::MAX_FAULTS;

/// The parameters of a question.
const QUESTION: &[&str] = &[
    "stage",
    "placement",
    "channel",
    "max_products",
    "max_offers",
    "filter",
    "boost",
    "exclude_product_id",
    "exclude_bought",
    "strict",
];
/// Those of a question about one customer.
const ONE: &[&str] = &[
    "customer_id",
    "visitor_id",
    "decision_key",
    "context_product_id",
    "cart_product_id",
    "timeout_ms",
];
/// Those of an export.
const EXPORT: &[&str] = &[
    "segment",
    "customer_stage",
    "customer_filter",
    "format",
    "resume_token",
];
/// Those that may come more than once.
const REPEATED: &[&str] = &[
    "exclude_product_id",
    "context_product_id",
    "cart_product_id",
];

/// A question about one customer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) request: v1::RecommendRequest,
    /// How long the caller waits.
    pub(super) timeout_ms: Option<u64>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    JsonLines,
}

/// The parameters of a query as they come.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    pub(super) faults: Faults,
}

impl Parameters {
    pub(super) fn parse(query: &str, known: &[&[&str]]) -> Self {
        let (mut pairs, mut faults) = (Vec::new(), Faults::new());
        let known: Vec<&str> = known
            .iter()
            .flat_map(|names| names.iter().copied())
            .collect();
        let mut seen = HashSet::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if faults.as_slice().len() >= MAX_FAULTS {
                break;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), value) = (decoded(name), decoded(value)) else {
                faults.add("query", FaultCode::Malformed, "a name that is not UTF-8");
                continue;
            };
            if !known.contains(&name.as_str()) {
                let text = format!("there is no such parameter; {}", suggestion(&name, &known));
                faults.add(name, FaultCode::UnknownName, text);
                continue;
            }
            if !seen.insert(name.clone()) && !REPEATED.contains(&name.as_str()) {
                faults.add(name, FaultCode::Duplicate, "given twice");
                continue;
            }
            match value {
                Some(value) => pairs.push((name, value)),
                None => faults.add(name, FaultCode::Malformed, "not UTF-8"),
            }
        }
        Self { pairs, faults }
    }

    fn all(&self, name: &str) -> Vec<String> {
        let pairs = self.pairs.iter().filter(|pair| pair.0 == name);
        pairs.map(|pair| pair.1.clone()).collect()
    }

    pub(super) fn text(&self, name: &str) -> String {
        let found = self.pairs.iter().find(|pair| pair.0 == name);
        found.map_or_else(String::new, |pair| pair.1.clone())
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.text(name).as_str() {
            "" | "false" => false,
            "true" => true,
            _ => {
                let reason = "must be true or false";
                self.faults.add(name, FaultCode::Malformed, reason);
                false
            }
        }
    }

    /// A whole number from `least` on; absent where it is empty.
    fn number(&mut self, name: &str, least: i32) -> Option<i32> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        match text.parse::<i32>() {
            Ok(number) if number >= least => Some(number),
            Ok(_) => {
                let reason = format!("must be {least} or more");
                self.faults.add(name, FaultCode::OutOfRange, reason);
                None
            }
            Err(_) => {
                let reason = "must be a whole number";
                self.faults.add(name, FaultCode::Malformed, reason);
                None
            }
        }
    }

    fn question(&mut self) -> v1::RecommendRequest {
        v1::RecommendRequest {
            stage: self.text("stage"),
            placement: self.text("placement"),
            channel: self.text("channel"),
            page_size: self.number("max_products", 1).unwrap_or_default(),
            max_offers: self.number("max_offers", 0),
            filter: self.text("filter"),
            boost: self.text("boost"),
            exclude_product_ids: self.all("exclude_product_id"),
            exclude_bought: self.flag("exclude_bought"),
            strict: self.flag("strict"),
            ..v1::RecommendRequest::default()
        }
    }
}

/// `+` is a space, and what follows `%` a byte; none if the bytes are not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let text = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// A question about one customer; with it, what is wrong with the parameters.
pub(super) fn one(query: &str) -> (Asked, Faults) {
    let mut parameters = Parameters::parse(query, &[ONE, QUESTION]);
    let mut context_events = Vec::new();
    for (name, kind) in [
        ("context_product_id", "view_item"),
        ("cart_product_id", "add_to_cart"),
    ] {
        let events = parameters
            .all(name)
            .into_iter()
            .map(|product_id| v1::Event {
                event_type: kind.to_owned(),
                product_id,
                ..v1::Event::default()
            });
        context_events.extend(events);
    }
    let request = v1::RecommendRequest {
        customer_id: parameters.text("customer_id"),
        visitor_id: parameters.text("visitor_id"),
        decision_key: parameters.text("decision_key"),
        context_events,
        ..parameters.question()
    };
    let timeout_ms = parameters.number("timeout_ms", 1);
    let asked = Asked {
        request,
        timeout_ms: timeout_ms.and_then(|ms| u64::try_from(ms).ok()),
    };
    (asked, parameters.faults)
}

/// What is to be exported, and how.
///
/// # Errors
/// Everything that is wrong with the parameters.
pub(super) fn export<'s>(
    query: &str,
    segment: impl FnOnce(&str) -> Result<String, Vec<&'s str>>,
) -> Result<(v1::StreamRecommendationsRequest, Format), Faults> {
    let mut parameters = Parameters::parse(query, &[EXPORT, QUESTION]);
    let format = match parameters.text("format").as_str() {
        "" | "jsonl" => Format::JsonLines,
        "csv" => Format::Csv,
        other => {
            let reason = suggestion(other, &["csv", "jsonl"]);
            parameters
                .faults
                .add("format", FaultCode::UnknownName, reason);
            Format::JsonLines
        }
    };
    let (name, filter) = (
        parameters.text("segment"),
        parameters.text("customer_filter"),
    );
    let customer_filter = match segment(&name) {
        _ if name.is_empty() => filter,
        Ok(expression) if filter.is_empty() => expression,
        Ok(expression) => format!("({expression}) && ({filter})"),
        Err(names) => {
            let reason = format!("there is no such segment; {}", suggestion(&name, &names));
            parameters
                .faults
                .add("segment", FaultCode::UnknownName, reason);
            filter
        }
    };
    let request = v1::StreamRecommendationsRequest {
        customer_stage: parameters.text("customer_stage"),
        customer_filter,
        resume_token: parameters.text("resume_token"),
        template: Some(parameters.question()),
    };
    parameters.faults.into_result(|| (request, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(faults: &Faults) -> Vec<(&str, FaultCode)> {
        let faults = faults.as_slice().iter();
        faults
            .map(|fault| (fault.field.as_str(), fault.code))
            .collect()
    }

    #[test]
    fn a_query_is_a_question() {
        let query = "customer_id=anna%20b&decision_key=spring+1&max_products=3&max_offers=0&\
                     exclude_product_id=a&exclude_product_id=b%26c&exclude_bought=true&\
                     context_product_id=p&cart_product_id=q&timeout_ms=900&strict=false&filter=";
        let (asked, faults) = one(query);
        assert_eq!(codes(&faults), []);
        assert_eq!(asked.timeout_ms, Some(900));
        let request = asked.request;
        assert_eq!(request.customer_id, "anna b");
        assert_eq!(request.decision_key, "spring 1");
        assert_eq!((request.page_size, request.max_offers), (3, Some(0)));
        assert_eq!(request.exclude_product_ids, ["a", "b&c"]);
        assert!(request.exclude_bought && !request.strict);
        let kinds = request.context_events.iter();
        let kinds: Vec<_> = kinds.map(|e| (&*e.event_type, &*e.product_id)).collect();
        assert_eq!(kinds, [("view_item", "p"), ("add_to_cart", "q")]);
    }

    #[test]
    fn every_fault_of_a_query_is_found() {
        let (_, faults) = one(
            "custmer_id=a&placement=%ff&stage=a&stage=b&max_products=0&max_offers=-1&\
             timeout_ms=soon&strict=maybe&%ff=1&&=",
        );
        let mut found = codes(&faults);
        found.sort_unstable_by_key(|(field, _)| *field);
        assert_eq!(
            found,
            [
                ("", FaultCode::UnknownName),
                ("custmer_id", FaultCode::UnknownName),
                ("max_offers", FaultCode::OutOfRange),
                ("max_products", FaultCode::OutOfRange),
                ("placement", FaultCode::Malformed),
                ("query", FaultCode::Malformed),
                ("stage", FaultCode::Duplicate),
                ("strict", FaultCode::Malformed),
                ("timeout_ms", FaultCode::Malformed),
            ]
        );
        let first = &faults.as_slice()[0];
        assert!(
            first.reason.contains("did you mean \"customer_id\"?"),
            "{first:?}"
        );
        let none = |_: &str| Err(vec!["regulars"]);
        let faults = export("format=xml&customer_id=a&segment=regular", none).unwrap_err();
        let fields = codes(&faults).into_iter().map(|(field, _)| field);
        assert_eq!(
            fields.collect::<Vec<_>>(),
            ["customer_id", "format", "segment"]
        );
        let some = |_: &str| Ok("a || b".to_owned());
        let (request, format) = export("segment=x&customer_filter=c&format=csv", some).unwrap();
        assert_eq!(
            (&*request.customer_filter, format),
            ("(a || b) && (c)", Format::Csv)
        );
    }
}
