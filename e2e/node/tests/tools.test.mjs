// A tool round trip: by hand, by the SDK's runner, and streamed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundled, user } from './support.mjs';

const PARAMETERS = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
};
const WEATHER = {
  name: 'get_weather',
  description: 'Get the weather in a city',
  parameters: PARAMETERS,
};
const ASK = { model: 'pip', temperature: 0, tools: [{ type: 'function', function: WEATHER }] };
const QUESTION = user('What is the weather in Paris?');
const RESULT = { city: 'Paris', temperature: 21, condition: 'sunny' };

const assertCall = (call) => {
  assert.equal(call.type, 'function');
  assert.ok(call.id);
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris' });
};

test('round trip', async () => {
  const { completions } = bundled().chat;
  const first = (await completions.create({ ...ASK, messages: QUESTION })).choices[0];
  assert.equal(first.finish_reason, 'tool_calls');
  const [call] = first.message.tool_calls;
  assertCall(call);
  const result = { role: 'tool', tool_call_id: call.id, content: JSON.stringify(RESULT) };
  const messages = [...QUESTION, first.message, result];
  const second = (await completions.create({ ...ASK, messages })).choices[0];
  assert.equal(second.finish_reason, 'stop');
  assert.match(second.message.content, /Paris/);
});

for (const stream of [false, true]) {
  test(`runTools, ${stream ? 'streamed' : 'whole'}`, async () => {
    const calls = [];
    const run = (given) => {
      calls.push(given);
      return RESULT;
    };
    const runner = bundled().chat.completions.runTools({
      model: 'pip',
      temperature: 0,
      stream,
      messages: QUESTION,
      tools: [{ type: 'function', function: { ...WEATHER, function: run, parse: JSON.parse } }],
    });
    assert.match(await runner.finalContent(), /Paris/);
    assert.deepEqual(calls, [{ city: 'Paris' }]);
  });
}

test('a streamed call assembles', async () => {
  const runner = bundled().chat.completions.stream({ ...ASK, messages: QUESTION });
  const { finish_reason, message } = (await runner.finalChatCompletion()).choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assertCall(message.tool_calls[0]);
  assert.ok(!message.content);
});

test('a required call is made whatever is asked', async () => {
  const { completions } = bundled().chat;
  const choice = { type: 'function', function: { name: 'get_weather' } };
  for (const tool_choice of [choice, 'required']) {
    const answer = await completions.create({ ...ASK, messages: user('hello'), tool_choice });
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
  }
});
