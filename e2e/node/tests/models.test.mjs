// What can be asked for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { scripted } from './support.mjs';

test('the list can be iterated', async () => {
  const ids = [];
  for await (const model of scripted().models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['scripted', 'org/scripted']);
});

test('a model whose id has a slash', async () => {
  const model = await scripted().models.retrieve('org/scripted');
  assert.deepEqual([model.id, model.object], ['org/scripted', 'model']);
});

test('no such model', async () => {
  await assert.rejects(scripted().models.retrieve('org/none'), OpenAI.NotFoundError);
});
