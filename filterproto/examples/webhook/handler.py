#!/usr/bin/env python3
"""A web handler for filters of kind webhook: refuses mail with a word in it.

usage: handler.py PORT WORD...

Port 0 takes a free one. The address is printed. With MTAD_SIGN_FILE in the environment every request has to
be signed with the key in that file. spec/filter.md says what is posted and what may be answered.
"""
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = [w.lower().encode() for w in sys.argv[2:]]
KEY = open(os.environ["MTAD_SIGN_FILE"], "rb").read().strip() if "MTAD_SIGN_FILE" in os.environ else None


def judge(message, content):
    """message is what a claim has under this name; content the octets of the mail."""
    found = [w.decode() for w in WORDS if w in content.lower()]
    if found:
        return {"disposition": "reject", "symbols": found, "reply": {"code": 554, "enhanced": "5.7.1", "text": "not here: " + found[0]}}
    return {"disposition": "accept", "edits": [{"op": "header_add", "name": "X-Checked", "value": message["id"]}]}


def signed(field, body):
    """The signature is over the time, a dot and the body; an old one is somebody's copy."""
    parts = dict(p.split("=", 1) for p in field.split(",") if "=" in p)
    at = parts.get("t", "0")
    want = hmac.new(KEY, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(want, parts.get("v1", "")) and abs(time.time() - int(at)) < 300


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if KEY and not signed(self.headers.get("Mtad-Signature", ""), body):
            return self.answer(403, {"error": "not signed"})
        line, content = body.split(b"\n", 1)
        self.answer(200, judge(json.loads(line), content))

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.request_queue_size = 128
    print("http://127.0.0.1:%d/" % server.server_address[1], flush=True)
    server.serve_forever()
