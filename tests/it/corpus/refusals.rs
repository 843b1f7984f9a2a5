//! What may be refused, and why a user would accept it. Keep it small.

use super::folder::Subject;

/// A refusal that is right although ffmpeg would do it.
pub(super) struct Allowed {
    /// The problem's code.
    code: &'static str,
    /// What the name of one of the files, or the problem's detail, has in it.
    about: &'static [&'static str],
    /// What one would tell the user.
    pub(super) reason: &'static str,
}

const ALLOWED: [Allowed; 10] = [
    Allowed {
        code: "splice-refused",
        about: &[""],
        reason: "splice was asked for by name; ffmpeg joins them if nothing is said",
    },
    Allowed {
        code: "not-media",
        about: &[".amr", ".caf", ".w64", ".wv", ".wma", ".avi", ".latm", ".dts", ".thd", ".spx"],
        reason: "a format that no site serves; the error names those that are taken",
    },
    Allowed {
        code: "not-media",
        about: &[".m2ts"],
        reason: "MPEG-TS on discs, in packets of another length, is on no site",
    },
    Allowed {
        code: "mux-refused",
        about: &["nothing but mp4"],
        reason: "raw AAC has no description that other containers ask for",
    },
    Allowed {
        code: "mux-refused",
        about: &["codec none", "does not know the codec", "PCM that is not"],
        reason: "an ffmpeg that does not know the codec cannot join it as it is",
    },
    Allowed {
        code: "mux-refused",
        about: &["Non-monotonous DTS"],
        reason: "its packets are all at one time: it is no film",
    },
    Allowed {
        code: "mux-refused",
        about: &["no key frame of the video lies", "no audio lies"],
        reason: "nothing tells where its key frames are, and there is none in what is wanted",
    },
    Allowed {
        code: "not-media",
        about: &["-prefix.mp3"],
        reason: "sound is not looked for behind so much that means nothing",
    },
    Allowed {
        code: "index-at-end",
        about: &["neither MP4 nor WebM"],
        reason: "a Matroska file that describes its tracks behind its media, as no muxer does",
    },
    Allowed { code: "start-beyond-end", about: &[""], reason: "there is nothing left of the film" },
];

/// Why this refusal is right, if it is.
pub(super) fn allowed(code: &str, detail: &str, files: &[&Subject]) -> Option<&'static str> {
    let about =
        |what: &&str| detail.contains(*what) || files.iter().any(|file| file.name.ends_with(*what));
    let allowed = ALLOWED.iter().find(|one| one.code == code && one.about.iter().any(about))?;
    Some(allowed.reason)
}
