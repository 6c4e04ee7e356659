package smtp

import "unicode/utf8"

// IsASCII reports whether every octet of s is US-ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isPrintable says that s holds space and visible US-ASCII alone, so that it
// can stand in a header field or a log line.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// validUTF8Text says that s is UTF-8 without control characters.
func validUTF8Text(s string) bool {
	for _, c := range s {
		if c < ' ' || c == 0x7f || 0x80 <= c && c < 0xa0 || c == 0x2028 || c == 0x2029 {
			return false
		}
	}
	return utf8.ValidString(s)
}
