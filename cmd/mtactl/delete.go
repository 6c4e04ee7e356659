package main

import "mtad/api"

var deleteChange = change{
	kind: api.ActionKindDelete, short: "Drop messages without telling anybody",
	long: "Drop messages. Nobody is told; 'bounce' tells the senders.",
}
