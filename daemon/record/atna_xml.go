package record

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
)

// The audit message of DICOM PS3.15 A.5.1 (of 2017c and later: csd-code and originalText, where RFC 3881
// said code and displayName), as far as we write it.
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
		Code   string `xml:"csd-code,attr"`
		System string `xml:"codeSystemName,attr"`
		Text   string `xml:"originalText,attr"`
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

func (c code) coded() codedValue { return codedValue{c.Value, c.System, c.Text} }

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
