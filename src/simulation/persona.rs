//! The three personas and what sets them apart: the numbers of `docs/simulation.md`.

/// A kind of customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Persona {
    /// Early adopters who read, compare and recommend.
    TechEnthusiast,
    /// Households that want affordable and reliable things.
    EverydayConsumer,
    /// Offices that buy in bulk.
    BusinessClient,
}

impl Persona {
    /// All personas.
    pub const ALL: [Persona; 3] = [
        Persona::TechEnthusiast,
        Persona::EverydayConsumer,
        Persona::BusinessClient,
    ];

    /// The name in the truth files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Persona::TechEnthusiast => "tech_enthusiast",
            Persona::EverydayConsumer => "everyday_consumer",
            Persona::BusinessClient => "business_client",
        }
    }

    /// Place in [`Persona::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        self as usize
    }

    /// Habits around which its customers vary.
    pub(crate) fn habits(self) -> &'static Habits {
        &HABITS[self.place()]
    }
}

/// Ways into the shop, in the order of [`Habits::entries`].
pub(crate) const ENTRIES: usize = 9;

/// What a persona does on average.
#[derive(Debug)]
pub(crate) struct Habits {
    /// Share of all people.
    pub(crate) share: f64,
    /// Spontaneous visits on a usual day.
    pub(crate) visits_per_day: f64,
    /// Weight of each weekday, Monday first.
    pub(crate) weekdays: [f64; 7],
    /// Weight of the hours 0–23 (UTC).
    pub(crate) hours: [f64; 24],
    /// Weights of search ad, social ad, search, site, app, e-mail, referral, store, sales team.
    pub(crate) entries: [f64; ENTRIES],
    /// Mean number of further products looked at.
    pub(crate) further_views: f64,
    /// Probability that a visit fills a cart.
    pub(crate) cart: f64,
    /// Probability that a store visit buys.
    pub(crate) store_purchase: f64,
    /// Mean number of further lines in a basket.
    pub(crate) further_lines: f64,
    /// Mean of further units per line: main products and accessories, replenishable goods.
    pub(crate) further_units: (f64, f64),
    /// Probability to leave a cart, before price sensitivity.
    pub(crate) leaves_cart: f64,
    /// a and b of the Beta distribution of price sensitivity.
    pub(crate) sensitivity: (f64, f64),
    /// Preferred price position, −1 cheap to 1 dear.
    pub(crate) price_level: f64,
    /// Liking of what is new.
    pub(crate) novelty: f64,
    /// Factor on the rhythm of replenishable goods.
    pub(crate) rhythm: f64,
    /// Replenishable goods in use at the start, for customers of old.
    pub(crate) supplies: f64,
    /// Probability that an accessory is looked for after a main product.
    pub(crate) accessory: f64,
    /// How little a durable product is bought again.
    pub(crate) saturation: f64,
    /// Newsletter: share who agree, and how often a mail is opened.
    pub(crate) newsletter: (f64, f64),
    /// Probability to write a review after a delivery.
    pub(crate) review: f64,
    /// Probability to recommend the shop when content.
    pub(crate) referral: f64,
    /// Mean life as a customer in days, if nothing bad happens.
    pub(crate) life_days: f64,
    /// Log hazard ratio of each offer kind, before the customer's own part.
    pub(crate) offers: [f64; 9],
}

#[rustfmt::skip]
static HABITS: [Habits; 3] = [
    Habits {
        share: 0.25,
        visits_per_day: 0.075,
        weekdays: [0.9, 0.9, 0.9, 0.9, 1.1, 1.2, 1.1],
        hours: [
            1.5, 0.6, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.6,
            0.8, 0.7, 0.6, 0.6, 0.8, 1.0, 1.5, 2.2, 3.0, 3.4, 3.2, 2.6,
        ],
        entries: [0.05, 0.14, 0.24, 0.18, 0.24, 0.06, 0.05, 0.04, 0.0],
        further_views: 2.3,
        cart: 0.24,
        store_purchase: 0.35,
        further_lines: 0.35,
        further_units: (0.02, 0.2),
        leaves_cart: 0.45,
        sensitivity: (2.5, 6.0),
        price_level: 0.55,
        novelty: 1.6,
        rhythm: 1.05,
        supplies: 0.4,
        accessory: 0.75,
        saturation: 0.8,
        newsletter: (0.6, 0.25),
        review: 0.16,
        referral: 0.05,
        life_days: 900.0,
        offers: [0.15, 0.10, 0.00, 0.05, 0.20, 0.10, 0.60, 0.05, 0.30],
    },
    Habits {
        share: 0.55,
        visits_per_day: 0.037,
        weekdays: [0.8, 0.8, 0.85, 0.9, 1.0, 1.4, 1.25],
        hours: [
            0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.8, 1.1, 1.5, 1.8, 1.8,
            1.8, 1.7, 1.6, 1.6, 1.8, 2.0, 2.3, 2.4, 2.0, 1.2, 0.6, 0.3,
        ],
        entries: [0.20, 0.12, 0.18, 0.10, 0.08, 0.12, 0.05, 0.15, 0.0],
        further_views: 1.3,
        cart: 0.27,
        store_purchase: 0.40,
        further_lines: 0.35,
        further_units: (0.03, 0.35),
        leaves_cart: 0.48,
        sensitivity: (6.0, 3.0),
        price_level: -0.5,
        novelty: 0.2,
        rhythm: 1.0,
        supplies: 0.7,
        accessory: 0.6,
        saturation: 0.9,
        newsletter: (0.7, 0.35),
        review: 0.07,
        referral: 0.03,
        life_days: 700.0,
        offers: [0.45, 0.40, 0.20, 0.30, 0.15, 0.20, 0.00, 0.10, 0.00],
    },
    Habits {
        share: 0.20,
        visits_per_day: 0.038,
        weekdays: [1.5, 1.5, 1.4, 1.3, 1.1, 0.1, 0.1],
        hours: [
            0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.4, 1.6, 3.0, 3.2, 3.0, 2.6,
            1.6, 2.4, 2.8, 2.6, 2.0, 1.0, 0.4, 0.2, 0.1, 0.1, 0.0, 0.0,
        ],
        entries: [0.05, 0.01, 0.12, 0.42, 0.01, 0.12, 0.03, 0.01, 0.23],
        further_views: 1.2,
        cart: 0.42,
        store_purchase: 0.50,
        further_lines: 1.4,
        further_units: (3.5, 7.0),
        leaves_cart: 0.28,
        sensitivity: (3.0, 5.0),
        price_level: 0.1,
        novelty: -0.2,
        rhythm: 0.75,
        supplies: 1.4,
        accessory: 0.6,
        saturation: 0.3,
        newsletter: (0.5, 0.18),
        review: 0.03,
        referral: 0.02,
        life_days: 1500.0,
        offers: [0.25, 0.15, 0.45, 0.00, 0.00, 0.15, 0.00, 0.00, 0.25],
    },
];
