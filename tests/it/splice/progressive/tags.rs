//! What a joined file says of itself.

use std::process::Command;

use ytcanal::media::{CoverArt, Metadata};

use super::{decoded, joined, kinds, probed};
use crate::support::run;
use crate::support::spliced::{Film, as_it_is};

#[test]
fn tags_and_cover_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    for (is_jpeg, name, codec) in [(true, "cover.jpg", "mjpeg"), (false, "cover.png", "png")] {
        let cover = directory.path().join(name);
        let output = run(Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64"])
            .args(["-frames:v", "1", "-update", "1"])
            .arg(&cover));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kind = kinds::plain();
        let tags = Metadata {
            title: Some("Ein Straßenfest ☂".to_owned()),
            artist: Some("A & B".to_owned()),
            date: Some("2024-02-29".to_owned()),
            cover: Some(CoverArt { is_jpeg, bytes: std::fs::read(&cover).unwrap().into() }),
            ..Metadata::default()
        };
        let joined = joined(&Film::of(&kind.video, &kind.audio), &as_it_is(&tags));
        let said = probed(&joined.path, "format_tags=title,artist,date");
        let expected = ["TAG:title=Ein Straßenfest ☂", "TAG:artist=A & B", "TAG:date=2024-02-29"];
        for tag in expected {
            assert!(said.iter().any(|line| line == tag), "{tag} in {said:?}");
        }
        let streams = probed(&joined.path, "stream=codec_name:stream_disposition=attached_pic");
        let is_cover = |pair: &[String]| {
            pair == [format!("codec_name={codec}"), "DISPOSITION:attached_pic=1".to_owned()]
        };
        assert!(streams.chunks(2).any(is_cover), "{streams:?}");
        assert_eq!(decoded(&[], &joined.path, "v:1").len(), 1, "the cover is a picture");
        assert_eq!(decoded(&[], &joined.path, "v:0"), decoded(&[], &kind.video, "v"));
    }
}
