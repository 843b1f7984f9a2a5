//! A configuration file by its keys, so that two versions of it can be compared and combined.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;

use super::{Config, Invalid};

/// The keys of a configuration file and their values.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    values: Table,
}

impl ConfigFile {
    /// Reads and checks the file at `path`.
    pub fn read(path: &Path) -> Result<(ConfigFile, Config), Invalid> {
        let text = fs::read_to_string(path)
            .map_err(|error| Invalid(format!("cannot read {}: {error}", path.display())))?;
        let config = Config::parse(&text)
            .map_err(|Invalid(why)| Invalid(format!("{}: {why}", path.display())))?;
        let values = text.parse().map_err(|_| Invalid(format!("{}: no TOML", path.display())))?;
        Ok((ConfigFile { path: path.to_owned(), values }, config))
    }

    /// Reads the file again.
    pub fn reread(&self) -> Result<(ConfigFile, Config), Invalid> {
        ConfigFile::read(&self.path)
    }

    /// Returns the keys ("limits.streams") whose values mean something else in `newer`.
    pub fn changed_keys(&self, newer: &ConfigFile) -> Vec<String> {
        let own = self.config().ok();
        let all: BTreeSet<String> = keys(&self.values).chain(keys(&newer.values)).collect();
        let differs = |key: &String| {
            let values = |file: &ConfigFile| value(&file.values, key).cloned();
            values(self) != values(newer) && self.with(&[key], newer).config().ok() != own
        };
        all.into_iter().filter(differs).collect()
    }

    /// Returns this file with the values that these keys have in `newer`.
    pub fn with(&self, keys: &[impl AsRef<str>], newer: &ConfigFile) -> ConfigFile {
        let mut mixed = self.clone();
        for key in keys {
            set(&mut mixed.values, key.as_ref(), value(&newer.values, key.as_ref()).cloned());
        }
        mixed
    }

    /// Returns the configuration that the values make. The message of an error names no line.
    pub fn config(&self) -> Result<Config, Invalid> {
        Config::deserialize(self.values.clone()).map_err(|error| Invalid(error.to_string()))
    }
}

/// Returns the keys of a file, those of sections after the name of the section and a dot.
fn keys(values: &Table) -> impl Iterator<Item = String> {
    values.iter().flat_map(|(name, value)| match value.as_table() {
        Some(section) => section.keys().map(|key| format!("{name}.{key}")).collect(),
        None => vec![name.clone()],
    })
}

fn value<'t>(values: &'t Table, key: &str) -> Option<&'t toml::Value> {
    match key.split_once('.') {
        Some((section, key)) => values.get(section)?.get(key),
        None => values.get(key),
    }
}

/// Sets a key, or removes it.
fn set(values: &mut Table, key: &str, value: Option<toml::Value>) {
    let (table, key) = match key.split_once('.') {
        None => (values, key),
        Some((section, key)) => {
            let section = values.entry(section).or_insert_with(|| Table::new().into());
            let Some(section) = section.as_table_mut() else { return };
            (section, key)
        }
    };
    match value {
        Some(value) => table.insert(key.to_owned(), value),
        None => table.remove(key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ConfigFile {
        ConfigFile { path: PathBuf::new(), values: text.parse().unwrap() }
    }

    #[test]
    fn keys_differ_by_what_they_mean() {
        let before = file("listen = [\"127.0.0.1:8080\"]\n[limits]\nstreams = 64\nmuxers = 2\n");
        for (text, expected) in [
            // Defaults that are left out, and other ways to write the same.
            ("[limits]\nmuxers = 2\n[log]\nlevel = \"info\"", &[][..]),
            ("[limits]\nmuxers = 2\nhead_timeout = \"10000ms\"", &[]),
            ("", &["limits.muxers"]),
            ("listen = [\"127.0.0.1:80\"]\n[limits]\nmuxers = 2", &["listen"]),
            (
                "[log]\nlevel = \"debug\"\n[limits]\nmuxers = 2\nstreams = 3",
                &["limits.streams", "log.level"],
            ),
            ("[upstream]\nproxy = \"http://a:1\"\n[limits]\nmuxers = 2", &["upstream.proxy"]),
        ] {
            assert_eq!(before.changed_keys(&file(text)), expected, "{text}");
        }
    }

    #[test]
    fn some_values_are_taken_over() {
        let before = file("[limits]\nstreams = 3\nmuxers = 2\n[upstream]\ndeny = [\"a\"]");
        let after = file("[limits]\nmuxers = 1\nstreams = 9\n[log]\nlevel = \"off\"");
        let mixed = before.with(&["limits.muxers", "log.level", "upstream.deny"], &after);
        let config = mixed.config().unwrap();
        assert_eq!((config.limits.streams, config.limits.muxers), (3, 1));
        assert_eq!((config.log.level, config.upstream.deny), (log::LevelFilter::Off, Vec::new()));
        assert_eq!(mixed.changed_keys(&after), ["limits.streams"]);
    }

    #[test]
    fn a_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "[limits]\nstreams = 3").unwrap();
        let (file, config) = ConfigFile::read(&path).unwrap();
        assert_eq!((config.limits.streams, file.config().unwrap()), (3, config));
        fs::write(&path, "[limits]\nstreams = 0").unwrap();
        let error = file.reread().unwrap_err().to_string();
        assert!(error.contains("a.toml") && error.contains("line 2"), "{error}");
    }
}
