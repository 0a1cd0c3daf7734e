//! JourneyService: the map, the key figures, personas and pain points.

use tonic::{Request, Response, Status};

use crate::algorithms::pain_points::{Comparison, PainParams, Whom};
use crate::algorithms::personas::Trait;
use crate::application::AppError;
use crate::application::journey::figures::Figure;
use crate::application::journey::kpis::{Breakdown, Kpi, Unit};
use crate::application::journey::map::{Flow, JourneyMap, MapStage, MapTouchpoint, Sales};
use crate::application::journey::pains::PainPoint;
use crate::application::journey::{CountState, JourneyReports, Selection};
use crate::application::personas::PersonaReport;
use crate::domain::{FaultCode, Faults};
use crate::proto::v1;
use crate::proto::v1::journey_service_server::JourneyService;
use crate::state::journeys::table::midnight;
use crate::transport::grpc::field::{self, count64, render_time};
use crate::transport::grpc::work::blocking;

/// The pain points of an answer where nothing is said.
const DEFAULT_PAGE: usize = 20;
/// The most pain points of one answer.
const MAX_PAGE: usize = 100;
/// The largest share of false findings that can be asked for.
const MAX_FALSE_DISCOVERY: f64 = 0.5;

/// Answers JourneyService.
#[derive(Debug, Clone)]
pub struct JourneyApi {
    /// The use cases.
    journey: JourneyReports,
}

impl JourneyApi {
    /// Over the use cases.
    #[must_use]
    pub fn new(journey: JourneyReports) -> Self {
        Self { journey }
    }
}

#[tonic::async_trait]
impl JourneyService for JourneyApi {
    async fn get_journey_map(
        &self,
        request: Request<v1::GetJourneyMapRequest>,
    ) -> Result<Response<v1::JourneyMap>, Status> {
        let mut faults = Faults::new();
        let asked = selection(request.into_inner().selection, &mut faults);
        let journey = self.journey.clone();
        let map = blocking(move |_| checked(faults, &journey, &asked, JourneyReports::map)).await?;
        Ok(Response::new(render_map(map)))
    }

    async fn get_kpis(
        &self,
        request: Request<v1::GetKpisRequest>,
    ) -> Result<Response<v1::GetKpisResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let breakdown = breakdown(request.breakdown, &mut faults);
        let asked = selection(request.selection, &mut faults);
        let journey = self.journey.clone();
        let answer =
            blocking(move |_| checked(faults, &journey, &asked, |j, a| j.kpis(a, breakdown)));
        let answer = answer.await?;
        Ok(Response::new(v1::GetKpisResponse {
            count_state: Some(render_state(&answer.state)),
            kpis: answer.kpis.iter().map(render_kpi).collect(),
            currency_code: answer.currency,
        }))
    }

    async fn list_pain_points(
        &self,
        request: Request<v1::ListPainPointsRequest>,
    ) -> Result<Response<v1::ListPainPointsResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::new();
        let most = field::page_size(&mut faults, request.page_size, DEFAULT_PAGE, MAX_PAGE);
        let rate = request.false_discovery_rate;
        if !(0.0..=MAX_FALSE_DISCOVERY).contains(&rate) {
            let reason = format!("must be from 0 to {MAX_FALSE_DISCOVERY}");
            faults.add("false_discovery_rate", FaultCode::OutOfRange, reason);
        }
        // 0 on the wire: as usual
        let rate = if rate > 0.0 {
            rate
        } else {
            PainParams::default().false_discovery_rate
        };
        let asked = selection(request.selection, &mut faults);
        let journey = self.journey.clone();
        let found = blocking(move |_| {
            checked(faults, &journey, &asked, |j, a| {
                j.pain_points(a, rate, most)
            })
        });
        let found = found.await?;
        Ok(Response::new(v1::ListPainPointsResponse {
            count_state: Some(render_state(&found.state)),
            compared_count: count64(found.compared as u64),
            currency_code: found.currency,
            pain_points: found.points.into_iter().map(render_pain).collect(),
        }))
    }

    async fn list_personas(
        &self,
        _: Request<v1::ListPersonasRequest>,
    ) -> Result<Response<v1::ListPersonasResponse>, Status> {
        let journey = self.journey.clone();
        let report = blocking(move |_| Ok(journey.personas())).await?;
        Ok(Response::new(report.map_or_else(
            v1::ListPersonasResponse::default,
            |report| render_personas(&report, &self.journey),
        )))
    }
}

fn render_pain(pain: PainPoint) -> v1::PainPoint {
    use v1::pain_point::Comparison as Wire;
    let finding = &pain.finding;
    let (low, high) = finding.window.interval();
    let persona_id = match &finding.whom {
        Whom::Persona(id) => id.clone(),
        Whom::Everybody | Whom::Unassigned => String::new(),
    };
    let comparison = match finding.comparison {
        Comparison::Before => Wire::Before,
        Comparison::Elsewhere => Wire::Elsewhere,
    };
    v1::PainPoint {
        pain_point_id: finding.id.clone(),
        title: finding.title(&pain.persona_name),
        stage: finding.stage.clone(),
        touchpoint: finding.touchpoint.clone(),
        persona_id,
        persona_name: pain.persona_name.clone(),
        category: finding.category.clone(),
        comparison: comparison.into(),
        passed_count: count64(finding.window.passed),
        lost_count: count64(finding.window.lost),
        lost_share: Some(v1::KpiValue {
            value: Some(finding.window.share()),
            low: Some(low),
            high: Some(high),
            sample_count: count64(finding.window.passed),
        }),
        expected_share: finding.expected_share,
        extra_lost_count: finding.extra_lost,
        lost_revenue: finding.lost_value,
        q_value: finding.q_value,
        evidence: finding.evidence(),
        example_paths: pain
            .paths
            .into_iter()
            .map(|steps| v1::PainPath { steps })
            .collect(),
        suggestions: pain.suggestions,
    }
}

fn render_trait(own: &Trait, journey: &JourneyReports) -> v1::PersonaTrait {
    v1::PersonaTrait {
        feature: own.feature.clone(),
        text: journey.spoken(&own.text),
        value: own.value,
        mean: own.mean,
        deviation: own.deviation,
    }
}

fn render_personas(report: &PersonaReport, journey: &JourneyReports) -> v1::ListPersonasResponse {
    let told: u64 = report.personas.iter().map(|count| count.customers).sum();
    let all = report.revision.personas.fitted().personas();
    let personas = report.personas.iter().filter_map(|count| {
        let persona = all.get(count.place)?;
        let by_stage = count.by_stage.iter();
        Some(v1::Persona {
            persona_id: persona.id.clone(),
            name: journey.spoken(&persona.name),
            description: journey.spoken(&persona.description),
            customer_count: count64(count.customers),
            share: count.customers as f64 / told.max(1) as f64,
            traits: persona
                .traits
                .iter()
                .map(|own| render_trait(own, journey))
                .collect(),
            customers_by_stage: by_stage
                .map(|(stage, &count)| (stage.clone(), count64(count)))
                .collect(),
        })
    });
    v1::ListPersonasResponse {
        personas: personas.collect(),
        unassigned_count: count64(report.unassigned),
        model_revision: report.revision.id.clone(),
        silhouette: report.revision.personas.silhouette,
        currency_code: journey.currency(),
    }
}

/// Asks, and tells the faults of the fields together with those of the names.
fn checked<T>(
    mut faults: Faults,
    journey: &JourneyReports,
    asked: &Selection,
    ask: impl FnOnce(&JourneyReports, &Selection) -> Result<T, AppError>,
) -> Result<T, AppError> {
    if faults.is_empty() {
        return ask(journey, asked);
    }
    if let Err(AppError::Invalid(more)) = journey.counted(asked) {
        for fault in more.as_slice() {
            faults.add(fault.field.clone(), fault.code, fault.reason.clone());
        }
    }
    Err(faults.into())
}

fn selection(wire: Option<v1::JourneySelection>, faults: &mut Faults) -> Selection {
    let wire = wire.unwrap_or_default();
    let mut time = |name: &str, value: Option<prost_types::Timestamp>| {
        faults.take(
            &format!("selection.{name}"),
            value.as_ref().map(field::time).transpose(),
        )
    };
    let start = time("start_time", wire.start_time).flatten();
    let end = time("end_time", wire.end_time).flatten();
    Selection {
        start,
        end,
        persona: wire.persona_id,
        segment: wire.segment,
        touchpoint: wire.touchpoint,
    }
}

fn breakdown(wire: i32, faults: &mut Faults) -> Option<Breakdown> {
    use v1::get_kpis_request::Breakdown as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Unspecified) => None,
        Ok(Wire::Persona) => Some(Breakdown::Persona),
        Ok(Wire::Segment) => Some(Breakdown::Segment),
        Ok(Wire::Touchpoint) => Some(Breakdown::Touchpoint),
        Ok(Wire::Stage) => Some(Breakdown::Stage),
        Err(_) => {
            let reason = "not a breakdown of this API";
            faults.add("breakdown", FaultCode::UnknownName, reason);
            None
        }
    }
}

pub(super) fn render_state(state: &CountState) -> v1::CountState {
    v1::CountState {
        complete: state.complete,
        progress: state.progress,
        newest_event_time: state.newest.map(render_time),
        start_time: Some(render_time(state.start)),
        end_time: Some(render_time(state.end)),
        grouped_time: Some(render_time(state.grouped)),
        earliest_time: state.earliest.map(render_time),
        first_kept_time: state.first_kept.map(render_time),
    }
}

fn render_map(map: JourneyMap) -> v1::JourneyMap {
    v1::JourneyMap {
        count_state: Some(render_state(&map.state)),
        stages: map.stages.into_iter().map(render_stage).collect(),
        stage_flows: map.stage_flows.into_iter().map(render_flow).collect(),
        touchpoint_flows: map.touchpoint_flows.into_iter().map(render_flow).collect(),
        currency_code: map.currency,
        other_currency_order_count: map.other_currency_orders,
        touchpoints: map.touchpoints,
        segments: map.segments,
    }
}

fn render_stage(stage: MapStage) -> v1::JourneyStage {
    v1::JourneyStage {
        stage: stage.name,
        aim: stage.aim,
        entered_count: stage.entered,
        new_count: stage.new,
        returned_count: stage.returned,
        moved_on_count: stage.moved_on,
        moved_back_count: stage.moved_back,
        left_count: stage.left,
        left_elsewhere_count: stage.left_elsewhere,
        joined_count: stage.joined,
        here_count: stage.here,
        step_count: stage.steps,
        median_stay_seconds: stage.median_stay_seconds,
        horizon_seconds: stage.horizon_ms as f64 / 1e3,
        sales: Some(render_sales(stage.sales)),
        emotion: render_emotion(&stage.emotion),
        touchpoints: stage
            .touchpoints
            .into_iter()
            .map(render_touchpoint)
            .collect(),
    }
}

fn render_touchpoint(touchpoint: MapTouchpoint) -> v1::JourneyTouchpoint {
    v1::JourneyTouchpoint {
        touchpoint: touchpoint.name,
        home_stage: touchpoint.home,
        event_count: touchpoint.events,
        stay_count: touchpoint.stays,
        moved_on_count: touchpoint.moved_on,
        left_here_count: touchpoint.left_here,
        sales: Some(render_sales(touchpoint.sales)),
        emotion: render_emotion(&touchpoint.emotion),
    }
}

fn render_sales(sales: Sales) -> v1::JourneySales {
    v1::JourneySales {
        order_count: sales.orders,
        revenue: sales.revenue,
        margin: sales.margin,
        revenue_with_known_cost: sales.costed,
    }
}

fn render_emotion(figure: &Figure) -> Option<v1::Emotion> {
    let value = figure.value?;
    let (low, high) = figure.interval.unwrap_or((value, value));
    Some(v1::Emotion {
        value,
        low,
        high,
        response_count: figure.samples,
    })
}

fn render_flow(flow: Flow) -> v1::JourneyFlow {
    v1::JourneyFlow {
        from: flow.from,
        to: flow.to,
        count: flow.count,
    }
}

fn render_kpi(kpi: &Kpi) -> v1::Kpi {
    use v1::kpi::Unit as Wire;
    let unit = match kpi.unit {
        Unit::Share => Wire::Share,
        Unit::Money => Wire::Money,
        Unit::Count => Wire::Count,
        Unit::Days => Wire::Days,
        Unit::Score => Wire::Score,
    };
    let days = kpi.days.iter().map(|(day, figure)| v1::KpiDay {
        day: Some(render_time(midnight(*day))),
        value: Some(render_figure(figure)),
    });
    let groups = kpi.groups.iter().map(|group| v1::KpiGroup {
        key: group.key.clone(),
        title: group.title.clone(),
        value: Some(render_figure(&group.figure)),
    });
    v1::Kpi {
        name: kpi.name.to_owned(),
        title: kpi.title.to_owned(),
        definition: kpi.definition.to_owned(),
        place_definition: kpi.place.to_owned(),
        unit: unit.into(),
        total: Some(render_figure(&kpi.total)),
        before: Some(render_figure(&kpi.before)),
        days: days.collect(),
        groups: groups.collect(),
        more_is_better: kpi.more_is_better,
    }
}

fn render_figure(figure: &Figure) -> v1::KpiValue {
    v1::KpiValue {
        value: figure.value,
        low: figure.interval.map(|(low, _)| low),
        high: figure.interval.map(|(_, high)| high),
        sample_count: figure.samples,
    }
}
