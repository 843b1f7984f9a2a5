//! Every known message has its code.

use super::*;

mod messages;

use messages::{SAID, WARNED};

#[test]
fn each_sentence_is_of_its_kind() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (status, code, sentences) in SAID {
        for message in *sentences {
            count += 1;
            let spelled = [*message, &message.to_uppercase(), &message.replace('\'', "\u{2019}")]
                .map(String::from);
            for message in spelled {
                let found =
                    classify(1, &format!("WARNING: x\nERROR: [site:it] id_-1: {message}\n"));
                if (found.code.status(), found.code.as_str()) != (*status, *code) {
                    wrong.push(format!(
                        "{message}: {} {}, not {code}",
                        found.code.status(),
                        found.code.as_str()
                    ));
                }
                let again = [503, 429].contains(&found.code.status());
                assert_eq!(found.retry_after.is_some(), again, "{message}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 170, "{count} sentences");
}

#[test]
fn a_warning_tells_why_there_is_no_format() {
    for error in [
        "ERROR: [youtube] x: Requested format is not available. Use --list-formats",
        "ERROR: [youtube] x: No video formats found!; please report this issue on  https://a/",
    ] {
        for (status, code, warning) in WARNED {
            let found = classify(1, &format!("{warning}\n{error}\n"));
            assert_eq!((found.code.status(), found.code.as_str()), (*status, *code), "{warning}");
            assert!(*code != "resolver-missing" || found.message.contains("ytcanal check"));
        }
    }
    // An error beside it takes precedence.
    let (_, _, unsolved) = WARNED[2];
    let found = classify(1, &format!("{unsolved}\nERROR: [youtube] x: Private video"));
    assert_eq!(found.code.as_str(), "private");
}

#[test]
fn ways_to_end_without_an_error() {
    for (message, code) in [
        ("", "resolver-failed"),
        ("WARNING: x\nSomething: killed\n", "resolve-failed"),
        ("ERROR: Unsupported URL: http://a/", "unsupported-link"),
    ] {
        assert_eq!(classify(1, message).code.as_str(), code, "{message}");
    }
    assert_eq!(classify(2, "yt-dlp: error: no such option: --x\n").code.status(), 500);
    let crashed = "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'a'\n";
    assert_eq!(classify(1, crashed).message, "yt-dlp failed: KeyError: 'a'");
}

#[test]
fn words_of_others_come_without_links_and_tricks() {
    let message =
        classify(1, "WARNING: x\nERROR: [a:b] id-1: odd\u{1b}[31m https://a/?sig=1 end\n").message;
    assert_eq!(message, "the page could not be read: odd [31m (a link) end");
    assert!(classify(1, &format!("ERROR: {}", "x".repeat(5000))).message.len() < 400);
    // The words of a URL do not count.
    assert_eq!(
        classify(1, "ERROR: [a] b: odd: https://a/private-login").code.as_str(),
        "resolve-failed"
    );
}

#[test]
fn a_message_shows_no_link_and_no_path() {
    for (message, shown) in [
        ("Unable to download https://a.example/?sig=SECRET now", "Unable to download (a link) now"),
        ("cannot open '/videoplayback?expire=1&sig=SECRET'", "cannot open (a link)"),
        ("refused: cdn.example/signed/SECRET/v.mp4", "refused: (a path)"),
        ("bad signature=0123456789abcdefSECRET", "bad (a link)"),
        ("No such file: '/home/SECRET/.netrc'", "No such file: (a path)"),
        ("cannot write ~/SECRET", "cannot write (a path)"),
        ("File \"/usr/SECRET/yt_dlp/YoutubeDL.py\", line 1", "File (a path) line 1"),
        ("C:\\Users\\SECRET", "(a path)"),
        ("HTTP/1.1 and/or 05/06/2026, format=best", "HTTP/1.1 and/or 05/06/2026, format=best"),
    ] {
        assert_eq!(clean(message), shown);
    }
}
