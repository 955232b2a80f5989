"""The official Anthropic SDK through the gateway: a message and a stream, with cache reads and writes."""

from anthropic import Anthropic

from common import GATEWAY, headers, report

client = Anthropic(base_url=f"{GATEWAY}/anthropic", api_key="sk-ant-test", max_retries=0)
MESSAGES = [{"role": "user", "content": "Who spent what?"}]
CACHED = "input=5000;cache_read=3000;cache_write_5m=700;cache_write_1h=300;output=40"


def total_input(usage):
    return usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)


for model in ("claude-haiku-4-5", "claude-sonnet-4-6"):
    for orders in ("", CACHED):
        suffix = f"{model}-cached" if orders else model
        extra = {"x-sim": orders} if orders else {}

        call = f"anthropic-{suffix}"
        answer = client.messages.create(
            model=model, max_tokens=1000, messages=MESSAGES, extra_headers={**headers(call, "messages"), **extra}
        )
        report(call, input=total_input(answer.usage), output=answer.usage.output_tokens, text=answer.content[0].text)

        call = f"anthropic-stream-{suffix}"
        with client.messages.stream(
            model=model, max_tokens=1000, messages=MESSAGES, extra_headers={**headers(call, "stream"), **extra}
        ) as stream:
            answer = stream.get_final_message()
        report(call, input=total_input(answer.usage), output=answer.usage.output_tokens, text=answer.content[0].text)
