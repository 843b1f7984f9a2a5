//! Pages of strangers in a real browser: what they make it request of the daemon, and what the daemon's own
//! page still may.

use serde_json::json;

use crate::support::chromium::Chromium;
use crate::support::client::{any_path, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::raw_server::Blurter;
use crate::support::resource::Resource;

/// Names in a DNS of the test: of the attacker, one that he leads to the daemon, and that of the daemon.
const NAMES: &str = "--host-resolver-rules=MAP *.example 127.0.0.1, MAP nas.lan 127.0.0.1";

/// A page of the attacker.
const PAGE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<!doctype html>";

/// Has a browser request a URL in every way that needs no user.
const ATTACK: &str = "(async (target) => {
    const ended = (element) => new Promise((done) => element.onload = element.onerror = done);
    const image = new Image();
    image.src = target;
    const script = Object.assign(document.createElement('script'), { src: target });
    const video = Object.assign(document.createElement('video'), { src: target });
    const frame = Object.assign(document.createElement('iframe'), { name: 'inside' });
    const form = Object.assign(document.createElement('form'), { action: target, target: 'inside' });
    for (const [name, value] of new URL(target).searchParams)
        form.append(Object.assign(document.createElement('input'), { name, value }));
    document.body.append(script, video, frame, form);
    const framed = ended(frame);
    form.submit();
    const read = (mode) => fetch(target, { mode }).then((answer) => answer.type, () => 'refused');
    const all = [ended(image), ended(script), framed, read('no-cors'), read('cors')];
    return (await Promise.all(all)).slice(3);
})";

/// How many pages the daemon's page has asked for.
const LOOK_UPS: &str =
    "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/info?')).length";

#[test]
fn a_page_of_a_stranger_starts_nothing() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let page = Blurter::start(PAGE.as_bytes());
    let film = origin.put("film", Resource::file(&media::minute().video));
    let mux = mux_path(Some(&film), None, &[]);
    let port = daemon.address().port();
    let mut chromium = Chromium::start_with(&[NAMES]);
    // To an address of loopback, browsers say where a request comes from; to the other name they do not.
    for server in [format!("http://127.0.0.1:{port}"), format!("http://nas.lan:{port}")] {
        // The browser has the cookie of the page.
        chromium.open(&server);
        let evil = format!("http://evil.example:{}/", page.address().port());
        chromium.open(&evil);
        let read = chromium.evaluate(&format!("{ATTACK}({})", json!(format!("{server}{mux}"))));
        assert_eq!(read[1], "refused", "{server}: {read}");
        // A link that is followed leads to the page, where the user decides.
        chromium.evaluate(&format!("void (location.href = {})", json!(format!("{server}{mux}"))));
        chromium.event("Page.frameNavigated", |event| {
            event["frame"]["url"]
                .as_str()
                .is_some_and(|url| url.starts_with(&format!("{server}/?")))
        });
        chromium.until("document.readyState === 'complete'");
        let filled = chromium.evaluate("document.forms[1].video.value");
        assert_eq!(filled, film, "{server}");
        // Nor does the page look up what it brings, before the user says so.
        let link = "url=http%3A%2F%2F127.0.0.1%3A9%2Ffilm&quality=480&start=5";
        for path in ["download", ""] {
            chromium.open(&evil);
            let to = json!(format!("{server}/{path}?{link}"));
            chromium.evaluate(&format!("void (location.href = {to})"));
            chromium.event("Page.frameNavigated", |event| {
                event["frame"]["url"].as_str() == Some(&format!("{server}/?{link}"))
            });
            chromium.until("document.readyState === 'complete'");
            assert!(chromium.text("#status").contains("Another website"), "{server}/{path}");
            assert_eq!(chromium.evaluate("document.forms[0].start.value"), "5");
            assert_eq!(chromium.evaluate(LOOK_UPS), 0);
        }
        chromium.click("#go");
        chromium.until(&format!("{LOOK_UPS} === 1"));
        // What the user opened is looked up at once, and what the page's own bookmark brings.
        let mark = chromium.evaluate("localStorage.mark");
        chromium.open(&evil);
        let to = format!("{server}/?{link}#{}", mark.as_str().unwrap());
        chromium.evaluate(&format!("void (location.href = {})", json!(to)));
        chromium.event("Page.frameNavigated", |event| {
            event["frame"]["url"].as_str() == Some(&format!("{server}/?{link}"))
        });
        chromium.until(&format!("{LOOK_UPS} === 1"));
        chromium.open(&format!("{server}/?{link}"));
        chromium.until(&format!("{LOOK_UPS} === 1"));
    }
    assert_eq!(daemon.metric("ytcanal_streams_total"), 0.0);
    let asked: Vec<_> = origin.requests().iter().map(|request| request.path.clone()).collect();
    assert!(!asked.contains(&"/film".to_owned()), "{asked:?}");

    // The own page may; with its cookie, or by what the browser says.
    let pair = media::minute();
    let [video, audio] = [("v", &pair.video), ("a", &pair.audio)]
        .map(|(name, file)| origin.put(name, Resource::file(file).ranges().etag("\"film\"")));
    let spliced = any_path(Some(&video), Some(&audio), &[]);
    for server in [format!("http://127.0.0.1:{port}"), format!("http://nas.lan:{port}")] {
        chromium.open(&server);
        let loaded = chromium.evaluate(&format!(
            "new Promise((done) => {{
                const player = document.querySelector('#player');
                player.onloadedmetadata = () => done(player.duration);
                player.onerror = () => done(player.error.message);
                player.src = {};
            }})",
            json!(format!("{server}{spliced}"))
        ));
        assert!(loaded.as_f64().is_some_and(|duration| duration > 59.0), "{server}: {loaded}");
    }
}

/// The attacker's name leads to the daemon: for the browser, both are one website.
#[test]
fn a_name_that_is_led_here_is_refused() {
    let daemon = Daemon::start(LOOPBACK);
    let mut chromium = Chromium::start_with(&[NAMES]);
    let rebound = format!("http://rebound.example:{}/", daemon.address().port());
    // A page of the attacker's would forbid itself nothing.
    chromium.page("Page.setBypassCSP", &json!({"enabled": true}));
    chromium.open(&rebound);
    assert!(chromium.text("body").contains("access.hosts"));
    let statuses = chromium.evaluate(
        "Promise.all(['/', '/metrics', '/healthz', '/mux?video=http://a.example/'].map(\
         path => fetch(path).then(answer => answer.status)))",
    );
    assert_eq!(statuses, json!([421, 421, 421, 421]));
}
