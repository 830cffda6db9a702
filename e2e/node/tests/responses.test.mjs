// The Responses API, whole and streamed, by the bundled model.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { bundled, scripted } from './support.mjs';

const ASK = { model: 'pip', input: 'What is 7 plus 5?', temperature: 0 };

test('whole', async () => {
  const response = await bundled().responses.create(ASK);
  assert.equal(response.output_text, '7 plus 5 is 12.');
  assert.deepEqual([response.object, response.status, response.model], ['response', 'completed', 'pip']);
  const { input_tokens, output_tokens, total_tokens } = response.usage;
  assert.ok(input_tokens > 0 && output_tokens > 0);
  assert.equal(total_tokens, input_tokens + output_tokens);
});

test('streamed events come in order and numbered', async () => {
  const events = [];
  for await (const event of await bundled().responses.create({ ...ASK, stream: true })) events.push(event);
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, number) => number));
  const types = events.map((event) => event.type);
  assert.deepEqual(types.filter((type) => type !== 'response.output_text.delta'), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
  const deltas = events.filter((event) => event.type === 'response.output_text.delta');
  assert.equal(deltas.map((event) => event.delta).join(''), '7 plus 5 is 12.');
  assert.equal(events.at(-1).response.output[0].content[0].text, '7 plus 5 is 12.');
});

test('the streaming helper assembles the same answer', async () => {
  const final = await bundled().responses.stream(ASK).finalResponse();
  assert.equal(final.output_text, '7 plus 5 is 12.');
});

test('a schema parses into an object', async () => {
  const response = await bundled().responses.parse({
    model: 'pip',
    temperature: 0,
    input: 'Write a JSON object with name Ana and age 31.',
    text: { format: zodTextFormat(z.object({ name: z.string(), age: z.number().int() }), 'person') },
  });
  assert.deepEqual(response.output_parsed, { name: 'Ana', age: 31 });
});

test('a tool round trip', async () => {
  const client = bundled();
  const tools = [
    {
      type: 'function',
      name: 'get_weather',
      description: 'Get the weather in a city',
      strict: false,
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  ];
  const input = [{ role: 'user', content: 'What is the weather in Paris?' }];
  const first = await client.responses.create({ model: 'pip', temperature: 0, input, tools });
  const call = first.output.find((item) => item.type === 'function_call');
  assert.deepEqual([call.name, JSON.parse(call.arguments)], ['get_weather', { city: 'Paris' }]);
  const output = JSON.stringify({ city: 'Paris', temperature: 21, condition: 'sunny' });
  input.push(...first.output, { type: 'function_call_output', call_id: call.call_id, output });
  const second = await client.responses.create({ model: 'pip', temperature: 0, input, tools });
  assert.match(second.output_text, /Paris/);
});

test('a failure in mid-stream is a failed response', async () => {
  const request = { model: 'scripted', input: 'hi', stream: true, script: { error_after: 3 } };
  const events = [];
  for await (const event of await scripted().responses.create(request)) events.push(event);
  assert.equal(events.at(-1).type, 'response.failed');
  assert.equal(events.at(-1).response.status, 'failed');
});

test('what needs a store is refused by name', async () => {
  const wrong = scripted().responses.create({ model: 'scripted', input: 'hi', previous_response_id: 'resp_1' });
  await assert.rejects(
    wrong,
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'previous_response_id',
  );
});
