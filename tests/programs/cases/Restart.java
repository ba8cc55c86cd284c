// SPDX-License-Identifier: MIT
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** Restart PORT true|false: two lives of a server that closes first, with SO_REUSEADDR or without it. */
class Restart {
	public static void main(String[] arguments) throws Exception {
		int port = Integer.parseInt(arguments[0]);
		boolean reuse = Boolean.parseBoolean(arguments[1]);
		try {
			live(port, reuse);
			live(port, reuse);
			System.out.println("lived 2 times");
		} catch (java.net.BindException e) {
			System.out.println(e.getMessage());
		}
	}

	static void live(int port, boolean reuse) throws Exception {
		try (ServerSocket server = new ServerSocket()) {
			server.setReuseAddress(reuse);
			server.bind(new InetSocketAddress("127.0.0.1", port));
			try (Socket client = new Socket("127.0.0.1", port)) {
				server.accept().close();
				client.getInputStream().read();
			}
		}
	}
}
