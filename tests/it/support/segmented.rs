//! Films in segments: their playlists or manifests with all files, by whichever program made them.

use std::fs;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::aes_128::encrypt;
use super::framemd5::packets;
use super::media;
use super::origin::Origin;
use super::packed_audio::{Packing, pack};
use super::resource::Resource;
use super::run;

/// A film in segments: its files, and the one that it was made from.
pub(crate) struct SegmentedFilm {
    pub(crate) source: PathBuf,
    /// By their names.
    files: Vec<(String, Resource)>,
    /// The name of the playlist or manifest to begin with.
    entry: &'static str,
}

/// The playlists of video and of audio, if they are apart.
const APART: [&str; 2] = ["stream_0.m3u8", "stream_1.m3u8"];

impl SegmentedFilm {
    /// The film that `make` writes into a directory, unless an earlier run did by this recipe.
    pub(crate) fn made(
        source: &Path,
        recipe: &impl Hash,
        entry: &'static str,
        make: impl FnOnce(&Path),
    ) -> SegmentedFilm {
        let directory = media::made("segments", "d", &(source, recipe, entry), |partial| {
            fs::create_dir(partial).unwrap();
            make(partial);
        });
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, served(Resource::file(&path)))
            })
            .collect();
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        SegmentedFilm { source: source.to_owned(), files, entry }
    }

    /// Whether it has a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(own, _)| own == name)
    }

    /// The names of the media segments of the first playlist, in their order.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.segments_of(if self.has(APART[0]) { APART[0] } else { self.entry })
    }

    /// The names of the media segments of a playlist, in their order.
    pub(crate) fn segments_of(&self, playlist: &str) -> Vec<String> {
        self.text(playlist)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// The text of a playlist.
    pub(crate) fn text(&self, playlist: &str) -> String {
        String::from_utf8(self.content(playlist)).unwrap()
    }

    /// The content of a file.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        self.files.iter().find(|(own, _)| own == name).unwrap().1.read()
    }

    /// Changes the text of the playlist to begin with.
    pub(crate) fn edit(self, edit: impl Fn(String) -> String) -> SegmentedFilm {
        let (entry, text) = (self.entry, edit(self.text(self.entry)));
        self.with(entry, text.into_bytes())
    }

    /// With another file of this name.
    fn with(mut self, name: &str, content: Vec<u8>) -> SegmentedFilm {
        self.files.retain(|(own, _)| own != name);
        self.files.push((name.to_owned(), served(Resource::bytes(content))));
        self
    }

    /// The same film, of a kind with one playlist, with encrypted segments.
    pub(crate) fn encrypted(self) -> SegmentedFilm {
        let key = *b"one of some keys";
        let tag = "#EXT-X-KEY:METHOD=AES-128,URI=\"own-key\"\n#EXTINF";
        let mut film = self.with("own-key", key.to_vec());
        for (number, name) in film.segments().into_iter().enumerate() {
            let segment = encrypt(&film.content(&name), key, number as u128);
            film = film.with(&name, segment);
        }
        film.edit(|text| text.replacen("#EXTINF", tag, 1))
    }

    /// The same film, of a kind with video and audio apart, with packed audio.
    pub(crate) fn with_packed_audio(mut self) -> SegmentedFilm {
        let directory = tempfile::tempdir().unwrap();
        for (name, resource) in &self.files {
            fs::write(directory.path().join(name), resource.read()).unwrap();
        }
        let list = directory.path().join(APART[1]);
        let frames = directory.path().join("frames.aac");
        let mut extract = Command::new("ffmpeg");
        extract.args(["-v", "error", "-nostdin", "-i"]).arg(&list).args(["-c", "copy"]);
        assert!(run(extract.arg(&frames)).status.success());
        let begin = Some((packets(&list, "a")[0].pts.max(0) as u64 * 9).div_ceil(100_000));
        let packing = Packing { frames: 90, samples: 1024, rate: 48_000, begin };
        let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for (number, (segment, duration)) in pack(&frames, packing).into_iter().enumerate() {
            let name = format!("packed{number}.aac");
            text += &format!("#EXTINF:{:.6},\n{name}\n", duration.as_secs_f64());
            self = self.with(&name, segment);
        }
        text += "#EXT-X-ENDLIST\n";
        self.with(APART[1], text.into_bytes())
    }

    /// Puts all files on an origin, below `directory`, and returns the URL of the playlist.
    pub(crate) fn put(&self, origin: &Origin, directory: &str) -> String {
        self.put_with(origin, directory, |_, resource| resource)
    }

    /// Likewise, with each resource changed by its name.
    pub(crate) fn put_with(
        &self,
        origin: &Origin,
        directory: &str,
        change: impl Fn(&str, Resource) -> Resource,
    ) -> String {
        for (name, resource) in &self.files {
            origin.put(&format!("{directory}/{name}"), change(name, resource.clone()));
        }
        origin.url(&format!("{directory}/{}", self.entry))
    }
}

fn served(resource: Resource) -> Resource {
    resource.ranges().etag("\"1\"").keep_alive()
}
