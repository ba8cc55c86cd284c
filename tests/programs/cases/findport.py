# SPDX-License-Identifier: MIT
"""findport.py PEER [OPTION...]: finds a free port, lets go of it, connects to PEER in the meantime, and binds it."""
import socket
import sys

from options import answer, open_socket

peer, *options = sys.argv[1:]
probe, address = open_socket("127.0.0.1")
probe.bind((address, 0))
port = probe.getsockname()[1]
probe.close()
client = socket.create_connection(("127.0.0.1", int(peer)))
print("bind", answer(open_socket("+".join(["0.0.0.0", *options]))[0].bind, ("0.0.0.0", port)))
