//! Offers and how customers respond to them: a proportional hazard on visits for seven days.

/// A kind of offer, as in `offers.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is its name")]
pub enum OfferKind {
    Percentage,
    Amount,
    BuyXGetY,
    FreeShipping,
    Gift,
    LoyaltyPoints,
    EarlyAccess,
    Referral,
    Content,
}

/// How long an offer works, in days after the day it was sent.
pub const EFFECT_DAYS: u32 = 7;
/// Probability that a customer with newsletter gets an offer in a week: every kind is as likely,
/// whoever it is, so the log is a randomised trial.
pub const SENT_PER_WEEK: f64 = 0.10;
/// Reduction of the percentage offer.
pub(crate) const PERCENT_OFF: f64 = 0.15;
/// Reduction of the amount offer, for the basket, in cents.
pub(crate) const AMOUNT_OFF_CENTS: u32 = 1_000;

impl OfferKind {
    /// All kinds.
    pub const ALL: [OfferKind; 9] = [
        OfferKind::Percentage,
        OfferKind::Amount,
        OfferKind::BuyXGetY,
        OfferKind::FreeShipping,
        OfferKind::Gift,
        OfferKind::LoyaltyPoints,
        OfferKind::EarlyAccess,
        OfferKind::Referral,
        OfferKind::Content,
    ];

    /// The kind's name in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OfferKind::Percentage => "percentage",
            OfferKind::Amount => "amount",
            OfferKind::BuyXGetY => "buy_x_get_y",
            OfferKind::FreeShipping => "free_shipping",
            OfferKind::Gift => "gift",
            OfferKind::LoyaltyPoints => "loyalty_points",
            OfferKind::EarlyAccess => "early_access",
            OfferKind::Referral => "referral",
            OfferKind::Content => "content",
        }
    }

    /// Place in [`OfferKind::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        self as usize
    }

    /// What a price-sensitive customer adds to the log hazard ratio.
    pub(crate) fn price_pull(self) -> f64 {
        [0.5, 0.45, 0.2, 0.4, 0.0, 0.1, -0.1, 0.1, -0.2][self.place()]
    }

    /// Probability that a purchase in the offer's days redeems it.
    pub(crate) fn redeemed(self) -> f64 {
        match self {
            OfferKind::Percentage | OfferKind::Amount | OfferKind::FreeShipping => 0.9,
            OfferKind::BuyXGetY | OfferKind::Gift | OfferKind::LoyaltyPoints => 0.7,
            OfferKind::EarlyAccess | OfferKind::Referral | OfferKind::Content => 0.4,
        }
    }
}

/// An offer that a customer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldOffer {
    pub(crate) kind: OfferKind,
    /// First and last day on which it works.
    pub(crate) days: (u32, u32),
    pub(crate) redeemed: bool,
}

impl HeldOffer {
    pub(crate) fn sent_on(kind: OfferKind, day: u32) -> HeldOffer {
        HeldOffer {
            kind,
            days: (day + 1, day + EFFECT_DAYS),
            redeemed: false,
        }
    }

    pub(crate) fn works_on(&self, day: u32) -> bool {
        (self.days.0..=self.days.1).contains(&day)
    }
}
