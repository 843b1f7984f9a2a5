//! Medians and how far the runs lie apart. It knows nothing of what the figures mean.

/// The middle of some runs, and their ends.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    /// Not a number when there were no runs.
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> =
            figures.into_iter().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
            return Self { median: f64::NAN, least: f64::NAN, most: f64::NAN };
        };
        // The two in the middle, which are one if the count is odd.
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Self { median: (low + high) / 2.0, least: *least, most: *most }
    }

    /// The median with the ends in brackets if they differ, or a dash.
    pub(crate) fn with_ends(&self) -> String {
        if self.median.is_nan() || self.least == self.most {
            return self.alone();
        }
        format!("{} ({}–{})", short(self.median), short(self.least), short(self.most))
    }

    /// The median alone, or a dash.
    pub(crate) fn alone(&self) -> String {
        short(self.median)
    }
}

/// Three figures or so: what the clock can tell, and no more.
pub(crate) fn short(figure: f64) -> String {
    let decimals = match figure.abs() {
        _ if figure.is_nan() => return "–".into(),
        ..0.1 => 3,
        0.1..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}
