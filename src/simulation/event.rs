//! What people do, as small records.

use super::offer::OfferKind;

/// One of the event names of the API that the shop produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is its name; the API documents them")]
pub enum EventKind {
    AdClick,
    PageView,
    Referral,
    Search,
    ViewItemList,
    SelectItem,
    ViewItem,
    AddToWishlist,
    AddToCart,
    RemoveFromCart,
    ViewCart,
    BeginCheckout,
    AddPaymentInfo,
    Purchase,
    OrderDelivered,
    StoreVisit,
    SignUp,
    Login,
    EmailOpen,
    EmailClick,
    OfferSent,
    OfferRedeemed,
    OfferDeclined,
    SupportContact,
    CsatResponse,
    Refund,
    Review,
    NpsResponse,
    Share,
}

impl EventKind {
    /// The name in `events.csv`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::AdClick => "ad_click",
            EventKind::PageView => "page_view",
            EventKind::Referral => "referral",
            EventKind::Search => "search",
            EventKind::ViewItemList => "view_item_list",
            EventKind::SelectItem => "select_item",
            EventKind::ViewItem => "view_item",
            EventKind::AddToWishlist => "add_to_wishlist",
            EventKind::AddToCart => "add_to_cart",
            EventKind::RemoveFromCart => "remove_from_cart",
            EventKind::ViewCart => "view_cart",
            EventKind::BeginCheckout => "begin_checkout",
            EventKind::AddPaymentInfo => "add_payment_info",
            EventKind::Purchase => "purchase",
            EventKind::OrderDelivered => "order_delivered",
            EventKind::StoreVisit => "store_visit",
            EventKind::SignUp => "sign_up",
            EventKind::Login => "login",
            EventKind::EmailOpen => "email_open",
            EventKind::EmailClick => "email_click",
            EventKind::OfferSent => "offer_sent",
            EventKind::OfferRedeemed => "offer_redeemed",
            EventKind::OfferDeclined => "offer_declined",
            EventKind::SupportContact => "support_contact",
            EventKind::CsatResponse => "csat_response",
            EventKind::Refund => "refund",
            EventKind::Review => "review",
            EventKind::NpsResponse => "nps_response",
            EventKind::Share => "share",
        }
    }
}

/// Where shop and customer meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Touchpoint {
    SearchAd,
    SocialAd,
    Search,
    Site,
    App,
    Email,
    Referral,
    Store,
    SalesTeam,
    Support,
    Reviews,
    Survey,
}

impl Touchpoint {
    /// The name in `events.csv`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Touchpoint::SearchAd => "search_ad",
            Touchpoint::SocialAd => "social_ad",
            Touchpoint::Search => "search",
            Touchpoint::Site => "site",
            Touchpoint::App => "app",
            Touchpoint::Email => "email",
            Touchpoint::Referral => "referral",
            Touchpoint::Store => "store",
            Touchpoint::SalesTeam => "sales_team",
            Touchpoint::Support => "support",
            Touchpoint::Reviews => "reviews",
            Touchpoint::Survey => "survey",
        }
    }
}

/// One event. Ids are numbers here; the files give them their written form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Seconds since the Unix epoch.
    pub time: i64,
    /// Who did it, whether or not the shop can know: orders events of one moment.
    pub person: u32,
    /// The known customer.
    pub customer: Option<u32>,
    /// The browser or device.
    pub visitor: Option<u64>,
    /// What happened.
    pub kind: EventKind,
    /// Where.
    pub touchpoint: Touchpoint,
    /// The visit it belongs to.
    pub session: Option<u64>,
    /// The basket of a purchase and of what follows from it.
    pub order: Option<u64>,
    /// Index of the product.
    pub product: Option<u32>,
    /// Units; zero where an event has none.
    pub quantity: u32,
    /// Price paid for one unit, in cents.
    pub price_cents: Option<u32>,
    /// The offer of offer events.
    pub offer: Option<OfferKind>,
    /// 1–5 for reviews and CSAT, 0–10 for NPS.
    pub rating: Option<u8>,
}
