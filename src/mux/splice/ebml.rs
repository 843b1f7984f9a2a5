//! The elements of Matroska files (RFC 8794): found strictly, written plainly.
