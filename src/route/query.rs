//! The query of a request target.

use crate::access::signature;
use crate::form::{self, FormError};
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::text::{escaped, one_line};

/// The maximum length of a quotation in a message, in characters.
const MAX_QUOTE: usize = 40;

#[cfg(test)]
thread_local! {
    /// The names that the parsers on this thread have asked for: what the API knows.
    pub(super) static ASKED: std::cell::RefCell<std::collections::BTreeSet<String>> = std::cell::RefCell::default();
}

/// The parameters of a query; each is removed when it is read.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Result<Query, Problem> {
        form::parse(query).map(Query).map_err(|error| match error {
            FormError::Encoding => Problem::new(
                ProblemCode::BadParameter,
                "the query is not properly percent-encoded UTF-8 (a lone % is written %25)",
            ),
            FormError::Duplicate(name) => {
                let detail = format!("the parameter {} is there twice", quoted(&name));
                Problem::new(ProblemCode::DuplicateParameter, detail)
            }
            FormError::TooMany => {
                let detail = format!("there are more than {} parameters", form::MAX_PARAMETERS);
                Problem::new(ProblemCode::UnknownParameter, detail)
            }
        })
    }

    /// Parses the query of a request that may be signed. The signature is for those who decide whether the request
    /// is carried out; nothing else may depend on it.
    pub(super) fn without_signature(query: &str) -> Result<Query, Problem> {
        let mut query = Query::parse(query)?;
        for name in signature::PARAMETERS {
            query.take(name);
        }
        Ok(query)
    }

    /// Removes a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.take_if(name, |_| true)
    }

    /// Removes a parameter that is not empty: HTML forms send empty fields, too.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).filter(|text| !text.is_empty())
    }

    /// Removes all parameters of this name, and returns those that are not empty.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        std::iter::from_fn(|| self.take(name)).filter(|text| !text.is_empty()).collect()
    }

    /// Removes a parameter, if its value fits.
    pub(super) fn take_if(&mut self, name: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| asked.insert(name.to_owned()));
        let at = self.0.iter().position(|(known, value)| known == name && fits(value))?;
        // The others keep their order: that of several links is that of their files.
        Some(self.0.remove(at).1)
    }

    /// Fails if a parameter was not read: it is unknown.
    pub(super) fn reject_unknown(self) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        if name == form::LINK {
            let detail = "the parameter url is there twice; only /download takes several, with as=tar or as=zip";
            return Err(Problem::new(ProblemCode::DuplicateParameter, detail));
        }
        let detail = format!(
            "the parameter {} is unknown; a URL inside a parameter must be \
             percent-encoded (curl: -G --data-urlencode)",
            quoted(name)
        );
        Err(Problem::new(ProblemCode::UnknownParameter, detail))
    }
}

/// Returns a text of the client for a message, with everything visible.
fn quoted(text: &str) -> String {
    one_line(&escaped(text), MAX_QUOTE)
}
