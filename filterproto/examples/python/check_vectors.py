#!/usr/bin/env python3
"""Reads the streams of filterproto/testdata/frames.json; ends with 1 when one is read differently."""
import io, json, pathlib, sys

from frames import read_claims

def read(stream):
    try:
        return [(claim["token"], content) for claim, content in read_claims(stream)]
    except (OSError, ValueError):
        return "broken"

wrong = 0
for v in json.loads((pathlib.Path(__file__).parents[2] / "testdata" / "frames.json").read_text()):
    want = [(c["token"], c["content"].encode() if c["inline"] else None) for c in v.get("claims", [])]
    got = read(io.BytesIO(v["stream"].encode()))
    if got != ("broken" if v.get("error") else want):
        wrong += 1
        print(f"{v['name']}: got {got}, want {want}", file=sys.stderr)
sys.exit(wrong > 0)
