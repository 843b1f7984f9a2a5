use super::*;

#[test]
fn a_lone_file_of_the_requested_kind_is_passed_through() {
    let plan = |format, container, is_faststart| {
        let info = ProbeInfo { is_faststart, has_video: Some(false), ..ProbeInfo::of(format) };
        let index = (!is_faststart).then_some(Err(Unsupported("it has none")));
        plan(
            vec![ProbedInput { kind: TrackKind::Audio, probe: info }],
            &[index],
            None,
            &OutputOptions { container, ..OutputOptions::default() },
            &Metadata::default(),
        )
    };
    let passed = OutputType { media_type: "audio/mpeg", extension: "mp3" };
    assert_eq!(plan(Format::Mp3, ContainerChoice::Auto, true), Ok(Strategy::Passthrough(passed)));
    assert!(matches!(plan(Format::Mp4, ContainerChoice::Mp4, false), Ok(Strategy::Passthrough(_))));
    assert!(matches!(plan(Format::Mp4, ContainerChoice::Mkv, true), Ok(Strategy::Ffmpeg(..))));
    assert!(matches!(plan(Format::Webm, ContainerChoice::Mp4, true), Ok(Strategy::Ffmpeg(..))));
    assert!(plan(Format::Mp4, ContainerChoice::Mkv, false).is_err());
}
