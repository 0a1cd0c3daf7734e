//! The dashboard in Chromium: `tests/browser/test_dashboard.py`, on a trained shop with the made-up journey.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use nextbest::proto::v1;
use nextbest::transport::http::limits::HttpLimits;

use crate::dashboard::made_up;
use crate::dashboard_sample::Sample;
use crate::http_client::HttpFace;
use crate::wire_offers::plain;
use crate::wire_story_models::{simulated, train, watched};
use crate::wire_story_offers::create;

/// The interpreter, with the packages of `tests/browser/requirements.txt`; `.ci/run` sets it where there is a browser.
const PYTHON: &str = "TEST_BROWSER_PYTHON";
/// A folder for new screenshots, where they are wanted.
const SCREENSHOTS: &str = "TEST_SCREENSHOTS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_a_browser_finds_their_way() {
    let Some(python) = std::env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        // not by eprintln!, which the test harness keeps to itself
        let skipped = format!(
            "SKIPPED: the dashboard was not tested in a browser. Set {PYTHON} to an interpreter with the packages of \
             tests/browser/requirements.txt, with chromium and chromedriver in the path, as .ci/run does.\n"
        );
        let mut stderr = std::io::stderr();
        stderr
            .write_all(skipped.as_bytes())
            .expect("stderr takes a line");
        return;
    };
    let (harness, mut clients) = simulated().await;
    let first = train(&mut clients, 7).await;
    watched(&mut clients, &first).await;
    let second = train(&mut clients, 99).await;
    let second = watched(&mut clients, &second).await.model_revision;
    let request = v1::ActivateModelRevisionRequest {
        model_revision_id: second,
        force: true,
    };
    clients
        .models
        .activate_model_revision(request)
        .await
        .unwrap();
    let spring = v1::Offer {
        name: "A tenth off in spring".to_owned(),
        budget_units: Some(400),
        unit_cost: Some(2.0),
        ..plain("spring")
    };
    create(&mut clients, spring).await.unwrap();
    create(&mut clients, plain("welcome")).await.unwrap();
    let dashboard = made_up(&harness, Sample::default());
    let face = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    let url = format!("http://{}", face.addr);
    let run = |script: &'static str, arguments: Vec<String>| {
        let (python, url) = (python.clone(), url.clone());
        tokio::task::spawn_blocking(move || {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let output = Command::new(&python)
                .arg("-B")
                .arg(root.join("tests/browser").join(script))
                .args(arguments)
                .current_dir(root)
                .env("TEST_URL", url)
                .env("TEST_CUSTOMER", "c000001")
                .output()
                .unwrap_or_else(|error| panic!("{} cannot be run: {error}", python.display()));
            let report = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success(),
                "{script} ended with {}\n{report}",
                output.status
            );
            report
        })
    };
    if let Some(folder) = std::env::var_os(SCREENSHOTS) {
        let folder = folder.to_string_lossy().into_owned();
        run("screenshots.py", vec![url.clone(), folder])
            .await
            .unwrap();
    }
    let report = run("test_dashboard.py", Vec::new()).await.unwrap();
    let ran = report.lines().any(|line| line.starts_with("Ran "));
    assert!(
        ran && !report.contains("Ran 0 tests"),
        "no story was told:\n{report}"
    );
    face.stop().await;
    harness.stop().await.unwrap();
}
