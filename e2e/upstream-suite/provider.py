#!/usr/bin/env python3
"""A provider that takes whatever OpenAI's API documents, for a suite that sends all of it.

Its answers are fixed and of the documented shapes, whole or streamed as asked. It judges nothing but
what the gateway owes every provider: a JSON object, this provider's own name of the model, and usage
asked for in streams. Prints "listening on URL".
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "scripted"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
HEAD = {"created": 1_700_000_000, "model": MODEL}


def chat(choice):
    choice = {"index": 0, "logprobs": None, **choice}
    return {**HEAD, "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


def text(text, finish):
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return {**HEAD, "id": "cmpl-1", "object": "text_completion", "choices": [choice]}


def usage(chunk):
    return {**chunk, "choices": [], "usage": USAGE}


CHAT = [
    chat({"delta": {"role": "assistant", "content": ""}, "finish_reason": None}),
    chat({"delta": {"content": "An answer."}, "finish_reason": None}),
    chat({"delta": {}, "finish_reason": "stop"}),
]
TEXT = [text("An answer.", None), text("", "stop")]
STREAMS = {
    "/v1/chat/completions": [*CHAT, usage(CHAT[0])],
    "/v1/completions": [*TEXT, usage(TEXT[0])],
}


def embeddings(request):
    inputs = request["input"]
    several = isinstance(inputs, list) and not isinstance(inputs[0], int)
    # Numbers even where base64 was asked for: the strict SDK validates before it decodes.
    vector = [1.0] + [0.0] * (request.get("dimensions", 8) - 1)
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index in range(len(inputs) if several else 1)
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": MODEL, "data": data, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] != MODEL:
            return self.answer(404, {"error": {"message": f"not my name: {request['model']}"}})
        if self.path == "/v1/embeddings":
            return self.answer(200, embeddings(request))
        if not request.get("stream") or not request["stream_options"]["include_usage"]:
            return self.answer(400, {"error": {"message": "a stream with usage is expected"}})
        events = [json.dumps(chunk) for chunk in STREAMS[self.path]] + ["[DONE]"]
        body = "".join(f"data: {event}\n\n" for event in events)
        return self.send(200, "text/event-stream", body)

    def answer(self, status, value):
        self.send(status, "application/json", json.dumps(value))

    def send(self, status, kind, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
