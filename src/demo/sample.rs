//! The sample of the demonstration: made by ffmpeg, as files of the shape that video sites serve
//! (fragments of 5 s, with their index in front), and what its page would say of it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::origin::Origin;
use crate::media::RemoteLocation;
use crate::media::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoCodec, VideoFormat,
};

/// A film in memory.
pub(super) struct Sample {
    /// Under their paths.
    pub(super) files: Vec<(&'static str, Arc<[u8]>)>,
    pub(super) duration: Duration,
}

const SECONDS: u32 = 180;
/// Lines of the pictures, and their files.
const PICTURES: [(u32, &str); 2] = [(180, "/180.mp4"), (360, "/360.mp4")];
const SOUND: &str = "/sound.m4a";
const THUMBNAIL: &str = "/thumbnail.jpg";
const FPS: u32 = 12;
/// Pictures from one key frame to the next.
const APART: u32 = 5 * FPS;
/// Fragmented, and with one index (sidx) of all fragments at the head.
const SHAPE: &str = "-movflags empty_moov+default_base_moof+dash+global_sidx -f mp4";

impl Sample {
    /// Has ffmpeg make the files in `dir`, all at the same time.
    pub(super) fn make(ffmpeg: &Path, dir: &Path) -> io::Result<Sample> {
        let mut making = Vec::new();
        for (file, arguments) in recipes() {
            making.push((file, start(ffmpeg, &arguments, &dir.join(&file[1..]))?));
        }
        // All are waited for before an error of one is looked at.
        let ended: Vec<_> = making.iter_mut().map(|(file, child)| (*file, child.wait())).collect();
        let mut files = Vec::new();
        for (file, status) in ended {
            if !status?.success() {
                return Err(io::Error::other("ffmpeg could not make the sample"));
            }
            files.push((file, fs::read(dir.join(&file[1..]))?.into()));
        }
        Ok(Sample { files, duration: Duration::from_secs(SECONDS.into()) })
    }

    /// What its page would say of it, if it had one.
    pub(super) fn offer(&self, origin: &Origin) -> io::Result<PageMedia> {
        let url = |path: &str| Url::parse(&origin.url(path)).map_err(io::Error::other);
        let mut renditions = Vec::new();
        for (file, bytes) in &self.files {
            let lines = PICTURES.iter().find(|(_, path)| path == file).map(|(lines, _)| *lines);
            let picture = lines.map(|lines| VideoFormat {
                codec: VideoCodec::H264,
                height: lines,
                fps: Some(FPS),
                hdr: false,
            });
            let sound = (*file == SOUND).then_some(AudioFormat {
                codec: AudioCodec::Aac,
                language: None,
                preference: 0,
            });
            if picture.is_none() && sound.is_none() {
                continue;
            }
            let bits = bytes.len() as u64 * 8;
            renditions.push(Rendition {
                id: (*file).into(),
                video: picture,
                audio: sound,
                family: ContainerFamily::Mp4,
                variant: None,
                location: RemoteLocation::from(url(file)?),
                size: Some(Size::Exact(bytes.len() as u64)),
                bitrate: Some(bits / u64::from(SECONDS)),
                rank: [0; 3],
            });
        }
        Ok(PageMedia {
            link: url("/sample")?,
            generation: 1,
            id: "sample".into(),
            extractor: "demonstration".into(),
            title: Some("YtCanal sample".into()),
            uploader: Some("ffmpeg".into()),
            date: None,
            duration: Some(self.duration),
            thumbnail: Some(RemoteLocation::from(url(THUMBNAIL)?)),
            renditions,
            expires: None,
        })
    }
}

/// The files, and ffmpeg's arguments for each.
fn recipes() -> Vec<(&'static str, String)> {
    let mut recipes = Vec::new();
    for (lines, file) in PICTURES {
        let width = lines * 16 / 9;
        recipes.push((
            file,
            format!(
                "-f lavfi -i testsrc=size={width}x{lines}:rate={FPS}:duration={SECONDS} -c:v libx264 \
                 -preset ultrafast -pix_fmt yuv420p -g {APART} -keyint_min {APART} -sc_threshold 0 {SHAPE} \
                 -movflags +frag_keyframe"
            ),
        ));
    }
    let tone = format!(
        "-f lavfi -i sine=frequency=440:beep_factor=4:duration={SECONDS} -c:a aac -b:a 96k \
         -frag_duration 5000000 {SHAPE}"
    );
    recipes.push((SOUND, tone));
    let still = "-f lavfi -i testsrc=size=960x540 -ss 3 -frames:v 1 -q:v 3 -f mjpeg";
    recipes.push((THUMBNAIL, still.into()));
    recipes
}

fn start(ffmpeg: &Path, arguments: &str, file: &Path) -> io::Result<Child> {
    Command::new(ffmpeg)
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(file)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| {
            let program = ffmpeg.display();
            let hint = "install ffmpeg (apt install ffmpeg)";
            io::Error::new(error.kind(), format!("cannot run {program}: {error}; {hint}"))
        })
}
