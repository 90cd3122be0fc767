// The plain Node proxy: ws, JSON.parse and a Map from topic to clients.
"use strict";

const http = require("node:http");
const { parseArgs } = require("node:util");
const { WebSocket, WebSocketServer } = require("ws");

const { values: options } = parseArgs({ options: { port: { type: "string" }, upstream: { type: "string" } } });
const subscribers = new Map();

function status(status, ...messages) {
  return JSON.stringify(messages.map((message) => ({ ev: "status", status, message })));
}

function subscribe(client, topic) {
  client.topics.add(topic);
  let clients = subscribers.get(topic);
  if (!clients) subscribers.set(topic, (clients = new Set()));
  clients.add(client);
}

function unsubscribe(client, topic) {
  client.topics.delete(topic);
  const clients = subscribers.get(topic);
  if (clients && clients.delete(client) && clients.size === 0) subscribers.delete(topic);
}

function serveClient(client, request) {
  client.topics = new Set();
  client.pending = [];
  if (request.url !== "/") client.send(status("connected", "Connected Successfully"));
  client.on("message", (data) => {
    const { action, params } = JSON.parse(data);
    const topics = params.split(",");
    if (action === "auth") {
      client.send(status("auth_success", "authenticated"));
    } else if (action === "subscribe") {
      for (const topic of topics) subscribe(client, topic);
      client.send(status("success", ...topics.map((topic) => `subscribed to: ${topic}`)));
    } else if (action === "unsubscribe") {
      for (const topic of topics) unsubscribe(client, topic);
      client.send(status("success", ...topics.map((topic) => `unsubscribed to: ${topic}`)));
    }
  });
  client.on("close", () => {
    for (const topic of client.topics) unsubscribe(client, topic);
  });
  client.on("error", () => client.terminate());
}

// Sends each client its events of one upstream frame, as one message.
function forward(data) {
  const touched = [];
  let number = 0;
  for (const event of JSON.parse(data)) {
    const type = event.ev;
    if (type === "status") continue;
    const symbol = event.sym ?? event.T;
    let text;
    number += 1;
    for (const topic of [`${type}.${symbol}`, `${type}.*`, "*"]) {
      const clients = subscribers.get(topic);
      if (!clients) continue;
      text ??= JSON.stringify(event);
      for (const client of clients) {
        if (client.lastEvent === number && client.pending.length > 0) continue; // another topic brought it already
        client.lastEvent = number;
        if (client.pending.length === 0) touched.push(client);
        client.pending.push(text);
      }
    }
  }
  for (const client of touched) {
    client.send(`[${client.pending.join(",")}]`);
    client.pending = [];
  }
}

const server = http.createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", serveClient);
server.listen(Number(options.port), "127.0.0.1", () => {
  const firehose = new WebSocket(options.upstream, { perMessageDeflate: false, maxPayload: 0 });
  firehose.on("open", () => {
    firehose.send(JSON.stringify({ action: "auth", params: "benchmark" }));
    firehose.send(JSON.stringify({ action: "subscribe", params: "T.*,Q.*,LULD.*" }));
  });
  firehose.on("message", forward);
  firehose.on("close", () => process.exit(1));
});
