package store

// Most indexes hold nothing but the fact that they do, or one id, and a busy box writes and reads ten of them for
// each message. For these the JSON is made and read here, byte for byte as package json does it.

// quickJSON is the JSON of an empty struct or a plain string, nil for everything else.
func quickJSON(v any) []byte {
	switch v := v.(type) {
	case *struct{}:
		return []byte("{}")
	case *string:
		for i := range len(*v) {
			if c := (*v)[i]; !plainByte(c) || c == '<' || c == '>' || c == '&' { // package json escapes these three as well
				return nil
			}
		}
		b := append(make([]byte, 0, len(*v)+2), '"')
		return append(append(b, *v...), '"')
	}
	return nil
}

// readQuickJSON sets v, a pointer to an empty struct or a string, from its JSON. It is false where package json has
// to read it.
func readQuickJSON(b []byte, v any) bool {
	switch v := v.(type) {
	case *struct{}:
		return string(b) == "{}"
	case *string:
		n := len(b) - 1
		if n < 1 || b[0] != '"' || b[n] != '"' {
			return false
		}
		for _, c := range b[1:n] {
			if !plainByte(c) {
				return false
			}
		}
		*v = string(b[1:n])
		return true
	}
	return false
}

// plainByte tells whether a byte stands for itself in a string of JSON.
func plainByte(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }
