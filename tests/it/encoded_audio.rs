//! Files of sound alone: tags, covers, lengths, ranges, and what the client sees when something fails.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::answer::Answer;
use crate::support::client::ask;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::origin::Origin;
use crate::support::resource::Resource;

mod copies;
mod exact;
mod faults;
mod recipes;
mod tags;

/// A site whose pages a stand-in for yt-dlp reads, and a daemon that calls it.
struct Site {
    daemon: Daemon,
    origin: Origin,
    directory: TempDir,
}

impl Site {
    fn start() -> Site {
        Site::start_with("")
    }

    /// With more of `[upstream]`, and sections before it.
    fn start_with(more: &str) -> Site {
        let origin = Origin::start();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("yt-dlp-stand-in");
        let pages = directory.path().display();
        let text = format!(
            "#!/bin/sh\nfor link; do :; done\ncase \"$link\" in\n--version) echo 2026.10.26 ;;\n\
             *) exec cat {pages}/\"${{link##*/}}\".json ;;\nesac\n"
        );
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "[limits]\nstreams = 64\nstreams_per_client = 64\nencoders = 64\nencoders_per_client = 64\n\
             {LOOPBACK}{more}[resolver]\ncommand = {file:?}\nfork_server = false\nfailure_ttl = \"0s\"\n"
        );
        Site { daemon: Daemon::start(&config), origin, directory }
    }

    /// Puts a page with this sound there, and perhaps a thumbnail.
    fn put(&self, name: &str, sound: Resource, codec: &str, thumbnail: Option<Resource>) {
        let extension = match codec {
            "aac" => "m4a",
            other => other,
        };
        let url = self.origin.put(&format!("{name}.sound"), sound);
        let thumbnail = thumbnail.map(|image| self.origin.put(&format!("{name}.image"), image));
        let codec = if codec == "aac" { "mp4a.40.2" } else { codec };
        let page = json!({
            "_type": "video", "id": name, "extractor": "site", "extractor_key": "Site",
            "title": TITLE, "uploader": ARTIST, "upload_date": "20260501",
            "webpage_url": self.origin.url(name), "thumbnail": thumbnail,
            "formats": [{
                "format_id": "1", "url": url, "protocol": "http", "ext": extension,
                "vcodec": "none", "acodec": codec,
            }],
        });
        std::fs::write(self.directory.path().join(format!("{name}.json")), page.to_string())
            .unwrap();
    }

    /// The path of a download with these parameters.
    fn path(&self, name: &str, parameters: &str) -> String {
        let link = self.origin.url(name).replace(':', "%3A").replace('/', "%2F");
        format!("/download?url={link}&{parameters}")
    }

    fn get(&self, name: &str, parameters: &str) -> Answer {
        self.daemon.get(&self.path(name, parameters))
    }

    /// The complete file; anything else fails the test.
    fn good(&self, name: &str, parameters: &str) -> Answer {
        self.daemon.good(&self.path(name, parameters))
    }

    fn head(&self, name: &str, parameters: &str) -> Answer {
        ask(self.daemon.address(), "HEAD", &self.path(name, parameters), "")
    }

    /// A part of the file, with this Range, and perhaps more fields.
    fn part(&self, name: &str, parameters: &str, fields: &str) -> Answer {
        ask(self.daemon.address(), "GET", &self.path(name, parameters), fields)
    }
}

const TITLE: &str = "Canals & locks: \u{fc}ber = \"alles\"; #1";
const ARTIST: &str = "Somebody";

/// A resource as media servers have it.
fn served(file: &Path) -> Resource {
    Resource::file(file).ranges().keep_alive().etag("\"sound\"")
}

/// The length that a response tells.
fn length(answer: &Answer) -> Option<u64> {
    answer.head.header("Content-Length").map(|length| length.parse().unwrap())
}

/// Writes the body of an answer to a file.
fn stored(answer: &Answer, directory: &Path, extension: &str) -> PathBuf {
    let file = directory.join(format!("sound.{extension}"));
    std::fs::write(&file, &answer.body).unwrap();
    file
}

/// What ffprobe tells of a file.
fn probed(file: &Path) -> Value {
    let output = crate::support::run(
        std::process::Command::new("ffprobe")
            .args(["-v", "error", "-show_format", "-show_streams", "-of", "json"])
            .arg(file),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The samples of a file, as ffmpeg decodes it, with 16 bits each.
fn samples(file: &Path, channels: u32) -> Vec<u8> {
    let output = crate::support::run(
        std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(file)
            .args(["-map", "0:a:0", "-ac", &channels.to_string(), "-f", "s16le", "pipe:1"]),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
