//! The line on the web page about an old yt-dlp.

use std::fs;
use std::path::Path;

use time::{Duration, OffsetDateTime};
use ytcanal::resolve::MAX_AGE;

use crate::support::daemon::{Daemon, script};
use crate::support::ytdlp::path_of;

/// Puts a command beside a package that was released so many days ago. It understands no page.
fn broken(directory: &Path, days: i64) -> std::path::PathBuf {
    let [bin, package] =
        ["bin", "lib/python3.13/site-packages/yt_dlp"].map(|name| directory.join(name));
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&package).unwrap();
    let date = (OffsetDateTime::now_utc() - Duration::days(days)).date();
    let version = format!("{}.{:02}.{:02}", date.year(), u8::from(date.month()), date.day());
    fs::write(package.join("version.py"), format!("__version__ = '{version}'\n")).unwrap();
    script(&bin, "exit 0")
}

#[test]
fn the_page_says_so_where_an_old_one_fails() {
    for (days, is_old) in [(MAX_AGE + 15, true), (MAX_AGE - 15, false)] {
        let directory = tempfile::tempdir().unwrap();
        let command = broken(directory.path(), days);
        let daemon = Daemon::start(&format!("[resolver]\ncommand = {command:?}\n"));
        let is_told = || daemon.good("/").text().contains("the yt-dlp of this server is ");
        assert!(!is_told(), "{days} days old: no page has failed yet");
        let answer = daemon.get(&path_of("info", "https://a.example/", &[]));
        assert_eq!(answer.code(), "extractor-broken", "{}", answer.text());
        assert_eq!(is_told(), is_old, "{days} days old");
    }
}
