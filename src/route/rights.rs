//! What a client needs to be let in to a route. Pure.

use url::Url;

use super::{MediaSource, Route};
use crate::access::Need;
use crate::access::tokens::Permission;

impl Route {
    /// Returns whether the server has to ask others for the response, or signs for the client.
    pub fn is_costly(&self) -> bool {
        matches!(
            self,
            Route::Download { .. }
                | Route::Archive(_)
                | Route::Info { .. }
                | Route::Thumbnail(_)
                | Route::Sign { .. }
        )
    }

    /// Returns what a client needs to be let in.
    pub fn need(&self) -> Need {
        match self {
            Route::Page(_) | Route::OpenApi => Need::Entry,
            Route::Manifest | Route::Icon | Route::Player => Need::Nothing,
            Route::Healthz | Route::Readyz => Need::Nothing,
            Route::Login(_) | Route::Logout => Need::Nothing,
            // Nobody vouches for what is not allowed to themselves.
            Route::Sign { route, .. } => route.need(),
            Route::Download { source: MediaSource::Urls(_), .. } => {
                Need::Permission(Permission::Mux)
            }
            Route::Download { source: MediaSource::Page { .. }, .. } | Route::Archive(_) => {
                Need::Permission(Permission::Download)
            }
            Route::Info { .. } | Route::Thumbnail(_) => Need::Permission(Permission::Info),
            Route::Metrics => Need::Permission(Permission::Metrics),
        }
    }

    /// Returns the hosts of the links that the server is asked to follow.
    pub fn hosts(&self) -> Vec<&str> {
        match self {
            Route::Download { source: MediaSource::Urls(media), .. } => {
                media.tracks.iter().filter_map(|track| track.location.url.host_str()).collect()
            }
            Route::Download { source: MediaSource::Page { page_url, .. }, .. }
            | Route::Info { page_url, .. }
            | Route::Thumbnail(page_url) => page_url.host_str().into_iter().collect(),
            Route::Archive(archive) => archive.links.iter().filter_map(Url::host_str).collect(),
            Route::Sign { route, .. } => route.hosts(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::route;
    use super::*;

    #[test]
    fn each_route_names_its_need_and_the_hosts_of_its_links() {
        use Need::{Entry, Nothing, Permission as May};
        let link = "url=https%3A%2F%2FWww.Site.example%2Fv";
        for (target, need, hosts) in [
            ("/", Entry, &[][..]),
            ("/watch?v=abcdefghijk", Entry, &[]),
            ("/openapi.json", Entry, &[]),
            ("/healthz", Nothing, &[]),
            ("/readyz", Nothing, &[]),
            ("/icon.svg", Nothing, &[]),
            ("/player.js", Nothing, &[]),
            ("/manifest.webmanifest", Nothing, &[]),
            ("/metrics", May(Permission::Metrics), &[]),
            (&format!("/download?{link}"), May(Permission::Download), &["www.site.example"]),
            (
                &format!("/download?{link}&url=b.example/&as=tar"),
                May(Permission::Download),
                &["www.site.example", "b.example"],
            ),
            (&format!("/info?{link}"), May(Permission::Info), &["www.site.example"]),
            (&format!("/thumbnail?{link}"), May(Permission::Info), &["www.site.example"]),
            ("/mux?video=http://a/&audio=http://B:1/", May(Permission::Mux), &["a", "b"]),
            ("/sign?target=/mux?video=http://a/", May(Permission::Mux), &["a"]),
            ("/login", Nothing, &[]),
            ("/logout", Nothing, &[]),
        ] {
            let route = route(target).unwrap();
            assert_eq!((route.need(), &route.hosts()[..]), (need, hosts), "{target}");
        }
    }
}
