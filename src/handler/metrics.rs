//! All metrics of the server. A new one is a line here; docs/operations.md lists them, and the test `observability` holds
//! the two together.

use crate::app::App;
use crate::http_server::HttpServer;
use crate::instruments::Label;
use crate::limits::StreamLimiter;
use crate::metrics::{Exposition, Kind, Streams, write_process};

/// Returns the text of all metrics.
pub(super) fn metrics(app: &App, http_server: &HttpServer<'_>) -> String {
    let mut text = Exposition::default();
    text.family(
        Kind::Gauge,
        "ytcanal_build_info",
        "Always 1; the version of the server is a label.",
    );
    text.sample("ytcanal_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    write_streams(&mut text, app);
    write_requests(&mut text, app, http_server);
    write_traffic(&mut text, app, http_server);
    write_pages(&mut text, app);
    write_limits(&mut text, app, http_server);
    write_process(&mut text, app.metrics.start_time);
    text.finish()
}

fn write_streams(text: &mut Exposition, app: &App) {
    let Streams { begun, ended, in_progress } = app.metrics.streams();
    let name = "ytcanal_streams_total";
    text.one(
        Kind::Counter,
        name,
        "Downloads that began, those included that a limit refused.",
        begun as f64,
    );
    let name = "ytcanal_streams_ended_total";
    text.family(
        Kind::Counter,
        name,
        "Downloads that ended, by result: complete or a problem code.",
    );
    for (result, count) in ended {
        text.sample(name, &[("result", result.as_str())], count as f64);
    }
    let name = "ytcanal_streams_in_progress";
    text.one(Kind::Gauge, name, "Downloads that began and have not ended.", in_progress as f64);
    let streams = &app.stream_limiter;
    let name = "ytcanal_streams_active";
    text.one(
        Kind::Gauge,
        name,
        "Slots of limits.streams that downloads have.",
        streams.in_use() as f64,
    );
    let name = "ytcanal_streams_waiting";
    text.one(Kind::Gauge, name, "Downloads that wait for such a slot.", streams.waiting() as f64);
    let name = ("ytcanal_first_byte_seconds", "engine");
    let help = "Time from the request to the first byte of the file, by what makes the file.";
    text.histograms(name, help, app.metrics.first_byte.iter());
}

fn write_requests(text: &mut Exposition, app: &App, http_server: &HttpServer<'_>) {
    let name = "ytcanal_requests_total";
    text.family(Kind::Counter, name, "Requests that were answered, by route and status.");
    for (route, status, count) in http_server.requests().iter() {
        text.sample(
            name,
            &[("route", route.as_str()), ("code", &status.to_string())],
            count as f64,
        );
    }
    let connections = http_server.connection_limiter().in_use();
    text.one(
        Kind::Gauge,
        "ytcanal_connections_active",
        "Open connections of clients.",
        connections as f64,
    );
    let lookups = app.lookup_limiter.in_use();
    let name = "ytcanal_lookups_active";
    text.one(Kind::Gauge, name, "Active look-ups of pages and thumbnails.", lookups as f64);
    let name = "ytcanal_login_failures_total";
    let failures = app.metrics.login_failures.get();
    text.one(Kind::Counter, name, "Wrong credentials that clients have shown.", failures as f64);
}

fn write_traffic(text: &mut Exposition, app: &App, http_server: &HttpServer<'_>) {
    let upstream = &app.upstream;
    for (name, help, value) in [
        ("ytcanal_sent_bytes_total", "Bytes sent to clients.", http_server.bytes_sent()),
        (
            "ytcanal_zero_copy_bytes_total",
            "Bytes sent to clients by splice(2), without a copy.",
            http_server.zero_copy_bytes(),
        ),
        (
            "ytcanal_fetched_bytes_total",
            "Bytes received from upstreams, without those of page readings.",
            upstream.bytes_received(),
        ),
        (
            "ytcanal_upstream_retries_total",
            "Requests to upstreams that were retried after a failure.",
            upstream.retries_made(),
        ),
    ] {
        text.one(Kind::Counter, name, help, value as f64);
    }
    let help =
        "Connections and page links refused because of their address, for media or for a page.";
    text.counters(
        ("ytcanal_address_refusals_total", "purpose"),
        help,
        upstream.dialer().refusals(),
    );
}

fn write_pages(text: &mut Exposition, app: &App) {
    if let Some(version) = app.resolver.version() {
        let name = "ytcanal_resolver_version_info";
        text.family(Kind::Gauge, name, "The yt-dlp that reads page links, by its version.");
        text.sample(name, &[("version", &version.to_string())], 1.0);
        if let Some(released) = version.timestamp() {
            let name = "ytcanal_resolver_release_timestamp_seconds";
            let help = "When this version of yt-dlp was released.";
            text.one(Kind::Gauge, name, help, released as f64);
        }
    }
    let readings = app.resolver.readings();
    let name = "ytcanal_pages_read_total";
    text.family(Kind::Counter, name, "Page links that yt-dlp has read, by result.");
    for (result, readings) in readings.iter() {
        text.sample(name, &[("result", result.as_str())], readings.count() as f64);
    }
    let help = "Time that it took to read a page, by result.";
    text.histograms(("ytcanal_page_read_seconds", "result"), help, readings.iter());
    let name = "ytcanal_cache_lookups_total";
    text.family(Kind::Counter, name, "Looks into caches, by what was found.");
    for (cache, lookups) in [
        ("pages", app.resolver.lookups()),
        ("lists", app.resolver.list_lookups()),
        ("playlists", app.playlist_loader.lookups()),
        ("plans", app.plan_cache.lookups()),
        ("archives", app.planned_archives.lookups()),
        ("subtitles", app.subtitle_cache.lookups()),
        ("covers", app.covers.lookups()),
    ] {
        for (found, count) in lookups.iter() {
            text.sample(name, &[("cache", cache), ("result", found.as_str())], count as f64);
        }
    }
}

/// A number that a limiter tells.
type Reading = fn(&StreamLimiter) -> usize;

/// Limits, beside what of them is in use.
fn write_limits(text: &mut Exposition, app: &App, http_server: &HttpServer<'_>) {
    let limiters = [
        ("connections", http_server.connection_limiter()),
        ("streams", &app.stream_limiter),
        ("lookups", &app.lookup_limiter),
        ("muxers", &app.ffmpeg_limiter),
        ("encoders", &app.encoder_limiter),
        ("pages", app.resolver.limiter()),
    ];
    let readings: [(&str, &str, Reading); 3] = [
        ("ytcanal_slots", "Slots of each limit.", StreamLimiter::total),
        ("ytcanal_slots_used", "Slots that are in use.", StreamLimiter::in_use),
        ("ytcanal_slots_waiting", "Requests that wait for a slot.", StreamLimiter::waiting),
    ];
    for (name, help, reading) in readings {
        text.family(Kind::Gauge, name, help);
        for (limit, limiter) in limiters {
            text.sample(name, &[("limit", limit)], reading(limiter) as f64);
        }
    }
    let (budget, segments) = (&app.memory_budget, &app.segment_limiter);
    // Its slots are of this size.
    let segment_bytes = |slots: usize| slots as f64 * f64::from(1 << 20);
    for (name, help, of_indexes, of_segments) in [
        (
            "ytcanal_memory_limit_bytes",
            "Memory that each use may take.",
            budget.limit(),
            segments.total(),
        ),
        (
            "ytcanal_memory_used_bytes",
            "Memory that is reserved.",
            budget.reserved(),
            segments.in_use(),
        ),
    ] {
        text.family(Kind::Gauge, name, help);
        text.sample(name, &[("use", "indexes")], of_indexes as f64);
        text.sample(name, &[("use", "segments")], segment_bytes(of_segments));
    }
}
