package notice

import (
	"pinward/daemon/contact"
	"pinward/store"
)

// noticeFields are the packed form of a notice. A number that once stood for a field is never given to another.
func noticeFields(f *store.Fields, n *Notice) {
	store.TextField(f, 1, &n.ID)
	store.TextField(f, 2, &n.Template)
	store.TextField(f, 3, &n.Lang)
	store.TextField(f, 4, &n.Class)
	contact.PhoneField(f, 5, &n.To)
	store.BoolField(f, 6, &n.Follow)
	contact.SubjectIDField(f, 7, &n.Subject)
	store.MapField(f, 8, &n.Slots)
	store.TimeField(f, 9, &n.At)
	store.TimeField(f, 10, &n.Expires)
	store.BoolField(f, 11, &n.Urgent)
	store.TextField(f, 12, &n.Group)
	store.TextField(f, 13, &n.Key)
	store.IntField(f, 14, &n.Lane)
	store.TextField(f, 15, &n.Client)
	store.TextField(f, 16, &n.OnBehalfOf)
	store.BoolField(f, 17, &n.Staff)
	store.BoolField(f, 18, &n.Requested)
	store.IntField(f, 19, &n.Mode)
	store.TimeField(f, 20, &n.Created)
	store.TextField(f, 21, &n.Message)
	store.TimeField(f, 22, &n.Canceled)
	store.TextField(f, 23, &n.Cause)
	store.TextField(f, 24, &n.Answer)
	store.TimeField(f, 25, &n.Answered)
	store.TextField(f, 26, &n.Order)
	store.BoolField(f, 27, &n.Dropped)
	store.BoolField(f, 28, &n.Once)
	store.TextField(f, 29, &n.Door)
	store.BoolField(f, 30, &n.Voice)
	store.IntField(f, 31, &n.Tried)
	store.TextField(f, 32, &n.Hours.From)
	store.TextField(f, 33, &n.Hours.To)
	store.TextField(f, 34, &n.Place)
	store.TextField(f, 35, &n.From)
	store.BoolField(f, 36, &n.Call)
}
