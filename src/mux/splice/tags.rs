//! What a file says of itself: title, artist, date, cover.
