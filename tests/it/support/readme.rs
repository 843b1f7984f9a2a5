//! Tables that tests make and the README shows.

use std::path::Path;

/// The README must show this table of the test `name`; `YTCANAL_BLESS=1` puts it there.
pub(crate) fn compare(name: &str, table: &str) {
    println!("{table}");
    let begin =
        format!("<!-- made by the test `{name}`; YTCANAL_BLESS=1 puts a new one here -->\n");
    let end = "<!-- end -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(&begin).expect("the README has a place for the table");
    let (shown, after) = rest.split_once(end).expect("the table in the README has an end");
    if shown == table {
        return;
    }
    if std::env::var_os("YTCANAL_BLESS").is_some() {
        std::fs::write(&path, [before, &begin, table, end, after].concat()).unwrap();
        return;
    }
    let differing = shown.lines().zip(table.lines()).filter(|(shown, seen)| shown != seen);
    for (shown, seen) in differing {
        println!("README: {shown}\nseen:   {seen}");
    }
    panic!("the README shows another table; if this one is right: YTCANAL_BLESS=1 make it");
}
