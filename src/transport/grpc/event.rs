//! EventService: events in, and what is kept of them.

use std::collections::HashMap;

use tonic::{Request, Response, Status, Streaming};

use crate::application::AppError;
use crate::application::customers::{Customers, Told};
use crate::application::ingest::{Ingest, MAX_EVENTS, Written};
use crate::application::recommend::Who;
use crate::domain::{
    Attribution, Credit, CustomerId, Event, EventDraft, FaultCode, Faults, Fingerprint, Micros,
    RecordBody, Timestamp, VisitorId,
};
use crate::proto::v1;
use crate::proto::v1::event_service_server::EventService;
use crate::proto::v1::list_events_request::Subject;
use crate::transport::grpc::field::{self, DEFAULT_PAGE, MAX_PAGE, count32, count64, text};
use crate::transport::grpc::limits::MAX_FAULTS;
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::rescue::explain;
use crate::transport::grpc::status::status_with;
use crate::transport::grpc::work::blocking;

/// Answers EventService.
#[derive(Debug, Clone)]
pub struct EventApi {
    /// The way into the journal.
    pub(in crate::transport) ingest: Ingest,
    /// What is kept of whom.
    pub(in crate::transport) customers: Customers,
}

#[tonic::async_trait]
impl EventService for EventApi {
    async fn write_events(
        &self,
        request: Request<v1::WriteEventsRequest>,
    ) -> Result<Response<v1::WriteEventsResponse>, Status> {
        let request = request.into_inner();
        let events = parse_batch(&request.events, self.ingest.latest())?;
        let written = if request.validate_only {
            Written::default()
        } else {
            self.ingest.write(records(events)).await?
        };
        Ok(Response::new(v1::WriteEventsResponse {
            written_count: count32(written.new),
            duplicate_count: count32(written.duplicate),
            unattributed: written
                .unattributed
                .iter()
                .map(|(reason, &count)| (reason.as_str().to_owned(), count32(count)))
                .collect(),
        }))
    }

    async fn stream_events(
        &self,
        request: Request<Streaming<v1::StreamEventsRequest>>,
    ) -> Result<Response<v1::StreamEventsResponse>, Status> {
        let mut batches = request.into_inner();
        let mut answer = v1::StreamEventsResponse::default();
        loop {
            let batch = match batches.message().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(Response::new(answer)),
                Err(status) => return Err(explain(&status, progress(&answer))),
            };
            match self.write_batch(&batch.events).await {
                Ok(written) => {
                    answer.batch_count += 1;
                    answer.written_count += count64(written.new as u64);
                    answer.duplicate_count += count64(written.duplicate as u64);
                    for (reason, count) in written.unattributed {
                        let reason = reason.as_str().to_owned();
                        *answer.unattributed.entry(reason).or_default() += count64(count as u64);
                    }
                }
                Err(error) => return Err(status_with(&error, progress(&answer))),
            }
        }
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let limit = field::page_size(&mut faults, request.page_size, DEFAULT_PAGE, MAX_PAGE);
        let who = parse_subject(&mut faults, request.subject.as_ref());
        let who = who.filter(|_| faults.is_empty()).ok_or(faults);
        let who = who.map_err(AppError::from)?;
        let mut fields = match &who {
            Who::Customer(id) => vec!["customer", id.as_str()],
            Who::Visitor(id) => vec!["visitor", id.as_str()],
            Who::Nobody => vec!["", ""],
        };
        let newest_first = request.newest_first;
        if newest_first {
            fields.push("newest_first");
        }
        let binding = Binding {
            method: "ListEvents",
            fields: &fields,
        };
        let from = binding.cursor(&request.page_token)?;
        let customers = self.customers.clone();
        let asked = who.clone();
        let place = self.customers.place().await?;
        let page = blocking(move |caller| {
            // kept while it reads, also if the caller does not wait any more
            let _place = place;
            let gone = || caller.is_gone();
            let theirs = customers.ownership(&asked, &gone)?;
            if newest_first {
                let before = Some(from).filter(|from| *from > 0);
                let page = customers.newest_events(&theirs, before, limit, &gone)?;
                let events = page.items.iter().map(render_told).collect();
                return Ok((events, page.next));
            }
            let page = customers.events(&theirs, from, limit, &gone)?;
            let events: Vec<v1::Event> = page.items.iter().map(render).collect();
            Ok::<_, AppError>((events, page.next))
        });
        let (events, next) = page.await?;
        Ok(Response::new(v1::ListEventsResponse {
            events,
            next_page_token: binding.token(next),
        }))
    }
}

impl EventApi {
    async fn write_batch(&self, events: &[v1::Event]) -> Result<Written, AppError> {
        let events = parse_batch(events, self.ingest.latest())?;
        self.ingest.write(records(events)).await
    }
}

/// How far a stream came, for the `ErrorInfo` of its end.
fn progress(answer: &v1::StreamEventsResponse) -> HashMap<String, String> {
    let count = answer.batch_count.to_string();
    HashMap::from([("batches_written".to_owned(), count)])
}

fn records(events: Vec<Event>) -> Vec<RecordBody> {
    events
        .into_iter()
        .map(|event| RecordBody::Event(Box::new(event)))
        .collect()
}

fn parse_subject(faults: &mut Faults, subject: Option<&Subject>) -> Option<Who> {
    match subject {
        Some(Subject::CustomerId(id)) => faults
            .take("customer_id", CustomerId::parse(id))
            .map(Who::Customer),
        Some(Subject::VisitorId(id)) => faults
            .take("visitor_id", VisitorId::parse(id))
            .map(Who::Visitor),
        None => {
            let reason = "one of customer_id and visitor_id must be given";
            faults.add("customer_id", FaultCode::Required, reason);
            None
        }
    }
}

/// A batch of 1 to [`MAX_EVENTS`] events that can all be true. Looks for no more than
/// [`MAX_FAULTS`] faults.
fn parse_batch(events: &[v1::Event], now: Timestamp) -> Result<Vec<Event>, AppError> {
    field::batch(events.len(), MAX_EVENTS)?;
    let mut faults = Faults::new();
    let mut seen: HashMap<Fingerprint, u64> = HashMap::new();
    let mut parsed = Vec::with_capacity(events.len());
    for (i, event) in events.iter().enumerate() {
        let repetition = |content| {
            let count = seen.entry(content).or_insert(0);
            *count += 1;
            *count - 1
        };
        match check(event, &draft(event), now, repetition) {
            Ok(event) => parsed.push(event),
            Err(found) => faults.nest(&format!("events[{i}]"), found),
        }
        if faults.as_slice().len() >= MAX_FAULTS {
            break;
        }
    }
    Ok(faults.into_result(|| parsed)?)
}

/// An event of the wire, checked: as in files, and a price has a currency.
pub(super) fn check(
    event: &v1::Event,
    draft: &EventDraft<'_>,
    now: Timestamp,
    repetition: impl FnOnce(Fingerprint) -> u64,
) -> Result<Event, Faults> {
    let checked = draft.check(now, repetition);
    let priced = event.unit_price.map(Micros::from_units);
    if event.currency_code.is_empty() && matches!(priced, Some(Ok(_))) {
        let mut faults = checked.err().unwrap_or_default();
        let reason = "must be given with a unit price";
        faults.add("currency_code", FaultCode::Required, reason);
        return Err(faults);
    }
    checked
}

/// An event of the wire as a draft that is still to be checked.
pub(super) fn draft(event: &v1::Event) -> EventDraft<'_> {
    EventDraft {
        event_id: &event.event_id,
        event_type: &event.event_type,
        time: event.event_time.as_ref().map(field::time),
        time_field: "event_time",
        customer_id: &event.customer_id,
        visitor_id: &event.visitor_id,
        session_id: &event.session_id,
        product_id: &event.product_id,
        quantity: event.quantity.map(Ok),
        unit_price: event.unit_price.map(Ok),
        currency_field: "currency_code",
        currency: &event.currency_code,
        order_id: &event.order_id,
        offer_id: &event.offer_id,
        touchpoint: &event.touchpoint,
        rating: event.rating.map(Ok),
        search_query: &event.search_query,
        attribution_token: &event.attribution_token,
        campaign_id: &event.campaign_id,
    }
}

/// An event for the wire.
pub(super) fn render(event: &Event) -> v1::Event {
    let proven = event.credit.as_ref().and_then(Credit::proven);
    let currency = event.unit_price.and_then(|price| price.currency);
    v1::Event {
        event_id: text(event.id.as_ref(), |id| id.as_str()),
        event_type: event.kind.as_str().to_owned(),
        event_time: Some(field::render_time(event.time)),
        customer_id: text(event.subject.customer(), |id| id.as_str()),
        visitor_id: text(event.subject.visitor(), |id| id.as_str()),
        session_id: text(event.session.as_ref(), |id| id.as_str()),
        product_id: text(event.product.as_ref(), |id| id.as_str()),
        quantity: Some(event.quantity),
        unit_price: event.unit_price.map(|price| price.amount.units()),
        currency_code: text(currency.as_ref(), |currency| currency.as_str()),
        order_id: text(event.order.as_ref(), |id| id.as_str()),
        offer_id: text(event.offer.as_ref(), |id| id.as_str()),
        touchpoint: text(event.touchpoint.as_ref(), |name| name.as_str()),
        rating: event.rating,
        search_query: event
            .search_query
            .as_deref()
            .map_or_else(String::new, str::to_owned),
        // what it proved is kept, the token is not
        attribution_token: String::new(),
        campaign_id: text(event.campaign.as_ref(), |id| id.as_str()),
        recommended: proven.is_some_and(Attribution::is_recommended),
        with_offer: proven.is_some_and(Attribution::has_offer),
        stage: String::new(),
    }
}

/// An event for the wire, with the stage after it.
fn render_told(told: &Told) -> v1::Event {
    v1::Event {
        stage: told.stage.clone(),
        ..render(&told.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_written() {
        let sent = v1::Event {
            event_id: "e1".to_owned(),
            event_type: "purchase".to_owned(),
            event_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 123_000_000,
            }),
            customer_id: "c1".to_owned(),
            visitor_id: "v1".to_owned(),
            session_id: "s1".to_owned(),
            product_id: "p1".to_owned(),
            quantity: Some(2.5),
            unit_price: Some(19.99),
            currency_code: "EUR".to_owned(),
            order_id: "o1".to_owned(),
            offer_id: "f1".to_owned(),
            touchpoint: "store".to_owned(),
            rating: None,
            search_query: String::new(),
            attribution_token: String::new(),
            ..v1::Event::default()
        };
        let now = Timestamp::from_ms(1_700_000_100_000);
        let parsed = draft(&sent).check(now, |_| 0).unwrap();
        assert_eq!(render(&parsed), sent);
        let sent = v1::Event {
            event_id: "e2".to_owned(),
            event_type: "offer_sent".to_owned(),
            event_time: sent.event_time,
            customer_id: "c1".to_owned(),
            quantity: Some(1.0),
            campaign_id: "spring".to_owned(),
            ..v1::Event::default()
        };
        let parsed = draft(&sent).check(now, |_| 0).unwrap();
        assert_eq!(render(&parsed), sent);
    }

    #[test]
    fn faults_have_their_path_and_the_search_for_them_ends() {
        let bad = v1::Event::default();
        let error = parse_batch(&vec![bad; 10_000], Timestamp::MIN).unwrap_err();
        let AppError::Invalid(faults) = error else {
            panic!("{error}");
        };
        let faults = faults.as_slice();
        assert_eq!(faults[0].field, "events[0].event_type");
        assert!(faults.len() < MAX_FAULTS + 20, "{}", faults.len());
    }
}
