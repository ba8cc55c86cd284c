# SPDX-License-Identifier: MIT
"""serve.py NAME PORT SOCKET [COMMAND...]: tells its name to everybody who connects; starts COMMAND first, if any,
which inherits the listener."""
import subprocess
import sys

from options import attempt, open_socket

name, port, word, *command = sys.argv[1:]
server, address = open_socket(word)
attempt("bind", server.bind, (address, int(port)))
attempt("listen", server.listen)
if command:
    server.set_inheritable(True)
    subprocess.Popen(command, close_fds=False)
print("listens", flush=True)
while True:
    connection = server.accept()[0]
    connection.sendall(name.encode() + b"\n")
    connection.close()
