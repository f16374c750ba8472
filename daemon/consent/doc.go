// Package consent decides whether a number may get a text of a class, and
// reads what people text back to stop, start or ask for help.
//
// It knows choices per phone number, the words by which people make them in
// English, Spanish and French (CTIA and carrier practice), and the list of
// things only a person can settle (work items). It does not know what a code
// or a notice says, nor who the patient behind a number is beyond the
// subject's own wishes.
//
// The choices of a number are kept for good, each change with its source, and
// each change is an audit entry. The body of a text that came in is kept
// sealed for one day at most.
package consent
