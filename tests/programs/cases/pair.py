# SPDX-License-Identifier: MIT
"""pair.py PORT SOCKET SOCKET [early]: binds both, then both listen; or, "early", the first listens before the
second binds.  An option after a comma is set when the socket has been bound.  Prints the answers."""
import sys

from options import answer, open_socket, set_option

port, words, when = int(sys.argv[1]), sys.argv[2:4], sys.argv[4:]
sockets, answers = [], []
for word in words:
    word, *late = word.split(",")
    sock, address = open_socket(word)
    sockets.append(sock)
    answers.append("bind " + answer(sock.bind, (address, port)))
    for name in late:
        set_option(sock, name)
    if when == ["early"]:
        answers.append("listen " + answer(sock.listen) if answers[-1] == "bind ok" else "-")
if not when:
    bound = [reply == "bind ok" for reply in answers]
    answers += ["listen " + answer(sock.listen) if ok else "-" for sock, ok in zip(sockets, bound)]
print(", ".join(answers))
