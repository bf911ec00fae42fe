//! Asks the rules as the gateway does: decide, open, feed, record, release.
#![allow(dead_code)] // not every test file looks at every part

pub mod store;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chartward_rules::decide::{Facts, Held, Service, Turn, UpstreamHead, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::pack::Program;
use chartward_rules::proof::{Mint, Raw};
use chartward_rules::record::{Call, Time};
use chartward_rules::source::Source;
use chartward_rules::subject::{Authority, Kind, Subject};

#[derive(Debug)]
pub enum Asked {
    Leaves(String),
    Missing,
    Refused(&'static str, Option<String>),
    Fault(String),
}

pub fn pack(text: &str) -> Arc<Program> {
    match Program::compile(&[Source::new("pack.toml", text)]) {
        Ok(program) => Arc::new(program),
        Err(errors) => panic!("{}", errors.render()),
    }
}

pub fn subject(roles: &[&str]) -> Subject {
    Subject {
        kind: Kind::Person,
        issuer: "https://idp".into(),
        sub: "u1".into(),
        roles: roles.iter().map(|r| (*r).into()).collect(),
        scopes: Authority::Unscoped,
        ..Subject::anonymous()
    }
}

pub fn ask(program: &Arc<Program>, role: &str, target: &str, answer: &str) -> Asked {
    ask_as(program, role, target, answer, usize::MAX)
}

pub fn ask_as(
    program: &Arc<Program>,
    role: &str,
    target: &str,
    answer: &str,
    piece: usize,
) -> Asked {
    ask_with(program, subject(&[role]), target, answer, piece)
}

pub fn ask_with(
    program: &Arc<Program>,
    subject: Subject,
    target: &str,
    answer: &str,
    piece: usize,
) -> Asked {
    ask_bytes(program, subject, target, answer.as_bytes(), piece)
}

pub fn ask_bytes(
    program: &Arc<Program>,
    subject: Subject,
    target: &str,
    answer: &[u8],
    piece: usize,
) -> Asked {
    let mint = mint();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let interaction = match understand(Request::new("GET", path, query)) {
        Ok(interaction) => interaction,
        Err(no) => return Asked::Refused(no.reason.code(), no.name.map(String::from)),
    };
    let call = call(subject);
    let service = service();
    let seal = |_: &Call, _: &Interaction| -> chartward_rules::decide::Sealer {
        Arc::new(|position: &str| format!("[{position}]"))
    };
    let permit = match decide(
        program,
        &service,
        &interaction,
        Box::new(call),
        None,
        &Facts::none(),
        seal,
    ) {
        Verdict::Permit(permit) => permit,
        Verdict::Refuse(no, _) => {
            return Asked::Refused(no.reason.code(), no.name.map(String::from));
        }
        Verdict::Answer(_) => panic!("a local answer"),
        Verdict::Ask(_) => panic!("questions"),
    };
    let (_, mut judge) = permit.open(None).expect("reads need no receipt");
    let head = UpstreamHead {
        status: 200,
        json: true,
        location: None,
        etag: None,
        last_modified: None,
    };
    judge.head(head).expect("200");
    WINDOWS.with_borrow_mut(Vec::clear);
    DISCLOSED.with_borrow_mut(Vec::clear);
    let mut body = Vec::new();
    for chunk in answer.chunks(piece.max(1)) {
        if let Err(fault) = judge.push(Raw::new(Bytes::copy_from_slice(chunk))) {
            return Asked::Fault(fault.to_string());
        }
        while let Turn::Held(held) = judge.turn(Time(1)) {
            release(held, mint, &mut body);
        }
    }
    if let Err(fault) = judge.end() {
        return Asked::Fault(fault.to_string());
    }
    loop {
        match judge.turn(Time(1)) {
            Turn::Held(held) => release(held, mint, &mut body),
            Turn::Missing => return Asked::Missing,
            Turn::Done(_) => return Asked::Leaves(String::from_utf8(body).expect("utf-8")),
            Turn::Feed => panic!("ended, yet wants more"),
        }
    }
}

/// The one mint of this process.
pub fn mint() -> &'static Mint {
    static MINT: OnceLock<Mint> = OnceLock::new();
    MINT.get_or_init(|| Mint::take().expect("one mint"))
}

pub fn call(subject: Subject) -> Call {
    Call {
        request_id: "r".into(),
        node: "n".into(),
        arrived: Time(0),
        ip: [127, 0, 0, 1].into(),
        user_agent: None,
        subject: Some(Arc::new(subject)),
        action: None,
        purpose: None,
        pack: None,
    }
}

pub fn service() -> Service {
    Service {
        base: "https://gw/fhir".into(),
        upstream_path: "/fhir".into(),
        page_default: 50,
        page_max: 500,
        withheld_notice: true,
        row_max: 32 << 20,
        window: 256 << 10,
    }
}

thread_local! {
    /// Lengths of the windows of the last answer.
    pub static WINDOWS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// What the records of the last answer name as disclosed.
    pub static DISCLOSED: RefCell<Vec<serde_json::Value>> = const { RefCell::new(Vec::new()) };
}

fn release(mut held: Held, mint: &Mint, body: &mut Vec<u8>) {
    let (json, claim) = held.entry().split();
    let record: serde_json::Value = serde_json::from_slice(&json).expect("records are JSON");
    DISCLOSED.with_borrow_mut(|all| all.push(record["disclosed"].clone()));
    let (_, released) = held
        .release(mint.receipt(claim))
        .expect("the right receipt");
    WINDOWS.with_borrow_mut(|windows| windows.push(released.len()));
    body.extend_from_slice(&released.into_bytes());
}
