//! In which format a scraper is answered, and that each is right.

use axum::Router;
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tower_service::Service;
use wspulse_prometheus::{MetricsHandler, PrometheusCollector};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn handler() -> MetricsHandler {
    PrometheusCollector::builder().build().unwrap().handler()
}

/// What a scraper that accepts this is answered: the content type and the page.
fn answer(handler: &MetricsHandler, accept: &str) -> (String, String) {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
    let response = handler.response_to(&headers);
    let kind = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (kind, response.into_body())
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

#[test]
fn the_scrapers_of_prometheus_2_and_3_get_open_metrics() {
    for accept in [
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
         q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
         escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text",
        "text/plain, Application/OpenMetrics-Text; Version=\"1.0.0\"",
    ] {
        let (kind, page) = answer(&handler(), accept);
        assert_eq!(kind, OPEN_METRICS, "{accept}");
        assert!(page.ends_with("# EOF\n"), "{accept}");
    }
}

#[test]
fn whoever_does_not_ask_for_open_metrics_or_prefers_text_gets_text() {
    for accept in [
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain;version=0.0.4;q=1,*/*;q=0.1",
        "application/openmetrics-text;q=0.5,text/plain",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=much",
        "",
    ] {
        let (kind, page) = answer(&handler(), accept);
        assert_eq!(kind, TEXT, "{accept}");
        assert_has(&page, "# TYPE wspulse_rooms_created_total counter");
    }
    let response = handler().response_to(&HeaderMap::new());
    assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
}

#[test]
fn a_cache_is_told_that_the_answer_depends_on_what_is_accepted() {
    let response = handler().response_to(&HeaderMap::new());
    assert_eq!(response.headers()[VARY], "accept");
}

#[test]
fn both_formats_have_the_same_series() {
    let (_, open_metrics) = answer(&handler(), "application/openmetrics-text");
    let (_, text) = answer(&handler(), "*/*");
    let series = |page: &str| {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(series(&open_metrics), series(&text));
}

#[test]
fn open_metrics_says_the_units_that_names_end_in() {
    let (_, page) = answer(&handler(), "application/openmetrics-text");
    assert_has(&page, "# TYPE wspulse_messages_received_bytes counter");
    assert_has(&page, "# UNIT wspulse_messages_received_bytes bytes");
    assert_has(&page, "wspulse_messages_received_bytes_total 0");
    assert_has(&page, "# UNIT wspulse_acknowledgement_age_seconds seconds");
    assert_has(&page, "# UNIT wspulse_unacknowledged_bytes bytes");
    // A unit must be the end of its family's name.
    for unit in page.lines().filter_map(|line| line.strip_prefix("# UNIT ")) {
        let (name, unit) = unit.split_once(' ').unwrap();
        assert!(name.ends_with(&format!("_{unit}")), "{name} is in {unit}");
    }
}

#[test]
fn in_open_metrics_a_counters_series_alone_end_in_total() {
    let (_, page) = answer(&handler(), "application/openmetrics-text");
    for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').unwrap();
        assert!(!name.ends_with("_total"), "{name}");
        let own = |suffix: &str| {
            let start = format!("{name}{suffix}");
            page.lines().any(|line| {
                let series = line.split(['{', ' ']).next();
                series == Some(start.as_str())
            })
        };
        assert!(kind == "counter" || !own("_total"), "{name}");
        assert!(kind != "counter" || !own(""), "{name}");
    }
}

#[test]
fn text_calls_a_counter_by_its_series_and_has_no_units_and_no_end() {
    let (_, page) = answer(&handler(), "text/plain");
    assert_has(&page, "# HELP wspulse_rooms_created_total Rooms that got a first member");
    assert_has(&page, "# TYPE wspulse_rooms_created_total counter");
    assert_has(&page, "# TYPE wspulse_acknowledgement_age_seconds histogram");
    assert!(!page.contains("# UNIT") && !page.contains("# EOF"), "{page}");
}

#[test]
fn text_has_what_it_lacks_of_an_applications_own_metrics_in_its_own_words() {
    let mut registry = Registry::default();
    let sales = CounterWithExemplar::<Vec<(String, String)>>::default();
    sales.inc_by(3, Some(vec![("buyer".into(), "ann".into())]), None);
    registry.register("sales", "Sales", sales);
    let labels = vec![("name", "a # {b=\"c\"} 1")];
    registry
        .sub_registry_with_labels(labels.into_iter().map(|(k, v)| (k.into(), v.into())))
        .register("odd", "Odd", Counter::<u64>::default());
    registry.register("build", "Build", Info::new(vec![("version", "1")]));
    let (_, page) = answer(&MetricsHandler::new(registry), "*/*");
    assert_has(&page, "sales_total 3");
    assert_has(&page, r#"odd_total{name="a # {b=\"c\"} 1"} 0"#);
    assert_has(&page, "# TYPE build_info gauge");
    assert_has(&page, r#"build_info{version="1"} 1"#);
}

#[tokio::test]
async fn axum_serves_the_metrics_as_a_route() {
    let mut app: Router = Router::new().route_service("/metrics", handler());
    let accepted = "application/openmetrics-text;version=1.0.0";
    let request = Request::get("/metrics").header(ACCEPT, accepted);
    let response = app.call(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], OPEN_METRICS);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"# EOF\n"));
}

#[test]
fn the_metrics_can_stand_in_the_applications_registry() {
    let mut registry = Registry::default();
    registry.register("orders", "Orders", Counter::<u64>::default());
    let collector = PrometheusCollector::builder().build().unwrap();
    collector.register(&mut registry);
    let page = MetricsHandler::new(registry).response().into_body();
    assert_has(&page, "orders_total 0");
    assert_has(&page, "wspulse_rooms_active 0");
}
