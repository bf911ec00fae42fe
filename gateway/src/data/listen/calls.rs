//! Between hyper and the handler: limits that hyper doesn't know, and noting when answers end.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Version,
    header::{CONNECTION, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tokio::sync::watch;

use super::{
    Excess, Handler, Shared,
    pulse::{Open, Owed, Pulse},
    slots::Busy,
    upload::Upload,
};
use crate::base::config::{Limit, Limits};

/// The service of one connection.
pub(super) struct Calls<H: Handler> {
    pub core: H::Core,
    pub caller: Arc<H::Caller>,
    pub pulse: Arc<Pulse>,
    pub shared: Arc<Shared>,
    pub quitting: watch::Receiver<bool>,
}

impl<H: Handler> Service<Request<Incoming>> for Calls<H> {
    type Response = Response<Ending<H::Body>>;
    type Error = Infallible;
    /// Boxed: an idle connection would carry its size.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Open::new(&self.pulse);
        let (core, caller) = (self.core.clone(), self.caller.clone());
        let (head, body) = request.into_parts();
        let http1 = head.version < Version::HTTP_2;
        if !http1 && open.among() >= self.shared.limits.h2_streams {
            // the protocol's own implementation refuses the next one, unseen
            self.shared.metrics.exceeded(Limit::H2Streams);
        }
        // behind chunks nothing is looked at (see `heads`)
        let chunked = http1 && head.headers.contains_key(TRANSFER_ENCODING);
        let Some(busy) = Busy::begin(&self.shared) else {
            self.shared.metrics.exceeded(Limit::Requests);
            let mut response =
                H::shed(&core, &caller, &head).map(|body| Ending::new(body, open, None));
            last(&mut response, chunked);
            return Box::pin(async { Ok(response) });
        };
        if let Some((excess, limit)) = excess(&head, &self.shared.limits) {
            self.shared.metrics.exceeded(limit);
            return Box::pin(async move {
                let answer = H::refuse_head(core, caller, head, excess).await;
                let mut response = answer.map(|body| Ending::new(body, open, Some(busy)));
                last(&mut response, http1);
                Ok(response)
            });
        }
        let body = Upload::new(body, self.shared.clone(), busy.clone());
        let answer = H::handle(core, caller, Request::from_parts(head, body));
        let quitting = self.quitting.clone();
        Box::pin(async move {
            let answer = answer.await;
            let mut response = answer.map(|body| Ending::new(body, open, Some(busy)));
            last(&mut response, chunked || http1 && *quitting.borrow());
            Ok(response)
        })
    }
}

/// Tells the caller, and hyper, that the connection ends with this answer.
fn last<B>(response: &mut Response<B>, is: bool) {
    if is {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
}

/// What a head has too much of, if anything.
fn excess(head: &Parts, limits: &Limits) -> Option<(Excess, Limit)> {
    let part = |text: Option<&str>| text.map_or(0, str::len);
    let target = part(head.uri.path_and_query().map(|target| target.as_str()));
    let authority = part(head.uri.authority().map(|authority| authority.as_str()));
    if target + authority > limits.url_bytes {
        return Some((Excess::Target, Limit::UrlBytes));
    }
    if head.headers.len() > limits.header_count {
        return Some((Excess::Headers, Limit::HeaderCount));
    }
    let each = head.headers.iter();
    let bytes: usize = each
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    (bytes > limits.header_bytes).then_some((Excess::Headers, Limit::HeaderBytes))
}

/// A body whose end, and whose waiting for the caller, the connection's pulse feels.
pub(super) struct Ending<B> {
    body: B,
    owed: Option<Owed>,
    open: Open,
    _busy: Option<Arc<Busy>>,
}

impl<B: Body<Data = Bytes>> Ending<B> {
    fn new(body: B, mut open: Open, busy: Option<Arc<Busy>>) -> Self {
        let owed = if body.is_end_stream() {
            open.answered();
            None
        } else {
            Owed::new(&open, 0)
        };
        Self {
            body,
            owed,
            open,
            _busy: busy,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Ending<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.owed = None;
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.owed = Owed::new(&self.open, bytes);
                if self.body.is_end_stream() {
                    self.open.answered();
                }
            }
            Poll::Ready(None) => self.open.answered(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
