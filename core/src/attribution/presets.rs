//! Headers in which other products are told who spends: for callers that send them already. Each stands for
//! one field, as an alias does: it counts where the field's own header is missing, and no trusted source is
//! overridden by it.
//!
//! Sources, read as excerpts on 2026-11-30, but Portkey's Traces, which is as known, and LiteLLM's session,
//! of which a translation was read:
//! - `LiteLLM`: Request Headers (docs.litellm.ai/docs/proxy/request_headers) has `x-litellm-tags`, of which
//!   those that are `key=value` count; All settings (docs.litellm.ai/docs/proxy/config_settings,
//!   `missing_session_id`) has `x-litellm-session-id`.
//! - `Helicone`: Header Directory (docs.helicone.ai/helicone-headers/header-directory) has
//!   `Helicone-Property-[Name]`; Sessions (docs.helicone.ai/features/sessions) has `Helicone-Session-Id`.
//! - `Portkey`: Traces (portkey.ai/docs/product/observability/traces) has `x-portkey-trace-id`; Metadata
//!   (portkey.ai/docs/product/observability/metadata) is a JSON object of texts, sent as `x-portkey-metadata`
//!   (portkey.ai/docs/api-reference/headers).
//! - `Langfuse`: by LiteLLM's Langfuse page (docs.litellm.ai/docs/observability/langfuse_integration), trace
//!   parameters come as headers with the prefix `langfuse_`, such as `langfuse_trace_id`.
//!
//! None of them has a header for a team or an agent of its own; users' ids stand for nobody here.

use super::Field;

/// Each header with its product's name and its field.
pub(crate) const PRESETS: &[(&str, &str, Field)] = &[
    ("litellm", "x-litellm-tags", Field::Tags),
    ("litellm", "x-litellm-session-id", Field::Run),
    ("helicone", "helicone-property-agent", Field::Agent),
    ("helicone", "helicone-property-team", Field::Team),
    ("helicone", "helicone-property-feature", Field::Feature),
    ("helicone", "helicone-property-environment", Field::Environment),
    ("helicone", "helicone-session-id", Field::Run),
    (PORTKEY, "x-portkey-trace-id", Field::Run),
    ("langfuse", "langfuse_trace_id", Field::Run),
];

/// The product whose metadata is an object.
pub(crate) const PORTKEY: &str = "portkey";
/// The header of that object.
pub(crate) const PORTKEY_METADATA: &str = "x-portkey-metadata";
