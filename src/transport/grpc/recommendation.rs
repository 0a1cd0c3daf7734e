//! RecommendationService: the question nextbest exists for, alone, in batches, as a stream, and
//! explained.

use prost::Message as _;
use tonic::{Code, Request, Response, Status};

use crate::application::AppError;
use crate::application::attribution::Outcomes;
use crate::application::customers::{Customers, Selection};
use crate::application::decision::Undecided;
use crate::application::ingest::Ingest;
use crate::application::recommend::offers::{Proposal, RankedOffer, promise, promise_all};
use crate::application::recommend::{
    Answer, Explanation, MAX_BATCH, Question, RankedProduct, Reason, Recommender,
};
use crate::domain::{Faults, OfferEffect, Timestamp};
use crate::proto::v1;
use crate::proto::v1::batch_recommend_result::Result as ItemResult;
use crate::proto::v1::recommendation_service_server::RecommendationService;
use crate::state::exposures::OfferCounts;
use crate::transport::grpc::campaign::Campaign;
use crate::transport::grpc::customer::render_stage;
use crate::transport::grpc::field::{self, count32, count64, render_time, text};
use crate::transport::grpc::limits::{COMPRESS_FROM_BYTES, MAX_QUESTION_BYTES};
use crate::transport::grpc::offer::render_kind;
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::question;
use crate::transport::grpc::status::{code_and_reason, message, reason, transport_status};
use crate::transport::grpc::work::{Answers, Streams, blocking};

/// Answers RecommendationService.
#[derive(Debug, Clone)]
pub struct RecommendationApi {
    /// Answers questions.
    pub(in crate::transport) recommender: Recommender,
    /// Whom a stream goes over.
    pub(in crate::transport) customers: Customers,
    /// The clock.
    pub(in crate::transport) ingest: Ingest,
    /// What streams share.
    pub(in crate::transport) streams: Streams,
}

#[tonic::async_trait]
impl RecommendationService for RecommendationApi {
    type StreamRecommendationsStream = Answers<v1::StreamRecommendationsResponse>;

    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        let answer = self.answer(request.into_inner()).await?;
        let small = answer.encoded_len() < COMPRESS_FROM_BYTES;
        let mut response = Response::new(answer);
        if small {
            response.disable_compression();
        }
        Ok(response)
    }

    async fn batch_recommend(
        &self,
        request: Request<v1::BatchRecommendRequest>,
    ) -> Result<Response<v1::BatchRecommendResponse>, Status> {
        let requests = request.into_inner().requests;
        field::batch(requests.len(), MAX_BATCH)?;
        let (recommender, ingest) = (self.recommender.clone(), self.ingest.clone());
        let now = self.ingest.now();
        let results = blocking(move |caller| {
            let mut proposed = Vec::with_capacity(requests.len());
            for request in &requests {
                if caller.is_gone() {
                    // nobody waits: nothing is reserved
                    return Ok(Vec::new());
                }
                proposed.push(propose(&recommender, request, now));
            }
            promise_batch(&recommender, &ingest, proposed)
        })
        .await?;
        Ok(Response::new(v1::BatchRecommendResponse { results }))
    }

    async fn stream_recommendations(
        &self,
        request: Request<v1::StreamRecommendationsRequest>,
    ) -> Result<Response<Self::StreamRecommendationsStream>, Status> {
        let request = request.into_inner();
        let template = request.template.clone().unwrap_or_default();
        check_size(&template)?;
        let question = parse_stream(&request, &template, self.ingest.now())?;
        let token = template_token(&template);
        let fields = [
            request.customer_stage.as_str(),
            request.customer_filter.as_str(),
            token.as_str(),
        ];
        let from = stream_binding(&fields)
            .cursor(&request.resume_token)
            .map_err(|error| error.in_field(|_| "resume_token"))?;
        let place = self.streams.place()?;
        let campaign = Campaign {
            recommender: self.recommender.clone(),
            ingest: self.ingest.clone(),
            customers: self.customers.clone(),
            selection: Selection {
                stage: request.customer_stage.clone(),
                filter: request.customer_filter.clone(),
            },
            question,
            fields: fields.map(str::to_owned),
        };
        // what can be wrong with the request is said at once, not at the end of a stream
        let campaign = blocking(move |_| {
            let asked = campaign.recommender.check(&campaign.question);
            asked.map_err(|error| error.in_field(of_template))?;
            let selected = campaign.customers.list(from, 1, &campaign.selection);
            selected.map_err(|error| error.in_field(of_selection))?;
            Ok(campaign)
        })
        .await?;
        let answers = self
            .streams
            .bulk(place, move |outlet| campaign.run(from, outlet));
        Ok(Response::new(answers))
    }

    async fn explain_recommendation(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::ExplainRecommendationResponse>, Status> {
        let request = request.into_inner();
        check_size(&request)?;
        let question = question::parse(&request, self.ingest.now())?;
        let recommender = self.recommender.clone();
        let validate_only = request.validate_only;
        let explained = blocking(move |_| {
            // what is wrong with an expression may show only when it is asked about products
            let explanation = recommender.explain(&question)?;
            Ok(match validate_only {
                true => v1::ExplainRecommendationResponse::default(),
                false => render_explanation(&explanation),
            })
        })
        .await?;
        Ok(Response::new(explained))
    }

    async fn get_recommendation_outcomes(
        &self,
        _: Request<v1::GetRecommendationOutcomesRequest>,
    ) -> Result<Response<v1::GetRecommendationOutcomesResponse>, Status> {
        Ok(Response::new(render_outcomes(
            &self.recommender.outcomes()?,
        )))
    }
}

impl RecommendationApi {
    /// The answer to one question; empty if it is only to be checked.
    pub(in crate::transport) async fn answer(
        &self,
        request: v1::RecommendRequest,
    ) -> Result<v1::RecommendResponse, Status> {
        check_size(&request)?;
        let now = self.ingest.now();
        let (recommender, ingest) = (self.recommender.clone(), self.ingest.clone());
        if !request.decision_key.is_empty() {
            // what stands is read from the journal
            let answers = blocking(move |_| {
                let proposed = propose(&recommender, &request, now)?;
                promise_some(&recommender, &ingest, vec![Ok(proposed)])
            });
            let answer = answers.await?.pop();
            return Ok(answer.transpose()?.unwrap_or_default());
        }
        let proposed = if request.filter.is_empty() && request.boost.is_empty() {
            // in place: an answer takes less time than handing the question to another thread
            propose(&recommender, &request, now)?
        } else {
            // a filter that refuses nearly everything is asked about thousands of products
            blocking(move |_| propose(&recommender, &request, now)).await?
        };
        match proposed {
            Proposed::Plain(proposal) => Ok(render(&promise(&ingest, *proposal).await?)),
            Proposed::Keyed(_) | Proposed::Checked => Ok(v1::RecommendResponse::default()),
        }
    }
}

/// What is found for a question before anything is promised.
enum Proposed {
    /// It was only to be checked.
    Checked,
    /// An answer that does not have to stay.
    Plain(Box<Proposal>),
    /// One that does.
    Keyed(Undecided),
}

/// One question must not be as large as a batch of them; tonic knows one bound for a whole service.
pub(in crate::transport) fn check_size(request: &v1::RecommendRequest) -> Result<(), Status> {
    let bytes = request.encoded_len();
    if bytes > MAX_QUESTION_BYTES {
        let text = format!("{bytes} bytes in a question; at most {MAX_QUESTION_BYTES} are taken");
        Err(transport_status(
            Code::ResourceExhausted,
            reason::MESSAGE_TOO_LARGE,
            &text,
        ))
    } else {
        Ok(())
    }
}

fn propose(
    recommender: &Recommender,
    request: &v1::RecommendRequest,
    now: Timestamp,
) -> Result<Proposed, AppError> {
    let question = question::parse(request, now)?;
    let decision = question::decision(request, &question);
    match decision.filter(|_| !request.validate_only) {
        Some(decision) => Ok(Proposed::Keyed(recommender.undecided(&question, decision)?)),
        None => {
            // what is wrong with an expression may show only when it is asked about products
            let proposal = recommender.propose(&question)?;
            Ok(match request.validate_only {
                true => Proposed::Checked,
                false => Proposed::Plain(Box::new(proposal)),
            })
        }
    }
}

/// The answers of a batch, each with its own status; what they reserve is written together.
fn promise_batch(
    recommender: &Recommender,
    ingest: &Ingest,
    proposed: Vec<Result<Proposed, AppError>>,
) -> Result<Vec<v1::BatchRecommendResult>, AppError> {
    let answers = promise_some(recommender, ingest, proposed)?;
    Ok(answers.into_iter().map(render_item).collect())
}

/// Where an answer comes from.
enum Place {
    /// It is here.
    Here(Box<Result<v1::RecommendResponse, AppError>>),
    /// The next one of those that do not have to stay.
    Plain,
    /// The next one of those that do.
    Open,
}

/// Answers in the order of what was proposed.
fn promise_some(
    recommender: &Recommender,
    ingest: &Ingest,
    proposed: Vec<Result<Proposed, AppError>>,
) -> Result<Vec<Result<v1::RecommendResponse, AppError>>, AppError> {
    let (mut plain, mut open) = (Vec::new(), Vec::new());
    let mut items = Vec::with_capacity(proposed.len());
    for item in proposed {
        items.push(match item {
            Err(error) => Place::Here(Box::new(Err(error))),
            Ok(Proposed::Checked) => Place::Here(Box::new(Ok(v1::RecommendResponse::default()))),
            Ok(Proposed::Keyed(Undecided::Stands(answer))) => {
                Place::Here(Box::new(decode(&answer)))
            }
            Ok(Proposed::Plain(proposal)) => {
                plain.push(*proposal);
                Place::Plain
            }
            Ok(Proposed::Keyed(Undecided::Open(proposal, decision))) => {
                open.push((*proposal, decision));
                Place::Open
            }
        });
    }
    let mut plain = promise_all(ingest, plain)?.into_iter();
    let encode = |answer: &Answer| render(answer).encode_to_vec();
    let mut decided = recommender.decide(ingest, &open, encode)?.into_iter();
    let lost = || AppError::Internal("an answer got lost".to_owned());
    let answers = items.into_iter().map(|item| match item {
        Place::Here(answer) => *answer,
        Place::Plain => plain.next().as_ref().map(render).ok_or_else(lost),
        Place::Open => decode(&decided.next().ok_or_else(lost)??),
    });
    Ok(answers.collect())
}

/// An answer that stands.
fn decode(answer: &[u8]) -> Result<v1::RecommendResponse, AppError> {
    let decoded = v1::RecommendResponse::decode(answer);
    decoded.map_err(|error| AppError::DataLoss(format!("a kept answer: {error}")))
}

/// The name of a question's field where the question is a template.
fn of_template(field: &'static str) -> &'static str {
    match field {
        "filter" => "template.filter",
        "boost" => "template.boost",
        "stage" => "template.stage",
        other => other,
    }
}

/// The name of a selection's field in a stream's request.
fn of_selection(field: &'static str) -> &'static str {
    match field {
        "filter" => "customer_filter",
        "stage" => "customer_stage",
        other => other,
    }
}

pub(super) fn stream_binding<'a>(fields: &'a [&'a str]) -> Binding<'a> {
    Binding {
        method: "StreamRecommendations",
        fields,
    }
}

/// What a resume token is bound to, of the template.
fn template_token(template: &v1::RecommendRequest) -> String {
    // no maps in the message, so equal templates have equal bytes
    blake3::hash(&template.encode_to_vec()).to_string()
}

fn parse_stream(
    request: &v1::StreamRecommendationsRequest,
    template: &v1::RecommendRequest,
    now: Timestamp,
) -> Result<Question, AppError> {
    let mut faults = Faults::new();
    field::name(&mut faults, "customer_stage", &request.customer_stage);
    field::expression(&mut faults, "customer_filter", &request.customer_filter);
    faults.nest("template", question::check_template(template));
    match question::parse(template, now) {
        Ok(question) => faults.into_result(|| question).map_err(AppError::from),
        Err(AppError::Invalid(found)) => {
            faults.nest("template", found);
            Err(faults.into())
        }
        Err(other) => Err(other),
    }
}

fn render_item(answer: Result<v1::RecommendResponse, AppError>) -> v1::BatchRecommendResult {
    let result = match answer {
        Ok(response) => ItemResult::Response(response),
        Err(error) => {
            let (code, reason) = code_and_reason(&error);
            ItemResult::Error(v1::BatchRecommendError {
                code: code.into(),
                message: message(&error),
                reason: reason.to_owned(),
            })
        }
    };
    v1::BatchRecommendResult {
        result: Some(result),
    }
}

pub(in crate::transport) fn render(answer: &Answer) -> v1::RecommendResponse {
    v1::RecommendResponse {
        stage: Some(render_stage(&answer.stage)),
        products: answer
            .products
            .iter()
            .enumerate()
            .map(|(i, product)| render_product(i + 1, product))
            .collect(),
        model_revision: answer.revision.clone().unwrap_or_default(),
        fallback: answer.fallback,
        attribution_token: answer.attribution_token.clone(),
        offers: render_offers(&answer.offers),
        offer_holdout: answer.offer_holdout,
        offers_incomplete: answer.offers_incomplete,
        decision_expire_time: answer.decision_until.map(render_time),
        decision_not_kept: answer.decision_not_kept,
        no_offer_probability: answer.no_offer_probability,
    }
}

fn render_offer(rank: usize, offer: &RankedOffer) -> v1::RecommendedOffer {
    let reservation = offer.reservation;
    v1::RecommendedOffer {
        offer_id: offer.offer.as_str().to_owned(),
        rank: count32(rank),
        name: offer.name.clone(),
        kind: render_kind(offer.benefit.kind()).into(),
        value: offer.benefit.value(),
        score: offer.score.units(),
        currency_code: text(offer.currency.as_ref(), |currency| currency.as_str()),
        reasons: render_reasons(&offer.reasons),
        reservation_id: reservation.map_or_else(String::new, |held| held.id.to_string()),
        expire_time: reservation.map(|held| render_time(held.expires_at)),
        probability: offer.probability,
        fallback: offer.fallback,
        campaign_id: text(offer.campaign.as_ref(), |id| id.as_str()),
        purchase_probability: offer.bought.map(|[with, _]| with),
        purchase_probability_without: offer.bought.map(|[_, without]| without),
        online: offer.odds.map(|[_, online]| online),
    }
}

fn render_offers(offers: &[RankedOffer]) -> Vec<v1::RecommendedOffer> {
    let offers = offers.iter().enumerate();
    offers
        .map(|(i, offer)| render_offer(i + 1, offer))
        .collect()
}

fn render_reasons(reasons: &[Reason]) -> Vec<v1::Reason> {
    let reasons = reasons.iter().map(|reason| v1::Reason {
        code: reason.code.to_owned(),
        text: reason.text.clone(),
        because_product_id: text(reason.because.as_ref(), |id| id.as_str()),
    });
    reasons.collect()
}

fn render_product(rank: usize, product: &RankedProduct) -> v1::RecommendedProduct {
    v1::RecommendedProduct {
        product_id: product.product.as_str().to_owned(),
        rank: count32(rank),
        score: product.score,
        calibrated: product.calibrated,
        source: product.origin.as_str().to_owned(),
        reasons: render_reasons(&product.reasons),
        fallback: product.fallback,
        probability: product.probability,
    }
}

fn render_explanation(explanation: &Explanation) -> v1::ExplainRecommendationResponse {
    let kept = explanation.kept.iter().map(|kept| v1::ExplainedCandidate {
        product_id: kept.product.as_str().to_owned(),
        score: kept.score,
        source_ranks: kept
            .source_ranks
            .iter()
            .map(|(source, rank)| ((*source).to_owned(), count32(*rank as usize)))
            .collect(),
        features: kept
            .features
            .iter()
            .map(|(name, value)| ((*name).to_owned(), f64::from(*value)))
            .collect(),
        boost: kept.boost,
        online: kept.online,
    });
    let dropped = explanation
        .dropped
        .iter()
        .map(|dropped| v1::DroppedCandidate {
            product_id: dropped.product.as_str().to_owned(),
            code: dropped.code.to_owned(),
        });
    v1::ExplainRecommendationResponse {
        response: Some(render(&explanation.answer)),
        kept: kept.collect(),
        dropped: dropped.collect(),
        kept_offers: render_offers(&explanation.offers.kept),
        dropped_offers: explanation
            .offers
            .dropped
            .iter()
            .map(|dropped| v1::DroppedOffer {
                offer_id: dropped.offer.as_str().to_owned(),
                code: dropped.code.to_owned(),
            })
            .collect(),
    }
}

fn render_outcomes(outcomes: &Outcomes) -> v1::GetRecommendationOutcomesResponse {
    let counts = |counts: [u64; 4]| {
        let [impression_count, click_count, cart_count, purchase_count] = counts.map(count64);
        v1::RecommendationOutcomes {
            impression_count,
            click_count,
            cart_count,
            purchase_count,
        }
    };
    let stages = outcomes.stages.iter();
    let origins = outcomes.origins.iter();
    let (impressions, learned) = outcomes.ranker.examples;
    let offers = outcomes.online_offers;
    v1::GetRecommendationOutcomesResponse {
        by_stage: stages
            .map(|(name, all)| (name.clone(), counts(*all)))
            .collect(),
        by_source: origins
            .map(|(name, all)| ((*name).to_owned(), counts(*all)))
            .collect(),
        by_offer: outcomes
            .offers
            .iter()
            .map(|(id, counts)| (id.clone(), render_offer_outcomes(counts)))
            .collect(),
        no_offer: Some(render_offer_outcomes(&outcomes.no_offer)),
        other_subject_count: count64(outcomes.other_subjects),
        online: Some(v1::OnlineRanker {
            impression_count: count64(impressions),
            outcome_count: count64(learned),
            gain: outcomes.ranker.gain,
            active: outcomes.ranker.is_active,
        }),
        online_offers: Some(v1::OnlineOffers {
            decision_count: count64(offers.examples.0),
            purchase_count: count64(offers.examples.1),
            gain: offers.gain,
            active: offers.is_active,
        }),
    }
}

fn render_offer_outcomes(counts: &OfferCounts) -> v1::AnsweredOfferOutcomes {
    let count = |effect| count64(counts.of(effect));
    v1::AnsweredOfferOutcomes {
        exposure_count: count(OfferEffect::Exposure),
        click_count: count(OfferEffect::Click),
        redeemed_count: count(OfferEffect::Redeemed),
        declined_count: count(OfferEffect::Declined),
        purchase_count: count(OfferEffect::Purchase),
    }
}
