# SPDX-License-Identifier: MIT
"""bind.py SOCKET PORT...: binds one socket to each port, one after the other; says which, if it asked for any (0)."""
import sys

from options import answer, open_socket

word, *ports = sys.argv[1:]
answers = []
for port in ports:
    sock, address = open_socket(word)
    reply = answer(sock.bind, (address, int(port)))
    answers.append(f"port {sock.getsockname()[1]}" if (port, reply) == ("0", "ok") else reply)
    sock.close()
print(", ".join(answers))
