//! How Chartward decides and what it lets out.
//!
//! What comes in: a compiled pack (`pack::Program`), a [`subject::Subject`], an understood
//! interaction and the bytes of an answer. What goes out: a permit or a [`refusal::Refusal`],
//! and [`proof::Released`] bytes against a [`proof::Receipt`].
//!
//! **Never here:** a clock, a file, a socket, a log line. `now` is an argument.

pub mod decide;
pub mod fhir;
pub mod mask;
pub mod pack;
pub mod proof;
pub mod record;
pub mod refusal;
pub mod smart;
pub mod source;
pub mod subject;
