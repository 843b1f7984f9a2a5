//! What is compared: everything that turns a pair of files at the origin into one download, behind
//! one trait. ffmpeg by itself stands here; those that are asked over HTTP are in `server`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::media::Film;
use crate::proc::{self, Watch};
use crate::reader::{Body, Until};
use crate::server::Child;
use crate::upstream::Upstream;

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
    /// For those that join nothing: the path of a file that is as long as the joined one.
    pub(crate) whole: String,
}

impl Links {
    pub(crate) fn new(upstream: &Upstream, film: &Film) -> Self {
        let url = |file| format!("{}{}", upstream.url(), path_of(file));
        Self { video: url(&film.video), audio: url(&film.audio), whole: path_of(&film.whole) }
    }

    /// A film in segments.
    pub(crate) fn playlist(url: String) -> Self {
        Self { video: url, audio: String::new(), whole: String::new() }
    }

    /// The picture alone, which needs no muxer.
    pub(crate) fn lone(upstream: &Upstream, film: &Film) -> Self {
        Self { audio: String::new(), ..Self::new(upstream, film) }
    }
}

/// The path of a file at an origin.
pub(crate) fn path_of(file: &Path) -> String {
    format!("/{}", file.file_name().unwrap_or_default().to_string_lossy())
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

/// ffmpeg by itself: it fetches both URLs and its standard output is the download. Certificates are verified
/// where there is a file of them.
pub(crate) struct Alone<'a>(pub(crate) Option<&'a Path>);

/// The longest film takes some ten seconds; a process that needs this long hangs.
pub(crate) const ALONE_LIMIT: Duration = Duration::from_secs(240);

impl System for Alone<'_> {
    fn name(&self) -> &'static str {
        "ffmpeg by itself"
    }

    fn fetch(&self, links: &Links, until: Until) -> Outcome<Body> {
        if until == Until::End {
            return Ok(self.run(links)?.into_body());
        }
        let body = Body::start(until);
        // It will complain that nobody reads any more.
        let mut ffmpeg = self.spawn(links, Stdio::null())?;
        body.read_pipe(&mut ffmpeg.stdout()?)
    }

    fn weigh(&self, links: &Links, count: usize) -> Outcome<Weighed> {
        let runs = (0..count).map(|_| self.run(links)).collect::<Outcome<Vec<_>>>()?;
        Ok(Run::weighed(runs))
    }
}

/// A process that wrote a download to its standard output and ran to its end.
pub(crate) struct Run {
    body: Body,
    cpu: f64,
    peak: f64,
}

impl Run {
    /// Reads what the process writes, which `spawn` starts.
    pub(crate) fn to_end(spawn: impl FnOnce() -> Outcome<Child>) -> Outcome<Run> {
        let body = Body::start(Until::End);
        let mut child = spawn()?;
        let pid = child.pid();
        let watch = Watch::start(pid, Some(ALONE_LIMIT));
        let body = child.stdout().and_then(|mut stdout| body.read_pipe(&mut stdout));
        proc::await_exit(pid, Duration::from_secs(2));
        let cpu = proc::cpu(pid);
        let peak = watch.finish();
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("ended with {status}").into());
        }
        Ok(Run { body: body?, cpu: cpu?, peak })
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    pub(crate) fn weighed(runs: Vec<Run>) -> Weighed {
        let cpu = runs.iter().map(|run| run.cpu).sum();
        let peak = runs.iter().map(|run| run.peak).fold(0.0, f64::max);
        let bodies: Vec<_> = runs.into_iter().map(Run::into_body).collect();
        Weighed::of(&bodies, cpu, peak)
    }
}

impl Alone<'_> {
    fn spawn(&self, links: &Links, stderr: Stdio) -> Outcome<Child> {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error"]);
        let inputs = [&links.video, &links.audio].into_iter().filter(|url| !url.is_empty());
        for url in inputs.clone() {
            if let Some(file) = self.0 {
                command.args(["-tls_verify", "1", "-ca_file"]).arg(file);
            }
            command.args(["-i", url]);
        }
        let sound = if inputs.count() == 1 { "0:a:0" } else { "1:a:0" };
        command.args(["-map", "0:v:0", "-map", sound, "-c", "copy", "-f", "mp4"]);
        // Does nothing to sound that is framed as in MP4 already.
        command.args(["-bsf:a", "aac_adtstoasc"]);
        command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        Child::spawn(command)
    }

    fn run(&self, links: &Links) -> Outcome<Run> {
        Run::to_end(|| self.spawn(links, Stdio::inherit()))
    }
}
