//! Requests that there is no room for: refused at once, and counted in one record a second.
//!
//! In: a call that nobody looked at. Out: a constant 503, and later a record of how many there
//! were. A record for each, awaited, would be the load that the refusal is there to avoid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use chartward_rules::proof::Entry;
use chartward_rules::record::{self, Call};
use chartward_rules::refusal::{Reason, Refusal};
use http::Response;
use tokio::time::sleep;

use super::super::gate::Body;
use super::Core;
use super::reply::Answer;
use crate::base::clock::now;

/// Between two records of what was refused.
const PERIOD: Duration = Duration::from_secs(1);

/// What a core has refused since its last record of it.
#[derive(Default)]
pub(super) struct Shed {
    requests: AtomicU64,
}

impl Core {
    /// Refuses a request that nobody has looked at.
    pub(super) fn shed(self: &Arc<Self>, call: Call, is_head: bool) -> Response<Body> {
        self.shared.metrics.refused(Reason::Overloaded);
        if self.shed.requests.fetch_add(1, Relaxed) == 0 {
            let core = self.clone();
            tokio::spawn(async move {
                sleep(PERIOD).await;
                core.tell_shed();
            });
        }
        let call = Arc::new(call);
        let (head, released) = Refusal::unseen(call.clone());
        let answer = Answer {
            head,
            length: Some(released.len()),
            body: Body::Once(Some(released)),
            request_id: call.request_id.clone(),
        };
        answer.into_response(is_head)
    }

    /// Notes how many were refused, if any.
    pub(super) fn tell_shed(&self) {
        let requests = self.shed.requests.swap(0, Relaxed);
        if requests > 0 {
            let fields = format!(
                r#""decision":{{"outcome":"refuse","reason":"overloaded"}},"requests":{requests}"#
            );
            let record = record::event(now(), "shed", &self.shared.node, &fields);
            self.recorder.note(Entry::own(record));
        }
    }
}
