//! A picture in SVG, element by element.
//!
//! Written by hand: what a chart library takes off one's hands are axes, ticks and legends, and
//! those of a scale of nines, of powers of two, and at the ends of lines are our own anyway.

use super::style::{Emphasis, INK, Marker, PAPER};

const FONTS: &str =
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// How wide a letter is in the mean, in parts of the font's size. Fonts differ between readers, so
/// this is that of a wide one.
const LETTER_WIDTH: f64 = 0.6;

/// A point in pixels, from the left and from the top.
pub(crate) type Position = (f64, f64);

/// A picture that is being drawn.
#[derive(Debug)]
pub(crate) struct Canvas {
    width: f64,
    height: f64,
    title: String,
    elements: Vec<String>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stroke {
    pub(crate) colour: &'static str,
    pub(crate) width: f64,
    pub(crate) opacity: f64,
    /// The lengths of dashes and gaps, as SVG wants them.
    pub(crate) dashes: &'static str,
}

/// How an area is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) colour: &'static str,
    pub(crate) opacity: f64,
}

/// A piece of text.
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    content: &'a str,
    size: f64,
    colour: &'static str,
    anchor: &'static str,
    weight: u16,
    turned: bool,
    note: Option<&'a str>,
}

impl Canvas {
    /// An empty picture.
    pub(crate) fn new(title: &str, width: f64, height: f64) -> Self {
        Self { width, height, title: escape(title), elements: Vec::new() }
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: Position, to: Position, stroke: Stroke) {
        self.polyline(&[from, to], stroke);
    }

    /// A line through these points.
    pub(crate) fn polyline(&mut self, points: &[Position], stroke: Stroke) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let Stroke { colour, width, opacity, dashes } = stroke;
        self.elements.push(format!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}" stroke-dasharray="{dashes}" stroke-linejoin="round" stroke-linecap="round"/>"#,
            points.join(" ")
        ));
    }

    /// A filled rectangle.
    pub(crate) fn rectangle(&mut self, (x, y): Position, (width, height): (f64, f64), fill: Fill) {
        let Fill { colour, opacity } = fill;
        self.elements.push(format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{colour}" fill-opacity="{opacity}"/>"#
        ));
    }

    /// A mark at a point, with a rim that sets it apart from the lines that it lies on.
    pub(crate) fn marker(&mut self, at: Position, marker: Marker, radius: f64, fill: &str) {
        let (x, y) = at;
        let attributes = format!(r#"fill="{fill}" stroke="{PAPER}" stroke-width="1""#);
        let corners = match marker {
            Marker::Circle => {
                self.elements.push(format!(
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" {attributes}/>"#
                ));
                return;
            }
            Marker::Square => vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Marker::Triangle => vec![(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
            Marker::Inverted => vec![(0.0, 1.2), (1.15, -0.85), (-1.15, -0.85)],
            Marker::Diamond => vec![(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        };
        let place = |(right, down)| format!("{:.1},{:.1}", x + radius * right, y + radius * down);
        let points: Vec<String> = corners.into_iter().map(place).collect();
        self.elements.push(format!(r#"<polygon points="{}" {attributes}/>"#, points.join(" ")));
    }

    /// Text, vertically centred at a point.
    pub(crate) fn text(&mut self, (x, y): Position, text: &Text<'_>) {
        let Text { content, size, colour, anchor, weight, turned, note } = text;
        let turn = if *turned {
            format!(r#" transform="rotate(-90 {x:.1} {y:.1})""#)
        } else {
            String::new()
        };
        let note = note.map_or_else(String::new, |note| {
            format!(r#"<tspan dx="7" font-weight="400" fill="{INK}">{}</tspan>"#, escape(note))
        });
        self.elements.push(format!(
            r#"<text x="{x:.1}" y="{y:.1}" dy="0.35em" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{colour}"{turn}>{}{note}</text>"#,
            escape(content)
        ));
    }

    /// The picture as the text of an SVG file.
    pub(crate) fn finish(self) -> String {
        let Self { width, height, title, elements } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}" font-family="{FONTS}">
<title>{title}</title>
<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>
{}
</svg>
"#,
            elements.join("\n")
        )
    }
}

impl Stroke {
    /// An opaque line.
    pub(crate) const fn new(colour: &'static str, width: f64) -> Self {
        Self { colour, width, opacity: 1.0, dashes: "none" }
    }

    /// The same line, but dashed.
    pub(crate) const fn dashed(self) -> Self {
        Self { dashes: "2 5", ..self }
    }

    /// The same line, but paler.
    pub(crate) const fn pale(self) -> Self {
        Self { opacity: 0.5, ..self }
    }
}

impl<'a> Text<'a> {
    /// Text that starts at its point.
    pub(crate) const fn new(content: &'a str, size: f64, colour: &'static str) -> Self {
        Self { content, size, colour, anchor: "start", weight: 400, turned: false, note: None }
    }

    /// Has its middle at its point.
    pub(crate) const fn centred(self) -> Self {
        Self { anchor: "middle", ..self }
    }

    /// Ends at its point.
    pub(crate) const fn ending(self) -> Self {
        Self { anchor: "end", ..self }
    }

    /// Has this weight.
    pub(crate) const fn emphasised(self, emphasis: Emphasis) -> Self {
        match emphasis {
            Emphasis::Strong => Self { weight: 700, ..self },
            Emphasis::Plain | Emphasis::Bound => self,
        }
    }

    /// Runs upwards.
    pub(crate) const fn turned(self) -> Self {
        Self { turned: true, ..self }
    }

    /// Is followed by a word of explanation.
    pub(crate) const fn noted(self, note: Option<&'a str>) -> Self {
        Self { note, ..self }
    }
}

/// How wide a text is at most, about.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|_| LETTER_WIDTH * size).sum()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_the_picture() {
        let mut canvas = Canvas::new("\"a\" & b", 10.0, 10.0);
        canvas.text((1.0, 2.0), &Text::new("<script>", 12.0, INK).noted(Some("<b>")));

        let svg = canvas.finish();

        assert!(svg.contains(r#"aria-label="&quot;a&quot; &amp; b""#), "{svg}");
        assert!(svg.contains("&lt;script&gt;<tspan"), "{svg}");
        assert!(svg.contains(">&lt;b&gt;</tspan>"), "{svg}");
    }
}
