package intake

import (
	"pinward/hl7"
	"pinward/store"
)

// outcomeFields are the packed form of an outcome. A number that once stood for a field is never given to another.
func outcomeFields(f *store.Fields, o *outcome) {
	store.TimeField(f, 1, &o.At)
	store.TextField(f, 2, &o.Type)
	store.TextField(f, 3, &o.Ack)
	store.PointerField(f, 4, &o.Wrong, wrongFields)
	store.TextField(f, 5, &o.Rule)
	store.TextField(f, 6, &o.Did)
	store.TextField(f, 7, &o.Why)
	store.TextField(f, 8, &o.AckID)
	store.TextField(f, 9, &o.Later)
}

func wrongFields(f *store.Fields, e *hl7.Error) {
	store.IntField(f, 1, &e.Code)
	store.TextField(f, 2, &e.Segment)
	store.IntField(f, 3, &e.Seq)
	store.IntField(f, 4, &e.Field)
	store.IntField(f, 5, &e.Rep)
	store.IntField(f, 6, &e.Comp)
	store.TextField(f, 7, &e.Reason)
}
