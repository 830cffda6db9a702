// Twice what the market can do, for a minute, then half of it: how much is still answered, how the rest
// is turned away, and how soon all is as before.
//
// Two scripted providers, 8 requests at once each, half a second a request: 32 answers a second. Fails
// (exit code 99) when a threshold is crossed.
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

const base = __ENV.BASE_URL;
const headers = {
  'Content-Type': 'application/json',
  Authorization: `Bearer ${__ENV.API_KEY}`,
  'x-quorate-timeout-ms': '20000',
};
const capacity = 32;
const [warm, overload, settle, after] = [20, 60, 30, 20];

const good = new Counter('good');
const shed = new Counter('shed');
const wrong = new Counter('wrong');
const dishonest = new Counter('shed_without_retry_after');
const wait = new Trend('wait', true);
const told = new Trend('retry_after_s');

const arrivals = (name, rate, startTime, duration) => ({
  executor: 'constant-arrival-rate',
  exec: 'ask',
  rate,
  timeUnit: '1s',
  duration: `${duration}s`,
  startTime: `${startTime}s`,
  gracefulStop: '25s',
  preAllocatedVUs: Math.ceil(rate * 2),
  maxVUs: 1500,
  tags: { phase: name },
  env: { PHASE: name },
});

export const options = {
  scenarios: {
    warm: arrivals('warm', capacity / 2, 0, warm),
    overload: arrivals('overload', capacity * 2, warm, overload),
    settle: arrivals('settle', capacity / 2, warm + overload, settle),
    after: arrivals('after', capacity / 2, warm + overload + settle, after),
  },
  thresholds: {
    'good{phase:overload}': [`count>=${0.8 * capacity * overload}`],
    'good{phase:after}': [`count>=${0.99 * (capacity / 2) * after}`],
    'shed{phase:after}': ['count==0'],
    // Twice what one takes alone.
    'wait{phase:after}': ['p(95)<1000'],
    wrong: ['count==0'],
    shed_without_retry_after: ['count==0'],
    // Shown, not judged.
    'shed{phase:overload}': ['count>=0'],
    'wait{phase:warm}': ['p(95)>=0'],
    'wait{phase:overload}': ['p(95)>=0'],
    'retry_after_s{phase:overload}': ['p(95)>=0'],
    dropped_iterations: ['count==0'],
  },
};

export function ask() {
  const body = {
    model: 'scripted',
    messages: [{ role: 'user', content: `Say something (${__VU}-${__ITER}).` }],
    max_tokens: 20,
    script: { ttft_ms: 100, tokens: 20, itl_ms: 20 },
  };
  const answer = http.post(`${base}/chat/completions`, JSON.stringify(body), {
    headers,
    timeout: '30s',
    responseCallback: http.expectedStatuses(200, 429),
  });
  if (answer.status === 200 && answer.json('usage.completion_tokens') === 20) {
    good.add(1);
    wait.add(answer.timings.duration);
  } else if (answer.status === 429) {
    shed.add(1);
    const seconds = Number(answer.headers['Retry-After']);
    if (seconds >= 1 && seconds <= 60) told.add(seconds);
    else dishonest.add(1);
  } else {
    wrong.add(1);
    console.error(`${__ENV.PHASE}: ${answer.status} ${String(answer.body).slice(0, 200)}`);
  }
}
