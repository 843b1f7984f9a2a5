//! A folder of media files in, a table out: each file alone, in pairs and in part, through every
//! engine, into every container, held against its source and against what `ffmpeg -c copy` does.
//!
//! `make corpus DIR=…` takes any folder; without one, all that the recipes make. The short form
//! takes some of the recipes, and asks for less of each.

mod ask;
mod baseline;
mod folder;
mod judge;
mod moov;
mod probe;
mod ranges;
mod recipes;
mod refusals;
mod report;
mod test_setup;

use std::path::Path;

use report::Report;
use test_setup::TestSetup;

use crate::support::number_from;

/// What makes the runner take a folder, or `all` that can be made.
const VARIABLE: &str = "YTCANAL_CORPUS";

#[test]
fn what_comes_in_comes_out_right() {
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let chosen = std::env::var(VARIABLE).unwrap_or_default();
    let subjects = match chosen.as_str() {
        "" => folder::short(),
        "all" => folder::generated(),
        folder => folder::found(Path::new(folder)),
    };
    let asks = if chosen.is_empty() { ask::few(&subjects) } else { ask::many(&subjects) };
    println!("{} files, {} requests", subjects.len(), asks.len());
    let outcomes = TestSetup::new(&subjects, seed).run(&asks);
    let report = Report::new(&subjects, &outcomes);
    println!("{}", report.summary());
    if chosen.is_empty() {
        println!("{}", report.faults());
    } else {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("corpus.md");
        std::fs::write(&file, report.whole()).unwrap();
        println!("{}\n{}", report.faults(), file.display());
    }
    assert!(report.is_clean(), "{} faults, see above", report.count_of_faults());
}
