//! Which figures the picture shows: four panels, a group for each system, a colour for each film.

use crate::compare::{Entry, Standing};
use crate::plot::{self, Panel};
use crate::report;

pub(crate) fn draw(machine: &str, standings: &[Standing]) -> String {
    let series: Vec<String> = standings
        .iter()
        .map(|standing| format!("{} ({} MB)", standing.title, standing.joined / 1_000_000))
        .collect();
    let panel = |title, of: &dyn Fn(&Standing, &Entry) -> f64| {
        let entries = standings.first().map_or(&[][..], |standing| &standing.entries);
        let row = |index: usize| standings.iter().map(|s| of(s, &s.entries[index])).collect();
        let rows = entries.iter().enumerate().map(|(index, e)| (label(e), row(index)));
        Panel { title, rows: rows.collect() }
    };
    let fastest = |standing: &Standing| {
        standing.entries.iter().map(|entry| entry.wall().median).fold(f64::INFINITY, f64::min)
    };
    let panels = [
        panel("First byte, ms", &|_, entry| report::first(&entry.starts).median),
        panel("Time for the whole file, the fastest = 1", &|standing, entry| {
            entry.wall().median / fastest(standing)
        }),
        panel("CPU seconds per GB, with children", &|_, entry| entry.cpu().median),
        panel("Peak memory, MB, with children", &|_, entry| entry.peak().median),
    ];
    let entries = standings.iter().flat_map(|standing| &standing.entries);
    let below = match entries.filter_map(Entry::other_engine).next() {
        Some(engine) => format!("{machine} · * made by {engine}"),
        None => machine.to_owned(),
    };
    plot::draw("From two URLs to one file (axes are logarithmic)", &below, &series, &panels)
}

fn label(entry: &Entry) -> String {
    format!("{}{}", entry.system, entry.other_engine().map_or("", |_| "*"))
}
