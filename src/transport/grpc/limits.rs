//! Every bound of the wire: bytes, time, calls, streams. `docs/api.md` has the table; the tests
//! name the code each bound gives.

use std::time::Duration;

use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower::load_shed::{LoadShed, LoadShedLayer};
use tower::{Layer, ServiceBuilder};

use crate::transport::grpc::deadline::{Deadline, DeadlineLayer};
use crate::transport::grpc::rescue::{Rescue, RescueLayer};

/// The most bytes of one question: 50 context events, 1,000 exclusions and two expressions fit in.
pub const MAX_QUESTION_BYTES: usize = 256 * 1_024;
/// The most bytes of a message of RecommendationService: a batch of questions.
pub const MAX_RECOMMENDATION_BYTES: usize = 4 * 1_024 * 1_024;
/// The most bytes of a message of EventService: 10,000 events of the usual size.
pub const MAX_EVENT_BYTES: usize = 4 * 1_024 * 1_024;
/// The most bytes of a message of CatalogService: 1,000 products of the usual size.
pub const MAX_CATALOG_BYTES: usize = 4 * 1_024 * 1_024;
/// The most bytes of a message of OfferService: an offer of 20,000 products with the longest ids.
pub const MAX_OFFER_BYTES: usize = 4 * 1_024 * 1_024;
/// The most bytes of a message of CustomerService: one customer with all traits fits in.
pub const MAX_CUSTOMER_BYTES: usize = 128 * 1_024;
/// The most bytes of a message of ModelService.
pub const MAX_MODEL_BYTES: usize = 64 * 1_024;
/// The most bytes of a message of JourneyService.
pub const MAX_JOURNEY_BYTES: usize = 64 * 1_024;
/// The longest CEL expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 2_048;
/// The most faults that are looked for in one request.
pub const MAX_FAULTS: usize = 1_000;
/// Answers of fewer bytes are not compressed: it would cost more than it saves.
pub const COMPRESS_FROM_BYTES: usize = 1_024;
/// The most bytes of a request's headers.
pub const MAX_HEADER_BYTES: u32 = 16 * 1_024;
/// Answers of a stream that wait for a slow client.
pub const STREAM_BUFFER: usize = 16;

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Where the caller does not say.
    pub default: Duration,
    /// Whatever the caller says.
    pub most: Duration,
}

impl Deadlines {
    const fn seconds(default: u64, most: u64) -> Self {
        Self {
            default: Duration::from_secs(default),
            most: Duration::from_secs(most),
        }
    }
}

/// The deadlines of a method, by its path.
#[must_use]
pub fn deadlines(path: &str) -> Deadlines {
    match path.rsplit('/').next() {
        Some("Recommend") => Deadlines::seconds(1, 10),
        // a bulk import is one call
        Some("StreamEvents") => Deadlines::seconds(600, 3_600),
        // rewrites what the journal holds of the customer
        Some("EraseCustomer") => Deadlines::seconds(60, 600),
        _ => Deadlines::seconds(10, 60),
    }
}

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls of RecommendationService at a time; more are refused as OVERLOADED.
    pub recommendation_calls: usize,
    /// Calls of all other services at a time; more are refused as OVERLOADED.
    pub other_calls: usize,
    /// StreamRecommendations and ExportCustomer streams at a time; more are refused as OVERLOADED.
    pub bulk_streams: usize,
    /// Calls at a time on one connection; more wait.
    pub streams_per_connection: u32,
    /// How often a silent connection is asked whether it is still there.
    pub keep_alive: Duration,
    /// How long it may take to say so.
    pub keep_alive_timeout: Duration,
    /// How long running calls may take when the service ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            recommendation_calls: (8 * cores).max(64),
            other_calls: 256,
            bulk_streams: 16,
            streams_per_connection: 256,
            keep_alive: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// What stands before a service, outermost first: rescue, refusal, count, deadline.
#[derive(Debug, Clone)]
pub struct Guard {
    calls: GlobalConcurrencyLimitLayer,
    deadline: DeadlineLayer,
}

impl Guard {
    /// At most `calls` calls at a time over all services under this guard and its clones.
    #[must_use]
    pub fn new(calls: usize, of: fn(&str) -> Deadlines) -> Self {
        Self {
            calls: GlobalConcurrencyLimitLayer::new(calls),
            deadline: DeadlineLayer { of },
        }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Rescue<LoadShed<ConcurrencyLimit<Deadline<S>>>>;

    fn layer(&self, inner: S) -> Self::Service {
        ServiceBuilder::new()
            .layer(RescueLayer)
            .layer(LoadShedLayer::new())
            .layer(self.calls.clone())
            .layer(self.deadline)
            .service(inner)
    }
}
