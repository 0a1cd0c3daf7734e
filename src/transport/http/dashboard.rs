//! The dashboard: pages made on the server, readable without JavaScript, with nothing from elsewhere.
//!
//! A page is a pure function from messages of the API to HTML, SVG or CSV. What it asks for is parsed from the URL
//! into the message of the gRPC call, and the same code answers it.

mod access;
mod actions;
mod asked;
mod assets;
mod customer;
mod dropped;
mod fetch;
mod format;
mod journey;
mod kpis;
mod line;
mod map;
mod models;
mod offers;
mod outlook;
mod parts;
mod personas;
mod quality;
mod svg;
mod table;
mod timeline;
mod touchpoints;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use tonic::{Code, Status};

use self::access::{Access, Denied};
use self::asked::Picked;
use self::parts::{Frame, Notice, Page};
use super::answer::{Body, CSV, http_code, no_such, plain, refusal, say_when_to_retry};
use crate::application::AppError;
use crate::application::recipes::RecipeFile;
use crate::domain::Places;
use crate::proto::v1::journey_service_server::JourneyService;
use crate::transport::grpc::catalog::CatalogApi;
use crate::transport::grpc::customer::CustomerApi;
use crate::transport::grpc::event::EventApi;
use crate::transport::grpc::model::ModelApi;
use crate::transport::grpc::offer::OfferApi;
use crate::transport::grpc::recommendation::RecommendationApi;
use crate::transport::grpc::status::{reason, transport_status};

/// Pages load the style and the script of the service, and nothing else from anywhere.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// A picture brings its colours along, and nothing else.
const PICTURE_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml; charset=utf-8");
const STYLE_SHEET: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
/// Its address changes with its content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What the dashboard shows beside the use cases, and to whom.
#[derive(Clone)]
pub struct Dashboard {
    /// The journey service: the one of gRPC.
    pub journey: Arc<dyn JourneyService>,
    /// Whether everybody who reaches the page sees personal data.
    pub personal_data: bool,
    /// Names by which the service may be called, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The recipes in use, as they were read.
    pub recipes: Vec<RecipeFile>,
    /// What the shop is called; empty: it does not say.
    pub shop_name: String,
    /// The touchpoints of the journey.
    pub places: Places,
    /// The stages of the journey, in order.
    pub stages: Vec<String>,
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("personal_data", &self.personal_data)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// The services that pages ask: those of gRPC.
pub(super) struct Services {
    pub(super) recommendations: RecommendationApi,
    pub(super) events: EventApi,
    pub(super) customers: CustomerApi,
    pub(super) models: ModelApi,
    pub(super) offers: OfferApi,
    pub(super) catalog: CatalogApi,
}

/// What answers requests for pages.
pub(super) struct Board {
    services: Services,
    journey: Arc<dyn JourneyService>,
    access: Access,
    recipes: Vec<RecipeFile>,
    shop: String,
    places: Places,
    stages: Vec<String>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What a page or a file of one is answered with.
enum Made {
    /// A page, and the fault that it tells, if any.
    Page(askama::Result<String>, Option<Status>),
    /// A part of a page.
    Part(askama::Result<String>),
    /// A picture.
    Picture(String),
    /// Rows.
    Rows(Vec<Vec<String>>),
    /// Nothing is there.
    Missing,
    /// It could not be made.
    Failed(Status),
}

impl Board {
    pub(super) fn new(
        services: Services,
        dashboard: Dashboard,
        listens: Option<SocketAddr>,
    ) -> Self {
        let Dashboard {
            journey,
            personal_data,
            hosts,
            recipes,
            shop_name,
            places,
            stages,
        } = dashboard;
        Self {
            services,
            journey,
            access: Access::new(personal_data, &hosts, listens),
            recipes,
            shop: shop_name,
            places,
            stages,
        }
    }

    /// True for paths of the dashboard.
    pub(super) fn has(path: &str) -> bool {
        path == "/" || path == "/dashboard" || path.starts_with("/dashboard/")
    }

    /// True for paths that change something.
    pub(super) fn takes_posts(path: &str) -> bool {
        actions::PATHS.contains(&path)
    }

    /// Answers GET.
    pub(super) async fn show(
        &self,
        headers: &HeaderMap,
        path: &str,
        query: &str,
    ) -> Response<Body> {
        if let Err(denied) = self.access.check_host(headers) {
            return refused(denied);
        }
        match path {
            "/" => return moved(Page::Journey.path()),
            assets::STYLE_PATH => return asset(STYLE_SHEET, assets::style()),
            assets::SCRIPT_PATH => return asset(SCRIPT, assets::SCRIPT),
            _ => {}
        }
        // as people type it
        let typed = path.strip_suffix('/');
        if let Some(page) = Page::ALL
            .into_iter()
            .find(|page| Some(page.path()) == typed)
        {
            let asked = if query.is_empty() { "" } else { "?" };
            return moved(&format!("{}{asked}{query}", page.path()));
        }
        answer(path, self.make(headers, path, query).await)
    }

    async fn make(&self, headers: &HeaderMap, path: &str, query: &str) -> Made {
        match path {
            "/dashboard" => self.journey_page(query).await,
            "/dashboard/kpis" => self.kpis_page(query).await,
            "/dashboard/touchpoints" => self.touchpoints_page(query).await,
            "/dashboard/personas" => self.personas_page().await,
            "/dashboard/customers" => self.customer_page(headers, query).await,
            "/dashboard/customers/timeline.svg" | "/dashboard/customers/timeline.csv" => {
                self.timeline(headers, query, path.ends_with(".svg")).await
            }
            "/dashboard/models" => self.models_page().await,
            "/dashboard/models/progress" => {
                Made::Part(models::progress(&self.runs().await, self.access.token()))
            }
            "/dashboard/offers" => self.offers_page(query).await,
            _ => match path.rsplit_once('.') {
                Some((chart, "svg")) => self.picture(chart, query).await,
                Some((chart, "csv")) => self.rows(chart, query).await,
                _ => Made::Missing,
            },
        }
    }

    /// Answers POST: the form, once its sender may.
    pub(super) async fn act(&self, headers: &HeaderMap, path: &str, form: &str) -> Response<Body> {
        if let Err(denied) = self.access.check_host(headers) {
            return refused(denied);
        }
        let (action, faults) = actions::parse(path, form);
        if let Err(denied) = self.access.check_post(headers, &action.token) {
            return refused(denied);
        }
        let done = match faults.into_result(|| ()) {
            Ok(()) => self.carry_out(path, &action).await,
            Err(faults) => Err(AppError::Invalid(faults).into()),
        };
        match done {
            Ok(()) => moved(actions::back(path)),
            Err(status) => failed(actions::back(path), &status),
        }
    }
}

#[derive(Template)]
#[template(
    path = "error.html",
    config = "src/transport/http/dashboard/askama.toml"
)]
struct ErrorPage {
    frame: Frame,
    heading: String,
    notice: Notice,
    back: &'static str,
}

fn answer(path: &str, made: Made) -> Response<Body> {
    match made {
        Made::Page(page, told) => {
            let mut answer = html(told.as_ref().map_or(StatusCode::OK, http_code), page);
            if let Some(status) = &told {
                say_when_to_retry(&mut answer, status);
            }
            answer
        }
        Made::Part(part) => html(StatusCode::OK, part),
        Made::Picture(picture) => {
            let body = svg::standalone(&picture).into_bytes();
            guarded(plain(StatusCode::OK, SVG, body), PICTURE_POLICY)
        }
        Made::Rows(rows) => guarded(
            plain(StatusCode::OK, CSV, table::file(&rows)),
            PICTURE_POLICY,
        ),
        Made::Missing if path.contains('.') => no_such(path, None),
        Made::Missing => error_page(
            StatusCode::NOT_FOUND,
            "There is no such page",
            &Status::not_found(format!("nothing is at {path}")),
            Page::Journey.path(),
        ),
        Made::Failed(status) => refusal(&status),
    }
}

/// A page that says what could not be done.
fn failed(back: &'static str, status: &Status) -> Response<Body> {
    error_page(http_code(status), "That was not done", status, back)
}

/// A page in the place of one that could not be made.
pub(super) fn unshown(status: &Status) -> Response<Body> {
    let heading = "This cannot be shown now";
    error_page(http_code(status), heading, status, Page::Journey.path())
}

fn refused(denied: Denied) -> Response<Body> {
    let code = match denied {
        Denied::Host => StatusCode::MISDIRECTED_REQUEST,
        Denied::Origin | Denied::Token => StatusCode::FORBIDDEN,
    };
    tracing::warn!(%denied, "a request for the dashboard was refused");
    let status = Status::permission_denied(denied.to_string());
    error_page(code, "This was refused", &status, Page::Journey.path())
}

fn error_page(
    code: StatusCode,
    heading: &str,
    status: &Status,
    back: &'static str,
) -> Response<Body> {
    let mut frame = Frame::new(Page::Journey, "", &Picked::default());
    heading.clone_into(&mut frame.title);
    frame.live = false;
    let page = ErrorPage {
        frame,
        heading: heading.to_owned(),
        notice: Notice::of("Why", status),
        back,
    };
    let mut answer = html(code, page.render());
    say_when_to_retry(&mut answer, status);
    answer
}

fn html(code: StatusCode, page: askama::Result<String>) -> Response<Body> {
    match page {
        Ok(page) => guarded(plain(code, HTML, page.into_bytes()), PAGE_POLICY),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            let text = "the page could not be made";
            refusal(&transport_status(Code::Internal, reason::INTERNAL, text))
        }
    }
}

fn asset(kind: HeaderValue, text: &'static str) -> Response<Body> {
    let mut answer = plain(StatusCode::OK, kind, text.as_bytes().to_vec());
    answer.headers_mut().insert(CACHE_CONTROL, FOREVER);
    guarded(answer, PAGE_POLICY)
}

/// To look at another page instead, by GET.
fn moved(to: &str) -> Response<Body> {
    let mut answer = plain(StatusCode::SEE_OTHER, HTML, Vec::new());
    let headers = answer.headers_mut();
    headers.remove(CONTENT_TYPE);
    // what no header can hold was no query of ours
    let first = HeaderValue::from_static(Page::Journey.path());
    headers.insert(LOCATION, HeaderValue::from_str(to).unwrap_or(first));
    guarded(answer, PAGE_POLICY)
}

fn guarded(mut answer: Response<Body>, policy: HeaderValue) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // with none at all, browsers would hide where a form comes from
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}
