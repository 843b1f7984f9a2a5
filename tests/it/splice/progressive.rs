//! Progressive MP4.
