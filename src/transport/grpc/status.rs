//! What a caller hears when a use case could not do what it was asked: one total match from
//! [`AppError`] to a gRPC status with exactly one `ErrorInfo`. `docs/errors.md` is the table of
//! reasons.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::application::AppError;
use crate::domain::Fault;

/// The domain of every reason.
pub const DOMAIN: &str = "nextbest.dev";
/// The most field violations one status carries.
pub const MAX_VIOLATIONS: usize = 100;
/// The most bytes of violations one status carries: gRPC clients refuse answers with more than 8
/// KiB of headers, and the details travel in them as base64.
const MAX_VIOLATION_BYTES: usize = 3_584;
/// The most bytes of a message, before percent-encoding.
const MAX_MESSAGE_BYTES: usize = 512;
/// When to come back after an error that passes.
const RETRY_SOON: Duration = Duration::from_millis(500);
/// When to come back while the journal is being folded or is out of reach.
const RETRY_LATER: Duration = Duration::from_secs(2);

/// The reasons that are not a use case's: made by the transport itself.
pub mod reason {
    /// More calls are running than the service takes.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// The call took longer than its deadline.
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    /// The message has more bytes than the method takes.
    pub const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
    /// The bytes are not a message of this method.
    pub const MALFORMED_MESSAGE: &str = "MALFORMED_MESSAGE";
    /// There is no such method or service.
    pub const METHOD_NOT_FOUND: &str = "METHOD_NOT_FOUND";
    /// The message is compressed in a way that is not taken.
    pub const UNSUPPORTED_ENCODING: &str = "UNSUPPORTED_ENCODING";
    /// The health service does not know a service of that name.
    pub const HEALTH_SERVICE_NOT_FOUND: &str = "HEALTH_SERVICE_NOT_FOUND";
    /// The caller went away.
    pub const CANCELLED: &str = "CANCELLED";
    /// A fault of the service itself.
    pub const INTERNAL: &str = "INTERNAL";

    /// All of them.
    pub const ALL: [&str; 9] = [
        OVERLOADED,
        DEADLINE_EXCEEDED,
        MESSAGE_TOO_LARGE,
        MALFORMED_MESSAGE,
        METHOD_NOT_FOUND,
        UNSUPPORTED_ENCODING,
        HEALTH_SERVICE_NOT_FOUND,
        CANCELLED,
        INTERNAL,
    ];
}

/// The code and the stable reason of an error.
#[must_use]
pub fn code_and_reason(error: &AppError) -> (Code, &'static str) {
    match error {
        AppError::Invalid(_) => (Code::InvalidArgument, "INVALID_FIELDS"),
        AppError::InvalidExpression { .. } => (Code::InvalidArgument, "INVALID_EXPRESSION"),
        AppError::BatchEmpty => (Code::InvalidArgument, "BATCH_EMPTY"),
        AppError::BatchTooLarge { .. } => (Code::InvalidArgument, "BATCH_TOO_LARGE"),
        AppError::InvalidPageToken { .. } => (Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
        AppError::ProductNotFound { .. } => (Code::NotFound, "PRODUCT_NOT_FOUND"),
        AppError::ProductExists { .. } => (Code::AlreadyExists, "PRODUCT_EXISTS"),
        AppError::OfferNotFound { .. } => (Code::NotFound, "OFFER_NOT_FOUND"),
        AppError::OfferExists { .. } => (Code::AlreadyExists, "OFFER_EXISTS"),
        AppError::OfferDeleted { .. } => (Code::FailedPrecondition, "OFFER_DELETED"),
        AppError::OfferRefused { why, .. } => (Code::FailedPrecondition, why.as_str()),
        AppError::ReservationNotFound { .. } => (Code::NotFound, "RESERVATION_NOT_FOUND"),
        AppError::ReservationExpired { .. } => (Code::FailedPrecondition, "RESERVATION_EXPIRED"),
        AppError::ReservationReleased { .. } => (Code::FailedPrecondition, "RESERVATION_RELEASED"),
        AppError::ReservationRedeemed { .. } => (Code::FailedPrecondition, "RESERVATION_REDEEMED"),
        AppError::DecisionKeyReused { .. } => (Code::AlreadyExists, "DECISION_KEY_REUSED"),
        AppError::CustomerNotFound => (Code::NotFound, "CUSTOMER_NOT_FOUND"),
        AppError::UnknownStage { .. } => (Code::InvalidArgument, "UNKNOWN_STAGE"),
        AppError::TrainingRunNotFound { .. } => (Code::NotFound, "TRAINING_RUN_NOT_FOUND"),
        AppError::TrainingRunning { .. } => (Code::Aborted, "TRAINING_RUNNING"),
        AppError::ModelRevisionNotFound { .. } => (Code::NotFound, "MODEL_REVISION_NOT_FOUND"),
        AppError::ModelRevisionDamaged { .. } => (Code::DataLoss, "MODEL_REVISION_DAMAGED"),
        AppError::ModelRevisionRefused { .. } => {
            (Code::FailedPrecondition, "MODEL_REVISION_REFUSED")
        }
        AppError::NoPreviousRevision => (Code::FailedPrecondition, "NO_PREVIOUS_REVISION"),
        AppError::Overloaded => (Code::ResourceExhausted, reason::OVERLOADED),
        AppError::NotReady => (Code::Unavailable, "NOT_READY"),
        AppError::Stopping => (Code::Unavailable, "STOPPING"),
        AppError::JournalUnavailable(_) => (Code::Unavailable, "JOURNAL_UNAVAILABLE"),
        AppError::DataLoss(_) => (Code::DataLoss, "DATA_LOSS"),
        AppError::Internal(_) => (Code::Internal, reason::INTERNAL),
    }
}

impl From<AppError> for Status {
    fn from(error: AppError) -> Self {
        status_with(&error, HashMap::new())
    }
}

/// The status of an error, with more metadata in its `ErrorInfo`.
#[must_use]
pub fn status_with(error: &AppError, more: HashMap<String, String>) -> Status {
    let (code, reason) = code_and_reason(error);
    let mut metadata = metadata(error);
    metadata.extend(more);
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    describe(error, &mut details);
    Status::with_error_details(code, message(error), details)
}

/// A status the transport makes itself.
#[must_use]
pub fn transport_status(code: Code, reason: &'static str, message: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    if reason == reason::OVERLOADED {
        details.set_retry_info(Some(RETRY_SOON));
    }
    Status::with_error_details(code, shortened(message), details)
}

/// What the caller reads. Faults of the service itself are told to the log: they name files and the
/// like.
#[must_use]
pub fn message(error: &AppError) -> String {
    match error {
        AppError::Invalid(faults) => match faults.as_slice() {
            [] => "invalid".to_owned(),
            [only] => shortened(&format!("{}: {}", only.field, only.reason)),
            [first, rest @ ..] => {
                let more = rest.len();
                shortened(&format!(
                    "{}: {} (and {more} more faults)",
                    first.field, first.reason
                ))
            }
        },
        AppError::JournalUnavailable(reason) => {
            tracing::warn!(reason, "the journal takes no writes");
            "the journal takes no writes now; nothing was stored".to_owned()
        }
        AppError::DataLoss(reason) => {
            tracing::error!(reason, "what is kept cannot be read");
            "what is kept cannot be read; the service's log says more".to_owned()
        }
        AppError::ModelRevisionDamaged { id, reason } => {
            tracing::error!(revision = id, reason, "a model revision cannot be read");
            let id = shortened(id);
            format!(
                "what is kept of model revision {id} cannot be read; the service's log says more"
            )
        }
        AppError::Internal(reason) => {
            tracing::error!(reason, "a call failed by a fault of the service");
            "internal error; the service's log says more".to_owned()
        }
        other => shortened(&other.to_string()),
    }
}

/// The variable parts of the message, for programs.
fn metadata(error: &AppError) -> HashMap<String, String> {
    let pairs: Vec<(&str, String)> = match error {
        AppError::Invalid(faults) => vec![("faults", faults.as_slice().len().to_string())],
        AppError::InvalidExpression { field, .. } | AppError::InvalidPageToken { field } => {
            vec![("field", (*field).to_owned())]
        }
        AppError::BatchTooLarge { count, limit } => {
            vec![("count", count.to_string()), ("limit", limit.to_string())]
        }
        AppError::ProductNotFound { id } | AppError::ProductExists { id } => {
            vec![("product_id", shortened(id))]
        }
        AppError::OfferNotFound { id }
        | AppError::OfferExists { id }
        | AppError::OfferDeleted { id } => vec![("offer_id", shortened(id))],
        AppError::DecisionKeyReused { key } => vec![("decision_key", shortened(key))],
        AppError::UnknownStage { field, known, .. } => {
            vec![("field", (*field).to_owned()), ("known", shortened(known))]
        }
        AppError::TrainingRunNotFound { id } | AppError::TrainingRunning { id } => {
            vec![("training_run_id", shortened(id))]
        }
        AppError::ModelRevisionNotFound { id }
        | AppError::ModelRevisionDamaged { id, .. }
        | AppError::ModelRevisionRefused { id, .. } => {
            vec![("model_revision_id", shortened(id))]
        }
        _ => Vec::new(),
    };
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The details beside `ErrorInfo`: each type at most once.
fn describe(error: &AppError, details: &mut ErrorDetails) {
    match error {
        AppError::Invalid(faults) => {
            details.set_bad_request(violations(faults.as_slice()));
        }
        AppError::InvalidExpression { field, reason } => {
            details.set_bad_request(vec![violation(field, "MALFORMED", reason)]);
        }
        AppError::UnknownStage { field, known, .. } => {
            let known = format!("must be one of {known}");
            details.set_bad_request(vec![violation(field, "UNKNOWN_NAME", &known)]);
        }
        AppError::InvalidPageToken { field } => {
            let text = "not a token of this request";
            details.set_bad_request(vec![violation(field, "MALFORMED", text)]);
        }
        AppError::ProductNotFound { id } | AppError::ProductExists { id } => {
            details.set_resource_info("nextbest.v1.Product", shortened(id), "", "");
        }
        AppError::OfferNotFound { id }
        | AppError::OfferExists { id }
        | AppError::OfferDeleted { id }
        | AppError::OfferRefused { id, .. } => {
            details.set_resource_info("nextbest.v1.Offer", shortened(id), "", "");
        }
        AppError::ReservationNotFound { id }
        | AppError::ReservationExpired { id }
        | AppError::ReservationReleased { id }
        | AppError::ReservationRedeemed { id } => {
            details.set_resource_info("nextbest.v1.Reservation", shortened(id), "", "");
        }
        AppError::CustomerNotFound => {
            // without the id: an answer to one caller may be another caller's log
            details.set_resource_info("nextbest.v1.Customer", "", "", "");
        }
        AppError::TrainingRunNotFound { id } | AppError::TrainingRunning { id } => {
            details.set_resource_info("nextbest.v1.TrainingRun", shortened(id), "", "");
        }
        AppError::ModelRevisionNotFound { id } | AppError::ModelRevisionDamaged { id, .. } => {
            details.set_resource_info("nextbest.v1.ModelRevision", shortened(id), "", "");
        }
        AppError::ModelRevisionRefused { id, refusal } => {
            details.add_precondition_failure_violation(
                "REFUSED",
                shortened(id),
                shortened(refusal),
            );
        }
        AppError::NotReady | AppError::JournalUnavailable(_) => {
            details.set_retry_info(Some(RETRY_LATER));
        }
        AppError::Stopping | AppError::Overloaded => {
            details.set_retry_info(Some(RETRY_SOON));
        }
        AppError::BatchEmpty
        | AppError::BatchTooLarge { .. }
        | AppError::NoPreviousRevision
        | AppError::DecisionKeyReused { .. }
        | AppError::DataLoss(_)
        | AppError::Internal(_) => {}
    }
}

/// As many violations as fit, and a note of how many more there are.
fn violations(faults: &[Fault]) -> Vec<FieldViolation> {
    let mut room = MAX_VIOLATION_BYTES;
    let mut found = Vec::new();
    for fault in faults.iter().take(MAX_VIOLATIONS) {
        let violation = violation(&fault.field, fault.code.as_str(), &fault.reason);
        // 8: tags and lengths on the wire
        let bytes = violation.field.len() + violation.description.len() + violation.reason.len();
        let Some(left) = room.checked_sub(bytes + 8) else {
            break;
        };
        room = left;
        found.push(violation);
    }
    let more = faults.len() - found.len();
    if more > 0
        && let Some(last) = found.last_mut()
    {
        last.description
            .push_str(&format!(" (and {more} more faults that are not listed)"));
    }
    found
}

fn violation(field: &str, reason: &str, description: &str) -> FieldViolation {
    FieldViolation {
        field: shortened(field),
        description: shortened(description),
        reason: reason.to_owned(),
        localized_message: None,
    }
}

/// The first bytes of a text, at a character boundary.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_MESSAGE_BYTES {
        return text.to_owned();
    }
    let mut end = MAX_MESSAGE_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FaultCode, Faults};
    use crate::state::reservations::NoRoom;

    /// One of each variant; of those with several reasons one of each reason.
    fn samples() -> Vec<AppError> {
        let id = || "x".to_owned();
        vec![
            AppError::Invalid(Faults::new()),
            AppError::InvalidExpression {
                field: "filter",
                reason: id(),
            },
            AppError::BatchEmpty,
            AppError::BatchTooLarge { count: 2, limit: 1 },
            AppError::InvalidPageToken {
                field: "page_token",
            },
            AppError::DecisionKeyReused { key: id() },
            AppError::ProductNotFound { id: id() },
            AppError::ProductExists { id: id() },
            AppError::OfferNotFound { id: id() },
            AppError::OfferExists { id: id() },
            AppError::OfferDeleted { id: id() },
            AppError::OfferRefused {
                id: id(),
                why: NoRoom::NotLive,
            },
            AppError::OfferRefused {
                id: id(),
                why: NoRoom::Cap,
            },
            AppError::OfferRefused {
                id: id(),
                why: NoRoom::Budget,
            },
            AppError::OfferRefused {
                id: id(),
                why: NoRoom::Exclusive,
            },
            AppError::ReservationNotFound { id: id() },
            AppError::ReservationExpired { id: id() },
            AppError::ReservationReleased { id: id() },
            AppError::ReservationRedeemed { id: id() },
            AppError::CustomerNotFound,
            AppError::UnknownStage {
                field: "stage",
                stage: id(),
                known: id(),
            },
            AppError::TrainingRunNotFound { id: id() },
            AppError::TrainingRunning { id: id() },
            AppError::ModelRevisionNotFound { id: id() },
            AppError::ModelRevisionDamaged {
                id: id(),
                reason: id(),
            },
            AppError::ModelRevisionRefused {
                id: id(),
                refusal: id(),
            },
            AppError::NoPreviousRevision,
            AppError::NotReady,
            AppError::Overloaded,
            AppError::Stopping,
            AppError::JournalUnavailable(id()),
            AppError::DataLoss(id()),
            AppError::Internal(id()),
        ]
    }

    #[test]
    fn every_error_has_one_documented_reason() {
        let table = include_str!("../../../docs/errors.md");
        let source = include_str!("../../application/error.rs");
        let samples = samples();
        let kinds = samples.iter().map(std::mem::discriminant);
        let kinds: std::collections::HashSet<_> = kinds.collect();
        assert_eq!(source.matches("#[error(").count(), kinds.len());
        for error in samples {
            let (code, reason) = code_and_reason(&error);
            let status = Status::from(error);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, reason));
            assert_eq!(info.domain, DOMAIN);
            assert!(reason.len() <= 63);
            let name = format!("{code:?}");
            let row = table
                .lines()
                .find(|line| line.starts_with(&format!("| `{reason}` |")))
                .unwrap_or_else(|| panic!("docs/errors.md has no row for {reason}"));
            let upper = upper_snake(&name);
            assert!(row.contains(&upper), "{reason}: {row} without {upper}");
        }
        for reason in reason::ALL {
            assert!(table.contains(&format!("| `{reason}` |")), "{reason}");
        }
    }

    #[test]
    fn statuses_fit_into_headers() {
        let mut faults = Faults::new();
        for i in 0..10_000 {
            let field = format!("events[{i}].quantity");
            faults.add(field, FaultCode::OutOfRange, "é".repeat(300));
        }
        let status = Status::from(AppError::from(faults));
        let details = status.get_error_details();
        let listed = &details.bad_request().unwrap().field_violations;
        assert!(!listed.is_empty() && listed.len() <= MAX_VIOLATIONS);
        assert!(listed.last().unwrap().description.contains("more faults"));
        assert!(listed.iter().all(|v| v.reason == "OUT_OF_RANGE"));
        // base64 is 4/3, percent-encoding up to 3
        let bytes = status.details().len() * 4 / 3 + status.message().len() * 3;
        assert!(bytes < 8_000, "{bytes}");
        let text = status.message();
        assert!(text.starts_with("events[0].quantity"), "{text}");
    }

    fn upper_snake(name: &str) -> String {
        let mut upper = String::new();
        for (i, c) in name.chars().enumerate() {
            if c.is_uppercase() && i > 0 {
                upper.push('_');
            }
            upper.push(c.to_ascii_uppercase());
        }
        upper
    }
}
