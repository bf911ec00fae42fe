//! One pack's text, read: every key known, every value of its kind, names not yet resolved.

use crate::source::{self, Named, Outcome, Source, Spanned, Table, Words};

/// A pack as written.
pub(super) struct Draft {
    pub(super) name: Spanned<String>,
    pub(super) types: Vec<Named<Words>>,
    pub(super) classes: Vec<(Spanned<String>, Words)>,
    pub(super) extensions: Vec<Spanned<String>>,
    pub(super) roles: Vec<RoleDraft>,
}

pub(super) struct RoleDraft {
    pub(super) name: Spanned<String>,
    pub(super) purposes: Vec<Spanned<String>>,
    pub(super) grants: Vec<GrantDraft>,
}

pub(super) struct GrantDraft {
    pub(super) on: Vec<Spanned<String>>,
    pub(super) can: Vec<Spanned<String>>,
    pub(super) show: Option<Words>,
    pub(super) hide: Option<Words>,
    pub(super) conditions: Vec<Spanned<String>>,
    pub(super) sensitive: Vec<Spanned<String>>,
}

pub(super) fn read(source: &Source) -> Outcome<Draft> {
    source::read(source, |table| {
        table.not_enforced(&[
            "relationship",
            "break_glass",
            "elevation",
            "separate",
            "operations",
            "mode",
        ]);
        let name = table.required_str("pack");
        if let Some(fhir) = table.required_str("fhir")
            && *fhir != "R4"
        {
            table.error_with_help(
                fhir.span,
                "this version reads FHIR `R4` only",
                "write `fhir = \"R4\"`",
            );
        }
        let types = table
            .map_of_lists("types")
            .map(|types| types.value)
            .unwrap_or_default();
        let extensions = words(table.strings("extensions"));
        let classes = table
            .named_tables("sensitive")
            .into_iter()
            .filter_map(|(name, mut class)| {
                class.not_enforced(&["codes", "types", "patients"]);
                Some((name, class.required_strings("labels")?))
            })
            .collect();
        let roles = table
            .required_tables("role")
            .into_iter()
            .filter_map(role)
            .collect();
        Some(Draft {
            name: name?,
            types,
            classes,
            extensions,
            roles,
        })
    })
}

fn role(mut table: Table<'_>) -> Option<RoleDraft> {
    table.not_enforced(&[
        "find_by",
        "hours",
        "from",
        "require",
        "mask",
        "operations",
        "mode",
        "message",
        "fallback",
    ]);
    let name = table.required_str("name");
    table.str("about");
    let purposes = words(table.required_unless_absent("purposes"));
    let grants = table
        .required_tables("grant")
        .into_iter()
        .map(grant)
        .collect();
    Some(RoleDraft {
        name: name?,
        purposes,
        grants,
    })
}

fn grant(mut table: Table<'_>) -> GrantDraft {
    table.not_enforced(&[
        "when",
        "step_up",
        "view",
        "mask",
        "find_by",
        "hours",
        "from",
        "require",
        "operations",
        "mode",
        "refer",
        "authority",
    ]);
    let show = table.required_unless_absent("show");
    let hide = table.required_unless_absent("hide");
    if let (Some(show), Some(_)) = (&show, &hide) {
        table.error_with_help(
            show.span,
            "a grant has either `show` or `hide`, not both",
            "keep one of them",
        );
    }
    GrantDraft {
        on: words(table.required_string_or_list("on")),
        can: words(table.required_string_or_list("can")),
        show,
        hide,
        conditions: words(table.string_or_list("where")),
        sensitive: words(table.string_or_list("sensitive")),
    }
}

impl<'r> Table<'r> {
    /// A list of at least one, where the key is there.
    fn required_unless_absent(&mut self, key: &'static str) -> Option<Words> {
        if self.has(key) {
            self.required_strings(key)
        } else {
            self.strings(key)
        }
    }
}

fn words(words: Option<Words>) -> Vec<Spanned<String>> {
    words.map(|words| words.value).unwrap_or_default()
}
