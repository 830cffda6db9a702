// The SDK's own error classes, where they are due, and no retry where none can help.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { scripted, user } from './support.mjs';

const BODY = { model: 'scripted', messages: user('hi') };
const failing = (status, rest) => ({ ...BODY, script: { status, ...rest } });

// How an ordinary client, retries and all, fails, and how many requests it made.
const fails = async (body, options) => {
  let requests = 0;
  const counted = (...call) => {
    requests += 1;
    return fetch(...call);
  };
  const client = scripted({ maxRetries: 2, fetch: counted, ...options });
  let error;
  await assert.rejects(client.chat.completions.create(body), (raised) => {
    error = raised;
    return true;
  });
  return { error, requests };
};

test('wrong key', async () => {
  const { error, requests } = await fails(BODY, { apiKey: 'qk_wrong' });
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, 'invalid_api_key');
  assert.ok(error.requestID);
  assert.ok(!error.message.includes('qk_wrong'));
  assert.equal(requests, 1);
});

test('unknown model', async () => {
  const { error } = await fails({ ...BODY, model: 'gpt-99' });
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
});

test('unknown path', async () => {
  await assert.rejects(scripted().post('/nonsense', { body: {} }), OpenAI.NotFoundError);
});

for (const [member, value] of Object.entries({
  messages: 'hi',
  temperature: 'warm',
  n: 0,
  stream: 'yes',
  top_logprobs: 3,
})) {
  test(`a bad request names its member: ${member}`, async () => {
    const { error, requests } = await fails({ ...BODY, [member]: value });
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, member);
    assert.equal(error.type, 'invalid_request_error');
    assert.equal(requests, 1);
  });
}

test('a bad request in a stream is an HTTP error', async () => {
  const { error } = await fails({ ...BODY, messages: [], stream: true });
  assert.ok(error instanceof OpenAI.BadRequestError);
});

test("a provider's failure is tried elsewhere here, and not again by the client", async () => {
  for (const status of [500, 503]) {
    const { error, requests } = await fails(failing(status));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code, requests], [502, 'provider_error', 1]);
  }
});

test("a provider's refusal of our key is never the client's", async () => {
  const { error } = await fails(failing(401, { body: '{"error":{"message":"bad key sk-1"}}' }));
  assert.ok(error instanceof OpenAI.InternalServerError);
  assert.ok(!error.message.includes('sk-1'));
});

test('a rate limit may be tried again', async () => {
  const { error, requests } = await fails(failing(429, { retry_after: '1' }), { maxRetries: 1 });
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.equal(error.code, 'provider_rate_limited');
  assert.equal(requests, 2);
});

test("a provider's own refusal of the request passes", async () => {
  const body = JSON.stringify({ detail: [{ loc: ['body', 'top_k'], msg: 'must be positive' }] });
  const { error, requests } = await fails(failing(422, { body }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.match(error.message, /top_k: must be positive/);
  assert.equal(requests, 1);
});

test('nobody there', async () => {
  const client = new OpenAI({ baseURL: 'http://127.0.0.1:9/v1', apiKey: 'x', maxRetries: 0 });
  await assert.rejects(client.models.list(), OpenAI.APIConnectionError);
});
