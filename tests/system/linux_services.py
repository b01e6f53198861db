#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
What runs in the guest beside its kernel: sockets on port 4500 that have the kernel take ESP out of
UDP (RFC 3948), and a TCP service that sends back all it got. Returns when both are there.
"""

import os
import signal
import socket

UDP_ENCAP = 100
UDP_ENCAP_ESPINUDP = 2
ECHO_PORT = 7

# linux/xfrm.h: a policy of one socket, by which it sends and takes packets as they are.
XFRM_POLICY = {socket.AF_INET: (socket.IPPROTO_IP, 17), socket.AF_INET6: (socket.IPPROTO_IPV6, 35)}
USERPOLICY_INFO = 168  # bytes of struct xfrm_userpolicy_info; 0 is "allow"
SELECTOR_FAMILY, DIRECTION = 40, 160  # where these stand in it


def listen(family, kind, port):
    listener = socket.socket(family, kind)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(("", port))
    return listener


def bypass(listener, family):
    """What is for a transport policy to protect is also what UDP from there carries it in."""
    for direction in (0, 1):  # in, out
        policy = bytearray(USERPOLICY_INFO)
        policy[SELECTOR_FAMILY] = family
        policy[DIRECTION] = direction
        listener.setsockopt(*XFRM_POLICY[family], bytes(policy))


def echo(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            data = b"".join(iter(lambda: connection.recv(65536), b""))
            connection.sendall(data)


def main():
    families = (socket.AF_INET, socket.AF_INET6)
    encapsulated = {family: listen(family, socket.SOCK_DGRAM, 4500) for family in families}
    for family, listener in encapsulated.items():
        listener.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
        bypass(listener, family)
    for family in families:
        listener = listen(family, socket.SOCK_STREAM, ECHO_PORT)
        listener.listen()
        if os.fork() == 0:
            echo(listener)
    if os.fork() == 0:
        signal.pause()


if __name__ == "__main__":
    main()
