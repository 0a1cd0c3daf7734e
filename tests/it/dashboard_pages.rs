//! What pages say where there is nothing yet, too little past, or only one touchpoint; style and script.

use http::Request;
use nextbest::transport::http::limits::HttpLimits;

use crate::dashboard::{check_page, started};
use crate::dashboard_sample::Sample;
use crate::harness::Harness;
use crate::http_client::{HttpFace, connect, get, send};

#[tokio::test]
async fn a_fresh_service_says_what_to_do_first() {
    let harness = Harness::start().await;
    let mut dashboard = harness.service.dashboard();
    dashboard.shop_name = "Gadgets & Co".to_owned();
    let face = HttpFace::start_with(&harness, HttpLimits::default(), dashboard).await;
    let journey = check_page(&get(face.addr, "/dashboard").await, "/dashboard");
    assert!(
        journey.contains("<h1>There is nothing to show yet</h1>"),
        "{journey}"
    );
    assert!(journey.contains("<title>Journey · Gadgets &#38; Co · nextbest</title>"));
    // no empty charts beside it
    assert!(
        !journey.contains("<svg") && !journey.contains("<form"),
        "{journey}"
    );
    for path in [
        "/dashboard",
        "/dashboard/kpis",
        "/dashboard/touchpoints",
        "/dashboard/customers",
    ] {
        let page = get(face.addr, path).await;
        assert_eq!(page.code, 200);
        let text = check_page(&page, path);
        assert!(
            text.contains("What to do first") && text.contains("nextbest import"),
            "{text}"
        );
    }
    for (path, told) in [
        ("/dashboard/personas", "“Train now” on the page Models"),
        ("/dashboard/models", "“Train now” learns from them"),
        ("/dashboard/offers", "There are no offers yet"),
    ] {
        let text = check_page(&get(face.addr, path).await, path);
        assert!(text.contains(told), "{told}: {text}");
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn only_windows_that_are_known_are_offered_and_compared() {
    let (harness, _, face) = started(Sample::default()).await;
    let page = get(face.addr, "/dashboard").await.text();
    assert!(
        page.contains(">90 days</a>") && !page.contains(">365 days</a>"),
        "{page}"
    );
    assert!(!page.contains("no earlier window"), "{page}");
    // a hundred days are known
    for path in ["/dashboard", "/dashboard/kpis"] {
        let path = format!("{path}?start_date=2026-08-25&end_date=2026-11-22");
        let page = get(face.addr, &path).await.text();
        let told =
            "90 days; counted since 14 Aug 2026, so there is no earlier window to compare with";
        assert!(page.contains(told), "{page}");
        assert!(
            page.contains(">no earlier window to compare with</"),
            "{page}"
        );
        assert!(!page.contains("than the"), "{page}");
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn of_one_touchpoint_only_what_counts_there_is_told() {
    let (harness, _, face) = started(Sample::default()).await;
    let all = get(face.addr, "/dashboard").await.text();
    assert!(!all.contains("<small>Counts "), "{all}");
    let one = get(face.addr, "/dashboard?touchpoint=cart").await.text();
    let (all, one) = (
        all.matches("class=\"tile\"").count(),
        one.matches("<small>Counts ").count(),
    );
    assert!(one > 0 && one <= all, "{one} of {all}");
    let page = get(face.addr, "/dashboard?touchpoint=cart").await.text();
    assert!(
        page.contains("Figures that count nowhere at “cart” are left out"),
        "{page}"
    );
    // one word for one number: who was last seen there, and who was not
    let everywhere = get(face.addr, "/dashboard").await.text();
    for told in [
        " lost here</text>",
        " lost elsewhere</text>",
        "“Lost here” were last seen at “cart”",
    ] {
        assert!(
            page.contains(told) && !everywhere.contains(told),
            "{told}: {page}"
        );
    }
    assert!(everywhere.contains(" lost</text>"), "{everywhere}");
    let map = get(face.addr, "/dashboard/map.svg?touchpoint=cart")
        .await
        .text();
    assert_eq!(map.matches("class=\"aside\"").count(), 6, "{map}");
    assert!(roxmltree::Document::parse(&map).is_ok());
    let rows = get(face.addr, "/dashboard/map.csv?touchpoint=cart")
        .await
        .text();
    assert!(rows.contains(",left,left_elsewhere,joined,"), "{rows}");
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn faults_of_dates_and_of_names_are_told_together() {
    let (harness, _, face) = started(Sample::default()).await;
    for path in ["/dashboard", "/dashboard/kpis", "/dashboard/touchpoints"] {
        let path = format!("{path}?start_date=soon&persona_id=nobody");
        let page = get(face.addr, &path).await;
        assert_eq!(page.code, 400);
        let text = check_page(&page, &path);
        for told in [
            "<li>From: must be a day",
            "<li>Persona: there is no persona",
        ] {
            assert_eq!(text.matches(told).count(), 1, "{told}: {text}");
        }
    }
    let file = get(
        face.addr,
        "/dashboard/map.csv?start_date=soon&persona_id=nobody",
    )
    .await;
    assert_eq!(file.code, 400);
    let text = file.text();
    assert!(
        text.contains("start_date") && text.contains("there is no persona"),
        "{text}"
    );
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn a_window_that_was_cut_says_so() {
    let (harness, _, face) = started(Sample::default()).await;
    let told = "days before 20 Nov 2023 were asked for, but are no longer kept";
    for path in ["/dashboard", "/dashboard/kpis", "/dashboard/touchpoints"] {
        let cut = get(face.addr, &format!("{path}?start_date=2020-01-01")).await;
        assert_eq!(cut.code, 200);
        assert!(cut.text().contains(told), "{}", cut.text());
        let whole = get(face.addr, &format!("{path}?start_date=2026-01-01")).await;
        assert!(!whole.text().contains("no longer kept"), "{}", whole.text());
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn every_page_says_when_it_was_drawn_and_those_of_counts_move() {
    let (harness, _, face) = started(Sample::default()).await;
    for (path, moves) in [
        ("/dashboard", true),
        ("/dashboard/kpis", true),
        ("/dashboard/touchpoints", true),
        ("/dashboard/personas", true),
        ("/dashboard/offers", true),
        ("/dashboard/customers", false),
        ("/dashboard/models", false),
        ("/dashboard/nowhere", false),
    ] {
        let page = check_page(&get(face.addr, path).await, path);
        let drawn = page
            .split(">Drawn ")
            .nth(1)
            .and_then(|rest| rest.split(" UTC.<").next());
        // as 22 Nov 2026, 14:03:07
        assert!(
            drawn.is_some_and(|drawn| (20..=21).contains(&drawn.len())),
            "{path}: {drawn:?}"
        );
        assert_eq!(page.contains("data-live="), moves, "{path}");
    }
    face.stop().await;
    harness.stop().await.unwrap();
}

#[tokio::test]
async fn style_and_script_may_be_kept_for_ever() {
    let (harness, _, face) = started(Sample::default()).await;
    let page = get(face.addr, "/dashboard").await.text();
    for (before, kind) in [
        (
            "<link rel=\"stylesheet\" href=\"",
            "text/css; charset=utf-8",
        ),
        ("<script src=\"", "text/javascript; charset=utf-8"),
    ] {
        let path = page
            .split(before)
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let asset = get(face.addr, path).await;
        assert_eq!((asset.code, asset.header("content-type")), (200, kind));
        assert_eq!(
            asset.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert!(!asset.text().contains("http://") && !asset.text().contains("https://"));
    }
    let mut client = connect(face.addr).await;
    let head = send(&mut client, Request::head("/dashboard"), "")
        .await
        .unwrap();
    assert_eq!((head.code, head.body.len()), (200, 0));
    face.stop().await;
    harness.stop().await.unwrap();
}
