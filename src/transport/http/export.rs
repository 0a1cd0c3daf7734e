//! Everybody's answers as CSV or lines of JSON, as slowly as they are read; a break is mended by the last row's token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tower::BoxError;

use super::answer::{Body, CSV, JSON_LINES, plain, refusal};
use super::json::{self, Kind};
use super::query::{self, Format};
use super::route::Face;
use crate::application::AppError;
use crate::application::recommend::{DEFAULT_PRODUCTS, MAX_PRODUCTS};
use crate::application::reserve::MAX_OFFERS;
use crate::proto::v1;
use crate::proto::v1::recommendation_service_server::RecommendationService as _;
use crate::transport::grpc::work::Answers;

/// Pieces that wait for a slow client.
const BUFFER: usize = 8;
/// Rows are gathered into pieces of at least so many bytes.
const PIECE: usize = 16 * 1_024;
/// The columns of offers where nothing is said.
const DEFAULT_OFFERS: usize = 1;

/// The stream of an export.
pub(super) async fn answer(face: &Face, query: &str) -> Response<Body> {
    let (request, format) =
        match query::export(query, |name| face.recommendations.customers.segment(name)) {
            Ok(asked) => asked,
            Err(faults) => return refusal(&AppError::Invalid(faults).into()),
        };
    let rows = Rows::of(format, &request);
    let asked = face
        .recommendations
        .stream_recommendations(tonic::Request::new(request));
    let answers = match asked.await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return refusal(&status),
    };
    let (pieces, body) = mpsc::channel(BUFFER);
    let (is_whole, stalled) = (Arc::new(AtomicBool::new(false)), face.limits.stalled);
    let told = is_whole.clone();
    tokio::spawn(async move {
        let whole = write(&rows, answers, &pieces, stalled).await;
        told.store(whole, Ordering::Release);
        // not before: who reads asks then
        drop(pieces);
    });
    // what is not whole is cut off, not ended
    let end = std::iter::once_with(move || match is_whole.load(Ordering::Acquire) {
        true => None,
        false => Some(Err(BoxError::from("the export is not whole"))),
    });
    let end = tokio_stream::iter(end.flatten());
    let body = StreamBody::new(ReceiverStream::new(body).chain(end));
    let kind = match format {
        Format::Csv => CSV,
        Format::JsonLines => JSON_LINES,
    };
    let mut answer = plain(StatusCode::OK, kind.clone(), Vec::new());
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    *answer.body_mut() = body.boxed_unsync();
    answer
}

type Piece = Result<Frame<Bytes>, BoxError>;

/// Hands over the rows in pieces; true if all of them were taken.
async fn write(
    rows: &Rows,
    mut answers: Answers<v1::StreamRecommendationsResponse>,
    pieces: &mpsc::Sender<Piece>,
    stalled: Duration,
) -> bool {
    let mut piece = rows.head();
    loop {
        let row = match answers.next().await {
            Some(answer) => answer.and_then(|answer| rows.row(&answer)).map(Some),
            None => Ok(None),
        };
        let (is_last, whole) = match row {
            Ok(Some(row)) => {
                piece.extend(row);
                (false, true)
            }
            Ok(None) => (true, true),
            Err(status) => {
                tracing::warn!(%status, "an export was cut off");
                (true, false)
            }
        };
        if piece.len() >= PIECE || is_last {
            let bytes = Bytes::from(std::mem::take(&mut piece));
            let sent = tokio::time::timeout(stalled, pieces.send(Ok(Frame::data(bytes))));
            // nobody reads any more, or nobody has for long
            if !matches!(sent.await, Ok(Ok(()))) {
                return false;
            }
        }
        if is_last {
            return whole;
        }
    }
}

/// How rows are written.
struct Rows {
    format: Format,
    products: usize,
    offers: usize,
}

impl Rows {
    fn of(format: Format, request: &v1::StreamRecommendationsRequest) -> Self {
        let template = request.template.as_ref();
        let asked = template.map_or(0, |template| template.page_size);
        let offers = template.and_then(|template| template.max_offers);
        Self {
            format,
            products: match usize::try_from(asked) {
                Ok(0) | Err(_) => DEFAULT_PRODUCTS,
                Ok(asked) => asked.min(MAX_PRODUCTS),
            },
            offers: offers.map_or(DEFAULT_OFFERS, |most| {
                usize::try_from(most).unwrap_or_default().min(MAX_OFFERS)
            }),
        }
    }

    fn head(&self) -> Vec<u8> {
        if self.format == Format::JsonLines {
            return Vec::new();
        }
        let mut names = vec!["customer_id".to_owned(), "stage".to_owned()];
        names.extend((1..=self.products).map(|n| format!("product_{n}")));
        for n in 1..=self.offers {
            names.push(format!("offer_{n}"));
            names.push(format!("reservation_{n}"));
        }
        names.push("attribution_token".to_owned());
        names.push("resume_token".to_owned());
        record(&names).unwrap_or_default()
    }

    fn row(&self, answer: &v1::StreamRecommendationsResponse) -> Result<Vec<u8>, Status> {
        if self.format == Format::JsonLines {
            let mut line = json::write(Kind::StreamRecommendationsResponse, answer)?;
            line.push(b'\n');
            return Ok(line);
        }
        let empty = v1::RecommendResponse::default();
        let response = answer.response.as_ref().unwrap_or(&empty);
        let stage = response.stage.as_ref();
        let mut cells = vec![
            answer.customer_id.as_str(),
            stage.map_or("", |stage| stage.stage.as_str()),
        ];
        cells.extend((0..self.products).map(|place| {
            let product = response.products.get(place);
            product.map_or("", |product| product.product_id.as_str())
        }));
        for place in 0..self.offers {
            let offer = response.offers.get(place);
            cells.push(offer.map_or("", |offer| offer.offer_id.as_str()));
            cells.push(offer.map_or("", |offer| offer.reservation_id.as_str()));
        }
        cells.push(&response.attribution_token);
        cells.push(&answer.resume_token);
        Ok(record(&cells)?)
    }
}

/// One line of CSV.
fn record<T: AsRef<[u8]>>(cells: &[T]) -> Result<Vec<u8>, AppError> {
    let failed = |error: String| AppError::Internal(format!("a row of CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(cells);
    written.map_err(|error| failed(error.to_string()))?;
    writer
        .into_inner()
        .map_err(|error| failed(error.to_string()))
}
