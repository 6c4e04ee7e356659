package main

import "mtad/api"

var releaseChange = change{
	kind: api.ActionKindRelease, short: "Let held messages go on",
	long: "Let held messages, an operator's or a filter's quarantine, go on where they are.",
}
