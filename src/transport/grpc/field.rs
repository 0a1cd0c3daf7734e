//! Fields that several requests have: times, names, page sizes, expressions. Faults are collected,
//! not returned.

use std::collections::{HashMap, HashSet};

use crate::application::AppError;
use crate::domain::id::{MAX_ID_BYTES, MAX_NAME_BYTES, check};
use crate::domain::{FaultCode, Faults, Timestamp, Traits};
use crate::transport::grpc::limits::{MAX_EXPRESSION_BYTES, MAX_FAULTS};

/// The page of most lists where the caller does not say.
pub(super) const DEFAULT_PAGE: usize = 100;
/// The largest page of most lists.
pub(super) const MAX_PAGE: usize = 1_000;

/// What parsing a field gives.
pub(super) type Parsed<T> = Result<T, (FaultCode, String)>;

/// A time of the wire.
pub(super) fn time(time: &prost_types::Timestamp) -> Parsed<Timestamp> {
    Timestamp::from_parts(time.seconds, time.nanos)
}

/// A time for the wire.
pub(super) fn render_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.ms().div_euclid(1_000),
        nanos: i32::try_from(time.ms().rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
    }
}

/// The number of entries asked for: zero means the default, more than the most is cut, less than
/// zero is a fault.
pub(super) fn page_size(faults: &mut Faults, asked: i32, default: usize, most: usize) -> usize {
    match usize::try_from(asked) {
        Ok(0) => default,
        Ok(asked) => asked.min(most),
        Err(_) => {
            let reason = "must not be negative";
            faults.add("page_size", FaultCode::OutOfRange, reason);
            default
        }
    }
}

/// An expression, not longer than what is compiled; may be empty.
pub(super) fn expression(faults: &mut Faults, field: &str, text: &str) {
    if text.len() > MAX_EXPRESSION_BYTES {
        let reason = format!(
            "{} bytes; at most {MAX_EXPRESSION_BYTES} are allowed",
            text.len()
        );
        faults.add(field, FaultCode::TooLong, reason);
    }
}

/// The name of a stage or placement; may be empty.
pub(super) fn name(faults: &mut Faults, field: &str, text: &str) {
    if !text.is_empty() {
        faults.take(field, check(text, MAX_NAME_BYTES));
    }
}

/// The id of something that is not in the domain: runs and revisions.
pub(super) fn id(field: &str, text: &str) -> Result<(), AppError> {
    let mut faults = Faults::new();
    faults.take(field, check(text, MAX_ID_BYTES));
    faults.into_result(|| ()).map_err(AppError::from)
}

/// An id of the domain, as it was parsed.
pub(super) fn parse_id<T>(field: &str, parsed: Parsed<T>) -> Result<T, AppError> {
    let mut faults = Faults::new();
    let id = faults.take(field, parsed);
    id.ok_or(AppError::Invalid(faults))
}

/// The faults of a part of the request.
pub(super) fn under(path: &str, found: Faults) -> AppError {
    let mut faults = Faults::new();
    faults.nest(path, found);
    AppError::Invalid(faults)
}

/// A value that must be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, AppError> {
    value.ok_or_else(|| {
        let mut faults = Faults::new();
        faults.add(field, FaultCode::Required, "must be given");
        faults.into()
    })
}

/// A text for the wire; empty where there is none.
pub(super) fn text<T>(value: Option<&T>, as_str: impl Fn(&T) -> &str) -> String {
    value.map_or_else(String::new, |value| as_str(value).to_owned())
}

/// A count for the wire.
pub(super) fn count32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A count for the wire.
pub(super) fn count64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How many entries a batch has, if that many are taken.
pub(super) fn batch(count: usize, limit: usize) -> Result<(), AppError> {
    match count {
        0 => Err(AppError::BatchEmpty),
        count if count > limit => Err(AppError::BatchTooLarge { count, limit }),
        _ => Ok(()),
    }
}

/// 1 to `limit` messages, each id once. `names` are those of the list and of the id. Looks for no more than
/// [`MAX_FAULTS`] faults.
pub(super) fn upserts<M, T>(
    [list, id_field]: [&str; 2],
    messages: &[M],
    limit: usize,
    id: impl Fn(&M) -> &str,
    parse: impl Fn(&M) -> Result<T, Faults>,
) -> Result<Vec<T>, AppError> {
    batch(messages.len(), limit)?;
    let mut faults = Faults::new();
    let mut seen = HashSet::new();
    let mut parsed = Vec::with_capacity(messages.len());
    for (i, message) in messages.iter().enumerate() {
        if !id(message).is_empty() && !seen.insert(id(message)) {
            let field = format!("{list}[{i}].{id_field}");
            faults.add(field, FaultCode::Duplicate, "given twice in this batch");
        }
        match parse(message) {
            Ok(value) => parsed.push(value),
            Err(found) => faults.nest(&format!("{list}[{i}]"), found),
        }
        if faults.as_slice().len() >= MAX_FAULTS {
            break;
        }
    }
    Ok(faults.into_result(|| parsed)?)
}

/// Keys and values of the wire, sorted, so that the same request gives the same faults in the same
/// order.
pub(super) fn pairs(map: &HashMap<String, String>) -> Vec<(&str, &str)> {
    let mut pairs: Vec<(&str, &str)> = map
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// Keys and values for the wire.
pub(super) fn render_pairs(traits: &Traits) -> HashMap<String, String> {
    traits
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}
