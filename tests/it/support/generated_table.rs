//! The tables in docs/reliability.md that tests generate.

use std::path::Path;

/// Fails unless docs/reliability.md has this table of the test `name`; `YTCANAL_BLESS=1` writes it.
pub(crate) fn compare(name: &str, table: &str) {
    println!("{table}");
    let begin =
        format!("<!-- made by the test `{name}`; YTCANAL_BLESS=1 puts a new one here -->\n");
    let end = "<!-- end -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).expect("a marker for the table in the document");
    let (documented, after) = rest.split_once(end).expect("the end of the table in the document");
    if documented == table {
        return;
    }
    if std::env::var_os("YTCANAL_BLESS").is_some() {
        std::fs::write(&path, [before, &begin, table, end, after].concat()).unwrap();
        return;
    }
    let differing = documented.lines().zip(table.lines()).filter(|(old, new)| old != new);
    for (old, new) in differing {
        println!("documented: {old}\nmeasured:   {new}");
    }
    panic!(
        "docs/reliability.md has another table; if this one is right, YTCANAL_BLESS=1 writes it"
    );
}
