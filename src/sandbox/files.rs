//! Landlock rulesets: which files and TCP ports a child may use.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

/// The rights that are restricted, as far as the kernel knows them. Rights of later versions would have to be
/// tried first: a new one may forbid what a program needs.
const VERSION: ABI = ABI::V7;

/// What a program needs that is linked dynamically, wherever distributions have it, and nothing that is
/// private: programs and libraries, the settings of TLS libraries (read when they are loaded, even though
/// nothing is connected to), the time zone, random numbers, the number of processors.
const PROGRAMS: [&str; 23] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/var/usrlocal",
    "/etc/localtime",
    "/etc/crypto-policies",
    "/etc/gnutls",
    "/etc/ssl/openssl.cnf",
    NULL,
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];
/// Everything written there is discarded.
const NULL: &str = "/dev/null";

/// Returns the rules of a program that reads programs, libraries, `more` and the `pipes`, and neither writes nor
/// connects; `None` if the kernel has no Landlock.
pub(super) fn read_only<'p>(
    more: impl Iterator<Item = &'p Path>,
    pipes: Option<&Path>,
) -> io::Result<Option<OwnedFd>> {
    let read = AccessFs::from_read(VERSION);
    let programs = PROGRAMS.iter().map(Path::new).chain(more);
    let ruleset = created(AccessFs::from_all(VERSION), AccessNet::from_all(VERSION))
        .and_then(|rules| rules.add_rules(path_beneath_rules(programs, read)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(pipes, AccessFs::ReadFile)))
        .and_then(|rules| rules.add_rules(path_beneath_rules([NULL], AccessFs::WriteFile)));
    finished(ruleset)
}

/// Returns the rules of a program that reads everything that its user may, writes below `writable`, and connects
/// to `ports` only (from Linux 6.7 on); `None` if the kernel has no Landlock.
pub(super) fn write_only_to<'p>(
    writable: impl Iterator<Item = &'p Path>,
    ports: impl Iterator<Item = u16>,
) -> io::Result<Option<OwnedFd>> {
    let write = AccessFs::from_write(VERSION);
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
    let ruleset = created(write, AccessNet::from_all(VERSION))
        .and_then(|rules| rules.add_rules(path_beneath_rules(writable, write)))
        .and_then(|rules| rules.add_rules(path_beneath_rules([NULL], AccessFs::WriteFile)))
        .and_then(|rules| rules.add_rules(ports));
    finished(ruleset)
}

/// Begins a ruleset that permits none of these rights, nor a signal to a process outside of it.
fn created(
    files: BitFlags<AccessFs>,
    network: BitFlags<AccessNet>,
) -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(files)?
        .handle_access(network)?
        .scope(Scope::from_all(VERSION))?
        .create()
}

fn finished(ruleset: Result<RulesetCreated, RulesetError>) -> io::Result<Option<OwnedFd>> {
    ruleset.map(Into::into).map_err(io::Error::other)
}
