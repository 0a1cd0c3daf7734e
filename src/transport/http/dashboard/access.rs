//! Who may see and do what on the dashboard, while there is no authentication.
//!
//! - A browser on this machine can be led here by any page whose name is made to point to this machine (DNS
//!   rebinding). So a request must name the service by an address, `localhost`, or a name of `dashboard.hosts`.
//! - What changes something is a POST from a page of the dashboard itself, with the token of this process.
//! - Personal data is shown to who sits at this machine, and to others only if `dashboard.personal_data` says so. What
//!   comes through a proxy is not from this machine.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use rand::RngCore as _;

/// Set by browsers, by no page: where the request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What proxies add.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "via"];

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It names the service by a name that is not known.
    Host,
    /// It does not come from a page of the dashboard.
    Origin,
    /// It does not have the token of this process.
    Token,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => {
                "this name is not one of the service: use its address, or add the name to dashboard.hosts"
            }
            Self::Origin => "this must come from a page of the dashboard itself",
            Self::Token => "the page is older than the service: load it again, then try once more",
        })
    }
}

/// What the settings and the socket say.
pub(super) struct Access {
    token: String,
    hosts: Vec<String>,
    personal_data: bool,
    on_loopback: bool,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the token is nobody's
        f.debug_struct("Access")
            .field("hosts", &self.hosts)
            .field("personal_data", &self.personal_data)
            .field("on_loopback", &self.on_loopback)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// With a new token. `listens` is where the listener is.
    pub(super) fn new(personal_data: bool, hosts: &[String], listens: Option<SocketAddr>) -> Self {
        let mut bytes = [0_u8; 24];
        rand::rngs::OsRng.fill_bytes(&mut bytes);
        Self {
            token: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            hosts: hosts.iter().map(|host| host.to_lowercase()).collect(),
            personal_data,
            on_loopback: listens.is_some_and(|address| address.ip().is_loopback()),
        }
    }

    /// What forms carry.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether the request names the service as it may be named.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let host = host(headers).ok_or(Denied::Host)?;
        let name = name_of(host);
        let is_known = is_local_name(name)
            || name.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|known| known == name);
        is_known.then_some(()).ok_or(Denied::Host)
    }

    /// Whether a POST comes from a page of the dashboard, by what browsers say and by its token.
    pub(super) fn check_post(&self, headers: &HeaderMap, token: &str) -> Result<(), Denied> {
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        if site.is_some_and(|site| site != b"same-origin") {
            return Err(Denied::Origin);
        }
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        match (origin, host(headers)) {
            (Some(origin), Some(host)) => {
                let from = origin.split_once("://").map_or("", |(_, from)| from);
                if !from.eq_ignore_ascii_case(host) {
                    return Err(Denied::Origin);
                }
            }
            // one of the two must say so
            _ if site.is_none() => return Err(Denied::Origin),
            _ => {}
        }
        // digests compare in a time that tells nothing
        let is_it = blake3::hash(token.as_bytes()) == blake3::hash(self.token.as_bytes());
        is_it.then_some(()).ok_or(Denied::Token)
    }

    /// Whether personal data may be shown.
    pub(super) fn shows_personal_data(&self, headers: &HeaderMap) -> bool {
        let is_direct = FORWARDED.iter().all(|name| !headers.contains_key(*name));
        let is_near = host(headers).is_some_and(|host| is_local_name(name_of(host)));
        self.personal_data || (self.on_loopback && is_direct && is_near)
    }
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(HOST).iter();
    let first = all.next()?.to_str().ok()?;
    // two hosts are none
    all.next().is_none().then_some(first)
}

/// Without the port, and an address without its brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn is_local_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|&(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    fn near() -> Access {
        Access::new(
            false,
            &["Shop.example".to_owned()],
            Some("127.0.0.1:80".parse().unwrap()),
        )
    }

    #[test]
    fn only_names_of_the_service_are_answered() {
        for host in [
            "127.0.0.1:50052",
            "localhost",
            "[::1]:80",
            "10.0.0.7:80",
            "shop.example:443",
        ] {
            assert_eq!(
                near().check_host(&headers(&[("host", host)])),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "",
            "localhost.evil.example",
        ] {
            assert_eq!(
                near().check_host(&headers(&[("host", host)])),
                Err(Denied::Host)
            );
        }
        assert_eq!(near().check_host(&headers(&[])), Err(Denied::Host));
        let two = headers(&[("host", "localhost"), ("host", "localhost")]);
        // a map keeps the last of two: both must be asked for
        let mut both = two;
        both.append(HOST, "evil.example".parse().unwrap());
        assert_eq!(near().check_host(&both), Err(Denied::Host));
    }

    #[test]
    fn a_post_of_another_page_is_refused() {
        let access = near();
        let token = access.token().to_owned();
        let good = [("host", "localhost:80"), ("origin", "http://localhost:80")];
        assert_eq!(access.check_post(&headers(&good), &token), Ok(()));
        assert_eq!(access.check_post(&headers(&good), ""), Err(Denied::Token));
        let other = near();
        assert_ne!(token, other.token());
        assert_eq!(
            other.check_post(&headers(&good), &token),
            Err(Denied::Token)
        );
        let fetch = |site| headers(&[("host", "localhost:80"), ("sec-fetch-site", site)]);
        assert_eq!(access.check_post(&fetch("same-origin"), &token), Ok(()));
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(access.check_post(&fetch(site), &token), Err(Denied::Origin));
        }
        for origin in ["http://evil.example", "null", "http://localhost:81"] {
            let headers = headers(&[("host", "localhost:80"), ("origin", origin)]);
            assert_eq!(access.check_post(&headers, &token), Err(Denied::Origin));
        }
        let silent = headers(&[("host", "localhost:80")]);
        assert_eq!(access.check_post(&silent, &token), Err(Denied::Origin));
    }

    #[test]
    fn personal_data_stays_on_this_machine_unless_told() {
        let local = headers(&[("host", "127.0.0.1:80")]);
        assert!(near().shows_personal_data(&local));
        let far = Access::new(false, &[], Some("0.0.0.0:80".parse().unwrap()));
        assert!(!far.shows_personal_data(&local));
        let proxied = headers(&[("host", "localhost"), ("x-forwarded-for", "10.0.0.7")]);
        assert!(!near().shows_personal_data(&proxied));
        let named = headers(&[("host", "shop.example")]);
        assert!(!near().shows_personal_data(&named));
        let told = Access::new(true, &[], Some("0.0.0.0:80".parse().unwrap()));
        assert!(told.shows_personal_data(&proxied));
        assert!(!format!("{:?}", near()).contains(near().token()));
    }
}
