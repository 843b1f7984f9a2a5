//! Times: what is taken from them, edit lists, and parts of a film, whose tracks stay in step.

use super::sketch::Index;
use super::*;
use crate::container::isobmff::u32_at;

/// What of a track is in a joined film, in milliseconds of the film that it is of.
#[derive(Debug)]
pub(super) struct Shown {
    /// How much later that is than in the joined one.
    pub(super) moved: i64,
    /// When the first of its fragments begins, and the last one ends.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Whether there is nothing in front of it.
    pub(super) is_first: bool,
}

/// When something is shown, by an edit list whose durations count in ticks of `movie`.
fn by(edits: &[(u64, u64)], ticks: u64, scale: u32, movie: u32) -> i64 {
    let millis = |ticks: i64, scale: u32| ticks * 1000 / i64::from(scale);
    let ticks = ticks.cast_signed();
    match edits {
        [] => millis(ticks, scale),
        [(_, time)] => millis(ticks - time.cast_signed(), scale),
        [(delay, nothing), (_, time)] => {
            assert!([u64::MAX, u32::MAX.into()].contains(nothing));
            millis(delay.cast_signed(), movie) + millis(ticks - time.cast_signed(), scale)
        }
        other => panic!("{other:?}"),
    }
}

/// Of picture and sound, by the times of their fragments and their edit lists, new and old.
pub(super) fn shown(seen: &Seen, sketches: &[Sketch; 2]) -> [Shown; 2] {
    let movie = u32_at(seen::inside(&seen.moov, &[b"mvhd"]), 12).unwrap();
    [(1, &sketches[0]), (2, &sketches[1])].map(|(track, sketch)| {
        let edits = sketch.edits.iter();
        let edits: Vec<_> = edits.map(|(d, t)| (u64::from(*d), t.cast_unsigned().into())).collect();
        let of = seen.of(track);
        let place = |media: &[u8]| sketch.fragments().position(|one| one.media() == media).unwrap();
        let (first, last) = (place(&of[0].1), place(&of[of.len() - 1].1));
        let film = |place: usize, more: u32| {
            let time = sketch.fragments().nth(place).unwrap().time + u64::from(more);
            by(&edits, time, sketch.timescale, sketch.movie_scale)
        };
        let new = by(&seen.edits(track as usize), of[0].0, sketch.timescale, movie);
        Shown {
            moved: film(first, 0) - new,
            from: film(first, 0),
            to: film(last, sketch.timescale),
            is_first: first == 0,
        }
    })
}

/// The tracks are moved alike; by how much.
fn in_step(seen: &Seen, sketches: &[Sketch; 2]) -> i64 {
    let [video, audio] = shown(seen, sketches);
    assert!((video.moved - audio.moved).abs() <= 2, "{video:?} and {audio:?}");
    video.moved
}

fn late(sketch: &mut Sketch, ticks: u64) {
    sketch.fragments_mut().for_each(|fragment| fragment.time += ticks);
}

#[test]
fn both_begin_late_by_whole_seconds() {
    for (video, audio, seconds) in [(3.5, 7.25, 3), (0.5, 9.0, 0), (100.0, 100.0, 100)] {
        let mut film = film(|_| {});
        late(&mut film[0], (video * 12_800.0) as u64);
        late(&mut film[1], (audio * 48_000.0) as u64);
        let seen = joined(&film);
        assert_eq!(in_step(&seen, &film), seconds * 1000);
        assert_eq!(seen.times(1)[0], (video * 12_800.0) as u64 - seconds as u64 * 12_800);
    }
}

#[test]
fn an_edit_list_that_takes_the_lateness_away_is_not_doubled() {
    // It begins at 100 s and is shown from there on: nothing is late.
    let mut film = film(|sketch| sketch.edits = vec![(0, 1_280_000)]);
    late(&mut film[0], 1_280_000);
    late(&mut film[1], 4_800_000);
    let seen = joined(&film);
    assert_eq!((seen.times(1)[0], seen.times(2)[0]), (1_280_000, 4_800_000));
    assert_eq!(in_step(&seen, &film), 0);
    // What a coder needs to begin with is no reason.
    film[0].edits = vec![(0, 1024)];
    assert_eq!(in_step(&joined(&film), &film), 100_000);
    // Nobody knows what this one means.
    film[0].edits = vec![(5, 0), (5, 3000), (5, 1024)];
    assert_eq!(joined(&film).times(1)[0], 1_280_000);
}

#[test]
fn order_is_by_what_is_shown() {
    // The sound is shown 2.5 s later than its fragments say.
    let mut film = film(|_| {});
    film[1].edits = vec![(1500, -1), (0, 0)];
    let seen = joined(&film);
    let tracks: Vec<_> = seen.fragments.iter().map(|fragment| fragment.track).collect();
    assert_eq!(tracks, [1, 1, 1, 2, 1, 2, 1, 2, 2, 2]);
    assert_eq!(seen.indexes[0].earliest, 120_000);
    assert_eq!(in_step(&seen, &film), 0);
}

#[test]
fn a_part_is_cut_at_fragments() {
    let film = film(|_| {});
    let seen = cut_and_joined(&film, part(1700, Some(3200)));
    assert_eq!((seen.times(1).len(), seen.times(2).len()), (3, 3));
    assert_eq!(in_step(&seen, &film), 1000);
    let seen = cut_and_joined(&film, part(0, Some(1)));
    assert_eq!((seen.times(1).len(), seen.times(2).len()), (1, 1));
}

#[test]
fn a_part_of_a_late_film_is_one_of_what_is_played() {
    for (video, audio, taken) in [(100, 100, 100), (3, 4, 3), (0, 5, 0)] {
        let mut film = film(|_| {});
        late(&mut film[0], video * 12_800);
        late(&mut film[1], audio * 48_000);
        let seen = cut_and_joined(&film, part(1700, Some(3200)));
        assert_eq!(seen.times(1).len(), 3, "{video}, {audio}");
        assert_eq!(in_step(&seen, &film), (taken + 1) * 1000);
    }
    // Of the whole film, less is taken from the times of the picture than it was looked for with.
    let mut film = film(|_| {});
    late(&mut film[0], 5 * 12_800);
    let trim = part(1700, None);
    let tracks = film.map(|sketch| (sketch.kind, sketch.read_index(trim).unwrap()));
    let refusal = plan(&tracks.each_ref().map(|(kind, track)| (*kind, track)), &options(trim));
    assert!(refusal.unwrap_err().0.contains("too long after the audio"));
}

#[test]
fn what_an_edit_list_hides_stays_hidden_behind_a_delay() {
    let line = Timeline { timescale: 1000, delay: 1300, media_time: 21 };
    let from = |millis, shift| line.rebase(Duration::from_millis(millis), shift);
    assert_eq!(from(0, 0), line);
    assert_eq!(from(500, 0), Timeline { delay: 800, ..line });
    assert_eq!(from(1300, 20), Timeline { delay: 0, media_time: 1, ..line });
    assert_eq!(from(2000, 700), Timeline { delay: 0, media_time: 21, ..line });
}

#[test]
fn a_part_keeps_delays() {
    // Whichever track begins later does so in a part of the film, too.
    for delayed in [0, 1] {
        for (start, end) in [(0, Some(3000)), (500, None), (1600, None), (3100, Some(3200))] {
            let mut film = film(|_| {});
            film[delayed].edits = vec![(900, -1), (0, 1000)];
            let seen = cut_and_joined(&film, part(start, end));
            let moved = in_step(&seen, &film);
            println!("{delayed}: {start} to {end:?}: {moved}");
            assert!(moved <= start.cast_signed().max(1500), "{moved} ms");
        }
    }
}

#[test]
fn a_coarse_index_does_not_move_times_below_zero() {
    // Milliseconds, rounded up: the sound begins earlier than its index says.
    let mut film = film(|_| {});
    film[1].index = Index::Sidx(1000, 0);
    film[1].fragments_mut().skip(1).for_each(|fragment| fragment.time -= 40);
    for start in [1000, 1500, 2000, 4999] {
        let seen = cut_and_joined(&film, part(start, None));
        in_step(&seen, &film);
    }
}

#[test]
fn nothing_is_left_behind_the_end() {
    let refusal = |film: &[Sketch], trim| {
        let tracks: Vec<_> = film.iter().map(|s| (s.kind, s.read_index(trim).unwrap())).collect();
        let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
        plan(&tracks, &options(trim)).unwrap_err().0
    };
    const OVER: &str = "the media ends before the requested start";
    assert_eq!(refusal(&[sketch(TrackKind::Video)], part(5000, None)), OVER);
    // The sound ends first: what is left of it is there, and silent.
    let mut film = film(|_| {});
    film[1].runs.truncate(2);
    assert_eq!(refusal(&film, part(3500, None)), OVER);
    // That begins late, and is as late in all of the film.
    late(&mut film[1], 2 * 48_000);
    cut_and_joined(&film, part(3500, None));
    late(&mut film[0], 7 * 12_800);
    late(&mut film[1], 7 * 48_000);
    cut_and_joined(&film, part(3500, None));
    assert_eq!(refusal(&film, part(4100, None)), OVER);
}

#[test]
fn what_is_in_front_of_zero_stays_there() {
    // As if 64 bits had a sign: the sound begins 312 ticks early.
    let mut film = film(|_| {});
    for fragment in film[1].fragments_mut() {
        fragment.time = fragment.time.wrapping_sub(312);
    }
    for trim in [TimeRange::default(), part(1700, None)] {
        let seen = cut_and_joined(&film, trim);
        let begun = u64::from(!trim.is_full()) * 48_000;
        let first = seen.times(2)[0];
        let edits = seen.edits(2);
        let hidden = edits.last().map_or(0, |(_, time)| *time);
        // What is shown at 0 is what was, then or a whole second later.
        assert_eq!(
            first + begun - hidden,
            0_u64.wrapping_sub(312).wrapping_add(begun),
            "{edits:?}"
        );
    }
}
