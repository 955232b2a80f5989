"""Writes the fixtures beside this file: one JSON Lines file for each provider.

The bodies are written here by hand after each provider's API reference and streaming guide (read 2026-11-23);
none is a recording. The fields are those that `tollgate meter --corpus` reads; `expected` is what a reader of the
reference would book, worked out by hand. `fact` names the fact of "what breaks naive extractors" that it shows.

Run it with Python 3 after a change: `python3 core/testdata/make.py`.
"""

import base64
import gzip
import json
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent
JSON, SSE, AWS = "application/json", "text/event-stream", "application/vnd.amazon.eventstream"
fixtures = []


def body_of(body):
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()


def add(name, provider, url, body, expected, *, request=None, content_type=JSON, headers=None, status=200,
        framing="json", fact=None, method="POST", transport="http"):
    """One exchange. `expected` is (input, cached_read, cache_write, output, reasoning, more), or a status."""
    if isinstance(expected, str):
        expected = {"status": expected}
    else:
        counts = dict(zip(("input", "cached_read", "cache_write", "output", "reasoning"), expected))
        expected = {"status": "usage", **counts, "more": expected[5] if len(expected) > 5 else {}}
    path = "/" + url.split("/", 3)[3] if url.count("/") >= 3 else url
    response_headers = {"content-type": [content_type], "date": ["Mon, 23 Nov 2026 12:00:00 GMT"]}
    response_headers.update({key: [value] for key, value in (headers or {}).items()})
    fixtures.append({
        "id": name, "provider": provider, "api": name.split("-")[0], "fact": fact, "method": method, "url": url,
        "path": path, "transport": transport, "framing": framing,
        "request_body": request if request is None or isinstance(request, str) else json.dumps(request),
        "request_model": None, "response_status": status, "response_headers": response_headers,
        "response_body_base64": base64.b64encode(body_of(body)).decode(), "expected": expected,
    })


def form(*parts):
    """A multipart body; a part is its name, its value, and a file name where it is a file."""
    text = ""
    for name, value, *file in parts:
        text += f'--form-7\r\nContent-Disposition: form-data; name="{name}"'
        text += f'; filename="{file[0]}"\r\nContent-Type: audio/mpeg' if file else ""
        text += f"\r\n\r\n{value}\r\n"
    return text + "--form-7--\r\n"


def sse(*events, end="\n", done=False):
    """Events as `data:` lines; a pair is an event name and its data."""
    text = ""
    for event in events:
        name, data = event if isinstance(event, tuple) else (None, event)
        data = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        text += (f"event: {name}{end}" if name else "") + f"data: {data}{end}{end}"
    return text + (f"data: [DONE]{end}{end}" if done else "")


def frame(payload, **names):
    headers = b""
    for key, value in {":message-type": "event", **{":" + k.replace("_", "-"): v for k, v in names.items()}}.items():
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    payload = body_of(payload)
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def wrapped(document, **names):
    return frame({"bytes": base64.b64encode(body_of(document)).decode(), "p": "abcdefghij"}, event_type="chunk", **names)


OPENAI, ANTHROPIC = "https://api.openai.com", "https://api.anthropic.com"
GEMINI = "https://generativelanguage.googleapis.com"
VERTEX = "https://us-central1-aiplatform.googleapis.com"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"
ASK = [{"role": "user", "content": "How far is the moon?"}]
chat_request = {"model": "gpt-5.1", "messages": ASK}
chat_usage = {"prompt_tokens": 1200, "completion_tokens": 90, "total_tokens": 1290,
              "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
              "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0,
                                            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def chat(usage, model="gpt-5.1-2025-11-13", **more):
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "About 384,400 km."},
                         "finish_reason": "stop"}], "usage": usage, **more}


def chunk(content=None, usage=None, finish=None, model="gpt-5.1-2025-11-13", **more):
    choices = [] if content is None else [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": choices,
            "usage": usage, **more}


# OpenAI -------------------------------------------------------------------------------------------------------
add("chat-json", "openai", OPENAI + "/v1/chat/completions", chat(chat_usage, service_tier="default"),
    (1200, 1024, None, 90, 64), request=chat_request)
add("chat-stream-with-usage", "openai", OPENAI + "/v1/chat/completions",
    sse(chunk("About "), chunk("384,400 km."), chunk(None, chat_usage), done=True), (1200, 1024, None, 90, 64),
    request={**chat_request, "stream": True, "stream_options": {"include_usage": True}}, content_type=SSE, framing="sse")
add("chat-stream-without-usage", "openai", OPENAI + "/v1/chat/completions",
    sse(chunk("About "), chunk("384,400 km."), done=True), "none", request={**chat_request, "stream": True},
    content_type=SSE, framing="sse")
add("chat-response-model-decides", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 5}, model="gpt-4.1-mini-2025-04-14"), (10, None, None, 5, None),
    request={"model": "gpt-4.1-mini", "messages": ASK}, fact=2)
add("chat-flex-tier", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 5}, service_tier="flex"), (10, None, None, 5, None),
    request={**chat_request, "service_tier": "auto"}, fact=3)
add("chat-obfuscated-deltas", "openai", OPENAI + "/v1/chat/completions",
    sse(chunk("a", obfuscation="x" * 200), chunk("b", obfuscation="y"),
        chunk(None, {"prompt_tokens": 8, "completion_tokens": 2}), done=True),
    (8, None, None, 2, None), request={**chat_request, "stream": True}, content_type=SSE, framing="sse", fact=5)
add("chat-gzip", "openai", OPENAI + "/v1/chat/completions", gzip.compress(body_of(chat(chat_usage)), mtime=0),
    (1200, 1024, None, 90, 64), request=chat_request, headers={"content-encoding": "gzip"}, fact=7)
add("chat-stream-gzip", "openai", OPENAI + "/v1/chat/completions",
    gzip.compress(sse(chunk("About"), chunk(None, chat_usage), done=True).encode(), mtime=0),
    (1200, 1024, None, 90, 64), request={**chat_request, "stream": True}, content_type=SSE, framing="sse",
    headers={"content-encoding": "gzip"}, fact=7)
add("chat-error-in-stream", "openai", OPENAI + "/v1/chat/completions",
    sse(chunk("About"), {"error": {"message": "The server had an error", "type": "server_error", "code": None}}),
    "none", request={**chat_request, "stream": True}, content_type=SSE, framing="sse", fact=8)
add("chat-rejected-prediction", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 70, "completion_tokens": 60,
          "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 20,
                                        "rejected_prediction_tokens": 30}}),
    (70, None, None, 60, 0), request=chat_request, fact=9)
add("chat-audio", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 120, "completion_tokens": 80,
          "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 100},
          "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 60}}, model="gpt-4o-audio-preview"),
    (120, 0, None, 80, 0, {"input_audio": 100, "output_audio": 60}),
    request={"model": "gpt-4o-audio-preview", "messages": ASK}, fact=10)
add("chat-crlf-comments-no-done", "openai", OPENAI + "/v1/chat/completions",
    ": keep-alive\r\n\r\n" + sse(chunk("a"), chunk(None, {"prompt_tokens": 3, "completion_tokens": 1}), end="\r\n")[:-4],
    (3, None, None, 1, None), request={**chat_request, "stream": True}, content_type=JSON, framing="sse", fact=15)
add("chat-escaped-and-duplicate-keys", "openai", OPENAI + "/v1/chat/completions",
    '{"mod\\u0065l":"gpt-5.1","choices":[],"usage":null,"us\\u0061ge":{"prompt_tokens":1,"completion_tokens":1},'
    '"usage":{"prompt_tokens":4,"completion_tokens":3}}', (4, None, None, 3, None), request=chat_request)
add("chat-unknown-model", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 4, "completion_tokens": 3}, model="gpt-99"), (4, None, None, 3, None),
    request={"model": "gpt-99", "messages": ASK})
add("chat-not-what-it-says", "openai", OPENAI + "/v1/chat/completions", "<html>busy</html>", "none",
    request=chat_request)
add("chat-cut-in-the-middle", "openai", OPENAI + "/v1/chat/completions", body_of(chat(chat_usage))[:-90], "none",
    request=chat_request)
add("chat-rate-limited", "openai", OPENAI + "/v1/chat/completions",
    {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}, "error",
    request=chat_request, status=429)
add("completions-json", "openai", OPENAI + "/v1/completions",
    {"model": "gpt-3.5-turbo-instruct", "choices": [{"text": "384,400 km"}],
     "usage": {"prompt_tokens": 6, "completion_tokens": 5, "total_tokens": 11}}, (6, None, None, 5, None),
    request={"model": "gpt-3.5-turbo-instruct", "prompt": "How far is the moon?"})
add("embeddings-json", "openai", OPENAI + "/v1/embeddings",
    {"object": "list", "model": "text-embedding-3-small", "data": [{"index": 0, "embedding": [0.1, -2e-3]}],
     "usage": {"prompt_tokens": 7, "total_tokens": 7}}, (7, None, None, 0, None),
    request={"model": "text-embedding-3-small", "input": "How far is the moon?"})
responses_usage = {"input_tokens": 2000, "input_tokens_details": {"cached_tokens": 1536}, "output_tokens": 120,
                   "output_tokens_details": {"reasoning_tokens": 100}, "total_tokens": 2120}


def response(**more):
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.1-2025-11-13",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "About 384,400 km."}]}],
            "usage": responses_usage, "service_tier": "default", **more}


add("responses-json", "openai", OPENAI + "/v1/responses", response(), (2000, 1536, None, 120, 100),
    request={"model": "gpt-5.1", "input": "How far is the moon?"})
add("responses-stream-long-line", "openai", OPENAI + "/v1/responses",
    sse(("response.created", {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1", "usage": None}}),
        ("response.output_text.delta", {"type": "response.output_text.delta", "delta": "About "}),
        ("response.completed", {"type": "response.completed",
                                "response": response(instructions="x" * 100_000)})),
    (2000, 1536, None, 120, 100), request={"model": "gpt-5.1", "input": "How far?", "stream": True},
    content_type=SSE, framing="sse", fact=4)
search = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "moon"}}
page = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "https://e.org"}}
add("responses-web-search", "openai", OPENAI + "/v1/responses", response(output=[search, page, search]),
    (2000, 1536, None, 120, 100, {"web_searches": 2}), request={"model": "gpt-5.1", "input": "How far?"}, fact=6)
add("responses-background-started", "openai", OPENAI + "/v1/responses", response(status="queued", usage=None, output=[]),
    "none", request={"model": "gpt-5.1", "input": "How far?", "background": True}, fact=13)
add("images-tokens", "openai", OPENAI + "/v1/images/generations",
    {"created": 1, "data": [{"b64_json": "A" * 50_000}],
     "usage": {"input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
               "output_tokens": 1056, "total_tokens": 1106}}, (50, None, None, 1056, None, {"input_image": 40}),
    request={"model": "gpt-image-1", "prompt": "moon"})
add("transcription-duration", "openai", OPENAI + "/v1/audio/transcriptions",
    {"text": "How far is the moon?", "usage": {"type": "duration", "seconds": 3}}, (None, None, None, None, None))
add("transcription-tokens", "openai", OPENAI + "/v1/audio/transcriptions",
    {"text": "How far?", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18,
                                   "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}},
    (14, None, None, 4, None, {"input_audio": 14}))
# Forms: the model stands between files and other fields (transcription, translation and image edits in OpenAI's
# reference, transcription in Mistral's, read 2026-11-25).
add("transcription-form-duration", "openai", OPENAI + "/v1/audio/translations",
    {"text": "How far is the moon?", "usage": {"type": "duration", "seconds": 3}}, (None, None, None, None, None),
    request=form(("file", "ID3\r\n--form-\r\nmodel", "a.mp3"), ("response_format", "json"), ("model", "whisper-1")))
add("transcription-form-stream", "openai", OPENAI + "/v1/audio/transcriptions",
    sse({"type": "transcript.text.delta", "delta": "How far?"},
        {"type": "transcript.text.done", "text": "How far?",
         "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18,
                   "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}}),
    (14, None, None, 4, None, {"input_audio": 14}), content_type=SSE, framing="sse",
    request=form(("model", "gpt-4o-transcribe"), ("stream", "true"), ("file", "RIFF", "a.wav")))
add("transcription-form-text", "openai", OPENAI + "/v1/audio/transcriptions", "How far is the moon?", "none",
    content_type="text/plain", framing="text",
    request=form(("file", "RIFF", "a.wav"), ("model", "whisper-1"), ("response_format", "text")))
add("images-form-edit", "openai", OPENAI + "/v1/images/edits",
    {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}],
     "usage": {"input_tokens": 350, "input_tokens_details": {"text_tokens": 27, "image_tokens": 323},
               "output_tokens": 1056, "total_tokens": 1406}}, (350, None, None, 1056, None, {"input_image": 323}),
    request=form(("image[]", "PNG", "a.png"), ("prompt", "a \"red\" moon"), ("model", "gpt-image-1"), ("n", "1")))
add("transcription-form-mistral", "mistral", "https://api.mistral.ai/v1/audio/transcriptions",
    {"model": "voxtral-mini-latest", "text": "How far?", "language": None, "segments": [],
     "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 3, "total_tokens": 389, "completion_tokens": 11,
               "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}}},
    (378, None, None, 11, None, {"input_audio": 375}),
    request=form(("model", "voxtral-mini-latest"), ("file", "RIFF", "a.wav")))


def turn(input_tokens, output_tokens):
    return {"type": "response.done", "response": {"usage": {
        "total_tokens": input_tokens + output_tokens, "input_tokens": input_tokens, "output_tokens": output_tokens,
        "input_token_details": {"text_tokens": 10, "audio_tokens": input_tokens - 10, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 5, "audio_tokens": output_tokens - 5}}}}


add("realtime-two-turns", "openai", "unknown", "\n".join(json.dumps(event) for event in [
    {"type": "session.created", "session": {"model": "gpt-realtime"}},
    {"type": "response.created", "response": {"usage": None}}, turn(40, 25), turn(60, 35)]),
    (100, 0, None, 60, None, {"input_audio": 80, "output_audio": 50}), framing="ws", transport="websocket", method="GET",
    status=101)

# Compatible with OpenAI, and what each does otherwise ---------------------------------------------------------
add("chat-azure-empty-first-model", "azure",
    "https://r.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01",
    sse({"choices": [], "model": "", "prompt_filter_results": []}, chunk("a"),
        chunk(None, {"prompt_tokens": 9, "completion_tokens": 1}), done=True), (9, None, None, 1, None),
    request={"messages": ASK, "stream": True}, content_type=SSE, framing="sse")
add("chat-azure-grok-contradicts-itself", "azure", "https://r.services.ai.azure.com/models/chat/completions",
    chat({"prompt_tokens": 31, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 161}}, model="grok-3"),
    (31, 161, None, 4, None), request={"model": "grok-3", "messages": ASK})
add("chat-xai-reasoning-beside", "xai", "https://api.x.ai/v1/chat/completions",
    chat({"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 330, "cost_in_usd_ticks": 15_000_000,
          "completion_tokens_details": {"reasoning_tokens": 300}}, model="grok-4"), (20, None, None, 310, 300),
    request={"model": "grok-4", "messages": ASK})
add("chat-vercel-reasoning-beside", "vercel-gateway", "https://ai-gateway.vercel.sh/v1/chat/completions",
    chat({"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30, "cost": 0.00125,
          "completion_tokens_details": {"reasoning_tokens": 40}}, model="openai/gpt-5"), (20, None, None, 50, 40),
    request={"model": "openai/gpt-5", "messages": ASK})
add("chat-gemini-thinking-in-total", "gemini", GEMINI + "/v1beta/openai/chat/completions",
    chat({"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 90}, model="gemini-2.5-flash"),
    (12, None, None, 78, 70), request={"model": "gemini-2.5-flash", "messages": ASK})
add("chat-mistral-audio-beside", "mistral", "https://api.mistral.ai/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 389,
          "prompt_tokens_details": {"audio_tokens": 375}}, model="voxtral-small-latest"),
    (385, None, None, 4, None, {"input_audio": 375}), request={"model": "voxtral-small-latest", "messages": ASK})
groq = {"prompt_tokens": 30, "completion_tokens": 6, "total_tokens": 36}
add("chat-groq-usage-twice", "groq", "https://api.groq.com/openai/v1/chat/completions",
    sse(chunk("a", model="llama-3.1-8b-instant"),
        {"model": "llama-3.1-8b-instant", "choices": [], "x_groq": {"usage": groq}, "usage": groq}, done=True),
    (30, None, None, 6, None), request={"model": "llama-3.1-8b-instant", "messages": ASK, "stream": True},
    content_type=SSE, framing="sse")
add("chat-deepseek-cache-hit", "deepseek", "https://api.deepseek.com/chat/completions",
    chat({"prompt_tokens": 300, "completion_tokens": 5, "prompt_cache_hit_tokens": 256,
          "prompt_cache_miss_tokens": 44}, model="deepseek-v4-flash"), (300, 256, None, 5, None),
    request={"model": "deepseek-chat", "messages": ASK})
add("chat-openrouter-cost", "openrouter", "https://openrouter.ai/api/v1/chat/completions",
    ": OPENROUTER PROCESSING\n\n" + sse(
        chunk("a", model="anthropic/claude-4.5-haiku-20251001"),
        chunk("", {"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.00002,
                   "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
              model="anthropic/claude-4.5-haiku-20251001"), done=True),
    (10, 4, 3, 2, None), request={"model": "anthropic/claude-haiku-4.5", "messages": ASK, "stream": True},
    content_type=SSE, framing="sse")
add("chat-together-top-level-cached", "together", "https://api.together.xyz/v1/chat/completions",
    chat({"prompt_tokens": 50, "completion_tokens": 2, "cached_tokens": 48}, model="meta-llama/Llama-3.3-70B"),
    (50, 48, None, 2, None), request={"model": "meta-llama/Llama-3.3-70B", "messages": ASK})
add("chat-perplexity-every-chunk", "perplexity", "https://api.perplexity.ai/chat/completions",
    sse(chunk("a", {"prompt_tokens": 5, "completion_tokens": 1}, model="sonar"),
        chunk("b", {"prompt_tokens": 5, "completion_tokens": 2, "cost": {"total_cost": 0.005007}}, "stop", model="sonar")),
    (5, None, None, 2, None), request={"model": "sonar", "messages": ASK, "stream": True}, content_type=SSE,
    framing="sse")
add("chat-vllm-continuous", "custom", "http://10.0.0.1:8000/v1/chat/completions",
    sse(chunk("a", {"prompt_tokens": 5, "completion_tokens": 1}), chunk("b", {"prompt_tokens": 5, "completion_tokens": 2}),
        chunk(None, {"prompt_tokens": 5, "completion_tokens": 2}), done=True), (5, None, None, 2, None),
    request={"model": "qwen3", "messages": ASK, "stream": True}, content_type=SSE, framing="sse")
add("embeddings-voyage-total-only", "voyage", "https://api.voyageai.com/v1/embeddings",
    {"data": [], "model": "voyage-4", "usage": {"total_tokens": 12}}, (12, None, None, None, None),
    request={"model": "voyage-4", "input": ["How far?"]})
add("chat-ollama-ndjson", "ollama", "http://localhost:11434/api/chat",
    "".join(json.dumps(line) + "\n" for line in [
        {"model": "gemma3", "message": {"content": "About"}, "done": False},
        {"model": "gemma3", "message": {"content": ""}, "done": True, "prompt_eval_count": 16, "eval_count": 51}]),
    (16, None, None, 51, None), request={"model": "gemma3", "messages": ASK}, content_type="application/x-ndjson",
    framing="ndjson")
add("chat-cohere-v2-billed-units", "cohere", "https://api.cohere.com/v2/chat",
    sse({"type": "content-delta", "delta": {"message": {"content": {"text": "About"}}}},
        {"type": "message-end", "delta": {"usage": {"billed_units": {"input_tokens": 12, "output_tokens": 65},
                                                    "tokens": {"input_tokens": 212, "output_tokens": 65}}}}),
    (12, None, None, 65, None), request={"model": "command-r-08-2024", "messages": ASK, "stream": True},
    content_type=SSE, framing="sse")
add("chat-cohere-v1-ndjson", "cohere", "https://api.cohere.com/v1/chat",
    "".join(json.dumps(line) + "\n" for line in [
        {"event_type": "text-generation", "text": "About"},
        {"event_type": "stream-end", "response": {"meta": {"billed_units": {"input_tokens": 31, "output_tokens": 63}}}}]),
    (31, None, None, 63, None), request={"model": "command-r", "message": "How far?", "stream": True},
    content_type="application/stream+json", framing="ndjson")
add("rerank-cohere-search-units", "cohere", "https://api.cohere.com/v2/rerank",
    {"results": [], "meta": {"billed_units": {"search_units": 1}}}, (None, None, None, None, None),
    request={"model": "rerank-v3.5", "query": "moon", "documents": ["a"]})

# Anthropic ----------------------------------------------------------------------------------------------------
claude = {"model": "claude-sonnet-4-5", "max_tokens": 500, "messages": ASK}
claude_usage = {"input_tokens": 30, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 500,
                "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
                "output_tokens": 40, "service_tier": "standard"}


def message(usage, model="claude-sonnet-4-5-20250929", **more):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": "About 384,400 km."}], "stop_reason": "end_turn", "usage": usage, **more}


def claude_stream(start, *deltas):
    events = [("message_start", {"type": "message_start", "message": message(start, content=[])}),
              ("content_block_delta", {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "About"}})]
    for usage in deltas:
        events.append(("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}))
    return events + [("message_stop", {"type": "message_stop"})]


ttl = {"cache_write_5m": 300, "cache_write_1h": 200}
add("messages-json", "anthropic", ANTHROPIC + "/v1/messages", message(claude_usage), (2530, 2000, 500, 40, None, ttl),
    request=claude)
add("messages-stream", "anthropic", ANTHROPIC + "/v1/messages",
    sse(*claude_stream({**claude_usage, "output_tokens": 1}, {"output_tokens": 40})), (2530, 2000, 500, 40, None, ttl),
    request={**claude, "stream": True}, content_type=SSE, framing="sse")
add("messages-stream-delta-overwrites", "anthropic", ANTHROPIC + "/v1/messages",
    sse(*claude_stream({"input_tokens": 2049, "output_tokens": 1},
                       {"input_tokens": 13520, "cache_read_input_tokens": None, "output_tokens": 300,
                        "server_tool_use": {"web_search_requests": 2}})),
    (13520, None, None, 300, None, {"web_searches": 2}), request={**claude, "stream": True}, content_type=SSE,
    framing="sse", fact=6)
add("messages-compaction-iterations", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 1000, "output_tokens": 50, "iterations": [
        {"type": "compaction", "input_tokens": 60000, "output_tokens": 400},
        {"type": "message", "input_tokens": 1000, "output_tokens": 50}]}), (61000, None, None, 450, None),
    request=claude, fact=1)
add("messages-advisor-model", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 100, "output_tokens": 50, "iterations": [
        {"type": "message", "model": "claude-sonnet-4-5-20250929", "input_tokens": 100, "output_tokens": 50},
        {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 500, "output_tokens": 20}]}),
    (600, None, None, 70, None), request=claude, fact=1)
add("messages-refusal-without-output", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 0, "output_tokens": 0}, stop_reason="refusal", content=[]), (0, None, None, 0, None),
    request=claude, fact=11)
add("messages-error-event", "anthropic", ANTHROPIC + "/v1/messages",
    sse(*claude_stream({"input_tokens": 30, "output_tokens": 1})[:2],
        ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})),
    "none", request={**claude, "stream": True}, content_type=SSE, framing="sse", fact=8)
add("messages-count-tokens", "anthropic", ANTHROPIC + "/v1/messages/count_tokens", {"input_tokens": 14}, "none",
    request={"model": "claude-sonnet-4-5", "messages": ASK})
add("messages-batch-results", "anthropic", ANTHROPIC + "/v1/messages/batches/msgbatch_1/results",
    "".join(json.dumps({"custom_id": name, "result": {"type": "succeeded", "message": message(
        {"input_tokens": tokens, "output_tokens": 5, "service_tier": "batch"}, model=model)}}) + "\n"
        for name, tokens, model in [("a", 20, "claude-haiku-4-5-20251001"), ("b", 19, "claude-haiku-4-5-20251001")]),
    (39, None, None, 10, None), content_type="application/x-jsonl", framing="ndjson", method="GET", fact=13)

# Google -------------------------------------------------------------------------------------------------------
ask = {"contents": [{"role": "user", "parts": [{"text": "How far is the moon?"}]}]}


def gemini(usage, text="About 384,400 km.", finish="STOP", **more):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **({"finishReason": finish} if finish else {})}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", **more}


thinking = {"promptTokenCount": 165, "cachedContentTokenCount": 128, "candidatesTokenCount": 20,
            "thoughtsTokenCount": 300, "toolUsePromptTokenCount": 45, "totalTokenCount": 530,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}, {"modality": "IMAGE", "tokenCount": 65}]}
full = (210, 128, None, 320, 300, {"input_image": 65, "input_tool": 45})
generate = GEMINI + "/v1beta/models/gemini-2.5-flash:generateContent"
stream = GEMINI + "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
interim = gemini({"promptTokenCount": 169, "candidatesTokenCount": 4, "totalTokenCount": 173}, "About", finish=None)
add("generate-json", "gemini", generate, gemini(thinking), full, request=ask)
add("generate-stream-sse", "gemini", stream + "?alt=sse", sse(interim, gemini(thinking, " 384,400 km."), end="\r\n"), full,
    request=ask, content_type=SSE, framing="sse")
add("generate-stream-array", "gemini", stream,
    "[" + json.dumps(interim, indent=2) + "\n,\r\n" + json.dumps(gemini(thinking), indent=2) + "\n]", full, request=ask,
    framing="json-array")
add("generate-modalities-as-numbers", "gemini", stream + "?$alt=json;enum-encoding=int",
    "[" + json.dumps(gemini({"promptTokenCount": 90, "candidatesTokenCount": 3, "promptTokensDetails": [
        {"modality": 1, "tokenCount": 10}, {"modality": 4, "tokenCount": 80}]})) + "]",
    (90, None, None, 3, None, {"input_audio": 80}), request=ask, framing="json-array")
add("generate-blocked-prompt", "gemini", generate,
    {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"trafficType": "ON_DEMAND"},
     "modelVersion": "gemini-2.5-flash"}, "none", request=ask, fact=11)
add("generate-search-grounding", "gemini", generate,
    {**gemini({"promptTokenCount": 10, "candidatesTokenCount": 20}), "candidates": [
        {"content": {"parts": [{"text": "x"}]}, "groundingMetadata": {"webSearchQueries": ["moon", "distance"]}}]},
    (10, None, None, 20, None, {"web_searches": 1}), request=ask, fact=6)
add("generate-vertex-error-after-events", "vertex",
    VERTEX + "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    sse(interim) + json.dumps({"error": {"code": 499, "message": "cancelled", "status": "CANCELLED"}}, indent=1),
    "none", request=ask, content_type=SSE, framing="sse", fact=8)
add("generate-vertex-provisioned", "vertex",
    VERTEX + "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent",
    gemini({"promptTokenCount": 10, "candidatesTokenCount": 5, "trafficType": "PROVISIONED_THROUGHPUT"}),
    (10, None, None, 5, None), request=ask, fact=12)
add("messages-vertex-raw-predict", "vertex",
    VERTEX + "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-3-7-sonnet@20250219:rawPredict",
    message({"input_tokens": 9, "output_tokens": 3}, model="claude-3-7-sonnet-20250219"), (9, None, None, 3, None),
    request={"anthropic_version": "vertex-2023-10-16", "messages": ASK})
add("interactions-json", "gemini", GEMINI + "/v1beta/interactions",
    {"id": "v1_x", "status": "completed", "model": "gemini-2.5-flash", "usage": {
        "total_tokens": 229, "total_input_tokens": 9, "total_cached_tokens": 0, "total_output_tokens": 13,
        "total_tool_use_tokens": 0, "total_thought_tokens": 207}}, (9, 0, None, 220, 207),
    request={"model": "gemini-2.5-flash", "input": "How far?"})
add("embed-gemini", "gemini", GEMINI + "/v1beta/models/gemini-embedding-2:batchEmbedContents",
    {"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 7}}, (7, None, None, None, None),
    request={"requests": []})

# Bedrock ------------------------------------------------------------------------------------------------------
sonnet = BEDROCK + "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/"
converse_usage = {"inputTokens": 10, "outputTokens": 4, "cacheReadInputTokens": 7351, "cacheReadInputTokenCount": 7351,
                  "cacheWriteInputTokens": 100, "cacheDetails": [{"ttl": "1h", "inputTokens": 100}], "totalTokens": 7465}
add("converse-json", "bedrock", sonnet + "converse",
    {"output": {"message": {"role": "assistant", "content": [{"text": "About"}]}}, "usage": converse_usage},
    (7461, 7351, 100, 4, None, {"cache_write_1h": 100}), request={"messages": []})
add("converse-stream", "bedrock", sonnet + "converse-stream",
    frame({"role": "assistant"}, event_type="messageStart")
    + frame({"delta": {"text": "About"}, "p": "abcdefghijkl"}, event_type="contentBlockDelta")
    + frame({"usage": converse_usage}, event_type="metadata"), (7461, 7351, 100, 4, None, {"cache_write_1h": 100}),
    request={"messages": []}, content_type=AWS, framing="eventstream", fact=14)
add("converse-stream-exception", "bedrock", sonnet + "converse-stream",
    frame({"delta": {"text": "About"}}, event_type="contentBlockDelta")
    + frame({"message": "Too many requests"}, message_type="exception", exception_type="throttlingException"),
    "none", request={"messages": []}, content_type=AWS, framing="eventstream", fact=8)
add("invoke-anthropic-stream", "bedrock", sonnet + "invoke-with-response-stream",
    b"".join(wrapped(data) for _, data in claude_stream(claude_usage, {"output_tokens": 40}))
    + wrapped({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 30, "outputTokenCount": 40}}),
    (2530, 2000, 500, 40, None, ttl), request={"messages": []}, content_type=AWS, framing="eventstream", fact=14)
add("invoke-nova-stream", "bedrock", BEDROCK + "/model/amazon.nova-micro-v1%3A0/invoke-with-response-stream",
    wrapped({"contentBlockDelta": {"delta": {"text": "About"}}})
    + wrapped({"metadata": {"usage": {"inputTokens": 572, "outputTokens": 58}},
               "amazon-bedrock-invocationMetrics": {"inputTokenCount": 572, "outputTokenCount": 58}}),
    (572, None, None, 58, None), request={"messages": []}, content_type=AWS, framing="eventstream")
add("invoke-mistral-headers-only", "bedrock", BEDROCK + "/model/mistral.mistral-7b-instruct-v0%3A2/invoke",
    {"outputs": [{"text": "About"}]}, (6, None, None, 10, None), request={"prompt": "How far?"},
    headers={"x-amzn-bedrock-input-token-count": "6", "x-amzn-bedrock-output-token-count": "10"})
add("invoke-titan-json", "bedrock", BEDROCK + "/model/amazon.titan-text-express-v1/invoke",
    {"inputTextTokenCount": 28, "results": [{"tokenCount": 197, "outputText": "About"}]}, (28, None, None, 197, None),
    request={"inputText": "How far?"})

# What providers do besides (references read 2026-11-25) ---------------------------------------------------------
add("chat-several-choices", "openai", OPENAI + "/v1/chat/completions",
    sse({"model": "gpt-4.1-2025-04-14", "choices": [{"index": 0, "delta": {"content": "a"}}], "usage": None},
        {"model": "gpt-4.1-2025-04-14", "choices": [{"index": 1, "delta": {"content": "b"}}], "usage": None},
        {"model": "gpt-4.1-2025-04-14", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}, done=True),
    (9, None, None, 2, None), request={"model": "gpt-4.1", "messages": ASK, "n": 2, "stream": True}, content_type=SSE,
    framing="sse")
add("chat-usage-null", "openai", OPENAI + "/v1/chat/completions", chat(None), "none", request=chat_request)
add("chat-priority-tier", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 5}, service_tier="priority"), (10, None, None, 5, None),
    request={**chat_request, "service_tier": "fast"}, fact=3)
add("chat-scale-tier", "openai", OPENAI + "/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 5}, service_tier="scale"), (10, None, None, 5, None),
    request=chat_request, fact=12)
add("completions-nothing-generated", "openai", OPENAI + "/v1/completions",
    {"model": "davinci:2023-07-21-v2", "choices": [{"text": ""}], "usage": {"prompt_tokens": 6, "total_tokens": 6}},
    (6, None, None, 0, None), request={"model": "davinci", "prompt": "How far?"})
add("responses-incomplete", "openai", OPENAI + "/v1/responses",
    sse({"type": "response.output_text.delta", "delta": "About"},
        {"type": "response.incomplete", "response": response(status="incomplete",
                                                             incomplete_details={"reason": "max_output_tokens"})}),
    (2000, 1536, None, 120, 100), request={"model": "gpt-5.1", "input": "How far?", "stream": True}, content_type=SSE,
    framing="sse")
add("responses-failed", "openai", OPENAI + "/v1/responses",
    sse({"type": "response.output_text.delta", "delta": "About"},
        {"type": "response.failed", "response": response(status="failed", error={"code": "server_error", "message": "x"})}),
    (2000, 1536, None, 120, 100), request={"model": "gpt-5.1", "input": "How far?", "stream": True}, content_type=SSE,
    framing="sse")
add("responses-error-event", "openai", OPENAI + "/v1/responses",
    sse(("response.created", {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1", "usage": None}}),
        ("error", {"type": "error", "sequence_number": 1, "code": "server_error", "message": "x", "param": None})),
    "none", request={"model": "gpt-5.1", "input": "How far?", "stream": True}, content_type=SSE, framing="sse", fact=8)
add("responses-cache-write", "openai", OPENAI + "/v1/responses", response(model="gpt-5.6-sol", usage={
    "input_tokens": 3000, "output_tokens": 9, "total_tokens": 3009, "output_tokens_details": {"reasoning_tokens": 0},
    "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 900,
                             "cache_write_tokens_details": {"ttl_30m_tokens": 600, "ttl_12h_tokens": 300}}}),
    (3000, 1000, 900, 9, 0, {"cache_write_30m": 600, "cache_write_12h": 300}),
    request={"model": "gpt-5.6-sol", "input": "How far?"})
tool_usage = {"image_gen": {"input_tokens": 20, "output_tokens": 272, "total_tokens": 292},
              "web_search": {"num_requests": 0}}
add("responses-image-tool", "openai", OPENAI + "/v1/responses", response(tool_usage=tool_usage),
    (2000, 1536, None, 120, 100), request={"model": "gpt-5.1", "input": "Draw the moon"})
add("responses-search-in-tool-usage", "openai", OPENAI + "/v1/responses",
    response(tool_usage={**tool_usage, "image_gen": {"input_tokens": 0, "output_tokens": 0},
                         "web_search": {"num_requests": 3}}),
    (2000, 1536, None, 120, 100, {"web_searches": 3}), request={"model": "gpt-5.1", "input": "How far?"}, fact=6)
add("responses-compact", "openai", OPENAI + "/v1/responses/compact",
    {"id": "resp_1", "object": "response.compaction", "model": "gpt-5.1", "output": [], "usage": responses_usage},
    (2000, 1536, None, 120, 100), request={"model": "gpt-5.1", "input": "How far?"})
run = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1", "model": "gpt-4.1", "status": "queued", "usage": None}
run_usage = {"prompt_tokens": 123, "completion_tokens": 45, "total_tokens": 168,
             "prompt_token_details": {"cached_tokens": 0}}
step = {"id": "step_1", "object": "thread.run.step", "run_id": "run_1", "status": "completed",
        "usage": {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140}}
words = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": [
    {"index": 0, "type": "text", "text": {"value": "About 384,400 km.", "annotations": []}}]}}
add("runs-stream", "openai", OPENAI + "/v1/threads/thread_1/runs",
    sse(("thread.run.created", run), ("thread.message.delta", words), ("thread.run.step.completed", step),
        ("thread.run.completed", {**run, "status": "completed", "usage": run_usage}), ("done", "[DONE]")),
    (123, None, None, 45, None), request={"assistant_id": "asst_1", "stream": True}, content_type=SSE, framing="sse")
add("runs-stream-cut", "openai", OPENAI + "/v1/threads/runs",
    sse(("thread.run.created", run), ("thread.message.delta", words), ("thread.run.step.completed", step)),
    "none", request={"assistant_id": "asst_1", "stream": True}, content_type=SSE, framing="sse")
add("runs-started", "openai", OPENAI + "/v1/threads/thread_1/runs", run, "none", request={"assistant_id": "asst_1"},
    fact=13)
add("images-stream", "openai", OPENAI + "/v1/images/generations",
    sse({"type": "image_generation.partial_image", "b64_json": "iVBO"},
        {"type": "image_generation.completed", "b64_json": "iVBORw0K",
         "usage": {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106,
                   "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}}),
    (50, None, None, 1056, None, {"input_image": 40}), request={"model": "gpt-image-1", "prompt": "moon", "stream": True},
    content_type=SSE, framing="sse")
add("transcription-part-of-a-second", "openai", OPENAI + "/v1/audio/transcriptions",
    {"text": "How far?", "usage": {"type": "duration", "seconds": 3.25}}, (None, None, None, None, None),
    request=form(("model", "whisper-1"), ("file", "RIFF", "a.wav")))
add("speech-bytes", "openai", OPENAI + "/v1/audio/speech", b"ID3\x04\x00moon", "none", content_type="audio/mpeg",
    framing="text", request={"model": "tts-1", "input": "How far is the moon?", "voice": "alloy"})
add("moderation-free", "openai", OPENAI + "/v1/moderations",
    {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": False}]}, "none",
    request={"model": "omni-moderation-latest", "input": "moon"})
add("batch-output-lines", "openai", OPENAI + "/v1/files/file-1/content",
    "".join(json.dumps({"custom_id": name, "response": {"status_code": 200, "body": chat(
        {"prompt_tokens": tokens, "completion_tokens": 5}, model="gpt-4.1-2025-04-14")}}) + "\n"
        for name, tokens in [("a", 20), ("b", 19)]),
    (39, None, None, 10, None), content_type="application/octet-stream", framing="ndjson", method="GET", fact=13)
add("realtime-transcription", "openai", "unknown", "\n".join(json.dumps(event) for event in [
    {"type": "session.created", "session": {"model": "gpt-realtime", "audio": {"input": {"transcription": {
        "model": "gpt-4o-transcribe"}}}}},
    {"type": "conversation.item.input_audio_transcription.completed", "transcript": "How far?", "usage": {
        "type": "tokens", "total_tokens": 18, "input_tokens": 14, "output_tokens": 4,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}}, turn(40, 25)]),
    (40, 0, None, 25, None, {"input_audio": 30, "output_audio": 20}), framing="ws", transport="websocket", method="GET",
    status=101)
add("realtime-xai-beside-response", "xai", "unknown", "\n".join(json.dumps(event) for event in [
    {"type": "session.created", "session": {"model": "grok-voice"}},
    {"type": "response.done", "response": {"id": "r"}, "usage": {
        "total_tokens": 50, "input_tokens": 30, "output_tokens": 20, "billable_audio_seconds": 2.5}}]),
    (30, None, None, 20, None), framing="ws", transport="websocket", method="GET", status=101)
add("chat-azure-v1-path", "azure", "https://r.openai.azure.com/openai/v1/chat/completions",
    chat({"prompt_tokens": 9, "completion_tokens": 1}), (9, None, None, 1, None), request=chat_request)
add("chat-azure-content-filter", "azure",
    "https://r.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2025-01-01",
    {**chat({"prompt_tokens": 9, "completion_tokens": 1}), "choices": [
        {"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}]},
    (9, None, None, 1, None), request={"messages": ASK})
add("messages-azure", "azure", "https://r.services.ai.azure.com/anthropic/v1/messages", message(claude_usage),
    (2530, 2000, 500, 40, None, ttl), request=claude)
add("messages-refusal-after-output", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 30, "output_tokens": 12}, stop_reason="refusal"), (30, None, None, 12, None), request=claude,
    fact=11)
add("messages-geo-and-speed", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 30, "output_tokens": 12, "service_tier": "standard", "speed": "fast", "inference_geo": "us"},
            model="claude-opus-4-6"), (30, None, None, 12, None), request={**claude, "model": "claude-opus-4-6"}, fact=3)
add("messages-thinking-told", "anthropic", ANTHROPIC + "/v1/messages",
    message({"input_tokens": 30, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 70},
             "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2}}),
    (30, None, None, 90, 70, {"web_searches": 1}), request=claude, fact=6)
add("generate-tier-in-header", "gemini", generate, gemini({"promptTokenCount": 10, "candidatesTokenCount": 20}),
    (10, None, None, 20, None), request=ask, headers={"x-gemini-service-tier": "flex"}, fact=3)
add("generate-cached-audio", "gemini", generate, gemini({
    "promptTokenCount": 500, "cachedContentTokenCount": 300, "candidatesTokenCount": 20, "totalTokenCount": 520,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}, {"modality": "AUDIO", "tokenCount": 400}],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 300}],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 20}]}),
    (500, 300, None, 20, None, {"input_audio": 400}), request=ask, fact=10)
add("generate-image-out", "gemini", GEMINI + "/v1beta/models/gemini-2.5-flash-image:generateContent", gemini({
    "promptTokenCount": 10, "candidatesTokenCount": 1300, "totalTokenCount": 1310,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}),
    (10, None, None, 1300, None, {"output_image": 1290}), request=ask)
add("generate-error-array", "gemini", stream,
    [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": []}}], "error", request=ask,
    status=429, framing="json-array")
add("count-tokens-gemini", "gemini", GEMINI + "/v1beta/models/gemini-2.5-flash:countTokens", {"totalTokens": 31}, "none",
    request=ask)
add("converse-service-tier", "bedrock", sonnet + "converse",
    {"output": {"message": {"role": "assistant", "content": [{"text": "About"}]}}, "serviceTier": {"type": "flex"},
     "usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 14}}, (10, None, None, 4, None),
    request={"messages": []}, fact=3)
add("converse-inference-profile", "bedrock",
    BEDROCK + "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
    "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
    {"output": {"message": {"role": "assistant", "content": [{"text": "About"}]}},
     "usage": {"inputTokens": 10, "outputTokens": 4, "totalTokens": 14}}, (10, None, None, 4, None),
    request={"messages": []})
add("invoke-tier-in-header", "bedrock", BEDROCK + "/model/amazon.nova-micro-v1%3A0/invoke",
    {"output": {"message": {"content": [{"text": "About"}]}}, "usage": {"inputTokens": 10, "outputTokens": 4}},
    (10, None, None, 4, None), request={"messages": []}, headers={"x-amzn-bedrock-service-tier": "priority"}, fact=3)
add("invoke-llama-json", "bedrock", BEDROCK + "/model/meta.llama3-8b-instruct-v1%3A0/invoke",
    {"generation": "About", "prompt_token_count": 12, "generation_token_count": 7, "stop_reason": "stop"},
    (12, None, None, 7, None), request={"prompt": "How far?"})
add("invoke-cohere-headers-only", "bedrock", BEDROCK + "/model/cohere.command-r-v1%3A0/invoke",
    {"text": "About", "generation_id": "g", "finish_reason": "COMPLETE"}, (9, None, None, 3, None),
    request={"message": "How far?"},
    headers={"x-amzn-bedrock-input-token-count": "9", "x-amzn-bedrock-output-token-count": "3"})
add("embed-cohere", "cohere", "https://api.cohere.com/v2/embed",
    {"id": "e", "embeddings": {"float": [[0.1]]}, "meta": {"billed_units": {"input_tokens": 5, "image_tokens": 0}}},
    (5, None, None, None, None), request={"model": "embed-v4.0", "texts": ["How far?"]}, headers={"num_tokens": "5"})
add("chat-mistral-tier-in-usage", "mistral", "https://api.mistral.ai/v1/chat/completions",
    chat({"prompt_tokens": 63, "completion_tokens": 44, "total_tokens": 107, "service_tier": "standard",
          "prompt_tokens_details": {"cached_tokens": 20}}, model="mistral-large-latest"), (63, 20, None, 44, None),
    request={"model": "mistral-large-latest", "messages": ASK}, fact=3)
add("ocr-pages", "mistral", "https://api.mistral.ai/v1/ocr",
    {"pages": [{"index": 0, "markdown": "moon"}], "model": "mistral-ocr-latest",
     "usage_info": {"pages_processed": 3, "doc_size_bytes": 100}}, (None, None, None, None, None),
    request={"model": "mistral-ocr-latest", "document": {}})
add("chat-xai-searches", "xai", "https://api.x.ai/v1/responses",
    response(model="grok-4", usage={"input_tokens": 5689, "input_tokens_details": {"cached_tokens": 2048},
                                    "output_tokens": 444, "output_tokens_details": {"reasoning_tokens": 245},
                                    "num_sources_used": 0, "cost_in_usd_ticks": 160708500,
                                    "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 1,
                                                                       "code_interpreter_calls": 0}}),
    (5689, 2048, None, 444, 245, {"web_searches": 3}), request={"model": "grok-4", "input": "How far?"}, fact=6)
add("chat-deepseek-stream", "deepseek", "https://api.deepseek.com/chat/completions",
    sse(chunk("a", model="deepseek-v4-flash"),
        chunk("", {"prompt_tokens": 300, "completion_tokens": 25, "prompt_cache_hit_tokens": 256,
                   "prompt_cache_miss_tokens": 44, "completion_tokens_details": {"reasoning_tokens": 20}}, "stop",
              model="deepseek-v4-flash"), done=True), (300, 256, None, 25, 20),
    request={"model": "deepseek-reasoner", "messages": ASK, "stream": True}, content_type=SSE, framing="sse")
add("chat-error-in-stream-groq", "groq", "https://api.groq.com/openai/v1/chat/completions",
    sse(chunk("a", model="llama-3.1-8b-instant"), ("error", {"error": {"message": "x", "type": "invalid_request_error"}})),
    "none", request={"model": "llama-3.1-8b-instant", "messages": ASK, "stream": True}, content_type=SSE, framing="sse",
    fact=8)
add("chat-openrouter-own-key", "openrouter", "https://openrouter.ai/api/v1/chat/completions",
    chat({"prompt_tokens": 10, "completion_tokens": 2, "cost": 0.0000005, "is_byok": True,
          "cost_details": {"upstream_inference_cost": 0.00001}}, model="openai/gpt-4.1"), (10, None, None, 2, None),
    request={"model": "openai/gpt-4.1", "messages": ASK})
add("chat-perplexity-research", "perplexity", "https://api.perplexity.ai/chat/completions",
    chat({"prompt_tokens": 33, "completion_tokens": 700, "total_tokens": 733, "citation_tokens": 200,
          "num_search_queries": 28, "reasoning_tokens": 500, "search_context_size": "low",
          "cost": {"input_tokens_cost": 0.000066, "output_tokens_cost": 0.0056, "citation_tokens_cost": 0.0004,
                   "reasoning_tokens_cost": 0.0015, "search_queries_cost": 0.14, "total_cost": 0.147566}}, model="sonar-deep-research"),
    (33, None, None, 1400, 500, {"web_searches": 28}), request={"model": "sonar-deep-research", "messages": ASK})
add("generate-ollama", "ollama", "http://localhost:11434/api/generate",
    {"model": "gemma3", "response": "About", "done": True, "eval_count": 51}, (None, None, None, 51, None),
    request={"model": "gemma3", "prompt": "How far?"})
add("chat-llama-cpp-timings", "custom", "http://10.0.0.1:8080/v1/chat/completions",
    chat({"prompt_tokens": 139, "completion_tokens": 42, "total_tokens": 181}, model="gpt-oss-20b",
         timings={"cache_n": 138, "prompt_n": 1, "predicted_n": 42}), (139, None, None, 42, None),
    request={"model": "gpt-oss-20b", "messages": ASK})
add("chat-llama-cpp-timings-without-usage", "custom", "http://10.0.0.1:8080/v1/chat/completions",
    sse(chunk("About", timings={"cache_n": 138, "prompt_n": 1, "predicted_n": 1}),
        chunk("", finish="stop", timings={"cache_n": 138, "prompt_n": 1, "prompt_ms": 9.198, "predicted_n": 42}), done=True),
    (139, 138, None, 42, None), request={"model": "gpt-oss-20b", "messages": ASK, "stream": True}, content_type=SSE,
    framing="sse")
add("chat-llama-cpp-timings-without-the-cache", "custom", "http://10.0.0.1:8080/v1/chat/completions",
    sse(chunk("About"), chunk("", finish="stop", timings={"prompt_n": 1, "predicted_n": 42}), done=True), "none",
    request={"model": "gpt-oss-20b", "messages": ASK, "stream": True}, content_type=SSE, framing="sse")
add("chat-litellm-cost-in-header", "custom", "http://10.0.0.1:4000/v1/chat/completions",
    chat({"prompt_tokens": 8, "completion_tokens": 9}, model="gpt-3.5-turbo-0125"), (8, None, None, 9, None),
    request={"model": "gpt-3.5-turbo", "messages": ASK}, headers={"x-litellm-response-cost": "4.25e-05"})
add("task-tgi-details", "huggingface", "https://api-inference.huggingface.co/models/org/name",
    [{"generated_text": "About", "details": {"finish_reason": "length", "generated_tokens": 20}}],
    (7, None, None, 20, None), request={"inputs": "How far?"}, headers={"x-prompt-tokens": "7", "x-generated-tokens": "20"})

for provider in sorted({fixture["provider"] for fixture in fixtures}):
    lines = [json.dumps(fixture) for fixture in fixtures if fixture["provider"] == provider]
    (HERE / f"{provider}.jsonl").write_text("\n".join(lines) + "\n")
print(len(fixtures), "fixtures")
