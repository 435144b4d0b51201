// Centrifuge with recovery in its channels, told what to do by the lines that src/server.rs obeys.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

type sent struct {
	Ticks    int      `json:"ticks"`
	Refused  [][2]int `json:"refused"`
	Sessions int      `json:"sessions"`
	Resumed  int      `json:"resumed"`
	Ended    []string `json:"ended"`
}

type numbers struct {
	came            []bool
	twice, disorder int
}

type told struct {
	Ranges   [][2]int `json:"ranges"`
	Twice    int      `json:"twice"`
	Disorder int      `json:"disorder"`
}

type book struct {
	sync.Mutex
	sent  sent
	heard map[string]*numbers
}

func main() {
	clients := flag.Int("clients", 0, "how many clients there are")
	rate := flag.Int("ticks-per-second", 20, "broadcasts per second")
	every := flag.Int("direct-every", 4, "a client gets a direct frame at one of so many ticks")
	flag.Parse()

	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: 10 << 20})
	if err != nil {
		log.Fatal(err)
	}
	// As long as the others' resume window, and more frames than come in it.
	history := centrifuge.WithHistory(8192, 3*time.Minute)
	book := &book{heard: map[string]*numbers{}}
	book.sent.Refused, book.sent.Ended = [][2]int{}, []string{}

	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(e centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
			cb(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: true}}, nil)
		})
		client.OnRPC(func(e centrifuge.RPCEvent, cb centrifuge.RPCCallback) {
			number, err := strconv.Atoi(string(e.Data))
			if err == nil {
				book.hear(client.UserID(), number)
			}
			cb(centrifuge.RPCReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/ws", auth(centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		// A silent client is given up after 15 s, as by the others.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: 10 * time.Second, PongTimeout: 5 * time.Second},
	})))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, mux)) }()
	fmt.Printf("LISTENING %d\n", listener.Addr().(*net.TCPAddr).Port)

	stop, stopped := context.WithCancel(context.Background())
	done := make(chan struct{})
	send := func() {
		defer close(done)
		ticker := time.NewTicker(time.Second / time.Duration(*rate))
		for tick := 0; ; tick++ {
			select {
			case <-stop.Done():
				return
			case <-ticker.C:
			}
			publish(node, "room", tick, 0, history)
			for client := 0; client < *clients; client++ {
				if (tick+client)%*every == 0 {
					publish(node, fmt.Sprintf("c%d", client), tick, 1, history)
				}
			}
			book.Lock()
			book.sent.Ticks = tick + 1
			book.Unlock()
		}
	}

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "start":
			go send()
		case "pause":
			stopped()
			<-done
			say(book.sent)
		case "heard":
			say(book.told())
		case "end":
			return
		}
	}
}

func publish(node *centrifuge.Node, channel string, tick, direct int, history centrifuge.PublishOption) {
	data := fmt.Sprintf("[%d,%d,%d]", tick, direct, time.Now().UnixMicro())
	if _, err := node.Publish(channel, []byte(data), history); err != nil {
		log.Print(err)
	}
}

func (b *book) hear(user string, number int) {
	b.Lock()
	defer b.Unlock()
	heard := b.heard[user]
	if heard == nil {
		heard = &numbers{}
		b.heard[user] = heard
	}
	if number < len(heard.came) {
		if heard.came[number] {
			heard.twice++
		} else {
			heard.disorder++
		}
	}
	for number >= len(heard.came) {
		heard.came = append(heard.came, false)
	}
	heard.came[number] = true
}

func (b *book) told() map[string]told {
	b.Lock()
	defer b.Unlock()
	all := map[string]told{}
	for user, heard := range b.heard {
		ranges := [][2]int{}
		for number, came := range heard.came {
			if !came {
				continue
			}
			if last := len(ranges) - 1; last >= 0 && ranges[last][1] == number {
				ranges[last][1]++
			} else {
				ranges = append(ranges, [2]int{number, number + 1})
			}
		}
		all[user] = told{ranges, heard.twice, heard.disorder}
	}
	return all
}

func say(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", line)
}

func auth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{
			UserID: r.URL.Query().Get("id")[1:],
		})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
