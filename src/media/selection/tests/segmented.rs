//! Selections among files and segments.

use super::*;

fn hls(format: Value) -> Value {
    let format = with(with(format, "protocol", "m3u8_native"), "ext", "mp4");
    with(format, "filesize", Value::Null)
}

fn muxed(id: &str, lines: u32) -> Value {
    with(picture(id, lines, "mp4", "avc1.4d401f"), "acodec", "mp4a.40.2")
}

#[test]
fn a_file_is_preferred_to_segments_of_the_same_quality() {
    let page = offer(&[
        hls(muxed("hls-720", 720)),
        muxed("file-720", 720),
        hls(muxed("hls-1080", 1080)),
        hls(with(muxed("hls-1080-more", 1080), "tbr", 9000)),
    ]);
    assert_eq!(ids(&page, &at_most(720)), "file-720+-");
    assert_eq!(ids(&page, &FormatRequest::default()), "hls-1080-more+-");
    let list = list_formats(&page);
    let rows: Vec<_> = list.videos.iter().map(|row| (row.is_segmented(), row.size())).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], (true, None));
    assert!(!rows[1].0 && rows[1].1.is_some());
    for row in list.videos.iter().chain(&list.audios) {
        assert_eq!(select_formats(&page, &row.request).unwrap(), row.formats);
    }
    // More frames are another quality, another container is not.
    let page = offer(&[
        with(hls(muxed("hls-50", 1080)), "fps", 50),
        muxed("file-25", 1080),
        hls(muxed("hls-25", 1080)),
    ]);
    assert_eq!(ids(&page, &FormatRequest::default()), "hls-50+-");
    let page = offer(&[picture("webm", 1080, "webm", "vp9"), hls(muxed("hls", 1080))]);
    assert_eq!(ids(&page, &FormatRequest::default()), "webm+-");
}

#[test]
fn both_of_a_pair_are_delivered_alike() {
    let page = offer(&[
        with(hls(sound("hls-a", "mp4", "mp4a.40.2", "en", -1)), "acodec", Value::Null),
        sound("file-a", "m4a", "mp4a.40.2", "en", -1),
        picture("file-720", 720, "mp4", "avc1.4d401f"),
        hls(picture("hls-1080", 1080, "mp4", "avc1.640028")),
    ]);
    assert_eq!(ids(&page, &FormatRequest::default()), "hls-1080+hls-a");
    assert_eq!(ids(&page, &at_most(720)), "file-720+file-a");
    let audio = FormatRequest { quality: Quality::AudioOnly, ..FormatRequest::default() };
    assert_eq!(ids(&page, &audio), "-+file-a");
    // Where it is not possible, they are not.
    let page = offer(&[
        sound("file-a", "m4a", "mp4a.40.2", "en", -1),
        hls(picture("hls-1080", 1080, "mp4", "avc1.640028")),
    ]);
    assert_eq!(ids(&page, &FormatRequest::default()), "hls-1080+file-a");
    // The language matters more.
    let page = offer(&[
        hls(sound("hls-de", "mp4", "mp4a.40.2", "de", -1)),
        sound("file-en", "m4a", "mp4a.40.2", "en", -1),
        hls(picture("hls-1080", 1080, "mp4", "avc1.640028")),
    ]);
    let english = FormatRequest { language: Some("en".into()), ..FormatRequest::default() };
    assert_eq!(ids(&page, &english), "hls-1080+file-en");
}

/// A site of music.
#[test]
fn audio_alone_is_a_file_unless_segments_save_transcoding() {
    let page = offer(&[
        hls(sound("hls-aac", "mp4", "mp4a.40.2", "en", -1)),
        with(sound("http-mp3", "mp3", "mp3", "en", -1), "vcodec", "none"),
        hls(sound("hls-opus", "mp4", "opus", "en", -1)),
    ]);
    let audio = |container| {
        let quality = Quality::AudioOnly;
        ids(&page, &FormatRequest { quality, container, ..FormatRequest::default() })
    };
    assert_eq!(audio(ContainerChoice::Auto), "-+http-mp3");
    assert_eq!(audio(ContainerChoice::M4a), "-+hls-aac");
    assert_eq!(audio(ContainerChoice::Opus), "-+hls-opus");
    assert_eq!(audio(ContainerChoice::Mp3), "-+http-mp3");
}

#[test]
fn audio_of_the_smallest_of_which_no_size_is_known() {
    let page = offer(&[
        with(hls(muxed("low", 360)), "tbr", 500),
        with(hls(muxed("high", 1080)), "tbr", 5000),
        hls(muxed("unknown", 720)),
    ]);
    let quality = Quality::AudioOnly;
    assert_eq!(ids(&page, &FormatRequest { quality, ..FormatRequest::default() }), "-+low");
}
