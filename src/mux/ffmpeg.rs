//! The muxer that joins anything: ffmpeg as a child process, fed through named pipes, read from
//! its standard output.
//!
//! Must never trust its exit status alone: ffmpeg ends well on inputs that were cut short. What
//! the sources delivered is the caller's to check.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::fifo::Pipes;
use super::sniff::Format;
use super::{Container, Joint, moov};
use crate::config;
use crate::error::{Error, MuxerFault};
use crate::media::Kind;
use crate::stop::Stop;
use crate::sys;

/// How long ffmpeg may take to end after it closed its output.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// What is kept of its last words.
const LAST_WORDS: usize = 2 << 10;
/// What its output pipe holds: several reads, so that it need not wait for each of ours.
const PIPE_LEN: i32 = 1 << 20;

/// What is known of the ffmpeg at hand: the version of its library for containers, if it told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version(pub Option<u32>);

impl Version {
    /// Asks `program`.
    pub fn of(program: &Path) -> Version {
        let output = Command::new(program).arg("-version").stdin(Stdio::null()).output();
        Version(output.ok().and_then(|output| libavformat(&output.stdout)))
    }

    /// Before FFmpeg 6.0 (libavformat 60), the Matroska muxer writes Opus too early by its
    /// pre-skip: each remux moves it 6.5 ms against the picture.
    fn is_early_with_opus(self) -> bool {
        self.0.is_some_and(|major| major < 60)
    }
}

/// The major version in a line such as `libavformat    59. 27.100 / 59. 27.100`.
fn libavformat(said: &[u8]) -> Option<u32> {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().find_map(|line| line.trim().strip_prefix("libavformat"))?;
    line.split('.').next()?.trim().parse().ok()
}

/// ffmpeg's arguments for a joint whose tracks come through `pipes`. Pure.
pub fn arguments(joint: &Joint, pipes: &Pipes, version: Version) -> Vec<OsString> {
    let mut list: Vec<OsString> = Vec::with_capacity(64);
    let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
    // -xerror: an input that breaks off in the middle of a packet is an error, not the end.
    list.extend(words("-hide_banner -nostdin -nostats -loglevel error -xerror"));
    for input in &joint.inputs {
        // Nothing but this pipe may be opened and no other format be guessed, whatever the
        // bytes say.
        let demuxer = demuxer(input.head.format);
        list.extend(words("-protocol_whitelist file"));
        list.extend(words(&format!("-format_whitelist {demuxer} -f {demuxer}")));
        list.extend(words(INPUT));
        if let Some(pre_skip) = input.head.pre_skip
            && joint.container != Container::Mp4
            && version.is_early_with_opus()
        {
            list.extend(words(&format!("-itsoffset {:.6}", pre_skip.as_secs_f64())));
        }
        let mut pipe = OsString::from("file:");
        pipe.push(pipes.path(input.kind));
        list.extend(["-i".into(), pipe]);
    }
    for (index, input) in joint.inputs.iter().enumerate() {
        let letter = if input.kind == Kind::Video { 'v' } else { 'a' };
        list.extend(words(&format!("-map {index}:{letter}:0")));
    }
    // The packets as they are, with the times they have: without -copyts each input would be
    // moved to begin at 0, and the tracks out of step.
    // Without +bitexact there would be a random number in a Matroska file, and no two downloads
    // alike.
    list.extend(words("-c copy -copyts -fflags +bitexact"));
    match joint.container {
        Container::Mp4 => {
            // The index of random access points (mfra) would be wrong: it counts from the start
            // of the file, and we make the moov grow.
            let flags = "frag_keyframe+empty_moov+default_base_moof+skip_trailer";
            let delay = if joint.needs_edit_lists() { "+delay_moov" } else { "" };
            list.extend(words(&format!("-f mp4 -movflags {flags}{delay} -frag_duration")));
            list.push(joint.longest_fragment().as_micros().to_string().into());
        }
        Container::Webm | Container::Mkv => {
            // What this muxer cannot look up at the end, it takes from a tag.
            if let Some(longest) = joint.durations().into_iter().flatten().max() {
                let duration = format!("DURATION={}", clock(longest));
                list.extend(["-metadata".into(), duration.into()]);
            }
            let muxer = if joint.container == Container::Webm { "webm" } else { "matroska" };
            list.extend(words(&format!("-f {muxer}")));
        }
    }
    list.push("pipe:1".into());
    list
}

/// * `thread_queue_size 0`: up to 5.1, ffmpeg reads several inputs on threads of their own, and
///   when they cannot seek it sleeps 10 ms whenever it has used up what those read ahead (8
///   packets, unless told otherwise): a download that could take 4 s takes 45. With 0 it reads
///   them itself, in turn, which waits for nothing and keeps nothing. Later versions do not
///   sleep, and take 0 for their default.
/// * `fpsprobesize 0`: no frames are read to guess a frame rate that is not used; the first
///   byte comes 25 ms earlier.
const INPUT: &str = "-thread_queue_size 0 -fpsprobesize 0";

/// `H:MM:SS.mmm`, as ffmpeg reads a duration.
fn clock(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn demuxer(format: Format) -> &'static str {
    match format {
        Format::Mp4 => "mp4",
        // One demuxer for both, which goes by both names.
        Format::Webm | Format::Matroska => "matroska",
        Format::Ogg => "ogg",
        Format::Mp3 => "mp3",
        Format::Adts => "aac",
        Format::Flac => "flac",
        Format::Wav => "wav",
    }
}

/// How a wait for ffmpeg ended.
enum Heard {
    /// What was waited for is there.
    Awaited,
    /// It has something to say on its standard error.
    Words,
    /// The time ran out.
    Nothing,
}

/// A running ffmpeg. Dropping it kills it, and waits until it is gone.
pub struct Muxer<'s> {
    child: Child,
    stdout: ChildStdout,
    /// `None` once ffmpeg has closed it.
    stderr: Option<ChildStderr>,
    last_words: Vec<u8>,
    reaped: bool,
    has_output: bool,
    stop: &'s Stop,
    stall_limit: Duration,
}

impl<'s> Muxer<'s> {
    /// Starts ffmpeg. It belongs to `stop` from then on.
    pub fn start(
        config: &config::Muxer,
        version: Version,
        joint: &Joint,
        pipes: &Pipes,
        stop: &'s Stop,
    ) -> Result<Muxer<'s>, Error> {
        let mut command = Command::new(&config.ffmpeg);
        command
            .args(arguments(joint, pipes, version))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // It would make ffmpeg write a report file, with our arguments, wherever it says.
            .env_remove("FFREPORT");
        sys::tie_to_this_thread(&mut command);
        let failed = |error: io::Error| {
            Error::Muxer(match error.kind() {
                io::ErrorKind::NotFound => {
                    MuxerFault::Missing(config.ffmpeg.to_string_lossy().into_owned())
                }
                _ => MuxerFault::Spawn(error.to_string()),
            })
        };
        let mut child = command.spawn().map_err(failed)?;
        stop.adopt(child.id());
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        sys::set_nonblocking(stdout.as_fd()).map_err(|error| system(&error))?;
        if let Err(error) = sys::set_pipe_len(stdout.as_fd(), PIPE_LEN) {
            log::debug!("the muxer's output pipe keeps its usual length: {error}");
        }
        Ok(Muxer {
            child,
            stdout,
            stderr: Some(stderr),
            last_words: Vec::new(),
            reaped: false,
            has_output: false,
            stop,
            stall_limit: config.stall_timeout.0,
        })
    }

    /// The first bytes of the joined file, with the durations in them that ffmpeg could not
    /// know. Nothing is lost if they do not fit: then they are as ffmpeg wrote them.
    pub fn opening(&mut self, joint: &Joint, fed: &AtomicU64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.read(&mut buffer, fed)?;
            if count == 0 {
                self.finish()?;
                let said = "it ended without having written the start of a file".into();
                return Err(Error::Muxer(MuxerFault::Failed(said)));
            }
            bytes.extend(&buffer[..count]);
            if joint.container != Container::Mp4 {
                return Ok(bytes);
            }
            match moov::with_durations(&bytes, &joint.durations()) {
                moov::Look::More => {}
                moov::Look::Whole(patched) => return Ok(patched),
                moov::Look::Strange => {
                    log::warn!("ffmpeg wrote an index of an unknown shape; its durations stay 0");
                    return Ok(bytes);
                }
            }
        }
    }

    /// The next bytes of the joined file; 0 at its end, which [`finish`](Muxer::finish) must
    /// confirm. `fed` counts the bytes that went into ffmpeg: while it grows, ffmpeg is at work
    /// although nothing comes out.
    pub fn read(&mut self, buffer: &mut [u8], fed: &AtomicU64) -> Result<usize, Error> {
        let mut fed_before = fed.load(Ordering::Relaxed);
        loop {
            match self.stdout.read(buffer) {
                Ok(count) => {
                    self.has_output |= count > 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(system(&error)),
            }
            match self.wait(self.stdout.as_fd(), self.stall_limit)? {
                Heard::Awaited => {}
                Heard::Words => self.listen(),
                Heard::Nothing => {
                    let fed_now = fed.load(Ordering::Relaxed);
                    if fed_now == fed_before {
                        return Err(Error::Muxer(MuxerFault::Stalled(self.stall_limit)));
                    }
                    fed_before = fed_now;
                }
            }
        }
    }

    /// Waits for `awaited`, for ffmpeg to say something, or for `limit` to pass.
    fn wait(&self, awaited: BorrowedFd<'_>, limit: Duration) -> Result<Heard, Error> {
        let over = (self.stop.as_fd(), sys::READABLE);
        let awaited = (awaited, sys::READABLE);
        let ready = match &self.stderr {
            Some(stderr) => {
                sys::poll([over, awaited, (stderr.as_fd(), sys::READABLE)], Some(limit))
            }
            None => sys::poll([over, awaited], Some(limit)).map(|[o, a]| [o, a, false]),
        };
        match ready.map_err(|error| system(&error))? {
            [true, ..] => Err(Error::Stopped),
            [_, true, _] => Ok(Heard::Awaited),
            [_, _, true] => Ok(Heard::Words),
            _ => Ok(Heard::Nothing),
        }
    }

    /// Waits for ffmpeg to end after its output has, and says whether it ended well.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.wait_for_exit()?;
        // Ends what a wrapper around ffmpeg has left behind, which may hold the pipe open.
        let status = self.reap().map_err(|error| system(&error))?;
        // What it has said by now; whoever else holds that pipe is not waited for.
        while let Some(stderr) = &self.stderr
            && let Ok([true]) = sys::poll([(stderr.as_fd(), sys::READABLE)], Some(Duration::ZERO))
        {
            self.listen();
        }
        if status.success() {
            if let Some(line) = last_line(&self.last_words) {
                log::warn!("ffmpeg ended well, but said: {line}");
            }
            return Ok(());
        }
        let said = match last_line(&self.last_words) {
            Some(line) => format!("{line} ({status})"),
            None => status.to_string(),
        };
        // Ended by itself before any output: it did not like what it got.
        let refused = !self.has_output && status.code().is_some();
        Err(Error::Muxer(if refused {
            MuxerFault::Refused(said)
        } else {
            MuxerFault::Failed(said)
        }))
    }

    /// Waits until it has ended, and listens to it meanwhile, lest a full pipe keep it.
    fn wait_for_exit(&mut self) -> Result<(), Error> {
        let exit = sys::exit_watch(self.child.id()).map_err(|error| system(&error))?;
        let deadline = Instant::now() + EXIT_LIMIT;
        loop {
            match self.wait(exit.as_fd(), deadline.saturating_duration_since(Instant::now()))? {
                Heard::Awaited => return Ok(()),
                Heard::Words => self.listen(),
                Heard::Nothing => return Err(Error::Muxer(MuxerFault::Stalled(EXIT_LIMIT))),
            }
        }
    }

    /// Kills whatever is left of its process group, and waits for it.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        if let Err(error) = sys::kill_group(self.child.id()) {
            log::warn!("cannot kill the muxer: {error}");
        }
        self.stop.release();
        self.child.wait()
    }

    /// Takes what ffmpeg says, of which the end is kept. It must be taken: a full pipe would
    /// make it wait.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut words = [0; 1024];
        match stderr.read(&mut words) {
            Ok(count) if count > 0 => {
                self.last_words.extend(&words[..count]);
                let excess = self.last_words.len().saturating_sub(LAST_WORDS);
                self.last_words.drain(..excess);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }
}

impl Drop for Muxer<'_> {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(error) = self.reap()
        {
            log::warn!("cannot wait for the muxer: {error}");
        }
    }
}

fn system(error: &io::Error) -> Error {
    Error::System { doing: "read from the muxer", said: error.to_string() }
}

/// The last thing said, without the names of our pipes and the addresses of its innards.
fn last_line(words: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(words);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    // A path says nothing to a client and is none of its business.
    Some(match line.split_once("file:") {
        Some((before, path)) => {
            let rest = path.split_once(": ").map_or("", |(_, rest)| rest);
            format!("{before}input: {rest}")
        }
        None => line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::fifo::RuntimeDir;
    use crate::mux::sniff::Head;
    use crate::mux::{Input, Wanted};

    #[test]
    fn each_input_is_told_its_format_and_may_open_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("with space")).unwrap();
        let pipes = dir.pipes([Kind::Video, Kind::Audio].into_iter()).unwrap();
        let pre_skip = Some(Duration::from_micros(6500));
        let head = |format| Head { format, duration: None, shifted: false, pre_skip };
        let input = |kind, format| Input { kind, head: head(format) };
        let inputs = vec![input(Kind::Video, Format::Mp4), input(Kind::Audio, Format::Webm)];
        let joint = Joint::new(inputs, Wanted::Auto);
        let list = arguments(&joint, &pipes, Version(Some(60)));
        let text = list.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        assert!(text.contains("-protocol_whitelist file -format_whitelist mp4 -f mp4"), "{text}");
        assert!(text.contains("-format_whitelist matroska -f matroska"), "{text}");
        assert!(
            text.contains("-map 0:v:0 -map 1:a:0 -c copy -copyts -fflags +bitexact -f matroska"),
            "{text}"
        );
        let pipe = format!("file:{}", pipes.path(Kind::Video).display());
        assert!(list.iter().any(|word| *word == *pipe), "{text}");
        let offset = |version| {
            let list = arguments(&joint, &pipes, Version(version));
            list.iter().any(|word| word == "0.006500")
        };
        assert!(offset(Some(59)) && !offset(Some(60)) && !offset(None));
    }

    #[test]
    fn durations_never_have_sixty_seconds() {
        assert_eq!(clock(Duration::from_micros(59_999_999)), "0:00:59.999");
        assert_eq!(clock(Duration::from_millis(36_061_005)), "10:01:01.005");
    }

    #[test]
    fn versions_are_read() {
        let said =
            b"ffmpeg version 5.1.9\n  libavutil 57. 28.100\n  libavformat    59. 27.100 / 59\n";
        assert_eq!(libavformat(said), Some(59));
        assert_eq!(libavformat(b"something else"), None);
    }

    #[test]
    fn last_words_name_no_paths() {
        let said = b"file:/run/x/stream-1/video: Invalid data found when processing input\n\n";
        let line = last_line(said).unwrap();
        assert_eq!(line, "input: Invalid data found when processing input");
        let said = b"noise\n[webm @ 0x55d] Only VP8 or VP9 are supported\n";
        assert_eq!(last_line(said).unwrap(), "Only VP8 or VP9 are supported");
        assert_eq!(last_line(b"\n"), None);
    }
}
