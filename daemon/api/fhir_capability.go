package api

import (
	"net/http"
	"slices"
)

// capabilityDate is when what the statement says last changed.
const capabilityDate = "2026-11-22"

// resourceSays is what a client has to know of a resource besides its interactions.
var resourceSays = map[string]string{
	fhirRequestType: "One text to one patient. subject or recipient names the patient by record number, or contains a Patient or RelatedPerson with a number. " +
		"payload[0].contentString is a template and its slots, template?slot=value&slot=value, or letter for letter what exactly one template gives. " +
		"status is active; revoke by update with status revoked while nothing is out. priority stat goes in quiet hours too. " +
		"category v3-ActReason#HMARKT is marketing and needs an opt-in; any other is care. The first identifier is a business key: " +
		"the same request again is the first one. What else R4 allows is read over and not kept; what would change the meaning is refused.",
	fhirCommunicationType: "What became of a text: preparation, in-progress (the network has it), completed (it is on the phone), not-done with statusReason, " +
		"stopped (revoked), unknown. It holds neither text nor number.",
	"Consent":    "For each number of a patient what it may get now, by class of text.",
	"AuditEvent": "The audit; type and subtype as in DICOM PS3.15, numbers masked.",
}

// metadata serves the CapabilityStatement (R4 capabilitystatement.html), made from the routes.
func (a *api) metadata(w http.ResponseWriter, r *http.Request) {
	if err := acceptable(r); err != nil {
		a.send(w, r, reply{}, err, showOutcome)
		return
	}
	out, err := encode(http.StatusOK, a.capability(r))
	if err != nil {
		a.send(w, r, out, err, showOutcome)
		return
	}
	showResource(w, r, fhirRoute{route: route{read: readRequest}}, out)
}

func (a *api) capability(r *http.Request) object {
	var resources []object
	for _, name := range []string{fhirRequestType, fhirCommunicationType, "Consent", "AuditEvent"} {
		var did []string
		var interactions []object
		for _, rt := range fhirRoutes() {
			if rt.resource == name && !slices.Contains(did, rt.interaction) {
				did = append(did, rt.interaction)
				interactions = append(interactions, object{"code": rt.interaction})
			}
		}
		one := object{"type": name, "interaction": interactions, "documentation": resourceSays[name]}
		if slices.Contains(did, "read") {
			one["versioning"], one["readHistory"], one["conditionalRead"] = "versioned", false, "full-support"
		}
		if slices.Contains(did, "create") {
			one["conditionalCreate"], one["updateCreate"] = true, false
		}
		var params []object
		for _, p := range searchParams[name] {
			params = append(params, object{"name": p.name, "type": p.kind, "documentation": p.says})
		}
		if params != nil {
			one["searchParam"] = params
		}
		resources = append(resources, one)
	}
	return object{
		"resourceType": "CapabilityStatement", "status": "active", "date": capabilityDate, "kind": "instance", "fhirVersion": fhirVersion,
		"software":       object{"name": "Pinward", "version": a.Version},
		"implementation": object{"description": "Texts over the hospital's own modems", "url": baseURL(r)},
		"format":         []string{fhirType, "json"},
		"rest": []object{{
			"mode":     "server",
			"security": object{"cors": false, "description": "API keys: HTTP Basic, or a bearer token (RFC 6750)"},
			"resource": resources,
		}},
	}
}
