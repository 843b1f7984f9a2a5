//! A small writer of SVG: panels of dots on a logarithmic axis, a group of them for each row.
//!
//! It knows nothing of what the figures mean. Its colours are of a middle brightness and there is
//! no background, so that it can be read on a light page and on a dark one.

use crate::figures::short;

pub(crate) struct Part {
    pub(crate) heading: String,
    /// Their names and colours, of which there are a few.
    pub(crate) series: Vec<(String, usize)>,
    pub(crate) panels: [Panel; 4],
}

pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// A name, and a figure for each series; not a number where there is none.
    pub(crate) rows: Vec<(String, Vec<f64>)>,
}

const INK: &str = "#777d86";
const COLOURS: [&str; 5] = ["#4a8fdc", "#2fa37c", "#dd8a2f", "#c062a0", "#8b80d8"];
const FONT: &str = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\"";

// Lengths in pixels.
const COLUMN: f64 = 490.0;
const NAMES: f64 = 120.0;
/// For the figure behind the last dot.
const BEHIND: f64 = 44.0;
const PLOT: f64 = COLUMN - NAMES - BEHIND - 16.0;
const HEAD: f64 = 58.0;
/// The heading of a part, and the key to its series.
const KEY: f64 = 52.0;
const TITLE: f64 = 30.0;
const AXIS: f64 = 34.0;
const LANE: f64 = 10.5;
const GAP: f64 = 9.0;

/// Parts one below the other, each with a key to its series and panels in two columns.
pub(crate) fn draw(title: &str, below: &str, parts: &[Part]) -> String {
    let width = 2.0 * COLUMN;
    let height = HEAD + parts.iter().map(Part::height).sum::<f64>();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" {FONT} font-size=\"12\" fill=\"{INK}\">\n\
         <title>{}</title>\n",
        escape(title)
    );
    svg += &text(16.0, 22.0, "font-size=\"16\" font-weight=\"600\"", title);
    svg += &text(16.0, 40.0, "font-size=\"11\"", below);
    let mut top = HEAD;
    for part in parts {
        svg += &format!("<g transform=\"translate(0 {top})\">\n{}</g>\n", part.draw());
        top += part.height();
    }
    svg + "</svg>\n"
}

impl Part {
    /// Of the dots of a row.
    fn group(&self) -> f64 {
        LANE * self.series.len() as f64 + GAP
    }

    fn panel_height(&self) -> f64 {
        let rows = self.panels.iter().map(|panel| panel.rows.len()).max().unwrap_or(0);
        TITLE + rows as f64 * self.group() + AXIS
    }

    fn height(&self) -> f64 {
        KEY + self.panels.len().div_ceil(2) as f64 * self.panel_height()
    }

    fn draw(&self) -> String {
        let mut svg = text(16.0, 14.0, "font-size=\"14\" font-weight=\"600\"", &self.heading);
        let mut x = 16.0;
        for (name, colour) in &self.series {
            let colour = COLOURS[colour % COLOURS.len()];
            svg += &format!(
                "<rect x=\"{x}\" y=\"26\" width=\"11\" height=\"11\" rx=\"2\" fill=\"{colour}\"/>\n"
            );
            svg += &text(x + 16.0, 36.0, "", name);
            x += 44.0 + 7.0 * name.chars().count() as f64;
        }
        let colours: Vec<_> = self.series.iter().map(|(_, colour)| *colour).collect();
        for (index, panel) in self.panels.iter().enumerate() {
            let left = (index % 2) as f64 * COLUMN;
            let top = KEY + (index / 2) as f64 * self.panel_height();
            let panel = panel.draw(self.group(), &colours);
            svg += &format!("<g transform=\"translate({left} {top})\">\n{panel}</g>\n");
        }
        svg
    }
}

impl Panel {
    fn draw(&self, group: f64, colours: &[usize]) -> String {
        let axis = Axis::over(self.rows.iter().flat_map(|(_, figures)| figures));
        let bottom = TITLE + self.rows.len() as f64 * group;
        let mut svg = text(16.0, 16.0, "font-size=\"13\" font-weight=\"600\"", self.title);
        for tick in &axis.ticks {
            let x = axis.place(*tick);
            svg += &format!(
                "<path d=\"M{x:.1} {TITLE}V{bottom}\" stroke=\"{INK}\" stroke-opacity=\".28\"/>\n"
            );
            let label = format!("{tick:.3}");
            let label = label.trim_end_matches('0').trim_end_matches('.');
            svg += &text(x, bottom + 14.0, "font-size=\"10\" text-anchor=\"middle\"", label);
        }
        for (index, (name, figures)) in self.rows.iter().enumerate() {
            let top = TITLE + index as f64 * group + GAP / 2.0;
            let middle = top + (group - GAP) / 2.0;
            svg += &format!(
                "<path d=\"M{NAMES} {0:.1}H{1}\" stroke=\"{INK}\" stroke-opacity=\".28\"/>\n",
                top - GAP / 2.0,
                NAMES + PLOT
            );
            svg += &text(NAMES - 8.0, middle + 4.0, "text-anchor=\"end\"", name);
            for (index, (figure, colour)) in figures.iter().zip(colours).enumerate() {
                if figure.is_finite() {
                    let colour = COLOURS[colour % COLOURS.len()];
                    svg += &mark(axis.place(*figure), *figure, top + index as f64 * LANE, colour);
                }
            }
        }
        svg
    }
}

/// A dot, and its figure behind it.
fn mark(x: f64, figure: f64, top: f64, colour: &str) -> String {
    let y = top + LANE / 2.0;
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.8\" fill=\"{colour}\"/>\n")
        + &text(x + 7.0, y + 3.2, "font-size=\"9.5\"", &short(figure))
}

/// From figures to places on a line, logarithmically: what is compared differs by orders of magnitude.
struct Axis {
    least: f64,
    most: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn over<'a>(figures: impl Iterator<Item = &'a f64>) -> Self {
        let figures = figures.copied().filter(|figure| figure.is_finite() && *figure > 0.0);
        let (least, most) = figures.fold((f64::INFINITY, 0f64), |(least, most), figure| {
            (least.min(figure), most.max(figure))
        });
        if most == 0.0 {
            return Self { least: 1.0, most: 10.0, ticks: Vec::new() };
        }
        let decades = least.log10().floor() as i32..=most.log10().ceil() as i32;
        let round: Vec<f64> = decades
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(decade)))
            .collect();
        let least = round.iter().copied().rfind(|tick| *tick <= least).unwrap_or(least);
        let most = round.iter().copied().find(|tick| *tick > most).unwrap_or(most);
        let sparse = most / least > 300.0;
        let shown = |tick: &f64| {
            let is_power = (tick.log10() - tick.log10().round()).abs() < 1e-6;
            (least..=most).contains(tick) && (is_power || !sparse)
        };
        Self { least, most, ticks: round.into_iter().filter(shown).collect() }
    }

    fn place(&self, figure: f64) -> f64 {
        let share = (figure / self.least).ln() / (self.most / self.least).ln();
        NAMES + PLOT * share.clamp(0.0, 1.0)
    }
}

fn text(x: f64, y: f64, attributes: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>\n", escape(words))
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
