package main

import "mtad/api"

var flushChange = change{
	kind: api.ActionKindFlush, short: "Try to deliver now",
	long: "Make messages due now, whatever their next attempt was planned for.",
}
