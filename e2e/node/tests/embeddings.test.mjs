// Embeddings. The SDK asks for base64 unless told otherwise and decodes it; both must be the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { scripted } from './support.mjs';

const create = (request) => scripted().embeddings.create({ model: 'scripted', ...request });

test('base64 by default is the same vector as floats', async () => {
  const input = 'The quick brown fox';
  const [decoded, floats] = [await create({ input }), await create({ input, encoding_format: 'float' })];
  assert.equal(decoded.object, 'list');
  assert.ok(decoded.usage.prompt_tokens > 0);
  const [left, right] = [decoded.data[0].embedding, floats.data[0].embedding];
  assert.equal(left.length, right.length);
  left.forEach((value, at) => assert.ok(Math.abs(value - right[at]) < 1e-6));
  assert.ok(Math.abs(Math.hypot(...left) - 1) < 1e-4);
});

test('a batch keeps its order', async () => {
  const input = ['one', 'two', 'one'];
  const { data } = await create({ input });
  assert.deepEqual(data.map((item) => item.index), [0, 1, 2]);
  assert.deepEqual(data[0].embedding, data[2].embedding);
  assert.notDeepEqual(data[0].embedding, data[1].embedding);
});

test('a missing input is named', async () => {
  await assert.rejects(create({}), (error) => error instanceof OpenAI.BadRequestError && error.param === 'input');
});
