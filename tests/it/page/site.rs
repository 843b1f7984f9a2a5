//! A site whose pages a stand-in for yt-dlp reads, and a daemon that calls it: what the page under
//! test is used with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::chromium::Chromium;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::Resource;

/// The site and the daemon.
pub(super) struct Site {
    pub(super) daemon: Daemon,
    origin: Origin,
    _directory: TempDir,
}

/// The film's title, in which nothing may be taken for anything else.
pub(super) const TITLE: &str = "Canals <b>& locks</b>: a \"slow\" film from Göteborg";

impl Site {
    /// With files that are under this script.
    pub(super) fn start(script: impl Fn(Resource) -> Resource) -> Self {
        Self::start_with("", script)
    }

    /// As `start`, with a daemon that has this configuration, too.
    pub(super) fn start_with(more: &str, script: impl Fn(Resource) -> Resource) -> Self {
        let origin = Origin::start();
        let directory = tempfile::tempdir().unwrap();
        let page = directory.path().join("film.json");
        let film = film(&origin, script);
        std::fs::write(&page, film.to_string()).unwrap();
        let tongues = in_tongues(&origin, film);
        std::fs::write(directory.path().join("tongues.json"), tongues.to_string()).unwrap();
        let segments = directory.path().join("segments.json");
        std::fs::write(&segments, film_in_segments(&origin).to_string()).unwrap();
        let mut live = film_in_segments(&origin);
        live["live_status"] = json!("is_live");
        std::fs::write(directory.path().join("live.json"), live.to_string()).unwrap();
        std::fs::write(directory.path().join("list.json"), list(&origin).to_string()).unwrap();
        let command = stand_in(directory.path(), &page, &segments);
        let config = format!(
            "{more}{LOOPBACK}[resolver]\ncommand = {command:?}\nfork_server = false\nsponsorblock = [\"sponsor\"]\n"
        );
        Self { daemon: Daemon::start(&config), origin, _directory: directory }
    }

    /// The link to a page: `film`, `segments`, `live`, or a word that stands for what is wrong with it.
    pub(super) fn page_url(&self, page: &str) -> String {
        self.origin.url(page)
    }

    /// A Chromium that has the page before it.
    pub(super) fn open(&self) -> Chromium {
        let mut chromium = Chromium::start();
        chromium.observe();
        chromium.open(&self.daemon.url("/"));
        chromium
    }

    /// Makes sure that the page has asked nobody but its own server, and complained of nothing.
    pub(super) fn assert_clean(&self, chromium: &mut Chromium) {
        let own = self.daemon.address().to_string();
        let asked = chromium.asked();
        assert!(asked.iter().eq([&own]), "asked {asked:?}, its own host is {own}");
        let complaints = chromium.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// Writes a program that answers as yt-dlp does, as far as the daemon can tell.
fn stand_in(directory: &Path, film: &Path, segments: &Path) -> PathBuf {
    let file = directory.join("yt-dlp-stand-in");
    let (film, segments) = (film.display(), segments.display());
    let others = ["live.json", "list.json", "tongues.json"].map(|name| directory.join(name));
    let [live, list, tongues] = others.each_ref().map(|file| file.display());
    let text = format!(
        "#!/bin/sh\n\
         for link; do :; done\n\
         fail() {{ echo \"ERROR: [site] x: $1\" >&2; exit 1; }}\n\
         case \"$link\" in\n\
         --version) echo 2026.10.26 ;;\n\
         */film) exec cat {film} ;;\n\
         */segments) exec cat {segments} ;;\n\
         */live) exec cat {live} ;;\n\
         */list) exec cat {list} ;;\n\
         */tongues) exec cat {tongues} ;;\n\
         */private) fail \"Private video. Sign in if you've been granted access to this video\" ;;\n\
         */busy) fail 'Unable to download webpage: HTTP Error 429: Too Many Requests' ;;\n\
         */slow) exec sleep 600 ;;\n\
         *) fail 'Video unavailable' ;;\n\
         esac\n"
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// What yt-dlp says of a film in four qualities, two kinds of files, and two of sound.
fn film(origin: &Origin, script: impl Fn(Resource) -> Resource) -> Value {
    let (mp4, webm) = (media::minute(), media::webm());
    let put = |name: &str, file: &Path| {
        let resource = script(Resource::file(file).ranges().keep_alive().etag("\"film\""));
        (resource.len(), origin.put(name, resource))
    };
    let picture = |id: &str, height: u32, ext: &str, codec: &str, file: &Path| {
        let (size, url) = put(&format!("picture-{id}"), file);
        json!({
            "format_id": id, "url": url, "protocol": "http", "ext": ext, "vcodec": codec,
            "acodec": "none", "width": height * 16 / 9, "height": height, "fps": 25,
            "tbr": height, "filesize": size, "dynamic_range": "SDR",
        })
    };
    let sound = |id: &str, ext: &str, codec: &str, file: &Path| {
        let (size, url) = put(&format!("sound-{id}"), file);
        json!({
            "format_id": id, "url": url, "protocol": "http", "ext": ext, "vcodec": "none",
            "acodec": codec, "abr": 96, "tbr": 96, "filesize": size,
        })
    };
    let thumbnail = origin.put("thumbnail.jpg", Resource::file(&picture_of_it()));
    json!({
        "_type": "video", "id": "film", "extractor": "site", "extractor_key": "Site",
        "title": TITLE, "uploader": "Somebody afloat", "upload_date": "20260501", "duration": 60.0,
        "webpage_url": origin.url("film"), "thumbnail": thumbnail, "live_status": "not_live",
        "formats": [
            sound("140", "m4a", "mp4a.40.2", &mp4.audio),
            sound("251", "webm", "opus", &webm.audio),
            picture("134", 360, "mp4", "avc1.4d401e", &mp4.video),
            picture("247", 720, "webm", "vp9", &webm.video),
            picture("136", 720, "mp4", "avc1.4d401f", &mp4.video),
            picture("137", 1080, "mp4", "avc1.640028", &mp4.video),
            picture("313", 2160, "webm", "vp9", &webm.video),
        ],
    })
}

/// What it says of the film in two languages, with subtitles and chapters.
fn in_tongues(origin: &Origin, mut film: Value) -> Value {
    let subtitles = |name: &str, text: &str| {
        let text =
            format!("WEBVTT\n\n00:00.000 --> 00:30.000\n{text}\n\n00:30.000 --> 00:59.000\nHome\n");
        json!([{"ext": "vtt", "url": origin.put(name, Resource::bytes(text.into_bytes()))}])
    };
    let formats = film["formats"].as_array_mut().unwrap();
    let mut german = formats[0].clone();
    (german["format_id"], german["language"]) = (json!("140-de"), json!("de"));
    for sound in &mut formats[..2] {
        (sound["language"], sound["language_preference"]) = (json!("en"), json!(10));
    }
    formats.push(german);
    film["id"] = json!("tongues");
    film["webpage_url"] = json!(origin.url("tongues"));
    film["subtitles"] = json!({
        "en": subtitles("en.vtt", "The first lock"), "de": subtitles("de.vtt", "Die erste Schleuse"),
    });
    film["automatic_captions"] = json!({
        "en": subtitles("auto.vtt", "The first look"), "fr": subtitles("fr.vtt", "La première écluse"),
    });
    film["sponsorblock"] = json!({"segments": [
        {"start": 5.0, "end": 12.0, "category": "sponsor", "title": "Sponsor"},
    ]});
    film["chapters"] = json!([
        {"start_time": 0.0, "end_time": 20.0, "title": "The flight"},
        {"start_time": 20.0, "end_time": 41.0, "title": "The tunnel"},
        {"start_time": 41.0, "end_time": 60.0, "title": "The basin"},
    ]);
    film
}

/// What it says of a list.
fn list(origin: &Origin) -> Value {
    let entry = |page: &str, title: &str, duration: Option<f64>| json!({"_type": "url", "url": origin.url(page), "title": title, "duration": duration});
    json!({
        "_type": "playlist", "id": "list", "extractor": "site:list", "title": "Canals <i>of</i> the north",
        "uploader": "Somebody afloat", "playlist_count": 4,
        "entries": [
            entry("film", "The first", Some(60.0)),
            entry("private", "[Private video]", None),
            {"_type": "url", "title": "[Deleted video]"},
            entry("segments", "The last", Some(3725.0)),
        ],
    })
}

/// What yt-dlp says of a film of which there are segments alone.
fn film_in_segments(origin: &Origin) -> Value {
    let playlist = |id: &str, more: Value| {
        let mut format = json!({
            "format_id": id, "url": origin.url(&format!("{id}.m3u8")), "protocol": "m3u8_native",
            "ext": "mp4",
        });
        format.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format
    };
    json!({
        "_type": "video", "id": "segments", "extractor": "site", "title": TITLE, "duration": 60.0,
        "formats": [
            playlist("a", json!({"vcodec": "none", "acodec": "mp4a.40.2", "tbr": 96})),
            playlist("v", json!({"vcodec": "avc1.4d401f", "acodec": "none", "height": 720})),
            playlist("w", json!({"vcodec": "avc1.640028", "acodec": "none", "height": 1080,
                "filesize_approx": 5_000_000})),
        ],
    })
}

fn picture_of_it() -> PathBuf {
    let source = "gradients=size=640x360:c0=0x0b3d5c:c1=0xe8a15c:nb_colors=2:seed=4:duration=1";
    let arguments = ["-f", "lavfi", "-i", source, "-frames:v", "1", "-update", "1"];
    media::generate("thumbnail", "jpg", &arguments.map(String::from))
}
