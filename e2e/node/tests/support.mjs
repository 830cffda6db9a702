// The markets under test, by the environment that e2e/market.py sets, and clients for them.
import OpenAI from 'openai';

const base = {
  scripted: [process.env.QUORATE_BASE_URL, process.env.QUORATE_API_KEY],
  bundled: [process.env.QUORATE_BUNDLED_BASE_URL, process.env.QUORATE_BUNDLED_API_KEY],
};

// The SDK as anyone makes it, without retries, so that an error is seen as it is.
const client = (market, options) => {
  const [baseURL, apiKey] = base[market];
  return new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 120_000, ...options });
};

// In front of the bundled model.
export const bundled = (options) => client('bundled', options);

// In front of two providers that play what a request's `script` says.
export const scripted = (options) => client('scripted', options);

export const user = (content) => [{ role: 'user', content }];

// Asks the bundled model one question greedily.
export const ask = (question, options) =>
  bundled().chat.completions.create({
    model: 'pip',
    messages: user(question),
    temperature: 0,
    ...options,
  });

// What a streamed request comes to: its chunks, and the text of choice 0.
export const collect = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  return { chunks, text };
};

// A counter of the scripted providers, all of them together.
export const counter = async (name) => {
  const providers = process.env.QUORATE_PROVIDERS.split(' ');
  const scrapes = await Promise.all(
    providers.map(async (url) => (await fetch(`${url}/metrics`)).text()),
  );
  const line = new RegExp(`^quorate_provider_${name} (\\d+)$`, 'm');
  return scrapes.reduce((sum, scrape) => sum + Number(scrape.match(line)[1]), 0);
};

// Waits until a counter of the providers has grown to `wanted`; the test's own limit ends it otherwise.
export const reaches = async (name, wanted) => {
  while ((await counter(name)) < wanted) await new Promise(setImmediate);
};
