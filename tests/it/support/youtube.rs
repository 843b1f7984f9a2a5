//! YouTube as its own extractor in yt-dlp asks for it: the page of a video, the script of the player,
//! the API, and media at URLs that are riddles until the script has run.

use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::names::Names;
use super::origin::{Origin, Request};
use super::player;
use super::script::Resource;
use super::ytdlp::file;

/// The video that is there.
pub(crate) const ID: &str = "aqz-KE-bpKQ";
/// What stands in the URLs of the API, and must not be what a media server is asked with.
const N: &str = "kT9xW2uQvLm4Zd8a";
const SIGNATURE: &str = "AOq0QJ8wRgIhAKz3yVdU5s1mJcXh9bT2nEeLrW7fGgPqSxYvCtBuDoI0=AiEA6k_MHNlRjFZ4";
/// The formats, by their names in `ytdlp`, with what the API says of them.
const FORMATS: [(&str, u16, &str); 4] = [
    ("137", 1080, "video/mp4; codecs=\"avc1.640028\""),
    ("136", 720, "video/mp4; codecs=\"avc1.4d401f\""),
    ("248", 1080, "video/webm; codecs=\"vp9\""),
    ("140-1", 0, "audio/mp4; codecs=\"mp4a.40.2\""),
];

/// The site and its media servers.
pub(crate) struct Youtube {
    pub(crate) origin: Origin,
}

impl Youtube {
    /// With one video. `change` has the last word on what the API says of it.
    pub(crate) fn start(change: impl Fn(&mut Value)) -> Self {
        let origin = Origin::start();
        for (format, ..) in FORMATS {
            let media = Resource::file(file(format)).only_bounded_ranges().keep_alive();
            origin.put(&format!("videoplayback/{format}"), media);
        }
        let mut answer = answer(&origin);
        change(&mut answer);
        let config = json!({
            "PLAYER_JS_URL": "/s/player/0123abcd/player_ias.vflset/en_US/base.js",
            "VISITOR_DATA": "CgtWaXNpdG9yRGF0YQ%3D%3D",
            "STS": 20420,
        });
        let page = format!(
            "<html><script>ytcfg.set({config});</script>\
             <script>var ytInitialPlayerResponse = {answer};</script>\
             <script>var ytInitialData = {{\"contents\": {{\"x\": 1}}}};</script></html>"
        );
        origin.put("watch", Resource::bytes(page));
        origin.put("youtubei/v1/player", Resource::bytes(answer.to_string()));
        // Whichever variant of it yt-dlp likes best.
        for variant in ["player_ias", "player_ias_tce", "player_es6", "player_es5"] {
            let name = format!("s/player/0123abcd/{variant}.vflset/en_US/base.js");
            origin.put(&name, Resource::bytes(player::script()));
        }
        Self { origin }
    }

    /// What makes yt-dlp ask here.
    pub(crate) fn argument(&self) -> String {
        format!("youtube:site={}", self.origin.url("").trim_end_matches('/'))
    }

    /// The link of the video, and the names that a daemon must know for it.
    pub(crate) fn link() -> (String, Names) {
        let names = Names::new(&[("www.youtube.com", &["1.2.3.4"])]);
        (format!("https://www.youtube.com/watch?v={ID}"), names)
    }

    /// All requests for media. Each had to bring the solutions, and in bounded ranges.
    pub(crate) fn media_requests(&self) -> Vec<Request> {
        let requests = self.origin.requests().into_iter();
        let media: Vec<_> =
            requests.filter(|request| request.path.starts_with("/videoplayback/")).collect();
        let signature =
            utf8_percent_encode(&player::turned(SIGNATURE), NON_ALPHANUMERIC).to_string();
        for request in &media {
            let query = request.path.split_once('?').expect("a query").1;
            let has = |name: &str, value: &str| {
                query.split('&').any(|pair| pair == format!("{name}={value}"))
            };
            assert!(has("n", &player::solved(N)), "the n is not solved: {query}");
            let signed = url_decoded(query, "sig") == player::turned(SIGNATURE);
            assert!(signed, "the signature is not {signature}: {query}");
        }
        media
    }
}

fn url_decoded(query: &str, name: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    percent_encoding::percent_decode_str(value.unwrap_or_default()).decode_utf8_lossy().into_owned()
}

/// What the API says, to whatever client asks.
fn answer(origin: &Origin) -> Value {
    let expire = now() + 6 * 3600;
    let formats: Vec<Value> = FORMATS
        .iter()
        .map(|(name, height, kind)| {
            let len = std::fs::metadata(file(name)).unwrap().len();
            let itag: u32 = name.split('-').next().unwrap().parse().unwrap();
            let url = origin.url(&format!(
                "videoplayback/{name}?expire={expire}&itag={itag}&clen={len}&lmt=1780000000000000&n={N}"
            ));
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let mut format = json!({
                "itag": itag,
                "mimeType": kind,
                "bitrate": len * 8 / 60,
                "contentLength": len.to_string(),
                "approxDurationMs": "60000",
                "signatureCipher": format!("s={}&sp=sig&url={}", encode(SIGNATURE), encode(&url)),
            });
            let more = if *height == 0 {
                json!({ "audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": "48000", "audioChannels": 2,
                    "audioTrack": { "displayName": "English original", "id": "en.4", "audioIsDefault": true } })
            } else {
                json!({ "quality": format!("hd{height}"), "qualityLabel": format!("{height}p"), "fps": 25,
                    "height": height, "width": height * 16 / 9 })
            };
            format.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            format
        })
        .collect();
    json!({
        "playabilityStatus": { "status": "OK" },
        "videoDetails": {
            "videoId": ID, "title": "A film: from the site itself", "lengthSeconds": "60", "author": "Somebody",
            "channelId": "UC0", "isLiveContent": false, "shortDescription": "Made by ffmpeg.",
        },
        "streamingData": { "expiresInSeconds": "21600", "adaptiveFormats": formats },
    })
}

#[expect(clippy::disallowed_methods, reason = "URLs of media expire at a time of day")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
