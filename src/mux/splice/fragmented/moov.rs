//! The head of the joined file: ftyp and moov (ISO/IEC 14496-12 §4.3, §8.2, §8.8.1).

use std::time::Duration;

use super::Chosen;
use super::init::Timeline;
use crate::media::Tags;
use crate::mux::splice::boxes::boxed;
use crate::mux::splice::moov::{Change, Edits, Movie};
use crate::mux::splice::{Refusal, tags};

/// Everything in front of the indexes.
pub(super) fn head(
    chosen: &[Chosen<'_>],
    duration: Duration,
    tags: &Tags,
) -> Result<Vec<u8>, Refusal> {
    let movie = Movie::of(chosen.iter().map(|chosen| chosen.track.init.movie_timescale), duration);
    let mut parts = vec![movie.mvhd(chosen.len() as u32 + 1)];
    // Without its duration here, some players take the film for a live one.
    let mut mvex = vec![boxed(b"mehd", &[&[1, 0, 0, 0], &movie.ticks().to_be_bytes()])];
    for (place, chosen) in chosen.iter().enumerate() {
        let (init, id) = (&chosen.track.init, place as u32 + 1);
        let Timeline { media_time, .. } = chosen.timeline;
        let delay = chosen.timeline.delay();
        let edits = chosen.is_cut.then_some(Edits { delay, media_time, duration: 0 });
        let change = Change {
            id,
            movie_timescale: init.movie_timescale,
            media_duration: chosen.fragments.iter().map(|fragment| fragment.duration).sum(),
            duration: chosen.duration(),
            edits,
        };
        parts.push(movie.trak(&init.trak, &change)?);
        mvex.push(boxed(b"trex", &[&init.trex[..4], &id.to_be_bytes(), &init.trex[8..]]));
    }
    parts.push(boxed(b"mvex", &[&mvex.concat()]));
    parts.push(tags::udta(tags));
    let ftyp = boxed(b"ftyp", &[b"iso6", &512_u32.to_be_bytes(), b"iso6isommp41"]);
    Ok([ftyp, boxed(b"moov", &[&parts.concat()])].concat())
}
