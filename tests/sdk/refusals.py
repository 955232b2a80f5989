"""Calls of every SDK that a spent budget refuses: what each raises, with its default settings.

The team `poor` has a budget of next to nothing. How often an SDK tried is counted by the gateway, in records.
"""

import boto3
import botocore.exceptions
import cohere
import cohere.core
import google.genai
import google.genai.errors
import groq
import mistralai.client
import openai
import anthropic

from common import GATEWAY, headers, report


def refused(name, call):
    """Makes a call that is to be refused, and reports what it raised."""
    try:
        call({**headers(name, name), "x-tollgate-team": "poor"})
    except Exception as error:  # what is raised is what is asked
        classes = [kind.__name__ for kind in type(error).__mro__]
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        if isinstance(error, botocore.exceptions.ClientError):
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        report(name, classes=classes, status=status, text=str(error), code=getattr(error, "code", None))
    else:
        report(name, classes=[], status=200, text="", code=None)


QUESTION = [{"role": "user", "content": "What is left?"}]


def openai_chat(extra):
    client = openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="k", default_headers=extra)
    client.chat.completions.create(model="gpt-5-mini", messages=QUESTION, max_completion_tokens=50)


def openai_stream(extra):
    client = openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="k", default_headers=extra)
    for _ in client.chat.completions.create(
        model="gpt-5-mini", messages=QUESTION, max_completion_tokens=50, stream=True
    ):
        pass


def anthropic_messages(extra):
    client = anthropic.Anthropic(base_url=f"{GATEWAY}/anthropic", api_key="k", default_headers=extra)
    client.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=QUESTION)


def gemini(extra):
    options = google.genai.types.HttpOptions(base_url=f"{GATEWAY}/gemini", headers=extra)
    client = google.genai.Client(api_key="k", http_options=options)
    client.models.generate_content(model="gemini-2.5-flash", contents="What is left?")


def groq_chat(extra):
    client = groq.Groq(base_url=f"{GATEWAY}/groq", api_key="k", default_headers=extra)
    client.chat.completions.create(model="llama-3.3-70b-versatile", messages=QUESTION, max_tokens=50)


def mistral_chat(extra):
    client = mistralai.client.Mistral(server_url=f"{GATEWAY}/mistral", api_key="k")
    client.chat.complete(
        model="mistral-small-latest", messages=QUESTION, max_tokens=50, http_headers=extra
    )


def cohere_chat(extra):
    client = cohere.ClientV2(base_url=f"{GATEWAY}/cohere", api_key="k")
    options = {"additional_headers": extra}
    client.chat(model="command-r7b-12-2024", messages=QUESTION, max_tokens=50, request_options=options)


def bedrock_converse(extra):
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"{GATEWAY}/bedrock",
        aws_access_key_id="k",
        aws_secret_access_key="k",
    )

    def add(request, **_):
        for name, value in extra.items():
            request.headers[name] = value

    client.meta.events.register("before-send.bedrock-runtime.Converse", add)
    client.converse(
        modelId="amazon.nova-lite-v1:0",
        messages=[{"role": "user", "content": [{"text": "What is left?"}]}],
        inferenceConfig={"maxTokens": 50},
    )


refused("openai", openai_chat)
refused("openai-stream", openai_stream)
refused("anthropic", anthropic_messages)
refused("gemini", gemini)
refused("groq", groq_chat)
refused("mistral", mistral_chat)
refused("cohere", cohere_chat)
refused("bedrock", bedrock_converse)
