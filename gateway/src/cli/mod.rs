//! The commands of the `chartward` binary: each takes validated arguments and gives an exit code.

pub mod audit;
