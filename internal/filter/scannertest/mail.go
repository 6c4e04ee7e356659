package scannertest

import (
	"encoding/base64"
	"strings"
)

// The two well-known test strings are put together here, so that no file of the
// source sets off the scanners of others.

// EICAR is the antivirus test file.
func EICAR() string {
	return `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`
}

// GTUBE is the line that every spam scanner takes for spam.
func GTUBE() string {
	return "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD" + "-ANTI-UBE-TEST-EMAIL*C.34X"
}

// Header is the header section of the messages below, without the empty line.
const Header = "Message-ID: <t1@example.org>\r\n" +
	"Date: Sun, 22 Nov 2026 02:00:00 +0000\r\n" +
	"From: Sender <sender@example.org>\r\n" +
	"To: Recipient <rcpt@example.net>\r\n" +
	"Subject: test\r\n" +
	"MIME-Version: 1.0\r\n"

// Ham is an ordinary message. Lines end in CRLF, here and below.
func Ham() string { return Header + "\r\nan ordinary message\r\n" }

// Spam is a message with GTUBE in it.
func Spam() string { return Header + "\r\nhello\r\n\r\n" + GTUBE() + "\r\n" }

// Virus is a message with EICAR as an attachment in base64.
func Virus() string {
	return Header + "Content-Type: application/octet-stream; name=eicar.com\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" +
		strings.Join(chunks(base64.StdEncoding.EncodeToString([]byte(EICAR())), 76), "\r\n") + "\r\n"
}

func chunks(s string, n int) (list []string) {
	for len(s) > n {
		list, s = append(list, s[:n]), s[n:]
	}
	return append(list, s)
}
