//! What is joined without ffmpeg: the layout of the joined file, and its bytes.

mod attack;
mod fragmented;
mod mpeg_ts;
mod progressive;
mod served;
mod several;
mod webm;
