// Command coder talks as github.com/coder/websocket: `coder URL takeover` or `coder URL`.
package main

import (
	"context"
	"log"
	"os"

	"example.invalid/clients/messages"
	"github.com/coder/websocket"
)

type socket struct{ conn *websocket.Conn }

func kind(m messages.Message) websocket.MessageType {
	if m.IsText {
		return websocket.MessageText
	}
	return websocket.MessageBinary
}

func (s socket) Send(m messages.Message) error {
	return s.conn.Write(context.Background(), kind(m), m.Bytes)
}

func (s socket) SendInFragments(m messages.Message) error {
	writer, err := s.conn.Writer(context.Background(), kind(m))
	if err != nil {
		return err
	}
	for _, third := range m.Thirds() {
		if _, err := writer.Write(third); err != nil {
			return err
		}
	}
	return writer.Close()
}

func (s socket) Receive() (messages.Message, error) {
	kind, bytes, err := s.conn.Read(context.Background())
	return messages.Message{IsText: kind == websocket.MessageText, Bytes: bytes}, err
}

func (s socket) Close() error { return s.conn.Close(websocket.StatusNormalClosure, "") }

func main() {
	mode := websocket.CompressionNoContextTakeover
	if len(os.Args) > 2 && os.Args[2] == "takeover" {
		mode = websocket.CompressionContextTakeover
	}
	options := &websocket.DialOptions{CompressionMode: mode}
	conn, _, err := websocket.Dial(context.Background(), os.Args[1], options)
	if err != nil {
		log.Fatal(err)
	}
	conn.SetReadLimit(-1)
	messages.Run("github.com/coder/websocket", socket{conn})
}
