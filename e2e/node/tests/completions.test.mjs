// Legacy completions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { bundled, scripted } from './support.mjs';

const prompt = 'Once upon a time';

test('whole', async () => {
  const answer = await bundled().completions.create({ model: 'pip', prompt, max_tokens: 5, temperature: 0 });
  assert.equal(answer.object, 'text_completion');
  assert.equal(answer.model, 'pip');
  assert.ok(answer.choices[0].text.length > 0);
  assert.equal(answer.usage.completion_tokens, 5);
  assert.equal(answer.choices[0].finish_reason, 'length');
});

test('streamed with usage, as when whole', async () => {
  const request = { model: 'pip', prompt, max_tokens: 8, temperature: 0 };
  const whole = await bundled().completions.create(request);
  const streamed = { ...request, stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await bundled().completions.create(streamed)) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('');
  assert.equal(text, whole.choices[0].text);
  assert.deepEqual(chunks.at(-1).usage, whole.usage);
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
});

test('two choices and logprobs', async () => {
  const answer = await scripted().completions.create({
    model: 'scripted',
    prompt,
    n: 2,
    logprobs: 2,
    max_tokens: 3,
  });
  assert.deepEqual(answer.choices.map((choice) => choice.text), Array(2).fill(' tok0 tok1 tok2'));
  assert.ok(answer.choices.every(({ logprobs }) => logprobs.tokens.length === 3));
});

test('a missing prompt is named', async () => {
  const wrong = scripted().completions.create({ model: 'scripted' });
  await assert.rejects(wrong, (error) => error instanceof OpenAI.BadRequestError && error.param === 'prompt');
});
