#!/usr/bin/env python3
"""A scanner that rejects mail with a word in it, with nothing but the standard library:

    MTAD_TOKEN=... wordscan.py http://127.0.0.1:8025 words lottery
    wordscan.py unix:/run/mtad/api.sock words lottery
"""
import http.client, json, os, socket, sys, time, urllib.parse

from frames import MEDIA_TYPE, read_claims

def connect(server):
    url = urllib.parse.urlsplit(server)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    c = kind(url.netloc or "localhost", timeout=90)
    if url.scheme == "unix":
        def dial():
            c.sock = socket.socket(socket.AF_UNIX)
            c.sock.settimeout(90)
            c.sock.connect(url.path)
        c.connect = dial
    return c

class Refused(Exception):
    """An error that does not mend by itself."""

def call(c, method, path, body=None, accept="*/*"):
    headers = {"Content-Type": "application/json", "Accept": accept}
    if os.environ.get("MTAD_TOKEN"):
        headers["Authorization"] = "Bearer " + os.environ["MTAD_TOKEN"]
    c.request(method, path, json.dumps(body) if body else None, headers)
    answer = c.getresponse()
    if answer.status >= 300:
        text = answer.read().decode(errors="replace")
        raise (OSError if answer.status >= 500 or answer.status in (408, 429) else Refused)(text)
    return answer

def judge(content, word):
    return {"disposition": "reject", "symbols": ["WORD"]} if word in content.lower() else {"disposition": "accept"}

def scan(c, name, word, send):
    asked = {"max": 30, "wait": 30, "lease": 120, "content": "inline", "holder": f"wordscan[{os.getpid()}]"}
    answer = call(c, "POST", f"/v1/filters/{name}/claims", asked, MEDIA_TYPE)
    claims = read_claims(answer)
    answer.read()
    for claim, content in claims:
        try:
            content = call(c, "GET", f"/v1/claims/{claim['token']}/content").read() if content is None else content
            send.append({"token": claim["token"], "nonce": "1", "verdict": judge(content, word)})
        except Refused as e:
            print("wordscan:", claim["message"]["id"], e, file=sys.stderr)  # its lease runs out

def tell(c, send):
    results = json.load(call(c, "POST", "/v1/claims/verdicts", {"verdicts": send}))["results"]
    done = [r["ok"] or r["error"]["code"] == "lease_lost" for r in results]
    send[:] = [entry for entry, d in zip(send, done) if not d]
    if send:
        raise OSError([r["error"] for r in results if not r["ok"]])

def main(server, name, word):
    c, send, pause = None, [], 1
    while True:
        try:
            c = c or connect(server)
            if send:
                tell(c, send)  # the same entries again do no harm
            else:
                scan(c, name, word.lower().encode(), send)
            pause = 1
        except Refused as e:
            sys.exit(f"wordscan: {e}")
        except (OSError, ValueError, http.client.HTTPException) as e:
            print("wordscan:", e, file=sys.stderr)
            c = c and c.close()
            time.sleep(pause)
            pause = min(2 * pause, 30)

if __name__ == "__main__":
    main(*sys.argv[1:])
