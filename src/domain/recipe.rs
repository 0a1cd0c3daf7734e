//! The recipe of a stage: which sources propose, how they are ranked, what is optimised and what must be beaten.

use serde::{Deserialize, Serialize};

use crate::domain::event::EventKind;
use crate::domain::money::Micros;

/// The most candidates of one question.
pub const MAX_CANDIDATES: usize = 500;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name in recipes, answers and reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    /// Where candidates come from.
    Source {
        /// What the customer bought before, by two decays and repeatability.
        Personal = "personal",
        /// What goes with what was bought, carted or viewed lately (item-to-item co-visitation).
        Together = "together",
        /// What follows from everything somebody bought (local EASE).
        Ease = "ease",
        /// What customers like this one buy (UP-CF).
        Customers = "customers",
        /// What sessions like this one went on to (VMIS-kNN).
        Sessions = "sessions",
        /// What was viewed lately and not bought.
        Recent = "recent",
        /// What sells more than it used to.
        Trending = "trending",
        /// What people in this stage go for.
        Stage = "stage",
        /// What customers of the same persona go for.
        Persona = "persona",
        /// What reads like what was bought or viewed lately; for products too new for the other sources.
        Content = "content",
        /// What sells best: the filler.
        Popular = "popular",
    }
}

names! {
    /// How candidates are ranked.
    Ranker {
        /// Logistic regression on the features (linfa-logistic), calibrated (isotonic regression).
        Logistic = "logistic",
        /// Weighted reciprocal ranks of the sources; learns nothing.
        Blend = "blend",
    }
}

names! {
    /// What a revision must beat on the held-back end.
    Baseline {
        /// Most bought overall.
        Popularity = "popularity",
        /// Most bought in the last 28 days.
        RecentPopularity = "recent_popularity",
        /// Own most bought, filled with popularity. This is GP-TopFreq (Li et al. 2023, "A next basket recommendation
        /// reality check"); P-TopFreq is the same list without the filling, so whoever beats this one beats that one.
        PersonalFrequency = "personal_frequency",
    }
}

names! {
    /// What offers are chosen by.
    OfferObjective {
        /// The money a customer's answer to it is expected to bring, less what it costs.
        Value = "value",
    }
}

/// Which offers an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OfferRules {
    /// How many at most where the caller does not say.
    pub max: usize,
    /// What they are chosen by.
    pub objective: OfferObjective,
    /// What is earned where an offer is taken and no price says it.
    pub assumed_gain: Micros,
    /// The share of decisions that goes to all arms alike once it is learned what becomes of them, 0 to 1; at least
    /// [`MIN_EXPLORE`] does.
    pub explore: f64,
}

/// What is never shown is never learned of.
pub const MIN_EXPLORE: f64 = 0.01;

impl Default for OfferRules {
    fn default() -> Self {
        Self {
            max: 1,
            objective: OfferObjective::Value,
            assumed_gain: Micros(10_000_000),
            explore: 0.05,
        }
    }
}

/// How an answer is made of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnswerRules {
    /// At most this share of an answer is of one category while there is anything else, above 0; 1: any.
    pub most_of_category: f64,
    /// The probability with which the last place explores, 0 to 1.
    pub explore: f64,
}

impl Default for AnswerRules {
    fn default() -> Self {
        Self {
            most_of_category: 1.0,
            explore: 0.0,
        }
    }
}

/// The recipe of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The name of the stage.
    pub stage: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// The event that is wanted.
    pub outcome: EventKind,
    /// Within how many days.
    pub within_days: f64,
    /// The most candidates that are ranked, at most [`MAX_CANDIDATES`].
    pub limit: usize,
    /// How many candidates each source may propose; sources that are not named propose none.
    pub sources: Vec<(Source, usize)>,
    /// The weight of each source in the blend that ranks while no model is live.
    pub blend: Vec<(Source, f64)>,
    /// How candidates are ranked.
    pub ranker: Ranker,
    /// The names of the features the ranker may use in this stage.
    pub features: Vec<String>,
    /// How the answer is made of the ranking.
    pub answer: AnswerRules,
    /// Which offers it has.
    pub offers: OfferRules,
    /// What must be beaten.
    pub baselines: Vec<Baseline>,
    /// The figure that must be better: `ndcg@10`, `recall@10`, `mrr@10` or `hit_rate@10`.
    pub metric: String,
}
