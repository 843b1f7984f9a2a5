//! Fragmented MP4.

use ytcanal::media::Tags;

use crate::support::media;
use crate::support::spliced::{Film, as_it_is};

#[test]
#[ignore = "not yet"]
fn a_minute() {
    let pair = media::minute();
    let film = Film::of(&pair.video, &pair.audio);
    let plan = film.plan(&as_it_is(&Tags::default()));
    film.whole(&plan);
}
