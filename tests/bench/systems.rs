//! What is compared: everything that turns a pair of files at the origin into one download, behind
//! one trait. ffmpeg by itself stands here; those that are asked over HTTP are in `server`.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::media::Film;
use crate::origin::Origin;
use crate::proc::{self, Watch};
use crate::reader::{Body, Until};
use crate::server::Child;

pub(crate) trait System: Sync {
    fn name(&self) -> &'static str;
    /// One download.
    fn fetch(&self, links: &Links, until: Until) -> Outcome<Body>;
    /// So many downloads, one after the other, and what they cost. Nothing else may run on this
    /// system meanwhile.
    fn weigh(&self, links: &Links, count: usize) -> Outcome<Weighed>;
}

/// Where a film is.
pub(crate) struct Links {
    pub(crate) video: String,
    pub(crate) audio: String,
    /// For those that join nothing: the path of a body that is as long as the joined file.
    pub(crate) strung: String,
}

impl Links {
    /// The joined file is so many bytes long. `place` is "/near" or "/far": it tells those that
    /// join nothing which origin is meant.
    pub(crate) fn new(origin: &Origin, place: &str, film: &Film, joined: u64) -> Self {
        Self {
            video: origin.link(&film.video),
            audio: origin.link(&film.audio),
            strung: format!("{place}{}", Origin::strung(&film.paths(), joined)),
        }
    }

    /// A film in segments.
    pub(crate) fn playlist(url: String) -> Self {
        Self { video: url, audio: String::new(), strung: String::new() }
    }

    /// The picture alone, which needs no muxer.
    pub(crate) fn lone(origin: &Origin, film: &Film) -> Self {
        Self { video: origin.link(&film.video), audio: String::new(), strung: String::new() }
    }
}

/// What downloads came to.
pub(crate) struct Weighed {
    /// Seconds for one of them.
    pub(crate) wall: f64,
    /// CPU seconds, user and system, children included, for 10^9 bytes of body.
    pub(crate) cpu: f64,
    /// Peak resident memory in MB, children included.
    pub(crate) peak: f64,
}

impl Weighed {
    pub(crate) fn of(bodies: &[Body], cpu: f64, peak: f64) -> Self {
        let bytes: u64 = bodies.iter().map(|body| body.len).sum();
        let wall: f64 = bodies.iter().map(Body::wall).sum();
        Self { wall: wall / bodies.len() as f64, cpu: cpu / (bytes as f64 / 1e9), peak }
    }
}

/// Whatever proxy the environment names, the origin is not behind it.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// ffmpeg by itself: it fetches both URLs and its standard output is the download.
pub(crate) struct Alone;

/// The longest film takes some ten seconds; an ffmpeg that needs this long hangs.
const ALONE_LIMIT: Duration = Duration::from_secs(240);

impl System for Alone {
    fn name(&self) -> &'static str {
        "ffmpeg by itself"
    }

    fn fetch(&self, links: &Links, until: Until) -> Outcome<Body> {
        if until == Until::End {
            return Ok(self.run(links)?.body);
        }
        let body = Body::start(until);
        // It will complain that nobody reads any more.
        let mut ffmpeg = Self::spawn(links, Stdio::null())?;
        body.read_pipe(&mut ffmpeg.stdout()?)
    }

    fn weigh(&self, links: &Links, count: usize) -> Outcome<Weighed> {
        let runs = (0..count).map(|_| self.run(links)).collect::<Outcome<Vec<_>>>()?;
        let cpu = runs.iter().map(|run| run.cpu).sum();
        let peak = runs.iter().map(|run| run.peak).fold(0.0, f64::max);
        let bodies: Vec<_> = runs.into_iter().map(|run| run.body).collect();
        Ok(Weighed::of(&bodies, cpu, peak))
    }
}

/// One ffmpeg that ran to its end.
struct Run {
    body: Body,
    cpu: f64,
    peak: f64,
}

impl Alone {
    fn spawn(links: &Links, stderr: Stdio) -> Outcome<Child> {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-i", &links.video]);
        let sound = match &*links.audio {
            "" => "0:a:0",
            audio => {
                command.args(["-i", audio]);
                "1:a:0"
            }
        };
        command.args(["-map", "0:v:0", "-map", sound, "-c", "copy", "-f", "mp4"]);
        // Does nothing to sound that is framed as in MP4 already.
        command.args(["-bsf:a", "aac_adtstoasc"]);
        command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        Child::spawn(command)
    }

    fn run(&self, links: &Links) -> Outcome<Run> {
        let body = Body::start(Until::End);
        let mut ffmpeg = Self::spawn(links, Stdio::inherit())?;
        let pid = ffmpeg.pid();
        let watch = Watch::start(pid, Some(ALONE_LIMIT));
        let body = ffmpeg.stdout().and_then(|mut stdout| body.read_pipe(&mut stdout));
        proc::await_exit(pid, Duration::from_secs(2));
        let cpu = proc::cpu(pid);
        let peak = watch.finish();
        let status = ffmpeg.wait()?;
        if !status.success() {
            return Err(format!("ended with {status}").into());
        }
        Ok(Run { body: body?, cpu: cpu?, peak })
    }
}
