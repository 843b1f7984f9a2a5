//! A path of an origin over time: which resource is there by now, and which of its faults the
//! next request meets.

use super::request::Request;
use super::resource::{Fault, Resource, Turn};
use super::response_range::{Asked, first_byte};

/// Counts what requests have met.
pub(super) struct Place {
    resource: Resource,
    requests: usize,
    faults: usize,
    cuts: Vec<u64>,
}

impl Place {
    pub(super) fn new(resource: Resource) -> Self {
        let cuts = match &resource.fault {
            Fault::CutsAt(cuts) => cuts.clone(),
            _ => Vec::new(),
        };
        Self { resource, requests: 0, faults: 0, cuts }
    }

    /// The resource as this request meets it: its fault, if it has one, is certain.
    pub(super) fn meet(&mut self, request: &Request) -> Resource {
        while let Some((next, turn)) = &self.resource.becomes
            && match turn {
                Turn::Requests(count) => self.requests >= *count,
                Turn::Fault => self.faults > 0,
            }
        {
            *self = Self::new(Resource::clone(next));
        }
        self.requests += 1;
        let fault = self.fault(request);
        if fault != Fault::None {
            self.faults += 1;
        }
        let mut met = Resource { fault, ..self.resource.clone() };
        if let Some(turn) = (self.requests - 1).checked_rem(met.nodes.len()) {
            (met.etag, met.last_modified) = met.nodes[turn];
        }
        met
    }

    fn fault(&mut self, request: &Request) -> Fault {
        let resource = &self.resource;
        let healed = self.faults >= resource.fault_times;
        if healed || first_byte(request, resource) < resource.fault_from {
            return Fault::None;
        }
        let sent = |at: u64| match Asked::by(request, resource) {
            Asked::Span(span) => request.method != "HEAD" && span.holds(at),
            Asked::Refused | Asked::TooFar(_) => false,
        };
        match (&resource.fault, resource.fault.place()) {
            (Fault::CutsAt(_), _) => {
                let Some(at) = self.cuts.iter().copied().filter(|&at| sent(at)).min() else {
                    return Fault::None;
                };
                self.cuts.retain(|&cut| cut != at);
                Fault::CutAt(at)
            }
            (_, Some(at)) if !sent(at) => Fault::None,
            (fault, _) => fault.clone(),
        }
    }
}
