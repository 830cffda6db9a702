// Streams that are left, late, many at once, or broken: by providers that play scripts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { collect, counter, reaches, scripted, user } from './support.mjs';

const ENDLESS = { tokens: 100_000, itl_ms: 20 };
const SILENT = { head_ms: 600_000 };
const ask = (script, options) => ({
  model: 'scripted',
  messages: user('hi'),
  script,
  ...options,
});

test('64 at once, each whole and its own', async () => {
  const client = scripted();
  const one = async (number) => {
    const text = `This is the answer of stream ${number} .`;
    const script = { text, itl_ms: 5 };
    const stream = await client.chat.completions.create(ask(script, { stream: true }));
    const { chunks, text: got } = await collect(stream);
    assert.equal(got, text);
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
    return chunks[0].id;
  };
  const ids = await Promise.all(Array.from({ length: 64 }, (_, number) => one(number)));
  assert.equal(new Set(ids).size, 64);
});

test('an abort in mid-stream stops the provider', async () => {
  const before = await counter('jobs_cancelled_total');
  const request = ask(ENDLESS, { stream: true });
  const stream = await scripted().chat.completions.create(request);
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) stream.controller.abort();
  }
  await reaches('jobs_cancelled_total', before + 1);
});

test('leaving the loop stops the provider', async () => {
  const before = await counter('jobs_cancelled_total');
  const stream = await scripted().chat.completions.create(ask(ENDLESS, { stream: true }));
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  await reaches('jobs_cancelled_total', before + 1);
});

test('an abort while a whole answer is awaited stops the provider', async () => {
  const [started, cancelled] = [await counter('jobs_started_total'), await counter('jobs_cancelled_total')];
  const abort = new AbortController();
  const pending = scripted().chat.completions.create(ask(ENDLESS), { signal: abort.signal });
  const left = assert.rejects(pending, OpenAI.APIUserAbortError);
  await reaches('jobs_started_total', started + 1);
  abort.abort();
  await left;
  await reaches('jobs_cancelled_total', cancelled + 1);
});

test('a time-out is typed, and stops the provider', async () => {
  const before = await counter('jobs_cancelled_total');
  const client = scripted({ timeout: 500 });
  for (const stream of [false, true]) {
    const late = client.chat.completions.create(ask(SILENT, { stream }));
    await assert.rejects(late, OpenAI.APIConnectionTimeoutError);
  }
  await reaches('jobs_cancelled_total', before + 2);
});

test('the gateway keeps the time a request gives it', async () => {
  const headers = { 'x-quorate-timeout-ms': '300' };
  const late = scripted().chat.completions.create(ask(SILENT), { headers });
  await assert.rejects(late, (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.deepEqual([error.status, error.code], [504, 'timeout']);
    return true;
  });
});

test('an error in mid-stream is an error, not an end', async () => {
  for (const script of [{ error_after: 3 }, { cut_after: 3 }, { no_finish: true, tokens: 3 }]) {
    const stream = await scripted().chat.completions.create(ask(script, { stream: true }));
    const chunks = [];
    const read = async () => {
      for await (const chunk of stream) chunks.push(chunk);
    };
    await assert.rejects(read(), OpenAI.APIError);
    assert.ok(chunks.length > 0, JSON.stringify(script));
    assert.ok(chunks.every((chunk) => !chunk.choices[0]?.finish_reason));
  }
});

test('reasoning comes beside the content', async () => {
  const script = { reasoning: 'Let me think.', text: 'Yes.' };
  const stream = await scripted().chat.completions.create(ask(script, { stream: true }));
  const { chunks, text } = await collect(stream);
  assert.equal(text, 'Yes.');
  const of = (name) => chunks.map((chunk) => chunk.choices[0]?.delta[name] ?? '').join('');
  assert.equal(of('reasoning_content'), 'Let me think.');
  assert.equal(of('reasoning'), 'Let me think.');
});

for (const [what, script] of Object.entries({
  'CR LF': { crlf: true },
  'comments between events': { comment_every: 1 },
  'event, id and retry lines': { event_lines: true },
  'no blanks': { tight: true },
  'three bytes a write': { write_bytes: 3 },
  'no ids': { id_missing: true },
  'no role': { role_chunk: false },
  'usage on every chunk': { usage_mode: 'all' },
  'a foreign finish reason': { finish_reason: 'eos_token' },
})) {
  test(`a provider's quirk is nothing to the SDK: ${what}`, async () => {
    const request = ask({ text: 'Zwölf Boxkämpfer', ...script }, { stream: true });
    const { chunks, text } = await collect(await scripted().chat.completions.create(request));
    assert.equal(text, 'Zwölf Boxkämpfer');
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  });
}
