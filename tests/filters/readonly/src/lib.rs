//! A filter that only reads both bodies: what looking costs, for the benchmark.
#![allow(unsafe_code, missing_docs)] // the SDK's entry macro exports `_initialize`

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(ReadOnly { bytes: 0 }));
}}

struct ReadOnly {
    bytes: usize,
}

impl Context for ReadOnly {}

impl RootContext for ReadOnly {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Self { bytes: 0 }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for ReadOnly {
    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        self.read(self.get_http_request_body(0, size));
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        self.read(self.get_http_response_body(0, size));
        Action::Continue
    }
}

impl ReadOnly {
    /// Keeps the compiler from leaving the read out.
    fn read(&mut self, body: Option<Vec<u8>>) {
        self.bytes += body.as_deref().map_or(0, <[u8]>::len);
        std::hint::black_box(&body);
    }
}
