# SPDX-License-Identifier: MIT
"""children.py PORT SOCKET: a server is gone and its connection is alive; then that is gone, too.  Prints what the
next server's bind() answers each time."""
import socket
import sys

from options import answer, attempt, open_socket

port, word = int(sys.argv[1]), sys.argv[2]


def next_server():
    server, address = open_socket(word)
    reply = answer(server.bind, (address, port))
    server.close()
    return reply


server, address = open_socket(word)
attempt("bind", server.bind, (address, port))
attempt("listen", server.listen)
client = socket.create_connection(("127.0.0.1", port))
connection = server.accept()[0]
server.close()
alive = next_server()
client.close()  # the client's end waits, not the server's
connection.close()
print(f"connection alive: {alive}, gone: {next_server()}")
