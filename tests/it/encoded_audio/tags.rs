//! Tags and covers, read back by ffprobe and mutagen.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::recipes;
use super::{ARTIST, Site, TITLE, probed, served, stored};
use crate::support::media::{self, generate};
use crate::support::resource::Resource;
use crate::support::run;

/// Prints title, artist, date, and the length of the cover.
const MUTAGEN: &str = "
import base64, json, sys, mutagen
from mutagen.flac import Picture
file = mutagen.File(sys.argv[1])
tags = file.tags
def text(*names):
    for name in names:
        if name in tags:
            value = tags[name]
            return str(value.text[0] if hasattr(value, 'text') else value[0])
def cover():
    if getattr(file, 'pictures', None):
        return file.pictures[0].data
    for key in list(tags.keys()):
        if key.startswith('APIC'):
            return tags[key].data
    if 'covr' in tags:
        return bytes(tags['covr'][0])
    if 'metadata_block_picture' in tags:
        return Picture(base64.b64decode(tags['metadata_block_picture'][0])).data
    return b''
print(json.dumps([text('TIT2', 'title', '\\xa9nam'), text('TPE1', 'artist', '\\xa9ART'),
                  text('TDRC', 'date', '\\xa9day'), len(cover()), file.info.length]))
";

fn by_mutagen(file: &Path) -> Value {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ytdlp-venv/bin/python");
    let output = run(Command::new(python).args(["-c", MUTAGEN]).arg(file));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A cover as a file.
pub(super) fn cover(extension: &str) -> std::path::PathBuf {
    let source = "testsrc2=size=640x360:duration=1:rate=1";
    let arguments = ["-f", "lavfi", "-i", source, "-frames:v", "1", "-update", "1"];
    generate("sound-cover", extension, &arguments.map(String::from))
}

/// Every container, of sources that are copied and of others.
#[test]
fn tags_and_covers_are_read_back() {
    let site = Site::start();
    let all = recipes::all();
    let aac = all[0].source();
    let webm = media::webm().audio.clone();
    let mut checked = 0;
    for image in ["jpg", "png"] {
        let image = cover(image);
        let len = std::fs::metadata(&image).unwrap().len();
        for (name, source, codec) in [("aac", &aac, "aac"), ("opus", &webm, "opus")] {
            let name = format!("{name}-{}", image.extension().unwrap().to_str().unwrap());
            site.put(&name, served(source), codec, Some(Resource::file(&image)));
            for (container, kind) in [
                ("m4a", "audio/mp4"),
                ("mp3", "audio/mpeg"),
                ("opus", "audio/ogg"),
                ("ogg", "audio/ogg"),
                ("flac", "audio/flac"),
                ("wav", "audio/wav"),
            ] {
                let what = format!("{container} of {name}");
                let cover = if container == "m4a" { "&cover=1" } else { "" };
                let answer = site.good(&name, &format!("container={container}{cover}"));
                assert_eq!(answer.head.header("Content-Type"), Some(kind), "{what}");
                let named = answer.head.header("Content-Disposition").unwrap();
                assert!(named.contains(&format!(".{container}")), "{what}: {named}");
                let directory = tempfile::tempdir().unwrap();
                let file = stored(&answer, directory.path(), container);
                let found = by_mutagen(&file);
                assert_eq!(found[0], TITLE, "{what}");
                assert_eq!((&found[1], &found[3]), (&ARTIST.into(), &len.into()), "{what}");
                assert_eq!(found[2], "2026-05-01", "{what}");
                assert!(found[4].as_f64().unwrap() > 0.9 || container == "flac", "{what}: {found}");
                check_ffprobe(&file, &what);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 24);
}

/// Makes sure that ffprobe finds the tags, too, and the cover where ffmpeg knows covers.
fn check_ffprobe(file: &Path, what: &str) {
    let probed = probed(file);
    let streams = probed["streams"].as_array().unwrap();
    let tag = |name: &str| {
        let of = |tags: &Value| {
            let found = tags.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(found.1.as_str()?.to_owned())
        };
        of(&probed["format"]["tags"]).or_else(|| of(&streams[0]["tags"]))
    };
    assert_eq!(tag("title").as_deref(), Some(TITLE), "{what}: {probed:#}");
    assert_eq!(tag("artist").as_deref(), Some(ARTIST), "{what}");
    let covers = streams.iter().filter(|stream| stream["disposition"]["attached_pic"] == 1).count();
    assert_eq!(covers, 1, "{what}: {probed:#}");
}

#[test]
fn a_cover_can_be_left_out_and_insisted_on() {
    let site = Site::start();
    let aac = recipes::all()[0].source();
    let image = Resource::file(&cover("jpg"));
    site.put("with", served(&aac), "aac", Some(image));
    site.put("without", served(&aac), "aac", None);
    let len = |name: &str, parameters: &str| site.good(name, parameters).body.len();
    let bare = len("without", "container=mp3");
    assert_eq!(len("with", "container=mp3&cover=0"), bare);
    assert!(len("with", "container=mp3") > bare + 5000);
    let bare = len("without", "container=m4a");
    assert_eq!(len("with", "container=m4a"), bare);
    assert!(len("with", "container=m4a&cover=auto") > bare + 5000);
    let refused = site.get("without", "container=mp3&cover=1");
    assert_eq!((refused.head.status, refused.code().as_str()), (404, "no-thumbnail"));
}
