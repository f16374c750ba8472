package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// watched shows on the terminal how far a stream has come: with its end known as a bar, else as what has
// gone by. finish has to be called, when nothing more is read; it leaves the line away where the stream
// was broken off. Without a terminal nothing is shown, and a log stays readable.
func watched(r io.Reader, what string, size int64) (_ io.Reader, finish func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return r, func() {}
	}
	p := mpb.New(mpb.WithOutput(os.Stderr), mpb.WithWidth(48))
	name := mpb.PrependDecorators(decor.Name(what + " "))
	speed := decor.AverageSpeed(decor.SizeB1000(0), " % .1f")
	var bar *mpb.Bar
	if size > 0 {
		bar = p.New(size, mpb.BarStyle(), name, mpb.BarRemoveOnComplete(),
			mpb.AppendDecorators(decor.CountersKiloByte("% .1f / % .1f"), speed, decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	} else {
		bar = p.New(0, mpb.SpinnerStyle(), name, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.CurrentKiloByte("% .1f"), speed))
	}
	return bar.ProxyReader(r), func() {
		bar.Abort(true) // does nothing to one that is complete
		p.Wait()
	}
}

// sizeOf is how long a file is; 0 if it is no file, such as a pipe.
func sizeOf(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return 0
	}
	return fi.Size()
}
