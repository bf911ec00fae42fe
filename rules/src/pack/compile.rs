//! From drafts to a [`Program`]: names resolved, paths and conditions compiled, all errors told.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use sha2::{Digest, Sha256};

use super::read::{Draft, GrantDraft, RoleDraft, read};
use super::{Can, Class, Classes, Condition, Grant, Granted, Label, Program, Role, Wrong, path};
use crate::fhir::labels::{self, Purpose};
use crate::fhir::tables::{Tables, TypeId, r4};
use crate::mask::rule::{Rule, Trie};
use crate::source::{Diagnostics, Source, Span, Spanned};

/// More grants than this for one type and interaction can't be told apart while a row is judged.
const MOST_GRANTS: usize = 128;

pub(super) fn compile(sources: &[Source]) -> Result<Program, Diagnostics> {
    let mut found = Diagnostics::new();
    let mut drafts = Vec::new();
    for source in sources {
        let outcome = read(source);
        found.append(outcome.diagnostics);
        if let Some(draft) = outcome.value {
            drafts.push((source, draft));
        }
    }
    let mut build = Build {
        tables: r4(),
        found,
        classes: Vec::new(),
        roles: Vec::new(),
        grants: Vec::new(),
        extensions: Vec::new(),
    };
    // classes first: grants of every pack may name those of every other
    for (place, (source, draft)) in drafts.iter().enumerate() {
        let mut before = drafts.iter().take(place);
        if before.any(|(_, other)| *other.name == *draft.name) {
            let message = format!("the pack `{}` is there twice", *draft.name);
            build.found.error(source, draft.name.span, message);
        }
        build.classes(source, draft);
        build.sets(source, draft);
    }
    build.implied_classes();
    for (source, draft) in &drafts {
        build.extensions.extend(
            draft
                .extensions
                .iter()
                .map(|e| e.value.clone().into_boxed_str()),
        );
        for role in &draft.roles {
            build.role(source, draft, role);
        }
    }
    build.finish(sources, &drafts)
}

struct Build {
    tables: &'static Tables,
    found: Diagnostics,
    classes: Vec<Class>,
    roles: Vec<Role>,
    grants: Vec<Grant>,
    extensions: Vec<Box<str>>,
}

impl Build {
    fn classes(&mut self, source: &Source, draft: &Draft) {
        for (name, list) in &draft.classes {
            if let Some(wrong) = self.class_name(name, list) {
                self.report(source, name.span, wrong);
                continue;
            }
            let mut of = Vec::new();
            for text in &list.value {
                match label(text) {
                    Some(label) => of.push(label),
                    None => self.found.error(
                        source,
                        text.span,
                        format!("`{}` is neither a code nor `system|code`", **text),
                    ),
                }
            }
            self.classes.push(Class {
                name: name.value.as_str().into(),
                labels: of,
            });
        }
    }

    fn class_name(&self, name: &str, list: &[Spanned<String>]) -> Option<Wrong> {
        if self.classes.iter().any(|c| *c.name == *name) {
            return Some(Wrong::new(format!("the class `{name}` is there twice")));
        }
        if name == "*" {
            return Some(Wrong::new("`*` stands for every class and can't name one"));
        }
        if labels::is_sensitivity(name) && !list.iter().any(|text| **text == *name) {
            return Some(Wrong::new(format!(
                "`{name}` is a sensitivity code; a class of that name must have it among its labels"
            )));
        }
        let most = Classes::MOST - labels::SENSITIVITY.len() - 1;
        (self.classes.len() >= most)
            .then(|| Wrong::new(format!("there are more than {most} classes")))
    }

    /// What sets of types hold is checked once, however often they are used.
    fn sets(&mut self, source: &Source, draft: &Draft) {
        for (name, words) in &draft.types {
            if self.tables.resource(name).is_some() {
                let message = format!("`{}` is a type of FHIR; a set needs another name", **name);
                self.found.error(source, name.span, message);
            }
            for word in &words.value {
                if self.tables.resource(word).is_some() {
                    continue;
                }
                let message = format!("`{}` is not a type of FHIR R4", **word);
                let wrong = if draft.types.iter().any(|(name, _)| **name == **word) {
                    Wrong::with_help(message, "a set can't hold a set: list its types")
                } else {
                    let known = self.tables.resources().map(|t| self.tables.name(t));
                    Wrong::with_nearest(message, word, known)
                };
                self.report(source, word.span, wrong);
            }
        }
    }

    /// D4: a class for each sensitivity code that no class names, and `restricted`.
    fn implied_classes(&mut self) {
        for code in labels::SENSITIVITY {
            let named = self
                .classes
                .iter()
                .flat_map(|c| &c.labels)
                .any(|l| *l.code == *code);
            if !named {
                let label = Label {
                    system: None,
                    code: code.into(),
                };
                self.classes.push(Class {
                    name: code.into(),
                    labels: vec![label],
                });
            }
        }
        if !self.classes.iter().any(|c| &*c.name == RESTRICTED) {
            let labels = ["R", "V"]
                .map(|code| Label {
                    system: None,
                    code: code.into(),
                })
                .to_vec();
            self.classes.push(Class {
                name: RESTRICTED.into(),
                labels,
            });
        }
    }

    fn role(&mut self, source: &Source, draft: &Draft, role: &RoleDraft) {
        if self.roles.iter().any(|r| *r.name == **role.name) {
            self.found.error(
                source,
                role.name.span,
                format!("the role `{}` is there twice", *role.name),
            );
            return;
        }
        let mut purposes = Vec::new();
        for code in &role.purposes {
            match Purpose::from_code(code) {
                Some(Purpose::BreakTheGlass) => {
                    let message = "break-glass is not enforced by this version; remove `BTG`";
                    self.found.error(source, code.span, message);
                }
                Some(purpose) => purposes.push(purpose),
                None => self.report(source, code.span, unknown_purpose(code)),
            }
        }
        let index = self.roles.len();
        self.roles.push(Role {
            name: role.name.value.as_str().into(),
            purposes,
        });
        for (place, grant) in role.grants.iter().enumerate() {
            let name = format!("{}#{}", *role.name, place + 1).into();
            if let Some(grant) = self.grant(source, draft, index, name, grant) {
                self.grants.push(grant);
            }
        }
    }

    fn grant(
        &mut self,
        source: &Source,
        draft: &Draft,
        role: usize,
        name: Arc<str>,
        grant: &GrantDraft,
    ) -> Option<Grant> {
        let before = self.found.len();
        let types = self.types(source, draft, &grant.on);
        let clear = !types.is_empty() && self.found.len() == before;
        let can = self.can(source, &grant.can);
        let classes = self.listed(source, &grant.sensitive);
        // without its types, a grant's paths and conditions can't be told right from wrong
        if !clear {
            return None;
        }
        let conditions = self.conditions(source, &types, &grant.conditions);
        let mut rules: HashMap<TypeId, Rule> = match (&grant.show, &grant.hide) {
            (Some(show), _) => self
                .shown(source, &types, show)
                .into_iter()
                .map(|(t, trie)| (t, Rule::Show(trie)))
                .collect(),
            (None, Some(hide)) => self
                .tries(source, &types, &hide.value, false)
                .into_iter()
                .map(|(t, trie)| (t, Rule::Hide(trie)))
                .collect(),
            (None, None) => HashMap::new(),
        };
        if self.found.len() > before {
            return None;
        }
        let granted = types
            .iter()
            .zip(conditions)
            .map(|(resource, conditions)| Granted {
                resource: *resource,
                rule: rules.remove(resource).unwrap_or(Rule::All),
                conditions,
            });
        Some(Grant {
            name,
            role,
            can,
            classes,
            types: granted.collect(),
        })
    }

    fn types(&mut self, source: &Source, draft: &Draft, on: &[Spanned<String>]) -> Vec<TypeId> {
        let mut out = Vec::new();
        for word in on {
            let set = draft.types.iter().find(|(name, _)| **name == **word);
            let words = set.map_or(std::slice::from_ref(word), |(_, words)| {
                words.value.as_slice()
            });
            for name in words {
                match self.tables.resource(name) {
                    Some(t) if out.contains(&t) => {
                        let message = format!("`{}` is in `on` twice", **name);
                        self.found.error(source, word.span, message);
                    }
                    Some(t) => out.push(t),
                    // told where the set is
                    None if set.is_some() => return Vec::new(),
                    None => {
                        let types = self.tables.resources().map(|t| self.tables.name(t));
                        let sets = draft.types.iter().map(|(name, _)| name.as_str());
                        let wrong = Wrong::with_nearest(
                            format!("`{}` is neither a type nor a set in `[types]`", **name),
                            name,
                            types.chain(sets),
                        );
                        self.report(source, name.span, wrong);
                    }
                }
            }
        }
        out
    }

    fn can(&mut self, source: &Source, words: &[Spanned<String>]) -> Vec<Can> {
        let mut out = Vec::new();
        for word in words {
            match Can::ALL.into_iter().find(|can| can.word() == word.as_str()) {
                Some(can) => out.push(can),
                None => {
                    let mut wrong = Wrong::with_nearest(
                        format!("unknown interaction `{}`", **word),
                        word,
                        Can::ALL.map(Can::word),
                    );
                    let known = || {
                        let words = Can::ALL.map(|can| format!("`{}`", can.word()));
                        format!("one of {}", words.join(", "))
                    };
                    wrong.help.get_or_insert_with(known);
                    self.report(source, word.span, wrong);
                }
            }
        }
        out
    }

    fn listed(&mut self, source: &Source, words: &[Spanned<String>]) -> Classes {
        let mut out = Classes::default();
        for word in words {
            if **word == "*" {
                for index in 0..self.classes.len() {
                    out.add(index);
                }
            } else if let Some(index) = self.classes.iter().position(|c| *c.name == **word) {
                out.add(index);
            } else {
                let wrong = self.unknown_class(word);
                self.report(source, word.span, wrong);
            }
        }
        out
    }

    fn unknown_class(&self, word: &str) -> Wrong {
        let message = format!("unknown class `{word}`");
        let mut with_label = self.classes.iter();
        match with_label.find(|c| c.labels.iter().any(|l| *l.code == *word)) {
            Some(class) => Wrong::with_help(
                message,
                format!(
                    "it is a label of the class `{}`: name the class",
                    class.name
                ),
            ),
            None => {
                let known = self.classes.iter().map(|c| &*c.name);
                let mut wrong = Wrong::with_nearest(message, word, known);
                let define = || format!("define it as `[sensitive.{word}]` with its `labels`");
                wrong.help.get_or_insert_with(define);
                wrong
            }
        }
    }

    /// `show`: of every type it must name something, or the type had better not be in `on`.
    fn shown(
        &mut self,
        source: &Source,
        types: &[TypeId],
        show: &Spanned<Vec<Spanned<String>>>,
    ) -> HashMap<TypeId, Trie> {
        let before = self.found.len();
        let tries = self.tries(source, types, &show.value, true);
        let bare: Vec<String> = types
            .iter()
            .filter(|t| !tries.contains_key(t))
            .map(|t| format!("`{}`", self.tables.name(*t)))
            .collect();
        if !bare.is_empty() && self.found.len() == before {
            self.found.error_with_help(
                source,
                show.span,
                format!("`show` names nothing of {}", bare.join(", ")),
                "grant apart what is shown whole, or take the type out of `on`",
            );
        }
        tries
    }

    fn tries(
        &mut self,
        source: &Source,
        types: &[TypeId],
        paths: &[Spanned<String>],
        show: bool,
    ) -> HashMap<TypeId, Trie> {
        let mut out: HashMap<TypeId, Trie> = HashMap::new();
        for text in paths {
            let (resource, stems) = match path::resolve(self.tables, types, text) {
                Ok(resolved) => resolved,
                Err(wrong) => {
                    self.report(source, text.span, wrong);
                    continue;
                }
            };
            match (show, stems.as_slice()) {
                (true, stems) if self.in_narrative(resource, stems) => {
                    let help = "narrative repeats what other elements say; grant the type without `show` to keep it";
                    self.found.error_with_help(
                        source,
                        text.span,
                        "a view that hides something can't show narrative",
                        help,
                    );
                }
                (true, stems)
                    if stems
                        .iter()
                        .any(|s| matches!(*s, "extension" | "modifierExtension")) =>
                {
                    let help = "list the URLs to keep in the pack's `extensions`";
                    self.found.error_with_help(
                        source,
                        text.span,
                        "extensions are kept by their URL",
                        help,
                    );
                }
                (false, ["id"] | ["meta", "versionId" | "lastUpdated"]) => {
                    self.found
                        .error(source, text.span, format!("`{}` is always shown", **text));
                }
                (false, ["meta"]) => {
                    self.found.error_with_help(
                        source,
                        text.span,
                        "`meta` can't be hidden whole: version and time are always shown",
                        "name what of it to hide, as in `meta.tag`",
                    );
                }
                _ => out.entry(resource).or_default().insert(&stems),
            }
        }
        out
    }

    /// Whether the path is or lies in narrative.
    fn in_narrative(&self, resource: TypeId, stems: &[&str]) -> bool {
        let root = self.tables.root(resource);
        (1..=stems.len()).any(|n| {
            let found = self.tables.walk(root, stems.get(..n).unwrap_or_default());
            let mut types = found.iter().flat_map(|e| &e.types);
            types.any(|t| self.tables.type_name(*t) == "Narrative")
        })
    }

    /// The conditions for each of the types, in their order.
    fn conditions(
        &mut self,
        source: &Source,
        types: &[TypeId],
        texts: &[Spanned<String>],
    ) -> Vec<Vec<Condition>> {
        let mut out = vec![Vec::new(); types.len()];
        for text in texts {
            for pair in text.split('&') {
                let Some((name, value)) = pair.split_once('=') else {
                    let wrong = Wrong::with_help(
                        match pair {
                            "" => "a condition is missing beside `&`".to_owned(),
                            _ => format!("`{pair}` is not a condition"),
                        },
                        "write `parameter=value`, as in `status=active`",
                    );
                    self.report(source, text.span, wrong);
                    continue;
                };
                let mut told = Vec::new();
                for (resource, out) in types.iter().zip(&mut out) {
                    match Condition::compile(self.tables, *resource, name, value) {
                        Ok(condition) => out.push(condition),
                        // what doesn't depend on the type is told once
                        Err(wrong) if told.contains(&wrong) => {}
                        Err(wrong) => told.push(wrong),
                    }
                }
                for wrong in told {
                    self.report(source, text.span, wrong);
                }
            }
        }
        out
    }

    fn report(&mut self, source: &Source, at: Span, wrong: Wrong) {
        match wrong.help {
            Some(help) => self.found.error_with_help(source, at, wrong.message, help),
            None => self.found.error(source, at, wrong.message),
        }
    }

    fn finish(
        mut self,
        sources: &[Source],
        drafts: &[(&Source, Draft)],
    ) -> Result<Program, Diagnostics> {
        let mut by_type = vec![Vec::new(); self.tables.resource_count()];
        for (index, grant) in self.grants.iter().enumerate() {
            for granted in &grant.types {
                if let Some(list) = by_type.get_mut(granted.resource.index()) {
                    list.push(index);
                }
            }
        }
        let most = by_type.iter().zip(self.tables.resources());
        if let (Some((list, t)), Some((source, draft))) =
            (most.max_by_key(|(list, _)| list.len()), drafts.first())
            && list.len() > MOST_GRANTS
        {
            let message = format!(
                "`{}` has {} grants; at most {MOST_GRANTS} of one type can be told apart",
                self.tables.name(t),
                list.len()
            );
            self.found.error(source, draft.name.span, message);
        }
        if self.found.has_errors() || drafts.len() != sources.len() {
            self.found.sort();
            return Err(self.found);
        }
        let names: Vec<&str> = drafts.iter().map(|(_, d)| d.name.value.as_str()).collect();
        let mut hash = Sha256::new();
        for source in sources {
            hash.update((source.text().len() as u64).to_be_bytes());
            hash.update(source.text());
        }
        let digest: String = hash
            .finalize()
            .iter()
            .take(6)
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok(Program {
            id: format!("{}@{digest}", names.join("+")).into(),
            roles: self.roles,
            classes: self.classes,
            grants: self.grants,
            by_type,
            extensions: self.extensions.into(),
            stances: RwLock::default(),
        })
    }
}

/// The class of rows that are labelled R or V and nothing else.
pub(crate) const RESTRICTED: &str = "restricted";

fn label(text: &str) -> Option<Label> {
    let (system, code) = match text.split_once('|') {
        Some((system, code)) => (Some(system), code),
        None => (None, text),
    };
    let fits = !code.is_empty() && !code.contains(['|', ' ']) && system != Some("");
    fits.then(|| Label {
        system: system.map(Into::into),
        code: code.into(),
    })
}

fn unknown_purpose(code: &str) -> Wrong {
    let known = || {
        Purpose::ALL
            .into_iter()
            .map(Purpose::code)
            .filter(|c| *c != "BTG")
    };
    let mut wrong = Wrong::with_nearest(format!("unknown purpose of use `{code}`"), code, known());
    let all = || {
        format!(
            "one of {}",
            known()
                .map(|c| format!("`{c}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    wrong.help.get_or_insert_with(all);
    wrong
}
