//! What leads from an event back to the answer it came of: the decision, and what it showed of the product.

use serde::{Deserialize, Serialize};

use crate::domain::event::EventKind;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::recipe::Source;
use crate::domain::time::{DAY_MS, HOUR_MS, Timestamp};

/// The longest attribution token, in bytes: one of 100 products takes about 1,050.
pub const MAX_TOKEN_BYTES: usize = 2_048;
/// What happens later after its answer is not attributed to it.
pub const HORIZON_MS: i64 = 30 * DAY_MS;
/// Clocks differ: what happens up to this long before its answer is attributed all the same.
pub const CLOCKS_DIFFER_MS: i64 = HOUR_MS;
/// Log-odds are kept in so many parts of one.
pub const BASE_PARTS: f64 = 256.0;

/// The first 32 bits of a hash (FNV-1a of 64 bits, folded) that stays the same from release to release: tells the
/// products of one answer apart.
#[must_use]
pub fn short_hash(text: &str) -> u32 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    (hash >> 32) as u32 ^ hash as u32
}

/// What spoke most for a product of an answer: a source, or exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// A source.
    Source(Source),
    /// It was shown to become known.
    Exploration,
}

impl Origin {
    /// How many there are.
    pub const COUNT: usize = Source::ALL.len() + 1;
    /// All of them; each stands at the place of its [`Origin::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Exploration,
        Self::Source(Source::Personal),
        Self::Source(Source::Together),
        Self::Source(Source::Ease),
        Self::Source(Source::Customers),
        Self::Source(Source::Sessions),
        Self::Source(Source::Recent),
        Self::Source(Source::Trending),
        Self::Source(Source::Stage),
        Self::Source(Source::Content),
        Self::Source(Source::Popular),
        Self::Source(Source::Persona),
    ];

    /// The number that stands in tokens and records. It never changes its meaning: a new source gets a new one.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Exploration => 0,
            Self::Source(Source::Personal) => 1,
            Self::Source(Source::Together) => 2,
            Self::Source(Source::Ease) => 3,
            Self::Source(Source::Customers) => 4,
            Self::Source(Source::Sessions) => 5,
            Self::Source(Source::Recent) => 6,
            Self::Source(Source::Trending) => 7,
            Self::Source(Source::Stage) => 8,
            Self::Source(Source::Content) => 9,
            Self::Source(Source::Popular) => 10,
            Self::Source(Source::Persona) => 11,
        }
    }

    /// The one with that number.
    #[must_use]
    pub fn of_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }

    /// The name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source(source) => source.as_str(),
            Self::Exploration => "exploration",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "exploration" => Some(Self::Exploration),
            _ => Source::from_name(name).map(Self::Source),
        }
    }
}

/// One product of an answer, as a token holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// [`short_hash`] of its id. Not its number: numbers change when somebody is erased.
    pub product: u32,
    /// What spoke most for it.
    pub origin: Origin,
    /// Its place in the answer; 1 is best.
    pub rank: u8,
    /// Log-odds by the model's word, in [`BASE_PARTS`]; absent: no model ranked it.
    pub base: Option<i16>,
    /// The probability with which it came to stand there.
    pub probability: f32,
}

impl Shown {
    /// Log-odds as they are kept: in [`BASE_PARTS`], cut at the ends of the range.
    #[must_use]
    pub fn quantised(log_odds: f64) -> i16 {
        // a float that is out of range is cut by the cast
        (log_odds * BASE_PARTS).round() as i16
    }

    /// Log-odds by the model's word.
    #[must_use]
    pub fn log_odds(&self) -> Option<f64> {
        self.base.map(|base| f64::from(base) / BASE_PARTS)
    }
}

/// The most offers that one answer holds, and the most that could have been in their place.
pub const MAX_DECIDED: usize = 16;

/// An offer of an answer, as a token holds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// [`short_hash`] of its id.
    pub offer: u32,
    /// The probability with which it came to stand there; 0: not known.
    pub probability: f32,
}

/// What an answer decided about offers: some, or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfferDecision {
    /// Best first; at most [`MAX_DECIDED`].
    pub offers: Vec<Offered>,
    /// The probability with which there was none, where there is none; 0: not known.
    pub none: f32,
    /// [`short_hash`] of the others that could have been, each once; at most [`MAX_DECIDED`].
    pub others: Vec<u32>,
    /// They never get an offer.
    pub is_held_out: bool,
    /// The log-odds that the batch model gave them to buy with the first offer, or, where there is none, without any:
    /// as [`Shown::quantised`] has them; absent: no model was asked.
    pub base: Option<i16>,
}

impl OfferDecision {
    /// The log-odds to buy by the model's word.
    #[must_use]
    pub fn log_odds(&self) -> Option<f64> {
        self.base.map(|base| f64::from(base) / BASE_PARTS)
    }

    /// The arm that was chosen, and its probability if it is known: the first offer, or none.
    #[must_use]
    pub fn arm(&self) -> (Option<u32>, Option<f64>) {
        let (arm, probability) = match self.offers.first() {
            Some(first) => (Some(first.offer), first.probability),
            None => (None, self.none),
        };
        let is_known = probability > 0.0 && probability <= 1.0;
        (arm, is_known.then_some(f64::from(probability)))
    }

    /// True if the offer was answered.
    #[must_use]
    pub fn holds(&self, offer: u32) -> bool {
        self.offers.iter().any(|offered| offered.offer == offer)
    }
}

/// What became of an offer of an answer, by an event with its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OfferEffect {
    /// The answer reached the person.
    Exposure,
    /// The offer was clicked.
    Click,
    /// It was taken.
    Redeemed,
    /// It was turned down.
    Declined,
    /// Something was bought.
    Purchase,
}

impl OfferEffect {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Exposure,
        Self::Click,
        Self::Redeemed,
        Self::Declined,
        Self::Purchase,
    ];

    /// What an event of this kind says became of the offers of an answer, if anything.
    #[must_use]
    pub fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::ViewItemList
            | EventKind::ViewPromotion
            | EventKind::EmailOpen
            | EventKind::OfferSent => Some(Self::Exposure),
            EventKind::SelectPromotion | EventKind::EmailClick => Some(Self::Click),
            EventKind::OfferRedeemed => Some(Self::Redeemed),
            EventKind::OfferDeclined => Some(Self::Declined),
            EventKind::Purchase => Some(Self::Purchase),
            _ => None,
        }
    }

    /// True if it is about all offers of the answer where the event names none.
    #[must_use]
    pub fn is_of_all(self) -> bool {
        matches!(self, Self::Exposure | Self::Purchase)
    }
}

/// A decision that a token proves, and those of its products that an event is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Which answer: the same question with the same answer at the same moment is the same decision.
    pub decision: Fingerprint,
    /// When it was answered.
    pub moment: Timestamp,
    /// The stage it was for.
    pub stage: Box<str>,
    /// [`short_hash`] of where it was to be shown.
    pub placement: u32,
    /// The first 32 bits of the revision that ranked; 0: none.
    pub revision: u32,
    /// False if the answer was for somebody else than the one who did this.
    pub is_theirs: bool,
    /// The product of the event; all products of the answer where a list was seen and no product named.
    pub shown: Vec<Shown>,
    /// What was decided about offers, where the event says that it reached somebody; else those of its offers that the
    /// event is about. Absent: nothing was, or the event is about none.
    pub offers: Option<OfferDecision>,
}

impl Attribution {
    /// Whether the product of the event was recommended to the one who did this.
    #[must_use]
    pub fn is_recommended(&self) -> bool {
        self.is_theirs && !self.shown.is_empty()
    }

    /// Whether the answer to the one who did this held an offer.
    #[must_use]
    pub fn has_offer(&self) -> bool {
        let offers = self.offers.as_ref();
        self.is_theirs && offers.is_some_and(|decision| !decision.offers.is_empty())
    }
}

/// What an event says of the answer it came of.
#[derive(Debug, Clone, PartialEq)]
pub enum Credit {
    /// The token as the caller sent it, still to be checked. Never in the journal.
    Claimed(Box<str>),
    /// What the token proves.
    Proven(Box<Attribution>),
}

impl Credit {
    /// What is proven, if anything.
    #[must_use]
    pub fn proven(&self) -> Option<&Attribution> {
        match self {
            Self::Claimed(_) => None,
            Self::Proven(proven) => Some(proven),
        }
    }
}

/// What became of a product that was recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect {
    /// It was seen.
    Impression,
    /// It was picked or looked at.
    Click,
    /// It was put into the cart.
    Cart,
    /// It was bought.
    Purchase,
}

impl Effect {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Impression, Self::Click, Self::Cart, Self::Purchase];

    /// What an event of this kind says became of a recommendation, if anything.
    #[must_use]
    pub fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::ViewItemList | EventKind::EmailOpen => Some(Self::Impression),
            EventKind::SelectItem | EventKind::ViewItem | EventKind::EmailClick => {
                Some(Self::Click)
            }
            EventKind::AddToCart => Some(Self::Cart),
            EventKind::Purchase => Some(Self::Purchase),
            _ => None,
        }
    }
}

/// Why a token attributes nothing. The event that carries it is kept all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unattributed {
    /// Not a token, or one of a newer nextbest.
    Malformed,
    /// Damaged, changed, or signed with another key.
    BadSignature,
    /// The answer was for a stage that the journey does not have any more.
    UnknownStage,
    /// The event came too long after the answer, or before it.
    OutOfTime,
    /// The answer did not hold the product or the offer, or the event names none.
    NotShown,
    /// The answer was for somebody else.
    OtherSubject,
    /// Nothing becomes of a recommendation by events of this kind.
    NoOutcome,
}

impl Unattributed {
    /// The code in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::UnknownStage => "UNKNOWN_STAGE",
            Self::OutOfTime => "OUT_OF_TIME",
            Self::NotShown => "NOT_SHOWN",
            Self::OtherSubject => "OTHER_SUBJECT",
            Self::NoOutcome => "NO_OUTCOME",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_keep_their_numbers_and_names() {
        for (index, origin) in Origin::ALL.into_iter().enumerate() {
            assert_eq!(origin.index(), index);
            assert_eq!(Origin::of_index(index), Some(origin));
            assert_eq!(Origin::from_name(origin.as_str()), Some(origin));
        }
        assert_eq!(Origin::of_index(Origin::COUNT), None);
        assert_eq!(Origin::from_name("luck"), None);
    }

    #[test]
    fn hashes_and_log_odds_are_what_they_were_in_earlier_releases() {
        let hashes = ["", "p1", "headphones"].map(short_hash);
        assert_eq!(hashes, [0x4FD0_BFC1, 0xBDA0_7DBD, 0x7FC5_D5C1]);
        assert_eq!(Shown::quantised(1.5), 384);
        assert_eq!(Shown::quantised(-1e9), i16::MIN);
        assert_eq!(Shown::quantised(1e9), i16::MAX);
        assert_eq!(Shown::quantised(f64::NAN), 0);
    }
}
