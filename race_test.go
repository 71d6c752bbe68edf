//go:build race

package leasehold_test

// raceDetector: the race detector is on.
const raceDetector = true
