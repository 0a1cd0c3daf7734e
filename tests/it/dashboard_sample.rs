//! A journey service that answers with a made-up journey, so that pages can be looked at whatever was counted. What it
//! answers depends on what is asked, as a true one would.

use nextbest::proto::v1;
use nextbest::proto::v1::get_kpis_request::Breakdown;
use nextbest::proto::v1::journey_service_server::JourneyService;
use nextbest::proto::v1::kpi::Unit;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What stands in every name of the hostile journey.
pub(crate) const HOSTILE: &str = "<script>alert(\"x\")</script>'&\u{1}";
/// 2026-11-22, the last day.
pub(crate) const LAST_DAY_S: i64 = 1_795_305_600;
const DAY_S: i64 = 86_400;
const STAGES: [&str; 6] = [
    "awareness",
    "consideration",
    "decision",
    "purchase",
    "retention",
    "advocacy",
];
const PERSONAS: [(&str, &str); 3] = [
    ("p1", "Tech enthusiasts"),
    ("p2", "Everyday consumers"),
    ("p3", "B2B clients"),
];

/// The made-up journey.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Whether every name is one that means harm.
    pub(crate) hostile: bool,
    /// Whether nothing has happened yet.
    pub(crate) empty: bool,
    /// Whether figures are what no figure should be: not finite, negative, as large as can be.
    pub(crate) absurd: bool,
}

/// What of the journey is looked at.
struct Look {
    start_s: i64,
    days: i64,
    /// What share of everybody it is about.
    share: f64,
    /// Whether it is about one touchpoint.
    is_one_place: bool,
    /// Whether days were asked for that are not kept.
    is_cut: bool,
}

impl Sample {
    fn name(self, name: &str) -> String {
        match self.hostile {
            true => format!("{HOSTILE}{name}"),
            false => name.to_owned(),
        }
    }

    fn look(selection: Option<&v1::JourneySelection>) -> Result<Look, Status> {
        let none = v1::JourneySelection::default();
        let selection = selection.unwrap_or(&none);
        let day = |time: Option<prost_types::Timestamp>| {
            time.map(|time| time.seconds.div_euclid(DAY_S) * DAY_S)
        };
        let last_s = day(selection.end_time).unwrap_or(LAST_DAY_S);
        let asked_s = day(selection.start_time).unwrap_or(last_s - 27 * DAY_S);
        let start_s = asked_s.max(LAST_DAY_S - 1_098 * DAY_S);
        let share = match selection.persona_id.as_str() {
            "" => 1.0,
            "p1" => 0.31,
            "p2" => 0.52,
            "p3" => 0.17,
            unknown => {
                let mut details = ErrorDetails::new();
                details.set_bad_request(vec![tonic_types::FieldViolation {
                    field: "selection.persona_id".to_owned(),
                    description: format!("there is no persona {unknown:?}"),
                    reason: "UNKNOWN_NAME".to_owned(),
                    localized_message: None,
                }]);
                details.set_error_info(
                    "INVALID_FIELDS",
                    "nextbest.dev",
                    std::collections::HashMap::new(),
                );
                let text = "the request is faulty";
                return Err(Status::with_error_details(
                    Code::InvalidArgument,
                    text,
                    details,
                ));
            }
        };
        let share = if selection.segment.is_empty() {
            share
        } else {
            share * 0.4
        };
        let share = if selection.touchpoint.is_empty() {
            share
        } else {
            share * 0.6
        };
        if last_s < start_s {
            return Err(Status::invalid_argument("end_time is before start_time"));
        }
        Ok(Look {
            start_s,
            days: (last_s - start_s) / DAY_S + 1,
            share,
            is_one_place: !selection.touchpoint.is_empty(),
            is_cut: start_s > asked_s,
        })
    }

    fn state(self, look: &Look) -> v1::CountState {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        v1::CountState {
            complete: !self.empty,
            progress: 0.4,
            newest_event_time: time(LAST_DAY_S + 50_000),
            start_time: time(look.start_s),
            end_time: time(look.start_s + look.days * DAY_S),
            grouped_time: None,
            earliest_time: time(LAST_DAY_S - 100 * DAY_S),
            first_kept_time: look.is_cut.then(|| time(look.start_s)).flatten(),
        }
    }

    fn absurdly(self, value: f64) -> f64 {
        if self.absurd { f64::NAN } else { value }
    }

    fn count(self, people: f64, look: &Look) -> i64 {
        match (self.empty, self.absurd) {
            (true, _) => 0,
            (_, true) => i64::MAX,
            _ => (people * look.share * look.days as f64 / 28.0).round() as i64,
        }
    }

    fn emotion(self, value: f64, answers: f64, look: &Look) -> Option<v1::Emotion> {
        (!self.empty).then(|| v1::Emotion {
            value: self.absurdly(value),
            low: self.absurdly(value - 0.12),
            high: value + 0.12,
            response_count: self.count(answers, look),
        })
    }

    fn touchpoint(
        self,
        name: &str,
        [passed, on, lost]: [f64; 3],
        look: &Look,
    ) -> v1::JourneyTouchpoint {
        v1::JourneyTouchpoint {
            touchpoint: self.name(name),
            home_stage: if name == "qr_code" {
                String::new()
            } else {
                "decision".to_owned()
            },
            event_count: self.count(passed * 2.4, look),
            stay_count: self.count(passed, look),
            moved_on_count: self.count(on, look),
            left_here_count: self.count(lost, look),
            sales: None,
            emotion: self.emotion(0.2, 20.0, look),
        }
    }

    fn stages(self, look: &Look) -> Vec<v1::JourneyStage> {
        // came, new, returned, moved on, back, lost, here
        let people: [[f64; 7]; 6] = [
            [2_600.0, 2_140.0, 210.0, 1_480.0, 0.0, 860.0, 260.0],
            [2_130.0, 330.0, 160.0, 1_050.0, 90.0, 720.0, 270.0],
            [1_190.0, 20.0, 40.0, 610.0, 150.0, 390.0, 40.0],
            [640.0, 0.0, 10.0, 520.0, 0.0, 20.0, 100.0],
            [780.0, 0.0, 60.0, 140.0, 260.0, 190.0, 190.0],
            [170.0, 0.0, 0.0, 0.0, 110.0, 12.0, 48.0],
        ];
        let moods = [
            Some(0.22),
            Some(0.10),
            Some(-0.34),
            Some(0.28),
            None,
            Some(0.66),
        ];
        let touchpoints: [&[(&str, [f64; 3])]; 6] = [
            &[
                ("search_ad", [1_100.0, 700.0, 380.0]),
                ("social_post", [640.0, 300.0, 290.0]),
                ("blog", [410.0, 260.0, 90.0]),
            ],
            &[
                ("product_page", [1_700.0, 900.0, 520.0]),
                ("newsletter", [330.0, 160.0, 80.0]),
                ("qr_code", [60.0, 20.0, 21.0]),
            ],
            &[
                ("cart", [900.0, 610.0, 120.0]),
                ("checkout", [1_020.0, 560.0, 312.0]),
                ("email", [210.0, 90.0, 40.0]),
            ],
            &[
                ("online_shop", [520.0, 430.0, 12.0]),
                ("store", [90.0, 70.0, 5.0]),
            ],
            &[
                ("order_update", [420.0, 90.0, 60.0]),
                ("support", [130.0, 20.0, 61.0]),
            ],
            &[
                ("review_request", [80.0, 0.0, 6.0]),
                ("referral", [44.0, 0.0, 1.0]),
            ],
        ];
        let stages = STAGES.iter().zip(people).zip(moods).zip(touchpoints);
        stages
            .map(|(((name, people), mood), touchpoints)| {
                let [entered, new, returned, on, back, left, here] =
                    people.map(|p| self.count(p, look));
                v1::JourneyStage {
                    stage: self.name(name),
                    aim: self.name("be found and understood"),
                    entered_count: entered,
                    new_count: new,
                    returned_count: returned,
                    moved_on_count: on,
                    moved_back_count: back,
                    left_count: left,
                    left_elsewhere_count: if look.is_one_place { left / 2 } else { 0 },
                    joined_count: 0,
                    here_count: here,
                    step_count: entered,
                    median_stay_seconds: Some(self.absurdly(93_000.0)),
                    horizon_seconds: 1_209_600.0,
                    sales: Some(v1::JourneySales {
                        order_count: on,
                        revenue: self.absurdly(on as f64 * 61.0),
                        margin: 0.0,
                        revenue_with_known_cost: 0.0,
                    }),
                    emotion: mood.and_then(|mood| self.emotion(mood, 80.0, look)),
                    touchpoints: touchpoints
                        .iter()
                        .map(|(name, people)| self.touchpoint(name, *people, look))
                        .collect(),
                }
            })
            .collect()
    }

    fn flows(self, look: &Look) -> Vec<v1::JourneyFlow> {
        let moves = [
            (0, 1, 1_330.0),
            (0, 2, 120.0),
            (0, 3, 30.0),
            (1, 2, 960.0),
            (1, 3, 90.0),
            (2, 3, 500.0),
            (2, 4, 60.0),
            (3, 4, 520.0),
            (4, 5, 140.0),
            (1, 0, 90.0),
            (2, 1, 150.0),
            (4, 1, 170.0),
            (4, 2, 90.0),
            (5, 4, 80.0),
            (5, 1, 30.0),
        ];
        let moves = moves.into_iter().map(|(from, to, people)| v1::JourneyFlow {
            from: self.name(STAGES[from]),
            to: self.name(STAGES[to]),
            count: self.count(people, look),
        });
        moves.filter(|flow| flow.count > 0).collect()
    }

    fn pain(
        self,
        id: &str,
        [stage, touchpoint, persona]: [&str; 3],
        [passed, lost, expected]: [f64; 3],
        look: &Look,
    ) -> v1::PainPoint {
        let (passed_count, lost_count) = (self.count(passed, look), self.count(lost, look));
        let share = lost / passed;
        let name = PERSONAS.iter().find(|p| p.0 == persona).map_or("", |p| p.1);
        let extra = (share - expected) * passed_count as f64;
        v1::PainPoint {
            pain_point_id: id.to_owned(),
            title: self.name(&format!("Lost at {touchpoint}")),
            stage: self.name(stage),
            touchpoint: self.name(touchpoint),
            persona_id: persona.to_owned(),
            persona_name: if name.is_empty() {
                String::new()
            } else {
                self.name(name)
            },
            // product pages are also told apart by category
            category: match touchpoint {
                "product_page" => self.name("Cameras"),
                _ => String::new(),
            },
            comparison: v1::pain_point::Comparison::Elsewhere.into(),
            passed_count,
            lost_count,
            lost_share: Some(v1::KpiValue {
                value: Some(self.absurdly(share)),
                low: Some(self.absurdly(share - 0.03)),
                high: Some(share + 0.03),
                sample_count: passed_count,
            }),
            expected_share: self.absurdly(expected),
            extra_lost_count: self.absurdly(extra),
            lost_revenue: self.absurdly(extra * 131.0),
            q_value: 0.002,
            evidence: self.name("more than before"),
            example_paths: vec![v1::PainPath {
                steps: [
                    "view_item@product_page",
                    "add_to_cart@cart",
                    "begin_checkout@checkout",
                ]
                .map(|step| self.name(step))
                .to_vec(),
            }],
            suggestions: vec![self.name("Show what delivery costs before the checkout.")],
        }
    }

    fn kpi(
        self,
        [name, title, definition]: [&str; 3],
        unit: Unit,
        [mean, wave]: [f64; 2],
        look: &Look,
        by: Breakdown,
    ) -> v1::Kpi {
        let scale = if unit == Unit::Money { look.share } else { 1.0 };
        let value = |at: f64, width: f64| {
            let middle = self.absurdly((mean + wave * at) * scale);
            let is_count = unit == Unit::Money;
            v1::KpiValue {
                value: (!self.empty).then_some(middle),
                low: (!self.empty && !is_count).then_some(middle - width),
                high: (!self.empty && !is_count).then_some(middle + width),
                sample_count: self.count(900.0, look),
            }
        };
        let days = (0..look.days).map(|i| v1::KpiDay {
            day: Some(prost_types::Timestamp {
                seconds: look.start_s + i * DAY_S,
                nanos: 0,
            }),
            // a day without a measurement
            value: Some(if i == 9 {
                v1::KpiValue::default()
            } else {
                value((i as f64 * 0.7).sin(), mean * 0.2)
            }),
        });
        let groups: Vec<(&str, &str)> = match by {
            Breakdown::Persona => PERSONAS.to_vec(),
            Breakdown::Stage => STAGES.map(|s| (s, s)).to_vec(),
            _ => Vec::new(),
        };
        v1::Kpi {
            name: name.to_owned(),
            title: self.name(title),
            definition: self.name(definition),
            place_definition: self.name("where the visit began"),
            unit: unit.into(),
            total: Some(value(0.3, mean * 0.04)),
            before: Some(value(-0.9, mean * 0.04)),
            days: days.collect(),
            groups: groups
                .into_iter()
                .enumerate()
                .map(|(i, (key, title))| v1::KpiGroup {
                    key: key.to_owned(),
                    title: self.name(title),
                    value: Some(value(i as f64 / 3.0, mean * 0.05)),
                })
                .collect(),
            more_is_better: name != "cart_abandonment_rate",
        }
    }
}

#[tonic::async_trait]
impl JourneyService for Sample {
    async fn get_journey_map(
        &self,
        request: Request<v1::GetJourneyMapRequest>,
    ) -> Result<Response<v1::JourneyMap>, Status> {
        let look = Self::look(request.get_ref().selection.as_ref())?;
        let between = |from: &str, to: &str, people| v1::JourneyFlow {
            from: self.name(from),
            to: to.to_owned(),
            count: self.count(people, &look),
        };
        Ok(Response::new(v1::JourneyMap {
            count_state: Some(self.state(&look)),
            stages: self.stages(&look),
            stage_flows: self.flows(&look),
            touchpoint_flows: vec![
                between("product_page", "cart", 810.0),
                between("checkout", "", 312.0),
            ],
            currency_code: "EUR".to_owned(),
            other_currency_order_count: 0,
            touchpoints: vec![self.name("checkout"), self.name("product_page")],
            segments: vec![self.name("regulars")],
        }))
    }

    async fn get_kpis(
        &self,
        request: Request<v1::GetKpisRequest>,
    ) -> Result<Response<v1::GetKpisResponse>, Status> {
        let request = request.into_inner();
        let look = Self::look(request.selection.as_ref())?;
        let by = request.breakdown();
        let kpis = [
            (
                [
                    "conversion_rate",
                    "Conversion",
                    "Visits with an order, of all visits.",
                ],
                Unit::Share,
                [0.034, 0.004],
            ),
            (
                [
                    "cart_abandonment_rate",
                    "Cart abandonment",
                    "Carts not bought within 3 days, of all carts.",
                ],
                Unit::Share,
                [0.66, 0.05],
            ),
            (
                [
                    "repeat_purchase_rate",
                    "Repeat purchases",
                    "Buyers who buy again within 90 days.",
                ],
                Unit::Share,
                [0.27, 0.002],
            ),
            (
                ["revenue", "Revenue", "What was paid."],
                Unit::Money,
                [2_700.0, 260.0],
            ),
            (
                [
                    "days_to_second_purchase",
                    "Time to second purchase",
                    "The median, in days.",
                ],
                Unit::Days,
                [31.0, 2.0],
            ),
            (
                ["nps", "NPS", "Promoters less detractors, from −100 to 100."],
                Unit::Score,
                [24.0, 9.0],
            ),
            (
                ["csat", "Satisfaction", "The mean of answers from 1 to 5."],
                Unit::Score,
                [4.1, 0.1],
            ),
        ];
        let kpis = kpis.map(|(texts, unit, shape)| self.kpi(texts, unit, shape, &look, by));
        Ok(Response::new(v1::GetKpisResponse {
            count_state: Some(self.state(&look)),
            kpis: kpis.into(),
            currency_code: "EUR".to_owned(),
        }))
    }

    async fn list_pain_points(
        &self,
        request: Request<v1::ListPainPointsRequest>,
    ) -> Result<Response<v1::ListPainPointsResponse>, Status> {
        let look = Self::look(request.get_ref().selection.as_ref())?;
        let mut pain_points = Vec::new();
        if !self.empty {
            pain_points.push(self.pain(
                "a",
                ["decision", "checkout", ""],
                [1_020.0, 312.0, 0.168],
                &look,
            ));
            pain_points.push(self.pain(
                "b",
                ["consideration", "product_page", "p2"],
                [880.0, 330.0, 0.29],
                &look,
            ));
            pain_points.push(self.pain(
                "c",
                ["decision", "cart", "p3"],
                [150.0, 60.0, 0.18],
                &look,
            ));
        }
        Ok(Response::new(v1::ListPainPointsResponse {
            count_state: Some(self.state(&look)),
            pain_points,
            compared_count: 148,
            currency_code: "EUR".to_owned(),
        }))
    }

    async fn list_personas(
        &self,
        _: Request<v1::ListPersonasRequest>,
    ) -> Result<Response<v1::ListPersonasResponse>, Status> {
        let look = Self::look(None)?;
        let shares = [0.31, 0.52, 0.17];
        let personas = PERSONAS
            .iter()
            .zip(shares)
            .map(|((id, name), share)| v1::Persona {
                persona_id: (*id).to_owned(),
                name: self.name(name),
                description: self.name(
                    "Buy more often than others, mostly phones, hardly ever with a discount.",
                ),
                customer_count: self.count(2_000.0 * share, &look),
                share: self.absurdly(share),
                traits: vec![v1::PersonaTrait {
                    feature: "share:Phones".to_owned(),
                    text: self.name("Share of phones"),
                    value: 0.41,
                    mean: 0.12,
                    deviation: 1.9,
                }],
                customers_by_stage: [(self.name("retention"), 120), (self.name("awareness"), 80)]
                    .into(),
            });
        Ok(Response::new(v1::ListPersonasResponse {
            personas: if self.empty {
                Vec::new()
            } else {
                personas.collect()
            },
            unassigned_count: 230,
            model_revision: "r".to_owned(),
            currency_code: "EUR".to_owned(),
            silhouette: self.absurdly(0.38),
        }))
    }
}
