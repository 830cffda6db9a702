"""Chat, whole and streamed."""

import asyncio

import openai
import pydantic


def test_whole(ask):
    answer = ask("What is 7 plus 5?")
    assert answer.choices[0].message.content == "7 plus 5 is 12."
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "pip"
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_streamed_with_usage(ask):
    chunks = list(
        ask("What is the capital of Japan?", stream=True, stream_options={"include_usage": True})
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "The capital of Japan is Tokyo."
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] == "stop" and not any(reasons[:-1])
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(c.usage is None for c in chunks[:-1])


def test_streamed_without_usage(ask):
    chunks = list(ask("What is 7 plus 5?", stream=True))
    assert all(c.usage is None for c in chunks)
    assert all(c.choices for c in chunks)


def test_the_streaming_helper_assembles_the_same_answer(client):
    messages = [{"role": "user", "content": "What is 7 plus 5?"}]
    with client.chat.completions.stream(model="pip", messages=messages, temperature=0) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "7 plus 5 is 12."


def test_async(market):
    async def main():
        async with openai.AsyncOpenAI(
            base_url=market["base_url"], api_key=market["key"], max_retries=0
        ) as client:
            messages = [{"role": "user", "content": "What is 7 plus 5?"}]
            stream = await client.chat.completions.create(
                model="pip", messages=messages, temperature=0, stream=True
            )
            return "".join([c.choices[0].delta.content or "" async for c in stream])

    assert asyncio.run(main()) == "7 plus 5 is 12."


def test_several_turns(client):
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "My name is Felix."},
        {"role": "assistant", "content": "Nice to meet you, Felix!"},
        {"role": "user", "content": "What is my name?"},
    ]
    answer = client.chat.completions.create(model="pip", messages=messages, temperature=0)
    assert answer.choices[0].message.content == "Your name is Felix."


def test_two_choices_stop_and_logprobs(ask):
    answer = ask("Count to 12.", n=2, stop=[" 4"], logprobs=True, top_logprobs=2)
    assert [c.index for c in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.message.content == "1, 2, 3,"
        assert choice.finish_reason == "stop"
        assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in choice.logprobs.content)


def test_max_tokens_ends_with_length(ask):
    answer = ask("Count to 12.", max_tokens=4)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 4


def test_same_seed_same_answer(client):
    def story(seed):
        messages = [{"role": "user", "content": "Tell me a story."}]
        return (
            client.chat.completions.create(model="pip", messages=messages, temperature=1, seed=seed)
            .choices[0]
            .message.content
        )

    assert story(7) == story(7)
    assert len({story(seed) for seed in range(5)}) > 1


class Person(pydantic.BaseModel):
    name: str
    age: int


def test_json_schema_parses_into_a_class(client):
    messages = [{"role": "user", "content": "Write a JSON object with name Ana and age 31."}]
    answer = client.chat.completions.parse(
        model="pip", messages=messages, temperature=0, response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ana", age=31)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["pip", "pip-embed"]
    assert client.models.retrieve("pip").object == "model"
