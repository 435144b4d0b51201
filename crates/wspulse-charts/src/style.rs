//! How subjects look: wspulse in a strong colour, its peers in quiet ones.

/// The colour of text and of what it belongs to.
pub(crate) const INK: &str = "#1f2328";
/// The colour of text that explains.
pub(crate) const QUIET_INK: &str = "#59636e";
/// The colour of axes.
pub(crate) const AXIS: &str = "#9aa4af";
/// The colour of the lines of a grid.
pub(crate) const GRID: &str = "#e6e9ed";
/// The colour behind everything, so that a plot can be read in a dark page too.
pub(crate) const PAPER: &str = "#ffffff";

/// Peers' colours: quiet, but dark enough for text on white.
const PEER_COLOURS: [&str; 9] = [
    "#3f74a8", "#2f7f79", "#7a5fa0", "#5f7f3a", "#6b7280", "#9a5a86", "#7d7030", "#4a5a86",
    "#8a6a4f",
];

/// Peers' markers. Their number has no divisor in common with that of the colours, so that together
/// they tell 36 peers apart.
const PEER_MARKERS: [Marker; 4] =
    [Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Inverted];

/// The colours of wspulse's variants: of its kind, but less strong.
const VARIANT_COLOURS: [&str; 2] = ["#c2671a", "#9c3a0c"];

/// How a subject looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The colour of its line, bar and name.
    pub colour: &'static str,
    /// What marks a point of its line. Colours alone do not reach everybody.
    pub marker: Marker,
    /// How strong it is drawn.
    pub emphasis: Emphasis,
}

/// The shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A circle.
    Circle,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle on its corner.
    Inverted,
}

/// Whether something should be seen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emphasis {
    /// It is.
    Strong,
    /// It is one of several.
    Plain,
    /// It is there to be measured by.
    Bound,
}

impl Style {
    /// The style of wspulse.
    pub const OURS: Self =
        Self { colour: "#d9480f", marker: Marker::Circle, emphasis: Emphasis::Strong };

    /// The style of what the machine and the load allow to who forwards each message at once.
    pub const LIMIT: Self =
        Self { colour: QUIET_INK, marker: Marker::Circle, emphasis: Emphasis::Bound };

    /// The style of what they allow to who sends what waits.
    pub const LIMIT_BATCHED: Self =
        Self { colour: INK, marker: Marker::Diamond, emphasis: Emphasis::Bound };

    /// The style of a variant of wspulse.
    pub fn variant(index: usize) -> Self {
        let colour = VARIANT_COLOURS[index % VARIANT_COLOURS.len()];
        Self { colour, marker: Marker::Circle, emphasis: Emphasis::Plain }
    }

    /// The style of a peer.
    pub fn peer(index: usize) -> Self {
        Self {
            colour: PEER_COLOURS[index % PEER_COLOURS.len()],
            marker: PEER_MARKERS[index % PEER_MARKERS.len()],
            emphasis: Emphasis::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_many_peers_look_the_same() {
        let looks = (0..36).map(Style::peer).map(|style| (style.colour, style.marker));
        let looks: Vec<_> = looks.collect();

        for (index, look) in looks.iter().enumerate() {
            assert!(!looks[..index].contains(look), "{look:?}");
        }
    }
}
