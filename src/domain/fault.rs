//! What is wrong with one field of an input: collected, so that a caller hears of every fault at once.

use std::fmt;

/// The stable code of a fault; part of the API (violations carry it as their reason).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultCode {
    /// A field that is needed is absent or blank.
    Required,
    /// More bytes, entries or levels than the limit.
    TooLong,
    /// A control character (NUL among them) where none may be, or bytes that are not UTF-8.
    BadCharacter,
    /// Not one of the names that are known.
    UnknownName,
    /// Not a number, or not finite.
    NotANumber,
    /// A number outside its range.
    OutOfRange,
    /// Not a time, or not in RFC 3339.
    BadTime,
    /// A time before 1990.
    TooOld,
    /// A time more than a day ahead of the clock.
    InTheFuture,
    /// Not three capital letters.
    BadCurrency,
    /// A field that does not go with this kind of event or request.
    NotAllowed,
    /// The same key twice.
    Duplicate,
    /// Text that cannot be parsed (JSON, an expression, a boolean).
    Malformed,
}

impl FaultCode {
    /// The code as it stands in answers and in files of refused rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "REQUIRED",
            Self::TooLong => "TOO_LONG",
            Self::BadCharacter => "BAD_CHARACTER",
            Self::UnknownName => "UNKNOWN_NAME",
            Self::NotANumber => "NOT_A_NUMBER",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::BadTime => "BAD_TIME",
            Self::TooOld => "TOO_OLD",
            Self::InTheFuture => "IN_THE_FUTURE",
            Self::BadCurrency => "BAD_CURRENCY",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::Duplicate => "DUPLICATE",
            Self::Malformed => "MALFORMED",
        }
    }
}

/// One fault: the field (named as in the file contract and the proto), the code and the reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field or column, with the path that leads to it: `events[3].quantity`.
    pub field: String,
    /// The stable code.
    pub code: FaultCode,
    /// In words, without the value of personal fields.
    pub reason: String,
}

/// The faults found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one fault.
    pub fn add(&mut self, field: impl Into<String>, code: FaultCode, reason: impl Into<String>) {
        self.0.push(Fault {
            field: field.into(),
            code,
            reason: reason.into(),
        });
    }

    /// Keeps the value of a parse, or notes its fault under `field`.
    pub fn take<T>(&mut self, field: &str, parsed: Result<T, (FaultCode, String)>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err((code, reason)) => {
                self.add(field, code, reason);
                None
            }
        }
    }

    /// Adds the faults of a part, their fields under `path` (`events[3]`).
    pub fn nest(&mut self, path: &str, inner: Faults) {
        self.0.extend(inner.0.into_iter().map(|fault| Fault {
            field: format!("{path}.{}", fault.field),
            ..fault
        }));
    }

    /// True if nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were found.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// The faults, if there are any.
    pub fn into_result<T>(self, value: impl FnOnce() -> T) -> Result<T, Faults> {
        if self.0.is_empty() {
            Ok(value())
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", fault.field, fault.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
