//! What a request asks for. It is in the query alone, so that the page and all that it loads have one
//! path, whichever that is, and whatever a framework has taken off its front.

use std::borrow::Cow;

use http::Uri;

/// The pairs of a query, of which the first names what is wanted.
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(crate) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// What is wanted; empty for the page.
    pub(crate) fn wanted(&self) -> &'a str {
        self.0.split('&').next().unwrap_or_default()
    }

    /// The first parameter of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|text| !text.is_empty()).map(Cow::into_owned)
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}
