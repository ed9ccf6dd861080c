package host

import (
	"encoding/json"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Request is one line to an agent.
type Request struct {
	ID int64 `json:"id"`
	// Container: the request is for the agent inside it.
	Container string          `json:"container,omitempty"`
	Op        string          `json:"op"`
	In        json.RawMessage `json:"in,omitempty"`
}

// Reply is one line from an agent: an event, or the end of a request.
type Reply struct {
	ID    int64           `json:"id"`
	Event *Event          `json:"event,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
	Error string          `json:"error,omitempty"`
}

// The operations of an agent.
const (
	OpFacts   = "facts"   // nothing -> Facts
	OpObserve = "observe" // []Item -> []plan.Facts
	OpEnsure  = "ensure"  // []Item -> nothing
	OpRun     = "run"     // Command -> Output
	OpRead    = "read"    // path -> text
	OpPart    = "part"    // Part -> bytes
	OpNode    = "node"    // NodeQuery -> Node
	OpEtcd    = "etcd"    // EtcdCall -> answer of etcd
	OpMissing = "missing" // []digest -> []digest
	OpLend    = "lend"    // Loan -> nothing
	OpRemove  = "remove"  // container -> nothing
	OpHold    = "hold"    // Hold -> nothing: this run alone changes the machine, until its deployer has gone
	OpSettle  = "settle"  // nothing -> nothing, when an earlier run has ended here
	OpLeave   = "leave"   // nothing -> nothing: the agent removes itself
	OpAnswers = "answers" // URL -> status code
	OpAlive   = "alive"   // host and port -> whether a server of TLS is there
	OpStats   = "stats"   // command -> answer of haproxy's stats socket
)

// Loan asks for blobs to appear in a container's store.
type Loan struct {
	Container string   `json:"container"`
	Digests   []string `json:"digests"`
}

// Observed is the answer to OpObserve.
type Observed []plan.Facts
