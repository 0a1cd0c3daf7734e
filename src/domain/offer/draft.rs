//! An offer as somebody wrote it, and the one place where it is decided whether it can be true.

#[cfg(test)]
mod tests;

use crate::domain::catalog::{CategoryPath, amount, check_category, label};
use crate::domain::event::optional;
use crate::domain::fault::{FaultCode, Faults};
use crate::domain::id::{CampaignId, MAX_NAME_BYTES, OfferId, ProductId, Touchpoint, check};
use crate::domain::journey::{Journey, MAX_STAGES};
use crate::domain::money::Currency;
use crate::domain::offer::benefit::{Benefit, OfferKind};
use crate::domain::offer::{
    MAX_BUDGET_UNITS, MAX_CAP, MAX_CAP_WINDOW_DAYS, MAX_OFFER_CATEGORIES, MAX_OFFER_NAME_BYTES,
    MAX_OFFER_NAMES, MAX_OFFER_PRODUCTS, MAX_PRIORITY, Offer, OfferTerms,
};
use crate::domain::time::Timestamp;

/// So many faulty entries of one list are told; a list may have thousands.
const MAX_LIST_FAULTS: usize = 10;

/// What an edge has made of a field: absent, or a value, or why it is none.
type Parsed<T> = Option<Result<T, (FaultCode, String)>>;

/// What is wrong with a text, if anything.
type Verdict = Result<(), (FaultCode, String)>;

/// The fields whose names differ from edge to edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferFields {
    /// The currency.
    pub currency: &'static str,
    /// See [`OfferTerms::starts_at`].
    pub starts_at: &'static str,
    /// See [`OfferTerms::ends_at`].
    pub ends_at: &'static str,
}

impl Default for OfferFields {
    /// As in files.
    fn default() -> Self {
        Self {
            currency: "currency",
            starts_at: "starts_at",
            ends_at: "ends_at",
        }
    }
}

/// An offer as somebody wrote it: text and numbers that may be anything. Empty text is "absent".
#[derive(Debug, Clone, Default)]
pub struct OfferDraft<'a> {
    /// What its fields are called.
    pub fields: OfferFields,
    /// True where money needs a currency; files may leave it out.
    pub needs_currency: bool,
    /// Which.
    pub offer_id: &'a str,
    /// See [`OfferTerms::name`].
    pub name: &'a str,
    /// The kind, as parsed by the edge.
    pub kind: Parsed<OfferKind>,
    /// The value, in the unit of the kind.
    pub value: Parsed<f64>,
    /// See [`OfferTerms::campaign_id`].
    pub campaign_id: &'a str,
    /// See [`Offer::product_ids`].
    pub product_ids: Vec<&'a str>,
    /// The levels of each category.
    pub categories: Vec<Vec<&'a str>>,
    /// See [`OfferTerms::stages`].
    pub stages: Vec<&'a str>,
    /// See [`OfferTerms::segments`].
    pub segments: Vec<&'a str>,
    /// See [`OfferTerms::eligibility`].
    pub eligibility: &'a str,
    /// See [`OfferTerms::starts_at`].
    pub starts_at: Parsed<Timestamp>,
    /// See [`OfferTerms::ends_at`].
    pub ends_at: Parsed<Timestamp>,
    /// See [`OfferTerms::unit_cost`].
    pub unit_cost: Parsed<f64>,
    /// See [`OfferTerms::budget_units`].
    pub budget_units: Parsed<i64>,
    /// See [`OfferTerms::budget_amount`].
    pub budget_amount: Parsed<f64>,
    /// See [`OfferTerms::currency`].
    pub currency: &'a str,
    /// See [`OfferTerms::cap_per_customer`].
    pub cap_per_customer: Parsed<i64>,
    /// See [`OfferTerms::cap_shown_per_customer`].
    pub cap_shown_per_customer: Parsed<i64>,
    /// See [`OfferTerms::cap_window_days`].
    pub cap_window_days: Parsed<i64>,
    /// See [`OfferTerms::exclusivity_group`].
    pub exclusivity_group: &'a str,
    /// See [`OfferTerms::channels`].
    pub channels: Vec<&'a str>,
    /// See [`OfferTerms::priority`]; absent: 0.
    pub priority: Parsed<i64>,
    /// See [`OfferTerms::fallback`]; absent: false.
    pub fallback: Parsed<bool>,
    /// See [`OfferTerms::paused`]; absent: false.
    pub paused: Parsed<bool>,
}

impl OfferDraft<'_> {
    /// Checks everything. Stages must be of `journey`; `eligible` says what is wrong with an expression of eligibility.
    ///
    /// # Errors
    /// Every fault, with the field it is in; of the entries of a list the first ten.
    pub fn check(
        &self,
        journey: &Journey,
        eligible: &dyn Fn(&str) -> Verdict,
    ) -> Result<Offer, Faults> {
        let mut faults = Faults::new();
        let id = faults.take("offer_id", OfferId::parse(self.offer_id));
        let name = label(&mut faults, "name", self.name, MAX_OFFER_NAME_BYTES);
        let benefit = self.check_benefit(&mut faults);
        let campaign_id = optional(
            &mut faults,
            "campaign_id",
            self.campaign_id,
            CampaignId::parse,
        );
        let product_ids = set(
            &mut faults,
            "product_ids",
            &self.product_ids,
            MAX_OFFER_PRODUCTS,
            |id| ProductId::parse(id),
        );
        let categories = self.check_categories(&mut faults);
        let stages = set(&mut faults, "stages", &self.stages, MAX_STAGES, |name| {
            known_stage(journey, name)
        });
        let name_of = |name: &&str| check(name, MAX_NAME_BYTES).map(|()| Box::from(name.trim()));
        let segments = set(
            &mut faults,
            "segments",
            &self.segments,
            MAX_OFFER_NAMES,
            name_of,
        );
        let channels = set(
            &mut faults,
            "channels",
            &self.channels,
            MAX_OFFER_NAMES,
            |name| Touchpoint::parse(name.trim()),
        );
        let exclusivity_group = optional(
            &mut faults,
            "exclusivity_group",
            self.exclusivity_group,
            |name| name_of(&name),
        );
        let eligibility = self.eligibility.trim();
        optional(&mut faults, "eligibility", eligibility, eligible);
        let [starts_at, ends_at] = self.check_times(&mut faults);
        let unit_cost = amount(&mut faults, "unit_cost", self.unit_cost.as_ref());
        let budget_amount = amount(&mut faults, "budget_amount", self.budget_amount.as_ref());
        let mut whole = |field: &str, parsed: &Parsed<i64>, least, most| {
            whole(&mut faults, field, parsed.as_ref(), least, most)
        };
        let budget_units = whole("budget_units", &self.budget_units, 1, MAX_BUDGET_UNITS);
        let cap_per_customer = whole("cap_per_customer", &self.cap_per_customer, 1, MAX_CAP);
        let cap_shown_per_customer = whole(
            "cap_shown_per_customer",
            &self.cap_shown_per_customer,
            1,
            MAX_CAP,
        );
        let cap_window_days = whole(
            "cap_window_days",
            &self.cap_window_days,
            1,
            MAX_CAP_WINDOW_DAYS,
        );
        let priority = whole("priority", &self.priority, -MAX_PRIORITY, MAX_PRIORITY);
        if self.cap_window_days.is_some()
            && self.cap_per_customer.is_none()
            && self.cap_shown_per_customer.is_none()
        {
            let reason = "goes with cap_per_customer or cap_shown_per_customer";
            faults.add("cap_window_days", FaultCode::NotAllowed, reason);
        }
        let is_money = unit_cost.is_some()
            || budget_amount.is_some()
            || benefit.is_some_and(Benefit::is_money);
        let has_cost = self.unit_cost.is_some() || benefit.is_none_or(Benefit::is_money);
        if budget_amount.is_some() && !has_cost {
            let reason =
                "must be given with budget_amount, or a value in money: else nothing is spent";
            faults.add("unit_cost", FaultCode::Required, reason);
        }
        let currency = self.check_currency(&mut faults, is_money);
        let fallback = flag(&mut faults, "fallback", self.fallback.as_ref());
        let paused = flag(&mut faults, "paused", self.paused.as_ref());
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        match (id, benefit) {
            (Some(id), Some(benefit)) if faults.is_empty() => Ok(Offer {
                id,
                product_ids,
                terms: OfferTerms {
                    name,
                    benefit,
                    campaign_id,
                    categories,
                    stages,
                    segments,
                    eligibility: eligibility.into(),
                    starts_at,
                    ends_at,
                    unit_cost,
                    budget_units: budget_units.map(i64::unsigned_abs),
                    budget_amount,
                    currency,
                    cap_per_customer: cap_per_customer.map(count),
                    cap_shown_per_customer: cap_shown_per_customer.map(count),
                    cap_window_days: cap_window_days.map(count),
                    exclusivity_group,
                    channels,
                    priority: priority.map_or(0, |priority| priority as i32),
                    fallback,
                    paused,
                },
            }),
            _ => Err(faults),
        }
    }

    fn check_benefit(&self, faults: &mut Faults) -> Option<Benefit> {
        let Some(kind) = self.kind.clone() else {
            faults.add("kind", FaultCode::Required, "must be given");
            return None;
        };
        let kind = faults.take("kind", kind);
        let value = self.value.clone().transpose();
        let value = faults.take("value", value);
        // without a kind nothing is known of the unit
        let benefit = Benefit::new(kind?, value?);
        faults.take("value", benefit)
    }

    fn check_categories(&self, faults: &mut Faults) -> Vec<CategoryPath> {
        const FIELD: &str = "categories";
        set(
            faults,
            FIELD,
            &self.categories,
            MAX_OFFER_CATEGORIES,
            |levels| {
                let mut found = Faults::new();
                let path = check_category(&mut found, FIELD, levels);
                match found.as_slice().first() {
                    None if path.is_empty() => {
                        Err((FaultCode::Required, "must not be blank".to_owned()))
                    }
                    None => Ok(path),
                    Some(fault) => Err((fault.code, fault.reason.clone())),
                }
            },
        )
    }

    fn check_times(&self, faults: &mut Faults) -> [Option<Timestamp>; 2] {
        let mut time = |field: &str, parsed: &Parsed<Timestamp>| {
            let parsed = parsed.clone()?;
            faults.take(field, parsed)
        };
        let starts_at = time(self.fields.starts_at, &self.starts_at);
        let ends_at = time(self.fields.ends_at, &self.ends_at);
        if let (Some(start), Some(end)) = (starts_at, ends_at)
            && start >= end
        {
            let reason = format!("must be after {}", self.fields.starts_at);
            faults.add(self.fields.ends_at, FaultCode::OutOfRange, reason);
        }
        [starts_at, ends_at]
    }

    fn check_currency(&self, faults: &mut Faults, is_money: bool) -> Option<Currency> {
        if is_money && self.needs_currency && self.currency.is_empty() {
            let reason = "must be given with money: a unit cost, a budget or a value";
            faults.add(self.fields.currency, FaultCode::Required, reason);
        }
        optional(faults, self.fields.currency, self.currency, Currency::parse)
    }
}

/// The entries of a list, sorted, each once.
fn set<A, T: Ord>(
    faults: &mut Faults,
    field: &str,
    entries: &[A],
    most: usize,
    parse: impl Fn(&A) -> Result<T, (FaultCode, String)>,
) -> Vec<T> {
    let count = entries.len();
    if count > most {
        let reason = format!("{count} entries; at most {most} are allowed");
        faults.add(field, FaultCode::TooLong, reason);
        return Vec::new();
    }
    let (mut parsed, mut faulty) = (Vec::with_capacity(count), 0);
    for (place, entry) in entries.iter().enumerate() {
        match parse(entry) {
            Ok(value) => parsed.push(value),
            Err((code, reason)) => {
                faulty += 1;
                if faulty <= MAX_LIST_FAULTS {
                    faults.add(field, code, format!("entry {}: {reason}", place + 1));
                }
            }
        }
    }
    parsed.sort();
    parsed.dedup();
    parsed
}

fn known_stage(journey: &Journey, name: &str) -> Result<Box<str>, (FaultCode, String)> {
    let name = name.trim();
    if journey.stage(name).is_some() {
        return Ok(name.into());
    }
    let known: Vec<&str> = journey.stages.iter().map(|s| s.name.as_str()).collect();
    let reason = format!("not a stage; the journey has {}", known.join(", "));
    Err((FaultCode::UnknownName, reason))
}

fn whole(
    faults: &mut Faults,
    field: &str,
    parsed: Option<&Result<i64, (FaultCode, String)>>,
    least: i64,
    most: i64,
) -> Option<i64> {
    let parsed = parsed?.clone().and_then(|number| {
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            let reason = format!("must be from {least} to {most}");
            Err((FaultCode::OutOfRange, reason))
        }
    });
    faults.take(field, parsed)
}

fn flag(
    faults: &mut Faults,
    field: &str,
    parsed: Option<&Result<bool, (FaultCode, String)>>,
) -> bool {
    parsed
        .and_then(|parsed| faults.take(field, parsed.clone()))
        .unwrap_or(false)
}
