//! Page links, read by the real yt-dlp from a site on loopback.

mod cache;
mod chapters;
mod cookies;
mod dash;
mod dash_periods;
mod dash_webm;
mod ends;
mod failures;
mod family;
mod films;
mod futile;
mod gate;
mod generic;
mod information;
mod languages;
mod live;
mod long_subtitles;
mod memory;
mod outdated;
mod refresh;
mod segment_downloads;
mod segmented;
mod sponsorblock;
mod strangers;
mod subtitles;
mod youtube;
