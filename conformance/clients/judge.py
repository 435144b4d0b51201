#!/usr/bin/env python3
"""Has other libraries' clients talk to a server that compresses, and says what came of it.

    judge.py --server PROGRAM --built DIRECTORY [CLIENT...]

Each client says what `node/exchange.js` says, and checks that all of it comes back. What it offers, what it is
answered and how many messages go compressed is read from the bytes between the two. Prints a table; exits with 1
if a client is missing, fails, or does not do what is said of it here.
"""
import argparse
import asyncio
import dataclasses
import http.server
import json
import os
import queue
import re
import shutil
import sys
import tempfile
import threading

import wire

HERE = os.path.dirname(os.path.abspath(__file__))
ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

# Each takes a second or two; a browser's first start is slow.
CLIENT_TIMEOUT_SECONDS = 90


@dataclasses.dataclass
class Client:
    name: str
    # With `{url}`; a list is a program, and a string a browser's name.
    command: list | str
    offers: bool = True
    # Whether it compresses any of what it sends.
    compresses: bool = True
    # Whether it sends any message in several frames.
    fragments: bool = False


def clients(built):
    node = [os.path.join(HERE, "node", "node_modules", ".bin", "node"), os.path.join(HERE, "node", "client.js")]
    return [
        Client("chromium", "chromium", fragments=True),
        Client("firefox", "firefox-esr"),
        Client("ws", [*node, "ws", "{url}"], fragments=True),
        Client("node", [*node, "global", "{url}"], compresses=False),
        Client("undici", [*node, "undici", "{url}"], compresses=False),
        Client("websockets", [os.path.join(built, "python", "bin", "python"),
                              os.path.join(HERE, "python", "client.py"), "{url}"], fragments=True),
        Client("gorilla", [os.path.join(built, "gorilla"), "{url}"], fragments=True),
        Client("coder", [os.path.join(built, "coder"), "{url}"], fragments=True),
        Client("coder-takeover", [os.path.join(built, "coder"), "{url}", "takeover"], fragments=True),
        Client("java", ["java", os.path.join(HERE, "java", "Client.java"), "{url}"], fragments=True, offers=False,
               compresses=False),
    ]


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--built", required=True)
    parser.add_argument("clients", nargs="*")
    arguments = parser.parse_args()
    known = clients(arguments.built)
    unknown = set(arguments.clients) - {client.name for client in known}
    if unknown:
        parser.error(f"no such client: {', '.join(unknown)}")
    chosen = [client for client in known if not arguments.clients or client.name in arguments.clients]

    server = await asyncio.create_subprocess_exec(arguments.server, "127.0.0.1:0", stdout=asyncio.subprocess.PIPE)
    rows, failures = [], []
    try:
        port = await listening_port(server.stdout)
        for client in chosen:
            try:
                rows.append(await try_out(client, port))
                print(f"{client.name}: passed", flush=True)
            except Exception as error:  # Whatever it is, it is this client's failure, and the others go on.
                failures.append(client.name)
                print(f"{client.name}: FAILED: {error!r}", flush=True)
    finally:
        server.kill()
        await server.wait()
    print_table(rows)
    print(f"{len(rows)} passed, {len(failures)} failed")
    sys.exit(1 if failures or not rows else 0)


async def listening_port(lines):
    """Behind what it logs, the server says where it listens."""
    while line := (await lines.readline()).decode():
        if found := re.fullmatch(r"echoing at ws://.*:(\d+)/\n", line):
            return int(found[1])
    raise RuntimeError("the server does not start")


async def try_out(client, port):
    """One client's row; an error if anything is not as it should be."""
    relay = await Relay.start(port)
    try:
        run = run_browser if isinstance(client.command, str) else run_program
        said = await asyncio.wait_for(run(client, relay.url), CLIENT_TIMEOUT_SECONDS)
    finally:
        await relay.stop()
    expect(relay.connections == 1, f"it has connected {relay.connections} times")
    up, down = wire.read(relay.up), wire.read(relay.down)
    expect(said["count"] == up.messages == down.messages > 0,
           f"{said['count']} came back of {up.messages} that were sent and {down.messages} that were echoed")
    expect(bool(up.extensions) == client.offers, f"it offers {up.extensions}")
    expect(down.extensions == (ANSWER if client.offers else None), f"it is answered {down.extensions}")
    expect(bool(down.compressed) == client.offers, f"{down.compressed} messages came to it compressed")
    expect(bool(up.compressed) == client.compresses, f"it has sent {up.compressed} messages compressed")
    expect(bool(up.fragmented) == client.fragments, f"it has sent {up.fragmented} messages in fragments")
    return said["version"], up, down


def expect(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


async def run_program(client, url):
    command = [word.format(url=url) for word in client.command]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    expect(process.returncode == 0, f"exit status {process.returncode}: {err.decode()[-2_000:]}")
    return json.loads(out)


async def run_browser(client, url):
    program = shutil.which(client.command)
    expect(program, f"{client.command} is not installed")
    pages = Pages()
    profile = tempfile.mkdtemp(prefix="wspulse-clients-")
    page = f"http://127.0.0.1:{pages.server_port}/?url={url}"
    given = {
        "chromium": ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", page],
        "firefox-esr": ["--headless", "--no-remote", "--profile", profile, page],
    }[client.command]
    process = await asyncio.create_subprocess_exec(
        program, *given, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True)
    try:
        said = await asyncio.to_thread(pages.results.get, timeout=CLIENT_TIMEOUT_SECONDS)
    finally:
        # One that is asked to end goes on to write to its profile.
        os.killpg(process.pid, 9)
        await process.wait()
        pages.shutdown()
        shutil.rmtree(profile, ignore_errors=True)
    expect("count" in said, said.get("error"))
    return said


class Pages(http.server.ThreadingHTTPServer):
    """Serves the page that has the conversation, and takes what it says of it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), PagesHandler)
        self.results = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class PagesHandler(http.server.BaseHTTPRequestHandler):
    FILES = {"/": ("page.html", "text/html; charset=utf-8"), "/exchange.js": ("exchange.js", "text/javascript")}

    def do_GET(self):
        name, kind = self.FILES.get(self.path.partition("?")[0], (None, None))
        if name is None:
            self.send_error(404)
            return
        with open(os.path.join(HERE, "node", name), "rb") as file:
            body = file.read()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.results.put(json.loads(body))

    def log_message(self, *_):
        pass


class Relay:
    """Carries one connection to the server, and keeps what passes."""

    def __init__(self, port):
        self.port, self.up, self.down = port, bytearray(), bytearray()
        self.connections = 0

    @classmethod
    async def start(cls, port):
        relay = cls(port)
        relay.listener = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
        relay.url = f"ws://127.0.0.1:{relay.listener.sockets[0].getsockname()[1]}/"
        return relay

    async def carry(self, from_client, to_client):
        self.connections += 1
        if self.connections > 1:
            to_client.close()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(
            self.pass_on(from_client, to_server, self.up), self.pass_on(from_server, to_client, self.down))

    async def pass_on(self, source, sink, captured):
        try:
            while data := await source.read(65_536):
                captured += data
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        sink.close()

    async def stop(self):
        self.listener.close()


def print_table(rows):
    print("\n| client | offers | is answered | compressed, to the server | compressed, to it | in fragments |")
    print("|---|---|---|---|---|---|")
    for version, up, down in rows:
        code = lambda text: f"`{text}`" if text else "nothing"
        print(f"| {version} | {code(up.extensions)} | {code(down.extensions)} | {up.compressed} of {up.messages} "
              f"| {down.compressed} of {down.messages} | {up.fragmented or 'none'} |")
    print()


asyncio.run(main())
