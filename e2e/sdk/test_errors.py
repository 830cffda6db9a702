"""The SDK's own exception classes, where they are due."""

import openai
import pytest


def test_wrong_key(market):
    client = openai.OpenAI(base_url=market["base_url"], api_key="qk_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model="pip", messages=[{"role": "user", "content": "hi"}])
    assert raised.value.code == "invalid_api_key"
    assert "qk_wrong" not in str(raised.value)
    assert raised.value.request_id


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="gpt-99", messages=[{"role": "user", "content": "hi"}])
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"


def test_unknown_path(client):
    with pytest.raises(openai.NotFoundError):
        client.post("/nonsense", cast_to=object, body={})


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_bad_request_names_the_member(client, options, param):
    body = {"model": "pip", "messages": [{"role": "user", "content": "hi"}], **options}
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, body=body)
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


def test_too_long_a_prompt(client):
    messages = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="pip", messages=messages)
    assert raised.value.code == "context_length_exceeded"


def test_bad_request_in_a_stream_is_an_http_error(client):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="pip", messages=[], stream=True)
