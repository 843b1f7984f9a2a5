//! HAProxy, nginx and Caddy with the configurations that are shipped, in front of two daemons (Caddy: of one). Ports,
//! paths, addresses, certificates and users are replaced, and nothing else.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::test_ca::Authority;
use crate::support::{PATIENCE, eventually, start};

/// The name that the configurations have for the service.
const NAME: &str = "video.example";
/// What both daemons are told beside their upstreams.
pub(super) const ACCESS: &str = "[access]\nmode = \"open\"\nhosts = [\"video.example\"]\n\
    trusted_proxies = [\"127.0.0.1\"]\n";

/// A configuration that is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    Haproxy,
    Nginx,
    NginxCache,
    Caddy,
}

pub(super) const BALANCERS: [Shipped; 2] = [Shipped::Haproxy, Shipped::Nginx];
pub(super) const ALL: [Shipped; 3] = [Shipped::Haproxy, Shipped::Nginx, Shipped::NginxCache];
/// Those that pass on who the client is, and refuse HTTP/1.0.
pub(super) const FRONTS: [Shipped; 3] = [Shipped::Haproxy, Shipped::Nginx, Shipped::Caddy];

/// A proxy in front of two daemons.
pub(super) struct Front {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
    pub(super) daemons: [Daemon; 2],
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- log of the proxy\n{}---", self.log());
        }
    }
}

impl Front {
    /// Starts two daemons with this configuration and, in front of them, a proxy.
    pub(super) fn start(shipped: Shipped, config: &str) -> Front {
        let daemons = [(); 2].map(|()| Daemon::start(&format!("{ACCESS}{config}")));
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (chain, key) = authority.certificate_for_all(&[NAME, "127.0.0.1"]).pem();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("root.pem"), authority.pem()).unwrap();
        fs::write(at("chain.pem"), &chain).unwrap();
        fs::write(at("key.pem"), &key).unwrap();
        fs::write(at("both.pem"), chain + &key).unwrap();
        // They take no port 0; nobody else is likely to get these in the meantime.
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (tls, plain) = (free(), free());
        let (address, plain_address) = (tls.local_addr().unwrap(), plain.local_addr().unwrap());
        drop((tls, plain));
        let config = at("config");
        let adapted = shipped.adapted(directory.path(), [address, plain_address], &daemons);
        fs::write(&config, adapted).unwrap();
        let log = File::create(at("log")).unwrap();
        let child = start(
            // Debian has both where only root's PATH leads.
            Command::new("setpriv")
                .args(["--pdeathsig", "KILL"])
                .args(shipped.command())
                .arg(&config)
                .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
                // Where Caddy keeps what it knows.
                .envs(["XDG_DATA_HOME", "XDG_CONFIG_HOME"].map(|home| (home, directory.path())))
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        let mut front = Front { child, address, directory, daemons };
        eventually("the proxy listens", PATIENCE, || {
            let ended = front.child.try_wait().unwrap();
            assert!(ended.is_none(), "the proxy ({shipped:?}) ended: {ended:?}");
            TcpStream::connect(address).ok()
        });
        front
    }

    /// The URL of a path by the address of the proxy, for programs that know no other names.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.directory.path().join("root.pem")
    }

    /// A curl for this path by the name of the service.
    pub(super) fn curl(&self, path: &str) -> Command {
        let port = self.address.port();
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "60", "--cacert"]).arg(self.root());
        command.arg("--resolve").arg(format!("{NAME}:{port}:127.0.0.1"));
        command.arg(format!("https://{NAME}:{port}{path}"));
        command
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The daemon that has a download now.
    pub(super) fn busy(&mut self) -> &mut Daemon {
        let at = eventually("a download at one of them", PATIENCE, || {
            self.daemons.iter().position(|daemon| active(daemon) > 0)
        });
        &mut self.daemons[at]
    }
}

/// How many downloads a daemon has. Whoever comes from the address of the proxy is not told.
pub(super) fn active(daemon: &Daemon) -> usize {
    let mut client = Client::connect_from("127.0.0.9", daemon.address());
    client.request("GET", "/metrics");
    let metrics = client.answer().text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("ytcanal_streams_active "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

impl Shipped {
    fn text(self) -> &'static str {
        match self {
            Shipped::Haproxy => include_str!("../../../config/haproxy.cfg"),
            Shipped::Nginx => include_str!("../../../config/nginx.conf"),
            Shipped::NginxCache => include_str!("../../../config/nginx-cache.conf"),
            Shipped::Caddy => include_str!("../../../config/Caddyfile"),
        }
    }

    fn command(self) -> &'static [&'static str] {
        match self {
            Shipped::Haproxy => &["haproxy", "-db", "-f"],
            Shipped::Caddy => &["caddy", "run", "--adapter", "caddyfile", "--config"],
            _ => &["nginx", "-e", "stderr", "-g", "daemon off; master_process off;", "-c"],
        }
    }

    /// The configuration, for these ports with and without TLS.
    fn adapted(self, directory: &Path, ports: [SocketAddr; 2], daemons: &[Daemon; 2]) -> String {
        let [tls, plain] = ports.map(|port| port.to_string());
        let [one, two] = [0, 1].map(|index| daemons[index].address().to_string());
        let dir = directory.display();
        let mut changes = match self {
            Shipped::Caddy => vec![("127.0.0.1:8080", one)],
            _ => vec![("10.0.0.11:8080", one), ("10.0.0.12:8080", two)],
        };
        if self == Shipped::Caddy {
            // It would get a certificate, listen on port 80, and be ruled over a port of its own.
            let site = format!("https://{NAME}:{0}, https://127.0.0.1:{0} {{\n", tls_port(&tls));
            let tls = format!("\tbind 127.0.0.1\n\ttls {dir}/chain.pem {dir}/key.pem\n");
            changes.extend([
                ("video.example {\n", site + &tls),
                (
                    "\tservers {\n",
                    "\tadmin off\n\tauto_https disable_redirects\n\tservers {\n".into(),
                ),
            ]);
        } else if self == Shipped::Haproxy {
            changes.extend([
                ("bind :443", format!("bind {tls}")),
                ("bind :80", format!("bind {plain}")),
                ("/etc/haproxy/video.example.pem", format!("{dir}/both.pem")),
                ("/dev/log local0", "stdout format raw local0".to_owned()),
                // Only root can become somebody else.
                ("    user haproxy\n    group haproxy\n", String::new()),
            ]);
        } else {
            // nginx has directories of its own for what is not in use here, too.
            let others = ["fastcgi", "scgi", "uwsgi"];
            let others = others.map(|name| format!("{name}_temp_path {dir}/{name};")).concat();
            changes.extend([
                ("listen 443", format!("listen {tls}")),
                ("listen 80", format!("listen {plain}")),
                ("/etc/ssl/video.example.pem", format!("{dir}/chain.pem")),
                ("/etc/ssl/video.example.key", format!("{dir}/key.pem")),
                ("/run/nginx.pid", format!("{dir}/pid")),
                ("/var/log/nginx", dir.to_string()),
                ("/var/lib/nginx", dir.to_string()),
                ("server_tokens off;", format!("server_tokens off; {others}")),
                ("user www-data;\n", own_user(directory)),
            ]);
        }
        if self == Shipped::NginxCache {
            changes.push(("/var/cache/nginx", dir.to_string()));
        }
        changes.into_iter().fold(self.text().to_owned(), |text, (from, to)| {
            let found = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            assert!(
                from.contains('\n') || found.into_iter().any(|line| line.contains(from)),
                "{from}"
            );
            text.replace(from, &to)
        })
    }
}

fn tls_port(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

/// nginx that root starts puts itself under another user, who cannot write here.
fn own_user(directory: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let is_root = directory.metadata().unwrap().uid() == 0;
    if is_root { "user root root;\n".to_owned() } else { String::new() }
}
