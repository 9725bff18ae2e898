// SPDX-License-Identifier: Apache-2.0

// A webhook receiver: go run receive.go PORT [MAX_IDS], with the secret in WEBHOOK_SECRET.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 300 * time.Second
	maxBody   = 1 << 20
)

var seconds = regexp.MustCompile(`^[0-9]{1,12}$`)

// verify is true if one v1 entry was made with this key over exactly these bytes, and just now.
func verify(key []byte, header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	if id == "" || !seconds.MatchString(timestamp) {
		return false
	}
	sent, _ := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(sent, 0)); age > tolerance || age < -tolerance {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	found := false
	for _, entry := range strings.Split(header.Get("webhook-signature"), " ") {
		found = hmac.Equal([]byte(entry), expected) || found // takes the same time whatever the bytes are
	}
	return found
}

// handshake is the answer that agrees to a subscription, if that is what the request asks for.
func handshake(body []byte) []byte {
	var ask struct{ Type, Challenge string }
	if json.Unmarshal(body, &ask) != nil || ask.Type != "verification" || ask.Challenge == "" {
		return nil
	}
	answer, _ := json.Marshal(map[string]string{"challenge": ask.Challenge})
	return answer
}

type verdict int

const (
	isNew verdict = iota
	isRepeat
	isFull
)

type arrival struct {
	id string
	at time.Time
}

// seenIDs holds the ids of the last 10 minutes: so long can a recorded request pass verify, if its
// timestamp was 300 s ahead. It forgets at a restart: a receiver whose effects must not happen twice
// keeps the ids in its database, in the same transaction as the effect.
type seenIDs struct {
	lock  sync.Mutex
	ids   map[string]bool
	order []arrival // the oldest first
	max   int
}

// take remembers id. When the store is full of ids that are too young to forget, the sender has to wait.
func (s *seenIDs) take(id string) verdict {
	s.lock.Lock()
	defer s.lock.Unlock()
	for len(s.order) > 0 && time.Since(s.order[0].at) > 2*tolerance {
		delete(s.ids, s.order[0].id)
		s.order = s.order[1:]
	}
	if s.ids[id] {
		return isRepeat
	}
	if len(s.order) >= s.max {
		return isFull
	}
	s.ids[id] = true
	s.order = append(s.order, arrival{id, time.Now()})
	return isNew
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(key) < 24 || len(os.Args) < 2 {
		log.Fatal("usage: WEBHOOK_SECRET=whsec_... receive PORT [MAX_IDS]")
	}
	seen := &seenIDs{ids: map[string]bool{}, max: 100000}
	if len(os.Args) > 2 {
		seen.max, _ = strconv.Atoi(os.Args[2])
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		// The raw bytes: nothing is parsed before they are verified.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if !verify(key, r.Header, body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		agreed := handshake(body)
		if agreed != nil || r.Header.Get("webhook-test") == "true" { // a trial: like a handshake it has no effect
			w.Write(agreed)
			return
		}
		id := r.Header.Get("webhook-id")
		switch seen.take(id) {
		case isNew:
			fmt.Println("new", id) // the effect; if it can fail, forget the id again and answer 500
		case isRepeat:
			fmt.Println("repeat", id) // a success, too: otherwise the sender would go on trying
		case isFull:
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: http.HandlerFunc(handler), ReadTimeout: 15 * time.Second}
	log.Fatal(server.Serve(listener))
}
