//! What is left out of the middle of a file.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Joins these without the time between these milliseconds, and makes sure of the length and of its parts.
fn joined_without(
    fixtures: &[Fixture],
    gone: &[Range<u64>],
    trim: TimeRange,
) -> Result<Seen, Unsupported> {
    let gone = gone.iter().map(|gone| gone.start * SECOND / 1000..gone.end * SECOND / 1000);
    let metadata = Metadata { removal: Removal::new(gone), ..Metadata::default() };
    let files: Files = fixtures.iter().map(|one| (one.kind, one.bytes())).collect();
    let read = |bytes: &[u8]| {
        read_index_without(&mut File::of(bytes.to_vec()), trim, &metadata.removal).unwrap().unwrap()
    };
    let tracks: Vec<_> = files.iter().map(|(kind, bytes)| (*kind, read(bytes))).collect();
    let tracks: Vec<_> = tracks.iter().map(|(kind, track)| (*kind, track)).collect();
    let plan = plan(&tracks, &Options { metadata: &metadata, ..options(trim) })?;
    let made = emit(&plan, 0..plan.len(), &files).unwrap();
    assert_eq!(made.len() as u64, plan.len());
    for (start, end) in (0..plan.len()).step_by(67).zip((1..plan.len()).step_by(83)) {
        let part = start.min(end)..end.max(start + 1);
        let expected = &made[part.start as usize..part.end as usize];
        assert_eq!(emit(&plan, part.clone(), &files).unwrap(), expected, "{part:?}");
    }
    let seen = seen(&made);
    seen.check();
    Ok(seen)
}

/// Times in tenths of a second, and how many samples there are, of a track.
fn told(seen: &Seen, track: u32, timescale: u64) -> Vec<(u64, usize)> {
    let of = seen.of(track).into_iter();
    of.map(|(time, media)| (time * 10 / timescale, media.len() / 10)).collect()
}

#[test]
fn whole_groups_of_pictures_go_and_the_audio_with_them() {
    let mut fixtures = pair(|_| {});
    // The audio fragments begin half a second after those of the video.
    fixtures[1].fragments_mut().for_each(|fragment| fragment.time += 24_000);
    let all = TimeRange::default();
    let seen = joined_without(&fixtures, &[1500..3200], all).unwrap();
    assert_eq!(told(&seen, 1, 12_800), [(0, 10), (10, 10), (20, 10), (30, 10)]);
    let audio = [(5, 10), (15, 5), (20, 5), (25, 10), (35, 10)];
    assert_eq!(told(&seen, 2, 48_000), audio);
    // The samples are those of the second half.
    let (_, media) = &seen.of(2)[2];
    assert_eq!(media[..], fixtures[1].fragments().nth(2).unwrap().media()[50..]);
    let boxes = |index: usize| seen.fragments[index].boxes.join(" ");
    assert!((0..seen.fragments.len()).all(|index| boxes(index) == "mfhd traf"));
    let durations = seen.indexes.iter().map(|index| {
        index.references.iter().map(|(_, ticks)| ticks).sum::<u32>() / (index.timescale / 10)
    });
    assert_eq!(durations.collect::<Vec<_>>(), [40, 40]);
    // The beginning and the end.
    let seen = joined_without(&fixtures, &[0..1100, 3900..4200], all).unwrap();
    assert_eq!(told(&seen, 1, 12_800), [(0, 10), (10, 10), (20, 10)]);
    assert_eq!(told(&seen, 2, 48_000)[..2], [(0, 5), (5, 10)]);
    // Nothing, because no two key frames are within.
    let seen = joined_without(&fixtures, &[1200..2900, 3500..3600], all).unwrap();
    assert_eq!(told(&seen, 1, 12_800).len(), 5);
    assert_eq!(told(&seen, 2, 48_000).len(), 5);
    let why = joined_without(&fixtures, &[0..5000], all).err().unwrap();
    assert_eq!(why.0, "nothing would be left of the media");
}

#[test]
fn a_part_of_what_is_left() {
    let fixtures = pair(|_| {});
    let of = |gone: Range<u64>, from: u64, to: u64| {
        let seen = joined_without(&fixtures, &[gone], part(from, Some(to)));
        seen.map(|seen| {
            // Those of audio have the rest of the shift in the edit list.
            let audio = told(&seen, 2, 48_000).into_iter().map(|(_, count)| count).collect();
            (told(&seen, 1, 12_800), audio)
        })
    };
    let two = (vec![(0, 10), (10, 10)], vec![10, 10]);
    // Before, around, and from within what is left out.
    assert_eq!(of(3000..4000, 1000, 3000).unwrap(), two);
    assert_eq!(of(2000..3000, 1000, 4000).unwrap(), two);
    assert_eq!(of(1000..3000, 1500, 5000).unwrap(), two);
    assert!(of(1000..3000, 1500, 2500).is_err());
}

#[test]
fn audio_alone_is_cut_where_it_is_told() {
    let audio = [fixture(TrackKind::Audio)];
    let plan = |gone: &[Range<u64>]| {
        let gone = gone.iter().map(|gone| gone.start * SECOND / 1000..gone.end * SECOND / 1000);
        let metadata = Metadata { removal: Removal::new(gone), ..Metadata::default() };
        let track = audio[0].read_index(TimeRange::default()).unwrap();
        let options = Options { metadata: &metadata, ..options(TimeRange::default()) };
        plan(&[(TrackKind::Audio, &track)], &options).unwrap()
    };
    let files = vec![(TrackKind::Audio, audio[0].bytes())];
    let plan = plan(&[1300..2500, 4000..4500]);
    let seen = seen(&emit(&plan, 0..plan.len(), &files).unwrap());
    assert_eq!(told(&seen, 1, 48_000), [(0, 10), (10, 3), (13, 5), (18, 10)]);
    assert_eq!(plan.duration, Duration::from_millis(2800));
}
