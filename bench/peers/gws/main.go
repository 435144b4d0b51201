// Measures github.com/lxzan/gws: echo, room fan-out and counting over raw text messages.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

const (
	pingInterval = 10 * time.Second
	pingWait     = 20 * time.Second

	// Where the payload starts in {"event":"m","payload":"…"}.
	payloadOffset = 24

	memberKey = "member"
)

// member is what the server knows of one connection. Only the connection's read loop touches it.
type member struct {
	name  string // of its room
	room  *room
	ping  *time.Timer
	count int
}

type room struct {
	mu    sync.Mutex
	conns map[*gws.Conn]struct{}
}

// broadcast holds the lock while it queues, so that all members see the same order. Queueing never
// blocks on a socket: each connection writes from its own queue.
func (r *room) broadcast(opcode gws.Opcode, payload []byte) {
	// Encodes the frame once, for all members.
	b := gws.NewBroadcaster(opcode, payload)
	defer b.Close()

	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = b.Broadcast(conn)
	}
}

type handler struct {
	mode  string
	rooms *gws.ConcurrentMap[string, *room]
}

func memberOf(conn *gws.Conn) *member {
	v, _ := conn.Session().Load(memberKey)
	return v.(*member)
}

func (h *handler) OnOpen(conn *gws.Conn) {
	m := memberOf(conn)
	m.room = h.join(m.name, conn)
	_ = conn.SetDeadline(time.Now().Add(pingInterval + pingWait))
	// A timer costs an idle connection far less than a goroutine with a ticker would.
	m.ping = time.AfterFunc(pingInterval, func() { _ = conn.WritePing(nil) })
}

func (h *handler) OnClose(conn *gws.Conn, _ error) {
	m := memberOf(conn)
	m.ping.Stop()
	h.leave(m, conn)
}

func (h *handler) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func (h *handler) OnPong(conn *gws.Conn, _ []byte) {
	_ = conn.SetDeadline(time.Now().Add(pingInterval + pingWait))
	memberOf(conn).ping.Reset(pingInterval)
}

func (h *handler) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()

	switch h.mode {
	case "echo":
		_ = conn.WriteMessage(message.Opcode, message.Bytes())
	case "room":
		memberOf(conn).room.broadcast(message.Opcode, message.Bytes())
	case "count":
		m := memberOf(conn)
		if b := message.Bytes(); len(b) > payloadOffset && b[payloadOffset] == '?' {
			_ = conn.WriteString(strconv.Itoa(m.count))
			m.count = 0
		} else {
			m.count++
		}
	}
}

// The lock of the room's shard guards the room's place in the map, so that no one joins a room that
// its last member is taking away.

func (h *handler) join(name string, conn *gws.Conn) *room {
	shard := h.rooms.GetSharding(name)
	shard.Lock()
	defer shard.Unlock()

	r, ok := shard.Load(name)
	if !ok {
		r = &room{conns: make(map[*gws.Conn]struct{})}
		shard.Store(name, r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = struct{}{}
	return r
}

func (h *handler) leave(m *member, conn *gws.Conn) {
	shard := h.rooms.GetSharding(m.name)
	shard.Lock()
	defer shard.Unlock()

	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	delete(m.room.conns, conn)
	if len(m.room.conns) == 0 {
		shard.Delete(m.name)
	}
}

func main() {
	mode := flag.String("mode", "echo", "echo, room or count")
	port := flag.Int("port", 0, "port to listen on, 0 for a free one")
	deflate := flag.Bool("deflate", false, "compress messages of 512 bytes and more")
	flag.Parse()
	switch *mode {
	case "echo", "room", "count":
	default:
		log.Fatalf("no such mode: %s", *mode)
	}

	upgrader := gws.NewUpgrader(
		&handler{mode: *mode, rooms: gws.NewConcurrentMap[string, *room]()},
		&gws.ServerOption{
			// One message of a connection after the other, or their order would be lost.
			ParallelEnabled: false,
			// Off by default; the other peers check that text is UTF-8.
			CheckUtf8Enabled: true,
			// The default of 16 MiB is more than a server of small messages should take.
			ReadMaxPayloadSize: 128 << 10,
			// Off by default. Without a context that is taken over, as by default, a broadcast is
			// compressed once.
			PermessageDeflate: gws.PermessageDeflate{Enabled: *deflate},
			Authorize: func(r *http.Request, session gws.SessionStorage) bool {
				session.Store(memberKey, &member{name: r.URL.Query().Get("room")})
				return true
			},
		},
	)

	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		// A goroutine of its own lets the request's memory go.
		go conn.ReadLoop()
	})

	// Go's backlog is the system's net.core.somaxconn.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("LISTENING %d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, mux))
}
