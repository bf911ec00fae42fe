//! A grant's `show` or `hide` list for one type, and the union of several (D6).

use crate::fhir::tables::{Element, ElementType, StructId, Tables};

/// Elements by their stems, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trie {
    /// Whether a listed path ends here.
    pub(crate) here: bool,
    children: Vec<(&'static str, Trie)>,
}

impl Trie {
    pub(crate) fn insert(&mut self, path: &[&'static str]) {
        let Some((first, rest)) = path.split_first() else {
            self.here = true;
            return;
        };
        if let Some((_, child)) = self.children.iter_mut().find(|(name, _)| name == first) {
            child.insert(rest);
        } else {
            let mut child = Self::default();
            child.insert(rest);
            self.children.push((first, child));
        }
    }

    fn child(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find(|(stem, _)| *stem == name)
            .map(|(_, child)| child)
    }

    fn is_empty(&self) -> bool {
        !self.here && self.children.is_empty()
    }
}

/// What one grant shows of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everything.
    All,
    /// These, and what is always shown (D8).
    Show(Trie),
    /// Everything but these.
    Hide(Trie),
}

/// Where a grant stands while an element's structure is walked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pos<'a> {
    All,
    Show(&'a Trie),
    Hide(&'a Trie),
}

impl Rule {
    pub(crate) fn start(&self) -> Pos<'_> {
        match self {
            Self::All => Pos::All,
            Self::Show(trie) => Pos::Show(trie),
            Self::Hide(trie) if trie.is_empty() => Pos::All,
            Self::Hide(trie) => Pos::Hide(trie),
        }
    }
}

/// What the union of grants shows of an element.
pub(crate) enum Sight<'a> {
    /// All of it.
    Shown,
    /// Some of what lies inside.
    Partly(Vec<Pos<'a>>),
    /// Nothing.
    Hidden,
    /// Nothing, and it is a modifier that `hide` names: rows that have it don't leave (D8).
    Withheld,
}

/// The union over `grants` at one element. `at_root` makes `meta` and `id` what D8 says.
pub(crate) fn sight<'a>(grants: &[Pos<'a>], element: &Element, at_root: bool) -> Sight<'a> {
    if at_root && element.name == "id" {
        return Sight::Shown;
    }
    let mut partly = Vec::new();
    for pos in grants {
        match pos {
            Pos::All => return Sight::Shown,
            // a modifier is hidden only by a `hide` that names it
            Pos::Show(_) if element.modifier => return Sight::Shown,
            Pos::Show(trie) => match trie.child(element.name) {
                Some(child) if child.here => return Sight::Shown,
                Some(child) => partly.push(Pos::Show(child)),
                None => {}
            },
            Pos::Hide(trie) => match trie.child(element.name) {
                Some(child) if child.here => {}
                Some(child) => partly.push(Pos::Hide(child)),
                None => return Sight::Shown,
            },
        }
    }
    if at_root && element.name == "meta" && partly.is_empty() {
        return Sight::Partly(Vec::new());
    }
    match (partly.is_empty(), element.modifier) {
        (false, _) => Sight::Partly(partly),
        (true, true) => Sight::Withheld,
        (true, false) => Sight::Hidden,
    }
}

/// Whether `path` (stems from the root) and all that lies inside is shown by the union.
/// An empty path asks for the whole resource.
pub(crate) fn shows(tables: &Tables, root: StructId, grants: &[Pos<'_>], path: &[&str]) -> bool {
    if grants.iter().any(|pos| matches!(pos, Pos::All)) {
        return true;
    }
    if path.is_empty() {
        return !hides_any(tables, root, grants, true);
    }
    if matches!(path, ["meta", "versionId" | "lastUpdated"]) {
        return true;
    }
    // a view that hides something keeps the extensions that the pack lists, no others
    let by_url = |stem: &&str| matches!(*stem, "extension" | "modifierExtension");
    if path.iter().any(by_url) && hides_any(tables, root, grants, true) {
        return false;
    }
    let mut grants = grants.to_vec();
    let mut at = vec![root];
    for (depth, stem) in path.iter().enumerate() {
        let found: Vec<&Element> = at
            .iter()
            .filter_map(|s| tables.structure(*s).element(stem))
            .collect();
        let Some(element) = found.first() else {
            return false;
        };
        match sight(&grants, element, depth == 0) {
            Sight::Shown => return true,
            Sight::Partly(inner) => grants = inner,
            Sight::Hidden | Sight::Withheld => return false,
        }
        at = found
            .iter()
            .flat_map(|e| &e.types)
            .filter_map(complex)
            .collect();
    }
    // the path ends where only parts are shown, unless those parts are all there is
    !at.is_empty() && !at.iter().any(|s| hides_any(tables, *s, &grants, false))
}

/// Whether the union hides anything inside the structure.
pub(crate) fn hides_any(tables: &Tables, at: StructId, grants: &[Pos<'_>], at_root: bool) -> bool {
    if grants.iter().any(|pos| matches!(pos, Pos::All)) {
        return false;
    }
    tables
        .structure(at)
        .elements
        .iter()
        .any(|element| match sight(grants, element, at_root) {
            Sight::Shown => false,
            Sight::Hidden | Sight::Withheld => true,
            Sight::Partly(inner) => element
                .types
                .iter()
                .filter_map(complex)
                .any(|s| hides_any(tables, s, &inner, false)),
        })
}

fn complex(t: &ElementType) -> Option<StructId> {
    match t {
        ElementType::Complex(s) => Some(*s),
        _ => None,
    }
}
