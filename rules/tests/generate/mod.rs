//! Packs, resources and their texts, drawn from numbers: the same numbers give the same things, and
//! fewer numbers give smaller ones, so that a failure shrinks.
#![allow(dead_code, unused_imports)] // not every test file looks at every part

mod packs;
mod resources;
mod text;

pub use packs::{model, path};
pub use resources::{TYPES, resource};
pub use text::{render, scalars};

/// Numbers to draw from; zeros once they are used up.
pub struct Dice {
    numbers: std::vec::IntoIter<u32>,
    marks: u32,
}

impl Dice {
    /// `count` numbers from one.
    pub fn seeded(seed: u64, count: usize) -> Self {
        let mut state = seed;
        let next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 32) as u32
        };
        let numbers: Vec<u32> = std::iter::repeat_with(next).take(count).collect();
        Self {
            numbers: numbers.into_iter(),
            marks: 0,
        }
    }

    /// 0 to `most` - 1.
    pub fn below(&mut self, most: usize) -> usize {
        self.numbers.next().unwrap_or(0) as usize % most.max(1)
    }

    /// True `of` times in 100; never once the numbers are used up.
    pub fn chance(&mut self, of: usize) -> bool {
        self.below(100) >= 100 - of
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// A word that occurs once in all that is drawn.
    pub fn marker(&mut self) -> String {
        self.marks += 1;
        format!("mk{}z", self.marks)
    }
}
