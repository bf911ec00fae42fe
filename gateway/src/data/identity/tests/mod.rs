//! Tests of telling callers, each file a side of it.

mod attacks;
mod bench;
mod certificates;
mod https;
mod keys;
mod refusals;
mod sandbox;
mod subjects;
mod support;
mod wycheproof;
