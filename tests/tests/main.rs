//! Black-box tests of the built binary: one binary, a module for each capability.

mod attacks;
mod command_line;
mod crash;
mod edge;
mod interactions;
mod leaks_synthea;
mod limits;
mod odd_targets;
mod real_server;
mod reload;
mod scenarios;
mod seams;
mod smuggling;
mod upstream_faults;
mod wide;
mod writes;
