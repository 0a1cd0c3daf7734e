//! What pages ask the services for.

use std::collections::HashMap;

use http::header::HeaderMap;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::asked::Picked;
use super::customer::{self, Asked, Known, MAX_EVENTS, Shown};
use super::offers::{self, MAX_OFFERS, Used};
use super::{Board, Made, journey, kpis, line, map, models, personas, timeline, touchpoints};
use crate::application::AppError;
use crate::domain::{FaultCode, Faults};
use crate::proto::v1;
use crate::proto::v1::catalog_service_server::CatalogService as _;
use crate::proto::v1::customer_service_server::CustomerService as _;
use crate::proto::v1::event_service_server::EventService as _;
use crate::proto::v1::model_service_server::ModelService as _;
use crate::proto::v1::offer_service_server::OfferService as _;
use crate::proto::v1::recommendation_service_server::RecommendationService as _;
use crate::transport::http::query::Parameters;

/// Customers of the list.
const CUSTOMERS: i32 = 25;
/// Products that would be recommended.
const PRODUCTS: i32 = 5;
/// The most pain points of a file.
const MAX_PAINS: i32 = 100;

fn invalid(faults: Faults) -> Status {
    AppError::Invalid(faults).into()
}

/// A refusal, and beside its faults those of another one.
fn with_faults_of(refused: &Status, other: &Status) -> Status {
    let (mut details, more) = (refused.get_error_details(), other.get_error_details());
    let mut faults = details
        .bad_request()
        .map_or_else(Vec::new, |bad| bad.field_violations.clone());
    let more = more
        .bad_request()
        .map_or_else(Vec::new, |bad| bad.field_violations.clone());
    faults.extend(more);
    let told: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.description))
        .collect();
    details.set_bad_request(faults);
    Status::with_error_details(refused.code(), told.join("; "), details)
}

impl Board {
    /// What was asked for, if nothing is wrong with it; else every fault, also of names that only the journey knows.
    async fn sound(&self, picked: &Picked, faults: Faults) -> Result<(), Status> {
        let Err(faults) = faults.into_result(|| ()) else {
            return Ok(());
        };
        let refused = invalid(faults);
        Err(match self.map(picked).await {
            Err(other) if other.code() == Code::InvalidArgument => with_faults_of(&refused, &other),
            _ => refused,
        })
    }

    async fn map(&self, picked: &Picked) -> Result<v1::JourneyMap, Status> {
        let request = v1::GetJourneyMapRequest {
            selection: Some(picked.selection()),
        };
        let answer = self.journey.get_journey_map(Request::new(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn kpis(&self, picked: &Picked) -> Result<v1::GetKpisResponse, Status> {
        let request = v1::GetKpisRequest {
            selection: Some(picked.selection()),
            breakdown: picked.breakdown().into(),
        };
        let answer = self.journey.get_kpis(Request::new(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn pains(
        &self,
        picked: &Picked,
        page_size: i32,
    ) -> Result<v1::ListPainPointsResponse, Status> {
        let request = v1::ListPainPointsRequest {
            selection: Some(picked.selection()),
            page_size,
            ..v1::ListPainPointsRequest::default()
        };
        let answer = self.journey.list_pain_points(Request::new(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn personas(&self) -> Result<v1::ListPersonasResponse, Status> {
        let request = v1::ListPersonasRequest {};
        let answer = self.journey.list_personas(Request::new(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// For pickers, which go without where they are not known.
    async fn known_personas(&self) -> Vec<v1::Persona> {
        let personas = self.personas().await;
        personas.map_or_else(|_| Vec::new(), |known| known.personas)
    }

    pub(super) async fn journey_page(&self, query: &str) -> Made {
        let (picked, faults) = Picked::parse(query);
        let answers = match self.sound(&picked, faults).await {
            Ok(()) => {
                // one after the other: each is quick, and they would wait for the same lock
                journey::Answers {
                    map: self.map(&picked).await,
                    pains: self.pains(&picked, 0).await,
                    kpis: self.kpis(&picked).await,
                    personas: self.known_personas().await,
                }
            }
            Err(status) => journey::Answers {
                map: Err(status.clone()),
                pains: Err(status.clone()),
                kpis: Err(status),
                personas: self.known_personas().await,
            },
        };
        let told = answers.map.as_ref().err().cloned();
        Made::Page(journey::page(&self.shop, &picked, &answers), told)
    }

    pub(super) async fn kpis_page(&self, query: &str) -> Made {
        let (picked, faults) = Picked::parse(query);
        let (known, map) = match self.sound(&picked, faults).await {
            Ok(()) => (self.kpis(&picked).await, self.map(&picked).await.ok()),
            Err(status) => (Err(status), None),
        };
        let people = self.known_personas().await;
        let told = known.as_ref().err().cloned();
        let page = kpis::page(&self.shop, &picked, &known, map.as_ref(), &people);
        Made::Page(page, told)
    }

    pub(super) async fn touchpoints_page(&self, query: &str) -> Made {
        let (picked, faults) = Picked::parse(query);
        let map = match self.sound(&picked, faults).await {
            Ok(()) => self.map(&picked).await,
            Err(status) => Err(status),
        };
        let people = self.known_personas().await;
        let told = map.as_ref().err().cloned();
        Made::Page(touchpoints::page(&self.shop, &picked, &map, &people), told)
    }

    pub(super) async fn personas_page(&self) -> Made {
        let known = self.personas().await;
        let told = known.as_ref().err().cloned();
        Made::Page(personas::page(&self.shop, &known, &self.stages), told)
    }

    /// A chart as a file of its own.
    pub(super) async fn picture(&self, chart: &str, query: &str) -> Made {
        let made = self.try_picture(chart, query).await;
        made.unwrap_or_else(Made::Failed)
    }

    async fn try_picture(&self, chart: &str, query: &str) -> Result<Made, Status> {
        let picture = match chart {
            "/dashboard/models" => {
                let revisions = self.revisions().await?.model_revisions;
                match models::newest(&revisions) {
                    Some(revision) => models::picture(revision),
                    None => return Ok(Made::Missing),
                }
            }
            "/dashboard/offers" => offers::picture(&self.offers(query).await?.0),
            "/dashboard/personas" => personas::picture(&self.personas().await?),
            _ => {
                let (picked, faults) = Picked::parse(query);
                self.sound(&picked, faults).await?;
                match chart {
                    "/dashboard/map" => {
                        let pains = self.pains(&picked, 0).await.unwrap_or_default();
                        map::picture(
                            &self.map(&picked).await?,
                            &pains.pain_points,
                            &picked.touchpoint,
                        )
                    }
                    "/dashboard/touchpoints" => touchpoints::picture(&self.map(&picked).await?),
                    _ => match self.kpi_of(chart, &picked).await? {
                        Some((kpi, currency)) => line::picture(&kpi, &currency),
                        None => return Ok(Made::Missing),
                    },
                }
            }
        };
        Ok(Made::Picture(picture))
    }

    /// The key figure that a path names.
    async fn kpi_of(
        &self,
        chart: &str,
        picked: &Picked,
    ) -> Result<Option<(v1::Kpi, String)>, Status> {
        let Some(name) = chart.strip_prefix("/dashboard/kpis/") else {
            return Ok(None);
        };
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let known = self.kpis(picked).await?;
        let kpi = known.kpis.into_iter().find(|kpi| kpi.name == name);
        Ok(kpi.map(|kpi| (kpi, known.currency_code)))
    }

    /// The figures of a chart as a file.
    pub(super) async fn rows(&self, chart: &str, query: &str) -> Made {
        let made = self.try_rows(chart, query).await;
        made.unwrap_or_else(Made::Failed)
    }

    async fn try_rows(&self, chart: &str, query: &str) -> Result<Made, Status> {
        let rows = match chart {
            "/dashboard/models" => models::rows(&self.revisions().await?.model_revisions),
            "/dashboard/offers" => offers::rows(&self.offers(query).await?.0),
            "/dashboard/personas" => personas::rows(&self.personas().await?),
            _ => {
                let (picked, faults) = Picked::parse(query);
                self.sound(&picked, faults).await?;
                match chart {
                    "/dashboard/map" => map::rows(&self.map(&picked).await?),
                    "/dashboard/flows" => map::flow_rows(&self.map(&picked).await?.stage_flows),
                    "/dashboard/touchpoints" => touchpoints::rows(&self.map(&picked).await?),
                    "/dashboard/touchpoint-flows" => touchpoints::moves(&self.map(&picked).await?),
                    "/dashboard/pain-points" => {
                        journey::pain_rows(&self.pains(&picked, MAX_PAINS).await?)
                    }
                    "/dashboard/kpis" => kpis::rows(&self.kpis(&picked).await?),
                    _ => match self.kpi_of(chart, &picked).await? {
                        Some((kpi, _)) => line::rows(&kpi),
                        None => return Ok(Made::Missing),
                    },
                }
            }
        };
        Ok(Made::Rows(rows))
    }

    pub(super) async fn runs(&self) -> Result<v1::ListTrainingRunsResponse, Status> {
        let request = v1::ListTrainingRunsRequest::default();
        let runs = self
            .services
            .models
            .list_training_runs(Request::new(request));
        runs.await.map(tonic::Response::into_inner)
    }

    async fn revisions(&self) -> Result<v1::ListModelRevisionsResponse, Status> {
        let request = v1::ListModelRevisionsRequest::default();
        let revisions = self
            .services
            .models
            .list_model_revisions(Request::new(request));
        revisions.await.map(tonic::Response::into_inner)
    }

    pub(super) async fn models_page(&self) -> Made {
        let request = v1::GetRecommendationOutcomesRequest {};
        let api = &self.services.recommendations;
        let outcomes = api.get_recommendation_outcomes(Request::new(request)).await;
        let answers = models::Answers {
            revisions: self.revisions().await,
            runs: self.runs().await,
            outcomes: outcomes.map(tonic::Response::into_inner),
        };
        let told = answers.revisions.as_ref().err().cloned();
        let page = models::page(&self.shop, &answers, self.access.token(), &self.recipes);
        Made::Page(page, told)
    }

    /// A page of offers with what of each is used, and where the next page begins.
    async fn offers(&self, query: &str) -> Result<(Vec<Used>, String), Status> {
        let parameters = Parameters::parse(query, &[&["page_token"]]);
        let page_token = parameters.text("page_token");
        parameters.faults.into_result(|| ()).map_err(invalid)?;
        let request = v1::ListOffersRequest {
            page_size: MAX_OFFERS,
            page_token,
            ..v1::ListOffersRequest::default()
        };
        let api = &self.services.offers;
        let list = api.list_offers(Request::new(request)).await?.into_inner();
        let mut offers = Vec::with_capacity(list.offers.len());
        for offer in list.offers {
            let request = v1::GetOfferUsageRequest {
                offer_id: offer.offer_id.clone(),
            };
            let usage = api.get_offer_usage(Request::new(request)).await;
            offers.push((offer, usage.ok().map(tonic::Response::into_inner)));
        }
        Ok((offers, list.next_page_token))
    }

    pub(super) async fn offers_page(&self, query: &str) -> Made {
        let offers = self.offers(query).await;
        let told = offers.as_ref().err().cloned();
        let query = match query {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let page = offers::page(&self.shop, &offers, self.access.token(), &query);
        Made::Page(page, told)
    }

    /// Who is asked about, and the faults of the question.
    fn asked(query: &str) -> (Asked, Faults) {
        let mut parameters =
            Parameters::parse(query, &[&["customer_id", "visitor_id", "page_token"]]);
        let asked = Asked {
            customer_id: parameters.text("customer_id"),
            visitor_id: parameters.text("visitor_id"),
            page_token: parameters.text("page_token"),
        };
        if !asked.customer_id.is_empty() && !asked.visitor_id.is_empty() {
            let reason = "give a customer id or a visitor id, not both";
            parameters
                .faults
                .add("visitor_id", FaultCode::NotAllowed, reason);
        }
        (asked, parameters.faults)
    }

    pub(super) async fn customer_page(&self, headers: &HeaderMap, query: &str) -> Made {
        let (asked, faults) = Self::asked(query);
        let is_one = !asked.customer_id.is_empty() || !asked.visitor_id.is_empty();
        let sound = faults.into_result(|| ()).map_err(invalid);
        if !self.access.shows_personal_data(headers) {
            // also whether somebody is known is nobody's business
            let told = is_one.then(|| Status::new(Code::PermissionDenied, "personal data"));
            let nothing = Asked::default();
            let page = customer::page(&self.shop, &self.places, &nothing, &Shown::Hidden);
            return Made::Page(page, told);
        }
        let shown = match sound {
            Err(status) => Shown::One(Box::new(Err(status))),
            Ok(()) if is_one => Shown::One(Box::new(self.known(&asked).await)),
            Ok(()) => Shown::Some(self.some_customers(&asked).await),
        };
        let told = match &shown {
            // a page without its timeline says so, but is no answer to keep
            Shown::One(known) => match known.as_ref() {
                Ok(known) => known.events.as_ref().err().cloned(),
                Err(status) => Some(status.clone()),
            },
            Shown::Some(list) => list.as_ref().err().cloned(),
            Shown::Hidden => None,
        };
        let page = customer::page(&self.shop, &self.places, &asked, &shown);
        Made::Page(page, told)
    }

    async fn some_customers(&self, asked: &Asked) -> Result<v1::ListCustomersResponse, Status> {
        let request = v1::ListCustomersRequest {
            page_size: CUSTOMERS,
            page_token: asked.page_token.clone(),
            ..v1::ListCustomersRequest::default()
        };
        let list = self
            .services
            .customers
            .list_customers(Request::new(request));
        list.await.map(tonic::Response::into_inner)
    }

    /// Somebody, and how to ask for them: a visitor may have turned out to be a customer.
    async fn customer(&self, asked: &Asked) -> Result<(v1::Customer, Asked), Status> {
        use v1::get_customer_request::Subject;
        let subject = match asked.customer_id.as_str() {
            "" => Subject::VisitorId(asked.visitor_id.clone()),
            id => Subject::CustomerId(id.to_owned()),
        };
        let request = v1::GetCustomerRequest {
            subject: Some(subject),
        };
        let customer = self.services.customers.get_customer(Request::new(request));
        let customer = customer.await?.into_inner();
        let asked = Asked {
            customer_id: customer.customer_id.clone(),
            visitor_id: customer.visitor_id.clone(),
            page_token: asked.page_token.clone(),
        };
        Ok((customer, asked))
    }

    async fn known(&self, asked: &Asked) -> Result<Known, Status> {
        let (customer, asked) = self.customer(asked).await?;
        let question = v1::RecommendRequest {
            customer_id: customer.customer_id.clone(),
            visitor_id: customer.visitor_id.clone(),
            page_size: PRODUCTS,
            ..v1::RecommendRequest::default()
        };
        let api = &self.services.recommendations;
        let explained = api.explain_recommendation(Request::new(question)).await;
        let explained = explained.map(tonic::Response::into_inner);
        let events = self.events(&asked).await;
        let mut ids = ids(&customer, &explained);
        ids.extend(events.iter().flat_map(product_ids));
        let names = self.names(ids).await;
        let dropped = explained
            .as_ref()
            .is_ok_and(|told| !told.dropped_offers.is_empty());
        let offers = match dropped {
            true => self.offer_names().await,
            false => HashMap::new(),
        };
        let persona = self.persona_name(&customer.persona_id).await;
        Ok(Known {
            asked,
            customer,
            persona,
            events,
            stages: self.stages.clone(),
            explained,
            names,
            offers,
        })
    }

    /// The names of the first offers there are; the others are called by their ids.
    async fn offer_names(&self) -> HashMap<String, String> {
        let request = v1::ListOffersRequest {
            page_size: MAX_OFFERS,
            ..v1::ListOffersRequest::default()
        };
        let list = self
            .services
            .offers
            .list_offers(Request::new(request))
            .await;
        let offers = list.map_or_else(|_| Vec::new(), |list| list.into_inner().offers);
        let names = offers.into_iter().map(|offer| (offer.offer_id, offer.name));
        names.collect()
    }

    /// One customer's timeline as a file.
    pub(super) async fn timeline(
        &self,
        headers: &HeaderMap,
        query: &str,
        is_picture: bool,
    ) -> Made {
        if !self.access.shows_personal_data(headers) {
            return Made::Failed(Status::new(Code::PermissionDenied, "personal data"));
        }
        let (asked, faults) = Self::asked(query);
        if let Err(status) = faults.into_result(|| ()).map_err(invalid) {
            return Made::Failed(status);
        }
        let made = self.try_timeline(&asked, is_picture).await;
        made.unwrap_or_else(Made::Failed)
    }

    async fn try_timeline(&self, asked: &Asked, is_picture: bool) -> Result<Made, Status> {
        // who is not known has no timeline, not even an empty one
        let (_, asked) = self.customer(asked).await?;
        let events = self.events(&asked).await?.events;
        let ids = events.iter().map(|event| event.product_id.clone());
        let names = self.names(ids.collect()).await;
        let wording = timeline::Wording {
            names: &names,
            places: &self.places,
        };
        Ok(match is_picture {
            true => Made::Picture(timeline::picture(&events, &self.stages, wording)),
            false => Made::Rows(timeline::rows(&events, &names)),
        })
    }

    /// The name of a persona, if it is known.
    async fn persona_name(&self, id: &str) -> Option<String> {
        if id.is_empty() {
            return None;
        }
        let mut personas = self.known_personas().await.into_iter();
        let found = personas.find(|persona| persona.persona_id == id);
        found.map(|persona| persona.name)
    }

    /// A page of what somebody did, the newest first.
    async fn events(&self, asked: &Asked) -> Result<v1::ListEventsResponse, Status> {
        use v1::list_events_request::Subject;
        let request = v1::ListEventsRequest {
            subject: Some(match asked.customer_id.as_str() {
                "" => Subject::VisitorId(asked.visitor_id.clone()),
                id => Subject::CustomerId(id.to_owned()),
            }),
            page_size: MAX_EVENTS,
            page_token: asked.page_token.clone(),
            newest_first: true,
        };
        let page = self.services.events.list_events(Request::new(request));
        page.await.map(tonic::Response::into_inner)
    }

    /// The names of products.
    async fn names(&self, mut ids: Vec<String>) -> HashMap<String, String> {
        ids.sort_unstable();
        ids.dedup();
        let mut names = HashMap::new();
        for id in ids.into_iter().filter(|id| !id.is_empty()) {
            let request = v1::GetProductRequest {
                product_id: id.clone(),
            };
            let product = self.services.catalog.get_product(Request::new(request));
            if let Ok(product) = product.await {
                names.insert(id, product.into_inner().name);
            }
        }
        names
    }
}

fn product_ids(page: &v1::ListEventsResponse) -> Vec<String> {
    let events = page.events.iter();
    events.map(|event| event.product_id.clone()).collect()
}

/// The products that a page names beside those of the timeline.
fn ids(
    customer: &v1::Customer,
    explained: &Result<v1::ExplainRecommendationResponse, Status>,
) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    if let Some(stage) = &customer.stage {
        let evidence = stage.evidence.iter();
        ids.extend(evidence.map(|evidence| evidence.product_id.clone()));
    }
    ids.extend(customer.low_rating.iter().map(|low| low.product_id.clone()));
    if let Ok(explained) = explained {
        let products = explained
            .response
            .iter()
            .flat_map(|answer| &answer.products);
        for product in products {
            ids.push(product.product_id.clone());
            let reasons = product.reasons.iter();
            ids.extend(reasons.map(|reason| reason.because_product_id.clone()));
        }
        let offers = explained
            .kept_offers
            .iter()
            .flat_map(|offer| &offer.reasons);
        ids.extend(offers.map(|reason| reason.because_product_id.clone()));
    }
    ids
}
