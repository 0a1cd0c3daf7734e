//! What is counted: a measure with the group, stage and touchpoint it belongs to, in one number.

/// The most groups, the one of everybody who is in none included.
pub const MAX_GROUPS: usize = 1 << GROUP_BITS;
/// The touchpoint of a counter that has none.
pub const NO_PLACE: u16 = (1 << PLACE_BITS) - 1;
/// The stage of a counter that has none.
pub const NO_STAGE: u8 = (1 << STAGE_BITS) - 1;

const GROUP_BITS: u32 = 10;
const STAGE_BITS: u32 = 5;
const PLACE_BITS: u32 = 9;
const DETAIL_BITS: u32 = 12;

macro_rules! measures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a counter counts. `detail` of its [`Key`] says more.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Measure {
            $($(#[$doc])* $name,)*
        }

        const MEASURES: &[Measure] = &[$(Measure::$name,)*];
    };
}

measures! {
    /// Stays that began, at their first touchpoint; detail: [`Origin`].
    Began,
    /// Stays that ended, at their last touchpoint; detail: [`Ending`].
    Ended,
    /// Stays that came to the touchpoint; detail: [`Origin`].
    Reached,
    /// Stays that ended and had come to the touchpoint; detail: [`Ending`].
    Passed,
    /// Customers, on the day they were first seen as such; detail: [`Arm`].
    Known,
    /// Stays that ended by a move; detail: bucket of their length.
    Stayed,
    /// Events.
    Events,
    /// Events that moved nobody.
    Steps,
    /// Moves from the touchpoint; detail: the touchpoint they led to.
    Flow,
    /// Orders; detail: currency, and [`RETURNING`] if not the customer's first.
    Orders,
    /// Revenue in micros; detail: currency.
    Revenue,
    /// Revenue of products whose cost is known, in micros; detail: currency.
    CostedRevenue,
    /// Margin of products whose cost is known, in micros; detail: currency.
    Margin,
    /// The squares of the orders' revenues, in units²; detail: currency.
    OrderSquares,
    /// Answers; detail: [`Rating`].
    Ratings,
    /// Sums of answers from -1 to 1, in thousandths; detail: [`Rating`].
    RatingSum,
    /// Sums of their squares, in millionths; detail: [`Rating`].
    RatingSquares,
    /// Answers at the good end: CSAT 4 and 5, NPS 9 and 10; detail: [`Rating`].
    RatingsHigh,
    /// Answers at the bad end: CSAT 1 and 2, NPS 0 to 6; detail: [`Rating`].
    RatingsLow,
    /// Carts that were begun.
    CartsBegun,
    /// Carts that were bought, at the touchpoint where they were used last before that.
    CartsBought,
    /// Carts that were abandoned, at the touchpoint where they were used last.
    CartsAbandoned,
    /// Visits, where they begin.
    Visits,
    /// Visits with an order, on the day and at the touchpoint where they began.
    VisitsWithOrder,
    /// Visits that looked at a product; detail: its category.
    Looked,
    /// Of these, those that ended with that; detail: the category.
    LookedLast,
    /// People, on the day and at the touchpoint of their first order, in the stage before it.
    FirstOrders,
    /// Of these, those that ordered again; detail: bucket of the time between.
    SecondOrders,
    /// Orders by people of an arm; detail: [`Arm`].
    ArmOrders,
    /// Revenue from people of an arm, in micros; detail: [`Arm`], and the currency above it.
    ArmRevenue,
    /// The squares of the orders' revenues, in units²; detail as of [`Measure::ArmRevenue`].
    ArmSquares,
    /// Orders with a line that was recommended; detail: currency.
    CreditedOrders,
    /// Revenue of lines that were recommended, in micros; detail: currency.
    CreditedRevenue,
    /// Revenue of lines whose answer held an offer, in micros; detail: currency.
    OfferRevenue,
    /// The squares of what of the orders' revenues was recommended, in units²; detail: currency.
    CreditedSquares,
    /// The products of what of the orders' revenues was recommended with their revenues, in units²; detail: currency.
    CreditedProducts,
    /// As [`Measure::CreditedSquares`], of lines whose answer held an offer.
    OfferSquares,
    /// As [`Measure::CreditedProducts`], of lines whose answer held an offer.
    OfferProducts,
    /// Of [`Measure::Reached`], those whose stay before, which ended with the move to this one, had come to the
    /// touchpoint, too; detail: [`Origin`].
    Again,
    /// Carts that were bought or abandoned, at each touchpoint where they were used.
    CartsUsed,
}

/// Detail of [`Measure::Orders`]: not the customer's first.
pub const RETURNING: u16 = 1 << 8;

/// How a stay began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// With a move from this stage.
    From(u8),
    /// Never seen before.
    New,
    /// Had left and came back.
    Returned,
}

/// How a stay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// With a move to this stage.
    To(u8),
    /// Nothing happened for the horizon of the stage.
    Left,
    /// The visitor turned out to be a customer who was here already.
    Joined,
}

impl Origin {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::From(stage) => u16::from(stage),
            Self::New => 32,
            Self::Returned => 33,
        }
    }

    /// From the detail of a key.
    #[must_use]
    pub fn of_code(code: u16) -> Self {
        match code {
            32 => Self::New,
            33 => Self::Returned,
            stage => Self::From(stage as u8),
        }
    }
}

impl Ending {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::To(stage) => u16::from(stage),
            Self::Left => 32,
            Self::Joined => 33,
        }
    }

    /// From the detail of a key.
    #[must_use]
    pub fn of_code(code: u16) -> Self {
        match code {
            32 => Self::Left,
            33 => Self::Joined,
            stage => Self::To(stage as u8),
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rating {
    /// A review, 1 to 5.
    Review,
    /// Satisfaction, 1 to 5.
    Csat,
    /// Readiness to recommend, 0 to 10.
    Nps,
}

/// Who may get offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Arm {
    /// Offers are chosen for them.
    Treated,
    /// They never get one.
    HeldOut,
}

impl Arm {
    pub(super) fn with(self, currency: u16) -> u16 {
        currency << 1 | self as u16
    }

    /// The arm and the currency of a detail.
    #[must_use]
    pub fn split(detail: u16) -> (Self, u16) {
        let arm = match detail & 1 {
            0 => Self::Treated,
            _ => Self::HeldOut,
        };
        (arm, detail >> 1)
    }
}

/// A counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What it counts.
    pub measure: Measure,
    /// The number of the group.
    pub group: u16,
    /// The stage, or [`NO_STAGE`].
    pub stage: u8,
    /// The number of the touchpoint, or [`NO_PLACE`].
    pub place: u16,
    /// What the measure says it is; 0 where it says nothing.
    pub detail: u16,
}

impl Key {
    /// In one number; neighbours in meaning are neighbours in order, so that differences are small.
    pub(super) fn packed(self) -> u64 {
        let mut packed = self.measure as u64;
        packed = packed << GROUP_BITS | u64::from(self.group);
        packed = packed << STAGE_BITS | u64::from(self.stage);
        packed = packed << PLACE_BITS | u64::from(self.place);
        packed << DETAIL_BITS | u64::from(self.detail)
    }

    /// From one number.
    pub(super) fn unpacked(packed: u64) -> Self {
        let low = |bits: u32, shift: u32| (packed >> shift) & ((1 << bits) - 1);
        let place = DETAIL_BITS;
        let stage = place + PLACE_BITS;
        let group = stage + STAGE_BITS;
        let measure = (packed >> (group + GROUP_BITS)) as usize;
        Self {
            measure: MEASURES[measure.min(MEASURES.len() - 1)],
            group: low(GROUP_BITS, group) as u16,
            stage: low(STAGE_BITS, stage) as u8,
            place: low(PLACE_BITS, place) as u16,
            detail: low(DETAIL_BITS, 0) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_it_was() {
        for measure in MEASURES {
            let key = Key {
                measure: *measure,
                group: 1_023,
                stage: NO_STAGE,
                place: 7,
                detail: 4_095,
            };
            assert_eq!(Key::unpacked(key.packed()), key);
            let plain = Key {
                group: 0,
                stage: 3,
                place: NO_PLACE,
                detail: 0,
                ..key
            };
            assert_eq!(Key::unpacked(plain.packed()), plain);
        }
        for origin in [Origin::From(15), Origin::New, Origin::Returned] {
            assert_eq!(Origin::of_code(origin.code()), origin);
        }
        for ending in [Ending::To(15), Ending::Left, Ending::Joined] {
            assert_eq!(Ending::of_code(ending.code()), ending);
        }
        assert_eq!(Arm::split(Arm::HeldOut.with(9)), (Arm::HeldOut, 9));
    }
}
