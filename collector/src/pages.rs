//! The pages: what people keep open in a browser.
//!
//! A page asks the API inside this process ([`ask`]) and draws the typed answers of `model/answers`, so its
//! numbers are the API's, and so are roles and errors. All of a page comes from this binary: one stylesheet,
//! one script ([`assets`]) and pictures drawn as SVG ([`charts`]). A page works without the script; tables
//! then do not sort and figures do not renew themselves.

mod ask;
mod asked;
mod assets;
mod charts;
mod estimate_file;
mod forms;
mod frame;
mod live;
mod panels;
mod query;
mod routes;
mod session;
mod show;
mod sign_in;
mod tables;
mod views;
mod visitor;

pub use estimate_file::{BuiltWithout, file as estimate_file};
pub use routes::{by_cookie, missing, private, routes, streams};
pub use session::Sessions;
