"""Starts one `quorate up` for all tests, on free ports and in a folder of its own."""

import os
import subprocess

import openai
import pytest


@pytest.fixture(scope="session")
def market(tmp_path_factory):
    """{"base_url", "key"} of a running market with three providers."""
    data = tmp_path_factory.mktemp("data")
    ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    process = subprocess.Popen(
        [os.environ["QUORATE_BIN"], "up", *ports, "--data", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    fields = {}
    for line in process.stdout:
        name, _, value = line.strip().partition("  ")
        fields[name] = value.strip()
        if line.startswith("Ctrl-C"):
            break
    else:
        pytest.fail(f"`up` ended with {process.wait()} before it was ready")
    yield {"base_url": fields["base URL"], "key": fields["API key"]}
    process.terminate()
    assert process.wait(timeout=60) == 0


@pytest.fixture
def client(market):
    """The SDK as anyone makes it, without retries, so that an error is seen as it is."""
    return openai.OpenAI(
        base_url=market["base_url"], api_key=market["key"], max_retries=0, timeout=120
    )


@pytest.fixture
def ask(client):
    """Asks one question greedily."""

    def ask(question, **options):
        messages = [{"role": "user", "content": question}]
        return client.chat.completions.create(
            model="pip", messages=messages, temperature=0, **options
        )

    return ask
