//! CustomerService: what is known of whom, who visitors turned out to be, export and erasure.

use tonic::{Request, Response, Status};

use crate::application::AppError;
use crate::application::customers::{Customers, LowRating, Profile, Selection};
use crate::application::next_stage::{NextStage, Propensities};
use crate::application::recommend::{Evidence, StageAnswer, Who};
use crate::domain::{CustomerDraft, CustomerId, Faults, VisitorId};
use crate::proto::v1;
use crate::proto::v1::customer_service_server::CustomerService;
use crate::proto::v1::export_customer_response::Part;
use crate::proto::v1::get_customer_request::Subject;
use crate::transport::grpc::event;
use crate::transport::grpc::field::{self, DEFAULT_PAGE, MAX_PAGE, count64, render_time};
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::work::{Answers, Ended, Outlet, Streams, blocking};

/// Events that are read from the journal at a time for an export.
const EXPORT_PAGE: usize = 500;
/// Kept answers that are read at a time for an export.
const KEPT_PAGE: usize = 16;

/// Answers CustomerService.
#[derive(Debug, Clone)]
pub struct CustomerApi {
    /// The use cases.
    pub(in crate::transport) customers: Customers,
    /// What streams share.
    pub(in crate::transport) streams: Streams,
}

#[tonic::async_trait]
impl CustomerService for CustomerApi {
    type ExportCustomerStream = Answers<v1::ExportCustomerResponse>;

    async fn get_customer(
        &self,
        request: Request<v1::GetCustomerRequest>,
    ) -> Result<Response<v1::Customer>, Status> {
        let who = match field::required("customer_id", request.into_inner().subject)? {
            Subject::CustomerId(id) => Who::Customer(customer_id(&id)?),
            Subject::VisitorId(id) => Who::Visitor(visitor_id(&id)?),
        };
        Ok(Response::new(render(&self.customers.get(&who)?)))
    }

    async fn list_customers(
        &self,
        request: Request<v1::ListCustomersRequest>,
    ) -> Result<Response<v1::ListCustomersResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let limit = field::page_size(&mut faults, request.page_size, DEFAULT_PAGE, MAX_PAGE);
        field::expression(&mut faults, "filter", &request.filter);
        field::name(&mut faults, "stage", &request.stage);
        faults.into_result(|| ()).map_err(AppError::from)?;
        let fields = [request.filter.as_str(), request.stage.as_str()];
        let binding = Binding {
            method: "ListCustomers",
            fields: &fields,
        };
        let from = binding.cursor(&request.page_token)?;
        let selection = Selection {
            stage: request.stage.clone(),
            filter: request.filter.clone(),
        };
        let customers = self.customers.clone();
        let page = blocking(move |_| customers.list(from, limit, &selection)).await?;
        Ok(Response::new(v1::ListCustomersResponse {
            customers: page.items.iter().map(render).collect(),
            next_page_token: binding.token(page.next),
        }))
    }

    async fn upsert_customer(
        &self,
        request: Request<v1::UpsertCustomerRequest>,
    ) -> Result<Response<v1::Customer>, Status> {
        let request = request.into_inner();
        let draft = CustomerDraft {
            customer_id: &request.customer_id,
            traits: field::pairs(&request.traits),
        };
        let customer = draft.check().map_err(AppError::from)?;
        let profile = self
            .customers
            .upsert(customer, request.validate_only)
            .await?;
        Ok(Response::new(render(&profile)))
    }

    async fn identify_visitor(
        &self,
        request: Request<v1::IdentifyVisitorRequest>,
    ) -> Result<Response<v1::IdentifyVisitorResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let visitor = faults.take("visitor_id", VisitorId::parse(&request.visitor_id));
        let customer = faults.take("customer_id", CustomerId::parse(&request.customer_id));
        let (Some(visitor), Some(customer)) = (visitor, customer) else {
            return Err(AppError::Invalid(faults).into());
        };
        let changed = self.customers.identify(visitor, customer).await?;
        Ok(Response::new(v1::IdentifyVisitorResponse { changed }))
    }

    async fn export_customer(
        &self,
        request: Request<v1::ExportCustomerRequest>,
    ) -> Result<Response<Self::ExportCustomerStream>, Status> {
        let customer = customer_id(&request.into_inner().customer_id)?;
        let place = self.streams.place()?;
        let profile = self.customers.get(&Who::Customer(customer.clone()))?;
        let customers = self.customers.clone();
        let parts = self.streams.bulk(place, move |outlet| {
            export(&customers, &customer, &profile, outlet)
        });
        Ok(Response::new(parts))
    }

    async fn erase_customer(
        &self,
        request: Request<v1::EraseCustomerRequest>,
    ) -> Result<Response<v1::EraseCustomerResponse>, Status> {
        let customer = customer_id(&request.into_inner().customer_id)?;
        let erased = self.customers.erase(&customer).await?;
        Ok(Response::new(v1::EraseCustomerResponse {
            erased_record_count: count64(erased),
        }))
    }
}

/// The profile, then the visitors, then the events and the kept answers, page by page.
fn export(
    customers: &Customers,
    customer: &CustomerId,
    profile: &Profile,
    outlet: &Outlet<v1::ExportCustomerResponse>,
) -> Result<(), Ended> {
    let send = |part| outlet.send(v1::ExportCustomerResponse { part: Some(part) });
    send(Part::Customer(render(profile)))?;
    // reading the whole journal must end when nobody waits for it
    let gone = || outlet.check().is_err();
    let theirs = customers.ownership(&Who::Customer(customer.clone()), &gone)?;
    for visitor in theirs.visitors() {
        send(Part::VisitorId(visitor.as_str().to_owned()))?;
    }
    let mut from = Some(0);
    while let Some(position) = from {
        let page = customers.events(&theirs, position, EXPORT_PAGE, &gone)?;
        for event in &page.items {
            send(Part::Event(event::render(event)))?;
        }
        from = page.next;
    }
    let mut from = Some(0);
    while let Some(position) = from {
        let page = customers.decisions(&theirs, position, KEPT_PAGE, &gone)?;
        for kept in page.items {
            send(Part::Decision(v1::KeptDecision {
                decision_key: kept.key.as_str().to_owned(),
                expire_time: Some(render_time(kept.expires_at)),
                response: kept.answer.into_vec(),
            }))?;
        }
        from = page.next;
    }
    Ok(())
}

fn customer_id(text: &str) -> Result<CustomerId, AppError> {
    let mut faults = Faults::new();
    let id = faults.take("customer_id", CustomerId::parse(text));
    id.ok_or(AppError::Invalid(faults))
}

fn visitor_id(text: &str) -> Result<VisitorId, AppError> {
    let mut faults = Faults::new();
    let id = faults.take("visitor_id", VisitorId::parse(text));
    id.ok_or(AppError::Invalid(faults))
}

/// A profile for the wire.
fn render(profile: &Profile) -> v1::Customer {
    let (customer_id, visitor_id) = match &profile.who {
        Who::Customer(id) => (id.as_str(), ""),
        Who::Visitor(id) => ("", id.as_str()),
        Who::Nobody => ("", ""),
    };
    v1::Customer {
        customer_id: customer_id.to_owned(),
        visitor_id: visitor_id.to_owned(),
        traits: field::render_pairs(&profile.traits),
        stage: Some(render_stage(&profile.stage)),
        first_event_time: profile.first_event.map(render_time),
        last_event_time: profile.last_event.map(render_time),
        event_count: count64(profile.events),
        order_count: count64(profile.orders),
        product_count: count64(profile.products),
        needs_recovery: profile.low_rating.is_some(),
        low_rating: profile.low_rating.as_ref().map(render_low_rating),
        propensities: render_propensities(&profile.propensities),
        health: profile
            .health
            .map_or_else(String::new, |health| health.as_str().to_owned()),
        persona_id: profile.persona.clone(),
    }
}

fn render_low_rating(low: &LowRating) -> v1::LowRating {
    v1::LowRating {
        event_type: low.kind.as_str().to_owned(),
        event_time: Some(render_time(low.time)),
        rating: low.rating,
        product_id: low
            .product
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
    }
}

/// A stage for the wire.
pub(super) fn render_stage(stage: &StageAnswer) -> v1::Stage {
    v1::Stage {
        stage: stage.stage.clone(),
        since: stage.since.map(render_time),
        evidence: stage.evidence.iter().map(render_evidence).collect(),
        named_by_caller: stage.named_by_caller,
        next_stages: stage.next.iter().map(render_next).collect(),
    }
}

fn render_next(next: &NextStage) -> v1::NextStage {
    v1::NextStage {
        stage: next.stage.clone(),
        probability: next.probability,
        reasons: next.reasons.iter().map(ToString::to_string).collect(),
    }
}

/// Nothing where nothing is expected.
fn render_propensities(propensities: &Propensities) -> Option<v1::Propensities> {
    let Propensities {
        buy,
        abandon_cart,
        lapse,
    } = *propensities;
    let is_any = buy.is_some() || abandon_cart.is_some() || lapse.is_some();
    is_any.then_some(v1::Propensities {
        buy,
        abandon_cart,
        lapse,
    })
}

fn render_evidence(evidence: &Evidence) -> v1::StageEvidence {
    v1::StageEvidence {
        event_type: evidence.kind.as_str().to_owned(),
        event_time: Some(render_time(evidence.time)),
        product_id: evidence
            .product
            .as_ref()
            .map_or_else(String::new, |id| id.as_str().to_owned()),
        from_request: evidence.from_request,
    }
}
