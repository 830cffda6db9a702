"""Embeddings: the SDK asks for base64 unless told otherwise, and decodes it itself."""

import asyncio
import base64
import math
import struct

import openai
import pytest

MODEL = "pip-embed"
TEXTS = ["What is the capital of France?", "What is the capital of Italy?", "Count to 20."]


def likeness(a, b):
    return sum(x * y for x, y in zip(a, b))


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) < 1e-6 for x, y in zip(a, b))


def test_as_the_sdk_asks(client):
    answer = client.embeddings.create(model=MODEL, input=TEXTS[0])
    assert answer.object == "list" and answer.model == MODEL
    [item] = answer.data
    assert (item.object, item.index, len(item.embedding)) == ("embedding", 0, 256)
    assert math.isclose(likeness(item.embedding, item.embedding), 1, abs_tol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 10


def test_float_and_base64_are_the_same_numbers(client):
    floats = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    coded = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="base64")
    # Asked for by name, the SDK hands base64 on as it is.
    raw = base64.b64decode(coded.data[0].embedding)
    assert near(struct.unpack(f"<{len(raw) // 4}f", raw), floats.data[0].embedding)
    plain = client.embeddings.create(model=MODEL, input=TEXTS[0])
    assert near(plain.data[0].embedding, floats.data[0].embedding)


def test_a_batch_in_order(client):
    batch = client.embeddings.create(model=MODEL, input=TEXTS)
    assert [item.index for item in batch.data] == [0, 1, 2]
    alone = [client.embeddings.create(model=MODEL, input=text).data[0] for text in TEXTS]
    assert all(near(a.embedding, b.embedding) for a, b in zip(batch.data, alone))
    france, italy, count = (item.embedding for item in batch.data)
    assert likeness(france, italy) > likeness(france, count) + 0.2


def test_token_ids(client):
    one = client.embeddings.create(model=MODEL, input=[1, 2, 3])
    many = client.embeddings.create(model=MODEL, input=[[4, 5], [1, 2, 3]])
    assert one.usage.prompt_tokens == 3 and many.usage.prompt_tokens == 5
    assert near(one.data[0].embedding, many.data[1].embedding)


def test_dimensions(client):
    whole = client.embeddings.create(model=MODEL, input=TEXTS[0]).data[0].embedding
    short = client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=32).data[0].embedding
    assert len(short) == 32
    length = math.sqrt(likeness(whole[:32], whole[:32]))
    assert near(short, [number / length for number in whole[:32]])


def test_async(market):
    async def main():
        async with openai.AsyncOpenAI(
            base_url=market["base_url"], api_key=market["key"], max_retries=0
        ) as client:
            create = client.embeddings.create
            return await asyncio.gather(*(create(model=MODEL, input=text) for text in TEXTS * 4))

    answers = [answer.data[0].embedding for answer in asyncio.run(main())]
    assert all(near(answers[at], answers[at % 3]) for at in range(12))
    assert not near(answers[0], answers[1])


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": 7}, "input"),
        ({"input": [1, 99999]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": 257}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_a_bad_request_names_its_member(client, options, param):
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/embeddings", cast_to=object, body={"model": MODEL, **options})
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


def test_too_long_an_input(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model=MODEL, input="word " * 3000)
    assert raised.value.code == "context_length_exceeded"


def test_each_model_does_its_own(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model="pip", input="hello")
    assert (raised.value.param, raised.value.code) == ("model", "unsupported_operation")
    messages = [{"role": "user", "content": "hello"}]
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=MODEL, messages=messages)
    assert (raised.value.param, raised.value.code) == ("model", "unsupported_operation")


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.embeddings.create(model="text-embedding-9", input="hello")
    assert raised.value.code == "model_not_found"
