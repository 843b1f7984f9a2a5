//! Reads the configuration again, and applies what can change while requests are served.
//!
//! **Invariant:** an invalid configuration changes nothing. Downloads that run are not touched.

use std::error::Error;

use crate::app::App;
use crate::config::ConfigFile;
use crate::http_server::HttpServer;
use crate::text::one_line;

/// The keys that take effect at once; all others do at the next start.
const APPLIED: &[&str] = &[
    "access.mode",
    "access.hosts",
    "access.local",
    "access.trusted_proxies",
    "access.forwarded",
    "limits.requests_per_minute",
    "limits.pages_per_hour",
    "limits.ingress_per_hour",
    "upstream.allow",
    "upstream.deny",
    "upstream.ports",
    "upstream.ca_file",
    "log.level",
];
/// Length of a message about an invalid file.
const MAX_MESSAGE: usize = 500;

/// The configuration in effect, by its keys.
pub(super) struct Reloader {
    current: Option<ConfigFile>,
}

impl Reloader {
    /// `current` is the file that the server was started with, if there is one.
    pub(super) fn new(current: Option<ConfigFile>) -> Reloader {
        Reloader { current }
    }

    /// Reloads the configuration, and says in the log what came of it; `false` if it is invalid.
    pub(super) fn reload(&mut self, app: &App, http_server: &HttpServer<'_>) -> bool {
        match self.try_reload(app, http_server) {
            Ok(()) => true,
            Err(error) => {
                let error = one_line(&error.to_string(), MAX_MESSAGE);
                log::error!("cannot reload the configuration, which stays as it was: {error}");
                false
            }
        }
    }

    fn try_reload(
        &mut self,
        app: &App,
        http_server: &HttpServer<'_>,
    ) -> Result<(), Box<dyn Error>> {
        let Some(current) = &mut self.current else {
            app.reload(&app.config)?;
            log::info!("configuration reloaded; it has no file");
            return Ok(());
        };
        let (newer, _) = current.reread()?;
        let (applied, deferred): (Vec<_>, Vec<_>) = current
            .changed_keys(&newer)
            .into_iter()
            .partition(|key| APPLIED.contains(&key.as_str()));
        let combined = current.with(APPLIED, &newer);
        // Files that it names may have changed although it has not.
        let config = combined.config()?;
        app.reload(&config)?;
        http_server.reload(&config.access);
        *current = combined;
        match applied.as_slice() {
            [] => log::info!("configuration reloaded"),
            keys => log::info!("configuration reloaded: {} changed", keys.join(", ")),
        }
        if !deferred.is_empty() {
            log::warn!("changes that take effect at the next start: {}", deferred.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_such_keys() {
        let shipped = include_str!("../../config/ytcanal.toml");
        for key in APPLIED {
            let (section, key) = key.split_once('.').unwrap();
            let (_, rest) = shipped.split_once(&format!("\n[{section}]\n")).unwrap();
            let section = rest.split("\n[").next().unwrap();
            assert!(section.contains(&format!("\n#{key} = ")), "{key}");
        }
    }
}
