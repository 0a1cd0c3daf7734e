//! Models over the wire, on a simulated shop: trained, watched, cancelled, activated, rolled back.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nextbest::application::recipes::Recipes;
use nextbest::application::shop::Clock;
use nextbest::cli::import::{Args, Target, carry_out};
use nextbest::cli::simulate::write_shop;
use nextbest::domain::{Baseline, Ranker, Source};
use nextbest::proto::v1;
use nextbest::proto::v1::model_revision::State as RevisionState;
use nextbest::proto::v1::training_run::State as RunState;
use nextbest::simulation::Settings;
use nextbest::store::{Artefacts, MemoryJournal};
use nextbest::transport::grpc::limits::Limits;
use tokio_stream::StreamExt as _;
use tonic::{Code, Response};

use crate::csv_edge::counter;
use crate::harness::{Clients, Harness, PATIENCE, settings};
use crate::wire_story::{about, ask, refused};

/// A service with a simulated shop in it: 300 customers over half a year.
pub(crate) async fn simulated() -> (Harness, Clients) {
    simulated_by(&Recipes::embedded().unwrap()).await
}

/// The same, by other recipes.
async fn simulated_by(recipes: &Recipes) -> (Harness, Clients) {
    simulated_in(Harness::start_by(Limits::default(), recipes).await).await
}

/// The same, in a service that is there.
async fn simulated_in(harness: Harness) -> (Harness, Clients) {
    harness.set_ready(true);
    let ingest = harness.service.use_cases.ingest.clone();
    let imported = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let end = "2026-06-30".parse().unwrap();
        let settings = Settings::new(7, 300, 120, 180, end).unwrap();
        write_shop(&settings, folder.path(), false, false, || {}).unwrap();
        let args = Args {
            from: Some(folder.path().to_owned()),
            ..Args::default()
        };
        let now = ingest.latest();
        let target = Target {
            write: &mut |batch| ingest.write_blocking(batch),
            now,
            journey: &Recipes::embedded().unwrap().journey,
            repetitions: &mut || Ok(counter()),
        };
        carry_out(&args, folder.path(), target, &AtomicBool::new(false)).unwrap()
    });
    let summary = imported.await.unwrap();
    assert!(summary.failures.is_empty(), "{summary}");
    assert!(
        summary.total().refused == 0 && summary.total().new > 5_000,
        "{summary}"
    );
    let clients = harness.clients().await;
    (harness, clients)
}

pub(crate) async fn train(clients: &mut Clients, seed: u64) -> v1::TrainingRun {
    let request = v1::TrainModelsRequest { seed: Some(seed) };
    clients
        .models
        .train_models(request)
        .await
        .unwrap()
        .into_inner()
}

/// Watches a run to its end and returns how it ended.
pub(crate) async fn watched(clients: &mut Clients, run: &v1::TrainingRun) -> v1::TrainingRun {
    let request = v1::WatchTrainingRunRequest {
        training_run_id: run.training_run_id.clone(),
    };
    let states = clients.models.watch_training_run(request).await.unwrap();
    let states = states.into_inner().collect::<Result<Vec<_>, _>>();
    let states = tokio::time::timeout(PATIENCE, states)
        .await
        .expect("it ends");
    let states = states.unwrap();
    assert!(states.iter().all(|run| (0.0..=1.0).contains(&run.progress)));
    assert!(states.is_sorted_by(|a, b| a.progress <= b.progress));
    let (last, before) = states.split_last().unwrap();
    assert!(before.iter().all(|run| run.state() == RunState::Running));
    assert!(last.state() != RunState::Running && last.end_time.is_some());
    last.clone()
}

async fn revisions(clients: &mut Clients) -> Vec<v1::ModelRevision> {
    let request = v1::ListModelRevisionsRequest::default();
    let answer = clients.models.list_model_revisions(request).await.unwrap();
    answer.into_inner().model_revisions
}

pub(crate) async fn live(clients: &mut Clients) -> String {
    ask(clients, about("c000001")).await.model_revision
}

fn activate(id: &str, force: bool) -> v1::ActivateModelRevisionRequest {
    v1::ActivateModelRevisionRequest {
        model_revision_id: id.to_owned(),
        force,
    }
}

#[tokio::test]
async fn a_shop_learns_and_goes_back() {
    let (harness, mut clients) = simulated().await;
    let nothing = clients
        .models
        .roll_back_model(v1::RollBackModelRequest {})
        .await;
    refused(nothing, Code::FailedPrecondition, "NO_PREVIOUS_REVISION");
    assert_eq!(live(&mut clients).await, "");

    let run = train(&mut clients, 1).await;
    assert_eq!(
        (run.state(), run.model_revision.as_str()),
        (RunState::Running, "")
    );
    let second = clients
        .models
        .train_models(v1::TrainModelsRequest::default())
        .await;
    let status = refused(second, Code::Aborted, "TRAINING_RUNNING");
    let details = tonic_types::StatusExt::get_error_details(&status);
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata["training_run_id"], run.training_run_id);
    let first = watched(&mut clients, &run).await;
    assert_eq!(first.state(), RunState::Succeeded, "{first:?}");

    // the same journal and seed, the same revision; what was damaged of it is whole again
    let sound = revisions(&mut clients).await;
    for name in ["", "-info"] {
        damage(&harness, &format!("{}{name}", first.model_revision));
        let again = train(&mut clients, 1).await;
        let again = watched(&mut clients, &again).await;
        assert_eq!(again.model_revision, first.model_revision);
        let mut mended = revisions(&mut clients).await;
        // it was made anew
        mended[0].create_time = sound[0].create_time;
        assert_eq!(mended, sound);
        let id = &first.model_revision;
        let sound = Artefacts::open(harness.models()).unwrap();
        assert!(sound.get(&format!("{id}{name}")).unwrap().is_some());
    }
    let other = train(&mut clients, 2).await;
    let other = watched(&mut clients, &other).await;
    assert_eq!(other.state(), RunState::Succeeded, "{other:?}");
    assert_ne!(other.model_revision, first.model_revision);

    let listed = revisions(&mut clients).await;
    assert_eq!(listed.len(), 2);
    for revision in &listed {
        let methods: Vec<&str> = revision.figures.iter().map(|f| f.method.as_str()).collect();
        assert!(methods.contains(&"nextbest") && methods.contains(&"popularity"));
        for figures in &revision.figures {
            let ndcg = figures.figures["ndcg@10"];
            assert!((0.0..=1.0).contains(&ndcg), "{revision:?}");
        }
        assert!(revision.training_question_count > 0 && revision.record_count > 5_000);
        compared(revision);
        let is_refused = revision.state() == RevisionState::Refused;
        assert!(!is_refused || !revision.refusal.is_empty());
        let request = v1::GetModelRevisionRequest {
            model_revision_id: revision.model_revision_id.clone(),
        };
        let alone = clients.models.get_model_revision(request).await.unwrap();
        assert_eq!(alone.into_inner(), *revision);
    }
    let (first, other) = (first.model_revision, other.model_revision);
    for id in [&first, &other] {
        let activated = clients
            .models
            .activate_model_revision(activate(id, true))
            .await;
        assert_eq!(activated.unwrap().into_inner().state(), RevisionState::Live);
        assert_eq!(live(&mut clients).await, *id);
    }
    for expected in [&first, &other] {
        let back = clients
            .models
            .roll_back_model(v1::RollBackModelRequest {})
            .await;
        let back = back.unwrap().into_inner();
        assert_eq!(
            (&back.model_revision_id, back.state()),
            (expected, RevisionState::Live)
        );
        assert_eq!(live(&mut clients).await, *expected);
    }
    let answer = ask(&mut clients, about("c000001")).await;
    assert!(!answer.fallback && !answer.products.is_empty());
    assert!(
        answer
            .products
            .iter()
            .all(|p| (0.0..=1.0).contains(&p.score))
    );
    harness.stop().await.unwrap();
}

/// The gate compared each revision with every baseline over all stages, and its words follow from its figures.
fn compared(revision: &v1::ModelRevision) {
    use v1::gate_comparison::Verdict;
    let all = |baseline: &str| {
        let mut comparisons = revision.gate_comparisons.iter();
        let found = comparisons.find(|c| c.stage.is_empty() && c.baseline == baseline);
        found.unwrap_or_else(|| panic!("no {baseline} in {revision:?}"))
    };
    let figure = |method: &str| {
        let mut methods = revision.figures.iter();
        methods.find(|f| f.method == method).unwrap().figures["ndcg@10"]
    };
    for baseline in Baseline::ALL {
        let (name, comparison) = (baseline.as_str(), all(baseline.as_str()));
        let difference = figure("nextbest") - figure(name);
        assert!(
            (comparison.difference - difference).abs() < 1e-9,
            "{comparison:?}"
        );
        assert_eq!(comparison.metric, "ndcg@10");
    }
    let mut refuses = false;
    for comparison in &revision.gate_comparisons {
        let v1::GateComparison {
            low,
            difference,
            high,
            case_count,
            ..
        } = comparison;
        assert!(low <= difference && difference <= high, "{comparison:?}");
        assert_eq!(*case_count < 30, comparison.verdict() == Verdict::TooFew);
        refuses |= comparison.verdict() == Verdict::Refused;
    }
    assert_eq!(refuses, !revision.refusal.is_empty(), "{revision:?}");
    assert!((0.0..=1.0).contains(&revision.calibration_error));
}

#[tokio::test]
async fn where_people_go_next_is_learned_and_told() {
    let mut settings = settings();
    settings.training.max_moments = 6_000;
    let recipes = Recipes::embedded().unwrap();
    let harness = Harness::start_at(
        Clock::events(),
        Arc::new(MemoryJournal::new()),
        Limits::default(),
        &recipes,
        &settings,
    )
    .await;
    let (harness, mut clients) = simulated_in(harness).await;
    let get = |id: &str| v1::GetCustomerRequest {
        subject: Some(v1::get_customer_request::Subject::CustomerId(id.to_owned())),
    };
    let stage_of = |customer: &v1::Customer| customer.stage.clone().unwrap();
    let before = clients.customers.get_customer(get("c000001")).await;
    let before = before.unwrap().into_inner();
    assert!(stage_of(&before).next_stages.is_empty() && before.propensities.is_none());

    let run = train(&mut clients, 1).await;
    let run = watched(&mut clients, &run).await;
    let made = revisions(&mut clients).await.remove(0);
    let learned = made.next_stage.as_ref().unwrap();
    println!("{learned:#?} {:#?}", made.parts);
    assert!(learned.taught_count >= 500 && learned.judged_count >= 100);
    for comparison in &learned.comparisons {
        let gain = match comparison.metric.as_str() {
            "log_loss" => comparison.figure - learned.log_loss,
            _ => learned.top_1 - comparison.figure,
        };
        assert!((comparison.difference - gain).abs() < 1e-9);
        assert!(comparison.low <= gain && gain <= comparison.high);
    }
    let of = |method: &str, metric: &str| {
        let mut all = learned.comparisons.iter();
        let found = all.find(|c| c.method == method && c.metric == metric);
        found.unwrap().difference
    };
    for method in ["markov", "stays"] {
        assert!(of(method, "log_loss") > 0.0 && of(method, "top_1") > 0.0);
    }
    let part = made.parts.iter().find(|part| part.part == "next_stage");
    assert_eq!(part.unwrap().state(), v1::model_part::State::New);
    // it goes live whatever became of the ranking
    assert_eq!(
        (made.state(), live(&mut clients).await),
        (RevisionState::Live, run.model_revision)
    );

    let (mut asked, mut buys) = (0, 0);
    for number in 1..=100 {
        let id = format!("c{number:06}");
        let Ok(customer) = clients.customers.get_customer(get(&id)).await else {
            continue;
        };
        let customer = customer.into_inner();
        let stage = stage_of(&customer);
        let sum: f64 = stage.next_stages.iter().map(|next| next.probability).sum();
        if stage.next_stages.is_empty() {
            continue;
        }
        asked += 1;
        assert!((sum - 1.0).abs() < 1e-9);
        assert!(
            stage
                .next_stages
                .is_sorted_by(|a, b| a.probability >= b.probability)
        );
        assert!(stage.next_stages.iter().all(|next| next.reasons.len() <= 3));
        let buy = customer
            .propensities
            .and_then(|propensities| propensities.buy);
        buys += usize::from(buy.is_some_and(|buy| (0.0..=1.0).contains(&buy)));
        // an answer says the same, with the reasons of the first
        let answer = ask(&mut clients, about(&id)).await;
        let told = answer.stage.unwrap().next_stages;
        assert_eq!(told[0], stage.next_stages[0]);
        assert!(told[1..].iter().all(|next| next.reasons.is_empty()));
        assert_eq!(told.len(), stage.next_stages.len());
    }
    assert!(asked > 50, "{asked}");
    let buy = learned
        .propensities
        .iter()
        .find(|p| p.propensity == "buy")
        .unwrap();
    assert!(
        buy.used && buy.auc.unwrap() > 0.6 && buys == asked,
        "{buy:?}"
    );
    let named = v1::RecommendRequest {
        stage: "decision".to_owned(),
        ..about("c000001")
    };
    let named = ask(&mut clients, named).await;
    assert!(named.stage.unwrap().next_stages.is_empty());
    harness.stop().await.unwrap();
}

/// Spoils a file of the folder of models.
fn damage(harness: &Harness, name: &str) {
    let path = harness.models().join(format!("{name}.model"));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_revision_is_there_and_cannot_be_used() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let artefacts = Artefacts::open(harness.models()).unwrap();
    // a file that is not what was written, and one that never held figures
    artefacts.put("m-1-info", b"{}").unwrap();
    damage(&harness, "m-1-info");
    artefacts.put("m-2-info", b"{}").unwrap();
    let listed = revisions(&mut clients).await;
    let listed: Vec<_> = listed
        .iter()
        .map(|revision| (revision.model_revision_id.as_str(), revision.state()))
        .collect();
    let damaged = RevisionState::Damaged;
    assert_eq!(listed, [("m-1", damaged), ("m-2", damaged)]);
    for id in ["m-1", "m-2"] {
        let request = v1::GetModelRevisionRequest {
            model_revision_id: id.to_owned(),
        };
        let answer = clients.models.get_model_revision(request).await;
        let status = refused(answer, Code::DataLoss, "MODEL_REVISION_DAMAGED");
        let details = tonic_types::StatusExt::get_error_details(&status);
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!(metadata["model_revision_id"], id);
        let answer = clients.models.activate_model_revision(activate(id, true));
        refused(answer.await, Code::DataLoss, "MODEL_REVISION_DAMAGED");
    }
    for id in ["m-3", "No such id!"] {
        let request = v1::GetModelRevisionRequest {
            model_revision_id: id.to_owned(),
        };
        let answer = clients.models.get_model_revision(request).await;
        refused(answer, Code::NotFound, "MODEL_REVISION_NOT_FOUND");
    }
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_run_is_cancelled_and_another_one_may_begin() {
    let (harness, mut clients) = simulated().await;
    let run = train(&mut clients, 1).await;
    let request = v1::CancelTrainingRunRequest {
        training_run_id: run.training_run_id.clone(),
    };
    clients
        .models
        .cancel_training_run(request.clone())
        .await
        .unwrap();
    let ended = watched(&mut clients, &run).await;
    assert_eq!(ended.state(), RunState::Cancelled, "{ended:?}");
    let once_more = clients.models.cancel_training_run(request).await.unwrap();
    assert_eq!(once_more.into_inner(), ended);
    assert!(revisions(&mut clients).await.is_empty());
    assert_eq!(live(&mut clients).await, "");
    let next = train(&mut clients, 1).await;
    assert_ne!(next.training_run_id, run.training_run_id);
    let page = v1::ListTrainingRunsRequest {
        page_size: 1,
        ..v1::ListTrainingRunsRequest::default()
    };
    let runs = clients
        .models
        .list_training_runs(page.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(runs.training_runs[0].training_run_id, next.training_run_id);
    let page = v1::ListTrainingRunsRequest {
        page_token: runs.next_page_token,
        ..page
    };
    let runs = clients
        .models
        .list_training_runs(page)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(runs.training_runs, [ended]);
    assert_eq!(runs.next_page_token, "");
    // the end of the service ends the run, and with it the watch
    let request = v1::WatchTrainingRunRequest {
        training_run_id: next.training_run_id,
    };
    let watch = clients.models.watch_training_run(request).await.unwrap();
    harness.stop().await.unwrap();
    let last = watch.into_inner().collect::<Vec<_>>().await.pop().unwrap();
    if let Err(status) = last {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
}

#[tokio::test]
async fn too_little_history_is_a_failed_run_and_a_refused_revision_needs_force() {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    let run = train(&mut clients, 1).await;
    let ended = watched(&mut clients, &run).await;
    assert_eq!(ended.state(), RunState::Failed, "{ended:?}");
    assert!(ended.message.contains("questions"), "{ended:?}");
    harness.stop().await.unwrap();

    // recipes that only know what is popular do not beat what customers bought themselves
    let mut recipes = Recipes::embedded().unwrap();
    for recipe in &mut recipes.stages {
        recipe.sources = vec![(Source::Popular, 50)];
        recipe.ranker = Ranker::Blend;
        recipe.baselines = Baseline::ALL.to_vec();
    }
    let (harness, mut clients) = simulated_by(&recipes).await;
    let run = train(&mut clients, 1).await;
    let ended = watched(&mut clients, &run).await;
    assert_eq!(ended.state(), RunState::Succeeded, "{ended:?}");
    let listed = revisions(&mut clients).await;
    let made = listed
        .into_iter()
        .find(|r| r.model_revision_id == ended.model_revision)
        .unwrap();
    assert_eq!(made.state(), RevisionState::Refused);
    assert!(!made.refusal.is_empty());
    compared(&made);
    let before = live(&mut clients).await;
    assert_ne!(before, made.model_revision_id);
    let request = activate(&made.model_revision_id, false);
    let answer = clients.models.activate_model_revision(request).await;
    refused(
        answer.map(|_| Response::new(())),
        Code::FailedPrecondition,
        "MODEL_REVISION_REFUSED",
    );
    assert_eq!(live(&mut clients).await, before);
    let request = activate(&made.model_revision_id, true);
    clients
        .models
        .activate_model_revision(request)
        .await
        .unwrap();
    assert_eq!(live(&mut clients).await, made.model_revision_id);
    harness.stop().await.unwrap();
}
