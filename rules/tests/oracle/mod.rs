//! The slow reference: what leaves of a row, by DECISIONS D4 to D8, over a DOM.
//!
//! It shares nothing with the rules but the tables of FHIR: packs are described by [`Model`], which
//! writes the TOML for the rules and answers here for itself.
#![allow(dead_code)] // not every test file looks at every part

mod mask;
mod token;

use std::cell::RefCell;
use std::collections::HashMap;

use chartward_rules::fhir::labels;
use chartward_rules::fhir::tables::{Element, ElementType, StructId, TypeId, r4};
use serde_json::Value;

pub use mask::Mode;

/// A pack, as a test describes it.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub extensions: Vec<String>,
    /// Name and labels (`CODE` or `system|CODE`).
    pub classes: Vec<(String, Vec<String>)>,
    pub roles: Vec<Role>,
}

#[derive(Debug, Clone)]
pub struct Role {
    pub name: String,
    pub grants: Vec<Grant>,
}

#[derive(Debug, Clone)]
pub struct Grant {
    pub on: Vec<String>,
    pub can: Vec<&'static str>,
    pub lists: Lists,
    /// `param=value`
    pub conditions: Vec<String>,
    pub sensitive: Vec<String>,
}

/// Paths with their type before them: `Patient.contact.name`.
#[derive(Debug, Clone)]
pub enum Lists {
    All,
    Show(Vec<String>),
    Hide(Vec<String>),
}

impl Model {
    pub fn toml(&self) -> String {
        let list = |words: &[String]| format!("{words:?}");
        let mut out = format!(
            "pack = \"t\"\nfhir = \"R4\"\nextensions = {}\n",
            list(&self.extensions)
        );
        for (name, labels) in &self.classes {
            out += &format!("[sensitive.{name}]\nlabels = {}\n", list(labels));
        }
        for role in &self.roles {
            out += &format!("[[role]]\nname = {:?}\npurposes = [\"TREAT\"]\n", role.name);
            for grant in &role.grants {
                out += &format!(
                    "[[role.grant]]\non = {}\ncan = {:?}\n",
                    list(&grant.on),
                    grant.can
                );
                match &grant.lists {
                    Lists::All => {}
                    Lists::Show(paths) => out += &format!("show = {}\n", list(paths)),
                    Lists::Hide(paths) => out += &format!("hide = {}\n", list(paths)),
                }
                if !grant.conditions.is_empty() {
                    out += &format!("where = {}\n", list(&grant.conditions));
                }
                if !grant.sensitive.is_empty() {
                    out += &format!("sensitive = {}\n", list(&grant.sensitive));
                }
            }
        }
        out
    }
}

/// Resources inside resources are judged so deep and no deeper.
const MOST_INNER: u32 = 4;

/// Judges rows for one caller.
pub struct Oracle<'m> {
    model: &'m Model,
    roles: &'m [String],
    can: &'static str,
    copied: RefCell<HashMap<TypeId, (bool, bool)>>,
}

/// A step of a path of elements.
#[derive(Debug, Clone, Copy)]
struct Step {
    stem: &'static str,
    modifier: bool,
    targets: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Shown,
    Part,
    Hidden,
}

/// The union of grants over one type.
struct View<'m> {
    resource: &'static str,
    grants: Vec<&'m Grant>,
}

impl<'m> Oracle<'m> {
    /// For one who has these roles; `can` is `read` or `search`.
    pub fn new(model: &'m Model, roles: &'m [String], can: &'static str) -> Self {
        Self {
            model,
            roles,
            can,
            copied: RefCell::default(),
        }
    }

    /// What leaves of the row; `None`: it doesn't.
    pub fn row(&self, row: &Value) -> Option<Value> {
        self.judge(row, Mode::Mask, 0)
    }

    /// The row without what is hidden, nothing put in its place. `None` where it doesn't leave.
    pub fn without_hidden(&self, row: &Value) -> Option<Value> {
        self.judge(row, Mode::Strip, 0)
    }

    /// Whether the row's view hides nothing of its type.
    pub fn is_whole(&self, row: &Value) -> bool {
        type_of(row).is_some_and(|t| {
            let view = self.view(row, t);
            !view.grants.is_empty() && view.whole(t)
        })
    }

    fn judge(&self, row: &Value, mode: Mode, nest: u32) -> Option<Value> {
        if nest > MOST_INNER {
            return None;
        }
        let t = type_of(row)?;
        let id = row.get("id")?.as_str()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if id.is_empty() || id.len() > 64 || !id.chars().all(fits) {
            return None;
        }
        let view = self.view(row, t);
        mask::resource(self, row, t, &view, mode, nest, None)
    }

    /// The union of the grants that match the row.
    fn view(&self, row: &Value, t: TypeId) -> View<'m> {
        let classes = self.classes(row);
        let grants = self.candidates(t, self.can);
        View {
            resource: r4().name(t),
            grants: grants
                .into_iter()
                .filter(|g| {
                    let listed = |c: &String| g.sensitive.iter().any(|s| s == "*" || s == c);
                    classes.iter().all(listed)
                        && g.conditions.iter().all(|c| token::holds(t, row, c))
                })
                .collect(),
        }
    }

    fn candidates(&self, t: TypeId, can: &str) -> Vec<&'m Grant> {
        let name = r4().name(t);
        self.model
            .roles
            .iter()
            .filter(|r| self.roles.contains(&r.name))
            .flat_map(|r| &r.grants)
            .filter(|g| g.can.contains(&can) && g.on.iter().any(|on| on == name))
            .collect()
    }

    /// D4.
    fn classes(&self, row: &Value) -> Vec<String> {
        let mut known = self.model.classes.clone();
        for code in labels::SENSITIVITY {
            let ends = |l: &String| l.rsplit('|').next() == Some(code);
            if !known.iter().any(|(_, labels)| labels.iter().any(ends)) {
                known.push((code.into(), vec![code.into()]));
            }
        }
        if !known.iter().any(|(name, _)| name == "restricted") {
            known.push(("restricted".into(), vec!["R".into(), "V".into()]));
        }
        let found = labels_of(row);
        let mut has: Vec<String> = known
            .into_iter()
            .filter(|(_, labels)| {
                labels.iter().any(|label| {
                    found
                        .iter()
                        .any(|(system, code)| match label.split_once('|') {
                            Some((s, c)) => system.as_deref() == Some(s) && code == c,
                            None => {
                                code == label
                                    && matches!(
                                        system.as_deref(),
                                        None | Some(
                                            "" | labels::ACT_CODE | labels::CONFIDENTIALITY
                                        )
                                    )
                            }
                        })
                })
            })
            .map(|(name, _)| name)
            .collect();
        if has.len() > 1 {
            has.retain(|name| name != "restricted");
        }
        has
    }

    /// D8: whether `display` and `identifier` of a reference to the type may stay.
    fn copies(&self, t: TypeId) -> (bool, bool) {
        if let Some(known) = self.copied.borrow().get(&t) {
            return *known;
        }
        let bits = self.work_out_copies(t);
        self.copied.borrow_mut().insert(t, bits);
        bits
    }

    fn work_out_copies(&self, t: TypeId) -> (bool, bool) {
        let (mut display, mut identifier) = (false, false);
        for can in ["read", "search"] {
            let mut grants = self.candidates(t, can);
            grants.retain(|g| g.conditions.is_empty());
            if grants.is_empty() {
                continue;
            }
            let view = View {
                resource: r4().name(t),
                grants,
            };
            // one that is no mere name may be of a row with any label
            let every = view
                .grants
                .iter()
                .any(|g| g.sensitive.iter().any(|s| s == "*"));
            let whole = view.whole(t);
            let copied: &[&str] = match view.resource {
                "Patient" | "Practitioner" | "RelatedPerson" | "Person" => &["name"],
                "Organization" | "Location" => &["name", "alias"],
                "HealthcareService" | "CareTeam" | "Group" | "Endpoint" | "InsurancePlan" => {
                    &["name"]
                }
                "Medication" | "Substance" => &["code"],
                _ => &[],
            };
            let shows = |stem: &str| {
                r4().structure(r4().root(t)).element(stem).is_some_and(|e| {
                    let path = [step(e)];
                    match view.sees(&path) {
                        Sees::Shown => true,
                        Sees::Part => !complex(e).any(|s| view.hides(s, &mut path.to_vec())),
                        Sees::Hidden => false,
                    }
                })
            };
            let named = !copied.is_empty();
            let whole = whole && (named || every);
            display |= whole || (named && copied.iter().all(|c| shows(c)));
            identifier |= whole || (named && shows("identifier"));
        }
        (display, identifier)
    }
}

impl View<'_> {
    fn whole(&self, t: TypeId) -> bool {
        !self.hides(r4().root(t), &mut Vec::new())
    }

    /// Whether anything inside the structure at `path` is hidden.
    fn hides(&self, s: StructId, path: &mut Vec<Step>) -> bool {
        r4().structure(s).elements.iter().any(|e| {
            if path.is_empty() && e.name == "id" {
                return false;
            }
            path.push(step(e));
            let hides = match self.sees(path) {
                // `show` never takes extensions whole: they are kept by their URL
                Sees::Shown if e.name == "extension" => {
                    let takes_whole = |g: &&&Grant| !matches!(g.lists, Lists::Show(_));
                    let others = View {
                        grants: self.grants.iter().filter(takes_whole).copied().collect(),
                        resource: self.resource,
                    };
                    match others.sees(path) {
                        Sees::Shown => false,
                        Sees::Hidden => true,
                        Sees::Part => complex(e).any(|s| others.hides(s, path)),
                    }
                }
                Sees::Shown => false,
                Sees::Hidden => true,
                Sees::Part => complex(e).any(|s| self.hides(s, path)),
            };
            path.pop();
            hides
        })
    }

    /// Whether a mandatory element is hidden for which no absent reason would be valid.
    fn withholds(&self, s: StructId, path: &mut Vec<Step>) -> bool {
        r4().structure(s).elements.iter().any(|e| {
            if path.is_empty() && e.name == "id" || always(path, e) {
                return false;
            }
            path.push(step(e));
            let sees = self.sees(path);
            let bad = match sees {
                Sees::Shown => false,
                Sees::Hidden if e.modifier => false,
                _ if e.min > 0 && mask::absent(e, 0).is_none() => true,
                Sees::Hidden => false,
                Sees::Part => complex(e)
                    .filter(|s| r4().structure(*s).name != "Narrative")
                    .any(|s| self.withholds(s, path)),
            };
            path.pop();
            bad
        })
    }

    fn sees(&self, path: &[Step]) -> Sees {
        let all: Vec<Sees> = self
            .grants
            .iter()
            .map(|g| sees(g, self.resource, path))
            .collect();
        if all.contains(&Sees::Shown) {
            Sees::Shown
        } else if all.contains(&Sees::Part) || matches!(path, [only] if only.stem == "meta") {
            Sees::Part
        } else {
            Sees::Hidden
        }
    }

    /// Where only parts of an element are shown: whether its primitive choices are.
    fn sees_primitives(&self, path: &[Step]) -> bool {
        self.grants.iter().any(|g| {
            !matches!(g.lists, Lists::Show(_)) && sees(g, self.resource, path) != Sees::Hidden
        })
    }
}

/// What one grant shows at a path.
fn sees(grant: &Grant, resource: &str, path: &[Step]) -> Sees {
    let (paths, shows) = match &grant.lists {
        Lists::All => return Sees::Shown,
        Lists::Show(paths) => (paths, true),
        Lists::Hide(paths) => (paths, false),
    };
    let mut text = resource.to_owned();
    for step in path {
        text.push('.');
        text.push_str(step.stem);
        if shows && (step.modifier || step.stem == "extension") {
            return Sees::Shown;
        }
        let plain = |p: &String| p.replace("[x]", "");
        let below = format!("{text}.");
        match (
            paths.iter().any(|p| plain(p) == text),
            paths.iter().any(|p| plain(p).starts_with(&below)),
        ) {
            (true, _) => return if shows { Sees::Shown } else { Sees::Hidden },
            (false, true) => {}
            (false, false) => return if shows { Sees::Hidden } else { Sees::Shown },
        }
    }
    Sees::Part
}

fn step(e: &'static Element) -> Step {
    Step {
        stem: e.name,
        modifier: e.modifier,
        targets: &e.targets,
    }
}

fn complex(e: &'static Element) -> impl Iterator<Item = StructId> {
    e.types.iter().filter_map(|t| match t {
        ElementType::Complex(s) => Some(*s),
        _ => None,
    })
}

/// D8: `meta.versionId` and `meta.lastUpdated`.
fn always(path: &[Step], e: &Element) -> bool {
    matches!(path, [only] if only.stem == "meta") && matches!(e.name, "versionId" | "lastUpdated")
}

fn type_of(row: &Value) -> Option<TypeId> {
    r4().resource(row.get("resourceType")?.as_str()?)
}

/// System and code of every label.
fn labels_of(row: &Value) -> Vec<(Option<String>, String)> {
    let mut out = Vec::new();
    for meta in token::flat(row.get("meta")) {
        for label in token::flat(meta.get("security")) {
            let texts = |key| -> Vec<String> {
                let found = token::flat(label.get(key)).into_iter();
                found.filter_map(|v| token::text(Some(v))).collect()
            };
            for code in texts("code") {
                let systems = texts("system");
                if systems.is_empty() {
                    out.push((None, code.clone()));
                }
                out.extend(systems.into_iter().map(|s| (Some(s), code.clone())));
            }
        }
    }
    out
}
