use proptest::prelude::*;

use super::markup::{Style, pieces, plain};
use super::*;

fn brief(cues: &[Cue]) -> Vec<(u128, u128, &str)> {
    cues.iter().map(|cue| (cue.start.as_millis(), cue.end.as_millis(), &cue.text[..])).collect()
}

fn vtt(text: &str) -> Result<Vec<Cue>, Unreadable> {
    read(SubtitleFormat::Vtt, text.as_bytes())
}

fn srt(text: &str) -> Result<Vec<Cue>, Unreadable> {
    read(SubtitleFormat::Srt, text.as_bytes())
}

fn ttml(body: &str) -> Result<Vec<Cue>, Unreadable> {
    let text = format!(
        "<?xml version='1.0'?><!-- x --><tt xmlns='http://www.w3.org/ns/ttml' ttp:frameRate=\"25\" xml:lang='de'><head><styling/></head><body>{body}</body></tt>"
    );
    read(SubtitleFormat::Ttml, text.as_bytes())
}

#[test]
fn web_vtt() {
    let text = "\u{feff}WEBVTT - a title\nKind: captions\n\nNOTE\nno --> cue\n\nSTYLE\n::cue { color: red }\n\n\
                first\n00:01.500 --> 00:02.000 align:start position:0%\n<v Ann>Straße &amp; <i.loud>so</i> on</v>\nline <00:01.700><c>two</c>\n\n\
                01:00:00.000 --> 01:00:01.000\n<b>bold <u>both</b> none\n\n\
                00:03.000 --> 00:03.000\nnever shown\n\n00:04.000 --> 00:05.000\n\n\
                00:00.100 --> 00:00.200\r\n1 &lt; 2 & 3 &gt; 2\r\n";
    let cues = vtt(text).unwrap();
    assert_eq!(
        brief(&cues),
        [
            (100, 200, "1 &lt; 2 &amp; 3 &gt; 2"),
            (1500, 2000, "Straße &amp; <i>so</i> on\nline two"),
            (3_600_000, 3_601_000, "<b>bold <u>both</u></b> none"),
        ]
    );
    assert_eq!(vtt("WEBVTT").unwrap(), []);
    for wrong in [
        "",
        "WEBVTTX\n\n",
        "<html>",
        "WEBVTT\n\n0:1 --> 2\nx",
        "WEBVTT\n\n00:61.000 --> 01:02.000\nx",
    ] {
        assert!(vtt(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn sub_rip() {
    let text = "1\n00:00:01,500 --> 00:00:02,000 X1:1 X2:2\n{\\an8}<font color=\"red\">Red</font> <I>it</I> 3 < 4\n\nafter a blank line\n\n\
                2\n00:00:03,000 --> 00:00:04,000\n1984\n\n3\n00:00:05.000 --> 00:00:06.000\nA & B &amp; C\n";
    assert_eq!(
        brief(&srt(text).unwrap()),
        [
            (1500, 2000, "Red <i>it</i> 3 &lt; 4\nafter a blank line"),
            (3000, 4000, "1984"),
            (5000, 6000, "A &amp; B &amp; C"),
        ]
    );
    for wrong in [
        "",
        "a text",
        "1\n00:00:01,5 --> 00:00:02,000\nx",
        "<html>\n00:00:01,500 --> 00:00:02,000\nx",
    ] {
        assert!(srt(wrong).is_err(), "{wrong:?}");
    }
    let utf_16: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(SubtitleFormat::Srt, &utf_16).unwrap().len(), 3);
    assert!(read(SubtitleFormat::Srt, b"1\n00:00:01,500 --> 00:00:02,000\n\xff\n").is_err());
}

#[test]
fn timed_text_markup_language() {
    let cues = ttml(
        "<div begin='10s'><p begin=\"00:00:01.500\" end='00:00:02:05'>One\n  two<br/>\n<span tts:fontStyle='italic'>three</span> &lt;</p>\
         <p begin='3s' dur='500ms' xml:space='preserve'>a  b\nc</p></div><div><p begin='25f' end='75t'><![CDATA[x < y]]></p></div>",
    );
    assert_eq!(
        brief(&cues.unwrap()),
        [
            (1000, 3000, "x &lt; y"),
            (11_500, 12_200, "One two\n<i>three</i> &lt;"),
            (13_000, 13_500, "a  b\nc"),
        ]
    );
    for wrong in ["<p begin='1s' end='x'>a</p>", "<p>a</div>", "<p begin='1s'>a", "<p begin=1s/>"] {
        assert!(ttml(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "<html></html>", "<tt>", "a text", "<tt></tt><tt></tt>"] {
        assert!(read(SubtitleFormat::Ttml, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_text_has_pieces_of_one_style() {
    let text = "a &lt; <b>b<i>c</i></b>\n<u>d</u>";
    assert_eq!(plain(text), "a < bc\nd");
    let (bold, italic) = (
        Style { bold: true, ..Style::default() },
        Style { bold: true, italic: true, ..Style::default() },
    );
    let underlined = Style { underlined: true, ..Style::default() };
    let expected = [
        ("a < ", Style::default()),
        ("b", bold),
        ("c", italic),
        ("\n", Style::default()),
        ("d", underlined),
    ];
    assert_eq!(pieces(text), expected.map(|(piece, style)| (piece.to_owned(), style)));
}

#[test]
fn cues_follow_one_another() {
    let cue = |start, end, text: &str| Cue {
        start: Duration::from_millis(start),
        end: Duration::from_millis(end),
        text: text.to_owned(),
    };
    let flat = flatten(&[cue(0, 10, "a"), cue(5, 15, "b"), cue(20, 30, "c"), cue(30, 40, "c")]);
    assert_eq!(brief(&flat.unwrap()), [(0, 5, "a"), (5, 10, "a\nb"), (10, 15, "b"), (20, 40, "c")]);
    // A long text under many short ones would be repeated for each.
    let long = cue(0, 1_000_000, &"x".repeat(4000));
    let many = (0..10_000).map(|at| cue(at * 10, at * 10 + 5, "y"));
    assert_eq!(flatten(&std::iter::once(long).chain(many).collect::<Vec<_>>()), None);
}

#[test]
fn an_arrow_in_a_text_begins_no_cue() {
    let cues = vtt("WEBVTT\n\n00:01.000 --> 00:02.000\na ---&gt; b -&gt;\n").unwrap();
    let written = srt(&write_srt(&cues)).unwrap();
    assert_eq!(brief(&written), [(1000, 2000, "a -→ b -&gt;")]);
}

#[test]
fn limits() {
    let many = |count: usize| format!("WEBVTT\n{}", "\n00:01.000 --> 00:02.000\nx\n".repeat(count));
    assert_eq!(vtt(&many(MAX_CUES)).unwrap().len(), MAX_CUES);
    assert!(vtt(&many(MAX_CUES + 1)).is_err());
    assert!(vtt(&format!("WEBVTT\n\n{}", "x".repeat(MAX_DOCUMENT))).is_err());
    let long = vtt(&format!("WEBVTT\n\n00:01.000 --> 00:02.000\n<i>{}", "ä".repeat(9000))).unwrap();
    assert!(long[0].text.len() < 4200 && long[0].text.ends_with("ä</i>"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(texts in prop::collection::vec("[a-zäß<>&/bi\\n ]{0,30}", 0..8)) {
        let document = texts.iter().enumerate().map(|(second, text)| {
            let text = text.replace("\n\n", "\n");
            format!("\n00:{second:02}.000 --> 00:{second:02}.500\n{}\n", text.trim_matches('\n'))
        });
        let cues = vtt(&format!("WEBVTT\n{}", document.collect::<String>())).unwrap();
        prop_assert_eq!(&vtt(&write_vtt(&cues)).unwrap(), &cues);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\\n]{0,300}", format in 0_usize..3) {
        let (format, begin) = [
            (SubtitleFormat::Vtt, "WEBVTT\n\n00:01.000 --> 00:02.000\n"),
            (SubtitleFormat::Srt, "1\n00:00:01,000 --> 00:00:02,000\n"),
            (SubtitleFormat::Ttml, "<tt><body><p begin='1s' end='2s'>"),
        ][format];
        for text in [text.clone(), format!("{begin}{text}"), format!("{begin}{text}</p></body></tt>")] {
            for cue in read(format, text.as_bytes()).unwrap_or_default() {
                prop_assert!(cue.start < cue.end && !cue.text.is_empty());
                prop_assert!(!cue.text.contains("\n\n"));
            }
        }
    }
}
