//! Puts the fragments of all files in order. Pure.

use std::iter::Peekable;
use std::slice;

use super::{Fragment, SelectedTrack};
use crate::splice::Layout;

/// The part of a second within which two fragments begin together.
const TOGETHER: i128 = 10;

/// The remaining fragments of a track that follows the first one.
struct Follower<'a> {
    index: u8,
    chosen: &'a SelectedTrack<'a>,
    fragments: Peekable<slice::Iter<'a, Fragment>>,
}

/// Interleaves the fragments by time, video first where two begin together: players that seek read the
/// fragment of the video, then that of the audio, and go on from there. Fragments of audio begin and end with
/// its frames, up to [`TOGETHER`] before those of the video that they belong to.
pub(super) fn interleave(chosen: &[SelectedTrack<'_>]) -> Layout {
    let count = chosen.iter().map(|chosen| chosen.fragments.len()).sum();
    let mut layout = Layout::with_capacity(count);
    let [first, others @ ..] = chosen else { return layout };
    let followers = (1..).zip(others).map(|(index, chosen)| {
        let fragments = chosen.fragments.iter().peekable();
        Follower { index, chosen, fragments }
    });
    let mut followers: Vec<Follower<'_>> = followers.collect();
    for (index, frame) in first.fragments.iter().enumerate() {
        // Some players give up if the file does not begin with a frame of the video.
        while index > 0
            && let Some(follower) = earliest(&mut followers)
            && follower.is_due(first, frame)
        {
            follower.add_next(&mut layout);
        }
        layout.add(0, frame.range());
    }
    while let Some(follower) = earliest(&mut followers) {
        follower.add_next(&mut layout);
    }
    layout
}

/// Returns the track whose next fragment is presented first; the first one of several.
fn earliest<'f, 'a>(followers: &'f mut [Follower<'a>]) -> Option<&'f mut Follower<'a>> {
    let mut found: Option<(usize, i128, u32)> = None;
    for (index, follower) in followers.iter_mut().enumerate() {
        let Some((time, scale)) = follower.next_time() else { continue };
        // In ticks of both timescales multiplied.
        let is_earlier = |(_, other, others_scale): (usize, i128, u32)| {
            time * i128::from(others_scale) < other * i128::from(scale)
        };
        if found.is_none_or(is_earlier) {
            found = Some((index, time, scale));
        }
    }
    followers.get_mut(found?.0)
}

impl Follower<'_> {
    /// Returns when the next fragment is presented, in ticks of this timescale.
    fn next_time(&mut self) -> Option<(i128, u32)> {
        let next = self.fragments.peek()?;
        Some((self.chosen.presentation_ticks(next.time), self.chosen.timescale()))
    }

    /// Returns whether the next fragment is presented before one of the first track, and not together with it.
    fn is_due(&mut self, first: &SelectedTrack<'_>, frame: &Fragment) -> bool {
        let Some((time, scale)) = self.next_time() else { return false };
        let [scale, firsts_scale] = [scale, first.timescale()].map(i128::from);
        let together = firsts_scale * scale / TOGETHER;
        time * firsts_scale < first.presentation_ticks(frame.time) * scale - together
    }

    fn add_next(&mut self, layout: &mut Layout) {
        if let Some(fragment) = self.fragments.next() {
            layout.add(self.index, fragment.range());
        }
    }
}
