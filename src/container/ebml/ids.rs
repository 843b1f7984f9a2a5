//! The element IDs of EBML and Matroska (RFC 8794 §11.2, RFC 9559 §5) that are used here.

pub(crate) const EBML: u32 = 0x1a45_dfa3;
pub(crate) const EBML_VERSION: u32 = 0x4286;
pub(crate) const EBML_READ_VERSION: u32 = 0x42f7;
pub(crate) const EBML_MAX_ID_LENGTH: u32 = 0x42f2;
pub(crate) const EBML_MAX_SIZE_LENGTH: u32 = 0x42f3;
pub(crate) const DOC_TYPE: u32 = 0x4282;
pub(crate) const DOC_TYPE_VERSION: u32 = 0x4287;
pub(crate) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
pub(crate) const VOID: u32 = 0xec;
pub(crate) const CRC_32: u32 = 0xbf;

pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(crate) const SEEK: u32 = 0x4dbb;
pub(crate) const SEEK_ID: u32 = 0x53ab;
pub(crate) const SEEK_POSITION: u32 = 0x53ac;

pub(crate) const INFO: u32 = 0x1549_a966;
pub(crate) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
pub(crate) const DURATION: u32 = 0x4489;
pub(crate) const TITLE: u32 = 0x7ba9;
pub(crate) const MUXING_APP: u32 = 0x4d80;
pub(crate) const WRITING_APP: u32 = 0x5741;

pub(crate) const TRACKS: u32 = 0x1654_ae6b;
pub(crate) const TRACK_ENTRY: u32 = 0xae;
pub(crate) const TRACK_NUMBER: u32 = 0xd7;
pub(crate) const TRACK_UID: u32 = 0x73c5;
pub(crate) const TRACK_TYPE: u32 = 0x83;
pub(crate) const FLAG_DEFAULT: u32 = 0x88;
pub(crate) const NAME: u32 = 0x536e;
pub(crate) const LANGUAGE: u32 = 0x22_b59c;
pub(crate) const LANGUAGE_BCP47: u32 = 0x22_b59d;
pub(crate) const TRACK_TIMESTAMP_SCALE: u32 = 0x23_314f;
pub(crate) const FLAG_LACING: u32 = 0x9c;
pub(crate) const DEFAULT_DURATION: u32 = 0x23_e383;
pub(crate) const CODEC_ID: u32 = 0x86;
pub(crate) const CODEC_PRIVATE: u32 = 0x63a2;
pub(crate) const TRACK_OVERLAY: u32 = 0x6fab;
pub(crate) const TRACK_TRANSLATE: u32 = 0x6624;
pub(crate) const TRACK_OPERATION: u32 = 0xe2;
pub(crate) const CONTENT_ENCODINGS: u32 = 0x6d80;
pub(crate) const CONTENT_ENCODING: u32 = 0x6240;
pub(crate) const CONTENT_ENCODING_TYPE: u32 = 0x5033;
pub(crate) const CONTENT_ENCRYPTION: u32 = 0x5035;

pub(crate) const CUES: u32 = 0x1c53_bb6b;
pub(crate) const CUE_POINT: u32 = 0xbb;
pub(crate) const CUE_TIME: u32 = 0xb3;
pub(crate) const CUE_TRACK_POSITIONS: u32 = 0xb7;
pub(crate) const CUE_TRACK: u32 = 0xf7;
pub(crate) const CUE_CLUSTER_POSITION: u32 = 0xf1;
pub(crate) const CUE_RELATIVE_POSITION: u32 = 0xf0;
pub(crate) const CUE_BLOCK_NUMBER: u32 = 0x5378;

pub(crate) const CLUSTER: u32 = 0x1f43_b675;
pub(crate) const TIMESTAMP: u32 = 0xe7;
pub(crate) const POSITION: u32 = 0xa7;
pub(crate) const PREV_SIZE: u32 = 0xab;
pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
pub(crate) const BLOCK_GROUP: u32 = 0xa0;
pub(crate) const BLOCK: u32 = 0xa1;
pub(crate) const BLOCK_DURATION: u32 = 0x9b;

pub(crate) const CHAPTERS: u32 = 0x1043_a770;
pub(crate) const EDITION_ENTRY: u32 = 0x45b9;
pub(crate) const CHAPTER_ATOM: u32 = 0xb6;
pub(crate) const CHAPTER_UID: u32 = 0x73c4;
pub(crate) const CHAPTER_TIME_START: u32 = 0x91;
pub(crate) const CHAPTER_DISPLAY: u32 = 0x80;
pub(crate) const CHAP_STRING: u32 = 0x85;
pub(crate) const CHAP_LANGUAGE: u32 = 0x437c;
pub(crate) const TAGS: u32 = 0x1254_c367;
pub(crate) const TAG: u32 = 0x7373;
pub(crate) const TARGETS: u32 = 0x63c0;
pub(crate) const TAG_TRACK_UID: u32 = 0x63c5;
pub(crate) const SIMPLE_TAG: u32 = 0x67c8;
pub(crate) const TAG_NAME: u32 = 0x45a3;
pub(crate) const TAG_STRING: u32 = 0x4487;
pub(crate) const ATTACHMENTS: u32 = 0x1941_a469;
pub(crate) const ATTACHED_FILE: u32 = 0x61a7;
pub(crate) const FILE_NAME: u32 = 0x466e;
pub(crate) const FILE_MEDIA_TYPE: u32 = 0x4660;
pub(crate) const FILE_DATA: u32 = 0x465c;
pub(crate) const FILE_UID: u32 = 0x46ae;
