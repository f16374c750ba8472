package api

// communicationRequest asks for one text to one patient (R4 communicationrequest.html).
type communicationRequest struct {
	ResourceType       string           `json:"resourceType"`
	ID                 fhirID           `json:"id,omitempty"`
	Meta               fhirMeta         `json:"meta,omitzero"`
	ImplicitRules      refused          `json:"implicitRules,omitzero"`
	Language           ignored          `json:"language,omitzero"`
	Text               ignored          `json:"text,omitzero"`
	Contained          []fhirPerson     `json:"contained,omitempty"`
	Extension          ignored          `json:"extension,omitzero"`
	ModifierExtension  refused          `json:"modifierExtension,omitzero"`
	Identifier         []fhirIdentifier `json:"identifier,omitempty"`
	BasedOn            ignored          `json:"basedOn,omitzero"`
	Replaces           ignored          `json:"replaces,omitzero"`
	GroupIdentifier    ignored          `json:"groupIdentifier,omitzero"`
	Status             fhirCode         `json:"status" required:"true" of:"draft active on-hold revoked completed entered-in-error unknown"`
	StatusReason       *fhirConcept     `json:"statusReason,omitempty"`
	Category           []fhirConcept    `json:"category,omitempty"`
	Priority           fhirCode         `json:"priority,omitempty" of:"routine urgent asap stat"`
	DoNotPerform       bool             `json:"doNotPerform,omitempty"`
	Medium             []fhirConcept    `json:"medium,omitempty"`
	Subject            *fhirReference   `json:"subject,omitempty"`
	About              []fhirReference  `json:"about,omitempty"`
	Encounter          ignored          `json:"encounter,omitzero"`
	Payload            []fhirPayload    `json:"payload,omitempty"`
	OccurrenceDateTime fhirDateTime     `json:"occurrenceDateTime,omitempty"`
	OccurrencePeriod   *fhirPeriod      `json:"occurrencePeriod,omitempty"`
	AuthoredOn         fhirDateTime     `json:"authoredOn,omitempty"`
	Requester          *fhirReference   `json:"requester,omitempty"`
	Recipient          []fhirReference  `json:"recipient,omitempty"`
	Sender             ignored          `json:"sender,omitzero"`
	ReasonCode         guarded          `json:"reasonCode,omitzero"`
	ReasonReference    guarded          `json:"reasonReference,omitzero"`
	Note               ignored          `json:"note,omitzero"`
}

type fhirPayload struct {
	ID                ignored `json:"id,omitzero"`
	Extension         ignored `json:"extension,omitzero"`
	ModifierExtension refused `json:"modifierExtension,omitzero"`
	ContentString     string  `json:"contentString,omitempty" max:"2048"`
	ContentAttachment ignored `json:"contentAttachment,omitzero"`
	ContentReference  ignored `json:"contentReference,omitzero"`
}

// fhirPerson is a patient or related person inside a request: whom the hospital did not tell by HL7 comes
// with the request itself. Only the numbers, the language and word of a death are of use.
type fhirPerson struct {
	ResourceType         string             `json:"resourceType"`
	ID                   fhirID             `json:"id,omitempty"`
	Meta                 ignored            `json:"meta,omitzero"`
	ImplicitRules        refused            `json:"implicitRules,omitzero"`
	Language             ignored            `json:"language,omitzero"`
	Text                 ignored            `json:"text,omitzero"`
	Extension            ignored            `json:"extension,omitzero"`
	ModifierExtension    refused            `json:"modifierExtension,omitzero"`
	Identifier           []fhirIdentifier   `json:"identifier,omitempty"`
	Active               *bool              `json:"active,omitempty"`
	Name                 guarded            `json:"name,omitzero"`
	Telecom              []fhirContactPoint `json:"telecom,omitempty"`
	Gender               ignored            `json:"gender,omitzero"`
	BirthDate            guarded            `json:"birthDate,omitzero"`
	Address              guarded            `json:"address,omitzero"`
	Photo                ignored            `json:"photo,omitzero"`
	Communication        []fhirLanguage     `json:"communication,omitempty"`
	DeceasedBoolean      bool               `json:"deceasedBoolean,omitempty" only:"Patient"`
	DeceasedDateTime     fhirDateTime       `json:"deceasedDateTime,omitempty" only:"Patient"`
	MaritalStatus        ignored            `json:"maritalStatus,omitzero" only:"Patient"`
	MultipleBirthBoolean ignored            `json:"multipleBirthBoolean,omitzero" only:"Patient"`
	MultipleBirthInteger ignored            `json:"multipleBirthInteger,omitzero" only:"Patient"`
	Contact              ignored            `json:"contact,omitzero" only:"Patient"`
	GeneralPractitioner  guarded            `json:"generalPractitioner,omitzero" only:"Patient"`
	ManagingOrganization ignored            `json:"managingOrganization,omitzero" only:"Patient"`
	Link                 ignored            `json:"link,omitzero" only:"Patient"`
	Patient              *fhirReference     `json:"patient,omitempty" only:"RelatedPerson" required:"true"`
	Relationship         ignored            `json:"relationship,omitzero" only:"RelatedPerson"`
	Period               fhirPeriod         `json:"period,omitzero" only:"RelatedPerson"`
}

type fhirLanguage struct {
	ID                ignored     `json:"id,omitzero"`
	Extension         ignored     `json:"extension,omitzero"`
	ModifierExtension refused     `json:"modifierExtension,omitzero"`
	Language          fhirConcept `json:"language,omitzero" required:"true"`
	Preferred         bool        `json:"preferred,omitempty"`
}
