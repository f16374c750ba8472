package modemsim

import "encoding/json"

// What is kept of handsets between two runs.

type keptHandset struct {
	Number string       `json:"number"`
	State  HandsetState `json:"state"`
}

type keptCall struct {
	ID     uint64 `json:"id"`
	Number string `json:"number"`
	C      Call   `json:"c"`
}

func (n *Network) loadHandset(b json.RawMessage) error {
	var k keptHandset
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	n.handset(k.Number).state = k.State
	return nil
}

func (n *Network) loadMessage(b json.RawMessage) error {
	s := &shown{}
	if err := json.Unmarshal(b, s); err != nil {
		return err
	}
	n.seen(s.ID)
	h := n.handset(s.Number)
	h.messages = append(h.messages, s)
	return nil
}

func (n *Network) loadPart(b json.RawMessage) error {
	p := &part{}
	if err := json.Unmarshal(b, p); err != nil {
		return err
	}
	n.seen(p.ID)
	h := n.handset(p.Number)
	h.parts = append(h.parts, p)
	return nil
}

func (n *Network) loadCall(b json.RawMessage) error {
	var k keptCall
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	n.seen(k.ID)
	h := n.handset(k.Number)
	h.calls = append(h.calls, k.C)
	return nil
}
