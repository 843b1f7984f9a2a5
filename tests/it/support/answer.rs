//! A response as the client read it, and what must hold for every problem document.

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The framing says that it is whole.
    Complete,
    /// The connection was closed too early.
    Cut,
    /// The connection was reset.
    Reset,
}

/// A response head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// The value of the one header of this name; a repeated header fails the test.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        first
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What made the file, with its reason.
    pub(crate) fn made_by(&self) -> &str {
        let timing = self.head.header("Server-Timing").unwrap_or_default();
        let engine = timing.split("engine;desc=\"").nth(1);
        engine.and_then(|rest| rest.split('"').next()).unwrap_or_default()
    }

    /// What made the file.
    pub(crate) fn engine(&self) -> &str {
        self.made_by().split(' ').next().unwrap_or_default()
    }

    /// Checks the form of a problem document and gives its members.
    pub(crate) fn problem(&self) -> serde_json::Value {
        let head = &self.head;
        assert_eq!(head.header("Content-Type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.ending, Ending::Complete, "{self:?}");
        let problem: serde_json::Value =
            serde_json::from_slice(&self.body).expect("a problem body is JSON");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert_eq!(problem["status"], head.status, "{problem}");
        for member in ["title", "detail", "code"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {member} in {problem}");
        }
        // A proxy in between may name the request as it likes, but the same in both.
        assert_eq!(problem["request_id"].as_str(), head.header("X-Request-Id"), "{problem}");
        if [429, 503].contains(&head.status) {
            let wait = head.header("Retry-After").expect("429 and 503 have a Retry-After");
            wait.parse::<u32>().expect("Retry-After in seconds");
        }
        problem
    }

    /// The `code` of a problem, or an empty text.
    pub(crate) fn code(&self) -> String {
        serde_json::from_slice::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|problem| Some(problem["code"].as_str()?.to_owned()))
            .unwrap_or_default()
    }
}
