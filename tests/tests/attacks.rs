//! A caller who wants what he may not see, and an upstream that is careless or hostile, against
//! the binary with the pack that ships. Each test is named for what must hold.

mod absence;
mod credentials;
mod handles;
mod heads;
mod journal;
mod purposes;
mod requests;
mod rows;
mod scopes;
mod searches;
mod stage;
