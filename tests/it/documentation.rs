//! The documentation agrees with the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ytcanal::problem_code::ProblemCode;

/// What a newcomer reads before the first command has a limit.
const MAX_README_WORDS: usize = 1500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => files(&path, extension),
        Some(found) if found == extension => vec![path],
        _ => vec![],
    };
    paths.flat_map(below).collect()
}

/// The rows of the table of errors in docs/api.md.
fn documented() -> Vec<(u16, String)> {
    let api = text("docs/api.md");
    let (_, table) = api.split_once("| status | code | meaning | remedy |\n").expect("the table");
    let (table, _) = table.split_once("<!-- end -->").expect("the end of the table");
    let rows = table.lines().skip(1).flat_map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [statuses, code, meaning, remedy] = cells[..] else { panic!("cells of {row}") };
        assert!(!meaning.is_empty() && !remedy.is_empty(), "{row}");
        let code = code.trim_matches('`').to_owned();
        statuses
            .split(", ")
            .map(move |status| (status.parse().unwrap(), code.clone()))
            .collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn every_problem_code_is_documented_with_its_status() {
    let given = ProblemCode::ALL.iter().map(|code| (code.status(), code.as_str().to_owned()));
    // The state of a server without ffmpeg, as load balancers ask for it, has a status of its own.
    let ready = (503, ProblemCode::MuxerMissing.as_str().to_owned());
    let given: BTreeSet<_> = given.chain([ready]).collect();
    let rows = documented();
    let documented: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), documented.len(), "a row is there twice");
    let undocumented: Vec<_> = given.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&given).collect();
    assert!(undocumented.is_empty(), "docs/api.md lacks {undocumented:?}");
    assert!(unknown.is_empty(), "docs/api.md has {unknown:?}, which no error has");
}

/// Exactly once, with what it means and what each of both can do.
#[test]
fn every_problem_code_has_its_remedies() {
    let text = text("docs/troubleshooting.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut documented: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
            cells[0].trim_matches('`').to_owned()
        })
        .collect();
    documented.sort();
    let mut given: Vec<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    given.sort_unstable();
    assert_eq!(documented, given);
}

/// A key that a document names is one of the configuration.
#[test]
fn every_key_that_a_document_names_exists() {
    let (mut section, mut known) = (String::new(), BTreeSet::new());
    for line in text("config/ytcanal.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            known.insert(format!("{section}.{key}"));
        }
    }
    let sections: BTreeSet<_> = known.iter().filter_map(|key| key.split('.').next()).collect();
    let mut count = 0;
    for document in files(&root().join("docs"), "md").iter().chain(&[root().join("README.md")]) {
        let text = fs::read_to_string(document).unwrap();
        // Between backticks, with or without a value.
        for word in text.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').next()) {
            let Some((name, key)) = word.split_once('.') else { continue };
            let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if !name.is_empty() && sections.contains(name) && is_key && !key.is_empty() {
                assert!(known.contains(word), "{}: {word}", document.display());
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_readme_is_one_page() {
    let words = text("README.md").split_whitespace().count();
    assert!(words <= MAX_README_WORDS, "{words} words; move details to docs/");
}

/// Both the file and the heading that a relative link names exist.
#[test]
fn links_between_documents_lead_to_files() {
    let documents = files(&root().join("docs"), "md");
    let own = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name));
    let mut count = 0;
    for document in documents.iter().chain(&own) {
        let text = fs::read_to_string(document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") {
                continue;
            }
            let target = match path {
                "" => document.clone(),
                path => document.with_file_name(path),
            };
            assert!(target.is_file(), "{}: {link}", document.display());
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                let headings = target.lines().filter(|line| line.starts_with('#')).map(slug);
                assert!(headings.into_iter().any(|known| known == anchor), "{link}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

/// A newcomer finds every document by following links from README.
#[test]
fn every_document_is_linked() {
    let (mut found, mut open) = (BTreeSet::new(), vec![root().join("README.md")]);
    while let Some(document) = open.pop() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let Ok(target) = document.with_file_name(link).canonicalize() else { continue };
            let is_document = target.extension().is_some_and(|extension| extension == "md");
            if is_document && found.insert(target.clone()) {
                open.push(target);
            }
        }
    }
    for document in files(&root().join("docs"), "md") {
        let document = document.canonicalize().unwrap();
        assert!(found.contains(&document), "no link leads to {}", document.display());
    }
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
