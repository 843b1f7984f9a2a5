//! Keys, and what is protected by more than a key.

use super::*;
use crate::media::segments::MediaSegment;

fn iv(segment: &MediaSegment) -> u128 {
    u128::from_be_bytes(segment.encryption.as_ref().unwrap().iv)
}

#[test]
fn keys_and_their_vectors() {
    let list = body(
        "#EXT-X-MEDIA-SEQUENCE:7794\n#EXTINF:1\nclear.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n\
         #EXTINF:1\n1.ts\n#EXTINF:1\n2.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0xAB\n\
         #EXTINF:1\n3.ts\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1\nclear.ts\n\
         #EXT-X-KEY:METHOD=AES-128,KEYFORMAT=\"identity\",\
         URI=\"data:text/plain;base64,AAECAwQFBgcICQoLDA0ODw==\"\n#EXTINF:1\n4.ts\n#EXTINF:1\n5.ts",
    )
    .unwrap();
    let segments = &list.segments;
    assert!(segments[0].encryption.is_none() && segments[4].encryption.is_none());
    let ivs: Vec<_> = [1, 2, 3, 5, 6].map(|index| iv(&segments[index])).into();
    assert_eq!(ivs, [7795, 7796, 0xab, 7799, 7800]);
    let key = |index: usize| segments[index].encryption.as_ref().unwrap().key.clone();
    assert!(std::sync::Arc::ptr_eq(&key(1), &key(2)));
    let url = Url::parse("https://cdn.example/films/1/k2").unwrap();
    assert!(*key(3) == SegmentKey::Remote(url));
    assert!(*key(5) == SegmentKey::Inline(std::array::from_fn(|index| index as u8)));
}

/// The initialisation segment does not count, as it does in yt-dlp.
#[test]
fn an_initialisation_segment_does_not_shift_the_vectors() {
    let text = "#EXT-X-MEDIA-SEQUENCE:7794\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
        #EXT-X-MAP:URI=\"a.mp4\"\n#EXTINF:1\n1\n#EXT-X-KEY:METHOD=AES-128,URI=\"k2\"\n#EXTINF:1\n2";
    let list = body(text).unwrap();
    assert_eq!(list.segments.iter().map(iv).collect::<Vec<_>>(), [7794, 7795]);
    let init = list.inits[0].encryption.as_ref().unwrap();
    assert!(init.iv == 7794_u128.to_be_bytes());
    assert!(init.key == list.segments[0].encryption.as_ref().unwrap().key);
    assert!(list.segments.iter().all(|segment| segment.init == Some(0)));
    // A map before the key is in the clear.
    let list = body("#EXT-X-MAP:URI=\"a\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1\n1");
    assert!(list.unwrap().inits[0].encryption.is_none());
}

#[test]
fn what_is_protected_is_told_apart() {
    for (key, system) in [
        ("METHOD=SAMPLE-AES,URI=\"k\"", "SAMPLE-AES"),
        ("METHOD=SAMPLE-AES-CTR,URI=\"k\"", "SAMPLE-AES-CTR"),
        ("METHOD=AES-128,URI=\"skd://k\"", "skd"),
        (
            "METHOD=AES-128,URI=\"k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"",
            "com.apple.streamingkeydelivery",
        ),
        ("METHOD=SAMPLE-AES,URI=\"data:,x\",KEYFORMAT=\"urn:uuid:edef8ba9\"", "urn:uuid:edef8ba9"),
    ] {
        let outcome = body(&format!("#EXT-X-KEY:{key}\n#EXTINF:1\n1"));
        assert_eq!(outcome.unwrap_err(), PlaylistError::Drm(system.to_owned()), "{key}");
    }
    // The same key in the clear is one for everyone; protected segments that are not listed matter not.
    let list = body(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"skd://a\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1\n1\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"",
    );
    assert!(list.unwrap().segments[0].encryption.is_some());
}

#[test]
fn keys_that_are_none() {
    for key in [
        "METHOD=AES-128",
        "URI=\"k\"",
        "METHOD=AES-128,URI=\"data:;base64,AAECAwQ=\"",
        "METHOD=AES-128,URI=\"data:text/plain\"",
        "METHOD=AES-128,URI=\"file:///etc/passwd\"",
        "METHOD=AES-128,URI=\"k\",IV=12",
        "METHOD=AES-128,URI=\"k\",IV=0x+1",
        "METHOD=AES-128,URI=\"k\",IV=0x123456789012345678901234567890123",
        "METHOD=AES-256,URI=\"k\"",
        "METHOD=AES-128,URI=\"k",
        "METHOD=AES-128,URI=\"k\"x",
        "METHOD",
    ] {
        let problem = problem(&format!("#EXT-X-KEY:{key}\n#EXTINF:1\n1"));
        assert!(problem.contains("EXT-X-KEY"), "{key}: {problem}");
    }
}
