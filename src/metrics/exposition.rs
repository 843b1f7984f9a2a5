//! Writes metrics in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats>). Pure.

use std::fmt::Write;

use crate::instruments::{CounterSet, Histogram, Label};

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends with `_total`.
    Counter,
    /// It grows and shrinks.
    Gauge,
}

/// Names of labels, with their values.
type Labels<'l> = &'l [(&'l str, &'l str)];

/// The text of all metrics.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Adds a metric without labels.
    pub fn one(&mut self, kind: Kind, name: &str, help: &str, value: f64) {
        self.family(kind, name, help);
        self.sample(name, &[], value);
    }

    /// Begins a metric whose samples follow.
    pub fn family(&mut self, kind: Kind, name: &str, help: &str) {
        self.describe(name, help, if kind == Kind::Counter { "counter" } else { "gauge" });
    }

    /// Adds a sample of the metric that was begun.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a String cannot fail.
            write!(self.0, "{before}{label}=\"{text}\"").ok();
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{end} {value}").ok();
    }

    /// Adds a counter for each value of `label`.
    pub fn counters<L: Label>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        set: &CounterSet<L>,
    ) {
        self.family(Kind::Counter, name, help);
        for (value, count) in set.iter() {
            self.sample(name, &[(label, value.as_str())], count as f64);
        }
    }

    /// Adds a histogram for each value of `label`.
    pub fn histograms<'h, L: Label>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        histograms: impl Iterator<Item = (L, &'h Histogram)>,
    ) {
        self.describe(name, help, "histogram");
        for (value, histogram) in histograms {
            let own = (label, value.as_str());
            let mut count = 0;
            for (bound, up_to) in histogram.cumulative() {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
                self.sample(&format!("{name}_bucket"), &[own, ("le", &bound)], up_to as f64);
                count = up_to;
            }
            self.sample(&format!("{name}_sum"), &[own], histogram.sum());
            self.sample(&format!("{name}_count"), &[own], count as f64);
        }
    }

    /// Returns the text.
    pub fn finish(self) -> String {
        self.0
    }

    fn describe(&mut self, name: &str, help: &str, kind: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruments::{HistogramSet, Outcome};
    use std::time::Duration;

    #[test]
    fn metrics_are_as_prometheus_reads_them() {
        let mut text = Exposition::default();
        text.one(Kind::Gauge, "a_active", "Some.", 2.5);
        text.family(Kind::Counter, "b_total", "Others.");
        text.sample("b_total", &[("x", "a\"\\\n"), ("y", "")], 3.0);
        let histograms = HistogramSet::<Outcome>::new(&[0.5]);
        histograms.of(Outcome::Ok).observe(Duration::from_millis(250));
        histograms.of(Outcome::Ok).observe(Duration::from_millis(1000));
        text.histograms(("c_seconds", "result"), "Times.", histograms.iter().take(1));
        let expected = "# HELP a_active Some.\n# TYPE a_active gauge\na_active 2.5\n\
            # HELP b_total Others.\n# TYPE b_total counter\nb_total{x=\"a\\\"\\\\\\n\",y=\"\"} 3\n\
            # HELP c_seconds Times.\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{result=\"ok\",le=\"0.5\"} 1\nc_seconds_bucket{result=\"ok\",le=\"+Inf\"} 2\n\
            c_seconds_sum{result=\"ok\"} 1.25\nc_seconds_count{result=\"ok\"} 2\n";
        assert_eq!(text.finish(), expected);
    }
}
