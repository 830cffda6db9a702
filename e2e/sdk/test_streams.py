"""Streams that are left, late, many at once, or broken: by providers that play scripts. Sync and
async."""

import asyncio

import openai
import pytest

from conftest import played

ENDLESS = {"tokens": 100_000, "itl_ms": 20}
SILENT = {"head_ms": 600_000}


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_64_at_once_each_whole_and_its_own(scripted):
    async def one(client, number):
        text = f"This is the answer of stream {number} ."
        request = played({"text": text, "itl_ms": 5}, stream=True)
        chunks = [c async for c in await client.chat.completions.create(**request)]
        assert text_of(chunks) == text
        assert len({c.id for c in chunks}) == 1
        return chunks[0].id

    async def main():
        async with scripted.client(openai.AsyncOpenAI) as client:
            return await asyncio.gather(*(one(client, number) for number in range(64)))

    assert len(set(asyncio.run(main()))) == 64


def test_closing_a_stream_stops_the_provider(scripted):
    before = scripted.counter("jobs_cancelled_total")
    with scripted.client() as client:
        stream = client.chat.completions.create(**played(ENDLESS, stream=True))
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        stream.close()
        scripted.reaches("jobs_cancelled_total", before + 1)


def test_cancelling_a_task_stops_the_provider(scripted):
    async def main():
        async with scripted.client(openai.AsyncOpenAI) as client:
            seen = asyncio.Event()

            async def read():
                request = played(ENDLESS, stream=True)
                async for chunk in await client.chat.completions.create(**request):
                    if chunk.choices[0].delta.content:
                        seen.set()

            reader = asyncio.create_task(read())
            await seen.wait()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader

    before = scripted.counter("jobs_cancelled_total")
    asyncio.run(main())
    scripted.reaches("jobs_cancelled_total", before + 1)


def test_cancelling_a_whole_answer_stops_the_provider(scripted):
    async def main(started):
        async with scripted.client(openai.AsyncOpenAI) as client:
            asked = asyncio.create_task(client.chat.completions.create(**played(ENDLESS)))
            await asyncio.to_thread(scripted.reaches, "jobs_started_total", started + 1)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

    before = scripted.counter("jobs_cancelled_total")
    asyncio.run(main(scripted.counter("jobs_started_total")))
    scripted.reaches("jobs_cancelled_total", before + 1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_is_typed_and_stops_the_provider(scripted, stream):
    before = scripted.counter("jobs_cancelled_total")
    with scripted.client(timeout=0.5) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**played(SILENT, stream=stream))
    scripted.reaches("jobs_cancelled_total", before + 1)


def test_a_timeout_is_typed_async(scripted):
    async def main():
        async with scripted.client(openai.AsyncOpenAI, timeout=0.5) as client:
            with pytest.raises(openai.APITimeoutError):
                await client.chat.completions.create(**played(SILENT))

    asyncio.run(main())


def test_the_gateway_keeps_the_time_a_request_gives_it(scripted):
    headers = {"x-quorate-timeout-ms": "300"}
    with scripted.client() as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(**played(SILENT), extra_headers=headers)
    assert (raised.value.status_code, raised.value.code) == (504, "timeout")


@pytest.mark.parametrize(
    "script", [{"error_after": 3}, {"cut_after": 3}, {"no_finish": True, "tokens": 3}]
)
def test_an_error_in_mid_stream_is_an_error_not_an_end(scripted, script):
    chunks = []
    with scripted.client() as client:
        with pytest.raises(openai.APIError):
            for chunk in client.chat.completions.create(**played(script, stream=True)):
                chunks.append(chunk)
    assert chunks and not any(c.choices[0].finish_reason for c in chunks if c.choices)


@pytest.mark.parametrize(
    "quirk",
    [
        {"crlf": True},
        {"comment_every": 1},
        {"event_lines": True},
        {"tight": True},
        {"write_bytes": 3},
        {"id_missing": True},
        {"role_chunk": False},
        {"usage_mode": "all"},
        {"finish_reason": "eos_token"},
    ],
    ids=str,
)
def test_a_quirk_of_the_provider_is_nothing_to_the_strict_sdk(scripted, quirk):
    script = {"text": "Zwölf Boxkämpfer", **quirk}
    with scripted.client(_strict_response_validation=True) as client:
        chunks = list(client.chat.completions.create(**played(script, stream=True)))
        whole = client.chat.completions.create(**played(script))
    assert text_of(chunks) == whole.choices[0].message.content == "Zwölf Boxkämpfer"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert len({(c.id, c.created, c.model) for c in chunks}) == 1


def test_headers_are_there_before_a_stream_is_read(scripted):
    with scripted.client() as client:
        create = client.chat.completions.with_streaming_response.create
        with create(**played({"tokens": 3}, stream=True)) as response:
            assert response.headers["x-request-id"] == response.request_id
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith(("data: ", ":")) for line in lines)
    assert lines.count("data: [DONE]") == 1


def test_raw_headers_of_a_whole_answer(scripted):
    with scripted.client() as client:
        raw = client.chat.completions.with_raw_response.create(**played({"tokens": 3}))
    assert raw.headers["x-request-id"] == raw.request_id == raw.parse()._request_id
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["x-quorate-attempts"] == "1"
