//! Response heads of media: HEAD, file names, and what must stay out of every answer.

use percent_encoding::percent_decode_str;

use crate::support::answer::Ending;
use crate::support::client::{Client, ask, mux_path, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK, script};
use crate::support::media;
use crate::support::origin::{Origin, refused_url};
use crate::support::resource::Resource;

#[test]
fn head_is_get_without_a_body() {
    let (origin, pair) = (Origin::start(), media::minute());
    let directory = tempfile::tempdir().unwrap();
    let starts = directory.path().join("starts");
    let counting = script(
        directory.path(),
        &format!("echo \"$*\" >> '{}'\nexec ffmpeg \"$@\"", starts.display()),
    );
    // It keeps a record, which a sandbox does not permit.
    let daemon = Daemon::start(&format!(
        "{LOOPBACK}[muxer]\nffmpeg = {counting:?}\n[sandbox]\nenabled = false\n"
    ));
    let streams = || {
        let started = std::fs::read_to_string(&starts).unwrap_or_default();
        started.lines().filter(|line| line.contains("copy")).count()
    };
    let video = origin.put("v", Resource::file(&pair.video));
    let audio = origin.put("a", Resource::file(&pair.audio));
    let mux = mux_path(Some(&video), Some(&audio), &[("name", "film")]);
    let head_of = |path: &str| {
        let mut client = Client::connect(daemon.address());
        client.request("HEAD", path);
        let head = client.head();
        client.ends_here();
        head
    };
    let comparable = |headers: &[(String, String)]| -> Vec<(String, String)> {
        let mut headers = headers.to_vec();
        for (name, value) in &mut headers {
            name.make_ascii_lowercase();
            // Two moments differ in these, and the body of a page may count something.
            if ["date", "server-timing", "x-request-id"].contains(&name.as_str()) {
                value.clear();
            }
        }
        headers.sort();
        headers
    };
    for path in ["/", "/healthz", "/readyz", "/nothing", "/mux", &mux] {
        let head = head_of(path);
        assert_eq!(streams(), 0, "HEAD {path} started ffmpeg");
        if path == mux {
            continue;
        }
        let get = daemon.get(path).head;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(comparable(&head.headers), comparable(&get.headers), "{path}");
    }
    let (head, get) = (head_of(&mux), daemon.get(&mux).head);
    assert_eq!((head.status, get.status), (200, 200));
    assert_eq!(comparable(&head.headers), comparable(&get.headers), "{mux}");
    assert_eq!(streams(), 1, "GET starts one ffmpeg");
    let expected = [
        ("Content-Type", "video/mp4"),
        ("Transfer-Encoding", "chunked"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Accel-Buffering", "no"),
        ("Connection", "close"),
    ];
    for (name, value) in expected {
        assert_eq!(get.header(name), Some(value));
    }
    assert_eq!(get.version, "HTTP/1.1");
    let timing = get.header("Server-Timing").unwrap_or_default();
    assert!(timing.contains("engine;desc=\"ffmpeg\""), "{timing}");
}

/// Caches may keep what is of known length and has an ETag, if the operator wants that.
#[test]
fn caches_may_keep_files_of_known_length() {
    let (origin, pair) = (Origin::start(), media::minute());
    let put = |name: &str, file| origin.put(name, Resource::file(file).ranges().etag("\"film\""));
    let (video, audio) = (put("v", &pair.video), put("a", &pair.audio));
    let unknown = origin.put("u", Resource::file(&pair.video).ranges());
    let (spliced, lone) = (splice_path(&video, &audio, &[]), mux_path(Some(&video), None, &[]));
    let joined = mux_path(Some(&video), Some(&audio), &[]);
    let without_etag = mux_path(Some(&unknown), None, &[]);
    let missing = mux_path(Some(&origin.url("missing")), None, &[]);
    let (none, kept) = ("no-store", "max-age=90");
    let own = "private, max-age=90";
    let kept_mode =
        |mode: &str| format!("[access]\nmode = \"{mode}\"\n[cache]\nmax_age = \"90s\"\n{LOOPBACK}");
    let login = "Authorization: Basic dTphYmM=\r\n";
    for (config, request, fields, status, expected) in [
        (LOOPBACK.to_owned(), &spliced, "", 200, none),
        (kept_mode("open"), &spliced, "", 200, kept),
        (kept_mode("open"), &lone, "", 200, kept),
        (kept_mode("open"), &spliced, "Range: bytes=0-9\r\n", 206, kept),
        (kept_mode("open"), &spliced, "If-None-Match: *\r\n", 304, kept),
        (kept_mode("open"), &spliced, "Cookie: ytcanal-page=1\r\n", 200, kept),
        (kept_mode("open"), &spliced, login, 200, own),
        (kept_mode("open"), &spliced, "Cookie: who=me\r\n", 200, own),
        (kept_mode("local"), &spliced, "", 200, own),
        (kept_mode("open"), &spliced, "Range: bytes=999999999-\r\n", 416, none),
        (kept_mode("open"), &spliced, "If-Match: \"x\"\r\n", 412, none),
        (kept_mode("open"), &joined, "", 200, none),
        (kept_mode("open"), &without_etag, "", 200, none),
        (kept_mode("open"), &missing, "", 404, none),
    ] {
        let daemon = Daemon::start(&config);
        for method in ["GET", "HEAD"] {
            // Ranges are for GET.
            if method == "HEAD" && fields.starts_with("Range") {
                continue;
            }
            let head = ask(daemon.address(), method, request, fields).head;
            assert_eq!(head.status, status, "{request} {fields}");
            let found = head.header("Cache-Control");
            assert_eq!(found, Some(expected), "{config} {method} {request} {fields}");
        }
    }
}

#[test]
fn any_name_becomes_one_safe_disposition() {
    let (origin, pair) = (Origin::start(), media::minute());
    let daemon = Daemon::start(LOOPBACK);
    let video = origin.put("v", Resource::file(&pair.video));
    let long = ["x".repeat(300), "é".repeat(300), "🎬".repeat(100)];
    let names = [
        "film",
        "a \"quoted\" film",
        "../../etc/passwd",
        "c:\\dir\\film",
        "...hidden",
        ".",
        "..",
        "a\r\nX-Evil: 1",
        "a\nb",
        "semi;colon=\"x\"",
        "🎬 film",
        "50% off",
        "tab\there",
        "film.mp4",
        "\u{202e}4pm.exe",
        "東京物語の夜明",
        "Привет, мир",
        "مرحبا بالعالم",
        "שלום \u{200f}עולם",
        "🎬🎬",
        "／．．／“ＣＯＮ”",
        "con.a",
        "-rf",
        "\u{2028}. .a. . ",
        &long[0],
        &long[1],
        &long[2],
    ];
    let mut header_names = Vec::new();
    for name in names {
        let mut client = Client::connect(daemon.address());
        client.request("HEAD", &mux_path(Some(&video), None, &[("name", name)]));
        let head = client.head();
        assert_eq!(head.status, 200, "{name:?}");
        let found: Vec<String> = head.headers.iter().map(|(name, _)| name.clone()).collect();
        if header_names.is_empty() {
            header_names.clone_from(&found);
        }
        assert_eq!(found, header_names, "{name:?} changes the set of headers");
        let line = head.header("Content-Disposition").unwrap();
        let plain = line
            .strip_prefix("attachment; filename=\"")
            .and_then(|rest| rest.split_once("\"; filename*=UTF-8''"));
        let Some((plain, encoded)) = plain else {
            panic!("{name:?} gives {line:?}");
        };
        let decoded = percent_decode_str(encoded).decode_utf8().expect("UTF-8");
        for file in [plain, &decoded] {
            let bad = |c: char| c.is_control() || "/\\\"".contains(c) || c == '\u{202e}';
            assert!(!file.contains(bad), "{name:?} gives {line:?}");
            assert!(!file.starts_with('.') && file.ends_with(".mp4"), "{name:?} gives {line:?}");
            assert!(file.len() > 4 && file.len() <= 255, "{name:?} gives {line:?}");
        }
        assert!(plain.is_ascii(), "{name:?} gives {line:?}");
        assert!(
            encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&b))
        );
        if name == "🎬 film" {
            assert_eq!(decoded, "🎬 film.mp4");
        }
    }
}

#[test]
fn secrets_of_a_url_stay_out_of_sight() {
    let (origin, pair) = (Origin::start(), media::minute());
    let daemon = Daemon::start(&format!("{LOOPBACK}[log]\nlevel = \"debug\"\n"));
    origin.put("v", Resource::file(&pair.video));
    let video = origin.url("v?sig=opensesame");
    let answer = daemon.get(&mux_path(Some(&video), None, &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    let missing = daemon.get(&mux_path(Some(&origin.url("gone?sig=opensesame")), None, &[]));
    assert_eq!(missing.problem()["code"], "upstream-not-found");
    let refused = refused_url() + "?sig=opensesame";
    let unreachable = daemon.get(&mux_path(Some(&refused), None, &[]));
    assert_eq!(unreachable.problem()["code"], "upstream-unreachable");
    let metrics = daemon.get("/metrics").text();
    for text in [missing.text(), unreachable.text(), metrics, daemon.log()] {
        assert!(!text.contains("opensesame"), "{text}");
    }
}

/// A form sends the fields that were left empty, too.
#[test]
fn an_empty_field_counts_as_not_given() {
    let (origin, pair) = (Origin::start(), media::minute());
    let daemon = Daemon::start(LOOPBACK);
    let audio = origin.put("a", Resource::file(&pair.audio));
    let empty = [("name", ""), ("container", "")];
    let answer = daemon.get(&mux_path(Some(""), Some(&audio), &empty));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.head.header("Content-Type"), Some("audio/mp4"));
    assert_eq!(answer.ending, Ending::Complete);
}
