//! Times: what is subtracted from them, edit lists, and time ranges, whose tracks stay in step.

use super::fixture::Index;
use super::*;
use crate::container::isobmff::u32_at;

/// The part of a track that is in a joined file, in milliseconds of its source.
#[derive(Debug)]
pub(super) struct Shown {
    /// How much later that is than in the joined one.
    pub(super) moved: i64,
    /// When the first of its fragments begins, and the last one ends.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Whether nothing precedes it.
    pub(super) is_first: bool,
}

/// When something is shown, by an edit list whose durations count in ticks of `movie`; rounded down.
fn by(edits: &[(u64, u64)], ticks: u64, scale: u32, movie: u32) -> i64 {
    let millis = |ticks: i64, scale: u32| (ticks * 1000).div_euclid(scale.into());
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

/// Of video and audio, by the times of their fragments and their edit lists, new and old.
pub(super) fn shown(seen: &Seen, fixtures: &[Fixture; 2]) -> [Shown; 2] {
    let movie = u32_at(seen::inside(&seen.moov, &[b"mvhd"]), 12).unwrap();
    [(1, &fixtures[0]), (2, &fixtures[1])].map(|(track, fixture)| {
        let edits = fixture.edits.iter();
        let edits: Vec<_> = edits.map(|(d, t)| (u64::from(*d), t.cast_unsigned().into())).collect();
        let of = seen.of(track);
        let place =
            |media: &[u8]| fixture.fragments().position(|one| one.media() == media).unwrap();
        let (first, last) = (place(&of[0].1), place(&of[of.len() - 1].1));
        let pair = |place: usize, more: u32| {
            let time = fixture.fragments().nth(place).unwrap().time + u64::from(more);
            by(&edits, time, fixture.timescale, fixture.movie_scale)
        };
        let new = by(&seen.edits(track as usize), of[0].0, fixture.timescale, movie);
        Shown {
            moved: pair(first, 0) - new,
            from: pair(first, 0),
            // Rounded up: the last tick is still shown.
            to: pair(last, fixture.timescale - 1) + 1,
            is_first: first == 0,
        }
    })
}

/// The tracks are moved alike; by how much.
fn in_step(seen: &Seen, fixtures: &[Fixture; 2]) -> i64 {
    let [video, audio] = shown(seen, fixtures);
    assert!((video.moved - audio.moved).abs() <= 2, "{video:?} and {audio:?}");
    video.moved
}

fn late(fixture: &mut Fixture, ticks: u64) {
    fixture.fragments_mut().for_each(|fragment| fragment.time += ticks);
}

#[test]
fn both_begin_late_by_whole_seconds() {
    for (video, audio, seconds) in [(3.5, 7.25, 3), (0.5, 9.0, 0), (100.0, 100.0, 100)] {
        let mut pair = pair(|_| {});
        late(&mut pair[0], (video * 12_800.0) as u64);
        late(&mut pair[1], (audio * 48_000.0) as u64);
        let seen = joined(&pair);
        assert_eq!(in_step(&seen, &pair), seconds * 1000);
        assert_eq!(seen.times(1)[0], (video * 12_800.0) as u64 - seconds as u64 * 12_800);
    }
}

#[test]
fn an_edit_list_that_takes_the_lateness_away_is_not_doubled() {
    // It begins at 100 s and is presented from there on without a delay.
    let mut pair = pair(|fixture| fixture.edits = vec![(0, 1_280_000)]);
    late(&mut pair[0], 1_280_000);
    late(&mut pair[1], 4_800_000);
    let seen = joined(&pair);
    assert_eq!((seen.times(1)[0], seen.times(2)[0]), (1_280_000, 4_800_000));
    assert_eq!(in_step(&seen, &pair), 0);
    // What a coder needs to begin with is no reason.
    pair[0].edits = vec![(0, 1024)];
    assert_eq!(in_step(&joined(&pair), &pair), 100_000);
    // This one has no known meaning.
    pair[0].edits = vec![(5, 0), (5, 3000), (5, 1024)];
    assert_eq!(joined(&pair).times(1)[0], 1_280_000);
}

#[test]
fn order_is_by_what_is_shown() {
    // The audio is shown 2.5 s later than its fragments say.
    let mut pair = pair(|_| {});
    pair[1].edits = vec![(1500, -1), (0, 0)];
    let seen = joined(&pair);
    let tracks: Vec<_> = seen.fragments.iter().map(|fragment| fragment.track).collect();
    assert_eq!(tracks, [1, 1, 1, 2, 1, 2, 1, 2, 2, 2]);
    assert_eq!(seen.indexes[0].earliest, 120_000);
    assert_eq!(in_step(&seen, &pair), 0);
}

#[test]
fn a_part_is_cut_at_fragments() {
    let pair = pair(|_| {});
    let seen = cut_and_joined(&pair, part(1700, Some(3200)));
    assert_eq!((seen.times(1).len(), seen.times(2).len()), (3, 3));
    assert_eq!(in_step(&seen, &pair), 1000);
    let seen = cut_and_joined(&pair, part(0, Some(1)));
    assert_eq!((seen.times(1).len(), seen.times(2).len()), (1, 1));
}

#[test]
fn a_part_of_a_late_film_is_one_of_what_is_played() {
    for (video, audio, taken) in [(100, 100, 100), (3, 4, 3), (0, 5, 0)] {
        let mut pair = pair(|_| {});
        late(&mut pair[0], video * 12_800);
        late(&mut pair[1], audio * 48_000);
        let seen = cut_and_joined(&pair, part(1700, Some(3200)));
        assert_eq!(seen.times(1).len(), 3, "{video}, {audio}");
        assert_eq!(in_step(&seen, &pair), (taken + 1) * 1000);
    }
    // In the complete file, less is subtracted from the times of the video.
    let mut pair = pair(|_| {});
    late(&mut pair[0], 5 * 12_800);
    let trim = part(1700, None);
    let tracks = pair.map(|fixture| (fixture.kind, fixture.read_index(trim).unwrap()));
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
    // The track that begins later does so in a time range, too.
    for delayed in [0, 1] {
        for (start, end) in [(0, Some(3000)), (500, None), (1600, None), (3100, Some(3200))] {
            let mut pair = pair(|_| {});
            pair[delayed].edits = vec![(900, -1), (0, 1000)];
            let seen = cut_and_joined(&pair, part(start, end));
            let moved = in_step(&seen, &pair);
            println!("{delayed}: {start} to {end:?}: {moved}");
            assert!(moved <= start.cast_signed().max(1500), "{moved} ms");
        }
    }
}

#[test]
fn a_coarse_index_does_not_move_times_below_zero() {
    // Milliseconds, rounded up: the audio begins earlier than its index says.
    let mut pair = pair(|_| {});
    pair[1].index = Index::Sidx(1000, 0);
    pair[1].fragments_mut().skip(1).for_each(|fragment| fragment.time -= 40);
    for start in [1000, 1500, 2000, 4999] {
        let seen = cut_and_joined(&pair, part(start, None));
        in_step(&seen, &pair);
    }
}

#[test]
fn nothing_is_left_behind_the_end() {
    let refusal = |pair: &[Fixture], trim| {
        let tracks: Vec<_> = pair.iter().map(|s| (s.kind, s.read_index(trim).unwrap())).collect();
        let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
        plan(&tracks, &options(trim)).unwrap_err().0
    };
    const OVER: &str = "the media ends before the requested start";
    assert_eq!(refusal(&[fixture(TrackKind::Video)], part(5000, None)), OVER);
    // The audio ends first: what is left of it is there, and silent.
    let mut pair = pair(|_| {});
    pair[1].runs.truncate(2);
    assert_eq!(refusal(&pair, part(3500, None)), OVER);
    // That begins late, and by as much in the complete file.
    late(&mut pair[1], 2 * 48_000);
    cut_and_joined(&pair, part(3500, None));
    late(&mut pair[0], 7 * 12_800);
    late(&mut pair[1], 7 * 48_000);
    cut_and_joined(&pair, part(3500, None));
    assert_eq!(refusal(&pair, part(4100, None)), OVER);
}

#[test]
fn what_is_in_front_of_zero_stays_there() {
    // As if 64 bits had a sign: the audio begins 312 ticks early.
    let mut pair = pair(|_| {});
    for fragment in pair[1].fragments_mut() {
        fragment.time = fragment.time.wrapping_sub(312);
    }
    for trim in [TimeRange::default(), part(1700, None)] {
        let seen = cut_and_joined(&pair, trim);
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
