// Measures github.com/centrifugal/centrifuge: echo, room fan-out and counting over JSON.
//
// A WebSocket text message, either way, holds one or more JSON objects separated by newlines: the
// server puts what is queued for a connection, up to 16 objects, into one message. Commands of a
// client have ids from 1 up, and each is answered by one reply with the same id.
//
// All modes. The reply's "ping" is the seconds between the server's pings, "pong" that it wants
// them answered: each side sends just {}, and a client that does not answer within 10 s is cut off,
// as is one that answers without having been asked. The first ping comes after 12.5 to 25 s.
//
//	→ {"id":1,"connect":{}}
//	← {"id":1,"connect":{"client":"<uuid>","ping":25,"pong":true}}
//	← {}
//	→ {}
//
// echo and count. The pushed message is the echo, or the count for a payload that starts with ?.
//
//	→ {"id":2,"subscribe":{"channel":"<room>"}}
//	← {"id":2,"subscribe":{}}
//	→ {"id":3,"publish":{"channel":"<room>","data":"<payload>"}}
//	← {"push":{"message":{"data":"<payload>"}}}
//	← {"id":3,"publish":{}}
//
// room. A publication goes to all subscribers, the publisher included, who gets it before the
// reply. The stream's first publication has an "epoch" after its "offset".
//
//	→ {"id":2,"subscribe":{"channel":"<room>"}}
//	← {"id":2,"subscribe":{"recoverable":true,"epoch":"<epoch>","positioned":true}}
//	→ {"id":3,"publish":{"channel":"<room>","data":"<payload>"}}
//	← {"push":{"channel":"<room>","pub":{"data":"<payload>","offset":1}}}
//	← {"id":3,"publish":{}}
//
// The reply to subscribe has "offset":n after "epoch" where the stream is n > 0 publications long.
// A client that comes back connects and then subscribes from the last offset that it has seen (0
// may be left out). What it missed is in the reply, whose "offset" is the one asked for:
//
//	→ {"id":2,"subscribe":{"channel":"<room>","recover":true,"offset":5,"epoch":"<epoch>"}}
//	← {"id":2,"subscribe":{"recoverable":true,"epoch":"<epoch>","publications":[{"data":"<payload>","offset":6},…],"recovered":true,"offset":5,"positioned":true,"was_recovering":true}}
//
// "publications" is left out where nothing was missed, and "recovered" where more was missed than
// the history holds: then "offset" is the stream's newest.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	mode := flag.String("mode", "echo", "echo, room or count")
	port := flag.Int("port", 0, "port to listen on, 0 for a free one")
	redis := flag.String("broker", "", "the Redis that joins it with others, none for one alone")
	flag.Parse()

	// Without a LogHandler nothing is logged, without a Broker the one in memory is used.
	node, err := centrifuge.New(centrifuge.Config{
		// The default of 1 MiB cuts off a member that a burst of large messages gets ahead of.
		ClientQueueMaxSize: 10 << 20,
	})
	if err != nil {
		log.Fatal(err)
	}

	if *redis != "" {
		if err := join(node, *redis); err != nil {
			log.Fatal(err)
		}
	}

	switch *mode {
	case "echo":
		node.OnConnect(echo)
	case "room":
		node.OnConnect(room)
	case "count":
		node.OnConnect(count)
	default:
		log.Fatalf("no such mode: %s", *mode)
	}
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/ws", auth(centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		// 64 KiB, the default, has no space left for the command around so large a payload.
		MessageSizeLimit: 128 << 10,
		// As in the library's chat example: an idle connection then holds 1 KiB of buffers, not 8.
		ReadBufferSize:     1024,
		UseWriteBufferPool: true,
	})))

	// Go's backlog is the system's net.core.somaxconn.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("LISTENING %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, mux))
}

// join has publications go to all servers that have the same Redis.
func join(node *centrifuge.Node, address string) error {
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: address})
	if err != nil {
		return err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{
		Shards: []*centrifuge.RedisShard{shard},
	})
	if err != nil {
		return err
	}
	node.SetBroker(broker)
	return nil
}

func auth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{
			UserID: r.URL.Query().Get("id"),
		})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// handled tells the node that a message is dealt with: it publishes nothing.
var handled = centrifuge.PublishReply{Result: &centrifuge.PublishResult{}}

func echo(client *centrifuge.Client) {
	client.OnSubscribe(subscribe)
	client.OnPublish(func(e centrifuge.PublishEvent, cb centrifuge.PublishCallback) {
		cb(handled, client.Send(e.Data))
	})
}

func room(client *centrifuge.Client) {
	client.OnSubscribe(func(_ centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
		cb(centrifuge.SubscribeReply{
			Options: centrifuge.SubscribeOptions{EnableRecovery: true},
		}, nil)
	})
	// What a client that comes back within the window can have missed.
	reply := centrifuge.PublishReply{
		Options: centrifuge.PublishOptions{HistorySize: 256, HistoryTTL: 60 * time.Second},
	}
	client.OnPublish(func(_ centrifuge.PublishEvent, cb centrifuge.PublishCallback) {
		cb(reply, nil)
	})
}

func count(client *centrifuge.Client) {
	client.OnSubscribe(subscribe)
	// Needs no lock: the library handles one message of a connection after the other.
	n := 0
	client.OnPublish(func(e centrifuge.PublishEvent, cb centrifuge.PublishCallback) {
		if !bytes.HasPrefix(e.Data, []byte(`"?`)) {
			n++
			cb(handled, nil)
			return
		}
		err := client.Send([]byte(strconv.Quote(strconv.Itoa(n))))
		n = 0
		cb(handled, err)
	})
}

func subscribe(_ centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
	cb(centrifuge.SubscribeReply{}, nil)
}
