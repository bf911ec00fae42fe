//! Every type of R4, every interaction at every level, every kind of caller: each request is
//! decided or refused as designed, and what reaches the upstream is what was decided.

mod bundles;
mod cells;
mod server;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use chartward_rules::fhir::tables::r4;
use chartward_tests::{Client, Gateway, Request, Seen, Setup, Tokens, Upstream, need};

use cells::{Cell, Due};

/// Callers, in the order of a cell's dues.
const CALLERS: [&str; 5] = ["nobody", "unscoped", "stranger", "reader", "all"];
const LANES: usize = 8;

/// A role for every right, one for reading, and two that each know one type only: a type is asked
/// of the one that knows the other.
fn pack(types: &[&str]) -> String {
    let role = |name: &str, on: &[&str], can: &str| {
        format!(
            "[[role]]\nname = {name:?}\npurposes = [\"TREAT\"]\n\
             [[role.grant]]\non = {on:?}\ncan = [{can}]\nsensitive = [\"*\"]\n"
        )
    };
    let all = "\"read\", \"search\", \"history\", \"create\", \"update\", \"patch\", \"delete\"";
    [
        "pack = \"table\"\nfhir = \"R4\"\n".to_owned(),
        role("all", types, all),
        role("reader", types, "\"read\""),
        role("stranger-to-most", &["Basic"], all),
        role("stranger-to-basic", &["Flag"], all),
    ]
    .concat()
}

struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    tokens: BTreeMap<&'static str, String>,
    types: Vec<&'static str>,
    _issuer: Tokens,
}

impl Stage {
    fn open() -> Self {
        let types: Vec<&str> = r4().resources().map(|t| r4().name(t)).collect();
        let upstream = Upstream::start(server::answer);
        let issuer = Tokens::start();
        let roles = ["all", "reader", "stranger-to-most", "stranger-to-basic"];
        let setup = Setup::new(pack(&types), upstream.url()).issuer(issuer.trusted(&roles));
        let gateway = Gateway::start(setup.workers(2));
        let mut tokens: BTreeMap<&str, String> = roles
            .iter()
            .map(|role| (*role, issuer.token("someone", &[role], "user/*.cruds")))
            .collect();
        tokens.insert("unscoped", issuer.token("someone", &["all"], ""));
        Self {
            gateway,
            upstream,
            tokens,
            types,
            _issuer: issuer,
        }
    }

    fn token(&self, caller: &str, kind: &str) -> Option<&String> {
        match (caller, kind) {
            ("stranger", "Basic") => self.tokens.get("stranger-to-basic"),
            ("stranger", _) => self.tokens.get("stranger-to-most"),
            (caller, _) => self.tokens.get(caller),
        }
    }

    /// Runs the work of every type, side by side; answers what isn't as it should be.
    fn each_type(&self, run: impl Fn(&Client, &str) -> Vec<String> + Sync) -> Vec<String> {
        let faults = Mutex::new(Vec::new());
        let (run, all) = (&run, &faults);
        thread::scope(|scope| {
            for lane in self.types.chunks(self.types.len().div_ceil(LANES)) {
                scope.spawn(move || {
                    let client = self.gateway.client();
                    for kind in lane {
                        let found = run(&client, kind);
                        all.lock().expect("no panic while held").extend(found);
                    }
                });
            }
        });
        faults.into_inner().expect("no panic while held")
    }

    /// What the journal says was permitted: request id → the interaction and its type.
    fn decided(&self) -> BTreeMap<String, (String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        self.gateway
            .records()
            .iter()
            .filter(|record| record["phase"] == "attempt")
            .map(|record| {
                let action = &record["action"];
                let what = (text(&action["interaction"]), text(&action["type"]));
                (text(&record["request_id"]), what)
            })
            .collect()
    }

    /// What reached the upstream, by request id.
    fn sent(&self) -> BTreeMap<String, Vec<Seen>> {
        let mut out: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        for seen in self.upstream.seen() {
            let id = seen.header("x-request-id").unwrap_or_default().to_owned();
            out.entry(id).or_default().push(seen);
        }
        out
    }
}

/// Of a whole run: fails with the first of many.
fn none(faults: &[String]) {
    let shown: Vec<&String> = faults.iter().take(40).collect();
    assert!(faults.is_empty(), "{} faults: {shown:#?}", faults.len());
}

#[test]
fn every_interaction_with_every_type_by_every_caller_is_decided_or_refused() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open();
    let table = cells::table();
    let ask =
        |client: &Client, cell: &Cell, kind: &str, caller: &str, due: Due| -> Option<String> {
            let id = format!("{caller}.{}.{kind}", cell.name);
            let mut request = cell.request(kind).header("x-request-id", &id);
            if let Some(token) = stage.token(caller, kind) {
                request = request.bearer(token);
            }
            let answer = client.send(request);
            let is_due = match due {
                Due::Answer(statuses) => statuses.contains(&answer.status),
                Due::Refuse(status, _) if cell.method == "HEAD" => answer.status == status,
                Due::Refuse(status, reason) => {
                    (answer.status, answer.reason().as_str()) == (status, reason)
                }
            };
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            (!is_due).then(|| format!("{id}: {due:?} is due, but {} {text}", answer.status))
        };
    let mut faults = stage.each_type(|client, kind| {
        let mut faults = Vec::new();
        for cell in &table {
            for (caller, due) in CALLERS.iter().zip(cell.dues(kind)) {
                faults.extend(ask(client, cell, kind, caller, due));
            }
        }
        faults
    });
    let client = stage.gateway.client();
    for cell in &cells::of_the_base() {
        for (caller, due) in CALLERS.iter().zip(cell.dues("")) {
            faults.extend(ask(&client, cell, "", caller, due));
        }
    }

    // what reached the upstream is what each cell may cause, and nothing else
    let decided = stage.decided();
    let mut sent = stage.sent();
    let (mut asked, mut forwarded) = (0, 0);
    let base = cells::of_the_base();
    let of_types = stage.types.iter().map(|kind| (*kind, &table));
    for (kind, table) in of_types.chain([("", &base)]) {
        for cell in table {
            for (caller, due) in CALLERS.iter().zip(cell.dues(kind)) {
                asked += 1;
                let id = format!("{caller}.{}.{kind}", cell.name);
                let came = sent.remove(&id).unwrap_or_default();
                forwarded += usize::from(!came.is_empty());
                faults.extend(cell.undecided(kind, due, &came, decided.get(&id), &id));
            }
        }
    }
    let strays: Vec<&String> = sent.keys().take(5).collect();
    assert!(strays.is_empty(), "nobody asked for {strays:?}");
    println!(
        "{} types, {} interactions, {} callers: {asked} requests, {forwarded} forwarded, {} upstream",
        stage.types.len(),
        table.len() + base.len(),
        CALLERS.len(),
        stage.upstream.seen().len(),
    );
    none(&faults);
    assert!(stage.types.len() >= 146 && forwarded * 12 > asked);
}

#[test]
fn every_kind_of_entry_with_every_type_is_decided_or_refused_in_its_place() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open();
    let faults = stage.each_type(|client, kind| {
        let mut faults = Vec::new();
        for caller in ["stranger", "reader", "all"] {
            let token = stage.token(caller, kind).expect("a token");
            let send = |id: &str, body: &serde_json::Value| {
                let text = body.to_string();
                let request = Request::new("POST", "/fhir")
                    .bearer(token)
                    .header("x-request-id", id)
                    .body("application/fhir+json", text.as_bytes());
                client.send(request)
            };
            faults.extend(bundles::batch(kind, caller, send));
            faults.extend(bundles::transactions(kind, caller, send));
        }
        faults
    });
    none(&faults);
    let mut undecided = Vec::new();
    let (mut bundles, mut entries) = (0, 0);
    let decided = stage.decided();
    for (id, came) in stage.sent() {
        if !decided.contains_key(&id) {
            undecided.push(format!("{id}: no record"));
        }
        for seen in came {
            bundles += usize::from(seen.method == "POST");
            let (count, found) = bundles::undecided(&id, &seen);
            entries += count;
            undecided.extend(found);
        }
    }
    println!("{bundles} Bundles with {entries} entries reached the upstream");
    none(&undecided);
    assert!(bundles > stage.types.len() && entries > bundles);
}
