//! Page links, read by the real yt-dlp.

use serde_json::Value;

use super::Shell;
use crate::support::ytdlp::{self, FILM, Site, download_path, path_of};

#[test]
fn a_page_is_listed_and_downloaded() {
    let site = Site::start();
    let (daemon, shell) = (ytdlp::daemon(""), Shell::with(&ytdlp::config(&[], "")));
    let link = site.page_url(FILM);

    let shown = shell.run("info", &[&link]);
    assert_eq!(shown.status, Some(0), "{shown:?}");
    let table = String::from_utf8(shown.stdout).unwrap();
    println!("{table}");
    for word in ["QUALITY", "1080", "mp4", "webm", "audio", "Audio alone: "] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
    let shown = shell.run("info", &["--json", &link]);
    let expected = daemon.get(&path_of("info", &link, &[])).body;
    let [shown, expected] = [&shown.stdout, &expected]
        .map(|bytes| serde_json::from_slice::<Value>(bytes).expect("JSON"));
    assert_eq!(shown, expected);

    let answer = daemon.get(&download_path(&link, &[("quality", "1080"), ("container", "mp4")]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let ran = shell.get(&[&link, "-q", "1080", "-c", "mp4"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let name = String::from_utf8(ran.stdout).unwrap();
    let name = name.trim_end();
    assert_eq!(shell.files(), [name]);
    assert!(shell.read(name) == answer.body, "it is another file");

    for (command, link, status, word) in [
        ("get", site.page_url("private"), 4, "private"),
        ("info", site.page_url("private"), 4, "private"),
        ("info", "file:///etc/passwd".to_owned(), 2, "(bad-link)"),
        ("get", "https://nobody.invalid/".to_owned(), 3, "(unsupported-link)"),
    ] {
        let ran = shell.run(command, &[&link]);
        assert_eq!(ran.status, Some(status), "{command} {link}: {ran:?}");
        assert!(ran.stderr.to_lowercase().contains(word), "{command} {link}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{ran:?}");
    }
    assert!(!shell.has_leftovers());
}
