//! A client of a running service, for what drives it from outside: the simulated shop. Its callers need no word of the
//! wire.

use std::collections::BTreeMap;

use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::domain::{OfferKind, Timestamp};
use crate::proto::v1;
use crate::proto::v1::batch_recommend_result::Result as Answer;
use crate::proto::v1::customer_service_client::CustomerServiceClient;
use crate::proto::v1::event_service_client::EventServiceClient;
use crate::proto::v1::get_customer_request::Subject;
use crate::proto::v1::model_service_client::ModelServiceClient;
use crate::proto::v1::offer_service_client::OfferServiceClient;
use crate::proto::v1::recommendation_service_client::RecommendationServiceClient;
use crate::proto::v1::training_run::State;
use crate::transport::grpc::field::render_time;
use crate::transport::grpc::limits::MAX_RECOMMENDATION_BYTES;
use crate::transport::grpc::offer::render_kind;

/// Answers are larger than questions: with reasons and tokens, some kilobytes each.
const MAX_ANSWER_BYTES: usize = 16 * MAX_RECOMMENDATION_BYTES;

/// Why the service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no service.
    #[error("{address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// What the wire says.
        source: tonic::transport::Error,
    },
    /// It refused, or the wire broke.
    #[error("{method}: {code}: {message}")]
    Call {
        /// What was called.
        method: &'static str,
        /// The gRPC code.
        code: String,
        /// In words.
        message: String,
    },
    /// It answered something that cannot be.
    #[error("{method}: {message}")]
    Answer {
        /// What was called.
        method: &'static str,
        /// What is wrong.
        message: String,
    },
}

fn failed(method: &'static str) -> impl FnOnce(Status) -> ClientError {
    move |status| ClientError::Call {
        method,
        code: format!("{:?}", status.code()),
        message: status.message().to_owned(),
    }
}

/// How much of an offer may be spent, and how often one customer gets it; absent: without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TermLimits {
    /// So many redemptions in all.
    pub budget_units: Option<i64>,
    /// So much money in all.
    pub budget_amount: Option<f64>,
    /// So many redemptions by one customer.
    pub cap_per_customer: Option<i32>,
    /// So many times a customer is shown it, within so many days.
    pub cap_shown: Option<(i32, i32)>,
}

/// An offer to be created or replaced. It is for everybody, in every stage.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What kind of thing it is.
    pub kind: OfferKind,
    /// How much of it, in the unit of the kind.
    pub value: Option<f64>,
    /// What one redemption costs, where its value does not say so.
    pub unit_cost: Option<f64>,
    /// ISO 4217.
    pub currency: String,
    /// The campaign it belongs to.
    pub campaign: String,
    /// The channel it is shown in; empty: any.
    pub channel: String,
    /// From when on it holds.
    pub start: Timestamp,
    /// The first moment it does not hold any more.
    pub end: Timestamp,
    /// How much there is of it.
    pub limits: TermLimits,
}

/// What the service says somebody should be sent.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The best offer; `None` is an answer, too.
    pub offer: Option<String>,
    /// They never get an offer.
    pub held_out: bool,
    /// To be handed back with what becomes of it.
    pub token: String,
}

/// An event to be written; empty fields are left out.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the field of the API of its name")]
pub struct EventFields {
    pub event_id: String,
    pub event_type: &'static str,
    pub time: Timestamp,
    pub customer_id: String,
    pub visitor_id: String,
    pub session_id: String,
    pub product_id: String,
    pub quantity: Option<f64>,
    pub unit_price: Option<f64>,
    pub currency: &'static str,
    pub order_id: String,
    pub offer_id: String,
    pub touchpoint: &'static str,
    pub rating: Option<f64>,
    pub attribution_token: String,
}

impl EventFields {
    fn render(self) -> v1::Event {
        v1::Event {
            event_id: self.event_id,
            event_type: self.event_type.to_owned(),
            event_time: Some(render_time(self.time)),
            customer_id: self.customer_id,
            visitor_id: self.visitor_id,
            session_id: self.session_id,
            product_id: self.product_id,
            quantity: self.quantity,
            unit_price: self.unit_price,
            currency_code: self.currency.to_owned(),
            order_id: self.order_id,
            offer_id: self.offer_id,
            touchpoint: self.touchpoint.to_owned(),
            rating: self.rating,
            search_query: String::new(),
            attribution_token: self.attribution_token,
            ..v1::Event::default()
        }
    }
}

/// What became of events that were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those that are new.
    pub written: u64,
    /// Those that were known.
    pub duplicate: u64,
    /// Those whose token attributes nothing, by reason.
    pub unattributed: BTreeMap<String, u64>,
}

/// A connection to a running service. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    recommendations: RecommendationServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    offers: OfferServiceClient<Channel>,
    customers: CustomerServiceClient<Channel>,
    models: ModelServiceClient<Channel>,
}

impl Client {
    /// Connects to `address`, such as `127.0.0.1:50051`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect {
            address: address.to_owned(),
            source,
        };
        let endpoint = Channel::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| ClientError::Answer {
            method: "connect",
            message: format!("{address}: {error}"),
        })?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(failed)?;
        let recommendations = RecommendationServiceClient::new(channel.clone());
        Ok(Self {
            recommendations: recommendations.max_decoding_message_size(MAX_ANSWER_BYTES),
            events: EventServiceClient::new(channel.clone()),
            offers: OfferServiceClient::new(channel.clone()),
            customers: CustomerServiceClient::new(channel.clone()),
            models: ModelServiceClient::new(channel),
        })
    }

    /// Whether the service's clock stands at `from` or later, and before `to`: by the state that an offer of that time
    /// would have. Nothing is stored.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stands_between(
        &mut self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<bool, ClientError> {
        let offer = v1::Offer {
            offer_id: format!("clock-{}", from.ms()),
            kind: v1::OfferKind::Content.into(),
            start_time: Some(render_time(from)),
            end_time: Some(render_time(to)),
            ..v1::Offer::default()
        };
        let request = v1::CreateOfferRequest {
            offer: Some(offer),
            validate_only: true,
        };
        let answered = self.offers.create_offer(request).await;
        let offer = answered.map_err(failed("CreateOffer"))?.into_inner();
        Ok(offer.state() == v1::OfferState::Live)
    }

    /// How many events are known of a customer, and when the last was; `None` for somebody unknown.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn last_event(
        &mut self,
        customer: &str,
    ) -> Result<Option<(u64, Timestamp)>, ClientError> {
        let subject = Some(Subject::CustomerId(customer.to_owned()));
        let request = v1::GetCustomerRequest { subject };
        match self.customers.get_customer(request).await {
            Ok(found) => {
                let found = found.into_inner();
                let last = found
                    .last_event_time
                    .and_then(|time| Timestamp::from_parts(time.seconds, time.nanos).ok());
                let count = u64::try_from(found.event_count).unwrap_or_default();
                Ok(last.map(|last| (count, last)))
            }
            Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
            Err(status) => Err(failed("GetCustomer")(status)),
        }
    }

    /// Creates offers, or replaces those of their ids.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_offers(&mut self, offers: &[Terms]) -> Result<(), ClientError> {
        let offers = offers.iter().map(|terms| v1::Offer {
            offer_id: terms.id.clone(),
            name: terms.name.clone(),
            kind: render_kind(terms.kind).into(),
            value: terms.value,
            unit_cost: terms.unit_cost,
            currency_code: terms.currency.clone(),
            campaign_id: terms.campaign.clone(),
            channels: Some(terms.channel.clone())
                .filter(|channel| !channel.is_empty())
                .into_iter()
                .collect(),
            start_time: Some(render_time(terms.start)),
            end_time: Some(render_time(terms.end)),
            budget_units: terms.limits.budget_units,
            budget_amount: terms.limits.budget_amount,
            cap_per_customer: terms.limits.cap_per_customer,
            cap_shown_per_customer: terms.limits.cap_shown.map(|(times, _)| times),
            cap_window_days: terms.limits.cap_shown.map(|(_, days)| days),
            ..v1::Offer::default()
        });
        let request = v1::BatchUpsertOffersRequest {
            offers: offers.collect(),
            ..v1::BatchUpsertOffersRequest::default()
        };
        let answered = self.offers.batch_upsert_offers(request).await;
        answered.map_err(failed("BatchUpsertOffers")).map(|_| ())
    }

    /// Sets the budgets of an offer to those of `limits`, and leaves all else of it as it is; one that is not there any
    /// more is left alone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_budget(&mut self, id: &str, limits: TermLimits) -> Result<(), ClientError> {
        let budgets = [
            limits.budget_units.map(|_| "budget_units"),
            limits.budget_amount.map(|_| "budget_amount"),
        ];
        let request = v1::UpdateOfferRequest {
            offer: Some(v1::Offer {
                offer_id: id.to_owned(),
                budget_units: limits.budget_units,
                budget_amount: limits.budget_amount,
                ..v1::Offer::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: budgets.into_iter().flatten().map(str::to_owned).collect(),
            }),
            ..v1::UpdateOfferRequest::default()
        };
        match self.offers.update_offer(request).await {
            Ok(_) => Ok(()),
            Err(gone) if matches!(gone.code(), Code::NotFound | Code::FailedPrecondition) => Ok(()),
            Err(other) => Err(failed("UpdateOffer")(other)),
        }
    }

    /// What each of at most 1,000 customers should be sent through a channel: one offer, or none.
    ///
    /// # Errors
    /// [`ClientError`]; also if one of the questions has no answer.
    pub async fn choose(
        &mut self,
        customers: &[String],
        channel: &str,
    ) -> Result<Vec<Choice>, ClientError> {
        const METHOD: &str = "BatchRecommend";
        let requests = customers.iter().map(|customer| v1::RecommendRequest {
            customer_id: customer.clone(),
            placement: channel.to_owned(),
            channel: channel.to_owned(),
            max_offers: Some(1),
            ..v1::RecommendRequest::default()
        });
        let request = v1::BatchRecommendRequest {
            requests: requests.collect(),
        };
        let answered = self.recommendations.batch_recommend(request).await;
        let results = answered.map_err(failed(METHOD))?.into_inner().results;
        let wrong = |message| ClientError::Answer {
            method: METHOD,
            message,
        };
        if results.len() != customers.len() {
            let (answers, questions) = (results.len(), customers.len());
            return Err(wrong(format!("{answers} answers to {questions} questions")));
        }
        let answers = results.into_iter().zip(customers);
        let choices = answers.map(|(result, customer)| match result.result {
            Some(Answer::Response(answer)) => Ok(chosen(answer)),
            Some(Answer::Error(error)) => Err(wrong(format!("{customer}: {}", error.message))),
            None => Err(wrong(format!("{customer}: no answer"))),
        });
        choices.collect()
    }

    /// Writes a batch of events; checks it only, if so told.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn write(
        &mut self,
        events: Vec<EventFields>,
        validate_only: bool,
    ) -> Result<Taken, ClientError> {
        let request = v1::WriteEventsRequest {
            events: events.into_iter().map(EventFields::render).collect(),
            validate_only,
        };
        let answered = self.events.write_events(request).await;
        let answer = answered.map_err(failed("WriteEvents"))?.into_inner();
        let count = |count: i32| u64::try_from(count).unwrap_or_default();
        let unattributed = answer.unattributed.into_iter();
        Ok(Taken {
            written: count(answer.written_count),
            duplicate: count(answer.duplicate_count),
            unattributed: unattributed.map(|(why, n)| (why, count(n))).collect(),
        })
    }

    /// Trains, and waits until the run has ended: how it did, and what came of it in words.
    ///
    /// # Errors
    /// [`ClientError`]; that a run came to nothing is none.
    pub async fn train(&mut self) -> Result<String, ClientError> {
        let started = self.models.train_models(v1::TrainModelsRequest::default());
        let mut run = started.await.map_err(failed("TrainModels"))?.into_inner();
        let request = v1::WatchTrainingRunRequest {
            training_run_id: run.training_run_id.clone(),
        };
        let watched = self.models.watch_training_run(request).await;
        let mut changes = watched.map_err(failed("WatchTrainingRun"))?.into_inner();
        while let Some(change) = changes
            .message()
            .await
            .map_err(failed("WatchTrainingRun"))?
        {
            run = change;
        }
        let ended = match run.state() {
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Unspecified | State::Running => "broken off",
        };
        Ok(format!("{ended}: {}", run.message))
    }
}

fn chosen(answer: v1::RecommendResponse) -> Choice {
    Choice {
        offer: answer.offers.into_iter().next().map(|best| best.offer_id),
        held_out: answer.offer_holdout,
        token: answer.attribution_token,
    }
}
