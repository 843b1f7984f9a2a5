//! `ytcanal get`: the same download without a server, by a process of its own for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::proc::{self, Watch};
use crate::reader::{Body, Until};
use crate::server::Child;
use crate::systems::{ALONE_LIMIT, Links, Run, System, Weighed};
use crate::upstream::Upstream;

pub(crate) struct Get {
    config: PathBuf,
    /// Where its runtime directories are.
    scratch: PathBuf,
    /// What it writes to; `None` for a pipe.
    file: Option<PathBuf>,
}

impl Get {
    /// To a pipe, which the benchmark reads as it reads the connection to a server.
    pub(crate) fn to_pipe(upstream: &Upstream, scratch: &Path) -> Outcome<Get> {
        let config = scratch.join("get.toml");
        let text = format!("[upstream]\nallow = [\"127.0.0.0/8\"]\n{}\n", upstream.config());
        fs::write(&config, text)?;
        Ok(Get { config, scratch: scratch.to_owned(), file: None })
    }

    /// To a file in the scratch directory, the way it is mostly used.
    pub(crate) fn to_file(upstream: &Upstream, scratch: &Path) -> Outcome<Get> {
        let get = Get::to_pipe(upstream, scratch)?;
        Ok(Get { file: Some(scratch.join("get.mp4")), ..get })
    }

    fn command(&self, links: &Links, output: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ytcanal"));
        command.args(["get", "--silent", "--force", "--engine", "splice", "--config"]);
        command.arg(&self.config).args(["--video", &links.video, "--audio", &links.audio]);
        command.arg("--output").arg(output);
        command.env("XDG_RUNTIME_DIR", &self.scratch).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn run(&self, links: &Links) -> Outcome<Run> {
        Run::to_end(|| Child::spawn(self.command(links, Path::new("-"))))
    }

    /// Its wall time is that of the process, and includes that the file has reached the disk.
    fn weigh_file(&self, links: &Links, file: &Path) -> Outcome<Weighed> {
        let start = Instant::now();
        let mut command = self.command(links, file);
        let mut child = Child::spawn({
            command.stdout(Stdio::null());
            command
        })?;
        let pid = child.pid();
        let watch = Watch::start(pid, Some(ALONE_LIMIT));
        proc::await_exit(pid, ALONE_LIMIT + Duration::from_secs(1));
        let (wall, cpu) = (start.elapsed().as_secs_f64(), proc::cpu(pid));
        let peak = watch.finish();
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("ended with {status}").into());
        }
        let bytes = fs::metadata(file)?.len();
        fs::remove_file(file)?;
        Ok(Weighed { wall, cpu: cpu? / (bytes as f64 / 1e9), peak })
    }
}

impl System for Get {
    fn name(&self) -> &'static str {
        match self.file {
            None => "ytcanal get -o -",
            Some(_) => "ytcanal get -o FILE",
        }
    }

    fn fetch(&self, links: &Links, until: Until) -> Outcome<Body> {
        if until == Until::End {
            return Ok(self.run(links)?.into_body());
        }
        let body = Body::start(until);
        let mut child = Child::spawn(self.command(links, Path::new("-")))?;
        body.read_pipe(&mut child.stdout()?)
    }

    fn weigh(&self, links: &Links, count: usize) -> Outcome<Weighed> {
        let Some(file) = &self.file else {
            let runs = (0..count).map(|_| self.run(links)).collect::<Outcome<Vec<_>>>()?;
            return Ok(Run::weighed(runs));
        };
        let runs = (0..count).map(|_| self.weigh_file(links, file));
        let runs = runs.collect::<Outcome<Vec<_>>>()?;
        let mean = |of: fn(&Weighed) -> f64| runs.iter().map(of).sum::<f64>() / count as f64;
        let peak = runs.iter().map(|run| run.peak).fold(0.0, f64::max);
        Ok(Weighed { wall: mean(|run| run.wall), cpu: mean(|run| run.cpu), peak })
    }
}
