// SPDX-License-Identifier: MIT
import java.net.InetSocketAddress;
import java.net.ServerSocket;

/** Twice PORT [false]: two server sockets on one port, with the JDK's SO_REUSEADDR or without it. */
class Twice {
	public static void main(String[] arguments) throws Exception {
		int port = Integer.parseInt(arguments[0]);
		ServerSocket first = open(port, arguments);
		try {
			open(port, arguments).close();
			System.out.println("bound twice");
		} catch (java.net.BindException e) {
			System.out.println(e.getMessage());
		}
		first.close();
	}

	static ServerSocket open(int port, String[] arguments) throws Exception {
		ServerSocket server = new ServerSocket();
		if (arguments.length > 1)
			server.setReuseAddress(Boolean.parseBoolean(arguments[1]));
		server.bind(new InetSocketAddress("127.0.0.1", port));
		return server;
	}
}
