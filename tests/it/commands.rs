//! The command line: help, mistakes, `check` and `demo`.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::daemon::{Daemon, binary};
use crate::support::{PATIENCE, eventually, run, signal};

/// Runs the binary in an empty directory of its own; gives the exit code and all it said.
fn ytcanal(arguments: &[&str], directory: &Path) -> (Option<i32>, String) {
    let output = run(Command::new(binary())
        .args(arguments)
        .current_dir(directory)
        .env_remove("RUNTIME_DIRECTORY")
        .env("XDG_RUNTIME_DIR", directory)
        .stdin(Stdio::null()));
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn help_and_version_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let all = [
        "serve",
        "demo",
        "get",
        "info",
        "check",
        "healthcheck",
        "token",
        "sign",
        "update-resolver",
        "/mux?video=URL",
    ];
    let serve = ["--config", "--listen", "unix:/"];
    let table: [(&[&str], &[&str]); 5] = [
        (&["--help"], &all),
        (&["-h"], &all),
        (&["help"], &all),
        (&["serve", "--help"], &serve),
        (&["help", "serve"], &serve),
    ];
    for (arguments, words) in table {
        let (code, help) = ytcanal(arguments, directory.path());
        assert_eq!(code, Some(0), "{arguments:?}: {help}");
        for word in words {
            assert!(help.contains(word), "{arguments:?}: no {word} in {help}");
        }
    }
    let (code, version) = ytcanal(&["--version"], directory.path());
    assert_eq!(code, Some(0));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let table: [(&[&str], &str); 7] = [
        (&["serve", "--colour"], "--colour"),
        (&["--colour"], "--colour"),
        (&["fetch"], "fetch"),
        (&["serve", "extra"], "extra"),
        (&["serve", "--listen"], "--listen"),
        (&["serve", "--listen", "nowhere"], "nowhere"),
        (&["check", "--config"], "--config"),
    ];
    for (arguments, word) in table {
        let (code, said) = ytcanal(arguments, directory.path());
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn check_names_key_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    // The last line of each is the wrong one, and its number is looked for.
    let table = [
        ("# one\n# two\n[limits]\nstreems = 3\n", "streems"),
        ("# one\n[colours]\n", "colours"),
        ("[limits]\nstreams = 0\n", "streams"),
        ("[limits]\n\nstreams = \"many\"\n", "streams"),
        ("[limits]\n\n\nhead_bytes = \"16 bananas\"\n", "head_bytes"),
        ("\n[limits]\n\n\nhead_timeout = \"10 fortnights\"\n", "head_timeout"),
        ("[upstream]\nallow = [\"127.0.0.0/99\"]\n", "allow"),
        ("\n\nlisten = [\"nowhere\"]\n", "listen"),
        ("[log]\n\n\n\n\nlevel = \"loud\"\n", "level"),
        ("[muxer\n", "muxer"),
    ];
    for (text, key) in table {
        std::fs::write(directory.path().join("bad.toml"), text).unwrap();
        let line = text.lines().count();
        for command in ["check", "serve"] {
            let (code, said) = ytcanal(&[command, "--config", "bad.toml"], directory.path());
            assert_eq!(code, Some(1), "{text:?}: {said}");
            assert!(said.contains(key) && said.contains("bad.toml"), "{text:?}: {said}");
            let named = [format!("line {line}"), format!("bad.toml:{line}")];
            assert!(named.iter().any(|name| said.contains(name)), "{text:?}: {said}");
        }
    }
    let (code, said) = ytcanal(&["check", "--config", "missing.toml"], directory.path());
    assert_eq!(code, Some(1));
    assert!(said.contains("missing.toml"), "{said}");
}

#[test]
fn check_passes_what_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = ytcanal(&["check"], directory.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ffmpeg"), "{said}");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/ytcanal.toml");
    let (code, said) = ytcanal(&["check", "--config", example], directory.path());
    assert_eq!(code, Some(0), "{said}");
}

/// What the sandbox names and is not there, and a yt-dlp that does not start in it.
#[test]
fn check_hints_at_the_sandbox() {
    // Temporary files may be written.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let body = format!("echo > {:?} && echo 2026.11.11", directory.path().join("started"));
    let command = crate::support::daemon::script(directory.path(), &body);
    let check = |write: &Path| {
        let text = format!(
            "[sandbox]\nread = [\"/nowhere/read\"]\nwrite = [{write:?}]\n\
             [resolver]\ncommand = {command:?}\nfork_server = false\n"
        );
        std::fs::write(directory.path().join("c.toml"), text).unwrap();
        let (code, said) = ytcanal(&["check", "--config", "c.toml"], directory.path());
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("sandbox.read names /nowhere/read"), "{said}");
        said
    };
    let said = check(Path::new("/nowhere/write"));
    assert!(said.contains("sandbox.write names /nowhere/write"), "{said}");
    assert!(said.contains("runs, but not in its sandbox"), "{said}");
    let said = check(directory.path());
    assert!(!said.contains("sandbox.write") && said.contains("yt-dlp   o"), "{said}");
}

#[test]
fn healthcheck_asks_the_running_server() {
    let daemon = Daemon::start("");
    let directory = tempfile::tempdir().unwrap();
    for path in ["/healthz", "/readyz"] {
        let (code, said) = ytcanal(&["healthcheck", &daemon.url(path)], directory.path());
        assert_eq!(code, Some(0), "{path}: {said}");
    }
    let (code, said) = ytcanal(&["healthcheck", &daemon.url("/nowhere")], directory.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("404"), "{said}");
}

#[test]
fn serve_says_why_it_cannot_listen() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = ytcanal(&["serve", "--listen", &address], directory.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

#[test]
fn serve_listens_on_every_address_given() {
    let directory = tempfile::tempdir().unwrap();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
    let mut program = Program::start(&listen, directory.path());
    program.says("listening on http://127.0.0.1:");
    program.says("listening on http://127.0.0.2:");
    program.ends_well();
}

#[test]
fn demo_shows_itself_and_ends_on_interrupt() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(&["demo", "--listen", "127.0.0.1:0"], directory.path());
    program.says("curl ");
    program.says("http://127.0.0.1:");
    program.ends_well();
}

/// What it prints to be tried: the second line goes on with the file of the first one.
#[test]
fn demo_invites_to_interrupt_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(&["demo", "--listen", "127.0.0.1:0"], directory.path());
    program.says("Ctrl-C ends");
    let said = program.said.lock().unwrap().clone();
    let complete = said.split_once("complete: ").unwrap().1.split(' ').next().unwrap();
    let complete: u64 = complete.parse().unwrap();
    let (_, invitation) = said.split_once("Try it yourself:").unwrap();
    let mut lines = invitation.lines().map(str::trim).filter(|line| line.starts_with("curl "));
    let (begin, go_on) = (lines.next().unwrap(), lines.next().unwrap());
    let here = tempfile::tempdir().unwrap();
    let curl = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {line} -sS --noproxy '*' --max-time 60")]);
        shell.current_dir(here.path());
        shell
    };
    let files = || -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(here.path()).unwrap().flatten();
        let of = |entry: std::fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.metadata().unwrap().len())
        };
        entries.map(of).collect()
    };
    let mut first = crate::support::start(&mut curl(begin));
    eventually("something has come", PATIENCE, || {
        files().first().filter(|(_, len)| *len > 100_000).map(|_| ())
    });
    first.kill().unwrap();
    first.wait().unwrap();
    let begun = files();
    assert!(begun.len() == 1 && begun[0].1 < complete, "{begin}: {begun:?}");
    let output = run(&mut curl(go_on));
    assert!(output.status.success(), "{go_on}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(), [(begun[0].0.clone(), complete)], "{go_on}");
    program.ends_well();
}

/// `check` has a script run as the daemon would: with what yt-dlp would take for it, in a service's
/// environment, and it believes no name.
#[test]
fn check_runs_javascript() {
    let directory = tempfile::tempdir().unwrap();
    let check = |command: &Path, more: &str| {
        let file = directory.path().join("c.toml");
        let text = format!("[resolver]\ncommand = {command:?}\ntimeout = \"3m\"\n{more}\n");
        std::fs::write(&file, text).unwrap();
        let output = run(Command::new(binary())
            .args(["check", "--config", "c.toml"])
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RUNTIME_DIRECTORY", directory.path().join("run"))
            .stdin(Stdio::null()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    let real = crate::support::ytdlp::command();
    for way in crate::support::ytdlp::WAYS {
        let said = check(&real, way);
        assert!(said.contains("js       ok      deno 2."), "{way}: {said}");
        // What is not there, what says a name and no more, and what may not take enough.
        let said = check(&real, &format!("{way}extra_args = [\"--no-js-runtimes\"]"));
        assert!(said.contains("js       none    "), "{way}: {said}");
        let body = "[ \"$1\" = --version ] && echo 'deno 2.9.8' && exit\necho broken >&2\nexit 1";
        let poor = crate::support::daemon::script(directory.path(), body);
        let runtime = format!("deno:{}", poor.display());
        let arguments = ["--no-js-runtimes", "--js-runtimes", &runtime];
        let said = check(&real, &format!("{way}extra_args = {arguments:?}"));
        assert!(said.contains("js       broken  "), "{way}: {said}");
        assert!(said.contains("broken)") && said.contains("pip install -U"), "{way}: {said}");
        let said = check(&real, &format!("{way}memory = \"128MiB\""));
        assert!(said.contains("js       broken  "), "{way}: {said}");
        assert!(said.contains("raise resolver.memory"), "{way}: {said}");
    }
    // Debian refuses pip's packages outside of a directory of their own.
    let said = check(&directory.path().join("nothing"), "");
    assert!(said.contains("python3 -m venv /opt/yt-dlp"), "{said}");
    assert!(said.contains("/opt/yt-dlp/bin/pip install -U \"yt-dlp[default]\" deno"), "{said}");
}

#[test]
fn demo_ends_on_interrupt_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(&["demo", "--listen", "127.0.0.1:0"], directory.path());
    program.says("first bytes after");
    program.ends_well();
    let said = program.said.lock().unwrap();
    assert!(!said.contains("Try it yourself"), "{said}");
}

#[test]
fn demo_does_not_open_this_machine_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = ytcanal(&["demo", "--listen", "0.0.0.0:0"], directory.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("loopback"), "{said}");
}

/// A command that runs until it is interrupted, with all it says on either output.
struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Program {
    fn start(arguments: &[&str], directory: &Path) -> Self {
        let mut child = Command::new(binary())
            .args(arguments)
            .current_dir(directory)
            .env_remove("RUNTIME_DIRECTORY")
            .env("XDG_RUNTIME_DIR", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        let readers = [stdout, stderr]
            .map(|mut output| {
                let said = Arc::clone(&said);
                thread::spawn(move || {
                    let mut block = [0; 4096];
                    while let Ok(count @ 1..) = output.read(&mut block) {
                        *said.lock().unwrap() += &String::from_utf8_lossy(&block[..count]);
                    }
                })
            })
            .into();
        Self { child, said, readers }
    }

    fn says(&mut self, text: &str) {
        eventually(text, Duration::from_secs(90), || {
            let exited = self.child.try_wait().unwrap();
            let said = self.said.lock().unwrap();
            assert!(exited.is_none(), "ended with {exited:?}: {said}");
            said.contains(text).then_some(())
        });
    }

    fn ends_well(&mut self) {
        signal(self.child.id(), "INT");
        let status = eventually("it ends", PATIENCE, || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.said.lock().unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        if thread::panicking() {
            eprintln!("--- it said\n{}---", self.said.lock().unwrap());
        }
    }
}
