//! Programs that go on by themselves when their daemon is killed.

use std::path::Path;
use std::process::{Command, Stdio};

use super::front::BALANCERS;
use super::{Running, Stage};
use crate::support::{run, start};

/// Kills the daemon of a program that downloads, and waits for it to end.
fn goes_on(stage: &mut Stage, command: &mut Command) {
    let mut child = stage.begin(command);
    stage.front.busy().kill();
    stage.gate.open();
    let status = child.0.wait().unwrap();
    assert!(status.success(), "{status}: {}", stage.log());
}

#[test]
fn aria2c_goes_on_by_itself() {
    for shipped in BALANCERS {
        let mut stage = Stage::open(shipped);
        let mut command = Command::new("aria2c");
        command.args(["-x4", "-s4", "-k1M", "--no-conf", "--no-proxy=127.0.0.1"]);
        command.args(["--retry-wait=1", "--file-allocation=none", "--out=film.mp4", "--dir"]);
        command.arg(stage.directory.path()).arg("--ca-certificate").arg(stage.front.root());
        command.arg(stage.front.url(&stage.path));
        goes_on(&mut stage, &mut command);
        stage.assert_whole();
    }
}

/// With its own defaults: what it reads is written as it is.
#[test]
fn mpv_goes_on_by_itself() {
    for shipped in BALANCERS {
        let mut stage = Stage::open(shipped);
        let mut command = Command::new("mpv");
        command.args(["--no-config", "--no-terminal", "--ytdl=no", "--tls-verify=yes"]);
        command.arg(format!("--tls-ca-file={}", stage.front.root().display()));
        command.arg(format!("--stream-dump={}", stage.file().display()));
        command.arg(stage.front.url(&stage.path)).env("HOME", stage.directory.path());
        goes_on(&mut stage, &mut command);
        stage.assert_whole();
    }
}

/// With `-reconnect 1`; without, it ends.
#[test]
fn ffmpeg_goes_on_if_it_is_told_to() {
    for shipped in BALANCERS {
        let mut stage = Stage::open(shipped);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-reconnect", "1", "-tls_verify", "1"]);
        command.arg("-ca_file").arg(stage.front.root());
        command.args(["-i", &stage.front.url(&stage.path), "-map", "0", "-c", "copy"]);
        command.args(["-f", "mpegts"]).arg(stage.file());
        goes_on(&mut stage, &mut command);
        let whole = stage.directory.path().join("whole.mp4");
        std::fs::write(&whole, &stage.whole).unwrap();
        assert!(
            std::fs::read(stage.file()).unwrap() == as_ts(&whole),
            "{shipped:?}: {}",
            stage.log()
        );
    }
}

/// What ffmpeg makes of a file on disk.
fn as_ts(file: &Path) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-i"]).arg(file);
    command.args(["-map", "0", "-c", "copy", "-f", "mpegts", "-"]);
    let output = run(command.stdin(Stdio::null()));
    assert!(output.status.success());
    output.stdout
}

/// Twenty ranges at a time over one connection, where the proxy speaks HTTP/2.
#[test]
fn many_ranges_over_one_connection() {
    for shipped in BALANCERS {
        let stage = Stage::open(shipped);
        stage.gate.open();
        let at = |number: usize| stage.directory.path().join(format!("part-{number}"));
        let step = 2_000_003;
        let last = stage.whole.len() / step;
        let mut command = stage.front.curl(&stage.path);
        command.args(["--http2", "--parallel", "--parallel-max", "20"]);
        let url = command.get_args().find(|word| word.to_str().unwrap().contains("https://"));
        let url = url.unwrap().to_owned();
        for number in 0..=last {
            let range = format!("{}-{}", number * step, (number + 1) * step - 1);
            if number > 0 {
                let root = stage.front.root();
                command.args(["--next", "-sS", "--noproxy", "*", "--cacert"]).arg(root).arg(&url);
            }
            command.args(["-r", &range, "-o"]).arg(at(number));
        }
        let log = std::fs::File::create(stage.directory.path().join("log")).unwrap();
        let mut child = Running(start(command.stdin(Stdio::null()).stderr(log)));
        assert!(child.0.wait().unwrap().success(), "{}", stage.log());
        let parts = (0..=last).flat_map(|number| std::fs::read(at(number)).unwrap());
        assert!(parts.eq(stage.whole.iter().copied()), "{shipped:?}");
    }
}
