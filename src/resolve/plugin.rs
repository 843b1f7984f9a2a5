//! The plugins of yt-dlp: one counts the periods of DASH manifests, and one keeps SponsorBlock from ending a reading.
//!
//! The fork server runs them itself; a command loads them from a directory of plugins, which each run has for itself:
//! what a page made yt-dlp write there would run in the readings of other pages.

use std::fs;
use std::io;
use std::path::Path;

/// The names of their files, and their sources.
pub(super) const PLUGINS: [(&str, &str); 2] = [
    ("dash_periods.py", include_str!("dash_periods.py")),
    ("sponsorblock.py", include_str!("sponsorblock.py")),
];
/// Where yt-dlp looks for modules in a directory of plugins.
const PACKAGE: &str = "ytcanal/yt_dlp_plugins/extractor";
/// The argument behind which the directory is named, before any of the operator.
const NO_OTHERS: &str = "--no-plugin-dirs";

/// Writes the plugins to a new directory in `parent`, and returns the arguments of a run with them.
pub(super) fn add(arguments: &[String], parent: &Path) -> io::Result<Vec<String>> {
    let directory = parent.join("plugins");
    let package = directory.join(PACKAGE);
    fs::create_dir_all(&package)?;
    for (name, source) in PLUGINS {
        fs::write(package.join(name), source)?;
    }
    let mut arguments = arguments.to_vec();
    if let Some(place) = arguments.iter().position(|argument| argument == NO_OTHERS) {
        let directory = directory.to_string_lossy().into_owned();
        arguments.splice(place + 1..place + 1, ["--plugin-dirs".into(), directory]);
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_loaded_before_what_the_operator_adds() {
        let parent = tempfile::tempdir().unwrap();
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let list = add(&words("-i --no-plugin-dirs -j --no-plugin-dirs -- x"), parent.path());
        let directory = parent.path().join("plugins");
        let expected = format!(
            "-i --no-plugin-dirs --plugin-dirs {} -j --no-plugin-dirs -- x",
            directory.display()
        );
        assert_eq!(list.unwrap(), words(&expected));
        assert!(PLUGINS.iter().all(|(name, _)| directory.join(PACKAGE).join(name).is_file()));
        assert_eq!(add(&words("--version"), parent.path()).unwrap(), words("--version"));
    }
}
