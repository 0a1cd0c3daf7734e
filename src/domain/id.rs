//! Ids: opaque strings of 1 to 128 bytes without control characters.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 128;
/// The longest touchpoint or placement, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 64;

/// Checks `text` as an id or name of at most `max` bytes.
///
/// # Errors
/// `Required` if it is blank, `TooLong`, or `BadCharacter` for control characters.
pub fn check(text: &str, max: usize) -> Result<(), (FaultCode, String)> {
    if text.trim().is_empty() {
        Err((FaultCode::Required, "must not be blank".to_owned()))
    } else if text.len() > max {
        Err((
            FaultCode::TooLong,
            format!("{} bytes; at most {max} are allowed", text.len()),
        ))
    } else if text.chars().any(char::is_control) {
        Err((
            FaultCode::BadCharacter,
            "contains a control character".to_owned(),
        ))
    } else {
        Ok(())
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses an id.
            ///
            /// # Errors
            /// `Required`, `TooLong` or `BadCharacter`, with the reason in words.
            pub fn parse(text: &str) -> Result<Self, (FaultCode, String)> {
                check(text, $max).map(|()| Self(text.into()))
            }

            /// An id that was checked when it was written to the journal.
            #[must_use]
            pub fn trusted(text: String) -> Self {
                Self(text.into_boxed_str())
            }

            /// The id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/** A known customer. */ CustomerId, MAX_ID_BYTES);
id!(/** An anonymous browser or device. */ VisitorId, MAX_ID_BYTES);
id!(/** A product. */ ProductId, MAX_ID_BYTES);
id!(/** The identity of an event, as given by the caller. */ EventId, MAX_ID_BYTES);
id!(/** A basket. */ OrderId, MAX_ID_BYTES);
id!(/** A session. */ SessionId, MAX_ID_BYTES);
id!(/** An offer. */ OfferId, MAX_ID_BYTES);
id!(/** A campaign: offers that belong together. */ CampaignId, MAX_ID_BYTES);
id!(/** What the caller names a decision by. */ DecisionKey, MAX_ID_BYTES);
id!(/** Where something happened: `email`, `store`, `search_ad`, … */ Touchpoint, MAX_NAME_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        let code = |text: &str| ProductId::parse(text).map(|_| ()).map_err(|(code, _)| code);
        assert_eq!(code("85123A"), Ok(()));
        assert_eq!(code("  "), Err(FaultCode::Required));
        assert_eq!(code(&"x".repeat(128)), Ok(()));
        assert_eq!(code(&"x".repeat(129)), Err(FaultCode::TooLong));
        assert_eq!(code("a\0b"), Err(FaultCode::BadCharacter));
    }
}
