//! A model as it is kept: parts, each learned and judged by itself. What goes live is made of the parts that passed
//! their gates, and of those of the live revision where the new ones did not.

use serde::{Deserialize, Serialize};

use super::{Aim, Scorer};
use crate::algorithms::features::NAMES;
use crate::application::next_stage::FittedJourney;
use crate::application::offer_effects::OfferEffects;
use crate::application::personas::Personas;
use crate::domain::{Fingerprint, Timestamp};
use crate::state::tuning::Tuning;

/// Grows with every change of the features or the format.
const FORMAT: u32 = 12;

/// A part of a model, by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    /// Ranks products.
    Ranking,
    /// Says what offers do.
    Offers,
    /// Says where people go next, and whether they buy, leave their cart, lapse.
    NextStage,
    /// Tells kinds of customers apart.
    Personas,
}

impl PartName {
    /// The name in the API and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ranking => "ranking",
            Self::Offers => "offers",
            Self::NextStage => "next_stage",
            Self::Personas => "personas",
        }
    }
}

/// What became of a part in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Learned by the run, and good enough.
    New,
    /// That of the revision that was live: the run's own was not good enough, or there is none.
    CarriedOver,
    /// The run's own was not good enough, and there was none to carry over; or the whole revision is refused, and this
    /// is what it would bring.
    Refused,
    /// There is none.
    Absent,
}

impl PartState {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::CarriedOver => "carried over",
            Self::Refused => "refused",
            Self::Absent => "absent",
        }
    }
}

/// What became of a part, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReport {
    /// Which.
    pub part: PartName,
    /// What became of it.
    pub state: PartState,
    /// Why the run's own is not in use; empty if it is.
    pub reason: String,
    /// The revision it was learned for, if it was carried over.
    pub from: Option<String>,
}

/// A part that is in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part<T> {
    /// What was fitted.
    pub fitted: T,
    /// The revision it was learned for; absent: the one it is in.
    pub origin: Option<String>,
    /// The seed of the run that learned it.
    pub seed: u64,
    /// The last moment of the history it learned from: it must not be judged on what came before.
    pub learned_until: Timestamp,
}

/// What a run made of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Made<T> {
    /// What was fitted, if anything was, whether or not it passed.
    pub fitted: Option<T>,
    /// Why it must not be used, or why there is none; empty: it may.
    pub refusal: String,
}

impl<T> Made<T> {
    /// True if it may be used.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.fitted.is_some() && self.refusal.is_empty()
    }
}

/// How products are ranked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedRanking {
    features: Vec<String>,
    /// What the sources are tuned by.
    pub tuning: Tuning,
    /// Ranks for [`Aim::Next`].
    pub next: Scorer,
    /// Ranks for [`Aim::Discover`]; absent where too little is known.
    pub discovery: Option<Scorer>,
}

impl FittedRanking {
    /// By the features of this program.
    #[must_use]
    pub fn new(tuning: Tuning, next: Scorer, discovery: Option<Scorer>) -> Self {
        Self {
            features: NAMES.iter().map(|&name| name.to_owned()).collect(),
            tuning,
            next,
            discovery,
        }
    }

    /// What scores for an aim.
    #[must_use]
    pub fn scorer(&self, aim: Aim) -> &Scorer {
        match (aim, &self.discovery) {
            (Aim::Discover, Some(discovery)) => discovery,
            _ => &self.next,
        }
    }
}

/// What answers. Holds no time of its making and no figures: the same journal, settings, seed and live revision give
/// the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    format: u32,
    /// The names of the stages it was fitted for, in order.
    pub stages: Vec<String>,
    /// How products are ranked; absent: by the blend of the recipes.
    pub ranking: Option<Part<FittedRanking>>,
    /// What offers do; absent where too little is known.
    pub offers: Option<Part<OfferEffects>>,
    /// Where people go next; absent where too little is known.
    pub next_stage: Option<Part<FittedJourney>>,
    /// The kinds of customers; absent where too little is known.
    pub personas: Option<Part<Personas>>,
}

/// Why bytes are not a model this program can use.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not the bytes of a model.
    #[error("not a model: {0}")]
    Bytes(#[from] postcard::Error),
    /// Made by another version, for other features or for another journey.
    #[error("the model was fitted for other {0}; train anew")]
    Other(&'static str),
}

impl Model {
    /// A model for `stages`, without any part.
    #[must_use]
    pub fn new(stages: Vec<String>) -> Self {
        Self {
            format: FORMAT,
            stages,
            ranking: None,
            offers: None,
            next_stage: None,
            personas: None,
        }
    }

    /// What scores for an aim; absent: the blend ranks.
    #[must_use]
    pub fn scorer(&self, aim: Aim) -> Option<&Scorer> {
        let ranking = self.ranking.as_ref();
        ranking.map(|part| part.fitted.scorer(aim))
    }

    /// What the sources are tuned by.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let ranking = self.ranking.as_ref();
        ranking.map_or_else(Tuning::default, |part| part.fitted.tuning)
    }

    /// The kinds of customers, if they are known.
    #[must_use]
    pub fn personas(&self) -> Option<&Personas> {
        self.personas.as_ref().map(|part| &part.fitted)
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a model holds nothing postcard cannot write")
    }

    /// The identity: a digest of the bytes.
    #[must_use]
    pub fn id(bytes: &[u8]) -> String {
        let digest = Fingerprint::of("model", &[bytes]).to_string();
        format!("m-{}", &digest[..16])
    }

    /// From the bytes that were kept, for a journey of `stages`.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn decode(bytes: &[u8], stages: &[String]) -> Result<Self, ModelError> {
        // what follows the number may be laid out in another way
        let (format, _) = postcard::take_from_bytes::<u32>(bytes)?;
        if format != FORMAT {
            return Err(ModelError::Other("features"));
        }
        let model: Self = postcard::from_bytes(bytes)?;
        let ranking = model.ranking.as_ref().map(|part| &part.fitted);
        let is_of_this = |ranking: &FittedRanking| {
            let features = ranking.features.iter().map(String::as_str);
            features.eq(NAMES.iter().copied())
        };
        let journey = model.next_stage.as_ref().map(|part| &part.fitted);
        let is_of_journey = |journey: &FittedJourney| journey.fits(model.stages.len());
        if !ranking.is_none_or(is_of_this) || !journey.is_none_or(is_of_journey) {
            return Err(ModelError::Other("features"));
        }
        if model.stages != stages {
            return Err(ModelError::Other("stages"));
        }
        Ok(model)
    }
}

/// Puts the parts of a revision together.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// The id of the live revision and its model.
    live: Option<(&'a str, &'a Model)>,
    seed: u64,
    learned_until: Timestamp,
    passes: bool,
    /// What became of the parts so far.
    pub reports: Vec<PartReport>,
}

impl<'a> Assembly<'a> {
    /// Beside a `live` revision; `passes` if any part of the run does: otherwise the revision is refused as a whole and
    /// holds what the run made.
    #[must_use]
    pub fn new(
        live: Option<(&'a str, &'a Model)>,
        seed: u64,
        learned_until: Timestamp,
        passes: bool,
    ) -> Self {
        Self {
            live,
            seed,
            learned_until,
            passes,
            reports: Vec::new(),
        }
    }

    /// Takes what the run made of a part, or else the live one, which `of` finds in the live model.
    pub fn take<T: Clone>(
        &mut self,
        part: PartName,
        made: Made<T>,
        of: impl Fn(&Model) -> Option<&Part<T>>,
    ) -> Option<Part<T>> {
        let is_good = made.passes();
        let Made { fitted, refusal } = made;
        let live = self
            .live
            .and_then(|(id, model)| of(model).map(|part| (id, part)));
        let own = |fitted| Part {
            fitted,
            origin: None,
            seed: self.seed,
            learned_until: self.learned_until,
        };
        let (state, from, taken) = match (fitted, live) {
            (Some(fitted), _) if is_good => (PartState::New, None, Some(own(fitted))),
            (Some(fitted), _) if !self.passes => (PartState::Refused, None, Some(own(fitted))),
            (_, Some((id, live))) => {
                let from = live.origin.clone().unwrap_or_else(|| id.to_owned());
                let taken = Part {
                    origin: Some(from.clone()),
                    ..live.clone()
                };
                (PartState::CarriedOver, Some(from), Some(taken))
            }
            (Some(_), None) => (PartState::Refused, None, None),
            (None, None) => (PartState::Absent, None, None),
        };
        self.reports.push(PartReport {
            part,
            state,
            reason: refusal,
            from,
        });
        taken
    }

    /// Why the revision must not go live; empty: it may.
    #[must_use]
    pub fn refusal(&self) -> String {
        if self.passes {
            return String::new();
        }
        let refused = self
            .reports
            .iter()
            .filter(|report| report.state == PartState::Refused);
        let reasons = refused.map(|report| format!("{}: {}", report.part.as_str(), report.reason));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(bias: f64) -> FittedRanking {
        let weights = serde_json::json!({"stages": [{"weights": [], "bias": bias}]});
        let scorer = Scorer {
            ranker: serde_json::from_value(weights).unwrap(),
            boosting: None,
            calibrations: Vec::new(),
        };
        FittedRanking::new(Tuning::default(), scorer, None)
    }

    fn made<T>(fitted: Option<T>, refusal: &str) -> Made<T> {
        Made {
            fitted,
            refusal: refusal.to_owned(),
        }
    }

    fn model(ranking: Option<Part<FittedRanking>>) -> Model {
        Model {
            ranking,
            ..Model::new(vec!["only".to_owned()])
        }
    }

    fn live_part(origin: Option<&str>) -> Part<FittedRanking> {
        Part {
            fitted: ranking(1.0),
            origin: origin.map(str::to_owned),
            seed: 3,
            learned_until: Timestamp::from_ms(5),
        }
    }

    fn assembled(
        live: Option<&Model>,
        passes: bool,
        made: Made<FittedRanking>,
    ) -> (Option<Part<FittedRanking>>, PartReport, String) {
        let live = live.map(|model| ("m-live", model));
        let mut assembly = Assembly::new(live, 7, Timestamp::from_ms(9), passes);
        let taken = assembly.take(PartName::Ranking, made, |model| model.ranking.as_ref());
        let refusal = assembly.refusal();
        (taken, assembly.reports.remove(0), refusal)
    }

    #[test]
    fn what_passes_is_taken() {
        let live = model(Some(live_part(None)));
        let (taken, report, refusal) = assembled(Some(&live), true, made(Some(ranking(2.0)), ""));
        let taken = taken.unwrap();
        assert_eq!(taken.fitted, ranking(2.0));
        assert_eq!(
            (taken.origin, taken.seed, taken.learned_until.ms()),
            (None, 7, 9)
        );
        assert_eq!(
            (report.state, report.reason.as_str(), report.from),
            (PartState::New, "", None)
        );
        assert_eq!(refusal, "");
    }

    #[test]
    fn what_does_not_pass_leaves_the_live_part_with_its_own_past() {
        for (origin, from) in [(None, "m-live"), (Some("m-first"), "m-first")] {
            let live = model(Some(live_part(origin)));
            for fitted in [Some(ranking(2.0)), None] {
                let (taken, report, refusal) =
                    assembled(Some(&live), true, made(fitted, "too bad"));
                let taken = taken.unwrap();
                assert_eq!(taken.fitted, ranking(1.0));
                assert_eq!((taken.seed, taken.learned_until.ms()), (3, 5));
                assert_eq!(taken.origin.as_deref(), Some(from));
                assert_eq!(report.state, PartState::CarriedOver);
                assert_eq!(report.from.as_deref(), Some(from));
                assert_eq!((report.reason.as_str(), refusal.as_str()), ("too bad", ""));
            }
        }
    }

    #[test]
    fn where_nothing_passes_the_refused_part_is_held_and_said() {
        let live = model(Some(live_part(None)));
        let (taken, report, refusal) =
            assembled(Some(&live), false, made(Some(ranking(2.0)), "too bad"));
        assert_eq!(taken.unwrap().fitted, ranking(2.0));
        assert_eq!(report.state, PartState::Refused);
        assert_eq!(refusal, "ranking: too bad");
        // without a fit of its own it holds the live one, so that force takes nothing away
        let (taken, report, _) = assembled(Some(&live), false, made(None, "too few"));
        assert_eq!(taken.unwrap().fitted, ranking(1.0));
        assert_eq!(report.state, PartState::CarriedOver);
    }

    #[test]
    fn without_a_live_part_a_refused_one_is_left_out_and_none_is_absent() {
        let live = model(None);
        for live in [None, Some(&live)] {
            let (taken, report, refusal) =
                assembled(live, true, made(Some(ranking(2.0)), "too bad"));
            assert_eq!((taken, report.state), (None, PartState::Refused));
            assert_eq!(refusal, "");
            let (taken, report, _) = assembled(live, true, made(None, "too few"));
            assert_eq!((taken, report.state), (None, PartState::Absent));
            assert_eq!(report.reason, "too few");
        }
    }

    #[test]
    fn bytes_are_read_again_and_those_of_another_format_are_told() {
        let stages = vec!["only".to_owned()];
        let kept = model(Some(live_part(Some("m-first"))));
        let bytes = kept.encode();
        assert_eq!(Model::decode(&bytes, &stages).unwrap(), kept);
        let other = Model::decode(&bytes, &["another".to_owned()]);
        assert!(matches!(other, Err(ModelError::Other("stages"))));
        // the format before had other fields behind its number
        let before = postcard::to_stdvec(&(6u32, vec!["features"])).unwrap();
        let before = Model::decode(&before, &stages);
        assert!(matches!(before, Err(ModelError::Other("features"))));
        assert!(matches!(
            Model::decode(&[], &stages),
            Err(ModelError::Bytes(_))
        ));
    }
}
