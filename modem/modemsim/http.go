package modemsim

import "net/http"

// Handler serves the network over HTTP.
func (n *Network) Handler() http.Handler {
	return http.NewServeMux()
}
