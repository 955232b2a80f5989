//! What stands in place of the overview until the first call comes.

use maud::{Markup, html};

use crate::pages::visitor::Visitor;

/// How to send a call.
pub(super) fn page(visitor: &Visitor) -> Markup {
    html! {
        header.title { h1 { "No call yet" } }
        section.card.first data-live="first" {
            p { "The collector runs at " code { (visitor.base()) } " and waits for its first record. This page turns into the overview when it comes." }
            h2 { "Send a call through your gateway" }
            p { "Point a client at Envoy in place of the provider, and say who asks:" }
            pre tabindex="0" {
                "curl http://127.0.0.1:10000/v1/chat/completions \\\n"
                "  -H 'content-type: application/json' -H \"authorization: Bearer $OPENAI_API_KEY\" \\\n"
                "  -H 'x-tollgate-agent: my-agent' -H 'x-tollgate-team: my-team' \\\n"
                "  -d '{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n"
            }
            h2 { "Or look at a sample company" }
            p { "Records of five agents over ninety days, sent to this collector with a token that may write:" }
            pre tabindex="0" { "tollgate demo-data --url " (visitor.base()) " --token \"$(cat data/admin.token)\"\n" }
            p { "Nothing comes although calls are made? The " a href="/gateways" { "gateways" } " that report are listed; " code { "/metrics" } " counts requests with a wrong token. Programs ask the " a href="/api" { "API" } ", such as " code { "/api/v1/summary" } "." }
        }
    }
}
