//! Which figures the picture shows: four panels for each section, a group of dots for each system, a colour for
//! each film.

use crate::compare::{Entry, Standing};
use crate::plot::{self, Panel, Part};
use crate::report;
use crate::section::Section;

pub(crate) fn draw(machine: &str, sections: &[Section]) -> String {
    // Every section has films of the first one, in its colours.
    let series = sections.first().map_or(&[][..], |section| &section.films);
    let colour = |film: &Standing| series.iter().position(|other| other.title == film.title);
    let parts = sections.iter().map(|section| Part {
        heading: format!("From an origin that speaks {}", section.scheme),
        series: section
            .films
            .iter()
            .map(|film| (legend(film), colour(film).unwrap_or(series.len())))
            .collect(),
        panels: panels(&section.films),
    });
    let parts: Vec<_> = parts.collect();
    let entries = sections.iter().flat_map(|section| &section.films).flat_map(|it| &it.entries);
    let below = match entries.filter_map(Entry::other_engine).next() {
        Some(engine) => format!("{machine} · * made by {engine}"),
        None => machine.to_owned(),
    };
    plot::draw("From two URLs to one file (axes are logarithmic)", &below, &parts)
}

fn panels(films: &[Standing]) -> [Panel; 4] {
    let panel = |title, of: &dyn Fn(&Standing, &Entry) -> f64| {
        let entries = films.first().map_or(&[][..], |standing| &standing.entries);
        let row = |index: usize| films.iter().map(|s| of(s, &s.entries[index])).collect();
        let rows = entries.iter().enumerate().map(|(index, e)| (label(e), row(index)));
        Panel { title, rows: rows.collect() }
    };
    let fastest = |standing: &Standing| {
        standing.entries.iter().map(|entry| entry.wall().median).fold(f64::INFINITY, f64::min)
    };
    [
        panel("First byte, ms", &|_, entry| report::first(&entry.starts).median),
        panel("Time for the whole file, the fastest = 1", &|standing, entry| {
            entry.wall().median / fastest(standing)
        }),
        panel("CPU seconds per GB, with children", &|_, entry| entry.cpu().median),
        panel("Peak memory, MB, with children", &|_, entry| entry.peak().median),
    ]
}

fn legend(film: &Standing) -> String {
    format!("{} ({} MB)", film.title, film.joined / 1_000_000)
}

fn label(entry: &Entry) -> String {
    format!("{}{}", entry.system, entry.other_engine().map_or("", |_| "*"))
}
