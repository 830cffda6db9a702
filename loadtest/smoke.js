// Whole and streamed chat requests through a gateway in front of scripted providers.
//
// Fails (exit code 99) when a threshold is crossed. Thresholds are about correctness, and about
// latency only far above what a quiet machine shows: a smoke test is no benchmark.
import http from 'k6/http';
import { check } from 'k6';
import { Counter } from 'k6/metrics';

const base = __ENV.BASE_URL;
const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${__ENV.API_KEY}` };
const tokens = 16;
const cut = new Counter('streams_cut');

const load = { executor: 'constant-vus', duration: __ENV.DURATION || '10s' };
export const options = {
  scenarios: {
    whole: { ...load, exec: 'whole', vus: 8 },
    streamed: { ...load, exec: 'streamed', vus: 8 },
    refused: { ...load, exec: 'refused', vus: 1 },
  },
  thresholds: {
    checks: ['rate==1'],
    streams_cut: ['count==0'],
    'http_req_failed{kind:whole}': ['rate==0'],
    'http_req_failed{kind:streamed}': ['rate==0'],
    'http_req_duration{kind:whole}': ['p(95)<1000'],
    'http_req_duration{kind:streamed}': ['p(95)<1000'],
    'iterations{scenario:whole}': ['count>100'],
    'iterations{scenario:streamed}': ['count>100'],
  },
};

function post(body, kind, extra = {}) {
  return http.post(`${base}/chat/completions`, JSON.stringify(body), {
    headers: { ...headers, ...extra },
    tags: { kind },
  });
}

function question(extra) {
  const messages = [{ role: 'user', content: `Say something (${__VU}-${__ITER}).` }];
  return { model: 'scripted', messages, max_tokens: tokens, ...extra };
}

export function whole() {
  const answer = post(question({}), 'whole');
  check(answer, {
    'whole: 200': (r) => r.status === 200,
    'whole: has content': (r) => r.json('choices.0.message.content').length > 0,
    'whole: finished': (r) => ['stop', 'length'].includes(r.json('choices.0.finish_reason')),
    'whole: usage counts the tokens': (r) => r.json('usage.completion_tokens') === tokens,
    'whole: has a request id': (r) => Boolean(r.headers['X-Request-Id']),
  });
}

export function streamed() {
  const answer = post(question({ stream: true, stream_options: { include_usage: true } }), 'streamed');
  const data = String(answer.body).split('\n').filter((line) => line.startsWith('data: '));
  const done = data[data.length - 1] === 'data: [DONE]';
  if (!done) cut.add(1);
  const chunks = data.slice(0, -1).map((line) => JSON.parse(line.slice(6)));
  check(answer, {
    'streamed: 200': (r) => r.status === 200,
    'streamed: is an event stream': (r) => r.headers['Content-Type'].startsWith('text/event-stream'),
    'streamed: ends with [DONE], once': () => done && data.filter((l) => l === 'data: [DONE]').length === 1,
    'streamed: one id': () => new Set(chunks.map((chunk) => chunk.id)).size === 1,
    'streamed: usage in the last chunk': () =>
      chunks[chunks.length - 1].usage.completion_tokens === tokens,
  });
}

export function refused() {
  const expected = { responseCallback: http.expectedStatuses(400, 401, 404) };
  const send = (body, extra) =>
    http.post(`${base}/chat/completions`, body, { headers: { ...headers, ...extra }, ...expected });
  check(send('{', {}), { 'refused: 400 for half a body': (r) => r.status === 400 });
  check(send(JSON.stringify(question({ model: 'none' })), {}), {
    'refused: 404 for an unknown model': (r) => r.status === 404 && r.json('error.code') === 'model_not_found',
  });
  check(send(JSON.stringify(question({})), { Authorization: 'Bearer wrong' }), {
    'refused: 401 for a wrong key': (r) => r.status === 401,
  });
}
