// The Node SDKs, every way in which they read an answer, as plain data.
//
// Reads one request per line of standard input, {"reading", "base", "scenario"}, and answers each with one line,
// {"ok": …} or {"error": …}. What is read through the firewall and directly is then compared in Python.

import { createInterface } from 'node:readline';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { z } from 'zod';

// Its advice on models that do not exist is not wanted here.
globalThis.AI_SDK_LOG_WARNINGS = false;

const KEY = 'dummy-client-key';
const TASK = 'List the files, please.';
const command = { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] };
const city = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } };
const SCHEMAS = { Bash: command, get_weather: city, list_files: { type: 'object', properties: {} } };

// --- The official SDKs

const options = { apiKey: KEY, maxRetries: 0, timeout: 30_000 };

const anthropicRequest = (scenario) => ({
  model: `scripted:${scenario}`,
  max_tokens: 1024,
  messages: [{ role: 'user', content: TASK }],
  tools: Object.entries(SCHEMAS).map(([name, input_schema]) => ({ name, description: name, input_schema })),
});

const chatRequest = (scenario) => ({
  model: `scripted:${scenario}`,
  messages: [{ role: 'user', content: TASK }],
  tools: Object.entries(SCHEMAS).map(([name, parameters]) => ({
    type: 'function',
    function: { name, description: name, parameters },
  })),
});

// The Responses API is told as a play: its name stands in the task.
const responsesRequest = (play) => ({
  model: 'gpt-scripted',
  input: `${TASK} (play: ${play})`,
  tools: [{ type: 'function', name: 'Bash', description: 'Bash', parameters: command, strict: false }],
});

async function gather(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const official = {
  anthropic_whole: (base, scenario) =>
    new Anthropic({ ...options, baseURL: base }).messages.create(anthropicRequest(scenario)),
  anthropic_helper: async (base, scenario) => {
    const stream = new Anthropic({ ...options, baseURL: base }).messages.stream(anthropicRequest(scenario));
    const kinds = (await gather(stream)).map((event) => event.type);
    return { message: await stream.finalMessage(), kinds };
  },
  openai_whole: (base, scenario) =>
    new OpenAI({ ...options, baseURL: base }).chat.completions.create(chatRequest(scenario)),
  openai_helper: async (base, scenario) => {
    const stream = new OpenAI({ ...options, baseURL: base }).chat.completions.stream(chatRequest(scenario));
    await gather(stream);
    return stream.finalChatCompletion();
  },
  responses_whole: (base, play) =>
    new OpenAI({ ...options, baseURL: base }).responses.create(responsesRequest(play)),
  responses_helper: async (base, play) => {
    const stream = new OpenAI({ ...options, baseURL: base }).responses.stream(responsesRequest(play));
    const kinds = (await gather(stream)).map((event) => event.type);
    return { response: await stream.finalResponse(), kinds };
  },
};

// --- The Vercel AI SDK

const models = {
  ai_anthropic: (base, id) => createAnthropic({ baseURL: `${base}/v1`, apiKey: KEY })(id),
  ai_chat: (base, id) => createOpenAI({ baseURL: base, apiKey: KEY }).chat(id),
  ai_compatible: (base, id) =>
    createOpenAICompatible({ name: 'doorward', baseURL: base, apiKey: KEY, includeUsage: true })(id),
  ai_responses: (base, id) => createOpenAI({ baseURL: base, apiKey: KEY }).responses(id),
};

const inputs = {
  Bash: z.looseObject({ command: z.string() }),
  get_weather: z.object({ city: z.string(), days: z.number() }),
  list_files: z.object({}),
};

const declared = Object.fromEntries(
  Object.entries(inputs).map(([name, inputSchema]) => [name, tool({ description: name, inputSchema })]),
);

const call = ({ toolCallId, toolName, input }) => ({ toolCallId, toolName, input });

function reading(name, scenario, base) {
  return { model: models[name](base, `scripted:${scenario}`), tools: declared, prompt: TASK, maxRetries: 0 };
}

const whole = (name) => async (base, scenario) => {
  const { text, toolCalls, finishReason, usage } = await generateText(reading(name, scenario, base));
  return { text, toolCalls: toolCalls.map(call), finishReason, usage };
};

const streamed = (name) => async (base, scenario) => {
  let failure;
  const result = streamText({ ...reading(name, scenario, base), onError: ({ error }) => (failure = error) });
  const kinds = (await gather(result.fullStream)).map((part) => part.type);
  if (failure) throw failure;
  const [text, toolCalls, finishReason] = await Promise.all([result.text, result.toolCalls, result.finishReason]);
  return { text, toolCalls: toolCalls.map(call), finishReason, kinds };
};

// A whole conversation: the SDK's own loop runs the tool, which only writes down what it was asked for.
const loop = (name, run, providerOptions) => async (base, play) => {
  const commands = [];
  const bash = tool({
    description: 'Runs a command.',
    inputSchema: inputs.Bash,
    execute: ({ command }) => (commands.push(command), '(no output)'),
  });
  const result = await run({
    model: models[name](base, 'scripted-play'),
    tools: { bash },
    prompt: `${TASK} (play: ${play})`,
    stopWhen: stepCountIs(6),
    maxRetries: 0,
    providerOptions,
  });
  return { text: await result.text, commands, steps: (await result.steps).length };
};

async function drained(settings) {
  let failure;
  const result = streamText({ ...settings, onError: ({ error }) => (failure = error) });
  await result.consumeStream();
  if (failure) throw failure;
  return result;
}

const readings = { ...official };
for (const name of Object.keys(models)) {
  readings[`${name}_whole`] = whole(name);
  readings[`${name}_streamed`] = streamed(name);
  readings[`${name}_loop_whole`] = loop(name, generateText);
  readings[`${name}_loop_streamed`] = loop(name, drained);
}
// Unless the provider is told to store nothing, the SDK sends it references to what it has stored.
const unstored = { openai: { store: false } };
readings.ai_unstored_loop_whole = loop('ai_responses', generateText, unstored);
readings.ai_unstored_loop_streamed = loop('ai_responses', drained, unstored);

for await (const line of createInterface({ input: process.stdin })) {
  const { reading: name, base, scenario } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await readings[name](base, scenario) };
  } catch (error) {
    answer = { error: `${error?.name}: ${error?.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
