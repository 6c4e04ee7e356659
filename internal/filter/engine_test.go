package filter

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"mtad/queue"
	"mtad/queue/engine"
	"mtad/queue/locallog"
	"mtad/queue/queuetest"
)

// engineQueue is the real engine over a store in memory.
func engineQueue(t *testing.T, clock *queuetest.ManualClock) queue.Queue {
	t.Helper()
	log, err := locallog.Open("queue", locallog.Options{FS: vfs.NewMem(), Ballast: -1, FreeFloor: -1, MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), log, engine.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What holds over the model holds over the engine: the tests that do not wait for
// time to pass are run over it too.
func TestOverTheEngine(t *testing.T) {
	old := newQueue
	newQueue = engineQueue
	defer func() { newQueue = old }()
	for name, f := range map[string]func(*testing.T){
		"chain order":            TestAcceptGoesThroughTheChainInOrder,
		"reject":                 TestRejectAfterTheQueueFailsTheRecipients,
		"waiting client":         TestVerdictOnAWaitingClient,
		"reject after commit":    TestRejectThatComesAfterTheCommitIsReported,
		"carried quarantine":     TestQuarantineOfAWaitingClientIsSetWhenTheChainIsThrough,
		"discard":                TestDiscardLeavesARecordAlone,
		"repeated verdict":       TestARepeatedVerdictAnswersTheSame,
		"claim of another":       TestAClaimOfAnotherEngineCanBeJudged,
		"refused verdict":        TestARefusedVerdictChangesNothing,
		"large header":           TestAHeaderSectionTooLargeToEditRefusesTheEdit,
		"upload":                 TestUploadReplacesTheBody,
		"large edits":            TestManyLargeEditsArePutIntoOneTransaction,
		"envelope edits":         TestEnvelopeEdits,
		"edits":                  TestEditsWorkOnExactOctets,
		"recipients":             TestEachRecipientGetsItsVerdict,
		"same for all":           TestTheSameVerdictForAllSplitsNothing,
		"edits within parts":     TestEnvelopeEditsWithinParts,
		"mixed verdicts":         TestMixedVerdictsOnAWaitingClient,
		"part of a message":      TestAPartOfAWaitingMessageIsNeverRefusedAlone,
		"re-scan":                TestARescanJudgesPendingRecipientsOnly,
		"faults of a verdict":    TestAFaultAtAnyCallOfAVerdict,
		"content cannot be read": TestContentThatCannotBeReadIsNotJudged,
	} {
		t.Run(name, f)
	}
}
