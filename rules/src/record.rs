//! The journal's records as JSON text. One object, no line break, no `seq`: the frame holds that.
//!
//! A request leaves up to three records under one `request_id`: the `attempt`, one `disclosure`
//! for each window that leaves (or one `refusal`), and a small `closing`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::mask::scan;
use crate::refusal::{No, Reason};
use crate::smart::Scopes;
use crate::subject::{Authority, Subject};

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Time {
    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// One request as far as it is known: from the first byte on, completed on its way.
#[derive(Debug, Clone)]
pub struct Call {
    /// Made here or taken from `X-Request-Id` where that is well-formed.
    pub request_id: Box<str>,
    /// Name of this gateway process.
    pub node: Arc<str>,
    /// When the request's head was complete.
    pub arrived: Time,
    /// The peer's address.
    pub ip: IpAddr,
    /// `User-Agent`, cut to 200 bytes.
    pub user_agent: Option<Box<str>>,
    /// Who asks, once known.
    pub subject: Option<Arc<Subject>>,
    /// What is asked, once understood.
    pub action: Option<Action>,
    /// Purpose of use, once settled (D2).
    pub purpose: Option<Arc<str>>,
    /// Pack and content hash that decided, once decided.
    pub pack: Option<Arc<str>>,
}

impl Call {
    /// Marks the entries at these places as refused.
    pub(crate) fn refuse(&mut self, refused: &[(usize, Reason)]) {
        let Some(action) = &mut self.action else {
            return;
        };
        for (place, reason) in refused {
            if let Some(Ok(entry)) = action.entries.get_mut(*place) {
                entry.refused = Some(*reason);
            }
        }
    }
}

/// What is asked, in FHIR's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `read`, `search-type`, `capabilities` … (http://hl7.org/fhir/restful-interaction)
    pub interaction: &'static str,
    /// Resource type.
    pub resource: Option<&'static str>,
    /// The compartment searched, as `Patient/1`.
    pub within: Option<Box<str>>,
    /// Logical id.
    pub id: Option<Box<str>>,
    /// The version asked for.
    pub version: Option<Box<str>>,
    /// The query as asked; for a conditional write that which says what is written.
    pub query: Option<Box<str>>,
    /// Of a batch or transaction: what each entry asks, or why that wasn't understood.
    pub entries: Vec<Result<Action, Reason>>,
    /// Of an entry: why it was refused while the others were sent.
    pub refused: Option<Reason>,
}

/// One row that leaves.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) resource: &'static str,
    pub(crate) id: Box<str>,
    pub(crate) version: Option<Box<str>>,
    /// Ids of the patients whose record the row is.
    pub(crate) patients: Vec<Box<str>>,
    /// Names of the view's grants, shared by rows alike.
    pub(crate) view: Arc<str>,
    /// Names of the row's sensitivity classes.
    pub(crate) classes: Arc<str>,
}

/// The row that the upstream says it wrote, whether or not its author may read it.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) resource: &'static str,
    pub(crate) id: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
}

/// A window that is about to leave.
#[derive(Debug)]
pub(crate) struct Disclosed<'a> {
    pub(crate) status: u16,
    pub(crate) rows: &'a [Row],
    /// How many rows don't leave.
    pub(crate) withheld: u64,
    /// Masked bytes.
    pub(crate) bytes: usize,
    /// Which window of the answer, from 1.
    pub(crate) part: u32,
    pub(crate) written: Option<Written<'a>>,
}

/// The part that the records of one permitted request share: everything but time, phase and outcome.
pub(crate) fn shared(call: &Call, grants: &[Arc<str>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(640);
    envelope(&mut out, call);
    out.extend_from_slice(br#","decision":{"outcome":"permit","grants":["#);
    list(&mut out, grants.iter().map(|g| &**g));
    out.push(b']');
    pack(&mut out, call);
    out.push(b'}');
    out
}

/// The same without a Bundle's entries, for records after the first that name them; `None` where
/// there are none.
pub(crate) fn shared_briefly(call: &Call, grants: &[Arc<str>]) -> Option<Vec<u8>> {
    let action = call.action.as_ref()?;
    if action.entries.is_empty() {
        return None;
    }
    let entries = Vec::new();
    let brief = Call {
        action: Some(Action {
            entries,
            ..action.clone()
        }),
        ..call.clone()
    };
    Some(shared(&brief, grants))
}

/// What was asked and permitted, before anything is forwarded.
pub(crate) fn attempt(shared: &[u8], now: Time) -> Vec<u8> {
    let mut out = open(shared.len() + 64, now, "attempt");
    out.extend_from_slice(shared);
    out.push(b'}');
    out
}

/// What is about to leave.
pub(crate) fn disclosure(shared: &[u8], now: Time, disclosed: &Disclosed<'_>) -> Vec<u8> {
    let rows = disclosed.rows;
    let mut out = open(shared.len() + 160 + rows.len() * 110, now, "disclosure");
    out.extend_from_slice(shared);
    out.extend_from_slice(br#","disclosed":{"patients":["#);
    let mut patients: Vec<&str> = rows
        .iter()
        .flat_map(|r| r.patients.iter().map(|p| &**p))
        .collect();
    patients.sort_unstable();
    patients.dedup();
    list(&mut out, patients.into_iter());
    out.extend_from_slice(br#"],"resources":["#);
    for (i, row) in rows.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(row.resource.as_bytes());
        out.extend_from_slice(br#"","id":"#);
        string(&mut out, &row.id);
        if let Some(version) = &row.version {
            out.extend_from_slice(br#","version":"#);
            string(&mut out, version);
        }
        out.extend_from_slice(br#","view":"#);
        string(&mut out, &row.view);
        if !row.classes.is_empty() {
            out.extend_from_slice(br#","classes":"#);
            string(&mut out, &row.classes);
        }
        out.push(b'}');
    }
    out.extend_from_slice(br#"],"withheld":"#);
    number(&mut out, disclosed.withheld);
    out.extend_from_slice(br#","bytes":"#);
    number(&mut out, disclosed.bytes as u64);
    out.extend_from_slice(br#","part":"#);
    number(&mut out, u64::from(disclosed.part));
    out.push(b'}');
    if let Some(written) = &disclosed.written {
        out.extend_from_slice(br#","written":{"type":"#);
        string(&mut out, written.resource);
        optional(&mut out, "id", written.id);
        optional(&mut out, "version", written.version);
        out.push(b'}');
    }
    out.extend_from_slice(br#","status":"#);
    number(&mut out, u64::from(disclosed.status));
    out.push(b'}');
    out
}

/// A record of the gateway itself, such as its start: `fields` are further members, written as
/// JSON without braces.
pub fn event(now: Time, phase: &str, node: &str, fields: &str) -> Vec<u8> {
    let mut out = open(128 + fields.len(), now, phase);
    optional(&mut out, "node", Some(node));
    if !fields.is_empty() {
        out.push(b',');
        out.extend_from_slice(fields.as_bytes());
    }
    out.push(b'}');
    out
}

/// How a request ended: `outcome` is `complete`, `broken` or `abandoned`; where something was sent
/// that may change something, and its caller is refused all the same, `rejected` (the upstream said
/// so) or `unknown` (whether it was done).
pub fn closing(
    call: &Call,
    now: Time,
    outcome: &str,
    status: u16,
    upstream: Option<u16>,
    bytes: u64,
) -> Vec<u8> {
    let mut out = open(192, now, "closing");
    out.extend_from_slice(br#","request_id":"#);
    string(&mut out, &call.request_id);
    out.extend_from_slice(br#","node":"#);
    string(&mut out, &call.node);
    out.extend_from_slice(br#","outcome":"#);
    string(&mut out, outcome);
    if let Some(upstream) = upstream {
        out.extend_from_slice(br#","upstream":{"status":"#);
        number(&mut out, u64::from(upstream));
        out.push(b'}');
    }
    out.extend_from_slice(br#","status":"#);
    number(&mut out, u64::from(status));
    out.extend_from_slice(br#","bytes":"#);
    number(&mut out, bytes);
    out.extend_from_slice(br#","duration_ms":"#);
    number(
        &mut out,
        now.0.saturating_sub(call.arrived.0).max(0).unsigned_abs(),
    );
    out.push(b'}');
    out
}

/// A decided "no".
pub(crate) fn refusal(call: &Call, no: &No) -> Vec<u8> {
    let mut out = open(512, call.arrived, "refusal");
    envelope(&mut out, call);
    out.extend_from_slice(br#","decision":{"outcome":"refuse","reason":""#);
    out.extend_from_slice(no.reason.code().as_bytes());
    out.push(b'"');
    if let Some(name) = &no.name {
        out.extend_from_slice(br#","name":"#);
        string(&mut out, name);
    }
    if let Some(detail) = no.detail {
        out.extend_from_slice(br#","detail":"#);
        string(&mut out, detail);
    }
    pack(&mut out, call);
    out.extend_from_slice(br#"},"status":"#);
    number(&mut out, u64::from(no.reason.status()));
    out.push(b'}');
    out
}

fn open(capacity: usize, now: Time, phase: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(br#"{"time":""#);
    timestamp(&mut out, now);
    out.extend_from_slice(br#"","phase":""#);
    out.extend_from_slice(phase.as_bytes());
    out.push(b'"');
    out
}

fn pack(out: &mut Vec<u8>, call: &Call) {
    if let Some(pack) = &call.pack {
        out.extend_from_slice(br#","pack":"#);
        string(out, pack);
    }
}

fn envelope(out: &mut Vec<u8>, call: &Call) {
    out.extend_from_slice(br#","request_id":"#);
    string(out, &call.request_id);
    out.extend_from_slice(br#","node":"#);
    string(out, &call.node);
    if let Some(subject) = &call.subject {
        who(out, subject);
    }
    out.extend_from_slice(br#","source":{"ip":""#);
    out.extend_from_slice(call.ip.to_string().as_bytes());
    out.push(b'"');
    if let Some(agent) = &call.user_agent {
        out.extend_from_slice(br#","user_agent":"#);
        string(out, agent);
    }
    out.push(b'}');
    if let Some(action) = &call.action {
        out.extend_from_slice(br#","action":"#);
        what(out, action);
    }
    optional(out, "purpose", call.purpose.as_deref());
}

fn what(out: &mut Vec<u8>, action: &Action) {
    out.extend_from_slice(br#"{"interaction":""#);
    out.extend_from_slice(action.interaction.as_bytes());
    out.push(b'"');
    optional(out, "type", action.resource);
    optional(out, "within", action.within.as_deref());
    optional(out, "id", action.id.as_deref());
    optional(out, "version", action.version.as_deref());
    optional(out, "query", action.query.as_deref());
    optional(out, "refused", action.refused.map(Reason::code));
    if !action.entries.is_empty() {
        out.extend_from_slice(br#","entries":["#);
        for (i, entry) in action.entries.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match entry {
                Ok(action) => what(out, action),
                Err(reason) => {
                    out.extend_from_slice(br#"{"refused":""#);
                    out.extend_from_slice(reason.code().as_bytes());
                    out.extend_from_slice(br#""}"#);
                }
            }
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn who(out: &mut Vec<u8>, subject: &Subject) {
    out.extend_from_slice(br#","subject":{"kind":""#);
    out.extend_from_slice(subject.kind.as_str().as_bytes());
    out.extend_from_slice(br#"","issuer":"#);
    string(out, &subject.issuer);
    optional(out, "sub", Some(&subject.sub));
    optional(out, "name", subject.name.as_deref());
    optional(out, "fhir_user", subject.fhir_user.as_deref());
    out.extend_from_slice(br#","roles":["#);
    list(out, subject.roles.iter().map(|r| &**r));
    out.push(b']');
    if let Authority::Scoped(scopes) = &subject.scopes {
        optional(out, "scopes", Some(Scopes::text(scopes)));
    }
    optional(out, "acr", subject.acr.as_deref());
    out.extend_from_slice(br#"},"client":{"kind":"#);
    string(
        out,
        if subject.client.is_some() {
            "application"
        } else {
            "none"
        },
    );
    optional(out, "id", subject.client.as_deref());
    optional(out, "certificate_sha256", subject.certificate.as_deref());
    out.push(b'}');
}

fn optional(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        string(out, value);
    }
}

fn list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a str>) {
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, item);
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else {
            break;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(if *control >= 16 { b'1' } else { b'0' });
                out.extend(HEX.get(usize::from(control & 15)));
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that a JSON string can't hold as it is.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let found = scan::special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..=0x1f);
    rest.iter().position(special).map(|i| at + i)
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (n % 10) as u8;
        n /= 10;
        used += 1;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Appends RFC 3339 in UTC with milliseconds.
fn timestamp(out: &mut Vec<u8>, time: Time) {
    let (days, ms) = (time.0.div_euclid(86_400_000), time.0.rem_euclid(86_400_000));
    // days to civil date, after Howard Hinnant
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let part = |out: &mut Vec<u8>, value: i64, width: u32| {
        for place in (0..width).rev() {
            out.push(b'0' + (value / 10i64.pow(place) % 10).unsigned_abs() as u8);
        }
    };
    part(out, year, 4);
    out.push(b'-');
    part(out, month, 2);
    out.push(b'-');
    part(out, day, 2);
    out.push(b'T');
    part(out, ms / 3_600_000, 2);
    out.push(b':');
    part(out, ms / 60_000 % 60, 2);
    out.push(b':');
    part(out, ms / 1000 % 60, 2);
    out.push(b'.');
    part(out, ms % 1000, 3);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ms: i64) -> String {
        let mut out = Vec::new();
        timestamp(&mut out, Time(ms));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(stamp(1_795_219_200_123), "2026-11-21T00:00:00.123Z");
        assert_eq!(stamp(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn strings_are_escaped_as_json_has_it() {
        for text in [
            "",
            "plain",
            "a\"b\\c",
            "line\nbreak\r\ttab",
            "\u{0}\u{1f}\u{7f}",
            "é漢字🩺",
            "</script>",
        ] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn an_action_is_written_with_its_entries() {
        let read = Action {
            interaction: "vread",
            resource: Some("Patient"),
            within: None,
            id: Some("1".into()),
            version: Some("2".into()),
            query: None,
            entries: Vec::new(),
            refused: None,
        };
        let search = Action {
            interaction: "search-compartment",
            resource: Some("Observation"),
            within: Some("Patient/1".into()),
            id: None,
            version: None,
            query: Some("code=x".into()),
            entries: Vec::new(),
            refused: None,
        };
        let batch = Action {
            interaction: "batch",
            resource: None,
            within: None,
            id: None,
            version: None,
            query: None,
            refused: None,
            entries: vec![Ok(read), Err(Reason::NotSupported), Ok(search)],
        };
        let mut out = Vec::new();
        what(&mut out, &batch);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"interaction":"batch","entries":["#,
                r#"{"interaction":"vread","type":"Patient","id":"1","version":"2"},"#,
                r#"{"refused":"not-supported"},"#,
                r#"{"interaction":"search-compartment","type":"Observation","within":"Patient/1","query":"code=x"}"#,
                r#"]}"#
            )
        );
    }

    #[test]
    fn numbers_are_decimal() {
        for n in [0, 7, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
    }
}
