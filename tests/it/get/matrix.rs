//! The faults of the theme `matrix`, through `get`: the file is identical, or there is none and the status says why.

use std::sync::Mutex;

use ytcanal::get::ExitStatus;
use ytcanal::problem_code::ProblemCode;

use super::{Ran, Shell};
use crate::matrix::{AtASeam, Cell, Media, Stage, for_each, settings};
use crate::support::daemon::Daemon;

/// A number that shares no divisor with that of the downloads of a row, so that a sample has every engine and moment.
const STRIDE: usize = 19;

/// One download of each row that makes sense, each another one.
fn sample(stage: &Stage) -> Vec<Cell<'_>> {
    let of_row = |row| {
        let mut cells = stage.row(row);
        let from = row * STRIDE % cells.len();
        cells.rotate_left(from);
        cells.into_iter().find(|cell| cell.resource().is_some()).expect("a fault makes sense once")
    };
    (0..stage.names().count()).map(of_row).collect()
}

/// A sample; `make corpus` has all.
#[test]
fn get_survives_a_fault_or_names_it() {
    let settings = settings();
    let daemon = Daemon::start(&settings[0]);
    let stage = Stage::new(&daemon);
    let is_all = std::env::var("YTCANAL_CORPUS").is_ok_and(|value| value == "all");
    let cells = if is_all { stage.cells() } else { sample(&stage) };
    let wrong = Mutex::new(Vec::new());
    for_each(cells, |cell| {
        let Some(media) = cell.faulty() else { return };
        let shell = Shell::with(&settings[usize::from(cell.moment == AtASeam)]);
        let result = outcome(cell, &shell, &media).and_then(|outcome| {
            println!("{cell}: {outcome}");
            // Nothing of it is taken for a part of the true file.
            let ran = get(&shell, &cell.healthy(), true);
            if ran.status != Some(0) || !cell.is_whole(&shell.read(FILE)) {
                return Err(format!("{outcome}, then healthy: {ran:?}"));
            }
            Ok(())
        });
        let leftovers = shell.has_leftovers().then(|| "it leaves a directory".to_owned());
        let files = shell.files();
        let parts = (files != [FILE]).then(|| format!("there are {files:?}"));
        for why in result.err().into_iter().chain(leftovers).chain(parts) {
            wrong.lock().unwrap().push(format!("{cell}: {why}"));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const FILE: &str = "a.mp4";

fn get(shell: &Shell, media: &Media, force: bool) -> Ran {
    let [video, audio] = [("--video", &media.video), ("--audio", &media.audio)];
    let tracks = [video, audio].into_iter().filter_map(|(name, url)| Some([name, url.as_deref()?]));
    let options = media.options.iter().map(|(name, value)| (format!("--{name}"), *value));
    let options: Vec<_> = options.collect();
    let options = options.iter().map(|(name, value)| [name.as_str(), *value]);
    let mut arguments: Vec<_> = tracks.chain(options).flatten().collect();
    arguments.extend(["-o", FILE]);
    arguments.extend(force.then_some("--force"));
    shell.get(&arguments)
}

/// What is seen of a download; what is wrong with it.
fn outcome(cell: &Cell<'_>, shell: &Shell, media: &Media) -> Result<String, String> {
    let ran = get(shell, media, false);
    if ran.status == Some(0) {
        let is_whole = cell.is_whole(&shell.read(FILE));
        return if is_whole { Ok("same".into()) } else { Err("looks whole".into()) };
    }
    let code = ran.stderr.lines().find_map(|line| {
        let (_, code) = line.strip_prefix("ytcanal: ")?.strip_suffix(')')?.rsplit_once('(')?;
        ProblemCode::ALL.iter().find(|known| known.as_str() == code)
    });
    let Some(code) = code else { return Err(format!("no problem code: {ran:?}")) };
    // Neither the program nor the command line is to blame.
    let is_upstream = matches!(ran.status, Some(3..=6));
    if !is_upstream || ran.status != Some(ExitStatus::of_problem(*code).code().into()) {
        return Err(format!("another status: {ran:?}"));
    }
    if shell.path(FILE).exists() || !ran.stdout.is_empty() {
        return Err(format!("it looks complete: {ran:?}"));
    }
    Ok(format!("exit {}, {code}", ran.status.unwrap_or_default()))
}
