//! The options of the command line that are parameters of the API, and the request that they make.

use crate::form;

/// An option that is a parameter of `/download`, of `/mux`, or of both, under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// A letter that stands for it.
    pub short: Option<char>,
    /// The name of its value in the help; `None` for a switch, whose value is `1`.
    pub value: Option<&'static str>,
    /// Where it can be used.
    pub with: Use,
    /// The help.
    pub help: &'static str,
}

/// With what a parameter can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// With a page link.
    Link,
    /// With media URLs.
    Urls,
    /// With both.
    Both,
}

const fn parameter(
    name: &'static str,
    value: &'static str,
    with: Use,
    help: &'static str,
) -> Parameter {
    Parameter { name, short: None, value: Some(value), with, help }
}

/// The options, in the order of the help.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        short: Some('q'),
        ..parameter(
            "quality",
            "QUALITY",
            Use::Link,
            "Quality: best, audio, or a maximum height such as 1080",
        )
    },
    Parameter {
        short: Some('c'),
        ..parameter(
            "container",
            "CONTAINER",
            Use::Both,
            "Container: auto, mp4, webm, mkv; of a page also m4a, mp3, opus, ogg, flac, wav, vtt, srt",
        )
    },
    parameter("start", "TIME", Use::Both, "Start of a time range, such as 90 or 1:30"),
    parameter("end", "TIME", Use::Both, "End of a time range"),
    parameter("subs", "LANGUAGES", Use::Link, "Subtitles: all, or languages such as en,de"),
    parameter(
        "captions",
        "KIND",
        Use::Link,
        "Captions for --subs: none, or auto, which permits automatic ones",
    ),
    parameter(
        "lang",
        "LANGUAGES",
        Use::Both,
        "Language of the audio, several such as en,de, or all; with --audio, their languages",
    ),
    parameter("codec", "CODEC", Use::Link, "Video codec: auto, h264, h265, vp9 or av1"),
    Parameter { value: None, ..parameter("hdr", "", Use::Link, "Permit HDR formats") },
    parameter("variant", "VARIANT", Use::Link, "Variant that `ytcanal info` lists"),
    parameter("bitrate", "KBIT", Use::Link, "Bit rate of encoded audio, in kbit/s"),
    parameter("cover", "WHICH", Use::Link, "Cover of an audio file: 0, 1 or auto"),
    parameter("sponsorblock", "WHAT", Use::Link, "Segments of SponsorBlock: none, mark or remove"),
    parameter("as", "FORMAT", Use::Link, "A list, or several links, as one tar or zip"),
    parameter("items", "ITEMS", Use::Link, "Entries of a list, such as 1-10,15"),
    parameter("engine", "ENGINE", Use::Both, "Engine: auto, splice or ffmpeg"),
    parameter("length", "POLICY", Use::Both, "Find out the length first: auto, wait or none"),
    parameter("name", "NAME", Use::Urls, "Name of the file, without its extension"),
    parameter("title", "TITLE", Use::Urls, "Title, in the metadata"),
    parameter("artist", "ARTIST", Use::Urls, "Artist, in the metadata"),
    parameter("date", "DATE", Use::Urls, "Date, in the metadata"),
];

/// What is to be downloaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Page links: one, or several for an archive.
    pub links: Vec<String>,
    /// The URL of a video file.
    pub video: Option<String>,
    /// The URLs of audio files.
    pub audio: Vec<String>,
    /// The values of [`PARAMETERS`], by name.
    pub values: Vec<(&'static str, String)>,
}

impl Wanted {
    /// Returns the target of the request; says what is wrong with the combination.
    pub fn target(&self) -> Result<String, String> {
        let is_urls = self.video.is_some() || !self.audio.is_empty();
        let (path, with) = match (is_urls, self.links.is_empty()) {
            (false, true) => {
                return Err("missing link: give a page link, or --video and --audio".into());
            }
            (true, false) => {
                return Err("give a page link, or --video and --audio, not both".into());
            }
            (true, true) => ("/mux", Use::Urls),
            (false, false) => ("/download", Use::Link),
        };
        for (name, _) in &self.values {
            let known = PARAMETERS.iter().find(|parameter| parameter.name == *name);
            if known.is_none_or(|known| known.with != with && known.with != Use::Both) {
                let other = if is_urls { "needs a page link" } else { "needs --video or --audio" };
                return Err(format!("--{name} {other}"));
            }
        }
        let links = self.links.iter().map(|link| (form::LINK, link.as_str()));
        let video = self.video.iter().map(|url| ("video", url.as_str()));
        let audio = self.audio.iter().map(|url| (form::AUDIO, url.as_str()));
        let values = self.values.iter().map(|(name, value)| (*name, value.as_str()));
        let query = form::encode(links.chain(video).chain(audio).chain(values));
        Ok(format!("{path}?{query}"))
    }

    /// Returns whether it is an archive of several pages.
    pub fn is_archive(&self) -> bool {
        self.values.iter().any(|(name, _)| *name == "as")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::access::signature;
    use crate::route::{self, route};

    fn wanted(links: &[&str], values: &[(&'static str, &str)]) -> Wanted {
        let values = values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let links = links.iter().map(|link| (*link).to_owned()).collect();
        Wanted { links, values, ..Wanted::default() }
    }

    #[test]
    fn a_request_has_the_parameters_of_the_command_line() {
        let link = wanted(&["https://a.example/b?c=1&d"], &[("quality", "720"), ("hdr", "1")]);
        let target = link.target().unwrap();
        assert_eq!(
            target,
            "/download?url=https%3A%2F%2Fa.example%2Fb%3Fc%3D1%26d&quality=720&hdr=1"
        );
        let urls = Wanted {
            video: Some("http://a/v".into()),
            audio: vec!["http://a/a".into(), "http://a/b".into()],
            ..wanted(&[], &[("lang", "en,de")])
        };
        let target = urls.target().unwrap();
        assert!(target.starts_with("/mux?video=") && route(&target).is_ok(), "{target}");
        assert!(wanted(&["a"], &[("as", "zip")]).is_archive() && !link.is_archive());
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        assert!(wanted(&[], &[]).target().unwrap_err().contains("missing link"));
        let both = Wanted { video: Some("v".into()), ..wanted(&["a"], &[]) };
        assert!(both.target().unwrap_err().contains("not both"));
        let name = wanted(&["a"], &[("name", "x")]).target().unwrap_err();
        assert_eq!(name, "--name needs --video or --audio");
        let urls = Wanted { video: Some("v".into()), ..wanted(&[], &[("codec", "vp9")]) };
        assert_eq!(urls.target().unwrap_err(), "--codec needs a page link");
    }

    /// Each has every parameter that the parsers ask for, and no other.
    #[test]
    fn the_table_agrees_with_the_api() {
        // The links and URLs are arguments of their own, and nobody signs a command.
        let apart = ["url", "video", "audio"].into_iter().chain(signature::PARAMETERS);
        let apart: BTreeSet<_> = apart.map(str::to_owned).collect();
        for (target, with) in
            [("/download?url=a.example", Use::Link), ("/mux?video=http://a/", Use::Urls)]
        {
            let of_table =
                PARAMETERS.iter().filter(|known| [with, Use::Both].contains(&known.with));
            let of_table: BTreeSet<_> = of_table.map(|known| known.name.to_owned()).collect();
            assert_eq!(&route::parameters_of(target) - &apart, of_table, "{target}");
        }
    }
}
