//! From drafts to a [`Program`]: names resolved, paths and conditions compiled, all errors told.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use sha2::{Digest, Sha256};

use super::read::{Draft, GrantDraft, RoleDraft, read};
use super::{Can, Class, Classes, Condition, Grant, Granted, Label, Program, Role, path};
use crate::fhir::labels::{self, Purpose};
use crate::fhir::tables::{Tables, TypeId, nearest, r4};
use crate::mask::rule::{Rule, Trie};
use crate::source::{Diagnostics, Source, Spanned};

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
    for (source, draft) in &drafts {
        build.classes(source, draft);
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
            if self.classes.iter().any(|c| *c.name == **name) {
                self.found.error(
                    source,
                    name.span,
                    format!("the class `{}` is there twice", **name),
                );
                continue;
            }
            if self.classes.len() >= Classes::MOST - labels::SENSITIVITY.len() - 1 {
                self.found.error(source, name.span, "too many classes");
                continue;
            }
            let mut of = Vec::new();
            for text in &list.value {
                match label(text) {
                    Some(label) => of.push(label),
                    None => self.found.error(
                        source,
                        text.span,
                        format!("`{}` is not a code or `system|code`", **text),
                    ),
                }
            }
            self.classes.push(Class {
                name: name.value.as_str().into(),
                labels: of,
            });
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
                Some(purpose) => purposes.push(purpose),
                None => {
                    let known = Purpose::ALL.iter().map(|p| p.code());
                    let help = nearest(code, known).map(|n| format!("did you mean `{n}`?"));
                    self.report(
                        source,
                        code,
                        format!("unknown purpose of use `{}`", **code),
                        help,
                    );
                }
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
        let types = self.types(source, draft, &grant.on);
        let can = self.can(source, &grant.can);
        let classes = self.listed(source, &grant.sensitive);
        let mut rules: HashMap<TypeId, Rule> = HashMap::new();
        match (&grant.show, &grant.hide) {
            (Some(show), _) => {
                rules.extend(
                    self.tries(source, &types, &show.value, true)
                        .into_iter()
                        .map(|(t, trie)| (t, Rule::Show(trie))),
                );
            }
            (None, Some(hide)) => {
                rules.extend(
                    self.tries(source, &types, &hide.value, false)
                        .into_iter()
                        .map(|(t, trie)| (t, Rule::Hide(trie))),
                );
            }
            (None, None) => {}
        }
        let shows = grant.show.is_some();
        let mut granted = Vec::new();
        for resource in &types {
            let unnamed = || {
                if shows {
                    Rule::Show(Trie::default())
                } else {
                    Rule::All
                }
            };
            granted.push(Granted {
                resource: *resource,
                rule: rules.remove(resource).unwrap_or_else(unnamed),
                conditions: self.conditions(source, *resource, &grant.conditions),
            });
        }
        if types.len() > 1
            && granted
                .iter()
                .any(|g| matches!(&g.rule, Rule::Show(trie) if *trie == Trie::default()))
        {
            let help =
                "a type without a path in `show` would show nothing but its id; grant it apart";
            self.found.error_with_help(
                source,
                grant.span,
                "`show` has no path for some of the types in `on`",
                help,
            );
        }
        Some(Grant {
            name,
            role,
            can,
            classes,
            types: granted,
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
                        self.found.error(
                            source,
                            word.span,
                            format!("`{}` is in `on` twice", **name),
                        );
                    }
                    Some(t) => out.push(t),
                    None => {
                        let sets = draft.types.iter().map(|(name, _)| name.as_str());
                        let help = self
                            .tables
                            .nearest_resource(name)
                            .or_else(|| nearest(name, sets))
                            .map(|n| format!("did you mean `{n}`?"));
                        self.report(
                            source,
                            name,
                            format!("`{}` is neither a type nor a set in `[types]`", **name),
                            help,
                        );
                    }
                }
            }
        }
        out
    }

    fn can(&mut self, source: &Source, words: &[Spanned<String>]) -> Vec<Can> {
        let mut out = Vec::new();
        for word in words {
            match word.as_str() {
                "read" => out.push(Can::Read),
                "search" => out.push(Can::Search),
                "history" | "create" | "update" | "patch" | "delete" => {
                    self.found.error(
                        source,
                        word.span,
                        format!("`{}` is not enforced by this version; remove it", **word),
                    );
                }
                _ => {
                    let help =
                        nearest(word, ["read", "search"]).map(|n| format!("did you mean `{n}`?"));
                    self.report(
                        source,
                        word,
                        format!("unknown interaction `{}`", **word),
                        help,
                    );
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
                let help = nearest(word, self.classes.iter().map(|c| &*c.name))
                    .map(|n| format!("did you mean `{n}`?"));
                self.report(source, word, format!("unknown class `{}`", **word), help);
            }
        }
        out
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
                Err(bad) => {
                    self.report(source, text, bad.message, bad.help);
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
                (false, ["id"] | ["meta"] | ["meta", "versionId" | "lastUpdated"]) => {
                    self.found
                        .error(source, text.span, format!("`{}` is always shown", **text));
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

    fn conditions(
        &mut self,
        source: &Source,
        resource: TypeId,
        texts: &[Spanned<String>],
    ) -> Vec<Condition> {
        let mut out = Vec::new();
        for text in texts {
            for pair in text.split('&') {
                let Some((name, value)) = pair.split_once('=') else {
                    self.found.error_with_help(
                        source,
                        text.span,
                        "`where` is a search: `parameter=value`",
                        "write it as `status=active`",
                    );
                    continue;
                };
                match Condition::compile(self.tables, resource, name, value) {
                    Ok(condition) => out.push(condition),
                    Err(message) => self.found.error(source, text.span, message),
                }
            }
        }
        out
    }

    fn report(
        &mut self,
        source: &Source,
        at: &Spanned<String>,
        message: String,
        help: Option<String>,
    ) {
        match help {
            Some(help) => self.found.error_with_help(source, at.span, message, help),
            None => self.found.error(source, at.span, message),
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
        if let (Some(most), Some((source, draft))) =
            (by_type.iter().map(Vec::len).max(), drafts.first())
            && most > MOST_GRANTS
        {
            let message =
                format!("a type has {most} grants; at most {MOST_GRANTS} can be told apart");
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
