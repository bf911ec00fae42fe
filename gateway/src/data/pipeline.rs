//! The way of a request, from top to bottom: head, caller, interaction, decision, record,
//! upstream, judged windows. The one place that knows every stage.

mod rest;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chartward_rules::decide::{self, Permit, Sealer, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request as Asked, understand};
use chartward_rules::fhir::search::{self, Search};
use chartward_rules::fhir::target;
use chartward_rules::pack::Program;
use chartward_rules::record::Call;
use chartward_rules::refusal::{AnswerHead, No, Reason, Refusal};
use chartward_rules::subject::{Kind, Subject};
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::gate::{Body, Stream};
use super::http as head_stage;
use super::identity::{Identity, PeerCertificate, ServiceId};
use super::listen::{Handler, Peer};
use super::pages::{Pages, Position};
use super::upstream::{Ask, Pool, Target};
use crate::base::clock::now;
use crate::base::config::{Ceiling, Limits};
use crate::base::journal::{Journal, Recorder};
use crate::base::metrics::{Metrics, Outcome, ServiceMetrics};
use rest::{Guard, Rest, of_fault};

/// One service, ready to serve.
pub struct Service {
    /// Its name in records and handles.
    pub name: String,
    /// Its path under the public URL: `/fhir`.
    pub path: String,
    /// What deciding needs of it.
    pub rules: decide::Service,
    /// Its packs.
    pub program: Arc<Program>,
    /// Who its callers are.
    pub identity: ServiceId,
    /// Where its server is.
    pub target: Arc<Target>,
    /// Ceilings of applications (D31), by client id; `None` stands for all others.
    pub ceilings: Vec<(Option<String>, Ceiling)>,
    /// Its figures.
    pub metrics: Arc<ServiceMetrics>,
}

/// What all cores share.
pub struct Pipeline {
    /// The services; their paths don't overlap.
    pub services: Vec<Service>,
    /// Tells callers.
    pub identity: Identity,
    /// Seals page handles.
    pub pages: Pages,
    /// Where records go.
    pub journal: Arc<Journal>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Caps and deadlines.
    pub limits: Limits,
    /// "Not found" leaves at a multiple of this (D15).
    pub quantum: Duration,
    /// Name of this process in records.
    pub node: Arc<str>,
}

/// What a core has for itself.
pub struct Core {
    shared: Arc<Pipeline>,
    recorder: Recorder,
    /// By service.
    pools: Vec<Pool>,
    ids: head_stage::Ids,
}

/// A connection's other end.
pub struct Caller {
    peer: Peer,
    /// `None` without a certificate; an unreadable one counts as an invalid credential.
    certificate: Option<Result<PeerCertificate, ()>>,
}

impl Handler for Pipeline {
    type Body = Body;
    type Core = Arc<Core>;
    type Caller = Caller;

    fn core(self: &Arc<Self>, _index: usize) -> Arc<Core> {
        let recorder = self.journal.recorder();
        tokio::spawn(recorder.run());
        let pools = self
            .services
            .iter()
            .map(|s| Pool::new(s.target.clone(), self.metrics.clone()));
        Arc::new(Core {
            shared: self.clone(),
            recorder,
            pools: pools.collect(),
            ids: head_stage::Ids::new(),
        })
    }

    fn caller(_core: &Arc<Core>, peer: Peer) -> Caller {
        let read = |der: &[u8]| PeerCertificate::read(der).map_err(drop);
        let certificate = peer.certificate.as_ref().map(|der| read(der));
        Caller { peer, certificate }
    }

    async fn finish(_core: Arc<Core>) {
        // the notes of requests that just ended are handed over by the recorder's own task
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    async fn handle(
        core: Arc<Core>,
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let call = Box::new(Call {
            request_id: core.ids.of(&head.headers),
            node: core.shared.node.clone(),
            arrived: now(),
            ip: caller.peer.address.ip(),
            user_agent: user_agent(&head.headers),
            subject: None,
            action: None,
            purpose: None,
            pack: None,
        });
        let is_head = head.method == Method::HEAD;
        let is_last = head_stage::ends_connection(&head);
        let mut exchange = Exchange {
            core: &core,
            began,
            service: None,
            interaction: None,
            is_head,
        };
        let mut response = match exchange.run(&caller, head, body, call).await {
            Ok(answer) => answer.into_response(is_head),
            Err(refused) => exchange.refuse(refused, is_head).await,
        };
        if is_last {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A refusal on its way, with the call that it answers.
struct Refused {
    no: No,
    call: Arc<Call>,
}

/// An answer whose first window is released.
struct Answer {
    head: AnswerHead,
    body: Body,
    length: Option<usize>,
    request_id: Box<str>,
}

/// One request on its way.
struct Exchange<'c> {
    core: &'c Arc<Core>,
    began: Instant,
    service: Option<&'c Service>,
    interaction: Option<Interaction>,
    /// Only the head is asked for.
    is_head: bool,
}

impl<'c> Exchange<'c> {
    async fn run(
        &mut self,
        caller: &Caller,
        head: http::request::Parts,
        body: Incoming,
        mut call: Box<Call>,
    ) -> Result<Answer, Refused> {
        macro_rules! or_refuse {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(no) => {
                        return Err(Refused {
                            no,
                            call: Arc::from(*call),
                        })
                    }
                }
            };
        }
        let shared = &self.core.shared;

        // the head: one reading, one service
        or_refuse!(head_stage::unambiguous(&head));
        let (place, service, below) = or_refuse!(self.route(head.uri.path()));
        self.service = Some(service);

        // the caller
        let subject = or_refuse!(self.identify(service, caller, &head, below).await);
        call.subject = Some(subject.clone());

        // the interaction: the same reading is decided on and sent
        or_refuse!(head_stage::acceptable(&head));
        let method = head.method.as_str();
        let form = if Interaction::takes_form(method, below) {
            let limits = &shared.limits;
            Some(or_refuse!(
                head_stage::form(&head, body, limits.body_bytes, limits.body).await
            ))
        } else {
            None
        };
        let query = head.uri.query().unwrap_or("");
        let asked = Asked {
            method,
            path: below,
            query,
            form: form.as_deref(),
        };
        let mut interaction = or_refuse!(understand(asked));
        call.action = Some(interaction.action());
        if let Interaction::Search(search) = &mut interaction {
            or_refuse!(self.resume(service, &subject, search));
        }
        self.interaction = Some(interaction.clone());
        let purpose = or_refuse!(head_stage::once(&head.headers, &head_stage::PURPOSE));

        // the decision
        let sealer = |call: &Call| sealer(self.core, place, call, &interaction);
        let permit = match decide(
            &service.program,
            &service.rules,
            interaction.clone(),
            call,
            purpose,
            sealer,
        ) {
            Verdict::Permit(permit) => permit,
            Verdict::Answer(answer) => return self.answer(answer).await,
            Verdict::Refuse(no, call) => {
                return Err(Refused {
                    no,
                    call: Arc::from(*call),
                });
            }
        };

        // record, upstream, judged windows
        self.forward(place, *permit, &head.headers).await
    }

    /// The service whose path the target is under, and what follows.
    fn route<'t>(&self, path: &'t str) -> Result<(usize, &'c Service, &'t str), No> {
        let core: &'c Core = self.core;
        for (place, service) in core.shared.services.iter().enumerate() {
            if let Some(below) = path.strip_prefix(&*service.path)
                && (below.is_empty() || below.starts_with('/'))
            {
                return Ok((place, service, below));
            }
        }
        Err(No::new(Reason::NotUnderstood).because("no service has this path"))
    }

    async fn identify(
        &self,
        service: &Service,
        caller: &Caller,
        head: &http::request::Parts,
        below: &str,
    ) -> Result<Arc<Subject>, No> {
        let identity = &self.core.shared.identity;
        let peer = match &caller.certificate {
            None => None,
            Some(Ok(peer)) => Some(peer),
            Some(Err(())) => {
                return Err(
                    No::new(Reason::Unauthenticated).because("an unreadable client certificate")
                );
            }
        };
        let subject = match identity
            .resolve(service.identity, &head.headers, peer, now())
            .await
        {
            Ok(subject) => subject,
            // what the gateway is may be known without a credential, not with a bad one
            Err(no)
                if no.reason == Reason::Unauthenticated
                    && below == "/metadata"
                    && !head.headers.contains_key(header::AUTHORIZATION) =>
            {
                Arc::new(Subject::anonymous())
            }
            Err(no) => return Err(no),
        };
        Ok(under_ceiling(service, subject))
    }

    /// Opens a page handle: the search it goes on with is decided anew, as its first page was.
    fn resume(&self, service: &Service, subject: &Subject, search: &mut Search) -> Result<(), No> {
        let Some(handle) = search.page.take() else {
            return Ok(());
        };
        let position = self
            .core
            .shared
            .pages
            .open(&service.name, subject, &handle, now())?;
        let resource = search.resource;
        if chartward_rules::fhir::tables::r4().name(resource) != position.resource {
            return Err(
                No::named(Reason::NotUnderstood, "_page").because("a handle of another type")
            );
        }
        *search = Search::understand(resource, target::pairs(&position.query)?, false)?;
        search.position = Some(position.upstream);
        search.purpose = Some(position.purpose);
        Ok(())
    }

    /// An answer of the gateway's own.
    async fn answer(&self, answer: decide::Answer) -> Result<Answer, Refused> {
        let call = answer.call().clone();
        let unwritten = || Refused {
            no: No::new(Reason::JournalUnavailable),
            call: call.clone(),
        };
        let entry = answer.entry(now());
        let receipt = self
            .core
            .recorder
            .commit(entry)
            .await
            .map_err(|_| unwritten())?;
        let (head, released) = answer.answer(receipt).map_err(|_| unwritten())?;
        self.finished(Outcome::Answered);
        Ok(Answer {
            head,
            length: Some(released.len()),
            body: Body::Once(Some(released)),
            request_id: call.request_id.clone(),
        })
    }

    async fn forward(
        &self,
        place: usize,
        permit: Permit,
        headers: &http::HeaderMap,
    ) -> Result<Answer, Refused> {
        let recorder = &self.core.recorder;
        recorder.note(permit.attempt(now()));
        let call = permit.call().clone();
        let refuse = |no| Refused {
            no,
            call: call.clone(),
        };
        let unwritten = |_| refuse(No::new(Reason::JournalUnavailable));
        let (outbound, mut judge) = permit.open(None).map_err(unwritten)?;
        let ask = Ask {
            method: if outbound.method() == "POST" {
                Method::POST
            } else {
                Method::GET
            },
            path_and_query: outbound.target().to_owned(),
            content_type: outbound.form().map(|_| "application/x-www-form-urlencoded"),
            body: outbound
                .form()
                .map_or_else(Bytes::new, |form| Bytes::copy_from_slice(form.as_bytes())),
            headers: head_stage::passed_on(headers, &call.request_id),
            search: outbound.strict(),
            ..Ask::default()
        };
        let Some(pool) = self.core.pools.get(place) else {
            return Err(refuse(No::new(Reason::UpstreamUnavailable)));
        };
        // from here on, a caller who leaves is recorded as one
        let mut guard = Guard::new(self, &call);
        let answer = match pool.send(&ask).await {
            Ok(answer) => answer,
            Err(fault) => {
                guard.disarm();
                return Err(refuse(of_fault(&fault)));
            }
        };
        let status = answer.status.as_u16();
        guard.upstream = Some(status);
        if let Err(no) = judge.head(status, answer.is_json()) {
            guard.disarm();
            answer.discard();
            return Err(refuse(no));
        }
        if let Some(length) = answer.body.announced() {
            judge.announced(length);
        }
        let mut rest = Rest {
            core: self.core.clone(),
            judge,
            upstream: answer.body,
            guard,
        };
        match rest.window().await {
            Ok(Some((window, last))) => {
                let (Some(head), released) = window else {
                    return Err(refuse(No::new(Reason::UpstreamInvalid)));
                };
                let length = last.then_some(released.len());
                let body = if last {
                    rest.complete();
                    Body::Once(Some(released))
                } else if self.is_head {
                    rest.head_only();
                    Body::Empty
                } else {
                    Body::Stream(Stream::new(released, rest))
                };
                Ok(Answer {
                    head,
                    body,
                    length,
                    request_id: call.request_id.clone(),
                })
            }
            Ok(None) => {
                rest.guard.disarm();
                Err(refuse(No::new(Reason::NotFound).because("not visible")))
            }
            Err(no) => {
                rest.guard.disarm();
                Err(refuse(no))
            }
        }
    }

    /// The one place where refusals become responses.
    async fn refuse(&self, refused: Refused, is_head: bool) -> Response<Body> {
        let Refused { no, call } = refused;
        let shared = &self.core.shared;
        let reason = no.reason;
        let refusal = Refusal::new(no, call.clone());
        let recorded = match self.core.recorder.commit(refusal.entry()).await {
            Ok(receipt) => refusal.answer(receipt).ok(),
            Err(_) => None,
        };
        shared.metrics.refused(if recorded.is_some() {
            reason
        } else {
            Reason::JournalUnavailable
        });
        self.finished(Outcome::Refused);
        let (head, released) = recorded.unwrap_or_else(|| Refusal::unrecorded(call.clone()));
        if reason == Reason::NotFound {
            wait_for_tick(self.began, shared.quantum).await;
        }
        let length = Some(released.len());
        let answer = Answer {
            head,
            body: Body::Once(Some(released)),
            length,
            request_id: call.request_id.clone(),
        };
        answer.into_response(is_head)
    }

    fn finished(&self, outcome: Outcome) {
        let metrics = &self.core.shared.metrics;
        if let Some(service) = self.service {
            service.metrics.count(self.interaction.as_ref(), outcome);
        }
        metrics
            .request_seconds
            .observe(self.began.elapsed().as_secs_f64());
    }
}

impl Answer {
    fn into_response(self, is_head: bool) -> Response<Body> {
        let mut response = Response::new(if is_head { Body::Empty } else { self.body });
        *response.status_mut() = http::StatusCode::from_u16(self.head.status).unwrap_or_default();
        let headers = response.headers_mut();
        for (name, value) in &self.head.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(head_stage::REQUEST_ID, id);
        }
        if let (true, Some(length)) = (is_head, self.length) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// Seals positions for the caller of this request, under its settled purpose.
fn sealer(core: &Arc<Core>, place: usize, call: &Call, interaction: &Interaction) -> Sealer {
    let core = core.clone();
    let subject = call.subject.clone();
    let purpose: Box<str> = call.purpose.as_deref().unwrap_or("").into();
    let (resource, query) = match interaction {
        Interaction::Search(search) => (search.resource, search::write(search)),
        _ => return Arc::new(|_| String::new()),
    };
    let name = chartward_rules::fhir::tables::r4().name(resource);
    Arc::new(move |upstream| {
        let position = Position::new(name, &query, upstream, &purpose, now());
        let service = core.shared.services.get(place).map_or("", |s| &s.name);
        let subject = subject.as_deref();
        subject
            .and_then(|s| core.shared.pages.seal(service, s, &position))
            .unwrap_or_default()
    })
}

/// D31: an application's roles are the ceiling of those who call through it.
fn under_ceiling(service: &Service, subject: Arc<Subject>) -> Arc<Subject> {
    if !matches!(subject.kind, Kind::Person | Kind::Application) {
        return subject;
    }
    let of = |id: Option<&str>| {
        service
            .ceilings
            .iter()
            .find(|(known, _)| known.as_deref() == id)
    };
    let ceiling = subject
        .client
        .as_deref()
        .and_then(|id| of(Some(id)))
        .or_else(|| of(None));
    let Some((_, ceiling)) = ceiling else {
        return subject;
    };
    if subject.roles.iter().all(|role| ceiling.admits(role)) {
        return subject;
    }
    let mut lowered = Subject::clone(&subject);
    lowered.roles.retain(|role| ceiling.admits(role));
    Arc::new(lowered)
}

fn user_agent(headers: &http::HeaderMap) -> Option<Box<str>> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.get(..text.len().min(200))?.into())
}

/// D15: the time of a "not found" doesn't tell why.
async fn wait_for_tick(began: Instant, quantum: Duration) {
    let nanos = quantum.as_nanos().max(1);
    let passed = began.elapsed().as_nanos();
    let ticks = passed / nanos + 1;
    let wait = ticks * nanos - passed;
    sleep(Duration::from_nanos(u64::try_from(wait).unwrap_or(0))).await;
}
