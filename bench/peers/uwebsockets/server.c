/* Measures uWebSockets, through the C API that socketify ships it with: echo, room fan-out and
 * counting over raw text messages. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The part of the C API that is used here, as socketify/native.py declares it for cffi: the package
 * has the library, but no header for this. The first argument, `ssl`, says which kind of app or
 * socket the pointer is of. */

struct us_socket_context_options_t {
    const char *key_file_name;
    const char *cert_file_name;
    const char *passphrase;
    const char *dh_params_file_name;
    const char *ca_file_name;
    const char *ssl_ciphers;
    int ssl_prefer_low_memory_usage;
};

typedef struct us_listen_socket_t us_listen_socket_t;
typedef struct uws_app_s uws_app_t;
typedef struct uws_req_s uws_req_t;
typedef struct uws_res_s uws_res_t;
typedef struct uws_socket_context_s uws_socket_context_t;
typedef struct uws_websocket_s uws_websocket_t;

typedef enum {
    DISABLED = 0,
    /* One compressor for all sockets, which forgets each message. */
    SHARED_COMPRESSOR = 1,
    SHARED_DECOMPRESSOR = 1 << 8,
    /* One for each socket, of 256 KiB. */
    DEDICATED_COMPRESSOR = 15 << 4 | 8,
} uws_compress_options_t;
typedef enum { TEXT = 1, BINARY = 2 } uws_opcode_t;
typedef enum { BACKPRESSURE, SUCCESS, DROPPED } uws_sendstatus_t;

typedef struct {
    int port;
    const char *host;
    int options;
} uws_app_listen_config_t;

typedef void (*uws_listen_handler)(us_listen_socket_t *, uws_app_listen_config_t, void *user_data);
typedef void (*uws_websocket_handler)(uws_websocket_t *, void *user_data);
typedef void (*uws_websocket_message_handler)(uws_websocket_t *, const char *message, size_t length, uws_opcode_t, void *user_data);
typedef void (*uws_websocket_ping_pong_handler)(uws_websocket_t *, const char *message, size_t length, void *user_data);
typedef void (*uws_websocket_close_handler)(uws_websocket_t *, int code, const char *message, size_t length, void *user_data);
typedef void (*uws_websocket_upgrade_handler)(uws_res_t *, uws_req_t *, uws_socket_context_t *, void *user_data);
typedef void (*uws_websocket_subscription_handler)(uws_websocket_t *, const char *topic, size_t length, int new_number, int old_number, void *user_data);

typedef struct {
    uws_compress_options_t compression;
    unsigned int maxPayloadLength;
    unsigned short idleTimeout;
    unsigned int maxBackpressure;
    bool closeOnBackpressureLimit;
    bool resetIdleTimeoutOnSend;
    bool sendPingsAutomatically;
    unsigned short maxLifetime;
    uws_websocket_upgrade_handler upgrade;
    uws_websocket_handler open;
    uws_websocket_message_handler message;
    uws_websocket_handler drain;
    uws_websocket_ping_pong_handler ping;
    uws_websocket_ping_pong_handler pong;
    uws_websocket_close_handler close;
    uws_websocket_subscription_handler subscription;
} uws_socket_behavior_t;

uws_app_t *uws_create_app(int ssl, struct us_socket_context_options_t);
void uws_ws(int ssl, uws_app_t *, const char *pattern, uws_socket_behavior_t, void *user_data);
void uws_app_listen_with_config(int ssl, uws_app_t *, uws_app_listen_config_t, uws_listen_handler, void *user_data);
void uws_app_run(int ssl, uws_app_t *);
bool uws_publish(int ssl, uws_app_t *, const char *topic, size_t topic_length, const char *message, size_t length, uws_opcode_t, bool compress);
size_t uws_req_get_header(uws_req_t *, const char *lower_case_name, size_t length, const char **dest);
size_t uws_req_get_query(uws_req_t *, const char *key, size_t length, const char **dest);
void uws_res_upgrade(int ssl, uws_res_t *, void *user_data, const char *key, size_t key_length, const char *protocol, size_t protocol_length, const char *extensions, size_t extensions_length, uws_socket_context_t *);
void *uws_ws_get_user_data(int ssl, uws_websocket_t *);
uws_sendstatus_t uws_ws_send(int ssl, uws_websocket_t *, const char *message, size_t length, uws_opcode_t);
bool uws_ws_subscribe(int ssl, uws_websocket_t *, const char *topic, size_t length);
int us_socket_local_port(int ssl, us_listen_socket_t *);

/* From uSockets' libusockets.h: of a socket without TLS this is the file descriptor. */
void *us_socket_get_native_handle(int ssl, us_listen_socket_t *);
enum { LIBUS_LISTEN_EXCLUSIVE_PORT = 1 };

enum {
    NO_SSL = 0,
    /* Where the payload starts in {"event":"m","payload":"…"}. */
    PAYLOAD_OFFSET = 24,
};

/* What the server knows of one connection. */
struct member {
    unsigned long count;
    size_t room_length;
    char room[];
};

static uws_app_t *app;
static uws_compress_options_t compression = DISABLED;

static void on_upgrade(uws_res_t *res, uws_req_t *req, uws_socket_context_t *context, void *user_data)
{
    (void)user_data;
    const char *room, *key, *protocol, *extensions;
    size_t room_length = uws_req_get_query(req, "room", 4, &room);
    size_t key_length = uws_req_get_header(req, "sec-websocket-key", 17, &key);
    size_t protocol_length = uws_req_get_header(req, "sec-websocket-protocol", 22, &protocol);
    size_t extensions_length = uws_req_get_header(req, "sec-websocket-extensions", 24, &extensions);

    /* The request's memory is gone once this returns. */
    struct member *member = malloc(sizeof *member + room_length);
    if (!member)
        abort();
    member->count = 0;
    member->room_length = room_length;
    if (room_length)
        memcpy(member->room, room, room_length);

    uws_res_upgrade(NO_SSL, res, member, key, key_length, protocol, protocol_length, extensions, extensions_length, context);
}

static void on_open(uws_websocket_t *ws, void *user_data)
{
    (void)user_data;
    struct member *member = uws_ws_get_user_data(NO_SSL, ws);
    uws_ws_subscribe(NO_SSL, ws, member->room, member->room_length);
}

/* Its subscription ends with the socket. */
static void on_close(uws_websocket_t *ws, int code, const char *message, size_t length, void *user_data)
{
    (void)code, (void)message, (void)length, (void)user_data;
    free(uws_ws_get_user_data(NO_SSL, ws));
}

static void on_echo(uws_websocket_t *ws, const char *message, size_t length, uws_opcode_t opcode, void *user_data)
{
    (void)user_data;
    uws_ws_send(NO_SSL, ws, message, length, opcode);
}

/* The app publishes, not the socket: a socket's publish leaves the socket out, and to send it its own
 * copy apart would not let it see the room's messages in the order that all others see. */
static void on_room(uws_websocket_t *ws, const char *message, size_t length, uws_opcode_t opcode, void *user_data)
{
    (void)user_data;
    struct member *member = uws_ws_get_user_data(NO_SSL, ws);
    uws_publish(NO_SSL, app, member->room, member->room_length, message, length, opcode, compression != DISABLED);
}

static void on_count(uws_websocket_t *ws, const char *message, size_t length, uws_opcode_t opcode, void *user_data)
{
    (void)opcode, (void)user_data;
    struct member *member = uws_ws_get_user_data(NO_SSL, ws);
    if (length > PAYLOAD_OFFSET && message[PAYLOAD_OFFSET] == '?') {
        char text[24];
        int text_length = snprintf(text, sizeof text, "%lu", member->count);
        uws_ws_send(NO_SSL, ws, text, (size_t)text_length, TEXT);
        member->count = 0;
    } else {
        member->count++;
    }
}

static void on_listen(us_listen_socket_t *socket, uws_app_listen_config_t config, void *user_data)
{
    (void)user_data;
    if (!socket) {
        fprintf(stderr, "cannot listen on port %d\n", config.port);
        exit(EXIT_FAILURE);
    }
    /* uSockets listens with a backlog of 512 and has no setting for it; to listen again changes it. */
    if (listen((int)(intptr_t)us_socket_get_native_handle(NO_SSL, socket), 4096) != 0) {
        perror("listen");
        exit(EXIT_FAILURE);
    }
    printf("LISTENING %d\n", us_socket_local_port(NO_SSL, socket));
    fflush(stdout);
}

static _Noreturn void usage(void)
{
    fputs("usage: uwebsockets --mode echo|room|count --port PORT [--compression none|shared|dedicated]\n", stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    uws_websocket_message_handler on_message = NULL;
    int port = -1;

    if (argc % 2 == 0)
        usage();
    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--port") == 0)
            port = atoi(value);
        else if (strcmp(argv[i], "--compression") == 0 && strcmp(value, "shared") == 0)
            compression = SHARED_COMPRESSOR | SHARED_DECOMPRESSOR;
        else if (strcmp(argv[i], "--compression") == 0 && strcmp(value, "dedicated") == 0)
            compression = DEDICATED_COMPRESSOR | SHARED_DECOMPRESSOR;
        else if (strcmp(argv[i], "--compression") == 0 && strcmp(value, "none") == 0)
            compression = DISABLED;
        else if (strcmp(argv[i], "--mode") != 0)
            usage();
        else if (strcmp(value, "echo") == 0)
            on_message = on_echo;
        else if (strcmp(value, "room") == 0)
            on_message = on_room;
        else if (strcmp(value, "count") == 0)
            on_message = on_count;
        else
            usage();
    }
    if (!on_message || port < 0 || port > UINT16_MAX)
        usage();

    app = uws_create_app(NO_SSL, (struct us_socket_context_options_t){0});
    uws_ws(NO_SSL, app, "/ws", (uws_socket_behavior_t){
        .compression = compression,
        /* The default of 16 KiB is too little for the largest messages. */
        .maxPayloadLength = 1 << 20,
        /* What a slow reader has waiting beyond this is dropped without a word, and none may be lost;
         * the default is 64 KiB. */
        .maxBackpressure = 64 << 20,
        /* Pings what has been silent for 8 s, closes it after 8 s more: the nearest to 10 s, for
         * timeouts go in steps of 4 s. */
        .idleTimeout = 16,
        .sendPingsAutomatically = true,
        .upgrade = on_upgrade,
        .open = on_open,
        .message = on_message,
        .close = on_close,
    }, NULL);
    uws_app_listen_with_config(NO_SSL, app, (uws_app_listen_config_t){
        .port = port,
        .host = "127.0.0.1",
        /* Or a second server could take half of the connections to the same port. */
        .options = LIBUS_LISTEN_EXCLUSIVE_PORT,
    }, on_listen, NULL);
    uws_app_run(NO_SSL, app);
    return EXIT_FAILURE;
}
