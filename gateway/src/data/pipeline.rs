//! The way of a request, from top to bottom: head, caller, interaction, decision, record,
//! upstream, judged windows. The one place that knows every stage.

mod call;
mod caller;
mod enter;
mod questions;
mod renew;
mod reply;
mod rest;
mod shed;
mod state;

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chartward_rules::decide::{self, Facts, Permit, Sealer, UpstreamHead, Verdict, decide};
use chartward_rules::fhir::interaction::Interaction;
use chartward_rules::record::Call;
use chartward_rules::refusal::{No, Reason};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout_at};

use super::gate::{Body, Stream};
use super::http as head_stage;
use super::listen::{Busy, Excess, Gathered, Handler, Peer, Upload};
use super::pages::{Pages, Position};
use super::upstream::Ask;
use crate::base::clock::now;
use crate::base::journal::{Journal, Recorder};
use crate::base::live::Live;
use crate::base::metrics::{Metrics, Outcome};
use renew::Renewal;
use reply::{Answer, Refused};
use rest::{Guard, Rest, of_fault};
use shed::Shed;
use state::View;

pub use caller::Caller;
pub use state::{Service, State};

/// Rounds of questions for one request (D26).
const ROUNDS: usize = 3;
/// How often a core that ends looks whether what it began has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What all cores share.
pub struct Pipeline {
    /// What a reload replaces.
    pub live: Live<State>,
    /// Seals page handles.
    pub pages: Pages,
    /// Where records go.
    pub journal: Arc<Journal>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Name of this process in records.
    pub node: Arc<str>,
}

/// What a core has for itself.
pub struct Core {
    shared: Arc<Pipeline>,
    recorder: Recorder,
    /// Of the version that the last request found. The lock is this core's own.
    view: Mutex<Arc<View>>,
    ids: head_stage::Ids,
    /// Requests that go on though their caller may have left.
    detached: AtomicUsize,
    /// Gives those up.
    cut: Notify,
    shed: Shed,
}

impl Core {
    /// The view of the version in force.
    fn view(&self) -> Arc<View> {
        let generation = self.shared.live.glance().generation;
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if view.version.generation != generation {
            let version = self.shared.live.now();
            *view = Arc::new(View::new(version, Some(&view), &self.shared.metrics));
        }
        view.clone()
    }
}

impl Handler for Pipeline {
    type Body = Body;
    type Core = Arc<Core>;
    type Caller = Caller;

    fn core(self: &Arc<Self>, _index: usize) -> Arc<Core> {
        let recorder = self.journal.recorder();
        tokio::spawn(recorder.run());
        let view = View::new(self.live.now(), None, &self.metrics);
        Arc::new(Core {
            shared: self.clone(),
            recorder,
            view: Mutex::new(Arc::new(view)),
            ids: head_stage::Ids::new(),
            detached: AtomicUsize::new(0),
            cut: Notify::new(),
            shed: Shed::default(),
        })
    }

    fn caller(_core: &Arc<Core>, peer: Peer) -> Caller {
        Caller::new(peer)
    }

    async fn finish(core: Arc<Core>, until: tokio::time::Instant) {
        let ended = async {
            while core.detached.load(Ordering::Relaxed) > 0 {
                sleep(LOOK).await;
            }
        };
        let mut ended = pin!(ended);
        // writes whose callers left run to their end
        if timeout_at(until, &mut ended).await.is_err() {
            // or say that it isn't known, while there is someone to say it to
            core.cut.notify_waiters();
            ended.await;
        }
        core.tell_shed();
        // the notes of requests that just ended are handed over by the recorder's own task
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    async fn handle(
        core: Arc<Core>,
        caller: Arc<Caller>,
        request: Request<Upload>,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let call = Box::new(core.call(&caller, &head));
        let mut exchange = Exchange::new(core, caller, &head);
        match exchange.enter(head, body, call).await {
            Err(refused) => exchange.refuse(refused).await,
            Ok(entered) if entered.interaction.is_unsafe() => detached(exchange, entered).await,
            Ok(entered) => exchange.serve(entered).await,
        }
    }

    async fn refuse_head(
        core: Arc<Core>,
        caller: Arc<Caller>,
        head: Parts,
        excess: Excess,
    ) -> Response<Body> {
        let no = No::new(match excess {
            Excess::Target => Reason::TargetTooLong,
            Excess::Headers => Reason::HeadTooLarge,
        });
        let call = Box::new(core.call(&caller, &head));
        let exchange = Exchange::new(core, caller, &head);
        exchange.refuse(Refused::new(no, call)).await
    }

    fn shed(core: &Arc<Core>, caller: &Caller, head: &Parts) -> Response<Body> {
        core.shed(core.call(caller, head), head.method == Method::HEAD)
    }
}

/// A request that is understood, and whose body is read.
struct Entered {
    /// The place of its service.
    place: usize,
    interaction: Arc<Interaction>,
    call: Box<Call>,
    /// `X-Purpose-Of-Use`
    purpose: Option<Box<str>>,
    /// `Authorization`
    authorization: Option<HeaderValue>,
    /// The caller's headers that go upstream.
    passing: Vec<(HeaderName, HeaderValue)>,
    /// Its part of the memory that bodies share.
    _body: Option<Gathered>,
    /// Its place among the requests that are answered at once.
    _busy: Arc<Busy>,
}

/// One request on its way.
struct Exchange {
    core: Arc<Core>,
    /// What the whole request is served under.
    view: Arc<View>,
    caller: Arc<Caller>,
    began: Instant,
    /// The place of its service, once known.
    place: Option<usize>,
    interaction: Option<Arc<Interaction>>,
    /// Only the head is asked for.
    is_head: bool,
    /// Closed where the caller left and the request goes on without him.
    stays: Option<oneshot::Sender<()>>,
    /// How it ends is counted, or will be by its guard.
    counted: AtomicBool,
}

/// Runs what may change something to its true outcome, whether or not the caller stays.
async fn detached(mut exchange: Exchange, entered: Entered) -> Response<Body> {
    let (stays, _here) = oneshot::channel();
    exchange.stays = Some(stays);
    let core = exchange.core.clone();
    core.detached.fetch_add(1, Ordering::Relaxed);
    let ends = Ends(core);
    let task = tokio::spawn(async move {
        let _ends = ends;
        let core = exchange.core.clone();
        tokio::select! {
            biased;
            response = exchange.serve(entered) => response,
            () = core.cut.notified() => Response::new(Body::Empty),
        }
    });
    match task.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            // as without the task: this connection ends
            Ok(panic) => resume_unwind(panic),
            // the runtime is gone, and this connection with it
            Err(_) => Response::new(Body::Empty),
        },
    }
}

/// Counts a detached request until it ends.
struct Ends(Arc<Core>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.detached.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Exchange {
    fn new(core: Arc<Core>, caller: Arc<Caller>, head: &Parts) -> Self {
        Self {
            view: core.view(),
            core,
            caller,
            began: Instant::now(),
            place: None,
            interaction: None,
            is_head: head.method == Method::HEAD,
            stays: None,
            counted: AtomicBool::new(false),
        }
    }

    /// Decision, record, upstream, judged windows.
    async fn serve(&self, entered: Entered) -> Response<Body> {
        match self.try_serve(entered).await {
            Ok(answer) => {
                // a batch's "not found" tells as little by its time as one alone
                if self.interaction.as_ref().is_some_and(|i| i.may_miss()) {
                    self.tick().await;
                }
                self.reply(answer)
            }
            Err(refused) => self.refuse(refused).await,
        }
    }

    async fn try_serve(&self, entered: Entered) -> Result<Answer, Refused> {
        let Entered {
            place,
            interaction,
            mut call,
            purpose,
            authorization,
            passing,
            _body,
            _busy,
        } = entered;
        let Some(service) = self.view.version.services.get(place) else {
            return Err(Refused::new(No::new(Reason::NotUnderstood), call));
        };
        let mut facts = Facts::none();
        for round in 0..=ROUNDS {
            let sealer = |call: &Call, of: &Interaction| seal(&self.core, &service.name, call, of);
            let purpose = purpose.as_deref();
            let (program, rules) = (&service.program, &service.rules);
            match decide(program, rules, &interaction, call, purpose, &facts, sealer) {
                Verdict::Permit(permit) => {
                    let renewal = || Renewal {
                        view: self.view.clone(),
                        caller: self.caller.clone(),
                        service: service.name.clone(),
                        interaction: interaction.clone(),
                        authorization,
                        purpose: purpose.map(Into::into),
                        facts,
                    };
                    let renewal = interaction.may_go_on().then(|| Box::new(renewal()));
                    return self.forward(place, *permit, passing, renewal).await;
                }
                Verdict::Answer(answer) => return self.answer(answer).await,
                Verdict::Refuse(no, call) => return Err(Refused::new(no, call)),
                Verdict::Ask(asked) => {
                    let learned = if round < ROUNDS {
                        self.ask(place, round == 0, &asked, &passing, &mut facts)
                            .await
                    } else {
                        Err(No::new(Reason::FactsUnavailable).because("too many questions"))
                    };
                    call = asked.into_call();
                    if let Err(no) = learned {
                        return Err(Refused::new(no, call));
                    }
                }
            }
        }
        Err(Refused::new(No::new(Reason::FactsUnavailable), call))
    }

    /// An answer of the gateway's own.
    async fn answer(&self, answer: decide::Answer) -> Result<Answer, Refused> {
        let call = answer.call().clone();
        let unwritten = || Refused {
            no: No::new(Reason::JournalUnavailable),
            call: call.clone(),
            sent: false,
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
        passing: Vec<(HeaderName, HeaderValue)>,
        renewal: Option<Box<Renewal>>,
    ) -> Result<Answer, Refused> {
        let recorder = &self.core.recorder;
        let call = permit.call().clone();
        let refuse = |no| Refused {
            no,
            call: call.clone(),
            sent: false,
        };
        let unwritten = || refuse(No::new(Reason::JournalUnavailable));
        let attempt = permit.attempt(now());
        let receipt = if permit.waits() {
            // what may change something isn't begun without its record
            Some(recorder.commit(attempt).await.map_err(|_| unwritten())?)
        } else {
            recorder.note(attempt);
            None
        };
        let (outbound, mut judge) = permit.open(receipt).map_err(|_| unwritten())?;
        let value = |text: &str| HeaderValue::try_from(text).ok();
        let ask = Ask {
            method: Method::from_bytes(outbound.method().as_bytes()).unwrap_or_default(),
            path_and_query: outbound.target().to_owned(),
            content_type: outbound.content_type(),
            body: outbound.body().clone(),
            headers: passing,
            search: outbound.strict(),
            representation: outbound.representation(),
            if_match: outbound.if_match().and_then(value),
            if_none_exist: outbound.if_none_exist().and_then(value),
            if_none_match: outbound.if_none_match(),
        };
        // a condition that can't be sent must not be dropped
        let conditions = [
            outbound.if_match().is_some() == ask.if_match.is_some(),
            outbound.if_none_exist().is_some() == ask.if_none_exist.is_some(),
        ];
        if conditions.contains(&false) {
            return Err(refuse(No::new(Reason::NotUnderstood).because("condition")));
        }
        let Some(pool) = self.view.pool(place) else {
            return Err(refuse(No::new(Reason::UpstreamUnavailable)));
        };
        // from here on, a caller who leaves is recorded as one
        let mut guard = Guard::new(self, &call);
        let answer = match pool.send(&ask).await {
            Ok(answer) => answer,
            Err(fault) => {
                let no = of_fault(&fault);
                if fault.is_unsent() {
                    guard.disarm();
                    return Err(refuse(no));
                }
                guard.refused(no.reason);
                return Err(refuse(no).sent());
            }
        };
        let status = answer.status.as_u16();
        guard.upstream = Some(status);
        let head = UpstreamHead {
            status,
            json: answer.is_json(),
            location: answer.location(),
            etag: answer.etag(),
            last_modified: answer.last_modified(),
        };
        if let Err(no) = judge.head(head) {
            guard.refused(no.reason);
            answer.discard();
            return Err(refuse(no).sent());
        }
        if let Some(length) = answer.body.announced() {
            judge.announced(length);
        }
        let mut rest = Rest {
            core: self.core.clone(),
            judge,
            upstream: answer.body,
            guard,
            renewal,
            refused: None,
        };
        match rest.window().await {
            Ok(Some((window, last))) => {
                let (Some(head), released) = window else {
                    return Err(refuse(No::new(Reason::UpstreamInvalid)));
                };
                rest.guard.status = head.status;
                let length = last.then_some(released.len());
                let body = if last && self.caller_left() {
                    // what is dropped with the guard says so
                    Body::Empty
                } else if last {
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
                rest.guard.refused(no.reason);
                let call = rest.refused.take().unwrap_or(call);
                let sent = true;
                Err(Refused { no, call, sent })
            }
        }
    }

    /// Whether a detached request's caller left.
    fn caller_left(&self) -> bool {
        self.stays.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // the caller left before there was anything to guard
        if !self.counted.load(Ordering::Relaxed) {
            self.finished(Outcome::Abandoned);
        }
    }
}

/// Seals positions for the caller of a request, under its settled purpose.
fn seal(core: &Arc<Core>, service: &Arc<str>, call: &Call, of: &Interaction) -> Sealer {
    let (core, service) = (core.clone(), service.clone());
    let subject = call.subject.clone();
    let purpose: Box<str> = call.purpose.as_deref().unwrap_or("").into();
    let (place, query) = (of.place(), of.query());
    Arc::new(move |upstream| {
        let position = Position::new(&place, &query, upstream, &purpose, now());
        let subject = subject.as_deref();
        subject
            .and_then(|s| core.shared.pages.seal(&service, s, &position))
            .unwrap_or_default()
    })
}
