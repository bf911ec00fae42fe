//! A compiled view: what to do with each member of each object of a resource.

use std::sync::LazyLock;

use crate::fhir::tables::{TypeId, r4};

/// Index of a [`Node`] in its [`View`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// What a subject sees of one type, compiled for the walk of [`super::row`].
#[derive(Debug)]
pub struct View {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: NodeId,
    /// Hides nothing: rows leave as they came, extensions and narrative too.
    pub(crate) whole: bool,
    /// A mandatory hidden element can't be marked as absent: no row leaves.
    pub(crate) withholds: bool,
    /// Contained resources may leave.
    pub(crate) shows_contained: bool,
    /// URLs of the extensions that a view which hides something keeps.
    pub(crate) extensions: std::sync::Arc<[Box<str>]>,
    /// What of a reference's copies may stay, by the type it points to.
    pub(crate) copies: std::sync::Arc<Copies>,
}

/// For each type: whether `Reference.display` (bit 0) and `Reference.identifier` (bit 1) may stay.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Copies(pub(crate) Vec<u8>);

impl Copies {
    pub(crate) fn of(&self, resource: TypeId) -> u8 {
        self.0.get(resource.index()).copied().unwrap_or(0)
    }
}

impl View {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }
}

/// One kind of object.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) children: Vec<Child>,
    pub(crate) keys: Keys,
    /// Whether members that the tables don't know stay.
    pub(crate) keeps_unknown: bool,
    /// Mandatory elements that the view may take away.
    pub(crate) required: Vec<Required>,
}

/// A mandatory element: where none of its keys stays, `bytes` (a member) stands for it.
#[derive(Debug)]
pub(crate) struct Required {
    pub(crate) children: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Node {
    /// What happens to the member under `key`; `None` where the tables don't know it.
    pub(crate) fn act(&self, key: &[u8]) -> Option<Act> {
        let index = self.keys.find(&self.children, key)?;
        self.children.get(index).map(|child| child.act)
    }
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) key: Box<[u8]>,
    pub(crate) act: Act,
    words: Words,
}

impl Child {
    pub(crate) fn new(key: &[u8], act: Act) -> Self {
        Self {
            key: key.into(),
            act,
            words: Words::of(key),
        }
    }
}

/// A key's ends and length as numbers. Up to 16 bytes they are the whole key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// The first eight bytes, little-endian; fewer are filled up with zeros.
    pub(crate) head: u64,
    /// The last eight bytes; zero where there are fewer.
    pub(crate) tail: u64,
    pub(crate) length: u64,
}

impl Words {
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Self {
        let (head, tail) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => {
                let word = key
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte));
                (word, 0)
            }
        };
        Self {
            head,
            tail,
            length: key.len() as u64,
        }
    }

    #[inline]
    fn slot(self, seed: u64, shift: u32) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(29) ^ self.length).wrapping_mul(seed);
        ((mixed ^ (mixed >> 31)).wrapping_mul(seed) >> shift) as usize
    }
}

/// Resource types by their names, as they stand in references.
pub(crate) fn type_named(name: &[u8]) -> Option<TypeId> {
    static TYPES: LazyLock<(Vec<Child>, Keys, Vec<TypeId>)> = LazyLock::new(|| {
        let ids: Vec<TypeId> = r4().resources().collect();
        let name = |t: &TypeId| Child::new(r4().name(*t).as_bytes(), Act::Cut);
        let children: Vec<Child> = ids.iter().map(name).collect();
        let keys = Keys::build(&children);
        (children, keys, ids)
    });
    let (children, keys, ids) = &*TYPES;
    ids.get(keys.find(children, name)?).copied()
}

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Goes.
    Cut,
    /// The row that has it goes.
    Withhold,
    /// Stays as it came: primitives.
    Copy,
    /// Stays, its members by the node; arrays item by item.
    Enter(NodeId),
    /// A repeating primitive, under a view that hides something: an index at which neither a value
    /// nor a sibling (by the node) is left goes.
    Items(NodeId),
    /// `_x` of a repeating primitive, by the node: kept in line with the values.
    Siblings(NodeId),
    /// A reference: one of four nodes, by what of its copies may stay. `fallback` is for
    /// references that don't say what they point to.
    Reference { variants: [NodeId; 4], fallback: u8 },
    /// Extensions: those listed stay, by the node.
    Extensions(NodeId),
    /// Modifier extensions: an unlisted one withholds the row.
    Modifiers(NodeId),
    /// `meta` of the resource; the mark goes into it.
    Meta(NodeId),
    /// `meta.security` where it is shown: the mark joins its items.
    Marked(NodeId),
    /// `contained`: each under its own type.
    Contained,
    /// A resource inside (`Bundle.entry.resource`): a row of its own; refused, the object around it goes.
    Inner,
}

/// Finds a child by its key: one probe into a table without collisions.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    slots: Vec<u16>,
    seed: u64,
    shift: u32,
}

impl Keys {
    pub(crate) fn build(children: &[Child]) -> Self {
        if children.is_empty() {
            return Self {
                slots: vec![0],
                seed: 1,
                shift: 63,
            };
        }
        let mut bits = (children.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        loop {
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            for _ in 0..64 {
                if let Some(slots) = Self::place(children, seed, bits) {
                    return Self {
                        slots,
                        seed,
                        shift: 64 - bits,
                    };
                }
                seed = seed
                    .wrapping_mul(0xd134_2543_de82_ef95)
                    .wrapping_add(0x2545_f491_4f6c_dd1d)
                    | 1;
            }
            bits += 1;
        }
    }

    fn place(children: &[Child], seed: u64, bits: u32) -> Option<Vec<u16>> {
        let mut slots = vec![0u16; 1 << bits];
        for (i, child) in children.iter().enumerate() {
            let slot = slots.get_mut(child.words.slot(seed, 64 - bits))?;
            if *slot != 0 {
                return None;
            }
            *slot = u16::try_from(i + 1).ok()?;
        }
        Some(slots)
    }

    #[inline]
    pub(crate) fn find(&self, children: &[Child], key: &[u8]) -> Option<usize> {
        self.find_by(children, key, Words::of(key))
    }

    /// The same, where the key's words are known.
    #[inline]
    pub(crate) fn find_by(&self, children: &[Child], key: &[u8], words: Words) -> Option<usize> {
        let slot = *self.slots.get(words.slot(self.seed, self.shift))?;
        let index = usize::from(slot).checked_sub(1)?;
        let child = children.get(index)?;
        let same = child.words == words && (key.len() <= 16 || *child.key == *key);
        same.then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let words: Vec<String> = (0..400)
            .map(|i| format!("value{}x{}", i * 7, i % 13))
            .collect();
        let children: Vec<Child> = words
            .iter()
            .map(|w| Child::new(w.as_bytes(), Act::Copy))
            .collect();
        let keys = Keys::build(&children);
        for (i, word) in words.iter().enumerate() {
            assert_eq!(keys.find(&children, word.as_bytes()), Some(i));
            assert_eq!(keys.find(&children, format!("{word}y").as_bytes()), None);
        }
        assert_eq!(keys.find(&children, b""), None);
        assert_eq!(Keys::build(&[]).find(&[], b"a"), None);
    }
}
