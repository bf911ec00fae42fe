//! What a decision needs from inside a row: collected while it is walked, hidden or not.

/// A tree of keys with the slots in which values are collected.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    key: Box<[u8]>,
    next: ProbeId,
    slot: Option<Slot>,
}

/// A place in the tree; 0 is the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeId(u32);

/// Where a value goes: which question it answers, and which part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The question, counted by the probe's maker.
    pub(crate) question: u16,
    /// 0: the value itself (`code`, `reference`); 1: its system.
    pub(crate) part: u8,
}

/// One value found: the question, which object it was in, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding<'a> {
    pub(crate) slot: Slot,
    /// Position of the innermost object that holds it: parts of one object share it.
    pub(crate) object: usize,
    pub(crate) text: std::borrow::Cow<'a, str>,
}

impl Probe {
    pub(crate) const ROOT: ProbeId = ProbeId(0);

    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// Collects what stands at `path` (JSON keys) into `slot`.
    pub(crate) fn collect(&mut self, path: &[&str], slot: Slot) {
        let mut at = 0usize;
        for (i, key) in path.iter().enumerate() {
            let last = i + 1 == path.len();
            let slot = last.then_some(slot);
            let fresh = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let Some(node) = self.nodes.get_mut(at) else {
                return;
            };
            // one step may serve several questions: a second slot for a key makes a second step
            let known = node.children.iter_mut().find(|s| {
                *s.key == *key.as_bytes() && (slot.is_none() || s.slot.is_none() || s.slot == slot)
            });
            if let Some(step) = known {
                step.slot = step.slot.or(slot);
                at = step.next.0 as usize;
            } else {
                let next = node
                    .children
                    .iter()
                    .find(|s| *s.key == *key.as_bytes())
                    .map_or(ProbeId(fresh), |s| s.next);
                node.children.push(Step {
                    key: key.as_bytes().into(),
                    next,
                    slot,
                });
                at = next.0 as usize;
                if next.0 == fresh {
                    self.nodes.push(Node::default());
                }
            }
        }
    }

    /// Where the walk goes on under `key`, with the slots that its value fills.
    #[inline]
    pub(crate) fn step(&self, at: ProbeId, key: &[u8]) -> Option<ProbeId> {
        let node = self.nodes.get(at.0 as usize)?;
        node.children
            .iter()
            .find(|s| *s.key == *key)
            .map(|s| s.next)
    }

    /// The slots that a scalar under `key` fills.
    pub(crate) fn slots(&self, at: ProbeId, key: &[u8]) -> impl Iterator<Item = Slot> {
        self.nodes
            .get(at.0 as usize)
            .into_iter()
            .flat_map(|node| &node.children)
            .filter(move |s| *s.key == *key)
            .filter_map(|s| s.slot)
    }
}

/// What was found, by the object that it stands in: a row may have as much of it as fits, so it is
/// looked up and never sought.
pub(crate) fn by_object<'f>(found: impl Iterator<Item = &'f Finding<'f>>) -> Vec<(usize, &'f str)> {
    let mut all: Vec<(usize, &str)> = found.map(|f| (f.object, &*f.text)).collect();
    all.sort_by_key(|(object, _)| *object);
    all
}

/// Those of one object, in their order.
pub(crate) fn of_object<'l, 'f>(
    all: &'l [(usize, &'f str)],
    object: usize,
) -> &'l [(usize, &'f str)] {
    let from = all.partition_point(|(at, _)| *at < object);
    let rest = all.get(from..).unwrap_or_default();
    let many = rest.partition_point(|(at, _)| *at == object);
    rest.get(..many).unwrap_or_default()
}
