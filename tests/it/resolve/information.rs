//! What is told of a film before it is downloaded, and its picture.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::resource::{Fault, Resource};
use crate::support::run;
use crate::support::ytdlp::{self, FILM, Site, file, path_of, sizes};

fn info(daemon: &Daemon, page_url: &str) -> Value {
    let answer = daemon.get(&path_of("info", page_url, &[]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.head.header("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn what_is_on_offer() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let said = info(&daemon, &site.page_url(FILM));
    for (name, value) in [
        ("url", json!(site.page_url(FILM))),
        ("id", json!(FILM)),
        ("extractor", json!("canal")),
        ("title", json!("A film: film")),
        ("uploader", json!("Somebody")),
        ("duration", json!(60.0)),
        ("date", json!("2026-05-01")),
        ("languages", json!(["en", "de"])),
    ] {
        assert_eq!(said[name], value, "{name} of {said:#}");
    }
    let videos = said["videos"].as_array().unwrap();
    let made = videos.iter().filter(|row| row["variant"].is_null());
    let heights: Vec<u64> = made.map(|row| row["height"].as_u64().unwrap()).collect();
    assert!(heights.is_sorted_by(|one, next| one >= next), "the best comes first: {heights:?}");
    let of = |height: u64, container: &str, hdr: bool| {
        let mut rows = videos.iter().filter(|row| {
            row["variant"].is_null()
                && row["height"] == height
                && row["container"] == container
                && row["hdr"] == hdr
        });
        let row = rows.next().unwrap_or_else(|| panic!("no {height} {container} in {said:#}"));
        assert!(rows.next().is_none(), "two of {height} {container} in {said:#}");
        row
    };
    let row = of(1080, "mp4", false);
    assert_eq!((&row["video_codec"], &row["audio_codec"]), (&json!("h264"), &json!("aac")));
    assert_eq!((&row["quality"], &row["fps"]), (&json!("1080"), &json!(50)));
    assert_eq!(of(2160, "mp4", false)["video_codec"], "av1");
    assert_eq!(of(2160, "webm", false)["video_codec"], "vp9");
    assert_eq!(of(720, "webm", false)["audio_codec"], "opus");
    of(2160, "webm", true);
    let variants = |rows: &[Value]| -> Vec<String> {
        rows.iter().filter_map(|row| Some(row["variant"].as_str()?.to_owned())).collect()
    };
    assert_eq!(variants(videos), ["upscaled"]);
    assert_eq!(videos.last().unwrap()["height"], 2160);
    of(360, "mp4", false);
    let audios = said["audios"].as_array().unwrap();
    assert_eq!(variants(audios), ["drc", "voice-boost"]);
    let sound = |container: &str, language: &str| {
        let mut rows = audios
            .iter()
            .filter(|row| row["container"] == container && row["language"] == language);
        rows.next().unwrap_or_else(|| panic!("no {container} {language} in {said:#}"))
    };
    for (container, language, format) in [("m4a", "en", "140-1"), ("m4a", "de", "140-0")] {
        let row = sound(container, language);
        let size = std::fs::metadata(file(format)).unwrap().len();
        assert_eq!((&row["size"], &row["exact"]), (&json!(size), &json!(true)), "{row}");
        assert_eq!(row["original"], language == "en", "{row}");
    }
    assert_eq!(sound("opus", "de")["original"], false);
    assert_eq!(sound("mp3", "en")["size"], Value::Null);
    assert!(said["thumbnail"].as_str().unwrap().starts_with("/thumbnail?url=http%3A%2F%2F127"));
}

/// What is offered is what is got: every row's link leads to what it says.
#[test]
fn every_row_leads_to_its_file() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let said = info(&daemon, &site.page_url(FILM));
    let rows = ["videos", "audios"].map(|kind| said[kind].as_array().unwrap().clone()).concat();
    assert!(rows.len() >= 12, "{said:#}");
    for row in rows {
        let path = row["download"].as_str().unwrap();
        let answer = crate::support::client::ask(daemon.address(), "HEAD", path, "");
        let head = &answer.head;
        assert_eq!(head.status, 200, "{row}: {head:?}");
        let container = row["container"].as_str().unwrap();
        let name = head.header("Content-Disposition").unwrap();
        assert!(name.contains(&format!(".{container}")), "{row}: {name}");
        let Some(length) = head.header("Content-Length") else { continue };
        // Of what is encoded, the page tells nothing.
        let Some(size) = row["size"].as_f64() else { continue };
        let length: f64 = length.parse().unwrap();
        assert!((length - size).abs() < 0.02 * size + 4096.0, "{row}: {length} bytes");
    }
    assert_eq!(site.reads(FILM), 1);
}

#[test]
fn what_is_not_known_is_null() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let mut formats = sizes(["137", "140-1"]);
    for (_, format) in formats.as_object_mut().unwrap() {
        for field in ["filesize", "tbr", "fps", "language", "filesize_approx"] {
            format[field] = Value::Null;
        }
    }
    let nothing = ["uploader", "duration", "upload_date"].map(|name| (name, Value::Null));
    let mut nothing: serde_json::Map<_, _> =
        nothing.into_iter().map(|(name, null)| (name.to_owned(), null)).collect();
    nothing.insert("thumbnails".into(), json!([]));
    site.put_page(FILM, &json!({ "formats": formats, "info": nothing }));
    let said = info(&daemon, &site.page_url(FILM));
    for name in ["uploader", "duration", "date", "thumbnail"] {
        assert_eq!(said[name], Value::Null, "{name} of {said:#}");
    }
    assert_eq!(said["languages"], json!([]));
    let row = &said["videos"][0];
    assert_eq!(
        (&row["size"], &row["fps"], &row["exact"]),
        (&json!(null), &json!(null), &json!(false))
    );
    assert_eq!(daemon.get(&path_of("thumbnail", &site.page_url(FILM), &[])).head.status, 404);
}

#[test]
fn the_picture_of_a_film() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let directory = tempfile::tempdir().unwrap();
    let jpeg = picture(&directory.path().join("t.jpg"));
    let path = path_of("thumbnail", &site.page_url(FILM), &[]);
    let put = |resource: Resource| {
        site.origin.put(&format!("t/{FILM}.jpg"), resource.clone());
        site.origin.put(&format!("t/{FILM}.webp"), resource);
    };
    put(Resource::bytes(jpeg.clone()));
    let answer = daemon.get(&path);
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert!(answer.body == jpeg, "another picture");
    for (name, value) in [
        ("Content-Type", "image/jpeg"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "private, max-age=3600"),
    ] {
        assert_eq!(answer.head.header(name), Some(value), "{:?}", answer.head);
    }
    // Nobody's script, and nothing endless.
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let large = [&jpeg[..], &vec![0; 3 << 20]].concat();
    for (what, resource) in [
        ("svg", Resource::bytes(svg)),
        ("html", Resource::bytes("<html>")),
        ("large", Resource::bytes(large)),
        ("endless", Resource::bytes(jpeg).fault(Fault::Endless)),
        ("gone", Resource::bytes("").fault(Fault::Status(404, vec![]))),
        ("inwards", Resource::bytes("").fault(Fault::Redirect("http://10.0.0.1/".into()))),
    ] {
        put(resource);
        let answer = daemon.get(&path);
        let status = answer.head.status;
        assert!((400..=504).contains(&status), "{what}: {status}");
        answer.problem();
    }
}

fn picture(file: &Path) -> Vec<u8> {
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48", "-frames:v", "1"];
    let output = run(Command::new("ffmpeg").args(source).arg(file));
    assert!(output.status.success());
    std::fs::read(file).unwrap()
}
