//! A question of the wire, parsed: all its faults at once.

use prost::Message as _;

use crate::application::AppError;
use crate::application::decision::Decision;
use crate::application::recommend::{
    DEFAULT_PRODUCTS, MAX_CONTEXT_EVENTS, MAX_EXCLUDED, MAX_PRODUCTS, Question, Who,
};
use crate::application::reserve::MAX_OFFERS;
use crate::domain::{
    CustomerId, DecisionKey, Event, FaultCode, Faults, Fingerprint, ProductId, Subject, Timestamp,
    VisitorId,
};
use crate::proto::v1;
use crate::transport::grpc::field::count32;
use crate::transport::grpc::{event, field};

/// Stands in for the subject of a context event of somebody unknown; it is never stored.
const NOBODY: &str = "nobody";

/// A question.
///
/// # Errors
/// `Invalid` with every fault.
pub(in crate::transport) fn parse(
    request: &v1::RecommendRequest,
    now: Timestamp,
) -> Result<Question, AppError> {
    let mut faults = Faults::new();
    let who = parse_who(&mut faults, request);
    field::name(&mut faults, "stage", &request.stage);
    field::name(&mut faults, "placement", &request.placement);
    field::name(&mut faults, "channel", &request.channel);
    let context = parse_context(&mut faults, request, now);
    let count = field::page_size(
        &mut faults,
        request.page_size,
        DEFAULT_PRODUCTS,
        MAX_PRODUCTS,
    );
    let offers = request.max_offers.and_then(|most| {
        let most = usize::try_from(most).ok();
        if most.is_none() {
            let reason = "must not be negative";
            faults.add("max_offers", FaultCode::OutOfRange, reason);
        }
        most.map(|most| most.min(MAX_OFFERS))
    });
    field::expression(&mut faults, "filter", &request.filter);
    field::expression(&mut faults, "boost", &request.boost);
    let exclude = parse_excluded(&mut faults, &request.exclude_product_ids);
    if !request.decision_key.is_empty() {
        faults.take("decision_key", DecisionKey::parse(&request.decision_key));
        if request.customer_id.is_empty() && request.visitor_id.is_empty() {
            let reason = "needs customer_id or visitor_id";
            faults.add("decision_key", FaultCode::NotAllowed, reason);
        }
    }
    Ok(faults.into_result(|| Question {
        who,
        stage: Some(request.stage.clone()).filter(|stage| !stage.is_empty()),
        placement: request.placement.clone(),
        context,
        count,
        offers,
        channel: request.channel.clone(),
        filter: request.filter.clone(),
        boost: request.boost.clone(),
        exclude,
        exclude_bought: request.exclude_bought,
        strict: request.strict,
        at: None,
    })?)
}

/// What makes the answer to a question stay, if it is to.
pub(super) fn decision(request: &v1::RecommendRequest, question: &Question) -> Option<Decision> {
    if request.decision_key.is_empty() {
        return None;
    }
    let subject = match &question.who {
        Who::Customer(customer) => Subject::Customer {
            customer: customer.clone(),
            visitor: None,
        },
        Who::Visitor(visitor) => Subject::Visitor(visitor.clone()),
        Who::Nobody => return None,
    };
    // what is happening right now may differ from one rendering to the next
    let asked = v1::RecommendRequest {
        page_size: count32(question.count),
        context_events: Vec::new(),
        validate_only: false,
        ..request.clone()
    };
    Some(Decision {
        key: DecisionKey::trusted(request.decision_key.clone()),
        subject,
        // no maps in the message, so equal questions have equal bytes
        question: Fingerprint::of("question", &[&asked.encode_to_vec()]),
    })
}

/// The faults of a template: it asks for everybody, so it names nobody.
pub(super) fn check_template(template: &v1::RecommendRequest) -> Faults {
    let mut faults = Faults::new();
    let set = [
        ("customer_id", !template.customer_id.is_empty()),
        ("visitor_id", !template.visitor_id.is_empty()),
        ("context_events", !template.context_events.is_empty()),
        ("validate_only", template.validate_only),
        ("decision_key", !template.decision_key.is_empty()),
    ];
    for (field, _) in set.iter().filter(|(_, set)| *set) {
        let reason = "must be empty in a template";
        faults.add(*field, FaultCode::NotAllowed, reason);
    }
    faults
}

fn parse_who(faults: &mut Faults, request: &v1::RecommendRequest) -> Who {
    let (customer, visitor) = (&request.customer_id, &request.visitor_id);
    let who = match (customer.is_empty(), visitor.is_empty()) {
        (true, true) => None,
        (false, true) => faults
            .take("customer_id", CustomerId::parse(customer))
            .map(Who::Customer),
        (true, false) => faults
            .take("visitor_id", VisitorId::parse(visitor))
            .map(Who::Visitor),
        (false, false) => {
            let reason = "at most one of customer_id and visitor_id may be given";
            faults.add("visitor_id", FaultCode::NotAllowed, reason);
            None
        }
    };
    who.unwrap_or(Who::Nobody)
}

fn parse_context(
    faults: &mut Faults,
    request: &v1::RecommendRequest,
    now: Timestamp,
) -> Vec<Event> {
    let events = &request.context_events;
    if events.len() > MAX_CONTEXT_EVENTS {
        let reason = format!(
            "{} events; at most {MAX_CONTEXT_EVENTS} are allowed",
            events.len()
        );
        faults.add("context_events", FaultCode::TooLong, reason);
        return Vec::new();
    }
    let mut parsed = Vec::with_capacity(events.len());
    for (i, event) in events.iter().enumerate() {
        let path = format!("context_events[{i}]");
        let mut draft = event::draft(event);
        draft.time = draft.time.or(Some(Ok(now)));
        if draft.customer_id.is_empty() && draft.visitor_id.is_empty() {
            draft.customer_id = &request.customer_id;
            draft.visitor_id = &request.visitor_id;
            if request.customer_id.is_empty() && request.visitor_id.is_empty() {
                draft.visitor_id = NOBODY;
            }
        } else if !request.customer_id.is_empty()
            && !event.customer_id.is_empty()
            && event.customer_id != request.customer_id
        {
            let reason = "another customer than the one the question is about";
            let field = format!("{path}.customer_id");
            faults.add(field, FaultCode::NotAllowed, reason);
        }
        // the position makes equal events different, as in a batch
        match event::check(event, &draft, now, |_| i as u64) {
            Ok(event) => parsed.push(event),
            Err(found) => faults.nest(&path, found),
        }
    }
    parsed
}

fn parse_excluded(faults: &mut Faults, ids: &[String]) -> Vec<ProductId> {
    if ids.len() > MAX_EXCLUDED {
        let reason = format!("{} products; at most {MAX_EXCLUDED} are allowed", ids.len());
        faults.add("exclude_product_ids", FaultCode::TooLong, reason);
        return Vec::new();
    }
    ids.iter()
        .enumerate()
        .filter_map(|(i, id)| {
            let parsed = ProductId::parse(id);
            match parsed {
                Ok(id) => Some(id),
                Err((code, reason)) => {
                    faults.add(format!("exclude_product_ids[{i}]"), code, reason);
                    None
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewed() -> v1::Event {
        v1::Event {
            event_type: "view_item".to_owned(),
            product_id: "p1".to_owned(),
            ..v1::Event::default()
        }
    }

    #[test]
    fn context_events_need_neither_time_nor_subject() {
        let now = Timestamp::from_ms(1_700_000_000_000);
        for (customer, visitor) in [("c1", ""), ("", "v1"), ("", "")] {
            let request = v1::RecommendRequest {
                customer_id: customer.to_owned(),
                visitor_id: visitor.to_owned(),
                context_events: vec![viewed(), viewed()],
                ..v1::RecommendRequest::default()
            };
            let question = parse(&request, now).unwrap();
            assert_eq!(question.count, DEFAULT_PRODUCTS);
            assert_eq!(question.context[0].time, now);
            assert_ne!(question.context[0].key, question.context[1].key);
        }
    }

    #[test]
    fn all_faults_of_a_question_are_found() {
        let request = v1::RecommendRequest {
            customer_id: "c1".to_owned(),
            visitor_id: "v1".to_owned(),
            stage: "s".repeat(65),
            placement: "a\0b".to_owned(),
            context_events: vec![v1::Event {
                customer_id: "c2".to_owned(),
                quantity: Some(f64::NAN),
                ..viewed()
            }],
            page_size: -1,
            max_offers: Some(-1),
            channel: "c".repeat(65),
            filter: "x".repeat(2_049),
            boost: "x".repeat(2_049),
            exclude_product_ids: vec!["p1".to_owned(), String::new()],
            decision_key: "k".repeat(129),
            ..v1::RecommendRequest::default()
        };
        let error = parse(&request, Timestamp::MIN).unwrap_err();
        let AppError::Invalid(faults) = error else {
            panic!("{error}");
        };
        let found: Vec<(&str, FaultCode)> = faults
            .as_slice()
            .iter()
            .map(|fault| (fault.field.as_str(), fault.code))
            .collect();
        assert_eq!(
            found,
            [
                ("visitor_id", FaultCode::NotAllowed),
                ("stage", FaultCode::TooLong),
                ("placement", FaultCode::BadCharacter),
                ("channel", FaultCode::TooLong),
                ("context_events[0].customer_id", FaultCode::NotAllowed),
                ("context_events[0].quantity", FaultCode::NotANumber),
                ("page_size", FaultCode::OutOfRange),
                ("max_offers", FaultCode::OutOfRange),
                ("filter", FaultCode::TooLong),
                ("boost", FaultCode::TooLong),
                ("exclude_product_ids[1]", FaultCode::Required),
                ("decision_key", FaultCode::TooLong),
            ]
        );
    }
}
