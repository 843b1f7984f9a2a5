//! What ffmpeg and yt-dlp cannot do, whatever a file or a page makes them do: each attempt is made by a stand-in
//! that nobody has to break into, and made without the sandbox, too, where it succeeds.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::answer::{Answer, Ending};
use crate::support::client::{Client, mux_path};
use crate::support::daemon::{Daemon, LOOPBACK, Setup, binary, script};
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::process_snapshot::memory;
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, Site, WAYS, path_of};
use crate::support::{media, namespace, run};

const OFF: &str = "[sandbox]\nenabled = false\n";
/// A variable of the service's that is for no child.
const SECRET: (&str, &str) = ("CANAL_SECRET", "hunter2");

/// What code of a stranger would try that runs in ffmpeg; prints what came of each attempt: 0, or the number of an
/// error. `DIR` is a directory of the test.
const ATTEMPTS: &str = r#"
import ctypes, os, resource, socket, sys
libc, daemon = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
def environment():
    if "CANAL_SECRET" not in os.environ:
        raise OSError(1, "")
attempts = dict(
    passwd=lambda: open("/etc/passwd").read(),
    secret=lambda: open("DIR/secret").read(),
    list=lambda: os.listdir("DIR"),
    write=lambda: open("DIR/written", "w").write("x"),
    temporary=lambda: open("/tmp/ytcanal-probe", "w").write("x"),
    tcp=lambda: socket.socket(),
    unix=lambda: socket.socket(socket.AF_UNIX),
    environment=environment,
    environ=lambda: open(f"/proc/{daemon}/environ").read(),
    memory=lambda: open(f"/proc/{daemon}/mem"),
    seize=lambda: call(libc.ptrace, 0x4206, daemon, 0, 0),
    prlimit=lambda: resource.prlimit(daemon, resource.RLIMIT_CORE),
    signal=lambda: os.kill(daemon, 0),
    namespace=lambda: call(libc.unshare, 0x10000000),
    x32=lambda: call(libc.syscall, 0x40000029, 2, 1, 0),
    group=lambda: os.setsid(),
)
said = []
for name, attempt in attempts.items():
    try:
        attempt()
        said.append(f"{name}:0")
    except OSError as error:
        said.append(f"{name}:{error.errno}")
print(*said)
"#;

/// Parses `... name:number name:number`.
fn outcomes(answer: &Answer) -> BTreeMap<String, u32> {
    let text = answer.problem()["detail"].as_str().unwrap().to_owned();
    let outcome = |word: &str| {
        let (name, number) = word.split_once(':')?;
        Some((name.to_owned(), number.trim_end_matches([';', ',', '.']).parse().ok()?))
    };
    text.split_whitespace().filter_map(outcome).collect()
}

#[test]
fn ffmpeg_uses_nothing_but_its_pipes() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("secret"), "hunter2").unwrap();
    let attempts = ATTEMPTS.replace("DIR", directory.path().to_str().unwrap());
    let version = "[ \"$1\" = -version ] && exec ffmpeg -version";
    let body = format!("{version}\npython3 -c '{attempts}' $PPID >&2\nexit 1");
    let stand_in = script(directory.path(), &body);
    let url = origin.put("a", Resource::file(track_file("audio")));
    let path = by_ffmpeg(&url);
    for sandbox in ["", OFF] {
        let daemon = Daemon::start_with(&Setup {
            config: format!("{LOOPBACK}[muxer]\nffmpeg = {stand_in:?}\n{sandbox}"),
            environment: vec![(SECRET.0.into(), SECRET.1.into())],
            ..Setup::default()
        });
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
        let answer = daemon.get(&path);
        assert_eq!(answer.code(), "mux-refused", "{}", answer.text());
        let outcomes = outcomes(&answer);
        println!("{sandbox:?}: {outcomes:?}");
        assert_eq!(outcomes.len(), 16, "{}", answer.text());
        for (name, error) in outcomes {
            // The environment is never passed on, few kernels have x32, and few containers user namespaces.
            let never = ["environment", "x32"].contains(&name.as_str())
                || (name == "namespace" && !namespace::is_permitted());
            assert_eq!(error != 0, sandbox.is_empty() || never, "{sandbox} {name}: {error}");
        }
        assert_eq!(directory.path().join("written").exists(), !sandbox.is_empty());
    }
    std::fs::remove_file("/tmp/ytcanal-probe").unwrap();
}

/// With the real yt-dlp, in both ways, and with what it starts.
#[test]
fn ytdlp_writes_to_its_cache_and_connects_to_its_gateway() {
    for way in WAYS {
        for sandbox in ["", OFF] {
            let site = Site::start();
            let daemon = ytdlp::daemon(&format!("{way}{sandbox}"));
            let answer = daemon.get(&path_of("info", &site.page_url("reach-out"), &[]));
            let mut outcomes = outcomes(&answer);
            println!("{way:?} {sandbox:?}: {outcomes:?}");
            assert_eq!(outcomes.len(), 15, "{}", answer.text());
            // Nobody listens there, so that it fails in any case: in a sandbox because it may not connect.
            let connect = outcomes.remove("connect").unwrap();
            assert_eq!(connect == 111, !sandbox.is_empty(), "{way} connect: {connect}");
            for (name, error) in outcomes {
                let never = name == "namespace" && !namespace::is_permitted();
                let refused = sandbox.is_empty() || never;
                assert_eq!(error != 0, refused, "{way} {sandbox} {name}: {error}");
            }
        }
    }
    for file in std::fs::read_dir("/var/tmp").unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("ytcanal-probe-") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
}

/// An index of a few bytes that claims millions of samples, each of which takes memory in ffmpeg.
#[test]
fn a_file_that_takes_all_memory_ends_its_own_download() {
    const LIMIT: u64 = 256 << 20;
    /// Programs and libraries, of which all processes share one copy.
    const SHARED: u64 = 64 << 20;
    let origin = Origin::start();
    let good = origin.put("good", Resource::file(track_file("audio")));
    let daemon = Daemon::start(LOOPBACK);
    for claim in [10_000_000, 100_000_000] {
        // Another download goes on meanwhile.
        let mut client = Client::get(daemon.address(), &by_ffmpeg(&good));
        let head = client.first_byte();
        let (answer, peak) = explode(&origin, &daemon, claim);
        println!("{claim} samples: {} MiB, {}", peak >> 20, answer.text());
        assert_eq!(answer.code(), "mux-refused", "{claim}: {}", answer.text());
        assert!(peak < LIMIT + SHARED, "{claim}: {} MiB", peak >> 20);
        assert_eq!(client.body(&head).1, Ending::Complete, "{claim}");
    }
    let lenient = Daemon::start(&format!("{LOOPBACK}[muxer]\nmemory = \"4GiB\"\n"));
    let (_, peak) = explode(&origin, &lenient, 20_000_000);
    assert!(peak > LIMIT + SHARED, "no attack: {} MiB", peak >> 20);
}

fn by_ffmpeg(url: &str) -> String {
    mux_path(None, Some(url), &[("container", "mkv"), ("engine", "ffmpeg")])
}

/// Has ffmpeg read a file that claims so many samples; the answer, and the most memory of a child meanwhile.
fn explode(origin: &Origin, daemon: &Daemon, claim: u32) -> (Answer, u64) {
    let url = origin.put(&format!("bomb-{claim}"), Resource::bytes(bomb(claim)).ranges());
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let children = daemon.children();
                let most = children.iter().map(|child| memory(child.pid, "VmHWM")).max();
                peak.fetch_max(most.unwrap_or(0), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let answer = daemon.get(&by_ffmpeg(&url));
        over.store(true, Ordering::Relaxed);
        answer
    });
    (answer, peak.into_inner())
}

/// A second of AAC whose tables claim so many samples, all in one chunk.
fn bomb(claim: u32) -> Vec<u8> {
    let coded = ["-c:a", "aac", "-movflags", "+faststart"].map(String::from);
    let arguments = [&media::sound(48_000, 1)[..], &coded].concat();
    let mut file = std::fs::read(media::generate("claims", "m4a", &arguments)).unwrap();
    let mut set = |name: &[u8; 4], field: usize, value: u32| {
        let at = file.windows(4).position(|window| window == name).unwrap() + 4 + field;
        file[at..at + 4].copy_from_slice(&value.to_be_bytes());
    };
    // ISO/IEC 14496-12 §8.6.1.2, §8.7.3.2, §8.7.4: fields behind version and flags.
    set(b"stts", 4, 1);
    set(b"stts", 8, claim);
    set(b"stts", 12, 1024);
    set(b"stsz", 4, 1);
    set(b"stsz", 8, claim);
    set(b"stsc", 4, 1);
    set(b"stsc", 12, claim);
    file
}

/// A kernel without Landlock and seccomp, as far as this program can tell.
#[test]
fn a_kernel_without_a_sandbox_is_named_and_no_obstacle() {
    // ENOSYS for seccomp (317 on x86-64, 277 on AArch64) and the calls of Landlock (444 to 446).
    let old_kernel = r#"
import ctypes, os, platform, struct, sys
seccomp = {"x86_64": 317, "aarch64": 277}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 3, 0, seccomp), (0x35, 0, 1, 444), (0x35, 0, 1, 447),
        (0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x50026)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
filter = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter)) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"#;
    let through = ["python3", "-c", old_kernel].map(String::from).to_vec();
    let origin = Origin::start();
    let url = origin.put("a", Resource::file(track_file("audio")));
    let daemon = Daemon::start_with(&Setup {
        config: LOOPBACK.into(),
        through: through.clone(),
        ..Setup::default()
    });
    daemon.logs("neither Landlock nor seccomp");
    assert_eq!(daemon.log().matches("Landlock").count(), 1, "{}", daemon.log());
    let path = by_ffmpeg(&url);
    let answer = daemon.get(&path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    let check = |mut command: Command| {
        let output = run(command.arg("check"));
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check(Command::new(binary()));
    assert!(said.contains("sandbox  ok      Landlock "), "{said}");
    let mut old = Command::new(&through[0]);
    old.args(&through[1..]).arg(binary());
    let said = check(old);
    assert!(said.contains("sandbox  partial no Landlock, no seccomp: this kernel has"), "{said}");
}
