//! OfferService: offers.

mod reservation;

use tonic::{Request, Response, Status};

use crate::application::AppError;
use crate::application::offers::{MAX_OFFERS_IN_BATCH, Offers, Selection, StoredOffer};
use crate::domain::event::optional;
use crate::domain::offer::OfferFields;
use crate::domain::{
    CampaignId, CategoryPath, FaultCode, Faults, Micros, Offer, OfferDraft, OfferId, OfferKind,
    OfferState, ReservationId,
};
use crate::proto::v1;
use crate::proto::v1::offer_service_server::OfferService;
use crate::transport::grpc::field::{
    self, DEFAULT_PAGE, MAX_PAGE, count32, count64, parse_id, render_time, text, under,
};
use crate::transport::grpc::mask::{Field, Mask, Masked, fields};
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::work::blocking;

/// Answers OfferService.
#[derive(Debug, Clone)]
pub struct OfferApi {
    /// The use cases.
    pub(in crate::transport) offers: Offers,
}

impl Masked for v1::Offer {
    const FIELDS: &'static [Field<Self>] = fields![v1::Offer:
        name, kind, value, campaign_id, product_ids, categories, stages, segments, eligibility,
        start_time, end_time, unit_cost, budget_units, budget_amount, currency_code,
        cap_per_customer, cap_shown_per_customer, cap_window_days, exclusivity_group, channels,
        priority, fallback, paused,
    ];
    const FIXED: &'static [&'static str] = &["offer_id", "state", "delete_time", "outcomes"];
}

#[tonic::async_trait]
impl OfferService for OfferApi {
    async fn create_offer(
        &self,
        request: Request<v1::CreateOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let request = request.into_inner();
        let offer = field::required("offer", request.offer)?;
        let offer = self
            .check(&offer)
            .map_err(|faults| under("offer", faults))?;
        let stored = self.offers.create(offer, request.validate_only).await?;
        Ok(Response::new(render(&stored)))
    }

    async fn get_offer(
        &self,
        request: Request<v1::GetOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        Ok(Response::new(render(&self.offers.get(&id)?)))
    }

    async fn list_offers(
        &self,
        request: Request<v1::ListOffersRequest>,
    ) -> Result<Response<v1::ListOffersResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let limit = field::page_size(&mut faults, request.page_size, DEFAULT_PAGE, MAX_PAGE);
        let campaign = optional(
            &mut faults,
            "campaign_id",
            &request.campaign_id,
            CampaignId::parse,
        );
        faults.into_result(|| ()).map_err(AppError::from)?;
        let deleted = request.show_deleted;
        let fields = [
            request.campaign_id.as_str(),
            if deleted { "deleted" } else { "" },
        ];
        let binding = Binding {
            method: "ListOffers",
            fields: &fields,
        };
        let from = binding.cursor(&request.page_token)?;
        let offers = self.offers.clone();
        let selection = Selection { campaign, deleted };
        let page = blocking(move |_| Ok(offers.list(from, limit, &selection))).await?;
        Ok(Response::new(v1::ListOffersResponse {
            offers: page.items.iter().map(render).collect(),
            next_page_token: binding.token(page.next),
        }))
    }

    async fn update_offer(
        &self,
        request: Request<v1::UpdateOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let request = request.into_inner();
        let given = field::required("offer", request.offer)?;
        let mut faults = Faults::new();
        let id = faults.take("offer.offer_id", OfferId::parse(&given.offer_id));
        let mask = Mask::parse(&mut faults, request.update_mask.as_ref(), &given);
        let Some(id) = id.filter(|_| faults.is_empty()) else {
            return Err(AppError::Invalid(faults).into());
        };
        let change = |old: Option<&Offer>| {
            let whole = match old {
                Some(old) => mask.merge(render_offer(old), &given),
                None => given,
            };
            self.check(&whole).map_err(|faults| under("offer", faults))
        };
        let stored = self
            .offers
            .update(&id, request.allow_missing, request.validate_only, change)
            .await?;
        Ok(Response::new(render(&stored)))
    }

    async fn delete_offer(
        &self,
        request: Request<v1::DeleteOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        Ok(Response::new(render(&self.offers.delete(&id).await?)))
    }

    async fn undelete_offer(
        &self,
        request: Request<v1::UndeleteOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        Ok(Response::new(render(&self.offers.undelete(&id).await?)))
    }

    async fn pause_offer(
        &self,
        request: Request<v1::PauseOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        let stored = self.offers.set_paused(&id, true).await?;
        Ok(Response::new(render(&stored)))
    }

    async fn resume_offer(
        &self,
        request: Request<v1::ResumeOfferRequest>,
    ) -> Result<Response<v1::Offer>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        let stored = self.offers.set_paused(&id, false).await?;
        Ok(Response::new(render(&stored)))
    }

    async fn batch_upsert_offers(
        &self,
        request: Request<v1::BatchUpsertOffersRequest>,
    ) -> Result<Response<v1::BatchUpsertOffersResponse>, Status> {
        let request = request.into_inner();
        let offers = field::upserts(
            ["offers", "offer_id"],
            &request.offers,
            MAX_OFFERS_IN_BATCH,
            |offer| &offer.offer_id,
            |offer| self.check(offer),
        )?;
        let written = self.offers.upsert(offers, request.validate_only).await?;
        Ok(Response::new(v1::BatchUpsertOffersResponse {
            written_count: count32(written.new),
            unchanged_count: count32(written.duplicate),
        }))
    }

    async fn redeem_offer(
        &self,
        request: Request<v1::RedeemOfferRequest>,
    ) -> Result<Response<v1::RedeemOfferResponse>, Status> {
        let redemption = reservation::redemption(&request.into_inner())?;
        let redeemed = self.offers.redeem(redemption).await?;
        Ok(Response::new(reservation::render_redeemed(&redeemed)))
    }

    async fn release_offer(
        &self,
        request: Request<v1::ReleaseOfferRequest>,
    ) -> Result<Response<v1::ReleaseOfferResponse>, Status> {
        let text = request.into_inner().reservation_id;
        let id = parse_id("reservation_id", ReservationId::parse(&text))?;
        let status = self.offers.release(id).await?;
        Ok(Response::new(v1::ReleaseOfferResponse {
            state: reservation::render_status(status).into(),
        }))
    }

    async fn get_offer_usage(
        &self,
        request: Request<v1::GetOfferUsageRequest>,
    ) -> Result<Response<v1::OfferUsage>, Status> {
        let id = offer_id(&request.into_inner().offer_id)?;
        let usage = self.offers.usage(&id)?;
        Ok(Response::new(reservation::render_usage(&id, &usage)))
    }
}

impl OfferApi {
    /// An offer that is complete as it stands.
    fn check(&self, offer: &v1::Offer) -> Result<Offer, Faults> {
        self.offers.check(&draft(offer))
    }
}

fn offer_id(text: &str) -> Result<OfferId, AppError> {
    parse_id("offer_id", OfferId::parse(text))
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn draft(offer: &v1::Offer) -> OfferDraft<'_> {
    OfferDraft {
        fields: OfferFields {
            currency: "currency_code",
            starts_at: "start_time",
            ends_at: "end_time",
        },
        needs_currency: true,
        offer_id: &offer.offer_id,
        name: &offer.name,
        kind: parse_kind(offer.kind),
        value: offer.value.map(Ok),
        campaign_id: &offer.campaign_id,
        product_ids: texts(&offer.product_ids),
        categories: offer.categories.iter().map(|c| texts(&c.levels)).collect(),
        stages: texts(&offer.stages),
        segments: texts(&offer.segments),
        eligibility: &offer.eligibility,
        starts_at: offer.start_time.as_ref().map(field::time),
        ends_at: offer.end_time.as_ref().map(field::time),
        unit_cost: offer.unit_cost.map(Ok),
        budget_units: offer.budget_units.map(Ok),
        budget_amount: offer.budget_amount.map(Ok),
        currency: &offer.currency_code,
        cap_per_customer: offer.cap_per_customer.map(|cap| Ok(cap.into())),
        cap_shown_per_customer: offer.cap_shown_per_customer.map(|cap| Ok(cap.into())),
        cap_window_days: offer.cap_window_days.map(|days| Ok(days.into())),
        exclusivity_group: &offer.exclusivity_group,
        channels: texts(&offer.channels),
        priority: Some(Ok(offer.priority.into())),
        fallback: Some(Ok(offer.fallback)),
        paused: Some(Ok(offer.paused)),
    }
}

/// Nothing where none is given.
fn parse_kind(kind: i32) -> Option<Result<OfferKind, (FaultCode, String)>> {
    use v1::OfferKind as Wire;
    Some(Ok(match Wire::try_from(kind) {
        Ok(Wire::Unspecified) => return None,
        Ok(Wire::Percentage) => OfferKind::Percentage,
        Ok(Wire::Amount) => OfferKind::Amount,
        Ok(Wire::BuyXGetY) => OfferKind::BuyXGetY,
        Ok(Wire::FreeShipping) => OfferKind::FreeShipping,
        Ok(Wire::Gift) => OfferKind::Gift,
        Ok(Wire::LoyaltyPoints) => OfferKind::LoyaltyPoints,
        Ok(Wire::EarlyAccess) => OfferKind::EarlyAccess,
        Ok(Wire::Referral) => OfferKind::Referral,
        Ok(Wire::Content) => OfferKind::Content,
        Ok(Wire::Coupon) => OfferKind::Coupon,
        Err(_) => {
            let reason = "not a kind of an offer".to_owned();
            return Some(Err((FaultCode::UnknownName, reason)));
        }
    }))
}

pub(super) fn render_kind(kind: OfferKind) -> v1::OfferKind {
    match kind {
        OfferKind::Percentage => v1::OfferKind::Percentage,
        OfferKind::Amount => v1::OfferKind::Amount,
        OfferKind::BuyXGetY => v1::OfferKind::BuyXGetY,
        OfferKind::FreeShipping => v1::OfferKind::FreeShipping,
        OfferKind::Gift => v1::OfferKind::Gift,
        OfferKind::LoyaltyPoints => v1::OfferKind::LoyaltyPoints,
        OfferKind::EarlyAccess => v1::OfferKind::EarlyAccess,
        OfferKind::Referral => v1::OfferKind::Referral,
        OfferKind::Content => v1::OfferKind::Content,
        OfferKind::Coupon => v1::OfferKind::Coupon,
    }
}

fn render_state(state: OfferState) -> v1::OfferState {
    match state {
        OfferState::Live => v1::OfferState::Live,
        OfferState::Scheduled => v1::OfferState::Scheduled,
        OfferState::Ended => v1::OfferState::Ended,
        OfferState::Paused => v1::OfferState::Paused,
        OfferState::Deleted => v1::OfferState::Deleted,
    }
}

/// An offer with what the service knows of it.
fn render(stored: &StoredOffer) -> v1::Offer {
    let outcomes = stored.outcomes;
    v1::Offer {
        state: render_state(stored.state).into(),
        delete_time: stored.deleted_at.map(render_time),
        outcomes: Some(v1::OfferOutcomes {
            sent_count: count64(outcomes.sent),
            viewed_count: count64(outcomes.viewed),
            selected_count: count64(outcomes.selected),
            redeemed_count: count64(outcomes.redeemed),
            declined_count: count64(outcomes.declined),
        }),
        ..render_offer(&stored.offer)
    }
}

/// An offer as it was written.
fn render_offer(offer: &Offer) -> v1::Offer {
    fn owned<T>(names: &[T], as_str: impl Fn(&T) -> &str) -> Vec<String> {
        names.iter().map(|name| as_str(name).to_owned()).collect()
    }
    let terms = &offer.terms;
    let category = |path: &CategoryPath| v1::CategoryPath {
        levels: owned(path, |level| level),
    };
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    v1::Offer {
        offer_id: offer.id.as_str().to_owned(),
        name: terms.name.to_string(),
        kind: render_kind(terms.benefit.kind()).into(),
        value: terms.benefit.value(),
        campaign_id: text(terms.campaign_id.as_ref(), |id| id.as_str()),
        product_ids: owned(&offer.product_ids, |id| id.as_str()),
        categories: terms.categories.iter().map(category).collect(),
        stages: owned(&terms.stages, |name| name),
        segments: owned(&terms.segments, |name| name),
        eligibility: terms.eligibility.to_string(),
        start_time: terms.starts_at.map(render_time),
        end_time: terms.ends_at.map(render_time),
        unit_cost: terms.unit_cost.map(Micros::units),
        budget_units: terms.budget_units.map(count64),
        budget_amount: terms.budget_amount.map(Micros::units),
        currency_code: text(terms.currency.as_ref(), |currency| currency.as_str()),
        cap_per_customer: terms.cap_per_customer.map(count),
        cap_shown_per_customer: terms.cap_shown_per_customer.map(count),
        cap_window_days: terms.cap_window_days.map(count),
        exclusivity_group: text(terms.exclusivity_group.as_ref(), |name| name),
        channels: owned(&terms.channels, |name| name.as_str()),
        priority: terms.priority,
        fallback: terms.fallback,
        paused: terms.paused,
        ..v1::Offer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::offers::check;
    use crate::application::recipes::Recipes;

    #[test]
    fn an_offer_comes_back_as_it_was_written() {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let sent = v1::Offer {
            offer_id: "o1".to_owned(),
            name: "A fifth off".to_owned(),
            kind: v1::OfferKind::Percentage.into(),
            value: Some(20.0),
            campaign_id: "spring".to_owned(),
            product_ids: owned(&["p1", "p2"]),
            categories: vec![v1::CategoryPath {
                levels: owned(&["Audio", "Headphones"]),
            }],
            stages: owned(&["decision", "retention"]),
            segments: owned(&["bargain_hunters"]),
            eligibility: "customer.order_count > 2".to_owned(),
            start_time: time(1_700_000_000),
            end_time: time(1_800_000_000),
            unit_cost: Some(1.5),
            budget_units: Some(1_000_000_000_000),
            budget_amount: Some(999.99),
            currency_code: "EUR".to_owned(),
            cap_per_customer: Some(1),
            cap_shown_per_customer: Some(3),
            cap_window_days: Some(30),
            exclusivity_group: "discounts".to_owned(),
            channels: owned(&["email", "store"]),
            priority: -5,
            fallback: true,
            paused: true,
            ..v1::Offer::default()
        };
        let journey = Recipes::embedded().unwrap().journey;
        let offer = check(&draft(&sent), &journey).unwrap();
        assert_eq!(render_offer(&offer), sent);
    }

    #[test]
    fn every_kind_has_a_number() {
        for &kind in OfferKind::ALL {
            let number = render_kind(kind);
            assert_eq!(parse_kind(number.into()), Some(Ok(kind)));
            let name = number.as_str_name().to_lowercase();
            assert_eq!(name, format!("offer_kind_{}", kind.as_str()));
        }
        assert_eq!(parse_kind(0), None);
        assert!(matches!(
            parse_kind(99),
            Some(Err((FaultCode::UnknownName, _)))
        ));
    }
}
