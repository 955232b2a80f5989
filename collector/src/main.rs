//! Tollgate command line.
fn main() {}
