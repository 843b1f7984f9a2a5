//! Runs a test in a network namespace of its own, for no test may take addresses from the machine it runs on.

use std::io::{self, Write};
use std::process::Command;

const INSIDE: &str = "YTCANAL_TEST_NAMESPACE";

/// Returns whether this system lets a process of this user make a user namespace. Containers and chroots do not.
pub(crate) fn is_permitted() -> bool {
    Command::new("unshare").args(["-U", "true"]).output().unwrap().status.success()
}

/// Runs the test with this name again in a namespace with these interfaces, where it calls `inside`. Says that it
/// was skipped where the system permits no namespaces.
pub(crate) fn run(name: &str, interfaces: &str, inside: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let in_namespace = |namespaces: &str, rest: &str| {
        let mut command = Command::new("unshare");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env(INSIDE, "1");
        command.args([namespaces, "sh", "-c", &format!("{interfaces} && {rest}")]);
        command.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
        command.output().unwrap()
    };
    let works = |namespaces: &&str| in_namespace(namespaces, "true").status.success();
    let Some(namespaces) = ["-Urn", "-n"].into_iter().find(works) else {
        let skipped =
            format!("\nSKIPPED: {name}; this system lets us make no network (unshare -Urn)\n");
        io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let output = in_namespace(namespaces, "exec \"$0\" \"$@\"");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
