// The plain Go proxy: gorilla/websocket, encoding/json, an index from topic to clients, and for each client a queue and
// a goroutine that writes all that the queue holds as one message.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// key is what routes an event; all else in it stays as it came.
type key struct {
	Type   string `json:"ev"`
	Symbol string `json:"sym"`
	Ticker string `json:"T"`
	// encoding/json ignores case when nothing matches exactly: without this, "t" would end up in Ticker.
	Time json.RawMessage `json:"t"`
}

type request struct {
	Action string `json:"action"`
	Params string `json:"params"`
}

type status struct {
	Type    string `json:"ev"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

type client struct {
	connection *websocket.Conn
	topics     map[string]struct{} // guarded by the index's lock

	mutex    sync.Mutex
	pending  []byte   // events that wait to be sent, with commas between them
	statuses [][]byte // whole messages that go before them
	closed   bool
	wake     chan struct{}

	lastEvent uint64 // the last event it was given, so that two topics bring it once
}

type index struct {
	sync.RWMutex
	clients map[string]map[*client]struct{}
}

var subscribers = index{clients: map[string]map[*client]struct{}{}}

func (c *client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *client) sendStatus(kind string, messages ...string) {
	statuses := make([]status, len(messages))
	for i, message := range messages {
		statuses[i] = status{"status", kind, message}
	}
	message, _ := json.Marshal(statuses)
	c.mutex.Lock()
	c.statuses = append(c.statuses, message)
	c.mutex.Unlock()
	c.signal()
}

func (c *client) queue(event []byte) {
	c.mutex.Lock()
	if len(c.pending) == 0 {
		c.pending = append(c.pending, '[')
	} else {
		c.pending = append(c.pending, ',')
	}
	c.pending = append(c.pending, event...)
	c.mutex.Unlock()
}

func (c *client) write() {
	defer c.connection.Close()
	var events []byte
	for range c.wake {
		c.mutex.Lock()
		statuses := c.statuses
		c.statuses = nil
		events, c.pending = c.pending, events[:0]
		closed := c.closed
		c.mutex.Unlock()
		if closed {
			return
		}
		for _, message := range statuses {
			if c.connection.WriteMessage(websocket.TextMessage, message) != nil {
				return
			}
		}
		if len(events) > 0 {
			events = append(events, ']')
			if c.connection.WriteMessage(websocket.TextMessage, events) != nil {
				return
			}
		}
	}
}

func prefixed(prefix string, topics []string) []string {
	messages := make([]string, len(topics))
	for i, topic := range topics {
		messages[i] = prefix + topic
	}
	return messages
}

func (c *client) read() {
	defer func() {
		subscribers.Lock()
		for topic := range c.topics {
			delete(subscribers.clients[topic], c)
		}
		subscribers.Unlock()
		c.mutex.Lock()
		c.closed = true
		c.mutex.Unlock()
		c.signal()
	}()
	for {
		_, message, err := c.connection.ReadMessage()
		if err != nil {
			return
		}
		var asked request
		if json.Unmarshal(message, &asked) != nil {
			continue
		}
		topics := strings.Split(asked.Params, ",")
		switch asked.Action {
		case "auth":
			c.sendStatus("auth_success", "authenticated")
		case "subscribe":
			subscribers.Lock()
			for _, topic := range topics {
				c.topics[topic] = struct{}{}
				if subscribers.clients[topic] == nil {
					subscribers.clients[topic] = map[*client]struct{}{}
				}
				subscribers.clients[topic][c] = struct{}{}
			}
			subscribers.Unlock()
			c.sendStatus("success", prefixed("subscribed to: ", topics)...)
		case "unsubscribe":
			subscribers.Lock()
			for _, topic := range topics {
				delete(c.topics, topic)
				delete(subscribers.clients[topic], c)
			}
			subscribers.Unlock()
			c.sendStatus("success", prefixed("unsubscribed to: ", topics)...)
		}
	}
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func serve(response http.ResponseWriter, incoming *http.Request) {
	connection, err := upgrader.Upgrade(response, incoming, nil)
	if err != nil {
		return
	}
	c := &client{connection: connection, topics: map[string]struct{}{}, wake: make(chan struct{}, 1)}
	if incoming.URL.Path != "/" {
		c.sendStatus("connected", "Connected Successfully")
	}
	go c.write()
	c.read()
}

// forward queues a frame's events for their clients and then wakes the clients that got any.
func forward(frame []byte, number uint64) uint64 {
	var events []json.RawMessage
	if json.Unmarshal(frame, &events) != nil {
		return number
	}
	touched := map[*client]struct{}{}
	subscribers.RLock()
	defer subscribers.RUnlock()
	for _, event := range events {
		var k key
		if json.Unmarshal(event, &k) != nil || k.Type == "status" {
			continue
		}
		symbol := k.Symbol
		if symbol == "" {
			symbol = k.Ticker
		}
		number++
		for _, topic := range [...]string{k.Type + "." + symbol, k.Type + ".*", "*"} {
			for c := range subscribers.clients[topic] {
				if c.lastEvent == number {
					continue
				}
				c.lastEvent = number
				c.queue(event)
				touched[c] = struct{}{}
			}
		}
	}
	for c := range touched {
		c.signal()
	}
	return number
}

func main() {
	port := flag.Int("port", 0, "to listen on")
	upstream := flag.String("upstream", "", "URL of the firehose")
	flag.Parse()

	http.HandleFunc("/", serve)
	go func() { log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), nil)) }()

	firehose, _, err := websocket.DefaultDialer.Dial(*upstream, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range []request{{"auth", "benchmark"}, {"subscribe", "T.*,Q.*,LULD.*"}} {
		if err := firehose.WriteJSON(message); err != nil {
			log.Fatal(err)
		}
	}
	var number uint64
	for {
		_, frame, err := firehose.ReadMessage()
		if err != nil {
			log.Fatal(err)
		}
		number = forward(frame, number)
	}
}
