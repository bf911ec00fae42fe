//! Tests of telling callers, each file a side of it.

mod attacks;
mod bench;
mod certificates;
mod https;
mod keys;
mod refusals;
mod subjects;
mod support;
mod wycheproof;
