//! Bundles, histories, compartments and their pages in the hands of a caller who wants what he may
//! not see, in front of an upstream that lies: against the binary, by scripted sockets.

mod amounts;
mod answers;
mod pages;
mod renewed;
mod stage;
