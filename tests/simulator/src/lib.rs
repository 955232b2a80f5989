//! Providers simulated on loopback, in their real formats, with a ledger of their own.
//!
//! OpenAI (chat completions, responses, embeddings), Anthropic (messages) and Gemini (generateContent and
//! streamGenerateContent, as SSE and as a JSON array), Bedrock (converse, invoke). Paths are read as
//! leniently as some servers do. Sizes vary by a seed. A request orders faults and token
//! counts in its own headers (see [`orders`]). A recorded exchange can be served instead
//! ([`Simulator::replay`]).
//!
//! What it charges is worked out from its own [`prices`], in whole pico-dollars: it shares no code and no
//! price file with Tollgate, so that an agreement of both means something.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test tool: a broken assumption should end the run at once, with a backtrace

mod answer;
mod anthropic;
mod bedrock;
mod gemini;
mod openai;
mod realtime;
mod server;

pub mod fast;
pub mod ledger;
pub mod orders;
pub mod prices;
pub mod random;
pub mod websocket;

pub use ledger::{Ledger, Received, Served, Tokens};
pub use random::{Random, fingerprint};
pub use server::{Recorded, Simulator};
