//! Languages in a master playlist (HLS): segments of each, with and without their lengths.

use super::*;

/// The audio of the playlist, as it names them.
const TONGUES: [(&str, &str); 3] = [("fr", "Français"), ("de", "Deutsch"), ("en", "English")];

/// Puts a film in segments of this type on the site, and its audio apart.
fn put(site: &Site, segment_type: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, source: &Path, map: &str| {
        let list = directory.path().join(format!("{name}.m3u8"));
        let output = run(Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-i"])
            .arg(source)
            .args(["-map", map, "-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_list_size", "0"])
            .args(["-hls_segment_type", segment_type])
            .args(["-hls_fmp4_init_filename", &format!("{name}-init.mp4"), "-hls_segment_filename"])
            .arg(directory.path().join(format!("{name}-%d.seg")))
            .arg(&list));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("video", &media::minute().video, "0:v");
    let mut master = "#EXTM3U\n".to_owned();
    for (number, (tag, name)) in (0..).zip(TONGUES) {
        make(tag, &tongue(FRAGMENTED, number, 60), "0:a");
        master += &format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{name}\",LANGUAGE=\"{tag}\",URI=\"{tag}.m3u8\"\n"
        );
    }
    master += "#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=320x180,AUDIO=\"a\"\nvideo.m3u8\n";
    std::fs::write(directory.path().join("master.m3u8"), master).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        site.origin.put(
            &format!("f/{FILM}/{name}"),
            Resource::file(&path).ranges().keep_alive().etag("\"1\""),
        );
    }
    site.put_page(FILM, &json!({"formats": {}, "manifests": ["master.m3u8"]}));
    directory
}

#[test]
fn languages_in_segments_are_joined_with_and_without_a_length() {
    for segment_type in ["fmp4", "mpegts"] {
        let (site, daemon) = (Site::start(), ytdlp::daemon(""));
        let _directory = put(&site, segment_type);
        for length in ["wait", "none"] {
            let what = format!("{segment_type} {length}");
            let request = [("lang", "de,en,fr"), ("engine", "splice"), ("length", length)];
            let path = download_path(&site.page_url(FILM), &request);
            let answer = daemon.get(&path);
            let (_directory, joined) = written(&answer, "mp4");
            let expected = [("deu", "Deutsch", 1), ("eng", "English", 2), ("fra", "Français", 0)];
            let expected_list =
                expected.map(|(code, name, number)| Listed::new(code, name, number == 1));
            assert_eq!(listed(&joined), expected_list, "{what}");
            for (index, (code, _, number)) in expected.into_iter().enumerate() {
                let sources = frames(&tongue(FRAGMENTED, number, 60), "a");
                let found = frames(&joined, &format!("a:{index}"));
                assert!(
                    sources.len().abs_diff(found.len()) <= 2,
                    "{what}: {} {}",
                    sources.len(),
                    found.len()
                );
                // The first frame is what the decoder makes of nothing.
                let known: std::collections::HashSet<_> =
                    sources.iter().map(|frame| &frame.md5).collect();
                let strange = found.iter().filter(|frame| !known.contains(&frame.md5)).count();
                assert!(strange <= 2, "{what}: {strange} frames of {code} are of another track");
            }
            let pictures = |file: &Path| {
                frames(file, "v").into_iter().map(|frame| frame.md5).collect::<Vec<_>>()
            };
            assert!(pictures(&media::minute().video) == pictures(&joined), "{what}");
            if length == "wait" {
                assert_is_static(&daemon, &path, &answer, &what);
            }
        }
    }
}
