//! The two that join nothing: nginx, and a bare copy loop. They pass on a body of the same length,
//! and so tell what the carrying alone costs.
//!
//! Both find in the first part of a path, `/near/` or `/far/`, which origin is meant.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::Outcome;
use crate::systems::LOOPBACK;

/// What nginx is left to do as it does by itself, for the report.
pub(crate) const NGINX_DEFAULTS: &str = "proxy_buffering on, proxy_buffers 8 × a page, \
     proxy_max_temp_file_size 1024m, proxy_http_version 1.0";

/// What nginx is to relay.
pub(crate) fn relay(addr: SocketAddr, near: SocketAddr, far: SocketAddr) -> String {
    format!(
        "listen {addr};
        location /near/ {{ proxy_pass http://{near}; }}
        location /far/ {{ proxy_pass http://{far}; }}"
    )
}

/// What nginx is to pass on from an origin that speaks HTTPS, without a buffer, as one does with films.
pub(crate) fn secure_relay(origin: SocketAddr) -> String {
    format!(
        "location / {{ proxy_pass https://{origin}; proxy_ssl_protocols TLSv1.3; proxy_buffering off; proxy_http_version 1.1;
        proxy_set_header Connection \"\"; }}"
    )
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

/// The flag with which this program is the copy loop, between a listener of its own and the origins.
pub(crate) const COPY_LOOP: &str = "--copy-loop";
/// What it reads and writes at a time.
const COPIED: usize = 64 * 1024;

pub(crate) fn copy_loop(near: SocketAddr, far: SocketAddr) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COPY_LOOP).arg(near.to_string()).arg(far.to_string());
    Ok(command)
}

/// The life of the copy loop: one client after the other, until it is killed.
pub(crate) fn run_copy_loop(origins: &[String]) -> Outcome<()> {
    let [near, far] = origins else {
        return Err(format!("{COPY_LOOP} takes the addresses of two origins").into());
    };
    let origins = [near.parse()?, far.parse()?];
    let listener = TcpListener::bind((LOOPBACK, 0))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut buf = vec![0; COPIED];
    for client in listener.incoming() {
        // A client that leaves early is none of its business.
        drop(client.and_then(|client| carry(&client, origins, &mut buf)));
    }
    Ok(())
}

/// The flag with which this program is the copy loop from an origin that speaks HTTPS.
pub(crate) const SECURE_COPY_LOOP: &str = "--secure-copy-loop";

pub(crate) fn secure_copy_loop(origin: SocketAddr, ca_file: &Path) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SECURE_COPY_LOOP).arg(origin.to_string()).arg(ca_file);
    Ok(command)
}

/// The life of that one: with the same cryptography as the daemon's, and nothing else.
pub(crate) fn run_secure_copy_loop(arguments: &[String]) -> Outcome<()> {
    let [origin, ca_file] = arguments else {
        return Err(format!("{SECURE_COPY_LOOP} takes an address and a certificate").into());
    };
    let origin: SocketAddr = origin.parse()?;
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file)?)?;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let listener = TcpListener::bind((LOOPBACK, 0))?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let mut buf = vec![0; COPIED];
    for client in listener.incoming() {
        let mut client = client?;
        let tls = rustls::ClientConnection::new(config.clone(), LOOPBACK.try_into()?)?;
        let mut stream = rustls::StreamOwned::new(tls, TcpStream::connect(origin)?);
        let copied =
            send_head(&client, &mut stream).and_then(|()| copy(&mut stream, &mut client, &mut buf));
        // Also when a client leaves early.
        if let Err(error) = copied {
            eprintln!("{error}");
        }
    }
    Ok(())
}

/// Sends the head of a request that asks the origin to close behind its response.
fn send_head(client: &TcpStream, origin: &mut impl Write) -> io::Result<()> {
    let (mut reader, mut line) = (BufReader::new(client), String::new());
    reader.read_line(&mut line)?;
    let mut rest = String::new();
    while reader.read_line(&mut rest)? > 2 {}
    let head = format!("{line}Host: {LOOPBACK}\r\nConnection: close\r\n\r\n");
    origin.write_all(head.as_bytes())
}

fn copy(from: &mut impl Read, to: &mut impl Write, buf: &mut [u8]) -> io::Result<()> {
    loop {
        match from.read(buf)? {
            0 => return Ok(()),
            n => to.write_all(&buf[..n])?,
        }
    }
}

/// One request to the origin, and whatever comes back to the client.
fn carry(mut client: &TcpStream, [near, far]: [SocketAddr; 2], buf: &mut [u8]) -> io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(client);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let mut origin = TcpStream::connect(if head.starts_with("GET /far/") { far } else { near })?;
    origin.write_all(head.as_bytes())?;
    copy(&mut origin, &mut client, buf)
}
