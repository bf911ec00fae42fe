//! What a reload replaces: one state, swapped whole.
//!
//! In: a state that was built and checked to its end. Out: the version in force, shared by whoever
//! began under it. **Never here:** a state changed in place, or half of a new one.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// The state in force.
pub struct Live<T> {
    current: ArcSwap<Version<T>>,
}

/// A state, and how many were in force before it.
#[derive(Debug)]
pub struct Version<T> {
    /// From 1, one more with each swap.
    pub generation: u64,
    /// The state itself.
    pub state: T,
}

impl<T> Live<T> {
    /// The first state.
    pub fn new(state: T) -> Self {
        let first = Version {
            generation: 1,
            state,
        };
        Self {
            current: ArcSwap::from_pointee(first),
        }
    }

    /// The version in force, to be kept for as long as what began under it lasts.
    pub fn now(&self) -> Arc<Version<T>> {
        self.current.load_full()
    }

    /// A look at the version in force, without keeping it: cheap enough for each request.
    pub fn glance(&self) -> Guard<Arc<Version<T>>> {
        self.current.load()
    }

    /// Puts another state in force, and returns its generation. One caller at a time: generations
    /// would repeat.
    pub fn swap(&self, state: T) -> u64 {
        let generation = self.glance().generation + 1;
        self.current.store(Arc::new(Version { generation, state }));
        generation
    }
}

impl<T> Deref for Version<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_under_a_version_keeps_it() {
        let live = Live::new("old");
        let before = live.now();
        assert_eq!(live.swap("new"), 2);
        assert_eq!((before.generation, before.state), (1, "old"));
        assert_eq!((live.glance().generation, live.glance().state), (2, "new"));
    }
}
