// Twice what the market can do, for a minute, then half of it: how much is still answered, how the rest
// is turned away, whether who comes back when it was told to is served, and how soon all is as before.
//
// Two scripted providers, 8 requests at once each, half a second a request: 32 answers a second. Their
// speed is that of timers, so that no busy machine is what is overloaded. Fails (exit code 99) when a
// threshold is crossed.
import http from 'k6/http';
import { sleep } from 'k6';
import exec from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';

const base = __ENV.BASE_URL;
const headers = {
  'Content-Type': 'application/json',
  Authorization: `Bearer ${__ENV.API_KEY}`,
  'x-quorate-timeout-ms': '20000',
};
const capacity = 32;
const [warm, overload, settle, after] = [20, 60, 30, 20];
// Seconds that a request takes at most: its turn in the line, its answer, and another try of the patient.
const longest = 12;
// Of so many that are turned away, one comes back when it was told to.
const patient = 8;

const good = new Counter('good');
// Answers that came while the overload was on, whenever they were asked for.
const goodput = new Counter('goodput');
const shed = new Counter('shed');
const wrong = new Counter('wrong');
const dishonest = new Counter('shed_without_retry_after');
const wait = new Trend('wait', true);
const told = new Trend('retry_after_s');
const served = new Counter('back_in_time_and_served');
const vain = new Counter('back_in_time_in_vain');

const arrivals = (name, rate, startTime, duration) => ({
  executor: 'constant-arrival-rate',
  exec: 'ask',
  rate,
  timeUnit: '1s',
  duration: `${duration}s`,
  startTime: `${startTime}s`,
  gracefulStop: `${3 * longest}s`,
  preAllocatedVUs: Math.ceil(rate * longest),
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
    goodput: [`count>=${0.8 * capacity * overload}`],
    'good{phase:after}': [`count>=${0.99 * (capacity / 2) * after}`],
    'shed{phase:after}': ['count==0'],
    // Twice what one takes alone.
    'wait{phase:after}': ['p(95)<1000'],
    wrong: ['count==0'],
    shed_without_retry_after: ['count==0'],
    back_in_time_in_vain: ['count==0'],
    back_in_time_and_served: ['count>0'],
    dropped_iterations: ['count==0'],
    // Shown, not judged.
    'good{phase:overload}': ['count>=0'],
    'shed{phase:overload}': ['count>=0'],
    'wait{phase:warm}': ['p(95)>=0'],
    'wait{phase:overload}': ['p(95)>=0'],
    'retry_after_s{phase:overload}': ['p(95)>=0'],
  },
};

const seconds = () => exec.instance.currentTestRunDuration / 1000;

// Whether it was answered; else when to come back.
function send() {
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
    if (seconds() >= warm && seconds() < warm + overload) goodput.add(1);
    return null;
  }
  if (answer.status === 429) {
    shed.add(1);
    const after = Number(answer.headers['Retry-After']);
    if (after >= 1 && after <= 60) told.add(after);
    else dishonest.add(1);
    return after;
  }
  wrong.add(1);
  console.error(`${__ENV.PHASE}: ${answer.status} ${String(answer.body).slice(0, 200)}`);
  return null;
}

export function ask() {
  const after = send();
  // While the overload goes on nobody can promise a place; who is told to come when it is over gets one.
  const isPatient = exec.scenario.iterationInTest % patient === 0;
  if (after === null || !isPatient || seconds() + after < warm + overload + 1) return;
  sleep(after);
  const again = send();
  if (again !== null) console.error(`back after ${after} s, and told ${again} s at ${seconds()} s`);
  (again === null ? served : vain).add(1);
}
