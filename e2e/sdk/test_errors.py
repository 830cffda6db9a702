"""The SDK's own exception classes, where they are due."""

import asyncio

import openai
import pytest

from conftest import client_of, played


def test_wrong_key(market):
    client = client_of(market, api_key="qk_wrong")
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


class Counting(openai.DefaultHttpxClient):
    """Counts what is sent: a retry is a request of its own."""

    requests = 0

    def send(self, *args, **options):
        self.requests += 1
        return super().send(*args, **options)


def fails(scripted, script, retries=2):
    """How an ordinary client, retries and all, fails, and how many requests it made."""
    with Counting() as http:
        client = scripted.client(max_retries=retries, http_client=http)
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(**played(script))
        return raised.value, http.requests


@pytest.mark.parametrize("script", [{"status": 500}, {"status": 503}, {"reset_before_head": True}])
def test_what_was_tried_elsewhere_here_is_not_tried_again_by_the_client(scripted, script):
    error, requests = fails(scripted, script)
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code, requests) == (502, "provider_error", 1)


def test_a_providers_refusal_of_our_key_is_never_the_clients(scripted):
    script = {"status": 401, "body": '{"error": {"message": "bad key sk-1"}}'}
    error, requests = fails(scripted, script)
    assert isinstance(error, openai.InternalServerError)
    assert requests == 1 and "sk-1" not in str(error)


def test_a_rate_limit_may_be_tried_again(scripted):
    error, requests = fails(scripted, {"status": 429, "retry_after": "1"}, retries=1)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, requests) == ("provider_rate_limited", 2)
    assert 0 < int(error.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, '{"error": "model is busy"}', openai.BadRequestError, "model is busy"),
        (422, '{"detail": [{"loc": ["body", "top_k"], "msg": "bad"}]}', openai.BadRequestError, "top_k: bad"),
        (413, "<html>too large</html>", openai.APIStatusError, "413"),
        (400, "", openai.BadRequestError, "400"),
    ],
)
def test_foreign_refusals_become_openais(scripted, status, body, kind, message):
    error, requests = fails(scripted, {"status": status, "body": body})
    assert isinstance(error, kind) and requests == 1
    assert message in error.message
    assert set(error.body) == {"message", "type", "param", "code"}


def test_async_errors_are_the_same(scripted):
    async def main():
        async with scripted.client(openai.AsyncOpenAI) as client:
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("none")
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(model="scripted", messages=[])
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(**played({"status": 500}))

    asyncio.run(main())


def test_nobody_there():
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
