//! Where people go next, learned from the past: at regular dates everybody who is known, and after steps in the middle
//! of visits. Persons who judge do not teach, and what judges is the last third of what can be asked, stage by stage:
//! the end of a history says of nobody yet what they do within a horizon that is not over.

use serde::{Deserialize, Serialize};

use super::questions::{Moment, in_visits, sample};
use super::{Lesson, Progress, TrainError, TrainSettings, person};
use crate::algorithms::bootstrap::{self, Interval};
use crate::algorithms::calibration::expected_error;
use crate::algorithms::draw::mix;
use crate::algorithms::metrics::auc;
use crate::algorithms::next_stage::{FittedNextStage, FittedPropensity, Markov, StageRow, judged};
use crate::application::history::Ahead;
use crate::application::model::{Made, Part};
use crate::application::next_stage::{CART_MS, FittedJourney, lapse_ms};
use crate::domain::journey::Step;
use crate::domain::places::DEFAULT_HORIZON_MS;
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, Timestamp};
use crate::state::State;
use crate::state::journeyer::{self, FEATURES};
use crate::state::view::View;

/// The days between regular dates, at least; and the most of them.
const DATE_DAYS: f64 = 7.0;
const MAX_DATES: i64 = 24;
/// Nothing is asked before this share of the history.
const WARM_UP: f64 = 0.15;
/// Of the persons, one in so many judges.
const JUDGING_PERSONS: u64 = 3;
/// With fewer moments to learn from, or to judge by, nothing is learned.
const MIN_TAUGHT: usize = 500;
const MIN_JUDGED: usize = 100;

/// What was learned, against something simpler: the mean of the differences on the moments that judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageComparison {
    /// `markov`, `stays` or `live`.
    pub method: String,
    /// `log_loss` or `top_1`.
    pub metric: String,
    /// Its figure.
    pub figure: f64,
    /// By how much what was learned is better.
    pub difference: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// On so many moments.
    pub cases: u64,
}

/// How well a chance is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropensityFigures {
    /// `buy`, `abandon_cart` or `lapse`.
    pub name: String,
    /// On so many moments that judge.
    pub cases: u64,
    /// The share of them at which it came.
    pub share: f64,
    /// The area under the ROC curve; absent where it always came, or never.
    pub auc: Option<f64>,
    /// Mean log-loss.
    pub log_loss: f64,
    /// The log-loss of the share among those that taught.
    pub base_log_loss: f64,
    /// Expected calibration error.
    pub calibration_error: f64,
    /// True if it is told: it is better than the share.
    pub used: bool,
}

/// How learning where people go next went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JourneyFigures {
    /// Moments that taught before it was judged.
    pub taught: u64,
    /// Moments that judged.
    pub judged: u64,
    /// Mean log-loss.
    pub log_loss: f64,
    /// How often the likeliest stage came.
    pub top_1: f64,
    /// Expected calibration error, over the probabilities of all stages.
    pub calibration_error: f64,
    /// Against something simpler, and the live revision.
    pub comparisons: Vec<StageComparison>,
    /// The chances.
    pub propensities: Vec<PropensityFigures>,
}

/// One moment with what came of it.
struct Asked {
    time: Timestamp,
    row: StageRow,
    /// Whether they bought, left their cart, lapsed; absent where that is no question.
    came: [Option<bool>; 3],
}

const PROPENSITIES: [&str; 3] = ["buy", "abandon_cart", "lapse"];

/// What a run learned of journeys.
pub(super) struct LearnedJourney {
    pub(super) made: Made<FittedJourney>,
    pub(super) figures: JourneyFigures,
}

/// Replays the history, fits, judges, and says what came of it.
pub(super) fn learn(
    lesson: Lesson<'_>,
    ahead: &Ahead<'_>,
    settings: &TrainSettings,
    live: Option<&Part<FittedJourney>>,
    progress: &mut dyn Progress,
) -> Result<LearnedJourney, TrainError> {
    let stages = lesson.fold.journey.stages.len();
    let crossed: Vec<u16> = (0u16..)
        .zip(&FEATURES)
        .filter_map(|(place, feature)| feature.crossed.then_some(place))
        .collect();
    let seed = settings.seed;
    let asked = ask(lesson, ahead, settings, progress)?;
    let mut keep_on = || !progress.is_cancelled();
    let (taught, judging) = split(&asked, stages, seed);
    let mut figures = JourneyFigures {
        taught: taught.len() as u64,
        judged: judging.len() as u64,
        ..JourneyFigures::default()
    };
    let none = |reason: String, figures| {
        Ok(LearnedJourney {
            made: Made {
                fitted: None,
                refusal: reason,
            },
            figures,
        })
    };
    if settings.max_moments == 0 {
        return none(
            "it is not asked for (training.max_moments)".to_owned(),
            figures,
        );
    }
    if taught.len() < MIN_TAUGHT || judging.len() < MIN_JUDGED {
        let reason = format!(
            "{} moments to learn from and {} to judge by; {MIN_TAUGHT} and {MIN_JUDGED} are needed",
            taught.len(),
            judging.len()
        );
        return none(reason, figures);
    }
    let mut fit = |of: &[&Asked]| -> Result<Option<FittedJourney>, TrainError> {
        let rows: Vec<&StageRow> = of.iter().map(|asked| &asked.row).collect();
        let next = FittedNextStage::fit(&rows, stages, &crossed, seed, &mut keep_on);
        let mut propensities = [None, None, None];
        for (number, propensity) in propensities.iter_mut().enumerate() {
            let rows: Vec<(&StageRow, bool)> = of
                .iter()
                .filter_map(|asked| Some((&asked.row, asked.came[number]?)))
                .collect();
            *propensity = FittedPropensity::fit(&rows, stages, &crossed, seed, &mut keep_on);
        }
        if !keep_on() {
            return Err(TrainError::Cancelled);
        }
        Ok(next.map(|next| FittedJourney::new(next, propensities)))
    };
    let Some(first) = fit(&taught)? else {
        return none("everybody goes to the same stage".to_owned(), figures);
    };
    let refusals = judge(&first, &taught, &judging, stages, live, seed, &mut figures);
    let all: Vec<&Asked> = asked.iter().collect();
    let Some(mut fitted) = fit(&all)? else {
        return none("everybody goes to the same stage".to_owned(), figures);
    };
    let is_used = |number: usize| figures.propensities[number].used;
    let propensities = [&mut fitted.buy, &mut fitted.abandon_cart, &mut fitted.lapse];
    for (number, propensity) in propensities.into_iter().enumerate() {
        if !is_used(number) {
            *propensity = None;
        }
    }
    Ok(LearnedJourney {
        made: Made {
            fitted: Some(fitted),
            refusal: refusals.join("; "),
        },
        figures,
    })
}

/// The moments to ask about, in the order of time.
fn moments(lesson: Lesson<'_>, ahead: &Ahead<'_>, settings: &TrainSettings) -> Vec<Moment> {
    let (most, seed) = (settings.max_moments / 2, settings.seed);
    let Some((first, last)) = lesson.history.span() else {
        return Vec::new();
    };
    let span_days = last.days_since(first);
    let earliest = first.plus_ms((span_days * WARM_UP * DAY_MS as f64) as i64);
    let between = ((last.ms() - earliest.ms()) / MAX_DATES).max((DATE_DAYS * DAY_MS as f64) as i64);
    let mut regular = Vec::new();
    for number in 0..=MAX_DATES {
        let time = earliest.plus_ms(number * between);
        if time >= last {
            break;
        }
        let place = lesson.history.until(time).len();
        let known = (0..ahead.persons()).filter(|&p| ahead.last_before(p, place).is_some());
        regular.extend(known.map(|person| Moment {
            place,
            time,
            person,
        }));
    }
    let mut moments = sample(regular, most, seed ^ 4);
    moments.extend(in_visits(lesson.history, ahead, earliest, most, seed ^ 5));
    moments.sort_by_key(|moment| (moment.place, moment.time, moment.person));
    moments
}

/// Replays the history and asks at each moment, with what came of it; only where that is known.
fn ask(
    lesson: Lesson<'_>,
    ahead: &Ahead<'_>,
    settings: &TrainSettings,
    progress: &mut dyn Progress,
) -> Result<Vec<Asked>, TrainError> {
    let Lesson { history, fold, .. } = lesson;
    let Some((_, last)) = history.span().filter(|_| settings.max_moments > 0) else {
        return Ok(Vec::new());
    };
    let mut state = State::new(fold.clone());
    history.known.iter().for_each(|record| state.apply(record));
    let mut asked = Vec::new();
    let mut folded = 0;
    for (number, moment) in moments(lesson, ahead, settings).iter().enumerate() {
        if number.is_multiple_of(64) && progress.is_cancelled() {
            return Err(TrainError::Cancelled);
        }
        history.moments[folded..moment.place]
            .iter()
            .for_each(|record| state.apply(record));
        folded = moment.place;
        let Some(person) = person(&state, ahead, moment) else {
            continue;
        };
        let view = View::new(&state, state.subject(person), &[], moment.time);
        asked.extend(question(&view, lesson.horizons_ms, ahead, moment, last));
    }
    Ok(asked)
}

/// What is known of somebody at a moment, and what they did within the horizon; nothing if that is not over by `last`.
fn question(
    view: &View<'_>,
    horizons_ms: &[i64],
    ahead: &Ahead<'_>,
    moment: &Moment,
    last: Timestamp,
) -> Option<Asked> {
    let (journey, now) = (view.state.journey(), moment.time);
    let standing = journey.standing(&view.steps, now);
    let horizon = horizons_ms.get(usize::from(standing.stage.0));
    let end = now.plus_ms(horizon.copied().unwrap_or(DEFAULT_HORIZON_MS));
    if end > last {
        return None;
    }
    let mut steps = view.steps.clone();
    let mut next = standing.stage;
    let mut bought = None;
    let lapse = journeyer::usual_gap_days(view).map(|gap| now.plus_ms(lapse_ms(gap)));
    let cart = journeyer::has_cart(view, CART_MS).then(|| now.plus_ms(CART_MS));
    let ends = [Some(end), lapse, cart];
    let latest = ends.into_iter().flatten().max().unwrap_or(end);
    for event in ahead.events_of(moment.person, moment.place) {
        let is_decided = next != standing.stage && bought.is_some();
        if event.time > latest || is_decided {
            break;
        }
        if event.kind == EventKind::Purchase {
            bought = bought.or(Some(event.time));
        }
        if event.time <= end && next == standing.stage {
            steps.push(Step {
                time: event.time,
                kind: event.kind,
                product: None,
                rating: event.rating.map(|rating| rating as f32),
            });
            next = journey.stage_at(&steps, event.time);
        }
    }
    let is_bought_by = |end: Timestamp| bought.is_some_and(|bought| bought <= end);
    // what is not over yet is not known
    let over = |end: &Timestamp| *end <= last;
    Some(Asked {
        time: now,
        row: StageRow {
            x: journeyer::features(view, &standing).to_vec(),
            stage: standing.stage.0,
            next: next.0,
            person: moment.person,
        },
        came: [
            Some(is_bought_by(end)),
            cart.filter(over).map(|end| !is_bought_by(end)),
            lapse.filter(over).map(|end| !is_bought_by(end)),
        ],
    })
}

/// Those that teach before it is judged, and those that judge.
fn split(asked: &[Asked], stages: usize, seed: u64) -> (Vec<&Asked>, Vec<&Asked>) {
    let (mut taught, mut judging) = (Vec::new(), Vec::new());
    for stage in 0..stages {
        let of_stage: Vec<&Asked> = asked
            .iter()
            .filter(|asked| usize::from(asked.row.stage) == stage)
            .collect();
        let (Some(first), Some(last)) = (of_stage.first(), of_stage.last()) else {
            continue;
        };
        let cut = first.time.ms() + (last.time.ms() - first.time.ms()) / 3 * 2;
        for asked in of_stage {
            let drawn = mix(seed ^ 6, u64::from(asked.row.person));
            let is_judge = drawn.is_multiple_of(JUDGING_PERSONS);
            match (asked.time.ms() >= cut, is_judge) {
                (true, true) => judging.push(asked),
                (false, false) => taught.push(asked),
                // nobody teaches and judges, and what teaches is the past of what judges
                _ => {}
            }
        }
    }
    (taught, judging)
}

/// Judges the first fit; why it must not be used.
fn judge(
    first: &FittedJourney,
    taught: &[&Asked],
    judging: &[&Asked],
    stages: usize,
    live: Option<&Part<FittedJourney>>,
    seed: u64,
    figures: &mut JourneyFigures,
) -> Vec<String> {
    let rows: Vec<&StageRow> = taught.iter().map(|asked| &asked.row).collect();
    let markov = Markov::of(&rows, stages);
    let chain = |row: &StageRow| markov.probabilities(row.stage);
    // where it says nothing it is as the chain
    let said_by = |fitted: &FittedJourney, row: &StageRow| {
        let said = fitted.next.probabilities(&row.x, row.stage);
        said.unwrap_or_else(|| chain(row))
    };
    let ours = |row: &StageRow| said_by(first, row);
    let (mut said, mut came) = (Vec::new(), Vec::new());
    let (mut losses, mut right) = (0.0, 0.0);
    for asked in judging {
        let probabilities = ours(&asked.row);
        let (loss, is_right) = judged(&probabilities, asked.row.next);
        losses += loss;
        right += f64::from(is_right);
        came.extend((0..stages).map(|stage| usize::from(asked.row.next) == stage));
        said.extend(probabilities);
    }
    let count = judging.len() as f64;
    figures.log_loss = losses / count;
    figures.top_1 = right / count;
    figures.calibration_error = expected_error(&said, &came);
    let later: Vec<&Asked> = live.map_or_else(Vec::new, |live| {
        let is_new = |asked: &&&Asked| asked.time > live.learned_until;
        judging.iter().filter(is_new).copied().collect()
    });
    let mut refusals = Vec::new();
    let stays = |row: &StageRow| markov.stays(row.stage);
    let live = |row: &StageRow| live.map_or_else(|| chain(row), |live| said_by(&live.fitted, row));
    type Says<'a> = &'a dyn Fn(&StageRow) -> Vec<f64>;
    let others: [(&str, &[&Asked], Says<'_>); 3] = [
        ("markov", judging, &chain),
        ("stays", judging, &stays),
        ("live", &later, &live),
    ];
    for (method, asked, other) in others {
        if asked.is_empty() {
            continue;
        }
        let persons: Vec<u32> = asked.iter().map(|asked| asked.row.person).collect();
        let (mut series, mut sums) = ([Vec::new(), Vec::new()], [0.0; 2]);
        for Asked { row, .. } in asked {
            let (own_loss, own_right) = judged(&ours(row), row.next);
            let (loss, right) = judged(&other(row), row.next);
            series[0].push(loss - own_loss);
            series[1].push(f64::from(own_right) - f64::from(right));
            sums[0] += loss;
            sums[1] += f64::from(right);
        }
        let intervals = bootstrap::intervals(&persons, &series, seed);
        for ((metric, sum), interval) in ["log_loss", "top_1"].iter().zip(sums).zip(intervals) {
            let Interval { mean, low, high } = interval;
            let is_refused = match method {
                "live" => high < 0.0,
                _ => mean <= 0.0,
            };
            if is_refused {
                refusals.push(format!(
                    "{metric} is no better than that of {method}: {mean:+.4} ({low:+.4} to {high:+.4}, {} moments)",
                    asked.len()
                ));
            }
            figures.comparisons.push(StageComparison {
                method: method.to_owned(),
                metric: (*metric).to_owned(),
                figure: sum / asked.len() as f64,
                difference: mean,
                low,
                high,
                cases: asked.len() as u64,
            });
        }
    }
    let fitted = [&first.buy, &first.abandon_cart, &first.lapse];
    for (number, (name, fitted)) in PROPENSITIES.iter().zip(fitted).enumerate() {
        let propensity = propensity(name, fitted.as_ref(), number, taught, judging);
        figures.propensities.push(propensity);
    }
    refusals
}

/// How well a chance is known.
fn propensity(
    name: &str,
    fitted: Option<&FittedPropensity>,
    number: usize,
    taught: &[&Asked],
    judging: &[&Asked],
) -> PropensityFigures {
    let known = taught.iter().filter_map(|asked| asked.came[number]);
    let (all, came) = known.fold((0.0, 0.0), |(all, sum), came| {
        (all + 1.0, sum + f64::from(came))
    });
    let base = (came + 1.0) / (all + 2.0);
    let asked: Vec<(&StageRow, bool)> = judging
        .iter()
        .filter_map(|asked| Some((&asked.row, asked.came[number]?)))
        .collect();
    let say = |row: &StageRow| fitted.map_or(base, |fitted| fitted.probability(&row.x, row.stage));
    let said: Vec<f64> = asked.iter().map(|(row, _)| say(row)).collect();
    let came: Vec<bool> = asked.iter().map(|(_, came)| *came).collect();
    let loss = |said: f64, came: bool| -if came { said.ln() } else { (1.0 - said).ln() };
    // an empty sum is -0.0
    let mean = |sum: f64| (sum + 0.0) / asked.len().max(1) as f64;
    let pairs = || said.iter().copied().zip(came.iter().copied());
    let log_loss = mean(pairs().map(|(said, came)| loss(said, came)).sum());
    let base_log_loss = mean(came.iter().map(|&came| loss(base, came)).sum());
    PropensityFigures {
        name: name.to_owned(),
        cases: asked.len() as u64,
        share: mean(came.iter().map(|&came| f64::from(came)).sum()),
        auc: auc(pairs().collect()),
        log_loss,
        base_log_loss,
        calibration_error: expected_error(&said, &came),
        used: fitted.is_some() && asked.len() >= MIN_JUDGED && log_loss < base_log_loss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::history::History;
    use crate::application::recipes::Recipes;
    use crate::domain::time::HOUR_MS;
    use crate::domain::{EventDraft, Record, RecordBody};
    use crate::state::FoldSettings;

    const CONSIDERATION: u8 = 1;
    const DECISION: u8 = 2;
    const PURCHASE: u8 = 3;
    const RETENTION: u8 = 4;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_ms(1_700_000_000_000 + hours * HOUR_MS)
    }

    /// A history of one customer: hours and kinds of events.
    fn history(events: &[(i64, &str)]) -> History {
        let records = events.iter().map(|&(hours, kind)| {
            let draft = EventDraft {
                event_type: kind,
                time: Some(Ok(at(hours))),
                customer_id: "c1",
                product_id: "p1",
                ..EventDraft::default()
            };
            Record {
                recorded_at: at(hours),
                body: RecordBody::Event(Box::new(draft.check(at(100_000), |_| 0).unwrap())),
            }
        });
        History::of(records)
    }

    /// Asks after the first `place` events, `hours` after the start, of a history that is known until `last`.
    fn asked(events: &[(i64, &str)], place: usize, hours: i64, last: i64) -> Option<Asked> {
        let history = history(events);
        let ahead = Ahead::of(&history.moments);
        let mut state = State::new(FoldSettings {
            journey: Recipes::embedded().unwrap().journey,
            visitor_idle_days: 30,
        });
        history.moments[..place]
            .iter()
            .for_each(|record| state.apply(record));
        let moment = Moment {
            place,
            time: at(hours),
            person: 0,
        };
        let person = person(&state, &ahead, &moment).unwrap();
        let view = View::new(&state, state.subject(person), &[], moment.time);
        let horizons = Recipes::embedded().unwrap().places.horizons_ms;
        question(&view, &horizons, &ahead, &moment, at(last))
    }

    fn check(asked: &Asked, stages: (u8, u8), came: [Option<bool>; 3]) {
        assert_eq!((asked.row.stage, asked.row.next), stages);
        assert_eq!(asked.came, came);
        assert!(asked.row.x.iter().all(|number| number.is_finite()));
    }

    #[test]
    fn the_first_other_stage_within_the_horizon_is_what_came() {
        let events = [
            (0, "view_item"),
            (1, "view_item"),
            (30, "add_to_cart"),
            (40, "purchase"),
        ];
        // looking again is no other stage, the cart is
        let looked = asked(&events, 1, 0, 24 * 60).unwrap();
        check(&looked, (CONSIDERATION, DECISION), [Some(true), None, None]);
        let carted = asked(&events, 3, 31, 24 * 60).unwrap();
        check(
            &carted,
            (DECISION, PURCHASE),
            [Some(true), Some(false), None],
        );
        // just bought, and never seen again: time alone brings nobody anywhere
        let bought = asked(&events, 4, 41, 24 * 60).unwrap();
        check(&bought, (PURCHASE, PURCHASE), [Some(false), None, None]);
        // nobody knows yet what they do within thirty days
        assert!(asked(&events, 4, 41, 24 * 20).is_none());
    }

    #[test]
    fn what_comes_after_the_horizon_does_not_count() {
        let events = [(0, "add_to_cart"), (3 * 24 + 1, "purchase")];
        let late = asked(&events, 1, 0, 24 * 60).unwrap();
        check(&late, (DECISION, DECISION), [Some(false), Some(true), None]);
        let events = [(0, "add_to_cart"), (3 * 24, "purchase")];
        let early = asked(&events, 1, 0, 24 * 60).unwrap();
        check(
            &early,
            (DECISION, PURCHASE),
            [Some(true), Some(false), None],
        );
    }

    #[test]
    fn who_has_a_rhythm_lapses_after_two_gaps() {
        // every thirty days; they lapse if they buy nothing for sixty
        let mut events = vec![(0, "purchase"), (30 * 24, "purchase")];
        let quiet = asked(&events, 2, 40 * 24, 400 * 24).unwrap();
        check(
            &quiet,
            (RETENTION, RETENTION),
            [Some(false), None, Some(true)],
        );
        events.push((99 * 24, "purchase"));
        let again = asked(&events, 2, 40 * 24, 400 * 24).unwrap();
        check(
            &again,
            (RETENTION, PURCHASE),
            [Some(true), None, Some(false)],
        );
        events[2].0 = 101 * 24;
        let late = asked(&events, 2, 40 * 24, 400 * 24).unwrap();
        check(&late, (RETENTION, PURCHASE), [Some(true), None, Some(true)]);
    }

    #[test]
    fn nobody_teaches_and_judges_and_the_past_teaches() {
        let asked: Vec<Asked> = (0..900)
            .map(|i| Asked {
                time: at(i),
                row: StageRow {
                    x: Vec::new(),
                    stage: (i % 2) as u8,
                    next: 0,
                    person: (i * 7 % 60) as u32,
                },
                came: [None; 3],
            })
            .collect();
        let (taught, judging) = split(&asked, 3, 7);
        assert!(taught.len() > 200 && judging.len() > 50);
        let last = taught.iter().map(|asked| asked.time).max().unwrap();
        for judge in judging {
            assert!(judge.time > last);
            assert!(
                taught
                    .iter()
                    .all(|other| other.row.person != judge.row.person)
            );
        }
    }
}
