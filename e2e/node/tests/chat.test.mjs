// Chat, whole and streamed, by the bundled model.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { ask, bundled, collect, user } from './support.mjs';

test('whole', async () => {
  const answer = await ask('What is 7 plus 5?');
  assert.equal(answer.choices[0].message.content, '7 plus 5 is 12.');
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.model, 'pip');
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert.ok(answer._request_id);
});

test('streamed with usage', async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const { chunks, text } = await collect(await ask('What is the capital of Japan?', options));
  assert.equal(text, 'The capital of Japan is Tokyo.');
  const heads = new Set(chunks.map(({ id, created, model }) => JSON.stringify([id, created, model])));
  assert.equal(heads.size, 1);
  const reasons = chunks.filter((c) => c.choices.length).map((c) => c.choices[0].finish_reason);
  assert.equal(reasons.pop(), 'stop');
  assert.ok(reasons.every((reason) => reason === null));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
  assert.ok(chunks.every((chunk) => chunk.usage == null));
});

test('streamed without usage', async () => {
  const { chunks } = await collect(await ask('What is 7 plus 5?', { stream: true }));
  assert.ok(chunks.every((chunk) => chunk.usage == null && chunk.choices.length === 1));
});

test('the streaming helper assembles the same answer', async () => {
  const request = { model: 'pip', messages: user('What is 7 plus 5?'), temperature: 0 };
  const deltas = [];
  const runner = bundled().chat.completions.stream(request);
  runner.on('content', (delta) => deltas.push(delta));
  assert.equal(await runner.finalContent(), '7 plus 5 is 12.');
  assert.equal(deltas.join(''), '7 plus 5 is 12.');
});

test('a stream can be read twice, and as web streams', async () => {
  const stream = await ask('What is 7 plus 5?', { stream: true });
  const [left, right] = stream.tee();
  assert.equal((await collect(left)).text, (await collect(right)).text);
  const web = (await ask('What is 7 plus 5?', { stream: true })).toReadableStream();
  let lines = '';
  for await (const piece of web) lines += Buffer.from(piece).toString();
  const text = lines.trim().split('\n').map((line) => JSON.parse(line).choices[0].delta.content ?? '');
  assert.equal(text.join(''), '7 plus 5 is 12.');
});

test('several turns', async () => {
  const messages = [
    { role: 'system', content: 'You are a helpful assistant.' },
    { role: 'user', content: 'My name is Felix.' },
    { role: 'assistant', content: 'Nice to meet you, Felix!' },
    { role: 'user', content: 'What is my name?' },
  ];
  const request = { model: 'pip', messages, temperature: 0 };
  const answer = await bundled().chat.completions.create(request);
  assert.equal(answer.choices[0].message.content, 'Your name is Felix.');
});

test('two choices, stop and logprobs', async () => {
  const options = { n: 2, stop: [' 4'], logprobs: true, top_logprobs: 2 };
  const answer = await ask('Count to 12.', options);
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
  for (const choice of answer.choices) {
    assert.equal(choice.message.content, '1, 2, 3,');
    assert.equal(choice.finish_reason, 'stop');
    for (const { logprob, top_logprobs } of choice.logprobs.content) {
      assert.ok(logprob <= 0 && top_logprobs.length === 2);
    }
  }
});

test('two choices, streamed', async () => {
  const stream = await ask('Count to 12.', { n: 2, stop: ' 4', stream: true });
  const texts = ['', ''];
  for await (const { choices } of stream) {
    for (const { index, delta } of choices) texts[index] += delta.content ?? '';
  }
  assert.deepEqual(texts, ['1, 2, 3,', '1, 2, 3,']);
});

test('max_tokens ends with length', async () => {
  for (const limit of [{ max_tokens: 4 }, { max_completion_tokens: 4 }]) {
    const answer = await ask('Count to 12.', limit);
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 4);
  }
});

const Person = z.object({ name: z.string(), age: z.number().int() });
const ANA = 'Write a JSON object with name Ana and age 31.';

test('a schema parses into an object', async () => {
  const answer = await bundled().chat.completions.parse({
    model: 'pip',
    messages: user(ANA),
    temperature: 0,
    response_format: zodResponseFormat(Person, 'person'),
  });
  assert.deepEqual(answer.choices[0].message.parsed, { name: 'Ana', age: 31 });
});

test('a schema parses into an object, streamed', async () => {
  const runner = bundled().chat.completions.stream({
    model: 'pip',
    messages: user(ANA),
    temperature: 0,
    response_format: zodResponseFormat(Person, 'person'),
  });
  const answer = await runner.finalChatCompletion();
  assert.deepEqual(answer.choices[0].message.parsed, { name: 'Ana', age: 31 });
});

test('headers come with the answer', async () => {
  const request = { model: 'pip', messages: user('What is 7 plus 5?'), temperature: 0 };
  const pending = bundled().chat.completions.create(request);
  const { data, response, request_id } = await pending.withResponse();
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(response.headers.get('x-request-id'), request_id);
  assert.match(response.headers.get('openai-processing-ms'), /^\d+$/);
});
