//! Every bound of the HTTP face: bytes, time, connections. `docs/api.md` has the table.

use std::time::Duration;

/// The most bytes of a request's line and headers.
pub const MAX_HEADER_BYTES: usize = 16 * 1_024;
/// The most headers of a request.
pub const MAX_HEADERS: usize = 64;
/// The most bytes of the JSON of a question: those of the message, and the names of its fields.
pub const MAX_QUESTION_BODY: usize = 1_024 * 1_024;
/// The most bytes of the JSON of a batch of events.
pub const MAX_EVENTS_BODY: usize = 8 * 1_024 * 1_024;
/// So much of a body that is too large is read and thrown away, so that who sends it hears why.
pub const MAX_DISCARDED: usize = 32 * 1_024 * 1_024;
/// How long a question may take where the caller does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Whatever the caller says.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a batch of events may take.
pub const EVENTS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a page of the dashboard may take.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a form of the dashboard.
pub const MAX_FORM_BODY: usize = 4 * 1_024;

/// What an operator or a test may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; further ones wait to be taken.
    pub connections: usize,
    /// Requests at a time; for more there is only what is safe, or RESOURCE_EXHAUSTED (OVERLOADED).
    pub calls: usize,
    /// Exports at a time.
    pub exports: usize,
    /// How long a request's headers may take, and a connection may be silent.
    pub header_read: Duration,
    /// How long a request's body may take.
    pub body_read: Duration,
    /// How long a client may take nothing of an export.
    pub stalled: Duration,
    /// How long running requests may take when the service ends.
    pub drain: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            calls: 256,
            exports: 4,
            header_read: Duration::from_secs(15),
            body_read: Duration::from_secs(10),
            stalled: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}
