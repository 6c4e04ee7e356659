package main

type mtad struct{}

func (m *mtad) syncs() float64  { return 0 }
func (m *mtad) address() string { return "" }
func (m *mtad) memory() int64   { return 0 }
func (m *mtad) stop()           {}

func (b *bench) startMtad(dir, next, sc string) (system, error) { return &mtad{}, nil }
func (b *bench) report() int                                    { return 0 }
