// A Go program on the library that the vendor's Go client is built on. It does what that client does where fproxy can
// notice: auth and subscriptions in one burst, no message over 1,000,000 bytes, pings whose pongs are due, and a new
// connection upon every end but 1000. Usage: go_client URL TOPIC. Prints a line of JSON for every event and every end.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

const (
	pongWait   = 10 * time.Second
	pingPeriod = 9 * time.Second
	readLimit  = 1000000
)

// run holds one connection until it ends, and returns the code of its end.
func run(url, topic string) (int, error) {
	connection, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	connection.SetReadLimit(readLimit)
	due := func(string) error { return connection.SetReadDeadline(time.Now().Add(pongWait)) }
	connection.SetPongHandler(due)
	if err := due(""); err != nil {
		return 0, err
	}
	for _, request := range []map[string]string{
		{"action": "auth", "params": "any"}, {"action": "subscribe", "params": topic},
	} {
		if err := connection.WriteJSON(request); err != nil {
			return 0, err
		}
	}
	pings := time.NewTicker(pingPeriod)
	defer pings.Stop()
	go func() {
		for range pings.C {
			if connection.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) != nil {
				return
			}
		}
	}()
	for {
		_, message, err := connection.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			return closed.Code, nil
		} else if err != nil {
			return 0, err
		}
		var events []json.RawMessage
		if err := json.Unmarshal(message, &events); err != nil {
			return 0, err
		}
		for _, event := range events {
			fmt.Println(string(event))
		}
	}
}

func main() {
	for {
		code, err := run(os.Args[1], os.Args[2])
		reason, _ := json.Marshal(fmt.Sprint(err))
		fmt.Printf("{\"ev\":\"closed\",\"code\":%d,\"reason\":%s}\n", code, reason)
		if code == websocket.CloseNormalClosure {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
