//! Tells formats of DASH manifests that have all periods of their film from those that lack some.
//!
//! **Invariant:** a format is never taken for the whole film without proof.

use std::time::Duration;

use super::schema::Format;
use crate::media::packed_segments::PackedSegments;

const PART: &str = "one of several periods of a DASH manifest";
const UNKNOWN: &str = "DASH of which yt-dlp does not tell the periods";
/// Pages round durations.
const ROUNDING: Duration = Duration::from_secs(1);

impl Format<'_> {
    /// Returns why the format may be less than all periods of a manifest. yt-dlp lists periods that it does not
    /// join as several formats, which look alike.
    pub(super) fn check_periods(
        &self,
        segments: Option<&PackedSegments>,
        page_duration: Option<Duration>,
    ) -> Result<(), &'static str> {
        let inits = segments.map(PackedSegments::init_count);
        match self.period_count {
            // A file is of one period.
            Some(count) if inits.unwrap_or(1) as f64 == count => Ok(()),
            Some(_) => Err(PART),
            None if !self.is_of_manifest() => Ok(()),
            // yt-dlp has no place for the plugin any more, or was not permitted to load it.
            None => {
                let is_as_long = segments.zip(page_duration).is_some_and(|(segments, duration)| {
                    segments.duration().saturating_add(ROUNDING) >= duration
                });
                (inits == Some(1) && is_as_long).then_some(()).ok_or(UNKNOWN)
            }
        }
    }

    fn is_of_manifest(&self) -> bool {
        let is_in_segments = self.protocol.as_deref() == Some("http_dash_segments");
        self.is_dash_periods == Some(true) || (is_in_segments && self.manifest_url.is_some())
    }
}
