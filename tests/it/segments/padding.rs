//! Transport streams that take less room than fragments do: what is promised cannot be kept, visibly, and is not
//! promised again.

use super::*;
use crate::support::framemd5::framemd5;
use crate::support::hls::FEW_TABLES;

/// A film whose pictures have a slice for each macroblock, and so a start code of three bytes that becomes a length
/// of four.
fn many_slices() -> std::path::PathBuf {
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -threads 1 \
                 -x264-params slice-max-mbs=1:no-deblock=1 -c:a aac -b:a 96k -movflags +faststart";
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("640x360", 25, 6), media::sound(48_000, 6));
    media::generate("many-slices", "mp4", &[&picture[..], &sound, &coded].concat())
}

#[test]
fn what_outgrows_its_padding_is_cut_and_has_no_length_the_next_time() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let source = many_slices();
    let url = SegmentedFilm::of(FEW_TABLES, &source).put(&origin, "film");
    let path = any_path(Some(&url), None, &[]);
    let length = |answer: &Answer| answer.head.header("Content-Length").map(str::to_owned);
    let first = daemon.get(&path);
    let promised: usize = length(&first).expect("it is computed").parse().unwrap();
    assert!(first.ending != Ending::Complete && first.body.len() < promised);
    daemon.logs("more frames than fit in its place");
    // A client that continues with the first one must not get the second.
    let fields = format!("Range: bytes={}-\r\n", first.body.len());
    for fields in [&*fields, ""] {
        let next = ask(daemon.address(), "GET", &path, fields);
        assert_whole(&next, "the next time");
        assert_eq!((length(&next), next.head.header("Accept-Ranges")), (None, Some("none")));
        let directory = tempfile::tempdir().unwrap();
        let file = written(directory.path(), &next.body);
        let [own, made] = [&source, &file].map(|file| framemd5(file, "v", &H264_SLICES));
        let md5s = |packets: &[crate::support::framemd5::Packet]| -> Vec<String> {
            packets.iter().map(|packet| packet.md5.clone()).collect()
        };
        assert!(md5s(&own) == md5s(&made));
    }
}
