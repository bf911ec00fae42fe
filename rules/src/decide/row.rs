//! One row judged: which grants match it, under which view it leaves, or that it doesn't.

use std::borrow::Cow;
use std::sync::Arc;

use super::stance::{self, Candidates, Sighted, Stance};
use super::whose::{Whose, patients};
use crate::fhir::labels;
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target::is_id;
use crate::mask::form::{By, Forms, Notes};
use crate::mask::probe::{Finding, by_object, of_object};
use crate::mask::row::{AllContained, Contained, Inner, Walked, is_key, quoted, walk};
use crate::mask::scan::{self, skip_space, skip_value};
use crate::mask::sink::Sink;
use crate::mask::{Fault, Stop};
use crate::pack::compile::RESTRICTED;
use crate::pack::{Can, Classes, Program};
use crate::record::Row;
use crate::smart::Reach;

/// Everything that judging rows of one request needs.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    pub(crate) program: Arc<Program>,
    pub(crate) stance: Arc<Stance>,
    pub(crate) can: Can,
    /// The launch patient, to whom `patient/` scopes confine.
    pub(crate) patient: Option<Arc<str>>,
    /// Classes that every row has beside its own: those of a version's current row (D24).
    pub(crate) also: Classes,
    /// How many rows the row is inside of.
    pub(crate) nest: u32,
}

/// Rows inside rows deeper than this don't leave: each is walked more than once, and so all that
/// is inside it again.
const MOST_INNER: u32 = 4;

/// Judges rows of one type, one after the other.
#[derive(Debug)]
pub(crate) struct RowJudge {
    bench: Bench,
    candidates: Arc<Candidates>,
    /// Element paths that the search reads; a row whose view hides one doesn't leave (D10).
    reads: Vec<Vec<&'static str>>,
    seen: Vec<Seen>,
    /// The union that the last row was under.
    last: u128,
    /// What rows before this one were like.
    forms: Forms,
    /// Bytes of the longest row so far, whole or not.
    longest: usize,
}

/// The view of a union of grants.
#[derive(Debug)]
struct Seen {
    mask: u128,
    sighted: Arc<Sighted>,
    /// Whether it shows all that the search reads.
    shows: bool,
}

/// What became of a row.
pub(crate) enum Judged {
    /// Its masked bytes are at the end of the output.
    Leaves(Row),
    /// It doesn't leave.
    Hidden,
    /// A resource of another type; nothing was written.
    Other,
}

/// What the findings say of a row.
pub(super) struct Standing {
    pub(super) mask: u128,
    pub(super) classes: Classes,
    patients: Vec<Box<str>>,
}

impl RowJudge {
    pub(crate) fn new(
        bench: Bench,
        candidates: Arc<Candidates>,
        reads: Vec<Vec<&'static str>>,
    ) -> Self {
        let last = candidates.likely;
        Self {
            bench,
            candidates,
            reads,
            seen: Vec::new(),
            last,
            forms: Forms::default(),
            longest: 0,
        }
    }

    /// The type whose rows it judges.
    pub(crate) fn resource(&self) -> TypeId {
        self.candidates.resource
    }

    /// Judges the resource at `at`; the position after it, and what became of it.
    pub(crate) fn judge(
        &mut self,
        bytes: &[u8],
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Judged), Stop> {
        let from = out.len();
        let mut used = self.last;
        let mut contained = None;
        // what is found doesn't depend on the view, so the second round is the last
        for _ in 0..4 {
            let seen = self.sighted(used);
            let Some(Seen { sighted, shows, .. }) = self.seen.get(seen) else {
                break;
            };
            let (bench, candidates) = (&self.bench, &*self.candidates);
            let known = match contained {
                None => self.forms.replay(bytes, at, used, out)?,
                Some(_) => None,
            };
            let fits = known.is_some();
            let walked = match known {
                Some(walked) => walked,
                None => {
                    if type_at(bytes, at)? != Some(candidates.resource) {
                        return Ok((skip_value(bytes, at, 0)?, Judged::Other));
                    }
                    // one that may not be whole yet is rather stepped over than walked in vain
                    let there = bytes.len() - at;
                    if there < 2 * self.longest
                        && matches!(skip_value(bytes, at, 0), Err(Stop::Incomplete))
                    {
                        return Err(Stop::Incomplete);
                    }
                    let walked = walk(
                        bytes,
                        at,
                        &sighted.view,
                        &candidates.probe,
                        contained.as_ref(),
                        bench,
                        out,
                    );
                    let length = match &walked {
                        Ok(walked) => walked.end - at,
                        Err(_) => there,
                    };
                    self.longest = self.longest.max(length);
                    walked?
                }
            };
            if walked.needs_contained && contained.is_none() {
                contained = Some(bench.judge_contained(bytes, at, &mut Vec::new())?);
                out.truncate(from);
                continue;
            }
            let end = walked.end;
            // worth it only where more rows follow
            if !fits && self.forms.learns() && bytes.len() - end > (end - at) / 2 {
                let row = bytes.get(at..).unwrap_or_default();
                if let Some(by) = bench.walked_by(row, candidates, sighted, contained.as_ref()) {
                    self.forms.learn(row, used, by);
                }
            }
            let standing = bench.stand(candidates, &walked.findings, true);
            if standing.mask == 0 {
                out.truncate(from);
                return Ok((end, Judged::Hidden));
            }
            if standing.mask != used {
                used = standing.mask;
                self.last = used;
                out.truncate(from);
                continue;
            }
            let row = bench.row(candidates, &walked, sighted, standing);
            return match row {
                Some(row) if !walked.withheld && *shows => Ok((end, Judged::Leaves(row))),
                _ => {
                    out.truncate(from);
                    Ok((end, Judged::Hidden))
                }
            };
        }
        Err(scan::fault("a row whose grants can't be settled", at))
    }

    /// Where the view of a union is, among those seen.
    fn sighted(&mut self, mask: u128) -> usize {
        if let Some(index) = self.seen.iter().position(|seen| seen.mask == mask) {
            return index;
        }
        let (program, candidates) = (&self.bench.program, &self.candidates);
        let sighted = self.bench.stance.sighted(program, candidates, mask);
        let mut reads = self.reads.iter();
        let shows = reads.all(|path| program.shows(candidates, mask, path));
        self.seen.push(Seen {
            mask,
            sighted,
            shows,
        });
        self.seen.len() - 1
    }
}

impl Bench {
    /// Which candidates match a row with these findings (D5). `own` is false for a contained
    /// resource, whose patient is its container's.
    pub(super) fn stand(
        &self,
        candidates: &Candidates,
        findings: &[Finding<'_>],
        own: bool,
    ) -> Standing {
        let mut classes = self.classes(findings);
        if own {
            classes = classes.and(self.also);
        }
        let patients = patients(candidates.resource, findings);
        let within = match candidates.reach {
            Reach::None => false,
            Reach::Whole => true,
            Reach::Patient if !own => true,
            Reach::Patient => match (&self.patient, &patients) {
                (Some(patient), Whose::Known(ids)) => {
                    !ids.is_empty() && ids.iter().all(|id| **id == **patient)
                }
                _ => false,
            },
        };
        let mut mask = 0u128;
        if within {
            for (bit, at) in candidates.grants.iter().enumerate() {
                mask |= u128::from(self.program.classes_of(*at).holds(classes)) << bit;
            }
            for (bit, question, condition) in self.program.conditions(candidates) {
                if mask >> bit & 1 == 1 && !condition.holds(findings, question) {
                    mask &= !(1 << bit);
                }
            }
        }
        Standing {
            mask,
            classes,
            patients: patients.into_ids(),
        }
    }

    /// D4: the row's classes by its labels.
    fn classes(&self, findings: &[Finding<'_>]) -> Classes {
        let mut classes = Classes::default();
        let mut restricted = None;
        let found = |part: u8| {
            findings
                .iter()
                .filter(move |f| f.slot.question == stance::LABEL && f.slot.part == part)
        };
        let named = by_object(found(1));
        for code in found(0) {
            let own = of_object(&named, code.object);
            let systems: Vec<&str> = own.iter().map(|(_, s)| labels::system(s)).collect();
            for (index, class) in self.program.classes.iter().enumerate() {
                let has = class.labels.iter().any(|label| {
                    let fits = match label.system.as_deref() {
                        Some(wanted) => systems.contains(&labels::system(wanted)),
                        None => {
                            systems.is_empty()
                                || systems.iter().any(|s| stance::is_label_system(Some(s)))
                        }
                    };
                    fits && *label.code == *code.text
                });
                match (has, &*class.name == RESTRICTED) {
                    (true, true) => restricted = Some(index),
                    (true, false) => classes.add(index),
                    (false, _) => {}
                }
            }
        }
        if classes == Classes::default()
            && let Some(index) = restricted
        {
            classes.add(index);
        }
        classes
    }

    /// What the record says of a row; `None` where it has no usable id.
    fn row(
        &self,
        candidates: &Candidates,
        walked: &Walked<'_>,
        sighted: &Sighted,
        standing: Standing,
    ) -> Option<Row> {
        let text = |question: u16| {
            walked
                .findings
                .iter()
                .find(|f| f.slot.question == question)
                .map(|f| &*f.text)
        };
        let id = text(stance::ID).filter(|id| is_id(id))?;
        let classes: Vec<&str> = standing
            .classes
            .indexes()
            .filter_map(|i| Some(&*self.program.classes.get(i)?.name))
            .collect();
        Some(Row {
            resource: r4().name(candidates.resource),
            id: id.into(),
            version: text(stance::VERSION)
                .map(|v| v.get(..v.len().min(64)).unwrap_or_default().into()),
            patients: standing.patients,
            view: sighted.name.clone(),
            classes: if classes.is_empty() {
                empty()
            } else {
                classes.join(",").into()
            },
        })
    }

    /// Judges the contained resources of the row at `at`: each by its own labels and its own
    /// type's grants, under its container's conditions (D8).
    pub(super) fn judge_contained<S: Sink>(
        &self,
        bytes: &[u8],
        at: usize,
        scratch: &mut S,
    ) -> Result<AllContained, Stop> {
        let mut places = Vec::new();
        let mut bad = None;
        scan::members(bytes, at, 0, |member| {
            if is_key(&member, b"contained") {
                match items(bytes, member.value) {
                    Ok(found) => places = found,
                    Err(stop) => bad = Some(stop),
                }
            }
            true
        })?;
        if let Some(stop) = bad {
            return Err(stop);
        }
        places
            .into_iter()
            .map(|place| self.judge_one_contained(bytes, place, scratch))
            .collect()
    }

    /// What the row was walked by, to learn its form.
    fn walked_by<'a>(
        &'a self,
        row: &[u8],
        candidates: &'a Candidates,
        sighted: &'a Sighted,
        contained: Option<&'a AllContained>,
    ) -> Option<By<'a>> {
        let contained = match contained {
            None => None,
            Some(contained) => {
                let mut notes = Notes::default();
                self.judge_contained(row, 0, &mut notes).ok()?;
                // whose a contained resource is and which, its container says
                notes.decided(|slot| {
                    slot.question == stance::LABEL || slot.question >= stance::FIRST_CONDITION
                });
                Some((contained, notes))
            }
        };
        Some(By {
            view: &sighted.view,
            probe: &candidates.probe,
            inner: self,
            contained,
        })
    }

    fn judge_one_contained<S: Sink>(
        &self,
        bytes: &[u8],
        at: usize,
        scratch: &mut S,
    ) -> Result<Contained, Stop> {
        let resource = inner_type(bytes, at)?;
        let mut id = None;
        if scan::byte(bytes, at)? == b'{' {
            scan::members(bytes, at, 1, |member| {
                let is_id = is_key(&member, b"id");
                if is_id {
                    id = quoted(bytes, member.value, member.end).map(|id| id.as_ref().into());
                }
                if is_id || is_key(&member, b"resourceType") {
                    scratch.read(member.value);
                }
                true
            })?;
        }
        let Some(resource) = resource else {
            return Ok(Contained::default());
        };
        let none = Contained {
            id: id.unwrap_or_default(),
            resource: Some(resource),
            view: None,
        };
        let Some(candidates) = self.stance.candidates(resource, self.can) else {
            return Ok(none);
        };
        let sighted = self
            .stance
            .sighted(&self.program, candidates, candidates.likely);
        let nothing = AllContained::default();
        let walked = walk(
            bytes,
            at,
            &sighted.view,
            &candidates.probe,
            Some(&nothing),
            self,
            scratch,
        )?;
        scratch.truncate(0);
        let standing = self.stand(candidates, &walked.findings, false);
        if standing.mask == 0 {
            return Ok(none);
        }
        let sighted = self
            .stance
            .sighted(&self.program, candidates, standing.mask);
        let walked = walk(
            bytes,
            at,
            &sighted.view,
            &candidates.probe,
            Some(&nothing),
            self,
            scratch,
        )?;
        scratch.truncate(0);
        let view = (!walked.withheld).then(|| sighted.view.clone());
        Ok(Contained { view, ..none })
    }
}

impl Inner for Bench {
    fn row(&self, bytes: &[u8], _depth: u32) -> Result<Option<Vec<u8>>, Fault> {
        let at = skip_space(bytes, 0);
        let judged = (|| {
            if self.nest >= MOST_INNER {
                return Ok(None);
            }
            let Some(resource) = inner_type(bytes, at)? else {
                return Ok(None);
            };
            let Some(candidates) = self.stance.candidates(resource, self.can) else {
                return Ok(None);
            };
            let mut bench = self.clone();
            bench.nest += 1;
            let mut judge = RowJudge::new(bench, candidates.clone(), Vec::new());
            let mut out = Vec::new();
            let (_, judged) = judge.judge(bytes, at, &mut out)?;
            Ok(matches!(judged, Judged::Leaves(_)).then_some(out))
        })();
        judged.map_err(|stop| match stop {
            Stop::Fault(fault) => *fault,
            Stop::Incomplete => Fault {
                what: "truncated",
                at,
            },
        })
    }
}

/// The type of the resource at `at`, by its `resourceType` wherever that stands; `None` for one
/// that the tables don't know.
pub(super) fn type_at(bytes: &[u8], at: usize) -> Result<Option<TypeId>, Stop> {
    match type_name(bytes, at)? {
        Some(name) => Ok(r4().resource(&name)),
        None => Err(scan::fault("a resource without its type", at)),
    }
}

/// The type of what stands where a resource should inside a row; what isn't one has none.
fn inner_type(bytes: &[u8], at: usize) -> Result<Option<TypeId>, Stop> {
    match scan::byte(bytes, at)? {
        b'{' => Ok(type_name(bytes, at)?.and_then(|name| r4().resource(&name))),
        _ => Ok(None),
    }
}

fn type_name(bytes: &[u8], at: usize) -> Result<Option<Cow<'_, str>>, Stop> {
    let mut found = None;
    scan::members(bytes, at, 0, |member| {
        if is_key(&member, b"resourceType") {
            found = Some(quoted(bytes, member.value, member.end));
        }
        found.is_none()
    })?;
    Ok(found.flatten())
}

/// Where the items of the array at `at` begin; nothing else has items.
fn items(bytes: &[u8], at: usize) -> Result<Vec<usize>, Stop> {
    let mut out = Vec::new();
    if scan::byte(bytes, at)? != b'[' {
        return Ok(out);
    }
    let mut at = skip_space(bytes, at + 1);
    if scan::byte(bytes, at)? == b']' {
        return Ok(out);
    }
    loop {
        out.push(at);
        at = skip_space(bytes, skip_value(bytes, at, 2)?);
        match scan::byte(bytes, at)? {
            b',' => at = skip_space(bytes, at + 1),
            _ => return Ok(out),
        }
    }
}

fn empty() -> Arc<str> {
    static EMPTY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| Arc::from(""));
    EMPTY.clone()
}
