//! What a collector can be told, and what it refuses.

use wspulse_prometheus::{Builder, OptionError, PrometheusCollector};

fn page(metrics: &PrometheusCollector) -> String {
    metrics.handler().response().into_body()
}

#[track_caller]
fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

#[test]
fn a_namespace_stands_before_every_name() {
    let metrics = PrometheusCollector::builder().namespace("shop").build().unwrap();
    let page = page(&metrics);
    assert_has(&page, "shop_wspulse_rooms_active 0");
    let starts = ["shop_wspulse_", "# "];
    assert!(page.lines().all(|line| starts.iter().any(|start| line.starts_with(start))), "{page}");
}

#[test]
fn what_no_metric_could_be_called_is_no_namespace() {
    for namespace in ["1a", "a-b", "a b", "ä", "a:b"] {
        let error = PrometheusCollector::builder().namespace(namespace).build().unwrap_err();
        assert_eq!(error, OptionError::Namespace(namespace.to_owned()));
    }
    PrometheusCollector::builder().namespace("_a1").build().unwrap();
}

#[test]
fn buckets_must_be_there_and_ascend() {
    type Set = fn(Builder, Vec<f64>) -> Builder;
    let options: [Set; 5] = [
        Builder::request_duration_buckets,
        Builder::connection_duration_buckets,
        Builder::broadcast_fanout_buckets,
        Builder::send_buffer_utilization_buckets,
        Builder::acknowledgement_age_buckets,
    ];
    for set in options {
        let built = |bounds: &[f64]| set(PrometheusCollector::builder(), bounds.into()).build();
        assert_eq!(built(&[]).unwrap_err().to_string(), "buckets must not be empty");
        for wrong in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[1.0, f64::INFINITY]] {
            assert_eq!(built(wrong).unwrap_err(), OptionError::Buckets);
        }
        built(&[0.5, 2.0]).unwrap();
    }
}
