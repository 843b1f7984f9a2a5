//! The two that join nothing: nginx, and a bare copy loop. They pass on a file of the same length,
//! and so tell what the carrying alone costs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::systems::LOOPBACK;
use crate::upstream::Upstream;

/// What nginx is left to do as it does by itself, for the report: for one download that is its fastest way.
pub(crate) const NGINX_DEFAULTS: &str = "proxy_buffering on, proxy_buffers 8 × a page, \
     proxy_max_temp_file_size 1024m, proxy_http_version 1.0";
/// For clients that are slow: it would put films into files.
pub(crate) const UNBUFFERED: &str =
    "proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection \"\";";

/// What nginx is to pass on. By itself nginx 1.22 does not speak TLS 1.3 to an origin.
pub(crate) fn relay(origin: &Upstream, more: &str) -> String {
    let url = origin.url();
    format!("location / {{ proxy_pass {url}; proxy_ssl_protocols TLSv1.3; {more} }}")
}

/// nginx with one worker and nothing of its own outside of `scratch`.
pub(crate) fn nginx(site: &str, scratch: &Path) -> Outcome<Command> {
    fs::create_dir(scratch)?;
    let dir = scratch.display();
    // For root it would put its worker under another user, who cannot write here.
    let user = if fs::metadata(scratch)?.uid() == 0 { "user root root;" } else { "" };
    let config = format!(
        "{user}
worker_processes 1;
daemon off;
pid {dir}/pid;
error_log stderr warn;
worker_rlimit_nofile 32768;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    scgi_temp_path {dir}/scgi;
    uwsgi_temp_path {dir}/uwsgi;
    server {{ {site} }}
}}
"
    );
    let path = scratch.join("nginx.conf");
    fs::write(&path, config)?;
    // The signal that a dying benchmark leaves to it must be one that it passes on to its worker.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "nginx", "-e", "stderr"]);
    command.arg("-p").arg(scratch).arg("-c").arg(path);
    // Debian has it where only root's PATH leads.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    Ok(command)
}

/// The flag with which this program is the copy loop, between a listener of its own and an origin.
pub(crate) const COPY_LOOP: &str = "--copy-loop";
/// What it reads and writes at a time.
const COPIED: usize = 64 * 1024;

pub(crate) fn copy_loop(origin: &Upstream) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COPY_LOOP).arg(origin.addr().to_string()).args(origin.ca_file());
    Ok(command)
}

/// The life of the copy loop: one client after the other, until it is killed.
pub(crate) fn run_copy_loop(arguments: &[String]) -> Outcome<()> {
    let origin = match arguments {
        [addr] => Upstream::http(addr.parse()?),
        [addr, ca_file] => Upstream::https(addr.parse()?, Path::new(ca_file))?,
        _ => return Err(format!("{COPY_LOOP} takes an address, and a certificate").into()),
    };
    let listener = TcpListener::bind((LOOPBACK, 0))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut buf = vec![0; COPIED];
    for client in listener.incoming() {
        // Also when a client leaves early.
        if let Err(error) = client.map_err(Into::into).and_then(|it| carry(&it, &origin, &mut buf))
        {
            eprintln!("{error}");
        }
    }
    Ok(())
}

/// One request to the origin, which closes behind its response, and whatever comes back to the client.
fn carry(mut client: &TcpStream, origin: &Upstream, buf: &mut [u8]) -> Outcome<()> {
    let (mut reader, mut line, mut rest) = (BufReader::new(client), String::new(), String::new());
    reader.read_line(&mut line)?;
    while reader.read_line(&mut rest)? > 2 {}
    let mut origin = origin.connect()?;
    let head = format!("{line}Host: {LOOPBACK}\r\nConnection: close\r\n\r\n");
    origin.write_all(head.as_bytes())?;
    loop {
        match origin.read(buf)? {
            0 => return Ok(()),
            n => client.write_all(&buf[..n])?,
        }
    }
}
