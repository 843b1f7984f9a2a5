//! The table: medians, their spread, and ratios to the first column, as plain text.
//!
//! It knows nothing of what the figures mean.

use std::fmt::{self, Display};
use std::fs;
use std::process::Command;
use std::thread;

use crate::Outcome;

pub(crate) struct Table {
    systems: [&'static str; 3],
    lines: Vec<Line>,
}

enum Line {
    Section(String),
    Row(&'static str, [Cell; 3]),
}

impl Table {
    /// The first of these systems is the one that the others are compared with.
    pub(crate) fn new(systems: [&'static str; 3]) -> Self {
        Self { systems, lines: Vec::new() }
    }

    pub(crate) fn section(&mut self, title: String) {
        self.lines.push(Line::Section(title));
    }

    pub(crate) fn row(&mut self, what: &'static str, cells: [Cell; 3]) {
        self.lines.push(Line::Row(what, cells));
    }
}

pub(crate) struct Cell {
    text: String,
    median: Option<f64>,
}

impl Cell {
    pub(crate) fn text(text: String) -> Self {
        Self { text, median: None }
    }

    pub(crate) fn none() -> Self {
        Self::text("-".into())
    }

    pub(crate) fn of<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> Self {
        Self::of_some(runs, |run| Some(figure(run)))
    }

    /// The runs that have no such figure are left out.
    pub(crate) fn of_some<T>(runs: &[T], figure: impl Fn(&T) -> Option<f64>) -> Self {
        let mut figures: Vec<f64> =
            runs.iter().filter_map(figure).filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (figures.first(), figures.last()) else {
            return Self::none();
        };
        let half = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[half]
        } else {
            (figures[half - 1] + figures[half]) / 2.0
        };
        let text = match figures.len() {
            1 => short(median),
            _ => format!("{} ({}–{})", short(median), short(*least), short(*most)),
        };
        Self { text, median: Some(median) }
    }

    fn ratio(&self, to: &Self) -> String {
        match (self.median, to.median) {
            (Some(own), Some(other)) if other > 0.0 => format!("{:.2}", own / other),
            _ => String::new(),
        }
    }
}

/// Three figures or so: what the clock can tell, and no more.
fn short(figure: f64) -> String {
    let decimals = match figure {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.systems.map(|name| Cell::text(name.into()));
        writeln!(f, "{}", columns("", &head, ["ratio"; 2]))?;
        for line in &self.lines {
            match line {
                Line::Section(title) => writeln!(f, "\n{title}")?,
                Line::Row(what, cells) => {
                    let ratios = [1, 2].map(|index| cells[index].ratio(&cells[0]));
                    writeln!(f, "{}", columns(what, cells, ratios))?;
                }
            }
        }
        Ok(())
    }
}

/// One line: what it is, then a column for each system, the second and third with their ratios.
fn columns(what: &str, [base, first, second]: &[Cell; 3], ratios: [impl Display; 2]) -> String {
    let [base, first, second] = [&base.text, &first.text, &second.text];
    let [near, far] = ratios.map(|ratio| ratio.to_string());
    let line = format!("  {what:30}{base:>20}{first:>20}{near:>7}{second:>20}{far:>7}");
    line.trim_end().to_owned()
}

/// The machine and the tools, without which no figure means anything.
pub(crate) fn machine() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let cores = thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let said = String::from_utf8(Command::new("ffmpeg").arg("-version").output()?.stdout)?;
    let ffmpeg = said.split_whitespace().nth(2).unwrap_or("of unknown version");
    Ok(format!("{model}, {cores} cores · Linux {} · ffmpeg {ffmpeg}\n", kernel.trim()))
}
