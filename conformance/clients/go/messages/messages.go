// Package messages has what every client says and expects to hear back, as node/exchange.js has it.
package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// A Message is text or not.
type Message struct {
	IsText bool
	Bytes  []byte
}

// Socket is a client's.
type Socket interface {
	Send(Message) error
	// SendInFragments sends in several frames.
	SendInFragments(Message) error
	Receive() (Message, error)
	// Close says 1000 and waits for the answer.
	Close() error
}

var sizes = []int{0, 1, 125, 126, 127, 1_000, 65_535, 65_536, 300_000}

const pattern = `{"event":"position","payload":{"x":1,"y":2}},`

func noise(size int) []byte {
	state, out := uint32(1), make([]byte, size)
	for at := range out {
		state = (state*1103515245 + 12345) & 0x7fffffff
		out[at] = byte(state >> 16)
	}
	return out
}

func all() []Message {
	var said []Message
	for _, size := range sizes {
		text := strings.Repeat(pattern, size/len(pattern)+1)[:size]
		said = append(said, Message{true, []byte(text)})
	}
	for _, size := range sizes {
		said = append(said, Message{false, noise(size)})
	}
	said = append(said, Message{true, []byte(strings.Repeat("aé€😀", 3_000))})
	return append(said, Message{false, make([]byte, 1_000_000)})
}

// Thirds of a message's bytes.
func (m Message) Thirds() [3][]byte {
	third := (len(m.Bytes) + 2) / 3
	second := min(2*third, len(m.Bytes))
	return [3][]byte{m.Bytes[:third], m.Bytes[third:second], m.Bytes[second:]}
}

// Run has the conversation, prints how it went and ends the process.
func Run(module string, socket Socket) {
	count, err := exchange(socket)
	if err == nil {
		err = socket.Close()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "after %d messages: %v\n", count, err)
		os.Exit(1)
	}
	result := map[string]any{"version": version(module), "count": count}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func exchange(socket Socket) (count int, err error) {
	expectBack := func(said Message) error {
		heard, err := socket.Receive()
		if err != nil {
			return err
		}
		if heard.IsText != said.IsText || !bytes.Equal(heard.Bytes, said.Bytes) {
			return fmt.Errorf("message %d came back as another", count)
		}
		count++
		return nil
	}
	for _, send := range []func(Message) error{socket.Send, socket.SendInFragments} {
		for _, said := range all() {
			if err := send(said); err != nil {
				return count, err
			}
			if err := expectBack(said); err != nil {
				return count, err
			}
		}
	}
	go func() {
		for _, said := range all() {
			if socket.Send(said) != nil {
				return
			}
		}
	}()
	for _, said := range all() {
		if err := expectBack(said); err != nil {
			return count, err
		}
	}
	return count, nil
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(module, "github.com/") + " " + strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return module
}
