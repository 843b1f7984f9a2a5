//! WebM.

use ytcanal::media::Tags;

use crate::support::media;
use crate::support::spliced::{Film, as_it_is};

#[test]
fn a_scratch() {
    for (i, pair) in std::env::var("PAIRS").unwrap_or_default().split(' ').enumerate() {
        let (v, a) = pair.split_once(',').unwrap();
        let film = Film::of(v.as_ref(), a.as_ref());
        println!("{pair} {:?}", film.surveys().err());
        let tags = Tags::default();
        match film.try_plan(&as_it_is(&tags)) {
            Ok(plan) => {
                println!("requests {:?}", film.requests());
                let whole = film.whole(&plan);
                std::fs::write(format!("/tmp/w/webm-x/out{i}.webm"), whole).unwrap();
            }
            Err(why) => println!("{why:?}"),
        }
    }
    let _ = media::webm();
}
