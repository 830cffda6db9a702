"""Starts one market with the bundled model and one that plays scripts, each for all tests."""

import pathlib
import sys
import urllib.request

import openai
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import market as markets  # noqa: E402


@pytest.fixture(scope="session")
def market():
    """{"base_url", "key"} of a running `quorate up` with three providers."""
    with markets.bundled() as running:
        yield running


@pytest.fixture(scope="session")
def scripted_market():
    """{"base_url", "key", "providers"} of a gateway with two providers that play scripts."""
    with markets.scripted() as running:
        yield running


def client_of(market, kind=openai.OpenAI, **options):
    """The SDK as anyone makes it, without retries, so that an error is seen as it is."""
    options = {"max_retries": 0, "timeout": 120, **options}
    return kind(**{"base_url": market["base_url"], "api_key": market["key"], **options})


@pytest.fixture
def client(market):
    with client_of(market) as client:
        yield client


@pytest.fixture
def ask(client):
    """Asks one question greedily."""

    def ask(question, **options):
        messages = [{"role": "user", "content": question}]
        return client.chat.completions.create(
            model="pip", messages=messages, temperature=0, **options
        )

    return ask


class Scripted:
    """Clients of the scripted market, and what its providers count."""

    def __init__(self, market):
        self.market = market

    def client(self, kind=openai.OpenAI, **options):
        return client_of(self.market, kind, **options)

    def counter(self, name):
        """All providers together."""
        name = f"quorate_provider_{name} "
        count = 0
        for url in self.market["providers"]:
            with urllib.request.urlopen(f"{url}/metrics", timeout=60) as scrape:
                lines = scrape.read().decode().splitlines()
            count += sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))
        return count

    def reaches(self, name, wanted):
        """Waits until a counter has grown to `wanted`."""
        for _ in range(10_000):
            if self.counter(name) >= wanted:
                return
        pytest.fail(f"{name} stays below {wanted}")


@pytest.fixture
def scripted(scripted_market):
    return Scripted(scripted_market)


def played(script, **options):
    """A chat request whose provider plays the script."""
    messages = [{"role": "user", "content": "hi"}]
    body = {"script": script}
    return {"model": "scripted", "messages": messages, "extra_body": body, **options}
