"""The official OpenAI SDK through the gateway: JSON and streams of every API that it has helpers for."""

from openai import OpenAI

from common import GATEWAY, headers, report

client = OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key="sk-test", max_retries=0)
MESSAGES = [{"role": "user", "content": "Who spent what?"}]


def usage(seen):
    return {"input": seen.prompt_tokens, "output": seen.completion_tokens}


for model in ("gpt-5-mini", "gpt-4.1-mini", "gpt-5.1"):
    call = f"openai-chat-{model}"
    answer = client.chat.completions.create(model=model, messages=MESSAGES, extra_headers=headers(call, "chat"))
    report(call, **usage(answer.usage), text=answer.choices[0].message.content)

    call = f"openai-chat-stream-{model}"
    text, seen = "", None
    for chunk in client.chat.completions.create(
        model=model,
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=headers(call, "chat-stream"),
    ):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        seen = chunk.usage or seen
    report(call, **usage(seen), text=text)

    call = f"openai-responses-{model}"
    answer = client.responses.create(model=model, input="Who spent what?", extra_headers=headers(call, "responses"))
    report(call, input=answer.usage.input_tokens, output=answer.usage.output_tokens, text=answer.output_text)

    call = f"openai-responses-stream-{model}"
    with client.responses.stream(
        model=model, input="Who spent what?", extra_headers=headers(call, "responses-stream")
    ) as stream:
        answer = stream.get_final_response()
    report(call, input=answer.usage.input_tokens, output=answer.usage.output_tokens, text=answer.output_text)

call = "openai-chat-flex"
answer = client.chat.completions.create(
    model="gpt-5-mini", messages=MESSAGES, service_tier="flex", extra_headers=headers(call, "chat")
)
report(call, **usage(answer.usage), text=answer.choices[0].message.content)

call = "openai-long-context"
answer = client.chat.completions.create(
    model="gpt-5.4", messages=MESSAGES, extra_headers={**headers(call, "chat"), "x-sim": "input=300000;output=500"}
)
report(call, **usage(answer.usage), text=answer.choices[0].message.content)

for encoding in ("float", "base64"):
    call = f"openai-embeddings-{encoding}"
    answer = client.embeddings.create(
        model="text-embedding-3-small",
        input="Who spent what?",
        encoding_format=encoding,
        extra_headers=headers(call, "embeddings"),
    )
    report(call, input=answer.usage.prompt_tokens, output=0, text=str(len(answer.data[0].embedding)))
