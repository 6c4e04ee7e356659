package filterproto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ClaimReader reads the framed answer to a ClaimRequest.
type ClaimReader struct {
	frames *FrameReader
	// max bounds the octets of one content.
	max int64
	end bool
}

// NewClaimReader reads claims from r and refuses content longer than max octets.
func NewClaimReader(r io.Reader, max int64) *ClaimReader {
	return &ClaimReader{frames: NewFrameReader(r), max: max}
}

// Next returns the next claim with its content. When the server could not read the
// content, fail says why; the claim is good all the same. After the last one err
// is io.EOF; a stream that was cut off gives io.ErrUnexpectedEOF.
func (c *ClaimReader) Next() (claim Claim, fail *Error, err error) {
	if c.end {
		return Claim{}, nil, io.EOF
	}
	kind, payload, err := c.frames.Next()
	switch {
	case err != nil:
		return Claim{}, nil, err
	case kind == FrameEnd:
		c.end = true
		return Claim{}, nil, io.EOF
	case kind != FrameClaim:
		return Claim{}, nil, fmt.Errorf("%w: %s without a claim", ErrFrame, kind)
	}
	if err := json.Unmarshal(payload, &claim); err != nil {
		return Claim{}, nil, fmt.Errorf("%w: claim: %w", ErrFrame, err)
	}
	if claim.Token == "" {
		return Claim{}, nil, fmt.Errorf("%w: claim without a token", ErrFrame)
	}
	claim.Content = nil
	if claim.Inline {
		fail, err = c.content(&claim)
	}
	return claim, fail, err
}

func (c *ClaimReader) content(claim *Claim) (*Error, error) {
	claim.Content = make([]byte, 0, min(max(claim.Message.Size, 0), c.max, frameStep))
	for {
		kind, payload, err := c.frames.Next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case FrameData:
			if int64(len(claim.Content)+len(payload)) > c.max {
				return nil, fmt.Errorf("%w: more than %d octets of content", ErrFrame, c.max)
			}
			claim.Content = append(claim.Content, payload...)
		case FrameDone:
			return nil, nil
		case FrameFail:
			claim.Content, claim.Inline = nil, false
			return failOf(payload)
		default:
			return nil, fmt.Errorf("%w: %s within content", ErrFrame, kind)
		}
	}
}

func failOf(payload []byte) (*Error, error) {
	var e Error
	if err := json.Unmarshal(payload, &e); err != nil || e.Code == "" {
		return nil, errors.Join(fmt.Errorf("%w: fail", ErrFrame), err)
	}
	return &e, nil
}
