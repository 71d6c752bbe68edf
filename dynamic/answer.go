package dynamic

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// answer is Vault's answer to a creation or a renewal.
type answer struct {
	LeaseID   string          `json:"lease_id"`
	Renewable bool            `json:"renewable"`
	Duration  *int64          `json:"lease_duration"`
	Data      json.RawMessage `json:"data"`
	Warnings  []string        `json:"warnings"`
}

var errMalformed = errors.New("the answer is not JSON of the expected form")

// parse reads an answer. One that does not say how long it is good for is none: what is
// missing would read as "without an end".
func parse(body []byte) (*answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.Duration == nil || *a.Duration < 0 {
		return nil, errMalformed
	}
	return &a, nil
}

// ttl is what the answer grants; 0 if it names none.
func (a *answer) ttl() time.Duration { return session.Seconds(*a.Duration) }
