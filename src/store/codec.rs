//! Records as bytes: the domain's record to and from the journal's proto, without loss. Unknown fields are skipped.

mod attribution;
mod reservation;

use prost::Message as _;

use crate::domain::{
    Benefit, CampaignId, CategoryPath, Credit, Currency, Customer, CustomerId, Event, EventId,
    EventKind, Fingerprint, InventorySet, Micros, Offer, OfferId, OfferKind, OfferTerms, OrderId,
    Position, Price, Product, ProductId, Record, RecordBody, SessionId, Subject, Timestamp,
    Touchpoint, Traits, VisitorId,
};
use crate::proto::journal as wire;
use crate::proto::journal::record::Body;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// Not the encoding of a record at all.
    #[error("not a record: {0}")]
    Proto(String),
    /// A value this program does not know; a newer one may have written it.
    #[error("a record with {what} that this nextbest does not know: {value:?}")]
    Unknown {
        /// What it is a value of.
        what: &'static str,
        /// The value.
        value: String,
    },
}

/// Appends one record, with its length before it.
pub(crate) fn encode(record: &Record, out: &mut Vec<u8>) {
    let message = wire::Record {
        recorded_at_ms: record.recorded_at.ms(),
        body: Some(body_to_wire(&record.body)),
    };
    message
        .encode_length_delimited(out)
        .expect("a Vec grows as far as it is asked to");
}

/// Takes one record with its length off the front of `bytes`.
///
/// # Errors
/// [`CodecError`]; what is left of `bytes` is of no use then.
pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Record, CodecError> {
    let message = wire::Record::decode_length_delimited(bytes)
        .map_err(|error| CodecError::Proto(error.to_string()))?;
    let Some(body) = message.body else {
        return Err(unknown("a body", ""));
    };
    Ok(Record {
        recorded_at: Timestamp::from_ms(message.recorded_at_ms),
        body: body_from_wire(body)?,
    })
}

/// Passes over one record without reading it.
///
/// # Errors
/// `Proto`; what is left of `bytes` is of no use then.
pub(crate) fn skip(bytes: &mut &[u8]) -> Result<(), CodecError> {
    let length = prost::decode_length_delimiter(&mut *bytes)
        .map_err(|error| CodecError::Proto(error.to_string()))?;
    match bytes.split_at_checked(length) {
        Some((_, rest)) => *bytes = rest,
        None => return Err(CodecError::Proto("buffer underflow".to_owned())),
    }
    Ok(())
}

fn unknown(what: &'static str, value: &str) -> CodecError {
    CodecError::Unknown {
        what,
        value: value.to_owned(),
    }
}

fn body_to_wire(body: &RecordBody) -> Body {
    match body {
        RecordBody::Event(event) => Body::Event(event_to_wire(event)),
        RecordBody::ProductUpserted(product) => Body::ProductUpserted(product_to_wire(product)),
        RecordBody::ProductDeleted(id) => Body::ProductDeleted(wire::ProductDeleted {
            product_id: id.as_str().to_owned(),
        }),
        RecordBody::InventorySet(id, news) => Body::InventorySet(wire::InventorySet {
            product_id: id.as_str().to_owned(),
            set_at_ms: news.set_at.ms(),
            available: news.available,
            price_micros: news.price.map(|price| price.0),
        }),
        RecordBody::OfferUpserted(offer) => Body::OfferUpserted(offer_to_wire(offer)),
        RecordBody::OfferDeleted(id) => Body::OfferDeleted(wire::OfferDeleted {
            offer_id: id.as_str().to_owned(),
        }),
        RecordBody::OfferReserved(reserved) => {
            Body::OfferReserved(reservation::reserved_to_wire(reserved))
        }
        RecordBody::OfferReleased(released) => {
            Body::OfferReleased(reservation::released_to_wire(released))
        }
        RecordBody::OfferSpent(spent) => Body::OfferSpent(reservation::spent_to_wire(spent)),
        RecordBody::AnswerKept(kept) => Body::AnswerKept(reservation::kept_to_wire(kept)),
        RecordBody::CustomerUpserted(customer) => Body::CustomerUpserted(wire::Customer {
            customer_id: customer.id.as_str().to_owned(),
            traits: traits_to_wire(&customer.traits),
        }),
        RecordBody::VisitorIdentified { visitor, customer } => {
            Body::VisitorIdentified(wire::VisitorIdentified {
                visitor_id: visitor.as_str().to_owned(),
                customer_id: customer.as_str().to_owned(),
            })
        }
        RecordBody::CustomerErased(subjects) => Body::CustomerErased(wire::CustomerErased {
            subject_fingerprints: subjects.iter().map(|subject| subject.0.to_vec()).collect(),
        }),
        RecordBody::ModelActivated(revision) => Body::ModelActivated(wire::ModelActivated {
            model_revision_id: revision.to_string(),
        }),
        RecordBody::Redacted => Body::Redacted(wire::Redacted {}),
    }
}

fn body_from_wire(body: Body) -> Result<RecordBody, CodecError> {
    Ok(match body {
        Body::Event(event) => RecordBody::Event(Box::new(event_from_wire(event)?)),
        Body::ProductUpserted(product) => {
            RecordBody::ProductUpserted(Box::new(product_from_wire(product)?))
        }
        Body::ProductDeleted(gone) => {
            RecordBody::ProductDeleted(ProductId::trusted(gone.product_id))
        }
        Body::InventorySet(news) => RecordBody::InventorySet(
            ProductId::trusted(news.product_id),
            InventorySet {
                set_at: Timestamp::from_ms(news.set_at_ms),
                available: news.available,
                price: news.price_micros.map(Micros),
            },
        ),
        Body::OfferUpserted(offer) => RecordBody::OfferUpserted(Box::new(offer_from_wire(offer)?)),
        Body::OfferDeleted(gone) => RecordBody::OfferDeleted(OfferId::trusted(gone.offer_id)),
        Body::OfferReserved(kept) => {
            RecordBody::OfferReserved(Box::new(reservation::reserved_from_wire(kept)?))
        }
        Body::OfferReleased(kept) => {
            RecordBody::OfferReleased(Box::new(reservation::released_from_wire(kept)?))
        }
        Body::OfferSpent(kept) => {
            RecordBody::OfferSpent(Box::new(reservation::spent_from_wire(kept)?))
        }
        Body::AnswerKept(kept) => {
            RecordBody::AnswerKept(Box::new(reservation::kept_from_wire(kept)?))
        }
        Body::CustomerUpserted(customer) => RecordBody::CustomerUpserted(Box::new(Customer {
            id: CustomerId::trusted(customer.customer_id),
            traits: traits_from_wire(customer.traits),
        })),
        Body::VisitorIdentified(pair) => RecordBody::VisitorIdentified {
            visitor: VisitorId::trusted(pair.visitor_id),
            customer: CustomerId::trusted(pair.customer_id),
        },
        Body::CustomerErased(erased) => {
            let subjects = erased.subject_fingerprints.iter();
            RecordBody::CustomerErased(subjects.map(|s| fingerprint(s)).collect::<Result<_, _>>()?)
        }
        Body::ModelActivated(active) => {
            RecordBody::ModelActivated(active.model_revision_id.into_boxed_str())
        }
        Body::Redacted(_) => RecordBody::Redacted,
    })
}

fn event_to_wire(event: &Event) -> wire::Event {
    fn text(id: Option<&str>) -> String {
        id.unwrap_or_default().to_owned()
    }
    let currency = event.unit_price.and_then(|price| price.currency);
    wire::Event {
        event_id: text(event.id.as_ref().map(EventId::as_str)),
        key: event.key.0.to_vec(),
        kind: event.kind.as_str().to_owned(),
        time_ms: event.time.ms(),
        customer_id: text(event.subject.customer().map(CustomerId::as_str)),
        visitor_id: text(event.subject.visitor().map(VisitorId::as_str)),
        session_id: text(event.session.as_ref().map(SessionId::as_str)),
        product_id: text(event.product.as_ref().map(ProductId::as_str)),
        quantity: (event.quantity.to_bits() != 1f64.to_bits()).then_some(event.quantity),
        unit_price_micros: event.unit_price.map(|price| price.amount.0),
        currency_code: text(currency.as_ref().map(Currency::as_str)),
        order_id: text(event.order.as_ref().map(OrderId::as_str)),
        offer_id: text(event.offer.as_ref().map(OfferId::as_str)),
        touchpoint: text(event.touchpoint.as_ref().map(Touchpoint::as_str)),
        rating: event.rating,
        search_query: text(event.search_query.as_deref()),
        campaign_id: text(event.campaign.as_ref().map(CampaignId::as_str)),
        attribution: match &event.credit {
            Some(Credit::Proven(attribution)) => Some(attribution::to_wire(attribution)),
            // a claim that nobody checked proves nothing
            Some(Credit::Claimed(_)) | None => None,
        },
    }
}

fn event_from_wire(event: wire::Event) -> Result<Event, CodecError> {
    let kind = EventKind::from_name(&event.kind)
        .ok_or_else(|| unknown("the name of an event", &event.kind))?;
    let visitor = present(event.visitor_id, VisitorId::trusted);
    let subject = match (present(event.customer_id, CustomerId::trusted), visitor) {
        (Some(customer), visitor) => Subject::Customer { customer, visitor },
        (None, Some(visitor)) => Subject::Visitor(visitor),
        (None, None) => return Err(unknown("a subject", "")),
    };
    let unit_price = match event.unit_price_micros {
        None => None,
        Some(micros) => Some(Price {
            amount: Micros(micros),
            currency: currency(&event.currency_code)?,
        }),
    };
    Ok(Event {
        id: present(event.event_id, EventId::trusted),
        key: fingerprint(&event.key)?,
        kind,
        time: Timestamp::from_ms(event.time_ms),
        subject,
        session: present(event.session_id, SessionId::trusted),
        product: present(event.product_id, ProductId::trusted),
        quantity: event.quantity.unwrap_or(1.0),
        unit_price,
        order: present(event.order_id, OrderId::trusted),
        offer: present(event.offer_id, OfferId::trusted),
        touchpoint: present(event.touchpoint, Touchpoint::trusted),
        rating: event.rating,
        search_query: present(event.search_query, String::into_boxed_str),
        campaign: present(event.campaign_id, CampaignId::trusted),
        credit: match event.attribution {
            Some(attribution) => {
                let attribution = attribution::from_wire(attribution)?;
                Some(Credit::Proven(Box::new(attribution)))
            }
            None => None,
        },
    })
}

fn product_to_wire(product: &Product) -> wire::Product {
    wire::Product {
        product_id: product.id.as_str().to_owned(),
        name: product.name.to_string(),
        category_path: texts_to_wire(&product.category),
        brand: product.brand.to_string(),
        price_micros: product.price.map(|price| price.0),
        currency_code: currency_to_wire(product.currency),
        unit_cost_micros: product.unit_cost.map(|cost| cost.0),
        unavailable: !product.available,
        created_at_ms: product.created_at.map(Timestamp::ms),
        attributes: traits_to_wire(&product.attributes),
    }
}

fn product_from_wire(product: wire::Product) -> Result<Product, CodecError> {
    Ok(Product {
        id: ProductId::trusted(product.product_id),
        name: product.name.into_boxed_str(),
        category: texts_from_wire(product.category_path),
        brand: product.brand.into_boxed_str(),
        price: product.price_micros.map(Micros),
        currency: currency(&product.currency_code)?,
        unit_cost: product.unit_cost_micros.map(Micros),
        available: !product.unavailable,
        created_at: product.created_at_ms.map(Timestamp::from_ms),
        attributes: traits_from_wire(product.attributes),
    })
}

fn offer_to_wire(offer: &Offer) -> wire::Offer {
    let terms = &offer.terms;
    let category = |path: &CategoryPath| wire::CategoryPath {
        levels: texts_to_wire(path),
    };
    let ids = offer.product_ids.iter();
    let channels = terms.channels.iter();
    wire::Offer {
        offer_id: offer.id.as_str().to_owned(),
        name: terms.name.to_string(),
        kind: terms.benefit.kind().as_str().to_owned(),
        value_micros: terms.benefit.micros(),
        campaign_id: terms
            .campaign_id
            .as_ref()
            .map_or_else(String::new, |id| id.as_str().to_owned()),
        product_ids: ids.map(|id| id.as_str().to_owned()).collect(),
        categories: terms.categories.iter().map(category).collect(),
        stages: texts_to_wire(&terms.stages),
        segments: texts_to_wire(&terms.segments),
        eligibility: terms.eligibility.to_string(),
        starts_at_ms: terms.starts_at.map(Timestamp::ms),
        ends_at_ms: terms.ends_at.map(Timestamp::ms),
        unit_cost_micros: terms.unit_cost.map(|cost| cost.0),
        budget_units: terms.budget_units,
        budget_amount_micros: terms.budget_amount.map(|amount| amount.0),
        currency_code: currency_to_wire(terms.currency),
        cap_per_customer: terms.cap_per_customer,
        cap_shown_per_customer: terms.cap_shown_per_customer,
        cap_window_days: terms.cap_window_days,
        exclusivity_group: terms.exclusivity_group.as_deref().unwrap_or("").to_owned(),
        channels: channels.map(|name| name.as_str().to_owned()).collect(),
        priority: terms.priority,
        fallback: terms.fallback,
        paused: terms.paused,
    }
}

fn offer_from_wire(offer: wire::Offer) -> Result<Offer, CodecError> {
    let kind = OfferKind::from_name(&offer.kind)
        .ok_or_else(|| unknown("the kind of an offer", &offer.kind))?;
    let ids = offer.product_ids.into_iter();
    let paths = offer.categories.into_iter();
    Ok(Offer {
        id: OfferId::trusted(offer.offer_id),
        product_ids: ids.map(ProductId::trusted).collect(),
        terms: OfferTerms {
            name: offer.name.into_boxed_str(),
            benefit: Benefit::trusted(kind, offer.value_micros),
            campaign_id: present(offer.campaign_id, CampaignId::trusted),
            categories: paths.map(|path| texts_from_wire(path.levels)).collect(),
            stages: texts_from_wire(offer.stages),
            segments: texts_from_wire(offer.segments),
            eligibility: offer.eligibility.into_boxed_str(),
            starts_at: offer.starts_at_ms.map(Timestamp::from_ms),
            ends_at: offer.ends_at_ms.map(Timestamp::from_ms),
            unit_cost: offer.unit_cost_micros.map(Micros),
            budget_units: offer.budget_units,
            budget_amount: offer.budget_amount_micros.map(Micros),
            currency: currency(&offer.currency_code)?,
            cap_per_customer: offer.cap_per_customer,
            cap_shown_per_customer: offer.cap_shown_per_customer,
            cap_window_days: offer.cap_window_days,
            exclusivity_group: present(offer.exclusivity_group, String::into_boxed_str),
            channels: offer
                .channels
                .into_iter()
                .map(Touchpoint::trusted)
                .collect(),
            priority: offer.priority,
            fallback: offer.fallback,
            paused: offer.paused,
        },
    })
}

fn texts_to_wire(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn texts_from_wire(texts: Vec<String>) -> Vec<Box<str>> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

fn currency_to_wire(currency: Option<Currency>) -> String {
    currency.map_or_else(String::new, |code| code.to_string())
}

fn traits_to_wire(traits: &Traits) -> Vec<wire::KeyValue> {
    let pair = |(key, value): &(Box<str>, Box<str>)| wire::KeyValue {
        key: key.to_string(),
        value: value.to_string(),
    };
    traits.iter().map(pair).collect()
}

fn traits_from_wire(pairs: Vec<wire::KeyValue>) -> Traits {
    let pair = |pair: wire::KeyValue| (pair.key.into_boxed_str(), pair.value.into_boxed_str());
    pairs.into_iter().map(pair).collect()
}

/// Empty text means "absent".
fn present<T>(text: String, make: impl FnOnce(String) -> T) -> Option<T> {
    (!text.is_empty()).then(|| make(text))
}

fn currency(code: &str) -> Result<Option<Currency>, CodecError> {
    if code.is_empty() {
        return Ok(None);
    }
    let parsed = Currency::parse(code).map_err(|_| unknown("a currency", code))?;
    Ok(Some(parsed))
}

fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, CodecError> {
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| CodecError::Proto(format!("a fingerprint of {} bytes", bytes.len())))?;
    Ok(Fingerprint(bytes))
}

/// A record that is damaged at a known place.
pub(crate) fn damaged(position: Position, reason: impl std::fmt::Display) -> super::JournalError {
    super::JournalError::Damaged {
        position: position.0,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9 äß€😀_-]{1,24}"
    }

    fn maybe<T: std::fmt::Debug>(
        strategy: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = Option<T>> {
        proptest::option::of(strategy)
    }

    fn subject() -> impl Strategy<Value = Subject> {
        prop_oneof![
            (id(), maybe(id())).prop_map(|(customer, visitor)| Subject::Customer {
                customer: CustomerId::trusted(customer),
                visitor: visitor.map(VisitorId::trusted),
            }),
            id().prop_map(|visitor| Subject::Visitor(VisitorId::trusted(visitor))),
        ]
    }

    fn price() -> impl Strategy<Value = Price> {
        (any::<i64>(), any::<bool>()).prop_map(|(amount, named)| Price {
            amount: Micros(amount),
            currency: named.then(|| Currency::parse("EUR").unwrap()),
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        let who = (maybe(id()), any::<[u8; 16]>(), any::<i64>(), subject());
        let what = (
            proptest::sample::select(EventKind::ALL),
            maybe(id()),
            prop_oneof![Just(1.0), 0.001..1e6],
            maybe(price()),
        );
        let rest = (
            maybe(id()),
            maybe(id()),
            maybe(id()),
            maybe(id()),
            maybe(0.0..10.0),
            maybe(id()),
            maybe(id()),
            maybe(attribution::tests::any()),
        );
        (who, what, rest).prop_map(|((id, key, time, subject), what, rest)| Event {
            id: id.map(EventId::trusted),
            key: Fingerprint(key),
            kind: what.0,
            time: Timestamp::from_ms(time),
            subject,
            session: rest.0.map(SessionId::trusted),
            product: what.1.map(ProductId::trusted),
            quantity: what.2,
            unit_price: what.3,
            order: rest.1.map(OrderId::trusted),
            offer: rest.2.map(OfferId::trusted),
            touchpoint: rest.3.map(Touchpoint::trusted),
            rating: rest.4,
            search_query: rest.5.map(String::into_boxed_str),
            campaign: rest.6.map(CampaignId::trusted),
            credit: rest.7.map(|proven| Credit::Proven(Box::new(proven))),
        })
    }

    fn traits() -> impl Strategy<Value = Traits> {
        let boxed = || id().prop_map(String::into_boxed_str);
        proptest::collection::vec((boxed(), boxed()), 0..4)
    }

    fn product() -> impl Strategy<Value = Product> {
        let text = || "[a-z ]{0,9}".prop_map(String::into_boxed_str);
        let what = (id(), text(), proptest::collection::vec(text(), 0..4));
        let amounts = (maybe(any::<i64>()), maybe(any::<i64>()), any::<bool>());
        let rest = (text(), any::<bool>(), maybe(any::<i64>()), traits());
        (what, amounts, rest).prop_map(|(what, amounts, rest)| Product {
            id: ProductId::trusted(what.0),
            name: what.1,
            category: what.2,
            brand: rest.0,
            price: amounts.0.map(Micros),
            currency: amounts.2.then(|| Currency::parse("GBP").unwrap()),
            unit_cost: amounts.1.map(Micros),
            available: rest.1,
            created_at: rest.2.map(Timestamp::from_ms),
            attributes: rest.3,
        })
    }

    fn offer() -> impl Strategy<Value = Offer> {
        let text = || "[a-z ]{0,9}".prop_map(String::into_boxed_str);
        let texts = || proptest::collection::vec(text(), 0..3);
        let ids = |most| proptest::collection::vec(id(), 0..most);
        let what = (
            (id(), ids(9), text(), maybe(id()), text()),
            (
                proptest::sample::select(OfferKind::ALL),
                maybe(any::<i64>()),
            ),
            (proptest::collection::vec(texts(), 0..3), texts(), texts()),
        );
        let amounts = (
            maybe(any::<i64>()),
            maybe(any::<u64>()),
            maybe(any::<i64>()),
            any::<bool>(),
        );
        let caps = (
            maybe(any::<u32>()),
            maybe(any::<u32>()),
            maybe(any::<u32>()),
        );
        let times = (maybe(any::<i64>()), maybe(any::<i64>()));
        let rest = (
            maybe(id()),
            ids(3),
            any::<i32>(),
            any::<bool>(),
            any::<bool>(),
        );
        (what, amounts, caps, times, rest).prop_map(|(what, amounts, caps, times, rest)| {
            let ((id, products, name, campaign, eligibility), (kind, value), lists) = what;
            Offer {
                id: OfferId::trusted(id),
                product_ids: products.into_iter().map(ProductId::trusted).collect(),
                terms: OfferTerms {
                    name,
                    benefit: Benefit::trusted(kind, value),
                    campaign_id: campaign.map(CampaignId::trusted),
                    categories: lists.0,
                    stages: lists.1,
                    segments: lists.2,
                    eligibility,
                    starts_at: times.0.map(Timestamp::from_ms),
                    ends_at: times.1.map(Timestamp::from_ms),
                    unit_cost: amounts.0.map(Micros),
                    budget_units: amounts.1,
                    budget_amount: amounts.2.map(Micros),
                    currency: amounts.3.then(|| Currency::parse("GBP").unwrap()),
                    cap_per_customer: caps.0,
                    cap_shown_per_customer: caps.1,
                    cap_window_days: caps.2,
                    exclusivity_group: rest.0.map(String::into_boxed_str),
                    channels: rest.1.into_iter().map(Touchpoint::trusted).collect(),
                    priority: rest.2,
                    fallback: rest.3,
                    paused: rest.4,
                },
            }
        })
    }

    /// Any record of a reservation or a decision.
    fn reservation() -> impl Strategy<Value = RecordBody> {
        use crate::domain::{AnswerKept, DecisionKey};
        use crate::domain::{OfferReleased, OfferReserved, OfferSpent, ReservationId};
        let identity = (any::<[u8; 16]>().prop_map(Fingerprint), id(), subject());
        let amounts = (any::<i64>(), any::<i64>(), any::<u64>(), 0..4u8);
        (identity, amounts).prop_map(|((key, offer, subject), (time, amount, units, which))| {
            let (id, offer) = (ReservationId(key), OfferId::trusted(offer));
            let amount = Micros(amount);
            match which {
                0 => RecordBody::OfferReserved(Box::new(OfferReserved {
                    id,
                    offer,
                    subject,
                    expires_at: Timestamp::from_ms(time),
                    amount,
                })),
                1 => RecordBody::OfferReleased(Box::new(OfferReleased { id, subject })),
                2 => RecordBody::AnswerKept(Box::new(AnswerKept {
                    key: DecisionKey::trusted(offer.to_string()),
                    subject,
                    question: key,
                    expires_at: Timestamp::from_ms(time),
                    answer: units.to_le_bytes().into(),
                })),
                _ => RecordBody::OfferSpent(Box::new(OfferSpent {
                    key,
                    offer,
                    units,
                    amount,
                })),
            }
        })
    }

    /// Any record the domain can hold.
    pub(crate) fn record() -> impl Strategy<Value = Record> {
        let news = (
            id(),
            any::<i64>(),
            maybe(any::<bool>()),
            maybe(any::<i64>()),
        );
        let body = prop_oneof![
            8 => event().prop_map(|event| RecordBody::Event(Box::new(event))),
            2 => product().prop_map(|product| RecordBody::ProductUpserted(Box::new(product))),
            1 => id().prop_map(|id| RecordBody::ProductDeleted(ProductId::trusted(id))),
            1 => offer().prop_map(|offer| RecordBody::OfferUpserted(Box::new(offer))),
            1 => id().prop_map(|id| RecordBody::OfferDeleted(OfferId::trusted(id))),
            2 => reservation(),
            1 => news.prop_map(|(id, set_at, available, price)| RecordBody::InventorySet(
                ProductId::trusted(id),
                InventorySet {
                    set_at: Timestamp::from_ms(set_at),
                    available,
                    price: price.map(Micros),
                },
            )),
            1 => (id(), traits()).prop_map(|(id, traits)| {
                let id = CustomerId::trusted(id);
                RecordBody::CustomerUpserted(Box::new(Customer { id, traits }))
            }),
            1 => (id(), id()).prop_map(|(visitor, customer)| RecordBody::VisitorIdentified {
                visitor: VisitorId::trusted(visitor),
                customer: CustomerId::trusted(customer),
            }),
            1 => proptest::collection::vec(any::<[u8; 16]>().prop_map(Fingerprint), 0..3)
                .prop_map(RecordBody::CustomerErased),
            1 => id().prop_map(|id| RecordBody::ModelActivated(id.into_boxed_str())),
            1 => Just(RecordBody::Redacted),
        ];
        (any::<i64>(), body).prop_map(|(at, body)| Record {
            recorded_at: Timestamp::from_ms(at),
            body,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(records in proptest::collection::vec(record(), 0..5)) {
            let mut bytes = Vec::new();
            for record in &records {
                encode(record, &mut bytes);
            }
            let mut rest = bytes.as_slice();
            for record in &records {
                prop_assert_eq!(&decode(&mut rest).unwrap(), record);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = decode(&mut bytes.as_slice());
        }
    }

    #[test]
    fn unknown_fields_are_skipped_and_unknown_values_named() {
        let record = Record {
            recorded_at: Timestamp::from_ms(7),
            body: RecordBody::ModelActivated("r1".into()),
        };
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        // field 99 as a varint, from a newer program
        bytes[0] += 3;
        bytes.extend_from_slice(&[0x98, 0x06, 0x01]);
        assert_eq!(decode(&mut bytes.as_slice()).unwrap(), record);

        let strange = wire::Record {
            recorded_at_ms: 1,
            body: Some(Body::Event(wire::Event {
                kind: "teleport".to_owned(),
                ..wire::Event::default()
            })),
        };
        let bytes = strange.encode_length_delimited_to_vec();
        let error = decode(&mut bytes.as_slice()).unwrap_err();
        assert_eq!(error, unknown("the name of an event", "teleport"));
        let bodiless = wire::Record::default().encode_length_delimited_to_vec();
        assert!(decode(&mut bodiless.as_slice()).is_err());
    }
}
