//! Parses the parameters about subtitles. Pure.

use super::{Query, bad_parameter};
use crate::media::language::Language;
use crate::media::selection::FormatRequest;
use crate::media::subtitles::{Languages, MAX_SUBTITLES, SubtitleRequest};
use crate::options::{ContainerChoice, TextFormat};
use crate::problem::Problem;

/// What is requested of subtitles.
pub(super) struct SubtitleWish {
    pub(super) request: Option<SubtitleRequest>,
    /// The format of the file, if subtitles are all that is requested.
    pub(super) alone: Option<TextFormat>,
}

/// Takes the parameters about subtitles, and `container` if it is a format of them.
pub(super) fn take(query: &mut Query) -> Result<SubtitleWish, Problem> {
    let subs = query.text("subs");
    let allows_automatic = match query.text("captions").as_deref() {
        None | Some("none") => false,
        Some("auto") => true,
        Some(_) => return Err(bad_parameter("captions must be none or auto")),
    };
    let mut words: Vec<&str> =
        subs.as_deref().into_iter().flat_map(|subs| subs.split(',')).collect();
    let is_only = words.contains(&"only");
    words.retain(|word| *word != "only");
    let format = query.take_if("container", |name| TextFormat::from_name(name).is_some());
    let format = format.as_deref().and_then(TextFormat::from_name);
    let format = format.or_else(|| is_only.then_some(TextFormat::Vtt));
    let languages = match words[..] {
        [] => Languages::All,
        ["all"] if format.is_none() => Languages::All,
        [_, _, ..] if format.is_some() => {
            return Err(bad_parameter("subs must be one language where subtitles are the file"));
        }
        _ if words.len() > MAX_SUBTITLES => {
            return Err(bad_parameter("subs has more languages than a file may have"));
        }
        _ => {
            let tags =
                words.iter().map(|word| Language::from_tag(word).map(|_| (*word).to_owned()));
            let wrong = "subs must be all, only, or language tags such as en or pt-BR, with commas between them";
            Languages::Only(tags.collect::<Option<_>>().ok_or_else(|| bad_parameter(wrong))?)
        }
    };
    let is_requested = subs.is_some() || format.is_some();
    if !is_requested && allows_automatic {
        return Err(bad_parameter("captions needs the parameter subs"));
    }
    let is_single = format.is_some();
    let request = SubtitleRequest { languages, allows_automatic, is_single };
    Ok(SubtitleWish { request: is_requested.then_some(request), alone: format })
}

/// Fails if subtitles are requested in a file that has none.
pub(super) fn check(choice: &FormatRequest) -> Result<(), Problem> {
    let has_none = choice.container.is_audio() && choice.container != ContainerChoice::M4a;
    match &choice.subtitles {
        Some(_) if has_none => {
            let name = choice.container.as_str();
            Err(bad_parameter(&format!("subs needs another container: {name} has no subtitles")))
        }
        _ => Ok(()),
    }
}
