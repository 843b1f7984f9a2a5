//! The layers of the library: each module imports only from modules above it in the table at the top
//! of `src/lib.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn no_module_imports_from_a_layer_below_its_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = fs::read_to_string(src.join("lib.rs")).unwrap();
    let order = in_table(&root);
    let declared = root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in declared {
        assert!(order.contains_key(module), "src/lib.rs: {module} is missing from the table");
    }
    let mut upwards = Vec::new();
    for file in files(&src) {
        let path = file.strip_prefix(&src).unwrap();
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = order.get(module) else { continue };
        for imported in imports(&fs::read_to_string(&file).unwrap()) {
            match order.get(imported.as_str()) {
                Some(layer) if layer <= own => {}
                Some(_) => upwards.push(format!("{} imports {imported}", path.display())),
                None => panic!("{}: there is no module {imported}", path.display()),
            }
        }
    }
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

/// The modules of the table, with their places in it.
fn in_table(root: &str) -> BTreeMap<&str, usize> {
    let rows = root.lines().filter_map(|line| line.strip_prefix("//! |"));
    let names =
        rows.flat_map(|row| row.split("[`").skip(1).filter_map(|rest| rest.split('`').next()));
    names.enumerate().map(|(place, name)| (name, place)).collect()
}

/// Source files that are not only for tests.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_test = ["tests", "tests.rs", "golden.rs", "crafted.rs"]
            .iter()
            .any(|name| path.ends_with(name));
        if is_test {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The top-level modules that the code of a file names, its tests and comments left out.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths =
        lines.flat_map(|line| line.split("crate::").skip(1).filter(|_| !line.contains("$crate")));
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    paths.map(name).collect()
}
