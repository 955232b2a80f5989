"""Writes cases.jsonl beside this file: exchanges near faults that metering had, at least one for each kind.

The format is that of `tollgate meter --corpus`, with `class`, `why` and `expect`: dotted paths into the line that it prints,
and what has to stand there (`{"not": x}`, `{"about": n, "within": 0.35}`, or a list `any`). Bodies are made up here; what calls
cost is worked out from published prices, which stand in the arithmetic in dollars for a million tokens.

Run it with Python 3 after a change: `python3 collector/testdata/cases.py`.
"""

import base64
import json
import pathlib
import struct
import zlib

CASES = []
SSE, JSON, AWS = "text/event-stream", "application/json", "application/vnd.amazon.eventstream"
OPENAI, GEMINI, ANTHROPIC = "https://api.openai.com/v1", "https://generativelanguage.googleapis.com/v1beta", "https://api.anthropic.com/v1"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
WORDS = [word + " " for word in ("Every spring the town holds a market at the old bridge where farmers sell bread cheese and "
                                 "honey to people who come from far away").split()]
WORDS_TOKENS = 24  # of o200k


def usd(millionths):
    return f"{millionths / 1e6:.12f}"


def case(kind, name, url, body, expect, why, *, request=None, content_type=JSON, framing="json", method="POST", provider="", sent=None, headers=None):
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    CASES.append({
        **({"request_headers": sent} if sent else {}), "class": kind, "id": f"{kind}:{name}", "provider": provider, "api": kind, "method": method, "url": url,
        "path": "/" + url.split("/", 3)[3], "transport": "websocket" if framing == "ws" else "http", "framing": framing,
        "request_body": request if request is None or isinstance(request, str) else json.dumps(request),
        "response_status": 101 if framing == "ws" else 200,
        "response_headers": {"content-type": [content_type], "date": ["Fri, 27 Nov 2026 09:00:00 GMT"],
                             **{name: [value] for name, value in (headers or {}).items()}},
        "response_body_base64": base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode(),
        "expect": expect, "why": why,
    })


def stream(kind, name, url, events, expect, why, **more):
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    case(kind, name, url, body, expect, why, content_type=SSE, framing="sse", **more)


def frames(kind, name, model, documents, expect, why):
    def frame(payload):
        headers = b""
        for key, value in ((":event-type", "chunk"), (":message-type", "event")):
            headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        return message + struct.pack(">I", zlib.crc32(message))

    wrapped = [json.dumps({"bytes": base64.b64encode(json.dumps(one).encode()).decode()}).encode() for one in documents]
    url = BEDROCK + model + "/invoke-with-response-stream"
    case(kind, name, url, b"".join(map(frame, wrapped)), expect, why, content_type=AWS, framing="eventstream")


def session(kind, name, provider, url, messages, expect, why, request=None):
    body = "".join(json.dumps(message) + "\n" for message in messages)
    case(kind, name, url, body, expect, why, framing="ws", provider=provider, method="GET", request=request)


def chat(model, tokens, **usage):
    read, made = tokens
    usage = {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made, **usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": "So it is."}, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}


def chat_end(model, **usage):
    return [{"model": model, "choices": [{"delta": {"content": "So it is."}}]},
            {"model": model, "choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]


def responses(model, items, tools=(), tokens=(2000, 200), **more):
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)}
    return {"object": "response", "status": "completed", "model": model, "output": list(items),
            "tools": [{"type": tool} for tool in tools], "usage": usage, **more}


def gemini(model, tokens, grounding=None, **usage):
    usage = {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1], "totalTokenCount": sum(tokens), **usage}
    candidate = {"content": {"parts": [{"text": "So it is."}]}, "finishReason": "STOP"}
    if grounding is not None:
        candidate["groundingMetadata"] = grounding
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}


def interaction(model, steps=(), tokens=(1000, 100), **usage):
    usage = {"total_input_tokens": tokens[0], "total_output_tokens": tokens[1], "total_tokens": sum(tokens), **usage}
    return {"object": "interaction", "status": "completed", "model": model, "steps": list(steps), "usage": usage}


def message(model, tokens, **more):
    return {"type": "message", "model": model, "content": [{"type": "text", "text": "So it is."}], "stop_reason": "end_turn",
            "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1], **more}}


def about(tokens, **more):
    return {"usage.output_tokens": {"about": tokens, "within": 0.35}, "cost_status": "estimated", **more}


UNKNOWN = {"any": [{"cost_status": "unpriced"}, {"cost_usd": {"not": "0.000000000000"}}]}
NOT_MEASURED = {"cost_status": {"not": "measured"}}
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}
MAPS, PAGE = {"maps": {"uri": "https://maps.example/1"}}, {"web": {"uri": "https://example.com"}}


def vertex(location, model, verb, host=None):
    host = host or f"{location}-aiplatform.googleapis.com"
    return f"https://{host}/v1/projects/p/locations/{location}/publishers/{model}:{verb}"


# Counts.
run = {"type": "message", "model": "claude-haiku-4-5", "input_tokens": 500, "output_tokens": 0}
served = {"type": "fallback_message", "model": "claude-sonnet-4-5", "input_tokens": 520, "output_tokens": 80}
case("fallback-attempt", "declined-before-output", ANTHROPIC + "/messages",
     message("claude-sonnet-4-5", (520, 80), iterations=[run, served]),
     {"usage.input_tokens": 520, "cost_usd": usd(520 * 3 + 80 * 15)}, "The attempt put nothing out.")
start = {"type": "message_start", "message": message("claude-haiku-4-5", (4000, 1), cache_read_input_tokens=3000)}
delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 90, "input_tokens": 0, "cache_read_input_tokens": 0}}
stream("zero-overwrites-count", "zeros-behind", ANTHROPIC + "/messages", [start, delta],
       {"usage.input_tokens": 7000, "usage.output_tokens": 90}, "A zero is what a gateway left out.")
less = json.loads(json.dumps(delta))
less["usage"]["input_tokens"] = 7
stream("zero-overwrites-count", "less-behind", ANTHROPIC + "/messages", [start, less],
       {"usage.input_tokens": 7000, "cost_usd": usd(4000 * 1 + 3000 * 0.1 + 90 * 5)}, "Counts are cumulative: they do not shrink.")
stream("zero-overwrites-count", "chat-less-behind", OPENAI + "/chat/completions",
       [*chat_end("gpt-4.1", prompt_tokens=900, completion_tokens=70), {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}],
       {"usage.input_tokens": 900, "usage.output_tokens": 70}, "A later, smaller total takes nothing back.")
usage = {"prompt_tokens": 40, "completion_tokens": 6}
stream("usage-in-choice", "kimi", "https://api.moonshot.ai/v1/chat/completions",
       [{"model": "kimi-k2.5", "choices": [{"delta": {"content": "So it is."}}]},
        {"model": "kimi-k2.5", "choices": [{"delta": {}, "finish_reason": "stop", "usage": usage}]}],
       {"usage.input_tokens": 40, "usage.output_tokens": 6, "cost_status": "measured"}, "The usage stands in the choice.")
thinking = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 250, "completion_tokens_details": {"reasoning_tokens": 200}}
case("output-only-in-total", "thinking-beside", "https://gateway.example/v1/chat/completions",
     {**chat("gemini-3.5-flash", (0, 0)), "usage": thinking}, {"usage.output_tokens": 220}, "The total has the thinking.")
case("output-only-in-total", "no-completion", GEMINI + "/openai/chat/completions",
     {**chat("gemini-2.5-flash", (0, 0)), "usage": {"prompt_tokens": 30, "total_tokens": 130}},
     {"usage.output_tokens": 100, "cost_usd": usd(30 * 0.3 + 100 * 2.5)}, "What is beyond the prompt was made.")
case("rerank-usage", "together", "https://api.together.xyz/v1/rerank",
     {"object": "rerank", "model": "m", "results": [], "usage": {"prompt_tokens": 700, "completion_tokens": 0, "total_tokens": 700}},
     {"usage.input_tokens": 700}, "Its tokens stand in usage.")
case("ai-sdk-protocol", "numbers", "https://ai-gateway.vercel.sh/v1/ai/language-model",
     {"content": [{"type": "text", "text": "So it is."}], "finishReason": "stop",
      "usage": {"inputTokens": 50, "outputTokens": 40, "totalTokens": 90, "reasoningTokens": 30, "cachedInputTokens": 10}},
     {"usage.input_tokens": 50, "usage.output_tokens": 40, "usage.reasoning_tokens": 30}, "The total has the reasoning.")
case("ai-sdk-protocol", "embeddings", "https://ai-gateway.vercel.sh/v3/ai/embedding-model", {"embeddings": [[0.5]], "usage": {"tokens": 50}},
     {"usage.input_tokens": 50}, "Its embeddings count tokens.", request={"values": ["x"]})
case("free-but-paid", "counting-is-free", vertex("us-east5", "anthropic/models/count-tokens", "rawPredict"), {"input_tokens": 14},
     {"cost_status": "free"}, "Counting tokens costs nothing.", request={"model": "claude-haiku-4-5", "messages": []})
case("unknown-model-priced", "answered-by-another", OPENAI + "/chat/completions", chat("gpt-99-nova", (100, 10)), NOT_MEASURED,
     "Nobody knows what it costs.", request={"model": "gpt-4.1"})
case("unknown-model-priced", "router-fee-is-no-price", "https://r.openai.azure.com/openai/deployments/model-router/chat/completions",
     chat("gpt-99-nova", (100, 10)), {"cost_status": "unpriced"}, "The router's fee is not the model's price.")

# Counts that cannot be true.
case("contradictory-usage", "beyond-its-total", OPENAI + "/chat/completions", chat("gpt-4.1", (50, 10), total_tokens=9000), NOT_MEASURED,
     "The parts do not make up the total.")
case("contradictory-usage", "nothing-for-text", "https://api.together.xyz/v1/chat/completions", chat("m", (0, 0)), NOT_MEASURED, "Text was seen.")
case("contradictory-usage", "converse-total", BEDROCK + "amazon.nova-lite-v1%3A0/converse",
     {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 900}},
     NOT_MEASURED, "The parts do not make up the total.")
case("contradictory-usage", "below-nothing", OPENAI + "/responses", responses("gpt-4.1", [], tokens=(-4, 20)),
     {"usage.input_tokens": None, "usage.output_tokens": 20, "cost_status": "estimated"}, "A count below nothing is left out.")
case("contradictory-usage", "guardrail", BEDROCK + "amazon.nova-lite-v1%3A0/converse",
     {"output": {"message": {"content": [{"text": "I cannot say."}]}}, "stopReason": "guardrail_intervened",
      "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}},
     {"cost_status": "measured", "cost_usd": "0.000000000000"}, "No model ran: the text is the guardrail's.")
case("unknown-usage", "other-names", OPENAI + "/chat/completions", {**chat("gpt-4.1", (0, 0)), "usage": {"tokens_read": 50, "tokens_made": 9}},
     {"cost_status": "estimated"}, "An estimate, as nobody knows these names.")

# Streams that were cut.
stream("cumulative-text-in-cut-stream", "sonar", "https://api.perplexity.ai/chat/completions",
       [{"model": "sonar", "choices": [{"delta": {"content": word}, "message": {"content": "".join(WORDS[:at + 1])}}]} for at, word in enumerate(WORDS)],
       about(WORDS_TOKENS), "Each chunk repeats the text so far.")
stream("json-around-text-in-cut-stream", "typed-parts", "https://api.mistral.ai/v1/chat/completions",
       [{"model": "mistral-small-latest", "choices": [{"delta": {"content": [{"type": "text", "text": word}]}}]} for word in WORDS],
       about(WORDS_TOKENS), "The text in the parts is what passed.")
stream("json-around-text-in-cut-stream", "conversation", "https://api.mistral.ai/v1/conversations",
       [{"type": "message.output.delta", "model": "mistral-small-latest", "content": word} for word in WORDS],
       about(WORDS_TOKENS), "The events of a conversation.", request={"model": "mistral-small-latest"})
part = [{"candidates": [{"content": {"parts": [{"functionCall": {"name": "note", "willContinue": True}}]}}], "modelVersion": "gemini-3.5-flash"}]
part += [{"candidates": [{"content": {"parts": [{"functionCall": {"partialArgs": [{"jsonPath": "$.text", "stringValue": word}], "willContinue": True}}]}}]} for word in WORDS]
stream("gemini-parts-unseen", "partial-args", GEMINI + "/models/gemini-3.5-flash:streamGenerateContent?alt=sse", part, about(WORDS_TOKENS + 2), "Arguments are output.")
code = [{"candidates": [{"content": {"parts": [{"executableCode": {"code": word}}]}}], "modelVersion": "gemini-2.5-pro"} for word in WORDS]
stream("gemini-parts-unseen", "code", vertex("global", "google/models/gemini-2.5-pro", "streamGenerateContent?alt=sse", "aiplatform.googleapis.com"),
       code, about(WORDS_TOKENS), "Code is output.")
frames("chat-shape-on-bedrock", "qwen", "qwen.qwen3-32b-v1%3A0", [{"choices": [{"delta": {"content": word}}]} for word in WORDS], about(WORDS_TOKENS), "OpenAI's shape.")
opening = {"type": "message_start", "message": {"type": "message", "model": "claude-haiku-4-5-20251001", "usage": {"input_tokens": 30, "output_tokens": 1}}}
call = {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "note", "input": {}}}
arguments = [{"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": word}} for word in WORDS]
frames("cut-stream-measured", "in-a-call", "eu.anthropic.claude-haiku-4-5-20251001-v1%3A0", [opening, call, *arguments],
       about(WORDS_TOKENS * 1.15 + 2), "What frames the call has not passed yet.")
stream("cut-stream-measured", "in-a-call-at-anthropic", ANTHROPIC + "/messages", [opening, call, *arguments], about(WORDS_TOKENS * 1.15 + 2), "The same at Anthropic.")

# What searches, tools and the address cost.
case("search-fee-per-unique-query", "three-of-five", GEMINI + "/models/gemini-3.5-flash:generateContent",
     gemini("gemini-3.5-flash", (100, 10), {"webSearchQueries": ["a", "b", "a", "", "c"], "groundingChunks": [PAGE]}),
     {"usage.web_searches": 3, "cost_usd": usd(100 * 1.5 + 10 * 9 + 3 * 14_000)}, "Three different queries.")
case("search-fee-per-prompt", "flash-lite", GEMINI + "/models/gemini-2.5-flash-lite:generateContent",
     gemini("gemini-2.5-flash-lite", (100, 10), {"webSearchQueries": ["a", "b"]}),
     {"cost_usd": usd(100 * 0.1 + 10 * 0.4 + 35_000)}, "One grounded prompt.")
case("maps-grounding-fee", "flash-lite", GEMINI + "/models/gemini-2.5-flash-lite:generateContent",
     gemini("gemini-2.5-flash-lite", (100, 10), {"webSearchQueries": ["a", "b"], "groundingChunks": [MAPS, MAPS]}),
     {"cost_usd": usd(100 * 0.1 + 10 * 0.4 + 25_000)}, "Its queries are the map's.")
case("maps-grounding-fee", "with-search", GEMINI + "/models/gemini-2.5-flash:generateContent",
     gemini("gemini-2.5-flash", (100, 10), {"webSearchQueries": ["a"], "groundingChunks": [MAPS, PAGE]}),
     {"cost_usd": usd(100 * 0.3 + 10 * 2.5 + 60_000)}, "Both tools, each at its fee.")
case("maps-grounding-fee", "gemini-3", GEMINI + "/models/gemini-3.5-flash:generateContent",
     gemini("gemini-3.5-flash", (100, 10), {"webSearchQueries": ["a", "b"], "groundingChunks": [MAPS]}),
     {"cost_usd": usd(100 * 1.5 + 10 * 9 + 2 * 14_000)}, "By the query.")
case("maps-grounding-fee", "interaction", GEMINI + "/interactions", interaction("gemini-2.5-flash", [{"type": "google_maps_call"}]),
     {"cost_usd": usd(1000 * 0.3 + 100 * 2.5 + 25_000)}, "As a step.")
case("interactions-search-fee", "counted", GEMINI + "/interactions",
     interaction("gemini-3.5-flash", grounding_tool_count=[{"type": "google_search", "count": 2}]),
     {"cost_usd": usd(1000 * 1.5 + 100 * 9 + 2 * 14_000)}, "Two queries.")
case("web-search-preview-fee", "versioned", OPENAI + "/responses", responses("gpt-4.1-mini", [SEARCH, SEARCH], ["web_search_preview_2025_03_11"]),
     {"usage.web_searches": 2, "cost_usd": usd(2000 * 0.4 + 200 * 1.6 + 2 * 25_000)}, "The preview tool's own fee.")
case("web-search-preview-fee", "model-that-reasons", OPENAI + "/responses", responses("o4-mini", [SEARCH], ["web_search_preview"]),
     {"cost_usd": usd(2000 * 1.1 + 200 * 4.4 + 10_000)}, "Models that reason pay the plain fee.")
case("search-model-fee", "four-o", OPENAI + "/chat/completions", chat("gpt-4o-search-preview-2025-03-11", (50, 60)),
     {"cost_usd": usd(50 * 2.5 + 60 * 10 + 25_000)}, "Each call searches.")
stream("search-model-fee", "five", OPENAI + "/chat/completions", chat_end("gpt-5-search-api-2025-10-14", prompt_tokens=50, completion_tokens=60),
       {"cost_usd": usd(50 * 1.25 + 60 * 10 + 10_000)}, "At the fee of its own.")
case("search-call-without-action", "two", OPENAI + "/responses",
     responses("gpt-5-mini", [{"type": "web_search_call", "status": "completed"}] * 2, ["web_search"]),
     {"usage.web_searches": 2, "cost_usd": usd(2000 * 0.25 + 200 * 2 + 2 * 10_000)}, "Older answers tell no action.")
case("file-search-fee", "three", OPENAI + "/responses", responses("gpt-5-mini", [{"type": "file_search_call"}] * 3, ["file_search"]),
     {"usage.file_searches": 3, "cost_usd": usd(2000 * 0.25 + 200 * 2 + 3 * 2500)}, "Each call is charged.")
case("code-session-fee", "two-containers", OPENAI + "/responses",
     responses("gpt-5-mini", [{"type": "code_interpreter_call", "container_id": name} for name in ("a", "b", "a")], ["code_interpreter"]),
     {"usage.code_sessions": 2, "cost_usd": usd(2000 * 0.25 + 200 * 2 + 2 * 30_000)}, "By the container.")
case("image-tool-unseen", "with-text", OPENAI + "/responses", responses("gpt-5", [{"type": "image_generation_call", "result": "AAAA"}], ["image_generation"]),
     NOT_MEASURED, "The image is not in the usage.")
case("image-output-price", "mini", OPENAI + "/images/generations",
     {"data": [{"b64_json": "AAAA"}], "usage": {"input_tokens": 20, "output_tokens": 1000, "total_tokens": 1020, "input_tokens_details": {"text_tokens": 20, "image_tokens": 0}}},
     {"cost_usd": usd(20 * 2 + 1000 * 8)}, "They are image tokens.", request={"model": "gpt-image-1-mini", "prompt": "x"})
case("data-residency-host", "batch-in-europe", "https://eu.api.openai.com/v1/files/file-1/content",
     json.dumps({"response": {"body": chat("gpt-5.4", (1000, 100))}}), {"provider": "openai", "cost_usd": usd((1000 * 1.25 + 100 * 7.5) * 1.1)},
     "Half as a batch, a tenth more there.", method="GET")
case("data-residency-host", "older-model", "https://au.api.openai.com/v1/responses", responses("gpt-4.1", []),
     {"cost_usd": usd(2000 * 2 + 200 * 8)}, "Models from before March 2026 cost the same.")
case("region-price", "haiku-in-a-region", vertex("europe-west1", "anthropic/models/claude-haiku-4-5@20251001", "rawPredict"),
     message("claude-haiku-4-5-20251001", (1000, 100)), {"cost_usd": usd((1000 + 100 * 5) * 1.1)}, "A tenth more.")
case("region-price", "haiku-anywhere", vertex("global", "anthropic/models/claude-haiku-4-5@20251001", "rawPredict", "aiplatform.googleapis.com"),
     message("claude-haiku-4-5-20251001", (1000, 100)), {"cost_usd": usd(1000 + 100 * 5)}, "The global endpoint is plain.")
case("region-price", "gemini-multi-region", vertex("us", "google/models/gemini-3.5-flash", "generateContent", "aiplatform.us.rep.googleapis.com"),
     gemini("gemini-3.5-flash", (1000, 100)), {"provider": "vertex", "cost_usd": usd((1000 * 1.5 + 100 * 9) * 1.1)}, "Some of Google's own too.")
case("region-price", "older-claude", vertex("us-east5", "anthropic/models/claude-opus-4-1@20250805", "rawPredict"),
     message("claude-opus-4-1-20250805", (1000, 100)), {"cost_usd": usd(1000 * 15 + 100 * 75)}, "Before 4.5 it is one price.")
case("region-price", "bedrock-profile", BEDROCK + "eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse",
     {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}},
     {"cost_usd": usd((1000 + 100 * 5) * 1.1)}, "A regional inference profile.")
case("model-router-fee", "json", "https://r.openai.azure.com/openai/deployments/model-router/chat/completions", chat("gpt-4.1", (1000, 100)),
     {"cost_usd": usd(1000 * 2 + 100 * 8 + 1000 * 0.14)}, "Its fee is on top.")
case("prompt-router", "nova", BEDROCK + "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Adefault-prompt-router%2Famazon.nova%3A1/converse",
     {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
      "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0"}}},
     {"cost_usd": {"about": usd(1000 * 0.8 + 100 * 3.2), "within": 0.05}}, "The model that ran.")
case("latency-price", "claude", BEDROCK + "us.anthropic.claude-3-5-haiku-20241022-v1%3A0/converse",
     {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
      "performanceConfig": {"latency": "optimized"}}, {"cost_usd": {"not": usd(1000 * 0.8 + 100 * 4)}}, "Not the standard price.")
case("host-in-path", "together", "https://router.huggingface.co/together/v1/chat/completions", chat("deepseek-ai/DeepSeek-R1", (1000, 100)),
     {"provider": "huggingface", "cost_usd": usd(1000 * 3 + 100 * 7)}, "The host that serves.", request={"model": "deepseek-ai/DeepSeek-R1"})
for host, provider in (("api.sambanova.ai", "sambanova"), ("eu-west-1.api.x.ai", "xai"), ("x.openai.azure.us", "azure"), ("ai.mongodb.com", "voyage")):
    case("host-not-known", host, f"https://{host}/v1/chat/completions", chat("m", (10, 1)), {"provider": provider}, "Its host says who it is.")
case("connector-tokens", "connector", "https://api.mistral.ai/v1/conversations",
     {"outputs": [{"type": "message.output", "model": "mistral-medium-latest", "content": "So it is."}],
      "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 150, "connector_tokens": 40, "connectors": {"web_search": 3}}},
     {"usage.web_searches": 3, **NOT_MEASURED}, "What connectors cost is left open.")

# Sessions and sound.
turn = {"usageMetadata": {"promptTokenCount": 200, "responseTokenCount": 100, "totalTokenCount": 300,
                          "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 200}], "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}]},
        "serverContent": {"turnComplete": True}}
LIVE = "https://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
setup = json.dumps({"setup": {"model": "models/gemini-2.5-flash-native-audio-preview-12-2025"}})
session("session-model", "named-at-setup", "gemini", LIVE, [{"setupComplete": {}}, turn], {"cost_status": "measured"}, "The client names it.", setup)
session("session-audio-price", "spoken", "gemini", LIVE, [{"setupComplete": {}}, turn],
        {"usage.output_audio_tokens": 100, "cost_usd": usd(200 * 0.5 + 100 * 12)}, "Sound has a price of its own.", setup)
searched = {"serverContent": {"groundingMetadata": {"webSearchQueries": ["a"], "groundingChunks": [PAGE]}}}
session("session-audio-price", "searched", "gemini", LIVE, [{"setupComplete": {}}, searched, turn], {"usage.web_searches": 1}, "What was searched for is told before the usage.", setup)
spoken = {"input_tokens": 90, "output_tokens": 70, "total_tokens": 160}
session("seconds-not-charged", "voice", "xai", "wss://api.x.ai/v1/realtime",
        [{"type": "session.created", "session": {"model": "grok-voice-think-fast-2.0"}},
         {"type": "response.done", "response": {"id": "r"}, "usage": {**spoken, "billable_audio_seconds": 12}}],
        {"usage.audio_ms": 12000, "cost_status": "measured", "cost_usd": f"{12000 * 0.000001333334:.12f}"}, "By the second.")
session("seconds-not-charged", "voice-without-seconds", "xai", "wss://api.x.ai/v1/realtime",
        [{"type": "session.created", "session": {"model": "grok-voice-2.0"}}, {"type": "response.done", "response": {"id": "r"}, "usage": spoken}],
        {"cost_status": "unpriced"}, "Its tokens have no price.")
heard = {"prompt_audio_seconds": 60, "prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 384, "prompt_tokens_details": {"audio_tokens": 375}}
stream("seconds-not-charged", "transcription", "https://api.mistral.ai/v1/audio/transcriptions",
       [{"type": "transcription.text.delta", "text": "So it is."}, {"type": "transcription.done", "model": "voxtral-mini-2602", "text": "So it is.", "usage": heard}],
       {"cost_status": "measured", "cost_usd": "0.003000000000"}, "A minute at $0.003.", request={"model": "voxtral-mini-latest"})

# Work that is paid elsewhere or later, and errors.
case("free-but-paid", "veo-on-vertex", vertex("us-central1", "google/models/veo-3.1-generate-001", "predictLongRunning"), {"name": "operations/1"}, UNKNOWN,
     "A video is paid.", request={"instances": [{"prompt": "x"}]})
case("free-but-paid", "fine-tuning", "https://api.mistral.ai/v1/fine_tuning/jobs", {"id": "j", "status": "QUEUED"}, UNKNOWN, "Training is paid.", request={"model": "m"})
for model in ("lyria-3-pro-preview", "lyria-3.5-clip-preview"):
    case("zero-price-row", model, f"{GEMINI}/models/{model}:generateContent", gemini(model, (30, 700)), UNKNOWN, "A song is paid.")
case("zero-price-row", "blocked", GEMINI + "/models/lyria-3-pro-preview:generateContent",
     {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 30, "totalTokenCount": 30}, "modelVersion": "lyria-3-pro-preview"},
     {"cost_usd": "0.000000000000"}, "No song was made.")
case("zero-price-row", "command-a-plus", "https://api.cohere.com/v2/chat",
     {"message": {"content": [{"type": "text", "text": "So it is."}]}, "usage": {"billed_units": {"input_tokens": 30, "output_tokens": 5}}},
     {"cost_status": "unpriced"}, "Nobody calls it free.", request={"model": "command-a-plus-05-2026"})
lines = [{"key": str(at), "response": gemini("gemini-2.5-flash", (100, 10))} for at in range(2)]
case("batch-results-unread", "gemini-file", "https://generativelanguage.googleapis.com/download/v1beta/files/batch-1:download?alt=media",
     "\n".join(map(json.dumps, lines)), {"usage.input_tokens": 200, "cost_usd": usd((200 * 0.3 + 20 * 2.5) / 2)}, "A line each.", method="GET")
case("batch-results-unread", "gemini-inlined", GEMINI + "/batches/b1",
     {"name": "batches/b1", "metadata": {"model": "models/gemini-2.5-flash"}, "done": True,
      "response": {"inlinedResponses": {"inlinedResponses": [{"response": gemini("gemini-2.5-flash", (100, 10))}]}}},
     {"usage.input_tokens": 100, "cost_usd": usd((100 * 0.3 + 10 * 2.5) / 2)}, "In the operation.", method="GET")
case("batch-results-unread", "gemini-running", GEMINI + "/batches/b1", {"name": "batches/b1", "metadata": {"state": "BATCH_STATE_RUNNING"}},
     {"cost_status": "free"}, "It has none yet.", method="GET")
case("batch-results-unread", "mistral-inlined", "https://api.mistral.ai/v1/batch/jobs/j1?inline=true",
     {"id": "j1", "outputs": [{"response": {"status_code": 200, "body": chat("mistral-small-latest", (100, 10))}}]},
     {"usage.input_tokens": 100, "cost_status": "measured"}, "In the job.", method="GET")
case("vertex-embedding-tokens", "two-texts", vertex("us-central1", "google/models/gemini-embedding-001", "predict"),
     {"predictions": [{"embeddings": {"statistics": {"token_count": 40}}}, {"embeddings": {"statistics": {"token_count": 60}}}]},
     {"usage.input_tokens": 100, "cost_usd": usd(100 * 0.15)}, "By the token.")
case("error-in-200", "minimax", "https://api.minimax.io/v1/text/chatcompletion_v2", {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
     {"outcome": "error", "cost_usd": "0.000000000000"}, "Its code says so.", request={"model": "MiniMax-M2"})
case("provider-cost-dropped", "image", "https://api.x.ai/v1/images/generations", {"data": [{"url": "x"}], "usage": {"cost_in_usd_ticks": 200_000_000}},
     {"provider_cost_usd": "0.020000000000", "cost_status": {"not": "free"}}, "It says what it cost.", request={"model": "grok-imagine", "prompt": "x"})

case("router-own-cost", "openrouter", "https://openrouter.ai/api/v1/chat/completions", chat("openai/gpt-4.1-mini", (1000, 100), cost=0.0031, is_byok=False),
     {"cost_usd": "0.003100000000", "provider_cost_usd": "0.003100000000"}, "What was charged.")
case("router-search-fee", "openrouter", "https://openrouter.ai/api/v1/chat/completions",
     chat("openai/gpt-4.1-mini", (1000, 100), cost=0.02056, is_byok=False, server_tool_use={"web_search_requests": 2}),
     {"usage.web_searches": 2, "cost_usd": "0.020560000000"}, "Its searches are in what was charged.")
case("xai-tool-fees", "code", "https://api.x.ai/v1/responses",
     {**responses("grok-4.3", []), "usage": {"input_tokens": 2000, "output_tokens": 200, "total_tokens": 2200, "cost_in_usd_ticks": 80_000_000,
                                             "server_side_tool_usage_details": {"code_interpreter_calls": 1}}},
     {"cost_usd": "0.008000000000", "provider_cost_usd": "0.008000000000"}, "What was billed.")


# Fees of tools in batches: each once, and none lost.
def anthropic_batch(*results):
    lines = [{"custom_id": str(at), "result": {"type": "succeeded", "message": message(model, (1000, 100), server_tool_use={"web_search_requests": searches})}}
             for at, (model, searches) in enumerate(results)]
    return "\n".join(map(json.dumps, lines))


BATCH = ANTHROPIC + "/messages/batches/msgbatch_1/results"
case("batch-tool-fees", "anthropic-two-models", BATCH, anthropic_batch(("claude-haiku-4-5", 2), ("claude-sonnet-4-5", 1), ("claude-haiku-4-5", 0)),
     {"usage.web_searches": 3, "cost_usd": usd((2 * (1000 + 500) + 3000 + 1500) / 2 + 3 * 10_000)}, "A search is paid once.", method="GET")
case("batch-tool-fees", "anthropic-many", BATCH, anthropic_batch(*[("claude-haiku-4-5", 1)] * 200),
     {"usage.web_searches": 200, "cost_usd": usd(200 * (1500 / 2 + 10_000))}, "As many results as there are.", method="GET")
searching = "\n".join(json.dumps({"response": {"body": chat("gpt-4o-search-preview", (1000, 100))}}) for _ in range(90))
case("batch-tool-fees", "search-model-many", OPENAI + "/files/file-1/content", searching,
     {"cost_usd": usd(90 * ((2500 + 1000) / 2 + 25_000))}, "Each call pays its fee once.", method="GET")
long = "\n".join(json.dumps({"response": {"body": chat("gpt-5.4", (9000, 10))}}) for _ in range(150))
case("batch-tool-fees", "tier-of-one-call", OPENAI + "/files/file-1/content", long,
     {"cost_usd": usd(150 * (9000 * 2.5 + 10 * 15) / 2)}, "Many short prompts are no long one.", method="GET")
tools = [SEARCH, {"type": "file_search_call"}, {"type": "code_interpreter_call", "container_id": "a"}]
case("batch-tool-fees", "responses", OPENAI + "/files/file-1/content",
     "\n".join(json.dumps({"response": {"body": responses("gpt-5-mini", tools)}}) for _ in range(2)),
     {"usage.web_searches": 2, "usage.file_searches": 2, "usage.code_sessions": 2,
      "cost_usd": usd(2 * ((2000 * 0.25 + 200 * 2) / 2 + 10_000 + 2500 + 30_000))}, "The items of each line.", method="GET")
found = [{"response": gemini("gemini-2.5-flash", (100, 10), {"webSearchQueries": ["a", "b"]})}, {"response": gemini("gemini-2.5-flash", (100, 10))},
         {"error": {"code": 13}}, {"response": gemini("gemini-2.5-flash", (100, 10), {"webSearchQueries": ["a"]})}]
case("batch-tool-fees", "gemini-inlined", GEMINI + "/batches/b1", {"name": "batches/b1", "response": {"inlinedResponses": {"inlinedResponses": found}}},
     {"usage.web_searches": 2, "cost_usd": usd((300 * 0.3 + 30 * 2.5) / 2 + 2 * 35_000)}, "Two grounded prompts.", method="GET")
case("batch-tool-fees", "gemini-file", "https://generativelanguage.googleapis.com/download/v1beta/files/batch-1:download?alt=media",
     "\n".join(json.dumps({"response": gemini("gemini-3.5-flash", (100, 10), {"webSearchQueries": [query, query]})}) for query in "ab"),
     {"usage.web_searches": 2, "cost_usd": usd((200 * 1.5 + 20 * 9) / 2 + 2 * 14_000)}, "A query of each line.", method="GET")
result = lambda model: {"batch_result": {"response": {"chat_get_completion": chat(model, (1000, 100), server_side_tool_usage_details={"code_interpreter_calls": 1})}}}
case("batch-tool-fees", "xai", "https://api.x.ai/v1/batches/b1/results", {"results": [result("grok-4.3"), result("grok-4.3")]},
     {"cost_usd": usd(2 * ((1000 * 1.25 + 100 * 2.5) * 0.8 + 5000))}, "Code is paid by the run.", method="GET")
case("batch-tool-fees", "embeddings-count", GEMINI + "/batches/b1",
     {"name": "batches/b1", "metadata": {"model": "models/gemini-embedding-001"}, "response": {"inlinedEmbedContentResponses": {"inlinedResponses": [
         {"response": {"embedding": {}, "tokenCount": "60"}}, {"response": {"embedding": {}, "tokenCount": "40"}}]}}},
     {"usage.input_tokens": 100, "cost_usd": usd(100 * 0.15 / 2)}, "Their own word for it.", method="GET")

# The input is lost where only the answer is told.
ASKED = {"messages": [{"role": "user", "content": "word " * 400}]}
LOST = {"usage.input_tokens": {"about": 400, "within": 0.2}, "cost_status": "estimated"}
case("lost-input", "chat", OPENAI + "/chat/completions", {**chat("gpt-4.1", (0, 0)), "usage": {"completion_tokens": 5}}, LOST,
     "What was read is estimated.", request={"model": "gpt-4.1", **ASKED})
case("lost-input", "in-the-total", OPENAI + "/chat/completions", {**chat("gpt-4.1", (0, 0)), "usage": {"completion_tokens": 5, "total_tokens": 5005}},
     {"usage.input_tokens": 5000, "cost_status": "estimated", "cost_usd": usd(5000 * 2 + 5 * 8)}, "The total has it.", request={"model": "gpt-4.1", **ASKED})
case("lost-input", "messages", ANTHROPIC + "/messages", {**message("claude-haiku-4-5", (0, 0)), "usage": {"input_tokens": {"value": 9}, "output_tokens": 5}},
     {**LOST, "usage.input_tokens": {"about": 460, "within": 0.25}}, "A count that is none.", request={"model": "claude-haiku-4-5", **ASKED})
case("lost-input", "converse", BEDROCK + "amazon.nova-lite-v1%3A0/converse", {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"outputTokens": 5, "totalTokens": 905}},
     {"usage.input_tokens": 900, "cost_status": "estimated"}, "The total has it.", request=ASKED)
case("lost-input", "interaction", GEMINI + "/interactions", {**interaction("gemini-3.5-flash"), "usage": {"total_output_tokens": 5, "total_tokens": 905}},
     {"usage.input_tokens": 900, "cost_status": "estimated"}, "The total has it.", request={"model": "gemini-3.5-flash", "input": "x"})
pictured = {"contents": [{"parts": [{"text": "What is it?"}, {"fileData": {"fileUri": "https://example.com/1.jpg", "mimeType": "image/jpeg"}}]}]}
case("lost-input", "picture", GEMINI + "/models/gemini-2.5-flash:generateContent", {**gemini("gemini-2.5-flash", (0, 0)), "usageMetadata": {"candidatesTokenCount": 5}},
     {"usage.input_tokens": None, "cost_status": "unpriced"}, "Nobody knows what a picture came to.", request=pictured)
case("lost-input", "fraction", OPENAI + "/chat/completions", {**chat("gpt-4.1", (0, 0)), "usage": {"prompt_tokens": 12.5, "completion_tokens": 5}}, LOST,
     "No count is a fraction.", request={"model": "gpt-4.1", **ASKED})
case("lost-input", "ollama-cached", "http://ollama.example:11434/api/chat", {"model": "m", "message": {"content": "So it is."}, "done": True, "eval_count": 5},
     {"usage.input_tokens": None}, "A cached prompt is left out there.", request={"model": "m", **ASKED})
case("lost-input", "embedded-images", "https://api.cohere.com/v2/embed", {"embeddings": {}, "meta": {"billed_units": {"images": 1, "image_tokens": 1000}}},
     {"usage.input_tokens": 1000, "cost_status": "measured", "cost_usd": usd(1000 * 0.47)}, "Images are counted beside text.", request={"model": "embed-v4.0"})

# Sessions.
whisper = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hello",
           "usage": {"type": "tokens", "total_tokens": 40, "input_tokens": 30, "input_token_details": {"text_tokens": 0, "audio_tokens": 30}, "output_tokens": 10}}
answered = {"type": "response.done", "response": {"id": "r", "usage": {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}}}
REALTIME, heard_by = "wss://api.openai.com/v1/realtime?model=gpt-realtime", {"transcription": {"model": "gpt-4o-transcribe"}}
session("session-transcription", "named-by-the-server", "openai", REALTIME,
        [{"type": "session.updated", "session": {"model": "gpt-realtime", "audio": {"input": heard_by}}}, whisper, answered],
        {"cost_usd": usd(100 * 4 + 50 * 16 + 30 * 6 + 10 * 10)}, "It has a price of its own.")
session("session-transcription", "named-by-the-caller", "openai", REALTIME, [{"type": "session.created", "session": {"model": "gpt-realtime"}}, whisper, answered],
        {"cost_usd": usd(100 * 4 + 50 * 16 + 30 * 6 + 10 * 10)}, "The caller asked for it.",
        json.dumps({"type": "session.update", "session": {"audio": {"input": heard_by}}}))
session("session-transcription", "named-by-nobody", "openai", REALTIME, [{"type": "session.created", "session": {"model": "gpt-realtime"}}, whisper, answered],
        {"cost_status": "unpriced"}, "The session's model does not transcribe.")
session("session-search", "by-prompt", "gemini", LIVE, [{"setupComplete": {}}, {"serverContent": {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}}, turn],
        {"usage.web_searches": 1, "cost_usd": usd(200 * 0.5 + 100 * 12 + 35_000)}, "One grounded prompt.", setup)
mute = {"usageMetadata": {"promptTokenCount": 200, "responseTokenCount": 100, "totalTokenCount": 300}, "serverContent": {"turnComplete": True}}
sound = {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}}]}}}
session("session-audio-price", "without-parts", "gemini", LIVE, [{"setupComplete": {}}, sound, mute],
        {"usage.output_audio_tokens": 100, "cost_usd": usd(200 * 0.5 + 100 * 12)}, "What was heard is sound.", setup)
session("session-search", "websocket-of-responses", "openai", "wss://api.openai.com/v1/responses",
        [{"type": "response.completed", "response": responses("gpt-5-mini", [SEARCH, {"type": "file_search_call"}], ["web_search"])}],
        {"cost_usd": usd(2000 * 0.25 + 200 * 2 + 10_000 + 2500)}, "Its path says what it is.", json.dumps({"type": "response.create", "model": "gpt-5-mini"}))

# Tools, images, addresses.
case("interactions-search-fee", "outputs", GEMINI + "/interactions",
     {**interaction("gemini-3.5-flash"), "outputs": [{"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}, {"type": "text", "text": "So it is."}]},
     {"cost_usd": usd(1000 * 1.5 + 100 * 9 + 2 * 14_000)}, "As it was before steps.")
case("search-fee-per-prompt", "pages-without-a-query", GEMINI + "/models/gemini-2.5-flash:generateContent",
     gemini("gemini-2.5-flash", (100, 10), {"groundingChunks": [PAGE]}), {"cost_usd": usd(100 * 0.3 + 10 * 2.5 + 35_000)}, "They were found.")
named = gemini("gemini-2.5-flash", (100, 10), {"groundingChunks": [PAGE]})
named["candidates"][0]["urlContextMetadata"] = {"urlMetadata": [{"retrievedUrl": "https://example.com"}]}
case("search-fee-per-prompt", "pages-that-were-named", GEMINI + "/models/gemini-2.5-flash:generateContent", named,
     {"cost_usd": usd(100 * 0.3 + 10 * 2.5)}, "No search is needed for them.")
for size, dollars in (("1g", 30_000), ("4g", 120_000), ("16g", 480_000), ("64g", 1_920_000)):
    answer = responses("gpt-5-mini", [{"type": "code_interpreter_call", "container_id": "a"}])
    case("code-session-fee", size, OPENAI + "/responses", {**answer, "tools": [{"type": "code_interpreter", "container": {"type": "auto", "memory_limit": size}}]},
         {"usage.code_sessions": 1, "cost_usd": usd(2000 * 0.25 + 200 * 2 + dollars)}, "By its memory.")
shell = responses("gpt-5-mini", [{"type": "shell_call", "environment": {"type": "container_reference", "container_id": "a"}}, {"type": "shell_call", "environment": {"type": "local"}}])
case("code-session-fee", "hosted-shell", OPENAI + "/responses", shell, {"usage.code_sessions": 1, "cost_usd": usd(2000 * 0.25 + 200 * 2 + 30_000)}, "It runs in a container.")
drawn = {"image_gen": {"input_tokens": 50, "input_tokens_details": {"text_tokens": 50, "image_tokens": 0}, "output_tokens": 1000}}
picture = {**responses("gpt-5", [{"type": "image_generation_call", "result": "AAAA"}], tool_usage=drawn), "tools": [{"type": "image_generation", "model": "gpt-image-1-mini"}]}
case("image-tool-unseen", "all-counts", OPENAI + "/responses", picture,
     {"usage.output_tokens": 200, "cost_status": "measured", "cost_usd": usd(2000 * 1.25 + 200 * 10 + 50 * 2 + 1000 * 8)}, "At the image model's price.")
case("image-tool-unseen", "model-not-told", OPENAI + "/responses", {**picture, "tools": []}, NOT_MEASURED, "Nobody knows whose price it is.")
seen = {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300}, "modelVersion": "gemini-3.1-flash-image"}
case("image-output-price", "without-parts", GEMINI + "/models/gemini-3.1-flash-image:generateContent", seen, {"cost_usd": usd(10 * 0.5 + 1290 * 60)}, "A picture was made.")
parts = {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}
case("image-output-price", "batch", GEMINI + "/batches/b1", {"response": {"inlinedResponses": {"inlinedResponses": [{"response": gemini("gemini-2.5-flash-image", (10, 1290), **parts)}]}}},
     {"cost_usd": usd((10 * 0.3 + 1290 * 30) / 2)}, "Half as a batch.", method="GET")
case("image-output-price", "openrouter", "https://openrouter.ai/api/v1/chat/completions",
     chat("google/gemini-3-pro-image-preview", (10, 1300), completion_tokens_details={"image_tokens": 1290}),
     {"cost_usd": usd(10 * 2 + 10 * 12 + 1290 * 120)}, "Its own rate.")
for name, url in (("vertex", vertex("us-central1", "google/models/imagen-3.0-generate-001", "predict")), ("gemini", GEMINI + "/models/imagen-3.0-generate-001:predict")):
    case("image-output-price", "imagen-" + name, url, {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "AAAA"}] * 3},
         {"operation": "image_generation", "usage.images": 3, "cost_usd": usd(3 * 40_000)}, "By the picture.", request={"instances": [{"prompt": "x"}]})
for router in ("default-prompt-router%2Fanthropic.claude%3A1", "prompt-router%2Fabc123"):
    case("prompt-router", "no-trace-" + router[:6], BEDROCK + "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3A" + router + "/converse",
         {"output": {"message": {"content": [{"text": "So it is."}]}}, "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}},
         {"cost_status": "unpriced"}, "Nobody says which model ran.")
case("latency-price", "invoke", BEDROCK + "us.meta.llama3-1-70b-instruct-v1%3A0/invoke", {"generation": "So it is.", "prompt_token_count": 1000, "generation_token_count": 100},
     {"cost_usd": {"not": usd(1100 * 0.72)}}, "A header says so.", headers={"x-amzn-bedrock-performanceconfig-latency": "optimized"}, request={"prompt": "x"})
HF = "https://router.huggingface.co/v1/chat/completions"
case("host-in-path", "asked-for-by-suffix", HF, chat("openai/gpt-oss-120b", (1000, 100)),
     {"cost_status": "measured", "cost_usd": usd(1000 * 0.35 + 100 * 0.75)}, "The suffix names the host.", request={"model": "openai/gpt-oss-120b:cerebras"})
case("host-in-path", "header", HF, chat("openai/gpt-oss-120b", (1000, 100)), {"cost_status": "measured", "cost_usd": usd(1000 * 0.35 + 100 * 0.75)},
     "A header names the host.", request={"model": "openai/gpt-oss-120b"}, headers={"x-inference-provider": "cerebras"})
case("host-in-path", "policy", HF, chat("openai/gpt-oss-120b", (1000, 100)), NOT_MEASURED, "How a host is chosen is no host.", request={"model": "openai/gpt-oss-120b:fastest"})
for host, provider in (("api.tokenfactory.us-central1.nebius.com", "nebius"), ("managed-inference-api-proxy.crusoecloud.com", "crusoe")):
    case("host-not-known", host, f"https://{host}/v1/chat/completions", chat("m", (10, 1)), {"provider": provider}, "Its host says who it is.")
case("ai-sdk-protocol", "model-in-a-header", "https://ai-gateway.vercel.sh/v3/ai/language-model",
     {"content": [{"type": "text", "text": "So it is."}], "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}},
     {"request_model": "openai/gpt-4.1", "cost_usd": usd(1000 * 2 + 100 * 8)}, "No body names it.", sent={"ai-language-model-id": "openai/gpt-4.1"})
case("ai-sdk-protocol", "header-elsewhere", "https://ai-gateway.vercel.sh/v1/responses", responses("openai/gpt-4.1", []),
     {"request_model": "openai/gpt-4.1"}, "There the body names it.", sent={"ai-model-id": "openai/gpt-4.1-nano"}, request={"model": "openai/gpt-4.1"})
for path, answer in (("image-model", {"images": ["AAAA"]}), ("embedding-model", {"embeddings": [[0.5]], "usage": {"tokens": 9}})):
    case("provider-cost-dropped", path, "https://ai-gateway.vercel.sh/v3/ai/" + path, {**answer, "providerMetadata": {"gateway": {"cost": "0.04"}}},
         {"cost_usd": "0.040000000000", "cost_source": "provider"}, "It says what it cost.", request={"prompt": "x"})
for name, url, told in (("xai-video", "https://api.x.ai/v1/videos/v1", {"cost_in_usd_ticks": 3_000_000_000}),
                        ("openrouter-video", "https://openrouter.ai/api/v1/videos/v1", {"cost": 0.3, "is_byok": False})):
    case("provider-cost-dropped", name, url, {"id": "v1", "status": "done", "usage": told}, {"provider_cost_usd": "0.300000000000"}, "It says what it cost.", method="GET")
case("xai-tool-fees", "by-the-book", "https://api.x.ai/v1/responses",
     {**responses("grok-4.3", []), "usage": {"input_tokens": 2000, "output_tokens": 200, "total_tokens": 2200,
                                             "server_side_tool_usage_details": {"code_interpreter_calls": 2, "file_search_calls": 3}}},
     {"cost_usd": usd(2000 * 1.25 + 200 * 2.5 + 2 * 5000 + 3 * 2500)}, "Each run and each search.")
case("seconds-not-charged", "documented-transcription", "https://api.mistral.ai/v1/audio/transcriptions",
     {"model": "voxtral-mini-2507", "text": "So it is.", "usage": {"prompt_audio_seconds": 60, "prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 384}},
     {"cost_status": "measured", "cost_usd": "0.002000040000"}, "A minute at $0.002.", request={"model": "voxtral-mini-2507"})
STORED = [("gemini-cache", GEMINI + "/cachedContents"), ("vertex-cache", "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/cachedContents"),
          ("file-search-store", GEMINI + "/fileSearchStores/x:uploadToFileSearchStore"), ("container", OPENAI + "/containers"),
          ("vector-store", OPENAI + "/vector_stores"), ("mistral-moderation", "https://api.mistral.ai/v1/moderations")]
for name, url in STORED:
    case("free-but-paid", name, url, {"id": "x", "name": "x"}, {"cost_status": {"not": "free"}}, "No source calls it free.", request={"model": "m", "name": "x"})
case("free-but-paid", "moderation", OPENAI + "/moderations", {"id": "x", "results": []}, {"cost_status": "free"}, "OpenAI says that it costs nothing.", request={"input": "x"})
case("free-but-paid", "asking-is-free", OPENAI + "/containers/c1", {"id": "c1"}, {"cost_status": "free"}, "Nothing is started.", method="GET")

# What passed of streams, errors, and what is no count.
TWICE = [{"model": "m", "choices": [{"delta": {"reasoning": word, "reasoning_content": word}}]} for word in WORDS]
stream("told-twice-in-cut-stream", "reasoning", "https://api.deepinfra.com/v1/openai/chat/completions", TWICE, {"usage.output_tokens": {"about": WORDS_TOKENS, "within": 0.2}}, "Told under two names.")
stream("json-around-text-in-cut-stream", "databricks", "https://x.cloud.databricks.com/serving-endpoints/databricks-claude-sonnet-4-5/invocations",
       [{"model": "m", "choices": [{"delta": {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": word}]}]}}]} for word in WORDS],
       {"usage.output_tokens": {"about": WORDS_TOKENS, "within": 0.35}}, "The summary's text is what passed.")
stream("error-in-200", "cohere", "https://api.cohere.com/v2/chat",
       [{"type": "content-delta", "delta": {"message": {"content": {"text": "So it is."}}}},
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "usage": {"billed_units": {"input_tokens": 10, "output_tokens": 4}}}}],
       {"outcome": "error"}, "Its reason says so.", request={"model": "command-a-03-2025"})
case("no-count", "seconds", "https://api.mistral.ai/v1/audio/transcriptions",
     {"model": "voxtral-mini-2602", "text": "So it is.", "usage": {"prompt_audio_seconds": 1e15, "prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}},
     {"notes": {"not": None}, **NOT_MEASURED}, "Nobody talks that long.", request={"model": "voxtral-mini-2602"})
case("no-count", "pages", "https://api.mistral.ai/v1/ocr", {"model": "mistral-ocr-latest", "usage_info": {"pages_processed": -3}},
     {"notes": {"not": None}, **NOT_MEASURED}, "Less than no page.", request={"model": "mistral-ocr-latest"})
for name, word in (("true", True), ("object", {"total": 0.01}), ("text", "free")):
    case("no-count", "cost-" + name, "https://openrouter.ai/api/v1/chat/completions", chat("openai/gpt-4.1-mini", (1000, 100), cost=word),
         {"notes": ["provider_cost_ignored"], "cost_source": "book", "cost_usd": usd(1000 * 0.4 + 100 * 1.6)}, "No amount.")

with open(pathlib.Path(__file__).with_suffix(".jsonl"), "w", encoding="utf-8") as out:
    for one in CASES:
        out.write(json.dumps(one, separators=(",", ":")) + "\n")
