# SPDX-License-Identifier: MIT
"""A socket from a word such as 0.0.0.0, ::+dual or 127.0.0.1+reuseaddr, and what becomes of its calls."""
import errno
import os
import socket
import sys

OPTIONS = {
    "reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    "reuseport": (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),
    "foreign-reuseaddr": (0xFFFF, 4, 1),  # the numbers of Windows, macOS and the BSDs
    "reuseport-lb": (socket.SOL_SOCKET, 0x10000, 1),  # FreeBSD's number, as <fakebind.h> has it
    "exclusive": (0xFFFF, -5, 1),  # SO_EXCLUSIVEADDRUSE, Windows' number
    "dual": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0),
}


def set_option(sock, name):
    sock.setsockopt(*OPTIONS[name])


def open_socket(word):
    """The socket, and the address to bind it to.  With +nobody it is another user's."""
    address, *names = word.split("+")
    if "nobody" in names:
        os.seteuid(65534)
        names.remove("nobody")
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    for name in names:
        attempt("setsockopt", set_option, sock, name)
    return sock, address


def attempt(what, call, *arguments):
    """A refused call is the end of the program."""
    try:
        return call(*arguments)
    except OSError as error:
        print(f"{what}: {errno.errorcode[error.errno]}")
        sys.exit(1)


def answer(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
