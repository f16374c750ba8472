package contact

import (
	"slices"
	"strings"

	"pinward/store"
)

// maxFeeds bounds the feeds that are remembered of one person.
const maxFeeds = 8

// FeedSource is what numbers and persons have as their source that the HL7 peer of a name told of.
func FeedSource(peer string) string { return feedPrefix + peer }

const feedPrefix = "hl7:"

// toldBy adds a source to those that told of a person, where it is a feed. A record is read by many at
// once: the list is never changed in its place.
func toldBy(feeds []string, source string) []string {
	if !strings.HasPrefix(source, feedPrefix) || len(feeds) >= maxFeeds || slices.Contains(feeds, source) {
		return feeds
	}
	return append(slices.Clip(feeds), source)
}

// ToldBy remembers that a feed told of a person who is known already, and of whom it says nothing new. The message is the entry.
func ToldBy(tx *store.Tx, id SubjectID, source string) error {
	s, ok, err := Find(tx, id)
	if err != nil || !ok {
		return err
	}
	was := s
	if s.Feeds = toldBy(s.Feeds, source); len(s.Feeds) == len(was.Feeds) {
		return nil
	}
	return keep(tx, was, s)
}

// Knows tells whether a feed told of this person. Of who was known before feeds were remembered, the
// numbers tell.
func (s Subject) Knows(source string) bool {
	return slices.Contains(s.Feeds, source) || slices.ContainsFunc(s.Phones, func(n Number) bool { return n.Source == source })
}
