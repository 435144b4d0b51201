//! Which format a scraper wants.

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue};

/// A format that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    OpenMetrics,
    /// Prometheus' text format from before: every scraper reads it, and browsers show it.
    Text,
}

impl Format {
    /// The format that these headers prefer. Whoever does not ask for `OpenMetrics` by name gets text.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for one in accepted.flat_map(|value| value.split(',')) {
            match Accepted::parse(one) {
                Accepted { format: Some(Self::OpenMetrics), quality } => {
                    open_metrics = quality.max(open_metrics);
                }
                Accepted { format: Some(Self::Text), quality } => text = quality.max(text),
                Accepted { format: None, .. } => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    pub(crate) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }
}

/// One of the media types that a scraper takes.
struct Accepted {
    format: Option<Format>,
    quality: f32,
}

impl Accepted {
    fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut version, mut quality) = (None, 1.0);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            match &*name {
                "version" => version = Some(value),
                // What cannot be read is not preferred.
                "q" => quality = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        let format = match (&*media_type, version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => Some(Format::OpenMetrics),
            ("text/plain", None | Some("0.0.4")) => Some(Format::Text),
            _ => None,
        };
        Self { format, quality }
    }
}
