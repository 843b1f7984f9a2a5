//! What `ffmpeg -c copy` makes of the same files, for comparison: once for each container.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::ask::Ask;
use super::folder::Subject;
use crate::support::run;

/// Files that ffmpeg made by itself, or `None` where it would not.
pub(super) struct Baselines {
    folder: PathBuf,
    made: Mutex<HashMap<Key, Option<PathBuf>>>,
}

/// The files, and the container.
type Key = (Option<usize>, Option<usize>, &'static str);

impl Baselines {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), made: Mutex::default() }
    }

    /// The file that ffmpeg makes of these; of MP4 and Matroska, the first that takes them, if
    /// nothing else was asked for.
    pub(super) fn of(&self, ask: &Ask, subjects: &[Subject]) -> Option<PathBuf> {
        let containers: &[_] =
            if ask.container == "auto" { &["mp4", "mkv"] } else { &[ask.container] };
        containers.iter().find_map(|container| self.made_as(ask, container, subjects))
    }

    /// The file that ffmpeg makes of these in a container.
    pub(super) fn made_as(
        &self,
        ask: &Ask,
        container: &'static str,
        subjects: &[Subject],
    ) -> Option<PathBuf> {
        let key = (ask.video, ask.audio, container);
        if let Some(made) = self.made.lock().unwrap().get(&key) {
            return made.clone();
        }
        let made = self.make(ask, container, subjects);
        self.made.lock().unwrap().insert(key, made.clone());
        made
    }

    fn make(&self, ask: &Ask, container: &str, subjects: &[Subject]) -> Option<PathBuf> {
        let number = |file: Option<usize>| file.map_or("x".into(), |file| file.to_string());
        let name = format!("{}-{}.{container}", number(ask.video), number(ask.audio));
        let file = self.folder.join(name);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]);
        for number in ask.files() {
            command.arg("-i").arg(&subjects[number].path);
        }
        let maps: &[_] = match (ask.video, ask.audio) {
            (Some(_), Some(_)) => &["-map", "0:V:0", "-map", "1:a:0"],
            (Some(_), None) => &["-map", "0:V:0", "-map", "0:a:0?"],
            _ => &["-map", "0:a:0"],
        };
        let format = if container == "mkv" { "matroska" } else { container };
        let copy = ["-map_chapters", "-1", "-c", "copy", "-f", format];
        let output = run(command.args(maps).args(copy).arg(&file));
        output.status.success().then_some(file)
    }
}
