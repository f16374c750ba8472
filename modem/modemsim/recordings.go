package modemsim

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	maxRecordings  = 200       // that are kept; the WAV of older calls is gone
	recordingChunk = 512 << 10 // of a recording in one record of the journal
	maxRecording   = 16 << 20  // no call is as long
	recordingPath  = "/recordings/"
	recordingEnd   = ".wav"
)

// keptRecording is a piece of a recording in the kept state.
type keptRecording struct {
	ID uint64 `json:"id"`
	B  []byte `json:"b"` // compressed: most of a call is silence
}

// record keeps what was sent in a call, sealed as texts are, and says where it is.
func (n *Network) record(id uint64, pcm []byte) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(pcm)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil { // of a buffer in memory: it cannot fail
		n.log.Error("recording cannot be compressed", "err", err)
		return ""
	}
	n.wavs[id] = b.Bytes()
	for i, piece := range slices.Collect(slices.Chunk(b.Bytes(), recordingChunk)) {
		n.save(recordingKey(id, i), keptRecording{id, piece})
	}
	n.trimRecordings()
	return fmt.Sprintf("%s%d%s", recordingPath, id, recordingEnd)
}

func recordingKey(id uint64, piece int) string { return fmt.Sprintf("%s/%03d", key("wav", id), piece) }

// trimRecordings forgets the oldest ones.
func (n *Network) trimRecordings() {
	for len(n.wavs) > maxRecordings {
		oldest := n.lastID
		for id := range n.wavs {
			oldest = min(oldest, id)
		}
		for i := range (len(n.wavs[oldest]) + recordingChunk - 1) / recordingChunk {
			n.forget(recordingKey(oldest, i))
		}
		delete(n.wavs, oldest)
	}
}

func (n *Network) loadRecording(b json.RawMessage) error {
	var k keptRecording
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	n.seen(k.ID)
	n.wavs[k.ID] = append(n.wavs[k.ID], k.B...) // pieces come in their order
	return nil
}

// Recording is what a modem sent in a call, as a WAV file: 8 kHz, mono, 16 bit. path is Call.WAV; nil says that there is no such
// recording, or no longer.
func (n *Network) Recording(path string) []byte {
	name, begins := strings.CutPrefix(path, recordingPath)
	name, ends := strings.CutSuffix(name, recordingEnd)
	id, err := strconv.ParseUint(name, 10, 64)
	if !begins || !ends || err != nil {
		return nil
	}
	n.mu.Lock()
	packed := n.wavs[id]
	n.mu.Unlock()
	if packed == nil {
		return nil
	}
	pcm, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxRecording))
	if err != nil {
		n.log.Error("recording cannot be read", "err", err)
		return nil
	}
	return wav(pcm)
}
