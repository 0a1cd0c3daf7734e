//! ModelService: training runs and revisions.

use tonic::{Request, Response, Status};

use crate::application::AppError;
use crate::application::catalog::Page;
use crate::application::model::{PartReport, PartState};
use crate::application::models::{Models, RevisionInfo, RevisionState, RunState, TrainingRun};
use crate::application::personas::PersonaFigures;
use crate::application::train::{GateComparison, JourneyFigures, OfferFigures, Verdict};
use crate::domain::Faults;
use crate::proto::v1;
use crate::proto::v1::model_service_server::ModelService;
use crate::transport::grpc::field::{self, count64, render_time};
use crate::transport::grpc::page_token::Binding;
use crate::transport::grpc::work::{Answers, Streams, blocking};

/// Runs or revisions of one page where the caller does not say.
const DEFAULT_PAGE: usize = 20;
/// The most runs or revisions of one page.
const MAX_PAGE: usize = 100;

/// Answers ModelService.
#[derive(Debug, Clone)]
pub struct ModelApi {
    /// The use cases.
    pub(in crate::transport) models: Models,
    /// What streams share.
    pub(in crate::transport) streams: Streams,
}

#[tonic::async_trait]
impl ModelService for ModelApi {
    type WatchTrainingRunStream = Answers<v1::TrainingRun>;

    async fn train_models(
        &self,
        request: Request<v1::TrainModelsRequest>,
    ) -> Result<Response<v1::TrainingRun>, Status> {
        let run = self.models.train(request.into_inner().seed)?;
        Ok(Response::new(render_run(&run)))
    }

    async fn get_training_run(
        &self,
        request: Request<v1::GetTrainingRunRequest>,
    ) -> Result<Response<v1::TrainingRun>, Status> {
        let id = request.into_inner().training_run_id;
        field::id("training_run_id", &id)?;
        Ok(Response::new(render_run(&self.models.run(&id)?)))
    }

    async fn watch_training_run(
        &self,
        request: Request<v1::WatchTrainingRunRequest>,
    ) -> Result<Response<Self::WatchTrainingRunStream>, Status> {
        let id = request.into_inner().training_run_id;
        field::id("training_run_id", &id)?;
        let run = self.models.watch(&id)?;
        let ended = |run: &TrainingRun| run.state != RunState::Running;
        Ok(Response::new(self.streams.changes(run, ended, render_run)))
    }

    async fn cancel_training_run(
        &self,
        request: Request<v1::CancelTrainingRunRequest>,
    ) -> Result<Response<v1::TrainingRun>, Status> {
        let id = request.into_inner().training_run_id;
        field::id("training_run_id", &id)?;
        Ok(Response::new(render_run(&self.models.cancel(&id)?)))
    }

    async fn list_training_runs(
        &self,
        request: Request<v1::ListTrainingRunsRequest>,
    ) -> Result<Response<v1::ListTrainingRunsResponse>, Status> {
        let request = request.into_inner();
        let binding = binding("ListTrainingRuns");
        let (from, limit) = page(&binding, request.page_size, &request.page_token)?;
        let Page { items, next } = self.models.runs(from, limit);
        Ok(Response::new(v1::ListTrainingRunsResponse {
            training_runs: items.iter().map(render_run).collect(),
            next_page_token: binding.token(next),
        }))
    }

    async fn list_model_revisions(
        &self,
        request: Request<v1::ListModelRevisionsRequest>,
    ) -> Result<Response<v1::ListModelRevisionsResponse>, Status> {
        let request = request.into_inner();
        let binding = binding("ListModelRevisions");
        let (from, limit) = page(&binding, request.page_size, &request.page_token)?;
        let models = self.models.clone();
        let Page { items, next } = blocking(move |_| models.revisions(from, limit)).await?;
        Ok(Response::new(v1::ListModelRevisionsResponse {
            model_revisions: items.iter().map(render_revision).collect(),
            next_page_token: binding.token(next),
        }))
    }

    async fn get_model_revision(
        &self,
        request: Request<v1::GetModelRevisionRequest>,
    ) -> Result<Response<v1::ModelRevision>, Status> {
        let id = request.into_inner().model_revision_id;
        field::id("model_revision_id", &id)?;
        let models = self.models.clone();
        let revision = blocking(move |_| models.revision(&id)).await?;
        Ok(Response::new(render_revision(&revision)))
    }

    async fn activate_model_revision(
        &self,
        request: Request<v1::ActivateModelRevisionRequest>,
    ) -> Result<Response<v1::ModelRevision>, Status> {
        let request = request.into_inner();
        field::id("model_revision_id", &request.model_revision_id)?;
        let id = &request.model_revision_id;
        let revision = self.models.activate(id, request.force).await?;
        Ok(Response::new(render_revision(&revision)))
    }

    async fn roll_back_model(
        &self,
        _request: Request<v1::RollBackModelRequest>,
    ) -> Result<Response<v1::ModelRevision>, Status> {
        let revision = self.models.roll_back().await?;
        Ok(Response::new(render_revision(&revision)))
    }
}

fn binding(method: &str) -> Binding<'_> {
    Binding {
        method,
        fields: &[],
    }
}

fn page(binding: &Binding<'_>, size: i32, token: &str) -> Result<(u64, usize), AppError> {
    let mut faults = Faults::new();
    let limit = field::page_size(&mut faults, size, DEFAULT_PAGE, MAX_PAGE);
    let limit = faults.into_result(|| limit)?;
    Ok((binding.cursor(token)?, limit))
}

fn render_run(run: &TrainingRun) -> v1::TrainingRun {
    use v1::training_run::State;
    let state = match run.state {
        RunState::Running => State::Running,
        RunState::Succeeded => State::Succeeded,
        RunState::Failed => State::Failed,
        RunState::Cancelled => State::Cancelled,
    };
    v1::TrainingRun {
        training_run_id: run.id.clone(),
        state: state.into(),
        phase: run.phase.to_owned(),
        progress: run.progress,
        message: run.message.clone(),
        start_time: Some(render_time(run.started)),
        end_time: run.ended.map(render_time),
        model_revision: run.revision.clone().unwrap_or_default(),
    }
}

fn render_revision(revision: &RevisionInfo) -> v1::ModelRevision {
    use v1::model_revision::State;
    let state = match revision.state {
        RevisionState::Live => State::Live,
        RevisionState::Ready => State::Ready,
        RevisionState::Refused => State::Refused,
        RevisionState::Damaged => State::Damaged,
    };
    v1::ModelRevision {
        model_revision_id: revision.id.clone(),
        state: state.into(),
        create_time: revision.created.map(render_time),
        record_count: count64(revision.records),
        training_question_count: count64(revision.training_questions),
        held_back_question_count: count64(revision.held_back_questions),
        figures: revision
            .figures
            .iter()
            .map(|(method, figures)| v1::MethodFigures {
                method: method.clone(),
                figures: figures.iter().cloned().collect(),
            })
            .collect(),
        refusal: revision.refusal.clone(),
        seed: revision.seed,
        gate_comparisons: revision.gate.iter().map(render_comparison).collect(),
        calibration_error: revision.calibration_error,
        offers: Some(render_offers(&revision.offers)),
        parts: revision.parts.iter().map(render_part).collect(),
        next_stage: Some(render_journey(&revision.journey)),
        personas: revision.personas.as_ref().map(render_personas),
    }
}

fn render_personas(figures: &PersonaFigures) -> v1::PersonaLearning {
    v1::PersonaLearning {
        persona_count: count64(figures.k as u64),
        customer_count: count64(figures.customers),
        unassigned_count: count64(figures.unassigned),
        prediction_strength: figures.strength,
        silhouette: figures.silhouette,
        shuffled_silhouette: figures.shuffled_silhouette,
        smallest_share: figures.smallest_share,
        agreement: figures.agreement,
    }
}

fn render_journey(journey: &JourneyFigures) -> v1::NextStageLearning {
    let comparisons = journey.comparisons.iter();
    let comparisons = comparisons.map(|comparison| v1::NextStageComparison {
        method: comparison.method.clone(),
        metric: comparison.metric.clone(),
        figure: comparison.figure,
        difference: comparison.difference,
        low: comparison.low,
        high: comparison.high,
        case_count: count64(comparison.cases),
    });
    let propensities = journey.propensities.iter();
    let propensities = propensities.map(|propensity| v1::PropensityLearning {
        propensity: propensity.name.clone(),
        case_count: count64(propensity.cases),
        share: propensity.share,
        auc: propensity.auc,
        log_loss: propensity.log_loss,
        base_log_loss: propensity.base_log_loss,
        calibration_error: propensity.calibration_error,
        used: propensity.used,
    });
    v1::NextStageLearning {
        taught_count: count64(journey.taught),
        judged_count: count64(journey.judged),
        log_loss: journey.log_loss,
        top_1: journey.top_1,
        calibration_error: journey.calibration_error,
        comparisons: comparisons.collect(),
        propensities: propensities.collect(),
    }
}

fn render_part(report: &PartReport) -> v1::ModelPart {
    use v1::model_part::State;
    let state = match report.state {
        PartState::New => State::New,
        PartState::CarriedOver => State::CarriedOver,
        PartState::Refused => State::Refused,
        PartState::Absent => State::Absent,
    };
    v1::ModelPart {
        part: report.part.as_str().to_owned(),
        state: state.into(),
        reason: report.reason.clone(),
        from_revision: report.from.clone().unwrap_or_default(),
    }
}

fn render_offers(offers: &OfferFigures) -> v1::OfferLearning {
    let values = offers.values.iter().map(|value| v1::OfferPolicyValue {
        policy: value.policy.clone(),
        value: value.value,
        low: value.low,
        high: value.high,
    });
    v1::OfferLearning {
        exposure_count: count64(offers.rows),
        exposure_count_without: count64(offers.rows_without),
        judged_count: count64(offers.judged_rows),
        log_loss: offers.log_loss,
        base_log_loss: offers.base_log_loss,
        calibration_error: offers.calibration_error,
        agreement: offers.agreement,
        values: values.collect(),
        chooses: offers.chooses,
        verdict: offers.verdict.clone(),
    }
}

fn render_comparison(comparison: &GateComparison) -> v1::GateComparison {
    use v1::gate_comparison::Verdict as Rendered;
    let verdict = match comparison.verdict {
        Verdict::Passed => Rendered::Passed,
        Verdict::Refused => Rendered::Refused,
        Verdict::TooFew => Rendered::TooFew,
    };
    v1::GateComparison {
        stage: comparison.stage.clone(),
        baseline: comparison.baseline.clone(),
        metric: comparison.metric.clone(),
        difference: comparison.difference,
        low: comparison.low,
        high: comparison.high,
        case_count: count64(comparison.cases),
        verdict: verdict.into(),
    }
}
