#!/usr/bin/env python3
"""A scanner that speaks MTA Hooks as draft-degennaro-mta-hooks-01 has it, for tests: JSON, the stage data.

usage: scanner.py PORT TOKEN ACTION [session]

A message with GTUBE in it gets ACTION (reject, quarantine, discard, defer); what a message's field X-Ask names is
done to it; any other passes with a field on top. With session it takes part in the session, too, and refuses the
reverse-path liar@example.org and the recipient nobody@example.net. Registrations last a minute.
"""
import base64
import json
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, ACTION = sys.argv[2], sys.argv[3]
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
FETCH = ["/stage", "/action", "/timestamp", "/protocol", "/rawMessage", "/envelope", "/queue", "/client"]
STAGES = ["data"] + (["ehlo", "mail", "rcpt"] if sys.argv[4:] == ["session"] else [])
registered = {}


def utc(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def early(request):
    envelope = request["envelope"]
    assert request["rawMessage"] is None and (envelope is None) == (request["stage"] == "ehlo"), request
    reject = {"set": [{"path": "/action", "value": "reject"}, {"path": "/response", "value": {"code": 550, "enhancedCode": "5.1.7", "message": "not you"}}]}
    if request["stage"] == "mail" and envelope["from"]["address"] == "liar@example.org":
        return reject
    if request["stage"] == "rcpt" and envelope["to"][-1]["address"] == "nobody@example.net":
        reject["set"][1]["value"] = {"code": 451, "message": "not now"}
        return reject
    return {}


def judge(request):
    raw = base64.b64decode(request["rawMessage"], validate=True)
    head, _, body = raw.partition(b"\r\n\r\n")
    names = [line.split(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    if GTUBE in raw:
        if ACTION == "reject":
            return {"set": [{"path": "/action", "value": "reject"}, {"path": "/response", "value": {"code": 554, "enhancedCode": "5.7.1", "message": "Gtube pattern"}}]}
        if ACTION == "defer":
            return {"set": [{"path": "/action", "value": "reject"}, {"path": "/response", "value": {"code": 451, "message": "later"}}]}
        return {"set": [{"path": "/action", "value": ACTION}]}
    if b"\r\nX-Ask: everything" in head:
        at = names.index(b"x-ask")
        return {
            "set": [{"path": "/message/subject", "value": "gr\u00fc\u00dfe"}, {"path": "/envelope/from", "value": {"address": "new@example.org", "parameters": {}}}],
            "add": [{"path": "/message/headers", "value": {"name": "X-Top", "value": "1"}, "index": 0},
                    {"path": "/message/headers", "value": {"name": "X-End", "value": "2"}},
                    {"path": "/envelope/to", "value": {"address": "more@example.net", "parameters": {"NOTIFY": "NEVER"}}}],
            "delete": [{"path": "/message/headers/%d" % (at + 1)}],
        }
    if b"\r\nX-Ask: body" in head:
        new = head + b"\r\n\r\n" + body.replace(b"ordinary", b"changed")
        return {"set": [{"path": "/rawMessage", "value": base64.b64encode(new).decode()}]}
    if b"\r\nX-Ask: patch" in head:
        return [{"op": "replace", "path": "/message/subject", "value": "patched"}, {"op": "add", "path": "/message/headers/-", "value": {"name": "X-End", "value": "2"}}]
    if b"\r\nX-Ask: nothing" in head:
        return None
    return {"add": [{"path": "/message/headers", "value": {"name": "X-Hooks", "value": "seen"}, "index": 0}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/.well-known/mta-hooks":
            return self.say(404, {"error": {"code": "INVALID_REQUEST", "message": "no such endpoint"}})
        self.say(200, {
            "version": "1.0", "serialization": ["json"], "limits": {"maxMessageSize": 50000000}, "extensions": None,
            "endpoints": {"registration": "/register", "deregistration": "/register/{registration_id}"},
            "capabilities": {"outbound": None, "inbound": {
                "stages": STAGES, "actions": ["accept", "reject", "discard", "quarantine"], "fetchProperties": FETCH,
                "updateProperties": ["/action", "/response", "/message", "/rawMessage", "/envelope"]}},
        })

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != "Bearer " + TOKEN:
            return self.say(401, {"error": {"code": "INVALID_CREDENTIALS", "message": "who are you"}})
        request = json.loads(body)
        if self.path == "/register":
            return self.register(request)
        name = self.headers.get("X-MTA-Hooks-Registration")
        if self.path != "/hook/" + str(name) or registered.get(name, 0) < time.time():
            return self.say(404, {"error": {"code": "REGISTRATION_NOT_FOUND", "message": "register"}})
        assert self.headers["X-MTA-Hooks-Request-Id"] and request["stage"] in STAGES and request["action"] == "accept"
        assert sorted("/" + k for k in request) == sorted(FETCH), sorted(request)
        answer = judge(request) if request["stage"] == "data" else early(request)
        if answer is None:
            self.send_response(204)
            self.end_headers()
        else:
            self.say(200, answer)

    def register(self, request):
        assert set(request["inbound"]["stages"]) <= set(STAGES) and request["serialization"] == "json" and request["name"]
        name = "reg_" + str(uuid.uuid4())
        registered[name] = time.time() + 60
        self.say(201, {
            "registrationId": name, "status": "active", "createdAt": utc(time.time()), "expiresAt": utc(registered[name]),
            "hookEndpoint": "/hook/" + name, "endpoints": {"deregistration": "/register/" + name, "status": "/register/" + name + "/status"},
            "negotiated": {"serialization": "json", "outbound": None, "inbound": request["inbound"]},
        })

    def do_DELETE(self):
        registered.pop(self.path.rsplit("/", 1)[1], None)
        self.say(200, {"status": "deregistered"})

    def say(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
