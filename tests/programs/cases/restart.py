# SPDX-License-Identifier: MIT
"""restart.py PORT SOCKET...: the lives of a server, one after the other.  In each it binds, takes one connection,
closes that first (so that TIME_WAIT is at its port) and is gone."""
import socket
import sys

from options import attempt, open_socket

port = int(sys.argv[1])
for life, word in enumerate(sys.argv[2:], 1):
    server, address = open_socket(word)
    attempt(f"bind {life}", server.bind, (address, port))
    attempt(f"listen {life}", server.listen)
    client = socket.create_connection(("127.0.0.1", port))
    connection = server.accept()[0]
    connection.close()
    client.recv(1)
    client.close()
    server.close()
print(f"lived {life} times")
