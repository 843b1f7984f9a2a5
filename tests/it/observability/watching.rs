//! The shipped alerts and the shipped dashboard name metrics, labels and values that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use ytcanal::resolve::MAX_AGE;

use super::metrics::Samples;
use crate::support::daemon::Daemon;
use crate::support::{run, ytdlp};

/// Labels that Prometheus adds, or that a histogram has.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// The values of each label of each metric.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn series() -> Series {
    let config = format!("[resolver]\ncommand = {:?}\n", ytdlp::command());
    let text = Daemon::start(&config).get("/metrics").text();
    let mut series = Series::new();
    for sample in Samples::parse(&text).0.keys() {
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let of_name = series.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap();
            of_name.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    // Prometheus makes this one.
    series.insert("up".into(), BTreeMap::new());
    series
}

/// What an expression names that there is not.
fn unknown(expression: &str, series: &Series) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known_labels: BTreeSet<&str> = ADDED.into();
    let mut names = 0;
    for (at, name) in words(expression) {
        if !(name.starts_with("ytcanal_") || name.starts_with("process_") || name == "up") {
            continue;
        }
        names += 1;
        let Some(labels) = series.get(name) else {
            wrong.push(name.to_owned());
            continue;
        };
        known_labels.extend(labels.keys().map(String::as_str));
        let rest = &expression[at + name.len()..];
        let Some(matchers) = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()) else {
            continue;
        };
        for matcher in matchers.split("\",") {
            let (label, value) = matcher.split_once('=').unwrap();
            let label = label.trim();
            if ADDED.contains(&label) {
                continue;
            }
            let values = labels.get(label);
            let value = value.trim_start_matches('~').trim_matches('"');
            for value in value.split('|') {
                let is_known = |known: &String| match value.strip_suffix(".+") {
                    Some(begin) => known.starts_with(begin),
                    None => known == value,
                };
                if !values.is_some_and(|values| values.iter().any(is_known)) {
                    wrong.push(format!("{name}{{{label}=\"{value}\"}}"));
                }
            }
        }
    }
    if names == 0 {
        wrong.push(format!("no metric in {expression}"));
    }
    for group in expression.split("by (").skip(1) {
        for label in group.split(')').next().unwrap().split(',').map(str::trim) {
            if !known_labels.contains(label) {
                wrong.push(format!("by ({label})"));
            }
        }
    }
    wrong
}

/// The words of an expression, with their places.
fn words(expression: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(move |c| !is_part(c)).filter(|word| !word.is_empty());
    words.map(move |word| (word.as_ptr() as usize - expression.as_ptr() as usize, word))
}

#[test]
fn what_is_not_there_is_found() {
    let series = series();
    for (wrong, expected) in [
        ("rate(ytcanal_films_total[5m])", "ytcanal_films_total"),
        ("ytcanal_slots{limit=\"stream\"}", "ytcanal_slots{limit=\"stream\"}"),
        ("ytcanal_slots{limits=\"streams\"}", "ytcanal_slots{limits=\"streams\"}"),
        (
            "ytcanal_streams_ended_total{result=~\"internal|film-.+\"}",
            "ytcanal_streams_ended_total{result=\"film-.+\"}",
        ),
        ("sum by (route) (ytcanal_slots)", "by (route)"),
        ("sum(up2)", "no metric in sum(up2)"),
    ] {
        assert_eq!(unknown(wrong, &series), [expected], "{wrong}");
    }
    let fine = "sum by (le, engine) (rate(ytcanal_first_byte_seconds_bucket{engine=\"splice\", job=\"x\"}[5m]))";
    assert!(unknown(fine, &series).is_empty());
}

#[test]
fn alerts_are_about_what_there_is() {
    let file = shipped("alerts.yml");
    let checked = run(Command::new("promtool").args(["check", "rules"]).arg(&file));
    assert!(checked.status.success(), "{checked:?}");
    let series = series();
    // An expression in one line, or folded in the lines below that are indented further.
    let text = fs::read_to_string(file).unwrap();
    let mut count = 0;
    for rule in text.split("- alert: ").skip(1) {
        let (_, rest) = rule.split_once("expr: ").unwrap();
        let mut lines = rest.lines();
        let first = lines.next().unwrap();
        let expression = match first {
            ">-" => lines
                .take_while(|line| line.starts_with("          "))
                .collect::<Vec<_>>()
                .join(" "),
            first => first.to_owned(),
        };
        assert_eq!(unknown(&expression, &series), [""; 0], "{expression}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
    // What counts as old is the same for the alert, for `ytcanal check` and for the web page.
    let age = format!("time() - ytcanal_resolver_release_timestamp_seconds > {MAX_AGE} * 86400\n");
    assert!(text.contains(&age), "no {age}");
    let operations = shipped("../docs/operations.md");
    let operations = fs::read_to_string(operations).unwrap();
    assert!(operations.contains(&format!("older than {MAX_AGE} days")));
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let series = series();
    let dashboard: Value =
        serde_json::from_slice(&fs::read(shipped("grafana-dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut shown = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap_or(&vec![]) {
            let expression = target["expr"].as_str().unwrap();
            assert_eq!(unknown(expression, &series), [""; 0], "{}", panel["title"]);
            // Grafana puts in its variables; Prometheus has to take the rest.
            let plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
            let rules = format!(
                "groups: [{{name: a, rules: [{{record: a, expr: {}}}]}}]",
                Value::from(plain)
            );
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("rules.yml");
            fs::write(&file, rules).unwrap();
            let checked = run(Command::new("promtool").args(["check", "rules"]).arg(&file));
            assert!(checked.status.success(), "{expression}: {checked:?}");
            shown.extend(words(expression).map(|(_, word)| word.to_owned()));
        }
    }
    // Nobody has to look elsewhere.
    let names = series.keys().filter(|name| name.starts_with("ytcanal_"));
    let metrics =
        names.filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)));
    let missing: Vec<_> = metrics.filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
}
