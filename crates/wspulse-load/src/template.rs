//! `Template`: text in which `{n}` and its like stand for what differs between clients.

use std::fmt::Write as _;

/// The places that a text may have. Other braces are what they are, so that JSON can be written as
/// it is.
const PLACES: [&str; 7] = ["{n}", "{room}", "{token}", "{run}", "{seq}", "{mark}", "{fill}"];

/// A text cut at its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// An index into [`PLACES`].
    Place(usize),
}

/// What stands in the places of one text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) n: usize,
    pub(crate) room: &'a str,
    pub(crate) token: &'a str,
    pub(crate) run: &'a str,
    pub(crate) seq: u64,
    pub(crate) mark: &'a str,
    pub(crate) fill: &'a str,
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let places = PLACES.iter().enumerate();
            let found = places.filter_map(|(index, place)| Some((rest.find(place)?, index))).min();
            let Some((at, index)) = found else { break };
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            parts.push(Part::Place(index));
            rest = &rest[at + PLACES[index].len()..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Self { parts }
    }

    /// Whether the text has this place, written with its braces.
    pub(crate) fn has(&self, place: &str) -> bool {
        let is_it = |part: &Part| matches!(part, Part::Place(index) if PLACES[*index] == place);
        self.parts.iter().any(is_it)
    }

    pub(crate) fn fill(&self, fields: &Fields<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Place(index) => {
                    // Writing to a string does not fail.
                    let _ = match PLACES[*index] {
                        "{n}" => write!(out, "{}", fields.n),
                        "{room}" => out.write_str(fields.room),
                        "{token}" => out.write_str(fields.token),
                        "{run}" => out.write_str(fields.run),
                        "{seq}" => write!(out, "{}", fields.seq),
                        "{mark}" => out.write_str(fields.mark),
                        _ => out.write_str(fields.fill),
                    };
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let template = Template::new(r#"{"n":{n},"to":"{room}","x":{},"again":{n}}"#);

        let text = template.fill(&Fields { n: 7, room: "attic", ..Fields::default() });

        assert_eq!(text, r#"{"n":7,"to":"attic","x":{},"again":7}"#);
    }

    #[test]
    fn a_text_knows_its_places() {
        let template = Template::new("a{mark}");

        assert!(template.has("{mark}") && !template.has("{fill}"));
    }
}
