//! Tools of others, where they are installed.
