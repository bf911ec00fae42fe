//! What is known of a request by its head alone: the beginning of its record.

use chartward_rules::record::Call;
use http::header;

use super::{Caller, Core};
use crate::base::clock::now;

impl Core {
    /// A call of which nothing is known yet but who sent it.
    pub(super) fn call(&self, caller: &Caller, head: &http::request::Parts) -> Call {
        Call {
            request_id: self.ids.of(&head.headers),
            node: self.shared.node.clone(),
            arrived: now(),
            ip: caller.peer.address.ip(),
            user_agent: user_agent(&head.headers),
            subject: None,
            action: None,
            purpose: None,
            pack: None,
        }
    }
}

fn user_agent(headers: &http::HeaderMap) -> Option<Box<str>> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.get(..text.len().min(200))?.into())
}
