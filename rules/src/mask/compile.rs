//! From grants to a [`View`].

use std::collections::HashMap;
use std::sync::Arc;

use super::rule::{self, Pos, Sight};
use super::view::{Act, Child, Copies, Keys, Node, NodeId, Required, View};
use crate::fhir::tables::{Element, ElementType, StructId, Tables, TypeId};

/// The mark of a view that hides something (v3-ObservationValue).
pub(crate) const REDACTED: &[u8] =
    br#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}"#;

const ABSENT: &str = r#""extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]"#;

/// What views of one pack and one set of rights share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// Extensions that a view which hides something keeps.
    pub(crate) extensions: Arc<[Box<str>]>,
    /// What of references' copies stays.
    pub(crate) copies: Arc<Copies>,
}

/// Compiles the union of `grants` over the type.
pub(crate) fn compile(
    tables: &Tables,
    resource: TypeId,
    grants: &[Pos<'_>],
    shared: &Shared,
) -> View {
    let root = tables.root(resource);
    let whole = !rule::hides_any(tables, root, grants, true);
    let mut build = Build {
        tables,
        shared,
        whole,
        nodes: vec![Node {
            keeps_unknown: true,
            ..Node::default()
        }],
        full: HashMap::new(),
        sibling: None,
        withholds: false,
    };
    let root = if whole {
        build.full(root)
    } else {
        build.partial(root, grants, Place::Root)
    };
    let (mut nodes, withholds) = (build.nodes, build.withholds);
    if let Some(node) = nodes.get_mut(root.0 as usize) {
        node.children.push(Child::new(b"resourceType", Act::Copy));
    }
    for node in &mut nodes {
        node.keys = Keys::build(&node.children);
    }
    let shows_contained = nodes
        .get(root.0 as usize)
        .is_some_and(|node| node.act(b"contained") == Some(Act::Contained));
    View {
        nodes,
        root,
        whole,
        withholds,
        shows_contained,
        extensions: shared.extensions.clone(),
        copies: shared.copies.clone(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Meta,
    Inside,
}

struct Build<'t> {
    tables: &'t Tables,
    shared: &'t Shared,
    whole: bool,
    nodes: Vec<Node>,
    /// Nodes of structures that are shown whole, by structure and what of a reference's copies stays.
    full: HashMap<(StructId, u8), NodeId>,
    sibling: Option<NodeId>,
    withholds: bool,
}

impl Build<'_> {
    /// The node of a structure all of whose elements are shown.
    fn full(&mut self, structure: StructId) -> NodeId {
        self.full_with(structure, 3)
    }

    fn full_with(&mut self, structure: StructId, copies: u8) -> NodeId {
        if let Some(known) = self.full.get(&(structure, copies)) {
            return *known;
        }
        let id = self.reserve();
        self.full.insert((structure, copies), id);
        let mut children = Vec::new();
        let tables = self.tables;
        for element in &tables.structure(structure).elements {
            if !stays(element, copies) && tables.structure(structure).name == "Reference" {
                self.cut(element, &mut children);
            } else {
                self.shown(element, &mut children);
            }
        }
        let required = self.references_required(structure, &children);
        self.fill(id, children, required);
        id
    }

    /// The node of a structure of which the union shows parts.
    fn partial(&mut self, structure: StructId, grants: &[Pos<'_>], place: Place) -> NodeId {
        self.partial_with(structure, grants, place, 3)
    }

    fn partial_with(
        &mut self,
        structure: StructId,
        grants: &[Pos<'_>],
        place: Place,
        copies: u8,
    ) -> NodeId {
        let id = self.reserve();
        let mut children = Vec::new();
        let mut required = Vec::new();
        let tables = self.tables;
        let is_reference = tables.structure(structure).name == "Reference";
        for element in &tables.structure(structure).elements {
            if is_reference && !stays(element, copies) {
                self.cut(element, &mut children);
                continue;
            }
            if place == Place::Meta && matches!(element.name, "versionId" | "lastUpdated") {
                self.shown(element, &mut children);
                continue;
            }
            // `show` can't name extensions: they are kept by their URL where their parent is shown
            let by_url =
                element.name == "extension" && grants.iter().any(|pos| matches!(pos, Pos::Show(_)));
            let sight = if by_url {
                Sight::Shown
            } else {
                rule::sight(grants, element, place == Place::Root)
            };
            let must = match sight {
                Sight::Shown => {
                    self.shown(element, &mut children);
                    is_reference_type(tables, element)
                }
                Sight::Partly(inner) => {
                    self.partly(element, &inner, place, &mut children);
                    true
                }
                Sight::Hidden => {
                    self.cut(element, &mut children);
                    true
                }
                Sight::Withheld => {
                    for (key, _) in tables.json_keys(element) {
                        push(&mut children, &key, Act::Withhold);
                        push(&mut children, &format!("_{key}"), Act::Withhold);
                    }
                    false
                }
            };
            if must && element.min > 0 {
                self.require(element, &children, &mut required);
            }
        }
        if place == Place::Meta {
            mark_security(&mut children);
        }
        self.fill(id, children, required);
        id
    }

    /// Mandatory references: one that goes with its contained resource leaves a reason.
    fn references_required(&mut self, structure: StructId, children: &[Child]) -> Vec<Required> {
        if self.whole {
            return Vec::new();
        }
        let tables = self.tables;
        let mut required = Vec::new();
        for element in &tables.structure(structure).elements {
            if element.min == 0 || !is_reference_type(tables, element) {
                continue;
            }
            self.require(element, children, &mut required);
        }
        required
    }

    /// Where none of the element's keys stays, an absent reason stands for it.
    fn require(&mut self, element: &Element, children: &[Child], required: &mut Vec<Required>) {
        match self.absent(element, 0) {
            Some(bytes) => {
                let keys: Vec<String> = self
                    .tables
                    .json_keys(element)
                    .flat_map(|(key, _)| [format!("_{key}"), key])
                    .collect();
                let of = (0..children.len())
                    .filter(|i| {
                        let child = children.get(*i);
                        child.is_some_and(|c| keys.iter().any(|k| k.as_bytes() == &*c.key))
                    })
                    .collect();
                required.push(Required {
                    children: of,
                    bytes: bytes.into_bytes(),
                });
            }
            None => self.withholds = true,
        }
    }

    fn partly(
        &mut self,
        element: &Element,
        inner: &[Pos<'_>],
        place: Place,
        children: &mut Vec<Child>,
    ) {
        let tables = self.tables;
        let is_meta = place == Place::Root && element.name == "meta";
        for (key, t) in tables.json_keys(element) {
            match t {
                // where it points is hidden, so what may stay can't depend on it (D7)
                ElementType::Complex(s)
                    if tables.structure(*s).name == "Reference"
                        && !self.shows(*s, inner, "reference") =>
                {
                    let node = self.partial_with(*s, inner, Place::Inside, 0);
                    push(children, &key, Act::Enter(node));
                }
                ElementType::Complex(s) if tables.structure(*s).name == "Reference" => {
                    let variants =
                        [0, 1, 2, 3].map(|c| self.partial_with(*s, inner, Place::Inside, c));
                    push(
                        children,
                        &key,
                        Act::Reference {
                            variants,
                            fallback: self.fallback(element),
                        },
                    );
                }
                // narrative repeats what is hidden elsewhere (D7)
                ElementType::Complex(s) if tables.structure(*s).name == "Narrative" => {
                    push(children, &key, Act::Cut);
                }
                ElementType::Complex(s) if tables.structure(*s).name == "Extension" => {
                    let node = self.partial(*s, inner, Place::Inside);
                    let act = if element.modifier {
                        Act::Modifiers(node)
                    } else {
                        Act::Extensions(node)
                    };
                    push(children, &key, act);
                }
                ElementType::Complex(s) if is_meta => {
                    let node = self.partial(*s, inner, Place::Meta);
                    push(children, &key, Act::Meta(node));
                }
                ElementType::Complex(s) => {
                    let node = self.partial(*s, inner, Place::Inside);
                    push(children, &key, Act::Enter(node));
                }
                // a choice: what `hide` names lies inside its complex types only
                ElementType::Primitive(_)
                    if inner.iter().any(|pos| !matches!(pos, Pos::Show(_))) =>
                {
                    self.shown_primitive(element, &key, children);
                }
                _ => push(children, &key, Act::Cut),
            }
        }
    }

    fn shows(&self, structure: StructId, grants: &[Pos<'_>], stem: &str) -> bool {
        let element = self.tables.structure(structure).element(stem);
        element.is_some_and(|e| matches!(rule::sight(grants, e, false), Sight::Shown))
    }

    fn cut(&mut self, element: &Element, children: &mut Vec<Child>) {
        for (key, t) in self.tables.json_keys(element) {
            if matches!(t, ElementType::Primitive(_)) {
                push(children, &format!("_{key}"), Act::Cut);
            }
            push(children, &key, Act::Cut);
        }
    }

    fn shown(&mut self, element: &Element, children: &mut Vec<Child>) {
        let tables = self.tables;
        for (key, t) in tables.json_keys(element) {
            let act = match t {
                ElementType::Primitive(_) | ElementType::Xhtml => {
                    self.shown_primitive(element, &key, children);
                    continue;
                }
                ElementType::Resource if element.name == "contained" => Act::Contained,
                ElementType::Resource => Act::Inner,
                ElementType::Complex(s) => self.shown_complex(element, *s),
            };
            push(children, &key, act);
        }
    }

    fn shown_primitive(&mut self, element: &Element, key: &str, children: &mut Vec<Child>) {
        let node = self.sibling();
        let (act, sibling) = match (element.many, self.whole) {
            (true, true) => (Act::Copy, Act::Siblings(node)),
            (true, false) => (Act::Items(node), Act::Siblings(node)),
            (false, _) => (Act::Copy, Act::Enter(node)),
        };
        push(children, &format!("_{key}"), sibling);
        push(children, key, act);
    }

    fn shown_complex(&mut self, element: &Element, structure: StructId) -> Act {
        let name = self.tables.structure(structure).name;
        match name {
            "Reference" => {
                let variants = [0, 1, 2, 3].map(|c| self.full_with(structure, c));
                Act::Reference {
                    variants,
                    fallback: self.fallback(element),
                }
            }
            _ if self.whole => Act::Enter(self.full(structure)),
            "Narrative" => Act::Cut,
            "Extension" if element.modifier => Act::Modifiers(self.full(structure)),
            "Extension" => Act::Extensions(self.full(structure)),
            "Meta" if element.name == "meta" => {
                Act::Meta(self.partial(structure, &[Pos::All], Place::Meta))
            }
            _ => Act::Enter(self.full(structure)),
        }
    }

    /// `_x` of a primitive: its id and extensions.
    fn sibling(&mut self) -> NodeId {
        if let Some(known) = self.sibling {
            return known;
        }
        let id = self.reserve();
        self.sibling = Some(id);
        let tables = self.tables;
        let mut children = Vec::new();
        // the tables have no structure for it; an extension has the same two elements
        if let Some(extension) = tables.datatype("Extension") {
            for name in ["id", "extension"] {
                if let Some(element) = tables.structure(extension).element(name) {
                    self.shown(element, &mut children);
                }
            }
        }
        self.fill(id, children, Vec::new());
        id
    }

    /// What of a reference's copies stays where it doesn't say what it points to.
    fn fallback(&self, element: &Element) -> u8 {
        let all = |types: &mut dyn Iterator<Item = TypeId>| {
            types.fold(3, |bits, t| bits & self.shared.copies.of(t))
        };
        if element.targets.is_empty() || element.targets.contains(&"Resource") {
            all(&mut self.tables.resources())
        } else {
            all(&mut element
                .targets
                .iter()
                .filter_map(|name| self.tables.resource(name)))
        }
    }

    /// A member that says why a mandatory element isn't there; `None` where none would be valid.
    fn absent(&self, element: &Element, depth: u8) -> Option<String> {
        let (key, t) = self.tables.json_keys(element).next()?;
        let (open, close) = if element.many { ("[", "]") } else { ("", "") };
        match t {
            ElementType::Primitive(_) if element.name == "url" || element.name == "id" => None,
            ElementType::Primitive(_) => Some(format!(r#""_{key}":{open}{{{ABSENT}}}{close}"#)),
            ElementType::Complex(s) if depth < 4 => {
                let mut body = ABSENT.to_owned();
                for inner in self
                    .tables
                    .structure(*s)
                    .elements
                    .iter()
                    .filter(|e| e.min > 0)
                {
                    body.push(',');
                    body.push_str(&self.absent(inner, depth + 1)?);
                }
                Some(format!(r#""{key}":{open}{{{body}}}{close}"#))
            }
            _ => None,
        }
    }

    fn reserve(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap_or(0))
    }

    fn fill(&mut self, id: NodeId, children: Vec<Child>, required: Vec<Required>) {
        let keeps_unknown = self.whole;
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            *node = Node {
                children,
                keys: Keys::default(),
                keeps_unknown,
                required,
            };
        }
    }
}

fn push(children: &mut Vec<Child>, key: &str, act: Act) {
    children.push(Child::new(key.as_bytes(), act));
}

fn mark_security(children: &mut [Child]) {
    for child in children.iter_mut().filter(|c| *c.key == *b"security") {
        if let Act::Enter(node) = child.act {
            child.act = Act::Marked(node);
        }
    }
}

fn stays(element: &Element, copies: u8) -> bool {
    match element.name {
        "display" => copies & 1 != 0,
        "identifier" => copies & 2 != 0,
        _ => true,
    }
}

fn is_reference_type(tables: &Tables, element: &Element) -> bool {
    element
        .types
        .iter()
        .any(|t| matches!(t, ElementType::Complex(s) if tables.structure(*s).name == "Reference"))
}
