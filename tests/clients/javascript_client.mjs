// A program with the vendor's JavaScript client, which leaves connecting again to the program, as its users write it.
// Usage: node javascript_client.mjs URL TOPIC [MARKET]. Prints a line of JSON for every event and every end of a connection.
import { websocketClient } from "@massive.com/client-js";

const [url, topic, market = "stocks"] = process.argv.slice(2);
const [name, exchange] = market.split("/"); // futures/cme

function run() {
  const socket = websocketClient("any", url)[name](exchange);
  socket.onmessage = ({ data }) => {
    for (const event of JSON.parse(data)) {
      console.log(JSON.stringify(event));
      if (event.status === "auth_success") socket.send(JSON.stringify({ action: "subscribe", params: topic }));
    }
  };
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => {
    console.log(JSON.stringify({ ev: "closed", code, reason }));
    if (code !== 1000) setTimeout(run, 10);
  };
}

run();
