// Command gorilla talks as github.com/gorilla/websocket, with compression on.
package main

import (
	"errors"
	"log"
	"os"
	"time"

	"example.invalid/clients/messages"
	"github.com/gorilla/websocket"
)

type socket struct{ conn *websocket.Conn }

func kind(m messages.Message) int {
	if m.IsText {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

func (s socket) Send(m messages.Message) error { return s.conn.WriteMessage(kind(m), m.Bytes) }

func (s socket) SendInFragments(m messages.Message) error {
	// A frame for each time that its buffer is full.
	writer, err := s.conn.NextWriter(kind(m))
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
	kind, bytes, err := s.conn.ReadMessage()
	return messages.Message{IsText: kind == websocket.TextMessage, Bytes: bytes}, err
}

func (s socket) Close() error {
	frame := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := s.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, _, err := s.conn.ReadMessage()
	if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return nil
	}
	return errors.Join(errors.New("no close frame with 1000"), err)
}

func main() {
	dialer := websocket.Dialer{EnableCompression: true, WriteBufferSize: 512}
	conn, _, err := dialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	messages.Run("github.com/gorilla/websocket", socket{conn})
}
