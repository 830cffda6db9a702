"""What can be asked for, sync and async."""

import asyncio

import openai
import pytest


def test_list(scripted):
    with scripted.client(_strict_response_validation=True) as client:
        assert [model.id for model in client.models.list()] == ["scripted", "org/scripted"]


def test_ids_with_slashes(scripted):
    with scripted.client(_strict_response_validation=True) as client:
        assert client.models.retrieve("org/scripted").id == "org/scripted"
        # Unescaped, as other clients send it.
        assert client.get("/models/org/scripted", cast_to=dict)["id"] == "org/scripted"


def test_async(scripted):
    async def main():
        async with scripted.client(openai.AsyncOpenAI) as client:
            return [model.id async for model in client.models.list()]

    assert asyncio.run(main()) == ["scripted", "org/scripted"]


def test_no_such_model(scripted):
    with scripted.client() as client, pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("org/none")
    assert raised.value.code == "model_not_found"
