//! What the page looks like in each of its states, on a phone and on a desk, by day and by night:
//! pictures of it are kept, nothing is cut off, and axe-core finds nothing in anyone's way.

use super::site::Site;
use super::{Chromium, View};

const VIEWS: [View; 5] = [
    View { name: "desk", size: (1280, 800), phone: false, dark: false },
    View { name: "desk-dark", size: (1280, 800), phone: false, dark: true },
    View { name: "phone", size: (360, 740), phone: true, dark: false },
    View { name: "phone-dark", size: (360, 740), phone: true, dark: true },
    View { name: "small", size: (320, 568), phone: true, dark: false },
];

#[test]
fn it_suits_everyone_in_every_state() {
    let site = Site::start(|resource| resource);
    let mut chromium = site.open();
    look(&mut chromium, "empty");
    chromium.paste("#url", &site.page_url("slow"));
    chromium.until("!document.querySelector('#waiting').hidden");
    look(&mut chromium, "loading");
    super::find(&mut chromium, &site.page_url("film"));
    chromium.until("document.querySelector('#picture').complete");
    look(&mut chromium, "result");
    chromium.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
    chromium.evaluate("document.querySelector('#end').focus()");
    chromium.write("1:75");
    look(&mut chromium, "open");
    chromium.paste("#url", &site.page_url("private"));
    chromium.until("document.querySelector('#problem').textContent");
    look(&mut chromium, "error");
    chromium.scripts(false);
    chromium.open(&site.daemon.url("/"));
    // axe-core is a script, too; the page's own is not run any more.
    chromium.scripts(true);
    look(&mut chromium, "plain");
    site.assert_clean(&mut chromium);
}

/// Looks at this state in every view.
pub(super) fn look(chromium: &mut Chromium, state: &str) {
    for view in VIEWS {
        chromium.view(view);
        let what = format!("{state} on {}", view.name);
        let page = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]";
        let page = chromium.evaluate(page);
        assert_eq!(page[0], page[1], "{what}: it must be scrolled sideways");
        chromium.screenshot(&format!("page-{}-{state}", view.name));
        // Either colour scheme and either width once is enough for this.
        if view.phone != view.dark {
            continue;
        }
        // axe-core cannot tell what a text over a gradient stands on; it gets the gradient's end
        // that is nearer to the ink.
        chromium.evaluate("document.body.style.background = 'var(--glow)'");
        let barriers = chromium.barriers();
        assert!(barriers.is_empty(), "{what}: {barriers:#?}");
        chromium.evaluate("document.body.style.background = ''");
    }
}
