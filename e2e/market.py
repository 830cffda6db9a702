#!/usr/bin/env python3
"""Markets for the tests in other languages: processes on free ports, gone when their user is.

usage: e2e/market.py [--bundled] [--open] [--provider COMMAND] [--alias NAME]… -- COMMAND…

Runs COMMAND beside a gateway with two providers that play scripts (a request's member `script` says
which; the models are `scripted` and `org/scripted`), and ends with its status. The environment says
where: QUORATE_BASE_URL, QUORATE_API_KEY, QUORATE_PROVIDERS (URLs with a blank between; each has
/metrics).

--bundled   also a `quorate up` with the bundled model: QUORATE_BUNDLED_BASE_URL, …_API_KEY
--open      any key will do
--provider  one provider of another kind: a command that prints "listening on URL"
--alias     further names for the model `scripted`

QUORATE_BIN names the binary that holds everything. Without it, and without --bundled,
QUORATE_GATEWAY_BIN and QUORATE_PROVIDER_BIN name the slim ones.
"""

import argparse
import contextlib
import os
import pathlib
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile

MODELS = ["scripted", "org/scripted"]


def binary(slim):
    """The words that begin a command of the gateway or the provider."""
    own = os.environ.get(f"QUORATE_{slim.upper()}_BIN")
    return [own] if own else [os.environ["QUORATE_BIN"], slim]


@contextlib.contextmanager
def running(command, log):
    """A process, ended with SIGTERM and waited for; one that died on its own is an error."""
    with open(log, "w") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True
        )
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} died with {process.returncode}: {tail(log)}")
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def tail(log):
    return pathlib.Path(log).read_text()[-2000:]


def until(process, log, wanted):
    """Reads standard output up to the line that begins with `wanted`; all lines."""
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(wanted):
            return lines
    raise RuntimeError(f"{process.args[0]} did not start: {tail(log)}")


def configuration(folder, urls, key, aliases):
    names = ", ".join(f'"{alias}"' for alias in aliases)
    served = ", ".join(f'{{ id = "{id}", upstream_model = "scripted" }}' for id in MODELS)
    lines = [
        "[server]",
        'listen = "127.0.0.1:0"',
        'admin_listen = "127.0.0.1:0"',
        f'data_dir = "{folder}/data"',
        '[telemetry]\nlevel = "warn"',
        f'[[key]]\nname = "test"\nkey = "{key}"' if key else '[auth]\nmode = "open"',
        f'[[model]]\nid = "{MODELS[0]}"\naliases = [{names}]',
        *(f'[[model]]\nid = "{id}"' for id in MODELS[1:]),
    ]
    for number, url in enumerate(urls, 1):
        lines += [
            f'[[upstream]]\nid = "op-{number}"\nbase_url = "{url}/v1"\nallow_private = true',
            f"models = [{served}]",
        ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def scripted(provider=None, aliases=(), keyless=False):
    """A gateway in front of two scripted providers, or of one of another kind."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(name, command):
            log = folder / f"{name}.log"
            process = stack.enter_context(running(command, log))
            return until(process, log, "listening on ")[-1].removeprefix("listening on ")

        def own(number):
            serve = ["serve", "--engine", "scripted", "--model-id", "scripted"]
            rest = ["--listen", "127.0.0.1:0", "--data", str(folder / f"provider-{number}")]
            return [*binary("provider"), *serve, *rest]

        commands = [provider] if provider else [own(1), own(2)]
        urls = [start(f"provider-{n}", command) for n, command in enumerate(commands, 1)]
        key = None if keyless else f"qk_{secrets.token_hex(32)}"
        config = folder / "gateway.toml"
        config.write_text(configuration(folder, urls, key, aliases))
        url = start("gateway", [*binary("gateway"), "--config", str(config)])
        yield {"base_url": f"{url}/v1", "key": key or "any", "providers": urls}


@contextlib.contextmanager
def bundled():
    """`quorate up`: three providers with the bundled model."""
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/up.log"
        ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        command = [os.environ["QUORATE_BIN"], "up", "--no-measure", *ports, "--data", f"{folder}/data"]
        with running(command, log) as process:
            fields = dict(
                [part.strip() for part in line.split("  ", 1)]
                for line in until(process, log, "Ctrl-C")
                if "  " in line
            )
            yield {"base_url": fields["base URL"], "key": fields["API key"]}
        if process.returncode != 0:
            raise RuntimeError(f"`up` ended with {process.returncode}: {tail(log)}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--bundled", action="store_true")
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--provider", type=shlex.split)
    parser.add_argument("--alias", action="append", default=[])
    parser.add_argument("command", nargs="+")
    wanted = parser.parse_args()
    # So that whoever ends this command ends its processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        market = stack.enter_context(scripted(wanted.provider, wanted.alias, wanted.open))
        environment["QUORATE_BASE_URL"] = market["base_url"]
        environment["QUORATE_API_KEY"] = market["key"]
        environment["QUORATE_PROVIDERS"] = " ".join(market["providers"])
        if wanted.bundled:
            market = stack.enter_context(bundled())
            environment["QUORATE_BUNDLED_BASE_URL"] = market["base_url"]
            environment["QUORATE_BUNDLED_API_KEY"] = market["key"]
        status = subprocess.run(wanted.command, env=environment, check=False).returncode
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
