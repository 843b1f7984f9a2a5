//! `ytcanal healthcheck`: asks a running server whether it is well, where there is no other client, such as in a
//! container.

use std::io::{self, Write};
use std::time::Duration;

/// A server that takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Prints what the server says of itself; an error if that is not 200.
pub fn healthcheck(url: &str, out: &mut impl Write) -> io::Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let failed = |error: ureq::Error| io::Error::other(format!("cannot ask {url}: {error}"));
    let mut response = agent.get(url).call().map_err(failed)?;
    let status = response.status();
    let text = response.body_mut().read_to_string().map_err(failed)?;
    if status != 200 {
        return Err(io::Error::other(format!("{url} answers {status}: {}", text.trim())));
    }
    writeln!(out, "{}", text.trim())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Returns what becomes of a server's answer, which may be none.
    fn asked(answer: &str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut client, _) = listener.accept().unwrap();
                // The head of a small request comes as one.
                assert!(client.read(&mut [0; 4096]).unwrap() > 0);
                client.write_all(answer.as_bytes()).unwrap();
            });
            let mut out = Vec::new();
            let result = healthcheck(&url, &mut out).map_err(|error| error.to_string());
            result.map(|()| String::from_utf8(out).unwrap())
        })
    }

    #[test]
    fn only_200_is_well() {
        let answer = |status: &str, text: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            )
        };
        assert_eq!(asked(&answer("200 OK", "ok\n")), Ok("ok\n".into()));
        let draining = asked(&answer("503 Service Unavailable", "draining\n")).unwrap_err();
        assert!(draining.contains("503") && draining.ends_with(": draining"), "{draining}");
        let moved = "HTTP/1.1 302 Found\r\nLocation: /healthz\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert!(asked(moved).unwrap_err().contains("302"));
        assert!(asked("").unwrap_err().contains("cannot ask http://127.0.0.1:"));
    }
}
