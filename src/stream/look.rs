//! What splice looks at: the heads of the tracks, and whatever else tells of their layout.

use std::borrow::Cow;
use std::ops::Range;
use std::thread::Scope;
use std::time::Instant;

use super::Answering;
use crate::error::{Error, Fault};
use crate::media::Track;
use crate::mux::Input;
use crate::mux::splice::{self, Halt, Look, Refusal, Survey};
use crate::source::Source;

/// What lies no further behind the bytes that are here is read on to rather than asked for.
const NEAR: u64 = 256 << 10;
/// No more than this is kept of the beginning of a file.
const LONGEST_HEAD: u64 = 48 << 20;

/// Surveys a track whose upstream has answered, or says why that is of no use.
pub(super) fn survey<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    answering: &'scope Answering<'_, '_, '_>,
    track: &Track,
    source: &mut Source<'scope, 'env>,
    input: Input,
) -> Result<Result<Survey, Refusal>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Err(Refusal("its upstream does not send parts of it")));
    };
    let deadline = Instant::now() + answering.canal.config.muxer.plan_timeout.0;
    let mut looking = Looking { scope, answering, track, source, len, deadline };
    match splice::survey(input.head.format, &mut looking, answering.wish.trim) {
        Ok(survey) => Ok(Ok(survey)),
        Err(Halt::Refused(refusal)) => Ok(Err(refusal)),
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
}

impl Look for Looking<'_, '_, '_, '_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn look(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, Halt> {
        if Instant::now() > self.deadline {
            return Err(Refusal("its index took too long to read").into());
        }
        self.read(range).map_err(Halt::Failed)
    }

    fn at_hand(&self) -> u64 {
        self.source.head().len() as u64
    }
}

impl Looking<'_, '_, '_, '_> {
    fn read(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, Error> {
        let here = self.source.head().len() as u64;
        if range.end <= LONGEST_HEAD && range.start <= here + NEAR {
            // Neither is more than fits into memory.
            let (from, to) = (range.start as usize, range.end as usize);
            self.source.want(range.end.saturating_sub(here));
            while self.source.head().len() < to {
                if !self.source.look_further(to)? {
                    return Err(self.cut(self.source.head().len() as u64));
                }
            }
            self.source.want(0);
            return Ok(self.source.head()[from..to].into());
        }
        let Answering { canal, stop, .. } = *self.answering;
        let (file, part) = (self.source.file(), range.clone());
        let len = range.end - range.start;
        let mut source =
            Source::reopen(self.scope, &canal.upstream, self.track, part, len, file, stop)?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match source.fetch(&mut bytes[filled..])? {
                0 => return Err(self.cut(range.start + filled as u64)),
                count => filled += count,
            }
        }
        Ok(bytes.into())
    }

    /// A source gives all that it was asked for, or fails; this is for the case that it does not.
    fn cut(&self, received: u64) -> Error {
        let fault = Fault::Cut { received, announced: Some(self.len) };
        Error::Upstream { track: self.track.kind, fault }
    }
}
