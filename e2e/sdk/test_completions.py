"""Legacy completions, whole and streamed, sync and async."""

import asyncio

import openai
import pytest

PROMPT = "Once upon a time"


def test_whole(client):
    answer = client.completions.create(model="pip", prompt=PROMPT, max_tokens=5, temperature=0)
    assert (answer.object, answer.model) == ("text_completion", "pip")
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_streamed_as_when_whole(client):
    ask = dict(model="pip", prompt=PROMPT, max_tokens=8, temperature=0)
    whole = client.completions.create(**ask)
    options = {"include_usage": True}
    chunks = list(client.completions.create(**ask, stream=True, stream_options=options))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1


def test_async(scripted):
    async def main():
        async with scripted.client(openai.AsyncOpenAI) as client:
            ask = dict(model="scripted", prompt=PROMPT, max_tokens=3)
            whole = await client.completions.create(**ask)
            stream = await client.completions.create(**ask, stream=True)
            return whole.choices[0].text, "".join([c.choices[0].text async for c in stream])

    assert asyncio.run(main()) == (" tok0 tok1 tok2", " tok0 tok1 tok2")


def test_choices_stop_and_logprobs(scripted):
    with scripted.client(_strict_response_validation=True) as client:
        answer = client.completions.create(
            model="scripted", prompt=PROMPT, n=2, stop=" tok3", logprobs=2
        )
    assert [c.index for c in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert (choice.text, choice.finish_reason) == (" tok0 tok1 tok2", "stop")
        assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == 3


def test_a_missing_prompt_is_named(scripted):
    with scripted.client() as client, pytest.raises(openai.BadRequestError) as raised:
        client.post("/completions", cast_to=object, body={"model": "scripted"})
    assert raised.value.param == "prompt"
