"""Calls of official SDKs whose requests rules change on their way: a cheaper model, and a lower output limit.

Each SDK checks what it gets by itself; what it saw is printed.
"""

import anthropic
import boto3
import google.genai
import openai

from common import GATEWAY, headers, report

QUESTION = [{"role": "user", "content": "Who spent what?"}]


def called(name, extra, call):
    """Makes a call, and reports the model that its answer names."""
    model, output = call({**headers(name, extra["agent"]), "x-tollgate-team": extra["team"]})
    report(name, model=model, output=output)


def chat(client, model, **more):
    answer = client.chat.completions.create(model=model, messages=QUESTION, **more)
    return answer.model, answer.usage.completion_tokens


def openai_chat(extra):
    client = openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="k", default_headers=extra)
    return chat(client, "gpt-5", max_completion_tokens=50_000)


def openai_stream(extra):
    client = openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="k", default_headers=extra)
    model = None
    for chunk in client.chat.completions.create(
        model="gpt-5", messages=QUESTION, max_completion_tokens=50_000, stream=True
    ):
        model = chunk.model
    return model, None


def openai_responses(extra):
    client = openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="k", default_headers=extra)
    answer = client.responses.create(model="gpt-5", input="Who spent what?", max_output_tokens=50_000)
    return answer.model, answer.usage.output_tokens


def azure_chat(extra):
    client = openai.AzureOpenAI(
        azure_endpoint=f"{GATEWAY}/azure", api_key="k", api_version="2024-10-21", default_headers=extra
    )
    return chat(client, "gpt-5", max_completion_tokens=50_000)


def anthropic_messages(extra):
    client = anthropic.Anthropic(base_url=f"{GATEWAY}/anthropic", api_key="k", default_headers=extra)
    answer = client.messages.create(model="claude-opus-4-5", max_tokens=20_000, messages=QUESTION)
    return answer.model, answer.usage.output_tokens


def gemini(extra):
    options = google.genai.types.HttpOptions(base_url=f"{GATEWAY}/gemini", headers=extra)
    client = google.genai.Client(api_key="k", http_options=options)
    config = google.genai.types.GenerateContentConfig(max_output_tokens=60_000)
    answer = client.models.generate_content(model="gemini-2.5-pro", contents="Who spent what?", config=config)
    return answer.model_version, answer.usage_metadata.candidates_token_count


def bedrock_signed(extra):
    """Signed by its caller: nothing of it may be changed."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=f"{GATEWAY}/bedrock",
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )

    def add(request, **_):
        for name, value in extra.items():
            request.headers[name] = value

    client.meta.events.register("before-send.bedrock-runtime.Converse", add)
    answer = client.converse(
        modelId="anthropic.claude-opus-4-5-20251101-v1:0",
        messages=[{"role": "user", "content": [{"text": "Who spent what?"}]}],
        inferenceConfig={"maxTokens": 100},
    )
    return None, answer["usage"]["outputTokens"]


CALLS = {
    "openai": openai_chat,
    "openai-stream": openai_stream,
    "openai-responses": openai_responses,
    "azure": azure_chat,
    "anthropic": anthropic_messages,
    "gemini": gemini,
}
for name, call in CALLS.items():
    called(f"step-{name}", {"agent": "sdk", "team": "stepper"}, call)
    called(f"clamp-{name}", {"agent": "long-winded", "team": "sdk"}, call)
called("step-bedrock", {"agent": "sdk", "team": "stepper"}, bedrock_signed)
