//! Generates the sample of the demonstration by ffmpeg: fragmented MP4 files as video sites serve them
//! (fragments of 5 s, a sidx box in front), and the formats that their page would list.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::origin::Origin;
use crate::child_group::ChildGroup;
use crate::media::RemoteLocation;
use crate::media::page_media::{
    AudioCodec, AudioFormat, ContainerFamily, PageMedia, Rendition, Size, VideoCodec, VideoFormat,
};
use crate::sys;

/// How long ffmpeg may take for a file of the sample.
const GENERATION_TIMEOUT: Duration = Duration::from_secs(300);

/// Media files in memory.
pub(super) struct Sample {
    /// The files by their paths.
    pub(super) files: Vec<(&'static str, Arc<[u8]>)>,
    pub(super) duration: Duration,
}

const SECONDS: u32 = 180;
/// The heights of the videos in pixels, and their paths.
const VIDEOS: [(u32, &str); 2] = [(180, "/180.mp4"), (360, "/360.mp4")];
const AUDIO: &str = "/audio.m4a";
const THUMBNAIL: &str = "/thumbnail.jpg";
const FPS: u32 = 12;
/// Frames from one key frame to the next.
const GOP: u32 = 5 * FPS;
/// Fragmented, with one sidx box of all fragments in front.
const FRAGMENTED: &str = "-movflags empty_moov+default_base_moof+dash+global_sidx -f mp4";

impl Sample {
    /// Generates the files in `dir`, all at the same time.
    pub(super) fn generate(ffmpeg: &Path, dir: &Path) -> io::Result<Sample> {
        let mut running = Vec::new();
        for (file, arguments) in recipes() {
            running.push((file, start(ffmpeg, &arguments, &dir.join(&file[1..]))?));
        }
        let mut files = Vec::new();
        for (file, mut child) in running {
            child.has_exited_within(GENERATION_TIMEOUT)?;
            if !child.kill_and_wait()?.success() {
                return Err(io::Error::other("ffmpeg failed to generate the sample"));
            }
            files.push((file, fs::read(dir.join(&file[1..]))?.into()));
        }
        Ok(Sample { files, duration: Duration::from_secs(SECONDS.into()) })
    }

    /// Returns the formats of the sample, as if they were listed by a page.
    pub(super) fn page_media(&self, origin: &Origin) -> io::Result<PageMedia> {
        let url = |path: &str| Url::parse(&origin.url(path)).map_err(io::Error::other);
        let mut renditions = Vec::new();
        for (file, bytes) in &self.files {
            let height = VIDEOS.iter().find(|(_, path)| path == file).map(|(height, _)| *height);
            let video = height.map(|height| VideoFormat {
                codec: VideoCodec::H264,
                height,
                fps: Some(FPS),
                hdr: false,
            });
            let audio = (*file == AUDIO).then_some(AudioFormat {
                codec: AudioCodec::Aac,
                language: None,
                name: None,
                preference: 0,
            });
            if video.is_none() && audio.is_none() {
                continue;
            }
            let bits = bytes.len() as u64 * 8;
            renditions.push(Rendition {
                id: (*file).into(),
                video,
                audio,
                family: ContainerFamily::Mp4,
                variant: None,
                location: RemoteLocation::from(url(file)?),
                segments: None,
                size: Some(Size::Exact(bytes.len() as u64)),
                bitrate: Some(bits / u64::from(SECONDS)),
                rank: [0; 3],
            });
        }
        Ok(PageMedia {
            page_url: url("/sample")?,
            generation: 1,
            id: "sample".into(),
            extractor: "demonstration".into(),
            title: Some("YtCanal sample".into()),
            uploader: Some("ffmpeg".into()),
            date: None,
            duration: Some(self.duration),
            is_live: false,
            chapters: Vec::new(),
            sponsorblock: None,
            subtitles: Vec::new(),
            thumbnail: Some(RemoteLocation::from(url(THUMBNAIL)?)),
            renditions,
            expires: None,
        })
    }
}

/// Returns the paths of the files, and ffmpeg's arguments for each.
fn recipes() -> Vec<(&'static str, String)> {
    let mut recipes = Vec::new();
    for (height, file) in VIDEOS {
        let width = height * 16 / 9;
        recipes.push((
            file,
            format!(
                "-f lavfi -i testsrc=size={width}x{height}:rate={FPS}:duration={SECONDS} -c:v libx264 \
                 -preset ultrafast -pix_fmt yuv420p -g {GOP} -keyint_min {GOP} -sc_threshold 0 {FRAGMENTED} \
                 -movflags +frag_keyframe"
            ),
        ));
    }
    let tone = format!(
        "-f lavfi -i sine=frequency=440:beep_factor=4:duration={SECONDS} -c:a aac -b:a 96k \
         -frag_duration 5000000 {FRAGMENTED}"
    );
    recipes.push((AUDIO, tone));
    let still = "-f lavfi -i testsrc=size=960x540 -ss 3 -frames:v 1 -q:v 3 -f mjpeg";
    recipes.push((THUMBNAIL, still.into()));
    recipes
}

fn start(ffmpeg: &Path, arguments: &str, file: &Path) -> io::Result<ChildGroup<'static>> {
    let mut command = Command::new(ffmpeg);
    command
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(file)
        .stdin(Stdio::null());
    sys::kill_on_parent_exit(&mut command);
    ChildGroup::spawn(&mut command).map_err(|error| {
        let program = ffmpeg.display();
        let hint = "install ffmpeg (apt install ffmpeg)";
        io::Error::new(error.kind(), format!("cannot run {program}: {error}; {hint}"))
    })
}
