"""The Responses API: text, streams, structured output, a tool round trip, refusals by name, async."""

import asyncio
import json

import openai
import pydantic
import pytest

from conftest import client_of

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Get the weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
]
ASK = {"model": "pip", "temperature": 0}
ADD = {"name": "get_weather", "arguments": '{"city": "Rome"}'}
LAST = {"response.completed", "response.incomplete", "response.failed"}


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture
def strict(market):
    """The SDK with every member and every event checked against its types."""
    with client_of(market, _strict_response_validation=True) as client:
        yield client


@pytest.fixture
def player(scripted):
    """Asks a provider that plays a script; strict too."""
    with scripted.client(_strict_response_validation=True) as client:

        def play(script, **options):
            body = {"model": "scripted", "input": "hi", "extra_body": {"script": script}}
            return client.responses.create(**{**body, **options})

        yield play


def test_a_text(strict):
    answer = strict.responses.create(**ASK, input="What is the capital of Japan?")
    assert answer.status == "completed"
    assert answer.output_text == "The capital of Japan is Tokyo."
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.id.startswith("resp_") and answer.output[-1].id.startswith("msg_")
    assert answer.error is None and answer.incomplete_details is None


def test_instructions_items_and_limits(strict):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi!", "annotations": []}]},
        {"type": "message", "role": "user", "content": "What is the capital of Japan?"},
    ]
    answer = strict.responses.create(
        **ASK, input=items, instructions="Be brief.", max_output_tokens=2, metadata={"a": "b"}
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 2
    assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})


def test_events_come_in_order_and_add_up(strict):
    ask = dict(ASK, input="What is the capital of Japan?")
    events = list(strict.responses.create(**ask, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert len(LAST & set(kinds)) == 1
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    final = events[-1].response
    assert text == final.output_text
    assert final.usage.output_tokens > 0
    assert {event.response.id for event in events if hasattr(event, "response")} == {final.id}


def test_the_stream_helper(strict):
    with strict.responses.stream(**ASK, input="What is the capital of Japan?") as stream:
        snapshots = [e.snapshot for e in stream if e.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text
    assert final.output_text == "The capital of Japan is Tokyo."


def test_log_probabilities(strict):
    answer = strict.responses.create(
        **ASK, input="hello", include=["message.output_text.logprobs"], top_logprobs=2
    )
    (part,) = answer.output[-1].content
    assert "".join(token.token for token in part.logprobs) == part.text
    assert all(len(token.top_logprobs) == 2 for token in part.logprobs)


def test_parse_into_a_model(strict):
    question = "Write a JSON object with name Ana and age 31."
    ask = dict(ASK, input=question, text_format=Person)
    answer = strict.responses.parse(**ask)
    assert answer.output_parsed == Person(name="Ana", age=31)
    with strict.responses.stream(**ask) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == answer.output_parsed


def test_a_tool_round_trip(strict):
    items = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = strict.responses.create(**ASK, tools=TOOLS, input=items)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "Paris"}
    result = {"city": "Paris", "temperature": 21, "condition": "sunny"}
    items += [item.to_dict() for item in first.output]
    items.append(
        {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps(result)}
    )
    second = strict.responses.create(**ASK, tools=TOOLS, input=items)
    assert second.status == "completed"
    assert "Paris" in second.output_text


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "get_weather"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    ],
)
def test_a_forced_call_is_streamed(strict, choice):
    ask = dict(ASK, tools=TOOLS, tool_choice=choice, input="hello")
    with strict.responses.stream(**ask) as stream:
        deltas = [e.delta for e in stream if e.type == "response.function_call_arguments.delta"]
        final = stream.get_final_response()
    (call,) = final.output
    assert "".join(deltas) == call.arguments
    assert isinstance(json.loads(call.arguments)["city"], str)


@pytest.mark.parametrize(
    "member, param",
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "nonsense"}]}]}, "input[0].content[0].type"),
    ],
)
def test_what_is_not_served_is_refused_by_name(scripted, member, param):
    with scripted.client() as client, pytest.raises(openai.BadRequestError) as error:
        client.responses.create(**{"model": "scripted", "input": "hello", **member})
    assert error.value.param == param


def test_no_response_is_stored(scripted):
    with scripted.client() as client:
        stored = client.responses
        for ask in (stored.retrieve, stored.delete, stored.cancel, stored.input_items.list):
            with pytest.raises(openai.NotFoundError):
                ask("resp_1")


def test_reasoning_text_and_calls_are_items_of_their_own(player):
    script = {"reasoning": "hm, well", "text": "Adding.", "tool_call": ADD}
    whole = player(script, tools=TOOLS)
    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call"]
    assert whole.output[0].content[0].text == "hm, well"
    assert (whole.output_text, whole.output[2].arguments) == ("Adding.", ADD["arguments"])
    *_, last = player(script, tools=TOOLS, stream=True)
    said = [item.to_dict() for item in last.response.output]
    for before, after in zip([item.to_dict() for item in whole.output], said):
        for member in ("id", "call_id"):
            before.pop(member, None), after.pop(member, None)
        assert before == after


def test_what_was_answered_can_be_sent_back(player):
    script = {"reasoning": "hm", "tool_call": ADD}
    first = player(script, tools=TOOLS)
    call = first.output[-1]
    items = [{"role": "user", "content": "hi"}, *(item.to_dict() for item in first.output)]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "3"})
    second = player({"text": "Three."}, tools=TOOLS, input=items)
    assert second.output_text == "Three."


def test_a_stream_that_breaks_ends_in_a_failed_response(player):
    events = list(player({"tokens": 9, "error_after": 4}, stream=True))
    assert events[-1].type == "response.failed"
    failed = events[-1].response
    assert failed.error.code == "server_error"
    assert failed.output_text == " tok0 tok1 tok2 tok3"
    assert LAST & {event.type for event in events} == {"response.failed"}


def test_a_filtered_answer_is_incomplete(player):
    answer = player({"text": "one two", "finish_reason": "content_filter"})
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"


def test_a_stream_that_is_left_stops_the_provider(player, scripted):
    before = scripted.counter("jobs_cancelled_total")
    stream = player({"tokens": 100_000, "itl_ms": 5}, stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    scripted.reaches("jobs_cancelled_total", before + 1)


def test_async(scripted):
    async def run():
        client = scripted.client(openai.AsyncOpenAI, _strict_response_validation=True)
        ask = {"model": "scripted", "input": "hi", "extra_body": {"script": {"text": "So it is."}}}
        async with client.responses.stream(**ask) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_response()
        answers = await asyncio.gather(*[client.responses.create(**ask) for _ in range(32)])
        # A stream that is left early is closed, and the client stays of use.
        left = await client.responses.create(**ask, stream=True)
        async for _ in left:
            break
        await left.close()
        again = await client.responses.create(**ask)
        await client.close()
        return [final, *answers, again]

    assert {answer.output_text for answer in asyncio.run(run())} == {"So it is."}
