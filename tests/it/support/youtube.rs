//! YouTube as its own extractor in yt-dlp asks for it: the page of a video, the script of the player,
//! the API, and media at URLs that are riddles until the script has run.

use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::names::Names;
use super::origin::{Origin, Request};
use super::player;
use super::resource::{Fault, Resource};
use super::ytdlp::file;

/// The video that is there.
pub(crate) const ID: &str = "aqz-KE-bpKQ";
/// What stands in the URLs of the API, and must not be what a media server is asked with.
const N: &str = "kT9xW2uQvLm4Zd8a";
const SIGNATURE: &str = "AOq0QJ8wRgIhAKz3yVdU5s1mJcXh9bT2nEeLrW7fGgPqSxYvCtBuDoI0=AiEA6k_MHNlRjFZ4";
/// Where the media are.
const FIRST: &str = "videoplayback";
/// Where they are when their URLs were refused.
const SECOND: &str = "later/videoplayback";
/// So many of yt-dlp's clients ask the API for one video; the page has the answer for another one.
const CLIENTS: usize = 2;
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
        let site = Self { origin: Origin::start() };
        let answer = site.put_media(FIRST, |media| media);
        site.put_pages(answer, None, change);
        site
    }

    /// The same where the media of the first reading are refused after so many requests for each
    /// track, and those of a second one are not.
    pub(crate) fn expiring(after: usize) -> Self {
        let site = Self { origin: Origin::start() };
        let first = site.put_media(FIRST, |media| {
            media.clone().becomes(media.fault(Fault::Status(403, vec![])), after)
        });
        let second = site.put_media(SECOND, |media| media);
        site.put_pages(first, Some(second), |_| ());
        site
    }

    /// Puts the media at a place, under a script; what the API says of them.
    fn put_media(&self, place: &str, script: impl Fn(Resource) -> Resource) -> Value {
        for (format, ..) in FORMATS {
            let media = Resource::file(file(format)).only_bounded_ranges().keep_alive();
            self.origin.put(&format!("{place}/{format}"), script(media));
        }
        answer(&self.origin, place)
    }

    /// Puts what is read before the media; what the API says changes once it has been asked by
    /// all clients of one reading.
    fn put_pages(&self, mut first: Value, second: Option<Value>, change: impl Fn(&mut Value)) {
        let origin = &self.origin;
        change(&mut first);
        let config = json!({
            "PLAYER_JS_URL": "/s/player/0123abcd/player_ias.vflset/en_US/base.js",
            "VISITOR_DATA": "CgtWaXNpdG9yRGF0YQ%3D%3D",
            "STS": 20420,
        });
        let page = |answer: &Value| {
            Resource::bytes(format!(
                "<html><script>ytcfg.set({config});</script>\
                 <script>var ytInitialPlayerResponse = {answer};</script>\
                 <script>var ytInitialData = {{\"contents\": {{\"x\": 1}}}};</script></html>"
            ))
        };
        let api = |answer: &Value| Resource::bytes(answer.to_string());
        let (mut pages, mut apis) = (page(&first), api(&first));
        if let Some(second) = second {
            (pages, apis) = (pages.becomes(page(&second), 1), apis.becomes(api(&second), CLIENTS));
        }
        origin.put("watch", pages);
        origin.put("youtubei/v1/player", apis);
        // Whichever variant of it yt-dlp likes best.
        for variant in ["player_ias", "player_ias_tce", "player_es6", "player_es5"] {
            let name = format!("s/player/0123abcd/{variant}.vflset/en_US/base.js");
            origin.put(&name, Resource::bytes(player::script()));
        }
    }

    /// What makes yt-dlp ask here.
    pub(crate) fn argument(&self) -> String {
        format!("youtube:site={}", self.origin.url("").trim_end_matches('/'))
    }

    /// The link of the video, and the names that a daemon must know for it.
    pub(crate) fn page_url() -> (String, Names) {
        let names = Names::new(&[("www.youtube.com", &["1.2.3.4"])]);
        (format!("https://www.youtube.com/watch?v={ID}"), names)
    }

    /// All requests for media. Each had to bring the solutions, and in bounded ranges.
    pub(crate) fn media_requests(&self) -> Vec<Request> {
        let requests = self.origin.requests().into_iter();
        let media: Vec<_> = requests
            .filter(|request| {
                [FIRST, SECOND].iter().any(|place| request.path[1..].starts_with(place))
            })
            .collect();
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
fn answer(origin: &Origin, place: &str) -> Value {
    let expire = now() + 6 * 3600;
    let formats: Vec<Value> = FORMATS
        .iter()
        .map(|(name, height, kind)| {
            let len = std::fs::metadata(file(name)).unwrap().len();
            let itag: u32 = name.split('-').next().unwrap().parse().unwrap();
            let url = origin.url(&format!(
                "{place}/{name}?expire={expire}&itag={itag}&clen={len}&lmt=1780000000000000&n={N}"
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
