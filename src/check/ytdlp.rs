//! The part of `ytcanal check` for yt-dlp: whether it runs, how old it is, and whether it can run the
//! JavaScript of YouTube.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::config::{self, Config, RESOLVER_PACKAGES, RESOLVER_UNIT};
use crate::limits::RateLimiter;
use crate::memory_budget::MemoryBudget;
use crate::net::Dialer;
use crate::resolve::{Javascript, MAX_AGE, Resolver, YtdlpVersion};
use crate::runtime_dir::RuntimeDir;

/// The virtual environment to install them in; Debian's pip refuses to install elsewhere (PEP 668).
const VENV: &str = "/opt/yt-dlp";

/// Checks yt-dlp and prints the results.
pub(super) fn check(
    config: &Config,
    runtime_dir: RuntimeDir,
    out: &mut impl Write,
) -> io::Result<()> {
    let command = &config.resolver.command;
    let Some(path) = config::find_resolver(command) else {
        return writeln!(
            out,
            "yt-dlp   none    {} was not found; page links do not work without it; install it, or set \
             resolver.command to its path{}",
            command.display(),
            install_commands()
        );
    };
    // One page at a time.
    let memory = MemoryBudget::new(u64::MAX);
    let rates = Arc::new(RateLimiter::new(&config.limits));
    let dialer = Arc::new(Dialer::new(&config.upstream));
    let resolver = Resolver::new(config, &dialer, &Arc::new(runtime_dir), &memory, &rates)?;
    let (output, runs_scripts) = run(config, &resolver);
    let Some(version) = YtdlpVersion::in_output(&output) else {
        let hint = if config.sandbox.enabled && runs_by_itself(&path) {
            "runs, but not in its sandbox; name in sandbox.write what it has to write to, or install it another way \
             than as a snap; as a last resort set sandbox.enabled = false"
        } else {
            "does not run or prints no version; page links will not work"
        };
        return writeln!(out, "yt-dlp   none    {} {hint}", path.display());
    };
    let update = update_commands(&path);
    let path = path.display();
    match version.age() {
        Some(days) if days > MAX_AGE => writeln!(
            out,
            "yt-dlp   old     {path} ({version}, {days} days old); sites change: update it{update}"
        )?,
        Some(days) => writeln!(out, "yt-dlp   ok      {path} ({version}, {days} days old)")?,
        None => writeln!(out, "yt-dlp   ok      {path} ({version})")?,
    }
    // A replacement with the same interface may have no JavaScript.
    if !runs_scripts {
        return Ok(());
    }
    match resolver.try_javascript() {
        Javascript::Runs(runtime) => writeln!(out, "js       ok      {runtime}"),
        Javascript::Missing => writeln!(
            out,
            "js       none    yt-dlp finds no JavaScript runtime, without which YouTube offers few formats \
             or none; install deno{update}"
        ),
        Javascript::Fails(error) => writeln!(
            out,
            "js       broken  yt-dlp cannot run the scripts of YouTube, which then offers few formats \
             or none ({error}); {}",
            remedy(&error, &update)
        ),
        Javascript::Untried(error) => {
            writeln!(out, "js       unknown yt-dlp could not be run to test it: {error}")
        }
    }
}

/// Where units are that were installed.
const UNIT_DIRS: [&str; 3] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Returns the commands that install yt-dlp: by the unit for that, if it is there.
fn install_commands() -> String {
    let file = format!("{RESOLVER_UNIT}.service");
    if UNIT_DIRS.iter().any(|dir| Path::new(dir).join(&file).is_file()) {
        return format!(
            ":\n           sudo systemctl start {RESOLVER_UNIT}\n           \
             sudo systemctl enable --now {RESOLVER_UNIT}.timer"
        );
    }
    let packages = packages();
    format!(
        ":\n           sudo python3 -m venv {VENV} && sudo {VENV}/bin/pip install -U {packages}\n           \
         sudo ln -s {VENV}/bin/yt-dlp /usr/local/bin/"
    )
}

/// Returns the packages, for a shell, to which brackets mean something.
fn packages() -> String {
    let quoted = |package: &str| match package.contains('[') {
        true => format!("\"{package}\""),
        false => package.to_owned(),
    };
    RESOLVER_PACKAGES.map(quoted).join(" ")
}

/// Returns the command that updates the yt-dlp at `path`: by its unit, or by its pip; without one, those that install it.
fn update_commands(path: &Path) -> String {
    if path.starts_with(config::RESOLVER_DIR) {
        return format!(":\n           sudo systemctl start {RESOLVER_UNIT}");
    }
    let pip = path.canonicalize().ok().map(|file| file.with_file_name("pip"));
    match pip.filter(|pip| pip.is_file()) {
        Some(pip) => format!(":\n           sudo {} install -U {}", pip.display(), packages()),
        None => install_commands(),
    }
}

/// Returns a remedy for a JavaScript runtime that fails with `error`.
fn remedy(error: &str, update: &str) -> String {
    if error.contains("script available") {
        return format!("its solver is missing{update}");
    }
    if error.contains("resolver.memory") {
        return "raise resolver.memory".into();
    }
    format!(
        "where code generation at run time is forbidden (MemoryDenyWriteExecute in a unit), set \
         resolver.extra_args = [\"--extractor-args\", \"youtube-ejs:jitless=true\"]; otherwise update \
         it{update}"
    )
}

/// Runs yt-dlp as for a page but without a link. Returns its output, and whether it may support JavaScript:
/// `true` also if it did not exit in time.
fn run(config: &Config, resolver: &Resolver) -> (String, bool) {
    let extra_args = config.resolver.extra_args.iter().map(String::as_str);
    let mut arguments = vec!["--ignore-config", "--no-plugin-dirs", "--color", "never"];
    arguments.extend(extra_args.chain(["--verbose"]));
    let output = resolver.run_tool(&arguments);
    let runs_scripts = output.as_ref().is_none_or(|output| output.contains("JS runtimes: "));
    // A replacement with the same interface may not print its version with --verbose.
    let output = output
        .filter(|output| YtdlpVersion::in_output(output).is_some())
        .or_else(|| resolver.run_tool(&["--version"]))
        .unwrap_or_default();
    (output, runs_scripts)
}

/// Returns whether yt-dlp prints its version outside of the sandbox.
fn runs_by_itself(path: &Path) -> bool {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        YtdlpVersion::in_output(&String::from_utf8_lossy(&output.stdout)).is_some()
    })
}
