//! The features of a candidate: one definition for training and serving.

use crate::algorithms::repurchase::{Gaps, Rhythm, again};
use crate::domain::Source;

/// How many sources there are.
pub const SOURCES: usize = Source::ALL.len();

/// What the customer's own purchases say of a candidate. Times in days before the question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Own {
    /// Baskets that hold it; 0: never bought.
    pub baskets: f64,
    /// Days since the first of them.
    pub first_days: f64,
    /// Days since the last of them.
    pub last_days: f64,
    /// Baskets since the last of them: 0 is the newest basket.
    pub baskets_ago: f64,
    /// Σ 2^(−days/half-life), the short one.
    pub fast: f64,
    /// Σ 2^(−days/half-life), the long one.
    pub slow: f64,
    /// Σ 0.85^(baskets ago).
    pub by_basket: f64,
    /// Units over all baskets.
    pub quantity: f64,
    /// Times it was given back.
    pub refunds: f64,
    /// Between the purchases.
    pub gaps: Gaps,
}

/// What the steps of this visit and the days before say of a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Steps {
    /// Steps with it.
    pub count: f64,
    /// Weighted steps with it.
    pub weight: f64,
    /// Hours since the last one.
    pub last_hours: f64,
    /// How many different products were stepped on since; 0 is the one on screen.
    pub products_ago: f64,
    /// True if it is in the cart.
    pub in_cart: bool,
}

/// What the shop as a whole says of a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Item {
    /// Baskets that hold it.
    pub baskets: f64,
    /// Baskets, fading in 7 days.
    pub fast: f64,
    /// Baskets, fading in 28 days.
    pub recent: f64,
    /// Baskets, fading in 112 days.
    pub slow: f64,
    /// Steps, fading in 7 days.
    pub browsed: f64,
    /// Weighted events of people in the stage, fading in 28 days.
    pub stage: f64,
    /// Customers who bought it.
    pub buyers: f64,
    /// Customers who bought it again.
    pub repeat_buyers: f64,
    /// Days since its first event.
    pub age_days: f64,
    /// Between purchases of it, of everybody.
    pub gaps: Gaps,
}

/// How a candidate agrees with what somebody bought and looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Affinity {
    /// The share of its category in what they bought and looked at.
    pub category: f64,
    /// The share of the broadest level of it.
    pub department: f64,
    /// The share of its brand.
    pub brand: f64,
    /// How much dearer it is than usual for them, in standard deviations of the logarithm; 0 if nobody knows.
    pub dearer: f64,
    /// How dear it is within its category, in standard deviations of the logarithm; absent if nobody knows.
    pub level: Option<f64>,
    /// The mean level of what they bought and looked at.
    pub own_level: f64,
}

/// A candidate with everything the features are made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate {
    /// The product's number.
    pub product: u32,
    /// Rank in each source, 1 is best; 0: not proposed by it.
    pub ranks: [u16; SOURCES],
    /// The customer's own purchases.
    pub own: Own,
    /// The customer's steps.
    pub steps: Steps,
    /// The shop as a whole.
    pub item: Item,
    /// How it agrees with what they are about.
    pub affinity: Affinity,
    /// Σ of cosines with what was bought lately, by common baskets.
    pub bought_together: f64,
    /// Σ of cosines with what was stepped on lately, by common days.
    pub browsed_together: f64,
    /// The seed that speaks most for `bought_together` or `browsed_together`.
    pub because: Option<u32>,
    /// How often it is looked at right after the product on screen, as a share.
    pub next_viewed: f64,
    /// Cosine with the product on screen, by common days.
    pub near_screen: f64,
    /// Σ of EASE weights of the products bought.
    pub ease: f64,
    /// The share of the last baskets of similar customers that hold it.
    pub liked_ever: f64,
    /// How much similar customers bought it lately.
    pub liked_now: f64,
    /// Σ of what sessions like this one say.
    pub sessions: f64,
    /// The product of this session that speaks most for `sessions`.
    pub session_because: Option<u32>,
    /// Cosine of the texts.
    pub content: f64,
    /// The product whose text is nearest.
    pub content_because: Option<u32>,
    /// How many times likelier its buyers are of the persona of who asks than the buyers of anything are; 0 if nobody
    /// knows.
    pub persona_lift: f64,
}

/// What is the same for all candidates of one question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Asker {
    /// Baskets bought.
    pub baskets: f64,
    /// Share of lines that had been bought before.
    pub repeat_share: f64,
    /// Mean lines a basket.
    pub basket_size: f64,
    /// Days between baskets, on average.
    pub rhythm_days: f64,
    /// Share of repeat buyers among buyers over all products, for products with few.
    pub mean_repeat_rate: f64,
    /// Between purchases of the same product, of everybody.
    pub gaps: Gaps,
    /// Different products of the steps of the last day.
    pub visit_products: f64,
    /// Share of the steps of the last day that went back to a product.
    pub visit_returns: f64,
    /// Hours since the last step.
    pub idle_hours: f64,
}

/// ln(1 + x), 0 below 0: counts and days span orders of magnitude.
trait Log {
    fn log_1p(self) -> f64;
}

impl Log for f64 {
    fn log_1p(self) -> f64 {
        // most of what is counted of most candidates is nothing
        if self > 0.0 { ln(1.0 + self) } else { 0.0 }
    }
}

/// The natural logarithm of a normal number above 0, to six digits: 2·artanh((m−1)/(m+1)) of the mantissa as a series.
/// An answer takes some ten thousand of them, and the library's is exact at three times the price.
fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let exponent = (bits >> 52) as f64 - 1023.0;
    let mantissa = f64::from_bits(bits & MANTISSA | 1023 << 52);
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let s = t * t;
    let series =
        1.0 + s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s / 11.0))));
    exponent * std::f64::consts::LN_2 + 2.0 * t * series
}

macro_rules! features {
    (
        $c:ident, $a:ident, $rhythm:ident;
        groups { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
        $($group:ident, $name:literal = $value:expr,)*
    ) => {
        /// What features are about. Each is in one group, so that a group can be left out to see what it is worth.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Group {
            $($(#[$doc])* $variant,)*
        }

        impl Group {
            /// All of them.
            pub const ALL: &'static [Group] = &[$(Group::$variant,)*];

            /// The name in reports; one that a source has too is about what that source knows.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        /// The names of all features, in the order of their columns.
        pub const NAMES: &[&str] = &[$($name,)*];
        /// The group of each.
        pub const GROUPS: &[Group] = &[$(Group::$group,)*];
        /// How many there are.
        pub const COUNT: usize = NAMES.len();

        /// The features of a candidate, finite, mostly between 0 and 10, in the order of [`NAMES`].
        #[must_use]
        pub fn features($c: &Candidate, $a: &Asker) -> [f32; COUNT] {
            let $rhythm = Standing::of($c, $a);
            [$($value as f32,)*]
        }
    };
}

features! {
    c, a, rhythm;
    groups {
        /// What the customer bought, how often and how long ago.
        Own = "own",
        /// When the customer buys it again.
        Rhythm = "rhythm",
        /// What was bought before, with what the shop and the customer are like.
        Crosses = "crosses",
        /// How the product sells and is looked at.
        Popularity = "popularity",
        /// Whether it sells more than it used to.
        Trend = "trend",
        /// What people in this stage go for.
        Stage = "stage",
        /// What people of this persona go for.
        Persona = "persona",
        /// The categories and brands the customer likes.
        Taste = "taste",
        /// The prices the customer pays.
        Price = "price",
        /// What goes with what was bought and looked at.
        Together = "together",
        /// What follows from everything bought (EASE).
        Ease = "ease",
        /// What similar customers buy.
        Customers = "customers",
        /// What sessions like this one went on to.
        Sessions = "sessions",
        /// What reads alike.
        Content = "content",
        /// What was stepped on, and what the visit is like.
        Steps = "steps",
    }
    Own, "own" = own(c),
    Own, "own_baskets" = c.own.baskets.log_1p(),
    Own, "own_share" = ratio(c.own.baskets, a.baskets),
    Own, "own_last_days" = own(c) * c.own.last_days.log_1p(),
    Own, "own_last_days_squared" = own(c) * c.own.last_days.log_1p().powi(2),
    Own, "own_baskets_ago" = own(c) * c.own.baskets_ago.log_1p(),
    Own, "own_newest_basket" = flag(own(c) > 0.0 && c.own.baskets_ago < 0.5),
    Own, "own_fast" = c.own.fast.log_1p(),
    Own, "own_slow" = c.own.slow.log_1p(),
    Own, "own_by_basket" = c.own.by_basket.log_1p(),
    Own, "own_once" = flag((0.5..1.5).contains(&c.own.baskets)),
    Rhythm, "own_gap" = gap(c),
    Rhythm, "own_gap_distance" = gap(c).abs(),
    Rhythm, "own_gap_known" = flag(c.own.baskets > 1.5),
    Rhythm, "own_due" = rhythm.due,
    Rhythm, "own_gap_ending" = rhythm.ending,
    Rhythm, "own_lateness" = rhythm.lateness,
    Rhythm, "own_lateness_distance" = rhythm.lateness.abs(),
    Own, "own_quantity" = ratio(c.own.quantity, c.own.baskets).log_1p(),
    Own, "own_refunds" = c.own.refunds.log_1p(),
    Crosses, "own_x_repeat_share" = own(c) * a.repeat_share,
    Crosses, "own_x_baskets" = own(c) * a.baskets.log_1p(),
    Crosses, "own_x_repeat_rate" = own(c) * repeat_rate(&c.item, a),
    Crosses, "own_x_recent" = own(c) * c.item.recent.log_1p(),
    Crosses, "own_x_trend" = own(c) * trend(c),
    Crosses, "own_x_basket_size" = own(c) * a.basket_size.log_1p(),
    Popularity, "item_baskets" = c.item.baskets.log_1p(),
    Trend, "item_fast" = c.item.fast.log_1p(),
    Popularity, "item_recent" = c.item.recent.log_1p(),
    Popularity, "item_slow" = c.item.slow.log_1p(),
    Trend, "item_trend" = trend(c),
    Popularity, "item_browsed" = c.item.browsed.log_1p(),
    Stage, "item_stage" = c.item.stage.log_1p(),
    Persona, "persona_popularity" = (c.item.recent * c.persona_lift).log_1p(),
    Persona, "persona_lift" = lift(c),
    Persona, "new_x_persona_lift" = (1.0 - own(c)) * lift(c),
    Popularity, "item_repeat_rate" = repeat_rate(&c.item, a),
    Popularity, "item_age" = c.item.age_days.log_1p(),
    Popularity, "item_conversion" = ratio(c.item.fast, c.item.browsed + 10.0).log_1p(),
    Taste, "category_affinity" = c.affinity.category,
    Taste, "new_x_category_affinity" = (1.0 - own(c)) * c.affinity.category,
    Taste, "department_affinity" = c.affinity.department,
    Taste, "brand_affinity" = c.affinity.brand,
    Price, "dearer" = c.affinity.dearer,
    Price, "price_distance" = c.affinity.dearer.abs(),
    Price, "price_level" = c.affinity.level.unwrap_or(0.0),
    Price, "price_level_x_own" = c.affinity.level.unwrap_or(0.0) * c.affinity.own_level,
    Price, "price_level_distance" = level_distance(c),
    Together, "bought_together" = (10.0 * c.bought_together).log_1p(),
    Together, "new_x_bought_together" = (1.0 - own(c)) * (10.0 * c.bought_together).log_1p(),
    Together, "browsed_together" = (10.0 * c.browsed_together).log_1p(),
    Together, "new_x_browsed_together" = (1.0 - own(c)) * (10.0 * c.browsed_together).log_1p(),
    Ease, "ease" = (10.0 * c.ease).log_1p(),
    Ease, "new_x_ease" = (1.0 - own(c)) * (10.0 * c.ease).log_1p(),
    Customers, "liked_ever" = (50.0 * c.liked_ever).log_1p(),
    Customers, "new_x_liked_ever" = (1.0 - own(c)) * (50.0 * c.liked_ever).log_1p(),
    Customers, "liked_now" = (20.0 * c.liked_now).log_1p(),
    Customers, "new_x_liked_now" = (1.0 - own(c)) * (20.0 * c.liked_now).log_1p(),
    Sessions, "sessions" = (20.0 * c.sessions).log_1p(),
    // ranks of the other sources make the ranking worse: what they are made of is here already
    Sessions, "rank_sessions" = reciprocal(c.ranks[Source::Sessions as usize]),
    Sessions, "seen_x_sessions" = flag(c.steps.weight > 0.0) * (20.0 * c.sessions).log_1p(),
    Content, "content" = c.content,
    Content, "new_x_content" = (1.0 - own(c)) * c.content,
    Steps, "step_count" = c.steps.count.log_1p(),
    Steps, "step_x_returns" = flag(c.steps.weight > 0.0) * a.visit_returns,
    Steps, "step_x_visit" = flag(c.steps.weight > 0.0) * a.visit_products.log_1p(),
    Steps, "step_x_next_viewed" = flag(c.steps.weight > 0.0) * (20.0 * c.next_viewed).log_1p(),
    Steps, "next_viewed" = (20.0 * c.next_viewed).log_1p(),
    Steps, "near_screen" = (10.0 * c.near_screen).log_1p(),
    Steps, "visit_products" = a.visit_products.log_1p(),
    Steps, "visit_returns" = a.visit_returns,
    Steps, "idle_hours" = a.idle_hours.log_1p(),
    Steps, "step_weight" = c.steps.weight.log_1p(),
    Steps, "step_last_hours" = flag(c.steps.weight > 0.0) / (1.0 + c.steps.last_hours),
    Steps, "step_last_log_hours" = flag(c.steps.weight > 0.0) * c.steps.last_hours.log_1p(),
    Steps, "step_on_screen" = flag(c.steps.weight > 0.0 && c.steps.products_ago < 0.5),
    Steps, "step_products_ago" = flag(c.steps.weight > 0.0) / (1.0 + c.steps.products_ago),
    Steps, "step_in_cart" = flag(c.steps.in_cart),
}

/// Within how many days something is due.
pub const DUE_DAYS: f64 = 28.0;

/// Where a product bought before stands in the customer's rhythm; all 0 where it never was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// The probability that it is bought again within [`DUE_DAYS`].
    pub due: f64,
    /// The same if it is bought again at all.
    pub ending: f64,
    /// How far along the gap since the last purchase is, in standard deviations: 0 is due, below is early.
    pub lateness: f64,
}

impl Standing {
    /// Of a candidate.
    #[must_use]
    pub fn of(c: &Candidate, a: &Asker) -> Self {
        if c.own.baskets <= 0.0 {
            return Self::default();
        }
        let (rhythm, again) = rhythm(&c.own, &c.item, a);
        let days = c.own.last_days;
        Self {
            due: rhythm.due(again, days, DUE_DAYS),
            ending: rhythm.due(1.0, days, DUE_DAYS),
            lateness: rhythm.lateness(days).clamp(-4.0, 4.0),
        }
    }
}

/// The probability that a product that was bought before is bought again within so many days.
#[must_use]
pub fn due_within(own: &Own, item: &Item, a: &Asker, days: f64) -> f64 {
    let (rhythm, again) = rhythm(own, item, a);
    rhythm.due(again, own.last_days, days)
}

/// The customer's rhythm with a product, and the probability that it is bought again at all.
fn rhythm(own: &Own, item: &Item, a: &Asker) -> (Rhythm, f64) {
    let rhythm = Rhythm::of(&own.gaps, &item.gaps, &a.gaps);
    (rhythm, again(own.baskets, repeat_rate(item, a)))
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn own(c: &Candidate) -> f64 {
    flag(c.own.baskets > 0.0)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// ln of the days since the last purchase over the mean days between purchases: 0 is due, below is early.
fn gap(c: &Candidate) -> f64 {
    if c.own.baskets > 1.5 {
        let mean = (c.own.first_days - c.own.last_days) / (c.own.baskets - 1.0);
        ln((c.own.last_days + 1.0) / (mean + 1.0)).clamp(-4.0, 4.0)
    } else {
        0.0
    }
}

/// ln of the rate of the last weeks over the rate of the last months.
fn trend(c: &Candidate) -> f64 {
    // a constant rate r gives fading sums of r·h/ln 2, so the sums are compared per half-life
    ln((c.item.fast / 7.0 + 0.02) / (c.item.slow / 112.0 + 0.02)).clamp(-3.0, 3.0)
}

/// How far from the customer's usual price level it is, in deviations of the prices of its category.
fn level_distance(c: &Candidate) -> f64 {
    let level = c.affinity.level;
    level.map_or(0.0, |level| (level - c.affinity.own_level).abs())
}

/// ln of [`Candidate::persona_lift`].
fn lift(c: &Candidate) -> f64 {
    if c.persona_lift > 0.0 {
        ln(c.persona_lift).clamp(-3.0, 3.0)
    } else {
        0.0
    }
}

/// The share of buyers who bought again (Amazon, KDD 2018: repeat customer probability), shrunk to
/// the mean of the shop.
#[must_use]
pub fn repeat_rate(item: &Item, a: &Asker) -> f64 {
    (item.repeat_buyers + 5.0 * a.mean_repeat_rate) / (item.buyers + 5.0)
}

fn reciprocal(rank: u16) -> f64 {
    match rank {
        0 => 0.0,
        rank => 10.0 / (10.0 + f64::from(rank)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, c: &Candidate, a: &Asker) -> f32 {
        features(c, a)[NAMES.iter().position(|&n| n == name).unwrap()]
    }

    #[test]
    fn logarithms_are_right_to_six_digits() {
        let mut x = 1e-9f64;
        while x < 1e12 {
            assert!((ln(x) - x.ln()).abs() < 2e-6, "{x}: {} {}", ln(x), x.ln());
            x *= 1.0137;
        }
    }

    #[test]
    fn an_empty_candidate_has_finite_features() {
        let all = features(&Candidate::default(), &Asker::default());
        assert!(all.iter().all(|value| value.is_finite()));
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT, "names are unique");
    }

    #[test]
    fn every_group_has_features_and_a_name_of_its_own() {
        assert_eq!(GROUPS.len(), COUNT);
        let mut names: Vec<&str> = Group::ALL.iter().map(|group| group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Group::ALL.len());
        for group in Group::ALL {
            assert!(GROUPS.contains(group), "{group:?} is empty");
        }
        // whoever adds a feature of a kind puts it to its kind
        for (prefix, group) in [("step_", Group::Steps), ("own_x_", Group::Crosses)] {
            for (name, own) in NAMES.iter().zip(GROUPS) {
                assert!(!name.starts_with(prefix) || *own == group, "{name}");
            }
        }
    }

    #[test]
    fn what_is_due_has_gap_zero() {
        let own = Own {
            baskets: 3.0,
            first_days: 90.0,
            last_days: 30.0,
            ..Own::default()
        };
        let due = Candidate {
            own,
            ..Candidate::default()
        };
        assert!(feature("own_gap", &due, &Asker::default()).abs() < 1e-9);
        let early = Candidate {
            own: Own {
                last_days: 10.0,
                first_days: 70.0,
                ..own
            },
            ..due
        };
        assert!(feature("own_gap", &early, &Asker::default()) < -0.5);
    }

    #[test]
    fn repeat_rates_are_shrunk() {
        let asker = Asker {
            mean_repeat_rate: 0.2,
            ..Asker::default()
        };
        let unknown = Candidate::default();
        assert!((repeat_rate(&unknown.item, &asker) - 0.2).abs() < 1e-9);
        let item = Item {
            buyers: 95.0,
            repeat_buyers: 95.0,
            ..Item::default()
        };
        let known = Candidate {
            item,
            ..Candidate::default()
        };
        assert!((repeat_rate(&known.item, &asker) - 0.96).abs() < 1e-9);
    }
}
