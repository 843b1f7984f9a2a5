//! The description of the API: it is valid, and the responses of a running server are as it says. What it says of
//! parameters, values and codes is held to the parsers by the unit tests of `openapi`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, FILM, Site, path_of, sizes};
use crate::support::{curl::curl, number_from, run};

/// How many requests schemathesis makes up for an operation; it makes others by rules.
const EXAMPLES: u64 = 25;
/// Whoever asks as much as schemathesis does would be sent away.
const LIMITS: &str = "site_pages_per_minute = 100000\n[limits]\nrequests_per_minute = 100000\n\
    pages_per_hour = 100000\ningress_per_hour = \"1000GiB\"\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of the environment that `make tools-test` makes.
fn tool(name: &str) -> Command {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("openapi-venv");
    let program = venv.join("bin").join(name);
    assert!(program.is_file(), "there is no {}; make it: make tools-test", program.display());
    Command::new(program)
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

/// The document as a server returns it.
fn served(daemon: &Daemon, directory: &Path) -> PathBuf {
    let document = daemon.good("/openapi.json");
    assert_eq!(document.head.header("Content-Type"), Some("application/json"));
    let path = directory.join("openapi.json");
    std::fs::write(&path, document.body).unwrap();
    path
}

#[test]
fn it_is_valid_and_for_those_who_may_see_the_page() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    let path = served(&daemon, directory.path());
    let checked = run(tool("openapi-spec-validator").arg(path));
    assert!(checked.status.success(), "{}", said(&checked));
    let closed = Daemon::start("[access]\nmode = \"closed\"\n");
    for path in ["/openapi.json", "/"] {
        assert_eq!(closed.get(path).head.status, 401, "{path}");
    }
}

/// Pages of all kinds, each by a link of its own.
fn pages(site: &Site) -> Vec<String> {
    let url = |name: &str| site.origin.url(name);
    site.origin.put("de.vtt", Resource::bytes("WEBVTT\n\n00:01.000 --> 00:02.000\nJa\n"));
    let track = json!([{ "ext": "vtt", "url": url("de.vtt"), "name": "Deutsch" }]);
    let told = json!({
        "chapters": [{ "start_time": 0, "title": "One" }, { "start_time": 4.5, "title": "Two" }],
        "subtitles": { "de": track }, "automatic_captions": { "en": track, "es": track },
    });
    let nothing = json!({
        "uploader": null, "duration": null, "upload_date": null, "thumbnails": [], "title": null,
    });
    let mut unknown = sizes(["137", "140-1"]);
    for (_, format) in unknown.as_object_mut().unwrap() {
        for field in ["filesize", "tbr", "fps", "language", "filesize_approx"] {
            format[field] = Value::Null;
        }
    }
    for (id, page) in [
        ("told", json!({ "formats": sizes(["136", "140-1", "251-0"]), "info": told })),
        ("nothing", json!({ "formats": unknown, "info": nothing })),
        ("silent", json!({ "formats": sizes(["137"]) })),
        ("alone", json!({ "formats": sizes(["251-1"]) })),
        ("muxed", json!({ "formats": sizes(["18"]) })),
        ("variants", json!({ "formats": sizes(["402-sr", "140-drc", "140-vb", "337"]) })),
    ] {
        site.put_page(id, &page);
    }
    let videos = [FILM, "told", "nothing", "silent", "alone", "muxed", "variants"];
    videos.map(|id| site.page_url(id)).into()
}

fn lists(site: &Site) -> Vec<String> {
    let entries: Vec<_> = (0..150).map(|number| json!(format!("v{number}"))).collect();
    site.put_page("long", &json!({ "title": "A list", "count": 150, "entries": entries }));
    let entries = json!([FILM, { "list": "long" }, { "id": "a", "title": "A", "duration": 60 }, { "url": null }]);
    site.put_page("odd", &json!({ "entries": entries }));
    ["long", "odd"].map(|name| site.origin.url(&format!("list?list={name}"))).into()
}

#[test]
fn information_is_as_it_says() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(LIMITS));
    let directory = tempfile::tempdir().unwrap();
    let document = served(&daemon, directory.path());
    let long = ("page", "2");
    for (schema, links, parameters) in [
        ("Video", pages(&site), &[][..]),
        ("List", lists(&site), &[][..]),
        ("List", lists(&site)[..1].to_vec(), &[long]),
    ] {
        let bodies: Vec<String> = links
            .iter()
            .map(|link| daemon.good(&path_of("info", link, parameters)).text())
            .map(|text| serde_json::from_str::<Value>(&text).unwrap().to_string() + "\n")
            .collect();
        let texts = directory.path().join("texts");
        std::fs::write(&texts, bodies.concat()).unwrap();
        let mut validate = tool("python3");
        validate.arg(root().join("tests/openapi/validate.py")).arg(&document).arg(schema);
        let checked = run(validate.stdin(Stdio::from(std::fs::File::open(&texts).unwrap())));
        let count = bodies.len().to_string();
        assert_eq!(said(&checked).trim(), count, "{schema}: {}", bodies.concat());
    }
}

/// Requests of all kinds, valid and invalid, at every operation. `YTCANAL_SEED` has others made up.
#[test]
fn schemathesis_finds_nothing() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(LIMITS));
    // Archives of the long list would take their time.
    let links = [pages(&site), lists(&site)[1..].to_vec(), vec![site.page_url("none")]].concat();
    let media = ["137", "140-1", "251-1", "missing"];
    let media = media.map(|format| site.origin.url(&format!("f/{FILM}/{format}")));
    let directory = tempfile::tempdir().unwrap();
    let own = root().join("tests/openapi");
    let document = served(&daemon, directory.path());
    let examples = number_from("YTCANAL_EXAMPLES").unwrap_or(EXAMPLES);
    let seed = number_from("YTCANAL_SEED").unwrap_or(1);
    let mut schemathesis = tool("schemathesis");
    schemathesis.args(["--no-color", "--config-file"]).arg(own.join("schemathesis.toml"));
    schemathesis.arg("run").arg(document).args(["--url", &daemon.url("")]);
    // Against hangs alone: a request waits for its turn on a busy machine.
    schemathesis.args(["--request-timeout", "120"]);
    schemathesis.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]);
    schemathesis.args(["--max-examples", &examples.to_string(), "--seed", &seed.to_string()]);
    schemathesis.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", &own);
    schemathesis.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*");
    schemathesis.env("YTCANAL_LINKS", links.join(" ")).env("YTCANAL_MEDIA", media.join(" "));
    let checked = run(schemathesis.current_dir(directory.path()));
    println!("{}", said(&checked));
    assert!(checked.status.success(), "schemathesis found something (above)");
    let answer = curl(&["-d", "a=b", &daemon.url("/mux")]);
    assert_eq!((answer.exit, answer.status), (0, 405), "the daemon still answers");
}
