//! What the buttons do.

use tonic::{Request, Status};

use super::Board;
use super::parts::Page;
use crate::domain::Faults;
use crate::proto::v1;
use crate::proto::v1::model_service_server::ModelService as _;
use crate::proto::v1::offer_service_server::OfferService as _;
use crate::transport::http::query::Parameters;

const TRAIN: &str = "/dashboard/models/train";
const CANCEL: &str = "/dashboard/models/cancel";
const ACTIVATE: &str = "/dashboard/models/activate";
const ROLL_BACK: &str = "/dashboard/models/roll-back";
const PAUSE: &str = "/dashboard/offers/pause";
const RESUME: &str = "/dashboard/offers/resume";

/// Where forms are sent to.
pub(super) const PATHS: [&str; 6] = [TRAIN, CANCEL, ACTIVATE, ROLL_BACK, PAUSE, RESUME];

/// A form.
#[derive(Debug, Default)]
pub(super) struct Action {
    pub(super) token: String,
    model_revision_id: String,
    training_run_id: String,
    offer_id: String,
    force: bool,
}

/// Reads a form, with every fault.
pub(super) fn parse(path: &str, form: &str) -> (Action, Faults) {
    let fields: &[&str] = match path {
        CANCEL => &["token", "training_run_id"],
        ACTIVATE => &["token", "model_revision_id", "force"],
        PAUSE | RESUME => &["token", "offer_id"],
        _ => &["token"],
    };
    let mut parameters = Parameters::parse(form, &[fields]);
    let action = Action {
        token: parameters.text("token"),
        model_revision_id: parameters.text("model_revision_id"),
        training_run_id: parameters.text("training_run_id"),
        offer_id: parameters.text("offer_id"),
        force: parameters.flag("force"),
    };
    (action, parameters.faults)
}

/// The page that is shown afterwards.
pub(super) fn back(path: &str) -> &'static str {
    match path {
        PAUSE | RESUME => Page::Offers.path(),
        _ => Page::Models.path(),
    }
}

impl Board {
    pub(super) async fn carry_out(&self, path: &str, action: &Action) -> Result<(), Status> {
        let (models, offers) = (&self.services.models, &self.services.offers);
        let offer_id = action.offer_id.clone();
        match path {
            TRAIN => {
                let request = v1::TrainModelsRequest::default();
                models.train_models(Request::new(request)).await?;
            }
            CANCEL => {
                let request = v1::CancelTrainingRunRequest {
                    training_run_id: action.training_run_id.clone(),
                };
                models.cancel_training_run(Request::new(request)).await?;
            }
            ACTIVATE => {
                let request = v1::ActivateModelRevisionRequest {
                    model_revision_id: action.model_revision_id.clone(),
                    force: action.force,
                };
                models
                    .activate_model_revision(Request::new(request))
                    .await?;
            }
            ROLL_BACK => {
                let request = v1::RollBackModelRequest {};
                models.roll_back_model(Request::new(request)).await?;
            }
            PAUSE => {
                let request = v1::PauseOfferRequest { offer_id };
                offers.pause_offer(Request::new(request)).await?;
            }
            RESUME => {
                let request = v1::ResumeOfferRequest { offer_id };
                offers.resume_offer(Request::new(request)).await?;
            }
            other => {
                let text = format!("nothing is done at {other}");
                return Err(Status::not_found(text));
            }
        }
        Ok(())
    }
}
