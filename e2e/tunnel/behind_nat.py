"""A host of its own on this machine: a network namespace with one way out and none in."""

import contextlib
import os
import subprocess


def sh(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def host():
    """Yields (name, address of this side, address of the other side)."""
    number = os.getpid() % 200 + 20
    name, ours, theirs = f"quorate-{os.getpid()}", f"10.{number}.77.1", f"10.{number}.77.2"
    link, peer = f"qv{os.getpid() % 100000}", f"qp{os.getpid() % 100000}"
    sh("ip", "netns", "add", name)
    try:
        sh("ip", "link", "add", link, "type", "veth", "peer", "name", peer, "netns", name)
        sh("ip", "addr", "add", f"{ours}/24", "dev", link)
        sh("ip", "link", "set", link, "up")
        for command in [
            ["ip", "link", "set", "lo", "up"],
            ["ip", "addr", "add", f"{theirs}/24", "dev", peer],
            ["ip", "link", "set", peer, "up"],
            ["nft", "add", "table", "inet", "nat"],
            ["nft", "add chain inet nat in { type filter hook input priority 0; policy drop; }"],
            ["nft", "add", "rule", "inet", "nat", "in", "ct", "state", "established,related", "accept"],
            ["nft", "add", "rule", "inet", "nat", "in", "iif", "lo", "accept"],
        ]:
            sh("ip", "netns", "exec", name, *command)
        yield name, ours, theirs
    finally:
        # The pair goes with the namespace.
        sh("ip", "netns", "del", name)


def inside(name, command):
    return ["ip", "netns", "exec", name, *command]
