package record

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"slices"
)

// The audit message of DICOM PS3.15 A.5.1 (of 2017c and later), as far as we write it; see older for that of RFC 3881.
type (
	auditMessage struct {
		XMLName      xml.Name            `xml:"AuditMessage"`
		Event        eventIdentification `xml:"EventIdentification"`
		Participants []activeParticipant `xml:"ActiveParticipant"`
		Source       auditSource         `xml:"AuditSourceIdentification"`
		Objects      []participantObject `xml:"ParticipantObjectIdentification"`
	}
	eventIdentification struct {
		Action  string       `xml:"EventActionCode,attr"`
		At      string       `xml:"EventDateTime,attr"`
		Outcome int          `xml:"EventOutcomeIndicator,attr"` // 0 done, 4 refused, 8 failed
		ID      codedValue   `xml:"EventID"`
		Types   []codedValue `xml:"EventTypeCode"`
		Why     string       `xml:"EventOutcomeDescription,omitempty"`
	}
	codedValue struct {
		Code   string `xml:"csd-code,attr,omitempty"`
		Older  string `xml:"code,attr,omitempty"` // RFC 3881 in the place of Code
		System string `xml:"codeSystemName,attr"`
		Text   string `xml:"originalText,attr,omitempty"`
		Name   string `xml:"displayName,attr,omitempty"` // RFC 3881 in the place of Text
	}
	activeParticipant struct {
		UserID      string       `xml:"UserID,attr"`
		Alternative string       `xml:"AlternativeUserID,attr,omitempty"`
		Requestor   bool         `xml:"UserIsRequestor,attr"`
		Point       string       `xml:"NetworkAccessPointID,attr,omitempty"`
		PointType   int          `xml:"NetworkAccessPointTypeCode,attr,omitempty"` // 1 name, 2 IP address, 3 telephone number
		Roles       []codedValue `xml:"RoleIDCode"`
	}
	auditSource struct {
		Site string     `xml:"AuditEnterpriseSiteID,attr,omitempty"`
		ID   string     `xml:"AuditSourceID,attr"`
		Type codedValue `xml:"AuditSourceTypeCode"`
	}
	participantObject struct {
		ID       string     `xml:"ParticipantObjectID,attr"`
		TypeCode int        `xml:"ParticipantObjectTypeCode,attr"`     // 1 person, 2 system object
		Role     int        `xml:"ParticipantObjectTypeCodeRole,attr"` // 1 patient, 13 security resource, 20 job
		IDType   codedValue `xml:"ParticipantObjectIDTypeCode"`
		// Name is asked for by the schema where there is no query. A patient's stands in no entry: its place
		// holds the id once more.
		Name    string      `xml:"ParticipantObjectName"`
		Details []valuePair `xml:"ParticipantObjectDetail"`
	}
	valuePair struct {
		Type  string `xml:"type,attr"`
		Value string `xml:"value,attr"` // base64
	}
)

func (c code) coded() codedValue { return codedValue{Code: c.Value, System: c.System, Text: c.Text} }

// older is a message as the schema of RFC 3881 (section 6) wants it, for a repository from before DICOM took it over: codes are called code
// and displayName, there is no EventOutcomeDescription (the object's details hold the cause as well), and an object's id is of one of twelve
// kinds, of which an address of a machine is the last, a URI. m stays as it is: another message may share its parts.
func (m auditMessage) older() *auditMessage {
	m.Event.ID, m.Event.Types, m.Event.Why = m.Event.ID.older(), olderList(m.Event.Types), ""
	m.Participants = slices.Clone(m.Participants)
	for i := range m.Participants {
		m.Participants[i].Roles = olderList(m.Participants[i].Roles)
	}
	m.Source.Type = m.Source.Type.older()
	m.Objects = slices.Clone(m.Objects)
	for i := range m.Objects {
		if kind := &m.Objects[i].IDType; kind.System == rfc3881 {
			*kind = kind.older()
		} else {
			*kind = idURI.older()
		}
	}
	return &m
}

func (c codedValue) older() codedValue {
	return codedValue{Older: c.Code, System: c.System, Name: c.Text}
}

func olderList(list []codedValue) (out []codedValue) {
	for _, c := range list {
		out = append(out, c.older())
	}
	return out
}

// rfc3881 is the code system of the kinds of ids of objects.
const rfc3881 = "RFC-3881"

var idURI = codedValue{Code: "12", System: rfc3881, Text: "URI"}

func detail(kind, value string) valuePair {
	return valuePair{kind, base64.StdEncoding.EncodeToString([]byte(value))}
}

// atnaMessageID is MSGID of an audit message, IHE ITI TF-2 3.20.7.
const atnaMessageID = "IHE+RFC-3881"

// bom is what MSG begins with where it is UTF-8, RFC 5424 section 6.4.
const bom = "\ufeff"

func (m *auditMessage) text() (string, error) {
	b, err := xml.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode audit message: %w", err)
	}
	return bom + `<?xml version="1.0" encoding="UTF-8"?>` + string(b), nil
}
