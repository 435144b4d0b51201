//! The files of the page, as they are in `page/`.

use wspulse::http::Response;

use crate::answer;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// By what the page's links have in their query.
const ASSETS: [(&str, &str, &str); 8] = [
    ("", HTML, include_str!("page/index.html")),
    ("style.css", CSS, include_str!("page/style.css")),
    ("app.js", JAVASCRIPT, include_str!("page/app.js")),
    ("charts.js", JAVASCRIPT, include_str!("page/charts.js")),
    ("lists.js", JAVASCRIPT, include_str!("page/lists.js")),
    ("live.js", JAVASCRIPT, include_str!("page/live.js")),
    ("detail.js", JAVASCRIPT, include_str!("page/detail.js")),
    ("dom.js", JAVASCRIPT, include_str!("page/dom.js")),
];

pub(crate) fn find(name: &str) -> Option<Response> {
    let (_, content_type, body) = ASSETS.iter().find(|(known, ..)| *known == name)?;
    Some(answer::asset(content_type, body))
}
