//! What a person does with a page in Chromium, with real keys and a real pointer; and what they
//! would like to know of it: whom it asks, what it complains of, whom it shuts out.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Chromium;

/// The window, and what is preferred in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) size: (u32, u32),
    pub(crate) phone: bool,
    pub(crate) dark: bool,
}

impl Chromium {
    /// From now on it is written down whom the page asks and what it complains of.
    pub(crate) fn observe(&mut self) {
        for domain in ["Network", "Log", "Runtime"] {
            self.page(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Looks at the page in this way.
    pub(crate) fn view(&mut self, view: View) {
        let (width, height) = view.size;
        self.page(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": view.phone}),
        );
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.page("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Whether scripts of pages run; the tests' own always do.
    pub(crate) fn scripts(&mut self, run: bool) {
        self.page("Emulation.setScriptExecutionDisabled", &json!({"value": !run}));
    }

    /// Waits until this is true in the page; it is looked at whenever a picture is painted.
    pub(crate) fn until(&mut self, condition: &str) {
        let look =
            "done => (function look() { (CONDITION) ? done() : requestAnimationFrame(look) })()";
        self.evaluate(&format!("new Promise({})", look.replace("CONDITION", condition)));
    }

    /// What can be read in the first element that this selector means.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let found = self.evaluate(&format!("{}.innerText.trim()", element(selector)));
        found.as_str().unwrap().to_owned()
    }

    /// Clicks in the middle of an element, wherever it is, as a person would.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(e => {{ e.scrollIntoView({{ block: 'center' }}); const b = e.getBoundingClientRect(); \
             return [b.x + b.width / 2, b.y + b.height / 2] }})({})",
            element(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.page("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses a key: `Tab`, `Enter`, `ArrowRight`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowRight" => (39, ""),
            other => panic!("no code for the key {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                "text": if kind == "keyDown" { text } else { "" },
            });
            self.page("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.page("Input.insertText", &json!({"text": text}));
    }

    /// Pastes a text over what is in a field.
    pub(crate) fn paste(&mut self, selector: &str, text: &str) {
        let copy = format!(
            "(() => {{ const area = document.createElement('textarea'); area.value = {}; \
             document.body.append(area); area.select(); \
             const copied = document.execCommand('copy'); area.remove(); return copied }})()",
            json!(text)
        );
        let params = json!({"expression": copy, "userGesture": true, "returnByValue": true});
        let copied = self.page("Runtime.evaluate", &params);
        assert_eq!(copied["result"]["value"], true, "cannot copy {text:?}");
        self.evaluate(&format!("{0}.focus(), {0}.select()", element(selector)));
        let event =
            json!({"type": "rawKeyDown", "commands": ["paste"], "key": "v", "modifiers": 2});
        self.page("Input.dispatchKeyEvent", &event);
    }

    /// The hosts with their ports that the page has asked for anything.
    pub(crate) fn asked(&mut self) -> BTreeSet<String> {
        let urls = self
            .happened("Network.requestWillBeSent")
            .map(|event| url::Url::parse(event["request"]["url"].as_str().unwrap()).unwrap());
        // What has no host (data: in the browser's own buttons) asks nobody.
        urls.filter(url::Url::has_host).map(|url| url.authority().to_owned()).collect()
    }

    /// Errors on its console, of the page and of the browser about it. That an answer was an error
    /// is none, for that is what some tests are about.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        let mut complaints: Vec<String> = self
            .happened("Log.entryAdded")
            .map(|event| &event["entry"])
            .filter(|entry| entry["level"] != "verbose" && entry["source"] != "network")
            .map(Value::to_string)
            .collect();
        complaints.extend(self.happened("Runtime.exceptionThrown").map(Value::to_string));
        complaints.extend(self.happened("Runtime.consoleAPICalled").map(Value::to_string));
        complaints
    }

    /// What axe-core finds to be in somebody's way, by the rules of WCAG 2.2 AA and its own best
    /// practices.
    pub(crate) fn barriers(&mut self) -> Vec<String> {
        if self.evaluate("!window.axe") == true {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .with_file_name("axe/node_modules/axe-core/axe.min.js");
            let axe = std::fs::read_to_string(&file).unwrap_or_else(|error| {
                panic!("cannot read {}: {error}; `make tools-test` brings it", file.display())
            });
            // What is evaluated from here is not under the page's policy.
            self.evaluate(&format!("{axe};0"));
        }
        let found = self.evaluate(
            "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(\
             rule => `${rule.id}: ${rule.help}: ${rule.nodes.map(node => node.html).join(' ')}`))",
        );
        found.as_array().unwrap().iter().map(Value::to_string).collect()
    }

    /// Events of a kind that nobody has asked for yet, up to now.
    fn happened(&mut self, method: &str) -> impl Iterator<Item = &Value> {
        // The answer to this comes behind all events before it.
        self.evaluate("0");
        self.events
            .iter()
            .filter(move |event| event["method"] == method)
            .map(|event| &event["params"])
    }
}

fn element(selector: &str) -> String {
    format!("document.querySelector({})", json!(selector))
}
