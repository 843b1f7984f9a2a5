//! Players on libavformat seek by the index, read the fragment of each track, and go on from there. ffprobe
//! does so without playing.

use std::path::Path;
use std::process::Command;

use super::written;
use crate::support::client::any_path;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::named;
use crate::support::origin::Origin;
use crate::support::run;
use crate::support::segmented::SegmentedFilm;

/// The decoding times of the packets of a stream that ffprobe reads: ten seconds from `first` on, then ten
/// from `second` on, which are returned.
fn read_after_seek(file: &Path, stream: &str, first: f64, second: f64) -> Vec<f64> {
    let read = |intervals: &str| -> Vec<f64> {
        let output = run(Command::new("ffprobe")
            .args(["-v", "error", "-read_intervals", intervals])
            .args(["-show_entries", "packet=codec_type,dts_time", "-of", "csv=p=0"])
            .arg(file));
        let text = String::from_utf8(output.stdout).unwrap();
        let fields = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let of_stream = fields.filter(|fields| fields[0] == stream);
        of_stream.map(|fields| fields[1].parse().unwrap()).collect()
    };
    let before = read(&format!("{first}%+10")).len();
    read(&format!("{first}%+10,{second}%+10")).split_off(before)
}

#[test]
fn seeking_back_reads_each_packet_once() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    for name in ["fragments, apart", "fragments", "transport stream", "transport stream, apart"] {
        let url = SegmentedFilm::new(named(name)).put(&origin, &name.replace([' ', ','], "-"));
        let answer = daemon.get(&any_path(Some(&url), None, &[("length", "wait")]));
        let file = written(directory.path(), &answer.body);
        for (first, second) in [(20.0, 11.0), (15.0, 9.7), (12.0, 1.3), (18.0, 17.0)] {
            for stream in ["video", "audio"] {
                let times = read_after_seek(&file, stream, first, second);
                let what = format!("{name}, {stream}, {second} after {first}");
                assert!(times.len() > 100, "{what}: {} packets", times.len());
                assert!(times[0] <= second, "{what}: from {} on", times[0]);
                let follows = |pair: &[f64]| (0.001..0.1).contains(&(pair[1] - pair[0]));
                let wrong = times.windows(2).find(|pair| !follows(pair));
                assert_eq!(wrong, None, "{what}");
            }
        }
    }
}
