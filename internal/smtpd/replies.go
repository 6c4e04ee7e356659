package smtpd

import "mtad/internal/smtp"

// canned is a reply made once.
type canned struct {
	code int
	wire []byte
}

func can(code int, enhanced, text string) canned {
	return canned{code, smtp.Reply{Code: code, Enhanced: enhanced, Text: text}.Append(nil)}
}

// The replies that do not depend on anything. Never changed.
var (
	okMail  = can(250, "2.1.0", "ok")
	okRcpt  = can(250, "2.1.5", "ok")
	ok      = can(250, "2.0.0", "ok")
	okBye   = can(221, "2.0.0", "bye")
	goData  = can(354, "", "end data with <CR><LF>.<CR><LF>")
	goTLS   = can(220, "2.0.0", "ready to start TLS")
	okVrfy  = can(252, "2.1.5", "send some mail, it will be tried")
	okHelp  = can(214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS, see RFC 5321")
	noVerb  = can(500, "5.5.2", "command not recognized")
	noImpl  = can(502, "5.5.1", "command not implemented")
	badLF   = can(500, "5.5.2", "bare line feed or carriage return received: lines end with CRLF")
	badChar = can(500, "5.5.2", "control characters in command")
	badText = can(500, "5.5.2", "octets outside US-ASCII in command")
	badLong = can(500, "5.5.2", "line too long")

	wantHelo   = can(503, "5.5.1", "say EHLO first")
	wantMail   = can(503, "5.5.1", "MAIL first")
	wantRcpt   = can(554, "5.5.1", "no valid recipients")
	nested     = can(503, "5.5.1", "MAIL was given already, RSET first")
	inBdat     = can(503, "5.5.1", "BDAT is under way, end it with LAST or RSET")
	notNow     = can(503, "5.5.1", "not within a mail transaction")
	wantTLS    = can(530, "5.7.0", "issue STARTTLS first")
	wantAuth   = can(530, "5.7.0", "authentication required")
	haveAuth   = can(503, "5.5.1", "already authenticated")
	haveTLS    = can(503, "5.5.1", "TLS is active already")
	tlsInject  = can(554, "5.7.0", "input after STARTTLS before the handshake")
	notListed  = can(550, "5.7.0", "not authorized to use this command")
	noArg      = can(501, "5.5.4", "no argument allowed")
	wantArg    = can(501, "5.5.4", "argument missing")
	badFrom    = can(501, "5.5.4", "syntax: MAIL FROM:<address>")
	badTo      = can(501, "5.5.4", "syntax: RCPT TO:<address>")
	badHelo    = can(501, "5.5.2", "bad host name")
	badBdat    = can(501, "5.5.4", "syntax: BDAT size [LAST]")
	noDomain   = can(501, "5.1.7", "the sender's domain is missing")
	noRcptDom  = can(501, "5.1.3", "the recipient's domain is missing")
	badSendDom = can(501, "5.1.7", "bad domain in address")
	badRcptDom = can(501, "5.1.3", "bad domain in address")
	noRelay    = can(554, "5.7.1", "relay access denied")
	noRouting  = can(554, "5.7.1", "relay access denied: address routes on")
	manyRcpt   = can(452, "4.5.3", "too many recipients")
	tooBig     = can(552, "5.3.4", "message too big")
	noAuthParm = can(555, "5.5.4", "MAIL parameter not known")

	faultLF   = can(550, "5.6.11", "bare line feed in message: lines end with CRLF")
	faultCR   = can(550, "5.6.11", "bare carriage return in message: lines end with CRLF")
	faultLong = can(554, "5.6.0", "line too long in message")

	byeIdle     = can(421, "4.4.2", "timeout, closing")
	bySession   = can(421, "4.4.2", "session took too long, closing")
	byeSlow     = can(421, "4.4.2", "data comes too slowly, closing")
	byeErrors   = can(421, "4.7.0", "too many errors, closing")
	byeUnknown  = can(421, "4.7.0", "too many unknown commands, closing")
	byeProtocol = can(421, "4.7.0", "this is not HTTP, closing")
	byeMessages = can(421, "4.5.3", "too many messages in this session, connect again")
	byeDrain    = can(421, "4.3.2", "shutting down, try again later")
	byeCrowd    = can(421, "4.3.2", "too many connections, try again later")
	byeClient   = can(421, "4.7.0", "too many connections from your address, try again later")
	byeRate     = can(421, "4.7.0", "connections from your address come too fast, try again later")
	byeFlood    = can(421, "4.7.0", "endless input, closing")
	byeProxy    = can(421, "4.3.0", "bad PROXY header, closing")
)
