//! What splice looks at: the heads of the tracks, and whatever else tells of their layout.

use std::borrow::Cow;
use std::ops::Range;
use std::thread::Scope;
use std::time::Instant;

use super::Answering;
use super::fetch::{Opened, incomplete};
use crate::error::{Error, Fault};
use crate::media::Track;
use crate::memory::Share;
use crate::mux::Input;
use crate::mux::sniff::Format;
use crate::mux::splice::{self, Halt, Look, Refusal, Survey};
use crate::source::Source;

/// What lies no further behind the bytes that are here is read on to rather than asked for.
const NEAR: u64 = 256 << 10;
/// No more than this is kept of the beginning of a file.
const LONGEST_HEAD: u64 = 48 << 20;

/// While an index is read, there are so many copies of it, or of what is made of it.
const COPIES: u64 = 4;

/// Surveys a track whose upstream has answered, or says why that is of no use.
pub(super) fn survey<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    answering: &'scope Answering<'_, '_, '_>,
    track: &Track,
    source: &mut Source<'scope, 'env>,
    input: Input,
    memory: &mut Share,
) -> Result<Result<Survey, Refusal>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Err(Refusal("its upstream does not send parts of it")));
    };
    let deadline = Instant::now() + answering.canal.config.muxer.plan_timeout.0;
    let mut looking = Looking { scope, answering, track, source, len, deadline, memory };
    match splice::survey(input.head.format, &mut looking, answering.wish.trim) {
        Ok(survey) => Ok(Ok(survey)),
        Err(Halt::Refused(refusal)) => Ok(Err(refusal)),
        Err(Halt::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(Halt::Failed(error)) => Err(error),
    }
}

/// Makes sure that an MP4 file whose end nobody will have seen with all that is in front of it is not
/// cut, as far as its boxes tell.
pub(super) fn check<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    answering: &'scope Answering<'_, '_, '_>,
    opened: &mut Opened<'scope, 'env>,
) -> Result<(), Error> {
    let (Opened { source, input, memory, .. }, [track]) = (opened, &answering.media.tracks[..])
    else {
        return Ok(());
    };
    let Some(len) = source.file().len.filter(|_| input.head.format == Format::Mp4) else {
        return Ok(());
    };
    let deadline = Instant::now() + answering.canal.config.muxer.plan_timeout.0;
    let mut looking = Looking { scope, answering, track, source, len, deadline, memory };
    match splice::check_boxes(&mut looking) {
        Ok(()) | Err(Halt::Refused(_)) => Ok(()),
        Err(Halt::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(Halt::Failed(error)) => Err(error),
    }
}

struct Looking<'l, 'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    answering: &'scope Answering<'a, 'a, 'a>,
    track: &'l Track,
    source: &'l mut Source<'scope, 'env>,
    len: u64,
    /// Until when everything must have been seen.
    deadline: Instant,
    memory: &'l mut Share,
}

impl Look for Looking<'_, '_, '_, '_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn look(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, Halt> {
        let here = self.source.head().len() as u64;
        let is_near = range.end <= LONGEST_HEAD && range.start <= here + NEAR;
        let more = range.end.saturating_sub(if is_near { here } else { range.start });
        if !self.memory.grow((here + more).saturating_mul(COPIES)) {
            return Err(Refusal("too many long indexes are being read").into());
        }
        if is_near { self.near(range).map(Cow::from) } else { self.far(range).map(Cow::from) }
    }

    fn at_hand(&self) -> u64 {
        self.source.head().len() as u64
    }
}

impl Looking<'_, '_, '_, '_> {
    /// What the head reaches, or will.
    fn near(&mut self, range: Range<u64>) -> Result<&[u8], Halt> {
        // Neither is more than fits into memory.
        let (from, to) = (range.start as usize, range.end as usize);
        self.source.want(range.end.saturating_sub(self.source.head().len() as u64));
        let looked = self.look_up_to(to);
        self.source.want(0);
        looked.map(|()| &self.source.head()[from..to])
    }

    fn look_up_to(&mut self, end: usize) -> Result<(), Halt> {
        while self.source.head().len() < end {
            self.in_time()?;
            if !self.source.look_further(end)? {
                return Err(self.cut(self.source.head().len() as u64));
            }
        }
        Ok(())
    }

    /// What is asked for by itself.
    fn far(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
        let Answering { canal, stop, .. } = *self.answering;
        let (start, len) = (range.start, range.end - range.start);
        // Its location may be another one by now.
        let (scope, track, file) = (self.scope, self.source.as_track(), self.source.file());
        let mut source = Source::reopen(scope, &canal.upstream, &track, range, len, file, stop)?;
        let mut bytes = vec![0; len as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            self.in_time()?;
            match source.fetch(&mut bytes[filled..])? {
                0 => return Err(self.cut(start + filled as u64)),
                count => filled += count,
            }
        }
        self.source.has_seen(source)?;
        Ok(bytes)
    }

    fn in_time(&self) -> Result<(), Refusal> {
        let is_late = Instant::now() > self.deadline;
        if is_late { Err(Refusal("its index took too long to read")) } else { Ok(()) }
    }

    /// A source gives all that it was asked for, or fails; this is for the case that it does not.
    fn cut(&self, received: u64) -> Halt {
        let fault = Fault::Cut { received, announced: Some(self.len) };
        Error::Upstream { track: self.track.kind, fault }.into()
    }
}
