//! Page and resume tokens: where to go on, bound to the request they came from. Opaque and safe in
//! a URL. They grant nothing, so they are not secret; the fingerprint finds damage and mistakes.

use crate::application::AppError;
use crate::domain::Fingerprint;

/// Sixteen hexadecimal digits of the cursor, 32 of the fingerprint.
const TOKEN_LENGTH: usize = 48;

/// What a token is bound to: the method and every field that must stay the same.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// The method.
    pub method: &'a str,
    /// The fields, in a fixed order.
    pub fields: &'a [&'a str],
}

impl Binding<'_> {
    /// The token that goes on at `cursor`; empty where nothing follows.
    #[must_use]
    pub fn token(&self, cursor: Option<u64>) -> String {
        cursor.map_or_else(String::new, |cursor| {
            format!("{cursor:016x}{}", self.fingerprint(cursor))
        })
    }

    /// Where to go on; an empty token means from the start.
    ///
    /// # Errors
    /// `InvalidPageToken` if it is damaged or of another request.
    pub fn cursor(&self, token: &str) -> Result<u64, AppError> {
        if token.is_empty() {
            return Ok(0);
        }
        let cursor = (token.len() == TOKEN_LENGTH && token.is_ascii())
            .then(|| u64::from_str_radix(&token[..16], 16).ok())
            .flatten();
        cursor
            .filter(|&cursor| self.token(Some(cursor)) == token)
            .ok_or(AppError::InvalidPageToken {
                field: "page_token",
            })
    }

    fn fingerprint(&self, cursor: u64) -> Fingerprint {
        let cursor = cursor.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![&cursor];
        parts.extend(self.fields.iter().map(|field| field.as_bytes()));
        Fingerprint::of(self.method, &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_belong_to_their_request() {
        let of = |method, fields| Binding { method, fields };
        let list = of("ListProducts", &["price < 5"]);
        let token = list.token(Some(300));
        assert_eq!(list.cursor(&token).unwrap(), 300);
        assert_eq!(list.cursor("").unwrap(), 0);
        assert_eq!(list.token(None), "");
        assert!(of("ListProducts", &["price < 6"]).cursor(&token).is_err());
        assert!(of("ListCustomers", &["price < 5"]).cursor(&token).is_err());
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(list.cursor(&damaged).is_err(), "{at}");
        }
        for bad in [
            "x",
            "é",
            &token[1..],
            &"é".repeat(24),
            &token.to_uppercase(),
        ] {
            assert!(list.cursor(bad).is_err(), "{bad}");
        }
    }
}
