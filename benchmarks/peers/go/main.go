// A callback as one writes it in Go: net/http, encoding/xml, database/sql with lib/pq.
//
// It verifies, parses, and stores and folds each push in a transaction of its own. DATABASE_URL,
// WECHAT_TOKEN and PORT come from the environment.
package main

import (
	"crypto/sha1"
	"database/sql"
	"encoding/hex"
	"encoding/xml"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"

	_ "github.com/lib/pq"
)

const connections = 16

const storeEvent = `
	INSERT INTO events (account, happened_at, identity, msg_type, event, event_key, scene, openid, msg_id, body)
	VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9)
	ON CONFLICT (account, happened_at, identity) DO UPDATE SET deliveries = events.deliveries + 1
	RETURNING deliveries`

const foldIntoFollower = `
	INSERT INTO followers AS old
		(account, openid, is_following, followed_at, unfollowed_at, last_seen_at, events, scene)
	VALUES (1, $1, $2, $3, $4, $5, 1, $6)
	ON CONFLICT (account, openid) DO UPDATE SET
		is_following = excluded.is_following,
		followed_at = GREATEST(old.followed_at, excluded.followed_at),
		unfollowed_at = GREATEST(old.unfollowed_at, excluded.unfollowed_at),
		last_seen_at = GREATEST(old.last_seen_at, excluded.last_seen_at),
		events = old.events + 1`

type push struct {
	FromUserName string
	CreateTime   int64
	MsgType      string
	Event        string
	EventKey     string
	Ticket       string
	MsgId        string
}

func (p push) identity() string {
	if p.MsgId != "" {
		return p.FromUserName + "|" + p.MsgId
	}
	return digest(p.FromUserName, "|", p.Event, "|", p.EventKey, "|", p.Ticket)
}

func (p push) scene() string {
	switch p.Event {
	case "subscribe":
		return strings.TrimPrefix(p.EventKey, "qrscene_")
	case "SCAN":
		return p.EventKey
	}
	return ""
}

func digest(parts ...string) string {
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func signature(parts ...string) string {
	sort.Strings(parts)
	return digest(parts...)
}

type site struct {
	token       string
	db          *sql.DB
	store, fold *sql.Stmt
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if signature(s.token, query.Get("timestamp"), query.Get("nonce")) != query.Get("signature") {
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err == nil {
		err = s.take(body)
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "success")
}

func (s *site) take(body []byte) error {
	var p push
	if err := xml.Unmarshal(body, &p); err != nil {
		return err
	}
	at := time.Unix(p.CreateTime, 0)
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var deliveries int
	err = tx.Stmt(s.store).QueryRow(
		at, p.identity(), p.MsgType, p.Event, p.EventKey, p.scene(), p.FromUserName, p.MsgId, body,
	).Scan(&deliveries)
	if err != nil {
		return err
	}
	if deliveries == 1 {
		followed := sql.NullTime{Time: at, Valid: p.Event == "subscribe"}
		left := sql.NullTime{Time: at, Valid: p.Event == "unsubscribe"}
		_, err = tx.Stmt(s.fold).Exec(p.FromUserName, !left.Valid, followed, left, at, p.scene())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func prepared(db *sql.DB, statement string) *sql.Stmt {
	found, err := db.Prepare(statement)
	if err != nil {
		log.Fatal(err)
	}
	return found
}

func main() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL")+"?sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	http.Handle("/wechat", &site{
		token: os.Getenv("WECHAT_TOKEN"),
		db:    db,
		store: prepared(db, storeEvent),
		fold:  prepared(db, foldIntoFollower),
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
