//! Several languages in one file, from a page link to the list of tracks in a player.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::answer::{Answer, Ending};
use crate::support::client::ask;
use crate::support::daemon::Daemon;
use crate::support::framemd5::{Exactness, Packet, assert_same, frames, packets};
use crate::support::mpv::Mpv;
use crate::support::resource::{Fault, Resource};
use crate::support::tongues::{Coding, FRAGMENTED, Listed, WEBM, listed, tongue};
use crate::support::vlc::Vlc;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, file, path_of, sizes};
use crate::support::{abreast, media, run};

mod playlists;

/// The names of the French formats on the site.
const FRENCH: [(&str, &str, &str, Coding); 2] =
    [("140-2", "m4a", "mp4a.40.2", FRAGMENTED), ("251-2", "webm", "opus", WEBM)];

fn french(coding: Coding) -> PathBuf {
    tongue(coding, 7, 40)
}

/// The site with a film in three languages; each French file is what `change` makes of it.
fn site(change: impl Fn(Resource) -> Resource) -> Site {
    let site = Site::start();
    let mut formats = sizes(["136", "247", "140-1", "140-0", "251-1", "251-0"]);
    for (name, extension, codec, coding) in FRENCH {
        let path = french(coding);
        let french = Resource::file(&path).only_bounded_ranges().keep_alive();
        let french = french.last_modified("Fri, 01 May 2026 10:00:00 GMT");
        site.origin.put(&format!("f/{FILM}/{name}"), change(french));
        formats[name] = json!({
            "ext": extension, "container": format!("{extension}_dash"), "vcodec": "none",
            "acodec": codec, "asr": 48000, "tbr": 64, "quality": 3, "language": "fr-CA",
            "language_preference": -1, "format_note": "Français, medium",
            "filesize": path.metadata().unwrap().len(),
        });
    }
    site.put_page(FILM, &json!({ "formats": formats }));
    site
}

/// The file with the audio of these formats, on the disk.
fn written(answer: &Answer, extension: &str) -> (TempDir, PathBuf) {
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    let directory = tempfile::tempdir().unwrap();
    let joined = directory.path().join("film").with_extension(extension);
    std::fs::write(&joined, &answer.body).unwrap();
    (directory, joined)
}

/// Makes sure that each audio track of a file is packet by packet that of its source.
fn assert_audio(joined: &Path, sources: &[&Path], what: &str) {
    for (number, source) in sources.iter().enumerate() {
        let what = format!("{what}: audio {number}");
        let found = packets(joined, &format!("a:{number}"));
        assert_same(&packets(source, "a"), &found, Exactness::Millisecond, &what);
    }
}

fn get(daemon: &Daemon, site: &Site, parameters: &[(&str, &str)]) -> Answer {
    daemon.get(&download_path(&site.page_url(FILM), parameters))
}

#[test]
fn three_languages_are_in_one_file() {
    for way in WAYS {
        let (site, daemon) = (site(|french| french), ytdlp::daemon(way));
        for (engine, container) in
            [("splice", "mp4"), ("splice", "webm"), ("ffmpeg", "mp4"), ("ffmpeg", "mkv")]
        {
            let what = format!("{way} {engine} {container}");
            let request = [
                ("quality", "720"),
                ("lang", "fr,de,en"),
                ("engine", engine),
                ("container", container),
            ];
            let path = download_path(&site.page_url(FILM), &request);
            let answer = daemon.get(&path);
            let (_directory, joined) = written(&answer, container);
            let (coding, audios) = match container {
                "webm" => (WEBM, ["251-1", "251-0"]),
                _ => (FRAGMENTED, ["140-1", "140-0"]),
            };
            let [en, de] = audios.map(file);
            let fr = french(coding);
            assert_audio(&joined, &[en, &fr, de], &what);
            let video = if container == "webm" { "247" } else { "136" };
            assert_same(
                &packets(file(video), "v"),
                &packets(&joined, "v"),
                Exactness::Millisecond,
                &what,
            );
            let codes =
                if container == "mp4" { ["eng", "fra", "deu"] } else { ["eng", "fre", "ger"] };
            assert_eq!(
                listed(&joined),
                [
                    Listed::new(codes[0], "en original", true),
                    Listed::new(codes[1], "Français", false),
                    Listed::new(codes[2], "de", false),
                ],
                "{what}"
            );
            if engine == "splice" {
                assert_is_static(&daemon, &path, &answer, &what);
            }
        }
        assert_eq!(site.reads(FILM), 1, "{way}");
    }
}

/// Its length is known, and any part of it is the same again.
fn assert_is_static(daemon: &Daemon, path: &str, whole: &Answer, what: &str) {
    let len = whole.body.len();
    let header = |answer: &Answer, name| answer.head.header(name).unwrap_or_default().to_owned();
    assert_eq!(header(whole, "Content-Length"), len.to_string(), "{what}");
    let etag = header(whole, "ETag");
    let head = ask(daemon.address(), "HEAD", path, "");
    assert_eq!(header(&head, "ETag"), etag, "{what}");
    let seed = crate::support::number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        let start = random.usize(0..len);
        let end = random.usize(start + 1..=len);
        daemon.assert_part(path, whole, start..end);
    }
}

#[test]
fn a_client_is_told_of_the_choice_and_what_is_wrong_with_it() {
    let (site, daemon) = (site(|french| french), ytdlp::daemon(""));
    let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
    let info: Value = serde_json::from_slice(&answer.body).unwrap();
    let tags: Vec<_> = info["languages"].as_array().unwrap().iter().collect();
    let tracks = info["audio_tracks"].as_array().unwrap();
    assert_eq!(tracks.iter().map(|track| &track["language"]).collect::<Vec<_>>(), tags);
    assert_eq!(
        tracks[0],
        json!({"language": "en", "name": "en original", "original": true, "variant": null})
    );
    let french =
        json!({"language": "fr-CA", "name": "Français", "original": false, "variant": null});
    assert!(tracks.contains(&french), "{tracks:?}");
    // All of them, in the same order.
    let answer = get(&daemon, &site, &[("quality", "720"), ("lang", "all")]);
    let (_directory, joined) = written(&answer, "mp4");
    let names = listed(&joined).into_iter().map(|track| track.name);
    assert!(names.eq(tracks.iter().map(|track| track["name"].as_str().unwrap())));
    for (lang, status, code, about) in [
        ("de,it", 422, "no-format", "no audio in it; it has en, "),
        ("de,", 400, "bad-parameter", "lang"),
    ] {
        let answer = get(&daemon, &site, &[("lang", lang)]);
        let detail = answer.text();
        assert_eq!((answer.head.status, &*answer.code()), (status, code), "{detail}");
        assert!(detail.contains(about), "{detail}");
    }
    // A language alone is a wish.
    assert_eq!(get(&daemon, &site, &[("quality", "720"), ("lang", "it")]).head.status, 200);
}

#[test]
fn a_single_language_is_labelled_where_it_was_requested() {
    let (site, daemon) = (site(|french| french), ytdlp::daemon(""));
    let of = |parameters: &[(&str, &str)]| {
        let answer = get(&daemon, &site, &[&[("quality", "720")], parameters].concat());
        let (_directory, joined) = written(&answer, "mp4");
        (answer.head.header("ETag").unwrap().to_owned(), listed(&joined))
    };
    let (original, named) = (of(&[]), of(&[("lang", "en")]));
    assert_ne!(original.0, named.0);
    assert_eq!(original.1, [Listed::new("und", "", true)]);
    assert_eq!(named.1, [Listed::new("eng", "en original", true)]);
}

/// By how much the packets of a track were moved, of those that are there once.
fn moved(source: &[Packet], part: &[Packet]) -> Vec<i64> {
    let of = |packet: &Packet| {
        let mut same = source.iter().filter(|own| own.md5 == packet.md5);
        match (same.next(), same.next()) {
            (Some(own), None) => Some(own.pts - packet.pts),
            _ => None,
        }
    };
    part.iter().filter_map(of).collect()
}

#[test]
fn a_time_range_has_all_languages_in_step() {
    let (site, daemon) = (site(|french| french), ytdlp::daemon(""));
    for (engine, container) in
        [("splice", "mp4"), ("splice", "webm"), ("ffmpeg", "mp4"), ("ffmpeg", "mkv")]
    {
        let what = format!("{engine} {container}");
        let request = [
            ("quality", "720"),
            ("lang", "all"),
            ("engine", engine),
            ("container", container),
            ("start", "6"),
            ("end", "12"),
        ];
        let (_directory, joined) = written(&get(&daemon, &site, &request), container);
        let names: Vec<_> = listed(&joined).into_iter().map(|track| track.name).collect();
        let (coding, originals) = match container {
            "webm" => (WEBM, ["247", "251-1", "251-0"]),
            _ => (FRAGMENTED, ["136", "140-1", "140-0"]),
        };
        let fr = french(coding);
        let source = |name: &str| match name {
            "Français" => &*fr,
            "de" => file(originals[2]),
            _ => file(originals[1]),
        };
        let mut by = moved(&packets(file(originals[0]), "v"), &packets(&joined, "v"));
        assert_eq!(names.len(), 3, "{what}");
        for (number, name) in names.iter().enumerate() {
            let part = packets(&joined, &format!("a:{number}"));
            let own = moved(&packets(source(name), "a"), &part);
            assert!(own.len() > 100, "{what}: {name} has {} packets", own.len());
            by.extend(own);
        }
        let (least, most) = (by.iter().min().unwrap(), by.iter().max().unwrap());
        assert!(most - least <= 2_000_000, "{what}: {least} to {most}");
    }
}

/// Whichever track an upstream does not deliver to its end, the file is none that looks complete.
#[test]
fn a_language_that_is_cut_is_missed() {
    let len = french(FRAGMENTED).metadata().unwrap().len();
    abreast(2, ["splice", "ffmpeg"], |engine| {
        let (site, daemon) =
            (site(|french| french.fault(Fault::CutAt(len / 2))), ytdlp::daemon(""));
        let answer =
            get(&daemon, &site, &[("quality", "720"), ("lang", "all"), ("engine", engine)]);
        let is_visible = answer.head.status == 502 || answer.ending != Ending::Complete;
        assert!(is_visible, "{engine}: {} {:?}", answer.head.status, answer.ending);
    });
}

#[test]
fn players_list_the_languages() {
    let (site, daemon) = (site(|french| french), ytdlp::daemon(""));
    for container in ["mp4", "webm"] {
        let request = [("quality", "720"), ("lang", "fr,de"), ("container", container)];
        let url = daemon.url(&download_path(&site.page_url(FILM), &request));
        let mut mpv = Mpv::start();
        mpv.open(&url);
        let found = mpv.audio_tracks();
        let languages: Vec<_> = found.iter().map(|(language, ..)| &language[..2]).collect();
        // In WebM German is `ger`.
        assert!(matches!(languages[..], ["fr", "de" | "ge"]), "{container}: {languages:?}");
        assert!(found[0].2 && !found[1].2, "{found:?}");
        // Of MP4, older versions of libavformat read languages alone.
        let names = [&*found[0].1, &*found[1].1];
        let is_named = names == ["Français", "de"] || container == "mp4" && names == ["", ""];
        assert!(is_named, "{container}: {found:?}");
        mpv.seek(7.0);
        let (vlc, _) = Vlc::open(&url);
        assert_eq!(vlc.languages(), ["French", "German"], "{container}");
    }
}
