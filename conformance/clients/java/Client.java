import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** `java Client.java URL`: the WebSocket of java.net.http. Says what node/exchange.js says. */
public class Client implements WebSocket.Listener {
    static final int[] SIZES = {0, 1, 125, 126, 127, 1_000, 65_535, 65_536, 300_000};
    static final String PATTERN = "{\"event\":\"position\",\"payload\":{\"x\":1,\"y\":2}},";

    final LinkedBlockingQueue<Object> heard = new LinkedBlockingQueue<>();
    final StringBuilder text = new StringBuilder();
    ByteBuffer binary = ByteBuffer.allocate(2_000_000);
    int count = 0;

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
        text.append(data);
        if (last) {
            heard.add(text.toString());
            text.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
        binary.put(data);
        if (last) {
            heard.add(Arrays.copyOf(binary.array(), binary.position()));
            binary.clear();
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        heard.add("closed: " + code);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        heard.add(error);
    }

    static byte[] noise(int size) {
        byte[] out = new byte[size];
        int state = 1;
        for (int at = 0; at < size; at++) {
            state = (state * 1103515245 + 12345) & 0x7fffffff;
            out[at] = (byte) (state >> 16);
        }
        return out;
    }

    static List<Object> messages() {
        List<Object> all = new ArrayList<>();
        for (int size : SIZES) {
            all.add(PATTERN.repeat(size / PATTERN.length() + 1).substring(0, size));
        }
        for (int size : SIZES) {
            all.add(noise(size));
        }
        all.add("aé€😀".repeat(3_000));
        all.add(new byte[1_000_000]);
        return all;
    }

    static void send(WebSocket socket, Object message, int from, int to, boolean last) {
        if (message instanceof String text) {
            socket.sendText(text.substring(from, to), last).join();
        } else {
            socket.sendBinary(ByteBuffer.wrap((byte[]) message, from, to - from), last).join();
        }
    }

    static int length(Object message) {
        return message instanceof String text ? text.length() : ((byte[]) message).length;
    }

    void expectBack(Object message) throws InterruptedException {
        Object back = heard.poll(30, TimeUnit.SECONDS);
        boolean isSame = message instanceof String
            ? message.equals(back)
            : back instanceof byte[] bytes && Arrays.equals((byte[]) message, bytes);
        if (!isSame) {
            throw new IllegalStateException("message " + count + " came back as another, or this: "
                + (back instanceof byte[] ? "bytes" : back));
        }
        count++;
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client();
        WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder()
            .buildAsync(URI.create(arguments[0]), client).join();
        List<Object> all = messages();
        for (Object message : all) {
            send(socket, message, 0, length(message), true);
            client.expectBack(message);
        }
        for (Object message : all) {
            send(socket, message, 0, length(message), true);
        }
        for (Object message : all) {
            client.expectBack(message);
        }
        for (Object message : all) {
            // An even number: no pair of surrogates is cut.
            int half = length(message) / 4 * 2;
            send(socket, message, 0, half, false);
            send(socket, message, half, length(message), true);
            client.expectBack(message);
        }
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
        if (!"closed: 1000".equals(client.heard.poll(30, TimeUnit.SECONDS))) {
            throw new IllegalStateException("no close frame with 1000");
        }
        System.out.println("{\"version\":\"Java " + System.getProperty("java.version")
            + "\",\"count\":" + client.count + "}");
        System.exit(0);
    }
}
