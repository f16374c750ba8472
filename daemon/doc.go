// Package daemon is the appliance as one program: its configuration, the order in which its rooms
// start and stop, one loop a modem, what comes in from the modems, and the way out to the hospital.
//
// It knows every room and wires them; it holds no rule of its own about codes, consent or texts
// (those are verbs in their rooms), and it knows neither the simulator nor a demo key.
package daemon
