//go:build cgo && linux

package main

/*
#include <malloc.h>

static void bound_malloc(void) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_ARENA_MAX, 2);
#endif
}
*/
import "C"

// boundMalloc makes the C library give memory back. The store keeps its tables
// and its cache outside Go's heap when cgo is in use. By default glibc stops
// giving blocks of their size back after the first of them, and has arenas for
// every thread: with a hundred messages of 50 MB at once that held 570 MB, where
// 350 do. It has to be called before there is much of either.
func boundMalloc() { C.bound_malloc() }
