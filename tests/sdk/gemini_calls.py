"""The official Google GenAI SDK through the gateway: an answer and a stream, short and long prompts."""

from google import genai
from google.genai import types

from common import GATEWAY, headers, report


def client(call, agent, orders):
    extra = {"x-sim": orders} if orders else {}
    options = types.HttpOptions(base_url=f"{GATEWAY}/gemini", headers={**headers(call, agent), **extra})
    return genai.Client(api_key="test", vertexai=False, http_options=options)


def output(usage):
    return (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)


LONG = "input=250000;cache_read=50000;output=900;reasoning=300"

for model, orders in (
    ("gemini-2.5-flash", ""),
    ("gemini-2.5-flash-lite", ""),
    ("gemini-2.5-pro", ""),
    ("gemini-2.5-pro", LONG),
):
    suffix = f"{model}-long" if orders else model

    call = f"gemini-{suffix}"
    with client(call, "generate", orders) as gemini:
        answer = gemini.models.generate_content(model=model, contents="Who spent what?")
    usage = answer.usage_metadata
    report(call, input=usage.prompt_token_count, output=output(usage), text=answer.text)

    call = f"gemini-stream-{suffix}"
    text, usage = "", None
    with client(call, "stream", orders) as gemini:
        for chunk in gemini.models.generate_content_stream(model=model, contents="Who spent what?"):
            text += chunk.text or ""
            usage = chunk.usage_metadata
    report(call, input=usage.prompt_token_count, output=output(usage), text=text)
