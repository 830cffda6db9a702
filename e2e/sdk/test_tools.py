"""A tool round trip: the call, whole and streamed, and the answer made from its result."""

import json

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def test_round_trip(client):
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    ask = dict(model="pip", temperature=0, tools=TOOLS)
    first = client.chat.completions.create(messages=messages, **ask).choices[0]
    assert first.finish_reason == "tool_calls"
    call = first.message.tool_calls[0]
    assert call.type == "function" and call.id
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}

    result = {"city": "Paris", "temperature": 21, "condition": "sunny"}
    messages.append(first.message.to_dict())
    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    second = client.chat.completions.create(messages=messages, **ask).choices[0]
    assert second.finish_reason == "stop"
    assert "Paris" in second.message.content


def test_streamed_call_assembles(client):
    with client.chat.completions.stream(
        model="pip",
        temperature=0,
        tools=TOOLS,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    call = final.message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Paris"},
    )
    assert not final.message.content


def test_a_required_call_is_made_whatever_is_asked(client):
    answer = client.chat.completions.create(
        model="pip",
        temperature=0,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        messages=[{"role": "user", "content": "hello"}],
    ).choices[0]
    call = answer.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
