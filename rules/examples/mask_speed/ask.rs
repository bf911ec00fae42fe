//! Asks the rules as the gateway does, for measurements: decide, open, feed in chunks of 16 KiB,
//! record, release.

use std::sync::Arc;

use bytes::Bytes;
use chartward_rules::decide::{Facts, Judge, Sealer, Service, Turn, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::pack::Program;
use chartward_rules::proof::{Mint, Raw};
use chartward_rules::record::{Call, Time};
use chartward_rules::source::Source;
use chartward_rules::subject::{Authority, Kind, Subject};

/// How much of an answer comes at once.
const CHUNK: usize = 16 << 10;

/// A compiled pack, and what releases its answers. One for a process.
pub struct Asker {
    program: Arc<Program>,
    mint: Mint,
}

impl Asker {
    /// Compiles the pack.
    pub fn new(pack: &str) -> Self {
        match Program::compile(&[Source::new("speed.toml", pack)]) {
            Ok(program) => Self {
                program: Arc::new(program),
                mint: Mint::take().expect("the only one"),
            },
            Err(errors) => panic!("{}", errors.render()),
        }
    }

    /// From the decision to the last released byte of a read or search at `path` (no query);
    /// what left.
    pub fn ask(&self, role: &str, path: &str, answer: &Bytes) -> Vec<Bytes> {
        let subject = Subject {
            kind: Kind::Person,
            roles: vec![role.into()],
            scopes: Authority::Unscoped,
            ..Subject::anonymous()
        };
        let call = Call {
            request_id: "r".into(),
            node: "n".into(),
            arrived: Time(0),
            ip: [127, 0, 0, 1].into(),
            user_agent: None,
            subject: Some(Arc::new(subject)),
            action: None,
            purpose: None,
            pack: None,
        };
        let service = Service {
            base: "https://gw/fhir".into(),
            upstream_path: "/fhir".into(),
            page_default: 50,
            page_max: 500,
            withheld_notice: true,
            row_max: 32 << 20,
            window: 256 << 10,
        };
        let request = Request::new("GET", path, "");
        let Ok(interaction) = understand(request) else {
            panic!("a read or search")
        };
        let seal = |_: &Call, _: &Interaction| -> Sealer {
            Arc::new(|position: &str| position.to_owned())
        };
        let verdict = decide(
            &self.program,
            &service,
            &interaction,
            Box::new(call),
            None,
            &Facts::none(),
            seal,
        );
        let Verdict::Permit(permit) = verdict else {
            panic!("a permit")
        };
        let (_, mut judge) = permit.open(None).expect("no receipt is wanted");
        judge.announced(answer.len() as u64);
        let mut left = Vec::new();
        for at in (0..answer.len()).step_by(CHUNK) {
            let chunk = answer.slice(at..answer.len().min(at + CHUNK));
            judge.push(Raw::new(chunk)).expect("well-formed");
            self.release(&mut judge, &mut left);
        }
        judge.end().expect("well-formed");
        self.release(&mut judge, &mut left);
        left
    }

    fn release(&self, judge: &mut Judge, left: &mut Vec<Bytes>) {
        while let Turn::Held(mut held) = judge.turn(Time(1)) {
            let (_, claim) = held.entry().split();
            let released = held.release(self.mint.receipt(claim)).expect("its receipt");
            left.push(released.1.into_bytes());
        }
    }
}
