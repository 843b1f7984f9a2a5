//! The closed sets by which requests are logged and counted: routes, and what made a file.

use crate::instruments::{Label, label};

label! {
    /// A route, by its path. A test of the module `route` holds them to the paths there are.
    RouteName {
        /// The web page.
        Page = "/",
        /// Media of a page link, or an archive.
        Download = "/download",
        /// The liveness of the server.
        Healthz = "/healthz",
        /// The icon of the web page.
        Icon = "/icon.svg",
        /// Formats of a page.
        Info = "/info",
        /// The form to sign in.
        Login = "/login",
        /// The form to sign out.
        Logout = "/logout",
        /// The manifest of the web page.
        Manifest = "/manifest.webmanifest",
        /// The metrics.
        Metrics = "/metrics",
        /// Media of media URLs.
        Mux = "/mux",
        /// The description of the API.
        OpenApi = "/openapi.json",
        /// A script of the web page.
        Player = "/player.js",
        /// The readiness of the server.
        Readyz = "/readyz",
        /// Links to share.
        Sign = "/sign",
        /// The picture of a page.
        Thumbnail = "/thumbnail",
        /// The web page with a link, as YouTube has it.
        Watch = "/watch",
        /// Any other path, or none. It is not named anywhere: it may be a part of a signed URL.
        Other = "(other)",
    }
}

impl RouteName {
    /// Returns the route of a request target.
    pub fn of(target: &str) -> RouteName {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let named = RouteName::ALL.iter().find(|route| route.as_str() == path);
        named.copied().unwrap_or(RouteName::Other)
    }

    /// Whether it tells the health of the server.
    pub fn is_health_check(self) -> bool {
        matches!(self, RouteName::Healthz | RouteName::Readyz)
    }

    /// Whether programs request it again and again to watch the server.
    pub fn is_monitoring(self) -> bool {
        self.is_health_check() || self == RouteName::Metrics
    }
}

label! {
    /// What made the file of a download, as Server-Timing names it.
    EngineName {
        /// One file as it is.
        Pass = "pass",
        /// The layout of the joined file, computed beforehand.
        Splice = "splice",
        /// ffmpeg.
        Ffmpeg = "ffmpeg",
        /// Subtitles alone.
        Text = "text",
        /// Several files in an archive.
        Archive = "archive",
    }
}

impl EngineName {
    /// Returns the engine that Server-Timing describes: its name, and perhaps a reason behind it.
    pub fn of(description: &str) -> Option<EngineName> {
        let name = description.split(' ').next().unwrap_or_default();
        EngineName::ALL.iter().copied().find(|engine| engine.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_the_route_of_its_path() {
        assert_eq!(RouteName::of("/mux?video=/info"), RouteName::Mux);
        assert_eq!(RouteName::of("/?url=x"), RouteName::Page);
        for other in ["/mux/", "(other)", "", "//mux", "/Mux", "/http://a/mux"] {
            assert_eq!(RouteName::of(other), RouteName::Other, "{other}");
        }
    }

    #[test]
    fn an_engine_may_have_a_reason() {
        assert_eq!(EngineName::of("ffmpeg (took too long)"), Some(EngineName::Ffmpeg));
        assert_eq!(EngineName::of("splice"), Some(EngineName::Splice));
        assert_eq!(EngineName::of("splicer"), None);
    }
}
