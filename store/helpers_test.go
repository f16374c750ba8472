package store

import "runtime"

func yield()  { runtime.Gosched() }
func goexit() { runtime.Goexit() }
