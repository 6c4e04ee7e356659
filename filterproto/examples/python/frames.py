"""The framed answer to a claim (spec/filter.md §5)."""
import json, re

MEDIA_TYPE = "application/vnd.mtad.frames"
BOUNDS = {"claim": 64 << 20, "data": 1 << 20, "done": 0, "fail": 64 << 20, "end": 0}

def frames(stream):
    kind = None
    while kind != "end":
        first = re.fullmatch(rb"([a-z_]{1,16}) (0|[1-9][0-9]{0,9})\n", stream.readline(28))
        if not first or int(first[2]) > BOUNDS.get(first[1].decode(), 1 << 30):
            raise OSError("stream broken off or malformed")
        kind, length = first[1].decode(), int(first[2])
        payload = stream.read(length) if length else b""
        if len(payload) < length:
            raise OSError("stream broken off")
        if kind in BOUNDS:  # others are of a later version
            yield kind, payload

def read_claims(stream):
    """A list of [claim, content]; the content is None when it has to be fetched."""
    out, inside = [], False
    for kind, payload in frames(stream):
        if inside != (kind in ("data", "done", "fail")):
            raise OSError(f"{kind} is out of place")
        if kind == "claim":
            claim = json.loads(payload)
            if not claim.get("token"):
                raise OSError("a claim without a token")
            inside = claim.get("inline", False)
            out.append([claim, b"" if inside else None])
        elif kind == "data":
            out[-1][1] += payload
        elif kind != "end":
            inside, out[-1][1] = False, out[-1][1] if kind == "done" else None
    return out
