//! Master playlists, and what is selected of them.

use super::*;
use crate::media::selection::{FormatRequest, NoMatch, Quality};
use crate::options::ContainerChoice;

fn master(text: &str) -> MasterPlaylist {
    match with_hints(text, &PlaylistHints::default()) {
        Ok(Playlist::Master(master)) => master,
        other => panic!("{other:?}"),
    }
}

/// Returns the names of the selected playlists.
fn selected(master: &MasterPlaylist, request: &FormatRequest) -> String {
    let name = |url: Option<Url>| {
        let url = url.map(|url| url.path_segments().unwrap().next_back().unwrap().to_owned());
        url.unwrap_or("-".into())
    };
    match master.select(request) {
        Ok(SelectedPlaylists { video, audio }) => format!("{}+{}", name(video), name(audio)),
        Err(NoMatch(reason)) => reason.to_owned(),
    }
}

fn best() -> FormatRequest {
    FormatRequest::default()
}

fn at_most(height: u32) -> FormatRequest {
    FormatRequest { quality: Quality::AtMost(height), ..best() }
}

fn audio_only() -> FormatRequest {
    FormatRequest { quality: Quality::AudioOnly, ..best() }
}

fn in_language(language: &str, quality: Quality) -> FormatRequest {
    FormatRequest { language: Some(language.to_owned()), quality, ..best() }
}

const GROUPS: &str = r#"#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="aac-en"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",LANGUAGE="de",URI="aac-de"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Blind",LANGUAGE="en",CHARACTERISTICS="public.accessibility.describes-video",URI="aac-ad"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="ec3",NAME="English",LANGUAGE="en",DEFAULT=YES,CHANNELS="6/JOC",URI="ec3-en"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="sub",NAME="English",LANGUAGE="en",URI="sub"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="aac",SUBTITLES="sub"
v720
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="aac"
v1080
#EXT-X-STREAM-INF:BANDWIDTH=6000000,CODECS="avc1.640028,ec-3",RESOLUTION=1920x1080,AUDIO="ec3"
v1080
#EXT-X-STREAM-INF:BANDWIDTH=4000000,CODECS="hvc1.2.4.L120,mp4a.40.2",RESOLUTION=1920x1080,VIDEO-RANGE=PQ,AUDIO="aac"
v1080-hdr
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="aac"
a64
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="iframes"
#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=100,RESOLUTION=1920x1080,URI="images"
"#;

#[test]
fn what_a_master_playlist_lists() {
    let master = master(GROUPS);
    assert_eq!((master.variants.len(), master.audio.len()), (5, 4));
    let first = &master.variants[0];
    assert_eq!(first.url.as_str(), "https://cdn.example/films/1/v720");
    assert_eq!((first.bandwidth, first.resolution), (Some(2_000_000), Some((1280, 720))));
    assert_eq!((first.frame_rate, first.is_hdr), (Some(30), false));
    assert_eq!(first.codecs, ["avc1.64001f", "mp4a.40.2"]);
    assert_eq!(first.audio_group.as_deref(), Some("aac"));
    assert!(master.variants[3].is_hdr);
    let blind = &master.audio[2];
    assert!(blind.describes_video && !blind.is_default);
    assert_eq!((blind.name.as_str(), blind.language.as_deref()), ("Blind", Some("en")));
    assert_eq!(master.audio[3].channels, Some(6));
}

#[test]
fn audio_comes_from_the_group_of_the_video() {
    let master = master(GROUPS);
    assert_eq!(selected(&master, &best()), "v1080+aac-en");
    assert_eq!(selected(&master, &at_most(720)), "v720+aac-en");
    assert_eq!(selected(&master, &at_most(100)), "v720+aac-en");
    assert_eq!(selected(&master, &in_language("de", Quality::Best)), "v1080+aac-de");
    assert_eq!(selected(&master, &in_language("de", Quality::AudioOnly)), "-+aac-de");
    assert_eq!(selected(&master, &FormatRequest { hdr: true, ..best() }), "v1080-hdr+aac-en");
    let variant = Some(crate::media::variant::Variant::Described);
    assert_eq!(selected(&master, &FormatRequest { variant, ..best() }), "v1080+aac-ad");
    assert_eq!(selected(&master, &audio_only()), "-+aac-en");
    let webm = FormatRequest { container: ContainerChoice::Webm, ..best() };
    assert!(selected(&master, &webm).contains("fits into webm"));
}

#[test]
fn audio_that_is_part_of_the_variants() {
    let text = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",URI="de"
#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720,AUDIO="a"
high
#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,AUDIO="a"
low
"#;
    let master = master(text);
    assert_eq!(selected(&master, &best()), "high+-");
    assert_eq!(selected(&master, &in_language("de", Quality::Best)), "high+de");
    assert_eq!(selected(&master, &audio_only()), "-+low");
    assert_eq!(selected(&master, &in_language("de", Quality::AudioOnly)), "-+de");
}

#[test]
fn variants_that_say_little() {
    let plain =
        master("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-STREAM-INF:BANDWIDTH=9\nb");
    assert_eq!(selected(&plain, &best()), "b+-");
    assert_eq!(selected(&plain, &audio_only()), "-+a");
    // Of equal ones the first; the others are on spare servers.
    let spare = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb";
    assert_eq!(selected(&master(spare), &best()), "a+-");
    let radio = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"mp4a.40.2\"\na";
    assert_eq!(selected(&master(radio), &audio_only()), "-+a");
    assert!(selected(&master(radio), &best()).contains("offers no video"));
    let silent = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.4d401f\"\na";
    assert_eq!(selected(&master(silent), &best()), "a+-");
    assert_eq!(selected(&master(silent), &audio_only()), "the playlist offers no audio");
    let rising = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=1080x1920\na\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=720x1280\nb";
    assert_eq!(selected(&master(rising), &at_most(720)), "b+-");
}

#[test]
fn variables_of_the_master_are_for_its_playlists() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"q\",VALUE=\"sig=1\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\na?{$q}\n";
    let master = master(text);
    assert_eq!(master.variants[0].url.query(), Some("sig=1"));
    let hints =
        PlaylistHints { text: Some(text.into()), key_query: Some("k".into()), ..<_>::default() };
    let hints = master.media_hints(&hints);
    assert_eq!((hints.text, hints.key_query.as_deref()), (None, Some("k")));
    assert_eq!(hints.variables, [("q".to_owned(), "sig=1".to_owned())]);
}

#[test]
fn masters_that_are_refused() {
    let told = |lines: &str| {
        let text = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n{lines}");
        with_hints(&text, &PlaylistHints::default()).unwrap_err().to_string()
    };
    for (lines, problem) in [
        ("b", "a variant lacks EXT-X-STREAM-INF"),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1", "its last variant has no URL"),
        (
            "#EXT-X-STREAM-INF:BANDWIDTH=1\ndata:,x",
            "EXT-X-STREAM-INF has a URL that is neither http nor https",
        ),
        ("#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a\"", "EXT-X-MEDIA lacks GROUP-ID"),
        ("#EXT-X-STREAM-INF:CODECS=\"a\nb", "the attributes of EXT-X-STREAM-INF are malformed"),
    ] {
        assert_eq!(told(lines), format!("the playlist is invalid: {problem}"), "{lines}");
    }
    let many = "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(1000);
    assert!(told(&many).contains("more than 1000 playlists"));
    let empty = with_hints("#EXTM3U\n#EXT-X-MEDIA:TYPE=VIDEO\n", &PlaylistHints::default());
    assert!(empty.unwrap_err().to_string().contains("it lists no variants"));
}
