"""Streams through a tunnel: from behind NAT, over a gateway's restart, beside a stuck client."""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import behind_nat

BIN = os.environ["QUORATE_BIN"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "pip"
PATIENCE_S = 60
STREAMS = 500


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Process:
    """A command of ours, its output in a file."""

    def __init__(self, folder, name, command):
        self.out = folder / f"{name}.log"
        self.file = open(self.out, "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.file, stderr=subprocess.STDOUT
        )

    def line(self, prefix):
        """What follows `prefix` on a line of the output; waits for it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for line in self.out.read_text(errors="replace").splitlines():
                if line.strip().startswith(prefix):
                    return line.strip().removeprefix(prefix).strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line {prefix!r}:\n{self.out.read_text()[-3000:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        self.file.close()

    def files(self):
        """Open files and sockets of the process."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Gateway:
    """A gateway on this side of the NAT, which can be started again on the same ports."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.nodes = free_port(address)
        self.clients = free_port("127.0.0.1")
        config = folder / "gateway.toml"
        config.write_text(
            f"""
[server]
listen = "127.0.0.1:{self.clients}"
admin_listen = "127.0.0.1:0"
data_dir = "{folder}/gateway"
[auth]
mode = "open"
[market]
node_listen = "{address}:{self.nodes}"
join = "token"
tokens = ["a-token-for-the-test-0123456789"]
"""
        )
        self.config = config
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        command = [BIN, "gateway", "--config", str(self.config)]
        self.process = Process(self.folder, f"gateway-{self.starts}", command)
        self.base = self.process.line("listening on ")
        self.url = self.process.line("nodes join at ")

    def stop(self):
        self.process.stop()

    def get(self, path):
        with urllib.request.urlopen(self.base + path, timeout=10) as answer:
            return json.load(answer)

    def model(self, name):
        """The full name of the model that a joined node sells as `name@node`; waits for it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                for model in self.get("/v1/models")["data"]:
                    if model["id"].split("@")[0] == name:
                        return model["id"]
            time.sleep(0.02)
        raise AssertionError(f"nobody serves {name}")

    def say(self, model, question):
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "stream": True,
            "temperature": 0,
        }
        request = urllib.request.Request(
            self.base + "/v1/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return text_of(answer.read().decode())


def text_of(stream):
    """The text of a whole event stream; an error where it is not whole."""
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    assert events and events[-1] == "[DONE]", stream[-500:]
    assert events.count("[DONE]") == 1
    text = ""
    for event in events[:-1]:
        for choice in json.loads(event)["choices"]:
            text += choice["delta"].get("content") or ""
    return text


def provider(folder, name, gateway, namespace, rest):
    command = [
        *(BIN, "provider", "serve", "--data", str(folder / name)),
        *("--gateway", gateway.url, "--join-token", "a-token-for-the-test-0123456789"),
        *rest,
    ]
    return Process(folder, name, behind_nat.inside(namespace, command))


def answers_from_behind_nat(gateway, theirs, port):
    model = gateway.model("pip")
    answer = gateway.say(model, "What is 7 plus 5?")
    assert "12" in answer, answer
    print(f"  {model}: {answer!r}")
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            probe.connect((theirs, port))
        except OSError:
            return
    raise AssertionError("the provider can be reached from outside: this tests nothing")


def is_found_again(gateway, node):
    """The gateway restarts three times; the provider is back each time, and keeps nothing of before."""
    model, before, waits = gateway.model("pip"), None, []
    for _ in range(3):
        gateway.stop()
        gateway.start()
        began = time.monotonic()
        assert gateway.model("pip") == model, "the node has kept its key"
        assert "12" in gateway.say(model, "What is 7 plus 5?")
        waits.append(time.monotonic() - began)
        files = node.files()
        assert before is None or files <= before, f"{before} files open before, {files} now"
        before = files
    print(f"  back and answering after {', '.join(f'{wait:.1f} s' for wait in waits)}; {before} files open")


async def read_stream(gateway, body, is_stuck=False):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.clients, limit=2**16)
    payload = json.dumps(body).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(payload)
    )
    writer.write(payload)
    await writer.drain()
    if is_stuck:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        return writer
    everything = await reader.read(-1)
    writer.close()
    head, _, rest = everything.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return rest


def many(gateway):
    """500 streams at once over one tunnel; one client reads its head and never anything more."""
    model = gateway.model("scripted")

    def body(tokens, itl_ms):
        script = {"tokens": tokens, "itl_ms": itl_ms}
        messages = [{"role": "user", "content": "hello"}]
        return {"model": model, "messages": messages, "stream": True, "script": script}

    async def all_of_them():
        # Several megabytes at full speed: more than any buffer on the way.
        stuck = await read_stream(gateway, body(100_000, 0), is_stuck=True)
        others = [read_stream(gateway, body(40, 10)) for _ in range(STREAMS - 1)]
        rests = await asyncio.gather(*others)
        stuck.close()
        return rests

    began = time.monotonic()
    rests = asyncio.run(all_of_them())
    whole = sum(rest.count(b"data: [DONE]") == 1 and b" tok39" in rest for rest in rests)
    print(f"  {whole} of {len(rests)} whole in {time.monotonic() - began:.1f} s")
    assert whole == STREAMS - 1


def main():
    began, passed = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        namespace, ours, theirs = stack.enter_context(behind_nat.host())
        gateway = Gateway(folder, ours)
        stack.callback(gateway.stop)
        port = free_port("127.0.0.1")
        flags = ["--listen", f"0.0.0.0:{port}"]
        pip = ["--model", str(MODEL), "--model-id", "pip", *flags]
        node = provider(folder, "pip", gateway, namespace, pip)
        stack.callback(node.stop)
        flags = ["--listen", "127.0.0.1:0", "--engine", "scripted", "--model-id", "scripted"]
        script = provider(folder, "scripted", gateway, namespace, flags)
        stack.callback(script.stop)
        gateway.model("scripted")
        for name, test in [
            ("streams from behind NAT", lambda: answers_from_behind_nat(gateway, theirs, port)),
            ("500 streams, one stuck client", lambda: many(gateway)),
            ("the gateway restarts", lambda: is_found_again(gateway, node)),
        ]:
            print(name, flush=True)
            test()
            passed += 1
    print(f"{passed} passed in {time.monotonic() - began:.1f}s")


if __name__ == "__main__":
    sys.exit(main())
