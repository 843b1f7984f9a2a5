//! yt-dlp that hangs, dies, floods or is not there: an answer in time, and nothing left behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::answer::Ending;
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask};
use crate::support::daemon::{Daemon, LOOPBACK, script};
use crate::support::process_snapshot::{descendants, process};
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, sizes};
use crate::support::{PATIENCE, eventually, signal};

fn are_gone(pids: &BTreeSet<u32>) {
    eventually("they are gone", PATIENCE, || {
        pids.iter().all(|pid| process(*pid).is_none()).then_some(())
    });
}

/// Asks for the film of the site, so that whatever stays has come. On a busy machine that may take
/// longer than a test wants to wait for a page.
fn warm_up(daemon: &Daemon, site: &Site) {
    let path = download_path(&site.page_url(FILM), &[]);
    eventually("a page is read", PATIENCE, || {
        let status = ask(daemon.address(), "HEAD", &path, "").head.status;
        assert!([200, 504].contains(&status), "{status}");
        (status == 200).then_some(())
    });
}

/// Waits until no page is being read; says the daemon's descendants, which are those that stay.
fn at_rest(daemon: &Daemon) -> BTreeSet<u32> {
    eventually("no page is being read", PATIENCE, || {
        let own: BTreeSet<u32> = daemon.children().iter().map(|child| child.pid).collect();
        (descendants(daemon.pid()) == own).then_some(own)
    })
}

/// The one child of the daemon: yt-dlp that is kept loaded.
fn fork_server(daemon: &Daemon) -> u32 {
    let children = daemon.children();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0].pid
}

#[test]
fn what_hangs_is_ended_at_the_deadline_with_all_its_children() {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || hang_until_the_deadline(way));
        }
    });
}

/// What the descriptors of a process are, if it is still there.
fn open_files(pid: u32) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
}

fn hang_until_the_deadline(way: &str) {
    let site = Site::start();
    let daemon = ytdlp::daemon(&format!("{way}timeout = \"10s\""));
    warm_up(&daemon, &site);
    let (staying, baseline) = (at_rest(&daemon), daemon.baseline());
    let clients = ["hang", "hang-with-child"].map(|id| {
        let client = Client::get(daemon.address(), &download_path(&site.page_url(id), &[]));
        (id, client)
    });
    // One hangs alone, the other one waits for its child. They cannot write to the log, once they have begun.
    let log = std::fs::read_link(format!("/proc/{}/fd/2", daemon.pid())).unwrap();
    let hanging = eventually("they hang without the log", PATIENCE, || {
        let all = descendants(daemon.pid());
        let new: BTreeSet<u32> = all.difference(&staying).copied().collect();
        let lack_log = new.iter().all(|pid| {
            let open = open_files(*pid);
            !open.is_empty() && !open.contains(&log)
        });
        (new.len() == 3 && lack_log).then_some(new)
    });
    for (id, mut client) in clients {
        let answer = client.answer();
        let found = (answer.head.status, answer.code());
        assert_eq!(found, (504, "resolve-timeout".into()), "{id}, {way}");
    }
    are_gone(&hanging);
    daemon.settles(&baseline, PATIENCE);
    assert_eq!(at_rest(&daemon), staying);
    warm_up(&daemon, &site);
}

#[test]
fn a_client_that_leaves_takes_it_along() {
    for way in WAYS {
        let (site, daemon) = (Site::start(), ytdlp::daemon(&format!("{way}timeout = \"10m\"")));
        warm_up(&daemon, &site);
        let (staying, baseline) = (at_rest(&daemon), daemon.baseline());
        let client =
            Client::get(daemon.address(), &download_path(&site.page_url("hang-with-child"), &[]));
        // Those that nobody would wait for go to another parent, and have to be looked for.
        let hanging = eventually("it hangs", PATIENCE, || {
            let all = descendants(daemon.pid());
            (all.len() == staying.len() + 2).then_some(all.difference(&staying).copied().collect())
        });
        drop(client);
        are_gone(&hanging);
        daemon.settles(&baseline, PATIENCE);
        assert_eq!(at_rest(&daemon), staying);
    }
}

#[test]
fn a_flood_is_not_listened_to() {
    for way in WAYS {
        let (site, daemon) = (Site::start(), ytdlp::daemon(way));
        warm_up(&daemon, &site);
        let baseline = daemon.baseline();
        let answer = daemon.get(&download_path(&site.page_url("flood"), &[]));
        assert!([500, 502].contains(&answer.head.status), "{way}: {}", answer.text());
        answer.problem();
        daemon.settles(&baseline, PATIENCE);
        let peak = crate::support::process_snapshot::memory(daemon.pid(), "VmHWM");
        assert!(peak < 200 << 20, "{way}: {} MB", peak >> 20);
    }
}

/// Stand-ins that do not speak its interface, or badly.
#[test]
fn a_command_that_is_not_yt_dlp() {
    let directory = tempfile::tempdir().unwrap();
    let said = |body: &str| script(directory.path(), body);
    let missing = directory.path().join("nothing");
    let unusable = directory.path().join("text");
    std::fs::write(&unusable, "no program").unwrap();
    type Row<'a> = (&'a str, &'a dyn Fn() -> std::path::PathBuf, u16, &'a str);
    let table: [Row<'_>; 9] = [
        ("missing", &|| missing.clone(), 500, "resolver-missing"),
        ("unusable", &|| unusable.clone(), 500, "resolver-failed"),
        ("silent", &|| said("exit 0"), 502, "extractor-broken"),
        ("silent failure", &|| said("exit 1"), 500, "resolver-failed"),
        (
            "usage",
            &|| said("echo 'error: no such option: --ies' >&2; exit 2"),
            500,
            "resolver-failed",
        ),
        ("no JSON", &|| said("echo hello"), 502, "extractor-broken"),
        ("half", &|| said("echo '{\"id\": '"), 502, "extractor-broken"),
        ("hangs", &|| said("exec >&- 2>&-; sleep 3602"), 504, "resolve-timeout"),
        ("killed", &|| said("kill -9 $$"), 500, "resolver-failed"),
    ];
    for (what, command, status, code) in table {
        let (command, timeout) = (command(), if what == "hangs" { "1s" } else { "30s" });
        let resolver = format!("[resolver]\ncommand = {command:?}\ntimeout = {timeout:?}\n");
        let daemon = Daemon::start(&format!("{LOOPBACK}{resolver}"));
        let baseline = daemon.baseline();
        let answer = daemon.get(&download_path("http://127.0.0.1:1/film", &[]));
        let found = (answer.head.status, answer.code());
        assert_eq!(found, (status, code.into()), "{what}: {}", answer.text());
        answer.problem();
        daemon.settles(&baseline, PATIENCE);
    }
}

#[test]
fn a_fork_server_that_is_killed_is_not_missed() {
    let (site, daemon, gate) = (Site::start(), ytdlp::daemon(""), Gate::default());
    warm_up(&daemon, &site);
    signal(fork_server(&daemon), "KILL");
    site.put_film("next");
    let answer = daemon.get(&download_path(&site.page_url("next"), &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    // In the middle of a page as well: nobody knows what became of that, so it is read again.
    let daemon = ytdlp::daemon("");
    warm_up(&daemon, &site);
    let page = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    site.put_at_page("held", Resource::bytes(page).gate(1, &gate));
    site.put_film_media("held");
    let mut client = Client::get(daemon.address(), &download_path(&site.page_url("held"), &[]));
    gate.reached();
    let server = fork_server(&daemon);
    let orphans = descendants(server);
    assert_eq!(orphans.len(), 1);
    signal(server, "KILL");
    are_gone(&orphans);
    gate.open();
    let answer = client.answer();
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
}

/// What is installed anew is what runs, at once; what is running ends in peace.
#[test]
fn a_new_yt_dlp_takes_over() {
    let (site, gate) = (Site::start(), Gate::default());
    // A command of its own, for others run the same yt-dlp.
    let directory = tempfile::tempdir().unwrap();
    let (shared, own) = (ytdlp::command(), directory.path().join("yt-dlp"));
    std::fs::copy(&shared, &own).unwrap();
    let config = ytdlp::config(&[], "");
    let daemon = Daemon::start(&config.replace(&format!("{shared:?}"), &format!("{own:?}")));
    warm_up(&daemon, &site);
    let server = fork_server(&daemon);
    let page = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    site.put_at_page("held", Resource::bytes(page).gate(1, &gate));
    site.put_film_media("held");
    let mut held = Client::get(daemon.address(), &download_path(&site.page_url("held"), &[]));
    gate.reached();
    std::fs::File::open(&own).unwrap().set_modified(now()).unwrap();
    site.put_film("next");
    let answer = daemon.get(&download_path(&site.page_url("next"), &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    // It is the same process, which has begun anew.
    assert_eq!(fork_server(&daemon), server);
    let environment = std::fs::read(format!("/proc/{server}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("YTCANAL_CHILDREN"));
    // It and what it forks are killed before ffmpeg if memory runs out.
    let score = std::fs::read_to_string(format!("/proc/{server}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
    gate.open();
    let answer = held.answer();
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
}

#[expect(clippy::disallowed_methods, reason = "files bear the time of day")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn nothing_outlives_the_daemon() {
    for (way, name) in WAYS.iter().flat_map(|way| [(way, "KILL"), (way, "TERM")]) {
        let site = Site::start();
        let config = format!("[limits]\ndrain_timeout = \"100ms\"\n{}", ytdlp::config(&[], way));
        let mut daemon = Daemon::start(&config);
        warm_up(&daemon, &site);
        let staying = at_rest(&daemon).len();
        let _client = Client::get(daemon.address(), &download_path(&site.page_url("hang"), &[]));
        eventually("it hangs", PATIENCE, || {
            (descendants(daemon.pid()).len() == staying + 1).then_some(())
        });
        let all = descendants(daemon.pid());
        signal(daemon.pid(), name);
        daemon.exit(PATIENCE);
        are_gone(&all);
    }
}

/// One page at a time, if the operator wants it so: the next one waits for its turn.
#[test]
fn pages_have_their_turn() {
    let (site, gate) = (Site::start(), Gate::default());
    let daemon = ytdlp::daemon("processes = 1");
    let page = json!({ "formats": sizes(["137", "140-1"]) }).to_string();
    site.put_at_page("held", Resource::bytes(page).gate(1, &gate));
    site.put_film_media("held");
    let mut first = Client::get(daemon.address(), &download_path(&site.page_url("held"), &[]));
    gate.reached();
    let mut second = Client::get(daemon.address(), &download_path(&site.page_url(FILM), &[]));
    eventually("both are waiting", PATIENCE, || {
        (daemon.metric("ytcanal_streams_active") == 2.0).then_some(())
    });
    assert_eq!(site.reads(FILM), 0);
    gate.open();
    for client in [&mut first, &mut second] {
        assert_eq!(client.answer().ending, Ending::Complete);
    }
    let impatient = ytdlp::daemon("processes = 1\ntimeout = \"3s\"");
    let mut hanging = Client::get(impatient.address(), &download_path(&site.page_url("hang"), &[]));
    eventually("it hangs", PATIENCE, || (!descendants(impatient.pid()).is_empty()).then_some(()));
    let answer = hanging.answer();
    assert_eq!(answer.code(), "resolve-timeout", "{}", answer.text());
}

/// The directory in which yt-dlp keeps what it learns is gone with the daemon.
#[test]
fn no_directory_is_left() {
    let (site, mut daemon) = (Site::start(), ytdlp::daemon(""));
    warm_up(&daemon, &site);
    let runtime = daemon.runtime_dir().to_owned();
    daemon.terminate();
    daemon.exit(PATIENCE);
    let left: Vec<_> = std::fs::read_dir(Path::new(&runtime)).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A deadline is one for reading a page, not for each of its requests.
#[test]
fn a_site_that_never_answers() {
    let site = Site::start();
    site.put_at_page("slow", Resource::bytes("{}").delay(Duration::from_secs(3600)));
    let daemon = ytdlp::daemon("timeout = \"2s\"");
    let answer = daemon.get(&download_path(&site.page_url("slow"), &[]));
    assert_eq!((answer.head.status, answer.code().as_str()), (504, "resolve-timeout"));
}
