//! Every fault of an upstream on every track, through every engine, at every moment: what the
//! client sees is the same bytes or a failure, never less that looks whole. A table of
//! docs/reliability.md is generated here.

mod cell;
mod scripts;

use std::collections::BTreeMap;
use std::sync::Mutex;

pub(crate) use cell::{Cell, Media, Stage};
use cell::{ENGINES, Engine};
pub(crate) use scripts::AtASeam;
use scripts::{MOMENTS, Moment};

use crate::support::daemon::Daemon;
use crate::support::{PATIENCE, abreast, generated_table};

/// Few retries, so that what lasts is found out soon, and short waits. Two: some faults are put
/// behind a cut, which takes one for itself.
const SETTINGS: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 128\nmuxers_per_client = 128\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nretries = 2\nstall_timeout = \"3s\"\n";
/// Most cells do nothing but wait.
const ABREAST: usize = 18;

/// The configurations for the moments other than a seam, and for that: one part a track behind the first, and parts as
/// short as they may be.
pub(crate) fn settings() -> [String; 2] {
    ["1GiB", "512KiB"].map(|chunk| format!("{SETTINGS}chunk = {chunk:?}\n"))
}

/// Works on many cells at a time.
pub(crate) fn for_each<'a>(
    cells: impl IntoIterator<Item = Cell<'a>>,
    work: impl Fn(&Cell<'a>) + Sync,
) {
    abreast(ABREAST, cells, |cell| work(&cell));
}

/// What the cells that differ only in their track show.
type Seen = BTreeMap<(usize, Engine, Moment, bool), Vec<String>>;

#[test]
fn every_fault_is_survived_or_seen() {
    let daemons = settings().map(|settings| Daemon::start(&settings));
    let baselines = daemons.each_ref().map(Daemon::baseline);
    let stage = Stage::new(&daemons[0]);
    let (seen, wrong) = (Mutex::new(Seen::new()), Mutex::new(Vec::new()));
    for_each(stage.cells(), |cell| {
        let daemon = &daemons[usize::from(cell.moment == AtASeam)];
        let Some(outcome) = cell.download(daemon) else { return };
        if outcome == LOOKS_WHOLE {
            wrong.lock().unwrap().push(cell.to_string());
        }
        let place = (cell.row, cell.engine, cell.moment, cell.lasting);
        seen.lock().unwrap().entry(place).or_default().push(outcome);
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "these looked whole and were not: {}", wrong.join(", "));
    for (daemon, baseline) in daemons.iter().zip(&baselines) {
        daemon.settles(baseline, PATIENCE);
    }
    let table = table(stage.names(), &seen.into_inner().unwrap());
    generated_table::compare("matrix", &table);
}

const LOOKS_WHOLE: &str = "looks whole";

/// As Markdown. Where once and always differ, both stand there.
fn table(names: impl Iterator<Item = &'static str>, seen: &Seen) -> String {
    let mut table = String::from("| the upstream |");
    for engine in ENGINES {
        let [first, others @ ..] = MOMENTS.map(Moment::name);
        table += &format!(" {}: {first} | {} |", engine.name(), others.join(" | "));
    }
    table += &format!("\n|{}\n", "---|".repeat(1 + ENGINES.len() * MOMENTS.len()));
    for (row, name) in names.enumerate() {
        table += &format!("| {name} |");
        for engine in ENGINES {
            for moment in MOMENTS {
                let [once, always] = [false, true].map(|lasting| {
                    let outcomes = seen.get(&(row, engine, moment, lasting));
                    outcomes.map_or("–".into(), |outcomes| one_word(outcomes))
                });
                let text = if once == always { once } else { format!("{once} · {always}") };
                table += &format!(" {text} |");
            }
        }
        table.push('\n');
    }
    table
}

/// Both tracks should fare alike; if they do not, it shows.
fn one_word(outcomes: &[String]) -> String {
    let mut words = outcomes.to_vec();
    words.sort();
    words.dedup();
    words.join(" or ")
}
