//! What ffmpeg can make, as a matrix: codecs, containers, and the shapes that each container has.
//!
//! A recipe is a line: the name of a file, and the arguments that make it. In them `$video` and
//! `$audio` are sources, and `@name` is the file of another recipe. Files are made once and kept,
//! as all media of the tests are.

mod audio;
mod damaged;
mod matroska;
mod mp4;
mod video;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::media::{derive, generate};

/// What a file is, if not a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing is wrong with it.
    Good,
    /// It was there; nobody knows what is wrong with it.
    Found,
    /// It was cut at rest, and says so by an index, a size or a missing end.
    Cut,
    /// Its packets are encrypted.
    Encrypted,
    /// It is media, but there is nobody to compare with.
    Unread,
    /// It is no media at all.
    Junk,
}

impl Nature {
    /// Whether it should come through.
    pub(super) fn is_good(self) -> bool {
        matches!(self, Nature::Good | Nature::Found)
    }
}

/// Makes a file of the bytes of another one.
type Change = fn(Vec<u8>) -> Vec<u8>;

/// How a file is made.
enum Making {
    /// By ffmpeg, with these arguments.
    Ffmpeg(String),
    /// Out of the file of another recipe.
    Derived(String, Change),
}

/// One file of the matrix.
struct Recipe {
    making: Making,
    nature: Nature,
}

/// All recipes, by their files.
#[derive(Default)]
pub(super) struct Recipes {
    all: BTreeMap<String, Recipe>,
}

/// Four seconds of a moving picture, none of its frames like another.
const VIDEO: &str = "-f lavfi -i testsrc2=size=160x90:rate=25:duration=4";
/// A little more of a rising tone, so that it tells when the duration is that of the wrong track.
const AUDIO: &str = "-f lavfi -i aevalsrc=sin(900*t*t):s=48000:d=4.2";

impl Recipes {
    /// The whole matrix.
    pub(super) fn all() -> Self {
        let mut recipes = Self::default();
        video::add(&mut recipes);
        audio::add(&mut recipes);
        mp4::add(&mut recipes);
        matroska::add(&mut recipes);
        damaged::add(&mut recipes);
        recipes
    }

    /// The names of all that are to be asked for; a cover, say, is only an ingredient.
    pub(super) fn media(&self) -> impl Iterator<Item = &str> {
        const INGREDIENTS: [&str; 3] = ["jpg", "srt", "ffmeta"];
        let files = self.all.keys().map(String::as_str);
        files.filter(|file| !INGREDIENTS.iter().any(|extension| file.ends_with(extension)))
    }

    /// What is wrong with a file.
    pub(super) fn nature(&self, file: &str) -> Nature {
        self.all[file].nature
    }

    /// Takes in lines such as `name.mp4 -i @other -c copy`.
    fn lines(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (file, arguments) = line.split_once(' ').expect("a name and arguments");
            self.file(file, arguments);
        }
    }

    /// Takes in a file that ffmpeg makes.
    fn file(&mut self, file: &str, arguments: &str) -> &mut Recipe {
        self.add(file, Making::Ffmpeg(arguments.to_owned()))
    }

    /// Takes in a file that is made of the bytes of another one.
    fn derived(&mut self, file: &str, of: &str, how: Change) -> &mut Recipe {
        self.add(file, Making::Derived(of.to_owned(), how))
    }

    fn add(&mut self, file: &str, making: Making) -> &mut Recipe {
        assert!(!self.all.contains_key(file), "{file} twice");
        let recipe = Recipe { making, nature: Nature::Good };
        self.all.entry(file.to_owned()).or_insert(recipe)
    }

    /// Makes the file, and those that it is made of, unless they are there.
    pub(super) fn make(&self, file: &str) -> PathBuf {
        let Recipe { making, .. } =
            self.all.get(file).unwrap_or_else(|| panic!("no recipe {file}"));
        let (name, extension) = file.rsplit_once('.').expect("an extension");
        let called = format!("corpus-{name}");
        match making {
            Making::Ffmpeg(arguments) => {
                let arguments = arguments.replace("$video", VIDEO).replace("$audio", AUDIO);
                let words = arguments.split(' ').map(|word| match word.strip_prefix('@') {
                    Some(other) => self.make(other).to_str().expect("UTF-8").to_owned(),
                    None => word.to_owned(),
                });
                generate(&called, extension, &words.collect::<Vec<_>>())
            }
            Making::Derived(of, how) => derive(&called, extension, &self.make(of), *how),
        }
    }
}

/// The name of a file without its extension.
fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(name, _)| name)
}
