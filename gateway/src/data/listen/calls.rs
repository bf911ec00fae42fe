//! Between hyper and the handler: limits that hyper doesn't know, and noting when answers end.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tokio::sync::watch;

use super::{
    Handler, Shared,
    pulse::{Open, Owed, Pulse},
};
use crate::base::config::Limits;

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
        let http1 = request.version() < Version::HTTP_2;
        if let Some(status) = excess(&request, &self.shared.limits) {
            return Box::pin(async move {
                let mut response = Response::new(Ending::new(H::Body::default(), open));
                *response.status_mut() = status;
                last(&mut response, http1);
                Ok(response)
            });
        }
        let answer = H::handle(self.core.clone(), self.caller.clone(), request);
        let quitting = self.quitting.clone();
        Box::pin(async move {
            let mut response = answer.await.map(|body| Ending::new(body, open));
            last(&mut response, http1 && *quitting.borrow());
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

/// What a request has too much of, if anything.
fn excess<B>(request: &Request<B>, limits: &Limits) -> Option<StatusCode> {
    let uri = request.uri();
    let part = |text: Option<&str>| text.map_or(0, str::len);
    let target = part(uri.path_and_query().map(|target| target.as_str()));
    let authority = part(uri.authority().map(|authority| authority.as_str()));
    if target + authority > limits.url_bytes {
        return Some(StatusCode::URI_TOO_LONG);
    }
    let headers = request.headers();
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let over = headers.len() > limits.header_count || bytes > limits.header_bytes;
    over.then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// A body whose end, and whose waiting for the caller, the connection's pulse feels.
pub(super) struct Ending<B> {
    body: B,
    owed: Option<Owed>,
    open: Open,
}

impl<B: Body> Ending<B> {
    fn new(body: B, open: Open) -> Self {
        let owed = if body.is_end_stream() {
            None
        } else {
            Owed::new(&open)
        };
        Self { body, owed, open }
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
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.owed = Owed::new(&self.open);
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
