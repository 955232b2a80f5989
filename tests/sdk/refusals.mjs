// Calls of every Node SDK that a spent budget refuses: what each raises, with its default settings. One JSON line each.
// The team `poor` has a budget of next to nothing; how often an SDK tried is counted by the gateway, in records.

import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { generateText } from "ai";
import OpenAI from "openai";

const gateway = process.argv[2];
const question = "What is left?";
const messages = [{ role: "user", content: question }];

const headers = (call) => ({
  "x-tollgate-agent": call,
  "x-tollgate-team": "poor",
  "x-tollgate-run": call,
});

async function refused(call, send) {
  try {
    await send(headers(call));
    console.log(JSON.stringify({ call, status: 200, class: null, text: "" }));
  } catch (error) {
    const status = error.status ?? error.statusCode ?? null;
    const text = `${error.message} ${error.responseBody ?? ""}`;
    console.log(JSON.stringify({ call, status, class: error.name, constructor: error.constructor.name, text }));
  }
}

await refused("node-openai", (defaultHeaders) =>
  new OpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: "k", defaultHeaders }).chat.completions.create({
    model: "gpt-5-mini",
    messages,
    max_completion_tokens: 50,
  }),
);
await refused("node-anthropic", (defaultHeaders) =>
  new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: "k", defaultHeaders }).messages.create({
    model: "claude-haiku-4-5",
    max_tokens: 50,
    messages,
  }),
);
await refused("node-ai", (extra) =>
  generateText({
    model: createOpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: "k", headers: extra }).chat("gpt-5-mini"),
    prompt: question,
    maxOutputTokens: 50,
  }),
);
await refused("node-genai", (extra) =>
  new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: `${gateway}/gemini`, headers: extra } }).models.generateContent({
    model: "gemini-2.5-flash",
    contents: question,
  }),
);
