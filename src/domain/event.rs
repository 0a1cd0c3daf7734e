//! One thing a customer or visitor did, and the one place where it is decided whether it can be true.

use serde::{Deserialize, Serialize};

use crate::domain::attribution::{Credit, MAX_TOKEN_BYTES};
use crate::domain::customer::Subject;
use crate::domain::fault::{FaultCode, Faults};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::id::{
    CampaignId, CustomerId, EventId, OfferId, OrderId, ProductId, SessionId, Touchpoint, VisitorId,
};
use crate::domain::money::{Currency, Micros, Price};
use crate::domain::time::Timestamp;

/// The largest quantity of one line.
pub const MAX_QUANTITY: f64 = 1e6;
/// The longest search query, in bytes.
pub const MAX_QUERY_BYTES: usize = 512;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened: GA4's names where GA4 has one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
        }

        impl EventKind {
            /// Every kind, in the order of the journey.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$variant,)*];

            /// The name on the wire, in files and in rules.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The kind of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A page was seen.
    PageView = "page_view",
    /// An advertisement was clicked.
    AdClick = "ad_click",
    /// A customer recommended the shop, or somebody came by such a recommendation.
    Referral = "referral",
    /// Something was searched for.
    Search = "search",
    /// A list of products was seen.
    ViewItemList = "view_item_list",
    /// A product was picked from a list.
    SelectItem = "select_item",
    /// A product was looked at.
    ViewItem = "view_item",
    /// A promotion was seen.
    ViewPromotion = "view_promotion",
    /// A promotion was clicked.
    SelectPromotion = "select_promotion",
    /// A product was put on the wish list.
    AddToWishlist = "add_to_wishlist",
    /// A product was put into the cart.
    AddToCart = "add_to_cart",
    /// A product was taken out of the cart.
    RemoveFromCart = "remove_from_cart",
    /// The cart was looked at.
    ViewCart = "view_cart",
    /// The checkout was begun.
    BeginCheckout = "begin_checkout",
    /// Payment details were entered.
    AddPaymentInfo = "add_payment_info",
    /// A product was bought.
    Purchase = "purchase",
    /// A product was given back.
    Refund = "refund",
    /// An order arrived.
    OrderDelivered = "order_delivered",
    /// Something was shared.
    Share = "share",
    /// Somebody became a customer.
    SignUp = "sign_up",
    /// A customer logged in.
    Login = "login",
    /// A mail was opened.
    EmailOpen = "email_open",
    /// A link in a mail was clicked.
    EmailClick = "email_click",
    /// An offer was sent.
    OfferSent = "offer_sent",
    /// An offer was taken.
    OfferRedeemed = "offer_redeemed",
    /// An offer was turned down.
    OfferDeclined = "offer_declined",
    /// A customer asked for help.
    SupportContact = "support_contact",
    /// A product was reviewed, 1 to 5.
    Review = "review",
    /// Satisfaction was answered, 1 to 5.
    CsatResponse = "csat_response",
    /// Readiness to recommend was answered, 0 to 10.
    NpsResponse = "nps_response",
    /// A store was visited.
    StoreVisit = "store_visit",
}

impl EventKind {
    /// True if the event makes no sense without a product.
    #[must_use]
    pub fn needs_product(self) -> bool {
        matches!(
            self,
            Self::SelectItem
                | Self::ViewItem
                | Self::AddToWishlist
                | Self::AddToCart
                | Self::RemoveFromCart
                | Self::Purchase
                | Self::Refund
        )
    }

    /// True if the event makes no sense without an offer.
    #[must_use]
    pub fn needs_offer(self) -> bool {
        matches!(
            self,
            Self::OfferSent | Self::OfferRedeemed | Self::OfferDeclined
        )
    }

    /// The scale of the rating this event must carry.
    #[must_use]
    pub fn rating_scale(self) -> Option<std::ops::RangeInclusive<f64>> {
        match self {
            Self::Review | Self::CsatResponse => Some(1.0..=5.0),
            Self::NpsResponse => Some(0.0..=10.0),
            _ => None,
        }
    }
}

/// One event that can be true.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id the caller gave; absent: derived, see `key`.
    pub id: Option<EventId>,
    /// The identity: of the id, or of the content and its repetition number.
    pub key: Fingerprint,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub subject: Subject,
    /// In which session, where the caller says so.
    pub session: Option<SessionId>,
    /// With which product.
    pub product: Option<ProductId>,
    /// How many units, greater than zero.
    pub quantity: f64,
    /// For how much a unit.
    pub unit_price: Option<Price>,
    /// In which basket, where the caller says so.
    pub order: Option<OrderId>,
    /// With which offer.
    pub offer: Option<OfferId>,
    /// Where.
    pub touchpoint: Option<Touchpoint>,
    /// How it was rated.
    pub rating: Option<f64>,
    /// What was searched for.
    pub search_query: Option<Box<str>>,
    /// Of which campaign the offers were that were sent.
    pub campaign: Option<CampaignId>,
    /// Of which answer it came.
    pub credit: Option<Credit>,
}

/// An event as somebody wrote it: text and numbers that may be anything. Empty text is "absent".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventDraft<'a> {
    /// See [`Event::id`].
    pub event_id: &'a str,
    /// The name of the kind.
    pub event_type: &'a str,
    /// The moment as parsed by the edge, which knows its format.
    pub time: Option<Result<Timestamp, (FaultCode, String)>>,
    /// The field the time stands in: `timestamp` in files, `event_time` on the wire.
    pub time_field: &'static str,
    /// The customer.
    pub customer_id: &'a str,
    /// The visitor.
    pub visitor_id: &'a str,
    /// The session.
    pub session_id: &'a str,
    /// The product.
    pub product_id: &'a str,
    /// The quantity, if there is one, as parsed by the edge.
    pub quantity: Option<Result<f64, (FaultCode, String)>>,
    /// The price of a unit, if there is one, as parsed by the edge.
    pub unit_price: Option<Result<f64, (FaultCode, String)>>,
    /// The field the currency stands in: `currency` in files, `currency_code` on the wire.
    pub currency_field: &'static str,
    /// The currency.
    pub currency: &'a str,
    /// The basket.
    pub order_id: &'a str,
    /// The offer.
    pub offer_id: &'a str,
    /// Where it happened.
    pub touchpoint: &'a str,
    /// The rating, if there is one, as parsed by the edge.
    pub rating: Option<Result<f64, (FaultCode, String)>>,
    /// What was searched for.
    pub search_query: &'a str,
    /// The campaign.
    pub campaign_id: &'a str,
    /// The token of the answer it came of.
    pub attribution_token: &'a str,
}

impl EventDraft<'_> {
    /// Checks everything. `now` bounds the time; `repetition` says how many equal events without an id stood before
    /// this one in the same file or request, and asks for the count only if it is needed.
    ///
    /// # Errors
    /// Every fault, with the field it is in.
    pub fn check(
        &self,
        now: Timestamp,
        repetition: impl FnOnce(Fingerprint) -> u64,
    ) -> Result<Event, Faults> {
        let mut faults = Faults::new();
        let kind = self.check_kind(&mut faults);
        let time = self.check_time(now, &mut faults);
        let subject = self.check_subject(&mut faults);
        let id = optional(&mut faults, "event_id", self.event_id, EventId::parse);
        let session = optional(&mut faults, "session_id", self.session_id, SessionId::parse);
        let product = optional(&mut faults, "product_id", self.product_id, ProductId::parse);
        let order = optional(&mut faults, "order_id", self.order_id, OrderId::parse);
        let offer = optional(&mut faults, "offer_id", self.offer_id, OfferId::parse);
        let touchpoint = optional(
            &mut faults,
            "touchpoint",
            self.touchpoint,
            Touchpoint::parse,
        );
        let quantity = self.check_quantity(&mut faults);
        let unit_price = self.check_price(&mut faults);
        let rating = kind.and_then(|kind| self.check_rating(kind, &mut faults));
        let search_query = self.check_query(&mut faults);
        let campaign = optional(
            &mut faults,
            "campaign_id",
            self.campaign_id,
            CampaignId::parse,
        );
        let credit = self.check_token(&mut faults);
        if let Some(kind) = kind {
            if kind != EventKind::Search && !self.search_query.is_empty() {
                let reason = format!("{} has no search query", kind.as_str());
                faults.add("search_query", FaultCode::NotAllowed, reason);
            }
            if kind != EventKind::OfferSent && !self.campaign_id.is_empty() {
                let reason = format!("{} has no campaign", kind.as_str());
                faults.add("campaign_id", FaultCode::NotAllowed, reason);
            }
            if kind.needs_product() && self.product_id.is_empty() {
                let reason = format!("{} needs a product", kind.as_str());
                faults.add("product_id", FaultCode::Required, reason);
            }
            // a mail that went out with the decision of an answer says by its token which offer it was, if any; of one
            // of another tool it may be known only of which campaign its offers were
            let is_told = !self.attribution_token.is_empty() || !self.campaign_id.is_empty();
            let is_told = kind == EventKind::OfferSent && is_told;
            if kind.needs_offer() && self.offer_id.is_empty() && !is_told {
                let reason = format!("{} needs an offer", kind.as_str());
                faults.add("offer_id", FaultCode::Required, reason);
            }
        }
        let (Some(kind), Some(time), Some(subject), true) =
            (kind, time, subject, faults.is_empty())
        else {
            return Err(faults);
        };
        let mut event = Event {
            id,
            key: Fingerprint([0; 16]),
            kind,
            time,
            subject,
            session,
            product,
            quantity: quantity.unwrap_or(1.0),
            unit_price,
            order,
            offer,
            touchpoint,
            rating,
            search_query,
            campaign,
            credit,
        };
        event.key = match &event.id {
            Some(id) => Fingerprint::of("event id", &[id.as_str().as_bytes()]),
            None => {
                let content = event.content_fingerprint();
                let number = repetition(content);
                Fingerprint::of("event content", &[&content.0, &number.to_le_bytes()])
            }
        };
        Ok(event)
    }

    fn check_kind(&self, faults: &mut Faults) -> Option<EventKind> {
        if self.event_type.is_empty() {
            faults.add("event_type", FaultCode::Required, "must not be blank");
            return None;
        }
        let kind = EventKind::from_name(self.event_type);
        if kind.is_none() {
            faults.add(
                "event_type",
                FaultCode::UnknownName,
                "not the name of an event",
            );
        }
        kind
    }

    fn check_time(&self, now: Timestamp, faults: &mut Faults) -> Option<Timestamp> {
        match &self.time {
            None => {
                faults.add(self.time_field, FaultCode::Required, "must be given");
                None
            }
            Some(parsed) => {
                let bounded = parsed.clone().and_then(|time| time.not_after(now));
                faults.take(self.time_field, bounded)
            }
        }
    }

    fn check_subject(&self, faults: &mut Faults) -> Option<Subject> {
        let before = faults.as_slice().len();
        let customer = optional(faults, "customer_id", self.customer_id, CustomerId::parse);
        let visitor = optional(faults, "visitor_id", self.visitor_id, VisitorId::parse);
        match (customer, visitor) {
            (Some(customer), visitor) => Some(Subject::Customer { customer, visitor }),
            (None, Some(visitor)) => Some(Subject::Visitor(visitor)),
            (None, None) => {
                if faults.as_slice().len() == before {
                    let reason = "one of customer_id and visitor_id must be given";
                    faults.add("customer_id", FaultCode::Required, reason);
                }
                None
            }
        }
    }

    fn check_quantity(&self, faults: &mut Faults) -> Option<f64> {
        let parsed = self.quantity.clone()?.and_then(|quantity| {
            if !quantity.is_finite() {
                Err((FaultCode::NotANumber, "must be a finite number".to_owned()))
            } else if quantity <= 0.0 || quantity > MAX_QUANTITY {
                let reason = format!("must be greater than 0 and at most {MAX_QUANTITY}");
                Err((FaultCode::OutOfRange, reason))
            } else {
                Ok(quantity)
            }
        });
        faults.take("quantity", parsed)
    }

    fn check_price(&self, faults: &mut Faults) -> Option<Price> {
        let currency = optional(faults, self.currency_field, self.currency, Currency::parse);
        let amount = self.unit_price.clone()?.and_then(Micros::from_units);
        let amount = faults.take("unit_price", amount)?;
        Some(Price { amount, currency })
    }

    fn check_rating(&self, kind: EventKind, faults: &mut Faults) -> Option<f64> {
        let (scale, given) = match (kind.rating_scale(), self.rating.clone()) {
            (None, None) => return None,
            (None, Some(_)) => {
                let reason = format!("{} has no rating", kind.as_str());
                faults.add("rating", FaultCode::NotAllowed, reason);
                return None;
            }
            (Some(_), None) => {
                let reason = format!("{} needs a rating", kind.as_str());
                faults.add("rating", FaultCode::Required, reason);
                return None;
            }
            (Some(scale), Some(given)) => (scale, given),
        };
        let parsed = given.and_then(|rating| {
            if !rating.is_finite() {
                Err((FaultCode::NotANumber, "must be a finite number".to_owned()))
            } else if scale.contains(&rating) {
                Ok(rating)
            } else {
                let reason = format!("must be from {} to {}", scale.start(), scale.end());
                Err((FaultCode::OutOfRange, reason))
            }
        });
        faults.take("rating", parsed)
    }

    fn check_query(&self, faults: &mut Faults) -> Option<Box<str>> {
        optional(faults, "search_query", self.search_query, |text| {
            crate::domain::id::check(text, MAX_QUERY_BYTES).map(|()| Box::from(text))
        })
    }

    /// Only its length is a fault: a token that proves nothing is no reason to lose what happened.
    fn check_token(&self, faults: &mut Faults) -> Option<Credit> {
        optional(
            faults,
            "attribution_token",
            self.attribution_token,
            |text| {
                if text.len() > MAX_TOKEN_BYTES {
                    let reason =
                        format!("{} bytes; at most {MAX_TOKEN_BYTES} are taken", text.len());
                    Err((FaultCode::TooLong, reason))
                } else {
                    Ok(Credit::Claimed(text.into()))
                }
            },
        )
    }
}

impl Event {
    /// Of everything that was said, except the id.
    fn content_fingerprint(&self) -> Fingerprint {
        let text = |text: Option<&str>| text.unwrap_or("").to_owned().into_bytes();
        let price = self
            .unit_price
            .map_or([0; 8], |price| price.amount.0.to_le_bytes());
        let currency = self.unit_price.and_then(|price| price.currency);
        let claim: &[&[u8]] = match &self.credit {
            // two lists that are seen at one moment differ by their answers alone
            Some(Credit::Claimed(token)) => &[token.as_bytes()],
            _ => &[],
        };
        let parts: [&[u8]; 15] = [
            self.kind.as_str().as_bytes(),
            &self.time.ms().to_le_bytes(),
            &text(self.subject.customer().map(CustomerId::as_str)),
            &text(self.subject.visitor().map(VisitorId::as_str)),
            &text(self.session.as_ref().map(SessionId::as_str)),
            &text(self.product.as_ref().map(ProductId::as_str)),
            &self.quantity.to_bits().to_le_bytes(),
            &[u8::from(self.unit_price.is_some())],
            &price,
            &text(currency.as_ref().map(Currency::as_str)),
            &text(self.order.as_ref().map(OrderId::as_str)),
            &text(self.offer.as_ref().map(OfferId::as_str)),
            &text(self.touchpoint.as_ref().map(Touchpoint::as_str)),
            &self.rating.unwrap_or(-1.0).to_bits().to_le_bytes(),
            &text(self.search_query.as_deref()),
        ];
        // where there is none, as before there were any
        let campaign = self.campaign.as_ref().map(CampaignId::as_str);
        let campaign: Vec<&[u8]> = campaign.map_or_else(Vec::new, |id| vec![b"of", id.as_bytes()]);
        Fingerprint::of("event", &[&parts[..], claim, &campaign].concat())
    }
}

/// Parses a field if it is there.
pub(crate) fn optional<T>(
    faults: &mut Faults,
    field: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, (FaultCode, String)>,
) -> Option<T> {
    if text.is_empty() {
        None
    } else {
        faults.take(field, parse(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> EventDraft<'static> {
        EventDraft {
            event_type: "purchase",
            time: Some(Timestamp::parse("2011-09-30")),
            time_field: "timestamp",
            currency_field: "currency",
            customer_id: "c1",
            product_id: "p1",
            ..EventDraft::default()
        }
    }

    fn now() -> Timestamp {
        Timestamp::parse("2012-01-01").unwrap()
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let faulty = EventDraft {
            event_type: "bought",
            customer_id: "",
            quantity: Some(Ok(-1.0)),
            unit_price: Some(Ok(f64::NAN)),
            currency: "Euro",
            order_id: "a\0b",
            ..draft()
        };
        let faults = faulty.check(now(), |_| 0).unwrap_err();
        let found: Vec<(&str, FaultCode)> = faults
            .as_slice()
            .iter()
            .map(|f| (f.field.as_str(), f.code))
            .collect();
        assert_eq!(
            found,
            [
                ("event_type", FaultCode::UnknownName),
                ("customer_id", FaultCode::Required),
                ("order_id", FaultCode::BadCharacter),
                ("quantity", FaultCode::OutOfRange),
                ("currency", FaultCode::BadCurrency),
                ("unit_price", FaultCode::NotANumber),
            ]
        );
    }

    #[test]
    fn ratings_belong_to_their_events() {
        let code = |event_type: &'static str, rating: Option<f64>| {
            let draft = EventDraft {
                event_type,
                rating: rating.map(Ok),
                ..draft()
            };
            draft
                .check(now(), |_| 0)
                .map(|_| ())
                .map_err(|faults| faults.as_slice()[0].code)
        };
        assert_eq!(code("review", Some(5.0)), Ok(()));
        assert_eq!(code("review", Some(0.0)), Err(FaultCode::OutOfRange));
        assert_eq!(code("nps_response", Some(0.0)), Ok(()));
        assert_eq!(code("nps_response", None), Err(FaultCode::Required));
        assert_eq!(code("purchase", Some(5.0)), Err(FaultCode::NotAllowed));
    }

    #[test]
    fn search_queries_belong_to_searches() {
        let code = |event_type: &'static str| {
            let draft = EventDraft {
                event_type,
                search_query: "headphones",
                ..draft()
            };
            let checked = draft.check(now(), |_| 0);
            checked.map(|_| ()).map_err(|f| f.as_slice()[0].code)
        };
        assert_eq!(code("search"), Ok(()));
        assert_eq!(code("purchase"), Err(FaultCode::NotAllowed));
    }

    #[test]
    fn campaigns_belong_to_what_was_sent() {
        let checked = |event_type: &'static str, campaign_id: &'static str| {
            let draft = EventDraft {
                event_type,
                campaign_id,
                product_id: "",
                ..draft()
            };
            let checked = draft.check(now(), |_| 0);
            checked.map_err(|f| (f.as_slice()[0].field.clone(), f.as_slice()[0].code))
        };
        let (one, other) = (checked("offer_sent", "13"), checked("offer_sent", "14"));
        assert_ne!(one.unwrap().key, other.unwrap().key);
        let refused = |field: &str, code| Err((field.to_owned(), code));
        assert_eq!(
            checked("offer_sent", "").map(|_| ()),
            refused("offer_id", FaultCode::Required)
        );
        assert_eq!(
            checked("page_view", "13").map(|_| ()),
            refused("campaign_id", FaultCode::NotAllowed)
        );
        assert_eq!(
            checked("offer_redeemed", "13").map(|_| ()),
            refused("campaign_id", FaultCode::NotAllowed)
        );
    }

    #[test]
    fn equal_events_without_an_id_differ_by_their_repetition_only() {
        let key = |number| draft().check(now(), |_| number).unwrap().key;
        assert_eq!(key(0), key(0));
        assert_ne!(key(0), key(1));
        let with_id = EventDraft {
            event_id: "e1",
            ..draft()
        };
        let other = EventDraft {
            event_id: "e1",
            product_id: "p2",
            ..draft()
        };
        let key = |d: EventDraft<'_>| d.check(now(), |_| 0).unwrap().key;
        assert_eq!(key(with_id), key(other));
    }
}
