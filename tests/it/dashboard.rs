//! The dashboard over the wire: pages, charts as files, and who may see and do what.

use std::sync::Arc;

use http::Request;
use nextbest::application::AppError;
use nextbest::proto::v1;
use nextbest::proto::v1::journey_service_server::JourneyService;
use nextbest::transport::http::dashboard::Dashboard;
use nextbest::transport::http::limits::HttpLimits;
use tonic::Status;

use crate::dashboard_sample::{HOSTILE, Sample};
use crate::harness::{Clients, Harness};
use crate::http_client::{Got, HttpFace, connect, get, send};
use crate::wire_decisions::catalog;
use crate::wire_offers::{plain, usage};
use crate::wire_story::{event, write};
use crate::wire_story_models::{live, simulated, train, watched};
use crate::wire_story_offers::{create, seconds};

/// The most bytes of the first page.
const FIRST_PAGE: usize = 100_000;
const PAGES: [&str; 7] = [
    "/dashboard",
    "/dashboard/kpis?breakdown=persona",
    "/dashboard/touchpoints",
    "/dashboard/personas",
    "/dashboard/customers",
    "/dashboard/models",
    "/dashboard/offers",
];
const PICTURES: [&str; 4] = [
    "/dashboard/map.svg",
    "/dashboard/touchpoints.svg",
    "/dashboard/personas.svg",
    "/dashboard/kpis/nps.svg",
];
const ROWS: [(&str, usize); 9] = [
    ("/dashboard/map.csv", 7),
    ("/dashboard/flows.csv", 16),
    ("/dashboard/touchpoints.csv", 16),
    ("/dashboard/touchpoint-flows.csv", 3),
    ("/dashboard/pain-points.csv", 4),
    ("/dashboard/personas.csv", 4),
    ("/dashboard/kpis.csv?breakdown=stage", 1 + 7 * 28 + 7 * 6),
    ("/dashboard/kpis/nps.csv", 29),
    ("/dashboard/offers.csv", 1),
];

/// The dashboard of a service, with the made-up journey.
pub(crate) fn made_up(harness: &Harness, sample: Sample) -> Dashboard {
    Dashboard {
        journey: Arc::new(sample),
        ..harness.service.dashboard()
    }
}

pub(crate) async fn started(sample: Sample) -> (Harness, Clients, HttpFace) {
    let harness = Harness::start().await;
    let mut clients = harness.clients().await;
    catalog(&mut clients).await;
    let dashboard = made_up(&harness, sample);
    let face = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    (harness, clients, face)
}

/// What every page has.
pub(crate) fn check_page(page: &Got, path: &str) -> String {
    let text = page.text();
    assert_eq!(
        page.header("content-type"),
        "text/html; charset=utf-8",
        "{path}"
    );
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
        "{policy}"
    );
    for part in [
        "<html lang=\"en\">",
        "class=\"skip\" href=\"#main\"",
        "<nav aria-label=\"Pages\">",
        "<main id=\"main\"",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{path}: {part}");
    }
    assert_eq!(text.matches("<h1>").count(), 1, "{path}");
    // nothing that the policy would refuse, nothing from elsewhere
    for part in [" style=\"", " onclick", "<style", "javascript:"] {
        assert!(!text.contains(part), "{path}: {part}");
    }
    assert_eq!(text.matches("<script").count(), 1, "{path}");
    let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
    assert!(
        !elsewhere.contains("src=\"http") && !elsewhere.contains("href=\"http"),
        "{path}"
    );
    pictures(&text)
        .iter()
        .for_each(|picture| check_picture(picture));
    text
}

/// The pictures in a page.
fn pictures(page: &str) -> Vec<&str> {
    page.split("<svg ")
        .skip(1)
        .map(|rest| {
            let from = rest.as_ptr() as usize - page.as_ptr() as usize - "<svg ".len();
            let end = from + page[from..].find("</svg>").unwrap() + "</svg>".len();
            &page[from..end]
        })
        .collect()
}

/// A picture is XML, has a title for who cannot see it, and no numbers that are none.
fn check_picture(picture: &str) {
    let read = roxmltree::Document::parse(picture).unwrap_or_else(|e| panic!("{e}: {picture}"));
    let root = read.root_element();
    let is_hidden = root.attribute("aria-hidden") == Some("true");
    let title = root.children().find(|n| n.has_tag_name("title"));
    assert!(is_hidden || root.attribute("role") == Some("img"));
    assert!(is_hidden || !title.unwrap().text().unwrap().is_empty());
    for node in read.descendants().filter(roxmltree::Node::is_element) {
        for attribute in node.attributes().filter(|a| a.name() != "aria-labelledby") {
            let value = attribute.value();
            assert!(
                !value.contains("NaN") && !value.contains("inf"),
                "{attribute:?}"
            );
            assert!(
                !value.contains('-') || attribute.name() != "width",
                "{attribute:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_first_page_says_where_customers_are_lost_and_what_it_costs() {
    let (harness, _, face) = started(Sample::default()).await;
    let home = get(face.addr, "/").await;
    assert_eq!((home.code, home.header("location")), (303, "/dashboard"));
    let page = get(face.addr, "/dashboard").await;
    assert_eq!(page.code, 200);
    assert!(page.body.len() < FIRST_PAGE, "{} bytes", page.body.len());
    let text = check_page(&page, "/dashboard");
    assert!(
        text.contains(
            "<h1>In these 28 days 141 more customers were lost at “checkout” than elsewhere: about €18,400</h1>"
        ),
        "{text}"
    );
    assert!(text.contains("26 Oct 2026 to 22 Nov 2026, 28 days"));
    for part in [
        "312 of the 1,020 who came there",
        "Show what delivery costs before the checkout.",
        "begin checkout at checkout",
        "3.5 %",
        "within chance",
        "worse than the 28 days before",
        "download aria-label=\"Journey map, stages (CSV)\">stages (CSV)",
        "newest event 2026-11-22 13:53 UTC",
        " too many lost, about",
        "visits too many ended here, about",
        "Too many are lost also at “product page” of Cameras (",
        " visits ended here (",
        " were lost here (",
        "<title>Journey · nextbest</title>",
        "<details><summary>The map as tables</summary>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let map = get(face.addr, "/dashboard/map.svg").await.text();
    let read = roxmltree::Document::parse(&map).unwrap();
    let many = |class: &str| {
        let nodes = read.descendants();
        nodes
            .filter(|n| n.attribute("class") == Some(class))
            .count()
    };
    assert_eq!((many("node"), many("left"), many("pin")), (6, 6, 3));
    // five between neighbours, four that skip a stage, six back
    assert_eq!((many("forward"), many("over"), many("backward")), (5, 4, 6));
    assert_eq!((many("new"), many("returned"), many("mooddot")), (3, 5, 5));
    // the curve has a gap where nobody answered
    assert_eq!((many("moodband"), many("mood")), (1, 2));
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_picked_changes_pages_and_files_alike() {
    let (harness, _, face) = started(Sample::default()).await;
    let query = "?start_date=2026-11-16&end_date=2026-11-22&persona_id=p1";
    let page = get(face.addr, &format!("/dashboard{query}")).await;
    let text = check_page(&page, query);
    assert!(
        text.contains("16 Nov 2026 to 22 Nov 2026, 7 days"),
        "{text}"
    );
    assert!(text.contains("<option value=\"p1\" selected>Tech enthusiasts</option>"));
    assert!(text.contains("value=\"2026-11-16\""));
    // 140.6 × 0.31 / 4
    assert!(text.contains("11 more customers were lost"), "{text}");
    let encoded = "start_date=2026%2D11%2D16&#38;end_date=2026%2D11%2D22&#38;persona_id=p1";
    for path in [
        "/dashboard/map.svg",
        "/dashboard/map.csv",
        "/dashboard/kpis",
    ] {
        assert!(
            text.contains(&format!("\"{path}?{encoded}\"")),
            "{path}: {text}"
        );
    }
    let all = get(face.addr, "/dashboard/map.csv").await.text();
    let some = get(face.addr, &format!("/dashboard/map.csv{query}"))
        .await
        .text();
    assert!(all.contains("awareness,2600,2140,210,"), "{all}");
    assert!(some.contains("awareness,202,166,16,"), "{some}");
    let kpis = get(face.addr, "/dashboard/kpis?breakdown=persona")
        .await
        .text();
    assert!(kpis.contains("B2B clients") && kpis.contains("Visits with an order, of all visits."));
    // every fault at once, and the form stays
    let bad = "/dashboard?start_date=soon&end_date=2026-99-01&persona=p1&breakdown=x";
    let refused = get(face.addr, bad).await;
    assert_eq!(refused.code, 400);
    let text = check_page(&refused, bad);
    for field in ["From: ", "To: ", "persona: ", "Breakdown: "] {
        assert!(text.contains(&format!("<li>{field}")), "{field}: {text}");
    }
    // each is said once, and in the words of the page
    assert_eq!(text.matches("must be a day").count(), 2, "{text}");
    assert!(!text.contains("<li>start_date"));
    let unknown = get(face.addr, "/dashboard/touchpoints?persona_id=nobody").await;
    assert_eq!(unknown.code, 400);
    let told = unknown.text();
    assert_eq!(told.matches("there is no persona").count(), 1, "{told}");
    assert!(told.contains("<li>Persona: there is no persona"), "{told}");
    let file = get(face.addr, "/dashboard/map.csv?start_date=soon").await;
    assert_eq!((file.code, &*file.reason()), (400, "INVALID_FIELDS"));
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn pages_and_files_hold_whatever_the_journey_says() {
    for (hostile, empty, absurd) in [
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (true, false, true),
    ] {
        let sample = Sample {
            hostile,
            empty,
            absurd,
        };
        let (harness, _, face) = started(sample).await;
        for path in PAGES {
            let page = get(face.addr, path).await;
            assert_eq!(page.code, 200, "{path}: {}", page.text());
            let text = check_page(&page, path);
            assert!(!text.contains("<script>"), "{path}");
            assert!(!text.contains("NaN"), "{path}");
        }
        for path in PICTURES {
            let picture = get(face.addr, path).await;
            assert_eq!(picture.code, 200, "{path}");
            assert_eq!(
                picture.header("content-type"),
                "image/svg+xml; charset=utf-8"
            );
            assert!(
                picture
                    .header("content-security-policy")
                    .contains("sandbox")
            );
            check_picture(&picture.text());
        }
        for (path, rows) in ROWS {
            let file = get(face.addr, path).await;
            assert_eq!(
                (file.code, file.header("content-type")),
                (200, "text/csv; charset=utf-8")
            );
            let mut read = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&file.body[..]);
            let read: Vec<_> = read.records().map(Result::unwrap).collect();
            if !empty {
                assert_eq!(read.len(), rows, "{path}: {}", file.text());
            }
            let is_hostile = read.iter().flatten().any(|cell| cell.contains(HOSTILE));
            assert!(hostile || !is_hostile);
        }
        for path in [
            "/dashboard/kpis/none.svg",
            "/dashboard/none.csv",
            "/dashboard/models.svg",
        ] {
            assert_eq!(get(face.addr, path).await.code, 404, "{path}");
        }
        let text = get(face.addr, "/dashboard").await.text();
        assert_eq!(text.contains("There is nothing to show yet"), empty);
        assert_eq!(text.contains("still being counted (40.0 % so far)"), empty);
        face.stop().await;
        harness.stop().await.unwrap();
    }
}

/// Says of everything that the journey is not counted: where there is no journey service.
#[derive(Debug, Clone, Copy)]
struct NoJourney;

impl NoJourney {
    fn told() -> Status {
        AppError::NotReady.into()
    }
}

#[tonic::async_trait]
impl JourneyService for NoJourney {
    async fn get_journey_map(
        &self,
        _: tonic::Request<v1::GetJourneyMapRequest>,
    ) -> Result<tonic::Response<v1::JourneyMap>, Status> {
        Err(Self::told())
    }

    async fn get_kpis(
        &self,
        _: tonic::Request<v1::GetKpisRequest>,
    ) -> Result<tonic::Response<v1::GetKpisResponse>, Status> {
        Err(Self::told())
    }

    async fn list_pain_points(
        &self,
        _: tonic::Request<v1::ListPainPointsRequest>,
    ) -> Result<tonic::Response<v1::ListPainPointsResponse>, Status> {
        Err(Self::told())
    }

    async fn list_personas(
        &self,
        _: tonic::Request<v1::ListPersonasRequest>,
    ) -> Result<tonic::Response<v1::ListPersonasResponse>, Status> {
        Err(Self::told())
    }
}

#[tokio::test]
async fn where_no_journey_is_counted_the_page_says_so() {
    let harness = Harness::start().await;
    let mut dashboard = harness.service.dashboard();
    dashboard.journey = Arc::new(NoJourney);
    let face = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    for path in &PAGES[..4] {
        let page = get(face.addr, path).await;
        assert_eq!(page.code, 503, "{path}");
        assert!(check_page(&page, path).contains("the journal is being folded"));
    }
    let file = get(face.addr, "/dashboard/map.csv").await;
    assert_eq!((file.code, &*file.reason()), (503, "NOT_READY"));
    let missing = get(face.addr, "/dashboard/nowhere").await;
    assert_eq!(missing.code, 404);
    let text = check_page(&missing, "nowhere");
    assert!(text.contains("<title>There is no such page · nextbest</title>"));
    for (typed, page) in [
        ("/dashboard/", "/dashboard"),
        ("/dashboard/kpis/", "/dashboard/kpis"),
    ] {
        let moved = get(face.addr, typed).await;
        assert_eq!((moved.code, moved.header("location")), (303, page));
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

/// The token that forms of a page carry.
fn token(page: &str) -> String {
    let rest = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .expect("the page has a form");
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a form as a browser does from a page of the dashboard.
async fn submit(face: &HttpFace, path: &str, form: &str) -> Got {
    let mut client = connect(face.addr).await;
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "http://localhost")
        .header("sec-fetch-site", "same-origin");
    send(&mut client, request, form.to_owned()).await.unwrap()
}

#[tokio::test]
async fn offers_are_paused_by_their_page_and_by_no_other() {
    let (harness, mut clients, face) = started(Sample::default()).await;
    let budget = v1::Offer {
        name: format!("Spring {HOSTILE}").replace('\u{1}', ""),
        budget_units: Some(40),
        unit_cost: Some(1.0),
        ..plain("spring")
    };
    create(&mut clients, budget).await.unwrap();
    create(&mut clients, plain("endless")).await.unwrap();
    let page = get(face.addr, "/dashboard/offers").await.text();
    assert!(
        page.contains("40 of 40 left") && page.contains("no budget"),
        "{page}"
    );
    assert!(!page.contains("<script>"));
    check_picture(&get(face.addr, "/dashboard/offers.svg").await.text());
    let token = token(&page);
    let state = async |clients: &mut Clients| {
        let request = v1::GetOfferRequest {
            offer_id: "spring".to_owned(),
        };
        clients
            .offers
            .get_offer(request)
            .await
            .unwrap()
            .into_inner()
            .paused
    };
    let form = format!("token={token}&offer_id=spring");
    // another site, an old page, a foreign name, and a form that is not one
    let mut client = connect(face.addr).await;
    for (host, origin, form, code) in [
        ("localhost", "http://evil.example", form.clone(), 403),
        ("localhost", "null", form.clone(), 403),
        (
            "localhost",
            "http://localhost",
            "token=x&offer_id=spring".to_owned(),
            403,
        ),
        ("evil.example", "http://evil.example", form.clone(), 421),
        (
            "localhost",
            "http://localhost",
            format!("{form}&force=true"),
            400,
        ),
        (
            "localhost",
            "http://localhost",
            format!("token={token}&offer_id=nothing"),
            404,
        ),
        (
            "localhost",
            "http://localhost",
            format!("token={token}&offer_id={}", "x".repeat(5_000)),
            413,
        ),
    ] {
        let request = Request::post("/dashboard/offers/pause")
            .header("host", host)
            .header("origin", origin);
        let refused = send(&mut client, request, form).await.unwrap();
        assert_eq!(refused.code, code, "{host} {origin}: {}", refused.text());
        assert!(!state(&mut clients).await);
    }
    let silent = Request::post("/dashboard/offers/pause");
    assert_eq!(
        send(&mut client, silent, form.clone()).await.unwrap().code,
        403
    );
    let by_get = get(face.addr, &format!("/dashboard/offers/pause?{form}")).await;
    assert_eq!((by_get.code, by_get.header("allow")), (405, "POST"));
    assert!(!state(&mut clients).await);
    let done = submit(&face, "/dashboard/offers/pause", &form).await;
    assert_eq!(
        (done.code, done.header("location")),
        (303, "/dashboard/offers")
    );
    assert!(state(&mut clients).await);
    let page = get(face.addr, "/dashboard/offers").await.text();
    assert!(
        page.contains("data-offer=\"spring\" data-state=\"paused\""),
        "{page}"
    );
    assert_eq!(
        submit(&face, "/dashboard/offers/resume", &form).await.code,
        303
    );
    assert!(!state(&mut clients).await);
    assert_eq!(usage(&mut clients, "spring").await.free_units, Some(40));
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn customers_are_shown_on_this_machine_and_else_only_if_told() {
    let (harness, mut clients, face) = started(Sample::default()).await;
    let product = v1::Product {
        product_id: "evil".to_owned(),
        name: HOSTILE.replace('\u{1}', ""),
        ..v1::Product::default()
    };
    let request = v1::CreateProductRequest {
        product: Some(product),
        validate_only: false,
    };
    clients.catalog.create_product(request).await.unwrap();
    let mut seen = event("view_item", "anna", "evil", 0);
    seen.event_time = seconds(1_767_225_600);
    seen.touchpoint = "<b>page</b>".to_owned();
    let bought = event("purchase", "anna", "evil", 24 * 2);
    let mut rated = event("review", "anna", "evil", 1);
    rated.rating = Some(1.0);
    write(&mut clients, vec![seen, bought, rated]).await;
    create(&mut clients, plain("one_off")).await.unwrap();
    let path = "/dashboard/customers?customer_id=anna";
    let page = get(face.addr, path).await;
    assert_eq!(page.code, 200);
    let text = check_page(&page, path);
    for part in [
        "<h1>Customer anna</h1>",
        "View item · &#60;script&#62;",
        "at &#60;b&#62;page&#60;/b&#62;",
        "<title>Customer anna · nextbest</title>",
        "aria-label=\"these steps as SVG\"",
        "<h3>1 Jan 2026</h3>",
        "<dt>Health</dt><dd>Active: ",
        "To be won back: review (1 to 5) of 1 for &#60;script&#62;",
        "What would be recommended now",
        "one_off",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // the timeline as files, and for this machine alone
    let file = "/dashboard/customers/timeline.csv?customer_id=anna";
    assert!(
        text.contains(file) && text.contains("id=\"timeline\""),
        "{text}"
    );
    let rows = get(face.addr, file).await.text();
    let kinds: Vec<_> = rows
        .lines()
        .map(|row| row.split(',').nth(1).unwrap())
        .collect();
    assert_eq!(kinds, ["event_type", "review", "purchase", "view_item"]);
    let picture = get(face.addr, &file.replace("csv", "svg")).await.text();
    assert_eq!(picture.matches("<circle").count(), 3, "{picture}");
    let list = get(face.addr, "/dashboard/customers").await.text();
    assert!(list.contains("?customer_id=anna\""), "{list}");
    assert_eq!(
        get(face.addr, "/dashboard/customers?customer_id=nobody")
            .await
            .code,
        404
    );
    for kind in ["csv", "svg"] {
        let file = format!("/dashboard/customers/timeline.{kind}?customer_id=nobody");
        let file = get(face.addr, &file).await;
        assert_eq!((file.code, &*file.reason()), (404, "CUSTOMER_NOT_FOUND"));
    }
    let both = get(face.addr, "/dashboard/customers?customer_id=a&visitor_id=b").await;
    assert_eq!(both.code, 400);
    // another name of the service, and a proxy
    let mut dashboard = made_up(&harness, Sample::default());
    dashboard.hosts = vec!["shop.example".to_owned()];
    let named = HttpFace::start_with(&harness, HttpLimits::default(), dashboard.clone()).await;
    let mut client = connect(named.addr).await;
    for (name, value) in [("host", "shop.example"), ("x-forwarded-for", "10.0.0.7")] {
        let request = Request::get(file).header(name, value);
        assert_eq!(send(&mut client, request, "").await.unwrap().code, 403);
        let request = Request::get(path).header(name, value);
        let hidden = send(&mut client, request, "").await.unwrap();
        assert_eq!(hidden.code, 403);
        let text = check_page(&hidden, path);
        assert!(
            text.contains("Personal data is not shown here") && !text.contains("anna"),
            "{text}"
        );
        let request = Request::get("/dashboard/customers").header(name, value);
        let list = send(&mut client, request, "").await.unwrap();
        assert!(list.code == 200 && !list.text().contains("anna"));
    }
    let request = Request::get(path).header("host", "evil.example");
    assert_eq!(send(&mut client, request, "").await.unwrap().code, 421);
    named.stop().await;
    dashboard.personal_data = true;
    let told = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    let mut client = connect(told.addr).await;
    let request = Request::get(path).header("host", "shop.example");
    assert_eq!(send(&mut client, request, "").await.unwrap().code, 200);
    told.stop().await;
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn models_are_trained_watched_and_rolled_back_by_their_page() {
    let (harness, mut clients) = simulated().await;
    let dashboard = made_up(&harness, Sample::default());
    let face = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    let page = get(face.addr, "/dashboard/models").await.text();
    assert!(page.contains("Nothing has been learned yet"), "{page}");
    assert!(page.contains("<summary>journey.toml</summary>") && page.contains("otherwise ="));
    assert!(!page.contains("roll-back"), "{page}");
    let form = format!("token={}", token(&page));
    let refused = submit(&face, "/dashboard/models/roll-back", &form).await;
    assert_eq!(refused.code, 400);
    assert!(refused.text().contains("That was not done"));
    assert_eq!(
        submit(&face, "/dashboard/models/train", &form).await.code,
        303
    );
    let runs = v1::ListTrainingRunsRequest::default();
    let runs = clients
        .models
        .list_training_runs(runs)
        .await
        .unwrap()
        .into_inner();
    let run = &runs.training_runs[0];
    let during = get(face.addr, "/dashboard/models").await.text();
    if during.contains("data-running") {
        // without JavaScript the page asks for itself again, and only as long as there is something to see
        assert!(during.contains("<noscript><meta http-equiv=\"refresh\""));
        assert!(during.contains("<progress max=\"100\""));
    }
    watched(&mut clients, run).await;
    let part = get(face.addr, "/dashboard/models/progress").await;
    assert!(part.text().contains("succeeded") && !part.text().contains("<html"));
    let first = live(&mut clients).await;
    let after = check_page(&get(face.addr, "/dashboard/models").await, "models");
    assert!(!after.contains("http-equiv"));
    // there is nothing to go back to
    assert!(!after.contains("roll-back"), "{after}");
    assert!(
        after.contains(&format!("data-revision=\"{first}\" data-state=\"live\"")),
        "{after}"
    );
    assert!(
        after.contains("What the gate compared") && after.contains("Figures on the held-back end")
    );
    check_picture(&get(face.addr, "/dashboard/models.svg").await.text());
    let rows = get(face.addr, "/dashboard/models.csv").await.text();
    assert!(
        rows.lines().count() > 10 && rows.contains("of nextbest,ndcg@10"),
        "{rows}"
    );
    // another seed gives another revision, live or refused: one is made live by hand, then taken back
    let second = train(&mut clients, 99).await;
    let second = watched(&mut clients, &second).await.model_revision;
    assert_ne!(second, first);
    let activate = format!("{form}&model_revision_id={second}&force=true");
    assert_eq!(
        submit(&face, "/dashboard/models/activate", &activate)
            .await
            .code,
        303
    );
    assert_eq!(live(&mut clients).await, second);
    let two = get(face.addr, "/dashboard/models").await.text();
    assert!(
        two.contains("action=\"/dashboard/models/roll-back\""),
        "{two}"
    );
    let done = submit(&face, "/dashboard/models/roll-back", &form).await;
    assert_eq!(
        (done.code, done.header("location")),
        (303, "/dashboard/models")
    );
    assert_eq!(live(&mut clients).await, first);
    face.stop().await;
    harness.stop().await.unwrap();
}
